"""Commands of the two lives: ``onedoor application …``, and what is done to a resource after it is registered."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.hub import local as _local
from console.cli.hub import opened as _hub
from console.cli.output import Json
from console.cli.quota import Burst, PerDay, PerMinute, RowsPerDay, limits
from console.cli.registry import _instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog_registry.records import ApplicationRecord, StepRecord
    from catalog_registry.step_clock import StepClock
    from exchange.bootstrap import Hub

Who = Annotated[str, typer.Option("--as", help="Who acts: name, id or client id of a principal.")]
Why = Annotated[str, typer.Option(help="The reason; it is kept.")]
Remark = Annotated[str, typer.Option("--why", help="A remark; it is kept.")]
Seen = Annotated[int | None, typer.Option("--version", help="The version that was decided on; default: the one it is at now.")]
Name = Annotated[str, typer.Argument(help="The resource.")]
Id = Annotated[str, typer.Argument(help="Id of the application.")]


def register(app: typer.Typer) -> None:
    """Add the commands; those of resources to the group that is there."""
    group = typer.Typer(help="What departments ask for, and what is answered.", no_args_is_help=True)
    for command in (
        application_apply,
        application_list,
        application_show,
        application_late,
        application_check,
        application_return,
        application_approve,
        application_refuse,
        application_cancel,
        application_hand_over,
    ):
        group.command(command.__name__.partition("_")[2].replace("_", "-"))(command)
    app.add_typer(group, name="application")
    resources = next(g.typer_instance for g in app.registered_groups if g.name == "resource" and g.typer_instance is not None)
    for step in (
        resource_submit,
        resource_publish,
        resource_reject,
        resource_freeze,
        resource_thaw,
        resource_withdraw,
        resource_history,
    ):
        resources.command(step.__name__.partition("_")[2])(step)


# Applications --------------------------------------------------------------------------------------------------------


def application_apply(
    resource: Name,
    who: Who,
    field: Annotated[list[str], typer.Option(help="A field that is asked for; give it again for more.")],
    reason: Annotated[str, typer.Option(help="Why it is needed.")],
    basis: Annotated[str, typer.Option(help="The law or document that allows it.")],
    until: Annotated[str, typer.Option(help="When it would end: 2027-01-01, or an instant with its offset.")],
    start: Annotated[str | None, typer.Option("--from", help="When it would begin; default: now.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="What for, such as accept_case.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="Code of a service item it would be used for.")] = None,
    row_filter: Annotated[str | None, typer.Option("--filter", help="Which rows: state = '01' and year >= 2020.")] = None,
    system: Annotated[str | None, typer.Option(help="Only for this system; default: the whole department.")] = None,
    scope: Annotated[str | None, typer.Option(help="Who would use it, and where.")] = None,
    way: Annotated[str, typer.Option(help="api, database, file or kafka.")] = "api",
    per_day: PerDay = None,
    per_minute: PerMinute = None,
    burst: Burst = None,
    rows_per_day: RowsPerDay = None,
    as_json: Json = False,
) -> None:
    """Ask for fields of a published resource, in the name of the principal's department.

    Example: onedoor application apply licences --as li.na --field name --field state --purpose accept_case
    --reason '核对救助对象' --basis 国令809 --until 2027-11-01
    """
    with _hub() as hub:
        made = hub.registry.apply(
            resource,
            field,
            by=who,
            reason=reason,
            legal_basis=basis,
            from_at=hub.clock.now() if start is None else _instant(start, "--from"),
            to_at=_instant(until, "--until"),
            purposes=purpose or (),
            items=item or (),
            row_filter=row_filter,
            system=system,
            scope=scope,
            way=way,
            quota=limits(per_day, per_minute, burst, rows_per_day),
        )
        output.show(made, as_json=as_json, text=f"application {made.id} made; the centre checks it, then {made.assigned}")


def application_list(
    state: Annotated[str | None, typer.Option(help="Only those in a state, such as provider_review.")] = None,
    resource: Annotated[str | None, typer.Option(help="Only those for a resource.")] = None,
    department: Annotated[str | None, typer.Option(help="Only those of a department.")] = None,
    assigned: Annotated[str | None, typer.Option(help="Only those that a department is to answer.")] = None,
    as_json: Json = False,
) -> None:
    """List the applications, oldest first, each with the clock of the step that it waits for.

    Example: onedoor application list --state provider_review --assigned market
    """
    from catalog_registry.states import ApplicationState

    if state is not None and state not in set(ApplicationState):
        raise typer.BadParameter(f"{state[:40]!r} is no state: {', '.join(ApplicationState)}")
    wanted = None if state is None else ApplicationState(state)
    with _hub() as hub:
        found = hub.registry.applications(state=wanted, resource=resource, department=department, assigned=assigned)
        rows = _clocked(hub, found)
        output.show(
            [_told(a, clock) for a, clock in rows],
            as_json=as_json,
            text=lambda: output.table(
                ("application", "resource", "department", "fields", "until", "state", "assigned", "made", "due", "left"),
                [
                    (
                        a.id,
                        a.resource,
                        a.department,
                        ", ".join(a.fields),
                        _local(a.to_at),
                        a.state.value,
                        a.assigned,
                        _local(a.made_at),
                        _due(clock),
                        _left(clock),
                    )
                    for a, clock in rows
                ],
            ),
        )


def application_show(application: Id, as_json: Json = False) -> None:
    """Show an application: what is asked for, how far it is, by when it is to be answered, what was done and by whom.

    Example: onedoor application show a01m6cwacm06h4yrfjgdy41
    """
    with _hub() as hub:
        found = hub.registry.application(application)
        steps = hub.registry.history(application)
        ((_, clock),) = _clocked(hub, [found])
        output.show(
            {"application": found, "clock": clock, "history": steps},
            as_json=as_json,
            text=lambda: _application_text(found, clock, steps, hub),
        )


def application_late(as_json: Json = False) -> None:
    """List what should have been checked or answered by now, by the department that has it, the longest late first.

    Example: onedoor application late
    """
    from catalog_registry.application_clock import RULES
    from catalog_registry.step_clock import late_first

    with _hub() as hub:
        open_ones = [a for state in RULES for a in hub.registry.applications(state=state)]
        late = late_first(_clocked(hub, open_ones))
        output.show(
            [_told(a, clock) for a, clock in late],
            as_json=as_json,
            text=lambda: (
                output.table(
                    ("waits for", "application", "resource", "of", "state", "since", "due", "left", "rule"),
                    [
                        (
                            _waited_for(clock),
                            a.id,
                            a.resource,
                            a.department,
                            a.state.value,
                            _local(clock.began),
                            _due(clock),
                            _left(clock),
                            clock.rule,
                        )
                        for a, clock in late
                    ],
                )
                if late
                else "nothing is late"
            ),
        )


def application_check(
    application: Id,
    who: Who,
    why: Remark = "",
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Say, for the centre, that an application is in order; the provider answers it next.

    Example: onedoor application check a01m6cwacm06h4yrfjgdy41 --as centre.officer
    """
    with _hub() as hub:
        done = hub.registry.accept_check(application, by=who, version=_seen(hub, application, version), why=why)
        output.show(done, as_json=as_json, text=f"application {done.id} is checked; {done.assigned} answers it")


