"""Grants under which rows had left in bulk before the release that keeps duties to destroy are found in the ledger."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from catalog_registry.store import migrate
from exchange.trust.record import LedgerRecord, lines_after
from tests.migration.test_row_filters import NOW, first_db, old_grant

__all__ = ["first_db"]


def test_grants_of_before_under_which_rows_left_are_noted_and_a_spoilt_record_stops_nothing(first_db: str) -> None:
    def kept(kind: str, outcome: str, grant: str | None) -> LedgerRecord:
        return LedgerRecord(kind=kind, outcome=outcome, grant=grant, operator='曲江"\\')

    records = [
        kept("resource.query", "allowed", "g1"),
        kept("resource.query", "done", "g1"),
        kept("resource.query", "refused", "g2"),
        kept("licence.lookup", "allowed", "g3"),
        kept("resource.query", "allowed", "gone"),
    ]
    lines = lines_after(bytes(32), records, chain="c", n=0, at=NOW, salts=bytes(16 * len(records)))
    with psycopg.connect(first_db) as connection:
        for grant in ("g1", "g2", "g3"):
            old_grant(connection, grant, None)
        insert = "INSERT INTO trust.ledger (chain, n, at, kind, record, hash) VALUES (%s, %s, %s, %s, %s, %s)"
        for line in lines:
            at = line.at + timedelta(hours=line.n)
            connection.execute(insert, (line.chain, line.n, at, line.kind, line.record, line.hash))
        connection.execute(insert, ("c", 9, NOW, "resource.query", b'\xff{"grant":', b"x"))
    migrate.upgrade(first_db)
    with psycopg.connect(first_db) as connection:
        found = connection.execute("SELECT grant_id, first_at, settled_at FROM exchange.grant_bulk").fetchall()
    assert found == [("g1", NOW, None)]
