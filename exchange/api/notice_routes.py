"""Changes to come by HTTP: revisions of contracts, notices, withdrawals on a date, reminders, and what one may call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response

from catalog_registry.acting import DUTIES_OF_RESOURCE, EVERYBODY, SEEING, Duty, Sight, sight
from catalog_registry.notice_records import NoticeRecord, RevisionRecord, WithdrawalRecord
from catalog_registry.notices import days_of
from catalog_registry.records import PrincipalRecord
from catalog_registry.registry import Registry
from catalog_registry.revision_states import ACKNOWLEDGING, DUTIES_OF_REVISION, PROPOSING, RevisionEvent
from catalog_registry.states import ResourceEvent
from exchange.api.asking import body_of
from exchange.api.notice_forms import (
    MOST_CONTRACT,
    AuthorisationsAnswer,
    ConsequencesAnswer,
    NoticeAnswer,
    NoticePage,
    ProposeBody,
    ReminderPage,
    RevisionAnswer,
    RevisionPage,
    WithdrawalAnswer,
    WithdrawOnBody,
    authorisation_answer,
    consequences_answer,
    notice_answer,
    reminder_answer,
    revision_answer,
    withdrawal_answer,
)
from exchange.api.registry_forms import HistoryAnswer, StepBody, history_answer
from exchange.api.registry_frame import (
    ID,
    Given,
    Problems,
    add_route,
    asker_of,
    in_thread,
    json_answer,
    page_of,
    read_known,
    recorded,
    version_of,
)
from exchange.api.registry_routes import RESOURCE_KIND, _resource
from exchange.api.services import Services
from schemas.errors import Fault, RejectedError
from schemas.odcs import read_contract

REVISIONS: Final = "/api/v1/revisions"
NOTICES: Final = "/api/v1/notices"
REMINDERS: Final = "/api/v1/reminders"
AUTHORISATIONS: Final = "/api/v1/authorisations"
REVISION_KIND: Final = "registry.revision"
NOTICE_KIND: Final = "registry.notice"
_BODY_BYTES: Final = 2 * MOST_CONTRACT

_ELSEWHERE: Final = ("source.unknown", "system.unknown", "contract.other_system", "contract.other_department")
_TOLD: Final = "the own department has the resource, or was told"
_OWN: Final = "the own department has the resource"
_TO_ME: Final = "the own department was told"
_MINE: Final = "the own department has the step"
_WITHDRAWING: Final = DUTIES_OF_RESOURCE[ResourceEvent.WITHDRAW]

Act = Callable[[Registry, str, PrincipalRecord, int, str], RevisionRecord]
"""Takes a step of a revision of an id, in the name of a principal, on a version, for a reason; in a thread."""

Route = Callable[[Callable[[Request], Awaitable[Response]]], None]


def notice_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""

    def route(method: str, path: str, tag: str, **words: Any) -> Route:
        return add_route(app, services, problems, method, path, tag=tag, **words)

    _revision_routes(services, route)
    _notice_routes(services, route)
    _withdrawal_routes(services, route)
    _own_routes(services, route)


def _revision_routes(services: Services, route: Callable[..., Route]) -> None:
    @route(
        "GET",
        REVISIONS,
        "revisions",
        summary="List the changes of contracts",
        answer=RevisionPage,
        listed=True,
        who=SEEING,
        note=_TOLD,
    )
    async def revisions(request: Request) -> Response:
        """List new versions of contracts, whatever their state: of the own resources, and those that were told."""
        seen = sight(asker_of(services, request))
        return await _listed(
            services,
            request,
            lambda after, limit: services.hub.registry.revisions(seen=seen, after=after, limit=limit),
            lambda rows, following: RevisionPage([revision_answer(one) for one in rows], following),
        )

    @route(
        "POST",
        REVISIONS,
        "revisions",
        summary="Propose a change of a contract",
        body=ProposeBody,
        answer=RevisionAnswer,
        made=True,
        tagged=True,
        who=PROPOSING,
    )
    async def propose(request: Request) -> Response:
        """Propose a new version of a shared resource's contract; the answer says what it changes and what that breaks.

        It is in force once somebody else approved it, and where it breaks a grant, once its notice is over.
        """
        who = asker_of(services, request)
        body = await body_of(request, ProposeBody, most_bytes=_BODY_BYTES)
        contract = await in_thread(services.reads, lambda: read_contract(body.contract, where="contract"))
        found = await _resource(services, sight(who), contract.name)

        def act() -> RevisionRecord:
            return services.registry.propose_revision(body.contract, by=who.id, why=body.why, where="contract")

        try:
            done = await _revision_done(services, who, "propose", found.name, act)
        except RejectedError as error:
            if error.code not in _ELSEWHERE:
                raise
            raise RejectedError(  # alike, so that nobody finds out another department's systems and sources
                "source, system and department of the contract are not the resource's department's",
                code="contract.place",
                fault=Fault.CLIENT,
            ) from None
        answer = json_answer(revision_answer(done), tag=done.version, status=201)
        answer.headers["location"] = f"{REVISIONS}/{done.id}"
        return answer

    @route(
        "GET",
        REVISIONS + "/{id}",
        "revisions",
        summary="Show a change of a contract",
        answer=RevisionAnswer,
        tagged=True,
        who=SEEING,
        note=_TOLD,
    )
    async def revision(request: Request) -> Response:
        """Show a new version of a contract: each change, whether it breaks who reads the rows, and how far it is."""
        found = await _revision(services, sight(asker_of(services, request)), request)
        return json_answer(revision_answer(found), tag=found.version)

    @route(
        "GET",
        REVISIONS + "/{id}/history",
        "revisions",
        summary="Show what was done to a change",
        answer=HistoryAnswer,
        who=SEEING,
        note=_TOLD,
    )
    async def revision_history(request: Request) -> Response:
        """Show who did what, when and why."""
        found = await _revision(services, sight(asker_of(services, request)), request)
        return json_answer(
            history_answer(await in_thread(services.reads, lambda: services.hub.registry.revision_history(found.id)))
        )

    @route(
        "GET",
        REVISIONS + "/{id}/notices",
        "revisions",
        summary="Show who was told of a change",
        answer=NoticePage,
        who=SEEING,
        note=_TOLD,
        listed=True,
    )
    async def revision_notices(request: Request) -> Response:
        """Show whom it affects and who acknowledged, to the provider and who sees all; to one that was told, its own."""
        seen = sight(asker_of(services, request))
        found = await _revision(services, seen, request)
        whose = None if seen.of_department(found.department) else seen
        return await _listed(
            services,
            request,
            lambda after, limit: services.hub.registry.notices(revision=found.id, seen=whose, after=after, limit=limit),
            lambda rows, following: NoticePage([notice_answer(one) for one in rows], following),
        )

    @route(
        "GET",
        REVISIONS + "/{id}/affected",
        "revisions",
        summary="Show what a change would break",
        answer=ConsequencesAnswer,
        who=SEEING,
        note=_OWN,
    )
    async def affected(request: Request) -> Response:
        """Show whose grants it breaks and what would become of them, before anybody decides; to the provider and the centre."""
        seen = sight(asker_of(services, request))
        found = await _revision(services, seen, request)
        if not seen.of_department(found.department):
            raise RejectedError("there is no such revision", code="revision.unknown", fault=Fault.CLIENT)
        grants = await in_thread(services.reads, lambda: services.hub.registry.revision_consequences(found.id))
        return json_answer(consequences_answer(grants))

    def step(event: RevisionEvent, words: str, act: Act) -> None:
        path = f"{REVISIONS}/{{id}}/{event.replace('_', '-')}"

        @route(
            "POST",
            path,
            "revisions",
            summary=words,
            body=StepBody,
            answer=RevisionAnswer,
            tagged=True,
            who=DUTIES_OF_REVISION[event],
        )
        async def taken(request: Request) -> Response:
            """Take a step of a change."""
            who = asker_of(services, request)
            found = await _revision(services, sight(who), request)
            version, body = version_of(request, found.id), await body_of(request, StepBody)
            done = await _revision_done(
                services, who, event, found.resource, lambda: act(services.registry, found.id, who, version, body.why)
            )
            return json_answer(revision_answer(done), tag=done.version)

    hub = services
    step(
        RevisionEvent.APPROVE,
        "Agree to a change: give notice where it breaks a grant",
        lambda r, i, who, v, why: r.approve_revision(
            i, by=who.id, version=v, why=why, rule=days_of(hub.hub.clock_rules), of=hub.hub.workdays
        ),
    )
    step(
        RevisionEvent.REJECT,
        "Refuse a change",
        lambda r, i, who, v, why: r.reject_revision(i, by=who.id, version=v, why=why),
    )
    step(
        RevisionEvent.GO_ON,
        "Go on with a change that somebody did not acknowledge",
        lambda r, i, who, v, why: r.go_on_with_revision(i, by=who.id, version=v, why=why),
    )
    step(
        RevisionEvent.WITHDRAW,
        "Take a change back",
        lambda r, i, who, v, why: r.withdraw_revision(i, by=who.id, version=v, why=why),
    )


def _notice_routes(services: Services, route: Callable[..., Route]) -> None:
    @route("GET", NOTICES, "notices", summary="List the notices to me", answer=NoticePage, listed=True, who=SEEING, note=_TO_ME)
    async def notices(request: Request) -> Response:
        """List what the own department was told of changes and withdrawals to come; the centre and the auditor see all."""
        seen = sight(asker_of(services, request))
        return await _listed(
            services,
            request,
            lambda after, limit: services.hub.registry.notices(seen=seen, after=after, limit=limit),
            lambda rows, following: NoticePage([notice_answer(one) for one in rows], following),
        )

    @route("GET", NOTICES + "/{id}", "notices", summary="Show a notice", answer=NoticeAnswer, who=SEEING, note=_TO_ME)
    async def notice(request: Request) -> Response:
        """Show what comes, when, why, and what becomes of each grant."""
        return json_answer(notice_answer(await _notice(services, sight(asker_of(services, request)), request)))

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
        who = asker_of(services, request)
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
        found = await _resource(services, sight(asker_of(services, request)), request.path_params["name"])
        plan = await in_thread(services.reads, lambda: services.hub.registry.withdrawal(found.name))
        if plan is None:
            raise RejectedError(f"{found.name} is not to be withdrawn", code="withdrawal.unknown", fault=Fault.CLIENT)
        return json_answer(withdrawal_answer(plan))

    def step(words: str, what: str, body: type[Any], where: str, who_may: tuple[Duty, ...]) -> None:
        @route("POST", where, "resources", summary=words, body=body, answer=WithdrawalAnswer, who=who_may)
        async def taken(request: Request) -> Response:
            """The version is the resource's: send the ETag that it had when it was decided on."""
            who = asker_of(services, request)
            found = await _resource(services, sight(who), request.path_params["name"])
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
        seen = sight(asker_of(services, request))
        return await _listed(
            services,
            request,
            lambda after, limit: services.hub.registry.reminders(seen=seen, after=after, limit=limit),
            lambda rows, following: ReminderPage([reminder_answer(one) for one in rows], following),
        )

    @route(
        "GET",
        AUTHORISATIONS,
        "authorisations",
        summary="What may I call?",
        answer=AuthorisationsAnswer,
        who=EVERYBODY,
        note="about itself only",
    )
    async def authorisations(request: Request) -> Response:
        """List the grants in force of the account, of its system and of its department, each with an example of a call."""
        who = asker_of(services, request)
        found = await in_thread(services.reads, lambda: services.hub.registry.authorisations(who, services.clock.now()))
        return json_answer(AuthorisationsAnswer(who.id, [authorisation_answer(one) for one in found]))


