"""From one version of a contract to the next: what changed, and whether a program that reads the rows could break.

``schemas.change_kinds`` says what each kind of change means. Every attribute of ``DataContract`` has a rule here, every one of
``Field`` in ``schemas.field_evolution``; ``tests/unit/test_evolution.py`` fails where one has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, Final, Literal

from schemas.change_kinds import Change, Kind, change, shown
from schemas.contract import CaseRole, DataContract
from schemas.errors import Fault, RejectedError
from schemas.field_evolution import field_changes

Level = Literal["none", "patch", "minor", "major"]
"""The part of a version, MAJOR.MINOR.PATCH, that must rise at least (semver.org)."""

_KEPT_STATUSES: Final = frozenset({"active", "deprecated"})


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
        return any(one.breaking for one in self.changes)

    @property
    def verdict(self) -> Literal["compatible", "breaking"]:
        """The whole verdict in a word."""
        return "breaking" if self.breaking else "compatible"

    @property
    def level(self) -> Level:
        """The part of the version that must rise at least: breaking, major; a field added, minor; else patch."""
        if self.breaking:
            return "major"
        if any(one.kind in (Kind.FIELD_ADDED_OPTIONAL, Kind.FIELD_ADDED_REQUIRED) for one in self.changes):
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
    found = [*_contract_changes(before, after), *field_changes(before, after)]
    found += _document(before, after, told=bool(found))
    return Evolution(before.name, before.version, after.version, tuple(found))


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
            yield change(kind, attribute, None, *_words(was, now))

    return rule


def _fields(before: DataContract, after: DataContract) -> Iterator[Change]:
    """Tell of the key and of the order; ``field_changes`` tells of each field."""
    was, now = ([f.name for f in contract.key] for contract in (before, after))
    if was != now:
        yield change(Kind.KEY_CHANGED, "fields", None, was, now)
    are = {f.name for f in after.fields}
    kept = [f.name for f in before.fields if f.name in are]
    order = [f.name for f in after.fields if f.name in set(kept)]
    if kept != order:
        moved = next(pair for pair in zip_longest(kept, order) if pair[0] != pair[1])
        yield change(Kind.FIELDS_REORDERED, "fields", None, f"… {moved[0]} …", f"… {moved[1]} …")


def _status(before: DataContract, after: DataContract) -> Iterator[Change]:
    if before.status == after.status:
        return
    if before.status in _KEPT_STATUSES and after.status not in _KEPT_STATUSES:
        why = "the provider no longer promises that the rows keep it", "提供方不再承诺数据符合该合同"
        yield change(Kind.STATUS_CHANGED, "status", None, before.status, after.status, breaking=True, why=why)
    else:
        yield change(Kind.STATUS_CHANGED, "status", None, before.status, after.status)


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
            yield change(kind, attribute, None, *_words(was, now), breaking=False, why=why)
        else:
            yield change(kind, attribute, None, *_words(was, now))

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
    return ", ".join(f"{name} {shown(getattr(record, name)) or '-'}" for name in names)


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
        yield change(Kind.DOCUMENT, "document", None, None, parts)


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
