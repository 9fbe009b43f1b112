"""A contract's rules as plain data: what each row must hold, and what only the whole set can show.

=============== ======================== ==============================================================================
rule            asked of                 a value passes where
=============== ======================== ==============================================================================
``key_null``    each key field           it is not null
``required``    each other required one  it is not null
``min_length``  string, bytes            it has at least so many characters (bytes: bytes)
``max_length``  string, bytes            it has at most so many
``pattern``     string                   the whole of it matches, in the syntax of RE2
``values``      all but double, bytes    it is one of the listed
``minimum``     all but boolean, bytes   it is not below; a double that is no number fails
``maximum``     all but boolean, bytes   it is not above; the same
``code.<name>`` string                   ``schemas.codes`` finds it valid
=============== ======================== ==============================================================================

Null passes every rule but the first two. Strings are compared by code point. An empty text is a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.codes import CODES
from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import Fault, OneDoorError, RejectedError
from schemas.resource import ResourceName
from schemas.types import arrow_type, decimal_shape

KEY_NULL: Final = "key_null"
REQUIRED: Final = "required"
MIN_LENGTH: Final = "min_length"
MAX_LENGTH: Final = "max_length"
PATTERN: Final = "pattern"
VALUES: Final = "values"
MINIMUM: Final = "minimum"
MAXIMUM: Final = "maximum"
CODE: Final = "code."
DUPLICATE_KEY: Final = "duplicate_key"
PARENT_EXISTS: Final = "parent_exists"

_LENGTHS: Final = frozenset({LogicalType.STRING, LogicalType.BYTES})
_RANGES: Final = frozenset(LogicalType) - {LogicalType.BOOLEAN, LogicalType.BYTES}
_VALUES: Final = frozenset(LogicalType) - {LogicalType.DOUBLE, LogicalType.BYTES}
_SPOKEN_VALUES: Final = 12  # a reason lists the allowed values up to so many


@dataclass(frozen=True, slots=True)
class RowCheck:
    """One rule of one field.

    ``column`` is the field's place in the contract. ``bound`` is what the rule compares with: a length, the text form of a
    minimum or maximum, a pattern, the name of a code; None for the null rules. ``values`` is for the rule of that name.
    ``kind`` is the field's Arrow type. ``reason`` is for the clerk who mends the row; it holds no value of any row.
    """

    field: str
    column: int
    rule: str
    kind: pa.DataType
    bound: int | str | None
    values: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Checks:
    """Every row check of one version of a contract, in the order in which findings are told."""

    resource: ResourceName
    version: str
    rows: tuple[RowCheck, ...]


@dataclass(frozen=True, slots=True)
class SetRule:
    """A rule that only the whole set can show; it runs in the shadow or the stage, before the swap or the merge.

    ``duplicate_key``: no two rows have the same values of ``fields``; all rows of a duplicate are set aside.
    ``parent_exists``: a value of the one field in ``fields`` that is not null stands in ``referenced`` of ``resource``.
    """

    rule: str
    fields: tuple[str, ...]
    resource: ResourceName | None
    referenced: str | None
    reason: str


def compile_checks(contract: DataContract) -> Checks:
    """Return the row checks of a contract, ready to run over any of its batches.

    Raises:
        RejectedError: ``contract.rule``; a rule cannot be asked of its field. The message names each such field and rule.
    """
    faults: list[str] = []
    rows: list[RowCheck] = []
    for column, field in enumerate(contract.fields):
        faults += (f"field {field.name}: {fault}" for fault in _faults(field))
        if not faults:
            rows += _row_checks(field, column)
    if faults:
        raise RejectedError(
            "; ".join(faults),
            code="contract.rule",
            where=f"contract {contract.name} {contract.version}",
            remedy="mend these rules of the contract and register it again",
            fault=Fault.PROVIDER,
        )
    return Checks(contract.name, contract.version, tuple(rows))


def set_rules(contract: DataContract) -> tuple[SetRule, ...]:
    """Return the rules of a contract over the whole set: its key first, then its references in the contract's order."""
    rules: list[SetRule] = []
    if contract.key:
        names = tuple(f.name for f in contract.key)
        reason = f"more than one row has this key ({', '.join(names)}); all are set aside 主键重复，相同主键的各行均不采用"
        rules.append(SetRule(DUPLICATE_KEY, names, None, None, reason))
    for field in contract.fields:
        if field.references is not None:
            parent, column = field.references.resource, field.references.field
            reason = f"no row of {parent} has this value in {column} 在 {parent} 的 {column} 中不存在该值"
            rules.append(SetRule(PARENT_EXISTS, (field.name,), parent, column, reason))
    return tuple(rules)


def typed(text: str, kind: pa.DataType) -> pa.Scalar[Any]:
    """Return a bound of a contract as a value of an Arrow type.

    Args:
        text: as in ``schemas.canonical``; a double in decimal digits as well, a timestamp with any offset.

    Raises:
        ValueError: the text is no value of that type.
    """
    if pa.types.is_string(kind):
        return pa.scalar(text, kind)
    if pa.types.is_floating(kind):
        number = float(text)
        if number != number:
            raise ValueError("no number")
        return pa.scalar(number, kind)
    if pa.types.is_boolean(kind):
        return pa.scalar({"t": True, "true": True, "f": False, "false": False}[text], kind)
    if pa.types.is_time(kind):
        return pa.scalar(time.fromisoformat(text), kind)
    return pc.cast(pa.scalar(text), kind)


