"""What somebody who keeps the registry in memory reads: all of it once, and then what changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select

from catalog_registry.grants import Grants
from catalog_registry.principals import Principals
from catalog_registry.records import GrantRecord, PrincipalRecord, kept_contract
from catalog_registry.states import ResourceState
from catalog_registry.store.rows import grant_record, principal_record
from catalog_registry.store.tables import ContractVersion, Grant, Outbox, Principal, Resource, Version

MOST_CHANGES: Final = 1000
"""So many changes are followed one by one; of more, all is read again."""


@dataclass(frozen=True, slots=True)
class Published:
    """Names of published resources, and of those among them whose contract has a role in a look-up."""

    names: frozenset[str]
    cases: tuple[str, ...]
    licences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """How far the registry was read: the number that every change raises, and the last event."""

    version: int
    event: int


class Following(Grants, Principals):
    """Reads for those who follow the registry."""

    def place(self) -> Place:
        """Return how far a read that begins now surely comes."""
        with self._database.read() as session:
            version = session.scalars(select(Version.value)).one()
            return Place(version, session.scalars(select(func.max(Outbox.n))).one() or 0)

    def events_since(self, event: int) -> Sequence[tuple[str, str]] | None:
        """Return type and subject of each event after one, in order; None where there are more than ``MOST_CHANGES``.

        Every change holds the row of the version while it writes, so the order of events is that of the changes, and none
        appears before one that was seen.
        """
        query = select(Outbox.type, Outbox.key).where(Outbox.n > event).order_by(Outbox.n).limit(MOST_CHANGES + 1)
        with self._database.read() as session:
            found = [(kind.removeprefix("onedoor.registry."), subject) for kind, subject in session.execute(query)]
        return found if len(found) <= MOST_CHANGES else None

    def published(self, names: Collection[str] | None = None) -> Published:
        """Return the published resources that have a source and a contract, all or those of these names.

        A contract is read only where its text speaks of a role, which an index knows.
        """
        query = (
            select(Resource.name)
            .join(ContractVersion, (ContractVersion.resource == Resource.name) & (ContractVersion.version == Resource.version))
            .where(Resource.state == ResourceState.PUBLISHED, Resource.source.is_not(None))
        )
        if names is not None:
            query = query.where(Resource.name.in_(names))
        with_role = query.with_only_columns(Resource.name, ContractVersion.version, ContractVersion.odcs)
        with self._database.read() as session:
            found = frozenset(session.scalars(query))
            texts = session.execute(with_role.where(ContractVersion.odcs.like("%onedoor.role%")).order_by(Resource.name)).all()
        contracts = [kept_contract(odcs, f"{name} {version}") for name, version, odcs in texts]
        return Published(
            found,
            tuple(c.name for c in contracts if c.case_role is not None),
            tuple(c.name for c in contracts if c.licence_role is not None),
        )

    def collected(self, names: Collection[str] | None = None) -> dict[str, int]:
        """Return the resources that have a source and a contract, in any state, each with the partitions of its topic.

        As of ``published``, a contract is read only where its text speaks of partitions: none has one.
        """
        query = (
            select(Resource.name, ContractVersion.version, ContractVersion.odcs)
            .join(ContractVersion, (ContractVersion.resource == Resource.name) & (ContractVersion.version == Resource.version))
            .where(Resource.source.is_not(None))
        )
        if names is not None:
            query = query.where(Resource.name.in_(names))
        told = query.where(ContractVersion.odcs.like("%onedoor.partitions%"))
        with self._database.read() as session:
            found = dict.fromkeys(session.scalars(query.with_only_columns(Resource.name)), 1)
            for name, version, odcs in session.execute(told):
                found[name] = kept_contract(odcs, f"{name} {version}").partitions
        return found

    def with_role(self) -> list[str]:
        """Return the resources, in any state, whose contract's text speaks of a role in a look-up, by name."""
        query = (
            select(Resource.name)
            .join(ContractVersion, (ContractVersion.resource == Resource.name) & (ContractVersion.version == Resource.version))
            .where(ContractVersion.odcs.like("%onedoor.role%"))
        )
        with self._database.read() as session:
            return list(session.scalars(query.order_by(Resource.name)))

    def grants_of(self, ids: Collection[str]) -> list[GrantRecord]:
        """Return the grants of these ids, ended ones too."""
        with self._database.read() as session:
            return [grant_record(row) for row in session.scalars(select(Grant).where(Grant.id.in_(ids)))]

    def principals_of(self, ids: Collection[str]) -> list[PrincipalRecord]:
        """Return the principals of these ids, revoked ones too."""
        with self._database.read() as session:
            return [principal_record(row) for row in session.scalars(select(Principal).where(Principal.id.in_(ids)))]
