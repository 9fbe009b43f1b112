"""Commands of duties to destroy: ``onedoor destruction …``."""

from __future__ import annotations

from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.applications import Remark, Seen, Who, Why, _clock_text, _due, _left, _steps_table
from console.cli.hub import local, opened
from console.cli.output import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog_registry.records import DestructionRecord, StepRecord
    from catalog_registry.step_clock import StepClock
    from exchange.bootstrap import Hub

Id = Annotated[str, typer.Argument(help="Id of the duty to destroy.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="What was received under grants that have ended: is it destroyed?", no_args_is_help=True)
    for command in (
        destruction_list,
        destruction_show,
        destruction_file,
        destruction_return,
        destruction_confirm,
        destruction_waive,
    ):
        group.command(command.__name__.partition("_")[2])(command)
    app.add_typer(group, name="destruction")


def destruction_list(
    late: Annotated[bool, typer.Option("--late", help="Only those that are late, the longest first.")] = False,
    department: Annotated[str | None, typer.Option(help="Only those of a receiving department.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that somebody is waited for.")] = False,
    as_json: Json = False,
) -> None:
    """List the duties to destroy, oldest first, each with the clock of the step that it waits for.

    Example: onedoor destruction list --late
    """
    with opened() as hub:
        from catalog_registry.step_clock import late_first

        found = hub.registry.destructions(department=department, open_only=open_only or late)
        rows: Sequence[tuple[DestructionRecord, StepClock | None]] = [(one, _clock(hub, one)) for one in found]
        if late:
            rows = late_first(rows)
        output.show(
            [_told(one, clock) for one, clock in rows],
            as_json=as_json,
            text=lambda: (
                output.table(
                    ("duty", "grant", "resource", "receiver", "ended", "state", "due", "left"),
                    [
                        (
                            one.id,
                            one.grant,
                            one.resource,
                            one.department,
                            f"{one.ended} {local(one.ended_at)}",
                            one.state.value,
                            _due(clock),
                            _left(clock),
                        )
                        for one, clock in rows
                    ],
                )
                if rows
                else "nothing is late"
                if late
                else "there are none"
            ),
        )


def destruction_show(destruction: Id, as_json: Json = False) -> None:
    """Show a duty: which grant ended, by when a certificate is due, what was filed, what was done and by whom.

    Example: onedoor destruction show d01m6cwacm06h4yrfjgdy41
    """
    with opened() as hub:
        found = hub.registry.destruction(destruction)
        steps = hub.registry.destruction_history(destruction)
        clock = _clock(hub, found)
        output.show(
            _told(found, clock) | {"history": steps},
            as_json=as_json,
            text=lambda: _text(hub, found, clock, steps),
        )


def destruction_file(
    destruction: Id,
    who: Who,
    text: Annotated[str, typer.Option(help="What was destroyed, where, how, and by whom.")],
    document: Annotated[
        Path | None,
        typer.Option(help="The signed document; its SHA-256 is kept, not the document.", exists=True, dir_okay=False),
    ] = None,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """File the certificate that what was received is destroyed, for the receiver.

    Example: onedoor destruction file d01m6cwacm06h4yrfjgdy41 --as li.na --text '已删除全部副本和备份' --document a.pdf
    """
    digest = None
    if document is not None:
        with document.open("rb") as opened_file:
            digest = file_digest(opened_file, "sha256").hexdigest()
    with opened() as hub:
        done = hub.registry.file_destruction(
            destruction,
            by=who,
            version=_seen(hub, destruction, version),
            text=text,
            document=None if document is None else document.name,
            digest=digest,
        )
        output.show(done, as_json=as_json, text=f"certificate of {done.id} filed, sha256 {done.sha256}; the centre confirms it")


def destruction_return(destruction: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Give a certificate back, for the centre, and say what is missing.

    Example: onedoor destruction return d01m6cwacm06h4yrfjgdy41 --as centre.officer --why 'the backups are not named'
    """
    with opened() as hub:
        done = hub.registry.return_destruction(destruction, by=who, version=_seen(hub, destruction, version), why=why)
        output.show(done, as_json=as_json, text=f"the certificate of {done.id} is given back to {done.department}")


def destruction_confirm(destruction: Id, who: Who, why: Remark = "", version: Seen = None, as_json: Json = False) -> None:
    """Say, for the centre, that a certificate is good; by another person than the one who filed it.

    Example: onedoor destruction confirm d01m6cwacm06h4yrfjgdy41 --as centre.officer
    """
    with opened() as hub:
        done = hub.registry.confirm_destruction(destruction, by=who, version=_seen(hub, destruction, version), why=why)
        output.show(done, as_json=as_json, text=f"{done.id} is confirmed")


def destruction_waive(destruction: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Let what was received be kept, for the security officer, for a reason such as a law that has it kept.

    Example: onedoor destruction waive d01m6cwacm06h4yrfjgdy41 --as security.officer --why '档案法第十四条'
    """
    with opened() as hub:
        done = hub.registry.waive_destruction(destruction, by=who, version=_seen(hub, destruction, version), why=why)
        output.show(done, as_json=as_json, text=f"{done.id} is waived")


def _seen(hub: Hub, destruction: str, version: int | None) -> int:
    return hub.registry.destruction(destruction).version if version is None else version


def _clock(hub: Hub, found: DestructionRecord) -> StepClock | None:
    from catalog_registry.destruction_life import destruction_clock

    return destruction_clock(found, rules=hub.clock_rules, of=hub.workdays, now=hub.clock.now())


def _told(found: DestructionRecord, clock: StepClock | None) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__} | {"clock": clock}


def _text(hub: Hub, found: DestructionRecord, clock: StepClock | None, steps: Sequence[StepRecord]) -> Any:
    from rich.console import Group

    shown = {
        "duty": found.id,
        "state": f"{found.state} (version {found.version})",
        "grant": f"{found.grant}, {found.ended} {local(found.ended_at)}",
        "resource": found.resource,
        "receiver": found.department,
        "fields": "all that was received" if found.fields is None else ", ".join(found.fields),
        "waits for": _clock_text(clock),
        "certificate": found.certificate or "-",
        "sha256": "-" if found.sha256 is None else f"{found.sha256} of {found.document or 'the text'}",
    }
    return Group("\n".join(f"{name:<13}{value}" for name, value in shown.items()), "", _steps_table(steps, hub))
