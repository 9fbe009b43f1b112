"""Workbooks of items: what is written out is read back equal, and every cell that is wrong is told."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import pytest
import xlsxwriter

from catalog_registry.brought import ImportRefusedError
from catalog_registry.item_sheets import COLUMNS, HANDBOOK, ITEMS, LIMITS_OF_FILE, MATERIALS, SheetContents, Written
from catalog_registry.item_sheets_in import read_items
from catalog_registry.item_sheets_out import workbook
from catalog_registry.sheets.guard import Limits
from schemas.errors import RejectedError
from tests.items import BASIC, CODE, TOWN_CODE, a_handbook, item, read_back
from tests.sheet_files import workbook as sheet_file

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
    return [f"{fault.where}: {fault.reason}" for fault in read_items(io.BytesIO(content)).faults.found]


def code_of(content: bytes, limits: Limits = LIMITS_OF_FILE) -> str:
    with pytest.raises(RejectedError) as refusal:
        read_items(io.BytesIO(content), limits=limits)
    return refusal.value.code


def test_what_is_written_out_is_read_back_equal() -> None:
    whole = item(
        topics=["开办企业", "食品"],
        fees=["工本费 10 元"],
        questions=[{"question": "要多久？", "answer": "五个工作日"}],
        promised={"number": 12, "unit": "小时"},
    )
    plain = item(code="OLD-1", code_type="gd_hall_2013", ways=[], materials=[], statutory=None)
    contents = read_back(workbook([Written(whole, 3, a_handbook(), 2), Written(plain, 1)]))
    assert contents.items == ((whole, 3, 2), (plain, 1, 3))
    assert contents.handbooks == {CODE: (a_handbook(), 2, 2)}


def test_the_template_has_every_column_and_says_nothing() -> None:
    assert read_back(workbook()) == SheetContents()
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
        f"{ITEMS}!A2 承诺办结时限: '五' is no whole number",
        f"{ITEMS}!B2 实施编码: the credit code in {wrong} has a wrong form or check character",
        f"{ITEMS}!C2 事项名称: is empty",
        f"{ITEMS}!E2 承诺办结时限单位: '天' is not one of G 工作日, Z 自然日, 小时, 个月",
        f"{ITEMS}!F2 是否收费: '也许' is neither 是 nor 否",
        f"{ITEMS}!G2 计划生效日期: '2016-13-45' is no day: 2026-10-08",
        f"{MATERIALS}!D2 份数: '若干' is no whole number",
        f"{MATERIALS}!A3 实施编码: sheet {ITEMS} has no item NONE",
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
        f"{ITEMS}!A4 实施编码: {CODE} stands there twice",
        f"{MATERIALS}!B4 材料编码: 'A' stands there twice",
        f"{HANDBOOK}!D3 岗位: is missing",
        f"{HANDBOOK}!I4 裁量标准: is missing",
    ]


def test_a_formula_is_no_answer_and_an_unknown_or_missing_column_is_told() -> None:
    assert faults(book(**{ITEMS: [HEAD, ("OLD-1", '="a"&"b"', "局")]})) == [
        f"{ITEMS}!B2 事项名称: is a formula, and formulas are not evaluated: put its value there"
    ]
    assert faults(book(**{ITEMS: [("实施编码", "事项名称", "备注"), ("OLD-1", "a", "b")]})) == [
        f"{ITEMS}!C1 备注: '备注' is no heading of sheet {ITEMS}",
        f"{ITEMS}!1 实施主体: the heading 实施主体 is missing",
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
    ((made, _, _),) = read_back(content).items
    assert (made.name, made.basic_code, made.visits, str(made.effective_on)) == ("2016", BASIC, 2, "2024-01-01")


def test_merged_cells_hold_for_all_their_lines() -> None:
    def more(book: Any, _: Any) -> None:
        sheet = book.add_worksheet(MATERIALS)
        sheet.write_row(0, 0, ("实施编码", "材料编码", "材料名称"))
        sheet.merge_range(1, 0, 2, 0, "OLD-1")
        sheet.write_row(1, 1, ("A", "x"))
        sheet.write_row(2, 1, ("B", "y"))

    ((made, _, _),) = read_back(sheet_file({ITEMS: [HEAD, ("OLD-1", "a", "局")]}, more=more).getvalue()).items
    assert [(one.code, one.name) for one in made.materials] == [("A", "x"), ("B", "y")]


def test_a_heading_is_known_however_it_is_written_and_what_is_near_is_told() -> None:
    title = ("曲江区事项",)
    assert faults(book(**{ITEMS: [title, ("*实施编码（必填）", "事项 名称", "实施主体"), ("OLD-1", "a", "局")]})) == []
    assert faults(book(**{ITEMS: [(*HEAD, "办理地址"), ("OLD-1", "a", "局", "x")]})) == [
        f"{ITEMS}!D1 办理地址: '办理地址' is no heading of sheet {ITEMS}, near it is 办理地点",
    ]


def test_a_code_that_is_kept_as_a_number_and_has_lost_digits_is_refused() -> None:
    assert faults(book(**{ITEMS: [HEAD, (1_144_020_500_000_000_000, "a", "局")]}))[0].startswith(
        f"{ITEMS}!A2 实施编码: is kept as a number"
    )


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty"), (b"PK\x03\x04nothing", "form"), (b"a,b\n1,2\n", "form"), (workbook()[:3000], "form")],
)
def test_what_is_no_workbook_is_refused(content: bytes, code: str) -> None:
    assert code_of(content) == f"sheet.{code}"


def test_a_workbook_of_something_else_a_large_one_and_a_bomb_are_refused() -> None:
    assert code_of(book(Sheet1=[("a",)])) == "sheet.empty"
    bomb = io.BytesIO(workbook())
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/more.xml", b" " * (2 << 20))
    assert code_of(bomb.getvalue(), Limits(unpacked_bytes=1 << 20)) == "sheet.unpacked"
    assert code_of(book(**{ITEMS: [HEAD, *[(f"OLD-{n}", "a", "b") for n in range(4)]]}), Limits(rows=3)) == "sheet.rows"
    assert code_of(workbook(), Limits(file_bytes=100)) == "sheet.size"


def test_of_many_faults_all_are_kept_and_the_refusal_says_how_many() -> None:
    read = read_items(io.BytesIO(book(**{ITEMS: [HEAD, *[(f"OLD-{n}", "", "局") for n in range(300)]]})))
    assert len(read.faults.found) == 300
    with pytest.raises(ImportRefusedError) as refusal:
        read.whole()
    assert refusal.value.message.startswith(
        f"300 places are wrong, so nothing was taken: {ITEMS}!B2 事项名称: is empty, and 299"
    )


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
        keys = {column.key.partition(".")[0] for column in columns}
        assert keys <= known[name]
        assert known[name] - keys <= {"ways", "materials", "questions", "discretion"}
