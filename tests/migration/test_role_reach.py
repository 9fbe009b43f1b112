"""What a role of the API could do with the database's own means to reach beyond its rights, had it a session to itself."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from catalog_registry.store import migrate

AS_OWNER = """
CREATE FUNCTION pg_temp.theirs(pg_catalog.jsonb) RETURNS boolean LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (pg_temp.theirs(VALUE));
"""
"""A type of the name of one that the hub's functions use; to make a value of it calls what the role wrote."""


def session(superuser_url: str, hub_db: str, role: str) -> psycopg.Connection[tuple[object, ...]]:
    """Return a session of a role of the API."""
    connection = psycopg.connect(superuser_url, dbname=hub_db.rsplit("/", 1)[1], autocommit=True)
    connection.execute(f"SET SESSION AUTHORIZATION {role}")  # type: ignore[arg-type]
    return connection


@pytest.fixture
def api(superuser_url: str, hub_db: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """The API's role; the copy of the database that tests work in lets everybody make temporary things."""
    with session(superuser_url, hub_db, "onedoor_api") as connection:
        yield connection


def test_a_type_of_the_sessions_own_does_not_run_as_the_owner(api: psycopg.Connection[tuple[object, ...]]) -> None:
    api.execute(AS_OWNER)  # type: ignore[arg-type]
    with pytest.raises(psycopg.errors.NoDataFound, match="no such grant with a quota"):
        api.execute("SELECT * FROM exchange.lend_quota('g', '2026-11-02', '2026-11-02Z', 1, 1, 0, 0)")


def test_a_table_of_the_sessions_own_does_not_stand_in_for_one_of_the_catalogue(superuser_url: str, hub_db: str) -> None:
    insert = """INSERT INTO registry.grant_ (id, receiver_department, resource, fields, purposes, items, legal_basis, from_at,
      to_at, made_at, made_by, version) VALUES ('g-forged', 'civil', 'licences', '{holder_number}', '{accept_case}', '{}', 'x',
      now(), now() + interval '1 day', now(), 'x', 1)"""
    with psycopg.connect(hub_db) as owner:
        owner.execute("INSERT INTO registry.department (code, name, created_at) VALUES ('civil', '民政局', now())")
        owner.execute(
            "INSERT INTO registry.resource (name, title, department, state, row_version, created_at, changed_at)"
            " VALUES ('licences', 'x', 'civil', 'draft', 1, now(), now())"
        )
    with session(superuser_url, hub_db, "onedoor_registry") as steps:
        steps.execute(
            "CREATE TEMP TABLE pg_class AS SELECT oid, current_user::regrole::oid AS relowner FROM pg_catalog.pg_class"
        )
        steps.execute("GRANT SELECT ON pg_temp.pg_class TO PUBLIC")
        steps.execute(AS_OWNER)  # type: ignore[arg-type]
        with pytest.raises(psycopg.errors.CheckViolation) as refusal:
            steps.execute(insert)
    assert refusal.value.diag.constraint_name == "ck_grant__of_application"


def test_every_function_of_the_hub_searches_what_a_session_makes_last(hub_db: str) -> None:
    with psycopg.connect(hub_db) as owner:
        found = owner.execute(
            "SELECT p.oid::regprocedure::text, p.proconfig FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname IN ('registry', 'exchange', 'trust') ORDER BY 1"
        ).fetchall()
    assert [name for name, _ in found if "lend_quota" in name]
    assert {name: settings for name, settings in found if settings != ["search_path=pg_catalog, pg_temp"]} == {}


@pytest.mark.parametrize("role", ["onedoor_api", "onedoor_registry"])
def test_the_roles_of_the_api_make_no_temporary_tables(superuser_url: str, hub_db: str, role: str) -> None:
    migrate.upgrade(hub_db)  # a copied database has not its rights
    with session(superuser_url, hub_db, role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE TEMP TABLE mine (x int)")
    with psycopg.connect(hub_db) as owner:
        owner.execute("CREATE TEMP TABLE mine (x int)")
        assert owner.execute("SELECT count(*) FROM mine").fetchone() == (0,)
