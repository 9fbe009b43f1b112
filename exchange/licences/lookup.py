"""A licence look-up: its ground first, then the store, then the record, then the answer.

Nothing is answered that is not recorded. A look-up without a ground gets the same refusal whatever was wrong with it, decided
before the licences are asked, so that the refusal shows nothing about them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final

import msgspec

from exchange.licences.grouped import ChangedError, GroupedReader, Row
from exchange.licences.refusals import Refusals
from exchange.licences.view import Known, LicenceTable, RegistryView
from exchange.trust.grant import Allowed, Ask, CaseAsk, Grant, Principal, Reason, Refused, authorise, ended, ground
from exchange.trust.keyring import KeyRing
from exchange.trust.ledger import AsyncLedger
from exchange.trust.normalise import normalise
from exchange.trust.quota import QuotaBook, QuotaError, Taken
from exchange.trust.record import LedgerRecord, Receipt
from exchange.trust.release import release
from exchange.trust.unnamed import unnamed
from schemas.batch import StoredRows
from schemas.clock import CHINA, Clock
from schemas.codes import CODES
from schemas.contract import LicenceRole
from schemas.errors import DeniedError, Fault, RejectedError, TransientError

VALID_STATES: Final = frozenset({"01"})
HOLDER_CODES: Final = {"111": "citizen_id", "001": "credit_code"}

_TRIES: Final = 3
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+(?![\s\S])"
_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z._:-]+(?![\s\S])")]


class LookupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the intake platform asks while it accepts a case."""

    holder_type: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[0-9]{3}(?![\s\S])",
            description="kind of the holder's number: 111 citizen id, 001 unified social credit code",
        ),
    ]
    holder_number: Annotated[
        str, msgspec.Meta(min_length=1, max_length=50, pattern=_PRINTABLE, description="the holder's number")
    ]
    item_code: Annotated[_Code, msgspec.Meta(description="implementation code of the service item")]
    case_number: Annotated[_Code, msgspec.Meta(description="case number 申办流水号")]
    operator: Annotated[
        str,
        msgspec.Meta(min_length=1, max_length=64, pattern=_PRINTABLE, description="account of the officer who works the case"),
    ]
    purpose: Annotated[_Code, msgspec.Meta(description="purpose that the grant names")]

    def __repr__(self) -> str:
        return f"LookupRequest(item={self.item_code!r}, case={self.case_number!r})"


class Licence(msgspec.Struct, frozen=True, omit_defaults=False):
    """A licence of the holder that one of the item's materials accepts."""

    resource: str
    licence_type: str
    state: str | None
    valid_from: date | None
    valid_to: date | None
    valid: bool
    trust_level: str | None
    fields: Mapping[str, Any]


class LookupAnswer(msgspec.Struct, frozen=True):
    """The answer: ``as_of`` is the oldest instant as of which what was asked held; null where nothing has landed yet."""

    case_number: str
    item_code: str
    as_of: datetime | None
    licences: list[Licence]
    receipt: Receipt


