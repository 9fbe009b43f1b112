"""Commands of what comes: changes of contracts, notices, withdrawals on a date, reminders, and what one may call."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.applications import Name, Remark, Seen, Who, Why, _steps_table
from console.cli.hub import contract_text, local, opened
from console.cli.output import Json
from console.cli.quota import used_of_quotas, used_text
from console.cli.registry import _by, check_against_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from catalog_registry.mine import Authorisation
    from catalog_registry.notice_records import NoticeRecord, ReminderRecord, RevisionRecord
    from exchange.bootstrap import Hub
    from exchange.trust.used import Used

File = Annotated[Path, typer.Argument(help="The new contract: ODCS 3.1 as YAML.")]
Id = Annotated[str, typer.Argument(help="Id of the revision.")]
Check = Annotated[bool, typer.Option(help="Compare the contract with its source first; not where the source changes later.")]


def register(app: typer.Typer) -> None:
    """Add the commands; those of resources and grants to the groups that are there."""
    revision = typer.Typer(help="New versions of contracts on their way into force.", no_args_is_help=True)
    for command in (
        revision_give,
        revision_propose,
        revision_list,
        revision_show,
        revision_approve,
        revision_reject,
        revision_go_on,
        revision_withdraw,
    ):
        revision.command(command.__name__.partition("_")[2].replace("_", "-"))(command)
    app.add_typer(revision, name="revision")
    notice = typer.Typer(help="What departments were told of changes and withdrawals to come.", no_args_is_help=True)
    for told in (notice_list, notice_show, notice_acknowledge):
        notice.command(told.__name__.partition("_")[2])(told)
    app.add_typer(notice, name="notice")
    app.command("reminders")(reminders)
    for group, more in (("resource", resource_call_off_withdrawal), ("grant", grant_mine)):
        there = next(g.typer_instance for g in app.registered_groups if g.name == group and g.typer_instance is not None)
        there.command(more.__name__.partition("_")[2].replace("_", "-"))(more)


# Changes of contracts ------------------------------------------------------------------------------------------------


def revision_give(file: File, why: Remark = "", check: Check = True, as_json: Json = False) -> None:
    """Give notice of a breaking version, as the owner of the hub: it is in force when the notice is over.

    Those whom it breaks are told and acknowledge. A version that breaks nobody is registered without it.

    Example: onedoor revision give licences.odcs.yaml --why '状态改由总局提供'
    """
    text = contract_text(file)
    with opened() as hub:
        if check:
            check_against_source(hub, text, str(file))
        made = hub.registry.give_notice(text, by=_by(), why=why, where=str(file), **_terms(hub))
        output.show(_fields(hub, made), as_json=as_json, text=lambda: _revision_text(hub, made))


def revision_propose(file: File, who: Who, why: Remark = "", check: Check = True, as_json: Json = False) -> None:
    """Propose a new version of a shared resource's contract, for somebody else to review.

    Example: onedoor revision propose licences.odcs.yaml --as wang.fang --why '状态改由总局提供'
    """
    text = contract_text(file)
    with opened() as hub:
        if check:
            check_against_source(hub, text, str(file))
        made = hub.registry.propose_revision(text, by=who, why=why, where=str(file))
        output.show(_fields(hub, made), as_json=as_json, text=lambda: _revision_text(hub, made))


def revision_list(
    resource: Annotated[str | None, typer.Option(help="Only those of a resource.")] = None,
    state: Annotated[str | None, typer.Option(help="Only those in a state, such as noticed.")] = None,
    as_json: Json = False,
) -> None:
    """List the changes of contracts, oldest first.

    Example: onedoor revision list --state noticed
    """
    from catalog_registry.revision_states import RevisionState

    if state is not None and state not in set(RevisionState):
        raise typer.BadParameter(f"{state[:40]!r} is no state: {', '.join(RevisionState)}")
    with opened() as hub:
        rows = hub.registry.revisions(resource=resource, state=None if state is None else RevisionState(state))
        output.show(
            [_plain(r) for r in rows],
            as_json=as_json,
            text=lambda: output.table(
                ("revision", "resource", "from", "to", "breaks", "state", "proposed", "in force from"),
                [
                    (
                        r.id,
                        r.resource,
                        r.from_version,
                        r.to_version,
                        "yes" if r.breaking else "",
                        r.state.value,
                        local(r.made_at),
                        _end(r),
                    )
                    for r in rows
                ],
            ),
        )


def revision_show(revision: Id, as_json: Json = False) -> None:
    """Show a change: what it breaks and for whom, who acknowledged, when it takes effect, what was done.

    Example: onedoor revision show r01m6cwacm06h4yrfjgdy41
    """
    with opened() as hub:
        found = hub.registry.revision(revision)
        output.show(_fields(hub, found), as_json=as_json, text=lambda: _revision_text(hub, found))


def revision_approve(revision: Id, who: Who, why: Remark = "", version: Seen = None, as_json: Json = False) -> None:
    """Agree to a change that somebody else proposed; where it breaks a grant, notice begins.

    Example: onedoor revision approve r01m6cwacm06h4yrfjgdy41 --as zhang.wei
    """
    with opened() as hub:
        done = hub.registry.approve_revision(revision, by=who, version=_seen(hub, revision, version), why=why, **_terms(hub))
        output.show(_fields(hub, done), as_json=as_json, text=lambda: _revision_text(hub, done))


def revision_reject(revision: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Refuse a change that somebody else proposed.

    Example: onedoor revision reject r01m6cwacm06h4yrfjgdy41 --as centre.officer --why 'the field is a base field'
    """
    with opened() as hub:
        done = hub.registry.reject_revision(revision, by=who, version=_seen(hub, revision, version), why=why)
        output.show(_fields(hub, done), as_json=as_json, text=f"revision {done.id} is rejected")


