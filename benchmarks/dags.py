"""A thousand resources: the DAG file's body, and with serialisation as Airflow's DAG processor does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.line import TRIALS, Result, Row, median
from catalog_registry.snapshot import write_dags_json

COUNT = 1000
ROOT = Path(__file__).parent.parent
_SCRIPT = """
import json, runpy, sys, time
import airflow.sdk  # a DAG processor has it already
from airflow.sdk import DAG
try:
    from airflow.serialization.serialized_objects import DagSerialization as Serialised
except ImportError:
    from airflow.serialization.serialized_objects import SerializedDAG as Serialised
began = time.perf_counter()
module = runpy.run_path(sys.argv[1])
body = time.perf_counter() - began
dags = [value for value in module.values() if isinstance(value, DAG)]
for dag in dags:
    Serialised.to_dict(dag)
print(json.dumps({"dags": len(dags), "body": body, "serialised": time.perf_counter() - began}))
"""


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    if find_spec("airflow") is None:
        result.rows = [Row("1,000 DAGs parsed", "s", None, budget=2.0, smaller=True)]
        result.notes.append("not run: Airflow is not installed")
        return result.as_json()
    home = work / "dags-home"
    (home / "airflow").mkdir(parents=True, exist_ok=True)
    write_dags_json(home / "dags.json", [_resource(i) for i in range(COUNT)], force=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ONEDOOR_", "AIRFLOW"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env |= {"ONEDOOR_HOME": str(home), "AIRFLOW_HOME": str(home / "airflow"), "PYTHONPATH": str(ROOT)}
    env |= {"AIRFLOW__CORE__LOAD_EXAMPLES": "false", "AIRFLOW__CORE__UNIT_TEST_MODE": "false"}
    command = [sys.executable, "-c", _SCRIPT, str(ROOT / "dags" / "onedoor_resources.py")]
    said = []
    for _ in range(TRIALS):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=home)
        if done.returncode:
            raise RuntimeError(f"the DAG file was not parsed: {done.stderr.strip()[-1500:]}")
        said.append(json.loads(done.stdout.strip().splitlines()[-1]))
    if any(one["dags"] != COUNT for one in said):
        raise RuntimeError(f"{said[0]['dags']} DAGs of {COUNT}")
    body = [round(one["body"], 3) for one in said]
    serialised = [round(one["serialised"], 3) for one in said]
    result.trials = {"body": body, "with serialisation": serialised}
    result.rows = [
        Row("1,000 DAGs parsed, body", "s", median(body), budget=2.0, smaller=True),
        Row("1,000 DAGs parsed, with serialisation", "s", median(serialised), budget=5.0, smaller=True),
    ]
    return result.as_json()


def _resource(number: int) -> dict[str, Any]:
    return {
        "name": f"resource_{number:04}",
        "title": f"资源 {number}",
        "source": f"source_{number % 20:02}",
        "pool": f"onedoor_source_{number % 20:02}",
        "department": f"department_{number % 30:02}",
        "version": "1.0.0",
        "contract_hash": f"{number:064x}",
        "schedule": f"{number % 60} {number % 24} * * *",
        "personal": number % 3 == 0,
        "mode": "full" if number % 2 else "incremental",
    }
