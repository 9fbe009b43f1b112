"""Workbooks that are not safe to read are refused before they are: bombs, lies, macros, old forms, whatever is broken."""

from __future__ import annotations

import io
import random
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.catalogue_sheets_in import read_sheets
from catalog_registry.sheets.guard import Limits
from schemas.errors import RejectedError
from tests.sheet_files import entry, headings, place, rows, workbook

SHEET = "xl/worksheets/sheet1.xml"
MEBIBYTE = 1 << 20


def a_book() -> io.BytesIO:
    return workbook([headings(), *rows("staff")])


def changed(parts: dict[str, bytes | None], book: io.BytesIO | None = None) -> io.BytesIO:
    """Return a workbook with parts replaced, added, or left out."""
    out = io.BytesIO()
    with zipfile.ZipFile(book or a_book()) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in parts:
                new.writestr(name, old.read(name))
        for name, data in parts.items():
            if data is not None:
                new.writestr(name, data)
    out.seek(0)
    return out


def part(name: str) -> bytes:
    with zipfile.ZipFile(a_book()) as archive:
        return archive.read(name)


def refusal(file: io.BytesIO, limits: Limits | None = None) -> RejectedError:
    with pytest.raises(RejectedError) as refused:
        read_sheets(file, limits=limits, where="book.xlsx")
    assert refused.value.where == "book.xlsx"
    return refused.value


def peak_bytes(do: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = changed({"xl/sharedStrings.xml": b" " * (80 * MEBIBYTE)})
    assert bomb.getbuffer().nbytes < MEBIBYTE
    told: list[RejectedError] = []
    assert peak_bytes(lambda: told.append(refusal(bomb, Limits(unpacked_bytes=64 * MEBIBYTE)))) < 4 * MEBIBYTE
    assert (told[0].code, told[0].message) == ("sheet.unpacked", "the workbook is 80 MiB unpacked, above 64")


def test_a_part_that_lies_about_its_size_is_refused() -> None:
    book = bytearray(changed({"xl/sharedStrings.xml": part("xl/sharedStrings.xml") + b" " * 8 * MEBIBYTE}).getvalue())
    at = book.rfind(b"xl/sharedStrings.xml") - 46
    assert book[at : at + 4] == b"PK\x01\x02"
    book[at + 24 : at + 28] = struct.pack("<I", 1000)
    assert refusal(io.BytesIO(bytes(book))).code == "sheet.form"


@pytest.mark.parametrize(
    ("cell", "code"),
    [("A1048576", "sheet.rows"), ("XFD9", "sheet.columns"), ("ZZZ9", "sheet.columns"), ("A9999999", "sheet.rows")],
)
def test_cells_far_apart_are_refused_before_space_is_made_for_all_between(cell: str, code: str) -> None:
    row = cell.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    far = f'<row r="{row}"><c r="{cell}"><v>1</v></c></row></sheetData>'.encode()
    assert refusal(changed({SHEET: part(SHEET).replace(b"</sheetData>", far)})).code == code


@pytest.mark.parametrize("told", [b"8000000000000", b"10000000", b"-1"])
def test_a_count_that_would_reserve_more_than_there_is_is_refused(told: bytes) -> None:
    strings = re.sub(rb'uniqueCount="[0-9]+"', b'uniqueCount="' + told + b'"', part("xl/sharedStrings.xml"))
    assert refusal(changed({"xl/sharedStrings.xml": strings})).code == "sheet.form"


def test_merged_cells_without_number_take_no_time_without_end() -> None:
    merges = b'<mergeCell ref="A1:XFD20"/>' * 4_000
    sheet = part(SHEET).replace(b"</sheetData>", b"</sheetData><mergeCells>" + merges + b"</mergeCells>")
    steps = [0]

    def count(*_: object) -> None:
        steps[0] += 1

    sys.setprofile(count)
    try:
        reading = read_sheets(changed({SHEET: sheet}))
    finally:
        sys.setprofile(None)
    assert reading.entries == []
    assert steps[0] < 1_000_000


def test_a_style_far_away_is_no_cell() -> None:
    far = b'<row r="1048576"><c r="XFD1048576" s="1"/></row></sheetData>'
    reading = read_sheets(changed({SHEET: part(SHEET).replace(b"</sheetData>", far)}))
    assert [one.entry for one in reading.entries] == [entry()]


def test_a_formula_of_any_form_is_found() -> None:
    for formula in (b"<f>1+1</f>", b'<f t="shared" si="0"/>', b'<x:f xmlns:x="urn:x">1</x:f>'):
        cell = b'<c r="A2">' + formula + b"<v>2</v></c>"
        sheet = part(SHEET)
        at = sheet.index(b'<c r="A2"')
        whole = sheet[:at] + cell + sheet[sheet.index(b"</c>", at) + 4 :]
        (fault,) = read_sheets(changed({SHEET: whole})).faults.found
        assert (fault.row, fault.column, fault.reason.partition(",")[0]) == (2, "A", "is a formula")


def _old_form() -> io.BytesIO:
    return io.BytesIO(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000))


