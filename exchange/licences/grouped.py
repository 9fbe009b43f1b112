"""Rows by key, for many requests at once: all that ask a table in one moment share one statement."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from schemas.errors import DefectError, OneDoorError, TransientError

Row = Mapping[str, Any]
MOST: Final = 512
"""Keys of one statement."""

DRIVER: Final = (
    *(OSError, EOFError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError),
    asyncpg.InternalClientError,  # what a prepared statement raises where its connection was cut a moment ago
)
_OTHER_SHAPE: Final = (
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
    asyncpg.FeatureNotSupportedError,  # cached plan must not change result type
)
_NOT_THERE: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)


class ChangedError(TransientError):
    """The serving table is another one than the asker knows: look at the registry again, then ask again."""

    def __init__(self, table: str) -> None:
        super().__init__("the serving table was replaced while it was asked", code="store.changed", where=f"store.{table}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows are read: columns of a serving table by one of them. All names come from a contract.

    ``oid`` is the table's identity, so that rows of a table that replaced it are never read as if they were of this one.
    """

    table: str
    oid: int
    column: str
    columns: tuple[str, ...]


class GroupedReader:
    """Reads serving tables by key, each on a connection of its own. Used in one event loop."""

    def __init__(self, url: str, *, timeout_s: float = 2.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._lanes: dict[tuple[str, str], _Lane] = {}

    def rows(self, place: Place, key: str | bytes) -> asyncio.Future[Sequence[Row]]:
        """Return, when awaited, the rows of a place whose ``column`` is ``key``.

        It waits for the statement that is under way, then goes with all others that wait.

        Raises:
            ChangedError: the table was replaced.
            TransientError: the store is away (``store.away``).
        """
        lane = self._lanes.get((place.table, place.column))
        if lane is None or lane.place != place or lane.task.done():
            if lane is not None:
                lane.retire()
            lane = self._lanes[place.table, place.column] = _Lane(self._url, place, self._timeout_s)
        future: asyncio.Future[Sequence[Row]] = asyncio.get_running_loop().create_future()
        lane.ask(key, future)
        return future

    async def close(self) -> None:
        """Stop, and let go of the connections."""
        for lane in self._lanes.values():
            lane.task.cancel()
        await asyncio.gather(*(lane.task for lane in self._lanes.values()), return_exceptions=True)
        self._lanes.clear()

    async def check(self) -> None:
        """Return when the store answers. Raises ``TransientError`` otherwise."""
        await probe(self._url, "SELECT true", self._timeout_s, away())


async def probe(url: str, query: str, timeout_s: float, failure: OneDoorError) -> None:
    """Return when a query, on a connection of its own, says true; raise ``failure`` otherwise."""
    try:
        connection = await asyncpg.connect(url, timeout=timeout_s)
        try:
            held = await connection.fetchval(query, timeout=timeout_s)
        finally:
            connection.terminate()
    except DRIVER:
        raise failure from None
    if not held:
        raise failure


def away() -> TransientError:
    """Return the error that says that the store is away."""
    return TransientError(
        "the store cannot be read",
        code="store.away",
        remedy="it goes on by itself when the database is back; see `onedoor doctor`",
    )


class _Lane:
    """One place, one connection, one task: what waits is asked together."""

    def __init__(self, url: str, place: Place, timeout_s: float) -> None:
        self.place = place
        self._url = url
        self._timeout_s = timeout_s
        self._waiting: list[tuple[str | bytes, asyncio.Future[Sequence[Row]]]] = []
        self._wake = asyncio.Event()
        self._retired = False
        self._connection: asyncpg.Connection[Any] | None = None
        self._statement: Any = None
        self.task = asyncio.create_task(self._run(), name=f"reader of {place.table}")

    def ask(self, key: str | bytes, future: asyncio.Future[Sequence[Row]]) -> None:
        self._waiting.append((key, future))
        self._wake.set()

    def retire(self) -> None:
        """End after what waits has been answered."""
        self._retired = True
        self._wake.set()

    async def _run(self) -> None:
        asked: list[tuple[str | bytes, asyncio.Future[Sequence[Row]]]] = []
        try:
            while self._waiting or not self._retired:
                if not self._waiting:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                asked, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._read(asked)
        finally:  # whatever stopped the lane, nobody waits for ever
            _refuse(asked + self._waiting, DefectError("the store's reader has stopped", code="store.reader"))
            self._waiting = []
            self._drop()

    async def _read(self, asked: list[tuple[str | bytes, asyncio.Future[Sequence[Row]]]]) -> None:
        try:
            found = await self._fetch(list({key for key, _ in asked}))
        except _NOT_THERE:
            _refuse(asked, ChangedError(self.place.table))
            return
        except DRIVER:
            self._drop()
            late, self._waiting = self._waiting, []  # who came meanwhile waits no longer
            _refuse(asked + late, away())
            return
        column = self.place.column
        if found and found[0]["tableoid"] != self.place.oid:
            _refuse(asked, ChangedError(self.place.table))
            return
        by_key: dict[Any, list[Row]] = defaultdict(list)
        for row in found:
            by_key[row[column]].append(row)
        for key, future in asked:
            if not future.done():  # its request was cancelled while it waited
                future.set_result(by_key.get(key, ()))

    async def _fetch(self, keys: list[str | bytes]) -> list[Any]:
        try:
            return await self._ask(keys)
        except _OTHER_SHAPE:
            self._drop()  # the statement was made for a table that is gone
            return await self._ask(keys)

    async def _ask(self, keys: list[str | bytes]) -> list[Any]:
        if self._statement is None or self._connection is None or self._connection.is_closed():
            self._drop()
            self._connection = await asyncpg.connect(
                self._url,
                timeout=self._timeout_s,
                statement_cache_size=0,
                server_settings={"plan_cache_mode": "force_generic_plan"},  # else it is planned anew each time
            )
            columns = ", ".join(_quoted(name) for name in self.place.columns)
            self._statement = await self._connection.prepare(
                f"SELECT tableoid, {columns} FROM store.{_quoted(self.place.table)}"
                f" WHERE {_quoted(self.place.column)} = ANY($1)"
            )
        rows: list[Any] = await self._statement.fetch(keys, timeout=self._timeout_s)
        return rows

    def _drop(self) -> None:
        connection, self._connection, self._statement = self._connection, None, None
        if connection is not None:
            connection.terminate()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _refuse(asked: Sequence[tuple[str | bytes, asyncio.Future[Sequence[Row]]]], failure: OneDoorError) -> None:
    for _, future in asked:
        if not future.done():
            future.set_exception(failure)
