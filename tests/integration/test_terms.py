"""Terms as they hold over HTTP, with the roles of an installation: quotas of two workers, bulk exports, duties to destroy."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import event

from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.store import change
from exchange.api.app import create_app
from exchange.api.registry_frame import INTENT
from exchange.bootstrap import Hub, open_hub
from exchange.settings import Settings
from exchange.trust.tokens import issue
from exchange.worker.destructions import ask_destructions
from schemas.clock import CHINA
from schemas.errors import RejectedError
from tests.conformance.landing import until
from tests.office import GRANTED, ITEM, PURPOSE, Office, an_office, fill, installed, question, served

HOLDERS = 60
"""Holders, each but the first with three licences: more rows than a case is enough for."""
PATIENCE_S = 15.0
_names = itertools.count()


@dataclass
class Desk:
    """The office; ``second`` is another worker of its API; ``people`` are ids by name."""

    office: Office
    second: str
    people: dict[str, str] = field(default_factory=dict)

    def token(self, principal: str) -> str:
        found = self.office.hub.registry.principal(self.people.get(principal, principal))
        return issue(found, self.office.hub.keys, self.office.clock.now()).text.reveal()

    def call(self, method: str, path: str, by: str, *, tag: str | None = None, **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token(by)}"} | ({} if tag is None else {"if-match": tag})
        return self.office.http.request(method, f"/api/v1{path}", headers=headers, json=body if method == "POST" else None)

    def step(self, path: str, what: str, by: str, **body: Any) -> httpx.Response:
        seen = self.call("GET", path, by)
        assert seen.status_code == 200, seen.text
        return self.call("POST", f"{path}/{what}", by, tag=seen.headers["etag"], **body)

    def grant(self, department: str = "civil", **terms: Any) -> str:
        """Grant licences to a department of its own kind of clerk."""
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "fields": GRANTED,
            "legal_basis": "a law",
            "from_at": now - timedelta(days=1),
            "to_at": now + timedelta(days=30),
            "by": "test",
            "purposes": (PURPOSE,),
        } | terms
        fields = values.pop("fields")
        receiver = values.pop("receiver", Receiver(ReceiverKind.DEPARTMENT, department))
        made = self.office.hub.registry.make_grant(receiver, "licences", fields, **values).id
        self.office.refresh()
        return made

    def machine(self, **terms: Any) -> tuple[str, str]:
        """Make a machine with a grant of its own; return its id and the grant's."""
        made, _ = self.office.hub.registry.create_machine(f"m-{next(_names)}", "civil", roles=("consumer",))
        return made.id, self.grant(receiver=Receiver(ReceiverKind.PRINCIPAL, made.id), **terms)

    def query(self, by: str, **more: Any) -> httpx.Response:
        body = {"purpose": PURPOSE, "operator": "job-7"} | more
        return self.call("POST", "/resources/licences/records/query", by, **body)

    def noon(self, days: int = 0) -> None:
        """Set the API's clock to noon in China, so that no day turns by itself."""
        now = datetime.now(CHINA)
        self.office.clock.shift = now.replace(hour=12, minute=0, second=0) + timedelta(days=days) - now


