"""Processes of our own: waiting for them, ending them whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from schemas.errors import RejectedError, TransientError

POLL_S = 0.1


def wait_for(
    name: str,
    ready: Callable[[], bool],
    *,
    process: subprocess.Popen[bytes] | None = None,
    log: Path | None = None,
    timeout_s: float = 60,
    poll_s: float = POLL_S,
) -> None:
    """Return when ``ready`` says so.

    Raises:
        RejectedError: the process ended before that; the last line of its log is told.
        TransientError: it took longer than ``timeout_s``.
    """
    until = time.monotonic() + timeout_s
    while not ready():
        if process is not None and process.poll() is not None:
            raise RejectedError(
                f"{name} ended at its start (exit code {process.returncode}): {last_line(log)}",
                code="local.child_ended",
                where=str(log) if log else name,
                remedy="read its log; onedoor doctor",
            )
        if time.monotonic() > until:
            raise TransientError(
                f"{name} is not ready after {timeout_s:.0f} s: {last_line(log)}",
                code="local.child_slow",
                where=str(log) if log else name,
                remedy="read its log; start again",
            )
        time.sleep(poll_s)


def last_line(log: Path | None) -> str:
    """Return the last line of a log, or that there is none."""
    lines: list[str] = []
    if log is not None:
        with contextlib.suppress(OSError):
            lines = log.read_bytes()[-4000:].decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:400] if lines else "its log is empty"


def alive(pid: int, *, started: float | None = None) -> bool:
    """Say whether a process runs, and is the one that started at that instant (another may have got its number)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return started is None or abs(process.create_time() - started) < 1
    except psutil.Error:
        return False


def end(pid: int, *, sign: signal.Signals = signal.SIGTERM, timeout_s: float = 20, group: bool = True) -> None:
    """End a process that leads a group of its own: the gentle signal to it, and what is left of the group is killed.

    Args:
        pid: the leader.
        sign: the gentle signal.
        timeout_s: how long the leader gets.
        group: send the gentle signal to the whole group.
    """
    leads = False
    with contextlib.suppress(ProcessLookupError):
        leads = os.getpgid(pid) == pid
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if group and leads:
            os.killpg(pid, sign)
        else:
            os.kill(pid, sign)
    until = time.monotonic() + timeout_s
    while time.monotonic() < until and alive(pid):
        _reap(pid)
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if leads:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while time.monotonic() < until and alive(pid):
        _reap(pid)
        time.sleep(0.05)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
