"""From one version of a contract to the next: what changed, and whether a program that reads the rows could break.

``schemas.change_kinds`` says what each kind of change means. Every attribute of ``Field`` and ``DataContract`` has a rule here;
``tests/unit/test_evolution.py`` fails where one has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, Final, Literal

from schemas.change_kinds import MEANINGS, Kind
from schemas.contract import CaseRole, DataContract, Field, LogicalType
from schemas.errors import Fault, RejectedError
from schemas.odcs.words import in_order
from schemas.types import decimal_shape

Level = Literal["none", "patch", "minor", "major"]
"""The part of a version, MAJOR.MINOR.PATCH, that must rise at least (semver.org)."""

_WIDER: Final = frozenset({(LogicalType.INTEGER, LogicalType.NUMBER), (LogicalType.DATE, LogicalType.TIMESTAMP)})
_KEPT_STATUSES: Final = frozenset({"active", "deprecated"})
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    ``attribute`` is one of ``Field``, or of ``DataContract`` where ``field`` is None. ``before`` and ``after`` are for people;
    None: absent. ``why`` is one sentence, ``why_zh`` the same in Chinese.
    """

    kind: Kind
    attribute: str
    field: str | None
    before: str | None
    after: str | None
    breaking: bool
    why: str
    why_zh: str

    @property
    def title(self) -> str:
        """What this kind of change is called."""
        return MEANINGS[self.kind].title

    @property
    def title_zh(self) -> str:
        """The same in Chinese."""
        return MEANINGS[self.kind].title_zh


@dataclass(frozen=True, slots=True)
class Evolution:
    """What changed between two versions of a contract: of the whole contract first, then field by field."""

    resource: str
    version_before: str
    version_after: str
    changes: tuple[Change, ...]

    @property
    def breaking(self) -> bool:
        """Whether a program that reads the rows could break."""
        return any(change.breaking for change in self.changes)

    @property
    def verdict(self) -> Literal["compatible", "breaking"]:
        """The whole verdict in a word."""
        return "breaking" if self.breaking else "compatible"

    @property
    def level(self) -> Level:
        """The part of the version that must rise at least: breaking, major; a field added, minor; else patch."""
        if self.breaking:
            return "major"
        if any(change.kind in (Kind.FIELD_ADDED_OPTIONAL, Kind.FIELD_ADDED_REQUIRED) for change in self.changes):
            return "minor"
        return "patch" if self.changes else "none"

    @property
    def least_version(self) -> str | None:
        """The lowest version that may name the new contract; None where the old version is not numbers with dots."""
        return _raised(self.version_before, self.level)

    @property
    def version_suffices(self) -> bool:
        """Whether the new contract's version is as high as it must be; false where the two cannot be compared."""
        least, given = _numbers(self.least_version or ""), _numbers(self.version_after)
        return least is not None and given is not None and given >= least

    def breaking_for(self, fields: Collection[str]) -> tuple[Change, ...]:
        """Return the breaking changes that touch one of these fields, or the whole contract."""
        return tuple(c for c in self.changes if c.breaking and (c.field is None or c.field in fields))


def diff(before: DataContract, after: DataContract) -> Evolution:
    """Return what changed between two versions of a resource's contract, as a consumer of the released rows sees it.

    Raises:
        RejectedError: ``evolution.other_resource``; they are contracts of different resources.
    """
    if before.name != after.name:
        raise RejectedError(
            f"a contract of {after.name} is no version of one of {before.name}",
            code="evolution.other_resource",
            where=after.name,
            remedy="compare versions of one resource's contract",
            fault=Fault.CLIENT,
        )
    found = [*_contract_changes(before, after), *_field_changes(before, after)]
    found += _document(before, after, told=bool(found))
    return Evolution(before.name, before.version, after.version, tuple(found))


