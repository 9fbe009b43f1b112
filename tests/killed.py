"""Commands run in processes of their own, which a test kills or freezes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TypeVar

import psutil

from exchange.settings import Settings

_FORKS = multiprocessing.get_context("forkserver")
# Imports take seconds and are the same each time. Nothing of exchange is among them: it reads its crash points when imported.
_FORKS.set_forkserver_preload(
    [
        "adbc_driver_manager._reader",
        "adbc_driver_postgresql.dbapi",
        "catalog_registry.registry",
        "connectors.impl.postgres.client",
        "cryptography.hazmat.primitives.ciphers.aead",
        "kafka",
        "pgpq",
        "pydantic_settings",
        "quality.gate",
        "schemas.conform",
        "structlog",
        "typer",
    ]
)

_Found = TypeVar("_Found")


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment that gives a process these settings."""
    values = {
        name: str(getattr(settings, name).get_secret_value() if hasattr(getattr(settings, name), "get_secret_value") else value)
        for name in settings.model_fields_set
        if (value := getattr(settings, name)) is not None
    }
    return {f"ONEDOOR_{name.upper()}": value for name, value in values.items()}


@dataclass
class Command:
    """``onedoor ARGUMENTS`` in a process of its own, under its own environment; its words go to ``log``."""

    settings: Settings
    arguments: Sequence[str]
    more: Mapping[str, str]
    log: Path
    _process: ForkServerProcess = field(init=False)

    def __post_init__(self) -> None:
        environment = environment_of(self.settings) | dict(self.more)
        self._process = _FORKS.Process(target=_run, args=(list(self.arguments), environment, str(self.log)), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process.pid is not None
        return self._process.pid

    def ended(self, timeout_s: float = 60.0) -> int:
        """Return its exit code, negative for a signal, once it has ended."""
        self._process.join(timeout_s)
        assert self._process.exitcode is not None, f"still at work after {timeout_s} s: {self.log.read_text()[-2000:]}"
        return self._process.exitcode

    def frozen(self, timeout_s: float = 60.0) -> bool:
        """Return once it stands still at its freeze point."""
        return eventually(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED, timeout_s)

    def go_on(self) -> None:
        """Let a frozen process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        if self._process.is_alive():
            os.kill(self.pid, signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._process.is_alive():
            os.kill(self.pid, signal.SIGKILL)
            self._process.join(10)

    def words(self) -> str:
        """Return what it wrote."""
        return self.log.read_text()


def _run(arguments: list[str], environment: dict[str, str], log: str) -> None:
    os.environ.update(environment)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    from console.cli.main import main

    main(arguments)


def eventually(found: Callable[[], _Found], timeout_s: float = 30.0) -> _Found:
    """Return the first answer that is true; the last one where none is in time."""
    deadline = monotonic() + timeout_s
    pause = Event()
    while True:
        answer = found()
        if answer or monotonic() > deadline:
            return answer
        pause.wait(0.05)
