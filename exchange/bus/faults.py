"""What every bus refuses, in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.bus.api import Message, PartitionError, Positions, Topic, TopicPartition
from schemas.errors import DefectError, RejectedError


def check_sizes(messages: Sequence[Message], limit: int) -> None:
    """Raise ``RejectedError`` (``bus.too_large``) where a value is above the limit."""
    for message in messages:
        if len(message.value) > limit:
            raise RejectedError(
                f"a message of {len(message.value)} bytes, {limit} at most were expected",
                code="bus.too_large",
                where=f"{message.topic}[{message.partition}]",
                remedy="send fewer rows in a message; large content travels by reference",
            )


def no_topic(topic: str, partition: int | None = None) -> RejectedError:
    """Return the error of a topic or partition that is not there."""
    where = topic if partition is None else f"{topic}[{partition}]"
    remedy = "see: onedoor bus topics"
    return RejectedError("there is no such topic or partition", code="bus.no_topic", where=where, remedy=remedy)


def out_of_range(place: TopicPartition, offset: int, first: int, end: int) -> PartitionError:
    """Return the error of a position that is not kept."""
    return PartitionError(
        f"position {offset} is out of the range that is kept, {first} to {end}",
        place,
        code="bus.out_of_range",
        remedy="make a full collection of the resource, then set the position: onedoor bus replay",
    )


def topic_recreated(place: TopicPartition) -> PartitionError:
    """Return the error of a topic whose id is another than at the last position."""
    return PartitionError(
        "the topic was made again or removed since its position was saved",
        place,
        code="bus.topic_recreated",
        remedy="make a full collection of the resource, then set the position: onedoor bus replay",
    )


def first_position(positions: Positions, topic: Topic, place: TopicPartition) -> int:
    """Ask ``Positions``; its ``DefectError`` becomes a ``PartitionError`` that names the place."""
    try:
        return positions(topic, place.partition)
    except PartitionError:
        raise
    except DefectError as error:
        raise PartitionError(error.message, place, code=error.code, remedy=error.remedy) from error


def other_partitions(topic: str, found: int, expected: int) -> DefectError:
    """Return the error of a topic that has another number of partitions."""
    return DefectError(
        f"the topic has {found} partitions, {expected} were expected",
        code="bus.partitions",
        where=topic,
        remedy="the number of partitions of a topic is fixed: use the one it has",
    )
