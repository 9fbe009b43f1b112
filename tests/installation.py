"""A small installation for tests that kill: commands in processes of their own, tables whose every row is accounted for."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.collect.collect import collect
from exchange.collect.wait import wait
from exchange.settings import Settings
from exchange.store.runs import Run
from exchange.trust.keyfiles import create_keys
from exchange.worker.sweep import sweep
from schemas.contract import CursorSpec, DataContract, Field, LogicalType, Normalise
from tests.hub import HubForTests, a_hub, contract
from tests.killed import Command

CHUNK_ROWS = 500


@dataclass(frozen=True)
class Expected:
    """What a run must come to, whatever happens on its way."""

    read: int
    set_aside: int
    inserted: int
    changed: int
    stored: int
    total: int
    """The sum of a number over the stored rows."""


def plain(name: str) -> DataContract:
    """Return a resource without personal fields or a cursor."""
    return contract(
        name,
        [
            Field("code", LogicalType.STRING, "code", required=True, key=1, pattern="[0-9]{6}"),
            Field("name", LogicalType.STRING, "name", required=True, max_length=20),
            Field("level", LogicalType.INTEGER, "level", required=True, minimum="1", maximum="5"),
        ],
    )


def personal(name: str) -> DataContract:
    """Return a resource with personal fields and a cursor."""
    return contract(
        name,
        [
            Field("id", LogicalType.INTEGER, "id", required=True, key=1),
            Field("holder", LogicalType.STRING, "xm", required=True, personal=True, max_length=40, normalise=(Normalise.TRIM,)),
            Field("id_number", LogicalType.STRING, "zjhm", personal=True, lookup=True),
            Field("town", LogicalType.STRING, "town", max_length=6),
            Field("updated_at", LogicalType.TIMESTAMP, "updated_at", required=True),
        ],
        cursor=CursorSpec("updated_at", declared_lag_s=0, overlap_s=0),
    )


@dataclass
class Installation:
    """A hub whose collectors and workers a test kills."""

    hub: HubForTests
    folder: Path

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return self.hub.hub.settings

    # Tables -----------------------------------------------------------------------------------------------------------

    def plain_table(self, name: str, rows: int = 3_000) -> Expected:
        """Make a table of good rows, with 1 % of a wrong level, two keys that stand twice and a row without a key."""
        self.hub.source(
            f"CREATE TABLE {name} (code text, name text, level int)",
            f"""INSERT INTO {name} SELECT lpad(n::text, 6, '0'), '第' || n || '号',
                  CASE WHEN n % 100 = 0 THEN 9 ELSE 1 + n % 5 END FROM generate_series(1, {rows}) n""",
            f"INSERT INTO {name} VALUES ('000005', 'twice', 1), ('{rows - 99:06}', 'twice', 1), (NULL, 'no key', 1)",
        )
        self.hub.register(plain(name))
        good = [n for n in range(1, rows + 1) if n % 100 and n not in (5, rows - 99)]
        return Expected(rows + 3, rows // 100 + 5, len(good), 0, len(good), sum(1 + n % 5 for n in good))

    def personal_table(self, name: str, rows: int = 3_000) -> Expected:
        """Make a table with personal columns, in which one row of 150 has a town that is too long."""
        self.hub.source(
            f"CREATE TABLE {name} (id bigint, xm text, zjhm text, town text, updated_at timestamptz NOT NULL)",
            f"""INSERT INTO {name} SELECT n, '测试人' || n, '44020519900101' || lpad(n::text, 4, '0'),
                  CASE WHEN n % 150 = 0 THEN '一个太长的镇名' ELSE '马坝镇' END, clock_timestamp() - interval '1 hour'
                FROM generate_series(1, {rows}) n""",
        )
        self.hub.register(personal(name))
        good = [n for n in range(1, rows + 1) if n % 150]
        return Expected(rows, rows - len(good), len(good), 0, len(good), sum(good))

    def changed(self, name: str, before: Expected) -> Expected:
        """Change 1,000 rows of a personal table and add 610, of which 10 are wrong."""
        self.hub.source(
            f"""UPDATE {name} SET town = '大塘镇', updated_at = clock_timestamp() WHERE id IN
                  (SELECT id FROM {name} WHERE id % 150 <> 0 ORDER BY id LIMIT 1000)""",
            f"""INSERT INTO {name} SELECT 100000 + n, '新人' || n, NULL, CASE WHEN n % 61 = 0 THEN '一个太长的镇名' END,
                  clock_timestamp() FROM generate_series(1, 610) n""",
        )
        new = [100_000 + n for n in range(1, 611) if n % 61]
        return Expected(1_610, 10, 600, 1_000, before.stored + 600, before.total + sum(new))

    # Acts -------------------------------------------------------------------------------------------------------------

    @contextmanager
    def command(
        self, *arguments: str, crash: str = "", freeze: str = "", more: dict[str, str] | None = None
    ) -> Iterator[Command]:
        """Run a command in a process of its own for the length of the block, at most."""
        points = {"ONEDOOR_CRASH_AT": crash, "ONEDOOR_FREEZE_AT": freeze}
        log = self.folder / f"{arguments[0]}-{secrets.token_hex(4)}.log"
        made = Command(self.settings, arguments, points | (more or {}), log)
        try:
            yield made
        finally:
            made.kill()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Have a worker in a thread."""
        self.hub.start_worker()
        try:
            yield
        finally:
            self.hub.stop_workers()

    def collect(self, name: str) -> str:
        """Collect in this process, and return the run."""
        return collect(self.hub.hub, name)

    def closed(self, name: str) -> Run:
        """Return the newest run of a resource, once it is closed."""
        ((run,),) = self.hub.rows("SELECT id FROM exchange.run WHERE resource = %s ORDER BY id DESC LIMIT 1", name)
        return wait(self.hub.hub, run, timeout_s=90)

    def look(self, name: str, expected: Expected, number: str) -> Run:
        """See that everything arrived once and nothing was left behind; ``number`` is the expression that ``total`` sums."""
        run = self.closed(name)
        assert run.state == "proved", run.error
        figures = (run.rows_read, run.rows_set_aside, run.rows_inserted, run.rows_changed)
        assert figures == (expected.read, expected.set_aside, expected.inserted, expected.changed)
        assert run.rows_read == (run.rows_landed or 0) + run.rows_set_aside
        assert run.read_is_landed is True
        key = "code" if number == "level" else "id"
        stored = self.hub.rows(f"SELECT count(*), count(DISTINCT {key}), sum({number})::bigint FROM store.{name}")
        assert stored == [(expected.stored, expected.stored, expected.total)]
        kept = self.hub.rows("SELECT count(*), count(DISTINCT id) FROM exchange.quarantine WHERE run = %s", run.id)
        assert kept == [(expected.set_aside, expected.set_aside)]
        states = self.hub.rows("SELECT state, count(*) FROM exchange.chunk WHERE run = %s GROUP BY 1", run.id)
        assert [state for state, _ in states] == ["published"]
        found = self.hub.reconcile(name)
        assert found.equal, found
        with self.hub.hub.connect() as connection:
            sweep(self.hub.hub, connection)
        assert self.hub.rows("SELECT to_regclass(%s)", f"stage.{run.id}") == [(None,)]
        assert [path for path in self.settings.spool_dir.rglob("*") if path.is_file()] == []
        assert self.hub.rows("SELECT count(*) FROM exchange.landed_message WHERE run = %s", run.id) == [(0,)]
        return run


@contextmanager
def installed(
    folder: Path, database_url: str, source_url: str, division: str, more: dict[str, Any] | None = None
) -> Iterator[Installation]:
    """Give an installation without a worker."""
    home = folder / "home"
    home.mkdir(mode=0o700, parents=True)
    values: dict[str, Any] = {
        "home": home,
        "division": division,
        "database_url": database_url,
        "chunk_rows": CHUNK_ROWS,
        "message_rows": 100,
        "land_bytes": 20_000,
        "sample_rows": 0,
        "report": "off",
        "lease_s": 2.0,
    }
    settings = Settings(**(values | (more or {})))
    create_keys(settings.keys_dir)
    with a_hub(settings, source_url, workers=0) as hub:
        yield Installation(hub, folder)
