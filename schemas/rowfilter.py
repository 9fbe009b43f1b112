"""Row filters: which rows a grant, or a question, means. A small declared language, never a piece of SQL.

``town in ('马坝镇', '樟市镇') and not (state = '03' or ends_on < date '2026-01-01')``: fields of the contract beside literals,
with ``= != < <= > >=``, ``in``, ``is null``, ``and``, ``or``, ``not`` and parentheses. Its grammar: ``schemas.filter_parser``.

The logic is SQL's, of three values: what is compared with null is unknown, so is its contrary, and a row is chosen only where
the whole is true. Texts compare by code point, whatever the database's language. ``holds`` decides one row, ``mask`` a batch,
``exchange.trust.filter_sql`` has the database decide; for a filter that fits the contract the three choose the same rows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property, lru_cache, reduce
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import Fault, RejectedError
from schemas.filter_nodes import (
    And,
    Comparison,
    IsNull,
    Node,
    Not,
    OneOf,
    Operator,
    Or,
    Term,
    Unreadable,
    Value,
    terms,
    text_of,
)
from schemas.filter_parser import read
from schemas.types import decimal_shape

Row = Mapping[str, Any]
Truth = bool | None
"""None: unknown."""


@dataclass(frozen=True)
class Filter:
    """A filter as read. ``text`` is its canonical text, by which filters are equal; ``parse(text)`` gives it again."""

    text: str
    root: Node = dataclass_field(compare=False, repr=False)

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names of the fields that it chooses by."""
        return frozenset(term.field for term in terms(self.root))

    @cached_property
    def truth(self) -> Callable[[Row], Truth]:
        """Decides one row: true, false, or None for unknown."""
        return _decider(self.root)

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Filter:
    """Return the filter that a text says.

    Raises:
        RejectedError: the text is not of the language (``filter.syntax``, with the column), or has more than 1,000 terms or 50
            levels (``filter.too_large``).
    """
    root = read(text)
    return Filter(text_of(root), root)


@lru_cache(maxsize=4096)
def kept_filter(text: str) -> Filter:
    """Return the filter of a text that the registry keeps. One that cannot be read chooses no row, and says so to ``check``:
    a grant with a broken filter must not stop the others, nor let anything through.
    """
    try:
        root = read(text, kept=True)
    except RejectedError:
        return Filter(text, Unreadable())
    return Filter(text_of(root), root)


# The contract -----------------------------------------------------------------------------------------------------------


def check(filter: Filter, contract: DataContract, *, allowed: Collection[str] | None = None) -> Filter:
    """Return the filter, which then chooses rows of the contract.

    Args:
        filter: as read.
        contract: whose rows it is to choose.
        allowed: the names of the fields that it may choose by; None: all that are not sealed.

    Raises:
        RejectedError: a field is unknown (``filter.unknown_field``, near names told), sealed (``filter.sealed``) or not among
            those allowed (``filter.not_allowed``); a literal is none that the field can hold, or the field has no order to
            compare by (``filter.type``); the text cannot be read (``filter.syntax``).
    """
    if (problem := _problem(filter, contract, allowed)) is not None:
        raise problem
    return filter


def fits(filter: Filter, contract: DataContract) -> bool:
    """Say whether ``check`` would return the filter. One that does not fit must choose no row."""
    return _problem(filter, contract, None) is None


def _problem(filter: Filter, contract: DataContract, allowed: Collection[str] | None) -> RejectedError | None:
    if isinstance(filter.root, Unreadable):
        return RejectedError("the row filter cannot be read", code="filter.syntax", remedy="write it anew", fault=Fault.CLIENT)
    here = {f.name: f for f in contract.fields}
    usable = [f.name for f in contract.clear if allowed is None or f.name in allowed]
    for term in terms(filter.root):
        name, where = term.field, f"column {term.at}" if term.at else None
        field = here.get(name)
        if field is None:
            close = get_close_matches(name, usable, n=3)
            near = f"; near it: {', '.join(close)}" if close else ""
            return RejectedError(
                f"{contract.name} has no field {name!r}{near}", code="filter.unknown_field", where=where, fault=Fault.CLIENT
            )
        if field.personal:
            return RejectedError(
                f"field {name} is sealed, so rows cannot be chosen by it", code="filter.sealed", where=where, fault=Fault.CLIENT
            )
        if name not in usable:
            return RejectedError(
                f"field {name} is not granted, so rows cannot be chosen by it",
                code="filter.not_allowed",
                where=where,
                fault=Fault.CLIENT,
            )
        if (wrong := _misfit(term, field)) is not None:
            return RejectedError(f"field {name} {wrong}", code="filter.type", where=where, fault=Fault.CLIENT)
    return None