def _row_checks(field: Field, column: int) -> Iterator[RowCheck]:
    kind = arrow_type(field)

    def check(rule: str, bound: int | str | None, reason: str, values: tuple[str, ...] = ()) -> RowCheck:
        return RowCheck(field.name, column, rule, kind, bound, values, reason)

    unit, measure = ("bytes", "字节") if field.logical_type is LogicalType.BYTES else ("characters", "个字符")
    if field.key is not None:
        yield check(KEY_NULL, None, "is empty, but is part of the key 主键不能为空")
    elif field.required:
        yield check(REQUIRED, None, "is empty, but is required 必填项为空")
    if field.min_length:
        yield check(MIN_LENGTH, field.min_length, f"has fewer than {field.min_length} {unit} 少于 {field.min_length} {measure}")
    if field.max_length is not None:
        yield check(MAX_LENGTH, field.max_length, f"has more than {field.max_length} {unit} 超过 {field.max_length} {measure}")
    if field.pattern is not None:
        yield check(PATTERN, field.pattern, f"does not have the form {field.pattern} 格式不符合要求")
    if field.values:
        listed = ", ".join(field.values[:_SPOKEN_VALUES]) + (", …" if len(field.values) > _SPOKEN_VALUES else "")
        yield check(VALUES, None, f"is none of the allowed values: {listed} 不在允许的取值范围内", field.values)
    if field.minimum is not None:
        yield check(MINIMUM, field.minimum, f"is below {field.minimum} 小于最小值 {field.minimum}")
    if field.maximum is not None:
        yield check(MAXIMUM, field.maximum, f"is above {field.maximum} 大于最大值 {field.maximum}")
    if field.code is not None:
        yield check(CODE + field.code, field.code, f"is no valid {CODES[field.code].title}：位数、字符或校验码有误")


def _faults(field: Field) -> Iterator[str]:
    kind = field.logical_type
    try:
        arrow_type(field)
    except OneDoorError as error:
        yield error.message
        return
    for rule, asked, allowed in (
        (MIN_LENGTH, field.min_length is not None, kind in _LENGTHS),
        (MAX_LENGTH, field.max_length is not None, kind in _LENGTHS),
        (PATTERN, field.pattern is not None, kind is LogicalType.STRING),
        (VALUES, bool(field.values), kind in _VALUES),
        (MINIMUM, field.minimum is not None, kind in _RANGES),
        (MAXIMUM, field.maximum is not None, kind in _RANGES),
        ("code", field.code is not None, kind is LogicalType.STRING),
    ):
        if asked and not allowed:
            yield f"{rule} cannot be asked of the type {kind}"
    if field.code is not None and field.code not in CODES:
        yield f"code {field.code!r} is not known; expected one of {', '.join(sorted(CODES))}"
    yield from _length_faults(field)
    if field.pattern is not None and kind is LogicalType.STRING:
        yield from _pattern_faults(field.pattern)
    if kind in _VALUES:
        yield from (fault for text in field.values for fault in _text_faults(VALUES, text, field))
    if kind in _RANGES:
        yield from _range_faults(field)


def _length_faults(field: Field) -> Iterator[str]:
    for rule, length in ((MIN_LENGTH, field.min_length), (MAX_LENGTH, field.max_length)):
        if length is not None and length < 0:
            yield f"{rule} is {length}; expected 0 or more"
    if field.min_length is not None and field.max_length is not None and field.min_length > field.max_length:
        yield f"min_length {field.min_length} is above max_length {field.max_length}: no value could pass"


def _pattern_faults(pattern: str) -> Iterator[str]:
    for form in (pattern, rf"\A(?:{pattern})\z"):  # alone as well: 'a)(b' would become valid inside a group
        try:
            pc.match_substring_regex(pa.array([""]), form)
        except pa.ArrowInvalid as error:
            yield f"pattern {pattern!r} is refused by RE2: {str(error).removeprefix('Invalid regular expression: ')}"
            return


def _text_faults(rule: str, text: str, field: Field) -> Iterator[str]:
    try:
        typed(text, arrow_type(field))
    except (ValueError, KeyError, OverflowError):  # pa.ArrowInvalid is a ValueError
        yield f"{rule} {text!r} is no {_spoken(field)}"


def _spoken(field: Field) -> str:
    if field.logical_type is LogicalType.NUMBER:
        return "number of {} digits, {} of them decimals".format(*decimal_shape(field))
    return str(field.logical_type) + (" with a zone" if field.logical_type is LogicalType.TIMESTAMP else "")


def _range_faults(field: Field) -> Iterator[str]:
    faults = [
        fault
        for rule, text in ((MINIMUM, field.minimum), (MAXIMUM, field.maximum))
        if text is not None
        for fault in _text_faults(rule, text, field)
    ]
    yield from faults
    if not faults and field.minimum is not None and field.maximum is not None:
        kind = arrow_type(field)
        if pc.greater(typed(field.minimum, kind), typed(field.maximum, kind)).as_py():
            yield f"minimum {field.minimum!r} is above maximum {field.maximum!r}: no value could pass"
