"""What an orchestrator's tasks call: one function a task, each safe to call again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from psycopg.types.json import Jsonb

from exchange.bootstrap import Hub, open_hub
from exchange.collect.wait import wait
from exchange.settings import load_settings
from exchange.store import runs
from exchange.store.database import translated
from exchange.store.runs import Run
from schemas.errors import DefectError, OneDoorError, RejectedError, TransientError, raised_at
from schemas.resource import event_topic

PROVE_S: Final = 3600.0
REPORT_S: Final = 300.0


@contextmanager
def _hub() -> Iterator[Hub]:
    """Give the hub. The boundary of a task: an unexpected error could quote a row, and goes on without its words."""
    hub = open_hub(load_settings())
    try:
        yield hub
    except OneDoorError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary
        raise DefectError(
            f"something that must not happen has happened ({type(error).__name__})", code="task.defect", where=raised_at(error)
        ) from None
    finally:
        hub.close()


def collect_resource(name: str, *, full: bool = False, since: str | None = None) -> str:
    """Collect a resource and return the run's id. Called again, it goes on with a run cut short, or makes another one."""
    from exchange.collect.collect import collect  # the other tasks only wait, and do without all that this needs

    with _hub() as hub:
        return collect(hub, name, full=full, since=since)


def prove_run(run_id: str) -> dict[str, Any]:
    """Wait until a run is landed and proved, and return its JSON.

    Raises:
        TransientError: it is not closed yet, or failed in a way that another run may mend.
        RejectedError, DefectError: it failed, and somebody must mend something.
    """
    with _hub() as hub:
        run = wait(hub, run_id, timeout_s=PROVE_S)
        if run.state == "failed":
            raise _failure(run)
        return run.as_json()


def report_run(run_id: str) -> dict[str, Any] | None:
    """Wait until the quality report of a run is made, and return its verdict; None where reports are off."""
    with _hub() as hub, translated(), hub.connect(autocommit=True) as connection:
        if hub.settings.report == "off":
            return None
        deadline = time.monotonic() + REPORT_S
        while True:
            run = runs.get_run(connection, run_id)
            if run.report_state in ("done", "failed"):
                return run.report.get("quality")
            if time.monotonic() > deadline:
                raise TransientError(
                    "the quality report was not made in time",
                    code="report.not_made",
                    where=f"run {run_id}",
                    remedy="see the worker's log",
                )
            time.sleep(0.5)


def notify_run(run_id: str) -> dict[str, Any]:
    """Tell the provider's department, by an event on the bus, what a run brought and how good it was.

    The event's id is made of the run's, so that called again, at once or a year later, it tells nothing new.
    """
    with _hub() as hub, translated(), hub.connect() as connection:
        run = runs.get_run(connection, run_id)
        now = hub.clock.now()
        body = {"run": run.id, "resource": run.resource, "rows_landed": run.rows_landed, "rows_set_aside": run.rows_set_aside}
        body["quality"] = (run.report.get("quality") or {}).get("success")
        connection.execute(
            """INSERT INTO registry.outbox (id, at, topic, key, type, payload) VALUES (%s, %s, %s, %s, %s, %s)
               ON CONFLICT (id) DO NOTHING""",
            [f"{run.id}.reported", now, event_topic("runs"), run.resource, "onedoor.run.reported", Jsonb(body)],
        )
        return body


def compare_resource(name: str) -> dict[str, Any]:
    """Compare a resource with its source, and return the JSON of the reconciliation.

    Raises:
        RejectedError: they differ (``store.differs``); the message counts the keys, ``onedoor reconcile`` names them.
    """
    from exchange.store.reconcile import reconcile

    with _hub() as hub:
        found = reconcile(hub, name)
        if not found.equal:
            raise RejectedError(
                f"{name} differs from its source: {found.missing.count} keys missing, {found.extra.count} extra, "
                f"{found.different.count} different",
                code="store.differs",
                where=f"store.{name}",
                remedy=f"see `onedoor reconcile {name}`; `onedoor collect {name} --full` mends it",
            )
        return found.as_json()


def _failure(run: Run) -> Exception:
    error = run.error or {}
    kind = {"transient": TransientError, "rejected": RejectedError}.get(error.get("kind", ""), DefectError)
    return kind(
        error.get("message", "the run failed"),
        code=error.get("code", "run.failed"),
        where=f"run {run.id}",
        remedy=error.get("remedy"),
    )
