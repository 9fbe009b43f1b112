"""Commands of the bridge to exemption: which licence types stand in for the materials of an item."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli import output
from console.cli.hub import acts
from console.cli.hub import opened as _hub
from console.cli.output import Json


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Which licence types stand in for the materials of an item.", no_args_is_help=True)
    for command in (material_set, material_list):
        group.command(command.__name__.partition("_")[2])(command)
    app.add_typer(group, name="material")


def material_set(
    item: Annotated[str, typer.Argument(help="Code of the service item.")],
    material: Annotated[str, typer.Argument(help="Code of the material.")],
    licence_types: Annotated[
        list[str] | None, typer.Argument(help="Licence types it accepts; none: the paper is asked for.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say exactly which licence types a material accepts instead of paper.

    Example: onedoor material set 11440200006123456X3440205001000 M01 11100000000013338W011
    """
    with _hub() as hub:
        hub.registry.set_item_licence_types(item, material, licence_types or (), by=acts())
        accepted = hub.registry.item_licence_types(item).get(item, {}).get(material, ())
        output.show(
            {"item": item, "material": material, "licence_types": list(accepted)},
            as_json=as_json,
            text=f"material {material} of {item} accepts {', '.join(accepted) or 'no licence'}",
        )


def material_list(
    item: Annotated[str | None, typer.Argument(help="Only those of an item.")] = None, as_json: Json = False
) -> None:
    """List which licence types materials accept.

    Example: onedoor material list
    """
    with _hub() as hub:
        found = hub.registry.item_licence_types(item)
        rows = [
            {"item": i, "material": m, "licence_types": list(types)}
            for i, materials in found.items()
            for m, types in materials.items()
        ]
        output.show(
            rows,
            as_json=as_json,
            text=lambda: output.table(
                ("item", "material", "licence types"), [(r["item"], r["material"], ", ".join(r["licence_types"])) for r in rows]
            ),
        )
