"""What an account may call: the grants that are good for it now, its own, its system's and its department's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select

from catalog_registry.grants import Grants
from catalog_registry.quota import Quota
from catalog_registry.records import GrantRecord, PrincipalRecord
from catalog_registry.states import ResourceState
from catalog_registry.store.rows import grant_record
from catalog_registry.store.tables import Application, Grant, Resource
from schemas.contract import DataContract


@dataclass(frozen=True, slots=True)
class Authorisation:
    """A grant that is in force for an account.

    ``way`` is that of the application that it answers, ``api`` where it was made without one. ``shared`` is false where the
    resource is frozen or withdrawn, so that the grant gives nothing now. ``personal`` are those of its fields that are.
    """

    grant: GrantRecord
    title: str
    department: str
    application: str | None
    way: str
    shared: bool
    personal: tuple[str, ...]
    looked_up: bool

    @property
    def id(self) -> str:
        """The id of the grant."""
        return self.grant.id

    @property
    def quota(self) -> Quota | None:
        """How much of it may be used, None where nothing limits it."""
        return self.grant.quota


class Mine(Grants):
    """Grants as who holds them sees them."""

    def authorisations(
        self, who: PrincipalRecord, now: datetime, *, after: str | None = None, limit: int | None = None
    ) -> list[Authorisation]:
        """Return the grants that are in force for an account, oldest first; none for one that is revoked.

        Args:
            who: the account.
            now: the instant of the question.
            after: only those after the grant of this id.
            limit: so many at most.
        """
        if who.revoked_at is not None:
            return []
        own = [Grant.receiver_principal == who.id, Grant.receiver_department == who.department]
        if who.system is not None:
            own.append(Grant.receiver_system == who.system)
        query = (
            select(Grant, Resource, Application.id, Application.way)
            .join(Resource, Resource.name == Grant.resource)
            .outerjoin(Application, Application.grant_id == Grant.id)
            .where(or_(*own), Grant.from_at <= now, Grant.to_at > now, Grant.revoked_at.is_(None))
            .order_by(Grant.id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(Grant.id > after)
        contracts: dict[str, DataContract] = {}
        with self._database.read() as session:
            found = []
            for row, resource, application, way in session.execute(query):
                contract = contracts.get(resource.name) or self._in_force(session, resource)
                contracts[resource.name] = contract
                personal = {field.name for field in contract.personal}
                found.append(
                    Authorisation(
                        grant=grant_record(row),
                        title=resource.title,
                        department=resource.department,
                        application=application,
                        way=way or "api",
                        shared=resource.state == ResourceState.PUBLISHED,
                        personal=tuple(name for name in row.fields if name in personal),
                        looked_up=contract.licence_role is not None,
                    )
                )
            return found
