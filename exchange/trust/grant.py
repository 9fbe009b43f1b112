"""May this be asked? Pure rules over grants and cases. No grant, no data; what is unknown is refused, and the reason said."""

from __future__ import annotations

import hmac
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

from catalog_registry.acting import RECEIVER
from catalog_registry.records import GrantRecord as Grant
from catalog_registry.records import PrincipalRecord as Principal
from catalog_registry.records import ReceiverKind
from exchange.trust.normalise import normalise
from schemas.contract import CaseRole, DataContract
from schemas.landed import lookup_column

__all__ = [
    "Allowed",
    "Ask",
    "CaseAsk",
    "Explanation",
    "Grant",
    "GrantIndex",
    "Principal",
    "Reason",
    "Refused",
    "authorise",
    "explain",
    "ground",
]

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_Place = tuple[ReceiverKind, str, str]
"""Kind and code of a receiver, and a resource."""

_PURPOSE: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")


class Reason(StrEnum):
    """Why something is refused. For the ledger and for ``explain``; a refused caller is not told which."""

    PRINCIPAL_REVOKED = "principal_revoked"
    ROLE = "role"
    RESOURCE = "resource"  # unknown, or not published
    NO_GRANT = "no_grant"
    NOT_YET = "not_yet"
    EXPIRED = "expired"
    REVOKED = "revoked"
    NO_PURPOSE = "no_purpose"
    PURPOSE = "purpose"
    ITEM = "item"
    FIELDS = "fields"
    CASE_UNKNOWN = "case_unknown"
    CASE_CLOSED = "case_closed"
    CASE_ITEM = "case_item"
    CASE_HOLDER = "case_holder"
    BULK = "bulk"  # more personal rows than a case is enough for
    QUOTA_PER_DAY = "quota_per_day"
    QUOTA_PER_MINUTE = "quota_per_minute"
    QUOTA_ROWS_PER_DAY = "quota_rows_per_day"


class Ask(msgspec.Struct, frozen=True):
    """What somebody wants: fields of a resource, for a purpose. ``fields`` None: all that the grant releases."""

    principal: Principal
    resource: str
    purpose: str
    item: str | None = None
    fields: tuple[str, ...] | None = None


class Allowed(msgspec.Struct, frozen=True):
    """The grant that allows an ask, and the fields it releases for it, in the grant's order."""

    grant: Grant
    fields: tuple[str, ...]


class Refused(msgspec.Struct, frozen=True):
    """Why an ask is refused: every reason found, each once."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one grant says of an ask: no reasons, it allows it."""

    grant: str
    reasons: tuple[Reason, ...]


class GrantIndex:
    """Grants by receiver and resource, as of one version of the registry. Never changes; a change makes a new one."""

    __slots__ = ("_by_receiver", "_ready", "_resources", "version")

    def __init__(self, grants: Iterable[Grant], resources: Iterable[str], version: int = 0) -> None:
        """Build the index.

        Args:
            grants: all grants, ended ones too, so that a refusal can say that one has ended.
            resources: names of the resources that are published; others are refused whatever the grants say.
            version: the registry's version that both were read at.
        """
        found: dict[_Place, list[Grant]] = defaultdict(list)
        for grant in grants:
            found[grant.receiver.kind, grant.receiver.code, grant.resource].append(grant)
        self._by_receiver = {place: _in_order(of) for place, of in found.items()}
        self._ready: dict[_Place, _Ready] = {}
        self._resources = frozenset(resources)
        self.version = version

    def changed(
        self, grants: Iterable[Grant], *, published: Collection[str], gone: Collection[str], version: int
    ) -> GrantIndex:
        """Return the index after a change; it says what one says that is built of all grants and resources as they are then.

        Args:
            grants: those that were made or changed. A grant keeps its receiver and its resource, and is never forgotten.
            published: resources that are published now.
            gone: resources that are not.
            version: the registry's version that both were read at.
        """
        index = GrantIndex((), (), version)
        index._by_receiver, index._ready = dict(self._by_receiver), dict(self._ready)
        changed: dict[_Place, dict[str, Grant]] = defaultdict(dict)
        for grant in grants:
            changed[grant.receiver.kind, grant.receiver.code, grant.resource][grant.id] = grant
        for place, of in changed.items():
            kept = {grant.id: grant for grant in self._by_receiver.get(place, ())} | of
            index._by_receiver[place] = _in_order(kept.values())
            index._ready.pop(place, None)
        index._resources = (self._resources - frozenset(gone)) | frozenset(published)
        return index

    def published(self, resource: str) -> bool:
        """Say whether a resource is there and published."""
        return resource in self._resources

    def grants_for(self, principal: Principal, resource: str) -> Sequence[Grant]:
        """Return the grants of a principal itself, of its system, of its department; widest first in each."""
        return tuple(grant for ready in self.ready_for(principal, resource) for grant in ready.grants)

    def ready_for(self, principal: Principal, resource: str) -> list[_Ready]:
        """Return the same grants, ready to be decided on: the principal's own, its system's, its department's."""
        places: list[_Place] = [(ReceiverKind.PRINCIPAL, principal.id, resource)]
        if principal.system is not None:
            places.append((ReceiverKind.SYSTEM, principal.system, resource))
        places.append((ReceiverKind.DEPARTMENT, principal.department, resource))
        return [ready for place in places if (ready := self._ready.get(place) or self._made(place)) is not None]

    def _made(self, place: _Place) -> _Ready | None:
        """Make grants ready at the first ask: most are never asked for."""
        grants = self._by_receiver.get(place)
        if grants is None:
            return None
        ready = self._ready[place] = _Ready(grants)
        return ready


