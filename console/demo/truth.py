"""The demo's own truth: which rows of each source must be set aside, and why. The hub never reads it; tests compare with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from console.demo.sheet import Wrong

SCHEMA: Final = pa.schema([("resource", pa.string()), ("key", pa.string()), ("field", pa.string()), ("rule", pa.string())])


def write(path: Path, wrong: Iterable[Wrong]) -> None:
    """Write a line for each wrong row, 0600, in place of what was there."""
    rows = sorted(((w.resource, w.key, w.field, w.rule) for w in wrong), key=lambda r: tuple(v or "" for v in r))
    table = pa.table([list(c) for c in zip(*rows, strict=True)] if rows else [[], [], [], []], schema=SCHEMA)
    new = path.with_suffix(".new")
    pq.write_table(table, new)
    new.chmod(0o600)
    new.replace(path)


def read(path: Path) -> tuple[Wrong, ...]:
    """Return every wrong row, by resource and key; rows of a doubled key or without a key stand as often as they are."""
    return tuple(Wrong(**row) for row in pq.read_table(path, schema=SCHEMA).to_pylist())


def keys(wrong: Iterable[Wrong], resource: str) -> Counter[str | None]:
    """Return the keys of a resource's rows that must be set aside, each with how many rows; None: rows without a key."""
    return Counter(w.key for w in wrong if w.resource == resource)
