"""Files that come as the body of a request: kept in a file, not in memory; refused with the places that are wrong."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import IO, Any

import msgspec
from fastapi import Request, Response

from catalog_registry.brought import ImportRefusedError
from catalog_registry.records import PrincipalRecord
from exchange.api.catalogue_forms import fault_answers
from exchange.api.problems import MEDIA_TYPE, encoded, headers_of, problem, problem_of
from exchange.api.services import Services
from exchange.trust.record import LedgerRecord
from schemas.errors import DeniedError, Fault, RejectedError


def media_type_of(request: Request, known: Collection[str]) -> str:
    """Return what the body comes as. Raises ``RejectedError`` (``request.media_type``) where it is none that is known."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in known:
        raise RejectedError(f"the body must be one of {', '.join(known)}", code="request.media_type", fault=Fault.CLIENT)
    return given


@asynccontextmanager
async def denials_recorded(services: Services, who: PrincipalRecord, kind: str, event: str) -> AsyncIterator[None]:
    """Put a denial on record that ``registry_frame.recorded`` does not."""
    try:
        yield
    except DeniedError as error:
        asked: dict[str, Any] = {"principal": who.id, "department": who.department, "system": who.system}
        record = LedgerRecord(kind=kind, outcome="refused", reason=f"{event}:{error.code}", **asked)
        await services.lookup.refusals.record(record)
        raise


@asynccontextmanager
async def body_file(request: Request, most_bytes: int) -> AsyncIterator[IO[bytes]]:
    """Keep the body in a file as long as it is read. Raises ``RejectedError`` (``request.too_large``)."""
    size = 0
    with tempfile.TemporaryFile() as file:
        async for part in request.stream():
            size += len(part)
            if size > most_bytes:
                raise RejectedError(
                    f"the body is above {most_bytes >> 20} MiB",
                    code="request.too_large",
                    remedy="split it, or bring it in at the console",
                    fault=Fault.CLIENT,
                )
            file.write(part)
        file.seek(0)
        yield file


def refused_places(error: ImportRefusedError) -> Response:
    """Return the problem document of a file that is refused, with the places that are wrong."""
    faults = msgspec.to_builtins(fault_answers(error.faults))
    told = problem(422, error.code, error.message, faults=faults, faults_count=error.count)
    headers = {name.decode(): value.decode() for name, value in headers_of(422)}
    return Response(encoded(problem_of(error) | told), 422, headers=headers, media_type=MEDIA_TYPE)
