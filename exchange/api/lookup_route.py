"""``POST /api/v1/licences/lookup`` as a plain ASGI route: the hot path, without what a framework adds to it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import msgspec

from exchange.api.metrics import LOOKUP_SECONDS, LOOKUPS
from exchange.api.peer import check_peer, peer_of
from exchange.api.problems import encoded, headers_of, problem, problem_of, status_of
from exchange.api.services import Services
from exchange.licences.lookup import LookupAnswer, LookupRequest
from schemas.errors import DeniedError, Fault, OneDoorError, RejectedError, raised_at

PATH: Final = "/api/v1/licences/lookup"
MAX_BODY_BYTES: Final = 64 * 1024

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Response = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers, body."""

_JSON: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
_decode: Final = msgspec.json.Decoder(LookupRequest).decode
_encode: Final = msgspec.json.Encoder().encode
_FIELDS: Final = ", ".join(LookupRequest.__struct_fields__)
_ANSWERED: Final = LOOKUPS.labels(outcome="answered")


class LookupRoute:
    """Answers the look-up's path and hands everything else on. It is the process' boundary: no exception passes it, since a
    traceback could hold what somebody asked.
    """

    def __init__(self, app: Asgi, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] == PATH:
            await _send(send, *await self._look_up(scope, receive))
        else:
            await self._hand_on(scope, receive, send)

    async def _look_up(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            document = problem(405, "request.method", "only POST is answered here; see /docs")
            return 405, [*headers_of(405), (b"allow", b"POST")], encoded(document)
        began = time.perf_counter()
        try:
            body = _encode(await self._answer(scope, receive))
        except OneDoorError as error:
            if error.kind == "defect":
                self._services.log.critical("a look-up met a defect", code=error.code, where=error.where)
            LOOKUPS.labels(outcome=error.code).inc()
            return status_of(error), headers_of(status_of(error), error), encoded(problem_of(error))
        except Exception as error:  # noqa: BLE001 - the process boundary
            return self._defect(error)
        _ANSWERED.inc()
        LOOKUP_SECONDS.observe(time.perf_counter() - began)
        return 200, list(_JSON), body

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:  # noqa: BLE001 - the process boundary
            defect = self._defect(error)
            if not started:
                await _send(send, *defect)

    def _defect(self, error: Exception) -> Response:
        self._services.log.critical("a request met a defect", error=type(error).__name__, at=raised_at(error))
        document = problem(500, "hub.defect", "something that must not happen has happened; it is in the hub's log")
        return 500, headers_of(500), encoded(document)

    async def _answer(self, scope: Scope, receive: Receive) -> LookupAnswer:
        services = self._services
        headers: dict[bytes, bytes] = dict(scope["headers"])
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            raise DeniedError(
                "a bearer token was expected", code="token.missing", remedy="ask for one at /api/v1/token", fault=Fault.CLIENT
            )
        services.view.refuse_if_stale()  # an account that is not known yet is no stranger
        principal = services.verifier.verify(token.decode("latin-1").strip(), services.clock.now())
        if principal.ranges:
            forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
            check_peer(
                principal, peer_of(scope.get("client"), forwarded, services.settings.proxies), "token.address", services.log
            )
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            raise RejectedError("the body must be application/json", code="request.media_type", fault=Fault.CLIENT)
        try:
            ask = _decode(await _body(receive, headers))
        except msgspec.ValidationError as error:
            raise RejectedError(
                f"the body is wrong: {_told(error)}", code="request.body", remedy="see /docs", fault=Fault.CLIENT
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RejectedError("the body is not JSON", code="request.json", remedy="see /docs", fault=Fault.CLIENT) from None
        return await services.lookup.answer(principal, ask)


def _told(error: msgspec.ValidationError) -> str:
    """Say what is wrong without a word of what was sent: the name of an unknown field may be anything."""
    text = str(error)
    return f"it has a field that is not one of {_FIELDS}" if "unknown field" in text else text


async def _body(receive: Receive, headers: dict[bytes, bytes]) -> bytearray:
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RejectedError("the caller went away", code="request.cut", fault=Fault.CLIENT)
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        if not message.get("more_body"):
            return body


def _too_large() -> RejectedError:
    return RejectedError(f"the body is above {MAX_BODY_BYTES} bytes", code="request.too_large", fault=Fault.CLIENT)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
