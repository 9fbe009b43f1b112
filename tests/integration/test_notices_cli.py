"""Changes to come by the command line alone: notice, acknowledgement, withdrawal on a date, reminders, what may I call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.clocks import rules
from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from console.cli import main, output
from schemas.clock import SystemClock
from schemas.workdays import calendar
from tests.office import ShiftedClock
from tests.registry_people import a_registry, with_note, without_title

pytestmark = pytest.mark.timeout(120)

Onedoor = Callable[..., Any]
CIVIL = Receiver(ReceiverKind.DEPARTMENT, "civil")


@pytest.fixture
def registry(hub_db: str, tmp_path: Path) -> Iterator[Registry]:
    """The hub's registry as its worker has it, with a grant of civil affairs for ``staff``."""
    with a_registry(hub_db, SystemClock(), tmp_path / "home") as made:
        now = SystemClock().now()
        terms: dict[str, Any] = {"legal_basis": "国令809", "by": "setup", "purposes": ["accept_case"]}
        made.make_grant(CIVIL, "staff", ["id", "title"], from_at=now, to_at=now + timedelta(days=9000), **terms)
        yield made


@pytest.fixture
def onedoor(
    registry: Registry, hub_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Onedoor:
    """The command line: the answer, or the problem where it fails."""
    monkeypatch.setenv("ONEDOOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", hub_db)
    monkeypatch.chdir(tmp_path)
    Path("breaking.odcs.yaml").write_text(without_title(), "utf-8")
    Path("compatible.odcs.yaml").write_text(with_note(), "utf-8")

    def run(*argv: str, fails: int = 0) -> Any:
        capsys.readouterr()
        code = output.run(main.build(), [*argv, "--json"] if fails == 1 else argv)
        said = capsys.readouterr()
        assert code == fails, said.err
        if fails:
            return json.loads(said.err) if fails == 1 else said.err
        return json.loads(said.out) if "--json" in argv else said.out

    return run


def test_a_breaking_version_is_refused_and_then_given_notice_acknowledged_and_in_force(
    onedoor: Onedoor, registry: Registry, hub_db: str
) -> None:
    refused = onedoor("resource", "register", "breaking.odcs.yaml", "--no-check", fails=1)
    assert refused["code"] == "contract.notice_needed"
    assert "department:civil" in refused["detail"]
    given = onedoor("revision", "give", "breaking.odcs.yaml", "--no-check", "--why", "职称改由人社局提供", "--json")
    assert (given["state"], given["breaking"]) == ("noticed", True)
    (notice,) = onedoor("notice", "list", "--to", "civil", "--waiting", "--json")
    assert notice["id"] == given["notices"][0]["id"]
    shown = onedoor("notice", "show", notice["id"])
    assert "reads title; it keeps id" in shown
    assert "did not acknowledge yet" in shown
    assert onedoor("notice", "acknowledge", notice["id"], "--as", "taxman", fails=1)["code"] == "registry.other_department"
    assert onedoor("notice", "acknowledge", notice["id"], "--as", "clerk") == f"notice {notice['id']} is acknowledged\n"
    assert onedoor("notice", "list", "--waiting", "--json") == []
    told = onedoor("revision", "show", given["id"])
    assert "breaks    title: field removed 删除信息项" in told
    assert "1.0.0 is served until then" in told
    later = Registry(hub_db, ShiftedClock(timedelta(days=60)))
    assert [one.state for one in later.move_revisions()] == ["in_force"]
    later.close()
    (listed,) = onedoor("revision", "list", "--resource", "staff", "--json")
    assert listed["state"] == "in_force"
    assert onedoor("resource", "show", "staff", "--json")["version"] == "2.0.0"


def test_a_change_is_proposed_and_reviewed_by_two_persons_or_rejected_or_taken_back(onedoor: Onedoor) -> None:
    assert onedoor("revision", "give", "compatible.odcs.yaml", "--no-check", fails=1)["code"] == "contract.no_notice_needed"
    first = onedoor("revision", "propose", "compatible.odcs.yaml", "--no-check", "--as", "both", "--json")
    assert onedoor("revision", "approve", first["id"], "--as", "both", fails=1)["code"] == "registry.two_persons"
    assert onedoor("revision", "reject", first["id"], "--as", "officer", "--why", "意义不明", "--json")["state"] == "rejected"
    second = onedoor("revision", "propose", "compatible.odcs.yaml", "--no-check", "--as", "editor", "--json")
    assert onedoor("revision", "approve", second["id"], "--as", "reviewer", "--json")["state"] == "due"
    said = onedoor("revision", "withdraw", second["id"], "--as", "editor", "--why", "不改了")
    assert said == f"revision {second['id']} is withdrawn; 1.0.0 stays\n"
    third = onedoor("revision", "propose", "breaking.odcs.yaml", "--no-check", "--as", "editor")
    assert "affected  would be given notice:" in third
    assert "of department:civil reads title; it keeps id" in third
    assert "there is no revision" in onedoor("revision", "show", "r0", fails=1)["detail"]
    assert "is no state" in onedoor("revision", "list", "--state", "gone", fails=2)


def test_a_held_change_goes_on_by_the_centre(onedoor: Onedoor, hub_db: str) -> None:
    given = onedoor("revision", "give", "breaking.odcs.yaml", "--no-check", "--json")
    later = Registry(hub_db, ShiftedClock(timedelta(days=60)))
    assert [one.state for one in later.move_revisions()] == ["held"]
    decided = onedoor("revision", "go-on", given["id"], "--as", "officer", "--why", "已电话告知", "--json")
    assert (decided["state"], decided["history"][-1]["why"]) == ("due", "已电话告知")
    later.move_revisions()
    assert later.resource("staff").version == "2.0.0"
    later.close()


def test_a_withdrawal_on_a_date_is_planned_shown_and_called_off(onedoor: Onedoor) -> None:
    said = onedoor("resource", "withdraw", "staff", "--as", "reviewer", "--why", "由新资源替代", "--on", "2031-03-03")
    assert said == "resource staff is withdrawn on 2031-03-03; told: civil\n"
    assert onedoor("resource", "show", "staff", "--json")["ends_at"].startswith("2031-03-02T16:00:00")
    (notice,) = onedoor("notice", "list", "--json")
    assert (notice["about"], notice["state"]) == ("withdrawal", "planned")
    assert "gives nothing any more" in onedoor("notice", "show", notice["id"])
    assert "is no day" in onedoor("resource", "withdraw", "staff", "--as", "reviewer", "--why", "x", "--on", "soon", fails=2)
    off = onedoor("resource", "call-off-withdrawal", "staff", "--as", "reviewer", "--why", "继续提供", "--json")
    assert off["outcome"] == "called_off"
    history = onedoor("resource", "history", "staff", "--json")
    assert [step["event"] for step in history][-2:] == ["plan_withdrawal", "call_off_withdrawal"]


def test_reminders_are_listed_with_what_was_not_told(onedoor: Onedoor, registry: Registry, hub_db: str) -> None:
    assert onedoor("reminders") == "nobody was reminded of anything\n"
    now = SystemClock().now()
    asked = registry.apply(
        "staff",
        ["id"],
        by="clerk",
        reason="核对救助对象",
        legal_basis="国令809",
        from_at=now,
        to_at=now + timedelta(days=400),
        purposes=["accept_case"],
    )
    registry.accept_check(asked.id, by="officer", version=asked.version)
    later = Registry(hub_db, ShiftedClock(timedelta(days=60)))
    later.remind(rules(), calendar())
    later.close()
    (one,) = onedoor("reminders", "--to", "market", "--late", "--json")
    assert (one["thing"], one["what"], one["skipped"]) == (asked.id, "escalated", ["half", "last"])
    assert f"application {asked.id}" in onedoor("reminders")
    assert onedoor("reminders", "--to", "civil", "--json") == []


def test_an_account_is_told_what_it_may_call(onedoor: Onedoor) -> None:
    (one,) = onedoor("grant", "mine", "--as", "clerk", "--json")
    assert (one["resource"], one["fields"], one["way"], one["quota"]) == ("staff", ["id", "title"], "api", None)
    assert one["example"]["path"] == "/api/v1/resources/staff/records/query"
    shown = onedoor("grant", "mine", "--as", "clerk")
    assert "curl -X POST <hub>/api/v1/resources/staff/records/query" in shown
    assert onedoor("grant", "mine", "--as", "taxman") == "taxman may call nothing: it has no grant in force\n"
