"""Things with clocks: what waits for somebody, whatever it is, in the one form that reminders and outcomes work on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from catalog_registry.clocks import Pauses
from catalog_registry.records import StepRecord


@dataclass(frozen=True, slots=True)
class OpenClock:
    """A clock that runs. Each part of the registry that has some gives them; ``Registry.open_clocks`` lists the parts.

    ``kind`` is the word of the thing, ``thing`` its id, ``rule`` the id of its clock rule. ``department`` is whom it waits for,
    None where that is the centre. ``title`` says in public words what the thing is about, ``of`` is the department whose it is:
    it asked, was told, or received. ``promised_on`` is the last day where somebody named one instead of a number of days.
    ``pauses`` are half-open, as ``catalog_registry.clocks.due`` takes them.
    """

    kind: str
    thing: str
    rule: str
    department: str | None
    resource: str | None
    began: datetime
    title: str
    of: str
    state: str
    promised_on: date | None = None
    pauses: Pauses = ()


def span(steps: Sequence[StepRecord], running: str, paused_in: Collection[str]) -> tuple[datetime, Pauses]:
    """Return when the clock of a state began, and the pauses since: the intervals in which it stood in a pausing state.

    A clock that was paused goes on when the thing comes back; one that ended begins again.

    Args:
        steps: the history of the thing, oldest first; it ends in ``running`` or in one of ``paused_in``.
        running: the state that the rule measures.
        paused_in: the states in which the rule's clock stands still.
    """
    began = steps[-1].at
    pauses: list[tuple[datetime, datetime | None]] = []
    left: datetime | None = None
    for step in reversed(steps):
        if step.to_state not in (running, *paused_in):
            break
        began = step.at
        if step.to_state in paused_in:
            pauses.insert(0, (step.at, left))
        left = step.at
    return began, tuple(pauses)
