"""The parts of a row filter, as frozen values, and the one text that each has. ``schemas.rowfilter`` says what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final, Literal

Value = str | bool | Decimal | date | time
"""A literal: text, true or false, a number, a day, an instant (``datetime`` in UTC), a time of day."""

Operator = Literal["=", "!=", "<", "<=", ">", ">="]

RESERVED: Final = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})
"""Words of the language; a field of such a name stands in double quotes."""

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")


def _place() -> int:
    """The column, from 1, at which a part stood in its text: for messages, no part of what it says."""
    at: int = dataclass_field(default=0, compare=False, repr=False)
    return at


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field beside a literal."""

    field: str
    operator: Operator
    value: Value
    at: int = _place()


@dataclass(frozen=True, slots=True)
class OneOf:
    """``field in (…)``, or ``field not in (…)``; at least one value."""

    field: str
    values: tuple[Value, ...]
    negated: bool = False
    at: int = _place()


@dataclass(frozen=True, slots=True)
class IsNull:
    """``field is null``, or ``field is not null``: the one term that is never unknown."""

    field: str
    negated: bool = False
    at: int = _place()


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary; of what is unknown, unknown."""

    of: Node


@dataclass(frozen=True, slots=True)
class And:
    """All of two parts or more, none of them an ``And``."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One at least of two parts or more, none of them an ``Or``."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In place of a text that cannot be read: unknown for every row."""


Term = Comparison | OneOf | IsNull
Node = Term | Not | And | Or | Unreadable


def terms(node: Node) -> Iterator[Term]:
    """Yield the terms of a filter, from left to right."""
    match node:
        case Not(of):
            yield from terms(of)
        case And(parts) | Or(parts):
            for part in parts:
                yield from terms(part)
        case Comparison() | OneOf() | IsNull():
            yield node
        case Unreadable():
            pass


def text_of(node: Node) -> str:
    """Return the canonical text: one blank between words, small keywords, no parenthesis that is not needed."""
    match node:
        case Comparison(name, operator, value):
            return f"{_name(name)} {operator} {literal(value)}"
        case OneOf(name, values, negated):
            return f"{_name(name)} {'not ' if negated else ''}in ({', '.join(map(literal, values))})"
        case IsNull(name, negated):
            return f"{_name(name)} is {'not ' if negated else ''}null"
        case Not(of):
            return f"not {_within(of) if isinstance(of, And | Or) else text_of(of)}"
        case And(parts):
            return " and ".join(_within(part) if isinstance(part, Or) else text_of(part) for part in parts)
        case Or(parts):
            return " or ".join(map(text_of, parts))
        case Unreadable():
            return ""


def literal(value: Value) -> str:
    """Return the text of a literal: an instant in UTC, a number without needless noughts."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            doubled = value.replace("'", "''")
            return f"'{doubled}'"
        case Decimal():
            return format(value, "f")
        case datetime():
            return f"timestamp '{value.isoformat().replace('+00:00', 'Z')}'"
        case date():
            return f"date '{value.isoformat()}'"
        case time():
            return f"time '{value.isoformat()}'"


def _within(node: Node) -> str:
    return f"({text_of(node)})"


def _name(field: str) -> str:
    return f'"{field}"' if field in RESERVED else field
