"""Verifying the ledger: chains, roots and signatures are computed again, and compared with what was published outside.

It needs the public key and nothing secret, and reads either the hub's database or an export of it. Every deviation is named
with its place; ``Verdict.first`` is the first one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from exchange.trust.checkpoint import (
    NO_PREVIOUS,
    Advance,
    Checkpoint,
    published_numbers,
    published_path,
    read_checkpoint,
    read_published,
)
from exchange.trust.merkle import merkle_root
from exchange.trust.record import GENESIS, START, Line, Placed, Receipt, instant_text, placed
from schemas.errors import Fault as Side
from schemas.errors import RejectedError

HASH_BYTES: Final = 32
MOST_FAULTS: Final = 100
_WIDEST_GAP: Final = 1_000_000


class Evidence(Protocol):
    """What there is to verify."""

    def checkpoints(self) -> Iterator[tuple[int, bytes, bytes, str, bytes]]:
        """Yield (n, body, signature, key id, root) as stored, by n."""
        ...

    def lines(self) -> Iterator[Line]:
        """Yield the records as stored, by chain and n."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """One deviation. ``what`` is ``altered``, ``missing``, ``cut``, ``forged`` or ``unpublished``; ``field`` says in what.

    ``chain`` and ``n`` name a record; where ``chain`` is None, ``n`` is the number of a checkpoint.
    """

    what: str
    chain: str | None
    n: int
    field: str
    detail: str

    def __str__(self) -> str:
        place = f"checkpoint {self.n}" if self.chain is None else f"chain {self.chain} n {self.n}"
        return f"{self.what}: {place}, {self.field}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was verified. ``unsealed`` records are chained, but no checkpoint covers them yet."""

    records: int
    chains: int
    checkpoints: int
    unsealed: int
    faults: tuple[Fault, ...]

    @property
    def intact(self) -> bool:
        """True where nothing deviates."""
        return not self.faults

    @property
    def first(self) -> Fault | None:
        """The first deviation: chains by name and number first, then checkpoints."""
        return self.faults[0] if self.faults else None


@dataclass(frozen=True, slots=True)
class ReceiptVerdict:
    """Whether a receipt holds. ``checkpoint`` is the number of the one that seals it, None where none does yet."""

    holds: bool
    checkpoint: int | None
    reason: str


def read_public_key(pem: bytes, where: str) -> Ed25519PublicKey:
    """Return the ledger's public key. Raises ``RejectedError`` where the text is none."""
    key: object = None
    with suppress(ValueError):
        key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise RejectedError(
            "not an Ed25519 public key in PEM",
            code="audit.public_key",
            where=where,
            remedy="give the file ledger.pub of the hub's key folder",
            fault=Side.CLIENT,
        )
    return key


def verify(evidence: Evidence, public_key: Ed25519PublicKey, published: Path | None = None) -> Verdict:
    """Return what deviates in the ledger.

    Args:
        evidence: the database or an export.
        public_key: the ledger's, from a place that the hub's administrators do not write to.
        published: the publishing folder, or a copy; without it a tail that was cut together with its checkpoints is not seen.
    """
    before = published_numbers(published) if published is not None else []  # listed first: the ledger goes on meanwhile
    chains = _Chains()
    for chain, lines in groupby(evidence.lines(), key=lambda line: line.chain):
        chains.read(chain, lines)
    sealed = _Sealed(chains, public_key)
    for stored in evidence.checkpoints():
        sealed.read(*stored)
    faults = [*chains.faults, *sealed.faults, *_citations(chains, sealed.known)]
    if published is not None:
        faults += _compare_published(published, before, sealed.known, public_key)
    unsealed = sum(max(0, chains.length(chain) - sealed.upto[chain] - 1) for chain in chains.names)
    return Verdict(chains.records, len(chains.names), len(sealed.known), unsealed, tuple(faults[:MOST_FAULTS]))


def verify_receipt(receipt: Receipt, evidence: Evidence, public_key: Ed25519PublicKey) -> ReceiptVerdict:
    """Say whether the ledger holds what a receipt says, computing its chain again up to it."""
    chains = _Chains()
    for chain, lines in groupby(evidence.lines(), key=lambda line: line.chain):
        chains.read(chain, lines)
    stored = chains.hash(receipt.chain, receipt.n)
    if stored is None:
        return ReceiptVerdict(False, None, "the ledger has no such record")
    if stored.hex() != receipt.hash:
        return ReceiptVerdict(False, None, "the ledger's record has another hash")
    before = next((f for f in chains.faults if f.chain == receipt.chain and f.n <= receipt.n), None)
    if before is not None:
        return ReceiptVerdict(False, None, f"its chain is broken: {before}")
    sealed = _Sealed(chains, public_key)
    for number, body, signature, key_id, root in evidence.checkpoints():
        sealed.read(number, body, signature, key_id, root)
        if sealed.upto[receipt.chain] >= receipt.n:
            if sealed.faults:
                return ReceiptVerdict(False, None, f"its checkpoint does not hold: {sealed.faults[0]}")
            return ReceiptVerdict(True, number, f"sealed by checkpoint {number}")
    return ReceiptVerdict(True, None, "recorded; no checkpoint seals it yet")


