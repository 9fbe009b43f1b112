"""Demands by HTTP: the three lists, each step on the version it was decided on, the analysis, and what is late.

The lists are for every account: who asks for what, who is to provide it, what is not shared and why. The rest of a demand, its
purpose and its history, is for the department that asked, for the one that is appointed, and for the centre.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from catalog_registry.acting import EVERYBODY, OVERSEEING, SEEING, Duty, Sight, check_duty, sight
from catalog_registry.demand_clock import demand_clock
from catalog_registry.demand_records import DemandRecord
from catalog_registry.demand_states import DEMANDING, DUTIES_OF_DEMAND, LISTED, DemandEvent, DemandState
from catalog_registry.overdue import by_department
from catalog_registry.records import PrincipalRecord
from catalog_registry.registry import Registry
from catalog_registry.step_clock import StepClock
from exchange.api.asking import Body, asker, body_of
from exchange.api.demand_forms import (
    AnalysisAnswer,
    AppointBody,
    DemandAnswer,
    DemandBody,
    DemandPage,
    FulfilBody,
    NegativePage,
    OverdueAnswer,
    PromiseBody,
    RefuseDemandBody,
    analysis_answer,
    demand_answer,
    demand_line,
    negative_page,
    overdue_answer,
)
from exchange.api.registry_forms import HistoryAnswer, StepBody, history_answer
from exchange.api.registry_frame import (
    ID,
    Problems,
    add_route,
    in_thread,
    json_answer,
    page_of,
    read_known,
    recorded,
    version_of,
)
from exchange.api.services import Services
from schemas.clock import CHINA
from schemas.errors import Fault, RejectedError

DEMANDS: Final = "/api/v1/demands"
KIND: Final = "registry.demand"
WATCHING: Final = tuple(Duty(role, own=False) for role in OVERSEEING)
"""Who sees what is everybody's."""

_KEY: Final = re.compile(r"(demand|resource)/[0-9a-z_]{1,48}")
_DAYS: Final = 90
"""Days that an analysis looks back where nobody says since when."""
_INVOLVED: Final = "the own department asked, or is to provide it"
_LINES: Final = "the lines of the list; the whole of a demand is for who asked, who is to provide it, and the centre"

Adds = Callable[[Callable[[Request], Awaitable[Response]]], None]
"""Adds what answers as a route."""

Act = Callable[[Registry, str, str, int], DemandRecord]
"""Takes one step of a demand: its id, the principal, the version; in a thread."""


def demand_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""
    _lists(app, services, problems)
    _analyses(app, services, problems)
    _steps(app, services, problems)


def _route(app: FastAPI, services: Services, problems: Problems) -> Callable[..., Adds]:
    def route(method: str, path: str, **words: Any) -> Adds:
        return add_route(app, services, problems, method, DEMANDS + path, tag="demands", **words)

    return route


def _lists(app: FastAPI, services: Services, problems: Problems) -> None:
    route = _route(app, services, problems)
    of = {"department": "code of the department whose lines are wanted"}

    def page(name: str, request: Request) -> tuple[Mapping[str, Any], int]:
        asker(services, request)
        after, limit = page_of(request, ID, also=("state", "department"))
        department = request.query_params.get("department")
        return {name: department, "after": after, "limit": limit + 1}, limit

    async def answered(read: Callable[[], Sequence[DemandRecord]], limit: int) -> Response:
        rows = await in_thread(services.reads, read)
        following = rows[limit - 1].id if len(rows) > limit else None
        return json_answer(DemandPage([demand_line(row, _clock(services, row)) for row in rows[:limit]], following))

    @route(
        "GET",
        "",
        summary="List the demands",
        answer=DemandPage,
        listed=True,
        who=EVERYBODY,
        note=_LINES,
        query=of | {"state": f"one of {', '.join(LISTED)}"},
    )
    async def demands(request: Request) -> Response:
        """The demand list 需求清单, oldest first: refused and unanswered ones too, without what was taken back."""
        wanted, limit = page("department", request)
        state = request.query_params.get("state")
        if state is not None and state not in LISTED:
            raise RejectedError(f"a state is one of {', '.join(LISTED)}", code="request.state", fault=Fault.CLIENT)
        states = LISTED if state is None else (DemandState(state),)
        return await answered(lambda: services.hub.registry.demands(states, **wanted), limit)

    @route(
        "GET",
        "/responsibility",
        summary="List who promised what",
        answer=DemandPage,
        listed=True,
        who=EVERYBODY,
        note=_LINES,
        query=of,
    )
    async def responsibility(request: Request) -> Response:
        """The responsibility list 责任清单: what departments took upon themselves, by when, and what it led to."""
        wanted, limit = page("assigned", request)
        return await answered(lambda: services.hub.registry.responsibilities(**wanted), limit)

    @route("GET", "/negative", summary="List what is not shared", answer=NegativePage, listed=True, who=EVERYBODY, query=of)
    async def negative(request: Request) -> Response:
        """The negative list 负面清单: demands that were refused, published resources of sharing type 3, each with its basis."""
        asker(services, request)
        after, limit = page_of(request, _KEY, also=("department",))
        department = request.query_params.get("department")
        rows = await in_thread(
            services.reads,
            lambda: services.hub.registry.negatives(department=department, after=after, limit=limit + 1),
        )
        return json_answer(negative_page(rows[:limit], rows[limit - 1].key if len(rows) > limit else None))


