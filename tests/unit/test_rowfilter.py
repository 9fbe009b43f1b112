"""The language of row filters: what it reads, what it refuses and where, and what a filter says of a row."""

from __future__ import annotations

import time as stopwatch
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given

from schemas.contract import Field, LogicalType
from schemas.errors import Fault, RejectedError
from schemas.filter_nodes import Comparison, Unreadable
from schemas.filter_parser import MOST_CHARACTERS, MOST_DEPTH, MOST_TERMS
from schemas.rowfilter import Filter, check, fits, holds, kept_filter, mask, parse
from tests.filters import filters, texts
from tests.hub import contract
from tests.schema_cases import ALL_TYPES

PERMITS = contract("permits", [*ALL_TYPES, Field("holder", LogicalType.STRING, "HOLDER", personal=True, lookup=True)])


def refused(act: Callable[[], object]) -> RejectedError:
    with pytest.raises(RejectedError) as refusal:
        act()
    assert refusal.value.fault is Fault.CLIENT
    return refusal.value


# Reading


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a=1", "a = 1"),
        ("  a\n<>\t'x'", "a != 'x'"),
        ("a_b >= -01.500", "a_b >= -1.5"),
        ("a = -0.0", "a = 0"),
        ("a=1 AND b=2 Or NOT c IS Null", "a = 1 and b = 2 or not c is null"),
        ("a = 1 and (b = 2 or c = 3)", "a = 1 and (b = 2 or c = 3)"),
        ("((a = 1) and ((b = 2 and c = 3)))", "a = 1 and b = 2 and c = 3"),
        ("(a = 1 and b = 2) or (c = 3 or d = 4)", "a = 1 and b = 2 or c = 3 or d = 4"),
        ("not (a = 1 and b = 2)", "not (a = 1 and b = 2)"),
        ("not(not(a=1))", "not not a = 1"),
        ("a in ('x' ,'y')", "a in ('x', 'y')"),
        ("a NOT IN (TRUE)", "a not in (true)"),
        ("a is not null", "a is not null"),
        ("a = 'it''s'", "a = 'it''s'"),
        ("a = '%s {} $1 \\ -- ; \"'", "a = '%s {} $1 \\ -- ; \"'"),
        ('"in" = 1 and "town" = 2', '"in" = 1 and town = 2'),
        ("date = date '2026-01-31' and time < TIME '08:30'", "date = date '2026-01-31' and time < time '08:30:00'"),
        ("a > timestamp '2026-01-31 08:30'", "a > timestamp '2026-01-31T00:30:00Z'"),
        ("a > timestamp '2026-01-31T08:30:15.25-05:00'", "a > timestamp '2026-01-31T13:30:15.250000Z'"),
        ("a > timestamp '2026-01-31 08:30 Z'", "a > timestamp '2026-01-31T08:30:00Z'"),
        ("a = 99999999999999999999999999999999999.0000000001", "a = 99999999999999999999999999999999999.0000000001"),
    ],
)
def test_a_filter_has_one_canonical_text_whatever_it_was_written_like(text: str, canonical: str) -> None:
    read = parse(text)
    assert read.text == str(read) == canonical
    assert parse(canonical) == read
    assert parse(canonical).root == read.root


@given(filters(PERMITS))
def test_the_canonical_text_of_a_filter_is_read_as_the_same_filter(text: str) -> None:
    read = parse(text)
    again = parse(read.text)
    assert (again, again.text, again.root, again.fields) == (read, read.text, read.root, read.fields)


@given(texts)
def test_a_text_between_quotes_is_kept_to_the_letter(value: str) -> None:
    doubled = value.replace("'", "''")
    read = parse(f"a = '{doubled}'")
    assert read.root == Comparison("a", "=", value)
    assert parse(read.text).root == read.root


