"""The bus on Apache Kafka, by kafka-python.

Positions live in the hub's database: a partition that is assigned waits until ``Positions`` said where to start, and only then
is fetched. What Kafka knows of positions is for lag figures. Kafka's fetch names a topic by its name, so its id is asked for
after every fetch and before anything is handed out; on a cluster the answer may come from a broker that lags by moments.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, Final

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, errors
from kafka.admin import OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as KafkaPartition

from exchange.bus.api import Capabilities, Connection, Lag, Message, PartitionError, Positions, Received, Topic, TopicPartition
from exchange.bus.faults import check_sizes, first_position, no_topic, other_partitions, out_of_range, topic_recreated
from schemas.errors import DefectError, TransientError

READ_BYTES: Final = 16 << 20
MIN_LEASE_S: Final = 6.0
"""A broker's ``group.min.session.timeout.ms`` as shipped."""
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
def _told(doing: str) -> Iterator[None]:
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


class KafkaBus:
    """A bus on an Apache Kafka of version 4 or later.

    Args:
        servers: bootstrap servers, ``host:port[,host:port]``.
        client_id: what the broker calls this process in its logs and quotas.
        lease_s: seconds after which a dead member's partitions go to others; a broker takes no less than ``MIN_LEASE_S``.
        max_hold_s: seconds that a member may work between two polls before the group goes on without it.
        timeout_s: seconds after which a broker that does not answer is away.
        replication: copies of each topic made here.
        topic_settings: Kafka's settings of the topics made here, such as ``retention.ms``.
    """

    def __init__(
        self,
        servers: str,
        *,
        client_id: str = "onedoor",
        lease_s: float = 10.0,
        max_hold_s: float = 300.0,
        timeout_s: float = 10.0,
        replication: int = 1,
        topic_settings: Mapping[str, str] | None = None,
    ) -> None:
        self._servers = [server.strip() for server in servers.split(",")]
        self._client_id = client_id
        self._lease_ms = int(1000 * max(lease_s, MIN_LEASE_S))
        self._max_hold_ms = max(int(1000 * max_hold_s), self._lease_ms)
        self._timeout_s = timeout_s
        self._replication = replication
        self._topic_settings = dict(topic_settings or {})
        self._lock = threading.RLock()
        self._admin: Any = None
        self._producer: Any = None
        self._reader: Any = None
        self._reader_lock = threading.Lock()
        self._known: dict[str, int] = {}  # partitions of topics that were there
        self._subscriptions: list[KafkaSubscription] = []
        # At debug level the client logs the values of messages.
        for name in ("kafka", "kafka.producer.kafka"):
            logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger(name).level))

    @property
    def capabilities(self) -> Capabilities:
        """Joins no transaction of the hub's database."""
        return Capabilities(joins_transaction=False)

    # Clients

    def _common(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": self._servers,
            "client_id": self._client_id,
            "request_timeout_ms": int(self._timeout_s * 500),
            "bootstrap_timeout_ms": int(self._timeout_s * 1000),
            "reconnect_backoff_max_ms": 1000,
            "metadata_max_age_ms": 3000,
        }

    def _reach(self) -> None:
        """Raise ``TransientError`` where no server takes a connection: a client that cannot start leaves a thread behind."""
        last: OSError | None = None
        for server in self._servers:
            host, _, port = server.rpartition(":")
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=self._timeout_s / 2).close()
                return
            except OSError as error:
                last = error
        raise TransientError(
            "no Kafka broker takes a connection", code="bus.away", where=",".join(self._servers), remedy="see: onedoor doctor"
        ) from last

    def consumer(self, **settings: Any) -> Any:
        """Return a consumer that never jumps and never commits by itself."""
        self._reach()
        with _told("starting a reader"):
            return KafkaConsumer(
                **self._common(),
                auto_offset_reset="none",
                enable_auto_commit=False,
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                fetch_max_bytes=READ_BYTES,
                max_partition_fetch_bytes=8 << 20,
                fetch_max_wait_ms=200,
                max_poll_records=4096,
                metrics_enabled=False,
                **settings,
            )

    def group_consumer(self, group: str) -> Any:
        """Return a consumer of a group."""
        return self.consumer(
            group_id=group,
            session_timeout_ms=self._lease_ms,
            heartbeat_interval_ms=max(200, min(1000, self._lease_ms // 5)),
            max_poll_interval_ms=self._max_hold_ms,
            partition_assignment_strategy=(CooperativeStickyAssignor,),
        )

    def _administrator(self) -> Any:
        with self._lock:
            if self._admin is None:
                self._reach()
                with _told("connecting"):
                    self._admin = KafkaAdminClient(**self._common())
            return self._admin

    def _sender(self) -> Any:
        with self._lock:
            if self._producer is None:
                self._reach()
                with _told("connecting"):
                    self._producer = KafkaProducer(
                        **self._common(),
                        acks="all",
                        enable_idempotence=True,
                        allow_auto_create_topics=False,
                        max_request_size=4 << 20,
                        batch_size=512 << 10,
                        linger_ms=0,
                        max_block_ms=int(self._timeout_s * 500),
                        delivery_timeout_ms=int(self._timeout_s * 1000),
                        compression_type=None,  # values are compressed and sealed already
                        metrics_enabled=False,
                    )
            return self._producer

    # Topics

    def ensure_topic(self, name: str, partitions: int = 1) -> Topic:
        """Return the topic, made where it is not there. Raises ``DefectError`` where it has another number of partitions."""
        found = self.topic(name)
        if found is None:
            wanted = {
                name: {"num_partitions": partitions, "replication_factor": self._replication, "configs": self._topic_settings}
            }
            with _told("making a topic"), suppress(errors.TopicAlreadyExistsError):
                self._administrator().create_topics(wanted)
            with _told("waiting for a topic"):
                self._administrator().wait_for_topics([name], timeout_ms=int(self._timeout_s * 1000))
            found = self.topic(name)
        if found is None or found.partitions != partitions:
            raise other_partitions(name, found.partitions if found else 0, partitions)
        return found

    def topic(self, name: str) -> Topic | None:
        """Return the topic, or None."""
        return self.described([name]).get(name)

    def topics(self) -> Sequence[Topic]:
        """Return every topic, by name; not Kafka's own."""
        return sorted(self.described(None).values(), key=lambda topic: topic.name)

    def described(self, names: Sequence[str] | None) -> dict[str, Topic]:
        """Ask for topics by name, None: all; those that are not there are left out."""
        with _told("asking for topics"):
            answers = self._administrator().describe_topics(None if names is None else list(names))
        found = {
            answer["name"]: Topic(answer["name"], str(answer["topic_id"]), len(answer["partitions"]))
            for answer in answers
            if answer["error_code"] == 0 and answer["partitions"] and not answer["is_internal"]
        }
        for name in answers if names is None else names:
            if isinstance(name, str) and name not in found:
                self._known.pop(name, None)
        self._known.update({name: topic.partitions for name, topic in found.items()})
        return found

    # Publishing

    def publish(self, messages: Sequence[Message], *, within: Connection | None = None) -> list[int]:
        """Append messages, in order, and return their offsets; on all replicas in sync on return.

        After a ``TransientError`` any of them may have been appended, a later one without an earlier one too: publish them
        again, and let the consumer know them by their ids.
        """
        check_sizes(messages, self.capabilities.max_message_bytes)
        if within is not None:
            raise DefectError("Kafka joins no transaction of a database", code="bus.within", remedy="ask capabilities first")
        unknown = sorted({m.topic for m in messages if m.topic not in self._known})
        if unknown:
            self.described(unknown)
        for message in messages:
            if not 0 <= message.partition < self._known.get(message.topic, 0):
                raise no_topic(message.topic, message.partition)
        if not messages:
            return []
        producer = self._sender()
        try:
            with _told("publishing"):
                sent = [
                    producer.send(
                        message.topic,
                        value=message.value,
                        key=message.key,
                        headers=[(name, text.encode()) for name, text in message.headers.items()],
                        partition=message.partition,
                    )
                    for message in messages
                ]
                return [future.get(timeout=self._timeout_s + 5).offset for future in sent]
        except TransientError:
            there = self.described(sorted({m.topic for m in messages}))
            for message in messages:
                if message.topic not in there:
                    raise no_topic(message.topic, message.partition) from None
            raise

    # Reading

    def subscribe(self, group: str, topics: Sequence[str], positions: Positions, *, member: str) -> KafkaSubscription:
        """Join a group. Each partition goes to one living member; a dead member's go to the others within its lease."""
        subscription = KafkaSubscription(self, group, topics, positions, member)
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription

    def read(self, place: TopicPartition, offset: int, max_messages: int = 100) -> Sequence[Received]:
        """Return messages from an offset on, outside any group: at most 16 MiB, or one; none at the end."""
        first, end = self._ranges([place])[place]
        if not first <= offset <= end:
            raise out_of_range(place, offset, first, end)
        upto = min(end, offset + max_messages)
        partition = KafkaPartition(place.topic, place.partition)
        got: list[Received] = []
        size = 0
        deadline = monotonic() + self._timeout_s
        with self._reader_lock:
            if self._reader is None:
                self._reader = self.consumer()
            with _told("reading"), _placed():
                self._reader.assign([partition])
                self._reader.seek(partition, offset)
                while offset < upto:
                    records = self._reader.poll(timeout_ms=500, max_records=max_messages).get(partition, [])
                    if not records and monotonic() > deadline:
                        raise errors.KafkaTimeoutError("no record came in time")
                    for record in records:
                        offset = record.offset + 1
                        size += len(record.value)
                        if record.offset >= upto or (got and size > READ_BYTES):
                            return got
                        got.append(_received(record))
        return got

    def backlog(self, group: str, topic: str) -> Sequence[Lag]:
        """Return how far a group is behind, for each partition of a topic, by what its members ``saved``."""
        found = self.topic(topic)
        if found is None:
            raise no_topic(topic)
        places = [TopicPartition(topic, n) for n in range(found.partitions)]
        ranges = self._ranges(places)
        with _told("reading the backlog"):
            try:
                saved = self._administrator().list_group_offsets({group: None})[group]
            except (errors.GroupIdNotFoundError, KeyError):
                saved = {}
        lags = []
        for place in places:
            first, end = ranges[place]
            known = saved.get(KafkaPartition(place.topic, place.partition))
            lags.append(Lag(place.partition, max(first, known.offset if known is not None else first), end))
        return lags

    def backlog_bytes(self, topic: str) -> int:
        """Return how many bytes the logs of a topic take on their disks, the largest copy of each partition."""
        if self.topic(topic) is None:
            raise no_topic(topic)
        sizes: dict[int, int] = {}
        with _told("reading the backlog"):
            for broker in self._administrator().describe_log_dirs([topic]):
                for folder in broker["log_dirs"]:
                    for described in folder["topics"]:
                        if described["name"] == topic:
                            for part in described["partitions"]:
                                index = part["partition_index"]
                                sizes[index] = max(sizes.get(index, 0), part["partition_size"])
        return sum(sizes.values())

    def _ranges(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Return the first offset kept and the next to be given out."""
        wanted = [KafkaPartition(place.topic, place.partition) for place in places]
        try:
            with _told("asking for offsets"):
                ask = self._administrator().list_partition_offsets
                first = ask(dict.fromkeys(wanted, OffsetSpec.EARLIEST))
                end = ask(dict.fromkeys(wanted, OffsetSpec.LATEST))
        except TransientError as error:
            if isinstance(error.__cause__, errors.UnknownTopicOrPartitionError):
                raise no_topic(places[0].topic, places[0].partition) from None
            raise
        return {place: (first[tp].offset, end[tp].offset) for place, tp in zip(places, wanted, strict=True)}

    def forget(self, subscription: KafkaSubscription) -> None:
        """Close it no more at the end."""
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    def close(self) -> None:
        """Leave all groups and let go of connections."""
        for subscription in list(self._subscriptions):
            subscription.close()
        with self._lock, suppress(errors.KafkaError):
            if self._producer is not None:
                self._producer.close(timeout=self._timeout_s)
        with self._lock, suppress(errors.KafkaError):
            if self._admin is not None:
                self._admin.close()
        with self._reader_lock, suppress(errors.KafkaError):
            if self._reader is not None:
                self._reader.close(autocommit=False, timeout_ms=2000)


class KafkaSubscription:
    """One member of a group. Used by one thread."""

    def __init__(self, bus: KafkaBus, group: str, topics: Sequence[str], positions: Positions, member: str) -> None:
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
            self._consumer = self._bus.group_consumer(self._group)
            self._consumer.subscribe(topics=self._topics, listener=_Assigned(self))
            with _told("joining a group"):
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
        with _told("polling"), _placed():
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
                self._fetched.setdefault(place, deque()).extend(_received(record) for record in of_partition)
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


@contextmanager
def _placed() -> Iterator[None]:
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


def _received(record: Any) -> Received:
    headers = {name: value.decode() for name, value in record.headers}
    return Received(record.topic, record.partition, record.offset, record.key, headers, record.value)
