"""What changed between two versions of a field, and of the fields of a contract: part of ``schemas.evolution``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from schemas.change_kinds import MEANINGS, Change, Kind, change
from schemas.contract import DataContract, Field, LogicalType
from schemas.odcs.words import in_order
from schemas.types import decimal_shape

_WIDER: Final = frozenset({(LogicalType.INTEGER, LogicalType.NUMBER), (LogicalType.DATE, LogicalType.TIMESTAMP)})


def field_changes(before: DataContract, after: DataContract) -> Iterator[Change]:
    """Yield what changed in the fields: those that were there before first, then those that are new."""
    were = {f.name: f for f in before.fields}
    are = {f.name: f for f in after.fields}
    columns = {f.source_name: f for f in after.fields if f.name not in were}
    for f in before.fields:
        if f.name in are:
            for rule in dict.fromkeys(FIELD_RULES.values()):
                yield from rule(f, are[f.name])
        elif (renamed := columns.get(f.source_name)) is not None:
            yield change(Kind.FIELD_RENAMED, "name", f.name, f.name, renamed.name)
        else:
            yield change(Kind.FIELD_REMOVED, "name", f.name, _type_words(f), None)
    for f in after.fields:
        if f.name not in were:
            kind = Kind.FIELD_ADDED_REQUIRED if _never_null(f) else Kind.FIELD_ADDED_OPTIONAL
            yield change(kind, "name", f.name, None, _type_words(f))


FieldRule = Callable[[Field, Field], Iterator[Change]]


def _by_the_contract(_before: Field, _after: Field) -> Iterator[Change]:
    """Told of the contract as a whole: the name matches the fields, the key is one of several fields."""
    return iter(())


def _seen_by_nobody(attribute: str, kind: Kind) -> FieldRule:
    def rule(before: Field, after: Field) -> Iterator[Change]:
        was, now = getattr(before, attribute), getattr(after, attribute)
        if was != now:
            yield change(kind, attribute, before.name, was, now)

    return rule


def _type(before: Field, after: Field) -> Iterator[Change]:
    was, now = before.logical_type, after.logical_type
    words = _type_words(before), _type_words(after)
    if was is not now:
        kind = Kind.TYPE_WIDENED if (was, now) in _WIDER else Kind.TYPE_CHANGED
        yield change(kind, "logical_type", before.name, *words)
    elif was is LogicalType.NUMBER and (shapes := (decimal_shape(before), decimal_shape(after)))[0] != shapes[1]:
        (digits, scale), (new_digits, new_scale) = shapes
        fits = new_scale <= scale and new_digits - new_scale <= digits - scale
        yield change(Kind.TYPE_NARROWED if fits else Kind.TYPE_WIDENED, "precision", before.name, *words)


def _required(before: Field, after: Field) -> Iterator[Change]:
    if before.required == after.required:
        return
    if after.required:
        yield change(Kind.BECAME_REQUIRED, "required", before.name, False, True)
    elif _never_null(after):
        why = "it is part of the key, which is never empty", "该项属于主键，不会为空"
        yield change(Kind.BECAME_OPTIONAL, "required", before.name, True, False, breaking=False, why=why)
    else:
        yield change(Kind.BECAME_OPTIONAL, "required", before.name, True, False)


def _personal(before: Field, after: Field) -> Iterator[Change]:
    if before.personal != after.personal:
        kind = Kind.BECAME_PERSONAL if after.personal else Kind.NO_LONGER_PERSONAL
        yield change(kind, "personal", before.name, before.personal, after.personal)


def _lookup(before: Field, after: Field) -> Iterator[Change]:
    if before.lookup != after.lookup and after.personal:  # a clear field is found by its value
        yield change(
            Kind.LOOKUP_ADDED if after.lookup else Kind.LOOKUP_REMOVED, "lookup", before.name, before.lookup, after.lookup
        )


def _lengths(before: Field, after: Field) -> Iterator[Change]:
    no_end = float("inf")
    for attribute, silent, rises in (("min_length", 0, Kind.LENGTH_NARROWED), ("max_length", no_end, Kind.LENGTH_WIDENED)):
        was, now = getattr(before, attribute), getattr(after, attribute)
        low, high = (silent if value is None else value for value in (was, now))
        if low != high:
            falls = Kind.LENGTH_WIDENED if rises is Kind.LENGTH_NARROWED else Kind.LENGTH_NARROWED
            yield change(rises if high > low else falls, attribute, before.name, was, now)


def _bounds(before: Field, after: Field) -> Iterator[Change]:
    for attribute, sign in (("minimum", 1), ("maximum", -1)):
        was, now = getattr(before, attribute), getattr(after, attribute)
        if was == now:
            continue
        if was is None or now is None:
            kind = Kind.RULE_ADDED if was is None else Kind.RULE_REMOVED
        elif before.logical_type is not after.logical_type:
            kind = Kind.RULE_CHANGED
        else:
            low, high = (in_order(text, before.logical_type) for text in (was, now))
            if low == high:
                continue
            kind = Kind.RULE_TIGHTENED if (high > low) == (sign > 0) else Kind.RULE_LOOSENED
        yield change(kind, attribute, before.name, was, now)


def _opaque(attribute: str) -> FieldRule:
    """Return the rule of a rule that is there or not, and of which two cannot be compared: a pattern, a code, a parent."""

    def rule(before: Field, after: Field) -> Iterator[Change]:
        was, now = _rule_words(getattr(before, attribute)), _rule_words(getattr(after, attribute))
        if was != now:
            kind = Kind.RULE_ADDED if was is None else Kind.RULE_REMOVED if now is None else Kind.RULE_CHANGED
            yield change(kind, attribute, before.name, was, now)

    return rule


def _values(before: Field, after: Field) -> Iterator[Change]:
    was, now = before.values, after.values
    if bool(was) != bool(now):
        yield change(Kind.RULE_ADDED if now else Kind.RULE_REMOVED, "values", before.name, was, now)
        return
    if new := tuple(code for code in now if code not in was):
        yield change(Kind.CODES_GROWN, "values", before.name, None, new)
    if gone := tuple(code for code in was if code not in now):
        yield change(Kind.CODES_SHRUNK, "values", before.name, gone, None)


def _normalise(before: Field, after: Field) -> Iterator[Change]:
    gone = tuple(rule for rule in before.normalise if rule not in after.normalise)
    new = tuple(rule for rule in after.normalise if rule not in before.normalise)
    text = LogicalType.STRING in (before.logical_type, after.logical_type)
    for kind, was, now in ((Kind.REPAIR_REMOVED, gone, ()), (Kind.REPAIR_ADDED, (), new)):
        if not was and not now:
            continue
        if before.key is not None:
            why = (
                "it is part of the key, so the same row may come under another key",
                "该项属于主键，同一行可能以不同的主键出现",
            )
            yield change(kind, "normalise", before.name, was, now, breaking=True, why=why)
        elif was and not text:
            why = (
                "a value that was mended before is set aside now; those that come are as before",
                MEANINGS[Kind.RULE_ADDED].why_zh,
            )
            yield change(kind, "normalise", before.name, was, now, breaking=False, why=why)
        else:
            yield change(kind, "normalise", before.name, was, now)


def _never_null(field: Field) -> bool:
    return field.required or field.key is not None


def _type_words(field: Field) -> str:
    if field.logical_type is LogicalType.NUMBER:
        precision, scale = decimal_shape(field)
        return f"number({precision},{scale})"
    return field.logical_type.value


def _rule_words(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else f"{value.resource}.{value.field}"


FIELD_RULES: Final[Mapping[str, FieldRule]] = MappingProxyType(
    {
        "name": _by_the_contract,
        "key": _by_the_contract,
        "logical_type": _type,
        "precision": _type,
        "scale": _type,
        "required": _required,
        "personal": _personal,
        "lookup": _lookup,
        "min_length": _lengths,
        "max_length": _lengths,
        "pattern": _opaque("pattern"),
        "code": _opaque("code"),
        "references": _opaque("references"),
        "minimum": _bounds,
        "maximum": _bounds,
        "values": _values,
        "normalise": _normalise,
        "source_name": _seen_by_nobody("source_name", Kind.SOURCE_COLUMN),
        "physical_type": _seen_by_nobody("physical_type", Kind.PHYSICAL_TYPE),
        "title": _seen_by_nobody("title", Kind.FIELD_TITLE),
        "description": _seen_by_nobody("description", Kind.FIELD_DESCRIPTION),
    }
)
"""What is asked of each attribute of a field that both versions have."""
