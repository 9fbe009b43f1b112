"""The registry: who shares what, with whom, on which terms. Every change writes its event in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update

from catalog_registry.bulk_exports import BulkExports
from catalog_registry.comparison import Comparisons
from catalog_registry.credentials import Credentials
from catalog_registry.demand_analysis import Analysis
from catalog_registry.following import Following
from catalog_registry.harvest.harvests import Harvests
from catalog_registry.imports import Imports
from catalog_registry.item_workbook import Workbooks
from catalog_registry.licence_types import LicenceTypes
from catalog_registry.lifecycle import Lifecycle
from catalog_registry.materials import Materials
from catalog_registry.mine import Mine
from catalog_registry.overdue import Overdue
from catalog_registry.parties import Parties
from catalog_registry.principals import Principals
from catalog_registry.ratings import Ratings
from catalog_registry.records import RegistryEvent
from catalog_registry.reminders import Reminders
from catalog_registry.revisions import Revisions
from catalog_registry.search import Search
from catalog_registry.store.tables import Outbox
from catalog_registry.withdrawals import Withdrawals


class Registry(
    Overdue,
    Reminders,
    Revisions,
    Withdrawals,
    Mine,
    BulkExports,
    Following,
    Lifecycle,
    Comparisons,
    Imports,
    Search,
    Ratings,
    Analysis,
    Parties,
    Principals,
    Credentials,
    Materials,
    Harvests,
    Workbooks,
    LicenceTypes,
):
    """The registry of one hub. Short transactions; safe to share between threads; a read-only role may read all of it.

    Each part is in the module of its name. ``version()`` is a number that every change raises, for caches; the channel
    ``onedoor_registry`` tells the new one.
    """

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
