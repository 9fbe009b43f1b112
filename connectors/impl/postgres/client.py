"""PostgreSQL as a source: two connections, one to ask (psycopg), one to stream (ADBC: binary COPY into Arrow)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connectors.api import BoundKind, Capabilities, Column, Key, SourceState, TableShape, Window
from connectors.impl.postgres import catalogue
from connectors.impl.postgres.bound import computed_bound
from connectors.impl.postgres.catalogue import NativeColumn, Relation
from connectors.impl.postgres.faults import fault_of, login_fault, sqlstate_in
from connectors.impl.postgres.spec import SPEC, PostgresSettings
from connectors.impl.postgres.values import instant_of, instant_text, key_text, midnight_before, plain
from schemas.batch import RawBatch
from schemas.clock import CHINA, Clock
from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import DefectError, Fault, RejectedError, TransientError
from schemas.light import without

_HINT_BYTES: Final = 8 << 20  # of one batch of the driver: small enough to stay flat, large enough to be fast
_FINGERPRINT: Final = "SELECT count(*), coalesce(sum(hashtidextended(t.ctid, t.tableoid::int8)), 0) FROM {} AS t"
_TIMES: Final = ("timestamptz", "timestamp", "date")
_ALIVE: Final = {
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""libpq's options of every connection, where the URL says nothing else: a server silently gone is given up after a minute."""
_AFTER: Final = "onedoor.after_{}"
"""The session's own settings that hold a key: it is bound as a parameter, so it stands in no statement's text."""

_KeyPart = tuple[int, bool]
"""A column of a batch that belongs to the key, and whether it is an exact number as text."""


