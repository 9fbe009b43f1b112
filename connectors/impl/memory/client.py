"""Tables held in memory as a source: keeps the promises of ``connectors.api.Source``, passes the suite of the real ones."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import pyarrow as pa

from connectors.api import BoundKind, Capabilities, Column, Key, SourceState, TableShape, Window
from connectors.impl.memory.spec import SPEC, MemorySettings
from schemas.batch import RawBatch
from schemas.clock import CHINA, Clock
from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import DefectError, Fault, OneDoorError, RejectedError, TransientError


@dataclass(frozen=True, slots=True)
class Held:
    """One table: its rows, the columns of its key, and what is said of it. ``version`` counts its changes."""

    rows: pa.Table
    key: Sequence[str] = ()
    comment: str = ""
    comments: Mapping[str, str] = field(default_factory=dict)
    native: Mapping[str, str] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=dict)
    version: int = 0


class MemoryDatabase:
    """Tables by name. Putting a table replaces it whole, so that a read under way goes on with what it began with."""

    def __init__(self) -> None:
        self._tables: dict[str, Held] = {}
        self._lock = threading.Lock()
        self.away = False
        """True: every question meets a server that does not answer."""
        self.cut_after: int | None = None
        """Batches that a read gives before its connection is cut; None: never cut."""

    def put(self, table: str, held: Held) -> None:
        """Put a table, or replace it."""
        with self._lock:
            before = self._tables.get(table)
            self._tables[table] = replace(held, version=before.version + 1 if before else 1)

    def drop(self, table: str) -> None:
        """Take a table away."""
        with self._lock:
            del self._tables[table]

    def get(self, table: str) -> Held | None:
        """Return a table."""
        return self._tables.get(table)

    def names(self) -> Sequence[str]:
        """Return the names of all tables."""
        return sorted(self._tables)


_DATABASES: Final[dict[str, MemoryDatabase]] = {}


def database(name: str) -> MemoryDatabase:
    """Return the database that ``memory://<name>`` means, empty where nobody asked for it before."""
    return _DATABASES.setdefault(name, MemoryDatabase())


