"""Commands that run an installation on this machine: up, down, status, doctor, db, kafka, credentials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.output import Json, progress, say, show, table

if TYPE_CHECKING:
    from console.local.installation import Installation

Bus = Annotated[str | None, typer.Option("--bus", help="postgres (default) or kafka; fixed at a home's first start.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help="Start the hub with all its parts, and stop them with Ctrl-C.\n\nExample: onedoor up --detach")(up)
    app.command(help="Stop what `onedoor up` started on this home.\n\nExample: onedoor down")(down)
    app.command(help="Show what runs on this home and where it answers.\n\nExample: onedoor status --json")(status)
    app.command(help="Look for what is missing or wrong, and say what to do.\n\nExample: onedoor doctor")(doctor)
    database = typer.Typer(help="The hub's database.", no_args_is_help=True)
    database.command(
        "url", help='Print the URL of the hub\'s database, for psql and BI tools.\n\nExample: psql "$(onedoor db url)"'
    )(db_url)
    app.add_typer(database, name="db")
    broker = typer.Typer(help="An Apache Kafka of this home, without a container.", no_args_is_help=True)
    broker.command("up", help="Start a broker and leave it running; print its bootstrap servers.\n\nExample: onedoor kafka up")(
        kafka_up
    )
    broker.command("down", help="Stop the broker of this home.\n\nExample: onedoor kafka down")(kafka_down)
    app.add_typer(broker, name="kafka")
    credentials = typer.Typer(help="Generated passwords.", no_args_is_help=True)
    credentials.command("reset", help="Make new passwords and print them once.\n\nExample: onedoor credentials reset")(
        credentials_reset
    )
    app.add_typer(credentials, name="credentials")


def up(
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")] = False,
    demo: Annotated[bool, typer.Option(help="Build the demo district and run its syncs.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Do the demo's job, check it, stop, and exit 0 when every check held.")
    ] = False,
    airflow: Annotated[bool, typer.Option(help="Start Airflow.")] = True,
    bus: Bus = None,
    scale: Annotated[
        float, typer.Option("--scale", min=0.001, help="Size of the demo district; 1 is about 20,000 licences.")
    ] = 1.0,
    background: Annotated[bool, typer.Option("--background", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Start the hub."""
    if bus not in (None, "postgres", "kafka"):
        raise typer.BadParameter("postgres or kafka", param_hint="--bus")
    if detach:
        if once:
            raise typer.BadParameter("--once ends by itself; it is not detached", param_hint="--detach")
        _detach(demo=demo, airflow=airflow, bus=bus, scale=scale, as_json=as_json)
        return
    import signal

    from console.local import installation

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):  # the second too: a shell's background job is born with it ignored
        signal.signal(number, stop)
    try:
        with installation.running(bus=bus, with_airflow=airflow, say=lambda line: say(f"… {line}")) as made:
            value = _told(made)
            if not background:
                show(value, as_json=as_json, text=lambda: _greeting(value))
            installation.announce(made)
            ok = _demo(made, once=once, scale=scale) if demo or once else True
            if once:
                raise typer.Exit(0 if ok else 1)
            say("Ctrl-C stops it; the data stay")
            while True:
                signal.pause()
    except KeyboardInterrupt:
        say("stopped")


def _demo(made: Installation, *, once: bool, scale: float) -> bool:
    from importlib import import_module

    run = import_module("console.demo.run").run
    return bool(run(made.settings, once=once, scale=scale))


def _told(made: Installation) -> dict[str, Any]:
    return {"home": str(made.home.path), "bus": made.settings.bus, "addresses": made.addresses, "passwords": made.passwords}


def _greeting(value: dict[str, Any]) -> str:
    lines = [f"OneDoor runs on {value['home']} (bus: {value['bus']})"]
    lines += [f"  {name:10} {address}" for name, address in value["addresses"].items()]
    if value["passwords"]:
        lines.append("Passwords made by this first start, shown once (new ones: onedoor credentials reset):")
        lines += [f"  {name}: {password}" for name, password in value["passwords"].items()]
    return "\n".join(lines)


