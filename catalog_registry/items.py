"""The register of service items 事项: brought up to date from the system whose they are, with every version kept.

Where a resource ``items`` is shared, the items are its source's: the hub says so and refuses to change them itself. Where there
is none, a department keeps its items here by hand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_registry.acting import Duty, check_duty, check_version
from catalog_registry.item_life import ENTER, ITEM_LIFE, ItemEvent, ItemState, steps_to
from catalog_registry.item_records import Brought, ItemRecord, ItemVersionRecord, Owner
from catalog_registry.records import PrincipalRecord
from catalog_registry.resources import SHARED
from catalog_registry.rules import check_said, refused
from catalog_registry.store.change import Change, Part
from catalog_registry.store.item_tables import Item, ItemVersion
from catalog_registry.store.rows import known, known_principal, principal_record
from catalog_registry.store.tables import Department, Resource, Source, System
from schemas.clock import CHINA
from schemas.item import ItemStatus, ServiceItem, item_of
from schemas.item_form import item_document, read_item

ITEMS: Final = "items"
"""The resource whose rows are the items, where a system of the district has them."""
LICENCE_TYPES: Final = "licence_types"
"""The resource whose rows are the licence types."""

KEEPING: Final = (Duty("provider_editor", own=True), Duty("registration_officer", own=False))
"""Who changes what the hub itself says of items; the own department is the one that performs the item."""

_BATCH: Final = 100
_PAGE_ROWS: Final = 500
_WANTED: Final[Mapping[ItemStatus, ItemState]] = {
    ItemStatus.IN_USE: ItemState.IN_FORCE,
    ItemStatus.SUSPENDED: ItemState.SUSPENDED,
}


class Items(Part):
    """The service items, each with all versions that it ever had."""

    # Read -------------------------------------------------------------------------------------------------------------

    def item_owner(self) -> Owner | None:
        """Return the system whose the items are; None where they are kept by hand in the hub."""
        with self._database.read() as session:
            return owner_of(session, ITEMS)

    def item(self, code: str) -> ItemRecord:
        """Return an item as it is now, by its code or that of one of its ways of handling.

        Raises:
            RejectedError: there is none; near codes are told.
        """
        with self._database.read() as session:
            return item_record(known_item(session, code))

    def items(
        self,
        *,
        department: str | None = None,
        basic_code: str | None = None,
        state: ItemState | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[ItemRecord]:
        """Return items by code: all, or those of a department, of a basic code, in a state; ``limit`` of those after a code."""
        query = select(Item).order_by(Item.code).limit(limit)
        for column, wanted in ((Item.department, department), (Item.basic_code, basic_code), (Item.state, state)):
            if wanted is not None:
                query = query.where(column == wanted)
        if after is not None:
            query = query.where(Item.code > after)
        with self._database.read() as session:
            return [item_record(row) for row in session.scalars(query)]

    def current_items(self, codes: Collection[str] = ()) -> Iterator[tuple[ItemRecord, ServiceItem]]:
        """Yield items with their newest elements, by code: all, or those named. Memory does not grow with their number.

        Raises:
            RejectedError: there is no item of a code.
        """
        with self._database.read() as session:
            for code in codes:
                known_item(session, code)
            query = (
                select(Item, ItemVersion.document)
                .join(ItemVersion, (ItemVersion.item == Item.code) & (ItemVersion.n == Item.version))
                .order_by(Item.code)
                .execution_options(yield_per=_PAGE_ROWS)
            )
            if codes:
                query = query.where(Item.code.in_(codes))
            for row, document in session.execute(query):
                yield item_record(row), read_item(document, where=row.code)

    def item_at(self, code: str, at: datetime) -> ItemVersionRecord | None:
        """Return the version of an item that was in force at an instant: a case keeps the one that it began with.

        What is recorded later never takes the place of a version for an instant before it was recorded.

        Args:
            code: of the item or of one of its ways of handling, as the case names it.
            at: when the case began.

        Returns:
            The version, which may be one by which the item was suspended or ended; None where it was not there yet.

        Raises:
            RejectedError: there is no item of the code.
        """
        with self._database.read() as session:
            item = known_item(session, code).code
            query = select(ItemVersion).where(ItemVersion.item == item, ItemVersion.effective_at <= at)
            row = session.scalars(query.order_by(ItemVersion.n.desc()).limit(1)).first()
            return None if row is None else version_record(row)

    def item_version(self, code: str) -> ItemVersionRecord:
        """Return the newest version of an item, from whichever day it is in force."""
        with self._database.read() as session:
            row = known_item(session, code)
            return version_record(known_version(session, row))

    def item_versions(self, code: str) -> list[ItemVersionRecord]:
        """Return all versions of an item, oldest first."""
        with self._database.read() as session:
            item = known_item(session, code).code
            rows = session.scalars(select(ItemVersion).where(ItemVersion.item == item).order_by(ItemVersion.n))
            return [version_record(row) for row in rows]

    # Brought from the owner's system ----------------------------------------------------------------------------------

    def bring_items(
        self, items: Sequence[ServiceItem], *, owner: str, by: str, kept: Collection[str] = (), vanished: bool = True
    ) -> Brought:
        """Bring the register up to what the owner's system has. Doing it again changes nothing.

        What differs is a new version from now on, or from the day that it names where that comes later; what the system does
        not have any more is ended, and nothing is deleted.

        Args:
            items: all that the system has.
            owner: code of the system.
            by: the runs that they come from.
            kept: codes of items that the system has with faults in them: they stay as they are.
            vanished: whether items that are not among ``items`` are ended.
        """
        wanted = {item.code: item for item in items}
        with self._database.read() as session:
            query = select(Item.code, Item.hash, Item.department, Item.state).where(Item.owner == owner)
            here = {code: (digest, department, state) for code, digest, department, state in session.execute(query)}
            departments = departments_by_credit_code(session)
        today = self._clock.now().astimezone(CHINA).date()
        gone = (
            [code for code, (*_, state) in here.items() if code not in wanted and state != ItemState.ENDED] if vanished else []
        )
        todo = [
            code
            for code, item in wanted.items()
            if here.get(code) != (item_hash(item), departments.get(item.body_code or ""), state_of(item, today))
        ]
        done = Brought(unchanged=len(wanted) - len(todo), kept=sum(code in kept for code in gone))
        todo += [code for code in gone if code not in kept]
        for start in range(0, len(todo), _BATCH):
            with self._database.change() as change:
                departments = departments_by_credit_code(change.session)
                for code in todo[start : start + _BATCH]:
                    events = self._bring(change, code, wanted.get(code), owner=owner, by=by, departments=departments)
                    done = _counted(done, events)
        return done

    def _bring(
        self,
        change: Change,
        code: str,
        item: ServiceItem | None,
        *,
        owner: str | None,
        by: str,
        departments: Mapping[str, str],
        why: str | None = None,
    ) -> list[str]:
        """Take the steps from what the register has to what it is to have; return their events."""
        session = change.session
        now = self._clock.now()
        row = session.get(Item, code)
        wanted = ItemState.ENDED if item is None else state_of(item, now.astimezone(CHINA).date())
        enters = row is None
        if row is None:
            if item is None:
                return []
            row = Item(code=code, code_type=item.code_type, basic_code=item.basic_code, state=ItemState.IN_FORCE, version=0)
            session.add(row)
        changed = False
        if item is not None and not enters:
            said = (item_hash(item), departments.get(item.body_code or ""), owner)
            changed = said != (row.hash, row.department, row.owner)
        steps = [str(event) for event in steps_to(ItemState(row.state), wanted, changed=changed)]
        events = [ENTER, *steps] if enters else steps
        document = dict(known_version(session, row).document) if item is None else item_document(item)
        if item is not None and events:  # what is said of one that has ended is no change until it returns
            row.name, row.body, row.hash = item.name, item.body, item_hash(item)
            row.department = departments.get(item.body_code or "")
        row.owner = owner
        for event in events:
            before = None if event == ENTER else row.state
            row.state = row.state if event == ENTER else ITEM_LIFE.advance(ItemState(row.state), ItemEvent(event))
            row.version, row.changed_at = row.version + 1, now
            session.flush()
            session.add(
                ItemVersion(
                    item=code,
                    n=row.version,
                    at=now,
                    by=by,
                    event=event,
                    from_state=before,
                    to_state=row.state,
                    why=why,
                    effective_at=_effective(event, item, now, enters=enters),
                    document=document,
                )
            )
            told = {"state": str(row.state), "version": row.version, "department": row.department, "owner": owner, "by": by}
            change.event(_TOLD[event], code, told)
        return events

    # Kept by hand -----------------------------------------------------------------------------------------------------

    def set_item(self, item: ServiceItem, *, by: str, expected_version: int = 0) -> ItemRecord:
        """Enter an item that is kept by hand, or a new version of it; return it. The same elements again change nothing.

        Args:
            item: its elements.
            by: id, client id or name of the principal that acts.
            expected_version: the version that this was decided on; 0: there was none.

        Raises:
            RejectedError: the items are another system's (``item.owned_elsewhere``), or it was changed meanwhile.
            DeniedError: the principal has no role for it, or is of another department than the one that performs the item.
        """
        with self._database.change() as change:
            return self._set_item(change, item, by=by, expected_version=expected_version)

    def _set_item(self, change: Change, item: ServiceItem, *, by: str, expected_version: int) -> ItemRecord:
        session = change.session
        who = principal_record(known_principal(session, by))
        row = session.get(Item, item.code)
        departments = departments_by_credit_code(session)
        performing = departments.get(item.body_code or "")
        check_keeper(who, "change", *([performing] if row is None else [performing, row.department]))
        refuse_owned(session, ITEMS, "service items", item.code, None if row is None else row.owner)
        check_version(expected_version, 0 if row is None else row.version, f"item {item.code}")
        self._bring(change, item.code, item, owner=None, by=who.id, departments=departments)
        session.flush()
        return item_record(known(session, Item, item.code, "item"))

    def end_item(self, code: str, *, by: str, version: int, why: str) -> ItemRecord:
        """End an item that is kept by hand; its versions stay. As ``set_item``; a reason is needed."""
        with self._database.change() as change:
            session = change.session
            who = principal_record(known_principal(session, by))
            row = known_item(session, code)
            check_keeper(who, "end", row.department)
            refuse_owned(session, ITEMS, "service items", row.code, row.owner)
            check_version(version, row.version, f"item {row.code}")
            check_said(why, "the reason to end an item")
            ITEM_LIFE.advance(ItemState(row.state), ItemEvent.END)
            self._bring(change, row.code, None, owner=None, by=who.id, departments={}, why=why.strip())
            session.flush()
            return item_record(row)


# What the parts share ---------------------------------------------------------------------------------------------------


_TOLD: Final = {
    ENTER: "item.entered",
    ItemEvent.CHANGE.value: "item.changed",
    ItemEvent.SUSPEND.value: "item.suspended",
    ItemEvent.RESUME.value: "item.resumed",
    ItemEvent.END.value: "item.ended",
    ItemEvent.RETURN.value: "item.returned",
}


def owner_of(session: Session, resource: str) -> Owner | None:
    """Return the system that a resource's rows come from, where the resource is shared."""
    found = session.execute(
        select(System.code, System.name)
        .join(Source, Source.system == System.code)
        .join(Resource, Resource.source == Source.name)
        .where(Resource.name == resource, Resource.state.in_(SHARED))
    ).first()
    return None if found is None else Owner(found[0], found[1], resource)


