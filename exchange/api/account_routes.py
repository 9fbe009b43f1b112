"""Accounts by HTTP: the system administrator makes them, the security administrator gives them what they may do, and the audit
administrator reads both. No one of the three does another's work, and nobody gives itself anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from catalog_registry.asked import (
    OF_ENDING_ACCOUNTS,
    OF_MAKING_ACCOUNTS,
    OF_RIGHTS,
    OF_SECRETS,
    SEEING_ACCOUNTS,
    Asked,
)
from catalog_registry.records import PrincipalRecord, SecretRecord
from catalog_registry.registry import Registry
from exchange.api.asking import Body, asker, body_of
from exchange.api.party_forms import (
    CredentialAnswer,
    MakePrincipalBody,
    NothingBody,
    PrincipalAnswer,
    PrincipalPage,
    RangesBody,
    RolesBody,
    RotateBody,
    credential_answer,
    principal_answer,
    principal_line,
)
from exchange.api.registry_frame import (
    ID,
    Problems,
    add_route,
    in_thread,
    json_answer,
    page_of,
    read_known,
    recorded,
    unseen,
    version_of,
)
from exchange.api.services import Services
from schemas.secret import Secret

PRINCIPALS: Final = "/api/v1/principals"
KIND: Final = "registry.account"
ITSELF: Final = "me"
"""Stands for the id of the account that asks."""

_SELF: Final = "every account of itself, also as `me`"
_OWN_SECRET: Final = "every machine of itself, also as `me`"
Act = Callable[[Registry, str, Asked], PrincipalRecord]


def account_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""

    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, method, PRINCIPALS + path, tag="accounts", **words)

    @route("GET", "", summary="List the accounts", answer=PrincipalPage, listed=True, who=SEEING_ACCOUNTS, note=_SELF)
    async def principals(request: Request) -> Response:
        """List accounts by id, ended ones too: all for the administrators, security officer and auditor; else the own one."""
        who = asker(services, request)
        after, limit = page_of(request, ID)

        def read() -> list[PrincipalRecord]:
            if not _sees_all(who):
                return [who] if after is None or who.id > after else []
            return services.hub.registry.principals(after=after, limit=limit + 1)

        rows = await in_thread(services.reads, read)
        following = rows[limit - 1].id if len(rows) > limit else None
        return json_answer(PrincipalPage([principal_line(r) for r in rows[:limit]], following))

    @route("GET", "/{id}", summary="Show an account", answer=PrincipalAnswer, tagged=True, who=SEEING_ACCOUNTS, note=_SELF)
    async def principal(request: Request) -> Response:
        """Show an account, its roles and networks, and since when and until when its secrets are good; no secret."""
        found = await _account(services, asker(services, request), request.path_params["id"])
        return json_answer(principal_answer(found, await _secrets(services, found.id)), tag=found.version)

    @route(
        "POST",
        "",
        summary="Make an account",
        body=MakePrincipalBody,
        answer=CredentialAnswer,
        made=True,
        tagged=True,
        who=OF_MAKING_ACCOUNTS,
    )
    async def make(request: Request) -> Response:
        """Make a person's account, or a machine's with its secret, which is shown once. It has no roles yet."""
        who, body = asker(services, request), await body_of(request, MakePrincipalBody)
        kept: list[Secret[str]] = []

        def act() -> PrincipalRecord:
            asked = Asked(who.id, 0)
            if body.kind == "person":
                return services.registry.create_person(body.name, body.department, asked=asked)
            made, secret = services.registry.create_machine(
                body.name, body.department, system=body.system, ranges=body.ranges, asked=asked
            )
            kept.append(secret)
            return made

        done = await _done(services, who, "make", act)
        answer = await _with_secret(services, done, kept, 201)
        answer.headers["location"] = f"{PRINCIPALS}/{done.id}"
        return answer

    def change(method: str, path: str, event: str, words: str, body: type[Body], who: Any, do: Callable[[Body], Act]) -> None:
        @route(method, f"/{{id}}/{path}", summary=words, body=body, answer=PrincipalAnswer, tagged=True, who=who)
        async def changed(request: Request) -> Response:
            """Change an account."""
            asks = asker(services, request)
            found = await _account(services, asks, request.path_params["id"])
            asked, given = Asked(asks.id, version_of(request, found.id)), await body_of(request, body)
            done = await _done(services, asks, event, lambda: do(given)(services.registry, found.id, asked))
            return json_answer(principal_answer(done, await _secrets(services, done.id)), tag=done.version)

    change(
        *("PUT", "roles", "roles", "Give an account exactly these roles; its tokens end", RolesBody, OF_RIGHTS),
        lambda b: lambda r, p, asked: r.set_roles(p, b.roles, asked=asked),
    )
    change(
        *("PUT", "ranges", "ranges", "Let an account ask from exactly these networks", RangesBody, OF_RIGHTS),
        lambda b: lambda r, p, asked: r.set_ranges(p, b.ranges, asked=asked),
    )
    change(
        *("POST", "revoke", "revoke", "End an account and its tokens now", NothingBody, OF_ENDING_ACCOUNTS),
        lambda _: lambda r, p, asked: r.revoke_principal(p, asked=asked),
    )

    @route(
        "POST",
        "/{id}/secret",
        summary="Give a machine a new secret",
        body=RotateBody,
        answer=CredentialAnswer,
        tagged=True,
        who=OF_SECRETS,
        note=_OWN_SECRET,
    )
    async def rotate(request: Request) -> Response:
        """Give a machine a new secret, shown once; the one from before is good for ``overlap_s`` more, an older one ends."""
        who = asker(services, request)
        found = await _account(services, who, request.path_params["id"])
        asked, body = Asked(who.id, version_of(request, found.id)), await body_of(request, RotateBody)
        kept: list[Secret[str]] = []

        def act() -> PrincipalRecord:
            done, secret = services.registry.rotate_secret(found.id, overlap=timedelta(seconds=body.overlap_s), asked=asked)
            kept.append(secret)
            return done

        return await _with_secret(services, await _done(services, who, "rotate", act), kept, 200)

    @route(
        "POST",
        "/{id}/end-old-secrets",
        summary="End every secret of a machine but the newest",
        body=NothingBody,
        answer=PrincipalAnswer,
        tagged=True,
        who=OF_SECRETS,
        note=_OWN_SECRET,
    )
    async def end_old(request: Request) -> Response:
        """End an overlap before its time; tokens end too."""
        who = asker(services, request)
        found = await _account(services, who, request.path_params["id"])
        asked, _ = Asked(who.id, version_of(request, found.id)), await body_of(request, NothingBody)
        done = await _done(services, who, "end_old_secrets", lambda: services.registry.end_old_secrets(found.id, asked=asked))
        return json_answer(principal_answer(done, await _secrets(services, done.id)), tag=done.version)


def _sees_all(who: PrincipalRecord) -> bool:
    return any(duty.role in who.roles for duty in SEEING_ACCOUNTS)


async def _account(services: Services, who: PrincipalRecord, key: str) -> PrincipalRecord:
    wanted = who.id if key == ITSELF else key
    found = await read_known(services, services.hub.registry.principal, wanted, ID, "principal.unknown")
    if found is None or found.id != wanted or not (found.id == who.id or _sees_all(who)):
        raise unseen("account")
    return found


async def _secrets(services: Services, principal: str) -> Sequence[SecretRecord]:
    return await in_thread(services.reads, lambda: services.hub.registry.secrets(principal))


async def _with_secret(services: Services, done: PrincipalRecord, kept: list[Secret[str]], status: int) -> Response:
    secret = kept[0].reveal() if kept else None
    answer = credential_answer(done, await _secrets(services, done.id), secret)
    return json_answer(answer, tag=done.version, status=status)


async def _done(services: Services, who: PrincipalRecord, event: str, act: Callable[[], PrincipalRecord]) -> PrincipalRecord:
    return await recorded(
        services,
        who,
        KIND,
        event,
        None,
        act,
        lambda after: {"manifest": {"event": event, "account": after.id, "version": after.version}},
    )
