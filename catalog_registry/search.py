"""Searching the catalogue: by words, by what they sound like, by codes; counted and narrowed by facets; a page at a time.

What somebody may not see is not found by it and not counted: of a resource that is not shared others have a document with its
name alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session

from catalog_registry.acting import Sight
from catalog_registry.facets import WIDTH, Counted, Facet, Freshness, Quality, Ran, counted, runs_told, span
from catalog_registry.records import kept_contract
from catalog_registry.resources import Resources
from catalog_registry.rules import refused
from catalog_registry.states import ResourceState
from catalog_registry.store.documents import note_run, numbered, write_documents
from catalog_registry.store.search_tables import SearchDocument, SearchMiss
from catalog_registry.store.tables import CatalogueEntry, ContractVersion, Department, Resource
from catalog_registry.words import MAX_QUESTION, Question, looks_personal, read_question

Narrowed = Mapping[Facet, Sequence[str]]
"""The values that results must have: any one of each facet's."""

MISSES_KEPT: Final = timedelta(days=400)
_DOC: Final = SearchDocument
_CURSOR: Final = re.compile(r"([0-3])\.([a-z][a-z0-9_]{0,47})")
_NONE: Final[Narrowed] = MappingProxyType({})
_MOST_VALUES: Final = 50
_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Hit:
    """A resource that was found. Of one that is not shared others have ``name``, ``title`` and the reason: ``cover``.

    ``basis_kind`` and ``basis`` say why it is not shared. ``sharing_type``, ``update_cycle``, ``format`` and ``abstract`` are
    None where the catalogue says nothing of it yet.
    """

    name: str
    title: str
    cover: bool
    sharing_type: str | None = None
    basis_kind: str | None = None
    basis: str | None = None
    code: str | None = None
    department: str | None = None
    department_name: str | None = None
    state: str | None = None
    abstract: str | None = None
    update_cycle: str | None = None
    format: str | None = None
    quality: Quality | None = None
    freshness: Freshness | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what was found, the best first. ``next`` is the ``after`` of the page that follows, None on the last one.

    ``total`` and ``facets`` are of all that was found; None where they were not asked for.
    """

    hits: tuple[Hit, ...]
    next: str | None
    total: int | None
    facets: Mapping[Facet, tuple[Counted, ...]] | None


@dataclass(frozen=True, slots=True)
class Miss:
    """What a department searched by and found nothing."""

    words: str
    department: str
    at: datetime


class Search(Resources):
    """What is found in the catalogue."""

    def search(
        self,
        words: str,
        seen: Sight,
        *,
        narrowed: Narrowed = _NONE,
        facets: bool = True,
        after: str | None = None,
        limit: int = 20,
    ) -> Found:
        """Return a page of the resources that have all the words, and may be seen; without words, all of them by name.

        First those whose title, name or code is what was asked, then those whose title begins with it, has it, and the rest;
        by name in each.

        Args:
            words: Chinese, first letters of pinyin or pinyin of it, codes, the beginning of other words.
            seen: by whom.
            narrowed: values of facets.
            facets: count them, and all that was found.
            after: the ``next`` of the page before.
            limit: so many hits at most.

        Raises:
            RejectedError: there is nothing in the words to search by (``search.words``), a value is none of its facet
                (``search.facet``), or ``after`` was never given (``search.after``).
        """
        question, now = read_question(words), self._clock.now()
        with self._database.read() as session:
            numbers = numbered(session)
            where = [_visible(seen), *_spans(narrowed, numbers, now)]
            if question is not None:
                where.append(_DOC.tokens.op("@@")(cast(question.tsquery, TSQUERY)))
            rows = _page(session, question, where, after, limit + 1)
            hits = _hits(session, [(name, cover) for _, name, cover in rows[:limit]], now)
            told = counted_all = None
            if facets:
                data = bytes(session.scalars(select(func.string_agg(_DOC.facets, b"")).where(*where)).one() or b"")
                told = counted(data, numbers, now)
                counted_all = len(data) // WIDTH
        last = f"{rows[limit - 1][0]}.{rows[limit - 1][1]}" if len(rows) > limit else None
        return Found(hits, last, counted_all, told)

    def index_resources(self, names: Collection[str] = ()) -> int:
        """Make the documents of resources anew, all or those named, and return how many; they are found meanwhile."""
        with self._database.read() as session:
            for_all = session.scalars(select(Resource.name).order_by(Resource.name)).all()
        wanted = list(dict.fromkeys(names)) or list(for_all)
        known = set(for_all)
        for name in wanted:
            if name not in known:
                raise refused(f"there is no resource {name[:64]!r}", "resource.unknown", where=name[:64])
        for i in range(0, len(wanted), _BATCH):
            self._index(wanted[i : i + _BATCH])
        return len(wanted)

    def index_missing(self) -> int:
        """Make the documents that are not there, of resources of an older release; return how many. Cheap where none is."""
        there = select(_DOC.resource).where(_DOC.resource == Resource.name)
        query = (
            select(Resource.name)
            .where(~there.exists(), Resource.state != ResourceState.DISCARDED)
            .order_by(Resource.name)
            .limit(_BATCH)
        )
        done = 0
        while True:
            with self._database.read() as session:
                names = session.scalars(query).all()
            if not names:
                return done
            self._index(names)
            done += len(names)

    def _index(self, names: Sequence[str]) -> None:
        with self._database.read() as session:
            query = select(ContractVersion).join(
                Resource, (Resource.name == ContractVersion.resource) & (Resource.version == ContractVersion.version)
            )
            for kept in session.scalars(query.where(Resource.name.in_(names))):
                kept_contract(kept.odcs, f"{kept.resource} {kept.version}")  # read now, while nobody waits for the change
        with self._database.change() as change:  # no event: what is registered does not change
            for row in change.session.scalars(select(Resource).where(Resource.name.in_(names))):
                write_documents(change.session, row)

    def note_runs(self, ran: Mapping[str, Ran]) -> int:
        """Have resources counted by their last proved runs; return for how many that changed anything."""
        done = 0
        names = sorted(ran)
        for i in range(0, len(names), _BATCH):
            with self._database.change() as change:
                done += sum(note_run(change.session, name, ran[name]) for name in names[i : i + _BATCH])
        return done

    def keep_misses(self, misses: Collection[Miss]) -> int:
        """Keep words that found nothing; return how many. Words that look like somebody's number are dropped."""
        rows = [
            {"words": miss.words[:MAX_QUESTION], "department": miss.department, "at": miss.at}
            for miss in misses
            if not looks_personal(miss.words)
        ]
        if rows:
            with self._database.write() as session:
                session.execute(insert(SearchMiss), rows)
        return len(rows)

    def drop_old_misses(self) -> None:
        """Forget what was searched and not found longer ago than ``MISSES_KEPT``."""
        with self._database.write() as session:
            session.execute(delete(SearchMiss).where(SearchMiss.at < self._clock.now() - MISSES_KEPT))

    def misses(self, *, since: datetime | None = None, limit: int = 1000) -> list[Miss]:
        """Return what was searched and not found, the newest first."""
        query = select(SearchMiss).order_by(SearchMiss.at.desc(), SearchMiss.n.desc()).limit(limit)
        if since is not None:
            query = query.where(SearchMiss.at >= since)
        with self._database.read() as session:
            return [Miss(row.words, row.department, row.at) for row in session.scalars(query)]


