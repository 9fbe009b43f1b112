"""The lives of a duty to destroy and of a bulk export: every pair of a state and an event, those that are forbidden too."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.acting import Duty
from catalog_registry.bulk_export_life import DUTIES_OF_EXPORT, EXPORT_LIFE, ExportEvent, ExportState
from catalog_registry.destruction_life import DESTRUCTION_LIFE, DUTIES_OF_DESTRUCTION, DestructionEvent, DestructionState
from catalog_registry.states import Life, diagram
from schemas.errors import RejectedError

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "terms.md"

# Written out once more by hand: a step that is put into the table, or taken out of it, is to be read by a person here.
DESTRUCTION = {
    "asked": {"file": "filed", "waive": "waived", "remind": "asked", "escalate": "asked"},
    "filed": {"confirm": "confirmed", "return": "asked", "waive": "waived", "remind": "filed", "escalate": "filed"},
    "confirmed": {},
    "waived": {},
}
EXPORT = {
    "asked": {"approve": "approved", "refuse": "refused", "cancel": "cancelled"},
    "approved": {"use": "used", "cancel": "cancelled"},
    "refused": {},
    "cancelled": {},
    "used": {},
}
LIVES: tuple[tuple[Life[Any, Any], dict[str, dict[str, str]], type[StrEnum], type[StrEnum]], ...] = (
    (DESTRUCTION_LIFE, DESTRUCTION, DestructionState, DestructionEvent),
    (EXPORT_LIFE, EXPORT, ExportState, ExportEvent),
)
PAIRS = [
    pytest.param(life, table[state].get(event), state, event, id=f"{life.code}-{state}-{event}")
    for life, table, states, events in LIVES
    for state in states
    for event in events
]


@pytest.mark.parametrize(("life", "after", "state", "event"), PAIRS)
def test_a_life_takes_each_step_of_its_table_and_no_other(
    life: Life[Any, Any], after: str | None, state: StrEnum, event: StrEnum
) -> None:
    if after is not None:
        assert life.advance(state, event) == after
        return
    with pytest.raises(RejectedError) as refusal:
        life.advance(state, event)
    assert refusal.value.code == life.code
    assert refusal.value.remedy


def words(duties: tuple[Duty, ...]) -> str:
    return ", ".join(f"{duty.role} of its department" if duty.own else duty.role for duty in duties)


def test_the_page_draws_the_tables_as_they_are_and_says_who_may_take_each_step() -> None:
    page = PAGE.read_text("utf-8")
    assert diagram(DESTRUCTION_LIFE.next, begins=DestructionState.ASKED) in page
    assert diagram(EXPORT_LIFE.next, begins=ExportState.ASKED) in page
    for event, duties in (*DUTIES_OF_DESTRUCTION.items(), *DUTIES_OF_EXPORT.items()):
        assert f"| {event} | {words(duties)} |" in page
