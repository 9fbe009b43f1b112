"""A look-up as the intake platform meets it: the app as it is served, on licences and cases that were really collected."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from msgspec import structs

from exchange.api.lookup_route import PATH
from exchange.licences import view as registry_view
from exchange.licences.grouped import Place
from exchange.licences.lookup import _licence
from exchange.settings import Settings
from exchange.trust.export import DatabaseEvidence
from exchange.trust.keyfiles import create_keys
from exchange.trust.verify import verify, verify_receipt
from schemas.contract import Field, LogicalType
from tests.office import (
    GRANTED,
    HOLDERS,
    ITEM,
    LICENCES,
    OTHER_ITEM,
    Office,
    an_office,
    fill,
    insert,
    licence,
    moved,
    name,
    number,
    question,
    receipt,
)

REFUSED = (
    b'{"type":"urn:onedoor:problem:lookup.refused","title":"Not allowed","status":403,'
    b'"detail":"there is no ground for this look-up","code":"lookup.refused","fault":"client"}'
)
PATIENCE_S = 5.0
_names = itertools.count()


@pytest.fixture(scope="module")
def office(module_hub_db: str, module_source_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, database_url=module_hub_db, api_database_url=module_hub_db)
    create_keys(settings.keys_dir)
    fill(module_source_db)
    with an_office(settings, module_source_db) as made:
        yield made


@pytest.fixture(autouse=True)
def as_it_was(office: Office) -> Iterator[None]:
    yield
    office.clock.shift = timedelta(0)


@pytest.fixture
def token(office: Office) -> str:
    return office.token()


def a_name() -> str:
    return f"machine-{next(_names)}"


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


def until(office: Office, status: int, body: dict[str, Any], token: str) -> httpx.Response:
    """Ask until the answer has a status, within the time that is promised."""
    ended = threading.Event()
    timer = threading.Timer(PATIENCE_S, ended.set)
    timer.start()
    try:
        while True:
            answer = office.ask(body, token)
            if answer.status_code == status or ended.is_set():
                assert answer.status_code == status, answer.text
                return answer
    finally:
        timer.cancel()


# Allowed ----------------------------------------------------------------------------------------------------------------


def test_the_answer_is_the_holders_licences_that_the_items_materials_accept(office: Office, token: str) -> None:
    answer = office.ask(question(7), token)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert [found["fields"]["licence_id"] for found in said["licences"]] == ["L7-T-BIZ", "L7-T-ID"]
    first = said["licences"][0]
    assert {k: v for k, v in first.items() if k != "fields"} == {
        "resource": "licences",
        "licence_type": "T-BIZ",
        "state": "01",
        "valid_from": "2020-05-04",
        "valid_to": "2099-05-03",
        "valid": True,
        "trust_level": "A",
    }
    assert (said["case_number"], said["item_code"]) == ("CASE-7", ITEM)
    (as_of,) = office.made.rows("SELECT as_of_first FROM exchange.run WHERE resource = 'licences' AND state = 'proved'")[0]
    assert said["as_of"] == as_of.isoformat().replace("+00:00", "Z")


def test_only_granted_fields_are_in_the_answer_and_a_granted_personal_one_is_opened(office: Office, token: str) -> None:
    answer = office.ask(question(7), token)
    for found in answer.json()["licences"]:
        assert set(found["fields"]) == set(GRANTED)
        assert found["fields"]["holder_name"] == name(7)
    for hidden in ("马坝镇7号", "home_address", "holder_number", number(7)):
        assert hidden not in answer.text


def test_a_row_filter_of_the_grant_holds_for_the_answer(office: Office) -> None:
    client_id, _, secret = office.machine(a_name(), row_filter="licence_type = 'T-ID'")
    answer = office.ask(question(7), office.token(client_id, secret))
    assert [found["licence_type"] for found in answer.json()["licences"]] == ["T-ID"]
    assert office.ledger()[-1]["rows"] == ["licences/L7-T-ID"]


def test_the_receipt_verifies_and_names_the_record_of_this_answer(office: Office, token: str) -> None:
    answer = office.ask(question(9), token).json()
    record = office.ledger()[-1]
    keys = office.hub.keys
    assert (record["chain"], record["n"]) == (answer["receipt"]["chain"], answer["receipt"]["n"])
    assert record["outcome"] == "allowed"
    assert record["grant"] == office.grant
    assert (record["item"], record["case"], record["purpose"]) == (ITEM, "CASE-9", "accept_case")
    assert record["operator"] == "window-03"
    assert record["holder"] == keys.pseudonym(number(9))
    assert record["rows"] == ["licences/L9-T-BIZ", "licences/L9-T-ID"]
    with DatabaseEvidence.open(office.hub.connect) as evidence:
        assert verify_receipt(receipt(answer), evidence, keys.ledger_public_key()).holds
        forged = structs.replace(receipt(answer), hash="0" * 64)
        assert not verify_receipt(forged, evidence, keys.ledger_public_key()).holds


def test_allowed_and_nothing_found_is_an_empty_list_and_recorded(office: Office, token: str) -> None:
    answer = office.ask(question(0), token)
    assert (answer.status_code, answer.json()["licences"]) == (200, [])
    assert answer.json()["as_of"] is not None
    assert office.ledger()[-1]["holder"] == office.hub.keys.pseudonym(number(0))


@pytest.mark.parametrize(
    "written",
    [
        lambda n: n.lower(),
        lambda n: "".join(chr(ord(c) + 0xFEE0) for c in n),
        lambda n: f" {n[:6]} {n[6:]}\u3000",
        lambda n: n[:6] + n[8:17],
    ],
    ids=["lower case", "full width", "blanks", "15 digits"],
)
def test_a_number_in_each_of_its_usual_forms_finds_the_same_holder(office: Office, token: str, written: Any) -> None:
    i = next(i for i in range(1, HOLDERS) if number(i).endswith("X"))
    answer = office.ask(question(i, holder_number=written(number(i))), token)
    assert answer.status_code == 200, answer.text
    assert [found["fields"]["licence_id"] for found in answer.json()["licences"]] == [f"L{i}-T-BIZ", f"L{i}-T-ID"]


def test_a_licence_that_is_withdrawn_or_out_of_its_time_is_shown_as_not_valid(office: Office) -> None:
    table = office.services.view.licences["licences"]
    today = office.clock.now().date()
    assert not _licence(table, licence(1, "T-ID"), {}, today + timedelta(days=365 * 80)).valid
    assert _licence(table, licence(1, "T-ID"), {}, today).valid
    assert not _licence(table, licence(1, "T-ID", state="03"), {}, today).valid
    assert _licence(table, licence(1, "T-ID", valid_from=None, valid_to=None), {}, today).valid
    assert _licence(table, licence(1, "T-ID", valid_to=today), {}, today).valid
    assert not _licence(table, licence(1, "T-ID", valid_to=today - timedelta(days=1)), {}, today).valid


# Not known --------------------------------------------------------------------------------------------------------------


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_without_a_token_nobody_is_answered(office: Office) -> None:
    answer = office.http.post(PATH, json=question(1))
    assert code_of(answer) == (401, "token.missing")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_forged_token_is_refused(office: Office, token: str) -> None:
    head, claims, signature = token.split(".")
    other = "A" if signature[0] != "A" else "B"
    assert code_of(office.ask(question(1), f"{head}.{claims}.{other}{signature[1:]}")) == (401, "token.forged")
    assert code_of(office.ask(question(1), "nonsense")) == (401, "token.malformed")


def test_a_token_ends(office: Office, token: str) -> None:
    office.clock.shift = timedelta(seconds=301)
    assert code_of(office.ask(question(1), token)) == (401, "token.expired")


def test_a_revoked_client_is_refused_with_the_token_it_has_and_gets_no_other(office: Office) -> None:
    client_id, _, secret = office.machine(a_name())
    held = office.token(client_id, secret)
    assert office.ask(question(1), held).status_code == 200
    office.hub.registry.revoke_principal(client_id)
    assert code_of(until(office, 401, question(1), held)) == (401, "token.revoked")
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret.reveal()}
    assert code_of(office.http.post("/api/v1/token", data=form)) == (401, "client.refused")


def test_a_wrong_secret_is_refused_and_recorded_once_with_its_count(office: Office) -> None:
    before = len(office.ledger("token.issue"))
    for _ in range(3):
        form = {"grant_type": "client_credentials", "client_id": office.client_id, "client_secret": "wrong"}
        assert code_of(office.http.post("/api/v1/token", data=form)) == (401, "client.refused")
    asyncio.run_coroutine_threadsafe(
        office.services.lookup.refusals.flush(),
        office.services.view._task.get_loop(),  # type: ignore[union-attr]
    ).result(10)
    records = office.ledger("token.issue")[before:]
    assert [(r["outcome"], r.get("count", 1)) for r in records] == [("refused", 1), ("refused", 2)]
    assert records[0]["principal"] == office.hub.registry.principal(office.client_id).id


# Refused ----------------------------------------------------------------------------------------------------------------

GROUNDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    # name: what is asked of a holder with licences, of one without, the reason on record
    "wrong purpose": ({"purpose": "archive"}, {"purpose": "archive"}, "purpose"),
    "unknown purpose": ({"purpose": "No-Such.Purpose"}, {"purpose": "No-Such.Purpose"}, "no_purpose"),
    "wrong item": ({"item_code": OTHER_ITEM}, {"item_code": OTHER_ITEM}, "item"),
    "unknown case": ({"case_number": "CASE-X"}, {"case_number": "CASE-X"}, "case_unknown"),
    "closed case": ({"case_number": "CASE-CLOSED-1"}, {"case_number": "CASE-CLOSED-0"}, "case_closed"),
    "case of another item": ({"case_number": "CASE-OTHER-ITEM-1"}, {"case_number": "CASE-OTHER-ITEM-0"}, "case_item"),
    "case of another holder": ({"case_number": "CASE-2"}, {"case_number": "CASE-2"}, "case_holder"),
    "another kind of number": ({"holder_type": "555"}, {"holder_type": "555"}, "case_holder"),
}


@pytest.mark.parametrize("ground", GROUNDS)
def test_without_a_ground_the_answer_is_the_same_whatever_was_wrong_and_whoever_holds_licences(
    office: Office, token: str, ground: str
) -> None:
    with_licences, without, reason = GROUNDS[ground]
    with asked_tables(office) as tables:
        for i, wrong in ((1, with_licences), (0, without)):
            answer = office.ask(question(i) | wrong, token)
            assert (answer.status_code, answer.content) == (403, REFUSED)
            assert answer.headers["content-type"] == "application/problem+json"
            record = office.last_refusal()
            assert record["reason"] == reason
            assert record["holder"] == office.hub.keys.pseudonym(number(i))
            assert "rows" not in record
    assert "licences" not in tables


@pytest.mark.parametrize(
    ("shift", "granted", "reason"),
    [
        (timedelta(0), False, "no_grant"),
        (timedelta(days=31), True, "expired"),
        (timedelta(days=-2), True, "not_yet"),
    ],
    ids=["no grant", "expired", "not yet"],
)
def test_without_a_grant_in_force_the_answer_is_that_same_refusal(
    office: Office, shift: timedelta, granted: bool, reason: str
) -> None:
    client_id, _, secret = office.machine(a_name(), granted=granted)
    office.clock.shift = shift
    held = office.token(client_id, secret)
    with asked_tables(office) as tables:
        for i in (1, 0):
            answer = office.ask(question(i), held)
            assert (answer.status_code, answer.content) == (403, REFUSED)
    assert tables == []
    assert [r["reason"] for r in office.ledger() if r["outcome"] == "refused" and r["reason"] == reason] == [reason] * 2


def test_a_revoked_grant_ends_at_once_by_the_registrys_notice(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_view, "POLL_S", 600.0)  # nothing but the notice can tell
    client_id, grant, secret = office.machine(a_name())
    held = office.token(client_id, secret)
    assert office.ask(question(1), held).status_code == 200
    office.hub.registry.revoke_grant(grant, by="test", why="ended")
    assert until(office, 403, question(1), held).content == REFUSED
    assert office.last_refusal()["reason"] == "revoked"
    monkeypatch.undo()
    office.refresh()


def test_the_record_names_the_grant_that_released_where_another_holds_by_then(office: Office) -> None:
    client_id, first, secret = office.machine(a_name())
    token, reader = office.token(client_id, secret), office.services.reader
    rows, given = reader.rows, []

    async def slow(place: Place, key: str | bytes) -> Any:
        found = await rows(place, key)
        if not given:
            given.append(await asyncio.to_thread(instead))
            await office.services.view.refresh()
        return found

    def instead() -> str:
        office.hub.registry.revoke_grant(first, by="test", why="another holds")
        return office.give(office.hub.registry.principal(client_id).id)

    reader.rows = slow  # type: ignore[method-assign]
    try:
        answer = office.ask(question(7), token)
    finally:
        reader.rows = rows  # type: ignore[method-assign]
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["licences"]) == 2
    assert office.ledger()[-1]["grant"] == given[0]


def test_repeated_refusals_are_summed_up(office: Office, token: str) -> None:
    wrong = question(3, case_number="CASE-SUMMED")
    for _ in range(5):
        assert office.ask(wrong, token).status_code == 403
    asyncio.run_coroutine_threadsafe(
        office.services.lookup.refusals.flush(),
        office.services.view._task.get_loop(),  # type: ignore[union-attr]
    ).result(10)
    counts = [r.get("count", 1) for r in office.ledger() if r.get("case") == "CASE-SUMMED"]
    assert counts == [1, 4]


def test_nothing_of_the_holder_is_kept_but_the_pseudonym(office: Office, token: str) -> None:
    holder = number(11)
    office.ask(question(11), token)
    office.ask(question(11, case_number="CASE-X"), token)
    office.ask(question(11, case_number=holder), token)  # a number where it does not belong
    office.ask(question(11, operator=holder, case_number="CASE-Y"), token)
    other = number(12)  # of somebody who has nothing to do with it
    assert office.ask(question(11, operator=f"clerk {other}"), token).status_code == 200
    office.ask(question(11, case_number=f"{other}-1"), token)
    office.ask(question(11, holder_number=holder[:-1] + "?"), token)
    kept = json.dumps(office.ledger(), ensure_ascii=False)
    kept += json.dumps(office.log.events, ensure_ascii=False, default=str)
    kept += office.http.get("/metrics").text
    for value in (holder, holder[:-1], other, name(11), "马坝镇11号"):
        assert value not in kept
    assert office.hub.keys.pseudonym(holder) in kept


# Bad input --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"holder_number": "440221198001010011"}, "lookup.holder_number"),
        ({"holder_number": "44022119800101\u0000"}, "request.body"),
        ({"holder_type": "citizen"}, "request.body"),
        ({"case_number": None}, "request.body"),
        ({"case_number": ""}, "request.body"),
        ({"operator": 7}, "request.body"),
        ({"holder_numer": "440221198001010019"}, "request.body"),
    ],
)
def test_a_wrong_body_is_a_problem_that_repeats_no_value(office: Office, token: str, wrong: dict[str, Any], code: str) -> None:
    answer = office.ask(question(1) | wrong, token)
    assert code_of(answer) == (400, code)
    for value in wrong.values():
        assert not value or str(value) not in answer.json()["detail"]
    assert number(1) not in answer.text


def test_a_missing_case_number_is_named(office: Office, token: str) -> None:
    body = question(1)
    del body["case_number"]
    answer = office.ask(body, token)
    assert code_of(answer) == (400, "request.body")
    assert "case_number" in answer.json()["detail"]


def test_the_name_of_an_unknown_field_is_not_repeated(office: Office, token: str) -> None:
    assert number(1) not in office.ask(question(1) | {number(1): 1}, token).text


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"holder_type":"111"', b'"\\ud800"'])
def test_a_body_that_is_not_json_is_a_problem(office: Office, token: str, body: bytes) -> None:
    status, code = code_of(office.ask(body, token))
    assert (status, code in ("request.json", "request.body")) == (400, True)


def test_lone_surrogates_reach_neither_store_nor_ledger(office: Office, token: str) -> None:
    body = json.dumps(question(1)).replace("window-03", "\\ud800")
    assert office.ask(body.encode(), token).status_code == 400


def test_another_media_type_is_a_problem(office: Office, token: str) -> None:
    answer = office.ask(question(1), token, **{"content-type": "text/plain"})
    assert code_of(answer) == (415, "request.media_type")
    assert code_of(office.http.post("/api/v1/token", json={})) == (415, "request.media_type")


def test_a_body_of_10_mb_is_refused_whether_its_length_is_said_or_not(office: Office, token: str) -> None:
    big = b" " * (10 << 20)
    assert code_of(office.ask(big, token)) == (413, "request.too_large")
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    chunked = office.http.post(PATH, content=(big[i : i + 65536] for i in range(0, len(big), 65536)), headers=headers)
    assert code_of(chunked) == (413, "request.too_large")
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert code_of(office.http.post("/api/v1/token", content=big, headers=form)) == (413, "request.too_large")
    assert office.ask(question(1), token).status_code == 200


def test_a_wrong_path_or_method_is_a_problem(office: Office) -> None:
    assert code_of(office.http.get("/api/v1/nothing")) == (404, "request.path")
    assert code_of(office.http.get("/api/v1/token/")) == (404, "request.path")
    for path in (PATH, "/api/v1/token"):
        answer = office.http.get(path)
        assert code_of(answer) == (405, "request.method")
        assert answer.headers["allow"] == "POST"


def test_a_token_request_that_is_none_is_a_problem(office: Office) -> None:
    assert code_of(office.http.post("/api/v1/token", data={"grant_type": "password"})) == (400, "token_request.form")


def test_a_client_may_give_its_secret_by_http_basic(office: Office) -> None:
    answer = office.http.post(
        "/api/v1/token", data={"grant_type": "client_credentials"}, auth=(office.client_id, office.secret.reveal())
    )
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 300


# Something is away ------------------------------------------------------------------------------------------------------


def test_without_the_ledger_nothing_is_answered_and_it_goes_on_by_itself(office: Office, token: str) -> None:
    with moved(office, "trust.ledger"):
        for body in (question(1), question(1, case_number="CASE-AWAY"), question(1, case_number="CASE-AWAY")):
            answer = office.ask(body, token)
            assert code_of(answer) == (503, "ledger.away")
            assert answer.headers["retry-after"]
            assert "L1-" not in answer.text
        ready = office.http.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["ledger"] == "ledger.away"
    until(office, 200, question(1), token)
    assert office.ask(question(1, case_number="CASE-AWAY"), token).content == REFUSED
    assert [r["case"] for r in office.ledger()].count("CASE-AWAY") == 1
    with DatabaseEvidence.open(office.hub.connect) as evidence:
        assert verify(evidence, office.hub.keys.ledger_public_key()).intact


def test_after_5_s_without_the_registry_no_grant_is_trusted(office: Office, token: str) -> None:
    view = office.services.view
    real = view._monotonic
    with moved(office, "registry.version"):
        view._monotonic = lambda: real() + registry_view.CLOSED_AFTER_S + registry_view.POLL_S
        assert code_of(office.ask(question(1), token)) == (503, "registry.away")
        assert office.http.get("/health/ready").json()["checks"]["registry"] == "registry.away"
    view._monotonic = real
    until(office, 200, question(1), token)


def test_a_store_that_is_away_is_503_and_comes_back(office: Office, token: str) -> None:
    with psycopg.connect(office.settings.database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    until(office, 200, question(1), token)


def test_the_hub_is_ready_when_all_it_needs_is_there(office: Office) -> None:
    ended = threading.Event()
    timer = threading.Timer(PATIENCE_S, ended.set)
    timer.start()
    while (answer := office.http.get("/health/ready")).status_code != 200 and not ended.is_set():
        pass
    timer.cancel()
    assert answer.json() == {
        "status": "ready",
        "checks": {"registry": "ready", "store": "ready", "ledger": "ready", "worker": "ready"},
    }
    assert office.http.get("/health/live").json() == {"status": "live"}


def test_without_a_worker_the_hub_is_not_ready(office: Office) -> None:
    with moved(office, "exchange.duty"):
        answer = office.http.get("/health/ready")
    assert code_of(answer) == (503, "hub.not_ready")
    assert answer.json()["checks"]["worker"] != "ready"


# At once ----------------------------------------------------------------------------------------------------------------


async def ask_many(office: Office, token: str, holders: list[int]) -> list[httpx.Response]:
    headers = {"authorization": f"Bearer {token}"}
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=office.http.base_url, limits=limits, timeout=20, trust_env=False) as client:
        return await asyncio.gather(*(client.post(PATH, json=question(i), headers=headers) for i in holders))


def licence_ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [found["fields"]["licence_id"] for found in answer.json()["licences"]]


def expected(i: int) -> list[str]:
    return [f"L{i}-T-BIZ", f"L{i}-T-ID"] if i else []


def test_200_at_once_get_each_its_own_answer_and_a_ledger_without_a_gap(office: Office, token: str) -> None:
    holders = [i % HOLDERS for i in range(200)]
    answers = asyncio.run(ask_many(office, token, holders))
    assert [licence_ids(answer) for answer in answers] == [expected(i) for i in holders]
    receipts = [receipt(answer.json()) for answer in answers]
    assert len({(r.chain, r.n) for r in receipts}) == 200
    for answer, i in zip(answers, holders, strict=True):
        ((record,),) = office.made.rows(
            "SELECT record FROM trust.ledger WHERE chain = %s AND n = %s", *(lambda r: (r.chain, r.n))(receipt(answer.json()))
        )
        assert json.loads(record)["holder"] == office.hub.keys.pseudonym(number(i))
    with DatabaseEvidence.open(office.hub.connect) as evidence:
        assert verify(evidence, office.hub.keys.ledger_public_key()).intact


def test_a_full_load_in_the_middle_of_many_look_ups_gives_no_error_and_no_wrong_answer(office: Office, token: str) -> None:
    """Also one under a contract of another shape, whose sealed part holds its fields in another order."""
    before = office.services.view.licences["licences"].place.oid
    turned = [f for f in LICENCES.fields if f.name not in ("holder_name", "home_address", "issued_on")]
    turned[3:3] = [
        Field("home_address", LogicalType.STRING, "home_address", personal=True),
        Field("holder_name", LogicalType.STRING, "holder_name", personal=True),
    ]
    stop = threading.Event()
    failures: list[str] = []
    asked = 0

    def look_up() -> None:
        nonlocal asked
        while not stop.is_set():
            holders = list(range(HOLDERS))
            for i, answer in zip(holders, asyncio.run(ask_many(office, token, holders)), strict=True):
                asked += 1
                if answer.status_code != 200:
                    failures.append(answer.text)
                    continue
                found = answer.json()["licences"]
                if [f["fields"]["licence_id"] for f in found] != expected(i):
                    failures.append(f"{i}: {found}")
                if any(f["fields"]["holder_name"] != name(i) for f in found):
                    failures.append(f"{i}: {found}")

    thread = threading.Thread(target=look_up)
    thread.start()
    try:
        for _ in range(2):
            assert office.made.collect("licences", full=True).state == "proved"
        office.put_in_force(replace(LICENCES, version="2.0.0", fields=tuple(turned)))
        assert office.made.collect("licences", full=True).state == "proved"
        office.put_in_force(replace(LICENCES, version="3.0.0"))
        assert office.made.collect("licences", full=True).state == "proved"
    finally:
        stop.set()
        thread.join(30)
    assert asked > HOLDERS
    assert failures == []
    office.refresh()
    assert office.services.view.licences["licences"].place.oid != before


def test_a_new_licence_is_answered_after_the_next_run(office: Office, token: str) -> None:
    insert(office.made.source_url, "licences", [licence(0, "T-ID", licence_id="L0-NEW")])
    assert office.made.collect("licences", full=True).state == "proved"
    try:
        assert licence_ids(office.ask(question(0), token)) == ["L0-NEW"]
    finally:
        office.made.source("DELETE FROM licences WHERE licence_id = 'L0-NEW'")
        assert office.made.collect("licences", full=True).state == "proved"


# Least privilege --------------------------------------------------------------------------------------------------------


def test_the_api_works_with_its_own_role_only(hub_db: str, empty_db: str, superuser_url: str, settings: Settings) -> None:
    database = hub_db.rsplit("/", 1)[1]
    url = superuser_url.rsplit("/", 1)[0] + f"/{database}?options=-c%20role%3Donedoor_api"
    fill(empty_db, 4)
    with an_office(settings.model_copy(update={"api_database_url": url}), empty_db) as office:
        held = office.token()
        assert licence_ids(office.ask(question(1), held)) == expected(1)
        assert office.ask(question(1, case_number="CASE-2"), held).content == REFUSED
        assert office.http.get("/health/ready").status_code == 200
        assert "onedoor_lookups" in office.http.get("/metrics").text
        assert office.made.collect("licences", full=True).state == "proved"
        assert licence_ids(office.ask(question(2), held)) == expected(2)
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("onedoor_api",)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("UPDATE trust.ledger SET kind = 'x'")
        with psycopg.connect(hub_db, autocommit=True) as owner:
            owner.execute("REVOKE INSERT ON trust.ledger FROM onedoor_api")
            assert code_of(office.ask(question(1), held)) == (503, "ledger.away")
            assert office.http.get("/health/ready").json()["checks"]["ledger"] == "ledger.away"
            owner.execute("GRANT INSERT ON trust.ledger TO onedoor_api")
        until(office, 200, question(1), held)
