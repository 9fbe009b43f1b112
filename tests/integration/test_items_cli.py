"""Items and licence types by the command line, as a person keeps them where no system of the district has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.item_sheets import HANDBOOK, ITEMS, Written
from catalog_registry.item_sheets_out import workbook
from catalog_registry.registry import Registry
from schemas.clock import FakeClock
from tests.integration.test_registry_cli import Onedoor, onedoor  # noqa: F401 - a fixture
from tests.items import BASIC, CIVIL, CODE, MARKET, TOWN_CODE, a_handbook, elements, item, read_back, steps

pytestmark = pytest.mark.timeout(120)

KIND = f"{MARKET}001"


@pytest.fixture
def desk(onedoor: Onedoor, hub_db: str, clock: FakeClock) -> Onedoor:  # noqa: F811
    """The command line, with two departments and those who keep items."""
    registry = Registry(hub_db, clock)
    for code, name, credit_code in (("market", "市场监管局", MARKET), ("civil", "民政局", CIVIL), ("centre", "信息中心", None)):
        registry.ensure_department(code, name, credit_code=credit_code)
    registry.create_person("chen", "market", roles=("provider_editor",))
    registry.create_person("officer", "centre", roles=("registration_officer",))
    registry.close()
    return onedoor


def written(name: str, document: Any) -> str:
    Path(name).write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    return name


def test_an_item_is_entered_changed_seen_as_it_was_and_ended(desk: Onedoor) -> None:
    assert desk("item", "set", written("item.json", elements()), "--as", "chen").code == 0
    changed = desk("item", "set", written("item.json", elements(visits=0)), "--as", "chen", "--json")
    assert (changed.json["version"], changed.json["department"]) == (2, "market")
    assert desk("item", "show", f"{CODE}01", "--at", "2024-06-01", "--json").json["elements"]["visits"] == 1
    shown = desk("item", "show", CODE).out
    for said in ("version 2 (change)", "kept by the hub", "承诺办结时限：5 工作日"):
        assert said in shown
    assert desk("item", "show", CODE, "--at", "2023-06-01", "--json").problem["code"] == "item.unknown"
    refused = desk("item", "set", written("item.json", elements(visits=2)), "--as", "chen", "--version", "1", "--json")
    assert (refused.code, refused.problem["code"]) == (1, "registry.conflict")
    assert desk("item", "end", CODE, "--as", "officer", "--why", "已取消").code == 0
    assert [v["event"] for v in desk("item", "versions", CODE, "--json").json] == ["enter", "change", "end"]
    assert [i["state"] for i in desk("item", "list", "--state", "ended", "--json").json] == ["ended"]
    assert desk("item", "list", "--state", "gone").code == 2


def test_wrong_elements_are_told_one_and_all(desk: Onedoor) -> None:
    refused = desk("item", "set", written("item.json", elements(name="", colour="red")), "--as", "chen", "--json")
    assert (refused.problem["code"], refused.problem["where"]) == ("item.elements", "item.json")
    assert "name: is empty" in refused.problem["detail"]
    assert "colour: there is no such key" in refused.problem["detail"]
    Path("bad.json").write_text("[1]", "utf-8")
    assert desk("item", "set", "bad.json", "--as", "chen", "--json").problem["code"] == "item.json"
    assert desk("item", "set", "none.json", "--as", "chen", "--json").problem["code"] == "item.file"


def test_a_handbook_comes_by_json_and_by_spreadsheet(desk: Onedoor) -> None:
    desk("item", "set", written("item.json", elements()), "--as", "chen")
    assert desk("item", "handbook", CODE, "--json").problem["code"] == "item.no_handbook"
    assert desk("item", "handbook", CODE, "--set", "x.json").code == 2
    assert desk("item", "handbook", CODE, "--set", written("h.json", {"steps": steps()}), "--as", "chen").code == 0
    shown = desk("item", "handbook", CODE).out
    for said in ("1. 受理（曲江区市场监督管理局，综合窗口，1 工作日）", "裁量：场所经整改仍不符合 → 不予许可"):
        assert said in shown
    assert desk("item", "export", "--format", "xlsx", "-o", "items.xlsx", CODE).code == 0
    ((found, version, _),) = read_back(Path("items.xlsx").read_bytes()).items
    assert (found, version) == (item(), 1)
    Path("new.xlsx").write_bytes(workbook([Written(item(), 1, a_handbook(post="二号窗口"), 1)]))
    assert desk("item", "import", "new.xlsx", "--as", "chen", "--json").json == {"items": [], "handbooks": [CODE]}
    again = desk("item", "import", "new.xlsx", "--as", "chen", "--json")
    assert (again.code, again.problem["code"]) == (1, "sheet.cells")
    assert "is at version 2, and this was decided on version 1" in again.problem["detail"]
    assert desk("item", "handbook", CODE, "--json").json["version"] == 2


def test_every_bad_cell_of_a_workbook_is_told_and_nothing_is_taken_over(desk: Onedoor) -> None:
    assert desk("item", "template", "-o", "items.xlsx").code == 0
    assert desk("item", "import", "items.xlsx", "--as", "chen").code == 0
    import xlsxwriter

    book = xlsxwriter.Workbook("bad.xlsx")
    sheet = book.add_worksheet(ITEMS)
    sheet.write_row(0, 0, ("实施编码", "事项名称", "实施主体", "是否收费"))
    sheet.write_row(1, 0, (CODE, "食品经营许可设立", "局", "否"))
    sheet.write_row(2, 0, (TOWN_CODE, "", "镇", "也许"))
    book.add_worksheet(HANDBOOK)
    book.close()
    refused = desk("item", "import", "bad.xlsx", "--as", "chen", "--json")
    assert (refused.code, refused.problem["code"], refused.problem["where"]) == (1, "sheet.cells", "bad.xlsx")
    assert refused.json["faults"] == [
        {"reason": "is empty", "sheet": ITEMS, "row": 3, "column": "B", "heading": "事项名称"},
        {"reason": "'也许' is neither 是 nor 否", "sheet": ITEMS, "row": 3, "column": "D", "heading": "是否收费"},
    ]
    assert desk("item", "list", "--json").json == []
    Path("no.xlsx").write_text("no", "utf-8")
    assert desk("item", "import", "no.xlsx", "--as", "chen", "--json").problem["code"] == "sheet.form"


def test_stand_ins_bodies_guide_and_licence_types(desk: Onedoor) -> None:
    desk("item", "set", written("item.json", elements()), "--as", "chen")
    kind = {"code": KIND, "name": "食品经营许可证", "issuer": "市场监管局", "issuer_code": MARKET, "holders": ["001"]}
    assert desk("licence-type", "set", written("kind.json", kind), "--as", "chen").code == 0
    assert desk("item", "stand-in", CODE, "CL000102", "--as", "chen", "--licence-type", KIND).code == 0
    assert desk("item", "stand-ins", CODE, "--json").json["materials"] == {
        "CL000102": {"licence_types": [KIND], "resources": []}
    }
    assert desk("material", "list", CODE, "--json").json == [{"item": CODE, "material": "CL000102", "licence_types": [KIND]}]
    assert "可免提交：食品经营许可证" in desk("item", "guide", CODE).out
    assert desk("item", "stand-in", CODE, "CL9", "--as", "chen", "--json").problem["code"] == "item.material"
    terms = desk(
        "licence-type", "terms", KIND, "--as", "chen", "--sharing", "2", "--condition", "仅限本区", "--state", "01", "--json"
    )
    assert (terms.json["terms"]["states"], terms.json["items"]) == (["01"], [CODE])
    assert "2 有条件共享" in desk("licence-type", "show", KIND).out
    assert [s["event"] for s in desk("licence-type", "history", KIND, "--json").json] == ["enter", "terms"]
    assert [one["code"] for one in desk("licence-type", "list", "--json").json] == [KIND]
    assert desk("item", "delegate", CODE, "civil", "--as", "chen", "--basis", "曲府办〔2016〕12号").code == 0
    assert [b["variant"] for b in desk("item", "bodies", BASIC, "--json").json] == ["main", "delegated"]
    assert desk("item", "end-delegation", CODE, "civil", "--as", "chen").code == 0


def test_coverage_is_told_against_a_list(desk: Onedoor) -> None:
    desk("item", "set", written("item.json", elements()), "--as", "chen")
    Path("must.txt").write_text(f"{BASIC}\n440108009000, civil\n", "utf-8")
    told = desk("item", "coverage", "must.txt", "--json").json
    assert (told["wanted"], told["whole"]) == (2, 0)
    assert [(g["basic_code"], g["lacks"]) for g in told["gaps"]] == [(BASIC, ["handbook"]), ("440108009000", ["missing"])]
    shown = desk("item", "coverage", "must.txt", "--gaps").out
    assert "应进必进: 0 of 2 items" in shown
    assert "440108009000" in shown
    Path("must.txt").write_text("nonsense\n", "utf-8")
    assert desk("item", "coverage", "must.txt", "--json").problem["code"] == "coverage.list"


def test_items_are_exported_as_cpsv_ap_and_nothing_has_landed_to_bring(desk: Onedoor) -> None:
    desk("item", "set", written("item.json", elements()), "--as", "chen")
    done = desk("item", "export", "--format", "jsonld", "--base", "https://share.example", "-o", "items.jsonld", "--json")
    assert done.json["items"] == 1
    graph = json.loads(Path("items.jsonld").read_text("utf-8"))["@graph"]
    assert f"https://share.example/items/{CODE}" in [
        node["@id"] for node in graph if "cpsv:PublicService" in node.get("@type", [])
    ]
    assert desk("item", "export", "--format", "turtle", "-o", "x.ttl", "NONE", "--json").problem["code"] == "item.unknown"
    assert desk("item", "bring", "--json").json == {"items": None, "licence_types": None}
