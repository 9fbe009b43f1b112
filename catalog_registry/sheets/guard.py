"""Looking through a workbook before anything is made of it: how large it is unpacked, where it has formulas, how far it goes.

A workbook is a stranger's archive. Nothing of it is parsed by the reader of cells before it was walked through here in a
stream: a small file may unpack to gigabytes, and two cells far apart make a reader reserve all that is between them.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Final
from xml.parsers import expat

from schemas.errors import Fault, RejectedError

_CHUNK_BYTES: Final = 256 * 1024
_MOST_PARTS: Final = 2_000
_MOST_DIRECTORY_BYTES: Final = 1 << 20
_MOST_FORMULAS: Final = 10_000
_END: Final = b"PK\x05\x06"
_OLD: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP: Final = b"PK\x03\x04"
_COUNTS: Final = ("count", "uniqueCount")
"""Attributes by which the reader of cells reserves space before it has seen what they count: it is never given a large one."""
_COUNT_DIGITS: Final = 7
_CELL: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_STRICT_RELATIONS: Final = "http://purl.oclc.org/ooxml/officeDocument/relationships"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a spreadsheet may take: bytes of the file, bytes unpacked, rows and columns of a sheet."""

    file_bytes: int = 64 << 20
    unpacked_bytes: int = 640 << 20
    rows: int = 250_000
    columns: int = 256


@dataclass(slots=True)
class Looked:
    """The last row and column of a sheet with something in it, from 1; its cells, from 0, that are formulas or errors."""

    rows: int = 0
    columns: int = 0
    formulas: set[tuple[int, int]] = field(default_factory=set)
    errors: set[tuple[int, int]] = field(default_factory=set)


def refused(message: str, code: str, *, where: str | None, remedy: str | None = None) -> RejectedError:
    """Return the refusal of a file as a whole."""
    return RejectedError(message, code=f"sheet.{code}", where=where, remedy=remedy, fault=Fault.CLIENT)


def kind_of(file: IO[bytes], *, where: str) -> str:
    """Return ``xlsx`` or ``csv`` by what a file begins with, whatever its name.

    Raises:
        RejectedError: it is a workbook of the form before 2007, or one with a password (``sheet.old_form``), or empty.
    """
    file.seek(0)
    head = file.read(8)
    file.seek(0)
    if head == _OLD:
        raise refused(
            "that is a workbook of the old form (.xls), whatever its name is, or one with a password",
            "old_form",
            where=where,
            remedy="save it as .xlsx without a password",
        )
    if not head:
        raise refused("the file is empty", "empty", where=where)
    return "xlsx" if head[:4] == _ZIP else "csv"


def look_through(file: IO[bytes], limits: Limits, wanted: Callable[[str], bool], *, where: str) -> Mapping[str, Looked]:
    """Return what each sheet has that is wanted by its name, having refused a workbook that is not safe to read.

    Memory does not grow with what is in the archive.

    Raises:
        RejectedError: it is no workbook, has macros, is too large unpacked, or goes too far.
    """
    with _archive(file, limits, where) as archive:
        names = set(archive.namelist())
        lower = {name.lower() for name in names}
        if any(name.endswith("vbaproject.bin") or "macrosheets/" in name for name in lower):
            raise refused("the workbook has macros", "macro", where=where, remedy="save it as .xlsx, without macros")
        if "xl/workbook.xml" not in names or "xl/_rels/workbook.xml.rels" not in names:
            raise refused("that is no .xlsx workbook", "form", where=where, remedy="save it as .xlsx")
        sheets = _sheets(archive, where)
        found: dict[str, Looked] = {}
        for name, part in sheets.items():
            if part not in names:
                raise refused("the workbook lacks a sheet that it names", "form", where=where, remedy="save it again as .xlsx")
            if wanted(name):
                found[name] = _sheet(archive, part, name, limits, where)
        for part in names - {sheets[name] for name in found}:
            if part.lower().startswith("xl/") and part.lower().endswith((".xml", ".rels")):
                _walk(archive, part, lambda *_: None, where)
            else:
                _through(archive, part)  # what it says of its size must be true: the reader of cells goes by it
        return found


@contextmanager
def _archive(file: IO[bytes], limits: Limits, where: str) -> Iterator[zipfile.ZipFile]:
    size = file.seek(0, 2)
    if size > limits.file_bytes:
        raise refused(f"the file is above {limits.file_bytes >> 20} MiB", "size", where=where, remedy="split it")
    file.seek(max(0, size - 65_557))
    tail = file.read()
    at = tail.rfind(_END)
    parts = int.from_bytes(tail[at + 10 : at + 12], "little") if at >= 0 else 0
    directory = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if at < 0 or not 0 < parts <= _MOST_PARTS or directory > _MOST_DIRECTORY_BYTES:
        raise refused("that is no .xlsx workbook: its archive is broken", "form", where=where, remedy="save it again as .xlsx")
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > limits.unpacked_bytes:
                raise refused(
                    f"the workbook is {unpacked >> 20} MiB unpacked, above {limits.unpacked_bytes >> 20}",
                    "unpacked",
                    where=where,
                    remedy="split it",
                )
            if len(entries) > _MOST_PARTS or len({entry.filename for entry in entries}) != len(entries):
                raise refused("its archive has a part twice, or too many", "form", where=where, remedy="save it again as .xlsx")
            if any(
                entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
                for entry in entries
            ):
                raise refused("its archive is locked, or packed in a way that is not usual", "form", where=where)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise refused(
            "that is no .xlsx workbook: its archive is broken", "form", where=where, remedy="save it again as .xlsx"
        ) from error


