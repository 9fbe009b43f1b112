"""The repairs of text that a contract may name. Whatever else is wrong with a value is set aside, not mended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.codes import citizen_id_18
from schemas.columns import is_ascii
from schemas.contract import Normalise

FOREVER_WORDS: Final = ("长期", "永久", "长期有效", "永久有效")
FOREVER_DATE: Final = "9999-12-31"

_HALF: Final = {**{wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}, 0x3000: 0x20}
_WIDE: Final = r"[\x{FF01}-\x{FF5E}\x{3000}]"
_ISO_DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"


def repair(column: pa.Array, rules: Collection[Normalise]) -> pa.Array:
    """Return a text column (Arrow string) after the named repairs, nulls kept.

    They run in one order, whatever the order in the contract: half width, trim, collapse, case, empty to null, forever, date
    forms, 18 characters. So each sees what the ones before it have mended.
    """
    for rule, mend in _STEPS.items():
        if rule in rules:
            column = mend(column)
    return column


def mend_some(column: pa.Array, found: pa.Array, mend: Callable[[str], str | None]) -> pa.Array:
    """Return the column with ``mend`` applied to the values where ``found`` is true."""
    mask = found.fill_null(False)
    if not pc.any(mask).as_py():
        return column
    mended = pa.array([mend(text) for text in column.filter(mask).to_pylist()], pa.string())
    return pc.replace_with_mask(column, mask, mended)


def _halfwidth(column: pa.Array) -> pa.Array:
    if is_ascii(column):
        return column
    return mend_some(column, pc.match_substring_regex(column, _WIDE), lambda text: text.translate(_HALF))


def _trim(column: pa.Array) -> pa.Array:
    return pc.ascii_trim_whitespace(column) if is_ascii(column) else pc.utf8_trim_whitespace(column)


def _collapse(column: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(column, r"[\s\pZ]+", " ")


def _upper(column: pa.Array) -> pa.Array:
    return pc.ascii_upper(column) if is_ascii(column) else pc.utf8_upper(column)


def _lower(column: pa.Array) -> pa.Array:
    return pc.ascii_lower(column) if is_ascii(column) else pc.utf8_lower(column)


def _empty_null(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _forever(column: pa.Array) -> pa.Array:
    if is_ascii(column):
        return column
    return pc.if_else(pc.is_in(column, pa.array(FOREVER_WORDS)), FOREVER_DATE, column)


def _date_forms(column: pa.Array) -> pa.Array:
    other = pc.invert(pc.match_substring_regex(column, _ISO_DATE + "$"))
    if not pc.any(other).as_py():
        return column
    mended = pc.replace_substring_regex(column, r"^([0-9]{4})([0-9]{2})([0-9]{2})$", r"\1-\2-\3")
    mended = pc.replace_substring_regex(
        mended, r"^([0-9]{4})(?:-|/|\.|年)([0-9]{1,2})(?:-|/|\.|月)([0-9]{1,2})日?( .*|T.*)?$", r"\1-\2-\3\4"
    )
    mended = pc.replace_substring_regex(mended, r"^([0-9]{4})-([0-9])-", r"\1-0\2-")
    mended = pc.replace_substring_regex(mended, r"^([0-9]{4}-[0-9]{2})-([0-9])( .*|T.*)?$", r"\1-0\2\3")
    mended = pc.replace_substring_regex(mended, f"({_ISO_DATE})[ T]00:00(?::00(?:[.]0+)?)?$", r"\1")
    return pc.if_else(other, mended, column)


def _id_18(column: pa.Array) -> pa.Array:
    old = pc.match_substring_regex(column, "^[0-9]{15}$")
    return mend_some(column, old, lambda text: citizen_id_18(text) or text)


_STEPS: Final[Mapping[Normalise, Callable[[pa.Array], pa.Array]]] = MappingProxyType(
    {
        Normalise.HALFWIDTH: _halfwidth,
        Normalise.TRIM: _trim,
        Normalise.COLLAPSE: _collapse,
        Normalise.UPPER: _upper,
        Normalise.LOWER: _lower,
        Normalise.EMPTY_NULL: _empty_null,
        Normalise.FOREVER: _forever,
        Normalise.DATE_FORMS: _date_forms,
        Normalise.ID_18: _id_18,
    }
)
