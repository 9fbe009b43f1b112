"""Brings a hub's database to the newest form. Needs no ``alembic.ini``; several processes may start it at once."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Final, LiteralString

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from catalog_registry.store.tables import SCHEMA
from schemas.errors import DefectError, Fault, OneDoorError, RejectedError, TransientError

API_ROLE: Final = "onedoor_api"
"""The role of the API: it reads the registry and the store, and appends to the ledger."""

REGISTRY_ROLE: Final = "onedoor_registry"
"""The role of the API's changes of the registry: it reads the registry and takes the steps of resources and applications."""

_STEPS: Final = (
    "GRANT UPDATE (value) ON registry.version TO {role}",
    "GRANT INSERT ON registry.outbox, registry.resource_history, registry.application_history TO {role}",
    "GRANT UPDATE (state, row_version, changed_at) ON registry.resource TO {role}",
    "GRANT UPDATE (status) ON registry.contract_version TO {role}",
    "GRANT INSERT ON registry.application, registry.grant_ TO {role}",
    "GRANT INSERT ON registry.demand, registry.demand_history, registry.rating, registry.rating_history TO {role}",
    "GRANT UPDATE (state, version, assigned, appointed_by, answered_by, changed_at, since) ON registry.demand TO {role}",
    "GRANT UPDATE (promised_on, refusal_kind, refusal, resource) ON registry.demand TO {role}",
    "GRANT UPDATE (score, comment, version, by, at) ON registry.rating TO {role}",
    "GRANT INSERT ON registry.revision, registry.revision_history, registry.notice, registry.withdrawal TO {role}",
    "GRANT UPDATE (state, version, reviewed_by, changed_at, noticed_at, ends_at, provisional) ON registry.revision TO {role}",
    "GRANT UPDATE (acknowledged_at, acknowledged_by) ON registry.notice TO {role}",
    "GRANT UPDATE (outcome, ended_at, ended_by) ON registry.withdrawal TO {role}",
    "GRANT INSERT ON registry.bulk_export, registry.bulk_export_history, registry.destruction_history TO {role}",
    "GRANT UPDATE (state, version, answered_by, until, used_at, changed_at) ON registry.bulk_export TO {role}",
    "GRANT UPDATE (state, since, version, changed_at) ON registry.destruction TO {role}",
    "GRANT UPDATE (certificate, sha256, document, filed_by, filed_at, confirmed_by) ON registry.destruction TO {role}",
    "GRANT UPDATE (state, version, assigned, checked_by, answered_by, grant_id, changed_at) ON registry.application TO {role}",
    "GRANT INSERT ON registry.correction, registry.correction_history TO {role}",
    "GRANT UPDATE (state, version, assigned, answered_by, decided_by) ON registry.correction TO {role}",
    "GRANT UPDATE (outcome, run_after, changed_at, state_at) ON registry.correction TO {role}",
    "GRANT UPDATE (acknowledged_at, acknowledged_by) ON registry.correction_notice TO {role}",
    # departments, systems, sources, contracts, catalogue entries, the end of a grant
    "GRANT INSERT ON registry.department, registry.system, registry.source, registry.resource TO {role}",
    "GRANT INSERT ON registry.contract_version, registry.catalogue_entry, registry.code_sequence TO {role}",
    "GRANT UPDATE (name, credit_code, parent, version) ON registry.department TO {role}",
    "GRANT UPDATE (name, version) ON registry.system TO {role}",
    "GRANT UPDATE (connector, url, secret_ref, settings, version), DELETE ON registry.source TO {role}",
    "GRANT UPDATE (title, source, version, code) ON registry.resource TO {role}",
    "GRANT UPDATE (document, version, at, by) ON registry.catalogue_entry TO {role}",
    "GRANT UPDATE (last) ON registry.code_sequence TO {role}",
    "GRANT UPDATE (revoked_at, revoked_by, revoked_why, version) ON registry.grant_ TO {role}",
    # accounts and their secrets, of which it never reads a hash
    "GRANT INSERT ON registry.principal, registry.client_secret TO {role}",
    "GRANT UPDATE (roles, epoch, ranges, revoked_at, version) ON registry.principal TO {role}",
    "REVOKE SELECT ON registry.client_secret FROM {role}",
    "GRANT SELECT (principal, n, made_at, ends_at, last_used_at) ON registry.client_secret TO {role}",
    "GRANT UPDATE (ends_at, last_used_at) ON registry.client_secret TO {role}",
    "GRANT INSERT ON registry.service_item, registry.service_item_version, registry.handbook_version TO {role}",
    "GRANT UPDATE (name, body, department, state, version, hash, changed_at) ON registry.service_item TO {role}",
    "GRANT INSERT, DELETE ON registry.item_licence_type, registry.item_resource TO {role}",
    "GRANT INSERT, UPDATE (version, at, by) ON registry.service_item_own TO {role}",
    "GRANT INSERT, UPDATE (to_at) ON registry.service_item_body TO {role}",
    "GRANT INSERT ON registry.licence_type, registry.licence_type_history TO {role}",
    "GRANT UPDATE (document, terms, department, state, version, changed_at) ON registry.licence_type TO {role}",
    "GRANT INSERT, UPDATE, DELETE ON registry.search_document TO {role}",
    "GRANT INSERT ON registry.search_number, registry.search_miss TO {role}",
)
"""What a step changes, column by column. What identifies a thing, and whose it is, is changed by nobody of this role."""