def _detach(*, demo: bool, airflow: bool, bus: str | None, scale: float, as_json: bool) -> None:
    import os
    import subprocess
    import sys
    import time

    from console.local.home import open_home
    from console.local.installation import READY_NAME, take_ready
    from schemas.errors import RejectedError

    home = open_home()
    home.load()
    home.fix_bus(bus)
    if home.locked():
        with home.lock():
            pass
    ready = home.run_dir / READY_NAME
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "console.cli.main", "up", "--background", "--demo" if demo else "--no-demo"]
    command += ["--airflow" if airflow else "--no-airflow", "--scale", str(scale), *(["--bus", bus] if bus else [])]
    out = home.logs_dir / "up.log"
    out.unlink(missing_ok=True)
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"ONEDOOR_HOME": str(home.path)},
        )
    with progress("starting", quiet=as_json):
        while (told := take_ready(home)) is None:
            if process.poll() is not None:
                said = out.read_text("utf-8", "replace").strip().splitlines()
                raise RejectedError(
                    said[-1].removeprefix("error: ") if said else "it ended at once",
                    code="local.up_ended",
                )
            time.sleep(0.1)
    value = {"home": str(home.path), "bus": home.fix_bus(None), **told}
    show(value, as_json=as_json, text=lambda: _greeting(value))


def down(as_json: Json = False) -> None:
    """Stop the hub."""
    from console.local import installation

    with progress("stopping", quiet=as_json):
        ran = installation.down()
    show({"stopped": ran}, as_json=as_json, text="stopped" if ran else "nothing ran")


def status(as_json: Json = False) -> None:
    """Show what runs."""
    from console.local import installation

    value = installation.status()

    def text() -> Any:
        if not value["processes"]:
            return f"{value['home']}: nothing runs"
        rows = [
            [p["name"], p["pid"] or "", p["running"], "" if p["answers"] is None else p["answers"]] for p in value["processes"]
        ]
        title = f"{value['home']} (bus: {value['bus']}): " + ("ready" if value["ready"] else "not ready")
        return table(["process", "pid", "running", "answers"], rows, title=title)

    show(value, as_json=as_json, text=text)
    if not value["ready"] or any(not p["running"] or p["answers"] is False for p in value["processes"]):
        raise typer.Exit(1)


def doctor(as_json: Json = False) -> None:
    """Look for what is wrong."""
    from console.local import doctor as looking

    with progress("looking", quiet=as_json):
        findings = looking.examine()

    def text() -> Any:
        rows = [[str(f.state), f.what, f.fact, f.remedy or ""] for f in findings]
        return table(["", "what", "found", "what to do"], rows)

    show(findings, as_json=as_json, text=text)
    if any(f.state == "wrong" for f in findings):
        raise typer.Exit(1)


def db_url(
    owner: Annotated[bool, typer.Option("--owner", help="As the owner, who may change everything.")] = False,
    database: Annotated[str, typer.Option("--database", help="Another database of the embedded PostgreSQL.")] = "",
    as_json: Json = False,
) -> None:
    """Print the URL: by default of the role that only reads the store and appends to the ledger."""
    from console.local.home import find_home
    from console.local.postgres import SUPERUSER

    home = find_home()
    settings = home.load()
    if database:
        url = home.cluster().url(database, user=SUPERUSER)
    else:
        url = settings.database_url if owner else settings.api_database_url or settings.database_url
    show({"url": url}, as_json=as_json, text=url)


def kafka_up(as_json: Json = False) -> None:
    """Start a broker of this home."""
    from console.local import kafka
    from console.local.home import open_home

    home = open_home()
    with progress("Kafka", quiet=as_json):
        servers = kafka.start(home.path / "kafka")
    show(
        {"servers": servers},
        as_json=as_json,
        text=f"{servers}\nset ONEDOOR_KAFKA={servers} to use it elsewhere; onedoor kafka down stops it",
    )


def kafka_down(as_json: Json = False) -> None:
    """Stop the broker of this home."""
    from console.local import kafka
    from console.local.home import find_home, home_path

    folder: Path = (home_path() if not (home_path() / "state.json").exists() else find_home().path) / "kafka"
    ran = kafka.server_pid(folder) is not None
    kafka.stop(folder)
    show({"stopped": ran}, as_json=as_json, text="stopped" if ran else "nothing ran")


def credentials_reset(
    databases: Annotated[
        bool, typer.Option("--databases", help="Also those of the databases' roles; the hub must be down.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make new passwords."""
    from console.local import credentials

    value = credentials.reset(databases=databases)
    show(value, as_json=as_json, text=lambda: "\n".join(f"{name}: {password}" for name, password in value.items()))
