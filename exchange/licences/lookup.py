"""A licence look-up: its ground first, then the store, then the record, then the answer.

Nothing is answered that is not recorded. A look-up without a ground gets the same refusal whatever was wrong with it, decided
before the licences are asked, so that the refusal shows nothing about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final

import msgspec

from exchange.licences.grouped import GroupedReader
from exchange.licences.refusals import Refusals
from exchange.licences.view import RegistryView
from exchange.trust.grant import Allowed, Ask, CaseAsk, Principal, Reason, Refused, authorise, ground
from exchange.trust.keyring import KeyRing
from exchange.trust.ledger import AsyncLedger
from exchange.trust.normalise import normalise
from exchange.trust.record import LedgerRecord, Receipt
from exchange.trust.release import release
from schemas.batch import StoredRows
from schemas.clock import CHINA, Clock
from schemas.codes import CODES
from schemas.contract import DataContract
from schemas.errors import DeniedError, Fault, RejectedError
from schemas.landed import key_columns, lookup_column

VALID_STATES: Final = frozenset({"01"})
HOLDER_CODES: Final = {"111": "citizen_id", "001": "credit_code"}

_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z._:-]+$")]


class LookupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the intake platform asks while it accepts a case."""

    holder_type: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[0-9]{3}$", description="kind of the holder's number: 111 citizen id, 001 unified social credit code"
        ),
    ]
    holder_number: Annotated[str, msgspec.Meta(min_length=1, max_length=50, description="the holder's number")]
    item_code: Annotated[_Code, msgspec.Meta(description="implementation code of the service item")]
    case_number: Annotated[_Code, msgspec.Meta(description="case number 申办流水号")]
    operator: Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="account of the officer who works the case")]
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
    fields: dict[str, Any]


class ReceiptOut(msgspec.Struct, frozen=True):
    """Where the ledger recorded this answer."""

    chain: str
    n: int
    hash: str


class LookupAnswer(msgspec.Struct, frozen=True):
    """The answer: ``as_of`` is the oldest instant as of which what was asked held; null where nothing has landed yet."""

    case_number: str
    item_code: str
    as_of: datetime | None
    licences: list[Licence]
    receipt: ReceiptOut


