"""A resource is drafted and published, a department applies and is answered, by the command line alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.registry import Registry
from console.cli import main, output
from schemas.clock import SystemClock
from schemas.secret import Secret
from tests.contract_text import contract_text

pytestmark = pytest.mark.timeout(120)

Onedoor = Callable[..., Any]
APPLY = (
    *("application", "apply", "staff", "--as", "clerk", "--field", "id", "--field", "title", "--purpose", "accept_case"),
    *("--reason", "核对救助对象的从业情况", "--basis", "国令809", "--until", "2099-01-01", "--json"),
)


@pytest.fixture
def onedoor(hub_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Onedoor:
    """The command line on a hub with two departments, the centre and their people: exit code, answer, error."""
    monkeypatch.setenv("ONEDOOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", hub_db)
    monkeypatch.chdir(tmp_path)
    registry = Registry(hub_db, SystemClock(), keys_dir=tmp_path / "home" / "keys")
    for code in ("market", "civil", "centre"):
        registry.ensure_department(code, code)
    registry.ensure_system("approval", "审批系统", "market")
    registry.add_source("market_db", Secret("postgresql://reader@db.local/approval"), system="approval")
    for name, department, role in (
        ("editor", "market", "provider_editor"),
        ("reviewer", "market", "provider_reviewer"),
        ("clerk", "civil", "consumer"),
        ("officer", "centre", "registration_officer"),
    ):
        registry.create_person(name, department, roles=[role])
    registry.close()
    (tmp_path / "staff.odcs.yaml").write_text(contract_text(), "utf-8")

    def run(*argv: str, fails: int = 0) -> Any:
        capsys.readouterr()
        code = output.run(main.build(), argv)
        said = capsys.readouterr()
        assert code == fails, said.err
        if fails == 1:
            return json.loads(said.err.splitlines()[-1])
        return json.loads(said.out) if "--json" in argv and not fails else said.out

    return run


@pytest.fixture
def published(onedoor: Onedoor) -> Onedoor:
    """The same, with the resource ``staff`` published."""
    onedoor("resource", "register", "staff.odcs.yaml", "--no-check")
    return onedoor


def test_the_whole_way_by_the_command_line(onedoor: Onedoor) -> None:
    said = onedoor("resource", "register", "staff.odcs.yaml", "--no-check", "--draft")
    assert "registered (draft)" in said
    assert "onedoor resource submit staff --as" in said
    assert onedoor("resource", "submit", "staff", "--as", "editor", "--json")["state"] == "submitted"
    assert onedoor("resource", "publish", "staff", "--as", "officer") == "resource staff is published\n"
    asked = onedoor(*APPLY)
    ((listed, clock),) = [(a, a.pop("clock")) for a in onedoor("application", "list", "--state", "submitted", "--json")]
    assert (listed, clock["rule"], clock["left"]) == (asked, "application.accept_check", 2)
    assert onedoor("application", "check", asked["id"], "--as", "officer", "--json")["state"] == "provider_review"
    granted = onedoor(
        *("application", "approve", asked["id"], "--as", "reviewer", "--field", "title"),
        *("--filter", "title = 'manager'", "--until", "2098-01-01", "--json"),
    )
    (grant,) = onedoor("grant", "list", "--json")
    assert (grant["id"], grant["fields"], grant["row_filter"], grant["to_at"]) == (
        granted["grant"],
        ["title"],
        "title = 'manager'",
        "2097-12-31T16:00:00+00:00",
    )
    shown = onedoor("application", "show", asked["id"], "--json")
    assert (shown["application"], shown["clock"]) == (granted, None)
    assert [(s["event"], s["to_state"]) for s in shown["history"]] == [
        ("apply", "submitted"),
        ("accept_check", "provider_review"),
        ("approve", "granted"),
    ]
    words = onedoor("application", "show", asked["id"])
    assert all(word in words for word in ("granted (version 3)", "reviewer", "officer", "核对救助对象的从业情况", grant["id"]))
    assert onedoor("grant", "revoke", grant["id"], "--why", "abolished", "--json")["revoked_why"] == "abolished"
    assert onedoor("grant", "list", "--json") == []


def test_a_resource_goes_through_its_life_and_its_history_says_who_and_why(published: Onedoor) -> None:
    for step in (
        ("freeze", "--as", "officer", "--why", "wrong data"),
        ("thaw", "--as", "officer"),
        ("withdraw", "--as", "reviewer", "--why", "replaced"),
    ):
        published("resource", step[0], "staff", *step[1:])
    steps = published("resource", "history", "staff", "--json")
    assert [(s["n"], s["event"], s["why"]) for s in steps] == [
        (1, "register", None),
        (2, "freeze", "wrong data"),
        (3, "thaw", None),
        (4, "withdraw", "replaced"),
    ]
    assert "wrong data" in published("resource", "history", "staff")
    assert published("resource", "show", "staff", "--json")["row_version"] == 4
    problem = published("resource", "submit", "staff", "--as", "editor", "--json", fails=1)
    assert (problem["code"], problem["remedy"]) == ("resource.state", "register what replaces it under another name")


def test_a_draft_that_is_rejected_is_submitted_again(onedoor: Onedoor) -> None:
    onedoor("resource", "register", "staff.odcs.yaml", "--no-check", "--draft")
    onedoor("resource", "submit", "staff", "--as", "editor")
    onedoor("resource", "reject", "staff", "--as", "reviewer", "--why", "the title")
    assert onedoor("resource", "submit", "staff", "--as", "editor") == "resource staff is submitted\n"


def test_applications_are_returned_refused_handed_over_and_cancelled(published: Onedoor) -> None:
    first, second, third = (published(*APPLY)["id"] for _ in range(3))
    assert published("application", "return", first, "--as", "officer", "--why", "no document", "--json")["version"] == 2
    handed = published("application", "hand-over", second, "centre", "--as", "officer", "--why", "moved", "--json")
    assert handed["assigned"] == "centre"
    assert published("application", "cancel", second, "--as", "clerk") == f"application {second} is cancelled\n"
    published("application", "check", third, "--as", "officer")
    published("application", "refuse", third, "--as", "reviewer", "--why", "统计法第二十五条")
    states = {a["id"]: a["state"] for a in published("application", "list", "--json")}
    assert states == {first: "returned", second: "cancelled", third: "refused"}
    assert "统计法第二十五条" in published("application", "show", third)
    assert [a["id"] for a in published("application", "list", "--assigned", "centre", "--json")] == [second]


def test_what_is_late_is_listed_by_who_has_it(published: Onedoor, monkeypatch: pytest.MonkeyPatch) -> None:
    def at(china: str) -> None:
        monkeypatch.setenv("ONEDOOR_CLOCK", f"{china}+08:00@{datetime.now(UTC).isoformat()}")

    at("2026-09-30T10:00:00")
    waiting, answered, due_later = (published(*APPLY)["id"] for _ in range(3))
    published("application", "check", answered, "--as", "officer")
    at("2026-10-09T18:00:00")
    assert published("application", "late") == "nothing is late\n"
    assert "the centre, by 2026-10-09: 0 left of 2 working days" in published("application", "show", waiting)
    published("application", "check", due_later, "--as", "officer")
    at("2026-10-10T09:00:00")
    (late,) = published("application", "late", "--json")
    assert (late["id"], late["clock"]["department"], late["clock"]["due"], late["clock"]["left"]) == (
        waiting,
        None,
        "2026-10-09",
        -1,
    )
    at("2026-10-21T09:00:00")
    late = published("application", "late", "--json")
    assert [(a["id"], a["clock"]["department"], a["clock"]["left"]) for a in late] == [
        (answered, "market", -1),
        (waiting, None, -9),
    ]
    words = published("application", "late").splitlines()
    assert [("market" in w, "the centre" in w, "late by 9" in w) for w in words if "late by" in w] == [
        (True, False, False),
        (False, True, True),
    ]
    assert "market, by 2026-10-20: late by 1 of 10 working days" in published("application", "show", answered)
    assert "late by 9" in published("application", "list")


def test_a_deployments_own_clock_counts_and_a_wrong_one_is_told(
    published: Onedoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "rules.toml"
    monkeypatch.setenv("ONEDOOR_CLOCK_RULES", str(rules))
    rules.write_text('["application.accept_check"]\nworkdays = 1\nsource = "区政务数据共享管理办法"\n', "utf-8")
    made = published(*APPLY)["id"]
    assert published("application", "show", made, "--json")["clock"]["workdays"] == 1
    rules.write_text('["application.accept_check"]\nworkdays = "1"\nsource = "x"\n', "utf-8")
    problem = published("application", "late", "--json", fails=1)
    assert (problem["code"], problem["where"]) == ("clocks.rules", f"{rules}: application.accept_check.workdays")


def test_what_is_refused_leaves_with_one_and_a_wrong_option_with_two(published: Onedoor) -> None:
    made = published(*APPLY)["id"]
    for code, argv in (
        ("registry.role", ("application", "check", made, "--as", "clerk")),
        ("principal.unknown", ("application", "check", made, "--as", "nobody")),
        ("registry.conflict", ("application", "check", made, "--as", "officer", "--version", "7")),
        ("application.state", ("application", "approve", made, "--as", "reviewer")),
        ("registry.empty", ("application", "return", made, "--as", "officer", "--why", " ")),
        ("application.unknown", ("application", "show", "a0nothing")),
        ("registry.role", ("resource", "freeze", "staff", "--as", "reviewer", "--why", "x")),
        ("registry.conflict", ("resource", "freeze", "staff", "--as", "officer", "--why", "x", "--version", "9")),
    ):
        assert published(*argv, "--json", fails=1)["code"] == code
    published("application", "return", made, "--as", "officer", fails=2)
    published("application", "list", "--state", "open", fails=2)
    published("resource", "freeze", "staff", "--as", "officer", fails=2)
    assert published("application", "show", made, "--json")["application"]["version"] == 1


def test_departments_and_systems_that_bring_no_source_are_added_and_listed(onedoor: Onedoor) -> None:
    onedoor("department", "add", "qujiang", "曲江区")
    civil = onedoor("department", "add", "civil", "民政局", "--parent", "qujiang", "--json")
    assert civil == {"code": "civil", "name": "民政局", "credit_code": None, "parent": "qujiang", "version": 2}
    assert civil in onedoor("department", "list", "--json")
    assert "民政局" in onedoor("department", "list")
    relief = onedoor("system", "add", "relief", "救助系统", "--department", "civil", "--json")
    assert relief in onedoor("system", "list", "--json")
    assert "救助系统" in onedoor("system", "list")
    for code, argv in (
        ("department.cycle", ("department", "add", "qujiang", "曲江区", "--parent", "civil")),
        ("department.credit_code", ("department", "add", "x", "x", "--credit-code", "911100001016237410")),
        ("department.unknown", ("system", "add", "x", "x", "--department", "nowhere")),
        ("system.other_department", ("system", "add", "relief", "x", "--department", "market")),
    ):
        assert onedoor(*argv, "--json", fails=1)["code"] == code
    onedoor("resource", "register", "staff.odcs.yaml", "--no-check")
    assert onedoor(*APPLY, "--system", "relief")["system"] == "relief"
