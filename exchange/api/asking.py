"""Who asks, and what stands in the body: the same for every route that takes a token and JSON."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from fastapi import Request

from exchange.api.peer import Address, check_peer, peer_of
from exchange.api.services import Services
from exchange.trust.grant import Principal
from schemas.errors import DeniedError, Fault, RejectedError

MAX_BODY_BYTES: Final = 64 * 1024
Body = TypeVar("Body", bound=msgspec.Struct)


def asker(services: Services, request: Request) -> Principal:
    """Return the principal whose token a request bears, as the registry has it now.

    Raises:
        DeniedError: there is no token, one that is not good (any more), or the account may not ask from where it asks.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise DeniedError(
            "a bearer token was expected", code="token.missing", remedy="ask for one at /api/v1/token", fault=Fault.CLIENT
        )
    services.view.refuse_if_stale()  # an account that is not known yet is no stranger
    principal = services.verifier.verify(token.strip(), services.clock.now())
    if principal.ranges:
        check_peer(principal, asks_from(services, request), "token.address", services.log)
    return principal


def asks_from(services: Services, request: Request) -> Address | None:
    """Return the address that a request comes from."""
    return peer_of(request.client, request.headers.getlist("x-forwarded-for"), services.settings.proxies)


async def body_of(request: Request, kind: type[Body], *, most_bytes: int = MAX_BODY_BYTES) -> Body:
    """Return a request's JSON body as its type.

    Raises:
        RejectedError: it is of another media type, too large, no JSON, or not of the type; nothing of it is repeated.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RejectedError("the body must be application/json", code="request.media_type", fault=Fault.CLIENT)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise RejectedError(f"the body is above {most_bytes} bytes", code="request.too_large", fault=Fault.CLIENT)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise RejectedError(
            f"the body is wrong: {_told(error, kind)}", code="request.body", remedy="see /docs", fault=Fault.CLIENT
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RejectedError("the body is not JSON", code="request.json", remedy="see /docs", fault=Fault.CLIENT) from None


def _told(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """Say what is wrong without a word of what was sent: the name of an unknown field may be anything."""
    text = str(error)
    return f"it has a field that is not one of {', '.join(kind.__struct_fields__)}" if "unknown field" in text else text
