"""Entries of the catalogue → a workbook, and the template that departments fill in.

Every text is written as a text, whatever it begins with: nothing that one registered is ever a formula in another's Excel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from catalog_registry.sheets.columns import COLUMNS, IDENTITY, LEVELS, Column, Kind, letters
from catalog_registry.sheets.read import EXAMPLE_SHEET, HELP_SHEET, VALUES_SHEET
from schemas.catalogue import CatalogueEntry
from schemas.catalogue_form import entry_document, read_entry
from schemas.errors import Fault, RejectedError

SHEET: Final = "目录"
MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_ROWS: Final = 1_048_575
_MOST_CHARACTERS: Final = 32_767
_FILLED_ROWS: Final = 5_000
"""Rows of the template that have drop-downs."""
_PLAIN: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "default_date_format": "yyyy-mm-dd",
}
_FLAGS: Final = {True: "是", False: "否"}


def write_workbook(path: Path, entries: Iterable[tuple[str, CatalogueEntry]]) -> int:
    """Write entries, each with its resource's name, as a workbook that ``read_sheets`` reads back equal; return their number.

    Memory does not grow with them. What is said of a resource stands in its first row; what names it stands in each.

    Raises:
        RejectedError: a text is longer than a cell holds, or they take more rows than a sheet has.
    """
    import xlsxwriter

    count, at = 0, 0
    with path.open("wb") as file, xlsxwriter.Workbook(file, _PLAIN) as book:
        sheet = book.add_worksheet(SHEET)
        _write_headings(book, sheet, COLUMNS)
        for name, entry in entries:
            count += 1
            for row in rows_of(name, entry):
                at += 1
                if at > MOST_ROWS:
                    raise RejectedError(
                        f"the catalogue takes more than the {MOST_ROWS + 1} rows of a sheet",
                        code="sheet.rows",
                        remedy="name the resources to export, or choose another format",
                        fault=Fault.CLIENT,
                    )
                _write_row(sheet, at, row, name)
    return count


def write_template(path: Path) -> None:
    """Write the template: headings with drop-downs of the official values, instructions in Chinese and English, an example."""
    import xlsxwriter

    with path.open("wb") as file, xlsxwriter.Workbook(file, _PLAIN) as book:
        sheet = book.add_worksheet(SHEET)
        _write_headings(book, sheet, COLUMNS)
        _write_choices(sheet)
        help_ = book.add_worksheet(HELP_SHEET)
        _write_help(book, help_)
        example = book.add_worksheet(EXAMPLE_SHEET)
        _write_headings(book, example, COLUMNS)
        for at, row in enumerate(rows_of("congyerenyuanminglu", read_entry(EXAMPLE)), start=1):
            _write_row(example, at, row, EXAMPLE_SHEET)
        values = book.add_worksheet(VALUES_SHEET)
        _write_values(values)


def rows_of(name: str, entry: CatalogueEntry) -> Iterable[list[str | int | None]]:
    """Yield the rows of a resource, in the order of ``COLUMNS``."""
    document = entry_document(entry)
    levels = (entry.classification.category.value, entry.classification.item, entry.classification.subject)
    document |= dict(zip(LEVELS, (*levels, entry.classification.detail or None), strict=True)) | {"name": name}
    for number, field in enumerate(document["fields"]):
        row: list[str | int | None] = []
        for column in COLUMNS:
            if column.of_field:
                row.append(_shown(column, field.get(column.key.removeprefix("field."))))
            else:
                row.append(_shown(column, document.get(column.key)) if not number or column.key in IDENTITY else None)
        yield row


def _shown(column: Column, value: Any) -> str | int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, bool):
        return _FLAGS[value]
    if isinstance(value, list):
        return "、".join(value)
    if column.kind is Kind.CODED and column.values is not None:
        return column.values(value).zh
    return str(value)


def _write_row(sheet: Any, at: int, row: Sequence[str | int | None], name: str) -> None:
    for place, value in enumerate(row):
        if isinstance(value, int):
            sheet.write_number(at, place, value)
        elif value is not None:
            if len(value) > _MOST_CHARACTERS:
                raise RejectedError(
                    f"{COLUMNS[place].heading} of {name} has {len(value)} characters, and a cell holds {_MOST_CHARACTERS}",
                    code="sheet.cell",
                    where=name,
                    remedy="choose another format",
                    fault=Fault.CLIENT,
                )
            sheet.write_string(at, place, value)


def _write_headings(book: Any, sheet: Any, columns: Sequence[Column]) -> None:
    looks = {
        (needed, of_field): book.add_format(
            {
                "bold": True,
                "text_wrap": True,
                "valign": "top",
                "border": 1,
                "bg_color": "#E2EFDA" if of_field else "#DDEBF7",
                "font_color": "#C00000" if needed else "#000000",
            }
        )
        for needed in (True, False)
        for of_field in (True, False)
    }
    text = book.add_format({"num_format": "@"})
    for place, column in enumerate(columns):
        digits = column.kind not in (Kind.NUMBER, Kind.DAY)
        sheet.set_column(place, place, 30 if column.key in ("title", "abstract") else 16, text if digits else None)
    for place, column in enumerate(columns):
        sheet.write_string(0, place, column.heading, looks[column.needed, column.of_field])
    sheet.freeze_panes(1, 0)


def _write_choices(sheet: Any) -> None:
    for place, column in enumerate(COLUMNS):
        rule: dict[str, Any] | None = None
        if column.kind is Kind.CODED and column.values is not None:
            rule = {"validate": "list", "source": [one.zh for one in column.values]}
        elif column.kind is Kind.FLAG:
            rule = {"validate": "list", "source": list(_FLAGS.values())}
        elif column.key == "field.sensitivity":
            rule = {"validate": "integer", "criteria": "between", "minimum": 1, "maximum": 4}
        elif column.key == "field.length":
            rule = {"validate": "integer", "criteria": ">", "value": 0}
        elif column.kind is Kind.DAY:
            rule = {"validate": "date", "criteria": ">=", "value": date(1949, 10, 1)}
        if rule is not None:
            words = {"input_title": column.heading[:32], "input_message": column.zh[:255], "error_title": column.heading[:32]}
            sheet.data_validation(1, place, _FILLED_ROWS, place, rule | words)


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


def _write_help(book: Any, sheet: Any) -> None:
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    plain = book.add_format({"text_wrap": True, "valign": "top"})
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
