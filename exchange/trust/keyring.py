"""The keys at work: derived keys, keyed hashes, pseudonyms, data keys wrapped by the master key.

Key files stay outside the database; the database holds data keys wrapped by the master key (the key-encryption key) only.
Nothing here is found by brute force from a copy of the database.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, Final, Protocol

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.trust.keyfiles import KEY_BYTES, KeyFiles, create_keys, fingerprint, public_id, read_keys
from exchange.trust.normalise import normalise, normalise_column
from schemas.canonical import HASH_BYTES, hash_column, text_column
from schemas.errors import DefectError, TransientError
from schemas.secret import Secret

__all__ = ["Connect", "DataKey", "DataKeyStore", "KeyRing", "MemoryDataKeys", "PostgresDataKeys", "WrappedKey", "create_keys"]

Connect = Callable[[], psycopg.Connection[Any]]
"""Opens a connection of the hub's database; the caller closes it. Not in autocommit."""

NONCE_BYTES: Final = 12
_LOOKUP: Final = b"onedoor.lookup"
_PSEUDONYM: Final = b"onedoor.pseudo"
_CONTENT: Final = b"onedoor.content"
_DERIVE: Final = b"onedoor.derive"
_DATA_KEY_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,47}/\d{4}-\d{2}/\d{1,6}")


@dataclass(frozen=True)
class DataKey:
    """A key that seals a resource's rows of one month. ``cipher`` is AES-256-GCM under it."""

    id: str
    secret: Secret[bytes]

    @cached_property
    def cipher(self) -> AESGCM:
        """The cipher, made once."""
        return AESGCM(self.secret.reveal())


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as it rests: sealed by the key-encryption key ``kek_id``."""

    id: str
    resource: str
    wrapped: bytes
    kek_id: str
    created_at: datetime


class DataKeyStore(Protocol):
    """Where wrapped data keys rest."""

    def add(self, key: WrappedKey) -> WrappedKey:
        """Keep ``key`` unless there is one of that id; return the one that is kept, durably."""
        ...

    def get(self, key_id: str) -> WrappedKey | None:
        """Return the key of that id, or None."""
        ...

    def foreign(self, kek_id: str) -> str | None:
        """Return the id of a key that another key-encryption key wraps, or None."""
        ...


class MemoryDataKeys:
    """The fake: wrapped keys in memory."""

    def __init__(self) -> None:
        self._keys: dict[str, WrappedKey] = {}

    def add(self, key: WrappedKey) -> WrappedKey:
        """Keep ``key`` unless there is one of that id; return the one that is kept."""
        return self._keys.setdefault(key.id, key)

    def get(self, key_id: str) -> WrappedKey | None:
        """Return the key of that id, or None."""
        return self._keys.get(key_id)

    def foreign(self, kek_id: str) -> str | None:
        """Return the id of a key that another key-encryption key wraps, or None."""
        return next((key.id for key in self._keys.values() if key.kek_id != kek_id), None)


class PostgresDataKeys:
    """Wrapped keys in ``trust.data_key``."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def add(self, key: WrappedKey) -> WrappedKey:
        """Keep ``key`` unless there is one of that id; return the one that is kept, durably. Concurrent makers agree."""
        with _away(), self._connect() as connection:
            connection.execute(
                "INSERT INTO trust.data_key (id, resource, wrapped, kek_id, created_at) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (id) DO NOTHING",
                (key.id, key.resource, key.wrapped, key.kek_id, key.created_at),
            )
        kept = self.get(key.id)
        if kept is None:
            raise DefectError("a data key vanished as it was made", code="keys.unknown", where=f"trust.data_key {key.id}")
        return kept

    def get(self, key_id: str) -> WrappedKey | None:
        """Return the key of that id, or None."""
        with _away(), self._connect() as connection:
            row = connection.execute(
                "SELECT id, resource, wrapped, kek_id, created_at FROM trust.data_key WHERE id = %s", (key_id,)
            ).fetchone()
        return None if row is None else WrappedKey(*row)

    def foreign(self, kek_id: str) -> str | None:
        """Return the id of a key that another key-encryption key wraps, or None."""
        with _away(), self._connect() as connection:
            row = connection.execute("SELECT id FROM trust.data_key WHERE kek_id <> %s LIMIT 1", (kek_id,)).fetchone()
        return None if row is None else str(row[0])