def _locked() -> io.BytesIO:
    book = bytearray(a_book().getvalue())
    book[book.rfind(b"PK\x01\x02") + 8] |= 1
    return io.BytesIO(bytes(book))


@pytest.mark.parametrize(
    ("file", "code", "words"),
    [
        (_old_form, "sheet.old_form", "old form"),
        (lambda: changed({"xl/vbaProject.bin": b"x"}), "sheet.macro", "macros"),
        (lambda: changed({"xl/macrosheets/sheet1.xml": b"<x/>"}), "sheet.macro", "macros"),
        (lambda: changed({"xl/workbook.xml": None, "xl/workbook.bin": b"x"}), "sheet.form", "no .xlsx"),
        (lambda: changed({SHEET: None}), "sheet.form", "lacks a sheet"),
        (lambda: changed({SHEET: b"<worksheet>"}), "sheet.form", "broken"),
        (
            lambda: changed({SHEET: '<?xml version="1.0" encoding="UTF-16"?><worksheet/>'.encode("utf-16")}),
            "sheet.form",
            "UTF-8",
        ),
        (lambda: changed({SHEET: b'<!DOCTYPE x [<!ENTITY a "b">]><worksheet/>'}), "sheet.form", "document type"),
        (lambda: changed({f"docProps/{n}.xml": b"" for n in range(2100)}), "sheet.form", "broken"),
        (lambda: io.BytesIO(a_book().getvalue()[:-40]), "sheet.form", "broken"),
        (_locked, "sheet.form", "locked"),
    ],
)
def test_a_file_that_is_no_safe_workbook_is_refused_with_what_it_is(
    file: Callable[[], io.BytesIO], code: str, words: str
) -> None:
    refused = refusal(file())
    assert refused.code == code
    assert words in refused.message


def test_a_text_under_the_name_of_a_workbook_is_refused() -> None:
    with pytest.raises(RejectedError, match="workbook, whatever its name is"):
        read_sheets(io.BytesIO("信息资源名称\n".encode()), workbook=True)


def test_a_file_above_the_limit_is_refused() -> None:
    assert refusal(a_book(), Limits(file_bytes=1000)).code == "sheet.size"
    assert refusal(io.BytesIO(b"a" * 2000), Limits(file_bytes=1000)).code == "sheet.size"
    assert refusal(workbook([headings(), *rows("staff")]), Limits(rows=3)).code == "sheet.rows"
    assert refusal(io.BytesIO(b"a\n" * 20), Limits(rows=3)).code == "sheet.rows"
    assert refusal(io.BytesIO(b"a" + b"," * 300), Limits()).code == "sheet.columns"


def test_no_broken_workbook_is_more_than_refused() -> None:
    good, chance = a_book().getvalue(), random.Random(4)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        names = [name for name in archive.namelist() if name.startswith("xl/")]
        parts = {name: archive.read(name) for name in names}
    refused = 0
    for turn in range(300):
        if turn % 2:
            data = bytearray(good)
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            file = io.BytesIO(bytes(data))
        else:
            name = chance.choice(names)
            data = bytearray(parts[name])
            for _ in range(chance.randint(1, 6)):
                data[chance.randrange(len(data))] = chance.choice(b'<>/"&;=0 \x00az')
            file = changed({name: bytes(data)})
        try:
            read_sheets(file)
        except RejectedError:
            refused += 1
    assert refused > 100


def test_fifty_thousand_rows_are_read_in_bounded_memory(tmp_path: Path) -> None:
    first, second = ([None if cell is None else str(cell) for cell in row] for row in rows("staff")[:2])
    lines = [_row(headings())]
    for n in range(3_334):
        for at in range(15):
            row = list(second if at else first)
            row[place("name")], row[place("title")], row[place("field.name")] = f"r{n}", f"资源{n}", f"f{at}"
            lines.append(_row(row))
    assert len(lines) > 50_000
    sheet = part(SHEET)
    whole = sheet[: sheet.index(b"<sheetData>") + 11] + "".join(lines).encode() + sheet[sheet.index(b"</sheetData>") :]
    (tmp_path / "big.xlsx").write_bytes(changed({SHEET: whole}).getvalue())
    said = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path / "big.xlsx")], capture_output=True, text=True, timeout=120, check=True
    )
    resources, fields, faults, before_kb, peak_kb = map(int, said.stdout.split())
    assert (resources, fields, faults) == (3_334, 50_010, 0)
    assert peak_kb - before_kb < 200 * 1024


_READ = """
import resource, sys
from catalog_registry.catalogue_sheets_in import read_sheets
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open(sys.argv[1], "rb") as file:
    reading = read_sheets(file)
fields = sum(len(one.entry.fields) for one in reading.entries)
print(len(reading.entries), fields, reading.faults.count, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _row(cells: Sequence[str | None]) -> str:
    """Return a row without references: each cell stands after the one before."""
    made = ("<c/>" if cell is None else f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in cells)
    return f"<row>{''.join(made)}</row>"
