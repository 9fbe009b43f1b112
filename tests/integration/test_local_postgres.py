"""The embedded PostgreSQL keeps its promises."""

from __future__ import annotations

import psycopg

from schemas.clock import FakeClock


def test_trigrams_see_chinese(empty_db: str) -> None:
    with psycopg.connect(empty_db) as connection:
        row = connection.execute("SELECT show_trgm('医保') <> '{}'").fetchone()
    assert row == (True,)


def test_a_hub_database_is_owned_by_a_plain_role(empty_db: str, clock: FakeClock) -> None:
    with psycopg.connect(empty_db) as connection:
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (False,)
