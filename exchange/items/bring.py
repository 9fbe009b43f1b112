"""Brings the register of items and licence types up to date from what has landed: a duty of the worker, idempotent.

What is read is one snapshot of the store, of runs that are proved. A row that stands in quarantine is one that the owner's
system still has: what it says stays as it is in the register, and is not taken for gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql
from psycopg.rows import dict_row

from catalog_registry.item_records import Brought, Owner
from catalog_registry.items import ITEMS, LICENCE_TYPES
from exchange.items.rows import NEEDED, Row, carried, item_of_row, licence_type_of_row
from exchange.store.database import Connection
from schemas.clock import CHINA
from schemas.errors import Fault, RejectedError

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

PARTS: Final = ("item_implementations", "item_materials")
"""The resources whose rows are parts of an item; a district may have none of them."""

_RUNS: Final = """
SELECT DISTINCT ON (resource) resource, id, contract_version FROM exchange.run
WHERE resource = ANY (%s) AND state = 'proved' ORDER BY resource, started_at DESC
"""
_SET_ASIDE: Final = (
    "SELECT landed_key FROM exchange.quarantine WHERE run = ANY (%s) AND state = 'open' AND landed_key IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Landed:
    """The rows of a resource that one proved run landed, and the landed keys of those that it set aside."""

    run: str
    rows: list[Row]
    set_aside: frozenset[tuple[str, ...]]


@dataclass
class Bringer:
    """Looks for runs that came since it last looked, and on a new day again: an item may end by its date alone."""

    hub: Hub
    _seen: dict[str, tuple[object, ...]] = field(default_factory=dict)

    def look(self) -> None:
        """Bring up to date what has a newer run."""
        today = self.hub.clock.now().astimezone(CHINA).date()
        with self.hub.connect() as connection:
            for name, bring in ((ITEMS, bring_items), (LICENCE_TYPES, bring_licence_types)):
                stamp = _stamp(connection, name, today)
                connection.rollback()
                if stamp is None or stamp == self._seen.get(name):
                    continue
                try:
                    done = bring(self.hub)
                except RejectedError as error:  # its provider's, and told once: the next run is looked at again
                    self.hub.log.error("the register is not brought up to date", resource=name, code=error.code)
                    done = None
                self._seen[name] = stamp
                if done is not None and done.entered + done.changed + done.ended:
                    self.hub.log.info(
                        "the register is brought up to date",
                        resource=name,
                        entered=done.entered,
                        changed=done.changed,
                        ended=done.ended,
                        unchanged=done.unchanged,
                        kept=done.kept,
                    )


def bring_items(hub: Hub) -> Brought | None:
    """Bring the items up to what has landed; None where no system of the district has them, or not all has landed yet.

    Raises:
        RejectedError: the contract of one of the resources lacks a field without which its rows are none (``item.contract``).
    """
    owner = hub.registry.item_owner()
    if owner is None:
        return None
    wanted = (ITEMS, *(name for name in PARTS if _is_shared(hub, name)))
    found = _read(hub, wanted)
    if set(found) != set(wanted):
        return None
    before = {item.code: item for record, item in hub.registry.current_items() if record.owner == owner.system}
    ways, materials = (_by_item(found[name].rows if name in found else ()) for name in PARTS)
    aside = {key for name in PARTS if name in found for key in found[name].set_aside}
    items = []
    faulty: set[str] = {key[0] for key in found[ITEMS].set_aside}
    for row in found[ITEMS].rows:
        code = row["item_code"]
        if row.get("operation") == "D":
            continue
        try:
            item = item_of_row(row, ways.get(code, ()), materials.get(code, ()))
        except RejectedError as error:
            faulty.add(code)
            hub.log.warning("an item is left as it is", item=code, code=error.code)
            continue
        items.append(carried(item, before.get(code), aside))
    runs = ",".join(found[name].run for name in wanted)
    return hub.registry.bring_items(items, owner=owner.system, by=f"run {runs}", kept=faulty)


def bring_licence_types(hub: Hub) -> Brought | None:
    """Bring the licence types up to what has landed. As ``bring_items``."""
    owner: Owner | None = hub.registry.licence_type_owner()
    found = {} if owner is None else _read(hub, (LICENCE_TYPES,))
    if owner is None or not found:
        return None
    landed = found[LICENCE_TYPES]
    types = []
    faulty = {key[0] for key in landed.set_aside}
    for row in landed.rows:
        try:
            types.append(licence_type_of_row(row))
        except RejectedError as error:
            faulty.add(row["licence_type"])
            hub.log.warning("a licence type is left as it is", licence_type=row["licence_type"], code=error.code)
    return hub.registry.bring_licence_types(types, owner=owner.system, by=f"run {landed.run}", kept=faulty)


def _stamp(connection: Connection, name: str, today: date) -> tuple[object, ...] | None:
    """Return what changes whenever there is something to look at; None where nothing has landed."""
    names = [name, *PARTS] if name == ITEMS else [name]
    rows = connection.execute(_RUNS, [names]).fetchall()
    return (*sorted((row[0], row[1]) for row in rows), today) if any(row[0] == name for row in rows) else None


def _is_shared(hub: Hub, name: str) -> bool:
    return any(resource.state in ("published", "frozen") for resource in hub.registry.resources((name,)))


def _read(hub: Hub, names: tuple[str, ...]) -> dict[str, Landed]:
    """Return what has landed of resources, all of one snapshot."""
    with hub.connect() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        runs = {row[0]: (row[1], row[2]) for row in connection.execute(_RUNS, [list(names)]).fetchall()}
        found = {}
        for name, (run, version) in runs.items():
            columns = _columns(hub, name, version)
            with connection.cursor(row_factory=dict_row) as cursor:
                query = sql.SQL("SELECT {} FROM {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier("store", name)
                )
                rows: list[Row] = list(cursor.execute(query).fetchall())
            keys = connection.execute(_SET_ASIDE, [[run]]).fetchall()
            found[name] = Landed(run, rows, frozenset(tuple(key) for (key,) in keys))
        return found


def _columns(hub: Hub, name: str, version: str) -> list[str]:
    contract = hub.registry.contract(name, version)
    columns = [f.name for f in contract.clear]
    if missing := [needed for needed in NEEDED[name] if needed not in columns]:
        raise RejectedError(
            f"the contract of {name} lacks {', '.join(missing)}, without which its rows are no such thing",
            code="item.contract",
            where=name,
            remedy="map a column of the system to each of them in the contract",
            fault=Fault.PROVIDER,
        )
    return columns


def _by_item(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        if row.get("operation") != "D":
            found.setdefault(str(row["item_code"]), []).append(row)
    return found
