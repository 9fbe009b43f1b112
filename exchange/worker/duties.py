"""Leases on duties: each is done by one worker at a time. The fence of a duty's own effect is in its transaction, not here."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from exchange.store.database import Connection


def hold(connection: Connection, duty: str, worker: str, lease_s: float) -> bool:
    """Take or keep a duty for ``lease_s`` real seconds; False where another living worker has it.

    Leases count real time, also where the hub's clock is set or accelerated: a lease is about processes, not the district.
    """
    now = datetime.fromtimestamp(time.time(), UTC)
    until = datetime.fromtimestamp(time.time() + lease_s, UTC)
    row = connection.execute(
        """INSERT INTO exchange.duty AS d (name, holder, epoch, expires_at) VALUES (%(duty)s, %(worker)s, 1, %(until)s)
           ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at,
             epoch = d.epoch + CASE WHEN d.holder IS DISTINCT FROM excluded.holder THEN 1 ELSE 0 END
           WHERE d.holder IS NULL OR d.holder = excluded.holder OR d.expires_at < %(now)s
           RETURNING 1""",
        {"duty": duty, "worker": worker, "now": now, "until": until},
    ).fetchone()
    connection.commit()
    return row is not None