def _misfit(term: Term, field: Field) -> str | None:
    """Return why a term does not fit the field's type, without its literals."""
    kind = field.logical_type
    if isinstance(term, IsNull):
        return None
    if kind not in _EXPECTED:
        return f"is of type {kind}, which is only tested with is null and is not null"
    if isinstance(term, Comparison) and kind is LogicalType.BOOLEAN and term.operator not in ("=", "!="):
        return "is true or false and has no order: = and != were expected"
    for value in (term.value,) if isinstance(term, Comparison) else term.values:
        if not _can_hold(field, value):
            shape = ""
            if kind is LogicalType.NUMBER:
                shape = " of at most {} digits, {} of them after the point".format(*decimal_shape(field))
            return f"is of type {kind} and cannot hold this value: expected {_EXPECTED[kind]}{shape}"
    return None


_EXPECTED: Final[Mapping[LogicalType, str]] = {
    LogicalType.STRING: "a text in single quotes",
    LogicalType.INTEGER: "a whole number of 64 bits",
    LogicalType.NUMBER: "a number",
    LogicalType.BOOLEAN: "true or false",
    LogicalType.DATE: "a day such as date '2026-01-31'",
    LogicalType.TIMESTAMP: "an instant such as timestamp '2026-01-31T08:30:00+08:00'",
    LogicalType.TIME: "a time of day such as time '08:30:00'",
}
_PYTHON: Final[Mapping[LogicalType, type]] = {
    LogicalType.STRING: str,
    LogicalType.INTEGER: Decimal,
    LogicalType.NUMBER: Decimal,
    LogicalType.BOOLEAN: bool,
    LogicalType.DATE: date,
    LogicalType.TIMESTAMP: datetime,
    LogicalType.TIME: time,
}


def _can_hold(field: Field, value: Value) -> bool:
    if type(value) is not _PYTHON[field.logical_type]:
        return False
    if not isinstance(value, Decimal) or value == 0:
        return True
    digits, exponent = len(value.as_tuple().digits), int(value.as_tuple().exponent)
    if field.logical_type is LogicalType.INTEGER:
        return exponent == 0 and -(2**63) <= value < 2**63
    precision, scale = decimal_shape(field)
    return -exponent <= scale and digits + exponent <= precision - scale


# One row ----------------------------------------------------------------------------------------------------------------


def holds(filter: Filter, row: Row) -> bool:
    """Say whether the filter is true for a row; unknown is not.

    Args:
        filter: a filter that fits the row's contract.
        row: field → value, as a driver of PostgreSQL or Arrow gives it. A value of another type than its literal is unknown.

    Raises:
        KeyError: the row has not a field that the decision needs.
    """
    return filter.truth(row) is True


def _decider(node: Node) -> Callable[[Row], Truth]:
    match node:
        case Comparison(name, sign, value):
            comparable, compare = _COMPARABLE[type(value)], _COMPARE[sign]

            def compared(row: Row) -> Truth:
                held = row[name]
                return compare(held, value) if comparable(held) else None

            return compared
        case OneOf(name, values, negated):
            comparable, listed = _COMPARABLE[type(values[0])], frozenset(values)

            def found(row: Row) -> Truth:
                held = row[name]
                return (held in listed) is not negated if comparable(held) else None

            return found if len({type(value) for value in values}) == 1 else _unknown
        case IsNull(name, negated):
            return lambda row: (row[name] is None) is not negated
        case Not(of):
            return _contrary(_decider(of))
        case And(parts):
            return _all(tuple(map(_decider, parts)))
        case Or(parts):
            return _contrary(_all(tuple(_contrary(_decider(part)) for part in parts)))
        case Unreadable():
            return _unknown


