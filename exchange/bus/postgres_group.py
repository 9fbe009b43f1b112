"""A member of a group of the bus in PostgreSQL: leases, and reading from the partitions held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, Final, Protocol

from psycopg.rows import tuple_row

from exchange.bus.api import Connection, Positions, Received, Topic, TopicPartition
from exchange.bus.faults import first_position, topic_recreated
from exchange.bus.postgres_log import READ_BYTES, State, check_range, fetch, state_of, told
from exchange.bus.share import quotas
from schemas.errors import TransientError

CHANNEL: Final = "onedoor_bus"
_WAIT_FIRST_S: Final = 0.02
_WAIT_LAST_S: Final = 0.2
_FETCH_ROWS: Final = 4096

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
_SAVED: Final = """
    UPDATE bus.lease SET position = %(position)s
    WHERE "group" = %(group)s AND topic = %(topic)s AND partition = %(partition)s
        AND holder = %(member)s AND epoch = %(epoch)s"""
_LEAVE: Final = 'UPDATE bus.lease SET holder = NULL WHERE "group" = %(group)s AND holder = %(member)s'


class Node(Protocol):
    """The bus that a member belongs to."""

    @property
    def beat_s(self) -> float:
        """How often leases are renewed."""
        ...

    def connect(self) -> Connection:
        """Open a connection, in autocommit. Raises ``TransientError``."""
        ...

    def lease_span(self) -> tuple[datetime, datetime]:
        """Return the instant of the lease clock, and when a lease taken now ends."""
        ...

    def forget(self, subscription: PostgresSubscription) -> None:
        """Renew its leases no more."""
        ...


@dataclass(slots=True)
class _Held:
    """A partition held: ``next`` is None until ``Positions`` has been asked."""

    epoch: int
    topic: Topic | None = None
    next: int | None = None


class PostgresSubscription:
    """One member of a group. Used by one thread."""

    def __init__(self, bus: Node, group: str, topics: Sequence[str], positions: Positions, holder: str) -> None:
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
            with told(doing):
                # A lease lost by a crash of the database is only taken again.
                self._connection.execute("SET synchronous_commit = off")
                self._connection.execute(f"LISTEN {CHANNEL}")
        try:
            with told(doing):
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
            partitions = {place.topic: state.topic.partitions for place, state in state_of(cursor, self._topics).items()}
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
            states = state_of(cursor, sorted({place.topic for place in wanted}))
            for place in wanted[start:] + wanted[:start]:
                state = states.get(place)
                if state is None:
                    raise topic_recreated(place)
                position = self._position(place, self._held[place], state)
                check_range(place, position, state)
                if position == state.next or (received and left <= 0):
                    continue
                batch = fetch(cursor, place, state.topic, position, _FETCH_ROWS, left, one=not received)
                left -= sum(len(m.value) for m in batch)
                received += batch
        for message in received:  # only now: what fails above loses nothing
            self._held[message.place].next = message.offset + 1
        return received

    def _position(self, place: TopicPartition, held: _Held, state: State) -> int:
        """Return the next offset of a partition held, asked of ``Positions`` the first time."""
        if held.topic is not None and held.topic.id != state.topic.id:
            raise topic_recreated(place)
        if held.topic is None or held.next is None:
            held.next = first_position(self._positions, state.topic, place)
            held.topic = state.topic
        return held.next
