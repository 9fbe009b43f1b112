"""Revisions by HTTP: a new version of a contract is proposed, reviewed, told to those it breaks, and followed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from fastapi import Request, Response

from catalog_registry.acting import SEEING, Sight, sight
from catalog_registry.notice_records import NoticeRecord, RevisionRecord
from catalog_registry.notices import days_of
from catalog_registry.records import PrincipalRecord
from catalog_registry.registry import Registry
from catalog_registry.revision_states import DUTIES_OF_REVISION, PROPOSING, RevisionEvent
from exchange.api.asking import asker, body_of
from exchange.api.notice_forms import (
    MOST_CONTRACT,
    ConsequencesAnswer,
    NoticePage,
    ProposeBody,
    RevisionAnswer,
    RevisionPage,
    consequences_answer,
    notice_answer,
    revision_answer,
)
from exchange.api.registry_forms import HistoryAnswer, StepBody, history_answer
from exchange.api.registry_frame import (
    ID,
    Given,
    in_thread,
    json_answer,
    page_of,
    read_known,
    recorded,
    version_of,
)
from exchange.api.registry_routes import seen_resource
from exchange.api.services import Services
from schemas.errors import Fault, RejectedError
from schemas.odcs import read_contract

REVISIONS: Final = "/api/v1/revisions"
REVISION_KIND: Final = "registry.revision"
_BODY_BYTES: Final = 2 * MOST_CONTRACT

_ELSEWHERE: Final = ("source.unknown", "system.unknown", "contract.other_system", "contract.other_department")
_TOLD: Final = "the own department has the resource, or was told"
_OWN: Final = "the own department has the resource"

Act = Callable[[Registry, str, PrincipalRecord, int, str], RevisionRecord]
"""Takes a step of a revision of an id, in the name of a principal, on a version, for a reason; in a thread."""

Line = TypeVar("Line", bound=msgspec.Struct)
Route = Callable[[Callable[[Request], Awaitable[Response]]], None]


def revision_routes(services: Services, route: Callable[..., Route]) -> None:
    """Add the routes; ``route`` adds one of a method, a path and a tag."""

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
        seen = sight(asker(services, request))
        return await listed(
            services,
            request,
            lambda after, limit: services.hub.registry.revisions(seen=seen, after=after, limit=limit),
            RevisionPage,
            revision_answer,
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
        who = asker(services, request)
        body = await body_of(request, ProposeBody, most_bytes=_BODY_BYTES)
        contract = await in_thread(services.reads, lambda: read_contract(body.contract, where="contract"))
        found = await seen_resource(services, sight(who), contract.name)

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
        found = await _revision(services, sight(asker(services, request)), request)
        return json_answer(revision_answer(found), tag=found.version)

    @route(
        "GET",
        REVISIONS + "/{id}/history",
        "revisions",
        summary="Show what was done to a change",
        answer=HistoryAnswer,
        who=SEEING,
        note=_OWN,
    )
    async def revision_history(request: Request) -> Response:
        """Show who did what, when and why, and what became of whose grants: to the provider and who sees all."""
        found = await _own_revision(services, request)
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
        seen = sight(asker(services, request))
        found = await _revision(services, seen, request)
        whose = None if seen.of_department(found.department) else seen
        return await listed(
            services,
            request,
            lambda after, limit: services.hub.registry.notices(revision=found.id, seen=whose, after=after, limit=limit),
            NoticePage,
            notice_answer,
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
        found = await _own_revision(services, request)
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
            who = asker(services, request)
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


async def listed(
    services: Services,
    request: Request,
    read: Callable[[str | None, int], list[Given]],
    page: Callable[[list[Line], str | None], msgspec.Struct],
    line: Callable[[Given], Line],
) -> Response:
    """Return a page of things that have an ``id``, each as ``line`` gives it."""
    after, limit = page_of(request, ID)
    rows = await in_thread(services.reads, lambda: read(after, limit + 1))
    following: str | None = rows[limit - 1].id if len(rows) > limit else None  # type: ignore[attr-defined]
    return json_answer(page([line(one) for one in rows[:limit]], following))


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


async def _own_revision(services: Services, request: Request) -> RevisionRecord:
    """Return a revision to those who see what it does to every department's grants."""
    seen = sight(asker(services, request))
    found = await _revision(services, seen, request)
    if not seen.of_department(found.department):
        raise RejectedError("there is no such revision", code="revision.unknown", fault=Fault.CLIENT)
    return found


async def _revision_done(
    services: Services, who: PrincipalRecord, event: str, resource: str, act: Callable[[], RevisionRecord]
) -> RevisionRecord:
    def told(after: RevisionRecord) -> Mapping[str, Any]:
        manifest = {"revision": after.id, "event": str(event), "state": after.state.value, "version": after.version}
        return {"manifest": manifest}

    return await recorded(services, who, REVISION_KIND, event, resource, act, told)
