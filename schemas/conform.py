"""Rows as the source gave them become rows of the contract's types; rows with a value that cannot are set aside.

Only what cannot be cast is set aside here (rule ``type``). Whether a value is allowed is for the quality gate to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from schemas.batch import ConformedBatch, Finding, RawBatch, Rejects
from schemas.casts import Mask, cast_column, reason
from schemas.contract import DataContract
from schemas.errors import Fault, RejectedError
from schemas.types import contract_schema

RULE: Final = "type"


@dataclass(frozen=True, slots=True)
class Conformed:
    """What ``conform`` gives: the rows that fit, and the rows that do not, as the source gave them, with reasons."""

    batch: ConformedBatch
    rejects: Rejects


def conform(batch: RawBatch) -> Conformed:
    """Return the batch's rows after the normalisations that the contract names, cast to its types, in the same order.

    Raises:
        RejectedError: code ``conform.columns`` where the columns are not the contract's, ``conform.type`` where a column's
            type as a whole cannot become its field's.
    """
    contract = batch.contract
    _same_columns(contract, batch.rows)
    casts = [cast_column(column, f) for column, f in zip(batch.rows.columns, contract.fields, strict=True)]
    rows = pa.RecordBatch.from_arrays([cast.values for cast in casts], schema=contract_schema(contract))
    wrong = {i: cast.wrong for i, cast in enumerate(casts) if cast.wrong is not None and cast.wrong.any()}
    if not wrong:
        return Conformed(ConformedBatch(contract, rows, batch.as_of), Rejects(batch.rows.slice(0, 0), ()))
    bad: Mask = np.logical_or.reduce(list(wrong.values()))
    kept = rows.filter(pa.array(~bad))
    rejected = batch.rows.take(pa.array(np.flatnonzero(bad)))
    return Conformed(ConformedBatch(contract, kept, batch.as_of), Rejects(rejected, _findings(contract, wrong, bad)))


def _findings(contract: DataContract, wrong: dict[int, Mask], bad: Mask) -> tuple[Finding, ...]:
    place = np.cumsum(bad) - 1
    found = [
        (int(place[row]), i, Finding(int(place[row]), contract.fields[i].name, RULE, reason(contract.fields[i])))
        for i, mask in wrong.items()
        for row in np.flatnonzero(mask)
    ]
    return tuple(finding for _, _, finding in sorted(found, key=lambda f: f[:2]))


def _same_columns(contract: DataContract, rows: pa.RecordBatch) -> None:
    wanted = [f.source_name for f in contract.fields]
    given = list(rows.schema.names)
    if wanted == given:
        return
    missing = [name for name in wanted if name not in given]
    more = [name for name in given if name not in wanted]
    said = [
        f"{what} {', '.join(names)}" for what, names in (("missing", missing), ("not in the contract:", more)) if names
    ] or ["another order"]
    raise RejectedError(
        f"the source's columns are not the contract's: {'; '.join(said)}",
        code="conform.columns",
        where=f"table {contract.table}",
        remedy="compare the contract's physicalName with the table",
        fault=Fault.PROVIDER,
    )
