"""Commands of other catalogues: ``onedoor harvest …``. What they say stands beside the own catalogue, never in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli import output
from console.cli.hub import acts, local
from console.cli.hub import opened as _hub
from console.cli.output import Json
from schemas.errors import Fault, RejectedError

_MOST_SHOWN = 10_000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Other catalogues in DCAT, shown beside the own one.", no_args_is_help=True)
    for command in (harvest_add, harvest_run, harvest_list, harvest_show, harvest_remove):
        group.command(command.__name__.partition("_")[2])(command)
    app.add_typer(group, name="harvest")


def harvest_add(
    name: Annotated[str, typer.Argument(help="A small letter, then small letters, digits or underscores.")],
    address: Annotated[str, typer.Argument(help="https://… of DCAT as Turtle or JSON-LD, or a file.")],
    title: Annotated[str | None, typer.Option(help="What people call it; default: its name.")] = None,
    as_json: Json = False,
) -> None:
    """Add another catalogue, or give one this address. Only addresses that the setting harvest_allow names are read.

    Example: onedoor harvest add shaoguan https://data.example.gov.cn/catalogue.ttl --title 韶关市数据目录
    """
    with _hub() as hub:
        from exchange.harvest.fetch import allowed_prefixes, check_allowed

        if address.startswith(("http://", "https://")):
            check_allowed(address, allowed_prefixes(hub.settings.harvest_allow))
            at = address
        elif Path(address).is_file():
            at = f"file:{Path(address).resolve()}"
        else:
            raise RejectedError("there is no such file", code="harvest.file", where=address, fault=Fault.CLIENT)
        made = hub.registry.add_catalogue(name, at, title=title or name, by=acts())
        output.show(made, as_json=as_json, text=f"catalogue {name} added: {made.address}; then: onedoor harvest run {name}")


def harvest_run(
    name: Annotated[str, typer.Argument(help="The catalogue.")],
    shrink: Annotated[bool, typer.Option("--shrink", help="Take it although more than a fifth would be gone.")] = False,
    as_json: Json = False,
) -> None:
    """Read another catalogue as it is now: what is new, changed and gone. The own datasets in it are left out.

    Example: onedoor harvest run shaoguan
    """
    with _hub() as hub:
        from exchange.harvest.harvest import harvest

        with output.progress(f"reading {name}", quiet=as_json):
            _, counts = harvest(hub, name, shrink=shrink)
        words = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        output.show({"catalogue": name} | dict(counts), as_json=as_json, text=f"{name}: {words or 'nothing there'}")


def harvest_list(as_json: Json = False) -> None:
    """List the other catalogues and what their last run found.

    Example: onedoor harvest list
    """
    with _hub() as hub:
        rows = hub.registry.catalogues()
        head = ("catalogue", "title", "address", "last run", "found")
        output.show(
            rows,
            as_json=as_json,
            text=lambda: output.table(
                head,
                [
                    (
                        *(r.name, r.title, r.address, local(r.ran_at) if r.ran_at else "never"),
                        ", ".join(f"{count} {what}" for what, count in (r.counts or {}).items() if count),
                    )
                    for r in rows
                ],
            ),
        )


def harvest_show(
    name: Annotated[str, typer.Argument(help="The catalogue.")],
    gone: Annotated[bool, typer.Option("--gone", help="Those that it has no more, too.")] = False,
    as_json: Json = False,
) -> None:
    """Show the datasets of another catalogue, each with its own name there and when it was read.

    Example: onedoor harvest show shaoguan --gone
    """
    with _hub() as hub:
        hub.registry.other_catalogue(name)
        rows = hub.registry.harvested(catalogue=name, gone=gone, limit=_MOST_SHOWN)
        output.show(
            rows,
            as_json=as_json,
            text=lambda: output.table(
                ("id", "title", "publisher", "name there", "read", "gone since"),
                [
                    (
                        *(r.id, r.title, r.content["publisher"] or "", r.iri, local(r.harvested_at)),
                        local(r.gone_at) if r.gone_at else "",
                    )
                    for r in rows
                ],
            ),
        )


def harvest_remove(name: Annotated[str, typer.Argument(help="The catalogue.")], as_json: Json = False) -> None:
    """Forget another catalogue and all that was read of it.

    Example: onedoor harvest remove shaoguan
    """
    with _hub() as hub:
        count = hub.registry.remove_catalogue(name)
        output.show(
            {"catalogue": name, "removed": True, "datasets": count},
            as_json=as_json,
            text=f"catalogue {name} removed, with {count} datasets",
        )
