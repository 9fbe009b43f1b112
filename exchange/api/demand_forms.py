"""What the routes of demands, ratings, usage and overdue answers take and give, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any

import msgspec

from catalog_registry.demand_analysis import AskedField, AskedResource, DemandAnalysis, Miss, Refusal, WantedField
from catalog_registry.demand_records import DemandRecord, LateDepartment, NegativeRecord, RatingRecord
from catalog_registry.step_clock import StepClock
from exchange.api.registry_forms import ClockAnswer, StepBody, _Body, _Names, _Short, _Text, clock_answer
from exchange.trust.usage import Usage


class DemandBody(_Body, frozen=True):
    """What a department asks for that is in no catalogue."""

    title: Annotated[
        _Short, msgspec.Meta(description="what is asked for, in a few words; everybody is shown it: no data of people")
    ]
    description: Annotated[_Text, msgspec.Meta(description="what it is, and why it is needed")]
    fields: Annotated[
        _Names, msgspec.Meta(description="the fields that are wanted, in the words of who asks; everybody is shown them")
    ]
    legal_basis: Annotated[_Text, msgspec.Meta(description="the law or document that allows it")]
    purposes: Annotated[_Names, msgspec.Meta(description="what for, such as accept_case")] = msgspec.field(default_factory=list)
    items: Annotated[_Names, msgspec.Meta(description="codes of the service items it is for")] = msgspec.field(
        default_factory=list
    )
    cycle: Annotated[_Short | None, msgspec.Meta(description="how often it should be updated: 1 to 9, or 每日; null: any")] = (
        None
    )


class AppointBody(_Body, frozen=True):
    """Which department is to provide it."""

    department: Annotated[_Short, msgspec.Meta(description="code of the department")]
    why: Annotated[_Text, msgspec.Meta(description="the reason, needed where another one was appointed before")] = ""


class PromiseBody(_Body, frozen=True):
    """By when it will be registered and published."""

    promised_on: Annotated[date, msgspec.Meta(description="the last day, of China")]
    why: Annotated[_Text, msgspec.Meta(description="a remark, which is kept")] = ""


class RefuseDemandBody(_Body, frozen=True):
    """On which ground it is refused."""

    basis_kind: Annotated[_Short, msgspec.Meta(description="1 法律法规, 2 政策文件, 3 敏感 or 4 其他")]
    why: Annotated[_Text, msgspec.Meta(description="the law or document with its clause; everybody is shown it")]


class FulfilBody(_Body, frozen=True):
    """The resource that it led to."""

    resource: Annotated[_Short, msgspec.Meta(description="name of a published resource of the department")]
    why: Annotated[_Text, msgspec.Meta(description="a remark, which is kept")] = ""


class DemandLine(msgspec.Struct, frozen=True):
    """A demand in a list: what everybody may know of it."""

    id: str
    title: str
    department: Annotated[str, msgspec.Meta(description="who asks")]
    fields: Sequence[str]
    cycle: str | None
    state: str
    version: Annotated[int, msgspec.Meta(description="raised by every step; the number in the ETag")]
    assigned: Annotated[str | None, msgspec.Meta(description="who is to provide it")]
    promised_on: date | None
    refusal_kind: str | None
    refusal: str | None
    resource: str | None
    made_at: datetime
    changed_at: datetime
    clock: Annotated[ClockAnswer | None, msgspec.Meta(description="null where nobody is waited for")]


class DemandAnswer(DemandLine, frozen=True, kw_only=True):
    """A demand."""

    description: str
    purposes: Sequence[str]
    items: Sequence[str]
    legal_basis: str
    asker: str
    appointed_by: str | None
    answered_by: str | None


class DemandPage(msgspec.Struct, frozen=True):
    """Some demands, oldest first. ``next`` is the ``after`` of the page that follows, null on the last one."""

    demands: Sequence[DemandLine]
    next: str | None


class NegativeLine(msgspec.Struct, frozen=True):
    """What is not shared: a demand that was refused, or a resource of sharing type 3."""

    key: Annotated[str, msgspec.Meta(description="demand/<id> or resource/<name>")]
    title: str
    department: str
    basis_kind: Annotated[str, msgspec.Meta(description="1 法律法规, 2 政策文件, 3 敏感, 4 其他")]
    basis: str
    at: datetime


class NegativePage(msgspec.Struct, frozen=True):
    """Some of what is not shared. ``next`` is the ``after`` of the page that follows, null on the last one."""

    negatives: Sequence[NegativeLine]
    next: str | None


class RateBody(_Body, frozen=True):
    """How good it is what the department gets."""

    score: Annotated[int, msgspec.Meta(description="1 (of no use) to 5 (as needed)")]
    comment: Annotated[_Text, msgspec.Meta(description="shown to the provider: no data of people")] = ""


class RatingAnswer(msgspec.Struct, frozen=True):
    """The rating of a department; ``score`` is null and ``version`` 0 where it rated nothing yet."""

    resource: str
    department: str
    score: int | None
    comment: str | None
    version: Annotated[int, msgspec.Meta(description="raised by every change; the number in the ETag")]
    at: datetime | None


class RatingsAnswer(msgspec.Struct, frozen=True):
    """The ratings of a resource, by department: of all departments, or of the own one."""

    ratings: Sequence[RatingAnswer]


class UsageLineAnswer(msgspec.Struct, frozen=True):
    """How often a consumer used a resource, on one ground; what stands for nothing is empty."""

    day: Annotated[date | None, msgspec.Meta(description="of China; null where the days are added up")]
    kind: Annotated[str, msgspec.Meta(description="licence.lookup or resource.query")]
    resource: str
    department: str
    system: str
    grant: str
    purpose: str
    item: str
    allowed: Annotated[int, msgspec.Meta(description="answers begun")]
    refused: Annotated[int, msgspec.Meta(description="answers refused, whatever was named as their ground")]
    cut: Annotated[int, msgspec.Meta(description="answers that ended too early")]
    rows: Annotated[int, msgspec.Meta(description="rows given")]


class UsagePage(msgspec.Struct, frozen=True):
    """Some sums. ``next`` is the ``after`` of the page that follows, null on the last one."""

    counted_at: Annotated[datetime | None, msgspec.Meta(description="what the ledger held then is counted")]
    lines: Sequence[UsageLineAnswer]
    next: str | None


class LateAnswer(msgspec.Struct, frozen=True):
    """Something that should have been checked or answered by now."""

    kind: Annotated[str, msgspec.Meta(description="application, demand, correction, notice or destruction")]
    id: str
    title: Annotated[str, msgspec.Meta(description="the resource of an application, the title of a demand")]
    of: Annotated[str, msgspec.Meta(description="the department that asked")]
    state: str
    clock: ClockAnswer


class LateDepartmentAnswer(msgspec.Struct, frozen=True):
    """What is late at one department, the longest first."""

    department: Annotated[str | None, msgspec.Meta(description="null: the centre")]
    counts: Annotated[Mapping[str, int], msgspec.Meta(description="how many, by kind")]
    oldest: Annotated[date | None, msgspec.Meta(description="the last day of what is late longest")]
    late: Sequence[LateAnswer]


class OverdueAnswer(msgspec.Struct, frozen=True):
    """What is late, by the department that has it, the centre last."""

    at: datetime
    departments: Sequence[LateDepartmentAnswer]


class MissesAnswer(msgspec.Struct, frozen=True):
    """What was searched and not found; words in which a person's number may stand are counted and not shown."""

    words: Sequence[Miss]
    withheld: int


