"""The API's reference: OpenAPI 3.1, frozen, and a page that asks nobody else on the network for anything."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from exchange.api.app import create_app, openapi
from exchange.api.lookup_route import PATH
from exchange.api.records_route import PATH as RECORDS
from exchange.query.encode import FORMATS
from exchange.settings import Settings
from tests.golden.golden import assert_golden

REFERENCE = Path(__file__).parents[2] / "docs/reference/openapi.json"
NAMELESS = {*(("path", name) for name in ("name", "id", "code")), ("header", "If-Match")}
NAMELESS |= {("query", name) for name in ("limit", "after", "state", "resource", "department", "assigned", "unread")}
NAMELESS |= {("query", name) for name in ("since", "until", "from", "to", "by", "history", "catalogue", "gone")}
NAMELESS |= {("query", name) for name in ("basic_code", "at", "format", "base", "names", "drafts", "partial", "check")}
"""Names of resources and departments, ids of applications, pages, versions, days and what chooses a list: of no person."""


@pytest.fixture(scope="module")
def client() -> TestClient:
    """The app without its services: pages need none of them."""
    return TestClient(create_app(Settings(home=Path("nowhere"))))


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_the_reference_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_the_reference_is_frozen_and_the_docs_hold_it(document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    assert_golden("openapi.json", text)
    assert REFERENCE.read_text("utf-8") == text, "stale: copy tests/golden/openapi.json to docs/reference/"


def test_every_answer_but_success_is_a_problem_document(document: dict[str, Any]) -> None:
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if not status.startswith("2"):
                    assert set(response["content"]) == {"application/problem+json"}
    assert set(document["paths"][PATH]["post"]["responses"]) == {"200", "400", "401", "403", "413", "415", "429", "503"}
    records = document["paths"][RECORDS]["post"]["responses"]
    assert set(records) == {"200", "400", "401", "403", "406", "413", "415", "429", "503"}
    assert set(records["200"]["content"]) == {form.media_type for form in FORMATS}


def test_nothing_that_names_a_person_stands_in_a_url(document: dict[str, Any]) -> None:
    for path in document["paths"].values():
        for operation in path.values():
            assert {(p["in"], p["name"]) for p in operation.get("parameters", [])} <= NAMELESS


def test_the_reference_does_not_change_between_calls() -> None:
    app = create_app(Settings(home=Path("nowhere")))
    assert openapi(app) == openapi(app)


def test_the_page_and_what_it_loads_are_shipped(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "//" not in re.sub(r"<!--.*?-->|// ", "", page.text).replace("window.location.protocol + '//'", "")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) >= 3
    for path in loaded:
        assert path.startswith("/static-offline-docs/")
        asset = client.get(path)
        assert asset.status_code == 200
        assert len(asset.content) > 100
        if path.endswith(".css"):
            assert not re.search(r"(?:@import|url\()\s*[\"']?https?:", asset.text)


@pytest.mark.parametrize("host", ["10.1.2.3", "testclient"])
def test_figures_are_given_on_loopback_only(host: str) -> None:
    client = TestClient(create_app(Settings(home=Path("nowhere"))), client=(host, 4711))
    answer = client.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (403, "metrics.loopback")


@pytest.mark.parametrize("header", ["x-forwarded-for", "x-real-ip", "forwarded"])
def test_figures_are_not_given_through_a_proxy_on_the_same_machine(header: str) -> None:
    client = TestClient(create_app(Settings(home=Path("nowhere"))), client=("127.0.0.1", 4711))
    assert client.get("/metrics", headers={header: "192.0.2.7"}).status_code == 403
