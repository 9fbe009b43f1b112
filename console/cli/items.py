"""Commands of the service items 事项: ``onedoor item …``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.applications import Seen, Who, Why
from console.cli.files import opened_file, read_object, read_whole, write_whole
from console.cli.hub import local as _local
from console.cli.hub import opened as _hub
from console.cli.output import Json
from console.cli.registry import _instant
from console.cli.sheets import show_faults
from schemas.errors import Fault, RejectedError

if TYPE_CHECKING:
    from catalog_registry.coverage import Coverage
    from catalog_registry.item_records import HandbookRecord, ItemVersionRecord, PerformingBody, StandIns
    from exchange.bootstrap import Hub

Code = Annotated[str, typer.Argument(help="Code of the item, or of one of its ways of handling.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="File to write, replaced whole; - for standard output.")]

_MAX_ELEMENTS_BYTES = 512 << 10
_MAX_LIST_BYTES = 4 << 20


class Format(StrEnum):
    """What an export is written in."""

    TURTLE = "turtle"
    JSONLD = "jsonld"
    XLSX = "xlsx"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Service items 事项: versions, guides, handbooks, what stands in for materials.", no_args_is_help=True
    )
    for command in (
        item_list,
        item_show,
        item_versions,
        item_of_case,
        item_guide,
        item_bodies,
        item_delegate,
        item_end_delegation,
        item_stand_ins,
        item_stand_in,
        item_handbook,
        item_set,
        item_end,
        item_coverage,
        item_template,
        item_export,
        item_import,
        item_bring,
    ):
        group.command(command.__name__.partition("_")[2].replace("_", "-"))(command)
    app.add_typer(group, name="item")


# Read ----------------------------------------------------------------------------------------------------------------


def item_list(
    department: Annotated[str | None, typer.Option(help="Only those that a department performs.")] = None,
    basic: Annotated[str | None, typer.Option(help="Only those of a basic code 基本编码.")] = None,
    state: Annotated[str | None, typer.Option(help="Only those in a state: in_force, suspended, ended.")] = None,
    as_json: Json = False,
) -> None:
    """List the service items of all bodies, and whose they are.

    Example: onedoor item list --department market_supervision
    """
    from catalog_registry.item_life import ItemState

    if state is not None and state not in set(ItemState):
        raise typer.BadParameter(f"{state[:40]!r} is no state: {', '.join(ItemState)}")
    with _hub() as hub:
        wanted = None if state is None else ItemState(state)
        rows = hub.registry.items(department=department, basic_code=basic, state=wanted)
        output.show(
            rows,
            as_json=as_json,
            text=lambda: output.table(
                ("code", "name", "body", "state", "version", "kept by"),
                [(r.code, r.name, r.body, r.state, r.version, r.owner or "the hub") for r in rows],
            ),
        )


def item_show(
    code: Code,
    at: Annotated[
        str | None, typer.Option(help="The version in force then: 2026-11-02, or an instant with its offset.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show an item: the newest version, or the one that a case keeps that began at an instant.

    Example: onedoor item show 11440205MB2D000001344010200100 --at 2026-10-01
    """
    with _hub() as hub:
        found = hub.registry.item(code)
        version = hub.registry.item_version(code) if at is None else hub.registry.item_at(code, _instant(at, "--at"))
        if version is None:
            raise RejectedError("the item was not there yet", code="item.unknown", where=found.code, fault=Fault.CLIENT)
        shown = _version(version) | {"department": found.department, "owner": found.owner}
        output.show(shown, as_json=as_json, text=lambda: _item_text(version, found.owner, hub))


def item_versions(code: Code, as_json: Json = False) -> None:
    """Show all versions of an item: what happened, from when on it is in force, since when the hub knows it.

    Example: onedoor item versions 11440205MB2D000001344010200100
    """
    with _hub() as hub:
        found = hub.registry.item_versions(code)
        output.show(
            [_version(one) for one in found],
            as_json=as_json,
            text=lambda: output.table(
                ("version", "event", "state", "in force from", "recorded", "by"),
                [(v.version, v.event, v.state, _local(v.effective_at), _local(v.recorded_at), v.by) for v in found],
            ),
        )


def item_of_case(case: Annotated[str, typer.Argument(help="Case number 申办流水号.")], as_json: Json = False) -> None:
    """Show which version of its item a case keeps: the one that was in force when it began.

    Example: onedoor item of-case 11440205MB2D0000013440102001000202610010001
    """
    from exchange.items.cases import case_item

    with _hub() as hub:
        found = case_item(hub, case)
        kept = found.version
        shown = {"case": found.case, "resource": found.resource, "item": found.item, "began": found.began}
        number = "none, it was not there yet" if kept is None else f"{kept.version}, {kept.item.name}"
        output.show(
            shown | {"version": None if kept is None else _version(kept)},
            as_json=as_json,
            text=f"item: {found.item}\nbegan: {_local(found.began)}\nversion: {number}",
        )


