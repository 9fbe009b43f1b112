"""What the registry's routes take and give, as types: they decode bodies, encode answers and make the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final

import msgspec

from catalog_registry.demand_records import RatingSum
from catalog_registry.records import ApplicationRecord, Cover, RegisteredResource, StepRecord, UnboundResource
from catalog_registry.step_clock import StepClock
from catalog_registry.store.tables import WAYS
from exchange.api.catalogue_forms import ImportAnswer, NationalEntry, TemplateAnswer

_Text = Annotated[str, msgspec.Meta(max_length=4000, pattern=r"^[^\x00]*$")]
_Short = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*$")]
_Names = Annotated[list[_Short], msgspec.Meta(max_length=500)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 9998
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body: nothing but what it names is taken."""

    def __post_init__(self) -> None:
        """Refuse an instant that is none in another offset."""
        for name in self.__struct_fields__:
            given = getattr(self, name)
            if isinstance(given, datetime) and not _FIRST_YEAR <= given.year <= _LAST_YEAR:
                raise ValueError(f"an instant is of the years {_FIRST_YEAR} to {_LAST_YEAR} - at `$.{name}`")


class QuotaForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often; a limit that is null is none."""

    per_day: Annotated[_Count | None, msgspec.Meta(description="calls in a day of China")] = None
    per_minute: Annotated[_Count | None, msgspec.Meta(description="calls in a minute of the clock")] = None
    burst: Annotated[_Count | None, msgspec.Meta(description="as many more in one minute as the minutes before left over")] = (
        None
    )
    rows_per_day: Annotated[_Count | None, msgspec.Meta(description="rows that leave in a day of China")] = None


class StepBody(_Body, frozen=True):
    """One step in the life of a resource or an application."""

    why: Annotated[_Text, msgspec.Meta(description="the reason, which is kept; some steps are refused without one")] = ""


class HandOverBody(_Body, frozen=True):
    """Which department is to answer instead."""

    department: Annotated[_Short, msgspec.Meta(description="code of the department")]
    why: Annotated[_Text, msgspec.Meta(description="the reason, which is kept")]


class ApproveBody(_Body, frozen=True):
    """What is granted: what was asked for, or less."""

    fields: Annotated[_Names | None, msgspec.Meta(description="some of the fields asked for; null: all of them")] = None
    row_filter: Annotated[_Text | None, msgspec.Meta(description="a further condition on the rows; null: none")] = None
    from_at: Annotated[_Instant | None, msgspec.Meta(description="not before the instant asked for; null: that one")] = None
    to_at: Annotated[_Instant | None, msgspec.Meta(description="not after the instant asked for; null: that one")] = None
    quota: Annotated[
        QuotaForm | None, msgspec.Meta(description="limits beside those asked for, none above them; null: none")
    ] = None
    why: Annotated[_Text, msgspec.Meta(description="a remark, which is kept")] = ""


class ApplyBody(_Body, frozen=True):
    """What a department asks for."""

    resource: Annotated[_Short, msgspec.Meta(description="name of a published resource")]
    fields: Annotated[_Names, msgspec.Meta(description="names of its fields")]
    reason: Annotated[_Text, msgspec.Meta(description="why they are needed")]
    legal_basis: Annotated[_Text, msgspec.Meta(description="the law or document that allows it")]
    to_at: Annotated[_Instant, msgspec.Meta(description="first instant after the interval asked for")]
    from_at: Annotated[_Instant | None, msgspec.Meta(description="first instant of the interval; null: now")] = None
    purposes: Annotated[_Names, msgspec.Meta(description="what for, such as accept_case")] = []
    items: Annotated[_Names, msgspec.Meta(description="codes of the service items it is for")] = []
    row_filter: Annotated[_Text | None, msgspec.Meta(description="which rows; null: all")] = None
    system: Annotated[_Short | None, msgspec.Meta(description="code of the receiving system; null: the department")] = None
    scope: Annotated[_Text | None, msgspec.Meta(description="who would use it, and where")] = None
    way: Annotated[_Short, msgspec.Meta(description=f"one of {', '.join(WAYS)}")] = "api"
    quota: Annotated[QuotaForm | None, msgspec.Meta(description="how often; null: not limited")] = None


class FieldAnswer(msgspec.Struct, frozen=True):
    """A field of a resource."""

    name: str
    title: str
    description: str
    type: str
    required: bool
    personal: bool


class NotSharedAnswer(msgspec.Struct, frozen=True):
    """Why a resource is not shared."""

    basis_kind: Annotated[str, msgspec.Meta(description="1 law, 2 policy, 3 sensitive, 4 other")]
    basis: str


class ResourceLine(msgspec.Struct, frozen=True):
    """A resource in a list. Of one that is not shared others see name, title and ``not_shared``: the rest is null."""

    name: str
    code: str | None
    title: str
    department: str | None
    state: str | None
    version: Annotated[str | None, msgspec.Meta(description="of its contract; null: a draft that has none yet")]
    row_version: Annotated[int | None, msgspec.Meta(description="raised by every change; the number in the ETag")]
    changed_at: datetime | None
    not_shared: Annotated[NotSharedAnswer | None, msgspec.Meta(description="null: it may be seen")] = None


class RatingSumAnswer(msgspec.Struct, frozen=True):
    """What those who use it think of it."""

    average: Annotated[float, msgspec.Meta(description="1 (of no use) to 5 (as needed)")]
    departments: Annotated[int, msgspec.Meta(description="how many departments rated it")]


class ResourceAnswer(ResourceLine, frozen=True, kw_only=True):
    """A resource."""

    fields: Annotated[Sequence[FieldAnswer] | None, msgspec.Meta(description="null where it is not shared")]
    rating: Annotated[RatingSumAnswer | None, msgspec.Meta(description="null where nobody rated it")] = None


class ResourcePage(msgspec.Struct, frozen=True):
    """Some resources, by name. ``next`` is the ``after`` of the page that follows, null on the last one."""

    resources: Sequence[ResourceLine]
    next: str | None


class StepAnswer(msgspec.Struct, frozen=True):
    """One step: who, when, from which state to which, why. ``version`` is the one that it led to."""

    version: int
    at: datetime
    by: Annotated[str, msgspec.Meta(description="id of the principal, or who else did it")]
    event: str
    from_state: str | None
    to_state: str
    why: str | None
    detail: Mapping[str, Any] | None


class HistoryAnswer(msgspec.Struct, frozen=True):
    """What was done, oldest first."""

    steps: Sequence[StepAnswer]


class ClockAnswer(msgspec.Struct, frozen=True):
    """Where the clock of the step that is waited for stands, in working days of China."""

    rule: Annotated[str, msgspec.Meta(description="id of the clock rule")]
    workdays: int
    department: Annotated[str | None, msgspec.Meta(description="who has to answer; null: the centre has to check")]
    began: datetime
    due: Annotated[date | None, msgspec.Meta(description="the last day")]
    left: Annotated[int, msgspec.Meta(description="working days after today; below 0 where it is late")]
    state: Annotated[str, msgspec.Meta(description="running, reminded_half, reminded_last, late or paused")]
    provisional: Annotated[bool, msgspec.Meta(description="true where a day's year has no official notice yet")]


class ApplicationAnswer(msgspec.Struct, frozen=True):
    """An application: what was asked for, how far the answer is. What was given is the grant's."""

    id: str
    resource: str
    department: str
    applicant: str
    system: str | None
    reason: str
    scope: str | None
    purposes: Sequence[str]
    items: Sequence[str]
    fields: Sequence[str]
    row_filter: str | None
    way: str
    from_at: datetime
    to_at: datetime
    legal_basis: str
    state: str
    version: Annotated[int, msgspec.Meta(description="raised by every step; the number in the ETag")]
    assigned: str
    checked_by: str | None
    answered_by: str | None
    grant: str | None
    made_at: datetime
    changed_at: datetime
    clock: Annotated[ClockAnswer | None, msgspec.Meta(description="null at the end, where nobody is waited for")]
    quota: Annotated[QuotaForm | None, msgspec.Meta(description="asked for; what was given is the grant's")] = None


