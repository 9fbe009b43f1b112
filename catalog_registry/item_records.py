"""What the register of items and licence types answers: plain values, read once, that know nothing of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from catalog_registry.item_life import ItemState
from schemas.handbook import Handbook
from schemas.item import ServiceItem
from schemas.licence_type import LicenceTerms, LicenceType


@dataclass(frozen=True, slots=True)
class Owner:
    """The system whose the items or the licence types are: they are changed only there."""

    system: str
    name: str
    resource: str


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item as it is now. ``owner`` is the code of the system whose it is; None: it is kept by hand in the hub."""

    code: str
    code_type: str
    basic_code: str | None
    name: str
    body: str
    department: str | None
    owner: str | None
    state: ItemState
    version: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ItemVersionRecord:
    """A version of an item, in force from ``effective_at`` until the next one; the hub learned it at ``recorded_at``."""

    item: ServiceItem
    version: int
    event: str
    state: ItemState
    effective_at: datetime
    recorded_at: datetime
    by: str
    why: str | None


@dataclass(frozen=True, slots=True)
class StandIn:
    """What stands in for a material instead of paper: licence types, and resources in which the hub can look."""

    licence_types: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything stands in."""
        return bool(self.licence_types or self.resources)


@dataclass(frozen=True, slots=True)
class StandIns:
    """What the hub itself says of an item's materials, by material. ``version`` 0: nothing was ever said."""

    item: str
    version: int
    materials: Mapping[str, StandIn] = field(default_factory=dict)


class BodyVariant(StrEnum):
    """How a body comes to perform an item."""

    MAIN = "main"
    LOWER = "lower"
    DELEGATED = "delegated"


@dataclass(frozen=True, slots=True)
class PerformingBody:
    """A body that performs an item: by its own implementation record, or by delegation of another's (``basis``)."""

    variant: BodyVariant
    item: str
    body: str
    department: str | None
    level: str | None
    basis: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HandbookRecord:
    """An item's handbook, and which version of it this is."""

    item: str
    version: int
    handbook: Handbook
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class LicenceTypeRecord:
    """A licence type with the terms on which it is shared. ``items`` are those of which a material accepts it."""

    type: LicenceType
    terms: LicenceTerms
    state: str
    version: int
    department: str | None
    owner: str | None
    changed_at: datetime
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Brought:
    """What a bringing up to date did, in numbers."""

    entered: int = 0
    changed: int = 0
    ended: int = 0
    unchanged: int = 0
    kept: int = 0
