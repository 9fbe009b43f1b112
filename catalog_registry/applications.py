"""Applications: a department asks for a resource, the centre checks, the provider answers; an approval is the grant.

Two persons review, and neither is the one who applied. What is granted is never more than what was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import func, or_, select

from catalog_registry.acting import APPLYING, DUTIES_OF_APPLICATION, Sight, check_duty, check_other_person, check_version
from catalog_registry.grants import Grants, check_sharing
from catalog_registry.handing_on import tell
from catalog_registry.quota import kept_quota, narrowed_quota, quota_of
from catalog_registry.records import ApplicationRecord, PrincipalRecord, Receiver, ReceiverKind, StepRecord
from catalog_registry.rules import check_fields, check_said, check_terms, refused
from catalog_registry.states import APPLICATION_LIFE, ApplicationEvent, ApplicationState
from catalog_registry.store.change import Change
from catalog_registry.store.history import application_step
from catalog_registry.store.rows import application_record, known, known_principal, principal_record, step_record
from catalog_registry.store.tables import (
    APPLICATION_REASONED,
    WAYS,
    Application,
    ApplicationHistory,
    CatalogueEntry,
    Department,
    Resource,
    System,
)
from schemas.catalogue import SharingType
from schemas.errors import RejectedError
from schemas.ids import new_id
from schemas.rowfilter import Filter, parse

_CHECKS: Final = (ApplicationEvent.ACCEPT_CHECK, ApplicationEvent.RETURN)
_ANSWERS: Final = (ApplicationEvent.APPROVE, ApplicationEvent.REFUSE)
_TOLD: Final[Mapping[ApplicationEvent, str]] = {
    ApplicationEvent.ACCEPT_CHECK: "application.checked",
    ApplicationEvent.RETURN: "application.returned",
    ApplicationEvent.APPROVE: "application.approved",
    ApplicationEvent.REFUSE: "application.refused",
    ApplicationEvent.CANCEL: "application.cancelled",
    ApplicationEvent.HAND_OVER: "application.handed_over",
}

Act = Callable[[Change, Application, PrincipalRecord], Mapping[str, Any]]
"""What a step does besides: it gets the open change, the row before the step, who acts; it returns the history's detail."""


