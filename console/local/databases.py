"""Roles and databases of an installation's own PostgreSQL, made at its first start."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from schemas.errors import RejectedError

OWNER = "onedoor"
API = "onedoor_api"
REGISTRY = "onedoor_registry"
AIRFLOW = "airflow"
ROLES = (OWNER, API, REGISTRY, AIRFLOW)
DATABASES: Mapping[str, str] = {"onedoor": OWNER, "airflow": AIRFLOW}


def ensure(superuser_url: str, passwords: Mapping[str, str]) -> None:
    """Make the roles and databases that are missing, and set the roles' passwords; none of them is a superuser.

    Args:
        superuser_url: the URL of the database ``postgres``.
        passwords: one for each of ``ROLES``.
    """
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        roles = {str(row[0]) for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in ROLES:
            verb = sql.SQL("ALTER" if role in roles else "CREATE")
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN NOSUPERUSER PASSWORD {}").format(
                    verb, sql.Identifier(role), sql.Literal(_scram(connection, role, passwords[role]))
                )
            )
        there = {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database")}
        for database, owner in DATABASES.items():
            if database not in there:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                        sql.Identifier(database), sql.Identifier(owner)
                    )
                )
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
        for role in (API, REGISTRY):
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE onedoor TO {}").format(sql.Identifier(role)))
    with psycopg.connect(superuser_url, dbname="onedoor", autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")


def set_password(superuser_url: str, role: str, password: str) -> None:
    """Give a role a new password."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        verifier = _scram(connection, role, password)
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))


def trigrams_work(url: str) -> bool:
    """Say whether pg_trgm sees Chinese; under a wrong locale a search finds nothing and says nothing."""
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute("SELECT show_trgm('医保') <> '{}'").fetchone()
    return row == (True,)


def _scram(connection: psycopg.Connection[tuple[object, ...]], role: str, password: str) -> str:
    """Return the verifier, so that the password itself is never in a statement."""
    try:
        return connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    except psycopg.Error as error:
        raise RejectedError("the password cannot be stored", code="local.password", where=role) from error
