"""The clock of a demand: how long whoever has it may take, and where that stands. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from catalog_registry.clocks import Rule
from catalog_registry.demand_records import DemandRecord
from catalog_registry.demand_states import DemandState
from catalog_registry.open_clocks import OpenClock
from catalog_registry.step_clock import PROMISED, StepClock, clock_of_step
from schemas.workdays import Calendar

RULES: Final[Mapping[DemandState, str]] = MappingProxyType(
    {DemandState.SUBMITTED: "demand.appoint", DemandState.ASSIGNED: "demand.answer"}
)
"""The clock rule of each state that somebody has to lead out of by a number of days."""

WAITING: Final = (*RULES, DemandState.ACCEPTED)
"""The states in which somebody is waited for."""


def demand_waits(demand: DemandRecord) -> OpenClock | None:
    """Return the clock that a demand has open, None where it waits for nobody. Another provider that is appointed begins it
    again; a department that promised a day is held to that day.
    """
    accepted = demand.state is DemandState.ACCEPTED
    name = PROMISED.id if accepted else RULES.get(demand.state)
    if name is None or (accepted and demand.promised_on is None):
        return None
    return OpenClock(
        kind="demand",
        thing=demand.id,
        rule=name,
        department=demand.assigned,
        resource=None,
        began=demand.since,
        title=demand.title,
        of=demand.department,
        state=demand.state,
        promised_on=demand.promised_on if accepted else None,
    )


def demand_clock(demand: DemandRecord, *, rules: Mapping[str, Rule], of: Calendar, now: datetime) -> StepClock | None:
    """Return where the clock of a demand stands, None where it waits for nobody; as ``demand_waits``.

    Args:
        demand: what is asked for.
        rules: by id, those of the deployment.
        of: the working days.
        now: the instant of the question.
    """
    waits = demand_waits(demand)
    return None if waits is None else clock_of_step(waits, rules=rules, of=of, now=now)