# What may be seen, and what is done -------------------------------------------------------------------------------------


async def _listed(
    services: Services,
    request: Request,
    read: Callable[[str | None, int], list[Given]],
    page: Callable[[list[Given], str | None], msgspec.Struct],
) -> Response:
    """Return a page of things that have an ``id``."""
    after, limit = page_of(request, ID)
    rows = await in_thread(services.reads, lambda: read(after, limit + 1))
    following: str | None = rows[limit - 1].id if len(rows) > limit else None  # type: ignore[attr-defined]
    return json_answer(page(rows[:limit], following))


async def _revision(services: Services, seen: Sight, request: Request) -> RevisionRecord:
    registry = services.hub.registry
    found = await read_known(services, registry.revision, request.path_params["id"], ID, "revision.unknown")
    told: list[NoticeRecord] = []
    if found is not None and not seen.of_department(found.department):
        revision = found.id
        told = await in_thread(services.reads, lambda: registry.notices(revision=revision, seen=seen))
    if found is None or not (told or seen.of_department(found.department)):
        raise RejectedError("there is no such revision", code="revision.unknown", fault=Fault.CLIENT)
    return found


async def _notice(services: Services, seen: Sight, request: Request) -> NoticeRecord:
    found = await read_known(services, services.hub.registry.notice, request.path_params["id"], ID, "notice.unknown")
    if found is None or not seen.of_department(found.department):
        raise RejectedError("there is no such notice", code="notice.unknown", fault=Fault.CLIENT)
    return found


async def _revision_done(
    services: Services, who: PrincipalRecord, event: str, resource: str, act: Callable[[], RevisionRecord]
) -> RevisionRecord:
    def told(after: RevisionRecord) -> Mapping[str, Any]:
        manifest = {"revision": after.id, "event": str(event), "state": after.state.value, "version": after.version}
        return {"manifest": manifest}

    return await recorded(services, who, REVISION_KIND, event, resource, act, told)
