"""CloudEvents 1.0 in Kafka's binary mode: attributes in ``ce_*`` headers, data in the value. Frozen by ``tests/golden``."""

from __future__ import annotations

import re
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
_REQUIRED: Final = ("id", "source", "specversion", "type", "datacontenttype")
_NAME: Final = re.compile(r"[a-z0-9]{1,20}")  # CloudEvents 1.0, "Attribute Naming Convention"
_SPEC: Final = "1.0"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event: ``attributes`` without the prefix, all text; ``data`` is what ``datacontenttype`` says.

    Extension attributes of rows: ``resource``, ``contractversion``, ``runid``, ``seq``, ``operation`` (``upsert``, ``delete``,
    ``snapshot``, ``event``, ``endofrun``), ``rows``, ``contenthash`` (keyed), ``keyid``, ``casenumber``, ``sealedtype``.
    """

    attributes: Mapping[str, str]
    data: bytes = field(repr=False)

    def message(self, topic: str, partition: int, key: bytes | None) -> Message:
        """Return the message that carries this envelope.

        Raises:
            DefectError: a required attribute is missing, or CloudEvents does not allow a name.
        """
        _check(self.attributes, topic)
        headers = {"content-type": self.attributes["datacontenttype"]}
        for name, value in self.attributes.items():
            if name != "datacontenttype":
                headers[_PREFIX + name] = value
        return Message(topic, partition, key, headers, self.data)


def envelope_of(message: Received) -> Envelope:
    """Return the envelope that a message carries.

    Raises:
        DefectError: it is no event of CloudEvents 1.0; the place is named.
    """
    attributes = {k[len(_PREFIX) :]: v for k, v in message.headers.items() if k.startswith(_PREFIX)}
    if "content-type" in message.headers:
        attributes["datacontenttype"] = message.headers["content-type"]
    _check(attributes, f"{message.topic}[{message.partition}]@{message.offset}")
    return Envelope(attributes, message.value)


def _check(attributes: Mapping[str, str], where: str) -> None:
    missing = [name for name in _REQUIRED if not attributes.get(name)]
    wrong = sorted(name for name in attributes if name not in _REQUIRED and not _NAME.fullmatch(name))
    if missing:
        what = f"an event without the CloudEvents attributes {', '.join(missing)}"
    elif wrong:
        what = f"an event whose attributes have names that CloudEvents does not allow: {wrong}"
    elif attributes["specversion"] != _SPEC:
        what = f"an event of another version of CloudEvents, expected {_SPEC}"
    else:
        return
    raise DefectError(what, code="bus.not_an_event", where=where)
