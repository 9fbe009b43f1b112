"""``POST /api/v1/authorisations/explain``: may this be asked, by which grant, and else why not. Shows no data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI, Request, Response

from exchange.api.asking import asker, body_of
from exchange.api.services import Services
from exchange.trust.grant import Ask, Principal
from exchange.trust.record import LedgerRecord, Receipt
from exchange.trust.unnamed import unnamed
from exchange.trust.why import Why, asked_of, why
from schemas.errors import DeniedError, Fault, RejectedError

PATH: Final = "/api/v1/authorisations/explain"
KIND: Final = "authorisation.explain"
ABOUT_ANYBODY: Final = frozenset({"security_officer", "auditor", "operator"})
"""Roles that may ask about any principal."""

DESCRIPTION: Final = """Which grant allows it, or, for each grant of the account, of its system and of its department, every
reason against. Reasons have stable codes, and words in English and Chinese. No data is touched; a look-up needs a case besides,
which is not decided here. Anybody may ask about itself; security officers, auditors and operators about any account. Recorded
before it is answered; the receipt says where."""

_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z._:-]+(?![\s\S])")]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,47}(?![\s\S])")]

_Names = Annotated[list[_Name], msgspec.Meta(max_length=500)]


class ExplainRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody wants to know: may this be asked?"""

    resource: Annotated[_Name, msgspec.Meta(description="name of the resource")]
    purpose: Annotated[_Code, msgspec.Meta(description="what for, such as accept_case")]
    item: Annotated[_Code | None, msgspec.Meta(description="code of the service item; null: for none")] = None
    fields: Annotated[_Names | None, msgspec.Meta(description="fields asked for; null: all that the grant has")] = None
    principal: Annotated[
        _Code | None, msgspec.Meta(description="id, client id or name of the account; null: the one that asks")
    ] = None


class ExplainAnswer(msgspec.Struct, frozen=True):
    """The answer, about the account of the id ``principal``."""

    principal: str
    resource: str
    purpose: str
    item: str | None
    why: Why
    receipt: Receipt


def explain_route(app: FastAPI, services: Services, problems: Callable[..., dict[int | str, dict[str, Any]]]) -> None:
    """Add the route. ``problems`` describes the problem documents of statuses."""
    described = problems(400, 401, 403, 413, 415, 503)
    described[403] |= {"description": "It is about another account, and the one that asks has none of the roles for that."}
    described[200] = {
        "description": "Allowed or not, and why.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ExplainAnswer"}}},
    }

    @app.post(
        PATH,
        tags=["authorisations"],
        summary="Ask why something is allowed, or is not",
        description=DESCRIPTION,
        operation_id="explain_authorisation",
        responses=described,
        response_class=Response,
        openapi_extra={
            "security": [{"client": []}],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ExplainRequest"}}},
            },
        },
    )
    async def explain(request: Request) -> Response:
        principal = asker(services, request)
        answer = await _answer(services, principal, await body_of(request, ExplainRequest))
        return Response(msgspec.json.encode(answer), media_type="application/json", headers={"cache-control": "no-store"})


async def _answer(services: Services, principal: Principal, asked: ExplainRequest) -> ExplainAnswer:
    services.view.refuse_if_stale()
    about = await _about(services, principal, asked)
    ask = Ask(about, asked.resource, asked.purpose, asked.item, None if asked.fields is None else tuple(asked.fields))
    known, now = services.view.known.grants, services.clock.now()
    used = await services.quotas.state(asked_of(ask, grants=known, now=now), now)
    found = why(ask, grants=known, now=now, used=used)
    record = _record(
        services,
        principal,
        asked,
        outcome="done",
        grant=found.grant,
        reason=",".join(one.code for one in found.against) or None,
        manifest={"about": about.id} if about.id != principal.id else None,
    )
    receipt = await services.ledger.append(record)
    return ExplainAnswer(about.id, asked.resource, asked.purpose, asked.item, found, receipt)


async def _about(services: Services, principal: Principal, asked: ExplainRequest) -> Principal:
    """Return the account that is asked about. Who may not ask about another is not told whether there is one."""
    if asked.principal in (None, principal.id, principal.client_id, principal.name):
        return principal
    if not ABOUT_ANYBODY & set(principal.roles):
        await services.lookup.refusals.record(_record(services, principal, asked, outcome="refused", reason="role"))
        raise DeniedError("only your own account may be asked about", code="explain.refused", fault=Fault.CLIENT)
    known = services.view.known.principals.values()
    about = next((p for p in known if asked.principal in (p.id, p.client_id, p.name)), None)
    if about is None:
        meant = {"about": services.hub.keys.pseudonym(asked.principal or "")}  # it may be anything
        record = _record(services, principal, asked, outcome="refused", reason="principal.unknown", manifest=meant)
        await services.ledger.append(record)
        raise RejectedError("there is no such account", code="principal.unknown", where="principal", fault=Fault.CLIENT)
    return about


def _record(services: Services, principal: Principal, asked: ExplainRequest, **more: Any) -> LedgerRecord:
    keys = services.hub.keys
    return LedgerRecord(
        kind=KIND,
        principal=principal.id,
        department=principal.department,
        system=principal.system,
        resource=asked.resource,
        purpose=unnamed(asked.purpose, keys),
        item=None if asked.item is None else unnamed(asked.item, keys),
        **more,
    )
