"""What people write into a correction request: sealed for the request it stands in. A reason that names somebody is refused.

A sealed text is ``version 1 | 12-byte nonce | ciphertext and tag`` (AES-256-GCM), authenticated with the request's id.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag

from catalog_registry.correction_records import CorrectionRecord
from exchange.trust.keyring import NONCE_BYTES, KeyRing
from exchange.trust.seal import NonceSource, broken
from exchange.trust.unnamed import names_somebody
from schemas.errors import Fault, RejectedError

_VERSION: Final = b"\x01"
_HEAD: Final = len(_VERSION) + NONCE_BYTES


class Words(msgspec.Struct, frozen=True):
    """What whoever asked wrote: what is wrong, what shows it, and the key of the row as it was given. All may be personal."""

    content: str
    evidence: str | None = None
    key: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return "Words(…)"


_words: Final = msgspec.json.Decoder(Words)


def seal_words(words: Words, correction: str, resource: str, keys: KeyRing, *, random: NonceSource = os.urandom) -> bytes:
    """Return words sealed for the request of an id."""
    nonce = random(NONCE_BYTES)
    return _VERSION + nonce + keys.words_cipher(resource).encrypt(nonce, msgspec.json.encode(words), correction.encode())


def open_words(correction: CorrectionRecord, keys: KeyRing) -> Words:
    """Return what was written into a request. The caller has recorded who reads it.

    Raises:
        DefectError: it was altered, or stands in another request (``seal.broken``).
    """
    blob = correction.sealed
    try:
        if blob[:1] != _VERSION:
            raise ValueError("of another version")
        plain = keys.words_cipher(correction.resource).decrypt(blob[1:_HEAD], blob[_HEAD:], correction.id.encode())
    except (ValueError, InvalidTag):
        raise broken("the words of a correction request do not open", f"correction {correction.id}") from None
    return _words.decode(plain)


def check_reason(why: str) -> str:
    """Return a reason, which is kept in clear. Raises ``RejectedError`` where a citizen id stands in it."""
    if names_somebody(why):
        raise RejectedError(
            "a citizen id stands in the reason, which is kept in clear",
            code="correction.personal",
            where="why",
            remedy="say it without the number: the request names the row",
            fault=Fault.CLIENT,
        )
    return why
