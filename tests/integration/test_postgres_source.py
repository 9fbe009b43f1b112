"""What PostgreSQL as a source promises beyond the suite of all sources: late commits, odd types, refusals."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from connectors.api import BoundKind, Source, Window
from connectors.registry import open_source
from schemas.conform import conform
from schemas.contract import CursorSpec, DataContract, Field, LogicalType
from schemas.errors import OneDoorError, RejectedError, TransientError
from schemas.resource import ResourceName

K = LogicalType
NOON = datetime(2026, 11, 2, 4, tzinfo=UTC)
MARKER = "440205199001011239"

Connection = psycopg.Connection[tuple[Any, ...]]


def contract(
    table: str, *fields: tuple[str, LogicalType], key: Sequence[str] = ("id",), lag_s: int | None = None
) -> DataContract:
    named = {name for name, _ in fields}
    return DataContract(
        name=ResourceName("r"),
        version="1.0.0",
        title="",
        department="d",
        system="s",
        source="s",
        table=table,
        cursor=CursorSpec("at", lag_s, overlap_s=0) if "at" in named else None,
        fields=tuple(Field(n, k, n, key=list(key).index(n) + 1 if n in key else None) for n, k in fields),
    )


EVENTS = (("id", K.INTEGER), ("at", K.TIMESTAMP))


@pytest.fixture
def owner(empty_db: str) -> Iterator[Connection]:
    """The department, at work in its database."""
    with psycopg.connect(empty_db, autocommit=True) as connection:
        yield connection


@pytest.fixture
def department(empty_db: str) -> Iterator[Connection]:
    """Another session of the department, with transactions."""
    with psycopg.connect(empty_db) as connection:
        yield connection


@pytest.fixture
def all_seeing(empty_db: str, superuser_url: str) -> str:
    """The URL of a read-only account of that database with pg_read_all_stats."""
    return account(empty_db, superuser_url, "seeing", "pg_read_all_stats, pg_read_all_data")


@pytest.fixture
def plain(empty_db: str, superuser_url: str) -> str:
    """The URL of a read-only account of that database that sees nothing else."""
    return account(empty_db, superuser_url, "plain", "pg_read_all_data")


def account(url: str, superuser_url: str, suffix: str, member_of: str) -> str:
    parts = urlsplit(url)
    role = f"{parts.path[1:]}_{suffix}"
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        name = sql.Identifier(role)
        with suppress(psycopg.errors.DuplicateObject):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'pass-of-reader'").format(name))
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(member_of), name))  # type: ignore[arg-type]
    return urlunsplit(parts._replace(netloc=f"{role}:pass-of-reader@{parts.hostname}:{parts.port}"))


@pytest.fixture
def opened() -> Iterator[list[Source]]:
    sources: list[Source] = []
    yield sources
    for source in sources:
        source.close()


@pytest.fixture
def open_(opened: list[Source]) -> Any:
    def opening(url: str, **options: Any) -> Source:
        opened.append(open_source(url, **options))
        return opened[-1]

    return opening


def events(owner: Connection, kind: str = "timestamptz") -> None:
    owner.execute(f"CREATE TABLE events (id int PRIMARY KEY, at {kind} NOT NULL DEFAULT now())")
    owner.execute("INSERT INTO events (id) VALUES (1)")


def ids(source: Source, asked: DataContract, window: Window | None = None) -> list[int]:
    return [row["id"] for batch in source.read(asked, window=window) for row in batch.rows.to_pylist()]


def said(error: OneDoorError) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(error)


# Late commits ---------------------------------------------------------------------------------------------------------------


def after_skew(source: Source, asked: DataContract, after: str | None, wanted: int) -> tuple[Window, list[int]]:
    """Ask for windows until one holds a row that is committed; the skew keeps the newest second out."""
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while True:
        window = source.window(asked, after, NOON)
        found = ids(source, asked, window)
        if wanted in found:
            return window, found
        assert datetime.now(UTC) < deadline, f"row {wanted} did not come"


def test_a_row_whose_transaction_began_before_the_read_and_committed_after_it_is_not_skipped(
    owner: Connection, department: Connection, all_seeing: str, open_: Any
) -> None:
    events(owner)
    source = open_(all_seeing)
    assert source.capabilities.safe_bound
    asked = contract("events", *EVENTS)
    department.execute("SELECT 1")  # A begins, and has no transaction id
    owner.execute("INSERT INTO events VALUES (2, clock_timestamp())")  # committed, later than A's start
    first = source.window(asked, None, NOON)
    assert first.kind is BoundKind.COMPUTED
    assert 2 not in ids(source, asked, first)  # the bound stands before A's start
    department.execute("INSERT INTO events (id) VALUES (3)")  # at = A's start
    assert 3 not in ids(source, asked, source.window(asked, first.upto, NOON))
    department.commit()
    _, second = after_skew(source, asked, first.upto, 2)
    assert {2, 3} <= set(second)


def test_an_open_transaction_holds_the_bound_back_and_the_bound_does_not_go_back(
    owner: Connection, department: Connection, all_seeing: str, open_: Any
) -> None:
    events(owner)
    source = open_(all_seeing, skew_s=0.5)
    asked = contract("events", *EVENTS)
    (start,) = department.execute("SELECT now()").fetchone() or (None,)
    assert start is not None
    upto = datetime.fromisoformat(source.window(asked, None, NOON).upto)
    assert upto == start - timedelta(seconds=0.5)
    later = (start + timedelta(minutes=1)).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")
    with pytest.raises(RejectedError) as caught:
        source.window(asked, later, NOON)
    assert caught.value.code == "source.after_bound"
    overlapping = replace(asked, cursor=CursorSpec("at", None, overlap_s=120))
    assert source.window(overlapping, later, NOON) == Window(later, later, BoundKind.COMPUTED)


def test_a_plain_account_is_refused_a_computed_bound_and_told_what_to_do(owner: Connection, plain: str, open_: Any) -> None:
    events(owner)
    source = open_(plain)
    assert not source.capabilities.safe_bound
    with pytest.raises(RejectedError) as caught:
        source.window(contract("events", *EVENTS), None, NOON)
    assert caught.value.code == "source.no_safe_bound"
    assert "grant it pg_read_all_stats, or declare a lag" in str(caught.value)


@pytest.mark.parametrize("who", ["plain", "all_seeing"])
def test_a_declared_lag_is_called_declared_whoever_reads(
    owner: Connection, who: str, request: pytest.FixtureRequest, open_: Any
) -> None:
    events(owner)
    window = open_(request.getfixturevalue(who)).window(contract("events", *EVENTS, lag_s=300), None, NOON)
    assert window == Window(None, "2026-11-02 03:55:00.000000Z", BoundKind.DECLARED)


def test_a_session_of_another_database_does_not_hold_the_bound_back(
    owner: Connection, superuser_url: str, all_seeing: str, open_: Any
) -> None:
    events(owner)
    source = open_(all_seeing, skew_s=0)
    with psycopg.connect(superuser_url) as neighbour:
        (start,) = neighbour.execute("SELECT now()").fetchone() or (None,)
        upto = source.window(contract("events", *EVENTS), None, NOON).upto
    assert start is not None
    assert datetime.fromisoformat(upto) > start


def test_a_session_that_hides_its_start_is_refused(
    empty_db: str, owner: Connection, superuser_url: str, all_seeing: str, open_: Any
) -> None:
    events(owner)
    database = sql.Identifier(urlsplit(empty_db).path[1:])
    with psycopg.connect(superuser_url, autocommit=True) as administrator:
        administrator.execute(sql.SQL("ALTER ROLE {} SET track_activities = off").format(database))
    with psycopg.connect(empty_db) as hidden:
        hidden.execute("SELECT 1")
        with pytest.raises(RejectedError, match="track_activities") as caught:
            open_(all_seeing).window(contract("events", *EVENTS), None, NOON)
    assert caught.value.code == "source.bound_hidden"


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ("CREATE MATERIALIZED VIEW seen AS SELECT * FROM events", "materialised view"),
        (
            "CREATE MATERIALIZED VIEW under AS SELECT * FROM events; CREATE VIEW seen AS SELECT * FROM under",
            "materialised view",
        ),
    ],
)
def test_rows_that_come_later_than_their_cursor_says_have_no_computed_bound(
    owner: Connection, all_seeing: str, open_: Any, made: str, why: str
) -> None:
    events(owner)
    owner.execute(made)
    with pytest.raises(RejectedError, match=why) as caught:
        open_(all_seeing).window(contract("seen", *EVENTS), None, NOON)
    assert caught.value.code == "source.no_safe_bound"


def test_a_view_over_a_table_has_a_computed_bound(owner: Connection, all_seeing: str, open_: Any) -> None:
    events(owner)
    owner.execute("CREATE VIEW seen AS SELECT * FROM events")
    assert open_(all_seeing).window(contract("seen", *EVENTS), None, NOON).kind is BoundKind.COMPUTED


def test_a_cursor_without_a_zone_has_a_computed_bound_only_on_a_server_of_chinese_time(
    empty_db: str, owner: Connection, all_seeing: str, open_: Any
) -> None:
    events(owner, "timestamp")
    database = sql.Identifier(urlsplit(empty_db).path[1:])
    asked = contract("events", *EVENTS)
    owner.execute(sql.SQL("ALTER DATABASE {} SET TimeZone = 'UTC'").format(database))
    with pytest.raises(RejectedError, match="has no zone"):
        open_(all_seeing).window(asked, None, NOON)
    owner.execute(sql.SQL("ALTER DATABASE {} SET TimeZone = 'Asia/Shanghai'").format(database))
    source = open_(all_seeing, skew_s=0)
    with psycopg.connect(empty_db, autocommit=True) as chinese:
        chinese.execute("INSERT INTO events (id) VALUES (2)")
    upto = datetime.fromisoformat(source.window(asked, None, NOON).upto)
    assert abs(upto - datetime.now(UTC)) < timedelta(minutes=5)
    assert 2 in ids(source, asked, source.window(asked, None, NOON))


# A bound that waits for prepared transactions: in a server of its own, because the shared one allows none.


class Answers:
    """Stands for the connection in ``computed_bound``: answers in turn, and remembers the order of the questions."""

    def __init__(self, clock: datetime, oldest: datetime | None, prepared: list[list[str]]) -> None:
        self.clock, self.oldest, self.prepared = clock, oldest, prepared
        self.asked: list[str] = []

    def execute(self, query: str) -> Any:
        kind = "prepared" if "prepared_xacts" in query else "sessions" if "pg_stat_activity" in query else "clock"
        self.asked.append(kind)
        if kind == "prepared":
            return iter([(p,) for p in (self.prepared.pop(0) if len(self.prepared) > 1 else self.prepared[0])])
        row = (self.clock,) if kind == "clock" else (self.oldest, 0)
        return type("Rows", (), {"fetchone": lambda _: row})()


def test_the_clock_is_read_before_the_sessions_and_they_before_the_prepared_ones() -> None:
    from connectors.impl.postgres.bound import computed_bound

    answers = Answers(NOON, NOON - timedelta(seconds=9), [[]])
    found = computed_bound(answers, skew_s=1, prepared_wait_s=0, where="x")  # type: ignore[arg-type]
    assert (answers.asked, found) == (["clock", "sessions", "prepared"], NOON - timedelta(seconds=10))


def test_prepared_transactions_are_waited_for_and_ones_that_stay_are_told() -> None:
    from connectors.impl.postgres.bound import computed_bound

    passing = Answers(NOON, None, [["7", "8"], ["8", "9"], ["9"]])  # 9 began while we wait: it is not below the bound
    assert computed_bound(passing, skew_s=0, prepared_wait_s=5, where="x") == NOON  # type: ignore[arg-type]
    with pytest.raises(TransientError) as caught:
        computed_bound(Answers(NOON, None, [["7"]]), skew_s=0, prepared_wait_s=0, where="x")  # type: ignore[arg-type]
    assert caught.value.code == "source.bound_prepared"


# Types ----------------------------------------------------------------------------------------------------------------------

NATIVE: list[tuple[str, str, LogicalType, Any]] = [
    ("char(5)", "'ab'", K.STRING, "ab   "),
    ("varchar(9)", "'中文'", K.STRING, "中文"),
    ('"char"', "'z'", K.STRING, "z"),
    ("name", "'n'", K.STRING, "n"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", K.STRING, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", """'{"a":  1}'""", K.STRING, '{"a":  1}'),
    ("jsonb", """'{"a":  1}'""", K.STRING, '{"a": 1}'),
    ("mood", "'好'", K.STRING, "好"),
    ("short", "'abc'", K.STRING, "abc"),
    ("text[]", "'{a,\"b c\"}'", K.STRING, '{a,"b c"}'),
    ("int[]", "'{1,2}'", K.STRING, "{1,2}"),
    ("inet", "'10.0.0.1'", K.STRING, "10.0.0.1/32"),
    ("interval", "'1 day 2 hours'", K.STRING, "P1DT2H"),
    ("timetz", "'12:00+08'", K.STRING, "12:00:00+08"),
    ("int4range", "'[1,2)'", K.STRING, "[1,2)"),
    ("bit(3)", "'101'", K.STRING, "101"),
    ("smallint", "-32768", K.INTEGER, -32768),
    ("oid", "4294967295", K.INTEGER, 4294967295),
    (
        "numeric",
        "12345678901234567890123456789012345678901234567890.5",
        K.STRING,
        "12345678901234567890123456789012345678901234567890.5",
    ),
    ("money", "'1234.56'", K.STRING, "1234.56"),
    ("real", "1.5", K.DOUBLE, 1.5),
]


@pytest.mark.parametrize(("native", "literal", "logical", "wanted"), NATIVE, ids=[n for n, *_ in NATIVE])
def test_every_native_type_arrives_exactly(
    empty_db: str, owner: Connection, open_: Any, native: str, literal: str, logical: LogicalType, wanted: Any
) -> None:
    owner.execute("CREATE TYPE mood AS ENUM ('好', '坏'); CREATE DOMAIN short AS varchar(5)")
    owner.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {native})")
    owner.execute(f"INSERT INTO t VALUES (1, {literal}), (2, NULL)")
    (batch,) = open_(empty_db).read(contract("t", ("id", K.INTEGER), ("v", logical)))
    assert batch.rows.column(1).to_pylist() == [wanted, None]


def test_dates_that_arrow_cannot_hold_are_set_aside_and_their_neighbours_arrive(
    empty_db: str, owner: Connection, open_: Any
) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY, d date, s timestamp, z timestamptz, c time)")
    owner.execute("INSERT INTO t VALUES (1, 'infinity', '-infinity', 'infinity', '24:00')")
    owner.execute("INSERT INTO t VALUES (2, '0044-03-15 BC', '294276-12-31', '4713-01-01 BC', '23:59:59.999999')")
    owner.execute("INSERT INTO t VALUES (3, '2026-02-28', '2026-02-28 08:00:00.5', '2026-02-28 08:00+08', '00:00')")
    asked = contract("t", ("id", K.INTEGER), ("d", K.DATE), ("s", K.TIMESTAMP), ("z", K.TIMESTAMP), ("c", K.TIME))
    source = open_(empty_db)
    (batch,) = source.read(asked)
    done = conform(batch)
    (good,) = done.batch.rows.to_pylist()
    assert good["id"] == 3
    assert good["d"].isoformat() == "2026-02-28"
    assert good["s"] == datetime(2026, 2, 28, 0, 0, 0, 500000, UTC)
    assert good["z"] == datetime(2026, 2, 28, tzinfo=UTC)
    found = [(f.row, f.field) for f in done.rejects.findings]
    assert found == [(0, "d"), (0, "s"), (0, "z"), (0, "c"), (1, "d"), (1, "s"), (1, "z")]


@pytest.mark.parametrize(
    ("native", "values"),
    [
        ("uuid", ["'00000000-0000-0000-0000-00000000000a'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
        ("char(4)", ["'a'", "'ab'", "'a b'"]),
        ("mood", ["'坏'", "'好'"]),
        ("short", ["'a'", "'b'"]),
        ("numeric", ["1.0", "1.10", "2", "'NaN'", "'Infinity'", "12345678901234567890.123456789"]),
        ("date", ["'-infinity'", "'0044-03-15'", "'2026-01-01'", "'infinity'"]),
        ("timestamp", ["'-infinity'", "'2026-01-01'", "'infinity'"]),
        ("inet", ["'10.0.0.1'", "'10.0.0.0/8'"]),
        ("interval", ["'1 day'", "'25 hours'", "'1 month'"]),
        ("int[]", ["'{1}'", "'{1,2}'", "'{2}'"]),
        ("real", ["0.1", "0.2", "1e-30"]),
        ('"char"', ["'a'", "'b'"]),
        ('text COLLATE "zh"', ["'a'", "'B'", "'中'", "'文'", "'c'"]),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_read_goes_on_after_a_key_of_any_native_type(
    empty_db: str, owner: Connection, open_: Any, native: str, values: list[str]
) -> None:
    owner.execute("CREATE TYPE mood AS ENUM ('坏', '好'); CREATE DOMAIN short AS varchar(5)")
    owner.execute("CREATE COLLATION zh (provider = libc, locale = 'C.utf8')")
    owner.execute(f"CREATE TABLE t (id {native} PRIMARY KEY, n int)")
    for i, value in enumerate(values):
        owner.execute(f"INSERT INTO t VALUES ({value}, {i})")
    source = open_(empty_db)
    asked = contract("t", ("id", K.STRING), ("n", K.INTEGER))
    every = [r for b in source.read(asked) for r in b.rows.to_pylist()]
    assert len(every) == len(values)
    for i, row in enumerate(every):
        rest = [r["n"] for b in source.read(asked, after=(row["id"],)) for r in b.rows.to_pylist()]
        assert rest == [r["n"] for r in every[i + 1 :]]


def test_a_key_that_has_no_order_is_refused(empty_db: str, owner: Connection, open_: Any) -> None:
    owner.execute("CREATE TABLE t (id json)")
    with pytest.raises(RejectedError, match="cannot be a key"):
        open_(empty_db).check(contract("t", ("id", K.STRING)))


# Tables ---------------------------------------------------------------------------------------------------------------------


def test_views_schemas_and_partitioned_tables_are_read(empty_db: str, owner: Connection, open_: Any) -> None:
    owner.execute('CREATE SCHEMA "部门"')
    owner.execute('CREATE TABLE "部门"."a.b" (id int PRIMARY KEY)')
    owner.execute('INSERT INTO "部门"."a.b" SELECT generate_series(1, 5)')
    owner.execute('CREATE VIEW v AS SELECT id FROM "部门"."a.b" WHERE id > 2')
    owner.execute("CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    owner.execute("CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (3); CREATE TABLE p2 PARTITION OF p DEFAULT")
    owner.execute("INSERT INTO p SELECT generate_series(1, 5)")
    source = open_(empty_db)
    assert ids(source, contract("部门.a.b", ("id", K.INTEGER))) == [1, 2, 3, 4, 5]
    assert ids(source, contract("v", ("id", K.INTEGER))) == [3, 4, 5]
    assert ids(source, contract("p", ("id", K.INTEGER))) == [1, 2, 3, 4, 5]
    assert source.describe("v").key == ()
    assert source.state(contract("v", ("id", K.INTEGER))).fingerprint is None
    before = source.state(contract("p", ("id", K.INTEGER)))
    owner.execute("UPDATE p SET id = 7 WHERE id = 1")
    assert source.state(contract("p", ("id", K.INTEGER))) != before
    with pytest.raises(RejectedError, match=r"部门\.a\.b"):
        source.describe("a.b")


def test_a_read_writes_nothing(empty_db: str, owner: Connection, open_: Any) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE SEQUENCE s")
    owner.execute("CREATE FUNCTION f() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT nextval(''s'')::int'")
    owner.execute("CREATE VIEW v AS SELECT id, f() AS n FROM t")
    with pytest.raises(RejectedError) as caught:
        ids(open_(empty_db), contract("v", ("id", K.INTEGER), ("n", K.INTEGER)))
    assert "[25006]" in str(caught.value)


def test_a_fingerprint_moves_even_when_versions_take_the_places_of_older_ones(
    empty_db: str, owner: Connection, open_: Any
) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY, n int) WITH (autovacuum_enabled = off); INSERT INTO t VALUES (1, 0)")
    source = open_(empty_db)
    asked = contract("t", ("id", K.INTEGER))
    before = source.state(asked)
    seen = set()
    for i in range(500):
        owner.execute("UPDATE t SET n = %s", (i,))
        if i % 50 == 0:
            owner.execute("VACUUM t")
            seen.add(source.state(asked).fingerprint)
    assert before.fingerprint not in seen


def test_a_row_that_came_before_the_read_and_went_after_it_is_neither_read_nor_called_stable(
    empty_db: str, owner: Connection, open_: Any
) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    source, asked = open_(empty_db), contract("t", ("id", K.INTEGER))
    before = source.state(asked)
    owner.execute("INSERT INTO t VALUES (2)")
    assert ids(source, asked) == [1]
    owner.execute("DELETE FROM t WHERE id = 2")
    assert before.fingerprint is not None
    assert source.state(asked) == before  # the table is as it was read


def test_a_read_whose_snapshot_the_server_ended_reads_what_is_there_and_is_not_called_stable(
    empty_db: str, owner: Connection, open_: Any
) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    source, asked = open_(empty_db), contract("t", ("id", K.INTEGER))
    assert source.state(asked).fingerprint is not None
    owner.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'onedoor' AND state = 'idle in transaction'"
    )
    owner.execute("INSERT INTO t VALUES (2)")
    assert ids(source, asked) == [1, 2]
    assert source.state(asked).fingerprint is None


# What the department sees -----------------------------------------------------------------------------------------------------


def test_a_read_that_goes_on_after_a_persons_number_shows_it_to_no_other_session(
    empty_db: str, owner: Connection, open_: Any
) -> None:
    owner.execute("CREATE TABLE t (id varchar(18) PRIMARY KEY, n int NOT NULL)")
    owner.execute("INSERT INTO t SELECT '4402051990010112' || lpad(i::text, 2, '0'), i FROM generate_series(0, 99) i")
    source, asked = open_(empty_db), contract("t", ("id", K.STRING), ("n", K.INTEGER))
    statements: list[str] = []

    def look() -> None:
        seen = owner.execute("SELECT query FROM pg_stat_activity WHERE application_name = 'onedoor'")
        statements.extend(row[0] for row in seen)

    reading = source.read(asked, after=(MARKER,), batch_rows=10)
    found = [row["id"] for row in next(reading).rows.to_pylist()]
    look()
    found += [row["id"] for batch in reading for row in batch.rows.to_pylist()]
    look()
    assert found == [f"4402051990010112{i}" for i in range(40, 100)]
    assert any("onedoor.after_1" in text for text in statements)
    assert not [text for text in statements if "440205" in text]


def test_every_connection_gives_up_a_server_that_is_silently_gone(empty_db: str, owner: Connection, open_: Any) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)")
    before = set(connected(empty_db))
    source, asked = open_(empty_db), contract("t", ("id", K.INTEGER))
    source.state(asked)
    reading = source.read(asked, batch_rows=10)
    next(reading)
    opened = [options for place, options in connected(empty_db).items() if place not in before]
    assert opened == [(True, 30, 10, 3, 60_000)] * 3  # one to ask, one that holds the snapshot, one that reads
    reading.close()


def connected(url: str) -> dict[Any, tuple[Any, ...]]:
    """Return the socket options of this process' connections to a server, by their own ends."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as seen:
            if seen.family == socket.AF_INET and seen.getpeername()[1] == urlsplit(url).port:
                tcp = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
                alive = bool(seen.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
                found[seen.getsockname()] = (alive, *(seen.getsockopt(socket.IPPROTO_TCP, option) for option in tcp))
    return found


# Refusals -------------------------------------------------------------------------------------------------------------------


def with_parts(url: str, *, user: str | None = None, password: str | None = None, database: str | None = None) -> str:
    parts = urlsplit(url)
    place = f"{user or parts.username}:{quote(password or parts.password or '')}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=place, path=f"/{database}" if database else parts.path))


def test_wrong_passwords_users_databases_and_urls_are_told_apart_without_a_secret(empty_db: str, open_: Any) -> None:
    secret = "pass-w0rd"
    for url, code in (
        (with_parts(empty_db, password=secret), "source.login"),
        (with_parts(empty_db, user="nobody", password=secret), "source.login"),
        (with_parts(empty_db, database="no_such_db"), "source.database_unknown"),
    ):
        with pytest.raises(RejectedError) as caught:
            open_(url).describe("t")
        assert caught.value.code == code
        for text in (secret, urlsplit(empty_db).password or "?", "nobody"):
            assert text not in said(caught.value)
    for url in (f"postgresql://u:{secret}@h:port/db", f"postgresql://u:{secret}@h/db?nonsense={secret}"):
        with pytest.raises(RejectedError) as caught:
            open_(url).describe("t")
        assert caught.value.code == "source.url"
        assert secret not in said(caught.value)


def test_columns_that_the_account_may_not_read_are_named(
    empty_db: str, owner: Connection, superuser_url: str, open_: Any
) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY, number text, name text)")
    reader = account(empty_db, superuser_url, "few", "pg_monitor")
    owner.execute(sql.SQL("GRANT SELECT (id) ON t TO {}").format(sql.Identifier(urlsplit(reader).username or "")))
    with pytest.raises(RejectedError) as caught:
        open_(reader).check(contract("t", ("id", K.INTEGER), ("number", K.STRING), ("name", K.STRING)))
    assert caught.value.code == "source.no_privilege"
    assert "'number'" in str(caught.value)
    assert "'name'" in str(caught.value)
    source = open_(reader)
    assert ids(source, contract("t", ("id", K.INTEGER))) == []
    assert source.state(contract("t", ("id", K.INTEGER))).fingerprint is None


