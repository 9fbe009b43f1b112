"""The catalogue in the forms that others read: both syntaxes of DCAT-AP say the same, national JSON comes back equal."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from itertools import islice
from typing import Any

import pytest
import rdflib
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft201909Validator

from catalog_registry.exports import vocabulary
from catalog_registry.exports.dcat import About, dcat, read_base
from catalog_registry.exports.jsonld import jsonld
from catalog_registry.exports.national import COUNTS, NATIONAL, from_national, national_document, national_json, read_national
from catalog_registry.exports.odcs import odcs_stream
from catalog_registry.exports.rdf import PREFIXES, Iri, Literal, Node
from catalog_registry.exports.turtle import turtle
from catalog_registry.records import ListedResource
from schemas.catalogue import SharingType, SharingWay, UpdateCycle
from schemas.catalogue_form import KEYS, read_entry
from schemas.errors import RejectedError
from schemas.odcs import write_contract
from tests.catalogue_entry import MARKET, entry_json, many
from tests.contract_text import contract_text
from tests.dcat_shapes import core_findings, violations
from tests.hub import PEOPLE, TREE
from tests.office import LICENCES

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
BASE = "https://share.example"
ABOUT = About(BASE, "440205", MARKET, NOW, NOW)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib.*")


def read(text: str, form: str = "turtle") -> rdflib.Graph:
    return rdflib.Graph().parse(data=text, format=form)


def exported(resources: Iterable[ListedResource]) -> rdflib.Graph:
    return read("".join(turtle(dcat(ABOUT, resources))))


def listed(name: str = "staff", **changes: Any) -> ListedResource:
    entry = read_entry(entry_json(**({"code": "3070150500300/000001"} | changes)))
    return replace(next(many(1)), name=name, title="从业人员", department=MARKET, entry=entry)


def official_faults(document: dict[str, Any]) -> list[str]:
    """Return what the official JSON Schema of ODCS has against a document, without a word of the hub's own between."""
    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8"))
    return [error.message for error in Draft201909Validator(schema).iter_errors(json.loads(json.dumps(document, default=str)))]


def said(graph: rdflib.Graph, subject: str) -> dict[str, list[str]]:
    """Return what a graph says of a thing: the last part of each property's name → its values, sorted."""
    found: dict[str, list[str]] = {}
    for _, name, value in graph.triples((rdflib.URIRef(f"{BASE}{subject}"), None, None)):
        found.setdefault(str(name).rpartition("/")[2].rpartition("#")[2], []).append(str(value))
    return {name: sorted(values) for name, values in found.items()}


# DCAT-AP


def test_turtle_and_json_ld_say_the_same() -> None:
    as_turtle = exported(many(100))
    as_json = read("".join(jsonld(dcat(ABOUT, many(100)))), "json-ld")
    assert len(as_turtle) > 1500
    assert set(as_turtle) == set(as_json)


def test_every_text_comes_through_both_syntaxes_as_it_is() -> None:
    graph = exported(many(30))
    for resource in many(30):
        if resource.entry is not None and resource.entry.sharing.type is not SharingType.NOT_SHARED:
            found = said(graph, f"/resources/{resource.name}")
            assert found["title"] == [resource.entry.title]
            assert found["description"] == [resource.entry.abstract]


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40), st.text(st.characters(codec="ascii"), max_size=20))
def test_no_text_breaks_a_syntax(text: str, tail: str) -> None:
    node = Node(f"{BASE}/{tail}", ("dcat:Dataset",), (("dct:title", (Literal(text, language="zh"), Literal(text))),))
    graph = read("".join(turtle([node])))
    assert {str(value) for value in graph.objects(None, rdflib.DCTERMS.title)} == {text}
    assert json.loads("".join(jsonld([node])))["@graph"][0]["dct:title"][0] == {"@value": text, "@language": "zh"}


def test_a_shared_resource_is_told_with_what_the_catalogue_knows_of_it() -> None:
    found = said(exported([listed(open=True, service_items=None)]), "/resources/staff")
    assert found == {
        "type": [str(rdflib.DCAT.Dataset)],
        "title": ["从业人员名录"],
        "description": ["登记在册的从业人员。"],
        "identifier": ["3070150500300/000001"],
        "publisher": [f"{BASE}/departments/market"],
        "contactPoint": [f"{BASE}/departments/market#contact"],
        "theme": [f"{vocabulary.DATA_THEMES}/GOVE"],
        "keyword": ["部门"],
        "accrualPeriodicity": [f"{vocabulary.AUTHORITY}/frequency/DAILY"],
        "accessRights": [vocabulary.PUBLIC],
        "language": [vocabulary.CHINESE],
        "spatial": [f"{BASE}/divisions/440205"],
        "issued": ["2026-10-08"],
        "modified": ["2026-11-02T01:00:00+00:00"],
        "distribution": [f"{BASE}/resources/staff#records"],
    }


