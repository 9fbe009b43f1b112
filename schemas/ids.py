"""Identifiers that the hub makes."""

from __future__ import annotations

import secrets
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case


def _base32(value: int, length: int) -> str:
    out = []
    for _ in range(length):
        out.append(_ALPHABET[value & 31])
        value >>= 5
    return "".join(reversed(out))


def new_id(prefix: str, now: datetime) -> str:
    """Return ``prefix`` + 10 characters of time + 12 of chance: sorts by time, 60 bits of chance, fits a table's name.

    Args:
        prefix: one or more letters, such as ``r`` for a run.
        now: aware instant from the clock in use.
    """
    millis = int(now.timestamp() * 1000)
    return f"{prefix}{_base32(millis, 10)}{_base32(secrets.randbits(60), 12)}"
