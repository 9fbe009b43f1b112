"""The whole catalogue by HTTP, with the database roles that the API has: who is given what, and who brings what in."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import rdflib

from catalog_registry.catalogue_sheets_in import read_sheets
from catalog_registry.exports.national import read_national
from catalog_registry.exports.odcs import split_contracts
from catalog_registry.sheets.columns import letters
from catalog_registry.sheets.writing import MEDIA_TYPE as XLSX
from exchange.api.app import create_app
from exchange.api.services import Services
from exchange.bootstrap import Hub, open_hub
from exchange.bounded import in_child
from exchange.trust.tokens import issue
from schemas.secret import Secret
from tests.catalogue_entry import CREDIT_CODE, entry_json
from tests.conformance.landing import until
from tests.contract_text import contract_text
from tests.office import installed, served
from tests.sheet_files import csv_file, entry, headings, place, rows, workbook

OTHER_CODE = "12441500196720244T"
HIDDEN: dict[str, Any] = {
    "sharing_type": "3",
    "sharing_condition": None,
    "sharing_ways": None,
    "sharing_basis_kind": "1",
    "sharing_basis": "保密法第九条",
    "abstract": "只给本部门看的摘要",
}


@dataclass
class Counter:
    """The API, and tokens of its accounts by name."""

    hub: Hub
    services: Services
    http: httpx.Client
    accounts: dict[str, str] = field(default_factory=dict)

    def account(self, name: str, department: str, role: str) -> None:
        self.accounts[name] = self.hub.registry.create_machine(name, department, roles=(role,))[0].id

    def headers(self, by: str, **more: str) -> dict[str, str]:
        who = self.hub.registry.principal(self.accounts[by])
        return {"authorization": f"Bearer {issue(who, self.hub.keys, self.hub.clock.now()).text.reveal()}"} | more

    def get(self, path: str, by: str, accept: str = "*/*") -> httpx.Response:
        return self.http.get(f"/api/v1/catalogue{path}", headers=self.headers(by, accept=accept))

    def bring(self, content: bytes, by: str, kind: str = XLSX, query: str = "") -> httpx.Response:
        return self.http.post(
            f"/api/v1/catalogue/import{query}", content=content, headers=self.headers(by, **{"content-type": kind})
        )

    def sheet(self, *resources: list[list[Any]], by: str = "editor", query: str = "") -> httpx.Response:
        return self.bring(workbook([headings(), *(row for one in resources for row in one)]).getvalue(), by, query=query)

    def ledger(self, kind: str = "registry.catalogue") -> list[dict[str, Any]]:
        with self.hub.connect() as connection:
            kinds = "SELECT record FROM trust.ledger WHERE kind = %s ORDER BY n"
            return [json.loads(row[0]) for row in connection.execute(kinds, (kind,))]


@pytest.fixture(scope="module")
def counter(module_hub_db: str, superuser_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    """The API on a registry with two departments: ``staff`` published, ``secret`` not shared, ``plans`` frozen."""
    settings = installed(tmp_path_factory.mktemp("home"), module_hub_db, superuser_url)
    hub = open_hub(settings)
    registry = hub.registry
    registry.ensure_department("market", "市场监督管理局", credit_code=CREDIT_CODE)
    registry.ensure_department("civil", "民政局", credit_code=OTHER_CODE)
    registry.ensure_system("approval", "审批系统", "market")
    registry.add_source("market_db", Secret("postgresql://reader:x@db.market.local:5432/approval"), system="approval")
    for name, more in (("staff", {}), ("secret", HIDDEN), ("plans", {})):
        registry.register_resource(contract_text(name), by="p1")
        registry.set_entry(name, entry(title=name, **more), by="p1")
    registry.register_resource(contract_text("bare"), by="p1")
    app = create_app(
        settings, opened=lambda _: open_hub(settings.model_copy(update={"database_url": settings.api_database_url}))
    )
    with served(app) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        made = Counter(hub, app.state.services, http)
        for name, department, role in (
            ("editor", "market", "provider_editor"),
            ("other_editor", "civil", "provider_editor"),
            ("officer", "civil", "registration_officer"),
            ("consumer", "civil", "consumer"),
            ("observer", "civil", "observer"),
        ):
            made.account(name, department, role)
        registry.freeze_resource("plans", by=made.accounts["officer"], version=2, why="核查")
        until(lambda: http.get("/api/v1/catalogue/template", headers=made.headers("editor")).status_code == 200, within_s=30)
        yield made
    hub.close()


def told(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, str(answer.json()["code"])


# Out


def test_the_catalogue_is_given_out_in_each_form(counter: Counter) -> None:
    national = counter.get("", "editor")
    assert national.status_code == 200, national.text
    assert national.headers["content-type"] == "application/json"
    assert {e.title for e in read_national(national.text)} >= {"staff", "secret", "plans"}
    for query, accept, media, syntax in (
        ("?format=turtle", "*/*", "text/turtle; charset=utf-8", "turtle"),
        ("?base=https://share.example", "application/ld+json, */*;q=0.1", "application/ld+json", "json-ld"),
    ):
        answer = counter.get(query, "consumer", accept)
        assert (answer.status_code, answer.headers["content-type"]) == (200, media)
        graph = rdflib.Graph().parse(data=answer.text, format=syntax)
        names = {str(iri).rpartition("/")[2] for iri in graph.objects(None, rdflib.DCAT.dataset)}
        assert names == {"staff", "secret", "bare"}
    book = counter.get("?names=staff,secret", "editor", XLSX)
    assert [one.name for one in read_sheets(io.BytesIO(book.content)).entries] == ["secret", "staff"]
    contracts = counter.get("?format=odcs&names=staff", "editor")
    assert list(split_contracts(contracts.text)) == [contract_text("staff")]


def test_what_may_not_be_seen_is_in_no_form(counter: Counter) -> None:
    counter.sheet(rows("unseen", title="草稿"))
    national = counter.get("?drafts=true", "consumer")
    assert [e.title for e in read_national(national.text)] == ["staff"]
    turtle = counter.get("?format=turtle", "consumer").text
    assert "保密法第九条" in turtle
    assert HIDDEN["abstract"] not in turtle
    for name in ("secret_not_there", "plans", "unseen"):
        assert told(counter.get(f"?format=turtle&names={name}", "consumer")) == (404, "resource.unknown")
    assert counter.get("?format=odcs", "consumer").text == ""
    assert told(counter.get("?format=odcs", "observer")) == (403, "registry.contracts")
    assert {e.title for e in read_national(counter.get("?drafts=true", "editor").text)} >= {"staff", "secret", "plans", "草稿"}
    assert {e.title for e in read_national(counter.get("", "officer").text)} == {"staff", "secret", "plans"}


@pytest.mark.parametrize(
    ("query", "accept", "expected"),
    [
        ("?format=xml", "*/*", (400, "request.query")),
        ("?form=xlsx", "*/*", (400, "request.query")),
        ("?drafts=yes", "*/*", (400, "request.query")),
        ("?names=A-B", "*/*", (400, "request.names")),
        ("", "image/png", (406, "request.accept")),
        ("?format=turtle&drafts=true", "*/*", (422, "export.drafts")),
        ("?format=turtle&base=not an address", "*/*", (422, "export.base")),
    ],
)
def test_a_question_that_is_wrong_is_refused(counter: Counter, query: str, accept: str, expected: tuple[int, str]) -> None:
    assert told(counter.get(query, "editor", accept)) == expected


def test_without_a_token_nothing_is_given_out_or_brought_in(counter: Counter) -> None:
    for path in ("/catalogue", "/catalogue?format=turtle", "/catalogue/template"):
        assert told(counter.http.get(f"/api/v1{path}")) == (401, "token.missing")
    assert told(counter.http.post("/api/v1/catalogue/import", content=b"x")) == (401, "token.missing")


def test_the_template_is_given_to_every_account(counter: Counter) -> None:
    answer = counter.get("/template", "observer")
    assert (answer.status_code, answer.headers["content-type"]) == (200, XLSX)
    assert answer.headers["content-disposition"] == 'attachment; filename="catalogue.xlsx"'
    assert answer.content[:4] == b"PK\x03\x04"


# In


def test_a_spreadsheet_is_brought_in_and_given_out_again(counter: Counter) -> None:
    made = counter.sheet(rows("brought", title="新的"), query="?check=true")
    assert (made.status_code, made.json()["checked"], made.json()["counts"]["made"]) == (200, True, 1)
    made = counter.sheet(rows("brought", title="新的"))
    assert made.json()["taken"][0] | {"code": ""} == {"name": "brought", "code": "", "title": "新的", "outcome": "made"}
    book = counter.get("?format=xlsx&drafts=true&names=brought", "editor")
    again = counter.bring(book.content, "editor")
    assert again.json()["counts"] == {"made": 0, "changed": 0, "unchanged": 1}
    record = counter.ledger()[-1]
    assert (record["outcome"], record["principal"]) == ("done", counter.accounts["editor"])
    assert record["manifest"] == {"event": "import", "made": 0, "changed": 0, "unchanged": 1, "refused": 0}


def test_a_refusal_names_the_cells(counter: Counter) -> None:
    bad = rows("wrong", title="错的")
    bad[0][place("open")] = "也许"
    answer = counter.sheet(rows("right", title="对的"), bad)
    assert told(answer) == (422, "catalogue.import")
    assert answer.json()["faults"] == [
        {
            "reason": "'也许' is neither 是 nor 否",
            "sheet": "目录",
            "row": 5,
            "column": letters(place("open")),
            "heading": "是否向社会开放",
        }
    ]
    assert answer.json()["faults_count"] == 1
    part = counter.sheet(rows("right", title="对的"), bad, query="?partial=true")
    assert ([one["name"] for one in part.json()["taken"]], part.json()["faults_count"]) == (["right"], 1)
    many = [row for n in range(600) for row in rows(f"m{n}", title=f"多{n}", open=False)[:1]]
    for row in many:
        row[place("open")] = "也许"
    answer = counter.sheet(many)
    assert (len(answer.json()["faults"]), answer.json()["faults_count"]) == (500, 600)


def test_each_form_is_brought_in_by_its_media_type(counter: Counter) -> None:
    text = csv_file([headings(), *rows("by_csv", title="表格")], "gb18030").getvalue()
    assert counter.bring(text, "editor", "text/csv; charset=gb18030").json()["taken"][0]["name"] == "by_csv"
    national = json.dumps([entry_json(title="国家格式")], ensure_ascii=False).encode()
    assert counter.bring(national, "officer", "application/json").json()["taken"][0]["name"] == "guojiageshi"
    contracts = f"{contract_text('by_csv')}---\n{contract_text('by_contract')}".encode()
    taken = counter.bring(contracts, "editor", "application/yaml").json()["taken"]
    assert [(one["name"], one["outcome"]) for one in taken] == [("by_csv", "made"), ("by_contract", "made")]
    assert {counter.hub.registry.resource(name).state for name in ("by_csv", "by_contract")} == {"draft"}
    assert told(counter.bring(b"x", "editor", "text/plain")) == (415, "request.media_type")
    assert told(counter.bring(b"x", "editor")) == (422, "sheet.form")
    assert told(counter.bring(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "editor")) == (422, "sheet.old_form")
    assert told(counter.bring(b"," * (17 << 20), "editor", "text/csv")) == (413, "request.too_large")
    assert told(counter.bring(b"[]", "editor", "application/json", "?partial=1")) == (400, "request.query")


def test_an_editor_brings_in_drafts_of_the_own_department_only(counter: Counter) -> None:
    assert told(counter.sheet(rows("foreign", title="别人的"), by="other_editor")) == (403, "registry.other_department")
    assert counter.ledger()[-1]["reason"] == "import:registry.other_department"
    for by in ("consumer", "observer"):
        assert told(counter.sheet(rows("foreign", title="别人的"), by=by)) == (403, "registry.role")
        assert counter.ledger()[-1]["reason"] == "import:registry.role"
    published = counter.sheet(rows("staff", title="staff", abstract="改了"))
    assert published.json()["faults"][0]["reason"] == "staff is published: the centre changes what the catalogue says of it"
    assert counter.sheet(rows("staff", title="staff", abstract="改了"), by="officer").json()["counts"]["changed"] == 1
    foreign = counter.bring(contract_text("foreign").encode(), "other_editor", "application/yaml")
    assert told(foreign) == (403, "registry.other_department")
    newer = counter.bring(contract_text("staff", version="2.0.0").encode(), "editor", "application/yaml")
    assert (told(newer), newer.json()["faults"][0]["entry"]) == ((422, "catalogue.import"), 1)


def test_a_draft_is_discarded_by_its_department_on_the_version_it_was_decided_on(counter: Counter) -> None:
    counter.sheet(rows("mistake", title="错登"))
    path = "/api/v1/resources/mistake"

    def discard(by: str, **headers: str) -> httpx.Response:
        return counter.http.delete(path, headers=counter.headers(by, **headers))

    assert told(discard("editor")) == (428, "request.if_match")
    assert told(discard("editor", **{"if-match": '"9"'})) == (412, "registry.conflict")
    assert told(discard("consumer", **{"if-match": '"1"'})) == (404, "resource.unknown")
    done = discard("editor", **{"if-match": '"1"'})
    assert done.status_code == 200, done.text
    assert (done.status_code, done.json()["state"], done.headers["etag"]) == (200, "discarded", '"2"')
    record = counter.ledger("registry.resource")[-1]
    assert (record["outcome"], record["resource"]) == ("done", "mistake")
    assert record["manifest"] == {"event": "discard", "state": "discarded", "version": 2}
    assert told(counter.http.get(path, headers=counter.headers("editor"))) == (404, "resource.unknown")
    assert told(discard("editor", **{"if-match": '"2"'})) == (404, "resource.unknown")


def test_a_reader_that_aborts_takes_no_api_down(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"do": "abort"}
    monkeypatch.chdir(Path(__file__).resolve().parents[2])

    def abort(*_: Any, file: Any, **more: Any) -> bytes:
        return in_child("tests.bounded_child", asked, file=file, **more)

    monkeypatch.setattr("exchange.sheets.in_child", abort)
    assert told(counter.sheet(rows("aborted"))) == (422, "sheet.reader")
    monkeypatch.undo()
    assert counter.sheet(rows("aborted")).status_code == 200


def test_a_draft_without_a_contract_is_seen_by_its_department_only(counter: Counter) -> None:
    counter.sheet(rows("early", title="先编目"))
    path = "/api/v1/resources/early"
    seen = counter.http.get(path, headers=counter.headers("editor"))
    assert (seen.json()["version"], seen.json()["state"], seen.headers["etag"]) == (None, "draft", '"1"')
    assert [one["name"] for one in seen.json()["fields"]] == ["id", "title", "citizen_id"]
    listed = counter.http.get("/api/v1/resources?limit=200", headers=counter.headers("editor")).json()["resources"]
    assert next(one["version"] for one in listed if one["name"] == "early") is None
    submit = counter.http.post(f"{path}/submit", json={}, headers=counter.headers("editor", **{"if-match": '"1"'}))
    assert told(submit) == (409, "resource.unbound")
    assert told(counter.http.get(path, headers=counter.headers("consumer"))) == (404, "resource.unknown")
    stranger = counter.http.get(path, headers=counter.headers("observer"))
    assert told(stranger) == (404, "resource.unknown")
    names = {
        one["name"] for one in counter.http.get("/api/v1/resources", headers=counter.headers("observer")).json()["resources"]
    }
    assert "early" not in names
    asked = {"resource": "early", "fields": ["id"], "reason": "用", "legal_basis": "法", "to_at": "2099-01-01T00:00:00Z"}
    apply = counter.http.post("/api/v1/applications", json=asked | {"purposes": ["x"]}, headers=counter.headers("consumer"))
    assert apply.status_code == 404
