"""Waiting until a run is landed and proved."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from exchange.store import runs
from exchange.store.database import translated
from exchange.store.runs import Run
from schemas.errors import TransientError

if TYPE_CHECKING:
    from exchange.bootstrap import Hub


def wait(hub: Hub, run_id: str, *, timeout_s: float, told: Callable[[Run], None] | None = None) -> Run:
    """Return the run once it is closed, proved or failed.

    Args:
        hub: the wired hub.
        run_id: a run.
        timeout_s: real seconds to wait at most.
        told: told of the run each time that it was looked at.

    Raises:
        TransientError: it was not closed in time (``run.not_closed``), and what it waits for.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = 0.02
    with translated(), hub.connect(autocommit=True) as connection:
        while True:
            run = runs.get_run(connection, run_id)
            if run.state not in runs.OPEN:
                return run
            if told is not None:
                told(run)
            if time.monotonic() > deadline:
                waits = run.error["message"] if run.error else "is a worker running? see `onedoor status`"
                raise TransientError(
                    f"the run is {run.state} and was not closed within {timeout_s:.0f} s: {waits}",
                    code="run.not_closed",
                    where=f"run {run_id}",
                )
            time.sleep(pause_s)
            pause_s = min(0.1, pause_s * 1.3)
