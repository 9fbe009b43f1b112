"""Resources and the versions of their contracts."""

from __future__ import annotations

from typing import Final, Literal

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from catalog_registry import snapshot
from catalog_registry.acting import Sight
from catalog_registry.records import ContractVersionRecord, Cover, RegisteredResource, SourceRecord, kept_contract
from catalog_registry.rules import check_change, content_hash, newer, refused
from catalog_registry.sources import Sources
from catalog_registry.states import ResourceState
from catalog_registry.store.change import Change
from catalog_registry.store.codes import count_code
from catalog_registry.store.documents import write_documents
from catalog_registry.store.history import resource_step
from catalog_registry.store.rows import COVERED, cover_record, known, resource_record, source_record
from catalog_registry.store.tables import CatalogueEntry, ContractVersion, Resource, Source, System
from schemas.contract import DataContract
from schemas.errors import Fault, RejectedError
from schemas.odcs import read_contract
from schemas.resource import ResourceName

SHARED: Final = (ResourceState.PUBLISHED, ResourceState.FROZEN)
"""The states in which the newest contract is one that was reviewed, or published without."""


class Resources(Sources):
    """The shared resources, each with a contract in force."""

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

        Raises:
            RejectedError: the contract is not valid or has no key, its source, system or department is unknown or they do not
                belong together, this version exists with other content, a higher version is in force, the one in force has
                other partitions or another key, the resource is being reviewed or is withdrawn, or a draft is asked for of one
                that is shared.
        """
        contract = read_contract(contract_text, where=where)
        if not contract.key:
            raise RejectedError(
                "the contract names no key; rows without a key cannot be kept apart",
                code="contract.no_key",
                where=contract.name,
                remedy="set primaryKey and primaryKeyPosition on the fields that tell rows apart",
                fault=Fault.PROVIDER,
            )
        digest = content_hash(contract)
        now = self._clock.now()
        with self._database.change() as change:
            source = self._belongs(change.session, contract)
            row = change.session.get(Resource, contract.name)
            known = change.session.get(ContractVersion, (contract.name, contract.version))
            if known is not None and known.hash != digest:
                raise RejectedError(
                    f"version {contract.version} of {contract.name} is registered with other content",
                    code="contract.version_taken",
                    where=contract.name,
                    remedy="raise the contract's version",
                    fault=Fault.PROVIDER,
                )
            if row is not None and row.version is not None and known is None and not newer(contract.version, row.version):
                raise RejectedError(
                    f"version {contract.version} is not above {row.version}, which is in force",
                    code="contract.version_order",
                    where=contract.name,
                    remedy="raise the contract's version",
                    fault=Fault.PROVIDER,
                )
            if row is not None and row.version is not None and known is None:
                check_change(self._in_force(change.session, row), contract)
            before = None if row is None else row.state
            if row is None:
                row = Resource(name=contract.name, state=state, row_version=0, created_at=now)
                change.session.add(row)
            elif known is None:
                _check_open(row, state)
            done = None
            if known is None:
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
            registered = self._resource(change.session, row, self._source(source, change.session))
        self.refresh_dags()
        return registered

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

    def _put_in_force(
        self, change: Change, row: Resource, contract: DataContract, contract_text: str, digest: str, by: str
    ) -> None:
        now = self._clock.now()
        first = row.version is None
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
            RejectedError: there is none of that name; near names are told.
        """
        with self._database.read() as session:
            return self._registered(session, known(session, Resource, name, "resource"))

    def resources(self) -> list[RegisteredResource]:
        """Return all registered resources by name. Contracts are parsed when they are asked for."""
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

    def resource_seen(self, name: str, seen: Sight) -> RegisteredResource | Cover | None:
        """Return a resource as somebody may see it; None where there is none, or it is not published and another department's.

        Of a resource that is not shared, others see the name and the reason only.
        """
        with self._database.read() as session:
            row = session.get(Resource, name)
            if row is None or seen.of_department(row.department):
                return None if row is None else self._registered(session, row)
            if row.state != ResourceState.PUBLISHED:
                return None
            said = session.execute(select(*COVERED).where(CatalogueEntry.resource == name)).first()
            return (None if said is None else cover_record(name, said)) or self._registered(session, row)

    def catalogue(self, seen: Sight, *, after: str | None = None, limit: int = 50) -> list[RegisteredResource | Cover]:
        """Return the resources that may be seen, by name: published ones, and those of the own department.

        Of a resource that is not shared, others see the name and the reason only.

        Args:
            seen: by whom.
            after: only those after this name.
            limit: so many at most.
        """
        names = select(Resource.name).where(Resource.version.is_not(None), Resource.source.is_not(None))
        if not seen.everything:
            names = names.where(or_(Resource.state == ResourceState.PUBLISHED, Resource.department == seen.department))
        if after is not None:
            names = names.where(Resource.name > after)
        page = names.order_by(Resource.name).limit(limit).subquery()  # first, or a page in the middle reads all before it
        query = (
            select(Resource, ContractVersion, Source, System.department, *COVERED)
            .join(page, page.c.name == Resource.name)
            .join(ContractVersion, (ContractVersion.resource == Resource.name) & (ContractVersion.version == Resource.version))
            .join(Source, Source.name == Resource.source)
            .join(System, System.code == Source.system)
            .outerjoin(CatalogueEntry, CatalogueEntry.resource == Resource.name)
            .order_by(Resource.name)
        )
        with self._database.read() as session:
            return [
                (None if seen.of_department(row.department) else cover_record(row.name, said))
                or resource_record(row, source_record(source, department, self._keys_dir), contract)
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
        version = session.get_one(ContractVersion, (row.name, row.version))
        return read_contract(version.odcs, where=f"{row.name} {row.version}")

    def _registered(self, session: Session, row: Resource) -> RegisteredResource:
        return self._resource(session, row, self._source(known(session, Source, row.source or "", "source"), session))

    def _resource(self, session: Session, row: Resource, source: SourceRecord) -> RegisteredResource:
        contract = session.scalars(
            select(ContractVersion).where(ContractVersion.resource == row.name, ContractVersion.version == row.version)
        ).one()
        return resource_record(row, source, contract)


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