@pytest.fixture(scope="module")
def desk(
    module_hub_db: str, module_source_db: str, superuser_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    settings = installed(tmp_path_factory.mktemp("home"), module_hub_db, superuser_url)
    fill(module_source_db, HOLDERS)
    with an_office(settings, module_source_db) as office:
        for code, name in (("civil", "民政局"), ("tax", "税务局"), ("centre", "信息中心")):
            office.hub.registry.ensure_department(code, name)

        def opened(of: Settings) -> Hub:
            hub = open_hub(of)
            hub.__dict__.update(clock=office.clock, log=office.log)
            return hub

        with served(create_app(settings, opened=opened)) as second:
            made = Desk(office, second)
            for name, department, roles in (
                ("clerk", "civil", ("consumer",)),
                ("colleague", "civil", ("consumer", "security_officer")),
                ("stranger", "tax", ("consumer", "provider_reviewer")),
                ("officer", "centre", ("registration_officer",)),
                ("security", "centre", ("security_officer",)),
                ("reviewer", "test_department", ("provider_reviewer",)),
                ("auditor", "centre", ("auditor",)),
            ):
                made.people[name] = office.hub.registry.create_person(name, department, roles=roles).id
            office.refresh()
            yield made


@pytest.fixture(autouse=True)
def as_it_was(desk: Desk) -> Iterator[None]:
    yield
    desk.office.clock.shift = timedelta(0)


def told(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["title"] != "Error"
    return answer.status_code, str(document["code"])


# Quota ------------------------------------------------------------------------------------------------------------------


def test_two_workers_that_are_hammered_answer_exactly_the_quota_of_the_day(desk: Desk) -> None:
    desk.noon()
    who, grant = desk.machine(quota={"per_day": 40})
    token, answers = desk.token(who), []
    first = str(desk.office.http.base_url)
    known = {"authorization": f"Bearer {token}"}
    until(lambda: httpx.get(f"{desk.second}/api/v1/resources", headers=known).status_code == 200, within_s=30)

    def hammer(url: str) -> None:
        """Ask until a worker says that it is enough."""
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
            headers = {"authorization": f"Bearer {token}"}
            for i in itertools.count():
                answers.append(http.post("/api/v1/licences/lookup", json=question(1 + i % 9), headers=headers))
                if answers[-1].status_code != 200:
                    return

    threads = [threading.Thread(target=hammer, args=(url,)) for url in (first, desk.second) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answer.status_code for answer in answers) == {200: 40, 429: 4}
    over = answers[-1]
    assert told(over) == (429, "quota.used_up")
    assert 11 * 3600 < int(over.headers["retry-after"]) <= 12 * 3600 + 1
    refused = [r for r in desk.office.ledger() if r.get("grant") == grant and r["outcome"] == "refused"]
    assert {r["reason"] for r in refused} == {"quota_per_day"}
    allowed = [r for r in desk.office.ledger() if r.get("grant") == grant and r["outcome"] == "allowed"]
    assert len(allowed) == 40
    desk.noon(days=1)
    assert desk.office.ask(question(1), desk.token(who)).status_code == 200


def test_look_ups_and_queries_are_counted_together_and_explain_says_so(desk: Desk) -> None:
    desk.noon()
    who, grant = desk.machine(quota={"per_day": 2, "per_minute": 1_000})
    ask = {"resource": "licences", "purpose": PURPOSE, "item": ITEM}

    def explained() -> dict[str, Any]:
        answer = desk.call("POST", "/authorisations/explain", who, **ask)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["why"])

    assert explained()["grants"][0]["quota"] == {
        "per_day": 2,
        "per_minute": 1_000,
        "burst": None,
        "rows_per_day": None,
        "calls_today": 0,
        "calls_this_minute": 0,
        "rows_today": 0,
    }
    assert desk.query(who, fields=["licence_id"], limit=1).status_code == 200
    assert desk.office.ask(question(1), desk.token(who)).status_code == 200
    why = explained()
    assert why["grants"][0]["quota"]["calls_today"] == 2
    assert (why["allowed"], [one["code"] for one in why["against"]]) == (False, ["quota_per_day"])
    assert told(desk.office.ask(question(1), desk.token(who))) == (429, "quota.used_up")
    (mine,) = [
        one for one in desk.call("GET", "/authorisations?limit=200", who).json()["authorisations"] if one["grant"] == grant
    ]
    assert mine["quota"] == {"per_day": 2, "per_minute": 1_000}
    assert mine["used"] == {"calls_today": 2, "rows_today": 0, "calls_this_minute": 2, "spent": ["per_day"]}
    assert told(desk.query(who, fields=["licence_id"], limit=1)) == (429, "quota.used_up")
    last = desk.office.ledger("resource.query")[-1]
    assert (last["outcome"], last["reason"]) == ("refused", "quota_per_day")


def test_a_query_gives_no_more_rows_than_are_left_of_the_day(desk: Desk) -> None:
    desk.noon()
    who, _ = desk.machine(quota={"rows_per_day": 30})
    first = desk.query(who, fields=["licence_id"], limit=20)
    *rows, last = map(json.loads, first.text.splitlines())
    assert (len(rows), last["onedoor"]["rows"]) == (20, 20)
    second = desk.query(who, fields=["licence_id"], limit=20, page=last["onedoor"]["next"])
    *more, end = map(json.loads, second.text.splitlines())
    assert (len(more), end["onedoor"]["ended"]) == (10, "done")
    assert not {row["licence_id"] for row in rows} & {row["licence_id"] for row in more}
    third = desk.query(who, fields=["licence_id"], limit=20, page=end["onedoor"]["next"])
    assert told(third) == (429, "quota.used_up")


def test_where_one_grant_is_used_up_another_one_that_allows_it_is_used(desk: Desk) -> None:
    desk.noon()
    who, first = desk.machine(quota={"per_day": 1})
    second = desk.grant(
        receiver=Receiver(ReceiverKind.PRINCIPAL, who), fields=("licence_id", "licence_number"), quota={"per_day": 1}
    )
    seen = [desk.office.ask(question(1), desk.token(who)) for _ in range(3)]
    assert [answer.status_code for answer in seen] == [200, 200, 429]
    used = [r["grant"] for r in desk.office.ledger() if r.get("grant") in (first, second) and r["outcome"] == "allowed"]
    assert used == [first, second]


def test_a_quota_is_asked_for_and_granted_less_by_http(desk: Desk) -> None:
    asked = desk.call(
        "POST",
        "/applications",
        "clerk",
        resource="licences",
        fields=["licence_id"],
        reason="核对",
        legal_basis="国令809",
        to_at="2099-01-01T00:00:00+08:00",
        purposes=[PURPOSE],
        quota={"per_day": 100, "per_minute": 10},
    )
    assert asked.status_code == 201, asked.text
    assert asked.json()["quota"] == {"per_day": 100, "per_minute": 10}
    path = asked.headers["location"].removeprefix("/api/v1")
    assert desk.step(path, "accept-check", "officer").status_code == 200
    assert told(desk.step(path, "approve", "reviewer", quota={"per_day": 101})) == (422, "application.more_than_asked")
    assert told(desk.step(path, "approve", "reviewer", quota={"per_day": 0})) == (400, "request.body")
    granted = desk.step(path, "approve", "reviewer", quota={"per_day": 50, "rows_per_day": 1_000})
    assert granted.status_code == 200, granted.text
    quota = desk.office.hub.registry.grant(granted.json()["grant"]).quota
    assert quota is not None
    assert quota.document() == {"per_day": 50, "per_minute": 10, "rows_per_day": 1_000}


# Bulk exports -----------------------------------------------------------------------------------------------------------


def asked_for(desk: Desk, who: str, grant: str, by: str = "clerk", **more: Any) -> httpx.Response:
    body = {"grant": grant, "fields": list(GRANTED), "purpose": PURPOSE, "reason": "年度核对", "principal": who}
    return desk.call("POST", "/bulk-exports", by, **(body | more))


def test_many_personal_rows_are_given_once_to_what_a_second_person_approved(desk: Desk) -> None:
    who, grant = desk.machine()
    assert told(desk.query(who)) == (400, "query.case_number")
    case = {"item_code": ITEM, "case_number": "CASE-7"}
    assert told(desk.query(who, **case)) == (403, "query.bulk_export")
    refused = desk.office.ledger("resource.query")[-1]
    assert (refused["outcome"], refused["reason"], refused["grant"]) == ("refused", "bulk", grant)
    made = asked_for(desk, who, grant)
    assert made.status_code == 201, made.text
    export, path = made.json()["id"], made.headers["location"].removeprefix("/api/v1")
    assert told(desk.query(who, bulk_export=export)) == (403, "query.bulk_export")
    approved = desk.step(path, "approve", "security", hours=2)
    assert (approved.status_code, approved.json()["state"]) == (200, "approved"), approved.text
    first = desk.query(who, bulk_export=export, limit=150)
    *rows, last = map(json.loads, first.text.splitlines())
    assert (len(rows), last["onedoor"]["ended"]) == (150, "done")
    began = [r for r in desk.office.ledger("resource.query") if r["outcome"] == "allowed"][-1]
    assert began["manifest"]["bulk_export"] == export
    assert told(desk.query(who, bulk_export=export, limit=150)) == (403, "query.bulk_export")
    *rest, end = map(json.loads, desk.query(who, bulk_export=export, page=last["onedoor"]["next"]).text.splitlines())
    assert len({row["licence_id"] for row in (*rows, *rest)}) == 3 * (HOLDERS - 1)
    assert end["onedoor"]["next"] is None
    steps = desk.call("GET", f"{path}/history", "security").json()["steps"]
    assert [(s["event"], s["by"]) for s in steps] == [
        ("ask", desk.people["clerk"]),
        ("approve", desk.people["security"]),
        ("use", who),
    ]


def test_for_a_case_no_more_personal_rows_are_given_in_a_day_by_whatever_pages_and_questions(desk: Desk) -> None:
    desk.noon()
    who, _ = desk.machine()
    case = {"item_code": ITEM, "case_number": "CASE-7", "limit": 60}
    first = json.loads(desk.query(who, **case).text.splitlines()[-1])["onedoor"]
    assert (first["rows"], first["ended"]) == (60, "done")
    assert told(desk.query(who, **case, page=first["next"])) == (403, "query.bulk_export")
    second = desk.query(who, **(case | {"limit": 40}), page=first["next"])
    assert json.loads(second.text.splitlines()[-1])["onedoor"]["rows"] == 40
    other = {"item_code": ITEM, "case_number": "CASE-7", "filter": "licence_id = 'L9-T-ID'"}
    assert told(desk.query(who, **other)) == (403, "query.bulk_export")
    assert desk.query(who, **(other | {"case_number": "CASE-9"})).status_code == 200
    desk.noon(days=1)
    assert desk.query(who, **other).status_code == 200
    desk.noon()
    assert desk.query(who, fields=["licence_id"], limit=1_000).status_code == 200  # nothing of it is personal


@pytest.mark.parametrize(
    "other",
    [
        {"fields": ["licence_id", "holder_name"], "filter": "licence_id = 'L1-T-ID'"},
        {"purpose": "archive"},
        {"fields": ["licence_id", "holder_name", "issued_on"]},
    ],
)
def test_what_was_approved_is_given_for_nothing_else(desk: Desk, other: dict[str, Any]) -> None:
    who, grant = desk.machine(purposes=(PURPOSE, "archive"))
    made = asked_for(desk, who, grant, fields=["licence_id", "holder_name"])
    desk.step(f"/bulk-exports/{made.json()['id']}", "approve", "reviewer")
    right = {"fields": ["licence_id", "holder_name"], "bulk_export": made.json()["id"]}
    assert told(desk.query(who, **(right | other))) == (403, "query.bulk_export")
    stranger, _ = desk.machine()
    assert told(desk.query(stranger, **right)) == (403, "query.bulk_export")
    assert desk.query(who, **right).status_code == 200


def test_an_approval_is_over_after_its_time(desk: Desk) -> None:
    who, grant = desk.machine()
    export = asked_for(desk, who, grant).json()["id"]
    desk.step(f"/bulk-exports/{export}", "approve", "security", hours=1)
    desk.office.clock.shift = timedelta(hours=1, minutes=1)
    assert told(desk.query(who, bulk_export=export)) == (403, "query.bulk_export")


def test_whoever_asks_for_a_bulk_export_does_not_approve_it_and_strangers_see_none(desk: Desk) -> None:
    who, grant = desk.machine()
    made = asked_for(desk, who, grant, by="colleague")
    path = f"/bulk-exports/{made.json()['id']}"
    assert told(desk.step(path, "approve", "colleague")) == (403, "registry.two_persons")
    assert told(desk.call("GET", path, "stranger")) == (404, "export.unknown")
    assert told(desk.call("POST", f"{path}/approve", "stranger", tag='"1"')) == (404, "export.unknown")
    assert told(desk.step(path, "approve", "clerk")) == (403, "registry.role")
    assert told(desk.step(path, "refuse", "security", why=" ")) == (422, "registry.empty")
    assert desk.step(path, "refuse", "security", why="少取字段即可").json()["state"] == "refused"
    assert told(desk.step(path, "approve", "security")) == (409, "export.state")
    assert told(asked_for(desk, who, grant, by="stranger")) == (422, "grant.unknown")
    assert told(asked_for(desk, who, grant, fields=["home_address"])) == (422, "export.fields")
    others = [asked_for(desk, who, grant, principal=named) for named in ("stranger", "nobody")]
    assert {told(answer) for answer in others} == {(422, "export.principal")}
    assert len({answer.content for answer in others}) == 1
    listed = desk.call("GET", "/bulk-exports?limit=200", "reviewer").json()["bulk_exports"]
    assert made.json()["id"] in [one["id"] for one in listed]
    assert desk.call("GET", "/bulk-exports", "stranger").json() == {"bulk_exports": [], "next": None}


# Duties to destroy ------------------------------------------------------------------------------------------------------


def look_after(desk: Desk) -> None:
    """Do the worker's duty."""
    with desk.office.hub.connect() as connection:
        ask_destructions(desk.office.hub, connection)


def duties(desk: Desk, by: str) -> dict[str, dict[str, Any]]:
    listed = desk.call("GET", "/destructions?limit=200", by).json()["destructions"]
    return {one["grant"]: one for one in listed}


def test_a_grant_whose_rows_left_in_bulk_leaves_a_duty_and_one_of_look_ups_leaves_none(desk: Desk) -> None:
    bulk, bulk_grant = desk.machine()
    single, single_grant = desk.machine()
    assert desk.query(bulk, fields=["licence_id"], limit=2).status_code == 200
    assert desk.office.ask(question(1), desk.token(single)).status_code == 200
    for grant in (bulk_grant, single_grant):
        desk.office.hub.registry.revoke_grant(grant, by="test", why="abolished")
    until = time.monotonic() + PATIENCE_S
    while bulk_grant not in (seen := duties(desk, "officer")) and time.monotonic() < until:
        time.sleep(0.1)  # the worker looks after it
    look_after(desk)
    assert len(duties(desk, "officer")) == len(seen)
    assert single_grant not in seen
    duty = seen[bulk_grant]
    assert (duty["state"], duty["ended"], duty["department"]) == ("asked", "revoked", "civil")
    assert duty["clock"]["left"] == 10
    assert bulk_grant not in duties(desk, "stranger")
    path = f"/destructions/{duty['id']}"
    assert told(desk.call("GET", path, "stranger")) == (404, "destruction.unknown")
    filed = desk.step(path, "file", "clerk", text="已删除全部副本", document="证明.pdf", sha256="0" * 64)
    assert (filed.status_code, filed.json()["state"]) == (200, "filed"), filed.text
    assert told(desk.step(path, "confirm", "clerk")) == (403, "registry.role")
    assert desk.step(path, "return", "security", why="备份未说明").json()["state"] == "asked"
    assert desk.step(path, "file", "clerk", text="已删除全部副本和备份").json()["state"] == "filed"
    confirmed = desk.step(path, "confirm", "security")
    assert (confirmed.json()["state"], confirmed.json()["clock"]) == ("confirmed", None)
    assert [s["event"] for s in desk.call("GET", f"{path}/history", "clerk").json()["steps"]] == [
        "ask",
        "file",
        "return",
        "file",
        "confirm",
    ]
    kept = [r for r in desk.office.ledger("registry.destruction") if r["outcome"] == "done"]
    assert [r["manifest"]["event"] for r in kept if r["grant"] == bulk_grant] == ["file", "return", "file", "confirm"]


# What the database and the frame hold ----------------------------------------------------------------------------------


def test_the_role_of_the_steps_cannot_grant_what_nobody_was_granted(desk: Desk) -> None:
    url = desk.office.settings.registry_database_url
    insert = """INSERT INTO registry.grant_ (id, receiver_department, resource, fields, purposes, items, legal_basis, from_at,
      to_at, made_at, made_by, version) VALUES ('g-forged', 'civil', 'licences', '{holder_number}', '{accept_case}', '{}', 'x',
      now(), now() + interval '1 day', now(), 'x', 1)"""
    with pytest.raises(psycopg.errors.CheckViolation) as refusal, psycopg.connect(url) as connection:
        connection.execute(insert)
    assert refusal.value.diag.constraint_name == "ck_grant__of_application"
    assert desk.office.made.rows("SELECT 1 FROM registry.grant_ WHERE id = 'g-forged'") == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO registry.destruction (id) VALUES ('x')",
        "UPDATE registry.destruction SET grant_id = 'x'",
        "UPDATE registry.destruction SET ended_at = now()",
        "DELETE FROM registry.destruction",
        "UPDATE registry.bulk_export SET fields = '{holder_number}'",
        "UPDATE registry.bulk_export SET principal = 'p'",
        "DELETE FROM registry.bulk_export",
        "UPDATE registry.bulk_export_history SET why = 'x'",
        "SELECT * FROM exchange.quota_count",
        "SELECT exchange.return_quota('g', '2026-11-02', '2026-11-02Z', 1, 1)",
    ],
)
def test_the_role_of_the_steps_changes_of_the_terms_only_what_a_step_changes(desk: Desk, statement: Any) -> None:
    url = desk.office.settings.registry_database_url
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_a_step_is_on_record_before_it_is_taken_and_its_outcome_after(desk: Desk) -> None:
    who, grant = desk.machine()
    made = asked_for(desk, who, grant)
    path = f"/bulk-exports/{made.json()['id']}"
    assert told(desk.step(path, "refuse", "security", why="")) == (422, "registry.empty")
    assert desk.step(path, "cancel", "clerk").status_code == 200
    intents = [r for r in desk.office.ledger(INTENT) if r["principal"] == desk.people["clerk"]][-1:]
    outcome = [r for r in desk.office.ledger("registry.bulk_export") if r["principal"] == desk.people["clerk"]][-1]
    assert [(r["outcome"], r["manifest"], r["request"]) for r in intents] == [
        ("allowed", {"kind": "registry.bulk_export", "event": "cancel"}, outcome["request"])
    ]
    assert (outcome["chain"], outcome["n"]) > (intents[0]["chain"], intents[0]["n"])
    refused = [r for r in desk.office.ledger(INTENT) if r["principal"] == desk.people["security"]][-1]
    assert (refused["outcome"], refused["reason"]) == ("refused", "registry.empty")


