"""What stands in for the materials of a service item: licence types, and resources. The hub's own tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_registry.acting import check_version
from catalog_registry.item_records import StandIn, StandIns
from catalog_registry.items import check_keeper, known_item, known_version
from catalog_registry.resources import SHARED
from catalog_registry.rules import check_code, refused
from catalog_registry.store.change import Change, Part
from catalog_registry.store.item_tables import Item, ItemOwn, LicenceTypeRow, MaterialResource
from catalog_registry.store.rows import known, known_principal, near, principal_record
from catalog_registry.store.tables import ItemLicenceType, Resource


class Materials(Part):
    """What a material accepts instead of paper: the bridge from the items to exemption."""

    def stand_ins(self, code: str) -> StandIns:
        """Return what stands in for the materials of an item, and which version of that this is.

        Raises:
            RejectedError: the register has no such item.
        """
        with self._database.read() as session:
            return _stand_ins(session, known_item(session, code).code)

    def set_stand_ins(self, code: str, wanted: Mapping[str, StandIn], *, by: str, expected_version: int) -> StandIns:
        """Say exactly what stands in for some materials of an item, in one change; return what stands in for all of them.

        Args:
            code: the item.
            wanted: material → what stands in for it; nothing: the paper must be handed in.
            by: id, client id or name of the principal that acts.
            expected_version: the version of the stand-ins that this was decided on; 0: nothing was ever said.

        Raises:
            RejectedError: they were changed meanwhile, or the item has no such material, or there is no such licence type or
                shared resource.
            DeniedError: the principal has no role for it, or the item is another department's.
        """
        with self._database.change() as change:
            session = change.session
            who = principal_record(known_principal(session, by))
            row = known_item(session, code)
            check_keeper(who, "change", row.department)
            here = session.get(ItemOwn, row.code)
            check_version(expected_version, 0 if here is None else here.version, f"the stand-ins of {row.code}")
            _check_stand_ins(session, row, wanted)
            accepted: dict[str, dict[str, ItemLicenceType]] = {}
            for one in session.scalars(select(ItemLicenceType).where(ItemLicenceType.item_code == row.code)):
                accepted.setdefault(one.material_code, {})[one.licence_type] = one
            for material, stand_in in wanted.items():
                types = sorted(set(stand_in.licence_types))
                self._set(change, (row.code, material), types, accepted.get(material, {}), who.id)
                self._set_resources(change, row.code, material, sorted(set(stand_in.resources)), who.id)
            session.flush()
            return _stand_ins(session, row.code)

    def _set_resources(self, change: Change, item: str, material: str, names: list[str], by: str) -> None:
        session = change.session
        query = select(MaterialResource).where(MaterialResource.item_code == item, MaterialResource.material_code == material)
        here = {row.resource: row for row in session.scalars(query)}
        if set(here) == set(names):
            return
        for name, row in here.items():
            if name not in names:
                session.delete(row)
        for name in names:
            if name not in here:
                session.add(
                    MaterialResource(item_code=item, material_code=material, resource=name, at=self._clock.now(), by=by)
                )
        self._say(change, item, by)
        change.event("item.material_set", item, {"material": material, "resources": names})

    def _say(self, change: Change, item: str, by: str) -> None:
        """Raise the version of what the hub itself says of an item's materials."""
        row = change.session.get(ItemOwn, item)
        if row is None:
            row = ItemOwn(item=item, version=0)
            change.session.add(row)
        row.version, row.at, row.by = row.version + 1, self._clock.now(), by

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
        self._say(change, item, by)
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

    def material_stand_ins(self) -> dict[str, dict[str, StandIn]]:
        """Return what stands in for materials: item → material → licence types and resources, of all items."""
        with self._database.read() as session:
            out: dict[str, dict[str, StandIn]] = {}
            for item, material, stand_in in _all_stand_ins(session, None):
                out.setdefault(item, {})[material] = stand_in
            return out


def _stand_ins(session: Session, item: str) -> StandIns:
    own = session.get(ItemOwn, item)
    found = {material: stand_in for _, material, stand_in in _all_stand_ins(session, item)}
    return StandIns(item, 0 if own is None else own.version, found)


def _all_stand_ins(session: Session, item: str | None) -> list[tuple[str, str, StandIn]]:
    found: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for place, table, column in (
        (0, ItemLicenceType, ItemLicenceType.licence_type),
        (1, MaterialResource, MaterialResource.resource),
    ):
        query = select(table.item_code, table.material_code, column)
        if item is not None:
            query = query.where(table.item_code == item)
        for of, material, name in session.execute(query):
            found.setdefault((of, material), ([], []))[place].append(name)
    return [
        (of, material, StandIn(tuple(sorted(types)), tuple(sorted(names))))
        for (of, material), (types, names) in sorted(found.items())
    ]


def _check_stand_ins(session: Session, row: Item, wanted: Mapping[str, StandIn]) -> None:
    item, document = row.code, known_version(session, row).document
    materials = {str(one["code"]) for one in document.get("materials", [])}
    kinds = set(session.scalars(select(LicenceTypeRow.code).where(LicenceTypeRow.state == "in_force")))
    for material, stand_in in wanted.items():
        if material not in materials:
            raise refused(
                f"item {item} has no material {material[:64]!r}{near(material, materials)}", "item.material", where=item
            )
        for kind in stand_in.licence_types:
            if kind not in kinds:
                raise refused(f"there is no licence type {kind[:64]!r}{near(kind, kinds)}", "item.stand_in", where=material)
        for name in stand_in.resources:
            if known(session, Resource, name, "resource").state not in SHARED:
                raise refused(f"resource {name} is not shared", "item.stand_in", where=material)
