"""Real rows around a breaking change: given as ever while the notice runs, and as the new version says after it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from catalog_registry.clocks import rules
from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from exchange.settings import Settings
from exchange.trust.keyfiles import create_keys
from schemas.odcs import write_contract
from schemas.workdays import calendar
from tests.office import LICENCES, PURPOSE, Office, ShiftedClock, an_office, fill

WITHOUT = replace(LICENCES, version="2.0.0", fields=tuple(f for f in LICENCES.fields if f.name != "issued_on"), document={})


@pytest.fixture(scope="module")
def office(module_hub_db: str, module_source_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, database_url=module_hub_db, api_database_url=module_hub_db)
    create_keys(settings.keys_dir)
    fill(module_source_db, 4)
    with an_office(settings, module_source_db) as made:
        yield made


def rows(office: Office, client: tuple[str, Any], *fields: str) -> httpx.Response:
    body: dict[str, Any] = {"purpose": PURPOSE, "operator": "job-7"} | ({"fields": list(fields)} if fields else {})
    token = office.token(*client)
    return office.http.post("/api/v1/resources/licences/records/query", json=body, headers={"authorization": f"Bearer {token}"})


def names(answer: httpx.Response) -> set[str]:
    """Return the fields of the rows of an answer."""
    assert answer.status_code == 200, answer.text
    read = [json.loads(line) for line in answer.text.splitlines()]
    return {name for row in read if "onedoor" not in row for name in row}


def test_rows_are_given_as_before_until_the_end_of_the_notice_and_then_without_the_field_that_went(office: Office) -> None:
    registry = office.hub.registry
    made, secret = registry.create_machine("relief", "test_department", system="test_system", roles=("consumer",))
    now = datetime.now(UTC)
    grant = registry.make_grant(
        Receiver(ReceiverKind.PRINCIPAL, made.id),
        "licences",
        ("licence_id", "issued_on"),
        legal_basis="国令809",
        from_at=now - timedelta(days=1),
        to_at=now + timedelta(days=9000),
        by="test",
        purposes=(PURPOSE,),
    ).id
    office.refresh()
    client = (str(made.client_id), secret)
    rule, of = rules()["contract.breaking_notice"], calendar()
    registry.give_notice(write_contract(WITHOUT), by="console:test", rule=rule, of=of)
    (notice,) = registry.notices(department="test_department")
    registry.acknowledge_notice(notice.id, by=made.id)
    registry.move_revisions()
    run = office.made.collect("licences")
    assert (run.state, run.contract_version) == ("proved", "1.0.0")
    assert names(rows(office, client)) == {"licence_id", "issued_on"}

    later = Registry(office.settings.database_url, ShiftedClock(timedelta(days=60)))
    assert [one.state for one in later.move_revisions()] == ["in_force"]
    later.close()
    office.refresh()
    assert names(rows(office, client)) == {"licence_id"}
    refused = rows(office, client, "licence_id", "issued_on")
    assert refused.status_code == 403
    assert registry.grant(grant).fields == ("licence_id",)
    run = office.made.collect("licences")
    assert (run.state, run.contract_version) == ("proved", "2.0.0")
    assert names(rows(office, client)) == {"licence_id"}


def test_a_running_worker_puts_in_force_what_is_due(office: Office) -> None:
    registry = office.hub.registry
    for name, role in (("editor", "provider_editor"), ("reviewer", "provider_reviewer")):
        registry.create_person(name, "test_department", roles=[role])
    here = registry.resource("licences")
    text = write_contract(replace(here.contract, version="9.0.0", title="电子证照", document={}))
    made = registry.propose_revision(text, by="editor")
    registry.approve_revision(
        made.id, by="reviewer", version=made.version, rule=rules()["contract.breaking_notice"], of=calendar()
    )
    until, tick = time.monotonic() + 30, threading.Event()
    while registry.resource("licences").version == here.version and time.monotonic() < until:
        tick.wait(0.1)
    assert registry.resource("licences").version == "9.0.0"
    assert registry.revision(made.id).state == "in_force"
