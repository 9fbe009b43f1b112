"""The registry by HTTP: resources and applications, their steps and histories, each step on the version it was decided on.

What somebody may not see and what there is not are answered alike. A step is taken by the principal of the token; the ledger
is looked at before it and has its record before the answer leaves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from catalog_registry.acting import (
    APPLYING,
    DUTIES_OF_APPLICATION,
    DUTIES_OF_RESOURCE,
    EVERYBODY,
    SEEING,
    Sight,
    sight,
)
from catalog_registry.application_clock import clocks_of
from catalog_registry.records import (
    ApplicationRecord,
    Cover,
    PrincipalRecord,
    RegisteredResource,
    UnboundResource,
)
from catalog_registry.registry import Registry
from catalog_registry.states import ApplicationEvent, ResourceEvent
from catalog_registry.step_clock import StepClock
from exchange.api.asking import Body, asker, body_of
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
    quota_given,
    resource_answer,
    resource_line,
)
from exchange.api.registry_frame import (
    ID,
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
from exchange.api.services import Services
from schemas.errors import DeniedError, Fault, RejectedError

RESOURCES: Final = "/api/v1/resources"
APPLICATIONS: Final = "/api/v1/applications"
RESOURCE_KIND: Final = "registry.resource"
APPLICATION_KIND: Final = "registry.application"

_UNPUBLISHED: Final = "one that is not published: its department, the centre, the security officer and the auditor"
_INVOLVED: Final = "the own department made it, answers it or has its resource"

Act = Callable[[Registry, ApplicationRecord, PrincipalRecord, int], ApplicationRecord]
"""Takes one step of an application that may be seen, in the name of a principal, on a version; in a thread."""


def registry_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""
    _resource_routes(app, services, problems)
    _application_routes(app, services, problems)


def _resource_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, method, RESOURCES + path, tag="resources", **words)

    @route("GET", "", summary="List the resources", answer=ResourcePage, listed=True, who=EVERYBODY, note=_UNPUBLISHED)
    async def resources(request: Request) -> Response:
        """List published resources and, whatever their state, those of the own department; centre and auditor see all.

        Of a resource that is not shared, others see name, title and reason.
        """
        seen = sight(asker(services, request))
        after, limit = page_of(request, NAME)
        rows = await in_thread(services.reads, lambda: services.hub.registry.catalogue(seen, after=after, limit=limit + 1))
        shown, following = rows[:limit], rows[limit - 1].name if len(rows) > limit else None
        return json_answer(ResourcePage([resource_line(r) for r in shown], following))

    @route("GET", "/{name}", summary="Show a resource", answer=ResourceAnswer, tagged=True, who=EVERYBODY, note=_UNPUBLISHED)
    async def resource(request: Request) -> Response:
        """Show a resource with its fields. Of one that is not published and not of the own department nothing is shown, of one
        that is not shared the name and the reason.
        """
        found = await seen_in_any_state(services, sight(asker(services, request)), request.path_params["name"])
        return await answer_resource(services, found)

    @route("GET", "/{name}/history", summary="Show what was done to a resource", answer=HistoryAnswer, denied=True, who=SEEING)
    async def resource_history(request: Request) -> Response:
        """Show who did what, when and why, to the resource's department, the centre and the auditor."""
        seen = sight(asker(services, request))
        found = await seen_in_any_state(services, seen, request.path_params["name"])
        if isinstance(found, Cover) or not seen.of_department(found.department):
            raise DeniedError(
                "the history of a resource is for its department, the centre and the auditor",
                code="registry.history",
                fault=Fault.CLIENT,
            )
        return json_answer(
            history_answer(await in_thread(services.reads, lambda: services.hub.registry.resource_history(found.name)))
        )

    def step(event: ResourceEvent) -> None:
        @route(
            "POST",
            f"/{{name}}/{event}",
            summary=f"{event.capitalize()} a resource",
            body=StepBody,
            answer=ResourceAnswer,
            tagged=True,
            who=DUTIES_OF_RESOURCE[event],
        )
        async def taken(request: Request) -> Response:
            """Take a step of a resource's life."""
            who = asker(services, request)
            seen = sight(who)
            found = await _to_act_on(services, who, seen, request.path_params["name"], event)
            version, body = version_of(request, found.name), await body_of(request, StepBody)
            done = await recorded(
                services,
                who,
                RESOURCE_KIND,
                event,
                found.name,
                lambda: services.registry.act_on_resource(found.name, event, by=who.id, version=version, why=body.why),
                lambda after: {"manifest": {"event": event.value, "state": after.state.value, "version": after.row_version}},
            )
            return await answer_resource(services, done)

    for event in ResourceEvent:
        if event is not ResourceEvent.DISCARD:
            step(event)

    @route(
        "DELETE",
        "/{name}",
        summary="Discard a draft that was a mistake",
        answer=ResourceAnswer,
        tagged=True,
        versioned=True,
        who=DUTIES_OF_RESOURCE[ResourceEvent.DISCARD],
        note="a draft that no contract is bound to",
    )
    async def discard(request: Request) -> Response:
        """Take a draft without a contract out of the catalogue; its history stays, its name and code are never given again."""
        who = asker(services, request)
        found = await seen_in_any_state(services, sight(who), request.path_params["name"])
        version = version_of(request, found.name)
        done = await recorded(
            services,
            who,
            RESOURCE_KIND,
            ResourceEvent.DISCARD,
            found.name,
            lambda: services.registry.discard_resource(found.name, by=who.id, version=version),
            lambda after: {"manifest": {"event": "discard", "state": after.state.value, "version": after.row_version}},
        )
        return await answer_resource(services, done)


