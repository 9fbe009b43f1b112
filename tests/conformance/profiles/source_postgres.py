"""PostgreSQL, as the owner of a database of its own, who is no superuser."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from connectors.api import Capabilities, Source
from connectors.registry import open_source
from schemas.clock import FakeClock
from schemas.contract import LogicalType
from tests.conformance.profiles.source_profile import Given, SourceProfile, Table

_KINDS = {
    LogicalType.STRING: "text",
    LogicalType.INTEGER: "bigint",
    LogicalType.DOUBLE: "double precision",
    LogicalType.BOOLEAN: "boolean",
    LogicalType.DATE: "date",
    LogicalType.TIME: "time",
    LogicalType.BYTES: "bytea",
}


def _kind(column: Given) -> str:
    if column.kind is LogicalType.NUMBER:
        return f"numeric({column.precision or 38},{column.scale or 0})"
    if column.kind is LogicalType.TIMESTAMP:
        return "timestamptz" if column.zone else "timestamp"
    return f"varchar({column.length})" if column.length else _KINDS[column.kind]


def profile(request: pytest.FixtureRequest) -> SourceProfile:
    url: str = request.getfixturevalue("empty_db")
    clock: FakeClock = request.getfixturevalue("clock")

    def run(query: str, *names: str, values: Sequence[Any] = ()) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL(query).format(*map(sql.Identifier, names)), values)

    def create(table: Table) -> None:
        columns = [
            sql.SQL("{} {}{}").format(sql.Identifier(c.name), sql.SQL(_kind(c)), sql.SQL(" NOT NULL" if c.required else ""))
            for c in table.columns
        ]
        if table.key:
            columns.append(sql.SQL("PRIMARY KEY ({})").format(sql.SQL(", ").join(map(sql.Identifier, table.key))))
        name = sql.Identifier(table.name)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join(columns)))
            connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(name, sql.Literal(table.comment)))
            for c in table.columns:
                place = sql.SQL("{}.{}").format(name, sql.Identifier(c.name))
                connection.execute(sql.SQL("COMMENT ON COLUMN {} IS {}").format(place, sql.Literal(c.comment)))
        insert(table.name, table.rows)

    def insert(table: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            places = sql.SQL(", ").join([sql.Placeholder()] * len(rows[0]))
            with psycopg.connect(url) as connection, connection.cursor() as cursor:
                cursor.execute("SET TimeZone = 'Asia/Shanghai'")
                cursor.executemany(sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(table), places), rows)

    def alter(table: str, column: str, new: str, kind: LogicalType | None) -> None:
        if column != new:
            run("ALTER TABLE {} RENAME COLUMN {} TO {}", table, column, new)
        if kind is not None:
            run(f"ALTER TABLE {{}} ALTER COLUMN {{}} TYPE {_KINDS[kind]} USING NULL", table, new)

    def away() -> Source:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        parts = urlsplit(url)
        place = f"{parts.username}:{quote(parts.password or '')}@127.0.0.1:{port}"
        return open_source(urlunsplit(parts._replace(netloc=place)), clock=clock)

    def cut(_: Source) -> None:
        run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'onedoor'")

    return SourceProfile(
        name="postgres",
        capabilities=Capabilities(incremental=True, safe_bound=False, snapshot=True, keyset=True, introspects=True),
        open=lambda: open_source(url, clock=clock),
        create=create,
        insert=insert,
        update=lambda table, column, old, new: run(
            "UPDATE {} SET {} = %s WHERE {} = %s", table, column, column, values=(new, old)
        ),
        delete=lambda table, column, value: run("DELETE FROM {} WHERE {} = %s", table, column, values=(value,)),
        drop=lambda table: run("DROP TABLE {}", table),
        alter=alter,
        away=away,
        cut=cut,
        secrets=(urlsplit(url).password or "", "SELECT"),
    )