def item_guide(code: Code, as_json: Json = False) -> None:
    """Show the guide 办事指南: what an applicant is told, with the materials that need not be handed in.

    Example: onedoor item guide 11440205MB2D000001344010200100
    """
    from catalog_registry.guide import guide_of, guide_text

    with _hub() as hub:
        version = hub.registry.item_version(code)
        names = {one.type.code: one.type.name for one in hub.registry.licence_types()}
        guide = guide_of(version.item, hub.registry.stand_ins(code), names)
        output.show(guide, as_json=as_json, text=lambda: guide_text(guide))


def item_coverage(
    file: Annotated[
        Path | None, typer.Argument(help="Basic codes that must be in, one a line, with a department's code behind a comma.")
    ] = None,
    department: Annotated[str | None, typer.Option(help="Only what is a department's.")] = None,
    gaps: Annotated[bool, typer.Option("--gaps", help="Name every item that lacks something.")] = False,
    as_json: Json = False,
) -> None:
    """Tell which items are in as they must be 应进必进: by department, what is missing or lacks something.

    Without a file, whatever is in the register must be whole.

    Example: onedoor item coverage must-be-in.txt --gaps
    """
    from catalog_registry.coverage import coverage, read_wanted

    wanted = None
    if file is not None:
        try:
            wanted = read_wanted(read_whole(file, _MAX_LIST_BYTES, "coverage").decode("utf-8-sig"), where=str(file))
        except UnicodeDecodeError as error:
            raise RejectedError("the file is not UTF-8", code="coverage.list", where=str(file), fault=Fault.CLIENT) from error
    with _hub() as hub:
        found = coverage(hub.registry.current_items(), hub.registry.items_with_handbook(), wanted, department=department)
        shown = {"wanted": found.wanted, "whole": found.whole, "departments": found.departments, "gaps": found.gaps}
        output.show(shown, as_json=as_json, text=lambda: _coverage_text(found, gaps=gaps))


# What the hub itself keeps -------------------------------------------------------------------------------------------


def item_bodies(code: Code, as_json: Json = False) -> None:
    """Show who performs an item: every body with an implementation record of its basic code, and those delegated to.

    Example: onedoor item bodies 440102001000
    """
    with _hub() as hub:
        found = hub.registry.bodies(code)
        output.show(found, as_json=as_json, text=lambda: _bodies_table(found))


def item_delegate(
    code: Code,
    department: Annotated[str, typer.Argument(help="Code of the department that it is delegated to.")],
    who: Who,
    basis: Annotated[str, typer.Option(help="The legal basis.")],
    start: Annotated[str | None, typer.Option("--from", help="When it begins; default: now.")] = None,
    until: Annotated[str | None, typer.Option(help="When it ends; default: when it is ended.")] = None,
    as_json: Json = False,
) -> None:
    """Say that an item, or its review, is delegated to a department 委托.

    Example: onedoor item delegate 11440205MB2D000001344010200100 maba --as chen.jing --basis '曲府办〔2016〕12号'
    """
    with _hub() as hub:
        done = hub.registry.delegate_item(
            code,
            department,
            by=who,
            basis=basis,
            from_at=None if start is None else _instant(start, "--from"),
            to_at=None if until is None else _instant(until, "--until"),
        )
        output.show(done, as_json=as_json, text=f"item {done.item} is delegated to {done.body}")


def item_end_delegation(
    code: Code,
    department: Annotated[str, typer.Argument(help="Code of the department that it was delegated to.")],
    who: Who,
    as_json: Json = False,
) -> None:
    """End the delegation of an item now; that it was stays known.

    Example: onedoor item end-delegation 11440205MB2D000001344010200100 maba --as chen.jing
    """
    with _hub() as hub:
        hub.registry.end_delegation(code, department, by=who)
        found = hub.registry.bodies(code)
        output.show(found, as_json=as_json, text=f"item {code} is no longer delegated to {department}")


def item_stand_ins(code: Code, as_json: Json = False) -> None:
    """Show what stands in for the materials of an item.

    Example: onedoor item stand-ins 11440205MB2D000001344010200100
    """
    with _hub() as hub:
        found = hub.registry.stand_ins(code)
        output.show(found, as_json=as_json, text=lambda: _stand_ins_table(found))


