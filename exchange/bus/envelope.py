"""CloudEvents 1.0 in Kafka's binary mode: attributes in ``ce_*`` headers, data in the value. Frozen by ``tests/golden``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exchange.bus.api import Message, Received
from schemas.errors import DefectError

ARROW: Final = "application/vnd.apache.arrow.stream"
JSON: Final = "application/json"
SEALED: Final = "application/vnd.onedoor.sealed"
ROWS_TYPE: Final = "onedoor.rows"
END_TYPE: Final = "onedoor.endofrun"
_PREFIX: Final = "ce_"
_REQUIRED: Final = ("id", "source", "specversion", "type")


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event: ``attributes`` without the prefix, all text; ``data`` is what ``datacontenttype`` says.

    Extension attributes of rows: ``resource``, ``contractversion``, ``runid``, ``seq``, ``operation`` (``upsert``, ``delete``,
    ``snapshot``, ``event``, ``endofrun``), ``rows``, ``contenthash`` (keyed), ``keyid``, ``casenumber``, ``sealedtype``.
    """

    attributes: Mapping[str, str]
    data: bytes = field(repr=False)

    def message(self, topic: str, partition: int, key: bytes | None) -> Message:
        """Return the message that carries this envelope."""
        headers = {"content-type": self.attributes["datacontenttype"]}
        for name, value in self.attributes.items():
            if name != "datacontenttype":
                headers[_PREFIX + name] = value
        return Message(topic, partition, key, headers, self.data)


def envelope_of(message: Received) -> Envelope:
    """Return the envelope that a message carries.

    Raises:
        DefectError: a required attribute is missing; the place is named.
    """
    attributes = {k[len(_PREFIX) :]: v for k, v in message.headers.items() if k.startswith(_PREFIX)}
    if "content-type" in message.headers:
        attributes["datacontenttype"] = message.headers["content-type"]
    missing = [name for name in _REQUIRED if name not in attributes]
    if missing:
        raise DefectError(
            f"a message without the CloudEvents attributes {', '.join(missing)}",
            code="bus.not_an_event",
            where=f"{message.topic}[{message.partition}]@{message.offset}",
        )
    return Envelope(attributes, message.value)
