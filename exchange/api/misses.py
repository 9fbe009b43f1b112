"""Words that found nothing, on their way to the registry: beside the search, which neither waits for it nor fails with it."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Any, Final

from catalog_registry.registry import Registry
from catalog_registry.search import Miss
from catalog_registry.words import looks_personal
from schemas.errors import OneDoorError

MOST: Final = 1000
"""So many wait at most; what comes on top of them is dropped."""


class Misses:
    """What waits to be kept. The same words of a department between two writes are one miss."""

    def __init__(self, registry: Registry, threads: Executor, log: Any) -> None:
        self._registry = registry
        self._threads = threads
        self._log = log
        self._waiting: dict[tuple[str, str], Miss] = {}

    def add(self, miss: Miss) -> None:
        """Have a miss kept soon. One with what looks like somebody's number is forgotten at once."""
        if len(self._waiting) < MOST and not looks_personal(miss.words):
            self._waiting.setdefault((miss.words, miss.department), miss)

    async def flush(self) -> None:
        """Write what waits. Where that fails it is dropped: it was a hint, not a record."""
        waiting, self._waiting = list(self._waiting.values()), {}
        if not waiting:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._registry.keep_misses, waiting)
        except OneDoorError as error:
            self._log.warning("what was searched and not found is not kept", misses=len(waiting), code=error.code)
