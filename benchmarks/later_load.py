"""A later full load: all keys are there, one row in a hundred has changed.

Beside stage + ``INSERT … ON CONFLICT … WHERE … IS DISTINCT FROM`` by psql on the same rows, and beside dlt's merge.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import bulk, orders
from benchmarks.line import TRIALS, Result, Row, alternately, rate
from benchmarks.stand import stand


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    rows = bulk.rows_wanted()
    dlt = bulk.Dlt(work)
    runs: list[dict[str, Any]] = []
    turns = {"now": 0}
    with stand(work) as here:
        orders.fill(here.source_url, rows)
        here.register(orders.CONTRACT)
        here.settle()
        bulk.first_load(here, [])
        bulk.copy_into(here, orders.KEYED, keep=True)
        here.sql(here.hub_url, "VACUUM (ANALYZE) public.peer")

        def ours() -> float:
            here.checkpoint()
            seconds = bulk.measured_collect(here, "orders", runs)
            run = runs[-1]
            if not run["rows_changed"] or run["rows_changed"] + run["rows_unchanged"] != rows:
                raise RuntimeError(f"this was no later load: {bulk.facts(run)}")
            return seconds

        def psql() -> float:
            turns["now"] += 1
            orders.change_one_in_a_hundred(here.source_url, turns["now"])
            return bulk.merge_by_psql(here)

        seconds = alternately({"psql merge": psql, "OneDoor": ours}, TRIALS)
        if dlt.missing is None:
            dlt.forget(here)
            dlt.load(here, "merge")

            def merge() -> float:
                turns["now"] += 1
                orders.change_one_in_a_hundred(here.source_url, turns["now"])
                return dlt.load(here, "merge")

            seconds |= alternately({"dlt merge": merge}, TRIALS)
            dlt.forget(here)
        else:
            result.notes.append(dlt.missing)
    result.trials = seconds
    result.stages = bulk.stages_of(runs)
    result.notes.append(bulk.cost(runs, seconds["OneDoor"]))
    result.notes.append(
        "ours is a full collection: every row is read, checked, sealed and carried, the shadow table is compared and swapped "
        "in, and keys that are gone from the source are gone from the store; the peers delete nothing"
    )
    mine = rate(rows, seconds["OneDoor"])
    theirs = rate(rows, seconds["dlt merge"]) if "dlt merge" in seconds else None
    result.rows = [
        Row("later load, 1 % changed", "rows/s", mine, "psql merge", rate(rows, seconds["psql merge"]), 0.5, 0.7),
        Row("later load, 1 % changed", "rows/s", mine, "dlt merge", theirs, 1.0, None),
    ]
    return result.as_json()
