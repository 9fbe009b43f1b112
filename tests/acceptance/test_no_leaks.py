"""Personal values of the demo district rest with the departments and nowhere else, whatever goes well or wrong in the hub."""

from __future__ import annotations

import http.client
import io
import json
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from catalog_registry.registry import Registry
from console.cli import main, output
from console.demo import district as districts
from console.demo import enrol
from console.demo.example import example_lookup
from console.demo.names import MARKS
from exchange.bootstrap import open_hub
from exchange.settings import load_settings
from exchange.store.database import Connection
from tests.acceptance.command_line import Home, Said, a_home
from tests.acceptance.markers import Planted, files_under, tables_of
from tests.conftest import require

LICENCES = 600
COLLECTED = ("licences", "market_cases", "market_steps", "market_results")
WITHIN_S = 240.0


@dataclass
class Job:
    """A whole job on one bus, with everything that could go wrong, and all that was said and answered meanwhile."""

    home: Home
    bus: str
    planted: Planted
    said: list[tuple[str, str]] = field(default_factory=list)

    def onedoor(self, *argv: str, keep: bool = True) -> Said:
        """Run a command under the boundary that every command has, in this process, and keep what it said."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = output.run(main.build(), argv)
        said = Said(code, out.getvalue(), err.getvalue())
        if keep:
            self.said.append((" ".join(argv), said.out + said.err))
        return said

    def answered(self, what: str, answer: str) -> None:
        """Keep an answer of the API."""
        self.said.append((what, answer))


@pytest.fixture(scope="module", params=["postgres", "kafka"])
def job(request: pytest.FixtureRequest) -> Iterator[Job]:
    """Do the job; afterwards the hub still runs, so that its tables can be asked."""
    if request.param == "kafka":
        require("kafka")
    with a_home() as home:
        begun = home.onedoor("up", "--detach", "--no-airflow", "--bus", request.param, "--json")
        assert begun.code == 0, begun.err
        url = home.ok("db", "url", "--database", "postgres")["url"]
        built = districts.build(url, home.path, LICENCES)
        made = Job(home, request.param, Planted.of(built))
        settings = load_settings(home.path)
        hub = open_hub(settings)
        environment = pytest.MonkeyPatch()
        environment.setenv("ONEDOOR_HOME", str(home.path))
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(enrol, "RESOURCES", tuple(r for r in enrol.RESOURCES if r != "divisions"))  # no person in it
                enrolled = enrol.register(hub.registry, built, hub.clock)
            _collect_all(made)
            _look_up(made, built, enrolled, settings.api_port)
            _go_wrong(made, built, hub.registry)
            _after(made)
            with hub.connect(autocommit=True) as connection:
                _reported(connection)
        finally:
            hub.close()
            environment.undo()
        yield made


def _reported(connection: Connection) -> None:
    """Wait until every proved run has its quality report: it is one of the things that are searched."""
    until = time.monotonic() + WITHIN_S
    while waiting := connection.execute(
        "SELECT id, resource, report_state, report_claimed_at FROM exchange.run"
        " WHERE state = 'proved' AND report_state IN ('none', 'claimed')"
    ).fetchall():
        open_runs = connection.execute("SELECT id, resource, state FROM exchange.run WHERE state <> 'proved'").fetchall()
        assert time.monotonic() < until, f"no report in time: {waiting}; runs that are not proved: {open_runs}"
        time.sleep(0.1)


def _collect_all(job: Job) -> None:
    for name in (*COLLECTED, "items", "item_materials"):
        run = job.onedoor("collect", name, "--json")
        assert run.code == 0, run.err
        if name in COLLECTED:
            assert run.json["rows_set_aside"] > 0, "nothing wrong in it: the test would show too little"
    assert job.onedoor("collect", "market_cases").code == 0  # incremental
    job.onedoor("quarantine", "list", "--limit", "1000")
    job.onedoor("runs")
    for name in COLLECTED:
        assert job.onedoor("reconcile", name).code == 0
    newest = json.loads(job.onedoor("quarantine", "list", "--limit", "1", "--resource", "licences", "--json").out)
    job.onedoor("quarantine", "show", newest[0]["id"])
    opened = job.onedoor("quarantine", "show", newest[0]["id"], "--reveal", "--reason", "a test", keep=False)
    assert opened.code == 0


def _post(port: int, path: str, body: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body.encode(), {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


def _look_up(job: Job, built: districts.District, enrolled: enrol.Enrolled, port: int) -> None:
    form = f"grant_type=client_credentials&client_id={enrolled.client_id}&client_secret={enrolled.secret.reveal()}"
    status, token = _post(port, "/api/v1/token", form, content_type="application/x-www-form-urlencoded")
    assert status == 200
    sent = {"authorization": f"Bearer {json.loads(token)['access_token']}", "content_type": "application/json"}
    good = example_lookup(built)
    citizen = next(iter(job.planted.numbers)).decode()
    status, answer = _post(port, "/api/v1/licences/lookup", json.dumps(good), **sent)
    assert status == 200, answer  # what is granted is in the answer, to the one who asked, and nowhere else
    asks: list[tuple[str, str, dict[str, str]]] = [
        ("allowed, nothing found", json.dumps(example_lookup(built, found=False)), sent),
        ("another holder", json.dumps(good | {"holder_type": "111", "holder_number": citizen}), sent),
        ("wrong check digit", json.dumps(good | {"holder_type": "111", "holder_number": citizen[:-1] + "?"}), sent),
        ("wrong type", json.dumps(good | {"holder_type": "999", "holder_number": citizen}), sent),
        ("unknown purpose", json.dumps(good | {"purpose": f"{MARKS[0]}甲子", "holder_number": citizen}), sent),
        ("unknown case", json.dumps(good | {"case_number": citizen}), sent),
        ("a field too many", json.dumps(good | {citizen: f"{MARKS[0]}甲子"}), sent),
        ("no JSON", f"{MARKS[0]}甲子 {citizen}", sent),
        ("no token", json.dumps(good | {"holder_number": citizen}), sent | {"authorization": f"Bearer {citizen}"}),
        ("another path", json.dumps(good), sent),
    ]
    for what, body, headers in asks:
        path = "/api/v1/licences/lookup" + (f"/{citizen}?n={citizen}" if what == "another path" else "")
        status, answer = _post(port, path, body, **headers)
        assert status != 500, answer
        job.answered(f"look-up: {what}", answer)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/api/v1/licences/lookup?holder_number={citizen}")
    job.answered("look-up by URL", connection.getresponse().read().decode())
    connection.request("GET", "/metrics")
    metrics = connection.getresponse().read().decode()
    assert "onedoor" in metrics
    job.answered("metrics", metrics)
    connection.close()


def _go_wrong(job: Job, built: districts.District, registry: Registry) -> None:
    """Break sources, landing and code, each so that the cause's own words hold rows."""
    licences, market = built.owners["demo_licences"], built.owners["demo_market"]
    with psycopg.connect(licences, autocommit=True) as source:  # a source that fails in the middle and tells a name
        columns = [c.name for c in source.execute("SELECT * FROM elc_licence LIMIT 0").description or ()]
        source.execute("ALTER TABLE elc_licence RENAME TO kept")
        spoiled = ", ".join('("CZZT"::numeric)::text::varchar AS "CZZT"' if c == "CZZT" else f'"{c}"' for c in columns)
        source.execute(f"CREATE VIEW elc_licence AS SELECT {spoiled} FROM kept")
        source.execute("GRANT SELECT ON elc_licence, kept TO hub_reader_demo_licences")
        assert job.onedoor("collect", "licences", "--full", "--json").code == 1
        assert job.onedoor("collect", "licences", "--full").code == 1
        assert job.onedoor("reconcile", "licences").code == 1
        source.execute("DROP VIEW elc_licence")
        assert job.onedoor("collect", "licences", "--full").code == 1
        source.execute("ALTER TABLE kept RENAME TO elc_licence")
        source.execute('ALTER TABLE elc_licence RENAME COLUMN "CZZT" TO "CZZTX"')
        assert job.onedoor("collect", "licences").code == 1
        source.execute('ALTER TABLE elc_licence RENAME COLUMN "CZZTX" TO "CZZT"')
        source.execute('ALTER TABLE elc_licence ALTER COLUMN "CZZT" TYPE bytea USING convert_to("CZZT", \'UTF8\')')
        job.onedoor("collect", "licences", "--full")
        source.execute('ALTER TABLE elc_licence ALTER COLUMN "CZZT" TYPE varchar USING convert_from("CZZT", \'UTF8\')')
    with psycopg.connect(market, autocommit=True) as source:  # too many bad rows
        source.execute("CREATE TABLE kept AS SELECT * FROM ex_gdbs_sb")
        source.execute('UPDATE ex_gdbs_sb SET "SQRZJHM" = left(btrim("SQRZJHM"), 17) || \'?\'')
        assert job.onedoor("collect", "market_cases", "--full").code == 1
        source.execute("DELETE FROM ex_gdbs_sb")
        source.execute("INSERT INTO ex_gdbs_sb SELECT * FROM kept")
        source.execute("DROP TABLE kept")
    for place, argv in (
        ("exchange.collect.collect.check", ("collect", "licences", "--full")),
        ("exchange.collect.collect.seal_batch", ("collect", "licences", "--full")),
        ("exchange.store.reconcile.seal_batch", ("reconcile", "licences")),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(place, _broken)
            said = job.onedoor(*argv)
        assert (said.code, "unexpected ValueError" in said.err) == (1, True), said.err
    hub = load_settings(job.home.path)
    with psycopg.connect(hub.database_url, autocommit=True) as connection:  # landing fails for every row, in the server's words
        connection.execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'row %', NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON exchange.run FOR EACH ROW"
            " WHEN (NEW.state = 'proved' AND OLD.state <> 'proved')"
            " EXECUTE FUNCTION public.refuse()"
        )
        job.onedoor("collect", "market_steps", "--full", "--timeout", "3")
        connection.execute("DROP FUNCTION public.refuse CASCADE")
        connection.execute("ALTER TABLE store.licences RENAME TO away")  # the API's and the reconciliation's ground gives way
        status, answer = _post(hub.api_port, "/api/v1/licences/lookup", json.dumps(example_lookup(built)))
        assert status == 401
        job.answered("look-up without a store", answer)
        job.onedoor("reconcile", "licences")
        connection.execute("ALTER TABLE store.away RENAME TO licences")
    registry.add_source("demo_wrong", _wrong_url(built), system="market_approval")
    job.onedoor("draft", "--source", "demo_wrong", "--table", "ex_gdbs_sb", "-o", str(job.home.path / "t.odcs.yaml"))
    assert job.onedoor("draft", "--source", "demo_market", "--table", "ex_gdbs_sb", "-o", "-").code == 0


