"""The migrations make what the models say, once, whoever starts them, and the database keeps the rules that it was given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import NullPool, create_engine

import catalog_registry.registry  # noqa: F401 - the tables of all its parts
from catalog_registry.store import migrate
from catalog_registry.store.tables import ADMINISTRATORS, SCHEMA, Base
from console.local.ports import choose
from schemas.errors import DefectError, RejectedError, TransientError

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)

_SHAPE = """
    SELECT 'column', c.relname, concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'registry'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    AND c.relname <> 'alembic_version'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname || ' ' || pg_get_constraintdef(oid)
    FROM pg_constraint
    WHERE connamespace = 'registry'::regnamespace AND contype <> 't' AND conrelid::regclass::text NOT LIKE '%alembic%'
    UNION ALL
    SELECT 'index', tablename, indexdef FROM pg_indexes WHERE schemaname = 'registry' AND tablename <> 'alembic_version'
    ORDER BY 1, 2, 3
"""


def shape(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(_SHAPE).fetchall()


def engine(url: str) -> Any:
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)


@pytest.fixture
def second_db(pg_cluster: Any, empty_db: str, superuser_url: str) -> Iterator[str]:
    """A second empty database of the same owner."""
    known = conninfo_to_dict(empty_db)
    name = sql.Identifier(f"{known['dbname']}_2")
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(name, sql.Identifier(str(known["user"])))
        )
    yield pg_cluster.url(f"{known['dbname']}_2", user=known["user"], password=known["password"])
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_an_empty_database_is_brought_to_the_head_and_a_second_time_changes_nothing(empty_db: str) -> None:
    assert migrate.current(empty_db) is None
    assert migrate.upgrade(empty_db) == migrate.head()
    made = shape(empty_db)
    assert migrate.upgrade(empty_db) == migrate.current(empty_db) == migrate.head()
    assert shape(empty_db) == made
    with psycopg.connect(empty_db) as connection:
        assert connection.execute("SELECT value FROM registry.version").fetchall() == [(0,)]


def test_the_migrated_database_is_what_the_models_say(empty_db: str, second_db: str) -> None:
    migrate.upgrade(empty_db)
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, parents: name == SCHEMA if kind == "schema" else True,
        "version_table_schema": SCHEMA,
        "compare_type": True,
    }
    with engine(empty_db).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []
    with engine(second_db).begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
        Base.metadata.create_all(connection)
    assert shape(empty_db) == shape(second_db)


def test_three_processes_that_start_it_together_make_one_database(empty_db: str) -> None:
    program = "import sys; from catalog_registry.store.migrate import upgrade; print(upgrade(sys.stdin.read()))"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(empty_db)
        process.stdin.close()
        process.stdin = None
    said = [process.communicate(timeout=60) for process in started]
    assert [(out.strip(), process.returncode) for (out, _), process in zip(said, started, strict=True)] == [
        (migrate.head(), 0)
    ] * 3
    with psycopg.connect(empty_db) as connection:
        assert connection.execute("SELECT count(*) FROM registry.alembic_version").fetchall() == [(1,)]


def test_a_migration_that_fails_leaves_nothing_of_itself(empty_db: str) -> None:
    with psycopg.connect(empty_db) as connection:
        connection.execute("CREATE SCHEMA trust")
        connection.execute("CREATE TABLE trust.ledger (n int)")
    with pytest.raises(DefectError) as defect:
        migrate.upgrade(empty_db)
    assert defect.value.code == "store.migration"
    assert migrate.current(empty_db) is None
    with psycopg.connect(empty_db) as connection:
        schemas = {row[0] for row in connection.execute("SELECT nspname FROM pg_namespace")}
    assert not schemas & {"registry", "bus", "exchange", "store"}


def test_a_database_of_a_newer_release_is_refused(hub_db: str) -> None:
    with psycopg.connect(hub_db) as connection:
        connection.execute("UPDATE registry.alembic_version SET version_num = '9999'")
    with pytest.raises(DefectError) as defect:
        migrate.upgrade(hub_db)
    assert defect.value.code == "store.newer"


def test_a_role_that_may_not_make_schemas_is_told_so(empty_db: str, superuser_url: str, pg_cluster: Any) -> None:
    name = str(conninfo_to_dict(empty_db)["dbname"])
    guest = sql.Identifier(f"{name}_guest")
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'guest'").format(guest))
    try:
        with pytest.raises(RejectedError) as refusal:
            migrate.upgrade(pg_cluster.url(name, user=f"{name}_guest", password="guest"))
        assert refusal.value.code == "store.privilege"
    finally:
        with psycopg.connect(superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP ROLE {}").format(guest))


def test_a_database_that_is_away_is_a_transient_error_without_the_password() -> None:
    url = f"postgresql://hub:planted@127.0.0.1:{choose()}/hub"
    for act in (migrate.upgrade, migrate.current):
        with pytest.raises(TransientError) as away:
            act(url)
        assert "planted" not in f"{away.value} {away.value.__cause__}"


def test_no_column_asks_the_clock_of_the_database(hub_db: str) -> None:
    with psycopg.connect(hub_db) as connection:
        defaults = connection.execute("SELECT adrelid::regclass::text, pg_get_expr(adbin, adrelid) FROM pg_attrdef").fetchall()
    asking = [
        row for row in defaults if any(word in row[1].lower() for word in ("now()", "current_", "clock_timestamp", "localtime"))
    ]
    assert asking == []


# The three administrators


def insert_principal(connection: psycopg.Connection[Any], roles: list[str], *, kind: str = "person") -> None:
    connection.execute(
        "INSERT INTO registry.department (code, name, created_at) VALUES ('d', 'd', %s) ON CONFLICT DO NOTHING", (NOW,)
    )
    connection.execute(
        "INSERT INTO registry.principal (id, kind, name, department, roles, client_id, epoch, created_at)"
        " VALUES ('p', %s, 'p', 'd', %s, %s, 0, %s)",
        (kind, roles, "c" if kind == "machine" else None, NOW),
    )


@pytest.mark.parametrize("pair", [[a, b] for a in ADMINISTRATORS for b in ADMINISTRATORS if a < b])
def test_the_database_refuses_one_principal_to_be_two_of_the_three_administrators(hub_db: str, pair: list[str]) -> None:
    with psycopg.connect(hub_db) as connection:
        with pytest.raises(psycopg.errors.CheckViolation) as refusal, connection.transaction():
            insert_principal(connection, pair)
        assert refusal.value.diag.constraint_name == "ck_principal_one_administrator"
        insert_principal(connection, pair[:1])
        with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
            connection.execute("UPDATE registry.principal SET roles = roles || %s::text[]", (pair[1:],))
        assert connection.execute("SELECT roles FROM registry.principal").fetchall() == [(pair[:1],)]


def test_the_database_refuses_a_machine_as_administrator_and_an_unknown_role(hub_db: str) -> None:
    with psycopg.connect(hub_db) as connection:
        with pytest.raises(psycopg.errors.CheckViolation) as refusal, connection.transaction():
            insert_principal(connection, ["audit_administrator"], kind="machine")
        assert refusal.value.diag.constraint_name == "ck_principal_administrator_is_a_person"
        with pytest.raises(psycopg.errors.CheckViolation) as refusal, connection.transaction():
            insert_principal(connection, ["god"])
        assert refusal.value.diag.constraint_name == "ck_principal_roles_known"


# The ledger


def fill_ledger(connection: psycopg.Connection[Any]) -> None:
    connection.execute("INSERT INTO trust.ledger VALUES ('c', 1, %s, 'k', '{}', '\\x00')", (NOW,))
    connection.execute("INSERT INTO trust.checkpoint VALUES (1, %s, '{}', '\\x00', '\\x00', 'k')", (NOW,))


@pytest.mark.parametrize("who", ["owner", "superuser", "superuser as a replica"])
def test_the_ledger_and_its_checkpoints_refuse_every_change_to_everybody(hub_db: str, superuser_url: str, who: str) -> None:
    with psycopg.connect(hub_db) as connection:
        fill_ledger(connection)
    target = hub_db if who == "owner" else superuser_url
    with psycopg.connect(target, dbname=str(conninfo_to_dict(hub_db)["dbname"]), autocommit=True) as connection:
        if who.endswith("replica"):
            connection.execute("SET session_replication_role = replica")
        for table in ("ledger", "checkpoint"):
            for change in ("UPDATE trust.{} SET at = at", "DELETE FROM trust.{}", "TRUNCATE trust.{}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                    connection.execute(sql.SQL(change).format(sql.Identifier(table)))
            assert connection.execute(sql.SQL("SELECT count(*) FROM trust.{}").format(sql.Identifier(table))).fetchall() == [
                (1,)
            ]


# The API's role


@pytest.fixture
def as_api(hub_db: str, superuser_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the hub's database with the rights of the API's role."""
    with psycopg.connect(superuser_url, dbname=str(conninfo_to_dict(hub_db)["dbname"]), autocommit=True) as connection:
        connection.execute("SET SESSION AUTHORIZATION onedoor_api")
        yield connection


