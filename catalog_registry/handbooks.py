"""The handbooks of items, and the bodies that perform an item: what the hub itself keeps beside the item catalogue."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from catalog_registry.acting import check_version
from catalog_registry.item_life import ItemState
from catalog_registry.item_records import BodyVariant, HandbookRecord, PerformingBody
from catalog_registry.items import check_keeper, known_item
from catalog_registry.rules import check_said, refused
from catalog_registry.store.change import Change, Part
from catalog_registry.store.item_tables import HandbookVersion, Item, ItemBody
from catalog_registry.store.rows import known, known_principal, principal_record
from catalog_registry.store.tables import Department
from schemas.handbook import Handbook, handbook_document, read_handbook
from schemas.item import IMPLEMENTATION


class Handbooks(Part):
    """How each item is examined and decided, by whom, and with which discretion."""

    def handbook(self, code: str) -> HandbookRecord | None:
        """Return the handbook of an item that is in force, None where it has none yet.

        Raises:
            RejectedError: the register has no such item.
        """
        with self._database.read() as session:
            row = _newest(session, known_item(session, code).code)
            return None if row is None else _record(row)

    def handbook_versions(self, code: str) -> list[HandbookRecord]:
        """Return all versions of an item's handbook, oldest first."""
        with self._database.read() as session:
            item = known_item(session, code).code
            query = select(HandbookVersion).where(HandbookVersion.item == item).order_by(HandbookVersion.n)
            return [_record(row) for row in session.scalars(query)]

    def items_with_handbook(self) -> dict[str, int]:
        """Return the items that have a handbook, each with the handbook's version."""
        with self._database.read() as session:
            query = select(HandbookVersion.item, func.max(HandbookVersion.n)).group_by(HandbookVersion.item)
            return {row[0]: row[1] for row in session.execute(query)}

    def set_handbook(self, code: str, handbook: Handbook, *, by: str, expected_version: int = 0) -> HandbookRecord:
        """Give an item a handbook, or a new version of it; return it. The same handbook again changes nothing.

        Args:
            code: the item.
            handbook: its steps.
            by: id, client id or name of the principal that acts.
            expected_version: the version of the handbook that this was decided on; 0: there was none.

        Raises:
            RejectedError: it was changed meanwhile, the item has ended, or the register has no such item.
            DeniedError: the principal has no role for it, or the item is another department's.
        """
        with self._database.change() as change:
            return self._set_handbook(change, code, handbook, by=by, expected_version=expected_version)

    def set_handbooks(self, wanted: dict[str, tuple[Handbook, int]], *, by: str) -> list[HandbookRecord]:
        """Give several items their handbooks, all or none: item → handbook, and the version that it was decided on."""
        with self._database.change() as change:
            return [
                self._set_handbook(change, code, handbook, by=by, expected_version=version)
                for code, (handbook, version) in wanted.items()
            ]

    def _set_handbook(self, change: Change, code: str, handbook: Handbook, *, by: str, expected_version: int) -> HandbookRecord:
        session = change.session
        who = principal_record(known_principal(session, by))
        item = known_item(session, code)
        check_keeper(who, "change", item.department)
        here = _newest(session, item.code)
        number = 0 if here is None else here.n
        check_version(expected_version, number, f"the handbook of {item.code}")
        if item.state == ItemState.ENDED:
            raise refused(f"item {item.code} has ended, so its handbook stays as it is", "item.ended", where=item.code)
        document = handbook_document(handbook)
        if here is not None and here.document == document:
            return _record(here)
        row = HandbookVersion(item=item.code, n=number + 1, document=document, at=self._clock.now(), by=who.id)
        session.add(row)
        told = {"version": row.n, "steps": len(handbook.steps), "department": item.department, "by": who.id}
        change.event("item.handbook_set", item.code, told)
        session.flush()
        return _record(row)

    # Bodies -----------------------------------------------------------------------------------------------------------

    def bodies(self, code: str) -> list[PerformingBody]:
        """Return who performs an item: every body with an implementation record of its basic code, and those delegated to.

        The body at the highest level performs the item itself; those below are its variants, such as townships.

        Args:
            code: basic code, or the code of one of the items.

        Raises:
            RejectedError: the register has no item of the code.
        """
        now = self._clock.now()
        with self._database.read() as session:
            same = _of_basic(session, code) or [known_item(session, code)]
            if len(same) == 1 and same[0].basic_code is not None:
                same = _of_basic(session, same[0].basic_code)
            rows = sorted(same, key=lambda row: (_level(row) or "", row.code))
            performing = [row for row in rows if row.state != ItemState.ENDED]
            highest = min((_level(row) or "" for row in performing), default="")
            found = [
                PerformingBody(
                    BodyVariant.MAIN if (_level(row) or "") == highest else BodyVariant.LOWER,
                    row.code,
                    row.body,
                    row.department,
                    _level(row),
                )
                for row in performing
            ]
            query = (
                select(ItemBody, Department.name)
                .join(Department, Department.code == ItemBody.department)
                .where(ItemBody.item.in_([row.code for row in rows]), or_(ItemBody.to_at.is_(None), ItemBody.to_at > now))
                .order_by(ItemBody.item, ItemBody.department, ItemBody.from_at)
            )
            return found + [_delegated(row, name) for row, name in session.execute(query)]

    def delegate_item(
        self, code: str, department: str, *, by: str, basis: str, from_at: datetime | None = None, to_at: datetime | None = None
    ) -> PerformingBody:
        """Say that an item, or its review, is delegated to a department, on a legal basis; return it.

        Raises:
            RejectedError: the item or the department is unknown, the basis is missing, it is the department's own item, or it
                is delegated to it already.
            DeniedError: as ``set_handbook``.
        """
        now = self._clock.now()
        begins = from_at or now
        with self._database.change() as change:
            session = change.session
            who = principal_record(known_principal(session, by))
            item = known_item(session, code)
            check_keeper(who, "delegate", item.department)
            body = known(session, Department, department, "department")
            check_said(basis, "the legal basis of a delegation")
            if department == item.department:
                raise refused(f"item {item.code} is {department}'s own", "item.own_body", where=item.code)
            if to_at is not None and to_at <= begins:
                raise refused("a delegation must end after it begins", "item.interval", where=item.code)
            if _delegations(session, item.code, department, now):
                raise refused(f"item {item.code} is delegated to {department} already", "item.delegated", where=item.code)
            row = ItemBody(
                item=item.code, department=department, from_at=begins, to_at=to_at, basis=basis.strip(), at=now, by=who.id
            )
            session.add(row)
            change.event("item.delegated", item.code, {"to": department, "department": item.department, "by": who.id})
            session.flush()
            return _delegated(row, body.name)

    def end_delegation(self, code: str, department: str, *, by: str) -> None:
        """End the delegation of an item to a department now; that it was stays known.

        Raises:
            RejectedError: it is not delegated to it.
            DeniedError: as ``set_handbook``.
        """
        now = self._clock.now()
        with self._database.change() as change:
            session = change.session
            who = principal_record(known_principal(session, by))
            item = known_item(session, code)
            check_keeper(who, "end", item.department)
            rows = _delegations(session, item.code, department, now)
            if not rows:
                raise refused(f"item {item.code} is not delegated to {department[:64]}", "item.not_delegated", where=item.code)
            for row in rows:
                row.to_at = max(now, row.from_at)
                if row.to_at == row.from_at:
                    raise refused("a delegation that has not begun cannot be ended", "item.interval", where=item.code)
            change.event("item.delegation_ended", item.code, {"to": department, "department": item.department, "by": who.id})


def _newest(session: Session, item: str) -> HandbookVersion | None:
    query = select(HandbookVersion).where(HandbookVersion.item == item).order_by(HandbookVersion.n.desc()).limit(1)
    return session.scalars(query).first()


def _delegations(session: Session, item: str, department: str, now: datetime) -> list[ItemBody]:
    query = select(ItemBody).where(
        ItemBody.item == item, ItemBody.department == department, or_(ItemBody.to_at.is_(None), ItemBody.to_at > now)
    )
    return list(session.scalars(query))


def _of_basic(session: Session, basic_code: str) -> list[Item]:
    return list(session.scalars(select(Item).where(Item.basic_code == basic_code)))


def _level(row: Item) -> str | None:
    return row.code[18] if row.code_type == IMPLEMENTATION else None


def _delegated(row: ItemBody, name: str) -> PerformingBody:
    return PerformingBody(
        BodyVariant.DELEGATED, row.item, name, row.department, None, basis=row.basis, from_at=row.from_at, to_at=row.to_at
    )


def _record(row: HandbookVersion) -> HandbookRecord:
    return HandbookRecord(row.item, row.n, read_handbook(row.document, where=row.item), row.at, row.by)
