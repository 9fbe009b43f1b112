"""Duties to destroy 销毁: a grant under which rows left in bulk leaves one when it ends; it is asked for, filed, confirmed.

Rows leave in bulk by a record query. A look-up gives single answers for a case, which belong into the case's file: its grant
leaves no duty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final

from sqlalchemy import case, func, or_, select

from catalog_registry.acting import Sight, check_duty, check_other_person, check_version
from catalog_registry.clocks import Due, Rule, due
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
from catalog_registry.states import ResourceEvent
from catalog_registry.store.change import Change, Part
from catalog_registry.store.destruction_tables import TOLD, Destruction, DestructionHistory
from catalog_registry.store.history import write_step
from catalog_registry.store.rows import known, known_principal, principal_record, step_record
from catalog_registry.store.tables import Grant, Principal, ResourceHistory, System
from schemas.ids import new_id
from schemas.resource import ResourceName
from schemas.workdays import Calendar

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_EVENTS: Final[Mapping[DestructionEvent, str]] = {
    DestructionEvent.FILE: "destruction.filed",
    DestructionEvent.RETURN: "destruction.returned",
    DestructionEvent.CONFIRM: "destruction.confirmed",
    DestructionEvent.WAIVE: "destruction.waived",
    DestructionEvent.REMIND: "destruction.reminded",
    DestructionEvent.ESCALATE: "destruction.late",
}
_WORKER: Final = "worker"
_OF_CLOCK: Final[Mapping[str, str]] = {"reminded_half": "half", "reminded_last": "last", "late": "late"}

Act = Callable[[Destruction, PrincipalRecord, datetime], Mapping[str, str] | None]


class Destructions(Part):
    """The duties. A grant leaves one at most, whoever looks and however often."""

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
            department = func.coalesce(
                Grant.receiver_department,
                select(System.department).where(System.code == Grant.receiver_system).scalar_subquery(),
                select(Principal.department).where(Principal.id == Grant.receiver_principal).scalar_subquery(),
            )
            over = case((Grant.to_at <= now, Grant.to_at))
            ends = func.least(over, Grant.revoked_at, withdrawn)
            there = set(session.scalars(select(Destruction.grant_id).where(Destruction.grant_id.in_(grants))))
            found = session.execute(
                select(Grant, department, ends, withdrawn).where(Grant.id.in_(grants), ends.is_not(None)).order_by(Grant.id)
            ).all()
            for grant, receiver, ended_at, withdrawn_at in found:
                if grant.id in there:
                    continue
                ended = "withdrawn" if ended_at == withdrawn_at else "revoked" if ended_at == grant.revoked_at else "expired"
                row = Destruction(
                    id=new_id("d", now),
                    grant_id=grant.id,
                    resource=grant.resource,
                    department=receiver,
                    ended=ended,
                    ended_at=ended_at,
                    state=DestructionState.ASKED,
                    since=ended_at,
                    told="",
                    version=1,
                    made_at=now,
                    changed_at=now,
                )
                session.add(row)
                session.flush()
                _step(change, row, "ask", "destruction.asked", at=now, by=_WORKER, before=None)
            return sorted({grant.id for grant, *_ in found} | there)

    def _ended(self, grants: Collection[str], now: datetime) -> bool:
        """Say whether one of these grants may have ended, so that looking for it opens no change."""
        withdrawn = select(ResourceHistory.resource).where(ResourceHistory.event == ResourceEvent.WITHDRAW)
        query = select(Grant.id).where(
            Grant.id.in_(grants), or_(Grant.to_at <= now, Grant.revoked_at.is_not(None), Grant.resource.in_(withdrawn))
        )
        with self._database.read() as session:
            return session.scalars(query.limit(1)).first() is not None

    def remind_destructions(self, rules: Mapping[str, Rule], of: Calendar) -> int:
        """Remind of duties whose clock says so, and tell the centre of those that are late; each once. Return how many.

        Args:
            rules: by id, the clock rules of the deployment.
            of: the working days.
        """
        now, told = self._clock.now(), 0
        for found in self.destructions(open_only=True):
            clock = destruction_clock(found, rules=rules, of=of, now=now)
            if clock is not None and (word := _OF_CLOCK.get(clock.state)) is not None:
                told += self._tell_once(found.id, found.since, word, clock)
        return told

    def _tell_once(self, destruction: str, since: datetime, word: str, clock: Due) -> bool:
        if self._told(destruction, since) >= TOLD.index(word):
            return False
        now = self._clock.now()
        event = DestructionEvent.ESCALATE if word == "late" else DestructionEvent.REMIND
        with self._database.change() as change:
            row = known(change.session, Destruction, destruction, "destruction")
            before = DestructionState(row.state)
            if row.since != since or TOLD.index(row.told) >= TOLD.index(word):
                return False
            row.state, row.told = DESTRUCTION_LIFE.advance(before, event), word
            row.version += 1
            detail = {"due": None if clock.at is None else clock.at.isoformat(), "reminder": word}
            _step(change, row, event, _EVENTS[event], at=now, by=_WORKER, before=before, detail=detail)
            return True

    def _told(self, destruction: str, since: datetime) -> int:
        with self._database.read() as session:
            found = session.scalars(
                select(Destruction.told).where(Destruction.id == destruction, Destruction.since == since)
            ).first()
            return -1 if found is None else TOLD.index(found)

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
            row.state, row.since, row.told, row.changed_at = after, now, "", now
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


def destruction_clock(found: DestructionRecord, *, rules: Mapping[str, Rule], of: Calendar, now: datetime) -> Due | None:
    """Return the clock of a duty, None where it is at its end: the receiver's since the grant's end, then the centre's."""
    name = RULES.get(found.state)
    return None if name is None else due(rules[name], found.since, (), now, of)


def late_destructions(
    found: Iterable[DestructionRecord], *, rules: Mapping[str, Rule], of: Calendar, now: datetime
) -> list[tuple[DestructionRecord, Due]]:
    """Return those that are late, the longest first."""
    clocks = [(one, destruction_clock(one, rules=rules, of=of, now=now)) for one in found]
    late = [(one, clock) for one, clock in clocks if clock is not None and clock.state == "late"]
    return sorted(late, key=lambda row: (row[1].left, row[0].id))


def _step(change: Change, row: Destruction, event: str, told: str, **more: object) -> None:
    write_step(change.session, DestructionHistory, row.id, event, n=row.version, after=row.state, **more)  # type: ignore[arg-type]
    change.event(
        told,
        row.id,
        {
            "grant": row.grant_id,
            "resource": row.resource,
            "department": row.department,
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
    )
