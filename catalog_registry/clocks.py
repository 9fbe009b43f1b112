"""Clocks of the registry: how long a step may take, as data, and where a clock stands, as pure functions.

Days are working days of Asia/Shanghai. The day on which a clock began does not count, the first that counts is the working day
after it, and the last one ends at midnight. A day on which the clock was paused at any instant does not count. A clock of ten
days that began on Wednesday 2026-09-30 ends on Tuesday 2026-10-20: 1 to 7 October are days off, and Saturday the 10th is
worked.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from schemas.clock import CHINA
from schemas.errors import DefectError, Fault, RejectedError
from schemas.workdays import Calendar

Reminder = Literal["half", "last"]
State = Literal["running", "paused", "reminded_half", "reminded_last", "late"]
Pauses = Sequence[tuple[datetime, datetime | None]]

ESCALATE: Final = "escalate"
_SHIPPED: Final = Path(__file__).with_name("clock_rules.toml")
_MAX_WORKDAYS: Final = 250  # about a year
_DAY: Final = timedelta(days=1)
_REMINDED: Final[Mapping[Reminder, State]] = {"half": "reminded_half", "last": "reminded_last"}


@dataclass(frozen=True, slots=True)
class Rule:
    """How long one step may take, on whose word, and what happens on the way.

    ``about`` and ``about_zh`` say what the clock measures. ``verified`` is false where the days are commonly stated and the
    wording of the source was not read. ``paused_in`` names the states in which the clock stands still.

    ``late`` says what happens after the last day: ``escalate`` tells the centre. No shipped rule does more. A deployment may
    have one of ``outcomes`` follow by itself, where it says on whose word (``late_source``) and in whose name (``late_as``, an
    account that has the role for that step).
    """

    id: str
    about: str
    about_zh: str
    workdays: int
    source: str
    verified: bool
    paused_in: tuple[str, ...]
    reminders: tuple[Reminder, ...]
    late: str
    outcomes: tuple[str, ...]
    late_source: str = ""
    late_as: str = ""

    @property
    def outcome(self) -> str | None:
        """What follows by itself after the last day; None where the centre is told and nothing else."""
        return None if self.late == ESCALATE else self.late


@dataclass(frozen=True, slots=True)
class Due:
    """Where a clock stands.

    ``at`` is the last day, None while a pause has no end. ``left`` is how many days that count come after today; of a clock
    that is late, 0 less the working days since ``at``. ``provisional`` is true where a day was counted in a year whose notice
    is not in the calendar.
    """

    at: date | None
    left: int
    state: State
    provisional: bool


def due(rule: Rule, began: datetime, pauses: Pauses, now: datetime, of: Calendar) -> Due:
    """Return where a clock stands.

    Args:
        rule: how long it runs.
        began: the instant at which the step began.
        pauses: half-open intervals of instants in any order; None for an end that is not known yet. One that begins after the
            last day changes nothing.
        now: the instant of the question.
        of: the working days.
    """
    first, today = _day(began) + _DAY, _day(now)
    days, seen = _count(rule, began, pauses, of)
    at = days[-1] if len(days) == rule.workdays else None
    if at is not None and today > at:
        return Due(at, of.between(today, at), "late", _provisional(first, today, of))
    state: State = "running"
    if any(start <= now and (end is None or now < end) for start, end in pauses):
        state = "paused"
    else:
        for day, kind in _reminders(rule, days):
            state = _REMINDED[kind] if day <= today else state
    return Due(at, rule.workdays - sum(day <= today for day in days), state, _provisional(first, seen, of))


def reminders(rule: Rule, began: datetime, pauses: Pauses, of: Calendar) -> tuple[tuple[date, Reminder], ...]:
    """Return the days on which a rule reminds, in order; without those that lie behind a pause that has no end.

    Half of 5 days is the third. A clock of one day has no day before its last, so that it reminds on that day. Where both fall
    on one day, there is only the last.
    """
    return _reminders(rule, _count(rule, began, pauses, of)[0])


def _reminders(rule: Rule, days: Sequence[date]) -> tuple[tuple[date, Reminder], ...]:
    return tuple((days[n - 1], kind) for kind, n in _places(rule).items() if n <= len(days))


def reminding(rule: Rule) -> tuple[Reminder, ...]:
    """Return of what a rule reminds, in order."""
    return tuple(_places(rule))


def _places(rule: Rule) -> dict[Reminder, int]:
    """Return on which of the days that count a rule reminds."""
    half, last = (rule.workdays + 1) // 2, max(rule.workdays - 1, 1)
    places: dict[Reminder, int] = {"last": last} if half == last and "last" in rule.reminders else {"half": half, "last": last}
    return {kind: n for kind, n in places.items() if kind in rule.reminders}


def _count(rule: Rule, began: datetime, pauses: Pauses, of: Calendar) -> tuple[list[date], date]:
    """Return the days that count, and the last day looked at; fewer than the rule's where a pause has no end."""
    held = [
        (_day(start), date.max if end is None else _day(end - timedelta.resolution))
        for start, end in pauses
        if end is None or start < end
    ]
    stop = min((first for first, last in held if last == date.max), default=date.max)
    day = _day(began)
    days: list[date] = []
    while len(days) < rule.workdays and day + _DAY < stop:
        day += _DAY
        if of.is_workday(day) and not any(first <= day <= last for first, last in held):
            days.append(day)
    return days, day


