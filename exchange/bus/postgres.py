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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from exchange.bus.api import Capabilities, Connection, Lag, Message, Positions, Received, Topic, TopicPartition
from exchange.bus.faults import check_sizes, first_position, no_topic, other_partitions, out_of_range, topic_recreated
from exchange.bus.share import quotas
from schemas.clock import Clock, SystemClock
from schemas.errors import DefectError, TransientError

CHANNEL: Final = "onedoor_bus"
READ_BYTES: Final = 16 << 20
_WAIT_FIRST_S: Final = 0.02
_WAIT_LAST_S: Final = 0.2
_FETCH_ROWS: Final = 4096
_IDLE_CONNECTIONS: Final = 4
_TYPES: Final = ("uuid", "int4", "int8", "timestamptz", "bytea", "json", "bytea")

_TAKE: Final = """
    UPDATE bus.partition p SET next = p.next + %(n)s, bytes = p.bytes + %(bytes)s FROM bus.topic t
    WHERE t.name = %(topic)s AND p.topic_id = t.id AND p.partition = %(partition)s
    RETURNING p.next - %(n)s, t.id"""
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
_BEAT_MEMBER: Final = """
    INSERT INTO bus.member ("group", member, topics, expires_at) VALUES (%(group)s, %(member)s, %(topics)s, %(until)s)
    ON CONFLICT ("group", member) DO UPDATE SET expires_at = excluded.expires_at"""
_BEAT_LEASES: Final = """
    UPDATE bus.lease SET expires_at = %(until)s WHERE "group" = %(group)s AND holder = %(member)s
    RETURNING topic, partition, epoch"""
_MEMBERS: Final = 'SELECT member, topics FROM bus.member WHERE "group" = %(group)s AND expires_at > %(now)s'
_SEED: Final = """
    INSERT INTO bus.lease ("group", topic, partition)
    SELECT %(group)s, t.name, p.partition FROM bus.topic t JOIN bus.partition p ON p.topic_id = t.id
    WHERE t.name = ANY (%(topics)s) ON CONFLICT DO NOTHING"""
_CLAIM: Final = """
    UPDATE bus.lease SET holder = %(member)s, epoch = epoch + 1, expires_at = %(until)s
    WHERE ("group", topic, partition) IN (
        SELECT "group", topic, partition FROM bus.lease
        WHERE "group" = %(group)s AND topic = %(topic)s AND (holder IS NULL OR expires_at <= %(now)s)
        ORDER BY partition LIMIT %(n)s FOR UPDATE SKIP LOCKED)
    RETURNING partition, epoch"""
_RELEASE: Final = """
    UPDATE bus.lease SET holder = NULL
    WHERE "group" = %(group)s AND topic = %(topic)s AND partition = %(partition)s AND holder = %(member)s"""


_DAYS: Final = """
    SELECT 'bus.' || c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'bus.message'::regclass"""
_DROPPED: Final = """
    UPDATE bus.partition p SET first = greatest(p.first, d.last + 1), bytes = greatest(0, p.bytes - d.bytes)
    FROM (SELECT topic_id, partition, max("offset") AS last, sum(octet_length(value)) AS bytes FROM {} GROUP BY 1, 2) d
    WHERE d.topic_id = p.topic_id AND d.partition = p.partition"""
_SAVED: Final = """
    UPDATE bus.lease SET position = %(position)s
    WHERE "group" = %(group)s AND topic = %(topic)s AND partition = %(partition)s
        AND holder = %(member)s AND epoch = %(epoch)s"""
_LEAVE: Final = 'UPDATE bus.lease SET holder = NULL WHERE "group" = %(group)s AND holder = %(member)s'
_DEFAULT: Final = "bus.message_default"


@contextmanager
def _told(doing: str) -> Iterator[None]:
    """Tell driver errors by the hub's kinds. The driver's words stay out of the message: they may quote values."""
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or "no SQLSTATE"
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            raise TransientError(
                f"the database of the bus did not answer while {doing} ({type(error).__name__}, {state})",
                code="bus.away",
                remedy="see that PostgreSQL runs: onedoor doctor",
            ) from error
        remedy = "run the hub's migrations: onedoor up" if isinstance(error, psycopg.errors.UndefinedTable) else None
        raise DefectError(
            f"the database refused the bus while {doing} ({type(error).__name__}, {state})", code="bus.database", remedy=remedy
        ) from error


