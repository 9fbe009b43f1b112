"""The command line as people use it: each command a process of its own, on a home that the test owns."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.local import installation

ONEDOOR = (sys.executable, "-m", "console.cli.main")
_KEPT = ("ONEDOOR_REQUIRE", "ONEDOOR_KAFKA")


@dataclass(frozen=True)
class Said:
    """What a command said and how it left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer as data."""
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        """The error as data: the last line of standard error."""
        return json.loads(self.err.splitlines()[-1])


@dataclass(frozen=True)
class Home:
    """A data folder and the command line on it."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of commands on this home: no other setting of OneDoor comes in."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ONEDOOR_") or k in _KEPT}
        return kept | {"ONEDOOR_HOME": str(self.path), "NO_COLOR": "1"}

    def onedoor(
        self, *argv: str, timeout_s: float = 300, command: Sequence[str] = ONEDOOR, given: str | None = None, **env: str
    ) -> Said:
        """Run a command and return what it said."""
        done = subprocess.run(
            [*command, *argv],
            input=given,
            capture_output=True,
            text=True,
            env=self.environment | env,
            timeout=timeout_s,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def ok(self, *argv: str, **options: Any) -> Any:
        """Run a command with ``--json`` that must do it, and return the answer."""
        said = self.onedoor(*argv, "--json", **options)
        assert said.code == 0, said.err[-2000:]
        return said.json

    def refused(self, *argv: str, **options: Any) -> Any:
        """Run a command with ``--json`` that must be refused, and return the problem."""
        said = self.onedoor(*argv, "--json", **options)
        assert said.code == 1, (said.out + said.err)[-2000:]
        return said.problem


@contextmanager
def a_home() -> Iterator[Home]:
    """Give a home that the account of PostgreSQL reaches; what runs on it is stopped with the block, and it is removed."""
    folder = Path(tempfile.mkdtemp(prefix="onedoor-acceptance-"))
    folder.chmod(0o711)
    home = Home(folder / "home")
    try:
        yield home
    finally:
        if (home.path / "state.json").exists():
            installation.down(home.path)
        shutil.rmtree(folder, ignore_errors=True)