@dataclass
class _Chains:
    """Recomputes chains; keeps each record's stored hash, 32 bytes a record."""

    faults: list[Fault] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    records: int = 0
    cites: list[Placed] = field(default_factory=list)
    _hashes: dict[str, bytearray] = field(default_factory=dict)
    _absent: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def length(self, chain: str) -> int:
        return len(self._hashes.get(chain, b"")) // HASH_BYTES

    def hash(self, chain: str, n: int) -> bytes | None:
        if not 0 <= n < self.length(chain) or n in self._absent[chain]:
            return None
        return bytes(self._hashes[chain][n * HASH_BYTES : (n + 1) * HASH_BYTES])

    def read(self, chain: str, lines: Iterable[Line]) -> None:
        self.names.append(chain)
        hashes = self._hashes.setdefault(chain, bytearray())
        previous: bytes | None = GENESIS
        doubtful: tuple[int, bytes, bytes] | None = None  # (n, stored, computed) of a record whose hash differs
        for line in lines:
            self.records += 1
            expected = len(hashes) // HASH_BYTES
            if line.n < expected or line.n > expected + _WIDEST_GAP:
                self._fault("altered", chain, line.n, "n", f"n {expected} was expected")
                continue
            if line.n > expected:
                self._fault("missing", chain, expected, "record", f"the next record of the chain is n {line.n}")
                self._absent[chain].update(range(expected, line.n))
                hashes += bytes(HASH_BYTES * (line.n - expected))
                previous = None
            self._columns(line)
            if previous is not None:
                computed = sha256(previous + line.record).digest()
                if doubtful is not None:
                    # the record after tells which of the two is false: it was made from the true hash
                    from_computed = sha256(doubtful[2] + line.record).digest() == line.hash
                    self._doubt(chain, doubtful, "hash" if from_computed else "record")
                    doubtful = None
                    computed = line.hash if from_computed else computed
                if computed != line.hash:
                    doubtful = (line.n, line.hash, computed)
            hashes += line.hash if len(line.hash) == HASH_BYTES else bytes(HASH_BYTES)
            previous = line.hash
        if doubtful is not None:
            self._doubt(chain, doubtful, "record or hash")

    def _columns(self, line: Line) -> None:
        said = placed(line.record)
        if said is None:
            self._fault("altered", line.chain, line.n, "record", "it is not of the form of a record")
            return
        if (said.chain, said.n, said.kind, said.at) != (line.chain, line.n, line.kind, instant_text(line.at)):
            expected = {"chain": line.chain, "n": line.n, "kind": line.kind, "at": instant_text(line.at)}
            for name in (name for name, value in expected.items() if getattr(said, name) != value):
                self._fault("altered", line.chain, line.n, name, "the column and the record differ")
        if line.n == 0:
            if line.kind != START:
                self._fault("altered", line.chain, 0, "kind", f"a chain starts with {START}")
            self.cites.append(said)

    def _doubt(self, chain: str, doubtful: tuple[int, bytes, bytes], what: str) -> None:
        self._fault("altered", chain, doubtful[0], what, "its hash is not that of the record and what stands before it")

    def _fault(self, what: str, chain: str, n: int, name: str, detail: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(what, chain, n, name, detail))


