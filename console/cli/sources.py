"""Commands of the sources: where rows are read, and drafts of contracts from their tables."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.hub import opened as _hub
from console.cli.output import Json
from schemas.errors import Fault, RejectedError
from schemas.secret import Secret

if TYPE_CHECKING:
    from catalog_registry.records import SourceRecord
    from connectors.api import Source, TableShape
    from exchange.bootstrap import Hub
    from schemas.draft import Draft


CENTRE = ("centre", "信息中心")
"""The department that a source is of where none is named: the information centre."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("draft")(draft)
    group = typer.Typer(help="Where rows are read: departments' databases.", no_args_is_help=True)
    for command in (source_add, source_list, source_show, source_remove):
        group.command(command.__name__.partition("_")[2])(command)
    app.add_typer(group, name="source")


def source_add(
    name: Annotated[str, typer.Argument(help="A small letter, then small letters, digits or underscores.")],
    url: Annotated[str, typer.Option(help="scheme://user:password@host:port/name; - reads it from standard input.")],
    system: Annotated[str | None, typer.Option(help="Code of the system it is part of; default: the source's name.")] = None,
    department: Annotated[str | None, typer.Option(help="Code of the system's department; default: the centre.")] = None,
    system_name: Annotated[str | None, typer.Option(help="What people call the system.")] = None,
    department_name: Annotated[str | None, typer.Option(help="What people call the department.")] = None,
    password_env: Annotated[str | None, typer.Option(help="Variable that holds the password, instead of the URL.")] = None,
    test: Annotated[bool, typer.Option(help="Connect before anything is kept.")] = True,
    as_json: Json = False,
) -> None:
    """Add a source, or give one a new address. Its password goes to the keys folder, never to the database.

    Example: onedoor source add shop --url postgresql://reader:secret@127.0.0.1:5432/shop --department market
    """
    given = Secret(sys.stdin.readline().strip() if url == "-" else url)
    with _hub() as hub:
        from catalog_registry.secret_place import read_secret, split_url, url_with_password
        from connectors.registry import spec_of_url

        shown, _ = split_url(given)
        spec = spec_of_url(given)
        can: dict[str, Any] = {}
        if test:
            full = given
            if password_env is not None:
                full = url_with_password(shown, read_secret(f"env:{password_env}", None, source=name))
            can = _capabilities(full, hub)
        at = _system(hub, name, system, department, system_name, department_name)
        record = hub.registry.add_source(name, given, system=at, connector=spec.name, password_env=password_env)
        output.show(
            {"source": record, "tested": test, "capabilities": can},
            as_json=as_json,
            text=lambda: f"source {name} added: {record.url_shown} ({_abilities(can) if test else 'not tested'})",
        )


def source_list(as_json: Json = False) -> None:
    """List the sources.

    Example: onedoor source list
    """
    with _hub() as hub:
        rows = hub.registry.sources()
        output.show(
            rows,
            as_json=as_json,
            text=lambda: output.table(
                ("source", "connector", "system", "department", "address"),
                [(r.name, r.connector, r.system, r.department, r.url_shown) for r in rows],
            ),
        )


def source_show(name: Annotated[str, typer.Argument(help="The source.")], as_json: Json = False) -> None:
    """Show a source and the resources that are read from it.

    Example: onedoor source show shop --json
    """
    with _hub() as hub:
        record = hub.registry.source(name)
        users = [r.name for r in hub.registry.resources() if r.source.name == name]
        shown = _source_fields(record) | {"resources": users}
        output.show(shown, as_json=as_json)


def source_remove(name: Annotated[str, typer.Argument(help="The source.")], as_json: Json = False) -> None:
    """Forget a source and its password; refused while a resource is read from it.

    Example: onedoor source remove shop
    """
    with _hub() as hub:
        hub.registry.remove_source(name)
        output.show({"source": name, "removed": True}, as_json=as_json, text=f"source {name} removed")


