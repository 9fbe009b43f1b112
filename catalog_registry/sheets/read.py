"""A spreadsheet of the catalogue → entries, and every cell that is wrong.

A resource takes as many rows as it has fields. What is said of the resource stands in each of them, in the first one, or in a
cell that is merged over all of them; people do all three. Sheets of instructions and examples of the template are passed over.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import IO, Any, Final

from catalog_registry.brought import BadPlace, Faults, GivenEntry
from catalog_registry.naming import pinyin_name
from catalog_registry.sheets.columns import (
    BY_KEY,
    COLUMNS,
    HEADINGS,
    LEVELS,
    WHOLE,
    Column,
    Kind,
    letters,
    near,
    normal,
)
from catalog_registry.sheets.grid import Merge, Sheet, Value, sheets_of
from catalog_registry.sheets.guard import Limits, kind_of, refused
from schemas.catalogue import Coded
from schemas.catalogue_form import fault_parts, try_entry

HELP_SHEET: Final = "填写说明 Instructions"
EXAMPLE_SHEET: Final = "示例 Example"
VALUES_SHEET: Final = "选项 Values"
PASSED_OVER: Final = frozenset({HELP_SHEET, EXAMPLE_SHEET, VALUES_SHEET})
"""Sheets of the template that hold no resources."""

_HEADING_ROWS: Final = 20
"""Headings stand in one of so many rows, under a title and the like."""
_ENOUGH_HEADINGS: Final = 4
_MOST_HEADINGS: Final = 256
_EXACT_DIGITS: Final = 15
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_BETWEEN: Final = re.compile(r"[、,，;；\s]+")
_BETWEEN_WAYS: Final = re.compile(r"[、,，;；/／\s]+")
_DAY: Final = re.compile(r"([0-9]{4})(?:[-/.年])([0-9]{1,2})(?:[-/.月])([0-9]{1,2})日?")
_COMPACT_DAY: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_YES: Final = frozenset({"是", "y", "yes", "true", "1", "√", "开放"})
_NO: Final = frozenset({"否", "n", "no", "false", "0", "×", "不开放"})


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
        return _cell(self.sheet, row, self.columns.get(key), BY_KEY.get(key), reason)


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
    if workbook and kind_of(file, where=where) != "xlsx":
        raise refused("that is no .xlsx workbook, whatever its name is", "form", where=where, remedy="save it as .xlsx")
    for sheet in sheets_of(file, limits or Limits(), lambda name: name not in PASSED_OVER, where=where):
        any_sheet |= _read_sheet(sheet, reading, seen)
    if not (any_sheet and reading.resources) and not reading.faults.count:
        raise refused("no sheet has a resource in it", "empty", where=where, remedy="fill in the template")
    return reading


# Headings -----------------------------------------------------------------------------------------------------------------


def _read_sheet(sheet: Sheet, reading: Reading, seen: dict[tuple[str, str], str]) -> bool:
    """Read one sheet; False where nothing stands in it."""
    rows = sheet.rows()
    head = [list(row) for row in islice(rows, _HEADING_ROWS)]
    if not any(_said(value) for row in head for value in row):
        rest = next((True for row in rows if any(_said(value) for value in row)), False)
        if not rest:
            return False
    anchors = _anchors(sheet.merges)
    found = max(range(len(head)), key=lambda at: len(_headings(head, at, anchors)[0]), default=0)
    columns, own = _headings(head, found, anchors)
    if len(columns) < _ENOUGH_HEADINGS:
        reading.faults.add(
            BadPlace(
                f"its first {_HEADING_ROWS} rows have no headings of the catalogue: use the template, or take the sheet out",
                sheet=sheet.name,
            )
        )
        return True
    good = _check_headings(sheet, found, columns, own, reading.faults)
    by_place = {place: column for place, column in columns.items() if good.get(column.key) == place}
    values = _Cells(sheet, by_place, set(own), reading.faults)
    data = ((at, row) for at, row in enumerate(_chained(head, rows)) if at > found)
    missing = {column.key for column in COLUMNS if column.needed and column.key not in good}
    if WHOLE.key in good:
        missing -= set(LEVELS)
    for one in _resources(values, data, good, reading.faults, seen):
        reading.resources += 1
        _close(one, missing, reading)
    return True


def _chained(head: Sequence[Sequence[Value]], rows: Iterator[Sequence[Value]]) -> Iterator[Sequence[Value]]:
    yield from head
    yield from rows


def _anchors(merges: Sequence[Merge]) -> dict[tuple[int, int], tuple[int, int]]:
    """Return the first cell of each merged one in the rows that headings may stand in, as many as there can be."""
    anchors: dict[tuple[int, int], tuple[int, int]] = {}
    for merge in merges:
        if merge.first_row >= _HEADING_ROWS:
            continue
        for at in range(merge.first_row, min(merge.last_row + 1, _HEADING_ROWS)):
            for place in range(merge.first_column, min(merge.last_column + 1, _MOST_HEADINGS)):
                anchors.setdefault((at, place), (merge.first_row, merge.first_column))
        if len(anchors) >= _HEADING_ROWS * _MOST_HEADINGS:
            break
    return anchors


Anchors = Mapping[tuple[int, int], tuple[int, int]]


def _headings(head: Sequence[Sequence[Value]], at: int, anchors: Anchors) -> tuple[dict[int, Column], dict[int, str]]:
    """Return the known columns of a row of headings by their place, and all headings; one may begin in the row above."""
    known: dict[int, Column] = {}
    said: dict[int, str] = {}
    width = max((len(row) for row in head[: at + 1]), default=0)
    for place in range(width):
        own = _heading(head, at, place, anchors)
        above = _heading(head, at - 1, place, anchors) if at else ""
        if own == above:
            above = ""
        for text in (f"{above}{own}", own):
            if (column := HEADINGS.get(normal(text))) is not None:
                known[place] = column
                break
        if own:
            said[place] = own
    return known, said


def _heading(head: Sequence[Sequence[Value]], at: int, place: int, anchors: Anchors) -> str:
    at, place = anchors.get((at, place), (at, place))
    value = head[at][place] if at < len(head) and place < len(head[at]) else None
    return str(value).strip() if _said(value) else ""


def _check_headings(
    sheet: Sheet, at: int, columns: Mapping[int, Column], own: Mapping[int, str], faults: Faults
) -> dict[str, int]:
    """Return the place of each key, having told every heading that is unknown, doubled or missing."""
    good: dict[str, int] = {}
    for place, heading in own.items():
        column = columns.get(place)
        if column is None:
            reason = f"{heading[:40]!r} is no heading of the catalogue{near(heading)}"
            faults.add(BadPlace(reason, sheet.name, at + 1, letters(place), heading[:40]))
        elif column.key in good:
            reason = f"the heading {column.heading} stands there twice: in {letters(good[column.key])} as well"
            faults.add(BadPlace(reason, sheet.name, at + 1, letters(place), column.heading))
        else:
            good[column.key] = place
    whole = WHOLE.key in good
    for column in COLUMNS:
        if column.needed and column.key not in good and not (whole and column.key in LEVELS):
            faults.add(BadPlace(f"the heading {column.heading} is missing", sheet.name, at + 1, heading=column.heading))
    return good


# Cells --------------------------------------------------------------------------------------------------------------------


class _Cells:
    """The values of rows by key, merged cells filled downwards; formulas and cells merged sideways are told."""

    def __init__(self, sheet: Sheet, columns: Mapping[int, Column], headed: set[int], faults: Faults) -> None:
        self.sheet = sheet
        self.columns = columns
        self.faults = faults
        self._headed_to = max(headed, default=-1) + 1
        self._bare = [place for place in range(self._headed_to) if place not in headed]
        self._marked = {at for at, _ in sheet.formulas | sheet.errors}
        self._waiting = sorted(sheet.merges, key=lambda merge: (-merge.first_row, -merge.first_column))
        self._open: dict[int, tuple[int, Value]] = {}

    def of(self, at: int, row: Sequence[Value]) -> tuple[dict[str, Value], set[str]]:
        """Return what a row says, and the keys that have a fault already."""
        self._merged(at, row)
        said: dict[str, Value] = {}
        bad: set[str] = set()
        for place, column in self.columns.items():
            value = row[place] if place < len(row) else None
            if place in self._open:
                value = self._open[place][1]
            if at not in self._marked:
                if _said(value):
                    said[column.key] = value
            elif (at, place) in self.sheet.formulas:
                self._tell(at, place, "is a formula, and formulas are not evaluated: put its value there")
                bad.add(column.key)
            elif (at, place) in self.sheet.errors:
                self._tell(at, place, "is an error of the spreadsheet")
                bad.add(column.key)
            elif _said(value):
                said[column.key] = value
        for place in (*self._bare, *range(self._headed_to, len(row))):
            if place < len(row) and _said(row[place]):
                self._tell(at, place, "stands under no heading")
        return said, bad

    def _merged(self, at: int, row: Sequence[Value]) -> None:
        """Open the merged cells that begin here, and close those that ended above."""
        for place in [place for place, (last, _) in self._open.items() if last < at]:
            del self._open[place]
        while self._waiting and self._waiting[-1].first_row <= at:
            merge = self._waiting.pop()
            if merge.last_row < at:
                continue
            place = merge.first_column
            if merge.last_column > place and any(place <= here <= merge.last_column for here in self.columns):
                self._tell(at, place, f"is merged over the columns {letters(place)} to {letters(merge.last_column)}")
            value = row[place] if merge.first_row == at and place < len(row) else None
            self._open[place] = (merge.last_row, value)

    def _tell(self, at: int, place: int, reason: str) -> None:
        self.faults.add(_cell(self.sheet.name, at, place, self.columns.get(place), reason))


def _resources(
    cells: _Cells,
    data: Iterable[tuple[int, Sequence[Value]]],
    places: Mapping[str, int],
    faults: Faults,
    seen: dict[tuple[str, str], str],
) -> Iterator[_Open]:
    """Yield the resources of a sheet, each when its last row was read."""
    name = cells.sheet.name
    of_resource = [column.key for column in cells.columns.values() if not column.of_field]
    here: _Open | None = None
    for at, row in data:
        said, bad = cells.of(at, row)
        if not said and not bad:
            continue
        if here is None or _another(here, said):
            if here is not None:
                yield here
            here = _Open(name, places)
            _check_again(here, said, at, faults, seen)
        for key in of_resource:
            value = said.get(key)
            if value is None:
                continue
            if key not in here.cells:
                here.cells[key] = (at, value)
            elif _same(here.cells[key][1]) != _same(value):
                reason = f"is another one than in row {here.cells[key][0] + 1} of the same resource"
                faults.add(_cell(name, at, places[key], BY_KEY[key], reason))
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
            return key not in here.cells or _same(said[key]) != _same(here.cells[key][1])
    return any(key in said and key in here.cells and _same(said[key]) != _same(here.cells[key][1]) for key in _TITLED)


_TITLED: Final = ("title", "provider")


def _check_again(here: _Open, said: Mapping[str, Value], at: int, faults: Faults, seen: dict[tuple[str, str], str]) -> None:
    """Tell a name, a code, or a title of one provider that began a resource before."""
    provider = _same(said.get("provider_code") or said.get("provider"))
    titled = "title" in said and "name" not in said and "code" not in said
    for key, text in (
        ("name", _same(said.get("name"))),
        ("code", _same(said.get("code"))),
        ("title", f"{_same(said.get('title'))}\n{provider}" if titled else ""),
    ):
        if not text:
            continue
        before = seen.setdefault((key, text), f"{here.sheet} row {at + 1}")
        if before != f"{here.sheet} row {at + 1}":
            reason = f"began a resource at {before} already: the rows of a resource stand together, and each stands there once"
            faults.add(_cell(here.sheet, at, here.columns.get(key), BY_KEY[key], reason))
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
            self.faults.add(_cell(self.one.sheet, first[0], column, BY_KEY.get(key), reason))
        else:
            self.faults.add(self.place.fault(key, reason, number))

    def plain(self, column: Column, at: int, value: Value, number: int | None = None) -> Any:
        """Return a cell's value as an entry's document has it; None and a fault where it can be none."""
        made, reason = _plain(column, value)
        if reason:
            self.wrong += 1
            self.keys.add((column.key, number))
            self.faults.add(_cell(self.one.sheet, at, self.one.columns.get(column.key), column, reason))
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


# Values -------------------------------------------------------------------------------------------------------------------


def _plain(column: Column, value: Value) -> tuple[Any, str]:
    """Return a value as an entry's document has it, and what is wrong with it."""
    match column.kind:
        case Kind.FLAG:
            word = _text(value).casefold()
            if word not in _YES | _NO:
                return None, f"{word[:40]!r} is neither 是 nor 否"
            return word in _YES, ""
        case Kind.DAY:
            return _day(value)
        case Kind.NUMBER:
            return _number(value)
        case Kind.CODED:
            return _coded(_text(value), column.values), ""
        case Kind.LIST:
            if isinstance(value, int | float) and not isinstance(value, bool) and len(_text(value)) > _EXACT_DIGITS:
                return None, _AS_TEXT
            parts = (_BETWEEN if column.values is None else _BETWEEN_WAYS).split(_text(value))
            return [_coded(part, column.values) for part in parts if part], ""
        case Kind.DIGITS:
            return _digits(column, value)
        case _:
            return _text(value), ""


