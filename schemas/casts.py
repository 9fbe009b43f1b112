"""A driver's column becomes a column of a field's type; values that cannot are told, never bent.

Each cast tries the whole column first. Only where Arrow refuses it are the failing values looked for, by halves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.canonical import text_column
from schemas.clock import CHINA
from schemas.columns import used_bytes
from schemas.contract import Field, LogicalType
from schemas.errors import Fault, RejectedError
from schemas.normalise import repair
from schemas.types import arrow_type

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]

_DAY_US: Final = 86_400_000_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01, 9999-12-31
_FIRST_US, _LAST_US = _FIRST_DAY * _DAY_US, (_LAST_DAY + 1) * _DAY_US - 1
_PLAIN_OFFSET_US: Final = 8 * 3_600_000_000
_PLAIN_SINCE_US: Final = 694_224_000_000_000  # 1992-01-01: from then on Asia/Shanghai is always eight hours ahead
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_WHOLE: Final = r"^-?[0-9]{1,19}$"
_EXACT: Final = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$"
_DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_CLOCK: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
_ZONE: Final = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_INSTANT: Final = f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[ T]{_CLOCK} ?{_ZONE}?)?$"
_ZONED: Final = f":.*{_ZONE}$"
_TIMELY: Final = (LogicalType.STRING, LogicalType.DATE, LogicalType.TIMESTAMP, LogicalType.TIME)
_TRUTH: Final = pa.array(["t", "true", "1", "f", "false", "0"])


class Cast(NamedTuple):
    """A column of the field's type; ``wrong`` is true where a value could not be cast (null there), None where all could."""

    values: pa.Array
    wrong: Mask | None


def cast_column(column: pa.Array, field: Field) -> Cast:
    """Return a driver's column as values of ``types.arrow_type(field)``, after the repairs that the field names.

    A timestamp without a zone means Asia/Shanghai. Digits beyond the microsecond are cut off.

    Raises:
        RejectedError: the column's type as a whole cannot become the field's.
    """
    plain = _unwrapped(column, field)
    wrong: Mask | None = None
    if pa.types.is_string(plain.type):
        plain, wrong = _sound_text(plain)
        if field.normalise:
            plain = repair(plain, field.normalise)
    try:
        if pa.types.is_temporal(plain.type) and field.logical_type not in _TIMELY:
            raise pa.ArrowNotImplementedError("Arrow would give the count of its units")
        cast = _CASTS[field.logical_type](plain, field)
    except pa.ArrowNotImplementedError as error:
        raise RejectedError(
            f"column {field.source_name} is of type {column.type}, which cannot become a {field.logical_type.value}",
            code="conform.type",
            where=f"field {field.name}",
            remedy="mend the contract's logicalType, or the source's column",
            fault=Fault.PROVIDER,
        ) from error
    return Cast(cast.values, _either(wrong, cast.wrong))


def reason(field: Field) -> str:
    """Return why a value of the field could not be cast, without the value."""
    match field.logical_type:
        case LogicalType.STRING:
            return "is not text in UTF-8 without NUL"
        case LogicalType.INTEGER:
            return "is not a whole number of 64 bits"
        case LogicalType.NUMBER:
            kind = arrow_type(field)
            return f"is not a number of at most {kind.precision} digits, {kind.scale} of them after the point"
        case LogicalType.DOUBLE:
            return "is not a finite number"
        case LogicalType.BOOLEAN:
            return "is neither true nor false"
        case LogicalType.DATE:
            return "is not a date of the years 1 to 9999"
        case LogicalType.TIMESTAMP:
            return "is not an instant of the years 1 to 9999"
        case LogicalType.TIME:
            return "is not a time of day"
        case LogicalType.BYTES:
            return "is not a string of bytes"


