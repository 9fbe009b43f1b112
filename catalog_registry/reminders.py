"""Reminders: whoever has a step hears at half and one day before its last, the centre when it is late; once each.

Where no worker ran for days, only the newest of these is told, and it names those that were not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_registry.acting import Sight
from catalog_registry.clocks import Rule, reminding
from catalog_registry.notice_records import ReminderRecord, reminder_record
from catalog_registry.open_clocks import OpenClock
from catalog_registry.records import ApplicationRecord
from catalog_registry.step_clock import StepClock, clock_of_step, rule_of_step
from catalog_registry.store.change import Change
from catalog_registry.store.notice_tables import Reminder
from catalog_registry.waiting import Waiting
from schemas.errors import DeniedError, RejectedError
from schemas.ids import new_id
from schemas.workdays import Calendar

STAGES: Final[Mapping[str, str]] = MappingProxyType({"reminded_half": "half", "reminded_last": "last", "late": "escalated"})
"""What is told of a clock in a state, in the order in which a clock goes through them."""

EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {"half": "reminder.half", "last": "reminder.last", "escalated": "escalated", "outcome": "outcome.refused"}
)

Outcome = Callable[["Reminders", str, str, str], object]
"""Takes a step: the registry, the thing's id, in whose name, why."""


def _step(take: Callable[[Reminders, ApplicationRecord, str, str], object]) -> Outcome:
    return lambda registry, thing, by, why: take(registry, registry.application(thing), by, why)


OUTCOMES: Final[Mapping[tuple[str, str], Outcome]] = MappingProxyType(
    {
        ("application", "accept_check"): _step(lambda r, a, by, why: r.accept_check(a.id, by=by, version=a.version, why=why)),
        ("application", "return"): _step(lambda r, a, by, why: r.return_application(a.id, by=by, version=a.version, why=why)),
        ("application", "approve"): _step(lambda r, a, by, why: r.approve_application(a.id, by=by, version=a.version, why=why)),
        ("application", "refuse"): _step(lambda r, a, by, why: r.refuse_application(a.id, by=by, version=a.version, why=why)),
    }
)
"""By kind of thing and outcome of its rule: the same step that a person takes, with all its checks."""


