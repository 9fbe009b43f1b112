"""Commands of the official catalogue, in the group ``onedoor resource``: a resource's entry, and exports."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from console.cli import output
from console.cli.files import write_by
from console.cli.hub import As
from console.cli.hub import opened as _hub
from console.cli.output import Json
from console.cli.registry import seen_by, seen_fields
from schemas.errors import Fault, RejectedError

if TYPE_CHECKING:
    from datetime import datetime

    from catalog_registry.records import EntryRecord
    from exchange.bootstrap import Hub
    from schemas.catalogue import CatalogueEntry

T = TypeVar("T")

_MAX_ENTRY_BYTES = 4 << 20


class Format(StrEnum):
    """What an export is written in."""

    TURTLE = "turtle"
    JSONLD = "jsonld"
    ODCS = "odcs"
    NATIONAL = "national"
    XLSX = "xlsx"


def register(app: typer.Typer) -> None:
    """Add the commands to the group of resources."""
    resources = next(g.typer_instance for g in app.registered_groups if g.name == "resource" and g.typer_instance is not None)
    resources.command("catalogue")(resource_catalogue)
    resources.command("export")(resource_export)


def resource_catalogue(
    name: Annotated[str, typer.Argument(help="The resource.")],
    given: Annotated[
        Path | None, typer.Option("--set", help="File with the entry as JSON: the hub's form or the national one.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(help="The version of the entry that was decided on; default: the one it is at now.")
    ] = None,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Show what the official catalogue says of a resource, or set it. The first entry gives the resource its code.

    With --as it is shown as somebody may see it: of a resource that is not shared others see the name and the reason.

    Example: onedoor resource catalogue licences --set licences.catalogue.json
    """
    if who is not None and given is not None:
        raise typer.BadParameter("--as shows what somebody may see; the console sets an entry")
    with _hub() as hub:
        from catalog_registry.records import Cover

        if who is not None and isinstance(found := seen_by(hub, name, who), Cover):
            output.show(seen_fields(found), as_json=as_json)
            return
        record = hub.registry.entry(name)
        if given is not None:
            entry = _read_entry(given)
            seen = version if version is not None else 0 if record is None else record.version
            record = hub.registry.set_entry(name, entry, by=acting(), expected_version=seen)
            output.show(
                _shown(record, hub),
                as_json=as_json,
                text=f"{name} is in the catalogue as {record.entry.code}, version {record.version}",
            )
            return
        if record is None:
            raise RejectedError(
                f"the catalogue says nothing of {name} yet",
                code="catalogue.no_entry",
                where=name,
                remedy=f"set it with onedoor resource catalogue {name} --set FILE.json",
                fault=Fault.CLIENT,
            )
        shown = _shown(record, hub)
        output.show(shown, as_json=as_json, text=lambda: _text(record.entry, shown))


def resource_export(
    form: Annotated[Format, typer.Option("--format", help="turtle and jsonld: DCAT-AP 3.0.1; odcs: the contracts.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write, replaced whole; - for standard output.")],
    names: Annotated[list[str] | None, typer.Argument(help="The resources; none: all that are shared.")] = None,
    base: Annotated[
        str | None, typer.Option(help="Address that names in DCAT begin with; default: the setting public_url, else a URN.")
    ] = None,
    publisher: Annotated[str | None, typer.Option(help="Code of the department that publishes; default: the centre.")] = None,
    drafts: Annotated[bool, typer.Option("--drafts", help="What is not shared yet too; national and xlsx only.")] = False,
    as_json: Json = False,
) -> None:
    """Write the catalogue, or some resources of it, in a form that others read.

    Of a resource that is not shared, DCAT has the name and the reason only. National form and xlsx have those with an entry.

    Example: onedoor resource export --format turtle --base https://share.example.gov.cn -o catalogue.ttl
    """
    from catalog_registry.exports.whole import Format as Form
    from catalog_registry.exports.whole import Wanted, export_text, write_export

    with _hub() as hub:
        wanted = Wanted(
            Form(form), hub.settings.division, tuple(dict.fromkeys(names or ())), None, drafts, base=base, publisher=publisher
        )
        if str(out) == "-":
            if form is Format.XLSX:
                raise typer.BadParameter("a workbook is written to a file, not to standard output")
            for chunk in export_text(hub.registry, wanted, [0]):
                sys.stdout.write(chunk)
            return
        count = write_by(out, lambda draft: write_export(hub.registry, wanted, draft))
        done = {"file": str(out), "format": form.value, "resources": count}
        output.show(done, as_json=as_json, text=f"{out} written: {count} resources as {form.value}")


