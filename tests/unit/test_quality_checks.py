"""A contract compiled to checks: what is asked of each field, and what is refused, by name."""

from __future__ import annotations

import re

import pytest

from quality.checks import compile_checks, set_rules, typed
from schemas.contract import DataContract, Field, LogicalType, Reference
from schemas.errors import Fault, RejectedError
from schemas.resource import resource_name
from schemas.types import arrow_type

L = LogicalType


def contract(*fields: Field) -> DataContract:
    return DataContract(resource_name("people"), "1.0.0", "People", "d", "s", "src", "t", fields)


def field(kind: LogicalType = L.STRING, **rules: object) -> Field:
    return Field("f", kind, "F", **rules)  # type: ignore[arg-type]


def rules_of(*fields: Field) -> list[tuple[str, str]]:
    return [(check.field, check.rule) for check in compile_checks(contract(*fields)).rows]


def test_each_rule_of_the_contract_becomes_a_check_in_one_order() -> None:
    texts = {"pattern": "[0-9X]+", "values": ("1", "2"), "minimum": "1", "maximum": "9", "code": "citizen_id"}
    full = field(required=True, min_length=1, max_length=18, **texts)
    assert rules_of(full) == [
        ("f", rule)
        for rule in ("required", "min_length", "max_length", "pattern", "values", "minimum", "maximum", "code.citizen_id")
    ]


def test_a_field_without_rules_has_no_check() -> None:
    assert rules_of(field(), field(L.DOUBLE, personal=True)) == []


def test_a_key_field_is_asked_for_its_key_and_not_again_as_required() -> None:
    assert rules_of(Field("id", L.INTEGER, "id", key=1, required=True)) == [("id", "key_null")]


def test_a_reason_speaks_english_and_chinese() -> None:
    for check in compile_checks(contract(field(required=True, max_length=18, pattern="a", code="credit_code"))).rows:
        assert re.search("[a-z]{2}.* [一-龥]+", check.reason), check.rule


def test_a_long_list_of_values_is_cut_in_the_reason() -> None:
    (check,) = compile_checks(contract(field(values=tuple(str(n) for n in range(100))))).rows
    assert "11, …" in check.reason
    assert "12" not in check.reason


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (field(pattern="["), "field f: pattern '[' is refused by RE2: missing ]"),
        (field(pattern="(?=a)"), "is refused by RE2: invalid perl operator"),
        (field(pattern=r"(a)\1"), "is refused by RE2: invalid escape sequence"),
        (field(pattern="a)(b"), "is refused by RE2: unexpected )"),
        (field(pattern=r"\Qa"), "is refused by RE2"),
        (field(L.INTEGER, pattern="1"), "field f: pattern cannot be asked of the type integer"),
        (field(L.DATE, max_length=8), "field f: max_length cannot be asked of the type date"),
        (field(L.BOOLEAN, min_length=0), "field f: min_length cannot be asked of the type boolean"),
        (field(L.BYTES, minimum="00"), "field f: minimum cannot be asked of the type bytes"),
        (field(L.BOOLEAN, maximum="t"), "field f: maximum cannot be asked of the type boolean"),
        (field(L.DOUBLE, values=("1.5",)), "field f: values cannot be asked of the type double"),
        (field(L.INTEGER, code="citizen_id"), "field f: code cannot be asked of the type integer"),
        (field(code="passport"), "field f: code 'passport' is not known; expected one of citizen_id, credit_code"),
        (field(min_length=-1), "field f: min_length is -1"),
        (field(min_length=3, max_length=2), "field f: min_length 3 is above max_length 2"),
        (field(L.INTEGER, minimum="one"), "field f: minimum 'one' is no integer"),
        (field(L.INTEGER, maximum="1.5"), "field f: maximum '1.5' is no integer"),
        (field(L.INTEGER, minimum="99999999999999999999"), "is no integer"),
        (field(L.DATE, minimum="2016/7/27"), "field f: minimum '2016/7/27' is no date"),
        (field(L.TIMESTAMP, minimum="2016-07-27 08:00:00"), "is no timestamp with a zone"),
        (field(L.TIME, maximum="25:00:00"), "field f: maximum '25:00:00' is no time"),
        (field(L.DOUBLE, maximum="nan"), "field f: maximum 'nan' is no double"),
        (field(L.NUMBER, precision=5, scale=2, minimum="0.005"), "is no number of 5 digits, 2 of them decimals"),
        (field(L.NUMBER, precision=40), "has precision 40"),
        (field(L.INTEGER, values=("1", "x")), "field f: values 'x' is no integer"),
        (field(L.BOOLEAN, values=("yes",)), "field f: values 'yes' is no boolean"),
        (field(L.INTEGER, minimum="5", maximum="4"), "field f: minimum '5' is above maximum '4'"),
    ],
)
def test_a_rule_that_cannot_be_asked_is_refused_with_its_field(bad: Field, says: str) -> None:
    with pytest.raises(RejectedError) as caught:
        compile_checks(contract(bad))
    assert says in caught.value.message
    assert (caught.value.code, caught.value.fault) == ("contract.rule", Fault.PROVIDER)
    assert caught.value.where == "contract people 1.0.0"


def test_every_fault_of_a_contract_is_told_at_once() -> None:
    with pytest.raises(RejectedError) as caught:
        compile_checks(contract(Field("a", L.STRING, "A", pattern="["), Field("b", L.DATE, "B", maximum="soon")))
    assert "field a: " in caught.value.message
    assert "field b: " in caught.value.message


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (L.INTEGER, "-5", "-5"),
        (L.NUMBER, "1.5", "1.50"),
        (L.DOUBLE, "1.5", "1.5"),
        (L.BOOLEAN, "t", "True"),
        (L.DATE, "9999-12-31", "9999-12-31"),
        (L.TIMESTAMP, "2016-07-27 00:00:00.000000Z", "2016-07-27 00:00:00+00:00"),
        (L.TIMESTAMP, "2016-07-27T08:00:00+08:00", "2016-07-27 00:00:00+00:00"),
        (L.TIME, "23:59:59.999999", "23:59:59.999999"),
    ],
)
def test_the_text_form_of_a_bound_is_read_as_its_type(kind: LogicalType, text: str, value: str) -> None:
    assert str(typed(text, arrow_type(field(kind, precision=5, scale=2))).as_py()) == value


def test_the_rules_over_the_set_are_the_key_and_the_references() -> None:
    people = resource_name("people")
    child = Field("p", L.STRING, "P", references=Reference(people, "a"))
    tree = contract(Field("b", L.STRING, "B", key=2), Field("a", L.STRING, "A", key=1), child)
    key, parent = set_rules(tree)
    assert (key.rule, key.fields, key.resource, key.referenced) == ("duplicate_key", ("a", "b"), None, None)
    assert (parent.rule, parent.fields, parent.resource, parent.referenced) == ("parent_exists", ("p",), people, "a")
    assert set_rules(contract(field())) == ()
