"""Statements about a thing, whatever the syntax: what ``dcat`` says and ``turtle`` and ``jsonld`` write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

PREFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "adms": "http://www.w3.org/ns/adms#",
        "dcat": "http://www.w3.org/ns/dcat#",
        "dcatap": "http://data.europa.eu/r5r/",
        "dct": "http://purl.org/dc/terms/",
        "foaf": "http://xmlns.com/foaf/0.1/",
        "skos": "http://www.w3.org/2004/02/skos/core#",
        "vcard": "http://www.w3.org/2006/vcard/ns#",
        "xsd": "http://www.w3.org/2001/XMLSchema#",
    }
)


@dataclass(frozen=True, slots=True)
class Iri:
    """The name of a thing, in full."""

    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A text in a language, or a value of an XSD type such as ``xsd:date``."""

    text: str
    language: str | None = None
    datatype: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """Some of what is said of a thing: it may come again with more. Types and properties are written ``prefix:name``."""

    iri: str
    types: tuple[str, ...] = ()
    properties: tuple[tuple[str, tuple[Iri | Literal, ...]], ...] = ()


def zh(text: str) -> Literal:
    """Return a text in Chinese."""
    return Literal(text, language="zh")


def en(text: str) -> Literal:
    """Return a text in English."""
    return Literal(text, language="en")
