"""``POST /api/v1/resources/search``: what is in the catalogue. What people type is a body, so that it stands in no address."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request, Response

from catalog_registry.acting import EVERYBODY, sight
from catalog_registry.search import Miss
from catalog_registry.words import folded
from exchange.api.asking import asker, body_of
from exchange.api.registry_frame import Problems, add_route, in_thread, json_answer
from exchange.api.search_forms import SearchAnswer, SearchBody, search_answer
from exchange.api.services import Services

PATH: Final = "/api/v1/resources/search"
_NOTE: Final = (
    "of one that is not shared others find the name and the reason; one that is not published only its department finds"
)


def search_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the route. ``problems`` describes the problem documents of statuses."""

    @add_route(
        app,
        services,
        problems,
        "POST",
        PATH,
        tag="resources",
        summary="Search the catalogue",
        body=SearchBody,
        answer=SearchAnswer,
        versioned=False,
        who=EVERYBODY,
        note=_NOTE,
    )
    async def search(request: Request) -> Response:
        """Find resources by words and facets, the best first: whose title, name or code it is, whose title begins with it or
        has it, then the others. What may not be seen is neither found nor counted. Words that find nothing are kept, without
        who asked but the department, for the analysis of demand.
        """
        who = asker(services, request)
        body = await body_of(request, SearchBody)
        found = await in_thread(
            services.reads,
            lambda: services.hub.registry.search(
                body.words,
                sight(who),
                narrowed=body.narrowed,
                facets=body.after is None if body.facets is None else body.facets,
                after=body.after,
                limit=body.limit,
            ),
        )
        if not found.hits and body.words.strip() and not body.narrowed and body.after is None:
            services.misses.add(Miss(folded(body.words), who.department, services.clock.now()))
        return json_answer(search_answer(found))
