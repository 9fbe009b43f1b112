"""Codes, elements and handbooks of service items: what they may say, and every fault in one refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import RejectedError
from schemas.handbook import handbook_document, read_handbook
from schemas.item import CodeKind, LimitUnit, ServiceItem, item_of, read_item_code
from schemas.item_form import item_document, read_item
from schemas.licence_type import (
    FIELDS,
    HolderKind,
    LicenceSharing,
    LicenceState,
    licence_type_document,
    read_licence_type,
    read_terms,
)
from tests.items import BASIC, CODE, MARKET, elements, item, steps

OLD = "90000500169555062213440300"


def refusal(read: Any, document: Any) -> str:
    with pytest.raises(RejectedError) as error:
        read(document)
    return error.value.message


# Codes ------------------------------------------------------------------------------------------------------------------


def test_an_implementation_code_is_credit_code_level_and_basic_code() -> None:
    found = read_item_code(CODE)
    assert (found.kind, found.credit_code, found.level, found.basic) == (CodeKind.IMPLEMENTATION, MARKET, "3", BASIC)
    real = read_item_code("11370800MB285591843370117002011")
    assert (real.credit_code, real.level, real.basic) == ("11370800MB28559184", "3", "370117002011")


@pytest.mark.parametrize(
    ("code", "kind", "item_code"),
    [
        (CODE, CodeKind.IMPLEMENTATION, CODE),
        (f"{CODE}01", CodeKind.HANDLING, CODE),
        (BASIC, CodeKind.BASIC, BASIC),
        (OLD, CodeKind.LEGACY, OLD),
        ("ITEM-1", CodeKind.LEGACY, "ITEM-1"),
    ],
)
def test_a_code_says_what_it_names_and_of_which_item_it_is(code: str, kind: CodeKind, item_code: str) -> None:
    assert (read_item_code(code).kind, read_item_code(code).item) == (kind, item_code)
    assert item_of(code) == item_code


def test_a_code_of_31_characters_with_a_wrong_check_character_is_not_taken_for_an_old_one() -> None:
    wrong = CODE[:17] + ("0" if CODE[17] != "0" else "1") + CODE[18:]
    assert "check character" in refusal(read_item_code, wrong)
    assert "check character" in refusal(read_item, elements(code=wrong, ways=[]))


@pytest.mark.parametrize("code", ["", "事项", "a b", "-x", "x" * 65])
def test_what_is_no_code_at_all_is_refused(code: str) -> None:
    assert "is no code of an item" in refusal(read_item_code, code)


def test_an_old_code_is_opaque_and_carries_a_type() -> None:
    assert item(code=OLD, ways=[]).code_type == "legacy"
    tagged = item(code=OLD, code_type="gd_hall_2013", basic_code=BASIC, ways=[])
    assert (tagged.code_type, tagged.basic_code, tagged.body_code) == ("gd_hall_2013", BASIC, None)
    assert "is no such code" in refusal(read_item, elements(code=OLD, code_type="implementation", ways=[]))
    assert "is an implementation code" in refusal(read_item, elements(code_type="legacy"))


def test_the_basic_code_and_the_body_are_those_in_the_code() -> None:
    assert (item().basic_code, item().body_code) == (BASIC, MARKET)
    assert "is not the basic code in" in refusal(read_item, elements(basic_code="440102001009"))


# Elements ---------------------------------------------------------------------------------------------------------------


def test_an_item_is_read_back_as_it_was_written() -> None:
    assert read_item(item_document(item())) == item()


def test_an_official_value_may_be_given_by_its_word() -> None:
    assert item(item_type="行政许可", handling="承诺件", promised={"number": 5, "unit": "工作日"}) == item()
    assert item(promised={"number": 3, "unit": "个月"}).promised.unit is LimitUnit.MONTH  # type: ignore[union-attr]


def test_one_refusal_names_every_element_that_is_wrong() -> None:
    told = refusal(
        read_item,
        elements(
            name=" ",
            item_type="99",
            promised={"number": -1, "unit": "G"},
            visits="often",
            effective_on="2016-13-45",
            materials=[{"code": "A", "name": "x"}, {"code": "A", "name": "y", "page": 2}],
            ways="none",
            colour="red",
        ),
    )
    assert told.startswith("the service item has 9 faults: ")
    for place in (
        "name: is empty",
        "item_type:",
        "promised:",
        "visits:",
        "effective_on:",
        "materials[1].code:",
        "ways:",
        "colour:",
    ):
        assert place in told
    assert "materials[1].page: there is no such key, near it is materials[1].pages" in told


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_whatever_json_is_given_there_is_an_item_or_one_refusal(value: Any) -> None:
    for key in ("code", "promised", "materials", "ways", "fee", "topics", "effective_on", "status"):
        made = read_or_code(elements(**{key: value}))
        assert made == "item.elements" or (not isinstance(made, str) and read_item(item_document(made)) == made)


def read_or_code(document: dict[str, Any]) -> ServiceItem | str:
    try:
        return read_item(document)
    except RejectedError as error:
        return error.code


# Handbooks --------------------------------------------------------------------------------------------------------------


def test_a_handbook_says_of_each_step_who_what_how_and_with_which_discretion() -> None:
    made = read_handbook({"steps": steps()})
    assert handbook_document(made) == {"steps": steps()}
    assert [rung.outcome for rung in made.steps[1].discretion] == ["准予许可", "不予许可"]


@pytest.mark.parametrize("key", ["name", "body", "post", "powers", "examines", "how"])
def test_a_step_without_one_of_its_parts_is_refused(key: str) -> None:
    first, second = steps()
    del first[key]
    assert f"steps[0].{key}: is missing" in refusal(read_handbook, {"steps": [first, second]})


def test_a_handbook_without_a_step_or_with_one_twice_is_refused() -> None:
    assert "at least one step" in refusal(read_handbook, {"steps": []})
    assert "steps[2].name: '受理' stands there twice" in refusal(read_handbook, {"steps": [*steps(), steps()[0]]})


# Licence types ----------------------------------------------------------------------------------------------------------


def test_a_licence_type_is_read_back_as_it_was_written() -> None:
    document = {"code": f"{MARKET}001", "name": "食品经营许可证", "issuer": "曲江区市场监督管理局", "issuer_code": MARKET}
    made = read_licence_type(document | {"holders": ["001"], "validity_years": 5})
    assert made.holders == (HolderKind.ORGANISATION,)
    assert read_licence_type(licence_type_document(made)) == made
    assert "holders: '222' is not one of" in refusal(read_licence_type, document | {"holders": ["222"]})


def test_a_licence_type_is_shared_by_item_or_on_a_condition_that_is_said() -> None:
    by_item = read_terms({"sharing": "依事项共享"})
    assert (by_item.sharing, by_item.fields, by_item.states) == (LicenceSharing.BY_ITEM, FIELDS, tuple(LicenceState))
    assert read_terms({"sharing": "2", "condition": "仅限本区", "states": ["01", "失效"]}).states == (
        LicenceState.VALID,
        LicenceState.LAPSED,
    )
    assert "condition: is missing" in refusal(read_terms, {"sharing": "2"})
    assert "condition: stands only with" in refusal(read_terms, {"sharing": "1", "condition": "x"})
    assert "fields: is empty" in refusal(read_terms, {"sharing": "1", "fields": []})