def item_stand_in(
    code: Code,
    material: Annotated[str, typer.Argument(help="Code of the material.")],
    who: Who,
    licence_type: Annotated[
        list[str] | None, typer.Option(help="A licence type that it accepts; give it again for more.")
    ] = None,
    resource: Annotated[list[str] | None, typer.Option(help="A shared resource to look in; give it again for more.")] = None,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Say exactly what stands in for a material instead of paper; without any, the paper must be handed in.

    Example: onedoor item stand-in 11440205MB2D000001344010200100 CL000102 --as chen.jing --resource licences
    """
    from catalog_registry.item_records import StandIn

    with _hub() as hub:
        seen = hub.registry.stand_ins(code).version if version is None else version
        wanted = {material: StandIn(tuple(licence_type or ()), tuple(resource or ()))}
        done = hub.registry.set_stand_ins(code, wanted, by=who, expected_version=seen)
        output.show(done, as_json=as_json, text=lambda: _stand_ins_table(done))


def item_handbook(
    code: Code,
    given: Annotated[Path | None, typer.Option("--set", help="File with the handbook as JSON: its steps.")] = None,
    who: Annotated[str | None, typer.Option("--as", help="Who acts: name, id or client id of a principal.")] = None,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Show the handbook 业务手册 of an item, or set it: each step, who takes it, what is examined, the scale of discretion.

    Example: onedoor item handbook 11440205MB2D000001344010200100 --set handbook.json --as chen.jing
    """
    from schemas.handbook import handbook_document, read_handbook

    with _hub() as hub:
        found = hub.registry.handbook(code)
        if given is not None:
            if who is None:
                raise typer.BadParameter("to set a handbook, say who acts", param_hint="--as")
            handbook = read_handbook(read_object(given, _MAX_ELEMENTS_BYTES, "handbook"), where=str(given))
            seen = version if version is not None else 0 if found is None else found.version
            found = hub.registry.set_handbook(code, handbook, by=who, expected_version=seen)
        elif found is None:
            raise RejectedError(
                f"item {code} has no handbook yet",
                code="item.no_handbook",
                where=code,
                remedy=f"set it with onedoor item handbook {code} --set FILE.json --as WHO",
                fault=Fault.CLIENT,
            )
        kept = found
        shown = {"item": kept.item, "version": kept.version, "at": kept.at, "by": kept.by}
        output.show(shown | handbook_document(kept.handbook), as_json=as_json, text=lambda: _handbook_text(kept))


def item_set(
    file: Annotated[Path, typer.Argument(help="File with the item's elements as JSON.")],
    who: Who,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Enter an item that is kept by hand, or give it new elements. What is another system's is refused with its name.

    Example: onedoor item set item.json --as chen.jing
    """
    from schemas.item_form import read_item

    item = read_item(read_object(file, _MAX_ELEMENTS_BYTES, "item"), where=str(file))
    with _hub() as hub:
        here = next((record for record in hub.registry.items() if record.code == item.code), None)
        seen = version if version is not None else 0 if here is None else here.version
        done = hub.registry.set_item(item, by=who, expected_version=seen)
        output.show(done, as_json=as_json, text=f"item {done.code} is {done.state}, version {done.version}")


def item_end(code: Code, who: Who, why: Why, version: Seen = None, as_json: Json = False) -> None:
    """End an item that is kept by hand; its versions stay.

    Example: onedoor item end OLD-90000500169555 --as chen.jing --why '已取消'
    """
    with _hub() as hub:
        seen = hub.registry.item(code).version if version is None else version
        done = hub.registry.end_item(code, by=who, version=seen, why=why)
        output.show(done, as_json=as_json, text=f"item {done.code} has ended")


# In and out ----------------------------------------------------------------------------------------------------------


def item_template(out: Out, as_json: Json = False) -> None:
    """Write an empty workbook to be filled in: items, ways of handling, materials, questions, handbooks.

    Example: onedoor item template -o items.xlsx
    """
    from catalog_registry.item_sheets_out import workbook

    _written(out, iter([workbook()]), {"file": str(out)}, f"{out} written", as_json)


def item_export(
    form: Annotated[Format, typer.Option("--format", help="turtle and jsonld are CPSV-AP 3.2; xlsx is for people.")],
    out: Out,
    codes: Annotated[list[str] | None, typer.Argument(help="Codes of items; none: all.")] = None,
    base: Annotated[str | None, typer.Option(help="Address under which others reach the hub; names begin with it.")] = None,
    as_json: Json = False,
) -> None:
    """Write items in a form that others read.

    Example: onedoor item export --format turtle --base https://share.example.gov.cn -o items.ttl
    """
    from catalog_registry.item_export import item_chunks

    with _hub() as hub:
        count = [0]

        def counted() -> None:
            count[0] += 1

        division = hub.settings.division
        chunks = item_chunks(
            hub.registry,
            form.value,
            tuple(dict.fromkeys(codes or ())),
            base=f"urn:onedoor:{division}" if base is None else base,
            region=division,
            counted=counted,
        )
        _written(out, chunks, {"file": str(out), "format": form.value}, f"{out} written", as_json, count)


def item_import(
    file: Annotated[Path, typer.Argument(help="The workbook, as item template or item export writes it.")],
    who: Who,
    as_json: Json = False,
) -> None:
    """Take over what a workbook says of items and handbooks, all of it or nothing. Every cell that is wrong is told.

    Example: onedoor item import items.xlsx --as chen.jing
    """
    from catalog_registry.brought import ImportRefusedError
    from catalog_registry.item_sheets_in import read_items

    with opened_file(file, "sheet") as given:
        read = read_items(given, where=str(file))
    with _hub() as hub:
        try:
            done = hub.registry.take_workbook(read.whole(where=str(file)), by=who, where=str(file))
        except ImportRefusedError as error:
            show_faults(file, error, as_json=as_json)
            raise
        text = f"taken over from {file}: {len(done.items)} items, {len(done.handbooks)} handbooks"
        output.show(done, as_json=as_json, text=text)


def item_bring(as_json: Json = False) -> None:
    """Bring the register up to what has landed from the item catalogue and the licence store; the worker does so by itself.

    Example: onedoor item bring
    """
    from exchange.items.bring import bring_items, bring_licence_types

    with _hub() as hub:
        done = {"items": bring_items(hub), "licence_types": bring_licence_types(hub)}
        lines = [
            f"{name}: {one.entered} entered, {one.changed} changed, {one.ended} ended, {one.unchanged} as they were"
            if one is not None
            else f"{name}: nothing has landed from a system that has them"
            for name, one in done.items()
        ]
        output.show(done, as_json=as_json, text="\n".join(lines))


# What the commands share ---------------------------------------------------------------------------------------------


def _written(
    out: Path, chunks: Iterator[bytes], shown: dict[str, Any], text: str, as_json: bool, count: list[int] | None = None
) -> None:
    if str(out) == "-":
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    write_whole(out, chunks)
    if count is not None:
        shown, text = shown | {"items": count[0]}, f"{text}: {count[0]} items"
    output.show(shown, as_json=as_json, text=text)


def _version(version: ItemVersionRecord) -> dict[str, Any]:
    from schemas.item_form import item_document

    return {
        "version": version.version,
        "event": version.event,
        "state": version.state,
        "effective_at": version.effective_at,
        "recorded_at": version.recorded_at,
        "by": version.by,
        "why": version.why,
        "elements": item_document(version.item),
    }


def _item_text(version: ItemVersionRecord, owner: str | None, hub: Hub) -> str:
    from catalog_registry.guide import guide_of, guide_text
    from catalog_registry.item_records import StandIns

    kept = "the hub" if owner is None else f"{owner}, and changed only there"
    head = (
        f"version {version.version} ({version.event}), {version.state}, in force from {_local(version.effective_at)}\n"
        f"kept by {kept}\n\n"
    )
    return head + guide_text(guide_of(version.item, StandIns(version.item.code, 0)))


def _handbook_text(kept: HandbookRecord) -> str:
    lines = [f"业务手册 {kept.item}, version {kept.version}, {_local(kept.at)}, by {kept.by}"]
    for number, step in enumerate(kept.handbook.steps, start=1):
        limit = "" if step.limit is None else f"，{step.limit}"
        lines += ["", f"{number}. {step.name}（{step.body}，{step.post}{limit}）", f"   职权：{step.powers}"]
        lines += [f"   审查：{one}" for one in step.examines]
        lines.append(f"   方式：{step.how}")
        lines += [f"   裁量：{rung.circumstance} → {rung.outcome}" for rung in step.discretion]
    return "\n".join(lines)


def _stand_ins_table(found: StandIns) -> Any:
    return output.table(
        ("material", "licence types", "resources"),
        [(code, ", ".join(one.licence_types), ", ".join(one.resources)) for code, one in found.materials.items()],
        title=f"{found.item}, version {found.version}",
    )


def _bodies_table(found: list[PerformingBody]) -> Any:
    return output.table(
        ("variant", "body", "item", "basis", "until"),
        [(b.variant, b.body, b.item, b.basis or "", "" if b.to_at is None else _local(b.to_at)) for b in found],
    )


def _coverage_text(found: Coverage, *, gaps: bool) -> Any:
    from rich.console import Group

    from catalog_registry.coverage import Lack

    tallies = output.table(
        ("department", "wanted", "whole", *Lack),
        [(t.department or "?", t.wanted, t.whole, *(t.lacks.get(lack, 0) for lack in Lack)) for t in found.departments],
        title=f"应进必进: {found.whole} of {found.wanted} items are in with all that they need",
    )
    if not gaps:
        return tallies
    named = output.table(
        ("basic code", "item", "name", "department", "lacks"),
        [(g.basic_code, g.item or "", g.name or "", g.department or "", ", ".join(g.lacks)) for g in found.gaps],
    )
    return Group(tallies, named)
