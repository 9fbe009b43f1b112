"""A spreadsheet of the catalogue → entries, and every cell that is wrong.

A resource takes as many rows as it has fields. What is said of the resource stands in each of them, in the first one, or in a
cell that is merged over all of them; people do all three. Sheets of instructions and examples of the template are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final

from catalog_registry.brought import BadPlace, Faults, GivenEntry
from catalog_registry.catalogue_sheets import BY_KEY, COLUMNS, HEADINGS, LEVELS, PASSED_OVER, WHOLE
from catalog_registry.naming import pinyin_name
from catalog_registry.sheets.columns import Column
from catalog_registry.sheets.grid import Sheet, Value, sheets_of
from catalog_registry.sheets.guard import Limits, refused
from catalog_registry.sheets.table import HEADING_ROWS, Table, cell_fault
from catalog_registry.sheets.values import plain_of, text_of
from schemas.catalogue_form import fault_parts, try_entry

_ENOUGH_HEADINGS: Final = 4
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")


@dataclass(frozen=True, slots=True)
class CellPlace:
    """Where an entry stands: its sheet, its rows from 0, one for each field, and the column of each key."""

    sheet: str
    rows: tuple[int, ...]
    columns: Mapping[str, int]

    def fault(self, key: str, reason: str, field: int | None = None) -> BadPlace:
        """Return a fault at the cell of a key; where its column is not there, at the row."""
        if field is not None:
            key = f"field.{key}"
        elif key == "fields":
            key = "field.name" if "field.name" in self.columns else "field.title"
        elif key == "classification" and key not in self.columns:
            key = LEVELS[0]
        row = self.rows[field] if field is not None and field < len(self.rows) else self.rows[0]
        return cell_fault(self.sheet, row, self.columns.get(key), BY_KEY.get(key), reason)


@dataclass
class Reading:
    """What a spreadsheet holds: entries that are right in themselves, what is wrong, and how many resources it names."""

    entries: list[GivenEntry] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    resources: int = 0


@dataclass(slots=True)
class _Open:
    """A resource whose rows are being read: the values of its cells, by key, and those of its fields."""

    sheet: str
    columns: Mapping[str, int]
    cells: dict[str, tuple[int, Value]] = field(default_factory=dict)
    fields: list[dict[str, Value]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    told: set[tuple[str, int | None]] = field(default_factory=set)
    """Keys whose value has a fault already, with the place of the field where they are one's."""
    wrong: int = 0
    """Faults of other kinds."""


def read_sheets(
    file: IO[bytes], *, limits: Limits | None = None, where: str = "<sheet>", workbook: bool | None = None
) -> Reading:
    """Return what a spreadsheet holds. Every cell that is wrong is told, with its sheet, row, column and reason.

    ``workbook``: it must be an .xlsx, or a .csv; None: whatever its content says.

    Raises:
        RejectedError: the file as a whole cannot be read: it is no spreadsheet, has macros, or is not safe to read.
    """
    reading = Reading()
    seen: dict[tuple[str, str], str] = {}
    any_sheet = False
    for sheet in sheets_of(file, limits or Limits(), lambda name: name not in PASSED_OVER, where=where, workbook=workbook):
        any_sheet |= _read_sheet(sheet, reading, seen)
    if not (any_sheet and reading.resources) and not reading.faults.count:
        raise refused("no sheet has a resource in it", "empty", where=where, remedy="fill in the template")
    return reading


def _read_sheet(sheet: Sheet, reading: Reading, seen: dict[tuple[str, str], str]) -> bool:
    """Read one sheet; False where nothing stands in it."""
    table = Table(sheet, HEADINGS, reading.faults, enough=_ENOUGH_HEADINGS)
    if not table.found:
        if table.is_empty():
            return False
        reason = f"its first {HEADING_ROWS} rows have no headings of the catalogue: use the template, or take the sheet out"
        reading.faults.add(BadPlace(reason, sheet=sheet.name))
        return True
    whole = WHOLE.key in table.places
    wanted = [column for column in COLUMNS if column.needed and not (whole and column.key in LEVELS)]
    for column in wanted:
        table.missing(column.key, column.heading)
    missing = {column.key for column in wanted if column.key not in table.places}
    for one in _resources(table, seen):
        reading.resources += 1
        _close(one, missing, reading)
    return True


def _resources(table: Table, seen: dict[tuple[str, str], str]) -> Iterator[_Open]:
    """Yield the resources of a sheet, each when its last row was read."""
    places, faults = table.places, table.faults
    of_resource = [column.key for column in table.columns.values() if not column.of_field]
    here: _Open | None = None
    for at, said, bad in table.rows():
        if here is None or _another(here, said):
            if here is not None:
                yield here
            here = _Open(table.sheet.name, places)
            _check_again(here, said, at, faults, seen)
        for key in of_resource:
            value = said.get(key)
            if value is None:
                continue
            if key not in here.cells:
                here.cells[key] = (at, value)
            elif text_of(here.cells[key][1]) != text_of(value):
                reason = f"is another one than in row {here.cells[key][0] + 1} of the same resource"
                table.tell(at, places[key], reason)
                here.wrong += 1
        for key in bad:
            here.told.add((key, len(here.rows)) if BY_KEY[key].of_field else (key, None))
        here.rows.append(at)
        here.fields.append({key: value for key, value in said.items() if BY_KEY[key].of_field})
    if here is not None:
        yield here