def _analyses(app: FastAPI, services: Services, problems: Problems) -> None:
    @_route(app, services, problems)(
        "GET",
        "/analysis",
        summary="Analyse what is asked for and not found",
        answer=AnalysisAnswer,
        denied=True,
        who=WATCHING,
        query={"since": f"first day, of China; default: {_DAYS} days ago", "until": "first day after; default: tomorrow"},
    )
    async def analysis(request: Request) -> Response:
        """What was asked for and refused, by resource, field and reason; what demands want; what was searched and not found."""
        who = asker(services, request)
        check_duty(who, "analyse demand", WATCHING, who.department)
        first, last = days_of(request, services.clock.now(), "since", "until", _DAYS)
        since, until = (datetime(day.year, day.month, day.day, tzinfo=CHINA) for day in (first, last))
        found = await in_thread(services.reads, lambda: services.hub.registry.demand_analysis(since, until))
        return json_answer(analysis_answer(since, until, found))

    @add_route(
        app,
        services,
        problems,
        "GET",
        "/api/v1/overdue",
        tag="applications",
        summary="Show what is late, by department",
        answer=OverdueAnswer,
        denied=True,
        who=SEEING,
        note="what waits for the own department; centre, security officer and auditor see all",
    )
    async def overdue(request: Request) -> Response:
        """Show what should have been done by now, by the department that has it: of everything that has a clock."""
        who = asker(services, request)
        check_duty(who, "see what is late", SEEING, who.department)
        seen, now, hub = sight(who), services.clock.now(), services.hub
        late = await in_thread(services.reads, lambda: hub.registry.late(rules=hub.clock_rules, of=hub.workdays, now=now))
        shown = [one for one in late if seen.of_department(*([] if one.clock.department is None else [one.clock.department]))]
        return json_answer(overdue_answer(now, by_department(shown)))


