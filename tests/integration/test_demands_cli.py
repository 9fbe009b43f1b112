"""Data that is in no catalogue is asked for, promised, refused and found, by the command line alone; and who uses what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog_registry.demand_sheets import COLUMNS, DEMANDS
from catalog_registry.sheets.grid import sheets_of
from catalog_registry.sheets.guard import Limits
from exchange.trust.keyfiles import create_keys
from exchange.trust.ledger import Ledger
from exchange.trust.record import LedgerRecord
from schemas.clock import SystemClock
from tests.integration.test_applications_cli import APPLY, Onedoor, onedoor, published

__all__ = ["onedoor", "published"]

pytestmark = pytest.mark.timeout(120)

ASK = (
    *(
        "demand",
        "ask",
        "养老机构床位",
        "--as",
        "clerk",
        "--field",
        "机构名称",
        "--field",
        "空余床位",
        "--purpose",
        "accept_case",
    ),
    *("--description", "办理入住时核对空余床位", "--basis", "国令809", "--cycle", "每日", "--json"),
)


def test_the_whole_way_of_a_demand_and_its_three_lists_by_the_command_line(published: Onedoor) -> None:
    assert published("demand", "list") == "nothing is asked for\n"
    assert published("demand", "responsibility") == "nothing is promised\n"
    assert "nothing is refused" in published("demand", "negative")
    first, second, third = (published(*ASK)["id"] for _ in range(3))
    for made in (first, second):
        assert "market answers it" in published("demand", "appoint", made, "market", "--as", "officer")
    assert published("demand", "return", third, "--as", "officer", "--why", "见目录", "--json")["state"] == "returned"
    promised = published("demand", "accept", first, "--as", "reviewer", "--by", "2031-12-31", "--json")
    assert (promised["state"], promised["promised_on"]) == ("accepted", "2031-12-31")
    said = published("demand", "refuse", second, "--as", "reviewer", "--basis", "法律法规", "--why", "统计法第二十五条")
    assert said == f"demand {second} is refused\n"
    assert published("demand", "fulfil", first, "staff", "--as", "editor", "--json")["resource"] == "staff"
    assert [(d["id"], d["state"]) for d in published("demand", "list", "--json")] == [(first, "fulfilled"), (second, "refused")]
    assert [d["id"] for d in published("demand", "list", "--state", "all", "--json")] == [first, second, third]
    (line,) = published("demand", "responsibility", "--department", "market", "--json")
    assert (line["id"], line["resource"], line["clock"]) == (first, "staff", None)
    (line,) = published("demand", "negative", "--json")
    assert (line["key"], line["department"], line["basis"]) == (f"demand/{second}", "market", "统计法第二十五条")
    assert "1 法律法规" in published("demand", "negative")
    shown = published("demand", "show", first, "--json")
    assert [s["event"] for s in shown["history"]] == ["ask", "appoint", "accept", "fulfil"]
    words = published("demand", "show", second)
    assert all(word in words for word in ("养老机构床位", "空余床位", "3 每日", "1 法律法规: 统计法第二十五条", "officer"))


def test_a_wrong_step_of_a_demand_leaves_with_one_and_a_wrong_option_with_two(published: Onedoor) -> None:
    made = published(*ASK)["id"]
    for code, argv in (
        ("registry.role", ("appoint", made, "market", "--as", "clerk")),
        ("registry.conflict", ("appoint", made, "market", "--as", "officer", "--version", "7")),
        ("department.unknown", ("appoint", made, "nowhere", "--as", "officer")),
        ("demand.state", ("accept", made, "--as", "reviewer", "--by", "2031-12-31")),
        ("demand.unknown", ("show", "d0nothing")),
    ):
        assert published("demand", *argv, "--json", fails=1)["code"] == code
    published("demand", "accept", made, "--as", "reviewer", "--by", "soon", fails=2)
    published("demand", "list", "--state", "open", fails=2)
    assert published("demand", "cancel", made, "--as", "clerk") == f"demand {made} is cancelled\n"


def test_what_is_late_is_told_by_department_with_applications_and_demands(
    published: Onedoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(china: str) -> None:
        monkeypatch.setenv("ONEDOOR_CLOCK", f"{china}+08:00@{datetime.now(UTC).isoformat()}")

    at("2026-09-30T10:00:00")
    waiting, answered = (published(*ASK)["id"] for _ in range(2))
    published("demand", "appoint", answered, "market", "--as", "officer")
    applied = published(*APPLY)["id"]
    published("application", "check", applied, "--as", "officer")
    at("2026-10-09T18:00:00")
    assert published("overdue") == "nothing is late\n"
    at("2026-10-21T09:00:00")
    market, centre = published("overdue", "--json")
    assert (market["department"], market["counts"], market["oldest"]) == (
        "market",
        {"application": 1, "demand": 1},
        "2026-10-20",
    )
    assert {one["id"] for one in market["late"]} == {answered, applied}
    assert (centre["department"], [one["id"] for one in centre["late"]]) == (None, [waiting])
    words = published("overdue")
    assert "market: 1 application, 1 demand, the oldest due 2026-10-20" in words
    assert "late by 9" in words


def test_the_three_lists_are_written_as_one_workbook(published: Onedoor, tmp_path: Path) -> None:
    published("department", "add", "civil", "民政局")
    first = published(*ASK)["id"]
    out = tmp_path / "lists.xlsx"
    said = published("demand", "lists", "-o", str(out), "--json")
    assert said == {"file": str(out), "demands": 1, "responsibilities": 0, "negatives": 0}
    with out.open("rb") as file:
        found = {sheet.name: list(sheet.rows()) for sheet in sheets_of(file, Limits(), lambda _: True, where="lists.xlsx")}
    assert {name: lines[0] for name, lines in found.items()} == {
        name: [column.heading for column in columns] for name, columns in COLUMNS.items()
    }
    assert found[DEMANDS][1][:4] == [first, "养老机构床位", "机构名称、空余床位", "民政局"]
    assert [len(rows) for rows in found.values()] == [2, 1, 1]


def test_the_analysis_says_what_is_wanted_and_refused(published: Onedoor) -> None:
    applied = published(*APPLY)["id"]
    published("application", "check", applied, "--as", "officer")
    published("application", "refuse", applied, "--as", "reviewer", "--why", "统计法第二十五条")
    published(*ASK)
    found = published("demand", "analysis", "--json")
    assert (found["resources"][0]["resource"], found["resources"][0]["refused"]) == ("staff", 1)
    assert {(f["field"], f["not_given"]) for f in found["fields"]} == {("id", 1), ("title", 1)}
    assert [(r["kind"], r["reason"], r["times"]) for r in found["refusals"]] == [("application", "统计法第二十五条", 1)]
    assert found["demands"] == {"submitted": 1}
    words = published("demand", "analysis")
    assert all(word in words for word in ("统计法第二十五条", "空余床位", "demands 需求: 1 submitted"))
    assert published("demand", "analysis", "--since", "2020-01-01", "--until", "2020-02-01", "--json")["resources"] == []


def test_who_uses_what_is_told_from_the_ledger_and_adds_up(published: Onedoor, hub_db: str, tmp_path: Path) -> None:
    assert published("usage") == "nothing was used\n"
    create_keys(tmp_path / "home" / "keys")
    ledger = Ledger(lambda: psycopg.connect(hub_db), SystemClock(), "test")
    use: dict[str, Any] = {
        "kind": "resource.query",
        "department": "civil",
        "resource": "staff",
        "grant": "g1",
        "purpose": "check",
    }
    for _ in range(3):
        ledger.append([LedgerRecord(outcome="allowed", **use), LedgerRecord(outcome="done", manifest={"rows": 7}, **use)])
    ledger.append([LedgerRecord(outcome="refused", kind="resource.query", department="tax", resource="staff", count=4)])
    lines = published("usage", "--resource", "staff", "--json")["lines"]
    assert [(one["department"], one["grant"], one["allowed"], one["refused"], one["rows"]) for one in lines] == [
        ("civil", "g1", 3, 0, 21),
        ("tax", "", 0, 4, 0),
    ]
    ledger.append([LedgerRecord(outcome="allowed", **use)])
    (total,) = published("usage", "--department", "civil", "--total", "--json")["lines"]
    assert (total["day"], total["allowed"], total["rows"]) == (None, 4, 21)
    assert "civil" in published("usage")
    assert published("usage", "--from", "2020-01-01", "--to", "2020-02-01", "--json")["lines"] == []
    published("usage", "--from", "today", fails=2)


def test_a_resource_is_rated_and_its_ratings_are_shown(published: Onedoor) -> None:
    assert published("resource", "ratings", "staff") == "nobody rated it yet\n"
    rate = ("resource", "rate", "staff", "--as", "clerk", "--score")
    assert published(*rate, "4", "--json", fails=1)["code"] == "rating.not_used"
    published(
        *("grant", "add", "staff", "--to", "department:civil", "--field", "title", "--purpose", "check"),
        *("--basis", "国令809", "--until", "2099-01-01"),
    )
    assert published(*rate, "2", "--comment", "更新迟缓") == "civil rates staff with 2 of 5\n"
    assert published(*rate, "4", "--comment", "好些了", "--json")["version"] == 2
    assert published(*rate, "1", "--version", "1", "--json", fails=1)["code"] == "registry.conflict"
    published(*rate, "6", fails=2)
    found = published("resource", "ratings", "staff", "--json")
    assert found["rating"] == {"average": 4.0, "departments": 1}
    assert [(r["department"], r["score"], r["comment"]) for r in found["ratings"]] == [("civil", 4, "好些了")]
    assert "好些了" in published("resource", "ratings", "staff")
    assert [r["score"] for r in published("resource", "ratings", "staff", "--history", "--json")["ratings"]] == [2, 4]
