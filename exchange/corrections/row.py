"""The row that a correction is about, as the store has it: its landed key, its stored hash, the run that it is of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.rows import dict_row

from catalog_registry.correction_records import CorrectionRecord, ProvedRun, RowSeen
from exchange.store import quarantine, tables
from exchange.store.database import Connection, translated
from exchange.trust.keyring import KeyRing
from exchange.trust.record import LedgerRecord
from exchange.trust.seal import open_rows
from exchange.trust.unnamed import names_somebody
from schemas.batch import RawBatch
from schemas.conform import conform
from schemas.contract import DataContract
from schemas.errors import Fault, RejectedError, TransientError
from schemas.landed import key_columns, landed_sql
from schemas.rowfilter import fits, holds

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

MOST_TEXT: Final = 200
"""Characters of a key's value at most."""

_TRIES: Final = 3
_NEWEST: Final = """
SELECT id, contract_version, started_at, ended_at FROM exchange.run
WHERE resource = %(resource)s AND state = 'proved' AND (%(run)s::text IS NULL OR id = %(run)s)
ORDER BY started_at DESC LIMIT 1
"""

_EACH_NEWEST: Final = """
SELECT DISTINCT ON (resource) resource, id, contract_version, started_at, ended_at FROM exchange.run
WHERE resource = ANY (%s) AND state = 'proved' ORDER BY resource, started_at DESC
"""

_ANSWER: Final = "SELECT record FROM trust.ledger WHERE chain = %(chain)s AND n = %(n)s AND kind = 'licence.lookup'"


class AnsweredRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row that a look-up gave: where its receipt says that it is recorded, and which of its licences, the first one 1."""

    chain: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    n: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    place: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1


KeyOf = Callable[[DataContract], Sequence[str]]
"""Returns the landed key under a contract, as texts, keyed hashes as hex."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at the store gave: the row, the run that the store is of, the row's clear values, none where it is gone."""

    row: RowSeen
    run: ProvedRun
    contract: DataContract = field(repr=False)
    clear: Mapping[str, Any] = field(repr=False)


def proved_run(hub: Hub, resource: str, run: str | None = None) -> ProvedRun | None:
    """Return a proved run of a resource, the newest where none is named; None where there is none."""
    with translated(), hub.connect() as connection:
        return _proved(connection, resource, run)


def newest_runs(hub: Hub, resources: Collection[str]) -> dict[str, ProvedRun]:
    """Return the newest proved run of each of these resources that has one, by one question."""
    if not resources:
        return {}
    with translated(), hub.connect() as connection:
        return {name: ProvedRun(*run) for name, *run in connection.execute(_EACH_NEWEST, [list(resources)])}


def given_key(given: Mapping[str, str], keys: KeyRing) -> KeyOf:
    """Return what gives the landed key of a row that a person named by the values of its key fields, in their usual forms."""

    def key(contract: DataContract) -> Sequence[str]:
        wanted = [f.name for f in contract.key]
        if sorted(given) != sorted(wanted):
            raise RejectedError(
                f"a row of {contract.name} is named by {', '.join(wanted)}",
                code="correction.key",
                where="row",
                remedy="give the value of each field of the key, and no other",
                fault=Fault.CLIENT,
            )
        for f in contract.key:
            _check_value(given[f.name], personal=f.personal)
        narrow = replace(contract, fields=contract.key, cursor=None, case_role=None, licence_role=None)
        columns = {f.source_name: pa.array([given[f.name]], pa.string()) for f in contract.key}
        rows = conform(RawBatch(narrow, pa.RecordBatch.from_pydict(columns), datetime.min.replace(tzinfo=UTC))).batch.rows
        landed = quarantine.landed_key(contract, rows.to_pylist()[0], keys) if rows.num_rows else None
        if landed is None:
            raise RejectedError(
                "a value of the key is not of its field's type", code="correction.key", where="row", fault=Fault.CLIENT
            )
        return landed

    return key


def answered_key(hub: Hub, resource: str, answer: AnsweredRow, department: str) -> KeyOf:
    """Return what gives the landed key of a row that a department was given by a look-up, named by its receipt and its place.

    Raises:
        RejectedError: there is no such look-up of the department, or it gave no row of the resource there
            (``correction.answer``); which of them is not told.
    """
    with translated(), hub.connect() as connection:
        row = connection.execute(_ANSWER, {"chain": answer.chain, "n": answer.n}).fetchone()
    record = None if row is None else msgspec.json.decode(bytes(row[0]), type=LedgerRecord)
    names: Sequence[str] = ()
    if record is not None and record.outcome == "allowed" and record.department == department:
        names = record.rows
    name = names[answer.place - 1] if 1 <= answer.place <= len(names) else ""
    rest = name.removeprefix(f"{resource}/")

    def key(contract: DataContract) -> Sequence[str]:
        parts = rest.split("/") if len(contract.key) > 1 else [rest]
        if rest == name or len(parts) != len(contract.key):
            raise RejectedError(
                f"no look-up of {department} gave a row of {resource} there",
                code="correction.answer",
                where="answer",
                remedy="name the receipt of the answer, and the place of the licence in it, the first one 1",
                fault=Fault.CLIENT,
            )
        return parts

    return key


