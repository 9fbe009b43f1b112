"""What should have been done by now, by the department that has it: of everything that has a clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from catalog_registry.clocks import Rule
from catalog_registry.demand_records import LateDepartment, LateRecord
from catalog_registry.step_clock import clock_of_step, late_first
from catalog_registry.waiting import Waiting
from schemas.workdays import Calendar


class Overdue(Waiting):
    """What is late, whatever kind of thing it is."""

    def late(self, *, rules: Mapping[str, Rule], of: Calendar, now: datetime) -> list[LateRecord]:
        """Return what is late, by the department that has it, the longest first.

        Args:
            rules: by id, those of the deployment.
            of: the working days.
            now: the instant of the question.
        """
        found = ((waits, clock_of_step(waits, rules=rules, of=of, now=now)) for waits in self.open_clocks())
        return [LateRecord(w.kind, w.thing, w.title, w.of, w.state, clock) for w, clock in late_first(found)]


def by_department(late: Iterable[LateRecord]) -> Sequence[LateDepartment]:
    """Return what is late by the department that has it, the centre last; within one, the longest late first. Pure."""
    found = []
    ordered = [row for row, _ in late_first((one, one.clock) for one in late)]
    for department, those in groupby(ordered, key=lambda one: one.clock.department):
        rows = list(those)
        counts = dict(sorted(Counter(one.kind for one in rows).items()))
        found.append(LateDepartment(department, counts, rows[0].clock.due, rows))
    return found