def test_of_a_resource_that_is_not_shared_only_its_name_and_the_reason_are_told() -> None:
    hidden = listed(
        sharing_type="3", sharing_condition=None, sharing_ways=None, sharing_basis_kind="1", sharing_basis="保密法第九条"
    )
    graph = exported([hidden])
    assert said(graph, "/resources/staff") == {
        "type": [str(rdflib.DCAT.Dataset)],
        "title": ["从业人员名录"],
        "description": ["不予共享（法律法规）：保密法第九条"],
        "accessRights": [vocabulary.NON_PUBLIC],
    }
    assert "登记在册" not in "".join(turtle(dcat(ABOUT, [hidden])))
    assert list(graph.objects(None, rdflib.DCAT.servesDataset)) == []


def test_a_resource_that_is_not_queried_has_no_distribution() -> None:
    graph = exported([listed(sharing_ways=["库表", "介质"])])
    assert "distribution" not in said(graph, "/resources/staff")
    assert list(graph.subjects(rdflib.RDF.type, rdflib.DCAT.Distribution)) == []


def test_open_on_a_condition_is_restricted() -> None:
    assert said(exported([listed(open=True, open_condition="登录")]), "/resources/staff")["accessRights"] == [
        vocabulary.RESTRICTED
    ]


MUST = {
    rdflib.DCAT.Catalog: (rdflib.DCTERMS.title, rdflib.DCTERMS.description, rdflib.DCTERMS.publisher),
    rdflib.DCAT.Dataset: (rdflib.DCTERMS.title, rdflib.DCTERMS.description),
    rdflib.DCAT.Distribution: (rdflib.DCAT.accessURL,),
    rdflib.DCAT.DataService: (rdflib.DCTERMS.title, rdflib.DCAT.endpointURL),
    rdflib.FOAF.Agent: (rdflib.FOAF.name,),
}
"""The mandatory properties of DCAT-AP 3.0.1."""
SHOULD = {
    rdflib.DCAT.Catalog: (
        *(
            rdflib.DCTERMS.language,
            rdflib.DCTERMS.license,
            rdflib.DCTERMS.spatial,
            rdflib.DCTERMS.issued,
            rdflib.DCTERMS.modified,
            rdflib.DCAT.themeTaxonomy,
        ),
        *(rdflib.FOAF.homepage, rdflib.DCAT.dataset, rdflib.DCAT.service),
    ),
    rdflib.DCAT.Distribution: (
        rdflib.DCTERMS.description,
        rdflib.DCTERMS.license,
        rdflib.DCTERMS["format"],
        rdflib.URIRef(f"{PREFIXES['dcatap']}availability"),
    ),
    rdflib.DCAT.DataService: (
        *(
            rdflib.DCAT.endpointDescription,
            rdflib.DCAT.servesDataset,
            rdflib.DCAT.contactPoint,
            rdflib.DCAT.keyword,
            rdflib.DCAT.theme,
            rdflib.DCTERMS.publisher,
        ),
        rdflib.DCTERMS.conformsTo,
    ),
    rdflib.FOAF.Agent: (rdflib.DCTERMS.type,),
}
"""The recommended ones that the hub knows; of a data set they are in the test of a shared resource."""


def test_the_mandatory_and_the_recommended_properties_are_there() -> None:
    graph = exported(many(60))
    for kind, names in (*MUST.items(), *SHOULD.items()):
        things = list(graph.subjects(rdflib.RDF.type, kind))
        assert things
        assert [(thing, name) for thing in things for name in names if graph.value(thing, name, any=True) is None] == []
    languages = {value.language for value in graph.objects(rdflib.URIRef(f"{BASE}/catalogue"), rdflib.DCTERMS.title)}
    assert languages == {"zh", "en"}


