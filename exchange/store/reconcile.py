"""Does the store equal its source, as of now? Read the source again, recompute every hash, and name the keys that differ.

Both sides go into temporary tables as (key, row hash), so memory stays flat and the comparison is one join. A stored row whose
content no longer gives its hash differs; a sealed part that does not open differs. "Equal" is over the source's rows as
conformed, less those set aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pgpq
import psycopg
import pyarrow as pa
from psycopg import sql

from exchange.store import tables
from exchange.store.database import Connection, translated
from exchange.trust.keyring import KeyRing
from exchange.trust.seal import open_rows, proof_hashes, row_names, seal_batch
from quality.checks import DUPLICATE_KEY, compile_checks, set_rules
from quality.gate import check
from schemas.canonical import text_column
from schemas.conform import conform
from schemas.contract import DataContract
from schemas.landed import key_columns, landed_schema, landed_sql

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

MOST_KEYS: Final = 1_000
_BATCH_ROWS: Final = 20_000
_BROKEN: Final = b"\x00"
"""Stands for the hash of a stored row whose sealed part does not open: no hash is one byte long."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Keys that differ in one way: how many, and up to a thousand of them by name."""

    count: int
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was found. ``names_personal`` says that keys are pseudonyms."""

    resource: str
    as_of: datetime
    rows_source: int
    rows_store: int
    set_aside: int
    missing: Difference
    extra: Difference
    different: Difference
    names_personal: bool

    @property
    def equal(self) -> bool:
        """Say whether the store equals the source."""
        return self.missing.count == self.extra.count == self.different.count == 0

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of ``reconcile --json``."""
        return {
            "resource": self.resource,
            "equal": self.equal,
            "as_of": self.as_of.isoformat().replace("+00:00", "Z"),
            "rows_source": self.rows_source,
            "rows_store": self.rows_store,
            "set_aside": self.set_aside,
            **{
                name: {"count": part.count, "keys": list(part.keys)}
                for name, part in (("missing", self.missing), ("extra", self.extra), ("different", self.different))
            },
            "pseudonyms": self.names_personal,
        }


def reconcile(hub: Hub, name: str) -> Reconciliation:
    """Compare a resource's serving table with its source, row by row.

    Raises:
        TransientError, RejectedError: as the source does.
    """
    contract = hub.registry.resource(name).contract
    source = hub.source(name)
    try:
        with translated(), hub.connect() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            keys = list(key_columns(contract))
            schema = pa.schema([*(landed_schema(contract).field(k) for k in keys), pa.field("_row_hash", pa.binary())])
            read = _Read()
            wide = _with_references(contract, schema)
            _fill(connection, contract, "rec_source", wide, _source_rows(hub, contract, source, wide, read))
            _apply_set_rules(connection, contract)
            served = tables.exists(connection, tables.serving(contract))
            _fill(connection, contract, "rec_store", schema, _store_rows(hub, contract, schema) if served else ())
            kept = _one(connection, sql.SQL("SELECT count(*) FROM rec_source"))
            stored = _one(connection, sql.SQL("SELECT count(*) FROM rec_store"))
            on = _on(keys)
            absent = sql.SQL("SELECT {} FROM {} a WHERE NOT EXISTS (SELECT 1 FROM {} b WHERE {})")
            columns = sql.SQL(", ").join(sql.SQL("a.{}").format(sql.Identifier(k)) for k in keys)
            source_table, store_table = sql.Identifier("rec_source"), sql.Identifier("rec_store")
            differ = sql.SQL("SELECT {} FROM rec_source a JOIN rec_store b ON {} WHERE a._row_hash <> b._row_hash").format(
                columns, on
            )
            return Reconciliation(
                contract.name,
                hub.clock.now(),
                read.rows,
                stored,
                read.rows - kept,
                _difference(connection, contract, hub.keys, absent.format(columns, source_table, store_table, on)),
                _difference(connection, contract, hub.keys, absent.format(columns, store_table, source_table, on)),
                _difference(connection, contract, hub.keys, differ),
                any(f.personal for f in contract.key),
            )
    finally:
        source.close()


@dataclass(slots=True)
class _Read:
    rows: int = 0


def _source_rows(hub: Hub, contract: DataContract, source: Any, schema: pa.Schema, read: _Read) -> Iterator[pa.RecordBatch]:
    checks = compile_checks(contract)
    source.check(contract)
    for raw in source.read(contract):
        read.rows += raw.rows.num_rows
        checked = check(conform(raw).batch, checks)
        if checked.batch.rows.num_rows:
            sealed = seal_batch(checked.batch, hub.keys)
            yield sealed.rows.select(schema.names)


