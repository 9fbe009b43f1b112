"""The bus on Apache Kafka, by kafka-python.

Positions live in the hub's database: a partition that is assigned waits until ``Positions`` said where to start, and only then
is fetched. What Kafka knows of positions is for lag figures. Kafka's fetch names a topic by its name, so its id is asked for
after every fetch and before anything is handed out; on a cluster the answer may come from a broker that lags by moments.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, errors
from kafka.admin import OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import TopicPartition as KafkaPartition

from exchange.bus.api import Capabilities, Connection, Lag, Message, Positions, Received, Topic, TopicPartition
from exchange.bus.faults import check_sizes, no_topic, other_partitions, out_of_range
from exchange.bus.kafka_group import READ_BYTES, KafkaSubscription, placed, received_of, told
from schemas.errors import DefectError, TransientError

MIN_LEASE_S: Final = 6.0
"""A broker's ``group.min.session.timeout.ms`` as shipped."""


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
        with told("starting a reader"):
            return KafkaConsumer(
                **(self._common() | settings),
                auto_offset_reset="none",
                enable_auto_commit=False,
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                fetch_max_bytes=READ_BYTES,
                max_partition_fetch_bytes=8 << 20,
                fetch_max_wait_ms=200,
                max_poll_records=4096,
                metrics_enabled=False,
            )

    def group_consumer(self, group: str, member: str) -> Any:
        """Return a consumer of a group, which the broker calls by its member's name."""
        return self.consumer(
            client_id=f"{self._client_id}-{member}",
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
                with told("connecting"):
                    self._admin = KafkaAdminClient(**self._common())
            return self._admin

    def _sender(self) -> Any:
        with self._lock:
            if self._producer is None:
                self._reach()
                with told("connecting"):
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
            with told("making a topic"), suppress(errors.TopicAlreadyExistsError):
                self._administrator().create_topics(wanted)
            with told("waiting for a topic"):
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
        with told("asking for topics"):
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
            with told("publishing"):
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
            with told("reading"), placed():
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
                        got.append(received_of(record))
        return got

    def backlog(self, group: str, topic: str) -> Sequence[Lag]:
        """Return how far a group is behind, for each partition of a topic, by what its members ``saved``."""
        found = self.topic(topic)
        if found is None:
            raise no_topic(topic)
        places = [TopicPartition(topic, n) for n in range(found.partitions)]
        ranges = self._ranges(places)
        with told("reading the backlog"):
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
        with told("reading the backlog"):
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
            with told("asking for offsets"):
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
