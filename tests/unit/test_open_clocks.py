"""When the clock of a state began, and in which intervals it stood: from the history of what it is the clock of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from catalog_registry.clocks import due, rules
from catalog_registry.open_clocks import span
from catalog_registry.records import StepRecord
from schemas.workdays import calendar

FIRST = datetime(2026, 11, 2, 1, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)


def steps(*states: str) -> list[StepRecord]:
    """Return a history that enters a state each day."""
    before: list[str | None] = [None, *states]
    return [
        StepRecord(n, FIRST + n * DAY, "p", "step", came, went, None, None)
        for n, (came, went) in enumerate(zip(before, states, strict=False))
    ]


def test_a_clock_begins_with_its_state_and_a_step_that_leaves_the_state_does_not_begin_it_again() -> None:
    assert span(steps("submitted", "answering", "answering"), "answering", ()) == (FIRST + DAY, ())


def test_a_clock_that_was_paused_goes_on_and_its_pause_does_not_count() -> None:
    began, pauses = span(steps("submitted", "answering", "asking", "answering"), "answering", ("asking",))
    assert (began, pauses) == (FIRST + DAY, ((FIRST + 2 * DAY, FIRST + 3 * DAY),))
    rule = rules()["correction.answer"]
    without = due(rule, began, (), FIRST + 3 * DAY, calendar())
    found = due(rule, began, pauses, FIRST + 3 * DAY, calendar())
    assert without.at is not None
    assert found.at is not None
    assert found.at - without.at == 2 * DAY  # both days of the pause


def test_a_clock_that_is_paused_now_has_a_pause_without_an_end() -> None:
    began, pauses = span(steps("answering", "asking"), "answering", ("asking",))
    assert (began, pauses) == (FIRST, ((FIRST + DAY, None),))
    assert due(rules()["correction.answer"], began, pauses, FIRST + 9 * DAY, calendar()).state == "paused"


def test_a_clock_that_ended_begins_again() -> None:
    assert span(steps("answering", "answered", "answering"), "answering", ("asking",)) == (FIRST + 2 * DAY, ())
