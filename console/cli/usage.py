"""``onedoor usage`` and ``onedoor resource rate``: who uses what, how often, on which ground, and how good they find it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from console.cli import output
from console.cli.applications import Name, Who
from console.cli.demands import _day
from console.cli.hub import local as _local
from console.cli.hub import opened as _hub
from console.cli.output import Json
from schemas.clock import CHINA


def register(app: typer.Typer) -> None:
    """Add the commands; those of resources to the group that is there."""
    app.command("usage")(usage)
    resources = next(g.typer_instance for g in app.registered_groups if g.name == "resource" and g.typer_instance is not None)
    resources.command("rate")(resource_rate)
    resources.command("ratings")(resource_ratings)


def usage(
    resource: Annotated[str | None, typer.Option(help="Only uses of a resource.")] = None,
    department: Annotated[str | None, typer.Option(help="Only uses by a department.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First day; default: 30 days ago.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="First day after it; default: tomorrow.")] = None,
    total: Annotated[bool, typer.Option("--total", help="Add the days up.")] = False,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="Lines at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """Show who used what, how often, on which ground: sums of the ledger, in which no person, case or operator stands.

    Example: onedoor usage --resource licences --from 2026-10-01 --to 2026-11-01 --total
    """
    from exchange.trust.usage import UsageAsk, count_usage, read_usage

    with _hub() as hub:
        count_usage(hub.connect, hub.clock)
        today = hub.clock.now().astimezone(CHINA).date()
        begins = today - timedelta(days=30) if first is None else _day(first, "--from")
        ends = today + timedelta(days=1) if last is None else _day(last, "--to")
        ask = UsageAsk(begins, ends, resource=resource, department=department, by_day=not total, limit=most)
        with hub.connect(autocommit=True) as connection:
            found = read_usage(connection, ask)

        def text() -> Any:
            columns = ("day", "kind", "resource", "department", "system", "grant", "purpose", "item")
            counts = ("allowed", "refused", "cut", "rows")
            shown = [
                [str(line.day or ""), *(getattr(line, name) for name in columns[1:]), *(getattr(line, name) for name in counts)]
                for line in found.lines
            ]
            return output.table((*columns, *counts), shown) if shown else "nothing was used"

        output.show(
            {"from": begins, "to": ends, "counted_at": found.counted_at, "lines": found.lines}, as_json=as_json, text=text
        )


def resource_rate(
    name: Name,
    who: Who,
    score: Annotated[int, typer.Option(min=1, max=5, help="1 (of no use) to 5 (as needed).")],
    comment: Annotated[str, typer.Option(help="What is good or wrong; the provider reads it, so no data of people.")] = "",
    version: Annotated[
        int | None, typer.Option("--version", help="The version of the rating that was decided on; 0: there was none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Rate what your department gets of a resource, or change the rating.

    Example: onedoor resource rate licences --as li.na --score 4 --comment '每周一更新迟缓'
    """
    with _hub() as hub:
        if version is None:
            rated = hub.registry.ratings(name, department=hub.registry.principal(who).department)
            version = rated[0].version if rated else 0
        done = hub.registry.rate(name, score, by=who, version=version, comment=comment)
        output.show(done, as_json=as_json, text=f"{done.department} rates {done.resource} with {done.score} of 5")


def resource_ratings(
    name: Name,
    history: Annotated[bool, typer.Option("--history", help="What was said before too, oldest first.")] = False,
    as_json: Json = False,
) -> None:
    """Show how those who use a resource rate it.

    Example: onedoor resource ratings licences --history
    """
    with _hub() as hub:
        rated = hub.registry.rating_of(name)
        rows = hub.registry.rating_history(name) if history else hub.registry.ratings(name)

        def text() -> Any:
            if rated is None:
                return "nobody rated it yet"
            lines = [(r.department, r.score, r.comment or "", _local(r.at)) for r in rows]
            title = f"{rated.average} of 5, by {rated.departments} department{'s' if rated.departments > 1 else ''}"
            return output.table(("department", "score", "comment", "at"), lines, title=title)

        output.show({"rating": rated, "ratings": rows}, as_json=as_json, text=text)
