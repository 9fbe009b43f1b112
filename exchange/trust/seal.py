"""Sealing: personal fields per row, single values, and whole chunks, with AES-256-GCM. Frozen by ``tests/golden``.

Every sealed thing is ``version 1 | 12-byte nonce | ciphertext and tag``. What it belongs to is authenticated with it, so that
a blob moved to another row, resource, key or message does not open:

=======  =========================================================================================================
row      resource U+001F canonical bytes of the landed primary key (keyed hashes as hex) U+001F key id
value    U+001F ``value`` U+001F resource U+001F the place it belongs to U+001F key id
chunk    canonical JSON of all attributes of its envelope except ``contenthash``
=======  =========================================================================================================

Nonces are random; a data key lives a month, far below the 2**32 seals that random nonces allow.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.exceptions import InvalidTag

from exchange.bus.envelope import SEALED, Envelope
from exchange.trust.keyring import NONCE_BYTES, DataKey, KeyRing
from exchange.trust.plain import Value, value_of
from schemas.batch import CheckedBatch, SealedBatch
from schemas.canonical import NULL, SEPARATOR, canonical_column, canonical_key, hash_column, hash_sum, row_hashes, text_column
from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import DefectError
from schemas.landed import key_columns, landed_schema, lookup_column, lookup_fields
from schemas.types import arrow_type

VERSION: Final = b"\x01"
_HEAD: Final = len(VERSION) + NONCE_BYTES
_UNIT: Final = SEPARATOR.encode()

NonceSource = Callable[[int], bytes]
"""Gives so many random bytes."""


# Rows -------------------------------------------------------------------------------------------------------------------


def seal_batch(batch: CheckedBatch, keys: KeyRing, *, random: NonceSource = os.urandom) -> SealedBatch:
    """Return a batch in the form it lands in: personal fields in one sealed blob a row, keyed hashes beside it.

    The data key is that of the month of ``batch.as_of``. A contract without personal fields pays for the row hash only.
    """
    contract, rows = batch.contract, batch.rows
    hashes = row_hashes(rows, keys.row_hash_key(contract.name))
    columns: dict[str, pa.Array] = {f.name: rows.column(f.name) for f in contract.clear}
    for f in lookup_fields(contract):
        columns[lookup_column(f)] = keys.lookup_column(contract.name, f.name, rows.column(f.name))
    if contract.personal:
        key = keys.data_key(contract.name, batch.as_of)
        plain = canonical_column(rows.select([f.name for f in contract.personal]))
        bound = _bindings(contract, columns, key.id, rows.num_rows)
        columns["_sealed"] = _seal_column(plain, bound, key, random)
        columns["_key_id"] = pa.repeat(pa.scalar(key.id, pa.string()), rows.num_rows)
    columns["_row_hash"] = hashes
    schema = landed_schema(contract)
    landed = pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)
    return SealedBatch(contract, landed, batch.as_of, hash_sum(hashes))


def open_rows(
    contract: DataContract, rows: Sequence[Mapping[str, object]], keys: KeyRing, fields: Sequence[Field]
) -> list[dict[str, Value]]:
    """Return the values of personal ``fields`` of each stored row, in row order. For ``release`` only.

    Args:
        contract: the contract the rows landed under.
        rows: with the landed key's columns, ``_sealed`` and ``_key_id``.
        keys: the key ring.
        fields: the personal fields wanted; the others are not decoded.

    Raises:
        DefectError: a blob does not open (``seal.broken``); resource and position are named, no value is.
    """
    opener = RowOpener(contract, fields)
    return [opener.open(row, keys, position) for position, row in enumerate(rows)]


class RowOpener:
    """Opens the same fields of one row after another; what the contract says is worked out once. For ``release`` only."""

    __slots__ = ("_head", "_key", "_name", "_places", "_width")

    def __init__(self, contract: DataContract, fields: Sequence[Field]) -> None:
        """Take the personal ``fields`` that are wanted; the others are not decoded."""
        personal = contract.personal
        self._name = contract.name
        self._head = contract.name.encode()
        self._key = tuple(zip(contract.key, key_columns(contract), strict=True))
        self._places = tuple((i, f.name, f.logical_type) for i, f in enumerate(personal) if f in fields)
        self._width = len(personal)

    def open(self, row: Mapping[str, object], keys: KeyRing, position: int) -> dict[str, Value]:
        """Return the values of a stored row. Raises ``DefectError`` ``seal.broken`` naming its ``position``."""
        blob, key_id = row["_sealed"], row["_key_id"]
        where = f"{self._name} row {position}"
        if not isinstance(blob, bytes) or not isinstance(key_id, str):
            raise broken("a row without its sealed part", where)
        key_texts = [_key_text(f, row[name]) for f, name in self._key]
        bound = _UNIT.join((self._head, canonical_key(key_texts), key_id.encode()))
        texts = _open(blob, bound, _key(keys, key_id, where), where).decode().split(SEPARATOR)
        if len(texts) != self._width:
            raise broken("a sealed row that holds another number of fields than the contract", where)
        return {name: value_of(kind, texts[i]) for i, name, kind in self._places}


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A landed row whose sealed part is broken: its place in the batch, and its key as canonical text or pseudonym."""

    position: int
    key: str