def _application_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, method, APPLICATIONS + path, tag="applications", **words)

    @route("GET", "", summary="List the applications", answer=ApplicationPage, listed=True, who=SEEING, note=_INVOLVED)
    async def applications(request: Request) -> Response:
        """List what the own department asked for and what is asked of it; centre and auditor see all."""
        seen = sight(asker(services, request))
        after, limit = page_of(request, ID)
        registry = services.hub.registry

        def read() -> list[tuple[ApplicationRecord, StepClock | None]]:
            return _clocked(services, registry.applications(seen=seen, after=after, limit=limit + 1))

        rows = await in_thread(services.reads, read)
        following = rows[limit - 1][0].id if len(rows) > limit else None
        return json_answer(ApplicationPage([application_answer(*row) for row in rows[:limit]], following))

    @route(
        "POST",
        "",
        summary="Apply for a resource",
        body=ApplyBody,
        answer=ApplicationAnswer,
        made=True,
        tagged=True,
        who=APPLYING,
    )
    async def apply(request: Request) -> Response:
        """Ask for fields of a published resource, in the name of the principal's department."""
        who = asker(services, request)
        body = await body_of(request, ApplyBody)
        found = await seen_in_any_state(services, sight(who), body.resource)

        def ask() -> ApplicationRecord:
            asked = {name: getattr(body, name) for name in body.__struct_fields__} | {"quota": quota_given(body.quota)}
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

    @route("GET", "/{id}", summary="Show an application", answer=ApplicationAnswer, tagged=True, who=SEEING, note=_INVOLVED)
    async def application(request: Request) -> Response:
        """Show an application with its clock to the department that made it, to the provider, the centre and the auditor."""
        found = await _application(services, sight(asker(services, request)), request.path_params["id"])
        return await _clocked_answer(services, found)

    @route(
        "GET", "/{id}/history", summary="Show what was done to an application", answer=HistoryAnswer, who=SEEING, note=_INVOLVED
    )
    async def application_history(request: Request) -> Response:
        """Show who did what, when and why, and what was given."""
        found = await _application(services, sight(asker(services, request)), request.path_params["id"])
        return json_answer(history_answer(await in_thread(services.reads, lambda: services.hub.registry.history(found.id))))

    def step(event: ApplicationEvent, words: str, body: type[Body], act: Callable[[Body], Act]) -> None:
        path = f"/{{id}}/{event.replace('_', '-')}"

        @route("POST", path, summary=words, body=body, answer=ApplicationAnswer, tagged=True, who=DUTIES_OF_APPLICATION[event])
        async def taken(request: Request) -> Response:
            """Take a step of an application."""
            who = asker(services, request)
            found = await _application(services, sight(who), request.path_params["id"])
            version, given = version_of(request, found.id), await body_of(request, body)
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
                quota=quota_given(b.quota),
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


