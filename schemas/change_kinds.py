"""What can change between two versions of a contract, what it is called, and whether it breaks who reads the rows.

One promise decides: **the new version promises at least what the old one did.** A reader was written for rows that keep the old
contract. As long as every row that the new one lets through keeps the old one as well, the reader can read it; so a rule that
becomes stricter is compatible, and one that becomes looser is breaking. What cannot be told by computing is breaking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Kind(StrEnum):
    """One kind of change; stable, for programs."""

    FIELD_ADDED_OPTIONAL = "field_added_optional"
    FIELD_ADDED_REQUIRED = "field_added_required"
    FIELD_REMOVED = "field_removed"
    FIELD_RENAMED = "field_renamed"
    FIELDS_REORDERED = "fields_reordered"
    SOURCE_COLUMN = "source_column"
    PHYSICAL_TYPE = "physical_type"
    FIELD_TITLE = "field_title"
    FIELD_DESCRIPTION = "field_description"
    TYPE_WIDENED = "type_widened"
    TYPE_NARROWED = "type_narrowed"
    TYPE_CHANGED = "type_changed"
    BECAME_REQUIRED = "became_required"
    BECAME_OPTIONAL = "became_optional"
    BECAME_PERSONAL = "became_personal"
    NO_LONGER_PERSONAL = "no_longer_personal"
    LOOKUP_ADDED = "lookup_added"
    LOOKUP_REMOVED = "lookup_removed"
    LENGTH_NARROWED = "length_narrowed"
    LENGTH_WIDENED = "length_widened"
    RULE_ADDED = "rule_added"
    RULE_TIGHTENED = "rule_tightened"
    RULE_LOOSENED = "rule_loosened"
    RULE_REMOVED = "rule_removed"
    RULE_CHANGED = "rule_changed"
    CODES_GROWN = "codes_grown"
    CODES_SHRUNK = "codes_shrunk"
    REPAIR_ADDED = "repair_added"
    REPAIR_REMOVED = "repair_removed"
    KEY_CHANGED = "key_changed"
    PARTITIONS_CHANGED = "partitions_changed"
    ROLE_ADDED = "role_added"
    ROLE_CHANGED = "role_changed"
    ROLE_REMOVED = "role_removed"
    STATUS_CHANGED = "status_changed"
    TITLE = "title"
    DESCRIPTION = "description"
    PROVIDER = "provider"
    PLACE = "place"
    CURSOR = "cursor"
    LIMITS = "limits"
    SCHEDULE = "schedule"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a kind of change is called, whether it is breaking, and why, for a department's officer."""

    title: str
    title_zh: str
    breaking: bool
    why: str
    why_zh: str


def _fine(title: str, title_zh: str, why: str, why_zh: str) -> Meaning:
    return Meaning(title, title_zh, False, why, why_zh)


def _breaks(title: str, title_zh: str, why: str, why_zh: str) -> Meaning:
    return Meaning(title, title_zh, True, why, why_zh)


_NOT_READ: Final = ("who reads the rows does not see it", "使用方读到的数据不受影响")
_SET_ASIDE: Final = (
    "who reads the rows meets only values that were allowed before; rows that do not keep it are set aside",
    "使用方只会读到原来就允许的值；不符合的行不再提供，退回提供方修正",
)
_UNEXPECTED: Final = (
    "values may come that were not allowed before, and a program may not be made for them",
    "可能出现原来不允许的值，使用方程序未必能处理",
)

