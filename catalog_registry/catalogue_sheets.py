"""The columns of the official catalogue 数据资源目录, as departments head them, in the order of the template.

A column is of the resource, or of one of its fields 信息项: a resource takes as many rows as it has fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from catalog_registry.sheets.columns import Column, Headings, Kind
from schemas.catalogue import (
    BasisKind,
    Category,
    Channel,
    Level,
    Secrecy,
    SharingType,
    SharingWay,
    UpdateCycle,
)


def _of(key: str, heading: str, kind: Kind, zh: str, en: str, *also: str, needed: bool = False, **more: object) -> Column:
    return Column(key, heading, kind, zh, en, needed=needed, also=also, **more)  # type: ignore[arg-type]


_T, _D, _N, _C, _F, _L = Kind.TEXT, Kind.DIGITS, Kind.NUMBER, Kind.CODED, Kind.FLAG, Kind.LIST
_WAYS_ZH: Final = "多个用顿号“、”分开"
_WAYS_EN: Final = "several with 、 between them"

COLUMNS: Final[tuple[Column, ...]] = (
    _of(
        "name",
        "资源标识",
        _T,
        "英文标识：小写字母开头，只含小写字母、数字、下划线，最多48位，登记后不变；空着由平台按名称拼音生成",
        "the name in the hub: a small letter, then small letters, digits, underscores, at most 48; immutable; "
        "left empty, it is made from the title's pinyin",
        *("英文名称", "资源英文名称", "信息资源英文名称", "信息资源标识"),
    ),
    _of(
        "category",
        "信息资源分类-类",
        _C,
        "类",
        "first level of the classification",
        *("类", "分类类"),
        needed=True,
        values=Category,
    ),
    _of("item", "信息资源分类-项", _D, "项：2位数字", "second level: 2 digits", "项", "分类项", needed=True, padded=2),
    _of("subject", "信息资源分类-目", _D, "目：3位数字", "third level: 3 digits", "目", "分类目", needed=True, padded=3),
    _of(
        "detail",
        "信息资源分类-细目",
        _D,
        "细目：可空；请按文本填写，以免丢失前面的0",
        "fourth level, may be empty; as text, so that no zero in front is lost",
        *("细目", "分类细目"),
        exact=True,
    ),
    _of(
        "title",
        "信息资源名称",
        _T,
        "名称",
        "title",
        *("名称", "资源名称", "数据资源名称", "目录名称"),
        needed=True,
    ),
    _of(
        "code",
        "信息资源代码",
        _D,
        "已有代码的照填，新资源空着由平台赋码",
        "the code that it has; a new resource leaves it empty and is given one",
        *("代码", "资源代码", "数据资源代码", "目录代码"),
    ),
    _of(
        "provider",
        "信息资源提供方",
        _T,
        "提供部门全称，须已在平台登记",
        "full name of the department, as the hub has it",
        *("提供方", "资源提供方", "数据资源提供方", "提供方名称", "提供部门"),
        needed=True,
    ),
    _of(
        "provider_code",
        "信息资源提供方代码",
        _D,
        "提供部门的统一社会信用代码",
        "unified social credit code of the department",
        *("提供方代码", "资源提供方代码", "数据资源提供方代码", "提供方统一社会信用代码"),
        needed=True,
    ),
    _of(
        "abstract",
        "信息资源摘要",
        _T,
        "摘要",
        "what the resource is",
        *("摘要", "资源摘要", "数据资源摘要", "内容摘要"),
        needed=True,
    ),
    _of(
        "format",
        "信息资源格式",
        _T,
        "如：数据库、电子表格",
        "such as 数据库 or 电子表格",
        *("格式", "资源格式", "数据资源格式"),
        needed=True,
    ),
    _of(
        "field.title",
        "信息项名称",
        _T,
        "每个信息项一行",
        "one row for each field",
        *("信息项信息名称", "信息项中文名称", "信息项"),
        needed=True,
        of_field=True,
    ),
    _of(
        "field.name",
        "信息项英文名称",
        _T,
        "与数据合同中的字段名一致；空着按拼音生成",
        "the field's name in the contract; left empty, it is made from its pinyin",
        *("信息项标识", "信息项信息英文名称", "字段名", "字段英文名称"),
        of_field=True,
    ),
    _of(
        "field.data_type",
        "数据类型",
        _T,
        "如：字符型、整型、日期型",
        "such as 字符型, 整型, 日期型",
        *("信息项数据类型", "信息项信息数据类型", "信息项类型"),
        needed=True,
        of_field=True,
    ),
    _of(
        "field.length",
        "数据长度",
        _N,
        "可空",
        "may be empty",
        *("长度", "信息项长度", "信息项信息长度", "信息项数据长度", "信息项信息数据长度"),
        of_field=True,
    ),
    _of(
        "field.sensitivity",
        "敏感级别",
        _N,
        "1至4，1为最低",
        "1 to 4, 1 is least",
        *("信息项敏感级别", "信息项信息敏感级别", "敏感等级"),
        needed=True,
        of_field=True,
    ),
    _of(
        "field.primary_key",
        "是否主键",
        _F,
        "是或否，空着为否",
        "是 or 否; empty is 否",
        *("主键", "信息项是否主键", "信息项信息是否主键"),
        of_field=True,
    ),
    _of(
        "field.incremental_key",
        "是否增量字段",
        _F,
        "是或否，空着为否",
        "是 or 否; empty is 否",
        *("增量字段", "增量键", "是否增量键", "信息项是否增量字段"),
        of_field=True,
    ),
    _of(
        "sharing_type",
        "共享类型",
        _C,
        "有条件共享须填共享条件，不予共享须填依据",
        "有条件共享 needs the condition, 不予共享 the basis",
        "共享属性共享类型",
        "共享属性类型",
        needed=True,
        values=SharingType,
    ),
    _of("sharing_condition", "共享条件", _T, "有条件共享时填写", "where it is 有条件共享", "共享属性共享条件", "共享属性条件"),
    _of(
        "sharing_basis_kind",
        "不予共享依据类型",
        _C,
        "不予共享时填写",
        "where it is 不予共享",
        "不予共享依据类别",
        "共享属性不予共享依据类型",
        values=BasisKind,
    ),
    _of("sharing_basis", "不予共享依据", _T, "不予共享时填写", "where it is 不予共享", "共享属性不予共享依据"),
    _of(
        "sharing_ways",
        "共享方式",
        _L,
        f"接口、库表、文件、邮件、介质；{_WAYS_ZH}",
        f"of 接口, 库表, 文件, 邮件, 介质; {_WAYS_EN}",
        *("共享属性共享方式", "共享属性方式"),
        needed=True,
        values=SharingWay,
    ),
    _of(
        "open",
        "是否向社会开放",
        _F,
        "是或否",
        "是 or 否",
        *("是否开放", "开放属性是否向社会开放", "开放属性是否开放", "开放属性"),
        needed=True,
    ),
    _of("open_condition", "开放条件", _T, "开放且有条件时填写", "where it is open on a condition", "开放属性开放条件"),
    _of("update_cycle", "更新周期", _C, "更新周期", "how often it is updated", "更新频率", needed=True, values=UpdateCycle),
    _of("other_update_cycle", "其他更新周期", _T, "更新周期为其他时填写", "in words, where it is 其他", "更新周期说明"),
    _of("published_on", "发布日期", Kind.DAY, "如：2026-10-08", "such as 2026-10-08", "发布时间", needed=True),
    _of(
        "related",
        "关联资源代码",
        _L,
        f"关联的资源代码；{_WAYS_ZH}",
        f"codes of other resources; {_WAYS_EN}",
        *("关联信息资源代码", "关联数据资源代码", "关联及类目名称"),
    ),
    _of("channel", "共享通道", _C, "共享通道", "on which network", "网络通道", "共享网络", needed=True, values=Channel),
    _of("secrecy", "涉密标识", _C, "涉密或非涉密", "涉密 or 非涉密", "是否涉密", "密级", needed=True, values=Secrecy),
    _of("level", "层级", _C, "层级", "level of government", "所属层级", needed=True, values=Level),
    _of(
        "region",
        "行政区划代码",
        _D,
        "2、4、6、9或12位",
        "2, 4, 6, 9 or 12 digits",
        "区划代码",
        "所属区划",
        needed=True,
    ),
    _of("service_items", "关联事项实施编码", _L, f"可空；{_WAYS_ZH}", f"may be empty; {_WAYS_EN}", "实施编码", "关联事项"),
    _of("handling_items", "业务办理项编码", _L, f"可空；{_WAYS_ZH}", f"may be empty; {_WAYS_EN}", "业务办理项"),
    _of("licence_types", "证照类型代码", _L, f"可空；{_WAYS_ZH}", f"may be empty; {_WAYS_EN}", "证照类型", "关联证照类型"),
    _of(
        "field.secret",
        "信息项是否涉密",
        _F,
        "是或否，空着为否",
        "是 or 否; empty is 否",
        "信息项涉密标识",
        of_field=True,
    ),
    _of(
        "field.sharing_type",
        "信息项共享类型",
        _C,
        "与资源不同时填写",
        "where it is not the resource's",
        of_field=True,
        values=SharingType,
    ),
    _of("field.sharing_condition", "信息项共享条件", _T, "同上", "as above", of_field=True),
    _of(
        "field.sharing_basis_kind",
        "信息项不予共享依据类型",
        _C,
        "同上",
        "as above",
        of_field=True,
        values=BasisKind,
    ),
    _of("field.sharing_basis", "信息项不予共享依据", _T, "同上", "as above", of_field=True),
    _of("field.sharing_ways", "信息项共享方式", _L, "同上", "as above", of_field=True, values=SharingWay),
    _of("field.update_cycle", "信息项更新周期", _C, "同上", "as above", of_field=True, values=UpdateCycle),
)

WHOLE: Final = Column(
    "classification",
    "信息资源分类",
    Kind.DIGITS,
    "类、项、目、细目连写",
    "the four levels written together",
    also=("分类代码", "信息资源分类代码", "资源分类"),
)
"""A classification in one cell, instead of its four columns."""

LEVELS: Final = ("category", "item", "subject", "detail")
"""The keys of the four columns of a classification."""

IDENTITY: Final = ("name", "title", "code", "provider", "provider_code")
"""A row where one of these is another one than above begins another resource."""

HEADINGS: Final = Headings((*COLUMNS, WHOLE), "the catalogue")

BY_KEY: Final[Mapping[str, Column]] = MappingProxyType({column.key: column for column in HEADINGS.columns})

HELP_SHEET: Final = "填写说明 Instructions"
EXAMPLE_SHEET: Final = "示例 Example"
VALUES_SHEET: Final = "选项 Values"
PASSED_OVER: Final = frozenset({HELP_SHEET, EXAMPLE_SHEET, VALUES_SHEET})
"""Sheets of the template that hold no resources."""
