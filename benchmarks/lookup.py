"""The licence look-up over HTTP, everything on, beside one row by key of a hand-written FastAPI + asyncpg endpoint.

All sides: one uvicorn worker with uvloop and httptools, the same PostgreSQL, a table of the same size, the same client, in
turns. Ours: token, grant, purpose, case, decryption of a sealed field, and a durable ledger record before each answer. The
limit of the machine: the three statements of ours, grouped as ours are, and nothing else.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from benchmarks.line import Result, Row, alternately, median
from benchmarks.peers.fastapi_asyncpg import TABLE as PEER_TABLE
from benchmarks.stand import Stand, pss_mb, stand
from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from console.local import ports
from schemas.codes import citizen_id_check
from schemas.contract import CaseRole, DataContract, Field, LicenceRole, Limits, LogicalType
from schemas.resource import resource_name

LICENCES = 100_000
ASKED = 4_000
"""Different holders that are asked about, in turns."""

SECONDS = 2.5
CONNECTIONS = {16: (1.5, 2.0), 64: (2.5, 3.5)}
"""Connections → floor and budget of the ratio."""

PEER = "FastAPI + asyncpg, one row by key"
LIMIT = "our three statements, grouped, nothing else"

_PATH = "/api/v1/licences/lookup"
_ITEM, _PURPOSE, _KIND = "ITEM-1", "accept_case", "T-ID"


def _contract(name: str, fields: list[Field], **more: Any) -> DataContract:
    return DataContract(
        name=resource_name(name),
        version="1.0.0",
        title=name,
        department="bench_department",
        system="bench_system",
        source="bench_source",
        table=name,
        fields=tuple(fields),
        limits=Limits(bad=0.0, shrink=0.2),
        **more,
    )


def _text(name: str, **more: Any) -> Field:
    return Field(name, LogicalType.STRING, name, **more)


LICENCE = _contract(
    "bench_licences",
    [
        _text("licence_id", required=True, key=1),
        _text("licence_type", required=True),
        _text("licence_number"),
        _text("holder_name", personal=True),
        _text("holder_number_type", required=True),
        _text("holder_number", personal=True, lookup=True),
        _text("state", required=True),
        Field("issued_on", LogicalType.DATE, "issued_on"),
        Field("valid_from", LogicalType.DATE, "valid_from"),
        Field("valid_to", LogicalType.DATE, "valid_to"),
        _text("trust_level"),
    ],
    licence_role=LicenceRole(
        "licence_type",
        "licence_number",
        "holder_number_type",
        "holder_number",
        "state",
        "valid_from",
        "valid_to",
        "trust_level",
    ),
)
CASE = _contract(
    "bench_cases",
    [
        _text("case_number", required=True, key=1),
        _text("item_code", required=True),
        _text("applicant_number_type", required=True),
        _text("applicant_number", personal=True, lookup=True),
        _text("state", required=True),
    ],
    case_role=CaseRole("case_number", "item_code", "applicant_number_type", "applicant_number", "state", ("1",)),
)
GRANTED = ("licence_id", "licence_type", "licence_number", "holder_name", "state", "issued_on", "valid_from", "valid_to")

_FILL = """
CREATE TABLE bench_licences AS
SELECT 'L' || i AS licence_id, 'T-ID' AS licence_type, '440221-' || i AS licence_number, '持证人' || i AS holder_name,
       '111' AS holder_number_type, n.number AS holder_number, '01' AS state, date '2020-05-04' AS issued_on,
       date '2020-05-04' AS valid_from, date '2099-05-03' AS valid_to, 'A' AS trust_level
FROM bench_numbers n
"""
_CASES = """
CREATE TABLE bench_cases AS
SELECT 'CASE-' || i AS case_number, 'ITEM-1' AS item_code, '111' AS applicant_number_type, number AS applicant_number,
       '1' AS state
