"""A hub for tests: wired on a fresh database, with a worker in a thread, and sources that a test fills."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq

from exchange.bootstrap import Hub, open_hub
from exchange.collect.collect import collect
from exchange.collect.wait import wait
from exchange.settings import Settings
from exchange.store.reconcile import Reconciliation, reconcile
from exchange.store.runs import Run
from exchange.worker.worker import Worker
from schemas.contract import CursorSpec, DataContract, Field, Limits, LogicalType, Normalise, Reference
from schemas.odcs import write_contract
from schemas.resource import resource_name
from schemas.secret import Secret

ROOT = Path(__file__).parent.parent


@dataclass
class HubForTests:
    """A wired hub. ``source_url`` is an empty database of a department."""

    hub: Hub
    source_url: str
    _workers: list[tuple[Worker, threading.Thread]] = field(default_factory=list)

    def register(self, contract: DataContract) -> None:
        """Register a contract, its department, system and source."""
        registry = self.hub.registry
        registry.ensure_department(contract.department, contract.department)
        registry.ensure_system(contract.system, contract.system, contract.department)
        registry.add_source(contract.source, Secret(self.source_url), system=contract.system)
        registry.register_resource(write_contract(contract), by="test")

    def source(self, *statements: str) -> None:
        """Run statements in the department's database, as its owner."""
        with psycopg.connect(self.source_url) as connection:
            for statement in statements:
                connection.execute(statement)

    def collect(self, name: str, *, timeout_s: float = 60.0, **options: Any) -> Run:
        """Collect and wait until the run is closed."""
        return wait(self.hub, collect(self.hub, name, **options), timeout_s=timeout_s)

    def reconcile(self, name: str) -> Reconciliation:
        """Compare the store with the source."""
        return reconcile(self.hub, name)

    def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Ask the hub's database."""
        with self.hub.connect() as connection:
            return connection.execute(statement, arguments or None).fetchall()

    def start_worker(self) -> Worker:
        """Start a worker in a thread."""
        worker = Worker(self.hub, name=f"w{len(self._workers)}")
        thread = threading.Thread(target=worker.run)
        thread.start()
        self._workers.append((worker, thread))
        return worker

    def stop_workers(self) -> None:
        """Stop them all."""
        for worker, _ in self._workers:
            worker.stop()
        for _, thread in self._workers:
            thread.join(90)
            assert not thread.is_alive()
        self._workers.clear()


@contextmanager
def a_hub(
    settings: Settings, source_url: str, *, workers: int = 1, more: dict[str, Any] | None = None
) -> Iterator[HubForTests]:
    """Give a hub with workers; both end with the block."""
    made = HubForTests(open_hub(settings.model_copy(update={"report": "off", "sample_rows": 0} | (more or {}))), source_url)
    try:
        for _ in range(workers):
            made.start_worker()
        yield made
    finally:
        made.stop_workers()
        made.hub.close()


def contract(name: str, fields: Sequence[Field], **more: Any) -> DataContract:
    """Return a contract of a table that has the resource's name."""
    values: dict[str, Any] = {
        "version": "1.0.0",
        "title": name,
        "department": "test_department",
        "system": "test_system",
        "source": "test_source",
        "table": name,
        "limits": Limits(bad=0.5, shrink=0.2),
    }
    return DataContract(name=resource_name(name), fields=tuple(fields), **(values | more))


PEOPLE = contract(
    "people",
    [
        Field("id", LogicalType.INTEGER, "id", required=True, key=1),
        Field("name", LogicalType.STRING, "xm", required=True, personal=True, max_length=40, normalise=(Normalise.TRIM,)),
        Field("id_number", LogicalType.STRING, "zjhm", personal=True, lookup=True, normalise=(Normalise.TRIM, Normalise.UPPER)),
        Field("town", LogicalType.STRING, "town", max_length=12),
        Field("updated_at", LogicalType.TIMESTAMP, "updated_at", required=True),
    ],
    cursor=CursorSpec("updated_at", declared_lag_s=0, overlap_s=0),
)
"""A resource with personal fields and a cursor."""

PEOPLE_TABLE = "CREATE TABLE people (id bigint, xm text, zjhm text, town text, updated_at timestamptz NOT NULL)"

TREE = contract(
    "tree",
    [
        Field("code", LogicalType.STRING, "code", required=True, key=1, pattern="[0-9]{2,12}"),
        Field("name", LogicalType.STRING, "name", required=True, max_length=80),
        Field("level", LogicalType.INTEGER, "level", required=True, minimum="1", maximum="5"),
        Field("parent", LogicalType.STRING, "parent", references=Reference(resource_name("tree"), "code")),
    ],
)
"""A resource without personal fields, whose rows name their parents."""


def load_divisions(url: str, table: str = "tree", *, prefix: str = "44") -> int:
    """Put the real division codes that begin with ``prefix`` into a source, and return how many."""
    rows = pq.read_table(ROOT / "console/demo/data/divisions.parquet").to_pylist()
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE TABLE {table} (code varchar(12), name text, level smallint, parent varchar(12))")
        count = 0
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in rows:
                if row["code"].startswith(prefix):
                    copy.write_row((row["code"], row["name"], row["level"], row["parent"]))
                    count += 1
    return count
