"""What every route of the registry stands in: who asks, pages, versions, records in the ledger, refusals, and the reference.

A route says who may use it, as ``Duty``s; ``permissions`` lists them, and the page of permissions is made from it. A step is
taken by the principal of the token; the ledger is looked at before it and has its record before the answer leaves.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from msgspec.structs import replace

from catalog_registry.acting import Duty
from catalog_registry.records import PrincipalRecord
from catalog_registry.store.rows import unhinted
from exchange.api.problems import MEDIA_TYPE, encoded, headers_of, problem, problem_of, status_of
from exchange.api.services import Services
from exchange.trust.record import LedgerRecord
from schemas.errors import DeniedError, Fault, OneDoorError, RejectedError
from schemas.ids import new_id

MOST: Final = 200
"""Things on a page at most."""

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
ID: Final = re.compile(r"[0-9a-z]{1,40}")
_TAG: Final = re.compile(r'"([0-9]{1,9})"')
_LIMIT: Final = re.compile(r"[0-9]{1,3}")
_LIVES: Final = ("resource", "application", "correction", "demand", "revision", "destruction", "export", "item")
_STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "request.if_match": 428,
        "registry.conflict": 412,
        **{f"{what}.unknown": 404 for what in (*_LIVES, "licence_type", "notice", "withdrawal", "registry")},
        **{f"{what}.state": 409 for what in _LIVES},
        "resource.unbound": 409,
        "resource.bound": 409,
        "revision.not_shared": 409,
        "revision.outdated": 409,
        "contract.shared": 409,
        "contract.on_its_way": 409,
        "withdrawal.planned": 409,
        "withdrawal.none": 409,
        "grant.resource_state": 409,
        "item.owned_elsewhere": 409,
        "item.ended": 409,
        "item.delegated": 409,
        "item.not_delegated": 409,
        "registry.taken": 409,
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

INTENT: Final = "registry.intent"
"""Kind of the record that a step is about to be taken."""

Given = TypeVar("Given")
Problems = Callable[..., dict[int | str, dict[str, Any]]]
"""Describes the problem documents of statuses."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Who may use a route: any one of ``who`` is enough; ``note`` says what it depends on besides. ``who`` is empty where no
    token is asked for.
    """

    method: str
    path: str
    who: tuple[Duty, ...]
    note: str
    tag: str
    summary: str


def permissions(app: FastAPI) -> Sequence[Permission]:
    """Return who may use each route, in the order in which they were added."""
    return tuple(getattr(app.state, "permissions", ()))


def declare(app: FastAPI, method: str, path: str, *, tag: str, summary: str, who: tuple[Duty, ...], note: str = "") -> None:
    """Say who may use a route that does not stand in the frame; ``who`` is empty where no token is asked for."""
    app.state.permissions = (*permissions(app), Permission(method, path, who, note, tag, summary))


# What is asked ----------------------------------------------------------------------------------------------------------


def unseen(what: str) -> RejectedError:
    """Return the refusal of a thing that there is not, or that is not to be seen: the same words."""
    return RejectedError(f"there is no such {what}", code="registry.unknown", fault=Fault.CLIENT)


async def read_known(
    services: Services, read: Callable[[str], Given], key: str, form: re.Pattern[str], unknown: str
) -> Given | None:
    """Return what there is of a key, None where there is nothing."""
    if not form.fullmatch(key):
        return None
    try:
        return await in_thread(services.reads, lambda: read(key))
    except RejectedError as error:
        if error.code != unknown:
            raise
        return None


async def in_thread(threads: ThreadPoolExecutor, do: Callable[[], Given]) -> Given:
    """Return what a call gives that waits for the database, made in a thread; no near names are looked for."""

    def done() -> Given:
        with unhinted():
            return do()

    return await asyncio.get_running_loop().run_in_executor(threads, done)


def version_of(request: Request, what: str) -> int:
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


def page_of(request: Request, form: re.Pattern[str], *, also: Collection[str] = ()) -> tuple[str | None, int]:
    """Return what a page begins after, and how many things it has at most; ``also``: parameters that the route reads itself."""
    given = {name: value for name, value in request.query_params.items() if name not in also}
    after, limit = given.pop("after", None), given.pop("limit", "50")
    if given or (after is not None and not form.fullmatch(after)) or not (_LIMIT.fullmatch(limit) and 1 <= int(limit) <= MOST):
        raise RejectedError(
            f"a page is asked for by limit, 1 to {MOST}, and after, which is the next of the page before",
            code="request.page",
            fault=Fault.CLIENT,
        )
    return after, int(limit)


def _refuse_nul(request: Request) -> None:
    """Raise where a parameter holds a character that no text of the database does: asking with it would be a defect."""
    if any("\x00" in value for value in request.query_params.values()):
        raise RejectedError("a parameter holds the character NUL", code="request.query", fault=Fault.CLIENT)


# What is done -----------------------------------------------------------------------------------------------------------


async def recorded(
    services: Services,
    who: PrincipalRecord,
    kind: str,
    event: str,
    resource: str | None,
    act: Callable[[], Given],
    told: Callable[[Given], Mapping[str, Any]],
) -> Given:
    """Do it in a thread, and return what came of it once that is on record. What is denied is on record too.

    That it is about to be done is on record before (``INTENT``); what came of it has the same ``request``. Where the ledger
    goes away between the two, the change is made and its answer is not given: an intent without its outcome says so, and the
    history has what came of it.
    """
    who_did: dict[str, Any] = {"principal": who.id, "department": who.department, "system": who.system}
    who_did["resource"] = resource or None
    request = new_id("s", services.clock.now())
    intent = LedgerRecord(kind=INTENT, outcome="allowed", request=request, **who_did)
    await services.ledger.append(replace(intent, manifest={"kind": kind, "event": str(event)}))
    try:
        done = await in_thread(services.steps, act)
    except DeniedError as error:
        record = LedgerRecord(kind=kind, outcome="refused", reason=f"{event}:{error.code}", **who_did)
        await services.lookup.refusals.record(record)
        raise
    except RejectedError as error:
        await services.ledger.append(replace(intent, outcome="refused", reason=error.code))
        raise
    await services.ledger.append(LedgerRecord(kind=kind, outcome="done", request=request, **{**who_did, **told(done)}))
    return done


# Answers ----------------------------------------------------------------------------------------------------------------


def json_answer(answer: msgspec.Struct, *, tag: int | None = None, status: int = 200) -> Response:
    """Return an answer as JSON that nobody keeps, with its version as ``ETag``."""
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


def add_route(
    app: FastAPI,
    services: Services,
    problems: Problems,
    method: str,
    path: str,
    *,
    tag: str,
    summary: str,
    answer: type[msgspec.Struct],
    who: tuple[Duty, ...],
    note: str = "",
    body: type[Any] | None = None,
    listed: bool = False,
    made: bool = False,
    denied: bool = False,
    versioned: bool | None = None,
    tagged: bool = False,
    query: Mapping[str, str] = MappingProxyType({}),
    media_types: Sequence[str] = ("application/json",),
    body_types: Sequence[str] = ("application/json",),
    many: bool = False,
) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
    """Return what adds a route, with its words in the reference; its refusals become problem documents.

    Args:
        app: the app.
        services: what the routes work with.
        problems: describes the problem documents of statuses.
        method: HTTP method.
        path: path, with names in braces.
        tag: the part of the reference that it stands in.
        summary: one line for the reference; its description is the docstring of what answers.
        answer: the type of the answer, one of the registered forms.
        who: who may use it, any one of these; ``EVERYBODY``: every account.
        note: what that depends on besides, for the page of permissions.
        body: the type of the body.
        listed: it gives pages, by ``limit`` and ``after``.
        made: it makes something: 201, and no ``If-Match``.
        denied: it may be denied although it has no body.
        versioned: it needs ``If-Match``; None: where it has a body and makes nothing.
        tagged: its answer has an ``ETag``.
        query: further parameters of the query, each with its words.
        media_types: what the answer comes as.
        body_types: what the body may come as.
        many: the answer as JSON is an array of them.
    """
    declare(app, method, path, tag=tag, summary=summary, who=who, note=note)
    changes = (body is not None and not made) if versioned is None else versioned
    one, reads = "{" in path, bool(listed or body or query)
    statuses = {401, 503} | ({400} if reads else set()) | ({403} if body or denied or changes else set())
    described: dict[int | str, dict[str, Any]] = problems(*sorted(statuses | ({413, 415} if body else set())))
    words = {**({404: _WORDS[404]} if one or made else {}), **({n: _WORDS[n] for n in (409, 422)} if body or changes else {})}
    words |= {status: _WORDS[status] for status in (412, 428) if changes}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    described |= {status: {"description": text, "content": content} for status, text in words.items()}
    if 403 in described:
        described[403]["description"] = "It needs a role, a department or a second person that the account is not."
    if 400 in described:
        described[400]["description"] = "The request is wrong; nothing was done."
    with_tag = {"headers": {"ETag": {"description": "its version", "schema": {"type": "string"}}}}
    of_one = {"$ref": f"#/components/schemas/{answer.__name__}"}
    schema: dict[str, Any] = {"schema": {"type": "array", "items": of_one} if many else of_one}
    described[201 if made else 200] = {
        "description": "As it is now.",
        "content": {kind: schema if kind == "application/json" else {} for kind in media_types},
        **(with_tag if tagged else {}),
    }
    parameters = _parameters(path, listed=listed, changes=changes, query=query)
    extra: dict[str, Any] = {"security": [{"client": []}], "parameters": parameters}
    if body is not None:
        reference = {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}
        taken = {kind: reference if kind == "application/json" else {} for kind in body_types}
        extra["requestBody"] = {"required": True, "content": taken}

    def add(do: Callable[[Request], Awaitable[Response]]) -> None:
        async def answered(request: Request) -> Response:
            try:
                _refuse_nul(request)
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


def _parameters(path: str, *, listed: bool, changes: bool, query: Mapping[str, str]) -> list[dict[str, Any]]:
    text = {"type": "string"}
    found = [{"name": name, "in": "path", "required": True, "schema": text} for name in re.findall(r"\{(\w+)\}", path)]
    if listed:
        limit = {"type": "integer", "minimum": 1, "maximum": MOST, "default": 50}
        found.append({"name": "limit", "in": "query", "required": False, "schema": limit})
        found.append({"name": "after", "in": "query", "required": False, "schema": text})
    for name, words in query.items():
        found.append({"name": name, "in": "query", "required": False, "description": words, "schema": text})
    if changes:
        found.append({"name": "If-Match", "in": "header", "required": True, "schema": text})
    return found
