"""What results are counted under, in a few bytes of each document. Pure.

A search that finds half of a large catalogue counts all of it. PostgreSQL gives the bytes of all hits as one value, and they
are counted here, which is quicker than to group rows by eight columns.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from schemas.catalogue import CatalogueEntry, Category, SharingType, UpdateCycle, stale_from

_PACK: Final = struct.Struct(">HHBBBBIHH")  # provider, item, sharing type, cycle, format, quality, stale from, origin, none
WIDTH: Final = _PACK.size
"""Bytes of a document."""
_NEVER: Final = 0
_UNPROMISED: Final = 1
_NOTHING: Final = 0xFF
_NO_TIME: Final = 0xFFFFFFFF
MOST_FORMATS: Final = 255
MOST_PROVIDERS: Final = 0xFFFF
MOST_ORIGINS: Final = 0xFFFF


class Facet(StrEnum):
    """What results are counted under and narrowed by."""

    PROVIDER = "provider"
    CATEGORY = "category"
    ITEM = "item"
    SHARING_TYPE = "sharing_type"
    UPDATE_CYCLE = "update_cycle"
    FORMAT = "format"
    QUALITY = "quality"
    FRESHNESS = "freshness"
    ORIGIN = "origin"  # the other catalogue that a dataset comes from


class Quality(StrEnum):
    """The share of the rows of the last proved run that no rule set aside: all, 99 %, 95 %, less; or there was no run."""

    COMPLETE = "complete"
    HIGH = "high"
    FAIR = "fair"
    LOW = "low"
    UNKNOWN = "unknown"


class Freshness(StrEnum):
    """What the hub holds against the declared update cycle."""

    FRESH = "fresh"
    STALE = "stale"
    NEVER = "never"
    UNPROMISED = "unpromised"  # the cycle promises no time, or none is declared


_LEAST: Final = ((1.0, Quality.COMPLETE), (0.99, Quality.HIGH), (0.95, Quality.FAIR))
_QUALITIES: Final = tuple(Quality)


@dataclass(frozen=True, slots=True)
class Counted:
    """One value of a facet, and how many results have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Ran:
    """What the last proved run of a resource says: the instant that it holds, and how good its rows are."""

    as_of: datetime | None = None
    quality: Quality = Quality.UNKNOWN


COVER: Final = _PACK.pack(0, 0, int(SharingType.NOT_SHARED), 0, 0, _NOTHING, _NO_TIME, 0, 0)
"""The facets of a resource that is not shared, for others: that it is so, and nothing else."""


def packed(provider: int, format_: int, entry: CatalogueEntry | None, ran: Ran) -> bytes:
    """Return the facets of a document.

    Args:
        provider: the number of the department's code.
        format_: the number of the entry's format; 0: it has no entry.
        entry: what the catalogue says; None: nothing yet.
        ran: what the last proved run says.
    """
    quality, stale = _QUALITIES.index(ran.quality), _stale(None if entry is None else entry.update_cycle, ran.as_of)
    if entry is None:
        return _PACK.pack(provider, 0, 0, 0, 0, quality, stale, 0, 0)
    item = int(f"{entry.classification.category}{entry.classification.item}")
    return _PACK.pack(provider, item, int(entry.sharing.type), int(entry.update_cycle), format_, quality, stale, 0, 0)


def packed_of_others(origin: int) -> bytes:
    """Return the facets of a dataset of another catalogue: where it comes from, and nothing else."""
    return _PACK.pack(0, 0, 0, 0, 0, _NOTHING, _NO_TIME, origin, 0)


def with_run(facets: bytes, ran: Ran) -> bytes:
    """Return the facets of a document with what a later run says."""
    *static, _, _, origin, none = _PACK.unpack(facets)
    cycle = UpdateCycle(str(static[3])) if static[3] else None
    return _PACK.pack(*static, _QUALITIES.index(ran.quality), _stale(cycle, ran.as_of), origin, none)


def runs_told(facets: bytes, now: datetime) -> tuple[Quality, Freshness]:
    """Return what the facets of one document, no cover, say of its runs."""
    *_, quality, stale, _, _ = _PACK.unpack(facets)
    return _QUALITIES[quality], _freshness(stale, int(now.timestamp()))


def quality_in(facets: bytes) -> Quality:
    """Return what the facets of a document, no cover, say of the quality of its rows."""
    return _QUALITIES[int(facets[7])]


def quality_of(rows: int, set_aside: int) -> Quality:
    """Return the band of a run that read so many rows and set some of them aside; of one without rows nothing is known."""
    if not rows:
        return Quality.UNKNOWN
    good = 1 - set_aside / rows
    return next((quality for least, quality in _LEAST if good >= least), Quality.LOW)


def counted(data: bytes, words: Mapping[Facet, Mapping[int, str]], now: datetime) -> dict[Facet, tuple[Counted, ...]]:
    """Return how many of the documents have each value of each facet, the most frequent first.

    Args:
        data: the facets of all of them, one after the other.
        words: for ``PROVIDER``, ``FORMAT`` and ``ORIGIN``, the words of the numbers.
        now: the instant of the question.
    """
    return AllCounted(data, words).at(now)


