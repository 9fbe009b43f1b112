"""Contracts, catalogue entries and grants by HTTP: drafts and versions, what a version would break, what is given and ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response

from catalog_registry.acting import EVERYBODY, SEEING, Sight, sight
from catalog_registry.asked import (
    OF_DRAFTS,
    OF_ENDING_GRANTS,
    OF_ENTRIES,
    OF_MAKING_GRANTS,
    Asked,
)
from catalog_registry.exports.national import from_national, is_national
from catalog_registry.records import (
    ContractVersionRecord,
    Cover,
    EntryRecord,
    GrantRecord,
    PrincipalRecord,
    Receiver,
    ReceiverKind,
    RegisteredResource,
)
from exchange.api.asking import asker, body_of
from exchange.api.contract_forms import (
    ContractAnswer,
    ContractBody,
    DiffAnswer,
    EntryAnswer,
    EntryBody,
    GrantAnswer,
    GrantPage,
    MakeGrantBody,
    RevokeBody,
    VersionAnswer,
    diff_answer,
    grant_answer,
)
from exchange.api.registry_forms import ResourceAnswer
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
from exchange.api.registry_routes import RESOURCE_KIND, RESOURCES, answer_resource, seen_in_any_state, seen_resource
from exchange.api.services import Services
from schemas.catalogue import CatalogueEntry, SharingType
from schemas.catalogue_form import entry_document, read_entry
from schemas.errors import DeniedError, Fault, RejectedError
from schemas.odcs import read_contract
from schemas.resource import resource_name

GRANTS: Final = "/api/v1/grants"
GRANT_KIND: Final = "registry.grant"
MOST_BYTES: Final = 4 << 20
_VERSIONS: Final = "of a draft, or of one that was rejected; what is shared is changed by a revision"
_UNSHARED: Final = "of one that is not shared, others than its department and the centre see its name and the reason"
_PARTY: Final = "the own department received it, or has its resource"
Add = Callable[[Callable[[Request], Awaitable[Response]]], None]


def contract_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""

    def route(method: str, path: str, **words: Any) -> Add:
        return add_route(app, services, problems, method, RESOURCES + path, tag="resources", **words)

    _contract_routes(route, services)
    _entry_routes(route, services)


# Contracts --------------------------------------------------------------------------------------------------------------


def _contract_routes(route: Callable[..., Add], services: Services) -> None:
    @route(
        "POST",
        "",
        summary="Register a resource by its contract, as a draft",
        body=ContractBody,
        answer=ResourceAnswer,
        made=True,
        tagged=True,
        who=OF_DRAFTS,
        note="of the contract's department",
    )
    async def register(request: Request) -> Response:
        """Register a resource of the own department by its ODCS contract. It is a draft: submitted and published later."""
        who = asker(services, request)
        body = await body_of(request, ContractBody, most_bytes=MOST_BYTES)
        done = await _register(services, who, body.contract, Asked(who.id, 0))
        answer = await answer_resource(services, done, status=201)
        answer.headers["location"] = f"{RESOURCES}/{done.name}"
        return answer

    @route("GET", "/{name}/contract", summary="Show a contract", answer=ContractAnswer, denied=True, tagged=True, who=SEEING)
    async def contract(request: Request) -> Response:
        """Show the contract in force as it was registered, which says where rows are read, to who sees the whole resource."""
        found = await _whole(services, sight(asker(services, request)), request.path_params["name"], "contract")
        versions = await in_thread(services.reads, lambda: services.hub.registry.contract_versions(found.name))
        answer = ContractAnswer(found.name, found.version, found.odcs, [_version(v) for v in versions])
        return json_answer(answer, tag=found.row_version)

    @route(
        "PUT",
        "/{name}/contract",
        summary="Give a draft a new version of its contract",
        body=ContractBody,
        answer=ResourceAnswer,
        tagged=True,
        who=OF_DRAFTS,
        note=_VERSIONS,
    )
    async def version(request: Request) -> Response:
        """Register a new version of the contract of a draft, or of what was rejected; the same again changes nothing.

        What is shared is changed by a revision, which somebody else approves: `POST /api/v1/revisions`.
        """
        who = asker(services, request)
        found = await seen_resource(services, sight(who), request.path_params["name"])
        asked = Asked(who.id, version_of(request, found.name))
        body = await body_of(request, ContractBody, most_bytes=MOST_BYTES)
        done = await _register(services, who, body.contract, asked, found.name)
        return await answer_resource(services, done)

    @route(
        "POST",
        "/{name}/diff",
        summary="Compare a contract with the version in force",
        body=ContractBody,
        answer=DiffAnswer,
        versioned=False,
        who=SEEING,
    )
    async def compare(request: Request) -> Response:
        """Say each change, whether it breaks who reads the rows, and which grants it touches. Registers nothing."""
        seen = sight(asker(services, request))
        found = await _whole(services, seen, request.path_params["name"], "contract")
        body = await body_of(request, ContractBody, most_bytes=MOST_BYTES)
        compared = await in_thread(services.reads, lambda: services.hub.registry.compare(found.name, body.contract))
        return json_answer(diff_answer(compared))


async def _register(
    services: Services, who: PrincipalRecord, text: str, asked: Asked, name: str | None = None
) -> RegisteredResource:
    given = await in_thread(services.reads, lambda: read_contract(text, where="the contract"))
    if name is not None and given.name != name:
        raise RejectedError(
            f"the contract is of resource {given.name}, not of {name}",
            code="contract.other_resource",
            remedy="give the contract of the resource itself",
            fault=Fault.CLIENT,
        )

    def act() -> RegisteredResource:
        return services.registry.register_resource(text, by=who.id, where="the contract", asked=asked)

    def told(after: RegisteredResource) -> Mapping[str, Any]:
        return {"manifest": {"event": "contract", "contract": after.version, "version": after.row_version}}

    return await recorded(services, who, RESOURCE_KIND, "contract", given.name, act, told)


async def _whole(services: Services, seen: Sight, name: str, what: str) -> RegisteredResource:
    """Return a resource to who sees all of it."""
    found = await seen_resource(services, seen, name)
    if not seen.of_department(found.department):
        raise DeniedError(
            f"the {what} of a resource is for its department, the centre and the auditor",
            code=f"registry.{what}",
            fault=Fault.CLIENT,
        )
    return found


def _version(found: ContractVersionRecord) -> VersionAnswer:
    return VersionAnswer(found.version, found.status, found.at, found.by)


# Catalogue entries ------------------------------------------------------------------------------------------------------


def _entry_routes(route: Callable[..., Add], services: Services) -> None:
    @route(
        "GET", "/{name}/entry", summary="Show a catalogue entry", answer=EntryAnswer, tagged=True, who=EVERYBODY, note=_UNSHARED
    )
    async def entry(request: Request) -> Response:
        """Show what the official catalogue says of a resource."""
        seen = sight(asker(services, request))
        found = await seen_in_any_state(services, seen, request.path_params["name"])
        record = await in_thread(services.reads, lambda: services.hub.registry.entry(found.name))
        whole = not isinstance(found, Cover) and seen.of_department(found.department)
        return _entry_answer(found.name, record, whole=whole)

    @route(
        "PUT", "/{name}/entry", summary="Set a catalogue entry", body=EntryBody, answer=EntryAnswer, tagged=True, who=OF_ENTRIES
    )
    async def set_entry(request: Request) -> Response:
        """Give a resource its entry, the first on the ETag "0"; with the first it gets its official code."""
        who = asker(services, request)
        found = await seen_in_any_state(services, sight(who), request.path_params["name"])
        if isinstance(found, Cover):
            raise RejectedError("there is no such resource", code="resource.unknown", fault=Fault.CLIENT)
        asked = Asked(who.id, version_of(request, found.name))
        body = await body_of(request, EntryBody, most_bytes=MOST_BYTES)
        given = _read_entry(body.entry, found.name)
        done = await recorded(
            services,
            who,
            RESOURCE_KIND,
            "entry",
            found.name,
            lambda: services.registry.set_entry(found.name, given, by=who.id, asked=asked),
            lambda after: {"manifest": {"event": "entry", "version": after.version}},
        )
        return _entry_answer(found.name, done, whole=True)


def _read_entry(document: Mapping[str, Any], where: str) -> CatalogueEntry:
    plain = msgspec.to_builtins(document)
    return (from_national if is_national(plain) else read_entry)(plain, where=where)


def _entry_answer(name: str, record: EntryRecord | None, *, whole: bool) -> Response:
    if record is None:
        return json_answer(EntryAnswer(name, 0, None, None), tag=0)
    document = entry_document(record.entry)
    if not whole and record.entry.sharing.type is SharingType.NOT_SHARED:
        document = {k: document[k] for k in ("title", "sharing_type", "sharing_basis_kind", "sharing_basis") if k in document}
        return json_answer(EntryAnswer(name, record.version, None, document), tag=record.version)
    return json_answer(EntryAnswer(name, record.version, record.entry.code, document), tag=record.version)


# Grants -----------------------------------------------------------------------------------------------------------------


def grant_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""

    def route(method: str, path: str, **words: Any) -> Add:
        return add_route(app, services, problems, method, GRANTS + path, tag="grants", **words)

    @route(
        "GET",
        "",
        summary="List the grants",
        answer=GrantPage,
        listed=True,
        who=SEEING,
        note=_PARTY,
        query={"resource": "only those of a resource"},
    )
    async def grants(request: Request) -> Response:
        """List grants by id, ended ones too: those that the own department received or gave; centre and auditor see all."""
        seen = sight(asker(services, request))
        after, limit = page_of(request, ID, also=("resource",))
        resource = request.query_params.get("resource")
        if resource is not None:
            resource_name(resource)

        def read() -> list[GrantRecord]:
            return services.hub.registry.grants_seen(seen, after=after, limit=limit + 1, resource=resource)

        rows = await in_thread(services.reads, read)
        following = rows[limit - 1].id if len(rows) > limit else None
        return json_answer(GrantPage([grant_answer(r) for r in rows[:limit]], following))

    @route("GET", "/{id}", summary="Show a grant", answer=GrantAnswer, tagged=True, who=SEEING, note=_PARTY)
    async def grant(request: Request) -> Response:
        """Show a grant to who received it, to the provider, the centre and the auditor."""
        found = await _grant(services, sight(asker(services, request)), request.path_params["id"])
        return json_answer(grant_answer(found), tag=found.version)

    @route(
        "POST",
        "",
        summary="Make a grant without an application",
        body=MakeGrantBody,
        answer=GrantAnswer,
        made=True,
        tagged=True,
        who=OF_MAKING_GRANTS,
        note="any other grant is made by the approval of an application",
    )
    async def make(request: Request) -> Response:
        """Give a receiver the right to fields of a resource, on the security officer's own ground; never to itself."""
        who, body = asker(services, request), await body_of(request, MakeGrantBody)
        found = await seen_resource(services, sight(who), body.resource)
        kind, _, code = body.receiver.partition(":")

        def act() -> GrantRecord:
            return services.registry.make_grant(
                Receiver(ReceiverKind(kind), code),
                found.name,
                body.fields,
                legal_basis=body.legal_basis,
                from_at=body.from_at or services.clock.now(),
                to_at=body.to_at,
                by=who.id,
                purposes=body.purposes,
                items=body.items,
                row_filter=body.row_filter,
                asked=Asked(who.id, 0),
            )

        done = await _grant_done(services, who, "make", found.name, act)
        answer = json_answer(grant_answer(done), tag=done.version, status=201)
        answer.headers["location"] = f"{GRANTS}/{done.id}"
        return answer

    @route(
        "POST",
        "/{id}/revoke",
        summary="End a grant now",
        body=RevokeBody,
        answer=GrantAnswer,
        tagged=True,
        who=OF_ENDING_GRANTS,
    )
    async def revoke(request: Request) -> Response:
        """End a grant now, for a reason; a running answer under it ends within seconds."""
        who = asker(services, request)
        found = await _grant(services, sight(who), request.path_params["id"])
        asked, body = Asked(who.id, version_of(request, found.id)), await body_of(request, RevokeBody)
        done = await _grant_done(
            services,
            who,
            "revoke",
            found.resource,
            lambda: services.registry.revoke_grant(found.id, by=who.id, why=body.why, asked=asked),
        )
        return json_answer(grant_answer(done), tag=done.version)


async def _grant(services: Services, seen: Sight, key: str) -> GrantRecord:
    def read(grant: str) -> GrantRecord | None:
        return services.hub.registry.grant_seen(seen, grant)

    found = await read_known(services, read, key, ID, "grant.unknown")
    if found is None:
        raise unseen("grant")
    return found


async def _grant_done(
    services: Services, who: PrincipalRecord, event: str, resource: str, act: Callable[[], GrantRecord]
) -> GrantRecord:
    return await recorded(
        services,
        who,
        GRANT_KIND,
        event,
        resource,
        act,
        lambda after: {"grant": after.id, "manifest": {"event": event, "version": after.version}},
    )
