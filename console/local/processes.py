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


def group_of(pid: int, started: float) -> list[int]:
    """Return what still runs of the group that a process leads, or led before it ended.

    The number of a group with members is given to no other process; one that another process has got meanwhile is not its.

    Args:
        pid: the leader, which was started in a session of its own.
        started: the instant it started at.
    """
    try:
        if abs(psutil.Process(pid).create_time() - started) >= 1:
            return []
    except psutil.NoSuchProcess:
        pass  # it ended and was waited for; its group may live on
    return [member for member, since in _members(pid) if since >= started - 1]


def end(
    pid: int, *, started: float | None = None, sign: signal.Signals = signal.SIGTERM, timeout_s: float = 20, group: bool = True
) -> None:
    """End a process that leads a group of its own: the gentle signal to it, and what is left of the group is killed.

    A leader that ended already leaves its group, which is ended in the same way. A process that has merely got the leader's
    number is left alone.

    Args:
        pid: the leader.
        started: the instant it started at; None: the process that has the number now is meant.
        sign: the gentle signal.
        timeout_s: how long the leader gets, or its group where it ended already.
        group: send the gentle signal to the whole group.
    """
    try:
        since = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        since = None
    if since is not None and started is not None and abs(since - started) >= 1:
        return
    if since is None and started is None:
        return  # whose group that was, nobody knows
    began = started if since is None else since
    assert began is not None
    leads = since is None
    with contextlib.suppress(ProcessLookupError):
        leads = leads or os.getpgid(pid) == pid
    led = alive(pid, started=began)

    def left() -> list[int]:
        return group_of(pid, began) if leads else [pid] if alive(pid, started=began) else []

    if left():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if leads and (group or not led):
                os.killpg(pid, sign)
            elif led:
                os.kill(pid, sign)
    until = time.monotonic() + timeout_s
    while time.monotonic() < until and (alive(pid, started=began) if led else left()):
        _reap(pid)
        time.sleep(0.05)
    if left():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if leads:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while time.monotonic() < until and left():
        _reap(pid)
        time.sleep(0.05)


def _members(group: int) -> list[tuple[int, float]]:
    """Return the processes of a group and when they started; what only waits to be waited for is none."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return []
    except PermissionError:
        pass  # it is another account's; the list below says what it holds
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append((process.pid, process.create_time()))
    return found


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
