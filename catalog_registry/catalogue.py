"""The official catalogue: an entry for each resource, and the codes that it gives."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.orm import Session

from catalog_registry.acting import Sight, check_version
from catalog_registry.asked import OF_ENTRIES, Asked, permit
from catalog_registry.records import DepartmentRecord, EntryRecord, ListedResource
from catalog_registry.resources import SHARED, Resources, check_kept
from catalog_registry.rules import check_fits, provider_misfits, refused
from catalog_registry.states import ResourceState
from catalog_registry.store.change import Change
from catalog_registry.store.codes import count_code
from catalog_registry.store.documents import write_documents
from catalog_registry.store.history import resource_step
from catalog_registry.store.rows import department_record, known
from catalog_registry.store.tables import CatalogueEntry as EntryRow
from catalog_registry.store.tables import CodeSequence, ContractVersion, Department, Resource
from schemas.catalogue import CatalogueEntry, is_code, official_code
from schemas.catalogue_form import entry_document, read_entry
from schemas.resource import ResourceName

NOT_YET: Final = (ResourceState.DRAFT, ResourceState.SUBMITTED, ResourceState.REJECTED)
"""The states before a resource is shared for the first time."""

_PAGE_ROWS: Final = 500


class Catalogue(Resources):
    """What the official catalogue says of the resources."""

    def set_entry(
        self, name: str, entry: CatalogueEntry, *, by: str, expected_version: int = 0, asked: Asked | None = None
    ) -> EntryRecord:
        """Give a resource its entry in the catalogue, or another one; return it, with the resource's code.

        A resource gets its code with its first entry: the one it has, else the entry's own, else a new one of the entry's
        classification. It keeps that code whatever the catalogue says of it later. The same entry again changes nothing.

        Args:
            name: the resource.
            entry: what the catalogue is to say.
            by: id of the principal, or who else did it.
            expected_version: the version of the entry that this was decided on; 0: there was none.
            asked: who asks, with that version; None: the console.

        Raises:
            DeniedError: who asks may not.
            RejectedError: the entry was changed meanwhile (``registry.conflict``), the resource is being reviewed
                (``resource.under_review``), the entry's fields are not the contract's or its
                provider is not the department (``catalogue.entry``), or it names another code than the resource's.
        """
        with self._database.change() as change:
            session = change.session
            row = known(session, Resource, name, "resource")
            check_kept(row)
            here = session.get(EntryRow, name)
            if asked is not None:
                expected_version = asked.version  # looked at below: 0 is an answer too
                at = asked.version or None
                permit(session, asked, "set catalogue entries", OF_ENTRIES, row.department, here=at, thing=name)
            check_version(expected_version, 0 if here is None else here.version, f"the catalogue entry of {name}")
            if row.state == ResourceState.SUBMITTED:
                raise refused(
                    f"{name} is being reviewed, so its catalogue entry stays as it was submitted",
                    "resource.under_review",
                    where=name,
                    remedy="have it published or rejected first",
                )
            department = department_record(known(session, Department, row.department, "department"))
            contract = None
            if row.version is None:
                self._check_provider(entry, department, name)
                self._retitle(session, row, entry.title, by)
            else:
                contract = self._in_force(session, row)
                check_fits(entry, contract, department)
            code = self._code(change, row, entry, by)
            document = entry_document(replace(entry, code=code))
            if here is None:
                here = EntryRow(resource=name, code=code, version=0)
                session.add(here)
            elif here.document == document:
                return _record(here)
            here.document, here.at, here.by = document, self._clock.now(), by
            here.version += 1
            change.event("catalogue.set", name, {"version": here.version, "code": code, "by": by})
            session.flush()
            write_documents(session, row, contract)
            return _record(here)

    def entry(self, name: str) -> EntryRecord | None:
        """Return what the catalogue says of a resource, None where it says nothing yet.

        Raises:
            RejectedError: there is no resource of that name; near names are told.
        """
        with self._database.read() as session:
            known(session, Resource, name, "resource")
            here = session.get(EntryRow, name)
            return None if here is None else _record(here)

    def entries(self) -> list[EntryRecord]:
        """Return all entries, by the resource's name."""
        with self._database.read() as session:
            return [_record(row) for row in session.scalars(select(EntryRow).order_by(EntryRow.resource))]

    def listed(
        self, names: Collection[str] = (), *, seen: Sight | None = None, drafts: bool = False
    ) -> Iterator[ListedResource]:
        """Yield the resources that are shared, by name: all, or those named. Memory does not grow with their number.

        Args:
            names: the resources; none: all.
            seen: by whom: what is published, and what is the own department's; None: by the console.
            drafts: those that are not shared yet too, as far as the catalogue has them and they may be seen.

        Raises:
            RejectedError: a name is of no resource, or of one that is not listed; what may not be seen is told as what is not.
        """
        with self._database.read() as session:
            visible = _visible(seen, drafts=drafts)
            _check_listed(session, names, None if seen is None else visible, drafts=drafts)
            query = (
                select(Resource, Department, EntryRow)
                .join(Department, Department.code == Resource.department)
                .outerjoin(EntryRow, EntryRow.resource == Resource.name)
                .where(visible)
                .order_by(Resource.name)
                .execution_options(yield_per=_PAGE_ROWS)
            )
            if names:
                query = query.where(Resource.name.in_(names))
            for row, department, entry in session.execute(query):
                yield ListedResource(
                    name=ResourceName(row.name),
                    title=row.title,
                    department=department_record(department),
                    changed_at=row.changed_at if entry is None else max(row.changed_at, entry.at),
                    entry=None if entry is None else _record(entry).entry,
                )

    def contract_texts(self, names: Collection[str] = (), *, seen: Sight | None = None) -> Iterator[str]:
        """Yield the contracts in force of the resources that are shared, each as it was registered, by the resource's name.

        Raises:
            RejectedError: as ``listed``; a contract says where rows are read, so no other department sees it.
        """
        with self._database.read() as session:
            own = true() if seen is None or seen.everything else Resource.department == (seen.department or "")
            visible = _visible(seen) & own
            _check_listed(session, names, None if seen is None else visible)
            query = (
                select(ContractVersion.odcs)
                .join(Resource, (Resource.name == ContractVersion.resource) & (Resource.version == ContractVersion.version))
                .where(visible)
                .order_by(Resource.name)
                .execution_options(yield_per=_PAGE_ROWS)
            )
            if names:
                query = query.where(Resource.name.in_(names))
            yield from session.scalars(query)

    def listed_between(self) -> tuple[datetime, datetime]:
        """Return when the first of the resources that are shared was registered, and when one was last changed; now, where
        there are none.
        """
        with self._database.read() as session:
            query = select(func.min(Resource.created_at), func.max(Resource.changed_at)).where(Resource.state.in_(SHARED))
            first, last = session.execute(query).one()
            entered = session.scalars(select(func.max(EntryRow.at))).one()
            now = self._clock.now()
            return first or now, max(last or now, entered or last or now)

    def _check_provider(self, entry: CatalogueEntry, department: DepartmentRecord, name: str) -> None:
        if wrong := provider_misfits(entry, department):
            told = "; ".join(f"{key}: {reason}" for key, reason in wrong)
            raise refused(f"the catalogue entry is another department's: {told}", "catalogue.entry", where=name)

    def _retitle(self, session: Session, row: Resource, title: str, by: str) -> None:
        """Call a draft that has no contract as its entry does."""
        if row.title != title:
            row.title, row.changed_at = title, self._clock.now()
            row.row_version += 1
            detail = {"version": None, "title": title}
            resource_step(session, row, "change", at=row.changed_at, by=by, before=row.state, detail=detail)

    def _code(self, change: Change, row: Resource, entry: CatalogueEntry, by: str) -> str:
        """Return the resource's code; give it one where it has none."""
        if row.code is not None:
            if entry.code not in (None, row.code):
                raise refused(
                    f"the entry says code {entry.code}, and {row.name} has {row.code}, which never changes",
                    "catalogue.code_fixed",
                    where=row.name,
                    remedy="leave the code out",
                )
            if not is_code(row.code):
                raise refused(
                    f"the code {row.code[:64]!r} that {row.name} has is none of the official catalogue",
                    "catalogue.code_form",
                    where=row.name,
                    remedy="register the resource with --code and its official code",
                )
            count_code(change.session, row.code)
            return row.code
        code = entry.code or self._next_code(change.session, entry.classification.prefix)
        if change.session.scalars(select(Resource.name).where(Resource.code == code)).first() is not None:
            raise refused(f"another resource has code {code}", "catalogue.code_taken", where=row.name)
        count_code(change.session, code)
        self._give_code(change, row, code, by)
        change.session.flush()
        return code

    def _give_code(self, change: Change, row: Resource, code: str, by: str) -> None:
        """Give a resource its code; the history and an event say so."""
        row.code, row.changed_at = code, self._clock.now()
        row.row_version += 1
        detail = {"version": row.version, "code": code}
        resource_step(change.session, row, "code", at=row.changed_at, by=by, before=row.state, detail=detail)
        change.event("resource.coded", row.name, {"code": code})

    def _next_code(self, session: Session, prefix: str) -> str:
        """Return a code of a classification that no resource ever had, nor was registered with."""
        counted = session.get(CodeSequence, prefix)
        number = 1 if counted is None else counted.last + 1
        while session.scalars(select(Resource.name).where(Resource.code == official_code(prefix, number))).first() is not None:
            number += 1
        return official_code(prefix, number)


