"""What is missing or wrong on this machine and in this home, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psycopg

from console.local import airflow, databases, installation, kafka, ports, postgres
from console.local.home import MIN_FREE_BYTES, Home, find_home, home_path
from exchange.settings import CONFIG_NAME, STATE_NAME, Settings, load_settings
from schemas.errors import OneDoorError


class State(StrEnum):
    """How a finding counts."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, what to do."""

    what: str
    state: State
    fact: str
    remedy: str | None = None


def examine(path: Path | None = None) -> list[Finding]:
    """Look at everything and return what was found, in the order in which things depend on each other."""
    folder = home_path(path)
    found = [_python(), _programs(), _java(), _airflow(), *_folder(folder)]
    settings, finding = _settings(folder)
    found.append(finding)
    if settings is None or not (folder / STATE_NAME).exists():
        if settings is not None and settings.database_url:
            found.extend(_database(settings))
        return found
    try:
        home = find_home(path)
    except OneDoorError as error:
        return [*found, Finding("state of the home", State.WRONG, error.message, error.remedy)]
    found += [*_permissions(home, settings), *_data(home), *_ports(home, settings)]
    if home.locked():
        found += [*_database(settings), *_bus(home, settings), *_processes(path)]
    else:
        found.append(Finding("hub", State.NOTE, "does not run", "onedoor up"))
    return found


def _python() -> Finding:
    return Finding("Python", State.OK, platform.python_version())


def _programs() -> Finding:
    try:
        folder = postgres.programs()
        account = postgres.run_as()
    except OneDoorError as error:
        return Finding("PostgreSQL", State.WRONG, error.message, error.remedy)
    how = f"embedded, run as {account}" if account else "embedded"
    if account and postgres.OUTSIDE in folder.parents:
        how += f"; its programs are a copy in {folder}, as that account cannot reach this folder"
    return Finding("PostgreSQL", State.OK, how)


def _java() -> Finding:
    lack = kafka.lacking()
    if lack is not None:
        return Finding("Kafka", State.NOTE, lack, "only for the Kafka bus: install Java 17 and Maven, or set ONEDOOR_KAFKA")
    where = f"jars in {kafka.jars()}" if kafka.jars() else "Maven fetches it at the first start"
    return Finding("Kafka", State.OK, f"Java {kafka.java_version()}; {where}")


def _airflow() -> Finding:
    if not airflow.installed():
        return Finding("Airflow", State.WRONG, "not installed", "make install")
    from importlib.metadata import version

    return Finding("Airflow", State.OK, version("apache-airflow-core"))


def _folder(folder: Path) -> Iterator[Finding]:
    there = folder
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding("data folder", State.WRONG, f"{there} cannot be written", "make it writable, or set ONEDOOR_HOME")
    else:
        yield Finding("data folder", State.OK, str(folder) + ("" if folder.exists() else " (not made yet)"))
    free = shutil.disk_usage(there).free
    if free < MIN_FREE_BYTES:
        yield Finding("disk", State.WRONG, f"{free >> 20} MiB free", "make room, or set ONEDOOR_HOME to another disk")
    else:
        yield Finding("disk", State.OK, f"{free >> 30} GiB free")


def _settings(folder: Path) -> tuple[Settings | None, Finding]:
    try:
        settings = load_settings(folder)
    except OneDoorError as error:
        return None, Finding("settings", State.WRONG, f"{error.message} (at {error.where})", error.remedy)
    config = folder / CONFIG_NAME
    return settings, Finding("settings", State.OK, str(config) if config.exists() else f"defaults (no {CONFIG_NAME})")


