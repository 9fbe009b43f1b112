"""Other catalogues by HTTP: which there are, and what their datasets say, each with where it comes from. Read only."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI, Request, Response

from catalog_registry.acting import EVERYBODY
from catalog_registry.harvest.harvests import CatalogueRecord, HarvestedRecord
from exchange.api.asking import asker
from exchange.api.registry_frame import (
    ID,
    NAME,
    Problems,
    add_route,
    in_thread,
    json_answer,
    page_of,
    read_known,
    unseen,
)
from exchange.api.services import Services
from schemas.errors import Fault, RejectedError

_FLAG: Final = re.compile(r"true|false")


class CatalogueAnswer(msgspec.Struct, frozen=True):
    """Another catalogue, and what its last run found."""

    name: str
    title: str
    ran_at: datetime | None
    counts: Annotated[Mapping[str, int] | None, msgspec.Meta(description="added, changed, same, gone, own, nameless, untitled")]


class CataloguesAnswer(msgspec.Struct, frozen=True):
    """The other catalogues, by name."""

    catalogues: Sequence[CatalogueAnswer]


class HarvestedAnswer(msgspec.Struct, frozen=True):
    """A dataset of another catalogue: none of the district's own resources, and no grant ever names it."""

    id: str
    origin: Annotated[str, msgspec.Meta(description="name of the catalogue that it comes from")]
    iri: Annotated[str, msgspec.Meta(description="its name there")]
    title: str
    content: Annotated[Mapping[str, Any], msgspec.Meta(description="abstract, publisher, themes, keywords, distributions, …")]
    hash: Annotated[str, msgspec.Meta(description="SHA-256 of the content, in hex")]
    first_at: datetime
    harvested_at: datetime
    gone_at: Annotated[datetime | None, msgspec.Meta(description="since when that catalogue has it no more")]


class HarvestedPage(msgspec.Struct, frozen=True):
    """Some datasets of other catalogues, by id."""

    datasets: Sequence[HarvestedAnswer]
    next: Annotated[str | None, msgspec.Meta(description="the after of the page that follows, null on the last one")]


FORMS: Final = (CataloguesAnswer, HarvestedAnswer, HarvestedPage)


def harvest_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""

    def route(path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        at = f"/api/v1/harvested{path}"
        return add_route(app, services, problems, "GET", at, tag="harvested", who=EVERYBODY, **words)

    @route("/catalogues", summary="List the other catalogues", answer=CataloguesAnswer)
    async def catalogues(request: Request) -> Response:
        """List the catalogues that are harvested, and what the last run found."""
        asker(services, request)
        rows = await in_thread(services.reads, services.hub.registry.catalogues)
        return json_answer(CataloguesAnswer([_catalogue(row) for row in rows]))

    @route(
        "",
        summary="List the datasets of other catalogues",
        answer=HarvestedPage,
        listed=True,
        query={"catalogue": "only those of one", "gone": "true: those that are gone too"},
    )
    async def harvested(request: Request) -> Response:
        """List datasets of other catalogues by id, each with its origin, its name there, and when it was read."""
        asker(services, request)
        after, limit = page_of(request, ID, also=("catalogue", "gone"))
        catalogue, gone = request.query_params.get("catalogue"), request.query_params.get("gone", "false")
        if (catalogue is not None and not NAME.fullmatch(catalogue)) or not _FLAG.fullmatch(gone):
            raise RejectedError("catalogue is a name, gone is true or false", code="request.page", fault=Fault.CLIENT)

        def read() -> list[HarvestedRecord]:
            return services.hub.registry.harvested(catalogue=catalogue, gone=gone == "true", after=after, limit=limit + 1)

        rows = await in_thread(services.reads, read)
        following = rows[limit - 1].id if len(rows) > limit else None
        return json_answer(HarvestedPage([_answer(row) for row in rows[:limit]], following))

    @route("/{id}", summary="Show a dataset of another catalogue", answer=HarvestedAnswer)
    async def one(request: Request) -> Response:
        """Show a dataset of another catalogue, also one that is gone."""
        asker(services, request)
        read = services.hub.registry.harvested_one
        found = await read_known(services, read, request.path_params["id"], ID, "harvested.unknown")
        if found is None:
            raise unseen("dataset")
        return json_answer(_answer(found))


def _catalogue(found: CatalogueRecord) -> CatalogueAnswer:
    return CatalogueAnswer(found.name, found.title, found.ran_at, found.counts)


def _answer(found: HarvestedRecord) -> HarvestedAnswer:
    return HarvestedAnswer(**{name: getattr(found, name) for name in HarvestedAnswer.__struct_fields__})
