"""How landed rows of the item catalogue and of the licence store become items and licence types. Pure.

The contracts of the resources ``items``, ``item_implementations``, ``item_materials`` and ``licence_types`` map a system's own
columns to these names; a field that a contract does not have is an element that the item does not say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from schemas.item import LimitUnit, Material, ServiceItem, Way
from schemas.item_form import TEXTS, plain_document, read_item
from schemas.licence_type import LicenceType, read_licence_type

Row = Mapping[str, Any]

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "items": ("item_code", "name", "department"),
    "item_implementations": ("handling_code", "item_code", "name"),
    "item_materials": ("item_code", "material_code", "name"),
    "licence_types": ("licence_type", "name", "agency"),
}
"""The fields without which the rows of a resource are none of these."""

_FLAGS: Final = {"1": True, "0": False}


def item_of_row(row: Row, ways: Iterable[Row], materials: Iterable[Row]) -> ServiceItem:
    """Return the item of a row, with its ways of handling and its materials in the order of their codes.

    Raises:
        RejectedError: the row is no item (``item.elements``).
    """
    document = {
        "code": row["item_code"],
        "basic_code": row.get("basic_code"),
        "name": row["name"],
        "body": row["department"],
        "body_code": row.get("department_code"),
        "item_type": row.get("item_type"),
        "status": row.get("state"),
        "source_version": row.get("version"),
        "served": row.get("served"),
        "handling": row.get("handling"),
        "statutory": _limit(row, "statutory_days", "statutory_unit"),
        "promised": _limit(row, "promise_days", "promise_unit"),
        "fee": _flag(row, "has_fee"),
        "visits": row.get("visits"),
        "effective_on": _day(row, "effective_on"),
        "cancelled_on": _day(row, "cancelled_on"),
        "ways": [_way(way) for way in sorted(ways, key=lambda way: str(way["handling_code"]))],
        "materials": [_material(one) for one in sorted(materials, key=lambda one: str(one["material_code"]))],
        **{key: row.get(key) for key in TEXTS},
    }
    return read_item(document, where=str(row["item_code"]))


def licence_type_of_row(row: Row) -> LicenceType:
    """Return the licence type of a row. Raises ``RejectedError`` (``licence_type.form``) where it is none."""
    holder = row.get("holder_number_type")
    document = {
        "code": row["licence_type"],
        "name": row["name"],
        "issuer": row["agency"],
        "issuer_code": row.get("agency_code"),
        "holders": [] if holder is None else [holder],
        "validity_years": row.get("validity_years"),
    }
    return read_licence_type(document, where=str(row["licence_type"]))


def carried(item: ServiceItem, before: ServiceItem | None, set_aside: Iterable[Sequence[str]]) -> ServiceItem:
    """Return an item with those ways and materials of before whose rows the system still has, with faults in them.

    Args:
        item: as its good rows say.
        before: as the register has it; None: not yet.
        set_aside: landed keys of rows that stand in quarantine: of a way, or of an item's material.
    """
    if before is None:
        return item
    keys = {tuple(key) for key in set_aside}
    ways = _with(item.ways, (way for way in before.ways if (way.code,) in keys))
    materials = _with(item.materials, (one for one in before.materials if (item.code, one.code) in keys))
    return read_item(plain_document(item) | {"ways": plain_document(ways), "materials": plain_document(materials)})


def _with(here: tuple[Any, ...], more: Iterable[Way | Material]) -> tuple[Any, ...]:
    codes = {one.code for one in here}
    return tuple(sorted((*here, *(one for one in more if one.code not in codes)), key=lambda one: str(one.code)))


def _limit(row: Row, number: str, unit: str) -> dict[str, Any] | None:
    """Working days, where the system has no column for the unit."""
    return None if row.get(number) is None else {"number": row[number], "unit": row.get(unit) or LimitUnit.WORKING_DAY.value}


def _flag(row: Row, name: str) -> bool | None:
    return _FLAGS.get(str(row.get(name)))


def _day(row: Row, name: str) -> str | None:
    return None if row.get(name) is None else row[name].isoformat()


def _way(row: Row) -> dict[str, Any]:
    texts = {key: row.get(key) for key in ("online_depth", "result_type", "result_name", "address", "hours")}
    flags = {key: _flag(row, key) for key in ("at_centre", "online")}
    return {"code": row["handling_code"], "name": row["name"], **texts, **flags}


def _material(row: Row) -> dict[str, Any]:
    return {
        "code": row["material_code"],
        "name": row["name"],
        "type": row.get("material_type"),
        "format": row.get("material_format"),
        "needed": _flag(row, "needed"),
        "source": row.get("source_type"),
        "pages": row.get("pages"),
        "form": row.get("form"),
        "example": row.get("example"),
    }