def test_the_role_of_the_api_appends_to_the_ledger_and_reads_it(as_api: psycopg.Connection[Any]) -> None:
    as_api.execute("INSERT INTO trust.ledger VALUES ('c', 1, %s, 'k', '{}', '\\x00')", (NOW,))
    assert as_api.execute("SELECT chain, n FROM trust.ledger").fetchall() == [("c", 1)]


FORBIDDEN = (
    "UPDATE trust.ledger SET at = at",
    "DELETE FROM trust.ledger",
    "TRUNCATE trust.ledger",
    "ALTER TABLE trust.ledger DISABLE TRIGGER ALL",
    "INSERT INTO trust.checkpoint VALUES (1, '2026-11-02Z', '{}', '\\x00', '\\x00', 'k')",
    "INSERT INTO trust.data_key VALUES ('k', 'r', '\\x00', 'k', '2026-11-02Z')",
    "UPDATE registry.version SET value = 1",
    "UPDATE registry.principal SET roles = '{operator}'",
    "DELETE FROM registry.grant_",
    "INSERT INTO registry.outbox (id, at, topic, key, type, payload) VALUES ('e', '2026-11-02Z', 't', 'k', 't', '{}')",
    "SELECT * FROM bus.message",
    "SELECT * FROM exchange.quarantine",
    "CREATE TABLE store.x (n int)",
    "CREATE SCHEMA x",
)


