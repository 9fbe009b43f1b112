"""A resource is withdrawn on a date: told to who uses it, shared until then, then taken away once; or called off."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from schemas.clock import CHINA, FakeClock
from schemas.errors import DeniedError, RejectedError
from tests.registry_people import a_registry, code, heard

ON = date(2026, 12, 1)
AT = datetime(2026, 12, 1, tzinfo=CHINA)
WHY = "由 staff_all 替代"


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    with a_registry(hub_db, clock, tmp_path) as made:
        yield made


def grant(registry: Registry, clock: FakeClock, department: str = "civil", days: int = 365) -> str:
    made = registry.make_grant(
        Receiver(ReceiverKind.DEPARTMENT, department),
        "staff",
        ["id"],
        legal_basis="国令809",
        from_at=clock.now(),
        to_at=clock.now() + timedelta(days=days),
        by="setup",
        purposes=["accept_case"],
    )
    heard(registry)
    return made.id


def seen(registry: Registry, **more: Any) -> dict[str, Any]:
    return {"by": "reviewer", "version": registry.resource("staff").row_version, "why": WHY} | more


def test_until_the_date_it_is_shared_and_its_users_are_told_and_then_it_is_withdrawn_once(
    registry: Registry, clock: FakeClock
) -> None:
    given = grant(registry, clock)
    plan = registry.plan_withdrawal("staff", ON, **seen(registry))
    assert (plan.at, plan.why, plan.outcome) == (AT, WHY, None)
    (told,) = registry.notices(withdrawal=plan.id)
    assert (told.department, told.about, told.state, told.effect_at, told.why) == ("civil", "withdrawal", "planned", AT, WHY)
    assert [(g["grant"], g["fields_after"], g["rows_after"]) for g in told.grants] == [(given, [], "none")]
    assert heard(registry) == [("resource.withdrawal_planned", "staff"), ("notice.given", told.id)]
    clock.advance(AT - clock.now() - timedelta.resolution)
    assert registry.take_withdrawals() == []
    assert registry.resource("staff").state == "published"
    clock.advance(timedelta.resolution)
    with ThreadPoolExecutor(3) as workers:
        done = list(workers.map(lambda _: registry.take_withdrawals(), range(3)))
    assert [(one.id, one.outcome, one.ended_at) for those in done for one in those] == [(plan.id, "done", AT)]
    assert registry.resource("staff").state == "withdrawn"
    assert heard(registry) == [("resource.withdrawn", "staff")]
    planned, taken = registry.resource_history("staff")[-2:]
    reviewer = registry.principal("reviewer").id
    assert (planned.event, planned.by, planned.why, planned.to_state) == ("plan_withdrawal", reviewer, WHY, "published")
    assert planned.detail == {"at": AT.astimezone(UTC).isoformat()}
    assert (taken.event, taken.by, taken.why, taken.from_state) == ("withdraw", reviewer, WHY, "published")
    assert taken.detail is not None
    assert taken.detail["planned_at"] == plan.made_at.isoformat()


def test_a_worker_that_was_away_over_the_date_withdraws_it_when_it_is_back(registry: Registry, clock: FakeClock) -> None:
    registry.plan_withdrawal("staff", ON, **seen(registry))
    clock.advance(AT + timedelta(days=9) - clock.now())
    assert len(registry.take_withdrawals()) == 1
    assert registry.resource("staff").state == "withdrawn"


def test_who_gets_a_grant_after_the_plan_is_told_too_and_one_that_ended_before_is_not(
    registry: Registry, clock: FakeClock
) -> None:
    grant(registry, clock, "tax", days=1)
    clock.advance(timedelta(days=2))
    plan = registry.plan_withdrawal("staff", ON, **seen(registry))
    assert registry.notices(withdrawal=plan.id) == []
    grant(registry, clock)
    registry.take_withdrawals()
    assert [n.department for n in registry.notices(withdrawal=plan.id)] == ["civil"]


def test_a_withdrawal_that_is_called_off_never_comes(registry: Registry, clock: FakeClock) -> None:
    grant(registry, clock)
    plan = registry.plan_withdrawal("staff", ON, **seen(registry))
    off = registry.call_off_withdrawal("staff", **seen(registry, why="继续提供"))
    assert (off.id, off.outcome, off.ended_by) == (plan.id, "called_off", registry.principal("reviewer").id)
    assert registry.notices(department="civil")[0].state == "called_off"
    assert registry.withdrawal("staff") is None
    clock.advance(timedelta(days=60))
    assert registry.take_withdrawals() == []
    assert registry.resource("staff").state == "published"
    step = registry.resource_history("staff")[-1]
    assert (step.event, step.why, step.detail) == ("call_off_withdrawal", "继续提供", {"at": AT.astimezone(UTC).isoformat()})
    assert heard(registry)[-1] == ("resource.withdrawal_called_off", "staff")
    assert code(RejectedError, lambda: registry.call_off_withdrawal("staff", **seen(registry))) == "withdrawal.none"
    assert registry.plan_withdrawal("staff", date(2027, 2, 1), **seen(registry)).outcome is None


def test_a_date_a_reason_a_role_and_what_was_looked_at_are_needed(registry: Registry) -> None:
    cases: list[tuple[date, dict[str, Any], str]] = [
        (date(2026, 11, 2), {}, "withdrawal.date"),
        (date(2025, 1, 1), {}, "withdrawal.date"),
        (date(2400, 1, 1), {}, "withdrawal.date"),
        (ON, {"why": " "}, "registry.empty"),
        (ON, {"version": 7}, "registry.conflict"),
        (ON, {"by": "editor"}, "registry.role"),
        (ON, {"by": "stranger"}, "registry.other_department"),
    ]
    for on, more, refused in cases:
        kind = DeniedError if refused in ("registry.role", "registry.other_department") else RejectedError
        given = seen(registry, **more)
        assert code(kind, lambda on=on, given=given: registry.plan_withdrawal("staff", on, **given)) == refused
    assert registry.withdrawal("staff") is None


def test_there_is_one_plan_at_a_time_and_a_withdrawal_at_once_fulfils_it(registry: Registry) -> None:
    plan = registry.plan_withdrawal("staff", ON, **seen(registry))
    assert code(RejectedError, lambda: registry.plan_withdrawal("staff", ON, **seen(registry))) == "withdrawal.planned"
    registry.withdraw_resource("staff", **seen(registry, why="数据有误"))
    assert registry.withdrawal("staff") is None
    assert registry.take_withdrawals() == []
    steps = [step.event for step in registry.resource_history("staff")]
    assert steps == ["register", "plan_withdrawal", "withdraw"]
    assert plan.outcome is None
    assert code(RejectedError, lambda: registry.plan_withdrawal("staff", ON, **seen(registry))) == "resource.state"


def test_one_that_is_frozen_meanwhile_is_withdrawn_all_the_same(registry: Registry, clock: FakeClock) -> None:
    registry.plan_withdrawal("staff", ON, **seen(registry))
    registry.freeze_resource("staff", **seen(registry, by="officer", why="数据有误"))
    clock.advance(timedelta(days=60))
    registry.take_withdrawals()
    assert registry.resource("staff").state == "withdrawn"
    assert registry.resource_history("staff")[-1].from_state == "frozen"
