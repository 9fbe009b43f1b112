"""A desk for tests: the API with the database roles that it has, and a client of each role in each department."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from catalog_registry.store import tables
from exchange.trust.tokens import issue
from schemas.clock import CHINA
from schemas.contract import DataContract
from schemas.odcs import write_contract
from tests.hub import contract
from tests.office import ITEM, LICENCES, PURPOSE, Office, an_office, fill, installed

PROVIDER = "test_department"
DEPARTMENTS = (PROVIDER, "civil", "tax")
ROLES = tuple(role for role in tables.ROLES if role not in tables.ADMINISTRATORS)
UNTIL = "2099-01-01T00:00:00+08:00"


def a_resource(name: str) -> DataContract:
    """Return the contract of a resource of licences."""
    return contract(name, LICENCES.fields, licence_role=LICENCES.licence_role)


@dataclass
class Desk:
    """The office, and the clients of its departments by the names that ``clients`` gives them."""

    office: Office
    clients: dict[str, str] = field(default_factory=dict)

    @property
    def api_url(self) -> str:
        """URL of the hub's database, with the role that the API reads by."""
        return self.office.settings.api_database_url

    @property
    def registry_url(self) -> str:
        """URL of the hub's database, with the role that the API takes steps by."""
        return self.office.settings.registry_database_url

    def client(self, name: str, department: str, *roles: str) -> str:
        """Make a client, once; return its name."""
        if name not in self.clients:
            made, _ = self.office.hub.registry.create_machine(name.replace("@", "."), department, roles=roles)
            self.clients[name] = made.id
        return name

    def token(self, name: str) -> str:
        """Return a token of a client, by the clock of the API."""
        principal = self.office.hub.registry.principal(self.clients[name])
        return issue(principal, self.office.hub.keys, self.office.clock.now()).text.reveal()

    def call(self, method: str, path: str, by: str, *, tag: str | None = None, **body: Any) -> httpx.Response:
        """Ask as a client; a tag is sent as ``If-Match``."""
        headers = {"authorization": f"Bearer {self.token(by)}"} | ({} if tag is None else {"if-match": tag})
        return self.office.http.request(method, f"/api/v1{path}", headers=headers, json=body if method == "POST" else None)

    def get(self, path: str, by: str) -> httpx.Response:
        return self.call("GET", path, by)

    def step(self, path: str, what: str, by: str, **body: Any) -> httpx.Response:
        """Take a step as somebody who has just looked at it."""
        seen = self.get(path, by)
        assert seen.status_code == 200, seen.text
        return self.call("POST", f"{path}/{what}", by, tag=seen.headers["etag"], **body)

    def apply(self, resource: str = "licences", by: str = "clerk", **more: Any) -> httpx.Response:
        asked = {
            "resource": resource,
            "fields": ["licence_id", "licence_number", "issued_on"],
            "reason": "核对救助对象的证照",
            "legal_basis": "国令809",
            "to_at": UNTIL,
            "purposes": [PURPOSE],
            "items": [ITEM],
        }
        return self.call("POST", "/applications", by, **(asked | more))

    def applied(self, **more: Any) -> str:
        """Return the path of a new application."""
        made = self.apply(**more)
        assert made.status_code == 201, made.text
        return made.headers["location"].removeprefix("/api/v1")

    def in_review(self, **more: Any) -> str:
        """Return the path of an application that the provider is to answer."""
        path = self.applied(**more)
        assert self.step(path, "accept-check", "officer").status_code == 200
        return path

    def draft(self, name: str, *, collected: bool = False) -> str:
        """Register a draft; return its path."""
        self.office.hub.registry.register_resource(write_contract(a_resource(name)), by="test", state="draft")
        return f"/resources/{name}"

    def at(self, *china: int) -> None:
        """Set the API's clock to an instant in China."""
        self.office.clock.shift = datetime(*china, tzinfo=CHINA) - datetime.now(UTC)  # type: ignore[misc]


@pytest.fixture(scope="module")
def desk(
    module_hub_db: str, module_source_db: str, superuser_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """The API with the two roles that it has in an installation, and a client of each role in each department."""
    settings = installed(tmp_path_factory.mktemp("home"), module_hub_db, superuser_url)
    fill(module_source_db, 4)
    with an_office(settings, module_source_db) as office:
        made = Desk(office)
        for code, name in (("civil", "民政局"), ("tax", "税务局"), ("centre", "信息中心")):
            office.hub.registry.ensure_department(code, name)
        for department in DEPARTMENTS:
            for role in ROLES:
                made.client(f"{role}@{department}", department, role)
        for name, department, role in (
            ("editor", PROVIDER, "provider_editor"),
            ("reviewer", PROVIDER, "provider_reviewer"),
            ("clerk", "civil", "consumer"),
            ("officer", "centre", "registration_officer"),
            ("auditor", "centre", "auditor"),
            ("stranger", "tax", "provider_reviewer"),
        ):
            made.client(name, department, role)
        made.draft("hidden")
        office.refresh()
        yield made


@pytest.fixture(autouse=True)
def as_it_was(desk: Desk) -> Iterator[None]:
    yield
    desk.office.clock.shift = timedelta(0)


def told(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of a refusal, having checked that it is a problem document of the two."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["type"] == f"urn:onedoor:problem:{document['code']}"
    assert document["title"] != "Error"
    return answer.status_code, str(document["code"])


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    ended = threading.Event()
    timer = threading.Timer(20, ended.set)
    timer.start()
    try:
        while not holds():
            assert not ended.is_set()
    finally:
        timer.cancel()
