"""Why may this be asked, or why not: every grant of the asker with every reason against it, in words. Touches no data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

import msgspec

from catalog_registry.quota import Quota
from exchange.trust.grant import Allowed, Ask, Explanation, Grant, GrantIndex, Reason, Refused, authorise, explain
from exchange.trust.used import Used

MOST: Final = 100
"""Grants that are told of at most."""

WORDS: Final[Mapping[Reason, tuple[str, str]]] = MappingProxyType(
    {
        Reason.PRINCIPAL_REVOKED: ("the account is revoked", "账号已注销"),
        Reason.ROLE: ("the account has not the role consumer", "账号没有使用方角色"),
        Reason.RESOURCE: ("there is no such resource, or it is not published", "资源不存在或未发布"),
        Reason.NO_GRANT: (
            "there is no grant of this resource for the account, its system or its department",
            "没有获得该资源的授权",
        ),
        Reason.NOT_YET: ("the grant has not begun", "授权尚未生效"),
        Reason.EXPIRED: ("the grant has ended", "授权已到期"),
        Reason.REVOKED: ("the grant is revoked", "授权已撤销"),
        Reason.NO_PURPOSE: ("the purpose is no word such as accept_case", "用途不合规范"),
        Reason.PURPOSE: ("the grant is not for this purpose", "授权不含该用途"),
        Reason.ITEM: ("the grant is not for this service item", "授权不含该事项"),
        Reason.FIELDS: ("the grant does not have every field that is asked for", "授权不含所请求的全部信息项"),
        Reason.CASE_UNKNOWN: ("the hub does not know the case", "平台没有该办件"),
        Reason.CASE_CLOSED: ("the case is not open", "办件不在办理中"),
        Reason.CASE_ITEM: ("the case is of another service item", "办件属于其他事项"),
        Reason.CASE_HOLDER: ("the case is of another holder", "办件的申请人不是该持证人"),
        Reason.BULK: ("a bulk export of personal data needs a second person", "批量导出个人信息须经第二人批准"),
        Reason.QUOTA_PER_DAY: ("the calls of the day are used up", "当日调用次数已用完"),
        Reason.QUOTA_PER_MINUTE: ("the calls of the minute are used up", "本分钟调用次数已用完"),
        Reason.QUOTA_ROWS_PER_DAY: ("the rows of the day are used up", "当日数据条数已用完"),
    }
)
"""Each reason in English and in Chinese."""


class Against(msgspec.Struct, frozen=True):
    """A reason against: ``code`` is stable; the words are for people."""

    code: str
    words: str
    words_zh: str


class QuotaSaid(msgspec.Struct, frozen=True):
    """How often a grant may be used, and how much of that is used: with what the API's workers hold and have not used yet."""

    per_day: int | None
    per_minute: int | None
    burst: int | None
    rows_per_day: int | None
    calls_today: int
    calls_this_minute: int
    rows_today: int


class GrantSaid(msgspec.Struct, frozen=True):
    """What one grant says of an ask: nothing against it, it allows it. ``rows`` is its row filter; the rest are its terms."""

    grant: str
    receiver: str
    fields: tuple[str, ...]
    rows: str | None
    purposes: tuple[str, ...]
    items: tuple[str, ...]
    from_at: datetime
    to_at: datetime
    revoked_at: datetime | None
    allows: bool
    against: tuple[Against, ...]
    quota: QuotaSaid | None = None


class Why(msgspec.Struct, frozen=True):
    """Whether an ask is allowed, by which grant and with which fields, else every reason; and what each grant says of it.

    ``grants`` are in the order in which they are tried, ``left_off`` how many more there are, of which none allows it. What a
    look-up asks beside its grant, its case, is not decided here.
    """

    allowed: bool
    grant: str | None
    fields: tuple[str, ...]
    against: tuple[Against, ...]
    grants: tuple[GrantSaid, ...]
    left_off: int = 0


def asked_of(ask: Ask, *, grants: GrantIndex, now: datetime) -> list[Grant]:
    """Return the grants that are told of, ``MOST`` at most: those that allow an ask first, each kind in the order of trial."""
    given = grants.grants_for(ask.principal, ask.resource)
    if len(given) <= MOST:
        return list(given)
    told = explain(ask, grants=grants, now=now)
    allowing = [grant for grant, one in zip(given, told, strict=True) if not one.reasons]
    others = [grant for grant, one in zip(given, told, strict=True) if one.reasons]
    shown = {grant.id for grant in [*allowing, *others][:MOST]}
    return [grant for grant in given if grant.id in shown]


def why(ask: Ask, *, grants: GrantIndex, now: datetime, used: Mapping[str, Used] = MappingProxyType({})) -> Why:
    """Return why an ask is allowed, or is not.

    Args:
        ask: what somebody wants.
        grants: the grants there are.
        now: the instant of the question.
        used: how much of their quotas is used, by grant; one that is not there has used nothing.
    """
    given = asked_of(ask, grants=grants, now=now)
    over = {id_: tuple(Reason(f"quota_{limit}") for limit in one.spent) for id_, one in used.items()}
    spent = {id_ for id_, reasons in over.items() if reasons}
    decided = authorise(ask, grants=grants, now=now, without=spent)
    if not isinstance(decided, Allowed) and isinstance(first := authorise(ask, grants=grants, now=now), Allowed):
        decided = Refused(over[first.grant.id])
    reasons = {one.grant: one.reasons for one in explain(ask, grants=grants, now=now)}
    told = [Explanation(grant.id, reasons[grant.id] + over.get(grant.id, ())) for grant in given]
    left_off = len(reasons) - len(given)
    said = tuple(
        GrantSaid(
            grant.id,
            str(grant.receiver),
            grant.fields,
            None if grant.row_filter is None else grant.row_filter.text,
            grant.purposes,
            grant.items,
            grant.from_at,
            grant.to_at,
            grant.revoked_at,
            not one.reasons,
            _in_words(one.reasons),
            None if grant.quota is None else _quota_said(grant.quota, used.get(grant.id)),
        )
        for grant, one in zip(given, told, strict=True)
    )
    if isinstance(decided, Allowed):
        return Why(True, decided.grant.id, decided.fields, (), said, left_off)
    return Why(False, None, (), _in_words(decided.reasons), said, left_off)


def _quota_said(quota: Quota, used: Used | None) -> QuotaSaid:
    limits = (quota.per_day, quota.per_minute, quota.burst, quota.rows_per_day)
    if used is None:
        return QuotaSaid(*limits, 0, 0, 0)
    return QuotaSaid(*limits, used.calls_today, used.calls_this_minute, used.rows_today)


def _in_words(reasons: Iterable[Reason]) -> tuple[Against, ...]:
    return tuple(Against(reason.value, *WORDS[reason]) for reason in reasons)
