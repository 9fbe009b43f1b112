"""Airflow runs the DAGs of an installation: with parameters, again, refused, and with the hub's database away."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from console.local import airflow, installation, postgres
from console.local.home import Home
from exchange.bootstrap import open_hub
from schemas.errors import OneDoorError, TransientError
from schemas.ids import new_id
from tests.conftest import require
from tests.hub import PEOPLE, PEOPLE_TABLE, HubForTests

DAG = "onedoor_people"
PLANTED = ("测试甲乙丙", "440205199001011234")
ROWS = 300
WITHIN_S = 240.0

pytestmark = pytest.mark.timeout(600)


@dataclass
class Running:
    """An installation with its Airflow, and the department's database behind its one resource."""

    home: Home
    hub: HubForTests
    api: airflow.AirflowApi
    api_port: int
    runs: list[str] = field(default_factory=list)

    def trigger(self, **conf: object) -> str:
        """Start a run and return its id."""
        run = new_id("t_", self.hub.hub.clock.now())
        self.api.trigger(DAG, run, conf)
        self.runs.append(run)
        return run

    def ended(self, run: str) -> str:
        """Return the state in which a run ended."""
        state = eventually(lambda: (found := self.api.run_state(DAG, run)) in ("success", "failed") and found)
        return str(state)

    def task(self, run: str, task: str) -> dict[str, Any]:
        """Return what Airflow says of a task."""
        return dict(self.api.call("GET", f"/dags/{DAG}/dagRuns/{run}/taskInstances/{task}"))

    def hub_run(self, run: str) -> str:
        """Return the hub's run that a run of Airflow made."""
        return str(self.api.call("GET", f"/dags/{DAG}/dagRuns/{run}/taskInstances/collect/xcomEntries/return_value")["value"])

    def counts(self, run: str) -> dict[str, Any]:
        """Return what ``prove`` handed on."""
        found = self.api.call("GET", f"/dags/{DAG}/dagRuns/{run}/taskInstances/prove/xcomEntries/return_value?stringify=false")
        return dict(found["value"])

    def stored(self) -> list[tuple[Any, ...]]:
        """Return what the store holds, without what changes with each run."""
        return self.hub.rows("SELECT id, town, encode(_row_hash, 'hex') FROM store.people ORDER BY id")

    def told(self, hub_run: str) -> int:
        """Return how often the provider was told of a run's report."""
        ((count,),) = self.hub.rows(
            "SELECT count(*) FROM registry.outbox WHERE type = 'onedoor.run.reported' AND payload->>'run' = %s", hub_run
        )
        return int(count)

    def airflow_says(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask Airflow's own database."""
        with psycopg.connect(self.home.role_url("airflow")) as connection:
            return connection.execute(statement).fetchall()

    def superuser(self, *statements: str) -> None:
        """Run statements as the server's superuser."""
        with psycopg.connect(self.home.cluster().url(), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def ready(self) -> int:
        """Return the status of the hub's readiness."""
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=30)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


def eventually(what: Callable[[], Any], *, within_s: float = WITHIN_S) -> Any:
    """Return the first true answer."""
    until = time.monotonic() + within_s
    while True:
        with contextlib.suppress(TransientError):
            if found := what():
                return found
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """One installation for the module, with one resource of 300 people."""
    require("airflow")
    folder = Path(tempfile.mkdtemp(prefix="onedoor-home-"))
    folder.chmod(0o711)  # the account of PostgreSQL passes through it
    named = [n for n in os.environ if n.startswith("ONEDOOR_") and n not in ("ONEDOOR_TEST_SHARED", "ONEDOOR_REQUIRE")]
    before = {n: os.environ.pop(n) for n in named}
    try:
        with installation.running(folder) as made:
            with psycopg.connect(made.home.cluster().url(), autocommit=True) as connection:
                connection.execute("CREATE ROLE department LOGIN PASSWORD 'of-a-test'")
                connection.execute("CREATE DATABASE department OWNER department TEMPLATE template0")
            source = made.home.cluster().url("department", user="department", password="of-a-test")
            hub = HubForTests(open_hub(made.settings), source)
            hub.source(
                PEOPLE_TABLE,
                f"""INSERT INTO people SELECT n, '{PLANTED[0]}' || n, '{PLANTED[1]}', '马坝镇',
                      timestamptz '2026-10-01 00:00:00+08' + n * interval '1 minute' FROM generate_series(1, {ROWS}) n""",
            )
            hub.register(PEOPLE)
            api = airflow.api(made.home)
            eventually(lambda: known(api, DAG))
            try:
                yield Running(made.home, hub, api, made.settings.api_port)
            finally:
                hub.hub.close()
    finally:
        os.environ.pop("ONEDOOR_HOME", None)
        os.environ.update(before)
        for data in folder.glob("**/postgres/postmaster.pid"):
            postgres.stop(data.parent)
        shutil.rmtree(folder, ignore_errors=True)


def known(api: airflow.AirflowApi, dag: str) -> bool:
    try:
        return not api.call("GET", f"/dags/{dag}")["is_stale"]
    except OneDoorError:
        return False


def test_a_triggered_run_lands_the_source_and_tells_its_asset_and_the_provider_once(running: Running) -> None:
    run = running.trigger()
    assert running.ended(run) == "success"
    counts = running.counts(run)
    assert (counts["state"], counts["rows_read"], counts["rows_landed"]) == ("proved", ROWS, ROWS)
    assert len(running.stored()) == ROWS
    assert running.hub.reconcile("people").equal
    (pool,) = [p for p in running.api.call("GET", "/pools")["pools"] if p["name"] == "onedoor_test_system"]
    assert pool["slots"] == airflow.POOL_SLOTS
    assert running.task(run, "collect")["pool"] == "onedoor_test_system"
    events = running.api.call("GET", f"/assets/events?source_dag_id={DAG}")["asset_events"]
    assert [(e["uri"], e["source_task_id"]) for e in events] == [("onedoor://store/people", "prove")]
    assert running.told(running.hub_run(run)) == 1


def test_clearing_and_running_again_ends_in_the_same_store_content(running: Running) -> None:
    run = running.trigger(full=True)
    assert running.ended(run) == "success"
    assert running.counts(run)["mode"] == "full"
    before, first = running.stored(), running.hub_run(run)

    clear(running, run, "notify")
    assert running.told(first) == 1

    clear(running, run, "collect")
    assert running.stored() == before
    second = running.hub_run(run)
    assert second != first
    assert (running.told(first), running.told(second)) == (1, 1)
    assert running.hub.reconcile("people").equal


def clear(running: Running, run: str, task: str) -> None:
    """Clear a task and what comes after it, and wait until all of it has run again."""
    tried = running.task(run, task)["try_number"]
    body = {"dry_run": False, "dag_run_id": run, "task_ids": [task], "include_downstream": True, "only_failed": False}
    running.api.call("POST", f"/dags/{DAG}/clearTaskInstances", body)
    eventually(lambda: running.task(run, task)["try_number"] > tried and running.task(run, "notify")["state"] == "success")
    assert running.ended(run) == "success"


def test_a_run_from_a_cursor_reads_what_comes_after_it(running: Running) -> None:
    before = running.stored() or (running.ended(running.trigger()) and running.stored())
    run = running.trigger(since="2026-09-30T20:00:00Z")
    assert running.ended(run) == "success"
    counts = running.counts(run)
    assert counts["mode"] == "incremental"
    assert 0 < counts["rows_read"] < ROWS
    assert counts["rows_unchanged"] == counts["rows_read"]
    assert running.stored() == before


def test_a_refused_source_fails_at_the_first_try_and_a_mended_one_goes_on(running: Running) -> None:
    running.hub.source("ALTER TABLE people RENAME TO renamed")
    try:
        run = running.trigger()
        assert running.ended(run) == "failed"
    finally:
        running.hub.source("ALTER TABLE renamed RENAME TO people")
    assert (running.task(run, "collect")["state"], running.task(run, "collect")["try_number"]) == ("failed", 1)
    assert running.task(run, "prove")["state"] == "upstream_failed"
    assert running.ended(running.trigger()) == "success"


def test_airflow_keeps_its_dags_while_the_hubs_database_refuses_and_all_goes_on_afterwards(running: Running) -> None:
    eventually(lambda: running.ready() == 200)
    running.superuser(
        "ALTER DATABASE onedoor ALLOW_CONNECTIONS false",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'onedoor'",
    )
    try:
        eventually(lambda: running.ready() == 503)
        for _ in range(3):
            eventually(partial(parsed_after, running, parsed_at(running)))
        assert known(running.api, DAG)
        assert running.api.call("GET", "/importErrors")["total_entries"] == 0
    finally:
        running.superuser("ALTER DATABASE onedoor ALLOW_CONNECTIONS true")
    eventually(lambda: running.ready() == 200)
    run = running.trigger(full=True)
    assert running.ended(run) == "success"
    assert running.hub.reconcile("people").equal


def parsed_at(running: Running) -> str:
    return str(running.api.call("GET", f"/dags/{DAG}")["last_parsed_time"])


def parsed_after(running: Running, before: str) -> bool:
    return parsed_at(running) > before


def test_no_personal_value_is_in_airflows_logs_or_database(running: Running) -> None:
    if not running.runs:
        assert running.ended(running.trigger()) == "success"
    logs = [file for file in running.home.logs_dir.rglob("*") if file.is_file()]
    assert any("task_id=collect" in str(file) for file in logs)
    found = [file.name for file in logs if any(value.encode() in file.read_bytes() for value in PLANTED)]
    assert found == []
    for (name,) in running.airflow_says("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        text = "".join(row[0] or "" for row in running.airflow_says(f'SELECT t::text FROM public."{name}" t'))
        assert not any(value in text or repr(value.encode())[2:-1] in text for value in PLANTED), name
        escaped = [value.encode("unicode_escape").decode() for value in PLANTED]
        assert not any(value in text for value in escaped), name
