"""Data keys on a real PostgreSQL: concurrent makers agree, and what was altered does not open."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exchange.trust.keyring import KeyRing, create_keys
from schemas.errors import DefectError, TransientError

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)


@pytest.fixture
def connect(hub_db: str) -> Callable[[], psycopg.Connection[Any]]:
    return lambda: psycopg.connect(hub_db)


@pytest.fixture
def keys_dir(tmp_path: Path) -> Path:
    create_keys(tmp_path / "keys")
    return tmp_path / "keys"


def test_concurrent_makers_agree_on_one_key(connect: Callable[[], psycopg.Connection[Any]], keys_dir: Path) -> None:
    rings = [KeyRing.open(keys_dir, connect) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda ring: ring.data_key("licences", NOW), rings))
    assert {key.secret.reveal() for key in made} == {made[0].secret.reveal()}
    with connect() as connection:
        row = connection.execute("SELECT count(*), min(wrapped) FROM trust.data_key").fetchone()
    assert row is not None
    assert row[0] == 1
    assert made[0].secret.reveal() not in row[1]


def test_an_altered_wrapped_key_is_found_and_its_place_named(
    connect: Callable[[], psycopg.Connection[Any]], keys_dir: Path
) -> None:
    key = KeyRing.open(keys_dir, connect).data_key("licences", NOW)
    with connect() as connection:
        connection.execute("UPDATE trust.data_key SET wrapped = set_byte(wrapped, 20, 255 - get_byte(wrapped, 20))")
    with pytest.raises(DefectError) as caught:
        KeyRing.open(keys_dir, connect).data_key_by_id(key.id)
    assert (caught.value.code, caught.value.where) == ("keys.altered", f"trust.data_key {key.id}")


def test_other_key_files_than_the_database_s_are_refused(
    connect: Callable[[], psycopg.Connection[Any]], keys_dir: Path, tmp_path: Path
) -> None:
    KeyRing.open(keys_dir, connect).data_key("licences", NOW)
    create_keys(tmp_path / "other")
    with pytest.raises(DefectError) as caught:
        KeyRing.open(tmp_path / "other", connect).data_key("cases", NOW)
    assert caught.value.code == "keys.foreign"


def test_a_database_away_is_transient_and_cached_keys_still_work(hub_db: str, keys_dir: Path) -> None:
    where = {"url": hub_db}
    ring = KeyRing.open(keys_dir, lambda: psycopg.connect(where["url"], connect_timeout=2))
    key = ring.data_key("licences", NOW)
    where["url"] = "postgresql://nobody@127.0.0.1:1/none"
    assert ring.data_key("licences", NOW) is key
    with pytest.raises(TransientError) as caught:
        ring.data_key("cases", NOW)
    assert caught.value.code == "keys.database_away"
