"""JSON-LD 1.1, a thing at a time: one context, then the graph as an array."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from catalog_registry.exports.rdf import PREFIXES, Iri, Literal, Node


def jsonld(nodes: Iterable[Node], prefixes: Mapping[str, str] = PREFIXES) -> Iterator[str]:
    """Yield the text of one JSON-LD document. A thing that comes again stands there again, as the standard allows."""
    yield f'{{"@context": {_text(dict(prefixes))},\n"@graph": ['
    between = "\n"
    for node in nodes:
        yield between + _text(_object(node))
        between = ",\n"
    yield "\n]}\n"


def _object(node: Node) -> dict[str, Any]:
    made: dict[str, Any] = {"@id": node.iri}
    if node.types:
        made["@type"] = list(node.types)
    return made | {name: [_value(term) for term in terms] for name, terms in node.properties}


def _value(term: Iri | Literal) -> dict[str, str]:
    if isinstance(term, Iri):
        return {"@id": term.text}
    if term.language is not None:
        return {"@value": term.text, "@language": term.language}
    return {"@value": term.text} if term.datatype is None else {"@value": term.text, "@type": term.datatype}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
