"""How often a grant may be used, as options of a command."""

from __future__ import annotations

from typing import Annotated

import typer

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
