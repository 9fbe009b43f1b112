"""The registry: who shares what, with whom, on which terms. Every change writes its event in the same transaction."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from catalog_registry import snapshot
from catalog_registry.credential import absorb, hashed, matches, new_secret
from catalog_registry.records import (
    ContractVersionRecord,
    DepartmentRecord,
    GrantRecord,
    PrincipalKind,
    PrincipalRecord,
    Receiver,
    ReceiverKind,
    RegisteredResource,
    RegistryEvent,
    SourceRecord,
    SystemRecord,
)
from catalog_registry.rules import check_code, check_fields, check_roles, check_said, check_terms, content_hash, newer, refused
from catalog_registry.secret_place import drop_secret, keep_secret, secret_reference, split_url
from catalog_registry.store.change import Change, Database
from catalog_registry.store.rows import (
    department_record,
    grant_record,
    known,
    known_principal,
    no_cycle,
    principal_record,
    resource_record,
    source_record,
)
from catalog_registry.store.tables import (
    ContractVersion,
    Department,
    Grant,
    ItemLicenceType,
    Outbox,
    Principal,
    Resource,
    Source,
    System,
)
from schemas.clock import Clock
from schemas.codes import CODES
from schemas.contract import DataContract
from schemas.errors import DeniedError, Fault, RejectedError
from schemas.ids import new_id
from schemas.odcs import read_contract
from schemas.resource import ResourceName, resource_name
from schemas.secret import Secret

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Registry:
    """The registry of one hub. Short transactions; safe to share between threads; a read-only role may read all of it.

    Args:
        url: libpq URL of the hub's database.
        clock: the hub's clock.
        keys_dir: where passwords of sources are kept; None: sources can be listed, not opened.
        dags_json: the snapshot for Airflow, written whenever a resource is registered; None: not written.
    """

    def __init__(self, url: str, clock: Clock, *, keys_dir: Path | None = None, dags_json: Path | None = None) -> None:
        self._database = Database(url, clock)
        self._clock = clock
        self._keys_dir = keys_dir
        self._dags_json = dags_json

    def close(self) -> None:
        """Let go of all connections."""
        self._database.close()

    def version(self) -> int:
        """Return a number that every change raises; caches compare it. The channel ``onedoor_registry`` tells the new one."""
        return self._database.version()

    # Departments and systems -----------------------------------------------------------------------------------------

    def ensure_department(
        self, code: str, name: str, *, credit_code: str | None = None, parent: str | None = None
    ) -> DepartmentRecord:
        """Make the department, or give it this name, credit code and place in the tree; return it.

        Raises:
            RejectedError: the code's form or the credit code's check digit is wrong, the parent is unknown or below it.
        """
        check_code(code, "department")
        check_said(name, "a department's name")
        if credit_code is not None and not CODES["credit_code"].valid(credit_code):
            raise refused("the credit code is not valid: form or check digit", "department.credit_code", where=code)
        with self._database.change() as change:
            no_cycle(change.session, code, parent)
            row = change.session.get(Department, code)
            if row is None:
                row = Department(code=code, name=name, credit_code=credit_code, parent=parent, created_at=self._clock.now())
                change.session.add(row)
                change.event("department.made", code, {"name": name, "parent": parent})
            elif (row.name, row.credit_code, row.parent) != (name, credit_code, parent):
                row.name, row.credit_code, row.parent = name, credit_code, parent
                change.event("department.changed", code, {"name": name, "parent": parent})
            return department_record(row)

    def ensure_system(self, code: str, name: str, department: str) -> SystemRecord:
        """Make the system of a department, or give it this name; return it.

        Raises:
            RejectedError: the department is unknown, or the system is another department's.
        """
        check_code(code, "system")
        check_said(name, "a system's name")
        with self._database.change() as change:
            known(change.session, Department, department, "department")
            row = change.session.get(System, code)
            if row is None:
                row = System(code=code, name=name, department=department, created_at=self._clock.now())
                change.session.add(row)
                change.event("system.made", code, {"name": name, "department": department})
            elif row.department != department:
                raise refused(f"system {code} is of department {row.department}, not {department}", "system.other_department")
            elif row.name != name:
                row.name = name
                change.event("system.changed", code, {"name": name, "department": department})
            return SystemRecord(row.code, row.name, row.department)

    def departments(self) -> list[DepartmentRecord]:
        """Return all departments by code."""
        with self._database.read() as session:
            return [department_record(row) for row in session.scalars(select(Department).order_by(Department.code))]

    def systems(self) -> list[SystemRecord]:
        """Return all systems by code."""
        with self._database.read() as session:
            return [SystemRecord(r.code, r.name, r.department) for r in session.scalars(select(System).order_by(System.code))]

    # Sources ---------------------------------------------------------------------------------------------------------

    def add_source(
        self,
        name: str,
        url: Secret[str],
        *,
        system: str,
        connector: str | None = None,
        password_env: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> SourceRecord:
        """Add a source, or give one a new URL; return it. Its password goes to the keys folder, never to the database.

        Args:
            name: as a resource's name.
            url: ``scheme://user:password@host:port/name``.
            system: code of the system that it is part of.
            connector: name of the connector; the URL's scheme where None.
            password_env: name of the variable that holds the password, instead of one in the URL.
            settings: further settings of the connector; no secret.

        Raises:
            RejectedError: the URL is not one, the system is unknown, or two passwords are given.
        """
        resource_name(name)
        shown, password = split_url(url)
        if password is not None and password_env is not None:
            raise refused("the password is given twice: in the URL and by a variable", "source.password_twice", where=name)
        if password_env is not None and not _VARIABLE.fullmatch(password_env):
            raise refused("that is no name of an environment variable", "source.password_env", where=name)
        if password is not None and self._keys_dir is None:
            raise refused("this process has no keys folder to keep the password in", "source.no_keys_folder", where=name)
        with self._database.change() as change:
            known(change.session, System, system, "system")
            row = change.session.get(Source, name)
            was = row.secret_ref if row is not None else None
            if row is None:
                row = Source(name=name, system=system, created_at=self._clock.now())
                change.session.add(row)
            elif row.system != system:
                raise refused(f"source {name} is of system {row.system}, not {system}", "source.other_system", where=name)
            reference = f"env:{password_env}" if password_env is not None else None
            if password is not None:
                reference = secret_reference(name)
            row.url, row.secret_ref, row.settings = shown, reference, dict(settings or {})
            row.connector = connector or shown.partition(":")[0].partition("+")[0]
            change.event("source.added", name, {"system": system, "connector": row.connector})
            change.session.flush()
            record = self._source(row, change.session)
            if password is not None and self._keys_dir is not None:
                keep_secret(self._keys_dir, name, password)
        if was != reference:
            drop_secret(was, self._keys_dir)
        return record

    def source(self, name: str) -> SourceRecord:
        """Return a source; its ``url()`` has the password.

        Raises:
            RejectedError: there is none of that name; near names are told.
        """
        with self._database.read() as session:
            return self._source(known(session, Source, name, "source"), session)

    def sources(self) -> list[SourceRecord]:
        """Return all sources by name."""
        with self._database.read() as session:
            rows = session.execute(
                select(Source, System.department).join(System, System.code == Source.system).order_by(Source.name)
            )
            return [source_record(row, department, self._keys_dir) for row, department in rows]

    def remove_source(self, name: str) -> None:
        """Forget a source and its password.

        Raises:
            RejectedError: it is unknown, or a resource is read from it.
        """
        with self._database.change() as change:
            row = known(change.session, Source, name, "source")
            users = change.session.scalars(select(Resource.name).where(Resource.source == name).order_by(Resource.name)).all()
            if users:
                raise refused(f"resources are read from it: {', '.join(users[:10])}", "source.in_use", where=name)
            reference = row.secret_ref
            change.session.delete(row)
            change.event("source.removed", name, {"system": row.system})
        drop_secret(reference, self._keys_dir)

    def _source(self, row: Source, session: Session) -> SourceRecord:
        department = session.scalars(select(System.department).where(System.code == row.system)).one()
        return source_record(row, department, self._keys_dir)

    # Resources -------------------------------------------------------------------------------------------------------

    def register_resource(self, contract_text: str, *, by: str, code: str | None = None) -> RegisteredResource:
        """Register the resource of a contract, or a new version of its contract, and put it in force; return the resource.

        The same version with the same content changes nothing, whatever its layout.

        Args:
            contract_text: an ODCS document.
            by: id of the principal, or who else did it.
            code: the catalogue's official code.

        Raises:
            RejectedError: the contract is not valid or has no key, its source, system or department is unknown or they do not
                belong together, this version exists with other content, or a higher version is in force.
        """
        contract = read_contract(contract_text)
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
        if self._dags_json is not None:
            snapshot.refresh(self, self._dags_json)
        return registered

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
                select(Resource, ContractVersion.odcs)
                .join(
                    ContractVersion, (ContractVersion.resource == Resource.name) & (ContractVersion.version == Resource.version)
                )
                .where(Resource.source.is_not(None))
                .order_by(Resource.name)
            )
            return [resource_record(row, sources[row.source], odcs) for row, odcs in rows if row.source in sources]

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
            return read_contract(row.odcs, where=f"{name} {version}")

    def _resource(self, session: Session, row: Resource, source: SourceRecord) -> RegisteredResource:
        odcs = session.scalars(
            select(ContractVersion.odcs).where(ContractVersion.resource == row.name, ContractVersion.version == row.version)
        ).one()
        return resource_record(row, source, odcs)

    # Grants ----------------------------------------------------------------------------------------------------------

    def make_grant(
        self,
        receiver: Receiver,
        resource: str,
        fields: Sequence[str],
        *,
        legal_basis: str,
        from_at: datetime,
        to_at: datetime,
        by: str,
        purposes: Iterable[str] = (),
        items: Iterable[str] = (),
        row_filter: Mapping[str, Any] | None = None,
        quota: Mapping[str, Any] | None = None,
    ) -> GrantRecord:
        """Give a receiver the right to fields of a resource, for purposes or items, in an interval; return the grant.

        Args:
            receiver: who may use it.
            resource: name of a registered resource.
            fields: names of the contract's fields.
            legal_basis: the law or document that allows it.
            from_at: first instant of the grant.
            to_at: first instant after it.
            by: id of the principal, or who else made it.
            purposes: what it may be used for, words such as ``accept_case``; none: not limited to purposes.
            items: codes of the service items it may be used for; none: not limited to items.
            row_filter: ``{field: [value, …], …}``; None: all rows.
            quota: refused until the hub counts it.

        Raises:
            RejectedError: the receiver or the resource is unknown, a field is not in the contract, there is no purpose and no
                item, no legal basis, the interval is empty, the row filter is on a sealed field, or a quota is asked for.
        """
        purposes, items = tuple(dict.fromkeys(purposes)), tuple(dict.fromkeys(items))
        check_terms(legal_basis=legal_basis, purposes=purposes, items=items, from_at=from_at, to_at=to_at, quota=quota)
        contract = self.resource(resource).contract
        check_fields(contract, fields, row_filter)
        now = self._clock.now()
        with self._database.change() as change:
            _check_receiver(change.session, receiver)
            row = Grant(
                id=new_id("g", now),
                receiver_department=receiver.code if receiver.kind is ReceiverKind.DEPARTMENT else None,
                receiver_system=receiver.code if receiver.kind is ReceiverKind.SYSTEM else None,
                receiver_principal=receiver.code if receiver.kind is ReceiverKind.PRINCIPAL else None,
                resource=contract.name,
                fields=list(dict.fromkeys(fields)),
                row_filter=dict(row_filter) if row_filter is not None else None,
                purposes=list(purposes),
                items=list(items),
                legal_basis=legal_basis.strip(),
                from_at=from_at,
                to_at=to_at,
                quota=None,
                made_at=now,
                made_by=by,
                version=1,
            )
            change.session.add(row)
            change.event("grant.made", row.id, {"receiver": str(receiver), "resource": contract.name, "fields": row.fields})
            change.session.flush()
            return grant_record(row)

    def revoke_grant(self, grant: str, *, by: str, why: str) -> GrantRecord:
        """End a grant now; return it. A grant that was revoked before stays as it was.

        Raises:
            RejectedError: there is none of that id, or no reason is given.
        """
        check_said(why, "the reason of a revocation")
        with self._database.change() as change:
            row = known(change.session, Grant, grant, "grant")
            if row.revoked_at is None:
                row.revoked_at, row.revoked_by, row.revoked_why = self._clock.now(), by, why.strip()
                row.version += 1
                change.event("grant.revoked", row.id, {"resource": row.resource})
            return grant_record(row)

    def grant(self, grant: str) -> GrantRecord:
        """Return a grant. Raises ``RejectedError`` where there is none of that id."""
        with self._database.read() as session:
            return grant_record(known(session, Grant, grant, "grant"))

    def grants(self, *, resource: str | None = None, receiver: Receiver | None = None) -> list[GrantRecord]:
        """Return grants by id, ended ones too: all, or those of a resource or a receiver."""
        query = select(Grant).order_by(Grant.id)
        if resource is not None:
            query = query.where(Grant.resource == resource)
        if receiver is not None:
            column = {
                ReceiverKind.DEPARTMENT: Grant.receiver_department,
                ReceiverKind.SYSTEM: Grant.receiver_system,
                ReceiverKind.PRINCIPAL: Grant.receiver_principal,
            }[receiver.kind]
            query = query.where(column == receiver.code)
        with self._database.read() as session:
            return [grant_record(row) for row in session.scalars(query)]

    # Principals ------------------------------------------------------------------------------------------------------

    def create_machine(
        self, name: str, department: str, *, system: str | None = None, roles: Iterable[str] = ()
    ) -> tuple[PrincipalRecord, Secret[str]]:
        """Make a machine with a credential of its own; return it and its secret, which is not kept and not shown again.

        Raises:
            RejectedError: the name is taken, the department, system or role is unknown, or the role is for persons only.
        """
        secret = new_secret()
        now = self._clock.now()
        made = self._create_principal(
            Principal(
                id=new_id("p", now),
                kind=PrincipalKind.MACHINE,
                name=name,
                department=department,
                system=system,
                roles=check_roles(roles),
                client_id=new_id("c", now),
                secret_hash=hashed(secret),
                epoch=0,
                created_at=now,
            )
        )
        return made, secret

    def create_person(self, name: str, department: str, *, roles: Iterable[str] = ()) -> PrincipalRecord:
        """Make a person's account; return it. ``name`` is the account's name, not the person's.

        Raises:
            RejectedError: the name is taken, the department or a role is unknown, or two roles exclude one another.
        """
        now = self._clock.now()
        return self._create_principal(
            Principal(
                id=new_id("p", now),
                kind=PrincipalKind.PERSON,
                name=name,
                department=department,
                roles=check_roles(roles),
                epoch=0,
                created_at=now,
            )
        )

    def _create_principal(self, row: Principal) -> PrincipalRecord:
        check_code(row.name, "principal")
        with self._database.change() as change:
            known(change.session, Department, row.department, "department")
            if row.system is not None and known(change.session, System, row.system, "system").department != row.department:
                raise refused(f"system {row.system} is not of department {row.department}", "principal.other_department")
            change.session.add(row)
            change.event(
                "principal.made",
                row.id,
                {"kind": row.kind, "department": row.department, "system": row.system, "roles": row.roles},
            )
            change.session.flush()
            return principal_record(row)

    def set_roles(self, principal: str, roles: Iterable[str]) -> PrincipalRecord:
        """Give a principal exactly these roles, and end its tokens; return it.

        Raises:
            RejectedError: it or a role is unknown, or two roles exclude one another.
        """
        wanted = check_roles(roles)
        with self._database.change() as change:
            row = known_principal(change.session, principal)
            if row.roles != wanted:
                row.roles = wanted
                row.epoch += 1
                change.event("principal.roles_set", row.id, {"roles": wanted, "epoch": row.epoch})
            change.session.flush()
            return principal_record(row)

    def rotate_secret(self, principal: str) -> tuple[PrincipalRecord, Secret[str]]:
        """Give a machine a new secret; the old one and its tokens end now. Returns the secret, which is not shown again."""
        secret = new_secret()
        with self._database.change() as change:
            row = known_principal(change.session, principal)
            if row.kind != PrincipalKind.MACHINE or row.revoked_at is not None:
                raise refused("only a machine that is not revoked has a secret", "principal.no_secret", where=row.name)
            row.secret_hash = hashed(secret)
            row.epoch += 1
            change.event("principal.secret_rotated", row.id, {"epoch": row.epoch})
            return principal_record(row), secret

    def revoke_principal(self, principal: str) -> PrincipalRecord:
        """End a principal and its tokens now; return it. One that was revoked before stays as it was."""
        with self._database.change() as change:
            row = known_principal(change.session, principal)
            if row.revoked_at is None:
                row.revoked_at = self._clock.now()
                row.epoch += 1
                change.event("principal.revoked", row.id, {"epoch": row.epoch})
            return principal_record(row)

    def check_secret(self, client_id: str, secret: Secret[str]) -> PrincipalRecord:
        """Return the machine of a client id whose secret this is.

        Raises:
            DeniedError: unknown client, wrong secret or revoked; which of them is neither said nor to be timed.
        """
        with self._database.read() as session:
            row = session.scalars(select(Principal).where(Principal.client_id == client_id)).one_or_none()
        good = matches(row.secret_hash, secret) if row is not None and row.secret_hash is not None else absorb(secret)
        if row is None or not good or row.revoked_at is not None:
            raise DeniedError("client or secret is wrong", code="principal.credential", fault=Fault.CLIENT)
        return principal_record(row)

    def principal(self, principal: str) -> PrincipalRecord:
        """Return a principal by id, client id or name. Raises ``RejectedError`` where there is none."""
        with self._database.read() as session:
            return principal_record(known_principal(session, principal))

    def principals(self) -> list[PrincipalRecord]:
        """Return all principals by id, revoked ones too."""
        with self._database.read() as session:
            return [principal_record(row) for row in session.scalars(select(Principal).order_by(Principal.id))]

    # Materials -------------------------------------------------------------------------------------------------------

    def set_item_licence_types(self, item_code: str, material_code: str, licence_types: Iterable[str], *, by: str) -> None:
        """Say exactly which licence types a material of an item accepts; none: the paper must be handed in."""
        for text, what in ((item_code, "item"), (material_code, "material")):
            check_code(text, what)
        wanted = sorted(set(licence_types))
        for text in wanted:
            check_code(text, "licence type")
        with self._database.change() as change:
            rows = change.session.scalars(
                select(ItemLicenceType).where(
                    ItemLicenceType.item_code == item_code, ItemLicenceType.material_code == material_code
                )
            ).all()
            here = {row.licence_type for row in rows}
            if here == set(wanted):
                return
            for row in rows:
                if row.licence_type not in wanted:
                    change.session.delete(row)
            for text in wanted:
                if text not in here:
                    change.session.add(
                        ItemLicenceType(
                            item_code=item_code, material_code=material_code, licence_type=text, at=self._clock.now(), by=by
                        )
                    )
            change.event("item.material_set", item_code, {"material": material_code, "licence_types": wanted})

    def item_licence_types(self, item_code: str | None = None) -> dict[str, dict[str, tuple[str, ...]]]:
        """Return which licence types materials accept: item → material → licence types, all or those of one item."""
        query = select(ItemLicenceType).order_by(
            ItemLicenceType.item_code, ItemLicenceType.material_code, ItemLicenceType.licence_type
        )
        if item_code is not None:
            query = query.where(ItemLicenceType.item_code == item_code)
        out: dict[str, dict[str, tuple[str, ...]]] = {}
        with self._database.read() as session:
            for row in session.scalars(query):
                materials = out.setdefault(row.item_code, {})
                materials[row.material_code] = (*materials.get(row.material_code, ()), row.licence_type)
        return out

    # Events ----------------------------------------------------------------------------------------------------------

    def events_waiting(self, limit: int = 500) -> list[RegistryEvent]:
        """Return events that the bus does not have yet, in the order of their changes."""
        with self._database.read() as session:
            rows = session.scalars(select(Outbox).where(Outbox.published_at.is_(None)).order_by(Outbox.n).limit(limit))
            return [RegistryEvent(r.id, r.at, r.topic, r.key, r.type, r.payload) for r in rows]

    def events_published(self, ids: Sequence[str]) -> None:
        """Say that the bus has these events. A crash before this call publishes them again, with the same ids."""
        with self._database.write() as session:
            session.execute(
                update(Outbox).where(Outbox.id.in_(ids), Outbox.published_at.is_(None)).values(published_at=self._clock.now())
            )


def _check_receiver(session: Session, receiver: Receiver) -> None:
    """Raise ``RejectedError`` where there is no such receiver, or it is a revoked principal."""
    if receiver.kind is ReceiverKind.DEPARTMENT:
        known(session, Department, receiver.code, "department")
    elif receiver.kind is ReceiverKind.SYSTEM:
        known(session, System, receiver.code, "system")
    elif known(session, Principal, receiver.code, "principal").revoked_at is not None:
        raise refused("the principal is revoked", "grant.revoked_receiver", where=receiver.code)
