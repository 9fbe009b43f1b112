"""What should have been checked or answered by now, by the department that has it: applications and demands alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby

from catalog_registry.application_clock import RULES, clock_of
from catalog_registry.applications import Applications
from catalog_registry.clocks import Rule
from catalog_registry.demand_clock import WAITING, demand_clock
from catalog_registry.demand_records import LateDepartment, LateRecord
from catalog_registry.demands import Demands
from schemas.workdays import Calendar


class Overdue(Applications, Demands):
    """What is late, whatever kind of thing it is."""

    def late(self, *, rules: Mapping[str, Rule], of: Calendar, now: datetime) -> list[LateRecord]:
        """Return what is late. Only what waits for somebody is read, never what is at its end.

        Args:
            rules: by id, those of the deployment.
            of: the working days.
            now: the instant of the question.
        """
        return [*self._late_applications(rules, of, now), *self._late_demands(rules, of, now)]

    def _late_applications(self, rules: Mapping[str, Rule], of: Calendar, now: datetime) -> Iterator[LateRecord]:
        waiting = [one for state in RULES for one in self.applications(state=state)]
        since = self.since([one.id for one in waiting])
        for one in waiting:
            clock = clock_of(one, since[one.id], rules=rules, of=of, now=now)
            if clock is not None and clock.late:
                yield LateRecord("application", one.id, one.resource, one.department, one.state, clock)

    def _late_demands(self, rules: Mapping[str, Rule], of: Calendar, now: datetime) -> Iterator[LateRecord]:
        for one in self.demands(WAITING):
            clock = demand_clock(one, rules=rules, of=of, now=now)
            if clock is not None and clock.late:
                yield LateRecord("demand", one.id, one.title, one.department, one.state, clock)


def by_department(late: Iterable[LateRecord]) -> Sequence[LateDepartment]:
    """Return what is late by the department that has it, the centre last; within one, the longest late first. Pure."""

    def whose(one: LateRecord) -> tuple[bool, str]:
        return one.clock.department is None, one.clock.department or ""

    def longest(one: LateRecord) -> tuple[date, str]:
        return one.clock.due or date.max, one.id

    found = []
    for (_, department), those in groupby(sorted(late, key=whose), key=whose):
        rows = sorted(those, key=longest)
        counts = dict(sorted(Counter(one.kind for one in rows).items()))
        found.append(LateDepartment(department or None, counts, rows[0].clock.due, rows))
    return found