class Memory:
    """A database in memory. See ``connectors.api.Source`` for what each method promises."""

    def __init__(self, settings: MemorySettings, clock: Clock) -> None:
        scheme, _, name = settings.url.reveal().partition("://")
        if scheme != "memory" or not name:
            raise RejectedError("expected memory://<database>", code="source.url", fault=Fault.CLIENT)
        self._name = name
        self._clock = clock
        self._database = database(name)
        self._fixed: tuple[str, pa.Table] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What this source can do."""
        return SPEC.capabilities

    def check(self, contract: DataContract) -> None:
        """Raise ``RejectedError`` naming every column that is missing or whose type does not fit."""
        held = self._held(contract.table)
        faults = [fault for f in contract.fields if (fault := _fault(f, held.rows.schema))]
        if contract.cursor is not None:
            name = contract.field(contract.cursor.field).source_name
            kind = held.rows.schema.field(name).type if name in held.rows.schema.names else None
            if kind is not None and not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
                faults.append(("type_changed", f"cursor {name!r} is {kind}, expected a timestamp or a date"))
        if faults:
            raise self._rejected(faults[0][0], "; ".join(said for _, said in faults), contract.table)

    def describe(self, table: str) -> TableShape:
        """Describe a table."""
        held = self._held(table)
        columns = tuple(
            Column(
                name=f.name,
                native_type=held.native.get(f.name, str(f.type)),
                logical=_logical(f.type).value,
                nullable=f.nullable,
                max_length=held.lengths.get(f.name),
                precision=f.type.precision if pa.types.is_decimal(f.type) else None,
                scale=f.type.scale if pa.types.is_decimal(f.type) else None,
                comment=held.comments.get(f.name, ""),
            )
            for f in held.rows.schema
        )
        return TableShape(table, columns, tuple(held.key), held.rows.num_rows, held.comment)

    def read(
        self, contract: DataContract, *, window: Window | None = None, after: Key | None = None, batch_rows: int = 20_000
    ) -> Iterator[RawBatch]:
        """Yield the rows of the table as ``state`` saw it, or as it was when the first batch was asked for; null keys last."""
        if batch_rows < 1:
            raise DefectError("a batch has at least one row", code="source.batch_rows")
        if after is not None and len(after) != len(contract.key):
            raise DefectError(
                f"a key of {len(after)} values where the contract has {len(contract.key)}", code="source.key_length"
            )
        self.check(contract)
        held = self._held(contract.table).rows
        if window is None and self._fixed is not None and self._fixed[0] == contract.table:
            held, self._fixed = self._fixed[1], None
        rows = held.select([f.source_name for f in contract.fields])
        as_of = self._clock.now()
        given = 0
        for part in _parts(rows, contract, window, after):
            for indices in _cuts(part, batch_rows, contract.table):
                if self._database.cut_after is not None and given >= self._database.cut_after:
                    raise TransientError(
                        "the connection to the source was cut",
                        code="source.cut",
                        where=self._place(contract.table),
                        fault=Fault.PROVIDER,
                    )
                batch = rows.take(pa.array(indices, pa.int64())).combine_chunks().to_batches()[0]
                given += 1
                yield RawBatch(contract, batch, as_of)

    def window(self, contract: DataContract, after: str | None, now: datetime) -> Window:
        """Return what the next incremental read may cover: up to ``now`` less the declared lag; no sessions are seen."""
        self.check(contract)
        if contract.cursor is None:
            raise RejectedError("the contract has no cursor", code="source.no_cursor", where=contract.table, fault=Fault.CLIENT)
        if contract.cursor.declared_lag_s is None:
            raise RejectedError(
                "no safe bound can be computed: this source has no sessions to see",
                code="source.no_safe_bound",
                where=self._place(contract.table),
                remedy="declare a lag in the contract's cursor",
                fault=Fault.PROVIDER,
            )
        cursor = contract.field(contract.cursor.field)
        bound = now - timedelta(seconds=contract.cursor.declared_lag_s)
        if pa.types.is_date(self._held(contract.table).rows.schema.field(cursor.source_name).type):
            bound = datetime.combine(bound.astimezone(CHINA).date() - timedelta(days=1), time(), CHINA)
        if after is None:
            return Window(None, _text(bound, cursor), BoundKind.DECLARED)
        try:
            start = _instant(after)
            overlapped = start - timedelta(seconds=contract.cursor.overlap_s)
            if start - bound > timedelta(seconds=contract.cursor.overlap_s):
                raise self._rejected(
                    "after_bound",
                    f"the cursor to start after is {_text(start, cursor)}, rows may be read up to {_text(bound, cursor)} only",
                    contract.table,
                )
            if start > bound:
                return Window(_text(start, cursor), _text(start, cursor), BoundKind.DECLARED)
            return Window(_text(overlapped, cursor), _text(bound, cursor), BoundKind.DECLARED)
        except (ValueError, OverflowError):
            raise self._rejected("cursor_form", "the cursor to start after is no instant", contract.table) from None

    def state(self, contract: DataContract) -> SourceState:
        """Return the table's fingerprint: how often it was put."""
        held = self._held(contract.table)
        self._fixed = contract.table, held.rows
        return SourceState(f"{contract.table}.{held.version}")

    def close(self) -> None:
        """There is nothing to let go of."""

    def _held(self, table: str) -> Held:
        if self._database.away:
            raise TransientError(
                "the source does not answer", code="source.unreachable", where=self._name, fault=Fault.PROVIDER
            )
        held = self._database.get(table)
        if held is None:
            near = difflib.get_close_matches(table, self._database.names(), n=5, cutoff=0.55)
            raise RejectedError(
                f"there is no table or view {table!r}" + (f"; near it: {', '.join(near)}" if near else ""),
                code="source.table_unknown",
                where=self._name,
                remedy="mend the table's name in the contract",
                fault=Fault.PROVIDER,
            )
        return held

    def _place(self, table: str) -> str:
        return f"{self._name}, {table}"

    def _rejected(self, fact: str, message: str, table: str) -> OneDoorError:
        return RejectedError(
            message,
            code=f"source.{fact}",
            where=self._place(table),
            remedy="mend the contract, or the source",
            fault=Fault.PROVIDER,
        )


