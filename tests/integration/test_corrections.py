"""Corrections on a real hub: a collected row is disputed, its provider answers, a later run shows the change, all are told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from catalog_registry.records import Receiver, ReceiverKind
from console.cli import main, output
from exchange.corrections.duty import Corrections
from schemas.contract import Field, LogicalType
from schemas.odcs import write_contract
from tests.desk import PROVIDER, Desk, as_it_was, desk, eventually, told
from tests.hub import PEOPLE, PEOPLE_TABLE
from tests.office import CASES, LICENCES, PURPOSE, insert, licence, moved, name, number, question

__all__ = ["as_it_was", "desk"]

pytestmark = pytest.mark.timeout(120)

CONSUMERS = ("civil", "tax", "housing", "calm")
CONTENT = f"{name(1)} 的证照号码与原件不符，身份证 {number(1)}"


@pytest.fixture(scope="module", autouse=True)
def people(desk: Desk) -> None:
    """A consumer of each department with a grant for licences, and reviewers and officers besides those that are there."""
    registry = desk.office.hub.registry
    for code in ("housing", "calm"):
        registry.ensure_department(code, code)
    for code in CONSUMERS:
        desk.client(f"of_{code}", code, "consumer")
        desk.office.give(desk.clients[f"of_{code}"], items=())
    for named, department, *roles in (
        ("second", PROVIDER, "provider_reviewer"),
        ("mediator", "centre", "registration_officer"),
        ("ungranted", "nobody", "consumer"),
        ("both", PROVIDER, "consumer", "provider_reviewer"),
    ):
        registry.ensure_department(department, department)
        desk.client(named, department, *roles)
    desk.office.give(desk.clients["both"], items=())
    desk.office.refresh()


def ask(desk: Desk, by: str = "of_civil", *, key: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    body = {"resource": "licences", "type": "1", "content": CONTENT, "row": key}
    return desk.call("POST", "/corrections", by, **(body | more))


def asked(desk: Desk, row: str | None, by: str = "of_civil", **more: Any) -> str:
    """Return the path of a new request about a licence, or about all of them."""
    made = ask(desk, by, key=None if row is None else {"licence_id": row}, **more)
    assert made.status_code == 201, made.text
    return made.headers["location"].removeprefix("/api/v1")


def accepted(desk: Desk, row: str | None, by: str = "of_civil", **more: Any) -> str:
    path = asked(desk, row, by, **more)
    assert desk.step(path, "accept", "reviewer").status_code == 200
    return path


def look_up(desk: Desk, holder: int, by: str) -> None:
    answer = desk.office.ask(question(holder), desk.token(by))
    assert answer.status_code == 200, answer.text
    assert answer.json()["licences"]


def query(desk: Desk, by: str, resource: str = "licences", **more: Any) -> list[dict[str, Any]]:
    fields = ["licence_id", "licence_number"] if resource == "licences" else None
    body = {"purpose": PURPOSE, "operator": "job-7", "fields": fields} | more
    answer = desk.call("POST", f"/resources/{resource}/records/query", by, **body)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()][:-1]


def stored_hash(desk: Desk, row: str) -> str | None:
    found = desk.office.made.rows("SELECT encode(_row_hash, 'hex') FROM store.licences WHERE licence_id = %s", row)
    return found[0][0] if found else None


def mend(desk: Desk, row: str, value: str) -> str:
    """Correct a licence in the source, and collect; return the run."""
    desk.office.made.source(f"UPDATE licences SET licence_number = '{value}' WHERE licence_id = '{row}'")
    return collect(desk)


def collect(desk: Desk, resource: str = "licences") -> str:
    run = desk.office.made.collect(resource)
    assert run.state == "proved", run.error
    desk.office.refresh()
    return run.id


def do(desk: Desk) -> int:
    """Do what a worker does about corrections; where the hub's own worker is at it, it is done on return all the same."""
    return Corrections(desk.office.hub).do()


def notices(desk: Desk, path: str, kind: str) -> dict[str, bool]:
    """Return which departments were told, and whether it is sure that they received the row."""
    rows = desk.get(f"{path}/notices?limit=200", "officer").json()["notices"]
    found = {row["department"]: row["certain"] for row in rows if row["kind"] == kind}
    assert len(found) == len([row for row in rows if row["kind"] == kind])
    return found


def events(desk: Desk, subject: str) -> list[str]:
    rows = desk.office.made.rows("SELECT type FROM registry.outbox WHERE key = %s ORDER BY n", subject)
    return [row[0].removeprefix("onedoor.registry.") for row in rows]


def ledger(desk: Desk, kind: str) -> list[dict[str, Any]]:
    """Return the records of a kind, whoever wrote them."""
    return [json.loads(row[0]) for row in desk.office.made.rows("SELECT record FROM trust.ledger WHERE kind = %s", kind)]


# The whole way ----------------------------------------------------------------------------------------------------------


