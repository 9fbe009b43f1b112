"""The steps of the typed flow. Each is made by one function only and taken by the next: unchecked data cannot be sealed.

RawBatch --conform--> ConformedBatch --check--> CheckedBatch --seal--> SealedBatch --envelope--> the bus;
what conform and check set aside are Rejects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from schemas.contract import DataContract


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Rows as the source gave them.

    ``rows`` has one column for each field of the contract, named by ``Field.source_name`` and in the contract's order, of
    whatever Arrow type the driver gave. ``as_of`` is the instant at which the source was asked.
    """

    contract: DataContract
    rows: pa.RecordBatch
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """Why one row was set aside: ``row`` is an index into ``Rejects.rows``. ``reason`` never holds a value of the row."""

    row: int
    field: str | None
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rejects:
    """Rows set aside by one step, as that step was given them, with at least one finding for each row."""

    rows: pa.RecordBatch
    findings: tuple[Finding, ...]

    @property
    def count(self) -> int:
        """How many rows were set aside."""
        return int(self.rows.num_rows)


@dataclass(frozen=True, slots=True)
class ConformedBatch:
    """Rows that fit the contract's types, after the normalisations it names: ``rows`` has ``types.contract_schema``."""

    contract: DataContract
    rows: pa.RecordBatch
    as_of: datetime


@dataclass(frozen=True, slots=True)
class CheckedBatch:
    """Rows that passed every row check. Made only by ``quality.gate.check``. The schema is that of ``ConformedBatch``."""

    contract: DataContract
    rows: pa.RecordBatch
    as_of: datetime


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """Rows in the form they land in, with ``landed.landed_schema``: no personal value is clear."""

    contract: DataContract
    rows: pa.RecordBatch
    as_of: datetime
    hash_sum: int
    """Sum of ``_row_hash``, each a big-endian integer, mod 2**128."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows as the store holds them, personal fields still sealed. Only ``exchange.trust.release`` opens them."""

    contract: DataContract
    rows: Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class ReleasedRows:
    """Rows under a grant, only the granted fields: made only by ``exchange.trust.release``, all that a sink may be given."""

    contract: DataContract
    grant: str
    rows: Sequence[Mapping[str, object]]
    positions: Sequence[int] = ()
    """For each row, where it stood among the stored rows: a row filter lets some through only."""
