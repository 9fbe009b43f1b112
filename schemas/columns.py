"""The bytes of an Arrow text column, for rules that look at all of them at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from schemas.light import keep_pandas_out

keep_pandas_out()


def used_bytes(column: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return the bytes of a string or binary column's values as one array, without a copy; a sliced column's own part only."""
    _, offsets, data = column.buffers()
    if offsets is None or data is None or len(column) == 0:
        return np.empty(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
    return np.frombuffer(data, np.uint8)[ends[0] : ends[1]]


def is_ascii(column: pa.Array) -> bool:
    """Whether every value of a string column is ASCII."""
    raw = used_bytes(column)
    return raw.size == 0 or int(raw.max()) < 0x80
