"""PostgreSQL as a source: what it can do and what it is told, without its drivers."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.api import Capabilities, ConnectorSpec
from connectors.settings import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSettings(SourceSettings):
    """How the department's database is asked. All seconds; 0 is no limit.

    ``read_timeout_s`` bounds the one statement that streams a table, whoever is slow; ``statement_timeout_s`` every other.
    ``skew_s`` is taken off the computed bound: a session's start is seen a moment after it was taken.
    ``prepared_wait_s``: how long to wait for transactions that stand prepared (two-phase commit) to end.
    ``state_rows``: above so many rows, by the server's estimate, a table is not scanned to say whether it stood still.
    """

    connect_timeout_s: float = 10.0
    lock_timeout_s: float = 10.0
    statement_timeout_s: float = 600.0
    read_timeout_s: float = 6 * 3600.0
    skew_s: float = 1.0
    prepared_wait_s: float = 5.0
    state_rows: float = 50_000_000


SPEC = ConnectorSpec(
    name="postgres",
    summary="Reads tables and views of PostgreSQL 12 and later, by binary COPY into Arrow.",
    schemes=("postgresql", "postgres"),
    settings=PostgresSettings,
    capabilities=Capabilities(incremental=True, safe_bound=True, snapshot=True, keyset=True, introspects=True),
    entry="connectors.impl.postgres.client:Postgres",
)
