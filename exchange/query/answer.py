"""A query of records: its ground first, then the record that it begins, then the rows as long as the grant holds.

Nothing is given that is not recorded: that an answer begins is durable before its first byte, and how many rows it gave, with
the sum of their hashes, before its end. A query without a ground gets the same refusal whatever was wrong with it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, TypeVar

import pyarrow as pa

from exchange.licences.grouped import ChangedError, GroupedReader, Row
from exchange.licences.refusals import Refusals
from exchange.licences.view import Known, RegistryView
from exchange.query.ask import Place, QueryRequest, begin_again, open_page, question, seal_page
from exchange.query.asked import Asked, GoneError
from exchange.query.bulk import Bulk, Use
from exchange.query.encode import Encoder, Format
from exchange.query.rows import Landed, Reading, RecordReader, ReplacedError, key_of, key_texts, key_values
from exchange.trust.filter_sql import condition
from exchange.trust.grant import Allowed, Ask, CaseAsk, Grant, Principal, Reason, Refused, authorise, ground
from exchange.trust.keyring import KeyRing
from exchange.trust.ledger import AsyncLedger
from exchange.trust.plain import Value
from exchange.trust.quota import QuotaBook, QuotaError
from exchange.trust.record import LedgerRecord, Receipt
from exchange.trust.release import release
from exchange.trust.unnamed import unnamed
from schemas.batch import ReleasedRows, StoredRows
from schemas.canonical import HASH_BYTES, MODULUS, hash_sum
from schemas.clock import Clock
from schemas.contract import DataContract, Field
from schemas.errors import DefectError, DeniedError, Fault, OneDoorError, RejectedError, TransientError
from schemas.ids import new_id
from schemas.landed import key_columns, lookup_column, lookup_fields
from schemas.rowfilter import Filter, check, parse

KIND: Final = "resource.query"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
ANSWERS: Final = 16
"""Answers at once in one process: each holds two batches of rows."""
WATCH_S: Final = 1.0
"""Seconds between two looks at the grant while the store or the reader takes its time."""
PIECE_BYTES: Final = 64 * 1024
BATCH_BYTES: Final = 1 << 20
STALLED_S: Final = 60.0
"""Seconds after which a piece that nobody takes ends the answer: each holds one of few places."""
EACH: Final = 4
"""Answers at once for one client."""

_FIRST_ROWS, _MOST_ROWS, _LEAST_ROWS = 200, 4_000, 20
_SLICE, _SEALED_SLICE = 400, 64
"""Rows that are released at a stretch, some milliseconds of work, before look-ups in the same process have their turn."""
_TRIES: Final = 3
_GRACE_S: Final = 1.0

T = TypeVar("T")
Emit = Callable[[bytes], Awaitable[None]]
"""Sends a piece; returns when there is room for the next one."""


class StalledError(TransientError):
    """Whoever asked has not read for long."""

    def __init__(self) -> None:
        super().__init__(
            f"nothing was read for {STALLED_S:.0f} s", code="client.stalled", remedy="ask for fewer rows", fault=Fault.CLIENT
        )


class Query:
    """Answers queries of records in one event loop."""

    def __init__(
        self,
        view: RegistryView,
        reader: RecordReader,
        cases: GroupedReader,
        ledger: AsyncLedger,
        refusals: Refusals,
        keys: KeyRing,
        clock: Clock,
        quotas: QuotaBook,
        bulk: Bulk,
    ) -> None:
        self.view = view
        self.reader = reader
        self.keys = keys
        self.clock = clock
        self._quotas = quotas
        self._bulk = bulk
        self._cases = cases
        self._ledger = ledger
        self._refusals = refusals
        self._running: Counter[str] = Counter()
        self._keys_at_hand: set[str] = set()

    async def answer(self, principal: Principal, resource: str, request: QueryRequest, form: Format) -> Answer:
        """Return the answer of a principal whose token was verified: its first rows are read, and that it begins is recorded.

        Raises:
            DeniedError: there is no ground (``query.refused``), always the same words; or what would be given is personal and
                has neither a case nor an approved bulk export, or more rows than a case is enough for (``query.bulk_export``).
            QuotaError: the quota of the grant is used up, and no other grant allows it.
            RejectedError: the page token is of another question, or of rows that are not served any more; a case number is
                missing; a granted field has not landed yet.
            TransientError: the registry, the store or the ledger is away, nothing has landed yet, or too many ask at once.
        """
        chosen_by = None if request.filter is None else parse(request.filter)
        self._begin(principal)
        spent: dict[str, QuotaError] = {}
        tries = _TRIES
        try:
            while True:
                try:
                    return await self._answer(principal, resource, request, form, chosen_by, spent)
                except ChangedError:
                    tries -= 1
                    if not tries:
                        raise
                    await self.view.refresh()
                except ReplacedError:
                    tries -= 1
                    if request.page is not None:
                        raise begin_again("a later run has landed") from None
                    if not tries:
                        raise
                except QuotaError as error:
                    if error.grant in spent:
                        raise
                    spent[error.grant] = error  # another grant may allow it; pages are of one
        except BaseException:
            self.over(principal)
            raise

    def _begin(self, principal: Principal) -> None:
        if self._running.total() >= ANSWERS or self._running[principal.id] >= EACH:
            raise TransientError(
                f"as many answers are being given as there may be at once: {EACH} for each client, {ANSWERS} for all",
                code="records.busy",
                remedy="ask again when one has ended",
                fault=Fault.CLIENT,
            )
        self._running[principal.id] += 1

    def over(self, principal: Principal) -> None:
        """Count one answer less."""
        self._running[principal.id] -= 1
        self._running += Counter()  # forgets who has none

    async def _answer(
        self,
        principal: Principal,
        resource: str,
        request: QueryRequest,
        form: Format,
        chosen_by: Filter | None,
        spent: Mapping[str, QuotaError],
    ) -> Answer:
        self.view.refuse_if_stale()
        known = self.view.known
        grant = await self._allowed(principal, resource, request, chosen_by, known, spent)
        landed = await self.reader.landed(resource)
        if landed is None:
            raise TransientError(
                "nothing of the resource has landed yet", code="records.none_yet", where=resource, remedy="ask again later"
            )
        contract = await self.view.contract(resource, landed.version)
        fields = _fields(contract, grant, request)
        if chosen_by is not None:
            check(chosen_by, contract, allowed=grant.fields)
        personal = await self._personal(resource, fields, landed)
        if personal and request.case_number is None and request.bulk_export is None:
            raise RejectedError(
                "a field that is given is personal: a case with its item, or an approved bulk export, is needed",
                code="query.case_number",
                where="case_number",
                remedy="name case_number and item_code, or bulk_export, or ask for fields that are not personal",
                fault=Fault.CLIENT,
            )
        if request.case_number is not None:
            await self._refuse_without_case(principal, resource, request)
        place = self._place(principal, resource, request, grant, landed)
        after = () if place is None else key_values(place.after, contract)
        use: Use | None = None
        if personal and request.bulk_export is not None:
            use = Use(grant.id, principal.id, request.purpose, tuple(f.name for f in fields), chosen_by)
            await self._bulk.check(request.bulk_export, use, begun=place is not None)
        texts, arguments = _conditions((grant.row_filter, chosen_by), contract)
        reading = Reading(contract, landed.run, _columns(contract, fields, grant), texts, arguments)
        answer_id = new_id("q", self.clock.now())
        asked = Asked(
            *(answer_id, principal, resource, request, form, grant, fields, reading, landed, request.limit),
            export=request.bulk_export if personal else None,
        )
        bounded = personal and use is None
        most = min(max(_FIRST_ROWS, self._bulk.free_rows + 1) if bounded else _FIRST_ROWS, request.limit + 1)
        first = await self.rows(reading, after, most)
        personal_rows = min(len(first), request.limit) if bounded else 0
        if personal_rows > self._bulk.free_rows:
            raise await self._refuse_bulk(principal, resource, request, grant)
        try:
            Held(self, asked, known).release(())
        except DeniedError:  # it ended while the first rows were read: refused as if it had ended before
            return await self._answer(principal, resource, request, form, chosen_by, spent)
        if personal_rows and request.case_number is not None:
            case, now = self.keys.pseudonym(request.case_number), self.clock.now()
            if not await self._quotas.count_case(grant, case, personal_rows, self._bulk.free_rows, now):
                raise await self._refuse_bulk(principal, resource, request, grant)
        asked = await self._counted(asked, len(first), len(first) < most)
        try:
            if first:
                await self._bulk.note(grant.id, self.clock.now())
            if use is not None and place is None and request.bulk_export is not None:
                await self._bulk.use(request.bulk_export, use)
            receipt = await self._ledger.append(self._began(asked, chosen_by))
        except BaseException:
            await self.gave(asked, 0)
            raise
        return Answer(self, Held(self, asked, known), receipt, form.encoder(fields), first, most)

    async def _personal(self, resource: str, fields: Sequence[Field], landed: Landed) -> bool:
        """Say whether one of the fields is personal: as the rows landed, or by the contract in force, whichever says so.

        A field that becomes personal stands clear in the store until the next run; it is not given as if it were none.
        """
        if any(f.personal for f in fields):
            return True
        if landed.in_force is None or landed.in_force == landed.version:
            return False
        now = await self.view.contract(resource, landed.in_force)
        return not {f.name for f in fields}.isdisjoint(f.name for f in now.personal)

    async def _counted(self, asked: Asked, first: int, all_there: bool) -> Asked:
        """Count the call under its grant, and the rows that it may give; return the answer with those."""
        if asked.grant.quota is None:
            return asked
        now, wanted = self.clock.now(), min(asked.most, first) if all_there else asked.most
        lent = await self._quotas.lend_rows(asked.grant, wanted, now)
        try:
            await self._quotas.take(asked.grant, now)
        except TransientError:
            if lent is not None:
                await self._quotas.give_back(lent, 0)
            raise
        return asked if lent is None else replace(asked, lent=lent, most=min(asked.most, lent.rows))

    async def gave(self, asked: Asked, rows: int) -> None:
        """Give back the rows of the quota that an answer did not give."""
        if asked.lent is not None:
            await self._quotas.give_back(asked.lent, rows)

    async def rows(self, reading: Reading, after: Sequence[Value], most: int) -> list[Row]:
        """Return the next rows of a reading, with the keys of their sealed parts at hand: the loop must not wait for one."""
        rows = await self.reader.batch(reading, after, most)
        if "_key_id" in reading.columns:
            for key_id in {row["_key_id"] for row in rows} - self._keys_at_hand:
                if isinstance(key_id, str):
                    await asyncio.to_thread(self.keys.data_key_by_id, key_id)
                    self._keys_at_hand.add(key_id)
        return rows

    async def _allowed(
        self,
        principal: Principal,
        resource: str,
        request: QueryRequest,
        chosen_by: Filter | None,
        known: Known,
        spent: Mapping[str, QuotaError],
    ) -> Grant:
        """Return the grant that allows the fields asked for, and the choice by those of the filter."""
        current = known.principals.get(principal.id)
        if current is None or current.epoch != principal.epoch:  # while the body came
            raise DeniedError("the token was revoked", code="token.revoked", fault=Fault.CLIENT)
        if current.ranges != principal.ranges:
            raise _moved()
        named = (*(request.fields or ()), *(sorted(chosen_by.fields) if chosen_by is not None else ()))
        wanted = tuple(dict.fromkeys(named)) or None
        question = Ask(current, resource, request.purpose, request.item_code, wanted)
        now = self.clock.now()
        decided = authorise(question, grants=known.grants, now=now, without=() if request.page is not None else spent)
        if isinstance(decided, Allowed) and decided.grant.id not in spent:
            if decided.grant.quota is not None and (over := self._quotas.known_spent(decided.grant, now)) is not None:
                raise over
            return decided.grant
        if spent:
            error = next(iter(spent.values()))
            refused = Refused((Reason(f"quota_{error.limit}"),))
            await self._refuse(principal, resource, request, refused, grant=error.grant)
            raise error
        assert isinstance(decided, Refused)
        raise await self._refuse(principal, resource, request, decided)

    async def _refuse_without_case(self, principal: Principal, resource: str, request: QueryRequest) -> None:
        """Go on where a case resource knows the case: open, and of the item."""
        number, item = request.case_number, request.item_code
        if number is None or item is None:
            raise RejectedError(
                "a case number was given without the item of the case",
                code="request.body",
                where="item_code",
                remedy="name both, or neither",
                fault=Fault.CLIENT,
            )
        refused = Refused((Reason.CASE_UNKNOWN,))
        for table in self.view.cases:
            for row in await self._cases.rows(table.place, number):
                against = ground(row, CaseAsk(number, item, None), table.contract)
                if against is None:
                    return
                refused = against
        raise await self._refuse(principal, resource, request, refused)

    def _place(self, principal: Principal, resource: str, request: QueryRequest, grant: Grant, landed: Landed) -> Place | None:
        """Return the place that the page begins after; None where it is the first."""
        if request.page is None:
            return None
        place = open_page(request.page, question(principal.id, resource, request), resource, self.keys)
        if place.run != landed.run:
            raise begin_again("a later run has landed")
        if place.grant != grant.id:
            raise begin_again("the grant that holds is another one")
        return place

    async def _refuse_bulk(self, principal: Principal, resource: str, request: QueryRequest, grant: Grant) -> DeniedError:
        """Record that more rows with personal fields would be given than a case is enough for, and return the refusal."""
        await self._refuse(principal, resource, request, Refused((Reason.BULK,)), grant=grant.id)
        return DeniedError(
            f"more than {self._bulk.free_rows} rows with personal fields would be given for the case in a day, and no bulk "
            "export was approved",
            code="query.bulk_export",
            where="limit",
            remedy="ask for fewer rows; or have a bulk export approved by a second person, and name it as bulk_export",
            fault=Fault.CLIENT,
        )

    async def _refuse(
        self, principal: Principal, resource: str, request: QueryRequest, refused: Refused, grant: str | None = None
    ) -> DeniedError:
        record = self._record(
            principal,
            request,
            outcome="refused",
            resource=resource if _NAME.fullmatch(resource) else None,  # anything else is what a stranger wrote
            grant=grant,
            reason=",".join(sorted(set(refused.reasons))),
        )
        await self._refusals.record(record)
        return DeniedError("there is no ground for this query", code="query.refused", fault=Fault.CLIENT)

    def _began(self, asked: Asked, chosen_by: Filter | None) -> LedgerRecord:
        manifest: dict[str, str | int] = {
            "fields": ",".join(f.name for f in asked.fields),
            "run": asked.landed.run,
            "format": asked.format.name,
            "limit": asked.most,
        }
        if asked.export is not None:
            manifest["bulk_export"] = asked.export
        if chosen_by is not None:
            manifest["filter"] = self.keys.pseudonym(chosen_by.text)  # its literals may be anything
        if asked.request.page is not None:
            manifest["page"] = "next"
        return self._of(asked, "allowed", manifest)

    async def ended(self, asked: Asked, rows: int, total: int, cut: OneDoorError | None) -> Receipt:
        """Record what an answer gave, and what cut it short where something did; on return it is durable."""
        manifest: dict[str, str | int] = {
            "run": asked.landed.run,
            "rows": rows,
            "hash_sum": total.to_bytes(HASH_BYTES, "big").hex(),
        }
        record = self._of(asked, "done" if cut is None else "cut", manifest, reason=None if cut is None else cut.code)
        return await self._ledger.append(record)

    def _of(self, asked: Asked, outcome: str, manifest: dict[str, str | int], **more: Any) -> LedgerRecord:
        return self._record(
            asked.principal,
            asked.request,
            outcome=outcome,
            resource=asked.resource,
            grant=asked.grant.id,
            request=asked.id,
            manifest=manifest,
            **more,
        )

    def _record(self, principal: Principal, said_by: QueryRequest, **more: Any) -> LedgerRecord:
        def said(text: str | None) -> str | None:
            return None if text is None else unnamed(text, self.keys)

        return LedgerRecord(
            kind=KIND,
            principal=principal.id,
            department=principal.department,
            system=principal.system,
            operator=said(said_by.operator),
            item=said(said_by.item_code),
            case=said(said_by.case_number),
            purpose=said(said_by.purpose),
            **more,
        )


class Held:
    """What holds a running answer: its principal, its resource and its grant, as the registry has them now."""

    def __init__(self, query: Query, asked: Asked, known: Known) -> None:
        """Take what was known when it was allowed: whatever has changed since is looked at again."""
        self.query = query
        self.asked = asked
        self._known = known
        self._grant = asked.grant

    def grant_now(self) -> Grant:
        """Return the grant as it is now.

        Raises:
            DeniedError: the client, the resource or the grant was withdrawn; ``release`` looks at the grant's own end.
            TransientError: the registry cannot be reached, so that no grant can be trusted.
        """
        view, asked = self.query.view, self.asked
        view.refuse_if_stale()
        known = view.known
        if known is self._known:
            return self._grant
        principal = view.current(asked.principal.id)
        if principal is None or principal.revoked_at is not None or principal.epoch != asked.principal.epoch:
            raise DeniedError("the client was revoked", code="token.revoked", fault=Fault.CLIENT)
        if principal.ranges != asked.principal.ranges:
            raise _moved()
        if not known.grants.published(asked.resource):
            raise DeniedError("the resource is not published any more", code="resource.not_published", where=asked.resource)
        found = [g for g in known.grants.grants_for(principal, asked.resource) if g.id == asked.grant.id]
        if not found:
            raise DeniedError("the grant is not there any more", code="grant.revoked", where=f"grant {asked.grant.id}")
        self._known, self._grant = known, found[0]
        return self._grant

    def release(self, rows: Sequence[Row]) -> ReleasedRows:
        """Return what the grant, as it is now, releases of rows; of no rows, only whether it holds."""
        grant, names = self.grant_now(), [f.name for f in self.asked.fields]
        stored = StoredRows(self.asked.reading.contract, rows)
        return release(stored, grant, self.query.clock.now(), self.query.keys, fields=names)


@dataclass(slots=True)
class _Tally:
    """Rows and the sum of their hashes: of those that left, and of those that are encoded and wait for room."""

    rows: int = 0
    total: int = 0
    waiting: int = 0
    waiting_total: int = 0

    def encoded(self, hashes: Sequence[bytes]) -> None:
        self.waiting += len(hashes)
        self.waiting_total += hash_sum(pa.array(hashes, pa.binary()))

    def leave(self) -> None:
        self.rows, self.total = self.rows + self.waiting, (self.total + self.waiting_total) % MODULUS
        self.waiting = self.waiting_total = 0


@dataclass(slots=True)
class Answer:
    """An answer that has begun. It is delivered once; whatever ends it, that is recorded."""

    query: Query
    held: Held
    receipt: Receipt
    """Of the record that it begins."""
    encoder: Encoder
    first: list[Row]
    first_most: int
    ended: str = ""
    """``done``, or the code of what cut it short; empty while it runs."""
    defect: DefectError | None = None
    """What must not have happened, where that cut it short."""
    _tally: _Tally = field(default_factory=_Tally)
    _next: tuple[Value, ...] | None = None

    @property
    def rows(self) -> int:
        """Rows that left."""
        return self._tally.rows

    @property
    def as_of(self) -> datetime | None:
        """The instant as of which the rows held."""
        return self.held.asked.landed.as_of

    async def deliver(self, emit: Emit, gone: asyncio.Future[None]) -> bool:
        """Give the rows, and say at the end how it ended; return whether the answer has a proper end.

        Args:
            emit: sends a piece; the first one is empty, so that the head goes as soon as there is an answer.
            gone: is done when nobody reads any more.
        """
        cut: OneDoorError = DefectError("an answer met a defect", code="hub.defect")
        try:
            await self._watched(emit(b""), gone, _GRACE_S)
            await self._rows(emit, gone)
            self._tally.leave()  # what waits in the encoder leaves with the end
            receipt = await self.query.ended(self.held.asked, self._tally.rows, self._tally.total, None)
            self.ended = "done"
            await self._watched(emit(self.encoder.end(self._said("done", receipt, next=self._token()))), gone, _GRACE_S)
        except OneDoorError as error:
            cut = error
            return await self._cut(emit, gone, error)
        except asyncio.CancelledError:
            cut = GoneError()
            raise
        else:
            return True
        finally:
            self.query.over(self.held.asked.principal)
            await asyncio.shield(self.query.gave(self.held.asked, self._tally.rows))
            if not self.ended:
                self.ended = cut.code
                with suppress(OneDoorError):
                    await asyncio.shield(self.query.ended(self.held.asked, self._tally.rows, self._tally.total, cut))

    async def _cut(self, emit: Emit, gone: asyncio.Future[None], error: OneDoorError) -> bool:
        """Record that the answer was cut, then say so where the form has words for it."""
        if self.ended:  # it was whole; only its last words did not arrive
            return False
        self.ended, receipt = error.code, None
        self.defect = error if isinstance(error, DefectError) else None
        with suppress(TransientError):  # the ledger is away: the record that it began stands
            receipt = await self.query.ended(self.held.asked, self._tally.rows, self._tally.total, error)
        last = self.encoder.cut(self._said(error.code, receipt, detail=error.message))
        if last is None or gone.done():
            return False
        try:
            async with asyncio.timeout(_GRACE_S):
                await emit(last)
        except TimeoutError:
            return False
        return True

    def _said(self, ended: str, receipt: Receipt | None, **more: Any) -> dict[str, Any]:
        return {"ended": ended, "rows": self._tally.rows, "as_of": self.as_of, "receipt": receipt} | more

    def _token(self) -> str | None:
        if self._next is None:
            return None
        asked = self.held.asked
        contract = asked.reading.contract
        place = Place(asked.grant.id, asked.landed.run, key_texts(self._next, contract))
        return seal_page(place, question(asked.principal.id, asked.resource, asked.request), asked.resource, self.query.keys)

    async def _rows(self, emit: Emit, gone: asyncio.Future[None]) -> None:
        pieces = [self.encoder.begin()]
        async with aclosing(self._released(gone)) as stretches:
            async for released, hashes in stretches:
                pieces.append(self.encoder.rows(released, len(hashes)))
                self._tally.encoded(hashes)
                if sum(map(len, pieces)) >= PIECE_BYTES:
                    await self._leave(pieces, emit, gone)
                else:
                    await asyncio.sleep(0)
        await self._leave(pieces, emit, gone)

    async def _leave(self, pieces: list[bytes], emit: Emit, gone: asyncio.Future[None]) -> None:
        piece = b"".join(pieces)
        pieces.clear()
        if piece:
            self._tally.leave()  # counted before: what may have left is never missing from the record
            await self._watched(emit(piece), gone, _GRACE_S)

    async def _released(self, gone: asyncio.Future[None]) -> AsyncGenerator[tuple[ReleasedRows, list[bytes]], None]:
        """Yield what is released of each stretch of rows, with the hashes of those rows of it that are still asked for."""
        contract, left = self.held.asked.reading.contract, self.held.asked.most
        stretch = _SEALED_SLICE if any(f.personal for f in self.held.asked.fields) else _SLICE
        rows, most, coming = self.first, self.first_most, None
        try:
            while True:
                is_last = len(rows) < most
                if not is_last and len(rows) <= left:
                    size = min(_batch_rows(rows), left - len(rows) + 1)
                    coming = asyncio.ensure_future(self._batch(key_of(rows[-1], contract), size))
                for start in range(0, len(rows), stretch):
                    some = rows[start : start + stretch]
                    released = self.held.release(some)
                    given = released.positions[:left]
                    left -= len(given)
                    if given:
                        self._next = key_of(some[given[-1]], contract)
                        yield released, [some[i]["_row_hash"] for i in given]
                    if len(released.positions) > len(given):
                        return  # there is one more: the next page begins after the last of this one
                if is_last:
                    self._next = None
                    return
                if coming is None:  # the row filter of the grant held some back
                    size = min(_batch_rows(rows), left + 1)
                    coming = asyncio.ensure_future(self._batch(key_of(rows[-1], contract), size))
                (rows, most), coming = await self._watched(coming, gone), None
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _batch(self, after: tuple[Value, ...], most: int) -> tuple[list[Row], int]:
        return await self.query.rows(self.held.asked.reading, after, most), most

    async def _watched(self, work: Awaitable[T], gone: asyncio.Future[None], grace_s: float = 0.0) -> T:
        """Return what ``work`` gives, unless the grant ends or the reader goes meanwhile; then it is stopped.

        ``grace_s`` is left to it when the grant has ended: what was released before may still go.
        """
        task = asyncio.ensure_future(work)
        either: set[asyncio.Future[Any]] = {task, gone}
        began = time.monotonic()
        try:
            while True:
                await asyncio.wait(either, timeout=WATCH_S, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():  # asked first: to send to somebody who is gone takes no time at all
                    raise GoneError
                if task.done():
                    return task.result()
                if grace_s and time.monotonic() - began > STALLED_S:
                    raise StalledError
                try:
                    self.held.release(())
                except OneDoorError:
                    if grace_s:
                        await asyncio.wait(either, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
                    raise
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def _moved() -> DeniedError:
    """Return what ends an answer whose client got other networks meanwhile: its address was looked at by those before."""
    return DeniedError("the client may ask from other networks by now", code="token.address", fault=Fault.CLIENT)


def _fields(contract: DataContract, grant: Grant, request: QueryRequest) -> tuple[Field, ...]:
    """Return the fields that are given, in the contract's order."""
    wanted = grant.fields if request.fields is None else request.fields
    found = tuple(f for f in contract.fields if f.name in wanted)
    if not found or (request.fields is not None and len(found) < len(set(wanted))):
        raise RejectedError(
            "a granted field is not among those that have landed: the contract has changed since the last run",
            code="query.not_landed",
            where="fields",
            remedy="ask for fewer fields, or wait for the next run",
            fault=Fault.CLIENT,
        )
    return found


