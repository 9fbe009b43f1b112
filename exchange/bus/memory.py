"""The bus in the memory of one process: the fake, with the promises of the real ones but durability."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from exchange.bus.api import Capabilities, Connection, Lag, Message, Positions, Received, Topic, TopicPartition
from exchange.bus.faults import check_sizes, first_position, no_topic, other_partitions, out_of_range, topic_recreated
from exchange.bus.share import quotas
from schemas.errors import DefectError, TransientError

READ_BYTES = 16 << 20


@dataclass(slots=True)
class _Log:
    """One partition: the messages from ``first`` on."""

    topic: Topic
    first: int = 0
    messages: list[Received] = field(default_factory=list)

    @property
    def next(self) -> int:
        return self.first + len(self.messages)

    def from_offset(self, place: TopicPartition, offset: int, max_messages: int | None, max_bytes: int) -> list[Received]:
        if not self.first <= offset <= self.next:
            raise out_of_range(place, offset, self.first, self.next)
        found: list[Received] = []
        size = 0
        for message in self.messages[offset - self.first :][:max_messages]:
            size += len(message.value)
            if found and size > max_bytes:
                break
            found.append(message)
        return found


@dataclass(slots=True)
class _Held:
    """A partition held: ``next`` is None until ``Positions`` has been asked."""

    topic: Topic | None = None
    next: int | None = None


class MemoryBus:
    """A bus for one process. Safe for threads.

    Args:
        lease_s: seconds after which the partitions of a dead member go to others.
        max_hold_s: seconds that a member may work between two polls before it counts as dead.
    """

    def __init__(self, *, lease_s: float = 10.0, max_hold_s: float = 300.0) -> None:
        self.lease_s = lease_s
        self.max_hold_s = max_hold_s
        self.changed = threading.Condition()
        self.logs: dict[TopicPartition, _Log] = {}
        self.saved: dict[tuple[str, TopicPartition], int] = {}
        self.groups: dict[str, list[MemorySubscription]] = {}
        self._topics: dict[str, Topic] = {}
        self._away = False

    @property
    def capabilities(self) -> Capabilities:
        """Joins no transaction."""
        return Capabilities(joins_transaction=False)

    def ensure_topic(self, name: str, partitions: int = 1) -> Topic:
        """Return the topic, made where it is not there. Raises ``DefectError`` where it has another number of partitions."""
        with self.changed:
            self.answer()
            found = self._topics.get(name)
            if found is None:
                found = self._topics[name] = Topic(name, str(uuid.uuid4()), partitions)
                for partition in range(partitions):
                    self.logs[TopicPartition(name, partition)] = _Log(found)
                self.changed.notify_all()
        if found.partitions != partitions:
            raise other_partitions(name, found.partitions, partitions)
        return found

    def topic(self, name: str) -> Topic | None:
        """Return the topic, or None."""
        with self.changed:
            self.answer()
            return self._topics.get(name)

    def topics(self) -> Sequence[Topic]:
        """Return every topic, by name."""
        with self.changed:
            self.answer()
            return [self._topics[name] for name in sorted(self._topics)]

    def publish(self, messages: Sequence[Message], *, within: Connection | None = None) -> list[int]:
        """Append messages, in order, and return their offsets."""
        check_sizes(messages, self.capabilities.max_message_bytes)
        if within is not None:
            raise DefectError("a bus in memory joins no transaction", code="bus.within", remedy="ask capabilities first")
        offsets: list[int] = []
        with self.changed:
            self.answer()
            for message in messages:
                if TopicPartition(message.topic, message.partition) not in self.logs:
                    raise no_topic(message.topic, message.partition)
            for message in messages:
                log = self.logs[TopicPartition(message.topic, message.partition)]
                offsets.append(log.next)
                headers = dict(message.headers)
                log.messages.append(
                    Received(message.topic, message.partition, log.next, message.key, headers, bytes(message.value))
                )
            self.changed.notify_all()
        return offsets

    def subscribe(self, group: str, topics: Sequence[str], positions: Positions, *, member: str) -> MemorySubscription:
        """Join a group. Each partition goes to one living member; a dead member's go to the others within its lease."""
        subscription = MemorySubscription(self, group, frozenset(topics), positions, f"{member}/{uuid.uuid4().hex[:12]}")
        with self.changed:
            self.groups.setdefault(group, []).append(subscription)
            self.changed.notify_all()
        return subscription

    def read(self, place: TopicPartition, offset: int, max_messages: int = 100) -> Sequence[Received]:
        """Return messages from an offset on, outside any group: at most 16 MiB, or one; none at the end."""
        with self.changed:
            self.answer()
            log = self.logs.get(place)
            if log is None:
                raise no_topic(place.topic, place.partition)
            return log.from_offset(place, offset, max_messages, READ_BYTES)

    def backlog(self, group: str, topic: str) -> Sequence[Lag]:
        """Return how far a group is behind, for each partition of a topic, by what its members ``saved``."""
        with self.changed:
            self.answer()
            logs = sorted((place, log) for place, log in self.logs.items() if place.topic == topic)
            if not logs:
                raise no_topic(topic)
            return [Lag(p.partition, max(self.saved.get((group, p), 0), log.first), log.next) for p, log in logs]

    def backlog_bytes(self, topic: str) -> int:
        """Return how many bytes of values a topic holds."""
        with self.changed:
            self.answer()
            logs = [log for place, log in self.logs.items() if place.topic == topic]
            if not logs:
                raise no_topic(topic)
            return sum(len(message.value) for log in logs for message in log.messages)

    def close(self) -> None:
        """Leave all groups."""
        for members in list(self.groups.values()):
            for subscription in list(members):
                subscription.close()

    # What happens to a real bus from outside

    def remove_topic(self, name: str) -> None:
        """Remove a topic with its messages, as an administrator would."""
        with self.changed:
            del self._topics[name]
            for place in [place for place in self.logs if place.topic == name]:
                del self.logs[place]
            for key in [key for key in self.saved if key[1].topic == name]:
                del self.saved[key]
            self.changed.notify_all()

    def drop_before(self, place: TopicPartition, offset: int) -> None:
        """Keep no messages before an offset, as retention does."""
        with self.changed:
            log = self.logs[place]
            del log.messages[: max(0, offset - log.first)]
            log.first = max(log.first, offset)

    def set_away(self, away: bool) -> None:
        """Be out of reach, or answer again."""
        with self.changed:
            self._away = away
            self.changed.notify_all()

    def kill(self, subscription: MemorySubscription) -> None:
        """Let a member die without leaving its group."""
        with self.changed:
            subscription.dead_at = monotonic()

    def answer(self) -> None:
        """Raise ``TransientError`` while the bus is away."""
        if self._away:
            raise TransientError("the bus in memory is away", code="bus.away")


