"""Words that somebody wrote, made fit for the ledger: a person's number that stands among them becomes its pseudonym."""

from __future__ import annotations

import re
from typing import Final

from exchange.trust.keyring import KeyRing
from exchange.trust.normalise import normalise
from schemas.codes import CODES

_DIGITS: Final = re.compile(r"[0-9]{8}")


def unnamed(text: str, keys: KeyRing) -> str:
    """Return a text for the ledger: a pseudonym where it is a citizen id, in whatever form it was written."""
    plain = normalise(text)
    if _DIGITS.search(plain) and CODES["citizen_id"].valid(plain):
        return keys.pseudonym(plain)
    return text
