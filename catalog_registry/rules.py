"""What the registry refuses, as pure functions of what it is given."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Any, Final

from catalog_registry.quota import quota_of
from catalog_registry.records import DepartmentRecord
from catalog_registry.store.tables import ADMINISTRATORS, ROLES
from schemas.catalogue import CatalogueEntry
from schemas.contract import DataContract
from schemas.errors import Fault, RejectedError
from schemas.rowfilter import Filter, check

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PURPOSE: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")


def refused(message: str, code: str, *, where: str | None = None, remedy: str | None = None) -> RejectedError:
    """Return the refusal of something that a user gave."""
    return RejectedError(message, code=code, where=where, remedy=remedy, fault=Fault.CLIENT)


def check_code(text: str, what: str) -> None:
    """Raise ``RejectedError`` where a code is not letters, digits, ``_``, ``.`` and ``-``, at most 64."""
    if not _CODE.fullmatch(text):
        raise refused(
            f"{text[:64]!r} is no code of a {what}: letters, digits, _ . -, at most 64", f"{what.replace(' ', '_')}.code"
        )


def check_said(text: str, what: str) -> None:
    """Raise ``RejectedError`` where a text that must say something is blank."""
    if not text.strip():
        raise refused(f"{what} is empty", "registry.empty")


def content_hash(contract: DataContract) -> str:
    """Return the SHA-256, in hex, of a contract's content: layout, comments and the order of keys do not count."""
    text = json.dumps(contract.document, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def newer(version: str, than: str) -> bool:
    """Say whether a version is above another, where both are numbers with dots; true where they cannot be compared."""
    try:
        return tuple(int(p) for p in version.split(".")) > tuple(int(p) for p in than.split("."))
    except ValueError:
        return True


def check_keyed(contract: DataContract) -> None:
    """Raise ``RejectedError`` where a contract names no key."""
    if not contract.key:
        raise RejectedError(
            "the contract names no key; rows without a key cannot be kept apart",
            code="contract.no_key",
            where=contract.name,
            remedy="set primaryKey and primaryKeyPosition on the fields that tell rows apart",
            fault=Fault.PROVIDER,
        )


def check_newer(contract: DataContract, than: str) -> None:
    """Raise ``RejectedError`` where a contract's version is not above the one in force."""
    if not newer(contract.version, than):
        raise RejectedError(
            f"version {contract.version} is not above {than}, which is in force",
            code="contract.version_order",
            where=contract.name,
            remedy="raise the contract's version",
            fault=Fault.PROVIDER,
        )


def check_change(before: DataContract, after: DataContract) -> None:
    """Raise ``RejectedError`` where a new version of a contract changes what rows that were landed already hang on.

    The number of partitions is the topic's, where the order of a key's rows would be lost, and the key tells the rows apart.
    """
    if after.partitions != before.partitions:
        raise RejectedError(
            f"the resource has {_count(before.partitions)}, and this version of its contract wants {_count(after.partitions)}",
            code="resource.partitions",
            where=after.name,
            remedy=f"keep onedoor.partitions at {before.partitions}, or register a resource of another name",
            fault=Fault.PROVIDER,
        )
    was, now = ([f.name for f in contract.key] for contract in (before, after))
    if now != was:
        raise RejectedError(
            f"the key is ({', '.join(was)}), and this version of the contract changes it to ({', '.join(now)})",
            code="resource.key",
            where=after.name,
            remedy="keep the key, or register a resource of another name and withdraw this one on a date",
            fault=Fault.PROVIDER,
        )


def _count(partitions: int) -> str:
    return "1 partition" if partitions == 1 else f"{partitions} partitions"


def check_roles(roles: Iterable[str]) -> list[str]:
    """Return the roles, sorted, each once.

    Raises:
        RejectedError: one is unknown, or two of the three administrators are among them. The database refuses the same.
    """
    wanted = sorted(set(roles))
    for role in wanted:
        if role not in ROLES:
            close = get_close_matches(role, ROLES, n=2)
            raise refused(
                f"there is no role {role[:64]!r}" + (f"; near it: {', '.join(close)}" if close else ""),
                "principal.role",
                remedy=f"roles are {', '.join(ROLES)}",
            )
    if len(both := [role for role in wanted if role in ADMINISTRATORS]) > 1:
        raise refused(
            f"one principal cannot be {' and '.join(both)}: the three administrators exclude one another",
            "principal.administrators",
        )
    return wanted


def check_ranges(ranges: Iterable[str]) -> list[str]:
    """Return networks in one form, sorted, each once. Raises ``RejectedError`` where one is no network as CIDR."""
    found = set()
    for text in ranges:
        try:
            found.add(ip_network(text))
        except ValueError:
            raise refused(
                f"{text[:64]!r} is no network: expected CIDR such as 10.2.0.0/16, without bits after the mask",
                "principal.range",
            ) from None
    return [str(network) for network in sorted(found, key=lambda n: (n.version, n.network_address.packed, n.prefixlen))]


def check_terms(
    *,
    legal_basis: str,
    purposes: Sequence[str],
    items: Sequence[str],
    from_at: datetime,
    to_at: datetime,
    quota: Mapping[str, Any] | None = None,
) -> None:
    """Raise ``RejectedError`` where the terms of a grant say too little, or its quota is not of the form."""
    quota_of(quota)
    check_said(legal_basis, "the legal basis of a grant")
    check_uses(purposes, items, "a grant", "grant")
    if from_at.tzinfo is None or to_at.tzinfo is None:
        raise refused("the instants of a grant need an offset", "grant.interval")
    if to_at <= from_at:
        raise refused("a grant must end after it begins", "grant.interval")


def check_uses(purposes: Sequence[str], items: Sequence[str], what: str, area: str) -> None:
    """Raise ``RejectedError`` where neither a purpose nor an item is named, or one has a wrong form.

    Args:
        purposes: words such as ``accept_case``.
        items: codes of service items.
        what: what names them, for the refusal.
        area: the first word of the refusal's code.
    """
    if not purposes and not items:
        raise refused(f"{what} names at least one purpose or one item", f"{area}.no_purpose", remedy="say what it is for")
    for purpose in purposes:
        if not _PURPOSE.fullmatch(purpose):
            raise refused(f"{purpose[:64]!r} is no purpose: expected a word such as accept_case", f"{area}.purpose")
    for item in items:
        check_code(item, "item")


def check_fields(contract: DataContract, fields: Sequence[str], row_filter: Filter | None) -> None:
    """Raise ``RejectedError`` where a grant names a field that the contract does not have, or chooses rows by one that is
    sealed, unknown, or cannot hold what it is compared with.
    """
    if not fields:
        raise refused("a grant names at least one field", "grant.no_field")
    here = {f.name for f in contract.fields}
    for name in fields:
        if name not in here:
            close = get_close_matches(name, here, n=3)
            near = f"; near it: {', '.join(close)}" if close else ""
            remedy = f"see its fields: onedoor resource show {contract.name}"
            raise refused(f"{contract.name} has no field {name[:64]!r}{near}", "grant.unknown_field", remedy=remedy)
    if row_filter is not None:
        check(row_filter, contract)


def check_fits(entry: CatalogueEntry, contract: DataContract, department: DepartmentRecord) -> None:
    """Raise ``RejectedError`` where an entry of the catalogue is not of this resource; every field that is wrong is named."""
    if wrong := [*misfits(entry, contract), *(f"{key}: {reason}" for key, reason in provider_misfits(entry, department))]:
        count = "1 fault" if len(wrong) == 1 else f"{len(wrong)} faults"
        raise refused(f"the catalogue entry has {count}: {'; '.join(wrong)}", "catalogue.entry", where=contract.name)


def provider_misfits(entry: CatalogueEntry, department: DepartmentRecord) -> list[tuple[str, str]]:
    """Return what an entry says of its provider that is not the department's: each key with the reason."""
    wrong = []
    if entry.provider != department.name:
        wrong.append(("provider", f"the resource is of {department.name}"))
    if department.credit_code is not None and entry.provider_code != department.credit_code:
        wrong.append(("provider_code", f"{department.name} has {department.credit_code}"))
    return wrong


def misfits(entry: CatalogueEntry, contract: DataContract) -> list[str]:
    """Return what an entry says of the fields that the contract does not, as ``key: reason``."""
    said = {field.name: place for place, field in enumerate(entry.fields)}
    fields = [f.name for f in contract.fields]
    wrong = [f"fields[{place}].name: the contract has no field {name}" for name, place in said.items() if name not in fields]
    if missing := [name for name in fields if name not in said]:
        wrong.append(f"fields: the contract's {', '.join(missing)} stand not there")
    keys = [f.name for f in contract.key]
    wrong += [
        f"fields[{said[f.name]}].primary_key: {f.name} is {'a' if f.name in keys else 'no'} part of the contract's key"
        for f in entry.fields
        if f.name in fields and f.primary_key != (f.name in keys)
    ]
    return wrong
