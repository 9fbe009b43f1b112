"""A change of a contract is told in full, and is called compatible only where a reader of the old rows can read the new."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import fields as attributes
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.checks import compile_checks
from quality.engines.arrow import split
from schemas.batch import RawBatch
from schemas.change_kinds import MEANINGS, Change, Kind
from schemas.conform import conform
from schemas.contract import (
    CaseRole,
    CursorSpec,
    DataContract,
    Field,
    LicenceRole,
    Limits,
    LogicalType,
    Normalise,
    Reference,
)
from schemas.errors import RejectedError
from schemas.evolution import CONTRACT_RULES, diff
from schemas.field_evolution import FIELD_RULES
from schemas.odcs import read_contract, write_contract
from schemas.resource import resource_name
from schemas.types import arrow_schema
from tests.schema_cases import AS_OF, contract_of, whole_contract
from tests.unit.quality_cases import fields_and_values

L = LogicalType
N = Normalise
KEY = Field("id", L.INTEGER, "ID", required=True, key=1)
TEXT = Field("f", L.STRING, "F")
INTEGER = Field("f", L.INTEGER, "F")
NUMBER = Field("f", L.NUMBER, "F", precision=12, scale=2)
SEALED = Field("f", L.STRING, "F", personal=True, lookup=True)
PARENT = Reference(resource_name("divisions"), "code")

FIELD_CASES: list[tuple[Field, dict[str, Any], Kind, bool]] = [
    # the field before, what of it changes, what is told, whether it breaks
    (TEXT, {"source_name": "XM"}, Kind.SOURCE_COLUMN, False),
    (TEXT, {"physical_type": "varchar(20)"}, Kind.PHYSICAL_TYPE, False),
    (TEXT, {"title": "姓名"}, Kind.FIELD_TITLE, False),
    (TEXT, {"description": "as printed"}, Kind.FIELD_DESCRIPTION, False),
    (INTEGER, {"logical_type": L.NUMBER}, Kind.TYPE_WIDENED, True),
    (TEXT, {"logical_type": L.DATE}, Kind.TYPE_CHANGED, True),
    (NUMBER, {"precision": 14}, Kind.TYPE_WIDENED, True),
    (NUMBER, {"scale": 4}, Kind.TYPE_WIDENED, True),
    (NUMBER, {"precision": None, "scale": None}, Kind.TYPE_WIDENED, True),
    (NUMBER, {"precision": 10}, Kind.TYPE_NARROWED, False),
    (NUMBER, {"precision": 11, "scale": 1}, Kind.TYPE_NARROWED, False),
    (TEXT, {"required": True}, Kind.BECAME_REQUIRED, False),
    (replace(TEXT, required=True), {"required": False}, Kind.BECAME_OPTIONAL, True),
    (TEXT, {"personal": True}, Kind.BECAME_PERSONAL, True),
    (SEALED, {"personal": False, "lookup": False}, Kind.NO_LONGER_PERSONAL, False),
    (SEALED, {"lookup": False}, Kind.LOOKUP_REMOVED, True),
    (replace(SEALED, lookup=False), {"lookup": True}, Kind.LOOKUP_ADDED, False),
    (TEXT, {"max_length": 18}, Kind.LENGTH_NARROWED, False),
    (replace(TEXT, max_length=18), {"max_length": 20}, Kind.LENGTH_WIDENED, True),
    (replace(TEXT, max_length=18), {"max_length": None}, Kind.LENGTH_WIDENED, True),
    (replace(TEXT, min_length=1), {"min_length": 2}, Kind.LENGTH_NARROWED, False),
    (replace(TEXT, min_length=1), {"min_length": None}, Kind.LENGTH_WIDENED, True),
    (TEXT, {"pattern": "[0-9]+"}, Kind.RULE_ADDED, False),
    (replace(TEXT, pattern="[0-9]+"), {"pattern": None}, Kind.RULE_REMOVED, True),
    (replace(TEXT, pattern="[0-9]+"), {"pattern": "[0-9]*"}, Kind.RULE_CHANGED, True),
    (TEXT, {"code": "citizen_id"}, Kind.RULE_ADDED, False),
    (replace(TEXT, code="citizen_id"), {"code": "holder_number"}, Kind.RULE_CHANGED, True),
    (TEXT, {"references": PARENT}, Kind.RULE_ADDED, False),
    (replace(TEXT, references=PARENT), {"references": None}, Kind.RULE_REMOVED, True),
    (replace(TEXT, references=PARENT), {"references": replace(PARENT, field="name")}, Kind.RULE_CHANGED, True),
    (INTEGER, {"minimum": "1"}, Kind.RULE_ADDED, False),
    (replace(INTEGER, minimum="9"), {"minimum": "10"}, Kind.RULE_TIGHTENED, False),
    (replace(INTEGER, minimum="10"), {"minimum": "9"}, Kind.RULE_LOOSENED, True),
    (replace(INTEGER, maximum="9"), {"maximum": "10"}, Kind.RULE_LOOSENED, True),
    (replace(INTEGER, maximum="10"), {"maximum": "9"}, Kind.RULE_TIGHTENED, False),
    (replace(INTEGER, maximum="10"), {"maximum": None}, Kind.RULE_REMOVED, True),
    (replace(TEXT, values=("01", "02")), {"values": ("02", "01", "03")}, Kind.CODES_GROWN, True),
    (replace(TEXT, values=("01", "02")), {"values": ("02",)}, Kind.CODES_SHRUNK, False),
    (TEXT, {"values": ("01",)}, Kind.RULE_ADDED, False),
    (replace(TEXT, values=("01",)), {"values": ()}, Kind.RULE_REMOVED, True),
    (TEXT, {"normalise": (N.TRIM,)}, Kind.REPAIR_ADDED, False),
    (replace(TEXT, normalise=(N.TRIM, N.UPPER)), {"normalise": (N.UPPER,)}, Kind.REPAIR_REMOVED, True),
    (Field("f", L.DATE, "F", normalise=(N.FOREVER,)), {"normalise": ()}, Kind.REPAIR_REMOVED, False),
]

WHOLE = whole_contract()
LICENCE, CASE = WHOLE.licence_role, WHOLE.case_role
assert LICENCE is not None
assert CASE is not None
CONTRACT_CASES: list[tuple[dict[str, Any], Kind, bool]] = [
    # what of the whole contract changes, what is told, whether it breaks
    ({"fields": tuple(replace(f, key=3 - f.key) if f.key else f for f in WHOLE.fields)}, Kind.KEY_CHANGED, True),
    ({"fields": (*WHOLE.fields[:-2], WHOLE.fields[-1], WHOLE.fields[-2])}, Kind.FIELDS_REORDERED, True),
    ({"fields": (*WHOLE.fields[:-1], TEXT, WHOLE.fields[-1])}, Kind.FIELD_ADDED_OPTIONAL, False),
    ({"fields": (*WHOLE.fields, replace(TEXT, required=True))}, Kind.FIELD_ADDED_REQUIRED, False),
    ({"fields": WHOLE.fields[:-1]}, Kind.FIELD_REMOVED, True),
    ({"partitions": 8}, Kind.PARTITIONS_CHANGED, True),
    ({"case_role": None}, Kind.ROLE_REMOVED, True),
    ({"case_role": replace(CASE, open_states=("1", "2", "3"))}, Kind.ROLE_CHANGED, False),
    ({"case_role": replace(CASE, open_states=("1",))}, Kind.ROLE_CHANGED, True),
    ({"case_role": replace(CASE, item_code="state")}, Kind.ROLE_CHANGED, True),
    ({"licence_role": None}, Kind.ROLE_REMOVED, True),
    ({"licence_role": replace(LICENCE, valid_to="valid_from")}, Kind.ROLE_CHANGED, True),
    ({"status": "active"}, Kind.STATUS_CHANGED, False),
    ({"title": "另一名称"}, Kind.TITLE, False),
    ({"description": "other words"}, Kind.DESCRIPTION, False),
    ({"department": "centre"}, Kind.PROVIDER, False),
    ({"system": "other"}, Kind.PROVIDER, False),
    ({"source": "other"}, Kind.PLACE, False),
    ({"table": "public.other"}, Kind.PLACE, False),
    ({"cursor": None}, Kind.CURSOR, False),
    ({"limits": Limits()}, Kind.LIMITS, False),
    ({"schedule": None}, Kind.SCHEDULE, False),
    ({"document": {"team": {"name": "data"}}}, Kind.DOCUMENT, False),
]


def changes(before: Field, after: Field) -> tuple[Change, ...]:
    return diff(contract_of(KEY, before), contract_of(KEY, after)).changes


@pytest.mark.parametrize(("before", "new", "kind", "breaking"), FIELD_CASES)
def test_a_change_of_a_field_is_told_as_what_it_is(before: Field, new: dict[str, Any], kind: Kind, breaking: bool) -> None:
    (told,) = changes(before, replace(before, **new))
    assert (told.kind, told.field, told.breaking) == (kind, "f", breaking)
    assert told.attribute in {a.name for a in attributes(Field)}
    assert (told.before, told.after) != (None, None)
    assert told.title
    assert told.why


@pytest.mark.parametrize(("new", "kind", "breaking"), CONTRACT_CASES)
def test_a_change_of_the_whole_contract_is_told_as_what_it_is(new: dict[str, Any], kind: Kind, breaking: bool) -> None:
    (told,) = diff(WHOLE, replace(WHOLE, **new)).changes
    assert (told.kind, told.breaking) == (kind, breaking)


def test_a_field_under_another_name_is_told_as_renamed_and_the_new_name_as_added() -> None:
    renamed, added = changes(TEXT, replace(TEXT, name="g"))
    assert (renamed.kind, renamed.field, renamed.after, renamed.breaking) == (Kind.FIELD_RENAMED, "f", "g", True)
    assert (added.kind, added.field, added.breaking) == (Kind.FIELD_ADDED_OPTIONAL, "g", False)


def test_a_contract_that_a_provider_no_longer_stands_by_breaks_who_reads_it() -> None:
    active = replace(WHOLE, status="active")
    assert diff(active, replace(active, status="retired")).breaking
    assert not diff(active, replace(active, status="deprecated")).breaking


def test_the_first_role_of_a_contract_is_told_and_breaks_nobody() -> None:
    (told,) = diff(replace(WHOLE, case_role=None), WHOLE).changes
    assert (told.kind, told.attribute, told.breaking) == (Kind.ROLE_ADDED, "case_role", False)


def test_the_key_is_never_empty_and_its_form_is_not_changed_without_harm() -> None:
    key = Field("id", L.STRING, "ID", required=True, key=1)
    (optional,) = diff(contract_of(key), contract_of(replace(key, required=False))).changes
    assert (optional.kind, optional.breaking) == (Kind.BECAME_OPTIONAL, False)
    (mended,) = diff(contract_of(key), contract_of(replace(key, normalise=(N.UPPER,)))).changes
    assert (mended.kind, mended.breaking) == (Kind.REPAIR_ADDED, True)


def test_several_changes_are_told_each_by_itself() -> None:
    before = replace(TEXT, values=("01", "02"), max_length=2)
    told = changes(before, replace(before, values=("02", "03"), max_length=4, title="状态", required=True))
    assert [t.kind for t in told] == [
        Kind.BECAME_REQUIRED,
        Kind.LENGTH_WIDENED,
        Kind.CODES_GROWN,
        Kind.CODES_SHRUNK,
        Kind.FIELD_TITLE,
    ]
    grown = told[2]
    assert (grown.before, grown.after) == (None, "03")
    assert "codes may come that a program does not know" in grown.why


# All of it is covered ---------------------------------------------------------------------------------------------------


def test_every_attribute_of_a_contract_and_of_a_field_has_a_rule() -> None:
    assert set(FIELD_RULES) == {a.name for a in attributes(Field)}
    assert set(CONTRACT_RULES) == {a.name for a in attributes(DataContract)}


def test_every_attribute_is_changed_by_a_case_here_and_every_kind_of_change_is_told_by_one() -> None:
    changed = {name for _, new, _, _ in FIELD_CASES for name in new}
    assert {a.name for a in attributes(Field)} - changed == {"name", "key"}  # by cases of the whole contract
    assert {a.name for a in attributes(DataContract)} - {n for new, _, _ in CONTRACT_CASES for n in new} == {"name", "version"}
    told = {kind for *_, kind, _ in FIELD_CASES} | {kind for _, kind, _ in CONTRACT_CASES}
    assert set(Kind) - told == {Kind.ROLE_ADDED, Kind.FIELD_RENAMED}  # these have tests of their own


@pytest.mark.parametrize("part", [CursorSpec("changed_at"), Limits(), CASE, LICENCE, PARENT], ids=lambda p: type(p).__name__)
def test_every_attribute_of_a_part_is_compared(part: Any) -> None:
    place = {CursorSpec: "cursor", Limits: "limits", CaseRole: "case_role", LicenceRole: "licence_role"}.get(type(part))
    for attribute in attributes(part):
        value = getattr(part, attribute.name)
        other = replace(part, **{attribute.name: 0.5 if isinstance(value, float) else 7 if value in (None, 60) else "x"})
        if attribute.name == "open_states":
            other = replace(part, open_states=("9",))
        if place is None:
            told = changes(replace(TEXT, references=part), replace(TEXT, references=other))
        else:
            told = diff(replace(WHOLE, **{place: part}), replace(WHOLE, **{place: other})).changes
        assert len(told) == 1, attribute.name
        assert told[0].before != told[0].after


def test_every_kind_has_words_in_both_languages() -> None:
    assert set(MEANINGS) == set(Kind)
    for kind, meaning in MEANINGS.items():
        for english, chinese in ((meaning.title, meaning.title_zh), (meaning.why, meaning.why_zh)):
            assert english.isascii(), kind
            assert any("\u4e00" <= c <= "\u9fff" for c in chinese), kind


# Versions, and who is touched -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "after", "level", "least"),
    [
        ("1.4.2", TEXT, "none", "1.4.2"),
        ("1.4.2", replace(TEXT, title="姓名"), "patch", "1.4.3"),
        ("1.4.2", replace(TEXT, max_length=5), "patch", "1.4.3"),
        ("1.4.2", replace(TEXT, required=True, logical_type=L.DATE), "major", "2.0.0"),
        ("0.1", replace(TEXT, personal=True), "major", "1.0.0"),
        ("7", replace(TEXT, personal=True), "major", "8.0.0"),
        ("2026年", replace(TEXT, personal=True), "major", None),
    ],
)
def test_the_version_that_a_change_asks_for_at_least(version: str, after: Field, level: str, least: str | None) -> None:
    evolution = diff(replace(contract_of(KEY, TEXT), version=version), contract_of(KEY, after))
    assert (evolution.level, evolution.least_version) == (level, least)


def test_a_field_that_is_added_asks_for_a_minor_version() -> None:
    evolution = diff(contract_of(KEY), replace(contract_of(KEY, TEXT), version="1.0.1"))
    assert (evolution.verdict, evolution.level, evolution.least_version) == ("compatible", "minor", "1.1.0")
    assert not evolution.version_suffices
    assert diff(contract_of(KEY), replace(contract_of(KEY, TEXT), version="1.1")).version_suffices


def test_a_breaking_change_touches_its_field_and_one_of_the_whole_contract_touches_all() -> None:
    more = replace(TEXT, name="g", source_name="G", required=True)
    before = contract_of(KEY, TEXT, more)
    evolution = diff(before, contract_of(KEY, replace(TEXT, title="姓名"), replace(more, required=False)))
    assert [c.field for c in evolution.breaking_for(["g", "id"])] == ["g"]
    assert evolution.breaking_for(["f", "id"]) == ()
    assert diff(before, replace(before, partitions=2)).breaking_for(["f"])


def test_contracts_of_two_resources_are_not_compared() -> None:
    with pytest.raises(RejectedError) as caught:
        diff(WHOLE, contract_of(KEY))
    assert caught.value.code == "evolution.other_resource"


def test_what_the_hub_does_not_read_is_told_where_it_changes() -> None:
    text = write_contract(WHOLE)
    before = read_contract(text)
    assert diff(before, read_contract(text.replace("version: 2.1.0", "version: 2.1.1"))).changes == ()
    (told,) = diff(before, read_contract(text.replace("  purpose:", "  usage: for cases\n  purpose:"))).changes
    assert (told.kind, told.after, told.breaking) == (Kind.DOCUMENT, "description", False)
    tagged = text.replace("businessName: 编号", "businessName: 编号\n    tags: [core]")
    assert tagged != text
    (told,) = diff(before, read_contract(tagged)).changes
    assert (told.kind, told.after) == (Kind.DOCUMENT, "schema")


# A reader of the old rows -----------------------------------------------------------------------------------------------

TEXTS = ["".join(letters) for size in range(5) for letters in itertools.product("aA1 ", repeat=size)]
WHOLES = [str(n) for n in range(-4, 5)]
DECIMALS = ["0.00", "0.01", "0.10", "1.00", "9.90", "9.99", "10.00", "99.00", "99.90", "99.99", "100.00", "999.00", "1000.00"]
DAYS = ["2026-01-31", "9999-12-31"]
GIVEN: list[str | None] = [None, *TEXTS, *WHOLES, *DECIMALS, *DAYS]
"""What a source may hold in the field, as text."""

short = st.none() | st.integers(0, 3)
bound = st.none() | st.integers(-3, 3).map(str)


def ordered(low: Any, high: Any, size: Callable[[Any], Any]) -> bool:
    return low is None or high is None or size(low) <= size(high)


SHAPES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    # one kind of rule each: two that say the same would hide one another's changes
    "lengths": st.tuples(short, short)
    .filter(lambda t: ordered(*t, int))
    .map(lambda t: {"logical_type": L.STRING, "min_length": t[0], "max_length": t[1]}),
    "pattern": st.sampled_from([None, "a*", "[1A]+"]).map(lambda p: {"logical_type": L.STRING, "pattern": p}),
    "values": st.lists(st.sampled_from(["a", "1", "aA", ""]), unique=True).map(
        lambda v: {"logical_type": L.STRING, "values": tuple(v)}
    ),
    "repairs": st.lists(st.sampled_from([N.TRIM, N.COLLAPSE, N.EMPTY_NULL, N.UPPER]), unique=True).map(
        lambda n: {"logical_type": L.STRING, "normalise": tuple(n)}
    ),
    "bounds": st.tuples(bound, bound)
    .filter(lambda t: ordered(*t, int))
    .map(lambda t: {"logical_type": L.INTEGER, "minimum": t[0], "maximum": t[1]}),
    "whole values": st.lists(st.sampled_from(["1", "2", "-3"]), unique=True).map(
        lambda v: {"logical_type": L.INTEGER, "values": tuple(v)}
    ),
    "decimals": st.sampled_from([(2, 0), (3, 1), (4, 2), (3, 0), (4, 1), (2, 2)]).map(
        lambda t: {"logical_type": L.NUMBER, "precision": t[0], "scale": t[1]}
    ),
    "types": st.sampled_from([L.STRING, L.INTEGER, L.DATE, L.BOOLEAN]).map(lambda k: {"logical_type": k}),
}


@st.composite
def versions_of_a_field(draw: st.DrawFn, shape: str, name: str = "f") -> tuple[Field, Field]:
    """A field before and after."""
    was, now = (Field(name, source_name=name, required=draw(st.booleans()), **draw(SHAPES[shape])) for _ in range(2))
    return was, now


@st.composite
def versions(draw: st.DrawFn) -> tuple[DataContract, DataContract]:
    """Contracts of which fields come, go, change or change places."""
    was, now = [], []
    for name in ("f", "g", "h"):
        one, other = draw(versions_of_a_field(draw(st.sampled_from(sorted(SHAPES))), name))
        kept = draw(st.sampled_from(["same", "same", "changed", "removed", "added"]))
        was += [one] if kept != "added" else []
        now += [one] if kept == "same" else [other] if kept != "removed" else []
    return contract_of(KEY, *was), contract_of(KEY, *draw(st.sampled_from([now, now, now, now[::-1]])))


@cache
def comes(field: Field) -> frozenset[tuple[str, Any]]:
    """Return what a reader may meet in a field: of all that a source may hold, what passes the hub's conversion and gate."""
    contract = contract_of(field)
    given = pa.RecordBatch.from_arrays([pa.array(GIVEN, pa.string())], names=[field.source_name])
    passed, _ = split(conform(RawBatch(contract, given, AS_OF)).batch.rows, compile_checks(contract))
    return frozenset((field.logical_type if value is not None else "null", value) for value in passed.column(0).to_pylist())


