"""Parses the DAG file as Airflow does, once for each home that standard input names, and prints what came of it as JSON."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "dags" / "onedoor_resources.py"
HEAVY = ("great_expectations", "pandas", "pyarrow", "psycopg", "exchange", "connectors", "quality", "console")

opened: list[str] = []


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        opened.append(os.fspath(arguments[0]))
    elif event in ("socket.connect", "subprocess.Popen"):
        opened.append(event)


def parse(home: str) -> dict[str, Any]:
    """Return the DAGs of one home, serialised, and what the parse did beside."""
    from airflow.serialization.serialized_objects import DagSerialization

    from schemas.errors import OneDoorError

    os.environ["ONEDOOR_HOME"] = home
    spec = importlib.util.spec_from_file_location("onedoor_resources", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    began, seen = time.process_time(), len(opened)
    try:
        spec.loader.exec_module(module)
    except OneDoorError as error:
        return {"error": str(error)}
    body_s = time.process_time() - began
    touched = sorted({o for o in opened[seen:] if not o.endswith((".py", ".pyc"))})
    dags = {value.dag_id: value for value in vars(module).values() if isinstance(value, module.DAG)}
    return {
        "dags": {name: DagSerialization.to_dict(dag) for name, dag in dags.items()},
        "touched": touched,
        "heavy": sorted({name for name in HEAVY if name in sys.modules}),
        "body_s": body_s,
        "all_s": time.process_time() - began,
        "retried": _retried(next(iter(dags.values()))) if dags else {},
    }


def _retried(dag: Any) -> dict[str, Any]:
    """Ask the policy of each task what it decides on each kind of error."""
    from schemas import errors

    class OwnError(errors.RejectedError):
        """A refusal of a part."""

    kinds = [errors.TransientError, errors.RejectedError, errors.DeniedError, errors.DefectError, OwnError]
    raised = [kind("told", code="test") for kind in kinds]
    found = {
        task.task_id: {type(e).__name__: task.retry_policy.evaluate(e, 1, task.retries).action.value for e in raised}
        for task in dag.tasks
    }
    return found | {"retries": sorted({task.retries for task in dag.tasks})}


if __name__ == "__main__":
    sys.path.insert(0, str(FILE.parents[1]))
    import airflow.sdk  # Airflow is there already when it parses a file
    import airflow.serialization.serialized_objects  # noqa: F401

    was = set(sys.modules)
    sys.addaudithook(_heard)
    results = [parse(line.strip()) for line in sys.stdin]
    json.dump({"parses": results, "was_heavy": [name for name in HEAVY if name in was]}, sys.stdout, default=str)
