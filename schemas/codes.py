"""Codes of people, organisations, licences, items and places: their form and check characters.

``CODES`` holds a rule for each name that a contract may give in ``onedoor.code``. A code that fails is set aside by the
quality gate, never mended or dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from operator import mul
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import used_bytes

_CREDIT: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100
_CREDIT_WEIGHTS: Final = tuple(pow(3, i, 31) for i in range(17))
_ORGANISATION: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # GB 11714
_ORGANISATION_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)
_CITIZEN_CHECKS: Final = "10X98765432"  # GB 11643
_CITIZEN_WEIGHTS: Final = tuple(pow(2, 17 - i, 11) for i in range(17))
_MOD_36: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # ISO 7064 MOD 37,36

_CITIZEN_FORM: Final = re.compile(r"[1-9][0-9]{16}[0-9X]")
_OLD_CITIZEN_FORM: Final = re.compile(r"[1-9][0-9]{14}")
_CREDIT_FORM: Final = re.compile(f"[{_CREDIT}]{{2}}[0-9]{{6}}[{_CREDIT}]{{10}}")
_ORGANISATION_FORM: Final = re.compile(r"[0-9A-Z]{8}-?[0-9X]")
_LICENCE_OID: Final = "1.2.156.3005.2."
_LICENCE_FORM: Final = re.compile(
    r"1\.2\.156\.3005\.2\.([0-9A-Z]{18}[0-9]{3}\.[0-9A-Z]{6,18}\.[0-9A-Z]{1,32}\.[0-9]{3})\.([0-9A-Z])"
)
_DIVISION_FORM: Final = re.compile(r"[1-9][0-9](?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{3}(?:[0-9]{3})?)?)?)?")
_ITEM_BASIC_FORM: Final = re.compile(r"[0-9A-Z]{12}")
_ITEM_FORM: Final = re.compile(f"({_CREDIT_FORM.pattern})[1-9][0-9A-Z]{{12}}")


@dataclass(frozen=True, slots=True)
class CodeRule:
    """One kind of code. ``valid`` decides a text; ``valid_column`` a whole column, null for null."""

    name: str
    title: str
    valid: Callable[[str], bool]
    valid_column: Callable[[pa.Array], pa.Array]


def citizen_id_check(body: str) -> str:
    """Return the check character of a citizen id (GB 11643). ``body``: its first 17 digits."""
    return _CITIZEN_CHECKS[sum(map(mul, _CITIZEN_WEIGHTS, map(int, body))) % 11]


def credit_code_check(body: str) -> str:
    """Return the check character of a unified social credit code (GB 32100). ``body``: its first 17 characters."""
    return _CREDIT[-sum(w * _CREDIT.index(c) for w, c in zip(_CREDIT_WEIGHTS, body, strict=True)) % 31]


def organisation_code_check(body: str) -> str:
    """Return the check character of an organisation code (GB 11714). ``body``: its first 8 characters."""
    rest = -sum(w * _ORGANISATION.index(c) for w, c in zip(_ORGANISATION_WEIGHTS, body, strict=True)) % 11
    return "X" if rest == 10 else str(rest)


def licence_identifier_check(body: str) -> str:
    """Return the check character of an e-licence identifier (ISO 7064 MOD 37,36).

    Args:
        body: type, issuer, serial number and version, with or without the dots between them, without the OID in front.
    """
    check = 36
    for c in body.replace(".", ""):
        check = ((check + _MOD_36.index(c)) % 36 or 36) * 2 % 37
    return _MOD_36[(37 - check) % 36]


def citizen_id(text: str) -> bool:
    """Whether the text is a citizen id: form, a real date of birth, check character. An unknown prefix is no error."""
    return bool(_CITIZEN_FORM.fullmatch(text)) and _real_date(text[6:14]) and citizen_id_check(text[:17]) == text[17]


def citizen_id_18(text: str) -> str | None:
    """Return the 18 characters of a citizen id given with 15, or None where it is no such id."""
    if not _OLD_CITIZEN_FORM.fullmatch(text) or not _real_date("19" + text[6:12]):
        return None
    body = text[:6] + "19" + text[6:]
    return body + citizen_id_check(body)


def credit_code(text: str) -> bool:
    """Whether the text is a unified social credit code: form, digits for the division, check character."""
    return bool(_CREDIT_FORM.fullmatch(text)) and credit_code_check(text[:17]) == text[17]


def organisation_code(text: str) -> bool:
    """Whether the text is an organisation code of nine characters, with or without the hyphen."""
    return bool(_ORGANISATION_FORM.fullmatch(text)) and organisation_code_check(text[:8]) == text[-1]


def licence_identifier(text: str) -> bool:
    """Whether the text is an e-licence identifier with its OID, five parts and check character."""
    found = _LICENCE_FORM.fullmatch(text)
    return found is not None and licence_identifier_check(found[1]) == found[2]


def division_code(text: str) -> bool:
    """Whether the text has the form of a division code: 2, 4, 6, 9 or 12 digits."""
    return bool(_DIVISION_FORM.fullmatch(text))


def item_basic_code(text: str) -> bool:
    """Whether the text has the form of a service item's basic code: 12 digits or capital letters."""
    return bool(_ITEM_BASIC_FORM.fullmatch(text))


