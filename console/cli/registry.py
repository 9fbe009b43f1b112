"""Commands of the registry: sources, drafts of contracts, resources, grants, principals, materials."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.hub import As, sees
from console.cli.hub import contract_text as _read
from console.cli.hub import local as _local
from console.cli.hub import opened as _hub
from console.cli.output import Json
from console.cli.quota import Burst, PerDay, PerMinute, RowsPerDay, limits
from schemas.clock import CHINA
from schemas.errors import Fault, RejectedError
from schemas.secret import Secret

if TYPE_CHECKING:
    from catalog_registry.records import (
        Cover,
        GrantRecord,
        PrincipalRecord,
        Receiver,
        RegisteredResource,
        SourceRecord,
        UnboundResource,
    )
    from connectors.api import Source, TableShape
    from exchange.bootstrap import Hub
    from schemas.draft import Draft

CENTRE = ("centre", "信息中心")
"""The department that a source is of where none is named: the information centre."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from console.cli.questions import grant_explain, resource_diff  # they stand in these groups

    app.command("draft")(draft)
    for name, title, commands in (
        ("source", "Where rows are read: departments' databases.", (source_add, source_list, source_show, source_remove)),
        ("resource", "Shared resources and their contracts.", (resource_register, resource_diff, resource_list, resource_show)),
        ("grant", "Who may use what. Without a grant there is no data.", (grant_add, grant_list, grant_explain, grant_revoke)),
        ("principal", "Who acts: persons, and machines with credentials.", (principal_add, principal_list, principal_revoke)),
        ("material", "Which licence types stand in for the materials of an item.", (material_set, material_list)),
    ):
        group = typer.Typer(help=title, no_args_is_help=True)
        for command in commands:
            group.command(command.__name__.partition("_")[2])(command)
        app.add_typer(group, name=name)


# Sources -------------------------------------------------------------------------------------------------------------


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


