"""The peer of the look-up: a hand-written FastAPI route that reads one row by its key through an asyncpg pool, nothing else.

No token, no grant, no case, no purpose, no decryption, no record. ``BENCH_PEER_URL`` names the database.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException

TABLE = "bench_peer_licence"


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool(os.environ["BENCH_PEER_URL"], min_size=10, max_size=10)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=_lifespan)


@app.get("/licences/{licence_id}")
async def licence(licence_id: str) -> dict[str, Any]:
    """Return one licence."""
    row = await app.state.pool.fetchrow(
        f"SELECT licence_id, licence_type, licence_number, holder_name, state, issued_on, valid_from, valid_to, trust_level"
        f" FROM {TABLE} WHERE licence_id = $1",
        licence_id,
    )
    if row is None:
        raise HTTPException(404)
    return dict(row)
