"""Correction requests: whoever uses data says that it is wrong, the provider answers, a later run shows the change.

Who asked does not answer, and who answered does not decide where the answer is contested. What was written is kept sealed; no
event, history or list holds a value of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import Session

from catalog_registry.acting import Sight, check_duty, check_other_person, check_version
from catalog_registry.correction_life import (
    ASKING,
    CORRECTION_LIFE,
    DUTIES_OF_CORRECTION,
    NOTIFIED,
    OF_THE_ASKER,
    RULES,
)
from catalog_registry.correction_records import CorrectionRecord, NoticeRecord, ProvedRun, Received, RowSeen
from catalog_registry.correction_words import (
    REASONED,
    TYPE_WORDS,
    CorrectionEvent,
    CorrectionState,
    CorrectionType,
    NoticeKind,
    Outcome,
)
from catalog_registry.records import PrincipalRecord, StepRecord, kept_contract
from catalog_registry.rules import check_said, refused
from catalog_registry.states import ResourceState
from catalog_registry.store.change import Change, Part
from catalog_registry.store.correction_tables import Correction, CorrectionHistory, CorrectionNotice
from catalog_registry.store.history import correction_step
from catalog_registry.store.rows import known, known_principal, principal_record, step_record
from catalog_registry.store.tables import ContractVersion, Department, Grant, Principal, Resource, System
from schemas.contract import DataContract
from schemas.errors import DeniedError, Fault
from schemas.ids import new_id
from schemas.resource import ResourceName
from schemas.types import arrow_type

HUB: Final = "hub"
"""Who closes a request whose row a run changed."""

_OPEN: Final = tuple(RULES)
_TOLD: Final[Mapping[CorrectionEvent, str]] = {
    CorrectionEvent.ACCEPT: "correction.accepted",
    CorrectionEvent.REFUSE: "correction.refused",
    CorrectionEvent.WITHDRAW: "correction.withdrawn",
    CorrectionEvent.HAND_OVER: "correction.handed_over",
    CorrectionEvent.CONTEST: "correction.contested",
    CorrectionEvent.UPHOLD: "correction.upheld",
    CorrectionEvent.OVERRULE: "correction.overruled",
    CorrectionEvent.RESOLVE: "correction.closed",
    CorrectionEvent.CLOSE: "correction.closed",
}
_ANSWERS: Final = (CorrectionEvent.ACCEPT, CorrectionEvent.REFUSE)
_DECISIONS: Final = (CorrectionEvent.UPHOLD, CorrectionEvent.OVERRULE)

Act = Callable[[Session, Correction], Mapping[str, Any] | None]
"""What a step does besides: it gets the row before the step; it returns the history's detail."""
Record = Callable[[Any], None]
"""Writes a record with the driver's connection of a change, so that it is kept with the change or not at all."""


