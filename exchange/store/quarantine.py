"""Rows set aside: kept sealed, with the rule and the reason, for their provider to repair."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from exchange.store.database import Connection
from exchange.trust.keyring import KeyRing
from exchange.trust.seal import open_value, seal_value
from schemas.batch import RawBatch, Rejects
from schemas.canonical import SEPARATOR
from schemas.conform import conform
from schemas.contract import DataContract
from schemas.errors import Fault, RejectedError
from schemas.ids import new_id
from schemas.landed import lookup_column


@dataclass(frozen=True, slots=True)
class SetAside:
    """One row set aside: ``row`` by field name, as it was when it was set aside; ``findings`` name field, rule and reason."""

    row: Mapping[str, Any]
    findings: Sequence[Mapping[str, str | None]]
    key: Mapping[str, Any] | None = None
    """The key as conformed, by field name, where ``row`` is not conformed and its key could be."""


def set_aside_of(rejects: Rejects, contract: DataContract) -> list[SetAside]:
    """Return the rows that a step set aside, their columns named as in the contract."""
    names = [f.name for f in contract.fields]
    columns = [_values(column) for column in rejects.rows.columns] if rejects.count else []
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    findings: list[list[Mapping[str, str | None]]] = [[] for _ in rows]
    for finding in rejects.findings:
        findings[finding.row].append({"field": finding.field, "rule": finding.rule, "reason": finding.reason})
    keys = _conformed_keys(rejects, contract)
    return [SetAside(row, found, key) for row, found, key in zip(rows, findings, keys, strict=True)]


def _conformed_keys(rejects: Rejects, contract: DataContract) -> list[Mapping[str, Any] | None]:
    """Return the key of each row as it would have landed: a row may be bad elsewhere, and its key need only to be trimmed."""
    names = [f.source_name for f in contract.key]
    if rejects.count == 0 or not set(names) <= set(rejects.rows.schema.names):
        return [None] * rejects.count
    narrow = replace(contract, fields=contract.key, cursor=None, case_role=None, licence_role=None)
    rows = rejects.rows.select(names)
    at = datetime.min.replace(tzinfo=UTC)
    whole = conform(RawBatch(narrow, rows, at))
    if whole.rejects.count == 0:
        return list(whole.batch.rows.to_pylist())
    found: list[Mapping[str, Any] | None] = []
    for place in range(rows.num_rows):
        one = conform(RawBatch(narrow, rows.slice(place, 1), at)).batch.rows.to_pylist()
        found.append(one[0] if one else None)
    return found


def _values(column: pa.Array) -> list[Any]:
    """Return a column's values; as text where Python has no such value, as for a date after the year 9999."""
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):
        values = column.cast(pa.string()).to_pylist()
    return values


def add(
    connection: Connection,
    contract: DataContract,
    run: str,
    chunk: int | None,
    rows: Iterable[SetAside],
    keys: KeyRing,
    now: datetime,
) -> int:
    """Keep rows that were set aside, in the caller's transaction, and return how many.

    The row is sealed; its key is kept in clear where no part of it is personal, else as a pseudonym.
    """
    count = 0
    with (
        connection.cursor() as cursor,
        cursor.copy(
            """COPY exchange.quarantine (id, resource, run, chunk, row_key, landed_key, findings, row_sealed, key_id, at)
               FROM STDIN"""
        ) as copy,
    ):
        for item in rows:
            ident = new_id("q", now)
            plain = json.dumps(dict(item.row), default=_plain, ensure_ascii=False).encode()
            sealed = seal_value(plain, contract.name, ident, keys, now)
            key = landed_key(contract, {**item.row, **(item.key or {})}, keys)
            name = row_key(contract, key, keys)
            found = Jsonb(list(item.findings))
            copy.write_row((ident, contract.name, run, chunk, name, key, found, sealed.blob, sealed.key_id, now))
            count += 1
    return count


def landed_key(contract: DataContract, row: Mapping[str, Any], keys: KeyRing) -> list[str] | None:
    """Return the key of a row as the serving table has it, as texts, hashes as hex; None where it has none."""
    parts = []
    for f in contract.key:
        landed = lookup_column(f) if f.personal else f.name
        value = row.get(landed, row.get(f.name))
        if value is None:
            return None
        if f.personal and landed not in row:
            value = keys.lookup_hash(contract.name, f.name, str(value))
        parts.append(str(_plain(value)))
    return parts or None


def row_key(contract: DataContract, key: Sequence[str] | None, keys: KeyRing) -> str | None:
    """Return how a person may name a row of that landed key: the key, or a pseudonym where part of it is personal."""
    if key is None:
        return None
    if any(f.personal for f in contract.key):
        return keys.pseudonym(f"{contract.name}{SEPARATOR}{SEPARATOR.join(key)}")
    return "/".join(key)


def listed(
    connection: Connection, *, resource: str | None = None, run: str | None = None, rule: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Return rows set aside, newest first, without their values."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """SELECT id, resource, run, chunk, row_key, findings, state, at FROM exchange.quarantine
               WHERE (%(resource)s::text IS NULL OR resource = %(resource)s) AND (%(run)s::text IS NULL OR run = %(run)s)
                 AND (%(rule)s::text IS NULL OR findings @> jsonb_build_array(jsonb_build_object('rule', %(rule)s::text)))
               ORDER BY at DESC, id DESC LIMIT %(limit)s""",
            {"resource": resource, "run": run, "rule": rule, "limit": limit},
        ).fetchall()


def by_rule(connection: Connection, run: str) -> list[dict[str, Any]]:
    """Return how many rows of a run each rule set aside, most first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """SELECT f->>'rule' AS rule, f->>'field' AS field, count(*) AS rows
               FROM exchange.quarantine, jsonb_array_elements(findings) f WHERE run = %s GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2""",
            [run],
        ).fetchall()


def shown(connection: Connection, ident: str) -> dict[str, Any]:
    """Return one row set aside, its sealed row included. Raises ``RejectedError`` where there is none of that id."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT * FROM exchange.quarantine WHERE id = %s", [ident]).fetchone()
    if found is None:
        raise RejectedError(
            f"there is no quarantined row {ident}",
            code="quarantine.unknown",
            remedy="see `onedoor quarantine list`",
            fault=Fault.CLIENT,
        )
    return found


def revealed(found: Mapping[str, Any], keys: KeyRing) -> dict[str, Any]:
    """Open a quarantined row. The caller has recorded who looks and why."""
    row: dict[str, Any] = json.loads(open_value(found["row_sealed"], found["key_id"], found["resource"], found["id"], keys))
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, pa.Scalar):
        return _plain(value.as_py())
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)
