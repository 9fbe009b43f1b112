"""The HTTP API: tokens, look-ups, records, why or why not, health, metrics, and their reference as OpenAPI 3.1 with a page."""

from __future__ import annotations

import asyncio
import base64
import binascii
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from catalog_registry.acting import EVERYBODY, RECEIVING
from catalog_registry.credentials import USE_NOTED_EVERY
from exchange.api.areas import FORMS, ROUTES
from exchange.api.asking import asks_from
from exchange.api.explain_route import PATH as EXPLAIN
from exchange.api.explain_route import ExplainAnswer, ExplainRequest, explain_route
from exchange.api.lookup_route import MAX_BODY_BYTES, PATH, LookupRoute
from exchange.api.metrics import RUNS, TOKENS
from exchange.api.peer import check_peer
from exchange.api.problems import MEDIA_TYPE, encoded, headers_of, problem, problem_of, status_of
from exchange.api.records_route import PATH as RECORDS
from exchange.api.records_route import records_route
from exchange.api.registry_frame import declare
from exchange.api.services import Services
from exchange.bootstrap import Hub, open_hub
from exchange.licences.lookup import LookupAnswer, LookupRequest
from exchange.query.ask import QueryRequest
from exchange.settings import Settings, load_settings
from exchange.trust.record import LedgerRecord
from exchange.trust.tokens import issue
from schemas.errors import DeniedError, Fault, OneDoorError, RejectedError
from schemas.secret import Secret

VERSION: Final = "0.1.0"
_COLLECT_AFTER: Final = 20_000
"""New containers before a collection: some twenty look-ups' worth, of which nearly all are gone by then."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
PROXIED: Final = frozenset({"x-forwarded-for", "x-real-ip", "forwarded"})
DESCRIPTION: Final = """The data-sharing exchange hub of a district 政务数据共享交换枢纽.

Ask for a token with a client's id and secret, then look licences up while a case is accepted, or query the records of a
resource under a grant. Identifiers of people stand in bodies only. Errors are RFC 9457 problem documents with a stable
`code`."""


OUTSIDE: Final = (
    ("POST", "/api/v1/token", "token", "Get an access token", (), "a client's id and secret, from its networks"),
    ("POST", PATH, "licences", "Look up a holder's licences for a case", RECEIVING, "what its grants allow, for a known case"),
    ("POST", RECORDS, "resources", "Query the records of a resource", RECEIVING, "what its grants allow"),
    ("POST", EXPLAIN, "authorisations", "Ask whether something is allowed", EVERYBODY, "of itself; officers of any account"),
    ("GET", "/health/live", "health", "Is the process alive?", (), ""),
    ("GET", "/health/ready", "health", "Can the hub do its work?", (), ""),
    ("GET", "/metrics", "health", "Give the figures to a Prometheus", (), "from loopback only, not through a proxy"),
)
"""Who may use the routes that do not stand in the registry's frame; no duty: no token is asked for."""


def create_app(settings: Settings | None = None, *, opened: Callable[[Settings], Hub] = open_hub) -> FastAPI:
    """Return the app, wired to the hub of a data folder when it starts. ``app.state.services`` is what it works with."""
    services = Services(settings or load_settings(), opened)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.open()
        try:
            yield
        finally:
            await services.close()

    app = FastAPIOffline(
        title="OneDoor 一门",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.add_middleware(LookupRoute, services=services)
    app.add_exception_handler(OneDoorError, _told)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    _token_route(app, services)
    for add in ROUTES:
        add(app, services, _problems)
    explain_route(app, services, _problems)
    records_route(app, services, _problems)
    _health_routes(app, services)
    _metrics_route(app, services)
    for method, path, tag, summary, who, note in OUTSIDE:
        declare(app, method, path, tag=tag, summary=summary, who=who, note=note)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


def served() -> LookupRoute:
    """Return the app for a process of its own: the look-up outermost, and all that the start made left out of garbage
    collections, each of which would look at the whole of it and hold up every answer meanwhile.
    """
    app = create_app()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 10, 10)
    return LookupRoute(app, app.state.services)


