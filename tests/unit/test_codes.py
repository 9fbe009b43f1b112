from __future__ import annotations

import random
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.cn import ric, uscc
from stdnum.iso7064 import mod_37_36

from schemas.codes import (
    CODES,
    citizen_id_18,
    citizen_id_check,
    credit_code_check,
    licence_identifier_check,
    organisation_code_check,
)

REAL_CREDIT_CODES = (
    "91110000101623741K", "911101066976941872", "11370800MB28559184", "12441500196720244T", "11100000000013338W",
    "113700000045030270", "91440101MA5CJMYA97",
)  # fmt: skip
REAL_LICENCES = (
    "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U",
    "1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9",
)
DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def made(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(length))


def a_citizen_id(rng: random.Random) -> str:
    born = f"{rng.randint(1900, 2024)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    body = rng.choice(["440205", "440221", "810000", "999999"]) + born + made(rng, DIGITS, 3)
    return body + citizen_id_check(body)


def a_credit_code(rng: random.Random) -> str:
    body = rng.choice(["91", "11", "N2"]) + "440205" + made(rng, CREDIT, 9)
    return body + credit_code_check(body)


def an_organisation_code(rng: random.Random) -> str:
    body = made(rng, DIGITS + LETTERS, 8)
    return body + rng.choice(["", "-"]) + organisation_code_check(body)


def a_licence(rng: random.Random) -> str:
    parts = [a_credit_code(rng) + made(rng, DIGITS, 3), rng.choice([a_credit_code(rng), "340100"])]
    body = ".".join([*parts, made(rng, DIGITS + LETTERS, rng.randint(1, 32)), made(rng, DIGITS, 3)])
    return f"1.2.156.3005.2.{body}.{licence_identifier_check(body)}"


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "citizen_id": a_citizen_id,
    "credit_code": a_credit_code,
    "holder_number": lambda rng: rng.choice([a_citizen_id, a_credit_code])(rng),
    "organisation_code": an_organisation_code,
    "licence_identifier": a_licence,
    "division_code": lambda rng: rng.choice("123456789") + made(rng, DIGITS, rng.choice([2, 4, 6, 9, 12]) - 1),
    "item_basic_code": lambda rng: made(rng, DIGITS + LETTERS, 12),
    "item_code": lambda rng: a_credit_code(rng) + "3" + made(rng, DIGITS, 12),
}


def spoiled(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text))
    return rng.choice(
        [
            text[:-1],
            text + "0",
            text.lower(),
            f" {text}",
            text[:at] + "中" + text[at + 1 :],
            text[:at] + "0" + text[at + 1 :],
            "",
            text[::-1],
        ]
    )


def test_every_rule_has_a_maker_here() -> None:
    assert set(MAKERS) == set(CODES)


@pytest.mark.parametrize("name", sorted(CODES))
def test_what_is_made_with_the_check_functions_is_valid(name: str) -> None:
    rng = random.Random(7)
    codes = [MAKERS[name](rng) for _ in range(300)]
    assert CODES[name].valid_column(pa.array(codes)).to_pylist() == [True] * 300


@pytest.mark.parametrize("name", sorted(CODES))
def test_a_column_is_decided_as_its_values_are_one_by_one(name: str) -> None:
    rng = random.Random(11)
    values = [rng.choice([None, MAKERS[name](rng), spoiled(rng, MAKERS[name](rng))]) for _ in range(1500)]
    column = pa.array(["x", *values, "y"], pa.string()).slice(1, 1500)
    assert CODES[name].valid_column(column).to_pylist() == [None if v is None else CODES[name].valid(v) for v in values]


@pytest.mark.parametrize("name", sorted(CODES))
def test_null_stays_null_and_the_empty_text_is_no_code(name: str) -> None:
    assert CODES[name].valid_column(pa.array([], pa.string())).to_pylist() == []
    assert CODES[name].valid_column(pa.array([None, ""], pa.string())).to_pylist() == [None, False]
    assert CODES[name].valid_column(pa.nulls(2, pa.string())).to_pylist() == [None, None]


def test_real_credit_codes_pass_and_the_one_that_is_wrong_in_the_wild_does_not() -> None:
    for code in REAL_CREDIT_CODES:
        assert CODES["credit_code"].valid(code), code
        assert CODES["organisation_code"].valid(code[8:17]), code
    assert not CODES["credit_code"].valid("91350211M0000XUF46")


def test_real_licence_identifiers_pass_and_a_changed_one_does_not() -> None:
    for identifier in REAL_LICENCES:
        assert CODES["licence_identifier"].valid(identifier)
        assert not CODES["licence_identifier"].valid(identifier.replace("001.", "002."))


def test_a_citizen_id_needs_a_real_date_and_its_check_character_but_no_known_prefix() -> None:
    valid = CODES["citizen_id"].valid
    assert valid("11010519491231002X")
    assert not valid("11010519491231002x")
    assert not valid("110105194912310021")
    for body, real in (
        ("44020520000229001", True),
        ("44020519000229001", False),
        ("44020520011301001", False),
        ("99999920000101001", True),
    ):
        assert valid(body + citizen_id_check(body)) is real
    assert valid("44020519900101001" + citizen_id_check("44020519900101001"))  # a prefix not in force then


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_check_characters_are_those_of_python_stdnum(seed: int) -> None:
    rng = random.Random(seed)
    body = made(rng, DIGITS, 17)
    assert citizen_id_check(body) == ric.calc_check_digit(body + "0")
    credit = made(rng, DIGITS, 8) + made(rng, CREDIT, 9)
    assert credit_code_check(credit) == uscc.calc_check_digit(credit)
    licence = made(rng, DIGITS + LETTERS, rng.randint(10, 70))
    assert licence_identifier_check(licence) == mod_37_36.calc_check_digit(licence)


def test_fifteen_digits_become_eighteen_characters() -> None:
    grown = citizen_id_18("110105491231002")
    assert grown == "11010519491231002X"
    assert citizen_id_18("110105491331002") is None
    assert citizen_id_18("11010549123100X") is None


@pytest.mark.parametrize("code", ["44", "4402", "440205", "440205101", "440205101001"])
def test_division_codes_have_two_to_twelve_digits(code: str) -> None:
    assert CODES["division_code"].valid(code)
    for wrong in (code + "0", code[:-1], "0" + code[1:], code[:-1] + "a", code + "\n"):
        assert CODES["division_code"].valid(wrong) is False
        assert CODES["division_code"].valid_column(pa.array([wrong])).to_pylist() == [False]


def test_an_item_code_holds_a_valid_credit_code() -> None:
    assert CODES["item_code"].valid("11370800MB285591843370117002011")
    assert CODES["item_code"].valid("12441500196720244T3442199806003")
    assert not CODES["item_code"].valid("12441500196720245T3442199806003")
    assert CODES["item_basic_code"].valid("370117002011")
