"""Commands of bulk exports of personal data: ``onedoor bulk-export …``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.applications import Remark, Seen, Who, Why, _steps_table
from console.cli.hub import local, opened
from console.cli.output import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog_registry.records import BulkExportRecord, StepRecord
    from exchange.bootstrap import Hub

Id = Annotated[str, typer.Argument(help="Id of the bulk export.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Answers with many personal rows: a second person approves each beforehand.", no_args_is_help=True)
    for command in (
        bulk_export_ask,
        bulk_export_list,
        bulk_export_show,
        bulk_export_approve,
        bulk_export_refuse,
        bulk_export_cancel,
    ):
        group.command(command.__name__.rpartition("_")[2])(command)
    app.add_typer(group, name="bulk-export")


def bulk_export_ask(
    grant: Annotated[str, typer.Argument(help="Id of the grant that allows the fields.")],
    who: Who,
    field: Annotated[list[str], typer.Option(help="A field that is to be given; give it again for more.")],
    purpose: Annotated[str, typer.Option(help="The purpose that the query will name.")],
    reason: Annotated[str, typer.Option(help="Why so many rows are needed.")],
    row_filter: Annotated[str | None, typer.Option("--filter", help="The filter that the query will have.")] = None,
    principal: Annotated[str | None, typer.Option(help="The account that will query; default: who asks.")] = None,
    as_json: Json = False,
) -> None:
    r"""Ask for one answer with personal fields that has no case, or more rows than a case is enough for.

    Example: onedoor bulk-export ask g01m6cwacm06h4yrfjgdy41 --as li.na --principal relief --field name --field citizen_id \
    --purpose relief_check --reason '年度低保对象核对'
    """
    with opened() as hub:
        made = hub.registry.ask_bulk_export(
            grant, field, by=who, purpose=purpose, reason=reason, row_filter=row_filter, principal=principal
        )
        output.show(
            made,
            as_json=as_json,
            text=f"bulk export {made.id} asked for; a security officer, or a reviewer of {made.provider}, approves it",
        )


def bulk_export_list(
    state: Annotated[str | None, typer.Option(help="Only those in a state, such as asked.")] = None, as_json: Json = False
) -> None:
    """List the bulk exports, oldest first.

    Example: onedoor bulk-export list --state asked
    """
    from catalog_registry.bulk_export_life import ExportState

    if state is not None and state not in set(ExportState):
        raise typer.BadParameter(f"{state[:40]!r} is no state: {', '.join(ExportState)}")
    with opened() as hub:
        found = hub.registry.bulk_exports(state=None if state is None else ExportState(state))
        output.show(
            found,
            as_json=as_json,
            text=lambda: output.table(
                ("export", "grant", "resource", "department", "fields", "rows", "state", "until"),
                [
                    (
                        one.id,
                        one.grant,
                        one.resource,
                        one.department,
                        ", ".join(one.fields),
                        one.row_filter or "all",
                        one.state.value,
                        "" if one.until is None else local(one.until),
                    )
                    for one in found
                ],
            ),
        )


def bulk_export_show(export: Id, as_json: Json = False) -> None:
    """Show a bulk export: what is asked for and why, who approved it, whether it was used.

    Example: onedoor bulk-export show x01m6cwacm06h4yrfjgdy41
    """
    with opened() as hub:
        found = hub.registry.bulk_export(export)
        steps = hub.registry.bulk_export_history(export)
        plain: dict[str, Any] = {name: getattr(found, name) for name in found.__dataclass_fields__}
        output.show(plain | {"history": steps}, as_json=as_json, text=lambda: _text(hub, found, steps))


def bulk_export_approve(
    export: Id,
    who: Who,
    hours: Annotated[int | None, typer.Option(help="How long it is good: 1 to 24; default: 24.")] = None,
    why: Remark = "",
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Allow one use, for the security officer or the provider's reviewer; not for who asked.

    Example: onedoor bulk-export approve x01m6cwacm06h4yrfjgdy41 --as security.officer --hours 2
    """
    with opened() as hub:
        done = hub.registry.approve_bulk_export(export, by=who, version=_seen(hub, export, version), hours=hours, why=why)
        until = "" if done.until is None else local(done.until)
        output.show(done, as_json=as_json, text=f"bulk export {done.id} is approved, for one use until {until}")


def bulk_export_refuse(export: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Refuse a bulk export.

    Example: onedoor bulk-export refuse x01m6cwacm06h4yrfjgdy41 --as security.officer --why 'fewer fields are enough'
    """
    with opened() as hub:
        done = hub.registry.refuse_bulk_export(export, by=who, version=_seen(hub, export, version), why=why)
        output.show(done, as_json=as_json, text=f"bulk export {done.id} is refused")


def bulk_export_cancel(export: Id, who: Who, why: Remark = "", version: Seen = None, as_json: Json = False) -> None:
    """Take a bulk export back before it is used.

    Example: onedoor bulk-export cancel x01m6cwacm06h4yrfjgdy41 --as li.na
    """
    with opened() as hub:
        done = hub.registry.cancel_bulk_export(export, by=who, version=_seen(hub, export, version), why=why)
        output.show(done, as_json=as_json, text=f"bulk export {done.id} is cancelled")


def _seen(hub: Hub, export: str, version: int | None) -> int:
    return hub.registry.bulk_export(export).version if version is None else version


def _text(hub: Hub, found: BulkExportRecord, steps: Sequence[StepRecord]) -> Any:
    from rich.console import Group

    names = {p.id: p.name for p in hub.registry.principals()}
    shown = {
        "export": found.id,
        "state": f"{found.state} (version {found.version})",
        "grant": found.grant,
        "resource": f"{found.resource} of {found.provider}",
        "for": f"{names.get(found.principal, found.principal)} of {found.department}, {found.purpose}",
        "fields": ", ".join(found.fields),
        "rows": found.row_filter or "all",
        "reason": found.reason,
        "until": "-" if found.until is None else local(found.until),
        "used": "-" if found.used_at is None else local(found.used_at),
    }
    return Group("\n".join(f"{name:<10}{value}" for name, value in shown.items()), "", _steps_table(steps, hub))
