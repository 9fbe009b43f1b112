"""A member of a group of the bus on Kafka, and how the client's errors are told."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, Final, Protocol

from kafka import ConsumerRebalanceListener, errors
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as KafkaPartition

from exchange.bus.api import PartitionError, Positions, Received, Topic, TopicPartition
from exchange.bus.faults import first_position, topic_recreated
from schemas.errors import DefectError, TransientError

READ_BYTES: Final = 16 << 20
_VERIFY_S: Final = 1.0
_REFUSED: Final = (
    errors.AuthorizationError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.UnsupportedVersionError,
    errors.KafkaConfigurationError,
    errors.InvalidSessionTimeoutError,
    errors.InconsistentGroupProtocolError,
    errors.InvalidReplicationFactorError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
    errors.InvalidConfigurationError,
)


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Tell the client's errors by the hub's kinds; its words may quote a value and stay out of the message."""
    try:
        yield
    except _REFUSED as error:
        raise DefectError(
            f"Kafka refused while {doing} ({type(error).__name__})",
            code="bus.refused",
            remedy="look at the broker's settings and at the rights of the hub",
        ) from error
    except (errors.KafkaError, OSError) as error:
        raise TransientError(
            f"Kafka did not answer while {doing} ({type(error).__name__})",
            code="bus.away",
            remedy="see that the broker runs: onedoor doctor",
        ) from error


@contextmanager
def placed() -> Iterator[None]:
    """Name the partition whose position is out of range."""
    try:
        yield
    except (errors.OffsetOutOfRangeError, errors.LogTruncationError) as error:
        found = _where(error)
        if found is None:
            raise DefectError("a position is out of the range that is kept", code="bus.out_of_range") from error
        place, offset = found
        raise PartitionError(
            f"position {offset} is out of the range that is kept",
            place,
            code="bus.out_of_range",
            remedy="make a full collection of the resource, then set the position: onedoor bus replay",
        ) from error


def _where(error: Exception) -> tuple[TopicPartition, int] | None:
    for argument in error.args:
        if isinstance(argument, dict):
            for tp, offset in argument.items():
                return TopicPartition(tp.topic, tp.partition), offset if isinstance(offset, int) else -1
    return None


def received_of(record: Any) -> Received:
    """Return a record of the client as a message with its place."""
    headers = {name: value.decode() for name, value in record.headers}
    return Received(record.topic, record.partition, record.offset, record.key, headers, record.value)


class Node(Protocol):
    """The bus that a member belongs to."""

    def group_consumer(self, group: str, member: str) -> Any:
        """Return a client that is a member of a group. Raises ``TransientError``."""
        ...

    def described(self, names: Sequence[str] | None) -> Mapping[str, Topic]:
        """Ask for topics by name; those that are not there are left out. Raises ``TransientError``."""
        ...

    def forget(self, subscription: KafkaSubscription) -> None:
        """Close it no more at the end."""
        ...