def _visible(seen: Sight) -> ColumnElement[bool]:
    """Return which documents may be seen."""
    if seen.everything:
        return _DOC.seen != "others"
    if seen.department is None:
        return _DOC.seen != "own"
    return or_(
        _DOC.seen == "all",
        and_(_DOC.seen == "own", _DOC.department == seen.department),
        and_(_DOC.seen == "others", _DOC.department != seen.department),
    )


def _spans(narrowed: Narrowed, numbers: Mapping[Facet, Mapping[int, str]], now: datetime) -> list[ColumnElement[bool]]:
    """Return which documents have the values. A value that nothing was ever counted under finds nothing."""
    conditions: list[ColumnElement[bool]] = []
    for facet, values in narrowed.items():
        any_of: list[ColumnElement[bool]] = []
        if len(values) > _MOST_VALUES:
            raise refused(f"more than {_MOST_VALUES} values of {facet}", "search.facet")
        for value in dict.fromkeys(values):
            try:
                found = span(facet, value, numbers, now)
            except ValueError:
                raise refused(f"{value[:40]!r} is no value of {facet}", "search.facet", where=facet.value) from None
            if found is None:
                continue
            part = func.substr(_DOC.facets, found.first, len(found.low))
            any_of.append(part == found.low if found.high is None else and_(part >= found.low, part < found.high))
        if values:
            conditions.append(or_(*any_of) if any_of else literal(False))
    return conditions


