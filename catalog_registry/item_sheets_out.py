"""Items with their materials and handbooks as a workbook for people; without any, the template."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

from catalog_registry.item_sheets import CHILDREN, COLUMNS, HANDBOOK, ITEMS, LIMITS, Written
from catalog_registry.sheets.columns import Kind
from catalog_registry.sheets.writing import shown, written
from schemas.handbook import handbook_document
from schemas.item_form import item_document


def workbook(items: Iterable[Written] = ()) -> bytes:
    """Return a workbook of items with their materials and handbooks; of none, it is the template with its notes."""
    out = io.BytesIO()
    with written(out) as book:
        rows = {}
        for name, columns in COLUMNS.items():
            wide = [column.key for column in columns if column.kind in (Kind.TEXT, Kind.LINES)]
            rows[name] = book.table(name, columns, wide=wide, noted=True)
            rows[name].choices()

        def line(name: str, values: Mapping[str, Any]) -> None:
            limits = {f"{key}.unit": values[key]["unit"] for key in LIMITS if key in values}
            flat = {**values, **limits, **{key: values[key]["number"] for key in LIMITS if key in values}}
            rows[name].add([shown(column, flat.get(column.key)) for column in COLUMNS[name]], of=str(flat.get("code")))

        for one in items:
            document = item_document(one.item)
            line(ITEMS, document | {"version": one.version})
            for sheet_name, key in CHILDREN.items():
                for part in document.get(key, []):
                    line(sheet_name, part | {"item": one.item.code})
            for values in _handbook_lines(one):
                line(HANDBOOK, values)
    return out.getvalue()


def _handbook_lines(one: Written) -> Iterable[dict[str, Any]]:
    steps = [] if one.handbook is None else handbook_document(one.handbook)["steps"]
    for step in steps:
        same = {"item": one.item.code, "version": one.handbook_version, "name": step["name"]}
        first, *others = step.get("discretion") or [{}]
        yield step | same | first
        for rung in others:
            yield same | rung
