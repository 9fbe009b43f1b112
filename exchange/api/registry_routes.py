"""The registry by HTTP: resources and applications, their steps and histories, each step on the version it was decided on.

What somebody may not see and what there is not are answered alike. A step is taken by the principal of the token; the ledger
is looked at before it and has its record before the answer leaves.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response

from catalog_registry.acting import Sight, sight
from catalog_registry.application_clock import ApplicationClock, clock_of
from catalog_registry.records import ApplicationRecord, PrincipalRecord, RegisteredResource
from catalog_registry.registry import Registry
from catalog_registry.states import ApplicationEvent, ResourceEvent, ResourceState
from exchange.api.asking import Body, asker, body_of
from exchange.api.problems import MEDIA_TYPE, encoded, headers_of, problem, problem_of, status_of
from exchange.api.registry_forms import (
    ApplicationAnswer,
    ApplicationPage,
    ApplyBody,
    ApproveBody,
    HandOverBody,
    HistoryAnswer,
    ResourceAnswer,
    ResourcePage,
    StepBody,
    application_answer,
    history_answer,
    resource_answer,
    resource_line,
)
from exchange.api.services import Services
from exchange.trust.record import LedgerRecord
from schemas.errors import DeniedError, Fault, OneDoorError, RejectedError

RESOURCES: Final = "/api/v1/resources"
APPLICATIONS: Final = "/api/v1/applications"
RESOURCE_KIND: Final = "registry.resource"
APPLICATION_KIND: Final = "registry.application"
MOST: Final = 200
"""Things on a page at most."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_ID: Final = re.compile(r"[0-9a-z]{1,40}")
_TAG: Final = re.compile(r'"([0-9]{1,9})"')
_LIMIT: Final = re.compile(r"[0-9]{1,3}")

_STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "request.if_match": 428,
        "registry.conflict": 412,
        "resource.unknown": 404,
        "application.unknown": 404,
        "resource.state": 409,
        "application.state": 409,
        "grant.resource_state": 409,
        "registry.privilege": 503,
    }
)
_WORDS: Final = {
    404: "There is no such thing, or it is not for you to see.",
    409: "The step is not for the state that it is in.",
    412: "It was changed since; look at what it is now, and decide again.",
    422: "A rule of the registry refuses what was given.",
    428: "The header If-Match is missing: send the ETag of what was decided on.",
}

Given = TypeVar("Given")
Act = Callable[[Registry, ApplicationRecord, PrincipalRecord, int], ApplicationRecord]
"""Takes one step of an application that may be seen, in the name of a principal, on a version; in a thread."""


def registry_routes(app: FastAPI, services: Services, problems: Callable[..., dict[int | str, dict[str, Any]]]) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""
    _resource_routes(app, services, problems)
    _application_routes(app, services, problems)