def _change(
    kind: Kind,
    attribute: str,
    field: str | None,
    before: object,
    after: object,
    *,
    breaking: bool | None = None,
    why: tuple[str, str] | None = None,
) -> Change:
    meaning = MEANINGS[kind]
    words, words_zh = why or (meaning.why, meaning.why_zh)
    decided = meaning.breaking if breaking is None else breaking
    return Change(kind, attribute, field, _shown(before), _shown(after), decided, words, words_zh)


def _shown(value: object) -> str | None:
    """Return a value of a contract for people."""
    if value is None or value == "" or value == ():
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


# Fields -----------------------------------------------------------------------------------------------------------------


def _field_changes(before: DataContract, after: DataContract) -> Iterator[Change]:
    were = {f.name: f for f in before.fields}
    are = {f.name: f for f in after.fields}
    columns = {f.source_name: f for f in after.fields if f.name not in were}
    for f in before.fields:
        if f.name in are:
            for rule in dict.fromkeys(FIELD_RULES.values()):
                yield from rule(f, are[f.name])
        elif (renamed := columns.get(f.source_name)) is not None:
            yield _change(Kind.FIELD_RENAMED, "name", f.name, f.name, renamed.name)
        else:
            yield _change(Kind.FIELD_REMOVED, "name", f.name, _type_words(f), None)
    for f in after.fields:
        if f.name not in were:
            kind = Kind.FIELD_ADDED_REQUIRED if _never_null(f) else Kind.FIELD_ADDED_OPTIONAL
            yield _change(kind, "name", f.name, None, _type_words(f))


FieldRule = Callable[[Field, Field], Iterator[Change]]


def _by_the_contract(_before: Field, _after: Field) -> Iterator[Change]:
    """Told of the contract as a whole: the name matches the fields, the key is one of several fields."""
    return iter(())


def _seen_by_nobody(attribute: str, kind: Kind) -> FieldRule:
    def rule(before: Field, after: Field) -> Iterator[Change]:
        was, now = getattr(before, attribute), getattr(after, attribute)
        if was != now:
            yield _change(kind, attribute, before.name, was, now)

    return rule


def _type(before: Field, after: Field) -> Iterator[Change]:
    was, now = before.logical_type, after.logical_type
    words = _type_words(before), _type_words(after)
    if was is not now:
        kind = Kind.TYPE_WIDENED if (was, now) in _WIDER else Kind.TYPE_CHANGED
        yield _change(kind, "logical_type", before.name, *words)
    elif was is LogicalType.NUMBER and (shapes := (decimal_shape(before), decimal_shape(after)))[0] != shapes[1]:
        (digits, scale), (new_digits, new_scale) = shapes
        fits = new_scale <= scale and new_digits - new_scale <= digits - scale
        yield _change(Kind.TYPE_NARROWED if fits else Kind.TYPE_WIDENED, "precision", before.name, *words)


def _required(before: Field, after: Field) -> Iterator[Change]:
    if before.required == after.required:
        return
    if after.required:
        yield _change(Kind.BECAME_REQUIRED, "required", before.name, False, True)
    elif _never_null(after):
        why = "it is part of the key, which is never empty", "该项属于主键，不会为空"
        yield _change(Kind.BECAME_OPTIONAL, "required", before.name, True, False, breaking=False, why=why)
    else:
        yield _change(Kind.BECAME_OPTIONAL, "required", before.name, True, False)


def _personal(before: Field, after: Field) -> Iterator[Change]:
    if before.personal != after.personal:
        kind = Kind.BECAME_PERSONAL if after.personal else Kind.NO_LONGER_PERSONAL
        yield _change(kind, "personal", before.name, before.personal, after.personal)


def _lookup(before: Field, after: Field) -> Iterator[Change]:
    if before.lookup != after.lookup and after.personal:  # a clear field is found by its value
        yield _change(
            Kind.LOOKUP_ADDED if after.lookup else Kind.LOOKUP_REMOVED, "lookup", before.name, before.lookup, after.lookup
        )


