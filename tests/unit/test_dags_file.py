"""The DAG file: what it makes of a snapshot, and what it does not do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.snapshot import write_dags_json
from tests.conftest import require

PARSE = Path(__file__).with_name("parse_dags.py")


def row(name: str, **more: Any) -> dict[str, Any]:
    said = {
        "name": name,
        "title": "行政许可事项",
        "source": "catalogue_db",
        "pool": "onedoor_item_catalogue",
        "department": "qjbd",
        "version": "1.0.0",
        "contract_hash": f"h_{name}",
        "schedule": "0 3 * * *",
        "personal": False,
        "mode": "full",
    }
    return said | more


ROWS = [
    row("cases", schedule="*/15 * * * *", pool="onedoor_market", mode="incremental"),
    row("items"),
    row("notes", schedule=None),
]

Parse = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Parse:
    """Parse the file in a process of its own, once for each home, and return what each parse gave."""
    require("airflow")

    airflow_home = str(tmp_path_factory.mktemp("airflow"))

    def run(*homes: Path, seed: str = "0") -> dict[str, Any]:
        own = {
            "AIRFLOW_HOME": airflow_home,
            "PYTHONHASHSEED": seed,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "ONEDOOR"))}
        done = subprocess.run(
            [sys.executable, str(PARSE)],
            input="\n".join(map(str, homes)),
            capture_output=True,
            text=True,
            env=kept | own,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return dict(json.loads(done.stdout.splitlines()[-1]))

    return run


def home(tmp_path: Path, name: str, rows: list[dict[str, Any]] | None) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    if rows is not None:
        write_dags_json(folder / "dags.json", rows)
    return folder


@pytest.fixture(scope="module")
def parsed(parse: Parse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every test below looks at: two parses of three resources, no snapshot, a broken one, a kept one, and a thousand."""
    base = tmp_path_factory.mktemp("homes")
    three, none = home(base, "three", ROWS), home(base, "none", None)
    broken, kept = home(base, "broken", None), home(base, "kept", ROWS)
    (broken / "dags.json").write_text('{"format": 1, "resour', "utf-8")
    (kept / "dags.json").write_text("", "utf-8")
    many = home(base, "many", [row(f"r{n:04}", schedule=f"{n % 60} {n % 24} * * *") for n in range(1000)])
    told = parse(three, three, none, broken, kept, many)
    again = parse(three, seed="77")
    names = ("first", "second", "none", "broken", "kept", "many")
    return dict(zip(names, told["parses"], strict=True)) | {"other": again["parses"][0], "was_heavy": told["was_heavy"]}