def _broken(*arguments: Any, **named: Any) -> None:
    """Fail as no code should: with rows in the exception's words."""
    rows = [a.rows.to_pydict() for a in arguments if isinstance(getattr(a, "rows", None), pa.RecordBatch)]
    assert rows, "there is nothing to tell"
    raise ValueError(f"{MARKS[0]} {rows} {named}")


def _wrong_url(built: districts.District) -> Any:
    from schemas.secret import Secret

    return Secret(built.owners["demo_market"].replace("demo_market_owner:", "demo_market_owner:planted-secret-"))


def _after(job: Job) -> None:
    """Go on as if nothing had been."""
    for name in COLLECTED:
        run = job.onedoor("collect", name, "--full", "--json")
        assert run.code == 0, run.err
        assert job.onedoor("reconcile", name).code == 0
    for run in json.loads(job.onedoor("runs", "--json", "--limit", "100").out):
        job.onedoor("show", run["run"])
    job.onedoor("audit", "show", "--n", "1000", "--json")
    job.onedoor("status")
    job.onedoor("doctor")


@pytest.mark.timeout(900)
def test_no_command_and_no_answer_of_the_api_shows_a_personal_value_that_was_not_granted(job: Job) -> None:
    assert len(job.said) > 40
    leaks = {what: found for what, text in job.said if (found := job.planted.found_in(text.encode()))}
    assert leaks == {}
    assert [what for what, text in job.said if "planted-secret" in text or "Traceback" in text] == []


