"""The stand: a whole installation as ``onedoor up`` makes it, without Airflow, and a source database beside the hub's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from catalog_registry.registry import Registry
from console.local import installation, postgres
from console.local.installation import Installation
from schemas.contract import DataContract
from schemas.odcs import write_contract
from schemas.secret import Secret

SOURCE = "bench_source"


@dataclass
class Stand:
    """A running installation. ``source_url`` is the department's database, in the same embedded PostgreSQL."""

    made: Installation
    source_url: str
    env: dict[str, str] = field(repr=False)

    @property
    def hub_url(self) -> str:
        """The hub's database, as its owner."""
        return self.made.settings.database_url

    def sql(self, url: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, each by itself, and return the last one's rows."""
        with psycopg.connect(url, autocommit=True) as connection:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                cursor = connection.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
            return rows

    def checkpoint(self) -> None:
        """Write what waits, so that one side does not pay for the other."""
        self.sql(self.made.home.cluster().url(), "CHECKPOINT")

    def register(self, contract: DataContract) -> None:
        """Register a contract and what it names."""
        settings = self.made.settings
        registry = Registry(settings.database_url, settings.the_clock, keys_dir=settings.keys_dir, dags_json=settings.dags_file)
        try:
            registry.ensure_department(contract.department, contract.department)
            registry.ensure_system(contract.system, contract.system, contract.department)
            registry.add_source(contract.source, Secret(self.source_url), system=contract.system)
            registry.register_resource(write_contract(contract), by="bench")
        finally:
            registry.close()

    def forget(self, resource: str) -> None:
        """Let the next load of a resource be its first one."""
        self.sql(self.hub_url, f"DROP TABLE IF EXISTS store.{resource}")

    def settle(self, seconds: float = 1.5) -> None:
        """Wait until the worker knows a resource that was just registered: a daemon would have known it for days."""
        time.sleep(seconds)

    def start_collector(self, resource: str, *options: str) -> subprocess.Popen[str]:
        """Start ``onedoor collect`` as a person would."""
        command = [sys.executable, "-m", "console.cli.main", "collect", resource, "--json", *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)

    def collect(self, resource: str, *options: str) -> tuple[float, dict[str, Any]]:
        """Collect, landed and proved, and return the seconds from the start of the process to its end, and the run."""
        began = time.perf_counter()
        process = self.start_collector(resource, *options)
        out, err = process.communicate(timeout=1800)
        seconds = time.perf_counter() - began
        if process.returncode:
            raise RuntimeError(f"collect failed: {err[-2000:]}")
        run: dict[str, Any] = json.loads(out)
        if run["state"] != "proved" or run["rows_read"] != run["rows_landed"] + run["rows_set_aside"]:
            raise RuntimeError(f"the run is {run['state']}: {run['error']}")
        return seconds, run

    def pid(self, name: str) -> int:
        """Return the process id of a part."""
        return int(json.loads((self.made.home.run_dir / f"{name}.pid").read_text())["pid"])

    def psql(self, url: str, *arguments: str) -> list[str]:
        """Return a command line of psql; the password goes by the environment of ``url_env``."""
        return [str(postgres.programs() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", url, *arguments]


@contextmanager
def stand(work: Path, *, bus: str = "postgres", home: str | None = None) -> Iterator[Stand]:
    """Run an installation in the work folder for the length of a block; its data folder is new."""
    folder = work / (home or f"home-{bus}")
    remove_home(folder)
    env = {name: value for name, value in os.environ.items() if not name.startswith("ONEDOOR_")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # or each start of a process compiles all that it imports
    env |= {"ONEDOOR_HOME": str(folder), "PYTHONPATH": str(Path(__file__).parent.parent)}
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    folder.mkdir(parents=True)
    (folder / "onedoor.toml").write_text('report = "off"\nsample_rows = 200000\n')
    try:
        with installation.running(folder, bus=bus, with_airflow=False) as made:
            superuser = made.home.cluster().url()
            with psycopg.connect(superuser, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {SOURCE} TEMPLATE template0")
            yield Stand(made, made.home.cluster().url(SOURCE), env)
    finally:
        os.environ.clear()
        os.environ.update(kept)
        remove_home(folder)


def remove_home(folder: Path) -> None:
    """Remove a data folder of the stand, and its database where that stands outside."""
    state = folder / "state.json"
    if state.exists():
        place = json.loads(state.read_text()).get("local", {}).get("postgres_data")
        if place:
            postgres.stop(Path(place))
            shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


class Peaks:
    """Samples the memory (PSS) of processes and their children until it is stopped; keeps the peaks in MB."""

    def __init__(self, pids: dict[str, int], every_s: float = 0.05) -> None:
        self.peaks: dict[str, float] = dict.fromkeys(pids, 0.0)
        self._pids = dict(pids)
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Peaks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(self._every_s):
            for name, pid in self._pids.items():
                self.peaks[name] = max(self.peaks[name], pss_mb(pid))


def cpu_s(pid: int) -> float:
    """Return the processor time that a process, its children and those of them that ended have taken."""
    try:
        pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.Error:
        return 0.0
    return sum(_cpu_s(p) for p in pids)


def _cpu_s(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(n) for n in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def pss_mb(pid: int) -> float:
    """Return a process's proportional set size with that of its children, in MB; 0 where it is gone."""
    try:
        pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.Error:
        return 0.0
    return round(sum(_pss_kb(p) for p in pids) / 1000, 1)


def _pss_kb(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        return 0
    return 0


def pipe(commands: Sequence[Sequence[str]]) -> float:
    """Run commands as a pipe and return the seconds; raises where one of them fails."""
    began = time.perf_counter()
    processes: list[subprocess.Popen[bytes]] = []
    before = None
    for i, command in enumerate(commands):
        last = i == len(commands) - 1
        process = subprocess.Popen(command, stdin=before, stdout=None if last else subprocess.PIPE, stderr=subprocess.PIPE)
        if before is not None:
            before.close()
        before = process.stdout
        processes.append(process)
    failed = []
    for process in reversed(processes):
        process.wait()
        if process.returncode and process.stderr is not None:
            failed.append(process.stderr.read().decode()[-500:])
    if failed:
        raise RuntimeError(f"a pipe failed: {failed}")
    return time.perf_counter() - began
