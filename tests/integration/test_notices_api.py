"""Changes to come by HTTP, with the database roles that the API has: proposed, told, acknowledged; what may I call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from exchange.api.app import create_app
from exchange.bootstrap import Hub, open_hub
from exchange.settings import Settings
from exchange.trust.tokens import issue
from schemas.clock import CHINA
from tests.contract_text import contract_text
from tests.office import Heard, ShiftedClock, installed, served
from tests.registry_people import a_registry, with_note, without_title

UNTIL = datetime(2099, 1, 1, tzinfo=UTC)
BEGINS = datetime(2026, 9, 30, 11, tzinfo=CHINA)


@dataclass
class Desk:
    """The API over a registry; ``registry`` is the owner's, as the worker has it, by the clock of the API."""

    registry: Registry
    hub: Hub
    http: httpx.Client
    clock: ShiftedClock
    database: str

    def call(self, method: str, path: str, by: str, *, tag: str | None = None, **body: Any) -> httpx.Response:
        """Ask as somebody; a tag is sent as ``If-Match``."""
        token = issue(self.registry.principal(by), self.hub.keys, self.clock.now()).text.reveal()
        headers = {"authorization": f"Bearer {token}"} | ({} if tag is None else {"if-match": tag})
        return self.http.request(method, f"/api/v1{path}", headers=headers, json=body if method == "POST" else None)

    def get(self, path: str, by: str) -> httpx.Response:
        return self.call("GET", path, by)

    def step(self, path: str, what: str, by: str, **body: Any) -> httpx.Response:
        """Take a step as somebody who has just looked at it."""
        seen = self.get(path, by)
        assert seen.status_code == 200, seen.text
        return self.call("POST", f"{path}/{what}", by, tag=seen.headers["etag"], **body)

    def at(self, instant: datetime) -> None:
        """Set the clock."""
        self.clock.shift = instant - datetime.now(UTC)

    def resource(self, name: str) -> str:
        """Publish a resource like ``staff`` under another name; return its path."""
        self.registry.register_resource(contract_text(name), by="setup")
        return f"/resources/{name}"

    def grant(self, resource: str, *fields: str, department: str = "civil", **more: Any) -> str:
        terms: dict[str, Any] = {
            "legal_basis": "国令809",
            "from_at": self.clock.now() - timedelta(days=1),
            "to_at": UNTIL,
            "by": "setup",
            "purposes": ["accept_case"],
        }
        receiver = Receiver(ReceiverKind.DEPARTMENT, department)
        return self.registry.make_grant(receiver, resource, fields, **(terms | more)).id

    def ledger(self, kind: str) -> list[dict[str, Any]]:
        with self.hub.connect(autocommit=True) as connection:
            rows = connection.execute("SELECT record FROM trust.ledger WHERE kind = %s", [kind]).fetchall()
        return [json.loads(row[0]) for row in rows]


