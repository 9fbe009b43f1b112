"""How landed rows become items and licence types."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from exchange.items.rows import carried, item_of_row, licence_type_of_row
from schemas.errors import RejectedError
from schemas.item import ItemStatus, ItemType, Limit, LimitUnit
from tests.items import BASIC, CODE, MARKET, item


def row(**changes: Any) -> dict[str, Any]:
    said = {
        "item_code": CODE,
        "basic_code": BASIC,
        "name": "食品经营许可设立",
        "department": "局",
        "department_code": MARKET,
        "item_type": "01",
        "state": "2",
        "version": 4,
        "level": "3",
        "statutory_days": 20,
        "promise_days": 5,
        "has_fee": "0",
        "visits": 1,
        "effective_on": date(2024, 1, 1),
        "cancelled_on": None,
        "operation": "I",
        "updated_at": "later",
    }
    return said | changes


def test_a_row_with_its_ways_and_materials_is_an_item() -> None:
    ways = [
        {"handling_code": f"{CODE}02", "name": "b", "online": "1"},
        {"handling_code": f"{CODE}01", "name": "a", "at_centre": "0"},
    ]
    materials = [
        {"material_code": "B", "name": "y", "needed": "0", "pages": 2},
        {"material_code": "A", "name": "x", "needed": "1"},
    ]
    made = item_of_row(row(), ways, materials)
    assert (made.item_type, made.status, made.source_version, made.fee) == (ItemType.PERMIT, ItemStatus.SUSPENDED, 4, False)
    assert (made.statutory, made.promised) == (Limit(20, LimitUnit.WORKING_DAY), Limit(5, LimitUnit.WORKING_DAY))
    assert [(w.code[-2:], w.at_centre, w.online) for w in made.ways] == [("01", False, None), ("02", None, True)]
    assert [(m.code, m.needed, m.pages) for m in made.materials] == [("A", True, None), ("B", False, 2)]
    assert made.effective_on == date(2024, 1, 1)


def test_a_system_that_has_the_unit_of_a_limit_and_further_elements_says_them() -> None:
    made = item_of_row(row(promise_unit="Z", accept_condition="有场所"), [], [])
    assert made.promised == Limit(5, LimitUnit.CALENDAR_DAY)
    assert made.accept_condition == "有场所"


def test_when_a_row_was_touched_is_no_element_of_the_item() -> None:
    assert item_of_row(row(updated_at="a", operation="U"), [], []) == item_of_row(row(updated_at="b"), [], [])


def test_a_row_that_is_no_item_is_refused() -> None:
    with pytest.raises(RejectedError) as refusal:
        item_of_row(row(basic_code="000000000000"), [], [])
    assert refusal.value.code == "item.elements"


def test_a_way_or_material_whose_row_is_set_aside_stays_as_it_was_and_one_that_is_gone_goes() -> None:
    now = item(materials=[], ways=[])
    kept = carried(now, item(), [(CODE, "CL000102"), (f"{CODE}01",)])
    assert [m.code for m in kept.materials] == ["CL000102"]
    assert [w.code for w in kept.ways] == [f"{CODE}01"]
    assert carried(now, None, [(CODE, "CL000102")]) == now
    assert carried(item(), item(), [(CODE, "CL000102")]) == item()


def test_a_row_of_the_licence_store_is_a_licence_type() -> None:
    said = {"licence_type": f"{MARKET}001", "name": "营业执照", "agency": "局", "agency_code": MARKET}
    made = licence_type_of_row(said | {"holder_number_type": "001", "validity_years": 0})
    assert (made.code, made.validity_years, [h.value for h in made.holders]) == (f"{MARKET}001", 0, ["001"])
    with pytest.raises(RejectedError):
        licence_type_of_row(said | {"holder_number_type": "9", "validity_years": 0})
