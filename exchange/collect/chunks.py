"""Cutting what a source gives into chunks: the unit of read, hash, spool and retry. A chunk never ends inside a key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from schemas.batch import RawBatch
from schemas.contract import DataContract


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Some batches in a row; ``upto`` is the key of the last row, None for the last chunk of a read."""

    batches: tuple[RawBatch, ...]
    upto: tuple[Any, ...] | None
    as_of: datetime

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return sum(b.rows.num_rows for b in self.batches)


def key_of(contract: DataContract, rows: pa.RecordBatch, index: int) -> tuple[Any, ...]:
    """Return the key of one raw row, as the source gave it."""
    return tuple(rows.column(f.source_name)[index].as_py() for f in contract.key)


def cut(contract: DataContract, batches: Iterator[RawBatch], chunk_rows: int) -> Iterator[RawChunk]:
    """Yield chunks of about ``chunk_rows`` rows; the last one, whose ``upto`` is None, may be empty.

    Rows of one key stay together, and rows whose key holds a null all come in the last chunk: a read that goes on after
    ``upto`` then sees every row once.
    """
    held: list[RawBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.rows.num_rows
        if count < chunk_rows:
            continue
        last = key_of(contract, batch.rows, batch.rows.num_rows - 1)
        if any(part is None for part in last):
            continue
        start = _start_of(contract, batch.rows, last)
        if start == 0:
            continue  # the whole batch is one key; the chunk grows until it changes
        rest = RawBatch(contract, batch.rows.slice(start), batch.as_of)
        held[-1] = RawBatch(contract, batch.rows.slice(0, start), batch.as_of)
        yield RawChunk(tuple(held), key_of(contract, batch.rows, start - 1), held[0].as_of)
        held, count = [rest], rest.rows.num_rows
    if held:
        yield RawChunk(tuple(held), None, held[0].as_of)


def _start_of(contract: DataContract, rows: pa.RecordBatch, key: tuple[Any, ...]) -> int:
    """Return the index at which the trailing rows of ``key`` begin."""
    index: int = rows.num_rows - 1
    while index > 0 and key_of(contract, rows, index - 1) == key:
        index -= 1
    return index