MEANINGS: Final[Mapping[Kind, Meaning]] = MappingProxyType(
    {
        Kind.FIELD_ADDED_OPTIONAL: _fine(
            "field added, may be empty",
            "新增信息项（可空）",
            "nobody has it until it is granted; programs of today read on",
            "未授权前使用方看不到，现有程序不受影响",
        ),
        Kind.FIELD_ADDED_REQUIRED: _fine(
            "field added, required",
            "新增信息项（必填）",
            "nobody has it until it is granted; rows where it is empty are set aside",
            "未授权前使用方看不到，现有程序不受影响；该项为空的行不再提供",
        ),
        Kind.FIELD_REMOVED: _breaks(
            "field removed", "删除信息项", "a program that reads it finds it no more", "读取该信息项的程序将取不到值"
        ),
        Kind.FIELD_RENAMED: _breaks(
            "field renamed",
            "信息项改名",
            "the same column comes under another name; a program that reads the old name finds it no more",
            "同一列改用新名称提供，按旧名称读取的程序将取不到值",
        ),
        Kind.FIELDS_REORDERED: _breaks(
            "order of fields changed",
            "信息项顺序改变",
            "a program that reads columns by their place takes one for another",
            "按列的位置读取的程序会把列读错",
        ),
        Kind.SOURCE_COLUMN: _fine("column at the source renamed", "来源列名改变", *_NOT_READ),
        Kind.PHYSICAL_TYPE: _fine("type at the source changed", "来源列类型改变", *_NOT_READ),
        Kind.FIELD_TITLE: _fine("field's title changed", "信息项中文名称改变", *_NOT_READ),
        Kind.FIELD_DESCRIPTION: _fine("field's description changed", "信息项说明改变", *_NOT_READ),
        Kind.TYPE_WIDENED: _breaks(
            "type widened",
            "数据类型放宽",
            "values may come that have no room in the type of before",
            "可能出现原类型放不下的值",
        ),
        Kind.TYPE_NARROWED: _fine(
            "type narrowed",
            "数据类型收窄",
            "every value that comes has room in the type of before; rows with others are set aside",
            "提供的值原类型都放得下；放不下的行不再提供",
        ),
        Kind.TYPE_CHANGED: _breaks(
            "type changed",
            "数据类型改变",
            "values come in another form than a program reads",
            "值的形式改变，程序无法按原样读取",
        ),
        Kind.BECAME_REQUIRED: _fine(
            "became required",
            "改为必填",
            "it is never empty from now on; rows where it is are set aside",
            "不再为空；为空的行不再提供",
        ),
        Kind.BECAME_OPTIONAL: _breaks(
            "became optional",
            "改为可空",
            "it may be empty from now on, which a program may not be made for",
            "可能为空，使用方程序未必能处理",
        ),
        Kind.BECAME_PERSONAL: _breaks(
            "became personal",
            "改为个人信息",
            "it is sealed from now on: rows can no longer be chosen by it, and it needs a ground for personal data",
            "今后加密保存：不能再按其取值筛选，使用需有个人信息的依据",
        ),
        Kind.NO_LONGER_PERSONAL: _fine(
            "no longer personal",
            "不再是个人信息",
            "it is read as before, and rests in clear from now on: a security officer should agree",
            "读取方式不变，今后以明文保存，应经安全管理员确认",
        ),
        Kind.LOOKUP_ADDED: _fine(
            "look-up added", "新增按值核查", "rows can be looked up by it; nothing else changes", "可按该项核查，其他不变"
        ),
        Kind.LOOKUP_REMOVED: _breaks(
            "look-up removed", "取消按值核查", "rows can no longer be looked up by it", "不能再按该项核查"
        ),
        Kind.LENGTH_NARROWED: _fine("length narrowed", "长度收窄", *_SET_ASIDE),
        Kind.LENGTH_WIDENED: _breaks(
            "length widened",
            "长度放宽",
            "texts may come that are longer, or shorter, than a program has room for or expects",
            "可能出现超出原长度范围的值，使用方的列或程序未必容纳",
        ),
        Kind.RULE_ADDED: _fine("rule added", "新增校验规则", *_SET_ASIDE),
        Kind.RULE_TIGHTENED: _fine("rule tightened", "校验规则收紧", *_SET_ASIDE),
        Kind.RULE_LOOSENED: _breaks("rule loosened", "校验规则放宽", *_UNEXPECTED),
        Kind.RULE_REMOVED: _breaks("rule removed", "取消校验规则", *_UNEXPECTED),
        Kind.RULE_CHANGED: _breaks(
            "rule changed",
            "校验规则改变",
            "nobody can tell that each value of now was allowed before, so a program may meet others",
            "无法确定新的值原来都允许，使用方可能读到意外的值",
        ),
        Kind.CODES_GROWN: _breaks(
            "code list grown", "代码表增加", "codes may come that a program does not know", "可能出现使用方不认识的代码"
        ),
        Kind.CODES_SHRUNK: _fine("code list shrunk", "代码表减少", *_SET_ASIDE),
        Kind.REPAIR_ADDED: _fine(
            "repair added",
            "新增规整规则",
            "values come in one form where they came in several; each was allowed before",
            "值的写法更统一，均为原来允许的写法",
        ),
        Kind.REPAIR_REMOVED: _breaks(
            "repair removed",
            "取消规整规则",
            "values may come in forms that were mended before, such as with blanks around them",
            "可能出现原来已规整的写法（如首尾空格）",
        ),
        Kind.KEY_CHANGED: _breaks(
            "key changed",
            "主键改变",
            "rows are told apart otherwise, so what a program keeps by the old key no longer fits; register a resource of"
            " another name",
            "区分行的方式改变，使用方按原主键保存的数据对不上；请以新名称登记资源",
        ),
        Kind.PARTITIONS_CHANGED: _breaks(
            "number of partitions changed",
            "分区数改变",
            "the order in which changes of one row come would be lost; register a resource of another name",
            "同一行变更的先后顺序无法保证；请以新名称登记资源",
        ),
        Kind.ROLE_ADDED: _fine(
            "role added",
            "新增用途角色",
            "the hub can answer more from it; rows stay as they are",
            "平台可据此提供更多服务，数据本身不变",
        ),
        Kind.ROLE_CHANGED: _breaks(
            "role changed",
            "用途角色改变",
            "look-ups that rest on it may be answered otherwise, or refused",
            "依赖该角色的核查结果可能改变或被拒绝",
        ),
        Kind.ROLE_REMOVED: _breaks(
            "role removed", "取消用途角色", "look-ups that rest on it are no longer answered", "依赖该角色的核查将不再提供"
        ),
        Kind.STATUS_CHANGED: _fine("status changed", "合同状态改变", "the rows stay as they are", "数据本身不变"),
        Kind.TITLE: _fine("title changed", "资源名称改变", *_NOT_READ),
        Kind.DESCRIPTION: _fine("description changed", "资源摘要改变", *_NOT_READ),
        Kind.PROVIDER: _fine(
            "provider changed",
            "提供方改变",
            "another department or system answers for the rows, which stay as they are",
            "由其他部门或系统负责，数据本身不变",
        ),
        Kind.PLACE: _fine("place at the source changed", "数据来源位置改变", *_NOT_READ),
        Kind.CURSOR: _fine("way to find changes changed", "增量方式改变", *_NOT_READ),
        Kind.LIMITS: _fine("limits changed", "质量阈值改变", *_NOT_READ),
        Kind.SCHEDULE: _fine(
            "schedule changed",
            "更新时间改变",
            "the rows stay as they are and come at other times",
            "数据本身不变，更新的时间改变",
        ),
        Kind.DOCUMENT: _fine("other parts of the document changed", "合同文本其他部分改变", *_NOT_READ),
    }
)


