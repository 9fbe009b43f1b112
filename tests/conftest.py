"""Fixtures that every test may use: a real PostgreSQL, a hub's database, settings, a clock, a broker."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
from argon2 import PasswordHasher
from psycopg import sql

from catalog_registry import credential
from console.local import postgres as embedded
from console.local.ports import choose
from exchange.settings import Settings
from exchange.trust.keyfiles import create_keys
from schemas.clock import FakeClock

NOT_RUN = "not run here: "
_SHARED = "ONEDOOR_TEST_SHARED"
_OWNER = "hub_owner"
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "128MB"}


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that all processes of this run share; the one that made it removes it."""
    if _SHARED not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="onedoor-tests-"))
        folder.chmod(0o711)
        os.environ[_SHARED] = str(folder)
        config.stash[_MADE] = folder


_MADE: pytest.StashKey[Path] = pytest.StashKey()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what this run started, after the last worker."""
    folder = config.stash.get(_MADE, None)
    if folder is None:
        return
    os.environ.pop(_SHARED, None)
    embedded.stop(folder / "postgres")
    if (folder / "kafka.json").exists():
        from console.local import kafka

        kafka.stop(folder / "kafka")
    shutil.rmtree(folder, ignore_errors=True)


LONG = (
    "test_dags",
    "test_crash_kafka",
    "test_crash_postgres",
    "test_main_job",
    "test_no_leaks",
    "test_local",
    "test_database_killed",
    "test_frozen_worker",
    "test_records_query",
    "test_lookup",
    "test_own_table",
    "test_broker_away",
)
"""Modules that take long, the longest first: begun last, they would keep one process busy while the other has nothing to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take long."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the tests whose service was not there."""
    missing = [
        r for r in terminalreporter.stats.get("skipped", []) if isinstance(r.longrepr, tuple) and NOT_RUN in r.longrepr[2]
    ]
    reasons = sorted({r.longrepr[2].split(NOT_RUN, 1)[1] for r in missing})
    terminalreporter.write_line(f"not run here: {len(missing)} tests" + (f" ({'; '.join(reasons)})" if missing else ""))


def missing(name: str, reason: str) -> NoReturn:
    """Skip the test loudly, or fail it where ``ONEDOOR_REQUIRE`` names the service."""
    if name in os.environ.get("ONEDOOR_REQUIRE", "").split(","):
        pytest.fail(f"{name} is required here (ONEDOOR_REQUIRE) and missing: {reason}", pytrace=False)
    pytest.skip(f"{NOT_RUN}{name}: {reason}")


def require(name: str) -> None:
    """Go on where a service is there, else skip or fail by ``ONEDOOR_REQUIRE``.

    Args:
        name: ``kafka`` (Java and Maven, or ``ONEDOOR_KAFKA``), ``airflow``, or a program or module of that name.
    """
    if name == "kafka":
        if not os.environ.get("ONEDOOR_KAFKA") and not (shutil.which("java") and shutil.which("mvn")):
            missing(name, "needs Java 17 and Maven, or a broker by ONEDOOR_KAFKA")
    elif find_spec(name) is None and shutil.which(name) is None:
        missing(name, "not installed")


@contextmanager
def _once(name: str) -> Iterator[Path]:
    """Hold a lock that all processes of this run share and give the file that says what was made."""
    folder = Path(os.environ[_SHARED])
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / f"{name}.json"


@pytest.fixture(scope="session", autouse=True)
def _cheap_secrets() -> Iterator[None]:
    """Hash the secrets of this process's clients at the least cost; ``test_registry_rules`` holds what it really is."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(credential, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session")
def pg_cluster() -> embedded.Cluster:
    """An embedded PostgreSQL 18, one for all workers; fsync is off, a test that kills a server makes its own."""
    with _once("postgres") as state:
        known: dict[str, int | str] = (
            json.loads(state.read_text()) if state.exists() else {"port": choose(), "password": embedded.new_password()}
        )
        cluster = embedded.Cluster(state.parent / "postgres", int(known["port"]), str(known["password"]))
        embedded.create(cluster.data, password=cluster.password)
        embedded.start(cluster, settings=_FAST)
        state.write_text(json.dumps(known))
    return cluster


@pytest.fixture(scope="session")
def superuser_url(pg_cluster: embedded.Cluster) -> str:
    """The superuser's URL of the shared server."""
    return pg_cluster.url()