def refuse_owned(session: Session, resource: str, what: str, where: str, owner: str | None) -> None:
    """Raise ``RejectedError`` where things of a kind, or this one, are another system's: they are changed only there."""
    found = owner_of(session, resource)
    if found is None and owner is not None:
        system = known(session, System, owner, "system")
        found = Owner(system.code, system.name, resource)
    if found is not None:
        raise refused(
            f"{what} are kept by {found.name} ({found.system}) and changed only there",
            "item.owned_elsewhere",
            where=where,
            remedy=f"change it in {found.name}; the hub takes it over with the next run of {resource}",
        )


def check_keeper(who: PrincipalRecord, what: str, *departments: str | None) -> None:
    """Raise ``DeniedError`` where a principal may not change what the hub says of something of these departments.

    What is no department's of the hub is the registration officer's alone.
    """
    for department in departments:
        duties = KEEPING if department is not None else tuple(duty for duty in KEEPING if not duty.own)
        check_duty(who, what, duties, department or "")


def known_item(session: Session, code: str) -> Item:
    """Return the row of an item by its code or that of one of its ways of handling. Raises ``RejectedError`` where none is."""
    return known(session, Item, item_of(code), "item")


def known_version(session: Session, row: Item) -> ItemVersion:
    """Return the newest version of an item."""
    return session.scalars(select(ItemVersion).where(ItemVersion.item == row.code, ItemVersion.n == row.version)).one()


