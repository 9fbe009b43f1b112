"""Closing a run: the proof that what was read is landed, the rules over the whole set, the guards, then the swap or the merge.

All of it is one transaction with the run's state and its cursor: either the run is served and closed, or nothing happened.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from exchange.crash import reach
from exchange.store import quarantine, tables
from exchange.store.database import Connection
from exchange.store.runs import Run, get_run, run_event
from exchange.trust.keyring import KeyRing
from quality.checks import DUPLICATE_KEY, SetRule, set_rules
from quality.gate import verdict
from schemas.canonical import MODULUS
from schemas.contract import DataContract
from schemas.errors import DefectError, RejectedError, TransientError
from schemas.landed import key_columns, landed_sql

SWAP_TRIES: Final = 30
SWAP_PAUSE_S: Final = 0.4
MOVE_ROWS: Final = 20_000
LEAST_ROWS: Final = 100
"""A cursor run reads few rows: the share of bad ones is taken of at least so many, or one bad row would stop a quiet table."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run did to the serving table."""

    inserted: int
    changed: int
    unchanged: int
    deleted: int

    @property
    def landed(self) -> int:
        """Rows that were landed, whatever they changed."""
        return self.inserted + self.changed + self.unchanged


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


def close_run(connection: Connection, run_id: str, contract: DataContract, keys: KeyRing, now: datetime) -> bool:
    """Prove a collected run, serve it and close it; False where another worker has closed it.

    Args:
        connection: outside a transaction; this function commits.
        run_id: a run whose end-of-run messages have all landed.
        contract: the contract version that the run was collected under.
        keys: to seal rows that the set rules set aside.
        now: the hub's instant.

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
        found = _apply_set_rules(connection, contract, run, keys, now)
        set_aside = run.rows_set_aside + sum(found.values())
        proved = time.perf_counter()
        counts = _swap(connection, contract, run) if run.mode == "full" else _merge(connection, contract, run)
        if counts.landed + set_aside != run.rows_read:
            raise DefectError(
                f"{counts.landed} rows landed and {set_aside} set aside, but {run.rows_read} read",
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
            """UPDATE exchange.run SET state = 'proved', read_is_landed = true, error = NULL, ended_at = %s,
                 rows_set_aside = %s, rows_inserted = %s, rows_changed = %s, rows_unchanged = %s, rows_deleted = %s,
                 report = jsonb_set(report, '{stages}', coalesce(report->'stages', '[]'::jsonb) || %s::jsonb)
               WHERE id = %s""",
            [now, set_aside, counts.inserted, counts.changed, counts.unchanged, counts.deleted, Jsonb(stages), run.id],
        )
        if run.cursor_bound is not None and not run.report.get("keeps_cursor"):
            connection.execute(
                """INSERT INTO exchange.cursor (resource, value, run, at) VALUES (%s, %s, %s, %s)
                   ON CONFLICT (resource) DO UPDATE SET value = excluded.value, run = excluded.run, at = excluded.at""",
                [run.resource, run.cursor_bound, run.id, now],
            )
        connection.execute("DELETE FROM exchange.landed_message WHERE run = %s", [run.id])
        run_event(connection, get_run(connection, run.id), now)
        reach("close.in_transaction")
    reach("close.after_commit")
    if run.mode == "full":
        _gather_statistics(connection, contract)
    return True


def _gather_statistics(connection: Connection, contract: DataContract) -> None:
    """Tell the planner about a table that was swapped in; where somebody else holds it, autovacuum does so within minutes."""
    with suppress(psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable), connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '100ms'")
        connection.execute(sql.SQL("ANALYZE {}").format(tables.serving(contract)))


def _prove(connection: Connection, run: Run) -> None:
    rows = connection.execute(
        "SELECT partition, messages, rows, hash_sum, manifest FROM exchange.landed WHERE run = %s ORDER BY partition", [run.id]
    ).fetchall()
    for partition, messages, landed, total, manifest in rows:
        said = (manifest["messages"], manifest["rows"], int(manifest["hash_sum"], 16)) if manifest else None
        if said != (messages, landed, int(total) % MODULUS):
            raise DefectError(
                f"partition {partition} landed {landed} rows in {messages} messages; its end-of-run message says otherwise",
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


def share_within(run: Run, set_aside: int, contract: DataContract) -> None:
    """Raise ``RejectedError`` (``quality.too_many_bad``) where a run set aside more than the contract's share."""
    least = LEAST_ROWS if run.mode == "incremental" else 0
    verdict(max(run.rows_read, least), set_aside, contract.limits)


def _apply_set_rules(connection: Connection, contract: DataContract, run: Run, keys: KeyRing, now: datetime) -> dict[str, int]:
    """Set aside the rows that break a rule over the whole set and give the staging table its key; return rows by rule."""
    found: dict[str, int] = {}
    keyed = True
    try:
        with connection.transaction():
            tables.add_key(connection, contract, tables.staging(run.id))
    except psycopg.errors.UniqueViolation:
        keyed = False
    for rule in set_rules(contract):
        mover = _Mover(connection, contract, run, rule, keys, now, sum(found.values()))
        if rule.rule != DUPLICATE_KEY:
            rows = _set_aside_orphans(mover)
        elif not keyed:
            rows = _set_aside_duplicates(mover)
        else:
            continue
        if rows:
            found[rule.rule] = found.get(rule.rule, 0) + rows
    if not keyed:
        tables.add_key(connection, contract, tables.staging(run.id))
    return found


