"""Looking at what is sealed, for a person with a reason: recorded in the ledger before anything is shown."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from exchange.store import quarantine
from exchange.store.database import translated
from exchange.store.reconcile import Reconciliation, names_in_source, names_in_store
from exchange.trust.ledger import Ledger
from exchange.trust.record import LedgerRecord
from schemas.ids import new_id

if TYPE_CHECKING:
    from exchange.bootstrap import Hub


def reveal_row(hub: Hub, found: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Return the values of a quarantined row, after the ledger has recorded who looked and why."""
    _record(hub, "quarantine.reveal", found["resource"], [found["id"]], reason)
    return quarantine.revealed(found, hub.keys)


def reveal_keys(hub: Hub, resource: str, found: Reconciliation, reason: str) -> dict[str, str]:
    """Return the clear keys of the rows that differ, by their pseudonyms, after the ledger has recorded who looked and why."""
    wanted = {*found.missing.keys, *found.extra.keys, *found.different.keys}
    if not wanted:
        return {}
    _record(hub, "reconcile.reveal", resource, sorted(wanted), reason)
    with translated():
        out = names_in_source(hub, resource, wanted)
        return out | names_in_store(hub, resource, wanted - out.keys())


def _record(hub: Hub, kind: str, resource: str, rows: list[str], reason: str) -> None:
    chain = new_id(f"cli-{os.getpid()}-", hub.clock.now())
    ledger = Ledger.open(hub.connect, hub.keys, hub.clock, chain)
    ledger.append(
        [
            LedgerRecord(
                kind=kind, outcome="done", operator=getpass.getuser(), resource=resource, rows=tuple(rows), reason=reason
            )
        ]
    )
