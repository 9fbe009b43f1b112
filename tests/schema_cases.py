"""Contracts and batches that several tests of the vocabulary use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from schemas.batch import RawBatch
from schemas.conform import Conformed, conform
from schemas.contract import (
    CaseRole,
    CursorSpec,
    DataContract,
    Field,
    LicenceRole,
    Limits,
    LogicalType,
    Normalise,
    Reference,
)
from schemas.resource import resource_name
from schemas.types import arrow_schema

AS_OF = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)

ALL_TYPES = (
    Field("id", LogicalType.INTEGER, "ID", key=1, required=True),
    Field("text", LogicalType.STRING, "TEXT"),
    Field("amount", LogicalType.NUMBER, "AMOUNT", precision=20, scale=4, physical_type="numeric(20,4)"),
    Field("tiny", LogicalType.NUMBER, "TINY", precision=38, scale=20),
    Field("whole", LogicalType.NUMBER, "WHOLE", precision=10, scale=0, physical_type="numeric(10)"),
    Field("measure", LogicalType.DOUBLE, "MEASURE"),
    Field("flag", LogicalType.BOOLEAN, "FLAG"),
    Field("day", LogicalType.DATE, "DAY"),
    Field("seen_at", LogicalType.TIMESTAMP, "SEEN_AT"),
    Field("hour", LogicalType.TIME, "HOUR"),
    Field("raw", LogicalType.BYTES, "RAW"),
)

ALL_ROWS: tuple[tuple[Any, ...], ...] = (
    (
        1,
        "plain",
        Decimal("1.5000"),
        Decimal("0.00000000000000000001"),
        Decimal(7),
        1.5,
        True,
        date(2016, 7, 27),
        datetime(2016, 7, 27, 1, 2, 3, 4, tzinfo=UTC),
        time(1, 2, 3, 4),
        b"\x00\xff",
    ),
    (
        -9223372036854775808,
        "",
        Decimal("-0.0001"),
        Decimal(0),
        Decimal(-1),
        -0.0,
        False,
        date(1, 1, 1),
        datetime(1, 1, 1, tzinfo=UTC),
        time(0),
        b"",
    ),
    (
        9223372036854775807,
        "曲江区 ＡＢ・长期",
        Decimal("9999999999999999.9999"),
        Decimal("-123456789012345678.00000000000000000009"),
        Decimal(9999999999),
        5e-324,
        None,
        date(9999, 12, 31),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        time(23, 59, 59, 999999),
        None,
    ),
    (
        0,
        "back\\slash \x1f and \\N",
        Decimal(0),
        None,
        None,
        0.1,
        None,
        None,
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        None,
        b"\x1f\\N",
    ),
    (5, None, None, None, None, None, None, None, None, None, None),
    (6, "\\N", None, None, None, 1.7976931348623157e308, None, None, None, None, None),
)


def contract_of(*fields: Field, **more: Any) -> DataContract:
    """Return a small contract of the fields."""
    return DataContract(
        name=resource_name("things"),
        version="1.0.0",
        title="",
        department="d",
        system="s",
        source="src",
        table="t",
        fields=fields,
        **more,
    )


def all_types_batch() -> pa.RecordBatch:
    """Return conformed rows of every logical type."""
    return pa.RecordBatch.from_pylist(
        [dict(zip((f.name for f in ALL_TYPES), row, strict=True)) for row in ALL_ROWS], schema=arrow_schema(ALL_TYPES)
    )


def conform_one(column: pa.Array | Sequence[Any], field: Field) -> Conformed:
    """Conform one column."""
    array = column if isinstance(column, pa.Array) else pa.array(column)
    rows = pa.RecordBatch.from_arrays([array], names=[field.source_name])
    return conform(RawBatch(contract_of(field), rows, AS_OF))


def whole_contract() -> DataContract:
    """Return a contract that uses every term."""
    string, integer = LogicalType.STRING, LogicalType.INTEGER
    return DataContract(
        name=resource_name("everything"),
        version="2.1.0",
        title="全部",
        department="市场监管局",
        system="审批系统",
        source="market",
        table="public.everything",
        description="Every term of a contract once.",
        status="draft",
        fields=(
            Field("id", integer, "ID", title="编号", description="the key", required=True, key=2, minimum="1", maximum="99"),
            Field("part", string, "part", key=1, values=("a", "b", "1"), physical_type="char(1)", normalise=(Normalise.TRIM,)),
            Field(
                "number",
                string,
                "SQRZJHM",
                personal=True,
                lookup=True,
                max_length=18,
                min_length=15,
                code="citizen_id",
                normalise=(Normalise.TRIM, Normalise.HALFWIDTH, Normalise.UPPER, Normalise.ID_18),
            ),
            Field("holder", string, "SQRMC", personal=True, pattern="^.+$"),
            Field("kind", integer, "kind", values=("1", "2")),
            Field(
                "fee",
                LogicalType.NUMBER,
                "fee",
                physical_type="numeric(12,2)",
                precision=12,
                scale=2,
                minimum="0.00",
                maximum="99999.50",
            ),
            Field("rate", LogicalType.NUMBER, "rate", precision=9, scale=6),
            Field("loose", LogicalType.NUMBER, "loose", physical_type="numeric"),
            Field("measure", LogicalType.DOUBLE, "measure", minimum="-1.5", maximum="1000000000000.0"),
            Field("single", LogicalType.DOUBLE, "single", physical_type="real"),
            Field("flag", LogicalType.BOOLEAN, "flag"),
            Field("valid_from", LogicalType.DATE, "ZZYXQQSSJ", minimum="1949-10-01"),
            Field("valid_to", LogicalType.DATE, "ZZYXQJZSJ", normalise=(Normalise.FOREVER, Normalise.DATE_FORMS)),
            Field("changed_at", LogicalType.TIMESTAMP, "changed_at", required=True, minimum="2000-01-01 00:00:00.000000Z"),
            Field("opens", LogicalType.TIME, "opens", maximum="17:30:00.000000"),
            Field("scan", LogicalType.BYTES, "scan"),
            Field("photo", LogicalType.BYTES, "photo", physical_type="bytea", personal=True, max_length=1000),
            Field("above", integer, "above", references=Reference(resource_name("everything"), "id")),
            Field(
                "division", string, "division", references=Reference(resource_name("divisions"), "code"), code="division_code"
            ),
            Field("state", string, "state", required=True),
        ),
        cursor=CursorSpec("changed_at", declared_lag_s=300, overlap_s=120),
        limits=Limits(bad=0.02, shrink=0.1),
        schedule="*/15 8-18 * * mon-fri",
        partitions=4,
        case_role=CaseRole("division", "part", "kind", "number", "state", ("1", "2")),
        licence_role=LicenceRole("part", "number", "kind", "number", "state", "valid_from", "valid_to", "state"),
    )
