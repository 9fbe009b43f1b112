"""The form of a ledger record, and how records are chained. Frozen by ``tests/golden``; verifiers elsewhere read it.

A record is canonical JSON: keys sorted, UTF-8, no blanks, absent where empty. Each holds a random salt, so that nobody finds
its content from its hash. ``hash_n = SHA-256(hash_(n-1) ‖ record_n)``; before the first record stand 32 zero bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import msgspec
from msgspec.structs import replace

from schemas.errors import RejectedError

FORM: Final = 1
GENESIS: Final = bytes(32)
SALT_BYTES: Final = 16
START: Final = "chain.start"
"""Kind of the first record of a chain, which cites the last checkpoint, and the chain it goes on from, where there is one."""


class LedgerRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened, who did it, to what, by which right. The ledger itself fills ``at``, ``chain``, ``n`` and ``salt``.

    ``kind`` is ``area.fact``; ``outcome`` is ``allowed``, ``refused``, ``done`` or ``cut`` (ended too early). ``holder`` is
    a pseudonym of the permanent key. ``rows`` are row keys or their pseudonyms, ``manifest`` stands for many rows. ``request``
    is the same in all records of one answer. ``count`` is above 1 where equal refusals were summed up. No field ever holds a
    personal value.
    """

    v: int = msgspec.field(default_factory=lambda: FORM)
    kind: str
    outcome: str
    at: str = ""
    chain: str = ""
    n: int = -1
    salt: str = ""
    principal: str | None = None
    department: str | None = None
    system: str | None = None
    operator: str | None = None
    resource: str | None = None
    grant: str | None = None
    item: str | None = None
    case: str | None = None
    purpose: str | None = None
    holder: str | None = None
    rows: Sequence[str] = ()
    manifest: Mapping[str, str | int] | None = None
    reason: str | None = None
    request: str | None = None
    count: int = 1
    checkpoint: Mapping[str, str | int] | None = None
    after: Mapping[str, str | int] | None = None


class Receipt(msgspec.Struct, frozen=True):
    """Where a record stands: the chain, its number, and the hash that binds it and all before it (64 hex digits)."""

    chain: str
    n: int
    hash: str


class Line(msgspec.Struct, frozen=True):
    """A record in its place, as stored."""

    chain: str
    n: int
    at: datetime
    kind: str
    record: bytes
    hash: bytes

    @property
    def receipt(self) -> Receipt:
        """The receipt for this line."""
        return Receipt(self.chain, self.n, self.hash.hex())


class CitedCheckpoint(msgspec.Struct, frozen=True):
    """The checkpoint that the first record of a chain cites."""

    n: int
    hash: str


class CitedRecord(msgspec.Struct, frozen=True):
    """The record of another chain that a chain goes on from."""

    chain: str
    n: int
    hash: str


class Placed(msgspec.Struct, frozen=True):
    """What a record says of its own place."""

    chain: str
    n: int
    kind: str
    at: str
    checkpoint: CitedCheckpoint | None = None
    after: CitedRecord | None = None


_placed = msgspec.json.Decoder(Placed).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def instant_text(at: datetime) -> str:
    """Return the one text of an instant: UTC with microseconds and ``Z``."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def line_after(previous: bytes, record: LedgerRecord, *, chain: str, n: int, at: datetime, at_text: str, salt: bytes) -> Line:
    """Return the line that follows a hash; ``at_text`` is ``instant_text(at)``, given so that a batch makes it once."""
    body = _encode(replace(record, at=at_text, chain=chain, n=n, salt=salt.hex()))
    return Line(chain, n, at, record.kind, body, sha256(previous + body).digest())


def placed(record: bytes) -> Placed | None:
    """Return what a stored record says of its own place, None where it is not of the form of a record."""
    try:
        return _placed(record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def lines_after(
    previous: bytes, records: Sequence[LedgerRecord], *, chain: str, n: int, at: datetime, salts: bytes
) -> list[Line]:
    """Return the lines of records that follow a hash, the first with number ``n``; ``salts`` has 16 bytes for each."""
    text = instant_text(at)
    lines = []
    for i, record in enumerate(records):
        salt = salts[i * SALT_BYTES : (i + 1) * SALT_BYTES]
        line = line_after(previous, record, chain=chain, n=n + i, at=at, at_text=text, salt=salt)
        previous = line.hash
        lines.append(line)
    return lines


def refuse_unwritable(record: LedgerRecord) -> None:
    """Raise ``RejectedError`` where a text is no Unicode text, so that one such record does not stop those beside it."""
    try:
        _encode(record)
    except UnicodeEncodeError:  # its message would show the text
        raise RejectedError("a text of the record is no Unicode text", code="ledger.text", where=record.kind) from None


def start_record(checkpoint: tuple[int, bytes] | None, after: Receipt | None = None) -> LedgerRecord:
    """Return the first record of a chain.

    Args:
        checkpoint: number and hash of the last checkpoint, None where there is none yet.
        after: the last record known to be committed of the chain that this one goes on from.
    """
    return LedgerRecord(
        kind=START,
        outcome="done",
        checkpoint=None if checkpoint is None else {"n": checkpoint[0], "hash": checkpoint[1].hex()},
        after=None if after is None else {"chain": after.chain, "n": after.n, "hash": after.hash},
    )
