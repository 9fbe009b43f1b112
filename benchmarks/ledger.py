"""Ledger entries a second, each durable and chained before its writer is answered; and how fast checkpoints seal them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from benchmarks.line import TRIALS, Result, Row, median
from benchmarks.stand import Stand, stand
from exchange.bootstrap import open_hub
from exchange.trust.checkpoint import seal_checkpoint
from exchange.trust.ledger import AsyncLedger
from exchange.trust.record import LedgerRecord

SECONDS = 3.0
IN_FLIGHT = (64, 256)


async def _write(here: Stand, in_flight: int, turn: int) -> float:
    """Return entries a second with so many writers, each of which waits for its receipt."""
    hub = open_hub(here.made.settings)
    try:
        ledger = await AsyncLedger.open(
            here.made.settings.api_database_url, hub.keys, hub.clock, f"bench-{in_flight}-{turn}", timeout_s=10.0
        )
        count = 0
        until = time.perf_counter() + SECONDS

        async def writer(number: int) -> None:
            nonlocal count
            while time.perf_counter() < until:
                await ledger.append(
                    LedgerRecord(
                        kind="licence.lookup",
                        outcome="allowed",
                        principal="bench",
                        department="bench_department",
                        resource="licences",
                        grant="g01",
                        item="ITEM-1",
                        case=f"CASE-{number}",
                        purpose="accept_case",
                        holder="0123456789abcdef0123456789abcdef",
                        rows=("0123456789abcdef0123456789abcdef",),
                        request=f"{number}-{count}",
                    )
                )
                count += 1

        began = time.perf_counter()
        await asyncio.gather(*(writer(i) for i in range(in_flight)))
        seconds = time.perf_counter() - began
        await ledger.close()
        return round(count / seconds)
    finally:
        hub.close()


def _seal(here: Stand) -> tuple[int, float]:
    """Seal what waits; return the entries and the seconds."""
    hub = open_hub(here.made.settings)
    try:
        before = here.sql(here.hub_url, "SELECT coalesce(sum(n + 1), 0)::bigint FROM trust.sealed")[0][0]
        began = time.perf_counter()
        seal_checkpoint(hub.connect, hub.keys, hub.clock, here.made.settings.checkpoints_dir)
        seconds = time.perf_counter() - began
        after = here.sql(here.hub_url, "SELECT coalesce(sum(n + 1), 0)::bigint FROM trust.sealed")[0][0]
        return int(after) - int(before), seconds
    finally:
        hub.close()


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    sealed: list[tuple[int, float]] = []
    with stand(work) as here:
        for in_flight in IN_FLIGHT:
            rates = []
            for turn in range(TRIALS):
                here.checkpoint()
                rates.append(asyncio.run(_write(here, in_flight, turn)))
                sealed.append(_seal(here))
            result.trials[f"{in_flight} in flight"] = rates
            budget = 20_000 if in_flight == max(IN_FLIGHT) else None
            what = f"ledger, {in_flight} writers that wait"
            result.rows.append(Row(what, "entries/s", median(rates), floor=None, budget=budget))
    ours = [(n, s) for n, s in sealed if n > 0]
    if ours:
        result.stages = {
            "entries in a checkpoint": round(median([float(n) for n, _ in ours])),
            "seconds to seal it": round(median([s for _, s in ours]), 3),
        }
    result.notes.append("the worker of the same installation seals checkpoints meanwhile, so that what is left to seal varies")
    return result.as_json()