class Lookup:
    """Answers look-ups in one event loop."""

    def __init__(
        self,
        view: RegistryView,
        reader: GroupedReader,
        ledger: AsyncLedger,
        keys: KeyRing,
        clock: Clock,
        quotas: QuotaBook,
    ) -> None:
        self._view = view
        self._reader = reader
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._quotas = quotas
        self._keys_at_hand: set[str] = set()
        self.refusals = Refusals(ledger)

    async def answer(self, principal: Principal, ask: LookupRequest) -> LookupAnswer:
        """Answer a look-up of a principal whose token was verified.

        Raises:
            RejectedError: the holder's number has a wrong form or check digit (``lookup.holder_number``).
            DeniedError: there is no ground (``lookup.refused``), always the same words.
            QuotaError: the quota of the grant is used up, and no other grant allows it.
            TransientError: the registry, the store or the ledger is away: nothing is answered.
        """
        number = _checked_number(ask)
        spent: dict[str, QuotaError] = {}
        tries = _TRIES
        while True:
            try:
                return await self._answer(principal, ask, number, spent)
            except ChangedError:
                tries -= 1
                if not tries:
                    raise
                await self._view.refresh()
            except QuotaError as error:
                if error.grant in spent:
                    raise
                spent[error.grant] = error  # another grant may allow it

    async def _answer(
        self, principal: Principal, ask: LookupRequest, number: str, spent: Mapping[str, QuotaError]
    ) -> LookupAnswer:
        view = self._view
        view.refuse_if_stale()
        known, tables, now = view.known, view.licences, self._clock.now()
        allowed: list[tuple[str, Allowed]] = []
        reasons: list[Reason] = []
        for name in known.licences:
            question = Ask(principal, name, ask.purpose, ask.item_code)
            decided = authorise(question, grants=known.grants, now=now, without=spent)
            if spent and not isinstance(decided, Allowed):
                decided = authorise(question, grants=known.grants, now=now)
                if isinstance(decided, Allowed):  # an answer without it would say that there is nothing
                    raise await self._over(principal, ask, number, [name], spent[decided.grant.id])
            if isinstance(decided, Allowed):
                if decided.grant.quota is not None and (over := self._quotas.known_spent(decided.grant, now)) is not None:
                    raise over
                allowed.append((name, decided))
            else:
                reasons += decided.reasons
        if not allowed:
            raise await self._refuse(principal, ask, number, known.licences, reasons or [Reason.RESOURCE])
        against = await self._ground(ask, number)
        if against is not None:
            raise await self._refuse(principal, ask, number, [name for name, _ in allowed], against.reasons)
        accepted = known.accepted.get(ask.item_code, frozenset())
        today = now.astimezone(CHINA).date()
        licences: list[Licence] = []
        names: list[str] = []
        as_of: datetime | None = None
        landed = True
        by = {name: decision.grant for name, decision in allowed}
        given: dict[str, int] = {}
        for name, decision in allowed:
            table = tables.get(name)
            if table is None or table.as_of is None:
                landed = False
                continue
            as_of = table.as_of if as_of is None else min(as_of, table.as_of)
            found = await self._licences(table, ask, number, accepted)
            if not found:
                continue
            if table.sealed and not self._keys_at_hand.issuperset([row["_key_id"] for row in found]):
                await self._fetch_keys(found)
            grant = await self._still_allowed(principal, ask, number, name, decision.grant, known)
            by[name] = grant
            released = release(StoredRows(table.contract, found), grant, self._clock.now(), self._keys)
            given[name] = len(released.rows)
            for position, fields in zip(released.positions, released.rows, strict=True):
                licences.append(_licence(table, found[position], fields, today))
                names.append(_row_name(table, found[position]))
        if any(grant.quota is not None for grant in by.values()):
            await self._count(by, given)
        record = self._record(
            principal,
            ask,
            number,
            outcome="allowed",
            resource=",".join(name for name, _ in allowed),
            grant=",".join(dict.fromkeys(grant.id for grant in by.values())),
            item=ask.item_code,
            case=ask.case_number,
            purpose=ask.purpose,
            rows=names,
        )
        receipt = await self._ledger.append(record)
        return LookupAnswer(ask.case_number, ask.item_code, as_of if landed else None, licences, receipt)

    async def _count(self, by: Mapping[str, Grant], given: Mapping[str, int]) -> None:
        """Count the call under each grant that it was allowed by, or under none of them."""
        counted: list[Taken] = []
        for name, grant in by.items():
            try:
                taken = await self._quotas.take(grant, self._clock.now(), rows=given.get(name, 0))
            except TransientError:
                for before in counted:
                    self._quotas.put_back(before)
                raise
            if taken is not None:
                counted.append(taken)

    async def _over(
        self, principal: Principal, ask: LookupRequest, number: str, resources: Sequence[str], error: QuotaError
    ) -> QuotaError:
        """Record that a look-up is refused by a quota, and return that."""
        await self._refuse(principal, ask, number, resources, [Reason(f"quota_{error.limit}")], grant=error.grant)
        return error

    async def _still_allowed(
        self, principal: Principal, ask: LookupRequest, number: str, name: str, before: Grant, known: Known
    ) -> Grant:
        """Return the grant as it is now: the registry may have changed, or the grant ended, while the store was asked."""
        now, current = self._clock.now(), self._view.current(principal.id)
        if self._view.known is known and current is principal and ended(before, now) is None and principal.revoked_at is None:
            return before
        decided: Allowed | Refused = Refused((Reason.PRINCIPAL_REVOKED,))
        if current is not None:
            question = Ask(current, name, ask.purpose, ask.item_code)
            decided = authorise(question, grants=self._view.known.grants, now=now)
        if isinstance(decided, Refused):
            raise await self._refuse(principal, ask, number, [name], decided.reasons)
        return decided.grant

    async def _ground(self, ask: LookupRequest, number: str) -> Refused | None:
        """Ask every case resource; the case must be known to one of them and stand in it as the look-up says."""
        refused = Refused((Reason.CASE_UNKNOWN,))
        for table in self._view.cases:
            of = table.holder
            holder = self._keys.lookup_hash(table.contract.name, of.name, number) if of.personal else number
            asked = CaseAsk(ask.case_number, ask.item_code, holder, ask.holder_type)
            for row in await self._reader.rows(table.place, ask.case_number):
                against = ground(row, asked, table.contract)
                if against is None:
                    return None
                refused = against
        return refused

    async def _licences(self, table: LicenceTable, ask: LookupRequest, number: str, accepted: frozenset[str]) -> list[Row]:
        if not accepted:
            return []
        of, role = table.holder, table.role
        key = self._keys.lookup_hash(table.contract.name, of.name, number) if of.personal else number
        found = await self._reader.rows(table.place, key)
        rows = [row for row in found if row[role.licence_type] in accepted and row[role.holder_type] == ask.holder_type]
        if len(rows) > 1:
            rows.sort(key=lambda row: (row[role.licence_type], str(row[role.valid_from]), _row_name(table, row)))
        return rows

    async def _fetch_keys(self, rows: Sequence[Row]) -> None:
        """Have the data keys at hand: fetching one asks the database, which must not hold up the loop."""
        for key_id in {row["_key_id"] for row in rows} - self._keys_at_hand:
            if isinstance(key_id, str):
                await asyncio.to_thread(self._keys.data_key_by_id, key_id)
                self._keys_at_hand.add(key_id)

    async def _refuse(
        self,
        principal: Principal,
        ask: LookupRequest,
        number: str,
        resources: Sequence[str],
        reasons: Sequence[Reason],
        grant: str | None = None,
    ) -> DeniedError:
        record = self._record(
            principal,
            ask,
            number,
            outcome="refused",
            resource=",".join(resources),
            grant=grant,
            item=self._unnamed(ask.item_code, number),
            case=self._unnamed(ask.case_number, number),
            purpose=self._unnamed(ask.purpose, number),
            reason=",".join(sorted(set(reasons))),
        )
        await self.refusals.record(record)
        return DeniedError("there is no ground for this look-up", code="lookup.refused", fault=Fault.CLIENT)

    def _record(self, principal: Principal, ask: LookupRequest, number: str, **more: Any) -> LedgerRecord:
        return LedgerRecord(
            kind="licence.lookup",
            principal=principal.id,
            department=principal.department,
            system=principal.system,
            operator=self._unnamed(ask.operator, number),
            holder=self._keys.pseudonym(number),
            **more,
        )

    def _unnamed(self, text: str, number: str) -> str:
        """Return a text for the ledger: a pseudonym where somebody wrote a person's number into it."""
        plain = normalise(text)
        return self._keys.pseudonym(plain) if number in plain else unnamed(text, self._keys)


