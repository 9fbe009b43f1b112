"""The demo district's rows: the same each time, valid but for the planted faults, and wrong exactly where the truth says so."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from console.demo import digits, truth
from console.demo.agencies import CITIZEN, COMPANY, KINDS
from console.demo.enrol import GRANTED, RESOURCES, SYSTEMS, contract_text
from console.demo.generator import (
    MOST_LICENCES,
    SEED,
    Generated,
    Sizes,
    accepted_licences,
    divisions,
    generate,
)
from console.demo.licences import VALID
from console.demo.market import OPEN_STATES
from console.demo.names import COMPANY_MARK, OFFICER_MARK, PERSON_MARK
from quality.checks import compile_checks
from quality.gate import check
from schemas.batch import RawBatch, Rejects
from schemas.canonical import text_column
from schemas.codes import CODES
from schemas.conform import conform
from schemas.contract import DataContract
from schemas.errors import RejectedError
from schemas.odcs import read_contract, write_contract

SIZES = Sizes.of(1_000)
NOW = datetime(2026, 11, 2, tzinfo=UTC)


@cache
def made() -> Generated:
    return generate(SIZES)


@cache
def contract(resource: str) -> DataContract:
    return read_contract(contract_text(resource), where=resource)


def split(resource: str, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Counter[str | None], dict[str | None, set[str]]]:
    """Return the good rows, the keys of those that the contract sets aside with how many, and the rules that did."""
    of = contract(resource)
    conformed = conform(RawBatch(of, rows.select([f.source_name for f in of.fields]), NOW))
    checked = check(conformed.batch, compile_checks(of))
    aside: Counter[str | None] = Counter()
    rules: dict[str | None, set[str]] = defaultdict(set)
    for rejects, names in (
        (conformed.rejects, [f.source_name for f in of.key]),
        (checked.rejects, [f.name for f in of.key]),
    ):
        for number, key in enumerate(keys_of(rejects.rows, names)):
            aside[key] += 1
            rules[key] |= rules_of(rejects, number)
    good = checked.batch.rows
    often = Counter(keys_of(good, [f.name for f in of.key]))
    for key, times in often.items():
        if times > 1:
            aside[key] += times
            rules[key].add("duplicate_key")
    single = pa.array([often[key] == 1 for key in keys_of(good, [f.name for f in of.key])], pa.bool_())
    return good.filter(single), aside, rules


def keys_of(rows: pa.RecordBatch, names: list[str]) -> list[str | None]:
    parts = [text_column(rows[name]).to_pylist() for name in names]
    return [None if None in key else "/".join(key) for key in zip(*parts, strict=True)]


def rules_of(rejects: Rejects, row: int) -> set[str]:
    return {finding.rule for finding in rejects.findings if finding.row == row}


@cache
def good(resource: str) -> pa.RecordBatch:
    return split(resource, made().rows[resource])[0]


def test_the_same_seed_gives_the_same_rows_and_another_seed_gives_others() -> None:
    again, other = generate(SIZES), generate(SIZES, seed=SEED + 1)
    for resource, rows in made().rows.items():
        assert again.rows[resource].equals(rows), resource
        assert not other.rows[resource].equals(rows), resource
    assert again.wrong == made().wrong
    assert again.accepted == made().accepted


def test_the_hubs_own_table_can_be_made_without_the_rest() -> None:
    assert accepted_licences(SIZES) == made().accepted


def test_there_are_as_many_rows_as_were_asked_for() -> None:
    rows = made().rows
    assert rows["licences"].num_rows == SIZES.licences
    assert rows["items"].num_rows == SIZES.items
    assert rows["market_cases"].num_rows == SIZES.applications
    assert rows["licence_types"].num_rows == len(KINDS)
    assert Sizes.of(20_000) == Sizes(20_000, 300, 5_000) == Sizes.scaled(1)
    assert Sizes.scaled(50).licences == 1_000_000


@pytest.mark.parametrize("licences", [1_000, 6_000])
@pytest.mark.parametrize("resource", [r for r in RESOURCES if r != "divisions"])
def test_the_contract_sets_aside_exactly_the_rows_that_the_truth_names(resource: str, licences: int) -> None:
    district = made() if licences == SIZES.licences else larger()
    _, aside, rules = split(resource, district.rows[resource])
    assert aside == truth.keys(district.wrong, resource)
    for wrong in district.wrong:
        if wrong.resource == resource:
            assert wrong.rule in rules[wrong.key], wrong


@cache
def larger() -> Generated:
    return generate(Sizes.of(6_000))


@pytest.mark.parametrize("resource", [r for r in RESOURCES if r != "divisions"])
def test_about_one_row_in_a_hundred_is_wrong(resource: str) -> None:
    rows, wrong = larger().rows[resource].num_rows, truth.keys(larger().wrong, resource).total()
    assert wrong == max(1, round(rows / 100))
    assert wrong / rows <= contract(resource).limits.bad


def test_every_way_of_being_wrong_is_there() -> None:
    rules = {w.rule for w in larger().wrong if w.resource == "licences"}
    assert rules == {
        "code.holder_number",
        "code.licence_identifier",
        "code.credit_code",
        "required",
        "type",
        "values",
        "duplicate_key",
        "key_null",
        "max_length",
    }


def test_all_rows_of_a_doubled_key_are_wrong() -> None:
    doubled = Counter(w.key for w in larger().wrong if w.rule == "duplicate_key" and w.resource == "licences")
    assert doubled
    assert set(doubled.values()) == {2}


def test_ugly_rows_are_mended_by_what_the_contract_names() -> None:
    raw = made().rows["licences"]
    numbers = [n for n in raw["CZZTDM"].to_pylist() if n is not None]
    assert any(re.search("[\uff10-\uff19]", n) for n in numbers)
    assert any(n.endswith(" ") for n in numbers)
    assert any(re.fullmatch("[0-9]{17}x", n) for n in numbers)
    assert any(re.fullmatch("[0-9]{15}", n) for n in larger().rows["licences"]["CZZTDM"].to_pylist() if n)
    dates = [d for d in raw["ZZYXQJZSJ"].to_pylist() if d is not None]
    assert "长期" in dates
    assert any("/" in d for d in dates)
    assert good("licences")["valid_to"].null_count == 0
    assert date(9999, 12, 31) in good("licences")["valid_to"].to_pylist()


def test_check_digits_of_good_rows_are_valid() -> None:
    licences, cases = good("licences"), good("market_cases")
    for column, code in (
        (licences["licence_identifier"], "licence_identifier"),
        (licences["issuer_code"], "credit_code"),
        (cases["item_code"], "item_code"),
    ):
        assert pc.all(CODES[code].valid_column(column)).as_py(), code
    for rows, number, kind in (
        (licences, "holder_number", "holder_number_type"),
        (cases, "applicant_number", "applicant_number_type"),
    ):
        for wanted, code in ((CITIZEN, "citizen_id"), (COMPANY, "credit_code")):
            mine = rows[number].filter(pc.equal(rows[kind], wanted))
            assert len(mine) > 0
            assert pc.all(CODES[code].valid_column(mine)).as_py(), code


def test_ids_of_people_born_before_2004_begin_with_440221_and_later_ones_with_440205() -> None:
    rows = good("licences")
    people = set(rows["holder_number"].filter(pc.equal(rows["holder_number_type"], CITIZEN)).to_pylist())
    assert {n[:6] for n in people if int(n[6:10]) < 2004} == {"440221"}
    assert {n[:6] for n in people if int(n[6:10]) >= 2004} == {"440205"}


def test_a_made_id_has_an_order_code_that_is_hardly_ever_given_and_none_is_made_twice() -> None:
    ids, births = digits.citizen_ids(np.random.default_rng(7), 20_000)
    texts = digits.texts(ids).to_pylist()
    assert len(set(texts)) == 20_000
    assert {t[14] for t in texts} == {"9"}
    assert [t[6:14] for t in texts[:50]] == [str(b).replace("-", "") for b in births[:50]]


def test_names_carry_a_mark_that_no_name_has() -> None:
    for resource, column in (("licences", "holder_name"), ("market_cases", "applicant_name")):
        assert all(PERSON_MARK in n or COMPANY_MARK in n for n in good(resource)[column].to_pylist())
    assert all(OFFICER_MARK in n for n in good("market_steps")["officer_name"].to_pylist())
    assert all(p.startswith("120") for p in good("market_cases")["phone"].to_pylist())  # no mobile number begins so


def test_a_case_number_is_its_item_a_day_and_a_serial_number() -> None:
    for row in good("market_cases").to_pylist():
        assert row["case_number"][:31] == row["item_code"]
        datetime.strptime(row["case_number"][31:39], "%Y%m%d").replace(tzinfo=UTC)


def test_open_cases_have_applicants_with_an_accepted_licence_and_some_without_any() -> None:
    district = generate(Sizes.of(20_000))
    cases, licences = (split(r, district.rows[r])[0].to_pylist() for r in ("market_cases", "licences"))
    accepts: dict[str, set[str]] = defaultdict(set)
    for accepted in district.accepted:
        accepts[accepted.item_code].add(accepted.licence_type)
    held: dict[str, set[str]] = defaultdict(set)
    for row in licences:
        if row["state"] == VALID:
            held[row["holder_number"]].add(row["licence_type"])
    still_open = [c for c in cases if c["state"] in OPEN_STATES]
    assert sum(bool(held[c["applicant_number"]] & accepts[c["item_code"]]) for c in still_open) >= 300
    assert sum(not held[c["applicant_number"]] for c in still_open) >= 30
    assert any(not accepts[c["item_code"]] for c in still_open)


def test_materials_accept_types_that_the_store_has() -> None:
    materials = {
        (r["item_code"], r["material_code"]) for r in split("item_materials", made().rows["item_materials"])[0].to_pylist()
    }
    wrong = truth.keys(made().wrong, "item_materials").total()
    assert {a.licence_type for a in made().accepted} <= {kind.code for kind in KINDS.values()}
    assert sum((a.item_code, a.material_code) not in materials for a in made().accepted) <= wrong


def test_no_row_is_younger_than_the_anchor() -> None:
    anchor = datetime(2026, 3, 1, tzinfo=UTC)
    district = generate(Sizes.of(500), anchor=anchor)
    for resource, rows in district.rows.items():
        times: Any = split(resource, rows)[0]["updated_at"]
        assert pc.max(times).as_py() <= anchor, resource


@pytest.mark.parametrize("licences", [0, 99, MOST_LICENCES + 1])
def test_a_size_that_cannot_be_made_is_refused(licences: int) -> None:
    with pytest.raises(RejectedError) as caught:
        Sizes.of(licences)
    assert caught.value.code == "demo.scale"


def test_the_real_division_codes_pass_their_contract() -> None:
    rows = divisions()
    assert rows.num_rows == 665_276
    good_rows, aside, _ = split("divisions", rows)
    assert not aside
    parents = good_rows["parent"].drop_null()
    assert pc.all(pc.is_in(parents, good_rows["code"])).as_py()


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_contract_is_valid_and_survives_being_written(resource: str) -> None:
    of = contract(resource)
    assert of.name == resource
    assert read_contract(write_contract(of)) == of
    assert SYSTEMS[of.system][1] == of.department
    assert of.schedule is not None
    minutes = of.schedule.split()[0]
    assert "*/" not in minutes or int(minutes.rpartition("/")[2]) >= 15


def test_contracts_say_what_is_personal_and_how_the_bound_is_had() -> None:
    licences, cases = contract("licences"), contract("market_cases")
    assert {f.name for f in licences.personal} == {"holder_name", "holder_number"}
    assert {f.name for f in cases.personal} == {"applicant_name", "applicant_number", "phone"}
    assert licences.cursor is not None
    assert licences.cursor.declared_lag_s is not None
    assert cases.cursor is not None
    assert cases.cursor.declared_lag_s is None
    assert licences.licence_role is not None
    assert cases.case_role is not None
    assert cases.case_role.open_states == OPEN_STATES
    assert set(GRANTED) < {f.name for f in licences.fields}


def test_the_truth_is_read_as_it_was_written(tmp_path: Any) -> None:
    path = tmp_path / "truth.parquet"
    truth.write(path, made().wrong)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Counter(truth.read(path)) == Counter(made().wrong)
