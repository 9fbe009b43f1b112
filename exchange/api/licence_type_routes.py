"""Licence types by HTTP: what the licence store says of them, on which terms they are shared, and which items may use them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from catalog_registry.acting import EVERYBODY
from catalog_registry.item_records import LicenceTypeRecord
from catalog_registry.items import KEEPING
from exchange.api.asking import asker, body_of
from exchange.api.item_forms import (
    ElementsBody,
    LicenceTypeAnswer,
    LicenceTypePage,
    TermsBody,
    licence_type_answer,
)
from exchange.api.item_routes import CODE
from exchange.api.registry_forms import HistoryAnswer, history_answer
from exchange.api.registry_frame import (
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
from schemas.errors import Fault, RejectedError
from schemas.licence_type import read_licence_type, read_terms

LICENCE_TYPES: Final = "/api/v1/licence-types"
KIND: Final = "registry.licence_type"
_ISSUED: Final = "the own department issues it"


def licence_type_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""

    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, method, LICENCE_TYPES + path, tag="licence types", **words)

    @route("GET", "", summary="List the licence types", answer=LicenceTypePage, listed=True, who=EVERYBODY)
    async def licence_types(request: Request) -> Response:
        """List the licence types by code, those that have ended too."""
        asker(services, request)
        after, limit = page_of(request, CODE)
        rows = await in_thread(services.reads, lambda: services.hub.registry.licence_types(after=after, limit=limit + 1))
        following = rows[limit - 1].type.code if len(rows) > limit else None
        return json_answer(LicenceTypePage([licence_type_answer(row) for row in rows[:limit]], following))

    @route("GET", "/{code}", summary="Show a licence type", answer=LicenceTypeAnswer, tagged=True, who=EVERYBODY)
    async def licence_type(request: Request) -> Response:
        """Show a licence type: issuer, holders, fields, states, sharing rule, and the items that may use it."""
        asker(services, request)
        found = await _licence_type(services, request)
        return json_answer(licence_type_answer(found), tag=found.version)

    @route("GET", "/{code}/history", summary="Show what was done to a licence type", answer=HistoryAnswer, who=EVERYBODY)
    async def history(request: Request) -> Response:
        """Show what it became by each step, oldest first."""
        asker(services, request)
        found = await _licence_type(services, request)
        steps = await in_thread(services.reads, lambda: services.hub.registry.licence_type_history(found.type.code))
        return json_answer(history_answer(steps))

    @route(
        "POST",
        "/{code}/terms",
        summary="Say on which terms a licence type is shared",
        body=TermsBody,
        answer=LicenceTypeAnswer,
        tagged=True,
        who=KEEPING,
        note=_ISSUED,
    )
    async def terms(request: Request) -> Response:
        """Set the sharing rule (1 by item, 2 on a condition), the fields and the states: what the hub itself keeps."""
        who = asker(services, request)
        found = await _licence_type(services, request)
        version, body = version_of(request, found.type.code), await body_of(request, TermsBody)
        wanted = read_terms(body.terms, where=found.type.code)
        done = await recorded(
            services,
            who,
            KIND,
            "terms",
            found.type.code,
            lambda: services.registry.set_licence_terms(found.type.code, wanted, by=who.id, version=version),
            lambda after: {"manifest": {"event": "terms", "version": after.version}},
        )
        return json_answer(licence_type_answer(done), tag=done.version)

    @route(
        "POST",
        "",
        summary="Enter a licence type by hand",
        body=ElementsBody,
        answer=LicenceTypeAnswer,
        made=True,
        tagged=True,
        who=KEEPING,
        note=_ISSUED,
    )
    async def enter(request: Request) -> Response:
        """Enter a licence type where no system of the district has them; where one has, that is refused with its name."""
        return await _set(request, version=0, status=201)

    @route(
        "POST",
        "/{code}",
        summary="Change a licence type by hand",
        body=ElementsBody,
        answer=LicenceTypeAnswer,
        tagged=True,
        who=KEEPING,
        note=_ISSUED,
    )
    async def change(request: Request) -> Response:
        """Change a licence type that is kept by hand; what is another system's is refused with the system's name."""
        asker(services, request)
        found = await _licence_type(services, request)
        return await _set(request, version=version_of(request, found.type.code), code=found.type.code)

    async def _set(request: Request, *, version: int, code: str | None = None, status: int = 200) -> Response:
        who = asker(services, request)
        body = await body_of(request, ElementsBody)
        wanted = read_licence_type(body.elements)
        if code is not None and wanted.code != code:
            raise RejectedError("the elements are of another licence type", code="licence_type.other", fault=Fault.CLIENT)
        done = await recorded(
            services,
            who,
            KIND,
            "set",
            wanted.code,
            lambda: services.registry.set_licence_type(wanted, by=who.id, expected_version=version),
            lambda after: {"manifest": {"event": "set", "version": after.version}},
        )
        answer = json_answer(licence_type_answer(done), tag=done.version, status=status)
        if status == 201:
            answer.headers["location"] = f"{LICENCE_TYPES}/{done.type.code}"
        return answer


async def _licence_type(services: Services, request: Request) -> LicenceTypeRecord:
    read = services.hub.registry.licence_type
    found = await read_known(services, read, request.path_params["code"], CODE, "licence_type.unknown")
    if found is None:
        raise RejectedError("there is no such licence type", code="licence_type.unknown", fault=Fault.CLIENT)
    return found
