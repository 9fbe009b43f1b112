"""The clock of a step that somebody is waited for, whatever the thing is: how long it may take, and where that stands. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, TypeVar

from catalog_registry.clocks import ESCALATE, Rule, State, due
from catalog_registry.open_clocks import OpenClock
from schemas.clock import CHINA
from schemas.workdays import Calendar

PROMISED: Final = Rule(
    id="demand.promised",
    about="a department keeps the day that it promised",
    about_zh="提供部门按承诺日期提供数据",
    workdays=0,
    source="the promise",
    verified=True,
    paused_in=(),
    reminders=("last",),
    late=ESCALATE,
    outcomes=(),
)
"""The rule of a last day that somebody named; its days are those up to that day, so it is no rule of a deployment."""

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class StepClock:
    """The clock of the step that a thing waits for.

    ``department`` is the one that has to take it, None where the centre has to. ``due`` is the last day, ``left`` the working
    days after today, below 0 where it is late, as ``catalog_registry.clocks`` counts them.
    """

    rule: str
    workdays: int
    department: str | None
    began: datetime
    due: date | None
    left: int
    state: State
    provisional: bool

    @property
    def late(self) -> bool:
        """Whether the last day is over."""
        return self.state == "late"


def clock_of_step(waits: OpenClock, *, rules: Mapping[str, Rule], of: Calendar, now: datetime) -> StepClock:
    """Return where the clock of a step that is waited for stands.

    Args:
        waits: the step.
        rules: by id, those of the deployment.
        of: the working days.
        now: the instant of the question.
    """
    if waits.promised_on is not None:
        return _promised(waits, waits.promised_on, of, now)
    rule = rules[waits.rule]
    found = due(rule, waits.began, waits.pauses, now, of)
    return StepClock(
        rule=rule.id,
        workdays=rule.workdays,
        department=waits.department,
        began=waits.began,
        due=found.at,
        left=found.left,
        state=found.state,
        provisional=found.provisional,
    )


def rule_of_step(waits: OpenClock, rules: Mapping[str, Rule]) -> Rule:
    """Return the rule of a step: one of the deployment's, or that of a day that was promised."""
    return PROMISED if waits.promised_on is not None else rules[waits.rule]


def late_first(found: Iterable[tuple[Thing, StepClock | None]]) -> list[tuple[Thing, StepClock]]:
    """Return what is late, by the department that has it, the centre last; within one, the longest late first."""
    late = [(thing, clock) for thing, clock in found if clock is not None and clock.late]
    return sorted(late, key=lambda row: (row[1].department is None, row[1].department or "", row[1].due or date.max))


def _promised(waits: OpenClock, last: date, of: Calendar, now: datetime) -> StepClock:
    """Return the clock of a promise: it ends with the day that was named, worked or not, and reminds one working day before."""
    began, today = waits.began.astimezone(CHINA).date(), now.astimezone(CHINA).date()
    left = of.between(today, last)
    return StepClock(
        rule=PROMISED.id,
        workdays=of.between(began, last),
        department=waits.department,
        began=waits.began,
        due=last,
        left=left,
        state="late" if today > last else "reminded_last" if left <= 1 else "running",
        provisional=of.provisional(last),
    )
