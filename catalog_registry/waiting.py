"""What waits for somebody, whatever it is: the one place that knows which parts of the registry have clocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from catalog_registry import correction_life
from catalog_registry.application_clock import RULES, waits_of
from catalog_registry.applications import Applications
from catalog_registry.corrections import Corrections
from catalog_registry.demand_clock import WAITING, demand_waits
from catalog_registry.demands import Demands
from catalog_registry.destruction_life import destruction_waits
from catalog_registry.destructions import Destructions
from catalog_registry.notices import Notices
from catalog_registry.open_clocks import OpenClock


class Waiting(Applications, Notices, Demands, Corrections, Destructions):
    """The open clocks, that reminders, outcomes and the lists of what is late are made from."""

    def open_clocks(self) -> Iterator[OpenClock]:
        """Yield the clocks of everything that waits for somebody. A part that has clocks is added here.

        Only what waits is read, never what is at its end.
        """
        yield from self._open_application_clocks()
        yield from _open(demand_waits(one) for one in self.demands(WAITING))
        yield from _open(correction_life.waits_of(one) for one in self.corrections(waiting=True))
        yield from self.open_notice_clocks()
        yield from _open(destruction_waits(one) for one in self.destructions(open_only=True))

    def _open_application_clocks(self) -> Iterator[OpenClock]:
        waiting = [one for state in RULES for one in self.applications(state=state)]
        if not waiting:
            return
        since, free = self.since([one.id for one in waiting]), self.unconditional(one.resource for one in waiting)
        yield from _open(waits_of(one, since[one.id], unconditional=one.resource in free) for one in waiting)


def _open(found: Iterable[OpenClock | None]) -> Iterator[OpenClock]:
    return (one for one in found if one is not None)