_AS_TEXT: Final = "is kept as a number, which loses zeros in front and digits above 15: make the cell a text"


def _digits(column: Column, value: Value) -> tuple[Any, str]:
    text = _text(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and (len(text) > _EXACT_DIGITS or column.key == "detail"):
        return None, _AS_TEXT
    text = unicodedata.normalize("NFKC", text)
    return (text.zfill(column.padded) if text.isdigit() else text), ""


def _number(value: Value) -> tuple[Any, str]:
    text = unicodedata.normalize("NFKC", _text(value))
    return (int(text), "") if re.fullmatch(r"[0-9]{1,12}", text) else (None, f"{text[:40]!r} is no whole number")


def _day(value: Value) -> tuple[Any, str]:
    if isinstance(value, datetime):
        return value.date().isoformat(), ""
    if isinstance(value, date):
        return value.isoformat(), ""
    text = unicodedata.normalize("NFKC", _text(value))
    found = _DAY.fullmatch(text.partition(" ")[0]) or _COMPACT_DAY.fullmatch(text)
    iso = "" if found is None else f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}"
    try:
        return date.fromisoformat(iso).isoformat(), ""
    except ValueError:
        return None, f"{text[:40]!r} is no day: 2026-10-08"


def _coded(text: str, kind: type[Coded] | None) -> str:
    """Return a value without the word behind its code: ``2`` of ``2 有条件共享``."""
    if kind is None:
        return text
    return next((one.value for one in kind if text in (one.value, one.zh, one.told, f"{one.value}{one.zh}")), text)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value).strip()


def _said(value: Value) -> bool:
    return value is not None and (not isinstance(value, str) or bool(value.strip()))


def _same(value: Value) -> str:
    return "" if value is None else _text(value)


def _cell(sheet: str, row: int, column: int | None, head: Column | None, reason: str) -> BadPlace:
    return BadPlace(reason, sheet, row + 1, None if column is None else letters(column), None if head is None else head.heading)