def item_code(text: str) -> bool:
    """Whether the text is an implementation code of 31 characters: a valid credit code, a level, a basic code."""
    found = _ITEM_FORM.fullmatch(text)
    return found is not None and credit_code(found[1])


def holder_number(text: str) -> bool:
    """Whether the text is the number of a licence's holder or a case's applicant: a citizen id or a credit code."""
    return citizen_id(text) or credit_code(text)


def _real_date(digits: str) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


def _values_of(alphabet: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A table from a byte to its value in the alphabet, -1 for none."""
    table = np.full(256, -1, np.int16)
    table[list(alphabet.encode())] = np.arange(len(alphabet))
    return table


_DIGIT_OF: Final = _values_of("0123456789")
_CREDIT_OF: Final = _values_of(_CREDIT)
_ORGANISATION_OF: Final = _values_of(_ORGANISATION)
_SYMBOLS: Final = 37  # of MOD 37,36, and one for padding, which leaves the state as it is
_SYMBOL_OF: Final = _values_of(_MOD_36 + ".")
_NEXT_STATE: Final = np.array(
    [state if c == 36 else ((state + c) % 36 or 36) * 2 % 37 for state in range(37) for c in range(_SYMBOLS)], np.int16
) * np.int16(_SYMBOLS)
_MONTH_DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def _fixed(width: int, decide: Callable[[Bytes], Flags]) -> Callable[[pa.Array], pa.Array]:
    """A column's rule for a code of ``width`` bytes: ``decide`` sees one row of bytes for each value of that width."""

    def column(values: pa.Array) -> pa.Array:
        fits = pc.equal(pc.binary_length(values), width).fill_null(False)
        rows = used_bytes(values.filter(fits)).reshape(-1, width)
        flags = np.zeros(len(values), np.bool_)
        flags[fits.to_numpy(zero_copy_only=False)] = decide(rows)
        return pa.array(flags, mask=values.is_null().to_numpy(zero_copy_only=False))

    return column


def _citizen_rows(rows: Bytes) -> Flags:
    digits = _DIGIT_OF[rows[:, :17]]
    year, month, day = (digits[:, a:b] @ (10 ** np.arange(b - a)[::-1]) for a, b in ((6, 10), (10, 12), (12, 14)))
    sound = (digits >= 0).all(axis=1) & (digits[:, 0] > 0) & (year > 0) & (month >= 1) & (month <= 12) & (day >= 1)
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    sound &= day <= _MONTH_DAYS[np.where((month >= 1) & (month <= 12), month, 0)] + leap
    check = np.frombuffer(_CITIZEN_CHECKS.encode(), np.uint8)[(digits @ np.array(_CITIZEN_WEIGHTS)) % 11]
    flags: Flags = sound & (check == rows[:, 17])
    return flags


def _credit_rows(rows: Bytes) -> Flags:
    values = _CREDIT_OF[rows]
    sound = (values >= 0).all(axis=1) & (_DIGIT_OF[rows[:, 2:8]] >= 0).all(axis=1)
    flags: Flags = sound & (-(values[:, :17] @ np.array(_CREDIT_WEIGHTS)) % 31 == values[:, 17])
    return flags


def _holder_rows(rows: Bytes) -> Flags:
    flags: Flags = _citizen_rows(rows) | _credit_rows(rows)
    return flags


def _organisation_column(values: pa.Array) -> pa.Array:
    return _nine(pc.replace_substring_regex(values, "^(.{8})-(.)$", r"\1\2"))


def _organisation_rows(rows: Bytes) -> Flags:
    values = _ORGANISATION_OF[rows]
    check = np.frombuffer(b"0123456789X", np.uint8)[-(values[:, :8] @ np.array(_ORGANISATION_WEIGHTS)) % 11]
    flags: Flags = (values >= 0).all(axis=1) & (check == rows[:, 8])
    return flags


_nine = _fixed(9, _organisation_rows)
_eighteen = _fixed(18, _credit_rows)


def _form(pattern: str) -> Callable[[pa.Array], pa.Array]:
    return lambda values: pc.match_substring_regex(values, f"^(?:{pattern})$")


def _item_column(values: pa.Array) -> pa.Array:
    return pc.and_(_form(_ITEM_FORM.pattern)(values), _eighteen(pc.utf8_slice_codeunits(values, 0, 18)))


def _licence_column(values: pa.Array) -> pa.Array:
    formed = _form(_LICENCE_FORM.pattern)(values).fill_null(False)
    texts = pc.replace_substring(pc.utf8_slice_codeunits(values.filter(formed), len(_LICENCE_OID)), ".", "")
    flags = np.zeros(len(values), np.bool_)
    flags[formed.to_numpy(zero_copy_only=False)] = _mod_37_36(texts)
    return pa.array(flags, mask=values.is_null().to_numpy(zero_copy_only=False))


def _mod_37_36(texts: pa.Array) -> Flags:
    """Whether each text, its check character last, passes ISO 7064 MOD 37,36: all texts in step, from their ends aligned."""
    lengths = np.asarray(pc.binary_length(texts))
    width = int(lengths.max()) if len(lengths) else 0
    padded = used_bytes(pc.utf8_lpad(texts, width, "."))
    if not width:
        return np.zeros(len(lengths), np.bool_)
    numbers = np.ascontiguousarray(_SYMBOL_OF[padded.reshape(-1, width)].T)
    state = np.full(len(lengths), 36 * _SYMBOLS, np.int16)
    for column in numbers[:-1]:
        state = _NEXT_STATE[state + column]
    flags: Flags = (state // _SYMBOLS + numbers[-1]) % 36 == 1
    return flags


def _rule(
    name: str, title: str, valid: Callable[[str], bool], valid_column: Callable[[pa.Array], pa.Array]
) -> tuple[str, CodeRule]:
    return name, CodeRule(name, title, valid, valid_column)


CODES: Final[Mapping[str, CodeRule]] = MappingProxyType(
    dict(
        (
            _rule("citizen_id", "citizen id 公民身份号码", citizen_id, _fixed(18, _citizen_rows)),
            _rule("credit_code", "unified social credit code 统一社会信用代码", credit_code, _eighteen),
            _rule("holder_number", "citizen id or credit code 证件号码", holder_number, _fixed(18, _holder_rows)),
            _rule("organisation_code", "organisation code 组织机构代码", organisation_code, _organisation_column),
            _rule("licence_identifier", "e-licence identifier 电子证照标识", licence_identifier, _licence_column),
            _rule("division_code", "division code 行政区划代码", division_code, _form(_DIVISION_FORM.pattern)),
            _rule("item_basic_code", "basic code of a service item 基本编码", item_basic_code, _form(_ITEM_BASIC_FORM.pattern)),
            _rule("item_code", "implementation code of a service item 实施编码", item_code, _item_column),
        )
    )
)
