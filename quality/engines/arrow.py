"""Decide every row by Arrow compute: the hot path. A batch in which every row is good costs one pass per check.

Each check gives a column of booleans, false where the row fails; null, for a null value, passes. Rows are listed only where
a check failed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality import checks as rules
from quality.checks import Checks, RowCheck, typed
from schemas.batch import Finding, Rejects
from schemas.codes import CODES


def split(rows: pa.RecordBatch, checks: Checks) -> tuple[pa.RecordBatch, Rejects]:
    """Return the rows that pass every check, in their order, and the rest with a finding for each rule that each failed.

    Args:
        rows: conformed rows, ``types.contract_schema`` of the contract that ``checks`` was compiled from.
        checks: from ``quality.checks.compile_checks``.
    """
    failed: list[tuple[RowCheck, np.ndarray[Any, Any]]] = []
    for check in checks.rows:
        passes = _passes(rows.column(check.column), check)
        if passes is not None and not _all(passes):
            failed.append((check, np.flatnonzero(~np.asarray(passes.fill_null(True)))))
    if not failed:
        return rows, Rejects(rows.slice(0, 0), ())

    bad = np.zeros(rows.num_rows, np.bool_)
    for _, at in failed:
        bad[at] = True
    place = np.cumsum(bad) - 1  # a row's index among the bad ones
    findings = [
        (row, order, Finding(row, check.field, check.rule, check.reason))
        for order, (check, at) in enumerate(failed)
        for row in place[at].tolist()
    ]
    findings.sort(key=lambda found: found[:2])
    return rows.filter(pa.array(~bad)), Rejects(rows.filter(pa.array(bad)), tuple(finding for _, _, finding in findings))


def _all(passes: pa.BooleanArray) -> bool:
    return bool(pc.all(passes, min_count=0).as_py())


def _passes(column: pa.Array[Any], check: RowCheck) -> pa.BooleanArray | None:
    """Return which rows pass, or None where it is plain that all do."""
    if check.rule.startswith(rules.CODE):
        return CODES[str(check.bound)].valid_column(column)
    return _RULES[check.rule](column, check)


def _present(column: pa.Array[Any], check: RowCheck) -> pa.BooleanArray | None:
    return column.is_valid() if column.null_count else None


def _no_longer(column: pa.Array[Any], check: RowCheck) -> pa.BooleanArray | None:
    size = pc.binary_length(column)  # bytes; a text has at most so many characters
    longest = pc.max(size).as_py()
    if longest is None or longest <= check.bound:
        return None
    return pc.less_equal(_length(column), pa.scalar(check.bound))


def _no_shorter(column: pa.Array[Any], check: RowCheck) -> pa.BooleanArray | None:
    return pc.greater_equal(_length(column), pa.scalar(check.bound))


def _length(column: pa.Array[Any]) -> pa.Array[Any]:
    return pc.binary_length(column) if pa.types.is_binary(column.type) else pc.utf8_length(column)


def _matches(column: pa.Array[Any], check: RowCheck) -> pa.BooleanArray | None:
    return pc.match_substring_regex(column, rf"\A(?:{check.bound})\z")


def _listed(column: pa.Array[Any], check: RowCheck) -> pa.BooleanArray | None:
    listed = pc.is_in(column, pa.array([typed(text, check.kind).as_py() for text in check.values], check.kind))
    return pc.or_(listed, column.is_null()) if column.null_count else listed


def _no_less(column: pa.Array[Any], check: RowCheck) -> pa.BooleanArray | None:
    return pc.greater_equal(column, typed(str(check.bound), check.kind))


def _no_more(column: pa.Array[Any], check: RowCheck) -> pa.BooleanArray | None:
    return pc.less_equal(column, typed(str(check.bound), check.kind))


_RULES: Final[Mapping[str, Callable[[pa.Array[Any], RowCheck], pa.BooleanArray | None]]] = MappingProxyType(
    {
        rules.KEY_NULL: _present,
        rules.REQUIRED: _present,
        rules.MIN_LENGTH: _no_shorter,
        rules.MAX_LENGTH: _no_longer,
        rules.PATTERN: _matches,
        rules.VALUES: _listed,
        rules.MINIMUM: _no_less,
        rules.MAXIMUM: _no_more,
    }
)
