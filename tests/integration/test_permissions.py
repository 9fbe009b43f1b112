"""Every endpoint × role × own and other department: who may use it is what is declared, and what is refused leaks nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from catalog_registry.records import PrincipalRecord
from catalog_registry.store.tables import ADMINISTRATORS, ROLES
from exchange.api.app import create_app
from exchange.api.registry_frame import Permission, permissions
from exchange.settings import Settings
from exchange.trust.tokens import issue
from tests.office import Office, an_office, fill, installed
from tests.permission_requests import APPLICANT, NEVER, OTHER, PROVIDER, REQUESTS, Sent
from tests.permission_things import Makes

pytestmark = pytest.mark.timeout(180)

DECLARED = permissions(create_app(Settings(home=Path("nowhere"))))
DEPARTMENTS = (PROVIDER, APPLICANT, OTHER)


class Stand:
    """An office with an account of each role in each department, and the things to ask for."""

    def __init__(self, office: Office) -> None:
        self.office = office
        registry = office.hub.registry
        accounts: dict[tuple[str, str], PrincipalRecord] = {}
        for department in DEPARTMENTS:
            registry.ensure_department(department, department)
            for role in ROLES:
                name = f"{role}.{department}"
                if role in ADMINISTRATORS:
                    made = registry.create_person(name, department, roles=[role])
                else:
                    made = registry.create_machine(name, department, roles=[role])[0]
                accounts[role, department] = made
        office.refresh()
        self.tokens = {who: issue(p, office.hub.keys, office.clock.now()).text.reveal() for who, p in accounts.items()}
        self.things = Makes(office, accounts, self.tokens).things()
        office.refresh()

    def ask(self, method: str, sent: Sent, path: str, who: tuple[str, str] | None) -> httpx.Response:
        headers = {} if who is None else {"authorization": f"Bearer {self.tokens[who]}"}
        headers |= {"if-match": NEVER} if sent.changes else {}
        body: dict[str, Any] = {} if sent.body is None else {"json": sent.body}
        if sent.form:
            body = {"data": dict(sent.form)}
        if sent.content is not None:
            media_type, text = sent.content
            body, headers = (
                {"content": text.encode() if isinstance(text, str) else text},
                headers | {"content-type": media_type},
            )
        return self.office.http.request(method, path, headers=headers, **body)


@pytest.fixture(scope="module")
def stand(
    module_hub_db: str, module_source_db: str, superuser_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    settings = installed(tmp_path_factory.mktemp("home"), module_hub_db, superuser_url)
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
    return any(duty.role in ("*", role) and (own or not duty.own) for duty in permission.who)


def leaks(stand: Stand, permission: Permission, sent: Sent, who: tuple[str, str], answer: httpx.Response) -> str | None:
    """Say what a refusal tells that it must not; None where it tells nothing.

    It is the same, to the byte, as for a thing that there is not; or somebody may see the thing and not do this with it.
    """
    if sent.nothing is not None or sent.nothing_body is not None:
        other = sent if sent.nothing_body is None else replace(sent, body=sent.nothing_body)
        alike = stand.ask(permission.method, other, sent.nothing or sent.path, who)
        if answer.is_client_error and (alike.status_code, alike.content) == (answer.status_code, answer.content):
            return None
    if answer.status_code != 403:
        return f"answered {answer.status_code}, and not as for nothing: {answer.text[:200]}"
    if sent.seen is not None:
        seen = stand.ask("GET", Sent(sent.seen), sent.seen, who)
        return None if seen.status_code == 200 and sent.named in seen.text else "refused as if it could be seen"
    return None


def shown(permission: Permission, sent: Sent, role: str, allowed: bool, answer: httpx.Response) -> str | None:
    """Say what is wrong with a list: it has the thing for those who may see it; who has no role for it may get none at all."""
    if answer.status_code == 403 and not any(duty.role in ("*", role) for duty in permission.who):
        return None
    there = (sent.shows or "") in answer.text
    return None if answer.status_code == 200 and there == allowed else f"{answer.status_code}, shown: {there}"


@pytest.mark.parametrize("permission", DECLARED, ids=lambda p: f"{p.method} {p.path}")
def test_who_may_use_it_is_what_is_declared(stand: Stand, permission: Permission) -> None:
    wrong = []
    for role in ROLES:
        for department in DEPARTMENTS:
            sent = REQUESTS[permission.method, permission.path](stand.things)
            answer = stand.ask(permission.method, sent, sent.path, (role, department))
            allowed = may(permission, sent, role, department)
            if sent.shows is not None:
                told = shown(permission, sent, role, allowed, answer)
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
