"""Closing a run: the proof that what was read is landed, the rules over the whole set, the guards, then the swap or the merge.

All of it is one transaction with the run's state and its cursor: either the run is served and closed, or nothing happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from exchange.crash import reach
from exchange.store import quarantine, tables
from exchange.store.database import Connection
from exchange.store.runs import Run, get_run
from exchange.trust.keyring import KeyRing
from quality.checks import DUPLICATE_KEY, SetRule, set_rules
from quality.gate import verdict
from schemas.canonical import MODULUS
from schemas.contract import DataContract
from schemas.errors import DefectError, RejectedError, TransientError
from schemas.landed import key_columns, landed_sql


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run did to the serving table."""

    inserted: int
    changed: int
    unchanged: int
    deleted: int


def is_complete(connection: Connection, run: Run) -> bool:
    """Say whether the end-of-run message of every partition has landed and the collector has said that it is done."""
    if run.state != "collected":
        return False
    row = connection.execute(
        """SELECT count(*) FILTER (WHERE l.manifest IS NOT NULL), t.partitions FROM exchange.landed l
           JOIN LATERAL (SELECT (l2.manifest->>'partitions')::int AS partitions FROM exchange.landed l2
                         WHERE l2.run = l.run AND l2.manifest IS NOT NULL LIMIT 1) t ON true
           WHERE l.run = %s GROUP BY t.partitions""",
        [run.id],
    ).fetchone()
    return bool(row and row[0] == row[1])


def close_run(
    connection: Connection,
    run_id: str,
    contract: DataContract,
    keys: KeyRing,
    now: datetime,
    *,
    outbox: Callable[[Connection, Run], None],
) -> bool:
    """Prove a collected run, serve it and close it; False where another worker has closed it.

    Args:
        connection: outside a transaction; this function commits.
        run_id: a run whose end-of-run messages have all landed.
        contract: the contract version that the run was collected under.
        keys: to seal rows that the set rules set aside.
        now: the hub's instant.
        outbox: writes the run's event in the same transaction.

    Raises:
        RejectedError: too many rows set aside (``quality.too_many_bad``), an empty load (``store.empty_load``) or one that
            shrank above the declared share (``store.shrunk``): nothing of the run is served.
        DefectError: what landed is not what was read (``store.not_landed``).
    """
    began = time.perf_counter()
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '5s'")
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = '15s'")  # a frozen closer lets the run go
        connection.execute("SET LOCAL maintenance_work_mem = '128MB'")
        connection.execute("SET LOCAL work_mem = '64MB'")
        held = connection.execute("SELECT state FROM exchange.run WHERE id = %s FOR UPDATE SKIP LOCKED", [run_id]).fetchone()
        if held is None or held[0] != "collected":
            return False  # closed, or another worker is closing it
        run = get_run(connection, run_id)
        _prove(connection, run)
        tables.create_staging(connection, contract, run.id)
        keyed, found = _apply_set_rules(connection, contract, run, keys, now)
        set_aside = run.rows_set_aside + sum(found.values())
        verdict(run.rows_read, set_aside, contract.limits)
        proved = time.perf_counter()
        counts = _swap(connection, contract, run, keyed=keyed) if run.mode == "full" else _merge(connection, contract, run)
        if counts.inserted + counts.changed + counts.unchanged + set_aside != run.rows_read:
            raise DefectError(
                f"{counts.inserted + counts.changed + counts.unchanged} rows landed and {set_aside} set aside, but {run.rows_read} read",
                code="store.not_landed",
                where=f"run {run.id}",
            )
        stages = [
            {"name": "prove", "rows": run.rows_read, "set_aside": sum(found.values()), "seconds": round(proved - began, 3)},
            {"name": "serve", "rows": run.rows_read - set_aside, "seconds": round(time.perf_counter() - proved, 3)},
        ]
        for rule, rows in found.items():
            connection.execute(
                "INSERT INTO exchange.set_rule_finding (run, rule, rows) VALUES (%s, %s, %s)", [run.id, rule, rows]
            )
        connection.execute(
            """UPDATE exchange.run SET state = 'proved', read_is_landed = true, error = NULL, ended_at = %s, rows_set_aside = %s, rows_inserted = %s,
                 rows_changed = %s, rows_unchanged = %s, rows_deleted = %s,
                 report = jsonb_set(report, '{stages}', coalesce(report->'stages', '[]'::jsonb) || %s::jsonb)
               WHERE id = %s""",
            [now, set_aside, counts.inserted, counts.changed, counts.unchanged, counts.deleted, Jsonb(stages), run.id],
        )
        if run.cursor_bound is not None:
            connection.execute(
                """INSERT INTO exchange.cursor (resource, value, run, at) VALUES (%s, %s, %s, %s)
                   ON CONFLICT (resource) DO UPDATE SET value = excluded.value, run = excluded.run, at = excluded.at""",
                [run.resource, run.cursor_bound, run.id, now],
            )
        connection.execute("DELETE FROM exchange.landed_message WHERE run = %s", [run.id])
        outbox(connection, get_run(connection, run.id))
        reach("close.in_transaction")
    reach("close.after_commit")
    return True


