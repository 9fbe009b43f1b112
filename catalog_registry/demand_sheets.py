"""The three lists of demands as one workbook: 需求清单, who promised what 责任清单, what is not shared 负面清单."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, Final

from catalog_registry.demand_records import DemandRecord, NegativeRecord
from catalog_registry.sheets.columns import Column, Kind
from catalog_registry.sheets.writing import shown, written
from schemas.catalogue import BasisKind, UpdateCycle
from schemas.clock import CHINA

DEMANDS, RESPONSIBILITIES, NEGATIVES = "需求清单", "责任清单", "负面清单"
_ASKED: Final = (
    Column("id", "需求编号"),
    Column("title", "需求名称"),
    Column("fields", "需求信息项", Kind.LIST),
    Column("department", "需求部门"),
    Column("cycle", "更新周期", Kind.CODED, values=UpdateCycle),
    Column("made_at", "提出日期"),
    Column("state", "状态"),
    Column("assigned", "责任部门"),
)
COLUMNS: Final[Mapping[str, Sequence[Column]]] = {
    DEMANDS: _ASKED,
    RESPONSIBILITIES: (*_ASKED, Column("promised_on", "承诺完成日期"), Column("resource", "形成的资源")),
    NEGATIVES: (
        Column("key", "编号"),
        Column("title", "名称"),
        Column("department", "部门"),
        Column("basis_kind", "不予共享依据类型", Kind.CODED, values=BasisKind),
        Column("basis", "不予共享依据"),
        Column("at", "日期"),
    ),
}
"""What everybody with an account is shown of them, sheet by sheet."""


def write_lists(
    out: Path | IO[bytes],
    demands: Iterable[DemandRecord],
    responsibilities: Iterable[DemandRecord],
    negatives: Iterable[NegativeRecord],
    names: Mapping[str, str],
) -> None:
    """Write the three lists, a sheet each; ``names``: of departments, by their codes."""
    with written(out) as book:
        for name, records in ((DEMANDS, demands), (RESPONSIBILITIES, responsibilities), (NEGATIVES, negatives)):
            columns = COLUMNS[name]
            rows = book.table(name, columns, wide=("title", "fields", "basis"))
            for record in records:
                rows.add([shown(column, _value(record, column.key, names)) for column in columns])


def _value(record: DemandRecord | NegativeRecord, key: str, names: Mapping[str, str]) -> Any:
    value = getattr(record, key)
    if key in ("department", "assigned"):
        return names.get(value, value)
    if isinstance(value, datetime):
        return value.astimezone(CHINA).date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
