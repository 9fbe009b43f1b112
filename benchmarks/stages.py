"""What each stage costs alone, in rows a second of one core, on rows like TPC-H's orders: where a load's time goes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pgpq
import pyarrow as pa

from benchmarks import orders
from benchmarks.line import Result
from benchmarks.stand import stand
from connectors.registry import open_source
from exchange.bootstrap import open_hub
from exchange.bus.api import Message, TopicPartition
from exchange.bus.envelope import envelope_of
from exchange.collect.messages import Encoder, Origin
from exchange.store import tables
from exchange.store.reconcile import reconcile
from exchange.trust.keyfiles import create_keys, read_keys
from exchange.trust.keyring import KeyRing, MemoryDataKeys
from exchange.trust.seal import open_chunk, seal_batch
from quality.checks import compile_checks
from quality.gate import check
from schemas.batch import RawBatch
from schemas.canonical import canonical_column, hash_column, hash_sum
from schemas.clock import SystemClock
from schemas.conform import conform
from schemas.landed import landed_schema

ROWS = 500_000
BATCH = 20_000
_PASSES = 3


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    table: dict[str, int] = {}

    def stage(name: str, rows: int, step: Callable[[], Any]) -> Any:
        best = float("inf")
        made = None
        for _ in range(_PASSES):
            began = time.perf_counter()
            made = step()
            best = min(best, time.perf_counter() - began)
        table[name] = round(rows / best)
        return made

    now = datetime.now(UTC)
    contract = orders.CONTRACT
    with stand(work) as here, tempfile.TemporaryDirectory() as folder:
        orders.fill(here.source_url, ROWS)
        create_keys(Path(folder) / "keys")
        keys = KeyRing(read_keys(Path(folder) / "keys"), MemoryDataKeys())
        source = open_source(here.source_url, clock=SystemClock())
        try:
            raw: list[RawBatch] = stage(
                "read from PostgreSQL into Arrow", ROWS, lambda: list(source.read(contract, batch_rows=BATCH))
            )
        finally:
            source.close()
        conformed = stage("conform", ROWS, lambda: [conform(batch).batch for batch in raw])
        checks = compile_checks(contract)
        checked = stage("check, five kinds", ROWS, lambda: [check(batch, checks).batch for batch in conformed])
        canonical = stage("canonical bytes", ROWS, lambda: [canonical_column(batch.rows) for batch in checked])
        key = keys.row_hash_key(contract.name)
        hashes = stage("keyed row hash", ROWS, lambda: [hash_column(column, key) for column in canonical])
        stage("sum of row hashes", ROWS, lambda: [hash_sum(column) for column in hashes])
        sealed = [seal_batch(batch, keys) for batch in checked]
        origin = Origin("r0", 1, "full", "bench_stage", "440205", contract)

        def encode() -> list[Message]:
            encoder = Encoder(origin, 0, keys, now, 6_500)
            for batch in sealed:
                encoder.add(batch)
            return encoder.messages

        messages: Sequence[Message] = stage("encode (Arrow IPC, lz4), seal and hash a chunk", ROWS, encode)
        hub = open_hub(here.made.settings)
        try:
            topic = hub.bus.ensure_topic("bench_stage")
            chunk = 15

            def publish() -> int:
                return [hub.bus.publish(messages[i : i + chunk]) for i in range(0, len(messages), chunk)][-1][-1]

            last = stage("publish to the PostgreSQL bus", ROWS, publish)
            place = TopicPartition(topic.name, 0)

            def fetch() -> list[Any]:
                got: list[Any] = []
                at = last + 1 - len(messages)
                while at <= last:
                    got += hub.bus.read(place, at, 100)
                    at = got[-1].offset + 1
                return got

            received = stage("fetch from it", ROWS, fetch)
            schema = landed_schema(contract)

            def decode() -> list[pa.RecordBatch]:
                out: list[pa.RecordBatch] = []
                for message in received:
                    data = open_chunk(envelope_of(message), keys)
                    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
                        out += list(reader)
                return out

            batches = stage("verify, open and decode a chunk", ROWS, decode)

            def land() -> None:
                with hub.connect() as connection:
                    tables.drop_staging(connection, "bench")
                    tables.create_staging(connection, contract, "bench")
                    encoder = pgpq.ArrowToPostgresBinaryEncoder(schema)
                    statement = f"COPY stage.bench ({', '.join(schema.names)}) FROM STDIN (FORMAT binary)"
                    with connection.cursor() as cursor, cursor.copy(statement) as copy:
                        copy.write(encoder.write_header())
                        for batch in batches:
                            copy.write(encoder.write_batch(batch))
                        copy.write(encoder.finish())

            stage("land by binary COPY, no key", ROWS, land)

            def make_key() -> None:
                with hub.connect() as connection:
                    connection.execute("ALTER TABLE stage.bench DROP CONSTRAINT IF EXISTS bench_pkey")
                    tables.add_key(connection, contract, tables.staging("bench"))

            stage("make the key", ROWS, make_key)
            here.sql(here.hub_url, "DROP TABLE stage.bench")
            here.register(contract)
            here.settle()
            here.collect("orders")
            stage("reconcile with the source", ROWS, lambda: reconcile(hub, "orders"))
        finally:
            hub.close()
    result.stages = table
    result.notes.append(
        f"{ROWS:,} rows, the best of {_PASSES} passes, rows a second, each stage by itself with the servers' part"
    )
    return result.as_json()
