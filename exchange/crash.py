"""Named points at which a test ends or freezes a process, to prove that nothing is lost and nothing doubled.

``ONEDOOR_CRASH_AT=<name>[:n]`` kills the process the n-th time that it reaches the point; ``ONEDOOR_FREEZE_AT`` stops it there
until somebody continues it. Both are read once, at import, and are refused in production by ``exchange.bootstrap``.
"""

from __future__ import annotations

import os
import signal
from typing import Final

POINTS: Final = (
    "collect.before_spool",  # rows read, checked and sealed, nothing durable yet
    "collect.in_transaction",  # its file is written or its messages are in the transaction, and nothing is committed
    "collect.after_spool",  # the chunk is durable and its state committed
    "collect.after_publish",  # its messages are on the bus; on Kafka its state does not say so yet
    "collect.before_manifest",  # all chunks are out, the end-of-run messages are not
    "collect.after_manifest",  # the run is collected, nobody was told
    "land.before_transaction",  # messages polled, nothing written
    "land.in_transaction",  # rows and position written, not committed
    "land.after_commit",  # committed, the bus not told
    "close.in_transaction",  # the shadow is swapped or the stage merged, not committed
    "close.after_commit",  # the run is closed, the log not written
)

_hits: dict[str, int] = {}
_CRASH = os.environ.get("ONEDOOR_CRASH_AT", "")
_FREEZE = os.environ.get("ONEDOOR_FREEZE_AT", "")


def armed() -> bool:
    """Say whether a crash or freeze point is set."""
    return bool(_CRASH or _FREEZE)


def reach(name: str) -> None:
    """Pass a point: nothing happens unless it is the one that was set."""
    if not (_CRASH or _FREEZE):
        return
    _hits[name] = _hits.get(name, 0) + 1
    for setting, sig in ((_CRASH, signal.SIGKILL), (_FREEZE, signal.SIGSTOP)):
        point, _, count = setting.partition(":")
        if point == name and _hits[name] == int(count or 1):
            os.kill(os.getpid(), sig)