_LOCK: Final = 0x4F44_6D69_6772  # any constant of our own; holders of it are migrating
_FOLDER: Final = Path(__file__).parent / "migrations"
_ONE: Final = Lock()  # Alembic's context is one for a process; between processes the database's lock holds


def upgrade(url: str) -> str:
    """Make or bring up the hub's tables, and the rights of the API's roles where those roles exist; return it.

    All or nothing, in one transaction; a database that is current is left as it is. A second process waits for the first.

    Args:
        url: libpq URL of the hub's database, as its owner.

    Raises:
        TransientError: the database cannot be reached.
        RejectedError: the role has no right to make tables here.
        DefectError: the database was brought up by a newer release, or a migration failed.
    """
    engine = _engine(url)
    try:
        with _ONE, engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            here = _revision(connection)
            if here is not None and here not in {r.revision for r in _scripts().walk_revisions()}:
                raise DefectError(
                    f"the database is at revision {here}, which this release does not know",
                    code="store.newer",
                    remedy="start the release that brought it up, or restore a backup",
                )
            command.upgrade(config(connection), "head")
            grant_api(connection)
            grant_registry(connection)
            return _revision(connection) or ""
    except (DBAPIError, psycopg.Error) as error:
        raise _told(error) from error
    finally:
        engine.dispose()


def current(url: str) -> str | None:
    """Return the revision that the database is at, None where it holds no hub."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            return _revision(connection)
    except (DBAPIError, psycopg.Error) as error:
        raise _told(error) from error
    finally:
        engine.dispose()


def head() -> str:
    """Return the revision that this release works with."""
    return _scripts().get_current_head() or ""


def config(connection: Connection) -> Config:
    """Return Alembic's configuration for an open connection."""
    configuration = Config()
    configuration.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    configuration.attributes["connection"] = connection
    return configuration


def grant_api(connection: Connection, role: str = API_ROLE) -> bool:
    """Give the API's role exactly what it needs; False where the role does not exist. Doing it again changes nothing.

    Tables of ``store`` are made in ``stage`` and moved, so the default rights stand on both; without USAGE on ``stage`` the
    role sees a table only once it is served.
    """
    return _give(
        connection,
        role,
        "GRANT CONNECT ON DATABASE {database} TO {role}",
        "GRANT USAGE ON SCHEMA registry, exchange, store, trust TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA registry, store TO {role}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA registry GRANT SELECT ON TABLES TO {role}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA store GRANT SELECT ON TABLES TO {role}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA stage GRANT SELECT ON TABLES TO {role}",
        "GRANT SELECT ON exchange.run, exchange.duty TO {role}",
        "GRANT SELECT ON trust.data_key, trust.checkpoint TO {role}",
        "GRANT SELECT ON trust.usage_day, trust.usage_at TO {role}",
        "GRANT SELECT, INSERT ON trust.ledger TO {role}",
        "GRANT SELECT ON exchange.quota_count TO {role}",
        "GRANT EXECUTE ON FUNCTION exchange.lend_quota, exchange.return_quota, exchange.count_case TO {role}",
        "GRANT SELECT, INSERT (grant_id, first_at) ON exchange.grant_bulk TO {role}",
    )


def grant_registry(connection: Connection, role: str = REGISTRY_ROLE) -> bool:
    """Give the role of the API's changes exactly what a step needs; False where the role does not exist.

    It sees nothing but the schema ``registry``: no row of a resource, and no ledger, which the API's own role appends to.
    """
    return _give(
        connection,
        role,
        "GRANT CONNECT ON DATABASE {database} TO {role}",
        "GRANT USAGE ON SCHEMA registry TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA registry TO {role}",
        *_STEPS,
    )


def _give(connection: Connection, role: str, *statements: LiteralString) -> bool:
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise DefectError("the connection is not psycopg's", code="store.driver")
    if raw.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
        return False
    row = raw.execute("SELECT current_database()").fetchone()
    names = {"role": sql.Identifier(role), "database": sql.Identifier(row[0] if row else "")}
    for statement in statements:
        raw.execute(sql.SQL(statement).format(**names))
    return True


def _engine(url: str) -> Engine:
    return create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool, hide_parameters=True
    )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_FOLDER))


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA}).get_current_revision()


def _told(error: DBAPIError | psycopg.Error) -> OneDoorError:
    """Return the driver's error as one of ours."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return RejectedError(
            "the role may not make schemas or tables in the hub's database",
            code="store.privilege",
            remedy="give ONEDOOR_DATABASE_URL the role that owns the database",
            fault=Fault.CLIENT,
        )
    if isinstance(cause, psycopg.OperationalError):
        return TransientError(
            "the hub's database cannot be reached",
            code="store.unreachable",
            remedy="see onedoor status; start it with onedoor up, or check ONEDOOR_DATABASE_URL",
        )
    return DefectError(
        f"the migration failed: {type(cause).__name__}; nothing of it was kept", code="store.migration", remedy="report it"
    )
