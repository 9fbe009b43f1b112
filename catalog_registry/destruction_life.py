"""The life of a duty to destroy 销毁: a certificate is asked for when a grant ends, filed, confirmed by somebody else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from catalog_registry.acting import Duty
from catalog_registry.clocks import Rule
from catalog_registry.open_clocks import OpenClock
from catalog_registry.records import DestructionRecord
from catalog_registry.states import Life
from catalog_registry.step_clock import StepClock, clock_of_step
from catalog_registry.term_states import DestructionEvent, DestructionState
from schemas.workdays import Calendar

__all__ = [
    "DESTRUCTION_LIFE",
    "DESTRUCTION_REASONED",
    "DUTIES_OF_DESTRUCTION",
    "RULES",
    "DestructionEvent",
    "DestructionState",
    "destruction_clock",
    "destruction_waits",
]


_S, _E = DestructionState, DestructionEvent

NEXT_OF_DESTRUCTION: Final[Mapping[tuple[DestructionState, DestructionEvent], DestructionState]] = MappingProxyType(
    {
        (_S.ASKED, _E.FILE): _S.FILED,
        (_S.ASKED, _E.WAIVE): _S.WAIVED,
        (_S.FILED, _E.CONFIRM): _S.CONFIRMED,
        (_S.FILED, _E.RETURN): _S.ASKED,
        (_S.FILED, _E.WAIVE): _S.WAIVED,
    }
)

DESTRUCTION_LIFE: Final = Life(
    "a duty to destroy",
    code="destruction.state",
    next=NEXT_OF_DESTRUCTION,
    at_the_end={
        _S.CONFIRMED: "it is done",
        _S.WAIVED: "ask for nothing more: what was received may be kept for the reason given",
    },
)

DESTRUCTION_REASONED: Final = (_E.RETURN, _E.WAIVE)
"""What is not done without a reason; the database enforces it in the history."""

_CENTRE: Final = (Duty("security_officer", own=False), Duty("registration_officer", own=False))

DUTIES_OF_DESTRUCTION: Final[Mapping[DestructionEvent, tuple[Duty, ...]]] = MappingProxyType(
    {
        _E.FILE: (Duty("consumer", own=True),),
        _E.RETURN: _CENTRE,
        _E.CONFIRM: _CENTRE,
        _E.WAIVE: (Duty("security_officer", own=False),),
    }
)
"""The own department is the receiver's."""

RULES: Final[Mapping[DestructionState, str]] = MappingProxyType(
    {DestructionState.ASKED: "destruction.certificate", DestructionState.FILED: "destruction.confirm"}
)
"""The clock rule of each state that somebody has to lead out of."""


def destruction_waits(found: DestructionRecord) -> OpenClock | None:
    """Return the clock that a duty has open, None where it is at its end: the receiver's, then the centre's."""
    name = RULES.get(found.state)
    if name is None:
        return None
    return OpenClock(
        kind="destruction",
        thing=found.id,
        rule=name,
        department=found.department if found.state is DestructionState.ASKED else None,
        resource=found.resource,
        began=found.since,
        title=found.resource,
        of=found.department,
        state=found.state,
    )


def destruction_clock(found: DestructionRecord, *, rules: Mapping[str, Rule], of: Calendar, now: datetime) -> StepClock | None:
    """Return where the clock of a duty stands, None where it waits for nobody; as ``destruction_waits``."""
    waits = destruction_waits(found)
    return None if waits is None else clock_of_step(waits, rules=rules, of=of, now=now)
