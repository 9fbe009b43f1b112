"""What was brought in: entries with the places where they stood, and what is wrong, place by place, all of it told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from schemas.catalogue import CatalogueEntry
from schemas.errors import Fault, RejectedError

MOST_KEPT: Final = 10_000
"""Faults kept of one file; further ones are counted."""


@dataclass(frozen=True, slots=True)
class BadPlace:
    """A fault: the cell of a sheet, by row and by the letters and the heading of its column; or an entry of another file."""

    reason: str
    sheet: str | None = None
    row: int | None = None
    column: str | None = None
    heading: str | None = None
    entry: int | None = None

    @property
    def where(self) -> str:
        """The place, as a person reads it."""
        if self.entry is not None:
            return f"entry {self.entry}" + (f", {self.heading}" if self.heading else "")
        if self.row is None:
            return self.sheet or "the file"
        cell = f"{self.column or ''}{self.row}"
        return f"{self.sheet}!{cell}" + (f" {self.heading}" if self.heading else "")

    def as_json(self) -> dict[str, Any]:
        """Return it as data, without what it has not."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass
class Faults:
    """Faults as they are found; ``count`` is the number of all of them, also of those that are no longer kept."""

    found: list[BadPlace] = field(default_factory=list)
    count: int = 0

    def add(self, fault: BadPlace) -> None:
        """Write one down."""
        self.count += 1
        if len(self.found) < MOST_KEPT:
            self.found.append(fault)


class Place(Protocol):
    """Where an entry stood in what was brought in."""

    def fault(self, key: str, reason: str, field: int | None = None) -> BadPlace:
        """Return a fault at a key of the entry, or of one of its fields by its place in them."""


@dataclass(frozen=True, slots=True)
class GivenEntry:
    """An entry that was brought in. ``name`` is the resource's where it was given."""

    name: str | None
    entry: CatalogueEntry
    place: Place


@dataclass(frozen=True, slots=True)
class EntryPlace:
    """The place of an entry in a file of many: its number, and what keys are called there."""

    number: int
    names: Mapping[str, str] = field(default_factory=dict)

    def fault(self, key: str, reason: str, field: int | None = None) -> BadPlace:
        """Return a fault at a key."""
        called = self.names.get(key, key)
        return BadPlace(reason, entry=self.number, heading=called if field is None else f"{called}, field {field + 1}")


class ImportRefusedError(RejectedError):
    """Nothing was taken of what was brought in; ``faults`` says why, place by place."""

    def __init__(
        self,
        faults: Sequence[BadPlace],
        count: int,
        *,
        where: str | None = None,
        taken_apart: bool = True,
        code: str,
    ) -> None:
        first = f": {faults[0].where}: {faults[0].reason}" if faults else ""
        more = f", and {count - 1} more" if count > 1 else ""
        super().__init__(
            f"{'1 place is' if count == 1 else f'{count} places are'} wrong, so nothing was taken{first}{more}",
            code=code,
            where=where,
            remedy="mend them all" + (", or take what is right by choosing partial" if taken_apart else ""),
            fault=Fault.CLIENT,
        )
        self.faults = tuple(faults)
        self.count = count
