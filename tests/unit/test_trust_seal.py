"""Sealing: what is opened is what was sealed, in its own place, or it is not opened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from exchange.bus.api import Received
from exchange.bus.envelope import ARROW, Envelope, envelope_of
from exchange.trust.keyfiles import create_keys, read_keys
from exchange.trust.keyring import KeyRing, MemoryDataKeys
from exchange.trust.seal import broken_rows, open_chunk, open_rows, open_value, proof_hashes, seal_batch, seal_chunk, seal_value
from schemas.batch import CheckedBatch
from schemas.canonical import hash_sum, row_hashes
from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import DefectError
from schemas.landed import landed_schema
from schemas.resource import ResourceName
from schemas.types import contract_schema

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
NUMBER = "44020519900101001X"


def field(name: str, kind: LogicalType = LogicalType.STRING, **more: object) -> Field:
    return Field(name, kind, name.upper(), **more)  # type: ignore[arg-type]


def contract(*fields: Field) -> DataContract:
    return DataContract(ResourceName("licences"), "1.0.0", "t", "d", "s", "src", "t", fields)


LICENCES = contract(
    field("id", key=1),
    field("kind"),
    field("holder_name", personal=True),
    field("holder_number", personal=True, lookup=True),
    field("born", LogicalType.DATE, personal=True),
)


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    create_keys(tmp_path / "keys")
    return KeyRing(read_keys(tmp_path / "keys"), MemoryDataKeys())


def batch(of: DataContract, rows: list[tuple[object, ...]]) -> CheckedBatch:
    schema = contract_schema(of)
    columns = [pa.array([row[i] for row in rows], schema.field(i).type) for i in range(len(schema))]
    return CheckedBatch(of, pa.RecordBatch.from_arrays(columns, schema=schema), NOW)


def licences() -> CheckedBatch:
    return batch(
        LICENCES,
        [
            ("L1", "k", "王\\小\x1f明", NUMBER, date(1990, 1, 1)),
            ("L2", "k", None, None, None),
            ("L3", None, "", "440205199001010028", date(1990, 1, 1)),
        ],
    )


def swapped(rows: pa.RecordBatch, name: str, values: list[object]) -> pa.RecordBatch:
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))


def test_a_sealed_batch_has_the_landed_form_and_no_personal_value(keys: KeyRing) -> None:
    sealed = seal_batch(licences(), keys)
    assert sealed.rows.schema == landed_schema(LICENCES)
    assert sealed.rows.column("_row_hash") == row_hashes(licences().rows, keys.row_hash_key("licences"))
    assert sealed.hash_sum == hash_sum(sealed.rows.column("_row_hash"))
    assert sealed.rows.column("_lookup_holder_number").to_pylist()[1] is None
    raw = b"".join(b for column in sealed.rows.columns for b in map(bytes, filter(None, column.buffers())))
    assert NUMBER.encode() not in raw
    assert "小".encode() not in raw


def test_opened_rows_are_what_was_sealed(keys: KeyRing) -> None:
    rows = seal_batch(licences(), keys).rows.to_pylist()
    opened = open_rows(LICENCES, rows, keys, LICENCES.personal)
    assert opened == [{f.name: row[f.name] for f in LICENCES.personal} for row in licences().rows.to_pylist()]
    assert open_rows(LICENCES, rows, keys, LICENCES.personal[:1])[0] == {"holder_name": "王\\小\x1f明"}


def test_every_logical_type_survives_sealing(keys: KeyRing) -> None:
    values: dict[LogicalType, object] = {
        LogicalType.STRING: "a\\N\x1f文",
        LogicalType.INTEGER: -(2**63),
        LogicalType.NUMBER: Decimal("-0.0000001000"),
        LogicalType.DOUBLE: -0.1,
        LogicalType.BOOLEAN: False,
        LogicalType.DATE: date(9999, 12, 31),
        LogicalType.TIMESTAMP: datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        LogicalType.TIME: time(23, 59, 59, 1),
        LogicalType.BYTES: b"\x00\xff",
    }
    of = contract(field("id", key=1), *(field(f"f_{kind}", kind, personal=True, lookup=True) for kind in values))
    checked = batch(of, [("1", *values.values()), ("2", *(None for _ in values))])
    sealed = seal_batch(checked, keys)
    first, second = open_rows(of, sealed.rows.to_pylist(), keys, of.personal)
    assert list(first.values()) == list(values.values())
    assert set(second.values()) == {None}
    assert proof_hashes(of, sealed.rows, keys) == sealed.rows.column("_row_hash")


def test_a_contract_without_personal_fields_only_gets_its_row_hash(keys: KeyRing) -> None:
    of = contract(field("id", key=1), field("name"))
    sealed = seal_batch(batch(of, [("1", "a"), ("2", None)]), keys)
    assert sealed.rows.schema.names == ["id", "name", "_row_hash"]
    assert proof_hashes(of, sealed.rows, keys) == sealed.rows.column("_row_hash")


def test_a_personal_key_is_replaced_by_its_hash_and_still_binds_the_row(keys: KeyRing) -> None:
    of = contract(field("number", key=1, personal=True), field("seq", LogicalType.INTEGER, key=2), field("name", personal=True))
    sealed = seal_batch(batch(of, [(NUMBER, 1, "a"), (NUMBER, 2, "b")]), keys)
    assert "number" not in sealed.rows.schema.names
    assert [r["name"] for r in open_rows(of, sealed.rows.to_pylist(), keys, of.personal)] == ["a", "b"]
    blobs = sealed.rows.column("_sealed").to_pylist()
    proof = proof_hashes(of, swapped(sealed.rows, "_sealed", blobs[::-1]), keys)
    assert proof.to_pylist() == [None, None]
    names = [row.key for row in broken_rows(of, sealed.rows, proof, keys)]
    assert len(set(names)) == 2
    assert all(len(name) == 32 for name in names)


def test_an_empty_batch_is_sealed(keys: KeyRing) -> None:
    sealed = seal_batch(batch(LICENCES, []), keys)
    assert (sealed.rows.num_rows, sealed.hash_sum) == (0, 0)
    assert len(proof_hashes(LICENCES, sealed.rows, keys)) == 0


def test_the_proof_recomputes_every_row_hash_and_an_altered_clear_value_differs(keys: KeyRing) -> None:
    rows = seal_batch(licences(), keys).rows
    assert proof_hashes(LICENCES, rows, keys) == rows.column("_row_hash")
    assert proof_hashes(LICENCES, rows.slice(1, 2), keys) == rows.column("_row_hash").slice(1, 2)
    altered = proof_hashes(LICENCES, swapped(rows, "kind", ["k", "K", None]), keys).to_pylist()
    stored = rows.column("_row_hash").to_pylist()
    assert [a == b for a, b in zip(altered, stored, strict=True)] == [True, False, True]


@pytest.mark.parametrize("place", [0, 1, 12, 13, -17, -1])
def test_one_altered_byte_of_a_sealed_row_is_found_and_its_row_named(keys: KeyRing, place: int) -> None:
    rows = seal_batch(licences(), keys).rows
    blobs = rows.column("_sealed").to_pylist()
    damaged = bytearray(blobs[2])
    damaged[place] ^= 1
    altered = swapped(rows, "_sealed", [*blobs[:2], bytes(damaged)])
    proof = proof_hashes(LICENCES, altered, keys)
    assert [row.position for row in broken_rows(LICENCES, altered, proof, keys)] == [2]
    assert broken_rows(LICENCES, altered, proof, keys)[0].key == "L3"
    with pytest.raises(DefectError) as caught:
        open_rows(LICENCES, altered.to_pylist(), keys, LICENCES.personal)
    assert (caught.value.code, caught.value.where) == ("seal.broken", "licences row 2")
    assert NUMBER not in f"{caught.value!r}{caught.value}"


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("id", ["L1", "L2", "L4"]),
        ("_key_id", ["licences/2026-11/1", "licences/2026-11/1", "licences/2026-10/1"]),
        ("_key_id", ["licences/2026-11/1", "licences/2026-11/1", "x"]),
        ("_key_id", ["licences/2026-11/1", "licences/2026-11/1", None]),
        ("_sealed", None),
        ("_lookup_holder_number", None),
    ],
)
def test_what_stands_in_another_place_does_not_open(keys: KeyRing, column: str, values: list[object] | None) -> None:
    rows = seal_batch(licences(), keys).rows
    if values is None:  # the first row's, in the place of the third's
        kept = rows.column(column).to_pylist()
        values = [kept[0], kept[1], kept[0]]
    altered = swapped(rows, column, values)
    assert [row.position for row in broken_rows(LICENCES, altered, proof_hashes(LICENCES, altered, keys), keys)] == [2]


def test_a_row_of_another_resource_does_not_open(keys: KeyRing) -> None:
    rows = seal_batch(licences(), keys).rows.to_pylist()
    with pytest.raises(DefectError) as caught:
        open_rows(replace(LICENCES, name=ResourceName("cases")), rows, keys, LICENCES.personal)
    assert caught.value.code == "seal.broken"


def test_a_value_opens_in_its_own_place_only(keys: KeyRing) -> None:
    sealed = seal_value(b"row", "licences", "quarantine q1", keys, NOW)
    assert open_value(sealed.blob, sealed.key_id, "licences", "quarantine q1", keys) == b"row"
    damaged = sealed.blob[:-1] + bytes([sealed.blob[-1] ^ 1])
    for blob, key_id, resource, place in (
        (sealed.blob, sealed.key_id, "licences", "quarantine q2"),
        (sealed.blob, sealed.key_id, "cases", "quarantine q1"),
        (sealed.blob, "licences/2026-10/1", "licences", "quarantine q1"),
        (damaged, sealed.key_id, "licences", "quarantine q1"),
        (sealed.blob[:20], sealed.key_id, "licences", "quarantine q1"),
        (b"", sealed.key_id, "licences", "quarantine q1"),
    ):
        with pytest.raises(DefectError) as caught:
            open_value(blob, key_id, resource, place, keys)
        assert caught.value.code == "seal.broken"
        assert place in str(caught.value.where)


ATTRIBUTES = {
    "id": "r1/0/1/0",
    "source": "/onedoor/440205",
    "specversion": "1.0",
    "type": "onedoor.rows",
    "datacontenttype": ARROW,
    "resource": "licences",
    "runid": "r1",
    "rows": "3",
}


def test_a_chunk_comes_back_over_the_bus(keys: KeyRing) -> None:
    envelope = seal_chunk(ATTRIBUTES, b"content" * 1000, keys, NOW)
    assert envelope.attributes["sealedtype"] == ARROW
    assert b"content" not in envelope.data
    message = envelope.message("t", 0, None)
    back = envelope_of(Received("t", 0, 7, None, message.headers, message.value))
    assert open_chunk(back, keys, "t[0]@7") == b"content" * 1000


def test_one_altered_byte_of_a_chunk_or_of_any_header_is_found_and_its_place_named(keys: KeyRing) -> None:
    envelope = seal_chunk(ATTRIBUTES, b"content", keys, NOW)
    altered = [
        Envelope(envelope.attributes, bytes([*envelope.data[:i], envelope.data[i] ^ 1, *envelope.data[i + 1 :]]))
        for i in range(len(envelope.data))
    ]
    altered.append(Envelope(envelope.attributes, b""))
    for name, value in envelope.attributes.items():
        changed = value[:-1] + ("0" if value[-1] != "0" else "1")
        altered.append(Envelope({**envelope.attributes, name: changed}, envelope.data))
        altered.append(Envelope({k: v for k, v in envelope.attributes.items() if k != name}, envelope.data))
    altered.append(Envelope({**envelope.attributes, "operation": "delete"}, envelope.data))
    for one in altered:
        with pytest.raises(DefectError) as caught:
            open_chunk(one, keys, "t[0]@7")
        assert (caught.value.code, caught.value.where) == ("seal.broken", "t[0]@7")
