"""Landing: from the bus into the table of the run, rows and position in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

import pgpq
import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.types.json import Jsonb

from exchange.bus.api import Bus, Message, Received, Subscription, TopicPartition
from exchange.bus.dead_letter import dead_letter
from exchange.bus.envelope import END_TYPE, ROWS_TYPE, Envelope, envelope_of
from exchange.crash import reach
from exchange.store import positions, runs, tables
from exchange.store.database import Connection, translated
from exchange.trust.keyring import KeyRing
from exchange.trust.seal import open_chunk
from schemas.canonical import MODULUS, hash_sum
from schemas.clock import Clock
from schemas.contract import DataContract
from schemas.errors import DefectError, OneDoorError, RejectedError, TransientError
from schemas.landed import landed_schema
from schemas.resource import dead_letter_topic

CONSUMER: Final = "store"
HELD_S: Final = 5
"""Seconds that a member waits for another's landing transaction to end before it has it ended."""


class FencedError(DefectError):
    """Another member has landed these messages; this one drops them and starts again from the saved position."""

    def __init__(self, place: TopicPartition) -> None:
        super().__init__("another worker was ahead", code="land.fenced", where=f"{place.topic}[{place.partition}]")


@dataclass(slots=True)
class _Tally:
    messages: int = 0
    rows: int = 0
    total: int = 0


