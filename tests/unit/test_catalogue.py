"""The official catalogue's entry: what is refused, what is kept, the codes it gives, and whether a resource is fresh."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_registry.rules import check_fits
from schemas.catalogue import (
    BasisKind,
    Category,
    Channel,
    Level,
    Secrecy,
    SharingType,
    SharingWay,
    UpdateCycle,
    fresh,
    is_code,
    official_code,
    read_classification,
    read_code,
)
from schemas.catalogue_form import FIELD_KEYS, KEYS, entry_document, read_entry
from schemas.clock import CHINA
from schemas.errors import RejectedError
from schemas.odcs import read_contract
from tests.catalogue_entry import MARKET, entry_json, many
from tests.contract_text import contract_text


def faults(document: dict[str, Any]) -> list[str]:
    """Return what is wrong with a document, a fault each."""
    with pytest.raises(RejectedError) as refusal:
        read_entry(document, where="staff.json")
    assert (refusal.value.code, refusal.value.where) == ("catalogue.entry", "staff.json")
    head, _, said = refusal.value.message.partition(": ")
    found = said.split("; ")
    assert head == f"the catalogue entry has {len(found)} fault{'s' if len(found) > 1 else ''}"
    return found


def fault(**changes: Any) -> str:
    """Return the one thing that is wrong with an entry that is good but for these."""
    (found,) = faults(entry_json(**changes))
    return found


# Values


def test_the_official_values_are_those_of_the_source() -> None:
    assert {one.value: one.zh for one in Category} == {"1": "基础", "2": "主题", "3": "部门"}
    assert {one.value: one.zh for one in SharingType} == {"1": "无条件共享", "2": "有条件共享", "3": "不予共享"}
    assert {one.value: one.zh for one in BasisKind} == {"1": "法律法规", "2": "政策文件", "3": "敏感", "4": "其他"}
    assert {one.value: one.zh for one in Channel} == {"1": "政务外网", "2": "互联网", "3": "部门专网"}
    assert {one.value: one.zh for one in UpdateCycle} == {
        "1": "不定时",
        "2": "实时",
        "3": "每日",
        "4": "每周",
        "5": "每月",
        "6": "每季度",
        "7": "每半年",
        "8": "每年",
        "9": "其他",
    }
    assert [one.value for one in SharingWay] == ["接口", "库表", "文件", "邮件", "介质"]
    assert [one.value for one in Secrecy] == ["涉密", "非涉密"]


def test_a_value_may_be_given_by_its_chinese_word() -> None:
    by_word = entry_json(sharing_type="有条件共享", update_cycle="每日", channel="政务外网")
    assert read_entry(by_word) == read_entry(entry_json())


# Reading and writing


def test_an_entry_says_what_its_document_says() -> None:
    entry = read_entry(entry_json())
    assert (entry.classification.category, entry.classification.item, entry.classification.subject) == (
        Category.DEPARTMENT,
        "07",
        "015",
    )
    assert entry.classification.detail == "0500300"
    assert entry.sharing.type is SharingType.CONDITIONAL
    assert entry.sharing.condition == "用于办理行政许可"
    assert entry.sharing.ways == (SharingWay.API, SharingWay.TABLE)
    assert [(f.name, f.sensitivity, f.primary_key) for f in entry.fields] == [
        ("id", 1, True),
        ("title", 2, False),
        ("citizen_id", 4, False),
    ]
    assert (entry.level, entry.region, entry.open) == (Level.COUNTY, "440205", False)


def test_an_entry_written_and_read_again_is_equal() -> None:
    for resource in many(400):
        if resource.entry is not None:
            assert read_entry(entry_document(resource.entry)) == resource.entry


def test_the_entry_shown_in_the_docs_is_a_good_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "catalogue.md").read_text("utf-8")
    shown = json.loads(page.partition("```json\n")[2].partition("```")[0])
    assert read_entry(shown) == read_entry(entry_json())


def test_a_field_may_be_shared_on_terms_of_its_own() -> None:
    document = entry_json()
    document["fields"][2] |= {
        "sharing_type": "3",
        "sharing_basis_kind": "1",
        "sharing_basis": "个人信息保护法",
        "secret": False,
    }
    document["fields"][1] |= {"sharing_type": "1", "update_cycle": "5"}
    entry = read_entry(document)
    assert entry.fields[0].sharing is None
    assert entry.fields[2].sharing is not None
    assert entry.fields[2].sharing.basis == "个人信息保护法"
    assert entry.fields[1].update_cycle is UpdateCycle.MONTHLY
    assert read_entry(entry_document(entry)) == entry


def test_every_key_that_is_written_is_one_that_is_read() -> None:
    written, of_fields = set(), set()
    for resource in many(60):
        if resource.entry is not None:
            document = entry_document(resource.entry)
            written |= set(document)
            of_fields |= {key for field in document["fields"] for key in field}
    assert written <= set(KEYS)
    assert of_fields <= set(FIELD_KEYS)


# Refusals


def test_one_refusal_names_every_field_that_is_wrong_with_its_reason() -> None:
    document = entry_json(
        title=" ", provider_code="911100001016237410", sharing_condition=None, update_cycle="9", published_on="2026-13-01"
    )
    document["fields"][1]["sensitivity"] = 5
    found = faults(document)
    assert [one.partition(":")[0] for one in found] == [
        "title",
        "provider_code",
        "fields[1].sensitivity",
        "sharing_condition",
        "published_on",
        "other_update_cycle",
    ]
    assert found[0] == "title: is empty"
    assert found[2] == "fields[1].sensitivity: 5 is no whole number from 1 to 4"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sharing_condition": None}, "sharing_condition: is missing: 2 有条件共享 needs it"),
        ({"sharing_condition": "\u3000"}, "sharing_condition: is empty"),
        ({"sharing_type": "1"}, "sharing_condition: stands only with 2 有条件共享"),
        ({"sharing_basis": "某法"}, "sharing_basis: stands only with 3 不予共享"),
        ({"sharing_ways": None}, "sharing_ways: is missing: 接口, 库表, 文件, 邮件, 介质"),
        ({"sharing_ways": ["接口", "接口"]}, "sharing_ways: has the same value twice"),
        ({"sharing_ways": ["电报"]}, "sharing_ways: has a way that is not one of 接口, 库表, 文件, 邮件, 介质"),
        ({"open_condition": "登录"}, "open_condition: stands only where the resource is open"),
        ({"other_update_cycle": "每两年"}, "other_update_cycle: stands only with 9 其他"),
        ({"update_cycle": "9"}, "other_update_cycle: is missing: the cycle in words"),
        (
            {"update_cycle": "10"},
            "update_cycle: '10' is not one of 1 不定时, 2 实时, 3 每日, 4 每周, 5 每月, 6 每季度, 7 每半年, ",
        ),
        ({"classification": "4070150"}, "classification: '4070150' is no classification: 类 1-3, "),
        ({"classification": "3" + "0" * 40}, "classification: "),
        ({"code": "staff"}, "code: 'staff' is no code: the classification, / and 6 to 12 digits"),
        ({"region": "44020"}, "region: '44020' is no division code: 2, 4, 6, 9 or 12 digits"),
        ({"related": ["x"]}, "related: 'x' is no code of a resource"),
        ({"service_items": ["a,b"]}, "service_items: 'a,b' is no code: letters and digits, at most 50"),
        ({"fields": []}, "fields: is missing: a list with at least one field"),
        ({"fields": "id"}, "fields: must be a list"),
        ({"fields": ["id"]}, "fields[0]: must be an object"),
        ({"abstract": "a\x00b"}, "abstract: has a control character"),
        ({"abstract": "a\ud800b"}, "abstract: has a control character"),
        ({"abstract": 7}, "abstract: must be a text"),
        ({"open": "no"}, "open: must be true or false"),
        ({"secrecy": "涉密", "channel": "2"}, "channel: a resource that is 涉密 is not on 2 互联网"),
        ({"secrecy": "涉密", "open": True}, "open: a resource that is 涉密 is not open"),
        ({"shareing_type": "1"}, "shareing_type: there is no such key, near it is sharing_type"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], said: str) -> None:
    assert fault(**changes).startswith(said)


def test_a_resource_that_is_not_shared_says_on_which_ground() -> None:
    found = faults(entry_json(sharing_type="3", sharing_condition=None))
    assert found == [
        "sharing_basis_kind: is missing: 3 不予共享 needs it",
        "sharing_basis: is missing: 3 不予共享 needs it",
        "sharing_ways: stands only where it is not 3 不予共享",
    ]
    entry = read_entry(
        entry_json(sharing_type="3", sharing_condition=None, sharing_ways=None, sharing_basis_kind="1", sharing_basis="保密法")
    )
    assert (entry.sharing.basis_kind, entry.sharing.basis) == (BasisKind.LAW, "保密法")


def test_a_field_that_stands_twice_is_refused() -> None:
    document = entry_json()
    document["fields"].append(dict(document["fields"][0]))
    assert faults(document) == ["fields: id stands there twice"]


ANYTHING = (
    None,
    True,
    False,
    0,
    7,
    -1,
    1.5,
    "",
    " ",
    "x",
    "3",
    "涉密",
    "\x00",
    "2026-11-02",
    [],
    ["x"],
    [1],
    ["接口"],
    {},
    [{}],
    [[]],
)


@given(st.dictionaries(st.sampled_from((*KEYS, "other")), st.sampled_from(ANYTHING)))
def test_whatever_json_is_given_there_is_an_entry_or_one_refusal(changes: dict[str, Any]) -> None:
    try:
        entry = read_entry(entry_json() | changes)
    except RejectedError as refusal:
        code = refusal.code
    else:
        code = "catalogue.entry"
        assert read_entry(entry_document(entry)) == entry
    assert code == "catalogue.entry"


def test_an_entry_of_other_fields_or_of_another_department_does_not_fit_the_resource() -> None:
    contract = read_contract(contract_text())
    check_fits(read_entry(entry_json()), contract, MARKET)
    document = entry_json(provider="民政局", provider_code="12441500196720244T")
    document["fields"][1]["name"] = "post"
    document["fields"][2]["primary_key"] = True
    with pytest.raises(RejectedError) as refusal:
        check_fits(read_entry(document), contract, MARKET)
    assert refusal.value.message == (
        "the catalogue entry has 5 faults: fields[1].name: the contract has no field post; "
        "fields: the contract's title stand not there; "
        "fields[2].primary_key: citizen_id is no part of the contract's key; "
        "provider: the resource is of 市场监督管理局; "
        "provider_code: 市场监督管理局 has 91110000101623741K"
    )


# Codes


def test_a_code_is_its_classification_and_a_number() -> None:
    assert official_code("3070150500300", 1) == "3070150500300/000001"
    assert official_code("3070150500300", 1_000_000) == "3070150500300/1000000"
    assert read_code("3070150500300/000001") == ("3070150500300", 1)
    assert read_classification("3070150500300") == read_entry(entry_json()).classification
    assert read_classification("307015") is not None
    assert [read_classification(text) for text in ("", "30701", "4070150", "30701x")] == [None] * 4


def test_the_older_form_of_a_code_is_taken() -> None:
    assert is_code("29001/000123")
    assert read_code("29001/000123") is None
    assert not is_code("29001")


# Freshness


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


@pytest.mark.parametrize(
    ("cycle", "as_of", "last_fresh"),
    [
        (UpdateCycle.DAILY, "2026-11-01T02:15", "2026-11-02T23:59"),
        (UpdateCycle.WEEKLY, "2026-11-01T23:59", "2026-11-08T23:59"),
        (UpdateCycle.MONTHLY, "2026-01-31T12:00", "2026-02-28T23:59"),
        (UpdateCycle.MONTHLY, "2026-12-15T12:00", "2027-01-15T23:59"),
        (UpdateCycle.QUARTERLY, "2026-11-30T00:00", "2027-02-28T23:59"),
        (UpdateCycle.HALF_YEARLY, "2027-08-31T00:00", "2028-02-29T23:59"),
        (UpdateCycle.YEARLY, "2028-02-29T00:00", "2029-02-28T23:59"),
        (UpdateCycle.REAL_TIME, "2026-11-02T08:00", "2026-11-02T08:30"),
    ],
)
def test_a_resource_is_fresh_until_its_declared_cycle_is_over(cycle: UpdateCycle, as_of: str, last_fresh: str) -> None:
    assert fresh(cycle, at(as_of), at(as_of)) is True
    assert fresh(cycle, at(as_of).astimezone(UTC), at(last_fresh).astimezone(UTC)) is True
    assert fresh(cycle, at(as_of), at(last_fresh) + timedelta(minutes=1)) is False
    assert fresh(cycle, None, at(as_of)) is False


def test_a_cycle_that_promises_no_time_is_neither_fresh_nor_stale() -> None:
    for cycle in (UpdateCycle.IRREGULAR, UpdateCycle.OTHER):
        assert fresh(cycle, None, at("2026-11-02T08:00")) is None
        assert fresh(cycle, at("2020-11-02T08:00"), at("2026-11-02T08:00")) is None
