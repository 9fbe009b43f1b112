"""Landed rows in the order of their key, a batch at a time, all of one run.

Each batch is one statement that begins after the last key, so that nothing is held while a slow reader takes its time: no
connection, no lock that would keep the next full load from being swapped in. After each batch it is asked which run the table
is of; where that is another one than at the beginning, the batch is not given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import pyarrow as pa

from exchange.licences.grouped import DRIVER, Row, away
from exchange.trust.plain import Value, value_of
from schemas.canonical import NULL, text_column
from schemas.contract import DataContract
from schemas.errors import OneDoorError, TransientError
from schemas.landed import key_columns
from schemas.types import arrow_type

CONNECTIONS: Final = 8
_BUSY_S: Final = 10.0
_RUN: Final = """
SELECT id, contract_version, as_of_first FROM exchange.run
WHERE resource = $1 AND state = 'proved' ORDER BY started_at DESC LIMIT 1
"""
_LANDED: Final = """
SELECT r.id, r.contract_version, r.as_of_first, s.version FROM exchange.run r
LEFT JOIN registry.resource s ON s.name = r.resource
WHERE r.resource = $1 AND r.state = 'proved' ORDER BY r.started_at DESC LIMIT 1
"""


class ReplacedError(TransientError):
    """A later run has landed while rows of the one before were read."""

    def __init__(self, resource: str) -> None:
        super().__init__(
            "a later run has landed while the rows were read",
            code="records.replaced",
            where=f"store.{resource}",
            remedy="begin again: ask without a page",
        )


@dataclass(frozen=True, slots=True)
class Landed:
    """The run that a serving table is of, the contract version of its rows, the instant as of which it holds.

    ``in_force`` is the contract version in force, which may be a later one; None: there is none.
    """

    run: str
    version: str
    as_of: datetime | None
    in_force: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Which columns of which rows are read: those for which all conditions hold, whose parameters are ``arguments``."""

    contract: DataContract
    run: str
    columns: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    arguments: tuple[object, ...] = ()

    def statement(self, *, after: bool) -> str:
        """Return the statement of a batch; its parameters are the arguments, the key to begin after, how many rows."""
        key = [_quoted(name) for name in key_columns(self.contract)]
        terms, count = list(self.conditions), len(self.arguments)
        if after:
            places = ", ".join(f"${count + i}" for i in range(1, len(key) + 1))
            terms.append(f"({', '.join(key)}) > ({places})")
            count += len(key)
        columns = ", ".join(_quoted(name) for name in dict.fromkeys((*self.columns, *key_columns(self.contract), "_row_hash")))
        where = f" WHERE {' AND '.join(f'({term})' for term in terms)}" if terms else ""
        table = f"store.{_quoted(self.contract.name)}"
        return f"SELECT {columns} FROM {table}{where} ORDER BY {', '.join(key)} LIMIT ${count + 1}"


class RecordReader:
    """Reads serving tables by key. Used in one event loop."""

    def __init__(self, url: str, *, timeout_s: float = 60.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._pool: Any = None

    async def landed(self, resource: str) -> Landed | None:
        """Return the run that a resource's serving table is of, or None where nothing has landed yet.

        Raises ``TransientError`` (``store.away``) where the store is away.
        """
        try:
            async with (await self._connections()).acquire(timeout=_BUSY_S) as connection:
                row = await connection.fetchrow(_LANDED, resource, timeout=self._timeout_s)
        except DRIVER:
            raise away() from None
        return None if row is None else Landed(*row)

    async def batch(self, reading: Reading, after: Sequence[Value], most: int) -> list[Row]:
        """Return the next rows after a landed key, ``most`` at most, in the key's order.

        Raises:
            ReplacedError: the table is of another run than the reading.
            TransientError: the store is away.
        """
        statement = reading.statement(after=bool(after))
        resource = reading.contract.name
        try:
            async with (await self._connections()).acquire(timeout=_BUSY_S) as connection:
                try:
                    rows: list[Row] = await connection.fetch(
                        statement, *reading.arguments, *after, most, timeout=self._timeout_s
                    )
                except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.FeatureNotSupportedError):
                    raise ReplacedError(resource) from None
                now = await connection.fetchrow(_RUN, resource, timeout=self._timeout_s)
        except OneDoorError:
            raise
        except DRIVER:
            raise away() from None
        if (
            now is None or now[0] != reading.run
        ):  # runs follow one another: if it is still this one, it was when the rows were read
            raise ReplacedError(resource)
        return rows

    async def close(self) -> None:
        """Let go of the connections."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def _connections(self) -> Any:
        if self._pool is None:
            self._pool = asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=CONNECTIONS,
                timeout=_BUSY_S,
                connection_class=_Connection,
                server_settings={
                    "application_name": "onedoor records",
                    "default_transaction_read_only": "on",
                    "jit": "off",
                    "plan_cache_mode": "force_custom_plan",  # planned with its limit, it reads along the key
                },
            )
        return await self._pool


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that nothing is left on: what it is asked are plain reads, so that giving it back costs no round trip."""

    def get_reset_query(self) -> str:
        return ""


def key_of(row: Row, contract: DataContract) -> tuple[Value, ...]:
    """Return the landed key of a row as the store gave it."""
    return tuple(row[name] for name in key_columns(contract))


def key_texts(key: Sequence[Value], contract: DataContract) -> tuple[str, ...]:
    """Return a landed key as canonical texts; a keyed hash as hex."""
    kinds = [pa.binary() if f.personal else arrow_type(f) for f in contract.key]
    texts = [text_column(pa.array([value], kind))[0].as_py() for value, kind in zip(key, kinds, strict=True)]
    return tuple(NULL if text is None else str(text) for text in texts)


def key_values(texts: Sequence[str], contract: DataContract) -> tuple[Value, ...]:
    """Return the landed key of which these are the canonical texts. Raises ``ValueError`` where they are of another key."""
    return tuple(
        bytes.fromhex(text) if f.personal else value_of(f.logical_type, text)
        for f, text in zip(contract.key, texts, strict=True)
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