def application_return(application: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Give an application back, for the centre, as not in order.

    Example: onedoor application return a01m6cwacm06h4yrfjgdy41 --as centre.officer --why 'the document is missing'
    """
    with _hub() as hub:
        done = hub.registry.return_application(application, by=who, version=_seen(hub, application, version), why=why)
        output.show(done, as_json=as_json, text=f"application {done.id} is returned")


def application_approve(
    application: Id,
    who: Who,
    field: Annotated[
        list[str] | None, typer.Option(help="A field that is granted, of those asked for; default: all of them.")
    ] = None,
    row_filter: Annotated[str | None, typer.Option("--filter", help="A further condition on the rows.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="When it begins, not before what was asked for.")] = None,
    until: Annotated[str | None, typer.Option(help="When it ends, not after what was asked for.")] = None,
    per_day: PerDay = None,
    per_minute: PerMinute = None,
    burst: Burst = None,
    rows_per_day: RowsPerDay = None,
    why: Remark = "",
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Grant, for the provider, what was asked for or less: fewer fields, fewer rows, a shorter time, less often.

    Example: onedoor application approve a01m6cwacm06h4yrfjgdy41 --as zhang.wei --field name --until 2027-05-01
    """
    with _hub() as hub:
        done = hub.registry.approve_application(
            application,
            by=who,
            version=_seen(hub, application, version),
            fields=field,
            row_filter=row_filter,
            from_at=None if start is None else _instant(start, "--from"),
            to_at=None if until is None else _instant(until, "--until"),
            quota=limits(per_day, per_minute, burst, rows_per_day),
            why=why,
        )
        made = hub.registry.grant(done.grant or "")
        output.show(
            done,
            as_json=as_json,
            text=f"application {done.id} is granted by {made.id}: {made.receiver} may use {', '.join(made.fields)} "
            f"of {made.resource} until {_local(made.to_at)}",
        )


def application_refuse(application: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Refuse an application, for the provider; the reason names the law.

    Example: onedoor application refuse a01m6cwacm06h4yrfjgdy41 --as zhang.wei --why '统计法第二十五条'
    """
    with _hub() as hub:
        done = hub.registry.refuse_application(application, by=who, version=_seen(hub, application, version), why=why)
        output.show(done, as_json=as_json, text=f"application {done.id} is refused")


def application_cancel(application: Id, who: Who, why: Remark = "", version: Seen = None, as_json: Json = False) -> None:
    """Take an application back, for the department that made it.

    Example: onedoor application cancel a01m6cwacm06h4yrfjgdy41 --as li.na
    """
    with _hub() as hub:
        done = hub.registry.cancel_application(application, by=who, version=_seen(hub, application, version), why=why)
        output.show(done, as_json=as_json, text=f"application {done.id} is cancelled")


def application_hand_over(
    application: Id,
    department: Annotated[str, typer.Argument(help="Code of the department that is to answer it.")],
    who: Who,
    why: Why,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Have another department answer an application, for the centre.

    Example: onedoor application hand-over a01m6cwacm06h4yrfjgdy41 tax --as centre.officer --why 'the data moved'
    """
    with _hub() as hub:
        done = hub.registry.hand_over_application(
            application, department, by=who, version=_seen(hub, application, version), why=why
        )
        output.show(done, as_json=as_json, text=f"application {done.id} is handed over to {done.assigned}")


# Resources -----------------------------------------------------------------------------------------------------------


def resource_submit(name: Name, who: Who, why: Remark = "", version: Seen = None, as_json: Json = False) -> None:
    """Give a draft, or a resource that was rejected, to be reviewed.

    Example: onedoor resource submit licences --as wang.fang
    """
    _step("submit", name, who, why, version, as_json)


def resource_publish(name: Name, who: Who, why: Remark = "", version: Seen = None, as_json: Json = False) -> None:
    """Share a resource that somebody else submitted.

    Example: onedoor resource publish licences --as centre.officer
    """
    _step("publish", name, who, why, version, as_json)


def resource_reject(name: Name, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Give a resource that was submitted back to its department.

    Example: onedoor resource reject licences --as centre.officer --why 'the title says nothing'
    """
    _step("reject", name, who, why, version, as_json)


def resource_freeze(name: Name, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Share a resource with nobody until it is thawed; its grants stay, and allow nothing.

    Example: onedoor resource freeze licences --as centre.officer --why 'wrong data since Monday'
    """
    _step("freeze", name, who, why, version, as_json)


def resource_thaw(name: Name, who: Who, why: Remark = "", version: Seen = None, as_json: Json = False) -> None:
    """Share a frozen resource again.

    Example: onedoor resource thaw licences --as centre.officer
    """
    _step("thaw", name, who, why, version, as_json)


def resource_withdraw(
    name: Name,
    who: Who,
    why: Why,
    on: Annotated[
        str | None, typer.Option(help="On which day, such as 2027-03-01; those who use it are told. Default: now.")
    ] = None,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Share a resource with nobody any more, now or from a day on.

    Example: onedoor resource withdraw licences --as zhang.wei --why 'replaced by licences_all' --on 2027-03-01
    """
    if on is None:
        _step("withdraw", name, who, why, version, as_json)
        return
    try:
        day = date.fromisoformat(on)
    except ValueError:
        raise typer.BadParameter(f"--on {on[:40]!r} is no day: 2027-03-01") from None
    with _hub() as hub:
        seen = hub.registry.resource(name).row_version if version is None else version
        plan = hub.registry.plan_withdrawal(name, day, by=who, version=seen, why=why)
        told = [n.department for n in hub.registry.notices(withdrawal=plan.id)]
        output.show(
            plan,
            as_json=as_json,
            text=f"resource {name} is withdrawn on {day}; told: {', '.join(told) or 'nobody, for nobody uses it'}",
        )


def resource_history(name: Name, as_json: Json = False) -> None:
    """Show what was done to a resource: who, when, from which state to which, why.

    Example: onedoor resource history licences
    """
    with _hub() as hub:
        steps = hub.registry.resource_history(name)
        output.show(steps, as_json=as_json, text=lambda: _steps_table(steps, hub))


# What the commands share ---------------------------------------------------------------------------------------------


def _step(event: str, name: str, who: str, why: str, version: int | None, as_json: bool) -> None:
    from catalog_registry.states import ResourceEvent

    with _hub() as hub:
        seen = hub.registry.resource(name).row_version if version is None else version
        done = hub.registry.act_on_resource(name, ResourceEvent(event), by=who, version=seen, why=why)
        output.show(
            {"name": done.name, "state": done.state, "version": done.version, "row_version": done.row_version},
            as_json=as_json,
            text=f"resource {done.name} is {done.state}",
        )


def _seen(hub: Hub, application: str, version: int | None) -> int:
    """Return the version that was decided on; where nobody said, the one that is there."""
    return hub.registry.application(application).version if version is None else version


def _clocked(hub: Hub, found: Sequence[ApplicationRecord]) -> list[tuple[ApplicationRecord, StepClock | None]]:
    """Return applications with the clocks of the steps that they wait for."""
    from catalog_registry.application_clock import clocks_of

    since, free = hub.registry.since([a.id for a in found]), hub.registry.unconditional({a.resource for a in found})
    return clocks_of(found, since, free, rules=hub.clock_rules, of=hub.workdays, now=hub.clock.now())


def _told(application: ApplicationRecord, clock: StepClock | None) -> dict[str, Any]:
    return {name: getattr(application, name) for name in application.__dataclass_fields__} | {"clock": clock}


def _waited_for(clock: StepClock) -> str:
    return clock.department or "the centre"


def _due(clock: StepClock | None) -> str:
    """Return the last day; where a day's year has no notice yet, with a question mark."""
    return "" if clock is None or clock.due is None else f"{clock.due}{' ?' if clock.provisional else ''}"


def _left(clock: StepClock | None) -> str:
    if clock is None:
        return ""
    if clock.late:
        return f"late by {-clock.left}" if clock.left else "late"
    return str(clock.left)


def _clock_text(clock: StepClock | None) -> str:
    if clock is None:
        return "-"
    stands = _left(clock) if clock.late else f"{clock.left} left"
    provisional = ", provisional: the notice of a year is not known yet" if clock.provisional else ""
    return f"{_waited_for(clock)}, by {clock.due}: {stands} of {clock.workdays} working days{provisional} ({clock.rule})"


def _application_text(found: ApplicationRecord, clock: StepClock | None, steps: Sequence[StepRecord], hub: Hub) -> Any:
    from rich.console import Group

    names = _names(hub)
    shown = {
        "application": found.id,
        "state": f"{found.state} (version {found.version})",
        "resource": found.resource,
        "department": found.department + (f", system {found.system}" if found.system else ""),
        "applicant": names.get(found.applicant, found.applicant),
        "reason": found.reason,
        "scope": found.scope or "-",
        "fields": ", ".join(found.fields),
        "rows": found.row_filter or "all",
        "for": ", ".join((*found.purposes, *found.items)),
        "way": found.way,
        "quota": str(found.quota or "-"),
        "from, to": f"{_local(found.from_at)}, {_local(found.to_at)}",
        "basis": found.legal_basis,
        "assigned": found.assigned,
        "waits for": _clock_text(clock),
        "grant": found.grant or "-",
    }
    return Group("\n".join(f"{name:<12}{value}" for name, value in shown.items()), "", _steps_table(steps, hub))


def _steps_table(steps: Sequence[StepRecord], hub: Hub) -> Any:
    names = _names(hub)
    return output.table(
        ("version", "at", "by", "what", "from", "to", "why"),
        [
            (s.n, _local(s.at), names.get(s.by, s.by), s.event.replace("_", " "), s.from_state or "", s.to_state, s.why or "")
            for s in steps
        ],
    )


def _names(hub: Hub) -> dict[str, str]:
    return {p.id: p.name for p in hub.registry.principals()}
