"""The command ``onedoor``: the commands of the modules beside this one, under one error boundary."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer

from console.cli import output

MODULES = (
    "local",
    "parties",
    "sources",
    "registry",
    "grants",
    "principals",
    "materials",
    "applications",
    "corrections",
    "demands",
    "usage",
    "notices",
    "destructions",
    "bulk_exports",
    "catalogue",
    "credentials",
    "harvest",
    "items",
    "licence_types",
    "sheets",
    "search",
    "runs",
    "audit",
    "bus",
    "worker",
    "demo",
    "keys",
    "bench",
)
"""Each has ``register(app)``, which adds its commands and imports nothing heavy."""


def build() -> typer.Typer:
    """Return the application with the commands of all modules."""
    app = typer.Typer(
        name="onedoor",
        help="OneDoor 一门: the data-sharing exchange hub of a district.",
        epilog="Exit codes: 0 done, 1 refused or failed, 2 usage. ONEDOOR_HOME names the data folder (default .onedoor).",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(invoke_without_command=True)
    def top(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
        if version:
            from importlib.metadata import version as installed

            sys.stdout.write(installed("onedoor") + "\n")
            raise typer.Exit

    for name in MODULES:
        module = f"console.cli.{name}"
        if find_spec(module) is not None:
            import_module(module).register(app)
    return app


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line of this process and leave with its exit code."""
    gc.set_threshold(100_000, 20, 20)  # what imports make stays: looking through it time and again is a fifth of a start
    sys.exit(output.run(build(), sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    main()
