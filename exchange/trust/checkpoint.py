r"""Checkpoints: the signed Merkle root of what the ledger's chains grew by, kept in the database and published outside it.

Without the published copy an administrator could cut the ledger's tail unseen. The publishing folder only grows: a number
that is there is never written again.

A checkpoint's body is canonical JSON: ``v``, ``n`` (from 1), ``at``, ``previous`` (SHA-256 of the body before, 64 zeros for the
first), ``chains`` (``[chain, first n, last n, hash of the last]``, by chain), ``root``. The root is that of RFC 9162 over
``previous`` and then each record's hash, by chain and n. The signature is Ed25519 over ``onedoor checkpoint v1\n`` and the
body.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from psycopg.rows import tuple_row

from exchange.trust.keyring import Connect, KeyRing
from exchange.trust.merkle import merkle_root
from exchange.trust.record import instant_text
from schemas.clock import Clock
from schemas.errors import DefectError, TransientError

FORM: Final = 1
NO_PREVIOUS: Final = bytes(32)
_SIGNED: Final = b"onedoor checkpoint v1\n"
_LOCK: Final = int.from_bytes(sha256(b"onedoor ledger sealer").digest()[:8], "big", signed=True)
_SUFFIX: Final = ".checkpoint.json"

# Each chain has one writer, who commits in order: what can be seen of a chain has no gap, whatever commits late elsewhere.
_NEW: Final = """
WITH RECURSIVE chains AS (
    (SELECT chain FROM trust.ledger ORDER BY chain LIMIT 1)
    UNION ALL
    SELECT (SELECT l.chain FROM trust.ledger l WHERE l.chain > c.chain ORDER BY l.chain LIMIT 1)
    FROM chains c WHERE c.chain IS NOT NULL
)
SELECT c.chain, coalesce(s.n, -1), l.n, l.hash
FROM chains c
LEFT JOIN trust.sealed s ON s.chain = c.chain
CROSS JOIN LATERAL (SELECT n, hash FROM trust.ledger WHERE chain = c.chain AND n > coalesce(s.n, -1)) l
WHERE c.chain IS NOT NULL
ORDER BY c.chain COLLATE "C", l.n
"""


@dataclass(frozen=True, slots=True)
class Advance:
    """What a chain grew by: records ``first`` to ``last``, and the hash of the last."""

    chain: str
    first: int
    last: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed checkpoint. ``body`` is what was signed; the other fields but ``signature`` and ``key_id`` are read from it."""

    n: int
    at: str
    previous: bytes
    chains: tuple[Advance, ...]
    root: bytes
    body: bytes
    signature: bytes
    key_id: str

    @property
    def hash(self) -> bytes:
        """What the next checkpoint, and new chains, cite."""
        return sha256(self.body).digest()

    @property
    def records(self) -> int:
        """How many records it seals."""
        return sum(chain.last - chain.first + 1 for chain in self.chains)

    def signed_by(self, key: Ed25519PublicKey) -> bool:
        """Say whether the signature is that key's over the body."""
        try:
            key.verify(self.signature, _SIGNED + self.body)
        except InvalidSignature:
            return False
        return True


def seal_checkpoint(connect: Connect, keys: KeyRing, clock: Clock, folder: Path) -> Checkpoint | None:
    """Seal what the ledger grew by since the last checkpoint; return None where it did not grow or another process is at it.

    The checkpoint is committed, then published; one that a crash left unpublished is published by the next call.

    Raises:
        TransientError: the database is away (``ledger.away``), or the folder cannot be written to (``ledger.publish``).
        DefectError: a chain has a gap (``ledger.gap``), or what was published is not what the database holds
            (``ledger.checkpoint_differs``): nothing is sealed over it.
    """
    with _away(), connect() as connection, _alone(connection) as first:
        if not first:
            return None
        cursor = connection.cursor(row_factory=tuple_row)
        last = _last(cursor)
        _publish_missing(cursor, folder, last)
        made = _make(cursor, keys, clock.now(), last)
        if made is None:
            connection.rollback()
            return None
        connection.commit()
        publish(made, folder)
        return made


