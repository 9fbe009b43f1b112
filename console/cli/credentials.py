"""Commands of accounts, in the group ``onedoor principal``: roles, networks, and secrets that are rotated with an overlap."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.hub import local
from console.cli.hub import opened as _hub
from console.cli.output import Json
from console.cli.principals import principal_fields

if TYPE_CHECKING:
    from catalog_registry.records import PrincipalRecord
    from exchange.bootstrap import Hub

Name = Annotated[str, typer.Argument(help="Id, client id or name.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group of principals."""
    group = next(g.typer_instance for g in app.registered_groups if g.name == "principal" and g.typer_instance is not None)
    for command in (principal_show, principal_roles, principal_ranges, principal_rotate, principal_end_old):
        group.command(command.__name__.partition("_")[2].replace("_", "-"))(command)


def principal_show(name: Name, as_json: Json = False) -> None:
    """Show an account: its roles and networks, and since when and until when its secrets are good. No secret is kept.

    Example: onedoor principal show intake
    """
    with _hub() as hub:
        shown = _fields(hub, hub.registry.principal(name))
        output.show(shown, as_json=as_json, text=lambda: _text(shown))


def principal_roles(
    name: Name,
    role: Annotated[list[str] | None, typer.Option(help="A role; give it again for more; none: it has none.")] = None,
    as_json: Json = False,
) -> None:
    """Give an account exactly these roles; its tokens end.

    Example: onedoor principal roles intake --role consumer
    """
    with _hub() as hub:
        made = hub.registry.set_roles(name, role or ())
        output.show(_fields(hub, made), as_json=as_json, text=f"{made.name} is {', '.join(made.roles) or 'without a role'}")


def principal_ranges(
    name: Name,
    network: Annotated[
        list[str] | None, typer.Option("--range", help="A network as CIDR; give it again for more; none: from anywhere.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Let an account ask from exactly these networks, for its tokens and with them.

    Example: onedoor principal ranges intake --range 10.2.0.0/16
    """
    with _hub() as hub:
        made = hub.registry.set_ranges(name, network or ())
        said = ", ".join(str(n) for n in made.ranges) or "anywhere"
        output.show(_fields(hub, made), as_json=as_json, text=f"{made.name} may ask from {said}")


def principal_rotate(
    name: Name,
    overlap: Annotated[float, typer.Option(help="Hours that the secret from before is still good; 0: it ends now.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Give a machine a new secret, printed once. With an overlap the one from before is good a while longer.

    Example: onedoor principal rotate intake --overlap 48
    """
    with _hub() as hub:
        made, secret = hub.registry.rotate_secret(name, overlap=timedelta(hours=overlap))
        shown = _fields(hub, made)
        old = f"\nthe old one    good until {local(shown['secrets'][1]['ends_at'])}" if overlap else ""
        output.show(
            shown | {"client_secret": secret.reveal()},
            as_json=as_json,
            text=f"client_id      {made.client_id}\nclient_secret  {secret.reveal()}{old}\nshown once: only its hash is kept",
        )


def principal_end_old(name: Name, as_json: Json = False) -> None:
    """End every secret of a machine but the newest now, and its tokens: an overlap before its time.

    Example: onedoor principal end-old intake
    """
    with _hub() as hub:
        made = hub.registry.end_old_secrets(name)
        output.show(_fields(hub, made), as_json=as_json, text=f"{made.name} has its newest secret only")


def _fields(hub: Hub, made: PrincipalRecord) -> dict[str, Any]:
    secrets = hub.registry.secrets(made.id)
    return principal_fields(made) | {
        "last_used_at": max((s.last_used_at for s in secrets if s.last_used_at is not None), default=None),
        "secrets": [{"n": s.n, "made_at": s.made_at, "ends_at": s.ends_at, "last_used_at": s.last_used_at} for s in secrets],
        "version": made.version,
    }


def _text(shown: dict[str, Any]) -> Any:
    from rich.console import Group

    rows = [(name, value) for name, value in shown.items() if name not in ("secrets", "last_used_at")]
    words = [(name, ", ".join(value) if isinstance(value, list | tuple) else value) for name, value in rows if value]
    head = "\n".join(f"{name:<12}{value}" for name, value in words)
    if not shown["secrets"]:
        return head
    secrets = output.table(
        ("secret", "made", "good until", "last used"),
        [
            (
                s["n"],
                local(s["made_at"]),
                local(s["ends_at"]) if s["ends_at"] else "",
                local(s["last_used_at"]) if s["last_used_at"] else "never",
            )
            for s in shown["secrets"]
        ],
    )
    return Group(head, "", secrets)
