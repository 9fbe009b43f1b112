"""Resources and the versions of their contracts."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from catalog_registry import snapshot
from catalog_registry.records import ContractVersionRecord, RegisteredResource, SourceRecord, kept_contract
from catalog_registry.rules import check_change, content_hash, newer, refused
from catalog_registry.sources import Sources
from catalog_registry.store.change import Change
from catalog_registry.store.rows import known, resource_record
from catalog_registry.store.tables import ContractVersion, Resource, Source, System
from schemas.contract import DataContract
from schemas.errors import Fault, RejectedError
from schemas.odcs import read_contract
from schemas.resource import ResourceName


class Resources(Sources):
    """The shared resources, each with a contract in force."""

    _dags_seen: tuple[int, tuple[int, int, int] | None] | None = None
    """The registry's version, and the snapshot's file, when the one was last found to say the other."""

    def register_resource(
        self, contract_text: str, *, by: str, code: str | None = None, where: str = "<contract>"
    ) -> RegisteredResource:
        """Register the resource of a contract, or a new version of its contract, and put it in force; return the resource.

        The same version with the same content changes nothing, whatever its layout.

        Args:
            contract_text: an ODCS document.
            by: id of the principal, or who else did it.
            code: the catalogue's official code.
            where: name of the file or the like, for errors.

        Raises:
            RejectedError: the contract is not valid or has no key, its source, system or department is unknown or they do not
                belong together, this version exists with other content, a higher version is in force, or the one in force has
                other partitions or another key.
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
            if row is None:
                row = Resource(name=contract.name, state="published", created_at=now)
                change.session.add(row)
            if known is None:
                self._put_in_force(change, row, contract, contract_text, digest, by)
            if code is not None and row.code != code:
                row.code, row.changed_at = code, now
                change.event("resource.coded", contract.name, {"code": code})
            change.session.flush()
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
            .where(ContractVersion.resource == contract.name, ContractVersion.status == "active")
            .values(status="retired")
        )
        change.session.add(
            ContractVersion(
                resource=contract.name,
                version=contract.version,
                odcs=contract_text,
                hash=digest,
                status="active",
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
            row = known(session, Resource, name, "resource")
            return self._resource(session, row, self._source(known(session, Source, row.source or "", "source"), session))

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

    def _resource(self, session: Session, row: Resource, source: SourceRecord) -> RegisteredResource:
        contract = session.scalars(
            select(ContractVersion).where(ContractVersion.resource == row.name, ContractVersion.version == row.version)
        ).one()
        return resource_record(row, source, contract)
