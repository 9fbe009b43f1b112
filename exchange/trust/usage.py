"""Who uses what, how often, on which ground: daily sums of what the ledger says, counted a little at a time.

The ledger is the record, a sum is none: it can be thrown away and counted again. It holds no person, no case, no operator and
no row. Each chain of the ledger has one writer who commits in order, so that a number for each chain says what was counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import msgspec
import psycopg
from psycopg.rows import tuple_row

from exchange.store.database import Connection
from exchange.trust.keyring import Connect
from schemas.clock import CHINA, Clock

KINDS: Final = ("licence.lookup", "resource.query")
"""The kinds of records that are uses of a resource by a consumer; each names resource, grant and its rows, or their number."""

BATCH: Final = 20_000
"""Records of a chain that are counted in one transaction at most."""

_LOCK: Final = 0x4F44_7573_6167  # any constant of our own; who holds it is counting

_GROWN: Final = """
WITH RECURSIVE chains AS (
    (SELECT chain FROM trust.ledger ORDER BY chain LIMIT 1)
    UNION ALL
    SELECT (SELECT l.chain FROM trust.ledger l WHERE l.chain > c.chain ORDER BY l.chain LIMIT 1)
    FROM chains c WHERE c.chain IS NOT NULL
)
SELECT c.chain, coalesce(d.n, -1), l.n
FROM chains c
LEFT JOIN trust.usage_counted d ON d.chain = c.chain
CROSS JOIN LATERAL (SELECT n FROM trust.ledger WHERE chain = c.chain ORDER BY n DESC LIMIT 1) l
WHERE c.chain IS NOT NULL AND l.n > coalesce(d.n, -1)
"""
_RECORDS: Final = "SELECT at, record FROM trust.ledger WHERE chain = %s AND n > %s AND n <= %s AND kind = ANY(%s)"
_COUNTED: Final = "INSERT INTO trust.usage_counted (chain, n) VALUES (%s, %s) ON CONFLICT (chain) DO UPDATE SET n = excluded.n"
_ADD: Final = """
INSERT INTO trust.usage_day AS u
    (day, kind, resource, department, system, grant_id, purpose, item, allowed, refused, cut, row_count)
SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                     %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (resource, day, department, kind, system, grant_id, purpose, item) DO UPDATE
SET allowed = u.allowed + excluded.allowed, refused = u.refused + excluded.refused, cut = u.cut + excluded.cut,
    row_count = u.row_count + excluded.row_count
"""
_AT: Final = "INSERT INTO trust.usage_at (one, at) VALUES (true, %s) ON CONFLICT (one) DO UPDATE SET at = excluded.at"

_CHOSEN: Final = """
FROM trust.usage_day u
WHERE u.day >= %(first)s AND u.day < %(last)s
  AND (%(resource)s::text IS NULL OR u.resource = %(resource)s)
  AND (%(department)s::text IS NULL OR u.department = %(department)s)
  AND (%(seen)s::text IS NULL OR (u.department = %(seen)s AND u.grant_id <> '')
       OR u.resource IN (SELECT name FROM registry.resource
                         WHERE department = %(seen)s OR (u.department = %(seen)s AND state = 'published')))
"""
_DAYS: Final = f"""
SELECT u.id, u.day, u.kind, u.resource, u.department, u.system, u.grant_id, u.purpose, u.item,
       u.allowed, u.refused, u.cut, u.row_count
{_CHOSEN} AND u.id > %(after)s ORDER BY u.id LIMIT %(limit)s
"""
_TOTALS: Final = f"""
SELECT min(u.id), NULL::date, u.kind, u.resource, u.department, u.system, u.grant_id, u.purpose, u.item,
       sum(u.allowed)::bigint, sum(u.refused)::bigint, sum(u.cut)::bigint, sum(u.row_count)::bigint
{_CHOSEN}
GROUP BY u.kind, u.resource, u.department, u.system, u.grant_id, u.purpose, u.item
HAVING min(u.id) > %(after)s ORDER BY min(u.id) LIMIT %(limit)s
"""


class _Use(msgspec.Struct, frozen=True):
    """What is read of a record; the rest of it is not looked at."""

    kind: str
    outcome: str
    department: str = ""
    system: str = ""
    resource: str = ""
    grant: str = ""
    item: str = ""
    purpose: str = ""
    rows: Sequence[str] = ()
    manifest: Mapping[str, str | int] | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Ground:
    """What is summed up by: the resource, who used it, by which grant, for which purpose and item, on which day of China."""

    day: date
    kind: str
    resource: str
    department: str
    system: str
    grant: str
    purpose: str
    item: str


@dataclass(slots=True)
class Sums:
    """How many answers were begun, refused and cut short, and how many rows were given."""

    allowed: int = 0
    refused: int = 0
    cut: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class UsageLine:
    """A sum as it is told; ``day`` is None where the days are added up. ``id`` sorts the lines and never changes."""

    id: int
    day: date | None
    kind: str
    resource: str
    department: str
    system: str
    grant: str
    purpose: str
    item: str
    allowed: int
    refused: int
    cut: int
    rows: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Some lines, and the instant up to which the ledger was counted; None where nothing was counted yet."""

    counted_at: datetime | None
    lines: Sequence[UsageLine]