def test_the_role_of_the_api_may_do_nothing_else(as_api: psycopg.Connection[Any]) -> None:
    for statement in FORBIDDEN:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_api.execute(statement)


def test_the_role_of_the_api_reads_a_table_once_it_is_served_and_not_while_it_is_filled(
    hub_db: str, as_api: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(hub_db, autocommit=True) as owner:
        owner.execute("CREATE TABLE stage.staff_shadow (id bigint PRIMARY KEY)")
        owner.execute("INSERT INTO stage.staff_shadow VALUES (7)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_api.execute("SELECT * FROM stage.staff_shadow")
        owner.execute("ALTER TABLE stage.staff_shadow SET SCHEMA store")
        assert as_api.execute("SELECT id FROM store.staff_shadow").fetchall() == [(7,)]
        owner.execute("CREATE TABLE store.made_here (id bigint)")
        assert as_api.execute("SELECT count(*) FROM store.made_here").fetchall() == [(0,)]


def test_the_role_of_the_api_reads_what_it_decides_by(as_api: psycopg.Connection[Any]) -> None:
    for table in (
        "registry.grant_",
        "registry.principal",
        "registry.item_licence_type",
        "registry.version",
        "exchange.run",
        "trust.data_key",
    ):
        as_api.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table.split(".")))).fetchall()
