"""Principals: the persons and machines that act, with roles and credentials."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from catalog_registry.credential import absorb, hashed, matches, new_secret
from catalog_registry.records import PrincipalKind, PrincipalRecord
from catalog_registry.rules import check_code, check_roles, refused
from catalog_registry.store.change import Part
from catalog_registry.store.rows import known, known_principal, principal_record
from catalog_registry.store.tables import Department, Principal, System
from schemas.errors import DeniedError, Fault
from schemas.ids import new_id
from schemas.secret import Secret


class Principals(Part):
    """Who acts. No secret is kept, only its hash."""

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
