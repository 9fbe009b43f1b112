"""What becomes of a revision by itself: told to who is newly touched, held, or put in force; its grants lose what is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from catalog_registry.affected import affected, consequence, ended, kept_fields
from catalog_registry.grants import Grants
from catalog_registry.notice_records import RevisionRecord, revision_record
from catalog_registry.notices import Notices, department_of, each
from catalog_registry.records import GrantRecord
from catalog_registry.revision_states import (
    REVISION_LIFE,
    TOLD_STATES,
    RevisionEvent,
    RevisionState,
)
from catalog_registry.rules import refused
from catalog_registry.states import ResourceState
from catalog_registry.store.change import Change
from catalog_registry.store.destruction_tables import Narrowing
from catalog_registry.store.documents import write_documents
from catalog_registry.store.history import resource_step, write_step
from catalog_registry.store.notice_tables import Notice, Revision, RevisionHistory
from catalog_registry.store.rows import grant_record, grants_of
from catalog_registry.store.tables import Grant, Resource
from schemas.contract import DataContract
from schemas.errors import RejectedError
from schemas.evolution import Evolution, diff
from schemas.odcs import read_contract

HUB: Final = "onedoor"
"""Who takes the steps that nobody decides on: a notice that is over, a grant that has no field left."""

OPEN: Final = (RevisionState.PROPOSED, *TOLD_STATES)
_TOLD: Final[Mapping[RevisionEvent, str]] = {
    RevisionEvent.REJECT: "revision.rejected",
    RevisionEvent.GIVE_NOTICE: "revision.noticed",
    RevisionEvent.APPROVE: "revision.approved",
    RevisionEvent.HOLD: "revision.held",
    RevisionEvent.GO_ON: "revision.decided",
    RevisionEvent.TAKE_EFFECT: "revision.in_force",
    RevisionEvent.WITHDRAW: "revision.withdrawn",
}


class RevisionEffects(Grants, Notices):
    """Steps of revisions that nobody decides on, and what every step writes."""

    def move_revisions(self) -> list[RevisionRecord]:
        """Take the steps that are due: tell who became affected, put in force, or hold; return those that took one.

        For the worker, as often as it likes: each step is taken once. Each revision is a change of its own, and one that cannot
        be moved holds up no other.
        """
        withdrawn = select(Resource.name).where(Resource.state == ResourceState.WITHDRAWN)
        on_its_way = or_(Revision.state.in_(TOLD_STATES), Revision.resource.in_(withdrawn))
        with self._database.read() as session:
            query = select(Revision.id).where(Revision.state.in_(OPEN), on_its_way).order_by(Revision.id)
            waiting = session.scalars(query).all()
        moved = []

        def move(revision: str) -> None:
            with self._database.change() as change:
                row = change.session.get_one(Revision, revision)
                before = row.version
                resource = change.session.get_one(Resource, row.resource)
                self._move_revision(change, row, resource)
                if row.version != before:
                    moved.append(revision_record(row, resource.department))

        try:
            each(waiting, move)
        finally:
            if moved:
                self.refresh_dags()
        return moved

    def _move_revision(self, change: Change, row: Revision, resource: Resource) -> None:
        if row.state not in OPEN:  # another worker was before this one
            return
        if resource.state == ResourceState.WITHDRAWN:
            self._revision_step(
                change, row, RevisionEvent.WITHDRAW, by=HUB, department=resource.department, why="the resource is withdrawn"
            )
            return
        contract = read_contract(row.odcs, where=row.id)
        evolution, touched = self._touched_by(change.session, resource, contract)
        self._tell_departments(change, row.resource, touched, revision=row.id)
        if row.state == RevisionState.NOTICED and row.ends_at is not None and self._clock.now() < row.ends_at:
            return
        decided = _was(change.session, row, RevisionEvent.GO_ON)
        silent = [] if decided else _silent(change.session, row, [grant for grant, _ in touched])
        if not silent:
            self._put_revision_in_force(change, row, resource, contract, evolution)
        elif row.state != RevisionState.HELD:
            over = "the notice is over" if row.noticed_at is not None else "it breaks a grant that was made meanwhile"
            why = f"{over}, and {', '.join(silent)} did not acknowledge"
            self._revision_step(change, row, RevisionEvent.HOLD, by=HUB, department=resource.department, why=why)

    def _put_revision_in_force(
        self, change: Change, row: Revision, resource: Resource, contract: DataContract, evolution: Evolution
    ) -> None:
        """Put a version in force and take from the grants what is gone, or hold it where it no longer fits what is there."""
        try:
            if row.from_version != resource.version:
                raise refused(f"version {resource.version} is in force by now", "revision.outdated", where=row.id)
            self._belongs(change.session, contract)
        except RejectedError as error:
            if row.state != RevisionState.HELD:
                self._revision_step(change, row, RevisionEvent.HOLD, by=HUB, department=resource.department, why=str(error))
            return
        self._put_in_force(change, resource, contract, row.odcs, row.hash, row.made_by)
        resource.row_version += 1
        detail = {"version": resource.version, "revision": row.id}
        resource_step(
            change.session, resource, "change", at=self._clock.now(), by=row.made_by, before=resource.state, detail=detail
        )
        write_documents(change.session, resource, contract)
        told = {"grants": self._narrow_grants(change, row, contract)} if evolution.breaking else None
        self._revision_step(change, row, RevisionEvent.TAKE_EFFECT, by=HUB, department=resource.department, detail=told)

    def _narrow_grants(self, change: Change, revision: Revision, contract: DataContract) -> list[dict[str, Any]]:
        """Take from each grant the fields that are gone; one that has none left ends. Return what was done, as JSON."""
        done = []
        for row in change.session.scalars(select(Grant).where(Grant.resource == contract.name).order_by(Grant.id)):
            grant = grant_record(row)
            kept = kept_fields(grant, contract)
            if ended(grant, self._clock.now()) or kept == grant.fields:
                continue
            if kept:
                gone = [name for name in row.fields if name not in kept]
                change.session.add(Narrowing(grant_id=row.id, at=self._clock.now(), fields=gone, revision=revision.id))
                row.fields = list(kept)
                row.version += 1
                told = {"resource": row.resource, "fields": row.fields, "revision": revision.id}
                change.event("grant.narrowed", row.id, told)
            else:
                self._end_grant(change, row, by=HUB, why=f"by revision {revision.id} none of its fields is there any more")
            done.append({"grant": row.id, "fields": list(kept)})
        return done

    def _touched_by(
        self, session: Session, resource: Resource, contract: DataContract
    ) -> tuple[Evolution, list[tuple[GrantRecord, dict[str, Any]]]]:
        """Return what changes, and what becomes of each grant that it touches."""
        evolution = diff(self._in_force(session, resource), contract)
        grants = grants_of(session, resource.name)
        touched = {one.grant: one for one in affected(evolution, grants, self._clock.now())}
        told = [(grant, consequence(grant, touched[grant.id], contract)) for grant in grants if grant.id in touched]
        return evolution, told

    def _revision_step(
        self,
        change: Change,
        row: Revision,
        event: RevisionEvent,
        *,
        by: str,
        department: str,
        why: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        before, now = RevisionState(row.state), self._clock.now()
        row.state, row.changed_at = REVISION_LIFE.advance(before, event), now
        row.version += 1
        write_revision(change, row, event, at=now, by=by, before=before, why=why.strip() or None, detail=detail)
        tell_revision(change, row, _TOLD[event], by, department)
        change.session.flush()


def _was(session: Session, row: Revision, event: RevisionEvent) -> bool:
    """Say whether a step was taken of a revision."""
    query = select(RevisionHistory.n).where(RevisionHistory.revision == row.id, RevisionHistory.event == event)
    return session.scalars(query).first() is not None


def _silent(session: Session, row: Revision, touched: list[GrantRecord]) -> list[str]:
    """Return the departments that are touched and did not acknowledge; one whose grants have ended is not waited for."""
    concerned = {department_of(session, grant) for grant in touched}
    heard = session.scalars(select(Notice.department).where(Notice.revision == row.id, Notice.acknowledged_at.is_not(None)))
    return sorted(concerned - set(heard))


def write_revision(change: Change, row: Revision, event: str, **more: Any) -> None:
    """Write a step into the history of a revision; the row is as it is after the step."""
    write_step(change.session, RevisionHistory, row.id, event, n=row.version, after=row.state, **more)


def tell_revision(change: Change, row: Revision, type_: str, by: str, department: str) -> None:
    """Tell of a step of a revision."""
    change.event(
        type_,
        row.id,
        {
            "resource": row.resource,
            "department": department,
            "from_version": row.from_version,
            "to_version": row.to_version,
            "breaking": row.breaking,
            "state": row.state,
            "version": row.version,
            "ends_at": None if row.ends_at is None else row.ends_at.isoformat(),
            "by": by,
        },
    )
