"""Builds the demo district: source databases with owners and readers of their own, and the truth about their wrong rows."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import pgpq
import psycopg
import pyarrow as pa
from psycopg import sql

from console.demo import truth
from console.demo.generator import ANCHOR, DEFAULT_LICENCES, SEED, Generated, Sizes, divisions, generate
from console.demo.market import Churned, churn
from console.demo.sheet import Wrong
from schemas.clock import Clock
from schemas.errors import Fault, RejectedError, TransientError

STATE_NAME: Final = "district.json"
TRUTH_NAME: Final = "truth.parquet"
_COPY_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Table:
    """A source table: which resource's rows it holds, columns whose type is not the plain one, columns with an index."""

    name: str
    resource: str
    types: Mapping[str, str] = field(default_factory=dict)
    indexes: tuple[tuple[str, ...], ...] = ()
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """A department's database. ``sees_sessions``: its reader may see other sessions, so that a safe bound can be computed."""

    source: str
    tables: tuple[Table, ...]
    sees_sessions: bool = False


DATABASES: Final = (
    Database("demo_base", (Table("divisions", "divisions", key="code"),)),
    Database(
        "demo_items",
        (
            Table("up_task_general_basic", "items", indexes=(("task_code",),)),
            Table("up_task_general_extend", "item_implementations", indexes=(("task_handle_item",),)),
            Table("up_task_material", "item_materials", indexes=(("task_code", "material_code"),)),
        ),
    ),
    Database(
        "demo_licences",
        (
            Table("elc_licence_type", "licence_types"),
            Table("elc_licence", "licences", indexes=(("ZZBS",), ("GXSJ",))),
        ),
    ),
    Database(
        "demo_market",
        (
            Table("ex_gdbs_sb", "market_cases", {"SQRZJHM": "character(24)"}, (("SBLSH",), ("GXSJ",))),
            Table("ex_gdbs_spcl", "market_steps", {}, (("SBLSH", "XH"), ("GXSJ",))),
            Table("ex_gdbs_bj", "market_results", {"SFJE": "numeric(12,2)"}, (("SBLSH",), ("GXSJ",))),
        ),
        sees_sessions=True,
    ),
)


@dataclass(frozen=True)
class District:
    """A built district. ``sources`` and ``owners`` map the name of each source to a libpq URL with its password."""

    folder: Path
    sizes: Sizes
    seed: int
    sources: Mapping[str, str] = field(repr=False)
    owners: Mapping[str, str] = field(repr=False)

    def truth(self) -> tuple[Wrong, ...]:
        """Return the rows that must be set aside."""
        return truth.read(self.folder / TRUTH_NAME)

    def churn(self, seed: int, n: int, clock: Clock) -> Churned:
        """Let the approval system work on: see ``market.churn``. Rows known to be wrong are left as they are."""
        wrong = [key for key in truth.keys(self.truth(), "market_cases") if key is not None]
        with psycopg.connect(self.owners["demo_market"]) as connection:
            return churn(connection, seed, n, clock, avoid=wrong)


def build(
    superuser_url: str,
    home: Path,
    licences: int = DEFAULT_LICENCES,
    seed: int = SEED,
    *,
    anchor: datetime = ANCHOR,
    prefix: str = "",
) -> District:
    """Build the district, or go on with the one that the data folder holds.

    What a first call has chosen (passwords, sizes, seed, anchor, prefix) is kept under ``home/demo``, 0600, and holds for later
    calls whatever they ask. Each database is filled in one transaction, so a call that was cut off is made good by the next.

    Args:
        superuser_url: to any database of the server.
        home: the data folder.
        licences: how many e-licences; the other sizes follow.
        seed: where chance starts.
        anchor: the instant up to which the history is made.
        prefix: put before the names of databases and roles, where several districts share a server.

    Raises:
        TransientError: the server cannot be reached.
        RejectedError: the sizes are out of range, or the account may not make roles and databases.
    """
    folder = home / "demo"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = _state(folder, licences, seed, anchor, prefix)
    sizes = Sizes(**state["sizes"])
    district = District(
        folder, sizes, state["seed"], _urls(superuser_url, state, "reader"), _urls(superuser_url, state, "owner")
    )
    try:
        _make_databases(superuser_url, state)
        empty = [d for d in DATABASES if not _filled(district.owners[d.source], d)]
        if empty or not (folder / TRUTH_NAME).exists():
            made = generate(sizes, state["seed"], datetime.fromisoformat(state["anchor"]))
            truth.write(folder / TRUTH_NAME, made.wrong)
            for database in empty:
                _fill(district.owners[database.source], database, made)
    except psycopg.OperationalError as error:
        raise TransientError(
            "the server of the demo's databases cannot be reached or went away", code="demo.unreachable", remedy="try again"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise RejectedError(
            "the account may not make roles and databases; a superuser was expected", code="demo.privilege", fault=Fault.CLIENT
        ) from error
    return district


def open_district(superuser_url: str, home: Path) -> District | None:
    """Return the district that the data folder holds, None where there is none; nothing is made."""
    path = home / "demo" / STATE_NAME
    if not path.exists():
        return None
    state = json.loads(path.read_text("utf-8"))
    return District(
        path.parent,
        Sizes(**state["sizes"]),
        state["seed"],
        _urls(superuser_url, state, "reader"),
        _urls(superuser_url, state, "owner"),
    )


def demolish(superuser_url: str, home: Path) -> None:
    """Take the district's databases and roles away again, and its folder's state with them; a folder without one is left."""
    path = home / "demo" / STATE_NAME
    if not path.exists():
        return
    accounts = json.loads(path.read_text("utf-8"))["accounts"].values()
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        for account in accounts:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(account["database"])))
            for role in (account["owner"]["role"], account["reader"]["role"]):
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
    path.unlink()


