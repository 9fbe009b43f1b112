"""kill -9 of PostgreSQL in the middle of collecting, landing and closing: all goes on by itself and ends equal."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from catalog_registry.store import migrate
from console.local import postgres as embedded
from console.local.ports import choose
from tests.installation import Installation, installed
from tests.killed import eventually

pytestmark = [pytest.mark.crash, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[embedded.Cluster]:
    """A server of its own with fsync on, as a home has it."""
    folder = Path(tempfile.mkdtemp(prefix="killed-", dir=os.environ["ONEDOOR_TEST_SHARED"]))
    folder.chmod(0o711)
    with embedded.running(folder / "postgres", port=choose(), settings=_SMALL) as made:
        yield made
    shutil.rmtree(folder, ignore_errors=True)


_SMALL = {"shared_buffers": "64MB", "max_wal_size": "256MB"}


def _database(cluster: embedded.Cluster, name: str) -> str:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        connection.execute(f"CREATE DATABASE {name} OWNER {name}")
    with psycopg.connect(cluster.url(name), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
    url = cluster.url(name, user=name, password="secret")
    migrate.upgrade(url)
    return url


def _kill(cluster: embedded.Cluster) -> None:
    pid = embedded.server_pid(cluster.data)
    assert pid is not None
    server = psutil.Process(pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=20)


def _survive(cluster: embedded.Cluster, installation: Installation) -> None:
    hub = installation.hub
    assert hub.rows("SHOW fsync") == [("on",)]
    expected = installation.plain_table("collected")
    with installation.command("collect", "collected", "--no-wait", freeze="collect.in_transaction:3") as collector:
        assert collector.frozen(), collector.words()
        _kill(cluster)
        collector.go_on()
        assert collector.ended() == 1
        assert (
            "database.away" in collector.words() or "went away" in collector.words() or "does not answer" in collector.words()
        )
        embedded.start(cluster, settings=_SMALL)
    with installation.command("worker", freeze="land.in_transaction:2") as worker:
        installation.collect("collected")
        assert worker.frozen(), worker.words()
        _kill(cluster)
        worker.go_on()
        assert eventually(lambda: "worker held up" in worker.words())
        embedded.start(cluster, settings=_SMALL)
        installation.look("collected", expected, "level")
        assert worker.stop() == 0
        assert "worker defect" not in worker.words()
    expected = installation.personal_table("closing")
    with installation.command("worker", freeze="close.in_transaction:1") as worker:
        installation.collect("closing")
        assert worker.frozen(), worker.words()
        _kill(cluster)
        embedded.start(cluster, settings=_SMALL)
        worker.go_on()
        installation.look("closing", expected, "id")
        assert worker.stop() == 0
        assert "worker defect" not in worker.words()


def _installation(
    cluster: embedded.Cluster, source_url: str, folder: Path, name: str, division: str, **more: Any
) -> Iterator[Installation]:
    with installed(folder, _database(cluster, name), source_url, division, more) as made:
        yield made


@pytest.fixture
def on_postgres(cluster: embedded.Cluster, empty_db: str, tmp_path: Path) -> Iterator[Installation]:
    yield from _installation(cluster, empty_db, tmp_path, "hub_a", "440285")


@pytest.fixture
def on_kafka(cluster: embedded.Cluster, empty_db: str, tmp_path: Path, kafka_servers: str) -> Iterator[Installation]:
    yield from _installation(cluster, empty_db, tmp_path, "hub_b", "440286", bus="kafka", kafka=kafka_servers)


def test_a_database_killed_in_the_middle_loses_and_doubles_nothing(
    cluster: embedded.Cluster, on_postgres: Installation
) -> None:
    _survive(cluster, on_postgres)


def test_a_database_killed_in_the_middle_loses_and_doubles_nothing_with_kafka(
    cluster: embedded.Cluster, on_kafka: Installation
) -> None:
    _survive(cluster, on_kafka)
