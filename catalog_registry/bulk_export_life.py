"""The life of a bulk export of personal data: asked for, approved by a second person, used once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from catalog_registry.acting import Duty
from catalog_registry.states import Life
from catalog_registry.term_states import ExportEvent, ExportState

__all__ = ["DUTIES_OF_EXPORT", "EXPORT_ASKING", "EXPORT_LIFE", "EXPORT_REASONED", "ExportEvent", "ExportState"]


_S, _E = ExportState, ExportEvent

NEXT_OF_EXPORT: Final[Mapping[tuple[ExportState, ExportEvent], ExportState]] = MappingProxyType(
    {
        (_S.ASKED, _E.APPROVE): _S.APPROVED,
        (_S.ASKED, _E.REFUSE): _S.REFUSED,
        (_S.ASKED, _E.CANCEL): _S.CANCELLED,
        (_S.APPROVED, _E.USE): _S.USED,
        (_S.APPROVED, _E.CANCEL): _S.CANCELLED,
    }
)

EXPORT_LIFE: Final = Life(
    "a bulk export",
    code="export.state",
    next=NEXT_OF_EXPORT,
    at_the_end={
        _S.REFUSED: "ask for another one on other grounds",
        _S.CANCELLED: "ask for another one",
        _S.USED: "ask for another one: an approval is for one use",
    },
)

EXPORT_REASONED: Final = (_E.REFUSE,)

EXPORT_ASKING: Final = (Duty("consumer", own=True),)
"""The own department is the receiver's."""

_SECOND: Final = (Duty("security_officer", own=False), Duty("provider_reviewer", own=True))

DUTIES_OF_EXPORT: Final[Mapping[ExportEvent, tuple[Duty, ...]]] = MappingProxyType(
    {_E.APPROVE: _SECOND, _E.REFUSE: _SECOND, _E.CANCEL: (*EXPORT_ASKING, Duty("security_officer", own=False))}
)
"""The own department is the resource's; of a cancellation, the receiver's."""
