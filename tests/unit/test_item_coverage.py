"""The report 应进必进, its list of codes, and the guide of an item: pure, and each refusal with its line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from catalog_registry.coverage import Coverage, Lack, Wanted, coverage, read_wanted
from catalog_registry.guide import guide_of, guide_text
from catalog_registry.item_life import ItemState
from catalog_registry.item_records import ItemRecord, StandIn, StandIns
from schemas.errors import RejectedError
from schemas.item import ServiceItem
from tests.items import BASIC, CODE, MARKET, TOWN_CODE, elements, item

AT = datetime(2026, 11, 2, tzinfo=UTC)


def entered(
    state: ItemState = ItemState.IN_FORCE, department: str | None = "market", **changes: Any
) -> tuple[ItemRecord, ServiceItem]:
    made = item(**changes)
    record = ItemRecord(made.code, made.code_type, made.basic_code, made.name, made.body, department, None, state, 1, AT)
    return record, made


def lacks(found: Coverage) -> dict[str | None, tuple[Lack, ...]]:
    return {gap.item: gap.lacks for gap in found.gaps}


@pytest.mark.parametrize(
    ("changes", "handbook", "lack"),
    [
        ({}, True, ()),
        ({}, False, (Lack.HANDBOOK,)),
        ({"ways": []}, True, (Lack.IMPLEMENTATION,)),
        ({"materials": []}, True, (Lack.MATERIALS,)),
        ({"promised": None}, True, (Lack.LIMITS,)),
        ({"statutory": None}, True, (Lack.LIMITS,)),
    ],
)
def test_an_item_is_whole_or_what_it_lacks_is_named(changes: dict[str, Any], handbook: bool, lack: tuple[Lack, ...]) -> None:
    found = coverage([entered(**changes)], {CODE: 1} if handbook else {}, [Wanted(BASIC)])
    assert (found.wanted, found.whole) == (1, int(not lack))
    assert lacks(found).get(CODE, ()) == lack


def test_what_nobody_performs_is_missing_and_an_ended_item_performs_nothing() -> None:
    found = coverage([entered(ItemState.ENDED)], {CODE: 1}, [Wanted(BASIC, "market"), Wanted("440108009000")])
    assert [(g.basic_code, g.department, g.lacks) for g in found.gaps] == [
        (BASIC, "market", (Lack.MISSING,)),
        ("440108009000", None, (Lack.MISSING,)),
    ]
    assert [(t.department, t.wanted) for t in found.departments] == [("market", 1), (None, 1)]


def test_every_body_that_performs_a_wanted_item_is_looked_at_and_nothing_else() -> None:
    items = [entered(), entered(department="maba", code=TOWN_CODE, ways=[]), entered(code="OLD-1", ways=[])]
    found = coverage(items, {CODE: 1}, [Wanted(BASIC)])
    assert lacks(found) == {TOWN_CODE: (Lack.IMPLEMENTATION, Lack.HANDBOOK)}
    assert coverage(items, {CODE: 1}, [Wanted(BASIC)], department="market").gaps == []
    assert coverage(items, {}).wanted == 3


def test_a_list_of_codes_is_read_with_its_departments_and_remarks() -> None:
    text = f"\ufeff# 应进必进\n\n{BASIC}, market  # 食品\n440108009000\n440108009001;civil\n"
    assert read_wanted(text) == (Wanted(BASIC, "market"), Wanted("440108009000"), Wanted("440108009001", "civil"))


def test_each_line_of_a_list_that_is_wrong_is_told() -> None:
    with pytest.raises(RejectedError) as refusal:
        read_wanted(f"{BASIC}\n123\n{BASIC}\n事项\n", where="list.txt")
    assert refusal.value.code == "coverage.list"
    assert refusal.value.message == (
        "the list is wrong: line 2: no basic code, 12 digits or capital letters; "
        f"line 3: {BASIC} stands there twice; line 4: no basic code, 12 digits or capital letters"
    )
    with pytest.raises(RejectedError):
        read_wanted("# nothing\n")


def test_the_guide_tells_what_the_item_says_and_what_need_not_be_handed_in() -> None:
    kind = f"{MARKET}001"
    made = item(questions=[{"question": "要多久？", "answer": "五个工作日"}], fee=True, fees=["工本费 10 元"])
    stand_ins = StandIns(CODE, 1, {"CL000102": StandIn((kind,), ("licences",))})
    guide = guide_of(made, stand_ins, {kind: "营业执照"})
    assert [(m.material.code, m.exempt) for m in guide.materials] == [("CL000101", False), ("CL000102", True)]
    text = guide_text(guide)
    for said in (
        "# 食品经营许可设立",
        "承诺办结时限：5 工作日",
        "是否收费：工本费 10 元",
        "可免提交：营业执照、licences",
        "**要多久？**",
    ):
        assert said in text
    assert "通办范围" not in text
    assert elements()["accept_condition"] in text