class Applications(Grants):
    """What departments ask for. Every step is written into the history, and told, in the transaction that takes it."""

    def apply(
        self,
        resource: str,
        fields: Sequence[str],
        *,
        by: str,
        reason: str,
        legal_basis: str,
        from_at: datetime,
        to_at: datetime,
        purposes: Iterable[str] = (),
        items: Iterable[str] = (),
        row_filter: str | None = None,
        system: str | None = None,
        scope: str | None = None,
        way: str = "api",
        quota: Mapping[str, Any] | None = None,
    ) -> ApplicationRecord:
        """Ask for fields of a resource, in the name of the principal's department; return the application.

        Args:
            resource: name of a published resource.
            fields: names of the contract's fields.
            by: id, client id or name of a principal with the role ``consumer``.
            reason: why they are needed.
            legal_basis: the law or document that allows it.
            from_at: first instant of the interval asked for.
            to_at: first instant after it.
            purposes: what they would be used for; as of a grant.
            items: codes of the service items they would be used for; as of a grant.
            row_filter: which rows, as ``schemas.rowfilter`` reads it; None: all.
            system: code of the department's system that is to receive them; None: all of the department.
            scope: who would use them and where.
            way: one of ``WAYS``.
            quota: how often, as ``catalog_registry.quota`` reads it; None: not limited.

        Raises:
            RejectedError: the resource is not published or not shared with other departments, a field or purpose is not one,
                the reason or the legal basis is missing, the interval is empty or over, the filter does not fit the contract,
                the system is another's.
            DeniedError: the principal has not the role.
        """
        check_said(reason, "the reason of an application")
        if way not in WAYS:
            raise refused(f"there is no way {way[:40]!r}", "application.way", remedy=f"ways are {', '.join(WAYS)}")
        purposes, items, fields = (tuple(dict.fromkeys(named)) for named in (purposes, items, fields))
        check_terms(legal_basis=legal_basis, purposes=purposes, items=items, from_at=from_at, to_at=to_at)
        wanted = quota_of(quota)
        now = self._clock.now()
        _check_not_over(to_at, now)
        asked = None if row_filter is None else parse(row_filter)
        with self._database.change() as change:
            session = change.session
            who = principal_record(known_principal(session, by))
            check_duty(who, "apply", APPLYING, who.department)
            contract = self._shared(session, resource)
            check_sharing(session, resource, who.department, contract.department)
            check_fields(contract, fields, asked)
            if system is not None and known(session, System, system, "system").department != who.department:
                raise refused(f"system {system} is not of {who.department}", "application.other_system", where=system)
            row = Application(
                id=new_id("a", now),
                resource=contract.name,
                department=who.department,
                applicant=who.id,
                system=system,
                reason=reason.strip(),
                scope=(scope or "").strip() or None,
                purposes=list(purposes),
                items=list(items),
                fields=list(fields),
                row_filter=None if asked is None else asked.text,
                way=way,
                quota=None if wanted is None else wanted.document(),
                from_at=from_at.astimezone(UTC),
                to_at=to_at.astimezone(UTC),
                legal_basis=legal_basis.strip(),
                state=ApplicationState.SUBMITTED,
                version=1,
                assigned=contract.department,
                made_at=now,
                changed_at=now,
            )
            session.add(row)
            session.flush()
            tell(change, row, "application.made", who.id)
            application_step(session, row, "apply", at=now, by=who.id, before=None)
            session.flush()
            return application_record(row)

    def accept_check(self, application: str, *, by: str, version: int, why: str = "") -> ApplicationRecord:
        """Say, for the centre, that an application is in order; the provider answers it next. As ``approve_application``."""
        return self._take(application, ApplicationEvent.ACCEPT_CHECK, by=by, version=version, why=why)

    def return_application(self, application: str, *, by: str, version: int, why: str) -> ApplicationRecord:
        """Give an application back, for the centre, as not in order, and say what is missing. As ``approve_application``."""
        return self._take(application, ApplicationEvent.RETURN, by=by, version=version, why=why)

    def approve_application(
        self,
        application: str,
        *,
        by: str,
        version: int,
        fields: Sequence[str] | None = None,
        row_filter: str | None = None,
        from_at: datetime | None = None,
        to_at: datetime | None = None,
        quota: Mapping[str, Any] | None = None,
        why: str = "",
    ) -> ApplicationRecord:
        """Grant what was asked, or less, and return the application; its ``grant`` was made in the same transaction.

        Args:
            application: its id.
            by: id, client id or name of a ``provider_reviewer`` of the department that it is assigned to.
            version: the version of the application that was decided on.
            fields: those granted, some of those asked for; None: all of them.
            row_filter: a further condition on the rows, added to that asked for; None: none.
            from_at: first instant of the grant, not before that asked for; None: that one.
            to_at: first instant after it, not after that asked for; None: that one.
            quota: limits that are added to the quota asked for, none above it; None: that one.
            why: a remark; it is kept.

        Raises:
            RejectedError: the application was changed meanwhile (``registry.conflict``) or is not in review, more would be
                granted than was asked for (``application.more_than_asked``), the interval is over, or the resource is no longer
                published or has a field no longer.
            DeniedError: the principal has no role for it, is of another department, or applied or checked itself.
        """
        less = quota_of(quota)

        def give(change: Change, row: Application, who: PrincipalRecord) -> Mapping[str, Any]:
            given = _part(row.fields, fields)
            begins, ends = _within(row, from_at, to_at)
            _check_not_over(ends, self._clock.now())
            rows = _narrowed(row.row_filter, row_filter)
            how_often = narrowed_quota(kept_quota(row.quota), less)
            made = self._give(
                change,
                Receiver(ReceiverKind.DEPARTMENT, row.department)
                if row.system is None
                else Receiver(ReceiverKind.SYSTEM, row.system),
                row.resource,
                given,
                legal_basis=row.legal_basis,
                from_at=begins,
                to_at=ends,
                by=who.id,
                purposes=row.purposes,
                items=row.items,
                row_filter=rows,
                quota=how_often,
            )
            row.grant_id = made.id
            return {
                "grant": made.id,
                "fields": given,
                "row_filter": None if rows is None else rows.text,
                "from_at": begins.isoformat(),
                "to_at": ends.isoformat(),
                "quota": None if how_often is None else how_often.document(),
            }

        return self._take(application, ApplicationEvent.APPROVE, by=by, version=version, why=why, act=give)

    def refuse_application(self, application: str, *, by: str, version: int, why: str) -> ApplicationRecord:
        """Refuse an application, for the provider, for a reason of law, which is kept. As ``approve_application``."""
        return self._take(application, ApplicationEvent.REFUSE, by=by, version=version, why=why)

    def cancel_application(self, application: str, *, by: str, version: int, why: str = "") -> ApplicationRecord:
        """Take an application back, for the department that made it. As ``approve_application``."""
        return self._take(application, ApplicationEvent.CANCEL, by=by, version=version, why=why)

    def hand_over_application(self, application: str, department: str, *, by: str, version: int, why: str) -> ApplicationRecord:
        """Have another department's reviewer answer an application, for the centre. As ``approve_application``."""

        def assign(change: Change, row: Application, who: PrincipalRecord) -> Mapping[str, Any]:
            known(change.session, Department, department, "department")
            if department == row.assigned:
                raise refused(f"it is assigned to {department} already", "application.same_department", where=row.id)
            if department == row.department:
                raise refused(f"{department} does not answer what it asks for", "application.own_department", where=row.id)
            was, row.assigned = row.assigned, department
            return {"from": was, "to": department}

        return self._take(application, ApplicationEvent.HAND_OVER, by=by, version=version, why=why, act=assign)

    def _take(
        self, application: str, event: ApplicationEvent, *, by: str, version: int, why: str, act: Act | None = None
    ) -> ApplicationRecord:
        """Take one step: all of it, with its row of the history and its event, or nothing."""
        now = self._clock.now()
        with self._database.change() as change:
            row = known(change.session, Application, application, "application")
            who = principal_record(known_principal(change.session, by))
            own = row.department if event is ApplicationEvent.CANCEL else row.assigned
            check_duty(who, event, DUTIES_OF_APPLICATION[event], own)
            check_version(version, row.version, row.id)
            before = ApplicationState(row.state)
            after = APPLICATION_LIFE.advance(before, event)
            if event in APPLICATION_REASONED:
                check_said(why, f"the reason to {event.replace('_', ' ')} an application")
            _check_persons(who, row, event)
            detail = None if act is None else act(change, row, who)
            row.state, row.changed_at = after, now
            row.version += 1
            if event in _CHECKS:
                row.checked_by = who.id
            if event in _ANSWERS:
                row.answered_by = who.id
            said = why.strip() or None
            application_step(change.session, row, event, at=now, by=who.id, before=before, why=said, detail=detail)
            tell(change, row, _TOLD[event], who.id)
            change.session.flush()
            return application_record(row)

    def application(self, application: str) -> ApplicationRecord:
        """Return an application. Raises ``RejectedError`` where there is none of that id."""
        with self._database.read() as session:
            return application_record(known(session, Application, application, "application"))

    def applications(
        self,
        *,
        state: ApplicationState | None = None,
        resource: str | None = None,
        department: str | None = None,
        assigned: str | None = None,
        seen: Sight | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[ApplicationRecord]:
        """Return applications, oldest first: all, or those in a state, for a resource, of or assigned to a department.

        Args:
            state: only those in it.
            resource: only those for it.
            department: only those that it made.
            assigned: only those that it is to answer.
            seen: only those that may be seen: made by the department, assigned to it, or for a resource of its own.
            after: only those after this id.
            limit: so many at most.
        """
        query = select(Application).order_by(Application.id).limit(limit)
        if seen is not None and not seen.everything:
            own = select(Resource.name).where(Resource.department == seen.department)
            query = query.where(
                or_(
                    Application.department == seen.department,
                    Application.assigned == seen.department,
                    Application.resource.in_(own),
                )
            )
        if after is not None:
            query = query.where(Application.id > after)
        for column, wanted in (
            (Application.state, state),
            (Application.resource, resource),
            (Application.department, department),
            (Application.assigned, assigned),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        with self._database.read() as session:
            return [application_record(row) for row in session.scalars(query)]

    def since(self, applications: Iterable[str]) -> dict[str, datetime]:
        """Return, by id, the instant at which each application came into the state that it is in."""
        query = (
            select(ApplicationHistory.application, func.max(ApplicationHistory.at))
            .where(
                ApplicationHistory.application.in_(list(applications)),
                ApplicationHistory.from_state.is_distinct_from(ApplicationHistory.to_state),
            )
            .group_by(ApplicationHistory.application)
        )
        with self._database.read() as session:
            return dict(session.execute(query).all())

    def unconditional(self, resources: Iterable[str]) -> frozenset[str]:
        """Return those of these resources of which the catalogue says that they are shared without condition."""
        query = select(CatalogueEntry.resource).where(
            CatalogueEntry.resource.in_(set(resources)),
            CatalogueEntry.document["sharing_type"].astext == SharingType.UNCONDITIONAL.value,
        )
        with self._database.read() as session:
            return frozenset(session.scalars(query))

    def history(self, application: str) -> list[StepRecord]:
        """Return what was done to an application, oldest first: who, when, from which state to which, why, what was given."""
        with self._database.read() as session:
            known(session, Application, application, "application")
            rows = session.scalars(
                select(ApplicationHistory).where(ApplicationHistory.application == application).order_by(ApplicationHistory.n)
            )
            return [step_record(row) for row in rows]


def _check_persons(who: PrincipalRecord, row: Application, event: ApplicationEvent) -> None:
    """Raise ``DeniedError`` where one person would take two steps that need two."""
    if event is ApplicationEvent.CANCEL:
        return
    before = {row.applicant: "applied for it"}
    if event in _ANSWERS and row.checked_by is not None:
        before.setdefault(row.checked_by, "checked it")
    check_other_person(who, before, event)


def _check_not_over(to_at: datetime, now: datetime) -> None:
    if to_at <= now:
        raise refused("the interval is over", "application.interval_over", remedy="apply for one that ends in the future")


def _part(asked: Sequence[str], given: Sequence[str] | None) -> list[str]:
    """Return the fields that are granted, in the order that they were asked for."""
    if given is None:
        return list(asked)
    if more := [name for name in given if name not in asked]:
        raise _more(f"nobody asked for {', '.join(name[:64] for name in more)}")
    return [name for name in asked if name in given]


def _within(row: Application, from_at: datetime | None, to_at: datetime | None) -> tuple[datetime, datetime]:
    """Return the interval that is granted."""
    begins, ends = from_at or row.from_at, to_at or row.to_at
    if begins.tzinfo is None or ends.tzinfo is None:
        raise refused("the instants of a grant need an offset", "grant.interval")
    if begins < row.from_at or ends > row.to_at:
        raise _more("the interval is longer than that asked for")
    return begins, ends


def _narrowed(asked: str | None, further: str | None) -> Filter | None:
    """Return the filter of a grant: what was asked for, and the further condition. Each is read by itself before they are
    joined, so that no text of the one can end the other.
    """
    both = [parse(text).text for text in (asked, further) if text is not None]
    return parse(" and ".join(f"({text})" for text in both)) if both else None


def _more(what: str) -> RejectedError:
    return refused(f"more would be granted than was asked for: {what}", "application.more_than_asked")