@pytest.fixture(scope="module")
def desk(module_hub_db: str, superuser_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = installed(tmp_path_factory.mktemp("home"), module_hub_db, superuser_url)
    clock = ShiftedClock()
    with a_registry(module_hub_db, clock, settings.home) as registry:

        def opened(of: Settings) -> Hub:
            hub = open_hub(of)
            hub.__dict__.update(clock=clock, log=Heard())
            return hub

        app = create_app(settings, opened=opened)
        with served(app) as url, httpx.Client(base_url=url, timeout=20, trust_env=False) as http:
            yield Desk(registry, app.state.services.hub, http, clock, module_hub_db)


@pytest.fixture(autouse=True)
def before_national_day(desk: Desk) -> None:
    desk.at(BEGINS)


def told(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, str(answer.json()["code"])


def broken(name: str) -> str:
    return without_title().replace("staff", name)


def noticed(desk: Desk, name: str) -> str:
    """Return the path of a change whose notice runs."""
    made = desk.call("POST", "/revisions", "editor", contract=broken(name), why="职称改由人社局提供")
    assert made.status_code == 201, made.text
    path = str(made.headers["location"]).removeprefix("/api/v1")
    assert desk.step(path, "approve", "reviewer").json()["state"] == "noticed"
    return path


def test_a_breaking_change_is_proposed_approved_told_acknowledged_and_in_force_at_its_end(desk: Desk) -> None:
    resource = desk.resource("posts")
    grant = desk.grant("posts", "id", "title")
    made = desk.call("POST", "/revisions", "editor", contract=broken("posts"), why="职称改由人社局提供")
    assert (made.status_code, made.json()["state"], made.json()["breaking"]) == (201, "proposed", True)
    assert [(c["kind"], c["field"], c["title_zh"]) for c in made.json()["changes"]] == [
        ("field_removed", "title", "删除信息项")
    ]
    path = str(made.headers["location"]).removeprefix("/api/v1")
    assert told(desk.get(path, "clerk")) == (404, "revision.unknown")
    (broken_one,) = desk.get(f"{path}/affected", "reviewer").json()["grants"]
    assert (broken_one["grant"], broken_one["receiver"], broken_one["changed"]) == (grant, "department:civil", ["title"])
    approved = desk.step(path, "approve", "reviewer")
    assert (approved.json()["state"], approved.json()["ends_at"]) == ("noticed", "2026-10-20T16:00:00Z")
    (notice,) = [n for n in desk.get("/notices", "clerk").json()["notices"] if n["resource"] == "posts"]
    assert (notice["department"], notice["effect_at"], notice["why"]) == ("civil", "2026-10-20T16:00:00Z", "职称改由人社局提供")
    assert [(g["grant"], g["fields_after"]) for g in notice["grants"]] == [(grant, ["id"])]
    assert desk.get(path, "clerk").json()["to_version"] == "2.0.0"
    for of_others in ("affected", "history"):
        assert told(desk.get(f"{path}/{of_others}", "clerk")) == (404, "revision.unknown")
    assert desk.get(resource, "clerk").json()["version"] == "1.0.0"
    said = desk.call("POST", f"/notices/{notice['id']}/acknowledge", "clerk")
    assert (said.status_code, said.json()["acknowledged_by"]) == (200, desk.registry.principal("clerk").id)
    (of_it,) = desk.get(f"{path}/notices", "editor").json()["notices"]
    assert of_it == said.json()
    desk.at(datetime(2026, 10, 21, tzinfo=CHINA))
    desk.registry.move_revisions()
    assert desk.get(path, "editor").json()["state"] == "in_force"
    assert desk.get(resource, "clerk").json()["version"] == "2.0.0"
    assert [s["event"] for s in desk.get(f"{path}/history", "editor").json()["steps"]] == [
        "propose",
        "give_notice",
        "take_effect",
    ]
    manifests = [r["manifest"] for r in desk.ledger("registry.revision") if r["resource"] == "posts"]
    assert [m["event"] for m in manifests] == ["propose", "approve"]
    assert [r["manifest"]["notice"] for r in desk.ledger("registry.notice")] == [notice["id"]]


def test_a_compatible_change_needs_a_second_person_and_is_in_force_when_the_worker_comes(desk: Desk) -> None:
    resource = desk.resource("plans")
    made = desk.call("POST", "/revisions", "both", contract=with_note().replace("staff", "plans"))
    path = str(made.headers["location"]).removeprefix("/api/v1")
    assert told(desk.step(path, "approve", "both")) == (403, "registry.two_persons")
    assert desk.step(path, "approve", "officer").json()["state"] == "due"
    assert told(desk.step(path, "reject", "reviewer", why="too late")) == (409, "revision.state")
    assert desk.get(resource, "clerk").json()["version"] == "1.0.0"
    desk.registry.move_revisions()
    assert desk.get(resource, "clerk").json()["version"] == "1.1.0"
    refused = [r for r in desk.ledger("registry.revision") if r["outcome"] == "refused"]
    assert [(r["resource"], r["reason"]) for r in refused] == [("plans", "approve:registry.two_persons")]


def test_a_held_change_goes_on_by_the_centre_and_a_provider_takes_one_back(desk: Desk) -> None:
    for name in ("rolls", "lists"):
        desk.resource(name)
        desk.grant(name, "title")
    held, back = noticed(desk, "rolls"), noticed(desk, "lists")
    assert told(desk.step(back, "withdraw", "editor")) == (422, "registry.empty")
    assert desk.step(back, "withdraw", "editor", why="不再取消该项").json()["state"] == "withdrawn"
    desk.at(datetime(2026, 10, 21, tzinfo=CHINA))
    desk.registry.move_revisions()
    assert desk.get(held, "officer").json()["state"] == "held"
    assert told(desk.step(held, "go-on", "reviewer", why="急")) == (403, "registry.role")
    assert desk.step(held, "go-on", "officer", why="已电话告知").json()["state"] == "due"
    desk.registry.move_revisions()
    assert desk.registry.resource("rolls").version == "2.0.0"
    assert desk.registry.resource("lists").version == "1.0.0"


def test_what_may_not_be_seen_and_what_there_is_not_are_answered_alike(desk: Desk) -> None:
    desk.resource("tables")
    desk.grant("tables", "title")
    path = noticed(desk, "tables")
    (notice,) = desk.registry.notices(revision=path.rpartition("/")[2])
    for hidden, nothing in ((path, "/revisions/r0"), (f"/notices/{notice.id}", "/notices/n0")):
        answers = [desk.get(one, "taxman") for one in (hidden, nothing)]
        assert [a.status_code for a in answers] == [404, 404]
        assert answers[0].json() == answers[1].json()
    assert told(desk.call("POST", f"/notices/{notice.id}/acknowledge", "taxman")) == (404, "notice.unknown")
    assert all(r["resource"] != "tables" for r in desk.get("/revisions", "taxman").json()["revisions"])
    assert desk.get("/notices", "taxman").json()["notices"] == []
    assert told(desk.call("POST", "/revisions", "stranger", contract=broken("tables"))) == (403, "registry.other_department")
    assert told(desk.call("POST", "/revisions", "editor", contract=broken("nowhere"))) == (404, "resource.unknown")
    other = broken("tables").replace("value: market_db", "value: secret_db").replace("value: approval", "value: relief")
    answer = desk.call("POST", "/revisions", "editor", contract=other)
    assert told(answer) == (422, "contract.place")
    assert told(desk.call("POST", "/revisions", "editor", contract="kind: [")) == (422, "contract.invalid")


def test_a_withdrawal_is_planned_shown_called_off_and_done_by_date(desk: Desk) -> None:
    resource = desk.resource("cards")
    desk.grant("cards", "id")
    assert told(desk.get(f"{resource}/withdrawal", "clerk")) == (404, "withdrawal.unknown")
    tag = desk.get(resource, "reviewer").headers["etag"]
    plan = {"on": "2026-12-01", "why": "由新资源替代"}
    assert told(desk.call("POST", f"{resource}/withdrawal", "reviewer", **plan)) == (428, "request.if_match")
    assert told(desk.call("POST", f"{resource}/withdrawal", "editor", tag=tag, **plan)) == (403, "registry.role")
    past = desk.call("POST", f"{resource}/withdrawal", "reviewer", tag=tag, **(plan | {"on": "2026-09-30"}))
    assert told(past) == (422, "withdrawal.date")
    made = desk.call("POST", f"{resource}/withdrawal", "reviewer", tag=tag, **plan)
    assert (made.status_code, made.json()["at"]) == (200, "2026-11-30T16:00:00Z")
    assert told(desk.call("POST", f"{resource}/withdrawal", "officer", tag=tag, **plan)) == (412, "registry.conflict")
    assert desk.get(f"{resource}/withdrawal", "clerk").json() == made.json()
    assert [n["about"] for n in desk.get("/notices", "clerk").json()["notices"] if n["resource"] == "cards"] == ["withdrawal"]
    tag = desk.get(resource, "reviewer").headers["etag"]
    off = desk.call("POST", f"{resource}/withdrawal/call-off", "reviewer", tag=tag, why="继续提供")
    assert (off.status_code, off.json()["outcome"]) == (200, "called_off")
    tag = desk.get(resource, "reviewer").headers["etag"]
    assert desk.call("POST", f"{resource}/withdrawal", "reviewer", tag=tag, **plan).status_code == 200
    desk.at(datetime(2026, 12, 1, tzinfo=CHINA))
    desk.registry.take_withdrawals()
    assert desk.get(resource, "reviewer").json()["state"] == "withdrawn"
    assert told(desk.get(resource, "clerk")) == (404, "resource.unknown")
    manifests = [r["manifest"]["event"] for r in desk.ledger("registry.resource") if r["outcome"] == "done"]
    assert manifests == ["plan_withdrawal", "call_off_withdrawal", "plan_withdrawal"]


def test_reminders_are_listed_to_those_concerned(desk: Desk) -> None:
    asked = desk.registry.apply(
        "staff",
        ["id"],
        by="clerk",
        reason="核对救助对象",
        legal_basis="国令809",
        from_at=desk.clock.now(),
        to_at=UNTIL,
        purposes=["accept_case"],
    )
    desk.registry.accept_check(asked.id, by="officer", version=asked.version)
    desk.at(datetime(2026, 10, 19, 9, tzinfo=CHINA))
    desk.registry.remind(desk.hub.clock_rules, desk.hub.workdays)
    (one,) = [r for r in desk.get("/reminders", "reviewer").json()["reminders"] if r["thing"] == asked.id]
    assert (one["what"], one["due"], one["left"], one["skipped"]) == ("last", "2026-10-20", 1, ["half"])
    assert all(r["thing"] != asked.id for r in desk.get("/reminders", "clerk").json()["reminders"])
    everything = desk.get("/reminders?limit=1", "officer").json()
    assert len(everything["reminders"]) == 1
    following = desk.get(f"/reminders?after={everything['reminders'][0]['id']}", "officer").json()
    assert everything["reminders"][0] not in following["reminders"]


def test_a_consumer_is_told_what_it_may_call_with_an_example(desk: Desk) -> None:
    desk.resource("rosters")
    own = desk.grant("rosters", "id", "citizen_id", items=["ITEM-1"], row_filter="id > 3")
    desk.grant("rosters", "id", department="tax")
    desk.grant("rosters", "title", from_at=desk.clock.now() + timedelta(days=1))
    ended = desk.grant("rosters", "title")
    desk.registry.revoke_grant(ended, by="setup", why="事项取消")
    answer = desk.get("/authorisations", "clerk").json()
    first = desk.get("/authorisations?limit=1", "clerk").json()
    assert first["authorisations"] == answer["authorisations"][:1]
    following = desk.get(f"/authorisations?after={first['next']}", "clerk").json() if first["next"] else {"authorisations": []}
    assert first["authorisations"] + following["authorisations"] == answer["authorisations"]
    (one,) = [a for a in answer["authorisations"] if a["resource"] == "rosters"]
    shown = {
        name: one[name] for name in ("grant", "receiver", "fields", "personal", "row_filter", "items", "way", "quota", "shared")
    }
    assert shown == {
        "grant": own,
        "receiver": "department:civil",
        "fields": ["id", "citizen_id"],
        "personal": ["citizen_id"],
        "row_filter": "id > 3",
        "items": ["ITEM-1"],
        "way": "api",
        "quota": None,
        "shared": True,
    }
    assert one["example"]["path"] == "/api/v1/resources/rosters/records/query"
    assert one["example"]["body"]["item_code"] == "ITEM-1"
    assert one["example"]["body"]["case_number"] == "<case number>"
    desk.registry.freeze_resource(
        "rosters", by="officer", version=desk.registry.resource("rosters").row_version, why="数据有误"
    )
    again = desk.get("/authorisations", "clerk").json()["authorisations"]
    assert [a["shared"] for a in again if a["resource"] == "rosters"] == [False]
    assert desk.get("/authorisations", "officer").json()["authorisations"] == []


def test_the_role_of_the_steps_puts_no_version_in_force_and_narrows_no_grant(desk: Desk, superuser_url: str) -> None:
    server, database = superuser_url.rsplit("/", 1)[0], desk.database.rsplit("/", 1)[1]
    with psycopg.connect(f"{server}/{database}?options=-c%20role%3Donedoor_registry", autocommit=True) as connection:
        for statement in (
            "INSERT INTO registry.contract_version SELECT * FROM registry.contract_version",
            "UPDATE registry.resource SET version = '9.0.0'",
            "UPDATE registry.grant_ SET fields = '{id}'",
            "UPDATE registry.revision SET odcs = ''",
            "UPDATE registry.notice SET grants = '[]'",
            "UPDATE registry.withdrawal SET at = now()",
            "INSERT INTO registry.reminder SELECT * FROM registry.reminder",
            "DELETE FROM registry.notice",
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation)):
                connection.execute(statement)
