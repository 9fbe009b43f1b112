"""``onedoor collect``, ``runs``, ``show``, ``reconcile``, ``quarantine`` and ``worker``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.output import Json, progress, say, show, table
from schemas.clock import CHINA

if TYPE_CHECKING:
    from exchange.bootstrap import Hub
    from exchange.store.runs import Run


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        help="Collect a resource from its source, and wait until it is landed and proved.\n\n"
        "Example: onedoor collect divisions --json"
    )(collect)
    app.command(help="List runs, newest first.\n\nExample: onedoor runs divisions --limit 5")(runs)
    app.command(
        "show",
        help="Show a run: stages, counts, durations, rows set aside, and the three statements of its proof.\n\n"
        "Example: onedoor show r01k…",
    )(show_run)
    app.command(
        help="Compare the store with the source, row by row, and name the keys that differ. Exits 1 when they do.\n\n"
        "Example: onedoor reconcile licences --json"
    )(reconcile)
    app.command(help="Land, close, seal the ledger and do the other duties, until stopped.\n\nExample: onedoor worker")(worker)
    group = typer.Typer(help="Rows set aside: which, by which rule, why.", no_args_is_help=True)
    group.command(
        "list",
        help="List rows set aside, newest first, without their values.\n\n"
        "Example: onedoor quarantine list --resource licences --rule code.citizen_id",
    )(quarantine_list)
    group.command(
        "show",
        help="Show one row set aside; its values only with --reveal and a --reason, which the ledger records.\n\n"
        "Example: onedoor quarantine show q01k… --reveal --reason 'the provider asked'",
    )(quarantine_show)
    app.add_typer(group, name="quarantine")


def collect(
    resource: Annotated[str, typer.Argument(help="Name of a registered resource.")],
    full: Annotated[bool, typer.Option("--full", help="Everything, even where a cursor could tell what changed.")] = False,
    since: Annotated[str | None, typer.Option(help="Start after this value of the cursor instead of the saved one.")] = None,
    allow_shrink: Annotated[
        bool, typer.Option("--allow-shrink", help="Accept an empty load, or one that lost more keys than the contract allows.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return when the rows are on the bus.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for landing and proof at most.")] = 3600.0,
    as_json: Json = False,
) -> None:
    """Collect."""
    from exchange.collect.collect import collect as do_collect
    from exchange.collect.wait import wait
    from exchange.store.runs import get_run
    from schemas.errors import RejectedError

    hub = _hub()
    try:
        with progress(f"collecting {resource}", quiet=as_json) as words:
            run_id = do_collect(
                hub,
                resource,
                full=full,
                since=since,
                allow_shrink=allow_shrink,
                progress=lambda read, aside: words(f"collecting {resource}: {read:,} rows read, {aside:,} set aside"),
            )
            if no_wait:
                with hub.connect() as connection:
                    run = get_run(connection, run_id)
            else:
                run = wait(hub, run_id, timeout_s=timeout, told=lambda r: words(f"landing {resource}: {_waits(r)}"))
        show(run.as_json(), as_json=as_json, text=lambda: run_text(run))
        if run.state == "failed":
            error = run.error or {}
            raise RejectedError(
                error.get("message", "the run failed"),
                code=error.get("code", "run.failed"),
                where=f"run {run.id}",
                remedy=error.get("remedy"),
            )
    finally:
        hub.close()


def _waits(run: Run) -> str:
    return str(run.error["message"]) if run.error else f"{run.rows_read:,} rows read, on their way into the store"


def run_text(run: Run) -> str:
    """Return a run in words: the figures, and the three statements of the proof, which are never merged."""
    lines = [
        f"{run.resource}: run {run.id}, {run.mode}, {run.state}" + (f" (attempt {run.attempt})" if run.attempt > 1 else ""),
        f"  read {run.rows_read:,} = landed {run.rows_landed:,} + set aside {run.rows_set_aside:,}"
        if run.rows_landed is not None
        else f"  read {run.rows_read:,}, set aside {run.rows_set_aside:,}",
    ]
    if run.rows_landed is not None:
        lines.append(
            f"  inserted {run.rows_inserted:,}, changed {run.rows_changed:,}, "
            f"unchanged {run.rows_unchanged:,}, deleted {run.rows_deleted:,}"
        )
    stable = {True: "yes", False: "no", None: "unknown: the account cannot see"}[run.source_stable]
    landed = {True: "yes", False: "no", None: "not yet"}[run.read_is_landed]
    lines += [
        f"  1. what was read is landed 读到的已落库: {landed}",
        f"  2. the store equals the source 库与源一致: ask `onedoor reconcile {run.resource}`",
        f"  3. the source was stable during the read 读取期间源稳定: {stable}",
    ]
    if run.bound_kind:
        lines.append(f"  cursor up to {run.cursor_bound}, a bound that was {run.bound_kind}")
    if run.error:
        lines.append(f"  {run.error['message']}" + (f"; {run.error['remedy']}" if run.error.get("remedy") else ""))
    return "\n".join(lines)


def runs(
    resource: Annotated[str | None, typer.Argument(help="Only runs of this resource.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List runs."""
    from exchange.store.runs import list_runs

    hub = _hub()
    with hub.connect() as connection:
        found = list_runs(connection, resource, limit)
    show(
        [r.as_json() for r in found],
        as_json=as_json,
        text=lambda: (
            table(
                ["run", "resource", "mode", "state", "read", "landed", "aside", "s", "started"],
                [
                    [
                        r.id,
                        r.resource,
                        r.mode,
                        r.state,
                        r.rows_read,
                        r.rows_landed if r.rows_landed is not None else 0,
                        r.rows_set_aside,
                        r.as_json()["seconds"] or 0.0,
                        f"{r.started_at.astimezone(CHINA):%m-%d %H:%M:%S}",
                    ]
                    for r in found
                ],
            )
            if found
            else "no runs yet; collect something: onedoor collect NAME"
        ),
    )


