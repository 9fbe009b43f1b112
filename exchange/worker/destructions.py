"""Grants that have ended or were narrowed, and under which rows left in bulk: each leaves its duty to destroy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.store.database import Connection

if TYPE_CHECKING:
    from exchange.bootstrap import Hub


def ask_destructions(hub: Hub, connection: Connection) -> int:
    """Make the duties of grants that have ended or lost fields, and return of how many.

    A kill between the duty and the note that it is made has it looked for again, and found.
    """
    left = dict(connection.execute("SELECT grant_id, first_at FROM exchange.grant_bulk WHERE settled_at IS NULL").fetchall())
    connection.commit()
    if not left:
        return 0
    narrowed = hub.registry.ask_narrowed(left)  # first: once a grant has ended, all of what was received goes
    settled = hub.registry.ask_destructions(list(left))
    if settled:
        connection.execute(
            "UPDATE exchange.grant_bulk SET settled_at = %s WHERE grant_id = ANY (%s)", [hub.clock.now(), settled]
        )
        connection.commit()
    return len(narrowed) + len(settled)
