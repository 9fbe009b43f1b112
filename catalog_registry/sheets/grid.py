"""Sheets as rows of values, whatever file they came in: .xlsx, or .csv in UTF-8 or GB18030."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import IO, Final

from catalog_registry.sheets.guard import Limits, kind_of, look_through, refused

Value = str | int | float | bool | date | datetime | time | timedelta | None
"""What stands in a cell; None: nothing."""

CSV_SHEET: Final = "CSV"
"""What the only sheet of a .csv file is called."""

_MOST_CELL_CHARACTERS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Merge:
    """Cells that are one, from 0, both ends included."""

    first_row: int
    first_column: int
    last_row: int
    last_column: int


@dataclass(frozen=True)
class Sheet:
    """A sheet: its rows from the first one on, each as far as it goes; its cells, from 0, that are formulas or errors."""

    name: str
    rows: Callable[[], Iterator[Sequence[Value]]]
    merges: Sequence[Merge] = ()
    formulas: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    errors: frozenset[tuple[int, int]] = field(default_factory=frozenset)


def sheets_of(
    file: IO[bytes], limits: Limits, wanted: Callable[[str], bool], *, where: str, workbook: bool | None = None
) -> Iterator[Sheet]:
    """Yield the sheets of a spreadsheet that are wanted by their names. Formulas are never evaluated.

    ``workbook``: it must be an .xlsx, or a .csv; None: whatever its content says.

    Raises:
        RejectedError: it is none, or not safe to read (``sheet.…``).
    """
    kind = kind_of(file, where=where)
    if workbook and kind != "xlsx":
        raise refused("that is no .xlsx workbook, whatever its name is", "form", where=where, remedy="save it as .xlsx")
    if kind == "csv":
        yield _csv_sheet(file, limits, where)
        return
    looked = look_through(file, limits, wanted, where=where)
    from python_calamine import CalamineError, CalamineWorkbook

    file.seek(0)
    try:
        with CalamineWorkbook.from_filelike(file) as book:
            for name in book.sheet_names:
                if not wanted(name):
                    continue
                if name not in looked:
                    raise refused("the workbook names its sheets in two ways", "form", where=where)
                sheet = book.get_sheet_by_name(name)
                merges = [Merge(*first, *last) for first, last in sheet.merged_cell_ranges or () if first != last]
                top, left = sheet.start or (0, 0)

                def rows(top: int = top, left: int = left, sheet: object = sheet) -> Iterator[Sequence[Value]]:
                    for _ in range(top):
                        yield ()
                    before = [None] * left
                    for row in sheet.iter_rows():  # type: ignore[attr-defined]
                        yield [*before, *(None if value == "" else value for value in row)]

                yield Sheet(name, rows, merges, frozenset(looked[name].formulas), frozenset(looked[name].errors))
    except CalamineError as error:
        raise refused(
            "that is no .xlsx workbook: a part of it is broken", "form", where=where, remedy="save it again as .xlsx"
        ) from error


def _csv_sheet(file: IO[bytes], limits: Limits, where: str) -> Sheet:
    data = file.read(limits.file_bytes + 1)
    if len(data) > limits.file_bytes:
        raise refused(f"the file is above {limits.file_bytes >> 20} MiB", "size", where=where, remedy="split it")
    text = _decoded(data, where)
    formulas: set[tuple[int, int]] = set()
    for _ in _csv_rows(text, limits, where, formulas):
        pass  # once through: a file with a broken line is refused whole, before anything is read
    return Sheet(CSV_SHEET, lambda: _csv_rows(text, limits, where, set()), (), frozenset(formulas))


def _decoded(data: bytes, where: str) -> str:
    """Return the text of a .csv file: UTF-8 with or without its mark, else GB18030."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in data:
        raise refused(
            "that is no .csv file in UTF-8 or GB18030",
            "encoding",
            where=where,
            remedy="save it as CSV UTF-8, or as .xlsx",
        )
    coding = "utf-8-sig" if _is_utf8(data) else "gb18030"
    try:
        return data.decode(coding)
    except UnicodeDecodeError as error:
        raise refused(
            f"the file is neither UTF-8 nor GB18030, by its byte {error.start + 1}",
            "encoding",
            where=where,
            remedy="save it as CSV UTF-8, or as .xlsx",
        ) from error


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _csv_rows(text: str, limits: Limits, where: str, formulas: set[tuple[int, int]]) -> Iterator[Sequence[Value]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    number = 0
    try:
        for number, row in enumerate(reader, start=1):
            if number > limits.rows:
                raise refused(f"the file has more than {limits.rows} rows", "rows", where=where, remedy="split it")
            if len(row) > limits.columns:
                raise refused(f"row {number} has more than {limits.columns} cells", "columns", where=where)
            for place, value in enumerate(row):
                if len(value) > _MOST_CELL_CHARACTERS:
                    raise refused(f"row {number} has a cell above {_MOST_CELL_CHARACTERS} characters", "cell", where=where)
                if value.startswith("="):
                    formulas.add((number - 1, place))
            yield [value.strip() or None for value in row]
    except csv.Error as error:
        raise refused(
            f"line {reader.line_num}, row {number + 1}, is broken: a quotation mark is missing or misplaced",
            "csv",
            where=where,
            remedy="save it again as CSV, or as .xlsx",
        ) from error
