"""Refusals on record: the first of a kind at once, the same again summed up."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from exchange.trust.ledger import AsyncLedger
from exchange.trust.record import LedgerRecord

WINDOW_S: Final = 10.0
_MOST: Final = 10_000


class Refusals:
    """Records refusals; equal ones within ``WINDOW_S`` become one record with a count. Used in one event loop."""

    def __init__(self, ledger: AsyncLedger) -> None:
        self._ledger = ledger
        self._seen: dict[LedgerRecord, tuple[float, int]] = {}

    async def record(self, record: LedgerRecord) -> None:
        """Record a refusal, or count it. Raises ``TransientError`` where the ledger is away: then nothing is answered."""
        now = time.monotonic()
        begun, count = self._seen.get(record, (float("-inf"), 0))
        if now - begun < WINDOW_S:
            self._seen[record] = (begun, count + 1)
            return
        if len(self._seen) >= _MOST:
            await self.flush(now)
        self._seen[record] = (now, 0)
        if count:
            await self._ledger.append(msgspec.structs.replace(record, count=count))
        await self._ledger.append(record)

    async def flush(self, now: float | None = None) -> None:
        """Record the sums whose window has ended; all of them where no instant is given."""
        ended = [r for r, (begun, _) in self._seen.items() if now is None or now - begun >= WINDOW_S]
        for record in ended:
            _, count = self._seen.pop(record)
            if count:
                await self._ledger.append(msgspec.structs.replace(record, count=count))
