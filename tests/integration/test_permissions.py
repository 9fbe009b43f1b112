"""Every endpoint × role × own and other department: who may use it is what is declared, and what is refused leaks nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from catalog_registry.harvest.documents import Document, Read
from catalog_registry.records import PrincipalRecord, Receiver, ReceiverKind
from catalog_registry.store.tables import ADMINISTRATORS, ROLES
from exchange.api.app import create_app
from exchange.api.registry_frame import Permission, permissions
from exchange.settings import Settings
from exchange.trust.keyfiles import create_keys
from exchange.trust.tokens import issue
from schemas.odcs import write_contract
from tests.hub import contract
from tests.office import LICENCES, PURPOSE, Office, an_office, fill
from tests.permission_requests import APPLICANT, NEVER, OTHER, PROVIDER, REQUESTS, Sent, Things

pytestmark = pytest.mark.timeout(180)

DECLARED = permissions(create_app(Settings(home=Path("nowhere"))))
DEPARTMENTS = (PROVIDER, APPLICANT, OTHER)


class Stand:
    """An office with an account of each role in each department."""

    def __init__(self, office: Office) -> None:
        self.office = office
        registry = office.hub.registry
        for code in DEPARTMENTS:
            registry.ensure_department(code, code)
        self.accounts: dict[tuple[str, str], PrincipalRecord] = {}
        for department in DEPARTMENTS:
            for role in ROLES:
                name = f"{role}.{department}"
                if role in ADMINISTRATORS:
                    made = registry.create_person(name, department, roles=[role])
                else:
                    made = registry.create_machine(name, department, roles=[role])[0]
                self.accounts[role, department] = made
            now = datetime.now(UTC)
            granted = registry.make_grant(
                Receiver(ReceiverKind.DEPARTMENT, department),
                "licences",
                ["licence_id", "issued_on"],
                legal_basis="a law",
                from_at=now - timedelta(days=1),
                to_at=now + timedelta(days=30),
                by="test",
                purposes=[PURPOSE],
            )
            self.grant = granted.id if department == PROVIDER else self.grant
        registry.register_resource(self.contract("hidden"), by="test", state="draft")
        asked = registry.apply(
            "licences",
            by=self.accounts["consumer", APPLICANT].id,
            fields=["licence_id"],
            reason="x",
            legal_basis="x",
            from_at=now,
            to_at=now + timedelta(days=30),
            purposes=[PURPOSE],
        )
        account, _ = registry.create_machine("subject", APPLICANT)
        registry.add_catalogue("city", "file:/nowhere", title="市目录", by="test")
        content = {"title": "x", "identifiers": []}
        registry.take_harvest("city", Read((Document("urn:x:1", "x", content),), 0, 0), own=())
        (harvested,) = registry.harvested()
        self.things = Things(
            draft="hidden",
            published="licences",
            application=asked.id,
            grant=self.grant,
            account=account.id,
            source="test_source",
            system="test_system",
            contract=self.contract,
            client=(office.client_id, office.secret.reveal()),
            harvested=harvested.id,
        )
        office.refresh()
        self.tokens = {who: issue(p, office.hub.keys, office.clock.now()).text.reveal() for who, p in self.accounts.items()}

    @staticmethod
    def contract(name: str) -> str:
        return write_contract(contract(name, LICENCES.fields, licence_role=LICENCES.licence_role))

    def ask(self, method: str, sent: Sent, path: str, who: tuple[str, str] | None) -> httpx.Response:
        headers = {} if who is None else {"authorization": f"Bearer {self.tokens[who]}"}
        headers |= {"if-match": NEVER} if sent.changes else {}
        body = {"data": dict(sent.form)} if sent.form else {} if sent.body is None else {"json": sent.body}
        return self.office.http.request(method, path, headers=headers, **body)


@pytest.fixture(scope="module")
def stand(
    module_hub_db: str, module_source_db: str, superuser_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    server, database = superuser_url.rsplit("/", 1)[0], module_hub_db.rsplit("/", 1)[1]
    api, registry = (f"{server}/{database}?options=-c%20role%3D{role}" for role in ("onedoor_api", "onedoor_registry"))
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, database_url=module_hub_db, api_database_url=api, registry_database_url=registry)
    create_keys(settings.keys_dir)
    fill(module_source_db, 4)
    with an_office(settings, module_source_db) as office:
        yield Stand(office)


def test_every_route_is_declared_and_has_a_request() -> None:
    app = create_app(Settings(home=Path("nowhere")))
    routes = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, APIRoute) and not route.path.startswith(("/docs", "/openapi", "/static"))
        for method in route.methods
    }
    declared = {(p.method, p.path) for p in DECLARED}
    assert sorted(routes - declared) == [], "say who may use it: add_route, or declare"
    assert sorted(declared - REQUESTS.keys()) == [], "add its request to tests/permission_requests.py"
    assert len(declared) == len(DECLARED)


def may(permission: Permission, sent: Sent, role: str, department: str) -> bool:
    """Return what is declared."""
    own = not sent.own or department in sent.own
    who = [duty for duty in permission.who if not sent.roles or duty.role in sent.roles]
    return any(duty.role in ("*", role) and (own or not duty.own) for duty in who)


def leaks(stand: Stand, permission: Permission, sent: Sent, who: tuple[str, str], answer: httpx.Response) -> str | None:
    """Say what a refusal tells that it must not; None where it tells nothing.

    It is the same, to the byte, as for a thing that there is not; or somebody may see the thing and not do this with it.
    """
    if answer.status_code not in (403, 404):
        return f"answered {answer.status_code}"
    if sent.nothing is not None:
        alike = stand.ask(permission.method, sent, sent.nothing, who)
        if (alike.status_code, alike.content) == (answer.status_code, answer.content):
            return None
    if answer.status_code == 404:
        return "not as for nothing"
    if sent.seen is not None:
        seen = stand.ask("GET", Sent(sent.seen), sent.seen, who)
        return None if seen.status_code == 200 else "refused as if it could be seen"
    return None


@pytest.mark.parametrize("permission", DECLARED, ids=lambda p: f"{p.method} {p.path}")
def test_who_may_use_it_is_what_is_declared(stand: Stand, permission: Permission) -> None:
    wrong = []
    for role in ROLES:
        for department in DEPARTMENTS:
            sent = REQUESTS[permission.method, permission.path](stand.things)
            answer = stand.ask(permission.method, sent, sent.path, (role, department))
            allowed = may(permission, sent, role, department)
            if sent.shows is not None:
                good = answer.status_code == 200 and (sent.shows in answer.text) == allowed
                told = None if good else f"{answer.status_code}, shown: {sent.shows in answer.text}"
            elif allowed or not permission.who:
                expected = (412,) if sent.changes else (200, 201)
                told = None if answer.status_code in expected else f"{answer.status_code} {answer.text[:200]}"
            else:
                told = leaks(stand, permission, sent, (role, department), answer)
            if told is not None:
                wrong.append((role, department, "may" if allowed else "may not", told))
    assert wrong == []


@pytest.mark.parametrize("permission", DECLARED, ids=lambda p: f"{p.method} {p.path}")
def test_without_a_token_nothing_is_answered_but_what_asks_for_none(stand: Stand, permission: Permission) -> None:
    sent = REQUESTS[permission.method, permission.path](stand.things)
    answer = stand.ask(permission.method, sent, sent.path, None)
    if permission.who:
        assert (answer.status_code, answer.json()["code"]) == (401, "token.missing")
    else:
        assert answer.status_code == 200
