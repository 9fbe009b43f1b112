"""Rows by key, for many requests at once: all that ask in one moment share one statement on one connection."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from schemas.errors import TransientError

Row = Mapping[str, Any]
MOST: Final = 512


class GroupedReader:
    """Reads serving tables by one column. Used in one event loop.

    ``rows(table, column, key)`` waits for the statement that is under way, then goes with all others that wait.
    """

    def __init__(self, url: str, *, timeout_s: float = 2.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._waiting: dict[tuple[str, str], list[tuple[Any, asyncio.Future[Sequence[Row]]]]] = defaultdict(list)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection[Any] | None = None
        self._statements: dict[tuple[str, str], Any] = {}

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._run(), name="grouped-reader")

    async def close(self) -> None:
        """Stop, and let go of the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._drop()

    async def rows(self, table: str, column: str, key: Any) -> Sequence[Row]:
        """Return the rows of ``store.<table>`` whose ``column`` is ``key``; both names come from a contract.

        Raises:
            TransientError: the store is away (``store.away``).
        """
        future: asyncio.Future[Sequence[Row]] = asyncio.get_running_loop().create_future()
        self._waiting[table, column].append((key, future))
        self._wake.set()
        return await future

    async def check(self) -> None:
        """Return when the store answers. Raises ``TransientError`` otherwise."""
        try:
            probe = await asyncpg.connect(self._url, timeout=self._timeout_s)
            try:
                await probe.execute("SELECT 1", timeout=self._timeout_s)
            finally:
                probe.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            raise _away() from None

    async def _run(self) -> None:
        while True:
            if not any(self._waiting.values()):
                self._wake.clear()
                await self._wake.wait()
            for place in [p for p, asked in self._waiting.items() if asked]:
                asked, self._waiting[place] = self._waiting[place][:MOST], self._waiting[place][MOST:]
                await self._read(place, asked)

    async def _read(self, place: tuple[str, str], asked: list[tuple[Any, asyncio.Future[Sequence[Row]]]]) -> None:
        try:
            found = await self._fetch(place, list({key for key, _ in asked}))
        except asyncpg.UndefinedTableError:
            found = []  # nothing of this resource has landed yet
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._drop()
            for _, future in asked:
                if not future.done():
                    future.set_exception(_away())
            return
        by_key: dict[Any, list[Row]] = defaultdict(list)
        for row in found:
            by_key[row[place[1]]].append(row)
        for key, future in asked:
            if not future.done():
                future.set_result(by_key.get(key, ()))

    async def _fetch(self, place: tuple[str, str], keys: list[Any]) -> list[Any]:
        for attempt in (1, 2):
            try:
                statement = self._statements.get(place) or await self._prepare(place)
                rows: list[Any] = await statement.fetch(keys, timeout=self._timeout_s)
                return rows
            except (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError, asyncpg.FeatureNotSupportedError):
                self._drop()  # the table was swapped for one of another shape
                if attempt == 2:
                    raise
        return []

    async def _prepare(self, place: tuple[str, str]) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._drop()
            self._connection = await asyncpg.connect(self._url, timeout=self._timeout_s, statement_cache_size=0)
        table, column = (name.replace('"', '""') for name in place)
        self._statements[place] = await self._connection.prepare(f'SELECT * FROM store."{table}" WHERE "{column}" = ANY($1)')
        return self._statements[place]

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._statements.clear()
        if connection is not None:
            connection.terminate()


def _away() -> TransientError:
    return TransientError(
        "the store cannot be read",
        code="store.away",
        remedy="it goes on by itself when the database is back; see `onedoor doctor`",
    )
