"""A file of the catalogue, whatever its form, brought in: a spreadsheet, the national JSON, or contracts as ODCS."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Final

from catalog_registry.brought import Faults, GivenEntry
from catalog_registry.catalogue_sheets_in import read_sheets
from catalog_registry.exports.national import given_entries
from catalog_registry.exports.odcs import split_contracts
from catalog_registry.imports import Imported
from catalog_registry.records import PrincipalRecord
from catalog_registry.registry import Registry
from catalog_registry.rules import refused
from catalog_registry.sheets.guard import Limits

_MOST_TEXT_BYTES: Final = 256 << 20


class FileKind(StrEnum):
    """What a file of the catalogue is."""

    XLSX = "xlsx"
    CSV = "csv"
    NATIONAL = "national"
    ODCS = "odcs"


SUFFIXES: Final = {
    ".xlsx": FileKind.XLSX,
    ".xlsm": FileKind.XLSX,
    ".xls": FileKind.XLSX,
    ".csv": FileKind.CSV,
    ".json": FileKind.NATIONAL,
    ".yaml": FileKind.ODCS,
    ".yml": FileKind.ODCS,
}
"""The kind of a file by the end of its name, in small letters. What a workbook really is shows its content."""


@dataclass
class Brought:
    """What a file holds: entries with what is wrong with others, or the texts of contracts."""

    entries: list[GivenEntry] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    contracts: list[str] | None = None


def read_file(file: IO[bytes], kind: FileKind, *, where: str, limits: Limits | None = None) -> Brought:
    """Return what a file of the catalogue holds, without asking the registry.

    Raises:
        RejectedError: it is not of its kind, or too large, or holds nothing.
    """
    limits = limits or Limits()
    if kind in (FileKind.XLSX, FileKind.CSV):
        reading = read_sheets(file, limits=limits, where=where, workbook=kind is FileKind.XLSX)
        return Brought(reading.entries, reading.faults)
    text = _text(file, min(limits.file_bytes, _MOST_TEXT_BYTES), where)
    if kind is FileKind.ODCS:
        contracts = list(split_contracts(text))
        if not contracts:
            raise refused("the file has no contract in it", "catalogue.nothing", where=where)
        return Brought(contracts=contracts)
    made = Brought()
    made.entries = given_entries(text, made.faults, where=where)
    return made


def bring_in(
    registry: Registry,
    brought: Brought,
    *,
    by: str,
    who: PrincipalRecord | None = None,
    published: bool = False,
    partial: bool = False,
    check: bool = False,
) -> Imported:
    """Register what a file holds, as ``Registry.import_entries`` and ``import_contracts`` do.

    ``published``: a new resource of a contract is shared at once; else it is a draft.
    """
    if brought.contracts is not None:
        state = "published" if published else "draft"
        return registry.import_contracts(brought.contracts, by=by, who=who, state=state, partial=partial, check=check)
    return registry.import_entries(brought.entries, by=by, who=who, faults=brought.faults, partial=partial, check=check)


def _text(file: IO[bytes], most_bytes: int, where: str) -> str:
    data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise refused(f"the file is above {most_bytes >> 20} MiB", "catalogue.size", where=where, remedy="split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused("the file is not UTF-8", "catalogue.encoding", where=where) from error