@dataclass
class _Sealed:
    """Recomputes checkpoints, in their order."""

    chains: _Chains
    key: Ed25519PublicKey
    faults: list[Fault] = field(default_factory=list)
    known: dict[int, Checkpoint] = field(default_factory=dict)
    upto: dict[str, int] = field(default_factory=lambda: defaultdict(lambda: -1))
    _last: Checkpoint | None = None

    def read(self, number: int, body: bytes, signature: bytes, key_id: str, root: bytes) -> None:
        expected = self._last.n + 1 if self._last else 1
        for missing in range(expected, min(number, expected + MOST_FAULTS)):
            self._fault("missing", missing, "checkpoint", "there are later checkpoints")
        try:
            checkpoint = read_checkpoint(body, signature, key_id)
        except ValueError:
            self._fault("altered", number, "body", "it is not of the form of a checkpoint")
            return
        if not checkpoint.signed_by(self.key):
            self._fault("forged", number, "signature", "it is not the ledger key's signature of the body")
        elif checkpoint.n != number:
            self._fault("altered", number, "n", "the column and the body differ")
        elif checkpoint.root != root:
            self._fault("altered", number, "root", "the column and the body differ")
        else:
            self._content(checkpoint, consecutive=number == expected)
        self._last = checkpoint
        self.known[number] = checkpoint

    def _content(self, checkpoint: Checkpoint, *, consecutive: bool) -> None:
        if consecutive and checkpoint.previous != (self._last.hash if self._last else NO_PREVIOUS):
            self._fault("altered", checkpoint.n, "previous", "it does not cite the checkpoint before")
        whole = True
        for advance in checkpoint.chains:
            whole &= self._advance(checkpoint, advance, consecutive=consecutive)
        if whole and merkle_root(self._entries(checkpoint)) != checkpoint.root:
            names = ", ".join(f"{a.chain} {a.first}-{a.last}" for a in checkpoint.chains[:5])
            self._fault("altered", checkpoint.n, "root", f"a record's hash among chain {names} is not the one that was sealed")

    def _advance(self, checkpoint: Checkpoint, advance: Advance, *, consecutive: bool) -> bool:
        whole = True
        if consecutive and advance.first != self.upto[advance.chain] + 1:
            self._fault("altered", checkpoint.n, "chains", f"chain {advance.chain} does not go on where it was sealed")
        self.upto[advance.chain] = max(self.upto[advance.chain], advance.last)
        length = self.chains.length(advance.chain)
        if length <= advance.last:
            detail = f"checkpoint {checkpoint.n} seals the chain up to n {advance.last}"
            self.faults.append(Fault("cut", advance.chain, length, "record", detail))
            whole = False
        elif any(self.chains.hash(advance.chain, n) is None for n in range(advance.first, advance.last + 1)):
            whole = False  # named as missing already
        elif self.chains.hash(advance.chain, advance.last) != advance.hash:
            detail = f"checkpoint {checkpoint.n} sealed another hash: n {advance.first} to {advance.last} were written again"
            self.faults.append(Fault("altered", advance.chain, advance.last, "hash", detail))
            whole = False
        return whole

    def _entries(self, checkpoint: Checkpoint) -> Iterator[bytes]:
        yield checkpoint.previous
        for advance in checkpoint.chains:
            for n in range(advance.first, advance.last + 1):
                yield self.chains.hash(advance.chain, n) or b""

    def _fault(self, what: str, n: int, name: str, detail: str) -> None:
        self.faults.append(Fault(what, None, n, name, detail))


def _citations(chains: _Chains, checkpoints: Mapping[int, Checkpoint]) -> Iterator[Fault]:
    """A chain's first record names a checkpoint, and the chain it goes on from: both must be there as named."""
    for said in chains.cites:
        if (cited := said.checkpoint) is not None:
            known = checkpoints.get(cited.n)
            if known is None or known.hash.hex() != cited.hash:
                detail = f"chain {said.chain} cites one of this number that is not there"
                yield Fault("missing", None, cited.n, "checkpoint", detail)
        if (after := said.after) is not None:
            stored = chains.hash(after.chain, after.n)
            if stored is None or stored.hex() != after.hash:
                what = "cut" if stored is None else "altered"
                yield Fault(what, after.chain, after.n, "record", f"chain {said.chain} goes on from it")


def _compare_published(
    folder: Path, numbers: Iterable[int], known: Mapping[int, Checkpoint], key: Ed25519PublicKey
) -> Iterator[Fault]:
    for n in numbers:
        path = published_path(folder, n)
        try:
            published = read_published(path)
        except (ValueError, OSError):
            yield Fault("altered", None, n, "published file", f"{path.name} cannot be read")
            continue
        if published.n != n or not published.signed_by(key):
            yield Fault("forged", None, n, "published file", f"{path.name} is not signed by the ledger's key")
        elif n not in known:
            yield Fault("cut", None, n, "checkpoint", f"it was published as {path.name}, and the ledger no longer holds it")
        elif known[n].body != published.body:
            yield Fault("forged", None, n, "body", f"it is not what was published as {path.name}")
    there = set(published_numbers(folder))
    for n in sorted(known.keys() - there):
        yield Fault("unpublished", None, n, "published file", "the publishing folder does not have it")
