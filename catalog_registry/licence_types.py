"""The register of licence types 证照类型: brought up to date from the licence store, with the terms that the hub keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_registry.acting import check_version
from catalog_registry.item_life import ENTER, LICENCE_TYPE_LIFE, LicenceTypeEvent, LicenceTypeState
from catalog_registry.item_records import Brought, LicenceTypeRecord, Owner
from catalog_registry.items import LICENCE_TYPES, check_keeper, departments_by_credit_code, owner_of, refuse_owned
from catalog_registry.records import StepRecord
from catalog_registry.rules import check_code
from catalog_registry.store.change import Change, Part
from catalog_registry.store.history import write_step
from catalog_registry.store.item_tables import LicenceTypeHistory, LicenceTypeRow
from catalog_registry.store.rows import known, known_principal, principal_record
from catalog_registry.store.tables import ItemLicenceType
from schemas.licence_type import LicenceTerms, LicenceType, licence_type_document, read_licence_type, read_terms

_TOLD: Final[Mapping[str, str]] = {
    ENTER: "licence_type.entered",
    LicenceTypeEvent.CHANGE: "licence_type.changed",
    LicenceTypeEvent.END: "licence_type.ended",
    LicenceTypeEvent.RETURN: "licence_type.returned",
    LicenceTypeEvent.TERMS: "licence_type.terms_set",
}


class LicenceTypes(Part):
    """The kinds of e-licence: what the licence store says of them, and on which terms they are shared."""

    def licence_type_owner(self) -> Owner | None:
        """Return the system whose the licence types are; None where they are kept by hand in the hub."""
        with self._database.read() as session:
            return owner_of(session, LICENCE_TYPES)

    def licence_type(self, code: str) -> LicenceTypeRecord:
        """Return a licence type, with the items that may use it. Raises ``RejectedError`` where there is none."""
        with self._database.read() as session:
            row = known(session, LicenceTypeRow, code, "licence_type")
            return _record(row, _items(session, [code]).get(code, ()))

    def licence_types(self, *, after: str | None = None, limit: int | None = None) -> list[LicenceTypeRecord]:
        """Return licence types by code, those that have ended too: all, or ``limit`` of those after a code."""
        query = select(LicenceTypeRow).order_by(LicenceTypeRow.code).limit(limit)
        if after is not None:
            query = query.where(LicenceTypeRow.code > after)
        with self._database.read() as session:
            rows = session.scalars(query).all()
            items = _items(session, [row.code for row in rows])
            return [_record(row, items.get(row.code, ())) for row in rows]

    def licence_type_history(self, code: str) -> list[StepRecord]:
        """Return what was done to a licence type, oldest first."""
        with self._database.read() as session:
            known(session, LicenceTypeRow, code, "licence_type")
            query = select(LicenceTypeHistory).where(LicenceTypeHistory.licence_type == code).order_by(LicenceTypeHistory.n)
            return [
                StepRecord(row.n, row.at, row.by, row.event, row.from_state, row.to_state, row.why, row.detail)
                for row in session.scalars(query)
            ]

    def bring_licence_types(self, types: Sequence[LicenceType], *, owner: str, by: str, kept: Collection[str] = ()) -> Brought:
        """Bring the register up to what the owner's system has; the hub's own terms stay. Doing it again changes nothing.

        Args:
            types: all that the system has.
            owner: code of the system.
            by: the run that they come from.
            kept: codes of those that the system has with faults in them: they stay as they are.
        """
        wanted = {one.code: one for one in types}
        done = Brought()
        with self._database.change() as change:
            departments = departments_by_credit_code(change.session)
            here = {row.code: row for row in change.session.scalars(select(LicenceTypeRow))}
            for code, one in wanted.items():
                event = self._enter(change, here.get(code), one, owner=owner, by=by, departments=departments)
                done = Brought(
                    entered=done.entered + (event == ENTER),
                    changed=done.changed + (event not in (None, ENTER)),
                    unchanged=done.unchanged + (event is None),
                )
            gone = [
                row
                for row in here.values()
                if row.owner == owner and row.state != LicenceTypeState.ENDED and row.code not in wanted
            ]
            ending = [row for row in gone if row.code not in kept]
            for row in ending:
                self._licence_type_step(change, row, LicenceTypeEvent.END, by)
        return Brought(done.entered, done.changed, len(ending), done.unchanged, len(gone) - len(ending))

    def set_licence_type(self, one: LicenceType, *, by: str, expected_version: int = 0) -> LicenceTypeRecord:
        """Enter a licence type that is kept by hand, or change it; return it.

        Raises:
            RejectedError: the licence types are another system's (``item.owned_elsewhere``), or it was changed meanwhile.
            DeniedError: the principal has no role for it, or is of another department than the issuer.
        """
        check_code(one.code, "licence type")
        with self._database.change() as change:
            session = change.session
            who = principal_record(known_principal(session, by))
            row = session.get(LicenceTypeRow, one.code)
            departments = departments_by_credit_code(session)
            issuing = departments.get(one.issuer_code or "")
            check_keeper(who, "change", issuing, *(() if row is None else (row.department,)))
            refuse_owned(session, LICENCE_TYPES, "licence types", one.code, None if row is None else row.owner)
            check_version(expected_version, 0 if row is None else row.version, f"licence type {one.code}")
            self._enter(change, row, one, owner=None, by=who.id, departments=departments)
            session.flush()
            return _record(
                known(session, LicenceTypeRow, one.code, "licence_type"), _items(session, [one.code]).get(one.code, ())
            )

    def set_licence_terms(self, code: str, terms: LicenceTerms, *, by: str, version: int) -> LicenceTypeRecord:
        """Say on which terms a licence type is shared; return it. The same terms again change nothing.

        Raises:
            RejectedError: it was changed meanwhile, or there is no such licence type.
            DeniedError: the principal has no role for it, or is of another department than the issuer.
        """
        with self._database.change() as change:
            session = change.session
            who = principal_record(known_principal(session, by))
            row = known(session, LicenceTypeRow, code, "licence_type")
            check_keeper(who, "change", row.department)
            check_version(version, row.version, f"licence type {code}")
            document = licence_type_document(terms)
            if row.terms != document:
                row.terms = document
                self._licence_type_step(change, row, LicenceTypeEvent.TERMS, who.id)
            session.flush()
            return _record(row, _items(session, [code]).get(code, ()))

    def _enter(
        self,
        change: Change,
        row: LicenceTypeRow | None,
        one: LicenceType,
        *,
        owner: str | None,
        by: str,
        departments: Mapping[str, str],
    ) -> str | None:
        """Take over what is said of a licence type; return what that was, None where it was said already."""
        document, department = licence_type_document(one), departments.get(one.issuer_code or "")
        if row is None:
            terms = licence_type_document(LicenceTerms())
            row = LicenceTypeRow(code=one.code, state=LicenceTypeState.IN_FORCE, version=0, terms=terms)
            change.session.add(row)
            event = ENTER
        elif row.state == LicenceTypeState.ENDED:
            event = LicenceTypeEvent.RETURN
        elif (row.document, row.owner, row.department) != (document, owner, department):
            event = LicenceTypeEvent.CHANGE
        else:
            return None
        row.document, row.owner, row.department = document, owner, department
        self._licence_type_step(change, row, event, by)
        return event

    def _licence_type_step(self, change: Change, row: LicenceTypeRow, event: str, by: str) -> None:
        before = None if event == ENTER else LicenceTypeState(row.state)
        after = row.state if before is None else LICENCE_TYPE_LIFE.advance(before, LicenceTypeEvent(event))
        row.state, row.version, row.changed_at = after, row.version + 1, self._clock.now()
        change.session.flush()
        write_step(
            change.session,
            LicenceTypeHistory,
            row.code,
            event,
            n=row.version,
            at=row.changed_at,
            by=by,
            before=before,
            after=after,
            detail={"type": row.document, "terms": row.terms},
        )
        told = {"state": after, "version": row.version, "department": row.department, "owner": row.owner, "by": by}
        change.event(_TOLD[event], row.code, told)


def _items(session: Session, codes: Collection[str]) -> dict[str, tuple[str, ...]]:
    query = select(ItemLicenceType.licence_type, ItemLicenceType.item_code).where(ItemLicenceType.licence_type.in_(codes))
    found: dict[str, set[str]] = {}
    for code, item in session.execute(query):
        found.setdefault(code, set()).add(item)
    return {code: tuple(sorted(items)) for code, items in found.items()}


def _record(row: LicenceTypeRow, items: tuple[str, ...]) -> LicenceTypeRecord:
    return LicenceTypeRecord(
        type=read_licence_type(row.document, where=row.code),
        terms=read_terms(row.terms, where=row.code),
        state=row.state,
        version=row.version,
        department=row.department,
        owner=row.owner,
        changed_at=row.changed_at,
        items=items,
    )
