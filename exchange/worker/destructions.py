"""Grants that have ended and under which rows left in bulk: each leaves its duty to destroy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.store.database import Connection

if TYPE_CHECKING:
    from exchange.bootstrap import Hub


def remind(hub: Hub) -> int:
    """Remind of duties whose clock says so; the working days are read only where there is a duty."""
    if not hub.registry.destructions(open_only=True, limit=1):
        return 0
    return hub.registry.remind_destructions(hub.clock_rules, hub.workdays)


def ask_destructions(hub: Hub, connection: Connection) -> int:
    """Make the duties of grants that have ended, and return how many were looked after.

    A kill between the duty and the note that it is made has it looked for again, and found.
    """
    rows = connection.execute("SELECT grant_id FROM exchange.grant_bulk WHERE settled_at IS NULL").fetchall()
    connection.commit()
    settled = hub.registry.ask_destructions([row[0] for row in rows]) if rows else []
    if settled:
        connection.execute(
            "UPDATE exchange.grant_bulk SET settled_at = %s WHERE grant_id = ANY (%s)", [hub.clock.now(), settled]
        )
        connection.commit()
    return len(settled)