def _store_rows(hub: Hub, contract: DataContract, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in stored_batches(hub, contract):
        hashes = proof_hashes(contract, batch, hub.keys).fill_null(_BROKEN)
        yield pa.RecordBatch.from_arrays([*(batch.column(k) for k in schema.names[:-1]), hashes], schema=schema)


def stored_batches(hub: Hub, contract: DataContract) -> Iterator[pa.RecordBatch]:
    """Yield the serving table's rows in ``landed.landed_schema(contract)``, in no order, at flat memory."""
    landed = landed_schema(contract)
    columns = sql.SQL(", ").join(sql.Identifier(n) for n in landed.names)
    with hub.connect() as reader, psycopg.ServerCursor(reader, "stored_batches") as cursor:
        cursor.itersize = _BATCH_ROWS
        cursor.execute(sql.SQL("SELECT {} FROM {}").format(columns, tables.serving(contract)), binary=True)
        while rows := cursor.fetchmany(_BATCH_ROWS):
            transposed = list(zip(*rows, strict=True))
            yield pa.RecordBatch.from_arrays(
                [pa.array(values, f.type) for values, f in zip(transposed, landed, strict=True)], schema=landed
            )


def _fill(
    connection: Connection, contract: DataContract, table: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> None:
    kinds = dict(landed_sql(contract))
    columns = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(kinds[n])) for n in schema.names)
    connection.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(sql.Identifier(table), columns))
    encoder = pgpq.ArrowToPostgresBinaryEncoder(schema)
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(sql.Identifier(table))) as copy,
    ):
        copy.write(encoder.write_header())
        for batch in batches:
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())
    connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))


def _with_references(contract: DataContract, schema: pa.Schema) -> pa.Schema:
    """Return the schema of the source's side: the key, the fields that the rules over the set ask for, and the row hash."""
    wanted = set(schema.names)
    for rule in set_rules(contract):
        if rule.rule != DUPLICATE_KEY:
            wanted |= {*rule.fields, *([rule.referenced] if rule.resource == contract.name and rule.referenced else [])}
    return pa.schema([f for f in landed_schema(contract) if f.name in wanted])


def _apply_set_rules(connection: Connection, contract: DataContract) -> None:
    """Take out of the source's rows what the rules over the set set aside, as closing a run does."""
    key = sql.SQL(", ").join(sql.Identifier(k) for k in key_columns(contract))
    for rule in set_rules(contract):
        if rule.rule == DUPLICATE_KEY:
            statement = sql.SQL(
                "DELETE FROM rec_source WHERE ({0}) IN (SELECT {0} FROM rec_source GROUP BY {0} HAVING count(*) > 1)"
            )
            connection.execute(statement.format(key))
            continue
        own = rule.resource == contract.name
        orphans = sql.SQL(
            "DELETE FROM rec_source s WHERE s.{0} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {1} p WHERE p.{2} = s.{0})"
        ).format(
            sql.Identifier(rule.fields[0]),
            sql.Identifier("rec_source") if own else sql.Identifier("store", str(rule.resource)),
            sql.Identifier(str(rule.referenced)),
        )
        while connection.execute(orphans).rowcount and own:
            pass


def _on(keys: list[str]) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("a.{0} = b.{0}").format(sql.Identifier(k)) for k in keys)


def _one(connection: Connection, statement: sql.SQL | sql.Composed) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


def _difference(connection: Connection, contract: DataContract, keys: KeyRing, statement: sql.Composed) -> Difference:
    count = _one(connection, sql.SQL("SELECT count(*) FROM ({}) d").format(statement))
    if not count:
        return Difference(0)
    rows = connection.execute(sql.SQL("SELECT * FROM ({}) d ORDER BY 1 LIMIT {}").format(statement, MOST_KEYS)).fetchall()
    names = list(key_columns(contract))
    landed = landed_schema(contract)
    batch = pa.RecordBatch.from_arrays(
        [pa.array(values, landed.field(n).type) for values, n in zip(zip(*rows, strict=True), names, strict=True)], names=names
    )
    return Difference(count, tuple(row_names(contract, batch, keys)))


def names_in_source(hub: Hub, name: str, wanted: set[str]) -> dict[str, str]:
    """Return the clear keys of the source's rows that reports name as one of ``wanted``. Only for ``exchange.store.reveal``."""
    contract = hub.registry.resource(name).contract
    checks = compile_checks(contract)
    out: dict[str, str] = {}
    source = hub.source(name)
    try:
        for raw in source.read(contract):
            batch = check(conform(raw).batch, checks).batch
            if batch.rows.num_rows:
                texts = [text_column(batch.rows.column(f.name)).to_pylist() for f in contract.key]
                for row, pseudonym in enumerate(row_names(contract, seal_batch(batch, hub.keys).rows, hub.keys)):
                    if pseudonym in wanted:
                        out[pseudonym] = "/".join(str(column[row]) for column in texts)
    finally:
        source.close()
    return out


def names_in_store(hub: Hub, name: str, wanted: set[str]) -> dict[str, str]:
    """Return the clear keys of stored rows that reports name as one of ``wanted``. Only for ``exchange.store.reveal``."""
    contract = hub.registry.resource(name).contract
    out: dict[str, str] = {}
    if not wanted:
        return out
    for batch in stored_batches(hub, contract):
        names = row_names(contract, batch, hub.keys)
        places = [place for place, pseudonym in enumerate(names) if pseudonym in wanted]
        if places:
            rows = batch.take(pa.array(places)).to_pylist()
            personal = open_rows(contract, rows, hub.keys, [f for f in contract.key if f.personal])
            for place, row, opened in zip(places, rows, personal, strict=True):
                out[names[place]] = "/".join(str(opened.get(f.name, row.get(f.name))) for f in contract.key)
    return out
