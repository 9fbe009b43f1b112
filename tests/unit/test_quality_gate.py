"""The gate: every row decided, none lost, none doubled, no value told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quality import gate
from quality.checks import compile_checks
from schemas.batch import ConformedBatch
from schemas.codes import CODES, citizen_id_check
from schemas.contract import DataContract, Field, Limits, LogicalType
from schemas.errors import DefectError, Fault, RejectedError
from schemas.resource import resource_name
from schemas.types import contract_schema
from tests.unit.quality_cases import fields_and_values

L = LogicalType
NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
GOOD_ID = (body := "44022119800101001") + citizen_id_check(body)


def contract(*fields: Field, version: str = "1.0.0") -> DataContract:
    return DataContract(resource_name("people"), version, "People", "d", "s", "src", "t", fields)


def batch(of: DataContract, *rows: tuple[Any, ...]) -> ConformedBatch:
    schema = contract_schema(of)
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(schema.types)]
    return ConformedBatch(of, pa.RecordBatch.from_arrays(columns, schema=schema), NOW)


def failing(field: Field, *values: Any) -> list[Any]:
    """Return the values that the one field's rules set aside."""
    of = contract(field)
    return gate.check(batch(of, *((v,) for v in values)), compile_checks(of)).rejects.rows.column(0).to_pylist()


def field(kind: LogicalType = L.STRING, **rules: Any) -> Field:
    return Field("f", kind, "F", **rules)


NAN = float("nan")
UTC_2016 = datetime(2016, 7, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (field(required=True), ["", "a"], [None]),
        (field(key=1), ["", "a"], [None]),
        (field(L.DOUBLE, required=True), [NAN, 0.0], [None]),
        (field(max_length=2), [None, "", "医保", "𠮷𠮷", "ab"], ["医保卡", "𠮷𠮷𠮷", "abc"]),
        (field(max_length=0), [None, ""], [" "]),
        (field(L.BYTES, max_length=2), [None, b"", b"\xff\xfe"], [b"abc"]),
        (field(min_length=2), [None, "ab", "医保", "𠮷𠮷"], ["", "a", "医", "𠮷"]),
        (field(L.BYTES, min_length=1), [None, b"\x00"], [b""]),
        (field(pattern="a|ab"), [None, "a", "ab"], ["", "abb", "xa", "a\n", "\na", "A"]),
        (field(pattern=""), [None, ""], ["a", "\n"]),
        (field(pattern=r"^\d{2}$"), [None, "12"], ["12\n", "１２", "123"]),
        (field(pattern=r"\p{Han}+"), [None, "曲江"], ["曲江a", ""]),
        (field(values=("1", "医")), [None, "1", "医"], ["", "2", " 1"]),
        (field(L.INTEGER, values=("1", "2")), [None, 1], [0, -1]),
        (field(L.NUMBER, precision=5, scale=2, values=("1.5",)), [None, Decimal("1.50")], [Decimal("1.51")]),
        (field(L.BOOLEAN, values=("t",)), [None, True], [False]),
        (field(L.DATE, values=("2016-07-27",)), [None, date(2016, 7, 27)], [date(2016, 7, 28)]),
        (field(L.TIME, values=("08:00:00",)), [None, time(8)], [time(8, 0, 0, 1)]),
        (field(L.TIMESTAMP, values=("2016-07-27T08:00:00+08:00",)), [None, UTC_2016], [UTC_2016 + timedelta(microseconds=1)]),
        (field(L.INTEGER, minimum="1"), [None, 1, 2**63 - 1], [0, -(2**63)]),
        (field(L.INTEGER, maximum="9007199254740993"), [None, 9007199254740993], [9007199254740994]),
        (field(L.NUMBER, precision=38, scale=2, minimum="0.01"), [None, Decimal("0.01")], [Decimal("0.00"), Decimal("-1.00")]),
        (field(L.NUMBER, precision=38, scale=0, maximum="9" * 38), [None, Decimal("9" * 38)], []),
        (field(L.DOUBLE, minimum="0"), [None, 0.0, -0.0, float("inf")], [-1e-300, NAN, float("-inf")]),
        (field(L.DOUBLE, maximum="1e3"), [None, 1000.0, float("-inf")], [1000.0001, NAN]),
        (field(L.DATE, minimum="1900-01-01"), [None, date(1900, 1, 1), date(9999, 12, 31)], [date(1899, 12, 31)]),
        (field(L.TIME, maximum="17:30:00"), [None, time(17, 30)], [time(17, 30, 0, 1)]),
        (field(L.TIMESTAMP, minimum="2016-07-27 00:00:00.000000Z"), [None, UTC_2016], [UTC_2016 - timedelta(microseconds=1)]),
        (field(minimum="b", maximum="d"), [None, "b", "c", "d"], ["", "a", "da", "医"]),
        (field(code="citizen_id"), [None, GOOD_ID], ["", GOOD_ID[:17], GOOD_ID[:17] + "A", GOOD_ID + "\n"]),
        (field(code="division_code"), [None, "440205"], ["4402050", ""]),
    ],
    ids=lambda v: f"{v.logical_type}" if isinstance(v, Field) else None,
)
def test_a_rule_sets_aside_the_values_that_break_it_and_no_other(rule: Field, good: list[Any], bad: list[Any]) -> None:
    assert failing(rule, *good) == []
    assert list(map(str, failing(rule, *good, *bad, *good))) == list(map(str, bad))


