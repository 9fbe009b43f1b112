"""Service items 事项 and their codes: the item as one body performs it, with its elements, its materials, its ways of handling.

Names and values are those of the item catalogue's tables (``up_task_general_basic`` and its family). Where a value has a code
there, the value here is that code; where only a word is known, the word. ``schemas.item_form`` reads and writes documents.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from schemas.catalogue import Coded
from schemas.codes import item_basic_code, item_code
from schemas.errors import Fault, RejectedError

IMPLEMENTATION: Final = "implementation"
"""The code type of a national implementation code 实施编码."""
LEGACY: Final = "legacy"
"""The code type of an older local code, where nobody said which."""

_LIKE_IMPLEMENTATION: Final = re.compile(r"[0-9A-Z]{17,18}[1-9][0-9A-Z]{12}")
_HANDLING: Final = re.compile(r"([0-9A-Z]{31})[0-9A-Za-z_-]{1,19}")
_OPAQUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_CODE_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


class CodeKind(StrEnum):
    """What a code names: an item as a body performs it, one way of handling it, what all bodies perform, or it is old."""

    IMPLEMENTATION = "implementation"
    HANDLING = "handling"
    BASIC = "basic"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True)
class ItemCode:
    """A code and its parts: credit code 18, level 1, basic code 12. An old local code is opaque and has none."""

    text: str
    kind: CodeKind
    item: str
    """The implementation code in it, or the whole of an old one."""
    credit_code: str | None = None
    level: str | None = None
    basic: str | None = None


def read_item_code(text: str) -> ItemCode:
    """Return a code with its parts.

    Raises:
        RejectedError: it is no code at all, or one of 31 characters whose credit code has a wrong check character: such a
            one is not taken for an old code (``item.code``).
    """
    handling = _HANDLING.fullmatch(text)
    whole = handling[1] if handling is not None else text
    if item_code(whole):
        kind = CodeKind.HANDLING if handling is not None else CodeKind.IMPLEMENTATION
        return ItemCode(text, kind, whole, whole[:18], whole[18], whole[19:])
    if _LIKE_IMPLEMENTATION.fullmatch(text) and len(text) == 31:
        raise _no_code(f"the credit code in {text} has a wrong form or check character")
    if item_basic_code(text):
        return ItemCode(text, CodeKind.BASIC, text, basic=text)
    if not _OPAQUE.fullmatch(text):
        raise _no_code(f"{text[:64]!r} is no code of an item: letters, digits, _ . -, at most 64")
    return ItemCode(text, CodeKind.LEGACY, text)


def is_code_type(text: str) -> bool:
    """Say whether a text can be the type tag of a code, such as ``legacy`` or ``gd_hall_2013``."""
    return bool(_CODE_TYPE.fullmatch(text))


def item_of(code: str) -> str:
    """Return the item that a code names: of a way of handling, the item that it is a way of."""
    found = _HANDLING.fullmatch(code)
    return found[1] if found is not None and item_code(found[1]) else code


def _no_code(why: str) -> RejectedError:
    return RejectedError(why, code="item.code", remedy="look the code up in the item catalogue", fault=Fault.CLIENT)


class ItemType(Coded):
    """事项类型. That they are numbered so is common knowledge; the standard's text was not read."""

    PERMIT = "01", "行政许可"
    PENALTY = "02", "行政处罚"
    COERCION = "03", "行政强制"
    LEVY = "04", "行政征收"
    BENEFIT = "05", "行政给付"
    INSPECTION = "06", "行政检查"
    CONFIRMATION = "07", "行政确认"
    REWARD = "08", "行政奖励"
    RULING = "09", "行政裁决"
    OTHER_POWER = "10", "其他行政权力"
    PUBLIC_SERVICE = "20", "公共服务"


class ItemStatus(Coded):
    """事项状态, as its catalogue says it."""

    IN_USE = "1", "在用"
    SUSPENDED = "2", "暂停"


class Served(Coded):
    """服务对象."""

    PERSON = "1", "自然人"
    ORGANISATION = "2", "法人"


class Handling(Coded):
    """办件类型."""

    AT_ONCE = "1", "即办件"
    PROMISED = "2", "承诺件"
    JOINT = "3", "联办件"
    REPORTED = "4", "上报件"


class LimitUnit(Coded):
    """The unit of a limit. Codes are known of the first two only."""

    WORKING_DAY = "G", "工作日"
    CALENDAR_DAY = "Z", "自然日"
    HOUR = "小时"
    MONTH = "个月"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of time 时限."""

    number: int
    unit: LimitUnit

    def __str__(self) -> str:
        """The limit as people read it."""
        return f"{self.number} {self.unit.zh}"


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which an item is handled 业务办理项."""

    code: str
    name: str
    at_centre: bool | None = None
    online: bool | None = None
    online_depth: str | None = None
    result_type: str | None = None
    result_name: str | None = None
    address: str | None = None
    hours: str | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """A document that an applicant must hand in 申请材料."""

    code: str
    name: str
    needed: bool = True
    type: str | None = None
    format: str | None = None
    source: str | None = None
    pages: int | None = None
    form: str | None = None
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question that people ask 常见问题, and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class ServiceItem:
    """A service item as one body performs it 实施清单.

    ``body_code`` is the body's credit code; ``source_version`` is the number that its own catalogue gives the version.
    """

    code: str
    code_type: str
    name: str
    body: str
    basic_code: str | None = None
    body_code: str | None = None
    body_type: str | None = None
    item_type: ItemType | None = None
    status: ItemStatus = ItemStatus.IN_USE
    source_version: int | None = None
    level: str | None = None
    power_source: str | None = None
    by_law: str | None = None
    served: Served | None = None
    handling: Handling | None = None
    statutory: Limit | None = None
    promised: Limit | None = None
    accept_condition: str | None = None
    flow: str | None = None
    special_procedure: str | None = None
    fee: bool | None = None
    fees: tuple[str, ...] = ()
    visits: int | None = None
    online_depth: str | None = None
    handle_area: str | None = None
    address: str | None = None
    hours: str | None = None
    contact: str | None = None
    supervision: str | None = None
    topics: tuple[str, ...] = ()
    effective_on: date | None = None
    cancelled_on: date | None = None
    ways: tuple[Way, ...] = ()
    materials: tuple[Material, ...] = ()
    questions: tuple[Question, ...] = ()
