"""What becomes of a message that cannot be used: the same message in ``<topic>.dlq``, with its origin and the reason."""

from __future__ import annotations

from typing import Final

from exchange.bus.api import Message, Received
from schemas.errors import OneDoorError
from schemas.resource import dead_letter_topic

PREFIX: Final = "dlq_"


def dead_letter(received: Received, reason: OneDoorError, *, group: str) -> Message:
    """Return the dead letter of a message: its key, headers and value, and ``dlq_*`` headers that say why it is here.

    Publish it to partition 0 in the transaction that moves the position, where the bus joins transactions; elsewhere before
    that transaction commits: then it may be there twice, and ``dlq_offset`` tells that it is the same.

    Args:
        received: the message as it came.
        reason: what was wrong with it. Its code and message go along; like every error it names no personal value.
        group: who could not use it.
    """
    why = {
        "topic": received.topic,
        "partition": str(received.partition),
        "offset": str(received.offset),
        "group": group,
        "code": reason.code,
        "reason": reason.message,
    }
    headers = dict(received.headers) | {PREFIX + name: value for name, value in why.items()}
    return Message(dead_letter_topic(received.topic), 0, received.key, headers, received.value)


def revived(letter: Received) -> Message:
    """Return the message that a dead letter holds, for the topic and partition where it stood.

    Raises:
        KeyError: it is no dead letter.
    """
    headers = {name: value for name, value in letter.headers.items() if not name.startswith(PREFIX)}
    topic, partition = letter.headers[PREFIX + "topic"], int(letter.headers[PREFIX + "partition"])
    return Message(topic, partition, letter.key, headers, letter.value)