def _visible(seen: Sight | None, *, drafts: bool = False) -> ColumnElement[bool]:
    """Return the condition on resources that are listed for somebody."""
    states = (*SHARED, *NOT_YET) if drafts else SHARED
    if seen is None or seen.everything:
        return Resource.state.in_(states)
    return or_(
        Resource.state == ResourceState.PUBLISHED,
        and_(Resource.state.in_(states), Resource.department == (seen.department or "")),
    )


def _check_listed(
    session: Session, names: Collection[str], visible: ColumnElement[bool] | None, *, drafts: bool = False
) -> None:
    """Raise ``RejectedError`` where a name is of no resource that is listed; with ``visible`` whatever the cause, alike."""
    if visible is not None:
        here = set(session.scalars(select(Resource.name).where(Resource.name.in_(names), visible)))
        for name in names:
            if name not in here:
                raise refused(f"there is no resource {name[:64]!r}", "resource.unknown")
        return
    for name in names:
        row = known(session, Resource, name, "resource")
        if row.state not in SHARED and not (drafts and row.state in NOT_YET):
            raise refused(f"resource {name} is {row.state}, so no catalogue lists it", "catalogue.not_shared", where=name)


def _record(row: EntryRow) -> EntryRecord:
    return EntryRecord(ResourceName(row.resource), row.version, read_entry(row.document, where=row.resource), row.at, row.by)
