"""Keeps the processes of an installation running: started in order, restarted when they end, stopped whole in reverse order."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from console.local.processes import alive, end, group_of, last_line
from schemas.errors import OneDoorError, RejectedError, TransientError

BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
STEADY_S = 60.0
"""A child that lived so long starts again at the shortest back-off."""
LOG_BYTES = 20 << 20


@dataclass(frozen=True)
class Child:
    """A process to keep.

    Args:
        name: names its log and its pid file.
        command: makes its command line; called before every start.
        env: its environment, None for ours.
        ready: says whether it does its work; None where being alive is enough.
        timeout_s: how long it may take to be ready.
        sign: ends it gently.
        patience_s: how long that may take before it is killed.
        account: the system account it runs as, None for ours.
        before: called before every start.
        lead_only: the gentle signal goes to the leader of its group only.
    """

    name: str
    command: Callable[[], Sequence[str]]
    env: Mapping[str, str] | None = None
    ready: Callable[[], bool] | None = None
    timeout_s: float = 60
    sign: signal.Signals = signal.SIGTERM
    patience_s: float = 20
    account: str | None = None
    before: Callable[[], None] | None = None
    lead_only: bool = False


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    started: float
    """When the process was made, by the system's clock: another may get its number once it has ended."""
    since: float
    failures: int = 0
    again_at: float | None = None


@dataclass
class Supervisor:
    """Runs children; every method but ``stop`` is called from one thread."""

    run_dir: Path
    logs_dir: Path
    say: Callable[[str], None] = lambda _: None
    _running: list[_Running] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watch: threading.Thread | None = None

    def start(self, *children: Child) -> None:
        """Start children together and return when all are ready.

        Raises:
            RejectedError: one ended at its start; the last line of its log is told.
            TransientError: one is not ready in time.
        """
        started = []
        for child in children:
            self._end_leftover(child)
            running = _Running(child, *self._spawn(child), time.monotonic())
            with self._lock:
                self._running.append(running)
            started.append(running)
        waiting = [r for r in started if r.child.ready is not None]
        while waiting:
            for running in list(waiting):
                child = running.child
                if child.ready is not None and child.ready():
                    waiting.remove(running)
                elif running.process.poll() is not None:
                    raise RejectedError(
                        f"{child.name} ended at its start: {last_line(self.log(child.name))}",
                        code="local.child_ended",
                        where=str(self.log(child.name)),
                        remedy="read its log; onedoor doctor",
                    )
                elif time.monotonic() - running.since > child.timeout_s:
                    raise TransientError(
                        f"{child.name} is not ready after {child.timeout_s:.0f} s: {last_line(self.log(child.name))}",
                        code="local.child_slow",
                        where=str(self.log(child.name)),
                        remedy="read its log; start again",
                    )
            if waiting and self._stopping.wait(0.1):
                return

    def watch(self) -> None:
        """Begin to restart children that end, in a thread of its own."""
        self._watch = threading.Thread(target=self._keep, name="supervisor", daemon=True)
        self._watch.start()

    def stop(self) -> None:
        """Stop all children in reverse order, each with its whole process group; what was not started is no error."""
        self._stopping.set()
        if self._watch is not None:
            self._watch.join(10)
        with self._lock:
            running, self._running = self._running[::-1], []
        for one in running:
            self._end(one, one.child.patience_s)
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.process.wait(5)
            self._pid_file(one.child.name).unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        """Return where a child's output goes."""
        return self.logs_dir / f"{name}.log"

    def _keep(self) -> None:
        while not self._stopping.wait(0.5):
            with self._lock:
                ended = [one for one in self._running if one.process.poll() is not None]
            for one in ended:
                self._again(one)

    def _again(self, one: _Running) -> None:
        now = time.monotonic()
        if one.again_at is None:
            if now - one.since > STEADY_S:
                one.failures = 0
            wait_s = BACKOFF_S[min(one.failures, len(BACKOFF_S) - 1)]
            one.failures += 1
            one.again_at = now + wait_s
            self.say(f"{one.child.name} ended (exit code {one.process.returncode}); starts again in {wait_s:.0f} s")
        elif now >= one.again_at:
            self._end(one, 2)  # what is left of its group
            try:
                one.process, one.started = self._spawn(one.child)
            except (OSError, OneDoorError) as error:
                self.say(f"{one.child.name} does not start: {type(error).__name__}")
                one.again_at = now + BACKOFF_S[-1]
                return
            one.since, one.again_at = now, None

    def _end(self, one: _Running, timeout_s: float) -> None:
        end(one.process.pid, started=one.started, sign=one.child.sign, timeout_s=timeout_s, group=not one.child.lead_only)

    def _spawn(self, child: Child) -> tuple[subprocess.Popen[bytes], float]:
        """Start a child and return it with the instant it started at."""
        if child.before is not None:
            child.before()
        log = self.log(child.name)
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as out:
            process = subprocess.Popen(
                list(child.command()),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=None if child.env is None else dict(child.env),
                user=child.account,
                group=_group(child.account),
                extra_groups=[] if child.account else None,
                cwd="/" if child.account else None,
                start_new_session=True,
            )
        started = psutil.Process(process.pid).create_time()  # it is there, ended or not, until it is waited for
        self._pid_file(child.name).write_text(json.dumps({"pid": process.pid, "started": started}), "utf-8")
        return process, started

    def _end_leftover(self, child: Child) -> None:
        """End what a supervisor that was killed left behind."""
        if end_recorded(self._pid_file(child.name), sign=child.sign, timeout_s=child.patience_s, group=not child.lead_only):
            self.say(f"{child.name} was left by an earlier start; it was ended first")
        self._pid_file(child.name).unlink(missing_ok=True)

    def _pid_file(self, name: str) -> Path:
        return self.run_dir / f"{name}.pid"


def read_pid(path: Path) -> int | None:
    """Return the process id in a pid file if that very process runs, else None."""
    known = _known(path)
    return known[0] if known is not None and alive(known[0], started=known[1]) else None


def end_recorded(path: Path, *, sign: signal.Signals = signal.SIGTERM, timeout_s: float = 30, group: bool = True) -> bool:
    """End what is left of the process in a pid file and of its group, as ``processes.end``; say whether there was anything."""
    known = _known(path)
    if known is None or not (alive(known[0], started=known[1]) or group_of(*known)):
        return False
    end(known[0], started=known[1], sign=sign, timeout_s=timeout_s, group=group)
    return True


def _known(path: Path) -> tuple[int, float] | None:
    try:
        known = json.loads(path.read_text("utf-8"))
        return int(known["pid"]), float(known["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _group(account: str | None) -> int | None:
    if account is None:
        return None
    import pwd

    return pwd.getpwnam(account).pw_gid