def _state(folder: Path, licences: int, seed: int, anchor: datetime, prefix: str) -> dict[str, Any]:
    path = folder / STATE_NAME
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return kept
    sizes = Sizes.of(licences)
    accounts = {}
    for database in DATABASES:
        name = prefix + database.source
        accounts[database.source] = {
            "database": name,
            "owner": {"role": f"{name}_owner", "password": secrets.token_urlsafe(24)},
            "reader": {"role": f"hub_reader_{name}", "password": secrets.token_urlsafe(24)},
        }
    state = {
        "sizes": {"licences": sizes.licences, "items": sizes.items, "applications": sizes.applications},
        "seed": seed,
        "anchor": anchor.isoformat(),
        "accounts": accounts,
    }
    write_private(path, json.dumps(state, indent=1))
    return state


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _urls(superuser_url: str, state: Mapping[str, Any], account: str) -> Mapping[str, str]:
    parts = urlsplit(superuser_url)
    where = parts.netloc.rpartition("@")[2]
    out = {}
    for source, accounts in state["accounts"].items():
        role, password = (quote(accounts[account][part], safe="") for part in ("role", "password"))
        out[source] = f"postgresql://{role}:{password}@{where}/{accounts['database']}"
    return MappingProxyType(out)


def _make_databases(superuser_url: str, state: Mapping[str, Any]) -> None:
    """Make roles and databases that are missing; the passwords become those of the state."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        for database in DATABASES:
            account = state["accounts"][database.source]
            name, owner, reader = account["database"], account["owner"]["role"], account["reader"]["role"]
            _make_role(connection, owner, account["owner"]["password"])
            _make_role(connection, reader, account["reader"]["password"])
            connection.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(sql.Identifier(reader)))
            if database.sees_sessions:
                connection.execute(sql.SQL("GRANT pg_read_all_stats TO {}").format(sql.Identifier(reader)))
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                        sql.Identifier(name), sql.Identifier(owner)
                    )
                )
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(name), sql.Identifier(reader))
            )


def _make_role(connection: psycopg.Connection[Any], role: str, password: str) -> None:
    """Make a role or set its password; the server is given the password's verifier only."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    verb = "ALTER" if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() else "CREATE"
    connection.execute(sql.SQL(verb + " ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))


def _filled(owner_url: str, database: Database) -> bool:
    with psycopg.connect(owner_url) as connection:
        found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"public.{database.tables[0].name}",)).fetchone()
        return bool(found and found[0])


def _fill(owner_url: str, database: Database, made: Generated) -> None:
    """Make the tables of a database and their rows in one transaction."""
    reader = f"hub_reader_{unquote(urlsplit(owner_url).path[1:])}"
    with psycopg.connect(owner_url) as connection:
        for table in database.tables:
            rows = divisions() if table.resource == "divisions" else made.rows[table.resource]
            _create(connection, table, rows.schema)
            _copy(connection, table.name, rows)
            for columns in table.indexes:
                connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(sql.Identifier(table.name), _identifiers(columns)))
            if table.key:
                connection.execute(
                    sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(sql.Identifier(table.name), sql.Identifier(table.key))
                )
            connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(table.name), sql.Identifier(reader)))
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("ANALYZE")


def _create(connection: psycopg.Connection[Any], table: Table, schema: pa.Schema) -> None:
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(f.name), sql.SQL(table.types.get(f.name) or _sql_type(f.type))) for f in schema
    ]
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(table.name), sql.SQL(", ").join(columns)))


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    return {pa.string(): "varchar", pa.int16(): "smallint", pa.int32(): "integer"}[kind]


def _copy(connection: psycopg.Connection[Any], table: str, rows: pa.RecordBatch) -> None:
    encoder = pgpq.ArrowToPostgresBinaryEncoder(rows.schema)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), _identifiers(rows.schema.names)
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(encoder.write_header())
        for start in range(0, rows.num_rows, _COPY_ROWS):
            copy.write(encoder.write_batch(rows.slice(start, _COPY_ROWS)))
        copy.write(encoder.finish())


def _identifiers(names: Any) -> sql.Composed:
    return sql.SQL(", ").join([sql.Identifier(n) for n in names])
