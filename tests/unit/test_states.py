"""The life of a resource and of an application: every pair of a state and an event, those that are forbidden too."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from catalog_registry.acting import DUTIES_OF_APPLICATION, DUTIES_OF_RESOURCE, Duty
from catalog_registry.states import (
    APPLICATION_LIFE,
    NEXT_OF_APPLICATION,
    NEXT_OF_RESOURCE,
    RESOURCE_LIFE,
    ApplicationEvent,
    ApplicationState,
    ResourceEvent,
    ResourceState,
    diagram,
)
from schemas.errors import Fault, RejectedError

# Written out once more by hand: a step that is put into the table, or taken out of it, is to be read by a person here.
RESOURCE = {
    "draft": {"submit": "submitted", "discard": "discarded"},
    "submitted": {"publish": "published", "reject": "rejected"},
    "rejected": {"submit": "submitted"},
    "published": {"freeze": "frozen", "withdraw": "withdrawn"},
    "frozen": {"thaw": "published", "withdraw": "withdrawn"},
    "withdrawn": {},
    "discarded": {},
}
APPLICATION = {
    "submitted": {
        "accept_check": "provider_review",
        "return": "returned",
        "cancel": "cancelled",
        "hand_over": "submitted",
    },
    "provider_review": {
        "approve": "granted",
        "refuse": "refused",
        "cancel": "cancelled",
        "hand_over": "provider_review",
    },
    "returned": {},
    "granted": {},
    "refused": {},
    "cancelled": {},
}
DIAGRAM_OF_RESOURCE = """\
stateDiagram-v2
    [*] --> draft
    draft --> submitted: submit
    draft --> discarded: discard
    rejected --> submitted: submit
    submitted --> published: publish
    submitted --> rejected: reject
    published --> frozen: freeze
    frozen --> published: thaw
    published --> withdrawn: withdraw
    frozen --> withdrawn: withdraw
    discarded --> [*]
    withdrawn --> [*]
"""


def pairs(states: type[StrEnum], events: type[StrEnum]) -> list[tuple[Any, Any]]:
    return [(state, event) for state in states for event in events]


def look(advance: Any, expected: dict[str, dict[str, str]], state: StrEnum, event: StrEnum, what: str) -> None:
    """See that a pair of the table leads where it should, and any other is refused with what could be done instead."""
    steps = expected[state]
    if event in steps:
        assert advance(state, event) == steps[event]
        return
    with pytest.raises(RejectedError) as refusal:
        advance(state, event)
    assert (refusal.value.code, refusal.value.fault) == (f"{what}.state", Fault.CLIENT)
    assert f"that is {state.replace('_', ' ')}, but" in refusal.value.message
    remedy = str(refusal.value.remedy)
    assert remedy
    assert all(possible.replace("_", " ") in remedy for possible in steps)


@pytest.mark.parametrize(("state", "event"), pairs(ResourceState, ResourceEvent))
def test_a_resource_takes_each_step_of_its_table_and_no_other(state: ResourceState, event: ResourceEvent) -> None:
    look(RESOURCE_LIFE.advance, RESOURCE, state, event, "resource")


@pytest.mark.parametrize(("state", "event"), pairs(ApplicationState, ApplicationEvent))
def test_an_application_takes_each_step_of_its_table_and_no_other(state: ApplicationState, event: ApplicationEvent) -> None:
    look(APPLICATION_LIFE.advance, APPLICATION, state, event, "application")


def test_the_tables_cannot_be_changed_while_the_hub_runs() -> None:
    for table in (NEXT_OF_RESOURCE, NEXT_OF_APPLICATION):
        assert isinstance(table, MappingProxyType)


def test_a_refused_step_says_from_where_it_could_be_taken() -> None:
    with pytest.raises(RejectedError) as refusal:
        APPLICATION_LIFE.advance(ApplicationState.GRANTED, ApplicationEvent.CANCEL)
    assert refusal.value.message == (
        "cancel is not for an application that is granted, but for one that is submitted or provider review"
    )
    assert refusal.value.remedy == "revoke its grant to end it, or apply again for more"


def test_a_table_is_drawn_as_a_diagram_with_its_beginning_and_its_ends() -> None:
    assert diagram(NEXT_OF_RESOURCE, begins=ResourceState.DRAFT) == DIAGRAM_OF_RESOURCE
    drawn = diagram(NEXT_OF_APPLICATION, begins=ApplicationState.SUBMITTED)
    assert drawn.count("-->") == 1 + len(NEXT_OF_APPLICATION) + 4
    assert "    submitted --> provider_review: accept_check\n" in drawn
    assert drawn.endswith("    returned --> [*]\n    cancelled --> [*]\n    granted --> [*]\n    refused --> [*]\n")


def who_may(duties: Mapping[Any, tuple[Duty, ...]]) -> str:
    """Return who may take each step, as the page has it."""
    lines = [
        f"| {event.replace('_', ' ')} | {', '.join(d.role + (' of its department' if d.own else '') for d in those)} |"
        for event, those in duties.items()
    ]
    return "\n".join(["| Step | Who may take it |", "|---|---|", *lines])


def test_the_page_draws_the_tables_as_they_are_and_says_who_may_take_each_step() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/explanation/sharing.md").read_text("utf-8")
    for drawn in (
        diagram(NEXT_OF_RESOURCE, begins=ResourceState.DRAFT),
        diagram(NEXT_OF_APPLICATION, begins=ApplicationState.SUBMITTED),
        who_may(DUTIES_OF_RESOURCE),
        who_may(DUTIES_OF_APPLICATION),
    ):
        assert drawn in page


def test_every_step_has_somebody_who_may_take_it() -> None:
    assert (set(DUTIES_OF_RESOURCE), set(DUTIES_OF_APPLICATION)) == (set(ResourceEvent), set(ApplicationEvent))
