"""Memory (PSS with children) at its peak: collector, worker and API, while 1.5 and 15 million rows are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import bulk, orders
from benchmarks.line import Result, Row
from benchmarks.stand import Peaks, stand

FACTOR = 10
FLOOR_MB, BUDGET_MB = 500, 300


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    small = bulk.rows_wanted()
    peaks: dict[int, dict[str, float]] = {}
    with stand(work) as here:
        here.register(orders.CONTRACT)
        for rows in (small, small * FACTOR):
            orders.fill(here.source_url, rows)
            here.forget("orders")
            here.settle()
            here.checkpoint()
            process = here.start_collector("orders")
            pids = {"collector": process.pid, "worker": here.pid("worker"), "API": here.pid("api")}
            with Peaks(pids) as seen:
                out, err = process.communicate(timeout=3600)
            if process.returncode:
                raise RuntimeError(f"collect failed: {err[-1000:]} {out[-200:]}")
            peaks[rows] = dict(seen.peaks)
    for rows, of in peaks.items():
        for name, megabytes in of.items():
            what = f"memory of the {name} at {rows / 1e6:g} M rows"
            result.rows.append(Row(what, "MB PSS", megabytes, floor=FLOOR_MB, budget=BUDGET_MB, smaller=True))
    result.trials = {name: [of[name] for of in peaks.values()] for name in peaks[small]}
    grown = {name: round(peaks[small * FACTOR][name] / peaks[small][name], 2) for name in peaks[small]}
    result.notes.append(f"peak at ten times the rows over peak at once: {grown}")
    return result.as_json()
