"""Writing down what was done: a row of a history, in the transaction of the change that it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_registry.store.correction_tables import Correction, CorrectionHistory
from catalog_registry.store.notice_tables import Withdrawal
from catalog_registry.store.tables import Application, ApplicationHistory, History, Resource, ResourceHistory


def write_step(
    session: Session,
    table: type[History],
    key: str,
    event: str,
    *,
    n: int,
    at: datetime,
    by: str,
    before: str | None,
    after: str,
    why: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add a step to a history.

    Args:
        session: of the change.
        table: the history.
        key: of what it is the history of.
        event: what was done.
        n: the version that it led to.
        at: when.
        by: id of the principal, or who else did it.
        before: the state that it was in; None where there was nothing.
        after: the state that it is in now.
        why: the reason.
        detail: what was given, or handed over to whom.
    """
    session.add(
        table(
            **{table.of: key},
            n=n,
            at=at,
            by=by,
            event=event,
            from_state=before,
            to_state=after,
            why=why,
            detail=None if detail is None else dict(detail),
        )
    )


def resource_step(session: Session, row: Resource, event: str, **more: Any) -> None:
    """Add a step to a resource's history, as ``write_step``. The row is as it is after the step."""
    write_step(session, ResourceHistory, row.name, event, n=row.row_version, after=row.state, **more)


def application_step(session: Session, row: Application, event: str, **more: Any) -> None:
    """Add a step to an application's history, as ``write_step``. The row is as it is after the step."""
    write_step(session, ApplicationHistory, row.id, event, n=row.version, after=row.state, **more)


def correction_step(session: Session, row: Correction, event: str, **more: Any) -> None:
    """Add a step to a correction's history, as ``write_step``. The row is as it is after the step."""
    write_step(session, CorrectionHistory, row.id, event, n=row.version, after=row.state, **more)


def end_withdrawal(session: Session, resource: str, outcome: str, *, at: datetime, by: str) -> Withdrawal | None:
    """Close the withdrawal of a resource that was to come, and return it; None where there is none."""
    row = session.scalars(select(Withdrawal).where(Withdrawal.resource == resource, Withdrawal.outcome.is_(None))).one_or_none()
    if row is not None:
        row.outcome, row.ended_at, row.ended_by = outcome, at, by
    return row
