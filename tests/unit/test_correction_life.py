"""The life of a correction request: every pair of a state and an event, those that are forbidden too; its page; its clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest

from catalog_registry.clocks import rules
from catalog_registry.correction_life import (
    CORRECTION_LIFE,
    DUTIES_OF_CORRECTION,
    NEXT_OF_CORRECTION,
    RULES,
    clock_of,
)
from catalog_registry.correction_records import CorrectionRecord
from catalog_registry.correction_words import CorrectionEvent, CorrectionState, CorrectionType
from catalog_registry.corrections import comparable, correction_type
from catalog_registry.states import diagram
from schemas.contract import Field, LogicalType
from schemas.errors import RejectedError
from schemas.resource import resource_name
from schemas.workdays import calendar
from tests.hub import contract
from tests.unit.test_states import look, pairs, who_may

# Written out once more by hand: a step that is put into the table, or taken out of it, is to be read by a person here.
CORRECTION = {
    "submitted": {"accept": "accepted", "refuse": "refused", "withdraw": "withdrawn", "hand_over": "submitted"},
    "accepted": {"hand_over": "accepted", "withdraw": "withdrawn", "resolve": "closed", "close": "closed"},
    "refused": {"contest": "contested"},
    "contested": {"uphold": "upheld", "overrule": "accepted", "withdraw": "withdrawn", "hand_over": "contested"},
    "upheld": {},
    "withdrawn": {},
    "closed": {},
}
PAGE = Path(__file__).resolve().parents[2] / "docs/explanation/corrections.md"
BEGAN = datetime(2026, 9, 30, 2, tzinfo=UTC)


def a_correction(state: CorrectionState) -> CorrectionRecord:
    return CorrectionRecord(
        id="k1",
        resource=resource_name("licences"),
        type=CorrectionType.WRONG,
        department="civil",
        asker="p1",
        fields=(),
        row="L1",
        state=state,
        version=1,
        assigned="market",
        answered_by=None,
        decided_by=None,
        outcome=None,
        run_before="r1",
        hash_before="00" * 16,
        run_after=None,
        hash_after=None,
        made_at=BEGAN,
        changed_at=BEGAN,
        state_at=BEGAN,
        row_key=("L1",),
        contract_version="1.0.0",
        let_through=(),
        sealed=b"",
    )


@pytest.mark.parametrize(("state", "event"), pairs(CorrectionState, CorrectionEvent))
def test_a_correction_takes_each_step_of_its_table_and_no_other(state: CorrectionState, event: CorrectionEvent) -> None:
    look(CORRECTION_LIFE.advance, CORRECTION, state, event, "correction")


def test_the_page_draws_the_table_as_it_is_and_says_who_may_take_each_step() -> None:
    page = PAGE.read_text("utf-8")
    assert diagram(NEXT_OF_CORRECTION, begins=CorrectionState.SUBMITTED) in page
    taken = {event: duties for event, duties in DUTIES_OF_CORRECTION.items() if duties}
    assert who_may(taken) in page


def test_every_step_but_the_hubs_own_has_somebody_who_may_take_it() -> None:
    assert set(DUTIES_OF_CORRECTION) == set(CorrectionEvent)
    assert [event for event, duties in DUTIES_OF_CORRECTION.items() if not duties] == [CorrectionEvent.CLOSE]
    assert isinstance(NEXT_OF_CORRECTION, MappingProxyType)


@pytest.mark.parametrize(
    ("state", "rule", "department"),
    [
        ("submitted", "correction.answer", "market"),
        ("accepted", "correction.mend", "market"),
        ("contested", "correction.mediate", None),
    ],
)
def test_each_state_that_waits_has_its_clock_over_national_day(state: str, rule: str, department: str | None) -> None:
    of = a_correction(CorrectionState(state))
    found = clock_of(of, rules=rules(), of=calendar(), now=datetime(2026, 10, 20, 2, tzinfo=UTC))
    assert found is not None
    assert (found.rule, found.department, str(found.due), found.late) == (rule, department, "2026-10-20", False)
    later = clock_of(of, rules=rules(), of=calendar(), now=datetime(2026, 10, 21, 2, tzinfo=UTC))
    assert later is not None
    assert later.late


def test_what_is_at_its_end_or_waits_for_the_asker_has_no_clock() -> None:
    for state in set(CorrectionState) - set(RULES):
        assert clock_of(a_correction(state), rules=rules(), of=calendar(), now=BEGAN) is None


def test_types_are_the_codes_of_the_field() -> None:
    assert [correction_type(code) for code in "123"] == list(CorrectionType)
    with pytest.raises(RejectedError, match="no type '4'") as refusal:
        correction_type("4")
    assert "1 信息有误" in str(refusal.value.remedy)


def test_hashes_can_be_compared_where_the_fields_are_the_same_in_order() -> None:
    one, two = Field("id", LogicalType.STRING, "id", key=1), Field("note", LogicalType.STRING, "note")
    before = contract("things", [one, two])
    assert comparable(before, contract("things", [one, two], version="1.0.1", title="other"))
    assert not comparable(before, contract("things", [one]))
    assert not comparable(before, contract("things", [two, one]))
    assert not comparable(before, contract("things", [one, Field("note", LogicalType.INTEGER, "note")]))