def read_checkpoint(body: bytes, signature: bytes, key_id: str) -> Checkpoint:
    """Return a checkpoint from its parts. Raises ``ValueError`` where the body is not of the form."""
    try:
        parts = json.loads(body)
        chains = tuple(Advance(str(c), int(a), int(b), bytes.fromhex(h)) for c, a, b, h in parts["chains"])
        if parts["v"] != FORM:
            raise ValueError("another version")
        n, at = int(parts["n"]), str(parts["at"])
        previous, root = bytes.fromhex(parts["previous"]), bytes.fromhex(parts["root"])
        return Checkpoint(n, at, previous, chains, root, body, signature, key_id)
    except (KeyError, TypeError) as error:
        raise ValueError("a checkpoint's body is not of the form") from error


def checkpoint_body(n: int, at: datetime, previous: bytes, chains: Sequence[Advance], root: bytes) -> bytes:
    """Return the bytes that are signed."""
    parts = {
        "v": FORM,
        "n": n,
        "at": instant_text(at),
        "previous": previous.hex(),
        "chains": [[c.chain, c.first, c.last, c.hash.hex()] for c in chains],
        "root": root.hex(),
    }
    return json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def sign_checkpoint(body: bytes, keys: KeyRing) -> Checkpoint:
    """Return the checkpoint of a body, signed by the ledger's key."""
    return read_checkpoint(body, keys.ledger_signer().sign(_SIGNED + body), keys.ledger_key_id())


def published_path(folder: Path, n: int) -> Path:
    """Return the file of a published checkpoint."""
    return folder / f"{n:012d}{_SUFFIX}"