def _provisional(first: date, last: date, of: Calendar) -> bool:
    return any(of.provisional(first + n * _DAY) for n in range((last - first).days + 1))


def _day(instant: datetime) -> date:
    """Return the day in China; one without an offset could be another."""
    if instant.tzinfo is None:
        raise DefectError("an instant of a clock needs an offset", code="clocks.naive")
    return instant.astimezone(CHINA).date()


# The rules ----------------------------------------------------------------------------------------------------------------


_OVERRIDES: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "workdays": (f"a whole number of 1 to {_MAX_WORKDAYS}", lambda value: type(value) is int and 1 <= value <= _MAX_WORKDAYS),
    "source": ("a text that names where the days come from", lambda value: isinstance(value, str) and bool(value.strip())),
    "verified": ("true or false", lambda value: isinstance(value, bool)),
    "late": ("a word", lambda value: isinstance(value, str)),
    "late_source": ("a text that names what orders the outcome", lambda value: isinstance(value, str) and bool(value.strip())),
    "late_as": ("the name of an account", lambda value: isinstance(value, str) and bool(value.strip())),
}


@cache
def rules() -> Mapping[str, Rule]:
    """Return the shipped rules, by id."""
    tables = tomllib.loads(_SHIPPED.read_text("utf-8"))
    return MappingProxyType({name: _rule(name, table) for name, table in tables.items()})


def _rule(name: str, table: Mapping[str, Any]) -> Rule:
    lists = {key: tuple(table[key]) for key in ("paused_in", "reminders", "outcomes")}
    return Rule(id=name, **{**table, **lists})


def load(path: Path) -> Mapping[str, Rule]:
    """Return the shipped rules with the days that a deployment sets in a file of its own.

    The file is TOML. Each rule that it changes is a table of ``workdays``, their ``source``, and ``verified`` where the wording
    of that source was read. An outcome that is to follow by itself is ``late``, with ``late_source`` and ``late_as``.

    Raises:
        RejectedError: the file cannot be read, or it names a rule or a key that there is not, or a value is wrong; the place is
            the file and the key.
    """
    changed = dict(rules())
    for name, table in _tables(path).items():
        if name not in changed:
            raise _refused(f"there is no clock rule {name[:64]!r}{_near(name, changed)}", path, name)
        if not isinstance(table, dict):
            raise _refused("a clock rule is a table", path, name)
        for key, value in table.items():
            if key not in _OVERRIDES:
                raise _refused(f"a deployment cannot set {key[:64]!r}, only {', '.join(_OVERRIDES)}", path, f"{name}.{key}")
            wanted, right = _OVERRIDES[key]
            if not right(value):
                raise _refused(f"{key} must be {wanted}", path, f"{name}.{key}")
        for key in ("workdays", "source"):
            if key not in table:
                raise _refused(f"{key} is missing: a rule is set by its days and their source", path, f"{name}.{key}")
        _check_late(name, table, changed[name], path)
        changed[name] = replace(changed[name], **{"verified": False, **table})
    return MappingProxyType(changed)


def _check_late(name: str, table: Mapping[str, Any], rule: Rule, path: Path) -> None:
    """Refuse an outcome that is not one of the rule's, or that nobody orders and nobody answers for."""
    late = table.get("late", ESCALATE)
    if late not in (ESCALATE, *rule.outcomes):
        raise _refused(f"late must be {' or '.join((ESCALATE, *rule.outcomes))}", path, f"{name}.late")
    for key in ("late_source", "late_as"):
        if late != ESCALATE and key not in table:
            words = "on whose word" if key == "late_source" else "in whose name"
            raise _refused(f"{key} is missing: nothing is decided by itself unless it is said {words}", path, f"{name}.{key}")
        if late == ESCALATE and key in table:
            raise _refused(f"{key} is for an outcome, and late is {ESCALATE}", path, f"{name}.{key}")


def _tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise _refused(f"the clock rules cannot be read: {(error.strerror or 'unknown').lower()}", path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refused(f"the clock rules are not TOML: {error}", path) from error


def _near(name: str, known: Mapping[str, Rule]) -> str:
    """Return a hint; ``[correction.answer]`` without quotes is a table in a table, so that its first word is what arrives."""
    if dotted := [one for one in known if one.startswith(f"{name}.")]:
        return f'; the name of a rule is quoted: ["{dotted[0]}"]'
    close = get_close_matches(name, known, n=3)
    return f"; near it: {', '.join(close)}" if close else ""


def _refused(message: str, path: Path, key: str = "") -> RejectedError:
    return RejectedError(
        message,
        code="clocks.rules",
        where=f"{path}: {key}" if key else str(path),
        remedy="see docs/reference/clocks.md",
        fault=Fault.CLIENT,
    )
