"""How much of a quota is used: what the count says, for people who ask. Pure but for the statement that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

import msgspec

from catalog_registry.quota import Quota
from schemas.clock import CHINA

STATE: Final = """
SELECT grant_id, CASE WHEN day >= {1} THEN calls ELSE 0 END AS calls, CASE WHEN day >= {1} THEN rows ELSE 0 END AS rows,
       CASE WHEN minute >= {2} THEN minute_calls ELSE 0 END AS minute_calls, saved, minute
FROM exchange.quota_count WHERE grant_id = ANY({0})
"""
"""Reads the counts of grants; its parameters are their ids, the day and the minute, in the driver's own way."""


class Used(msgspec.Struct, frozen=True):
    """How much of a quota is used: with what workers hold of it, and have perhaps not used yet."""

    calls_today: int
    rows_today: int
    calls_this_minute: int
    spent: tuple[str, ...]
    """The limits of which nothing is left."""


def day_of(now: datetime) -> date:
    """Return the day of a quota: that of Asia/Shanghai."""
    return now.astimezone(CHINA).date()


def minute_of(now: datetime) -> datetime:
    """Return the minute of a quota: that of the clock."""
    return now.replace(second=0, microsecond=0)


def used_of(quota: Quota, row: Mapping[str, Any] | None, now: datetime) -> Used:
    """Return how much of a quota is used, by its row of ``exchange.quota_count``; None: nothing of it yet."""
    if row is None:
        return Used(0, 0, 0, ())
    minute = row["minute_calls"]
    most = (quota.per_minute or 0) + (row["saved"] if row["minute"] >= minute_of(now) else 0)
    left = {
        "per_day": None if quota.per_day is None else quota.per_day - row["calls"],
        "per_minute": None if quota.per_minute is None else most - minute,
        "rows_per_day": None if quota.rows_per_day is None else quota.rows_per_day - row["rows"],
    }
    return Used(row["calls"], row["rows"], minute, tuple(name for name, n in left.items() if n is not None and n <= 0))
