"""Answers with many personal rows, approved beforehand by a second person, used once; and that rows left in bulk at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import asyncpg

from catalog_registry.records import BulkExportRecord
from catalog_registry.registry import Registry
from catalog_registry.store.rows import unhinted
from exchange.licences.grouped import DRIVER, away
from schemas.clock import Clock
from schemas.errors import DeniedError, Fault, RejectedError
from schemas.rowfilter import Filter

_NOTE: Final = "INSERT INTO exchange.grant_bulk (grant_id, first_at) VALUES ($1, $2) ON CONFLICT DO NOTHING"

Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class Use:
    """What a query would use a bulk export for."""

    grant: str
    principal: str
    purpose: str
    fields: tuple[str, ...]
    chosen_by: Filter | None

    def fits(self, export: BulkExportRecord) -> bool:
        """Say whether it is what was approved: the same grant, account, purpose and rows, and no more fields."""
        return (
            (self.grant, self.principal, self.purpose) == (export.grant, export.principal, export.purpose)
            and set(self.fields) <= set(export.fields)
            and (None if self.chosen_by is None else self.chosen_by.text) == export.row_filter
        )


class Bulk:
    """What the registry knows of bulk exports, for one event loop.

    Args:
        url: libpq URL of the hub's database, as the API's role.
        reads: the registry, to read.
        steps: the registry, to take steps.
        reading: threads of the reads.
        stepping: the thread of the steps.
        clock: the hub's clock.
        free_rows: rows with personal fields that a case is enough for.
    """

    def __init__(
        self,
        url: str,
        reads: Registry,
        steps: Registry,
        reading: ThreadPoolExecutor,
        stepping: ThreadPoolExecutor,
        clock: Clock,
        free_rows: int,
    ) -> None:
        self.free_rows = free_rows
        self._url = url
        self._reads = reads
        self._steps = steps
        self._reading = reading
        self._stepping = stepping
        self._clock = clock
        self._noted: set[str] = set()

    async def check(self, export: str, use: Use, *, begun: bool) -> None:
        """Return where an export was approved for a query and its time is not over; ``begun``: its first page was given.

        Raises:
            DeniedError: there is none, or it is for another question, account or time (``query.bulk_export``).
        """
        try:
            found = await _in(self._reading, lambda: self._reads.bulk_export(export))
        except RejectedError as error:
            if error.code != "export.unknown":
                raise
            raise _refused("there is no such bulk export for this client") from None
        if use.principal != found.principal:
            raise _refused("there is no such bulk export for this client")
        wanted = "used" if begun else "approved"
        if found.state != wanted or found.until is None or self._clock.now() >= found.until:
            over = found.until is not None and self._clock.now() >= found.until
            raise _refused(f"the bulk export is {'over' if over else found.state}, and one that is {wanted} was expected")
        if not use.fits(found):
            raise _refused("the bulk export was approved for another grant, purpose, filter or other fields")

    async def use(self, export: str, use: Use) -> None:
        """Use an export up. Of two queries that use it at the same moment, one is refused."""
        try:
            await _in(self._stepping, lambda: self._steps.use_bulk_export(export, by=use.principal))
        except RejectedError as error:
            if error.code != "export.state":
                raise
            raise _refused("the bulk export is used") from None

    async def note(self, grant: str, now: datetime) -> None:
        """Note that rows leave in bulk under a grant: its end leaves a duty to destroy. Once in a process for each grant.

        Raises ``TransientError`` (``store.away``) where that cannot be kept.
        """
        if grant in self._noted:
            return
        try:
            connection: asyncpg.Connection[Any] = await asyncpg.connect(self._url, timeout=3.0)
            try:
                await connection.execute(_NOTE, grant, now, timeout=3.0)
            finally:
                connection.terminate()
        except DRIVER:
            raise away() from None
        self._noted.add(grant)


async def _in(threads: ThreadPoolExecutor, do: Callable[[], Given]) -> Given:
    def done() -> Given:
        with unhinted():
            return do()

    return await asyncio.get_running_loop().run_in_executor(threads, done)


def _refused(message: str) -> DeniedError:
    return DeniedError(
        message,
        code="query.bulk_export",
        where="bulk_export",
        remedy="ask for one at /api/v1/bulk-exports, and have it approved",
        fault=Fault.CLIENT,
    )
