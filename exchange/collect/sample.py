"""A uniform sample of what was read, at flat memory, for the part of the quality work that cannot see every row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from schemas.batch import ConformedBatch


class Sample:
    """Keeps at most ``limit`` rows: each draws a number, those below a threshold stay, and it halves when they become too many.

    The same seed and the same batches give the same rows.
    """

    def __init__(self, limit: int, seed: int) -> None:
        self.limit = limit
        self._draw = np.random.default_rng(seed)
        self.seen = 0
        self._threshold = (1 << 64) - 1
        self._rows: list[pa.RecordBatch] = []
        self._marks: list[np.ndarray] = []
        self._count = 0

    def add(self, batch: ConformedBatch) -> None:
        """Consider the rows of a batch."""
        count = batch.rows.num_rows
        self.seen += count
        if self.limit == 0 or count == 0:
            return
        self._keep(batch.rows, self._draw.integers(0, 1 << 64, count, dtype=np.uint64))
        while self._count > self.limit:
            self._threshold >>= 1
            rows, marks = self._rows, self._marks
            self._rows, self._marks, self._count = [], [], 0
            for kept, mark in zip(rows, marks, strict=True):
                self._keep(kept, mark)

    def _keep(self, rows: pa.RecordBatch, words: np.ndarray) -> None:
        mask = words <= self._threshold
        if not mask.any():
            return
        if not mask.all():
            rows, words = rows.filter(pa.array(mask)), words[mask]
        self._rows.append(rows)
        self._marks.append(words)
        self._count += rows.num_rows

    def table(self) -> pa.Table | None:
        """Return the sample, None where nothing was read."""
        return pa.Table.from_batches(self._rows) if self._rows else None
