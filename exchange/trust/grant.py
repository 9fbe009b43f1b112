"""May this be asked? Pure rules over grants and cases. No grant, no data; what is unknown is refused, and the reason said."""

from __future__ import annotations

import hmac
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

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

_PURPOSE: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")


class Reason(StrEnum):
    """Why something is refused. For the ledger and for ``explain``; a refused caller is not told which."""

    PRINCIPAL_REVOKED = "principal_revoked"
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

    __slots__ = ("_by_receiver", "_resources", "version")

    def __init__(self, grants: Iterable[Grant], resources: Iterable[str], version: int = 0) -> None:
        """Build the index.

        Args:
            grants: all grants, ended ones too, so that a refusal can say that one has ended.
            resources: names of the resources that are published; others are refused whatever the grants say.
            version: the registry's version that both were read at.
        """
        found: dict[tuple[ReceiverKind, str, str], list[Grant]] = defaultdict(list)
        for grant in grants:
            found[grant.receiver.kind, grant.receiver.code, grant.resource].append(grant)
        self._by_receiver = {k: tuple(sorted(v, key=lambda g: (-len(g.fields), g.id))) for k, v in found.items()}
        self._resources = frozenset(resources)
        self.version = version

    def published(self, resource: str) -> bool:
        """Say whether a resource is there and published."""
        return resource in self._resources

    def grants_for(self, principal: Principal, resource: str) -> Sequence[Grant]:
        """Return the grants of a principal itself, of its system, of its department; widest first in each."""
        by = self._by_receiver
        own = by.get((ReceiverKind.PRINCIPAL, principal.id, resource), ())
        system = by.get((ReceiverKind.SYSTEM, principal.system, resource), ()) if principal.system is not None else ()
        return own + system + by.get((ReceiverKind.DEPARTMENT, principal.department, resource), ())


def authorise(ask: Ask, *, grants: GrantIndex, now: datetime) -> Allowed | Refused:
    """Return the grant that allows ``ask``, else Refused. No grant, no data. ``explain`` gives each grant's reasons."""
    general = _general(ask, grants, now)
    if general:
        return Refused(general)
    reasons: dict[Reason, None] = {}
    for grant in grants.grants_for(ask.principal, ask.resource):
        against = _against(grant, ask, now)
        if not against:
            return Allowed(grant, grant.fields if ask.fields is None else ask.fields)
        reasons.update(dict.fromkeys(against))
    return Refused(tuple(reasons) or (Reason.NO_GRANT,))


def explain(ask: Ask, *, grants: GrantIndex, now: datetime) -> tuple[Explanation, ...]:
    """Return what each grant of the asker for the resource says of the ask, in the order that they are tried."""
    general = _general(ask, grants, now)
    candidates = grants.grants_for(ask.principal, ask.resource)
    return tuple(Explanation(grant.id, general + _against(grant, ask, now)) for grant in candidates)


def ended(grant: Grant, now: datetime) -> Reason | None:
    """Return why a grant is not in force at an instant, or None. Its interval is half-open; revoking ends it at once."""
    if grant.revoked_at is not None and now >= grant.revoked_at:
        return Reason.REVOKED
    if now < grant.from_at:
        return Reason.NOT_YET
    if now >= grant.to_at:
        return Reason.EXPIRED
    return None


def _general(ask: Ask, grants: GrantIndex, now: datetime) -> tuple[Reason, ...]:
    if ask.principal.revoked_at is not None and now >= ask.principal.revoked_at:
        return (Reason.PRINCIPAL_REVOKED,)
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
    """What a look-up says of its case.

    ``holder`` is the keyed look-up hash under the case resource, where its holder number is personal, else the number itself.
    ``holder_type`` None: not compared.
    """

    case_number: str
    item: str
    holder: bytes | str
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
    if not _same_holder(case_row, ask, role, contract):
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