def _parts(
    rows: pa.Table, contract: DataContract, window: Window | None, after: Key | None
) -> Iterator[Sequence[tuple[int, Any]]]:
    """Yield the rows with a whole key, in its order, then those whose key holds a null: (index, key)."""
    wanted = range(rows.num_rows) if window is None else _in_window(rows, contract, window)
    columns = [rows.column(contract.fields.index(f)).to_pylist() for f in contract.key]
    keys = [(i, tuple(column[i] for column in columns)) for i in wanted]
    if not columns:
        yield [(i, (i,)) for i, _ in keys]
        return
    whole = sorted((k for k in keys if None not in k[1]), key=lambda k: k[1])
    if after is not None:
        last = tuple(after)
        whole = [] if None in last else [k for k in whole if k[1] > last]
    yield whole
    yield [(i, (i,)) for i, key in keys if None in key]


def _in_window(rows: pa.Table, contract: DataContract, window: Window) -> Iterator[int]:
    if contract.cursor is None:
        raise DefectError("a window without a cursor", code="source.no_cursor")
    at = contract.fields.index(contract.field(contract.cursor.field))
    after, upto = None if window.after is None else _instant(window.after), _instant(window.upto)
    for i, value in enumerate(rows.column(at).to_pylist()):
        if value is None:
            yield i
            continue
        if not isinstance(value, datetime):
            value = datetime.combine(value, time())
        value = value if value.tzinfo else value.replace(tzinfo=CHINA)
        if value <= upto and (after is None or value > after):
            yield i


def _cuts(part: Sequence[tuple[int, Any]], batch_rows: int, table: str) -> Iterator[Sequence[int]]:
    start = 0
    while start < len(part):
        end = min(start + batch_rows, len(part))
        if end < len(part):
            while end > start and part[end - 1][1] == part[min(start + batch_rows, len(part) - 1)][1]:
                end -= 1
            if end == start:
                raise RejectedError(
                    f"more than {batch_rows} rows hold the same key",
                    code="source.key_not_unique",
                    where=table,
                    remedy="name the columns in the contract that tell rows apart",
                    fault=Fault.PROVIDER,
                )
        yield [i for i, _ in part[start:end]]
        start = end


def _fault(f: Field, schema: pa.Schema) -> tuple[str, str] | None:
    if f.source_name not in schema.names:
        near = difflib.get_close_matches(f.source_name, schema.names, n=5, cutoff=0.55)
        return "column_unknown", f"column {f.source_name!r} is missing" + (f", near it: {', '.join(near)}" if near else "")
    kind = schema.field(f.source_name).type
    if not _fits(_logical(kind), f.logical_type):
        return "type_changed", f"column {f.source_name!r} is {kind}, which cannot be read as {f.logical_type.value}"
    return None


_NUMBERS: Final = {LogicalType.INTEGER, LogicalType.NUMBER, LogicalType.DOUBLE}
_DAYS: Final = {LogicalType.DATE, LogicalType.TIMESTAMP}


def _fits(held: LogicalType, wanted: LogicalType) -> bool:
    if held == wanted:
        return True
    if held is LogicalType.BYTES or wanted is LogicalType.BYTES:
        return False
    if LogicalType.STRING in (held, wanted):
        return True
    return {held, wanted} <= _NUMBERS or {held, wanted} <= _DAYS


def _logical(kind: pa.DataType) -> LogicalType:
    is_ = pa.types
    for test, logical in (
        (is_.is_integer, LogicalType.INTEGER),
        (is_.is_decimal, LogicalType.NUMBER),
        (is_.is_floating, LogicalType.DOUBLE),
        (is_.is_boolean, LogicalType.BOOLEAN),
        (is_.is_date, LogicalType.DATE),
        (is_.is_timestamp, LogicalType.TIMESTAMP),
        (is_.is_time, LogicalType.TIME),
        (is_.is_binary, LogicalType.BYTES),
    ):
        if test(kind):
            return logical
    return LogicalType.STRING


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=CHINA)


def _text(at: datetime, cursor: Field) -> str:
    if cursor.logical_type is LogicalType.DATE:
        day: date = at.astimezone(CHINA).date()
        return day.isoformat()
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")