def _counted(data: bytes, words: Mapping[Facet, Mapping[int, str]]) -> dict[Facet, dict[str, int]]:
    """Return how many have each value of the facets that no time changes."""
    providers, items, origins = (_numbers(data, "H", place) for place in (0, 1, 6))
    found: dict[Facet, dict[str, int]] = {facet: {} for facet in Facet}
    found[Facet.PROVIDER] = {word: providers[n] for n, word in words[Facet.PROVIDER].items() if n in providers}
    for item, count in items.items():
        if item:
            found[Facet.ITEM][str(item)] = count
            _add(found[Facet.CATEGORY], str(item // 100), count)
    found[Facet.SHARING_TYPE] = {kind.value: data[4::WIDTH].count(int(kind)) for kind in SharingType}
    found[Facet.UPDATE_CYCLE] = {cycle.value: data[5::WIDTH].count(int(cycle)) for cycle in UpdateCycle}
    formats = data[6::WIDTH]
    found[Facet.FORMAT] = {word: formats.count(n) for n, word in words[Facet.FORMAT].items()}
    qualities = data[7::WIDTH]
    found[Facet.QUALITY] = {quality.value: qualities.count(n) for n, quality in enumerate(Quality)}
    found[Facet.ORIGIN] = {word: origins[n] for n, word in words.get(Facet.ORIGIN, {}).items() if n in origins}
    return found


class AllCounted:
    """What is counted of documents, kept: only how fresh they are depends on the instant of the question.

    Args:
        data: the facets of all of them, one after the other.
        words: as of ``counted``.
    """

    def __init__(self, data: bytes, words: Mapping[Facet, Mapping[int, str]]) -> None:
        self.total = len(data) // WIDTH
        self._counts = _counted(data, words)
        numbers = array("I", memoryview(data).cast("I")[2 :: WIDTH // 4].tolist())
        if sys.byteorder == "little":
            numbers.byteswap()
        self._stale = array("I", sorted(n for n in numbers if n != _NO_TIME))

    def at(self, now: datetime) -> dict[Facet, tuple[Counted, ...]]:
        """Return how many have each value of each facet at an instant, the most frequent first."""
        stale = self._stale
        never, promised = bisect_right(stale, _NEVER), bisect_right(stale, _UNPROMISED)
        over = bisect_right(stale, int(now.timestamp()), lo=promised)
        fresh = {
            Freshness.NEVER: never,
            Freshness.UNPROMISED: promised - never,
            Freshness.STALE: over - promised,
            Freshness.FRESH: len(stale) - over,
        }
        found: dict[Facet, dict[str, int]] = self._counts | {Facet.FRESHNESS: {one.value: n for one, n in fresh.items()}}
        return {
            facet: tuple(Counted(value, n) for value, n in sorted(values.items(), key=lambda one: (-one[1], one[0])) if n)
            for facet, values in found.items()
        }


@dataclass(frozen=True, slots=True)
class Span:
    """Which bytes of the facets a value is, from the first, which is 1: equal to ``low``, or from it to before ``high``."""

    first: int
    low: bytes
    high: bytes | None = None


def span(facet: Facet, value: str, words: Mapping[Facet, Mapping[int, str]], now: datetime) -> Span | None:
    """Return where documents have a value of a facet; None: none has, for it is no word that was ever counted.

    Raises:
        ValueError: it is no value of the facet.
    """
    if facet in (Facet.PROVIDER, Facet.FORMAT, Facet.ORIGIN):
        number = next((n for n, word in words[facet].items() if word == value), None)
        if number is None:
            return None
        if facet is Facet.FORMAT:
            return Span(7, number.to_bytes(1))
        return Span(1 if facet is Facet.PROVIDER else 13, number.to_bytes(2))
    if facet is Facet.CATEGORY:
        first = int(Category(value)) * 100
        return Span(3, first.to_bytes(2), (first + 100).to_bytes(2))
    if facet is Facet.ITEM:
        if not (len(value) == 3 and value.isascii() and value.isdigit()):
            raise ValueError(value)
        return Span(3, int(value).to_bytes(2))
    if facet is Facet.SHARING_TYPE:
        return Span(5, int(SharingType(value)).to_bytes(1))
    if facet is Facet.UPDATE_CYCLE:
        return Span(6, int(UpdateCycle(value)).to_bytes(1))
    if facet is Facet.QUALITY:
        return Span(8, _QUALITIES.index(Quality(value)).to_bytes(1))
    at = int(now.timestamp()) + 1
    low, high = {
        Freshness.NEVER: (_NEVER, _NEVER + 1),
        Freshness.UNPROMISED: (_UNPROMISED, _UNPROMISED + 1),
        Freshness.STALE: (_UNPROMISED + 1, at),
        Freshness.FRESH: (at, _NO_TIME),
    }[Freshness(value)]
    return Span(9, low.to_bytes(4), high.to_bytes(4))


def _numbers(data: bytes, form: str, place: int) -> Counter[int]:
    """Return how often each number stands at a place, which is counted in numbers of its form."""
    numbers = memoryview(data).cast(form)  # type: ignore[call-overload]
    size = numbers.itemsize
    as_read = Counter(numbers[place :: WIDTH // size].tolist())
    return Counter({int.from_bytes(n.to_bytes(size, sys.byteorder), "big"): count for n, count in as_read.items()})


def _add(counts: dict[str, int], value: str, count: int) -> None:
    counts[value] = counts.get(value, 0) + count


def _stale(cycle: UpdateCycle | None, as_of: datetime | None) -> int:
    """Return the second from which it is stale; 0: nothing was collected; 1: no time is promised."""
    if as_of is None:
        return _NEVER
    stale = None if cycle is None else stale_from(cycle, as_of)
    return _UNPROMISED if stale is None else math.ceil(stale.timestamp())


def _freshness(stale: int, now_s: int) -> Freshness:
    if stale in (_NEVER, _UNPROMISED):
        return Freshness.UNPROMISED if stale else Freshness.NEVER
    return Freshness.FRESH if now_s < stale else Freshness.STALE
