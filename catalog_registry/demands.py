"""Demands 供需对接: a department asks for data that is in no catalogue, the centre appoints who provides it, that one answers.

Three lists come out of it: what is asked for, who took the responsibility and by when, and what is not shared on which basis.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from catalog_registry.acting import check_duty, check_other_person, check_version
from catalog_registry.demand_records import DemandRecord, NegativeRecord
from catalog_registry.demand_states import (
    DEMAND_LIFE,
    DEMAND_REASONED,
    DEMANDING,
    DUTIES_OF_DEMAND,
    LISTED,
    TAKEN,
    DemandEvent,
    DemandState,
)
from catalog_registry.records import PrincipalRecord, StepRecord
from catalog_registry.resources import Resources
from catalog_registry.rules import check_said, check_uses, refused
from catalog_registry.states import ResourceState
from catalog_registry.store.change import Change
from catalog_registry.store.demand_tables import Demand, DemandHistory
from catalog_registry.store.history import write_step
from catalog_registry.store.rows import known, known_principal, principal_record, step_record
from catalog_registry.store.tables import CatalogueEntry, Department, Resource
from schemas.catalogue import BasisKind, Coded, SharingType, UpdateCycle
from schemas.clock import CHINA
from schemas.ids import new_id

_ANSWERS: Final = (DemandEvent.ACCEPT, DemandEvent.REFUSE)
_TOLD: Final[Mapping[DemandEvent, str]] = {
    DemandEvent.APPOINT: "demand.appointed",
    DemandEvent.RETURN: "demand.returned",
    DemandEvent.ACCEPT: "demand.accepted",
    DemandEvent.REFUSE: "demand.refused",
    DemandEvent.FULFIL: "demand.fulfilled",
    DemandEvent.CANCEL: "demand.cancelled",
}
_FAR: Final = timedelta(days=3660)
"""As far as a promise may reach: the working days up to it are counted whenever a list is shown."""

_DEMAND, _RESOURCE = "demand/", "resource/"

Act = Callable[[Change, Demand, PrincipalRecord], Mapping[str, Any]]
"""What a step does besides: it gets the open change, the row before the step, who acts; it returns the history's detail."""

Value = TypeVar("Value", bound=Coded)