class KeyRing:
    """The keys of an installation. Safe for threads; data keys are cached, and fetched at most once each."""

    def __init__(self, files: KeyFiles, store: DataKeyStore, random: Callable[[int], bytes] = os.urandom) -> None:
        self._files = files
        self._store = store
        self._random = random
        self._kek = AESGCM(files.symmetric["master"].reveal())
        self._kek_id = fingerprint(files.symmetric["master"])
        self._data_keys: dict[str, DataKey] = {}
        self._derived: dict[tuple[str, str, str], Secret[bytes]] = {}
        self._lock = Lock()
        self._checked = False

    @classmethod
    def open(cls, keys_dir: Path, connect: Connect) -> KeyRing:
        """Return the keys of a folder, with data keys in the hub's database (first asked when one is needed).

        Raises:
            DefectError: a key file is missing, damaged or not the one that was made; the file and what to do are named.
        """
        return cls(read_keys(keys_dir), PostgresDataKeys(connect))

    def __repr__(self) -> str:
        return f"KeyRing({self._files.folder})"

    def row_hash_key(self, resource: str) -> Secret[bytes]:
        """Return the 32-byte key of a resource's row hashes."""
        return self._derive("row_hash", resource, "")

    def lookup_hash(self, resource: str, field: str, text: str) -> bytes:
        """Return the 16-byte keyed hash by which a field's value is looked up; ``text`` may be in any of its usual forms."""
        key = self._derive("lookup", resource, field).reveal()
        return blake2b(normalise(text).encode(), digest_size=HASH_BYTES, key=key, person=_LOOKUP).digest()

    def lookup_column(self, resource: str, field: str, column: pa.Array) -> pa.Array:
        """Return ``lookup_hash`` of each value (Arrow binary, 16 bytes each, nulls kept); other types by canonical text."""
        texts = column if pa.types.is_string(column.type) else text_column(column)
        plain = normalise_column(texts).fill_null("").cast(pa.binary())
        hashes = hash_column(plain, self._derive("lookup", resource, field), _LOOKUP)
        return hashes if column.null_count == 0 else pc.if_else(column.is_valid(), hashes, pa.scalar(None, pa.binary()))

    def pseudonym(self, text: str) -> str:
        """Return the permanent pseudonym of a person or key, 32 hex digits; the usual forms of one value have the same."""
        key = self._files.symmetric["pseudonym"].reveal()
        return blake2b(normalise(text).encode(), digest_size=HASH_BYTES, key=key, person=_PSEUDONYM).hexdigest()

    def content_hash(self, data: bytes) -> str:
        """Return the keyed hash of sealed content, 32 hex digits."""
        key = self._files.symmetric["content_hash"].reveal()
        return blake2b(data, digest_size=HASH_BYTES, key=key, person=_CONTENT).hexdigest()

    def content_matches(self, data: bytes, claimed: str) -> bool:
        """Say whether ``claimed`` is the hash of ``data``, in constant time."""
        return hmac.compare_digest(self.content_hash(data).encode(), claimed.encode())

    def page_cipher(self, resource: str) -> AESGCM:
        """Return the cipher of the page tokens of a resource's queries; from the key files alone, no database is asked."""
        return AESGCM(self._derive("content_hash", resource, "page").reveal())

    def words_cipher(self, resource: str) -> AESGCM:
        """Return the cipher of what people write about a resource's rows; as ``page_cipher``: the API makes no data key."""
        return AESGCM(self._derive("content_hash", resource, "words").reveal())

    def ledger_signer(self) -> Ed25519PrivateKey:
        """Return the key that signs the ledger's checkpoints."""
        return self._files.signing["ledger"]

    def ledger_public_key(self) -> Ed25519PublicKey:
        """Return the key that verifies the ledger's checkpoints."""
        return self._files.signing["ledger"].public_key()

    def ledger_key_id(self) -> str:
        """Return the id of the ledger's key."""
        return public_id(self.ledger_public_key())

    def token_signer(self) -> Ed25519PrivateKey:
        """Return the key that signs access tokens."""
        return self._files.signing["token"]

    def token_key_id(self) -> str:
        """Return the id of the key that signs access tokens."""
        return public_id(self._files.signing["token"].public_key())

    def data_key(self, resource: str, now: datetime) -> DataKey:
        """Return the key that seals a resource's rows of the month of ``now`` (UTC); made where there is none.

        Raises:
            TransientError: the database is away (``keys.database_away``).
            DefectError: the database's data keys belong to other key files (``keys.foreign``).
        """
        key_id = f"{resource}/{now.astimezone(UTC):%Y-%m}/1"
        with suppress(KeyError):
            return self._data_keys[key_id]
        with self._lock:
            if key_id not in self._data_keys:
                self._refuse_foreign()
                kept = self._store.get(key_id)
                if kept is None:
                    secret = Secret(self._random(KEY_BYTES))
                    kept = self._store.add(self._wrap(key_id, resource, secret, now))
                self._data_keys[key_id] = self._unwrap(kept)
            return self._data_keys[key_id]

    def data_key_by_id(self, key_id: str) -> DataKey:
        """Return the data key of that id.

        Raises:
            TransientError: the database is away (``keys.database_away``).
            DefectError: there is none (``keys.unknown``), or other key files wrapped it (``keys.foreign``).
        """
        with suppress(KeyError):
            return self._data_keys[key_id]
        kept = self._store.get(key_id) if _DATA_KEY_ID.fullmatch(key_id) else None
        if kept is None:
            raise DefectError(
                "there is no data key of that id",
                code="keys.unknown",
                where=f"trust.data_key {key_id[:80]!r}",
                remedy="restore trust.data_key from the backup of the hub's database",
            )
        with self._lock:
            return self._data_keys.setdefault(key_id, self._unwrap(kept))

    def _derive(self, root: str, resource: str, field: str) -> Secret[bytes]:
        name = (root, resource, field)
        with suppress(KeyError):
            return self._derived[name]
        key = self._files.symmetric[root].reveal()
        text = f"{root}\x1f{resource}\x1f{field}".encode()
        return self._derived.setdefault(name, Secret(blake2b(text, digest_size=KEY_BYTES, key=key, person=_DERIVE).digest()))

    def _refuse_foreign(self) -> None:
        if self._checked:
            return
        other = self._store.foreign(self._kek_id)
        if other is not None:
            raise self._foreign(other)
        self._checked = True

    def _wrap(self, key_id: str, resource: str, secret: Secret[bytes], now: datetime) -> WrappedKey:
        nonce = self._random(NONCE_BYTES)
        wrapped = nonce + self._kek.encrypt(nonce, secret.reveal(), f"{key_id}\x1f{self._kek_id}".encode())
        return WrappedKey(key_id, resource, wrapped, self._kek_id, now)

    def _unwrap(self, key: WrappedKey) -> DataKey:
        if key.kek_id != self._kek_id:
            raise self._foreign(key.id)
        aad = f"{key.id}\x1f{key.kek_id}".encode()
        try:
            secret = self._kek.decrypt(key.wrapped[:NONCE_BYTES], key.wrapped[NONCE_BYTES:], aad)
        except (InvalidTag, ValueError):
            raise DefectError(
                "a wrapped data key was altered",
                code="keys.altered",
                where=f"trust.data_key {key.id}",
                remedy="restore the row from the backup of the hub's database",
            ) from None
        return DataKey(key.id, Secret(secret))

    def _foreign(self, key_id: str) -> DefectError:
        return DefectError(
            "the database's data keys were wrapped by another master key than the one in the key folder",
            code="keys.foreign",
            where=f"trust.data_key {key_id} and {self._files.folder}",
            remedy="use the key folder that belongs to this database",
        )


@contextmanager
def _away() -> Iterator[None]:
    """Turn the driver's connection errors into the hub's."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise TransientError(
            "the hub's database is away", code="keys.database_away", where="trust.data_key", remedy="see onedoor doctor"
        ) from error
