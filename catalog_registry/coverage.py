"""Which items are in the register as they must be 应进必进: against a list of basic codes, or against what is there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from catalog_registry.item_life import ItemState
from catalog_registry.item_records import ItemRecord
from schemas.codes import item_basic_code
from schemas.errors import Fault, RejectedError
from schemas.item import ServiceItem

_LINE: Final = re.compile(r"\s*([^,;\s#]+)\s*(?:[,;\t]\s*([^#]*?))?\s*(?:#.*)?")
_MOST: Final = 50_000
_SHOWN: Final = 10


class Lack(StrEnum):
    """What an item that must be in lacks."""

    MISSING = "missing"
    IMPLEMENTATION = "implementation"
    MATERIALS = "materials"
    HANDBOOK = "handbook"
    LIMITS = "limits"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A basic code that must be in, and who must have it; None: nobody said."""

    basic_code: str
    department: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """What one item lacks; ``item`` is None where no body performs it."""

    basic_code: str
    item: str | None
    name: str | None
    department: str | None
    lacks: tuple[Lack, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """The items of a department: how many must be in, how many are whole, how many lack what."""

    department: str | None
    wanted: int
    whole: int
    lacks: Mapping[Lack, int]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The report: a tally for each department, and every gap."""

    departments: Sequence[Tally]
    gaps: Sequence[Gap]

    @property
    def wanted(self) -> int:
        """How many items must be in."""
        return sum(one.wanted for one in self.departments)

    @property
    def whole(self) -> int:
        """How many of them are in with all that they need."""
        return sum(one.whole for one in self.departments)


def read_wanted(text: str, *, where: str | None = None) -> tuple[Wanted, ...]:
    """Return the basic codes of a list: one a line, with the department's code behind a comma where it is known.

    Raises:
        RejectedError: a line has no basic code (``coverage.list``); the first of them are named by their numbers.
    """
    found: dict[str, Wanted] = {}
    wrong: list[str] = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = _LINE.fullmatch(line)
        if parts is None or not item_basic_code(parts[1]):
            wrong.append(f"line {number}: no basic code, 12 digits or capital letters")
        elif parts[1] in found:
            wrong.append(f"line {number}: {parts[1]} stands there twice")
        else:
            found[parts[1]] = Wanted(parts[1], parts[2] or None)
    if len(found) > _MOST:
        wrong.append(f"more than {_MOST} codes")
    if wrong or not found:
        told = "; ".join(wrong[:_SHOWN]) or "it has no code"
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise RejectedError(f"the list is wrong: {told}{more}", code="coverage.list", where=where, fault=Fault.CLIENT)
    return tuple(found.values())


def coverage(
    items: Iterable[tuple[ItemRecord, ServiceItem]],
    handbooks: Mapping[str, int],
    wanted: Sequence[Wanted] | None = None,
    *,
    department: str | None = None,
) -> Coverage:
    """Return which items lack what.

    Args:
        items: all of the register, with their newest elements.
        handbooks: item → version of its handbook.
        wanted: the basic codes that must be in; None: what is in the register must be whole.
        department: only what is this department's.
    """
    names = None if wanted is None else {one.basic_code for one in wanted}
    gaps: list[Gap] = []
    counted: dict[str | None, list[tuple[Lack, ...]]] = {}
    seen: set[str | None] = set()
    for record, item in items:
        if record.state is ItemState.ENDED or (names is not None and record.basic_code not in names):
            continue
        seen.add(record.basic_code)
        lacks = _lacks(item, record.code in handbooks)
        _count(
            counted,
            gaps,
            record.department,
            lacks,
            Gap(record.basic_code or "", record.code, record.name, record.department, lacks),
        )
    for one in wanted or ():
        if one.basic_code not in seen:
            lacks = (Lack.MISSING,)
            _count(counted, gaps, one.department, lacks, Gap(one.basic_code, None, None, one.department, lacks))
    tallies = [
        Tally(
            name,
            len(found),
            sum(not lacks for lacks in found),
            {lack: count for lack in Lack if (count := sum(lack in lacks for lacks in found))},
        )
        for name, found in sorted(counted.items(), key=lambda pair: (pair[0] is None, pair[0] or ""))
        if department in (None, name)
    ]
    return Coverage(tallies, [gap for gap in gaps if department in (None, gap.department)])


def _count(
    counted: dict[str | None, list[tuple[Lack, ...]]],
    gaps: list[Gap],
    department: str | None,
    lacks: tuple[Lack, ...],
    gap: Gap,
) -> None:
    counted.setdefault(department, []).append(lacks)
    if lacks:
        gaps.append(gap)


def _lacks(item: ServiceItem, has_handbook: bool) -> tuple[Lack, ...]:
    there = {
        Lack.IMPLEMENTATION: bool(item.ways),
        Lack.MATERIALS: bool(item.materials),
        Lack.HANDBOOK: has_handbook,
        Lack.LIMITS: item.statutory is not None and item.promised is not None,
    }
    return tuple(lack for lack, found in there.items() if not found)