class Demands(Resources):
    """What is asked for beyond the catalogue. Every step is written down, and told, in the transaction that takes it."""

    def ask(
        self,
        title: str,
        fields: Sequence[str],
        *,
        by: str,
        description: str,
        legal_basis: str,
        purposes: Iterable[str] = (),
        items: Iterable[str] = (),
        cycle: str | None = None,
    ) -> DemandRecord:
        """Ask for data that is in no catalogue, in the name of the principal's department; return the demand.

        Args:
            title: what is asked for, in a few words.
            fields: the fields that are wanted, in the words of who asks.
            by: id, client id or name of a principal with the role ``consumer``.
            description: what it is, and why it is needed.
            legal_basis: the law or document that allows it.
            purposes: what it would be used for; as of a grant.
            items: codes of the service items that it would be used for; as of a grant.
            cycle: how often it should be updated, by code or word (``每日``); None: nothing is said.

        Raises:
            RejectedError: something is missing, or the cycle is no official one.
            DeniedError: the principal has not the role.
        """
        for text, what in ((title, "title"), (description, "description"), (legal_basis, "legal basis")):
            check_said(text, f"the {what} of a demand")
        purposes, items = (tuple(dict.fromkeys(named)) for named in (purposes, items))
        wanted = [text for text in dict.fromkeys(field.strip() for field in fields) if text]
        if not wanted:
            raise refused("a demand names at least one field that is wanted", "demand.no_field")
        check_uses(purposes, items, "a demand", "demand")
        often = None if cycle is None else _value(UpdateCycle, cycle, "demand.cycle", "an update cycle")
        now = self._clock.now()
        with self._database.change() as change:
            who = principal_record(known_principal(change.session, by))
            check_duty(who, "ask for data", DEMANDING, who.department)
            row = Demand(
                id=new_id("d", now),
                department=who.department,
                asker=who.id,
                title=title.strip(),
                description=description.strip(),
                fields=wanted,
                purposes=list(purposes),
                items=list(items),
                legal_basis=legal_basis.strip(),
                cycle=None if often is None else often.value,
                state=DemandState.SUBMITTED,
                version=1,
                since=now,
                made_at=now,
                changed_at=now,
            )
            change.session.add(row)
            change.session.flush()
            self._written(change, row, "ask", "demand.made", who, before=None)
            return _record(row)

    def appoint(self, demand: str, department: str, *, by: str, version: int, why: str = "") -> DemandRecord:
        """Have a department provide what a demand asks for, for the centre; its answer is waited for from now on.

        Args:
            demand: its id.
            department: code of the department.
            by: id, client id or name of a ``registration_officer``.
            version: the version of the demand that was decided on.
            why: needed where another department was appointed before.

        Raises:
            RejectedError: the demand was changed meanwhile (``registry.conflict``) or is at its end, the department is unknown,
                asks itself, is the one that has it, or the reason is missing.
            DeniedError: the principal has no role for it, or asked for it.
        """

        def give(change: Change, row: Demand, who: PrincipalRecord) -> Mapping[str, Any]:
            known(change.session, Department, department, "department")
            if department == row.department:
                raise refused(f"{department} does not provide what it asks for", "demand.own_department", where=row.id)
            if row.state == DemandState.ASSIGNED and department == row.assigned:
                raise refused(f"it is assigned to {department} already", "demand.same_department", where=row.id)
            if row.assigned is not None:
                check_said(why, "the reason to appoint again for a demand")
            detail = {"from": row.assigned, "to": department}
            row.assigned, row.appointed_by, row.answered_by = department, who.id, None
            row.promised_on = row.refusal_kind = row.refusal = None
            return detail

        return self._demand_step(demand, DemandEvent.APPOINT, by=by, version=version, why=why, act=give)

    def return_demand(self, demand: str, *, by: str, version: int, why: str) -> DemandRecord:
        """Give a demand back, for the centre: not in order, or in the catalogue already. As ``appoint``."""
        return self._demand_step(demand, DemandEvent.RETURN, by=by, version=version, why=why)

    def accept_demand(self, demand: str, promised_on: date, *, by: str, version: int, why: str = "") -> DemandRecord:
        """Take the responsibility for a demand, for the department that was appointed.

        Args:
            demand: its id.
            promised_on: the day, of China, by whose end the data will be registered and published; not one that is over.
            by: id, client id or name of a ``provider_reviewer`` of that department.
            version: the version of the demand that was decided on.
            why: a remark; it is kept.

        Raises:
            RejectedError: the demand was changed meanwhile or waits for no answer, or the day is over or beyond ten years.
            DeniedError: the principal has no role for it, is of another department, or asked or appointed itself.
        """

        def promise(change: Change, row: Demand, who: PrincipalRecord) -> Mapping[str, Any]:
            today = self._clock.now().astimezone(CHINA).date()
            if promised_on < today:
                raise refused("the day by which it is promised is over", "demand.day_over", where=row.id)
            if promised_on > today + _FAR:
                raise refused("the day by which it is promised is none of the next ten years", "demand.day_far", where=row.id)
            row.promised_on = promised_on
            return {"promised_on": promised_on.isoformat()}

        return self._demand_step(demand, DemandEvent.ACCEPT, by=by, version=version, why=why, act=promise)

    def refuse_demand(self, demand: str, kind: str, *, by: str, version: int, why: str) -> DemandRecord:
        """Refuse a demand, for the department that was appointed; it goes into the negative list. As ``accept_demand``.

        Args:
            demand: its id.
            kind: what the refusal rests on: 1 法律法规, 2 政策文件, 3 敏感 or 4 其他, by code or word.
            by: as of ``accept_demand``.
            version: as of ``accept_demand``.
            why: the law or document with its clause; it is shown to everybody.
        """
        basis = _value(BasisKind, kind, "demand.basis", "a basis of a refusal")

        def refuse(change: Change, row: Demand, who: PrincipalRecord) -> Mapping[str, Any]:
            row.refusal_kind, row.refusal = basis.value, why.strip()
            return {"basis_kind": basis.value, "department": row.assigned}

        return self._demand_step(demand, DemandEvent.REFUSE, by=by, version=version, why=why, act=refuse)

    def fulfil_demand(self, demand: str, resource: str, *, by: str, version: int, why: str = "") -> DemandRecord:
        """Name the resource that a demand led to: published, shared, and of the department that promised it.

        Raises:
            RejectedError: as of ``accept_demand``, or the resource is unknown, another's, not published, or not shared.
            DeniedError: the principal is no editor or reviewer of that department, or asked itself.
        """

        def name(change: Change, row: Demand, who: PrincipalRecord) -> Mapping[str, Any]:
            found = change.session.get(Resource, resource)
            if found is None or found.department != row.assigned:
                raise refused(f"{row.assigned} has no resource of that name", "demand.resource", where=row.id)
            if found.state != ResourceState.PUBLISHED:
                raise refused(f"resource {resource} is {found.state}, not published", "demand.not_published", where=row.id)
            entry = change.session.get(CatalogueEntry, resource)
            if entry is not None and entry.document.get("sharing_type") == SharingType.NOT_SHARED:
                raise refused(f"resource {resource} is not shared, by its catalogue entry", "demand.not_shared", where=row.id)
            row.resource = found.name
            return {"resource": found.name}

        return self._demand_step(demand, DemandEvent.FULFIL, by=by, version=version, why=why, act=name)

    def cancel_demand(self, demand: str, *, by: str, version: int, why: str = "") -> DemandRecord:
        """Take a demand back, for the department that asked. As ``appoint``."""
        return self._demand_step(demand, DemandEvent.CANCEL, by=by, version=version, why=why)

    def _demand_step(
        self, demand: str, event: DemandEvent, *, by: str, version: int, why: str, act: Act | None = None
    ) -> DemandRecord:
        """Take one step: all of it, with its row of the history and its event, or nothing."""
        with self._database.change() as change:
            row = known(change.session, Demand, demand, "demand")
            who = principal_record(known_principal(change.session, by))
            own = row.department if event is DemandEvent.CANCEL else row.assigned
            # Where nobody is appointed there is no department to be of, and no step that asks for one: its life refuses it.
            check_duty(who, event, DUTIES_OF_DEMAND[event], own or who.department)
            check_version(version, row.version, row.id)
            before = DemandState(row.state)
            after = DEMAND_LIFE.advance(before, event)
            if event in DEMAND_REASONED:
                check_said(why, f"the reason to {event} a demand")
            _check_persons(who, row, event)
            detail = None if act is None else act(change, row, who)
            now = self._clock.now()
            row.state, row.changed_at, row.since = after, now, now
            row.version += 1
            if event in _ANSWERS:
                row.answered_by = who.id
            self._written(change, row, event, _TOLD[event], who, before=before, why=why.strip() or None, detail=detail)
            return _record(row)

    def _written(
        self,
        change: Change,
        row: Demand,
        event: str,
        told: str,
        who: PrincipalRecord,
        *,
        before: str | None,
        why: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the step into the history, and tell it; the row is as it is after the step."""
        write_step(
            change.session,
            DemandHistory,
            row.id,
            event,
            n=row.version,
            at=row.changed_at,
            by=who.id,
            before=before,
            after=row.state,
            why=why,
            detail=detail,
        )
        change.event(
            told,
            row.id,
            {
                "department": row.department,
                "assigned": row.assigned,
                "state": row.state,
                "version": row.version,
                "resource": row.resource,
                "by": who.id,
            },
        )
        change.session.flush()

    def demand(self, demand: str) -> DemandRecord:
        """Return a demand. Raises ``RejectedError`` where there is none of that id."""
        with self._database.read() as session:
            return _record(known(session, Demand, demand, "demand"))

    def demand_history(self, demand: str) -> list[StepRecord]:
        """Return what was done to a demand, oldest first."""
        with self._database.read() as session:
            known(session, Demand, demand, "demand")
            rows = session.scalars(select(DemandHistory).where(DemandHistory.demand == demand).order_by(DemandHistory.n))
            return [step_record(row) for row in rows]

    def demands(
        self,
        states: Collection[DemandState] = LISTED,
        *,
        department: str | None = None,
        assigned: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[DemandRecord]:
        """Return the list of demands 需求清单, oldest first: refused and unanswered ones too.

        Args:
            states: only those in one of them.
            department: only those that it made.
            assigned: only those that it is to provide.
            after: only those after this id.
            limit: so many at most.
        """
        query = select(Demand).where(Demand.state.in_(list(states)))
        for column, wanted in ((Demand.department, department), (Demand.assigned, assigned)):
            if wanted is not None:
                query = query.where(column == wanted)
        if after is not None:
            query = query.where(Demand.id > after)
        with self._database.read() as session:
            return [_record(row) for row in session.scalars(query.order_by(Demand.id).limit(limit))]

    def responsibilities(
        self, *, assigned: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[DemandRecord]:
        """Return the list of responsibilities 责任清单: what departments promised to register, or did. As ``demands``."""
        return self.demands(TAKEN, assigned=assigned, after=after, limit=limit)

    def negatives(
        self, *, department: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[NegativeRecord]:
        """Return the negative list 负面清单: demands that were refused, then published resources that are not shared.

        Args:
            department: only those of a department.
            after: only those after this key.
            limit: so many at most.
        """
        after = after or ""
        with self._database.read() as session:
            found: list[NegativeRecord] = []
            if after < _RESOURCE:
                found = _refused(session, department, after.removeprefix(_DEMAND), limit)
            left = None if limit is None else limit - len(found)
            return found + _not_shared(session, department, after.removeprefix(_RESOURCE) if after >= _RESOURCE else "", left)


def _refused(session: Session, department: str | None, after: str, limit: int | None) -> list[NegativeRecord]:
    query = select(Demand).where(Demand.state == DemandState.REFUSED, Demand.id > after)
    if department is not None:
        query = query.where(Demand.assigned == department)
    return [
        NegativeRecord(_DEMAND + r.id, r.title, r.assigned or "", r.refusal_kind or "", r.refusal or "", r.changed_at)
        for r in session.scalars(query.order_by(Demand.id).limit(limit))
    ]


def _not_shared(session: Session, department: str | None, after: str, limit: int | None) -> list[NegativeRecord]:
    """Return name and reason of what is published and not shared; a draft is nobody's to see yet."""
    said = CatalogueEntry.document
    query: Select[Any] = (
        select(Resource, said["sharing_basis_kind"].astext, said["sharing_basis"].astext, CatalogueEntry.at)
        .join(CatalogueEntry, CatalogueEntry.resource == Resource.name)
        .where(
            Resource.state == ResourceState.PUBLISHED,
            said["sharing_type"].astext == SharingType.NOT_SHARED.value,
            Resource.name > after,
        )
        .order_by(Resource.name)
        .limit(limit)
    )
    if department is not None:
        query = query.where(Resource.department == department)
    return [
        NegativeRecord(_RESOURCE + row.name, row.title, row.department, kind, basis, at)
        for row, kind, basis, at in session.execute(query)
    ]


def _check_persons(who: PrincipalRecord, row: Demand, event: DemandEvent) -> None:
    """Raise ``DeniedError`` where one person would take two steps that need two."""
    if event is DemandEvent.CANCEL:
        return
    before = {row.asker: "asked for it"}
    if event in _ANSWERS and row.appointed_by is not None:
        before.setdefault(row.appointed_by, "appointed who answers it")
    check_other_person(who, before, event)


def _value(kind: type[Value], text: str, code: str, what: str) -> Value:
    """Return the official value of a code or a word."""
    for value in kind:
        if text.strip() in (value.value, value.zh):
            return value
    raise refused(f"{text[:40]!r} is no code of {what}", code, remedy=f"they are {', '.join(value.told for value in kind)}")


def _record(row: Demand) -> DemandRecord:
    kept = {name: getattr(row, name) for name in DemandRecord.__dataclass_fields__}
    lists = {name: tuple(kept[name]) for name in ("fields", "purposes", "items")}
    return DemandRecord(**kept | lists | {"state": DemandState(row.state)})