@dataclass
class _Mover:
    """Moves the rows that break one rule from the staging table into quarantine, some thousands at a time."""

    connection: Connection
    contract: DataContract
    run: Run
    rule: SetRule
    keys: KeyRing
    now: datetime
    before: int

    def move(self, condition: sql.Composed, field: str | None) -> int:
        """Move the rows ``s`` of the staging table for which a condition holds now, and return how many.

        Raises:
            RejectedError: they are more than the contract's share allows; none was moved.
        """
        table = tables.staging(self.run.id)
        which = sql.SQL("CREATE TEMPORARY TABLE moving ON COMMIT DROP AS SELECT s.ctid AS place FROM {} s WHERE {}")
        self.connection.execute(which.format(table, condition))
        total = _count(self.connection, sql.Identifier("moving"))
        share_within(self.run, self.run.rows_set_aside + self.before + total, self.contract)
        finding: Mapping[str, Any] = {"field": field, "rule": self.rule.rule, "reason": self.rule.reason}
        moved = 0
        while moved < total:
            cursor = self.connection.execute(
                sql.SQL(
                    """WITH taken AS (DELETE FROM moving WHERE place IN (SELECT place FROM moving LIMIT {}) RETURNING place)
                       DELETE FROM {} s WHERE s.ctid IN (SELECT place FROM taken) RETURNING *"""
                ).format(MOVE_ROWS, table)
            )
            names = [column.name for column in cursor.description or ()]
            rows = (quarantine.SetAside(dict(zip(names, row, strict=True)), [finding]) for row in cursor.fetchall())
            count = quarantine.add(self.connection, self.contract, self.run.id, None, rows, self.keys, self.now)
            if not count:
                raise DefectError("rows to set aside were not there any more", code="store.moved", where=f"run {self.run.id}")
            moved += count
        self.connection.execute("DROP TABLE moving")
        self.before += moved
        return moved


def _set_aside_duplicates(mover: _Mover) -> int:
    table = tables.staging(mover.run.id)
    key = sql.SQL(", ").join(sql.Identifier(name) for name in key_columns(mover.contract))
    condition = sql.SQL("({1}) IN (SELECT {1} FROM {0} GROUP BY {1} HAVING count(*) > 1)").format(table, key)
    return mover.move(condition, None)


def _set_aside_orphans(mover: _Mover) -> int:
    rule, contract, run = mover.rule, mover.contract, mover.run
    (field,) = rule.fields
    if rule.resource is None or rule.referenced is None:
        raise DefectError(f"rule {rule.rule} of {field} names no parent", code="store.rule", where=f"resource {contract.name}")
    parents = [sql.Identifier("store", rule.resource)]
    if rule.resource == contract.name:
        parents = [tables.staging(run.id)] if run.mode == "full" else [tables.staging(run.id), tables.serving(contract)]
    parents = [table for table in parents if tables.exists(mover.connection, table)]
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
    condition = sql.SQL("s.{} IS NOT NULL AND {}").format(sql.Identifier(field), missing)
    total = 0
    while rows := mover.move(condition, field):
        total += rows
        if rule.resource != contract.name:
            break
    return total


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


def _lock_served(connection: Connection, contract: DataContract) -> None:
    """Take the serving table for the swap, in short tries: while one waits, every new look-up waits behind it.

    Raises:
        TransientError: somebody reads the table for long (``store.in_use``).
    """
    for _ in range(SWAP_TRIES):
        try:
            with connection.transaction():
                connection.execute("SELECT set_config('lock_timeout', '100ms', true)")
                connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(tables.serving(contract)))
                return
        except psycopg.errors.LockNotAvailable:
            time.sleep(SWAP_PAUSE_S)
    raise TransientError(
        f"{contract.name} is being read without a pause, so that it cannot be swapped",
        code="store.in_use",
        where=f"store.{contract.name}",
        remedy="end the long reading of it; the run goes on by itself",
    )


def _swap(connection: Connection, contract: DataContract, run: Run) -> Counts:
    shadow, served = tables.staging(run.id), tables.serving(contract)
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
    if tables.exists(connection, served):
        _lock_served(connection, contract)
        connection.execute(sql.SQL("DROP TABLE {}").format(served))
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
    deleted = _withdraw(connection, contract, run)
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
    return Counts(total - both, both - same, same, deleted)


def _withdraw(connection: Connection, contract: DataContract, run: Run) -> int:
    """Delete the served rows whose new version this run set aside: the old one is no longer what the source says."""
    kinds = dict(landed_sql(contract))
    same = []
    for place, name in enumerate(key_columns(contract), 1):
        text = sql.SQL("q.landed_key[{}]").format(sql.Literal(place))
        value = (
            sql.SQL("decode({}, 'hex')").format(text)
            if kinds[name] == "bytea"
            else sql.SQL("{}::{}").format(text, sql.SQL(kinds[name]))
        )
        same.append(sql.SQL("o.{} = {}").format(sql.Identifier(name), value))
    staged = sql.SQL(" AND ").join(sql.SQL("s.{0} = o.{0}").format(sql.Identifier(name)) for name in key_columns(contract))
    cursor = connection.execute(
        sql.SQL(
            """DELETE FROM {} o USING exchange.quarantine q WHERE q.run = {} AND q.landed_key IS NOT NULL AND {}
               AND NOT EXISTS (SELECT 1 FROM {} s WHERE {})"""
        ).format(tables.serving(contract), sql.Literal(run.id), sql.SQL(" AND ").join(same), tables.staging(run.id), staged)
    )
    return cursor.rowcount


def _count(connection: Connection, table: sql.Identifier) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    return int(row[0]) if row else 0
