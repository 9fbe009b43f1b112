"""Facets packed into bytes, counted and narrowed by, without a database."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from catalog_registry.facets import (
    COVER,
    WIDTH,
    AllCounted,
    Facet,
    Freshness,
    Quality,
    Ran,
    counted,
    packed,
    packed_of_others,
    quality_in,
    quality_of,
    runs_told,
    span,
    with_run,
)
from schemas.catalogue import CatalogueEntry, SharingType, UpdateCycle, fresh, stale_from
from schemas.catalogue_form import read_entry
from tests.catalogue_entry import entry_json

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
WORDS = {
    Facet.PROVIDER: {1: "market", 300: "civil"},
    Facet.FORMAT: {1: "数据库", 2: "电子表格"},
    Facet.ORIGIN: {1: "city", 300: "province"},
}


def entry(**changes: Any) -> CatalogueEntry:
    return read_entry(entry_json(**changes))


def documents() -> list[bytes]:
    """Return facets of each kind: providers, classes, sharing types, cycles, formats, qualities, freshness, covers."""
    made = [packed(1, 0, None, Ran()), COVER, COVER, *(packed_of_others(n) for n in (1, 300, 300))]
    for n, (cycle, quality) in enumerate(product(UpdateCycle, Quality)):
        kind = list(SharingType)[n % 3]
        changes: dict[str, Any] = {
            "classification": f"{n % 3 + 1}{n % 14:02d}001",
            "update_cycle": cycle.value,
            "other_update_cycle": "每两年" if cycle is UpdateCycle.OTHER else None,
            "sharing_type": kind.value,
            "sharing_condition": "核验" if kind is SharingType.CONDITIONAL else None,
            "sharing_ways": None if kind is SharingType.NOT_SHARED else ["接口"],
        } | ({"sharing_basis_kind": "1", "sharing_basis": "某法"} if kind is SharingType.NOT_SHARED else {})
        as_of = None if n % 4 == 3 else NOW - timedelta(days=n * 5)
        made.append(packed((1, 300)[n % 2], n % 3, entry(**changes), Ran(as_of, quality)))
    return made


def test_every_value_is_counted_as_narrowing_by_it_would_find_it() -> None:
    found = documents()
    told = counted(b"".join(found), WORDS, NOW)
    assert set(told) == set(Facet)
    for facet, values in told.items():
        assert values
        for one in values:
            where = span(facet, one.value, WORDS, NOW)
            assert where is not None
            parts = [each[where.first - 1 : where.first - 1 + len(where.low)] for each in found]
            narrowed = sum(p == where.low if where.high is None else where.low <= p < where.high for p in parts)
            assert (facet, one.value, one.count) == (facet, one.value, narrowed)


def test_the_most_frequent_value_comes_first() -> None:
    for values in counted(b"".join(documents()), WORDS, NOW).values():
        assert list(values) == sorted(values, key=lambda one: (-one.count, one.value))


def test_a_cover_is_counted_as_not_shared_and_under_nothing_else() -> None:
    told = counted(COVER * 3, WORDS, NOW)
    assert {facet: [(v.value, v.count) for v in values] for facet, values in told.items() if values} == {
        Facet.SHARING_TYPE: [("3", 3)]
    }


def test_a_dataset_of_another_catalogue_is_counted_under_where_it_comes_from_and_nothing_else() -> None:
    told = counted(packed_of_others(1) + packed_of_others(300) * 2, WORDS, NOW)
    assert {facet: [(v.value, v.count) for v in values] for facet, values in told.items() if values} == {
        Facet.ORIGIN: [("province", 2), ("city", 1)]
    }


def test_what_is_kept_tells_how_fresh_it_is_at_each_instant() -> None:
    data = b"".join(documents())
    kept = AllCounted(data, WORDS)
    for days in (-400, 0, 1, 30, 4000):
        now = NOW + timedelta(days=days)
        stale = [int.from_bytes(data[i + 8 : i + 12]) for i in range(0, len(data), WIDTH)]
        second = int(now.timestamp())
        told = {one.value: one.count for one in kept.at(now)[Facet.FRESHNESS]}
        assert told.get("stale", 0) == sum(1 < s <= second for s in stale)
        assert told.get("fresh", 0) == sum(second < s < 0xFFFFFFFF for s in stale)
        assert kept.at(now) == counted(data, WORDS, now)


def test_nothing_is_counted_of_nothing() -> None:
    assert all(values == () for values in counted(b"", WORDS, NOW).values())


@pytest.mark.parametrize("cycle", list(UpdateCycle))
def test_freshness_is_what_the_catalogues_rule_says_at_each_second(cycle: UpdateCycle) -> None:
    seen: Counter[Freshness] = Counter()
    made = entry(update_cycle=cycle.value, other_update_cycle="每两年" if cycle is UpdateCycle.OTHER else None)
    for as_of in (None, datetime(2026, 1, 31, 2, 15, tzinfo=UTC), datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)):
        facets = packed(1, 1, made, Ran(as_of, Quality.HIGH))
        assert quality_in(facets) is Quality.HIGH
        ends = None if as_of is None else stale_from(cycle, as_of)
        instants = [NOW] if ends is None else [ends - timedelta(seconds=1), ends + timedelta(seconds=1), NOW]
        for now in instants:
            said = fresh(cycle, as_of, now)
            expected = {True: Freshness.FRESH, False: Freshness.STALE, None: Freshness.UNPROMISED}[said]
            told = runs_told(facets, now)[1]
            assert told is (Freshness.NEVER if as_of is None else expected)
            seen[told] += 1
    assert len(seen) >= 2


def test_a_later_run_changes_what_runs_say_and_nothing_else() -> None:
    made = entry(update_cycle="5")
    before, later = Ran(NOW - timedelta(days=90), Quality.LOW), Ran(NOW, Quality.COMPLETE)
    assert with_run(packed(300, 2, made, before), later) == packed(300, 2, made, later)
    assert with_run(packed(300, 0, None, before), later) == packed(300, 0, None, later)


@pytest.mark.parametrize(
    ("rows", "set_aside", "quality"),
    [
        (0, 0, Quality.UNKNOWN),
        (1000, 0, Quality.COMPLETE),
        (1000, 1, Quality.HIGH),
        (1000, 10, Quality.HIGH),
        (1000, 11, Quality.FAIR),
        (1000, 50, Quality.FAIR),
        (1000, 51, Quality.LOW),
        (1000, 1000, Quality.LOW),
    ],
)
def test_quality_is_the_share_of_rows_that_no_rule_set_aside(rows: int, set_aside: int, quality: Quality) -> None:
    assert quality_of(rows, set_aside) is quality


@pytest.mark.parametrize(
    ("facet", "value"),
    [
        (Facet.CATEGORY, "4"),
        (Facet.ITEM, "30"),
        (Facet.ITEM, "3x1"),
        (Facet.SHARING_TYPE, "不予"),
        (Facet.UPDATE_CYCLE, "0"),
        (Facet.QUALITY, "good"),
        (Facet.FRESHNESS, "new"),
    ],
)
def test_a_value_that_is_none_of_its_facet_is_refused(facet: Facet, value: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        span(facet, value, WORDS, NOW)


def test_a_word_that_nothing_was_counted_under_finds_nothing() -> None:
    assert span(Facet.PROVIDER, "nobody", WORDS, NOW) is None
    assert span(Facet.FORMAT, "纸", WORDS, NOW) is None