def _columns(contract: DataContract, fields: Sequence[Field], grant: Grant) -> tuple[str, ...]:
    """Return the columns that ``release`` needs for these fields under a grant."""
    names = [f.name for f in fields if not f.personal]
    if grant.row_filter is not None:
        names += [f.name for f in contract.clear if f.name in grant.row_filter.fields]
    if any(f.personal for f in fields):
        names += [*key_columns(contract), *(lookup_column(f) for f in lookup_fields(contract)), "_sealed", "_key_id"]
    return tuple(dict.fromkeys(names))


def _conditions(filters: Sequence[Filter | None], contract: DataContract) -> tuple[tuple[str, ...], tuple[object, ...]]:
    """Return the filters as conditions of one statement, and the arguments of all of them."""
    texts: list[str] = []
    arguments: list[object] = []
    for chosen_by in filters:
        if chosen_by is not None:
            composed, more = condition(chosen_by, contract, first=len(arguments) + 1)
            texts.append(composed.as_string(None))
            arguments += more
    return tuple(texts), tuple(arguments)


def _batch_rows(rows: Sequence[Row]) -> int:
    """Return how many rows to read next, by the width of some of these, so that a batch stays small."""
    some = rows[:: max(1, len(rows) // 20)]
    width = sum(len(v) if isinstance(v, str | bytes) else 16 for row in some for v in row.values()) / max(1, len(some))
    return max(_LEAST_ROWS, min(_MOST_ROWS, int(BATCH_BYTES / max(1.0, width))))
