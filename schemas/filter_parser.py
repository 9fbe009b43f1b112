"""The text of a row filter becomes its parts, by recursive descent. Says what is wrong and in which column.

::

    filter     = all { "or" all }
    all        = one { "and" one }
    one        = "not" one | "(" filter ")" | field test
    test       = ( "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) value
               | [ "not" ] "in" "(" value { "," value } ")"
               | "is" [ "not" ] "null"
    value      = 'text' | number | true | false | date '2026-01-31' | time '08:30' | timestamp '2026-01-31 08:30+08:00'

Keywords in capitals are read as well. Two quotes in a text are one. A field that has the name of a keyword stands in double
quotes. A timestamp without an offset is China's. A message holds no text and no number of the filter: they may be private.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final, NamedTuple, NoReturn, get_args

from schemas.clock import CHINA
from schemas.errors import Fault, RejectedError
from schemas.filter_nodes import NAME, RESERVED, And, Comparison, IsNull, Node, Not, OneOf, Operator, Or, Value

MOST_TERMS: Final = 1_000
"""Literals, and tests for null, of one filter; each value of a list is one."""
MOST_DEPTH: Final = 50
"""Parentheses and ``not`` within one another."""
MOST_CHARACTERS: Final = 100_000
KEPT_TERMS: Final = 100_000
KEPT_CHARACTERS: Final = 10_000_000
"""The same of a filter that the registry keeps: those of the first release listed values without a limit."""

_TOKEN: Final = re.compile(
    r"""
    (?P<blank>\s+)
  | (?P<text>'[^']*(?:''[^']*)*')
  | (?P<number>-?[0-9]+(?:\.[0-9]+)?)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<quoted>"[A-Za-z0-9_]+")
  | (?P<sign><=|>=|!=|<>|[=<>(),])
    """,
    re.VERBOSE,
)
_OPERATORS: Final[dict[str, Operator]] = {**{sign: sign for sign in get_args(Operator)}, "<>": "!="}
_CLOCK: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONED: Final = re.compile(f"{_DAY}[ T]{_CLOCK} ?(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})?")
_WIDE: Final = "（），＝＜＞！“”‘’；。"
_FOUND: Final = {"text": "a text", "number": "a number", "word": "a word", "quoted": "a field's name", "end": "the end"}


class _Token(NamedTuple):
    kind: str
    text: str
    at: int
    """The column, from 1."""


def read(text: str, *, kept: bool = False) -> Node:
    """Return the parts of a filter.

    Args:
        text: what somebody wrote.
        kept: the registry keeps it already, so that it may be longer.

    Raises:
        RejectedError: the text is not of the language (``filter.syntax``), or says too much (``filter.too_large``).
    """
    most = KEPT_CHARACTERS if kept else MOST_CHARACTERS
    if len(text) > most:
        raise _too_large(f"{len(text)} characters; at most {most} are read")
    parser = _Parser(text, KEPT_TERMS if kept else MOST_TERMS)
    made = parser.any_of(0)
    if parser.here.kind != "end":
        parser.refuse("and, or, or the end")
    return made


class _Parser:
    """Reads one text from left to right; ``here`` is the token that is to be read next."""

    def __init__(self, text: str, most_terms: int) -> None:
        self._text = text
        self._most_terms = most_terms
        self._position = 0
        self._terms = 0
        self.here = self._token()

    def any_of(self, depth: int) -> Node:
        """Read parts with ``or`` between them."""
        parts = [self._all_of(depth)]
        while self._took("or"):
            parts.append(self._all_of(depth))
        flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,)))
        return parts[0] if len(parts) == 1 else Or(flat)

    def _all_of(self, depth: int) -> Node:
        parts = [self._one(depth)]
        while self._took("and"):
            parts.append(self._one(depth))
        flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,)))
        return parts[0] if len(parts) == 1 else And(flat)

    def _one(self, depth: int) -> Node:
        if depth > MOST_DEPTH:
            raise _too_large(f"more than {MOST_DEPTH} levels of parentheses and not", self.here.at)
        if self._took("not"):
            return Not(self._one(depth + 1))
        if self._took("("):
            inside = self.any_of(depth + 1)
            self._need(")", "and, or, or a closing parenthesis")
            return inside
        at = self.here.at
        return self._test(self._field(), at)

    def _test(self, name: str, at: int) -> Node:
        operator = _OPERATORS.get(self.here.text) if self.here.kind == "sign" else None
        if operator is not None:
            self._next()
            self._count()
            if self.here.kind == "word" and self.here.text.lower() == "null":
                self.refuse("a value", remedy="nothing compares with null: write is null, or is not null")
            return Comparison(name, operator, self._value(), at)
        if self._took("is"):
            negated = self._took("not")
            self._need("null", "null" if negated else "null, or not null")
            self._count()
            return IsNull(name, negated, at)
        negated = self._took("not")
        self._need("in", "in" if negated else "a comparison, in, or is null")
        self._need("(", "an opening parenthesis")
        values = [self._listed()]
        while self._took(","):
            values.append(self._listed())
        self._need(")", "a comma or a closing parenthesis")
        return OneOf(name, tuple(values), negated, at)

    def _listed(self) -> Value:
        self._count()
        return self._value()

    def _field(self) -> str:
        token = self.here
        if token.kind == "word" and token.text.lower() not in RESERVED and NAME.fullmatch(token.text):
            self._next()
            return token.text
        if token.kind == "quoted" and NAME.fullmatch(token.text[1:-1]):
            self._next()
            return token.text[1:-1]
        if token.kind == "word" and token.text.lower() in RESERVED:
            self.refuse("the name of a field", remedy="a field of the name of a keyword stands in double quotes")
        self.refuse("the name of a field", remedy="names of fields are of small letters, digits and _")

    def _value(self) -> Value:
        token = self.here
        word = token.text.lower() if token.kind == "word" else ""
        if token.kind == "text":
            return self._said()
        if token.kind == "number":
            self._next()
            return _number(token.text)
        if word in ("true", "false"):
            self._next()
            return word == "true"
        if word in _TYPED:
            self._next()
            form, made = _TYPED[word]
            if self.here.kind != "text":
                self.refuse(f"a text such as {form}")
            value = made(self._said())
            if value is None:
                raise _wrong(f"this is no {word}", token.at, f"write {word} {form}")
            return value
        self.refuse("a value", remedy="a text stands in single quotes" if token.kind in ("word", "quoted") else None)

    def _said(self) -> str:
        token = self.here
        value = token.text[1:-1].replace("''", "'")
        if "\0" in value or (not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value)):
            raise _wrong("a text holds a character that no row can hold", token.at)
        self._next()
        return value

    def _count(self) -> None:
        self._terms += 1
        if self._terms > self._most_terms:
            raise _too_large(f"more than {self._most_terms} terms", self.here.at)

    def _took(self, what: str) -> bool:
        """Say whether the next token is this word or sign, and go past it."""
        token = self.here
        if token.kind not in ("word", "sign") or token.text.lower() != what:
            return False
        self._next()
        return True

    def _need(self, what: str, expected: str) -> None:
        if not self._took(what):
            self.refuse(expected)

    def _next(self) -> None:
        self.here = self._token()

    def _token(self) -> _Token:
        while True:
            at = self._position
            if at == len(self._text):
                return _Token("end", "", at + 1)
            found = _TOKEN.match(self._text, at)
            if found is None:
                raise _unread(self._text[at], at + 1)
            self._position = found.end()
            if found.lastgroup != "blank":
                return _Token(str(found.lastgroup), found.group(), at + 1)

    def refuse(self, expected: str, *, remedy: str | None = None) -> NoReturn:
        """Raise ``RejectedError``: something else stands here."""
        token = self.here
        known = token.kind == "sign" or (token.kind == "word" and token.text.lower() in RESERVED)
        found = token.text if known else _FOUND[token.kind]
        raise _wrong(f"found {found} where {expected} was expected", token.at, remedy)


def _number(text: str) -> Decimal:
    """Return a number without needless noughts; made from text, since arithmetic would round it."""
    whole, _, part = text.lstrip("-").partition(".")
    plain = whole.lstrip("0") or "0"
    if part := part.rstrip("0"):
        plain += f".{part}"
    return Decimal(f"-{plain}" if text.startswith("-") and plain != "0" else plain)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(_DAY, text) else None
    except ValueError:
        return None


def _hour(text: str) -> time | None:
    return time.fromisoformat(text) if re.fullmatch(_CLOCK, text) else None


def _instant(text: str) -> datetime | None:
    if not _ZONED.fullmatch(text):
        return None
    day, clock = text[:10], text[11:]
    try:
        at = datetime.fromisoformat(f"{day}T{clock.replace(' ', '')}")
        return (at if at.tzinfo is not None else at.replace(tzinfo=CHINA)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


_TYPED: Final[dict[str, tuple[str, Callable[[str], Value | None]]]] = {
    "date": ("'2026-01-31'", _day),
    "time": ("'08:30:00'", _hour),
    "timestamp": ("'2026-01-31T08:30:00+08:00'", _instant),
}


def _unread(character: str, at: int) -> RejectedError:
    if character == "'":
        return _wrong("the text that begins here does not end", at, "end it with a single quote; a quote within is doubled")
    if character == '"':
        return _wrong("double quotes hold the name of a field", at, "a text stands in single quotes")
    if character in _WIDE:
        return _wrong("a full-width sign", at, "write the signs of the language in half width, as ( ) , = '")
    return _wrong("a character that the language does not have", at, "a text stands in single quotes")


def _wrong(what: str, at: int, remedy: str | None = None) -> RejectedError:
    return RejectedError(
        f"the row filter: {what}", code="filter.syntax", where=f"column {at}", remedy=remedy, fault=Fault.CLIENT
    )


def _too_large(what: str, at: int | None = None) -> RejectedError:
    return RejectedError(
        f"the row filter has {what}",
        code="filter.too_large",
        where=None if at is None else f"column {at}",
        remedy="choose by fewer terms",
        fault=Fault.CLIENT,
    )
