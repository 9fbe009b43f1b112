"""Workbooks of items: what is written out is read back equal, and every cell that is wrong is told."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import pytest
import xlsxwriter

from catalog_registry import item_sheets_in
from catalog_registry.item_sheets import COLUMNS, HANDBOOK, ITEMS, MATERIALS, Written
from catalog_registry.item_sheets_in import CellFault, read_cells, read_workbook
from catalog_registry.item_sheets_out import workbook
from schemas.errors import RejectedError
from tests.items import BASIC, CODE, TOWN_CODE, a_handbook, item

HEAD = ("实施编码", "事项名称", "实施主体")


def book(**sheets: Sequence[Sequence[Any]]) -> bytes:
    """Return a workbook with these rows in its sheets; a cell that begins with = is a formula."""
    out = io.BytesIO()
    made = xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
    for name, rows in sheets.items():
        sheet = made.add_worksheet(name)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    made.close()
    return out.getvalue()


def faults(content: bytes) -> list[str]:
    return [str(fault) for fault in read_cells(content)[1]]


def code_of(content: bytes) -> str:
    with pytest.raises(RejectedError) as refusal:
        read_workbook(content)
    return refusal.value.code


def test_what_is_written_out_is_read_back_equal() -> None:
    whole = item(
        topics=["开办企业", "食品"],
        fees=["工本费 10 元"],
        questions=[{"question": "要多久？", "answer": "五个工作日"}],
        promised={"number": 12, "unit": "小时"},
    )
    plain = item(code="OLD-1", code_type="gd_hall_2013", ways=[], materials=[], statutory=None)
    contents = read_workbook(workbook([Written(whole, 3, a_handbook(), 2), Written(plain, 1)]))
    assert contents.items == ((whole, 3, 2), (plain, 1, 3))
    assert contents.handbooks == {CODE: (a_handbook(), 2, 2)}


def test_the_template_has_every_column_and_says_nothing() -> None:
    contents, wrong = read_cells(workbook())
    assert (contents.items, dict(contents.handbooks), wrong) == ((), {}, [])
    assert workbook() == workbook()


def test_every_bad_cell_is_told_with_sheet_row_column_and_reason() -> None:
    wrong = CODE[:17] + ("0" if CODE[17] != "0" else "1") + CODE[18:]
    told = faults(
        book(
            **{
                ITEMS: [
                    ("承诺办结时限", *HEAD, "承诺办结时限单位", "是否收费", "计划生效日期"),
                    ("五", wrong, "", "X 局", "天", "也许", "2016-13-45"),
                ],
                MATERIALS: [
                    ("实施编码", "材料编码", "材料名称", "份数"),
                    (wrong, "A", "申请表", "若干"),
                    ("NONE", "B", "x", ""),
                ],
            }
        )
    )
    assert told == [
        f"{ITEMS} row 2 A 承诺办结时限: '五' is no whole number",
        f"{ITEMS} row 2 C 事项名称: is empty",
        f"{ITEMS} row 2 E 承诺办结时限单位: '天' is not one of G 工作日, Z 自然日, 小时, 个月",
        f"{ITEMS} row 2 F 是否收费: '也许' is neither 是 nor 否",
        f"{ITEMS} row 2 B 实施编码: the credit code in {wrong} has a wrong form or check character",
        f"{ITEMS} row 2 G 计划生效日期: '2016-13-45' is no day: 2026-11-02",
        f"{MATERIALS} row 2 D 份数: '若干' is no whole number",
        f"{MATERIALS} row 3 A 实施编码: sheet {ITEMS} has no item NONE",
    ]


def test_a_fault_in_a_list_is_told_at_the_line_it_comes_from() -> None:
    content = book(
        **{
            ITEMS: [HEAD, (TOWN_CODE, "a", "b"), (CODE, "a", "b"), (CODE, "again", "b")],
            MATERIALS: [("实施编码", "材料编码", "材料名称"), (CODE, "A", "x"), (TOWN_CODE, "A", "x"), (CODE, "A", "y")],
            HANDBOOK: [
                ("实施编码", "环节", "实施机构", "岗位", "职权", "审查内容", "审查方式", "裁量情形", "裁量标准"),
                (CODE, "受理", "局", "窗口", "法", "材料", "书面", "", ""),
                (CODE, "决定", "局", "", "法", "意见", "会", "轻", "准予"),
                (CODE, "决定", "", "", "", "", "", "重", ""),
            ],
        }
    )
    assert faults(content) == [
        f"{ITEMS} row 4 A 实施编码: {CODE} stands there twice",
        f"{MATERIALS} row 4 B 材料编码: 'A' stands there twice",
        f"{HANDBOOK} row 3 D 岗位: is missing",
        f"{HANDBOOK} row 4 I 裁量标准: is missing",
    ]


def test_a_formula_is_no_answer_and_an_unknown_or_missing_column_is_told() -> None:
    assert faults(book(**{ITEMS: [HEAD, ("OLD-1", '="a"&"b"', "局")]})) == [
        f"{ITEMS} row 2 B 事项名称: is a formula: put in what it shows"
    ]
    assert faults(book(**{ITEMS: [("实施编码", "事项名称", "备注"), ("OLD-1", "a", "b")]})) == [
        f"{ITEMS} row 1 C 备注: there is no such column",
        f"{ITEMS} row 1 实施主体: the column is missing",
    ]


def test_numbers_and_days_that_a_spreadsheet_keeps_as_such_are_read() -> None:
    from datetime import date

    content = book(
        **{
            ITEMS: [
                (*HEAD, "基本编码", "到办事现场次数", "计划生效日期"),
                ("OLD-1", 2016, "局", int(BASIC), 2, date(2024, 1, 1)),
            ]
        }
    )
    ((made, _, _),) = read_workbook(content).items
    assert (made.name, made.basic_code, made.visits, str(made.effective_on)) == ("2016", BASIC, 2, "2024-01-01")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nothing", b"a,b\n1,2\n", workbook()[:3000]])
def test_what_is_no_workbook_is_refused(content: bytes) -> None:
    assert code_of(content) == "sheet.file"


def test_a_workbook_of_something_else_a_large_one_and_a_bomb_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_of(book(Sheet1=[("a",)])) == "sheet.file"
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (item_sheets_in.MAX_UNPACKED + 1))
    assert len(bomb.getvalue()) < 1 << 20
    assert code_of(bomb.getvalue()) == "sheet.file"
    monkeypatch.setattr(item_sheets_in, "MAX_ROWS", 2)
    assert code_of(book(**{ITEMS: [HEAD, *[(f"OLD-{n}", "a", "b") for n in range(4)]]})) == "sheet.file"
    monkeypatch.setattr(item_sheets_in, "MAX_BYTES", 100)
    assert code_of(workbook()) == "sheet.file"


def test_of_many_faults_the_first_are_told_and_how_many_more_there_are() -> None:
    with pytest.raises(RejectedError) as refusal:
        read_workbook(book(**{ITEMS: [HEAD, *[(f"OLD-{n}", "", "局") for n in range(300)]]}))
    assert refusal.value.message.startswith("300 cells are wrong: ")
    assert refusal.value.message.endswith("; and 100 more")


def test_every_column_fills_an_element_that_there_is() -> None:
    from dataclasses import fields

    from schemas.handbook import Discretion, HandbookStep
    from schemas.item import Material, Question, ServiceItem, Way

    known = {
        ITEMS: {f.name for f in fields(ServiceItem)} | {"version"},
        "业务办理项": {f.name for f in fields(Way)} | {"item"},
        MATERIALS: {f.name for f in fields(Material)} | {"item"},
        "常见问题": {f.name for f in fields(Question)} | {"item"},
        HANDBOOK: {f.name for f in (*fields(HandbookStep), *fields(Discretion))} | {"item", "version"},
    }
    for name, columns in COLUMNS.items():
        keys = {column.key for column in columns}
        assert keys <= known[name]
        assert known[name] - keys <= {"ways", "materials", "questions", "discretion"}
    assert CellFault(ITEMS, 2, "A", "x").row == 2
