"""The first full load over a Kafka broker of our own: sealed chunks go to the spool first, then to the broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import full_load
from benchmarks.line import Result, Row
from console.local import kafka


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    lacking = kafka.lacking()
    if lacking is not None:
        row = Row("first full load over Kafka", "rows/s", None, "COPY|COPY into a keyed table", None, 0.45, 0.6)
        return Result(rows=[row], notes=[f"not run: a broker {lacking}"]).as_json()
    return full_load.run(work, bus="kafka")
