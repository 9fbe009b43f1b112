"""Words that somebody wrote, made fit for the ledger: a person's number that stands among them becomes its pseudonym."""

from __future__ import annotations

import re
from typing import Final

from exchange.trust.keyring import KeyRing
from exchange.trust.normalise import normalise
from schemas.codes import CODES, citizen_id_18

_DIGITS: Final = re.compile(r"[0-9]{15}")
_IDS: Final = re.compile(r"(?=([1-9][0-9]{16}[0-9X]))")  # wherever it begins: blanks are gone, so digits may stand beside it
_OLD_IDS: Final = re.compile(r"(?<![0-9])[1-9][0-9]{14}(?![0-9])")  # no check digit: only where it stands by itself


def unnamed(text: str, keys: KeyRing) -> str:
    """Return a text for the ledger: its pseudonym where a citizen id stands in it, in whatever form it was written."""
    return keys.pseudonym(text) if names_somebody(text) else text


def names_somebody(text: str) -> bool:
    """Say whether a citizen id stands in a text, in whatever form it was written."""
    plain = normalise(text)
    if not _DIGITS.search(plain):
        return False
    return _names_somebody(plain) or any(_names_somebody(normalise(word)) for word in text.split())


def _names_somebody(plain: str) -> bool:
    valid = CODES["citizen_id"].valid
    return any(valid(found[1]) for found in _IDS.finditer(plain)) or any(map(citizen_id_18, _OLD_IDS.findall(plain)))