def _resource_routes(app: FastAPI, services: Services, problems: Callable[..., dict[int | str, dict[str, Any]]]) -> None:
    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return _route(app, services, problems, method, RESOURCES + path, tag="resources", **words)

    @route("GET", "", summary="List the resources", answer=ResourcePage, listed=True)
    async def resources(request: Request) -> Response:
        """List published resources and, whatever their state, those of the own department; centre and auditor see all."""
        seen = sight(_asker(services, request))
        after, limit = _page(request, _NAME)
        rows = await _in(services.reads, lambda: services.hub.registry.catalogue(seen, after=after, limit=limit + 1))
        shown, following = rows[:limit], rows[limit - 1].name if len(rows) > limit else None
        return _json(ResourcePage([resource_line(r) for r in shown], following))

    @route("GET", "/{name}", summary="Show a resource", answer=ResourceAnswer)
    async def resource(request: Request) -> Response:
        """Show a resource with its fields. Of one that is not published and not of the own department nothing is shown."""
        found = await _resource(services, sight(_asker(services, request)), request.path_params["name"])
        return _json(resource_answer(found), tag=found.row_version)

    @route("GET", "/{name}/history", summary="Show what was done to a resource", answer=HistoryAnswer, denied=True)
    async def resource_history(request: Request) -> Response:
        """Show who did what, when and why, to the resource's department, the centre and the auditor."""
        seen = sight(_asker(services, request))
        found = await _resource(services, seen, request.path_params["name"])
        if not seen.of_department(found.department):
            raise DeniedError(
                "the history of a resource is for its department, the centre and the auditor",
                code="registry.history",
                fault=Fault.CLIENT,
            )
        return _json(history_answer(await _in(services.reads, lambda: services.hub.registry.resource_history(found.name))))

    def step(event: ResourceEvent) -> None:
        @route("POST", f"/{{name}}/{event}", summary=f"{event.capitalize()} a resource", body=StepBody, answer=ResourceAnswer)
        async def taken(request: Request) -> Response:
            """Take a step of a resource's life."""
            who = _asker(services, request)
            seen = sight(who)
            found = await _resource(services, seen, request.path_params["name"])
            version, body = _version(request, found.name), await body_of(request, StepBody)
            done = await _done(
                services,
                who,
                RESOURCE_KIND,
                event,
                found.name,
                lambda: services.registry.act_on_resource(found.name, event, by=who.id, version=version, why=body.why),
                lambda after: {"manifest": {"event": event.value, "state": after.state.value, "version": after.row_version}},
            )
            return _json(resource_answer(done), tag=done.row_version)

    for event in ResourceEvent:
        step(event)


