"""The port of the bus: what every bus promises, whatever carries it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg

from schemas.errors import DefectError

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    """One ordered log."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic; ``id`` changes when a topic of the same name is made again."""

    name: str
    id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish: at most ``Capabilities.max_message_bytes`` of value."""

    topic: str
    partition: int
    key: bytes | None = field(repr=False)
    headers: Mapping[str, str]
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Received:
    """A message with its place."""

    topic: str
    partition: int
    offset: int
    key: bytes | None = field(repr=False)
    headers: Mapping[str, str]
    value: bytes = field(repr=False)

    @property
    def place(self) -> TopicPartition:
        """The log it stands in."""
        return TopicPartition(self.topic, self.partition)


class PartitionError(DefectError):
    """One partition cannot be read on: ``bus.out_of_range``, ``bus.topic_recreated``, or what ``Positions`` found.

    ``place`` names it. A member that pauses it can go on with the others.
    """

    def __init__(self, message: str, place: TopicPartition, *, code: str, remedy: str | None = None) -> None:
        super().__init__(message, code=code, where=f"{place.topic}[{place.partition}]", remedy=remedy)
        self.place = place


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a bus can do. ``joins_transaction``: ``publish`` can be part of a transaction of the hub's database."""

    joins_transaction: bool
    max_message_bytes: int = 900 * 1024


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a group is behind in one partition: ``end`` is the next offset to be given out."""

    partition: int
    position: int
    end: int

    @property
    def messages(self) -> int:
        """How many messages wait."""
        return max(0, self.end - self.position)


Positions = Callable[[Topic, int], int]
"""Given a topic and a partition that was just assigned, return the next offset to read: the position in the hub's database.

Raises ``DefectError`` where the saved position belongs to another topic id; ``poll`` passes it on as ``PartitionError``."""


class Subscription(Protocol):
    """One member of a group. Used by one thread."""

    def poll(self, timeout_s: float, max_bytes: int = 16 << 20) -> Sequence[Received]:
        """Return what has come, in the order of each partition, waiting up to ``timeout_s`` when nothing has.

        Takes partitions that are free, keeps the ones held, and gives up what is above this member's share; newly assigned
        partitions start at ``Positions``. To call it says that everything returned before was dealt with or dropped.

        Args:
            timeout_s: how long to wait when nothing has come, at most.
            max_bytes: of values returned, at most; one message always is, however large.

        Raises:
            TransientError: the bus is away.
            PartitionError: the position is out of the range that is kept (``bus.out_of_range``), or the topic was made again
                or removed (``bus.topic_recreated``). Never jumps. Raised again by each ``poll`` until the place is paused.
        """
        ...

    def assigned(self) -> frozenset[TopicPartition]:
        """Return the partitions held at the last ``poll``."""
        ...

    def saved(self, place: TopicPartition, next_offset: int) -> None:
        """Say that everything before ``next_offset`` is committed in the database: for lag figures only.

        Where the partition has gone to another member in the meantime, nothing happens. Raises ``TransientError``: bus away.
        """
        ...

    def give_up(self, place: TopicPartition) -> None:
        """Drop what was fetched of a partition and start again from ``Positions``: another member was ahead."""
        ...

    def pause(self, place: TopicPartition) -> None:
        """Fetch no more of a partition, and keep it."""
        ...

    def resume(self, place: TopicPartition) -> None:
        """Fetch again."""
        ...

    def close(self) -> None:
        """Leave the group at once, so that others take over without waiting."""
        ...


class Bus(Protocol):
    """A partitioned, ordered, durable log with consumer groups. Safe for threads, except its subscriptions."""

    @property
    def capabilities(self) -> Capabilities:
        """What this bus can do."""
        ...

    def ensure_topic(self, name: str, partitions: int = 1) -> Topic:
        """Return the topic, made where it is not there. Raises ``DefectError`` where it has another number of partitions."""
        ...

    def topic(self, name: str) -> Topic | None:
        """Return the topic, or None."""
        ...

    def topics(self) -> Sequence[Topic]:
        """Return every topic, by name."""
        ...

    def publish(self, messages: Sequence[Message], *, within: Connection | None = None) -> list[int]:
        """Append messages, in order, and return their offsets; durable on return.

        Args:
            messages: to any topics and partitions that exist.
            within: a connection of the hub's database with an open transaction, of which this publishing becomes a part and
                with which it becomes durable. Only where ``capabilities.joins_transaction``. Call it last before the commit.

        Raises:
            RejectedError: a value is larger than ``max_message_bytes`` (``bus.too_large``, nothing was appended), or there is
                no such topic or partition (``bus.no_topic``).
            TransientError: the bus is away. Where the bus joins transactions, nothing or all was appended; elsewhere any of
                them may have been, a later one without an earlier one too: publish them again, and know them by their ids.

        After an error the caller rolls the transaction of ``within`` back.
        """
        ...

    def subscribe(self, group: str, topics: Sequence[str], positions: Positions, *, member: str) -> Subscription:
        """Join a group. Each partition goes to one living member; a dead member's go to the others within its lease.

        Members share the partitions of a topic evenly. ``member`` is for people to read: two members may have one name.
        A topic that does not exist yet is read once it does.
        """
        ...

    def read(self, place: TopicPartition, offset: int, max_messages: int = 100) -> Sequence[Received]:
        """Return messages from an offset on, outside any group: at most 16 MiB, or one; none at the end.

        Raises ``PartitionError`` (``bus.out_of_range``) where the offset is not kept or not given out yet, ``RejectedError``
        (``bus.no_topic``).
        """
        ...

    def backlog(self, group: str, topic: str) -> Sequence[Lag]:
        """Return how far a group is behind, for each partition of a topic, by what its members ``saved``."""
        ...

    def backlog_bytes(self, topic: str) -> int:
        """Return how many bytes of values a topic holds; an estimate from above where the bus keeps other bytes beside them."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
