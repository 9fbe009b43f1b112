"""A DAG for each registered resource: collect, prove, report, notify. No rule is here; each task is one call into ``exchange``.

The file reads the registry's snapshot and nothing else, in its order, so that two parses give the same DAGs and none of them
goes stale when the hub's database is away. Landing and the bus are the worker's.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import (
    DAG,
    Asset,
    CronTriggerTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    get_current_context,
    get_parsing_context,
    task,
)

from catalog_registry.snapshot import read_dags_json

CHINA = "Asia/Shanghai"
FRESH = timedelta(minutes=1)
"""A new resource waits for its schedule's next time, for a provider said 03:00 because its system is busy at noon. One that is
first parsed a moment after its time does not miss it."""
SNAPSHOT = Path(os.environ.get("ONEDOOR_HOME", ".onedoor")) / "dags.json"
BY_KIND = ExceptionRetryPolicy(
    rules=[
        RetryRule("schemas.errors.TransientError", RetryAction.RETRY, reason="a later try may succeed"),
        RetryRule("schemas.errors.RejectedError", RetryAction.FAIL, reason="its owner must mend something first"),
        RetryRule("schemas.errors.DeniedError", RetryAction.FAIL, reason="there is no right to do this"),
        RetryRule("schemas.errors.DefectError", RetryAction.FAIL, reason="somebody must look before it goes on"),
    ]
)

TRIES: dict[str, Any] = {
    "retries": 5,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": BY_KIND,
}


@task
def collect(name: str) -> str:
    """Collect the resource and hand on the run's id."""
    from exchange.orchestrate import collect_resource

    params = get_current_context()["params"]
    return collect_resource(name, full=params["full"], since=params["since"])


@task
def prove(run: str) -> dict[str, Any]:
    """Wait until the worker has landed and proved the run."""
    from exchange.orchestrate import prove_run

    return prove_run(run)


@task
def report(run: str) -> dict[str, Any] | None:
    """Wait until the worker has made the run's quality report."""
    from exchange.orchestrate import report_run

    return report_run(run)


@task
def notify(run: str) -> dict[str, Any]:
    """Tell the provider's department."""
    from exchange.orchestrate import notify_run

    return notify_run(run)


def resource_dag(row: dict[str, Any]) -> DAG:
    """Return the DAG of one row of the snapshot."""
    name = row["name"]
    with DAG(
        dag_id=f"onedoor_{name}",
        dag_display_name=f"{row['title']} {name}",
        description=f"Collects {name} from {row['source']}",
        schedule=row["schedule"] and CronTriggerTimetable(row["schedule"], timezone=CHINA, run_immediately=FRESH),
        catchup=False,
        max_active_runs=1,
        default_args=TRIES,
        tags=["onedoor", row["department"], row["source"]],
        params={
            "full": Param(False, type="boolean", description="everything, even where a cursor could tell what changed"),
            "since": Param(None, type=["null", "string"], description="start after this value of the cursor"),
        },
    ) as dag:
        run = collect.override(pool=row["pool"])(name)
        proved = prove.override(outlets=[Asset(name=f"onedoor_{name}", uri=f"onedoor://store/{name}")])(run)  # type: ignore[arg-type]
        proved >> report(run) >> notify(run)  # type: ignore[arg-type]
    return dag


_wanted = get_parsing_context().dag_id
for _row in read_dags_json(SNAPSHOT):
    _id = f"onedoor_{_row['name']}"
    if _wanted is None or _wanted == _id:
        globals()[_id] = resource_dag(_row)
