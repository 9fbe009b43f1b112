"""Resources and the versions of their contracts."""

from __future__ import annotations

from typing import Final, Literal

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from catalog_registry import snapshot
from catalog_registry.acting import Sight
from catalog_registry.affected import Affected, affected
from catalog_registry.asked import OF_DRAFTS, Asked, permit
from catalog_registry.handing_on import follow_resource
from catalog_registry.records import (
    ContractVersionRecord,
    Cover,
    RegisteredResource,
    SourceRecord,
    UnboundResource,
    kept_contract,
)
from catalog_registry.revision_states import TOLD_STATES
from catalog_registry.rules import check_change, check_fits, check_keyed, check_newer, content_hash, refused
from catalog_registry.sources import Sources
from catalog_registry.states import ResourceState
from catalog_registry.store.change import Change
from catalog_registry.store.codes import count_code
from catalog_registry.store.documents import write_documents
from catalog_registry.store.history import resource_step
from catalog_registry.store.notice_tables import Revision
from catalog_registry.store.rows import (
    COVERED,
    cover_record,
    department_record,
    grants_of,
    known,
    resource_record,
    source_record,
    unbound_record,
)
from catalog_registry.store.tables import CatalogueEntry, ContractVersion, Department, Resource, Source, System
from schemas.catalogue_form import read_entry
from schemas.contract import DataContract
from schemas.errors import Fault, RejectedError
from schemas.evolution import diff
from schemas.odcs import read_contract
from schemas.resource import ResourceName

SHARED: Final = (ResourceState.PUBLISHED, ResourceState.FROZEN)
"""The states in which the newest contract is one that was reviewed, or published without."""

_NAMED: Final = 5
"""Grants that a refusal names."""