def _prove(connection: Connection, run: Run) -> None:
    rows = connection.execute(
        "SELECT partition, messages, rows, hash_sum, manifest FROM exchange.landed WHERE run = %s ORDER BY partition", [run.id]
    ).fetchall()
    for partition, messages, landed, total, manifest in rows:
        said = (manifest["messages"], manifest["rows"], int(manifest["hash_sum"], 16)) if manifest else None
        if said != (messages, landed, int(total) % MODULUS):
            raise DefectError(
                f"partition {partition} landed {landed} rows in {messages} messages, which is not what its end-of-run message says",
                code="store.not_landed",
                where=f"run {run.id}",
                remedy="nothing of the run was served; collect again",
            )
    kept = sum(int(row[2]) for row in rows)
    if kept + run.rows_set_aside != run.rows_read:
        raise DefectError(
            f"{kept} rows landed and {run.rows_set_aside} set aside, but {run.rows_read} were read",
            code="store.not_landed",
            where=f"run {run.id}",
        )


def _apply_set_rules(
    connection: Connection, contract: DataContract, run: Run, keys: KeyRing, now: datetime
) -> tuple[bool, dict[str, int]]:
    """Set aside the rows that break a rule over the whole set; say whether the staging table has its key already."""
    found: dict[str, int] = {}
    keyed = True
    try:
        with connection.transaction():
            tables.add_key(connection, contract, tables.staging(run.id))
    except psycopg.errors.UniqueViolation:
        keyed = False
    for rule in set_rules(contract):
        if rule.rule == DUPLICATE_KEY:
            rows = 0 if keyed else _set_aside_duplicates(connection, contract, run, rule, keys, now)
        else:
            rows = _set_aside_orphans(connection, contract, run, rule, keys, now)
        if rows:
            found[rule.rule] = found.get(rule.rule, 0) + rows
    if not keyed:
        tables.add_key(connection, contract, tables.staging(run.id))
    return True, found


def _set_aside_duplicates(
    connection: Connection, contract: DataContract, run: Run, rule: SetRule, keys: KeyRing, now: datetime
) -> int:
    key = sql.SQL(", ").join(sql.Identifier(name) for name in key_columns(contract))
    statement = sql.SQL(
        "DELETE FROM {0} WHERE ({1}) IN (SELECT {1} FROM {0} GROUP BY {1} HAVING count(*) > 1) RETURNING *"
    ).format(tables.staging(run.id), key)
    return _move(connection, statement, contract, run, rule, None, keys, now)


def _set_aside_orphans(
    connection: Connection, contract: DataContract, run: Run, rule: SetRule, keys: KeyRing, now: datetime
) -> int:
    (field,) = rule.fields
    if rule.resource is None or rule.referenced is None:
        raise DefectError(f"rule {rule.rule} of {field} names no parent", code="store.rule", where=f"resource {contract.name}")
    parents = [sql.Identifier("store", rule.resource)]
    if rule.resource == contract.name:
        parents = [tables.staging(run.id)] if run.mode == "full" else [tables.staging(run.id), tables.serving(contract)]
    parents = [table for table in parents if tables.exists(connection, table)]
    if not parents:
        raise TransientError(
            f"{field} must stand in {rule.resource}.{rule.referenced}, and {rule.resource} has not been collected yet",
            code="store.reference_missing",
            where=f"run {run.id}",
            remedy=f"collect {rule.resource} first",
        )
    missing = sql.SQL(" AND ").join(
        sql.SQL("NOT EXISTS (SELECT 1 FROM {} p WHERE p.{} = s.{})").format(
            table, sql.Identifier(rule.referenced), sql.Identifier(field)
        )
        for table in parents
    )
    statement = sql.SQL("DELETE FROM {} s WHERE s.{} IS NOT NULL AND {} RETURNING *").format(
        tables.staging(run.id), sql.Identifier(field), missing
    )
    total = 0
    while rows := _move(connection, statement, contract, run, rule, field, keys, now):
        total += rows
        if rule.resource != contract.name:
            break
    return total


def _move(
    connection: Connection,
    statement: sql.Composed,
    contract: DataContract,
    run: Run,
    rule: SetRule,
    field: str | None,
    keys: KeyRing,
    now: datetime,
) -> int:
    cursor = connection.execute(statement)
    names = [column.name for column in cursor.description or ()]
    moved = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    finding: Mapping[str, Any] = {"field": field, "rule": rule.rule, "reason": rule.reason}
    return quarantine.add(connection, contract, run.id, None, (quarantine.SetAside(row, [finding]) for row in moved), keys, now)


