"""What the command line prints, and how it ends."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from console.cli import output
from console.cli.main import build
from schemas.errors import DeniedError, Fault, OneDoorError, RejectedError
from schemas.secret import Secret


def _app(error: Exception | None = None) -> typer.Typer:
    app = typer.Typer()

    @app.callback()
    def top() -> None: ...

    @app.command()
    def go(as_json: output.Json = False) -> None:
        if error is not None:
            raise error
        output.show({"at": datetime(2026, 11, 2, tzinfo=UTC), "name": "曲江", "key": Secret("hidden")}, as_json=as_json)

    return app


def test_json_is_the_answer_and_secrets_do_not_print(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.run(_app(), ["go", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == {"at": "2026-11-02T00:00:00+00:00", "name": "曲江", "key": "Secret(…)"}


def test_a_person_sees_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.run(_app(), ["go"]) == 0
    assert capsys.readouterr().out.splitlines() == ["at: 2026-11-02T00:00:00+00:00", "name: 曲江", "key: Secret(…)"]


def test_an_error_is_one_line_with_what_where_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    error = RejectedError(
        "the table is gone\nreally", code="source.table", where="divisions", remedy="ask its owner", fault=Fault.PROVIDER
    )
    assert output.run(_app(error), ["go"]) == 1
    assert capsys.readouterr().err == "error: the table is gone really (at divisions); ask its owner\n"


def test_an_error_with_json_is_a_problem_document(capsys: pytest.CaptureFixture[str]) -> None:
    error = DeniedError("no grant", code="grant.none", fault=Fault.CLIENT)
    assert output.run(_app(error), ["go", "--json"]) == 1
    assert json.loads(capsys.readouterr().err) == {
        "type": "urn:onedoor:problem:grant.none",
        "title": "not allowed",
        "detail": "no grant",
        "code": "grant.none",
        "fault": "client",
    }


def test_every_kind_of_error_has_a_title() -> None:
    kinds = {kind.kind for kind in OneDoorError.__subclasses__()}
    assert kinds == set(output.TITLES)


def test_an_unexpected_error_shows_its_type_and_never_its_message(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDOOR_HOME", str(tmp_path))
    assert output.run(_app(ValueError("row 440205199001011234")), ["go"]) == 1
    said = capsys.readouterr().err
    log = (tmp_path / "logs" / "cli.log").read_text("utf-8")
    assert "unexpected ValueError" in said
    assert str(tmp_path / "logs" / "cli.log") in said
    assert "in go" in log
    assert "440205199001011234" not in said + log


@pytest.mark.parametrize("argv", [["nope"], ["go", "--nope"]])
def test_wrong_usage_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert output.run(_app(), argv) == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_wrong_usage_with_json_is_a_problem_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.run(_app(), ["nope", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "cli.usage"


def _printed(columns: int, rows: list[tuple[str, ...]]) -> list[str]:
    from rich.console import Console

    with (console := Console(width=columns, file=io.StringIO())).capture() as kept:
        console.print(output.table(("application", "fields", "made"), rows))
    return [line.rstrip() for line in kept.get().splitlines() if line.strip()]


def test_a_list_that_does_not_fit_the_terminal_is_a_block_of_lines_for_each_row() -> None:
    rows = [("a01m6cwacm06h4yrfjgdy41", "licence_identifier, name", "2026-11-26"), ("a02", "state", "")]
    wide = _printed(80, rows)
    assert wide[2].split("   ")[0].strip() == "a01m6cwacm06h4yrfjgdy41"
    assert [line.split() for line in _printed(40, rows)] == [
        ["application", "a01m6cwacm06h4yrfjgdy41"],
        ["fields", "licence_identifier,", "name"],
        ["made", "2026-11-26"],
        ["application", "a02"],
        ["fields", "state"],
    ]


def test_every_command_takes_json_and_shows_an_example() -> None:
    faults = []
    todo: list[tuple[str, typer.Typer]] = [("onedoor", build())]
    while todo:
        path, app = todo.pop()
        todo += [(f"{path} {group.name}", group.typer_instance) for group in app.registered_groups if group.typer_instance]
        for command in app.registered_commands:
            if command.callback is None or command.hidden:
                continue
            name = f"{path} {command.name or command.callback.__name__}"
            if "Example:" not in (command.help or command.callback.__doc__ or ""):
                faults.append(f"{name} shows no example")
            daemon = name in {"onedoor worker"}
            if "as_json" not in command.callback.__annotations__ and not daemon:
                faults.append(f"{name} takes no --json")
    assert faults == []


def test_every_example_can_be_pasted_and_names_a_command_with_options_that_there_are() -> None:
    root, faults = typer.main.get_command(build()), []
    todo: list[tuple[str, Any]] = [("onedoor", root)]
    while todo:
        path, command = todo.pop()
        if hasattr(command, "commands"):
            todo += [(f"{path} {name}", member) for name, member in command.commands.items() if not member.hidden]
            continue
        for example in re.findall(r"^ *Example: ((?:.|\n)*?)(?:\n\n|\Z)", command.help or "", re.MULTILINE):
            pasted = example.replace("\\\n", " ").strip()
            if "\n" in pasted:
                faults.append(f"{path}: the example goes over a line's end without \\")
            for part in re.split(r" && | > ", pasted):
                words = shlex.split(part)
                if words[0] != "onedoor":
                    continue  # the file that it goes to, or psql "$(onedoor db url)"
                try:
                    _parsed(root, words[1:])
                except Exception as error:  # noqa: BLE001 - each is a fault to be told
                    if not str(error).endswith("does not exist."):  # a file that only the reader has
                        faults.append(f"{path}: {error}")
    assert faults == []


def _parsed(command: Any, words: list[str]) -> None:
    """Parse the words as the command line would, group by group, and run nothing."""
    context = command.make_context("onedoor", list(words))
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from console.cli.main import build; build();"
        "heavy = {'pandas','pyarrow','airflow','great_expectations','sqlalchemy','psycopg','pydantic','polars','cryptography'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
