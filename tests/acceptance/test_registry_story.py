"""From a table of market supervision to what civil affairs may see of it, and its end: the paper is the switch.

The same story is told twice: by HTTP and by the command line. Rows are asked for over HTTP in both, as a department's system
does. The hub's clock goes from the Monday before National Day 2026 over the days off and the Saturday that is worked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from console.cli import main, output
from exchange.settings import Settings
from exchange.trust.export import DatabaseEvidence
from exchange.trust.keyfiles import create_keys
from exchange.trust.tokens import issue
from exchange.trust.verify import verify
from schemas.clock import CHINA
from schemas.odcs import write_contract
from tests.hub import contract
from tests.office import ITEM, LICENCES, PURPOSE, Office, an_office, fill, number, question

pytestmark = pytest.mark.timeout(300)

ROWS = 30_000
TABLE = """CREATE TABLE permits (licence_id text PRIMARY KEY, licence_type text, licence_number text, holder_name text,
  holder_number_type text, holder_number text, home_address text, state text, issued_on date, valid_from date, valid_to date,
  trust_level text)"""
FILL = f"""INSERT INTO permits
  SELECT 'P' || lpad(i::text, 6, '0'), 'T-ID', '许可' || i || repeat('·韶关市曲江区', 100), '曲持证' || i % 4, '111',
         (ARRAY['{number(1)}', '{number(2)}', '{number(3)}'])[1 + i % 3], '马坝镇', '01', date '2020-05-04', date '2020-05-04',
         date '2099-05-03', CASE WHEN i % 3 = 0 THEN 'A' ELSE 'B' END
  FROM generate_series(1, {ROWS}) AS i"""
UNTIL = "2099-01-01T00:00:00+08:00"
ASKED = ("licence_id", "licence_number", "holder_name", "issued_on")
GIVEN = ("licence_id", "licence_number", "issued_on")
"""Less than asked: not the holder's name, and of the rows those of trust level A."""


class Way(Protocol):
    """One way to do the paper. Things are named by what they are: a resource by its name, an application by its id."""

    def register(self, file: Path) -> None:
        """Register a draft, as an editor of market supervision."""

    def step(self, resource: str, what: str, by: str, why: str = "") -> str:
        """Take a step of a resource; return its state."""

    def find(self, words: str) -> list[str]:
        """Search the catalogue, as the clerk; return what was found."""

    def apply(self, resource: str) -> str:
        """Apply, as a clerk of civil affairs; return the application."""

    def answer(self, application: str, what: str, by: str) -> dict[str, Any]:
        """Check, or approve less than was asked for; return the application as it is now."""

    def clock(self, application: str) -> dict[str, Any]:
        """Return the clock of an application."""

    def revoke(self, grant: str, why: str) -> None:
        """End a grant, as the security officer."""

    def steps(self, application: str) -> list[str]:
        """Return what was done to an application."""


