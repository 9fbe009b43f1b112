"""Grants: who may use which fields of what, for which purpose, how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from catalog_registry.acting import Sight
from catalog_registry.asked import OF_ENDING_GRANTS, OF_MAKING_GRANTS, Asked, check_not_itself, permit
from catalog_registry.quota import Quota, quota_of
from catalog_registry.records import GrantRecord, Receiver, ReceiverKind
from catalog_registry.resources import Resources
from catalog_registry.rules import check_fields, check_said, check_terms, refused
from catalog_registry.states import ResourceState
from catalog_registry.store.change import Change
from catalog_registry.store.rows import grant_record, known
from catalog_registry.store.tables import CatalogueEntry, Department, Grant, Principal, Resource, System
from schemas.catalogue import SharingType
from schemas.contract import DataContract
from schemas.ids import new_id
from schemas.rowfilter import Filter, parse


class Grants(Resources):
    """The grants. Without one there is no data."""

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
        row_filter: str | Filter | None = None,
        quota: Mapping[str, Any] | None = None,
        asked: Asked | None = None,
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
            row_filter: an expression of ``schemas.rowfilter`` that is true for the rows it may have; None: all rows.
            asked: who asks; None: the console. An application is approved by ``approve_application``, not here.
            quota: how often, as ``catalog_registry.quota`` reads it; None: not limited.

        Raises:
            DeniedError: who asks may not, or is the receiver itself.
            RejectedError: the receiver or the resource is unknown, a field is not in the contract, there is no purpose and no
                item, no legal basis, the interval is empty, the row filter cannot be read or does not fit the contract, or
                the quota is not of the form.
        """
        with self._database.change() as change:
            who = permit(change.session, asked, "make grants", OF_MAKING_GRANTS, "", here=None, thing="the grant")
            check_not_itself(who, receiver.code, "make a grant for")
            return self._give(
                change,
                receiver,
                resource,
                fields,
                legal_basis=legal_basis,
                from_at=from_at,
                to_at=to_at,
                by=by,
                purposes=purposes,
                items=items,
                row_filter=row_filter,
                quota=quota_of(quota),
            )

    def _give(
        self,
        change: Change,
        receiver: Receiver,
        resource: str,
        fields: Sequence[str],
        *,
        legal_basis: str,
        from_at: datetime,
        to_at: datetime,
        by: str,
        purposes: Iterable[str],
        items: Iterable[str],
        row_filter: str | Filter | None,
        quota: Quota | None = None,
    ) -> GrantRecord:
        """Make a grant within a change, as ``make_grant``: what else the change does is done with it, or neither is."""
        purposes, items = tuple(dict.fromkeys(purposes)), tuple(dict.fromkeys(items))
        check_terms(legal_basis=legal_basis, purposes=purposes, items=items, from_at=from_at, to_at=to_at)
        contract = self._shared(change.session, resource)
        check_sharing(change.session, resource, _department_of(change.session, receiver), contract.department)
        chosen = parse(row_filter) if isinstance(row_filter, str) else row_filter
        check_fields(contract, fields, chosen)
        _check_receiver(change.session, receiver)
        now = self._clock.now()
        row = Grant(
            id=new_id("g", now),
            receiver_department=receiver.code if receiver.kind is ReceiverKind.DEPARTMENT else None,
            receiver_system=receiver.code if receiver.kind is ReceiverKind.SYSTEM else None,
            receiver_principal=receiver.code if receiver.kind is ReceiverKind.PRINCIPAL else None,
            resource=contract.name,
            fields=list(dict.fromkeys(fields)),
            row_filter=chosen.text if chosen is not None else None,
            purposes=list(purposes),
            items=list(items),
            legal_basis=legal_basis.strip(),
            from_at=from_at.astimezone(UTC),
            to_at=to_at.astimezone(UTC),
            quota=None if quota is None else quota.document(),
            made_at=now,
            made_by=by,
            version=1,
        )
        change.session.add(row)
        change.event("grant.made", row.id, {"receiver": str(receiver), "resource": contract.name, "fields": row.fields})
        change.session.flush()
        return grant_record(row)

    def _shared(self, session: Session, resource: str) -> DataContract:
        """Return the contract in force of a resource that is published. Raises ``RejectedError`` where it is not."""
        row = known(session, Resource, resource, "resource")
        if row.state != ResourceState.PUBLISHED:
            raise refused(f"resource {resource} is {row.state}, not published", "grant.resource_state", where=resource)
        return self._registered(session, row).contract

    def revoke_grant(self, grant: str, *, by: str, why: str, asked: Asked | None = None) -> GrantRecord:
        """End a grant now; return it. A grant that was revoked before stays as it was.

        Raises:
            DeniedError: who asks may not: it is the provider's and the security officer's.
            RejectedError: there is none of that id, or no reason is given.
        """
        with self._database.change() as change:
            row = known(change.session, Grant, grant, "grant")
            provider = known(change.session, Resource, row.resource, "resource").department
            permit(change.session, asked, "revoke grants", OF_ENDING_GRANTS, provider, here=row.version, thing=f"grant {grant}")
            check_said(why, "the reason of a revocation")
            if row.revoked_at is None:
                self._end_grant(change, row, by=by, why=why.strip())
            return grant_record(row)

    def _end_grant(self, change: Change, row: Grant, *, by: str, why: str) -> None:
        """End a grant within a change."""
        row.revoked_at, row.revoked_by, row.revoked_why = self._clock.now(), by, why
        row.version += 1
        change.event("grant.revoked", row.id, {"resource": row.resource})

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

    def grants_seen(
        self, seen: Sight, *, after: str | None = None, limit: int = 50, resource: str | None = None
    ) -> list[GrantRecord]:
        """Return the grants that may be seen, by id: those of the own department's resources, and those that it received.

        Args:
            seen: by whom.
            after: only those after this id.
            limit: so many at most.
            resource: only those of a resource.
        """
        own = seen.department
        if own is None and not seen.everything:
            return []
        query = select(Grant).order_by(Grant.id).limit(limit)
        if after is not None:
            query = query.where(Grant.id > after)
        if resource is not None:
            query = query.where(Grant.resource == resource)
        if not seen.everything:
            query = (
                query.join(Resource, Resource.name == Grant.resource)
                .outerjoin(System, System.code == Grant.receiver_system)
                .outerjoin(Principal, Principal.id == Grant.receiver_principal)
                .where(
                    or_(
                        Resource.department == own,
                        Grant.receiver_department == own,
                        System.department == own,
                        Principal.department == own,
                    )
                )
            )
        with self._database.read() as session:
            return [grant_record(row) for row in session.scalars(query)]

    def grant_seen(self, seen: Sight, grant: str) -> GrantRecord | None:
        """Return a grant that may be seen, as ``grants_seen``; None where there is none, or it may not."""
        with self._database.read() as session:
            row = session.get(Grant, grant)
            if row is None or seen.everything:
                return None if row is None else grant_record(row)
            receiver = (session.get(System, row.receiver_system or ""), session.get(Principal, row.receiver_principal or ""))
            of = {row.receiver_department, *(one.department for one in receiver if one is not None)}
            of.add(session.get_one(Resource, row.resource).department)
            return grant_record(row) if seen.of_department(*(d for d in of if d is not None)) else None