def _unwrapped(column: pa.Array, field: Field) -> pa.Array:
    """The column without a driver's wrappings: extension types, dictionaries, runs, large and view layouts."""
    kind = column.type
    if isinstance(kind, pa.UuidType) and field.logical_type is LogicalType.STRING:
        return pa.array(
            [None if v is None else str(v if isinstance(v, UUID) else UUID(bytes=v)) for v in column.to_pylist()], pa.string()
        )
    if isinstance(kind, pa.BaseExtensionType):
        return _unwrapped(column.storage, field)
    if pa.types.is_dictionary(kind):
        return _unwrapped(column.dictionary_decode(), field)
    if pa.types.is_run_end_encoded(kind):
        return _unwrapped(pc.run_end_decode(column), field)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        column = column.cast(pa.binary())
    if pa.types.is_binary(column.type) and field.logical_type is not LogicalType.BYTES:
        return column.view(pa.string())
    return column


def _sound_text(column: pa.Array) -> Cast:
    """The column with null for values that hold a NUL or are no UTF-8."""
    raw = used_bytes(column)
    if raw.size == 0:
        return Cast(column, None)
    wrong: Mask | None = None
    if int(raw.max()) >= 0x80:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            wrong = np.array([_broken(v) for v in column.view(pa.binary()).to_pylist()], np.bool_)
    if int(raw.min()) == 0:
        values = column.view(pa.binary())
        wrong = _either(wrong, _mask(pc.match_substring(values, b"\0")))
    return _without(column, wrong)


def _broken(value: bytes | None) -> bool:
    try:
        (value or b"").decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _string(column: pa.Array, field: Field) -> Cast:
    kind = column.type
    if pa.types.is_string(kind):
        return Cast(column, None)
    if pa.types.is_decimal(kind):
        return Cast(text_column(column), None)
    return Cast(pc.cast(column, pa.string()), None)


def _integer(column: pa.Array, field: Field) -> Cast:
    if pa.types.is_int64(column.type):
        return Cast(column, None)
    return _settled(column, lambda part: pc.cast(part, pa.int64()), pa.int64(), _WHOLE, strict=True)


def _number(column: pa.Array, field: Field) -> Cast:
    target = arrow_type(field)
    kind = column.type
    if pa.types.is_integer(kind):
        column = pc.cast(column, pa.decimal128(20, 0))
    elif pa.types.is_floating(kind):
        column = pc.cast(column, pa.string())
    if column.type == target:
        return Cast(column, None)
    return _settled(column, lambda part: pc.cast(part, target), target, _EXACT)


def _double(column: pa.Array, field: Field) -> Cast:
    cast = _settled(column, lambda part: pc.cast(part, pa.float64()), pa.float64(), _EXACT)
    values = cast.values
    if pc.all(pc.is_finite(values)).as_py() is not False:
        return cast
    found = _without(values, ~_mask(pc.is_finite(values), missing=True))
    return Cast(found.values, _either(cast.wrong, found.wrong))


def _boolean(column: pa.Array, field: Field) -> Cast:
    kind = column.type
    if pa.types.is_boolean(kind):
        return Cast(column, None)
    if not pa.types.is_string(kind):
        column = pc.cast(pc.cast(column, pa.int64()), pa.string())
    at = pc.index_in(pc.utf8_lower(column), _TRUTH)
    wrong = _mask(pc.and_(column.is_valid(), at.is_null()))
    return Cast(pc.less(at, 3), wrong if wrong.any() else None)


def _date(column: pa.Array, field: Field) -> Cast:
    kind = column.type
    wrong: Mask | None = None
    if pa.types.is_timestamp(kind):
        local = column if kind.tz is None else _to_china(column)
        days = pc.floor_temporal(local, unit="day")
        wrong = _mask(pc.not_equal(days, local))
        column = days
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_time(kind):
        raise pa.ArrowNotImplementedError("no date")
    cast = _settled(column, lambda part: pc.cast(part, pa.date32()), pa.date32(), _DATE)
    return _within(_without(cast.values, _either(wrong, cast.wrong)), pa.int32(), _FIRST_DAY, _LAST_DAY)


def _timestamp(column: pa.Array, field: Field) -> Cast:
    kind = column.type
    if pa.types.is_string(kind):
        cast = _settled(column, _instants, pa.timestamp("us", "UTC"), _INSTANT)
    elif pa.types.is_timestamp(kind):
        cast = _settled(column, _microseconds, pa.timestamp("us", "UTC"))
    elif pa.types.is_date(kind):
        days = _within(Cast(pc.cast(column, pa.date32()), None), pa.int32(), _FIRST_DAY, _LAST_DAY)
        cast = Cast(_from_china(pc.cast(days.values, pa.timestamp("us"))), days.wrong)
    elif pa.types.is_null(kind):
        cast = Cast(pc.cast(column, pa.timestamp("us", "UTC")), None)
    else:
        raise pa.ArrowNotImplementedError("no instant")
    return _within(cast, pa.int64(), _FIRST_US, _LAST_US)


