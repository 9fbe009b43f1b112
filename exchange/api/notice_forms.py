"""What the routes of changes to come take and give: revisions, notices, withdrawals, reminders, and what one may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, TypeVar

import msgspec

from catalog_registry.mine import Authorisation
from catalog_registry.notice_records import NoticeRecord, ReminderRecord, RevisionRecord, WithdrawalRecord
from exchange.api.registry_forms import QuotaForm, _Body, _Text
from exchange.query.example import example_call
from exchange.trust.used import Used

MOST_CONTRACT: int = 256 * 1024
_Contract = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_CONTRACT)]


class ProposeBody(_Body, frozen=True):
    """A new version of the contract of a resource that is shared."""

    contract: Annotated[_Contract, msgspec.Meta(description="the contract, ODCS 3.1 as YAML")]
    why: Annotated[_Text, msgspec.Meta(description="what it is for; those affected read it")] = ""


class WithdrawOnBody(_Body, frozen=True):
    """On which day a resource is to be withdrawn."""

    on: Annotated[date, msgspec.Meta(description="a day after today; it is withdrawn at its first instant in China")]
    why: Annotated[_Text, msgspec.Meta(description="the reason, which is kept and told")]


class ChangeAnswer(msgspec.Struct, frozen=True):
    """One change of a contract."""

    kind: str
    attribute: str
    field: str | None
    before: str | None
    after: str | None
    breaking: bool
    title: str
    title_zh: str
    why: str
    why_zh: str


class ConsequenceAnswer(msgspec.Struct, frozen=True):
    """What becomes of a grant."""

    grant: str
    receiver: str
    until: datetime
    fields: Annotated[Sequence[str], msgspec.Meta(description="those that it has now")]
    changed: Annotated[Sequence[str], msgspec.Meta(description="those of them that change")]
    fields_after: Annotated[Sequence[str], msgspec.Meta(description="those that are left; none: the grant ends")]
    rows_after: Annotated[str, msgspec.Meta(description="as now, or none where its rows can no longer be chosen")]


class NoticeAnswer(msgspec.Struct, frozen=True):
    """What a department is told, and whether it has read it."""

    id: str
    about: Annotated[str, msgspec.Meta(description="revision or withdrawal")]
    subject: Annotated[str, msgspec.Meta(description="id of the revision or the withdrawal")]
    resource: str
    department: str
    state: Annotated[str, msgspec.Meta(description="of the revision; or planned, done or called_off")]
    effect_at: datetime | None
    why: str | None
    grants: Sequence[ConsequenceAnswer]
    told_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class NoticePage(msgspec.Struct, frozen=True):
    """Some notices, oldest first. ``next`` is the ``after`` of the page that follows, null on the last one."""

    notices: Sequence[NoticeAnswer]
    next: str | None


class RevisionAnswer(msgspec.Struct, frozen=True):
    """A new version of a contract on its way into force. The version before it is in force until it is there."""

    id: str
    resource: str
    department: str
    from_version: str
    to_version: str
    breaking: bool
    changes: Sequence[ChangeAnswer]
    why: str | None
    state: Annotated[str, msgspec.Meta(description="proposed, rejected, noticed, held, due, in_force or withdrawn")]
    version: Annotated[int, msgspec.Meta(description="raised by every step; the number in the ETag")]
    made_by: str
    reviewed_by: str | None
    made_at: datetime
    changed_at: datetime
    noticed_at: datetime | None
    ends_at: Annotated[datetime | None, msgspec.Meta(description="first instant after the notice")]
    provisional: Annotated[bool, msgspec.Meta(description="true where a day's year has no official notice yet")]


class ConsequencesAnswer(msgspec.Struct, frozen=True):
    """What would become of each grant that a change breaks, as things are now."""

    grants: Sequence[ConsequenceAnswer]


class RevisionPage(msgspec.Struct, frozen=True):
    """Some revisions, oldest first. ``next`` is the ``after`` of the page that follows, null on the last one."""

    revisions: Sequence[RevisionAnswer]
    next: str | None


class WithdrawalAnswer(msgspec.Struct, frozen=True):
    """That a resource is withdrawn at an instant; ``outcome`` is null while that is to come."""

    id: str
    resource: str
    at: datetime
    why: str
    made_at: datetime
    made_by: str
    outcome: str | None
    ended_at: datetime | None
    ended_by: str | None


class ReminderAnswer(msgspec.Struct, frozen=True):
    """That a clock was half used, on its last day but one, or over."""

    id: str
    kind: Annotated[str, msgspec.Meta(description="of what it is the clock, such as application")]
    thing: Annotated[str, msgspec.Meta(description="its id")]
    rule: str
    what: Annotated[str, msgspec.Meta(description="half, last, escalated; or outcome: an automatic one was refused")]
    department: Annotated[str | None, msgspec.Meta(description="whom the step waits for; null: the centre")]
    resource: str | None
    began: datetime
    at: datetime
    due: Annotated[date | None, msgspec.Meta(description="the last day")]
    left: Annotated[int, msgspec.Meta(description="working days after that day; below 0 where it was late")]
    provisional: bool
    skipped: Annotated[Sequence[str], msgspec.Meta(description="what was not told, since no worker ran")]


class ReminderPage(msgspec.Struct, frozen=True):
    """Some reminders, oldest first. ``next`` is the ``after`` of the page that follows, null on the last one."""

    reminders: Sequence[ReminderAnswer]
    next: str | None


class ExampleAnswer(msgspec.Struct, frozen=True):
    """A call that the grant allows; what only the caller knows stands in angle brackets."""

    method: str
    path: str
    body: Mapping[str, Any]


class UsedAnswer(msgspec.Struct, frozen=True):
    """How much of a quota is used, with what a worker holds of it and has perhaps not used yet."""

    calls_today: Annotated[int, msgspec.Meta(description="calls in this day of China")]
    rows_today: int
    calls_this_minute: int
    spent: Annotated[Sequence[str], msgspec.Meta(description="the limits of which nothing is left")]


class AuthorisationAnswer(msgspec.Struct, frozen=True):
    """A grant that is in force for who asks."""

    grant: str
    receiver: str
    resource: str
    title: str
    department: Annotated[str, msgspec.Meta(description="the provider's")]
    fields: Sequence[str]
    personal: Annotated[Sequence[str], msgspec.Meta(description="those of the fields that are personal")]
    row_filter: str | None
    purposes: Sequence[str]
    items: Sequence[str]
    legal_basis: str
    from_at: datetime
    to_at: datetime
    way: str
    quota: Annotated[QuotaForm | None, msgspec.Meta(description="null where nothing limits how often")]
    used: Annotated[UsedAnswer | None, msgspec.Meta(description="how much of the quota is used; null where there is none")]
    application: str | None
    shared: Annotated[bool, msgspec.Meta(description="false where the resource is frozen: nothing is given now")]
    looked_up: Annotated[bool, msgspec.Meta(description="true where POST /api/v1/licences/lookup answers from it too")]
    example: ExampleAnswer


class AuthorisationPage(msgspec.Struct, frozen=True):
    """What who asks may call now. ``next`` is the ``after`` of the page that follows, null on the last one.

    Why something else may not be called: ``authorisations/explain``.
    """

    authorisations: Sequence[AuthorisationAnswer]
    next: str | None


def consequences_answer(found: Sequence[Mapping[str, Any]]) -> ConsequencesAnswer:
    """Return what becomes of grants."""
    return msgspec.convert({"grants": found}, ConsequencesAnswer)


Form = TypeVar("Form", bound=msgspec.Struct)


def _as(form: type[Form], record: object, **more: Any) -> Form:
    """Return a record as a form that has its names."""
    plain = {name: getattr(record, name) for name in form.__struct_fields__ if name not in more}
    return msgspec.convert(plain | more, form, from_attributes=True)


def notice_answer(found: NoticeRecord) -> NoticeAnswer:
    """Return a notice."""
    return _as(NoticeAnswer, found)


def revision_answer(found: RevisionRecord) -> RevisionAnswer:
    """Return a revision, without the text of its contract."""
    return _as(RevisionAnswer, found, state=str(found.state))


def withdrawal_answer(found: WithdrawalRecord) -> WithdrawalAnswer:
    """Return a withdrawal."""
    return _as(WithdrawalAnswer, found)


def reminder_answer(found: ReminderRecord) -> ReminderAnswer:
    """Return a reminder."""
    return _as(ReminderAnswer, found)


def authorisation_answer(found: Authorisation, used: Used | None) -> AuthorisationAnswer:
    """Return what may be called, with an example."""
    grant = found.grant
    return _as(
        AuthorisationAnswer,
        found,
        **{name: getattr(grant, name) for name in ("fields", "purposes", "items", "legal_basis", "from_at", "to_at")},
        grant=grant.id,
        receiver=str(grant.receiver),
        resource=str(grant.resource),
        row_filter=None if grant.row_filter is None else grant.row_filter.text,
        quota=None if grant.quota is None else QuotaForm(**grant.quota.document()),
        used=None if used is None else _as(UsedAnswer, used),
        example=ExampleAnswer(**example_call(found)),
    )


FORMS = (
    *(ProposeBody, WithdrawOnBody, NoticePage, RevisionPage, RevisionAnswer, NoticeAnswer),
    *(ConsequencesAnswer, WithdrawalAnswer, ReminderPage, AuthorisationPage),
)
