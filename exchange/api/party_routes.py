"""Departments, systems and sources by HTTP: who takes part, and where rows are read. A password is taken, never given back."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response

from catalog_registry.acting import EVERYBODY
from catalog_registry.asked import OF_DEPARTMENTS, OF_SOURCES, OF_SYSTEMS, SEEING_SOURCES, Asked
from catalog_registry.records import DepartmentRecord, PrincipalRecord, SourceRecord, SystemRecord
from connectors.registry import spec_of_url
from exchange.api.asking import asker, body_of
from exchange.api.party_forms import (
    DepartmentAnswer,
    DepartmentBody,
    DepartmentPage,
    MakeDepartmentBody,
    MakeSourceBody,
    MakeSystemBody,
    RemovedAnswer,
    SourceAnswer,
    SourceBody,
    SourcePage,
    SystemAnswer,
    SystemBody,
    SystemPage,
    department_answer,
    source_answer,
    system_answer,
)
from exchange.api.registry_frame import (
    CODE,
    NAME,
    Problems,
    add_route,
    in_thread,
    json_answer,
    page_of,
    read_known,
    recorded,
    unseen,
    version_of,
)
from exchange.api.services import Services
from schemas.secret import Secret

KIND: Final = "registry.party"
Record = TypeVar("Record", DepartmentRecord, SystemRecord, SourceRecord)
Add = Callable[..., Callable[[Callable[[Request], Awaitable[Response]]], None]]
_OWN: Final = "of the own department's systems"


def party_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""

    def adding(tag: str) -> Add:
        def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
            return add_route(app, services, problems, method, f"/api/v1/{tag}{path}", tag=tag, **words)

        return route

    _department_routes(adding("departments"), services)
    _system_routes(adding("systems"), services)
    _source_routes(adding("sources"), services)


# Departments ------------------------------------------------------------------------------------------------------------


def _department_routes(route: Add, services: Services) -> None:
    @route("GET", "", summary="List the departments and townships", answer=DepartmentPage, listed=True, who=EVERYBODY)
    async def departments(request: Request) -> Response:
        """List them by code; ``parent`` makes the tree."""
        asker(services, request)
        after, limit = page_of(request, CODE)
        rows = await in_thread(services.reads, lambda: services.hub.registry.departments(after=after, limit=limit + 1))
        shown, following = _page(rows, limit, "code")
        return json_answer(DepartmentPage([department_answer(r) for r in shown], following))

    @route("GET", "/{code}", summary="Show a department", answer=DepartmentAnswer, tagged=True, who=EVERYBODY)
    async def department(request: Request) -> Response:
        """Show a department or a township."""
        asker(services, request)
        found = await _department(services, request.path_params["code"])
        return json_answer(department_answer(found), tag=found.version)

    @route(
        "POST",
        "",
        summary="Add a department",
        body=MakeDepartmentBody,
        answer=DepartmentAnswer,
        made=True,
        tagged=True,
        who=OF_DEPARTMENTS,
    )
    async def make(request: Request) -> Response:
        """Add a department or a township; the check digit of its credit code is looked at."""
        who, body = asker(services, request), await body_of(request, MakeDepartmentBody)
        return await _set(request, who, body.code, body, 0, 201)

    @route(
        "PUT",
        "/{code}",
        summary="Change a department",
        body=DepartmentBody,
        answer=DepartmentAnswer,
        tagged=True,
        who=OF_DEPARTMENTS,
    )
    async def change(request: Request) -> Response:
        """Give a department exactly this name, credit code and place in the tree. A tree with a circle is refused."""
        who = asker(services, request)
        found = await _department(services, request.path_params["code"])
        version, body = version_of(request, found.code), await body_of(request, DepartmentBody)
        return await _set(request, who, found.code, body, version, 200)

    async def _set(
        request: Request, who: PrincipalRecord, code: str, body: DepartmentBody, version: int, status: int
    ) -> Response:
        done = await _done(
            services,
            who,
            "department",
            lambda: services.registry.ensure_department(
                code, body.name, credit_code=body.credit_code, parent=body.parent, asked=Asked(who.id, version)
            ),
        )
        return _made(json_answer(department_answer(done), tag=done.version, status=status), request, code)


async def _department(services: Services, code: str) -> DepartmentRecord:
    return await _known(services, services.hub.registry.department, code, CODE, "department")


# Systems ----------------------------------------------------------------------------------------------------------------


def _system_routes(route: Add, services: Services) -> None:
    @route("GET", "", summary="List the systems", answer=SystemPage, listed=True, who=EVERYBODY)
    async def systems(request: Request) -> Response:
        """List the systems that departments run, by code."""
        asker(services, request)
        after, limit = page_of(request, CODE)
        rows = await in_thread(services.reads, lambda: services.hub.registry.systems(after=after, limit=limit + 1))
        shown, following = _page(rows, limit, "code")
        return json_answer(SystemPage([system_answer(r) for r in shown], following))

    @route("GET", "/{code}", summary="Show a system", answer=SystemAnswer, tagged=True, who=EVERYBODY)
    async def system(request: Request) -> Response:
        """Show a system."""
        asker(services, request)
        found = await _system(services, request.path_params["code"])
        return json_answer(system_answer(found), tag=found.version)

    @route("POST", "", summary="Add a system", body=MakeSystemBody, answer=SystemAnswer, made=True, tagged=True, who=OF_SYSTEMS)
    async def make(request: Request) -> Response:
        """Add a system of a department."""
        who, body = asker(services, request), await body_of(request, MakeSystemBody)
        done = await _done(
            services,
            who,
            "system",
            lambda: services.registry.ensure_system(body.code, body.name, body.department, asked=Asked(who.id, 0)),
        )
        return _made(json_answer(system_answer(done), tag=done.version, status=201), request, done.code)

    @route("PUT", "/{code}", summary="Change a system", body=SystemBody, answer=SystemAnswer, tagged=True, who=OF_SYSTEMS)
    async def change(request: Request) -> Response:
        """Give a system this name. Its department stays."""
        who = asker(services, request)
        found = await _system(services, request.path_params["code"])
        asked, body = Asked(who.id, version_of(request, found.code)), await body_of(request, SystemBody)
        done = await _done(
            services,
            who,
            "system",
            lambda: services.registry.ensure_system(found.code, body.name, found.department, asked=asked),
        )
        return json_answer(system_answer(done), tag=done.version)


async def _system(services: Services, code: str) -> SystemRecord:
    return await _known(services, services.hub.registry.system, code, CODE, "system")


# Sources ----------------------------------------------------------------------------------------------------------------


def _source_routes(route: Add, services: Services) -> None:
    @route("GET", "", summary="List the sources", answer=SourcePage, listed=True, who=SEEING_SOURCES, note=_OWN)
    async def sources(request: Request) -> Response:
        """List the sources that may be seen, by name."""
        who = asker(services, request)
        after, limit = page_of(request, NAME)

        def read() -> list[SourceRecord]:
            return [s for s in services.hub.registry.sources() if sees_source(who, s) and (after is None or s.name > after)]

        shown, following = _page(await in_thread(services.reads, read), limit, "name")
        return json_answer(SourcePage([source_answer(r) for r in shown], following))

    @route("GET", "/{name}", summary="Show a source", answer=SourceAnswer, tagged=True, who=SEEING_SOURCES, note=_OWN)
    async def source(request: Request) -> Response:
        """Show where rows are read; never the password, nor where it is kept."""
        found = await _source(services, asker(services, request), request.path_params["name"])
        return json_answer(source_answer(found), tag=found.version)

    @route("POST", "", summary="Add a source", body=MakeSourceBody, answer=SourceAnswer, made=True, tagged=True, who=OF_SOURCES)
    async def make(request: Request) -> Response:
        """Add a source. Nothing is connected: the first collection does, or `onedoor source add` on the console."""
        who, body = asker(services, request), await body_of(request, MakeSourceBody)
        done = await _set(who, body.name, body.system, body, 0)
        return _made(json_answer(source_answer(done), tag=done.version, status=201), request, done.name)

    @route("PUT", "/{name}", summary="Change a source", body=SourceBody, answer=SourceAnswer, tagged=True, who=OF_SOURCES)
    async def change(request: Request) -> Response:
        """Give a source exactly this address, password and settings; the password from before is forgotten."""
        who = asker(services, request)
        found = await _source(services, who, request.path_params["name"])
        version, body = version_of(request, found.name), await body_of(request, SourceBody)
        done = await _set(who, found.name, found.system, body, version)
        return json_answer(source_answer(done), tag=done.version)

    @route("DELETE", "/{name}", summary="Remove a source", answer=RemovedAnswer, denied=True, versioned=True, who=OF_SOURCES)
    async def remove(request: Request) -> Response:
        """Forget a source and its password; refused while a resource is read from it."""
        who = asker(services, request)
        found = await _source(services, who, request.path_params["name"])
        asked = Asked(who.id, version_of(request, found.name))

        def act() -> SourceRecord:
            services.registry.remove_source(found.name, asked=asked)
            return found

        await _done(services, who, "source_removal", act)
        return json_answer(RemovedAnswer(found.name))

    async def _set(who: PrincipalRecord, name: str, system: str, body: SourceBody, version: int) -> SourceRecord:
        url = Secret(body.url)

        def act() -> SourceRecord:
            return services.registry.add_source(
                name,
                url,
                system=system,
                connector=spec_of_url(url).name,
                settings=msgspec.to_builtins(body.settings),
                asked=Asked(who.id, version),
            )

        return await _done(services, who, "source", act)


def sees_source(who: PrincipalRecord, source: SourceRecord) -> bool:
    """Say whether somebody may see where rows are read."""
    held = () if who.revoked_at is not None else who.roles
    return any(d.role in held and (not d.own or who.department == source.department) for d in SEEING_SOURCES)


async def _source(services: Services, who: PrincipalRecord, name: str) -> SourceRecord:
    found = await _known(services, services.hub.registry.source, name, NAME, "source")
    if not sees_source(who, found):
        raise unseen("source")
    return found


# What they share --------------------------------------------------------------------------------------------------------


async def _known(services: Services, read: Callable[[str], Record], key: str, form: re.Pattern[str], what: str) -> Record:
    found = await read_known(services, read, key, form, f"{what}.unknown")
    if found is None:
        raise unseen(what)
    return found


async def _done(services: Services, who: PrincipalRecord, what: str, act: Callable[[], Record]) -> Record:
    def told(after: Record) -> dict[str, Any]:
        return {"manifest": {"event": what, "of": getattr(after, "code", None) or after.name, "version": after.version}}

    return await recorded(services, who, KIND, what, None, act, told)


def _page(rows: Sequence[Record], limit: int, key: str) -> tuple[Sequence[Record], str | None]:
    return rows[:limit], getattr(rows[limit - 1], key) if len(rows) > limit else None


def _made(answer: Response, request: Request, key: str) -> Response:
    if answer.status_code == 201:
        answer.headers["location"] = f"{request.url.path}/{key}"
    return answer