def _guard(connection: Connection, contract: DataContract, run: Run, held: int, gone: int, coming: int) -> None:
    if run.report.get("allow_shrink"):
        return
    if coming == 0:
        raise RejectedError(
            "the full load is empty; the store keeps what it holds",
            code="store.empty_load",
            where=f"resource {contract.name}, run {run.id}",
            remedy="mend the source, or collect with --allow-shrink if it is right",
        )
    if held and gone / held > contract.limits.shrink:
        raise RejectedError(
            f"{gone} of {held} keys are gone from the source, more than the declared share of {contract.limits.shrink:.0%}",
            code="store.shrunk",
            where=f"resource {contract.name}, run {run.id}",
            remedy="mend the source, or collect with --allow-shrink if it is right",
        )


def _swap(connection: Connection, contract: DataContract, run: Run, *, keyed: bool) -> Counts:
    shadow, served = tables.staging(run.id), tables.serving(contract)
    if not keyed:
        tables.add_key(connection, contract, shadow)
    coming = _count(connection, shadow)
    held = 0
    counts = Counts(coming, 0, 0, 0)
    if tables.exists(connection, served):
        held = _count(connection, served)
        if held:
            same_key = sql.SQL(" AND ").join(
                sql.SQL("o.{0} = s.{0}").format(sql.Identifier(name)) for name in key_columns(contract)
            )
            row = connection.execute(
                sql.SQL("SELECT count(*), count(*) FILTER (WHERE o._row_hash = s._row_hash) FROM {} o JOIN {} s ON {}").format(
                    served, shadow, same_key
                )
            ).fetchone()
            both, same = row if row else (0, 0)
            counts = Counts(coming - both, both - same, same, held - both)
    _guard(connection, contract, run, held, counts.deleted, coming)
    for name, kind, value in (("_run", "text", run.id), ("_as_of", "timestamptz", run.as_of_first)):
        column = sql.Identifier(name)  # a constant default writes no row
        connection.execute(
            sql.SQL("ALTER TABLE {0} ADD COLUMN {1} {2} NOT NULL DEFAULT {3}").format(
                shadow, column, sql.SQL(kind), sql.Literal(value)
            )
        )
        connection.execute(sql.SQL("ALTER TABLE {0} ALTER COLUMN {1} DROP DEFAULT").format(shadow, column))
    connection.execute(sql.SQL("ALTER TABLE {} RESET (autovacuum_enabled)").format(shadow))
    tables.add_indexes(connection, contract, shadow)
    connection.execute(sql.SQL("ANALYZE {}").format(shadow))
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(served))
    connection.execute(sql.SQL("ALTER TABLE {} SET SCHEMA store").format(shadow))
    connection.execute(
        sql.SQL("ALTER TABLE {} RENAME TO {}").format(sql.Identifier("store", run.id), sql.Identifier(contract.name))
    )
    tables.grant_to_api(connection, contract)
    return counts


def _merge(connection: Connection, contract: DataContract, run: Run) -> Counts:
    tables.create_serving(connection, contract)
    stage, served = tables.staging(run.id), tables.serving(contract)
    names = [name for name, _ in landed_sql(contract) if name not in ("_run", "_as_of")]
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in names)
    key = sql.SQL(", ").join(sql.Identifier(name) for name in key_columns(contract))
    same_key = sql.SQL(" AND ").join(sql.SQL("o.{0} = s.{0}").format(sql.Identifier(name)) for name in key_columns(contract))
    connection.execute(sql.SQL("ANALYZE {}").format(stage))
    row = connection.execute(
        sql.SQL(
            "SELECT count(*), count(o._run), count(*) FILTER (WHERE o._row_hash = s._row_hash) FROM {} s LEFT JOIN {} o ON {}"
        ).format(stage, served, same_key)
    ).fetchone()
    total, both, same = row if row else (0, 0, 0)
    updates = sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in (*names, "_run", "_as_of")
    )
    connection.execute(
        sql.SQL(
            """INSERT INTO {served} AS o ({columns}, _run, _as_of)
               SELECT {prefixed}, {run}, {as_of} FROM {stage} s LEFT JOIN {served} p ON {same_key_p}
               WHERE p._row_hash IS DISTINCT FROM s._row_hash
               ON CONFLICT ({key}) DO UPDATE SET {updates} WHERE o._row_hash IS DISTINCT FROM excluded._row_hash"""
        ).format(
            served=served,
            columns=columns,
            prefixed=sql.SQL(", ").join(sql.SQL("s.{}").format(sql.Identifier(name)) for name in names),
            run=sql.Literal(run.id),
            as_of=sql.Literal(run.as_of_first),
            stage=stage,
            same_key_p=sql.SQL(" AND ").join(sql.SQL("p.{0} = s.{0}").format(sql.Identifier(n)) for n in key_columns(contract)),
            key=key,
            updates=updates,
        )
    )
    tables.drop_staging(connection, run.id)
    return Counts(total - both, both - same, same, 0)


def _count(connection: Connection, table: sql.Identifier) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    return int(row[0]) if row else 0
