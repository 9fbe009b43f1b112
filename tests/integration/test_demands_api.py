"""Demands, overdue answers, usage and ratings by HTTP, with the database roles of an installation: who sees and does what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from catalog_registry.records import Receiver, ReceiverKind
from exchange.trust.usage import count_usage
from schemas.clock import CHINA
from tests.desk import DEPARTMENTS, PROVIDER, ROLES, Desk, as_it_was, desk, told
from tests.office import PURPOSE, question

__all__ = ["as_it_was", "desk"]

ASKED: dict[str, Any] = {
    "title": "养老机构床位",
    "description": "办理入住时核对空余床位",
    "fields": ["机构名称", "空余床位"],
    "legal_basis": "国令809",
    "purposes": [PURPOSE],
    "cycle": "每日",
}
WATCHERS = {
    "officer",
    "auditor",
    *(f"{role}@{d}" for role in ("registration_officer", "security_officer", "auditor") for d in DEPARTMENTS),
}


@pytest.fixture(scope="module")
def given(desk: Desk) -> Desk:
    """The desk, where civil affairs may look licences up and query them."""
    desk.office.give(desk.clients["clerk"], fields=("licence_id", "state"), items=("ITEM-1",))
    desk.office.refresh()
    return desk


def demanded(desk: Desk, by: str = "clerk", **more: Any) -> str:
    """Return the path of a new demand."""
    made = desk.call("POST", "/demands", by, **(ASKED | more))
    assert made.status_code == 201, made.text
    return made.headers["location"].removeprefix("/api/v1")


def assigned(desk: Desk, to: str = PROVIDER) -> str:
    path = demanded(desk)
    assert desk.step(path, "appoint", "officer", department=to).json()["state"] == "assigned"
    return path


def everybody() -> list[str]:
    return [f"{role}@{department}" for department in DEPARTMENTS for role in ROLES]


def may(answer: httpx.Response) -> bool:
    assert answer.status_code in (200, 403, 404), answer.text
    return answer.status_code == 200


# Demands ----------------------------------------------------------------------------------------------------------------


def test_from_a_demand_to_its_resource_by_http_and_each_step_is_on_record(desk: Desk) -> None:
    path = demanded(desk)
    shown = desk.get(path, "clerk")
    assert (shown.headers["etag"], shown.json()["state"], shown.json()["cycle"]) == ('"1"', "submitted", "3")
    assert shown.json()["clock"]["rule"] == "demand.appoint"
    assert desk.step(path, "appoint", "officer", department=PROVIDER).json()["clock"]["department"] == PROVIDER
    promised = desk.step(path, "accept", "reviewer", promised_on="2031-12-31")
    assert (promised.json()["state"], promised.json()["promised_on"]) == ("accepted", "2031-12-31")
    assert (promised.json()["clock"]["rule"], promised.json()["clock"]["due"]) == ("demand.promised", "2031-12-31")
    done = desk.step(path, "fulfil", "editor", resource="licences")
    assert (done.status_code, done.json()["resource"], done.json()["clock"]) == (200, "licences", None)
    steps = desk.get(f"{path}/history", "auditor").json()["steps"]
    assert [(s["event"], s["to_state"]) for s in steps] == [
        ("ask", "submitted"),
        ("appoint", "assigned"),
        ("accept", "accepted"),
        ("fulfil", "fulfilled"),
    ]
    kept = [r for r in desk.office.ledger("registry.demand") if r["manifest"]["demand"] == done.json()["id"]]
    assert [(r["outcome"], r["principal"], r["manifest"]["event"]) for r in kept] == [
        ("done", desk.clients[by], event)
        for by, event in (("clerk", "ask"), ("officer", "appoint"), ("reviewer", "accept"), ("editor", "fulfil"))
    ]


def test_each_refusal_of_a_demand_is_a_problem_of_its_own_status(desk: Desk) -> None:
    path = assigned(desk)
    accept = f"{path}/accept"
    assert told(desk.call("POST", accept, "reviewer", promised_on="2098-01-01")) == (428, "request.if_match")
    assert told(desk.call("POST", accept, "reviewer", tag='"1"', promised_on="2098-01-01")) == (412, "registry.conflict")
    assert told(desk.step(path, "accept", "reviewer", promised_on="2020-01-01")) == (422, "demand.day_over")
    assert told(desk.step(path, "accept", "reviewer", promised_on="9999-12-31")) == (422, "demand.day_far")
    assert told(desk.step(path, "accept", "reviewer", promised_on="soon")) == (400, "request.body")
    assert told(desk.step(path, "fulfil", "reviewer", resource="licences")) == (409, "demand.state")
    assert told(desk.step(path, "refuse", "reviewer", basis_kind="9", why="x")) == (422, "demand.basis")
    assert told(desk.call("POST", "/demands", "officer", **ASKED)) == (403, "registry.role")
    assert told(desk.call("POST", "/demands", "clerk", **(ASKED | {"fields": []}))) == (422, "demand.no_field")
    assert told(desk.get("/demands/d0nothing", "officer")) == (404, "demand.unknown")
    assert told(desk.get(path, "stranger")) == (404, "demand.unknown")
    assert told(desk.get("/demands?state=open", "clerk")) == (400, "request.state")
    assert desk.office.ledger("registry.demand")[-1]["reason"] == "ask:registry.role"
    assert desk.get(path, "clerk").headers["etag"] == '"2"'


def test_the_three_lists_are_for_every_account_and_the_whole_of_a_demand_is_not(desk: Desk) -> None:
    path = assigned(desk)
    assert desk.step(path, "refuse", "reviewer", basis_kind="法律法规", why="统计法第二十五条").status_code == 200
    kept = assigned(desk)
    assert desk.step(kept, "accept", "reviewer", promised_on="2031-12-31").status_code == 200
    ids = [p.rsplit("/", 1)[1] for p in (path, kept)]
    for by in (f"{role}@tax" for role in ROLES):
        lines = {d["id"]: d for d in desk.get("/demands?limit=200", by).json()["demands"]}
        assert (lines[ids[0]]["state"], lines[ids[0]]["refusal"]) == ("refused", "统计法第二十五条")
        assert "description" not in lines[ids[0]]
        promised = desk.get(f"/demands/responsibility?department={PROVIDER}&limit=200", by).json()["demands"]
        assert ids[1] in [d["id"] for d in promised]
        negative = desk.get("/demands/negative?limit=200", by).json()["negatives"]
        assert f"demand/{ids[0]}" in [n["key"] for n in negative]
    see = {by for by in everybody() if may(desk.get(path, by))}
    take_part = {f"{role}@{d}" for role in ("provider_editor", "provider_reviewer", "consumer") for d in (PROVIDER, "civil")}
    assert see == take_part | (WATCHERS & set(everybody()))
    assert {by for by in everybody() if may(desk.get(f"{path}/history", by))} == see


def test_the_lists_come_in_pages_without_a_gap_or_a_thing_twice(desk: Desk) -> None:
    for _ in range(3):
        path = assigned(desk)
        assert desk.step(path, "refuse", "reviewer", basis_kind="4", why="x").status_code == 200
    for path, name, key in (("/demands", "demands", "id"), ("/demands/negative", "negatives", "key")):
        whole = [row[key] for row in desk.get(f"{path}?limit=200", "clerk").json()[name]]
        found: list[str] = []
        after = ""
        while True:
            page = desk.get(f"{path}?limit=2{after}", "clerk").json()
            found += [row[key] for row in page[name]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert found == whole
        assert len(whole) >= 3


def test_who_may_take_which_step_of_a_demand(desk: Desk) -> None:
    # Each tries on a version that is not there: who may is told of the conflict, who may not is denied, or sees no demand.
    fresh = assigned(desk)
    bodies: dict[str, dict[str, Any]] = {
        "appoint": {"department": "tax"},
        "return": {"why": "x"},
        "accept": {"promised_on": "2031-12-31"},
        "refuse": {"basis_kind": "1", "why": "x"},
        "fulfil": {"resource": "licences"},
        "cancel": {},
    }
    able: dict[str, set[str]] = {}
    for what, body in bodies.items():
        able[what] = set()
        for by in everybody():
            answer = desk.call("POST", f"{fresh}/{what}", by, tag='"99"', **body)
            assert answer.status_code in (412, 403, 404), answer.text
            if answer.status_code == 412:
                able[what].add(by)
    centre = {f"registration_officer@{d}" for d in DEPARTMENTS}
    assert able == {
        "appoint": centre,
        "return": centre,
        "accept": {f"provider_reviewer@{PROVIDER}"},
        "refuse": {f"provider_reviewer@{PROVIDER}"},
        "fulfil": {f"provider_reviewer@{PROVIDER}", f"provider_editor@{PROVIDER}"},
        "cancel": {"consumer@civil"},
    }


# What is late, and the analysis -----------------------------------------------------------------------------------------


def test_late_answers_are_told_by_department_and_a_department_sees_its_own(desk: Desk) -> None:
    desk.at(2027, 9, 1, 9)
    ours, theirs, centres = assigned(desk), assigned(desk, "tax"), demanded(desk)
    application = desk.in_review()
    desk.at(2027, 10, 20, 9)
    assert desk.get("/overdue", "observer@civil").status_code == 403

    def late(by: str) -> dict[str | None, Any]:
        answer = desk.get("/overdue", by)
        assert answer.status_code == 200, answer.text
        return {one["department"]: one for one in answer.json()["departments"]}

    found = late("officer")
    assert list(found)[-1] is None
    for department, path in ((PROVIDER, ours), ("tax", theirs), (None, centres), (PROVIDER, application)):
        one = found[department]
        (row,) = [row for row in one["late"] if row["id"] == path.rsplit("/", 1)[1]]
        assert row["clock"]["left"] < 0
        assert one["counts"][row["kind"]] == len([r for r in one["late"] if r["kind"] == row["kind"]])
        assert one["oldest"] == min(r["clock"]["due"] for r in one["late"])
    assert late("auditor") == found
    assert late("reviewer") == {PROVIDER: found[PROVIDER]}
    assert late("stranger") == {"tax": found["tax"]}
    assert late("clerk") == {}


def test_the_analysis_is_for_the_centre_and_the_auditor(desk: Desk) -> None:
    path = assigned(desk)
    assert desk.step(path, "refuse", "reviewer", basis_kind="3", why="个人信息保护法第二十八条").status_code == 200
    found = desk.get("/demands/analysis", "officer").json()
    assert {
        "kind": "demand",
        "resource": None,
        "department": PROVIDER,
        "reason": "个人信息保护法第二十八条",
        "times": 1,
    } in found["refusals"]
    assert found["wanted"][0]["field"] in ASKED["fields"]
    assert found["demands"]["refused"] >= 1
    assert told(desk.get("/demands/analysis?since=2026-13-01", "officer")) == (400, "request.days")
    assert told(desk.get("/demands/analysis?since=2026-10-02&until=2026-10-02", "officer")) == (400, "request.days")
    assert {by for by in everybody() if may(desk.get("/demands/analysis", by))} == WATCHERS & set(everybody())


# Usage ------------------------------------------------------------------------------------------------------------------


def used(desk: Desk, who: str, /, **query: str) -> list[dict[str, Any]]:
    """Return the lines that somebody is shown, once what the ledger holds is counted."""
    count_usage(desk.office.hub.connect, desk.office.hub.clock)
    asked = "&".join(f"{name}={value}" for name, value in {"limit": "200", **query}.items())
    answer = desk.get(f"/usage?{asked}", who)
    assert answer.status_code == 200, answer.text
    assert answer.json()["counted_at"] is not None
    return list(answer.json()["lines"])


def sums(lines: list[dict[str, Any]]) -> dict[str, int]:
    return {name: sum(line[name] for line in lines) for name in ("allowed", "refused", "cut", "rows")}


def test_a_use_is_told_by_its_ground_and_adds_up_with_the_ledger(given: Desk) -> None:
    office, token = given.office, given.token("clerk")
    before = sums(used(given, "officer", resource="licences", department="civil"))
    for i in (1, 2):
        assert office.ask(question(i), token).status_code == 200
    assert office.ask(question(1, purpose="curiosity"), token).status_code == 403
    queried = given.call(
        "POST",
        "/resources/licences/records/query",
        "clerk",
        purpose=PURPOSE,
        item_code="ITEM-1",
        operator="window-03",
        fields=["state"],
    )
    assert queried.status_code == 200, queried.text
    lines = used(given, "officer", resource="licences", department="civil")
    after = sums(lines)
    assert {name: after[name] - before[name] for name in ("allowed", "cut", "rows")} == {"allowed": 3, "cut": 0, "rows": 13}
    grounds = {(line["kind"], line["purpose"], line["item"]): line for line in lines if not line["refused"]}
    lookup, query = (grounds[kind, PURPOSE, "ITEM-1"] for kind in ("licence.lookup", "resource.query"))
    assert lookup["grant"] == query["grant"] != ""
    assert lookup["day"] == datetime.now(CHINA).date().isoformat()
    assert not any(word in str(lines) for word in ("CASE-", "window-03", "4402211980"))


def test_a_department_sees_what_it_used_and_what_was_used_of_its_own(given: Desk) -> None:
    assert given.office.ask(question(1), given.token("clerk")).status_code == 200
    everything = used(given, "officer")
    assert used(given, "auditor") == everything
    assert {line["department"] for line in everything} >= {"civil"}
    assert used(given, "clerk") == [line for line in everything if line["department"] == "civil"]
    ours = {r.name for r in given.office.hub.registry.resources() if r.department == PROVIDER}
    provider = [line for line in everything if line["department"] == PROVIDER or line["resource"] in ours]
    assert used(given, "reviewer") == provider
    assert used(given, "stranger") == [line for line in everything if line["department"] == "tax"]
    assert used(given, "stranger", resource="licences", department="civil") == []
    assert told(given.get("/usage", "observer@civil")) == (403, "registry.role")


def test_days_are_added_up_and_pages_fit_together(given: Desk) -> None:
    day = datetime(2027, 3, 1, 12, tzinfo=CHINA)
    with psycopg.connect(given.office.settings.database_url) as connection:
        connection.cursor().executemany(
            "INSERT INTO trust.usage_day (day, kind, resource, department, purpose, allowed, refused, cut, row_count)"
            " VALUES (%s, 'resource.query', 'licences', 'tax', %s, 1, 0, 0, 10)",
            [((day + timedelta(days=n)).date(), f"p{n % 3}") for n in range(9)],
        )
    try:
        days = used(given, "officer", **{"from": "2027-03-01", "to": "2027-03-09"})
        assert [(line["day"], line["rows"]) for line in days] == [(f"2027-03-0{n + 1}", 10) for n in range(8)]
        totals = used(given, "officer", **{"from": "2027-03-01", "to": "2027-03-09", "by": "total"})
        assert [(line["day"], line["purpose"], line["rows"]) for line in totals] == [
            (None, "p0", 30),
            (None, "p1", 30),
            (None, "p2", 20),
        ]
        for by, whole in (("day", days), ("total", totals)):
            found: list[Any] = []
            after = ""
            while True:
                page = given.get(f"/usage?from=2027-03-01&to=2027-03-09&by={by}&limit=2{after}", "officer").json()
                found += page["lines"]
                if page["next"] is None:
                    break
                after = f"&after={page['next']}"
            assert found == whole
        assert told(given.get("/usage?by=year", "officer")) == (400, "request.by")
        assert told(given.get("/usage?from=today", "officer")) == (400, "request.days")
        assert told(given.get("/usage?person=x", "officer")) == (400, "request.page")
    finally:
        with psycopg.connect(given.office.settings.database_url) as connection:
            connection.execute("DELETE FROM trust.usage_day WHERE day >= '2027-03-01' AND day < '2027-03-10'")


def test_counting_again_changes_nothing_and_the_worker_counts_by_itself(given: Desk) -> None:
    assert given.office.ask(question(2), given.token("clerk")).status_code == 200
    lines = used(given, "officer")
    assert count_usage(given.office.hub.connect, given.office.hub.clock) == 0
    assert used(given, "officer") == lines
    (held,) = given.office.made.rows("SELECT count(*) FROM exchange.duty WHERE name = 'usage'")
    assert held == (1,)


# Ratings ----------------------------------------------------------------------------------------------------------------


def test_a_consumer_rates_what_it_gets_and_everybody_sees_the_mean(given: Desk) -> None:
    path = "/resources/licences"
    none = given.get(f"{path}/rating", "clerk")
    assert (none.headers["etag"], none.json()["score"]) == ('"0"', None)
    assert given.get(path, "stranger").json()["rating"] is None
    assert told(given.call("POST", f"{path}/rating", "clerk", score=4)) == (428, "request.if_match")
    rated = given.call("POST", f"{path}/rating", "clerk", tag='"0"', score=2, comment="更新迟缓")
    assert (rated.status_code, rated.headers["etag"]) == (200, '"1"')
    assert told(given.call("POST", f"{path}/rating", "consumer@civil", tag='"0"', score=5)) == (412, "registry.conflict")
    changed = given.call("POST", f"{path}/rating", "consumer@civil", tag='"1"', score=5)
    assert given.get(f"{path}/rating", "clerk").json() == changed.json()
    assert given.get(path, "stranger").json()["rating"] == {"average": 5.0, "departments": 1}
    assert told(given.call("POST", f"{path}/rating", "consumer@tax", tag='"0"', score=1)) == (403, "rating.not_used")
    assert told(given.call("POST", f"{path}/rating", f"consumer@{PROVIDER}", tag='"0"', score=5)) == (403, "rating.not_used")
    assert told(given.call("POST", f"{path}/rating", "clerk", tag='"2"', score=0)) == (422, "rating.score")
    kept = given.office.ledger("registry.rating")
    assert [(r["outcome"], r["principal"]) for r in kept] == [
        ("done", given.clients["clerk"]),
        ("done", given.clients["consumer@civil"]),
        ("refused", given.clients["consumer@tax"]),
        ("refused", given.clients[f"consumer@{PROVIDER}"]),
    ]
    given.office.hub.registry.make_grant(
        Receiver(ReceiverKind.DEPARTMENT, "tax"),
        "licences",
        ["state"],
        legal_basis="a law",
        from_at=datetime.now(UTC) - timedelta(days=2),
        to_at=datetime.now(UTC) - timedelta(days=1),
        by="test",
        purposes=["check"],
    )
    assert given.call("POST", f"{path}/rating", "consumer@tax", tag='"0"', score=2).status_code == 200
    assert given.get(path, "officer").json()["rating"] == {"average": 3.5, "departments": 2}

    def seen(by: str) -> list[str]:
        return [r["department"] for r in given.get(f"{path}/ratings", by).json()["ratings"]]

    assert seen("reviewer") == seen("officer") == seen("auditor") == ["civil", "tax"]
    assert (seen("clerk"), seen("stranger"), seen("consumer@civil")) == (["civil"], ["tax"], ["civil"])
    said = given.get(f"{path}/ratings?history=all", "reviewer").json()["ratings"]
    assert [(r["department"], r["score"], r["comment"]) for r in said] == [
        ("civil", 2, "更新迟缓"),
        ("civil", 5, None),
        ("tax", 2, None),
    ]
    assert told(given.get(f"{path}/ratings?history=some", "reviewer")) == (400, "request.history")
    assert told(given.get(f"{path}/ratings", "observer@tax")) == (403, "registry.role")
    assert told(given.get(f"{path}/rating", "officer")) == (403, "registry.role")
    assert told(given.get("/resources/hidden/ratings", "clerk")) == (404, "resource.unknown")


# The roles of the database ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM registry.demand",
        "UPDATE registry.demand SET asker = 'x'",
        "UPDATE registry.demand SET department = 'x'",
        "UPDATE registry.rating SET department = 'x'",
        "SELECT 1 FROM trust.usage_day",
    ],
)
def test_the_role_of_the_steps_takes_steps_of_demands_and_nothing_else(desk: Desk, statement: sql.SQL) -> None:
    with psycopg.connect(desk.registry_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO registry.demand (id) VALUES ('x')", "UPDATE registry.rating SET score = 5", "DELETE FROM trust.usage_day"],
)
def test_the_role_of_the_api_changes_no_demand_no_rating_and_no_sum(desk: Desk, statement: sql.SQL) -> None:
    with psycopg.connect(desk.api_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)
