"""What the API's routes work with, opened with the app and closed with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from catalog_registry.registry import Registry
from exchange.api.misses import Misses
from exchange.bootstrap import Hub, open_hub
from exchange.licences.grouped import GroupedReader, probe
from exchange.licences.lookup import Lookup
from exchange.licences.view import RegistryView
from exchange.query.answer import Query
from exchange.query.bulk import Bulk
from exchange.query.rows import RecordReader
from exchange.settings import Settings
from exchange.trust.ledger import AsyncLedger
from exchange.trust.quota import QuotaBook
from exchange.trust.tokens import TokenVerifier
from schemas.clock import Clock
from schemas.errors import OneDoorError, TransientError
from schemas.ids import new_id

TOKENS_AT_ONCE: Final = 2
REGISTRY_READS_AT_ONCE: Final = 2
_READY: Final = "ready"


@dataclass
class Services:
    """Opened by ``open``; one set for each process.

    ``hub.registry`` reads as the API's role. ``registry`` takes the steps that a request asks for, by a role of its own; it
    opens no source, keeps a source's password in the keys folder, and leaves the DAGs' snapshot to the worker. ``used`` says
    when it was last noted that a secret was used. Its steps wait for one another in the database, so they have
    one thread, ``steps``; what is read for a request has its own, ``reads``, and whole files have one, ``files``. A long
    change holds up neither token nor view.
    """

    settings: Settings
    opened: Callable[[Settings], Hub] = open_hub

    async def open(self) -> None:
        """Wire and start everything. A database that is away does not stop the start: the API says 503 until it is back."""
        url = self.settings.api_database_url or self.settings.database_url
        self.hub: Hub = self.opened(self.settings.model_copy(update={"database_url": url}))
        self.log: Any = self.hub.log
        self.clock: Clock = self.hub.clock
        keys = self.hub.keys
        incarnation = new_id("api-", self.clock.now())
        self._url = url
        self.registry = Registry(
            self.settings.registry_database_url or url, self.clock, keys_dir=self.settings.keys_dir, dags_json=None
        )
        self.used: dict[tuple[str, int], datetime] = {}
        self.view = RegistryView(url, self.hub.registry, self.log)
        self.reader = GroupedReader(url)
        self.ledger = await AsyncLedger.open(url, keys, self.clock, incarnation)
        self.quotas = QuotaBook(url)
        self.lookup = Lookup(self.view, self.reader, self.ledger, keys, self.clock, self.quotas)
        self._rows = RecordReader(url)
        refusals = self.lookup.refusals
        self.reads = ThreadPoolExecutor(REGISTRY_READS_AT_ONCE, "registry-read")
        self.steps = ThreadPoolExecutor(1, "registry-step")
        free = self.settings.bulk_personal_rows
        bulk = Bulk(url, self.hub.registry, self.registry, self.reads, self.steps, self.clock, free)
        self.records = Query(self.view, self._rows, self.reader, self.ledger, refusals, keys, self.clock, self.quotas, bulk)
        self.verifier = TokenVerifier.of(keys, self.view.current)
        self.tokens_at_once = asyncio.Semaphore(TOKENS_AT_ONCE)
        self.files = ThreadPoolExecutor(1, "registry-file")
        self.misses = Misses(self.registry, self.steps, self.log)
        self.view.start()
        self._sums = asyncio.create_task(self._sum_up(), name="refusals")
        self._tidying = asyncio.create_task(self._tidy(), name="quotas")

    async def close(self) -> None:
        """Write what waits, and let go of everything."""
        for task in (self._sums, self._tidying):
            task.cancel()
        await asyncio.gather(self._sums, self._tidying, return_exceptions=True)
        await self.quotas.close()
        try:
            await self.lookup.refusals.flush()
        except TransientError as error:
            self.log.warning("sums of refusals were not recorded", code=error.code)
        await self.misses.flush()
        await self.ledger.close()
        await self.reader.close()
        await self._rows.close()
        await self.view.close()
        self.reads.shutdown(wait=False, cancel_futures=True)
        self.steps.shutdown(wait=False, cancel_futures=True)
        self.files.shutdown(wait=False, cancel_futures=True)
        self.registry.close()
        self.hub.close()

    async def ready(self) -> Mapping[str, str]:
        """Return, for each thing the hub's work needs, ``ready`` or the code of what is wrong."""
        checks = {
            "registry": self._registry(),
            "store": self.reader.check(),
            "ledger": self._ledger(),
            "worker": self._worker(),
        }
        found = await asyncio.gather(*checks.values(), return_exceptions=True)
        out = {}
        for name, result in zip(checks, found, strict=True):
            out[name] = _READY if result is None else result.code if isinstance(result, OneDoorError) else type(result).__name__
        return out

    async def _registry(self) -> None:
        self.view.refuse_if_stale()

    async def _ledger(self) -> None:
        await self.ledger.check()
        failure = TransientError(
            "the ledger cannot be written to", code="ledger.away", where="trust.ledger", remedy="see onedoor doctor"
        )
        await probe(self._url, "SELECT has_table_privilege('trust.ledger', 'INSERT')", 2.0, failure)

    async def _worker(self) -> None:
        def look() -> bool:
            with self.hub.connect(autocommit=True) as connection:
                row = connection.execute(
                    "SELECT count(*) FROM exchange.duty WHERE name = 'outbox' AND expires_at > %s",  # a short one
                    [datetime.fromtimestamp(time.time(), UTC)],
                ).fetchone()
                return bool(row and row[0])

        if not await asyncio.to_thread(look):
            raise TransientError(
                "no worker is alive", code="worker.none", remedy="start one with `onedoor up` or `onedoor worker`"
            )

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self.quotas.tidy()

    async def _sum_up(self) -> None:
        while True:
            await asyncio.sleep(5.0)
            try:
                await self.lookup.refusals.flush(ended_only=True)
            except TransientError as error:
                self.log.warning("sums of refusals wait", code=error.code)
            await self.misses.flush()
