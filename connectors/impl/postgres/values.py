"""How PostgreSQL's values become Arrow, and keys become SQL again. Nothing is rounded, wrapped or cut on the way."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.clock import CHINA
from schemas.secret import Secret

_DATES: Final = (-719162, 2932896)  # 0001-01-01 to 9999-12-31 in days of 1970
_INSTANTS: Final = (-62135596800000000, 253402300799999999)  # the same in microseconds
_TIMES: Final = (0, 86399999999)

# 'infinity' and '-infinity' are the ends of the integers; the driver adds the days from 1970 to 2000 to them, and they wrap.
_INFINITE_DATES: Final = {-2147483648 + 10956: "infinity", -2147483648 + 10957: "-infinity"}
_INFINITE_INSTANTS: Final = {
    -(2**63) + 946684800000000 - 1: "infinity",
    -(2**63) + 946684800000000: "-infinity",
    2**63 - 1: "infinity",
    -(2**63): "-infinity",
}


def plain(column: pa.Array) -> pa.Array:
    """Return a driver's column as plain Arrow: an extension as its storage; times that Python and Arrow cannot hold as text.

    A column with ``infinity``, a year before 1 or after 9999, or 24:00 comes as text in that batch, so that the step which
    conforms sets those rows aside rather than anyone reading a wrapped date.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    kind = column.type
    if pa.types.is_date32(kind):
        return _guarded(column, column.view(pa.int32()), _DATES, "D", _INFINITE_DATES, "")
    if pa.types.is_timestamp(kind):
        return _guarded(column, column.view(pa.int64()), _INSTANTS, "us", _INFINITE_INSTANTS, "Z" if kind.tz else "")
    if pa.types.is_time64(kind):
        numbers = column.view(pa.int64())
        low, high = pc.min_max(numbers).as_py().values()
        if low is not None and not _TIMES[0] <= low <= high <= _TIMES[1]:
            return pa.array([None if v is None else _clock_text(v) for v in numbers.to_pylist()], pa.string())
    return column


def _guarded(
    column: pa.Array, numbers: pa.Array, limits: tuple[int, int], unit: str, infinite: dict[int, str], zone: str
) -> pa.Array:
    low, high = pc.min_max(numbers).as_py().values()
    if low is None or limits[0] <= low <= high <= limits[1]:
        return column
    texts = [
        None if v is None else infinite.get(v) or str(np.datetime64(v, unit)).replace("T", " ") + zone  # type: ignore[call-overload]
        for v in numbers.to_pylist()
    ]
    return pa.array(texts, pa.string())


def _clock_text(micros: int) -> str:
    seconds, rest = divmod(micros, 1_000_000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:06d}"


def key_text(value: Any, type_name: str) -> str:
    """Return a key's value as PostgreSQL's input text for a type.

    Args:
        value: as the source gave it, or as text of it.
        type_name: PostgreSQL's internal name of the column's type; ``timestamp`` takes an aware instant in Asia/Shanghai.
    """
    if isinstance(value, Secret):
        value = value.reveal()
    if isinstance(value, str) and type_name == "timestamp" and value[-1:] == "Z":
        value = datetime.fromisoformat(value)  # canonical text: an instant
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, datetime):
        at: datetime = value
        if type_name == "timestamp" and at.tzinfo is not None:
            at = at.astimezone(CHINA).replace(tzinfo=None)
        return at.isoformat(" ")
    return repr(value) if isinstance(value, float) else str(value)


def instant_of(text: str) -> datetime:
    """Return the instant of a canonical text: a timestamp in UTC, or a date, which is its midnight in Asia/Shanghai."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=CHINA)


def instant_text(at: datetime) -> str:
    """Return the canonical text of an instant."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")


def midnight_before(at: datetime) -> datetime:
    """Return the last midnight in Asia/Shanghai of a day that was over at ``at``: dates up to it will get no more rows."""
    local = at.astimezone(CHINA)
    return datetime.combine(local.date() - timedelta(days=1), time(), CHINA)