class Resources(Sources):
    """The resources. One is shared by its contract; a draft may be in the catalogue before it has one."""

    _dags_seen: tuple[int, tuple[int, int, int] | None] | None = None
    """The registry's version, and the snapshot's file, when the one was last found to say the other."""

    def register_resource(
        self,
        contract_text: str,
        *,
        by: str,
        code: str | None = None,
        where: str = "<contract>",
        state: Literal["draft", "published"] = "published",
        asked: Asked | None = None,
    ) -> RegisteredResource:
        """Register the resource of a contract, or a new version of its contract, and put it in force; return the resource.

        The same version with the same content changes nothing, whatever its layout.

        Args:
            contract_text: an ODCS document.
            by: id of the principal, or who else did it.
            code: the catalogue's official code.
            where: name of the file or the like, for errors.
            state: what a new resource is: shared at once, or a draft that is submitted and reviewed first. One that is there
                keeps its state, so a new version goes round no review.
            asked: who asks, and the ``row_version`` that it decided on; 0: for a new resource, a draft. None: the console.

        A draft that is in the catalogue without a contract is bound to this one, and stays a draft until it was reviewed.

        Raises:
            DeniedError: who asks may not, or the contract is for another department's source.
            RejectedError: the contract is not valid or has no key, its source, system or department is unknown or they do not
                belong together, this version exists with other content, a higher version is in force, the one in force has
                other partitions or another key, the change breaks what a grant reads and nobody was given notice
                (``contract.notice_needed``), another version is on its way (``contract.on_its_way``), the resource is being
                reviewed or is withdrawn, a draft is asked for of one that is shared, or the contract does not fit the entry of
                the draft that it would be bound to.
        """
        contract = readable_contract(contract_text, where=where)
        with self._database.change() as change:
            if asked is not None:
                self._check_asked(change.session, asked, change.session.get(Resource, contract.name), contract)
                state = "draft"
            row = self._register(change, contract, contract_text, by=by, code=code, state=state)
            registered = self._registered(change.session, row)
        self.refresh_dags()
        return registered

    def _register(
        self, change: Change, contract: DataContract, contract_text: str, *, by: str, code: str | None, state: str
    ) -> Resource:
        """Register a contract as a part of a change, as ``register_resource``; return the resource's row."""
        digest = content_hash(contract)
        now = self._clock.now()
        self._belongs(change.session, contract)
        row = change.session.get(Resource, contract.name)
        version = change.session.get(ContractVersion, (contract.name, contract.version))
        if version is not None and version.hash != digest:
            raise RejectedError(
                f"version {contract.version} of {contract.name} is registered with other content",
                code="contract.version_taken",
                where=contract.name,
                remedy="raise the contract's version",
                fault=Fault.PROVIDER,
            )
        if row is not None and version is None:
            check_kept(row)
            if row.version is None:
                self._check_binds(change.session, row, contract)
            else:
                check_newer(contract, row.version)
                check_change(self._in_force(change.session, row), contract)
                self._check_notice(change.session, row, contract)
        before = None if row is None else row.state
        if row is None:
            row = Resource(name=contract.name, state=state, row_version=0, created_at=now)
            change.session.add(row)
        elif version is None:
            _check_open(row, state)
        done = None
        if version is None:
            done = "register" if before is None else "change"
            self._put_in_force(change, row, contract, contract_text, digest, by)
        if code is not None and row.code != code:
            done = done or "code"
            row.code, row.changed_at = code, now
            count_code(change.session, code)
            change.event("resource.coded", contract.name, {"code": code})
        if done is not None:
            row.row_version += 1
            now_has = {"version": row.version, "code": row.code}
            resource_step(change.session, row, done, at=now, by=by, before=before, detail=now_has)
        change.session.flush()
        if done is not None:
            write_documents(change.session, row, contract)
        return row

    def _check_binds(self, session: Session, row: Resource, contract: DataContract) -> None:
        """Raise ``RejectedError`` where a contract is not of the draft that the catalogue has under its name."""
        if contract.department != row.department:
            raise refused(
                f"the catalogue has {row.name} as {row.department}'s, and the contract says department {contract.department}",
                "contract.other_department",
                where=row.name,
                remedy="name the contract's resource otherwise",
            )
        entry = session.get(CatalogueEntry, row.name)
        if entry is not None:
            department = department_record(known(session, Department, row.department, "department"))
            check_fits(read_entry(entry.document, where=row.name), contract, department)

    def _check_asked(self, session: Session, asked: Asked, row: Resource | None, contract: DataContract) -> None:
        """Raise where a contract is not for a department's own people to register: as a draft, or a version of one.

        Raises:
            DeniedError: who asks may not.
            RejectedError: there is one of that name already, it was changed meanwhile, it is shared (``contract.shared``), or
                the contract's department is not the resource's, or its source is none of that department's.
        """
        new = row is None or asked.version == 0  # a name that is taken is told so, and not whose it is
        of = contract.department if row is None or new else row.department
        here = None if row is None else row.row_version
        permit(session, asked, "register contracts", OF_DRAFTS, of, here=here, thing=contract.name)
        if row is not None and row.state in SHARED:
            raise refused(
                f"{row.name} is {row.state}, so a new version of its contract is proposed, and reviewed by somebody else",
                "contract.shared",
                where=row.name,
                remedy="propose a revision: POST /api/v1/revisions",
            )
        self._check_place(session, contract, of)

    def _check_place(self, session: Session, contract: DataContract, of: str) -> None:
        """Raise ``RejectedError`` where a contract's source is none of a department's: alike, whether there is one or not."""
        source = session.get(Source, contract.source)
        system = None if source is None else session.get(System, source.system)
        if contract.department != of or system is None or (system.code, system.department) != (contract.system, of):
            raise refused(
                f"{of} has no system {contract.system[:64]!r} with a source {contract.source[:64]!r}",
                "contract.source",
                where=contract.name,
                remedy="name the department's own source; the operator connects sources",
            )

    def refresh_dags(self) -> bool:
        """Make the snapshot for Airflow say what is registered, and say whether it did not; cheap where nothing changed.

        A kill between a registration and its snapshot leaves one that is too old, so this is called again and again.

        Raises:
            RejectedError: too many of the resources would lose their DAGs (``dags.shrank``); the last snapshot stays.
        """
        if self._dags_json is None:
            return False
        version = self.version()  # before the resources are read: what is registered meanwhile is seen by the next call
        seen = (version, snapshot.stamp(self._dags_json))
        if seen == self._dags_seen:
            return False
        written = snapshot.refresh(self, self._dags_json)
        self._dags_seen = (version, snapshot.stamp(self._dags_json))
        return written

    def _belongs(self, session: Session, contract: DataContract) -> Source:
        """Return the contract's source, having checked that source, system and department belong together."""
        source = known(session, Source, contract.source, "source")
        if source.system != contract.system:
            raise refused(
                f"the contract says system {contract.system}, but source {source.name} is of {source.system}",
                "contract.other_system",
            )
        system = known(session, System, contract.system, "system")
        if system.department != contract.department:
            raise refused(
                f"the contract says department {contract.department}, but system {system.code} is of {system.department}",
                "contract.other_department",
            )
        return source

    def _check_notice(self, session: Session, row: Resource, contract: DataContract) -> None:
        """Raise ``RejectedError`` where a version may not go into force now: another is on its way, or it breaks a grant."""
        check_way_free(session, row.name)
        touched = self._affected(session, row, contract)
        if touched:
            named = [f"{one.receiver} ({one.grant}: {', '.join(one.fields)})" for one in touched[:_NAMED]]
            more = f" and {len(touched) - _NAMED} more" if len(touched) > _NAMED else ""
            raise RejectedError(
                f"version {contract.version} of {row.name} breaks what is read by {'; '.join(named)}{more}",
                code="contract.notice_needed",
                where=row.name,
                remedy="give those affected notice: onedoor revision give FILE; see onedoor resource diff FILE",
                fault=Fault.PROVIDER,
            )

    def _affected(self, session: Session, row: Resource, contract: DataContract) -> tuple[Affected, ...]:
        """Return the grants that a contract would break, as things are now."""
        evolution = diff(self._in_force(session, row), contract)
        return affected(evolution, grants_of(session, row.name), self._clock.now()) if evolution.breaking else ()

    def _put_in_force(
        self, change: Change, row: Resource, contract: DataContract, contract_text: str, digest: str, by: str
    ) -> None:
        now = self._clock.now()
        first = row.version is None
        if not first and row.department != contract.department:
            follow_resource(change, row.name, row.department, contract.department, by=by, at=now)
        row.title, row.department, row.source = contract.title, contract.department, contract.source
        row.version, row.changed_at = contract.version, now
        change.session.flush()
        change.session.execute(
            update(ContractVersion)
            .where(ContractVersion.resource == contract.name, ContractVersion.status != "retired")
            .values(status="retired")
        )
        change.session.add(
            ContractVersion(
                resource=contract.name,
                version=contract.version,
                odcs=contract_text,
                hash=digest,
                status="active" if row.state in SHARED else "draft",
                at=now,
                by=by,
            )
        )
        change.event(
            "resource.registered" if first else "resource.changed",
            contract.name,
            {"version": contract.version, "title": contract.title, "department": contract.department, "contract_hash": digest},
        )

    def resource(self, name: str) -> RegisteredResource:
        """Return a registered resource.

        Raises:
            RejectedError: there is none of that name; near names are told. Or it has no contract yet (``resource.unbound``).
        """
        with self._database.read() as session:
            return self._registered(session, known(session, Resource, name, "resource"))

    def in_any_state(self, name: str) -> RegisteredResource | UnboundResource:
        """Return a resource, as ``resource``, or a draft that has no contract yet."""
        with self._database.read() as session:
            return self._in_any_state(session, known(session, Resource, name, "resource"))

    def _in_any_state(self, session: Session, row: Resource) -> RegisteredResource | UnboundResource:
        if row.version is None and (entry := session.get(CatalogueEntry, row.name)) is not None:
            return unbound_record(row, entry)
        return self._registered(session, row)

    def unbound(self) -> list[UnboundResource]:
        """Return the drafts that are in the catalogue and have no contract yet, by name."""
        with self._database.read() as session:
            query = (
                select(Resource, CatalogueEntry)
                .join(CatalogueEntry, CatalogueEntry.resource == Resource.name)
                .where(Resource.version.is_(None))
                .order_by(Resource.name)
            )
            return [unbound_record(row, entry) for row, entry in session.execute(query)]

    def resources(self) -> list[RegisteredResource]:
        """Return all resources that have a contract, by name. Contracts are parsed when they are asked for."""
        sources = {s.name: s for s in self.sources()}
        with self._database.read() as session:
            rows = session.execute(
                select(Resource, ContractVersion)
                .join(
                    ContractVersion, (ContractVersion.resource == Resource.name) & (ContractVersion.version == Resource.version)
                )
                .where(Resource.source.is_not(None))
                .order_by(Resource.name)
            )
            return [resource_record(row, sources[row.source], contract) for row, contract in rows if row.source in sources]

    def resource_seen(self, name: str, seen: Sight) -> RegisteredResource | UnboundResource | Cover | None:
        """Return a resource as somebody may see it; None where there is none, or it is not published and another department's.

        Of a resource that is not shared, others see the name and the reason only.
        """
        with self._database.read() as session:
            row = session.get(Resource, name)
            if row is None or seen.of_department(row.department):
                return None if row is None else self._in_any_state(session, row)
            if row.state != ResourceState.PUBLISHED:
                return None
            said = session.execute(select(*COVERED).where(CatalogueEntry.resource == name)).first()
            return (None if said is None else cover_record(name, said)) or self._registered(session, row)

    def catalogue(
        self, seen: Sight, *, after: str | None = None, limit: int = 50
    ) -> list[RegisteredResource | UnboundResource | Cover]:
        """Return the resources that may be seen, by name: published ones, and those of the own department, drafts without a
        contract too.

        Of a resource that is not shared, others see the name and the reason only.

        Args:
            seen: by whom.
            after: only those after this name.
            limit: so many at most.
        """
        catalogued = select(CatalogueEntry.resource).where(CatalogueEntry.resource == Resource.name).exists()
        names = select(Resource.name).where(
            or_(and_(Resource.version.is_not(None), Resource.source.is_not(None)), and_(Resource.version.is_(None), catalogued))
        )
        if not seen.everything:
            names = names.where(or_(Resource.state == ResourceState.PUBLISHED, Resource.department == seen.department))
        if after is not None:
            names = names.where(Resource.name > after)
        page = names.order_by(Resource.name).limit(limit).subquery()  # first, or a page in the middle reads all before it
        query = (
            select(Resource, ContractVersion, Source, System.department, *COVERED)
            .join(page, page.c.name == Resource.name)
            .outerjoin(
                ContractVersion, (ContractVersion.resource == Resource.name) & (ContractVersion.version == Resource.version)
            )
            .outerjoin(Source, Source.name == Resource.source)
            .outerjoin(System, System.code == Source.system)
            .outerjoin(CatalogueEntry, CatalogueEntry.resource == Resource.name)
            .order_by(Resource.name)
        )
        with self._database.read() as session:
            return [
                (None if seen.of_department(row.department) else cover_record(row.name, said))
                or (
                    unbound_record(row, session.get_one(CatalogueEntry, row.name))
                    if contract is None
                    else resource_record(row, source_record(source, department, self._keys_dir), contract)
                )
                for row, contract, source, department, *said in session.execute(query)
            ]

    def contract_versions(self, name: str) -> list[ContractVersionRecord]:
        """Return the versions of a resource's contract, oldest first."""
        with self._database.read() as session:
            known(session, Resource, name, "resource")
            rows = session.scalars(
                select(ContractVersion)
                .where(ContractVersion.resource == name)
                .order_by(ContractVersion.at, ContractVersion.version)
            )
            return [ContractVersionRecord(ResourceName(r.resource), r.version, r.hash, r.status, r.at, r.by) for r in rows]

    def contract(self, name: str, version: str) -> DataContract:
        """Return one version of a resource's contract, such as the one that a run was made under."""
        with self._database.read() as session:
            row = session.get(ContractVersion, (name, version))
            if row is None:
                raise refused(f"resource {name} has no contract version {version}", "contract.unknown_version", where=name)
            return kept_contract(row.odcs, f"{name} {version}")

    def _in_force(self, session: Session, row: Resource) -> DataContract:
        check_bound(row)
        version = session.get_one(ContractVersion, (row.name, row.version))
        return read_contract(version.odcs, where=f"{row.name} {row.version}")

    def _registered(self, session: Session, row: Resource) -> RegisteredResource:
        check_bound(row)
        return self._resource(session, row, self._source(known(session, Source, row.source or "", "source"), session))

    def _resource(self, session: Session, row: Resource, source: SourceRecord) -> RegisteredResource:
        contract = session.scalars(
            select(ContractVersion).where(ContractVersion.resource == row.name, ContractVersion.version == row.version)
        ).one()
        return resource_record(row, source, contract)


