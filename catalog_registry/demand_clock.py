"""The clock of a demand: how long whoever has it may take, and where that stands. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from catalog_registry.application_clock import ApplicationClock
from catalog_registry.clocks import Rule, due
from catalog_registry.demand_records import DemandRecord
from catalog_registry.demand_states import DemandState
from schemas.clock import CHINA
from schemas.workdays import Calendar

RULES: Final[Mapping[DemandState, str]] = MappingProxyType(
    {DemandState.SUBMITTED: "demand.appoint", DemandState.ASSIGNED: "demand.answer"}
)
"""The clock rule of each state that somebody has to lead out of by a number of days."""

PROMISED: Final = "demand.promised"
"""Named as the rule where the department set its last day itself, by its promise."""

WAITING: Final = (*RULES, DemandState.ACCEPTED)
"""The states in which somebody is waited for."""


def demand_clock(demand: DemandRecord, *, rules: Mapping[str, Rule], of: Calendar, now: datetime) -> ApplicationClock | None:
    """Return the clock of a demand, None where it waits for nobody. Another provider that is appointed begins it again.

    Args:
        demand: what is asked for.
        rules: by id, those of the deployment.
        of: the working days.
        now: the instant of the question.
    """
    if demand.state is DemandState.ACCEPTED:
        return _promised(demand, of, now)
    name = RULES.get(demand.state)
    if name is None:
        return None
    rule = rules[name]
    found = due(rule, demand.since, (), now, of)
    return ApplicationClock(
        rule=rule.id,
        workdays=rule.workdays,
        department=demand.assigned,
        began=demand.since,
        due=found.at,
        left=found.left,
        state=found.state,
        provisional=found.provisional,
    )


def _promised(demand: DemandRecord, of: Calendar, now: datetime) -> ApplicationClock | None:
    """Return the clock of a promise: it ends with the day that was named, worked or not, and reminds one working day before."""
    if demand.promised_on is None:
        return None
    last, began = demand.promised_on, demand.since.astimezone(CHINA).date()
    today = now.astimezone(CHINA).date()
    left = of.between(today, last)
    return ApplicationClock(
        rule=PROMISED,
        workdays=of.between(began, last),
        department=demand.assigned,
        began=demand.since,
        due=last,
        left=left,
        state="late" if today > last else "reminded_last" if left <= 1 else "running",
        provisional=of.provisional(last),
    )
