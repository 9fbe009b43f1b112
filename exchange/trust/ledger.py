"""The ledger: every use is recorded, durably, before its answer leaves.

``Ledger`` is for workers and commands, ``AsyncLedger`` for the API. Both write chains (``exchange.trust.record``) that no
failure forks or leaves a gap in: a batch commits as a whole, and after an outcome that is not known a new chain starts that
cites the last record known to be there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from threading import Lock
from typing import Any, Final

import asyncpg
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from exchange.trust.keyring import Connect, KeyRing
from exchange.trust.record import GENESIS, SALT_BYTES, LedgerRecord, Line, Receipt, lines_after, refuse_unwritable, start_record
from schemas.clock import Clock
from schemas.errors import DefectError, TransientError

__all__ = ["AsyncLedger", "Ledger", "LedgerRecord", "Receipt"]

_HEAD: Final = "SELECT n, hash FROM trust.ledger WHERE chain = %s ORDER BY n DESC LIMIT 1"
_CHECKPOINT: Final = "SELECT n, body FROM trust.checkpoint ORDER BY n DESC LIMIT 1"
_INSERT: Final = (
    "INSERT INTO trust.ledger (chain, n, at, kind, record, hash)"
    " SELECT {}::text, l.n, l.at, l.kind, l.record, l.hash"
    " FROM unnest({}::bigint[], {}::timestamptz[], {}::text[], {}::bytea[], {}::bytea[]) AS l (n, at, kind, record, hash)"
)
_DRIVER: Final = (
    *(OSError, EOFError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError),
    asyncpg.InternalClientError,  # what a prepared statement raises where its connection was cut a moment ago
)
_INSERT_PSYCOPG: Final = _INSERT.format(*["%s"] * 6)
_INSERT_ASYNCPG: Final = _INSERT.format(*[f"${i}" for i in range(1, 7)])


class Ledger:
    """One process' writer for work that can wait for a commit. Safe for threads."""

    def __init__(self, connect: Connect, clock: Clock, incarnation: str, random: Callable[[int], bytes] = os.urandom) -> None:
        self._connect = connect
        self._clock = clock
        self._chain = incarnation
        self._random = random
        self._known: Receipt | None = None
        self._lock = Lock()

    @classmethod
    def open(cls, connect: Connect, keys: KeyRing, clock: Clock, incarnation: str) -> Ledger:
        """Return the writer of a chain.

        Args:
            connect: opens a connection of the hub's database.
            keys: the key ring; records need no key, an installation without its keys records nothing.
            clock: gives each record its instant.
            incarnation: names the chain; another for each start of a process.
        """
        keys.ledger_key_id()
        return cls(connect, clock, incarnation)

    @property
    def chain(self) -> str:
        """The name of the chain."""
        return self._chain

    def append(self, records: Sequence[LedgerRecord], *, within: psycopg.Connection[Any] | None = None) -> list[Receipt]:
        """Record, in order, all or none; committed on return.

        Args:
            records: what happened.
            within: a connection with an open transaction, with which the records become durable, or are gone if it rolls
                back. It holds the chain until its end: call this last before the commit.

        Raises:
            TransientError: the ledger is away (``ledger.away``); nothing, or everything, was recorded.
            DefectError: the end of this chain was cut or altered behind the writer (``ledger.cut``).
        """
        if not records:
            return []
        for record in records:
            refuse_unwritable(record)
        if within is not None:
            with _away():
                return self._write(within, records)
        with self._lock, _away():
            with self._connect() as connection:
                receipts = self._write(connection, records)
            self._known = receipts[-1]
            return receipts

    def _write(self, connection: psycopg.Connection[Any], records: Sequence[LedgerRecord]) -> list[Receipt]:
        # The head is read under the lock of the chain each time: a rolled-back writer leaves nothing to remember.
        if connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
            raise DefectError("a ledger record needs an open transaction", code="ledger.no_transaction", where=self._chain)
        cursor = connection.cursor(row_factory=tuple_row)
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_chain_lock(self._chain),))
        head = cursor.execute(_HEAD, (self._chain,), binary=True).fetchone()
        self._refuse_cut(cursor, head)
        start = 0
        if head is None:
            records = [start_record(_cited(cursor.execute(_CHECKPOINT, binary=True).fetchone())), *records]
            start = 1
        n, previous = (0, GENESIS) if head is None else (head[0] + 1, bytes(head[1]))
        salts = self._random(SALT_BYTES * len(records))
        lines = lines_after(previous, records, chain=self._chain, n=n, at=self._clock.now(), salts=salts)
        cursor.execute(_INSERT_PSYCOPG, (self._chain, *_columns(lines)))
        return [line.receipt for line in lines[start:]]

    def _refuse_cut(self, cursor: psycopg.Cursor[tuple[Any, ...]], head: tuple[Any, ...] | None) -> None:
        known = self._known
        if known is None:
            return
        stored = head
        if head is not None and head[0] > known.n:  # a transaction given as ``within`` went further
            stored = cursor.execute(
                "SELECT n, hash FROM trust.ledger WHERE chain = %s AND n = %s", (known.chain, known.n), binary=True
            ).fetchone()
        if stored is None or stored[0] != known.n or bytes(stored[1]).hex() != known.hash:
            raise DefectError(
                "the ledger no longer holds what was committed to it",
                code="ledger.cut",
                where=f"trust.ledger chain {known.chain} n {known.n}",
                remedy="run onedoor audit verify, and find who can write to the ledger",
            )