def _in_order(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Return grants in the order in which they are tried: the widest first."""
    return tuple(sorted(grants, key=lambda grant: (-len(grant.fields), grant.id)))


class _Span(msgspec.Struct, frozen=True):
    """Which grants are in force in [``since``, ``until``), where none begins or ends, and why the others are not."""

    since: datetime
    until: datetime
    in_force: int
    ended: tuple[tuple[Reason, int], ...]


class _Ready:
    """The grants of one receiver for one resource, ready to be decided on, however many they are.

    A set of them is a whole number with a bit for each, the first grant's the lowest. What a grant must fulfil is kept as the
    set of those that do, so that a decision is a few ``&``. It says what ``_against`` says of each grant by itself.
    """

    __slots__ = ("_all", "_any_item", "_any_purpose", "_fields", "_items", "_purposes", "_some_field", "_span", "grants")

    def __init__(self, grants: tuple[Grant, ...]) -> None:
        self.grants = grants
        self._all = (1 << len(grants)) - 1
        self._any_purpose = _set_of(not g.purposes and bool(g.items) for g in grants)
        self._any_item = _set_of(not g.items for g in grants)
        self._some_field = _set_of(bool(g.fields) for g in grants)
        self._purposes = _sets_by((g.purposes for g in grants), self._any_purpose)
        self._items = _sets_by((g.items for g in grants), self._any_item)
        self._fields = _sets_by((g.fields for g in grants), 0)
        self._span: _Span | None = None

    def allowing(self, ask: Ask, now: datetime, without: Collection[str] = ()) -> Grant | None:
        """Return the first grant that allows an ask; none of those ``without``."""
        purpose, item, fields = self._fulfilling(ask)
        found = purpose & item & fields & self._span_at(now).in_force
        while without and found and self.grants[(found & -found).bit_length() - 1].id in without:
            found &= found - 1
        return self.grants[(found & -found).bit_length() - 1] if found else None

    def against(self, ask: Ask, now: datetime) -> Iterable[Reason]:
        """Return every reason against an ask that no grant allows, each once, as they are met from grant to grant."""
        purpose, item, fields = self._fulfilling(ask)
        found = [
            *self._span_at(now).ended,
            (Reason.PURPOSE, self._all & ~purpose),
            (Reason.ITEM, self._all & ~item),
            (Reason.FIELDS, self._all & ~fields),
        ]
        met = [(grants & -grants, reason) for reason, grants in found if grants]
        return [reason for _, reason in sorted(met, key=lambda one: one[0])]

    def _fulfilling(self, ask: Ask) -> tuple[int, int, int]:
        """Return the grants for the ask's purpose, for its item, and with its fields."""
        purpose = self._purposes.get(ask.purpose, self._any_purpose)
        item = self._any_item if ask.item is None else self._items.get(ask.item, self._any_item)
        if ask.fields is None:
            return purpose, item, self._some_field
        fields = self._all if ask.fields else 0
        for name in ask.fields:
            fields &= self._fields.get(name, 0)
        return purpose, item, fields

    def _span_at(self, now: datetime) -> _Span:
        span = self._span
        if span is None or not span.since <= now < span.until:
            span = self._span = self._made_span(now)
        return span

    def _made_span(self, now: datetime) -> _Span:
        ends = [ended(grant, now) for grant in self.grants]
        instants = [at for g in self.grants for at in (g.from_at, g.to_at)]
        return _Span(
            max((at for at in instants if at <= now), default=_FIRST),
            min((at for at in instants if at > now), default=_LAST),
            _set_of(end is None for end in ends),
            tuple((reason, _set_of(end is reason for end in ends)) for reason in dict.fromkeys(ends) if reason is not None),
        )


def _set_of(members: Iterable[bool]) -> int:
    """Return the set of those that are members."""
    return sum(1 << i for i, member in enumerate(members) if member)


def _sets_by(words: Iterable[Sequence[str]], always: int) -> dict[str, int]:
    """Return, for each word, the set of those that have it, and those of ``always``."""
    sets: dict[str, int] = defaultdict(int)
    for i, these in enumerate(words):
        for word in these:
            sets[word] |= 1 << i
    return {word: found | always for word, found in sets.items()}


def authorise(ask: Ask, *, grants: GrantIndex, now: datetime, without: Collection[str] = ()) -> Allowed | Refused:
    """Return the grant that allows ``ask``, else Refused. No grant, no data. ``explain`` gives each grant's reasons.

    ``without`` are ids of grants that are passed over, since their quota is used up.
    """
    general = _general(ask, grants, now)
    if general:
        return Refused(general)
    candidates = grants.ready_for(ask.principal, ask.resource)
    for ready in candidates:
        if (grant := ready.allowing(ask, now, without)) is not None:
            return Allowed(grant, grant.fields if ask.fields is None else ask.fields)
    reasons = dict.fromkeys(reason for ready in candidates for reason in ready.against(ask, now))
    return Refused(tuple(reasons) or (Reason.NO_GRANT,))


def explain(ask: Ask, *, grants: GrantIndex, now: datetime) -> tuple[Explanation, ...]:
    """Return what each grant of the asker for the resource says of the ask, in the order that they are tried."""
    general = _general(ask, grants, now)
    candidates = grants.grants_for(ask.principal, ask.resource)
    return tuple(Explanation(grant.id, general + _against(grant, ask, now)) for grant in candidates)


def ended(grant: Grant, now: datetime) -> Reason | None:
    """Return why a grant is not in force at an instant, or None. Its interval is half-open; revoking ends it at once,
    also where the clock of whoever revoked it was ahead.
    """
    if grant.revoked_at is not None:
        return Reason.REVOKED
    if now < grant.from_at:
        return Reason.NOT_YET
    if now >= grant.to_at:
        return Reason.EXPIRED
    return None


def _general(ask: Ask, grants: GrantIndex, now: datetime) -> tuple[Reason, ...]:
    if ask.principal.revoked_at is not None:
        return (Reason.PRINCIPAL_REVOKED,)
    if RECEIVER not in ask.principal.roles:  # an account that somebody made for itself has none until another gives it one
        return (Reason.ROLE,)
    if not grants.published(ask.resource):
        return (Reason.RESOURCE,)
    if not _PURPOSE.fullmatch(ask.purpose):
        return (Reason.NO_PURPOSE,)
    return ()


def _against(grant: Grant, ask: Ask, now: datetime) -> tuple[Reason, ...]:
    reasons = []
    if (end := ended(grant, now)) is not None:
        reasons.append(end)
    if not grant.purposes and not grant.items:  # cannot be made; if it were there, it would allow nothing
        reasons.append(Reason.PURPOSE)
    if grant.purposes and ask.purpose not in grant.purposes:
        reasons.append(Reason.PURPOSE)
    if grant.items and ask.item not in grant.items:
        reasons.append(Reason.ITEM)
    if not grant.fields or (ask.fields is not None and not (ask.fields and set(ask.fields) <= set(grant.fields))):
        reasons.append(Reason.FIELDS)
    return tuple(reasons)


# The ground of a look-up ------------------------------------------------------------------------------------------------


class CaseAsk(msgspec.Struct, frozen=True):
    """What a look-up, or a query of records, says of its case.

    ``holder`` is the keyed look-up hash under the case resource, where its holder number is personal, else the number itself;
    None where what is asked is of no one holder, so that it is not compared. ``holder_type`` None: not compared.
    """

    case_number: str
    item: str
    holder: bytes | str | None
    holder_type: str | None = None

    def __repr__(self) -> str:
        return f"CaseAsk({self.case_number!r}, item={self.item!r})"


def ground(case_row: Mapping[str, object] | None, ask: CaseAsk, contract: DataContract) -> Refused | None:
    """Return None where the hub knows the case, it is open, of that item and of that holder; else every reason against.

    Args:
        case_row: the landed row of the case number, or None where the store has none.
        ask: what the look-up says of the case.
        contract: the contract of the case resource; one without the role ``case`` is a ground for nothing.
    """
    role = contract.case_role
    if role is None or case_row is None or case_row.get(role.case_number) != ask.case_number:
        return Refused((Reason.CASE_UNKNOWN,))
    reasons = []
    if case_row.get(role.state) not in role.open_states:
        reasons.append(Reason.CASE_CLOSED)
    if case_row.get(role.item_code) != ask.item:
        reasons.append(Reason.CASE_ITEM)
    if ask.holder is not None and not _same_holder(case_row, ask, role, contract):
        reasons.append(Reason.CASE_HOLDER)
    return Refused(tuple(reasons)) if reasons else None


def _same_holder(row: Mapping[str, object], ask: CaseAsk, role: CaseRole, contract: DataContract) -> bool:
    if ask.holder_type is not None and row.get(role.holder_type) != ask.holder_type:
        return False
    of = contract.field(role.holder_number)
    if of.personal:
        stored = row.get(lookup_column(of))
        return isinstance(stored, bytes) and isinstance(ask.holder, bytes) and hmac.compare_digest(stored, ask.holder)
    number = row.get(of.name)
    if not isinstance(number, str) or not isinstance(ask.holder, str):
        return False
    return hmac.compare_digest(normalise(number).encode(), normalise(ask.holder).encode())