def _token_route(app: FastAPI, services: Services) -> None:
    @app.post(
        "/api/v1/token",
        tags=["token"],
        summary="Get an access token",
        responses=_problems(400, 401, 413, 415, 503) | {200: {"description": "The token.", "content": _TOKEN}},
        openapi_extra=_TOKEN_BODY,
    )
    async def token(request: Request) -> Response:
        """OAuth 2.0 client credentials: id and secret by HTTP Basic or in the form; the token lives 5 minutes at most."""
        try:
            client_id, secret = await _credentials(request)
            async with services.tokens_at_once:  # checking a secret costs time and memory on purpose
                principal, n = await asyncio.to_thread(services.hub.registry.proved, client_id, secret)
            check_peer(principal, asks_from(services, request), "principal.address", services.log)
            made = issue(principal, services.hub.keys, services.clock.now(), services.settings.token_ttl_s)
        except DeniedError as error:
            TOKENS.labels(outcome="refused").inc()
            await services.lookup.refusals.record(_refused_token(client_id, services, error))
            raise DeniedError(
                "the client is unknown, or its secret is wrong", code="client.refused", fault=Fault.CLIENT
            ) from None
        await services.ledger.append(
            LedgerRecord(
                kind="token.issue",
                outcome="done",
                principal=principal.id,
                department=principal.department,
                system=principal.system,
            )
        )
        await _note_use(services, principal.id, n)
        TOKENS.labels(outcome="issued").inc()
        body = {"access_token": made.text.reveal(), "token_type": "Bearer", "expires_in": made.expires_in_s}
        return Response(msgspec.json.encode(body), media_type="application/json", headers={"cache-control": "no-store"})


async def _note_use(services: Services, principal: str, n: int) -> None:
    """Note that a secret was used, once in some minutes. A token does not hang on it."""
    now, before = services.clock.now(), services.used.get((principal, n))
    if before is not None and before <= now < before + USE_NOTED_EVERY:
        return
    services.used[principal, n] = now
    try:
        await asyncio.to_thread(services.registry.note_use, principal, n)
    except OneDoorError as error:
        services.log.info("the use of a secret was not noted", code=error.code)


def _refused_token(client_id: str, services: Services, error: DeniedError) -> LedgerRecord:
    """Name the client only where there is one: anything else is what a stranger wrote."""
    named = next((p for p in services.view.known.principals.values() if client_id and p.client_id == client_id), None)
    return LedgerRecord(
        kind="token.issue",
        outcome="refused",
        reason=error.code,
        principal=named.id if named else None,
        department=named.department if named else None,
        system=named.system if named else None,
    )


