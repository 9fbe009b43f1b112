"""The registry with 100,000 resources of 15 fields: search, lists, a change, what the API knows, the export."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.catalogue import FIELDS, PROVIDERS, Made, made
from benchmarks.line import Result, Row, alternately, median
from benchmarks.stand import Peaks, Stand, cpu_s, stand
from catalog_registry.facets import Facet, Quality, Ran
from catalog_registry.registry import Registry
from catalog_registry.states import ResourceEvent
from catalog_registry.store.documents import documents_of
from catalog_registry.store.tables import Resource
from catalog_registry.words import lines_of
from console.local.postgres import server_pid
from exchange.licences.view import follow, load
from schemas.catalogue_form import read_entry
from schemas.contract import DataContract, Field, Limits, LogicalType
from schemas.resource import resource_name

RESOURCES: Final = int(os.environ.get("BENCH_RESOURCES", "100000"))
ASKED: Final = 100
"""Questions of a kind in a trial, all different."""

SEARCH_MS, PAGE_MS, FLAT = 50, 20, 1.2
ILIKE: Final = "ILIKE over the same texts, without counts"
KEY: Final = "one row by its primary key"
_NOW: Final = datetime.now(UTC)
_SOURCE: Final = "bench_source"


@dataclass
class Asker:
    """A client of the API with one connection; ``pids`` are the API's and PostgreSQL's."""

    port: int
    pids: tuple[int, ...]
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def cpu_ms(self) -> float:
        """Return the processor time that the API and PostgreSQL have taken."""
        return sum(cpu_s(pid) for pid in self.pids) * 1e3

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[float, dict[str, Any]]:
        """Return the milliseconds of an answer, and the answer; on another connection where the last one was closed."""
        try:
            return self._ask(method, path, body)
        except ConnectionError:
            self.connection.close()
            return self._ask(method, path, body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[float, dict[str, Any]]:
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        sent = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        began = time.perf_counter()
        self.connection.request(method, f"/api/v1{path}", sent, headers)
        reply = self.connection.getresponse()
        read = reply.read()
        took = (time.perf_counter() - began) * 1e3
        if reply.status != 200:
            raise RuntimeError(f"{path} answered {reply.status}: {read[:300]!r}")
        answer: dict[str, Any] = json.loads(read)
        return took, answer


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    with stand(work) as here:
        began = time.perf_counter()
        _fill(here)
        result.stages["fill by COPY, s"] = round(time.perf_counter() - began, 1)
        with _worker_stopped(here), psycopg.connect(here.hub_url, autocommit=True) as connection:
            asker = _asker(here)
            _searches(result, asker, connection)
            _lists(result, asker, connection)
            _known(result, here)
        _export(result, here)
    result.notes.append(
        f"{RESOURCES:,} resources of {FIELDS} fields, {len(PROVIDERS)} departments; p95 of {ASKED} questions, by HTTP with one"
        " connection; the median of three trials"
    )
    result.notes.append("the worker is stopped meanwhile: it would read all contracts for the DAGs and the topics")
    return result.as_json()


# Search and lists -------------------------------------------------------------------------------------------------------


def _questions() -> dict[str, list[dict[str, Any]]]:
    """Return the kinds of questions: words of titles, each with what it is narrowed by."""
    chosen = random.Random(440205)
    titles = [one.title for one in made(3000)]
    words, letters = [], []
    for title in chosen.sample(titles, ASKED):
        at = chosen.randrange(len(title) - 3)
        words.append({"words": title[at : at + 2]})
        initials = lines_of(title)[1]
        letters.append({"words": initials[at : at + 4]})
    filters = [
        {"sharing_type": ["2"]},
        {"provider": ["d003", "d017"]},
        {"update_cycle": ["5"], "freshness": ["fresh"]},
        {"category": ["3"], "quality": ["complete", "high"]},
    ]
    narrowed = [one | chosen.choice(filters) for one in chosen.sample(words + letters, ASKED)]
    longer = [{"words": title[:4]} for title in chosen.sample(titles, ASKED)]
    broad = [{"words": word} for word in ("名称", "日期", "编号", "状态", "类型", "说明", "代码", "登记", "信息", "机关")]
    return {
        "two characters": words,
        "four first letters of pinyin": letters,
        "four characters": longer,
        "words, narrowed by facets": narrowed,
        "words of a third and more of all resources": [one for one in broad for _ in range(ASKED // 20)],
        "no words: all resources counted": [{} for _ in range(ASKED // 4)],
    }


def _searches(result: Result, asker: Asker, connection: psycopg.Connection[Any]) -> None:
    for kind, questions in _questions().items():
        hits = [asker.ask("POST", "/resources/search", one)[1]["total"] for one in questions]  # and once warm
        before = asker.cpu_ms()
        for one in questions:
            asker.ask("POST", "/resources/search", one)
        work = (asker.cpu_ms() - before) / len(questions)
        result.stages[f"{kind}: processor time of API and PostgreSQL, ms each"] = round(work, 1)

        def ours(questions: Sequence[dict[str, Any]] = questions) -> float:
            return _p95([asker.ask("POST", "/resources/search", one)[0] for one in questions])

        def theirs(questions: Sequence[dict[str, Any]] = questions) -> float:
            asked = [one["words"] for one in questions if "words" in one][:20]
            query = "SELECT name FROM public.said WHERE said ILIKE %s ORDER BY name LIMIT 20"
            return _p95([_timed(lambda word=word: connection.execute(query, [f"%{word}%"]).fetchall()) for word in asked])

        sides: dict[str, Callable[[], float]] = {"ours": ours}
        if "first letters" not in kind and "no words" not in kind:
            sides[ILIKE] = theirs
        found = alternately(sides)
        result.trials |= {f"{kind}, {side}, p95 ms": figures for side, figures in found.items()}
        result.rows.append(Row(f"search with facets, p95, {kind}", "ms", median(found["ours"]), budget=SEARCH_MS, smaller=True))
        if ILIKE in found:
            peer = median(found[ILIKE])
            result.rows.append(Row(f"search with facets, p95, {kind}", "ms", median(found["ours"]), ILIKE, peer, smaller=True))
        result.stages[f"{kind}: hits, median and most"] = f"{median(hits):,.0f} and {max(hits):,}"


def _lists(result: Result, asker: Asker, connection: psycopg.Connection[Any]) -> None:
    names = [f"r{n:06d}" for n in random.Random(1).sample(range(RESOURCES), ASKED)]

    def by_key() -> float:
        query = "SELECT * FROM registry.resource WHERE name = %s"
        return _p95([_timed(lambda name=name: connection.execute(query, [name]).fetchall()) for name in names])

    sides = {
        "first page": lambda: _p95([asker.ask("GET", "/resources?limit=50")[0] for _ in range(ASKED)]),
        "a page in the middle": lambda: _p95([asker.ask("GET", f"/resources?limit=50&after={name}")[0] for name in names]),
        "search without counts": lambda: _p95(
            [asker.ask("POST", "/resources/search", {"facets": False, "after": f"0.{name}"})[0] for name in names]
        ),
        KEY: by_key,
    }
    found = alternately(sides)
    result.trials |= {f"{side}, p95 ms": figures for side, figures in found.items()}
    peer = median(found.pop(KEY))
    for side, figures in found.items():
        result.rows.append(Row(f"list, {side}, p95", "ms", median(figures), budget=PAGE_MS, smaller=True))
    result.rows.append(Row("list, first page, p95", "ms", median(found["first page"]), KEY, peer, smaller=True))


# What the API knows, and changes ----------------------------------------------------------------------------------------


def _known(result: Result, here: Stand) -> None:
    settings = here.made.settings
    registry = Registry(settings.database_url, settings.the_clock, keys_dir=settings.keys_dir)
    try:
        officer = registry.create_person("officer", "d000", roles=("registration_officer",)).id
        known = [load(registry)]
        steps: list[float] = []

        def followed() -> float:
            for event in (ResourceEvent.FREEZE, ResourceEvent.THAW):
                version = registry.resource("r000001").row_version
                began = time.perf_counter()
                registry.act_on_resource("r000001", event, by=officer, version=version, why="bench")
                steps.append((time.perf_counter() - began) * 1e3)
            return _timed(lambda: known.append(follow(registry, known.pop())))

        found = alternately({"followed": followed, "whole": lambda: _timed(lambda: load(registry))})
        result.stages["what the API knows, after a change, ms"] = median(found["followed"])
        result.stages["what the API knows, all of it, ms"] = median(found["whole"])
        result.stages["a step of a resource's life with its document, ms"] = round(median(steps), 1)
        result.trials |= {f"what the API knows, {side}, ms": figures for side, figures in found.items()}
    finally:
        registry.close()


def _export(result: Result, here: Stand) -> None:
    peaks: dict[str, float] = {}
    some = [one.name for one in made(min(1000, RESOURCES)) if one.state == "published"]
    for what, names in (("a thousand resources", some), (f"{RESOURCES:,} resources", [])):
        options = ["--format", "turtle", "--base", "https://share.example", "--publisher", "d000", "-o", "-"]
        command = [sys.executable, "-m", "console.cli.main", "resource", "export", *options, *names]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=here.env)
        with Peaks({"export": process.pid}) as seen:
            _, error = process.communicate(timeout=1800)
        if process.returncode:
            raise RuntimeError(f"the export failed: {error.decode()[-500:]}")
        peaks[what] = seen.peaks["export"]
        result.stages[f"DCAT export of {what}, s"] = round(time.perf_counter() - began, 1)
    result.trials["DCAT export, peak PSS in MB"] = [f"{what}: {peak}" for what, peak in peaks.items()]
    few, every = peaks.values()
    what = f"DCAT export of {RESOURCES:,} resources, peak PSS over that of a thousand"
    result.rows.append(Row(what, "times", round(every / few, 2), budget=FLAT, smaller=True))


# The stand --------------------------------------------------------------------------------------------------------------


def _fill(here: Stand) -> None:
    numbers: dict[tuple[Facet, str], int] = {}

    def number(kind: Facet, word: str) -> int:
        return numbers.setdefault((kind, word), sum(1 for known, _ in numbers if known is kind) + 1)

    with psycopg.connect(here.hub_url) as connection:
        run = connection.execute
        for n, name in enumerate(PROVIDERS):
            run("INSERT INTO registry.department (code, name, created_at) VALUES (%s, %s, %s)", (f"d{n:03d}", name, _NOW))
        run("INSERT INTO registry.system (code, name, department, created_at) VALUES ('bench', 'bench', 'd000', %s)", (_NOW,))
        run(
            "INSERT INTO registry.source (name, system, connector, url, settings, created_at)"
            " VALUES (%s, 'bench', 'postgres', 'postgresql://h/db', '{}', %s)",
            (_SOURCE, _NOW),
        )
        _copy(
            connection,
            "registry.resource (name, code, title, department, source, state, version, row_version, created_at, changed_at)",
            (
                (m.name, m.entry["code"], m.title, m.department, _SOURCE, m.state, "1.0.0", 1, _NOW, _NOW)
                for m in made(RESOURCES)
            ),
        )
        _copy(
            connection,
            "registry.contract_version (resource, version, odcs, hash, status, at, by)",
            ((m.name, "1.0.0", _odcs(m), m.name, "active", _NOW, "bench") for m in made(RESOURCES)),
        )
        _copy(
            connection,
            "registry.catalogue_entry (resource, code, version, document, at, by)",
            ((m.name, m.entry["code"], 1, json.dumps(m.entry, ensure_ascii=False), _NOW, "bench") for m in made(RESOURCES)),
        )
        run("CREATE TABLE public.said (name text PRIMARY KEY, said text)")
        _copy(connection, "public.said (name, said)", ((m.name, _said(m)) for m in made(RESOURCES)))
        definition = run("SELECT pg_get_indexdef('registry.ix_search_document_tokens'::regclass)").fetchone()
        run("DROP INDEX registry.ix_search_document_tokens")
        run("CREATE TEMPORARY TABLE made (LIKE registry.search_document)")
        run("ALTER TABLE made DROP COLUMN tokens, ADD COLUMN tokens text[]")
        _copy(
            connection,
            "made (resource, cover, seen, department, facets, as_of, tokens)",
            (row for n, m in enumerate(made(RESOURCES)) for row in _documents(n, m, number)),
        )
        run(
            "INSERT INTO registry.search_document (resource, cover, seen, department, facets, as_of, tokens)"
            " SELECT resource, cover, seen, department, facets, as_of, array_to_tsvector(tokens) FROM made"
        )
        run(str(definition[0]) if definition else "")  # type: ignore[arg-type]
        _copy(connection, "registry.search_number (kind, word, n)", ((k.value, w, n) for (k, w), n in numbers.items()))
        run("UPDATE registry.version SET value = value + 1")
        run("SELECT pg_notify('onedoor_registry', 'x')")
    with psycopg.connect(here.hub_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    here.checkpoint()


def _documents(n: int, one: Made, number: Callable[[Facet, str], int]) -> Iterator[tuple[Any, ...]]:
    fields = tuple(Field(f["name"], LogicalType.STRING, f["name"], f["title"]) for f in one.entry["fields"])
    contract = DataContract(
        name=resource_name(one.name), version="1.0.0", title=one.title, department=one.department, system="bench",
        source=_SOURCE, table=one.name, fields=fields, limits=Limits(bad=0.0, shrink=0.2),
    )  # fmt: skip
    row = Resource(name=one.name, code=one.entry["code"], title=one.title, department=one.department, state=one.state)
    as_of = None if n % 7 == 0 else _NOW - timedelta(days=n % 41)
    ran = Ran(as_of, Quality.UNKNOWN if as_of is None else list(Quality)[n % 4])
    for d in documents_of(row, one.entry["provider"], read_entry(one.entry), contract, ran, number):
        yield one.name, d.cover, d.seen, d.department, d.facets, d.as_of, sorted(d.tokens)


def _copy(connection: psycopg.Connection[Any], into: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:  # type: ignore[arg-type]
        for row in rows:
            copy.write_row(row)


def _odcs(one: Made) -> str:
    properties = [
        {"name": f["name"], "logicalType": "string", "physicalType": "text", "businessName": f["title"]}
        | ({"primaryKey": True, "primaryKeyPosition": 1, "required": True} if f.get("primary_key") else {})
        for f in one.entry["fields"]
    ]
    terms = {"department": one.department, "system": "bench", "source": _SOURCE}
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": one.name,
        "name": one.title,
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": one.name, "physicalName": one.name, "properties": properties}],
        "customProperties": [{"property": f"onedoor.{name}", "value": value} for name, value in terms.items()],
    }
    return json.dumps(document, ensure_ascii=False)


def _said(one: Made) -> str:
    return " ".join((one.title, one.entry["provider"], one.entry["abstract"], *(f["title"] for f in one.entry["fields"])))


def _asker(here: Stand) -> Asker:
    settings = here.made.settings
    registry = Registry(settings.database_url, settings.the_clock, keys_dir=settings.keys_dir)
    try:
        principal, secret = registry.create_machine("bench", "d001", roles=("consumer",))
    finally:
        registry.close()
    form = {"grant_type": "client_credentials", "client_id": principal.client_id or "", "client_secret": secret.reveal()}
    url = f"http://127.0.0.1:{settings.api_port}/api/v1/token"
    ended = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=10) as reply:
                token = json.load(reply)["access_token"]
            pids = (here.pid("api"), server_pid(here.made.home.cluster().data) or 0)
            return Asker(settings.api_port, pids, token)
        except urllib.error.HTTPError:  # the API reads what it knows
            if time.monotonic() > ended:
                raise
            time.sleep(1)


@contextmanager
def _worker_stopped(here: Stand) -> Iterator[None]:
    pid = here.pid("worker")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return (time.perf_counter() - began) * 1e3


def _p95(values: list[float]) -> float:
    return round(sorted(values)[int(len(values) * 0.95)], 2)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="onedoor-bench-", dir=os.environ.get("TMPDIR")) as folder:
        sys.stdout.write(json.dumps(run(Path(folder)), ensure_ascii=False, indent=2) + "\n")
