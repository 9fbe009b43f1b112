"""The secrets of machines: long and random, shown once, kept as argon2 hashes."""

from __future__ import annotations

import secrets
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from schemas.secret import Secret

# A secret has 256 bits of chance, so a hash need not be slow: this is the least that OWASP names, 19 MiB and 2 passes.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def new_secret() -> Secret[str]:
    """Return a new secret of 256 bits."""
    return Secret(secrets.token_urlsafe(32))


def hashed(secret: Secret[str]) -> str:
    """Return the argon2 hash of a secret, with its salt and parameters."""
    return _HASHER.hash(secret.reveal())


def matches(secret_hash: str, secret: Secret[str]) -> bool:
    """Say whether the secret is the one that was hashed."""
    try:
        return _HASHER.verify(secret_hash, secret.reveal())
    except (VerifyMismatchError, InvalidHashError):
        return False


def absorb(secret: Secret[str]) -> bool:
    """Take as long as ``matches`` takes and return False: for a client that does not exist."""
    matches(_nobody(), secret)
    return False


@cache
def _nobody() -> str:
    return hashed(new_secret())