@dataclass(frozen=True, slots=True)
class UsageAsk:
    """What is asked about: the days in [``first``, ``last``), one resource or all, one consumer or all.

    ``seen``: only what this department used, or what was used of its own resources; None: everything. What it was refused of
    another's resource is told while that is published: a line would say that there is one. ``by_day``: a line for each day,
    else the days added up. ``after``: only lines after this id.
    """

    first: date
    last: date
    resource: str | None = None
    department: str | None = None
    seen: str | None = None
    by_day: bool = True
    after: int = 0
    limit: int = 1000


_use = msgspec.json.Decoder(_Use).decode


def summed(records: Iterable[tuple[datetime, bytes]], known: Collection[str]) -> Mapping[Ground, Sums]:
    """Return the sums of records. Pure.

    A look-up names the resources that it asked, each with its grant in the same order, and its rows by resource; a query says
    its rows when it ends. What was refused has no ground: its purpose and item are what somebody wrote, and are left out.

    Args:
        records: instant and text of each; one that cannot be read is left out, ``onedoor audit verify`` names it.
        known: the names of resources; another name is what a stranger wrote, and is left out.
    """
    found: dict[Ground, Sums] = defaultdict(Sums)
    for at, record in records:
        try:
            use = _use(record)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        day = at.astimezone(CHINA).date()
        for resource, grant in _parts(use):
            if resource not in known:
                continue
            if use.outcome == "refused":
                found[Ground(day, use.kind, resource, use.department, use.system, "", "", "")].refused += use.count
                continue
            sums = found[Ground(day, use.kind, resource, use.department, use.system, grant, use.purpose, use.item)]
            sums.allowed += use.outcome == "allowed"
            sums.cut += use.outcome == "cut"
            sums.rows += _rows(use, resource)
    return found


def _parts(use: _Use) -> Iterator[tuple[str, str]]:
    """Yield each resource of a record with its grant, ``""`` where there is none."""
    resources, grants = use.resource.split(","), use.grant.split(",")
    for place, resource in enumerate(resources):
        yield resource, grants[place] if len(grants) == len(resources) else ""


def _rows(use: _Use, resource: str) -> int:
    if use.manifest is not None:
        rows = use.manifest.get("rows", 0)
        return rows if isinstance(rows, int) else 0
    return sum(name.startswith(f"{resource}/") for name in use.rows)


def count_usage(connect: Connect, clock: Clock) -> int:
    """Add what the ledger holds by now to the sums; return how many records that were. Short transactions; twice is once.

    Raises:
        TransientError: the database is away; what was counted stays counted.
    """
    total = 0
    while True:
        with connect() as connection:
            counted = _count_some(connection, clock)
            if counted is None:
                return total
            total += counted


def _count_some(connection: Connection, clock: Clock) -> int | None:
    """Count a part of each chain that has grown; None where none had, and now is noted as the instant of the count."""
    cursor = connection.cursor(row_factory=tuple_row)
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    now = clock.now()
    grown = cursor.execute(_GROWN).fetchall()
    if not grown:
        cursor.execute(_AT, (now,))
        return None
    known = {name for (name,) in cursor.execute("SELECT name FROM registry.resource")}
    found: dict[Ground, Sums] = {}
    read = 0
    for chain, before, last in grown:
        until = min(last, before + BATCH)
        read += until - before
        part = summed(cursor.execute(_RECORDS, (chain, before, until, list(KINDS)), binary=True), known)
        for ground, sums in part.items():
            kept = found.setdefault(ground, Sums())
            kept.allowed += sums.allowed
            kept.refused += sums.refused
            kept.cut += sums.cut
            kept.rows += sums.rows
        cursor.execute(_COUNTED, (chain, until))
        if read >= BATCH:
            break
    if found:
        rows = [
            (
                *(g.day, g.kind, g.resource, g.department, g.system, g.grant, g.purpose, g.item),
                *(s.allowed, s.refused, s.cut, s.rows),
            )
            for g, s in found.items()
        ]
        cursor.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])
    return read


def read_usage(connection: psycopg.Connection[tuple[object, ...]], ask: UsageAsk) -> Usage:
    """Return the sums that are asked about, by the order in which they were first seen."""
    cursor = connection.cursor(row_factory=tuple_row)
    at = cursor.execute("SELECT at FROM trust.usage_at").fetchone()
    wanted = {
        "first": ask.first,
        "last": ask.last,
        "resource": ask.resource,
        "department": ask.department,
        "seen": ask.seen,
        "after": ask.after,
        "limit": ask.limit,
    }
    rows = cursor.execute(_DAYS if ask.by_day else _TOTALS, wanted, binary=True)
    return Usage(None if at is None else at[0], [UsageLine(*row) for row in rows])