def _steps(app: FastAPI, services: Services, problems: Problems) -> None:
    route = _route(app, services, problems)

    @route(
        "POST",
        "",
        summary="Ask for data that is in no catalogue",
        body=DemandBody,
        answer=DemandAnswer,
        made=True,
        tagged=True,
        who=DEMANDING,
    )
    async def ask(request: Request) -> Response:
        """Ask, in the name of the principal's department. The centre appoints who is to provide it, or returns the demand."""
        who, body = asker(services, request), await body_of(request, DemandBody)
        asked = {name: getattr(body, name) for name in body.__struct_fields__}
        done = await _done(services, who, "ask", lambda: services.registry.ask(**asked, by=who.id))
        answer = _answer(services, done, status=201)
        answer.headers["location"] = f"{DEMANDS}/{done.id}"
        return answer

    @route("GET", "/{id}", summary="Show a demand", answer=DemandAnswer, tagged=True, who=SEEING, note=_INVOLVED)
    async def demand(request: Request) -> Response:
        """Show a demand with its clock to the department that asked, to the one that is appointed, and to the centre."""
        return _answer(services, await _demand(services, sight(asker(services, request)), request.path_params["id"]))

    @route("GET", "/{id}/history", summary="Show what was done to a demand", answer=HistoryAnswer, who=SEEING, note=_INVOLVED)
    async def demand_history(request: Request) -> Response:
        """Show who did what, when and why."""
        found = await _demand(services, sight(asker(services, request)), request.path_params["id"])
        steps = await in_thread(services.reads, lambda: services.hub.registry.demand_history(found.id))
        return json_answer(history_answer(steps))

    def step(event: DemandEvent, words: str, body: type[Body], act: Callable[[Body], Act]) -> None:
        @route(
            "POST",
            f"/{{id}}/{event}",
            summary=words,
            body=body,
            answer=DemandAnswer,
            tagged=True,
            who=DUTIES_OF_DEMAND[event],
        )
        async def taken(request: Request) -> Response:
            """Take a step of a demand."""
            who = asker(services, request)
            found = await _demand(services, sight(who), request.path_params["id"])
            version, given = version_of(request, found.id), await body_of(request, body)
            done = await _done(services, who, event, lambda: act(given)(services.registry, found.id, who.id, version))
            return _answer(services, done)

    step(
        DemandEvent.APPOINT,
        "Appoint the department that is to provide it",
        AppointBody,
        lambda b: lambda r, d, who, v: r.appoint(d, b.department, by=who, version=v, why=b.why),
    )
    step(
        DemandEvent.RETURN,
        "Give a demand back as not in order",
        StepBody,
        lambda b: lambda r, d, who, v: r.return_demand(d, by=who, version=v, why=b.why),
    )
    step(
        DemandEvent.ACCEPT,
        "Take the responsibility, with a day",
        PromiseBody,
        lambda b: lambda r, d, who, v: r.accept_demand(d, b.promised_on, by=who, version=v, why=b.why),
    )
    step(
        DemandEvent.REFUSE,
        "Refuse a demand on a ground of law",
        RefuseDemandBody,
        lambda b: lambda r, d, who, v: r.refuse_demand(d, b.basis_kind, by=who, version=v, why=b.why),
    )
    step(
        DemandEvent.FULFIL,
        "Name the resource that a demand led to",
        FulfilBody,
        lambda b: lambda r, d, who, v: r.fulfil_demand(d, b.resource, by=who, version=v, why=b.why),
    )
    step(
        DemandEvent.CANCEL,
        "Take an own demand back",
        StepBody,
        lambda b: lambda r, d, who, v: r.cancel_demand(d, by=who, version=v, why=b.why),
    )


def days_of(request: Request, now: datetime, first: str, last: str, back: int) -> tuple[date, date]:
    """Return the half-open interval of days that a request names by two parameters; default: some days back, up to today.

    Raises:
        RejectedError: one is no day such as 2026-10-08, or the interval is empty (``request.days``).
    """
    today = now.astimezone(CHINA).date()
    try:
        begins, ends = (
            date.fromisoformat(given) if (given := request.query_params.get(name)) is not None else default
            for name, default in ((first, today - timedelta(days=back)), (last, today + timedelta(days=1)))
        )
    except ValueError:
        begins = ends = today
    if begins >= ends:
        raise RejectedError(
            f"{first} and {last} are days such as 2026-10-08, the second after the first",
            code="request.days",
            fault=Fault.CLIENT,
        )
    return begins, ends


async def _demand(services: Services, seen: Sight, demand: str) -> DemandRecord:
    found = await read_known(services, services.hub.registry.demand, demand, ID, "demand.unknown")
    if found is None or not seen.of_department(found.department, *([found.assigned] if found.assigned else [])):
        raise RejectedError("there is no such demand", code="demand.unknown", fault=Fault.CLIENT)
    return found


def _clock(services: Services, found: DemandRecord) -> StepClock | None:
    hub = services.hub
    return demand_clock(found, rules=hub.clock_rules, of=hub.workdays, now=services.clock.now())


def _answer(services: Services, found: DemandRecord, *, status: int = 200) -> Response:
    return json_answer(demand_answer(found, _clock(services, found)), tag=found.version, status=status)


async def _done(services: Services, who: PrincipalRecord, event: str, act: Callable[[], DemandRecord]) -> DemandRecord:
    def told(after: DemandRecord) -> Mapping[str, Any]:
        manifest = {"demand": after.id, "event": str(event), "state": after.state.value, "version": after.version}
        return {"manifest": manifest if after.resource is None else manifest | {"resource": after.resource}}

    return await recorded(services, who, KIND, event, None, act, told)
