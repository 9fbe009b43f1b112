"""Who received what is wrong, by the ledger: each use is there before its answer leaves.

A look-up's record names the rows that it gave. A query's record holds which fields it gave of which run, how many rows, and the
sum of their hashes: of one row that sum is the row's hash, so that it is sure; of more it may have given the row. A grant whose
row filter does not let the row through as it was disputed never gave it; where that cannot be known, it may have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg

from catalog_registry.correction_records import CorrectionRecord, Received
from catalog_registry.records import GrantRecord
from exchange.corrections.row import Looked, let_through
from exchange.query.answer import KIND as QUERY_KIND
from exchange.store.database import translated
from exchange.trust.record import LedgerRecord
from schemas.errors import DefectError

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

LOOKUP_KIND: Final = "licence.lookup"
MOST: Final = 100
"""Receipts and cases that a notice names at most."""

_FETCHED: Final = 2_000
_FOUND: Final = "SELECT record FROM trust.ledger WHERE kind = %s AND position(%s::bytea IN record) > 0"
_record: Final = msgspec.json.Decoder(LedgerRecord)


@dataclass(slots=True)
class _Uses:
    """What a department was given, added up."""

    certain: bool = False
    times: int = 0
    first_at: str = ""
    last_at: str = ""
    systems: set[str] = field(default_factory=set)
    cases: dict[str, None] = field(default_factory=dict)
    receipts: list[dict[str, str | int]] = field(default_factory=list)

    def add(self, record: LedgerRecord, *, certain: bool) -> None:
        self.certain = self.certain or certain
        self.times += 1
        self.first_at = min(record.at, self.first_at or record.at)
        self.last_at = max(record.at, self.last_at)
        if record.system is not None:
            self.systems.add(record.system)
        if record.case is not None and len(self.cases) < MOST:
            self.cases[record.case] = None
        if len(self.receipts) < MOST:
            self.receipts.append({"chain": record.chain, "n": record.n})

    def detail(self) -> dict[str, Any]:
        return {
            "times": self.times,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "systems": sorted(self.systems),
            "cases": list(self.cases),
            "receipts": self.receipts,
        }


def receivers(hub: Hub, correction: CorrectionRecord, seen: Looked | None) -> list[Received]:
    """Return the departments that received the row of a correction, or may have, or anything of the resource; by code.

    Args:
        hub: whose ledger is read, all of it: by its owner, not while somebody waits.
        correction: what is wrong. Where it names fields, only those who were given one of them.
        seen: the row as the store has it now; None: it is about a whole resource.
    """
    grants = {grant.id: grant for grant in hub.registry.grants(resource=correction.resource)}
    passing = set(correction.let_through)
    if seen is not None and seen.row.hash is not None and seen.row.hash.hex() == correction.hash_before:
        passing |= set(let_through(hub, seen))  # grants made since it was asked
    elif correction.hash_before is not None:  # the row changed: what a filter made since would have said of it is not known
        passing |= {grant.id for grant in grants.values() if grant.made_at > correction.made_at}
    uses: defaultdict[str, _Uses] = defaultdict(_Uses)
    for record, certain in chain(_lookups(hub, correction, grants), _queries(hub, correction, grants, passing)):
        if record.department is not None:
            uses[record.department].add(record, certain=certain)
    return [Received(department, found.certain, found.detail()) for department, found in sorted(uses.items())]


def _lookups(hub: Hub, correction: CorrectionRecord, grants: Mapping[str, GrantRecord]) -> Iterator[tuple[LedgerRecord, bool]]:
    named = ledger_name(correction)
    needle = msgspec.json.encode(named)
    if correction.row_key is None:
        needle = needle.removesuffix(b'"')
    for record in _records(hub, LOOKUP_KIND, needle):
        gave = record.rows if correction.row_key is not None else [name[: len(named)] for name in record.rows]
        under = [grants[one] for one in (record.grant or "").split(",") if one in grants]
        if record.outcome == "allowed" and named in gave and _of_fields(correction, {f for g in under for f in g.fields}):
            yield record, True


def _queries(
    hub: Hub, correction: CorrectionRecord, grants: Mapping[str, GrantRecord], passing: Collection[str]
) -> Iterator[tuple[LedgerRecord, bool]]:
    for record, end in _answers(_records(hub, QUERY_KIND, b'"resource":' + msgspec.json.encode(correction.resource))):
        if record.resource != correction.resource:
            continue
        grant = grants.get(record.grant or "")
        if grant is not None and grant.row_filter is not None and correction.row_key is not None and grant.id not in passing:
            continue
        given = str((record.manifest or {}).get("fields", "")).split(",")
        certain = _gave(end, correction)
        if certain is not None and _of_fields(correction, given):
            yield record, certain


def _answers(records: Iterable[LedgerRecord]) -> Iterator[tuple[LedgerRecord, LedgerRecord | None]]:
    """Yield each answer's first record with its last one, None where it has none; what waits for its other half is kept."""
    halves: dict[str, LedgerRecord] = {}
    for record in records:
        if record.request is None or record.outcome == "refused":
            continue
        other = halves.pop(record.request, None)
        if other is None:
            halves[record.request] = record
        else:
            yield (record, other) if record.outcome == "allowed" else (other, record)
    for record in halves.values():
        if record.outcome == "allowed":
            yield record, None


def _gave(end: LedgerRecord | None, correction: CorrectionRecord) -> bool | None:
    """Say whether an answer surely gave the row, True, or may have, False; None where it did not.

    An answer without an end was ended by a kill, after as many rows as had left.
    """
    if end is None or end.manifest is None:
        return False
    rows = end.manifest.get("rows", 0)
    if rows == 0:
        return None
    if correction.row_key is None:
        return True
    if rows == 1:
        return True if end.manifest.get("hash_sum") == correction.hash_before else None
    return False


def _of_fields(correction: CorrectionRecord, given: Collection[str]) -> bool:
    return not correction.fields or bool(set(correction.fields) & set(given))


def ledger_name(correction: CorrectionRecord) -> str:
    """Return how a look-up's record names the row of a correction; of a whole resource what all such names begin with."""
    return f"{correction.resource}/{'/'.join(correction.row_key or ())}"


def _records(hub: Hub, kind: str, needle: bytes) -> Iterator[LedgerRecord]:
    """Yield the records of a kind that hold a text, at flat memory."""
    with translated(), hub.connect() as connection, psycopg.ServerCursor(connection, "receivers") as cursor:
        cursor.itersize = _FETCHED
        for (body,) in cursor.execute(_FOUND, (kind, needle)):
            try:
                record = _record.decode(bytes(body))
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise DefectError(
                    "a record of the ledger is not of the form of a record",
                    code="ledger.form",
                    where="trust.ledger",
                    remedy="run onedoor audit verify",
                ) from None
            yield record