class Postgres:
    """A PostgreSQL database, read by one account. See ``connectors.api.Source`` for what each method promises.

    A read is one COPY in a read-only REPEATABLE READ transaction. A second one follows, in the same snapshot, for the rows
    whose key holds a null, where the table allows them: they come last, in batches of their own. Where the server does not
    keep the key unique, the rows of one key stand in one batch, so that going on after a batch's last key leaves none out.

    A key after which a read goes on is somebody's number: it goes to the server as a parameter, never in a statement's text,
    which every session of the server may see and its log keeps where a statement fails.
    """

    def __init__(self, settings: PostgresSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._asking: catalogue.Connection | None = None
        self._holding: catalogue.Connection | None = None
        self._fixed: _Fixed | None = None
        self._comparable = True
        self._streams: list[_Stream] = []
        self._can: Capabilities | None = None
        self._conninfo, self._where = _address(settings)

    @property
    def capabilities(self) -> Capabilities:
        """What this source can do with this account: ``safe_bound`` only where the account sees all sessions of a primary."""
        if self._can is None:
            with self._catching():
                seen = catalogue.sight(self._connection())
            can = SPEC.capabilities
            self._can = Capabilities(
                incremental=can.incremental,
                safe_bound=seen.all_sessions and not seen.standby,
                snapshot=can.snapshot,
                keyset=can.keyset,
                introspects=can.introspects,
            )
        return self._can

    def check(self, contract: DataContract) -> None:
        """Raise ``RejectedError`` naming every column that is missing, cannot be read, or has a type that does not fit."""
        with self._catching(contract.table):
            self._checked(contract)

    def describe(self, table: str) -> TableShape:
        """Describe a table or a view."""
        with self._catching(table):
            connection = self._connection()
            relation = self._relation(table)
            columns = catalogue.columns(connection, relation.oid)
            return TableShape(
                table=table,
                columns=tuple(_described(c) for c in columns.values()),
                key=tuple(catalogue.primary_key(connection, relation.oid)),
                rows=relation.rows,
                comment=relation.comment,
            )

    def read(
        self, contract: DataContract, *, window: Window | None = None, after: Key | None = None, batch_rows: int = 20_000
    ) -> Iterator[RawBatch]:
        """Yield the rows, by key, of one snapshot; a date that Arrow cannot hold makes its column text in that batch."""
        if batch_rows < 1:
            raise DefectError("a batch has at least one row", code="source.batch_rows")
        if after is not None and len(after) != len(contract.key):
            raise DefectError(
                f"a key of {len(after)} values where the contract has {len(contract.key)}", code="source.key_length"
            )
        with self._catching(contract.table):
            relation, columns = self._checked(contract)
            unique = catalogue.is_unique(self._connection(), relation.oid, [f.source_name for f in contract.key])
        key = [(contract.fields.index(f), columns[f.source_name].base in ("numeric", "money")) for f in contract.key]
        stream, as_of = self._begun(contract.table, fixed=window is None)
        try:
            if after is not None and None not in after:
                with self._catching(contract.table):
                    stream.keep(_after_values([columns[f.source_name] for f in contract.key], after))
            for query, held in self._queries(contract, relation, columns, window, after):
                batches = self._raw(stream, query, contract.table)
                grouped = [] if unique or held else key
                for rows in _sliced(batches, batch_rows, grouped, f"{self._where}, {contract.table}"):
                    yield RawBatch(contract, _plain(rows), as_of)
        finally:
            self._streams.remove(stream)
            stream.close()

    def window(self, contract: DataContract, after: str | None, now: datetime) -> Window:
        """Return what the next incremental read may cover: from ``overlap_s`` before ``after``, up to the bound."""
        with self._catching(contract.table):
            relation, columns = self._checked(contract)
            if contract.cursor is None:
                raise RejectedError(
                    "the contract has no cursor", code="source.no_cursor", where=contract.table, fault=Fault.CLIENT
                )
            field = contract.field(contract.cursor.field)
            column = columns[field.source_name]
            if contract.cursor.declared_lag_s is not None:
                bound, kind = now - timedelta(seconds=contract.cursor.declared_lag_s), BoundKind.DECLARED
            else:
                bound, kind = self._computed(contract, relation, column), BoundKind.COMPUTED
        if column.base == "date":
            bound = midnight_before(bound)
        if after is None:
            return Window(None, _cursor_text(bound, field), kind)
        overlap = timedelta(seconds=contract.cursor.overlap_s)
        try:
            start = instant_of(after)
            text, overlapped = _cursor_text(start, field), _cursor_text(start - overlap, field)
        except (ValueError, OverflowError):
            raise RejectedError(
                "the cursor to start after is no instant",
                code="source.cursor_form",
                where=contract.table,
                remedy="expected a text such as 2026-11-02 04:00:00Z, or 2026-11-02 where the cursor is a date",
                fault=Fault.CLIENT,
            ) from None
        if start - bound > overlap:
            raise RejectedError(
                f"the cursor to start after is {text}, rows may be read up to {_cursor_text(bound, field)} only",
                code="source.after_bound",
                where=f"{self._where}, {contract.table}",
                remedy="start after an earlier instant, or collect everything",
                fault=Fault.CLIENT,
            )
        if start > bound:
            return Window(text, text, kind)
        return Window(overlapped, _cursor_text(bound, field), kind)

    def state(self, contract: DataContract) -> SourceState:
        """Return the table's fingerprint: how many rows, and the places of their versions. One scan, in a snapshot of its own.

        Any row that came, went or changed since moves it, because a version's place is not given to another while a snapshot
        that sees it is open, and from the first call to ``close`` one is (without a lock on the table). So does a rewrite of
        the table (VACUUM FULL), which changes no row: "not stable" may be said too often, never too rarely. None for views and
        foreign tables, for a table above ``state_rows``, before PostgreSQL 14, without SELECT on the whole table, where the
        server ended the open snapshot, and where a read could not take the snapshot that it was to take.
        """
        with self._catching(contract.table):
            self._unfix()
            relation = self._relation(contract.table)
            connection = self._connection()
            large = (relation.rows or 0) > self._settings.state_rows
            if relation.kind not in "rp" or large or connection.info.server_version < 140000:
                return SourceState(None)
            self._fixed = fixed = _Fixed(self._connected(), contract.table, self._clock.now())
            if self._holding is None:
                self._holding = fixed.connection
            query = sql.SQL(_FINGERPRINT).format(sql.Identifier(relation.schema, relation.name))
            try:
                with connection.transaction():  # of its own, so that no lock on the table stays
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                    connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(fixed.snapshot)))
                    row = connection.execute(query).fetchone()
            except psycopg.errors.InsufficientPrivilege:
                return SourceState(None)
            assert row is not None
            if not self._comparable or not _open(self._holding):
                return SourceState(None)
            return SourceState(f"{relation.oid}.{row[0]}.{row[1]}")

    def close(self) -> None:
        """Let go of the connections; a read under way ends with an error. May be called again."""
        for stream in list(self._streams):
            stream.close()
        self._unfix()
        for connection in (self._asking, self._holding):
            if connection is not None:
                connection.close()
        self._asking = self._holding = None

    # ------------------------------------------------------------------------------------------------------------------

    def _connection(self) -> catalogue.Connection:
        if self._asking is None or self._asking.closed:
            self._asking = self._connected()
        return self._asking

    def _connected(self) -> catalogue.Connection:
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
        except psycopg.OperationalError as error:
            raise login_fault(str(error), self._where) from None
        for name, value in _session(self._settings, self._settings.statement_timeout_s):
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.execute("SET default_transaction_read_only = on")
        return connection

    def _unfix(self) -> None:
        """Let the snapshot go that the next read was to take; the first one stays open until ``close``."""
        fixed, self._fixed = self._fixed, None
        if fixed is not None and fixed.connection is not self._holding:
            fixed.connection.close()

    def _begun(self, table: str, *, fixed: bool) -> tuple[_Stream, datetime]:
        """Return a stream whose snapshot is open, and the instant before it was; ``fixed``: take the one that ``state`` did."""
        wanted = self._fixed if fixed and self._fixed is not None and self._fixed.table == table else None
        try:
            if wanted is not None:
                with suppress(_AdbcError):  # it ended meanwhile, or another server answers at this address: read what is there
                    return self._streaming(wanted.snapshot), wanted.at
                self._comparable = False
            as_of = self._clock.now()
            with self._catching(table):
                return self._streaming(None), as_of
        finally:
            if wanted is not None:
                self._unfix()

    def _streaming(self, snapshot: str | None) -> _Stream:
        stream = _Stream(self._conninfo, self._settings)
        self._streams.append(stream)
        try:
            stream.begin(snapshot)
        except BaseException:
            self._streams.remove(stream)
            stream.close()
            raise
        return stream

    @contextmanager
    def _catching(self, table: str | None = None) -> Iterator[None]:
        """Turn what the drivers raise into one of the four kinds, with none of their words."""
        where = self._where + (f", {table}" if table else "")
        try:
            yield
        except psycopg.Error as error:
            gone = self._asking is None or self._asking.closed
            raise fault_of(None if gone and error.sqlstate is None else error.sqlstate or "", where) from None
        except _AdbcError as error:
            fault = login_fault(error.message, where) if error.login else fault_of(error.sqlstate, where)
            if isinstance(fault, TransientError) and self._asking is not None:
                self._asking.close()  # what cut one connection most likely cut the other: the next question makes a new one
            raise fault from None

    def _relation(self, table: str) -> Relation:
        relation = catalogue.find(self._connection(), table)
        if relation is None:
            near = catalogue.near_tables(self._connection(), table)
            raise RejectedError(
                f"there is no table or view {table!r}" + (f"; near it: {', '.join(near)}" if near else ""),
                code="source.table_unknown",
                where=self._where,
                remedy="mend the table's name in the contract",
                fault=Fault.PROVIDER,
            )
        return relation

    def _checked(self, contract: DataContract) -> tuple[Relation, dict[str, NativeColumn]]:
        relation = self._relation(contract.table)
        columns = catalogue.columns(self._connection(), relation.oid)
        used = {f.source_name for f in contract.fields}
        faults = [fault for f in contract.fields if (fault := _column_fault(f, columns, used))]
        if contract.cursor is not None:
            cursor = columns.get(contract.field(contract.cursor.field).source_name)
            if cursor is not None and cursor.base not in _TIMES:
                faults.append(("type_changed", f"cursor {cursor.name!r} is {cursor.native}, expected a timestamp or a date"))
        if faults:
            raise RejectedError(
                "; ".join(said for _, said in faults),
                code=f"source.{faults[0][0]}",
                where=f"{self._where}, {contract.table}",
                remedy="mend the contract, or the source",
                fault=Fault.PROVIDER,
            )
        return relation, columns

    def _computed(self, contract: DataContract, relation: Relation, column: NativeColumn) -> datetime:
        connection = self._connection()
        seen = catalogue.sight(connection)
        reason = None
        if not seen.all_sessions:
            reason = "the account does not see when other sessions began; grant it pg_read_all_stats"
        elif seen.standby:
            reason = "the source is a standby, which does not see the sessions of its primary; read from the primary"
        elif elsewhere := catalogue.written_elsewhere(connection, relation.oid):
            reason = f"{elsewhere}, so its rows come later than their cursor says; read the tables under it"
        elif column.base != "timestamptz" and not _is_china(seen.zone):
            reason = f"cursor {column.name!r} has no zone and the server's is {seen.zone}, not Asia/Shanghai; use timestamptz"
        if reason is not None:
            why, _, remedy = reason.partition("; ")
            raise RejectedError(
                f"no safe bound can be computed: {why}",
                code="source.no_safe_bound",
                where=f"{self._where}, {contract.table}",
                remedy=f"{remedy}, or declare a lag in the contract's cursor",
                fault=Fault.PROVIDER,
            )
        return computed_bound(
            connection,
            skew_s=self._settings.skew_s,
            prepared_wait_s=self._settings.prepared_wait_s,
            where=f"{self._where}, {contract.table}",
        )

    def _queries(
        self,
        contract: DataContract,
        relation: Relation,
        columns: dict[str, NativeColumn],
        window: Window | None,
        after: Key | None,
    ) -> Iterator[tuple[str, bool]]:
        """Yield each query's text and whether it is the one of the rows whose key holds a null."""
        chosen = sql.SQL(", ").join(
            sql.SQL("{}{} AS {}").format(
                sql.Identifier("t", f.source_name),
                sql.SQL(f"::{cast}" if (cast := columns[f.source_name].cast) else ""),
                sql.Identifier(f.source_name),
            )
            for f in contract.fields
        )
        key = [columns[f.source_name] for f in contract.key]
        conditions = [] if window is None else [_within(contract, columns, window)]
        nulls = [sql.SQL("{} IS NULL").format(sql.Identifier("t", c.name)) for c in key if c.nullable]
        ordered = list(conditions)
        if nulls:
            ordered.append(sql.SQL("NOT ({})").format(sql.SQL(" OR ").join(nulls)))
        if after is not None:
            if key and None not in after:
                ordered.append(_past(key))
            elif key:
                ordered.append(sql.SQL("false"))
        yield self._query(chosen, relation, ordered, key), False
        if nulls:
            yield self._query(chosen, relation, [*conditions, sql.SQL("({})").format(sql.SQL(" OR ").join(nulls))], []), True

    def _query(
        self, chosen: sql.Composable, relation: Relation, conditions: Sequence[sql.Composable], key: Sequence[NativeColumn]
    ) -> str:
        query = sql.SQL("SELECT {} FROM {} AS t").format(chosen, sql.Identifier(relation.schema, relation.name))
        if conditions:
            query += sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions)
        if key:
            query += sql.SQL(" ORDER BY ") + sql.SQL(", ").join(sql.Identifier("t", c.name) for c in key)
        return query.as_string(self._connection())

    def _raw(self, stream: _Stream, query: str, table: str) -> Iterator[pa.RecordBatch]:
        with self._catching(table):
            yield from stream.run(query)