@dataclass
class ByHttp:
    """By the API, each person's program with a token of its own."""

    office: Office
    ids: dict[str, str]

    def call(
        self, method: str, path: str, by: str, body: dict[str, Any] | None = None, tag: str | None = None
    ) -> httpx.Response:
        hub = self.office.hub
        token = issue(hub.registry.principal(self.ids[by]), hub.keys, self.office.clock.now()).text.reveal()
        headers = {"authorization": f"Bearer {token}"} | ({} if tag is None else {"if-match": tag})
        answer = self.office.http.request(method, f"/api/v1{path}", headers=headers, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer

    def seen(self, path: str, what: str, by: str, **body: Any) -> dict[str, Any]:
        """Look at something, and take a step on the version that was seen."""
        tag = self.call("GET", path, by).headers["etag"]
        return dict(self.call("POST", f"{path}/{what}", by, body, tag).json())

    def register(self, file: Path) -> None:
        self.call("POST", "/resources", "editor", {"contract": file.read_text("utf-8")})

    def step(self, resource: str, what: str, by: str, why: str = "") -> str:
        return str(self.seen(f"/resources/{resource}", what, by, why=why)["state"])

    def find(self, words: str) -> list[str]:
        found = self.call("POST", "/resources/search", "clerk", {"words": words}).json()["resources"]
        return [one["name"] for one in found]

    def apply(self, resource: str) -> str:
        body = {"resource": resource, "fields": ASKED, "reason": "核对救助对象的许可", "legal_basis": "国令809", "to_at": UNTIL}
        return str(self.call("POST", "/applications", "clerk", body | {"purposes": [PURPOSE], "items": [ITEM]}).json()["id"])

    def answer(self, application: str, what: str, by: str) -> dict[str, Any]:
        less = {"fields": GIVEN, "row_filter": "trust_level = 'A'"} if what == "approve" else {}
        return self.seen(f"/applications/{application}", {"check": "accept-check"}.get(what, what), by, **less)

    def clock(self, application: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/applications/{application}", "clerk").json()["clock"])

    def revoke(self, grant: str, why: str) -> None:
        self.seen(f"/grants/{grant}", "revoke", "security", why=why)

    def steps(self, application: str) -> list[str]:
        return [s["event"] for s in self.call("GET", f"/applications/{application}/history", "auditor").json()["steps"]]


@dataclass
class ByCommand:
    """By the command line, each person by name."""

    office: Office
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def run(self, *argv: str) -> Any:
        anchor = datetime.now(UTC)
        self.monkeypatch.setenv("ONEDOOR_CLOCK", f"{(anchor + self.office.clock.shift).isoformat()}@{anchor.isoformat()}")
        self.capsys.readouterr()
        code = output.run(main.build(), [*argv, "--json"])
        said = self.capsys.readouterr()
        assert code == 0, said.err
        return json.loads(said.out)

    def register(self, file: Path) -> None:
        self.run("resource", "register", str(file), "--draft")

    def step(self, resource: str, what: str, by: str, why: str = "") -> str:
        return str(self.run("resource", what, resource, "--as", by, *(("--why", why) if why else ()))["state"])

    def find(self, words: str) -> list[str]:
        return [one["name"] for one in self.run("resource", "search", words, "--as", "clerk")["resources"]]

    def apply(self, resource: str) -> str:
        fields = [word for name in ASKED for word in ("--field", name)]
        terms = ("--purpose", PURPOSE, "--item", ITEM, "--reason", "核对救助对象的许可", "--basis", "国令809", "--until", UNTIL)
        return str(self.run("application", "apply", resource, "--as", "clerk", *fields, *terms)["id"])

    def answer(self, application: str, what: str, by: str) -> dict[str, Any]:
        fields = [word for name in GIVEN for word in ("--field", name)]
        less = (*fields, "--filter", "trust_level = 'A'") if what == "approve" else ()
        return dict(self.run("application", what, application, "--as", by, *less))

    def clock(self, application: str) -> dict[str, Any]:
        return dict(self.run("application", "show", application)["clock"])

    def revoke(self, grant: str, why: str) -> None:
        self.run("grant", "revoke", grant, "--why", why)

    def steps(self, application: str) -> list[str]:
        return [s["event"] for s in self.run("application", "show", application)["history"]]


@pytest.fixture(scope="module")
def office(
    module_hub_db: str, module_source_db: str, superuser_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    """The hub's API with the two database roles that it has in an installation."""
    server, database = superuser_url.rsplit("/", 1)[0], module_hub_db.rsplit("/", 1)[1]
    api, registry = (f"{server}/{database}?options=-c%20role%3D{role}" for role in ("onedoor_api", "onedoor_registry"))
    settings = Settings(
        home=tmp_path_factory.mktemp("home"), database_url=module_hub_db, api_database_url=api, registry_database_url=registry
    )
    create_keys(settings.keys_dir)
    fill(module_source_db, 4)
    with an_office(settings, module_source_db) as made:
        yield made


@pytest.fixture(scope="module")
def people(office: Office) -> dict[str, str]:
    """Who takes part: id of each by name. Programs have tokens; by the command line they are named."""
    registry = office.hub.registry
    for code, title in (("civil", "民政局"), ("centre", "信息中心")):
        registry.ensure_department(code, title)
    made = {}
    for who, department, role in (
        ("editor", "test_department", "provider_editor"),
        ("reviewer", "test_department", "provider_reviewer"),
        ("clerk", "civil", "consumer"),
        ("officer", "centre", "registration_officer"),
        ("security", "centre", "security_officer"),
        ("auditor", "centre", "auditor"),
    ):
        made[who] = registry.create_machine(who, department, roles=(role,))[0].id
    office.refresh()
    return made


def of_market_supervision(office: Office, name: str, folder: Path) -> Path:
    """Make the table of market supervision, and the contract of it, drafted as an editor writes it."""
    office.made.source(TABLE.replace("permits", name), FILL.replace("permits", name))
    file = folder / f"{name}.odcs.yaml"
    file.write_text(write_contract(contract(name, LICENCES.fields, licence_role=LICENCES.licence_role)), "utf-8")
    return file


def at(office: Office, *china: int) -> None:
    """Set the hub's clock to an instant in China."""
    office.clock.shift = datetime(*china, tzinfo=CHINA) - datetime.now(UTC)  # type: ignore[misc]


def token(office: Office, of: str) -> str:
    return issue(office.hub.registry.principal(of), office.hub.keys, office.clock.now()).text.reveal()


def query(resource: str, token: str) -> dict[str, Any]:
    """Return what a request for the records of a resource is made of."""
    body = {"purpose": PURPOSE, "operator": "job-7", "item_code": ITEM, "case_number": "CASE-1", "limit": ROWS}
    return {"url": f"/api/v1/resources/{resource}/records/query", "json": body, "headers": {"authorization": f"Bearer {token}"}}


@contextmanager
def beginning(office: Office, resource: str, by: str) -> Iterator[Iterator[str]]:
    """Give the lines of a long answer that has begun, read slowly."""
    with office.http.stream("POST", **query(resource, token(office, by))) as answer:
        assert answer.status_code == 200, answer.read()
        yield (line for line in answer.iter_lines() if not time.sleep(0.001))


@pytest.mark.parametrize("way", ["http", "commands"])
def test_market_supervision_shares_and_civil_affairs_gets_just_what_was_granted_until_it_is_revoked(
    office: Office,
    people: dict[str, str],
    way: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ONEDOOR_HOME", str(office.settings.home))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", office.settings.database_url)
    name = f"permits_{way}"
    file = of_market_supervision(office, name, tmp_path)
    by: Way = ByHttp(office, people) if way == "http" else ByCommand(office, monkeypatch, capsys)

    # Market supervision registers, another person of the centre publishes; the rows are collected.
    by.register(file)
    assert by.step(name, "submit", "editor") == "submitted"
    assert by.step(name, "publish", "officer") == "published"
    assert office.made.collect(name).state == "proved"
    assert by.find(name) == [name]

    # Civil affairs applies on the Monday before National Day; the centre checks on Wednesday, within its two working days.
    at(office, 2026, 9, 28, 9)
    asked = by.apply(name)
    assert pick(by.clock(asked)) == ("application.accept_check", "2026-09-30", 2, "running")
    at(office, 2026, 9, 30, 17)
    assert pick(by.clock(asked)) == ("application.accept_check", "2026-09-30", 0, "reminded_last")
    assert by.answer(asked, "check", "officer")["state"] == "provider_review"

    # The provider has ten: the days off do not count, Saturday the 10th does.
    for when, left, state in (((10, 1), 10, "running"), ((10, 7), 10, "running"), ((10, 10), 7, "running")):
        at(office, 2026, *when, 12)
        assert pick(by.clock(asked)) == ("application.provider_review.conditional", "2026-10-20", left, state)
    at(office, 2026, 10, 13, 12)
    assert pick(by.clock(asked)) == ("application.provider_review.conditional", "2026-10-20", 5, "reminded_half")
    at(office, 2026, 10, 21, 9)
    assert pick(by.clock(asked)) == ("application.provider_review.conditional", "2026-10-20", -1, "late")
    granted = by.answer(asked, "approve", "reviewer")
    assert (granted["state"], granted["clock"] if way == "http" else None) == ("granted", None)
    assert by.steps(asked) == ["apply", "accept_check", "approve"]

    # Record query and look-up give just that.
    office.clock.shift = timedelta(0)
    office.refresh()
    clerk = people["clerk"]
    answer = office.http.post(**query(name, token(office, clerk)) | {"timeout": 60})
    *rows, last = map(json.loads, answer.text.splitlines())
    (count,) = office.made.rows(f"SELECT count(*) FROM store.{name} WHERE trust_level = 'A'")[0]
    assert (len(rows), last["onedoor"]["ended"], {tuple(row) for row in rows}) == (count, "done", {GIVEN})
    assert {int(row["licence_id"][1:]) % 3 for row in rows} == {0}
    found = office.ask(question(1), token(office, clerk)).json()["licences"]
    assert found
    assert {one["resource"] for one in found} == {name}
    assert {tuple(one["fields"]) for one in found} == {GIVEN}

    # Revoked in the middle of a long answer, it stops, and nothing more is given.
    with beginning(office, name, clerk) as lines:
        read = [json.loads(next(lines)) for _ in range(10)]
        by.revoke(granted["grant"], "the item was abolished")
        read += map(json.loads, lines)
    *read, last = read
    assert last["onedoor"]["ended"] == "grant.revoked"
    assert 10 <= len(read) == last["onedoor"]["rows"] < count
    office.refresh()
    assert office.http.post(**query(name, token(office, clerk))).status_code == 403
    assert office.ask(question(1), token(office, clerk)).status_code == 403

    # The ledger proves every use, and the cut.
    used = [
        (r["kind"], r["outcome"], r["grant"]) for kind in ("resource.query", "licence.lookup") for r in of(office, kind, clerk)
    ]
    grant = granted["grant"]
    assert [u for u in used if u[2] == grant] == [
        ("resource.query", "allowed", grant),
        ("resource.query", "done", grant),
        ("resource.query", "allowed", grant),
        ("resource.query", "cut", grant),
        ("licence.lookup", "allowed", grant),
    ]
    cut = [r for r in of(office, "resource.query", clerk) if r["outcome"] == "cut"][-1]
    assert (cut["reason"], cut["manifest"]["rows"]) == ("grant.revoked", len(read))
    with DatabaseEvidence.open(office.hub.connect) as evidence:
        assert verify(evidence, office.hub.keys.ledger_public_key()).intact
    if isinstance(by, ByCommand):
        assert by.run("audit", "verify")["intact"] is True


def pick(clock: dict[str, Any]) -> tuple[str, str, int, str]:
    return clock["rule"], clock["due"], clock["left"], clock["state"]


def of(office: Office, kind: str, principal: str) -> list[dict[str, Any]]:
    return [{"grant": None} | r for r in office.ledger(kind) if r.get("principal") == principal]
