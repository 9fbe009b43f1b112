"""Quotas, bulk exports and duties to destroy by the command line alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from console.cli import main, output
from schemas.clock import CHINA, FakeClock, SystemClock
from schemas.secret import Secret
from tests.contract_text import contract_text

pytestmark = pytest.mark.timeout(120)

Onedoor = Callable[..., Any]


@pytest.fixture
def onedoor(hub_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Onedoor:
    """The command line on a hub with a resource, two departments, the centre and their people."""
    monkeypatch.setenv("ONEDOOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", hub_db)
    monkeypatch.chdir(tmp_path)
    registry = Registry(hub_db, SystemClock(), keys_dir=tmp_path / "home" / "keys")
    for code in ("market", "civil", "centre"):
        registry.ensure_department(code, code)
    registry.ensure_system("approval", "审批系统", "market")
    registry.add_source("market_db", Secret("postgresql://reader@db.local/approval"), system="approval")
    registry.register_resource(contract_text(), by="setup")
    for name, department, role in (
        ("clerk", "civil", "consumer"),
        ("officer", "centre", "registration_officer"),
        ("security", "centre", "security_officer"),
    ):
        registry.create_person(name, department, roles=[role])
    registry.close()

    def run(*argv: str, fails: int = 0) -> Any:
        capsys.readouterr()
        code = output.run(main.build(), argv)
        said = capsys.readouterr()
        assert code == fails, said.err
        if fails == 1:
            return json.loads(said.err.splitlines()[-1])
        return json.loads(said.out) if "--json" in argv and not fails else said.out

    return run


def granted(onedoor: Onedoor, *more: str) -> dict[str, Any]:
    made: dict[str, Any] = onedoor(
        *("grant", "add", "staff", "--to", "department:civil", "--field", "id", "--field", "citizen_id"),
        *("--purpose", "statistics", "--basis", "国令809", "--until", "2099-01-01", "--json", *more),
    )
    return made


def test_a_quota_and_what_is_used_of_it_are_listed(onedoor: Onedoor, hub_db: str) -> None:
    made = granted(onedoor, "--per-day", "100", "--rows-per-day", "1000")
    with psycopg.connect(hub_db) as connection:
        now = datetime.now(UTC)
        connection.execute(
            "SELECT * FROM exchange.lend_quota(%s, %s, %s, 3, 3, 40, 40)",
            [made["id"], now.astimezone(CHINA).date(), now.replace(second=0, microsecond=0)],
        )
    (listed,) = [one for one in onedoor("grant", "list", "--json") if one["id"] == made["id"]]
    assert listed["quota"] == {"per_day": 100, "rows_per_day": 1000}
    assert "100 per day" in " ".join(onedoor("grant", "list").split())
    (mine,) = [one for one in onedoor("grant", "mine", "--as", "clerk", "--json") if one["grant"] == made["id"]]
    assert mine["quota"] == listed["quota"]
    assert (mine["used"]["calls_today"], mine["used"]["rows_today"], mine["used"]["spent"]) == (3, 40, [])
    shown = onedoor("grant", "mine", "--as", "clerk")
    assert "100 per day, 1000 rows per day; used 3 calls and 40 rows today" in shown


def test_a_quota_is_given_and_explained(onedoor: Onedoor) -> None:
    made = granted(onedoor, "--per-day", "100", "--per-minute", "10", "--burst", "5", "--rows-per-day", "1000")
    assert made["quota"] == {"per_day": 100, "per_minute": 10, "burst": 5, "rows_per_day": 1000}
    told = onedoor(*("grant", "explain", "--principal", "clerk", "--resource", "staff", "--purpose", "statistics", "--json"))
    assert (told["allowed"], told["grants"][0]["quota"]["per_day"], told["grants"][0]["quota"]["calls_today"]) == (True, 100, 0)
    assert onedoor(*_add("--burst", "5"), "--json", fails=1)["code"] == "grant.quota"


def _add(*more: str) -> tuple[str, ...]:
    return (
        *("grant", "add", "staff", "--to", "department:civil", "--field", "id", "--purpose", "statistics"),
        *("--basis", "国令809", "--until", "2099-01-01", *more),
    )


def test_less_often_than_asked_is_granted_and_more_is_refused(onedoor: Onedoor, hub_db: str) -> None:
    onedoor("principal", "add", "reviewer", "--department", "market", "--role", "provider_reviewer", "--person")
    asked = onedoor(
        *("application", "apply", "staff", "--as", "clerk", "--field", "id", "--reason", "核对", "--basis", "国令809"),
        *("--purpose", "statistics", "--until", "2099-01-01", "--per-day", "100", "--json"),
    )
    assert "100 per day" in onedoor("application", "show", asked["id"])
    onedoor("application", "check", asked["id"], "--as", "officer")
    refused = onedoor("application", "approve", asked["id"], "--as", "reviewer", "--per-day", "101", "--json", fails=1)
    assert refused["code"] == "application.more_than_asked"
    done = onedoor("application", "approve", asked["id"], "--as", "reviewer", "--per-day", "50", "--json")
    registry = Registry(hub_db, SystemClock())
    quota = registry.grant(done["grant"]).quota
    registry.close()
    assert quota is not None
    assert quota.document() == {"per_day": 50}


def test_a_bulk_export_is_asked_for_shown_approved_and_taken_back(onedoor: Onedoor) -> None:
    grant = granted(onedoor)["id"]
    ask = ("bulk-export", "ask", grant, "--as", "clerk", "--field", "id", "--field", "citizen_id", "--purpose", "statistics")
    made = onedoor(*ask, "--reason", "年度核对", "--json")
    assert (made["state"], made["provider"]) == ("asked", "market")
    assert onedoor("bulk-export", "approve", made["id"], "--as", "clerk", "--json", fails=1)["code"] == "registry.role"
    assert onedoor("bulk-export", "refuse", made["id"], "--as", "security", "--why", " ", "--json", fails=1)["code"] == (
        "registry.empty"
    )
    done = onedoor("bulk-export", "approve", made["id"], "--as", "security", "--hours", "2", "--json")
    assert (done["state"], bool(done["until"])) == ("approved", True)
    assert "年度核对" in onedoor("bulk-export", "show", made["id"])
    assert [one["id"] for one in onedoor("bulk-export", "list", "--state", "approved", "--json")] == [made["id"]]
    assert made["id"] in onedoor("bulk-export", "list")
    assert onedoor("bulk-export", "cancel", made["id"], "--as", "clerk", "--json")["state"] == "cancelled"
    events = [step["event"] for step in onedoor("bulk-export", "show", made["id"], "--json")["history"]]
    assert events == ["ask", "approve", "cancel"]
    onedoor("bulk-export", "list", "--state", "lost", fails=2)


def test_a_duty_to_destroy_is_listed_filed_with_a_document_returned_confirmed_and_waived(
    onedoor: Onedoor, hub_db: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    registry = Registry(hub_db, FakeClock(now - timedelta(days=90)))
    grants = [
        registry.make_grant(
            Receiver(ReceiverKind.DEPARTMENT, "civil"),
            "staff",
            ["id"],
            legal_basis="国令809",
            from_at=now - timedelta(days=100),
            to_at=now - timedelta(days=91),
            by="setup",
            purposes=["statistics"],
        ).id
        for _ in range(2)
    ]
    registry.ask_destructions(grants)
    registry.close()
    late = onedoor("destruction", "list", "--late", "--json")
    assert {one["grant"] for one in late} == set(grants)
    assert {one["clock"]["state"] for one in late} == {"late"}
    first, second = (one["id"] for one in late)
    assert first in onedoor("destruction", "list", "--open")
    paper = tmp_path / "证明.pdf"
    paper.write_bytes(b"%PDF")
    file = ("destruction", "file", first, "--as", "clerk", "--text", "已删除全部副本和备份")
    filed = onedoor(*file, "--document", str(paper), "--json")
    assert (filed["document"], filed["sha256"]) == ("证明.pdf", sha256(b"%PDF").hexdigest())
    assert onedoor("destruction", "return", first, "--as", "officer", "--why", "备份未说明", "--json")["state"] == "asked"
    onedoor(*file)
    assert onedoor("destruction", "confirm", first, "--as", "officer", "--json")["state"] == "confirmed"
    assert onedoor("destruction", "waive", second, "--as", "security", "--why", "档案法第十四条", "--json")["state"] == "waived"
    shown = onedoor("destruction", "show", first)
    assert "confirmed (version 5)" in shown
    assert onedoor("destruction", "list", "--late") == "nothing is late\n"
    assert onedoor("destruction", "list", "--open", "--json") == []
