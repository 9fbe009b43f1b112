"""Telling of applications, and handing on what a department has no longer to answer: the resource went to another one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from catalog_registry.application_clock import RULES
from catalog_registry.correction_life import RULES as RULES_OF_CORRECTION
from catalog_registry.correction_words import CorrectionEvent
from catalog_registry.corrections import write_correction
from catalog_registry.states import ApplicationEvent
from catalog_registry.store.change import Change
from catalog_registry.store.correction_tables import Correction
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
    """Assign what waits for an answer about a resource, and what is to be corrected in it, to the department that has it now.

    What the centre handed over to a third department stays there; what the new department itself asked for stays where it is:
    it asks for what has become its own. Clocks go on.
    """
    why, detail = f"{resource} is {now_of}'s now", {"from": was, "to": now_of}
    applications = select(Application).where(
        Application.resource == resource,
        Application.assigned == was,
        Application.department != now_of,
        Application.state.in_(list(RULES)),
    )
    for row in change.session.scalars(applications.order_by(Application.id)):
        row.assigned, row.changed_at = now_of, at
        row.version += 1
        application_step(
            change.session, row, ApplicationEvent.HAND_OVER, at=at, by=by, before=row.state, why=why, detail=detail
        )
        tell(change, row, "application.handed_over", by)
    corrections = select(Correction).where(
        Correction.resource == resource,
        Correction.assigned == was,
        Correction.department != now_of,
        Correction.state.in_(list(RULES_OF_CORRECTION)),
    )
    for disputed in change.session.scalars(corrections.order_by(Correction.id)):
        disputed.assigned = now_of
        write_correction(change, disputed, CorrectionEvent.HAND_OVER, now=at, by=by, why=why, detail=detail)