def can_read(before: DataContract, after: DataContract) -> bool:
    """Say whether a program that was made for exactly what the old contract lets through can read what the new one does."""
    are = {f.name: f for f in after.fields}
    names = [f.name for f in before.fields]
    if not set(names) <= set(are) or [f.name for f in after.fields if f.name in names] != names:
        return False
    return all(f.logical_type is are[f.name].logical_type and comes(are[f.name]) <= comes(f) for f in before.fields)


@pytest.mark.parametrize("shape", SHAPES)
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_change_of_a_field_is_compatible_exactly_where_a_reader_of_the_old_rows_can_read_the_new(
    shape: str, data: st.DataObject
) -> None:
    was, now = data.draw(versions_of_a_field(shape))
    before, after = contract_of(KEY, was), contract_of(KEY, now)
    evolution = diff(before, after)
    assert evolution.breaking is not can_read(before, after), evolution.changes
    assert evolution.changes or comes(was) == comes(now)


@settings(deadline=None)
@given(versions())
def test_a_change_is_compatible_exactly_where_a_reader_of_the_old_rows_can_read_the_new(
    pair: tuple[DataContract, DataContract],
) -> None:
    evolution = diff(*pair)
    assert evolution.breaking is not can_read(*pair), evolution.changes


def test_the_reader_of_these_tests_tells_good_from_bad() -> None:
    assert comes(replace(TEXT, max_length=1, required=True)) == {(L.STRING, t) for t in ["", "a", "A", "1", " ", *"01234"]}
    decimals = {value for _, value in comes(replace(NUMBER, precision=2, scale=1))}
    assert decimals == {None, *range(-4, 5), *map(Decimal, ("0.1", "9.9"))}
    assert comes(Field("f", L.DATE, "F")) >= {(L.DATE, date(2026, 1, 31)), ("null", None)}
    assert not can_read(contract_of(KEY, TEXT), contract_of(KEY))


