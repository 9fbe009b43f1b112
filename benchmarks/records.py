"""The record query over HTTP as NDJSON, everything on, beside the same rows read with asyncpg and written as NDJSON by hand.

Both sides: one uvicorn worker with uvloop and httptools, the same PostgreSQL, the same landed table, pages of 100,000 rows, the
same client, in turns. Ours: token, grant, one run for all pages, a release under the grant as it is now for every few hundred
rows, and two durable records for each page.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import bulk, orders
from benchmarks.line import Result, Row, alternately, median
from benchmarks.lookup import served
from benchmarks.stand import Peaks, Stand, stand
from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry

PAGE = 100_000
ROWS = 300_000
"""Three pages for each reader and trial."""

READERS = (1, 4)
FLOOR, BUDGET = 0.5, 0.6
PEER = "asyncpg, NDJSON by hand"
OTHERS = {"CSV": "text/csv", "Arrow": "application/vnd.apache.arrow.stream", "Parquet": "application/vnd.apache.parquet"}

_PATH = "/api/v1/resources/orders/records/query"
_PURPOSE = "statistics"


def run(work: Path) -> dict[str, Any]:
    """Measure and return the line. Bounded: about two minutes."""
    rows = min(ROWS, bulk.rows_wanted())
    with stand(work, home="home-records") as made:
        orders.fill(made.source_url, rows)
        made.register(orders.CONTRACT)
        made.settle()
        made.collect(orders.CONTRACT.name)
        made.checkpoint()
        token = _granted(made)
        with served(made, "ndjson_asyncpg") as peer:
            return {"name": "records", "unit": "rows/s"} | _measure(made, rows, token, peer)


def _measure(made: Stand, rows: int, token: str, peer: int) -> dict[str, Any]:
    result = Result()
    port = made.made.settings.api_port
    sides = {"onedoor": lambda: _ours(port, token), "asyncpg by hand": lambda: _theirs(peer)}
    for side in sides.values():
        if side() != rows:  # also the first, which warms both up
            raise RuntimeError("a side did not give every row")
    with Peaks({"api": made.pid("api")}, every_s=0.5) as peaks:
        for readers in READERS:
            rates = alternately({name: _timed(side, readers) for name, side in sides.items()})
            result.trials |= {f"{name}, {readers} readers": list(found) for name, found in rates.items()}
            ours, theirs = (median(found) for found in rates.values())
            what = f"record query as NDJSON, {readers} reader{'s' if readers > 1 else ''}"
            result.rows.append(Row(what, "rows/s", round(ours), PEER, round(theirs), FLOOR, BUDGET))
        for name, accept in OTHERS.items():
            seconds = alternately({name: lambda accept=accept: _seconds(port, token, accept)})[name]
            result.rows.append(Row(f"record query as {name}, one page", "rows/s", round(min(PAGE, rows) / median(seconds))))
    result.rows.append(Row("API, memory (PSS), peak", "MB", peaks.peaks["api"], floor=500, budget=300, smaller=True))
    result.notes.append(f"{rows} orders of nine columns, pages of {PAGE}; every page of ours is in the ledger, begun and ended")
    return result.as_json()


def _timed(side: Callable[[], int], readers: int) -> Callable[[], float]:
    def measure() -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(readers) as pool:
            rows = sum(pool.map(lambda _: side(), range(readers)))
        return rows / (time.perf_counter() - began)

    return measure


def _ours(port: int, token: str) -> int:
    rows, page = 0, None
    while True:
        lines, last = _read(port, _request(token, page=page))
        said = json.loads(last)["onedoor"]
        if said["ended"] != "done" or said["rows"] != lines - 1:
            raise RuntimeError(f"the answer ended with {said['ended']}")
        rows += said["rows"]
        page = said["next"]
        if page is None:
            return rows


def _theirs(port: int) -> int:
    rows, after = 0, 0
    while True:
        lines, last = _read(port, f"GET /orders?after={after}&limit={PAGE} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
        rows += lines
        if lines < PAGE:
            return rows
        after = json.loads(last)["orderkey"]


def _seconds(port: int, token: str, accept: str) -> float:
    began = time.perf_counter()
    _read(port, _request(token, accept))
    return time.perf_counter() - began


def _request(token: str, accept: str = "application/x-ndjson", page: str | None = None) -> bytes:
    body = json.dumps({"purpose": _PURPOSE, "operator": "bench", "limit": PAGE, "page": page}).encode()
    head = (
        f"POST {_PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\naccept: {accept}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _read(port: int, request: bytes) -> tuple[int, bytes]:
    """Send a request, read the chunked answer to its end, and return the lines of its content and the last one."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        file = connection.makefile("rb", buffering=1 << 18)
        if b" 200 " not in file.readline():
            raise RuntimeError("an answer was not 200")
        while file.readline() != b"\r\n":
            pass
        lines, tail = 0, b""
        while size := int(file.readline(), 16):
            piece = file.read(size + 2)[:-2]
            lines += piece.count(b"\n")
            tail = (tail + piece)[-65536:]
    return lines, tail.rstrip(b"\n").rpartition(b"\n")[2]


def _granted(made: Stand) -> str:
    settings = made.made.settings
    registry = Registry(settings.database_url, settings.the_clock, keys_dir=settings.keys_dir)
    try:
        principal, secret = registry.create_machine("bench", "bench_department", system="bench_system", roles=("consumer",))
        now = datetime.now(UTC)
        registry.make_grant(
            Receiver(ReceiverKind.PRINCIPAL, principal.id),
            orders.CONTRACT.name,
            [f.name for f in orders.CONTRACT.fields],
            legal_basis="benchmark",
            from_at=now - timedelta(days=1),
            to_at=now + timedelta(days=1),
            by="bench",
            purposes=(_PURPOSE,),
        )
    finally:
        registry.close()
    made.settle()
    form = {"grant_type": "client_credentials", "client_id": principal.client_id or "", "client_secret": secret.reveal()}
    url = f"http://127.0.0.1:{settings.api_port}/api/v1/token"
    with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=10) as reply:
        return str(json.load(reply)["access_token"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="onedoor-bench-", dir=os.environ.get("TMPDIR")) as folder:
        sys.stdout.write(json.dumps(run(Path(folder)), ensure_ascii=False, indent=2) + "\n")
