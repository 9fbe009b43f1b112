"""A duty: resources are found, and counted by what their runs say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from catalog_registry.facets import Ran, quality_of
from exchange.store.database import Connection

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

_OVERLAP: Final = timedelta(minutes=5)


class Found:
    """Makes documents that are missing, and tells the registry of each run that was proved since the last look."""

    def __init__(self, hub: Hub, connection: Connection) -> None:
        self._hub = hub
        self._connection = connection
        self._seen: datetime | None = None

    def __call__(self) -> None:
        """Look once. The first look of a process is at every resource's last proved run."""
        registry = self._hub.registry
        registry.index_missing()
        ran, last = last_runs(self._connection, self._seen)
        registry.note_runs(ran)
        self._seen = last
        registry.drop_old_misses()


def last_runs(connection: Connection, since: datetime | None = None) -> tuple[dict[str, Ran], datetime | None]:
    """Return the last proved run of each resource of which one ended since an instant, and when the last one ended.

    Those that ended a little before are looked at again: of two that end together one may be seen before the other.
    """
    rows = connection.execute(
        """SELECT DISTINCT ON (resource) resource, as_of_first, rows_read, rows_set_aside FROM exchange.run
           WHERE state = 'proved' AND resource IN (SELECT resource FROM exchange.run WHERE state = 'proved'
             AND ended_at >= coalesce(%(since)s, '-infinity'::timestamptz))
           ORDER BY resource, started_at DESC""",
        {"since": None if since is None else since - _OVERLAP},
    ).fetchall()
    last = connection.execute("SELECT max(ended_at) FROM exchange.run WHERE state = 'proved'").fetchone()
    connection.commit()
    ran = {name: Ran(as_of, quality_of(rows_read, set_aside)) for name, as_of, rows_read, set_aside in rows}
    return ran, last[0] if last and last[0] is not None else since
