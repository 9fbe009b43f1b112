"""The documents that the catalogue is searched in, kept right within the change that touches a resource."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Text, cast, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from catalog_registry.facets import (
    COVER,
    MOST_FORMATS,
    MOST_ORIGINS,
    MOST_PROVIDERS,
    Facet,
    Ran,
    packed,
    packed_of_others,
    quality_in,
    with_run,
)
from catalog_registry.records import kept_contract
from catalog_registry.states import ResourceState
from catalog_registry.store.harvest_tables import Harvested
from catalog_registry.store.search_tables import SearchDocument, SearchNumber
from catalog_registry.store.tables import CatalogueEntry as EntryRow
from catalog_registry.store.tables import ContractVersion, Department, Resource
from catalog_registry.words import DEPARTMENT_MARK, called_tokens, initials_of, pinyin_of, words_of
from schemas.catalogue import CatalogueEntry, SharingType
from schemas.catalogue_form import read_entry
from schemas.contract import DataContract

_MOST: Final = {Facet.PROVIDER: MOST_PROVIDERS, Facet.FORMAT: MOST_FORMATS, Facet.ORIGIN: MOST_ORIGINS}
_MOST_TEXT: Final = 5_000
"""Characters that a text of another catalogue is found by."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a resource is found by; ``SearchDocument`` says what each part is."""

    cover: bool
    seen: str
    department: str
    facets: bytes
    as_of: datetime | None
    tokens: frozenset[str]
    origin: str | None = None


def documents_of(
    row: Resource,
    department: str,
    entry: CatalogueEntry | None,
    contract: DataContract | None,
    ran: Ran,
    number: Callable[[Facet, str], int],
) -> list[Document]:
    """Return the documents of a resource: its own and, where it is not shared but published, that for others.

    Args:
        row: the resource.
        department: the name of its department.
        entry: what the catalogue says of it.
        contract: the one in force.
        ran: what its last proved run says.
        number: the number of a word that documents are counted under.
    """
    title = row.title if entry is None else entry.title
    facets = packed(
        number(Facet.PROVIDER, row.department), 0 if entry is None else number(Facet.FORMAT, entry.format), entry, ran
    )
    own = Document(
        cover=False,
        seen=_seen(row, entry),
        department=row.department,
        facets=facets,
        as_of=ran.as_of,
        tokens=frozenset(
            _tokens(row, entry, contract)
            | _department_tokens(row.department, department)
            | called_tokens(title, row.name, *(() if row.code is None else (row.code,)))
        ),
    )
    cover = _cover(row, entry)
    return [own] if cover is None else [own, cover]


def write_documents(session: Session, row: Resource, contract: DataContract | None = None) -> None:
    """Make the documents of a resource what the registry says of it now.

    Args:
        session: of the change.
        row: the resource, as it is after the change.
        contract: the one in force; None: it is read.
    """
    entry = _entry(session, row)
    if contract is None and row.version is not None:
        kept = session.get_one(ContractVersion, (row.name, row.version))
        contract = kept_contract(kept.odcs, f"{row.name} {row.version}")
    department = session.get_one(Department, row.department).name
    found = select(SearchDocument.cover, SearchDocument.as_of, SearchDocument.facets)
    before = {one.cover: one for one in session.execute(found.where(SearchDocument.resource == row.name))}
    ran = Ran(before[False].as_of, quality_in(before[False].facets)) if False in before else Ran()
    made = documents_of(row, department, entry, contract, ran, lambda kind, word: _number(session, kind, word))
    for document in made:
        _write(session, row.name, document)
    if True in before and len(made) == 1:
        _drop_cover(session, row.name)


def place_documents(session: Session, row: Resource) -> None:
    """Make the documents of a resource seen by those who may see it in the state that it is in now; its words stay."""
    entry = _entry(session, row)
    placed = session.execute(
        update(SearchDocument)
        .where(SearchDocument.resource == row.name, ~SearchDocument.cover)
        .values(seen=_seen(row, entry))
        .returning(SearchDocument.resource)
    ).all()
    if not placed:
        write_documents(session, row)
    elif (cover := _cover(row, entry)) is not None:
        _write(session, row.name, cover)
    else:
        _drop_cover(session, row.name)


def write_harvested(session: Session, row: Harvested) -> None:
    """Make the document of a dataset of another catalogue what that catalogue says of it now; none where it has it no more."""
    if row.gone_at is not None:
        drop_documents(session, (row.id,))
        return
    said = row.content
    texts = [said.get("abstract") or "", said.get("publisher") or "", *said.get("themes", ()), *said.get("keywords", ())]
    tokens = words_of(row.title) | initials_of(row.title) | pinyin_of(row.title) | called_tokens(row.title)
    for text in (*texts, *said.get("identifiers", ())):
        tokens |= words_of(text[:_MOST_TEXT])
    facets = packed_of_others(_number(session, Facet.ORIGIN, row.catalogue))
    _write(session, row.id, Document(False, "all", "", facets, None, frozenset(tokens), row.catalogue))