@dataclass(slots=True)
class _Held:
    """A partition held: ``next`` is None until ``Positions`` has been asked."""

    epoch: int
    topic: Topic | None = None
    next: int | None = None


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
        self.beat_s: Final = min(1.0, lease_s / 4)

    @property
    def capabilities(self) -> Capabilities:
        """Joins transactions of the hub's database."""
        return Capabilities(joins_transaction=True)

    # Connections

    def connect(self) -> Connection:
        """Open a connection of the bus, in autocommit. Raises ``TransientError``."""
        with _told("connecting"):
            connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5, application_name="onedoor bus")
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
            with _told(doing):
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
            with _told("publishing"):
                offsets = self._append(within, messages)
        else:
            with self._connection("publishing") as connection, connection.transaction():
                offsets = self._append(connection, messages)
        self._attend()
        self._bell.set()
        return offsets

    def _append(self, connection: Connection, messages: Sequence[Message]) -> list[int]:
        wanted: dict[TopicPartition, tuple[int, int]] = {}
        for message in messages:
            place = TopicPartition(message.topic, message.partition)
            n, size = wanted.get(place, (0, 0))
            wanted[place] = (n + 1, size + len(message.value))
        taken: dict[TopicPartition, tuple[int, uuid.UUID]] = {}
        at = self._clock.now()
        offsets: list[int] = []
        with connection.cursor(row_factory=tuple_row) as cursor:
            for place in sorted(wanted):  # one order for all publishers, or two could wait for each other
                n, size = wanted[place]
                values = {"topic": place.topic, "partition": place.partition, "n": n, "bytes": size}
                row = cursor.execute(_TAKE, values).fetchone()
                if row is None:
                    raise no_topic(place.topic, place.partition)
                taken[place] = row
            with cursor.copy(_COPY) as copy:
                copy.set_types(_TYPES)
                for message in messages:
                    place = TopicPartition(message.topic, message.partition)
                    offset, topic_id = taken[place]
                    taken[place] = (offset + 1, topic_id)
                    copy.write_row((topic_id, message.partition, offset, at, message.key, dict(message.headers), message.value))
                    offsets.append(offset)
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
            state = _state(cursor, [place.topic]).get(place)
            if state is None:
                raise no_topic(place.topic, place.partition)
            _check_range(place, offset, state)
            return _fetch(cursor, place, state.topic, offset, max_messages, READ_BYTES, one=True)

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
        today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        horizon = today - timedelta(days=keep_days)
        dropped: list[str] = []
        with self._connection("making and dropping days") as connection:
            connection.execute("SET lock_timeout = '3s'")
            try:
                names = {row[0] for row in connection.execute(_DAYS)}
                for day in (today + timedelta(days=n) for n in range(ahead_days + 1)):
                    if _day_table(day) not in names:
                        self._make_day(connection, day)
                for name in sorted(n for n in names if n != _DEFAULT and n < _day_table(horizon)):
                    self._drop_day(connection, name)
                    dropped.append(name)
                newest = connection.execute("SELECT max(at) FROM bus.message_default").fetchone()
                if newest and newest[0] and newest[0] < horizon:
                    self._drop_day(connection, _DEFAULT)
                    dropped.append(_DEFAULT)
            finally:
                if not connection.closed:
                    connection.execute("SET lock_timeout = '15s'")
        return dropped

    @staticmethod
    def _make_day(connection: Connection, day: datetime) -> None:
        table = sql.Identifier(*_day_table(day).split("."))
        upto = day + timedelta(days=1)
        with connection.transaction():
            connection.execute("LOCK TABLE bus.message_default IN ACCESS EXCLUSIVE MODE")
            of_day = "SELECT 1 FROM bus.message_default WHERE at >= %s AND at < %s LIMIT 1"
            if connection.execute(of_day, (day, upto)).fetchone() is not None:
                return  # this day's messages stay where they are
            connection.execute(sql.SQL("CREATE TABLE {} (LIKE bus.message INCLUDING STORAGE)").format(table))
            connection.execute(
                sql.SQL("ALTER TABLE bus.message ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                    table, sql.Literal(day), sql.Literal(upto)
                )
            )

    @staticmethod
    def _drop_day(connection: Connection, name: str) -> None:
        table = sql.Identifier(*name.split("."))
        with connection.transaction():
            # Rows first, then the table: the order in which publishers lock.
            connection.execute("SELECT 1 FROM bus.partition ORDER BY topic_id, partition FOR UPDATE")
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            connection.execute(sql.SQL(_DROPPED).format(table))
            if name == _DEFAULT:
                connection.execute(sql.SQL("TRUNCATE {}").format(table))
            else:
                connection.execute(sql.SQL("ALTER TABLE bus.message DETACH PARTITION {}").format(table))
                connection.execute(sql.SQL("DROP TABLE {}").format(table))

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
                beat_at = monotonic() + self.beat_s
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


