"""The store's tables: one serving table for each resource, and a shadow or a stage for each open run."""

from __future__ import annotations

from psycopg import sql

from exchange.store.database import Connection
from schemas.contract import DataContract
from schemas.landed import key_columns, landed_sql, lookup_column, lookup_fields

API_ROLE = "onedoor_api"


def serving(contract: DataContract) -> sql.Identifier:
    """Return the serving table's name."""
    return sql.Identifier("store", contract.name)


def staging(run: str) -> sql.Identifier:
    """Return the name of the table that a run's rows land in before they are served."""
    return sql.Identifier("stage", run)


def exists(connection: Connection, table: sql.Identifier) -> bool:
    """Say whether a table is there."""
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table.as_string(connection)]).fetchone()
    return bool(row and row[0])


def create_staging(connection: Connection, contract: DataContract, run: str) -> None:
    """Make the table a run lands in, where it is not there: the landed columns less ``_run`` and ``_as_of``, no key yet.

    It is logged: an unlogged table is emptied by a crash of PostgreSQL while positions stay. Its key is never null, which
    the making of the primary key then need not read it for.
    """
    keys = key_columns(contract)
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind + (" NOT NULL" if name in keys else "")))
        for name, kind in landed_sql(contract)
        if name not in ("_run", "_as_of")
    )
    connection.execute(
        sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}) WITH (autovacuum_enabled = false)").format(staging(run), columns)
    )


def create_serving(connection: Connection, contract: DataContract) -> None:
    """Make an empty serving table with its key and indexes, where there is none."""
    if exists(connection, serving(contract)):
        return
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in landed_sql(contract)
    )
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(serving(contract), columns))
    add_key(connection, contract, serving(contract))
    add_indexes(connection, contract, serving(contract))
    grant_to_api(connection, contract)


def add_key(connection: Connection, contract: DataContract, table: sql.Identifier) -> None:
    """Make the primary key. Raises ``psycopg.errors.UniqueViolation`` where a key stands twice."""
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in key_columns(contract))
    connection.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(table, columns))


def add_indexes(connection: Connection, contract: DataContract, table: sql.Identifier) -> None:
    """Make the indexes that look-ups need: keyed hashes outside the key, a case table's case number, a clear holder number."""
    columns = [lookup_column(f) for f in lookup_fields(contract) if f.key is None]
    if contract.case_role is not None:
        columns.append(contract.case_role.case_number)
    if contract.licence_role is not None and not contract.field(contract.licence_role.holder_number).personal:
        columns.append(contract.licence_role.holder_number)
    for name in columns:
        if name not in key_columns(contract)[:1]:
            connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(table, sql.Identifier(name)))


def grant_to_api(connection: Connection, contract: DataContract) -> None:
    """Let the API's role read the serving table, where that role exists."""
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [API_ROLE]).fetchone():
        connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(serving(contract), sql.Identifier(API_ROLE)))


def columns_of(connection: Connection, table: str, schema: str = "store") -> list[str]:
    """Return a table's columns in order."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [sql.Identifier(schema, table).as_string(connection)],
    ).fetchall()
    return [row[0] for row in rows]


def drop_staging(connection: Connection, run: str) -> None:
    """Drop a run's table."""
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(staging(run)))