def _lengths(before: Field, after: Field) -> Iterator[Change]:
    no_end = float("inf")
    for attribute, silent, rises in (("min_length", 0, Kind.LENGTH_NARROWED), ("max_length", no_end, Kind.LENGTH_WIDENED)):
        was, now = getattr(before, attribute), getattr(after, attribute)
        low, high = (silent if value is None else value for value in (was, now))
        if low != high:
            falls = Kind.LENGTH_WIDENED if rises is Kind.LENGTH_NARROWED else Kind.LENGTH_NARROWED
            yield _change(rises if high > low else falls, attribute, before.name, was, now)


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
        yield _change(kind, attribute, before.name, was, now)


def _opaque(attribute: str) -> FieldRule:
    """Return the rule of a rule that is there or not, and of which two cannot be compared: a pattern, a code, a parent."""

    def rule(before: Field, after: Field) -> Iterator[Change]:
        was, now = _rule_words(getattr(before, attribute)), _rule_words(getattr(after, attribute))
        if was != now:
            kind = Kind.RULE_ADDED if was is None else Kind.RULE_REMOVED if now is None else Kind.RULE_CHANGED
            yield _change(kind, attribute, before.name, was, now)

    return rule


def _values(before: Field, after: Field) -> Iterator[Change]:
    was, now = before.values, after.values
    if bool(was) != bool(now):
        yield _change(Kind.RULE_ADDED if now else Kind.RULE_REMOVED, "values", before.name, was, now)
        return
    if new := tuple(code for code in now if code not in was):
        yield _change(Kind.CODES_GROWN, "values", before.name, None, new)
    if gone := tuple(code for code in was if code not in now):
        yield _change(Kind.CODES_SHRUNK, "values", before.name, gone, None)


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
            yield _change(kind, "normalise", before.name, was, now, breaking=True, why=why)
        elif was and not text:
            why = (
                "a value that was mended before is set aside now; those that come are as before",
                MEANINGS[Kind.RULE_ADDED].why_zh,
            )
            yield _change(kind, "normalise", before.name, was, now, breaking=False, why=why)
        else:
            yield _change(kind, "normalise", before.name, was, now)


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


# The contract as a whole ------------------------------------------------------------------------------------------------

ContractRule = Callable[[DataContract, DataContract], Iterator[Change]]


def _contract_changes(before: DataContract, after: DataContract) -> Iterator[Change]:
    for rule in dict.fromkeys(CONTRACT_RULES.values()):
        yield from rule(before, after)


def _elsewhere(_before: DataContract, _after: DataContract) -> Iterator[Change]:
    """Told by ``diff`` itself: two versions have one name, and the versions are what is compared."""
    return iter(())


def _plain(attribute: str, kind: Kind) -> ContractRule:
    def rule(before: DataContract, after: DataContract) -> Iterator[Change]:
        was, now = getattr(before, attribute), getattr(after, attribute)
        if was != now:
            yield _change(kind, attribute, None, *_words(was, now))

    return rule


def _fields(before: DataContract, after: DataContract) -> Iterator[Change]:
    """Tell of the key and of the order; ``_field_changes`` tells of each field."""
    was, now = ([f.name for f in contract.key] for contract in (before, after))
    if was != now:
        yield _change(Kind.KEY_CHANGED, "fields", None, was, now)
    are = {f.name for f in after.fields}
    kept = [f.name for f in before.fields if f.name in are]
    order = [f.name for f in after.fields if f.name in set(kept)]
    if kept != order:
        moved = next(pair for pair in zip_longest(kept, order) if pair[0] != pair[1])
        yield _change(Kind.FIELDS_REORDERED, "fields", None, f"… {moved[0]} …", f"… {moved[1]} …")


def _status(before: DataContract, after: DataContract) -> Iterator[Change]:
    if before.status == after.status:
        return
    if before.status in _KEPT_STATUSES and after.status not in _KEPT_STATUSES:
        why = "the provider no longer promises that the rows keep it", "提供方不再承诺数据符合该合同"
        yield _change(Kind.STATUS_CHANGED, "status", None, before.status, after.status, breaking=True, why=why)
    else:
        yield _change(Kind.STATUS_CHANGED, "status", None, before.status, after.status)