# One change -------------------------------------------------------------------------------------------------------------

_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    ``attribute`` is one of ``Field``, or of ``DataContract`` where ``field`` is None. ``before`` and ``after`` are for people;
    None: absent. ``why`` is one sentence, ``why_zh`` the same in Chinese.
    """

    kind: Kind
    attribute: str
    field: str | None
    before: str | None
    after: str | None
    breaking: bool
    why: str
    why_zh: str

    @property
    def title(self) -> str:
        """What this kind of change is called."""
        return MEANINGS[self.kind].title

    @property
    def title_zh(self) -> str:
        """The same in Chinese."""
        return MEANINGS[self.kind].title_zh


def change(
    kind: Kind,
    attribute: str,
    field: str | None,
    before: object,
    after: object,
    *,
    breaking: bool | None = None,
    why: tuple[str, str] | None = None,
) -> Change:
    """Return a change of a kind, which says whether it is breaking and why unless ``breaking`` and ``why`` say otherwise."""
    meaning = MEANINGS[kind]
    words, words_zh = why or (meaning.why, meaning.why_zh)
    decided = meaning.breaking if breaking is None else breaking
    return Change(kind, attribute, field, shown(before), shown(after), decided, words, words_zh)


def shown(value: object) -> str | None:
    """Return a value of a contract for people."""
    if value is None or value == "" or value == ():
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
