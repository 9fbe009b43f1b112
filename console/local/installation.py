"""What ``onedoor up`` runs: an installation's processes on this machine, from the data folder alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from console.local import airflow, databases, kafka, ports, postgres
from console.local.home import Home, find_home, open_home
from console.local.processes import end
from console.local.supervisor import Child, Supervisor, end_recorded, read_pid
from exchange.settings import Settings
from schemas.errors import Fault, RejectedError

API_APP = "exchange.api.app:served"
READY_NAME = "ready.json"


def api_command(port: int) -> list[str]:
    """Return the command line of the API."""
    how = ["--host", ports.LOOPBACK, "--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    how += ["--no-proxy-headers", "--no-server-header", "--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", API_APP, "--factory", *how]


def worker_command() -> list[str]:
    """Return the command line of the worker."""
    return [sys.executable, "-m", "console.cli.main", "worker"]


@dataclass
class Installation:
    """A running installation: what was started, where it answers, and what was generated at its first start."""

    home: Home
    settings: Settings
    supervisor: Supervisor
    with_airflow: bool
    new: bool
    addresses: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    """Passwords made by this start, to be printed once."""


@contextmanager
def running(
    path: Path | None = None,
    *,
    bus: str | None = None,
    with_airflow: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Installation]:
    """Run an installation for the length of a block: everything is ready inside it and stopped after it, whatever happens.

    Args:
        path: the data folder; default ``ONEDOOR_HOME``, else ``.onedoor``.
        bus: ``postgres`` or ``kafka``; fixed at the first start.
        with_airflow: start Airflow too.
        say: told what goes on.

    Raises:
        RejectedError: settings are wrong, a port is taken, the folder cannot be written, a process ended at its start …
        TransientError: a process is not ready in time.
    """
    home = open_home(path)
    os.environ["ONEDOOR_HOME"] = str(home.path)
    settings = home.load()  # a broken onedoor.toml is told before anything starts
    with home.lock():
        kind = home.fix_bus(bus)
        supervisor = Supervisor(home.run_dir, home.logs_dir, say)
        made = Installation(home, settings, supervisor, with_airflow and airflow.installed(), home.new)
        try:
            _start(made, kind, say)
            supervisor.watch()
            with airflow.pools_kept(home, say) if made.with_airflow else contextlib.nullcontext():
                yield made
        finally:
            with _undisturbed():
                say("stopping")
                (home.run_dir / READY_NAME).unlink(missing_ok=True)
                supervisor.stop()


def _start(made: Installation, kind: str, say: Callable[[str], None]) -> None:
    home, supervisor = made.home, made.supervisor
    external = home.named("database_url")
    _choose_ports(made)
    if made.new and made.with_airflow:
        made.passwords["Airflow, user admin"] = home.secret("airflow_admin_password")
    if not external or made.with_airflow:
        say("PostgreSQL")
        _start_postgres(made)
    if not external:
        home.settings["database_url"] = home.role_url(databases.OWNER)
        home.settings["api_database_url"] = home.role_url(databases.API, "onedoor")
        home.settings["registry_database_url"] = home.role_url(databases.REGISTRY, "onedoor")
    home.save()
    migration = None
    if made.with_airflow:
        airflow.configure(home, port=int(home.settings["airflow_port"]))
        migration = airflow.begin_migration(home)
        home.save()
    try:
        _start_hub(made, kind, say)
        if made.with_airflow:
            say("Airflow")
            airflow.finish_migration(home, migration)
            home.save()
    except BaseException:
        if migration is not None:
            end(migration.pid)
        raise
    if made.with_airflow:
        api, *others = _airflow_children(made)
        supervisor.start(api)  # a scheduler that goes on would have its tasks refused by an API that only starts
        supervisor.start(*others)
        made.addresses["Airflow"] = airflow.api(home).address
    made.addresses["Data Docs"] = str(made.settings.docs_dir)
    made.addresses["logs"] = str(home.logs_dir)


def _start_hub(made: Installation, kind: str, say: Callable[[str], None]) -> None:
    from catalog_registry.store import migrate
    from exchange.bootstrap import open_hub
    from exchange.trust.keyfiles import create_keys

    home = made.home
    made.settings = home.load()
    migrate.upgrade(made.settings.database_url)
    create_keys(made.settings.keys_dir)
    with contextlib.closing(open_hub(made.settings)) as hub:
        hub.registry.refresh_dags()  # a kill may have come between a registration and its snapshot
    if kind == "kafka":
        if home.named("kafka"):
            if not kafka.answers(made.settings.kafka, timeout_s=5):
                raise RejectedError(
                    "no Kafka answers",
                    code="local.kafka_away",
                    where=made.settings.kafka,
                    remedy="start it, or mend ONEDOOR_KAFKA",
                )
        else:
            say("Kafka")
            made.supervisor.start(_kafka_child(home))
    home.save()
    made.settings = home.load()
    say("worker and API")
    environment = os.environ | {"ONEDOOR_HOME": str(home.path), "GX_ANALYTICS_ENABLED": "false"}
    port = made.settings.api_port
    children = [Child("worker", worker_command, environment, patience_s=30)]
    if find_spec("exchange.api.app") is not None:
        ready = lambda: answers(port, "/health/live")  # noqa: E731
        children.append(Child("api", lambda: api_command(port), environment, ready=ready, timeout_s=90))
        made.addresses["API"] = f"http://{ports.LOOPBACK}:{port}/docs"
    made.supervisor.start(*children)


def _choose_ports(made: Installation) -> None:
    """Settle the ports that this start listens on; ports that a person named stay in their files."""
    home, settings = made.home, made.settings
    taken: set[int] = set()
    names = ["postgres", "api", *(["airflow"] if made.with_airflow else [])]
    for name in names:
        end_left(home, name)
    for name in names:
        setting = f"{name}_port"
        wanted = int(getattr(settings, setting)) if home.named(setting) else 0
        if name == "postgres" and (pid := postgres.server_pid(home.postgres_data)) is not None:
            end(pid, sign=signal.SIGINT, timeout_s=60)
        kept = int(home.settings.get(setting, 0))
        port = ports.settle(name, wanted=wanted, kept=kept, avoid=frozenset(taken))
        home.settings[setting] = port
        taken.add(port)


def end_left(home: Home, name: str) -> None:
    """End the processes of a kind that a killed supervisor left, so that their port is free again."""
    for file in home.run_dir.glob(f"{name}*.pid"):
        end_recorded(file, sign=signal.SIGINT if name == "postgres" else signal.SIGTERM, group=name != "postgres")
        file.unlink(missing_ok=True)


def _start_postgres(made: Installation) -> None:
    home = made.home
    cluster = home.cluster()
    postgres.create(cluster.data, password=cluster.password)
    made.supervisor.start(postgres_child(cluster))
    databases.ensure(cluster.url(), {role: home.secret(f"{role}_password") for role in databases.ROLES})


def postgres_child(cluster: postgres.Cluster) -> Child:
    """Return the embedded PostgreSQL as a child to keep."""
    return Child(
        "postgres",
        lambda: postgres.command(cluster),
        env=postgres.environment(),
        ready=lambda: postgres.answers(cluster),
        sign=signal.SIGINT,
        patience_s=60,
        timeout_s=120,
        account=postgres.run_as(),
        before=lambda: postgres.clear_stale_pid(cluster.data),
        lead_only=True,
    )


def _kafka_child(home: Home) -> Child:
    broker = kafka.prepare(home.path / "kafka")
    home.settings["kafka"] = broker.servers
    return Child("kafka", lambda: kafka.command(broker), ready=lambda: kafka.answers(broker.servers), patience_s=30)


def _airflow_children(made: Installation) -> list[Child]:
    port = int(made.home.settings["airflow_port"])
    environment = airflow.environment(made.home)

    def child(name: str) -> Child:
        return Child(
            name,
            lambda: airflow.command(name),
            environment,
            ready=lambda: airflow.healthy(port, name),
            timeout_s=180,
            patience_s=15,
        )

    return [child(name) for name in airflow.COMPONENTS]


def answers(port: int, path: str, *, timeout_s: float = 3) -> bool:
    """Say whether a GET on loopback gives 200."""
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def announce(made: Installation) -> None:
    """Tell a start in the background, and ``status``, that everything is ready."""
    fresh = made.home.run_dir / f".{READY_NAME}"
    value = {"addresses": made.addresses, "passwords": made.passwords}
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        json.dump(value, out)
    fresh.rename(made.home.run_dir / READY_NAME)


def take_ready(home: Home) -> dict[str, Any] | None:
    """Return what a start in the background says when it is ready, or None; its new passwords are given once."""
    file = home.run_dir / READY_NAME
    try:
        told: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    file.write_text(json.dumps(told | {"passwords": {}}), "utf-8")
    return told


def down(path: Path | None = None, *, timeout_s: float = 120) -> bool:
    """Stop the installation of a home and return whether anything ran; what a killed supervisor left is stopped too."""
    home = find_home(path)
    ran = False
    pid = home.supervisor_pid()
    if pid is not None:
        ran = True
        with contextlib.suppress(psutil.Error, psutil.TimeoutExpired):
            process = psutil.Process(pid)
            process.terminate()
            process.wait(timeout_s)
    for file in sorted(_pid_files(home), key=lambda f: f.name == "postgres.pid"):
        is_postgres = file.name == "postgres.pid"
        if end_recorded(file, sign=signal.SIGINT if is_postgres else signal.SIGTERM, group=not is_postgres):
            ran = True
        file.unlink(missing_ok=True)
    return ran


def _pid_files(home: Home) -> list[Path]:
    return sorted(file for file in home.run_dir.glob("*.pid") if file.name != "supervisor.pid")


def status(path: Path | None = None) -> dict[str, Any]:
    """Return what runs in a home: its processes, whether they answer, and the addresses."""
    home = find_home(path)
    children: list[dict[str, Any]] = []
    for file in _pid_files(home):
        pid = read_pid(file)
        children.append(
            {
                "name": file.stem,
                "pid": pid,
                "running": pid is not None,
                "answers": pid is not None and _answers(home, file.stem),
            }
        )
    ready = home.run_dir / READY_NAME
    held = home.locked()
    told = json.loads(ready.read_text("utf-8")) if held and ready.exists() else {}
    return {
        "home": str(home.path),
        "running": held,
        "ready": bool(told),
        "bus": home.settings.get("bus"),
        "processes": children,
        "addresses": told.get("addresses", {}),
    }


def _answers(home: Home, name: str) -> bool | None:
    """Say whether a process does its work, None where it has no way to say so."""
    if name == "postgres":
        return postgres.answers(home.cluster())
    if name == "kafka":
        return kafka.answers(str(home.settings["kafka"]))
    if name == "api":
        return answers(int(home.settings["api_port"]), "/health/ready")
    if name in airflow.COMPONENTS:
        return airflow.healthy(int(home.settings["airflow_port"]), name)
    return None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a second Ctrl-C not cut the stopping short."""
    old = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def refuse_running(home: Home, what: str) -> None:
    """Raise ``RejectedError`` where the home runs now."""
    if home.locked():
        raise RejectedError(
            f"OneDoor runs on this home; {what} needs it stopped",
            code="local.running",
            where=str(home.path),
            remedy="onedoor down",
            fault=Fault.CLIENT,
        )
