"""The fake."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from connectors.api import Capabilities, Source
from connectors.impl.memory.client import Held, database
from connectors.registry import open_source
from schemas.clock import FakeClock
from schemas.contract import LogicalType
from tests.conformance.profiles.source_profile import Given, SourceProfile, Table

_KINDS = {
    LogicalType.STRING: pa.string(),
    LogicalType.INTEGER: pa.int64(),
    LogicalType.DOUBLE: pa.float64(),
    LogicalType.BOOLEAN: pa.bool_(),
    LogicalType.DATE: pa.date32(),
    LogicalType.TIME: pa.time64("us"),
    LogicalType.BYTES: pa.binary(),
}


def _kind(column: Given) -> pa.DataType:
    if column.kind is LogicalType.NUMBER:
        return pa.decimal128(column.precision or 38, column.scale or 0)
    if column.kind is LogicalType.TIMESTAMP:
        return pa.timestamp("us", "UTC" if column.zone else None)
    return _KINDS[column.kind]


def profile(request: pytest.FixtureRequest) -> SourceProfile:
    name = f"t{uuid.uuid4().hex[:8]}"
    held = database(name)
    away = database(f"{name}away")
    away.away = True
    clock: FakeClock = request.getfixturevalue("clock")

    def create(table: Table) -> None:
        schema = pa.schema([pa.field(c.name, _kind(c), nullable=not c.required) for c in table.columns])
        rows = pa.Table.from_pydict({c.name: [r[i] for r in table.rows] for i, c in enumerate(table.columns)}, schema=schema)
        comments = {c.name: c.comment for c in table.columns}
        lengths = {c.name: c.length for c in table.columns if c.length}
        held.put(table.name, Held(rows, table.key, table.comment, comments, lengths=lengths))

    def change(table: str, rows: Sequence[Sequence[Any]]) -> None:
        was = held.get(table)
        assert was is not None
        names = was.rows.schema.names
        made = pa.Table.from_pydict({n: [r[i] for r in rows] for i, n in enumerate(names)}, schema=was.rows.schema)
        held.put(table, replace(was, rows=made))

    def rows_of(table: str) -> list[dict[str, Any]]:
        was = held.get(table)
        assert was is not None
        return list(was.rows.to_pylist())

    def insert(table: str, rows: Sequence[Sequence[Any]]) -> None:
        change(table, [*(tuple(r.values()) for r in rows_of(table)), *rows])

    def update(table: str, column: str, old: Any, new: Any) -> None:
        change(table, [tuple(({**r, column: new} if r[column] == old else r).values()) for r in rows_of(table)])

    def delete(table: str, column: str, value: Any) -> None:
        change(table, [tuple(r.values()) for r in rows_of(table) if r[column] != value])

    def alter(table: str, column: str, new: str, kind: LogicalType | None) -> None:
        was = held.get(table)
        assert was is not None
        rows = was.rows.rename_columns([new if n == column else n for n in was.rows.schema.names])
        if kind is not None:
            at = rows.schema.get_field_index(new)
            rows = rows.set_column(at, pa.field(new, _KINDS[kind]), pa.nulls(rows.num_rows, _KINDS[kind]))
        held.put(table, replace(was, rows=rows))

    def cut(_: Source) -> None:
        held.cut_after = 1

    return SourceProfile(
        name="memory",
        capabilities=Capabilities(incremental=True, safe_bound=False, snapshot=True, keyset=True, introspects=True),
        open=lambda: open_source(f"memory://{name}", clock=clock),
        create=create,
        insert=insert,
        update=update,
        delete=delete,
        drop=held.drop,
        alter=alter,
        away=lambda: open_source(f"memory://{name}away", clock=clock),
        cut=cut,
    )
