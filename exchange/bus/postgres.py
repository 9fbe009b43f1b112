"""The bus on the hub's own database: an append-only log whose offsets have no gaps, and groups made of leases.

Order. A publisher takes its offsets by ``UPDATE bus.partition … RETURNING`` and holds that row until it commits, so the order
of commits is the order of offsets, and whoever sees an offset sees all before it.

Groups. A partition of a group belongs to who holds its row in ``bus.lease``. Members renew their leases from a thread of their
bus as long as they poll at least every ``max_hold_s``; what a member does not renew for ``lease_s`` others take. A lease only
spares double work: that no row lands twice is the fence of the consumer's position, not of the lease.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import psycopg

from exchange.bus.api import Capabilities, Connection, Lag, Message, Positions, Received, Topic, TopicPartition
from exchange.bus.faults import check_sizes, no_topic, other_partitions
from exchange.bus.postgres_days import turn_days
from exchange.bus.postgres_group import CHANNEL, PostgresSubscription
from exchange.bus.postgres_log import ALIVE, READ_BYTES, append, check_range, fetch, state_of, told
from schemas.clock import Clock, SystemClock
from schemas.errors import TransientError

_IDLE_CONNECTIONS: Final = 4


class PostgresBus:
    """A bus in the tables ``bus.*`` of the hub's database.

    Args:
        url: of the hub's database, in libpq's form.
        clock: the hub's clock; messages are kept by its days.
        lease_s: seconds after which a dead or frozen member's partitions go to others.
        max_hold_s: seconds that a member may work between two polls before its leases are no longer renewed.
        lease_clock: measures leases. A real clock, never a set or accelerated one; the clocks of the machines whose workers
            share a group must agree to well within ``lease_s``.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        lease_s: float = 10.0,
        max_hold_s: float = 300.0,
        lease_clock: Clock | None = None,
    ) -> None:
        self._url = url
        self._clock = clock
        self._lease_clock = lease_clock or SystemClock()
        self._lease = timedelta(seconds=lease_s)
        self._max_hold_s = max_hold_s
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False
        self._subscriptions: list[PostgresSubscription] = []
        self._attendant: threading.Thread | None = None
        self._bell = threading.Event()
        self._beat_s = min(1.0, lease_s / 4)

    @property
    def capabilities(self) -> Capabilities:
        """Joins transactions of the hub's database."""
        return Capabilities(joins_transaction=True)

    @property
    def beat_s(self) -> float:
        """How often leases are renewed."""
        return self._beat_s

    # Connections

    def connect(self) -> Connection:
        """Open a connection of the bus, in autocommit. Raises ``TransientError``."""
        with told("connecting"):
            connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5, application_name="onedoor bus", **ALIVE)
            # A publisher frozen inside its transaction holds a partition's row: the server ends it, others wait longer.
            connection.execute("SET idle_in_transaction_session_timeout = '10s'")
            connection.execute("SET lock_timeout = '15s'")
            return connection

    @contextmanager
    def _connection(self, doing: str) -> Iterator[Connection]:
        """Lend a connection; one that failed is not lent again, nor those that waited beside it."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self.connect()
        try:
            with told(doing):
                yield connection
        except TransientError:
            connection.close()
            with self._lock:
                stale, self._idle = self._idle, []
            for other in stale:
                other.close()
            raise
        finally:
            with self._lock:
                keep = not connection.closed and not self._closed and len(self._idle) < _IDLE_CONNECTIONS
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    # Topics

    def ensure_topic(self, name: str, partitions: int = 1) -> Topic:
        """Return the topic, made where it is not there. Raises ``DefectError`` where it has another number of partitions."""
        found = self.topic(name)
        if found is None:
            made = str(uuid.uuid4())
            with self._connection("making a topic") as connection, connection.transaction():
                row = connection.execute(
                    "INSERT INTO bus.topic (name, id, partitions, created_at) VALUES (%s, %s, %s, %s)"
                    " ON CONFLICT (name) DO NOTHING RETURNING id",
                    (name, made, partitions, self._clock.now()),
                ).fetchone()
                if row is not None:
                    connection.execute(
                        "INSERT INTO bus.partition (topic_id, partition) SELECT %s, generate_series(0, %s - 1)",
                        (made, partitions),
                    )
                    connection.execute("UPDATE bus.lease SET position = 0 WHERE topic = %s", (name,))
            found = self.topic(name)
        if found is None or found.partitions != partitions:
            raise other_partitions(name, found.partitions if found else 0, partitions)
        return found

    def topic(self, name: str) -> Topic | None:
        """Return the topic, or None."""
        with self._connection("reading a topic") as connection:
            row = connection.execute("SELECT id::text, partitions FROM bus.topic WHERE name = %s", (name,)).fetchone()
        return Topic(name, row[0], row[1]) if row else None

    def topics(self) -> Sequence[Topic]:
        """Return every topic, by name."""
        with self._connection("reading topics") as connection:
            rows = connection.execute('SELECT name, id::text, partitions FROM bus.topic ORDER BY name COLLATE "C"').fetchall()
        return [Topic(*row) for row in rows]

    # Publishing

    def publish(self, messages: Sequence[Message], *, within: Connection | None = None) -> list[int]:
        """Append messages, in order, and return their offsets; durable on return, or with the transaction of ``within``."""
        check_sizes(messages, self.capabilities.max_message_bytes)
        if not messages:
            return []
        if within is not None:
            with told("publishing"):
                offsets = append(within, messages, self._clock.now())
        else:
            with self._connection("publishing") as connection, connection.transaction():
                offsets = append(connection, messages, self._clock.now())
        self._attend()
        self._bell.set()
        return offsets

    # Reading

    def subscribe(self, group: str, topics: Sequence[str], positions: Positions, *, member: str) -> PostgresSubscription:
        """Join a group. Each partition goes to one living member; a dead member's go to the others within its lease."""
        subscription = PostgresSubscription(self, group, topics, positions, f"{member}/{uuid.uuid4().hex[:12]}")
        with self._lock:
            self._subscriptions.append(subscription)
        self._attend()
        return subscription

    def read(self, place: TopicPartition, offset: int, max_messages: int = 100) -> Sequence[Received]:
        """Return messages from an offset on, outside any group: at most 16 MiB, or one; none at the end."""
        with self._connection("reading") as connection, connection.cursor(binary=True) as cursor:
            state = state_of(cursor, [place.topic]).get(place)
            if state is None:
                raise no_topic(place.topic, place.partition)
            check_range(place, offset, state)
            return fetch(cursor, place, state.topic, offset, max_messages, READ_BYTES, one=True)

    def backlog(self, group: str, topic: str) -> Sequence[Lag]:
        """Return how far a group is behind, for each partition of a topic, by what its members ``saved``."""
        with self._connection("reading the backlog") as connection:
            rows = connection.execute(
                "SELECT p.partition, greatest(l.position, p.first), p.next"
                " FROM bus.topic t JOIN bus.partition p ON p.topic_id = t.id"
                ' LEFT JOIN bus.lease l ON l."group" = %s AND l.topic = t.name AND l.partition = p.partition'
                " WHERE t.name = %s ORDER BY p.partition",
                (group, topic),
            ).fetchall()
        if not rows:
            raise no_topic(topic)
        return [Lag(*row) for row in rows]

    def backlog_bytes(self, topic: str) -> int:
        """Return how many bytes of values a topic holds."""
        with self._connection("reading the backlog") as connection:
            row = connection.execute(
                "SELECT sum(p.bytes)::bigint FROM bus.topic t JOIN bus.partition p ON p.topic_id = t.id WHERE t.name = %s",
                (topic,),
            ).fetchone()
        if row is None or row[0] is None:
            raise no_topic(topic)
        return int(row[0])

    # Retention

    def maintain(self, now: datetime, *, keep_days: int, ahead_days: int = 3) -> list[str]:
        """Make the tables of the coming days and drop those older than ``keep_days``; return the names of the dropped.

        Messages leave by whole days, and ``first`` of their partitions moves; nothing is deleted row by row. Messages that
        came on a day without a table stand in the default table, which is emptied once all of it is old. Call it daily, and
        at least every ``ahead_days`` days of the hub's clock.

        Raises:
            TransientError: a long transaction reads the messages; call it again later.
        """
        with self._connection("making and dropping days") as connection:
            connection.execute("SET lock_timeout = '300ms'")  # publishers wait as long as this one does
            try:
                return turn_days(connection, now, keep_days=keep_days, ahead_days=ahead_days)
            finally:
                if not connection.closed:
                    connection.execute("SET lock_timeout = '15s'")

    # The thread beside: renews leases, rings the bell

    def _attend(self) -> None:
        with self._lock:
            if self._attendant is None and not self._closed:
                self._attendant = threading.Thread(target=self._attending, name="onedoor-bus", daemon=True)
                self._attendant.start()

    def _attending(self) -> None:
        connection: Connection | None = None
        beat_at = monotonic()
        while not self._closed:
            rung = self._bell.wait(max(0.0, beat_at - monotonic()))
            self._bell.clear()
            # While the database is away there is nothing to say and nothing to renew: poll and publish report it.
            with suppress(psycopg.Error, TransientError):
                if connection is None or connection.closed:
                    connection = self.connect()
                    connection.execute("SET synchronous_commit = off")
                if rung:
                    connection.execute(f"NOTIFY {CHANNEL}")
                if monotonic() >= beat_at:
                    for subscription in self.living():
                        subscription.beat(connection)
            if monotonic() >= beat_at:
                beat_at = monotonic() + self._beat_s
        if connection is not None:
            connection.close()

    def living(self) -> list[PostgresSubscription]:
        """Return the subscriptions whose leases are to be renewed: their member polled within ``max_hold_s``."""
        with self._lock:
            return [s for s in self._subscriptions if monotonic() - s.active_at < self._max_hold_s]

    def forget(self, subscription: PostgresSubscription) -> None:
        """Renew its leases no more."""
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    def lease_span(self) -> tuple[datetime, datetime]:
        """Return the instant of the lease clock, and when a lease taken now ends."""
        now = self._lease_clock.now()
        return now, now + self._lease

    def close(self) -> None:
        """Leave all groups and let go of connections."""
        for subscription in list(self._subscriptions):
            subscription.close()
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        self._bell.set()
        if self._attendant is not None:
            self._attendant.join(timeout=5)
        for connection in idle:
            connection.close()
