"""Another catalogue is read from where a setting allows, asks nobody else for anything, and says the same in both forms."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from catalog_registry.exports.dcat import About, dcat
from catalog_registry.exports.jsonld import jsonld
from catalog_registry.exports.turtle import turtle
from catalog_registry.harvest.documents import form_of, read_catalogue
from exchange.harvest.fetch import allowed_prefixes, check_allowed, fetch
from schemas.errors import DeniedError, OneDoorError, RejectedError
from tests.catalogue_entry import MARKET, many
from tests.unit.test_exports import ABOUT

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib.*")

CITY = """
@prefix dcat: <http://www.w3.org/ns/dcat#> . @prefix dct: <http://purl.org/dc/terms/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
<https://city.example/d/1> a dcat:Dataset ; dct:title "Buses"@en, "公交线路"@zh ; dct:description "线路和站点"@zh ;
  dct:publisher <https://city.example/transport> ; dcat:keyword "公交", "交通" ; dct:identifier "C-1" ;
  dcat:theme <http://publications.europa.eu/resource/authority/data-theme/TRAN> ;
  dcat:distribution [ dct:title "表" ; dcat:accessURL <https://city.example/d/1.csv> ] .
<https://city.example/transport> foaf:name "交通运输局"@zh .
<https://city.example/d/2> a dcat:Dataset ; dct:description "without a title" .
[] a dcat:Dataset ; dct:title "without a name" .
"""


def test_a_dataset_is_read_with_what_a_search_needs_and_what_cannot_be_kept_is_counted() -> None:
    read = read_catalogue(CITY.encode(), "turtle")
    (found,) = read.documents
    assert (found.iri, read.nameless, read.untitled) == ("https://city.example/d/1", 1, 1)
    assert found.content == {
        "title": "公交线路",
        "abstract": "线路和站点",
        "publisher": "交通运输局",
        "identifiers": ["C-1"],
        "themes": ["http://publications.europa.eu/resource/authority/data-theme/TRAN"],
        "keywords": ["交通", "公交"],
        "issued": None,
        "modified": None,
        "access_rights": None,
        "landing_pages": [],
        "distributions": [{"title": "表", "access_urls": ["https://city.example/d/1.csv"], "format": None}],
    }


def test_both_forms_of_one_catalogue_are_read_as_the_same_with_the_same_hashes() -> None:
    about = About(ABOUT.base, ABOUT.region, MARKET, ABOUT.issued, ABOUT.modified)
    as_turtle = "".join(turtle(dcat(about, many(40)))).encode()
    as_json = "".join(jsonld(dcat(about, many(40)))).encode()
    assert (form_of(as_turtle), form_of(as_json)) == ("turtle", "json-ld")
    one, other = read_catalogue(as_turtle, "turtle"), read_catalogue(as_json, "json-ld")
    assert len(one.documents) == 40
    assert [(d.iri, d.hash) for d in one.documents] == [(d.iri, d.hash) for d in other.documents]
    assert len({d.hash for d in one.documents}) == 40


@pytest.mark.parametrize(
    "document",
    [
        {"@context": "https://evil.example/context.jsonld", "@id": "urn:a"},
        {"@context": [{"a": "urn:a"}, "https://evil.example/c"], "@id": "urn:a"},
        {"@graph": [{"b": {"@context": "file:///etc/passwd"}}]},
        {"@context": {"@import": "https://evil.example/c"}},
        {"@context": {"a": {"@id": "urn:a", "@context": "https://evil.example/c"}}},
    ],
)
def test_a_context_that_is_elsewhere_is_refused_and_nobody_is_asked(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("somebody was asked"))
    with pytest.raises(RejectedError) as refusal:
        read_catalogue(json.dumps(document).encode(), "json-ld")
    assert refusal.value.code == "harvest.remote_context"


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"{", "json-ld"),
        (b"[" * 100_000, "json-ld"),
        (b"<a> <b>", "turtle"),
        (b'<?xml version="1.0"?><!DOCTYPE a []>', "turtle"),
    ],
)
def test_what_is_no_catalogue_is_refused_without_its_words(data: bytes, form: Any) -> None:
    with pytest.raises(RejectedError) as refusal:
        read_catalogue(data, form)
    assert refusal.value.code == "harvest.syntax"
    assert len(str(refusal.value)) < 200


ALLOWED = allowed_prefixes("https://data.example/catalogue/, http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("https://data.example/catalogue/a.ttl", True),
        ("https://data.example/catalogue/a.ttl?page=2", True),
        ("http://127.0.0.1:8000/x", True),
        ("https://data.example/cataloguex/a.ttl", False),
        ("https://data.example/catalogue/../secret", False),
        ("https://data.example/catalogue/%2e%2e/secret", False),
        ("https://data.example.evil/catalogue/a", False),
        ("https://data.example@evil/catalogue/a", False),
        ("https://data.example:444/catalogue/a", False),
        ("http://data.example/catalogue/a", False),
        ("http://127.0.0.1:8001/x", False),
        ("file:///etc/passwd", False),
        ("https://[/catalogue", False),
        ("", False),
    ],
)
def test_only_what_is_below_an_allowed_address_is_asked(address: str, good: bool) -> None:
    if good:
        check_allowed(address, ALLOWED)
        return
    with pytest.raises(DeniedError) as refusal:
        check_allowed(address, ALLOWED)
    assert refusal.value.code == "harvest.not_allowed"
    with pytest.raises(DeniedError):
        check_allowed("https://data.example/catalogue/a", ())


class _City(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        there = {
            "/good/away": "http://127.0.0.2:1/x",
            "/good/on": "/good/c.ttl",
            "/good/round": "/good/round",
            "/good/out": "/bad",
        }
        if self.path in there:
            self.send_response(302)
            self.send_header("location", there[self.path])
            self.end_headers()
            return
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("content-type", "text/turtle")
        self.end_headers()
        self.wfile.write(CITY.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def city() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _City)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_an_allowed_address_is_read_also_where_it_is_sent_on_within_what_is_allowed(city: str) -> None:
    for path in ("/good/c.ttl", "/good/on"):
        assert fetch(f"{city}{path}", (f"{city}/good",), 10_000, 10) == (CITY.encode(), "text/turtle")


@pytest.mark.parametrize(
    ("path", "most", "code"),
    [
        ("/good/away", 10_000, "harvest.not_allowed"),
        ("/good/out", 10_000, "harvest.not_allowed"),
        ("/good/round", 10_000, "harvest.redirects"),
        ("/good/missing", 10_000, "harvest.status"),
        ("/good/c.ttl", 100, "harvest.size"),
    ],
)
def test_what_is_sent_away_too_large_or_not_there_is_refused(city: str, path: str, most: int, code: str) -> None:
    with pytest.raises(OneDoorError) as refusal:
        fetch(f"{city}{path}", (f"{city}/good",), most, 10)
    assert refusal.value.code == code
