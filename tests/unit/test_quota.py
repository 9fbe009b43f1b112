"""Quotas as they are given, narrowed and told of: pure rules."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_registry.quota import MOST, Quota, kept_quota, narrowed_quota, quota_of
from exchange.trust.quota import day_of, minute_of, seconds_left
from exchange.trust.used import used_of
from schemas.errors import RejectedError

NOW = datetime(2026, 11, 2, 15, 59, 30, tzinfo=UTC)
COUNTS = st.integers(1, MOST)
QUOTAS = st.fixed_dictionaries(
    {}, optional={"per_day": COUNTS, "per_minute": COUNTS, "rows_per_day": COUNTS, "burst": COUNTS}
).filter(lambda q: bool(q) and ("burst" not in q or "per_minute" in q))


def refused(given: Any) -> str:
    with pytest.raises(RejectedError) as refusal:
        quota_of(given)
    return refusal.value.code


@pytest.mark.parametrize(
    "given",
    [
        {"per_year": 1},
        {"per_day": 0},
        {"per_day": -1},
        {"per_day": MOST + 1},
        {"per_day": True},
        {"per_day": 1.0},
        {"per_day": "1"},
        {"burst": 5},
        {"burst": 5, "per_day": 9},
    ],
)
def test_a_quota_of_another_form_is_refused(given: dict[str, Any]) -> None:
    assert refused(given) == "grant.quota"


def test_a_limit_that_is_none_is_no_limit_and_none_at_all_is_no_quota() -> None:
    assert (quota_of(None), quota_of({}), quota_of({"per_day": None})) == (None, None, None)
    assert quota_of({"per_day": 5, "per_minute": None}) == Quota(per_day=5)


@given(QUOTAS)
def test_a_quota_is_kept_as_it_was_given(given: dict[str, int]) -> None:
    made = quota_of(given)
    assert made is not None
    assert made.document() == given
    assert kept_quota(made.document()) == made


@given(QUOTAS, QUOTAS)
def test_whatever_is_given_of_a_quota_it_is_never_more_than_asked(asked: dict[str, int], given: dict[str, int]) -> None:
    wanted, less = quota_of(asked), quota_of(given)
    more = any(given.get(name, 0) > most for name, most in asked.items())
    if more or ("burst" in given and "burst" not in asked and "per_minute" in asked):
        with pytest.raises(RejectedError) as refusal:
            narrowed_quota(wanted, less)
        assert refusal.value.code == "application.more_than_asked"
        return
    made = narrowed_quota(wanted, less)
    assert made is not None
    assert made.document() == asked | given


def test_a_quota_that_nobody_asked_for_may_be_given_and_one_that_was_stays_where_nothing_is_said() -> None:
    asked = Quota(per_day=10, per_minute=5, burst=2)
    assert narrowed_quota(None, asked) == narrowed_quota(asked, None) == asked
    assert narrowed_quota(asked, Quota(per_day=3, rows_per_day=100)) == Quota(3, 5, 2, 100)


def test_a_day_is_that_of_china_and_what_is_left_of_it_ends_at_its_midnight() -> None:
    assert (day_of(NOW), day_of(NOW + timedelta(seconds=30))) == (date(2026, 11, 2), date(2026, 11, 3))
    assert minute_of(NOW) == datetime(2026, 11, 2, 15, 59, tzinfo=UTC)
    assert (seconds_left("per_minute", NOW), seconds_left("per_day", NOW)) == (30, 31)
    assert seconds_left("rows_per_day", NOW + timedelta(seconds=30)) == 24 * 3600 + 1


def test_what_is_used_says_which_limit_has_nothing_left() -> None:
    quota = Quota(per_day=10, per_minute=5, burst=2, rows_per_day=100)
    row = {"calls": 9, "rows": 100, "minute_calls": 7, "saved": 2, "minute": minute_of(NOW)}
    assert used_of(quota, row, NOW).spent == ("per_minute", "rows_per_day")
    assert used_of(quota, row | {"calls": 10, "rows": 99, "minute_calls": 6}, NOW).spent == ("per_day",)
    assert used_of(quota, None, NOW).spent == ()
