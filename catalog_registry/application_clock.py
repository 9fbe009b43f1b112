"""The clock of an application: how long whoever has it may take, and where that stands. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

from catalog_registry.clocks import Rule, State, due
from catalog_registry.records import ApplicationRecord
from catalog_registry.states import ApplicationState
from schemas.workdays import Calendar

RULES: Final[Mapping[ApplicationState, str]] = MappingProxyType(
    {
        ApplicationState.SUBMITTED: "application.accept_check",
        ApplicationState.PROVIDER_REVIEW: "application.provider_review.conditional",
    }
)
"""The clock rule of each state that somebody has to lead out of."""

UNCONDITIONAL: Final = "application.provider_review.unconditional"
"""The rule of the provider's answer where the catalogue says that the resource is shared without condition."""


@dataclass(frozen=True, slots=True)
class ApplicationClock:
    """The clock of the step that an application waits for.

    ``department`` is the one that has to answer, None where the centre has to check. ``due`` is the last day and ``left`` the
    working days after today, below 0 where it is late, as ``catalog_registry.clocks`` counts them.
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


def rule_of(state: ApplicationState, *, unconditional: bool) -> str | None:
    """Return the clock rule of an application in a state, None where nobody is waited for.

    A resource of which the catalogue does not say how it is shared is taken to be shared on a condition.
    """
    if unconditional and state is ApplicationState.PROVIDER_REVIEW:
        return UNCONDITIONAL
    return RULES.get(state)


def clock_of(
    application: ApplicationRecord,
    since: datetime,
    *,
    rules: Mapping[str, Rule],
    of: Calendar,
    now: datetime,
    unconditional: bool = False,
) -> ApplicationClock | None:
    """Return the clock of an application, None where it is at its end and waits for nobody.

    A hand-over leaves the state, so the clock goes on. No rule is paused by a state: one that is returned is at its end.

    Args:
        application: what was asked for.
        since: the instant at which it came into the state that it is in.
        rules: by id, those of the deployment.
        of: the working days.
        now: the instant of the question.
        unconditional: the catalogue says that the resource is shared without condition.
    """
    name = rule_of(application.state, unconditional=unconditional)
    if name is None:
        return None
    waits_for = application.assigned if application.state is ApplicationState.PROVIDER_REVIEW else None
    return clock_of_step(rules[name], since, department=waits_for, of=of, now=now)


def clock_of_step(rule: Rule, since: datetime, *, department: str | None, of: Calendar, now: datetime) -> ApplicationClock:
    """Return the clock of a step that is waited for, which nothing has paused.

    Args:
        rule: how long it may take.
        since: the instant at which it began to be waited for.
        department: the one that has to take it, None where the centre has to.
        of: the working days.
        now: the instant of the question.
    """
    found = due(rule, since, (), now, of)
    return ApplicationClock(
        rule=rule.id,
        workdays=rule.workdays,
        department=department,
        began=since,
        due=found.at,
        left=found.left,
        state=found.state,
        provisional=found.provisional,
    )


def clocks_of(
    applications: Iterable[ApplicationRecord],
    since: Mapping[str, datetime],
    unconditional: Collection[str],
    *,
    rules: Mapping[str, Rule],
    of: Calendar,
    now: datetime,
) -> list[tuple[ApplicationRecord, ApplicationClock | None]]:
    """Return applications with their clocks, as ``clock_of``; ``unconditional`` are names of resources."""
    return [
        (a, clock_of(a, since[a.id], rules=rules, of=of, now=now, unconditional=a.resource in unconditional))
        for a in applications
    ]
