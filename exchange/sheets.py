"""Spreadsheets that came by HTTP, read in a process of their own, as ``exchange.bounded`` starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any, Final

import msgspec

from catalog_registry.bring_in import Brought, FileKind
from catalog_registry.brought import Faults, GivenEntry
from catalog_registry.item_sheets import SheetContents
from catalog_registry.item_sheets_in import ReadItems
from catalog_registry.sheets.guard import Limits
from exchange.bounded import in_child
from exchange.sheet_child import Said

WITHIN_S: Final = 60.0
"""Reading takes so long at most; the largest file that the limits allow takes a tenth of it."""


def read_catalogue_sheet(file: IO[bytes], kind: FileKind, *, where: str, limits: Limits) -> Brought:
    """Return what a spreadsheet of the catalogue holds, as ``bring_in.read_file``.

    Raises:
        RejectedError: as ``read_sheets``, or its reader ended (``sheet.reader``).
        TransientError: it took too long.
    """
    said = _asked(file, {"what": "catalogue", "workbook": kind is FileKind.XLSX}, where, limits)
    given = [GivenEntry(one.name, one.entry, one.place) for one in said.entries or ()]
    return Brought(given, Faults(said.faults, said.count))


def read_item_sheet(file: IO[bytes], *, where: str, limits: Limits) -> ReadItems:
    """Return what a workbook of items says, as ``item_sheets_in.read_items``. Raises as ``read_catalogue_sheet``."""
    said = _asked(file, {"what": "items"}, where, limits)
    return ReadItems(said.items or SheetContents(), Faults(said.faults, said.count))


def _asked(file: IO[bytes], asked: Mapping[str, Any], where: str, limits: Limits) -> Said:
    file.flush()
    told = {**asked, "where": where, "limits": asdict(limits)}
    said = in_child("exchange.sheet_child", told, within_s=WITHIN_S, code="sheet.reader", file=file)
    return msgspec.json.decode(said, type=Said)
