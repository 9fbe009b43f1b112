"""The whole catalogue, or some of it, in one of its forms: what the command line and the API write alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from catalog_registry.acting import Sight
from catalog_registry.catalogue_sheets_out import write_workbook
from catalog_registry.exports.dcat import About, dcat, read_base
from catalog_registry.exports.jsonld import jsonld
from catalog_registry.exports.national import national_json
from catalog_registry.exports.odcs import odcs_stream
from catalog_registry.exports.turtle import turtle
from catalog_registry.records import DepartmentRecord
from catalog_registry.registry import Registry
from catalog_registry.rules import refused
from catalog_registry.sheets.writing import MEDIA_TYPE as XLSX_TYPE
from schemas.catalogue import CatalogueEntry, SharingType
from schemas.clock import CHINA
from schemas.errors import DeniedError, Fault

CENTRE: Final = ("centre", "信息中心")
"""The department that publishes where none is named: the information centre."""

Thing = TypeVar("Thing")


class Format(StrEnum):
    """What an export is written in."""

    TURTLE = "turtle"
    JSONLD = "jsonld"
    ODCS = "odcs"
    NATIONAL = "national"
    XLSX = "xlsx"


MEDIA_TYPES: Final = MappingProxyType(
    {
        Format.NATIONAL: "application/json",
        Format.TURTLE: "text/turtle",
        Format.JSONLD: "application/ld+json",
        Format.ODCS: "application/yaml",
        Format.XLSX: XLSX_TYPE,
    }
)
_ENTERED: Final = (Format.NATIONAL, Format.XLSX)
"""Forms that have resources with an entry only, and drafts where they are asked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an export is to have.

    ``names`` are the resources, none: all that are shared. ``seen``: by whom; None: the operator at the console. ``drafts``:
    what is not shared yet too. ``base`` is the address that names in DCAT begin with, ``publisher`` the code of a department.
    """

    form: Format
    division: str
    names: tuple[str, ...] = ()
    seen: Sight | None = None
    drafts: bool = False
    base: str | None = None
    publisher: str | None = None


def write_export(registry: Registry, wanted: Wanted, path: Path) -> int:
    """Write an export as a file; return how many resources it has. Memory does not grow with them."""
    if wanted.form is Format.XLSX:
        return write_workbook(path, _named(registry, wanted))
    count = [0]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(export_text(registry, wanted, count))
    return count[0]


def export_text(registry: Registry, wanted: Wanted, count: list[int]) -> Iterator[str]:
    """Yield the text of an export in a form that is one; ``count`` holds how many resources it has when it is done.

    Raises:
        RejectedError: a name is of no resource that is shared, or that may be seen; one that is named has no entry; the address
            or the publisher is none; or drafts are asked for in a form that has none.
        DeniedError: contracts are asked for by somebody who sees none.
    """

    def counted(things: Iterable[Thing]) -> Iterator[Thing]:
        for thing in things:
            count[0] += 1
            yield thing

    if wanted.drafts and wanted.form not in _ENTERED:
        raise refused(f"drafts are not written as {wanted.form}", "export.drafts", remedy="choose national or xlsx")
    if wanted.form is Format.ODCS:
        if wanted.seen is not None and not wanted.seen.everything and wanted.seen.department is None:
            raise DeniedError(
                "contracts are for the resource's department, the centre and the auditor",
                code="registry.contracts",
                fault=Fault.CLIENT,
            )
        yield from odcs_stream(counted(registry.contract_texts(wanted.names, seen=wanted.seen)))
    elif wanted.form is Format.NATIONAL:
        yield from national_json(entry for _, entry in counted(_named(registry, wanted)))
    else:
        first, last = registry.listed_between()
        about = About(
            base=read_base(f"urn:onedoor:{wanted.division}" if wanted.base is None else wanted.base),
            region=wanted.division,
            publisher=_publisher(registry, wanted.publisher),
            issued=first.astimezone(CHINA),
            modified=last.astimezone(CHINA),
        )
        write: Callable[..., Iterator[str]] = turtle if wanted.form is Format.TURTLE else jsonld
        yield from write(dcat(about, counted(registry.listed(wanted.names, seen=wanted.seen))))


def _named(registry: Registry, wanted: Wanted) -> Iterator[tuple[str, CatalogueEntry]]:
    """Yield the entries with the names of their resources.

    Of one that is not shared 不予共享 others than its department see the name and the reason only, so it is not here for them.
    Raises ``RejectedError`` where a resource that is named has no entry.
    """
    for resource in registry.listed(wanted.names, seen=wanted.seen, drafts=wanted.drafts):
        entry, seen = resource.entry, wanted.seen
        if entry is None:
            if wanted.names:
                raise refused(
                    f"the catalogue says nothing of {resource.name} yet",
                    "catalogue.no_entry",
                    where=resource.name,
                    remedy=f"set it with onedoor resource catalogue {resource.name} --set FILE.json",
                )
            continue
        hidden = entry.sharing.type is SharingType.NOT_SHARED
        if not hidden or seen is None or seen.of_department(resource.department.code):
            yield str(resource.name), entry


def _publisher(registry: Registry, code: str | None) -> DepartmentRecord:
    departments = {department.code: department for department in registry.departments()}
    wanted = CENTRE[0] if code is None else code
    if wanted in departments:
        return departments[wanted]
    if code is None:
        return DepartmentRecord(*CENTRE, credit_code=None, parent=None)
    raise refused(f"there is no department {code[:64]!r}", "department.unknown", remedy="give the code of one")
