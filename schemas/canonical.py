r"""One byte form of a row, for hashing and comparing. Version ``c1``, frozen by ``tests/golden``.

A row's bytes are its fields' texts in the contract's order, joined by U+001F, in UTF-8. A source's SQL can make the same text.

==========  ====================================================================
string      as conformed; ``\`` becomes ``\\`` and U+001F becomes ``\u``
integer     decimal digits, ``-`` in front of a negative
number      decimal digits with exactly the declared scale, no exponent
double      the 16 lower-case hex digits of its IEEE 754 form, big-endian
boolean     ``t`` or ``f``
date        ``YYYY-MM-DD``
timestamp   ``YYYY-MM-DD HH:MM:SS.ffffffZ`` in UTC
time        ``HH:MM:SS.ffffff``
bytes       lower-case hex
null        ``\N``
==========  ====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import used_bytes
from schemas.errors import DefectError
from schemas.secret import Secret

VERSION: Final = "c1"
SEPARATOR: Final = "\x1f"
NULL: Final = "\\N"
HASH_BYTES: Final = 16
MODULUS: Final = 1 << 128
_PERSON: Final = b"onedoor.row.c1"


def text_column(column: pa.Array) -> pa.Array:
    """Return a conformed column's canonical texts (Arrow string, nulls kept)."""
    kind = column.type
    if pa.types.is_string(kind):
        return _escaped(column)
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "t", "f")
    if pa.types.is_timestamp(kind):
        return pc.binary_join_element_wise(pc.cast(column.cast(pa.timestamp("us")), pa.string()), "Z", "")
    if pa.types.is_floating(kind):
        return _hex(np.asarray(column.cast(pa.float64()).fill_null(0.0)).astype(">f8").view(np.uint8).reshape(-1, 8), column)
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([None if v is None else v.hex() for v in column.to_pylist()], pa.string())
    if pa.types.is_decimal(kind) and kind.scale > 0:
        return _plain_decimal(column)
    return pc.cast(column, pa.string())


def canonical_column(rows: pa.RecordBatch) -> pa.Array:
    """Return the canonical bytes of each row of a conformed batch (Arrow binary, no nulls), in row order."""
    texts = [text_column(column) for column in rows.columns]
    joined = pc.binary_join_element_wise(*texts, SEPARATOR, null_handling="replace", null_replacement=NULL)
    return joined.cast(pa.binary())


def row_hashes(rows: pa.RecordBatch, key: Secret[bytes]) -> pa.Array:
    """Return the keyed BLAKE2b-128 of each row's canonical bytes (Arrow binary, 16 bytes each), in row order.

    Args:
        rows: a conformed batch.
        key: 32 bytes, the resource's row-hash key.
    """
    return hash_column(canonical_column(rows), key)


def hash_column(values: pa.Array, key: Secret[bytes], person: bytes = _PERSON) -> pa.Array:
    """Return the keyed BLAKE2b-128 of each value of a binary column that has no nulls (Arrow binary, 16 bytes each)."""
    count = len(values)
    if count == 0:
        return pa.array([], pa.binary())
    offsets_buffer = values.buffers()[1]
    ends = np.frombuffer(offsets_buffer, np.int32)[values.offset : values.offset + count + 1]
    offsets = (ends - ends[0]).tolist()
    raw = used_bytes(values).tobytes()
    keyed = blake2b(digest_size=HASH_BYTES, key=key.reveal(), person=person).copy  # a copy costs half of a start with a key
    digests: list[bytes] = []
    for start, end in pairwise(offsets):
        (state := keyed()).update(raw[start:end])
        digests.append(state.digest())
    out = b"".join(digests)
    ends = np.arange(0, HASH_BYTES * (count + 1), HASH_BYTES, dtype=np.int32)
    return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(ends), pa.py_buffer(out)])


def hash_sum(hashes: pa.Array) -> int:
    """Return the sum of 16-byte hashes as big-endian integers, mod 2**128: the same in any order, and a double row counts."""
    if len(hashes) == 0:
        return 0
    raw = used_bytes(hashes)
    if raw.size != HASH_BYTES * len(hashes):
        raise DefectError("a row hash has another length than 16 bytes", code="canonical.hash_length")
    words = raw.view(">u4").reshape(-1, 4)
    sums = words.sum(axis=0, dtype=np.uint64)
    return sum(int(s) << (96 - 32 * i) for i, s in enumerate(sums)) % MODULUS


def canonical_key(values: Sequence[Any]) -> bytes:
    """Return the canonical bytes of a key given as canonical texts (None for null), for additional data and pseudonyms."""
    return SEPARATOR.join(NULL if v is None else str(v) for v in values).encode()


def _escaped(column: pa.Array) -> pa.Array:
    raw = used_bytes(column).tobytes()  # one search over all of them is fifty times faster than one for each value
    for found, replacement in (("\\", "\\\\"), (SEPARATOR, "\\u")):
        if found.encode() in raw:
            column = pc.replace_substring(column, found, replacement)
    return column


def _hex(raw: np.ndarray[Any, Any], column: pa.Array) -> pa.Array:
    text = raw.tobytes().hex()
    width = raw.shape[1] * 2
    values = [text[i : i + width] for i in range(0, len(text), width)]
    return pc.if_else(column.is_valid(), pa.array(values, pa.string()), pa.scalar(None, pa.string()))


def _plain_decimal(column: pa.Array) -> pa.Array:
    text = pc.cast(column, pa.string())
    if b"E" in used_bytes(text).tobytes():  # Arrow writes small values with an exponent
        scale = column.type.scale
        text = pa.array([None if v is None else f"{v:.{scale}f}" for v in column.to_pylist()], pa.string())
    return text