def _check_value(text: str, *, personal: bool) -> None:
    """Raise ``RejectedError`` where a text is no value of a key, or names somebody although it would be kept in clear."""
    if "\x00" in text or len(text) > MOST_TEXT:
        raise RejectedError(
            f"a value of the key is above {MOST_TEXT} characters, or no text",
            code="correction.key",
            where="row",
            fault=Fault.CLIENT,
        )
    if not personal and names_somebody(text):
        raise RejectedError(
            "a citizen id stands in a part of the key that is kept in clear",
            code="correction.personal",
            where="row",
            remedy="ask for a correction of the whole resource, and name the row in what is written",
            fault=Fault.CLIENT,
        )


def look(hub: Hub, resource: str, key_of: KeyOf) -> Looked:
    """Return a row as the store has it now, with the run that it is of.

    Raises:
        RejectedError: nothing of the resource has landed yet (``correction.nothing_landed``), or the key is not one.
        TransientError: runs landed while it was looked at (``records.replaced``).
    """
    for _ in range(_TRIES):
        with translated(), hub.connect() as connection:
            before = _proved(connection, resource, None)
            if before is None:
                raise RejectedError(
                    "nothing of the resource has landed yet, so no row of it was shared",
                    code="correction.nothing_landed",
                    where=resource,
                    fault=Fault.CLIENT,
                )
            contract = hub.registry.contract(resource, before.contract_version)
            key = tuple(key_of(contract))
            found = _row(connection, contract, key)
            if _proved(connection, resource, None) != before:  # runs follow one another: still the same, it was so before
                continue
        name = quarantine.row_key(contract, key, hub.keys) or ""
        stored = None if found is None else bytes(found.pop("_row_hash"))
        run = before.id if found is None else found.pop("_run")
        return Looked(RowSeen(name, key, stored, run, before.contract_version), before, contract, found or {})
    raise TransientError("a later run has landed while the row was looked at", code="records.replaced", where=resource)


def let_through(hub: Hub, seen: Looked) -> list[str]:
    """Return the grants with a row filter, ended ones too, that give the row as it is; those without one give every row."""
    return [
        grant.id
        for grant in hub.registry.grants(resource=seen.contract.name)
        if grant.row_filter is not None
        and seen.row.hash is not None
        and fits(grant.row_filter, seen.contract)
        and holds(grant.row_filter, seen.clear)
    ]


def opened_key(hub: Hub, correction: CorrectionRecord) -> dict[str, str] | None:
    """Return the key of a request's row as the store has it, in clear; None where no row is served. The caller has recorded
    who looks at it and why.
    """
    key = correction.row_key or ()
    seen = look(hub, correction.resource, lambda _: key)
    if seen.row.hash is None:
        return None
    contract = seen.contract
    personal = [f for f in contract.key if f.personal]
    clear = {f.name: str(seen.clear[f.name]) for f in contract.key if not f.personal}
    if not personal:
        return clear
    with translated(), hub.connect() as connection:
        row = _row(connection, contract, key, (*key_columns(contract), "_sealed", "_key_id"))
    if row is None:
        return None
    (values,) = open_rows(contract, [row], hub.keys, personal)
    return clear | {name: str(value) for name, value in values.items()}


def _proved(connection: Connection, resource: str, run: str | None) -> ProvedRun | None:
    row = connection.execute(_NEWEST, {"resource": resource, "run": run}).fetchone()
    connection.commit()  # the next question is asked of what is there then
    return None if row is None else ProvedRun(*row)


def _row(
    connection: Connection, contract: DataContract, key: Sequence[str], wanted: Sequence[str] = ()
) -> dict[str, Any] | None:
    """Return the wanted columns of a served row, the clear ones with hash and run where none is named."""
    kinds = dict(landed_sql(contract))
    same = [
        sql.SQL("{} = decode({}, 'hex')" if kinds[name] == "bytea" else "{} = {}::" + kinds[name]).format(
            sql.Identifier(name), sql.Placeholder()
        )
        for name in key_columns(contract)
    ]
    names = wanted or (*(f.name for f in contract.clear), "_row_hash", "_run")
    columns = [sql.Identifier(name) for name in names]
    statement = sql.SQL("SELECT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join(columns), tables.serving(contract), sql.SQL(" AND ").join(same)
    )
    try:
        with connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(statement, list(key)).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        raise TransientError("a later run is landing", code="records.replaced", where=contract.name) from None
    connection.commit()
    return found
