"""``onedoor demand …``: what is asked for beyond the catalogue, its three lists and its analysis; and what is late."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.applications import Remark, Seen, Who, Why, _clock_text, _due, _left, _names, _steps_table, _waited_for
from console.cli.files import write_by
from console.cli.hub import local as _local
from console.cli.hub import opened as _hub
from console.cli.output import Json
from schemas.clock import CHINA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from catalog_registry.demand_analysis import DemandAnalysis
    from catalog_registry.demand_records import DemandRecord, LateDepartment
    from catalog_registry.registry import Registry
    from catalog_registry.step_clock import StepClock
    from exchange.bootstrap import Hub

Id = Annotated[str, typer.Argument(help="Id of the demand.")]
Department = Annotated[str | None, typer.Option(help="Only the lines of a department, by its code.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Data that is in no catalogue 供需对接: who asks, who provides, what is refused.", no_args_is_help=True
    )
    for command in (
        demand_ask,
        demand_list,
        demand_responsibility,
        demand_negative,
        demand_lists,
        demand_show,
        demand_appoint,
        demand_return,
        demand_accept,
        demand_refuse,
        demand_fulfil,
        demand_cancel,
        demand_analysis,
    ):
        group.command(command.__name__.partition("_")[2])(command)
    app.add_typer(group, name="demand")
    app.command("overdue")(overdue)


def demand_ask(
    title: Annotated[str, typer.Argument(help="What is asked for, in a few words.")],
    who: Who,
    field: Annotated[list[str], typer.Option(help="A field that is wanted, in your words; give it again for more.")],
    description: Annotated[str, typer.Option(help="What it is, and why it is needed.")],
    basis: Annotated[str, typer.Option(help="The law or document that allows it.")],
    purpose: Annotated[list[str] | None, typer.Option(help="What for, such as accept_case.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="Code of a service item it would be used for.")] = None,
    cycle: Annotated[str | None, typer.Option(help="How often it should be updated: 每日, or a code of 1 to 9.")] = None,
    as_json: Json = False,
) -> None:
    """Ask for data that is in no catalogue, in the name of the principal's department.

    Example: onedoor demand ask 养老机构床位 --as li.na --field 机构名称 --field 空余床位 --purpose accept_case
    --description '办理入住时核对空余床位' --basis 国令809 --cycle 每日
    """
    with _hub() as hub:
        made = hub.registry.ask(
            title,
            field,
            by=who,
            description=description,
            legal_basis=basis,
            purposes=purpose or (),
            items=item or (),
            cycle=cycle,
        )
        output.show(made, as_json=as_json, text=f"demand {made.id} made; the centre appoints who is to provide it")


def demand_list(
    state: Annotated[str | None, typer.Option(help="Only those in a state, such as refused; all: returned ones too.")] = None,
    department: Annotated[str | None, typer.Option(help="Only those of a department that asks.")] = None,
    assigned: Annotated[str | None, typer.Option(help="Only those that a department is to provide.")] = None,
    as_json: Json = False,
) -> None:
    """The demand list 需求清单, oldest first, refused and unanswered ones too, each with the clock of its step.

    Example: onedoor demand list --assigned civil
    """
    from catalog_registry.demand_states import LISTED, DemandState

    if state not in (None, "all") and state not in set(DemandState):
        raise typer.BadParameter(f"{str(state)[:40]!r} is no state: {', '.join(DemandState)}, or all")
    states = LISTED if state is None else tuple(DemandState) if state == "all" else (DemandState(state),)
    with _hub() as hub:
        rows = _clocked(hub, hub.registry.demands(states, department=department, assigned=assigned))
        _show_list(rows, as_json=as_json, none="nothing is asked for")


def demand_responsibility(department: Department = None, as_json: Json = False) -> None:
    """The responsibility list 责任清单: what departments promised to register, by when, and the resource it led to.

    Example: onedoor demand responsibility --department civil
    """
    with _hub() as hub:
        _show_list(
            _clocked(hub, hub.registry.responsibilities(assigned=department)), as_json=as_json, none="nothing is promised"
        )


def demand_negative(department: Department = None, as_json: Json = False) -> None:
    """The negative list 负面清单: demands that were refused, and published resources that are not shared, with their basis.

    Example: onedoor demand negative --json
    """
    from schemas.catalogue import BasisKind

    with _hub() as hub:
        rows = hub.registry.negatives(department=department)
        output.show(
            rows,
            as_json=as_json,
            text=lambda: (
                output.table(
                    ("what", "title", "department", "basis", "words", "since"),
                    [(r.key, r.title, r.department, BasisKind(r.basis_kind).told, r.basis, _local(r.at)) for r in rows],
                )
                if rows
                else "nothing is refused, and every published resource is shared"
            ),
        )


def demand_lists(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write, replaced whole.")], as_json: Json = False
) -> None:
    """Write the three lists as one spreadsheet: demands 需求清单, responsibilities 责任清单, what is not shared 负面清单.

    Example: onedoor demand lists -o lists.xlsx
    """
    from catalog_registry.demand_sheets import write_lists

    with _hub() as hub:
        known = hub.registry
        lists = known.demands(), known.responsibilities(), known.negatives()
        write_by(out, lambda draft: write_lists(draft, *lists, {one.code: one.name for one in known.departments()}))
    counts = {"demands": len(lists[0]), "responsibilities": len(lists[1]), "negatives": len(lists[2])}
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    output.show({"file": str(out)} | counts, as_json=as_json, text=f"{out} written: {said}")


def demand_show(demand: Id, as_json: Json = False) -> None:
    """Show a demand: what is asked for, who is to provide it, by when, what was done and by whom.

    Example: onedoor demand show d01m6cwacm06h4yrfjgdy41
    """
    with _hub() as hub:
        found, steps = hub.registry.demand(demand), hub.registry.demand_history(demand)
        ((_, clock),) = _clocked(hub, [found])

        def text() -> Any:
            from rich.console import Group

            lines = "\n".join(f"{name:<12}{value}" for name, value in _shown(found, clock, _names(hub)).items())
            return Group(lines, "", _steps_table(steps, hub))

        output.show({"demand": found, "clock": clock, "history": steps}, as_json=as_json, text=text)


def demand_appoint(
    demand: Id,
    department: Annotated[str, typer.Argument(help="Code of the department that is to provide it.")],
    who: Who,
    why: Annotated[str, typer.Option(help="The reason, needed where another one was appointed before.")] = "",
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Appoint, for the centre, the department that is to provide what a demand asks for.

    Example: onedoor demand appoint d01m6cwacm06h4yrfjgdy41 civil --as centre.officer
    """
    _take(
        demand,
        version,
        as_json,
        lambda r, seen: r.appoint(demand, department, by=who, version=seen, why=why),
        lambda done: f"demand {done.id} is assigned; {done.assigned} answers it",
    )


