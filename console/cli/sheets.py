"""Commands that bring many resources in, in the group ``onedoor resource``: from spreadsheets, national JSON, contracts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.applications import Remark, Seen, Who
from console.cli.catalogue import acting
from console.cli.files import opened_file, write_by
from console.cli.hub import opened as _hub
from console.cli.output import Json
from schemas.errors import Fault, RejectedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog_registry.brought import BadPlace, ImportRefusedError
    from catalog_registry.imports import Imported

_SHOWN_FAULTS = 200
"""Faults shown to a person; ``--json`` has all that are kept."""


def register(app: typer.Typer) -> None:
    """Add the commands to the group of resources."""
    resources = next(g.typer_instance for g in app.registered_groups if g.name == "resource" and g.typer_instance is not None)
    resources.command("import")(resource_import)
    resources.command("template")(resource_template)
    resources.command("discard")(resource_discard)


def resource_import(
    file: Annotated[Path, typer.Argument(help="A spreadsheet (.xlsx, .csv), national JSON (.json), or contracts (.yaml).")],
    partial: Annotated[
        bool, typer.Option("--partial", help="Take what is right and report the rest; default: all or none.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Say what would become of it, and change nothing.")] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Share new resources of contracts at once, not as drafts.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Register resources from a file, or set their entries: all or nothing. Everything that is wrong is told at once.

    A new resource is a draft; one without a contract is bound by resource register. The same again changes nothing.

    Example: onedoor resource import catalogue.xlsx --check
    """
    from catalog_registry.bring_in import SUFFIXES, bring_in, read_file
    from catalog_registry.brought import ImportRefusedError

    kind = SUFFIXES.get(file.suffix.lower())
    if kind is None:
        raise RejectedError(
            f"a file that ends in {file.suffix or 'nothing'} is none that can be imported",
            code="catalogue.kind",
            where=str(file),
            remedy="give one that ends in .xlsx, .csv, .json or .yaml",
            fault=Fault.CLIENT,
        )
    with _hub() as hub, output.progress("reading", quiet=as_json) as told:
        with opened_file(file, "catalogue") as opened:
            brought = read_file(opened, kind, where=str(file))
        told("registering")
        try:
            done = bring_in(hub.registry, brought, by=acting(), published=published, partial=partial, check=check)
        except ImportRefusedError as error:
            show_faults(file, error, as_json=as_json)
            raise
        output.show(
            {"file": str(file), "checked": check, "taken": done.taken, **_faults(done.faults, done.faults_count)},
            as_json=as_json,
            text=lambda: _said(done, check=check),
        )


def resource_template(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write, replaced whole.")], as_json: Json = False
) -> None:
    """Write the spreadsheet that departments fill in: the official columns, drop-downs, instructions, an example.

    Example: onedoor resource template -o catalogue.xlsx
    """
    from catalog_registry.catalogue_sheets_out import write_template

    write_by(out, write_template)
    output.show({"file": str(out)}, as_json=as_json, text=f"{out} written; then: onedoor resource import {out} --check")


def resource_discard(
    name: Annotated[str, typer.Argument(help="The draft.")],
    who: Who,
    why: Remark = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Take a draft that was brought in by mistake out of the catalogue: one that no contract is bound to yet.

    Its history stays; its name and its code are never given again.

    Example: onedoor resource discard congyerenyuanminglu --as chen.jing --yes
    """
    with _hub() as hub:
        found = hub.registry.in_any_state(name)
        if not yes:
            output.say(f"discard {name}, {found.title}? Its name and its code {found.code} are never given again. [y/N]")
            if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
                raise typer.Abort
        seen = found.row_version if version is None else version
        done = hub.registry.discard_resource(name, by=who, version=seen, why=why)
        shown = {"name": done.name, "code": done.code, "state": done.state, "row_version": done.row_version}
        output.show(shown, as_json=as_json, text=f"resource {done.name} is {done.state}")


def show_faults(file: Path, error: ImportRefusedError, *, as_json: bool) -> None:
    """Show every place of a file that is wrong, of which nothing was taken."""
    shown = {"file": str(file), "taken": [], **_faults(error.faults, error.count)}
    output.show(shown, as_json=as_json, text=lambda: _table(error.faults, error.count))


def _faults(faults: Sequence[BadPlace], count: int) -> dict[str, Any]:
    return {"faults": [fault.as_json() for fault in faults], "faults_count": count}


def _table(faults: Sequence[BadPlace], count: int) -> Any:
    shown = faults[:_SHOWN_FAULTS]
    title = None if count <= len(shown) else f"{count} places are wrong; the first {len(shown)}:"
    return output.table(("where", "what is wrong"), [(fault.where, fault.reason) for fault in shown], title=title)


def _said(done: Imported, *, check: bool) -> Any:
    from rich.console import Group

    counts = ", ".join(f"{done.count(outcome)} {outcome}" for outcome in type(done).outcomes())
    line = f"{'would be: ' if check else ''}{counts}"
    if not done.faults_count:
        return line
    return Group(line, "", _table(done.faults, done.faults_count))