def test_a_wrong_row_is_disputed_corrected_and_all_who_received_it_are_told(desk: Desk) -> None:
    row = "L1-T-ID"
    look_up(desk, 1, "of_civil")
    assert query(desk, "of_tax", filter=f"licence_id = '{row}'") == [{"licence_id": row, "licence_number": "440221-1-T-ID"}]
    assert len(query(desk, "of_housing")) > 1
    look_up(desk, 2, "of_calm")
    wrong = stored_hash(desk, row)

    made = ask(desk, key={"licence_id": row}, fields=["licence_number"], evidence="原件扫描 2026-117")
    assert made.status_code == 201, made.text
    shown = made.json()
    assert (made.status_code, shown["state"], shown["assigned"], shown["row"]) == (201, "submitted", PROVIDER, row)
    assert (shown["hash_before"], shown["run_before"]) == (None, None)
    assert shown["words"] is None
    assert desk.get(f"/corrections/{shown['id']}", "of_civil").json()["words"] == {
        "content": CONTENT,
        "evidence": "原件扫描 2026-117",
        "key": {"licence_id": row},
    }
    assert (shown["clock"]["rule"], shown["clock"]["workdays"], shown["clock"]["department"]) == (
        "correction.answer",
        10,
        PROVIDER,
    )
    path = made.headers["location"].removeprefix("/api/v1")
    assert do(desk) == 0
    order = desk.step(path, "accept", "reviewer").json()
    assert (order["state"], order["hash_before"], order["clock"]["rule"]) == ("accepted", wrong, "correction.mend")
    assert shown["id"] in [c["id"] for c in desk.get("/corrections?state=accepted", "editor").json()["corrections"]]
    eventually(lambda: bool(notices(desk, path, "wrong")))
    assert notices(desk, path, "wrong") == {"civil": True, "tax": True, "housing": False}

    collect(desk)
    do(desk)
    assert desk.get(path, "of_civil").json()["state"] == "accepted"
    run = mend(desk, row, "440221-1-RIGHT")
    do(desk)
    closed = desk.get(path, "of_civil").json()
    assert (closed["state"], closed["outcome"], closed["run_after"], closed["clock"]) == ("closed", "changed", run, None)
    assert (closed["hash_before"], closed["hash_after"]) == (wrong, stored_hash(desk, row))
    assert closed["hash_after"] != wrong
    assert notices(desk, path, "corrected") == {"civil": True, "tax": True, "housing": False}
    assert do(desk) == 0

    steps = desk.get(f"{path}/history", "of_civil").json()["steps"]
    assert [(s["event"], s["from_state"], s["to_state"], s["by"]) for s in steps] == [
        ("ask", None, "submitted", desk.clients["of_civil"]),
        ("accept", "submitted", "accepted", desk.clients["reviewer"]),
        ("close", "accepted", "closed", "hub"),
    ]
    assert steps[-1]["detail"] == {
        name: closed[name] for name in ("outcome", "run_before", "run_after", "hash_before", "hash_after")
    }
    assert events(desk, closed["id"]) == ["correction.asked", "correction.accepted", "correction.closed"]
    (proof,) = [r for r in ledger(desk, "correction.close") if r["manifest"]["correction"] == closed["id"]]
    assert (proof["rows"], proof["manifest"]["hash_before"], proof["manifest"]["hash_after"]) == (
        [row],
        wrong,
        closed["hash_after"],
    )


def test_who_was_told_reads_which_answer_it_was_and_acknowledges(desk: Desk) -> None:
    look_up(desk, 3, "of_civil")
    path = accepted(desk, "L3-T-BIZ", "mediator")
    do(desk)
    correction = path.rpartition("/")[2]
    (mine,) = [
        n for n in desk.get("/corrections/notices?unread=yes", "of_civil").json()["notices"] if n["correction"] == correction
    ]
    assert (mine["kind"], mine["certain"], mine["row"], mine["detail"]["times"]) == ("wrong", True, "L3-T-BIZ", 1)
    assert mine["detail"]["cases"] == ["CASE-3"]
    (receipt,) = mine["detail"]["receipts"]
    looked_up = json.loads(
        desk.office.made.rows("SELECT record FROM trust.ledger WHERE chain = %s AND n = %s", receipt["chain"], receipt["n"])[0][
            0
        ]
    )
    assert (looked_up["kind"], looked_up["case"]) == ("licence.lookup", "CASE-3")
    acknowledge = f"/corrections/notices/{mine['id']}/acknowledge"
    assert told(desk.call("POST", acknowledge, "of_tax")) == (404, "notice.unknown")
    assert told(desk.call("POST", acknowledge, "auditor")) == (403, "registry.role")
    done = desk.call("POST", acknowledge, "of_civil").json()
    assert done["acknowledged_by"] == desk.clients["of_civil"]
    again = desk.call("POST", acknowledge, "of_civil").json()
    assert again == done
    assert mine["id"] not in [n["id"] for n in desk.get("/corrections/notices?unread=yes", "of_civil").json()["notices"]]
    assert events(desk, mine["id"]) == ["correction.told", "correction.acknowledged"]
    assert mine["id"] in [n["id"] for n in desk.get("/corrections/notices?limit=200", "auditor").json()["notices"]]


# What shows that a row changed ------------------------------------------------------------------------------------------


