"""A grant that ends leaves a duty to destroy, once; it is asked for, reminded of, filed and confirmed by somebody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from catalog_registry.clocks import rules
from catalog_registry.records import DestructionRecord, Receiver, ReceiverKind
from catalog_registry.registry import Registry
from schemas.clock import FakeClock
from schemas.errors import DeniedError, OneDoorError, RejectedError
from schemas.secret import Secret
from schemas.workdays import calendar
from tests.contract_text import contract_text

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    made = Registry(hub_db, clock, keys_dir=tmp_path / "keys", dags_json=tmp_path / "dags.json")
    for code, name in (("market", "市场监督管理局"), ("civil", "民政局"), ("tax", "税务局"), ("centre", "信息中心")):
        made.ensure_department(code, name)
    made.ensure_system("approval", "审批系统", "market")
    made.ensure_system("relief", "救助系统", "civil")
    made.add_source("market_db", Secret("postgresql://reader@db.local/approval"), system="approval")
    for name, department, roles in (
        ("clerk", "civil", ["consumer"]),
        ("both", "civil", ["consumer", "registration_officer"]),
        ("stranger", "tax", ["consumer"]),
        ("officer", "centre", ["registration_officer"]),
        ("security", "centre", ["security_officer"]),
        ("reviewer", "market", ["provider_reviewer"]),
    ):
        made.create_person(name, department, roles=roles)
    made.register_resource(contract_text(), by="setup")
    yield made
    made.close()


def give(registry: Registry, receiver: str = "civil", kind: ReceiverKind = ReceiverKind.DEPARTMENT, *, days: int = 30) -> str:
    return registry.make_grant(
        Receiver(kind, receiver),
        "staff",
        ["id"],
        legal_basis="国令809",
        from_at=NOW - DAY,
        to_at=NOW + days * DAY,
        by="setup",
        purposes=["accept_case"],
    ).id


def asked(registry: Registry, clock: FakeClock) -> DestructionRecord:
    """Return the duty of a grant that was revoked."""
    grant = give(registry)
    registry.revoke_grant(grant, by="setup", why="abolished")
    assert registry.ask_destructions([grant]) == [grant]
    return registry.destructions()[-1]


def told(registry: Registry) -> list[str]:
    names = [e.type.removeprefix("onedoor.registry.") for e in registry.events_waiting()]
    return [name for name in names if name.startswith("destruction.")]


def refusal(kind: type[OneDoorError], do: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        do()
    return caught.value.code


def test_a_grant_leaves_its_duty_when_it_expires_is_revoked_or_loses_its_resource(registry: Registry, clock: FakeClock) -> None:
    expiring, revoked, kept = give(registry, days=1), give(registry, "relief", ReceiverKind.SYSTEM), give(registry)
    later = give(registry, registry.principal("clerk").id, ReceiverKind.PRINCIPAL)
    grants = [expiring, revoked, kept, later]
    assert registry.ask_destructions(grants) == []
    clock.advance(DAY)
    registry.revoke_grant(revoked, by="setup", why="abolished")
    clock.advance(timedelta(hours=1))
    assert registry.ask_destructions(grants) == sorted([expiring, revoked])
    clock.advance(DAY)
    version = registry.resource("staff").row_version
    registry.withdraw_resource("staff", by="officer", version=version, why="replaced")
    assert registry.ask_destructions(grants) == sorted(grants)
    found = {d.grant: (d.ended, d.ended_at, d.department, d.state) for d in registry.destructions()}
    assert found == {
        expiring: ("expired", NOW + DAY, "civil", "asked"),
        revoked: ("revoked", NOW + DAY, "civil", "asked"),
        kept: ("withdrawn", clock.now(), "civil", "asked"),
        later: ("withdrawn", clock.now(), "civil", "asked"),
    }
    assert told(registry) == ["destruction.asked"] * 4


def test_of_a_grant_that_has_ended_there_is_one_duty_however_many_look(registry: Registry) -> None:
    grant = give(registry)
    registry.revoke_grant(grant, by="setup", why="abolished")
    results: list[list[str]] = []
    threads = [threading.Thread(target=lambda: results.append(registry.ask_destructions([grant]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[grant]] * 4
    assert len(registry.destructions()) == 1
    assert told(registry) == ["destruction.asked"]


def test_a_certificate_is_filed_by_the_receiver_and_confirmed_by_somebody_else(registry: Registry, clock: FakeClock) -> None:
    duty = asked(registry, clock)
    clock.advance(DAY)
    filed = registry.file_destruction(duty.id, by="both", version=1, text=" 已删除全部副本和备份 ")
    assert (filed.state, filed.certificate, filed.filed_at, filed.document) == (
        "filed",
        "已删除全部副本和备份",
        clock.now(),
        None,
    )
    assert filed.sha256 == sha256("已删除全部副本和备份".encode()).hexdigest()
    assert refusal(DeniedError, lambda: registry.confirm_destruction(duty.id, by="both", version=2)) == "registry.two_persons"
    assert refusal(DeniedError, lambda: registry.confirm_destruction(duty.id, by="clerk", version=2)) == "registry.role"
    confirmed = registry.confirm_destruction(duty.id, by="officer", version=2)
    assert (confirmed.state, confirmed.confirmed_by) == ("confirmed", registry.principal("officer").id)
    steps = registry.destruction_history(duty.id)
    assert [(s.n, s.event, s.from_state, s.to_state) for s in steps] == [
        (1, "ask", None, "asked"),
        (2, "file", "asked", "filed"),
        (3, "confirm", "filed", "confirmed"),
    ]
    assert [s.by for s in steps] == ["worker", registry.principal("both").id, registry.principal("officer").id]
    assert told(registry) == ["destruction.asked", "destruction.filed", "destruction.confirmed"]


def test_a_certificate_may_stand_for_a_document_by_its_digest(registry: Registry, clock: FakeClock) -> None:
    duty, digest = asked(registry, clock), sha256(b"%PDF").hexdigest()
    for document, given in (("a.pdf", None), (None, digest), ("a.pdf", "xyz"), ("a.pdf", digest.upper())):
        code = refusal(
            RejectedError,
            lambda d=document, g=given: registry.file_destruction(  # type: ignore[misc]
                duty.id, by="clerk", version=1, text="见附件", document=d, digest=g
            ),
        )
        assert code == "destruction.document"
    filed = registry.file_destruction(duty.id, by="clerk", version=1, text="见附件", document="a.pdf", digest=digest)
    assert (filed.document, filed.sha256) == ("a.pdf", digest)


def test_a_certificate_is_given_back_with_a_reason_and_its_clock_begins_anew(registry: Registry, clock: FakeClock) -> None:
    duty = asked(registry, clock)
    registry.file_destruction(duty.id, by="clerk", version=1, text="已删除")
    clock.advance(DAY)
    assert refusal(RejectedError, lambda: registry.return_destruction(duty.id, by="officer", version=2, why=" ")) == (
        "registry.empty"
    )
    back = registry.return_destruction(duty.id, by="officer", version=2, why="备份未说明")
    assert (back.state, back.since) == ("asked", clock.now())
    assert registry.waive_destruction(duty.id, by="security", version=3, why="档案法第十四条").state == "waived"


@pytest.mark.parametrize(
    ("by", "code"), [("stranger", "registry.other_department"), ("officer", "registry.role"), ("reviewer", "registry.role")]
)
def test_nobody_but_the_receiver_files(registry: Registry, clock: FakeClock, by: str, code: str) -> None:
    duty = asked(registry, clock)
    assert refusal(DeniedError, lambda: registry.file_destruction(duty.id, by=by, version=1, text="已删除")) == code
    assert registry.destruction(duty.id) == duty


def test_what_is_not_for_its_state_or_on_another_version_changes_nothing(registry: Registry, clock: FakeClock) -> None:
    duty = asked(registry, clock)
    assert refusal(RejectedError, lambda: registry.confirm_destruction(duty.id, by="officer", version=1)) == (
        "destruction.state"
    )
    assert refusal(RejectedError, lambda: registry.file_destruction(duty.id, by="clerk", version=7, text="x")) == (
        "registry.conflict"
    )
    assert refusal(RejectedError, lambda: registry.destruction("nothing")) == "destruction.unknown"
    assert (registry.destruction(duty.id), len(registry.destruction_history(duty.id))) == (duty, 1)


def test_a_duty_is_reminded_of_at_half_and_on_the_day_before_and_then_it_is_late_each_once(
    registry: Registry, clock: FakeClock
) -> None:
    duty = asked(registry, clock)

    def tell() -> list[tuple[str, str | None]]:
        return [(one.what, one.department) for _ in range(2) for one in registry.remind(rules(), calendar())]

    seen = {}
    for day in range(16):
        if told_now := tell():
            seen[day] = told_now
        clock.advance(DAY)
    # ten working days after Monday 2 November end on Monday the 16th: half is Monday the 9th, the day before the 13th
    assert seen == {7: [("half", "civil")], 11: [("last", "civil")], 15: [("escalated", "civil")]}
    assert told(registry) == ["destruction.asked"]
    assert [(s.event, s.n) for s in registry.destruction_history(duty.id)] == [("ask", 1)]
    (late,) = registry.late(rules=rules(), of=calendar(), now=clock.now())
    assert (late.kind, late.id, late.clock.rule) == ("destruction", duty.id, "destruction.certificate")
    registry.file_destruction(duty.id, by="clerk", version=1, text="已删除")
    assert tell() == []
    clock.advance(20 * DAY)
    assert tell() == [("escalated", None)]
    assert [row.state for row in registry.late(rules=rules(), of=calendar(), now=clock.now())] == ["filed"]


def test_the_database_itself_keeps_the_rules_of_duties(registry: Registry, clock: FakeClock, hub_db: str) -> None:
    duty = asked(registry, clock)
    registry.file_destruction(duty.id, by="clerk", version=1, text="已删除")
    changes: tuple[tuple[str, str], ...] = (
        ("state = 'gone'", "ck_destruction_state_known"),
        ("certificate = NULL, sha256 = NULL, filed_by = NULL, filed_at = NULL", "ck_destruction_is_filed"),
        ("sha256 = NULL", "ck_destruction_filed_whole"),
        ("sha256 = 'x'", "ck_destruction_certificate_says"),
        ("state = 'confirmed'", "ck_destruction_is_confirmed"),
        ("state = 'confirmed', confirmed_by = filed_by", "ck_destruction_two_persons"),
        ("ended = 'lost'", "ck_destruction_ended_known"),
        ("ended = 'narrowed'", "ck_destruction_narrowed_of_fields"),
        ("fields = ARRAY['id']", "ck_destruction_narrowed_of_fields"),
    )
    for change, rule in changes:
        with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.CheckViolation) as broken:
            connection.execute(sql.SQL("UPDATE registry.destruction SET {}").format(sql.SQL(change)))  # type: ignore[arg-type]
        assert broken.value.diag.constraint_name == rule
    for statement in ("UPDATE registry.destruction_history SET why = 'x'", "DELETE FROM registry.destruction_history"):
        with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(sql.SQL(statement))  # type: ignore[arg-type]


def test_a_list_shows_what_may_be_seen(registry: Registry, clock: FakeClock) -> None:
    from catalog_registry.acting import sight

    duty = asked(registry, clock)
    for name, ids in (("clerk", [duty.id]), ("stranger", []), ("officer", [duty.id]), ("security", [duty.id])):
        assert [d.id for d in registry.destructions(seen=sight(registry.principal(name)))] == ids
    assert registry.destructions(department="tax") == []
    assert registry.destructions(after=duty.id) == []
