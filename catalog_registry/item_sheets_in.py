"""Reads a workbook of items, materials and handbooks. Every cell that is wrong is told with its sheet, row, column and reason.

It opens nothing but what it is given, looks at no network, and takes what a formula shows for no answer.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from catalog_registry.item_sheets import CHILDREN, COLUMNS, HANDBOOK, ITEMS, MAX_ROWS, CellFault, Column, SheetContents
from schemas.errors import Fault, RejectedError
from schemas.form import Form, choice, member
from schemas.handbook import KEYS as HANDBOOK_KEYS
from schemas.handbook import Handbook, handbook_of_form
from schemas.item import LimitUnit, ServiceItem
from schemas.item_form import KEYS as ITEM_KEYS
from schemas.item_form import item_of_form

MAX_BYTES: Final = 8 << 20
"""A workbook at most; unpacked it may have ``MAX_UNPACKED``."""
MAX_UNPACKED: Final = 128 << 20
MAX_TOLD: Final = 200
"""Faults that are told at most; how many more there are is told too."""

_WORDS: Final[Mapping[str, bool]] = {"是": True, "否": False, "1": True, "0": False}
_FORMULA: Final = re.compile(rb'<c r="([A-Z]{1,3}[0-9]{1,7})"[^>]*>\s*<f[ >/]')


@dataclass
class _Reading:
    """What is wrong with a workbook so far, one fault a cell; ``at``: where the columns of its sheets really stand."""

    faults: list[CellFault] = field(default_factory=list)
    at: dict[tuple[str, int], int] = field(default_factory=dict)
    _told: set[tuple[str, int, str]] = field(default_factory=set)

    def bad(self, sheet: str, row: int, place: int, reason: str) -> None:
        here = self.at.get((sheet, place))
        title = COLUMNS[sheet][place].title
        column = title if here is None else f"{_letters(here)} {title}"
        if (sheet, row, column) not in self._told:
            self._told.add((sheet, row, column))
            self.faults.append(CellFault(sheet, row, column, reason))


def read_workbook(content: bytes, *, where: str | None = None) -> SheetContents:
    """Return what a workbook says.

    Args:
        content: an .xlsx file.
        where: its name, for the refusal.

    Raises:
        RejectedError: it is no workbook, too large, or has none of the sheets (``sheet.file``); or cells are wrong
            (``sheet.cells``): ``cell_faults`` reads all of them, the message the first.
    """
    contents, faults = read_cells(content, where=where)
    if faults:
        raise refusal(faults, where)
    return contents


def refusal(faults: Sequence[CellFault], where: str | None) -> RejectedError:
    """Return the refusal of a workbook: every cell that is wrong, a line each, up to ``MAX_TOLD``."""
    told = [str(fault) for fault in faults[:MAX_TOLD]]
    more = f"; and {len(faults) - MAX_TOLD} more" if len(faults) > MAX_TOLD else ""
    count = "1 cell is wrong" if len(faults) == 1 else f"{len(faults)} cells are wrong"
    return RejectedError(
        f"{count}: {'; '.join(told)}{more}",
        code="sheet.cells",
        where=where,
        remedy="mend the cells and give the file again; nothing of it was taken over",
        fault=Fault.CLIENT,
    )


def read_cells(content: bytes, *, where: str | None = None) -> tuple[SheetContents, list[CellFault]]:
    """Return what a workbook says and every cell that is wrong. Raises ``RejectedError`` (``sheet.file``) where it is none."""
    tables = _tables(content, where)
    reading = _Reading()
    formulas = _formulas(content, tables)
    lines = {name: _lines(reading, name, rows, formulas.get(name, set())) for name, rows in tables.items()}
    items = _read_items(reading, lines.get(ITEMS, []), {name: lines.get(name, []) for name in CHILDREN})
    handbooks = _read_handbooks(reading, lines.get(HANDBOOK, []))
    order = {name: place for place, name in enumerate(COLUMNS)}
    reading.faults.sort(key=lambda fault: (order[fault.sheet], fault.row))
    return SheetContents(items, handbooks), reading.faults


@dataclass(frozen=True, slots=True)
class _Line:
    """A row that has something: its values by key, and its number."""

    row: int
    values: dict[str, Any]


def _tables(content: bytes, where: str | None) -> dict[str, list[list[Any]]]:
    import python_calamine

    def wrong(why: str) -> RejectedError:
        return RejectedError(
            why, code="sheet.file", where=where, remedy="begin with onedoor item template -o items.xlsx", fault=Fault.CLIENT
        )

    if len(content) > MAX_BYTES:
        raise wrong(f"the file is above {MAX_BYTES >> 20} MiB")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED:
                raise wrong(f"the file is above {MAX_UNPACKED >> 20} MiB once it is unpacked")
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        names = [name for name in COLUMNS if name in book.sheet_names]
        if not names:
            raise wrong(f"the workbook has none of the sheets {', '.join(COLUMNS)}")
        found = {}
        for name in names:
            sheet = book.get_sheet_by_name(name)
            if sheet.total_height > MAX_ROWS + 1:
                raise wrong(f"sheet {name} has more than {MAX_ROWS} rows")
            found[name] = sheet.to_python(skip_empty_area=False)
        return found
    except (zipfile.BadZipFile, python_calamine.CalamineError, NotImplementedError, OSError) as error:
        raise wrong("the file is no .xlsx workbook") from error


def _formulas(content: bytes, tables: Mapping[str, Any]) -> dict[str, set[tuple[int, int]]]:
    """Return the places of formulas, by sheet: what one shows is what a program thought last, and no answer of a person."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        try:
            book = archive.read("xl/workbook.xml").decode("utf-8", "replace")
            targets = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8", "replace")
        except KeyError:
            return {}
        found: dict[str, set[tuple[int, int]]] = {}
        for tag in re.findall(r"<sheet [^>]*>", book):
            name, ident = re.search(r'name="([^"]*)"', tag), re.search(r'r:id="([^"]*)"', tag)
            relation = None if ident is None else re.search(rf'<Relationship [^>]*Id="{re.escape(ident[1])}"[^>]*>', targets)
            target = None if relation is None else re.search(r'Target="/?(?:xl/)?([^"]*)"', relation[0])
            if name is None or target is None or name[1] not in tables:
                continue
            path = f"xl/{target[1]}"
            if path in archive.namelist():
                found[name[1]] = {_place(cell.decode()) for cell in _FORMULA.findall(archive.read(path))}
        return found