def revision_go_on(revision: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Decide, for the centre, that a change whose notice is over takes effect though somebody did not acknowledge.

    Example: onedoor revision go-on r01m6cwacm06h4yrfjgdy41 --as centre.officer --why 'told by telephone'
    """
    with opened() as hub:
        done = hub.registry.go_on_with_revision(revision, by=who, version=_seen(hub, revision, version), why=why)
        output.show(_fields(hub, done), as_json=as_json, text=f"revision {done.id} is due; the worker puts it in force")


def revision_withdraw(revision: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Take a change back before it is in force.

    Example: onedoor revision withdraw r01m6cwacm06h4yrfjgdy41 --as wang.fang --why 'the field stays'
    """
    with opened() as hub:
        done = hub.registry.withdraw_revision(revision, by=who, version=_seen(hub, revision, version), why=why)
        output.show(_fields(hub, done), as_json=as_json, text=f"revision {done.id} is withdrawn; {done.from_version} stays")


# Notices -------------------------------------------------------------------------------------------------------------


def notice_list(
    to: Annotated[str | None, typer.Option(help="Only those to a department.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that nobody acknowledged.")] = False,
    as_json: Json = False,
) -> None:
    """List what departments were told of changes and withdrawals to come.

    Example: onedoor notice list --to civil --waiting
    """
    with opened() as hub:
        rows = [n for n in hub.registry.notices(department=to) if not waiting or n.acknowledged_at is None]
        output.show(
            rows,
            as_json=as_json,
            text=lambda: output.table(
                ("notice", "to", "resource", "about", "state", "takes effect", "told", "acknowledged"),
                [
                    (
                        n.id,
                        n.department,
                        n.resource,
                        f"{n.about} {n.subject}",
                        n.state,
                        "" if n.effect_at is None else local(n.effect_at),
                        local(n.told_at),
                        "" if n.acknowledged_at is None else local(n.acknowledged_at),
                    )
                    for n in rows
                ],
            ),
        )


def notice_show(notice: Annotated[str, typer.Argument(help="Id of the notice.")], as_json: Json = False) -> None:
    """Show a notice: what comes, when, why, and what becomes of each grant.

    Example: onedoor notice show n01m6cwacm06h4yrfjgdy41
    """
    with opened() as hub:
        found = hub.registry.notice(notice)
        output.show(found, as_json=as_json, text=lambda: _notice_text(found))


def notice_acknowledge(
    notice: Annotated[str, typer.Argument(help="Id of the notice.")], who: Who, as_json: Json = False
) -> None:
    """Say, for the department that was told, that it has read a notice.

    Example: onedoor notice acknowledge n01m6cwacm06h4yrfjgdy41 --as li.na
    """
    with opened() as hub:
        done = hub.registry.acknowledge_notice(notice, by=who)
        output.show(done, as_json=as_json, text=f"notice {done.id} is acknowledged")


# Withdrawals, reminders, grants --------------------------------------------------------------------------------------


def resource_call_off_withdrawal(name: Name, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Leave a resource shared that was to be withdrawn on a date.

    Example: onedoor resource call-off-withdrawal licences --as zhang.wei --why 'it is kept'
    """
    with opened() as hub:
        seen = hub.registry.resource(name).row_version if version is None else version
        done = hub.registry.call_off_withdrawal(name, by=who, version=seen, why=why)
        output.show(done, as_json=as_json, text=f"resource {name} stays; its withdrawal is called off")


def reminders(
    to: Annotated[str | None, typer.Option(help="Only those to a department.")] = None,
    late: Annotated[bool, typer.Option("--late", help="Only what was escalated.")] = False,
    as_json: Json = False,
) -> None:
    """List what was reminded of, and what is late: each clock at half, one day before its last, and after it, once.

    Example: onedoor reminders --to market
    """
    with opened() as hub:
        rows = [r for r in hub.registry.reminders(department=to) if not late or r.what == "escalated"]
        output.show(rows, as_json=as_json, text=lambda: _reminders_table(rows) if rows else "nobody was reminded of anything")


def grant_mine(who: Who, as_json: Json = False) -> None:
    """List what an account may call now: its own grants, its system's and its department's, each with an example of a call.

    Why something else is not allowed: onedoor grant explain.

    Example: onedoor grant mine --as intake
    """
    from exchange.query.example import example_call

    with opened() as hub:
        about = hub.registry.principal(who)
        now = hub.clock.now()
        rows = hub.registry.authorisations(about, now)
        used = used_of_quotas(hub, [one.grant for one in rows], now)
        output.show(
            [_authorisation(one) | {"used": _used(used.get(one.id)), "example": example_call(one)} for one in rows],
            as_json=as_json,
            text=lambda: (
                "\n\n".join(_authorisation_text(one, used.get(one.id)) for one in rows)
                or f"{about.name} may call nothing: it has no grant in force"
            ),
        )


# What the commands share ---------------------------------------------------------------------------------------------


def _terms(hub: Hub) -> dict[str, Any]:
    """Return how long a notice lasts here."""
    from catalog_registry.notices import days_of

    return {"rule": days_of(hub.clock_rules), "of": hub.workdays}


def _seen(hub: Hub, revision: str, version: int | None) -> int:
    return hub.registry.revision(revision).version if version is None else version


def _plain(found: RevisionRecord) -> dict[str, Any]:
    return {f.name: getattr(found, f.name) for f in dataclasses.fields(found) if f.name != "odcs"}


def _fields(hub: Hub, found: RevisionRecord) -> dict[str, Any]:
    more = {
        "affected": hub.registry.revision_consequences(found.id),
        "notices": hub.registry.notices(revision=found.id),
        "history": hub.registry.revision_history(found.id),
    }
    return _plain(found) | more


def _end(found: RevisionRecord) -> str:
    if found.ends_at is None:
        return ""
    return local(found.ends_at) + (" ?" if found.provisional else "")


def _revision_text(hub: Hub, found: RevisionRecord) -> Any:
    from rich.console import Group

    notices, steps = hub.registry.notices(revision=found.id), hub.registry.revision_history(found.id)
    verdict, state = "breaking" if found.breaking else "compatible", found.state.value.replace("_", " ")
    way = f"{found.resource} {found.from_version} -> {found.to_version}"
    lines = [f"revision {found.id}: {way}, {verdict}, {state} (version {found.version})"]
    if found.why:
        lines.append(f"why       {found.why}")
    if found.ends_at is not None:
        lines.append(f"in force  from {_end(found)}, where all acknowledge; {found.from_version} is served until then")
    for one in sorted(found.changes, key=lambda change: not change["breaking"]):
        word = "breaks" if one["breaking"] else "fine"
        lines += [f"{word:<8}  {one['field'] or 'the contract'}: {one['title']} {one['title_zh']}", f"          {one['why']}"]
    if found.state == "proposed" and (broken := hub.registry.revision_consequences(found.id)):
        lines += ["affected  would be given notice:", *map(_consequence, broken)]
    lines += [line for notice in notices for line in _told_lines(notice)]
    return Group("\n".join(lines), "", _steps_table(steps, hub))


def _told_lines(notice: NoticeRecord) -> list[str]:
    said = "did not acknowledge yet" if notice.acknowledged_at is None else f"acknowledged {local(notice.acknowledged_at)}"
    return [f"told      {notice.department} by notice {notice.id}: {said}", *map(_consequence, notice.grants)]


def _consequence(grant: Mapping[str, Any]) -> str:
    left = ", ".join(grant["fields_after"])
    if not left:
        becomes = "gives nothing any more"
    elif grant["rows_after"] == "none":
        becomes = f"keeps {left}, and no row: its rows are chosen by a field that goes"
    else:
        becomes = f"keeps {left}"
    return f"          grant {grant['grant']} of {grant['receiver']} reads {', '.join(grant['changed'])}; it {becomes}"


def _notice_text(found: NoticeRecord) -> str:
    when = "when it is in force" if found.effect_at is None else local(found.effect_at)
    return "\n".join(
        [
            f"notice {found.id} to {found.department}: {found.about} {found.subject} of {found.resource} is {found.state}",
            f"takes effect {when}",
            f"why       {found.why or '-'}",
            *_told_lines(found),
        ]
    )


def _reminders_table(rows: Sequence[ReminderRecord]) -> Any:
    return output.table(
        ("at", "what", "waits for", "thing", "resource", "due", "left", "not told", "rule"),
        [
            (
                local(r.at),
                r.what,
                r.department or "the centre",
                f"{r.kind} {r.thing}",
                r.resource or "",
                f"{r.due or ''}{' ?' if r.provisional else ''}",
                r.left,
                ", ".join(r.skipped),
                r.rule,
            )
            for r in rows
        ],
    )


def _authorisation(one: Authorisation) -> dict[str, Any]:
    grant = one.grant
    return {
        "grant": grant.id,
        "receiver": str(grant.receiver),
        "resource": grant.resource,
        "title": one.title,
        "fields": grant.fields,
        "personal": one.personal,
        "rows": None if grant.row_filter is None else grant.row_filter.text,
        "purposes": grant.purposes,
        "items": grant.items,
        "legal_basis": grant.legal_basis,
        "from_at": grant.from_at,
        "to_at": grant.to_at,
        "way": one.way,
        "quota": None if one.quota is None else one.quota.document(),
        "application": one.application,
        "shared": one.shared,
        "looked_up": one.looked_up,
    }


def _used(used: Used | None) -> dict[str, Any] | None:
    import msgspec

    return None if used is None else dict(msgspec.to_builtins(used))


def _authorisation_text(one: Authorisation, used: Used | None) -> str:
    from exchange.query.example import example_line

    grant = one.grant
    lines = {
        "grant": f"{grant.id} to {grant.receiver}" + ("" if one.shared else "; the resource is not shared now"),
        "resource": f"{grant.resource} {one.title}",
        "fields": ", ".join(name + (" (personal)" if name in one.personal else "") for name in grant.fields),
        "rows": "all" if grant.row_filter is None else grant.row_filter.text,
        "for": ", ".join((*grant.purposes, *grant.items)),
        "until": local(grant.to_at),
        "way": one.way + ("; looked up by licence too" if one.looked_up else ""),
        "quota": "-" if one.quota is None else f"{one.quota}; used {used_text(used)}",
        "call": example_line(one),
    }
    return "\n".join(f"{name:<10}{value}" for name, value in lines.items())
