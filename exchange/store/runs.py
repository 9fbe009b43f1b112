"""Runs as the hub's database holds them: their states, their chunks, their figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from exchange.store.database import Connection
from schemas.errors import DefectError, Fault, OneDoorError, RejectedError
from schemas.ids import new_id
from schemas.resource import event_topic

OPEN = ("collecting", "collected")


@dataclass(frozen=True, slots=True)
class Run:
    """A row of ``exchange.run``."""

    id: str
    resource: str
    contract_version: str
    mode: str
    state: str
    attempt: int
    topic: str
    topic_id: str
    started_at: datetime
    collected_at: datetime | None
    ended_at: datetime | None
    as_of_first: datetime | None
    as_of_last: datetime | None
    cursor_after: str | None
    cursor_bound: str | None
    bound_kind: str | None
    source_stable: bool | None
    rows_read: int
    rows_set_aside: int
    rows_inserted: int | None
    rows_changed: int | None
    rows_unchanged: int | None
    rows_deleted: int | None
    read_is_landed: bool | None
    error: dict[str, Any] | None
    report: dict[str, Any]
    report_state: str

    @property
    def rows_landed(self) -> int | None:
        """Rows inserted, changed and unchanged, once the run is closed."""
        if self.rows_inserted is None or self.rows_changed is None or self.rows_unchanged is None:
            return None
        return self.rows_inserted + self.rows_changed + self.rows_unchanged

    def as_json(self) -> dict[str, Any]:
        """Return the run's JSON: a form that every later part reads, frozen by ``tests/golden``."""
        ended = self.ended_at or self.collected_at
        return {
            "run": self.id,
            "resource": self.resource,
            "contract_version": self.contract_version,
            "mode": self.mode,
            "state": self.state,
            "attempt": self.attempt,
            "rows_read": self.rows_read,
            "rows_set_aside": self.rows_set_aside,
            "rows_landed": self.rows_landed,
            "rows_inserted": self.rows_inserted,
            "rows_changed": self.rows_changed,
            "rows_unchanged": self.rows_unchanged,
            "rows_deleted": self.rows_deleted,
            "read_is_landed": self.read_is_landed,
            "source_stable": self.source_stable,
            "bound": self.bound_kind,
            "cursor_after": self.cursor_after,
            "cursor_bound": self.cursor_bound,
            "as_of_first": _iso(self.as_of_first),
            "as_of_last": _iso(self.as_of_last),
            "started_at": _iso(self.started_at),
            "ended_at": _iso(self.ended_at),
            "seconds": round((ended - self.started_at).total_seconds(), 3) if ended else None,
            "stages": self.report.get("stages", []),
            "quality": self.report.get("quality"),
            "error": self.error,
        }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


_COLUMNS = ", ".join(Run.__dataclass_fields__)


def find_run(connection: Connection, run: str) -> Run | None:
    """Return a run, or None."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(f"SELECT {_COLUMNS} FROM exchange.run WHERE id = %s", [run]).fetchone()


def get_run(connection: Connection, run: str) -> Run:
    """Return a run. Raises ``RejectedError`` where there is none of that id."""
    found = find_run(connection, run)
    if found is None:
        raise RejectedError(f"there is no run {run}", code="run.unknown", remedy="see `onedoor runs`", fault=Fault.CLIENT)
    return found


def open_run(connection: Connection, resource: str) -> Run | None:
    """Return the run of a resource that is not closed yet, or None."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM exchange.run WHERE resource = %s AND state IN ('collecting', 'collected')", [resource]
        ).fetchone()


def list_runs(connection: Connection, resource: str | None = None, limit: int = 50) -> Sequence[Run]:
    """Return the newest runs first."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"""SELECT {_COLUMNS} FROM exchange.run WHERE %s::text IS NULL OR resource = %s
                ORDER BY started_at DESC, id DESC LIMIT %s""",
            [resource, resource, limit],
        ).fetchall()


def fail_run(connection: Connection, run: str, error: OneDoorError, now: datetime) -> None:
    """Close a run as failed, with the reason. What it had landed in its stage is dropped by the caller."""
    cursor = connection.execute(
        """UPDATE exchange.run SET state = 'failed', ended_at = %s, error = %s
           WHERE id = %s AND state IN ('collecting', 'collected')""",
        [now, Jsonb(error_json(error)), run],
    )
    if cursor.rowcount == 0:
        return  # closed already
    connection.execute("DELETE FROM exchange.landed_message WHERE run = %s", [run])
    run_event(connection, get_run(connection, run), now)


def run_event(connection: Connection, run: Run, now: datetime) -> None:
    """Write the event that a run is closed to the outbox, in the caller's transaction: no event without its change."""
    body = run.as_json()
    body.pop("error", None)
    connection.execute(
        "INSERT INTO registry.outbox (id, at, topic, key, type, payload) VALUES (%s, %s, %s, %s, %s, %s)",
        [new_id("e", now), now, event_topic("runs"), run.resource, f"onedoor.run.{run.state}", Jsonb(body)],
    )


def closed_by(run: Run) -> OneDoorError:
    """Return the error that a run was closed with, for whoever was still at work on it."""
    found = run.error or {}
    return DefectError(
        found.get("message") or "the run was closed while it was being collected",
        code=found.get("code") or "run.closed",
        where=found.get("where") or f"run {run.id}",
        remedy=found.get("remedy") or "collect again",
    )


def error_json(error: OneDoorError) -> dict[str, Any]:
    """Return an error as a run keeps it."""
    return {
        "kind": error.kind,
        "code": error.code,
        "message": error.message,
        "where": error.where,
        "remedy": error.remedy,
        "fault": str(error.fault),
    }


def set_waiting(connection: Connection, run: str, error: OneDoorError) -> None:
    """Note what a collected run waits for, so that a person can see it."""
    connection.execute(
        "UPDATE exchange.run SET error = %s WHERE id = %s AND state = 'collected'", [Jsonb(error_json(error)), run]
    )