def _through(archive: zipfile.ZipFile, part: str) -> None:
    """Read a part to its end: its checksum holds only if it is as long as it says."""
    with archive.open(part) as stream:
        while stream.read(_CHUNK_BYTES):
            pass


def _broken(where: str) -> RejectedError:
    return refused("that is no .xlsx workbook: a part of it is broken", "form", where=where, remedy="save it again as .xlsx")


def _walk(archive: zipfile.ZipFile, part: str, start: Callable[[str, Mapping[str, str]], None], where: str) -> None:
    """Call ``start`` for every element of a part, its name without a prefix. A document type, and so any entity, is refused."""
    parser = expat.ParserCreate("utf-8", " ")

    def doctype(*_: object) -> None:
        raise refused("a part of the workbook declares a document type", "form", where=where, remedy="save it again as .xlsx")

    def element(name: str, attributes: dict[str, str]) -> None:
        for counted in _COUNTS:
            if (told := attributes.get(counted)) is not None and not (told.isdigit() and len(told) <= _COUNT_DIGITS):
                raise _broken(where)
        start(name.rpartition(" ")[2], attributes)

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = element
    parser.buffer_text = True
    try:
        with archive.open(part) as stream:
            head = stream.read(4)
            if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in head:
                raise refused("a part of the workbook is not in UTF-8", "form", where=where, remedy="save it again as .xlsx")
            parser.Parse(head, False)
            while chunk := stream.read(_CHUNK_BYTES):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise _broken(where) from error


def _sheets(archive: zipfile.ZipFile, where: str) -> dict[str, str]:
    """Return the part of each sheet, by its name, in the order of the workbook."""
    targets: dict[str, str] = {}
    ids: dict[str, str] = {}

    def relation(name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship" and "Id" in attributes:
            target = attributes.get("Target", "")
            targets[attributes["Id"]] = target[1:] if target.startswith("/") else f"xl/{target}"

    def sheet(name: str, attributes: Mapping[str, str]) -> None:
        if name == "sheet":
            by = next((attributes[k] for r in (_RELATIONS, _STRICT_RELATIONS) if (k := f"{r} id") in attributes), "")
            ids[attributes.get("name", "")] = by

    _walk(archive, "xl/_rels/workbook.xml.rels", relation, where)
    _walk(archive, "xl/workbook.xml", sheet, where)
    return {name: targets.get(by, "") for name, by in ids.items()}


def _sheet(archive: zipfile.ZipFile, part: str, name: str, limits: Limits, where: str) -> Looked:
    """Walk through the cells of a sheet. A cell without a reference stands after the one before."""
    looked = Looked()
    row = column = -1
    error = False

    def start(element: str, attributes: Mapping[str, Any]) -> None:
        nonlocal row, column, error
        if element == "c":
            error = attributes.get("t") == "e"
            at = attributes.get("r")
            if at is None:
                column += 1
                return
            found = _CELL.fullmatch(at)
            if found is None:
                raise _broken(where)
            column = -1
            for letter in found[1]:
                column = (column + 1) * 26 + ord(letter) - ord("A")
            row = int(found[2]) - 1
        elif element in ("v", "is", "f"):
            if row >= looked.rows:
                looked.rows = row + 1
                if looked.rows > limits.rows:
                    raise refused(f"sheet {name[:40]} has more than {limits.rows} rows", "rows", where=where, remedy="split it")
            if column >= looked.columns:
                looked.columns = column + 1
                if looked.columns > limits.columns:
                    raise refused(
                        f"sheet {name[:40]} has something right of column {limits.columns}",
                        "columns",
                        where=where,
                        remedy="take out what is not of the template",
                    )
            if element == "f" and len(looked.formulas) < _MOST_FORMULAS:
                looked.formulas.add((row, column))
            elif error and len(looked.errors) < _MOST_FORMULAS:
                looked.errors.add((row, column))
        elif element == "row":
            at = attributes.get("r")
            if at is not None and not (at.isascii() and at.isdigit() and len(at) <= 7):
                raise _broken(where)
            row, column = (row + 1 if at is None else int(at) - 1), -1

    _walk(archive, part, start, where)
    return looked
