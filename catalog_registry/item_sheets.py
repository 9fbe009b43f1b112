"""The workbook of items, materials and handbooks: its sheets, and their columns as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from schemas.catalogue import Coded
from schemas.handbook import Handbook
from schemas.item import Handling, ItemStatus, ItemType, LimitUnit, Served, ServiceItem

MAX_ROWS: Final = 50_000
"""Rows of a sheet at most."""

ITEMS, WAYS, MATERIALS, QUESTIONS, HANDBOOK = "事项", "业务办理项", "材料", "常见问题", "业务手册"
CHILDREN: Final[Mapping[str, str]] = MappingProxyType({WAYS: "ways", MATERIALS: "materials", QUESTIONS: "questions"})
"""The sheets whose lines are parts of an item, and the element that they fill."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, the key that it fills, what its cells hold."""

    title: str
    key: str
    kind: str = "text"
    """``text``, ``texts`` (one a line), ``whole``, ``flag``, ``day``, ``coded``, or ``limit`` (with ``unit`` beside it)."""
    of: type[Coded] | None = None
    needed: bool = False
    note: str = ""


_UNIT: Final = "单位"
COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = MappingProxyType(
    {
        ITEMS: (
            Column("实施编码", "code", needed=True, note="31 位；旧的地方编码按原样填写"),
            Column("编码类型", "code_type", note="旧编码的类型，如 legacy；31 位编码可空"),
            Column("基本编码", "basic_code", note="12 位"),
            Column("事项名称", "name", needed=True),
            Column("事项类型", "item_type", "coded", ItemType),
            Column("事项状态", "status", "coded", ItemStatus),
            Column("实施主体", "body", needed=True),
            Column("实施主体代码", "body_code", note="统一社会信用代码"),
            Column("实施主体性质", "body_type"),
            Column("权力来源", "power_source"),
            Column("行使层级", "level"),
            Column("服务对象", "served", "coded", Served),
            Column("办件类型", "handling", "coded", Handling),
            Column("法定办结时限", "statutory", "limit"),
            Column(f"法定办结时限{_UNIT}", "statutory", "unit", LimitUnit),
            Column("承诺办结时限", "promised", "limit"),
            Column(f"承诺办结时限{_UNIT}", "promised", "unit", LimitUnit),
            Column("设定依据", "by_law"),
            Column("受理条件", "accept_condition"),
            Column("办理流程", "flow"),
            Column("特别程序", "special_procedure"),
            Column("是否收费", "fee", "flag"),
            Column("收费项目", "fees", "texts"),
            Column("到办事现场次数", "visits", "whole"),
            Column("网上办理深度", "online_depth"),
            Column("通办范围", "handle_area"),
            Column("主题", "topics", "texts"),
            Column("办理地点", "address"),
            Column("办理时间", "hours"),
            Column("咨询方式", "contact"),
            Column("监督投诉方式", "supervision"),
            Column("计划生效日期", "effective_on", "day"),
            Column("计划取消日期", "cancelled_on", "day"),
            Column("目录版本", "source_version", "whole"),
            Column("版本", "version", "whole", note="导出时的版本；新增留空"),
        ),
        WAYS: (
            Column("实施编码", "item", needed=True),
            Column("业务办理项编码", "code", needed=True),
            Column("业务办理项名称", "name", needed=True),
            Column("进驻大厅", "at_centre", "flag"),
            Column("网上办理", "online", "flag"),
            Column("网上办理深度", "online_depth"),
            Column("结果类型", "result_type"),
            Column("结果名称", "result_name"),
            Column("办理地点", "address"),
            Column("办理时间", "hours"),
        ),
        QUESTIONS: (
            Column("实施编码", "item", needed=True),
            Column("问题", "question", needed=True),
            Column("解答", "answer", needed=True),
        ),
        MATERIALS: (
            Column("实施编码", "item", needed=True),
            Column("材料编码", "code", needed=True),
            Column("材料名称", "name", needed=True),
            Column("是否必要", "needed", "flag"),
            Column("材料类型", "type"),
            Column("材料形式", "format"),
            Column("来源渠道", "source"),
            Column("份数", "pages", "whole"),
            Column("空白表格", "form"),
            Column("示例样表", "example"),
        ),
        HANDBOOK: (
            Column("实施编码", "item", needed=True),
            Column("手册版本", "version", "whole", note="导出时的版本；没有手册留空"),
            Column("环节", "name", needed=True, note="同一环节的裁量档次逐行填写，其余列可空"),
            Column("实施机构", "body"),
            Column("岗位", "post"),
            Column("职权", "powers"),
            Column("审查内容", "examines", "texts", note="每行一项"),
            Column("审查方式", "how"),
            Column("环节时限", "limit", "limit"),
            Column(f"环节时限{_UNIT}", "limit", "unit", LimitUnit),
            Column("裁量情形", "circumstance"),
            Column("裁量标准", "outcome"),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class CellFault:
    """One cell that is wrong: ``row`` as a spreadsheet counts, from 1; ``column`` by its letters and its title."""

    sheet: str
    row: int
    column: str
    reason: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.sheet} row {self.row} {self.column}: {self.reason}"


@dataclass(frozen=True, slots=True)
class SheetContents:
    """What a workbook says: items and handbooks, each with the version that it was exported with (0: new) and its row."""

    items: tuple[tuple[ServiceItem, int, int], ...] = ()
    handbooks: Mapping[str, tuple[Handbook, int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """An item as it is written out: its elements and version, its handbook and version where it has one."""

    item: ServiceItem
    version: int
    handbook: Handbook | None = None
    handbook_version: int = 0
