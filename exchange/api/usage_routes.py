"""What comes back from those who use a resource: how often they do, on which ground, and how good they find it."""

from __future__ import annotations

import re
from typing import Final

from fastapi import FastAPI, Request, Response

from catalog_registry.acting import APPLYING, SEEING, check_duty, sight
from exchange.api.asking import asker, body_of
from exchange.api.demand_forms import RateBody, RatingAnswer, RatingsAnswer, UsagePage, rating_answer, usage_page
from exchange.api.demand_routes import days_of
from exchange.api.registry_frame import Problems, add_route, in_thread, json_answer, page_of, recorded, version_of
from exchange.api.registry_routes import RESOURCES, seen_resource
from exchange.api.services import Services
from exchange.trust.usage import Usage, UsageAsk, read_usage
from schemas.errors import Fault, RejectedError

USAGE: Final = "/api/v1/usage"
RATING_KIND: Final = "registry.rating"

_LINE: Final = re.compile(r"[0-9]{1,18}")
_DAYS: Final = 30
"""Days that are told of where nobody says since when."""


def usage_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""
    _usage(app, services, problems)
    _ratings(app, services, problems)


def _usage(app: FastAPI, services: Services, problems: Problems) -> None:
    query = {
        "from": f"first day, of China; default: {_DAYS} days ago",
        "to": "first day after; default: tomorrow",
        "resource": "only uses of this resource",
        "department": "only uses by this department",
        "by": "day: a line for each day; total: the days added up; default: day",
    }

    @add_route(
        app,
        services,
        problems,
        "GET",
        USAGE,
        tag="usage",
        summary="Show who used what, how often, on which ground",
        answer=UsagePage,
        listed=True,
        denied=True,
        who=SEEING,
        note="what the own department used, and what was used of its own resources; centre and auditor see all",
        query=query,
    )
    async def usage(request: Request) -> Response:
        """Sums of the ledger by resource, consumer, grant, purpose, item and day. No person, case or operator is in them."""
        who = asker(services, request)
        check_duty(who, "see what is used", SEEING, who.department)
        seen = sight(who)
        after, limit = page_of(request, _LINE, also=query)
        first, last = days_of(request, services.clock.now(), "from", "to", _DAYS)
        by = request.query_params.get("by", "day")
        if by not in ("day", "total"):
            raise RejectedError("by is day or total", code="request.by", fault=Fault.CLIENT)
        ask = UsageAsk(
            first,
            last,
            resource=request.query_params.get("resource"),
            department=request.query_params.get("department"),
            seen=None if seen.everything else seen.department or who.department,
            by_day=by == "day",
            after=int(after or 0),
            limit=limit + 1,
        )

        def read() -> Usage:
            with services.hub.connect(autocommit=True) as connection:
                return read_usage(connection, ask)

        found = await in_thread(services.reads, read)
        shown = Usage(found.counted_at, found.lines[:limit])
        return json_answer(usage_page(shown, str(shown.lines[-1].id) if len(found.lines) > limit else None))


def _ratings(app: FastAPI, services: Services, problems: Problems) -> None:
    @add_route(
        app,
        services,
        problems,
        "GET",
        f"{RESOURCES}/{{name}}/ratings",
        tag="resources",
        summary="Show the ratings of a resource",
        answer=RatingsAnswer,
        denied=True,
        who=SEEING,
        note="all of them to the resource's department, the centre and the auditor; to others that of their own department",
        query={"history": "all: what was said before too, oldest first; default: the current ratings"},
    )
    async def ratings(request: Request) -> Response:
        """Show what those who use it say of it, to its department, the centre and the auditor; others see their own rating."""
        who = asker(services, request)
        check_duty(who, "see ratings", SEEING, who.department)
        seen = sight(who)
        found = await seen_resource(services, seen, request.path_params["name"])
        only = None if seen.of_department(found.department) else who.department
        if (history := request.query_params.get("history")) not in (None, "all"):
            raise RejectedError("history is all, or left out", code="request.history", fault=Fault.CLIENT)
        read = services.hub.registry.ratings if history is None else services.hub.registry.rating_history
        rows = await in_thread(services.reads, lambda: read(found.name, department=only))
        return json_answer(RatingsAnswer([rating_answer(row) for row in rows]))

    @add_route(
        app,
        services,
        problems,
        "GET",
        f"{RESOURCES}/{{name}}/rating",
        tag="resources",
        summary="Show the own rating of a resource",
        answer=RatingAnswer,
        denied=True,
        tagged=True,
        who=APPLYING,
    )
    async def rating(request: Request) -> Response:
        """Show how the own department rates a resource. Its ETag is what a rating is decided on; ``"0"``: there is none."""
        who = asker(services, request)
        check_duty(who, "rate", APPLYING, who.department)
        found = await seen_resource(services, sight(who), request.path_params["name"])
        rows = await in_thread(services.reads, lambda: services.hub.registry.ratings(found.name, department=who.department))
        answer = rating_answer(rows[0]) if rows else RatingAnswer(found.name, who.department, None, None, 0, None)
        return json_answer(answer, tag=answer.version)

    @add_route(
        app,
        services,
        problems,
        "POST",
        f"{RESOURCES}/{{name}}/rating",
        tag="resources",
        summary="Rate what the department gets of a resource",
        body=RateBody,
        answer=RatingAnswer,
        tagged=True,
        who=APPLYING,
        note="the own department has or had a grant on the resource, and it is another department's",
    )
    async def rate(request: Request) -> Response:
        """Rate a resource, or change the rating; what was said before stays in its history."""
        who = asker(services, request)
        found = await seen_resource(services, sight(who), request.path_params["name"])
        version, body = version_of(request, found.name), await body_of(request, RateBody)
        done = await recorded(
            services,
            who,
            RATING_KIND,
            "rate",
            found.name,
            lambda: services.registry.rate(found.name, body.score, by=who.id, version=version, comment=body.comment),
            lambda after: {"manifest": {"event": "rate", "score": after.score, "version": after.version}},
        )
        return json_answer(rating_answer(done), tag=done.version)
