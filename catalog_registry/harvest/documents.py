"""What a catalogue in DCAT says of its datasets, as plain documents. Reading asks nobody else for anything.

A remote context of JSON-LD is refused, since following it would ask whoever the document names. Neither form has entities.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from schemas.errors import Fault, RejectedError

Form = Literal["turtle", "json-ld"]
MOST_TEXT: Final = 20_000
MOST_DATASETS: Final = 200_000
_LANGUAGES: Final = ("zh", "zh-cn", "zh-hans", "", "en")
"""Which text is taken where there are several, the first one first; then any other."""


@dataclass(frozen=True, slots=True)
class Document:
    """A dataset of another catalogue. ``hash`` is over all that is kept of it; lists are sorted."""

    iri: str
    title: str
    content: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256, in hex."""
        text = json.dumps(self.content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Read:
    """What was read. Datasets without a name of their own (blank nodes) and without a title are counted and left out."""

    documents: tuple[Document, ...]
    nameless: int
    untitled: int


def form_of(data: bytes, media_type: str = "", name: str = "") -> Form:
    """Return in which form a catalogue is written: by its media type, by the end of its name, else by how it begins."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind in ("application/ld+json", "application/json") or name.lower().endswith((".jsonld", ".json")):
        return "json-ld"
    if kind == "text/turtle" or name.lower().endswith(".ttl"):
        return "turtle"
    return "json-ld" if data.lstrip()[:1] in (b"{", b"[") else "turtle"


def read_catalogue(data: bytes, form: Form) -> Read:
    """Return the datasets of a catalogue.

    Raises:
        RejectedError: it is not of the form (``harvest.syntax``), names a context elsewhere (``harvest.remote_context``), or
            has too many datasets.
    """
    import rdflib

    text = _without_contexts_elsewhere(data) if form == "json-ld" else data.decode("utf-8", "replace")
    graph = rdflib.Graph()
    try:
        graph.parse(data=text, format=form)
    except Exception as error:  # noqa: BLE001 - the parsers raise whatever they like, and its words may hold what they read
        raise _syntax(form, type(error).__name__) from None
    found, nameless, untitled = {}, 0, 0
    for subject in set(graph.subjects(rdflib.RDF.type, rdflib.DCAT.Dataset)):
        if not isinstance(subject, rdflib.URIRef):
            nameless += 1
            continue
        made = _document(graph, subject)
        if made is None:
            untitled += 1
        else:
            found[made.iri] = made
    if len(found) > MOST_DATASETS:
        raise RejectedError(f"it has more than {MOST_DATASETS} datasets", code="harvest.too_many", fault=Fault.PROVIDER)
    return Read(tuple(found[iri] for iri in sorted(found)), nameless, untitled)


def _syntax(form: str, what: str) -> RejectedError:
    return RejectedError(
        f"it cannot be read as {form}: {what}",
        code="harvest.syntax",
        remedy="the address must give DCAT as Turtle or JSON-LD",
        fault=Fault.PROVIDER,
    )


def _without_contexts_elsewhere(data: bytes) -> str:
    """Return a JSON-LD text as it was understood here, so that the parser cannot understand it otherwise."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _syntax("json-ld", type(error).__name__) from None
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if "@import" in value or any(not isinstance(c, dict | None) for c in _contexts(value)):
                raise RejectedError(
                    "it names a JSON-LD context elsewhere, which is not followed",
                    code="harvest.remote_context",
                    remedy="ask for the catalogue with its context inside, or as Turtle",
                    fault=Fault.PROVIDER,
                )
            waiting += value.values()
    return json.dumps(document)


def _contexts(value: Mapping[str, Any]) -> list[Any]:
    context = value.get("@context")
    return context if isinstance(context, list) else [context]


def _document(graph: Any, subject: Any) -> Document | None:
    from rdflib import DCAT, DCTERMS, FOAF

    title = _text(graph.objects(subject, DCTERMS.title))
    if not title:
        return None
    publisher = next(iter(sorted(graph.objects(subject, DCTERMS.publisher))), None)
    name = None if publisher is None else _text(graph.objects(publisher, FOAF.name)) or str(publisher)[:MOST_TEXT]
    content = {
        "title": title,
        "abstract": _text(graph.objects(subject, DCTERMS.description)),
        "publisher": name,
        "identifiers": _texts(graph.objects(subject, DCTERMS.identifier)),
        "themes": _texts(graph.objects(subject, DCAT.theme)),
        "keywords": _texts(graph.objects(subject, DCAT.keyword)),
        "issued": _text(graph.objects(subject, DCTERMS.issued)),
        "modified": _text(graph.objects(subject, DCTERMS.modified)),
        "access_rights": _text(graph.objects(subject, DCTERMS.accessRights)),
        "landing_pages": _texts(graph.objects(subject, DCAT.landingPage)),
        "distributions": sorted(
            (_distribution(graph, one) for one in graph.objects(subject, DCAT.distribution)), key=lambda d: json.dumps(d)
        ),
    }
    return Document(str(subject), title, content)


def _distribution(graph: Any, one: Any) -> dict[str, Any]:
    from rdflib import DCAT, DCTERMS

    return {
        "title": _text(graph.objects(one, DCTERMS.title)),
        "access_urls": _texts(graph.objects(one, DCAT.accessURL)),
        "format": _text(graph.objects(one, DCTERMS.format)),
    }


def _text(values: Iterable[Any]) -> str | None:
    """Return the one text that is taken of several, whatever their order."""

    def place(value: Any) -> tuple[int, str]:
        language = (getattr(value, "language", None) or "").lower()
        return (_LANGUAGES.index(language) if language in _LANGUAGES else len(_LANGUAGES)), str(value)

    found = sorted(values, key=place)
    return str(found[0])[:MOST_TEXT] if found else None


def _texts(values: Iterable[Any]) -> list[str]:
    return sorted({str(value)[:MOST_TEXT] for value in values})
