"""Entries of the catalogue → a workbook, and the template that departments fill in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from catalog_registry.catalogue_sheets import COLUMNS, EXAMPLE_SHEET, HELP_SHEET, IDENTITY, LEVELS, VALUES_SHEET
from catalog_registry.sheets.columns import letters
from catalog_registry.sheets.writing import Book, Cell, Rows, Rule, shown, written
from schemas.catalogue import CatalogueEntry
from schemas.catalogue_form import entry_document, read_entry

SHEET: Final = "目录"
_NUMBERS: Final = {"field.sensitivity": Rule(1, 4), "field.length": Rule(1)}


def write_workbook(path: Path, entries: Iterable[tuple[str, CatalogueEntry]]) -> int:
    """Write entries, each with its resource's name, as a workbook that ``read_sheets`` reads back equal; return their number.

    Memory does not grow with them. What is said of a resource stands in its first row; what names it stands in each.

    Raises:
        RejectedError: a text is longer than a cell holds, or they take more rows than a sheet has.
    """
    count = 0
    with written(path) as book:
        sheet = _table(book, SHEET)
        for name, entry in entries:
            count += 1
            for row in rows_of(name, entry):
                sheet.add(row, of=name)
    return count


def write_template(path: Path) -> None:
    """Write the template: headings with drop-downs of the official values, instructions in Chinese and English, an example."""
    with written(path) as book:
        _table(book, SHEET).choices(_NUMBERS)
        _write_help(book)
        example = _table(book, EXAMPLE_SHEET)
        for row in rows_of("congyerenyuanminglu", read_entry(EXAMPLE)):
            example.add(row)
        _write_values(book.free(VALUES_SHEET))


def _table(book: Book, name: str) -> Rows:
    return book.table(name, COLUMNS, wide=("title", "abstract"))


def rows_of(name: str, entry: CatalogueEntry) -> Iterable[list[Cell]]:
    """Yield the rows of a resource, in the order of ``COLUMNS``."""
    document = entry_document(entry)
    levels = (entry.classification.category.value, entry.classification.item, entry.classification.subject)
    document |= dict(zip(LEVELS, (*levels, entry.classification.detail or None), strict=True)) | {"name": name}
    for number, field in enumerate(document["fields"]):
        row: list[Cell] = []
        for column in COLUMNS:
            if column.of_field:
                row.append(shown(column, field.get(column.key.removeprefix("field."))))
            else:
                row.append(shown(column, document.get(column.key)) if not number or column.key in IDENTITY else None)
        yield row


_HELP: Final = (
    ("怎样填写", "How to fill it in"),
    (
        "在“目录”表中填写；每个信息项一行，资源的内容填在第一行，其余行可空、可重复，也可合并单元格。",
        "Fill in the sheet 目录: one row a field 信息项; what is of the resource stands in the first, or in merged cells.",
    ),
    (
        "红色标题为必填列；标题的次序可以改变，标题之上可有表名。",
        "Red headings are needed. Columns may stand in any order, and a title may stand above.",
    ),
    ("不要使用公式、宏；代码请按文本填写。", "No formulas and no macros; codes are texts, not numbers."),
    (
        "有错误时全部列出（表、行、列、原因），默认一项也不登记。",
        "Everything that is wrong is told at once, by sheet, row and column; then nothing is registered, if not by choice.",
    ),
    (
        "登记后为草稿：挂接数据合同后方可提交审核。",
        "What is registered is a draft: it is submitted once a contract is bound to it.",
    ),
)


def _write_help(book: Book) -> None:
    sheet, bold, plain = book.free(HELP_SHEET), book.bold, book.plain
    sheet.set_column(0, 0, 26)
    sheet.set_column(1, 2, 60)
    at = 0
    for zh, en in _HELP:
        sheet.write_string(at, 1, zh, bold if not at else plain)
        sheet.write_string(at, 2, en, bold if not at else plain)
        at += 1
    at += 1
    for place, word in enumerate(("列 column", "填写", "what it takes", "位置")):
        sheet.write_string(at, place, word, bold)
    for number, column in enumerate(COLUMNS):
        at += 1
        needed = ("必填。", "Needed. ") if column.needed else ("", "")
        sheet.write_string(at, 0, column.heading, bold)
        sheet.write_string(at, 1, needed[0] + column.zh, plain)
        sheet.write_string(at, 2, needed[1] + column.en, plain)
        sheet.write_string(at, 3, letters(number))


def _write_values(sheet: Any) -> None:
    listed = [column for column in COLUMNS if column.values is not None and not column.of_field]
    for place, column in enumerate(listed):
        sheet.set_column(place, place, 18)
        sheet.write_string(0, place, column.heading)
    for at in range(max(len(list(column.values or ())) for column in listed)):
        for place, column in enumerate(listed):
            values = list(column.values or ())
            if at < len(values):
                sheet.write_string(at + 1, place, values[at].told)


EXAMPLE: Final[dict[str, Any]] = {
    "classification": "3070150500300",
    "title": "从业人员名录",
    "provider": "市场监督管理局",
    "provider_code": "91110000101623741K",
    "abstract": "登记在册的从业人员。",
    "format": "数据库",
    "fields": [
        {"name": "id", "title": "编号", "data_type": "整型", "sensitivity": 1, "primary_key": True},
        {"name": "title", "title": "职务", "data_type": "字符型", "length": 60, "sensitivity": 2},
        {"name": "citizen_id", "title": "身份号码", "data_type": "字符型", "length": 18, "sensitivity": 4},
    ],
    "sharing_type": "2",
    "sharing_condition": "用于办理行政许可",
    "sharing_ways": ["接口", "库表"],
    "open": False,
    "update_cycle": "3",
    "published_on": "2026-10-08",
    "channel": "1",
    "secrecy": "非涉密",
    "level": "县级",
    "region": "440205",
}
"""The resource of the example sheet."""
