"""Refusals on record: the first of a kind at once, the same again summed up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from exchange.trust.ledger import AsyncLedger
from exchange.trust.record import LedgerRecord

WINDOW_S: Final = 10.0
MOST: Final = 10_000


@dataclass(slots=True)
class _Seen:
    begun: float
    first: asyncio.Task[Any]
    more: int = 0


class Refusals:
    """Records refusals; equal ones within ``WINDOW_S`` become one record with a count. Used in one event loop."""

    def __init__(self, ledger: AsyncLedger, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._monotonic = monotonic
        self._seen: dict[LedgerRecord, _Seen] = {}

    async def record(self, record: LedgerRecord) -> None:
        """Record a refusal, or count it; on return the first of its kind is committed.

        Raises ``TransientError`` where the ledger is away: then nothing is answered.
        """
        seen = self._seen.get(record)
        if seen is not None and self._monotonic() - seen.begun < WINDOW_S:
            await asyncio.shield(seen.first)  # before the first is committed, no other is answered either
            seen.more += 1
            return
        if seen is not None:
            await self._sum(record, seen)
        if len(self._seen) >= MOST:
            await self.flush()
        first = asyncio.ensure_future(self._ledger.append(record))
        mine = self._seen[record] = _Seen(self._monotonic(), first)
        try:
            await asyncio.shield(first)
        except BaseException:
            if self._seen.get(record) is mine and (not first.done() or first.cancelled() or first.exception() is not None):
                del self._seen[record]
            raise

    async def flush(self, *, ended_only: bool = False) -> None:
        """Record the sums; of those only whose window has ended, where ``ended_only``. What cannot be recorded is kept."""
        now = self._monotonic()
        ended = [(r, s) for r, s in self._seen.items() if not ended_only or now - s.begun >= WINDOW_S]
        results = await asyncio.gather(*(self._sum(record, seen) for record, seen in ended), return_exceptions=True)
        for result in results:
            if result is not None:
                raise result

    async def _sum(self, record: LedgerRecord, seen: _Seen) -> None:
        count, seen.more = seen.more, 0
        if count:
            try:
                await self._ledger.append(msgspec.structs.replace(record, count=count))
            except BaseException:
                seen.more += count
                raise
        if not seen.more and self._seen.get(record) is seen:
            del self._seen[record]
