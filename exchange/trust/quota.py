"""Counts what a grant's quota allows, exactly across all workers, without asking the database for each call.

A worker lends a block of a grant's count and gives its calls from memory. What is lent is counted at once, so that all workers
together never give more than the quota. A block holds for one day and one minute; it is given back when nobody has used it for
``LEASE_S``, and at the end. A worker that dies, or that does not hear the database's answer, loses at most its block: fewer
calls than the quota, never more. Where little is left blocks are of one call, so that all of a quota can be used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any, Final

import asyncpg

from catalog_registry.quota import Quota
from catalog_registry.records import GrantRecord as Grant
from exchange.licences.grouped import DRIVER
from exchange.trust.used import STATE, Used, day_of, minute_of, used_of
from schemas.clock import CHINA
from schemas.errors import Fault, TransientError

BLOCK: Final = 256
"""Calls, and rows of look-ups, that are lent at once at most."""
LEASE_S: Final = 5.0
"""Real seconds after which a block that nobody uses is given back."""
SURE_S: Final = 0.5
"""Real seconds for which a quota that was used up is taken to be: another worker may have given some back since."""

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_LEND: Final = "SELECT * FROM exchange.lend_quota($1, $2, $3, $4, $5, $6, $7)"
_RETURN: Final = "SELECT exchange.return_quota($1, $2, $3, $4, $5)"
_CASE: Final = "SELECT exchange.count_case($1, $2, $3, $4, $5)"
_WORDS: Final[Mapping[str, str]] = {
    "per_day": "calls a day",
    "per_minute": "calls a minute",
    "rows_per_day": "rows a day",
}


class QuotaError(TransientError):
    """A grant's quota is used up, until ``retry_after_s`` have passed. ``limit`` says which one of it."""

    def __init__(self, grant: Grant, limit: str, now: datetime) -> None:
        quota = grant.quota or Quota()
        super().__init__(
            f"the grant's quota of {getattr(quota, limit)} {_WORDS[limit]} is used up",
            code="quota.used_up",
            where=f"grant {grant.id}",
            remedy="ask again when it begins anew, see Retry-After; or apply for more",
            fault=Fault.CLIENT,
        )
        self.grant = grant.id
        self.limit = limit
        self.retry_after_s = seconds_left(limit, now)


@dataclass(slots=True)
class _Block:
    """What a worker holds of one grant's count."""

    day: date = date.min
    minute: datetime = _NEVER
    calls: int = 0
    rows: int = 0
    touched: float = 0.0
    waiting: int = 0
    spent: str = ""
    spent_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def holds(self, day: date, minute: datetime) -> bool:
        """Say whether it is of this minute; of a later one where another worker's clock is ahead."""
        return self.minute >= minute and self.day >= day


def seconds_left(limit: str, now: datetime) -> int:
    """Return the seconds until a limit begins anew, 1 at least."""
    if limit == "per_minute":
        return 60 - now.second
    local = now.astimezone(CHINA)
    midnight = datetime.combine(local.date() + timedelta(days=1), time_of_day(), CHINA)
    return max(1, int((midnight - local).total_seconds()) + 1)


