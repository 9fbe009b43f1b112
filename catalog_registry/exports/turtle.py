"""RDF 1.1 Turtle, a thing at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from catalog_registry.exports.rdf import PREFIXES, Iri, Literal, Node

_TOLD: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_TO_ESCAPE: Final = re.compile(r'[\\"\x00-\x1f\x7f]')
_NOT_IN_IRI: Final = re.compile(r'[\x00-\x20<>"{}|^`\\]')


def turtle(nodes: Iterable[Node], prefixes: Mapping[str, str] = PREFIXES) -> Iterator[str]:
    """Yield Turtle text: the prefixes, then each node as it comes."""
    yield "".join(f"@prefix {prefix}: <{iri}> .\n" for prefix, iri in prefixes.items())
    for node in nodes:
        said = [f"a {', '.join(node.types)}"] if node.types else []
        said += [f"{name} {', '.join(map(_term, terms))}" for name, terms in node.properties]
        if said:
            yield "\n" + _iri(node.iri) + " " + " ;\n    ".join(said) + " .\n"


def _term(term: Iri | Literal) -> str:
    if isinstance(term, Iri):
        return _iri(term.text)
    text = f'"{_TO_ESCAPE.sub(lambda found: _escape(found[0]), term.text)}"'
    if term.language is not None:
        return f"{text}@{term.language}"
    return text if term.datatype is None else f"{text}^^{term.datatype}"


def _escape(character: str) -> str:
    return _TOLD.get(character) or f"\\u{ord(character):04X}"


def _iri(text: str) -> str:
    return f"<{_NOT_IN_IRI.sub(lambda found: f'%{ord(found[0]):02X}', text)}>"
