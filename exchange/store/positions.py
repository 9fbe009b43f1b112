"""Where a consumer is in each partition: kept beside the rows it wrote, so that both are committed or neither is."""

from __future__ import annotations

from exchange.bus.api import Positions, Topic
from exchange.store.database import Connection, connect, translated
from schemas.errors import DefectError


def positions(url: str, consumer: str) -> Positions:
    """Return the callback that tells a subscription where to start: the saved position, 0 for a partition never read.

    It opens a connection for each call: it is called when a partition is assigned, from whatever thread the bus uses.
    """

    def position(topic: Topic, partition: int) -> int:
        with translated(), connect(url, name="onedoor-positions") as connection:
            row = _saved(connection, consumer, topic.name, partition)
            if row is None:  # only then: an insert beside a position that another moves would wait for it
                connection.execute(
                    """INSERT INTO exchange.position (consumer, topic, topic_id, partition, next) VALUES (%s, %s, %s, %s, 0)
                       ON CONFLICT DO NOTHING""",
                    [consumer, topic.name, topic.id, partition],
                )
                row = _saved(connection, consumer, topic.name, partition)
        if row is None or row[0] != topic.id:
            raise DefectError(
                "the topic was made again since this position was saved",
                code="bus.topic_recreated",
                where=f"{topic.name}[{partition}]",
                remedy="set the position with `onedoor bus replay`, and collect in full",
            )
        return int(row[1])

    return position


def _saved(connection: Connection, consumer: str, topic: str, partition: int) -> tuple[str, int] | None:
    return connection.execute(
        "SELECT topic_id, next FROM exchange.position WHERE consumer = %s AND topic = %s AND partition = %s",
        [consumer, topic, partition],
    ).fetchone()


def advance(connection: Connection, consumer: str, topic: str, partition: int, *, expected: int, to: int) -> bool:
    """Move a position in the caller's transaction; False where it is not where it was expected: another member was ahead."""
    cursor = connection.execute(
        "UPDATE exchange.position SET next = %s WHERE consumer = %s AND topic = %s AND partition = %s AND next = %s",
        [to, consumer, topic, partition, expected],
    )
    return cursor.rowcount == 1


def free(connection: Connection, consumer: str, topic: str, partition: int) -> int:
    """End the sessions whose open transactions hold a position's row, and return how many there were.

    For a member that got the partition and waited for the row in vain: who holds it is frozen or lost, perhaps in the middle
    of a COPY, which no timeout of the server ends. Its transaction is rolled back, and it starts again.
    """
    return connection.execute(
        """SELECT pg_terminate_backend(l.pid) FROM exchange.position p
           JOIN pg_locks l ON l.locktype = 'transactionid' AND l.granted AND l.transactionid = p.xmax
           WHERE p.consumer = %s AND p.topic = %s AND p.partition = %s AND l.pid <> pg_backend_pid()""",
        [consumer, topic, partition],
    ).rowcount


def move(connection: Connection, consumer: str, topic: Topic, partition: int, to: int) -> int | None:
    """Set a position to an offset of the topic as it is now, for a replay; return the one before, None where there was none.

    A worker that reads the partition finds itself fenced with the next message, and starts again from here.
    """
    row = connection.execute(
        "SELECT next FROM exchange.position WHERE consumer = %s AND topic = %s AND partition = %s FOR UPDATE",
        [consumer, topic.name, partition],
    ).fetchone()
    connection.execute(
        """INSERT INTO exchange.position (consumer, topic, topic_id, partition, next) VALUES (%s, %s, %s, %s, %s)
           ON CONFLICT (consumer, topic, partition) DO UPDATE SET topic_id = excluded.topic_id, next = excluded.next""",
        [consumer, topic.name, topic.id, partition, to],
    )
    return None if row is None else int(row[0])
