"""Questions that change nothing: what a new contract would break, and why something is allowed or is not."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.hub import contract_text, local, opened
from console.cli.output import Json
from console.cli.quota import used_of_quotas

if TYPE_CHECKING:
    from catalog_registry.comparison import Comparison
    from catalog_registry.records import PrincipalRecord
    from exchange.trust.why import Against, GrantSaid, Why
    from schemas.change_kinds import Change
    from schemas.evolution import Evolution


# What a new contract would break --------------------------------------------------------------------------------------


def resource_diff(
    file: Annotated[Path, typer.Argument(help="The new contract: ODCS 3.1 as YAML.")], as_json: Json = False
) -> None:
    """Compare a contract with the version in force: each change, whether it breaks who reads the rows, and who that is.

    Registers nothing. Exits 1 where a change is breaking.

    Example: onedoor resource diff licences.odcs.yaml
    """
    text = contract_text(file)
    with opened() as hub:
        from schemas.odcs import read_contract

        name = read_contract(text, where=str(file)).name
        compared = hub.registry.compare(name, text, where=str(file))
        output.show(_compared_fields(compared), as_json=as_json, text=lambda: _compared_text(compared))
    if compared.evolution.breaking:
        raise typer.Exit(1)


def _compared_fields(compared: Comparison) -> dict[str, Any]:
    evolution = compared.evolution
    return {
        "resource": evolution.resource,
        "version_in_force": evolution.version_before,
        "version": evolution.version_after,
        "verdict": evolution.verdict,
        "least_version": evolution.least_version,
        "version_suffices": evolution.version_suffices,
        "changes": [_change_fields(change) for change in evolution.changes],
        "affected": [
            {
                "grant": one.grant,
                "receiver": str(one.receiver),
                "fields": one.fields,
                "from_at": one.from_at,
                "to_at": one.to_at,
            }
            for one in compared.affected
        ],
    }


def _change_fields(change: Change) -> dict[str, Any]:
    plain = {f.name: getattr(change, f.name) for f in dataclasses.fields(change)}
    return plain | {"title": change.title, "title_zh": change.title_zh}


def _compared_text(compared: Comparison) -> str:
    evolution = compared.evolution
    if not evolution.changes:
        return f"{evolution.resource} {evolution.version_before}: nothing changes"
    lines = [
        f"{evolution.resource} {evolution.version_before} -> {evolution.version_after}: {evolution.verdict}",
        _version_words(evolution),
    ]
    for change in sorted(evolution.changes, key=lambda c: not c.breaking):
        lines += _change_lines(change)
    for one in compared.affected:
        fields = ", ".join(one.fields)
        lines.append(f"affected  {one.receiver} by grant {one.grant} until {local(one.to_at)}: reads {fields}")
    if evolution.breaking and not compared.affected:
        lines.append("no grant is affected")
    elif compared.affected:
        lines.append("they need notice: onedoor revision give FILE")
    return "\n".join(lines)


def _change_lines(change: Change) -> list[str]:
    word = "breaks" if change.breaking else "fine"
    line = f"{word:<8}  {change.field or 'the contract'}: {change.title} {change.title_zh}"
    if change.before is not None or change.after is not None:
        line += f" ({change.before or '-'} -> {change.after or '-'})"
    return [line, f"          {change.why}", f"          {change.why_zh}"]


def _version_words(evolution: Evolution) -> str:
    if evolution.least_version is None:
        return f"version {evolution.version_before} is no number with dots: which one must follow cannot be said"
    enough = "which it has" if evolution.version_suffices else f"this one says {evolution.version_after}"
    return f"it must be version {evolution.least_version} at least; {enough}"


# Why, and why not -----------------------------------------------------------------------------------------------------


def grant_explain(
    principal: Annotated[str, typer.Option(help="Id, client id or name of the account.")],
    resource: Annotated[str, typer.Option(help="The resource.")],
    purpose: Annotated[str, typer.Option(help="What for, such as accept_case.")],
    item: Annotated[str | None, typer.Option(help="Code of the service item.")] = None,
    field: Annotated[list[str] | None, typer.Option(help="A field asked for; give it again for more.")] = None,
    as_json: Json = False,
) -> None:
    """Say which grant allows an account to use a resource, or every reason against, grant by grant. Touches no data.

    Example: onedoor grant explain --principal intake --resource licences --purpose accept_case --item ITEM-1 --field state
    """
    with opened() as hub:
        from exchange.trust.grant import Ask, GrantIndex
        from exchange.trust.why import asked_of, why

        about = hub.registry.principal(principal)
        state = hub.registry.resource(resource).state
        grants = GrantIndex(hub.registry.grants(resource=resource), [resource] if state == "published" else [])
        ask, now = Ask(about, resource, purpose, item, tuple(field) if field else None), hub.clock.now()
        found = why(ask, grants=grants, now=now, used=used_of_quotas(hub, asked_of(ask, grants=grants, now=now), now))
        output.show(_why_fields(about, resource, found), as_json=as_json, text=lambda: _why_text(about, resource, found))


def _why_fields(about: PrincipalRecord, resource: str, found: Why) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(found, builtin_types=(datetime,))
    return {"principal": about.id, "resource": resource} | plain


def _why_text(about: PrincipalRecord, resource: str, found: Why) -> Any:
    from rich.console import Group

    if found.allowed:
        head = f"{about.name} may use {', '.join(found.fields)} of {resource}, by grant {found.grant}"
    else:
        head = f"{about.name} may not use {resource}:\n" + "\n".join(f"  {line}" for line in _lines(found.against))
    if not found.grants:
        return head
    if found.left_off:
        head += f"\n{found.left_off} more grants are not shown; none of them allows it"
    rows = [(one.grant, one.receiver, ", ".join(one.fields), local(one.to_at), _says(one)) for one in found.grants]
    return Group(head, "", output.table(("grant", "receiver", "fields", "until", "says"), rows))


def _says(one: GrantSaid) -> str:
    """Return what a grant says, and how much of its quota is used."""
    lines = _lines(one.against) or ["allows it"]
    if (quota := one.quota) is not None:
        used = {
            "calls today": (quota.calls_today, quota.per_day),
            "calls this minute": (quota.calls_this_minute, quota.per_minute),
            "rows today": (quota.rows_today, quota.rows_per_day),
        }
        lines += [f"{n} of {most} {what}" for what, (n, most) in used.items() if most is not None]
    return "\n".join(lines)


def _lines(against: tuple[Against, ...]) -> list[str]:
    return [f"{one.code}: {one.words} {one.words_zh}" for one in against]
