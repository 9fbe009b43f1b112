"""The main job, as the information centre does it: start the hub, sync the district, prove it, look a licence up, audit it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from console.demo import district as districts
from console.demo import enrol, truth
from console.local.home import find_home
from exchange.settings import load_settings
from tests.acceptance.command_line import Home, Said, a_home

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("main_job")]

DIVISIONS = 665_276
UP_ONCE = ("up", "--demo", "--once", "--no-airflow", "--scale", "0.05")
WITHOUT_DIVISIONS = (
    sys.executable,
    "-c",
    "from console.demo import enrol; enrol.RESOURCES = enrol.RESOURCES[1:]; from console.cli.main import main; main()",
)
"""The same command less the largest resource, which the first start has synced: later starts say the same sooner."""


@dataclass(frozen=True)
class Centre:
    """The information centre: its home, and what its first start said."""

    home: Home
    first: Said

    def starts_again(self) -> Said:
        """Do the job again on the same home."""
        return self.home.onedoor(*UP_ONCE, command=WITHOUT_DIVISIONS, timeout_s=600)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Have the hub run while somebody looks."""
        self.home.ok("up", "--detach", "--no-airflow")
        try:
            yield
        finally:
            self.home.ok("down")


@pytest.fixture(scope="module")
def centre() -> Iterator[Centre]:
    """A centre that has started the hub for the first time and done the whole job."""
    with a_home() as home:
        first = home.onedoor(*UP_ONCE, timeout_s=800)
        yield Centre(home, first)


def checks_of(said: Said) -> dict[str, bool]:
    """Return what a job has checked, and whether it held."""
    lines = [line.strip() for line in said.err.splitlines()]
    return {line[2:]: line[0] == "✓" for line in lines if line[:2] in ("✓ ", "✗ ")}


def rows(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement, values).fetchall()


def test_the_first_start_does_the_whole_job_and_every_check_holds(centre: Centre) -> None:
    assert centre.first.code == 0, centre.first.err[-3000:]
    checks = checks_of(centre.first)
    assert all(checks.values())
    for name in enrol.RESOURCES:
        mine = [what for what in checks if what.startswith(f"{name}: ")]
        assert any(" = landed " in what for what in mine)
        assert f"{name}: the store equals the source" in mine
        assert any("set aside exactly what the demo made wrong" in what for what in mine)
    assert f"divisions: read {DIVISIONS:,} = landed {DIVISIONS:,} + set aside 0" in checks
    assert "the look-up was allowed and found the holder's licences" in checks
    assert "its receipt stands in the ledger" in checks
    for word in ("API", "Data Docs", "/api/v1/licences/lookup", '"receipt"'):
        assert word in centre.first.out
    assert "Traceback" not in centre.first.out + centre.first.err


def test_what_is_set_aside_is_what_the_truth_names_both_ways_for_each_resource(centre: Centre) -> None:
    with centre.open():
        settings = load_settings(centre.home.path)
        built = districts.open_district(find_home(centre.home.path).cluster().url(), centre.home.path)
        assert built is not None
        wrong = built.truth()
        total = 0
        for name in enrol.RESOURCES:
            expected = truth.keys(wrong, name)
            found = Counter(
                row[0]
                for row in rows(
                    settings.database_url,
                    """SELECT row_key FROM exchange.quarantine WHERE run =
                         (SELECT id FROM exchange.run WHERE resource = %s AND mode = 'full' ORDER BY started_at LIMIT 1)""",
                    name,
                )
            )
            assert found - expected == Counter(), f"{name}: set aside, and not wrong"
            assert expected - found == Counter(), f"{name}: wrong, and not set aside"
            total += sum(found.values())
        assert total > 10
        assert rows(settings.database_url, "SELECT count(*) FROM store.divisions") == [(DIVISIONS,)]


def test_a_second_start_goes_on_with_the_same_data_and_a_wrong_truth_makes_the_job_fail(centre: Centre) -> None:
    file = centre.home.path / "demo" / districts.TRUTH_NAME
    honest = pq.read_table(file)
    mine = pc.equal(honest["resource"], "licences")
    missed = honest.filter(mine).slice(1)
    pq.write_table(pa.concat_tables([honest.filter(pc.invert(mine)), missed]), file)

    said = centre.starts_again()
    assert said.code == 1, said.err[-3000:]
    failed = [what for what, held in checks_of(said).items() if not held]
    assert failed == [f"licences: set aside exactly what the demo made wrong, {missed.num_rows:,} rows"]

    pq.write_table(honest, file)
    said = centre.starts_again()
    assert said.code == 0, said.err[-3000:]
    assert all(checks_of(said).values())
    assert "Passwords" not in said.out, "they were shown once"


def test_the_ledger_is_intact_and_one_altered_byte_is_found_and_its_place_named(centre: Centre) -> None:
    with centre.open():
        verdict = centre.home.ok("audit", "verify")
        assert verdict["intact"] is True
        assert verdict["records"] > 0
        export = centre.home.path / "ledger.jsonl"
        assert centre.home.ok("audit", "export", "-o", str(export))["records"] == verdict["records"]

        answers = [r for r in centre.home.ok("audit", "show", "--n", "1000") if r["kind"] == "licence.lookup"]
        chain, number = answers[0]["chain"], answers[0]["n"]
        superuser = centre.home.ok("db", "url", "--database", "onedoor")["url"]
        with psycopg.connect(superuser) as intruder:
            intruder.execute("ALTER TABLE trust.ledger DISABLE TRIGGER append_only")
            intruder.execute(
                "UPDATE trust.ledger SET record = set_byte(record, 20, get_byte(record, 20) # 1) WHERE chain = %s AND n = %s",
                (chain, number),
            )
        said = centre.home.onedoor("audit", "verify", "--json")
        assert said.code == 1
        assert said.json["intact"] is False
        assert (said.json["first"]["chain"], said.json["first"]["n"]) == (chain, number)
        text = centre.home.onedoor("audit", "verify")
        assert text.code == 1
        assert chain in text.out

        key = centre.home.path / "keys" / "ledger.pub"  # what was exported before is whole still, and needs no hub
        alone = centre.home.onedoor("audit", "verify", "--export", str(export), "--public-key", str(key), "--json")
        assert (alone.code, json.loads(alone.out)["intact"]) == (0, True)
