"""The peer of the record query: rows read with asyncpg by a cursor and written as NDJSON by hand, nothing else.

No token, no grant, no filter, no consistent pages, no record. ``BENCH_PEER_URL`` names the database.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import msgspec
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

COLUMNS: Final = (
    "orderkey, custkey, orderstatus, totalprice, orderdate, orderpriority, clerk, shippriority, comment"  # as they are granted
)
ROWS_AT_ONCE: Final = 1_000
_encode_lines: Final = msgspec.json.Encoder().encode_lines


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool(os.environ["BENCH_PEER_URL"], min_size=4, max_size=4)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=_lifespan)


@app.get("/orders")
async def orders(after: int, limit: int) -> StreamingResponse:
    """Return orders after a key."""
    return StreamingResponse(_lines(after, limit), media_type="application/x-ndjson")


async def _lines(after: int, limit: int) -> AsyncIterator[bytes]:
    async with app.state.pool.acquire() as connection, connection.transaction():
        cursor = await connection.cursor(
            f"SELECT {COLUMNS} FROM store.orders WHERE orderkey > $1 ORDER BY orderkey LIMIT $2", after, limit
        )
        while rows := await cursor.fetch(ROWS_AT_ONCE):
            yield _encode_lines([dict(row) for row in rows])
