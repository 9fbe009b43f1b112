"""A hub with machine clients keeps their secrets good when these move to a table of their own, and what ended stays ended."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from alembic import command

from catalog_registry.credential import hashed, new_secret
from catalog_registry.registry import Registry
from catalog_registry.store import migrate
from schemas.clock import FakeClock
from tests.migration.test_migrations import engine

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)


def test_a_secret_of_before_is_good_after_and_a_person_has_none(empty_db: str) -> None:
    secret = new_secret()
    with engine(empty_db).begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA registry")
        command.upgrade(migrate.config(connection), "0011")
    with psycopg.connect(empty_db) as connection:
        connection.execute("INSERT INTO registry.department (code, name, created_at) VALUES ('d', 'd', %s)", (NOW,))
        for name, kind, client, kept in (("m", "machine", "c", hashed(secret)), ("p", "person", None, None)):
            connection.execute(
                "INSERT INTO registry.principal (id, kind, name, department, roles, client_id, secret_hash, epoch, created_at)"
                " VALUES (%s, %s, %s, 'd', '{}', %s, %s, 3, %s)",
                (name, kind, name, client, kept, NOW),
            )
    assert migrate.upgrade(empty_db) == migrate.head()
    registry = Registry(empty_db, FakeClock(NOW))
    try:
        found = registry.check_secret("c", secret)
        assert (found.id, found.epoch, found.version, found.ranges) == ("m", 3, 1, ())
        assert registry.department("d").version == 1
        assert [(s.n, s.made_at, s.ends_at) for s in registry.secrets("m")] == [(1, NOW, None)]
        assert registry.secrets("p") == []
    finally:
        registry.close()


def test_a_revocation_is_final_also_for_the_owner(hub_db: str) -> None:
    registry = Registry(hub_db, FakeClock(NOW))
    registry.ensure_department("d", "d")
    made, _ = registry.create_machine("m", "d")
    registry.revoke_principal("m")
    registry.close()
    with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege, match="final"):
        connection.execute("UPDATE registry.principal SET revoked_at = NULL WHERE id = %s", (made.id,))