def show_run(
    run: Annotated[str, typer.Argument(help="A run's id, as `onedoor runs` lists it.")], as_json: Json = False
) -> None:
    """Show a run."""
    from exchange.store import quarantine
    from exchange.store.runs import get_run

    hub = _hub()
    with hub.connect() as connection:
        found = get_run(connection, run)
        rules = quarantine.by_rule(connection, run)
    value = found.as_json() | {"set_aside_by_rule": rules}

    def text() -> Any:
        from rich.console import Group

        parts: list[Any] = [run_text(found)]
        stages = found.report.get("stages", [])
        if stages:
            parts.append(table(["stage", "rows", "seconds"], [[s["name"], s["rows"], s["seconds"]] for s in stages]))
        if rules:
            parts.append(table(["rule", "field", "rows set aside"], [[r["rule"], r["field"] or "", r["rows"]] for r in rules]))
        return Group(*parts)

    show(value, as_json=as_json, text=text)


def reconcile(
    resource: Annotated[str, typer.Argument(help="Name of a registered resource.")],
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Name personal keys in clear; needs --reason, and the ledger records it.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why personal keys are looked at.")] = None,
    as_json: Json = False,
) -> None:
    """Reconcile."""
    from exchange.store.reconcile import reconcile as do_reconcile
    from exchange.store.reveal import reveal_keys

    _need_reason(reveal, reason)
    hub = _hub()
    try:
        with progress(f"comparing {resource} with its source", quiet=as_json):
            found = do_reconcile(hub, resource)
        value = found.as_json()
        if reveal and found.names_personal:
            value["revealed"] = reveal_keys(hub, resource, found, reason or "")

        def text() -> str:
            lines = [
                f"{resource}: {'equal' if found.equal else 'NOT equal'} as of {value['as_of']}",
                f"  source {found.rows_source:,} rows, {found.set_aside:,} set aside; store {found.rows_store:,} rows",
            ]
            for name, part in (("missing", found.missing), ("extra", found.extra), ("different", found.different)):
                shown = ", ".join(part.keys[:10]) + (" …" if part.count > 10 else "")
                lines.append(f"  {name} {part.count:,}" + (f": {shown}" if part.count else ""))
            return "\n".join(lines)

        show(value, as_json=as_json, text=text)
    finally:
        hub.close()
    if not found.equal:
        raise typer.Exit(1)


def quarantine_list(
    resource: Annotated[str | None, typer.Option(help="Only rows of this resource.")] = None,
    run: Annotated[str | None, typer.Option(help="Only rows of this run.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only rows that this rule set aside.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List rows set aside."""
    from exchange.store.quarantine import listed

    hub = _hub()
    with hub.connect() as connection:
        rows = listed(connection, resource=resource, run=run, rule=rule, limit=limit)
    show(
        rows,
        as_json=as_json,
        text=lambda: (
            table(
                ["id", "resource", "key", "rule", "field", "reason"],
                [
                    [r["id"], r["resource"], r["row_key"] or "", f["rule"], f["field"] or "", f["reason"]]
                    for r in rows
                    for f in r["findings"]
                ],
            )
            if rows
            else "no rows are set aside"
        ),
    )


def quarantine_show(
    row: Annotated[str, typer.Argument(help="An id, as `onedoor quarantine list` gives it.")],
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show the row's values; needs --reason, and the ledger records it.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why the values are looked at.")] = None,
    as_json: Json = False,
) -> None:
    """Show one row set aside."""
    from exchange.store.quarantine import shown
    from exchange.store.reveal import reveal_row

    _need_reason(reveal, reason)
    hub = _hub()
    try:
        with hub.connect() as connection:
            found = shown(connection, row)
        value = {k: v for k, v in found.items() if k not in ("row_sealed", "key_id")}
        if reveal:
            value["row"] = reveal_row(hub, found, reason or "")
        else:
            say("the row's values are sealed; add --reveal --reason '…' to see them, which the ledger records")
        show(value, as_json=as_json)
    finally:
        hub.close()


def worker() -> None:
    """Work until stopped."""
    import signal

    from exchange.worker.worker import Worker

    hub = _hub()
    made = Worker(hub)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: made.stop())
    try:
        made.run()
    finally:
        hub.close()


def _need_reason(reveal: bool, reason: str | None) -> None:
    if reveal and not (reason or "").strip():
        raise typer.BadParameter("--reveal needs a --reason, which the ledger keeps")


def _hub() -> Hub:
    from exchange.bootstrap import open_hub
    from exchange.settings import load_settings

    return open_hub(load_settings())
