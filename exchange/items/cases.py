"""Which version of its item a case keeps: the one that was in force when the case began."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from psycopg import sql

from catalog_registry.item_records import ItemVersionRecord
from exchange.store import tables
from schemas.errors import Fault, RejectedError

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

BEGAN: Final = "applied_at"
"""The field of a case resource that says when the case began 申办时间."""


@dataclass(frozen=True, slots=True)
class CaseItem:
    """The item of a case. ``version`` is None where the item was not there yet when the case began."""

    case: str
    resource: str
    item: str
    began: datetime
    version: ItemVersionRecord | None


def case_item(hub: Hub, case: str) -> CaseItem:
    """Return the item of a case that has landed, in the version that the case keeps. Nothing of the applicant is read.

    Args:
        hub: the wired hub.
        case: the case number 申办流水号.

    Raises:
        RejectedError: no case resource has the case (``case.unknown``), or the register has not the item that it names
            (``item.unknown``).
    """
    with hub.connect() as connection:
        for resource in hub.registry.resources(hub.registry.with_role()):
            role = resource.contract.case_role
            names = {f.name for f in resource.contract.clear}
            if role is None or BEGAN not in names or not tables.exists(connection, tables.serving(resource.contract)):
                continue
            query = sql.SQL("SELECT {}, {} FROM {} WHERE {} = %s").format(
                *map(sql.Identifier, (role.item_code, BEGAN)),
                tables.serving(resource.contract),
                sql.Identifier(role.case_number),
            )
            row = connection.execute(query, [case]).fetchone()
            if row is not None:
                return CaseItem(case, resource.name, row[0], row[1], hub.registry.item_at(row[0], row[1]))
    raise RejectedError(
        "no resource of cases has that case",
        code="case.unknown",
        remedy="collect the department's cases first",
        fault=Fault.CLIENT,
    )