def proof_hashes(contract: DataContract, landed: pa.RecordBatch, keys: KeyRing) -> pa.Array:
    """Return the row hashes recomputed from landed rows (Arrow binary, in row order); no personal value leaves.

    A row whose sealed part does not open, or whose keyed hash is not that of its sealed value, has a null, which differs from
    every stored hash; ``broken_rows`` names it.

    Args:
        contract: the contract the rows landed under.
        landed: at least the columns of ``landed.landed_schema(contract)`` less ``_row_hash``, in any order.
    """
    count = landed.num_rows
    texts = {f.name: text_column(landed.column(f.name)) for f in contract.clear}
    intact: pa.Array | None = None
    if contract.personal:
        plain = _open_column(contract, landed, keys)
        intact = plain.is_valid()
        empty = SEPARATOR.join([NULL] * len(contract.personal))
        parts = pc.split_pattern(pc.fill_null(plain, empty), SEPARATOR).flatten()
        width = len(contract.personal)
        for i, f in enumerate(contract.personal):
            texts[f.name] = parts.take(pa.array(np.arange(i, count * width, width)))
        for f in lookup_fields(contract):
            intact = pc.and_(intact, _lookup_agrees(landed.column(lookup_column(f)), texts[f.name], contract, f, keys))
    joined = pc.binary_join_element_wise(
        *(texts[f.name] for f in contract.fields), SEPARATOR, null_handling="replace", null_replacement=NULL
    )
    hashes = hash_column(joined.cast(pa.binary()), keys.row_hash_key(contract.name))
    return hashes if intact is None else pc.if_else(intact, hashes, pa.scalar(None, pa.binary()))


def broken_rows(contract: DataContract, landed: pa.RecordBatch, hashes: pa.Array, keys: KeyRing) -> tuple[BrokenRow, ...]:
    """Return the rows that ``proof_hashes`` could not open."""
    if hashes.null_count == 0:
        return ()
    positions = np.flatnonzero(np.asarray(hashes.is_null())).tolist()
    names = row_names(contract, landed.take(pa.array(positions, pa.int64())), keys)
    return tuple(BrokenRow(position, name) for position, name in zip(positions, names, strict=True))


def row_names(contract: DataContract, landed: pa.RecordBatch, keys: KeyRing) -> list[str]:
    """Return how reports name each row: its key's canonical text, or a pseudonym where a part of the key is personal."""
    texts = _key_column(contract, {name: landed.column(name) for name in key_columns(contract)}, landed.num_rows).to_pylist()
    if not any(f.personal for f in contract.key):
        return [text.decode() for text in texts]
    return [keys.pseudonym(f"{contract.name}{SEPARATOR}{text.decode()}") for text in texts]


# Single values ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SealedValue:
    """A sealed value and the id of its key."""

    blob: bytes = field(repr=False)
    key_id: str


