"""``POST /api/v1/resources/{name}/records/query``: rows of a resource under a grant, streamed in the format asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from exchange.api.asking import asker, body_of
from exchange.api.metrics import RECORD_ANSWERS, RECORD_ROWS
from exchange.api.services import Services
from exchange.query import answer as answers
from exchange.query.answer import Answer
from exchange.query.ask import QueryRequest
from exchange.query.encode import FORMATS, chosen
from schemas.errors import OneDoorError

PATH: Final = "/api/v1/resources/{name}/records/query"
MAX_BODY_BYTES: Final = 256 * 1024

DESCRIPTION: Final = """Rows of a resource under a grant: only granted fields, only rows that the grant's row filter lets
through, in the order of the resource's key. Recorded before the first byte (`onedoor-receipt`), and again with the number of
rows at the end.

The format is chosen by `Accept`: `application/x-ndjson` (also where there is no choice), `text/csv`,
`application/vnd.apache.arrow.stream`, `application/vnd.apache.parquet`. What is said at the end of an answer is JSON: `ended`,
`rows`, `next`, `as_of`, `receipt`; it stands in the last line of NDJSON (`{"onedoor": {…}}`), in a last comment line of CSV, in
the metadata of the last (empty) batch of an Arrow stream, in the footer of a Parquet file, each under the name `onedoor`.

`next` is the token of the next page: send the same question with it as `page`. All pages are of one run; when a later run has
landed, `page.stale` says: begin again. An answer that is cut short, since the grant has ended or the resource was frozen, ends
with the code of the reason in place of `done`, and has no `next`; an Arrow stream or a Parquet file then has no proper end."""


def records_route(app: FastAPI, services: Services, problems: Callable[..., dict[int | str, dict[str, Any]]]) -> None:
    """Add the route. ``problems`` describes the problem documents of statuses."""
    content = {f.media_type: {"schema": {"type": "string", "contentMediaType": f.media_type}} for f in FORMATS}
    described = problems(400, 401, 403, 406, 413, 415, 429, 503)
    described[200] = {"description": "The rows, none where there are none.", "content": content, "headers": _HEADERS}

    @app.post(
        PATH,
        tags=["resources"],
        summary="Query the records of a resource",
        description=DESCRIPTION,
        operation_id="query_records",
        responses=described,
        response_class=Response,
        openapi_extra={
            "security": [{"client": []}],
            "parameters": [
                {
                    "name": "name",
                    "in": "path",
                    "required": True,
                    "description": "name of the resource",
                    "schema": {"type": "string"},
                }
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/QueryRequest"}}},
            },
        },
    )
    async def query(request: Request) -> Response:
        try:
            return Records(await _answer(services, request.path_params["name"], request), services.log)
        except OneDoorError as error:
            if error.kind == "defect":
                services.log.critical("a query of records met a defect", code=error.code, where=error.where)
            RECORD_ANSWERS.labels(outcome=error.code).inc()
            raise


class Records(Response):
    """Rows on their way out, sent as they are released."""

    def __init__(self, answer: Answer, log: Any) -> None:
        self.answer = answer
        self.log = log
        self.status_code = 200
        self.background = None
        self.media_type = answer.held.asked.format.media_type
        headers = {
            "cache-control": "no-store",
            "onedoor-receipt": f"{answer.receipt.chain} {answer.receipt.n} {answer.receipt.hash}",
        }
        if answer.as_of is not None:
            headers["onedoor-as-of"] = answer.as_of.isoformat().replace("+00:00", "Z")
        self.init_headers(headers)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Give the answer. Where it must have no end it is left without one, and the server cuts the connection."""
        head: list[Any] = [{"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}]

        async def emit(piece: bytes) -> None:
            if head:
                await send(head.pop())
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        gone = asyncio.ensure_future(_gone(receive))
        try:
            if await self.answer.deliver(emit, gone):
                await self._close(send)
        finally:
            gone.cancel()
            if (defect := self.answer.defect) is not None:
                self.log.critical("an answer met a defect", code=defect.code, where=defect.where)
            RECORD_ROWS.inc(self.answer.rows)
            RECORD_ANSWERS.labels(outcome=self.answer.ended).inc()

    async def _close(self, send: Callable[[MutableMapping[str, Any]], Awaitable[None]]) -> None:
        """Send the end, unless whoever asked does not take it: then the server cuts the connection."""
        try:
            async with asyncio.timeout(answers.STALLED_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            self.log.warning("the end of an answer was not taken", request=self.answer.held.asked.id)


async def _gone(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(services: Services, name: str, request: Request) -> Answer:
    principal = asker(services, request)
    form = chosen(request.headers.get("accept"))
    asked = await body_of(request, QueryRequest, most_bytes=MAX_BODY_BYTES)
    return await services.records.answer(principal, name, asked, form)


_HEADERS: Final = {
    "onedoor-receipt": {
        "description": "where the ledger has the record that this answer began: chain, number, hash",
        "schema": {"type": "string"},
    },
    "onedoor-as-of": {
        "description": "the instant as of which the rows held",
        "schema": {"type": "string", "format": "date-time"},
    },
}