def departments_by_credit_code(session: Session) -> dict[str, str]:
    """Return the code of each department that has a credit code, by it."""
    rows = session.execute(select(Department.credit_code, Department.code).where(Department.credit_code.is_not(None)))
    return {credit: code for credit, code in rows if credit is not None}


def item_hash(item: ServiceItem) -> str:
    """Return the SHA-256, in hex, of an item's elements without its status, which is told by its state."""
    document = {key: value for key, value in item_document(item).items() if key != "status"}
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def item_record(row: Item) -> ItemRecord:
    """Return the record of a row."""
    return ItemRecord(
        code=row.code,
        code_type=row.code_type,
        basic_code=row.basic_code,
        name=row.name,
        body=row.body,
        department=row.department,
        owner=row.owner,
        state=ItemState(row.state),
        version=row.version,
        changed_at=row.changed_at,
    )


def version_record(row: ItemVersion) -> ItemVersionRecord:
    """Return the record of a version."""
    return ItemVersionRecord(
        item=read_item(row.document, where=row.item),
        version=row.n,
        event=row.event,
        state=ItemState(row.to_state),
        effective_at=row.effective_at,
        recorded_at=row.at,
        by=row.by,
        why=row.why,
    )


def state_of(item: ServiceItem, today: date) -> ItemState:
    """Return the state that an item is to be in: one whose last day is past has ended."""
    if item.cancelled_on is not None and item.cancelled_on <= today:
        return ItemState.ENDED
    return _WANTED[item.status]


def _effective(event: str, item: ServiceItem | None, now: datetime, *, enters: bool) -> datetime:
    """Return from when on a version is in force: the day that it names. One that is not the first never begins before it was
    recorded, so that a case keeps the version that it began with.
    """
    day = None if item is None else item.cancelled_on if event == ItemEvent.END else item.effective_on
    begins = now if day is None else datetime.combine(day, time(), CHINA)
    if enters:
        return begins
    return max(begins, now) if event == ItemEvent.CHANGE else now


def _counted(done: Brought, events: Collection[str]) -> Brought:
    entered, ended = ENTER in events, ItemEvent.END.value in events
    return Brought(
        entered=done.entered + entered,
        changed=done.changed + bool(events and not entered and not ended),
        ended=done.ended + ended,
        unchanged=done.unchanged,
        kept=done.kept,
    )
