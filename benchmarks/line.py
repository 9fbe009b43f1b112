"""What a line of the table is, and how one is measured: three trials, the median."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

TRIALS = 3


@dataclass(slots=True)
class Row:
    """One figure beside one peer's. ``ratio`` is ours over the peer's, so that more is better; ``smaller`` turns it round.

    Where there is no peer, ``floor`` and ``budget`` are for the figure itself.
    """

    what: str
    unit: str
    ours: float | None
    peer: str = ""
    theirs: float | None = None
    floor: float | None = None
    budget: float | None = None
    smaller: bool = False
    ratio: float | None = None
    met: str = ""

    def __post_init__(self) -> None:
        measured = self.ours
        if self.peer:
            self.ratio = measured = _ratio(self.ours, self.theirs, smaller=self.smaller)
        self.met = self._met(measured)

    def _met(self, measured: float | None) -> str:
        if measured is None:
            return "not run"
        if self.floor is None and self.budget is None:
            return ""
        turned = self.smaller and not self.peer

        def holds(limit: float | None) -> bool:
            return limit is None or (measured <= limit if turned else measured >= limit)

        if not holds(self.floor):
            return "no"
        if self.budget is None:
            return "floor"
        return "budget" if holds(self.budget) else "floor" if self.floor is not None else "not the budget"

    def as_json(self) -> dict[str, Any]:
        """Return the row as the results file keeps it."""
        return asdict(self)


@dataclass(slots=True)
class Result:
    """What a line gives: rows for the table, all trials in seconds or figures, stage times, and what a reader should know."""

    rows: list[Row] = field(default_factory=list)
    trials: dict[str, list[Any]] = field(default_factory=dict)
    stages: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return what ``run`` returns."""
        return {
            "rows": [row.as_json() for row in self.rows],
            "trials": self.trials,
            "stages": self.stages,
            "notes": self.notes,
        }


def alternately(sides: Mapping[str, Callable[[], float]], trials: int = TRIALS) -> dict[str, list[float]]:
    """Measure each side ``trials`` times in turns, so that what slows the machine for a while slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(trials):
        for name, measure in sides.items():
            seconds[name].append(round(measure(), 3))
    return seconds


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def rate(rows: int, seconds: list[float]) -> float:
    """Return rows a second of the median trial."""
    return round(rows / median(seconds))


def timed(command: list[str], **options: Any) -> float:
    """Run a command to its end and return its seconds, process start included. Raises where it fails, with its last words."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return seconds


def _ratio(ours: float | None, theirs: float | None, *, smaller: bool) -> float | None:
    if not ours or not theirs:
        return None
    return round(theirs / ours if smaller else ours / theirs, 3)
