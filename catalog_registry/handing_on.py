"""Telling of applications, and handing those on that a department has no longer to answer: the resource went to another one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from catalog_registry.application_clock import RULES
from catalog_registry.states import ApplicationEvent
from catalog_registry.store.change import Change
from catalog_registry.store.history import application_step
from catalog_registry.store.tables import Application


def tell(change: Change, row: Application, type_: str, by: str) -> None:
    """Add the event of a step of an application."""
    change.event(
        type_,
        row.id,
        {
            "resource": row.resource,
            "department": row.department,
            "assigned": row.assigned,
            "state": row.state,
            "version": row.version,
            "grant": row.grant_id,
            "by": by,
        },
    )


def follow_resource(change: Change, resource: str, was: str, now_of: str, *, by: str, at: datetime) -> None:
    """Assign what waits for an answer about a resource to the department that has it now.

    An application that the centre handed over to a third department stays there; one of the new department itself stays where
    it is: it asks for what has become its own.
    """
    query = select(Application).where(
        Application.resource == resource,
        Application.assigned == was,
        Application.department != now_of,
        Application.state.in_(list(RULES)),
    )
    for row in change.session.scalars(query):
        row.assigned, row.changed_at = now_of, at
        row.version += 1
        why = f"{resource} is {now_of}'s now"
        detail = {"from": was, "to": now_of}
        application_step(
            change.session, row, ApplicationEvent.HAND_OVER, at=at, by=by, before=row.state, why=why, detail=detail
        )
        tell(change, row, "application.handed_over", by)
