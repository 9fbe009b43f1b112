"""How often a grant may be used, as options of a command, and how much of that is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from catalog_registry.records import GrantRecord
    from exchange.bootstrap import Hub
    from exchange.trust.used import Used

PerDay = Annotated[int | None, typer.Option(help="Calls in a day of China at most.")]
PerMinute = Annotated[int | None, typer.Option(help="Calls in a minute of the clock at most.")]
Burst = Annotated[int | None, typer.Option(help="As many more in one minute as the minutes before left over, at most.")]
RowsPerDay = Annotated[int | None, typer.Option(help="Rows that leave in a day of China at most.")]


def limits(
    per_day: int | None, per_minute: int | None, burst: int | None, rows_per_day: int | None
) -> dict[str, int | None] | None:
    """Return the quota of the options, None where none was given."""
    given = {"per_day": per_day, "per_minute": per_minute, "burst": burst, "rows_per_day": rows_per_day}
    return None if all(value is None for value in given.values()) else given


def used_of_quotas(hub: Hub, grants: Iterable[GrantRecord], now: datetime) -> dict[str, Used]:
    """Return, by id, how much of their quotas is used, of those grants that have one."""
    from psycopg.rows import dict_row

    from exchange.trust.used import STATE, day_of, minute_of, used_of

    limited = {g.id: g.quota for g in grants if g.quota is not None}
    if not limited:
        return {}
    asked = {"ids": list(limited), "day": day_of(now), "minute": minute_of(now)}
    with hub.connect(autocommit=True) as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(STATE.format("%(ids)s", "%(day)s", "%(minute)s"), asked)
        rows = {row["grant_id"]: row for row in cursor}
    return {id_: used_of(quota, rows.get(id_), now) for id_, quota in limited.items()}


def used_text(used: Used | None) -> str:
    """Return how much is used, with what a worker holds of it and has perhaps not used yet."""
    if used is None:
        return ""
    told = f"{used.calls_today} calls and {used.rows_today} rows today, {used.calls_this_minute} calls in this minute"
    return told + (f"; used up: {', '.join(one.replace('_', ' ') for one in used.spent)}" if used.spent else "")
