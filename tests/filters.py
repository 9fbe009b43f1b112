"""Row filters and rows for property tests: values that are near one another, so that comparisons come out either way."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from schemas.contract import DataContract, Field, LogicalType
from schemas.filter_nodes import RESERVED, literal
from schemas.types import decimal_shape
from tests.hub import contract

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)

_NEAR_TEXTS = st.sampled_from(
    [
        "",
        " ",
        "a",
        "A",
        "B",
        "ab",
        "a b",
        "é",
        "'",
        "''",
        "\\",
        "\\'",
        "%",
        "%s",
        '"',
        "$1",
        "--",
        "\n",
        "马",
        "马坝镇",
        "樟市镇",
        "𠮷",
        "ﾊ",
    ]
)
_INSTANT = datetime(2026, 1, 31, tzinfo=UTC)


def values(field: Field) -> st.SearchStrategy[Any]:
    """Return values that a field can hold, as a driver gives them; numbers as ``Decimal``."""
    match field.logical_type:
        case LogicalType.STRING:
            return _NEAR_TEXTS | texts
        case LogicalType.INTEGER:
            return st.integers(-2, 2) | st.sampled_from([-(2**63), 2**63 - 1])
        case LogicalType.NUMBER:
            precision, scale = decimal_shape(field)
            largest = 10**precision - 1
            return (st.integers(-2, 2) | st.sampled_from([largest, -largest]) | st.integers(-largest, largest)).map(
                lambda units: Decimal((units < 0, tuple(map(int, str(abs(units)))), -scale))
            )
        case LogicalType.DOUBLE:
            return st.floats(allow_nan=False, allow_infinity=False)
        case LogicalType.BOOLEAN:
            return st.booleans()
        case LogicalType.DATE:
            return st.integers(-1, 1).map(lambda days: date(2026, 1, 31) + timedelta(days)) | st.dates()
        case LogicalType.TIMESTAMP:
            far = st.datetimes(datetime(1900, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
            return st.integers(-1, 1).map(lambda ticks: _INSTANT + timedelta(microseconds=ticks)) | far
        case LogicalType.TIME:
            return st.sampled_from([time(0), time(8, 30), time(8, 30, 0, 1), time(23, 59, 59, 999_999)]) | st.times()
        case LogicalType.BYTES:
            return st.binary(max_size=4)


def rows(of: DataContract) -> st.SearchStrategy[dict[str, Any]]:
    """Return rows of the contract's clear fields; any value but the first key may be null."""
    return st.fixed_dictionaries({f.name: values(f) if f.key is not None else st.none() | values(f) for f in of.clear})


def filters(of: DataContract) -> st.SearchStrategy[str]:
    """Return texts of filters that fit the contract."""
    return st.recursive(st.one_of(*map(_terms, of.clear)), _joined, max_leaves=12)


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, min_size=2, max_size=4)
    return st.one_of(
        inner.map(lambda text: f"not ({text})"),
        several.map(lambda parts: " and ".join(f"({part})" for part in parts)),
        several.map(lambda parts: " OR ".join(f"({part})" for part in parts)),
        several.map(" and not ".join),
    )


def _terms(field: Field) -> st.SearchStrategy[str]:
    name = f'"{field.name}"' if field.name in RESERVED else field.name
    nulls = st.sampled_from([f"{name} is null", f"{name} IS NOT NULL"])
    if field.logical_type in (LogicalType.DOUBLE, LogicalType.BYTES):
        return nulls
    written = values(field).map(lambda value: literal(Decimal(value) if type(value) is int else value))
    signs = ("=", "!=") if field.logical_type is LogicalType.BOOLEAN else ("=", "!=", "<>", "<", "<=", ">", ">=")
    return st.one_of(
        st.builds(lambda sign, value: f"{name} {sign} {value}", st.sampled_from(signs), written),
        st.builds(
            lambda no, listed: f"{name} {no}in ({', '.join(listed)})",
            st.sampled_from(["", "not "]),
            st.lists(written, min_size=1, max_size=4),
        ),
        nulls,
    )


_NAMES = ("id", "town", "order", "user", "in", "not", "null", "date", "time", "select", "x1")


def contracts() -> st.SearchStrategy[DataContract]:
    """Return contracts of up to seven fields of any type, whose names are words of the language, and of SQL, too."""
    shapes = st.sampled_from([(1, 0), (4, 4), (5, 2), (18, 0), (20, 4), (38, 10), (38, 38), (None, None)])
    kinds = st.sampled_from([*LogicalType, LogicalType.STRING])

    def field(name: str, kind: LogicalType, shape: tuple[int | None, int | None], personal: bool) -> Field:
        first = name == _NAMES[0]
        precision, scale = shape if kind is LogicalType.NUMBER else (None, None)
        return Field(
            name,
            LogicalType.INTEGER if first else kind,
            name,
            key=1 if first else None,
            personal=personal and not first,
            precision=None if first else precision,
            scale=None if first else scale,
        )

    named = st.lists(st.sampled_from(_NAMES[1:]), unique=True, min_size=1, max_size=6)
    fields = named.flatmap(
        lambda names: st.tuples(
            *(st.builds(field, st.just(n), kinds, shapes, st.sampled_from([False, False, False, True])) for n in ("id", *names))
        )
    )
    return fields.map(lambda made: contract("generated", made))
