"""Commands of who takes part: ``onedoor department …`` and ``onedoor system …``, for those that bring no source."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli import output
from console.cli.hub import opened as _hub
from console.cli.output import Json


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, title, commands in (
        ("department", "Departments and townships, as a tree.", (department_add, department_list)),
        ("system", "Systems that departments run: they hold data, or ask for it.", (system_add, system_list)),
    ):
        group = typer.Typer(help=title, no_args_is_help=True)
        for command in commands:
            group.command(command.__name__.partition("_")[2])(command)
        app.add_typer(group, name=name)


def department_add(
    code: Annotated[str, typer.Argument(help="Its code here: letters, digits, _ . -")],
    name: Annotated[str, typer.Argument(help="What people call it.")],
    credit_code: Annotated[
        str | None, typer.Option(help="Its unified social credit code; the check digit is looked at.")
    ] = None,
    parent: Annotated[str | None, typer.Option(help="Code of the department above it.")] = None,
    as_json: Json = False,
) -> None:
    """Add a department, or give one exactly this name, credit code and place in the tree.

    Example: onedoor department add civil 民政局 --parent qujiang
    """
    with _hub() as hub:
        made = hub.registry.ensure_department(code, name, credit_code=credit_code, parent=parent)
        output.show(made, as_json=as_json, text=f"department {made.code} is {made.name}")


def department_list(as_json: Json = False) -> None:
    """List the departments.

    Example: onedoor department list
    """
    with _hub() as hub:
        rows = hub.registry.departments()
        output.show(
            rows,
            as_json=as_json,
            text=lambda: output.table(
                ("department", "name", "credit code", "above it"),
                [(d.code, d.name, d.credit_code or "", d.parent or "") for d in rows],
            ),
        )


def system_add(
    code: Annotated[str, typer.Argument(help="Its code here: letters, digits, _ . -")],
    name: Annotated[str, typer.Argument(help="What people call it.")],
    department: Annotated[str, typer.Option(help="Code of the department that runs it.")],
    as_json: Json = False,
) -> None:
    """Add a system of a department, or give one this name.

    Example: onedoor system add relief 救助系统 --department civil
    """
    with _hub() as hub:
        made = hub.registry.ensure_system(code, name, department)
        output.show(made, as_json=as_json, text=f"system {made.code} is {made.name}, of {made.department}")


def system_list(as_json: Json = False) -> None:
    """List the systems.

    Example: onedoor system list
    """
    with _hub() as hub:
        rows = hub.registry.systems()
        output.show(
            rows,
            as_json=as_json,
            text=lambda: output.table(("system", "name", "department"), [(s.code, s.name, s.department) for s in rows]),
        )