class Reminders(Waiting):
    """What waits for somebody, and what they were told of it."""

    def remind(self, rules: Mapping[str, Rule], of: Calendar) -> list[ReminderRecord]:
        """Tell what has to be told by now, and take the outcomes that the deployment's rules order; return what was told.

        For the worker, as often as it likes. An outcome is tried until the thing waits no longer; where a rule of the registry
        refuses it, that is told once, and people have it.

        Args:
            rules: by id, those of the deployment.
            of: the working days.
        """
        now, told = self._clock.now(), []
        standing = [(clock, clock_of_step(clock, rules=rules, of=of, now=now)) for clock in self.open_clocks()]
        staged = [
            (clock, rule_of_step(clock, rules), STAGES[found.state], found)
            for clock, found in standing
            if found.state in STAGES
        ]
        if not staged:
            return []
        said = self._reminders_told([clock.thing for clock, *_ in staged])
        for clock, rule, stage, found in staged:
            if not said.get(_run(clock), set()) & set(_from(stage)):
                told += self._remind_once(clock, rule, stage, found)
            if stage == "escalated" and rule.outcome is not None and "outcome" not in said.get(_run(clock), ()):
                told += self._take_outcome(clock, rule, found)
        return told

    def reminders(
        self,
        *,
        seen: Sight | None = None,
        department: str | None = None,
        thing: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[ReminderRecord]:
        """Return what was told, oldest first.

        Args:
            seen: only those that may be seen: of steps that the own department has; what the centre has, those who see all.
            department: only those of steps that it has.
            thing: only those of the thing of this id.
            after: only those after this id.
            limit: so many at most.
        """
        query = select(Reminder).order_by(Reminder.id).limit(limit)
        if seen is not None and not seen.everything:
            query = query.where(Reminder.department == (seen.department or ""))  # None would be the centre's
        if after is not None:
            query = query.where(Reminder.id > after)
        if department is not None:
            query = query.where(Reminder.department == department)
        if thing is not None:
            query = query.where(Reminder.thing == thing)
        with self._database.read() as session:
            return [reminder_record(row) for row in session.scalars(query)]

    def _remind_once(self, clock: OpenClock, rule: Rule, stage: str, found: StepClock) -> list[ReminderRecord]:
        """Tell that a clock is in a stage, unless that or a later one was told; return what was told."""
        with self._database.change() as change:
            said = self._stages_told(change.session, clock)
            if said & set(_from(stage)):  # another worker was before this one
                return []
            order = list(STAGES.values())
            missed = order[max((order.index(one) + 1 for one in said), default=0) : order.index(stage)]
            return [self._keep_reminder(change, clock, stage, found, [one for one in reminding(rule) if one in missed])]

    def _take_outcome(self, clock: OpenClock, rule: Rule, found: StepClock) -> list[ReminderRecord]:
        """Take the outcome of a rule; return that it was refused, the first time."""
        try:
            take = OUTCOMES.get((clock.kind, rule.outcome or ""))
            if take is None:
                raise RejectedError(f"nothing is known of {rule.outcome} for {clock.kind}", code="clocks.outcome")
            take(self, clock.thing, rule.late_as, f"late by the rule {rule.id}: {rule.late_source}")
        except (RejectedError, DeniedError) as error:
            if error.code == "registry.conflict":  # somebody was before it: the next look sees what is there then
                return []
            with self._database.change() as change:
                if "outcome" in self._stages_told(change.session, clock):
                    return []
                return [self._keep_reminder(change, clock, "outcome", found, [], outcome=rule.outcome, code=error.code)]
        return []

    def _reminders_told(self, things: Sequence[str]) -> dict[tuple[object, ...], set[str]]:
        """Return what was told of each run of a clock of these things."""
        found: dict[tuple[object, ...], set[str]] = defaultdict(set)
        query = select(Reminder.kind, Reminder.thing, Reminder.rule, Reminder.began, Reminder.what)
        with self._database.read() as session:
            for kind, thing, rule, began, what in session.execute(query.where(Reminder.thing.in_(things))):
                found[kind, thing, rule, began].add(what)
        return found

    def _stages_told(self, session: Session, clock: OpenClock) -> set[str]:
        """Return what was told of this run of a clock."""
        query = select(Reminder.what).where(
            Reminder.kind == clock.kind,
            Reminder.thing == clock.thing,
            Reminder.rule == clock.rule,
            Reminder.began == clock.began,
        )
        return set(session.scalars(query))

    def _keep_reminder(
        self, change: Change, clock: OpenClock, what: str, found: StepClock, skipped: list[str], **more: Any
    ) -> ReminderRecord:
        now = self._clock.now()
        row = Reminder(
            kind=clock.kind,
            thing=clock.thing,
            rule=clock.rule,
            began=clock.began,
            what=what,
            id=new_id("t", now),
            department=clock.department,
            resource=clock.resource,
            at=now,
            due=found.due,
            left_days=found.left,
            provisional=found.provisional,
            skipped=skipped,
        )
        change.session.add(row)
        data = {
            "kind": clock.kind,
            "rule": clock.rule,
            "department": clock.department,
            "resource": clock.resource,
            "due": None if found.due is None else found.due.isoformat(),
            "left": found.left,
            "provisional": found.provisional,
            "skipped": skipped,
        }
        change.event(EVENTS[what], clock.thing, data | more)
        change.session.flush()
        return reminder_record(row)


def _run(clock: OpenClock) -> tuple[object, ...]:
    """Return what tells one run of a clock from another."""
    return clock.kind, clock.thing, clock.rule, clock.began


def _from(stage: str) -> list[str]:
    """Return a stage and those after it."""
    order = list(STAGES.values())
    return order[order.index(stage) :]
