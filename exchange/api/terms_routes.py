"""Duties to destroy and bulk exports by HTTP: who sees them, and their steps, each on the version it was decided on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from catalog_registry.acting import SEEING, Sight, sight
from catalog_registry.bulk_export_life import DUTIES_OF_EXPORT, EXPORT_ASKING, ExportEvent
from catalog_registry.destruction_life import DUTIES_OF_DESTRUCTION, DestructionEvent, destruction_clock
from catalog_registry.records import BulkExportRecord, DestructionRecord, PrincipalRecord
from catalog_registry.registry import Registry
from exchange.api.asking import Body, asker, body_of
from exchange.api.registry_forms import HistoryAnswer, StepBody, history_answer
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
from exchange.api.services import Services
from exchange.api.terms_forms import (
    ApproveExportBody,
    BulkExportAnswer,
    BulkExportBody,
    BulkExportPage,
    CertificateBody,
    DestructionAnswer,
    DestructionPage,
    bulk_export_answer,
    destruction_answer,
)
from schemas.errors import Fault, RejectedError

DESTRUCTIONS: Final = "/api/v1/destructions"
BULK_EXPORTS: Final = "/api/v1/bulk-exports"
DESTRUCTION_KIND: Final = "registry.destruction"
BULK_EXPORT_KIND: Final = "registry.bulk_export"

_RECEIVER: Final = "the own department received the rows"
_PARTIES: Final = "the own department asked, or has the resource"

Act = Callable[[Registry, str, str, int], Any]
"""Takes a step of the thing of an id, in the name of a principal, on a version; in a thread."""


def terms_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""
    _destruction_routes(app, services, problems)
    _bulk_export_routes(app, services, problems)


def _destruction_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, method, DESTRUCTIONS + path, tag="destructions", **words)

    @route("GET", "", summary="List the duties to destroy", answer=DestructionPage, listed=True, who=SEEING, note=_RECEIVER)
    async def destructions(request: Request) -> Response:
        """List the duties of the own department; centre, security officer and auditor see all, with the clock of each."""
        seen = sight(asker(services, request))
        after, limit = page_of(request, ID)
        rows = await in_thread(
            services.reads, lambda: services.hub.registry.destructions(seen=seen, after=after, limit=limit + 1)
        )
        following = rows[limit - 1].id if len(rows) > limit else None
        return json_answer(DestructionPage([_clocked(services, row) for row in rows[:limit]], following))

    @route("GET", "/{id}", summary="Show a duty to destroy", answer=DestructionAnswer, tagged=True, who=SEEING, note=_RECEIVER)
    async def destruction(request: Request) -> Response:
        """Show a duty with its certificate and its clock."""
        found = await _destruction(services, sight(asker(services, request)), request.path_params["id"])
        return json_answer(_clocked(services, found), tag=found.version)

    @route("GET", "/{id}/history", summary="Show what was done to a duty", answer=HistoryAnswer, who=SEEING, note=_RECEIVER)
    async def destruction_history(request: Request) -> Response:
        """Show who did what, when and why."""
        found = await _destruction(services, sight(asker(services, request)), request.path_params["id"])
        steps = await in_thread(services.reads, lambda: services.hub.registry.destruction_history(found.id))
        return json_answer(history_answer(steps))

    def step(event: DestructionEvent, words: str, body: type[Body], act: Callable[[Body], Act]) -> None:
        @route(
            "POST",
            f"/{{id}}/{event}",
            summary=words,
            body=body,
            answer=DestructionAnswer,
            tagged=True,
            who=DUTIES_OF_DESTRUCTION[event],
        )
        async def taken(request: Request) -> Response:
            """Take a step of a duty to destroy."""
            who = asker(services, request)
            found = await _destruction(services, sight(who), request.path_params["id"])
            version, given = version_of(request, found.id), await body_of(request, body)

            def told(after: DestructionRecord) -> Mapping[str, Any]:
                manifest: dict[str, Any] = {"destruction": after.id, "event": str(event), "state": after.state.value}
                return {"grant": after.grant, "manifest": manifest | ({"sha256": after.sha256} if after.sha256 else {})}

            done = await recorded(
                services,
                who,
                DESTRUCTION_KIND,
                event,
                found.resource,
                lambda: act(given)(services.registry, found.id, who.id, version),
                told,
            )
            return json_answer(_clocked(services, done), tag=done.version)

    step(
        DestructionEvent.FILE,
        "File a certificate of destruction",
        CertificateBody,
        lambda b: (
            lambda r, i, by, v: r.file_destruction(i, by=by, version=v, text=b.text, document=b.document, digest=b.sha256)
        ),
    )
    step(
        DestructionEvent.RETURN,
        "Give a certificate back",
        StepBody,
        lambda b: lambda r, i, by, v: r.return_destruction(i, by=by, version=v, why=b.why),
    )
    step(
        DestructionEvent.CONFIRM,
        "Confirm a certificate",
        StepBody,
        lambda b: lambda r, i, by, v: r.confirm_destruction(i, by=by, version=v, why=b.why),
    )
    step(
        DestructionEvent.WAIVE,
        "Let what was received be kept",
        StepBody,
        lambda b: lambda r, i, by, v: r.waive_destruction(i, by=by, version=v, why=b.why),
    )


def _bulk_export_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, method, BULK_EXPORTS + path, tag="bulk exports", **words)

    @route("GET", "", summary="List the bulk exports", answer=BulkExportPage, listed=True, who=SEEING, note=_PARTIES)
    async def bulk_exports(request: Request) -> Response:
        """List what the own department asked for and what is asked of its resources; centre and auditor see all."""
        seen = sight(asker(services, request))
        after, limit = page_of(request, ID)
        rows = await in_thread(
            services.reads, lambda: services.hub.registry.bulk_exports(seen=seen, after=after, limit=limit + 1)
        )
        following = rows[limit - 1].id if len(rows) > limit else None
        return json_answer(BulkExportPage([bulk_export_answer(row) for row in rows[:limit]], following))

    @route(
        "POST",
        "",
        summary="Ask for a bulk export",
        body=BulkExportBody,
        answer=BulkExportAnswer,
        made=True,
        tagged=True,
        who=EXPORT_ASKING,
    )
    async def ask(request: Request) -> Response:
        """Ask for one answer with personal fields that has no case, or more rows than a case is enough for."""
        who = asker(services, request)
        body = await body_of(request, BulkExportBody)
        done = await _recorded(
            services,
            who,
            "ask",
            "",
            lambda: services.registry.ask_bulk_export(
                body.grant,
                body.fields,
                by=who.id,
                purpose=body.purpose,
                reason=body.reason,
                row_filter=body.filter,
                principal=body.principal,
            ),
        )
        answer = json_answer(bulk_export_answer(done), tag=done.version, status=201)
        answer.headers["location"] = f"{BULK_EXPORTS}/{done.id}"
        return answer

    @route("GET", "/{id}", summary="Show a bulk export", answer=BulkExportAnswer, tagged=True, who=SEEING, note=_PARTIES)
    async def bulk_export(request: Request) -> Response:
        """Show a bulk export to the department that asked, to the provider, the security officer, the centre, the auditor."""
        found = await _bulk_export(services, sight(asker(services, request)), request.path_params["id"])
        return json_answer(bulk_export_answer(found), tag=found.version)

    @route(
        "GET", "/{id}/history", summary="Show what was done to a bulk export", answer=HistoryAnswer, who=SEEING, note=_PARTIES
    )
    async def bulk_export_history(request: Request) -> Response:
        """Show who asked, approved and used it, when and why."""
        found = await _bulk_export(services, sight(asker(services, request)), request.path_params["id"])
        steps = await in_thread(services.reads, lambda: services.hub.registry.bulk_export_history(found.id))
        return json_answer(history_answer(steps))

    def step(event: ExportEvent, words: str, body: type[Body], act: Callable[[Body], Act]) -> None:
        @route(
            "POST",
            f"/{{id}}/{event}",
            summary=words,
            body=body,
            answer=BulkExportAnswer,
            tagged=True,
            who=DUTIES_OF_EXPORT[event],
        )
        async def taken(request: Request) -> Response:
            """Take a step of a bulk export."""
            who = asker(services, request)
            found = await _bulk_export(services, sight(who), request.path_params["id"])
            version, given = version_of(request, found.id), await body_of(request, body)
            done = await _recorded(
                services, who, event, found.resource, lambda: act(given)(services.registry, found.id, who.id, version)
            )
            return json_answer(bulk_export_answer(done), tag=done.version)

    step(
        ExportEvent.APPROVE,
        "Allow one use of a bulk export",
        ApproveExportBody,
        lambda b: lambda r, i, by, v: r.approve_bulk_export(i, by=by, version=v, hours=b.hours, why=b.why),
    )
    step(
        ExportEvent.REFUSE,
        "Refuse a bulk export",
        StepBody,
        lambda b: lambda r, i, by, v: r.refuse_bulk_export(i, by=by, version=v, why=b.why),
    )
    step(
        ExportEvent.CANCEL,
        "Take a bulk export back",
        StepBody,
        lambda b: lambda r, i, by, v: r.cancel_bulk_export(i, by=by, version=v, why=b.why),
    )


async def _recorded(
    services: Services, who: PrincipalRecord, event: str, resource: str, act: Callable[[], BulkExportRecord]
) -> BulkExportRecord:
    def told(after: BulkExportRecord) -> Mapping[str, Any]:
        manifest = {"bulk_export": after.id, "event": str(event), "state": after.state.value, "fields": ",".join(after.fields)}
        return {"grant": after.grant, "resource": after.resource, "manifest": manifest}

    return await recorded(services, who, BULK_EXPORT_KIND, event, resource, act, told)


def _clocked(services: Services, found: DestructionRecord) -> DestructionAnswer:
    hub = services.hub
    clock = destruction_clock(found, rules=hub.clock_rules, of=hub.workdays, now=services.clock.now())
    return destruction_answer(found, clock)


async def _destruction(services: Services, seen: Sight, destruction: str) -> DestructionRecord:
    found = await read_known(services, services.hub.registry.destruction, destruction, ID, "destruction.unknown")
    if found is None or not seen.of_department(found.department):
        raise RejectedError("there is no such duty to destroy", code="destruction.unknown", fault=Fault.CLIENT)
    return found


async def _bulk_export(services: Services, seen: Sight, export: str) -> BulkExportRecord:
    found = await read_known(services, services.hub.registry.bulk_export, export, ID, "export.unknown")
    if found is None or not seen.of_department(found.department, found.provider):
        raise RejectedError("there is no such bulk export", code="export.unknown", fault=Fault.CLIENT)
    return found
