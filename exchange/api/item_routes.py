"""Service items by HTTP: their versions, guides, stand-ins, handbooks and bodies; coverage, exports and workbooks.

Everybody with an account reads. What the hub itself says of an item is changed by those who keep it, on the version that it was
decided on; elements that are another system's are refused with the name of that system.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from catalog_registry.acting import EVERYBODY, check_duty
from catalog_registry.brought import ImportRefusedError
from catalog_registry.coverage import Wanted, coverage
from catalog_registry.guide import guide_of
from catalog_registry.item_export import MEDIA_TYPES, item_chunks
from catalog_registry.item_life import ItemState
from catalog_registry.item_records import ItemRecord, ItemVersionRecord, StandIn
from catalog_registry.item_sheets import LIMITS_OF_FILE
from catalog_registry.item_sheets_out import workbook
from catalog_registry.items import KEEPING
from catalog_registry.records import PrincipalRecord
from catalog_registry.sheets.writing import MEDIA_TYPE as XLSX_TYPE
from exchange.api.asking import asker, body_of
from exchange.api.given_files import body_file, denials_recorded, media_type_of, refused_places
from exchange.api.item_forms import (
    MAX_CODES_BYTES,
    MAX_ELEMENTS_BYTES,
    BodiesAnswer,
    BodyAnswer,
    CoverageAnswer,
    CoverageBody,
    DelegateBody,
    ElementsBody,
    EndDelegationBody,
    GuideAnswer,
    HandbookAnswer,
    HandbookBody,
    ItemAnswer,
    ItemPage,
    ItemVersionsAnswer,
    StandInsAnswer,
    StandInsBody,
    WorkbookAnswer,
    body_answer,
    coverage_answer,
    guide_answer,
    handbook_answer,
    item_answer,
    item_line,
    stand_ins_answer,
    versions_answer,
)
from exchange.api.registry_forms import StepBody
from exchange.api.registry_frame import (
    Given,
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
from exchange.sheets import read_item_sheet
from schemas.errors import Fault, RejectedError
from schemas.handbook import read_handbook
from schemas.item_form import read_item

ITEMS: Final = "/api/v1/items"
CATALOGUE: Final = "/api/v1/item-catalogue"
KIND: Final = "registry.item"
CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_KEPT: Final = "the own department performs the item"
_FILTERS: Final = {
    "department": "code of the department that performs it",
    "basic_code": "the basic code 基本编码",
    "state": "in_force, suspended or ended",
}


def item_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""
    _reading(app, services, problems)
    _keeping(app, services, problems)
    _catalogue(app, services, problems)


def _reading(app: FastAPI, services: Services, problems: Problems) -> None:
    def route(path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, "GET", ITEMS + path, tag="items", who=EVERYBODY, **words)

    @route("", summary="List the service items", answer=ItemPage, listed=True, query=_FILTERS)
    async def items(request: Request) -> Response:
        """List the items of all bodies by code, those that have ended too."""
        asker(services, request)
        after, limit = page_of(request, CODE, also=_FILTERS)
        given = {name: request.query_params.get(name) for name in _FILTERS}
        state = given.pop("state")
        if state is not None and state not in set(ItemState):
            raise RejectedError(f"a state is one of {', '.join(ItemState)}", code="request.state", fault=Fault.CLIENT)
        wanted: dict[str, Any] = given | {"state": None if state is None else ItemState(state)}
        rows = await in_thread(services.reads, lambda: services.hub.registry.items(**wanted, after=after, limit=limit + 1))
        following = rows[limit - 1].code if len(rows) > limit else None
        return json_answer(ItemPage([item_line(row) for row in rows[:limit]], following))

    at = {"at": "an instant with its offset: the version in force then, as a case that began then keeps it"}

    @route("/{code}", summary="Show a service item", answer=ItemAnswer, tagged=True, query=at)
    async def item(request: Request) -> Response:
        """Show the newest version of an item, or the one that was in force at an instant."""
        asker(services, request)
        found = await _item(services, request)
        when = _instant(request)
        version = await in_thread(services.reads, lambda: _version(services, found, when))
        return json_answer(item_answer(found, version), tag=version.version)

    @route("/{code}/versions", summary="Show all versions of a service item", answer=ItemVersionsAnswer)
    async def versions(request: Request) -> Response:
        """Show what an item was, from when on, and since when the hub knows it."""
        asker(services, request)
        found = await _item(services, request)
        return json_answer(
            versions_answer(await in_thread(services.reads, lambda: services.hub.registry.item_versions(found.code)))
        )

    @route("/{code}/guide", summary="Show the guide of a service item", answer=GuideAnswer)
    async def guide(request: Request) -> Response:
        """Show what an applicant is told, with the materials that something stands in for."""
        asker(services, request)
        found = await _item(services, request)

        def read() -> GuideAnswer:
            known = services.hub.registry
            version = _version(services, found, None)
            names = {one.type.code: one.type.name for one in known.licence_types()}
            return guide_answer(guide_of(version.item, known.stand_ins(found.code), names))

        return json_answer(await in_thread(services.reads, read))

    @route("/{code}/stand-ins", summary="Show what stands in for materials", answer=StandInsAnswer, tagged=True)
    async def stand_ins(request: Request) -> Response:
        """Show which licence types and resources stand in for the materials of an item."""
        asker(services, request)
        found = await _item(services, request)
        answer = await in_thread(services.reads, lambda: services.hub.registry.stand_ins(found.code))
        return json_answer(stand_ins_answer(answer), tag=answer.version)

    @route("/{code}/handbook", summary="Show the handbook of a service item", answer=HandbookAnswer, tagged=True)
    async def handbook(request: Request) -> Response:
        """Show each step: body, post, powers, what is examined and how, and the scale of discretion."""
        asker(services, request)
        found = await _item(services, request)
        answer = await in_thread(services.reads, lambda: services.hub.registry.handbook(found.code))
        return json_answer(handbook_answer(found.code, answer), tag=0 if answer is None else answer.version)

    @route("/{code}/bodies", summary="Show who performs a service item", answer=BodiesAnswer)
    async def bodies(request: Request) -> Response:
        """Show every body with an implementation record of the same basic code, and those to which it is delegated."""
        asker(services, request)
        found = await _item(services, request)
        rows = await in_thread(services.reads, lambda: services.hub.registry.bodies(found.code))
        return json_answer(BodiesAnswer([body_answer(row) for row in rows]))


def _keeping(app: FastAPI, services: Services, problems: Problems) -> None:
    def route(path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, "POST", ITEMS + path, tag="items", who=KEEPING, note=_KEPT, **words)

    @route("", summary="Enter a service item by hand", body=ElementsBody, answer=ItemAnswer, made=True, tagged=True)
    async def enter(request: Request) -> Response:
        """Enter an item where no system of the district has the items; where one has, that is refused with its name."""
        return await _set(request, version=0, status=201)

    @route("/{code}", summary="Change a service item by hand", body=ElementsBody, answer=ItemAnswer, tagged=True)
    async def change(request: Request) -> Response:
        """Give an item that is kept by hand new elements: a new version of it."""
        asker(services, request)
        found = await _item(services, request)
        return await _set(request, version=version_of(request, found.code), code=found.code)

    async def _set(request: Request, *, version: int, code: str | None = None, status: int = 200) -> Response:
        who = asker(services, request)
        body = await body_of(request, ElementsBody, most_bytes=MAX_ELEMENTS_BYTES)
        item = read_item(body.elements)
        if code is not None and item.code != code:
            raise RejectedError("the elements are of another item", code="item.other", where=code, fault=Fault.CLIENT)
        done = await _kept(
            services,
            who,
            "set",
            item.code,
            lambda: services.registry.set_item(item, by=who.id, expected_version=version),
            lambda after: {"state": after.state.value, "version": after.version},
        )
        return await _current(services, done, status=status)

    @route("/{code}/end", summary="End a service item by hand", body=StepBody, answer=ItemAnswer, tagged=True)
    async def end(request: Request) -> Response:
        """End an item that is kept by hand; its versions stay."""
        who = asker(services, request)
        found = await _item(services, request)
        version, body = version_of(request, found.code), await body_of(request, StepBody)
        done = await _kept(
            services,
            who,
            "end",
            found.code,
            lambda: services.registry.end_item(found.code, by=who.id, version=version, why=body.why),
            lambda after: {"state": after.state.value, "version": after.version},
        )
        return await _current(services, done)

    @route(
        "/{code}/stand-ins", summary="Say what stands in for materials", body=StandInsBody, answer=StandInsAnswer, tagged=True
    )
    async def set_stand_ins(request: Request) -> Response:
        """Say exactly which licence types and resources stand in for some materials; the others stay as they are."""
        who = asker(services, request)
        found = await _item(services, request)
        version, body = version_of(request, found.code), await body_of(request, StandInsBody)
        wanted = {code: StandIn(tuple(one.licence_types), tuple(one.resources)) for code, one in body.materials.items()}
        done = await _kept(
            services,
            who,
            "stand_ins",
            found.code,
            lambda: services.registry.set_stand_ins(found.code, wanted, by=who.id, expected_version=version),
            lambda after: {"materials": sorted(wanted), "version": after.version},
        )
        return json_answer(stand_ins_answer(done), tag=done.version)

    @route(
        "/{code}/handbook", summary="Give a service item its handbook", body=HandbookBody, answer=HandbookAnswer, tagged=True
    )
    async def set_handbook(request: Request) -> Response:
        """Give an item a handbook, or a new version of it."""
        who = asker(services, request)
        found = await _item(services, request)
        version = version_of(request, found.code)
        body = await body_of(request, HandbookBody, most_bytes=MAX_ELEMENTS_BYTES)
        handbook = read_handbook({"steps": body.steps}, where=found.code)
        done = await _kept(
            services,
            who,
            "handbook",
            found.code,
            lambda: services.registry.set_handbook(found.code, handbook, by=who.id, expected_version=version),
            lambda after: {"version": after.version},
        )
        return json_answer(handbook_answer(found.code, done), tag=done.version)

    @route("/{code}/bodies", summary="Delegate a service item", body=DelegateBody, answer=BodyAnswer, made=True)
    async def delegate(request: Request) -> Response:
        """Say that an item, or its review, is delegated to a department, on a legal basis."""
        who = asker(services, request)
        found = await _item(services, request)
        body = await body_of(request, DelegateBody)
        done = await _kept(
            services,
            who,
            "delegate",
            found.code,
            lambda: services.registry.delegate_item(
                found.code, body.department, by=who.id, basis=body.basis, from_at=body.from_at, to_at=body.to_at
            ),
            lambda after: {"to": after.department},
        )
        return json_answer(body_answer(done), status=201)

    @route("/{code}/bodies/end", summary="End a delegation", body=EndDelegationBody, answer=BodiesAnswer, versioned=False)
    async def end_delegation(request: Request) -> Response:
        """End the delegation of an item to a department now."""
        who = asker(services, request)
        found = await _item(services, request)
        body = await body_of(request, EndDelegationBody)
        await _kept(
            services,
            who,
            "end_delegation",
            found.code,
            lambda: services.registry.end_delegation(found.code, body.department, by=who.id),
            lambda _: {"to": body.department},
        )
        rows = await in_thread(services.reads, lambda: services.hub.registry.bodies(found.code))
        return json_answer(BodiesAnswer([body_answer(row) for row in rows]))


def _catalogue(app: FastAPI, services: Services, problems: Problems) -> None:
    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, method, CATALOGUE + path, tag="items", **words)

    @route(
        "POST",
        "/coverage",
        summary="Ask which items are in as they must be",
        body=CoverageBody,
        answer=CoverageAnswer,
        who=EVERYBODY,
        versioned=False,
    )
    async def covered(request: Request) -> Response:
        """Tell, by department, which items are missing or lack an implementation, materials, a handbook or limits 应进必进."""
        asker(services, request)
        body = await body_of(request, CoverageBody, most_bytes=MAX_CODES_BYTES)
        wanted = None if body.basic_codes is None else [Wanted(code) for code in dict.fromkeys(body.basic_codes)]

        def read() -> CoverageAnswer:
            known = services.hub.registry
            found = coverage(known.current_items(), known.items_with_handbook(), wanted, department=body.department)
            return coverage_answer(found)

        return json_answer(await in_thread(services.reads, read))

    form = {"format": f"one of {', '.join(MEDIA_TYPES)}", "base": "the address that names begin with"}

    @route(
        "GET",
        "/export",
        summary="Export the service items",
        answer=ItemPage,
        who=EVERYBODY,
        query=form,
        media_types=tuple(MEDIA_TYPES.values()),
    )
    async def export(request: Request) -> Response:
        """Give the items as CPSV-AP 3.2 in Turtle or JSON-LD, streamed, or as a workbook."""
        asker(services, request)
        wanted = request.query_params.get("format", "turtle")
        if wanted not in MEDIA_TYPES:
            raise RejectedError(f"a format is one of {', '.join(MEDIA_TYPES)}", code="request.format", fault=Fault.CLIENT)
        base = request.query_params.get("base") or f"urn:onedoor:{services.settings.division}"

        def begun() -> Iterator[bytes]:
            chunks = item_chunks(services.hub.registry, wanted, base=base, region=services.settings.division)
            return chain([next(chunks, b"")], chunks)

        return StreamingResponse(
            await in_thread(services.reads, begun), media_type=MEDIA_TYPES[wanted], headers={"cache-control": "no-store"}
        )

    @route(
        "GET",
        "/template",
        summary="Get an empty workbook",
        answer=ItemPage,
        who=EVERYBODY,
        media_types=(MEDIA_TYPES["xlsx"],),
    )
    async def template(request: Request) -> Response:
        """Give a workbook to be filled in: items, ways of handling, materials, questions, handbook."""
        asker(services, request)
        content = await in_thread(services.reads, workbook)
        return Response(content, media_type=MEDIA_TYPES["xlsx"], headers={"cache-control": "no-store"})

    @route(
        "POST",
        "/import",
        summary="Take over a workbook",
        body=bytes,
        body_types=(XLSX_TYPE,),
        answer=WorkbookAnswer,
        who=KEEPING,
        note=_KEPT,
        versioned=False,
    )
    async def take(request: Request) -> Response:
        """Take over what a workbook says of items and handbooks, all of it or nothing; it names the versions it was made on."""
        who = asker(services, request)
        async with denials_recorded(services, who, KIND, "import"):
            check_duty(who, "import items", KEEPING, who.department)
        media_type_of(request, (XLSX_TYPE,))
        async with body_file(request, LIMITS_OF_FILE.file_bytes) as file:
            read = await in_thread(services.files, lambda: read_item_sheet(file, where="the body", limits=LIMITS_OF_FILE))
        try:
            done = await _kept(
                services,
                who,
                "import",
                "items",
                lambda: services.registry.take_workbook(read.whole(), by=who.id),
                lambda taken: {"items": len(taken.items), "handbooks": len(taken.handbooks)},
            )
        except ImportRefusedError as error:
            return refused_places(error)
        return json_answer(WorkbookAnswer(done.items, done.handbooks))


# What the routes share --------------------------------------------------------------------------------------------------


async def _item(services: Services, request: Request) -> ItemRecord:
    """Return the item of a path: everybody with an account sees all of them."""
    found = await read_known(services, services.hub.registry.item, request.path_params["code"], CODE, "item.unknown")
    if found is None:
        raise RejectedError("there is no such item", code="item.unknown", fault=Fault.CLIENT)
    return found


def _version(services: Services, found: ItemRecord, at: datetime | None) -> ItemVersionRecord:
    """Return the newest version of an item, or the one in force at an instant."""
    if at is None:
        return services.hub.registry.item_version(found.code)
    version = services.hub.registry.item_at(found.code, at)
    if version is None:
        raise RejectedError("the item was not there yet", code="item.unknown", where=found.code, fault=Fault.CLIENT)
    return version


async def _current(services: Services, done: ItemRecord, *, status: int = 200) -> Response:
    version = await in_thread(services.reads, lambda: _version(services, done, None))
    answer = json_answer(item_answer(done, version), tag=version.version, status=status)
    if status == 201:
        answer.headers["location"] = f"{ITEMS}/{done.code}"
    return answer


def _instant(request: Request) -> datetime | None:
    text = request.query_params.get("at")
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise RejectedError("at is an instant with its offset", code="request.at", fault=Fault.CLIENT)
    return at


async def _kept(
    services: Services,
    who: PrincipalRecord,
    event: str,
    code: str,
    act: Callable[[], Given],
    told: Callable[[Given], Mapping[str, Any]],
) -> Given:
    """Do what changes an item, and return what came of it once it is on record; ``told``: what the record says besides."""
    return await recorded(
        services, who, KIND, event, code, act, lambda after: {"manifest": {"event": event} | dict(told(after))}
    )
