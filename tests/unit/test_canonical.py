from __future__ import annotations

import struct
from datetime import UTC, date, datetime, time
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.canonical import (
    MODULUS,
    NULL,
    SEPARATOR,
    canonical_column,
    canonical_key,
    hash_column,
    hash_sum,
    row_hashes,
    text_column,
)
from schemas.contract import Field, LogicalType
from schemas.errors import DefectError
from schemas.secret import Secret
from schemas.types import arrow_schema, arrow_type
from tests.schema_cases import ALL_TYPES, all_types_batch

KEY = Secret(b"\x01" * 32)
L = LogicalType


def spelled(value: Any, field: Field) -> Any:
    """The canonical text of one value, said again without Arrow."""
    if value is None:
        return NULL
    match field.logical_type:
        case L.STRING:
            return value.replace("\\", "\\\\").replace(SEPARATOR, "\\u")
        case L.NUMBER:
            return f"{value:.{arrow_type(field).scale}f}"
        case L.DOUBLE:
            return struct.pack(">d", value).hex()
        case L.BOOLEAN:
            return "t" if value else "f"
        case L.TIMESTAMP:
            return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds") + "Z"
        case L.TIME:
            return value.isoformat("microseconds")
        case L.BYTES:
            return value.hex()
        case _:
            return str(value)


VALUES = {
    L.STRING: st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10)
    | st.sampled_from(["\\N", "\\", "\x1f"]),
    L.INTEGER: st.integers(-(2**63), 2**63 - 1),
    L.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    L.BOOLEAN: st.booleans(),
    L.DATE: st.dates(),
    L.TIMESTAMP: st.datetimes(timezones=st.just(UTC)),
    L.TIME: st.times(),
    L.BYTES: st.binary(max_size=8),
}


def strategy_of(field: Field) -> st.SearchStrategy[Any]:
    if field.logical_type is L.NUMBER:
        kind = arrow_type(field)
        top = 10**kind.precision - 1
        return st.integers(-top, top).map(lambda n: Decimal(f"{n}E-{kind.scale}"))
    return VALUES[field.logical_type]


rows_of_all_types = st.lists(st.tuples(*(st.none() | strategy_of(f) for f in ALL_TYPES)), max_size=6)


def batch_of(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    names = [f.name for f in ALL_TYPES]
    return pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=arrow_schema(ALL_TYPES))


@settings(max_examples=80, deadline=None)
@given(rows_of_all_types)
def test_the_canonical_bytes_are_what_the_table_says(rows: list[tuple[Any, ...]]) -> None:
    said = canonical_column(batch_of(rows)).to_pylist()
    assert said == [SEPARATOR.join(spelled(v, f) for v, f in zip(row, ALL_TYPES, strict=True)).encode() for row in rows]


@settings(max_examples=80, deadline=None)
@given(rows_of_all_types, st.integers(0, 3), st.integers(0, 3))
def test_rows_hash_the_same_whole_sliced_or_put_together(rows: list[tuple[Any, ...]], start: int, length: int) -> None:
    batch = batch_of(rows)
    hashes = row_hashes(batch, KEY)
    part = row_hashes(batch.slice(start, length), KEY)
    assert part.to_pylist() == hashes.to_pylist()[start : start + length]
    both = pa.concat_arrays([hashes, part])
    assert hash_sum(both) == (hash_sum(hashes) + hash_sum(part)) % MODULUS
    assert hash_sum(hashes.slice(start, length)) == hash_sum(part)


STRINGS = st.none() | st.text("a\\uN\x1f", max_size=4)


@settings(max_examples=200, deadline=None)
@given(st.tuples(STRINGS, STRINGS), st.tuples(STRINGS, STRINGS))
def test_two_rows_have_the_same_bytes_only_if_they_are_the_same(
    one: tuple[str | None, ...], other: tuple[str | None, ...]
) -> None:
    columns = [pa.array(pair, pa.string()) for pair in zip(one, other, strict=True)]
    first, second = canonical_column(pa.RecordBatch.from_arrays(columns, ["a", "b"])).to_pylist()
    assert (first == second) == (one == other)


def test_a_hash_is_the_keyed_blake2b_of_the_bytes() -> None:
    batch = all_types_batch()
    wanted = [
        blake2b(v, digest_size=16, key=b"\x01" * 32, person=b"onedoor.row.c1").digest()
        for v in canonical_column(batch).to_pylist()
    ]
    assert row_hashes(batch, KEY).to_pylist() == wanted
    assert hash_sum(pa.array(wanted)) == sum(int.from_bytes(h, "big") for h in wanted) % MODULUS
    assert row_hashes(batch, Secret(b"\x02" * 32)).to_pylist() != wanted


def test_a_doubled_row_does_not_vanish_from_the_sum() -> None:
    hashes = row_hashes(all_types_batch(), KEY)
    assert hash_sum(pa.concat_arrays([hashes, hashes.slice(0, 1), hashes.slice(0, 1)])) != hash_sum(hashes)
    assert hash_sum(pa.array([b"\xff" * 16, b"\x00" * 15 + b"\x01"])) == 0


def test_the_sum_takes_hashes_whose_buffer_begins_elsewhere() -> None:
    good = pa.array([b"\x01" * 16, b"\x02" * 16], pa.binary())
    moved = pa.array([b"xyz", *good.to_pylist()], pa.binary()).slice(1)
    assert hash_sum(moved) == hash_sum(good)


def test_a_hash_of_another_length_is_a_defect() -> None:
    with pytest.raises(DefectError):
        hash_sum(pa.array([b"short"], pa.binary()))


def test_nothing_hashes_to_nothing() -> None:
    empty = all_types_batch().slice(0, 0)
    assert canonical_column(empty).to_pylist() == []
    assert row_hashes(empty, KEY).to_pylist() == []
    assert hash_sum(row_hashes(empty, KEY)) == 0
    assert (
        hash_column(pa.array([b"", b""], pa.binary()), KEY).to_pylist()[0]
        == hash_column(pa.array([b""], pa.binary()), KEY)[0].as_py()
    )


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (-0.0, pa.float64(), "8000000000000000"),
        (0.0, pa.float64(), "0000000000000000"),
        (Decimal("0E-10"), pa.decimal128(38, 10), "0.0000000000"),
        (Decimal("0.0000000001"), pa.decimal128(38, 10), "0.0000000001"),
        (
            Decimal("-1234567890123456789012345678.0123456789"),
            pa.decimal128(38, 10),
            "-1234567890123456789012345678.0123456789",
        ),
        (Decimal("0.00000001"), pa.decimal128(8, 8), "0.00000001"),
        (Decimal("9" * 38), pa.decimal128(38, 0), "9" * 38),
        (date(1, 1, 1), pa.date32(), "0001-01-01"),
        (datetime(1, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC"), "0001-01-01 00:00:00.000000Z"),
        (time(0), pa.time64("us"), "00:00:00.000000"),
        ("ＡＢ 长期", pa.string(), "ＡＢ 长期"),
        (b"", pa.binary(), ""),
    ],
)
def test_a_value_at_the_edge_has_its_own_text(value: Any, kind: pa.DataType, text: str) -> None:
    assert text_column(pa.array([value, None], kind)).to_pylist() == [text, None]


def test_a_key_s_bytes_are_its_texts_joined() -> None:
    assert canonical_key(["a", None, "b"]) == b"a\x1f\\N\x1fb"