async def _credentials(request: Request) -> tuple[str, Secret[str]]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise RejectedError("the body must be application/x-www-form-urlencoded", code="request.media_type", fault=Fault.CLIENT)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise RejectedError(f"the body is above {MAX_BODY_BYTES} bytes", code="request.too_large", fault=Fault.CLIENT)
    try:
        form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        form = {}
    if form.get("grant_type") != "client_credentials":
        raise RejectedError(
            "grant_type=client_credentials was expected, as application/x-www-form-urlencoded",
            code="token_request.form",
            fault=Fault.CLIENT,
        )
    scheme, _, basic = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(basic, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name, secret = "", ""
        return unquote_plus(name), Secret(unquote_plus(secret))
    return form.get("client_id", ""), Secret(form.get("client_secret", ""))


def _health_routes(app: FastAPI, services: Services) -> None:
    @app.get("/health/live", tags=["health"], summary="Is the process alive?")
    async def live() -> dict[str, str]:
        """Answer 200 as long as the process runs."""
        return {"status": "live"}

    @app.get("/health/ready", tags=["health"], summary="Can the hub do its work?", responses=_problems(503))
    async def ready() -> Response:
        """Answer 200 when registry, store, ledger and a worker are there, else 503 and which of them is not."""
        checks = await services.ready()
        held = all(found == "ready" for found in checks.values())
        if held:
            return Response(msgspec.json.encode({"status": "ready", "checks": checks}), media_type="application/json")
        document = problem(503, "hub.not_ready", "the hub cannot do its work", checks=checks)
        return _answer(503, document)


def _metrics_route(app: FastAPI, services: Services) -> None:
    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        """Give the figures to a Prometheus on this machine."""
        if request.client is None or request.client.host not in LOOPBACK or PROXIED & set(request.headers):
            return _answer(403, problem(403, "metrics.loopback", "metrics are given on loopback only"))

        def runs() -> list[tuple[str, int]]:
            with services.hub.connect(autocommit=True) as connection:
                return connection.execute("SELECT state, count(*) FROM exchange.run GROUP BY state").fetchall()

        try:
            for state, count in await asyncio.to_thread(runs):
                RUNS.labels(state=state).set(count)
        except OneDoorError as error:
            services.log.warning("no figures of runs", code=error.code)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


# Errors -----------------------------------------------------------------------------------------------------------------


def _answer(status: int, document: dict[str, Any], error: OneDoorError | None = None) -> Response:
    headers = {k.decode(): v.decode() for k, v in headers_of(status, error)}
    return Response(encoded(document), status, headers=headers, media_type=MEDIA_TYPE)


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, OneDoorError)
    return _answer(status_of(error), problem_of(error), error)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "request.path", 405: "request.method"}.get(error.status_code, "request.refused")
    answer = _answer(error.status_code, problem(error.status_code, code, "there is nothing here that answers this; see /docs"))
    answer.headers.update(error.headers or {})
    return answer


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    where = "; ".join(sorted({".".join(str(part) for part in fault["loc"]) for fault in error.errors()}))
    return _answer(400, problem(400, "request.body", "the request is wrong; see /docs", where=where))


# Reference --------------------------------------------------------------------------------------------------------------

_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "stable; test this"},
        "where": {"type": "string"},
        "remedy": {"type": "string"},
        "fault": {"enum": ["client", "hub", "provider"]},
    },
}
_WHEN: Final = {
    400: "What was asked is wrong; nothing was answered.",
    401: "No token, or one that is not good (any more).",
    403: "There is no ground for what was asked; the same words whatever was wrong.",
    406: "Records are not given in any of the formats that were asked for.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    429: "The quota of the grant is used up; Retry-After says how many seconds are left until it begins anew.",
    503: "The registry, the store or the ledger is away; nothing was answered.",
}
_TOKEN: Final = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["access_token", "token_type", "expires_in"],
            "properties": {
                "access_token": {"type": "string"},
                "token_type": {"const": "Bearer"},
                "expires_in": {"type": "integer", "description": "seconds"},
            },
        }
    }
}
_TOKEN_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"const": "client_credentials"},
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string", "format": "password"},
                    },
                }
            }
        },
    }
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _WHEN[status], "content": content} for status in statuses}


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, the look-up's types made from those that decode and encode it."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    (request, answer, *_), components = msgspec.json.schema_components(
        [LookupRequest, LookupAnswer, ExplainRequest, ExplainAnswer, QueryRequest, *FORMS],
        ref_template="#/components/schemas/{name}",
    )
    document.setdefault("components", {}).setdefault("schemas", {}).update(components | {"Problem": _PROBLEM})
    document["components"]["securitySchemes"] = {
        "client": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/api/v1/token", "scopes": {}}}}
    }
    document["paths"][PATH] = {
        "post": {
            "tags": ["licences"],
            "summary": "Look up a holder's licences for a case",
            "description": "Which licences of the holder do the item's materials accept? The case must be known to the hub, "
            "open, of that item and of that holder. Recorded before it is answered; the receipt says where.",
            "operationId": "lookup_licences",
            "security": [{"client": []}],
            "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
            "responses": {
                "200": {
                    "description": "The licences, an empty list where there are none.",
                    "content": {"application/json": {"schema": answer}},
                },
                **{str(k): v for k, v in _problems(400, 401, 403, 413, 415, 429, 503).items()},
            },
        }
    }
    return document
