"""Correction requests by HTTP: asked, answered, mediated, closed; what is late; and the notices to those who received it.

What was written is shown to those involved, and each such reading is in the ledger before its answer leaves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import groupby
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from catalog_registry.acting import SEEING, Sight, check_duty, sight
from catalog_registry.correction_life import (
    ASKING,
    DUTIES_OF_CORRECTION,
    KNOWING_RECEIVERS,
    NOTIFIED,
    clock_of,
)
from catalog_registry.correction_records import CorrectionRecord, NoticeRecord
from catalog_registry.correction_words import CorrectionEvent, CorrectionState
from catalog_registry.records import PrincipalRecord
from catalog_registry.registry import Registry
from catalog_registry.step_clock import StepClock, late_first
from exchange.api.asking import Body, asker, body_of
from exchange.api.correction_forms import (
    AskCorrectionBody,
    CorrectionAnswer,
    CorrectionNoticeAnswer,
    CorrectionNoticePage,
    CorrectionPage,
    LateCorrectionsAnswer,
    LateDepartment,
    ResolveBody,
    correction_answer,
    correction_line,
    notice_answer,
)
from exchange.api.registry_forms import HandOverBody, HistoryAnswer, StepBody, history_answer
from exchange.api.registry_frame import (
    ID,
    MOST,
    NAME,
    Problems,
    add_route,
    in_thread,
    json_answer,
    page_of,
    read_known,
    recorded,
    version_of,
)
from exchange.api.registry_routes import seen_resource
from exchange.api.services import Services
from exchange.corrections.ask import Prepared, prepared_correction
from exchange.corrections.row import proved_run
from exchange.corrections.words import Words, check_reason, open_words
from exchange.trust.record import LedgerRecord
from schemas.errors import Fault, RejectedError

CORRECTIONS: Final = "/api/v1/corrections"
KIND: Final = "registry.correction"
READ_KIND: Final = "correction.read"

_INVOLVED: Final = "the own department asked for it, answers it or has its resource"
_TOLD: Final = "the own department was told"
_FILTERS: Final[Mapping[str, str]] = {
    "state": f"only those in it: {', '.join(CorrectionState)}",
    "resource": "only those of a resource",
    "department": "only those that a department asked for",
    "assigned": "only those that a department is to answer or correct",
}

Act = Callable[[Registry, CorrectionRecord, PrincipalRecord, int], CorrectionRecord]
"""Takes one step of a request that may be seen, in the name of a principal, on a version; in a thread."""


def correction_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""

    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, method, CORRECTIONS + path, tag="corrections", **words)

    _lists(route, services)  # before the requests: ``late`` and ``notices`` are no ids
    _requests(route, services)
    _steps(route, services)


Route = Callable[..., Callable[[Callable[[Request], Awaitable[Response]]], None]]


def _lists(route: Route, services: Services) -> None:
    @route(
        "GET",
        "",
        summary="List the correction requests",
        answer=CorrectionPage,
        listed=True,
        who=SEEING,
        note=_INVOLVED,
        query=_FILTERS,
    )
    async def corrections(request: Request) -> Response:
        """List what the own department asked for and what is asked of it; centre and auditor see all. No words are shown."""
        seen = sight(asker(services, request))
        after, limit = page_of(request, ID, also=_FILTERS)
        wanted = _filters(request)
        rows = await in_thread(
            services.reads,
            lambda: services.hub.registry.corrections(**wanted, seen=seen, after=after, limit=limit + 1),
        )
        following = rows[limit - 1].id if len(rows) > limit else None
        return json_answer(CorrectionPage([correction_line(r, _clock(services, r)) for r in rows[:limit]], following))

    @route("GET", "/late", summary="List what is late, by who has it", answer=LateCorrectionsAnswer, who=SEEING, note=_INVOLVED)
    async def late(request: Request) -> Response:
        """List the requests whose last day is over, by the department that has to answer or correct; null is the centre."""
        seen = sight(asker(services, request))
        rows = await in_thread(services.reads, lambda: services.hub.registry.corrections(waiting=True, seen=seen))
        return json_answer(late_answer([(row, _clock(services, row)) for row in rows]))

    @route(
        "GET",
        "/notices",
        summary="List the notices",
        answer=CorrectionNoticePage,
        listed=True,
        who=SEEING,
        note=_TOLD,
        query={"unread": "yes: only those that nobody acknowledged"},
    )
    async def notices(request: Request) -> Response:
        """List what the own department was told: something that it received is wrong, or was corrected; officers see all."""
        seen = sight(asker(services, request))
        after, limit = page_of(request, ID, also=("unread",))
        unread = request.query_params.get("unread") == "yes"
        return await _notice_page(services, limit, unread=unread, seen=seen, after=after)

    @route(
        "POST",
        "/notices/{id}/acknowledge",
        summary="Acknowledge a notice",
        answer=CorrectionNoticeAnswer,
        denied=True,
        who=NOTIFIED,
    )
    async def acknowledge(request: Request) -> Response:
        """Say, for the department that was told, that the notice was read. A second time changes nothing."""
        who = asker(services, request)
        found = await _notice(services, sight(who), request.path_params["id"])

        def told(after: NoticeRecord) -> Mapping[str, Any]:
            return {"manifest": {"correction": after.correction, "event": "acknowledge", "notice": after.id}}

        done = await recorded(
            services,
            who,
            KIND,
            "acknowledge",
            found.resource,
            lambda: services.registry.acknowledge_correction(found.id, by=who.id),
            told,
        )
        return json_answer(notice_answer(done))


def _requests(route: Route, services: Services) -> None:
    @route(
        "POST",
        "",
        summary="Ask for a correction",
        body=AskCorrectionBody,
        answer=CorrectionAnswer,
        made=True,
        tagged=True,
        who=ASKING,
    )
    async def ask(request: Request) -> Response:
        """Ask that one row, or a whole resource, be corrected. Whether there is such a row is not told."""
        who = asker(services, request)
        body = await body_of(request, AskCorrectionBody)
        found = await seen_resource(services, sight(who), body.resource)

        def prepared() -> Prepared:
            return prepared_correction(
                services.hub,
                found.name,
                department=who.department,
                type_=body.type,
                content=body.content,
                evidence=body.evidence,
                fields=body.fields,
                row=body.row,
                answer=body.answer,
            )

        ready = await in_thread(services.reads, prepared)  # the store is not looked at while other steps wait
        done = await _done(services, who, "ask", found.name, lambda: ready.ask(services.registry, by=who.id))
        answer = _answer(services, done, status=201)
        answer.headers["location"] = f"{CORRECTIONS}/{done.id}"
        return answer

    @route(
        "GET", "/{id}", summary="Show a correction request", answer=CorrectionAnswer, tagged=True, who=SEEING, note=_INVOLVED
    )
    async def correction(request: Request) -> Response:
        """Show a request with its clock and what was written; that it was read is on record."""
        who = asker(services, request)
        found = await _correction(services, sight(who), request.path_params["id"])
        record = LedgerRecord(
            kind=READ_KIND,
            outcome="done",
            principal=who.id,
            department=who.department,
            system=who.system,
            resource=found.resource,
            manifest={"correction": found.id},
        )
        await services.ledger.append(record)
        return _answer(services, found, open_words(found, services.hub.keys))

    @route(
        "GET",
        "/{id}/history",
        summary="Show what was done to a correction request",
        answer=HistoryAnswer,
        who=SEEING,
        note=_INVOLVED,
    )
    async def correction_history(request: Request) -> Response:
        """Show who did what, when and why; of a row that was corrected, its hash before and after."""
        found = await _correction(services, sight(asker(services, request)), request.path_params["id"])
        return json_answer(
            history_answer(await in_thread(services.reads, lambda: services.hub.registry.correction_history(found.id)))
        )

    @route(
        "GET",
        "/{id}/notices",
        summary="Show who received it and was told",
        answer=CorrectionNoticePage,
        listed=True,
        denied=True,
        who=KNOWING_RECEIVERS,
    )
    async def correction_notices(request: Request) -> Response:
        """Show, to the provider, the centre and the auditor, which departments received it, and which acknowledged that."""
        who = asker(services, request)
        found = await _correction(services, sight(who), request.path_params["id"])
        check_duty(who, "see who received it", KNOWING_RECEIVERS, found.assigned)
        after, limit = page_of(request, ID)
        return await _notice_page(services, limit, correction=found.id, after=after)


def _steps(route: Route, services: Services) -> None:
    def step(event: CorrectionEvent, words: str, body: type[Body], act: Callable[[Body], Act]) -> None:
        path = f"/{{id}}/{event.replace('_', '-')}"

        @route("POST", path, summary=words, body=body, answer=CorrectionAnswer, tagged=True, who=DUTIES_OF_CORRECTION[event])
        async def taken(request: Request) -> Response:
            """Take a step of a correction request."""
            who = asker(services, request)
            found = await _correction(services, sight(who), request.path_params["id"])
            version, given = version_of(request, found.id), await body_of(request, body)
            done = await _done(services, who, event, found.resource, lambda: act(given)(services.registry, found, who, version))
            return _answer(services, done)

    for event, words, take in (
        (CorrectionEvent.ACCEPT, "Say that it is wrong, and correct it", Registry.accept_correction),
        (CorrectionEvent.REFUSE, "Say that it is right, and why", Registry.refuse_correction),
        (CorrectionEvent.WITHDRAW, "Take an own request back", Registry.withdraw_correction),
        (CorrectionEvent.CONTEST, "Have the centre look at a refusal", Registry.contest_correction),
        (CorrectionEvent.UPHOLD, "Decide that a contested refusal stands", Registry.uphold_correction),
        (CorrectionEvent.OVERRULE, "Decide that what was refused is to be corrected", Registry.overrule_correction),
    ):

        def plain(take: Any) -> Callable[[StepBody], Act]:
            return lambda b: lambda r, c, who, v: take(r, c.id, by=who.id, version=v, why=check_reason(b.why))

        step(event, words, StepBody, plain(take))
    step(
        CorrectionEvent.HAND_OVER,
        "Have another department answer or correct",
        HandOverBody,
        lambda b: (
            lambda r, c, who, v: r.hand_over_correction(c.id, b.department, by=who.id, version=v, why=check_reason(b.why))
        ),
    )
    step(
        CorrectionEvent.RESOLVE,
        "Close what no row hash can prove, by a later run",
        ResolveBody,
        lambda b: (
            lambda r, c, who, v: r.resolve_correction(
                c.id, proved_run(services.hub, c.resource, b.run), by=who.id, version=v, why=check_reason(b.why)
            )
        ),
    )


# What may be seen -------------------------------------------------------------------------------------------------------


async def _correction(services: Services, seen: Sight, correction: str) -> CorrectionRecord:
    found = await read_known(services, services.hub.registry.correction, correction, ID, "correction.unknown")
    if found is not None and not seen.of_department(found.department, found.assigned):
        resource = found.resource
        provider = await in_thread(services.reads, lambda: services.hub.registry.resource(resource))
        found = found if seen.of_department(provider.department) else None
    if found is None:
        raise RejectedError("there is no such correction request", code="correction.unknown", fault=Fault.CLIENT)
    return found


async def _notice(services: Services, seen: Sight, notice: str) -> NoticeRecord:
    found = await read_known(services, services.hub.registry.correction_notice, notice, ID, "notice.unknown")
    if found is None or not seen.of_department(found.department):
        raise RejectedError("there is no such notice", code="notice.unknown", fault=Fault.CLIENT)
    return found


async def _notice_page(services: Services, limit: int, **wanted: Any) -> Response:
    rows = await in_thread(services.reads, lambda: services.hub.registry.correction_notices(**wanted, limit=limit + 1))
    following = rows[limit - 1].id if len(rows) > limit else None
    return json_answer(CorrectionNoticePage([notice_answer(row) for row in rows[:limit]], following))


def _filters(request: Request) -> dict[str, Any]:
    """Return the filters of a list that were given. Raises ``RejectedError`` where one is not of its form."""
    given = {name: value for name, value in request.query_params.items() if name in _FILTERS}
    state, resource = given.get("state"), given.get("resource")
    if (state is not None and state not in set(CorrectionState)) or (resource is not None and not NAME.fullmatch(resource)):
        raise RejectedError(
            f"a list is chosen by a state, one of {', '.join(CorrectionState)}, and the name of a resource",
            code="request.page",
            fault=Fault.CLIENT,
        )
    return given | ({} if state is None else {"state": CorrectionState(state)})


def _clock(services: Services, found: CorrectionRecord) -> StepClock | None:
    hub = services.hub
    return clock_of(found, rules=hub.clock_rules, of=hub.workdays, now=services.clock.now())


def _answer(services: Services, found: CorrectionRecord, words: Words | None = None, *, status: int = 200) -> Response:
    return json_answer(correction_answer(found, _clock(services, found), words), tag=found.version, status=status)


def late_answer(rows: list[tuple[CorrectionRecord, StepClock | None]]) -> LateCorrectionsAnswer:
    """Return what is late by who has it, the longest late first; the centre last."""
    departments = []
    for department, those in groupby(late_first(rows), key=lambda one: one[1].department):
        found = list(those)
        shown = [correction_line(row, clock) for row, clock in found[:MOST]]
        departments.append(LateDepartment(department, len(found), shown))
    return LateCorrectionsAnswer(departments)


# What is done -----------------------------------------------------------------------------------------------------------


async def _done(
    services: Services, who: PrincipalRecord, event: str, resource: str, act: Callable[[], CorrectionRecord]
) -> CorrectionRecord:
    def told(after: CorrectionRecord) -> Mapping[str, Any]:
        manifest = {"correction": after.id, "event": str(event), "state": after.state.value, "version": after.version}
        return {"manifest": manifest, "rows": () if after.row is None else (after.row,)}

    return await recorded(services, who, KIND, event, resource, act, told)