def _make_database(cluster: embedded.Cluster) -> tuple[str, str]:
    """Make a database with an owner of its own; return its name and the owner's URL."""
    name = f"t_{secrets.token_hex(6)}"
    password = embedded.new_password()
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password)))
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(sql.Identifier(name), sql.Identifier(name))
        )
    return name, cluster.url(name, user=name, password=password)


def _role_exists(connection: psycopg.Connection[tuple[object, ...]], name: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is not None


def _drop_database(cluster: embedded.Cluster, name: str, *, role: bool = True) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        if role:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


@pytest.fixture
def empty_db(pg_cluster: embedded.Cluster) -> Iterator[str]:
    """The owner's URL of a fresh database with pg_trgm and nothing else."""
    name, url = _make_database(pg_cluster)
    with psycopg.connect(pg_cluster.url(name), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
    yield url
    _drop_database(pg_cluster, name)


@pytest.fixture(scope="session")
def _hub_template(pg_cluster: embedded.Cluster) -> tuple[str, str]:
    """The name of a migrated database that others are copied from, and its owner's password."""
    from catalog_registry.store import migrate

    with _once("hub") as state:
        if not state.exists():
            password = embedded.new_password()
            with psycopg.connect(pg_cluster.url(), autocommit=True) as connection:
                for role in ("onedoor_api", "onedoor_registry"):
                    if not _role_exists(connection, role):
                        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(_OWNER), sql.Literal(password))
                )
                connection.execute(
                    sql.SQL("CREATE DATABASE hub_template OWNER {} TEMPLATE template0").format(sql.Identifier(_OWNER))
                )
            with psycopg.connect(pg_cluster.url("hub_template"), autocommit=True) as connection:
                connection.execute("CREATE EXTENSION pg_trgm")
            migrate.upgrade(pg_cluster.url("hub_template", user=_OWNER, password=password))
            state.write_text(json.dumps({"password": password}))
        return "hub_template", json.loads(state.read_text())["password"]


@contextmanager
def _hub_database(pg_cluster: embedded.Cluster, hub_template: tuple[str, str]) -> Iterator[str]:
    template, password = hub_template
    name = f"t_{secrets.token_hex(6)}"
    with _once("hub"), psycopg.connect(pg_cluster.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(_OWNER), sql.Identifier(template)
            )
        )
    yield pg_cluster.url(name, user=_OWNER, password=password)
    _drop_database(pg_cluster, name, role=False)


@pytest.fixture
def hub_db(pg_cluster: embedded.Cluster, _hub_template: tuple[str, str]) -> Iterator[str]:
    """The owner's URL of a fresh, migrated hub database."""
    with _hub_database(pg_cluster, _hub_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_hub_db(pg_cluster: embedded.Cluster, _hub_template: tuple[str, str]) -> Iterator[str]:
    """The same, one for all tests of a module."""
    with _hub_database(pg_cluster, _hub_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_source_db(pg_cluster: embedded.Cluster) -> Iterator[str]:
    """The owner's URL of an empty database of a department, one for all tests of a module."""
    name, url = _make_database(pg_cluster)
    yield url
    _drop_database(pg_cluster, name)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at 2026-11-02 09:00 in China until told."""
    return FakeClock(datetime(2026, 11, 2, 1, tzinfo=UTC))


@pytest.fixture
def settings(hub_db: str, tmp_path: Path) -> Settings:
    """Settings of a home of its own on a fresh hub database, with keys."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    made = Settings(home=home, database_url=hub_db, api_database_url=hub_db)
    create_keys(made.keys_dir)
    return made


@pytest.fixture(scope="session")
def kafka_servers() -> str:
    """Bootstrap servers of a real broker, one for all workers."""
    require("kafka")
    if named := os.environ.get("ONEDOOR_KAFKA"):
        return named
    from console.local import kafka
    from schemas.errors import OneDoorError

    with _once("kafka") as state:
        if state.exists():
            return str(json.loads(state.read_text())["servers"])
        try:
            servers = kafka.start(state.parent / "kafka")
        except OneDoorError as error:
            missing("kafka", str(error))
        state.write_text(json.dumps({"servers": servers}))
        return servers
