"""Cron expressions of five fields, as a contract's schedule holds them."""

from __future__ import annotations

import re
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_PART: Final = re.compile(r"(\*|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([0-9]{1,4}))?")


def cron_problem(text: str) -> str | None:
    """Return what is wrong with a cron expression, or None where it is sound: five fields of ``*``, numbers, names, ranges,
    lists and steps.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"a schedule has five fields (minute hour day month weekday), this has {len(fields)}"
    for given, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in given.lower().split(","):
            if not _sound(part, low, high, names):
                return f"the {name} of the schedule must be within {low}-{high}, not {given[:40]!r}"
    return None


def _sound(part: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    found = _PART.fullmatch(part)
    if not found:
        return False
    start, end, step = found.groups()
    if step is not None and int(step) == 0:
        return False
    if start == "*":
        return end is None
    numbers = [_number(text, low, names) for text in (start, end) if text is not None]
    return all(n is not None and low <= n <= high for n in numbers) and (len(numbers) == 1 or numbers[0] <= numbers[1])  # type: ignore[operator]


def _number(text: str, low: int, names: tuple[str, ...]) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    return names.index(text) + low if text in names else None
