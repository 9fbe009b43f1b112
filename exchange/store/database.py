"""Connections to the hub's database. A driver's error becomes one of the four kinds here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from schemas.errors import DefectError, OneDoorError, TransientError

Connection = psycopg.Connection[Any]


_SESSION: Final = {
    "timezone": "UTC",
    # A process that was frozen, or whose machine is gone, must not hold its locks for ever: the server ends its session, the
    # transaction is rolled back, and the process finds that out with its next statement.
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "15s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


def connect(url: str, *, autocommit: bool = False, name: str = "onedoor") -> Connection:
    """Open a connection in UTC, whose waits for locks and idle transactions end.

    Raises:
        TransientError: the hub's database does not answer (``database.away``).
    """
    try:
        connection = psycopg.connect(
            url,
            autocommit=autocommit,
            connect_timeout=5,
            application_name=name,
            options=" ".join(f"-c {setting}={value}" for setting, value in _SESSION.items()),
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
    except psycopg.OperationalError as error:
        raise TransientError(
            f"the hub's database does not answer: {_first_line(error)}",
            code="database.away",
            remedy="start it with `onedoor up`, or mend ONEDOOR_DATABASE_URL",
        ) from None
    return connection


@contextmanager
def translated() -> Iterator[None]:
    """Turn what psycopg raises into ``TransientError`` (connection gone, lock, serialisation, disk full) or ``DefectError``."""
    try:
        yield
    except OneDoorError:
        raise
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as error:
        raise TransientError(f"the database was busy: {type(error).__name__}", code="database.busy") from None
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as error:
        raise TransientError(
            f"the hub's database has no room: {type(error).__name__}",
            code="database.full",
            remedy="free disk space; the run goes on",
        ) from None
    except (
        psycopg.OperationalError,
        psycopg.InterfaceError,
        psycopg.errors.IdleInTransactionSessionTimeout,  # this process was frozen, and the server ended its session
        psycopg.errors.TransactionTimeout,
    ) as error:
        raise TransientError(f"the hub's database went away: {_first_line(error)}", code="database.away") from None
    except psycopg.Error as error:
        table = error.diag.table_name
        raise DefectError(  # without the driver's words, which could hold a row
            f"the hub's database refused: {type(error).__name__} {error.sqlstate or ''}".strip(),
            code="database.refused",
            where=table,
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
