"""Bad input on the command line: one clear line with what, where and what to do; a problem with --json; never a secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from console.cli import main, output
from exchange.settings import Settings
from tests.contract_text import contract_text
from tests.hub import PEOPLE_TABLE

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True)
class Said:
    """What a command said and how it left."""

    code: int
    out: str
    err: str


Onedoor = Callable[..., Said]


@pytest.fixture
def onedoor(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Onedoor:
    """The command line on a migrated hub database, without a worker."""
    monkeypatch.setenv("ONEDOOR_HOME", str(settings.home))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", settings.database_url)
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> Said:
        capsys.readouterr()
        code = output.run(main.build(), argv)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def people(onedoor: Onedoor, empty_db: str, tmp_path: Path) -> str:
    """The URL of a source whose table ``people`` is registered."""
    with psycopg.connect(empty_db) as connection:
        connection.execute(PEOPLE_TABLE)
        connection.execute("ALTER TABLE people ADD PRIMARY KEY (id)")
        connection.execute("INSERT INTO people SELECT n, 'n', 'i', 't', '2026-01-01Z' FROM generate_series(1, 50) n")
    assert onedoor("source", "add", "civil", "--url", empty_db).code == 0
    assert onedoor("draft", "--source", "civil", "--table", "people", "-o", "people.yaml").code == 0
    file = tmp_path / "people.yaml"
    file.write_text(_confirmed(file.read_text("utf-8")), "utf-8")
    said = onedoor("resource", "register", "people.yaml")
    assert said.code == 0, said.err
    return empty_db


def _confirmed(text: str) -> str:
    import yaml

    document = yaml.safe_load(text)
    for field in document["schema"][0]["properties"]:
        field["customProperties"] = [t for t in field.get("customProperties", []) if t["property"] != "onedoor.confirm"]
    return str(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))


def told(onedoor: Onedoor, *argv: str, secret: str = "planted-secret") -> dict[str, Any]:
    """Run a command both ways; hold that it exits 1 with one line, and return its problem."""
    text, data = onedoor(*argv), onedoor(*argv, "--json")
    assert (text.code, data.code) == (1, 1), text.out + text.err + data.err
    lines = text.err.splitlines()
    assert len(lines) == 1, text.err
    assert lines[0].startswith("error: ")
    problem: dict[str, Any] = json.loads(data.err)
    assert problem["type"] == f"urn:onedoor:problem:{problem['code']}"
    assert " ".join(problem["detail"].split()) in lines[0]
    for said in (text, data):
        assert secret not in said.out + said.err
        assert "Traceback" not in said.out + said.err
    assert "unexpected" not in problem["code"]
    return problem


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("postgresql://reader:planted-secret@127.0.0.1:1/none", "127.0.0.1"),
        ("postgresql://reader:planted-secret@nowhere.invalid:5432/none", "nowhere.invalid"),
        ("nonsense://reader:planted-secret@127.0.0.1/none", "nonsense"),
        ("no url at all", ""),
        ("postgresql://reader:planted-secret@127.0.0.1:port/none", ""),
    ],
)
def test_a_wrong_url_of_a_source_is_told_without_its_password_and_nothing_is_kept(
    onedoor: Onedoor, url: str, word: str
) -> None:
    problem = told(onedoor, "source", "add", "wrong", "--url", url)
    assert word in json.dumps(problem)
    assert json.loads(onedoor("source", "list", "--json").out) == []


def test_a_wrong_password_is_told_without_it(onedoor: Onedoor, empty_db: str) -> None:
    password = str(psycopg.conninfo.conninfo_to_dict(empty_db)["password"])
    problem = told(onedoor, "source", "add", "wrong", "--url", empty_db.replace(password, "planted-secret"))
    assert "password" in problem["detail"]
    assert json.loads(onedoor("source", "list", "--json").out) == []


def test_a_table_that_is_gone_is_named_and_the_run_after_it_is_back_goes_on(onedoor: Onedoor, people: str) -> None:
    with psycopg.connect(people, autocommit=True) as source:
        source.execute("ALTER TABLE people RENAME TO persons")
        assert "people" in json.dumps(told(onedoor, "collect", "people", "--no-wait"))
        assert "people" in json.dumps(told(onedoor, "reconcile", "people"))
        assert "people" in json.dumps(told(onedoor, "draft", "--source", "civil", "--table", "people", "-o", "x.yaml"))
        source.execute("ALTER TABLE persons RENAME TO people")
    run = json.loads(onedoor("collect", "people", "--no-wait", "--json").out)
    assert (run["state"], run["rows_read"]) == ("collected", 50)


def test_every_error_of_a_contract_is_told_with_its_line(onedoor: Onedoor, tmp_path: Path) -> None:
    text = contract_text("tree", source="none")
    file = tmp_path / "bad.odcs.yaml"
    lines = text.splitlines()
    wrong = [n for n, line in enumerate(lines, 1) if "logicalType:" in line][-2:]
    for n in wrong:
        lines[n - 1] = lines[n - 1].partition("logicalType:")[0] + "logicalType: nonsense"
    file.write_text("\n".join(lines), "utf-8")
    problem = told(onedoor, "resource", "register", str(file))
    assert problem["code"] == "contract.invalid"
    for n in wrong:
        assert f"line {n}" in problem["detail"]
    file.write_text("{[", "utf-8")
    assert "line 1" in told(onedoor, "resource", "register", str(file))["detail"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("api_port = nope\n", "line 1"),
        ("api_prot = 80", "api_prot"),
        ('api_port = "planted-secret"', "api_port"),
        ("bus = 'rabbit'", "bus"),
    ],
)
@pytest.mark.parametrize("argv", [("runs",), ("collect", "people"), ("audit", "verify")])
def test_a_broken_settings_file_is_named_with_what_is_wrong(
    onedoor: Onedoor, settings: Settings, content: str, word: str, argv: tuple[str, ...]
) -> None:
    (settings.home / "onedoor.toml").write_text(content, "utf-8")
    problem = told(onedoor, *argv)
    assert "onedoor.toml" in problem["detail"] + problem["where"]
    assert word in problem["detail"]
    assert problem["remedy"]


def test_a_hub_that_was_never_started_says_how_to_start_it(onedoor: Onedoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDOOR_DATABASE_URL")
    for argv in (
        ("runs",),
        ("collect", "x"),
        ("reconcile", "x"),
        ("quarantine", "list"),
        ("source", "list"),
        ("audit", "show"),
    ):
        problem = told(onedoor, *argv)
        assert "onedoor up" in problem["remedy"], argv


def test_a_hub_whose_database_is_away_says_so_without_its_password(onedoor: Onedoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", "postgresql://onedoor:planted-secret@127.0.0.1:1/onedoor")
    for argv in (("runs",), ("collect", "x"), ("source", "list"), ("audit", "show")):
        assert told(onedoor, *argv)["title"] == "not possible now", argv


@pytest.mark.parametrize(
    "argv",
    [
        ("collect", "nothing"),
        ("collect", "no such name!"),
        ("reconcile", "nothing"),
        ("resource", "show", "nothing"),
        ("resource", "register", "nothing.yaml"),
        ("show", "r-none"),
        ("quarantine", "show", "q-none"),
        ("source", "show", "nothing"),
        ("draft", "--source", "nothing", "--table", "t", "-o", "t.yaml"),
    ],
)
def test_what_is_not_there_is_named(onedoor: Onedoor, argv: tuple[str, ...]) -> None:
    problem = told(onedoor, *argv)
    name = next(a for a in argv[1:] if a not in ("show", "register", "--source"))
    assert name in json.dumps(problem, ensure_ascii=False)


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("nonsense",),
        ("collect",),
        ("collect", "people", "--timeout", "soon"),
        ("runs", "--limit", "0"),
        ("runs", "--limit", "-1"),
        ("quarantine", "list", "--limit", "x"),
        ("quarantine", "show", "q", "--reveal"),
        ("reconcile", "people", "--reveal", "--reason", "  "),
        ("up", "--bus", "rabbit"),
        ("up", "--scale", "0"),
    ],
)
def test_a_wrong_use_exits_2(onedoor: Onedoor, argv: tuple[str, ...]) -> None:
    said = onedoor(*argv)
    assert said.code == 2
    if argv:
        assert len(said.err.splitlines()) == 1
        assert said.err.startswith("usage: ")
        data = onedoor(*argv, "--json")
        assert (data.code, json.loads(data.err)["code"]) == (2, "cli.usage")


def test_a_value_that_is_no_cursor_is_refused(onedoor: Onedoor, people: str) -> None:
    problem = told(onedoor, "collect", "people", "--no-wait", "--since", "yesterday")
    assert "cursor" in json.dumps(problem)


def test_nobody_to_land_is_told_in_time_and_the_run_goes_on_later(onedoor: Onedoor, people: str) -> None:
    problem = told(onedoor, "collect", "people", "--timeout", "0.2")
    assert problem["code"] == "run.not_closed"
    assert "worker" in problem["detail"]
    runs = json.loads(onedoor("runs", "--json").out)
    assert [(r["state"], r["rows_read"]) for r in runs] == [("collected", 50)]


def test_ctrl_c_during_collect_exits_1_with_a_word_and_the_next_collect_goes_on_with_the_run(
    onedoor: Onedoor, people: str, settings: Settings
) -> None:
    with psycopg.connect(people) as holder:
        holder.execute("LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-m", "console.cli.main", "collect", "people", "--no-wait"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(main.__file__).parents[2])},
        )
        _until(lambda: _waiting(people))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    assert len(err.splitlines()) == 1, err
    assert err.startswith("stopped")
    assert out == ""
    before = json.loads(onedoor("runs", "people", "--json").out)
    run = json.loads(onedoor("collect", "people", "--no-wait", "--json").out)
    assert (run["state"], run["rows_read"]) == ("collected", 50)
    assert [r["run"] for r in before] in ([], [run["run"]])


def _waiting(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE NOT l.granted AND d.datname = current_database()"
        ).fetchone()
    return bool(found and found[0])


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)
