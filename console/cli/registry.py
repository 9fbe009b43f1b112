"""Commands of the resources: registered by contract, listed, shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.hub import As, acts, contract_text, local, sees
from console.cli.hub import opened as _hub
from console.cli.output import Json
from console.cli.sources import check_against_source
from schemas.errors import Fault, RejectedError

if TYPE_CHECKING:
    from catalog_registry.records import Cover, RegisteredResource, UnboundResource
    from exchange.bootstrap import Hub


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from console.cli.questions import resource_diff

    group = typer.Typer(help="Shared resources and their contracts.", no_args_is_help=True)
    for command in (resource_register, resource_diff, resource_list, resource_show):
        group.command(command.__name__.partition("_")[2])(command)
    app.add_typer(group, name="resource")


def resource_register(
    file: Annotated[Path, typer.Argument(help="The contract: ODCS 3.1 as YAML.")],
    code: Annotated[str | None, typer.Option(help="The catalogue's official code.")] = None,
    check: Annotated[bool, typer.Option(help="Compare the contract with its source first.")] = True,
    as_draft: Annotated[bool, typer.Option("--draft", help="Not shared before it is submitted and published.")] = False,
    as_json: Json = False,
) -> None:
    """Register a resource by its contract, or a new version of the contract. The same again changes nothing.

    Example: onedoor resource register licences.odcs.yaml
    """
    text = contract_text(file)
    with _hub() as hub:
        if check:
            check_against_source(hub, text, str(file))
        made = hub.registry.register_resource(
            text, by=acts(), code=code, where=str(file), state="draft" if as_draft else "published"
        )
        then = (
            f"onedoor resource submit {made.name} --as PRINCIPAL" if made.state == "draft" else f"onedoor collect {made.name}"
        )
        output.show(
            _resource_fields(made),
            as_json=as_json,
            text=f"resource {made.name} registered ({made.state}), version {made.version}; then: {then}",
        )


def resource_list(who: As = None, as_json: Json = False) -> None:
    """List the registered resources; with --as those that somebody may see.

    Example: onedoor resource list
    """
    with _hub() as hub:
        if who is not None:
            _list_seen(hub, who, as_json=as_json)
            return
        rows, drafts = hub.registry.resources(), hub.registry.unbound()
        output.show(
            [_resource_fields(r) for r in rows] + [_unbound_fields(r) for r in drafts],
            as_json=as_json,
            text=lambda: output.table(
                ("resource", "title", "department", "source", "version", "state"),
                [(r.name, r.title, r.department, r.source.name, r.version, r.state) for r in rows]
                + [(r.name, r.title, r.department, "", "no contract yet", r.state) for r in drafts],
            ),
        )


def _list_seen(hub: Hub, who: str, *, as_json: bool) -> None:
    """List what somebody may see; of a resource that is not shared the name and the reason."""
    seen, rows, after = sees(hub, who), [], None
    while page := hub.registry.catalogue(seen, after=after, limit=500):
        rows += [seen_fields(r) for r in page]
        after = page[-1].name
    names = ("name", "title", "department", "version", "state", "not_shared")
    text = [[row.get(n) or "" for n in names[:-1]] + [(row.get("not_shared") or {}).get("basis", "")] for row in rows]
    output.show(rows, as_json=as_json, text=lambda: output.table(("resource", *names[1:]), text))


def resource_show(
    name: Annotated[str, typer.Argument(help="The resource.")],
    contract: Annotated[bool, typer.Option("--contract", help="Print the contract's own text.")] = False,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Show a resource: its fields, versions and grants; with --as what somebody may see of it.

    Example: onedoor resource show divisions --contract > divisions.odcs.yaml
    """
    with _hub() as hub:
        from catalog_registry.records import UnboundResource

        if who is not None:
            output.show(seen_fields(seen_by(hub, name, who), fields=True), as_json=as_json)
            return
        made = hub.registry.resource(name) if contract else hub.registry.in_any_state(name)
        if isinstance(made, UnboundResource):
            fields = [{"name": f.name, "type": f.data_type, "key": f.primary_key, "title": f.title} for f in made.entry.fields]
            draft = _unbound_fields(made)
            output.show(draft | {"fields": fields}, as_json=as_json, text=lambda: _unbound_text(made, draft))
            return
        if contract and not as_json:
            sys.stdout.write(made.odcs)
            return
        shown: dict[str, Any] = _resource_fields(made)
        if contract:
            shown["odcs"] = made.odcs
        shown["fields"] = [
            {
                "name": f.name,
                "type": f.logical_type.value,
                "key": f.key,
                "required": f.required,
                "personal": f.personal,
                "title": f.title,
            }
            for f in made.contract.fields
        ]
        shown["versions"] = hub.registry.contract_versions(name)
        shown["grants"] = [g.id for g in hub.registry.grants(resource=name)]
        shown["ends_at"] = None if (plan := hub.registry.withdrawal(name)) is None else plan.at
        output.show(shown, as_json=as_json, text=lambda: _resource_text(shown))


