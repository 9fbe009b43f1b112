"""The process that reads a spreadsheet that came by HTTP; it asks nobody for anything. ``exchange.bounded`` starts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

import msgspec

from catalog_registry.brought import BadPlace
from catalog_registry.catalogue_sheets_in import CellPlace, read_sheets
from catalog_registry.item_sheets import SheetContents
from catalog_registry.item_sheets_in import read_items
from catalog_registry.sheets.guard import Limits
from exchange.bounded import answer, refuse_network
from schemas.catalogue import CatalogueEntry


@dataclass(frozen=True)
class Entry:
    """An entry, with its place."""

    name: str | None
    entry: CatalogueEntry
    place: CellPlace


@dataclass(frozen=True)
class Said:
    """What the process says: what it read, and what is wrong with the rest."""

    faults: list[BadPlace]
    count: int
    entries: list[Entry] | None = None
    items: SheetContents | None = None


def _read(asked: dict[str, Any], file: IO[bytes] | None) -> bytes:
    assert file is not None
    refuse_network()
    limits, where = Limits(**asked["limits"]), str(asked["where"])
    if asked["what"] == "items":
        items = read_items(file, limits=limits, where=where)
        return msgspec.json.encode(Said(items.faults.found, items.faults.count, items=items.contents))
    reading = read_sheets(file, limits=limits, where=where, workbook=asked["workbook"])
    entries = [Entry(one.name, one.entry, one.place) for one in reading.entries]  # type: ignore[arg-type]
    return msgspec.json.encode(Said(reading.faults.found, reading.faults.count, entries=entries))


if __name__ == "__main__":
    answer(_read)