def _application_routes(app: FastAPI, services: Services, problems: Callable[..., dict[int | str, dict[str, Any]]]) -> None:
    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return _route(app, services, problems, method, APPLICATIONS + path, tag="applications", **words)

    @route("GET", "", summary="List the applications", answer=ApplicationPage, listed=True)
    async def applications(request: Request) -> Response:
        """List what the own department asked for and what is asked of it; centre and auditor see all."""
        seen = sight(_asker(services, request))
        after, limit = _page(request, _ID)
        registry = services.hub.registry

        def read() -> list[tuple[ApplicationRecord, ApplicationClock | None]]:
            return _clocked(services, registry.applications(seen=seen, after=after, limit=limit + 1))

        rows = await _in(services.reads, read)
        following = rows[limit - 1][0].id if len(rows) > limit else None
        return _json(ApplicationPage([application_answer(*row) for row in rows[:limit]], following))

    @route("POST", "", summary="Apply for a resource", body=ApplyBody, answer=ApplicationAnswer, made=True)
    async def apply(request: Request) -> Response:
        """Ask for fields of a published resource, in the name of the principal's department."""
        who = _asker(services, request)
        body = await body_of(request, ApplyBody)
        found = await _resource(services, sight(who), body.resource)

        def ask() -> ApplicationRecord:
            asked = {name: getattr(body, name) for name in body.__struct_fields__}
            return services.registry.apply(**(asked | {"by": who.id, "from_at": body.from_at or services.clock.now()}))

        try:
            done = await _application_done(services, who, "apply", found.name, ask)
        except RejectedError as error:
            if error.code not in ("system.unknown", "application.other_system"):
                raise
            raise RejectedError(  # alike, so that nobody finds out another department's systems
                "the department has no system of that code", code="application.system", fault=Fault.CLIENT
            ) from None
        answer = await _clocked_answer(services, done, status=201)
        answer.headers["location"] = f"{APPLICATIONS}/{done.id}"
        return answer

    @route("GET", "/{id}", summary="Show an application", answer=ApplicationAnswer)
    async def application(request: Request) -> Response:
        """Show an application with its clock to the department that made it, to the provider, the centre and the auditor."""
        found = await _application(services, sight(_asker(services, request)), request.path_params["id"])
        return await _clocked_answer(services, found)

    @route("GET", "/{id}/history", summary="Show what was done to an application", answer=HistoryAnswer)
    async def application_history(request: Request) -> Response:
        """Show who did what, when and why, and what was given."""
        found = await _application(services, sight(_asker(services, request)), request.path_params["id"])
        return _json(history_answer(await _in(services.reads, lambda: services.hub.registry.history(found.id))))

    def step(event: ApplicationEvent, words: str, body: type[Body], act: Callable[[Body], Act]) -> None:
        path = f"/{{id}}/{event.replace('_', '-')}"

        @route("POST", path, summary=words, body=body, answer=ApplicationAnswer)
        async def taken(request: Request) -> Response:
            """Take a step of an application."""
            who = _asker(services, request)
            found = await _application(services, sight(who), request.path_params["id"])
            version, given = _version(request, found.id), await body_of(request, body)
            done = await _application_done(
                services, who, event, found.resource, lambda: act(given)(services.registry, found, who, version)
            )
            return await _clocked_answer(services, done)

    step(
        ApplicationEvent.ACCEPT_CHECK,
        "Say that an application is in order",
        StepBody,
        lambda b: lambda r, a, who, v: r.accept_check(a.id, by=who.id, version=v, why=b.why),
    )
    step(
        ApplicationEvent.RETURN,
        "Give an application back as not in order",
        StepBody,
        lambda b: lambda r, a, who, v: r.return_application(a.id, by=who.id, version=v, why=b.why),
    )
    step(
        ApplicationEvent.APPROVE,
        "Grant what was asked for, or less",
        ApproveBody,
        lambda b: (
            lambda r, a, who, v: r.approve_application(
                a.id,
                by=who.id,
                version=v,
                fields=b.fields,
                row_filter=b.row_filter,
                from_at=b.from_at,
                to_at=b.to_at,
                why=b.why,
            )
        ),
    )
    step(
        ApplicationEvent.REFUSE,
        "Refuse an application for a reason of law",
        StepBody,
        lambda b: lambda r, a, who, v: r.refuse_application(a.id, by=who.id, version=v, why=b.why),
    )
    step(
        ApplicationEvent.CANCEL,
        "Take an own application back",
        StepBody,
        lambda b: lambda r, a, who, v: r.cancel_application(a.id, by=who.id, version=v, why=b.why),
    )
    step(
        ApplicationEvent.HAND_OVER,
        "Have another department answer",
        HandOverBody,
        lambda b: lambda r, a, who, v: r.hand_over_application(a.id, b.department, by=who.id, version=v, why=b.why),
    )


# What may be seen -------------------------------------------------------------------------------------------------------


def _asker(services: Services, request: Request) -> PrincipalRecord:
    services.view.refuse_if_stale()
    return asker(services, request)


async def _resource(services: Services, seen: Sight, name: str) -> RegisteredResource:
    found = await _read(services, services.hub.registry.resource, name, _NAME, "resource.unknown")
    if found is None or not (found.state is ResourceState.PUBLISHED or seen.of_department(found.department)):
        raise RejectedError("there is no such resource", code="resource.unknown", fault=Fault.CLIENT)
    return found


async def _application(services: Services, seen: Sight, application: str) -> ApplicationRecord:
    found = await _read(services, services.hub.registry.application, application, _ID, "application.unknown")
    if found is not None and not seen.of_department(found.department, found.assigned):
        resource = found.resource
        provider = await _in(services.reads, lambda: services.hub.registry.resource(resource))
        found = found if seen.of_department(provider.department) else None
    if found is None:
        raise RejectedError("there is no such application", code="application.unknown", fault=Fault.CLIENT)
    return found


async def _read(
    services: Services, read: Callable[[str], Given], key: str, form: re.Pattern[str], unknown: str
) -> Given | None:
    """Return what there is of a key; the registry's own refusal names what is near, which not everybody may see."""
    if not form.fullmatch(key):
        return None
    try:
        return await _in(services.reads, lambda: read(key))
    except RejectedError as error:
        if error.code != unknown:
            raise
        return None