class ApplicationPage(msgspec.Struct, frozen=True):
    """Some applications, oldest first. ``next`` is the ``after`` of the page that follows, null on the last one."""

    applications: Sequence[ApplicationAnswer]
    next: str | None


def resource_line(found: RegisteredResource | UnboundResource | Cover) -> ResourceLine:
    """Return a resource for a list."""
    return ResourceLine(**_line(found))


def resource_answer(found: RegisteredResource | UnboundResource | Cover, rated: RatingSum | None) -> ResourceAnswer:
    """Return a resource with its fields and the mean of its ratings; never where it is read from.

    Of a draft without a contract the fields are those that the catalogue has.
    """
    if isinstance(found, Cover):
        return ResourceAnswer(**_line(found), fields=None)
    if isinstance(found, UnboundResource):
        catalogued = [FieldAnswer(f.name, f.title, "", f.data_type, f.primary_key, False) for f in found.entry.fields]
        return ResourceAnswer(**_line(found), fields=catalogued)
    fields = [
        FieldAnswer(f.name, f.title, f.description, str(f.logical_type), f.required, f.personal) for f in found.contract.fields
    ]
    rating = None if rated is None else RatingSumAnswer(rated.average, rated.departments)
    return ResourceAnswer(**_line(found), fields=fields, rating=rating)


def _line(found: RegisteredResource | UnboundResource | Cover) -> dict[str, Any]:
    if isinstance(found, Cover):
        hidden = dict.fromkeys(("code", "department", "state", "version", "row_version", "changed_at"))
        why = NotSharedAnswer(found.basis_kind.value, found.basis)
        return {"name": str(found.name), "title": found.title, "not_shared": why} | hidden
    return {
        "name": str(found.name),
        "code": found.code,
        "title": found.title,
        "department": found.department,
        "state": str(found.state),
        "version": found.version,
        "row_version": found.row_version,
        "changed_at": found.changed_at,
    }


def application_answer(found: ApplicationRecord, clock: StepClock | None) -> ApplicationAnswer:
    """Return an application with its clock."""
    asked = {name: getattr(found, name) for name in ApplicationAnswer.__struct_fields__ if name not in ("clock", "quota")}
    quota = None if found.quota is None else QuotaForm(**found.quota.document())
    return ApplicationAnswer(**asked, clock=clock_answer(clock), quota=quota)


def clock_answer(clock: StepClock | None) -> ClockAnswer | None:
    """Return a clock, None where nobody is waited for."""
    return None if clock is None else ClockAnswer(**{name: getattr(clock, name) for name in ClockAnswer.__struct_fields__})


def quota_given(form: QuotaForm | None) -> dict[str, int] | None:
    """Return a quota as the registry takes it."""
    return None if form is None else msgspec.to_builtins(form)


def history_answer(steps: Sequence[StepRecord]) -> HistoryAnswer:
    """Return a history."""
    return HistoryAnswer([StepAnswer(s.n, s.at, s.by, s.event, s.from_state, s.to_state, s.why, s.detail) for s in steps])


FORMS = (
    *(StepBody, HandOverBody, ApproveBody, ApplyBody, ResourcePage, ResourceAnswer),
    *(HistoryAnswer, ApplicationPage, ApplicationAnswer),
    *(NationalEntry, ImportAnswer, TemplateAnswer),
)