def _instants(column: pa.Array) -> pa.Array:
    """Texts as instants: those with a zone by it, the others in Asia/Shanghai."""
    column = pc.replace_substring_regex(column, r"(\.[0-9]{6})[0-9]{1,3}", r"\1")
    column = pc.replace_substring_regex(column, r" (Z|[+-])", r"\1")
    zoned = pc.match_substring_regex(column, _ZONED)
    if not pc.any(zoned).as_py():
        return _from_china(pc.cast(column, pa.timestamp("us")))
    nothing = pa.scalar(None, pa.string())
    with_zone = pc.cast(pc.if_else(zoned, column, nothing), pa.timestamp("us", "UTC"))
    without = _from_china(pc.cast(pc.if_else(zoned, nothing, column), pa.timestamp("us")))
    return pc.coalesce(with_zone, without)


def _microseconds(column: pa.Array) -> pa.Array:
    kind = column.type
    if kind.unit == "ns":
        column = pc.floor_temporal(column.cast(pa.timestamp("ns")), unit="microsecond")
    plain = pc.cast(column.cast(pa.timestamp(column.type.unit)), pa.timestamp("us"))
    return plain.view(pa.timestamp("us", "UTC")) if kind.tz is not None else _from_china(plain)


def _to_china(column: pa.Array) -> pa.Array:
    """Instants as wall times of Asia/Shanghai (microseconds, no zone)."""
    plain = _microseconds(column)
    values = np.asarray(plain.view(pa.int64()).fill_null(_PLAIN_SINCE_US))
    shifted = values + _PLAIN_OFFSET_US
    old = (values < _PLAIN_SINCE_US) & (values > _FIRST_US)
    if old.any():
        instants, back = np.unique(values[old], return_inverse=True)
        shifted[old] = np.array([_wall_us(int(instant)) for instant in instants], np.int64)[back]
    return pa.array(shifted, pa.int64(), mask=_mask(plain.is_null())).view(pa.timestamp("us"))


def _wall_us(instant: int) -> int:
    offset = (_EPOCH + timedelta(microseconds=instant)).astimezone(CHINA).utcoffset() or timedelta(0)
    return instant + offset // timedelta(microseconds=1)


def _from_china(plain: pa.Array) -> pa.Array:
    """Wall times of Asia/Shanghai (microseconds) as instants. In the hour that summer time repeats the first is meant, and a
    wall time that summer time leaves out counts by the standard offset.
    """
    values = np.asarray(plain.view(pa.int64()).fill_null(_PLAIN_SINCE_US))
    if values.size and int(values.min()) < _PLAIN_SINCE_US:
        shifted = values - _PLAIN_OFFSET_US
        old = (values < _PLAIN_SINCE_US) & (values >= _FIRST_US)
        walls, back = np.unique(values[old], return_inverse=True)
        shifted[old] = np.array([_instant_us(int(wall)) for wall in walls], np.int64)[back]
        out = pa.array(shifted, pa.int64(), mask=_mask(plain.is_null()))
        return out.view(pa.timestamp("us", "UTC"))
    offset = pa.scalar(_PLAIN_OFFSET_US, pa.duration("us"))
    return pc.subtract(plain, offset).view(pa.timestamp("us", "UTC"))


def _instant_us(wall: int) -> int:
    local = (_EPOCH + timedelta(microseconds=wall)).replace(tzinfo=CHINA)  # the wall time's own digits, in that zone
    offset = local.utcoffset() or timedelta(0)
    return wall - offset // timedelta(microseconds=1)


