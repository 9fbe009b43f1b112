"""Kills at each named point, the same on every bus."""

from __future__ import annotations

import signal
from dataclasses import dataclass

import pytest

from tests.installation import Expected, Installation

SPOOL_ONLY = "collect.after_publish"
"""Where the bus joins the chunk's transaction, there is no moment between the two."""


@dataclass(frozen=True)
class Case:
    """A kill: the point, at which pass, and whether of an incremental run of a table with personal fields."""

    point: str
    passing: int
    incremental: bool

    @property
    def by_worker(self) -> bool:
        """Say whether the worker is killed, not the collector."""
        return not self.point.startswith("collect.")

    def __str__(self) -> str:
        return f"{self.point}-{self.passing}-{'incremental' if self.incremental else 'full'}"


CASES = (
    Case("collect.before_spool", 1, False),
    Case("collect.before_spool", 3, True),
    Case("collect.in_transaction", 1, True),
    Case("collect.in_transaction", 3, False),
    Case("collect.after_spool", 1, True),
    Case("collect.after_spool", 3, False),
    Case("collect.after_publish", 1, False),
    Case("collect.after_publish", 3, True),
    Case("collect.before_manifest", 1, False),
    Case("collect.before_manifest", 1, True),
    Case("collect.after_manifest", 1, False),
    Case("collect.after_manifest", 1, True),
    Case("land.before_transaction", 3, True),
    Case("land.in_transaction", 1, False),
    Case("land.in_transaction", 3, True),
    Case("land.after_commit", 1, True),
    Case("land.after_commit", 3, False),
    Case("close.in_transaction", 1, False),
    Case("close.in_transaction", 1, True),
    Case("close.after_commit", 1, False),
    Case("close.after_commit", 1, True),
)


def crash(installation: Installation, case: Case) -> None:
    """Kill once at the point, go on, and see that nothing is lost, doubled or left behind."""
    name = f"t_{case}".replace(".", "_").replace("-", "_")
    expected, number = _prepared(installation, name, case)
    if case.by_worker:
        with installation.command("worker", crash=f"{case.point}:{case.passing}") as worker:
            installation.collect(name)
            assert worker.ended() == -signal.SIGKILL, worker.words()
        with installation.working():
            run = installation.look(name, expected, number)
        assert run.attempt == 1
        return
    with installation.command("collect", name, "--no-wait", crash=f"{case.point}:{case.passing}") as collector:
        assert collector.ended() == -signal.SIGKILL, collector.words()
    cut_short = case.point != "collect.after_manifest"  # from there on the worker goes on without a collector
    ((state,),) = installation.hub.rows("SELECT state FROM exchange.run WHERE resource = %s ORDER BY id DESC LIMIT 1", name)
    assert state == ("collecting" if cut_short else "collected")
    with installation.working():
        if cut_short:
            installation.collect(name)
        run = installation.look(name, expected, number)
    assert run.attempt == (2 if cut_short else 1)
    assert run.mode == ("incremental" if case.incremental else "full")


def _prepared(installation: Installation, name: str, case: Case) -> tuple[Expected, str]:
    if not case.incremental:
        return installation.plain_table(name), "level"
    expected = installation.personal_table(name)
    with installation.working():
        installation.collect(name)
        installation.look(name, expected, "id")
    return installation.changed(name, expected), "id"


def parameters(*, joins_transaction: bool) -> list[object]:
    """Return the cases of a bus as parameters of a test."""
    return [pytest.param(c, id=str(c)) for c in CASES if not (joins_transaction and c.point == SPOOL_ONLY)]
