"""Takes over what a workbook says of items and handbooks: all of it or nothing, each refusal told with its sheet and row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from catalog_registry.acting import check_duty
from catalog_registry.brought import BadPlace, Faults
from catalog_registry.handbooks import Handbooks
from catalog_registry.item_sheets import COLUMNS, HANDBOOK, ITEMS, SheetContents, Written
from catalog_registry.item_sheets_in import refusal
from catalog_registry.items import KEEPING, Items, item_hash, state_of
from catalog_registry.store.item_tables import Item
from catalog_registry.store.rows import known_principal, principal_record
from schemas.clock import CHINA
from schemas.errors import RejectedError


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken over: items and handbooks that are new or other than before, by the items' codes."""

    items: tuple[str, ...]
    handbooks: tuple[str, ...]


class Workbooks(Items, Handbooks):
    """Items and handbooks, a workbook at a time."""

    def written(self, codes: tuple[str, ...] = ()) -> Iterator[Written]:
        """Yield what a workbook is to say of items, by code: all that have not ended, or those named."""
        handbooks = self.items_with_handbook()
        for record, item in self.current_items(codes):
            if record.state == "ended" and not codes:
                continue
            kept = self.handbook(record.code) if record.code in handbooks else None
            yield Written(item, record.version, None if kept is None else kept.handbook, 0 if kept is None else kept.version)

    def take_workbook(self, contents: SheetContents, *, by: str, where: str | None = None) -> Taken:
        """Take over what differs from the register, in one change; return what did.

        A line of an item that says what the register says is no change, so that a workbook can be given back with the handbooks
        alone filled in where the items are another system's.

        Args:
            contents: what ``item_sheets_in`` read.
            by: id, client id or name of the principal that acts.
            where: name of the file, for the refusal.

        Raises:
            ImportRefusedError: some of it is refused (``sheet.cells``), each line with its reason; nothing is taken over.
            DeniedError: the principal has no role for some of it, or an item is another department's.
        """
        faults = Faults()
        items: list[str] = []
        handbooks: list[str] = []
        with self._database.change() as change:
            who = principal_record(known_principal(change.session, by))
            check_duty(who, "change", KEEPING, who.department)  # of each line, its own department is checked
            today = self._clock.now().astimezone(CHINA).date()
            for item, version, row in contents.items:
                before = change.session.get(Item, item.code)
                if before is not None and (before.hash, before.state) == (item_hash(item), state_of(item, today)):
                    continue
                try:
                    self._set_item(change, item, by=by, expected_version=version)
                    items.append(item.code)
                except RejectedError as error:
                    faults.add(_refused(ITEMS, row, error))
            for code, (handbook, version, row) in contents.handbooks.items():
                try:
                    done = self._set_handbook(change, code, handbook, by=by, expected_version=version)
                except RejectedError as error:
                    faults.add(_refused(HANDBOOK, row, error))
                else:
                    if done.version != version:
                        handbooks.append(code)
            if faults.count:
                raise refusal(faults, where)
        return Taken(tuple(items), tuple(handbooks))


def _refused(sheet: str, row: int, error: RejectedError) -> BadPlace:
    return BadPlace(error.message, sheet, row, heading=COLUMNS[sheet][0].heading)
