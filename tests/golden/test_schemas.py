"""The forms that every part reads, frozen: names, canonical bytes and row hashes, landed columns, a whole contract."""

from __future__ import annotations

import json

from schemas.canonical import canonical_column, hash_sum, row_hashes
from schemas.contract import Field, LogicalType
from schemas.errors import RejectedError
from schemas.landed import key_columns, landed_schema, landed_sql
from schemas.odcs import read_contract, write_contract
from schemas.resource import data_topic, dead_letter_topic, event_topic, resource_name
from schemas.secret import Secret
from tests.golden.golden import assert_golden
from tests.schema_cases import all_types_batch, contract_of, whole_contract

_NAMES = (
    "a",
    "divisions",
    "e_licence",
    "x9",
    "a" * 48,
    "a__b_",
    "a" * 49,
    "",
    "A",
    "9a",
    "_a",
    "a-b",
    "a.b",
    "a b",
    "a\n",
    "é",
    "证照",
    "a/b",
    'a"b',
    "a;drop",
    "ａ",
    "aB",
)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _accepted(text: str) -> bool:
    try:
        return resource_name(text) == text
    except RejectedError:
        return False


def test_the_names_of_resources_and_topics_are_frozen() -> None:
    name = resource_name("divisions")
    topics = [data_topic("440205", name), event_topic("registry"), dead_letter_topic(data_topic("440205", name))]
    assert_golden("schemas/names.json", _json({"accepted": {n: _accepted(n) for n in _NAMES}, "topics": topics}))


def test_canonical_bytes_and_row_hashes_of_all_types_are_frozen() -> None:
    rows = all_types_batch()
    hashes = row_hashes(rows, Secret(b"\x01" * 32))
    said = [
        {"bytes": value.decode(), "hash": hashed.hex()}
        for value, hashed in zip(canonical_column(rows).to_pylist(), hashes.to_pylist(), strict=True)
    ]
    assert_golden("schemas/rows.json", _json({"rows": said, "sum": f"{hash_sum(hashes):032x}"}))


def test_the_landed_columns_of_a_contract_are_frozen() -> None:
    contract = whole_contract()
    clear = contract_of(Field("id", LogicalType.INTEGER, "id", key=1))
    personal_key = contract_of(Field("id", LogicalType.STRING, "id", key=1, personal=True))
    assert_golden(
        "schemas/landed.json",
        _json(
            {
                "everything": {
                    "arrow": [[f.name, str(f.type)] for f in landed_schema(contract)],
                    "sql": landed_sql(contract),
                    "key": key_columns(contract),
                },
                "clear": {"sql": landed_sql(clear), "key": key_columns(clear)},
                "personal key": {"sql": landed_sql(personal_key), "key": key_columns(personal_key)},
            }
        ),
    )


def test_a_whole_contract_as_odcs_is_frozen_and_reads_back() -> None:
    contract = whole_contract()
    text = write_contract(contract)
    assert_golden("schemas/contract.odcs.yaml", text)
    assert read_contract(text) == contract
