"""What the lines of bulk loads share: the sides that are measured, and the peers."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import orders
from benchmarks.line import median, timed
from benchmarks.stand import Stand, cpu_s, pipe

ROWS = 1_500_000
DLT = "dlt[postgres,sql_database]==1.17.1"
OUT = "COPY orders TO STDOUT (FORMAT binary)"


def rows_wanted(default: int = ROWS) -> int:
    """Return how many rows a line loads: ``BENCH_ROWS`` makes a trial of the benchmark itself small."""
    return int(os.environ.get("BENCH_ROWS", default))


def copy_into(stand: Stand, columns: str, *, then_key: bool = False, keep: bool = False) -> float:
    """``COPY | COPY`` by psql into a new table of the hub's database; its seconds."""
    stand.sql(stand.hub_url, "DROP TABLE IF EXISTS public.peer", f"CREATE TABLE public.peer ({columns})")
    stand.checkpoint()
    target = ["-c", "COPY public.peer FROM STDIN (FORMAT binary)"]
    if then_key:
        target += ["-c", "ALTER TABLE public.peer ADD PRIMARY KEY (o_orderkey)"]
    seconds = pipe([stand.psql(stand.source_url, "-c", OUT), stand.psql(stand.hub_url, *target)])
    if not keep:
        stand.sql(stand.hub_url, "DROP TABLE public.peer")
    return seconds


def measured_collect(stand: Stand, name: str, kept: list[dict[str, Any]]) -> float:
    """Collect; keep the run with the processor seconds of collector, worker and PostgreSQL; return the seconds of the whole."""
    parts = {"worker": stand.pid("worker"), "PostgreSQL": stand.pid("postgres")}
    before = {part: cpu_s(pid) for part, pid in parts.items()}
    mine = _children_s()
    seconds, run = stand.collect(name)
    run["cpu"] = {"collector": round(_children_s() - mine, 2)}
    run["cpu"] |= {part: round(cpu_s(pid) - before[part], 2) for part, pid in parts.items()}
    run["outside"] = round(seconds - run["seconds"], 2)
    kept.append(run)
    return seconds


def first_load(stand: Stand, kept: list[dict[str, Any]]) -> float:
    """A first full load by ``onedoor collect``, the process' start and end included; its seconds."""
    stand.forget("orders")
    stand.checkpoint()
    seconds = measured_collect(stand, "orders", kept)
    if kept[-1]["rows_inserted"] != kept[-1]["rows_read"]:
        raise RuntimeError("this was no first load")
    return seconds


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cost(runs: list[dict[str, Any]], seconds: list[float]) -> str:
    """Say what the median load cost in processor time, and what follows for this machine."""
    middle = runs[seconds.index(median(seconds))]
    whole = sum(middle["cpu"].values())
    cores = os.cpu_count() or 1
    parts = ", ".join(f"{name} {used:.1f}" for name, used in middle["cpu"].items())
    return (
        f"the median load took {whole:.1f} s of processor time ({parts}), which on {cores} cores is {whole / cores:.1f} s at "
        f"the least, and lasted {median(seconds):.1f} s; {middle['outside']:.1f} s of it are the start and the end of the "
        "collector's process, which use one core"
    )


def stages_of(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Return the seconds by stage of the last run, as the run itself reports them; stages overlap."""
    return {stage["name"]: stage["seconds"] for stage in runs[-1]["stages"]} if runs else {}


class Dlt:
    """dlt in a virtual environment of its own, installed on demand."""

    def __init__(self, work: Path) -> None:
        self.folder = work / "dlt"
        self.python = self.folder / "venv" / "bin" / "python"
        self.missing: str | None = self._install()

    def _install(self) -> str | None:
        if (self.folder / "installed").exists():
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        uv = shutil.which("uv")
        make = [uv, "venv", "-q", "--clear", "--python", sys.executable] if uv else [sys.executable, "-m", "venv", "--clear"]
        pip = [uv, "pip", "install", "--python", str(self.python)] if uv else [str(self.python), "-m", "pip", "install"]
        try:
            timed([*make, str(self.folder / "venv")])
            timed([*pip, "-q", DLT, "pyarrow", "numpy"], timeout=600)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            return f"dlt not run: it could not be installed ({type(error).__name__})"
        (self.folder / "installed").write_text(DLT)
        return None

    def load(self, stand: Stand, how: str) -> float:
        """Load ``orders`` by dlt's pyarrow back-end, ``replace`` or ``merge``; its seconds, the process' start included."""
        stand.checkpoint()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ONEDOOR_", "PYTHONPATH"))}
        environment |= {
            "DLT_SOURCE": _sqlalchemy(stand.source_url),
            "DLT_TARGET": stand.made.home.cluster().url(_database(stand.hub_url)),
            "DLT_FOLDER": str(self.folder / "pipelines"),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        script = Path(__file__).parent / "peers" / "dlt_load.py"
        return timed([str(self.python), str(script), how], env=environment, timeout=900)

    def forget(self, stand: Stand) -> None:
        """Remove what it loaded."""
        stand.sql(stand.made.home.cluster().url(_database(stand.hub_url)), "DROP SCHEMA IF EXISTS dlt_bench CASCADE")
        shutil.rmtree(self.folder / "pipelines", ignore_errors=True)


def _database(url: str) -> str:
    return urlsplit(url).path.strip("/")


def _sqlalchemy(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)


def merge_by_psql(stand: Stand) -> float:
    """Stage by ``COPY | COPY``, then ``INSERT … ON CONFLICT … WHERE … IS DISTINCT FROM`` into ``public.peer``; its seconds."""
    names = [f.source_name for f in orders.CONTRACT.fields]
    others = names[1:]
    merge = (
        f"INSERT INTO public.peer AS o SELECT * FROM public.peer_stage ON CONFLICT (o_orderkey) DO UPDATE SET "
        f"{', '.join(f'{n} = excluded.{n}' for n in others)} "
        f"WHERE ({', '.join(f'o.{n}' for n in others)}) IS DISTINCT FROM ({', '.join(f'excluded.{n}' for n in others)})"
    )
    stand.sql(stand.hub_url, "DROP TABLE IF EXISTS public.peer_stage", f"CREATE TABLE public.peer_stage ({orders.BARE})")
    stand.checkpoint()
    target = ["-c", "COPY public.peer_stage FROM STDIN (FORMAT binary)", "-c", merge, "-c", "DROP TABLE public.peer_stage"]
    return pipe([stand.psql(stand.source_url, "-c", OUT), stand.psql(stand.hub_url, *target)])


def pause(seconds: float = 1.0) -> None:
    """Let the parts beside the path come to rest."""
    time.sleep(seconds)


def facts(run: dict[str, Any]) -> str:
    """Return a run's counts in words."""
    return json.dumps({name: run[name] for name in ("rows_read", "rows_inserted", "rows_changed", "rows_unchanged")})