def seen_by(hub: Hub, name: str, who: str) -> RegisteredResource | UnboundResource | Cover:
    """Return a resource as somebody may see it.

    Raises:
        RejectedError: there is none, or it is not for that one to see; the two are told alike.
    """
    found = hub.registry.resource_seen(name, sees(hub, who))
    if found is None:
        raise RejectedError("there is no such resource", code="resource.unknown", fault=Fault.CLIENT)
    return found


def seen_fields(found: RegisteredResource | UnboundResource | Cover, *, fields: bool = False) -> dict[str, Any]:
    """Return what is told of a resource to somebody who may see this of it: no source, no grant."""
    from catalog_registry.records import Cover, UnboundResource

    if isinstance(found, Cover):
        why = {"basis_kind": found.basis_kind.value, "basis": found.basis}
        return {"name": found.name, "title": found.title, "not_shared": why}
    shown: dict[str, Any] = {
        name: getattr(found, name) for name in ("name", "code", "title", "department", "state", "version", "row_version")
    }
    if not fields:
        return shown
    if isinstance(found, UnboundResource):
        shown["fields"] = [{"name": f.name, "type": f.data_type, "title": f.title} for f in found.entry.fields]
    else:
        shown["fields"] = [{"name": f.name, "type": f.logical_type.value, "title": f.title} for f in found.contract.fields]
    return shown


def _resource_fields(made: RegisteredResource) -> dict[str, Any]:
    return {
        "name": made.name,
        "title": made.title,
        "code": made.code,
        "department": made.department,
        "source": made.source.name,
        "state": made.state,
        "version": made.version,
        "row_version": made.row_version,
        "schedule": made.contract.schedule,
        "key": [f.name for f in made.contract.key],
        "personal": [f.name for f in made.contract.personal],
    }


def _unbound_fields(made: UnboundResource) -> dict[str, Any]:
    """Return a draft without a contract: what it gets with one is null, or empty."""
    absent: dict[str, Any] = {"source": None, "version": None, "schedule": None}
    of_row = {name: getattr(made, name) for name in ("name", "title", "code", "department", "state", "row_version")}
    keys = [field.name for field in made.entry.fields if field.primary_key]
    return of_row | absent | {"key": keys, "personal": []}


def _unbound_text(made: UnboundResource, shown: dict[str, Any]) -> Any:
    from rich.console import Group

    head = "\n".join(
        f"{name:<12}{shown[name] if shown[name] is not None else '-'}" for name in ("name", "title", "code", "state")
    )
    fields = output.table(
        ("field", "type", "key", "title"),
        [(f.name, f.data_type, "yes" if f.primary_key else "", f.title) for f in made.entry.fields],
    )
    return Group(head, "", fields, "", f"no contract yet; then: onedoor resource register {made.name}.odcs.yaml")


def _resource_text(shown: dict[str, Any]) -> Any:
    from rich.console import Group

    head = "\n".join(
        f"{name:<12}{', '.join(map(str, value)) if isinstance(value, list | tuple) else value if value is not None else '-'}"
        for name, value in shown.items()
        if name not in ("fields", "versions")
    )
    fields = output.table(
        ("field", "type", "key", "required", "personal", "title"),
        [
            (
                f["name"],
                f["type"],
                f["key"] or "",
                "yes" if f["required"] else "",
                "sealed" if f["personal"] else "",
                f["title"],
            )
            for f in shown["fields"]
        ],
    )
    versions = output.table(
        ("version", "status", "at", "by"), [(v.version, v.status, local(v.at), v.by) for v in shown["versions"]]
    )
    return Group(head, "", fields, versions)
