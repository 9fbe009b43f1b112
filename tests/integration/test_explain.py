"""May this be asked, and why not: asked over HTTP about oneself, or about anybody by those whose work it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from msgspec import structs

from exchange.api.explain_route import KIND, PATH
from exchange.licences.grouped import Place
from exchange.settings import Settings
from exchange.trust import why as why_module
from exchange.trust.export import DatabaseEvidence
from exchange.trust.grant import Reason
from exchange.trust.keyfiles import create_keys
from exchange.trust.verify import verify_receipt
from exchange.trust.why import WORDS
from tests.office import GRANTED, ITEM, PURPOSE, Office, an_office, fill, name, number, receipt

ASK = {"resource": "licences", "purpose": PURPOSE, "item": ITEM}


@pytest.fixture(scope="module")
def office(module_hub_db: str, module_source_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, database_url=module_hub_db, api_database_url=module_hub_db)
    create_keys(settings.keys_dir)
    fill(module_source_db, holders=3)
    with an_office(settings, module_source_db) as made:
        yield made


def explained(office: Office, token: str, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return office.http.post(PATH, json=ASK | body, headers=headers)


@contextmanager
def asked_tables(office: Office) -> Iterator[list[str]]:
    """Give the names of the store's tables that are asked meanwhile."""
    reader, tables = office.services.reader, []
    rows = reader.rows

    async def recorded(place: Place, key: str | bytes) -> Any:
        tables.append(place.table)
        return await rows(place, key)

    reader.rows = recorded  # type: ignore[method-assign]
    yield tables
    reader.rows = rows  # type: ignore[method-assign]


def codes(against: list[dict[str, str]]) -> list[str]:
    return [one["code"] for one in against]


def machine(office: Office, named: str, *roles: str) -> str:
    """Make a machine with roles and no grant; return its token."""
    principal, secret = office.hub.registry.create_machine(named, "test_department", roles=roles)
    office.refresh()
    return office.token(str(principal.client_id), secret)


def test_the_grant_that_allows_is_named_with_the_fields_it_releases(office: Office) -> None:
    answer = explained(office, office.token())
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert said["principal"] == office.hub.registry.principal(office.client_id).id
    why = said["why"]
    assert (why["allowed"], why["grant"], why["fields"], why["against"]) == (True, office.grant, list(GRANTED), [])
    narrow = explained(office, office.token(), fields=["issued_on"]).json()["why"]
    assert (narrow["allowed"], narrow["fields"]) == (True, ["issued_on"])


def test_each_grant_is_told_with_every_reason_against_it(office: Office) -> None:
    registry, now = office.hub.registry, datetime.now(UTC)
    client_id, wide, secret = office.machine("asks-why")
    principal = registry.principal(client_id).id
    day = timedelta(days=1)
    ended = office.give(principal, from_at=now - 9 * day, to_at=now - day, purposes=("audit",), fields=("licence_id",))
    revoked = office.give(principal, fields=("licence_id", "state"), items=("ITEM-9",))
    registry.revoke_grant(revoked, by="test", why="abolished")
    later = office.give(
        principal, from_at=now + day, fields=("licence_id", "issued_on", "state"), row_filter="licence_type = 'T-ID'"
    )
    office.refresh()
    asked = explained(office, office.token(client_id, secret), fields=["state"]).json()
    assert {g["grant"]: codes(g["against"]) for g in asked["why"]["grants"]} == {
        wide: ["fields"],
        later: ["not_yet"],
        revoked: ["revoked", "item"],
        ended: ["expired", "purpose", "fields"],
    }
    assert {g["grant"]: g["rows"] for g in asked["why"]["grants"] if g["rows"]} == {later: "licence_type = 'T-ID'"}
    assert (asked["why"]["allowed"], asked["why"]["grant"]) == (False, None)
    assert codes(asked["why"]["against"]) == ["fields", "not_yet", "revoked", "item", "expired", "purpose"]
    told = asked["why"]["against"][1]
    assert (told["words"], told["words_zh"]) == WORDS[Reason.NOT_YET]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"resource": "nothing"}, "resource"),
        ({"resource": "market_cases"}, "no_grant"),
        ({"purpose": "No-Such.Purpose"}, "no_purpose"),
        ({"purpose": "marketing"}, "purpose"),
        ({"item": None}, "item"),
        ({"fields": []}, "fields"),
        ({"fields": ["salary"]}, "fields"),
    ],
)
def test_what_is_against_is_told_in_stable_codes(office: Office, body: dict[str, Any], reason: str) -> None:
    answer = explained(office, office.token(), **body)
    assert answer.status_code == 200, answer.text
    assert codes(answer.json()["why"]["against"]) == [reason]


def test_every_reason_has_words_in_both_languages() -> None:
    assert set(WORDS) == set(Reason)
    assert all(english.isascii() and not chinese.isascii() for english, chinese in WORDS.values())


# Who may ask about whom -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["security_officer", "auditor", "operator"])
def test_those_whose_work_it_is_may_ask_about_anybody(office: Office, role: str) -> None:
    about = office.hub.registry.principal(office.client_id)
    token = machine(office, f"desk-{role}", role)
    for named in (about.id, about.client_id, about.name):
        said = explained(office, token, principal=named).json()
        assert (said["principal"], said["why"]["grant"]) == (about.id, office.grant)
    asked = [r.get("manifest") for r in office.ledger(KIND) if r["outcome"] == "done"]
    assert asked[-1] == {"about": about.id}
    answer = explained(office, token, principal="nobody")
    assert (answer.status_code, answer.json()["code"]) == (400, "principal.unknown")
    record = office.ledger(KIND)[-1]
    assert (record["outcome"], record["reason"]) == ("refused", "principal.unknown")
    assert record["manifest"] == {"about": office.hub.keys.pseudonym("nobody")}