class AsyncLedger:
    """The API's writer: all records of one moment share one insert, on a connection of its own. Used in one event loop."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        incarnation: str,
        *,
        timeout_s: float = 2.0,
        batch_records: int = 1024,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._url = url
        self._clock = clock
        self._incarnation = incarnation
        self._timeout_s = timeout_s
        self._batch = batch_records
        self._random = random
        self._waiting: list[tuple[LedgerRecord, asyncio.Future[Receipt]]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection[Any] | None = None
        self._insert: Any = None
        self._chain: str | None = None
        self._chains = 0
        self._known: Receipt | None = None
        self._closed = False

    @classmethod
    async def open(cls, url: str, keys: KeyRing, clock: Clock, incarnation: str, *, timeout_s: float = 2.0) -> AsyncLedger:
        """Return a writer whose flusher runs. It connects at the first record; a ledger that is away does not stop a start.

        Args:
            url: the hub's database, as a role that may append to ``trust.ledger`` and read ``trust.checkpoint``.
            keys: the key ring; an installation without its keys records nothing.
            clock: gives each record its instant.
            incarnation: names the chains of this writer; another for each start of a process.
            timeout_s: the longest that a record waits before it is refused.
        """
        keys.ledger_key_id()
        ledger = cls(url, clock, incarnation, timeout_s=timeout_s)
        ledger._task = asyncio.create_task(ledger._run(), name="ledger")
        return ledger

    async def append(self, record: LedgerRecord) -> Receipt:
        """Record; committed on return.

        Raises:
            TransientError: the ledger is away (``ledger.away``): give no answer. The record may have been kept all the same.
            RejectedError: a text of the record is no Unicode text (``ledger.text``).
        """
        if self._closed or self._task is None or self._task.done():
            raise _away_error()
        refuse_unwritable(record)
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, future))
        self._wake.set()
        return await future

    async def check(self) -> None:
        """Return when the ledger can be written to. Raises ``TransientError`` ``ledger.away`` otherwise. Writes nothing.

        Where no record went well since the last failure, a record is made and written as any other, and rolled back.
        """
        if self._task is None or self._task.done():
            raise _away_error()
        if self._connection is not None and not self._connection.is_closed():
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._try()
        except _DRIVER as error:
            raise _away_error() from error
        except Exception:  # noqa: BLE001 - what stops a record stops this one; its words may repeat one
            raise _away_error() from None

    async def _try(self) -> None:
        """Do all that a first record needs, on a connection of its own, and take it back."""
        probe = await asyncpg.connect(self._url, statement_cache_size=0)
        try:
            insert = await probe.prepare(_INSERT_ASYNCPG)
            transaction = probe.transaction()
            await transaction.start()
            first = [start_record(_cited(await probe.fetchrow(_CHECKPOINT)), self._known)]
            chain, salts = f"{self._incarnation}.tried", self._random(SALT_BYTES)
            await insert.fetch(
                chain, *_columns(lines_after(GENESIS, first, chain=chain, n=0, at=self._clock.now(), salts=salts))
            )
            await transaction.rollback()
        finally:
            probe.terminate()

    async def close(self) -> None:
        """Write what waits, and let go of the connection."""
        self._closed = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def _run(self) -> None:
        try:
            while True:
                if not self._waiting:
                    if self._closed:
                        return
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
                try:
                    await self._flush(batch)
                except Exception:  # noqa: BLE001 - its batch is refused; the next record has a new chain and connection
                    self._drop()
        finally:
            _refuse(self._waiting, None)
            self._waiting = []
            self._drop()

    async def _flush(self, batch: list[tuple[LedgerRecord, asyncio.Future[Receipt]]]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                receipts = await self._commit([record for record, _ in batch])
        except _DRIVER as error:
            # Whether the batch is there is not known: never write to this chain again. Who came meanwhile waits no longer.
            self._drop()
            batch, self._waiting = batch + self._waiting, []
            _refuse(batch, error)
        else:
            for (_, future), receipt in zip(batch, receipts, strict=True):
                if not future.done():  # its request was cancelled while it waited
                    future.set_result(receipt)
        finally:
            _refuse(batch, None)  # whatever stopped the flusher, nobody waits for ever

    async def _commit(self, records: list[LedgerRecord]) -> list[Receipt]:
        if self._connection is None or self._connection.is_closed():
            await self._connect()
        start = 0
        chain = self._chain
        if chain is None:
            chain = f"{self._incarnation}.{self._chains}"
            self._chains += 1
            row = await self._connection.fetchrow(_CHECKPOINT)  # type: ignore[union-attr]
            records = [start_record(_cited(row), self._known), *records]
            start = 1
        n, previous = (0, GENESIS) if start or self._known is None else (self._known.n + 1, bytes.fromhex(self._known.hash))
        lines = lines_after(
            previous, records, chain=chain, n=n, at=self._clock.now(), salts=self._random(SALT_BYTES * len(records))
        )
        await self._insert.fetch(chain, *_columns(lines))
        self._chain, self._known = chain, lines[-1].receipt
        return [line.receipt for line in lines[start:]]

    async def _connect(self) -> None:
        self._connection = await asyncpg.connect(self._url, timeout=self._timeout_s, statement_cache_size=0)
        self._insert = await self._connection.prepare(_INSERT_ASYNCPG)

    def _drop(self) -> None:
        connection, self._connection, self._insert, self._chain = self._connection, None, None, None
        if connection is not None:
            connection.terminate()


def _columns(lines: Sequence[Line]) -> tuple[list[Any], ...]:
    return (
        [line.n for line in lines],
        [line.at for line in lines],
        [line.kind for line in lines],
        [line.record for line in lines],
        [line.hash for line in lines],
    )


def _cited(row: Any) -> tuple[int, bytes] | None:
    return None if row is None else (row[0], sha256(bytes(row[1])).digest())


def _chain_lock(chain: str) -> int:
    return int.from_bytes(sha256(b"onedoor ledger chain " + chain.encode()).digest()[:8], "big", signed=True)


def _refuse(batch: Sequence[tuple[LedgerRecord, asyncio.Future[Receipt]]], cause: Exception | None) -> None:
    for _, future in batch:
        if not future.done():
            failure = _away_error()
            failure.__cause__ = cause
            future.set_exception(failure)


def _away_error() -> TransientError:
    return TransientError(
        "the ledger cannot be written to, so nothing is answered",
        code="ledger.away",
        where="trust.ledger",
        remedy="see onedoor doctor; it goes on by itself when the database is back",
    )


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise _away_error() from error
    except psycopg.Error as error:
        if error.sqlstate in ("25P03", "25P04"):  # the server ended the session, or its transaction, for taking too long
            raise _away_error() from error
        raise DefectError(
            "the ledger refused a record",
            code="ledger.refused",
            where="trust.ledger",
            remedy="check that the role may append to trust.ledger and that the schema is current: onedoor doctor",
        ) from error