class KafkaSubscription:
    """One member of a group. Used by one thread."""

    def __init__(self, bus: Node, group: str, topics: Sequence[str], positions: Positions, member: str) -> None:
        self._bus = bus
        self._group = group
        self._topics = sorted(set(topics))
        self._positions = positions
        self._member = member
        self._consumer: Any = None
        self._lock = threading.Lock()
        self._fresh: set[TopicPartition] = set()  # assigned, and Positions not asked yet; the client's thread adds to it
        self._start: dict[TopicPartition, Topic] = {}  # the topic of each partition as it was when Positions was asked
        self._fetched: dict[TopicPartition, deque[Received]] = {}  # fetched, and not handed out yet
        self._paused: set[TopicPartition] = set()
        self._verified_at = 0.0
        self._turn = 0

    def poll(self, timeout_s: float, max_bytes: int = READ_BYTES) -> Sequence[Received]:
        """Return what has come, in the order of each partition, waiting up to ``timeout_s`` when nothing has."""
        deadline = monotonic() + timeout_s
        if self._consumer is None:
            self._consumer = self._bus.group_consumer(self._group, self._member)
            self._consumer.subscribe(topics=self._topics, listener=_Assigned(self))
            with told("joining a group"):
                self._consumer.topics()  # a leader that knows no partitions yet would give out none
        while True:
            waiting = any(place not in self._paused for place, kept in self._fetched.items() if kept)
            if not waiting:
                self._fetch(max(0.0, min(deadline - monotonic(), 0.5)))
            received = self._hand_out(max_bytes)
            if received or monotonic() >= deadline:
                return received

    def assigned(self) -> frozenset[TopicPartition]:
        """Return the partitions held at the last ``poll``."""
        with self._lock:
            return frozenset(self._start) | frozenset(self._fresh)

    def saved(self, place: TopicPartition, next_offset: int) -> None:
        """Say that everything before ``next_offset`` is committed in the database: for lag figures only."""
        if self._consumer is None or place not in self._start:
            return
        offsets = {KafkaPartition(place.topic, place.partition): OffsetAndMetadata(next_offset, "", -1)}
        with suppress(errors.KafkaError):  # a figure that comes late, or after the partition went away
            self._consumer.commit_async(offsets, callback=lambda *_: None)

    def give_up(self, place: TopicPartition) -> None:
        """Drop what was fetched of a partition and start again from ``Positions``: another member was ahead."""
        if place in self._start:
            self.start_again({place})

    def pause(self, place: TopicPartition) -> None:
        """Fetch no more of a partition, and keep it."""
        self._paused.add(place)
        self._hold(place)

    def resume(self, place: TopicPartition) -> None:
        """Fetch again."""
        self._paused.discard(place)
        if place in self._start and place not in self._fresh:
            self._consumer.resume(KafkaPartition(place.topic, place.partition))

    def close(self) -> None:
        """Leave the group at once, so that others take over without waiting; where the broker is away, they wait."""
        self._bus.forget(self)
        consumer, self._consumer = self._consumer, None
        self._start.clear()
        self._fetched.clear()
        with self._lock:
            self._fresh.clear()
        if consumer is not None:
            with suppress(errors.KafkaError):
                consumer.close(autocommit=False, timeout_ms=3000)

    def start_again(self, places: set[TopicPartition]) -> None:
        """Fetch nothing of these until ``Positions`` was asked; also called by the client's own thread, so it asks nothing."""
        with self._lock:
            self._fresh |= places
        for place in places:
            if self._hold(place):
                self._consumer.seek(KafkaPartition(place.topic, place.partition), 0)

    def _hold(self, place: TopicPartition) -> bool:
        partition = KafkaPartition(place.topic, place.partition)
        if self._consumer is None or partition not in self._consumer.assignment():
            return False
        self._consumer.pause(partition)
        return True

    def _fetch(self, wait_s: float) -> None:
        """Take part in the group, and fetch."""
        with told("polling"), placed():
            try:
                records = self._consumer.poll(timeout_ms=int(wait_s * 1000))
            except errors.NoOffsetForPartitionError:  # assigned in this moment, its listener not yet called
                records = {}
        held = {TopicPartition(tp.topic, tp.partition) for tp in self._consumer.assignment()}
        with self._lock:
            self._fresh &= held
            fresh = set(self._fresh) | (held - self._start.keys())
        self._paused &= held
        for place in fresh | (self._start.keys() - held):
            self._start.pop(place, None)
            self._fetched.pop(place, None)
        for tp, of_partition in records.items():
            place = TopicPartition(tp.topic, tp.partition)
            if place in self._start:
                self._fetched.setdefault(place, deque()).extend(received_of(record) for record in of_partition)
        if records:
            self._verified_at = 0.0
        if fresh:
            self._position(sorted(fresh - self._paused))

    def _position(self, fresh: Sequence[TopicPartition]) -> None:
        """Ask ``Positions`` where partitions start, and let them be fetched."""
        topics = self._bus.described(sorted({place.topic for place in fresh})) if fresh else {}
        for place in fresh:
            topic = topics.get(place.topic)
            if topic is None:
                raise topic_recreated(place)
            offset = first_position(self._positions, topic, place)
            partition = KafkaPartition(place.topic, place.partition)
            if not self._hold(place):
                continue
            self._consumer.seek(partition, offset)
            self._start[place] = topic
            with self._lock:
                self._fresh.discard(place)
            self._consumer.resume(partition)

    def _verify(self) -> None:
        """See that the broker answers and that no topic was made again since its position was read."""
        if monotonic() - self._verified_at < _VERIFY_S:
            return
        topics = self._bus.described(self._topics)
        for place, topic in self._start.items():
            if place not in self._paused and (place.topic not in topics or topics[place.topic].id != topic.id):
                raise topic_recreated(place)
        self._verified_at = monotonic()

    def _hand_out(self, max_bytes: int) -> list[Received]:
        self._verify()
        received: list[Received] = []
        left = max_bytes
        places = sorted(place for place, kept in self._fetched.items() if kept and place not in self._paused)
        self._turn += 1
        start = self._turn % max(1, len(places))
        for place in places[start:] + places[:start]:
            kept = self._fetched[place]
            while kept and (not received or len(kept[0].value) <= left):
                left -= len(kept[0].value)
                received.append(kept.popleft())
        return received


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc]
    """Called by the client's own thread, where nothing may wait: it only marks what is to be positioned."""

    def __init__(self, subscription: KafkaSubscription) -> None:
        self._subscription = subscription

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Let no partition be fetched before its position is known."""
        self._subscription.start_again({TopicPartition(tp.topic, tp.partition) for tp in assigned})

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing to save: positions are in the database."""
