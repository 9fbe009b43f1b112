"""Commands of who acts: accounts are made, listed and ended; what an account has is in `credentials`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.hub import local
from console.cli.hub import opened as _hub
from console.cli.output import Json

if TYPE_CHECKING:
    from catalog_registry.records import PrincipalRecord


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Who acts: persons, and machines with credentials.", no_args_is_help=True)
    for command in (principal_add, principal_list, principal_revoke):
        group.command(command.__name__.partition("_")[2])(command)
    app.add_typer(group, name="principal")


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
            output.show(principal_fields(made), as_json=as_json, text=f"person {name} added: {made.id}")
            return
        made, secret = hub.registry.create_machine(name, department, system=system, roles=role or ())
        output.show(
            principal_fields(made) | {"client_secret": secret.reveal()},
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
            [principal_fields(r) | {"last_used_at": used.get(r.id)} for r in rows],
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
                        local(used[r.id]) if r.id in used else "",
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
        output.show(principal_fields(ended), as_json=as_json, text=f"principal {ended.name} revoked")


def principal_fields(made: PrincipalRecord) -> dict[str, Any]:
    """Return what is told of an account; no secret is among it."""
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
