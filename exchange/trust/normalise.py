"""One form for texts that are looked up by: what people write in different ways gets the same keyed hash.

Full width forms become ASCII, all blanks go, small ASCII letters become capitals (x -> X), and a citizen id of the 15-digit
form becomes its 18-digit form (GB 11643-1999: century 19, check character ISO 7064 MOD 11-2).
"""

from __future__ import annotations

from datetime import date
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_BLANKS: Final = (
    *(*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200C)),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF),
)
_TABLE: Final = {
    **{0xFF01 + i: 0x21 + i for i in range(94)},
    **{ord("a") + i: ord("A") + i for i in range(26)},
    **{0xFF41 + i: ord("A") + i for i in range(26)},
    **dict.fromkeys(_BLANKS),
}
_CHANGES: Final = (  # RE2: exactly the characters of the table, or a text that may be an id of 15 digits
    r"[a-z\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200B}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}\x{FF01}-\x{FF5E}]"
    r"|^[0-9]{15}$"
)
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK: Final = "10X98765432"


def normalise(text: str) -> str:
    """Return the form of ``text`` that is hashed for a look-up."""
    plain = text.upper() if text.isascii() and text.isalnum() else text.translate(_TABLE)  # most texts need no table
    if len(plain) == 15 and plain.isascii() and plain.isdigit():
        return _eighteen(plain)
    return plain


def normalise_column(column: pa.Array) -> pa.Array:
    """Return ``normalise`` of each text (nulls kept); only the texts that it may change are touched one by one."""
    changes = pc.match_substring_regex(column, _CHANGES)
    if not pc.any(changes).as_py():
        return column
    mended = [normalise(text) for text in column.filter(changes).to_pylist()]
    return pc.replace_with_mask(column, pc.fill_null(changes, False), pa.array(mended, column.type))


def _eighteen(text: str) -> str:
    body = text[:6] + "19" + text[6:]
    try:
        date(int(body[6:10]), int(body[10:12]), int(body[12:14]))
    except ValueError:
        return text  # no birth date: another kind of number
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return body + _CHECK[total % 11]