async def _in(threads: ThreadPoolExecutor, do: Callable[[], Given]) -> Given:
    """Return what a call gives that waits for the database, made in a thread."""
    return await asyncio.get_running_loop().run_in_executor(threads, do)


def _clocked(services: Services, rows: list[ApplicationRecord]) -> list[tuple[ApplicationRecord, ApplicationClock | None]]:
    hub, now = services.hub, services.clock.now()
    since = hub.registry.since([row.id for row in rows])
    return [(row, clock_of(row, since[row.id], rules=hub.clock_rules, of=hub.workdays, now=now)) for row in rows]


async def _clocked_answer(services: Services, found: ApplicationRecord, *, status: int = 200) -> Response:
    ((_, clock),) = await _in(services.reads, lambda: _clocked(services, [found]))
    return _json(application_answer(found, clock), tag=found.version, status=status)


# What is done -----------------------------------------------------------------------------------------------------------


async def _application_done(
    services: Services, who: PrincipalRecord, event: str, resource: str, act: Callable[[], ApplicationRecord]
) -> ApplicationRecord:
    def told(after: ApplicationRecord) -> Mapping[str, Any]:
        manifest = {"application": after.id, "event": str(event), "state": after.state.value, "version": after.version}
        return {"grant": after.grant, "manifest": manifest}

    return await _done(services, who, APPLICATION_KIND, event, resource, act, told)


async def _done(
    services: Services,
    who: PrincipalRecord,
    kind: str,
    event: str,
    resource: str,
    act: Callable[[], Given],
    told: Callable[[Given], Mapping[str, Any]],
) -> Given:
    """Do it in a thread, and return what came of it once that is on record. What is denied is on record too.

    Where the ledger goes away between the two, the change is made and its answer is not given: the history has it.
    """
    who_did: dict[str, Any] = {"principal": who.id, "department": who.department, "system": who.system, "resource": resource}
    await services.ledger.check()
    try:
        done = await _in(services.steps, act)
    except DeniedError as error:
        record = LedgerRecord(kind=kind, outcome="refused", reason=f"{event}:{error.code}", **who_did)
        await services.lookup.refusals.record(record)
        raise
    await services.ledger.append(LedgerRecord(kind=kind, outcome="done", **who_did, **told(done)))
    return done


def _version(request: Request, what: str) -> int:
    """Return the version of the ETag in ``If-Match``.

    Raises:
        RejectedError: there is none, or ``*``, by which nothing was decided on (``request.if_match``); or it is no ETag that
            was ever given (``registry.conflict``).
    """
    given = request.headers.get("if-match", "").strip()
    if given in ("", "*"):
        raise RejectedError(
            "a change needs the header If-Match",
            code="request.if_match",
            where=what,
            remedy="send the ETag of what was decided on",
            fault=Fault.CLIENT,
        )
    tag = _TAG.fullmatch(given)
    if tag is None:
        raise RejectedError(
            "If-Match is not the ETag that it has now",
            code="registry.conflict",
            where=what,
            remedy="look at what it is now, and decide again",
            fault=Fault.CLIENT,
        )
    return int(tag[1])


def _page(request: Request, form: re.Pattern[str]) -> tuple[str | None, int]:
    """Return what a page begins after, and how many things it has at most."""
    given = dict(request.query_params)
    after, limit = given.pop("after", None), given.pop("limit", "50")
    if given or (after is not None and not form.fullmatch(after)) or not (_LIMIT.fullmatch(limit) and 1 <= int(limit) <= MOST):
        raise RejectedError(
            f"a page is asked for by limit, 1 to {MOST}, and after, which is the next of the page before",
            code="request.page",
            fault=Fault.CLIENT,
        )
    return after, int(limit)


