"""Commands of the licence types 证照类型: ``onedoor licence-type …``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import output
from console.cli.applications import Seen, Who, _steps_table
from console.cli.files import read_object
from console.cli.hub import opened as _hub
from console.cli.output import Json

if TYPE_CHECKING:
    from catalog_registry.item_records import LicenceTypeRecord

Code = Annotated[str, typer.Argument(help="Code of the licence type.")]
_MAX_BYTES = 256 << 10


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Licence types 证照类型: issuer, holders, fields, states, sharing rule.", no_args_is_help=True)
    for command in (licence_type_list, licence_type_show, licence_type_history, licence_type_terms, licence_type_set):
        group.command(command.__name__.removeprefix("licence_type_"))(command)
    app.add_typer(group, name="licence-type")


def licence_type_list(as_json: Json = False) -> None:
    """List the licence types, and how each is shared.

    Example: onedoor licence-type list
    """
    with _hub() as hub:
        found = hub.registry.licence_types()
        output.show(
            [_shown(one) for one in found],
            as_json=as_json,
            text=lambda: output.table(
                ("code", "name", "issuer", "holders", "sharing", "items", "state"),
                [
                    (
                        one.type.code,
                        one.type.name,
                        one.type.issuer,
                        ", ".join(h.zh for h in one.type.holders),
                        one.terms.sharing.told,
                        len(one.items),
                        one.state,
                    )
                    for one in found
                ],
            ),
        )


def licence_type_show(code: Code, as_json: Json = False) -> None:
    """Show a licence type, with the items that may use it.

    Example: onedoor licence-type show 11440205MB2D0000015001
    """
    with _hub() as hub:
        found = hub.registry.licence_type(code)
        output.show(_shown(found), as_json=as_json, text=lambda: _text(found))


def licence_type_history(code: Code, as_json: Json = False) -> None:
    """Show what was done to a licence type, oldest first.

    Example: onedoor licence-type history 11440205MB2D0000015001
    """
    with _hub() as hub:
        steps = hub.registry.licence_type_history(code)
        output.show(steps, as_json=as_json, text=lambda: _steps_table(steps, hub))


def licence_type_terms(
    code: Code,
    who: Who,
    sharing: Annotated[str, typer.Option(help="1 依事项共享 by item, or 2 有条件共享 on a condition.")],
    condition: Annotated[str | None, typer.Option(help="The condition, with 2.")] = None,
    field: Annotated[list[str] | None, typer.Option(help="A field that licences have; default: those that it has.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="A state that it knows; default: those that it has.")] = None,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Say on which terms a licence type is shared: what the hub itself keeps of it.

    Example: onedoor licence-type terms 11440205MB2D0000015001 --as chen.jing --sharing 2 --condition '仅限本区使用'
    """
    from schemas.licence_type import licence_type_document, read_terms

    with _hub() as hub:
        found = hub.registry.licence_type(code)
        kept = licence_type_document(found.terms)
        given = {
            "sharing": sharing,
            "condition": condition,
            "fields": field or kept["fields"],
            "states": state or kept["states"],
        }
        seen = found.version if version is None else version
        done = hub.registry.set_licence_terms(code, read_terms(given, where=code), by=who, version=seen)
        output.show(_shown(done), as_json=as_json, text=lambda: _text(done))


def licence_type_set(
    file: Annotated[Path, typer.Argument(help="File with the licence type as JSON: code, name, issuer, holders …")],
    who: Who,
    version: Seen = None,
    as_json: Json = False,
) -> None:
    """Enter a licence type that is kept by hand, or change it. What is another system's is refused with its name.

    Example: onedoor licence-type set type.json --as chen.jing
    """
    from schemas.licence_type import read_licence_type

    wanted = read_licence_type(read_object(file, _MAX_BYTES, "licence_type"), where=str(file))
    with _hub() as hub:
        here = next((one for one in hub.registry.licence_types() if one.type.code == wanted.code), None)
        seen = version if version is not None else 0 if here is None else here.version
        done = hub.registry.set_licence_type(wanted, by=who, expected_version=seen)
        output.show(_shown(done), as_json=as_json, text=lambda: _text(done))


def _shown(found: LicenceTypeRecord) -> dict[str, Any]:
    from schemas.licence_type import licence_type_document

    return {
        "code": found.type.code,
        "state": found.state,
        "version": found.version,
        "department": found.department,
        "owner": found.owner,
        "changed_at": found.changed_at,
        "type": licence_type_document(found.type),
        "terms": licence_type_document(found.terms),
        "items": found.items,
    }


def _text(found: LicenceTypeRecord) -> str:
    kept = "the hub" if found.owner is None else f"{found.owner}, and changed only there"
    rows = (
        ("代码 code", found.type.code),
        ("名称 name", found.type.name),
        ("发证机关 issuer", found.type.issuer),
        ("持证主体 holders", ", ".join(one.told for one in found.type.holders)),
        ("有效期 years", "for ever" if found.type.validity_years == 0 else found.type.validity_years),
        ("共享方式 sharing", found.terms.sharing.told),
        ("共享条件 condition", found.terms.condition),
        ("字段 fields", ", ".join(found.terms.fields)),
        ("状态 states", ", ".join(one.told for one in found.terms.states)),
        ("使用事项 items", f"{len(found.items)} items" if found.items else ""),
        ("kept by", kept),
        ("state", f"{found.state}, version {found.version}"),
    )
    return "\n".join(f"{name}: {value}" for name, value in rows if value not in (None, ""))
