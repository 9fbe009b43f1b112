"""Rows like those of TPC-H's table ``orders``: nine columns, no personal field, the same rows for the same seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pgpq
import psycopg
import pyarrow as pa

from schemas.contract import DataContract, Field, Limits, LogicalType
from schemas.resource import resource_name

SEED = 20_261_101
BLOCK = 250_000
COLUMNS = (
    "o_orderkey bigint {key}, o_custkey bigint NOT NULL, o_orderstatus char(1) NOT NULL, o_totalprice numeric(15,2) NOT NULL, "
    "o_orderdate date NOT NULL, o_orderpriority char(15) NOT NULL, o_clerk char(15) NOT NULL, o_shippriority integer NOT NULL, "
    "o_comment varchar(79) NOT NULL"
)
KEYED = COLUMNS.format(key="PRIMARY KEY")
BARE = COLUMNS.format(key="")
_FIRST_DAY, _DAYS = 8035, 2406  # 1992-01-01 to 1998-08-02
_TEXT = """
    furiously final deposits sleep carefully ironic packages across the blithely regular accounts haggle quickly express
    requests among special theodolites wake slyly pending instructions boost even foxes nag unusual pinto beans detect bold
    platelets cajole silent dependencies according to
"""
_WORDS = _TEXT.split()

CONTRACT = DataContract(
    name=resource_name("orders"),
    version="1.0.0",
    title="Orders",
    department="bench_department",
    system="bench_system",
    source="bench_source",
    table="orders",
    fields=(
        Field("orderkey", LogicalType.INTEGER, "o_orderkey", required=True, key=1),
        Field("custkey", LogicalType.INTEGER, "o_custkey", required=True),
        Field("orderstatus", LogicalType.STRING, "o_orderstatus", values=("F", "O", "P"), max_length=1),
        Field("totalprice", LogicalType.NUMBER, "o_totalprice", precision=15, scale=2, minimum="0.00"),
        Field("orderdate", LogicalType.DATE, "o_orderdate"),
        Field("orderpriority", LogicalType.STRING, "o_orderpriority", max_length=15),
        Field("clerk", LogicalType.STRING, "o_clerk", pattern="Clerk#[0-9]{9}", max_length=15),
        Field("shippriority", LogicalType.INTEGER, "o_shippriority"),
        Field("comment", LogicalType.STRING, "o_comment", max_length=79),
    ),
    limits=Limits(bad=0.01, shrink=0.2),
)
"""With five kinds of checks: required, values, minimum, pattern, lengths."""


def blocks(rows: int, seed: int = SEED) -> Iterator[pa.RecordBatch]:
    """Yield so many rows in blocks, by key."""
    draw = np.random.default_rng(seed)
    pool = np.frombuffer(" ".join(_WORDS[i] for i in draw.integers(0, len(_WORDS), 60_000)).encode(), np.uint8)
    clerks = pa.array([f"Clerk#{n:09d}" for n in range(1, 1501)])
    priorities = pa.array([p.ljust(15) for p in ("1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW")])
    states = pa.array(["F", "O", "P"])
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        number = np.arange(start, start + count)
        cents = draw.integers(85_000, 55_000_000, count)
        price = np.zeros((count, 2), np.int64)
        price[:, 0] = cents
        lengths = draw.integers(19, 79, count)
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(number // 8 * 32 + number % 8 + 1),
                pa.array(draw.integers(1, 150_000, count)),
                states.take(pa.array(draw.choice(3, count, p=[0.487, 0.487, 0.026]))),
                pa.Array.from_buffers(pa.decimal128(15, 2), count, [None, pa.py_buffer(price.tobytes())]),
                pa.array((_FIRST_DAY + draw.integers(0, _DAYS, count)).astype(np.int32)).view(pa.date32()),
                priorities.take(pa.array(draw.integers(0, 5, count))),
                clerks.take(pa.array(draw.integers(0, 1500, count))),
                pa.array(np.zeros(count, np.int32)),
                _cut(pool, draw.integers(0, len(pool) - 80, count), lengths),
            ],
            names=[f.source_name for f in CONTRACT.fields],
        )


def _cut(pool: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> pa.Array:
    ends = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    at = np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(pool[at].tobytes())]
    return pa.Array.from_buffers(pa.string(), len(lengths), buffers)


def fill(url: str, rows: int) -> None:
    """Make the table ``orders`` with so many rows, its key and its statistics, unless it is there."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT to_regclass('orders') IS NOT NULL").fetchone()
        if found and found[0]:
            counted = connection.execute("SELECT count(*) FROM orders").fetchone()
            if counted and counted[0] == rows:
                return
            connection.execute("DROP TABLE orders")
        connection.execute(f"CREATE TABLE orders ({KEYED})")
        encoder: pgpq.ArrowToPostgresBinaryEncoder | None = None
        with connection.cursor() as cursor, cursor.copy("COPY orders FROM STDIN (FORMAT binary)") as copy:
            for block in blocks(rows):
                if encoder is None:
                    encoder = pgpq.ArrowToPostgresBinaryEncoder(block.schema)
                    copy.write(encoder.write_header())
                copy.write(encoder.write_batch(block))
            if encoder is not None:
                copy.write(encoder.finish())
        connection.execute("VACUUM (ANALYZE, FREEZE) orders")


def change_one_in_a_hundred(url: str, turn: int) -> int:
    """Change one row in a hundred, other ones each ``turn``, and return how many."""
    with psycopg.connect(url, autocommit=True) as connection:
        changed = connection.execute(
            "UPDATE orders SET o_totalprice = o_totalprice + 0.01 WHERE o_orderkey / 32 %% 100 = %s", [turn % 100]
        ).rowcount
        connection.execute("VACUUM (ANALYZE) orders")
    return changed