def test_a_value_that_the_server_cannot_give_is_told_without_the_value(empty_db: str, owner: Connection, open_: Any) -> None:
    owner.execute("CREATE TABLE t (id text PRIMARY KEY)")
    owner.execute(f"INSERT INTO t VALUES ('{MARKER}')")
    owner.execute("CREATE VIEW v AS SELECT id, id::numeric::int AS n FROM t")
    source = open_(empty_db)
    with pytest.raises(RejectedError) as caught:
        list(source.read(contract("v", ("id", K.STRING), ("n", K.INTEGER)), after=("1",)))
    assert caught.value.code == "source.value"
    owner.execute("CREATE VIEW w AS SELECT id, (id || 'x')::int AS n FROM t")
    with pytest.raises(RejectedError) as other:
        list(source.read(contract("w", ("id", K.STRING), ("n", K.INTEGER))))
    for error in (caught.value, other.value):
        assert MARKER not in said(error)


def test_a_table_that_is_locked_may_be_tried_later(
    empty_db: str, owner: Connection, department: Connection, open_: Any
) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY)")
    department.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(TransientError) as caught:
        ids(open_(empty_db, lock_timeout_s=0.05), contract("t", ("id", K.INTEGER)))
    assert caught.value.code == "source.locked"


def test_a_read_that_takes_too_long_may_be_tried_later(empty_db: str, owner: Connection, open_: Any) -> None:
    owner.execute("CREATE VIEW v AS SELECT 1 AS id, pg_sleep(60)::text AS s")
    with pytest.raises(TransientError) as caught:
        list(open_(empty_db, read_timeout_s=0.05).read(contract("v", ("id", K.INTEGER), ("s", K.STRING))))
    assert caught.value.code == "source.timeout"


def test_a_source_keeps_no_lock_on_the_table_after_a_read(empty_db: str, owner: Connection, open_: Any) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    source = open_(empty_db)
    asked = contract("t", ("id", K.INTEGER))
    source.state(asked)
    ids(source, asked)
    source.state(asked)
    owner.execute("SET lock_timeout = '5s'; TRUNCATE t")
    assert ids(source, asked) == []
