"""The fields of a contract."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import InvalidOperation
from typing import Final

from schemas.codes import CODES
from schemas.contract import DataContract, Field, LogicalType, Normalise, Reference
from schemas.errors import RejectedError
from schemas.odcs.part import Part
from schemas.odcs.words import canonical_bound, declared_shape, in_order, logical_type
from schemas.resource import resource_name
from schemas.types import DEFAULT_PRECISION, DEFAULT_SCALE, MAX_PRECISION

CLASSIFICATIONS: Final = ("public", "internal", "personal")

_TERMS: Final = frozenset(f"onedoor.{t}" for t in ("normalise", "code", "lookup", "precision", "scale", "confirm"))
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_LOGICAL: Final = ("string", "integer", "number", "boolean", "date", "timestamp", "time")
_RESERVED: Final = frozenset(("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"))  # columns that PostgreSQL has in every table
_LENGTHS: Final = ("minLength", "maxLength")
_BOUNDS: Final = ("minimum", "maximum")
_NO_BOUNDS: Final = (LogicalType.STRING, LogicalType.BOOLEAN, LogicalType.BYTES)
_TEXT_ONLY: Final = (Normalise.ID_18,)
_DATES_ONLY: Final = (Normalise.DATE_FORMS, Normalise.FOREVER)
_DATED: Final = (LogicalType.STRING, LogicalType.DATE, LogicalType.TIMESTAMP)


def fields(table: Part) -> list[tuple[Field, Part]]:
    """Return the fields of the schema object, each with the part it was read from."""
    found = []
    names: dict[str, int] = {}
    sources: dict[str, int] = {}
    for part in table.parts("properties"):
        f = _field(part)
        line = part.line
        for kind, seen, key in (("field", names, f.name), ("source column", sources, f.source_name)):
            if key and key in seen:
                part.problem(f"{kind} {key!r} stands twice, first at line {seen[key]}", "name")
            seen.setdefault(key, line)
        found.append((f, part))
    if not found:
        table.problem("the schema has no properties", "properties")
    return _keyed(table, found)


def _keyed(table: Part, found: list[tuple[Field, Part]]) -> list[tuple[Field, Part]]:
    keys = [i for i, (_, part) in enumerate(found) if part.flag("primaryKey")]
    given = {i: found[i][1].whole("primaryKeyPosition", -1, 32) for i in range(len(found))}
    for i, position in given.items():
        if i not in keys and position not in (None, -1):
            found[i][1].problem("primaryKeyPosition without primaryKey: true", "primaryKeyPosition")
    positions = [p for i in keys if (p := given[i]) not in (None, -1)]
    if not keys:
        if found:
            table.problem(
                "no field has primaryKey: true: name the field or fields that tell one row from another", "properties"
            )
    elif not positions:
        positions = list(range(1, len(keys) + 1))
    elif sorted(p or 0 for p in positions) != list(range(1, len(keys) + 1)):
        found[keys[0]][1].problem(f"the primary key's positions must be 1 to {len(keys)}, each once", "primaryKeyPosition")
        positions = list(range(1, len(keys) + 1))
    for i, position in zip(keys, positions, strict=True):
        f, part = found[i]
        if f.logical_type in (LogicalType.DOUBLE, LogicalType.BYTES):
            part.problem(f"a {f.logical_type.value} is no key", "primaryKey")
        found[i] = (replace(f, key=position), part)
    return found


def _field(part: Part) -> Field:
    name = part.text("name", required=True) or ""
    if name and not _NAME.fullmatch(name):
        part.problem(
            f"{name[:60]!r} is no name of a field: a small letter, then up to 47 small letters, digits or underscores; "
            "keep the column's own name in physicalName",
            "name",
        )
    elif name in _RESERVED:
        part.problem(f"{name!r} is a column that the database keeps for itself: give another name", "name")
    physical = part.text("physicalType")
    terms = part.terms(_TERMS)
    options = part.part("logicalTypeOptions")
    known = _kind(part, physical, options)
    kind = known or LogicalType.STRING
    precision, scale = _shape(part, kind, physical, terms)
    classification = part.text("classification")
    if classification not in (None, *CLASSIFICATIONS):
        part.problem(f"classification must be one of {', '.join(CLASSIFICATIONS)}", "classification")
    personal = classification == "personal"
    confirm = terms.get("onedoor.confirm")
    if confirm is not None and confirm.flag("value"):
        confirm.problem(
            f"field {name} waits for a person: confirm that its classification is right, then remove onedoor.confirm"
        )
    lookup = "onedoor.lookup" in terms and terms["onedoor.lookup"].flag("value")
    if lookup and not personal:
        terms["onedoor.lookup"].problem("onedoor.lookup is for personal fields; a clear field is found by its value")
    if "enum" in part.value:
        part.problem("enum is not of v3.1: use quality with metric invalidValues and arguments.validValues", "enum")
    f = Field(
        name=name,
        logical_type=kind,
        source_name=part.text("physicalName") or name,
        title=part.text("businessName") or "",
        description=part.text("description") or "",
        physical_type=physical,
        required=part.flag("required"),
        personal=personal,
        lookup=lookup,
        references=_reference(part, personal),
    )
    if known is None:
        return f  # its type is to be mended first: what follows depends on it
    _option_rules(options, kind)
    low, high = (_bound(options, key, kind, scale) for key in _BOUNDS)
    if low is not None and high is not None and in_order(low, kind) > in_order(high, kind):
        options.problem("minimum is above maximum", "minimum")
    return replace(
        f,
        min_length=options.whole("minLength", 0, 10_000_000),
        max_length=options.whole("maxLength", 0, 10_000_000),
        pattern=_pattern(options),
        precision=precision,
        scale=scale,
        minimum=low,
        maximum=high,
        values=_values(part, kind),
        code=_code(terms.get("onedoor.code"), kind),
        normalise=_normalise(terms.get("onedoor.normalise"), kind),
    )


def _kind(part: Part, physical: str | None, options: Part) -> LogicalType | None:
    text = part.text("logicalType", required=True)
    if text is None:
        return None
    if text not in _LOGICAL:
        part.problem(f"logicalType {text[:40]!r} is unknown to the hub; expected one of {', '.join(_LOGICAL)}", "logicalType")
        return None
    return logical_type(text, physical, options.text("format"))


def _shape(part: Part, kind: LogicalType, physical: str | None, terms: Mapping[str, Part]) -> tuple[int | None, int | None]:
    own = {t: terms[f"onedoor.{t}"] for t in ("precision", "scale") if f"onedoor.{t}" in terms}
    if kind is not LogicalType.NUMBER:
        for t, term in own.items():
            term.problem(f"onedoor.{t} is for exact numbers")
        return None, None
    precision, scale = declared_shape(physical)
    if "precision" in own:
        precision = own["precision"].whole("value", 1, MAX_PRECISION)
    if "scale" in own:
        scale = own["scale"].whole("value", 0, MAX_PRECISION)
    shown_precision = precision or DEFAULT_PRECISION
    shown_scale = scale if scale is not None else (0 if precision else DEFAULT_SCALE)
    if not 1 <= shown_precision <= MAX_PRECISION or not 0 <= shown_scale <= shown_precision:
        part.problem(
            f"precision {shown_precision} and scale {shown_scale}; expected 1 to {MAX_PRECISION}, and scale within it",
            "physicalType",
        )
    return precision, scale


def _option_rules(options: Part, kind: LogicalType) -> None:
    for key in options.value:
        if key == "pattern" and kind is not LogicalType.STRING:
            options.problem("pattern is for text", key)
        elif key in _LENGTHS and kind not in (LogicalType.STRING, LogicalType.BYTES):
            options.problem(f"{key} is for text and bytes", key)
        elif key in _BOUNDS and kind in _NO_BOUNDS:
            options.problem(f"{key} is for numbers and times", key)
        elif key in ("exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
            options.problem(f"{key} is not checked by the hub: use minimum and maximum", key)
        elif key == "defaultTimezone" and options.value[key] != "Asia/Shanghai":
            options.problem("a time without a zone is read in Asia/Shanghai: no other defaultTimezone", key)
    low, high = options.value.get("minLength"), options.value.get("maxLength")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        options.problem("minLength is above maxLength", "minLength")


def _pattern(options: Part) -> str | None:
    text = options.text("pattern")
    if text is None:
        return None
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        re.compile(text)
        pc.match_substring_regex(pa.array([""]), text)
    except (re.error, pa.ArrowInvalid):
        options.problem("pattern is no regular expression that both Python and RE2 take", "pattern")
        return None
    return text


def _bound(options: Part, key: str, kind: LogicalType, scale: int | None) -> str | None:
    value = options.value.get(key)
    if value is None or kind in _NO_BOUNDS:
        return None
    try:
        return canonical_bound(value, kind, scale if scale is not None else DEFAULT_SCALE)
    except (ValueError, InvalidOperation, TypeError):
        options.problem(f"{key} is no {kind.value} of at most 15 digits that fits the field", key)
        return None


def _values(part: Part, kind: LogicalType) -> tuple[str, ...]:
    out: tuple[str, ...] = ()
    for rule in part.parts("quality"):
        if rule.value.get("metric") != "invalidValues":
            continue
        arguments = rule.part("arguments")
        values = arguments.value.get("validValues")
        if values is None:
            continue
        if not isinstance(values, list) or not values or rule.value.get("mustBe") != 0:
            rule.problem("allowed values are a list arguments.validValues that is not empty, with mustBe: 0")
        elif kind not in (LogicalType.STRING, LogicalType.INTEGER):
            rule.problem("allowed values are for texts and whole numbers")
        elif out:
            rule.problem("allowed values stand twice")
        else:
            for i, v in enumerate(values):
                if not isinstance(v, str if kind is LogicalType.STRING else int) or isinstance(v, bool):
                    arguments.problem(
                        "each allowed value must be text: put it in quotes"
                        if kind is LogicalType.STRING
                        else "each allowed value must be a whole number",
                        "validValues",
                        i,
                    )
            out = tuple(str(v) for v in values)
            if len(set(out)) != len(out):
                arguments.problem("an allowed value stands twice", "validValues")
    return out


def _code(term: Part | None, kind: LogicalType) -> str | None:
    text = term.text("value", required=True) if term else None
    if term is None or text is None:
        return None
    if text not in CODES:
        term.problem(f"code rule {text[:40]!r} is unknown; expected one of {', '.join(CODES)}", "value")
    elif kind is not LogicalType.STRING:
        term.problem("a code rule is for text", "value")
    return text


def _normalise(term: Part | None, kind: LogicalType) -> tuple[Normalise, ...]:
    if term is None:
        return ()
    names = term.value["value"]
    if not isinstance(names, list):
        term.problem("onedoor.normalise must be a list", "value")
        return ()
    out: list[Normalise] = []
    for i, name in enumerate(names):
        if name not in list(Normalise):
            term.problem(f"normalisation {name!r} is unknown; expected one of {', '.join(Normalise)}", "value", i)
            continue
        rule = Normalise(name)
        if rule in out:
            term.problem(f"normalisation {name} stands twice", "value", i)
        elif rule in _TEXT_ONLY and kind is not LogicalType.STRING:
            term.problem(f"normalisation {name} is for text", "value", i)
        elif rule in _DATES_ONLY and kind not in _DATED:
            term.problem(f"normalisation {name} is for dates", "value", i)
        elif {rule, *out} >= {Normalise.UPPER, Normalise.LOWER}:
            term.problem("upper and lower exclude each other", "value", i)
        out.append(rule)
    return tuple(dict.fromkeys(out))


def _reference(part: Part, personal: bool) -> Reference | None:
    found = part.parts("relationships")
    if len(found) > 1:
        found[1].problem("a field has one parent at most")
    for relation in found[:1]:
        to = relation.text("to", required=True)
        if to is None:
            return None
        if personal:
            relation.problem("a personal field has no parent: it rests sealed and cannot be compared", "to")
        name, _, field = to.partition(".")
        try:
            if not _NAME.fullmatch(field):
                raise RejectedError("", code="contract.invalid")
            return Reference(resource_name(name), field)
        except RejectedError:
            relation.problem(f"a parent is named resource.field, not {to[:60]!r}", "to")
    return None


def references(contract: DataContract, found: list[tuple[Field, Part]]) -> None:
    """Report references to fields of the contract's own resource that cannot hold."""
    by_name = {f.name: f for f in contract.fields}
    for f, part in found:
        if f.references is None or f.references.resource != contract.name:
            continue
        parent = by_name.get(f.references.field)
        if parent is None:
            part.problem(f"field {f.name} refers to {f.references.field!r}, which the schema does not have", "relationships", 0)
        elif parent.personal:
            part.problem(f"field {f.name} refers to the personal field {parent.name}", "relationships", 0)
        elif parent.logical_type is not f.logical_type:
            part.problem(
                f"field {f.name} is a {f.logical_type.value}, its parent {parent.name} a {parent.logical_type.value}",
                "relationships",
                0,
            )