# Answers ----------------------------------------------------------------------------------------------------------------


def _json(answer: msgspec.Struct, *, tag: int | None = None, status: int = 200) -> Response:
    headers = {"cache-control": "no-store"} | ({} if tag is None else {"etag": f'"{tag}"'})
    return Response(msgspec.json.encode(answer), status, headers=headers, media_type="application/json")


def _refusal(error: OneDoorError) -> Response:
    """Return a refusal: what a rule of the registry refuses is a request that was understood and cannot be done."""
    status = _STATUS.get(error.code) or status_of(error)
    if status == 400 and not error.code.startswith("request."):
        status = 422
    document = problem_of(error) | problem(status, error.code, error.message)
    headers = {name.decode(): value.decode() for name, value in headers_of(status)}
    return Response(encoded(document), status, headers=headers, media_type=MEDIA_TYPE)


def _route(
    app: FastAPI,
    services: Services,
    problems: Callable[..., dict[int | str, dict[str, Any]]],
    method: str,
    path: str,
    *,
    tag: str,
    summary: str,
    answer: type[msgspec.Struct],
    body: type[Any] | None = None,
    listed: bool = False,
    made: bool = False,
    denied: bool = False,
) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
    """Return what adds a route, with its words in the reference; its refusals become problem documents."""
    one = "{" in path
    changes = body is not None and not made
    statuses = {401, 503} | ({400} if listed or body else set()) | ({403} if body or denied else set())
    described: dict[int | str, dict[str, Any]] = problems(*sorted(statuses | ({413, 415} if body else set())))
    words = {**({404: _WORDS[404]} if one or made else {}), **({409: _WORDS[409], 422: _WORDS[422]} if body else {})}
    words |= {status: _WORDS[status] for status in (412, 428) if changes}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    described |= {status: {"description": text, "content": content} for status, text in words.items()}
    if 403 in described:
        described[403]["description"] = "It needs a role, a department or a second person that the account is not."
    if 400 in described:
        described[400]["description"] = "The request is wrong; nothing was done."
    tagged = {"headers": {"ETag": {"description": "its version", "schema": {"type": "string"}}}}
    described[201 if made else 200] = {
        "description": "As it is now.",
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer.__name__}"}}},
        **(tagged if answer in (ResourceAnswer, ApplicationAnswer) else {}),
    }
    extra: dict[str, Any] = {"security": [{"client": []}], "parameters": _parameters(path, listed=listed, changes=changes)}
    if body is not None:
        reference = {"$ref": f"#/components/schemas/{body.__name__}"}
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": reference}}}

    def add(do: Callable[[Request], Awaitable[Response]]) -> None:
        async def answered(request: Request) -> Response:
            try:
                return await do(request)
            except OneDoorError as error:
                if error.kind == "defect":
                    services.log.critical("a request to the registry met a defect", code=error.code, where=error.where)
                return _refusal(error)

        app.add_api_route(
            path,
            answered,
            methods=[method],
            tags=[tag],
            summary=summary,
            description=do.__doc__,
            operation_id=re.sub(r"[^a-z]+", "_", f"{method.lower()}{path.removeprefix('/api/v1')}").strip("_"),
            status_code=201 if made else 200,
            responses=described,
            response_class=Response,
            openapi_extra=extra,
        )

    return add


def _parameters(path: str, *, listed: bool, changes: bool) -> list[dict[str, Any]]:
    text = {"type": "string"}
    found = [{"name": name, "in": "path", "required": True, "schema": text} for name in re.findall(r"\{(\w+)\}", path)]
    if listed:
        limit = {"type": "integer", "minimum": 1, "maximum": MOST, "default": 50}
        found.append({"name": "limit", "in": "query", "required": False, "schema": limit})
        found.append({"name": "after", "in": "query", "required": False, "schema": text})
    if changes:
        found.append({"name": "If-Match", "in": "header", "required": True, "schema": text})
    return found
