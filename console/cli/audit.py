"""``onedoor audit``: verify the ledger, export it, look at its newest records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.output import Json, progress, show, table

if TYPE_CHECKING:
    from exchange.settings import Settings
    from exchange.trust.verify import Verdict


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The ledger: who used what, for which case and purpose.", no_args_is_help=True)
    group.command(
        "verify",
        help="Compute chains, checkpoints and signatures again and name every place that deviates. Exits 1 when one does."
        " With --export and --public-key it needs no hub.\n\nExample: onedoor audit verify --export ledger.jsonl"
        " --public-key ledger.pub --published /mnt/audit/checkpoints",
    )(verify)
    group.command(
        "export",
        help="Write the whole ledger to a file that can be verified anywhere.\n\nExample: onedoor audit export -o ledger.jsonl",
    )(export)
    group.command("show", help="Show the newest records.\n\nExample: onedoor audit show --n 20 --json")(show_records)
    app.add_typer(group, name="audit")


def verify(
    export_file: Annotated[
        Path | None, typer.Option("--export", help="Verify this export instead of the hub's database.")
    ] = None,
    public_key: Annotated[Path | None, typer.Option(help="The ledger's public key; default: the data folder's.")] = None,
    published: Annotated[Path | None, typer.Option(help="The folder of published checkpoints, or a copy of it.")] = None,
    as_json: Json = False,
) -> None:
    """Verify the ledger."""
    from exchange.settings import load_settings
    from exchange.trust.export import DatabaseEvidence, ExportEvidence
    from exchange.trust.verify import read_public_key
    from exchange.trust.verify import verify as do_verify
    from schemas.errors import Fault, RejectedError

    alone = export_file is not None and public_key is not None
    settings = None if alone else load_settings()
    if settings is not None:
        public_key = public_key or settings.keys_dir / "ledger.pub"
        if export_file is None:
            published = published or settings.checkpoints_dir
    assert public_key is not None
    try:
        key = read_public_key(public_key.read_bytes(), str(public_key))
    except OSError as error:
        raise RejectedError(
            f"the public key cannot be read: {error.strerror}",
            code="audit.public_key",
            where=str(public_key),
            remedy="give the hub's ledger.pub with --public-key",
            fault=Fault.CLIENT,
        ) from error
    if published is not None and export_file is not None and not published.is_dir():
        raise RejectedError(
            "there is no such folder of published checkpoints", code="audit.published", where=str(published), fault=Fault.CLIENT
        )
    with progress("verifying the ledger", quiet=as_json):
        if export_file is not None:
            verdict = do_verify(ExportEvidence(export_file), key, published)
        else:
            assert settings is not None
            with DatabaseEvidence.open(_connect(settings)) as evidence:
                verdict = do_verify(evidence, key, published)
    show(_value(verdict, published), as_json=as_json, text=lambda: _text(verdict, published))
    if not verdict.intact:
        raise typer.Exit(1)


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    as_json: Json = False,
) -> None:
    """Export the ledger."""
    from exchange.settings import load_settings
    from exchange.trust.export import export as do_export

    settings = load_settings()
    with progress("exporting the ledger", quiet=as_json):
        records, checkpoints = do_export(_connect(settings), output, settings.the_clock.now())
    public_key = settings.keys_dir / "ledger.pub"
    show(
        {"file": output, "records": records, "checkpoints": checkpoints, "public_key": public_key},
        as_json=as_json,
        text=f"{output}: {records:,} records, {checkpoints:,} checkpoints; verify it with the public key {public_key}",
    )


def show_records(
    n: Annotated[int, typer.Option("--n", min=1, max=10_000, help="How many records at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the newest records."""
    import json

    from exchange.settings import load_settings
    from exchange.trust.export import DatabaseEvidence

    with DatabaseEvidence.open(_connect(load_settings())) as evidence:
        lines = evidence.newest(n)
    # A record that an intruder wrote need not be JSON: verify names it, show goes on.
    records = [
        json.loads(line.record) | {"hash": line.hash.hex()}
        if _is_json(line.record)
        else {"chain": line.chain, "n": line.n, "kind": "unreadable"}
        for line in lines
    ]

    def text() -> Any:
        columns = ["at", "kind", "outcome", "principal", "resource", "case", "purpose", "reason", "chain", "n"]
        return (
            table(columns, [[record.get(c, "") for c in columns] for record in records]) if records else "the ledger is empty"
        )

    show(records, as_json=as_json, text=text)


def _connect(settings: Settings) -> Any:
    from exchange.bootstrap import open_hub

    return open_hub(settings).connect


def _is_json(data: bytes) -> bool:
    import json

    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


def _value(verdict: Verdict, published: Path | None) -> dict[str, Any]:
    return {
        "intact": verdict.intact,
        "records": verdict.records,
        "chains": verdict.chains,
        "checkpoints": verdict.checkpoints,
        "unsealed": verdict.unsealed,
        "published": published,
        "first": verdict.first,
        "faults": verdict.faults,
    }


def _text(verdict: Verdict, published: Path | None) -> str:
    counts = f"{verdict.records:,} records in {verdict.chains:,} chains, {verdict.checkpoints:,} checkpoints"
    lines = [f"{'intact' if verdict.intact else 'NOT intact'}: {counts}, {verdict.unsealed:,} records not sealed yet"]
    if published is None:
        lines.append(
            "  not compared with published checkpoints: a tail cut together with its checkpoints is not seen (--published)"
        )
    else:
        lines.append(f"  compared with what was published in {published}")
    lines += [f"  {fault}" for fault in verdict.faults]
    return "\n".join(lines)
