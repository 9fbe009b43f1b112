"""Commands of the search of the catalogue, in the group ``onedoor resource``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.hub import As, sees
from console.cli.hub import local as _local
from console.cli.hub import opened as _hub
from console.cli.output import Json

if TYPE_CHECKING:
    from catalog_registry.search import Found, Hit

Values = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the commands to the group of resources."""
    resources = next(g.typer_instance for g in app.registered_groups if g.name == "resource" and g.typer_instance is not None)
    resources.command("search")(resource_search)
    resources.command("reindex")(resource_reindex)
    resources.command("misses")(resource_misses)


def resource_search(
    words: Annotated[str, typer.Argument(help="Chinese words, first letters of pinyin, codes; none: all resources.")] = "",
    who: As = None,
    provider: Annotated[Values, typer.Option(help="Code of a department; give it again for more, as the others.")] = None,
    category: Annotated[Values, typer.Option(help="类: 1, 2 or 3.")] = None,
    item: Annotated[Values, typer.Option(help="类 and 项: the first three digits of a classification.")] = None,
    sharing_type: Annotated[Values, typer.Option(help="共享类型: 1, 2 or 3.")] = None,
    update_cycle: Annotated[Values, typer.Option(help="更新周期: 1 to 9.")] = None,
    form: Annotated[Values, typer.Option("--format", help="格式, as the entry has it.")] = None,
    quality: Annotated[Values, typer.Option(help="complete, high, fair, low or unknown.")] = None,
    freshness: Annotated[Values, typer.Option(help="fresh, stale, never or unpromised.")] = None,
    origin: Annotated[Values, typer.Option(help="Name of another catalogue, whose datasets are found too.")] = None,
    after: Annotated[str | None, typer.Option(help="The next of the page before.")] = None,
    limit: Annotated[int, typer.Option(help="Results at most.", min=1, max=200)] = 20,
    as_json: Json = False,
) -> None:
    """Search the catalogue: all words must be found, the best come first; and count what was found by facets.

    Example: onedoor resource search yyzz --sharing-type 2 --as li.na
    """
    with _hub() as hub:
        from catalog_registry.facets import Facet
        from catalog_registry.search import Miss
        from catalog_registry.words import folded

        given = {
            Facet.PROVIDER: provider,
            Facet.CATEGORY: category,
            Facet.ITEM: item,
            Facet.SHARING_TYPE: sharing_type,
            Facet.UPDATE_CYCLE: update_cycle,
            Facet.FORMAT: form,
            Facet.QUALITY: quality,
            Facet.FRESHNESS: freshness,
            Facet.ORIGIN: origin,
        }
        narrowed = {facet: values for facet, values in given.items() if values}
        found = hub.registry.search(words, sees(hub, who), narrowed=narrowed, facets=after is None, after=after, limit=limit)
        if who is not None and not found.hits and words.strip() and not narrowed and after is None:
            department = hub.registry.principal(who).department
            hub.registry.keep_misses([Miss(folded(words), department, hub.clock.now())])
        shown = {
            "resources": [_fields(hit) for hit in found.hits],
            "next": found.next,
            "total": found.total,
            "total_is_at_least": found.at_least,
            "facets": found.facets,
        }
        output.show(shown, as_json=as_json, text=lambda: _text(found))


def resource_reindex(
    names: Annotated[list[str] | None, typer.Argument(help="The resources; none: all.")] = None,
    as_json: Json = False,
) -> None:
    """Make anew what resources are found by. Each change does so for what it touches; a new release may ask for all of it.

    Example: onedoor resource reindex
    """
    with _hub() as hub:
        done = hub.registry.index_resources(tuple(names or ()))
        output.show({"resources": done}, as_json=as_json, text=f"{done} resources can be found by what they say now")


def resource_misses(
    limit: Annotated[int, typer.Option(help="Misses at most.", min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """List what was searched and not found, the newest first, with the department that searched. Nobody's number is in it.

    Example: onedoor resource misses --limit 20
    """
    with _hub() as hub:
        rows = hub.registry.misses(limit=limit)
        output.show(
            rows,
            as_json=as_json,
            text=lambda: output.table(("words", "department", "at"), [(m.words, m.department, _local(m.at)) for m in rows]),
        )


def _fields(hit: Hit) -> dict[str, Any]:
    from dataclasses import asdict

    return {name: value for name, value in asdict(hit).items() if name != "cover"}


def _text(found: Found) -> Any:
    from rich.console import Group

    hits = output.table(
        ("resource", "title", "department", "sharing", "format", "quality", "freshness"),
        [
            (
                hit.name,
                hit.title,
                hit.department_name or (f"[{hit.origin}]" if hit.origin else ""),
                hit.sharing_type if hit.basis is None else f"3: {hit.basis}",
                hit.format or "",
                hit.quality or "",
                hit.freshness or "",
            )
            for hit in found.hits
        ],
    )
    lines = [] if found.total is None else [f"found: {'at least ' if found.at_least else ''}{found.total}"]
    for facet, values in (found.facets or {}).items():
        if values:
            lines.append(f"{facet}: {', '.join(f'{one.value} ({one.count})' for one in values[:10])}")
    if found.next is not None:
        lines.append(f"more: --after {found.next}")
    return Group(hits, "", "\n".join(lines))
