"""Access tokens: good for five minutes at most, for one installation, and only while their epoch lasts."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog_registry.records import PrincipalKind, PrincipalRecord
from exchange.trust.keyfiles import create_keys, read_keys
from exchange.trust.keyring import KeyRing, MemoryDataKeys
from exchange.trust.tokens import TokenVerifier, issue
from schemas.errors import DeniedError

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
INTAKE = PrincipalRecord("p1", PrincipalKind.MACHINE, "intake", "hall", "intake", ("consumer",), "c1", 3, NOW, None)


def ring(folder: Path) -> KeyRing:
    create_keys(folder)
    return KeyRing(read_keys(folder), MemoryDataKeys())


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    return ring(tmp_path / "keys")


def encoded(part: object) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def refused(verifier: TokenVerifier, token: str, now: datetime = NOW) -> str:
    with pytest.raises(DeniedError) as caught:
        verifier.verify(token, now)
    assert token[:20] not in f"{caught.value!r}{caught.value}" or not token
    return caught.value.code


def test_a_token_speaks_for_its_principal_until_it_ends(keys: KeyRing) -> None:
    token = issue(INTAKE, keys, NOW, 120)
    verifier = TokenVerifier.of(keys, {"p1": INTAKE}.get)
    text = token.text.reveal()
    assert (token.expires_in_s, text in repr(token)) == (120, False)
    for _ in range(2):  # read, then known
        assert verifier.verify(text, NOW + timedelta(seconds=119)) is INTAKE
    assert refused(verifier, text, NOW + timedelta(seconds=120)) == "token.expired"
    assert refused(verifier, text, NOW - timedelta(seconds=60)) == "token.malformed"


def test_a_standard_library_reads_it(keys: KeyRing) -> None:
    from joserfc import jwt
    from joserfc.jwk import OKPKey

    from exchange.trust.keyfiles import public_pem

    key = OKPKey.import_key(public_pem(keys.token_signer().public_key()))
    read = jwt.decode(issue(INTAKE, keys, NOW).text.reveal(), key, algorithms=["EdDSA", "Ed25519"])
    assert read.claims["sub"] == "p1"
    assert read.claims["exp"] - read.claims["iat"] == 300


def test_no_token_lives_longer_than_five_minutes(keys: KeyRing) -> None:
    assert issue(INTAKE, keys, NOW, 86_400).expires_in_s == 300


def test_a_higher_epoch_or_a_revocation_ends_a_known_token_at_once(keys: KeyRing) -> None:
    principals = {"p1": INTAKE}
    verifier = TokenVerifier.of(keys, principals.get)
    text = issue(INTAKE, keys, NOW).text.reveal()
    verifier.verify(text, NOW)
    for other in (replace(INTAKE, epoch=4), replace(INTAKE, revoked_at=NOW)):
        principals["p1"] = other
        assert refused(verifier, text) == "token.revoked"
    principals.clear()
    assert refused(verifier, text) == "token.revoked"
    with pytest.raises(DeniedError):
        issue(replace(INTAKE, revoked_at=NOW), keys, NOW)


def test_a_token_of_another_installation_is_forged(keys: KeyRing, tmp_path: Path) -> None:
    text = issue(INTAKE, ring(tmp_path / "other"), NOW).text.reveal()
    assert refused(TokenVerifier.of(keys, {"p1": INTAKE}.get), text) == "token.forged"


def test_an_altered_part_is_refused(keys: KeyRing) -> None:
    verifier = TokenVerifier.of(keys, {"p1": INTAKE, "p0": INTAKE}.get)
    header, claims, signature = issue(INTAKE, keys, NOW).text.reveal().split(".")
    content = json.loads(urlsafe_b64decode(claims + "=="))
    kid = json.loads(urlsafe_b64decode(header + "=="))["kid"]
    assert refused(verifier, f"{header}.{encoded({**content, 'sub': 'p0'})}.{signature}") == "token.forged"
    for alg in ("none", "HS256", "eddsa"):
        altered = encoded({"alg": alg, "kid": kid, "typ": "at+jwt"})
        assert refused(verifier, f"{altered}.{claims}.{signature}") == "token.forged"
        assert refused(verifier, f"{altered}.{claims}.") == "token.malformed"
    assert refused(verifier, f"{header}.{claims}.{'A' * 86}") == "token.forged"


@pytest.mark.parametrize(
    "text", ["", "a.b.c", "." * 100, "é" * 10, "\ud800", "a" * 100_000, "x.y." + "A" * 86, "!!." + "A" * 86]
)
def test_what_is_no_token_is_refused(keys: KeyRing, text: str) -> None:
    with pytest.raises(DeniedError) as caught:
        TokenVerifier.of(keys, {"p1": INTAKE}.get).verify(text, NOW)
    assert caught.value.code == "token.malformed"