def _page(
    session: Session, question: Question | None, where: Sequence[ColumnElement[bool]], after: str | None, limit: int
) -> list[tuple[int, str, bool]]:
    """Return the place in the order, the name and the kind of the hits of a page."""
    place: ColumnElement[int] = literal(0) if question is None else _place(question)
    query = select(place, _DOC.resource, _DOC.cover).where(*where)
    if after is not None:
        given = _CURSOR.fullmatch(after)
        if given is None:
            raise refused("a page begins after the next of the page before", "search.after")
        name = given[2]
        query = query.where(
            _DOC.resource > name if question is None else tuple_(place, _DOC.resource) > tuple_(literal(int(given[1])), name)
        )
    order = [_DOC.resource] if question is None else [place, _DOC.resource]
    return [(n, name, cover) for n, name, cover in session.execute(query.order_by(*order).limit(limit))]


def _place(question: Question) -> ColumnElement[int]:
    """Return where a hit stands in the order: 0 what was asked itself, 1 begins with it, 2 has it in its title, 3 the rest."""
    heading = _DOC.heading
    has_all = and_(*(func.strpos(heading, term) > 0 for term in question.terms))
    return case(
        (~has_all, 3),
        (func.strpos(heading, f"\n{question.text}\n") > 0, 0),
        (func.strpos(heading, f"\n{question.text}") > 0, 1),
        else_=2,
    )


def _hits(session: Session, found: Sequence[tuple[str, bool]], now: datetime) -> tuple[Hit, ...]:
    """Return what is told of the hits, in their order; of a cover nothing but the name and the reason is even read."""
    said = CatalogueEntry.document
    entries: dict[str, Any] = {
        key: said[key].astext.label(key)
        for key in ("title", "abstract", "sharing_type", "update_cycle", "format", "sharing_basis_kind", "sharing_basis")
    }
    wanted = [name for name, cover in found if not cover]
    whole = select(Resource, Department.name.label("provider"), _DOC.facets, _DOC.as_of, *entries.values()).where(
        Resource.name.in_(wanted), Department.code == Resource.department
    )
    whole = whole.join(_DOC, and_(_DOC.resource == Resource.name, ~_DOC.cover))
    whole = whole.outerjoin(CatalogueEntry, CatalogueEntry.resource == Resource.name)
    hits: dict[tuple[str, bool], Hit] = {}
    for row in session.execute(whole):
        quality, freshness = runs_told(row.facets, now)
        hits[row.Resource.name, False] = Hit(
            name=row.Resource.name,
            title=row.title or row.Resource.title,
            cover=False,
            sharing_type=row.sharing_type,
            basis_kind=row.sharing_basis_kind,
            basis=row.sharing_basis,
            code=row.Resource.code,
            department=row.Resource.department,
            department_name=row.provider,
            state=row.Resource.state,
            abstract=row.abstract,
            update_cycle=row.update_cycle,
            format=row.format,
            quality=quality,
            freshness=freshness,
            as_of=row.as_of,
        )
    covered = [name for name, cover in found if cover]
    if covered:
        names = ("title", "sharing_type", "sharing_basis_kind", "sharing_basis")
        query = select(CatalogueEntry.resource, *(entries[name] for name in names)).where(CatalogueEntry.resource.in_(covered))
        for row in session.execute(query):
            hits[row.resource, True] = Hit(
                row.resource, row.title, True, row.sharing_type, row.sharing_basis_kind, row.sharing_basis
            )
    return tuple(hits[one] for one in found if one in hits)
