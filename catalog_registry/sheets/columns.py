"""Columns of a sheet as data, and headings as people write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from schemas.catalogue import Coded


class Kind(StrEnum):
    """What stands in the cells of a column."""

    TEXT = "text"
    DIGITS = "digits"  # kept as text: as a number it would lose zeros, or digits above 15
    NUMBER = "number"
    CODED = "coded"
    FLAG = "flag"
    DAY = "day"
    LIST = "list"
    LINES = "lines"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: ``key`` is its own in the sheet; ``also``: other headings that people use; ``zh``, ``en``: what to fill in.

    ``padded``: a shorter number gets zeros in front, as 项 and 目 have a fixed length. ``needed``: no sheet goes without it.
    ``of_field``: of one of the fields of a resource. ``exact``: a number in it is refused, which has lost its zeros in front.
    """

    key: str
    heading: str
    kind: Kind = Kind.TEXT
    zh: str = ""
    en: str = ""
    needed: bool = False
    of_field: bool = False
    also: tuple[str, ...] = ()
    values: type[Coded] | None = None
    padded: int = 0
    exact: bool = False


_LEFT_OUT: Final = re.compile(r"[\W_]+")
_MARKS: Final = re.compile(r"(必填|选填|可选|必选)$")


def normal(heading: str) -> str:
    """Return a heading as it is compared: width, case, blanks, brackets and marks such as * do not count."""
    return _MARKS.sub("", _LEFT_OUT.sub("", unicodedata.normalize("NFKC", heading)).lower())


class Headings:
    """The headings of a kind of sheet; ``what`` is whose they are, for a refusal."""

    def __init__(self, columns: Iterable[Column], what: str) -> None:
        self.columns = tuple(columns)
        self.what = what
        self.known: Mapping[str, Column] = {
            normal(heading): column for column in self.columns for heading in (column.heading, *column.also)
        }

    def of(self, text: str) -> Column | None:
        """Return the column of a heading, however it is written; None: it is none of them."""
        return self.known.get(normal(text))

    def unknown(self, text: str) -> str:
        """Return what is wrong with a heading that is none, and the one that is near it where there is one."""
        close = get_close_matches(normal(text), self.known, n=1, cutoff=0.5)
        near = f", near it is {self.known[close[0]].heading}" if close else ""
        return f"{text[:40]!r} is no heading of {self.what}{near}"


def letters(column: int) -> str:
    """Return the letters of a column, the first one, A, being 0."""
    made = ""
    while column >= 0:
        column, rest = divmod(column, 26)
        made = chr(ord("A") + rest) + made
        column -= 1
    return made
