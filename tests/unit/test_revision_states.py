"""The life of a revision of a contract: every pair of a state and an event, those that are forbidden too, and its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog_registry.revision_states import (
    DUTIES_OF_REVISION,
    NEXT_OF_REVISION,
    REVISION_LIFE,
    RevisionEvent,
    RevisionState,
)
from catalog_registry.states import diagram
from tests.unit.test_states import look, pairs, who_may

# Written out once more by hand, to be read by a person.
REVISION = {
    "proposed": {"reject": "rejected", "give_notice": "noticed", "approve": "due", "withdraw": "withdrawn"},
    "rejected": {},
    "noticed": {"hold": "held", "take_effect": "in_force", "withdraw": "withdrawn"},
    "held": {"go_on": "due", "take_effect": "in_force", "withdraw": "withdrawn"},
    "due": {"hold": "held", "take_effect": "in_force", "withdraw": "withdrawn"},
    "in_force": {},
    "withdrawn": {},
}


@pytest.mark.parametrize(("state", "event"), pairs(RevisionState, RevisionEvent))
def test_a_revision_takes_each_step_of_its_table_and_no_other(state: RevisionState, event: RevisionEvent) -> None:
    look(REVISION_LIFE.advance, REVISION, state, event, "revision")


def test_the_page_of_changes_draws_the_life_of_a_revision_and_says_who_may_take_each_step() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/explanation/changes.md").read_text("utf-8")
    assert diagram(NEXT_OF_REVISION, begins=RevisionState.PROPOSED) in page
    assert who_may(DUTIES_OF_REVISION) in page


def test_only_the_worker_takes_the_steps_that_nobody_decides_on() -> None:
    assert set(RevisionEvent) - set(DUTIES_OF_REVISION) == {RevisionEvent.HOLD, RevisionEvent.TAKE_EFFECT}