def test_everything_that_is_pointed_at_is_said_to_be_something() -> None:
    graph = exported(many(60))
    documents = {rdflib.DCAT.accessURL, rdflib.DCAT.endpointURL, rdflib.DCAT.endpointDescription}
    pointed = {
        value
        for _, name, value in graph
        if isinstance(value, rdflib.URIRef) and name not in {*documents, rdflib.RDF.type, rdflib.SKOS.inScheme}
    }
    assert {value for value in pointed if graph.value(value, rdflib.RDF.type, any=True) is None} == set()
    assert all(value.datatype == rdflib.XSD.date for value in graph.objects(None, rdflib.DCTERMS.issued) if "T" not in value)


def test_every_cycle_and_every_subject_of_the_source_is_mapped() -> None:
    concepts = {node.iri for node in vocabulary.concepts()}
    assert set(vocabulary.FREQUENCIES) == set(UpdateCycle)
    assert {vocabulary.frequency(cycle) for cycle in UpdateCycle} <= concepts
    assert len({vocabulary.frequency(cycle) for cycle in UpdateCycle}) == len(UpdateCycle)
    assert {f"{vocabulary.DATA_THEMES}/{code}" for _, code in vocabulary.ITEMS.values()} <= concepts
    assert vocabulary.theme(None) in concepts