FROM bench_numbers
"""


@dataclass(frozen=True, slots=True)
class Side:
    """An address and the file of its prepared requests."""

    port: int
    requests: Path

    def load(self, connections: int, seconds: float) -> dict[str, float]:
        """Load it once."""
        command = [sys.executable, "-m", "benchmarks.load", "127.0.0.1", str(self.port), str(self.requests)]
        done = subprocess.run([*command, str(connections), str(seconds)], capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(done.stdout)
        if found["wrong"] or not found["per_second"]:
            raise RuntimeError(f"{found['wrong']:.0f} answers were not 200")
        return found


def run(work: Path) -> dict[str, Any]:
    """Measure and return the line. Bounded: about a minute."""
    with stand(work, home="home-lookup") as made:
        numbers = _fill(made)
        ours = _ours(made, work, numbers)
        with served(made, "fastapi_asyncpg") as peer, served(made, "grouped_trips") as limit:
            asked = random.Random(440205).sample(range(LICENCES), ASKED)
            gets = [f"GET /licences/L{i} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode() for i in asked]
            theirs = Side(peer, _kept(work, "lookup-peer", gets))
            sides = {"onedoor": ours, "fastapi_asyncpg": theirs, "grouped_trips": Side(limit, ours.requests)}
            return {"name": "lookup", "unit": "req/s"} | _measure(made, sides)


def _measure(made: Stand, sides: dict[str, Side]) -> dict[str, Any]:
    result = Result()
    for connections, (floor, budget) in CONNECTIONS.items():
        trials: dict[str, list[dict[str, float]]] = {name: [] for name in sides}

        def measured(name: str, connections: int, kept: list[dict[str, float]]) -> Callable[[], float]:
            def measure() -> float:
                kept.append(sides[name].load(connections, SECONDS))
                return kept[-1]["per_second"]

            return measure

        rates = alternately({name: measured(name, connections, trials[name]) for name in sides})
        p99 = {name: median([t["p99_ms"] for t in trials[name]]) for name in sides}
        result.trials |= {f"{name}, {connections} connections": list(trials[name]) for name in sides}
        what = f"licence look-up, {connections} connections"
        rate = {name: median(found) for name, found in rates.items()}
        result.rows += [
            Row(what, "req/s", rate["onedoor"], PEER, rate["fastapi_asyncpg"], floor, budget),
            Row(f"{what}, p99", "ms", p99["onedoor"], PEER, p99["fastapi_asyncpg"], 1.0, 1.0, smaller=True),
            Row(what, "req/s", rate["onedoor"], LIMIT, rate["grouped_trips"]),
        ]
    result.rows.append(Row("API, memory (PSS)", "MB", pss_mb(made.pid("api")), floor=500, budget=300, smaller=True))
    result.notes.append(f"{LICENCES} licences, each with a sealed row; every answer of ours is in the ledger before it leaves")
    return result.as_json()


def _fill(made: Stand) -> list[str]:
    """Fill the source, collect it, and return the holders' numbers."""
    numbers = []
    for i in range(LICENCES):
        body = f"440221{1930 + i % 70}{1 + i // 70 % 12:02d}{1 + i // 840 % 28:02d}{i // 23_520:03d}"
        numbers.append(body + citizen_id_check(body))
    with psycopg.connect(made.source_url) as connection:
        connection.execute("CREATE TABLE bench_numbers (i int, number text)")
        with connection.cursor() as cursor, cursor.copy("COPY bench_numbers FROM STDIN") as copy:
            for i, number in enumerate(numbers):
                copy.write_row((i, number))
        connection.execute(_FILL)
        connection.execute(_CASES)
    for contract in (LICENCE, CASE):
        made.register(contract)
    made.settle()
    for contract in (LICENCE, CASE):
        made.collect(contract.name)
    made.sql(
        made.hub_url,
        f"CREATE TABLE public.{PEER_TABLE} AS SELECT licence_id, licence_type, licence_number,"
        " '持证人' || licence_id AS holder_name, state, issued_on, valid_from, valid_to, trust_level FROM store.bench_licences",
        f"ALTER TABLE public.{PEER_TABLE} ADD PRIMARY KEY (licence_id)",
        f"ANALYZE public.{PEER_TABLE}",
    )
    made.checkpoint()
    return numbers


def _ours(made: Stand, work: Path, numbers: list[str]) -> Side:
    settings = made.made.settings
    registry = Registry(settings.database_url, settings.the_clock, keys_dir=settings.keys_dir)
    try:
        principal, secret = registry.create_machine("bench", "bench_department", system="bench_system", roles=("consumer",))
        registry.set_licence_types({(_ITEM, "M-1"): [_KIND]}, by="bench")
        now = datetime.now(UTC)
        registry.make_grant(
            Receiver(ReceiverKind.PRINCIPAL, principal.id),
            LICENCE.name,
            GRANTED,
            legal_basis="benchmark",
            from_at=now - timedelta(days=1),
            to_at=now + timedelta(days=1),
            by="bench",
            purposes=(_PURPOSE,),
            items=(_ITEM,),
        )
    finally:
        registry.close()
    made.settle()
    port = settings.api_port
    form = {"grant_type": "client_credentials", "client_id": principal.client_id or "", "client_secret": secret.reveal()}
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/api/v1/token", urllib.parse.urlencode(form).encode(), timeout=10
    ) as reply:
        token = json.load(reply)["access_token"]
    requests = []
    for i in random.Random(440205).sample(range(LICENCES), ASKED):
        body = json.dumps(
            {
                "holder_type": "111",
                "holder_number": numbers[i],
                "item_code": _ITEM,
                "case_number": f"CASE-{i}",
                "operator": "window-03",
                "purpose": _PURPOSE,
            }
        ).encode()
        head = (
            f"POST {_PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return Side(port, _kept(work, "lookup-ours", requests))


@contextmanager
def served(made: Stand, peer: str) -> Iterator[int]:
    """Serve a peer's app for the length of a block, and give its port."""
    port = ports.choose()
    how = ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.peers.{peer}:app", *how, "--log-level", "warning"]
    process = subprocess.Popen(command, env=made.env | {"BENCH_PEER_URL": made.hub_url})
    try:
        ended = time.monotonic() + 30
        while ports.is_free(port):
            if time.monotonic() > ended or process.poll() is not None:
                raise RuntimeError(f"{peer} did not start")
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _kept(work: Path, name: str, requests: list[bytes]) -> Path:
    path = work / f"{name}.msgpack"
    path.touch(0o600)
    path.write_bytes(msgspec.msgpack.encode(requests))
    return path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="onedoor-bench-", dir=os.environ.get("TMPDIR")) as folder:
        sys.stdout.write(json.dumps(run(Path(folder)), ensure_ascii=False, indent=2) + "\n")