def test_a_row_that_is_gone_counts_as_changed(desk: Desk) -> None:
    path = accepted(desk, "L2-T-OTHER")
    desk.office.made.source("DELETE FROM licences WHERE licence_id = 'L2-T-OTHER'")
    run = collect(desk)
    do(desk)
    closed = desk.get(path, "of_civil").json()
    assert (closed["state"], closed["outcome"], closed["run_after"]) == ("closed", "gone", run)
    assert closed["hash_before"] is not None
    assert closed["hash_after"] is None


def test_a_row_that_is_missing_is_asked_for_without_being_told_so_and_closed_when_it_appears(desk: Desk) -> None:
    there, missing = (ask(desk, "of_tax", key={"licence_id": row}).json() for row in ("L1-T-OTHER", "L9-T-ID"))
    differ = {name for name in there if there[name] != missing[name]}
    assert differ == {"id", "row", "made_at", "changed_at", "clock"}
    path = f"/corrections/{missing['id']}"
    assert desk.step(path, "accept", "reviewer").json()["hash_before"] is None
    insert(desk.office.made.source_url, "licences", [licence(9, "T-ID")])
    collect(desk)
    do(desk)
    closed = desk.get(path, "of_tax").json()
    assert (closed["state"], closed["outcome"], closed["hash_after"]) == ("closed", "appeared", stored_hash(desk, "L9-T-ID"))


def test_what_was_mended_before_it_was_accepted_is_closed_by_the_run_that_is_there(desk: Desk) -> None:
    path = asked(desk, "L2-T-ID")
    run = mend(desk, "L2-T-ID", "440221-2-RIGHT")
    assert desk.step(path, "accept", "reviewer").status_code == 200
    do(desk)
    assert desk.get(path, "of_civil").json()["run_after"] == run


