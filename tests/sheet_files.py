"""Spreadsheets for tests, as departments make them: rows of cells in a workbook or a .csv file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import xlsxwriter

from catalog_registry.catalogue_sheets import BY_KEY
from catalog_registry.catalogue_sheets_out import rows_of
from schemas.catalogue import CatalogueEntry
from schemas.catalogue_form import read_entry
from tests.catalogue_entry import entry_json

Cells = Sequence[Any]


def entry(**changes: Any) -> CatalogueEntry:
    """Return a good entry; a change to None takes a key out."""
    return read_entry(entry_json(**changes))


def headings() -> list[str]:
    """Return the headings of the template."""
    return [column.heading for key, column in BY_KEY.items() if key != "classification"]


def rows(name: str | None = "staff", **changes: Any) -> list[list[Any]]:
    """Return the rows of a resource, without headings."""
    made = [list(row) for row in rows_of("", entry(**changes))]
    for row in made:
        row[0] = name
    return made


def place(key: str) -> int:
    """Return the column of a key in the template, from 0."""
    return headings().index(BY_KEY[key].heading)


def workbook(
    cells: Iterable[Cells] | Mapping[str, Iterable[Cells]],
    *,
    merges: Sequence[tuple[int, int, int, int]] = (),
    more: Callable[[Any, Any], None] | None = None,
) -> io.BytesIO:
    """Return a workbook: rows of its sheet 目录, or of several by name. A text is a text, whatever it begins with.

    Args:
        cells: the rows.
        merges: first row, first column, last row, last column of cells that are one.
        more: called with the workbook and its first sheet.
    """
    sheets = cells if isinstance(cells, Mapping) else {"目录": cells}
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True, "default_date_format": "yyyy-mm-dd"}) as book:
        first = None
        for name, given in sheets.items():
            sheet = book.add_worksheet(name)
            first = first or sheet
            for at, row in enumerate(given):
                for column, value in enumerate(row):
                    if isinstance(value, str):
                        sheet.write_string(at, column, value)
                    elif value is not None:
                        sheet.write(at, column, value)
            for merge in merges if sheet is first else ():
                value = list(given)[merge[0]][merge[1]]
                sheet.merge_range(*merge, value)
        if more is not None:
            more(book, first)
    file.seek(0)
    return file


def csv_file(cells: Iterable[Cells], encoding: str = "utf-8") -> io.BytesIO:
    """Return a .csv file."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["" if value is None else value for value in row] for row in cells])
    return io.BytesIO(text.getvalue().encode(encoding))