def _read_entry(file: Path) -> CatalogueEntry:
    from catalog_registry.exports.national import from_national, is_national, load_objects
    from schemas.catalogue_form import read_entry

    try:
        if file.stat().st_size > _MAX_ENTRY_BYTES:
            raise RejectedError(
                "the file is above 4 MiB, which no entry is", code="catalogue.size", where=str(file), fault=Fault.CLIENT
            )
        text = file.read_text("utf-8")
    except OSError as error:
        raise RejectedError(
            f"the file cannot be read: {(error.strerror or 'unknown').lower()}",
            code="catalogue.file",
            where=str(file),
            fault=Fault.CLIENT,
        ) from error
    except UnicodeDecodeError as error:
        raise RejectedError("the file is not UTF-8", code="catalogue.encoding", where=str(file), fault=Fault.CLIENT) from error
    documents = load_objects(text, where=str(file))
    if len(documents) > 1:
        raise RejectedError(
            f"the file has {len(documents)} entries, and a resource has one",
            code="catalogue.many",
            where=str(file),
            fault=Fault.CLIENT,
        )
    read = from_national if is_national(documents[0]) else read_entry
    return read(documents[0], where=str(file))


def _shown(record: EntryRecord, hub: Hub) -> dict[str, Any]:
    from schemas.catalogue import fresh
    from schemas.catalogue_form import entry_document

    as_of = _as_of(hub, record.resource)
    return {
        "resource": record.resource,
        "version": record.version,
        "code": record.entry.code,
        "as_of": as_of,
        "fresh": fresh(record.entry.update_cycle, as_of, hub.clock.now()),
        "entry": entry_document(record.entry),
        "at": record.at,
        "by": record.by,
    }


def _as_of(hub: Hub, resource: str) -> datetime | None:
    """Return the instant that no row of the last proved run is older than; None where no run is proved."""
    from exchange.store.runs import list_runs

    with hub.connect() as connection:
        return next((run.as_of_first for run in list_runs(connection, resource, limit=1000) if run.state == "proved"), None)


def _text(entry: CatalogueEntry, shown: dict[str, Any]) -> Any:
    from rich.console import Group

    sharing = entry.sharing
    basis = None if sharing.basis_kind is None else f"{sharing.basis_kind.told}: {sharing.basis}"
    known = {True: "yes", False: "no", None: "the cycle promises no time"}
    rows = (
        ("代码 code", entry.code),
        ("分类 classification", f"{entry.classification.category.told}, {entry.classification.prefix}"),
        ("名称 title", entry.title),
        ("提供方 provider", f"{entry.provider} ({entry.provider_code})"),
        ("摘要 abstract", entry.abstract),
        ("格式 format", entry.format),
        ("共享类型 sharing type", sharing.type.told),
        ("共享条件 condition", sharing.condition),
        ("不予共享依据 basis", basis),
        ("共享方式 ways", ", ".join(way.told for way in sharing.ways)),
        ("是否开放 open", ("yes" if entry.open_condition is None else f"yes: {entry.open_condition}") if entry.open else "no"),
        ("更新周期 cycle", entry.update_cycle.told + (f": {entry.other_update_cycle}" if entry.other_update_cycle else "")),
        ("fresh", known[shown["fresh"]]),
        ("发布日期 published on", entry.published_on.isoformat()),
        ("关联资源 related", ", ".join(entry.related)),
        ("通道 channel", entry.channel.told),
        ("密级 secrecy", entry.secrecy.told),
        ("层级 level", f"{entry.level.told}, {entry.region}"),
        ("事项 service items", ", ".join((*entry.service_items, *entry.handling_items))),
        ("证照类型 licence types", ", ".join(entry.licence_types)),
        ("version", f"{shown['version']}, by {shown['by']}"),
    )
    fields = output.table(
        ("信息项 field", "title", "type", "length", "key", "sensitivity", "sharing"),
        [
            (
                field.name,
                field.title,
                field.data_type,
                field.length or "",
                "yes" if field.primary_key else "",
                field.sensitivity,
                field.sharing.type.told if field.sharing is not None else "",
            )
            for field in entry.fields
        ],
    )
    return Group("\n".join(f"{name}: {value}" for name, value in rows if value), "", fields)


def acting() -> str:
    """Return who acts on the console: the account of the operating system."""
    import getpass

    return f"console:{getpass.getuser()}"
