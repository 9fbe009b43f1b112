"""Transactions of the registry: reads, and changes that carry their events with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, create_engine, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from catalog_registry.store.tables import Outbox, Version
from schemas.clock import Clock
from schemas.errors import DefectError, DeniedError, Fault, OneDoorError, RejectedError, TransientError
from schemas.ids import new_id
from schemas.resource import event_topic

CHANNEL: Final = "onedoor_registry"
"""PostgreSQL channel that tells of a change; the payload is the new version."""

_CONNECT_S: Final = 10
LOCK_S: Final = 10
"""Seconds that a change waits for another one, and for any row."""

_BROKEN: Final[Mapping[str, str]] = {
    "ck_principal_one_administrator": "one principal cannot be two of the three administrators (system, security, audit)",
    "ck_principal_administrator_is_a_person": "a machine cannot be an administrator",
    "ck_principal_roles_known": "there is no role of that name",
    "uq_principal_name": "there is a principal of that name",
    "uq_department_credit_code": "another department has that credit code",
    "uq_resource_code": "another resource has that code",
    "fk_catalogue_entry_code": "the code of a resource that is in the catalogue never changes",
    "ck_principal_begins_without_roles": "whoever makes an account gives it no role",
    "ck_resource_begins_as_draft": "a resource begins as a draft, and is reviewed",
    "ck_resource_goes_its_way": "the step is not for the state that the resource is in",
    "ck_resource_changes_by_revision": "the contract of a resource that is shared, or being reviewed, is not changed by a step",
    "ck_contract_version_is_reviewed": "a version of a contract is in force once it was reviewed",
    "ck_grant__quota_form": "a quota is of per_day, per_minute with burst, and rows_per_day",
    "ck_grant__of_application": "a grant is that of an application which was granted, or a security officer's",
    "ck_destruction_two_persons": "whoever filed a certificate does not confirm it",
    "ck_bulk_export_second_person": "whoever asked for a bulk export does not approve it",
    "ck_grant__interval": "the grant must end after it begins",
    "ck_application_applicant_does_not_check": "whoever applied does not check the application",
    "ck_application_applicant_does_not_answer": "whoever applied does not answer the application",
    "ck_application_two_reviewers": "the check and the answer of an application are two persons'",
    "ck_correction_asker_does_not_answer": "whoever asked for a correction does not answer it",
    "ck_correction_asker_does_not_decide": "whoever asked for a correction does not decide it",
    "ck_correction_two_persons": "the answer to a correction and the decision about it are two persons'",
    "ck_demand_asker_does_not_appoint": "whoever asked does not appoint who provides it",
    "ck_demand_asker_does_not_answer": "whoever asked does not answer the demand",
    "ck_demand_two_persons": "the appointment and the answer of a demand are two persons'",
    "ck_source_url_without_password": "the URL of a source is kept without its password",
}


@dataclass
class Change:
    """An open change. What ``event`` is told is written with it, or neither is."""

    session: Session
    events: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def event(self, type_: str, subject: str, data: Mapping[str, Any]) -> None:
        """Add an event ``onedoor.registry.<type_>`` about ``subject``. ``data`` is JSON and holds no personal value."""
        self.events.append((f"onedoor.registry.{type_}", subject, data))


class Database:
    """The registry's database, with the hub's clock. Safe to share between threads; opened at the first use."""

    def __init__(self, url: str, clock: Clock) -> None:
        if not url:
            raise RejectedError(
                "there is no hub in this data folder yet",
                code="hub.not_started",
                remedy="start it with `onedoor up`, or set ONEDOOR_DATABASE_URL",
            )
        self.clock = clock
        self._engine: Engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: _connect(url),
            pool_size=2,
            max_overflow=4,
            pool_pre_ping=True,
            hide_parameters=True,
        )

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session for a few reads."""
        with _told(), Session(self._engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session for a write that is no change of the registry: no event, no new version."""
        with _told(), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Give a change: one at a time in the whole hub, with its events, or nothing of it.

        A change that adds no event is taken for none: the version stays.
        """
        with _told(), Session(self._engine) as session, session.begin():
            session.execute(text(f"SET LOCAL lock_timeout = '{LOCK_S}s'"))
            version = session.scalars(select(Version).with_for_update()).one()
            change = Change(session)
            yield change
            session.flush()
            if not change.events:
                return
            version.value += 1
            now = self.clock.now()
            topic = event_topic("registry")
            rows = [
                {"id": new_id("e", now), "at": now, "topic": topic, "key": subject, "type": type_, "payload": dict(data)}
                for type_, subject, data in change.events
            ]
            session.execute(insert(Outbox), rows)  # one after the other, so that ``n`` is their order
            session.execute(text("SELECT pg_notify(:channel, :version)"), {"channel": CHANNEL, "version": str(version.value)})

    def version(self) -> int:
        """Return the number that every change raises."""
        with self.read() as session:
            return session.scalars(select(Version.value)).one()


def _connect(url: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url, connect_timeout=_CONNECT_S, application_name="onedoor registry")
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()
    return connection


class Part:
    """What each part of the registry holds.

    Args:
        url: libpq URL of the hub's database.
        clock: the hub's clock.
        keys_dir: where passwords of sources are kept; None: sources can be listed, not opened.
        dags_json: the snapshot for Airflow, written whenever a resource is registered; None: not written.
    """

    def __init__(self, url: str, clock: Clock, *, keys_dir: Path | None = None, dags_json: Path | None = None) -> None:
        self._database = Database(url, clock)
        self._clock = clock
        self._keys_dir = keys_dir
        self._dags_json = dags_json

    def close(self) -> None:
        """Let go of all connections."""
        self._database.close()

    def version(self) -> int:
        """Return a number that every change raises; caches compare it."""
        return self._database.version()


@contextmanager
def _told() -> Iterator[None]:
    """Turn the driver's errors into ours. Their details are dropped where they repeat a row."""
    try:
        yield
    except DBAPIError as error:
        raise _translated(error) from None
    except PoolTimeoutError as error:
        raise TransientError("the registry's connections are all in use", code="registry.busy", remedy="try again") from error


def _translated(error: DBAPIError) -> OneDoorError:
    cause = error.orig
    if isinstance(cause, psycopg.errors.IntegrityError):
        name = cause.diag.constraint_name or ""
        return RejectedError(
            _BROKEN.get(name, f"the registry refused it by its rule {name}"),
            code="registry.rule",
            where=name or None,
            fault=Fault.CLIENT,
        )
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return DeniedError(
            "this process may read the registry, not change it", code="registry.privilege", remedy="use the database's owner"
        )
    if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return RejectedError("the database holds no hub of this release", code="store.not_migrated", remedy="run onedoor up")
    if isinstance(cause, psycopg.errors.LockNotAvailable):
        return TransientError(
            f"another change of the registry has not ended for {LOCK_S} s; nothing was changed",
            code="registry.busy",
            remedy="try again",
        )
    if isinstance(cause, psycopg.OperationalError):
        return TransientError("the hub's database cannot be reached", code="store.unreachable", remedy="see onedoor status")
    return DefectError(f"the registry's database refused a statement: {type(cause).__name__}", code="registry.statement")
