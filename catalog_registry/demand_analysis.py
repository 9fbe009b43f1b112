"""The analysis of demand for the centre: what is asked for and refused, and what is searched and not found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Integer, String, case, column, func, select, table, text
from sqlalchemy.orm import Session

from catalog_registry.demand_states import LISTED, DemandState
from catalog_registry.resources import Resources
from catalog_registry.states import ApplicationState
from catalog_registry.store.demand_tables import Demand, DemandHistory
from catalog_registry.store.tables import Application, ApplicationHistory, Grant

_NUMBER: Final = re.compile(r"[0-9]{6}")
"""Whoever searches may write a person's number; words with so many digits are counted and not shown."""


@dataclass(frozen=True, slots=True)
class AskedResource:
    """How often a resource was asked for, by how many departments, and how that ended; ``less``: granted with fewer fields."""

    resource: str
    asked: int
    departments: int
    granted: int
    less: int
    refused: int
    returned: int


@dataclass(frozen=True, slots=True)
class AskedField:
    """How often a field of a resource was asked for, and not given: refused, returned, or left out of what was granted."""

    resource: str
    field: str
    asked: int
    not_given: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something was refused, and how often with these words. ``resource`` is None of a demand, which names none yet."""

    kind: str
    resource: str | None
    department: str
    reason: str
    times: int


@dataclass(frozen=True, slots=True)
class WantedField:
    """A field that demands ask for, in their words: of how many departments, and of how many demands that are not fulfilled."""

    field: str
    demands: int
    departments: int
    open: int


@dataclass(frozen=True, slots=True)
class Miss:
    """Words that were searched and not found: how often, by how many departments, and when last."""

    words: str
    times: int
    departments: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Misses:
    """What was searched and not found, the most frequent first.

    ``withheld`` is how often words were searched that are not shown, because a person's number may stand in them.
    """

    words: Sequence[Miss]
    withheld: int


@dataclass(frozen=True, slots=True)
class DemandAnalysis:
    """What was asked for in an interval, the most frequent first. ``misses`` is None where searches are not written down."""

    resources: Sequence[AskedResource]
    fields: Sequence[AskedField]
    refusals: Sequence[Refusal]
    demands: Mapping[str, int]
    wanted: Sequence[WantedField]
    misses: Misses | None


class Analysis(Resources):
    """What departments need and do not get."""

    def demand_analysis(self, since: datetime, until: datetime, *, most: int = 50) -> DemandAnalysis:
        """Return what was asked for in [``since``, ``until``), each list with ``most`` lines at most."""
        with self._database.read() as session:
            return DemandAnalysis(
                resources=_resources(session, since, until, most),
                fields=_fields(session, since, until, most),
                refusals=_refusals(session, since, until, most),
                demands=_states(session, since, until),
                wanted=_wanted(session, since, until, most),
                misses=search_misses(session, since, until, most),
            )


def search_misses(session: Session, since: datetime, until: datetime, most: int) -> Misses | None:
    """Return what was searched and not found, None where there is no table of it.

    It reads ``registry.search_miss (words text, at timestamptz, department text)``, a row for each search without a hit.
    """
    if session.scalar(text("SELECT to_regclass('registry.search_miss')")) is None:
        return None
    miss: Any = table("search_miss", column("words", String), column("at"), column("department", String), schema="registry").c
    times = func.count().label("times")
    query = (
        select(miss.words, times, func.count(miss.department.distinct()), func.max(miss.at))
        .where(miss.at >= since, miss.at < until)
        .group_by(miss.words)
        .order_by(times.desc(), miss.words)
    )
    words: list[Miss] = []
    withheld = 0
    for said, count, departments, last_at in session.execute(query.execution_options(yield_per=1000)):
        if _NUMBER.search(said):
            withheld += count
        elif len(words) < most:
            words.append(Miss(said, count, departments, last_at))
    return Misses(words, withheld)


def _ended(*states: ApplicationState) -> Any:
    return func.sum(case((Application.state.in_(states), 1), else_=0)).cast(Integer)


def _resources(session: Session, since: datetime, until: datetime, most: int) -> list[AskedResource]:
    asked = func.count().label("asked")
    less = func.sum(case((func.cardinality(Grant.fields) < func.cardinality(Application.fields), 1), else_=0)).cast(Integer)
    query = (
        select(
            Application.resource,
            asked,
            func.count(Application.department.distinct()),
            _ended(ApplicationState.GRANTED),
            less,
            _ended(ApplicationState.REFUSED),
            _ended(ApplicationState.RETURNED),
        )
        .outerjoin(Grant, Grant.id == Application.grant_id)
        .where(Application.made_at >= since, Application.made_at < until)
        .group_by(Application.resource)
        .order_by(asked.desc(), Application.resource)
        .limit(most)
    )
    return [AskedResource(*row) for row in session.execute(query)]


def _fields(session: Session, since: datetime, until: datetime, most: int) -> list[AskedField]:
    each = (
        select(Application.resource, Application.state, Application.grant_id, func.unnest(Application.fields).label("field"))
        .where(Application.made_at >= since, Application.made_at < until)
        .subquery()
    )
    of = each.c
    kept = case((of.state == ApplicationState.GRANTED, of.field == func.any(Grant.fields)), else_=False)
    gone = of.state.in_((ApplicationState.GRANTED, ApplicationState.REFUSED, ApplicationState.RETURNED))
    asked, not_given = func.count().label("asked"), func.count().filter(gone, ~kept).label("not_given")
    query = (
        select(of.resource, of.field, asked, not_given)
        .select_from(each)
        .outerjoin(Grant, Grant.id == of.grant_id)
        .group_by(of.resource, of.field)
        .order_by(not_given.desc(), asked.desc(), of.resource, of.field)
        .limit(most)
    )
    return [AskedField(*row) for row in session.execute(query)]


def _refusals(session: Session, since: datetime, until: datetime, most: int) -> list[Refusal]:
    times = func.count().label("times")
    why = func.coalesce(ApplicationHistory.why, "").label("why")
    applications = (
        select(Application.resource, Application.assigned, why, times)
        .join(ApplicationHistory, ApplicationHistory.application == Application.id)
        .where(ApplicationHistory.event == "refuse", ApplicationHistory.at >= since, ApplicationHistory.at < until)
        .group_by(Application.resource, Application.assigned, why)
        .order_by(times.desc(), Application.resource, why)
        .limit(most)
    )
    by, said = DemandHistory.detail["department"].astext, func.coalesce(DemandHistory.why, "")
    demands = (
        select(by, said, times)
        .where(DemandHistory.event == "refuse", DemandHistory.at >= since, DemandHistory.at < until)
        .group_by(by, said)
        .order_by(times.desc(), by, said)
        .limit(most)
    )
    found = [Refusal("application", *row) for row in session.execute(applications)]
    found += [Refusal("demand", None, *row) for row in session.execute(demands)]
    return sorted(found, key=lambda one: (-one.times, one.kind, one.resource or "", one.reason))[:most]


def _states(session: Session, since: datetime, until: datetime) -> dict[str, int]:
    query = select(Demand.state, func.count()).where(Demand.made_at >= since, Demand.made_at < until).group_by(Demand.state)
    return dict(session.execute(query.order_by(Demand.state)).all())


def _wanted(session: Session, since: datetime, until: datetime, most: int) -> list[WantedField]:
    each = (
        select(Demand.department, Demand.state, func.unnest(Demand.fields).label("field"))
        .where(Demand.made_at >= since, Demand.made_at < until)
        .subquery()
    )
    of = each.c
    demands = func.count().label("demands")
    unfulfilled = func.count().filter(of.state.in_([state for state in LISTED if state is not DemandState.FULFILLED]))
    query = (
        select(of.field, demands, func.count(of.department.distinct()), unfulfilled)
        .group_by(of.field)
        .order_by(demands.desc(), of.field)
        .limit(most)
    )
    return [WantedField(*row) for row in session.execute(query)]