class MemorySubscription:
    """One member of a group. Used by one thread."""

    def __init__(self, bus: MemoryBus, group: str, topics: frozenset[str], positions: Positions, holder: str) -> None:
        self._bus = bus
        self._group = group
        self._positions = positions
        self._paused: set[TopicPartition] = set()
        self._turn = 0
        self.topics = topics
        self.holder = holder
        self.held: dict[TopicPartition, _Held] = {}
        self.active_at = monotonic()
        self.dead_at: float | None = None

    def lives(self) -> bool:
        """Say whether its leases hold."""
        ended_at = self.dead_at if self.dead_at is not None else self.active_at + self._bus.max_hold_s
        return monotonic() < ended_at + self._bus.lease_s

    def poll(self, timeout_s: float, max_bytes: int = READ_BYTES) -> Sequence[Received]:
        """Return what has come, in the order of each partition, waiting up to ``timeout_s`` when nothing has."""
        deadline = monotonic() + timeout_s
        while True:
            with self._bus.changed:
                self._bus.answer()
                if not self.lives():
                    self.held.clear()
                self.active_at = monotonic()
                self._share()
                fresh = [(p, log.topic) for p, h in self.held.items() if h.next is None and (log := self._bus.logs.get(p))]
            for place, topic in fresh:  # outside the lock: Positions asks a database
                if place not in self._paused:
                    held = self.held[place]
                    held.next, held.topic = first_position(self._positions, topic, place), topic
            with self._bus.changed:
                received = self._receive(max_bytes)
                left_s = deadline - monotonic()
                if received or left_s <= 0:
                    return received
                self._bus.changed.wait(min(left_s, 0.05))

    def assigned(self) -> frozenset[TopicPartition]:
        """Return the partitions held at the last ``poll``."""
        return frozenset(self.held)

    def saved(self, place: TopicPartition, next_offset: int) -> None:
        """Say that everything before ``next_offset`` is committed in the database: for lag figures only."""
        with self._bus.changed:
            self._bus.answer()
            self.active_at = monotonic()
            if place in self.held and self.lives():
                self._bus.saved[self._group, place] = next_offset

    def give_up(self, place: TopicPartition) -> None:
        """Start a partition again from ``Positions``, if it is still held at the next ``poll``."""
        with self._bus.changed:
            if place in self.held:
                self.held[place] = _Held()

    def pause(self, place: TopicPartition) -> None:
        """Fetch no more of a partition, and keep it."""
        self._paused.add(place)

    def resume(self, place: TopicPartition) -> None:
        """Fetch again."""
        self._paused.discard(place)

    def close(self) -> None:
        """Leave the group at once, so that others take over without waiting."""
        with self._bus.changed:
            self.held.clear()
            members = self._bus.groups.get(self._group, [])
            if self in members:
                members.remove(self)
            self._bus.changed.notify_all()

    def _share(self) -> None:
        """Give up what is above the share, take what is free below it."""
        members = [s for s in self._bus.groups.get(self._group, []) if s.lives()]
        partitions: dict[str, int] = {}
        for place in self._bus.logs:
            if place.topic in self.topics:
                partitions[place.topic] = partitions.get(place.topic, 0) + 1
        mine = quotas(partitions, {s.holder: s.topics for s in members}, self.holder)
        taken = {place for s in members for place in s.held}
        for topic, quota in mine.items():
            of_topic = sorted(place for place in self.held if place.topic == topic)
            for place in of_topic[quota:]:
                del self.held[place]
                self._bus.changed.notify_all()
            free = sorted(place for place in self._bus.logs if place.topic == topic and place not in taken)
            for place in free[: max(0, quota - len(of_topic))]:
                self.held[place] = _Held()
        self._paused &= self.held.keys()

    def _receive(self, max_bytes: int) -> list[Received]:
        wanted = sorted(self.held.keys() - self._paused)
        received: list[Received] = []
        left = max_bytes
        self._turn += 1
        start = self._turn % max(1, len(wanted))
        for place in wanted[start:] + wanted[:start]:
            held, log = self.held[place], self._bus.logs.get(place)
            if log is None or (held.topic is not None and held.topic.id != log.topic.id):
                raise topic_recreated(place)
            if held.next is None:
                continue
            batch = log.from_offset(place, held.next, None, left)
            size = sum(len(m.value) for m in batch)
            if received and size > left:
                continue
            received += batch
            left -= size
        for message in received:  # only now: what fails above loses nothing
            self.held[message.place].next = message.offset + 1
        return received