def test_of_many_grants_those_that_allow_it_are_told_and_how_many_are_left_off(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_id, narrow, secret = office.machine("has-many", fields=("licence_id",))
    principal = office.hub.registry.principal(client_id).id
    others = [office.give(principal, purposes=("audit",)) for _ in range(4)]
    office.refresh()
    monkeypatch.setattr(why_module, "MOST", 3)
    said = explained(office, office.token(client_id, secret)).json()["why"]
    assert (said["allowed"], said["grant"], said["left_off"]) == (True, narrow, 2)
    told = [g["grant"] for g in said["grants"]]
    assert len(told) == 3
    assert narrow in told
    assert set(told) - {narrow} <= set(others)


def test_a_consumer_may_ask_about_itself_only_and_is_not_told_who_else_there_is(office: Office) -> None:
    client_id, grant, secret = office.machine("curious")
    token, me = office.token(client_id, secret), office.hub.registry.principal(client_id)
    for named in (me.id, me.client_id, me.name):
        assert explained(office, token, principal=named).json()["why"]["grant"] == grant
    others = [explained(office, token, principal=named) for named in ("intake", office.client_id, "nobody")]
    assert {answer.status_code for answer in others} == {403}
    assert {answer.headers["content-type"] for answer in others} == {"application/problem+json"}
    assert len({answer.content for answer in others}) == 1
    assert others[0].json()["code"] == "explain.refused"
    refused = [record for record in office.ledger(KIND) if record["outcome"] == "refused"]
    assert (refused[-1]["principal"], refused[-1]["reason"]) == (me.id, "role")


@pytest.mark.parametrize("roles", [(), ("consumer",), ("observer",), ("registration_officer", "provider_reviewer")])
def test_other_roles_may_not_ask_about_others(office: Office, roles: tuple[str, ...]) -> None:
    answer = explained(office, machine(office, f"other-{len(roles)}-{'-'.join(roles)}", *roles), principal="intake")
    assert (answer.status_code, answer.json()["code"]) == (403, "explain.refused")


def test_without_a_token_nobody_is_answered(office: Office) -> None:
    answer = office.http.post(PATH, json=ASK)
    assert (answer.status_code, answer.json()["code"]) == (401, "token.missing")
    assert explained(office, "nonsense").json()["code"] == "token.malformed"


# On record --------------------------------------------------------------------------------------------------------------


def test_the_question_is_on_record_before_it_is_answered_and_no_data_is_touched(office: Office) -> None:
    with asked_tables(office) as tables:
        answer = explained(office, office.token()).json()
    assert tables == []
    record = office.ledger(KIND)[-1]
    assert (record["chain"], record["n"]) == (answer["receipt"]["chain"], answer["receipt"]["n"])
    assert (record["outcome"], record["resource"], record["purpose"], record["item"], record["grant"]) == (
        "done",
        "licences",
        PURPOSE,
        ITEM,
        office.grant,
    )
    with DatabaseEvidence.open(office.hub.connect) as evidence:
        keys = office.hub.keys
        assert verify_receipt(receipt(answer), evidence, keys.ledger_public_key()).holds
        forged = structs.replace(receipt(answer), hash="0" * 64)
        assert not verify_receipt(forged, evidence, keys.ledger_public_key()).holds
    for hidden in (name(1), number(1)):
        assert hidden not in json.dumps(answer, ensure_ascii=False)


def test_a_number_that_somebody_writes_as_an_item_is_kept_as_a_pseudonym(office: Office) -> None:
    assert explained(office, office.token(), item=number(2)).status_code == 200
    record = office.ledger(KIND)[-1]
    assert record["item"] == office.hub.keys.pseudonym(number(2))
    assert number(2) not in json.dumps(record)
    assert explained(office, office.token(), item=f"of-{number(2)}-1").status_code == 200
    record = office.ledger(KIND)[-1]
    assert record["item"] == office.hub.keys.pseudonym(f"OF-{number(2)}-1")
    assert number(2) not in json.dumps(record)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"resource": "Licences"}, "request.body"),
        ({"purpose": ""}, "request.body"),
        ({"fields": "state"}, "request.body"),
        ({"fields": ["a"] * 501}, "request.body"),
        ({number(1): 1}, "request.body"),
        ({"resource": None}, "request.body"),
    ],
)
def test_a_wrong_body_is_a_problem_that_repeats_no_value(office: Office, body: dict[str, Any], code: str) -> None:
    answer = explained(office, office.token(), **body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert number(1) not in answer.text


def test_another_media_type_and_a_body_without_end_are_refused(office: Office) -> None:
    headers = {"authorization": f"Bearer {office.token()}"}
    text = office.http.post(PATH, content=b"{}", headers=headers | {"content-type": "text/plain"})
    assert (text.status_code, text.json()["code"]) == (415, "request.media_type")
    big = office.http.post(PATH, content=b" " * (1 << 20), headers=headers | {"content-type": "application/json"})
    assert (big.status_code, big.json()["code"]) == (413, "request.too_large")
    cut = office.http.post(PATH, content=b'{"resource"', headers=headers | {"content-type": "application/json"})
    assert (cut.status_code, cut.json()["code"]) == (400, "request.json")
