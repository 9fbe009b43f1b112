"""Writing down what was done: a row of a history, in the transaction of the change that it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from catalog_registry.store.tables import Application, ApplicationHistory, Resource, ResourceHistory


def resource_step(
    session: Session,
    row: Resource,
    event: str,
    *,
    at: datetime,
    by: str,
    before: str | None,
    why: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add a step to a resource's history. The row is as it is after the step; ``before`` is the state that it was in."""
    session.add(
        ResourceHistory(
            resource=row.name,
            n=row.row_version,
            at=at,
            by=by,
            event=event,
            from_state=before,
            to_state=row.state,
            why=why,
            detail=None if detail is None else dict(detail),
        )
    )


def application_step(
    session: Session,
    row: Application,
    event: str,
    *,
    at: datetime,
    by: str,
    before: str | None,
    why: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add a step to an application's history. The row is as it is after the step; ``before`` is the state that it was in."""
    session.add(
        ApplicationHistory(
            application=row.id,
            n=row.version,
            at=at,
            by=by,
            event=event,
            from_state=before,
            to_state=row.state,
            why=why,
            detail=None if detail is None else dict(detail),
        )
    )
