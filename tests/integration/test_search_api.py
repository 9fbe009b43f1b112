"""The search by HTTP and by command line: what is answered to whom, what is refused, and what was searched and not found."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import psycopg
import pytest

from catalog_registry.store import migrate
from schemas.catalogue_form import read_entry
from schemas.odcs import write_contract
from tests.catalogue_entry import CREDIT_CODE, entry_json
from tests.desk import PROVIDER, Desk, a_resource, told
from tests.desk import desk as desk
from tests.integration.test_registry_cli import Onedoor
from tests.integration.test_search import NOT_SHARED
from tests.office import LICENCES, moved

PLANTED = "440221198001010011"


def entry(desk: Desk, name: str, **changes: Any) -> None:
    fields = [
        {"name": f.name, "title": f.name, "data_type": "字符型", "sensitivity": 1} | ({"primary_key": True} if f.key else {})
        for f in LICENCES.fields
    ]
    registry = desk.office.hub.registry
    here = registry.entry(name)
    said = read_entry(entry_json(fields=fields, **changes))
    registry.set_entry(name, said, by="test", expected_version=0 if here is None else here.version)


@pytest.fixture(scope="module")
def catalogue(desk: Desk) -> Desk:
    """The desk, whose provider shares licences, does not share cases, and has a draft."""
    migrate.upgrade(desk.office.settings.database_url)
    registry = desk.office.hub.registry
    registry.ensure_department(PROVIDER, "市场监督管理局", credit_code=CREDIT_CODE)
    entry(desk, "licences", title="电子证照", abstract="发出的证照。")
    entry(desk, "hidden", title="证照草稿")
    registry.register_resource(desk_contract("secrets"), by="test")
    entry(desk, "secrets", title="举报证照线索", abstract="线人的名单。", **NOT_SHARED)
    desk.office.refresh()
    return desk


def desk_contract(name: str) -> str:
    return write_contract(a_resource(name))


def search(desk: Desk, by: str, words: str = "", **body: Any) -> httpx.Response:
    return desk.call("POST", "/resources/search", by, words=words, **body)


def found(desk: Desk, by: str, words: str = "", **body: Any) -> list[str]:
    answer = search(desk, by, words, **body)
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["resources"]]


def misses(desk: Desk) -> list[tuple[str, str]]:
    """Return what was kept of the searches until now."""
    loop = desk.office.services.view._task.get_loop()  # type: ignore[union-attr]
    asyncio.run_coroutine_threadsafe(desk.office.services.misses.flush(), loop).result(10)
    return [(miss.words, miss.department) for miss in desk.office.hub.registry.misses()]


def test_each_finds_what_it_may_see(catalogue: Desk) -> None:
    for by, names in (
        ("clerk", ["licences", "secrets"]),
        ("stranger", ["licences", "secrets"]),
        ("observer@civil", ["licences", "secrets"]),
        ("editor", ["hidden", "licences", "secrets"]),
        ("officer", ["hidden", "licences", "secrets"]),
        ("auditor", ["hidden", "licences", "secrets"]),
    ):
        assert sorted(found(catalogue, by, "证照")) == names
        assert found(catalogue, by, "名单") == (["secrets"] if len(names) == 3 else [])


def test_what_is_answered_has_the_best_first_its_facets_and_its_pages(catalogue: Desk) -> None:
    answer = search(catalogue, "clerk", "dzzz", limit=1).json()
    assert [one["name"] for one in answer["resources"]] == ["licences"]
    assert (answer["total"], answer["next"]) == (1, None)
    assert answer["facets"]["provider"] == [{"value": PROVIDER, "count": 1}]
    assert answer["facets"]["freshness"] == [{"value": "never", "count": 1}]
    first = search(catalogue, "editor", "zz", limit=2).json()
    assert first["total"] == 3
    second = search(catalogue, "editor", "zz", limit=2, after=first["next"]).json()
    assert (second["total"], second["facets"], second["next"]) == (None, None, None)
    assert sorted(one["name"] for page in (first, second) for one in page["resources"]) == ["hidden", "licences", "secrets"]
    assert found(catalogue, "editor", "证照", sharing_type=["3"], provider=[PROVIDER]) == ["secrets"]


@pytest.mark.parametrize("by", ["clerk", "stranger", "observer@civil"])
def test_of_what_is_not_shared_each_way_shows_name_and_reason_only(catalogue: Desk, by: str) -> None:
    (hit,) = (one for one in search(catalogue, by, "证照").json()["resources"] if one["name"] == "secrets")
    reason = {"basis_kind": "1", "basis": "某法第十条"}
    assert {key: value for key, value in hit.items() if value is not None} == {
        "name": "secrets", "title": "举报证照线索", "sharing_type": "3", **reason,
    }  # fmt: skip
    shown = catalogue.get("/resources/secrets", by)
    assert shown.status_code == 200
    assert "etag" not in shown.headers
    (line,) = (one for one in catalogue.get("/resources", by).json()["resources"] if one["name"] == "secrets")
    for told_of in (shown.json(), line):
        assert {key: value for key, value in told_of.items() if value is not None} == {
            "name": "secrets", "title": "举报证照线索", "not_shared": reason,
        }  # fmt: skip
    assert told(catalogue.get("/resources/secrets/history", by)) == (403, "registry.history")
    step = catalogue.call("POST", "/resources/secrets/freeze", by, tag='"1"', why="x")
    assert told(step) == (403, "registry.other_department")
    assert PROVIDER not in step.text
    last = catalogue.office.ledger("registry.resource")[-1]
    assert (last["resource"], last["outcome"], last["reason"]) == ("secrets", "refused", "freeze:registry.other_department")


def test_its_department_and_who_oversees_see_all_of_what_is_not_shared(catalogue: Desk) -> None:
    for by in ("editor", "officer", "auditor"):
        shown = catalogue.get("/resources/secrets", by).json()
        assert (shown["department"], shown["not_shared"], len(shown["fields"])) == (PROVIDER, None, len(LICENCES.fields))


def test_what_is_not_shared_is_not_applied_for(catalogue: Desk) -> None:
    assert told(catalogue.apply("secrets")) == (422, "resource.not_shared")
    assert told(catalogue.apply("nothing")) == (404, "resource.unknown")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"words": "，。"}, 422, "search.words"),
        ({"words": "字" * 101}, 400, "request.body"),
        ({"sharing_type": ["4"]}, 422, "search.facet"),
        ({"after": "x"}, 422, "search.after"),
        ({"limit": 201}, 400, "request.body"),
        ({"limit": 0}, 400, "request.body"),
        ({"word": "证照"}, 400, "request.body"),
        ({"provider": ["x"] * 51}, 400, "request.body"),
    ],
)
def test_a_wrong_question_is_a_problem_that_repeats_nothing_of_it(
    catalogue: Desk, body: dict[str, Any], status: int, code: str
) -> None:
    answer = catalogue.call("POST", "/resources/search", "clerk", **body)
    assert told(answer) == (status, code)
    assert "字字" not in answer.text


def test_nobody_searches_without_a_good_token(catalogue: Desk) -> None:
    answer = catalogue.office.http.post("/api/v1/resources/search", json={})
    assert told(answer) == (401, "token.missing")


def test_what_is_not_found_is_kept_once_with_the_department_and_no_number_of_anybody(catalogue: Desk) -> None:
    for _ in range(2):
        assert found(catalogue, "clerk", "  殡葬 补贴") == []
    assert found(catalogue, "stranger", "ＢＺＢＴ") == []
    assert found(catalogue, "clerk", PLANTED) == found(catalogue, "clerk", "138 0000 0000") == []
    assert found(catalogue, "clerk", "证照", quality=["low"]) == []  # there is such a thing, but not so good
    assert found(catalogue, "clerk", "电子证照") == ["licences"]
    kept = [miss for miss in misses(catalogue) if miss[0] not in ("名单", "墓地", "海葬 减免")]  # of the other tests
    assert sorted(kept) == [("bzbt", "tax"), ("殡葬 补贴", "civil")]
    with psycopg.connect(catalogue.office.settings.database_url) as connection:
        row = connection.execute("SELECT to_jsonb(m) FROM registry.search_miss m WHERE department = 'civil'").fetchone()
    assert row is not None
    assert set(row[0]) == {"n", "words", "department", "at"}
    assert PLANTED not in repr(catalogue.office.log.events)


def test_what_is_not_found_stands_in_the_analysis_of_demand(catalogue: Desk) -> None:
    for by in ("clerk", "stranger", "clerk"):
        assert found(catalogue, by, "海葬 减免") == []
        misses(catalogue)
    assert found(catalogue, "clerk", PLANTED) == []
    misses(catalogue)
    analysis = catalogue.get("/demands/analysis", "auditor")
    assert analysis.status_code == 200, analysis.text
    (told_of,) = (one for one in analysis.json()["misses"]["words"] if one["words"] == "海葬 减免")
    assert (told_of["times"], told_of["departments"]) == (3, 2)
    assert PLANTED not in analysis.text


def test_where_misses_cannot_be_kept_the_search_is_answered_all_the_same(catalogue: Desk) -> None:
    before = misses(catalogue)
    with moved(catalogue.office, "registry.search_miss"):
        assert found(catalogue, "clerk", "墓地") == []
        loop = catalogue.office.services.view._task.get_loop()  # type: ignore[union-attr]
        asyncio.run_coroutine_threadsafe(catalogue.office.services.misses.flush(), loop).result(10)
        assert found(catalogue, "clerk", "证照")
    assert misses(catalogue) == before
    assert "what was searched and not found is not kept" in [event["event"] for event in catalogue.office.log.events]


def test_the_command_line_finds_and_shows_what_somebody_may_see(
    catalogue: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from console.cli import main, output
    from tests.integration.test_registry_cli import Said

    settings = catalogue.office.settings
    monkeypatch.setenv("ONEDOOR_HOME", str(settings.home))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", settings.database_url)

    def run(*argv: str) -> Said:
        capsys.readouterr()
        code = output.run(main.build(), argv)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    onedoor: Onedoor = run
    clerk = catalogue.clients["clerk"]
    said = onedoor("resource", "search", "证照", "--as", clerk, "--json").json
    assert sorted(one["name"] for one in said["resources"]) == ["licences", "secrets"]
    assert onedoor("resource", "search", "证照", "--json").json["total"] == 3
    text = onedoor("resource", "search", "zz", "--as", clerk, "--sharing-type", "3").out
    assert "举报证照线索" in text
    assert "sharing_type: 3 (1)" in text
    assert "名单" not in text

    listed = {one["name"]: one for one in onedoor("resource", "list", "--as", clerk, "--json").json}
    assert set(listed) >= {"licences", "secrets"}
    assert "hidden" not in listed
    cover = {"name": "secrets", "title": "举报证照线索", "not_shared": {"basis_kind": "1", "basis": "某法第十条"}}
    assert listed["secrets"] == cover
    assert onedoor("resource", "show", "secrets", "--as", clerk, "--json").json == cover
    assert onedoor("resource", "catalogue", "secrets", "--as", clerk, "--json").json == cover
    assert "某法第十条" in onedoor("resource", "list", "--as", clerk).out
    for name in ("hidden", "nothing"):
        for command in ("show", "catalogue"):
            refused = onedoor("resource", command, name, "--as", clerk, "--json").problem
            assert (refused["code"], refused["detail"]) == ("resource.unknown", "there is no such resource")
    editor = catalogue.clients["editor"]
    assert len(onedoor("resource", "show", "secrets", "--as", editor, "--json").json["fields"]) == len(LICENCES.fields)
    assert onedoor("resource", "catalogue", "secrets", "--as", editor, "--json").json["entry"]["abstract"] == "线人的名单。"

    assert onedoor("resource", "search", "火葬", "--as", clerk).code == 0
    assert onedoor("resource", "misses", "--limit", "1", "--json").json[0]["words"] == "火葬"
    assert onedoor("resource", "search", "，").code == 1
    assert onedoor("resource", "reindex", "licences", "--json").json == {"resources": 1}
