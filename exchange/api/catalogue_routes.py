"""The whole catalogue by HTTP: given out in its forms as far as it may be seen, and brought in from files."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from catalog_registry.acting import EVERYBODY, IMPORTING, check_duty, sight
from catalog_registry.bring_in import FileKind, bring_in, read_file
from catalog_registry.brought import ImportRefusedError
from catalog_registry.catalogue_sheets_out import write_template
from catalog_registry.exports.whole import MEDIA_TYPES, Format, Wanted, write_export
from catalog_registry.imports import Imported
from catalog_registry.sheets.guard import Limits
from catalog_registry.sheets.writing import MEDIA_TYPE as XLSX_TYPE
from exchange.api.asking import asker
from exchange.api.catalogue_forms import ImportAnswer, NationalEntry, TemplateAnswer, import_answer
from exchange.api.given_files import body_file, denials_recorded, media_type_of, refused_places
from exchange.api.registry_frame import NAME, Problems, add_route, in_thread, json_answer, recorded
from exchange.api.services import Services
from exchange.sheets import read_catalogue_sheet
from schemas.errors import Fault, RejectedError

CATALOGUE: Final = "/api/v1/catalogue"
KIND: Final = "registry.catalogue"
LIMITS: Final = Limits(file_bytes=16 << 20, unpacked_bytes=192 << 20, rows=60_000, columns=128)
"""What a file may take that comes by HTTP. A larger one is brought in at the console."""

_KINDS: Final = {
    XLSX_TYPE: FileKind.XLSX,
    "text/csv": FileKind.CSV,
    "application/json": FileKind.NATIONAL,
    "application/yaml": FileKind.ODCS,
}
_MOST_NAMES: Final = 200
_CHUNK_BYTES: Final = 64 * 1024
_SEEN: Final = "published ones and the own department's; of one that is not shared others see its name and the reason, in DCAT"
_OWN: Final = "an editor: drafts of the own department; the centre: whatever there is"


def catalogue_routes(app: FastAPI, services: Services, problems: Problems) -> None:
    """Add the routes. ``problems`` describes the problem documents of statuses."""

    def route(method: str, path: str, **words: Any) -> Callable[[Callable[[Request], Awaitable[Response]]], None]:
        return add_route(app, services, problems, method, CATALOGUE + path, tag="catalogue", **words)

    @route(
        "GET",
        "",
        summary="Give out the catalogue",
        answer=NationalEntry,
        many=True,
        denied=True,
        who=EVERYBODY,
        note=_SEEN,
        media_types=tuple(MEDIA_TYPES.values()),
        query={
            "format": f"one of {', '.join(Format)}; else by Accept",
            "names": f"names of resources with commas between, {_MOST_NAMES} at most; else all",
            "base": "address that names in DCAT begin with; else that of the request",
            "drafts": "true: what is not shared yet too, as far as it may be seen; national and xlsx only",
        },
    )
    async def catalogue(request: Request) -> Response:
        """Give out the resources that may be seen: DCAT-AP as Turtle or JSON-LD, the national form, a workbook, or contracts.

        Contracts say where rows are read: they are for their own department, the centre and the auditor.
        """
        seen = sight(asker(services, request))
        given = _parameters(request, "format", "names", "drafts", "base")
        names = tuple(dict.fromkeys(name for name in given.get("names", "").split(",") if name))
        if len(names) > _MOST_NAMES or not all(NAME.fullmatch(name) for name in names):
            raise RejectedError(
                f"names are names of resources with commas between, {_MOST_NAMES} at most",
                code="request.names",
                fault=Fault.CLIENT,
            )
        wanted = Wanted(
            _format(request, given),
            services.settings.division,
            names,
            seen,
            _flag(given, "drafts"),
            given.get("base", _base(request)),
        )
        return await _file(services, MEDIA_TYPES[wanted.form], lambda path: write_export(services.hub.registry, wanted, path))

    @route(
        "GET",
        "/template",
        summary="Give the spreadsheet that departments fill in",
        answer=TemplateAnswer,
        who=EVERYBODY,
        media_types=(XLSX_TYPE,),
    )
    async def template(request: Request) -> Response:
        """Give the official columns with drop-downs, instructions in Chinese and English, and an example."""
        asker(services, request)
        return await _file(services, XLSX_TYPE, write_template, name="catalogue.xlsx")

    @route(
        "POST",
        "/import",
        summary="Bring resources in from a file",
        body=NationalEntry,
        body_types=tuple(_KINDS),
        answer=ImportAnswer,
        versioned=False,
        who=IMPORTING,
        note=_OWN,
        query={
            "partial": "true: take what is right and report the rest; else all or nothing",
            "check": "true: say what would become of it, and change nothing",
        },
    )
    async def import_(request: Request) -> Response:
        """Register drafts and set entries from a spreadsheet, national JSON, or contracts; everything wrong is told at once."""
        who = asker(services, request)
        async with denials_recorded(services, who, KIND, "import"):
            check_duty(who, "import resources", IMPORTING, who.department)
        given = _parameters(request, "partial", "check")
        partial, check = _flag(given, "partial"), _flag(given, "check")
        kind = _KINDS[media_type_of(request, _KINDS)]
        read = read_catalogue_sheet if kind in (FileKind.XLSX, FileKind.CSV) else read_file
        async with body_file(request, LIMITS.file_bytes) as file:
            brought = await in_thread(services.files, lambda: read(file, kind, where="the body", limits=LIMITS))

        def act() -> Imported:
            return bring_in(services.registry, brought, by=who.id, who=who, partial=partial, check=check)

        def told(done: Imported) -> Mapping[str, Any]:
            counts = {outcome.value: done.count(outcome) for outcome in done.outcomes()}
            return {"manifest": {"event": "import", "refused": done.faults_count} | counts}

        try:
            if check:
                async with denials_recorded(services, who, KIND, "import"):
                    done = await in_thread(services.files, act)
            else:
                done = await recorded(services, who, KIND, "import", None, act, told)
        except ImportRefusedError as error:
            return refused_places(error)
        return json_answer(import_answer(done, checked=check))


# What is asked ------------------------------------------------------------------------------------------------------------


def _parameters(request: Request, *known: str) -> dict[str, str]:
    given = dict(request.query_params.items())
    if not set(given) <= set(known):
        raise RejectedError(f"the query takes {', '.join(known)}", code="request.query", fault=Fault.CLIENT)
    return given


def _flag(given: Mapping[str, str], name: str) -> bool:
    if given.get(name, "false") not in ("true", "false"):
        raise RejectedError(f"{name} is true or false", code="request.query", fault=Fault.CLIENT)
    return given.get(name) == "true"


def _format(request: Request, given: Mapping[str, str]) -> Format:
    """Return the form that is asked for: by ``format``, else the first of ``Accept`` that there is."""
    if "format" in given:
        if given["format"] not in set(Format):
            raise RejectedError(f"format is one of {', '.join(Format)}", code="request.query", fault=Fault.CLIENT)
        return Format(given["format"])
    accepted = request.headers.get("accept", "*/*")
    forms = {media_type: form for form, media_type in MEDIA_TYPES.items()}
    for one in accepted.split(","):
        media_type = one.partition(";")[0].strip().lower()
        if media_type in forms:
            return forms[media_type]
        if media_type in ("*/*", "application/*"):
            return Format.NATIONAL
    raise RejectedError(
        f"the catalogue is given as {', '.join(forms)}", code="request.accept", remedy="ask for one", fault=Fault.CLIENT
    )


def _base(request: Request) -> str:
    """Return the address under which this request reached the hub: names in DCAT begin with it."""
    return str(request.base_url).rstrip("/")


# Answers ------------------------------------------------------------------------------------------------------------------


async def _file(services: Services, media_type: str, write: Callable[[Path], Any], *, name: str | None = None) -> Response:
    """Write an answer whole, then stream it: nobody who reads slowly holds a connection to the database meanwhile."""
    folder = tempfile.TemporaryDirectory(prefix="onedoor-catalogue-")
    path = Path(folder.name) / "answer"
    try:
        await in_thread(services.files, lambda: write(path))
        file = path.open("rb")
    finally:
        folder.cleanup()
    headers = {"cache-control": "no-store"}
    if name is not None:
        headers["content-disposition"] = f'attachment; filename="{name}"'

    async def parts() -> AsyncIterator[bytes]:
        with file:
            while part := file.read(_CHUNK_BYTES):
                yield part

    return StreamingResponse(parts(), headers=headers, media_type=media_type)
