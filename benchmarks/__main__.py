"""Runs lines and keeps their figures: ``python -m benchmarks [LINE…]``; ``--list`` names them, ``--docs`` renders the page."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.page import render

HERE = Path(__file__).parent
WORK = HERE / ".work"
RESULTS = HERE / "results"
LINES = (
    "full_load",
    "full_load_kafka",
    "later_load",
    "sealed_load",
    "stages",
    "memory",
    "ledger",
    "lookup",
    "records",
    "authorise",
    "usage",
    "import",
    "registry",
    "dags",
)
_MODULES = {"import": "catalogue_import"}
"""The module of a line that is not called as the line."""


def main(arguments: list[str]) -> int:
    """Run the named lines, all where none is named; 1 where one of them broke or missed its floor."""
    if "--list" in arguments:
        for line in LINES:
            print(f"{line:16} {_summary(line)}")
        return 0
    if "--docs" in arguments:
        print(render(RESULTS))
        return 0
    wanted = [name for argument in arguments for name in argument.replace(",", " ").split()] or list(LINES)
    unknown = [name for name in wanted if name not in LINES]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(LINES)}", file=sys.stderr)
        return 2
    WORK.mkdir(parents=True, exist_ok=True)
    lines: dict[str, Any] = {}
    broken = False
    for name in wanted:
        print(f"… {name}: {_summary(name)}", file=sys.stderr, flush=True)
        load = os.getloadavg()[0]
        began = time.monotonic()
        try:
            lines[name] = _module(name).run(WORK)
        except Exception as error:  # noqa: BLE001 - one line's failure must not lose the others' figures
            traceback.print_exc()
            lines[name] = {"rows": [], "trials": {}, "stages": {}, "notes": [f"broke: {type(error).__name__}"]}
            broken = True
        lines[name] |= {"load_before": round(load, 2), "took_s": round(time.monotonic() - began, 1)}
        for row in lines[name]["rows"]:
            print(_words(row), flush=True)
    path = _keep(lines)
    print(f"\n{path.relative_to(HERE.parent)}; the page: make docs")
    missed = any(row["met"] == "no" for line in lines.values() for row in line["rows"])
    return 1 if broken or missed else 0


def _summary(name: str) -> str:
    return (_module(name).__doc__ or "").strip().splitlines()[0]


def _module(name: str) -> Any:
    return import_module(f"benchmarks.{_MODULES.get(name, name)}")


def _words(row: dict[str, Any]) -> str:
    ours = "–" if row["ours"] is None else f"{row['ours']:,.6g}"
    text = f"  {row['what']}: {ours} {row['unit']}"
    if row["peer"]:
        theirs = "not run" if row["theirs"] is None else f"{row['theirs']:,.6g}"
        text += f" | {row['peer']}: {theirs} | ratio {row['ratio']}"
    if row["met"]:
        text += f" | floor {row['floor']}, budget {row['budget']}: {row['met']}"
    return text


def _keep(lines: dict[str, Any]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    commit = _said("git", "-C", str(HERE), "rev-parse", "--short=12", "HEAD") or "unknown"
    dirty = bool(_said("git", "-C", str(HERE), "status", "--porcelain", "--untracked-files=no"))
    now = datetime.now(UTC)
    result = {
        "at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit,
        "changed_since": dirty,
        "machine": _machine(),
        "lines": lines,
    }
    path = RESULTS / f"{now:%Y-%m-%dT%H%M%S}-{commit}.json"
    path.write_text(json.dumps(result, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")
    return path


def _machine() -> dict[str, Any]:
    from console.local import postgres

    memory_kb = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    model = next((line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "memory_gb": round(memory_kb / 1e6, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": _said(str(postgres.programs() / "postgres"), "--version"),
        "postgresql_settings": {
            name: value for name, value in postgres.DEFAULTS.items() if not name.startswith(("log", "unix"))
        },
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text("utf-8").splitlines()


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what runs is taken down on the way out
    raise SystemExit(main(sys.argv[1:]))