class _Fixed:
    """A snapshot that a connection holds open, of one table, and the instant before it was taken."""

    def __init__(self, connection: catalogue.Connection, table: str, at: datetime) -> None:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        self.connection, self.table, self.at = connection, table, at
        self.snapshot: str = row[0]


class _AdbcError(Exception):
    """What ADBC raised, kept from everybody but ``_catching``."""

    def __init__(self, message: str, sqlstate: str | None, *, login: bool) -> None:
        super().__init__("the driver failed")
        self.message = message
        self.sqlstate = sqlstate
        self.login = login


class _Stream:
    """One ADBC connection with one transaction, for one read."""

    def __init__(self, conninfo: str, settings: PostgresSettings) -> None:
        with without("polars"):
            from adbc_driver_postgresql import dbapi

        self._settings = settings
        self._cursor: Any = None
        try:
            self._connection: Any = dbapi.connect(conninfo)
        except dbapi.Error as error:
            raise _AdbcError(str(error), error.sqlstate, login=error.sqlstate is None) from None

    def begin(self, snapshot: str | None) -> None:
        """Open the snapshot: a new one, or one that another session exported."""
        with self._catching(), self._connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if snapshot is not None:
                cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            for name, value in _session(self._settings, self._settings.read_timeout_s):
                cursor.execute(f"SET LOCAL {name} = '{value}'")

    def keep(self, values: Sequence[str]) -> None:
        """Keep values in settings of this transaction, bound as parameters: their text is in no statement."""
        chosen = ", ".join(f"set_config('{_AFTER.format(i)}', ${i}, true)" for i in range(1, len(values) + 1))
        with self._catching(), self._connection.cursor() as cursor:
            cursor.execute(f"SELECT {chosen}", tuple(values))
            cursor.fetchall()

    def run(self, query: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query as they come."""
        from adbc_driver_manager._reader import AdbcRecordBatchReader

        with self._catching():
            self._cursor = self._connection.cursor()
            self._cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_HINT_BYTES)})
            self._cursor.execute(query)
            stream = self._cursor.fetch_arrow()
            for batch in AdbcRecordBatchReader._import_from_c(stream.address):  # as the driver's own, it keeps the SQLSTATE
                if batch.num_rows:
                    yield batch
            self._cursor.close()
            self._cursor = None

    def close(self) -> None:
        """Give up whatever is under way."""
        if self._connection is None:
            return
        connection, cursor, self._connection, self._cursor = self._connection, self._cursor, None, None
        with self._quietly():
            if cursor is not None:
                cursor.adbc_cancel()
        with self._quietly():
            if cursor is not None:
                cursor.close()
        with self._quietly():
            connection.close()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Closing a connection that is broken breaks nothing more."""
        try:
            with self._catching():
                yield
        except _AdbcError:
            return

    @contextmanager
    def _catching(self) -> Iterator[None]:
        from adbc_driver_postgresql import dbapi

        try:
            yield
        except dbapi.Error as error:
            raise _AdbcError(str(error), error.sqlstate or sqlstate_in(str(error)), login=False) from None
        except (pa.ArrowException, OSError) as error:  # what the reader raises in the middle
            raise _AdbcError(str(error), sqlstate_in(str(error)), login=False) from None


def _address(settings: PostgresSettings) -> tuple[str, str]:
    """Return libpq's connection string, and the host, port and database for errors."""
    try:
        given = conninfo_to_dict(settings.url.reveal())
        conninfo = make_conninfo(
            settings.url.reveal(),
            **{name: value for name, value in _ALIVE.items() if name not in given},
            client_encoding="UTF8",
            connect_timeout=max(2, round(settings.connect_timeout_s)) if settings.connect_timeout_s else 0,
            fallback_application_name="onedoor",
        )
        if not all(port.isdecimal() for port in str(given.get("port") or 5432).split(",")):
            raise ValueError("a port is a number")
    except (psycopg.Error, ValueError):  # its words hold the URL
        raise RejectedError(
            "the address of the source is no PostgreSQL URL",
            code="source.url",
            remedy="expected postgresql://user:password@host:5432/database, special characters of the password percent-encoded",
            fault=Fault.CLIENT,
        ) from None
    database = given.get("dbname") or given.get("user") or ""
    return conninfo, f"{given.get('host') or 'localhost'}:{given.get('port') or 5432}/{database}"


def _session(settings: PostgresSettings, statement_s: float) -> Sequence[tuple[str, str]]:
    return (
        ("statement_timeout", f"{round(statement_s * 1000)}ms"),
        ("lock_timeout", f"{round(settings.lock_timeout_s * 1000)}ms"),
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO"),
        ("IntervalStyle", "iso_8601"),
        ("bytea_output", "hex"),
        ("extra_float_digits", "1"),
    )


def _described(column: NativeColumn) -> Column:
    return Column(
        name=column.name,
        native_type=column.native,
        logical=column.logical.value,
        nullable=column.nullable,
        max_length=column.max_length,
        precision=column.precision,
        scale=column.scale,
        comment=column.comment,
    )


def _column_fault(field: Field, columns: dict[str, NativeColumn], used: set[str]) -> tuple[str, str] | None:
    column = columns.get(field.source_name)
    if column is None:
        free, every = {n: n for n in columns if n not in used}, {n: n for n in columns}
        near = catalogue.near(field.source_name, free) or catalogue.near(field.source_name, every)
        return "column_unknown", f"column {field.source_name!r} is missing" + (f", near it: {', '.join(near)}" if near else "")
    if not column.readable:
        return "no_privilege", f"the account may not read column {column.name!r}"
    if not column.fits(field.logical_type):
        was = f" (it was {field.physical_type})" if field.physical_type and field.physical_type != column.native else ""
        return (
            "type_changed",
            f"column {column.name!r} is {column.native}{was}, which cannot be read as {field.logical_type.value}",
        )
    if field.key is not None and not column.ordered:
        return "type_changed", f"column {column.name!r} is {column.native}, which has no order and cannot be a key"
    return None


def _within(contract: DataContract, columns: dict[str, NativeColumn], window: Window) -> sql.Composable:
    if contract.cursor is None:
        raise DefectError("a window without a cursor", code="source.no_cursor")
    column = columns[contract.field(contract.cursor.field).source_name]
    place = sql.Identifier("t", column.name)
    within = sql.SQL("{} <= {}").format(place, _instant(column, window.upto))
    if window.after is not None:
        within = sql.SQL("{} > {} AND {}").format(place, _instant(column, window.after), within)
    return sql.SQL("({} OR {} IS NULL)").format(within, place) if column.nullable else within


def _instant(column: NativeColumn, text: str) -> sql.Composable:
    at = instant_of(text)
    match column.base:
        case "timestamptz":
            value = at.isoformat(" ")
        case "timestamp":
            value = at.astimezone(CHINA).replace(tzinfo=None).isoformat(" ")
        case _:
            value = at.astimezone(CHINA).date().isoformat()
    return sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(column.base))


