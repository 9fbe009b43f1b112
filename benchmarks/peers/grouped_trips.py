"""The limit of the look-up on a machine: its three statements, grouped as the hub groups them, and nothing else.

A plain ASGI app reads a case by its number, then a licence by its key, then writes one line durably. No token, no grant, no
purpose, no decision, no hash, no decryption, no chain. ``BENCH_PEER_URL`` names the database.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from exchange.licences.grouped import GroupedReader, Place

TABLE = "bench_limit_line"
LINE = b"x" * 500
"""About as long as a record of the ledger."""

_CREATE = f"CREATE TABLE IF NOT EXISTS {TABLE} (n bigint PRIMARY KEY, line bytea)"
_INSERT = f"INSERT INTO {TABLE} SELECT * FROM unnest($1::bigint[], $2::bytea[])"


class _Lines:
    """Writes the lines of one moment together."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._n = int(datetime.now(UTC).timestamp() * 1e6)

    def write(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._wake.set()
        return future

    async def run(self) -> None:
        connection = await asyncpg.connect(self._url, statement_cache_size=0)
        insert = await connection.prepare(_INSERT)
        while True:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch, self._waiting = self._waiting, []
            await insert.fetch(list(range(self._n, self._n + len(batch))), [LINE] * len(batch))
            self._n += len(batch)
            for future in batch:
                future.set_result(None)


class App:
    """The ASGI app."""

    def __init__(self) -> None:
        self._url = os.environ["BENCH_PEER_URL"]

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Serve a request, or start and stop."""
        if scope["type"] == "lifespan":
            await receive()
            await self._start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        case_number = msgspec.json.decode((await receive())["body"])["case_number"]
        await self._reader.rows(self._case, case_number)
        (row,) = await self._reader.rows(self._licence, "L" + case_number.removeprefix("CASE-"))
        await self._lines.write()
        body = msgspec.json.encode({name: row[name] for name in ("licence_id", "licence_type", "licence_number", "state")})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _start(self) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute(_CREATE)
        oid = "SELECT $1::regclass::oid"
        case, licence = [await connection.fetchval(oid, f"store.bench_{name}") for name in ("cases", "licences")]
        await connection.close()
        self._case = Place("bench_cases", case, "case_number", ("case_number", "item_code", "state"))
        columns = ("licence_id", "licence_type", "licence_number", "state", "_sealed", "_key_id")
        self._licence = Place("bench_licences", licence, "licence_id", columns)
        self._reader = GroupedReader(self._url)
        self._lines = _Lines(self._url)
        self._task = asyncio.create_task(self._lines.run())


app = App()
