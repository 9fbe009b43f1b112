"""The only way out: stored rows become released rows under a grant that is in force now."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa

from exchange.trust.grant import Grant, Reason, ended
from exchange.trust.keyring import KeyRing
from exchange.trust.plain import Value
from exchange.trust.seal import RowOpener, broken
from schemas.batch import ReleasedRows, StoredRows
from schemas.canonical import text_column
from schemas.contract import DataContract, Field
from schemas.errors import DefectError, DeniedError
from schemas.landed import lookup_column, lookup_fields
from schemas.rowfilter import Filter, fits, holds
from schemas.types import arrow_type

_ENDED: Final = {
    Reason.REVOKED: ("grant.revoked", "the grant was revoked"),
    Reason.NOT_YET: ("grant.not_yet", "the grant has not begun"),
    Reason.EXPIRED: ("grant.expired", "the grant has ended"),
}

_MOST_PLANS: Final = 256
_plans: dict[
    tuple[int, tuple[str, ...], Filter | None], _Plan
] = {}  # a plan holds its contract, so that an id is not used again


def release(
    rows: StoredRows, grant: Grant, now: datetime, keys: KeyRing, *, fields: Collection[str] | None = None
) -> ReleasedRows:
    """Return the granted fields of the rows that the grant's row filter lets through, in row order.

    Sealed fields are opened only where one of them is released. Called for every answer and every batch of a stream, so a
    grant that ends or is revoked stops the stream.

    Args:
        rows: as the store holds them: clear columns, and for sealed fields the landed key, ``_sealed`` and ``_key_id``.
        grant: the grant as it is now.
        now: the instant of the release.
        keys: the key ring.
        fields: fewer fields than the grant has; None: all of them that the contract has.

    Raises:
        DeniedError: the grant is not in force, is for another resource, or does not have one of ``fields``.
        DefectError: a sealed part does not open, or is not that of the row's keyed hash (``seal.broken``); a column that is
            needed was not read (``release.column``).
    """
    contract = rows.contract
    if (end := ended(grant, now)) is not None:
        code, message = _ENDED[end]
        raise DeniedError(message, code=code, where=f"grant {grant.id}")
    if grant.resource != contract.name:
        raise DeniedError(f"the grant is not for {contract.name}", code="grant.resource", where=f"grant {grant.id}")
    if fields is not None and not set(fields) <= set(grant.fields):
        raise DeniedError("a field was asked for that the grant does not have", code="grant.fields", where=f"grant {grant.id}")
    plan = _plan(contract, grant.fields if fields is None else tuple(fields), grant.row_filter)
    positions = _passing(rows.rows, plan)
    released = []
    for i, position in enumerate(positions):
        row = rows.rows[position]
        try:
            clear = {name: row[name] for name in plan.clear}
        except KeyError as error:
            raise _not_read(contract, str(error.args[0])) from None
        if plan.opens:
            opened = plan.opener.open(row, keys, i)
            _refuse_other_holder(row, opened, plan.checked, contract, keys, i)
            clear = {name: opened[name] if personal else clear[name] for name, personal in plan.released}
        released.append(clear)
    return ReleasedRows(contract, grant.id, released, positions)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a contract, a choice of its fields and a row filter come to: the same for every row, so worked out once."""

    contract: DataContract
    released: tuple[tuple[str, bool], ...]
    """Each released field in the contract's order, and whether it is personal."""
    clear: tuple[str, ...]
    checked: tuple[tuple[Field, str], ...]
    """The fields that leave a keyed hash, and the column that holds it."""
    opener: RowOpener
    opens: bool
    row_filter: Filter | None
    decidable: bool
    """The row filter fits the contract; one that does not lets nothing through."""


def _plan(contract: DataContract, wanted: tuple[str, ...], row_filter: Filter | None) -> _Plan:
    place = (id(contract), wanted, row_filter)
    plan = _plans.get(place)
    if plan is None or plan.contract is not contract:
        released = tuple(f for f in contract.fields if f.name in wanted)
        personal = tuple(f for f in released if f.personal)
        checked = lookup_fields(contract)
        plan = _Plan(
            contract,
            tuple((f.name, f.personal) for f in released),
            tuple(f.name for f in released if not f.personal),
            tuple((f, lookup_column(f)) for f in checked),
            RowOpener(contract, (*personal, *checked)),
            bool(personal),
            row_filter,
            row_filter is None or fits(row_filter, contract),
        )
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        _plans[place] = plan
    return plan


def _passing(rows: Sequence[Mapping[str, object]], plan: _Plan) -> list[int]:
    """Return the positions of the rows that the row filter lets through."""
    if plan.row_filter is None:
        return list(range(len(rows)))
    if not plan.decidable:
        return []
    try:
        return [i for i, row in enumerate(rows) if holds(plan.row_filter, row)]
    except KeyError as error:
        raise _not_read(plan.contract, str(error.args[0])) from None


def _not_read(contract: DataContract, column: str) -> DefectError:
    return DefectError(
        "a column that the grant releases or filters by was not read from the store",
        code="release.column",
        where=f"{contract.name}.{column}",
    )


def _refuse_other_holder(
    row: Mapping[str, object],
    values: Mapping[str, Value],
    checked: tuple[tuple[Field, str], ...],
    contract: DataContract,
    keys: KeyRing,
    position: int,
) -> None:
    """Rows are found by keyed hash: one that was exchanged would show one person's row as another's."""
    for field, column in checked:
        if column not in row:
            continue
        stored, value = row[column], values[field.name]
        made = None if value is None else keys.lookup_hash(contract.name, field.name, _text(field, value))
        same = stored is made if made is None or not isinstance(stored, bytes) else hmac.compare_digest(stored, made)
        if not same:
            raise broken("a row whose keyed hash is not that of its sealed part", f"{contract.name} row {position}")


def _text(field: Field, value: Value) -> str:
    if isinstance(value, str):
        return value
    text: str = text_column(pa.array([value], arrow_type(field)))[0].as_py()
    return text
