"""What closed runs left behind, after a kill between two steps: taken away by whoever holds the duty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.store import runs, tables
from exchange.store.database import Connection

if TYPE_CHECKING:
    from exchange.bootstrap import Hub


def sweep(hub: Hub, connection: Connection) -> int:
    """Drop the stages, spooled chunks and samples of runs that are closed, and return how many there were.

    A proved run's sample stays until its report is made.
    """
    found = 0
    staged = connection.execute(
        """SELECT c.relname FROM pg_class c JOIN exchange.run r ON r.id = c.relname
           WHERE c.relnamespace = 'stage'::regnamespace AND c.relkind = 'r' AND r.state <> ALL (%s)""",
        [list(runs.OPEN)],
    ).fetchall()
    for (run,) in staged:
        tables.drop_staging(connection, run)
        connection.commit()
        found += 1
    for run in _closed(connection, hub.spool.runs(), "true"):
        hub.spool.clear(run)
        found += 1
    for run in _closed(connection, hub.samples.runs(), "state <> 'proved' OR report_state IN ('done', 'failed')"):
        hub.samples.remove(run)
        found += 1
    return found


def _closed(connection: Connection, names: list[str], condition: str) -> list[str]:
    if not names:
        return []
    rows = connection.execute(
        f"SELECT id FROM exchange.run WHERE id = ANY (%s) AND state <> ALL (%s) AND ({condition})", [names, list(runs.OPEN)]
    ).fetchall()
    connection.commit()
    return [row[0] for row in rows]