def _cursor_text(at: datetime, field: Field) -> str:
    if field.logical_type is LogicalType.DATE:
        return at.astimezone(CHINA).date().isoformat()
    return instant_text(at)


def _past(key: Sequence[NativeColumn]) -> sql.Composable:
    """Return the condition that a row's key comes after the one kept, compared in the columns' own types and collations."""
    values = [
        sql.SQL("current_setting({})::{}").format(sql.Literal(_AFTER.format(i)), sql.SQL(column.full))
        for i, column in enumerate(key, 1)
    ]
    return sql.SQL("({}) > ({})").format(
        sql.SQL(", ").join(sql.Identifier("t", c.name) for c in key), sql.SQL(", ").join(values)
    )


def _after_values(key: Sequence[NativeColumn], after: Key) -> list[str]:
    return [key_text(value, column.base) for column, value in zip(key, after, strict=True)]


def _open(connection: catalogue.Connection) -> bool:
    """Say whether a session still is there; False where the server ended it since."""
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


def _sliced(
    batches: Iterator[pa.RecordBatch], batch_rows: int, grouped: Sequence[_KeyPart], where: str
) -> Iterator[pa.RecordBatch]:
    """Yield batches of ``batch_rows`` rows at most; rows alike in the columns ``grouped`` are not parted.

    A large batch of the driver is cut without a copy, so its last piece may be small too; small ones are joined.
    """
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if not grouped and not waiting and batch.num_rows > batch_rows:
            yield from (batch.slice(start, batch_rows) for start in range(0, batch.num_rows, batch_rows))
            continue
        waiting.append(batch)
        count += batch.num_rows
        if count > batch_rows:
            rows = _joined(waiting)
            start = 0
            while count - start > batch_rows:
                end = _cut(rows, start, start + batch_rows, grouped, where) if grouped else start + batch_rows
                yield rows.slice(start, end - start)
                start = end
            waiting, count = [rows.slice(start)], count - start
    if count:
        yield _joined(waiting)


def _cut(rows: pa.RecordBatch, start: int, end: int, key: Sequence[_KeyPart], where: str) -> int:
    """Return where to cut at or before ``end`` so that rows of one key stay together."""
    first_out = _key_at(rows, end, key)
    at = end
    while at > start and _key_at(rows, at - 1, key) == first_out:
        at -= 1
    if at == start:
        raise RejectedError(
            f"more than {end - start} rows hold the same key",
            code="source.key_not_unique",
            where=where,
            remedy="name the columns in the contract that tell rows apart",
            fault=Fault.PROVIDER,
        )
    return at


def _key_at(rows: pa.RecordBatch, at: int, key: Sequence[_KeyPart]) -> tuple[Any, ...]:
    values = ((plain(rows.column(i).slice(at, 1))[0].as_py(), exact) for i, exact in key)
    return tuple(Decimal(value) if exact else value for value, exact in values)  # 1.0 and 1.00 are one key


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _plain(rows: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([plain(c) for c in rows.columns], names=rows.schema.names)


def _is_china(zone: str) -> bool:
    return zone in ("Asia/Shanghai", "PRC", "Asia/Chongqing", "Asia/Chungking", "Asia/Harbin")
