"""Whom a breaking change touches, and what becomes of a grant when fields that it names are gone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalog_registry.records import GrantRecord, Receiver
from schemas.contract import DataContract
from schemas.errors import RejectedError
from schemas.evolution import Evolution
from schemas.rowfilter import check


@dataclass(frozen=True, slots=True)
class Affected:
    """A grant that a breaking change touches: its receiver reads ``fields`` of those that change, until ``to_at``.

    A change of the whole contract touches all fields of the grant; so does a field that only chooses its rows.
    """

    grant: str
    receiver: Receiver
    fields: tuple[str, ...]
    from_at: datetime
    to_at: datetime


def affected(evolution: Evolution, grants: Iterable[GrantRecord], now: datetime) -> tuple[Affected, ...]:
    """Return the grants, in force or still to begin, that breaking changes touch, in the order given."""
    found = []
    for grant in grants:
        if ended(grant, now):
            continue
        filtered = grant.row_filter.fields if grant.row_filter is not None else ()
        touched = {change.field for change in evolution.breaking_for({*grant.fields, *filtered})}
        if not touched:
            continue
        whole = not touched <= set(grant.fields)
        fields = tuple(f for f in grant.fields if whole or f in touched)
        found.append(Affected(grant.id, grant.receiver, fields, grant.from_at, grant.to_at))
    return tuple(found)


def ended(grant: GrantRecord, now: datetime) -> bool:
    """Say whether a grant is over for good."""
    return grant.revoked_at is not None or now >= grant.to_at


def kept_fields(grant: GrantRecord, after: DataContract) -> tuple[str, ...]:
    """Return the fields that a grant has left under a contract. A field that was renamed is not one that was granted."""
    here = {field.name for field in after.fields}
    return tuple(name for name in grant.fields if name in here)


def rows_chosen(grant: GrantRecord, after: DataContract) -> bool:
    """Say whether the grant's rows can still be chosen under a contract; where they cannot, it gives none."""
    if grant.row_filter is None:
        return True
    try:
        check(grant.row_filter, after)
    except RejectedError:
        return False
    return True


def consequence(grant: GrantRecord, touched: Affected | None, after: DataContract | None) -> dict[str, Any]:
    """Return what a department is told of one of its grants, as JSON.

    Args:
        grant: as it is now.
        touched: what a revision touches of it.
        after: the contract that will be in force; None: the resource is withdrawn, and the grant gives nothing more.
    """
    kept = () if after is None else kept_fields(grant, after)
    return {
        "grant": grant.id,
        "receiver": str(grant.receiver),
        "until": grant.to_at.isoformat(),
        "fields": list(grant.fields),
        "changed": list(touched.fields if touched is not None else grant.fields),
        "fields_after": list(kept),
        "rows_after": "as now" if kept and after is not None and rows_chosen(grant, after) else "none",
    }
