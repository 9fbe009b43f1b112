"""May this be asked? One decision in process, for a consumer with a thousand grants, beside looking at each of them in turn."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.line import Result, Row, alternately, median
from catalog_registry.records import PrincipalKind, Receiver, ReceiverKind
from exchange.trust.grant import Allowed, Ask, Grant, GrantIndex, Principal, Refused, authorise
from schemas.resource import ResourceName

GRANTS = 1_000
ASKS = 200
"""Different asks, asked in turns."""

ROUNDS = 20
BUDGET_US = 50
PEER = "its grants for the resource, looked at in turn"
_NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_WHO = Principal("p1", PrincipalKind.MACHINE, "bench", "hall", "intake", ("consumer",), "c1", 0, _NOW, None)
_RECEIVERS = (
    Receiver(ReceiverKind.PRINCIPAL, "p1"),
    Receiver(ReceiverKind.SYSTEM, "intake"),
    Receiver(ReceiverKind.DEPARTMENT, "hall"),
)
_INTERVALS = ((-1, 1), (-1, 2), (-2, -1), (1, 2))
"""Days from now: two grants of four are in force, one has ended, one has not begun."""


def _grant(i: int, **more: Any) -> Grant:
    begins, ends = _INTERVALS[i % 4]
    terms: dict[str, Any] = {
        "receiver": _RECEIVERS[i % 3],
        "resource": ResourceName("licences"),
        "fields": (f"field_{i}", "licence_id", "state"),
        "purposes": (f"purpose_{i}",),
        "items": (f"ITEM-{i}",),
    }
    return Grant(
        id=f"g{i:04}",
        row_filter=None,
        legal_basis="a law",
        from_at=_NOW + begins * _DAY,
        to_at=_NOW + ends * _DAY,
        made_at=_NOW - 3 * _DAY,
        made_by="bench",
        revoked_at=None,
        revoked_by=None,
        revoked_why=None,
        version=1,
        **(terms | more),
    )


def _cases() -> dict[str, tuple[list[Grant], list[Ask]]]:
    """Return, for each kind of thousand grants, them and what is asked."""
    spread = [_grant(i, resource=ResourceName(f"resource_{i}")) for i in range(GRANTS)]
    own = [_grant(i) for i in range(GRANTS)]
    same = [_grant(i, purposes=("accept_case",), items=("ITEM-1",)) for i in range(GRANTS)]
    asked = [i for i in range(GRANTS) if i % 4 < 2][-ASKS:]  # in force, and late in their order
    return {
        "one a resource, allowed": (
            spread,
            [Ask(_WHO, f"resource_{i}", f"purpose_{i}", f"ITEM-{i}", (f"field_{i}", "state")) for i in asked],
        ),
        "all for one resource, allowed": (
            own,
            [Ask(_WHO, "licences", f"purpose_{i}", f"ITEM-{i}", (f"field_{i}", "state")) for i in asked],
        ),
        "all for one resource, purpose and item, allowed": (
            same,
            [Ask(_WHO, "licences", "accept_case", "ITEM-1", (f"field_{i}", "state")) for i in asked],
        ),
        "all for one resource, refused": (
            own,
            [Ask(_WHO, "licences", f"purpose_{i}", f"ITEM-{i + 1}", ("state",)) for i in asked],
        ),
    }


def _one_by_one(by_resource: dict[str, list[Grant]], ask: Ask, now: datetime) -> Grant | set[str]:
    """Return the first grant that allows an ask, else why none does: what anybody would write first."""
    reasons: set[str] = set()
    for grant in by_resource.get(ask.resource, ()):
        against = set()
        if grant.revoked_at is not None and now >= grant.revoked_at:
            against.add("revoked")
        elif now < grant.from_at:
            against.add("not_yet")
        elif now >= grant.to_at:
            against.add("expired")
        if grant.purposes and ask.purpose not in grant.purposes:
            against.add("purpose")
        if grant.items and ask.item not in grant.items:
            against.add("item")
        if ask.fields is not None and not set(ask.fields) <= set(grant.fields):
            against.add("fields")
        if not against:
            return grant
        reasons |= against
    return reasons


def _microseconds(decide: Callable[[Ask], object], asks: list[Ask]) -> float:
    """Return microseconds a decision."""
    began = time.perf_counter()
    for _ in range(ROUNDS):
        for ask in asks:
            decide(ask)
    return (time.perf_counter() - began) / (ROUNDS * len(asks)) * 1e6


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    for name, (grants, asks) in _cases().items():
        trials = _measured(name, grants, asks)
        result.trials |= {f"{name}, {side}, µs": figures for side, figures in trials.items()}
        figure, peer = median(trials["ours"]), median(trials[PEER])
        what = f"authorise, {GRANTS:,} grants of one consumer, {name}"
        result.rows.append(Row(what, "µs", figure, budget=BUDGET_US, smaller=True))
        result.rows.append(Row(f"{what}, beside a scan", "µs", figure, PEER, peer, smaller=True))
    result.stages = {"the first decision of a new index, µs": round(_first(*_cases()["all for one resource, allowed"]))}
    result.notes.append(
        "the first decision about a receiver's grants makes them ready; so does the first after one begins or ends"
    )
    result.notes.append(
        "where each grant is for another resource, a scan finds one grant and is done: ours asks three receivers"
    )
    return result.as_json()


def _measured(name: str, grants: list[Grant], asks: list[Ask]) -> dict[str, list[float]]:
    index = GrantIndex(grants, {grant.resource for grant in grants})
    by_resource: dict[str, list[Grant]] = defaultdict(list)
    for grant in sorted(grants, key=lambda g: (_RECEIVERS.index(g.receiver), -len(g.fields), g.id)):
        by_resource[grant.resource].append(grant)

    def ours(ask: Ask) -> Allowed | Refused:
        return authorise(ask, grants=index, now=_NOW)

    def theirs(ask: Ask) -> Grant | set[str]:
        return _one_by_one(by_resource, ask, _NOW)

    for ask in asks:
        decided = ours(ask)
        if (decided.grant if isinstance(decided, Allowed) else {str(r) for r in decided.reasons}) != theirs(ask):
            raise RuntimeError(f"{name}: the two sides do not decide alike")
    return alternately({"ours": lambda: _microseconds(ours, asks), PEER: lambda: _microseconds(theirs, asks)})


def _first(grants: list[Grant], asks: list[Ask]) -> float:
    """Return microseconds of the first decision of a new index."""
    index = GrantIndex(grants, {"licences"})
    began = time.perf_counter()
    authorise(asks[0], grants=index, now=_NOW)
    return (time.perf_counter() - began) * 1e6
