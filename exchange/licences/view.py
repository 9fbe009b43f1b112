"""What a look-up must know before it asks the store: grants, principals, contracts and accepted licence types, in memory.

It is read again whenever the registry's version changes, and closed when the registry has not been reached for 5 s: a grant
that was revoked meanwhile would otherwise go on allowing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from catalog_registry.records import PrincipalRecord
from catalog_registry.registry import Registry
from catalog_registry.store.change import CHANNEL
from exchange.trust.grant import GrantIndex
from schemas.contract import DataContract
from schemas.errors import OneDoorError, TransientError

CLOSED_AFTER_S: Final = 5.0
POLL_S: Final = 1.0

Log = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Known:
    """The registry at one version."""

    version: int = -1
    grants: GrantIndex = field(default_factory=lambda: GrantIndex((), ()))
    principals: Mapping[str, PrincipalRecord] = field(default_factory=dict)
    cases: tuple[DataContract, ...] = ()
    licences: tuple[DataContract, ...] = ()
    accepted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Item code → licence types that one of its materials accepts."""


def load(registry: Registry) -> Known:
    """Read the registry. The version is read first: a change that comes between is seen again at the next look."""
    version = registry.version()
    published = [r for r in registry.resources() if r.state == "published"]
    contracts = [r.contract for r in published]
    accepted = {
        item: frozenset(kind for kinds in materials.values() for kind in kinds)
        for item, materials in registry.item_licence_types().items()
    }
    return Known(
        version,
        GrantIndex(registry.grants(), [r.name for r in published], version),
        {p.id: p for p in registry.principals()},
        tuple(c for c in contracts if c.case_role is not None),
        tuple(c for c in contracts if c.licence_role is not None),
        accepted,
    )


class RegistryView:
    """Keeps ``known`` current in one event loop."""

    def __init__(self, url: str, registry: Registry, log: Any) -> None:
        self.known = Known()
        self.as_of: dict[str, datetime] = {}
        """Resource → the instant as of which its serving table holds, of the last proved run."""
        self._url = url
        self._registry = registry
        self._log = log
        self._contact = float("-inf")
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow the registry."""
        self._task = asyncio.create_task(self._follow(), name="registry-view")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def refuse_if_stale(self) -> None:
        """Raise ``TransientError`` (``registry.away``) where the registry was not reached for 5 s."""
        if time.monotonic() - self._contact > CLOSED_AFTER_S:
            raise TransientError(
                "the registry cannot be reached, so no grant can be trusted",
                code="registry.away",
                remedy="see `onedoor doctor`",
            )

    def current(self, principal: str) -> PrincipalRecord | None:
        """Return a principal as the registry has it now."""
        return self.known.principals.get(principal)

    async def _follow(self) -> None:
        while True:
            try:
                connection = await asyncpg.connect(self._url, timeout=5)
                try:
                    await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
                    while True:
                        await self._look(connection)
                        self._wake.clear()
                        try:
                            await asyncio.wait_for(self._wake.wait(), POLL_S)
                        except TimeoutError:
                            continue
                finally:
                    connection.terminate()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, OneDoorError) as error:
                self._log.warning("the registry cannot be reached", error=type(error).__name__)
                await asyncio.sleep(POLL_S)

    async def _look(self, connection: asyncpg.Connection[Any]) -> None:
        asked = time.monotonic()
        version = await connection.fetchval("SELECT value FROM registry.version", timeout=3)
        if version != self.known.version:
            self.known = await asyncio.to_thread(load, self._registry)
        rows = await connection.fetch(
            """SELECT DISTINCT ON (resource) resource, as_of_first FROM exchange.run WHERE state = 'proved'
               ORDER BY resource, ended_at DESC""",
            timeout=3,
        )
        self.as_of = {row["resource"]: row["as_of_first"] for row in rows if row["as_of_first"] is not None}
        self._contact = asked
