"""Codes of people, organisations, licences, items and places: their form and check characters.

``CODES`` holds a rule for each name that a contract may give in ``onedoor.code``. A code that fails is set aside by the
quality gate, never mended or dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

import pyarrow as pa

_CREDIT: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100
_CREDIT_WEIGHTS: Final = tuple(pow(3, i, 31) for i in range(17))
_ORGANISATION: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # GB 11714
_ORGANISATION_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)
_CITIZEN_CHECKS: Final = "10X98765432"  # GB 11643
_CITIZEN_WEIGHTS: Final = tuple(pow(2, 17 - i, 11) for i in range(17))
_MOD_36: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # ISO 7064 MOD 37,36

_CITIZEN_FORM: Final = re.compile(r"[1-9][0-9]{16}[0-9X]")
_OLD_CITIZEN_FORM: Final = re.compile(r"[1-9][0-9]{14}")
_CREDIT_FORM: Final = re.compile(f"[{_CREDIT}]{{18}}")
_ORGANISATION_FORM: Final = re.compile(r"[0-9A-Z]{8}-?[0-9X]")
_LICENCE_FORM: Final = re.compile(
    r"1\.2\.156\.3005\.2\.([0-9A-Z]{18}[0-9]{3})\.([0-9A-Z]{18})\.([0-9A-Z]{1,32})\.([0-9]{3})\.([0-9A-Z])"
)
_DIVISION_FORM: Final = re.compile(r"[1-9][0-9](?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{3}(?:[0-9]{3})?)?)?)?")
_ITEM_BASIC_FORM: Final = re.compile(r"[0-9A-Z]{12}")
_ITEM_FORM: Final = re.compile(f"([{_CREDIT}]{{18}})[1-9]([0-9A-Z]{{12}})")


@dataclass(frozen=True, slots=True)
class CodeRule:
    """One kind of code. ``valid`` decides a text; ``valid_column`` a whole column, null for null."""

    name: str
    title: str
    valid: Callable[[str], bool]
    valid_column: Callable[[pa.Array], pa.Array]


def citizen_id_check(body: str) -> str:
    """Return the check character of a citizen id (GB 11643). ``body``: its first 17 digits."""
    return _CITIZEN_CHECKS[sum(w * int(c) for w, c in zip(_CITIZEN_WEIGHTS, body, strict=True)) % 11]


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
    """Whether the text is a unified social credit code: form and both check characters of its own (the inner
    organisation code's too)."""
    return (
        bool(_CREDIT_FORM.fullmatch(text))
        and credit_code_check(text[:17]) == text[17]
    )


def organisation_code(text: str) -> bool:
    """Whether the text is an organisation code of nine characters, with or without the hyphen."""
    return bool(_ORGANISATION_FORM.fullmatch(text)) and organisation_code_check(text[:8]) == text[-1]


def licence_identifier(text: str) -> bool:
    """Whether the text is an e-licence identifier with its OID, five parts and check character."""
    found = _LICENCE_FORM.fullmatch(text)
    return found is not None and licence_identifier_check("".join(found.groups()[:4])) == found[5]


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


def _real_date(digits: str) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


def _slow(valid: Callable[[str], bool]) -> Callable[[pa.Array], pa.Array]:
    def column(values: pa.Array) -> pa.Array:
        return pa.array([None if v is None else valid(v) for v in values.to_pylist()], pa.bool_())

    return column


def _rule(name: str, title: str, valid: Callable[[str], bool]) -> tuple[str, CodeRule]:
    return name, CodeRule(name, title, valid, _slow(valid))


CODES: Final[Mapping[str, CodeRule]] = MappingProxyType(
    dict(
        (
            _rule("citizen_id", "citizen id", citizen_id),
            _rule("credit_code", "unified social credit code", credit_code),
            _rule("organisation_code", "organisation code", organisation_code),
            _rule("licence_identifier", "e-licence identifier", licence_identifier),
            _rule("division_code", "division code", division_code),
            _rule("item_basic_code", "basic code of a service item", item_basic_code),
            _rule("item_code", "implementation code of a service item", item_code),
        )
    )
)