@dataclass(slots=True)
class Lander:
    """Lands what a subscription gives. Used by one thread.

    ``contract_of`` returns the contract that a run was collected under; ``ended`` is told of each run one of whose partitions
    has come to its end, after the commit; ``refused`` of a partition that cannot be landed, which must be paused;
    ``max_bytes`` of messages go into one transaction at most.
    """

    connection: Connection
    bus: Bus
    keys: KeyRing
    clock: Clock
    contract_of: Callable[[str, str], DataContract]
    ended: Callable[[str], None]
    refused: Callable[[TopicPartition, OneDoorError], None]
    max_bytes: int = 8 << 20
    _contracts: dict[tuple[str, str], DataContract] = field(default_factory=dict)

    def step(self, subscription: Subscription, timeout_s: float) -> int:
        """Land what has come, waiting up to ``timeout_s``, and return the number of messages.

        Raises:
            TransientError: the bus or the database is away, or another member held the position in an open transaction, which
                was ended: subscribe again.
            PartitionError: a partition cannot be read; the others go on once it is paused.
        """
        received = subscription.poll(timeout_s, self.max_bytes)
        if received:
            reach("land.before_transaction")
        for place, group in groupby(received, key=lambda m: m.place):
            messages = list(group)
            try:
                finished = self._land(place, messages)
            except FencedError:
                subscription.give_up(place)
                continue
            except TransientError:
                raise
            except OneDoorError as error:
                subscription.give_up(place)
                self.refused(place, error)
                continue
            reach("land.after_commit")
            subscription.saved(place, messages[-1].offset + 1)
            for run in finished:
                self.ended(run)
        return len(received)

    def _land(self, place: TopicPartition, messages: Sequence[Received]) -> list[str]:
        with translated():
            try:
                return self._land_in_one(place, messages)
            except psycopg.errors.LockNotAvailable:
                positions.free(self.connection, CONSUMER, place.topic, place.partition)
                self.connection.commit()
                raise

    def _land_in_one(self, place: TopicPartition, messages: Sequence[Received]) -> list[str]:
        """Land messages of a partition in one transaction, and return the runs whose end-of-run message was among them."""
        finished: list[str] = []
        letters: list[Message] = []
        with self.connection.transaction():
            self.connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{HELD_S}s"])
            moved = positions.advance(  # holds the position's row: who comes later waits here, and then is fenced
                self.connection, CONSUMER, place.topic, place.partition, expected=messages[0].offset, to=messages[-1].offset + 1
            )
            if not moved:
                raise FencedError(place)
            for run_id, group in groupby(messages, key=lambda m: m.headers.get("ce_runid", "")):
                letters += self._land_run(run_id, place, list(group), finished)
            reach("land.in_transaction")
            if letters:
                self.bus.ensure_topic(dead_letter_topic(place.topic))
                if self.bus.capabilities.joins_transaction:
                    self.bus.publish(letters, within=self.connection)
                else:
                    self.bus.publish(letters)
        return finished

    def _land_run(self, run_id: str, place: TopicPartition, messages: Sequence[Received], finished: list[str]) -> list[Message]:
        """Land one run's messages; return what must go to the dead letters. A closed run's messages are passed over."""
        run = runs.find_run(self.connection, run_id)
        if run is None or run.state not in runs.OPEN or run.topic != place.topic:
            unknown = RejectedError("there is no run of that id", code="run.unknown")
            return [] if run is not None else [dead_letter(m, unknown, group=CONSUMER) for m in messages]
        contract = self._contract(run.resource, run.contract_version)
        tally = _Tally()
        batches: list[pa.RecordBatch] = []
        manifest: dict[str, object] | None = None
        for message in messages:
            try:
                envelope = envelope_of(message)
                data = open_chunk(envelope, self.keys, where=f"{message.topic}[{message.partition}]@{message.offset}")
                if not self._first_time(run.id, envelope):
                    continue
                if envelope.attributes["type"] == END_TYPE:
                    manifest = json.loads(data)
                elif envelope.attributes["type"] == ROWS_TYPE:
                    rows = _decode(data, contract, message)
                    batches += rows
                    tally.messages += 1
                    tally.rows += sum(b.num_rows for b in rows)
                    tally.total += sum(hash_sum(b.column("_row_hash")) for b in rows)
                else:
                    raise DefectError(
                        f"an event of type {envelope.attributes['type']} among a resource's rows",
                        code="land.unknown_type",
                        where=f"{message.topic}[{message.partition}]@{message.offset}",
                    )
            except OneDoorError as error:
                self._fail(run.id, error)
                return [dead_letter(m, error, group=CONSUMER) for m in messages if m.offset >= message.offset]
        if batches:
            try:
                with self.connection.transaction():
                    self._copy(contract, run.id, batches)
            except (psycopg.DataError, psycopg.IntegrityError, pa.ArrowException, ValueError) as error:
                refusal = DefectError(
                    f"rows that the store does not take: {type(error).__name__}",  # its words could hold a row
                    code="land.refused",
                    where=f"{place.topic}[{place.partition}]@{messages[0].offset}-{messages[-1].offset}",
                    remedy="nothing of the run is served; the messages are among the dead letters",
                )
                self._fail(run.id, refusal)
                return [dead_letter(m, refusal, group=CONSUMER) for m in messages]
        self.connection.execute(
            """INSERT INTO exchange.landed AS l (run, partition, messages, rows, hash_sum, manifest)
               VALUES (%s, %s, %s, %s, %s, %s)
               ON CONFLICT (run, partition) DO UPDATE SET
                 messages = l.messages + excluded.messages, rows = l.rows + excluded.rows,
                 hash_sum = mod(l.hash_sum + excluded.hash_sum, %s), manifest = coalesce(excluded.manifest, l.manifest)""",
            [
                run.id,
                place.partition,
                tally.messages,
                tally.rows,
                tally.total % MODULUS,
                Jsonb(manifest) if manifest else None,
                MODULUS,
            ],
        )
        if manifest is not None:
            finished.append(run.id)
        return []

    def _contract(self, resource: str, version: str) -> DataContract:
        if (resource, version) not in self._contracts:
            self._contracts[resource, version] = self.contract_of(resource, version)
        return self._contracts[resource, version]

    def _first_time(self, run: str, envelope: Envelope) -> bool:
        cursor = self.connection.execute(
            "INSERT INTO exchange.landed_message (run, id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [run, envelope.attributes["id"]],
        )
        return cursor.rowcount == 1

    def _copy(self, contract: DataContract, run: str, batches: Iterable[pa.RecordBatch]) -> None:
        tables.create_staging(self.connection, contract, run)
        schema = landed_schema(contract)
        encoder = pgpq.ArrowToPostgresBinaryEncoder(schema)
        columns = sql.SQL(", ").join(sql.Identifier(name) for name in schema.names)
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(tables.staging(run), columns)
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(encoder.write_header())
            for batch in batches:
                copy.write(encoder.write_batch(batch))
            copy.write(encoder.finish())

    def _fail(self, run: str, error: OneDoorError) -> None:
        runs.fail_run(self.connection, run, error, self.clock.now())
        tables.drop_staging(self.connection, run)


def _decode(data: bytes, contract: DataContract, message: Received) -> list[pa.RecordBatch]:
    try:
        with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
            batches = list(reader)
    except (pa.ArrowInvalid, OSError) as error:
        raise DefectError(
            f"a message that is no Arrow stream: {type(error).__name__}",
            code="land.not_arrow",
            where=f"{message.topic}[{message.partition}]@{message.offset}",
        ) from None
    expected = landed_schema(contract)
    for batch in batches:
        if not batch.schema.equals(expected):
            raise DefectError(
                f"rows with columns {batch.schema.names}, expected {expected.names}",
                code="land.schema",
                where=f"{message.topic}[{message.partition}]@{message.offset}",
            )
    return batches