def _place(cell: str) -> tuple[int, int]:
    letters = cell.rstrip("0123456789")
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - 64
    return int(cell[len(letters) :]), place - 1


def _letters(place: int) -> str:
    text, place = "", place + 1
    while place:
        place, rest = divmod(place - 1, 26)
        text = chr(65 + rest) + text
    return text


def _lines(reading: _Reading, name: str, rows: list[list[Any]], formulas: set[tuple[int, int]]) -> list[_Line]:
    """Return the rows of a sheet by the keys of its columns, which may stand in any order."""
    if not rows:
        return []
    columns = {column.title: (place, column) for place, column in enumerate(COLUMNS[name])}
    placed: list[tuple[int, int, Column]] = []
    for at, title in enumerate(rows[0]):
        text = _text(title)
        if text in columns:
            placed.append((at, *columns[text]))
            reading.at[name, columns[text][0]] = at
        elif text:
            reading.faults.append(CellFault(name, 1, f"{_letters(at)} {text[:20]}", "there is no such column"))
    missing = [c.title for _, c in columns.values() if c.needed and c.title not in {p[2].title for p in placed}]
    reading.faults += [CellFault(name, 1, title, "the column is missing") for title in missing]
    lines = []
    for number, row in enumerate(rows[1:], start=2):
        if missing or not any(_text(value) for value in row):
            continue
        values: dict[str, Any] = {}
        for at, place, column in placed:

            def bad(reason: str, number: int = number, place: int = place) -> None:
                reading.bad(name, number, place, reason)

            if (number, at) in formulas:
                bad("is a formula: put in what it shows")
                continue
            _take(values, column, row[at] if at < len(row) else None, bad)
        lines.append(_Line(number, values))
    return lines


def _take(values: dict[str, Any], column: Column, value: Any, bad: Callable[[str], None]) -> None:
    """Put a cell's value under its key; say what is wrong with it."""
    text = _text(value)
    if not text:
        if column.needed:
            bad("is empty")
        return
    if column.kind == "unit":
        found = member(text, LimitUnit)
        if found is None:
            bad(f"{text[:20]!r} is not one of {choice(LimitUnit)}")
        else:
            values.setdefault(column.key, {})["unit"] = found.value
    elif column.kind in ("whole", "limit"):
        if not re.fullmatch(r"[0-9]{1,9}", text):
            bad(f"{text[:20]!r} is no whole number")
        elif column.kind == "whole":
            values[column.key] = int(text)
        else:
            values.setdefault(column.key, {})["number"] = int(text)
    elif column.kind == "flag":
        if text not in _WORDS:
            bad(f"{text[:20]!r} is neither 是 nor 否")
        else:
            values[column.key] = _WORDS[text]
    elif column.kind == "day":
        day = value.date() if isinstance(value, datetime) else value
        values[column.key] = day.isoformat() if isinstance(day, date) else text
    elif column.kind == "texts":
        values[column.key] = [line.strip() for line in text.splitlines() if line.strip()]
    elif column.of is not None:
        coded = member(text, column.of)
        if coded is None:
            bad(f"{text[:20]!r} is not one of {choice(column.of)}")
        else:
            values[column.key] = coded.value
    else:
        values[column.key] = text


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else ("1" if value else "0")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


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
            reading.bad(ITEMS, line.row, 0, f"{code} stands there twice")
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
                    reading.bad(name, line.row, 0, f"sheet {ITEMS} has no item {code[:40]}")
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
            reading.bad(HANDBOOK, rows[0].row, 1, "the lines of one item name several versions of its handbook")
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
        at = next((i for i, column in enumerate(COLUMNS[place]) if column.key == key), 0)
        reading.bad(place, number, at, reason)


def _by_item(lines: Sequence[_Line]) -> dict[str, list[_Line]]:
    found: dict[str, list[_Line]] = {}
    for line in lines:
        found.setdefault(str(line.values.get("item")), []).append(line)
    return found
