"""The life of a duty to destroy 销毁: a certificate is asked for when a grant ends, filed, confirmed by somebody else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from catalog_registry.acting import Duty
from catalog_registry.states import Life
from catalog_registry.term_states import DestructionEvent, DestructionState

__all__ = [
    "BY_PERSONS",
    "DESTRUCTION_LIFE",
    "DESTRUCTION_REASONED",
    "DUTIES_OF_DESTRUCTION",
    "RULES",
    "DestructionEvent",
    "DestructionState",
]


_S, _E = DestructionState, DestructionEvent

NEXT_OF_DESTRUCTION: Final[Mapping[tuple[DestructionState, DestructionEvent], DestructionState]] = MappingProxyType(
    {
        (_S.ASKED, _E.FILE): _S.FILED,
        (_S.ASKED, _E.WAIVE): _S.WAIVED,
        (_S.ASKED, _E.REMIND): _S.ASKED,
        (_S.ASKED, _E.ESCALATE): _S.ASKED,
        (_S.FILED, _E.CONFIRM): _S.CONFIRMED,
        (_S.FILED, _E.RETURN): _S.ASKED,
        (_S.FILED, _E.WAIVE): _S.WAIVED,
        (_S.FILED, _E.REMIND): _S.FILED,
        (_S.FILED, _E.ESCALATE): _S.FILED,
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

BY_PERSONS: Final = (_E.FILE, _E.RETURN, _E.CONFIRM, _E.WAIVE)

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