@pytest.mark.parametrize("text", ["", "share.example", "https://share example", 'https://x"y', "ftp://x", "https://x/<>"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        read_base(text)
    assert refusal.value.code == "export.base"
    assert read_base("https://share.example/hub/") == "https://share.example/hub"


def test_memory_does_not_grow_with_the_number_of_resources() -> None:
    one = listed()

    def resources(count: int) -> Iterator[ListedResource]:
        return (replace(one, name=f"r{n}") for n in range(count))

    def peak(form: Any, count: int) -> int:
        tracemalloc.start()
        written = sum(len(chunk) for chunk in form(dcat(ABOUT, resources(count))))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert written > 1000 * count
        return most

    for form in (turtle, jsonld):
        peak(form, 10)
        assert peak(form, 4000) < peak(form, 40) + (256 << 10)  # of 6 MiB; rubbish waits for its collection


def test_the_export_of_a_thousand_resources_has_no_violation_of_the_profile() -> None:
    assert violations(exported(many(1000))) == []


def test_the_export_breaks_none_of_our_own_shapes_and_lacks_only_what_the_hub_cannot_know() -> None:
    graph = exported(many(60))
    assert core_findings(graph) == []
    hidden = {str(s) for s in graph.subjects(rdflib.DCTERMS.accessRights, rdflib.URIRef(vocabulary.NON_PUBLIC))}
    assert 0 < len(hidden) < 60
    of_shared = {what for thing, what in core_findings(graph, "Warning") if thing not in hidden}
    assert of_shared <= {
        "Dataset: temporal coverage",
        "Dataset: distribution",
        "Dataset: keyword",
        "Dataset: geographical coverage",
    }
    whole = exported([listed()])
    assert {what for _, what in core_findings(whole, "Warning")} == {"Dataset: temporal coverage"}


@pytest.mark.parametrize(
    ("subject", "name", "found"),
    [
        ("/catalogue", rdflib.DCTERMS.title, "Catalogue: title"),
        ("/catalogue", rdflib.DCTERMS.description, "Catalogue: description"),
        ("/catalogue", rdflib.DCTERMS.publisher, "Catalogue: publisher"),
        ("/resources/staff", rdflib.DCTERMS.title, "Dataset: title"),
        ("/resources/staff", rdflib.DCTERMS.description, "Dataset: description"),
        ("/resources/staff#records", rdflib.DCAT.accessURL, "Distribution: access URL"),
        ("/api/v1", rdflib.DCAT.endpointURL, "Service: endpoint URL"),
        ("/api/v1", rdflib.DCTERMS.title, "Service: title"),
        ("/departments/market", rdflib.FOAF.name, "Agent: name"),
    ],
)
def test_each_mandatory_property_that_is_missing_is_found(subject: str, name: rdflib.URIRef, found: str) -> None:
    graph = exported([listed()])
    graph.remove((rdflib.URIRef(f"{BASE}{subject}"), name, None))
    assert core_findings(graph) == [(f"{BASE}{subject}", found)]


def test_a_missing_title_is_found_by_the_shapes() -> None:
    graph = exported(many(2))
    graph.remove((rdflib.URIRef(f"{BASE}/resources/r0"), rdflib.DCTERMS.title, None))
    assert [one.partition(" ")[0] for one in violations(graph)] == ["shapes:"]


# The national form


def test_what_is_exported_in_the_national_form_is_read_back_equal() -> None:
    entries = [resource.entry for resource in many(400) if resource.entry is not None]
    text = "".join(national_json(entries))
    assert read_national(text) == entries
    assert "".join(national_json(read_national(text))) == text
    assert "".join(national_json([])) == "[\n]\n"


def test_the_national_keys_are_those_of_the_source() -> None:
    named = {
        *("cata_code", "shared_type", "shared_way", "shared_condition", "open_type", "update_cycle", "other_update_cycle"),
        *("net_type", "secret_level", "region_code", "credit_code", "item_code", "task_handle_item", "certification_type"),
        *("api_count", "table_count", "file_count"),
    }
    assert named <= {*NATIONAL.values(), *COUNTS}
    assert set(NATIONAL) == set(KEYS)
    document = national_document(
        read_entry(entry_json(code="3070150500300/000001", handling_items=["1244150019672024401", "02"]))
    )
    assert {key: document[key] for key in named & set(document)} == {
        "cata_code": "3070150500300/000001",
        "shared_type": "2",
        "shared_way": "接口,库表",
        "shared_condition": "用于办理行政许可",
        "open_type": "0",
        "update_cycle": "3",
        "net_type": "1",
        "secret_level": "非涉密",
        "region_code": "440205",
        "credit_code": "91110000101623741K",
        "item_code": "12441500196720244T3442199806003",
        "task_handle_item": "1244150019672024401,02",
        "certification_type": "11100000000013338W011",
        "api_count": 1,
        "table_count": 1,
        "file_count": 0,
    }


def test_the_terms_of_a_field_have_the_national_keys_too() -> None:
    document = entry_json()
    document["fields"][1] |= {"sharing_type": "1", "sharing_ways": ["接口", "文件"]}
    entry = read_entry(document)
    national = national_document(entry)
    assert national["items"][1]["shared_way"] == "接口,文件"
    assert from_national(national) == entry
    assert entry.fields[1].sharing is not None
    assert entry.fields[1].sharing.ways == (SharingWay.API, SharingWay.FILE)


def test_what_is_wrong_with_a_national_entry_is_told_by_its_own_keys() -> None:
    good = national_document(read_entry(entry_json()))
    bad = good | {"shared_type": "7", "credit_code": "x", "title": "own key", "open_type": "yes"}
    bad["items"] = [{**good["items"][0], "title": ""}]
    with pytest.raises(RejectedError) as refusal:
        read_national(json.dumps([good, bad]), where="city.json")
    assert refusal.value.where == "city.json, entry 2"
    places = {one.partition(":")[0].strip() for one in refusal.value.message.partition(": ")[2].split("; ")}
    assert places == {"title of the national form", "shared_type", "credit_code", "open_type", "items[0].title"}


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '"x"', "[" * 100_000])
def test_a_text_that_holds_no_entries_is_refused(text: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        read_national(text)
    assert refusal.value.code == "catalogue.json"


# Contracts


def test_one_contract_is_its_own_text_and_several_are_a_stream_of_documents() -> None:
    texts = [contract_text("a"), "# a note\n---\n" + contract_text("b"), contract_text("c").rstrip("\n"), contract_text("d")]
    assert "".join(odcs_stream(texts[:1])) == texts[0]
    stream = "".join(odcs_stream(texts))
    assert list(yaml.safe_load_all(stream)) == [yaml.safe_load(text) for text in texts]
    assert all(text in stream for text in texts)


def test_every_contract_that_is_exported_is_valid_against_the_schema_of_the_standard() -> None:
    texts = [contract_text("a"), contract_text("b"), write_contract(PEOPLE), write_contract(TREE), write_contract(LICENCES)]
    documents = list(yaml.safe_load_all("".join(odcs_stream(texts))))
    assert [d["id"] for d in documents] == [yaml.safe_load(text)["id"] for text in texts]
    for document in documents:
        assert official_faults(document) == []
    assert official_faults({key: value for key, value in documents[0].items() if key != "version"}) == [
        "'version' is a required property"
    ]


def test_the_first_of_many_is_written_before_the_last_is_read() -> None:
    def endless() -> Iterator[ListedResource]:
        while True:
            yield listed()

    nodes = dcat(ABOUT, endless())
    assert any(Iri(f"{BASE}/resources/staff") in terms for node in islice(nodes, 100) for _, terms in node.properties)