def _time(column: pa.Array, field: Field) -> Cast:
    kind = column.type
    target = pa.time64("us")
    if pa.types.is_string(kind):
        cast = _settled(column, _clock_times, target, f"^{_CLOCK}$", strict=True)
    elif pa.types.is_duration(kind):
        cast = Cast(pc.cast(column, pa.duration("us"), safe=False).view(pa.int64()).view(target), None)
    elif pa.types.is_time(kind) or pa.types.is_null(kind):
        cast = Cast(pc.cast(column, target, safe=False), None)
    else:
        raise pa.ArrowNotImplementedError("no time of day")
    return _within(cast, pa.int64(), 0, _DAY_US - 1)


def _clock_times(column: pa.Array) -> pa.Array:
    column = pc.replace_substring_regex(column, r"(\.[0-9]{6})[0-9]{1,3}$", r"\1")
    dated = pc.binary_join_element_wise("1970-01-01", column, " ")
    return pc.cast(pc.cast(dated, pa.timestamp("us")), pa.time64("us"))


def _bytes(column: pa.Array, field: Field) -> Cast:
    return Cast(column if pa.types.is_binary(column.type) else pc.cast(column, pa.binary()), None)


_CASTS: Final[Mapping[LogicalType, Callable[[pa.Array, Field], Cast]]] = MappingProxyType(
    {
        LogicalType.STRING: _string,
        LogicalType.INTEGER: _integer,
        LogicalType.NUMBER: _number,
        LogicalType.DOUBLE: _double,
        LogicalType.BOOLEAN: _boolean,
        LogicalType.DATE: _date,
        LogicalType.TIMESTAMP: _timestamp,
        LogicalType.TIME: _time,
        LogicalType.BYTES: _bytes,
    }
)


def _settled(
    column: pa.Array,
    cast: Callable[[pa.Array], pa.Array],
    target: pa.DataType,
    form: str | None = None,
    *,
    strict: bool = False,
) -> Cast:
    """Cast the whole column; where that fails, first take out texts that do not match ``form``, then look by halves.

    ``strict``: Arrow takes more forms than the field may have, so ``form`` is asked of every text first.
    """
    wrong: Mask | None = None
    textual = form is not None and pa.types.is_string(column.type)
    if not (strict and textual):
        try:
            return Cast(cast(column), None)
        except pa.ArrowInvalid:
            pass  # some value fails: found below
    if textual:
        column, wrong = _without(column, _mask(pc.invert(pc.match_substring_regex(column, form))))
    found = _by_halves(column, cast, target)
    return Cast(found.values, _either(wrong, found.wrong))


def _by_halves(column: pa.Array, cast: Callable[[pa.Array], pa.Array], target: pa.DataType) -> Cast:
    count = len(column)
    try:
        return Cast(cast(column), None)
    except pa.ArrowInvalid:
        if count == 1:
            return Cast(pa.nulls(1, target), np.ones(1, np.bool_))
    half = count // 2
    parts = [_by_halves(column.slice(0, half), cast, target), _by_halves(column.slice(half), cast, target)]
    masks = [np.zeros(len(p.values), np.bool_) if p.wrong is None else p.wrong for p in parts]
    return Cast(pa.concat_arrays([p.values for p in parts]), np.concatenate(masks))


def _within(cast: Cast, storage: pa.DataType, low: int, high: int) -> Cast:
    """Tell the values outside [low, high]: a driver's infinity, or a year that has no text form."""
    ends = pc.min_max(cast.values.view(storage)).as_py()
    if ends["min"] is None or (ends["min"] >= low and ends["max"] <= high):
        return cast
    numbers = cast.values.view(storage)
    found = _without(cast.values, _mask(pc.or_(pc.less(numbers, low), pc.greater(numbers, high))))
    return Cast(found.values, _either(cast.wrong, found.wrong))


def _without(column: pa.Array, wrong: Mask | None) -> Cast:
    if wrong is None or not wrong.any():
        return Cast(column, None)
    return Cast(pc.if_else(pa.array(wrong), pa.scalar(None, column.type), column), wrong)


def _either(one: Mask | None, other: Mask | None) -> Mask | None:
    if one is None or other is None:
        return one if other is None else other
    return one | other


def _mask(flags: pa.Array, *, missing: bool = False) -> Mask:
    out: Any = flags.fill_null(missing).to_numpy(zero_copy_only=False)
    mask: Mask = out
    return mask