def _another(here: _Open, said: Mapping[str, Value]) -> bool:
    """Whether a row begins another resource: its name says so, else its code, else its title, or its provider's name."""
    for key in ("name", "code"):
        if key in said and (key, None) not in here.told:
            return key not in here.cells or text_of(said[key]) != text_of(here.cells[key][1])
    return any(key in said and key in here.cells and text_of(said[key]) != text_of(here.cells[key][1]) for key in _TITLED)


_TITLED: Final = ("title", "provider")


def _check_again(here: _Open, said: Mapping[str, Value], at: int, faults: Faults, seen: dict[tuple[str, str], str]) -> None:
    """Tell a name, a code, or a title of one provider that began a resource before."""
    provider = text_of(said.get("provider_code") or said.get("provider"))
    titled = "title" in said and "name" not in said and "code" not in said
    for key, text in (
        ("name", text_of(said.get("name"))),
        ("code", text_of(said.get("code"))),
        ("title", f"{text_of(said.get('title'))}\n{provider}" if titled else ""),
    ):
        if not text:
            continue
        before = seen.setdefault((key, text), f"{here.sheet} row {at + 1}")
        if before != f"{here.sheet} row {at + 1}":
            reason = f"began a resource at {before} already: the rows of a resource stand together, and each stands there once"
            faults.add(cell_fault(here.sheet, at, here.columns.get(key), BY_KEY[key], reason))
            here.wrong += 1


# Entries ------------------------------------------------------------------------------------------------------------------


def _close(one: _Open, missing: set[str], reading: Reading) -> None:
    """Make the entry of a resource whose rows were read, or tell what is wrong with it."""
    place = CellPlace(one.sheet, tuple(one.rows), one.columns)
    told = _Told(one, place, reading.faults, one.wrong + len(one.told), one.told)
    if any((level, None) in one.told for level in LEVELS):
        one.told.add((WHOLE.key, None))
    document: dict[str, Any] = {}
    for key, (at, value) in one.cells.items():
        document[key] = told.plain(BY_KEY[key], at, value)
    name = _name(document, told)
    _classified(document)
    document["fields"] = _fields(one, told)
    entry, wrong = try_entry({key: value for key, value in document.items() if value is not None})
    for text in wrong:
        key, number, reason = fault_parts(text)
        full = key if number is None else f"field.{key}"
        if full in missing or (key == "classification" and missing & set(LEVELS)):
            told.wrong += 1  # the missing heading is told once
        elif (full, number) not in told.keys:
            told.at(key, _in_sheet(reason), number)
    if entry is not None and not told.wrong:
        reading.entries.append(GivenEntry(name, entry, place))


@dataclass
class _Told:
    """Writes down what is wrong with the cells of one resource."""

    one: _Open
    place: CellPlace
    faults: Faults
    wrong: int
    keys: set[tuple[str, int | None]]

    def at(self, key: str, reason: str, number: int | None = None) -> None:
        """Tell a fault at a key."""
        self.wrong += 1
        self.keys.add((key if number is None else f"field.{key}", number))
        first = self.one.cells.get(key)
        if number is None and first is not None:
            column = self.one.columns.get(key)
            self.faults.add(cell_fault(self.one.sheet, first[0], column, BY_KEY.get(key), reason))
        else:
            self.faults.add(self.place.fault(key, reason, number))

    def plain(self, column: Column, at: int, value: Value, number: int | None = None) -> Any:
        """Return a cell's value as an entry's document has it; None and a fault where it can be none."""
        made, reason = plain_of(column, value)
        if reason:
            self.wrong += 1
            self.keys.add((column.key, number))
            self.faults.add(cell_fault(self.one.sheet, at, self.one.columns.get(column.key), column, reason))
        return made


def _name(document: dict[str, Any], told: _Told) -> str | None:
    name = document.pop("name", None)
    if name is not None and not _NAME.fullmatch(name):
        told.at("name", f"{name[:48]!r} is no name: a small letter, then at most 47 small letters, digits, underscores")
        return None
    return None if name is None else str(name)


def _classified(document: dict[str, Any]) -> None:
    """Write the four levels together; the whole one stands where it is given."""
    levels = [document.pop(key, None) for key in LEVELS]
    if "classification" not in document and levels[0] is not None:
        document["classification"] = "".join(level or "" for level in levels)


def _fields(one: _Open, told: _Told) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    names: set[str] = {str(cells["field.name"]).strip() for cells in one.fields if "field.name" in cells}
    first: dict[str, int] = {}
    for number, (at, cells) in enumerate(zip(one.rows, one.fields, strict=True)):
        plain = {key.removeprefix("field."): told.plain(BY_KEY[key], at, value, number) for key, value in cells.items()}
        if plain.get("name") is None and plain.get("title") is not None:
            plain["name"] = pinyin_name(str(plain["title"]), names, otherwise="field")
        name = plain.get("name")
        if name is not None and name in first:
            told.at("name", f"{name[:48]} is the field of row {first[name] + 1} as well", number)
            plain["name"] = None
            told.keys.add(("field.name", number))
        elif name is not None:
            names.add(name)
            first[name] = at
        made.append({key: value for key, value in plain.items() if value not in (None, False, [])})
    return made


_WORDS: Final = (("true or false", "是 or 否"), ("a list with at least one field", "at least one row with a 信息项"))


def _in_sheet(reason: str) -> str:
    """Return a reason in the words of a sheet."""
    for ours, theirs in _WORDS:
        reason = reason.replace(ours, theirs)
    return reason
