"""The entry of a resource in the official catalogue 数据资源目录: the 12 core metadata of 发改高技术〔2017〕1272号, and what
practice adds to them. It stands beside the contract, which stays technical. ``schemas.catalogue_form`` reads and writes it.

Where the catalogue has a code for a value, the value here is that code; where it has a word only, the word.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

from schemas.clock import CHINA

MAX_PREFIX: Final = 40
"""Digits of a code before its sequence."""
_SEQUENCE_DIGITS: Final = 6  # at least: a longer number is not cut
_PREFIX: Final = re.compile(rf"[1-3][0-9]{{5,{MAX_PREFIX - 1}}}")
_CODE: Final = re.compile(rf"({_PREFIX.pattern})/([0-9]{{{_SEQUENCE_DIGITS},12}})")
_OLD_CODE: Final = re.compile(r"[0-9A-Z]{5,6}/[0-9A-Za-z]{1,40}")  # GB/T 21063.5: 前段码/后段码


class Coded(StrEnum):
    """A closed set of official values, each with its Chinese word."""

    zh: str

    def __new__(cls, value: str, zh: str = "") -> Self:
        """Make a member of its code and its word; where there is no code, the word is the value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.zh = zh or value
        return member

    @property
    def told(self) -> str:
        """The code and the word, for a person."""
        return self.value if self.value == self.zh else f"{self.value} {self.zh}"


class Category(Coded):
    """类: the first digit of a code. The source has the order; that they are numbered by it is inferred from real codes."""

    BASE = "1", "基础"
    THEME = "2", "主题"
    DEPARTMENT = "3", "部门"


class SharingType(Coded):
    """共享类型."""

    UNCONDITIONAL = "1", "无条件共享"
    CONDITIONAL = "2", "有条件共享"
    NOT_SHARED = "3", "不予共享"


class BasisKind(Coded):
    """What a resource that is not shared rests on 不予共享依据."""

    LAW = "1", "法律法规"
    POLICY = "2", "政策文件"
    SENSITIVE = "3", "敏感"
    OTHER = "4", "其他"


class SharingWay(Coded):
    """共享方式. The first three are ways of the sharing platform 共享平台."""

    API = "接口"
    TABLE = "库表"
    FILE = "文件"
    MAIL = "邮件"
    MEDIUM = "介质"


class UpdateCycle(Coded):
    """更新周期, by the numbers that products use."""

    IRREGULAR = "1", "不定时"
    REAL_TIME = "2", "实时"
    DAILY = "3", "每日"
    WEEKLY = "4", "每周"
    MONTHLY = "5", "每月"
    QUARTERLY = "6", "每季度"
    HALF_YEARLY = "7", "每半年"
    YEARLY = "8", "每年"
    OTHER = "9", "其他"


class Channel(Coded):
    """The network on which it is shared."""

    GOVERNMENT_NETWORK = "1", "政务外网"
    INTERNET = "2", "互联网"
    DEPARTMENT_NETWORK = "3", "部门专网"


class Secrecy(Coded):
    """Whether it holds state secrets."""

    SECRET = "涉密"
    NOT_SECRET = "非涉密"


class Level(Coded):
    """层级: the level of government whose resource it is. The source names the axis; the words are those of the five levels."""

    NATION = "国家级"
    PROVINCE = "省级"
    CITY = "市级"
    COUNTY = "县级"
    TOWNSHIP = "乡级"


@dataclass(frozen=True, slots=True)
class Classification:
    """信息资源分类: 类 (1 digit), 项 (2), 目 (3), 细目 (none, or more)."""

    category: Category
    item: str
    subject: str
    detail: str = ""

    @property
    def prefix(self) -> str:
        """The four written together: a code before its sequence."""
        return f"{self.category}{self.item}{self.subject}{self.detail}"


@dataclass(frozen=True, slots=True)
class Sharing:
    """共享属性. ``condition`` stands for a conditional type only, ``basis_kind`` and ``basis`` for one that is not shared."""

    type: SharingType
    condition: str | None = None
    basis_kind: BasisKind | None = None
    basis: str | None = None
    ways: tuple[SharingWay, ...] = ()


