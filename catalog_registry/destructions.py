"""Duties to destroy 销毁: a grant under which rows left in bulk leaves one when it ends; it is asked for, filed, confirmed.

So does one that loses some of its fields: what was received of those fields is to be destroyed.

Rows leave in bulk by a record query. A look-up gives single answers for a case, which belong into the case's file: its grant
leaves no duty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final

from sqlalchemy import ARRAY, ColumnElement, Text, any_, case, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from catalog_registry.acting import Sight, check_duty, check_other_person, check_version
from catalog_registry.destruction_life import (
    DESTRUCTION_LIFE,
    DESTRUCTION_REASONED,
    DUTIES_OF_DESTRUCTION,
    RULES,
    DestructionEvent,
    DestructionState,
)
from catalog_registry.records import DestructionRecord, PrincipalRecord, StepRecord
from catalog_registry.rules import check_said, refused
from catalog_registry.states import ResourceEvent, ResourceState
from catalog_registry.store.change import Change, Part
from catalog_registry.store.destruction_tables import Destruction, DestructionHistory, Narrowing
from catalog_registry.store.history import write_step
from catalog_registry.store.rows import known, known_principal, principal_record, step_record
from catalog_registry.store.tables import Grant, Principal, Resource, ResourceHistory, System
from schemas.ids import new_id
from schemas.resource import ResourceName

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_EVENTS: Final[Mapping[DestructionEvent, str]] = {
    DestructionEvent.FILE: "destruction.filed",
    DestructionEvent.RETURN: "destruction.returned",
    DestructionEvent.CONFIRM: "destruction.confirmed",
    DestructionEvent.WAIVE: "destruction.waived",
}
_WORKER: Final = "worker"
NARROWED: Final = "narrowed"
"""Over for some of its fields only."""

Act = Callable[[Destruction, PrincipalRecord, datetime], Mapping[str, str] | None]


class Destructions(Part):
    """The duties. A grant's end leaves one at most, and so does each loss of fields, whoever looks and however often."""

    def ask_destructions(self, grants: Collection[str]) -> list[str]:
        """Make the duties of those of these grants that have ended; return the ids of the grants that have one now.

        A grant has ended when its time is over, when it was revoked, or when its resource was withdrawn, whichever came first.
        Each duty is made once, with its first step and its event, in one transaction. Called again and again by the worker.
        """
        now = self._clock.now()
        if not self._ended(grants, now):
            return []
        with self._database.change() as change:
            session = change.session
            withdrawn = (
                select(func.min(ResourceHistory.at))
                .where(ResourceHistory.resource == Grant.resource, ResourceHistory.event == ResourceEvent.WITHDRAW)
                .scalar_subquery()
            )
            over = case((Grant.to_at <= now, Grant.to_at))
            ends = func.least(over, Grant.revoked_at, withdrawn)
            of_end = Destruction.ended != NARROWED
            there = set(session.scalars(select(Destruction.grant_id).where(_among(Destruction.grant_id, grants), of_end)))
            found = session.execute(
                select(Grant, _receiving(), ends, withdrawn)
                .where(_among(Grant.id, grants), ends.is_not(None))
                .order_by(Grant.id)
            ).all()
            for grant, receiver, ended_at, withdrawn_at in found:
                if grant.id in there:
                    continue
                ended = "withdrawn" if ended_at == withdrawn_at else "revoked" if ended_at == grant.revoked_at else "expired"
                self._ask_destruction(change, grant, receiver, ended, ended_at)
            return sorted({grant.id for grant, *_ in found} | there)

    def ask_narrowed(self, left: Mapping[str, datetime]) -> list[str]:
        """Make the duties of those of these grants that lost fields after rows had left; return the ids of the new duties.

        Each duty is made once for each time, as ``ask_destructions``. Whether the rows had those fields is not known here: who
        received none of them files that.

        Args:
            left: by id of a grant that has not ended, when rows first left under it.
        """
        there = select(Destruction.id).where(
            Destruction.grant_id == Narrowing.grant_id, Destruction.ended == NARROWED, Destruction.ended_at == Narrowing.at
        )
        query = (
            select(Narrowing, Grant, _receiving())
            .join(Grant, Grant.id == Narrowing.grant_id)
            .where(~there.exists())
            .order_by(Narrowing.at, Narrowing.grant_id)
        )
        with self._database.read() as session:
            waiting = [lost for lost, *_ in session.execute(query) if _had_left(lost, left)]
        if not waiting:
            return []
        with self._database.change() as change:
            return [
                self._ask_destruction(change, grant, receiver, NARROWED, lost.at, fields=lost.fields)
                for lost, grant, receiver in change.session.execute(query).all()
                if _had_left(lost, left)
            ]

    def _ask_destruction(
        self, change: Change, grant: Grant, receiver: str, ended: str, ended_at: datetime, *, fields: list[str] | None = None
    ) -> str:
        now = self._clock.now()
        row = Destruction(
            id=new_id("d", now),
            grant_id=grant.id,
            resource=grant.resource,
            department=receiver,
            ended=ended,
            ended_at=ended_at,
            fields=fields,
            state=DestructionState.ASKED,
            since=ended_at,
            version=1,
            made_at=now,
            changed_at=now,
        )
        change.session.add(row)
        change.session.flush()
        _step(change, row, "ask", "destruction.asked", at=now, by=_WORKER, before=None)
        return row.id

    def _ended(self, grants: Collection[str], now: datetime) -> bool:
        """Say whether one of these grants may have ended, so that looking for it opens no change."""
        withdrawn = select(Resource.name).where(Resource.state == ResourceState.WITHDRAWN)
        query = select(Grant.id).where(
            _among(Grant.id, grants), or_(Grant.to_at <= now, Grant.revoked_at.is_not(None), Grant.resource.in_(withdrawn))
        )
        with self._database.read() as session:
            return session.scalars(query.limit(1)).first() is not None

    def file_destruction(
        self, destruction: str, *, by: str, version: int, text: str, document: str | None = None, digest: str | None = None
    ) -> DestructionRecord:
        """File the certificate that what was received is destroyed, for the receiver.

        Args:
            destruction: id of the duty.
            by: id, client id or name of a ``consumer`` of the receiver's department.
            version: the version that it decided on.
            text: what was destroyed, where, how, and by whom.
            document: name of the signed document that is kept elsewhere; None: the text is the certificate.
            digest: SHA-256 of that document, 64 hex digits.

        Raises:
            RejectedError: the text is empty, a document comes without its digest, the duty is not in a state for it, or was
                changed meanwhile.
            DeniedError: the principal has not the role, or is of another department.
        """
        check_said(text, "the text of a certificate of destruction")
        if (document is None) != (digest is None) or (digest is not None and not _SHA256.fullmatch(digest)):
            raise refused(
                "a document is named with its SHA-256, 64 hex digits in lower case, or neither is given",
                "destruction.document",
                remedy="see `sha256sum`",
            )
        certificate = text.strip()

        def file(row: Destruction, who: PrincipalRecord, now: datetime) -> Mapping[str, str]:
            row.certificate, row.document = certificate, None if document is None else document.strip()[:200] or "document"
            row.sha256 = digest or sha256(certificate.encode()).hexdigest()
            row.filed_by, row.filed_at = who.id, now
            return {"sha256": row.sha256, "of": "text" if row.document is None else "document"}

        return self._step_taken(destruction, DestructionEvent.FILE, by=by, version=version, act=file)

    def return_destruction(self, destruction: str, *, by: str, version: int, why: str) -> DestructionRecord:
        """Give a certificate back, for the centre, and say what is missing; the clock of the receiver begins anew."""
        return self._step_taken(destruction, DestructionEvent.RETURN, by=by, version=version, why=why)

    def confirm_destruction(self, destruction: str, *, by: str, version: int, why: str = "") -> DestructionRecord:
        """Say, for the centre, that a certificate is good; by another person than the one who filed it."""

        def confirm(row: Destruction, who: PrincipalRecord, now: datetime) -> None:
            check_other_person(who, {row.filed_by or "": "filed it"}, DestructionEvent.CONFIRM)
            row.confirmed_by = who.id

        return self._step_taken(destruction, DestructionEvent.CONFIRM, by=by, version=version, why=why, act=confirm)

    def waive_destruction(self, destruction: str, *, by: str, version: int, why: str) -> DestructionRecord:
        """Let what was received be kept, for a reason such as a law that has it kept, or a later grant."""
        return self._step_taken(destruction, DestructionEvent.WAIVE, by=by, version=version, why=why)

    def _step_taken(
        self,
        destruction: str,
        event: DestructionEvent,
        *,
        by: str,
        version: int,
        why: str = "",
        act: Act | None = None,
    ) -> DestructionRecord:
        now = self._clock.now()
        with self._database.change() as change:
            row = known(change.session, Destruction, destruction, "destruction")
            who = principal_record(known_principal(change.session, by))
            check_duty(who, event, DUTIES_OF_DESTRUCTION[event], row.department)
            check_version(version, row.version, row.id)
            before = DestructionState(row.state)
            after = DESTRUCTION_LIFE.advance(before, event)
            if event in DESTRUCTION_REASONED:
                check_said(why, f"the reason to {event} a duty to destroy")
            detail = None if act is None else act(row, who, now)
            row.state, row.since, row.changed_at = after, now, now
            row.version += 1
            _step(change, row, event, _EVENTS[event], at=now, by=who.id, before=before, why=why.strip() or None, detail=detail)
            change.session.flush()
            return _record(row)

    def destruction(self, destruction: str) -> DestructionRecord:
        """Return a duty. Raises ``RejectedError`` where there is none of that id."""
        with self._database.read() as session:
            return _record(known(session, Destruction, destruction, "destruction"))

    def destructions(
        self,
        *,
        department: str | None = None,
        open_only: bool = False,
        seen: Sight | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[DestructionRecord]:
        """Return duties, oldest first: all, or those of a receiving department, those that are open, those that may be seen."""
        query = select(Destruction).order_by(Destruction.id).limit(limit)
        if department is not None:
            query = query.where(Destruction.department == department)
        if open_only:
            query = query.where(Destruction.state.in_(list(RULES)))
        if seen is not None and not seen.everything:
            query = query.where(Destruction.department == seen.department)
        if after is not None:
            query = query.where(Destruction.id > after)
        with self._database.read() as session:
            return [_record(row) for row in session.scalars(query)]

    def destruction_history(self, destruction: str) -> list[StepRecord]:
        """Return what was done to a duty, oldest first."""
        with self._database.read() as session:
            known(session, Destruction, destruction, "destruction")
            rows = session.scalars(
                select(DestructionHistory).where(DestructionHistory.destruction == destruction).order_by(DestructionHistory.n)
            )
            return [step_record(row) for row in rows]


def _among(column: ColumnElement[str] | InstrumentedAttribute[str], grants: Collection[str]) -> ColumnElement[bool]:
    """Choose by many ids, which are one parameter: the worker asks of all grants that are in force."""
    return column == any_(literal(list(grants), ARRAY(Text())))


def _receiving() -> ColumnElement[str]:
    """Give the department that received the rows of a grant."""
    return func.coalesce(
        Grant.receiver_department,
        select(System.department).where(System.code == Grant.receiver_system).scalar_subquery(),
        select(Principal.department).where(Principal.id == Grant.receiver_principal).scalar_subquery(),
    )


def _had_left(lost: Narrowing, left: Mapping[str, datetime]) -> bool:
    first = left.get(lost.grant_id)
    return first is not None and first <= lost.at


def _step(change: Change, row: Destruction, event: str, told: str, **more: object) -> None:
    write_step(change.session, DestructionHistory, row.id, event, n=row.version, after=row.state, **more)  # type: ignore[arg-type]
    change.event(
        told,
        row.id,
        {
            "grant": row.grant_id,
            "resource": row.resource,
            "department": row.department,
            "ended": row.ended,
            "fields": row.fields,
            "state": row.state,
            "version": row.version,
            "by": more["by"],
        },
    )


def _record(row: Destruction) -> DestructionRecord:
    return DestructionRecord(
        id=row.id,
        grant=row.grant_id,
        resource=ResourceName(row.resource),
        department=row.department,
        ended=row.ended,
        ended_at=row.ended_at,
        state=DestructionState(row.state),
        since=row.since,
        version=row.version,
        certificate=row.certificate,
        sha256=row.sha256,
        document=row.document,
        filed_by=row.filed_by,
        filed_at=row.filed_at,
        confirmed_by=row.confirmed_by,
        made_at=row.made_at,
        changed_at=row.changed_at,
        fields=None if row.fields is None else tuple(row.fields),
    )
