"""The items as CPSV-AP: both syntaxes say the same, what is mandatory is there, and memory does not grow with the items."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyshacl
import pytest
import rdflib
from rdflib.namespace import DCTERMS, RDF

from catalog_registry.exports.cpsv import CPSV_PREFIXES, Served, cpsv
from catalog_registry.exports.jsonld import jsonld
from catalog_registry.exports.turtle import turtle
from catalog_registry.item_life import ItemState
from catalog_registry.item_records import ItemRecord, StandIn
from tests.items import CODE, MARKET, TOWN_CODE, item

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib.*")

BASE, REGION = "https://share.example", "440205"
CPSV, CV = rdflib.Namespace("http://purl.org/vocab/cpsv#"), rdflib.Namespace("http://data.europa.eu/m8g/")
SHAPES = Path(__file__).parents[1] / "cpsv.shacl.ttl"
KIND = f"{MARKET}001"


def served(stand_ins: dict[str, StandIn] | None = None, state: ItemState = ItemState.IN_FORCE, **changes: Any) -> Served:
    made = item(**changes)
    at = datetime(2026, 11, 2, tzinfo=UTC)
    record = ItemRecord(made.code, made.code_type, made.basic_code, made.name, made.body, "market", None, state, 1, at)
    return Served(record, made, stand_ins or {})


def many(count: int) -> Iterator[Served]:
    for number in range(count):
        code = f"{MARKET}3{number:012d}"
        yield served(code=code, ways=[{"code": f"{code}01", "name": "办理", "result_name": "证"}])


def read(text: str, form: str = "turtle") -> rdflib.Graph:
    return rdflib.Graph().parse(data=text, format=form)


def exported(items: Iterable[Served]) -> rdflib.Graph:
    return read("".join(turtle(cpsv(BASE, REGION, items, {KIND: "营业执照"}), CPSV_PREFIXES)))


def violations(graph: rdflib.Graph) -> str:
    conforms, _, text = pyshacl.validate(graph, shacl_graph=str(SHAPES))
    return "" if conforms else str(text)


def test_turtle_and_json_ld_say_the_same() -> None:
    as_json = read("".join(jsonld(cpsv(BASE, REGION, many(20), {}), CPSV_PREFIXES)), "json-ld")
    assert len(as_json) > 400
    assert set(exported(many(20))) == set(as_json)


def test_an_item_is_a_public_service_with_its_authority_evidences_ways_and_results() -> None:
    stand_ins = {"CL000102": StandIn((KIND,), ("licences",))}
    graph = exported([served(stand_ins, promised={"number": 30, "unit": "Z"})])
    service = rdflib.URIRef(f"{BASE}/items/{CODE}")
    assert (service, RDF.type, CPSV.PublicService) in graph
    assert [str(v) for v in graph.objects(service, DCTERMS.identifier)] == [CODE]
    assert [(str(v), v.language) for v in graph.objects(service, DCTERMS.title)] == [("食品经营许可设立", "zh")]  # type: ignore[attr-defined]
    (body,) = graph.objects(service, CV.hasCompetentAuthority)
    assert str(graph.value(body, DCTERMS.identifier)) == MARKET
    evidences = set(graph.objects(service, CPSV.hasInput))
    assert {str(graph.value(e, DCTERMS.title)) for e in evidences} == {"申请表", "营业执照（复印件）"}
    spared = rdflib.URIRef(f"{BASE}/items/{CODE}#material-CL000102")
    assert [str(v) for v in graph.objects(spared, DCTERMS.source)] == [f"{BASE}/resources/licences"]
    assert "营业执照" in str(graph.value(spared, DCTERMS.description))
    assert str(graph.value(service, CV.processingTime)) == "P30D"
    (result,) = graph.objects(service, CPSV.produces)
    assert str(graph.value(result, DCTERMS.title)) == "食品经营许可证"


def test_a_limit_in_working_days_is_told_in_words_only() -> None:
    graph = exported([served()])
    service = rdflib.URIRef(f"{BASE}/items/{CODE}")
    assert graph.value(service, CV.processingTime) is None
    assert "承诺办结时限：5 工作日" in str(graph.value(service, DCTERMS.description))


def test_what_is_mandatory_is_there_in_every_export() -> None:
    bare = {"statutory": None, "promised": None, "accept_condition": None}
    graph = exported(
        [
            served(),
            served(state=ItemState.ENDED, code=TOWN_CODE, body="马坝镇人民政府", ways=[], materials=[], **bare),
            served(state=ItemState.SUSPENDED, code="OLD-1", body="某局", ways=[], promised={"number": 2, "unit": "小时"}),
            *many(50),
        ]
    )
    assert len(set(graph.subjects(RDF.type, CPSV.PublicService))) == 53
    assert violations(graph) == ""


def test_the_shapes_find_what_is_missing() -> None:
    graph = exported([served()])
    graph.remove((None, CV.hasCompetentAuthority, None))
    graph.remove((rdflib.URIRef(f"{BASE}/items/{CODE}#material-CL000101"), DCTERMS.title, None))
    told = violations(graph)
    assert "hasCompetentAuthority" in told
    assert "material-CL000101" in told


def test_memory_does_not_grow_with_the_number_of_items() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in turtle(cpsv(BASE, REGION, many(count), {}), CPSV_PREFIXES):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)
    assert peak(1500) < peak(150) + 200_000
