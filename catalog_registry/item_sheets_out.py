"""Items with their materials and handbooks as a workbook for people; without any, the template."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from catalog_registry.item_sheets import CHILDREN, COLUMNS, HANDBOOK, ITEMS, MAX_ROWS, Column, Written
from schemas.form import member
from schemas.handbook import handbook_document
from schemas.item_form import item_document


def workbook(items: Iterable[Written] = ()) -> bytes:
    """Return a workbook of items with their materials and handbooks; of none, it is the template with its notes."""
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"created": datetime(2026, 1, 1)})  # noqa: DTZ001 - the file's own form; the same content, the same bytes
    head = book.add_format({"bold": True, "bg_color": "#DCE6F1", "text_wrap": True, "valign": "top", "border": 1})
    cell = book.add_format({"text_wrap": True, "valign": "top", "num_format": "@"})
    sheets = {name: book.add_worksheet(name) for name in COLUMNS}
    rows = dict.fromkeys(COLUMNS, 0)
    for name, columns in COLUMNS.items():
        sheet = sheets[name]
        sheet.freeze_panes(1, 1)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, 24 if column.kind in ("text", "texts") else 12)
            sheet.write_string(0, place, column.title, head)
            told = ("必填。" if column.needed else "") + column.note
            if column.of is not None:
                words = [one.zh for one in column.of]
                sheet.data_validation(1, place, MAX_ROWS, place, {"validate": "list", "source": words})
            if column.kind == "flag":
                sheet.data_validation(1, place, MAX_ROWS, place, {"validate": "list", "source": ["是", "否"]})
            if told:
                sheet.write_comment(0, place, told)

    def line(name: str, values: Mapping[str, Any]) -> None:
        rows[name] += 1
        for place, column in enumerate(COLUMNS[name]):
            value = _cell(values, column)
            if value is not None:
                sheets[name].write_string(rows[name], place, value, cell)

    for one in items:
        document = item_document(one.item)
        line(ITEMS, document | {"version": one.version})
        for sheet_name, key in CHILDREN.items():
            for part in document.get(key, []):
                line(sheet_name, part | {"item": one.item.code})
        for values in _handbook_lines(one):
            line(HANDBOOK, values)
    book.close()
    return out.getvalue()


def _handbook_lines(one: Written) -> Iterable[dict[str, Any]]:
    steps = [] if one.handbook is None else handbook_document(one.handbook)["steps"]
    for step in steps:
        same = {"item": one.item.code, "version": one.handbook_version, "name": step["name"]}
        first, *others = step.get("discretion") or [{}]
        yield step | same | first
        for rung in others:
            yield same | rung


def _cell(values: Mapping[str, Any], column: Column) -> str | None:
    value = values.get(column.key)
    if value is None:
        return None
    if column.kind in ("limit", "unit"):
        value = value["number" if column.kind == "limit" else "unit"]
    if column.kind == "flag":
        return "是" if value else "否"
    if column.kind == "texts":
        return "\n".join(value)
    if column.of is not None:
        found = member(value, column.of)
        return None if found is None else found.zh
    return str(value)
