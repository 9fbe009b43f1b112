"""Writing workbooks: headings with drop-downs, rows of texts and numbers.

Every text is written as a text, whatever it begins with: nothing that one registered is ever a formula in another's Excel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, Final

from catalog_registry.sheets.columns import Column, Kind
from catalog_registry.sheets.guard import refused

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_ROWS: Final = 1_048_575
"""Rows of a sheet at most, under its headings."""
_MOST_CHARACTERS: Final = 32_767
_FILLED_ROWS: Final = 5_000
"""Rows that have drop-downs."""
_PLAIN: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "default_date_format": "yyyy-mm-dd",
}
FLAGS: Final = {True: "是", False: "否"}

Cell = str | int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """What a column takes besides its kind: whole numbers from ``least``, to ``most`` where there is one."""

    least: int
    most: int | None = None


@contextmanager
def written(out: Path | IO[bytes]) -> Iterator[Book]:
    """Write a workbook: into a file, or over one. Memory does not grow with its rows; the same content is the same bytes."""
    import xlsxwriter

    if isinstance(out, Path):
        with out.open("wb") as file, written(file) as book:
            yield book
        return
    with xlsxwriter.Workbook(out, _PLAIN) as made:
        made.set_properties({"created": datetime(2026, 1, 1)})  # noqa: DTZ001 - the file's own form
        yield Book(made)


class Book:
    """A workbook that is being written."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self.bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        self.plain = book.add_format({"text_wrap": True, "valign": "top"})
        self._text = book.add_format({"num_format": "@"})
        self._looks = {
            (needed, of_field): book.add_format(
                {
                    "bold": True,
                    "text_wrap": True,
                    "valign": "top",
                    "border": 1,
                    "bg_color": "#E2EFDA" if of_field else "#DDEBF7",
                    "font_color": "#C00000" if needed else "#000000",
                }
            )
            for needed in (True, False)
            for of_field in (True, False)
        }

    def free(self, name: str) -> Any:
        """Return a sheet to be written cell by cell."""
        return self._book.add_worksheet(name)

    def table(self, name: str, columns: Sequence[Column], *, wide: Sequence[str] = (), noted: bool = False) -> Rows:
        """Return a sheet with headings, to be written row by row. ``wide``: keys of wide columns; ``noted``: with comments."""
        sheet = self._book.add_worksheet(name)
        for place, column in enumerate(columns):
            textual = column.kind not in (Kind.NUMBER, Kind.DAY)
            sheet.set_column(place, place, 30 if column.key in wide else 16, self._text if textual else None)
        for place, column in enumerate(columns):
            sheet.write_string(0, place, column.heading, self._looks[column.needed, column.of_field])
            told = ("必填。" if column.needed else "") + column.zh
            if noted and told:
                sheet.write_comment(0, place, told)
        sheet.freeze_panes(1, 0)
        return Rows(sheet, name, columns)


class Rows:
    """A sheet that is written row by row, each value by its column."""

    def __init__(self, sheet: Any, name: str, columns: Sequence[Column]) -> None:
        self._sheet = sheet
        self._name = name
        self._columns = columns
        self._at = 0

    def add(self, row: Sequence[Cell], *, of: str | None = None) -> None:
        """Write a row; ``of``: what it is of, for a refusal.

        Raises:
            RejectedError: a text is longer than a cell holds (``sheet.cell``), or there are too many rows (``sheet.rows``).
        """
        self._at += 1
        if self._at > MOST_ROWS:
            remedy = "name what is to be written, or choose another format"
            raise refused(
                f"{self._name} takes more than the {MOST_ROWS + 1} rows of a sheet", "rows", where=None, remedy=remedy
            )
        for place, value in enumerate(row):
            if isinstance(value, int):
                self._sheet.write_number(self._at, place, value)
            elif value is not None:
                if len(value) > _MOST_CHARACTERS:
                    heading = self._columns[place].heading
                    raise refused(
                        f"{heading} of {of} has {len(value)} characters, and a cell holds {_MOST_CHARACTERS}",
                        "cell",
                        where=of,
                        remedy="choose another format",
                    )
                self._sheet.write_string(self._at, place, value)

    def choices(self, rules: Mapping[str, Rule] = {}) -> None:
        """Give the columns drop-downs of what they take, and say what to fill in. ``rules``: of numbers, by key."""
        for place, column in enumerate(self._columns):
            if (rule := _rule(column, rules.get(column.key))) is not None:
                words = {"input_title": column.heading[:32], "error_title": column.heading[:32]}
                words |= {"input_message": column.zh[:255]} if column.zh else {}
                self._sheet.data_validation(1, place, _FILLED_ROWS, place, rule | words)


def _rule(column: Column, number: Rule | None) -> dict[str, Any] | None:
    if column.kind is Kind.CODED and column.values is not None:
        return {"validate": "list", "source": [one.zh for one in column.values]}
    if column.kind is Kind.FLAG:
        return {"validate": "list", "source": list(FLAGS.values())}
    if column.kind is Kind.DAY:
        return {"validate": "date", "criteria": ">=", "value": date(1949, 10, 1)}
    if number is not None and number.most is not None:
        return {"validate": "integer", "criteria": "between", "minimum": number.least, "maximum": number.most}
    return None if number is None else {"validate": "integer", "criteria": ">=", "value": number.least}


def shown(column: Column, value: Any) -> Cell:
    """Return a document's value as its cell shows it; the inverse of ``values.plain_of``."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, bool):
        return FLAGS[value]
    if isinstance(value, list):
        return ("\n" if column.kind is Kind.LINES else "、").join(value)
    if column.kind is Kind.CODED and column.values is not None:
        return next((one.zh for one in column.values if value in (one.value, one.zh)), str(value))
    return str(value)
