"""Whatever waits for somebody is reminded of once, and listed when it is late: from the same open clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from catalog_registry import clocks
from catalog_registry.acting import Sight
from catalog_registry.correction_records import CorrectionRecord
from catalog_registry.correction_words import CorrectionType
from catalog_registry.demand_records import DemandRecord
from catalog_registry.notice_records import ReminderRecord
from catalog_registry.overdue import by_department
from catalog_registry.records import ApplicationRecord, DestructionRecord, Receiver, ReceiverKind
from catalog_registry.registry import Registry
from schemas.catalogue_form import read_entry
from schemas.clock import CHINA, FakeClock
from schemas.workdays import calendar
from tests.catalogue_entry import CREDIT_CODE, entry_json
from tests.registry_people import a_registry, heard, without_title

OF = calendar()
RULES = clocks.rules()
WEDNESDAY = datetime(2026, 9, 30, 11, tzinfo=CHINA)
CIVIL, TAX = Receiver(ReceiverKind.DEPARTMENT, "civil"), Receiver(ReceiverKind.DEPARTMENT, "tax")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(WEDNESDAY.astimezone(UTC))


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    with a_registry(hub_db, clock, tmp_path) as made:
        yield made


def at(clock: FakeClock, text: str) -> None:
    clock.advance(datetime.fromisoformat(text).replace(tzinfo=CHINA) - clock.now())


def remind(registry: Registry) -> list[ReminderRecord]:
    return registry.remind(RULES, OF)


def granted(registry: Registry, clock: FakeClock, receiver: Receiver = CIVIL, *fields: str) -> str:
    return registry.make_grant(
        receiver,
        "staff",
        fields or ["id", "title"],
        legal_basis="国令809",
        from_at=clock.now(),
        to_at=clock.now() + timedelta(days=365),
        by="setup",
        purposes=["accept_case"],
    ).id


def applied(registry: Registry, clock: FakeClock) -> ApplicationRecord:
    made = registry.apply(
        "staff",
        ["id"],
        by="clerk",
        reason="核对",
        legal_basis="国令809",
        from_at=clock.now(),
        to_at=clock.now() + timedelta(days=365),
        purposes=["accept_case"],
    )
    return registry.accept_check(made.id, by="officer", version=made.version)


def demanded(registry: Registry, department: str | None = None) -> DemandRecord:
    made = registry.ask(
        "养老机构空余床位", ["beds"], by="clerk", description="每日床位", legal_basis="国令809", purposes=["accept_case"]
    )
    return made if department is None else registry.appoint(made.id, department, by="officer", version=made.version)


def corrected(registry: Registry) -> CorrectionRecord:
    return registry.ask_correction("staff", by="clerk", type_=CorrectionType("1"), seal=lambda ident: ident.encode())


def to_destroy(registry: Registry, clock: FakeClock) -> DestructionRecord:
    grant = granted(registry, clock, TAX)
    registry.revoke_grant(grant, by="setup", why="事项取消")
    registry.ask_destructions([grant])
    return registry.destructions()[-1]


def test_each_kind_is_reminded_of_once_and_stands_among_what_is_late_by_who_has_it(
    registry: Registry, clock: FakeClock
) -> None:
    granted(registry, clock)
    application, waiting, assigned = applied(registry, clock), demanded(registry), demanded(registry, "market")
    correction, destruction = corrected(registry), to_destroy(registry, clock)
    registry.give_notice(without_title(), by="console", rule=RULES["contract.breaking_notice"], of=OF)
    (notice,) = registry.notices(department="civil")
    heard(registry)
    has = {
        ("application", application.id): "market",
        ("demand", waiting.id): None,
        ("demand", assigned.id): "market",
        ("correction", correction.id): "market",
        ("destruction", destruction.id): "tax",
        ("notice", notice.id): "civil",
    }
    at(clock, "2026-10-13T09:00")  # half of ten working days; the centre's two are over
    first = remind(registry)
    assert {(one.kind, one.thing): one.department for one in first} == has
    assert {one.thing: one.what for one in first} == {thing: "half" for _, thing in has} | {waiting.id: "escalated"}
    assert remind(registry) == []
    at(clock, "2026-10-20T23:59")
    assert {one.what for one in remind(registry)} == {"last"}
    assert [row.id for row in registry.late(rules=RULES, of=OF, now=clock.now())] == [waiting.id]
    at(clock, "2026-10-21T00:00")
    assert {one.thing for one in remind(registry)} == {thing for _, thing in has} - {waiting.id}
    at(clock, "2026-12-01T00:00")
    assert remind(registry) == []
    told = heard(registry)
    for _, thing in has:
        assert told.count(("escalated", thing)) == 1
        assert len(told) == len(set(told))
    late = registry.late(rules=RULES, of=OF, now=clock.now())
    assert {(row.kind, row.id): row.clock.department for row in late} == has
    found = {one.department: one.counts for one in by_department(late)}
    assert list(found) == ["civil", "market", "tax", None]
    assert found["market"] == {"application": 1, "correction": 1, "demand": 1}
    (of_tax,) = {one.thing for one in registry.reminders(seen=Sight(False, "tax"))}
    assert of_tax == destruction.id


def test_a_department_is_reminded_one_working_day_before_the_day_that_it_promised_and_then_it_is_late(
    registry: Registry, clock: FakeClock
) -> None:
    made = demanded(registry, "market")
    registry.accept_demand(made.id, date(2026, 10, 18), by="reviewer", version=made.version)  # a Sunday
    at(clock, "2026-10-14T23:59")
    assert remind(registry) == []
    at(clock, "2026-10-15T00:00")  # Friday is the one working day that is left
    (last,) = remind(registry)
    assert (last.rule, last.what, last.due, last.left) == ("demand.promised", "last", date(2026, 10, 18), 1)
    at(clock, "2026-10-18T23:59")
    assert remind(registry) == []
    at(clock, "2026-10-19T00:00")
    assert [(one.what, one.skipped) for one in remind(registry)] == [("escalated", [])]
    assert remind(registry) == []
    assert [row.id for row in registry.late(rules=RULES, of=OF, now=clock.now())] == [made.id]


def test_each_step_of_a_correction_has_its_own_reminders_and_a_hand_over_begins_none(
    registry: Registry, clock: FakeClock
) -> None:
    granted(registry, clock)
    made = corrected(registry)
    at(clock, "2026-10-13T09:00")
    assert [(one.rule, one.what) for one in remind(registry)] == [("correction.answer", "half")]
    made = registry.hand_over_correction(made.id, "tax", by="officer", version=made.version, why="归口税务")
    assert remind(registry) == []
    made = registry.refuse_correction(made.id, by="stranger", version=made.version, why="与原件一致")
    made = registry.contest_correction(made.id, by="clerk", version=made.version, why="与证照不符")
    at(clock, "2026-10-20T09:00")
    assert [(one.rule, one.what, one.department) for one in remind(registry)] == [("correction.mediate", "half", None)]
    registry.withdraw_correction(made.id, by="clerk", version=made.version)
    at(clock, "2026-12-01T09:00")
    assert remind(registry) == []
    assert registry.late(rules=RULES, of=OF, now=clock.now()) == []


def test_an_answer_for_what_is_shared_without_condition_is_late_by_its_own_rule(registry: Registry, clock: FakeClock) -> None:
    market = next(one for one in registry.departments() if one.code == "market")
    registry.ensure_department("market", market.name, credit_code=CREDIT_CODE)
    registry.set_entry("staff", read_entry(entry_json(sharing_type="1", sharing_condition=None)), by="setup")
    made = applied(registry, clock)
    at(clock, "2026-10-09T09:00")
    (late,) = registry.late(rules=RULES, of=OF, now=clock.now())
    assert (late.id, late.clock.rule, late.clock.due) == (
        made.id,
        "application.provider_review.unconditional",
        date(2026, 10, 8),
    )


def test_what_was_received_of_fields_that_a_grant_lost_is_to_be_destroyed_once_where_rows_had_left(
    registry: Registry, clock: FakeClock
) -> None:
    before, after, never = (granted(registry, clock, CIVIL) for _ in range(3))
    revision = registry.give_notice(without_title(), by="console", rule=RULES["contract.breaking_notice"], of=OF)
    (notice,) = registry.notices(revision=revision.id)
    registry.acknowledge_notice(notice.id, by="clerk")
    assert revision.ends_at is not None
    clock.advance(revision.ends_at - clock.now())
    registry.move_revisions()
    lost_at = clock.now()
    left = {before: lost_at - timedelta(hours=1), after: lost_at + timedelta(hours=1)}
    heard(registry)
    (made,) = registry.ask_narrowed(left)
    assert registry.ask_narrowed(left) == []
    found = registry.destruction(made)
    assert (found.grant, found.ended, found.fields, found.ended_at, found.department) == (
        before,
        "narrowed",
        ("title",),
        lost_at,
        "civil",
    )
    (told,) = registry.events_waiting()
    assert (told.type, told.data["fields"]) == ("onedoor.registry.destruction.asked", ["title"])
    assert registry.ask_destructions([before, after, never]) == []  # the grants are in force
    registry.revoke_grant(before, by="setup", why="事项取消")
    assert registry.ask_destructions([before]) == [before]
    assert {(one.grant, one.ended, one.fields) for one in registry.destructions()} == {
        (before, "narrowed", ("title",)),
        (before, "revoked", None),
    }
    filed = registry.file_destruction(made, by="clerk", version=1, text="已删除该字段")
    assert registry.confirm_destruction(made, by="officer", version=filed.version).state == "confirmed"
