"""The clock of an application: how long whoever has it may take, and where that stands. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from catalog_registry.clocks import Rule
from catalog_registry.open_clocks import OpenClock
from catalog_registry.records import ApplicationRecord
from catalog_registry.states import ApplicationState
from catalog_registry.step_clock import StepClock, clock_of_step
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


def rule_of(state: ApplicationState, *, unconditional: bool) -> str | None:
    """Return the clock rule of an application in a state, None where nobody is waited for.

    A resource of which the catalogue does not say how it is shared is taken to be shared on a condition.
    """
    if unconditional and state is ApplicationState.PROVIDER_REVIEW:
        return UNCONDITIONAL
    return RULES.get(state)


def waits_of(application: ApplicationRecord, since: datetime, *, unconditional: bool = False) -> OpenClock | None:
    """Return the clock that an application has open, None where it is at its end and waits for nobody.

    A hand-over leaves the state, so the clock goes on. No rule is paused by a state: one that is returned is at its end.

    Args:
        application: what was asked for.
        since: the instant at which it came into the state that it is in.
        unconditional: the catalogue says that the resource is shared without condition.
    """
    name = rule_of(application.state, unconditional=unconditional)
    if name is None:
        return None
    return OpenClock(
        kind="application",
        thing=application.id,
        rule=name,
        department=application.assigned if application.state is ApplicationState.PROVIDER_REVIEW else None,
        resource=application.resource,
        began=since,
        title=application.resource,
        of=application.department,
        state=application.state,
    )


def clock_of(
    application: ApplicationRecord,
    since: datetime,
    *,
    rules: Mapping[str, Rule],
    of: Calendar,
    now: datetime,
    unconditional: bool = False,
) -> StepClock | None:
    """Return where the clock of an application stands, None where it waits for nobody; as ``waits_of``.

    Args:
        application: what was asked for.
        since: the instant at which it came into the state that it is in.
        rules: by id, those of the deployment.
        of: the working days.
        now: the instant of the question.
        unconditional: the catalogue says that the resource is shared without condition.
    """
    waits = waits_of(application, since, unconditional=unconditional)
    return None if waits is None else clock_of_step(waits, rules=rules, of=of, now=now)


def clocks_of(
    applications: Iterable[ApplicationRecord],
    since: Mapping[str, datetime],
    unconditional: Collection[str],
    *,
    rules: Mapping[str, Rule],
    of: Calendar,
    now: datetime,
) -> list[tuple[ApplicationRecord, StepClock | None]]:
    """Return applications with their clocks, as ``clock_of``; ``unconditional`` are names of resources."""
    return [
        (a, clock_of(a, since[a.id], rules=rules, of=of, now=now, unconditional=a.resource in unconditional))
        for a in applications
    ]
