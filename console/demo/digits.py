"""Makes numbers with valid check digits, a column at a time: the reverse of ``schemas.codes``, which says whether one is valid.

A column under work is a matrix of ASCII bytes, a row for each number; ``texts`` turns it into an Arrow column.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.errors import Fault, RejectedError

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

CREDIT_ALPHABET: Final = b"0123456789ABCDEFGHJKLMNPQRTUWXY"
_ALNUM: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CITIZEN_WEIGHTS: Final = np.array([2 ** (17 - i) % 11 for i in range(17)], np.int64)
_CITIZEN_CHECK: Final = np.frombuffer(b"10X98765432", np.uint8)
_CREDIT_WEIGHTS: Final = np.array([pow(3, i, 31) for i in range(17)], np.int64)
_ORGANISATION_WEIGHTS: Final = np.array([3, 7, 9, 10, 5, 8, 4, 2], np.int64)
_ORGANISATION_CHECK: Final = np.frombuffer(b"0123456789X", np.uint8)

FIRST_BIRTH: Final = np.datetime64("1945-01-01", "D")
LAST_BIRTH: Final = np.datetime64("2008-12-31", "D")
RENAMED: Final = np.datetime64("2004-01-01", "D")
"""Qujiang was a county with the code 440221 until 2004; ids given since carry 440205."""
ORDERS: Final = 100
"""Order codes 900 to 999 of each day: hardly ever given out, so that a made id is nobody's."""


def citizen_ids(rng: np.random.Generator, count: int) -> tuple[Bytes, npt.NDArray[Any]]:
    """Return ``count`` distinct citizen ids (GB 11643, 18 bytes a row) and the birth dates in them.

    Raises:
        RejectedError: more were asked for than there are days and order codes.
    """
    days = int((LAST_BIRTH - FIRST_BIRTH).astype(int)) + 1
    if count > days * ORDERS:
        raise RejectedError(
            f"{count} people were asked for; there are numbers for {days * ORDERS}", code="demo.scale", fault=Fault.CLIENT
        )
    drawn = rng.choice(days * ORDERS, size=count, replace=False)
    births = FIRST_BIRTH + drawn // ORDERS
    prefix = np.where(births < RENAMED, 440221, 440205)
    out = np.empty((count, 18), np.uint8)
    out[:, 0:6] = decimal(prefix, 6)
    out[:, 6:14] = day_digits(births)
    out[:, 14:17] = decimal(900 + drawn % ORDERS, 3)
    out[:, 17] = _CITIZEN_CHECK[(out[:, :17].astype(np.int64) - 48) @ _CITIZEN_WEIGHTS % 11]
    return out, births


def credit_codes(bodies: Ints, *, prefix: bytes, division: bytes = b"440205", letters: bytes = b"MAQJ") -> Bytes:
    """Return a unified social credit code (GB 32100, 18 bytes) for each number in ``bodies``.

    Args:
        bodies: numbers below 31 to the power of the digits left, each gives another organisation code.
        prefix: two characters: who registers, and what kind; ``91`` a company, ``92`` a household business, ``11`` an organ.
        letters: the first characters of the organisation code (GB 11714), at most seven.
    """
    count, width = len(bodies), 8 - len(letters)
    alphabet = np.frombuffer(CREDIT_ALPHABET, np.uint8)
    out = np.empty((count, 18), np.uint8)
    out[:, 0:8] = np.frombuffer(prefix + division, np.uint8)
    out[:, 8 : 8 + len(letters)] = np.frombuffer(letters, np.uint8)
    rest = bodies.copy()
    for place in range(width - 1, -1, -1):
        out[:, 8 + len(letters) + place] = alphabet[rest % 31]
        rest //= 31
    if rest.any():
        raise RejectedError("more organisations were asked for than there are numbers", code="demo.scale", fault=Fault.CLIENT)
    check = (11 - _values(_ALNUM, out[:, 8:16]) @ _ORGANISATION_WEIGHTS % 11) % 11
    out[:, 16] = _ORGANISATION_CHECK[check]
    out[:, 17] = alphabet[-(_values(CREDIT_ALPHABET, out[:, :17]) @ _CREDIT_WEIGHTS) % 31]
    return out


def mod_37_36(numbers: Bytes) -> Bytes:
    """Return the check character (ISO 7064, MOD 37,36) of each row of upper-case letters and digits."""
    values = _values(_ALNUM, numbers)
    state = np.full(len(numbers), 36, np.int64)
    for column in values.T:
        state = (state + column) % 36
        state = np.where(state == 0, 36, state) * 2 % 37
    return np.frombuffer(_ALNUM, np.uint8)[(37 - state) % 36]


def decimal(values: Ints, width: int) -> Bytes:
    """Return the last ``width`` decimal digits of each number."""
    out = np.empty((len(values), width), np.uint8)
    rest = np.asarray(values, np.int64).copy()
    for place in range(width - 1, -1, -1):
        out[:, place] = rest % 10 + 48
        rest //= 10
    return out


def day_digits(days: npt.NDArray[Any]) -> Bytes:
    """Return ``YYYYMMDD`` of each date."""
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]").astype(np.int64)
    year, month = 1970 + months // 12, 1 + months % 12
    day = (dates - dates.astype("datetime64[M]")).astype(np.int64) + 1
    return decimal(year * 10_000 + month * 100 + day, 8)


def day_texts(days: npt.NDArray[Any]) -> pa.Array:
    """Return ``YYYY-MM-DD`` of each date, as an Arrow column."""
    digits = day_digits(days)
    dash = np.full((len(days), 1), ord("-"), np.uint8)
    return texts(np.hstack([digits[:, :4], dash, digits[:, 4:6], dash, digits[:, 6:]]))


def joined(count: int, *parts: bytes | Bytes) -> Bytes:
    """Return ``count`` rows, each the parts side by side: the same bytes in every row, or a matrix with bytes for each."""
    return np.hstack(
        [
            np.broadcast_to(np.frombuffer(p, np.uint8), (count, len(p))) if isinstance(p, bytes) else p.reshape(count, -1)
            for p in parts
        ]
    )


def texts(rows: Bytes) -> pa.Array:
    """Return a matrix of ASCII bytes as an Arrow column of strings."""
    count, width = rows.shape
    ends = np.arange(0, width * (count + 1), width, dtype=np.int32)
    return pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(rows).tobytes())]
    )


def _values(alphabet: bytes, rows: Bytes) -> Ints:
    table = np.zeros(256, np.int64)
    table[np.frombuffer(alphabet, np.uint8)] = np.arange(len(alphabet))
    return table[rows]
