"""Apache Airflow as a part of the installation: its four processes on the embedded PostgreSQL, loopback only."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from catalog_registry.snapshot import read_dags_json
from console.local.home import Home
from console.local.ports import LOOPBACK
from console.local.processes import last_line
from console.local.supervisor import read_pid
from schemas.errors import OneDoorError, RejectedError, TransientError

DAGS = Path(__file__).resolve().parents[2] / "dags"
USER = "admin"
DAGS_JSON = "dags.json"
POOL_SLOTS: Final = 2
"""Reads of one source system at once, until a person says otherwise in Airflow."""
POOLS_EVERY_S: Final = 1.0
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "airflow-api": ("api-server",),
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
}
"""What ``airflow standalone`` starts, each under our own supervisor; without its log servers, whose ports are fixed."""


def installed() -> bool:
    """Say whether Airflow is here."""
    return find_spec("airflow") is not None


def folder(home: Home) -> Path:
    """Return ``AIRFLOW_HOME`` of a home."""
    return home.path / "airflow"


def configure(home: Home, *, port: int) -> None:
    """Write ``airflow.cfg`` and the password file of a home; both only for their owner's eyes."""
    at = folder(home)
    at.mkdir(mode=0o700, parents=True, exist_ok=True)
    if "airflow_fernet_key" not in home.local:
        home.local["airflow_fernet_key"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    _write(at / "airflow.cfg", _config(home, at, port))
    write_password(home)


def write_password(home: Home) -> None:
    """Write the password file; a running Airflow reads it at the next login."""
    _write(folder(home) / "passwords.json", json.dumps({USER: home.secret("airflow_admin_password")}))


def environment(home: Home) -> dict[str, str]:
    """Return the environment of Airflow's processes: nothing of another Airflow."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AIRFLOW__"))}
    return kept | {
        "AIRFLOW_HOME": str(folder(home)),
        "ONEDOOR_HOME": str(home.path),
        "GX_ANALYTICS_ENABLED": "false",
        "PYTHONWARNINGS": "ignore",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def command(component: str) -> list[str]:
    """Return the command line of one of ``COMPONENTS``."""
    return [sys.executable, "-m", "airflow", *COMPONENTS[component]]


def begin_migration(home: Home) -> subprocess.Popen[bytes] | None:
    """Start making or upgrading Airflow's tables, or return None where this version did so before."""
    if home.local.get("airflow_migrated") == version("apache-airflow-core"):
        return None
    with (home.logs_dir / "airflow-migrate.log").open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def finish_migration(home: Home, process: subprocess.Popen[bytes] | None, *, timeout_s: float = 300) -> None:
    """Wait for what ``begin_migration`` started.

    Raises:
        RejectedError: Airflow could not make its tables.
        TransientError: it takes too long.
    """
    if process is None:
        return
    log = home.logs_dir / "airflow-migrate.log"
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise TransientError(
            f"Airflow's tables are not made after {timeout_s:.0f} s",
            code="local.airflow_migrate",
            where=str(log),
            remedy="start again",
        ) from None
    if code != 0:
        raise RejectedError(
            f"Airflow could not make its tables: {last_line(log)}",
            code="local.airflow_migrate",
            where=str(log),
            remedy="read its log",
        )
    home.local["airflow_migrated"] = version("apache-airflow-core")


def healthy(port: int, component: str | None = None) -> bool:
    """Say whether Airflow's API answers and, where one is named, whether a part of it is alive."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError):
        return False
    part = {"airflow-scheduler": "scheduler", "airflow-dag-processor": "dag_processor", "airflow-triggerer": "triggerer"}.get(
        component or "", "metadatabase"
    )
    return bool((health.get(part) or {}).get("status") == "healthy")


def started(home: Home) -> bool:
    """Say whether a home's Airflow was started, busy as it may be."""
    return read_pid(home.run_dir / "airflow-scheduler.pid") is not None


@dataclass
class AirflowApi:
    """A small client of Airflow's REST API on loopback."""

    port: int
    password: str = field(repr=False)
    _token: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{LOOPBACK}:{self.port}"

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call ``/api/v2`` + path and return the answer's JSON.

        Raises:
            TransientError: Airflow is away or fails.
            RejectedError: Airflow refuses the request; its status is told.
        """
        if not self._token:
            login = {"username": USER, "password": self.password}
            self._token = self._ask("POST", "/auth/token", login)["access_token"]
        return self._ask(method, f"/api/v2{path}", body)

    def make_pools(self, names: Iterable[str]) -> None:
        """Make the pools that are not there yet; the slots of one that is there are a person's to set."""
        entities = [
            {"name": name, "slots": POOL_SLOTS, "description": "reads of one source system at once", "include_deferred": False}
            for name in sorted(set(names))
        ]
        if entities:
            action = {"action": "create", "action_on_existence": "skip", "entities": entities}
            self.call("PATCH", "/pools", {"actions": [action]})

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any] | None = None) -> None:
        """Unpause a DAG and start a run of it."""
        self.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})
        self.call("POST", f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})})

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        request = urllib.request.Request(self.address + path, method=method)
        request.add_header("content-type", "application/json")
        if self._token:
            request.add_header("authorization", f"Bearer {self._token}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            kind = TransientError if error.code >= 500 else RejectedError
            raise kind(f"Airflow answered {error.code}", code="local.airflow_refused", where=f"{method} {path}") from error
        except OSError as error:
            raise TransientError(
                "Airflow does not answer", code="local.airflow_away", where=path, remedy="onedoor status"
            ) from error


def api(home: Home) -> AirflowApi:
    """Return a client of a home's Airflow."""
    return AirflowApi(int(home.settings["airflow_port"]), home.secret("airflow_admin_password"))


def make_pools(home: Home) -> None:
    """Make the pools that the home's DAGs name: a task of a pool that is not there is never scheduled."""
    api(home).make_pools(row["pool"] for row in read_dags_json(home.path / DAGS_JSON))


@contextmanager
def pools_kept(home: Home, say: Callable[[str], None]) -> Iterator[None]:
    """Make the pools of every new ``dags.json``, for the length of a block."""
    over = threading.Event()
    thread = threading.Thread(target=_keep_pools, args=(home, over, say), name="airflow-pools", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def _keep_pools(home: Home, over: threading.Event, say: Callable[[str], None]) -> None:
    made_for, said = 0, ""
    while not over.wait(POOLS_EVERY_S):
        file = home.path / DAGS_JSON
        written = file.stat().st_mtime_ns if file.exists() else 0
        if written == made_for:
            continue
        try:
            make_pools(home)
            made_for, said = written, ""
        except OneDoorError as error:  # told once; tried again, as Airflow's other parts are
            if str(error) != said:
                said = str(error)
                say(f"the pools of Airflow are not made yet: {said}")


def _config(home: Home, at: Path, port: int) -> str:
    address = f"http://{LOOPBACK}:{port}"
    database = home.role_url("airflow")
    sections: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": DAGS,
            "load_examples": False,
            "executor": "LocalExecutor",
            "parallelism": 2 * max(2, os.cpu_count() or 2),  # half of the tasks wait for a landing or a report
            "dags_are_paused_at_creation": False,
            "default_timezone": "Asia/Shanghai",
            "fernet_key": home.local["airflow_fernet_key"],
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": at / "passwords.json",
            "execution_api_server_url": f"{address}/execution/",
            "plugins_folder": at / "plugins",
        },
        "database": {
            "sql_alchemy_conn": "postgresql+psycopg" + database.removeprefix("postgresql"),
            "sql_alchemy_conn_async": "postgresql+asyncpg" + database.removeprefix("postgresql"),
            "sql_alchemy_pool_size": 5,
        },
        "logging": {"base_log_folder": home.logs_dir / "airflow", "logging_level": "WARNING", "namespace_levels": ""},
        "api": {
            "host": LOOPBACK,
            "port": port,
            "workers": 1,
            "base_url": address,
            "secret_key": home.secret("airflow_secret_key"),
            "expose_config": False,
        },
        "api_auth": {"jwt_secret": home.secret("airflow_jwt_secret") + home.secret("airflow_jwt_secret_2")},
        "dag_processor": {
            "refresh_interval": 10,
            "min_file_process_interval": 10,
            "parsing_processes": 1,
        },
        "scheduler": {"scheduler_heartbeat_sec": 2},
        "workers": {"execution_api_timeout": 30},  # a busy machine is no reason to lose a task
        "usage_data_collection": {"enabled": False},
    }
    lines = ["# Written by onedoor at every start."]
    for name, values in sections.items():
        lines.append(f"\n[{name}]")
        lines += [f"{key} = {str(value).replace('%', '%%')}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
