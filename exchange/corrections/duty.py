"""What the hub does by itself about corrections: closes those whose row a later run changed, tells those who received it.

Both are changes of the registry with their record in the ledger in one transaction, refused where they were made before:
however many workers try, each is done once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from catalog_registry.correction_records import CorrectionRecord
from catalog_registry.correction_words import NoticeKind
from exchange.corrections.receivers import receivers
from exchange.corrections.row import Looked, look, newest_runs
from exchange.trust.ledger import Ledger
from exchange.trust.record import LedgerRecord
from schemas.errors import OneDoorError, TransientError
from schemas.ids import new_id

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

CLOSE_KIND = "correction.close"
TOLD_KIND = "correction.told"


@dataclass(slots=True)
class Corrections:
    """The duty of one worker. It remembers up to which run each open request was looked at."""

    hub: Hub
    _looked: dict[str, str] = field(default_factory=dict)

    def do(self) -> int:
        """Close and tell what there is now, and return how many of both. One that fails does not stop the others."""
        done = 0
        waiting = self.hub.registry.corrections_to_prove()
        runs = newest_runs(self.hub, {correction.resource for correction in waiting})
        self._looked = {one.id: self._looked[one.id] for one in waiting if one.id in self._looked}
        for correction in waiting:
            run = runs.get(correction.resource)
            if run is not None and run.id not in (correction.run_before, self._looked.get(correction.id)):
                done += self._each(correction, lambda one=correction: self._close(one))
        for correction, kind in self.hub.registry.corrections_to_tell():
            done += self._each(correction, lambda one=correction, what=kind: self._tell(one, what))
        return done

    def _each(self, correction: CorrectionRecord, do: Any) -> int:
        try:
            return int(do())
        except TransientError:
            raise
        except OneDoorError as error:
            self.hub.log.error("a correction waits", correction=correction.id, code=error.code, where=error.where)
            return 0

    def _close(self, correction: CorrectionRecord) -> bool:
        seen = self._look(correction)
        manifest: dict[str, str | int] = {
            "correction": correction.id,
            "run_before": correction.run_before or "",
            "hash_before": correction.hash_before or "",
            "run_after": seen.row.run,
            "hash_after": "" if seen.row.hash is None else seen.row.hash.hex(),
        }
        record = self._recorder(CLOSE_KIND, correction, manifest)
        closed = self.hub.registry.close_correction(correction.id, seen.row, seen.run, record=record)
        if closed is None:
            self._looked[correction.id] = seen.run.id
            return False
        self.hub.log.info("correction closed", correction=correction.id, outcome=closed.outcome, run=closed.run_after)
        return True

    def _tell(self, correction: CorrectionRecord, kind: NoticeKind) -> bool:
        if kind is NoticeKind.DROPPED:
            found = self.hub.registry.told_wrong(correction.id)
        else:
            seen = None if correction.row_key is None else self._look(correction)
            found = receivers(self.hub, correction, seen)
        manifest = {"correction": correction.id, "kind": kind.value, "departments": ",".join(one.department for one in found)}
        record = self._recorder(TOLD_KIND, correction, manifest)
        return bool(self.hub.registry.tell_receivers(correction.id, kind, found, record=record))

    def _look(self, correction: CorrectionRecord) -> Looked:
        key = correction.row_key or ()
        return look(self.hub, correction.resource, lambda _: key)

    def _recorder(self, kind: str, correction: CorrectionRecord, manifest: Mapping[str, str | int]) -> Any:
        hub = self.hub
        rows = () if correction.row is None else (correction.row,)
        said = LedgerRecord(kind=kind, outcome="done", resource=correction.resource, rows=rows, manifest=manifest)

        def record(connection: Any) -> None:
            ledger = Ledger.open(hub.connect, hub.keys, hub.clock, new_id("corrections-", hub.clock.now()))
            ledger.append([said], within=connection)

        return record