@st.composite
def mixed(draw: st.DrawFn) -> tuple[Field, Field, list[Any]]:
    """Two versions of a field with any rules of its type, and values for it, good and bad."""
    was, values = draw(fields_and_values(4))
    other, more = draw(fields_and_values(4).filter(lambda made: made[0].logical_type is was.logical_type))
    groups = [("required",), ("min_length", "max_length"), ("pattern",), ("code",), ("minimum", "maximum"), ("values",)]
    taken = [n for group in draw(st.lists(st.sampled_from(groups), unique=True)) for n in group]
    return replace(was, key=None), replace(was, key=None, **{n: getattr(other, n) for n in taken}), values + more


@settings(deadline=None, max_examples=300)
@given(mixed())
def test_after_a_compatible_change_every_row_that_passes_would_have_passed_before(made: tuple[Field, Field, list[Any]]) -> None:
    was, now, values = made
    rows = pa.RecordBatch.from_pylist([{was.name: value} for value in values], schema=arrow_schema([was]))
    if not diff(contract_of(was), contract_of(now)).breaking:
        passed, _ = split(rows, compile_checks(contract_of(now)))
        again, _ = split(passed, compile_checks(contract_of(was)))
        assert again.num_rows == passed.num_rows


@settings(deadline=None)
@given(versions())
def test_a_contract_does_not_differ_from_itself(pair: tuple[DataContract, DataContract]) -> None:
    for contract in (*pair, WHOLE):
        evolution = diff(contract, contract)
        assert (evolution.changes, evolution.verdict, evolution.level) == ((), "compatible", "none")
