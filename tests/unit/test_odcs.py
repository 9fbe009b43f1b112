from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.contract import DataContract, LogicalType, Normalise, Reference
from schemas.errors import Fault, RejectedError
from schemas.odcs import read_contract, write_contract, yaml_text
from schemas.resource import ResourceName
from schemas.yaml_lines import read_lines
from tests.schema_cases import whole_contract

OTHER = "property: other.thing, value: {deep: [1, {x: null}]}"

TEXT = """\
apiVersion: v3.1.0
kind: DataContract
id: things
version: "1.0"
tenant: 曲江区
price: {priceAmount: 0, priceCurrency: CNY}
team:
  name: 信息中心
  members:
    - {username: zhang, role: owner}
support:
  - {channel: desk, url: "https://example.test"}
schema:
  - name: things
    physicalName: T_THINGS
    tags: [a, b]
    properties:
      - name: id
        logicalType: integer
        primaryKey: true
        examples: [1, 2]
      - name: holder
        physicalName: SQRXM
        logicalType: string
        classification: personal
      - name: changed_at
        logicalType: timestamp
        required: true
        logicalTypeOptions: {minimum: "2020-01-01T08:00:00+08:00"}
        quality:
          - {type: text, description: somebody looks at it}
      - name: parent
        logicalType: integer
        relationships:
          - {to: things.id}
        customProperties:
          - {property: other.thing, value: {deep: [1, {x: null}]}}
slaProperties:
  - {property: latency, value: 4, unit: h}
  - {property: frequency, value: 15, unit: min, scheduler: cron, schedule: "*/15 * * * *"}
customProperties:
  - {property: onedoor.department, value: d}
  - {property: onedoor.system, value: s}
  - {property: onedoor.source, value: src}
  - {property: onedoor.cursor, value: {field: changed_at}}
"""


def errors_of(text: str) -> list[str]:
    with pytest.raises(RejectedError) as caught:
        read_contract(text, where="t.odcs.yaml")
    assert caught.value.code == "contract.invalid"
    assert caught.value.where == "t.odcs.yaml"
    assert caught.value.fault is Fault.PROVIDER
    return caught.value.message.split("\n")


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.split("\n"), 1) if part in line)


def test_a_contract_is_read_with_its_fields_and_terms() -> None:
    contract = read_contract(TEXT)
    assert (contract.name, contract.table, contract.version) == ("things", "T_THINGS", "1.0")
    assert [f.name for f in contract.key] == ["id"]
    assert [f.source_name for f in contract.personal] == ["SQRXM"]
    assert contract.field("changed_at").minimum == "2020-01-01 00:00:00.000000Z"
    assert contract.field("parent").references == Reference(ResourceName("things"), "id")
    assert contract.schedule == "*/15 * * * *"
    assert contract.cursor is not None
    assert contract.cursor.overlap_s == 60


def test_writing_what_was_read_changes_nothing_and_keeps_unknown_parts() -> None:
    contract = read_contract(TEXT)
    again = write_contract(contract)
    assert yaml.safe_load(again) == yaml.safe_load(TEXT)
    assert read_contract(again) == contract
    assert write_contract(read_contract(again)) == again


def test_a_changed_contract_is_written_with_the_change_and_the_rest_as_it_was() -> None:
    contract = read_contract(TEXT)
    holder = replace(contract.field("holder"), lookup=True, normalise=(Normalise.TRIM,), max_length=40)
    changed = replace(
        contract,
        version="2.0",
        fields=(contract.fields[0], holder, *contract.fields[2:3]),
        schedule="0 3 * * *",
        cursor=replace(contract.cursor, declared_lag_s=5) if contract.cursor else None,
        partitions=3,
    )
    text = write_contract(changed)
    assert read_contract(text) == changed
    document = yaml.safe_load(text)
    assert document["team"]["members"] == [{"username": "zhang", "role": "owner"}]
    assert document["slaProperties"][0] == {"property": "latency", "value": 4, "unit": "h"}
    assert document["schema"][0]["properties"][0]["examples"] == [1, 2]


