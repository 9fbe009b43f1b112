"""Reads a workbook of items, materials and handbooks. Every cell that is wrong is told with its place and reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

from catalog_registry.brought import BadPlace, Faults, ImportRefusedError
from catalog_registry.item_sheets import (
    CHILDREN,
    COLUMNS,
    HANDBOOK,
    HEADINGS,
    ITEMS,
    LIMITS,
    LIMITS_OF_FILE,
    SheetContents,
)
from catalog_registry.sheets.columns import Kind
from catalog_registry.sheets.grid import sheets_of
from catalog_registry.sheets.guard import Limits, refused
from catalog_registry.sheets.table import Table, cell_fault
from catalog_registry.sheets.values import plain_of
from schemas.form import Form, choice, member
from schemas.handbook import KEYS as HANDBOOK_KEYS
from schemas.handbook import Handbook, handbook_of_form
from schemas.item import ServiceItem
from schemas.item_form import KEYS as ITEM_KEYS
from schemas.item_form import item_of_form


@dataclass(frozen=True)
class ReadItems:
    """What a workbook says of items, and every cell that is wrong."""

    contents: SheetContents
    faults: Faults

    def whole(self, *, where: str | None = None) -> SheetContents:
        """Return the contents. Raises ``ImportRefusedError`` (``sheet.cells``) where a cell is wrong."""
        if self.faults.count:
            raise refusal(self.faults, where)
        return self.contents


def refusal(faults: Faults, where: str | None) -> ImportRefusedError:
    """Return the refusal of a workbook with every cell that is wrong."""
    return ImportRefusedError(faults.found, faults.count, where=where, taken_apart=False, code="sheet.cells")


def read_items(file: IO[bytes], *, limits: Limits = LIMITS_OF_FILE, where: str = "<sheet>") -> ReadItems:
    """Return what a workbook says and every cell that is wrong.

    Raises:
        RejectedError: the file as a whole cannot be read: it is no workbook, has macros, is not safe to read, or has none of
            the sheets (``sheet.…``).
    """
    reading = _Reading()
    for sheet in sheets_of(file, limits, COLUMNS.__contains__, where=where, workbook=True):
        reading.tables[sheet.name] = Table(sheet, HEADINGS[sheet.name], Faults())
    if not reading.tables:
        remedy = "begin with onedoor item template -o items.xlsx"
        raise refused(f"the workbook has none of the sheets {', '.join(COLUMNS)}", "empty", where=where, remedy=remedy)
    lines = {name: list(_lines(reading, table)) for name, table in reading.tables.items()}
    items = _read_items(reading, lines.get(ITEMS, []), {name: lines.get(name, []) for name in CHILDREN})
    handbooks = _read_handbooks(reading, lines.get(HANDBOOK, []))
    faults = Faults()
    for name in (name for name in COLUMNS if name in reading.tables):
        for fault in sorted(reading.tables[name].faults.found, key=_place):
            faults.add(fault)
        faults.count += reading.tables[name].faults.count - len(reading.tables[name].faults.found)
    return ReadItems(SheetContents(items, handbooks), faults)


def _place(fault: BadPlace) -> tuple[int, bool, int, str]:
    column = fault.column or ""
    return fault.row or 0, not column, len(column), column


@dataclass
class _Reading:
    """The sheets of a workbook, each with what is wrong with it so far, one fault a cell."""

    tables: dict[str, Table] = field(default_factory=dict)
    _told: set[tuple[str, int, str]] = field(default_factory=set)

    def skip(self, sheet: str, row: int, keys: Iterable[str]) -> None:
        """Tell nothing more of cells that have a fault already."""
        self._told |= {(sheet, row, key) for key in keys}

    def bad(self, sheet: str, row: int, key: str, reason: str) -> None:
        """Tell a fault at a key of a row; where it is no column's, at the first one."""
        columns = {column.key: column for column in COLUMNS[sheet]}
        column = columns.get(key) or COLUMNS[sheet][0]
        if (sheet, row, column.key) not in self._told:
            self._told.add((sheet, row, column.key))
            table = self.tables[sheet]
            table.faults.add(cell_fault(sheet, row - 1, table.places.get(column.key), column, reason))


@dataclass(frozen=True, slots=True)
class _Line:
    """A row that has something: its values by key, and its number, from 1."""

    row: int
    values: dict[str, Any]


