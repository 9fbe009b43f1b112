"""A hub with resources gets the tables of applications, and its resources go on as they were."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
from alembic import command

from catalog_registry.store import migrate
from tests.migration.test_migrations import engine

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)


def test_resources_of_before_keep_their_state_and_begin_to_count_their_changes(empty_db: str) -> None:
    with engine(empty_db).begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA registry")
        command.upgrade(migrate.config(connection), "0002")
    with psycopg.connect(empty_db) as connection:
        connection.execute("INSERT INTO registry.department (code, name, created_at) VALUES ('d', 'd', %s)", (NOW,))
        for name, state in (("a", "draft"), ("b", "submitted")):
            connection.execute(
                "INSERT INTO registry.resource (name, title, department, state, created_at, changed_at)"
                " VALUES (%s, 't', 'd', %s, %s, %s)",
                (name, state, NOW, NOW),
            )
        connection.execute(
            "INSERT INTO registry.contract_version (resource, version, odcs, hash, status, at, by)"
            " VALUES ('b', '1.0.0', '', '', 'draft', %s, 'd')",
            (NOW,),
        )
        connection.execute("UPDATE registry.resource SET version = '1.0.0' WHERE name = 'b'")
    assert migrate.upgrade(empty_db) == migrate.head()
    with psycopg.connect(empty_db) as connection:
        kept = connection.execute("SELECT name, state, row_version FROM registry.resource ORDER BY name").fetchall()
        assert kept == [("a", "draft", 1), ("b", "submitted", 1)]
        for table in ("application", "application_history", "resource_history"):
            assert connection.execute(f"SELECT count(*) FROM registry.{table}").fetchall() == [(0,)]