def _unknown(row: Row) -> Truth:
    return None


def _contrary(decide: Callable[[Row], Truth]) -> Callable[[Row], Truth]:
    def contrary(row: Row) -> Truth:
        truth = decide(row)
        return None if truth is None else not truth

    return contrary


def _all(parts: tuple[Callable[[Row], Truth], ...]) -> Callable[[Row], Truth]:
    def every(row: Row) -> Truth:
        all_known = True
        for part in parts:
            truth = part(row)
            if truth is False:
                return False
            all_known = all_known and truth is not None
        return True if all_known else None

    return every


_COMPARE: Final[Mapping[Operator, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

# Exact types: True is not 1 here, an instant is not a day, and an instant without a zone is no instant.
_COMPARABLE: Final[Mapping[type, Callable[[Any], bool]]] = {
    str: lambda held: type(held) is str,
    bool: lambda held: type(held) is bool,
    Decimal: lambda held: type(held) is int or (type(held) is Decimal and held.is_finite()),
    date: lambda held: type(held) is date,
    datetime: lambda held: type(held) is datetime and held.tzinfo is not None,
    time: lambda held: type(held) is time and held.tzinfo is None,
}


# A batch ----------------------------------------------------------------------------------------------------------------


def mask(filter: Filter, rows: pa.RecordBatch) -> pa.Array:
    """Return, for each row of a batch, whether the filter is true (Arrow bool, no nulls).

    Args:
        filter: a filter that fits the batch's contract.
        rows: columns of ``schemas.types.arrow_type``. A column of another type than its literal is unknown.

    Raises:
        KeyError: the batch has not a field of the filter.
    """
    return pc.fill_null(_truths(filter.root, rows), False)


def _truths(node: Node, rows: pa.RecordBatch) -> pa.Array:
    match node:
        case Comparison(name, sign, value):
            column = rows.column(name)
            literal = _scalars((value,), column.type)
            return _unknowns(rows) if literal is None else _ARROW[sign](column, literal[0])
        case OneOf(name, values, negated):
            column = rows.column(name)
            listed = _scalars(values, column.type)
            if listed is None:
                return _unknowns(rows)
            found = pc.is_in(column, listed)
            return pc.if_else(column.is_valid(), pc.invert(found) if negated else found, pa.scalar(None, pa.bool_()))
        case IsNull(name, negated):
            column = rows.column(name)
            return column.is_valid() if negated else column.is_null()
        case Not(of):
            return pc.invert(_truths(of, rows))
        case And(parts):
            return reduce(pc.and_kleene, (_truths(part, rows) for part in parts))
        case Or(parts):
            return reduce(pc.or_kleene, (_truths(part, rows) for part in parts))
        case Unreadable():
            return _unknowns(rows)


def _unknowns(rows: pa.RecordBatch) -> pa.Array:
    return pa.nulls(rows.num_rows, pa.bool_())


def _scalars(values: Iterable[Value], kind: pa.DataType) -> pa.Array | None:
    """Return literals as values of a column's type; None where one is none of them."""
    made = list(values)
    if not all(_IS_OF[type(value)](kind) for value in made):
        return None
    if pa.types.is_integer(kind):
        whole = [int(value) for value in made if isinstance(value, Decimal) and value.as_tuple().exponent == 0]
        return pa.array(whole, kind) if len(whole) == len(made) else None
    return pa.array(made, kind)


_ARROW: Final[Mapping[Operator, Callable[[Any, Any], pa.Array]]] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_IS_OF: Final[Mapping[type, Callable[[pa.DataType], bool]]] = {
    str: pa.types.is_string,
    bool: pa.types.is_boolean,
    Decimal: lambda kind: pa.types.is_integer(kind) or pa.types.is_decimal(kind),
    date: pa.types.is_date32,
    datetime: lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None,
    time: pa.types.is_time64,
}