def _lines(reading: _Reading, table: Table) -> Iterator[_Line]:
    """Yield the rows of a sheet by the keys of its columns; none where a column is missing."""
    name = table.sheet.name
    columns = {column.key: column for column in COLUMNS[name]}
    needed = [column for column in columns.values() if column.needed]
    if not table.found:
        if not table.is_empty():
            reading.bad(name, 1, needed[0].key, f"the first rows have no headings of sheet {name}: use the template")
        return
    for column in needed:
        table.missing(column.key, column.heading)
    if any(column.key not in table.places for column in needed):
        return
    for at, said, bad in table.rows():
        reading.skip(name, at + 1, bad)
        for column in needed:
            if column.key not in said:
                reading.bad(name, at + 1, column.key, "is empty")
        values: dict[str, Any] = {}
        for key, value in said.items():
            column = columns[key]
            made, reason = plain_of(column, value)
            if column.kind is Kind.CODED and column.values is not None and member(made, column.values) is None:
                reason = f"{str(made)[:20]!r} is not one of {choice(column.values)}"
            if reason:
                reading.bad(name, at + 1, key, reason)
            elif (limit := key.removesuffix(".unit")) in LIMITS:
                values.setdefault(limit, {})["number" if limit == key else "unit"] = made
            else:
                values[key] = made
        yield _Line(at + 1, values)


def _read_items(
    reading: _Reading, lines: Sequence[_Line], children: Mapping[str, Sequence[_Line]]
) -> tuple[tuple[ServiceItem, int, int], ...]:
    of = {name: _by_item(parts) for name, parts in children.items()}
    items = []
    seen: set[str] = set()
    for line in lines:
        document = dict(line.values)
        version = document.pop("version", 0)
        code = str(document.get("code"))
        if code in seen:
            reading.bad(ITEMS, line.row, "code", f"{code} stands there twice")
        seen.add(code)
        rows = {"": [line.row]}
        for name, key in CHILDREN.items():
            parts = of[name].get(code, [])
            document[key] = [{k: v for k, v in one.values.items() if k != "item"} for one in parts]
            rows[key] = [one.row for one in parts]
        wrong: list[str] = []
        item = item_of_form(Form(document, ITEM_KEYS, wrong, {}))
        _tell(reading, ITEMS, wrong, rows)
        items.append((item, version, line.row))
    for name, parts_of in of.items():
        for code, parts in parts_of.items():
            for line in parts:
                if code not in seen:
                    reading.bad(name, line.row, "item", f"sheet {ITEMS} has no item {code[:40]}")
    return tuple(items)


def _read_handbooks(reading: _Reading, lines: Sequence[_Line]) -> dict[str, tuple[Handbook, int, int]]:
    found = {}
    for code, rows in _by_item(lines).items():
        steps: list[dict[str, Any]] = []
        at: dict[str, list[int]] = {"": [rows[0].row], "steps": []}
        for line in rows:
            values = {k: v for k, v in line.values.items() if k not in ("item", "version", "circumstance", "outcome")}
            rung = {k: line.values[k] for k in ("circumstance", "outcome") if k in line.values}
            if not (steps and steps[-1].get("name") == values.get("name")):
                steps.append(values | {"discretion": []})
                at["steps"].append(line.row)
            if rung:
                at.setdefault(f"steps[{len(steps) - 1}].discretion", []).append(line.row)
                steps[-1]["discretion"].append(rung)
        wrong: list[str] = []
        handbook = handbook_of_form(Form({"steps": steps}, HANDBOOK_KEYS, wrong, {}))
        _tell(reading, HANDBOOK, wrong, at)
        versions = {line.values.get("version", 0) for line in rows}
        if len(versions) > 1:
            reading.bad(HANDBOOK, rows[0].row, "version", "the lines of one item name several versions of its handbook")
        found[code] = (handbook, max(versions), rows[0].row)
    return found


_FAULT: Final = re.compile(
    r"(?:(?P<list>(?P<of>[a-z]+)(?:\[[0-9]+\]\.[a-z]+)?)\[(?P<n>[0-9]+)\]\.?)?(?P<key>\w*)[^:]*: (?P<why>.*)", re.DOTALL
)
_SHEETS: Final = {"steps": HANDBOOK} | {key: name for name, key in CHILDREN.items()}


def _tell(reading: _Reading, sheet: str, wrong: Sequence[str], rows: Mapping[str, Sequence[int]]) -> None:
    """Say what a form found wrong where the cell stands that it comes from; ``rows``: where the parts of its lists stand."""
    for fault in wrong:
        parts = _FAULT.fullmatch(fault)
        within = parts is not None and parts["list"] in rows
        place = _SHEETS[parts["of"]] if parts is not None and within else sheet
        number = rows[parts["list"]][int(parts["n"])] if parts is not None and within else rows[""][0]
        key, reason = ("", fault) if parts is None else (parts["key"], parts["why"])
        reading.bad(place, number, key, reason)


def _by_item(lines: Sequence[_Line]) -> dict[str, list[_Line]]:
    found: dict[str, list[_Line]] = {}
    for line in lines:
        found.setdefault(str(line.values.get("item")), []).append(line)
    return found
