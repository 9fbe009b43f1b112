"""One clock for all processes. Rules take ``now``; only entry points hold a clock. SQL never asks the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from schemas.errors import DefectError, RejectedError

CHINA = ZoneInfo("Asia/Shanghai")
MAX_RATE = 100_000.0


class Clock(Protocol):
    """Tells the instant."""

    def now(self) -> datetime:
        """Return the instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's instant in UTC."""
        return datetime.now(UTC)


@dataclass
class FakeClock:
    """A clock for tests that moves only when told."""

    at: datetime

    def now(self) -> datetime:
        """Return the instant it was last set to."""
        return self.at

    def advance(self, step: timedelta) -> None:
        """Move forward by ``step``."""
        if step < timedelta(0):
            raise DefectError("a clock does not go back", code="clock.backwards")
        self.at += step


@dataclass(frozen=True)
class SetClock:
    """A clock set by a setting, the same in every process: ``starts_at`` at ``anchor``, running ``rate`` times as fast."""

    starts_at: datetime
    anchor: datetime
    rate: float = 1.0

    def now(self) -> datetime:
        """Return the set instant in UTC."""
        return (self.starts_at + (datetime.now(UTC) - self.anchor) * self.rate).astimezone(UTC)


def clock_from_setting(text: str | None, *, production: bool) -> Clock:
    """Return the clock a setting names.

    Args:
        text: empty for the machine's clock, else ``<start>@<anchor>[x<rate>]`` in ISO 8601 with offsets: the hub's time
            was ``start`` when the machine's was ``anchor``; ``2027-10-01T00:00:00+08:00@2026-11-01T00:00:00Zx60``.
        production: true where the installation says that it is one.

    Raises:
        RejectedError: the text is not of that form, or a clock is set in production.
    """
    if not text:
        return SystemClock()
    if production:
        raise RejectedError("a set clock is refused in production", code="clock.production", remedy="unset ONEDOOR_CLOCK")
    try:
        start, _, rest = text.partition("@")
        anchor, _, rate = rest.partition("x")
        clock = SetClock(datetime.fromisoformat(start), datetime.fromisoformat(anchor), float(rate or 1))
        if clock.starts_at.tzinfo is None or not 0 < clock.rate <= MAX_RATE:
            raise ValueError("no offset, or a rate that does not run forwards")
        clock.now()
    except (ValueError, TypeError, OverflowError) as error:
        raise RejectedError(
            "the clock setting is not of the form <start>@<anchor>[x<rate>], with offsets and a rate above 0",
            code="clock.form",
            where="ONEDOOR_CLOCK",
        ) from error
    return clock
