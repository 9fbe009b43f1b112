"""The life of a service item: every pair of a state and an event, and the steps to what its source says."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog_registry.item_life import ITEM_LIFE, NEXT_OF_ITEM, ItemEvent, ItemState, steps_to
from catalog_registry.states import diagram
from schemas.errors import RejectedError

# Written out once more by hand: a step that is put into the table, or taken out of it, is to be read by a person here.
LIFE = {
    "in_force": {"change": "in_force", "suspend": "suspended", "end": "ended"},
    "suspended": {"change": "suspended", "resume": "in_force", "end": "ended"},
    "ended": {"return": "in_force"},
}


@pytest.mark.parametrize("state", ItemState)
@pytest.mark.parametrize("event", ItemEvent)
def test_every_step_leads_where_it_should_and_no_other_is_taken(state: ItemState, event: ItemEvent) -> None:
    if event in LIFE[state]:
        assert ITEM_LIFE.advance(state, event) == LIFE[state][event]
        return
    with pytest.raises(RejectedError) as refusal:
        ITEM_LIFE.advance(state, event)
    assert refusal.value.code == "item.state"


@pytest.mark.parametrize("state", ItemState)
@pytest.mark.parametrize("wanted", ItemState)
@pytest.mark.parametrize("changed", [True, False])
def test_the_steps_to_what_the_source_says_lead_there(state: ItemState, wanted: ItemState, changed: bool) -> None:
    here = state
    for event in steps_to(state, wanted, changed=changed):
        here = ITEM_LIFE.advance(here, event)
    assert here is wanted
    if not changed:
        assert (steps_to(state, wanted, changed=False) == ()) == (state is wanted)


def test_the_page_draws_the_life_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "items.md").read_text("utf-8")
    assert diagram(NEXT_OF_ITEM, begins=ItemState.IN_FORCE) in page