class Corrections(Part):
    """What users of data say is wrong. Every step is written into the history, and told, in the transaction that takes it."""

    def ask_correction(
        self,
        resource: str,
        *,
        by: str,
        type_: CorrectionType,
        seal: Callable[[str], bytes],
        fields: Iterable[str] = (),
        row: RowSeen | None = None,
        newest: ProvedRun | None = None,
        let_through: Iterable[str] = (),
    ) -> CorrectionRecord:
        """Ask that a row, or a whole resource, be corrected, in the name of the principal's department; return the request.

        Whether there is such a row is neither asked nor told: who may not see it would find that out.

        Args:
            resource: name of a shared resource.
            by: id, client id or name of a consumer whose department has a grant in force, or of the centre's officer.
            type_: what is the matter.
            seal: gives, for the request's id, what was written, sealed.
            fields: names of the fields that are wrong; none: not said.
            row: the row as the store has it; None: it is about the whole resource.
            newest: the newest proved run, for a whole resource; None: there is none.
            let_through: ids of the grants with a row filter that give the row as it is.

        Raises:
            RejectedError: the resource is not shared, a field is not one that may be disputed, or the department has the same
                row open already (``correction.open``).
            DeniedError: the principal has not the role, or its department has no grant in force (``correction.no_grant``).
        """
        now = self._clock.now()
        wrong = list(dict.fromkeys(fields))
        with self._database.change() as change:
            session = change.session
            who = principal_record(known_principal(session, by))
            check_duty(who, "ask for a correction of", ASKING, who.department)
            of = known(session, Resource, resource, "resource")
            if of.state not in (ResourceState.PUBLISHED, ResourceState.FROZEN):
                raise refused(f"resource {resource} is {of.state}, and shared with nobody", "correction.resource_state")
            _check_disputable(session, who, resource, wrong, now)
            _check_not_open(session, who.department, resource, row)
            ident = new_id("k", now)
            newest_run = None if newest is None else newest.id
            made = Correction(
                id=ident,
                resource=of.name,
                type=CorrectionType(type_),
                department=who.department,
                asker=who.id,
                fields=wrong,
                row_name=None if row is None else row.name,
                row_key=None if row is None else list(row.key),
                sealed=seal(ident),
                contract_version=row.contract_version if row is not None else newest and newest.contract_version,
                run_before=newest_run if row is None else row.run,
                hash_before=None if row is None else row.hash,
                let_through=list(let_through),
                state=CorrectionState.SUBMITTED,
                version=1,
                assigned=of.department,
                made_at=now,
                changed_at=now,
                state_at=now,
            )
            session.add(made)
            session.flush()
            _tell(change, made, "correction.asked", who.id)
            correction_step(session, made, "ask", at=now, by=who.id, before=None)
            session.flush()
            return correction_record(made)

    def accept_correction(self, correction: str, *, by: str, version: int, why: str = "") -> CorrectionRecord:
        """Say, for the provider, that it is wrong: a work order, open until a later run shows the change.

        Args:
            correction: its id.
            by: id, client id or name of a principal that may take the step, and did not ask.
            version: the version of the request that was decided on.
            why: the reason; some steps are refused without one, and it is kept.

        Raises:
            RejectedError: it was changed meanwhile (``registry.conflict``), or is not in a state for the step.
            DeniedError: the principal has no role for it, is of another department, or took a step that another person must.
        """
        return self._move(correction, CorrectionEvent.ACCEPT, by=by, version=version, why=why)

    def refuse_correction(self, correction: str, *, by: str, version: int, why: str) -> CorrectionRecord:
        """Say, for the provider, that it is right, and why. As ``accept_correction``."""
        return self._move(correction, CorrectionEvent.REFUSE, by=by, version=version, why=why)

    def withdraw_correction(self, correction: str, *, by: str, version: int, why: str = "") -> CorrectionRecord:
        """Take a request back, for the department that asked. As ``accept_correction``."""
        return self._move(correction, CorrectionEvent.WITHDRAW, by=by, version=version, why=why)

    def contest_correction(self, correction: str, *, by: str, version: int, why: str) -> CorrectionRecord:
        """Have the centre look at a refusal, for the department that asked. As ``accept_correction``."""
        return self._move(correction, CorrectionEvent.CONTEST, by=by, version=version, why=why)

    def uphold_correction(self, correction: str, *, by: str, version: int, why: str) -> CorrectionRecord:
        """Decide, for the centre, that a contested refusal stands. As ``accept_correction``."""
        return self._move(correction, CorrectionEvent.UPHOLD, by=by, version=version, why=why)

    def overrule_correction(self, correction: str, *, by: str, version: int, why: str) -> CorrectionRecord:
        """Decide, for the centre, that what was refused is to be corrected. As ``accept_correction``."""
        return self._move(correction, CorrectionEvent.OVERRULE, by=by, version=version, why=why)

    def hand_over_correction(self, correction: str, department: str, *, by: str, version: int, why: str) -> CorrectionRecord:
        """Have another department's reviewer answer or correct, for the centre. As ``accept_correction``."""

        def assign(session: Session, row: Correction) -> Mapping[str, Any]:
            known(session, Department, department, "department")
            if department == row.assigned:
                raise refused(f"it is assigned to {department} already", "correction.same_department", where=row.id)
            if department == row.department:
                raise refused(f"{department} does not answer what it asks for", "correction.own_department", where=row.id)
            was, row.assigned = row.assigned, department
            return {"from": was, "to": department}

        return self._move(correction, CorrectionEvent.HAND_OVER, by=by, version=version, why=why, act=assign)

    def resolve_correction(
        self, correction: str, run: ProvedRun | None, *, by: str, version: int, why: str
    ) -> CorrectionRecord:
        """Close, for the provider, what no row hash can prove, by a run that brought the correction. As ``accept_correction``.

        That is a whole resource, or a row whose contract has other fields since, so that its hashes cannot be compared.

        Args:
            correction: its id.
            run: a proved run of the resource that began after the request was made; None: there is none.
            by: as of ``accept_correction``.
            version: as of ``accept_correction``.
            why: what was corrected.
        """

        def declare(session: Session, row: Correction) -> Mapping[str, Any]:
            if run is None or run.started_at <= row.made_at or run.id == row.run_before:
                raise refused(
                    "no proved run of the resource has begun since it was asked",
                    "correction.no_later_run",
                    where=row.id,
                    remedy="collect the resource again, then name the run",
                )
            if row.row_key is not None and _comparable(session, row, run.contract_version):
                raise refused(
                    "a row is closed by the run that changes it",
                    "correction.proved_by_run",
                    where=row.id,
                    remedy="correct the row in the source; the hub closes the request after the next run",
                )
            row.outcome, row.run_after = Outcome.DECLARED, run.id
            return {"run": run.id}

        return self._move(correction, CorrectionEvent.RESOLVE, by=by, version=version, why=why, act=declare)

    def close_correction(
        self, correction: str, seen: RowSeen, run: ProvedRun, *, record: Record | None = None
    ) -> CorrectionRecord | None:
        """Close an accepted request whose row a later run changed, for the hub; None where there is nothing to close.

        A row that is not served any more counts as changed, and one that is there where none was.

        Args:
            correction: its id.
            seen: its row as the store has it now.
            run: the newest proved run, which the store is of.
            record: called last, with the connection of the change.
        """
        now = self._clock.now()
        with self._database.change() as change:
            row = change.session.get(Correction, correction)
            if row is None or row.state != CorrectionState.ACCEPTED or row.row_key is None:
                return None
            after = run.id if seen.hash is None else seen.run
            if seen.hash == row.hash_before or after == row.run_before:
                return None
            if seen.hash is None and run.ended_at <= row.made_at:
                return None  # gone without a run that took it away: the comparison with the source will tell
            if not _comparable(change.session, row, run.contract_version):
                return None
            outcome = Outcome.GONE if seen.hash is None else Outcome.APPEARED if row.hash_before is None else Outcome.CHANGED
            row.outcome, row.run_after, row.hash_after = outcome, after, seen.hash
            detail = {
                "outcome": outcome,
                "run_before": row.run_before,
                "run_after": row.run_after,
                "hash_before": _hex(row.hash_before),
                "hash_after": _hex(row.hash_after),
            }
            write_correction(change, row, CorrectionEvent.CLOSE, now=now, by=HUB, why=None, detail=detail)
            change.session.flush()
            if record is not None:
                record(change.session.connection().connection.driver_connection)
            return correction_record(row)

    def _move(
        self, correction: str, event: CorrectionEvent, *, by: str, version: int, why: str, act: Act | None = None
    ) -> CorrectionRecord:
        """Take one step: all of it, with its row of the history and its event, or nothing."""
        now = self._clock.now()
        with self._database.change() as change:
            row = known(change.session, Correction, correction, "correction")
            who = principal_record(known_principal(change.session, by))
            check_duty(who, event, DUTIES_OF_CORRECTION[event], row.department if event in OF_THE_ASKER else row.assigned)
            check_version(version, row.version, row.id)
            CORRECTION_LIFE.advance(CorrectionState(row.state), event)
            if event in REASONED:
                check_said(why, f"the reason to {event.replace('_', ' ')} a correction request")
            _check_persons(who, row, event)
            detail = None if act is None else act(change.session, row)
            if event in _ANSWERS:
                row.answered_by = who.id
            if event in _DECISIONS:
                row.decided_by = who.id
            write_correction(change, row, event, now=now, by=who.id, why=why.strip() or None, detail=detail)
            change.session.flush()
            return correction_record(row)

    # Who is told ------------------------------------------------------------------------------------------------------

    def tell_receivers(
        self, correction: str, kind: NoticeKind, received: Sequence[Received], *, record: Record | None = None
    ) -> list[NoticeRecord]:
        """Tell those who received what is wrong, each department once of each kind, and return the notices that were made.

        Nothing is done where the request is not in the state for it, or its receivers have been told.
        """
        now = self._clock.now()
        with self._database.change() as change:
            row = change.session.get(Correction, correction)
            if row is None or kind is not _to_tell(row):
                return []
            if kind is NoticeKind.WRONG:
                row.wrong_told_at = now
            else:
                row.end_told_at = now
            made = []
            for one in received:
                notice = CorrectionNotice(
                    id=new_id("n", now),
                    correction=row.id,
                    kind=kind,
                    department=one.department,
                    certain=one.certain,
                    detail=dict(one.detail),
                    at=now,
                )
                change.session.add(notice)
                told = {
                    "correction": row.id,
                    "kind": kind,
                    "resource": row.resource,
                    "department": one.department,
                    "certain": one.certain,
                }
                change.event("correction.told", notice.id, told)
                made.append(_notice_record(notice, row))
            if not received:
                change.event("correction.told_nobody", row.id, {"kind": kind, "resource": row.resource})
            change.session.flush()
            if record is not None:
                record(change.session.connection().connection.driver_connection)
            return made

    def told_wrong(self, correction: str) -> list[Received]:
        """Return those who were told that it is wrong, as they were."""
        told = self.correction_notices(correction=correction)
        return [Received(n.department, n.certain, n.detail) for n in told if n.kind is NoticeKind.WRONG]

    def acknowledge_correction(self, notice: str, *, by: str) -> NoticeRecord:
        """Say, for the department that was told, that it was read; return the notice. A second time changes nothing.

        Raises:
            RejectedError: there is none of that id.
            DeniedError: the principal has not the role, or is of another department.
        """
        with self._database.change() as change:
            row = known(change.session, CorrectionNotice, notice, "notice")
            who = principal_record(known_principal(change.session, by))
            check_duty(who, "acknowledge", NOTIFIED, row.department)
            of = known(change.session, Correction, row.correction, "correction")
            if row.acknowledged_at is None:
                row.acknowledged_at, row.acknowledged_by = self._clock.now(), who.id
                told = {"correction": row.correction, "department": row.department, "by": who.id}
                change.event("correction.acknowledged", row.id, told)
            change.session.flush()
            return _notice_record(row, of)

    def correction_notice(self, notice: str) -> NoticeRecord:
        """Return a notice. Raises ``RejectedError`` where there is none of that id."""
        with self._database.read() as session:
            row = known(session, CorrectionNotice, notice, "notice")
            return _notice_record(row, known(session, Correction, row.correction, "correction"))

    def correction_notices(
        self,
        *,
        department: str | None = None,
        correction: str | None = None,
        unread: bool = False,
        seen: Sight | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[NoticeRecord]:
        """Return notices, oldest first: all, or those to a department, of a correction, or that nobody acknowledged yet.

        ``seen`` leaves those to the own department, or all; ``after`` and ``limit`` make pages.
        """
        query = (
            select(CorrectionNotice, Correction)
            .join(Correction, Correction.id == CorrectionNotice.correction)
            .order_by(CorrectionNotice.id)
            .limit(limit)
        )
        if seen is not None and not seen.everything:
            query = query.where(CorrectionNotice.department == seen.department)
        if department is not None:
            query = query.where(CorrectionNotice.department == department)
        if correction is not None:
            query = query.where(CorrectionNotice.correction == correction)
        if unread:
            query = query.where(CorrectionNotice.acknowledged_at.is_(None))
        if after is not None:
            query = query.where(CorrectionNotice.id > after)
        with self._database.read() as session:
            return [_notice_record(notice, row) for notice, row in session.execute(query)]

    # What there is ----------------------------------------------------------------------------------------------------

    def correction(self, correction: str) -> CorrectionRecord:
        """Return a correction request. Raises ``RejectedError`` where there is none of that id."""
        with self._database.read() as session:
            return correction_record(known(session, Correction, correction, "correction"))

    def corrections(
        self,
        *,
        state: CorrectionState | None = None,
        resource: str | None = None,
        department: str | None = None,
        assigned: str | None = None,
        waiting: bool = False,
        seen: Sight | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[CorrectionRecord]:
        """Return correction requests, oldest first.

        Args:
            state: only those in it.
            resource: only those of it.
            department: only those that it asked for.
            assigned: only those that it is to answer or correct.
            waiting: only those that somebody has to lead further.
            seen: only those that may be seen: asked for by the department, assigned to it, or of a resource of its own.
            after: only those after this id.
            limit: so many at most.
        """
        query = select(Correction).order_by(Correction.id).limit(limit)
        if seen is not None and not seen.everything:
            own = select(Resource.name).where(Resource.department == seen.department)
            asked, answers = Correction.department == seen.department, Correction.assigned == seen.department
            query = query.where(or_(asked, answers, Correction.resource.in_(own)))
        if after is not None:
            query = query.where(Correction.id > after)
        if waiting:
            query = query.where(Correction.state.in_(_OPEN))
        wanted = {"state": state, "resource": resource, "department": department, "assigned": assigned}
        return self._corrections(query.filter_by(**{name: value for name, value in wanted.items() if value is not None}))

    def corrections_to_prove(self) -> list[CorrectionRecord]:
        """Return the accepted requests of one row, oldest first: a run may have changed it."""
        accepted = Correction.state == CorrectionState.ACCEPTED
        return self._corrections(select(Correction).where(accepted, Correction.row_key.is_not(None)).order_by(Correction.id))

    def corrections_to_tell(self) -> list[tuple[CorrectionRecord, NoticeKind]]:
        """Return the requests whose receivers have something to be told, and what, oldest first."""
        wrong = and_(Correction.state == CorrectionState.ACCEPTED, Correction.wrong_told_at.is_(None))
        dropped = and_(Correction.state == CorrectionState.WITHDRAWN, Correction.wrong_told_at.is_not(None))
        waiting = or_(wrong, Correction.state == CorrectionState.CLOSED, dropped)
        with self._database.read() as session:
            rows = session.scalars(
                select(Correction).where(Correction.end_told_at.is_(None), waiting).order_by(Correction.id)
            ).all()
            return [(correction_record(row), kind) for row in rows if (kind := _to_tell(row)) is not None]

    def correction_history(self, correction: str) -> list[StepRecord]:
        """Return what was done to a correction request, oldest first: who, when, from which state to which, why."""
        with self._database.read() as session:
            known(session, Correction, correction, "correction")
            rows = session.scalars(
                select(CorrectionHistory).where(CorrectionHistory.correction == correction).order_by(CorrectionHistory.n)
            )
            return [step_record(row) for row in rows]

    def _corrections(self, query: Select[Correction]) -> list[CorrectionRecord]:
        with self._database.read() as session:
            return [correction_record(row) for row in session.scalars(query)]


def comparable(before: DataContract, after: DataContract) -> bool:
    """Say whether row hashes under two contracts can be compared: they are over the same fields, of one type, in order."""
    return [(f.name, arrow_type(f)) for f in before.fields] == [(f.name, arrow_type(f)) for f in after.fields]


def correction_type(text: str) -> CorrectionType:
    """Return the type of a code. Raises ``RejectedError`` where there is none of it."""
    if text not in set(CorrectionType):
        known_ones = ", ".join(f"{code.value} {words}" for code, words in TYPE_WORDS.items())
        raise refused(f"there is no type {text[:8]!r} of a correction", "correction.type", remedy=f"types are {known_ones}")
    return CorrectionType(text)


def correction_record(row: Correction) -> CorrectionRecord:
    """Return the record of a row."""
    return CorrectionRecord(
        id=row.id,
        resource=ResourceName(row.resource),
        type=CorrectionType(row.type),
        department=row.department,
        asker=row.asker,
        fields=tuple(row.fields),
        row=row.row_name,
        state=CorrectionState(row.state),
        version=row.version,
        assigned=row.assigned,
        answered_by=row.answered_by,
        decided_by=row.decided_by,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        run_before=row.run_before,
        hash_before=_hex(row.hash_before),
        run_after=row.run_after,
        hash_after=_hex(row.hash_after),
        made_at=row.made_at,
        changed_at=row.changed_at,
        state_at=row.state_at,
        row_key=None if row.row_key is None else tuple(row.row_key),
        contract_version=row.contract_version,
        let_through=tuple(row.let_through),
        sealed=row.sealed,
    )


def _notice_record(row: CorrectionNotice, of: Correction) -> NoticeRecord:
    return NoticeRecord(
        id=row.id,
        correction=row.correction,
        kind=NoticeKind(row.kind),
        department=row.department,
        certain=row.certain,
        detail=dict(row.detail),
        resource=ResourceName(of.resource),
        row=of.row_name,
        fields=tuple(of.fields),
        run_after=of.run_after if row.kind == NoticeKind.CORRECTED else None,
        at=row.at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
    )


def write_correction(
    change: Change,
    row: Correction,
    event: CorrectionEvent,
    *,
    now: datetime,
    by: str,
    why: str | None,
    detail: Mapping[str, Any] | None,
) -> None:
    """Put a row into its next state, with its row of the history and its event."""
    before = CorrectionState(row.state)
    after = CORRECTION_LIFE.advance(before, event)
    row.state, row.changed_at = after, now
    if after is not before:
        row.state_at = now
    row.version += 1
    change.session.flush()
    correction_step(change.session, row, event, at=now, by=by, before=before, why=why, detail=detail)
    proof = {} if row.outcome is None else {"outcome": row.outcome, "run": row.run_after}
    _tell(change, row, _TOLD[event], by, **proof)


def _tell(change: Change, row: Correction, type_: str, by: str, **more: Any) -> None:
    change.event(
        type_,
        row.id,
        {
            "resource": row.resource,
            "type": row.type,
            "department": row.department,
            "assigned": row.assigned,
            "state": row.state,
            "version": row.version,
            "by": by,
            **more,
        },
    )


def _to_tell(row: Correction) -> NoticeKind | None:
    """Return what the receivers of a row have to be told now."""
    if row.state == CorrectionState.ACCEPTED and row.wrong_told_at is None:
        return NoticeKind.WRONG
    if row.state == CorrectionState.CLOSED and row.end_told_at is None:
        return NoticeKind.CORRECTED
    if row.state == CorrectionState.WITHDRAWN and row.wrong_told_at is not None and row.end_told_at is None:
        return NoticeKind.DROPPED
    return None


def _check_disputable(session: Session, who: PrincipalRecord, resource: str, wrong: Sequence[str], now: datetime) -> None:
    """Raise where the department has no grant in force, or disputes a field that it is not given. The centre disputes any."""
    named = known(session, Resource, resource, "resource")
    version = session.get(ContractVersion, (resource, named.version or ""))
    here = set() if version is None else {f.name for f in kept_contract(version.odcs, resource).fields}
    if ASKING[1].role not in who.roles:
        systems = select(System.code).where(System.department == who.department)
        principals = select(Principal.id).where(Principal.department == who.department)
        grants = session.scalars(
            select(Grant).where(
                Grant.resource == resource,
                Grant.from_at <= now,
                Grant.to_at > now,
                Grant.revoked_at.is_(None),
                or_(
                    Grant.receiver_department == who.department,
                    Grant.receiver_system.in_(systems),
                    Grant.receiver_principal.in_(principals),
                ),
            )
        ).all()
        if not grants:
            raise DeniedError(
                f"{who.department} has no grant for {resource} in force",
                code="correction.no_grant",
                remedy="ask the centre",
                fault=Fault.CLIENT,
            )
        here &= {name for grant in grants for name in grant.fields}
    if unknown := [name for name in wrong if name not in here]:
        raise refused(
            f"{resource} has no field {', '.join(name[:64] for name in unknown)} that {who.department} is given",
            "correction.field",
            remedy=f"fields are {', '.join(sorted(here))}",
        )


def _check_not_open(session: Session, department: str, resource: str, row: RowSeen | None) -> None:
    """Raise ``RejectedError`` where the department has a request of the same thing open already."""
    same = Correction.row_name.is_(None) if row is None else Correction.row_name == row.name
    query = select(Correction.id).where(
        Correction.department == department, Correction.resource == resource, Correction.state.in_(_OPEN), same
    )
    if (found := session.scalars(query.limit(1)).first()) is not None:
        raise refused(
            f"{department} has asked for it already", "correction.open", where=found, remedy="wait for its end, or withdraw it"
        )


def _check_persons(who: PrincipalRecord, row: Correction, event: CorrectionEvent) -> None:
    """Raise ``DeniedError`` where one person would take two steps that need two."""
    if event in OF_THE_ASKER:
        return
    before = {row.asker: "asked for it"}
    if event in _DECISIONS and row.answered_by is not None:
        before.setdefault(row.answered_by, "answered it")
    check_other_person(who, before, event)


def _comparable(session: Session, row: Correction, version: str) -> bool:
    """Say whether the row's hash under the contract of a later run can be compared with the one from before."""
    if row.contract_version is None or row.contract_version == version:
        return row.contract_version is not None
    versions = [session.get(ContractVersion, (row.resource, one)) for one in (row.contract_version, version)]
    before, after = (None if kept is None else kept_contract(kept.odcs, row.resource) for kept in versions)
    return before is not None and after is not None and comparable(before, after)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).hex()