def seal_value(
    data: bytes, resource: str, place: str, keys: KeyRing, now: datetime, *, random: NonceSource = os.urandom
) -> SealedValue:
    """Seal bytes that are no landed row, such as a quarantined row or a sample.

    Args:
        data: what to seal.
        resource: whose data key to use.
        place: what the value belongs to, such as the quarantine's id; it opens with the same place only.
        keys: the key ring.
        now: the instant, for the month of the data key.
    """
    key = keys.data_key(resource, now)
    return SealedValue(_seal(data, _value_binding(resource, place, key.id), key, random), key.id)


def open_value(blob: bytes, key_id: str, resource: str, place: str, keys: KeyRing) -> bytes:
    """Return what ``seal_value`` sealed. Raises ``DefectError`` ``seal.broken`` naming ``place`` where anything differs."""
    where = f"{resource} {place}"
    return _open(blob, _value_binding(resource, place, key_id), _key(keys, key_id, where), where)


# Chunks -----------------------------------------------------------------------------------------------------------------


def seal_chunk(
    attributes: Mapping[str, str], data: bytes, keys: KeyRing, now: datetime, *, random: NonceSource = os.urandom
) -> Envelope:
    """Return the envelope of a sealed chunk; every attribute is authenticated with it.

    Args:
        attributes: CloudEvents attributes, with ``resource`` and ``datacontenttype`` of ``data``; the envelope has the sealed
            content type, and ``sealedtype``, ``keyid`` and ``contenthash`` beside them.
        data: the content, such as an Arrow IPC stream.
        keys: the key ring.
        now: the instant, for the month of the data key.
    """
    key = keys.data_key(attributes["resource"], now)
    sealed = {**attributes, "datacontenttype": SEALED, "sealedtype": attributes["datacontenttype"], "keyid": key.id}
    sealed.pop("contenthash", None)
    value = _seal(data, _canonical_json(sealed), key, random)
    return Envelope({**sealed, "contenthash": keys.content_hash(value)}, value)


def open_chunk(envelope: Envelope, keys: KeyRing, where: str = "a sealed message") -> bytes:
    """Return the content of a sealed chunk, of the type that its ``sealedtype`` names.

    Raises:
        DefectError: a byte of the value or of any attribute was altered (``seal.broken``), naming ``where``.
    """
    attributes = dict(envelope.attributes)
    claimed = attributes.pop("contenthash", None)
    if claimed is None or attributes.get("datacontenttype") != SEALED or not {"keyid", "sealedtype"} <= attributes.keys():
        raise broken("a message that is not in the sealed form", where)
    if not keys.content_matches(envelope.data, claimed):
        raise broken("a sealed message whose content and contenthash differ", where)
    return _open(envelope.data, _canonical_json(attributes), _key(keys, attributes["keyid"], where), where)


# What all of them share -------------------------------------------------------------------------------------------------


def _seal(data: bytes, bound: bytes, key: DataKey, random: NonceSource) -> bytes:
    nonce = random(NONCE_BYTES)
    return b"".join((VERSION, nonce, key.cipher.encrypt(nonce, data, bound)))


def _open(blob: bytes, bound: bytes, key: DataKey, where: str) -> bytes:
    if blob[:1] != VERSION:
        raise broken("a sealed blob of an unknown version", where)
    try:
        return key.cipher.decrypt(blob[1:_HEAD], memoryview(blob)[_HEAD:], bound)
    except (InvalidTag, ValueError):  # ValueError: cut below the length of a tag
        raise broken("a sealed blob that does not open: it was altered, or stands in another place", where) from None


def _key(keys: KeyRing, key_id: str, where: str) -> DataKey:
    try:
        return keys.data_key_by_id(key_id)
    except DefectError as error:
        if error.code != "keys.unknown":
            raise
        raise broken("a sealed blob that names a key which is not there", where) from error


def broken(message: str, where: str) -> DefectError:
    """Return the error that says that something sealed was altered or stands in another place."""
    return DefectError(
        message,
        code="seal.broken",
        where=where,
        remedy="find who could write there, then load the rows again from their source",
    )