def draft(
    source: Annotated[str, typer.Option(help="The source.")],
    table: Annotated[str, typer.Option(help="The table or view, with its schema where it has one.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write; - for standard output.")],
    name: Annotated[str | None, typer.Option(help="Name of the resource; default: from the table's name.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Draft a contract from the structure of a table, for a person to complete.

    Columns that look personal are marked to be confirmed; a table without a key asks for one.

    Example: onedoor draft --source shop --table public.licences -o licences.odcs.yaml
    """
    if str(out) != "-" and out.exists() and not force:
        raise RejectedError(
            "the file is there", code="draft.exists", where=str(out), remedy="give another name, or --force", fault=Fault.CLIENT
        )
    with _hub() as hub:
        record = hub.registry.source(source)
        with _open(record.url(), hub) as opened:
            shape = opened.describe(table)
        made = _draft(shape, record, name)
        if str(out) == "-":
            sys.stdout.write(made.text)
            return
        out.write_text(made.text, "utf-8")
        output.show(
            {"file": str(out), "resource": made.name, "questions": list(made.questions)},
            as_json=as_json,
            text=lambda: "\n".join(
                [
                    f"{out} written: {made.name}",
                    *(f"  to decide: {q}" for q in made.questions),
                    f"then: onedoor resource register {out}",
                ]
            ),
        )


@contextmanager
def _open(url: Secret[str], hub: Hub) -> Iterator[Source]:
    from connectors.registry import open_source

    opened = open_source(url, clock=hub.clock)
    try:
        yield opened
    finally:
        opened.close()


def check_against_source(hub: Hub, text: str, where: str) -> None:
    """Raise ``RejectedError`` where a contract does not fit what its source has."""
    from schemas.odcs import read_contract

    contract = read_contract(text, where=where)
    with _open(hub.registry.source(contract.source).url(), hub) as opened:
        opened.check(contract)


def _capabilities(url: Secret[str], hub: Hub) -> dict[str, Any]:
    """Return what a source can do with this account; asking connects."""
    with _open(url, hub) as opened:
        return dataclasses.asdict(opened.capabilities)


def _abilities(can: dict[str, Any]) -> str:
    return "can: " + (", ".join(name.replace("_", " ") for name, yes in can.items() if yes) or "read it whole")


def _system(
    hub: Hub, source: str, system: str | None, department: str | None, system_name: str | None, department_name: str | None
) -> str:
    """Return the code of the system, made where it is not there yet, with its department."""
    registry = hub.registry
    known = {s.code: s for s in registry.systems()}
    departments = {d.code: d for d in registry.departments()}
    code = system or next((s.system for s in registry.sources() if s.name == source), source)
    here = known.get(code)
    of = department or (here.department if here is not None else CENTRE[0])
    if of not in departments:
        registry.ensure_department(of, department_name or (CENTRE[1] if of == CENTRE[0] else of))
    elif department_name is not None:
        was = departments[of]
        registry.ensure_department(of, department_name, credit_code=was.credit_code, parent=was.parent)
    if here is None or here.department != of or system_name is not None:
        registry.ensure_system(code, system_name or (here.name if here is not None else code), of)
    return code


def _draft(shape: TableShape, source: SourceRecord, name: str | None) -> Draft:
    """Return the draft of a contract for a table that a connector described."""
    from schemas.draft import DraftColumn, DraftShape
    from schemas.draft import draft as drafted

    return drafted(
        DraftShape(
            table=shape.table,
            columns=[
                DraftColumn(c.name, c.native_type, c.logical, c.nullable, c.max_length, c.precision, c.scale, c.comment)
                for c in shape.columns
            ],
            key=shape.key,
            source=source.name,
            department=source.department,
            system=source.system,
            name=name or "",
            comment=shape.comment,
        )
    )


def _source_fields(record: SourceRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "connector": record.connector,
        "url": record.url_shown,
        "secret_ref": record.secret_ref,
        "system": record.system,
        "department": record.department,
        "created_at": record.created_at,
    }
