"""The form a row lands in: clear columns as in the contract, one sealed blob, keyed hashes to look up by, the row hash.

Columns in order: the clear fields; ``_lookup_<field>`` (16 bytes) for each personal field that is looked up or in the key;
``_sealed`` and ``_key_id`` where the contract has a personal field; ``_row_hash``; ``_run``; ``_as_of``.
A personal field of the primary key is replaced by its ``_lookup_`` column.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from schemas.contract import DataContract, Field
from schemas.types import arrow_type, sql_type


def lookup_fields(contract: DataContract) -> tuple[Field, ...]:
    """Return the personal fields that leave a keyed hash: those looked up by, and those in the key."""
    return tuple(f for f in contract.personal if f.lookup or f.key is not None)


def lookup_column(field: Field) -> str:
    """Return the name of the column that holds the keyed hash of ``field``."""
    return f"_lookup_{field.name}"


def key_columns(contract: DataContract) -> tuple[str, ...]:
    """Return the landed table's primary key."""
    return tuple(lookup_column(f) if f.personal else f.name for f in contract.key)


def _columns(contract: DataContract) -> Iterator[tuple[str, pa.DataType, str]]:
    for f in contract.clear:
        yield f.name, arrow_type(f), sql_type(f)
    for f in lookup_fields(contract):
        yield lookup_column(f), pa.binary(), "bytea"
    if contract.personal:
        yield "_sealed", pa.binary(), "bytea"
        yield "_key_id", pa.string(), "text"
    yield "_row_hash", pa.binary(), "bytea"


def landed_schema(contract: DataContract) -> pa.Schema:
    """Return the Arrow schema of a sealed batch: the landed columns less ``_run`` and ``_as_of``."""
    return pa.schema([pa.field(name, kind) for name, kind, _ in _columns(contract)])


def landed_sql(contract: DataContract) -> tuple[tuple[str, str], ...]:
    """Return (column, PostgreSQL type) of the landed table, in order, ``_run`` and ``_as_of`` last."""
    return (*((name, sql) for name, _, sql in _columns(contract)), ("_run", "text"), ("_as_of", "timestamptz"))
