"""Every night, each resource that is read by a cursor is compared with its source, row by row: a cursor sees no deletes, and a
source may break what it declared. One DAG, a task for each resource, held to the pool of its source system.

It reads the registry's snapshot and nothing else, as ``onedoor_resources`` does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, task

from catalog_registry.snapshot import read_dags_json

SNAPSHOT = Path(os.environ.get("ONEDOOR_HOME", ".onedoor")) / "dags.json"
AT = "0 3 * * *"


@task(retries=2)
def compare(name: str) -> dict[str, Any]:
    """Compare one resource with its source; the task fails where they differ, and its log says by how many keys."""
    from exchange.orchestrate import compare_resource

    return compare_resource(name)


with DAG(
    dag_id="onedoor_nightly",
    description="Compares each resource that is read by a cursor with its source",
    schedule=CronTriggerTimetable(AT, timezone="Asia/Shanghai"),
    catchup=False,
    max_active_runs=1,
    tags=["onedoor"],
) as dag:
    for _row in read_dags_json(SNAPSHOT):
        if _row["mode"] == "incremental":
            compare.override(task_id=f"compare_{_row['name']}", pool=_row["pool"])(_row["name"])
