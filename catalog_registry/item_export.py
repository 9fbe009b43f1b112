"""Items in the forms that others read: CPSV-AP in Turtle and JSON-LD, a thing at a time, and the workbook for people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from catalog_registry.exports.cpsv import CPSV_PREFIXES, Served, cpsv
from catalog_registry.exports.dcat import read_base
from catalog_registry.exports.jsonld import jsonld
from catalog_registry.exports.turtle import turtle
from catalog_registry.item_sheets_out import workbook
from catalog_registry.registry import Registry

MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "turtle": "text/turtle",
        "jsonld": "application/ld+json",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    }
)
"""The forms, and what each is as content."""


def item_chunks(
    registry: Registry,
    form: str,
    codes: Collection[str] = (),
    *,
    base: str,
    region: str,
    counted: Callable[[], None] = lambda: None,
) -> Iterator[bytes]:
    """Yield an export of items: all of the register, or those named.

    Args:
        registry: where they are.
        form: one of ``MEDIA_TYPES``.
        codes: which items; none: all. The workbook leaves out those that have ended.
        base: the address that names begin with.
        region: division code of the district.
        counted: called for each item.

    Raises:
        RejectedError: there is no item of a code, or the base is no address (``export.base``).
    """
    if form == "xlsx":
        written = list(registry.written(tuple(codes)))
        for _ in written:
            counted()
        yield workbook(written)
        return

    def served() -> Iterator[Served]:
        stand_ins = registry.material_stand_ins()
        for record, item in registry.current_items(codes):
            counted()
            yield Served(record, item, stand_ins.get(record.code, {}))

    names = {one.type.code: one.type.name for one in registry.licence_types()}
    write = turtle if form == "turtle" else jsonld
    for chunk in write(cpsv(read_base(base), region, served(), names), CPSV_PREFIXES):
        yield chunk.encode()
