"""The catalogues of others beside the own one: added, changed and gone datasets, each with where and when it was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from catalog_registry.harvest.documents import Document, Read
from catalog_registry.rules import check_said, refused
from catalog_registry.store.change import Part
from catalog_registry.store.documents import drop_documents, forget_harvested, write_harvested
from catalog_registry.store.harvest_tables import Harvested, HarvestedCatalogue
from catalog_registry.store.rows import near
from catalog_registry.store.tables import Resource
from schemas.errors import Fault, RejectedError
from schemas.ids import new_id
from schemas.resource import resource_name

SHRINK: Final = 0.2
"""The share of a catalogue's datasets that a run may find gone."""

_PAGE_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class CatalogueRecord:
    """Another catalogue. ``counts`` are the last run's: added, changed, same, gone, own, nameless, untitled."""

    name: str
    title: str
    address: str
    added_at: datetime
    added_by: str
    ran_at: datetime | None
    counts: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class HarvestedRecord:
    """A dataset of another catalogue, and where it comes from. ``origin`` is that catalogue's name.

    ``content`` has title, abstract, publisher, identifiers, themes, keywords, issued, modified, access_rights, landing_pages
    and distributions; its SHA-256 is ``hash``.
    """

    id: str
    origin: str
    iri: str
    title: str
    content: Mapping[str, Any]
    hash: str
    first_at: datetime
    harvested_at: datetime
    gone_at: datetime | None


class Harvests(Part):
    """What others' catalogues say. It is shown beside the own resources and is none of them: no grant ever names it."""

    def add_catalogue(self, name: str, address: str, *, title: str, by: str) -> CatalogueRecord:
        """Add another catalogue, or give one this title and address; return it. Nothing is read yet.

        Raises:
            RejectedError: the name's or the address' form is wrong, or the title is empty.
        """
        resource_name(name)
        check_said(title, "the title of a catalogue")
        with self._database.change() as change:
            row = change.session.get(HarvestedCatalogue, name)
            if row is None:
                now = self._clock.now()
                row = HarvestedCatalogue(name=name, title=title, address=address, added_at=now, added_by=by)
                change.session.add(row)
                change.event("harvest.added", name, {"title": title})
            elif (row.title, row.address) != (title, address):
                row.title, row.address = title, address
                change.event("harvest.changed", name, {"title": title})
            change.session.flush()
            return _catalogue(row)

    def take_harvest(
        self, name: str, read: Read, *, own: Sequence[str], shrink: bool = False
    ) -> tuple[CatalogueRecord, Mapping[str, int]]:
        """Keep what was read of another catalogue, all or nothing; return it and what changed.

        A dataset that the catalogue has no more is marked, not forgotten, and is itself again when it comes back.

        Args:
            name: of the catalogue.
            read: what was read.
            own: how names of the own catalogue begin: such datasets, and those with the official code of an own resource, are
                the district's own come back, and left out.
            shrink: take it although more than a fifth of what was there would be gone.

        Raises:
            RejectedError: there is no such catalogue, or it shrank by more than that (``harvest.shrank``).
        """
        now = self._clock.now()
        with self._database.change() as change:
            row = _known(change.session, name)
            codes = set(change.session.scalars(select(Resource.code).where(Resource.code.is_not(None))))
            found = {d.iri: d for d in read.documents if not _is_own(d, own, codes)}
            here = {r.iri: r for r in change.session.scalars(select(Harvested).where(Harvested.catalogue == name))}
            gone = [r for iri, r in here.items() if iri not in found and r.gone_at is None]
            live = sum(r.gone_at is None for r in here.values())
            if gone and len(gone) > SHRINK * live and not shrink:
                raise RejectedError(
                    f"{len(gone)} of {live} datasets of {name} would be gone, more than {SHRINK:.0%}",
                    code="harvest.shrank",
                    where=name,
                    remedy="if that is right, run it with --shrink; what was read before stays until then",
                    fault=Fault.PROVIDER,
                )
            counts = dict.fromkeys(("added", "changed", "same"), 0)
            for document in found.values():
                done, dataset = _put(change.session, name, here.get(document.iri), document, now)
                counts[done] += 1
                if done != "same":
                    write_harvested(change.session, dataset)
            for one in gone:
                one.gone_at = now
            drop_documents(change.session, [one.id for one in gone])
            left_out = {"own": len(read.documents) - len(found), "nameless": read.nameless, "untitled": read.untitled}
            counts |= {"gone": len(gone)} | left_out
            row.ran_at, row.counts = now, counts
            if counts["added"] or counts["changed"] or counts["gone"]:
                change.event("harvest.ran", name, counts)
            change.session.flush()
            return _catalogue(row), counts

    def remove_catalogue(self, name: str) -> int:
        """Forget another catalogue and all that was read of it; return how many datasets that were."""
        with self._database.change() as change:
            row = _known(change.session, name)
            of = select(func.count()).select_from(Harvested).where(Harvested.catalogue == name)
            count = change.session.scalars(of).one()
            forget_harvested(change.session, name)
            change.session.execute(delete(Harvested).where(Harvested.catalogue == name))
            change.session.delete(row)
            change.event("harvest.removed", name, {"datasets": count})
            return count

    def catalogues(self) -> list[CatalogueRecord]:
        """Return the other catalogues, by name."""
        with self._database.read() as session:
            return [_catalogue(row) for row in session.scalars(select(HarvestedCatalogue).order_by(HarvestedCatalogue.name))]

    def other_catalogue(self, name: str) -> CatalogueRecord:
        """Return another catalogue. Raises ``RejectedError`` where there is none of that name."""
        with self._database.read() as session:
            return _catalogue(_known(session, name))

    def harvested(
        self, *, catalogue: str | None = None, gone: bool = False, after: str | None = None, limit: int = 50
    ) -> list[HarvestedRecord]:
        """Return datasets of other catalogues, by id.

        Args:
            catalogue: only those of one.
            gone: those that are gone too.
            after: only those after this id.
            limit: so many at most.
        """
        query = select(Harvested).order_by(Harvested.id).limit(limit)
        if catalogue is not None:
            query = query.where(Harvested.catalogue == catalogue)
        if not gone:
            query = query.where(Harvested.gone_at.is_(None))
        if after is not None:
            query = query.where(Harvested.id > after)
        with self._database.read() as session:
            return [_harvested(row) for row in session.scalars(query)]

    def harvested_one(self, key: str) -> HarvestedRecord:
        """Return a dataset of another catalogue, gone or not. Raises ``RejectedError`` where there is none of that id."""
        with self._database.read() as session:
            row = session.get(Harvested, key)
            if row is None:
                raise refused("there is no such dataset of another catalogue", "harvested.unknown")
            return _harvested(row)

    def harvested_documents(self) -> Iterator[HarvestedRecord]:
        """Yield every dataset of other catalogues that is there now, by id, for a search. Memory does not grow with them."""
        query = select(Harvested).where(Harvested.gone_at.is_(None)).order_by(Harvested.id)
        with self._database.read() as session:
            for row in session.scalars(query.execution_options(yield_per=_PAGE_ROWS)):
                yield _harvested(row)


