"""A first full load of 1.5 million rows like TPC-H's orders, through everything, over the PostgreSQL bus.

PostgreSQL → conformed → checked → sealed → bus → shadow table → keyed → proved → swapped in; beside ``COPY | COPY`` by psql
into a keyed table on the same server, which is the physical limit, and beside dlt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import bulk, orders
from benchmarks.line import TRIALS, Result, Row, alternately, rate
from benchmarks.stand import stand


def run(work: Path, *, bus: str = "postgres") -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    rows = bulk.rows_wanted()
    dlt = bulk.Dlt(work)
    runs: list[dict[str, Any]] = []
    with stand(work, bus=bus) as here:
        orders.fill(here.source_url, rows)
        here.register(orders.CONTRACT)
        here.settle()
        sides = {
            "COPY|COPY into a keyed table": lambda: bulk.copy_into(here, orders.KEYED),
            "OneDoor": lambda: bulk.first_load(here, runs),
            "COPY|COPY, then the key": lambda: bulk.copy_into(here, orders.BARE, then_key=True),
        }
        seconds = alternately(sides, TRIALS)
        if dlt.missing is None:
            dlt.forget(here)
            seconds |= alternately({"dlt replace": lambda: dlt.load(here, "replace")}, TRIALS)
            dlt.forget(here)
        else:
            result.notes.append(dlt.missing)
    result.trials = seconds
    result.stages = bulk.stages_of(runs)
    result.notes.append(bulk.cost(runs, seconds["OneDoor"]))
    ours = rate(rows, seconds["OneDoor"])
    what = "first full load" + (" over Kafka" if bus == "kafka" else "")

    def beside(peer: str, floor: float | None, budget: float | None) -> Row:
        theirs = rate(rows, seconds[peer]) if peer in seconds else None
        return Row(what, "rows/s", ours, peer, theirs, floor, budget)

    result.rows = [
        beside("COPY|COPY into a keyed table", 0.45, 0.6),
        beside("COPY|COPY, then the key", None, None),
        beside("dlt replace", 3.0, 4.0),
    ]
    return result.as_json()
