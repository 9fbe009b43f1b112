"""The workbook of items, materials and handbooks: its sheets, and their columns as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from catalog_registry.sheets.columns import Column, Headings, Kind
from catalog_registry.sheets.guard import Limits
from schemas.catalogue import Coded
from schemas.handbook import Handbook
from schemas.item import Handling, ItemStatus, ItemType, LimitUnit, Served, ServiceItem

LIMITS_OF_FILE: Final = Limits(file_bytes=8 << 20, unpacked_bytes=128 << 20, rows=50_001, columns=128)
"""What a workbook may take."""

ITEMS, WAYS, MATERIALS, QUESTIONS, HANDBOOK = "事项", "业务办理项", "材料", "常见问题", "业务手册"
CHILDREN: Final[Mapping[str, str]] = MappingProxyType({WAYS: "ways", MATERIALS: "materials", QUESTIONS: "questions"})
"""The sheets whose lines are parts of an item, and the element that they fill."""


LIMITS: Final = ("statutory", "promised", "limit")
"""Keys of limits of time: a column has the number, the one with ``.unit`` beside it the unit."""


def _of(
    heading: str,
    key: str,
    kind: Kind = Kind.TEXT,
    values: type[Coded] | None = None,
    *,
    needed: bool = False,
    note: str = "",
) -> Column:
    return Column(key, heading, kind, note, needed=needed, values=values)


_D, _N, _C, _F, _L = Kind.DIGITS, Kind.NUMBER, Kind.CODED, Kind.FLAG, Kind.LINES
_UNIT: Final = "单位"
COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = MappingProxyType(
    {
        ITEMS: (
            _of("实施编码", "code", _D, needed=True, note="31 位；旧的地方编码按原样填写"),
            _of("编码类型", "code_type", note="旧编码的类型，如 legacy；31 位编码可空"),
            _of("基本编码", "basic_code", _D, note="12 位"),
            _of("事项名称", "name", needed=True),
            _of("事项类型", "item_type", _C, ItemType),
            _of("事项状态", "status", _C, ItemStatus),
            _of("实施主体", "body", needed=True),
            _of("实施主体代码", "body_code", _D, note="统一社会信用代码"),
            _of("实施主体性质", "body_type"),
            _of("权力来源", "power_source"),
            _of("行使层级", "level"),
            _of("服务对象", "served", _C, Served),
            _of("办件类型", "handling", _C, Handling),
            _of("法定办结时限", "statutory", _N),
            _of(f"法定办结时限{_UNIT}", "statutory.unit", _C, LimitUnit),
            _of("承诺办结时限", "promised", _N),
            _of(f"承诺办结时限{_UNIT}", "promised.unit", _C, LimitUnit),
            _of("设定依据", "by_law"),
            _of("受理条件", "accept_condition"),
            _of("办理流程", "flow"),
            _of("特别程序", "special_procedure"),
            _of("是否收费", "fee", _F),
            _of("收费项目", "fees", _L),
            _of("到办事现场次数", "visits", _N),
            _of("网上办理深度", "online_depth"),
            _of("通办范围", "handle_area"),
            _of("主题", "topics", _L),
            _of("办理地点", "address"),
            _of("办理时间", "hours"),
            _of("咨询方式", "contact"),
            _of("监督投诉方式", "supervision"),
            _of("计划生效日期", "effective_on", Kind.DAY),
            _of("计划取消日期", "cancelled_on", Kind.DAY),
            _of("目录版本", "source_version", _N),
            _of("版本", "version", _N, note="导出时的版本；新增留空"),
        ),
        WAYS: (
            _of("实施编码", "item", _D, needed=True),
            _of("业务办理项编码", "code", _D, needed=True),
            _of("业务办理项名称", "name", needed=True),
            _of("进驻大厅", "at_centre", _F),
            _of("网上办理", "online", _F),
            _of("网上办理深度", "online_depth"),
            _of("结果类型", "result_type"),
            _of("结果名称", "result_name"),
            _of("办理地点", "address"),
            _of("办理时间", "hours"),
        ),
        QUESTIONS: (
            _of("实施编码", "item", _D, needed=True),
            _of("问题", "question", needed=True),
            _of("解答", "answer", needed=True),
        ),
        MATERIALS: (
            _of("实施编码", "item", _D, needed=True),
            _of("材料编码", "code", _D, needed=True),
            _of("材料名称", "name", needed=True),
            _of("是否必要", "needed", _F),
            _of("材料类型", "type"),
            _of("材料形式", "format"),
            _of("来源渠道", "source"),
            _of("份数", "pages", _N),
            _of("空白表格", "form"),
            _of("示例样表", "example"),
        ),
        HANDBOOK: (
            _of("实施编码", "item", _D, needed=True),
            _of("手册版本", "version", _N, note="导出时的版本；没有手册留空"),
            _of("环节", "name", needed=True, note="同一环节的裁量档次逐行填写，其余列可空"),
            _of("实施机构", "body"),
            _of("岗位", "post"),
            _of("职权", "powers"),
            _of("审查内容", "examines", _L, note="每行一项"),
            _of("审查方式", "how"),
            _of("环节时限", "limit", _N),
            _of(f"环节时限{_UNIT}", "limit.unit", _C, LimitUnit),
            _of("裁量情形", "circumstance"),
            _of("裁量标准", "outcome"),
        ),
    }
)


HEADINGS: Final[Mapping[str, Headings]] = MappingProxyType(
    {name: Headings(columns, f"sheet {name}") for name, columns in COLUMNS.items()}
)


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
