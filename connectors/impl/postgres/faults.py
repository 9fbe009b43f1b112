"""What PostgreSQL's error codes mean to a runner.

Nothing of a driver's message is passed on: its DETAIL lines hold values of rows, and the query it repeats holds keys.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.errors import Fault, OneDoorError, RejectedError, TransientError

_STATE: Final = re.compile(r"SQLSTATE: ([0-9A-Z]{5})")

_Said = tuple[str, str, str | None]

_REJECTED: Final[dict[str, _Said]] = {
    "28P01": ("login", "the user or the password is wrong", "mend the source's URL"),
    "28000": ("login", "the server does not let this user in from here", "ask the database's administrator for pg_hba.conf"),
    "3D000": ("database_unknown", "there is no database of that name", "mend the source's URL"),
    "3F000": ("table_unknown", "there is no schema of that name", "describe the source's tables again"),
    "42P01": ("table_unknown", "there is no table of that name", "describe the source's tables again"),
    "42703": ("column_unknown", "a column of the contract is not there", "compare the contract with the table"),
    "42501": ("no_privilege", "the account may not read this", "grant SELECT to the account"),
    "42883": ("type_changed", "a column's type has no order", "compare the contract with the table"),
    "57P04": ("database_unknown", "the database was dropped", "mend the source's URL"),
}
_TRANSIENT: Final[dict[str, _Said]] = {
    "53300": ("busy", "the server has no connection left", "try later, or raise the account's connection limit"),
    "55P03": ("locked", "another transaction holds a lock on the table", "try when its maintenance is over"),
    "57014": (
        "timeout",
        "the statement took longer than it may, or was cancelled",
        "try later, or raise the time limit of the source",
    ),
    "57P01": ("cut", "the server ended the session", None),
    "57P02": ("cut", "the server crashed and is starting again", None),
    "57P03": ("unreachable", "the server is starting or stopping", None),
    "57P05": ("cut", "the server ended the session", None),
    "25P03": ("cut", "the server ended the session", None),
    "25P04": ("cut", "the server ended the session", None),
}
_REJECTED_CLASSES: Final[dict[str, _Said]] = {
    "22": ("value", "the server could not give a value of the table", "look at the table's encoding and types"),
    "28": ("login", "the server does not let this user in", "mend the source's URL"),
    "42": ("query", "the server does not take the query that the contract makes", "compare the contract with the table"),
    "XX": ("damaged", "the server reports an internal error or damaged data", "show its log to the database's administrator"),
}
_TRANSIENT_CLASSES: Final[dict[str, _Said]] = {
    "08": ("cut", "the connection was cut", None),
    "40": ("conflict", "the server gave the statement up for another one", None),
    "53": ("busy", "the server is out of memory, disk or connections", None),
    "58": ("busy", "the server's disk or system failed", None),
}

_OTHER: Final[_Said] = ("failed", "the server refused", "show its log to the database's administrator")

# A server says why it refuses a log-in in its own language only; libpq gives no code for it.
_LOGIN_WORDS: Final = (
    ("28P01", re.compile(r"password authentication failed|no password supplied|口令|密码|认证失败", re.IGNORECASE)),
    ("28000", re.compile(r"pg_hba\.conf|role .* (does not exist|is not permitted)|角色", re.IGNORECASE)),
    ("3D000", re.compile(r"database .* does not exist|数据库.*不存在", re.IGNORECASE)),
    ("42501", re.compile(r"permission denied for database|对数据库.*权限", re.IGNORECASE)),
    ("53300", re.compile(r"too many (clients|connections)|remaining connection slots|连接数|太多", re.IGNORECASE)),
    ("57P03", re.compile(r"starting up|shutting down|正在启动|正在关闭|recovery", re.IGNORECASE)),
)
_LOGIN_OTHER: Final = (
    (
        "tls",
        re.compile(r"SSL|certificate|TLS", re.IGNORECASE),
        "the server's TLS does not fit the URL",
        "mend sslmode or the certificate",
    ),
    (
        "url",
        re.compile(r"invalid (port|integer|connection option|sslmode)", re.IGNORECASE),
        "the URL holds a wrong option",
        "mend the source's URL",
    ),
)


def sqlstate_in(text: str) -> str | None:
    """Return the SQLSTATE that a message of ADBC names."""
    found = _STATE.search(text)
    return found.group(1) if found else None


def fault_of(sqlstate: str | None, where: str) -> OneDoorError:
    """Return the error for a SQLSTATE; None: the connection is gone.

    Args:
        sqlstate: five characters, or None.
        where: host, port, database, and table where there is one.
    """
    if sqlstate is None:
        return TransientError("the connection to the source was cut", code="source.cut", where=where, fault=Fault.PROVIDER)
    passing = _TRANSIENT.get(sqlstate) or _TRANSIENT_CLASSES.get(sqlstate[:2])
    known = _REJECTED.get(sqlstate) or passing or _REJECTED_CLASSES.get(sqlstate[:2]) or _OTHER
    kind = TransientError if known is passing else RejectedError
    code, message, remedy = known
    said = f"{message} [{sqlstate}]" if sqlstate else message
    return kind(said, code=f"source.{code}", where=where, remedy=remedy, fault=Fault.PROVIDER)


def login_fault(message: str, where: str) -> OneDoorError:
    """Return the error for what libpq said when it could not connect.

    Args:
        message: libpq's words, of which nothing is passed on.
        where: host, port and database.
    """
    for sqlstate, words in _LOGIN_WORDS:
        if words.search(message):
            return fault_of(sqlstate, where)
    for code, words, said, remedy in _LOGIN_OTHER:
        if words.search(message):
            return RejectedError(said, code=f"source.{code}", where=where, remedy=remedy, fault=Fault.PROVIDER)
    return TransientError(
        "the source does not answer",
        code="source.unreachable",
        where=where,
        remedy="look whether the server runs and host and port are right",
        fault=Fault.PROVIDER,
    )
