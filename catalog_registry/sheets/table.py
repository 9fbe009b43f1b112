"""A sheet by its headings: found where people put them, cells under them, merged ones filled; what is wrong is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

from catalog_registry.brought import BadPlace, Faults
from catalog_registry.sheets.columns import Column, Headings, letters
from catalog_registry.sheets.grid import Merge, Sheet, Value
from catalog_registry.sheets.values import is_said

HEADING_ROWS: Final = 20
"""Headings stand in one of so many rows, under a title and the like."""
_MOST_HEADINGS: Final = 256
_Anchors = Mapping[tuple[int, int], tuple[int, int]]


class Table:
    """A sheet whose headings were found: ``places`` has the column of each key, from 0, that stands there once.

    Args:
        sheet: the sheet.
        headings: those that it may have.
        faults: where what is wrong is written down.
        enough: so many headings that are known make a row of headings.
    """

    def __init__(self, sheet: Sheet, headings: Headings, faults: Faults, *, enough: int = 1) -> None:
        self.sheet = sheet
        self.faults = faults
        self._rest = sheet.rows()
        self._head = [list(row) for row in islice(self._rest, HEADING_ROWS)]
        anchors = _anchors(sheet.merges)
        self._at = max(range(len(self._head)), key=lambda at: len(self._known(headings, at, anchors)[0]), default=0)
        columns, own = self._known(headings, self._at, anchors)
        self.found = len(columns) >= enough
        """Whether there is a row of headings at all."""
        self.places = self._check(headings, columns, own) if self.found else {}
        self.columns = {place: column for place, column in columns.items() if self.places.get(column.key) == place}
        self._headed_to = max(own, default=-1) + 1
        self._bare = [place for place in range(self._headed_to) if place not in own]
        self._marked = {at for at, _ in sheet.formulas | sheet.errors}
        self._waiting = sorted(sheet.merges, key=lambda merge: (-merge.first_row, -merge.first_column))
        self._open: dict[int, tuple[int, Value]] = {}

    def is_empty(self) -> bool:
        """Say whether nothing stands in a sheet without headings; its rows are gone then."""
        return not any(is_said(value) for row in chain(self._head, self._rest) for value in row)

    def missing(self, key: str, heading: str) -> None:
        """Tell that a heading is missing, unless it is there."""
        if key not in self.places:
            self.faults.add(BadPlace(f"the heading {heading} is missing", self.sheet.name, self._at + 1, heading=heading))

    def rows(self) -> Iterator[tuple[int, dict[str, Value], set[str]]]:
        """Yield the rows under the headings in which something stands: the number from 0, what it says by key, and the keys
        that have a fault already, as formulas and errors.
        """
        for at, row in enumerate(chain(self._head, self._rest)):
            if at > self._at:
                said, bad = self._row(at, row)
                if said or bad:
                    yield at, said, bad

    def tell(self, at: int, place: int | None, reason: str) -> None:
        """Write down what is wrong with a cell."""
        column = None if place is None else self.columns.get(place)
        self.faults.add(cell_fault(self.sheet.name, at, place, column, reason))

    def _known(self, headings: Headings, at: int, anchors: _Anchors) -> tuple[dict[int, Column], dict[int, str]]:
        """Return the known columns of a row of headings by their place, and all headings; one may begin in the row above."""
        known: dict[int, Column] = {}
        said: dict[int, str] = {}
        width = max((len(row) for row in self._head[: at + 1]), default=0)
        for place in range(width):
            own = _heading(self._head, at, place, anchors)
            above = _heading(self._head, at - 1, place, anchors) if at else ""
            if own == above:
                above = ""
            for text in (f"{above}{own}", own):
                if (column := headings.of(text)) is not None:
                    known[place] = column
                    break
            if own:
                said[place] = own
        return known, said

    def _check(self, headings: Headings, columns: Mapping[int, Column], own: Mapping[int, str]) -> dict[str, int]:
        """Return the place of each key, having told every heading that is unknown or doubled."""
        good: dict[str, int] = {}
        for place, heading in own.items():
            column = columns.get(place)
            if column is not None and column.key not in good:
                good[column.key] = place
                continue
            if column is None:
                reason, heading = headings.unknown(heading), heading[:40]
            else:
                reason = f"the heading {column.heading} stands there twice: in {letters(good[column.key])} as well"
                heading = column.heading
            self.faults.add(BadPlace(reason, self.sheet.name, self._at + 1, letters(place), heading))
        return good

    def _row(self, at: int, row: Sequence[Value]) -> tuple[dict[str, Value], set[str]]:
        """Return what a row says, and the keys that have a fault already."""
        self._merged(at, row)
        said: dict[str, Value] = {}
        bad: set[str] = set()
        for place, column in self.columns.items():
            value = row[place] if place < len(row) else None
            if place in self._open:
                value = self._open[place][1]
            if at not in self._marked:
                if is_said(value):
                    said[column.key] = value
            elif (at, place) in self.sheet.formulas:
                self.tell(at, place, "is a formula, and formulas are not evaluated: put its value there")
                bad.add(column.key)
            elif (at, place) in self.sheet.errors:
                self.tell(at, place, "is an error of the spreadsheet")
                bad.add(column.key)
            elif is_said(value):
                said[column.key] = value
        for place in (*self._bare, *range(self._headed_to, len(row))):
            if place < len(row) and is_said(row[place]):
                self.tell(at, place, "stands under no heading")
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
                self.tell(at, place, f"is merged over the columns {letters(place)} to {letters(merge.last_column)}")
            value = row[place] if merge.first_row == at and place < len(row) else None
            self._open[place] = (merge.last_row, value)


def _anchors(merges: Sequence[Merge]) -> dict[tuple[int, int], tuple[int, int]]:
    """Return the first cell of each merged one in the rows that headings may stand in, as many as there can be."""
    anchors: dict[tuple[int, int], tuple[int, int]] = {}
    for merge in merges:
        if merge.first_row >= HEADING_ROWS:
            continue
        for at in range(merge.first_row, min(merge.last_row + 1, HEADING_ROWS)):
            for place in range(merge.first_column, min(merge.last_column + 1, _MOST_HEADINGS)):
                anchors.setdefault((at, place), (merge.first_row, merge.first_column))
        if len(anchors) >= HEADING_ROWS * _MOST_HEADINGS:
            break
    return anchors


def _heading(head: Sequence[Sequence[Value]], at: int, place: int, anchors: _Anchors) -> str:
    at, place = anchors.get((at, place), (at, place))
    value = head[at][place] if at < len(head) and place < len(head[at]) else None
    return str(value).strip() if is_said(value) else ""


def cell_fault(sheet: str, row: int, place: int | None, column: Column | None, reason: str) -> BadPlace:
    """Return a fault at a cell, by its row and its place from 0; without a place, at the row."""
    where = None if place is None else letters(place)
    return BadPlace(reason, sheet, row + 1, where, None if column is None else column.heading)
