"""How the words of an ODCS document become the hub's: types, decimal shapes, bounds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final

from schemas.clock import CHINA
from schemas.contract import LogicalType

MAX_BOUND_DIGITS: Final = 15  # a YAML number is a double

_DECIMAL_TYPE: Final = re.compile(r"(?:numeric|decimal|dec|number)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", re.IGNORECASE)
_FLOAT_TYPES: Final = frozenset(
    ("double", "double precision", "float", "float4", "float8", "real", "binary_float", "binary_double")
)
_BYTE_TYPES: Final = frozenset(("bytea", "blob", "longblob", "mediumblob", "tinyblob", "raw", "long raw", "image"))


def logical_type(text: str, physical_type: str | None, form: str | None) -> LogicalType:
    """Return the logical type of a property.

    Args:
        text: its ODCS ``logicalType``, one that the hub knows.
        physical_type: its ``physicalType``; a binary float makes a number a double, a binary string makes a string bytes.
        form: its ``logicalTypeOptions.format``; ``f32`` and ``f64``, and ``binary``, do the same.
    """
    plain = re.sub(r"\(.*\)", "", (physical_type or "").lower()).strip()
    if text == "number" and (form in ("f32", "f64") or plain in _FLOAT_TYPES):
        return LogicalType.DOUBLE
    if text == "string" and (form == "binary" or plain in _BYTE_TYPES or plain.endswith("binary")):
        return LogicalType.BYTES
    return LogicalType(text)


def declared_shape(physical_type: str | None) -> tuple[int | None, int | None]:
    """Return (precision, scale) that a physical type such as ``numeric(12,2)`` declares, else (None, None)."""
    found = _DECIMAL_TYPE.fullmatch((physical_type or "").strip())
    if found is None:
        return None, None
    return int(found[1]), int(found[2] or 0)


def canonical_bound(value: object, kind: LogicalType, scale: int) -> str:
    """Return a document's ``minimum`` or ``maximum`` in the text form of ``schemas.canonical``; a double's is Python's shortest
    decimal form. Raises ``ValueError``, ``TypeError`` or ``decimal.InvalidOperation`` where it does not fit the type.
    """
    if isinstance(value, bool):
        raise ValueError("a truth value is no bound")
    match kind:
        case LogicalType.INTEGER | LogicalType.NUMBER | LogicalType.DOUBLE if not isinstance(value, int | float):
            raise TypeError("no number")
        case LogicalType.INTEGER:
            number = Decimal(str(value))
            if number != number.to_integral_value() or abs(number) >= 1 << 63:
                raise ValueError("not whole")
            return str(int(number))
        case LogicalType.NUMBER:
            number = Decimal(str(value))
            fixed = number.quantize(Decimal(1).scaleb(-scale))
            if fixed != number or (isinstance(value, float) and len(number.as_tuple().digits) > MAX_BOUND_DIGITS):
                raise ValueError("not of the scale")
            return f"{fixed:f}"
        case LogicalType.DOUBLE:
            number_ = float(value)  # type: ignore[arg-type]
            if number_ != number_ or number_ in (float("inf"), float("-inf")):
                raise ValueError("no finite number")
            return repr(number_)
    if not isinstance(value, str):
        raise TypeError("no text")
    if kind is LogicalType.DATE:
        return date.fromisoformat(value).isoformat()
    if kind is LogicalType.TIME:
        return time.fromisoformat(value).replace(tzinfo=None).isoformat("microseconds")
    instant = datetime.fromisoformat(value.removesuffix("Z") + "+00:00" if value.endswith("Z") else value)
    instant = instant if instant.tzinfo else instant.replace(tzinfo=CHINA)
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds") + "Z"


def in_order(bound: str, kind: LogicalType) -> tuple[Decimal, str]:
    """Return a canonical bound as something that sorts as the values do."""
    if kind in (LogicalType.INTEGER, LogicalType.NUMBER, LogicalType.DOUBLE):
        return Decimal(bound), ""
    return Decimal(0), bound