def test_a_filter_names_its_fields() -> None:
    assert parse("a = 1 and (not b in (1) or c is null) and a < 3").fields == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 1, "the end where the name of a field"),
        ("   ", 4, "the end where the name of a field"),
        ("a", 2, "a comparison, in, or is null"),
        ("a =", 4, "a value"),
        ("a == 1", 4, "found = where a value"),
        ("a = b", 5, "found a word where a value"),
        ("a = null", 5, "found null where a value"),
        ("a in (1, null)", 10, "found null where a value"),
        ("a = 'x", 5, "does not end"),
        ('a = "x"', 5, "found a field's name where a value"),
        ('a = "马坝"', 5, "double quotes hold the name of a field"),
        ("a = ‘x’", 5, "full-width"),
        ("（a = 1)", 1, "full-width"),
        ("a = 1; drop table x", 6, "a character that the language does not have"),
        ("a = 1 -- b", 7, "a character that the language does not have"),
        ("a = $1", 5, "a character that the language does not have"),
        ("a = 1 b = 2", 7, "found a word where and, or, or the end"),
        ("a = 1)", 6, "found ) where and, or, or the end"),
        ("(a = 1", 7, "a closing parenthesis"),
        ("a in ()", 7, "found ) where a value"),
        ("a in (1,)", 9, "found ) where a value"),
        ("a in 1", 6, "found a number where an opening parenthesis"),
        ("a in (1 2)", 9, "a comma or a closing parenthesis"),
        ("a is 1", 6, "found a number where null, or not null"),
        ("a not = 1", 7, "found = where in"),
        ("a = 1 and", 10, "the name of a field"),
        ("or a = 1", 1, "found or where the name of a field"),
        ("1 = a", 1, "found a number where the name of a field"),
        ("'a' = 1", 1, "found a text where the name of a field"),
        ("Town = 1", 1, "found a word where the name of a field"),
        ("_row_hash is null", 1, "found a word where the name of a field"),
        (f"{'a' * 49} = 1", 1, "the name of a field"),
        ('"A" = 1', 1, "the name of a field"),
        ("a = 1e5", 6, "and, or, or the end"),
        ("a = .5", 5, "a character"),
        ("a = 1.", 6, "a character"),
        ("a = +1", 5, "a character"),
        ("a = b = 1", 5, "found a word where a value"),
        ("lower(a) = 'x'", 6, "a comparison"),
        ("a = 'x' || 'y'", 9, "a character"),
        ("a like 'x%'", 3, "a comparison"),
        ("a between 1 and 2", 3, "a comparison"),
        ("a = '\0'", 5, "no row can hold"),
        ("a = '\ud800'", 5, "no row can hold"),
        ("a = date", 9, "a text such as"),
        ("a = date 20260131", 10, "found a number where a text such as"),
        ("a = date '2026-02-30'", 5, "this is no date"),
        ("a = date '20260131'", 5, "this is no date"),
        ("a = date '2026-W05-6'", 5, "this is no date"),
        ("a = date '٢٠٢٦-٠١-٣١'", 5, "this is no date"),
        ("a = time '24:00'", 5, "this is no time"),
        ("a = time '08:30Z'", 5, "this is no time"),
        ("a = timestamp '2026-01-31'", 5, "this is no timestamp"),
        ("a = timestamp '2026-01-31 08:30:00.1234567'", 5, "this is no timestamp"),
        ("a = timestamp '2026-01-31 08:30+25:00'", 5, "this is no timestamp"),
        ("a = timestamp '0001-01-01 00:00+08:00'", 5, "this is no timestamp"),
        ("a = timestamp '9999-12-31 23:00-05:00'", 5, "this is no timestamp"),
        ("a = timestamp 'now'", 5, "this is no timestamp"),
        ("a = interval '1 day'", 5, "found a word where a value"),
    ],
)
def test_what_is_not_of_the_language_is_refused_with_its_column(text: str, column: int, says: str) -> None:
    refusal = refused(lambda: parse(text))
    assert (refusal.code, refusal.where) == ("filter.syntax", f"column {column}")
    assert says in refusal.message


def test_a_refusal_shows_no_text_and_no_number_of_the_filter() -> None:
    for text in (
        "a = 44020519900101001X",
        "a 440205199001010011 b",
        "a '王小明'",
        "a = '王小明",
        "a = date '王小明'",
        "王小明",
    ):
        refusal = refused(lambda text=text: parse(text))  # type: ignore[misc]
        assert "4402" not in str(refusal)
        assert "王" not in str(refusal)


@pytest.mark.parametrize(
    "text",
    [
        " or ".join(["a = 1"] * 10_000),
        " and ".join(["a is null"] * 10_000),
        f"a in ({', '.join(['1'] * 10_000)})",
        "(" * 10_000 + "a = 1" + ")" * 10_000,
        "not " * 10_000 + "a = 1",
        "a = 1 and (" * 10_000,
        f"a = '{'x' * 10_000_000}'",
        "a = " + "9" * 10_000_000,
        "'" * 10_000_001,
    ],
    ids=lambda text: text[:12],
)
def test_a_filter_that_says_too_much_is_refused_at_once(text: str) -> None:
    began = stopwatch.process_time()
    assert refused(lambda: parse(text)).code == "filter.too_large"
    assert stopwatch.process_time() - began < 1


