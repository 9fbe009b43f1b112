"""Commands of the grants that are given without an application: add, list, revoke; `explain` stands in the same group."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.hub import acts, instant, local
from console.cli.hub import opened as _hub
from console.cli.output import Json
from console.cli.quota import Burst, PerDay, PerMinute, RowsPerDay, limits

if TYPE_CHECKING:
    from catalog_registry.records import GrantRecord, Receiver
    from exchange.bootstrap import Hub


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from console.cli.questions import grant_explain

    group = typer.Typer(help="Who may use what. Without a grant there is no data.", no_args_is_help=True)
    for command in (grant_add, grant_list, grant_explain, grant_revoke):
        group.command(command.__name__.partition("_")[2])(command)
    app.add_typer(group, name="grant")


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
    r"""Give a receiver the right to fields of a resource. Needs a purpose or an item, and a legal basis.

    Example: onedoor grant add licences --to system:intake --field name --field state --purpose accept_case \
    --basis 国令809 --until 2027-11-01
    """
    with _hub() as hub:
        made = hub.registry.make_grant(
            _receiver(to, hub),
            resource,
            field,
            legal_basis=basis,
            from_at=hub.clock.now() if start is None else instant(start, "--from"),
            to_at=instant(until, "--until"),
            by=acts(),
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
                        local(g.to_at),
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
        ended = hub.registry.revoke_grant(grant, by=acts(), why=why)
        output.show(_grant_fields(ended), as_json=as_json, text=f"grant {grant} revoked")


def _receiver(text: str, hub: Hub) -> Receiver:
    from catalog_registry.records import Receiver, ReceiverKind

    kind, _, code = text.partition(":")
    if not code or kind not in {k.value for k in ReceiverKind}:
        raise typer.BadParameter(f"{text[:64]!r} is no receiver: department:CODE, system:CODE or principal:NAME")
    if kind == ReceiverKind.PRINCIPAL:
        code = hub.registry.principal(code).id
    return Receiver(ReceiverKind(kind), code)


def _state(grant: GrantRecord, now: datetime) -> str:
    if grant.revoked_at is not None:
        return "revoked"
    return "in force" if grant.in_force(now) else ("ended" if now >= grant.to_at else "not begun")


def _grant_fields(made: GrantRecord) -> dict[str, Any]:
    shown = {f.name: getattr(made, f.name) for f in dataclasses.fields(made)}
    quota = None if made.quota is None else made.quota.document()
    return shown | {"row_filter": None if made.row_filter is None else made.row_filter.text, "quota": quota}