def test_terms_taken_away_are_gone_from_the_text() -> None:
    contract = whole_contract()
    full = read_contract(write_contract(contract))
    bare = replace(
        full,
        cursor=None,
        case_role=None,
        licence_role=None,
        schedule=None,
        partitions=1,
        fields=tuple(
            replace(
                f, code=None, normalise=(), values=(), lookup=False, minimum=None, maximum=None, references=None, pattern=None
            )
            for f in full.fields
        ),
    )
    text = write_contract(bare)
    assert read_contract(text) == bare
    for word in ("onedoor.code", "onedoor.role", "onedoor.cursor", "validValues", "schedule", "relationships", "minimum"):
        assert word not in text


@pytest.mark.parametrize("path", sorted(Path(str(files("schemas"))).glob("contracts/*.yaml")), ids=lambda p: p.name)
def test_built_in_contracts_are_sound_and_survive_the_round_trip(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    contract = read_contract(text, where=path.name)
    assert yaml.safe_load(write_contract(contract)) == yaml.safe_load(text)


def test_the_division_contract_says_what_the_codes_are() -> None:
    contract = read_contract(files("schemas").joinpath("contracts/divisions.odcs.yaml").read_text(encoding="utf-8"))
    assert [f.name for f in contract.fields] == ["code", "name", "level", "parent"]
    assert [f.name for f in contract.key] == ["code"]
    assert contract.field("code").code == "division_code"
    assert contract.field("parent").references == Reference(ResourceName("divisions"), "code")
    assert (contract.field("level").minimum, contract.field("level").maximum) == ("1", "5")
    assert contract.department == "centre"
    assert not contract.personal
    assert contract.schedule is not None


WRONG = [
    ("apiVersion: v3.1.0", "apiVersion: v2.2.2", "apiVersion must be v3.1.0"),
    ("kind: DataContract", "kind: DataProduct", "kind must be DataContract"),
    ('version: "1.0"', "version: 1.0", "version must be text"),
    ("  - name: things", "  - name: Things", "is no name of a resource"),
    ("      - name: id", "      - name: Id", "is no name of a field"),
    ("      - name: id", "      - name: xmin", "the database keeps for itself"),
    ("      - name: parent", "      - name: id", "'id' stands twice"),
    ("        logicalType: timestamp", "        logicalType: datetime", "logicalType 'datetime' is unknown"),
    ("        logicalType: timestamp", "        logicalType: array", "logicalType 'array' is unknown"),
    ("        primaryKey: true", "        primaryKey: false", "no field has primaryKey: true"),
    ("        primaryKey: true", "        primaryKey: true\n        primaryKeyPosition: 2", "positions must be 1 to 1"),
    ("        primaryKey: true", "        required: maybe", "required must be true or false"),
    ("        classification: personal", "        classification: Personal", "classification must be one of"),
    ("        classification: personal", "        clasification: personal", "'clasification' is no key of the standard"),
    ("        classification: personal", "        enum: [{value: a}]", "enum is not of v3.1"),
    ("{to: things.id}", "{to: things.ident}", "which the schema does not have"),
    ("{to: things.id}", "{to: things}", "a parent is named resource.field"),
    ("{to: things.id}", "{to: things.holder}", "refers to the personal field holder"),
    ("{to: things.id}", "{to: things.changed_at}", "its parent changed_at a timestamp"),
    ('"*/15 * * * *"', '"*/15 * * *"', "five fields"),
    ('"*/15 * * * *"', '"0 25 * * *"', "hour of the schedule"),
    ("property: latency, value: 4, unit: h", 'property: x, value: 4, schedule: "0 1 * * *"', "two schedules"),
    ("value: {field: changed_at}", "value: {field: changed}", "which the schema does not have"),
    ("value: {field: changed_at}", "value: {field: holder}", "a cursor must be clear"),
    ("value: {field: changed_at}", "value: {field: parent}", "field parent is not required"),
    ("value: {field: changed_at}", "value: {field: changed_at, lag: 3}", "'lag' is unknown in onedoor.cursor"),
    ("value: {field: changed_at}", "value: {field: changed_at, overlap_s: -1}", "overlap_s must be a whole number"),
    ("onedoor.department, value: d", "onedoor.departement, value: d", "onedoor.departement is no term of this place"),
    ("onedoor.department, value: d", "onedoor.system, value: d", "onedoor.system stands twice"),
    ("onedoor.department, value: d", "onedoor.department, value: 7", "onedoor.department must be text"),
    ("property: onedoor.cursor, value: {field: changed_at}", "property: onedoor.limits, value: {bad: 5}", "share from 0 to 1"),
    ("property: onedoor.cursor, value: {field: changed_at}", "property: onedoor.partitions, value: 0", "from 1 to 64"),
    (OTHER, "property: onedoor.code, value: citizen", "code rule 'citizen' is"),
    (OTHER, "property: onedoor.code, value: citizen_id", "a code rule is for text"),
    (OTHER, "property: onedoor.normalise, value: [tidy]", "'tidy' is unknown"),
    (OTHER, "property: onedoor.normalise, value: [id_18]", "id_18 is for text"),
    (OTHER, "property: onedoor.normalise, value: [forever]", "is for dates"),
    (OTHER, "property: onedoor.normalise, value: [upper, lower]", "exclude"),
    (OTHER, "property: onedoor.lookup, value: true", "is for personal fields"),
    (OTHER, "property: onedoor.scale, value: 2", "is for exact numbers"),
    (OTHER, "property: onedoor.confirm, value: true", "waits for a person"),
    ("minimum: \"2020-01-01T08:00:00+08:00\"", "minimum: yesterday", "minimum is no timestamp"),
    ("minimum: \"2020-01-01T08:00:00+08:00\"", "maxLength: 4", "maxLength is for text and bytes"),
    ("minimum: \"2020-01-01T08:00:00+08:00\"", "defaultTimezone: Etc/UTC", "no other defaultTimezone"),
    ("- {username: zhang, role: owner}", "- {role: owner}", "username is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "said"), WRONG, ids=lambda text: str(text)[:40])
def test_an_error_is_told_with_the_line_where_it_stands(right: str, wrong: str, said: str) -> None:
    assert TEXT.count(right) == 1
    text = TEXT.replace(right, wrong)
    found = [e for e in errors_of(text) if said in e]
    assert found, errors_of(text)
    line = int(found[0].split(":")[0].removeprefix("line "))
    near = next(i for i, (a, b) in enumerate(zip(TEXT.split("\n"), text.split("\n"), strict=False), 1) if a != b)
    assert abs(line - near) <= 4 or "no field has primaryKey" in said or "is missing" in said


OPTIONS = [
    ("string", "{pattern: '['}", "pattern is no regular expression"),
    ("string", "{pattern: '(?=a)'}", "pattern is no regular expression"),
    ("string", "{minLength: 5, maxLength: 2}", "minLength is above maxLength"),
    ("string", "{maxLength: -1}", "maxLength must be a whole number"),
    ("string", "{minimum: 1}", "minimum is for numbers and times"),
    ("integer", "{minimum: 1.5}", "minimum is no integer"),
    ("integer", "{minimum: 5, maximum: 4}", "minimum is above maximum"),
    ("integer", "{minimum: 10, maximum: 9}", "minimum is above maximum"),
    ("integer", "{exclusiveMaximum: 4}", "exclusiveMaximum is not checked"),
    ("number", "{maximum: '4'}", "maximum is no number"),
    ("date", "{minimum: 2020-02-30}", "minimum is no date"),
    ("time", "{minimum: '25:00'}", "minimum is no time"),
    ("boolean", "{minimum: true}", "minimum is for numbers and times"),
]


@pytest.mark.parametrize(("kind", "options", "said"), OPTIONS)
def test_an_option_that_cannot_hold_is_an_error(kind: str, options: str, said: str) -> None:
    text = TEXT.replace(
        "      - name: parent\n",
        f"      - name: more\n        logicalType: {kind}\n        logicalTypeOptions: {options}\n      - name: parent\n",
    )
    found = [e for e in errors_of(text) if said in e]
    assert found, errors_of(text)
    assert found[0].startswith(f"line {line_of(text, options)}: ")


def test_every_error_is_told_at_once() -> None:
    text = (
        TEXT.replace("v3.1.0", "v3.0.0")
        .replace("logicalType: timestamp", "logicalType: moment")
        .replace("value: src", "value: 3")
    )
    said = errors_of(text)
    assert len(said) == 4  # the cursor is no clear timestamp any more
    assert all(e.startswith("line ") for e in said)
    assert said == sorted(said, key=lambda e: int(e.split(":")[0][5:]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the document is empty"),
        ("a: [1", "not YAML"),
        ("just text", "a contract is a mapping"),
        ("- 1\n- 2\n", "a contract is a mapping"),
        ("a: 1\na: 2\n", "line 2: the key 'a' stands twice"),
        ("a: &x [1]\nb:\n  <<: *x\n", "line 3: a key must be plain text"),
        ("a: &x\n  b: *x\n", "contains itself"),
        ("a: !!python/object:os.system x\n", "cannot be read"),
        ("\x00", "not YAML"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        ("x" * 2_000_001, "longer than"),
    ],
)
def test_what_is_no_contract_at_all_is_refused_in_one_line(text: str, said: str) -> None:
    assert any(said in e for e in errors_of(text)), errors_of(text)


def test_aliases_that_grow_without_end_are_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
    )
    assert any("too large" in e for e in errors_of(bomb))


def test_role_mappings_must_name_fields_that_the_hub_can_read() -> None:
    text = TEXT + (
        "  - property: onedoor.role\n    value:\n      case: {case_number: id, item_code: nothing, holder_type: holder, "
        "holder_number: holder, state: id, open_states: []}\n      licence: {licence_type: id}\n      other: {}\n"
    )
    said = "\n".join(errors_of(text))
    for part in (
        "item_code names field 'nothing'",
        "holder_type names the personal field holder",
        "holder, which needs onedoor.lookup",
        "open_states must be a list",
        "valid_from is missing",
        "'other' is unknown in onedoor.role",
    ):
        assert part in said


def test_decimals_doubles_and_bytes_follow_the_physical_type_or_the_format() -> None:
    def kind_of(*lines: str) -> LogicalType:
        more = "".join(f"        {line}\n" for line in lines)
        return (
            read_contract(TEXT.replace("      - name: parent\n", f"      - name: more\n{more}      - name: parent\n"))
            .fields[3]
            .logical_type
        )

    assert kind_of("logicalType: number", "physicalType: numeric(5,2)") is LogicalType.NUMBER
    assert kind_of("logicalType: number", "physicalType: double precision") is LogicalType.DOUBLE
    assert kind_of("logicalType: number", "logicalTypeOptions: {format: f64}") is LogicalType.DOUBLE
    assert kind_of("logicalType: string", "physicalType: varbinary(20)") is LogicalType.BYTES
    assert kind_of("logicalType: string", "logicalTypeOptions: {format: binary}") is LogicalType.BYTES
    assert kind_of("logicalType: string", "physicalType: varchar(20)") is LogicalType.STRING


def test_the_error_never_runs_without_a_line_even_for_deep_parts() -> None:
    lined = read_lines("a:\n  b:\n    - c: 1\n    - d: 2\n")
    assert lined.value == {"a": {"b": [{"c": 1}, {"d": 2}]}}
    assert lined.line(("a", "b", 1, "d")) == 4
    assert lined.line(("a", "b", 1, "missing", "deeper")) == 4


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcyno10e", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), plain_values, min_size=1, max_size=4))
def test_any_plain_values_survive_writing_and_reading(document: dict[str, object]) -> None:
    text = yaml_text(document)
    lined = read_lines(text)
    assert not lined.problems
    assert lined.value == document
    assert yaml.safe_load(text) == document


def test_the_whole_contract_round_trips_with_and_without_its_document() -> None:
    contract: DataContract = whole_contract()
    read = read_contract(write_contract(contract))
    assert read == contract
    assert read_contract(write_contract(read)).document == read.document
