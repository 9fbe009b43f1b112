"""Open clocks are reminded of at half and one day before their last, and escalated when late: once each, over National Day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog_registry import clocks
from catalog_registry.acting import Sight
from catalog_registry.application_clock import UNCONDITIONAL, clock_of
from catalog_registry.clocks import Rule
from catalog_registry.notice_records import ReminderRecord
from catalog_registry.records import ApplicationRecord, Receiver, ReceiverKind
from catalog_registry.registry import Registry
from schemas.catalogue_form import read_entry
from schemas.clock import CHINA, FakeClock
from schemas.workdays import calendar
from tests.catalogue_entry import CREDIT_CODE, entry_json
from tests.registry_people import a_registry, heard, without_title

OF = calendar()
RULES = clocks.rules()
ANSWER = "application.provider_review.conditional"
WEDNESDAY = datetime(2026, 9, 30, 11, tzinfo=CHINA)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(WEDNESDAY.astimezone(UTC))


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    with a_registry(hub_db, clock, tmp_path) as made:
        yield made


def applied(registry: Registry, clock: FakeClock, *, checked: bool = True) -> ApplicationRecord:
    made = registry.apply(
        "staff",
        ["id", "title"],
        by="clerk",
        reason="核对救助对象的从业情况",
        legal_basis="国令809",
        from_at=clock.now(),
        to_at=clock.now() + timedelta(days=365),
        purposes=["accept_case"],
    )
    if checked:
        made = registry.accept_check(made.id, by="officer", version=made.version)
    heard(registry)
    return made


def at(clock: FakeClock, text: str) -> None:
    clock.advance(datetime.fromisoformat(text).replace(tzinfo=CHINA) - clock.now())


def remind(registry: Registry, rules: Mapping[str, Rule] = RULES) -> list[ReminderRecord]:
    return registry.remind(rules, OF)


def told(of: list[ReminderRecord]) -> list[tuple[str, str | None, str, list[str]]]:
    return [(one.what, one.department, str(one.due), list(one.skipped)) for one in of]


def test_a_provider_is_reminded_over_national_day_at_half_and_before_the_last_day_and_the_centre_when_late(
    registry: Registry, clock: FakeClock
) -> None:
    made = applied(registry, clock)
    for quiet in ("2026-10-01T09:00", "2026-10-07T23:59", "2026-10-12T23:59"):  # 8, 9, Saturday 10 and 12 October counted
        at(clock, quiet)
        assert remind(registry) == []
    at(clock, "2026-10-13T00:00")
    assert told(remind(registry)) == [("half", "market", "2026-10-20", [])]
    at(clock, "2026-10-18T12:00")
    assert remind(registry) == []
    at(clock, "2026-10-19T00:00")
    assert told(remind(registry)) == [("last", "market", "2026-10-20", [])]
    at(clock, "2026-10-20T23:59")
    assert remind(registry) == []
    at(clock, "2026-10-21T00:00")
    assert told(remind(registry)) == [("escalated", "market", "2026-10-20", [])]
    at(clock, "2026-11-30T00:00")
    assert remind(registry) == []
    assert heard(registry) == [("reminder.half", made.id), ("reminder.last", made.id), ("escalated", made.id)]
    half, last, late = registry.reminders(thing=made.id)
    assert [one.left for one in (half, last, late)] == [5, 1, -1]
    assert (half.kind, half.rule, half.resource, half.provisional) == ("application", ANSWER, "staff", False)


def test_a_worker_that_was_away_for_days_tells_only_the_newest_and_says_what_it_did_not(
    registry: Registry, clock: FakeClock
) -> None:
    made = applied(registry, clock)
    at(clock, "2026-10-19T08:00")
    assert told(remind(registry)) == [("last", "market", "2026-10-20", ["half"])]
    second = applied(registry, clock)
    at(clock, "2026-12-01T08:00")
    assert told(remind(registry)) == [
        ("escalated", "market", "2026-10-20", []),
        ("escalated", "market", "2026-11-02", ["half", "last"]),
    ]
    (event,) = [e for e in registry.events_waiting() if e.subject == second.id]
    assert event.data["skipped"] == ["half", "last"]
    assert remind(registry) == []
    assert [one.what for one in registry.reminders(thing=made.id)] == ["last", "escalated"]


def test_the_centre_is_reminded_of_what_it_has_to_check_and_a_step_ends_the_reminders_of_the_one_before(
    registry: Registry, clock: FakeClock
) -> None:
    made = applied(registry, clock, checked=False)
    at(clock, "2026-10-08T09:00")
    assert told(remind(registry)) == [("last", None, "2026-10-09", [])]
    registry.accept_check(made.id, by="officer", version=made.version)
    at(clock, "2026-10-13T09:00")
    assert remind(registry) == []
    at(clock, "2026-10-14T09:00")
    assert [(one.rule, one.what) for one in remind(registry)] == [(ANSWER, "half")]
    done = registry.application(made.id)
    registry.cancel_application(made.id, by="clerk", version=done.version)
    at(clock, "2026-12-01T09:00")
    assert remind(registry) == []


def test_two_workers_at_the_same_moment_tell_it_once(registry: Registry, clock: FakeClock) -> None:
    applied(registry, clock)
    at(clock, "2026-10-13T09:00")
    with ThreadPoolExecutor(3) as workers:
        said = list(workers.map(lambda _: remind(registry), range(3)))
    assert sum(map(len, said)) == 1
    assert len(heard(registry)) == 1


def test_reminders_are_shown_to_who_has_the_step_and_to_who_sees_all(registry: Registry, clock: FakeClock) -> None:
    applied(registry, clock)
    applied(registry, clock, checked=False)
    at(clock, "2026-10-13T09:00")
    assert len(remind(registry)) == 2
    assert [one.what for one in registry.reminders(seen=Sight(False, "market"))] == ["half"]
    assert registry.reminders(seen=Sight(False, "civil")) == []
    assert registry.reminders(seen=Sight(False, None)) == []
    assert {one.department for one in registry.reminders(seen=Sight(True, "centre"))} == {"market", None}


def test_who_was_told_of_a_breaking_change_is_reminded_until_it_acknowledges(registry: Registry, clock: FakeClock) -> None:
    for department in ("civil", "tax"):
        registry.make_grant(
            Receiver(ReceiverKind.DEPARTMENT, department),
            "staff",
            ["title"],
            legal_basis="国令809",
            from_at=clock.now(),
            to_at=clock.now() + timedelta(days=365),
            by="setup",
            purposes=["accept_case"],
        )
    registry.give_notice(without_title(), by="console", rule=RULES["contract.breaking_notice"], of=OF)
    civil, tax = (registry.notices(department=name)[0].id for name in ("civil", "tax"))
    at(clock, "2026-10-13T09:00")
    assert {(one.kind, one.thing, one.department) for one in remind(registry)} == {
        ("notice", civil, "civil"),
        ("notice", tax, "tax"),
    }
    registry.acknowledge_notice(civil, by="clerk")
    at(clock, "2026-10-21T09:00")
    assert [(one.thing, one.what) for one in remind(registry)] == [(tax, "escalated")]
    assert registry.move_revisions()[0].state == "held"


def test_an_answer_for_what_is_shared_without_condition_has_the_clock_of_its_own_rule(
    registry: Registry, clock: FakeClock
) -> None:
    market = registry.departments()
    registry.ensure_department("market", next(d.name for d in market if d.code == "market"), credit_code=CREDIT_CODE)
    registry.set_entry("staff", read_entry(entry_json(sharing_type="1", sharing_condition=None)), by="setup")
    made = applied(registry, clock)
    at(clock, "2026-10-08T09:00")
    assert [(one.rule, one.what) for one in remind(registry)] == [(UNCONDITIONAL, "last")]
    at(clock, "2026-10-09T09:00")
    (late,) = remind(registry)
    assert (late.thing, late.what, str(late.due)) == (made.id, "escalated", "2026-10-08")
    found = clock_of(made, made.changed_at, rules=RULES, of=OF, now=clock.now(), unconditional=True)
    assert found is not None
    assert (found.rule, found.workdays, found.late) == (UNCONDITIONAL, 1, True)


# Outcomes that follow by themselves


def ordered(rule: str, late: str, by: str) -> Mapping[str, Rule]:
    """Return the rules of a deployment that orders an outcome."""
    own = replace(RULES[rule], late=late, late_source="本区共享管理办法第九条", late_as=by)
    return RULES | {rule: own}  # type: ignore[operator]


@pytest.mark.parametrize(("late", "state"), [("refuse", "refused"), ("approve", "granted")])
def test_an_outcome_that_a_deployment_orders_is_taken_once_in_the_name_that_it_gives(
    registry: Registry, clock: FakeClock, late: str, state: str
) -> None:
    made = applied(registry, clock)
    rules = ordered(ANSWER, late, "reviewer")
    at(clock, "2026-10-20T23:59")
    remind(registry, rules)
    assert registry.application(made.id).state == "provider_review"
    at(clock, "2026-10-21T00:00")
    assert [one.what for one in remind(registry, rules)] == ["escalated"]
    assert registry.application(made.id).state == state
    step = registry.history(made.id)[-1]
    assert step.why == f"late by the rule {ANSWER}: 本区共享管理办法第九条"
    assert step.by == registry.principal("reviewer").id
    at(clock, "2026-10-22T00:00")
    assert remind(registry, rules) == []
    assert len(registry.history(made.id)) == 3


def test_by_the_shipped_rules_nothing_is_granted_or_refused_however_late(registry: Registry, clock: FakeClock) -> None:
    made, waiting = applied(registry, clock), applied(registry, clock, checked=False)
    at(clock, "2027-09-30T00:00")
    remind(registry)
    assert [registry.application(one.id).state for one in (made, waiting)] == ["provider_review", "submitted"]


def test_an_outcome_that_the_registry_refuses_is_told_once_and_left_to_people(registry: Registry, clock: FakeClock) -> None:
    made = applied(registry, clock)
    rules = ordered(ANSWER, "approve", "clerk")  # no reviewer
    at(clock, "2026-10-21T00:00")
    assert [one.what for one in remind(registry, rules)] == ["escalated", "outcome"]
    events: list[Any] = [e for e in registry.events_waiting() if e.type.endswith("outcome.refused")]
    assert [(e.subject, e.data["outcome"], e.data["code"]) for e in events] == [(made.id, "approve", "registry.role")]
    assert remind(registry, rules) == []
    assert registry.application(made.id).state == "provider_review"
