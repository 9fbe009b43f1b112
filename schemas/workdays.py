"""Working days 工作日 of China: Monday to Friday without the days off, and with the make-up days, of the yearly notice.

The notices of the State Council up to the last one known at the release are shipped as a table, ``schemas/data/workdays.csv``.
Of a year without a notice nobody can say which Saturdays will be worked: its holidays are expected by the ``holidays`` library,
and every answer about its days is provisional.

A table is UTF-8 with the head ``date,kind`` or ``date,kind,agreed``. Each line names a day, ``2026-10-10``, that differs from
Monday to Friday, and its kind, ``work`` or ``rest``; a day that does not differ may stand in it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from schemas.errors import Fault, RejectedError

if TYPE_CHECKING:
    from holidays import HolidayBase

_SHIPPED: Final = Path(__file__).parent / "data" / "workdays.csv"
_HEADS: Final = ("date,kind", "date,kind,agreed")
_KINDS: Final = {"work": True, "rest": False}
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Calendar:
    """Which days are worked. ``named`` holds the days that a notice names, true where they are worked."""

    named: Mapping[date, bool]

    @classmethod
    def of(cls, path: Path) -> Calendar:
        """Return the calendar of one table.

        Raises:
            RejectedError: code ``workdays.table``; the message has every bad line, one a line, as ``line N: …``. Or the file
                cannot be read.
        """
        return cls(_named(_read(path), str(path)))

    def and_notice(self, notice: Calendar) -> Calendar:
        """Return this calendar with the days of another; the notice is the later word where both name a day."""
        return Calendar({**self.named, **notice.named})

    @cached_property
    def published(self) -> frozenset[int]:
        """The years whose notice is in the table.

        National Day always takes a working day of October, so that each notice names one. The days around New Year do not
        count, since the notice of the year beside may name them: that of 2019 made 2018-12-29 a working day.
        """
        return frozenset(day.year for day in self.named if day.month == 10)

    def provisional(self, day: date) -> bool:
        """Say whether the notice of the day's year is not in the table, so that what is said of the day may change."""
        return day.year not in self.published

    def is_workday(self, day: date) -> bool:
        """Say whether a day is worked."""
        if (named := self.named.get(day)) is not None:
            return named
        return _expected(day.year).is_working_day(day) if self.provisional(day) else day.weekday() < 5

    def add(self, day: date, workdays: int) -> date:
        """Return the day that is a number of working days after another; the day itself for 0.

        The first day that counts is the first working day after ``day``, whether ``day`` is one or not.
        """
        while workdays > 0:
            day += _DAY
            workdays -= self.is_workday(day)
        return day

    def between(self, first: date, last: date) -> int:
        """Return how many working days lie after ``first`` and not after ``last``; where ``last`` is before ``first``, below 0.

        It undoes ``add``: ``between(day, add(day, n)) == n``.
        """
        if last < first:
            return -self.between(last, first)
        return sum(self.is_workday(first + n * _DAY) for n in range(1, (last - first).days + 1))


@cache
def calendar() -> Calendar:
    """Return the shipped calendar."""
    return Calendar.of(_SHIPPED)


@cache
def _expected(year: int) -> HolidayBase:
    """Return the holidays that the law gives a year; the library takes a while to load, and few need it."""
    from holidays import country_holidays

    return country_holidays("CN", years=year)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise RejectedError(
            f"the table of working days cannot be read: {(error.strerror or 'unknown').lower()}",
            code="workdays.file",
            where=str(path),
            fault=Fault.CLIENT,
        ) from error
    except UnicodeDecodeError as error:
        raise RejectedError(
            "the table of working days is not UTF-8", code="workdays.encoding", where=str(path), fault=Fault.CLIENT
        ) from error


def _named(text: str, where: str) -> dict[date, bool]:
    head, *lines = text.splitlines() or [""]
    found: dict[date, bool] = {}
    stands: dict[date, int] = {}
    problems = []
    if head not in _HEADS:
        lines, problems = [], [f"line 1: the head must be {' or '.join(_HEADS)}"]
    for number, line in enumerate(lines, 2):
        try:
            day, worked = _parsed(line, head.count(",") + 1)
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        if stands.setdefault(day, number) != number:
            problems.append(f"line {number}: {day} stands in line {stands[day]} already")
        found[day] = worked
    if not found and not problems:
        problems.append("line 2: there is no day")
    if problems:
        raise RejectedError(
            "\n".join(problems),
            code="workdays.table",
            where=where,
            remedy="write one day a line, such as 2026-10-10,work",
            fault=Fault.CLIENT,
        )
    return found


def _parsed(line: str, columns: int) -> tuple[date, bool]:
    cells = line.split(",")
    if len(cells) != columns:
        raise ValueError(f"expected {columns} columns, found {len(cells)}")
    text, kind = cells[:2]
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise ValueError(f"{text[:40]!r} is no date such as 2026-10-10")
    if kind not in _KINDS:
        raise ValueError(f"{kind[:40]!r} is no kind of day: work or rest")
    return day, _KINDS[kind]
