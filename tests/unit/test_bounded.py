"""What a stranger gave is read in a process of its own, whose end is a refusal and no more."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest

from catalog_registry.bring_in import FileKind, read_file
from catalog_registry.item_sheets import LIMITS_OF_FILE, Written
from catalog_registry.item_sheets_in import read_items
from catalog_registry.item_sheets_out import workbook as items_workbook
from catalog_registry.sheets.guard import Limits
from exchange.bounded import OverTimeError, in_child
from exchange.sheets import read_catalogue_sheet, read_item_sheet
from schemas.errors import Fault, RejectedError
from tests.items import a_handbook, item
from tests.sheet_files import csv_file, headings, rows, workbook

ROOT = Path(__file__).resolve().parents[2]


def said(do: str, *, within_s: float = 30) -> bytes:
    with tempfile.TemporaryFile() as file:
        file.write(b"what was given")
        file.seek(0)
        return in_child("tests.bounded_child", {"do": do}, within_s=within_s, code="test.reader", file=file)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_a_child_reads_the_file_that_it_is_given_and_knows_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", "postgresql://secret")
    assert said("read") == b"what was given"
    assert said("environment") == b"[]"


@pytest.mark.parametrize("do", ["abort", "memory", "connect"])
def test_a_child_that_aborts_takes_too_much_or_asks_somebody_is_a_refusal_and_no_more(do: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        said(do)
    assert (refusal.value.code, refusal.value.message.partition(":")[0]) == ("test.reader", "it cannot be read")


def test_a_child_that_takes_too_long_is_ended() -> None:
    with pytest.raises(OverTimeError) as refusal:
        said("wait", within_s=1)
    assert refusal.value.code == "read.slow"


def test_what_a_child_refuses_is_refused_with_all_that_it_said() -> None:
    with pytest.raises(RejectedError) as refusal:
        said("refuse")
    told = refusal.value
    assert (told.message, told.code, told.where, told.remedy, told.fault) == (
        *("that is none", "test.none", "here", "give one"),
        Fault.CLIENT,
    )


@pytest.mark.parametrize("kind", [FileKind.XLSX, FileKind.CSV])
def test_a_spreadsheet_of_the_catalogue_is_read_in_the_child_as_it_is_here(kind: FileKind) -> None:
    cells = [headings(), *rows("staff"), *rows("wrong", sharing_ways=["接口"], open=True)]
    cells[-1][1] = "也许"
    given = (workbook if kind is FileKind.XLSX else csv_file)(cells).getvalue()
    with tempfile.TemporaryFile() as file:
        file.write(given)
        found = read_catalogue_sheet(file, kind, where="the body", limits=Limits())
    here = read_file(io.BytesIO(given), kind, where="the body")
    assert (len(found.entries), found.faults.count) == (1, 1)
    assert found == here


def test_a_workbook_of_items_is_read_in_the_child_as_it_is_here() -> None:
    given = items_workbook([Written(item(), 3, a_handbook(), 2), Written(item(code="OLD-1", code_type="hall", ways=[]), 1)])
    with tempfile.TemporaryFile() as file:
        file.write(given)
        found = read_item_sheet(file, where="the body", limits=LIMITS_OF_FILE)
    assert len(found.contents.items) == 2
    assert found == read_items(io.BytesIO(given))