def test_a_filter_at_the_limits_is_read_decided_and_written() -> None:
    wide = parse(" or ".join(f"id = {n}" for n in range(MOST_TERMS)))
    listed = parse(f"id not in ({', '.join(map(str, range(MOST_TERMS)))})")
    deep = parse("not (" * (MOST_DEPTH // 2) + "id = 999" + ")" * (MOST_DEPTH // 2))
    nested = parse("id = 999 and (id = 0 or (" * (MOST_DEPTH // 2) + "id = 999" + "))" * (MOST_DEPTH // 2))
    long = parse(f"text = '{'x' * (MOST_CHARACTERS - 9)}'")
    rows = pa.RecordBatch.from_pylist([{"id": 999, "text": "a"}], schema=pa.schema([("id", pa.int64()), ("text", pa.string())]))
    for made, truth in ((wide, True), (listed, False), (deep, MOST_DEPTH // 2 % 2 == 0), (nested, True), (long, False)):
        assert parse(check(made, PERMITS).text) == made
        assert holds(made, {"id": 999, "text": "a"}) is truth
        assert mask(made, rows).to_pylist() == [truth]


# The contract


@pytest.mark.parametrize(
    "text",
    [
        "id = -9223372036854775808 or id in (9223372036854775807, 1.0)",
        "text = '' and text < '马'",
        "amount >= 9999999999999999.9999 and amount != -0.5000",
        "tiny = 0 or tiny < 0.00000000000000000001",
        "whole = 9999999999",
        "flag = true and flag != false or flag in (true, false)",
        "day < date '0001-01-01' or day >= date '9999-12-31'",
        "seen_at <= timestamp '2026-01-31 08:30'",
        "hour > time '00:00'",
        "measure is null and raw is not null",
    ],
)
def test_a_filter_that_fits_its_contract_passes_as_it_is(text: str) -> None:
    read = parse(text)
    assert check(read, PERMITS) is read
    assert fits(read, PERMITS)


@pytest.mark.parametrize(
    ("text", "code", "column", "says"),
    [
        ("id = 1 and amout = 2", "filter.unknown_field", 12, "near it: amount"),
        ("zzz is null", "filter.unknown_field", 1, "permits has no field 'zzz'"),
        ("id = 1 or not holder = 'x'", "filter.sealed", 15, "holder is sealed"),
        ("holder is null", "filter.sealed", 1, "holder is sealed"),
        ("text = 1", "filter.type", 1, "a text in single quotes"),
        ("text = date '2026-01-31'", "filter.type", 1, "a text in single quotes"),
        ("id = '1'", "filter.type", 1, "a whole number of 64 bits"),
        ("id = true", "filter.type", 1, "a whole number of 64 bits"),
        ("id = 1.5", "filter.type", 1, "a whole number of 64 bits"),
        ("id = 9223372036854775808", "filter.type", 1, "a whole number of 64 bits"),
        ("id in (1, 2, 'x')", "filter.type", 1, "a whole number of 64 bits"),
        ("amount = 0.00001", "filter.type", 1, "at most 20 digits, 4 of them after the point"),
        ("amount = 10000000000000000", "filter.type", 1, "at most 20 digits, 4 of them after the point"),
        ("whole = 0.5", "filter.type", 1, "at most 10 digits, 0 of them"),
        ("flag = 1", "filter.type", 1, "true or false"),
        ("flag < true", "filter.type", 1, "has no order"),
        ("day = '2026-01-31'", "filter.type", 1, "date '2026-01-31'"),
        ("day = timestamp '2026-01-31 00:00'", "filter.type", 1, "date '2026-01-31'"),
        ("seen_at > date '2026-01-31'", "filter.type", 1, "timestamp '"),
        ("hour > '08:30'", "filter.type", 1, "time '08:30:00'"),
        ("measure > 1", "filter.type", 1, "only tested with is null"),
        ("raw = 'x'", "filter.type", 1, "only tested with is null"),
    ],
)
def test_a_filter_that_does_not_fit_its_contract_is_refused(text: str, code: str, column: int, says: str) -> None:
    refusal = refused(lambda: check(parse(text), PERMITS))
    assert (refusal.code, refusal.where) == (code, f"column {column}")
    assert says in refusal.message
    assert not fits(parse(text), PERMITS)


def test_only_the_fields_that_are_allowed_may_be_chosen_by_and_no_other_is_named() -> None:
    assert check(parse("id = 1"), PERMITS, allowed=("id", "holder")).text == "id = 1"
    assert refused(lambda: check(parse("id = 1 and text = 'x'"), PERMITS, allowed=["id"])).code == "filter.not_allowed"
    assert refused(lambda: check(parse("holder = 'x'"), PERMITS, allowed=["id", "holder"])).code == "filter.sealed"
    assert "near it" not in refused(lambda: check(parse("amout = 2"), PERMITS, allowed=["id"])).message
    assert refused(lambda: check(parse("id is null"), PERMITS, allowed=())).code == "filter.not_allowed"


def test_a_kept_text_that_cannot_be_read_chooses_no_row_and_is_refused_when_checked() -> None:
    broken = kept_filter("title = ")
    assert broken == Filter("title = ", Unreadable())
    assert refused(lambda: check(broken, PERMITS)).code == "filter.syntax"
    assert not fits(broken, PERMITS)
    assert not holds(broken, {"id": 1})
    assert mask(broken, pa.RecordBatch.from_pydict({"id": [1, 2]})).to_pylist() == [False, False]
    assert kept_filter("id = 1") == parse("id = 1")


# A row


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("id = 1", True),
        ("text > '一' and text < '马坝镇五'", True),
        ("text < 'zzz'", False),  # by code point every Chinese character comes after Latin letters
        ("text in ('马坝镇', 'x')", True),
        ("amount = 1.5 and amount > 1.4999 and not amount < 1.5", True),
        ("flag = true", True),
        ("day >= date '2016-07-27'", True),
        ("seen_at = timestamp '2016-07-27 09:02:03.000004'", True),
        ("hour < time '01:02:03.000005'", True),
        ("none = 1", False),
        ("none != 1", False),
        ("not none = 1", False),
        ("none in (1, 2)", False),
        ("none not in (1, 2)", False),
        ("none is null", True),
        ("not none is null", False),
        ("none = 1 or id = 1", True),
        ("none = 1 and id = 1", False),
        ("not (none = 1 and id = 2)", True),
        ("not (none = 1 and id = 1)", False),
        ("not (none = 1 or id = 1)", False),
        ("none = 1 or none != 1", False),
    ],
)
def test_the_logic_is_that_of_sql_and_what_is_unknown_does_not_hold(text: str, truth: bool) -> None:
    row = {
        "id": 1,
        "text": "马坝镇",
        "amount": Decimal("1.5000"),
        "flag": True,
        "day": date(2016, 7, 27),
        "seen_at": datetime(2016, 7, 27, 1, 2, 3, 4, tzinfo=UTC),
        "hour": time(1, 2, 3, 4),
        "none": None,
    }
    assert holds(parse(text), row) is truth


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = 1", True),
        ("a = 1", "1"),
        ("a = 1", 1.0),
        ("a < 1", Decimal("NaN")),
        ("a = true", 1),
        ("a = 'x'", b"x"),
        ("a = date '2016-07-27'", datetime(2016, 7, 27, tzinfo=UTC)),
        ("a = timestamp '2016-07-27 00:00Z'", date(2016, 7, 27)),
        ("a = timestamp '2016-07-27 00:00Z'", datetime(2016, 7, 27)),  # noqa: DTZ001 - it has no zone
        ("a = time '01:00'", time(1, tzinfo=UTC)),
        ("a in (1, 'x')", 1),
    ],
)
def test_a_value_of_another_type_is_neither_equal_nor_unequal(text: str, value: Any) -> None:
    assert not holds(parse(text), {"a": value})
    assert not holds(parse(f"not {text}"), {"a": value})


def test_an_instant_is_the_same_in_every_zone() -> None:
    at = datetime(2016, 7, 27, 9, tzinfo=timezone(timedelta(hours=8)))
    assert holds(parse("a in (timestamp '2016-07-27 01:00Z') and a = timestamp '2016-07-27 09:00'"), {"a": at})


def test_a_row_without_a_field_of_the_filter_is_an_error_and_no_answer() -> None:
    with pytest.raises(KeyError):
        holds(parse("a = 1"), {"b": 1})
    with pytest.raises(KeyError):
        mask(parse("a = 1"), pa.RecordBatch.from_pydict({"b": [1]}))


def test_a_column_of_another_type_chooses_no_row() -> None:
    rows = pa.RecordBatch.from_pydict({"a": ["1", None], "n": [1, 2]})
    for text in ("a = 1", "not a = 1", "a in (1)", "a not in (1)", "n = 'x'", "not n = 1.5", "n in (1, 'x')"):
        assert mask(parse(text), rows).to_pylist() == [False, False]
