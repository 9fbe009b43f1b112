"""Changes to come by HTTP: notices, withdrawals on a date, reminders, what one may call; revisions are beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from catalog_registry.acting import DUTIES_OF_RESOURCE, EVERYBODY, SEEING, Duty, Sight, sight
from catalog_registry.notice_records import NoticeRecord, WithdrawalRecord
from catalog_registry.revision_states import ACKNOWLEDGING
from catalog_registry.states import ResourceEvent
from exchange.api.asking import asker, body_of
from exchange.api.notice_forms import (
    AuthorisationPage,
    NoticeAnswer,
    NoticePage,
    ReminderPage,
    WithdrawalAnswer,
    WithdrawOnBody,
    authorisation_answer,
    notice_answer,
    reminder_answer,
    withdrawal_answer,
)
from exchange.api.registry_forms import StepBody
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
from exchange.api.registry_routes import RESOURCE_KIND, seen_resource
from exchange.api.revision_routes import Route, listed, revision_routes
from exchange.api.services import Services
from schemas.errors import Fault, RejectedError

NOTICES: Final = "/api/v1/notices"
REMINDERS: Final = "/api/v1/reminders"
AUTHORISATIONS: Final = "/api/v1/authorisations"
NOTICE_KIND: Final = "registry.notice"

_TO_ME: Final = "the own department was told"
_MINE: Final = "the own department has the step"
_WITHDRAWING: Final = DUTIES_OF_RESOURCE[ResourceEvent.WITHDRAW]


def notice_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""

    def route(method: str, path: str, tag: str, **words: Any) -> Route:
        return add_route(app, services, problems, method, path, tag=tag, **words)

    revision_routes(services, route)
    _notice_routes(services, route)
    _withdrawal_routes(services, route)
    _own_routes(services, route)


def _notice_routes(services: Services, route: Callable[..., Route]) -> None:
    @route("GET", NOTICES, "notices", summary="List the notices to me", answer=NoticePage, listed=True, who=SEEING, note=_TO_ME)
    async def notices(request: Request) -> Response:
        """List what the own department was told of changes and withdrawals to come; the centre and the auditor see all."""
        seen = sight(asker(services, request))
        return await listed(
            services,
            request,
            lambda after, limit: services.hub.registry.notices(seen=seen, after=after, limit=limit),
            NoticePage,
            notice_answer,
        )

    @route("GET", NOTICES + "/{id}", "notices", summary="Show a notice", answer=NoticeAnswer, who=SEEING, note=_TO_ME)
    async def notice(request: Request) -> Response:
        """Show what comes, when, why, and what becomes of each grant."""
        return json_answer(notice_answer(await _notice(services, sight(asker(services, request)), request)))

    @route(
        "POST",
        NOTICES + "/{id}/acknowledge",
        "notices",
        summary="Acknowledge a notice",
        answer=NoticeAnswer,
        who=ACKNOWLEDGING,
        denied=True,
        note=_TO_ME,
    )
    async def acknowledge(request: Request) -> Response:
        """Say that the own department has read it; once said it stays so."""
        who = asker(services, request)
        found = await _notice(services, sight(who), request)
        done = await recorded(
            services,
            who,
            NOTICE_KIND,
            "acknowledge",
            found.resource,
            lambda: services.registry.acknowledge_notice(found.id, by=who.id),
            lambda after: {"manifest": {"notice": after.id, "event": "acknowledge"}},
        )
        return json_answer(notice_answer(done))


def _withdrawal_routes(services: Services, route: Callable[..., Route]) -> None:
    path = "/api/v1/resources/{name}/withdrawal"

    @route("GET", path, "resources", summary="Show when a resource will be withdrawn", answer=WithdrawalAnswer, who=EVERYBODY)
    async def withdrawal(request: Request) -> Response:
        """Show the day and the reason; 404 where it is not to be withdrawn, or there is no such resource to be seen."""
        found = await seen_resource(services, sight(asker(services, request)), request.path_params["name"])
        plan = await in_thread(services.reads, lambda: services.hub.registry.withdrawal(found.name))
        if plan is None:
            raise RejectedError(f"{found.name} is not to be withdrawn", code="withdrawal.unknown", fault=Fault.CLIENT)
        return json_answer(withdrawal_answer(plan))

    def step(words: str, what: str, body: type[Any], where: str, who_may: tuple[Duty, ...]) -> None:
        @route("POST", where, "resources", summary=words, body=body, answer=WithdrawalAnswer, who=who_may)
        async def taken(request: Request) -> Response:
            """The version is the resource's: send the ETag that it had when it was decided on."""
            who = asker(services, request)
            found = await seen_resource(services, sight(who), request.path_params["name"])
            version, given = version_of(request, found.name), await body_of(request, body)

            def act() -> WithdrawalRecord:
                terms: dict[str, Any] = {"by": who.id, "version": version, "why": given.why}
                if isinstance(given, WithdrawOnBody):
                    return services.registry.plan_withdrawal(found.name, given.on, **terms)
                return services.registry.call_off_withdrawal(found.name, **terms)

            def told(after: WithdrawalRecord) -> Mapping[str, Any]:
                return {"manifest": {"event": what, "withdrawal": after.id, "at": after.at.isoformat()}}

            return json_answer(withdrawal_answer(await recorded(services, who, RESOURCE_KIND, what, found.name, act, told)))

    step("Withdraw a resource on a day", "plan_withdrawal", WithdrawOnBody, path, _WITHDRAWING)
    step("Leave a resource that was to be withdrawn", "call_off_withdrawal", StepBody, f"{path}/call-off", _WITHDRAWING)


def _own_routes(services: Services, route: Callable[..., Route]) -> None:
    @route(
        "GET",
        REMINDERS,
        "reminders",
        summary="List the reminders to me",
        answer=ReminderPage,
        listed=True,
        who=SEEING,
        note=_MINE,
    )
    async def reminders(request: Request) -> Response:
        """List what the own department was reminded of, and what is late; what the centre has, those who see all."""
        seen = sight(asker(services, request))
        return await listed(
            services,
            request,
            lambda after, limit: services.hub.registry.reminders(seen=seen, after=after, limit=limit),
            ReminderPage,
            reminder_answer,
        )

    @route(
        "GET",
        AUTHORISATIONS,
        "authorisations",
        summary="What may I call?",
        answer=AuthorisationPage,
        listed=True,
        who=EVERYBODY,
        note="about itself only",
    )
    async def authorisations(request: Request) -> Response:
        """List the grants in force of the account, of its system and of its department, each with an example of a call."""
        who = asker(services, request)
        now = services.clock.now()
        after, limit = page_of(request, ID)
        rows = await in_thread(
            services.reads, lambda: services.hub.registry.authorisations(who, now, after=after, limit=limit + 1)
        )
        shown, following = rows[:limit], rows[limit - 1].id if len(rows) > limit else None
        used = await services.quotas.state([one.grant for one in shown], now)
        return json_answer(AuthorisationPage([authorisation_answer(one, used.get(one.id)) for one in shown], following))


async def _notice(services: Services, seen: Sight, request: Request) -> NoticeRecord:
    found = await read_known(services, services.hub.registry.notice, request.path_params["id"], ID, "notice.unknown")
    if found is None or not seen.of_department(found.department):
        raise RejectedError("there is no such notice", code="notice.unknown", fault=Fault.CLIENT)
    return found
