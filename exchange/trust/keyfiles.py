"""The key files of an installation: made once, 0600, outside the database.

Each key is a file of its own under the key folder; ``keys.json`` names the fingerprint of each, so that a lost, altered or
exchanged file is found before it is used. A lost key is never made again in silence: what it sealed would be lost for good.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from schemas.errors import DefectError
from schemas.secret import Secret

SYMMETRIC: Final = ("master", "row_hash", "lookup", "pseudonym", "content_hash")
SIGNING: Final = ("ledger", "token")
INDEX: Final = "keys.json"
KEY_BYTES: Final = 32
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_RESTORE: Final = "restore the key folder from its backup; what these keys sealed cannot be opened without them"


@dataclass(frozen=True, slots=True, repr=False)
class KeyFiles:
    """The keys as read from their folder, by name."""

    symmetric: Mapping[str, Secret[bytes]]
    signing: Mapping[str, Ed25519PrivateKey]
    folder: Path

    def __repr__(self) -> str:
        return f"KeyFiles({self.folder})"


def key_path(folder: Path, name: str) -> Path:
    """Return the file of a key."""
    return folder / (f"{name}.pem" if name in SIGNING else f"{name}.key")


def public_path(folder: Path, name: str) -> Path:
    """Return the file of a signing key's public half, for those who verify."""
    return folder / f"{name}.pub"


def create_keys(keys_dir: Path) -> None:
    """Make the keys of an installation, durably, in a folder only its owner can open. Does nothing where they are.

    Safe to call from several processes at once: all end with the same keys.

    Raises:
        DefectError: keys were made here before and one is missing (``keys.missing``); nothing is made in its place.
    """
    keys_dir.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
    keys_dir.chmod(_FOLDER_MODE)
    if (keys_dir / INDEX).exists():
        read_keys(keys_dir)
        return
    for name in SYMMETRIC:
        _place(key_path(keys_dir, name), secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n")
    for name in SIGNING:
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _place(key_path(keys_dir, name), pem)
    fingerprints = {}
    for name in (*SYMMETRIC, *SIGNING):
        raw, signer = _read(keys_dir, name)
        fingerprints[name] = fingerprint(raw)
        if signer is not None:
            _place(public_path(keys_dir, name), public_pem(signer.public_key()))
    _place(keys_dir / INDEX, json.dumps({"version": 1, "fingerprints": fingerprints}, indent=1).encode() + b"\n")
    _sync_folder(keys_dir)


def read_keys(keys_dir: Path) -> KeyFiles:
    """Return the keys of a folder that ``create_keys`` filled.

    Raises:
        DefectError: there are none (``keys.none``), one is missing (``keys.missing``), cannot be read (``keys.unreadable``) or
            is not the one that was made (``keys.altered``); the file is named.
    """
    index = keys_dir / INDEX
    if not index.exists():
        raise DefectError(
            "the installation has no keys",
            code="keys.none",
            where=str(keys_dir),
            remedy="run onedoor up, or restore the key folder",
        )
    try:
        fingerprints = json.loads(_bytes_of(index))["fingerprints"]
    except (ValueError, KeyError, TypeError):
        raise DefectError(
            "the index of the keys cannot be read", code="keys.unreadable", where=str(index), remedy=_RESTORE
        ) from None
    symmetric: dict[str, Secret[bytes]] = {}
    signing: dict[str, Ed25519PrivateKey] = {}
    for name in (*SYMMETRIC, *SIGNING):
        raw, signer = _read(keys_dir, name)
        if fingerprint(raw) != fingerprints.get(name):
            raise DefectError(
                "a key is not the one that was made here",
                code="keys.altered",
                where=str(key_path(keys_dir, name)),
                remedy=_RESTORE,
            )
        if signer is None:
            symmetric[name] = raw
        else:
            signing[name] = signer
    return KeyFiles(symmetric, signing, keys_dir)


def fingerprint(key: Secret[bytes]) -> str:
    """Return a name for a key that says nothing about it: 16 hex digits."""
    return blake2b(b"onedoor fingerprint", key=key.reveal(), digest_size=8).hexdigest()


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return the PEM form of a public key."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_id(key: Ed25519PublicKey) -> str:
    """Return a public key's id: 16 hex digits of its hash."""
    return blake2b(key.public_bytes(Encoding.Raw, PublicFormat.Raw), digest_size=8).hexdigest()


def _read(folder: Path, name: str) -> tuple[Secret[bytes], Ed25519PrivateKey | None]:
    path = key_path(folder, name)
    content = _bytes_of(path)
    try:
        if name in SIGNING:
            signer = load_pem_private_key(content, None)
            if not isinstance(signer, Ed25519PrivateKey):
                raise ValueError("another kind of key")
            return Secret(signer.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())), signer
        raw = bytes.fromhex(content.decode("ascii").strip())
        if len(raw) != KEY_BYTES:
            raise ValueError("another length")
        return Secret(raw), None
    except (ValueError, TypeError):  # the cause would show the file's content
        raise DefectError("a key file is damaged", code="keys.unreadable", where=str(path), remedy=_RESTORE) from None


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DefectError("a key file is missing", code="keys.missing", where=str(path), remedy=_RESTORE) from None
    except OSError as error:
        raise DefectError(
            f"a key file cannot be read: {error.strerror}",
            code="keys.unreadable",
            where=str(path),
            remedy="give the file to the account that runs the hub, mode 0600",
        ) from error


def _place(path: Path, content: bytes) -> None:
    """Write a file durably and give it its name; where the name is taken, the file that has it stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if not path.exists():
            try:
                os.link(temporary, path)
            except FileExistsError:
                return  # another process was first: its file stays
    finally:
        temporary.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