async def seen_resource(services: Services, seen: Sight, name: str) -> RegisteredResource:
    """Return a resource with a contract, all of which may be seen. Raises ``RejectedError`` where there is none."""
    found = await seen_in_any_state(services, seen, name)
    if isinstance(found, UnboundResource):
        raise RejectedError(
            f"{name} is in the catalogue, and has no contract yet",
            code="resource.unbound",
            where=name,
            remedy="bind it: register a contract of that name",
            fault=Fault.CLIENT,
        )
    if isinstance(found, Cover):
        raise RejectedError("there is no such resource", code="resource.unknown", fault=Fault.CLIENT)
    return found


async def seen_in_any_state(services: Services, seen: Sight, name: str) -> RegisteredResource | UnboundResource | Cover:
    """Return what may be seen of a resource, of one that is not shared its cover. Raises ``RejectedError`` where nothing is."""

    def read(known: str) -> RegisteredResource | UnboundResource | Cover | None:
        return services.hub.registry.resource_seen(known, seen)

    found = await read_known(services, read, name, NAME, "resource.unknown")
    if found is None:
        raise RejectedError("there is no such resource", code="resource.unknown", fault=Fault.CLIENT)
    return found


async def answer_resource(
    services: Services, found: RegisteredResource | UnboundResource | Cover, *, status: int = 200
) -> Response:
    """Return a resource with its rating."""
    if isinstance(found, Cover):
        return json_answer(resource_answer(found, None), status=status)
    rated = await in_thread(services.reads, lambda: services.hub.registry.rating_of(found.name))
    return json_answer(resource_answer(found, rated), tag=found.row_version, status=status)


async def _to_act_on(
    services: Services, who: PrincipalRecord, seen: Sight, name: str, event: ResourceEvent
) -> RegisteredResource | UnboundResource:
    """Return the resource that a step is for. One that is not shared is of another department, which is not named."""
    found = await seen_in_any_state(services, seen, name)
    if isinstance(found, Cover):

        def deny() -> RegisteredResource:
            raise DeniedError(
                f"{who.name} is of {who.department} and may not {event} what is another department's",
                code="registry.other_department",
                fault=Fault.CLIENT,
            )

        return await recorded(services, who, RESOURCE_KIND, event, found.name, deny, lambda _: {})
    return found


async def _application(services: Services, seen: Sight, application: str) -> ApplicationRecord:
    found = await read_known(services, services.hub.registry.application, application, ID, "application.unknown")
    if found is not None and not seen.of_department(found.department, found.assigned):
        resource = found.resource
        provider = await in_thread(services.reads, lambda: services.hub.registry.resource(resource))
        found = found if seen.of_department(provider.department) else None
    if found is None:
        raise RejectedError("there is no such application", code="application.unknown", fault=Fault.CLIENT)
    return found


def _clocked(services: Services, rows: list[ApplicationRecord]) -> list[tuple[ApplicationRecord, StepClock | None]]:
    hub, now = services.hub, services.clock.now()
    since, free = hub.registry.since([row.id for row in rows]), hub.registry.unconditional({row.resource for row in rows})
    return clocks_of(rows, since, free, rules=hub.clock_rules, of=hub.workdays, now=now)


async def _clocked_answer(services: Services, found: ApplicationRecord, *, status: int = 200) -> Response:
    ((_, clock),) = await in_thread(services.reads, lambda: _clocked(services, [found]))
    return json_answer(application_answer(found, clock), tag=found.version, status=status)


# What is done -----------------------------------------------------------------------------------------------------------


async def _application_done(
    services: Services, who: PrincipalRecord, event: str, resource: str, act: Callable[[], ApplicationRecord]
) -> ApplicationRecord:
    def told(after: ApplicationRecord) -> Mapping[str, Any]:
        manifest = {"application": after.id, "event": str(event), "state": after.state.value, "version": after.version}
        return {"grant": after.grant, "manifest": manifest}

    return await recorded(services, who, APPLICATION_KIND, event, resource, act, told)