# Resources -----------------------------------------------------------------------------------------------------------


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
    text = _read(file)
    with _hub() as hub:
        if check:
            check_against_source(hub, text, str(file))
        made = hub.registry.register_resource(
            text, by=_by(), code=code, where=str(file), state="draft" if as_draft else "published"
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


# Grants --------------------------------------------------------------------------------------------------------------


def grant_add(
    resource: Annotated[str, typer.Argument(help="The resource.")],
    to: Annotated[str, typer.Option(help="The receiver: department:CODE, system:CODE or principal:NAME.")],
    field: Annotated[list[str], typer.Option(help="A field it may have; give it again for more.")],
    basis: Annotated[str, typer.Option(help="The law or document that allows it.")],
    until: Annotated[str, typer.Option(help="When it ends: 2027-01-01, or an instant with its offset.")],
    start: Annotated[str | None, typer.Option("--from", help="When it begins; default: now.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="What for, such as accept_case.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="Code of a service item it may be used for.")] = None,
    row_filter: Annotated[str | None, typer.Option("--filter", help="Rows it may have: state = '01' and year >= 2020.")] = None,
    per_day: PerDay = None,
    per_minute: PerMinute = None,
    burst: Burst = None,
    rows_per_day: RowsPerDay = None,
    as_json: Json = False,
) -> None:
    """Give a receiver the right to fields of a resource. Needs a purpose or an item, and a legal basis.

    Example: onedoor grant add licences --to system:intake --field name --field state --purpose accept_case
    --basis 国令809 --until 2027-11-01
    """
    with _hub() as hub:
        made = hub.registry.make_grant(
            _receiver(to, hub),
            resource,
            field,
            legal_basis=basis,
            from_at=hub.clock.now() if start is None else _instant(start, "--from"),
            to_at=_instant(until, "--until"),
            by=_by(),
            purposes=purpose or (),
            items=item or (),
            row_filter=row_filter,
            quota=limits(per_day, per_minute, burst, rows_per_day),
        )
        output.show(
            _grant_fields(made),
            as_json=as_json,
            text=f"grant {made.id} made: {made.receiver} may use {', '.join(made.fields)} of {resource}",
        )


def grant_list(
    resource: Annotated[str | None, typer.Option(help="Only those of a resource.")] = None,
    to: Annotated[str | None, typer.Option(help="Only those of a receiver, as in grant add.")] = None,
    ended: Annotated[bool, typer.Option("--all", help="Ended and revoked ones too.")] = False,
    as_json: Json = False,
) -> None:
    """List the grants.

    Example: onedoor grant list --resource licences
    """
    with _hub() as hub:
        now = hub.clock.now()
        rows = hub.registry.grants(resource=resource, receiver=None if to is None else _receiver(to, hub))
        rows = [g for g in rows if ended or (g.revoked_at is None and now < g.to_at)]
        output.show(
            [_grant_fields(g) for g in rows],
            as_json=as_json,
            text=lambda: output.table(
                ("grant", "resource", "receiver", "fields", "purposes, items", "quota", "until", "state"),
                [
                    (
                        g.id,
                        g.resource,
                        str(g.receiver),
                        ", ".join(g.fields),
                        ", ".join((*g.purposes, *g.items)),
                        str(g.quota or ""),
                        _local(g.to_at),
                        _state(g, now),
                    )
                    for g in rows
                ],
            ),
        )


def grant_revoke(
    grant: Annotated[str, typer.Argument(help="Id of the grant.")],
    why: Annotated[str, typer.Option(help="The reason; it is kept.")],
    as_json: Json = False,
) -> None:
    """End a grant now.

    Example: onedoor grant revoke g01m6cwacm06h4yrfjgdy41 --why 'the item was abolished'
    """
    with _hub() as hub:
        ended = hub.registry.revoke_grant(grant, by=_by(), why=why)
        output.show(_grant_fields(ended), as_json=as_json, text=f"grant {grant} revoked")


# Principals ----------------------------------------------------------------------------------------------------------


def principal_add(
    name: Annotated[str, typer.Argument(help="Name of the account.")],
    department: Annotated[str, typer.Option(help="Code of its department.")],
    system: Annotated[str | None, typer.Option(help="Code of the system that a machine is part of.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role; give it again for more.")] = None,
    person: Annotated[bool, typer.Option("--person", help="A person's account; a machine's otherwise.")] = False,
    as_json: Json = False,
) -> None:
    """Make an account. A machine's client id and secret are printed once, and never again.

    Example: onedoor principal add intake --department centre --system intake --role consumer
    """
    if person and system is not None:
        raise typer.BadParameter("a person is of a department, not of a system")
    with _hub() as hub:
        if person:
            made = hub.registry.create_person(name, department, roles=role or ())
            output.show(_principal_fields(made), as_json=as_json, text=f"person {name} added: {made.id}")
            return
        made, secret = hub.registry.create_machine(name, department, system=system, roles=role or ())
        output.show(
            _principal_fields(made) | {"client_secret": secret.reveal()},
            as_json=as_json,
            text=f"client_id      {made.client_id}\nclient_secret  {secret.reveal()}\nshown once: only its hash is kept",
        )


def principal_list(as_json: Json = False) -> None:
    """List the accounts.

    Example: onedoor principal list
    """
    with _hub() as hub:
        rows, used = hub.registry.principals(), hub.registry.last_used()
        output.show(
            [_principal_fields(r) | {"last_used_at": used.get(r.id)} for r in rows],
            as_json=as_json,
            text=lambda: output.table(
                ("id", "name", "kind", "department", "system", "roles", "last used", "state"),
                [
                    (
                        r.id,
                        r.name,
                        r.kind.value,
                        r.department,
                        r.system or "",
                        ", ".join(r.roles),
                        _local(used[r.id]) if r.id in used else "",
                        "revoked" if r.revoked_at else "active",
                    )
                    for r in rows
                ],
            ),
        )


def principal_revoke(name: Annotated[str, typer.Argument(help="Id, client id or name.")], as_json: Json = False) -> None:
    """End an account and its tokens now.

    Example: onedoor principal revoke intake
    """
    with _hub() as hub:
        ended = hub.registry.revoke_principal(name)
        output.show(_principal_fields(ended), as_json=as_json, text=f"principal {ended.name} revoked")


# Materials -----------------------------------------------------------------------------------------------------------


def material_set(
    item: Annotated[str, typer.Argument(help="Code of the service item.")],
    material: Annotated[str, typer.Argument(help="Code of the material.")],
    licence_types: Annotated[
        list[str] | None, typer.Argument(help="Licence types it accepts; none: the paper is asked for.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say exactly which licence types a material accepts instead of paper.

    Example: onedoor material set 11440200006123456X3440205001000 M01 11100000000013338W011
    """
    with _hub() as hub:
        hub.registry.set_item_licence_types(item, material, licence_types or (), by=_by())
        accepted = hub.registry.item_licence_types(item).get(item, {}).get(material, ())
        output.show(
            {"item": item, "material": material, "licence_types": list(accepted)},
            as_json=as_json,
            text=f"material {material} of {item} accepts {', '.join(accepted) or 'no licence'}",
        )


def material_list(
    item: Annotated[str | None, typer.Argument(help="Only those of an item.")] = None, as_json: Json = False
) -> None:
    """List which licence types materials accept.

    Example: onedoor material list
    """
    with _hub() as hub:
        found = hub.registry.item_licence_types(item)
        rows = [
            {"item": i, "material": m, "licence_types": list(types)}
            for i, materials in found.items()
            for m, types in materials.items()
        ]
        output.show(
            rows,
            as_json=as_json,
            text=lambda: output.table(
                ("item", "material", "licence types"), [(r["item"], r["material"], ", ".join(r["licence_types"])) for r in rows]
            ),
        )


# What the commands share ---------------------------------------------------------------------------------------------


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


def _by() -> str:
    """Return who acts on the console: the account of the operating system."""
    import getpass

    return f"console:{getpass.getuser()}"


def _receiver(text: str, hub: Hub) -> Receiver:
    from catalog_registry.records import Receiver, ReceiverKind

    kind, _, code = text.partition(":")
    if not code or kind not in {k.value for k in ReceiverKind}:
        raise typer.BadParameter(f"{text[:64]!r} is no receiver: department:CODE, system:CODE or principal:NAME")
    if kind == ReceiverKind.PRINCIPAL:
        code = hub.registry.principal(code).id
    return Receiver(ReceiverKind(kind), code)


def _instant(text: str, option: str) -> datetime:
    """Return an instant; a text without an offset, and a day, is China's."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} {text[:40]!r} is no instant: 2027-01-01 or 2027-01-01T08:00:00+08:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=CHINA)


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


def _state(grant: GrantRecord, now: datetime) -> str:
    if grant.revoked_at is not None:
        return "revoked"
    return "in force" if grant.in_force(now) else ("ended" if now >= grant.to_at else "not begun")


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


def _grant_fields(made: GrantRecord) -> dict[str, Any]:
    shown = {f.name: getattr(made, f.name) for f in dataclasses.fields(made)}
    quota = None if made.quota is None else made.quota.document()
    return shown | {"row_filter": None if made.row_filter is None else made.row_filter.text, "quota": quota}


def _principal_fields(made: PrincipalRecord) -> dict[str, Any]:
    return {
        "id": made.id,
        "kind": made.kind,
        "name": made.name,
        "department": made.department,
        "system": made.system,
        "roles": made.roles,
        "client_id": made.client_id,
        "ranges": [str(network) for network in made.ranges],
        "revoked_at": made.revoked_at,
    }


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
        ("version", "status", "at", "by"), [(v.version, v.status, _local(v.at), v.by) for v in shown["versions"]]
    )
    return Group(head, "", fields, versions)