def _department_of(session: Session, receiver: Receiver) -> str | None:
    """Return the department that a receiver is, or is of; None where there is no such receiver."""
    if receiver.kind is ReceiverKind.DEPARTMENT:
        return receiver.code
    if receiver.kind is ReceiverKind.SYSTEM:
        system = session.get(System, receiver.code)
        return None if system is None else system.department
    principal = session.get(Principal, receiver.code)
    return None if principal is None else principal.department


def check_sharing(session: Session, resource: str, department: str | None, provider: str) -> None:
    """Raise ``RejectedError`` where a resource is not shared 不予共享 and the department is another one than its own."""
    entry = session.get(CatalogueEntry, resource)
    if entry is not None and entry.document["sharing_type"] == SharingType.NOT_SHARED and department != provider:
        raise refused(
            f"{resource} is not shared with other departments, on the ground that the catalogue names",
            "resource.not_shared",
            where=resource,
            remedy="ask for data that is shared, or make a demand of it",
        )


def _check_receiver(session: Session, receiver: Receiver) -> None:
    """Raise ``RejectedError`` where there is no such receiver, or it is a revoked principal."""
    if receiver.kind is ReceiverKind.DEPARTMENT:
        known(session, Department, receiver.code, "department")
    elif receiver.kind is ReceiverKind.SYSTEM:
        known(session, System, receiver.code, "system")
    elif known(session, Principal, receiver.code, "principal").revoked_at is not None:
        raise refused("the principal is revoked", "grant.revoked_receiver", where=receiver.code)