def _licence(table: LicenceTable, row: Row, fields: Mapping[str, Any], today: date) -> Licence:
    role: LicenceRole = table.role
    state, begins, ends = row[role.state], row[role.valid_from], row[role.valid_to]
    first, last = _day(begins), _day(ends)
    valid = state in VALID_STATES and (first is None or first <= today) and (last is None or today <= last)
    return Licence(table.contract.name, row[role.licence_type], state, first, last, valid, row[role.trust_level], fields)


def _day(value: Any) -> date | None:
    """Return the day in China of a bound of validity."""
    return value.astimezone(CHINA).date() if isinstance(value, datetime) else value


def _row_name(table: LicenceTable, row: Row) -> str:
    parts = [row[c].hex() if isinstance(row[c], bytes) else str(row[c]) for c in table.key]
    return f"{table.contract.name}/{'/'.join(parts)}"


def _checked_number(ask: LookupRequest) -> str:
    number = normalise(ask.holder_number)
    code = HOLDER_CODES.get(ask.holder_type)
    if not number or (code is not None and not CODES[code].valid(number)):
        raise RejectedError(
            f"the holder's number is no valid {(code or 'number').replace('_', ' ')}: its form or its check digit is wrong",
            code="lookup.holder_number",
            where="holder_number",
            remedy="read it again from the document",
            fault=Fault.CLIENT,
        )
    return number