class QuotaBook:
    """The counts of one worker, in one event loop, on one connection that is opened at the first quota."""

    def __init__(self, url: str, *, monotonic: Callable[[], float] = time.monotonic, timeout_s: float = 2.0) -> None:
        self._url = url
        self._monotonic = monotonic
        self._timeout_s = timeout_s
        self._blocks: dict[str, _Block] = {}
        self._connection: asyncpg.Connection[Any] | None = None
        self._lock = asyncio.Lock()
        self.asked = 0
        """How often the database was asked."""

    async def take(self, grant: Grant, now: datetime, *, rows: int = 0) -> Taken | None:
        """Count one call under a grant, and the rows that it gives; return what was counted, None without a quota.

        Raises:
            QuotaError: the quota is used up; nothing is counted.
            TransientError: the counts cannot be reached (``quota.away``), so nothing may be given.
        """
        quota = grant.quota
        if quota is None:
            return None
        calls = 1 if quota.counts_calls else 0
        rows = rows if quota.rows_per_day is not None else 0
        block = self._blocks.get(grant.id)
        if block is None:
            block = self._blocks[grant.id] = _Block()
        day, minute = day_of(now), minute_of(now)
        if not self._taken(block, day, minute, calls, rows):
            self._refuse_spent(block, grant, day, minute, now)
            block.waiting += 1
            try:
                async with block.lock:
                    while not self._taken(block, day, minute, calls, rows):
                        self._refuse_spent(block, grant, day, minute, now)
                        await self._fill(block, grant, day, minute, calls, rows, now)
            finally:
                block.waiting -= 1
        block.touched = self._monotonic()
        return Taken(grant.id, block.day, block.minute, calls, rows)

    def known_spent(self, grant: Grant, now: datetime) -> QuotaError | None:
        """Return the refusal of a quota that was found to be used up a moment ago; asks nobody."""
        block = self._blocks.get(grant.id)
        if block is None or not block.spent or block.calls or not block.holds(day_of(now), minute_of(now)):
            return None
        return QuotaError(grant, block.spent, now) if self._monotonic() - block.spent_at < SURE_S else None

    def put_back(self, taken: Taken) -> None:
        """Take back a call that was counted and not answered: it is there for the next one of the same minute."""
        block = self._blocks.get(taken.grant)
        if block is not None and (block.day, block.minute) == (taken.day, taken.minute):
            block.calls += taken.calls
            block.rows += taken.rows

    async def lend_rows(self, grant: Grant, wanted: int, now: datetime) -> Lent | None:
        """Return how many rows a long answer may give, counted at once; None where the grant does not limit them.

        Raises as ``take``; ``QuotaError`` only where no row is left.
        """
        if grant.quota is None or grant.quota.rows_per_day is None or wanted < 1:
            return None
        day, minute = day_of(now), minute_of(now)
        row = await self._ask(_LEND, grant.id, day, minute, 0, 0, wanted, 0)
        if not row["lent_rows"]:
            raise QuotaError(grant, "rows_per_day", now)
        return Lent(grant.id, row["of_day"], row["of_minute"], row["lent_rows"])

    async def give_back(self, lent: Lent, used: int) -> None:
        """Give back the rows that a long answer did not give. What cannot be given back counts as given."""
        if lent.rows > used:
            await self._return(lent.grant, lent.day, lent.minute, 0, lent.rows - used)

    async def count_case(self, grant: Grant, case: str, rows: int, most: int, now: datetime) -> bool:
        """Count rows with personal fields that are given for a case, by its pseudonym; False where that were above ``most``
        in a day of China under this grant: then none is counted.
        """
        return bool((await self._ask(_CASE, grant.id, case, day_of(now), rows, most))["count_case"])

    async def state(self, grants: Collection[Grant], now: datetime) -> Mapping[str, Used]:
        """Return, by id, how much of their quotas is used, of those grants that have one."""
        wanted = {g.id: g for g in grants if g.quota is not None}
        if not wanted:
            return {}
        rows = await self._ask_all(STATE.format("$1", "$2", "$3"), list(wanted), day_of(now), minute_of(now))
        found = {row["grant_id"]: row for row in rows}
        return {id_: used_of(grant.quota or Quota(), found.get(id_), now) for id_, grant in wanted.items()}

    async def tidy(self) -> None:
        """Give back the blocks whose lease has run out. Called now and then."""
        late = self._monotonic() - LEASE_S
        for id_, block in list(self._blocks.items()):
            if block.touched <= late and not block.waiting:
                del self._blocks[id_]
                await self._give_back_block(id_, block)

    async def close(self) -> None:
        """Give back everything, and let go of the connection."""
        blocks, self._blocks = self._blocks, {}
        for id_, block in blocks.items():
            await self._give_back_block(id_, block)
        self._drop()

    # In the block -----------------------------------------------------------------------------------------------------

    def _taken(self, block: _Block, day: date, minute: datetime, calls: int, rows: int) -> bool:
        if not block.holds(day, minute) or block.calls < calls or block.rows < rows:
            return False
        block.calls -= calls
        block.rows -= rows
        return True

    def _refuse_spent(self, block: _Block, grant: Grant, day: date, minute: datetime, now: datetime) -> None:
        if block.spent and block.holds(day, minute) and self._monotonic() - block.spent_at < SURE_S:
            raise QuotaError(grant, block.spent, now)

    async def _fill(
        self, block: _Block, grant: Grant, day: date, minute: datetime, calls: int, rows: int, now: datetime
    ) -> None:
        if not block.holds(day, minute):
            await self._give_back_block(grant.id, block)
        need, need_rows = max(0, calls * block.waiting - block.calls), max(0, rows - block.rows)
        row = await self._ask(_LEND, grant.id, day, minute, need, BLOCK, need_rows, BLOCK if rows else 0)
        if block.minute != row["of_minute"] or block.day != row["of_day"]:
            block.calls = block.rows = 0  # of a minute that another worker's clock has left: they count as used
        block.day, block.minute = row["of_day"], row["of_minute"]
        block.calls += row["lent"]
        block.rows += row["lent_rows"]
        against, block.spent = row["against"], ""
        if against is not None and (block.calls < calls or block.rows < rows):
            block.spent, block.spent_at = against, self._monotonic()
            raise QuotaError(grant, against, now)

    async def _give_back_block(self, grant: str, block: _Block) -> None:
        calls, rows, block.calls, block.rows = block.calls, block.rows, 0, 0  # first: nobody uses what is on its way back
        if calls or rows:
            await self._return(grant, block.day, block.minute, calls, rows)

    # In the database --------------------------------------------------------------------------------------------------

    async def _return(self, grant: str, day: date, minute: datetime, calls: int, rows: int) -> None:
        """Give back, once: where the answer does not arrive it counts as used."""
        try:
            await self._ask(_RETURN, grant, day, minute, calls, rows)
        except TransientError:
            return

    async def _ask(self, statement: str, *arguments: Any) -> Any:
        return (await self._ask_all(statement, *arguments))[0]

    async def _ask_all(self, statement: str, *arguments: Any) -> Any:
        async with self._lock:
            self.asked += 1
            try:
                async with asyncio.timeout(self._timeout_s):
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await asyncpg.connect(
                            self._url, timeout=self._timeout_s, server_settings={"application_name": "onedoor quota"}
                        )
                    return await self._connection.fetch(statement, *arguments)
            except DRIVER:
                self._drop()  # whether it was counted is not known: what was lent, if it was, counts as used
                raise TransientError(
                    "the counts of quotas cannot be reached, so nothing is given under one",
                    code="quota.away",
                    where="exchange.quota_count",
                    remedy="it goes on by itself when the database is back; see `onedoor doctor`",
                ) from None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


@dataclass(frozen=True, slots=True)
class Taken:
    """What was counted for one call."""

    grant: str
    day: date
    minute: datetime
    calls: int
    rows: int


@dataclass(frozen=True, slots=True)
class Lent:
    """Rows that are counted for one long answer."""

    grant: str
    day: date
    minute: datetime
    rows: int
