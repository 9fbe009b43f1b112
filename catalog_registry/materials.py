"""Which licence types stand in for the materials of a service item. The hub's own table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from catalog_registry.rules import check_code
from catalog_registry.store.change import Change, Part
from catalog_registry.store.tables import ItemLicenceType


class Materials(Part):
    """Which licence types a material accepts instead of paper."""

    def set_item_licence_types(self, item_code: str, material_code: str, licence_types: Iterable[str], *, by: str) -> None:
        """Say exactly which licence types a material of an item accepts; none: the paper must be handed in."""
        self.set_licence_types({(item_code, material_code): licence_types}, by=by)

    def set_licence_types(self, wanted: Mapping[tuple[str, str], Iterable[str]], *, by: str) -> None:
        """Say the same of many materials, each named by item and material, in one change: all or none."""
        exact = {place: sorted(set(types)) for place, types in wanted.items()}
        for (item_code, material_code), types in exact.items():
            for text, what in ((item_code, "item"), (material_code, "material"), *((t, "licence type") for t in types)):
                check_code(text, what)
        with self._database.change() as change:
            items = {item for item, _ in exact}
            here: dict[tuple[str, str], dict[str, ItemLicenceType]] = {}
            for row in change.session.scalars(select(ItemLicenceType).where(ItemLicenceType.item_code.in_(items))):
                here.setdefault((row.item_code, row.material_code), {})[row.licence_type] = row
            for place, types in exact.items():
                self._set(change, place, types, here.get(place, {}), by)

    def _set(
        self, change: Change, place: tuple[str, str], types: list[str], here: Mapping[str, ItemLicenceType], by: str
    ) -> None:
        if set(here) == set(types):
            return
        for text, row in here.items():
            if text not in types:
                change.session.delete(row)
        item, material = place
        for text in types:
            if text not in here:
                change.session.add(
                    ItemLicenceType(item_code=item, material_code=material, licence_type=text, at=self._clock.now(), by=by)
                )
        change.event("item.material_set", item, {"material": material, "licence_types": types})

    def item_licence_types(self, item_code: str | None = None) -> dict[str, dict[str, tuple[str, ...]]]:
        """Return which licence types materials accept: item → material → licence types, all or those of one item."""
        query = select(ItemLicenceType).order_by(
            ItemLicenceType.item_code, ItemLicenceType.material_code, ItemLicenceType.licence_type
        )
        if item_code is not None:
            query = query.where(ItemLicenceType.item_code == item_code)
        out: dict[str, dict[str, tuple[str, ...]]] = {}
        with self._database.read() as session:
            for row in session.scalars(query):
                materials = out.setdefault(row.item_code, {})
                materials[row.material_code] = (*materials.get(row.material_code, ()), row.licence_type)
        return out