def _bytes_of(path: Path) -> bytes:
    """Return what a file holds; the hub still runs, and one that it has taken away meanwhile holds nothing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


@pytest.mark.timeout(900)
def test_no_file_of_the_data_folder_holds_a_personal_value(job: Job) -> None:
    paths = [*files_under(job.home.path)]
    folders = {path.relative_to(job.home.path).parts[0] for path in paths}
    assert {"logs", "data_docs", "dags.json", "state.json", "checkpoints"} <= folders
    if job.bus == "kafka":
        assert "kafka" in folders
    leaks = {str(p.relative_to(job.home.path)): found for p in paths if (found := job.planted.found_in(_bytes_of(p)))}
    assert leaks == {}


@pytest.mark.timeout(900)
def test_no_table_of_the_hub_holds_a_personal_value(job: Job) -> None:
    held = dict(tables_of(load_settings(job.home.path).database_url))
    assert all(f"store.{name}" in held for name in COLLECTED)
    assert len(held["exchange.quarantine"]) > 1_000
    assert len(held["trust.ledger"]) > 1_000
    leaks = {name: found for name, data in held.items() if (found := job.planted.found_in(data))}
    assert leaks == {}


@pytest.mark.timeout(900)
def test_the_search_finds_what_is_there(job: Job) -> None:
    citizen = next(n for n in job.planted.numbers if len(n) == 18)
    phone = next(iter(job.planted.phones))
    name = f"{MARKS[0]}甲子"
    wide = "".join(chr(ord(c) + 0xFEE0) for c in citizen.decode())
    for data in (
        name.encode(),
        json.dumps(name).encode(),
        b"x" + citizen + b"y",
        b"9" + citizen + b"9",
        citizen.lower(),
        b"tel:" + phone,
        wide.encode(),
        b"\\x" + b"00" + citizen.hex().encode(),
        b"\\x" + name.encode().hex().encode(),
    ):
        assert job.planted.found_in(data), data
    assert job.planted.found_in("44020519900101 拟 名".encode()) == []
    owner = psycopg.conninfo.conninfo_to_dict(load_settings(job.home.path).database_url)
    assert owner["password"]