def _value_binding(resource: str, place: str, key_id: str) -> bytes:
    return SEPARATOR.join(("", "value", resource, place, key_id)).encode()


def _canonical_json(value: Mapping[str, str]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _key_text(of: Field, value: object) -> str | None:
    """Return the canonical text of a key's value as the store gave it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str) and "\\" not in value and SEPARATOR not in value:
        return value
    if type(value) is int:
        return str(value)
    text: str | None = text_column(pa.array([value], arrow_type(of)))[0].as_py()
    return text


def _key_column(contract: DataContract, columns: Mapping[str, pa.Array], count: int) -> pa.Array:
    names = key_columns(contract)
    if not names:
        return pa.array([b""] * count, pa.binary())
    texts = [text_column(columns[name]) for name in names]
    return pc.binary_join_element_wise(*texts, SEPARATOR, null_handling="replace", null_replacement=NULL).cast(pa.binary())


def _bindings(contract: DataContract, columns: Mapping[str, pa.Array], key_id: str, count: int) -> Iterator[bytes]:
    head, tail = contract.name.encode() + _UNIT, _UNIT + key_id.encode()
    for key in _key_column(contract, columns, count).to_pylist():
        yield head + key + tail


def _seal_column(plain: pa.Array, bound: Iterator[bytes], key: DataKey, random: NonceSource) -> pa.Array:
    count = len(plain)
    raw = random(NONCE_BYTES * count)
    encrypt = key.cipher.encrypt
    blobs = []
    at = 0
    for text, aad in zip(plain.to_pylist(), bound, strict=True):
        nonce = raw[at : at + NONCE_BYTES]
        at += NONCE_BYTES
        blobs.append(VERSION + nonce + encrypt(nonce, text, aad))
    return pa.array(blobs, pa.binary())


def _open_column(contract: DataContract, landed: pa.RecordBatch, keys: KeyRing) -> pa.Array:
    """Return each row's canonical text of the personal fields; null where the blob does not open."""
    columns = {name: landed.column(name) for name in key_columns(contract)}
    head = contract.name.encode() + _UNIT
    separators = len(contract.personal) - 1
    ciphers: dict[str, DataKey | None] = {}
    texts: list[str | None] = []
    rows = zip(
        landed.column("_sealed").to_pylist(),
        landed.column("_key_id").to_pylist(),
        _key_column(contract, columns, landed.num_rows).to_pylist(),
        strict=True,
    )
    for blob, key_id, key_text in rows:
        if key_id not in ciphers:
            ciphers[key_id] = _key_or_none(keys, key_id)
        key = ciphers[key_id]
        plain: bytes | None = None
        if key is not None and blob is not None and blob[:1] == VERSION:
            try:
                plain = key.cipher.decrypt(blob[1:_HEAD], blob[_HEAD:], head + key_text + _UNIT + key_id.encode())
            except (InvalidTag, ValueError):
                plain = None
        texts.append(plain.decode() if plain is not None and plain.count(_UNIT) == separators else None)
    return pa.array(texts, pa.string())


def _lookup_agrees(stored: pa.Array, texts: pa.Array, contract: DataContract, of: Field, keys: KeyRing) -> pa.Array:
    plain = pc.if_else(pc.equal(texts, NULL), pa.scalar(None, pa.string()), texts)
    if of.logical_type is LogicalType.STRING and pc.any(pc.match_substring(plain, "\\")).as_py():
        plain = pa.array([None if text is None else value_of(of.logical_type, text) for text in plain.to_pylist()], pa.string())
    made = keys.lookup_column(contract.name, of.name, plain)
    same = pc.fill_null(pc.equal(stored, made), False)
    return pc.or_(same, pc.and_(stored.is_null(), made.is_null()))


def _key_or_none(keys: KeyRing, key_id: str | None) -> DataKey | None:
    if key_id is None:
        return None
    try:
        return keys.data_key_by_id(key_id)
    except DefectError as error:
        if error.code != "keys.unknown":
            raise
        return None
