"""The lives of a service item and of a licence type: every pair of a state and an event; the steps to what the source says."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog_registry.item_life import (
    ITEM_LIFE,
    LICENCE_TYPE_LIFE,
    NEXT_OF_ITEM,
    NEXT_OF_LICENCE_TYPE,
    ItemEvent,
    ItemState,
    LicenceTypeEvent,
    LicenceTypeState,
    steps_to,
)
from catalog_registry.states import diagram
from schemas.errors import RejectedError
from tests.unit.test_states import look, pairs

# Written out once more by hand: a step that is put into the table, or taken out of it, is to be read by a person here.
LIFE = {
    "in_force": {"change": "in_force", "suspend": "suspended", "end": "ended"},
    "suspended": {"change": "suspended", "resume": "in_force", "end": "ended"},
    "ended": {"return": "in_force"},
}
LICENCE_TYPE = {
    "in_force": {"change": "in_force", "terms": "in_force", "end": "ended"},
    "ended": {"terms": "ended", "return": "in_force"},
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


@pytest.mark.parametrize(("state", "event"), pairs(LicenceTypeState, LicenceTypeEvent))
def test_a_licence_type_takes_each_step_of_its_table_and_no_other(state: LicenceTypeState, event: LicenceTypeEvent) -> None:
    look(LICENCE_TYPE_LIFE.advance, LICENCE_TYPE, state, event, "licence_type")


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


def test_the_page_draws_the_lives_as_they_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "items.md").read_text("utf-8")
    assert diagram(NEXT_OF_ITEM, begins=ItemState.IN_FORCE) in page
    assert diagram(NEXT_OF_LICENCE_TYPE, begins=LicenceTypeState.IN_FORCE) in page
