"""The life of a service item and of a licence type in the register: one table each, and the pure function of ``states.Life``.

What the owner's system does not have any more is ended, never deleted; where it comes back, it is the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from catalog_registry.states import Life


class ItemState(StrEnum):
    """Where an item stands. Only one in force is applied for."""

    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    ENDED = "ended"


class ItemEvent(StrEnum):
    """What happens to an item. Each is a version."""

    CHANGE = "change"
    SUSPEND = "suspend"
    RESUME = "resume"
    END = "end"
    RETURN = "return"


ENTER: Final = "enter"
"""The first version of an item, and of a licence type: before it there was none."""

_S, _E = ItemState, ItemEvent

NEXT_OF_ITEM: Final[Mapping[tuple[ItemState, ItemEvent], ItemState]] = MappingProxyType(
    {
        (_S.IN_FORCE, _E.CHANGE): _S.IN_FORCE,
        (_S.IN_FORCE, _E.SUSPEND): _S.SUSPENDED,
        (_S.IN_FORCE, _E.END): _S.ENDED,
        (_S.SUSPENDED, _E.CHANGE): _S.SUSPENDED,
        (_S.SUSPENDED, _E.RESUME): _S.IN_FORCE,
        (_S.SUSPENDED, _E.END): _S.ENDED,
        (_S.ENDED, _E.RETURN): _S.IN_FORCE,
    }
)


class LicenceTypeState(StrEnum):
    """Where a licence type stands."""

    IN_FORCE = "in_force"
    ENDED = "ended"


class LicenceTypeEvent(StrEnum):
    """What happens to a licence type. ``terms``: the hub says on which terms it is shared, whatever the store has of it."""

    CHANGE = "change"
    END = "end"
    RETURN = "return"
    TERMS = "terms"


_L, _LE = LicenceTypeState, LicenceTypeEvent

NEXT_OF_LICENCE_TYPE: Final[Mapping[tuple[LicenceTypeState, LicenceTypeEvent], LicenceTypeState]] = MappingProxyType(
    {
        (_L.IN_FORCE, _LE.CHANGE): _L.IN_FORCE,
        (_L.IN_FORCE, _LE.TERMS): _L.IN_FORCE,
        (_L.IN_FORCE, _LE.END): _L.ENDED,
        (_L.ENDED, _LE.TERMS): _L.ENDED,
        (_L.ENDED, _LE.RETURN): _L.IN_FORCE,
    }
)

LICENCE_TYPE_LIFE: Final = Life("a licence type", code="licence_type.state", next=NEXT_OF_LICENCE_TYPE, at_the_end={})

ITEM_LIFE: Final = Life("an item", code="item.state", next=NEXT_OF_ITEM, at_the_end={})


def steps_to(state: ItemState, wanted: ItemState, *, changed: bool) -> tuple[ItemEvent, ...]:
    """Return the events that bring an item from a state to the wanted one, a change of its elements first; none where it is so.

    Args:
        state: where it stands.
        wanted: where its source has it.
        changed: whether an element of it is another than before.
    """
    events: list[ItemEvent] = []
    if state is _S.ENDED and wanted is not _S.ENDED:
        events.append(_E.RETURN)
        state = _S.IN_FORCE
    elif changed and wanted is not _S.ENDED:
        events.append(_E.CHANGE)
    if state is not wanted:
        events.append({_S.IN_FORCE: _E.RESUME, _S.SUSPENDED: _E.SUSPEND, _S.ENDED: _E.END}[wanted])
    return tuple(events)
