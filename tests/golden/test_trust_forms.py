"""The bytes of sealed rows, sealed chunks, ledger records and checkpoints. Whoever changes them, changes what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.bus.envelope import ARROW, Envelope
from exchange.trust.checkpoint import NO_PREVIOUS, Advance, checkpoint_body, published_bytes, sign_checkpoint
from exchange.trust.keyfiles import KeyFiles
from exchange.trust.keyring import KeyRing, MemoryDataKeys
from exchange.trust.merkle import merkle_root
from exchange.trust.record import GENESIS, LedgerRecord, lines_after, start_record
from exchange.trust.seal import open_chunk, proof_hashes, seal_batch, seal_chunk, seal_value
from schemas.batch import CheckedBatch
from schemas.contract import DataContract, Field, LogicalType
from schemas.resource import ResourceName
from schemas.secret import Secret
from schemas.types import contract_schema
from tests.golden.golden import FOLDER, assert_golden

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
CONTRACT = DataContract(
    ResourceName("licences"),
    "1.0.0",
    "t",
    "d",
    "s",
    "src",
    "t",
    (
        Field("id", LogicalType.STRING, "ID", key=1),
        Field("copies", LogicalType.INTEGER, "COPIES"),
        Field("holder_name", LogicalType.STRING, "N", personal=True),
        Field("holder_number", LogicalType.STRING, "H", personal=True, lookup=True),
        Field("born", LogicalType.DATE, "B", personal=True),
    ),
)


def counting() -> Callable[[int], bytes]:
    """Bytes that count up, in the place of chance."""
    state = iter(range(1 << 30))
    return lambda count: bytes(next(state) % 256 for _ in range(count))


def ring() -> KeyRing:
    names = ("master", "row_hash", "lookup", "pseudonym", "content_hash")
    symmetric = {name: Secret(bytes([i + 1]) * 32) for i, name in enumerate(names)}
    signing = {name: Ed25519PrivateKey.from_private_bytes(bytes([i + 101]) * 32) for i, name in enumerate(("ledger", "token"))}
    return KeyRing(KeyFiles(symmetric, signing, Path("keys")), MemoryDataKeys(), random=counting())


def rows() -> CheckedBatch:
    values: list[list[Any]] = [
        ["L1", "L2"],
        [1, None],
        ["王小明", None],
        ["44020519900101001x", None],
        [date(1990, 1, 1), None],
    ]
    schema = contract_schema(CONTRACT)
    columns = [pa.array(column, schema.field(i).type) for i, column in enumerate(values)]
    return CheckedBatch(CONTRACT, pa.RecordBatch.from_arrays(columns, schema=schema), NOW)


def shown(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def sealed_rows() -> dict[str, Any]:
    sealed = seal_batch(rows(), ring(), random=counting())
    return {
        "rows": [{k: shown(v) for k, v in row.items()} for row in sealed.rows.to_pylist()],
        "hash_sum": f"{sealed.hash_sum:032x}",
    }


def sealed_chunk() -> dict[str, Any]:
    attributes = {"id": "r1/0/1/0", "source": "/onedoor/440205", "specversion": "1.0", "type": "onedoor.rows"}
    attributes |= {"datacontenttype": ARROW, "resource": "licences", "runid": "r1", "rows": "2"}
    envelope = seal_chunk(attributes, b"content", ring(), NOW, random=counting())
    value = seal_value(b"row", "licences", "quarantine q1", ring(), NOW, random=counting())
    return {"attributes": dict(envelope.attributes), "data": envelope.data.hex(), "value": [value.key_id, value.blob.hex()]}


def hashes() -> dict[str, Any]:
    keys = ring()
    return {
        "lookup": keys.lookup_hash("licences", "holder_number", "44020519900101001x").hex(),
        "pseudonym": keys.pseudonym("44020519900101001x"),
        "content": keys.content_hash(b"content"),
    }


def ledger() -> dict[str, Any]:
    record = LedgerRecord(
        kind="licence.lookup",
        outcome="allowed",
        principal="p1",
        department="hall",
        system="intake",
        operator="o7",
        resource="licences",
        grant="g1",
        item="i1",
        case="n1",
        purpose="accept_case",
        holder=ring().pseudonym("44020519900101001x"),
        rows=("L1",),
        reason='曲江 "\\\n',
        request="q1",
    )
    summed = LedgerRecord(
        kind="licence.lookup", outcome="refused", reason="no_grant", count=3, manifest={"run": "r1", "rows": 2}
    )
    records = [start_record((4, bytes(range(32)))), record, summed]
    lines = lines_after(GENESIS, records, chain="w1", n=0, at=NOW, salts=bytes(range(48)))
    root = merkle_root([NO_PREVIOUS, *(line.hash for line in lines)])
    body = checkpoint_body(1, NOW, NO_PREVIOUS, [Advance("w1", 0, 2, lines[-1].hash)], root)
    return {
        "lines": [[line.record.decode(), line.hash.hex()] for line in lines],
        "checkpoint": published_bytes(sign_checkpoint(body, ring())).decode(),
    }


def frozen(name: str, value: object) -> None:
    assert_golden(f"trust/{name}.json", json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def test_the_sealed_row_is_frozen() -> None:
    frozen("sealed_rows", sealed_rows())


def test_the_sealed_chunk_and_value_are_frozen() -> None:
    frozen("sealed_chunk", sealed_chunk())


def test_the_keyed_hashes_are_frozen() -> None:
    frozen("hashes", hashes())


def test_the_ledger_record_its_hash_and_the_checkpoint_are_frozen() -> None:
    frozen("ledger", ledger())


def test_what_was_sealed_before_still_opens() -> None:
    keys = ring()
    keys.data_key("licences", NOW)
    chunk = json.loads((FOLDER / "trust/sealed_chunk.json").read_text("utf-8"))
    assert open_chunk(Envelope(chunk["attributes"], bytes.fromhex(chunk["data"])), keys) == b"content"
    sealed = seal_batch(rows(), keys, random=counting()).rows
    assert proof_hashes(CONTRACT, sealed, keys) == sealed.column("_row_hash")


def test_the_merkle_tree_is_that_of_rfc_9162() -> None:
    # the leaves and roots that implementations of RFC 6962, whose tree hash is the same, test with
    leaves = [
        bytes.fromhex(h)
        for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
    ]
    assert merkle_root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle_root(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle_root(leaves[:3]).hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    assert merkle_root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