def test_two_workers_close_and_tell_once(desk: Desk) -> None:
    look_up(desk, 3, "of_calm")
    path = accepted(desk, "L3-T-ID")
    mend(desk, "L3-T-ID", "440221-3-RIGHT")
    threads = [threading.Thread(target=do, args=(desk,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    do(desk)
    correction = path.rpartition("/")[2]
    assert events(desk, correction).count("correction.closed") == 1
    for kind in ("correction.close", "correction.told"):
        kept = [r for r in ledger(desk, kind) if r["manifest"]["correction"] == correction]
        assert len({json.dumps(r["manifest"], sort_keys=True) for r in kept}) == len(kept)
    assert notices(desk, path, "corrected")["calm"] is True
    told_calm = "SELECT count(*) FROM registry.correction_notice WHERE correction = %s AND department = 'calm' AND kind = %s"
    assert desk.office.made.rows(told_calm, correction, "corrected") == [(1,)]


def test_what_waits_for_a_run_costs_the_same_however_much_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = desk.office.hub
    duty, opened = Corrections(hub), []
    connect = type(hub).connect

    def counted(of: Any, **more: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            opened.append(of)
        return connect(of, **more)

    monkeypatch.setattr(type(hub), "connect", counted)

    def asked_again() -> int:
        duty.do()
        duty.do()
        opened.clear()
        assert duty.do() == 0
        return len(opened)

    waiting = {"of_housing": accepted(desk, "L8-T-ID", "of_housing")}
    one = asked_again()
    waiting |= {by: accepted(desk, "L8-T-ID", by) for by in ("of_calm", "of_civil")}
    assert asked_again() == one
    for by, path in waiting.items():
        assert desk.step(path, "withdraw", by).json()["state"] == "withdrawn"


def test_nothing_is_closed_or_told_without_its_record(desk: Desk) -> None:
    path = accepted(desk, "L3-T-OTHER", "of_housing")
    ident = path.rpartition("/")[2]
    do(desk)
    registry = desk.office.hub.registry
    with moved(desk.office, "trust.ledger"):
        mend(desk, "L3-T-OTHER", "440221-3-OTHER")
        assert do(desk) == 0
        assert registry.correction(ident).state == "accepted"
    assert "correction.closed" not in events(desk, ident)
    do(desk)
    assert registry.correction(ident).state == "closed"
    assert [r["manifest"]["correction"] for r in ledger(desk, "correction.close")].count(ident) == 1


def test_of_a_resource_that_is_read_by_a_cursor_only_a_run_that_wrote_the_row_closes(desk: Desk) -> None:
    office = desk.office

    def change(row: int, town: str) -> str:
        office.made.source(f"UPDATE people SET town = '{town}', updated_at = clock_timestamp() WHERE id = {row}")
        return collect(desk, "people")

    def state(path: str) -> tuple[str, str | None, str | None]:
        do(desk)
        found = desk.get(path, "officer").json()
        return found["state"], found["outcome"], found["run_after"]

    rows = ", ".join(f"({i}, '{name(i)}', '{number(i)}', 'Maba', clock_timestamp())" for i in range(1, 6))
    office.made.source(PEOPLE_TABLE, f"INSERT INTO people VALUES {rows}")
    office.made.register(PEOPLE)
    collect(desk, "people")
    change(5, "Zhangshi")
    paths = []
    for row in (1, 2, 3):
        made = ask(desk, "officer", resource="people", key={"id": str(row)}, fields=["town"]).json()
        paths.append(f"/corrections/{made['id']}")
        assert desk.step(paths[-1], "accept", "reviewer").status_code == 200
    with psycopg.connect(office.settings.database_url) as connection:
        connection.execute("UPDATE store.people SET _row_hash = decode(repeat('00', 16), 'hex') WHERE id = 1")
        connection.execute("DELETE FROM store.people WHERE id = 3")
    assert [state(path)[0] for path in paths] == ["accepted"] * 3
    change(5, "Maba")
    assert [state(path)[0] for path in paths[:2]] == ["accepted"] * 2
    run = change(1, "Wushi")
    assert state(paths[0]) == ("closed", "changed", run)
    run = change(2, "a name of a town that is too long for it")
    assert state(paths[1]) == ("closed", "gone", run)


def test_hashes_under_a_contract_of_other_fields_prove_nothing_and_the_provider_names_the_run(desk: Desk) -> None:
    office = desk.office
    kept = replace(CASES, name="parcels", table="parcels", case_role=None, title="parcels")  # type: ignore[arg-type]
    office.made.source("CREATE TABLE parcels AS SELECT *, 'x'::text AS note FROM market_cases")
    office.made.register(kept)
    collect(desk, "parcels")
    path = f"/corrections/{ask(desk, 'officer', resource='parcels', key={'case_number': 'CASE-1'}).json()['id']}"
    assert desk.step(path, "accept", "reviewer").status_code == 200
    refused = desk.step(path, "resolve", "reviewer", why="全部重新采集")
    assert told(refused) == (422, "correction.no_later_run")
    run = collect(desk, "parcels")
    assert told(desk.step(path, "resolve", "reviewer", why="全部重新采集")) == (422, "correction.proved_by_run")
    more = replace(kept, version="1.1.0", fields=(*kept.fields, Field("note", LogicalType.STRING, "note")))
    office.hub.registry.register_resource(write_contract(more), by="test")
    run = collect(desk, "parcels")
    do(desk)
    assert desk.get(path, "officer").json()["state"] == "accepted"
    done = desk.step(path, "resolve", "reviewer", why="全部重新采集").json()
    assert (done["state"], done["outcome"], done["run_after"]) == ("closed", "declared", run)


def test_a_whole_resource_is_closed_by_the_provider_with_a_later_run_and_all_its_receivers_are_told(desk: Desk) -> None:
    earlier = collect(desk)
    collect(desk)
    query(desk, "of_housing", filter="licence_id = 'L1-T-BIZ'")
    look_up(desk, 2, "of_calm")
    path = asked(desk, None, "of_tax", type="2", content="去年的证照都没有有效期")
    assert told(ask(desk, "of_tax", type="3", content="again")) == (422, "correction.open")
    assert desk.step(path, "accept", "reviewer").json()["row"] is None
    do(desk)
    assert {"housing", "calm"} <= notices(desk, path, "wrong").keys()
    assert told(desk.step(path, "resolve", "reviewer", why="mended")) == (422, "correction.no_later_run")
    run = collect(desk)
    do(desk)
    assert desk.get(path, "of_tax").json()["state"] == "accepted"
    assert told(desk.step(path, "resolve", "reviewer", why="mended", run=earlier)) == (422, "correction.no_later_run")
    assert told(desk.step(path, "resolve", "reviewer", why="mended", run="r0nothing")) == (422, "correction.no_later_run")
    done = desk.step(path, "resolve", "reviewer", why="mended", run=run).json()
    assert (done["state"], done["outcome"], done["run_after"]) == ("closed", "declared", run)
    do(desk)
    assert {"housing", "calm"} <= notices(desk, path, "corrected").keys()


def test_an_accepted_request_that_is_taken_back_is_told_to_those_who_were_told(desk: Desk) -> None:
    look_up(desk, 1, "of_calm")
    path = accepted(desk, "L1-T-BIZ", "of_civil")
    do(desk)
    assert notices(desk, path, "wrong")["calm"] is True
    assert desk.step(path, "withdraw", "of_civil", why="I read it wrong").json()["state"] == "withdrawn"
    look_up(desk, 1, "of_tax")
    do(desk)
    assert notices(desk, path, "dropped") == notices(desk, path, "wrong")
    assert do(desk) == 0
    mend(desk, "L1-T-BIZ", "440221-1-OTHER")
    do(desk)
    assert desk.get(path, "of_civil").json()["state"] == "withdrawn"


# Who received it --------------------------------------------------------------------------------------------------------


def test_only_those_are_told_whose_grant_gives_the_row_and_the_field(desk: Desk) -> None:
    registry = desk.office.hub.registry
    row = "L2-T-BIZ"
    for code, terms in (
        ("filtered_out", {"row_filter": "licence_type = 'T-ID'"}),
        ("filtered_in", {"row_filter": "licence_type = 'T-BIZ'"}),
        ("other_field", {"fields": ("licence_id", "issued_on")}),
        ("one_other", {}),
        ("none_found", {}),
    ):
        registry.ensure_department(code, code)
        desk.client(f"of_{code}", code, "consumer")
        desk.office.give(desk.clients[f"of_{code}"], **({"items": (), "fields": ("licence_id", "licence_number")} | terms))
    desk.office.refresh()
    for code in ("filtered_out", "filtered_in"):
        assert query(desk, f"of_{code}")
    assert query(desk, "of_other_field", fields=["licence_id", "issued_on"])
    assert len(query(desk, "of_one_other", filter="licence_id = 'L1-T-ID'")) == 1
    assert query(desk, "of_none_found", filter="licence_id = 'no such'") == []
    path = accepted(desk, row, "officer", fields=["licence_number"])
    do(desk)
    found = notices(desk, path, "wrong")
    assert found.get("filtered_in") is False
    assert not found.keys() & {"filtered_out", "other_field", "one_other", "none_found"}


def test_who_gets_a_grant_with_a_row_filter_while_it_is_disputed_is_told_of_its_end_too(desk: Desk) -> None:
    row = "L3-T-BIZ"
    path = asked(desk, row, "of_calm")

    def granted(code: str, row_filter: str) -> None:
        desk.office.hub.registry.ensure_department(code, code)
        desk.client(f"of_{code}", code, "consumer")
        desk.office.give(desk.clients[f"of_{code}"], items=(), fields=("licence_id", "licence_number"), row_filter=row_filter)
        desk.office.refresh()
        assert query(desk, f"of_{code}")

    granted("since_asked", "licence_type = 'T-BIZ'")
    granted("since_asked_others", "licence_type = 'T-ID'")
    assert desk.step(path, "accept", "reviewer").status_code == 200
    do(desk)
    eventually(lambda: bool(notices(desk, path, "wrong")))
    wrong = notices(desk, path, "wrong")
    assert wrong.get("since_asked") is False
    assert "since_asked_others" not in wrong
    granted("since_told", "licence_type = 'T-BIZ'")
    mend(desk, row, "440221-3-MENDED")
    do(desk)
    eventually(lambda: bool(notices(desk, path, "corrected")))
    corrected = notices(desk, path, "corrected")
    assert corrected.keys() >= wrong.keys() | {"since_told"}


def test_a_row_whose_key_is_personal_is_named_by_its_pseudonym_and_found_in_the_ledger(desk: Desk) -> None:
    office = desk.office
    fields = tuple(replace(f, key=1 if f.name == "holder_number" else None, required=True) for f in LICENCES.fields)
    people_of = replace(LICENCES, name="holders", table="holders", fields=fields, title="holders")  # type: ignore[arg-type]
    office.made.source("CREATE TABLE holders AS SELECT * FROM licences WHERE licence_type = 'T-ID'")
    office.made.register(people_of)
    collect(desk, "holders")
    now = office.hub.clock.now()
    office.hub.registry.make_grant(
        Receiver(ReceiverKind.DEPARTMENT, "housing"),
        "holders",
        ("licence_number",),
        legal_basis="a law",
        from_at=now - timedelta(days=1),
        to_at=now + timedelta(days=1),
        by="test",
        purposes=(PURPOSE,),
    )
    office.refresh()
    look_up(desk, 1, "of_housing")
    made = ask(desk, "of_housing", resource="holders", key={"holder_number": number(1).lower()})
    shown = made.json()
    assert made.status_code == 201, made.text
    assert number(1) not in shown["row"]
    assert len(shown["row"]) == 32
    path = made.headers["location"].removeprefix("/api/v1")
    assert desk.step(path, "accept", "reviewer").json()["hash_before"] is not None
    do(desk)
    assert notices(desk, path, "wrong") == {"housing": True}
    for table in ("registry.correction", "registry.correction_history", "registry.correction_notice", "registry.outbox"):
        assert not [row for row in office.made.rows(f"SELECT * FROM {table}") if number(1) in str(row)], table


def test_a_row_is_named_by_the_answer_that_gave_it_without_its_key(desk: Desk) -> None:
    answer = desk.office.ask(question(2), desk.token("of_housing")).json()
    place = 1 + [one["fields"].get("licence_id") for one in answer["licences"]].index("L2-T-ID")
    receipt = {"chain": answer["receipt"]["chain"], "n": answer["receipt"]["n"], "place": place}
    for by, wrong in (
        ("of_tax", receipt),
        ("of_housing", receipt | {"place": 9}),
        ("of_housing", receipt | {"n": receipt["n"] + 1000}),
        ("of_housing", receipt | {"chain": "no such"}),
    ):
        assert told(ask(desk, by, answer=wrong)) == (422, "correction.answer")
    assert told(ask(desk, "of_housing", key={"licence_id": "L1"}, answer=receipt)) == (422, "correction.key")
    assert told(ask(desk, "of_housing", answer={"chain": "c", "n": -1})) == (400, "request.body")
    made = ask(desk, "of_housing", answer=receipt)
    assert (made.status_code, made.json()["row"]) == (201, "L2-T-ID")
    path = f"/corrections/{made.json()['id']}"
    assert desk.get(path, "of_housing").json()["words"] == {"content": CONTENT, "evidence": None, "key": None}
    order = desk.step(path, "accept", "reviewer").json()
    assert order["hash_before"] == stored_hash(desk, "L2-T-ID")
    mend(desk, "L2-T-ID", "440221-2-AGAIN")
    do(desk)
    assert desk.get(path, "of_housing").json()["outcome"] == "changed"


# Who may ----------------------------------------------------------------------------------------------------------------


def test_who_may_ask(desk: Desk) -> None:
    row = {"licence_id": "L3-T-OTHER"}
    assert told(ask(desk, "ungranted", key=row)) == (403, "correction.no_grant")
    assert told(ask(desk, "reviewer", key=row)) == (403, "registry.role")
    assert told(ask(desk, "auditor", key=row)) == (403, "registry.role")
    assert told(ask(desk, "of_calm", key=row, fields=["home_address"])) == (422, "correction.field")
    assert told(ask(desk, "of_calm", key=row, type="4")) == (422, "correction.type")
    assert told(ask(desk, "of_calm", key=row, content=" ")) == (422, "registry.empty")
    assert told(ask(desk, "of_calm", key={"licence_number": "x"})) == (422, "correction.key")
    assert told(ask(desk, "of_calm", resource="hidden", key=row)) == (404, "resource.unknown")
    assert told(ask(desk, "of_calm", resource="market_cases", key={"case_number": "CASE-1"})) == (403, "correction.no_grant")
    refusals = [r for r in ledger(desk, "registry.correction") if r["outcome"] == "refused"]
    assert {r["reason"] for r in refusals} >= {"ask:correction.no_grant", "ask:registry.role"}
    assert ask(desk, "of_calm", key=row, fields=["holder_name"]).status_code == 201
    assert ask(desk, "officer", key=row, fields=["home_address"]).status_code == 201


def test_who_may_see_and_answer(desk: Desk) -> None:
    path = asked(desk, "L1-T-BIZ", "of_calm")
    for by in ("stranger", "of_tax", "observer@civil", f"observer@{PROVIDER}"):
        assert told(desk.get(path, by)) == (404, "correction.unknown")
    for by in ("of_calm", "editor", "reviewer", "officer", "auditor", f"security_officer@{PROVIDER}"):
        assert desk.get(path, by).status_code == 200, by
        assert path.rpartition("/")[2] in [c["id"] for c in desk.get("/corrections?limit=200", by).json()["corrections"]], by
    assert told(desk.get(f"{path}/notices", "of_calm")) == (403, "registry.role")
    assert told(desk.step(path, "accept", "of_calm")) == (403, "registry.role")
    assert told(desk.step(path, "accept", "officer")) == (403, "registry.role")
    assert told(desk.call("POST", f"{path}/accept", "reviewer")) == (428, "request.if_match")
    assert told(desk.call("POST", f"{path}/accept", "reviewer", tag='"7"')) == (412, "registry.conflict")
    assert told(desk.step(path, "refuse", "reviewer", why=" ")) == (422, "registry.empty")
    assert told(desk.step(path, "refuse", "reviewer", why=f"{number(1)} 的证照无误")) == (422, "correction.personal")
    assert told(desk.step(path, "uphold", "officer", why="x")) == (409, "correction.state")
    assert told(desk.step(path, "withdraw", "officer")) == (403, "registry.other_department")
    assert told(desk.call("POST", f"{path}/close", "officer", tag='"1"')) == (404, "request.path")
    assert desk.step(path, "withdraw", "of_calm").json()["state"] == "withdrawn"
    assert told(desk.step(path, "accept", "reviewer")) == (409, "correction.state")


def test_who_asked_does_not_answer_and_who_answered_does_not_decide(desk: Desk) -> None:
    own = asked(desk, "L1-T-BIZ", "both")
    assert told(desk.step(own, "accept", "both")) == (403, "registry.two_persons")
    path = asked(desk, "L1-T-ID", "officer")
    assert told(desk.step(path, "hand-over", "officer", why="moved", department="tax")) == (403, "registry.two_persons")
    handed = desk.step(path, "hand-over", "mediator", why="moved", department="tax").json()
    assert (handed["assigned"], handed["state"]) == ("tax", "submitted")
    assert told(desk.step(path, "refuse", "reviewer", why="right")) == (403, "registry.other_department")
    assert desk.step(path, "refuse", "stranger", why="与原件一致").json()["state"] == "refused"
    assert told(desk.call("POST", f"{path}/contest", "of_civil", tag='"3"', why="no")) == (404, "correction.unknown")
    contested = desk.step(path, "contest", "officer", why="the paper says otherwise").json()
    assert (contested["state"], contested["clock"]["rule"], contested["clock"]["department"]) == (
        "contested",
        "correction.mediate",
        None,
    )
    assert told(desk.step(path, "overrule", "officer", why="I say so")) == (403, "registry.two_persons")
    assert desk.step(path, "overrule", "mediator", why="the paper is right").json()["state"] == "accepted"


def test_a_contested_refusal_that_stands_is_at_its_end(desk: Desk) -> None:
    path = asked(desk, "L2-T-ID", "of_calm")
    assert desk.step(path, "refuse", "reviewer", why="与原件一致").json()["state"] == "refused"
    assert desk.step(path, "contest", "of_calm", why="看不清").json()["state"] == "contested"
    done = desk.step(path, "uphold", "officer", why="both papers were seen").json()
    assert (done["state"], done["clock"], done["decided_by"]) == ("upheld", None, desk.clients["officer"])
    do(desk)
    assert notices(desk, path, "wrong") == {}


def test_what_is_late_is_listed_by_who_has_it(desk: Desk) -> None:
    path = asked(desk, "L1-T-OTHER", "of_civil")
    correction = path.rpartition("/")[2]
    assert correction not in str(desk.get("/corrections/late", "officer").json())
    desk.office.clock.shift = timedelta(days=40)
    departments = {one["department"]: one for one in desk.get("/corrections/late", "officer").json()["departments"]}
    (late,) = [c for c in departments[PROVIDER]["corrections"] if c["id"] == correction]
    assert late["clock"]["state"] == "late"
    assert late["clock"]["left"] < 0
    assert departments[PROVIDER]["late"] >= 1
    assert correction not in str(desk.get("/corrections/late", "of_tax").json())


def test_lists_are_given_in_pages_and_chosen_by_state_and_resource(desk: Desk) -> None:
    whole = [c["id"] for c in desk.get("/corrections?limit=200", "auditor").json()["corrections"]]
    found: list[str] = []
    after = ""
    while True:
        page = desk.get(f"/corrections?limit=3{after}", "auditor").json()
        found += [c["id"] for c in page["corrections"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == whole
    assert len(whole) > 3
    chosen = desk.get("/corrections?limit=200&state=upheld&resource=licences", "auditor").json()["corrections"]
    assert {(c["state"], c["resource"]) for c in chosen} == {("upheld", "licences")}
    for wrong in ("state=lost", "resource=NO", "colour=red"):
        assert told(desk.get(f"/corrections?{wrong}", "auditor")) == (400, "request.page")


# By the command line ----------------------------------------------------------------------------------------------------


@pytest.fixture
def onedoor(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """The command line on the hub of the desk: exit code, answer, error."""
    monkeypatch.setenv("ONEDOOR_HOME", str(desk.office.settings.home))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", desk.office.settings.database_url)

    def run(*argv: str, fails: int = 0) -> Any:
        capsys.readouterr()
        code = output.run(main.build(), ["correction", *argv])
        said = capsys.readouterr()
        assert code == fails, said.err
        if fails == 1:
            return json.loads(said.err.splitlines()[-1])
        return json.loads(said.out) if "--json" in argv and not fails else said.out

    return run


def test_the_whole_way_by_the_command_line(desk: Desk, onedoor: Callable[..., Any], tmp_path: Path) -> None:
    look_up(desk, 3, "of_tax")
    key = tmp_path / "key.txt"
    key.write_text("L3-T-ID\n", "utf-8")
    made = onedoor(
        *("add", "licences", "--as", "of_housing", "--type", "1", "--row", f"licence_id=@{key}", "--field", "licence_number"),
        *("--content", CONTENT, "--evidence", "原件", "--json"),
    )
    assert (made["state"], made["row"], "sealed" in made, "row_key" in made) == ("submitted", "L3-T-ID", False, False)
    ident = made["id"]
    listed = onedoor("list", "--resource", "licences", "--state", "submitted", "--json")
    (clock,) = [c["clock"] for c in listed if c["id"] == ident]
    assert (clock["rule"], clock["left"] > 0) == ("correction.answer", True)
    assert ident in onedoor("list")
    assert onedoor("refuse", ident, "--as", "reviewer", "--why", "与原件一致", "--json")["state"] == "refused"
    assert "the centre decides it" in onedoor("contest", ident, "--as", "of_housing", "--why", "看不清")
    assert onedoor("overrule", ident, "--as", "mediator", "--why", "原件为准", "--json")["state"] == "accepted"
    assert onedoor("hand-over", ident, "tax", "--as", "mediator", "--why", "moved", "--json")["assigned"] == "tax"
    run = mend(desk, "L3-T-ID", "440221-3-CLI")
    do(desk)
    shown = onedoor("show", ident, "--json")
    assert (shown["correction"]["outcome"], shown["correction"]["run_after"], shown["words"]) == ("changed", run, None)
    assert [s["event"] for s in shown["history"]] == ["ask", "refuse", "contest", "overrule", "hand_over", "close"]
    words = onedoor("show", ident, "--reveal", "--reason", "复核", "--json")["words"]
    assert words == {"content": CONTENT, "evidence": "原件", "key": {"licence_id": "L3-T-ID"}}
    (read,) = [r for r in ledger(desk, "correction.read") if r["manifest"]["correction"] == ident]
    assert read["reason"] == "复核"
    said = onedoor("show", ident)
    assert all(word in said for word in ("closed (version 6), changed", run, shown["correction"]["hash_after"], "--reveal"))
    assert number(1) not in said
    told_tax = [n for n in onedoor("notices", "--correction", ident, "--json") if n["department"] == "tax"]
    (notice,) = [n for n in told_tax if n["kind"] == "corrected"]  # that it is wrong is told where a worker was quick
    assert notice["id"] in onedoor("notices", "--department", "tax", "--unread")
    assert onedoor("acknowledge", notice["id"], "--as", "of_tax") == f"notice {notice['id']} is acknowledged\n"
    assert notice["id"] not in onedoor("notices", "--department", "tax", "--unread")


def test_the_key_of_a_row_that_was_named_by_an_answer_is_revealed_with_a_reason(
    desk: Desk,
    onedoor: Callable[..., Any],
) -> None:
    answer = desk.office.ask(question(2), desk.token("of_housing")).json()
    place = 1 + [one["resource"] for one in answer["licences"]].index("holders")
    named = f"{answer['receipt']['chain']}/{answer['receipt']['n']}/{place}"
    ident = onedoor("add", "holders", "--as", "of_housing", "--answer", named, "--content", "x", "--json")["id"]
    shown = onedoor("show", ident, "--reveal", "--reason", "复核", "--json")
    assert shown["words"]["key"] == {"holder_number": number(2)}
    assert number(2) not in str(shown["correction"])
    onedoor("add", "holders", "--as", "of_housing", "--answer", "no-number", "--content", "x", fails=2)


def test_the_command_line_withdraws_resolves_and_tells_what_is_wrong(desk: Desk, onedoor: Callable[..., Any]) -> None:
    ident = onedoor("add", "licences", "--as", "of_calm", "--type", "3", "--content", "全部", "--json")["id"]
    assert onedoor("withdraw", ident, "--as", "of_calm") == f"correction {ident} is withdrawn\n"
    ident = onedoor("add", "licences", "--as", "of_calm", "--type", "2", "--content", "全部", "--json")["id"]
    onedoor("accept", ident, "--as", "reviewer")
    run = collect(desk)
    assert (
        onedoor("resolve", ident, "--as", "reviewer", "--why", "全部重新采集") == f"correction {ident} is closed by run {run}\n"
    )
    assert onedoor("accept", ident, "--as", "reviewer", "--json", fails=1)["code"] == "correction.state"
    assert onedoor("show", "k0nothing", "--json", fails=1)["code"] == "correction.unknown"
    onedoor("show", ident, "--reveal", fails=2)
    onedoor("add", "licences", "--as", "of_calm", "--content", "x", "--row", "L1", fails=2)
    named = ("add", "licences", "--as", "of_calm", "--content", "x", "--row", f"licence_id={number(1)}", "--json")
    assert onedoor(*named, fails=1)["code"] == "correction.personal"


def test_what_is_late_is_listed_by_the_command_line(
    desk: Desk,
    onedoor: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ident = onedoor("add", "licences", "--as", "of_tax", "--row", "licence_id=L2-T-BIZ", "--content", "x", "--json")["id"]
    assert ident not in onedoor("late")
    now = datetime.now(UTC)
    monkeypatch.setenv("ONEDOOR_CLOCK", f"{(now + timedelta(days=40)).isoformat()}@{now.isoformat()}")
    (late,) = [c for c in onedoor("late", "--json") if c["id"] == ident]
    assert (late["clock"]["state"], late["clock"]["department"]) == ("late", PROVIDER)
    assert ident in onedoor("late")


# What is kept -----------------------------------------------------------------------------------------------------------


def test_what_was_written_is_sealed_and_each_reading_is_on_record(desk: Desk) -> None:
    path = asked(desk, "L2-T-ID", "of_housing", evidence=f"见 {number(2)} 的原件")
    correction = path.rpartition("/")[2]
    assert desk.get(path, "auditor").json()["words"]["evidence"] == f"见 {number(2)} 的原件"
    reads = [r for r in ledger(desk, "correction.read") if r["manifest"]["correction"] == correction]
    assert [r["principal"] for r in reads] == [desk.clients["auditor"]]
    plain = (CONTENT.encode(), name(1).encode(), number(1).encode(), number(2).encode())
    for table in ("registry.correction", "registry.correction_history", "registry.outbox", "trust.ledger"):
        for (row,) in desk.office.made.rows(f"SELECT convert_to(t::text, 'UTF8') || coalesce(%s, '') FROM {table} t", b""):
            assert not [text for text in plain if text in bytes(row)], table
    sealed = "SELECT sealed FROM registry.correction"
    assert not [1 for (blob,) in desk.office.made.rows(sealed) if any(text in bytes(blob) for text in plain)]


def test_the_role_of_steps_changes_neither_what_was_asked_nor_its_proof(desk: Desk) -> None:
    asked(desk, "L3-T-ID", "of_tax")
    with psycopg.connect(desk.registry_url, autocommit=True) as connection:
        for statement in (
            "UPDATE registry.correction SET hash_before = NULL",
            "UPDATE registry.correction SET hash_after = '\\x00'",
            "UPDATE registry.correction SET sealed = '\\x00'",
            "UPDATE registry.correction SET row_key = NULL",
            "DELETE FROM registry.correction",
            "UPDATE registry.correction_history SET why = 'x'",
            "INSERT INTO registry.correction_notice SELECT * FROM registry.correction_notice",
            "UPDATE registry.correction_notice SET department = 'tax'",
            "SELECT _row_hash FROM store.licences",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    with psycopg.connect(desk.office.settings.database_url, autocommit=True) as connection:
        with pytest.raises(psycopg.Error, match="append-only"):
            connection.execute("UPDATE registry.correction_history SET why = 'x'")
        with pytest.raises(psycopg.errors.CheckViolation, match="asker_does_not_answer"):
            connection.execute("UPDATE registry.correction SET answered_by = asker")