@dataclass(frozen=True, slots=True)
class InformationItem:
    """信息项: a field, by its name in the contract. ``sensitivity`` is 1 (least) to 4.

    ``sharing`` and ``update_cycle`` are None where they are the resource's.
    """

    name: str
    title: str
    data_type: str
    sensitivity: int
    length: int | None = None
    secret: bool = False
    primary_key: bool = False
    incremental_key: bool = False
    sharing: Sharing | None = None
    update_cycle: UpdateCycle | None = None


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """What the official catalogue says of a resource. Only ``read_entry`` makes one, so that what it says fits together.

    ``code`` is None until the registry gives one. ``provider`` is the department's name, ``provider_code`` its unified social
    credit code. ``region`` is a division code. ``related`` are codes of other resources.
    """

    classification: Classification
    title: str
    code: str | None
    provider: str
    provider_code: str
    abstract: str
    format: str
    fields: tuple[InformationItem, ...]
    sharing: Sharing
    open: bool
    open_condition: str | None
    update_cycle: UpdateCycle
    other_update_cycle: str | None
    published_on: date
    related: tuple[str, ...]
    channel: Channel
    secrecy: Secrecy
    level: Level
    region: str
    service_items: tuple[str, ...] = ()
    handling_items: tuple[str, ...] = ()
    licence_types: tuple[str, ...] = ()


def read_classification(prefix: str) -> Classification | None:
    """Return the classification that a code's digits before its sequence say; None where they say none."""
    if not _PREFIX.fullmatch(prefix):
        return None
    return Classification(Category(prefix[0]), prefix[1:3], prefix[3:6], prefix[6:])


def official_code(prefix: str, sequence: int) -> str:
    """Return the code 数据资源代码 of a classification and a number of its own: ``3070150500300/000001``."""
    return f"{prefix}/{sequence:0{_SEQUENCE_DIGITS}d}"


def read_code(text: str) -> tuple[str, int] | None:
    """Return the prefix and the sequence of a code; None where it is none of the form of ``official_code``."""
    found = _CODE.fullmatch(text)
    return None if found is None else (found[1], int(found[2]))


def is_code(text: str) -> bool:
    """Whether the text has the form of a resource's code: the present one, or the older one of GB/T 21063.5."""
    return bool(_CODE.fullmatch(text) or _OLD_CODE.fullmatch(text))


REAL_TIME_LAG: Final = timedelta(minutes=30)
"""How old 实时 may be: two turns of the shortest schedule of a collection, for the next one may be under way."""

_DAYS: Final[Mapping[UpdateCycle, int]] = MappingProxyType({UpdateCycle.DAILY: 1, UpdateCycle.WEEKLY: 7})
_MONTHS: Final[Mapping[UpdateCycle, int]] = MappingProxyType(
    {UpdateCycle.MONTHLY: 1, UpdateCycle.QUARTERLY: 3, UpdateCycle.HALF_YEARLY: 6, UpdateCycle.YEARLY: 12}
)


def fresh(cycle: UpdateCycle, last_as_of: datetime | None, now: datetime) -> bool | None:
    """Say whether what the hub holds is as fresh as the catalogue declares; None where the cycle promises no time.

    The days are China's. What is of one day is fresh to the end of the day one cycle later: of a daily resource, yesterday's
    is; of a monthly one, that of 31 January is to the end of 28 February. What was never collected is not fresh.

    Args:
        cycle: the declared update cycle.
        last_as_of: the instant whose state of the source the hub's last good run holds; None: there is none.
        now: the instant of the question.
    """
    if cycle in (UpdateCycle.IRREGULAR, UpdateCycle.OTHER):
        return None
    if last_as_of is None:
        return False
    stale = stale_from(cycle, last_as_of)
    return stale is not None and now < stale


def stale_from(cycle: UpdateCycle, as_of: datetime) -> datetime | None:
    """Return the first instant at which it is no longer fresh, as ``fresh`` says; None where the cycle promises no time."""
    if cycle in (UpdateCycle.IRREGULAR, UpdateCycle.OTHER):
        return None
    if cycle is UpdateCycle.REAL_TIME:
        return as_of + REAL_TIME_LAG + timedelta(microseconds=1)
    day = as_of.astimezone(CHINA).date()
    last = _months_on(day, _MONTHS[cycle]) if cycle in _MONTHS else day + timedelta(days=_DAYS[cycle])
    return datetime.combine(last + timedelta(days=1), time(), CHINA)


def _months_on(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
