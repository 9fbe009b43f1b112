"""Access tokens: short-lived JWTs signed with Ed25519 (RFC 7519, RFC 8037, typ ``at+jwt`` as RFC 9068 has it).

A client's id and secret are checked by ``Registry.check_secret``; only then is a token issued.
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from catalog_registry.records import PrincipalRecord as Principal
from exchange.trust.keyring import KeyRing
from schemas.errors import DeniedError, Fault
from schemas.secret import Secret

ISSUER: Final = "onedoor"
MOST_TTL_S: Final = 300
_SKEW_S: Final = 5
_CACHED: Final = 10_000
_FORM: Final = re.compile(r"([A-Za-z0-9_-]{1,512})\.([A-Za-z0-9_-]{1,4096})\.([A-Za-z0-9_-]{86})")

CurrentPrincipal = Callable[[str], Principal | None]
"""Given a principal's id, return it as the registry has it now, or None."""


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    kid: str
    typ: str


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    iss: str
    sub: str
    aud: str
    iat: int
    exp: int
    jti: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and how long it lives."""

    text: Secret[str]
    expires_in_s: int


@dataclass(frozen=True, slots=True)
class _Known:
    principal: str
    epoch: int
    issued_s: int
    expires_s: int


_header = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(_Claims)


def issue(principal: Principal, keys: KeyRing, now: datetime, ttl_s: int = MOST_TTL_S) -> Token:
    """Return a token for a principal whose credential was checked; it ends after ``ttl_s``, 300 at most, or with its epoch.

    Raises:
        DeniedError: the principal is revoked.
    """
    if principal.revoked_at is not None:
        raise _denied("token.revoked", "the principal is revoked")
    ttl_s = min(ttl_s, MOST_TTL_S)
    issued = int(now.timestamp())
    header = _Header(alg="EdDSA", kid=keys.token_key_id(), typ="at+jwt")
    claims = _Claims(ISSUER, principal.id, ISSUER, issued, issued + ttl_s, secrets.token_hex(12), principal.epoch)
    signed = f"{_encoded(msgspec.json.encode(header))}.{_encoded(msgspec.json.encode(claims))}"
    signature = keys.token_signer().sign(signed.encode())
    return Token(Secret(f"{signed}.{_encoded(signature)}"), ttl_s)


class TokenVerifier:
    """Verifies tokens; one that was verified is known by its hash until it ends. Used in one thread or event loop."""

    def __init__(self, key: Ed25519PublicKey, key_id: str, current: CurrentPrincipal) -> None:
        self._key = key
        self._key_id = key_id
        self._current = current
        self._known: dict[bytes, _Known] = {}

    @classmethod
    def of(cls, keys: KeyRing, current: CurrentPrincipal) -> TokenVerifier:
        """Return the verifier of the tokens that this installation issues.

        Args:
            keys: the key ring.
            current: looks up a principal in memory; asked at every call, so that a revocation holds at once.
        """
        return cls(keys.token_signer().public_key(), keys.token_key_id(), current)

    def verify(self, token: str, now: datetime) -> Principal:
        """Return the principal that a token speaks for, as the registry has it now.

        Raises:
            DeniedError: it is malformed (``token.malformed``), not signed by this hub (``token.forged``), expired
                (``token.expired``), or its principal or epoch was revoked (``token.revoked``).
        """
        name = sha256(token.encode("utf-8", "replace")).digest()
        known = self._known.get(name)
        if known is None:
            known = self._read(token)
        now_s = now.timestamp()
        if now_s >= known.expires_s:
            self._known.pop(name, None)
            raise _denied("token.expired", "the token has expired", "ask for a new one at /api/v1/token")
        if now_s < known.issued_s - _SKEW_S:
            raise _denied("token.malformed", "the token was issued after now")
        principal = self._current(known.principal)
        if principal is None or principal.epoch != known.epoch or principal.revoked_at is not None:
            self._known.pop(name, None)
            raise _denied("token.revoked", "the token was revoked", "ask for a new one at /api/v1/token")
        if name not in self._known:
            self._keep(name, known, now_s)
        return principal

    def _read(self, token: str) -> _Known:
        parts = _FORM.fullmatch(token)
        if parts is None:
            raise _denied("token.malformed", "the token is not of the form of one")
        try:
            header = _header.decode(_decoded(parts[1]))
            signature = _decoded(parts[3])
        except (msgspec.DecodeError, ValueError):
            raise _denied("token.malformed", "the token is not of the form of one") from None
        if header.alg != "EdDSA" or header.typ != "at+jwt" or header.kid != self._key_id:
            raise _denied("token.forged", "the token was not issued by this hub")
        try:
            self._key.verify(signature, token[: parts.end(2)].encode())
        except InvalidSignature:
            raise _denied("token.forged", "the token was not issued by this hub") from None
        try:
            claims = _claims.decode(_decoded(parts[2]))
        except (msgspec.DecodeError, ValueError):
            raise _denied("token.malformed", "the token is not of the form of one") from None
        if claims.iss != ISSUER or claims.aud != ISSUER or claims.exp - claims.iat > MOST_TTL_S:
            raise _denied("token.forged", "the token was not issued by this hub")
        return _Known(claims.sub, claims.epoch, claims.iat, claims.exp)

    def _keep(self, name: bytes, known: _Known, now_s: float) -> None:
        if len(self._known) >= _CACHED:
            self._known = {k: v for k, v in self._known.items() if v.expires_s > now_s}
            if len(self._known) >= _CACHED:
                self._known.clear()
        self._known[name] = known


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _denied(code: str, message: str, remedy: str | None = None) -> DeniedError:
    return DeniedError(message, code=code, remedy=remedy, fault=Fault.CLIENT)
