"""How often a grant may be used: calls in a day of China, calls in a minute of the clock with a burst, rows in a day. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from schemas.errors import Fault, RejectedError

MOST: Final = 1_000_000_000
LIMITS: Final = ("per_day", "per_minute", "burst", "rows_per_day")


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a grant gives; None: not limited so.

    ``per_day`` calls in a calendar day of Asia/Shanghai. ``per_minute`` calls in a minute of the clock, and up to ``burst``
    more of those that the minutes before left over; at the beginning all of the burst is there. ``rows_per_day`` rows that
    leave in a day.
    """

    per_day: int | None = None
    per_minute: int | None = None
    burst: int | None = None
    rows_per_day: int | None = None

    @property
    def counts_calls(self) -> bool:
        """Whether calls are counted, and not rows alone."""
        return self.per_day is not None or self.per_minute is not None

    def document(self) -> dict[str, int]:
        """Return the limits that there are, as they are kept."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def __str__(self) -> str:
        return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in self.document().items())


def quota_of(given: Mapping[str, Any] | None) -> Quota | None:
    """Return the quota of a mapping; a limit that is None is none, and a quota without a limit neither.

    Raises:
        RejectedError: it names another limit, one is no whole number of 1 to ``MOST``, or there is a burst without the minute
            that it is a burst of (``grant.quota``).
    """
    limits = {} if given is None else {name: value for name, value in given.items() if value is not None}
    if not limits:
        return None
    for name, value in limits.items():
        if name not in LIMITS:
            raise _refused(f"a quota has no limit {name[:40]!r}", "grant.quota", remedy=f"limits are {', '.join(LIMITS)}")
        if type(value) is not int or not 1 <= value <= MOST:
            raise _refused(f"{name} of a quota is a whole number of 1 to {MOST}", "grant.quota")
    if "burst" in limits and "per_minute" not in limits:
        raise _refused("a burst needs per_minute, of which it is one", "grant.quota", remedy="give per_minute too")
    return Quota(**limits)


def kept_quota(document: Mapping[str, Any] | None) -> Quota | None:
    """Return a quota that the database keeps; its rules hold it to the form."""
    return None if document is None else Quota(**document)


def narrowed_quota(asked: Quota | None, given: Quota | None) -> Quota | None:
    """Return the quota of a grant: what was asked for, and what is given less.

    Raises:
        RejectedError: a limit is given that is above the one asked for (``application.more_than_asked``).
    """
    if asked is None or given is None:
        return asked or given
    both = asked.document() | given.document()
    for name, most in asked.document().items():
        if both[name] > most:
            raise _more(f"{both[name]} {name.replace('_', ' ')} for {most}")
    if given.burst is not None and asked.burst is None and asked.per_minute is not None:
        raise _more(f"a burst of {given.burst} for none")
    return quota_of(both)


def _refused(message: str, code: str, *, remedy: str | None = None) -> RejectedError:
    return RejectedError(message, code=code, remedy=remedy, fault=Fault.CLIENT)


def _more(what: str) -> RejectedError:
    return _refused(f"more would be granted than was asked for: {what}", "application.more_than_asked")