class PostgresSubscription:
    """One member of a group. Used by one thread."""

    def __init__(self, bus: PostgresBus, group: str, topics: Sequence[str], positions: Positions, holder: str) -> None:
        self._bus = bus
        self._group = group
        self._topics = sorted(set(topics))
        self._positions = positions
        self._holder = holder
        self._connection: Connection | None = None
        self._held: dict[TopicPartition, _Held] = {}
        self._paused: set[TopicPartition] = set()
        self._share_at = monotonic()
        self._turn = 0
        self.active_at = monotonic()

    def poll(self, timeout_s: float, max_bytes: int = READ_BYTES) -> Sequence[Received]:
        """Return what has come, in the order of each partition, waiting up to ``timeout_s`` when nothing has."""
        deadline = monotonic() + timeout_s
        wait_s = _WAIT_FIRST_S
        while True:
            self.active_at = monotonic()
            with self._session("polling") as connection:
                if self.active_at >= self._share_at:
                    self._share(connection)
                received = self._receive(connection, max_bytes)
                left_s = deadline - monotonic()
                if received or left_s <= 0:
                    return received
                for _ in connection.notifies(timeout=min(wait_s, left_s), stop_after=1):
                    wait_s = _WAIT_FIRST_S
                wait_s = min(wait_s * 2, _WAIT_LAST_S)

    def assigned(self) -> frozenset[TopicPartition]:
        """Return the partitions held at the last ``poll``."""
        return frozenset(self._held)

    def saved(self, place: TopicPartition, next_offset: int) -> None:
        """Say that everything before ``next_offset`` is committed in the database: for lag figures only."""
        self.active_at = monotonic()
        held = self._held.get(place)
        if held is None:
            return
        with self._session("saving a position") as connection:
            place_values = {"topic": place.topic, "partition": place.partition, "epoch": held.epoch, "position": next_offset}
            connection.execute(_SAVED, self._values() | place_values)

    def give_up(self, place: TopicPartition) -> None:
        """Start a partition again from ``Positions``, if it is still held at the next ``poll``."""
        held = self._held.get(place)
        if held is not None:
            held.topic = held.next = None
        self._share_at = monotonic()

    def pause(self, place: TopicPartition) -> None:
        """Fetch no more of a partition, and keep it."""
        self._paused.add(place)

    def resume(self, place: TopicPartition) -> None:
        """Fetch again."""
        self._paused.discard(place)

    def close(self) -> None:
        """Leave the group at once, so that others take over without waiting; where the database is away, they wait."""
        self._bus.forget(self)
        self._held.clear()
        with suppress(TransientError), self._session("leaving a group") as connection, connection.transaction():
            connection.execute(_LEAVE, self._values())
            connection.execute('DELETE FROM bus.member WHERE "group" = %(group)s AND member = %(member)s', self._values())
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def beat(self, connection: Connection) -> None:
        """Renew this member and its leases; on a connection of another thread."""
        connection.execute(_BEAT_MEMBER, self._values())
        connection.execute(_BEAT_LEASES, self._values())

    def _values(self) -> dict[str, Any]:
        now, until = self._bus.lease_span()
        return {"group": self._group, "member": self._holder, "topics": self._topics, "now": now, "until": until}

    @contextmanager
    def _session(self, doing: str) -> Iterator[Connection]:
        if self._connection is None or self._connection.closed:
            self._connection = self._bus.connect()
            with _told(doing):
                # A lease lost by a crash of the database is only taken again.
                self._connection.execute("SET synchronous_commit = off")
                self._connection.execute(f"LISTEN {CHANNEL}")
        try:
            with _told(doing):
                yield self._connection
        except TransientError:
            self._connection.close()
            self._connection = None
            raise

    def _share(self, connection: Connection) -> None:
        """Renew, give up what is above the share, take what is free below it."""
        values = self._values()
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(_BEAT_MEMBER, values)
            leased = {TopicPartition(t, p): e for t, p, e in cursor.execute(_BEAT_LEASES, values)}
            partitions = {place.topic: state.topic.partitions for place, state in _state(cursor, self._topics).items()}
            members = {member: frozenset(topics) for member, topics in cursor.execute(_MEMBERS, values)}
            mine = quotas(partitions, members, self._holder)
            seeded = False
            for topic, quota in mine.items():
                of_topic = sorted(place for place in leased if place.topic == topic)
                for place in of_topic[quota:]:
                    cursor.execute(_RELEASE, values | {"topic": topic, "partition": place.partition})
                    del leased[place]
                missing = quota - len(of_topic)
                if missing > 0:
                    if not seeded:
                        cursor.execute(_SEED, values)
                        seeded = True
                    rows = cursor.execute(_CLAIM, values | {"topic": topic, "n": missing}).fetchall()
                    leased.update({TopicPartition(topic, partition): epoch for partition, epoch in rows})
            cursor.execute('DELETE FROM bus.member WHERE "group" = %(group)s AND expires_at < %(now)s', values)
        for place in self._held.keys() - leased.keys():
            del self._held[place]
        self._paused &= leased.keys()
        for place, epoch in leased.items():
            held = self._held.get(place)
            if held is None or held.epoch != epoch:
                self._held[place] = _Held(epoch)
        settled = all(sum(p.topic == topic for p in leased) == quota for topic, quota in mine.items())
        self._share_at = monotonic() + (self._bus.beat_s if settled else min(0.1, self._bus.beat_s))

    def _receive(self, connection: Connection, max_bytes: int) -> list[Received]:
        wanted = sorted(self._held.keys() - self._paused)
        if not wanted:
            return []
        received: list[Received] = []
        left = max_bytes
        self._turn += 1
        start = self._turn % len(wanted)
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            states = _state(cursor, sorted({place.topic for place in wanted}))
            for place in wanted[start:] + wanted[:start]:
                state = states.get(place)
                if state is None:
                    raise topic_recreated(place)
                position = self._position(place, self._held[place], state)
                _check_range(place, position, state)
                if position == state.next or (received and left <= 0):
                    continue
                batch = _fetch(cursor, place, state.topic, position, _FETCH_ROWS, left, one=not received)
                left -= sum(len(m.value) for m in batch)
                received += batch
        for message in received:  # only now: what fails above loses nothing
            self._held[message.place].next = message.offset + 1
        return received

    def _position(self, place: TopicPartition, held: _Held, state: _State) -> int:
        """Return the next offset of a partition held, asked of ``Positions`` the first time."""
        if held.topic is not None and held.topic.id != state.topic.id:
            raise topic_recreated(place)
        if held.topic is None or held.next is None:
            held.next = first_position(self._positions, state.topic, place)
            held.topic = state.topic
        return held.next


@dataclass(frozen=True, slots=True)
class _State:
    """What the database says of a partition: ``first`` ≤ kept offsets < ``next``."""

    topic: Topic
    first: int
    next: int


def _day_table(day: datetime) -> str:
    return f"bus.message_{day:%Y%m%d}"


def _state(cursor: psycopg.Cursor[Any], topics: Sequence[str]) -> dict[TopicPartition, _State]:
    rows = cursor.execute(_STATE, {"topics": list(topics)}).fetchall()
    return {TopicPartition(r[0], r[1]): _State(Topic(r[0], r[2], r[3]), r[4], r[5]) for r in rows}


def _check_range(place: TopicPartition, offset: int, state: _State) -> None:
    if not state.first <= offset <= state.next:
        raise out_of_range(place, offset, state.first, state.next)


def _fetch(
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