def test_a_name_that_is_not_there_is_looked_for_by_its_key_only(desk: Desk) -> None:
    engine = desk.office.services.hub.registry._database._engine
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        assert told(desk.call("GET", "/resources/licence", "clerk")) == (404, "resource.unknown")
    finally:
        event.remove(engine, "before_cursor_execute", note)
    reads = [statement for statement in asked if "FROM registry.resource" in statement]
    assert reads
    assert all("WHERE" in statement for statement in reads)
    with pytest.raises(RejectedError) as hinted:  # a person at the command line is told what is near
        desk.office.hub.registry.resource("licence")
    assert "near it: licences" in hinted.value.message


def test_a_change_that_waits_too_long_for_another_one_is_told_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "LOCK_S", 1)
    who, grant = desk.machine()
    with psycopg.connect(desk.office.settings.database_url) as long_change:
        long_change.execute("SELECT value FROM registry.version FOR UPDATE")
        assert told(asked_for(desk, who, grant)) == (503, "registry.busy")
    assert asked_for(desk, who, grant).status_code == 201


def test_a_nul_that_somebody_sends_is_no_defect_of_the_hub(desk: Desk) -> None:
    before = len(desk.office.log.events)
    form = {"grant_type": "client_credentials", "client_id": "a\x00b", "client_secret": "\x00"}
    assert told(desk.office.http.post("/api/v1/token", data=form)) == (401, "client.refused")
    for path in ("/usage?resource=%00", "/usage?department=a%00b", "/demands?department=%00", "/items?body=%00"):
        assert told(desk.call("GET", path, "auditor")) == (400, "request.query"), path
    assert [e for e in desk.office.log.events[before:] if "defect" in e["event"]] == []
