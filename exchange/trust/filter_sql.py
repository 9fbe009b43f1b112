"""A row filter as a condition on the landed table: composed of identifiers and parameters, never of the filter's text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final

from psycopg import sql

from schemas.contract import DataContract, Field, LogicalType
from schemas.filter_nodes import And, Comparison, IsNull, Node, Not, OneOf, Operator, Or, Unreadable, Value
from schemas.rowfilter import Filter, fits


def condition(filter: Filter, contract: DataContract, *, first: int | None = None) -> tuple[sql.Composed, list[object]]:
    """Return a condition that PostgreSQL finds true for exactly the rows that ``rowfilter.holds`` chooses, and its parameters.

    A filter that does not fit the contract gives ``false``.

    Args:
        filter: the filter of a grant, or of a question that was checked.
        contract: the contract of the landed table, whose columns stand in the condition without the table's name.
        first: number of the first parameter where they are to be ``$1``, ``$2``, … as asyncpg wants them; None: ``%s``.
    """
    if not fits(filter, contract):
        return sql.Composed([sql.SQL("false")]), []
    made = _Condition({f.name: f for f in contract.clear}, first)
    return sql.Composed([made.of(filter.root)]), made.parameters


class _Condition:
    """Gathers the parameters in the order in which they stand."""

    def __init__(self, fields: Mapping[str, Field], first: int | None) -> None:
        self.parameters: list[object] = []
        self._fields = fields
        self._first = first

    def of(self, node: Node) -> sql.Composable:
        """Return a part of the condition; each but a term stands in parentheses."""
        match node:
            case Comparison(name, operator, value):
                field = self._fields[name]
                return sql.SQL("{}{} {} {}").format(
                    sql.Identifier(name),
                    _BY_CODE_POINT if field.logical_type is LogicalType.STRING and operator not in ("=", "!=") else _NOTHING,
                    _OPERATORS[operator],
                    self._parameter(_value(value, field), _TYPES[field.logical_type]),
                )
            case OneOf(name, values, negated):
                field = self._fields[name]
                return sql.SQL("{} {} ({})").format(
                    sql.Identifier(name),
                    sql.SQL("<> ALL") if negated else sql.SQL("= ANY"),
                    self._parameter(
                        [_value(value, field) for value in values], sql.SQL("{}[]").format(_TYPES[field.logical_type])
                    ),
                )
            case IsNull(name, negated):
                return sql.SQL("{} IS NOT NULL" if negated else "{} IS NULL").format(sql.Identifier(name))
            case Not(of):
                return sql.SQL("(NOT {})").format(self.of(of))
            case And(parts):
                return sql.SQL("({})").format(sql.SQL(" AND ").join(map(self.of, parts)))
            case Or(parts):
                return sql.SQL("({})").format(sql.SQL(" OR ").join(map(self.of, parts)))
            case Unreadable():
                return sql.SQL("NULL::boolean")

    def _parameter(self, value: object, kind: sql.Composable) -> sql.Composable:
        self.parameters.append(value)
        if self._first is None:
            place: sql.Composable = sql.Placeholder()
        else:
            place = _numbered(self._first + len(self.parameters) - 1)
        return sql.SQL("{}::{}").format(place, kind)


def _numbered(number: int) -> sql.Composable:
    return sql.SQL("$") + sql.Literal(number)


def _value(value: Value, field: Field) -> str | bool | int | Decimal | date | datetime | time:
    if isinstance(value, Decimal) and field.logical_type is LogicalType.INTEGER:
        return int(value)
    return value


_NOTHING: Final = sql.SQL("")
# Texts are equal or not whatever the collation, so that an index serves; their order is by code point only where it is named.
_BY_CODE_POINT: Final = sql.SQL(' COLLATE "C"')
_OPERATORS: Final[Mapping[Operator, sql.SQL]] = {
    "=": sql.SQL("="),
    "!=": sql.SQL("<>"),
    "<": sql.SQL("<"),
    "<=": sql.SQL("<="),
    ">": sql.SQL(">"),
    ">=": sql.SQL(">="),
}
_TYPES: Final[Mapping[LogicalType, sql.SQL]] = {
    LogicalType.STRING: sql.SQL("text"),
    LogicalType.INTEGER: sql.SQL("bigint"),
    LogicalType.NUMBER: sql.SQL("numeric"),
    LogicalType.BOOLEAN: sql.SQL("boolean"),
    LogicalType.DATE: sql.SQL("date"),
    LogicalType.TIMESTAMP: sql.SQL("timestamptz"),
    LogicalType.TIME: sql.SQL("time"),
}
