"""The life of a demand and its clock: every pair of a state and an event, those that are forbidden too, and by when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.clocks import rules
from catalog_registry.demand_clock import demand_clock
from catalog_registry.demand_records import DemandRecord, LateRecord
from catalog_registry.demand_states import (
    DEMAND_LIFE,
    DUTIES_OF_DEMAND,
    NEXT_OF_DEMAND,
    DemandEvent,
    DemandState,
)
from catalog_registry.overdue import by_department
from catalog_registry.states import diagram
from schemas.clock import CHINA
from schemas.workdays import calendar
from tests.unit.test_states import look, pairs, who_may

# Written out once more by hand: a step that is put into the table, or taken out of it, is to be read by a person here.
DEMAND = {
    "submitted": {"appoint": "assigned", "return": "returned", "cancel": "cancelled"},
    "assigned": {"appoint": "assigned", "accept": "accepted", "refuse": "refused", "cancel": "cancelled"},
    "accepted": {"appoint": "assigned", "fulfil": "fulfilled", "cancel": "cancelled"},
    "refused": {"appoint": "assigned"},
    "fulfilled": {},
    "returned": {},
    "cancelled": {},
}
BEGAN = datetime(2026, 9, 30, 10, tzinfo=CHINA)


@pytest.mark.parametrize(("state", "event"), pairs(DemandState, DemandEvent))
def test_a_demand_takes_each_step_of_its_table_and_no_other(state: DemandState, event: DemandEvent) -> None:
    look(DEMAND_LIFE.advance, DEMAND, state, event, "demand")


def test_every_step_of_a_demand_has_somebody_who_may_take_it() -> None:
    assert set(DUTIES_OF_DEMAND) == set(DemandEvent)


def test_the_page_draws_the_life_of_a_demand_as_it_is_and_says_who_may_take_each_step() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/explanation/demands.md").read_text("utf-8")
    assert diagram(NEXT_OF_DEMAND, begins=DemandState.SUBMITTED) in page
    assert who_may(DUTIES_OF_DEMAND) in page


def a_demand(state: str, **more: Any) -> DemandRecord:
    values: dict[str, Any] = dict.fromkeys(DemandRecord.__dataclass_fields__) | {
        "id": "d1",
        "state": DemandState(state),
        "since": BEGAN,
        "assigned": None if state == "submitted" else "market",
    }
    return DemandRecord(**(values | more))


def clock(demand: DemandRecord, *china: int) -> Any:
    return demand_clock(demand, rules=rules(), of=calendar(), now=datetime(*china, tzinfo=CHINA))  # type: ignore[misc]


def test_the_clock_of_a_demand_stands_still_over_national_day() -> None:
    found = clock(a_demand("submitted"), 2026, 10, 9, 18)
    assert (found.rule, found.department, found.due, found.late) == ("demand.appoint", None, date(2026, 10, 9), False)
    assert clock(a_demand("submitted"), 2026, 10, 10, 9).late
    found = clock(a_demand("assigned"), 2026, 10, 20, 23)
    assert (found.rule, found.department, found.due, found.left) == ("demand.answer", "market", date(2026, 10, 20), 0)
    assert clock(a_demand("assigned"), 2026, 10, 21, 9).left == -1


def test_the_clock_of_a_promise_ends_with_the_day_that_was_named_worked_or_not() -> None:
    promised = a_demand("accepted", promised_on=date(2026, 10, 3))  # in National Day's holidays
    assert (clock(promised, 2026, 9, 30, 12).state, clock(promised, 2026, 10, 3, 23).late) == ("reminded_last", False)
    found = clock(promised, 2026, 10, 4, 1)
    assert (found.rule, found.due, found.late, found.left) == ("demand.promised", date(2026, 10, 3), True, 0)
    later = clock(a_demand("accepted", promised_on=date(2026, 10, 20)), 2026, 10, 8, 9)
    assert (later.state, later.left, later.workdays) == ("running", 9, 10)


@pytest.mark.parametrize("state", ["refused", "fulfilled", "returned", "cancelled"])
def test_a_demand_that_waits_for_nobody_has_no_clock(state: str) -> None:
    assert clock(a_demand(state), 2026, 12, 1) is None


def test_what_is_late_stands_by_department_the_centre_last_and_the_longest_first() -> None:
    now = datetime(2026, 11, 30, 1, tzinfo=UTC)

    def late(id_: str, kind: str, state: str, days: int, assigned: str | None = None) -> LateRecord:
        one = a_demand(state, assigned=assigned, since=BEGAN + timedelta(days=days))
        found = demand_clock(one, rules=rules(), of=calendar(), now=now)
        assert found is not None
        return LateRecord(kind, id_, "beds", "civil", state, found)

    rows = [
        late("d3", "demand", "submitted", 0),
        late("d1", "demand", "assigned", 9, "market"),
        late("a1", "application", "assigned", 3, "market"),
        late("d2", "demand", "assigned", 1, "tax"),
    ]
    found = by_department(rows)
    assert [(one.department, one.counts, [row.id for row in one.late]) for one in found] == [
        ("market", {"application": 1, "demand": 1}, ["a1", "d1"]),
        ("tax", {"demand": 1}, ["d2"]),
        (None, {"demand": 1}, ["d3"]),
    ]
    assert [one.oldest for one in found] == [one.late[0].clock.due for one in found]
