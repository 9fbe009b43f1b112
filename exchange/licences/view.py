"""What a look-up must know before it asks the store: grants, principals, tables and accepted licence types, in memory.

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

from catalog_registry.following import Published
from catalog_registry.records import PrincipalRecord
from catalog_registry.registry import Registry
from catalog_registry.store.change import CHANNEL
from exchange.licences.grouped import DRIVER, Place
from exchange.trust.grant import GrantIndex
from schemas.contract import CaseRole, DataContract, Field, LicenceRole
from schemas.errors import OneDoorError, TransientError
from schemas.landed import key_columns, lookup_column, lookup_fields

CLOSED_AFTER_S: Final = 5.0
POLL_S: Final = 1.0
WHOLE_AFTER_S: Final = 60.0
"""The first change so long after all was read has all read again, whatever it tells of itself."""

_FOLLOWED: Final = ("resource", "grant", "principal", "item")
_OF_NO_MATTER: Final = (
    *("application", "catalogue", "department", "system", "source", "correction", "demand", "notice", "revision"),
    *("withdrawal", "reminder", "escalated", "outcome", "destruction", "export", "harvest", "licence_type"),
)
"""Kinds of events: those whose subjects are read again, and those that change nothing of what is known here."""

_TIMEOUT_S: Final = 3.0
_MOST_CONTRACTS: Final = 1024

# One statement, so that the table and the run it was made by are of one instant.
_SERVED: Final = """
SELECT n.name, c.oid, r.contract_version, r.as_of_first
FROM unnest($1::text[]) AS n (name)
JOIN pg_class c ON c.relname = n.name::name AND c.relnamespace = 'store'::regnamespace
CROSS JOIN LATERAL (SELECT contract_version, as_of_first FROM exchange.run
                    WHERE resource = n.name AND state = 'proved' ORDER BY started_at DESC LIMIT 1) r
"""


@dataclass(frozen=True, slots=True)
class Known:
    """The registry at one version."""

    version: int = -1
    grants: GrantIndex = field(default_factory=lambda: GrantIndex((), ()))
    principals: Mapping[str, PrincipalRecord] = field(default_factory=dict)
    cases: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    """Published resources with the role, by name."""
    accepted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Item code → licence types that one of its materials accepts."""
    event: int = 0
    """The last event of the registry that was surely seen."""


@dataclass(frozen=True, slots=True)
class Served:
    """A serving table: its identity, the contract its rows landed under, the instant as of which it holds."""

    oid: int
    contract: DataContract
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class CaseTable:
    """A serving table of the role ``case``, and where its cases are read."""

    contract: DataContract
    role: CaseRole
    holder: Field
    place: Place


@dataclass(frozen=True, slots=True)
class LicenceTable:
    """A serving table of the role ``licence``, and where a holder's licences are read."""

    contract: DataContract
    role: LicenceRole
    holder: Field
    place: Place
    key: tuple[str, ...]
    sealed: bool
    as_of: datetime | None


def load(registry: Registry) -> Known:
    """Read the registry. The version is read first: a change that comes between is seen again at the next look."""
    place = registry.place()
    published = registry.published()
    return Known(
        place.version,
        GrantIndex(registry.grants(), published.names, place.version),
        {p.id: p for p in registry.principals()},
        published.cases,
        published.licences,
        _accepted(registry),
        place.event,
    )


def follow(registry: Registry, known: Known) -> Known:
    """Return what is known after the changes since; only what they touched is read. It is what ``load`` would return.

    Where a change told of itself in a way that is not known here, or told nothing, or there were too many, all is read.
    """
    place = registry.place()
    events = registry.events_since(known.event)
    if not events or known.event == 0:
        return load(registry)
    touched: dict[str, set[str]] = {kind: set() for kind in _FOLLOWED}
    for type_, subject in events:
        kind = type_.partition(".")[0]
        if kind in touched:
            touched[kind].add(subject)
        elif kind not in _OF_NO_MATTER:
            return load(registry)
    grants, principals, cases, licences = known.grants, known.principals, known.cases, known.licences
    resources = touched["resource"]
    published = registry.published(resources) if resources else Published(frozenset(), (), ())
    if resources:
        cases = tuple(sorted({*cases} - resources | {*published.cases}))
        licences = tuple(sorted({*licences} - resources | {*published.licences}))
    if touched["principal"]:
        principals = {**principals, **{p.id: p for p in registry.principals_of(touched["principal"])}}
    grants = grants.changed(
        registry.grants_of(touched["grant"]) if touched["grant"] else (),
        published=published.names,
        gone=resources - published.names,
        version=place.version,
    )
    accepted = _accepted(registry) if touched["item"] else known.accepted
    return Known(place.version, grants, principals, cases, licences, accepted, place.event)


def _accepted(registry: Registry) -> dict[str, frozenset[str]]:
    return {
        item: frozenset(kind for kinds in materials.values() for kind in kinds)
        for item, materials in registry.item_licence_types().items()
    }


