"""Principals: the persons and machines that act, with roles and the networks that they may ask from."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from catalog_registry.asked import OF_ENDING_ACCOUNTS, OF_MAKING_ACCOUNTS, OF_RIGHTS, Asked, check_not_itself, permit
from catalog_registry.credential import hashed, new_secret
from catalog_registry.records import PrincipalKind, PrincipalRecord
from catalog_registry.rules import check_code, check_ranges, check_roles, refused
from catalog_registry.store.change import Part
from catalog_registry.store.credential_tables import ClientSecret
from catalog_registry.store.rows import known, known_principal, principal_record
from catalog_registry.store.tables import Department, Principal, System
from schemas.ids import new_id
from schemas.secret import Secret


class Principals(Part):
    """Who acts. No secret is kept, only its hash."""

    def create_machine(
        self,
        name: str,
        department: str,
        *,
        system: str | None = None,
        roles: Iterable[str] = (),
        ranges: Iterable[str] = (),
        asked: Asked | None = None,
    ) -> tuple[PrincipalRecord, Secret[str]]:
        """Make a machine with a credential of its own; return it and its secret, which is not kept and not shown again.

        Args:
            name: of the account.
            department: code of its department.
            system: code of the system that it is part of.
            roles: what it may do; who asks by HTTP gives none.
            ranges: the networks that it may ask from, as CIDR; none: from anywhere.
            asked: who asks; None: the console.

        Raises:
            DeniedError: who asks may not.
            RejectedError: the name is taken, the department, system or role is unknown, the role is for persons only, or a
                range is none.
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
                epoch=0,
                ranges=check_ranges(ranges),
                version=1,
                created_at=now,
            ),
            hashed(secret),
            asked,
        )
        return made, secret

    def create_person(
        self, name: str, department: str, *, roles: Iterable[str] = (), asked: Asked | None = None
    ) -> PrincipalRecord:
        """Make a person's account; return it. ``name`` is the account's name, not the person's.

        Raises:
            DeniedError: who asks may not.
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
                ranges=[],
                version=1,
                created_at=now,
            ),
            None,
            asked,
        )

    def _create_principal(self, row: Principal, secret_hash: str | None, asked: Asked | None) -> PrincipalRecord:
        with self._database.change() as change:
            permit(change.session, asked, "make accounts", OF_MAKING_ACCOUNTS, "", here=None, thing=row.name)
            if asked is not None and row.roles:
                raise refused("who makes an account gives it no roles", "principal.roles_apart", where=row.name)
            check_code(row.name, "principal")
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
            if secret_hash is not None:
                change.session.add(ClientSecret(principal=row.id, n=1, hash=secret_hash, made_at=row.created_at))
                change.session.flush()
            return principal_record(row)

    def set_roles(self, principal: str, roles: Iterable[str], *, asked: Asked | None = None) -> PrincipalRecord:
        """Give a principal exactly these roles, and end its tokens; return it.

        Raises:
            DeniedError: who asks may not, or would give roles to itself.
            RejectedError: it or a role is unknown, two roles exclude one another, or it was changed meanwhile.
        """
        with self._database.change() as change:
            row = known_principal(change.session, principal)
            who = permit(change.session, asked, "give roles", OF_RIGHTS, row.department, here=row.version, thing=row.name)
            check_not_itself(who, row.id, "give roles to")
            wanted = check_roles(roles)
            if row.roles != wanted:
                row.roles = wanted
                row.epoch += 1
                row.version += 1
                change.event("principal.roles_set", row.id, {"roles": wanted, "epoch": row.epoch})
            change.session.flush()
            return principal_record(row)

    def set_ranges(self, principal: str, ranges: Iterable[str], *, asked: Asked | None = None) -> PrincipalRecord:
        """Let a principal ask from exactly these networks; return it. It holds for the tokens that it has, too.

        Args:
            principal: id, client id or name.
            ranges: networks as CIDR; none: from anywhere.
            asked: who asks, and the version that it decided on; None: the console.

        Raises:
            DeniedError: who asks may not, or would set its own.
            RejectedError: it is unknown, a range is none, or it was changed meanwhile.
        """
        with self._database.change() as change:
            row = known_principal(change.session, principal)
            who = permit(change.session, asked, "set networks", OF_RIGHTS, row.department, here=row.version, thing=row.name)
            check_not_itself(who, row.id, "set the networks of")
            wanted = check_ranges(ranges)
            if row.ranges != wanted:
                row.ranges = wanted
                row.version += 1
                change.event("principal.ranges_set", row.id, {"ranges": wanted})
            change.session.flush()
            return principal_record(row)

    def revoke_principal(self, principal: str, *, asked: Asked | None = None) -> PrincipalRecord:
        """End a principal and its tokens now; return it. One that was revoked before stays as it was.

        Raises:
            DeniedError: who asks may not.
            RejectedError: it is unknown, or was changed meanwhile.
        """
        with self._database.change() as change:
            row = known_principal(change.session, principal)
            permit(change.session, asked, "end accounts", OF_ENDING_ACCOUNTS, row.department, here=row.version, thing=row.name)
            if row.revoked_at is None:
                row.revoked_at = self._clock.now()
                row.epoch += 1
                row.version += 1
                change.event("principal.revoked", row.id, {"epoch": row.epoch})
            change.session.flush()
            return principal_record(row)

    def principal(self, principal: str) -> PrincipalRecord:
        """Return a principal by id, client id or name. Raises ``RejectedError`` where there is none."""
        with self._database.read() as session:
            return principal_record(known_principal(session, principal))

    def principals(self, *, after: str | None = None, limit: int | None = None) -> list[PrincipalRecord]:
        """Return principals by id, revoked ones too: all, or so many after an id."""
        query = select(Principal).order_by(Principal.id).limit(limit)
        if after is not None:
            query = query.where(Principal.id > after)
        with self._database.read() as session:
            return [principal_record(row) for row in session.scalars(query)]
