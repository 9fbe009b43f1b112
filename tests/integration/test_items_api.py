"""Items and licence types by HTTP, as the API serves them with the database roles that it has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
import pytest
import rdflib

from catalog_registry.item_sheets import HANDBOOK, Written
from catalog_registry.item_sheets_out import workbook
from catalog_registry.sheets.writing import MEDIA_TYPE
from schemas.licence_type import LicenceType
from tests.desk import Desk, told
from tests.items import BASIC, CIVIL, CODE, MARKET, TOWN_CODE, a_handbook, elements, item, read_back, steps
from tests.office import an_office, fill, installed

KIND = f"{MARKET}001"
OTHER = f"{CIVIL}3440108001000"
CPSV = rdflib.Namespace("http://purl.org/vocab/cpsv#")
READS = (
    *("/items", f"/items/{CODE}", f"/items/{CODE}/versions", f"/items/{CODE}/guide", f"/items/{CODE}/stand-ins"),
    *(f"/items/{CODE}/handbook", f"/items/{CODE}/bodies", "/licence-types", f"/licence-types/{KIND}"),
    *(f"/licence-types/{KIND}/history", "/item-catalogue/export?format=jsonld", "/item-catalogue/template"),
)


@pytest.fixture(scope="module")
def desk(
    module_hub_db: str, module_source_db: str, superuser_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """The API with the two roles of an installation, three items, and those who keep them."""
    settings = installed(tmp_path_factory.mktemp("home"), module_hub_db, superuser_url)
    fill(module_source_db, 2)
    with an_office(settings, module_source_db) as office:
        made = Desk(office)
        known = office.hub.registry
        known.ensure_department("market", "市场监管局", credit_code=MARKET)
        known.ensure_department("civil", "民政局", credit_code=CIVIL)
        known.ensure_department("centre", "信息中心")
        for name, department, role in (
            ("chen", "market", "provider_editor"),
            ("li", "civil", "provider_editor"),
            ("officer", "centre", "registration_officer"),
            ("reader", "civil", "observer"),
        ):
            made.client(name, department, role)
        known.bring_items([item(), item(code=OTHER, body="民政局", ways=[])], owner="test_system", by="run r1")
        known.bring_licence_types([LicenceType(KIND, "食品经营许可证", "局", MARKET)], owner="test_system", by="run r1")
        known.set_item(item(code=TOWN_CODE, body="马坝镇", ways=[]), by=made.clients["officer"])
        office.refresh()
        yield made


@pytest.fixture(autouse=True)
def as_it_was(desk: Desk) -> Iterator[None]:
    yield
    desk.office.clock.shift = timedelta(0)


def body(**changes: Any) -> dict[str, Any]:
    return {"elements": elements(**changes)}


def test_every_account_reads_and_nobody_else(desk: Desk) -> None:
    for path in READS:
        assert desk.get(path, "reader").status_code == 200, path
        assert desk.office.http.get(f"/api/v1{path}").status_code == 401
    for path in ("/items/NONE", "/items/NONE/handbook", "/items/%E4%BA%8B", "/licence-types/NONE"):
        assert told(desk.get(path, "officer"))[0] == 404, path


def test_items_are_listed_in_pages_and_by_department_basic_code_and_state(desk: Desk) -> None:
    first = desk.get("/items?limit=1", "reader").json()
    rest = desk.get(f"/items?limit=200&after={first['next']}", "reader").json()
    codes = [one["code"] for one in (*first["items"], *rest["items"])]
    assert (codes, rest["next"]) == (sorted(codes), None)
    assert {CODE, OTHER, TOWN_CODE} <= set(codes)
    assert [i["code"] for i in desk.get("/items?department=civil", "reader").json()["items"]] == [OTHER]
    assert {i["code"] for i in desk.get(f"/items?basic_code={BASIC}&state=in_force", "reader").json()["items"]} == {
        CODE,
        TOWN_CODE,
    }
    assert told(desk.get("/items?state=gone", "reader")) == (400, "request.state")
    assert told(desk.get("/items?colour=red", "reader")) == (400, "request.page")


def test_an_item_says_whose_it_is_and_which_version_was_in_force(desk: Desk) -> None:
    answer = desk.get(f"/items/{CODE}01", "reader")
    assert (answer.json()["code"], answer.json()["owner"], answer.headers["etag"]) == (CODE, "test_system", '"1"')
    assert answer.json()["elements"]["promised"] == {"number": 5, "unit": "G"}
    assert desk.get(f"/items/{CODE}?at=2025-01-01T00:00:00%2B08:00", "reader").json()["version"] == 1
    assert told(desk.get(f"/items/{CODE}?at=2023-01-01T00:00:00%2B08:00", "reader")) == (404, "item.unknown")
    assert told(desk.get(f"/items/{CODE}?at=yesterday", "reader")) == (400, "request.at")
    assert [v["event"] for v in desk.get(f"/items/{CODE}/versions", "reader").json()["versions"]] == ["enter"]


def test_what_is_another_systems_is_refused_with_its_name_and_that_is_told_apart_from_a_role(desk: Desk) -> None:
    refused = desk.call("POST", f"/items/{CODE}", "chen", tag='"1"', **body(visits=0))
    assert told(refused) == (409, "item.owned_elsewhere")
    assert "test_system" in refused.json()["detail"]
    assert told(desk.call("POST", f"/items/{CODE}", "li", tag='"1"', **body(visits=0))) == (403, "registry.other_department")
    assert told(desk.call("POST", f"/items/{CODE}/end", "chen", tag='"1"', why="x")) == (409, "item.owned_elsewhere")
    refused = desk.call(
        "POST",
        f"/licence-types/{KIND}",
        "chen",
        tag='"1"',
        elements={"code": KIND, "name": "x", "issuer": "局", "issuer_code": MARKET},
    )
    assert told(refused) == (409, "item.owned_elsewhere")
    assert desk.get(f"/items/{CODE}", "reader").json()["version"] == 1


def test_an_item_is_kept_by_hand_with_versions_on_record(desk: Desk) -> None:
    code = f"{MARKET}3440102009000"
    made = desk.call("POST", "/items", "chen", **body(code=code, ways=[]))
    assert (made.status_code, made.headers["location"], made.headers["etag"]) == (201, f"/api/v1/items/{code}", '"1"')
    assert told(desk.call("POST", "/items", "chen", **body(code=code, visits=0, ways=[]))) == (412, "registry.conflict")
    assert told(desk.call("POST", f"/items/{code}", "chen", **body(code=code, ways=[]))) == (428, "request.if_match")
    changed = desk.call("POST", f"/items/{code}", "chen", tag='"1"', **body(code=code, visits=0, ways=[]))
    assert (changed.status_code, changed.json()["elements"]["visits"]) == (200, 0)
    assert told(desk.call("POST", f"/items/{code}", "chen", tag='"2"', **body())) == (422, "item.other")
    wrong = desk.call("POST", f"/items/{code}", "chen", tag='"2"', **body(code=code, promised=3, colour="red"))
    assert told(wrong) == (422, "item.elements")
    assert "promised" in wrong.json()["detail"]
    ended = desk.call("POST", f"/items/{code}/end", "chen", tag='"2"', why="已取消")
    assert (ended.json()["state"], ended.json()["version"]) == ("ended", 3)
    done = [(r["resource"], r["manifest"]["event"]) for r in desk.office.ledger("registry.item") if r["outcome"] == "done"]
    assert done[-3:] == [(code, "set"), (code, "set"), (code, "end")]


def test_a_handbook_is_set_on_the_version_it_was_decided_on_by_who_keeps_the_item(desk: Desk) -> None:
    path = f"/items/{CODE}/handbook"
    none = desk.get(path, "reader")
    assert (none.json()["version"], none.headers["etag"]) == (0, '"0"')
    for who, code in (("li", "registry.other_department"), ("reader", "registry.role")):
        assert told(desk.call("POST", path, who, tag='"0"', steps=steps())) == (403, code)
    assert told(desk.call("POST", path, "chen", tag='"0"', steps=[{"name": "受理"}])) == (422, "item.handbook")
    done = desk.call("POST", path, "chen", tag='"0"', steps=steps())
    assert (done.status_code, done.headers["etag"], done.json()["steps"]) == (200, '"1"', steps())
    assert told(desk.call("POST", path, "officer", tag='"0"', steps=steps(post="二号"))) == (412, "registry.conflict")
    assert desk.get(path, "reader").json()["steps"] == steps()
    refusals = [r["reason"] for r in desk.office.ledger("registry.item") if r["outcome"] == "refused"]
    assert {"handbook:registry.other_department", "handbook:registry.role"} <= set(refusals)


def test_what_stands_in_for_a_material_is_told_in_the_guide_and_of_the_licence_type(desk: Desk) -> None:
    path = f"/items/{CODE}/stand-ins"
    tag = desk.get(path, "chen").headers["etag"]
    wanted = {"CL000102": {"licence_types": [KIND], "resources": ["licences"]}}
    assert told(desk.call("POST", path, "li", tag=tag, materials=wanted)) == (403, "registry.other_department")
    done = desk.call("POST", path, "chen", tag=tag, materials=wanted)
    assert (done.status_code, done.json()["materials"]) == (200, wanted)
    assert told(desk.call("POST", path, "chen", tag=tag, materials=wanted)) == (412, "registry.conflict")
    bad = {"CL000102": {"licence_types": ["NONE"]}}
    assert told(desk.call("POST", path, "chen", tag=done.headers["etag"], materials=bad)) == (422, "item.stand_in")
    guide = desk.get(f"/items/{CODE}/guide", "reader").json()
    assert [(m["code"], m["exempt"]) for m in guide["materials"]] == [("CL000101", False), ("CL000102", True)]
    assert "可免提交：食品经营许可证、licences" in guide["text"]
    assert desk.get(f"/licence-types/{KIND}", "reader").json()["items"] == [CODE]


def test_an_item_is_delegated_and_the_delegation_ends(desk: Desk) -> None:
    path = f"/items/{CODE}/bodies"
    assert told(desk.call("POST", path, "li", department="civil", basis="x")) == (403, "registry.other_department")
    made = desk.call("POST", path, "chen", department="civil", basis="曲府办〔2016〕12号")
    assert (made.status_code, made.json()["variant"]) == (201, "delegated")
    assert [b["variant"] for b in desk.get(path, "reader").json()["bodies"]] == ["main", "lower", "delegated"]
    assert told(desk.call("POST", path, "chen", department="civil", basis="x")) == (409, "item.delegated")
    desk.office.clock.shift += timedelta(minutes=1)
    ended = desk.call("POST", f"{path}/end", "chen", department="civil")
    assert [b["variant"] for b in ended.json()["bodies"]] == ["main", "lower"]
    assert told(desk.call("POST", f"{path}/end", "chen", department="civil")) == (409, "item.not_delegated")


def test_terms_of_a_licence_type_are_set_by_its_issuer(desk: Desk) -> None:
    path = f"/licence-types/{KIND}"
    seen = desk.get(path, "reader")
    assert seen.json()["terms"]["sharing"] == "1"
    terms = {"sharing": "2", "condition": "仅限本区"}
    assert told(desk.call("POST", f"{path}/terms", "li", tag=seen.headers["etag"], terms=terms)) == (
        403,
        "registry.other_department",
    )
    assert told(desk.call("POST", f"{path}/terms", "chen", tag=seen.headers["etag"], terms={"sharing": "2"})) == (
        422,
        "licence_type.terms",
    )
    done = desk.call("POST", f"{path}/terms", "chen", tag=seen.headers["etag"], terms=terms)
    assert (done.json()["terms"]["condition"], done.json()["version"]) == ("仅限本区", 2)
    assert [s["event"] for s in desk.get(f"{path}/history", "reader").json()["steps"]] == ["enter", "terms"]
    made = desk.call(
        "POST",
        "/licence-types",
        "li",
        elements={"code": f"{CIVIL}009", "name": "结婚证", "issuer": "民政局", "issuer_code": CIVIL},
    )
    assert (made.status_code, made.json()["owner"]) == (201, None)


def test_coverage_is_told_against_a_list_or_against_what_is_there(desk: Desk) -> None:
    found = desk.call("POST", "/item-catalogue/coverage", "reader", basic_codes=[BASIC, "440108009000"])
    assert found.status_code == 200, found.text
    answer = found.json()
    assert "missing" in [lack for gap in answer["gaps"] for lack in gap["lacks"] if gap["basic_code"] == "440108009000"]
    assert TOWN_CODE in [gap["item"] for gap in answer["gaps"]]
    whole = desk.call("POST", "/item-catalogue/coverage", "reader", department="civil").json()
    assert [t["department"] for t in whole["departments"]] == ["civil"]


def test_exports_are_streamed_as_they_are_asked_for(desk: Desk) -> None:
    turtle = desk.get("/item-catalogue/export?format=turtle&base=https://share.example", "reader")
    assert turtle.headers["content-type"].startswith("text/turtle")
    graph = rdflib.Graph().parse(data=turtle.text, format="turtle")
    assert rdflib.URIRef(f"https://share.example/items/{CODE}") in set(graph.subjects(rdflib.RDF.type, CPSV.PublicService))
    assert told(desk.get("/item-catalogue/export?format=pdf", "reader")) == (400, "request.format")
    assert told(desk.get("/item-catalogue/export?base=javascript:x", "reader")) == (422, "export.base")
    book = desk.get("/item-catalogue/export?format=xlsx", "reader")
    assert CODE in [one.code for one, _, _ in read_back(book.content).items]


def test_a_workbook_is_taken_over_by_http(desk: Desk) -> None:
    def take(content: bytes, by: str) -> Any:
        headers = {"Authorization": f"Bearer {desk.token(by)}", "content-type": MEDIA_TYPE}
        return desk.office.http.post("/api/v1/item-catalogue/import", content=content, headers=headers)

    plain = item(code=OTHER, body="民政局", ways=[])
    good = workbook([Written(plain, 1, a_handbook(), 0)])
    assert told(take(good, "chen")) == (403, "registry.other_department")
    assert told(take(workbook(), "reader")) == (403, "registry.role")
    assert take(good, "li").json() == {"items": [], "handbooks": [OTHER]}
    again = take(good, "li")
    assert told(again) == (422, "sheet.cells")
    assert [(one["sheet"], one["row"], one["heading"]) for one in again.json()["faults"]] == [(HANDBOOK, 2, "实施编码")]
    assert told(take(b"nothing", "li")) == (422, "sheet.form")
    assert told(desk.call("POST", "/item-catalogue/import", "li", workbook="")) == (415, "request.media_type")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE registry.service_item SET owner = NULL",
        "UPDATE registry.service_item SET code_type = 'legacy'",
        "DELETE FROM registry.service_item",
        "UPDATE registry.service_item_version SET document = '{}'",
        "DELETE FROM registry.service_item_version",
        "UPDATE registry.handbook_version SET document = '{}'",
        "UPDATE registry.service_item_body SET basis = 'x'",
        "DELETE FROM registry.service_item_own",
        "UPDATE registry.item_licence_type SET licence_type = 'x'",
        "UPDATE registry.licence_type SET owner = NULL",
        "DELETE FROM registry.licence_type_history",
    ],
)
def test_the_role_of_the_steps_keeps_items_and_nothing_of_their_past_or_their_owner(
    desk: Desk, statement: LiteralString
) -> None:
    with psycopg.connect(desk.registry_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)