def check_way_free(session: Session, resource: str) -> None:
    """Raise ``RejectedError`` where a version of a resource's contract is on its way into force: no other one overtakes it."""
    waits = session.scalars(select(Revision).where(Revision.resource == resource, Revision.state.in_(TOLD_STATES))).first()
    if waits is not None:
        raise RejectedError(
            f"version {waits.to_version} of {resource} is on its way by revision {waits.id}, which is {waits.state}",
            code="contract.on_its_way",
            where=resource,
            remedy=f"wait until it is in force, or withdraw it: onedoor revision withdraw {waits.id}",
            fault=Fault.PROVIDER,
        )


def readable_contract(contract_text: str, *, where: str) -> DataContract:
    """Return the contract of a text. Raises ``RejectedError`` where it is none, or has no key."""
    contract = read_contract(contract_text, where=where)
    check_keyed(contract)
    return contract


def check_kept(row: Resource) -> None:
    """Raise ``RejectedError`` where a resource was discarded: it is as if it had never been, and its name is not free."""
    if row.state == ResourceState.DISCARDED:
        raise refused(f"{row.name} was discarded", "resource.unknown", where=row.name, remedy="register it under another name")


def check_bound(row: Resource) -> None:
    """Raise ``RejectedError`` where a resource is in the catalogue only: it has no contract yet."""
    check_kept(row)
    if row.version is None:
        raise refused(
            f"{row.name} is in the catalogue, and has no contract yet",
            "resource.unbound",
            where=row.name,
            remedy="bind it: register a contract of that name",
        )


def _check_open(row: Resource, state: str) -> None:
    """Raise ``RejectedError`` where a resource that is there takes no new version of its contract now, or not as a draft."""
    if row.state == ResourceState.SUBMITTED:
        raise refused(
            f"{row.name} is being reviewed, so its contract stays as it was submitted",
            "resource.under_review",
            where=row.name,
            remedy="have it published or rejected first",
        )
    if row.state == ResourceState.WITHDRAWN:
        raise refused(f"{row.name} is withdrawn", "resource.withdrawn", where=row.name, remedy="register it under another name")
    if state == ResourceState.DRAFT and row.state in SHARED:
        raise refused(
            f"{row.name} is {row.state}, so a version of its contract is no draft",
            "resource.no_draft",
            where=row.name,
            remedy="register the version without asking for a draft",
        )