def _role(attribute: str) -> ContractRule:
    def rule(before: DataContract, after: DataContract) -> Iterator[Change]:
        was, now = getattr(before, attribute), getattr(after, attribute)
        if was == now:
            return
        kind = Kind.ROLE_ADDED if was is None else Kind.ROLE_REMOVED if now is None else Kind.ROLE_CHANGED
        if kind is Kind.ROLE_CHANGED and _only_more_open_states(was, now):
            why = (
                "more cases count as open; look-ups that are answered today are answered on",
                "更多办件视为在办，现有核查不受影响",
            )
            yield _change(kind, attribute, None, *_words(was, now), breaking=False, why=why)
        else:
            yield _change(kind, attribute, None, *_words(was, now))

    return rule


def _only_more_open_states(was: object, now: object) -> bool:
    return (
        isinstance(was, CaseRole)
        and isinstance(now, CaseRole)
        and replace(now, open_states=was.open_states) == was
        and set(was.open_states) <= set(now.open_states)
    )


def _words(was: object, now: object) -> tuple[object, object]:
    """Return two values of a part of a contract for people: of two records, the attributes that differ."""
    names = list(getattr(was if was is not None else now, "__dataclass_fields__", ()))
    if not names:
        return was, now
    told = [n for n in names if was is None or now is None or getattr(was, n) != getattr(now, n)]
    return _members(was, told), _members(now, told)


def _members(record: object, names: list[str]) -> str | None:
    if record is None:
        return None
    return ", ".join(f"{name} {_shown(getattr(record, name)) or '-'}" for name in names)


CONTRACT_RULES: Final[Mapping[str, ContractRule]] = MappingProxyType(
    {
        "name": _elsewhere,
        "version": _elsewhere,
        "document": _elsewhere,
        "fields": _fields,
        "partitions": _plain("partitions", Kind.PARTITIONS_CHANGED),
        "case_role": _role("case_role"),
        "licence_role": _role("licence_role"),
        "status": _status,
        "title": _plain("title", Kind.TITLE),
        "description": _plain("description", Kind.DESCRIPTION),
        "department": _plain("department", Kind.PROVIDER),
        "system": _plain("system", Kind.PROVIDER),
        "source": _plain("source", Kind.PLACE),
        "table": _plain("table", Kind.PLACE),
        "cursor": _plain("cursor", Kind.CURSOR),
        "limits": _plain("limits", Kind.LIMITS),
        "schedule": _plain("schedule", Kind.SCHEDULE),
    }
)
"""What is asked of each attribute of a contract."""


# The rest of the document, and versions ---------------------------------------------------------------------------------

_READ: Final = frozenset({"apiVersion", "kind", "version", "name", "status", "slaProperties", "customProperties", "schema"})


def _document(before: DataContract, after: DataContract, *, told: bool) -> Iterator[Change]:
    """Tell of what the hub keeps and does not read, and of another writing of what it reads where nothing else is told."""
    was, now = _not_read(before.document), _not_read(after.document)
    parts = [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
    if not parts and not told and {**before.document, "version": None} != {**after.document, "version": None}:
        parts = ["schema"]
    if parts:
        yield _change(Kind.DOCUMENT, "document", None, None, parts)


def _not_read(document: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: part for name, part in document.items() if name not in _READ}
    if isinstance(description := rest.get("description"), Mapping):
        rest["description"] = {name: part for name, part in description.items() if name != "purpose"} or None
    return rest


def _numbers(version: str) -> tuple[int, int, int] | None:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}", version):
        return None
    major, minor, patch = (*map(int, version.split(".")), 0, 0)[:3]
    return major, minor, patch


def _raised(version: str, level: Level) -> str | None:
    numbers = _numbers(version)
    if numbers is None:
        return None
    major, minor, patch = numbers
    match level:
        case "major":
            return f"{major + 1}.0.0"
        case "minor":
            return f"{major}.{minor + 1}.0"
        case "patch":
            return f"{major}.{minor}.{patch + 1}"
    return version
