"""Which licence types stand in for the materials of a service item. The hub's own table."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from catalog_registry.rules import check_code
from catalog_registry.store.change import Part
from catalog_registry.store.tables import ItemLicenceType


class Materials(Part):
    """Which licence types a material accepts instead of paper."""

    def set_item_licence_types(self, item_code: str, material_code: str, licence_types: Iterable[str], *, by: str) -> None:
        """Say exactly which licence types a material of an item accepts; none: the paper must be handed in."""
        for text, what in ((item_code, "item"), (material_code, "material")):
            check_code(text, what)
        wanted = sorted(set(licence_types))
        for text in wanted:
            check_code(text, "licence type")
        with self._database.change() as change:
            rows = change.session.scalars(
                select(ItemLicenceType).where(
                    ItemLicenceType.item_code == item_code, ItemLicenceType.material_code == material_code
                )
            ).all()
            here = {row.licence_type for row in rows}
            if here == set(wanted):
                return
            for row in rows:
                if row.licence_type not in wanted:
                    change.session.delete(row)
            for text in wanted:
                if text not in here:
                    change.session.add(
                        ItemLicenceType(
                            item_code=item_code, material_code=material_code, licence_type=text, at=self._clock.now(), by=by
                        )
                    )
            change.event("item.material_set", item_code, {"material": material_code, "licence_types": wanted})

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
