"""The upper bound of an incremental read that no open session will commit below.

A row's ``DEFAULT now()`` is the start of its transaction, which may commit long after. No rule over transaction ids sees one
that has read and not yet written; its session's ``xact_start`` does. So the bound is the least of

1. the source's clock, taken **first**: whoever starts later has a later start;
2. the oldest ``xact_start`` of this database's sessions, with or without a transaction id, taken **second**: whoever was
   preparing in between shows up in 3 or has committed, and is visible to the read that follows;
3. nothing from transactions that stand prepared: when they began cannot be seen (``pg_prepared_xacts.prepared`` is when they
   were prepared, which is later). They are waited for instead; once they have ended their rows are visible;

less a skew, for a session's start is shown a moment after it was taken.

Sessions of other databases of the cluster do not count: a session writes to its own database only. What comes in through
``dblink`` or ``postgres_fdw`` comes by a session of this database, which counts from its own start; a time that the far side
put in is a time set by an application, and those are never safe. Autovacuum workers do not insert, and do not count.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from schemas.errors import Fault, RejectedError, TransientError

_CLOCK: Final = "SELECT clock_timestamp()"
_SESSIONS: Final = """
SELECT min(xact_start), count(*) FILTER (WHERE state = 'disabled')
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
  AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_PREPARED: Final = "SELECT transaction::text FROM pg_prepared_xacts WHERE database = current_database()"


def computed_bound(
    connection: psycopg.Connection[tuple[Any, ...]], *, skew_s: float, prepared_wait_s: float, where: str
) -> datetime:
    """Return an instant: no row at or below it will be committed after this call, where the database sets the instants.

    Args:
        connection: in autocommit, of an account that sees all sessions: each question must see the present.
        skew_s: taken off.
        prepared_wait_s: how long to wait for prepared transactions to end.
        where: for errors.

    Raises:
        RejectedError: a session hides what it does (``track_activities`` is off).
        TransientError: a prepared transaction did not end in time.
    """
    row = connection.execute(_CLOCK).fetchone()
    sessions = connection.execute(_SESSIONS).fetchone()
    assert row is not None
    assert sessions is not None
    oldest, hidden = sessions
    if hidden:
        raise RejectedError(
            f"{hidden} sessions of the source do not show when their transactions began",
            code="source.bound_hidden",
            where=where,
            remedy="set track_activities = on for every role, or declare a lag in the contract's cursor",
            fault=Fault.PROVIDER,
        )
    _wait_for_prepared(connection, prepared_wait_s, where)
    now: datetime = row[0]
    return min(now, oldest or now) - timedelta(seconds=skew_s)


def _wait_for_prepared(connection: psycopg.Connection[tuple[Any, ...]], wait_s: float, where: str) -> None:
    standing = {r[0] for r in connection.execute(_PREPARED)}
    until = time.monotonic() + wait_s
    while standing:
        if time.monotonic() >= until:
            raise TransientError(
                f"{len(standing)} prepared transactions stand in the source, and when they began cannot be seen",
                code="source.bound_prepared",
                where=where,
                remedy="commit or roll them back (pg_prepared_xacts), or declare a lag in the contract's cursor",
                fault=Fault.PROVIDER,
            )
        time.sleep(0.05)
        standing &= {r[0] for r in connection.execute(_PREPARED)}
