"""``onedoor demo``: the demo district on a hub that runs."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.output import Json, show


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        help="Build the demo district on the running hub, sync it, check it, look a licence up; exit 1 where a check fails.\n\n"
        "Example: onedoor up --detach && onedoor demo --scale 0.05"
    )(demo)


def demo(
    scale: Annotated[
        float, typer.Option("--scale", min=0.001, help="Size of the demo district; 1 is about 20,000 licences.")
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Run the demo's job."""
    from console.demo.run import do, tell
    from console.local.home import find_home
    from schemas.errors import Fault, RejectedError

    home = find_home()
    settings = home.load()
    if not home.locked():
        raise RejectedError(
            "no hub runs on this data folder",
            code="local.not_running",
            where=str(home.path),
            remedy="start it with `onedoor up --detach`",
            fault=Fault.CLIENT,
        )
    outcome = do(settings, scale=scale)
    if as_json:
        show(outcome.as_json(), as_json=True)
    else:
        tell(outcome)
    if not outcome.held:
        raise typer.Exit(1)
