"""Names that nobody bears, from fixed lists: a person's holds ``拟名``, a company's ``拟企``; a test finds any that leaked."""

from __future__ import annotations

from typing import Final

PERSON_MARK: Final = "拟名"
COMPANY_MARK: Final = "拟企"
OFFICER_MARK: Final = "拟员"
MARKS: Final = (PERSON_MARK, COMPANY_MARK, OFFICER_MARK)

_STEMS: Final = "甲乙丙丁戊己庚辛壬癸"
_BRANCHES: Final = "子丑寅卯辰巳午未申酉戌亥"
CYCLE: Final = tuple(_STEMS[i % 10] + _BRANCHES[i % 12] for i in range(60))
_TRADES: Final = (
    "食品店",
    "商行",
    "餐饮有限公司",
    "大药房",
    "五金经营部",
    "建筑工程有限公司",
    "农业专业合作社",
    "运输有限公司",
    "医疗器械有限公司",
    "幼儿园",
)

PEOPLE: Final = (*(PERSON_MARK + c for c in CYCLE), *(f"{PERSON_MARK}·{c}" for c in CYCLE[:6]))
COMPANIES: Final = tuple(f"曲江{COMPANY_MARK}{c}{trade}" for c in CYCLE for trade in _TRADES)
OFFICERS: Final = tuple(OFFICER_MARK + c for c in CYCLE[:24])
