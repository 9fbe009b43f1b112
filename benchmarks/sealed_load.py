"""A first full load of a million licences whose personal fields are sealed row by row, with the time of each stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pgpq
import psycopg
import pyarrow as pa

from benchmarks import bulk
from benchmarks.line import Result, Row, median
from benchmarks.stand import stand
from schemas.contract import DataContract, Field, Limits, LogicalType
from schemas.resource import resource_name

ROWS = 1_000_000
TRIALS = 3
_SURNAMES = list("王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗")
_GIVEN = list("伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华")

CONTRACT = DataContract(
    name=resource_name("bench_licences"),
    version="1.0.0",
    title="Licences",
    department="bench_department",
    system="bench_system",
    source="bench_source",
    table="licences",
    fields=(
        Field("licence_id", LogicalType.INTEGER, "id", required=True, key=1),
        Field("licence_type", LogicalType.STRING, "type", required=True, max_length=12),
        Field("licence_number", LogicalType.STRING, "number", required=True, pattern="[A-Z0-9]{12}"),
        Field("holder_name", LogicalType.STRING, "xm", required=True, personal=True, max_length=40),
        Field(
            "holder_number", LogicalType.STRING, "zjhm", required=True, personal=True, lookup=True, pattern="[0-9]{17}[0-9X]"
        ),
        Field("address", LogicalType.STRING, "address", personal=True, max_length=120),
        Field("valid_from", LogicalType.DATE, "valid_from"),
        Field("valid_to", LogicalType.DATE, "valid_to"),
        Field("state", LogicalType.STRING, "state", values=("valid", "revoked"), max_length=8),
    ),
    limits=Limits(bad=0.01, shrink=0.2),
)
_TABLE = (
    "CREATE TABLE licences (id bigint PRIMARY KEY, type varchar(12), number char(12), xm varchar(40), zjhm char(18), "
    "address varchar(120), valid_from date, valid_to date, state varchar(8))"
)


def blocks(rows: int, seed: int = 7) -> Iterator[pa.RecordBatch]:
    """Yield made-up licences in blocks; the same ones for the same seed."""
    draw = np.random.default_rng(seed)
    names = pa.array([a + b + c for a in _SURNAMES for b in _GIVEN for c in _GIVEN])
    streets = pa.array([f"韶关市曲江区马坝镇第{n}路{m}号" for n in range(40) for m in range(1, 60)])
    kinds = pa.array([f"T-{n:02}" for n in range(20)])
    for start in range(0, rows, 100_000):
        count = min(100_000, rows - start)
        number = range(start, start + count)
        numbers = [f"440205{1950 + n % 60}{n % 12 + 1:02}{n % 28 + 1:02}{n % 1000:03}{n % 10}" for n in number]
        days = (10_000 + draw.integers(0, 8000, count)).astype(np.int32)
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(np.arange(start, start + count)),
                kinds.take(pa.array(draw.integers(0, len(kinds), count))),
                pa.array([f"LIC{n:09}" for n in number]),
                names.take(pa.array(draw.integers(0, len(names), count))),
                pa.array(numbers),
                streets.take(pa.array(draw.integers(0, len(streets), count))),
                pa.array(days).view(pa.date32()),
                pa.array(days + 3650).view(pa.date32()),
                pa.array(["valid", "revoked"]).take(pa.array((draw.random(count) < 0.03).astype(np.int32))),
            ],
            names=[f.source_name for f in CONTRACT.fields],
        )


def fill(url: str, rows: int) -> None:
    """Make the source's table."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)
        encoder: pgpq.ArrowToPostgresBinaryEncoder | None = None
        with connection.cursor() as cursor, cursor.copy("COPY licences FROM STDIN (FORMAT binary)") as copy:
            for block in blocks(rows):
                if encoder is None:
                    encoder = pgpq.ArrowToPostgresBinaryEncoder(block.schema)
                    copy.write(encoder.write_header())
                copy.write(encoder.write_batch(block))
            if encoder is not None:
                copy.write(encoder.finish())
        connection.execute("VACUUM (ANALYZE, FREEZE) licences")


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    rows = bulk.rows_wanted(ROWS)
    seconds: list[float] = []
    runs: list[dict[str, Any]] = []
    with stand(work) as here:
        fill(here.source_url, rows)
        here.register(CONTRACT)
        here.settle()
        for _ in range(TRIALS):
            here.forget(CONTRACT.name)
            here.checkpoint()
            seconds.append(round(bulk.measured_collect(here, CONTRACT.name, runs), 3))
    result.trials = {"OneDoor": seconds}
    result.stages = bulk.stages_of(runs)
    result.notes.append(bulk.cost(runs, seconds))
    result.rows = [Row("first full load, three personal fields sealed in each row", "rows/s", round(rows / median(seconds)))]
    result.notes.append(
        "each row is one AES-256-GCM seal with a nonce and bound data of its own, a keyed hash to look up by, and a row hash, "
        "row by row in Python: the seal stage is what it costs above the load without personal fields"
    )
    return result.as_json()
