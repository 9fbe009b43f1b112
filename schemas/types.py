"""Logical type ⇄ Arrow ⇄ PostgreSQL ⇄ JSON Schema: one table, read by everything that names a type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import Fault, RejectedError

MAX_PRECISION = 38
DEFAULT_PRECISION = 38
DEFAULT_SCALE = 10


def arrow_type(field: Field) -> pa.DataType:
    """Return the Arrow type of a conformed value of ``field``."""
    match field.logical_type:
        case LogicalType.STRING:
            return pa.string()
        case LogicalType.INTEGER:
            return pa.int64()
        case LogicalType.NUMBER:
            return pa.decimal128(*decimal_shape(field))
        case LogicalType.DOUBLE:
            return pa.float64()
        case LogicalType.BOOLEAN:
            return pa.bool_()
        case LogicalType.DATE:
            return pa.date32()
        case LogicalType.TIMESTAMP:
            return pa.timestamp("us", tz="UTC")
        case LogicalType.TIME:
            return pa.time64("us")
        case LogicalType.BYTES:
            return pa.binary()


def sql_type(field: Field) -> str:
    """Return the PostgreSQL type of a landed column of ``field``."""
    match field.logical_type:
        case LogicalType.STRING:
            return "text"
        case LogicalType.INTEGER:
            return "bigint"
        case LogicalType.NUMBER:
            precision, scale = decimal_shape(field)
            return f"numeric({precision},{scale})"
        case LogicalType.DOUBLE:
            return "double precision"
        case LogicalType.BOOLEAN:
            return "boolean"
        case LogicalType.DATE:
            return "date"
        case LogicalType.TIMESTAMP:
            return "timestamptz"
        case LogicalType.TIME:
            return "time"
        case LogicalType.BYTES:
            return "bytea"


def json_schema(field: Field) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a released value of ``field``: decimals and 64-bit integers keep every digit."""
    out: dict[str, Any]
    match field.logical_type:
        case LogicalType.STRING:
            out = {"type": "string"}
        case LogicalType.INTEGER:
            out = {"type": "integer", "format": "int64"}
        case LogicalType.NUMBER:
            out = {"type": "string", "format": "decimal"}
        case LogicalType.DOUBLE:
            out = {"type": "number", "format": "double"}
        case LogicalType.BOOLEAN:
            out = {"type": "boolean"}
        case LogicalType.DATE:
            out = {"type": "string", "format": "date"}
        case LogicalType.TIMESTAMP:
            out = {"type": "string", "format": "date-time"}
        case LogicalType.TIME:
            out = {"type": "string", "format": "time"}
        case LogicalType.BYTES:
            out = {"type": "string", "contentEncoding": "base64"}
    if field.min_length is not None and field.logical_type is LogicalType.STRING:
        out["minLength"] = field.min_length
    if field.max_length is not None and field.logical_type is LogicalType.STRING:
        out["maxLength"] = field.max_length
    if field.pattern is not None:
        out["pattern"] = field.pattern
    if field.values:
        out["enum"] = [int(v) for v in field.values] if field.logical_type is LogicalType.INTEGER else list(field.values)
    if field.title:
        out["title"] = field.title
    if not field.required:
        out = {"anyOf": [out, {"type": "null"}]}
    return out


def decimal_shape(field: Field) -> tuple[int, int]:
    """Return (precision, scale) of a decimal field; 38 and 10 where the contract is silent."""
    precision = field.precision or DEFAULT_PRECISION
    scale = field.scale if field.scale is not None else (0 if field.precision else DEFAULT_SCALE)
    if not 1 <= precision <= MAX_PRECISION or not 0 <= scale <= precision:
        raise RejectedError(
            f"field {field.name} has precision {precision}, scale {scale}; expected 1 to {MAX_PRECISION}, and scale within it",
            code="contract.precision",
            fault=Fault.PROVIDER,
        )
    return precision, scale


def arrow_schema(fields: Iterable[Field]) -> pa.Schema:
    """Return the Arrow schema of conformed rows of ``fields``, in their order; every column nullable."""
    return pa.schema([pa.field(f.name, arrow_type(f)) for f in fields])


def contract_schema(contract: DataContract) -> pa.Schema:
    """Return the Arrow schema of a conformed batch: every field of the contract, in its order."""
    return arrow_schema(contract.fields)