def demand_return(demand: Id, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """Give a demand back, for the centre: it is not in order, or the data is in the catalogue already.

    Example: onedoor demand return d01m6cwacm06h4yrfjgdy41 --as centre.officer --why '见目录资源 beds'
    """
    _take(
        demand,
        version,
        as_json,
        lambda r, seen: r.return_demand(demand, by=who, version=seen, why=why),
        lambda done: f"demand {done.id} is returned",
    )


def demand_accept(
    demand: Id,
    who: Who,
    promised: Annotated[str, typer.Option("--by", help="The last day by which it will be registered: 2026-12-31.")],
    why: Remark = "",
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Take the responsibility for a demand, for the department that was appointed.

    Example: onedoor demand accept d01m6cwacm06h4yrfjgdy41 --as zhang.wei --by 2026-12-31
    """
    last = _day(promised, "--by")
    _take(
        demand,
        version,
        as_json,
        lambda r, seen: r.accept_demand(demand, last, by=who, version=seen, why=why),
        lambda done: f"demand {done.id} is accepted: {done.assigned} registers it by {done.promised_on}",
    )


def demand_refuse(
    demand: Id,
    who: Who,
    basis: Annotated[str, typer.Option(help="What it rests on: 1 法律法规, 2 政策文件, 3 敏感, 4 其他; code or word.")],
    why: Annotated[str, typer.Option(help="The law or document with its clause; everybody is shown it.")],
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Refuse a demand, for the department that was appointed; it goes into the negative list.

    Example: onedoor demand refuse d01m6cwacm06h4yrfjgdy41 --as zhang.wei --basis 法律法规 --why '统计法第二十五条'
    """
    _take(
        demand,
        version,
        as_json,
        lambda r, seen: r.refuse_demand(demand, basis, by=who, version=seen, why=why),
        lambda done: f"demand {done.id} is refused",
    )


def demand_fulfil(
    demand: Id,
    resource: Annotated[str, typer.Argument(help="Name of the published resource that it led to.")],
    who: Who,
    why: Remark = "",
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Name the resource that a demand led to, for the department that promised it.

    Example: onedoor demand fulfil d01m6cwacm06h4yrfjgdy41 beds --as zhang.wei
    """
    _take(
        demand,
        version,
        as_json,
        lambda r, seen: r.fulfil_demand(demand, resource, by=who, version=seen, why=why),
        lambda done: f"demand {done.id} is fulfilled by {done.resource}",
    )


def demand_cancel(demand: Id, who: Who, why: Remark = "", version: Seen = None, as_json: Json = False) -> None:
    """Take a demand back, for the department that asked.

    Example: onedoor demand cancel d01m6cwacm06h4yrfjgdy41 --as li.na
    """
    _take(
        demand,
        version,
        as_json,
        lambda r, seen: r.cancel_demand(demand, by=who, version=seen, why=why),
        lambda done: f"demand {done.id} is cancelled",
    )


def demand_analysis(
    since: Annotated[str | None, typer.Option(help="First day; default: 90 days ago.")] = None,
    until: Annotated[str | None, typer.Option(help="First day after it; default: tomorrow.")] = None,
    most: Annotated[int, typer.Option(min=1, max=1000, help="Lines of each list at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Analyse what is asked for and refused, by resource, field and reason, and what is searched and not found.

    Example: onedoor demand analysis --since 2026-10-01 --until 2027-01-01
    """
    with _hub() as hub:
        today = hub.clock.now().astimezone(CHINA).date()
        first = today - timedelta(days=90) if since is None else _day(since, "--since")
        last = today + timedelta(days=1) if until is None else _day(until, "--until")
        begins, ends = (datetime(day.year, day.month, day.day, tzinfo=CHINA) for day in (first, last))
        found = hub.registry.demand_analysis(begins, ends, most=most)
        told = {name: getattr(found, name) for name in found.__dataclass_fields__}
        output.show({"since": begins, "until": ends} | told, as_json=as_json, text=lambda: _analysis_text(found))


def overdue(as_json: Json = False) -> None:
    """Show what should have been checked or answered by now, by the department that has it, of everything that has a clock.

    Example: onedoor overdue
    """
    from catalog_registry.overdue import by_department

    with _hub() as hub:
        late = hub.registry.late(rules=hub.clock_rules, of=hub.workdays, now=hub.clock.now())
        found = by_department(late)
        output.show(found, as_json=as_json, text=lambda: _overdue_text(found) if found else "nothing is late")


# What the commands share ---------------------------------------------------------------------------------------------


def _take(
    demand: str,
    version: int | None,
    as_json: bool,
    do: Callable[[Registry, int], DemandRecord],
    text: Callable[[DemandRecord], str],
) -> None:
    """Take a step on the version that was decided on; where nobody said, on the one that is there."""
    with _hub() as hub:
        seen = hub.registry.demand(demand).version if version is None else version
        done = do(hub.registry, seen)
        output.show(done, as_json=as_json, text=lambda: text(done))


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} {text[:40]!r} is no day such as 2026-12-31") from None


def _clocked(hub: Hub, found: Sequence[DemandRecord]) -> list[tuple[DemandRecord, StepClock | None]]:
    from catalog_registry.demand_clock import demand_clock

    now = hub.clock.now()
    return [(one, demand_clock(one, rules=hub.clock_rules, of=hub.workdays, now=now)) for one in found]


def _show_list(rows: Sequence[tuple[DemandRecord, StepClock | None]], *, as_json: bool, none: str) -> None:
    output.show(
        [{name: getattr(one, name) for name in one.__dataclass_fields__} | {"clock": clock} for one, clock in rows],
        as_json=as_json,
        text=lambda: (
            output.table(
                ("demand", "title", "asked by", "state", "provider", "promised", "resource", "made", "due", "left"),
                [
                    (
                        one.id,
                        one.title,
                        one.department,
                        one.state.value,
                        one.assigned or "",
                        str(one.promised_on or ""),
                        one.resource or "",
                        _local(one.made_at),
                        _due(clock),
                        _left(clock),
                    )
                    for one, clock in rows
                ],
            )
            if rows
            else none
        ),
    )


def _shown(found: DemandRecord, clock: StepClock | None, names: dict[str, str]) -> dict[str, object]:
    from schemas.catalogue import BasisKind, UpdateCycle

    refusal = "-" if found.refusal_kind is None else f"{BasisKind(found.refusal_kind).told}: {found.refusal}"
    return {
        "demand": found.id,
        "title": found.title,
        "state": f"{found.state} (version {found.version})",
        "department": found.department,
        "asked by": names.get(found.asker, found.asker),
        "description": found.description,
        "fields": ", ".join(found.fields),
        "for": ", ".join((*found.purposes, *found.items)),
        "basis": found.legal_basis,
        "cycle": "-" if found.cycle is None else UpdateCycle(found.cycle).told,
        "provider": found.assigned or "-",
        "promised": found.promised_on or "-",
        "refused": refusal,
        "resource": found.resource or "-",
        "waits for": _clock_text(clock),
    }


def _overdue_text(found: Sequence[LateDepartment]) -> Any:
    from rich.console import Group

    parts: list[Any] = []
    for one in found:
        counts = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in one.counts.items())
        parts.append(f"{one.department or 'the centre'}: {counts}, the oldest due {one.oldest}")
    rows = [
        (
            *(_waited_for(late.clock), late.kind, late.id, late.title, late.of, late.state),
            *(_local(late.clock.began), _due(late.clock), _left(late.clock), late.clock.rule),
        )
        for one in found
        for late in one.late
    ]
    columns = ("waits for", "kind", "id", "about", "of", "state", "since", "due", "left", "rule")
    return Group("\n".join(parts), output.table(columns, rows))


def _analysis_text(found: DemandAnalysis) -> Any:
    from rich.console import Group

    parts: list[Any] = []
    misses = () if found.misses is None else found.misses.words
    for title, rows in (
        ("resources asked for 申请", found.resources),
        ("fields asked for and not given 未提供字段", found.fields),
        ("refused, with the reason 拒绝理由", found.refusals),
        ("fields that demands want 需求字段", found.wanted),
        ("searched and not found 未检索到", misses),
    ):
        if rows:
            columns = list(rows[0].__dataclass_fields__)
            lines = [[_cell(getattr(row, name)) for name in columns] for row in rows]
            parts.append(output.table([name.replace("_", " ") for name in columns], lines, title=title))
    states = ", ".join(f"{count} {state}" for state, count in found.demands.items())
    parts.append(f"demands 需求: {states or 'none'}")
    if found.misses is None:
        parts.append("searches are not written down here")
    elif found.misses.withheld:
        parts.append(f"{found.misses.withheld} searches for words with a number are not shown")
    return Group(*parts)


def _cell(value: object) -> object:
    return _local(value) if isinstance(value, datetime) else value
