"""The smallest consumer that keeps the promise "every row once": rows and position in one transaction, fenced."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import psycopg

from exchange.bus.api import Received, Subscription, Topic, TopicPartition
from schemas.errors import DefectError

_TABLES = (
    "CREATE TABLE IF NOT EXISTS landed_row (topic text, part int, at bigint, body text)",
    "CREATE TABLE IF NOT EXISTS landed_position (topic text, topic_id text, part int, next bigint, PRIMARY KEY (topic, part))",
)


class Store(Protocol):
    """Where a test lands rows. ``shares_writes``: two transactions may write at once."""

    shares_writes: bool

    def position(self, topic: Topic, partition: int) -> int:
        """The next offset to read."""
        ...

    def land(self, received: Sequence[Received], *, inside: Callable[[], None] = lambda: None) -> bool:
        """Store one partition's rows and its position, or nothing where another was ahead; ``inside``: before the fence."""
        ...

    def rows(self, topic: str) -> list[tuple[int, int, str]]:
        """What was landed: partition, offset, body; ordered."""
        ...


class _SqlStore:
    def __init__(self, connect: Callable[[], Any], mark: str) -> None:
        self._connect = connect
        self._mark = mark
        with closing(connect()) as connection:
            for statement in _TABLES:
                connection.execute(statement)
            connection.commit()

    def _sql(self, text: str) -> str:
        return text.replace("?", self._mark)

    def position(self, topic: Topic, partition: int) -> int:
        with closing(self._connect()) as connection:
            insert = "INSERT INTO landed_position VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING"
            connection.execute(self._sql(insert), (topic.name, topic.id, partition))
            found = connection.execute(
                self._sql("SELECT topic_id, next FROM landed_position WHERE topic = ? AND part = ?"), (topic.name, partition)
            ).fetchone()
            connection.commit()
        if found[0] != topic.id:
            raise DefectError("the saved position belongs to another topic", code="bus.topic_recreated")
        return int(found[1])

    def land(self, received: Sequence[Received], *, inside: Callable[[], None] = lambda: None) -> bool:
        first, last = received[0], received[-1]
        with closing(self._connect()) as connection:
            for message in received:
                connection.execute(
                    self._sql("INSERT INTO landed_row VALUES (?, ?, ?, ?)"),
                    (message.topic, message.partition, message.offset, message.value.decode()),
                )
            inside()
            done = connection.execute(
                self._sql("UPDATE landed_position SET next = ? WHERE topic = ? AND part = ? AND next = ?"),
                (last.offset + 1, first.topic, first.partition, first.offset),
            )
            if done.rowcount != 1:
                connection.rollback()
                return False
            connection.commit()
            return True

    def rows(self, topic: str) -> list[tuple[int, int, str]]:
        with closing(self._connect()) as connection:
            found = connection.execute(
                self._sql("SELECT part, at, body FROM landed_row WHERE topic = ? ORDER BY part, at"), (topic,)
            ).fetchall()
            return [tuple(row) for row in found]


class PostgresStore(_SqlStore):
    """Beside the bus, in the hub's database."""

    shares_writes = True

    def __init__(self, url: str) -> None:
        super().__init__(lambda: psycopg.connect(url), "%s")


class SqliteStore(_SqlStore):
    """Where no database is at hand."""

    shares_writes = False

    def __init__(self, path: Path) -> None:
        super().__init__(lambda: sqlite3.connect(path, timeout=20), "?")


class Member:
    """A member of a group that lands what comes, in a thread of its own."""

    def __init__(self, subscription: Subscription, store: Store, *, inside: Callable[[], None] = lambda: None) -> None:
        self.subscription = subscription
        self.fenced = 0
        self.error: Exception | None = None
        self.held: frozenset[TopicPartition] = frozenset()
        self._store = store
        self._inside = inside
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                received = self.subscription.poll(0.1)
                self.held = self.subscription.assigned()
                land_each(self.subscription, received, self._store, self._inside, self._fence)
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def _fence(self) -> None:
        self.fenced += 1

    def stop(self, *, leave: bool = True) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()
        if leave:
            self.subscription.close()
        if self.error is not None:
            raise self.error


def land_each(
    subscription: Subscription,
    received: Sequence[Received],
    store: Store,
    inside: Callable[[], None] = lambda: None,
    fenced: Callable[[], None] = lambda: None,
) -> None:
    """Land each partition's messages; where another member was ahead, give the partition up."""
    by_place: dict[TopicPartition, list[Received]] = {}
    for message in received:
        by_place.setdefault(message.place, []).append(message)
    for place, messages in by_place.items():
        if store.land(messages, inside=inside):
            subscription.saved(place, messages[-1].offset + 1)
        else:
            fenced()
            subscription.give_up(place)


def until(done: Callable[[], object], *, within_s: float, step: Callable[[], object] | None = None) -> None:
    """Return when ``done`` says so, trying again after each ``step``; fail after ``within_s``."""
    deadline = monotonic() + within_s
    tick = threading.Event()
    while not done():
        assert monotonic() < deadline, f"did not happen within {within_s} s"
        if step is None:
            tick.wait(0.01)
        else:
            step()