def test_good_rows_pass_in_their_order_and_bad_ones_come_with_every_rule_they_broke() -> None:
    name = Field("name", L.STRING, "XM", required=True, max_length=2, pattern="[a-z]*")
    of = contract(Field("id", L.INTEGER, "ID", key=1), name)
    checked = gate.check(batch(of, (1, "a"), (None, "ABC"), (2, "b"), (3, None), (4, "c")), compile_checks(of))
    assert checked.batch.rows.to_pylist() == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 4, "name": "c"}]
    assert checked.rejects.rows.to_pylist() == [{"id": None, "name": "ABC"}, {"id": 3, "name": None}]
    assert [(f.row, f.field, f.rule) for f in checked.rejects.findings] == [
        (0, "id", "key_null"),
        (0, "name", "max_length"),
        (0, "name", "pattern"),
        (1, "name", "required"),
    ]
    assert (checked.batch.contract, checked.batch.as_of) == (of, NOW)
    assert checked.batch.rows.schema == checked.rejects.rows.schema == contract_schema(of)


def test_an_empty_batch_passes() -> None:
    of = contract(field(required=True, max_length=1, pattern="a", values=("a",), minimum="a", code="citizen_id", key=1))
    checked = gate.check(batch(of), compile_checks(of))
    assert (checked.batch.rows.num_rows, checked.rejects.count, checked.rejects.findings) == (0, 0, ())


def test_a_part_of_a_larger_batch_is_decided_by_its_own_rows() -> None:
    of = contract(field(max_length=1, pattern="a|", minimum="a", values=("a", "b")))
    whole = batch(of, ("bb",), ("a",), (None,), ("zz",))
    part = ConformedBatch(of, whole.rows.slice(1, 2), NOW)
    assert gate.check(part, compile_checks(of)).rejects.count == 0


def test_a_reason_holds_no_value_of_the_row() -> None:
    marker = "ZHANGSANMARKER"
    of = contract(field(max_length=3, pattern="[0-9]*", values=("1",), maximum="A", code="citizen_id", personal=True))
    findings = gate.check(batch(of, (marker,)), compile_checks(of)).rejects.findings
    assert len(findings) == 5
    assert not any(marker in repr(finding) for finding in findings)


def test_checks_of_another_version_are_refused() -> None:
    of, other = contract(field()), contract(field(), version="2.0.0")
    with pytest.raises(DefectError) as caught:
        gate.check(batch(of, ("a",)), compile_checks(other))
    assert caught.value.code == "quality.other_contract"


# --- against a reference that decides row by row


def _lowest(field: Field, text: str) -> Any:
    match field.logical_type:
        case L.INTEGER:
            return int(text)
        case L.NUMBER:
            return Decimal(text)
        case L.DOUBLE:
            return float(text)
        case L.DATE:
            return date.fromisoformat(text)
        case L.TIME:
            return time.fromisoformat(text)
        case L.TIMESTAMP:
            return datetime.fromisoformat(text)
        case L.BOOLEAN:
            return text == "t"
    return text


def _broken(field: Field, value: Any) -> Iterator[str]:
    """The rules as one would read them, a value at a time."""
    if value is None:
        if field.key:
            yield "key_null"
        elif field.required:
            yield "required"
        return
    if field.min_length and len(value) < field.min_length:
        yield "min_length"
    if field.max_length is not None and len(value) > field.max_length:
        yield "max_length"
    if field.pattern is not None and not re.fullmatch(field.pattern, value, re.ASCII):
        yield "pattern"
    if field.values and value not in [_lowest(field, text) for text in field.values]:
        yield "values"
    if field.minimum is not None and not value >= _lowest(field, field.minimum):
        yield "minimum"
    if field.maximum is not None and not value <= _lowest(field, field.maximum):
        yield "maximum"
    if field.code and not CODES[field.code].valid(value):
        yield f"code.{field.code}"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.integers(0, 12).flatmap(fields_and_values))
def test_the_engine_decides_as_one_would_row_by_row(case: tuple[Field, list[Any]]) -> None:
    asked, values = case
    of = contract(asked)
    checked = gate.check(batch(of, *((v,) for v in values)), compile_checks(of))
    broken = [(value, list(_broken(asked, value))) for value in values]
    assert list(map(str, checked.batch.rows.column(0).to_pylist())) == [str(v) for v, rules in broken if not rules]
    assert list(map(str, checked.rejects.rows.column(0).to_pylist())) == [str(v) for v, rules in broken if rules]
    told = [(finding.row, finding.rule) for finding in checked.rejects.findings]
    assert told == [(row, rule) for row, rules in enumerate(r for _, r in broken if r) for rule in rules]


# --- the run's verdict


@pytest.mark.parametrize(
    ("read", "aside", "limit"), [(0, 0, 0.0), (0, 0, 0.05), (100, 5, 0.05), (100, 29, 0.29), (10, 10, 1.0), (10, 0, 0.0)]
)
def test_a_share_up_to_the_limit_lets_the_run_go_on(read: int, aside: int, limit: float) -> None:
    gate.verdict(read, aside, Limits(bad=limit))


@pytest.mark.parametrize(("read", "aside", "limit"), [(100, 6, 0.05), (1, 1, 0.99), (100, 30, 0.29), (1_000_000, 1, 0.0)])
def test_a_share_above_the_limit_stops_the_run(read: int, aside: int, limit: float) -> None:
    with pytest.raises(RejectedError) as caught:
        gate.verdict(read, aside, Limits(bad=limit))
    assert (caught.value.code, caught.value.fault) == ("quality.too_many_bad", Fault.PROVIDER)
    assert f"{aside} of {read} rows were set aside" in str(caught.value)


@pytest.mark.parametrize(("read", "aside"), [(1, 2), (0, 1), (5, -1)])
def test_counts_that_cannot_be_are_a_defect(read: int, aside: int) -> None:
    with pytest.raises(DefectError) as caught:
        gate.verdict(read, aside, Limits())
    assert caught.value.code == "quality.counts"
