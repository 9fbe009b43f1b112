"""Retention of the bus in PostgreSQL: one table a day, made ahead, dropped when old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg import sql

from exchange.bus.api import Connection

_DAYS: Final = """
    SELECT 'bus.' || c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'bus.message'::regclass"""
_HELD: Final = 'SELECT topic_id, partition, max("offset") + 1, sum(octet_length(value)) FROM {} GROUP BY 1, 2'
_LOCK: Final = """
    SELECT 1 FROM bus.partition p JOIN bus.topic t ON t.id = p.topic_id
    ORDER BY t.name COLLATE "C", p.partition FOR UPDATE OF p"""
_MOVE: Final = """
    UPDATE bus.partition SET first = greatest(first, %s), bytes = greatest(0, bytes - %s)
    WHERE topic_id = %s AND partition = %s"""
_DEFAULT: Final = "bus.message_default"


def turn_days(connection: Connection, now: datetime, *, keep_days: int, ahead_days: int) -> list[str]:
    """Make the tables of the coming days, drop those older than ``keep_days``; return the names of the dropped."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    horizon = today - timedelta(days=keep_days)
    dropped: list[str] = []
    names = {row[0] for row in connection.execute(_DAYS)}
    for day in (today + timedelta(days=n) for n in range(ahead_days + 1)):
        if _day_table(day) not in names:
            _make_day(connection, day)
    for name in sorted(n for n in names if n != _DEFAULT and n < _day_table(horizon)):
        _drop_day(connection, name)
        dropped.append(name)
    newest = connection.execute("SELECT max(at) FROM bus.message_default").fetchone()
    if newest and newest[0] and newest[0] < horizon:
        _drop_day(connection, _DEFAULT)
        dropped.append(_DEFAULT)
    return dropped


def _day_table(day: datetime) -> str:
    return f"bus.message_{day:%Y%m%d}"


def _make_day(connection: Connection, day: datetime) -> None:
    table = sql.Identifier(*_day_table(day).split("."))
    upto = day + timedelta(days=1)
    with connection.transaction():
        connection.execute("LOCK TABLE bus.message_default IN ACCESS EXCLUSIVE MODE")
        of_day = "SELECT 1 FROM bus.message_default WHERE at >= %s AND at < %s LIMIT 1"
        if connection.execute(of_day, (day, upto)).fetchone() is not None:
            return  # this day's messages stay where they are
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE bus.message INCLUDING STORAGE)").format(table))
        connection.execute(
            sql.SQL("ALTER TABLE bus.message ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                table, sql.Literal(day), sql.Literal(upto)
            )
        )


def _drop_day(connection: Connection, name: str) -> None:
    table = sql.Identifier(*name.split("."))
    with connection.transaction(), connection.cursor() as cursor:
        # Rows first, in the publishers' order, then the table: nobody waits for one that waits for us.
        cursor.execute(_LOCK)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
        held = connection.execute(sql.SQL(_HELD).format(table)).fetchall()  # now: who waited had taken its instant before
        cursor.executemany(_MOVE, [(first, size, topic, partition) for topic, partition, first, size in held])
        if name == _DEFAULT:
            connection.execute(sql.SQL("TRUNCATE {}").format(table))
        else:
            connection.execute(sql.SQL("ALTER TABLE bus.message DETACH PARTITION {}").format(table))
            connection.execute(sql.SQL("DROP TABLE {}").format(table))