class Lookup:
    """Answers look-ups in one event loop."""

    def __init__(self, view: RegistryView, reader: GroupedReader, ledger: AsyncLedger, keys: KeyRing, clock: Clock) -> None:
        self._view = view
        self._reader = reader
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self.refusals = Refusals(ledger)

    async def answer(self, principal: Principal, ask: LookupRequest) -> LookupAnswer:
        """Answer a look-up of a principal whose token was verified.

        Raises:
            RejectedError: the holder's number has a wrong form or check digit (``lookup.holder_number``).
            DeniedError: there is no ground (``lookup.refused``), always the same words.
            TransientError: the registry, the store or the ledger is away: nothing is answered.
        """
        _check_number(ask)
        self._view.refuse_if_stale()
        known = self._view.known
        now = self._clock.now()
        allowed: list[tuple[DataContract, Allowed]] = []
        reasons: list[Reason] = []
        for contract in known.licences:
            decided = authorise(Ask(principal, contract.name, ask.purpose, ask.item_code), grants=known.grants, now=now)
            if isinstance(decided, Allowed):
                allowed.append((contract, decided))
            else:
                reasons += decided.reasons
        if not allowed:
            raise await self._refuse(principal, ask, reasons or [Reason.RESOURCE])
        against = await self._ground(ask, known.cases)
        if against is not None:
            raise await self._refuse(principal, ask, against.reasons)
        accepted = known.accepted.get(ask.item_code, frozenset())
        licences: list[Licence] = []
        rows: list[str] = []
        instants: list[datetime | None] = []
        for contract, decided in allowed:
            instants.append(self._view.as_of.get(contract.name))
            found = await self._licences(contract, ask, accepted)
            released = release(StoredRows(contract, found), decided.grant, now, self._keys)
            for row, fields in zip(found, released.rows, strict=True):
                licences.append(_licence(contract, row, dict(fields), now.astimezone(CHINA).date()))
                rows.append(self._row_name(contract, row))
        receipt = await self._ledger.append(self._record(principal, ask, "allowed", grant=allowed[0][1].grant.id, rows=rows))
        as_of = None if None in instants else min(i for i in instants if i is not None)
        return LookupAnswer(ask.case_number, ask.item_code, as_of, licences, _receipt(receipt))

    async def _ground(self, ask: LookupRequest, contracts: Sequence[DataContract]) -> Refused | None:
        """Ask every case resource; the case must be known to one of them and stand in it as the look-up says."""
        refused = Refused((Reason.CASE_UNKNOWN,))
        for contract in contracts:
            role = contract.case_role
            if role is None:
                continue
            of = contract.field(role.holder_number)
            holder: bytes | str = (
                self._keys.lookup_hash(contract.name, of.name, ask.holder_number) if of.personal else ask.holder_number
            )
            found = await self._reader.rows(contract.name, role.case_number, ask.case_number)
            for row in found:
                against = ground(dict(row), CaseAsk(ask.case_number, ask.item_code, holder, ask.holder_type), contract)
                if against is None:
                    return None
                refused = against
        return refused

    async def _licences(self, contract: DataContract, ask: LookupRequest, accepted: frozenset[str]) -> list[dict[str, Any]]:
        role = contract.licence_role
        if role is None or not accepted:
            return []
        of = contract.field(role.holder_number)
        column = lookup_column(of) if of.personal else of.name
        key = self._keys.lookup_hash(contract.name, of.name, ask.holder_number) if of.personal else ask.holder_number
        found = await self._reader.rows(contract.name, column, key)
        rows = [dict(row) for row in found if row[role.licence_type] in accepted and row[role.holder_type] == ask.holder_type]
        return sorted(rows, key=lambda row: (row[role.licence_type], str(row[role.valid_from])))

    async def _refuse(self, principal: Principal, ask: LookupRequest, reasons: Sequence[Reason]) -> DeniedError:
        reason = ",".join(sorted(set(reasons)))
        await self.refusals.record(self._record(principal, ask, "refused", reason=reason))
        return DeniedError("there is no ground for this look-up", code="lookup.refused", fault=Fault.CLIENT)

    def _record(self, principal: Principal, ask: LookupRequest, outcome: str, **more: Any) -> LedgerRecord:
        return LedgerRecord(
            kind="licence.lookup",
            outcome=outcome,
            principal=principal.id,
            department=principal.department,
            system=principal.system,
            operator=self._keys.pseudonym(f"operator/{ask.operator}")
            if CODES["citizen_id"].valid(ask.operator)
            else ask.operator,
            resource=",".join(c.name for c in self._view.known.licences),
            item=ask.item_code,
            case=ask.case_number,
            purpose=ask.purpose,
            holder=self._keys.pseudonym(_normal(ask.holder_number)),
            **more,
        )

    def _row_name(self, contract: DataContract, row: dict[str, Any]) -> str:
        parts = [row[c].hex() if isinstance(row[c], bytes) else str(row[c]) for c in key_columns(contract)]
        return f"{contract.name}/{'/'.join(parts)}"


def _licence(contract: DataContract, row: dict[str, Any], fields: dict[str, Any], today: date) -> Licence:
    role = contract.licence_role
    if role is None:
        raise RejectedError(f"{contract.name} holds no licences", code="lookup.role")
    begins, ends, state = row[role.valid_from], row[role.valid_to], row[role.state]
    valid = state in VALID_STATES and (begins is None or begins <= today) and (ends is None or today <= ends)
    return Licence(contract.name, row[role.licence_type], state, begins, ends, valid, row[role.trust_level], fields)


def _check_number(ask: LookupRequest) -> None:
    code = HOLDER_CODES.get(ask.holder_type)
    if code is not None and not CODES[code].valid(_normal(ask.holder_number)):
        raise RejectedError(
            f"the holder's number is no valid {code.replace('_', ' ')}: its form or its check digit is wrong",
            code="lookup.holder_number",
            where="holder_number",
            remedy="read it again from the document",
            fault=Fault.CLIENT,
        )


def _normal(number: str) -> str:
    return normalise(number)


def _receipt(receipt: Receipt) -> ReceiptOut:
    return ReceiptOut(receipt.chain, receipt.n, receipt.hash)
