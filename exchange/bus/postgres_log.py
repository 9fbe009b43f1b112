"""The log of the bus in PostgreSQL: append, fetch, and what its tables say of a partition."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row

from exchange.bus.api import Connection, Message, Received, Topic, TopicPartition
from exchange.bus.faults import no_topic, out_of_range
from schemas.errors import DefectError, TransientError

READ_BYTES: Final = 16 << 20
ALIVE: Final[dict[str, Any]] = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""libpq's options of every connection of the bus: one whose other end is silently gone is given up after a minute."""
_ENDED: Final = ("25P03", "25P04")
"""The server ended a session that idled in a transaction, or whose transaction took too long."""
_TYPES: Final = ("uuid", "int4", "int8", "timestamptz", "bytea", "json", "bytea")

_TAKE: Final = """
    UPDATE bus.partition p SET next = p.next + %(n)s, bytes = p.bytes + %(bytes)s FROM bus.topic t
    WHERE t.name = %(topic)s AND p.topic_id = t.id AND p.partition = %(partition)s
    RETURNING p.next - %(n)s, t.id"""
_STAY: Final = "LOCK TABLE bus.message_default IN ROW EXCLUSIVE MODE"
"""Nobody makes a day's table while messages are put into the one for all other days: they would belong to neither."""
_COPY: Final = 'COPY bus.message (topic_id, partition, "offset", at, key, headers, value) FROM STDIN (FORMAT BINARY)'
_FETCH: Final = """
    SELECT "offset", key, headers, value FROM (
        SELECT "offset", key, headers, value,
            sum(octet_length(value)) OVER (ORDER BY "offset" ROWS UNBOUNDED PRECEDING) AS upto
        FROM bus.message WHERE topic_id = %(id)s AND partition = %(partition)s AND "offset" >= %(start)s
        ORDER BY "offset" LIMIT %(rows)s) m
    WHERE upto <= %(bytes)s OR ("offset" = %(start)s AND %(one)s) ORDER BY "offset\""""
_STATE: Final = """
    SELECT t.name, p.partition, t.id::text, t.partitions, p.first, p.next
    FROM bus.topic t JOIN bus.partition p ON p.topic_id = t.id WHERE t.name = ANY (%(topics)s) ORDER BY t.name, p.partition"""


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Tell driver errors by the hub's kinds. The driver's words stay out of the message: they may quote values."""
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or "no SQLSTATE"
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) or error.sqlstate in _ENDED:
            raise TransientError(
                f"the database of the bus did not answer while {doing} ({type(error).__name__}, {state})",
                code="bus.away",
                remedy="see that PostgreSQL runs: onedoor doctor",
            ) from error
        remedy = "run the hub's migrations: onedoor up" if isinstance(error, psycopg.errors.UndefinedTable) else None
        raise DefectError(
            f"the database refused the bus while {doing} ({type(error).__name__}, {state})", code="bus.database", remedy=remedy
        ) from error


@dataclass(frozen=True, slots=True)
class State:
    """What the database says of a partition: ``first`` ≤ kept offsets < ``next``."""

    topic: Topic
    first: int
    next: int


def state_of(cursor: psycopg.Cursor[Any], topics: Sequence[str]) -> dict[TopicPartition, State]:
    """Return what the database says of each partition of topics that are there."""
    rows = cursor.execute(_STATE, {"topics": list(topics)}).fetchall()
    return {TopicPartition(r[0], r[1]): State(Topic(r[0], r[2], r[3]), r[4], r[5]) for r in rows}


def check_range(place: TopicPartition, offset: int, state: State) -> None:
    """Raise ``PartitionError`` where an offset is not kept or not given out yet."""
    if not state.first <= offset <= state.next:
        raise out_of_range(place, offset, state.first, state.next)


def fetch(
    cursor: psycopg.Cursor[Any], place: TopicPartition, topic: Topic, start: int, rows: int, max_bytes: int, *, one: bool
) -> list[Received]:
    """Return messages from ``start`` on, no gap among them; ``one``: at least one, however large."""
    values = {"id": uuid.UUID(topic.id), "partition": place.partition, "start": start, "rows": rows}
    found = cursor.execute(_FETCH, values | {"bytes": max_bytes, "one": one}).fetchall()
    batch = [Received(place.topic, place.partition, offset, key, headers, value) for offset, key, headers, value in found]
    for expected, message in enumerate(batch, start):
        if message.offset != expected:  # a day was dropped between the two questions
            raise out_of_range(place, expected, message.offset, message.offset)
    return batch


def append(connection: Connection, messages: Sequence[Message], at: datetime) -> list[int]:
    """Append messages in the open transaction and return their offsets; commit right after, others wait.

    Raises ``RejectedError`` where there is no such topic or partition; then roll back.
    """
    wanted: dict[TopicPartition, tuple[int, int]] = {}
    for message in messages:
        place = TopicPartition(message.topic, message.partition)
        n, size = wanted.get(place, (0, 0))
        wanted[place] = (n + 1, size + len(message.value))
    taken: dict[TopicPartition, tuple[int, uuid.UUID]] = {}
    offsets: list[int] = []
    with connection.cursor(row_factory=tuple_row) as cursor:
        for place in sorted(wanted):  # one order for all publishers, or two could wait for each other
            n, size = wanted[place]
            values = {"topic": place.topic, "partition": place.partition, "n": n, "bytes": size}
            row = cursor.execute(_TAKE, values).fetchone()
            if row is None:
                raise no_topic(place.topic, place.partition)
            taken[place] = row
        cursor.execute(_STAY)
        with cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for message in messages:
                place = TopicPartition(message.topic, message.partition)
                offset, topic_id = taken[place]
                taken[place] = (offset + 1, topic_id)
                copy.write_row((topic_id, message.partition, offset, at, message.key, dict(message.headers), message.value))
                offsets.append(offset)
    return offsets