def _is_own(document: Document, own: Sequence[str], codes: set[str | None]) -> bool:
    return document.iri.startswith(tuple(f"{base}/" for base in own)) or bool(codes & set(document.content["identifiers"]))


def _put(session: Session, catalogue: str, row: Harvested | None, document: Document, now: datetime) -> tuple[str, Harvested]:
    digest = document.hash
    if row is not None and row.hash == digest and row.gone_at is None:
        return "same", row
    if row is None:
        row = Harvested(id=new_id("h", now), catalogue=catalogue, iri=document.iri, first_at=now)
        session.add(row)
        done = "added"
    else:
        done = "changed"
    row.title, row.content, row.hash, row.harvested_at, row.gone_at = document.title, dict(document.content), digest, now, None
    return done, row


def _known(session: Session, name: str) -> HarvestedCatalogue:
    row = session.get(HarvestedCatalogue, name)
    if row is None:
        raise refused(
            f"there is no other catalogue {name[:64]!r}{near(name, session.scalars(select(HarvestedCatalogue.name)))}",
            "harvest.unknown",
            remedy="see onedoor harvest list",
        )
    return row


def _catalogue(row: HarvestedCatalogue) -> CatalogueRecord:
    return CatalogueRecord(row.name, row.title, row.address, row.added_at, row.added_by, row.ran_at, row.counts)


def _harvested(row: Harvested) -> HarvestedRecord:
    return HarvestedRecord(
        row.id, row.catalogue, row.iri, row.title, row.content, row.hash, row.first_at, row.harvested_at, row.gone_at
    )