def dag(parsed: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(parsed["first"]["dags"][f"onedoor_{name}"]["dag"])


def tasks(parsed: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {task["__var"]["task_id"]: task["__var"] for task in dag(parsed, name)["tasks"]}


def test_each_resource_of_the_snapshot_has_a_dag_of_its_name(parsed: dict[str, Any]) -> None:
    assert sorted(parsed["first"]["dags"]) == ["onedoor_cases", "onedoor_items", "onedoor_notes"]
    assert dag(parsed, "items")["dag_display_name"] == "行政许可事项 items"
    assert sorted(dag(parsed, "items")["tags"]) == ["catalogue_db", "onedoor", "qjbd"]


def test_the_schedule_is_the_contracts_in_chinas_time_and_missed_times_are_not_made_up(parsed: dict[str, Any]) -> None:
    said = dag(parsed, "cases")["timetable"]
    assert said["__type"].endswith("CronTriggerTimetable")
    assert (said["__var"]["expression"], said["__var"]["timezone"]) == ("*/15 * * * *", "Asia/Shanghai")
    assert not dag(parsed, "cases").get("catchup", False)
    assert dag(parsed, "cases")["max_active_runs"] == 1
    assert dag(parsed, "notes")["timetable"]["__type"].endswith("NullTimetable")


def test_a_new_resource_waits_for_its_schedules_next_time(parsed: dict[str, Any]) -> None:
    for name in ("cases", "items"):
        assert "start_date" not in dag(parsed, name)  # with one, Airflow runs the last interval at once
        assert dag(parsed, name)["timetable"]["__var"]["run_immediately"] == 60.0


def test_the_tasks_are_collect_prove_report_notify_in_this_order(parsed: dict[str, Any]) -> None:
    found = tasks(parsed, "items")
    assert sorted(found) == ["collect", "notify", "prove", "report"]
    after = {name: set(task.get("downstream_task_ids", [])) for name, task in found.items()}
    assert after == {"collect": {"prove", "report", "notify"}, "prove": {"report"}, "report": {"notify"}, "notify": set()}


def test_collecting_is_held_to_the_pool_of_its_source_system_and_waiting_is_not(parsed: dict[str, Any]) -> None:
    assert tasks(parsed, "items")["collect"]["pool"] == "onedoor_item_catalogue"
    assert tasks(parsed, "cases")["collect"]["pool"] == "onedoor_market"
    assert {tasks(parsed, "items")[name].get("pool", "default_pool") for name in ("prove", "report", "notify")} == {
        "default_pool"
    }


def test_proving_a_run_tells_the_asset_of_its_resource(parsed: dict[str, Any]) -> None:
    (asset,) = tasks(parsed, "items")["prove"]["outlets"]
    assert "onedoor_items" in json.dumps(asset)
    assert "onedoor://store/items" in json.dumps(asset)
    assert not any(tasks(parsed, "items")[name].get("outlets") for name in ("collect", "report", "notify"))


def test_a_run_can_be_asked_for_everything_or_from_a_cursor(parsed: dict[str, Any]) -> None:
    params = dict(dag(parsed, "cases")["params"])
    assert sorted(params) == ["full", "since"]
    assert (params["full"]["default"], params["full"]["schema"]["__var"]["type"]) == (False, "boolean")
    assert (params["since"]["default"], params["since"]["schema"]["__var"]["type"]) == (None, ["null", "string"])


def test_only_an_error_that_a_later_try_may_mend_is_tried_again(parsed: dict[str, Any]) -> None:
    decided = dict(parsed["first"]["retried"])
    assert decided.pop("retries") == [5]
    no = dict.fromkeys(("RejectedError", "DeniedError", "DefectError", "OwnError"), "fail")
    assert decided == dict.fromkeys(("collect", "prove", "report", "notify"), {"TransientError": "retry"} | no)


def test_two_parses_give_equal_dags(parsed: dict[str, Any]) -> None:
    assert parsed["first"]["dags"] == parsed["second"]["dags"] == parsed["other"]["dags"]


def test_a_thousand_resources_have_a_thousand_dags(
    parsed: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    many = parsed["many"]
    record_property("body_s", many["body_s"])
    record_property("all_s", many["all_s"])
    assert len(many["dags"]) == 1000
    assert many["dags"]["onedoor_r0777"]["dag"]["timetable"]["__var"]["expression"] == "57 9 * * *"


def test_before_the_first_registration_there_are_no_dags_and_no_error(parsed: dict[str, Any]) -> None:
    assert parsed["none"]["dags"] == {}


def test_a_broken_snapshot_loses_no_dag_while_its_copy_is_good(parsed: dict[str, Any]) -> None:
    assert parsed["kept"]["dags"] == parsed["first"]["dags"]


def test_a_broken_snapshot_without_a_copy_says_what_to_do(parsed: dict[str, Any]) -> None:
    assert "no snapshot of this release" in parsed["broken"]["error"]
    assert "register any resource again" in parsed["broken"]["error"]


def test_a_parse_reads_the_snapshot_and_nothing_else(parsed: dict[str, Any]) -> None:
    for name in ("first", "second", "many"):
        assert [Path(file).name for file in parsed[name]["touched"]] == ["dags.json"]


def test_a_parse_imports_nothing_heavy(parsed: dict[str, Any]) -> None:
    assert set(parsed["many"]["heavy"]) <= set(parsed["was_heavy"])
    assert not {"exchange", "great_expectations", "psycopg", "pandas"} & set(parsed["many"]["heavy"])


def test_one_nightly_dag_compares_each_resource_that_is_read_by_a_cursor(tmp_path: Path) -> None:
    rows = [*ROWS, row("licences", mode="incremental", pool="onedoor_licences")]
    write_dags_json(tmp_path / "dags.json", rows)
    program = "import json; from onedoor_nightly import dag; print(json.dumps({t.task_id: t.pool for t in dag.tasks}))"
    root = Path(__file__).parents[2]
    environment = os.environ | {
        "ONEDOOR_HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "PYTHONPATH": f"{root / 'dags'}{os.pathsep}{root}",
    }
    said = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    found = json.loads(said.stdout.splitlines()[-1])
    assert found == {"compare_cases": "onedoor_market", "compare_licences": "onedoor_licences"}
