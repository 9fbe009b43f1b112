"""Back from canonical bytes (``schemas.canonical``, form ``c1``) to values: the inverse that opening a sealed row needs."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final

from schemas.canonical import NULL, SEPARATOR
from schemas.contract import Field, LogicalType

Value = str | int | Decimal | float | bool | date | datetime | time | bytes | None

_ESCAPE: Final = re.compile(r"\\(.)")


def texts_of(plaintext: bytes) -> list[str]:
    """Return the canonical texts of a row's fields."""
    return plaintext.decode().split(SEPARATOR)


def values_of(fields: Sequence[Field], plaintext: bytes) -> dict[str, Value]:
    """Return the values of ``fields`` by name, from the canonical bytes of exactly these fields, in their order.

    Raises:
        ValueError: the bytes hold another number of fields, or a text that its type does not have.
    """
    texts = texts_of(plaintext)
    if len(texts) != len(fields):
        raise ValueError("another number of fields")
    return {field.name: value_of(field.logical_type, text) for field, text in zip(fields, texts, strict=True)}


def value_of(kind: LogicalType, text: str) -> Value:
    """Return the value of one canonical text."""
    if text == NULL:
        return None
    match kind:
        case LogicalType.STRING:
            return _ESCAPE.sub(lambda m: SEPARATOR if m[1] == "u" else m[1], text) if "\\" in text else text
        case LogicalType.INTEGER:
            return int(text)
        case LogicalType.NUMBER:
            return Decimal(text)
        case LogicalType.DOUBLE:
            return float(struct.unpack(">d", bytes.fromhex(text))[0])
        case LogicalType.BOOLEAN:
            return text == "t"
        case LogicalType.DATE:
            return date.fromisoformat(text)
        case LogicalType.TIMESTAMP:
            return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
        case LogicalType.TIME:
            return time.fromisoformat(text)
        case LogicalType.BYTES:
            return bytes.fromhex(text)