class AnalysisAnswer(msgspec.Struct, frozen=True):
    """What was asked for in an interval, the most frequent first. ``misses`` is null where searches are not written down."""

    since: datetime
    until: datetime
    resources: Sequence[AskedResource]
    fields: Sequence[AskedField]
    refusals: Sequence[Refusal]
    demands: Annotated[Mapping[str, int], msgspec.Meta(description="how many demands, by the state they are in now")]
    wanted: Sequence[WantedField]
    misses: MissesAnswer | None


def demand_line(found: DemandRecord, clock: StepClock | None) -> DemandLine:
    """Return a demand for a list."""
    return DemandLine(**_named(found, DemandLine), clock=clock_answer(clock))


def demand_answer(found: DemandRecord, clock: StepClock | None) -> DemandAnswer:
    """Return a demand with its clock."""
    return DemandAnswer(**_named(found, DemandAnswer), clock=clock_answer(clock))


def negative_page(rows: Sequence[NegativeRecord], following: str | None) -> NegativePage:
    """Return a page of the negative list."""
    return NegativePage([NegativeLine(**_named(row, NegativeLine)) for row in rows], following)


def rating_answer(found: RatingRecord) -> RatingAnswer:
    """Return a rating."""
    return RatingAnswer(**_named(found, RatingAnswer))


def usage_page(found: Usage, following: str | None) -> UsagePage:
    """Return a page of sums."""
    return UsagePage(found.counted_at, [UsageLineAnswer(**_named(line, UsageLineAnswer)) for line in found.lines], following)


def overdue_answer(at: datetime, found: Sequence[LateDepartment]) -> OverdueAnswer:
    """Return what is late, by department."""
    rows = []
    for one in found:
        late = [LateAnswer(**(_named(row, LateAnswer) | {"clock": clock_answer(row.clock)})) for row in one.late]
        rows.append(LateDepartmentAnswer(one.department, one.counts, one.oldest, late))
    return OverdueAnswer(at, rows)


def analysis_answer(since: datetime, until: datetime, found: DemandAnalysis) -> AnalysisAnswer:
    """Return the analysis of an interval."""
    lists = {name: getattr(found, name) for name in ("resources", "fields", "refusals", "demands", "wanted")}
    misses = None if found.misses is None else MissesAnswer(found.misses.words, found.misses.withheld)
    return AnalysisAnswer(since, until, **lists, misses=misses)


def _named(found: object, form: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: getattr(found, name) for name in form.__struct_fields__ if name != "clock"}


FORMS = (
    *(StepBody, DemandBody, AppointBody, PromiseBody, RefuseDemandBody, FulfilBody, DemandPage, DemandAnswer, NegativePage),
    *(RateBody, RatingAnswer, RatingsAnswer, UsagePage, OverdueAnswer, AnalysisAnswer),
)