def _permissions(home: Home, settings: Settings) -> Iterator[Finding]:
    for path, most in ((home.path / STATE_NAME, 0o600), (settings.keys_dir, 0o700)):
        if path.exists() and path.stat().st_mode & 0o777 & ~most:
            mode = path.stat().st_mode & 0o777
            yield Finding("permissions", State.WRONG, f"{path} is open to others ({mode:o})", f"chmod {most:o} {path}")
    if not settings.keys_dir.exists():
        yield Finding("keys", State.WRONG, f"no keys in {settings.keys_dir}", "restore them from a backup, or start anew")
        return
    open_files = [f for f in settings.keys_dir.iterdir() if f.stat().st_mode & 0o077]
    if open_files:
        yield Finding("keys", State.WRONG, f"{open_files[0]} is open to others", f"chmod 600 {settings.keys_dir}/*")
    else:
        yield Finding("keys", State.OK, f"{settings.keys_dir}, only for their owner")


def _data(home: Home) -> Iterator[Finding]:
    if home.path not in home.postgres_data.parents:
        why = "the account of PostgreSQL cannot reach the home"
        yield Finding("data of PostgreSQL", State.NOTE, f"in {home.postgres_data}, as {why}", "back it up with the home")
    if (home.postgres_data / "postmaster.pid").exists() and postgres.server_pid(home.postgres_data) is None:
        yield Finding("data of PostgreSQL", State.NOTE, "it was not stopped cleanly", "nothing: the next start recovers")


def _ports(home: Home, settings: Settings) -> Iterator[Finding]:
    running = home.locked()
    for name in ("postgres", "api", "airflow"):
        port = int(getattr(settings, f"{name}_port"))
        if not port or running:
            continue
        if ports.is_free(port):
            yield Finding(f"port of {name}", State.OK, f"{port} is free")
        elif home.named(f"{name}_port"):
            yield Finding(f"port of {name}", State.WRONG, f"{port} is taken", f"set {name}_port to another port, or to 0")
        else:
            yield Finding(f"port of {name}", State.NOTE, f"{port} is taken", "nothing: the next start chooses another")


def _database(settings: Settings) -> Iterator[Finding]:
    url = settings.database_url
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            version = connection.info.server_version
            schema = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'exchange'").fetchone()
        fine = databases.trigrams_work(url)
    except psycopg.errors.UndefinedFunction:
        yield Finding("database", State.WRONG, "pg_trgm is not there", "CREATE EXTENSION pg_trgm in the hub's database")
        return
    except psycopg.Error as error:
        reason = type(error).__name__
        yield Finding("database", State.WRONG, f"cannot be reached ({reason})", "onedoor status; logs/postgres.log")
        return
    if version < 150000:
        yield Finding("database", State.WRONG, f"PostgreSQL {version // 10000}", "use PostgreSQL 15 or later")
    elif schema is None:
        yield Finding("database", State.WRONG, "the hub's tables are not there", "onedoor up makes them")
    else:
        yield Finding("database", State.OK, f"PostgreSQL {version // 10000} answers")
    if fine:
        yield Finding("search in Chinese", State.OK, "trigrams see Chinese")
    else:
        yield Finding(
            "search in Chinese", State.WRONG, "trigrams see no Chinese", "make the database with LOCALE 'C.utf8' of libc"
        )


def _bus(home: Home, settings: Settings) -> Iterator[Finding]:
    if settings.bus == "kafka":
        if kafka.answers(settings.kafka):
            yield Finding("bus", State.OK, f"Kafka answers at {settings.kafka}")
        else:
            yield Finding("bus", State.WRONG, f"no Kafka answers at {settings.kafka}", "onedoor status; logs/kafka.log")
    else:
        yield Finding("bus", State.OK, "in the hub's database")


def _processes(path: Path | None) -> Iterator[Finding]:
    for one in installation.status(path)["processes"]:
        if not one["running"]:
            yield Finding(one["name"], State.WRONG, "does not run", f"logs/{one['name']}.log")
        elif one["answers"] is False:
            yield Finding(one["name"], State.WRONG, "runs and does not answer", f"logs/{one['name']}.log")
        else:
            yield Finding(one["name"], State.OK, "runs")