def forget_harvested(session: Session, catalogue: str) -> None:
    """Have nothing found any more that comes from another catalogue."""
    session.execute(delete(SearchDocument).where(SearchDocument.origin == catalogue))


def drop_documents(session: Session, resources: Collection[str]) -> None:
    """Have the documents of many resources made anew by the worker: until then a search does not find them."""
    session.execute(delete(SearchDocument).where(SearchDocument.resource.in_(resources)))


def rename_department(session: Session, code: str, before: str, after: str) -> None:
    """Have the documents of a department's resources found by its new name."""
    was, now = _department_tokens(code, before), _department_tokens(code, after)
    left = func.ts_delete(SearchDocument.tokens, cast(sorted(was - now), ARRAY(Text)))
    session.execute(
        update(SearchDocument)
        .where(SearchDocument.department == code, ~SearchDocument.cover)
        .values(tokens=left.op("||")(func.array_to_tsvector(cast(sorted(now), ARRAY(Text)))))
    )


def note_run(session: Session, resource: str, ran: Ran) -> bool:
    """Have a resource counted by its last proved run; say whether that changed anything. Its words stay."""
    row = session.execute(
        select(SearchDocument.as_of, SearchDocument.facets).where(SearchDocument.resource == resource, ~SearchDocument.cover)
    ).first()
    if row is None:
        return False
    facets = with_run(row.facets, ran)
    if (row.as_of, row.facets) == (ran.as_of, facets):
        return False
    session.execute(
        update(SearchDocument)
        .where(SearchDocument.resource == resource, ~SearchDocument.cover)
        .values(as_of=ran.as_of, facets=facets)
    )
    return True


def numbered(session: Session) -> dict[Facet, dict[int, str]]:
    """Return the words of the numbers that documents are counted under."""
    words: dict[Facet, dict[int, str]] = {facet: {} for facet in _MOST}
    for row in session.scalars(select(SearchNumber)):
        words[Facet(row.kind)][row.n] = row.word
    return words


def _entry(session: Session, row: Resource) -> CatalogueEntry | None:
    here = session.get(EntryRow, row.name)
    return None if here is None else read_entry(here.document, where=row.name)


def _not_shared(entry: CatalogueEntry | None) -> bool:
    return entry is not None and entry.sharing.type is SharingType.NOT_SHARED


def _seen(row: Resource, entry: CatalogueEntry | None) -> str:
    """Return by whom the document of all that is said of a resource is seen."""
    return "all" if row.state == ResourceState.PUBLISHED and not _not_shared(entry) else "own"


def _cover(row: Resource, entry: CatalogueEntry | None) -> Document | None:
    """Return what others find of a resource that is published and not shared: its name, and nothing else."""
    if entry is None or not _not_shared(entry) or row.state != ResourceState.PUBLISHED:
        return None
    tokens = frozenset(_named(entry.title, row.name) | called_tokens(entry.title, row.name))
    return Document(True, "others", row.department, COVER, None, tokens)


def _drop_cover(session: Session, resource: str) -> None:
    session.execute(delete(SearchDocument).where(SearchDocument.resource == resource, SearchDocument.cover))


def _write(session: Session, resource: str, document: Document) -> None:
    said = {name: getattr(document, name) for name in Document.__slots__}
    said["tokens"] = func.array_to_tsvector(cast(sorted(document.tokens), ARRAY(Text)))
    key = ("resource", "cover")
    made = insert(SearchDocument).values(resource=resource, **said)
    changed = {name: made.excluded[name] for name in said if name not in key}
    session.execute(made.on_conflict_do_update(index_elements=key, set_=changed))


def _named(title: str, name: str) -> set[str]:
    return words_of(title) | initials_of(title) | pinyin_of(title) | words_of(name)


def _tokens(row: Resource, entry: CatalogueEntry | None, contract: DataContract | None) -> set[str]:
    found = _named(row.title, row.name) | words_of(row.code or "")
    titles: set[str] = set()
    others: list[str] = []
    if entry is not None:
        found |= _named(entry.title, row.name)
        others.append(entry.abstract)
        titles.update(field.title for field in entry.fields)
        others += [field.name for field in entry.fields]
    if contract is not None:
        titles.update(field.title for field in contract.fields)
        others += [text for field in contract.fields for text in (field.name, field.description)]
    for title in titles:
        found |= words_of(title) | initials_of(title)
    for text in others:
        found |= words_of(text)
    return found


def _department_tokens(code: str, name: str) -> set[str]:
    found: Iterable[str] = words_of(name) | initials_of(name) | pinyin_of(name) | words_of(code)
    return {DEPARTMENT_MARK + word for word in found}


def _number(session: Session, kind: Facet, word: str) -> int:
    """Return the number of a word, a new one where it has none; 0, which is not counted, where there are too many."""
    n = session.scalars(select(SearchNumber.n).where(SearchNumber.kind == kind, SearchNumber.word == word)).first()
    if n is None:
        n = (session.scalars(select(func.max(SearchNumber.n)).where(SearchNumber.kind == kind)).first() or 0) + 1
        if n > _MOST[kind]:
            return 0
        session.add(SearchNumber(kind=kind, word=word, n=n))
        session.flush()
    return n