def publish(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint to the publishing folder, durably, whole or not at all; never over another.

    Raises:
        TransientError: the folder cannot be written to (``ledger.publish``).
        DefectError: another checkpoint of that number is there (``ledger.checkpoint_differs``).
    """
    path = published_path(folder, checkpoint.n)
    content = published_bytes(checkpoint)
    temporary = folder / f".{path.name}.{secrets.token_hex(6)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)  # unlike a rename, refuses to replace
            except FileExistsError:
                if path.read_bytes() != content:
                    raise _differs(path) from None
        finally:
            temporary.unlink(missing_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise TransientError(
            f"a checkpoint cannot be published: {error.strerror}",
            code="ledger.publish",
            where=str(folder),
            remedy="make room in the folder and let the hub write there",
        ) from error


def published_bytes(checkpoint: Checkpoint) -> bytes:
    """Return the content of a published file."""
    parts = {"body": checkpoint.body.decode(), "key_id": checkpoint.key_id, "signature": checkpoint.signature.hex()}
    return json.dumps(parts, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def read_published(path: Path) -> Checkpoint:
    """Return the checkpoint of a published file. Raises ``ValueError`` where it is not of the form."""
    try:
        parts = json.loads(path.read_bytes())
        return read_checkpoint(parts["body"].encode(), bytes.fromhex(parts["signature"]), str(parts["key_id"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a published checkpoint is not of the form") from error


def published_numbers(folder: Path) -> list[int]:
    """Return the numbers of the published checkpoints, in order."""
    if not folder.exists():
        return []
    names = (path.name.removesuffix(_SUFFIX) for path in folder.iterdir() if path.name.endswith(_SUFFIX))
    return sorted(int(name) for name in names if name.isdigit())


def _make(cursor: psycopg.Cursor[Any], keys: KeyRing, now: datetime, last: Checkpoint | None) -> Checkpoint | None:
    previous = last.hash if last else NO_PREVIOUS
    chains: list[Advance] = []
    with cursor.connection.cursor(name="ledger_new", row_factory=tuple_row) as rows:
        rows.itersize = 20_000
        rows.execute(_NEW, binary=True)
        root = merkle_root(_entries(previous, rows, chains))
    if not chains:
        return None
    n = last.n + 1 if last else 1
    made = sign_checkpoint(checkpoint_body(n, now, previous, chains, root), keys)
    cursor.execute(
        "INSERT INTO trust.checkpoint (n, at, body, root, signature, key_id) VALUES (%s, %s, %s, %s, %s, %s)",
        (made.n, now, made.body, made.root, made.signature, made.key_id),
    )
    cursor.execute(
        "INSERT INTO trust.sealed (chain, n, checkpoint) SELECT s.chain, s.n, %s"
        " FROM unnest(%s::text[], %s::bigint[]) AS s (chain, n)"
        " ON CONFLICT (chain) DO UPDATE SET n = excluded.n, checkpoint = excluded.checkpoint",
        (n, [c.chain for c in chains], [c.last for c in chains]),
    )
    return made


def _entries(previous: bytes, rows: psycopg.ServerCursor[Any], chains: list[Advance]) -> Iterator[bytes]:
    """Yield what the root is over, and note in ``chains`` how far each chain goes."""
    yield previous
    current: tuple[str, int] | None = None
    expected, tip = 0, b""
    for chain, sealed, n, tip_of_row in rows:
        if current is None or chain != current[0]:
            if current is not None:
                chains.append(Advance(current[0], current[1], expected - 1, tip))
            current, expected = (chain, sealed + 1), sealed + 1
        if n != expected:
            raise DefectError(
                "the ledger has a gap",
                code="ledger.gap",
                where=f"trust.ledger chain {chain} n {expected}",
                remedy="run onedoor audit verify, and find who can write to the ledger",
            )
        expected, tip = n + 1, bytes(tip_of_row)
        yield tip
    if current is not None:
        chains.append(Advance(current[0], current[1], expected - 1, tip))


def _last(cursor: psycopg.Cursor[Any]) -> Checkpoint | None:
    row = cursor.execute("SELECT body, signature, key_id FROM trust.checkpoint ORDER BY n DESC LIMIT 1", binary=True).fetchone()
    if row is None:
        return None
    return _read_row(row)


def _read_row(row: Sequence[Any]) -> Checkpoint:
    try:
        return read_checkpoint(bytes(row[0]), bytes(row[1]), row[2])
    except ValueError:
        raise DefectError(
            "a checkpoint in the database is not of the form",
            code="ledger.checkpoint_differs",
            where="trust.checkpoint",
            remedy="run onedoor audit verify",
        ) from None


def _publish_missing(cursor: psycopg.Cursor[Any], folder: Path, last: Checkpoint | None) -> None:
    """Publish what a crash left unpublished; refuse to go on where the folder knows more or other than the database."""
    top = 0 if last is None else last.n
    numbers = published_numbers(folder)
    highest = numbers[-1] if numbers else 0
    if highest > top:
        raise _differs(published_path(folder, highest))
    if last is not None and highest == top:
        publish(last, folder)  # compares
    for row in cursor.execute(
        "SELECT body, signature, key_id FROM trust.checkpoint WHERE n > %s ORDER BY n", (highest,), binary=True
    ).fetchall():
        publish(_read_row(row), folder)


@contextmanager
def _alone(connection: psycopg.Connection[Any]) -> Iterator[bool]:
    """Hold the sealer's lock over several transactions; give False where another process has it."""
    cursor = connection.cursor(row_factory=tuple_row)
    row = cursor.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    held = bool(row and row[0])
    try:
        yield held
    finally:
        if held and not connection.broken:
            connection.rollback()
            cursor.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise TransientError(
            "the ledger's database is away", code="ledger.away", where="trust.checkpoint", remedy="see onedoor doctor"
        ) from error


def _differs(path: Path) -> DefectError:
    return DefectError(
        "a published checkpoint is not what the database holds: the ledger was cut, altered or exchanged",
        code="ledger.checkpoint_differs",
        where=str(path),
        remedy="run onedoor audit verify, and find who can write to the ledger",
    )
