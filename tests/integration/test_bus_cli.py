"""An operator looks at the bus and has a partition read again, by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from console.cli import main, output
from exchange.bus.api import Message
from exchange.bus.postgres import PostgresBus
from schemas.clock import FakeClock

TOPIC = "onedoor.440205.licences"
Onedoor = Callable[..., tuple[int, Any]]


@pytest.fixture
def onedoor(hub_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Onedoor:
    monkeypatch.setenv("ONEDOOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", hub_db)
    bus = PostgresBus(hub_db, FakeClock(datetime(2026, 11, 2, 1, tzinfo=UTC)))
    bus.ensure_topic(TOPIC, 2)
    bus.publish([Message(TOPIC, 1, None, {"ce_id": str(n)}, b"a secret value") for n in range(3)])
    bus.close()

    def run(*argv: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = output.run(main.build(), ["bus", *argv, "--json"])
        said = capsys.readouterr()
        assert "a secret value" not in said.out + said.err
        return code, json.loads(said.out if code == 0 else said.err.splitlines()[-1])

    return run


def test_topics_and_their_backlog_are_listed(onedoor: Onedoor) -> None:
    code, topics = onedoor("topics")
    assert (code, topics[0]["topic"], topics[0]["partitions"], topics[0]["bytes"]) == (0, TOPIC, 2, 42)
    code, rows = onedoor("backlog")
    assert code == 0
    assert [(row["partition"], row["waiting"]) for row in rows] == [(0, 0), (1, 3)]


def test_headers_are_shown_and_values_are_not(onedoor: Onedoor) -> None:
    code, rows = onedoor("headers", TOPIC, "--partition", "1", "--from", "1")
    assert code == 0
    assert [(row["offset"], row["bytes"], row["headers"]) for row in rows] == [(1, 14, {"ce_id": "1"}), (2, 14, {"ce_id": "2"})]
    code, problem = onedoor("headers", TOPIC, "--from", "9")
    assert (code, problem["code"]) == (1, "bus.out_of_range")
    code, problem = onedoor("backlog", "no.such.topic")
    assert (code, problem["code"]) == (1, "bus.no_topic")


def test_a_replay_sets_the_position_within_what_is_kept(onedoor: Onedoor, hub_db: str) -> None:
    code, answer = onedoor("replay", TOPIC, "--partition", "1", "--from", "3")
    assert (code, answer["before"], answer["position"]) == (0, None, 3)
    code, answer = onedoor("replay", TOPIC, "--partition", "1", "--from", "1")
    assert (code, answer["before"], answer["position"]) == (0, 3, 1)
    code, problem = onedoor("replay", TOPIC, "--partition", "1", "--from", "4")
    assert (code, problem["code"]) == (1, "bus.out_of_range")
    with psycopg.connect(hub_db) as connection:
        row = connection.execute(
            "SELECT p.next, p.topic_id = t.id::text FROM exchange.position p JOIN bus.topic t ON t.name = p.topic"
        ).fetchall()
    assert row == [(1, True)]