class RegistryView:
    """Keeps what is known current in one event loop."""

    def __init__(self, url: str, registry: Registry, log: Any, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.known = Known()
        self.cases: tuple[CaseTable, ...] = ()
        self.licences: Mapping[str, LicenceTable] = {}
        """By resource; one of which nothing has landed yet is not there."""
        self._served: dict[str, Served] = {}
        self._contracts: dict[tuple[str, str], DataContract] = {}
        self._url = url
        self._registry = registry
        self._log = log
        self._monotonic = monotonic
        self._contact = float("-inf")
        self._whole = float("-inf")
        self._wake = asyncio.Event()
        self._refreshed: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow the registry."""
        self._task = asyncio.create_task(self._follow(), name="registry-view")
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def refuse_if_stale(self) -> None:
        """Raise ``TransientError`` (``registry.away``) where the registry was not reached for 5 s."""
        if self._monotonic() - self._contact > CLOSED_AFTER_S:
            raise TransientError(
                "the registry cannot be reached, so no grant can be trusted",
                code="registry.away",
                remedy="see `onedoor doctor`",
            )

    def current(self, principal: str) -> PrincipalRecord | None:
        """Return a principal as the registry has it now."""
        return self.known.principals.get(principal)

    async def contract(self, resource: str, version: str) -> DataContract:
        """Return the contract that rows of a resource landed under. The registry is asked for each but once."""
        kept = self._contracts.get((resource, version))
        if kept is None:
            kept = await asyncio.to_thread(self._registry.contract, resource, version)
            if len(self._contracts) >= _MOST_CONTRACTS:
                self._contracts.clear()
            self._contracts[resource, version] = kept
        return kept

    async def refresh(self) -> None:
        """Return when everything was looked at again. Raises ``TransientError`` where that takes too long."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._refreshed.append(future)
        self._wake.set()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await future
        except TimeoutError:
            self.refuse_if_stale()
            raise TransientError("the registry was not read in time", code="registry.slow") from None

    async def _follow(self) -> None:
        while True:
            try:
                connection = await asyncpg.connect(self._url, timeout=_TIMEOUT_S)
                self._whole = float("-inf")  # who was away reads all again
                try:
                    await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
                    while True:
                        self._wake.clear()  # before the look: what is told during it is looked at again
                        await self._look(connection)
                        try:
                            await asyncio.wait_for(self._wake.wait(), POLL_S)
                        except TimeoutError:
                            continue
                finally:
                    connection.terminate()
            except (*DRIVER, OneDoorError) as error:
                self._log.warning("the registry cannot be reached", error=type(error).__name__)
                await asyncio.sleep(POLL_S)
            except Exception as error:  # noqa: BLE001 - it must go on; grants close by themselves until it does
                self._log.critical("the registry cannot be followed", error=type(error).__name__)
                await asyncio.sleep(POLL_S)

    async def _look(self, connection: asyncpg.Connection[Any]) -> None:
        asked, waiting = self._monotonic(), self._refreshed
        self._refreshed = []
        try:
            version = await connection.fetchval("SELECT value FROM registry.version", timeout=_TIMEOUT_S)
            known = self.known if version == self.known.version else await self._read(asked)
            rows = await connection.fetch(_SERVED, [*known.cases, *known.licences], timeout=_TIMEOUT_S)
            served = {row["name"]: await self._serving(row) for row in rows}
        except BaseException:
            self._refreshed += waiting
            raise
        if known is not self.known or served != self._served:
            self.known, self._served = known, served
            self.cases = tuple(t for t in (_case_table(served.get(name)) for name in known.cases) if t is not None)
            tables = {name: _licence_table(served.get(name)) for name in known.licences}
            self.licences = {name: table for name, table in tables.items() if table is not None}
        self._contact = asked
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _read(self, asked: float) -> Known:
        """Return what is known now: all of it where that was long ago, else what the changes since touched."""
        if self.known.version < 0 or asked - self._whole >= WHOLE_AFTER_S:
            known = await asyncio.to_thread(load, self._registry)
            self._whole = asked
            return known
        return await asyncio.to_thread(follow, self._registry, self.known)

    async def _serving(self, row: Any) -> Served:
        before = self._served.get(row["name"])
        if before is not None and before.contract.version == row["contract_version"]:
            return Served(row["oid"], before.contract, row["as_of_first"])
        contract = await self.contract(row["name"], row["contract_version"])
        return Served(row["oid"], contract, row["as_of_first"])

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.critical("the registry is no longer followed; nothing is answered", error=type(error).__name__)


def _case_table(served: Served | None) -> CaseTable | None:
    if served is None or served.contract.case_role is None:
        return None
    contract, role = served.contract, served.contract.case_role
    holder = contract.field(role.holder_number)
    names = (role.case_number, role.item_code, role.holder_type, role.state, _stored(holder))
    place = Place(contract.name, served.oid, role.case_number, tuple(dict.fromkeys(names)))
    return CaseTable(contract, role, holder, place)


def _licence_table(served: Served | None) -> LicenceTable | None:
    if served is None or served.contract.licence_role is None:
        return None
    contract, role = served.contract, served.contract.licence_role
    holder = contract.field(role.holder_number)
    sealed = ("_sealed", "_key_id") if contract.personal else ()
    names = (*(f.name for f in contract.clear), *(lookup_column(f) for f in lookup_fields(contract)), *sealed)
    place = Place(contract.name, served.oid, _stored(holder), names)
    return LicenceTable(contract, role, holder, place, key_columns(contract), bool(sealed), served.as_of)


def _stored(holder: Field) -> str:
    return lookup_column(holder) if holder.personal else holder.name
