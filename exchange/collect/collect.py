"""Collecting: source → conform → check → seal → bus, chunk by chunk, so that a kill at any point loses and doubles nothing."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from psycopg.types.json import Jsonb

from connectors.api import BoundKind, Source, SourceState, Window
from exchange.bus.api import Message, Topic
from exchange.collect.chunks import RawChunk, cut
from exchange.collect.messages import Encoder, Origin, Total, end_messages
from exchange.collect.sample import Sample
from exchange.crash import reach
from exchange.store import quarantine, runs, tables
from exchange.store.close import share_within
from exchange.store.database import Connection, translated
from exchange.store.quarantine import SetAside, set_aside_of
from exchange.store.runs import Run
from exchange.trust.seal import open_value, seal_batch, seal_value
from quality.checks import Checks, compile_checks
from quality.gate import check
from schemas.clock import CHINA
from schemas.conform import conform
from schemas.contract import DataContract, LogicalType
from schemas.errors import DefectError, Fault, OneDoorError, RejectedError, TransientError
from schemas.ids import new_id
from schemas.resource import data_topic

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

QUEUE: Final = 4
BATCH_ROWS: Final = 20_000
FIRST_ROWS_PER_MESSAGE: Final = 8_000
TRY_S: Final = 5.0
"""Seconds that chunks only go to the spool after the broker took nothing: each try may wait for its time-out."""
LOCK_S: Final = 1.0
"""Seconds that a collection waits for one that was killed just now: its session ends a moment after its process."""

Progress = Callable[[int, int], None]
"""Told after each chunk of rows read and rows set aside, so far."""


@dataclass(slots=True)
class _Stages:
    """Seconds spent, by stage."""

    read: float = 0.0
    conform: float = 0.0
    check: float = 0.0
    seal: float = 0.0
    publish: float = 0.0


@dataclass(slots=True)
class _Made:
    """A chunk that is ready to become durable."""

    number: int
    read: int
    messages: list[Message]
    totals: dict[int, Total]
    aside: list[SetAside]
    after: bytes | None
    upto: bytes | None
    as_of: datetime


@dataclass(slots=True)
class Collector:
    """Collects one resource for one run. ``connection`` holds the resource's lock for as long as the collector lives."""

    hub: Hub
    contract: DataContract
    connection: Connection
    run: Run
    checks: Checks
    sample: Sample
    progress: Progress | None
    stages: _Stages = field(default_factory=_Stages)
    _try_at: float = 0.0

    def collect(self, source: Source, window: Window | None) -> None:
        """Read, check, seal and publish every chunk that is not durable yet, then say that the run is collected."""
        number, after = self._resume_point()
        looks = self.run.mode == "full"  # a fingerprint reads the whole table, which a small incremental read is not worth
        before = source.state(self.contract) if looks else SourceState(None)
        if number is not None:
            with closing(self._chunks(source, window, number, after)) as made:
                self._make_durable(made)
        with ThreadPoolExecutor(1, "sample") as beside:  # while the source's server looks at its table
            kept = beside.submit(self._keep_sample)
            after_it = source.state(self.contract) if looks else SourceState(None)
            kept.result()
        self._finish(_stable(before.fingerprint, after_it.fingerprint, resumed=number != 0))

    # Chunks -----------------------------------------------------------------------------------------------------------

    def _resume_point(self) -> tuple[int | None, tuple[Any, ...] | None]:
        """Return the next chunk's number and the key after which it starts; None where the last chunk is durable already."""
        row = self.connection.execute(
            "SELECT chunk, upto_key FROM exchange.chunk WHERE run = %s ORDER BY chunk DESC LIMIT 1", [self.run.id]
        ).fetchone()
        self.connection.commit()
        if row is None:
            return 0, None
        if row[1] is None:
            return None, None
        return row[0] + 1, self._open_key(row[1])

    def _chunks(
        self, source: Source, window: Window | None, number: int, after: tuple[Any, ...] | None
    ) -> Generator[_Made, None, None]:
        settings = self.hub.settings
        batch_rows = min(BATCH_ROWS, settings.chunk_rows)
        batches = _timed(source.read(self.contract, window=window, after=after, batch_rows=batch_rows), self.stages)
        rows_per_message = min(FIRST_ROWS_PER_MESSAGE, settings.message_rows)
        origin = Origin(self.run.id, self.run.attempt, self.run.mode, self.run.topic, settings.division, self.contract)
        began = self._seal_key(after)
        last: RawChunk | None = None
        with closing(_ahead(cut(self.contract, batches, settings.chunk_rows))) as chunks:
            for chunk in chunks:
                last = chunk
                encoder = Encoder(origin, number, self.hub.keys, self.hub.clock.now(), rows_per_message)
                aside = self._fill(encoder, chunk)
                rows_per_message = min(encoder.rows_per_message, settings.message_rows)
                upto = self._seal_key(chunk.upto)
                reach("collect.before_spool")
                yield _Made(number, chunk.rows, encoder.messages, encoder.totals, aside, began, upto, chunk.as_of)
                number, began = number + 1, upto
        if last is None or last.upto is not None:  # nothing was read: an empty chunk says that the read came to its end
            yield _Made(number, 0, [], {}, [], began, None, self.hub.clock.now())

    def _fill(self, encoder: Encoder, chunk: RawChunk) -> list[SetAside]:
        aside: list[SetAside] = []
        for raw in chunk.batches:
            began = time.perf_counter()
            conformed = conform(raw)
            mid = time.perf_counter()
            self.stages.conform += mid - began
            self.sample.add(conformed.batch)
            checked = check(conformed.batch, self.checks)
            done = time.perf_counter()
            self.stages.check += done - mid
            aside += set_aside_of(conformed.rejects, self.contract) + set_aside_of(checked.rejects, self.contract)
            encoder.add(seal_batch(checked.batch, self.hub.keys))
            for _, row in encoder.too_large:
                value = dict(
                    zip(checked.batch.rows.schema.names, (c[row].as_py() for c in checked.batch.rows.columns), strict=True)
                )
                finding = {
                    "field": None,
                    "rule": "too_large",
                    "reason": "the row is larger than a message may be, 900 KiB 行过大",
                }
                aside.append(SetAside(value, [finding]))
            encoder.too_large.clear()
            self.stages.seal += time.perf_counter() - done
        return aside

    # Durable ----------------------------------------------------------------------------------------------------------

    def _make_durable(self, chunks: Iterator[_Made]) -> None:
        """Write chunks in a thread of its own while the next ones are being made, in order, at most two ahead."""
        ready: queue.Queue[_Made | None] = queue.Queue(2)
        failed: list[BaseException] = []

        def write() -> None:
            while (made := ready.get()) is not None:
                if failed:
                    continue
                try:
                    began = time.perf_counter()
                    self._write(made)
                    self.stages.publish += time.perf_counter() - began
                except BaseException as error:  # noqa: BLE001 - handed to the collector's own thread
                    failed.append(error)

        writer = threading.Thread(target=write, name="chunk-writer")
        writer.start()
        try:
            for made in chunks:
                ready.put(made)
                if failed:
                    break
        finally:
            ready.put(None)
            writer.join()
        if failed:
            raise failed[0]

    def _write(self, made: _Made) -> None:
        bus = self.hub.bus
        joins = bus.capabilities.joins_transaction
        if not joins:
            self._spool(made.number, made.messages)
        with translated(), self.connection.transaction():
            aside = quarantine.add(
                self.connection, self.contract, self.run.id, made.number, made.aside, self.hub.keys, self.hub.clock.now()
            )
            self.connection.execute(
                """INSERT INTO exchange.chunk (run, chunk, attempt, state, after_key, upto_key, rows_read, rows_set_aside,
                     messages, as_of, totals) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
                [
                    self.run.id,
                    made.number,
                    self.run.attempt,
                    "published" if joins else "spooled",
                    _hex(made.after),
                    _hex(made.upto),
                    made.read,
                    aside,
                    len(made.messages),
                    made.as_of,
                    Jsonb({str(p): t.as_json() for p, t in made.totals.items()}),
                ],
            )
            counted = self.connection.execute(
                """UPDATE exchange.run SET rows_read = rows_read + %s, rows_set_aside = rows_set_aside + %s,
                     as_of_first = least(as_of_first, %s), as_of_last = greatest(as_of_last, %s)
                   WHERE id = %s AND state = 'collecting'""",
                [made.read, aside, made.as_of, made.as_of, self.run.id],
            )
            if not counted.rowcount:
                raise runs.closed_by(runs.get_run(self.connection, self.run.id))
            if joins and made.messages:
                bus.publish(made.messages, within=self.connection)
            reach("collect.in_transaction")
        reach("collect.after_spool")
        if not joins and time.monotonic() >= self._try_at and not publish_spooled(self.hub, self.connection, self.run.id):
            self._try_at = time.monotonic() + TRY_S
        self.run = replace(self.run, rows_read=self.run.rows_read + made.read, rows_set_aside=self.run.rows_set_aside + aside)
        if self.progress is not None:
            self.progress(self.run.rows_read, self.run.rows_set_aside)

    def _spool(self, number: int, messages: list[Message]) -> None:
        """Make messages durable on disk; a spool at its bound is emptied first, where the broker takes something again."""
        try:
            self.hub.spool.write(self.run.id, number, messages)
        except TransientError as error:
            if error.code != "spool.full" or not publish_spooled(self.hub, self.connection, self.run.id):
                raise
            self.hub.spool.write(self.run.id, number, messages)

    def _finish(self, stable: bool | None) -> None:
        hub = self.hub
        with translated():
            run = runs.get_run(self.connection, self.run.id)
            self.connection.commit()
            if run.state != "collecting":
                raise runs.closed_by(run)
            share_within(run, run.rows_set_aside, self.contract)
            reach("collect.before_manifest")
            totals: dict[int, Total] = {}
            rows = self.connection.execute(
                "SELECT chunk, totals FROM exchange.chunk WHERE run = %s ORDER BY chunk", [run.id]
            ).fetchall()
            self.connection.commit()
            for _, chunk_totals in rows:
                for partition, total in chunk_totals.items():
                    totals.setdefault(int(partition), Total()).add(Total.of_json(total))
            number = rows[-1][0] + 1
            origin = Origin(run.id, run.attempt, run.mode, run.topic, hub.settings.division, self.contract)
            now = hub.clock.now()
            messages = end_messages(origin, number, totals, hub.keys, now)
            joins = hub.bus.capabilities.joins_transaction
            if not joins:
                self._spool(number, messages)
            seconds = self.stages
            stages = [
                {"name": "read", "rows": run.rows_read, "seconds": round(seconds.read, 3)},
                {"name": "conform", "rows": run.rows_read, "seconds": round(seconds.conform, 3)},
                {"name": "check", "rows": run.rows_read, "set_aside": run.rows_set_aside, "seconds": round(seconds.check, 3)},
                {"name": "seal", "rows": run.rows_read - run.rows_set_aside, "seconds": round(seconds.seal, 3)},
                {"name": "publish", "rows": run.rows_read - run.rows_set_aside, "seconds": round(seconds.publish, 3)},
            ]
            with self.connection.transaction():
                if not joins:
                    self.connection.execute(
                        """INSERT INTO exchange.chunk (run, chunk, attempt, state, rows_read, rows_set_aside, messages,
                             as_of, totals) VALUES (%s, %s, %s, 'spooled', 0, 0, %s, %s, '{}')""",
                        [run.id, number, run.attempt, len(messages), now],
                    )
                collected = self.connection.execute(
                    """UPDATE exchange.run SET state = 'collected', collected_at = %s, source_stable = %s,
                         report = jsonb_set(report, '{stages}', %s::jsonb) WHERE id = %s AND state = 'collecting'""",
                    [now, stable, Jsonb(stages), run.id],
                )
                if not collected.rowcount:
                    raise runs.closed_by(runs.get_run(self.connection, run.id))
                if joins:
                    hub.bus.publish(messages, within=self.connection)
            reach("collect.after_manifest")
            if not joins:
                publish_spooled(hub, self.connection, run.id)

    def _keep_sample(self) -> None:
        table = self.sample.table()
        if table is None:
            return
        hub, run = self.hub, self.run.id
        try:
            hub.samples.keep(run, self.contract, table, self.sample.seen, hub.keys, hub.clock.now())
        except TransientError as error:  # the report stands beside the path and holds nothing up
            hub.log.warning("no sample is kept for the quality report", run=run, **runs.error_json(error))

    # Keys -------------------------------------------------------------------------------------------------------------

    def _seal_key(self, key: tuple[Any, ...] | None) -> bytes | None:
        """A key may be personal: it rests sealed, as a one-row Arrow stream so that every type comes back."""
        if key is None:
            return None
        row = pa.RecordBatch.from_arrays([pa.array([v]) for v in key], names=[str(i) for i in range(len(key))])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, row.schema) as writer:
            writer.write_batch(row)
        sealed = seal_value(sink.getvalue().to_pybytes(), self.contract.name, self.run.id, self.hub.keys, self.hub.clock.now())
        return sealed.key_id.encode() + b"\n" + sealed.blob

    def _open_key(self, sealed: str) -> tuple[Any, ...]:
        key_id, _, blob = bytes.fromhex(sealed).partition(b"\n")
        plain = open_value(blob, key_id.decode(), self.contract.name, self.run.id, self.hub.keys)
        with pa.ipc.open_stream(pa.py_buffer(plain)) as reader:
            row = reader.read_all()
        return tuple(column[0].as_py() for column in row.columns)


def publish_spooled(hub: Hub, connection: Connection, run: str) -> bool:
    """Publish a run's spooled chunks, in order; False where the broker is away and some wait. Only for a bus with a spool.

    Raises:
        DefectError: a spooled chunk is gone or altered; the run is closed as failed.
    """
    rows = connection.execute(
        "SELECT chunk FROM exchange.chunk WHERE run = %s AND state = 'spooled' ORDER BY chunk", [run]
    ).fetchall()
    connection.commit()
    for (number,) in rows:
        try:
            messages = hub.spool.read(run, number)
        except DefectError as error:
            _fail(hub, connection, run, error)
            raise
        try:
            hub.bus.publish(messages)
        except TransientError as error:
            hub.log.warning("the broker takes nothing; the chunk waits in the spool", run=run, chunk=number, code=error.code)
            return False
        reach("collect.after_publish")
        connection.execute("UPDATE exchange.chunk SET state = 'published' WHERE run = %s AND chunk = %s", [run, number])
        connection.commit()
        hub.spool.remove(run, number)
    return True


def _fail(hub: Hub, connection: Connection, run: str, error: OneDoorError) -> None:
    """Close a run as failed and forget what was kept for it; what a worker lands of it at this moment goes with its sweep."""
    connection.rollback()
    with connection.transaction():
        runs.fail_run(connection, run, error, hub.clock.now())
        tables.drop_staging(connection, run)
    hub.spool.clear(run)


def collect(
    hub: Hub,
    name: str,
    *,
    full: bool = False,
    since: str | None = None,
    allow_shrink: bool = False,
    progress: Progress | None = None,
) -> str:
    """Collect a resource into a run, or go on with the one that was cut short, and return the run's id. Landing follows.

    Args:
        hub: the wired hub.
        name: a registered resource.
        full: everything, even where a cursor could tell what changed.
        since: a cursor's canonical text to start after, instead of the saved one.
        allow_shrink: a person has looked: the load may be empty or shrink above the declared share.
        progress: told after each chunk.

    Raises:
        TransientError: a later try may succeed; the run stays open and the next call goes on with it.
        RejectedError: the source, the contract or the rows must be mended first; the run is closed as failed.
        DefectError: the same, and somebody must look.
    """
    contract = hub.registry.resource(name).contract
    with translated(), hub.connect() as connection:
        if not _lock(connection, name):
            raise TransientError(
                f"{name} is being collected already",
                code="collect.running",
                remedy=f"see `onedoor runs {name}`",
                fault=Fault.CLIENT,
            )
        if not contract.key:
            raise RejectedError(f"{name} has no key", code="contract.no_key", remedy="name a primary key in the contract")
        source = hub.source(name)
        try:
            run, window = _start(hub, connection, contract, source, full=full, since=since, allow_shrink=allow_shrink)
            if run.state == "collecting":
                collector = Collector(
                    hub,
                    contract,
                    connection,
                    run,
                    compile_checks(contract),
                    Sample(hub.settings.sample_rows, _seed(run.id)),
                    progress,
                )
                try:
                    with translated():
                        source.check(contract)
                        collector.collect(source, window)
                except TransientError:
                    raise
                except OneDoorError as error:
                    _fail(hub, connection, run.id, error)
                    raise
            elif not hub.bus.capabilities.joins_transaction:
                publish_spooled(hub, connection, run.id)
            return run.id
        finally:
            source.close()


def _lock(connection: Connection, name: str) -> bool:
    """Take the lock that one collection of a resource holds; it lives as long as the connection."""
    until = time.monotonic() + LOCK_S
    while True:
        row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 1))", [f"collect/{name}"]).fetchone()
        connection.commit()
        if row and row[0]:
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.1)


def _start(
    hub: Hub,
    connection: Connection,
    contract: DataContract,
    source: Source,
    *,
    full: bool,
    since: str | None,
    allow_shrink: bool,
) -> tuple[Run, Window | None]:
    now = hub.clock.now()
    found = runs.open_run(connection, contract.name)
    connection.commit()
    asked = _Asked(full, since, allow_shrink)
    if found is not None and found.state == "collected":
        if not asked.served_by(found):
            raise TransientError(
                "another run of it is on its way into the store, and was not asked for what this one is",
                code="collect.running",
                where=f"run {found.id}",
                remedy="try again when it is closed",
                fault=Fault.CLIENT,
            )
        return found, None
    if found is not None:
        if found.contract_version == contract.version and source.capabilities.keyset and asked.served_by(found):
            connection.execute("UPDATE exchange.run SET attempt = attempt + 1 WHERE id = %s", [found.id])
            connection.commit()
            window = None
            if found.mode == "incremental" and found.cursor_bound is not None:
                window = Window(found.cursor_after, found.cursor_bound, BoundKind(found.bound_kind or "declared"))
            return replace(found, attempt=found.attempt + 1), window
        reason = RejectedError("cut short, and begun again from the start", code="collect.superseded")
        _fail(hub, connection, found.id, reason)
    saved = _saved_cursor(connection, contract)
    cursor = saved if since is None else _since(contract, since, saved)
    incremental = contract.cursor is not None and source.capabilities.incremental and not full and cursor is not None
    bounds = source.window(contract, cursor if incremental else None, now) if contract.cursor is not None else None
    report: dict[str, Any] = {"allow_shrink": True} if allow_shrink else {}
    if since is not None:
        report["since"] = since
        report["keeps_cursor"] = incremental and saved is not None and _later(contract, str(cursor), saved)
    topic = _topic(hub, connection, contract)
    run_id = new_id("r", now)
    with translated(), connection.transaction():
        connection.execute(
            """INSERT INTO exchange.run (id, resource, contract_version, mode, state, topic, topic_id, started_at, cursor_after,
                 cursor_bound, bound_kind, report) VALUES (%s, %s, %s, %s, 'collecting', %s, %s, %s, %s, %s, %s, %s)""",
            [
                run_id,
                contract.name,
                contract.version,
                "incremental" if incremental else "full",
                topic.name,
                topic.id,
                now,
                bounds.after if bounds else None,
                bounds.upto if bounds else None,
                str(bounds.kind) if bounds else None,
                Jsonb(report),
            ],
        )
        tables.create_staging(connection, contract, run_id)
    run = runs.get_run(connection, run_id)
    connection.commit()
    return run, bounds if incremental else None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a caller wants of a collection."""

    full: bool
    since: str | None
    allow_shrink: bool

    def served_by(self, run: Run) -> bool:
        """Say whether an open run does what is asked."""
        return (
            (not self.full or run.mode == "full")
            and (self.since is None or run.report.get("since") == self.since)
            and (not self.allow_shrink or bool(run.report.get("allow_shrink")))
        )


def _topic(hub: Hub, connection: Connection, contract: DataContract) -> Topic:
    """Return the resource's topic; as the last run knew it, where the broker is away and there is a spool to go on into."""
    name = data_topic(hub.settings.division, contract.name)
    try:
        return hub.bus.ensure_topic(name, contract.partitions)
    except TransientError:
        row = connection.execute(
            "SELECT topic_id FROM exchange.run WHERE topic = %s ORDER BY started_at DESC LIMIT 1", [name]
        ).fetchone()
        connection.commit()
        if row is None or hub.bus.capabilities.joins_transaction:
            raise
        return Topic(name, row[0], contract.partitions)


def _saved_cursor(connection: Connection, contract: DataContract) -> str | None:
    """Return the cursor to go on from; None where everything must be read: nothing was proved yet, or under other terms."""
    row = connection.execute(
        "SELECT contract_version FROM exchange.run WHERE resource = %s AND state = 'proved' ORDER BY ended_at DESC LIMIT 1",
        [contract.name],
    ).fetchone()
    cursor = connection.execute("SELECT value FROM exchange.cursor WHERE resource = %s", [contract.name]).fetchone()
    connection.commit()
    if row is None or cursor is None or row[0] != contract.version:
        return None
    return str(cursor[0])


def _since(contract: DataContract, since: str, saved: str | None) -> str:
    """Return the cursor that a caller asks to start after, in its canonical text.

    Raises:
        RejectedError: the resource has no cursor, was not collected in full yet, or the text is no value of its cursor.
    """
    if contract.cursor is None:
        raise RejectedError(f"{contract.name} has no cursor to start from", code="collect.no_cursor", fault=Fault.CLIENT)
    if saved is None:
        raise RejectedError(
            f"{contract.name} was not collected in full under this contract yet",
            code="collect.no_full_load",
            remedy="collect it once without --since",
            fault=Fault.CLIENT,
        )
    try:
        return _canonical_cursor(contract, since)
    except ValueError:
        raise RejectedError(
            f"--since is no {contract.field(contract.cursor.field).logical_type} as the cursor {contract.cursor.field} is",
            code="collect.since",
            remedy="write it as 2026-11-23T08:00:00+08:00, 2026-11-23 or a whole number",
            fault=Fault.CLIENT,
        ) from None


def _canonical_cursor(contract: DataContract, text: str) -> str:
    kind = contract.field(contract.cursor.field).logical_type if contract.cursor else LogicalType.TIMESTAMP
    if kind is LogicalType.INTEGER:
        return str(int(text))
    if kind is LogicalType.DATE:
        return date.fromisoformat(text).isoformat()
    at = datetime.fromisoformat(text)
    return f"{(at if at.tzinfo else at.replace(tzinfo=CHINA)).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}Z"


def _later(contract: DataContract, one: str, than: str) -> bool:
    """Say whether one cursor stands after another."""
    one, than = _canonical_cursor(contract, one), _canonical_cursor(contract, than)
    if contract.cursor is not None and contract.field(contract.cursor.field).logical_type is LogicalType.INTEGER:
        return int(one) > int(than)
    return one > than


def _stable(before: str | None, after: str | None, *, resumed: bool) -> bool | None:
    """Yes, no, or None where the account cannot see. A read in two attempts is never called stable."""
    if resumed:
        return False
    if before is None or after is None:
        return None
    return before == after


def _seed(run: str) -> int:
    return int.from_bytes(run.encode()[-8:], "big")


def _hex(blob: bytes | None) -> Jsonb | None:
    return None if blob is None else Jsonb(blob.hex())


def _timed(batches: Iterator[Any], stages: _Stages) -> Iterator[Any]:
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        stages.read += time.perf_counter() - began
        if batch is None:
            return
        yield batch


def _ahead(chunks: Iterator[RawChunk]) -> Generator[RawChunk, None, None]:
    """Read in a thread of its own, a chunk ahead: the driver waits for the source without holding the interpreter.

    Closed, it returns once that thread has left the source alone: only then may the source be closed.
    """
    ready: queue.Queue[RawChunk | BaseException | None] = queue.Queue(1)
    stop = threading.Event()

    def offer(item: RawChunk | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def read() -> None:
        try:
            for chunk in chunks:
                offer(chunk)
                if stop.is_set():
                    return
            offer(None)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that takes the chunks
            offer(error)

    reader = threading.Thread(target=read, name="chunk-reader")
    reader.start()
    try:
        while True:
            item = ready.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        reader.join()
