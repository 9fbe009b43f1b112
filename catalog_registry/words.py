"""The words that the catalogue is searched by: what a text is found under, and what a question asks for. Pure.

PostgreSQL has no words of Chinese and ``pg_trgm`` does not see two characters, so a Chinese text is found under each pair of
characters that stand side by side, and under what it sounds like: ``yyzz`` and ``yingyezhizhao`` find 营业执照.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, product
from typing import Final

from schemas.errors import Fault, RejectedError

MAX_QUESTION: Final = 100
"""Characters of a question at most."""
MAX_TERMS: Final = 12
DEPARTMENT_MARK: Final = "@"
"""Stands before the words of a department's name, so that they can be taken out of a document again."""
TITLE_MARK: Final = "="
"""Stands before the words of what a thing is called."""
LINE_MARK: Final = "^"
"""Stands before the whole of it."""

_HAN: Final = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN: Final = re.compile(rf"[{_HAN}]+|[a-z0-9]+(?:[-_/.]+[a-z0-9]+)*")
_IS_HAN: Final = re.compile(rf"[{_HAN}]")
_JOINED: Final = re.compile(r"[-_/.]+")
_MOST_INITIALS: Final = 16
_MOST_LETTERS: Final = 40
_MOST_READINGS: Final = 4
_LONGEST: Final = 64
_NUMBER: Final = re.compile(r"\d{5}")
_BETWEEN_DIGITS: Final = re.compile(r"(?<=\d)\D{1,2}(?=\d)")

# Characters that titles of government data read in two ways, with the first letters of both. The reading in its context is
# found under in any case; these are found under the other one too, because people type either.
_TWO_WAYS: Final = {
    **dict.fromkeys("重长藏传曾朝查种", "cz"),
    **dict.fromkeys("校系降解", "jx"),
    **dict.fromkeys("单石", "ds"),
    **dict.fromkeys("调提弹", "dt"),
    **dict.fromkeys("参盛", "cs"),
    **dict.fromkeys("屏便", "bp"),
    "行": "hx",
    "会": "hk",
    "车": "cj",
    "乐": "ly",
    "率": "ls",
    "还": "hx",
    "给": "gj",
    "厦": "sx",
    "属": "sz",
    "卡": "kq",
}


def folded(text: str) -> str:
    """Return a text as it is compared: halfwidth, in small letters, one blank between words."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words_of(text: str) -> set[str]:
    """Return what a text is found under: pairs of Chinese characters, words and numbers, and the parts of joined ones."""
    found: set[str] = set()
    for run in _RUN.findall(folded(text)):
        if _IS_HAN.match(run):
            found.update(run[i : i + 2] for i in range(len(run)))  # the last one alone, for a question of one character
        else:
            found.add(run[:_LONGEST])
            found.update(part[:_LONGEST] for part in _JOINED.split(run))
    return found


def initials_of(text: str) -> set[str]:
    """Return the first letters of a text's Chinese runs, from each of their characters on, in each way of reading them."""
    found: set[str] = set()
    for run in _han_runs(text):
        found |= _initials(run)[0]
    return found


def pinyin_of(text: str) -> set[str]:
    """Return the pinyin of a text's Chinese runs, from each of their characters on."""
    found: set[str] = set()
    for run in _han_runs(text):
        read = _readings(run)
        found.update("".join(read[i:])[:_MOST_LETTERS] for i in range(len(read)))
    return found


def lines_of(title: str, *names: str) -> list[str]:
    """Return what a thing is called: a title, further names, the title's first letters and pinyin."""
    said = [folded(title), *(folded(name) for name in names)]
    for run in _han_runs(title):
        said += [*_initials(run)[1], "".join(_readings(run))]
    return said


def called_tokens(title: str, *names: str) -> set[str]:
    """Return the tokens that say what a thing is called, by which those that are called so come first."""
    words = words_of(title) | initials_of(title) | pinyin_of(title)
    for name in names:
        words |= words_of(name)
    return {TITLE_MARK + word for word in words} | {LINE_MARK + line[:MAX_QUESTION] for line in lines_of(title, *names)}


def looks_personal(text: str) -> bool:
    """Say whether a text has what may be the number of a person, a phone, an account, an enterprise, or an address of mail."""
    return "@" in text or _NUMBER.search(_BETWEEN_DIGITS.sub("", folded(text))) is not None


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched: ``text`` as it is compared, and its terms, all of which must be found."""

    text: str
    terms: tuple[str, ...]

    @property
    def tsquery(self) -> str:
        """The question as PostgreSQL's ``tsquery``: each term in what a document says, or in its department's name."""
        return " & ".join(f"({_asked(term, '')} | {_asked(term, DEPARTMENT_MARK)})" for term in self.terms)

    @property
    def places(self) -> tuple[str, str, str, str]:
        """Four questions, each hit answering one: it is called so, its name begins so, has all the terms, and the rest."""
        line = "'" + (LINE_MARK + self.text).replace("\\", "\\\\").replace("'", "''") + "'"
        called = " & ".join(_asked(term, TITLE_MARK) for term in self.terms)
        found = f"({self.tsquery})"
        return (
            f"{found} & {line}",
            f"{found} & {line}:* & !{line}",
            f"{found} & {called} & !{line}:*",
            f"{found} & !({called}) & !{line}:*",
        )


def read_question(text: str) -> Question | None:
    """Return the question of a text; None where it is blank, which asks for everything.

    Raises:
        RejectedError: it is too long, or has nothing in it to search by (``search.words``).
    """
    said = folded(text.replace("\0", " "))
    if not said:
        return None
    terms = tuple(dict.fromkeys(_RUN.findall(said)))
    if len(said) > MAX_QUESTION or len(terms) > MAX_TERMS or not terms:
        raise RejectedError(
            "there is nothing in it to search by" if not terms else "that is too much to search by",
            code="search.words",
            remedy=f"give at most {MAX_TERMS} words, {MAX_QUESTION} characters in all: Chinese, letters or digits",
            fault=Fault.CLIENT,
        )
    return Question(said, terms)


def _asked(term: str, mark: str) -> str:
    """Return what stands for a term: all pairs of a Chinese one, the beginning of another one."""
    if not _IS_HAN.match(term):
        return f"'{mark}{term[:_LONGEST]}':*"
    if len(term) == 1:
        return f"'{mark}{term}':*"
    return "(" + " & ".join(f"'{mark}{term[i : i + 2]}'" for i in range(len(term) - 1)) + ")"


def _han_runs(text: str) -> Iterator[str]:
    return (run for run in _RUN.findall(folded(text)) if _IS_HAN.match(run))


@lru_cache(maxsize=8192)
def _readings(run: str) -> tuple[str, ...]:
    """Return the pinyin of each character in its context; a character without one is left as it is."""
    from pypinyin import lazy_pinyin

    return tuple(lazy_pinyin(run, v_to_u=False))


@lru_cache(maxsize=8192)
def _initials(run: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the first letters from each character on, and those of the whole run: in its context first, then in other ways."""
    letters = [
        "".join(dict.fromkeys(read[:1] + _TWO_WAYS.get(char, ""))) for read, char in zip(_readings(run), run, strict=True)
    ]
    ways = [islice(product(*letters[i : i + _MOST_INITIALS]), _MOST_READINGS) for i in range(len(run))]
    from_each = [tuple("".join(way) for way in found) for found in ways]
    return frozenset(chain.from_iterable(from_each)), from_each[0]
