"""What only the bus on PostgreSQL has to promise: retention by days, locks, its own outages."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from exchange.bus.api import Message, PartitionError, Received, TopicPartition
from exchange.bus.postgres import PostgresBus
from exchange.bus.postgres_days import turn_days
from exchange.bus.postgres_log import told
from schemas.clock import FakeClock
from schemas.errors import DefectError, RejectedError, TransientError
from tests.conformance.landing import until

TOPIC = "onedoor.440205.licences"
PLACE = TopicPartition(TOPIC, 0)


@pytest.fixture
def bus(hub_db: str, clock: FakeClock) -> Iterator[PostgresBus]:
    made = PostgresBus(hub_db, clock, lease_s=1.0)
    made.ensure_topic(TOPIC)
    yield made
    made.close()


def say(*texts: str) -> list[Message]:
    return [Message(TOPIC, 0, None, {}, text.encode()) for text in texts]


def tables(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'bus.message'::regclass"
        ).fetchall()
        counted = connection.execute("SELECT tableoid::regclass::text, count(*) FROM bus.message GROUP BY 1").fetchall()
    return {name: dict(counted).get(f"bus.{name}", 0) for (name,) in names}


# Retention


def test_messages_of_a_day_stand_in_its_table_and_leave_with_it(bus: PostgresBus, hub_db: str, clock: FakeClock) -> None:
    bus.maintain(clock.now(), keep_days=2)
    bus.publish(say("first day"))
    clock.advance(timedelta(days=1))
    bus.publish(say("second day", "second day"))
    assert tables(hub_db)["message_20261102"] == 1
    assert tables(hub_db)["message_20261103"] == 2
    assert bus.backlog_bytes(TOPIC) == 29
    clock.advance(timedelta(days=2))
    assert bus.maintain(clock.now(), keep_days=2) == ["bus.message_20261102"]
    assert "message_20261102" not in tables(hub_db)
    assert [m.offset for m in bus.read(PLACE, 1)] == [1, 2]
    assert bus.backlog_bytes(TOPIC) == 20
    with pytest.raises(PartitionError) as caught:
        bus.read(PLACE, 0)
    assert caught.value.code == "bus.out_of_range"
    assert bus.maintain(clock.now(), keep_days=2) == []


def test_a_message_that_is_published_while_its_day_is_made_stands_in_that_days_table(
    bus: PostgresBus, hub_db: str, clock: FakeClock
) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'bus.message_default'::regclass"
    with ThreadPoolExecutor(1) as threads, psycopg.connect(hub_db) as making, psycopg.connect(hub_db, autocommit=True) as looks:
        making.execute("LOCK TABLE bus.message_default IN ACCESS EXCLUSIVE MODE")
        published = threads.submit(bus.publish, say("first of its day"))
        until(lambda: looks.execute(waiting).fetchone() == (1,), within_s=30)
        turn_days(making, clock.now(), keep_days=2, ahead_days=0)
        making.commit()
        assert published.result(30) == [0]
    assert tables(hub_db)["message_20261102"] == 1
    assert [m.value for m in bus.read(PLACE, 0)] == [b"first of its day"]


def test_a_reader_that_was_away_longer_than_messages_are_kept_stops(bus: PostgresBus, clock: FakeClock) -> None:
    bus.maintain(clock.now(), keep_days=1)
    bus.publish(say("a", "b"))
    subscription = bus.subscribe("g", [TOPIC], lambda _, __: 1, member="m")
    got: list[Received] = []
    until(lambda: got, within_s=10, step=lambda: got.extend(subscription.poll(0.1)))
    subscription.give_up(PLACE)
    clock.advance(timedelta(days=3))
    bus.publish(say("c"))
    assert bus.maintain(clock.now(), keep_days=1) == ["bus.message_20261102", "bus.message_20261103"]
    with pytest.raises(PartitionError) as caught:
        until(lambda: False, within_s=10, step=lambda: subscription.poll(0.1))
    assert (caught.value.code, caught.value.place) == ("bus.out_of_range", PLACE)
    subscription.close()


def test_messages_that_came_before_a_day_had_a_table_stay_readable_until_they_are_old(
    bus: PostgresBus, hub_db: str, clock: FakeClock
) -> None:
    bus.publish(say("early"))
    assert bus.maintain(clock.now(), keep_days=2) == []
    bus.publish(say("same day"))
    assert tables(hub_db)["message_default"] == 2
    clock.advance(timedelta(days=1))
    bus.publish(say("next day"))
    assert [m.value for m in bus.read(PLACE, 0)] == [b"early", b"same day", b"next day"]
    clock.advance(timedelta(days=2))
    assert bus.maintain(clock.now(), keep_days=2) == ["bus.message_default"]
    assert [m.value for m in bus.read(PLACE, 2)] == [b"next day"]


def test_days_turn_beside_publishers(bus: PostgresBus, clock: FakeClock) -> None:
    def publish(_: int) -> list[int]:
        return bus.publish(say("x"))

    with ThreadPoolExecutor(4) as pool:
        offsets = pool.map(publish, range(80))
        for _ in range(5):
            clock.advance(timedelta(days=1))
            bus.maintain(clock.now(), keep_days=3)
    assert sorted(offset for given in offsets for offset in given) == list(range(80))
    lag = bus.backlog("g", TOPIC)[0]
    assert [m.offset for m in bus.read(PLACE, lag.position)] == list(range(lag.position, 80))


def test_retention_waits_for_no_long_reader(bus: PostgresBus, hub_db: str, clock: FakeClock) -> None:
    bus.maintain(clock.now(), keep_days=1)
    bus.publish(say("a"))
    clock.advance(timedelta(days=3))
    with psycopg.connect(hub_db) as reader:
        reader.execute("SELECT count(*) FROM bus.message")
        with pytest.raises(TransientError):
            bus.maintain(clock.now(), keep_days=1)
        assert bus.publish(say("b")) == [1]
    assert "bus.message_20261102" in bus.maintain(clock.now(), keep_days=1)


# Transactions


def test_offsets_follow_commits_where_one_publisher_waits_for_another(bus: PostgresBus, hub_db: str) -> None:
    with psycopg.connect(hub_db) as slow, ThreadPoolExecutor(1) as pool:
        assert bus.publish(say("slow"), within=slow) == [0]
        fast = pool.submit(bus.publish, say("fast"))
        assert bus.read(PLACE, 0) == []
        assert not fast.done()
        slow.commit()
        assert fast.result(timeout=20) == [1]
    assert [m.value for m in bus.read(PLACE, 0)] == [b"slow", b"fast"]


def test_a_transaction_that_failed_leaves_no_gap(bus: PostgresBus, hub_db: str) -> None:
    with psycopg.connect(hub_db) as connection:
        bus.publish(say("lost", "lost"), within=connection)
        connection.rollback()
    with psycopg.connect(hub_db) as connection:
        with pytest.raises(RejectedError):
            bus.publish([*say("x"), Message("z.nowhere", 0, None, {}, b"")], within=connection)
        connection.rollback()
    assert bus.publish(say("kept")) == [0]


def test_publishers_of_the_same_partitions_in_another_order_do_not_lock_each_other_out(bus: PostgresBus) -> None:
    other = "onedoor.440205.items"
    bus.ensure_topic(other)

    def publish(n: int) -> list[int]:
        both = [Message(TOPIC, 0, None, {}, b"x"), Message(other, 0, None, {}, b"y")]
        return bus.publish(both if n % 2 else both[::-1])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish, range(80)))
    assert [m.offset for m in bus.read(PLACE, 0)] == list(range(80))


# Places and outages


def test_a_database_that_is_not_migrated_says_so(empty_db: str, clock: FakeClock) -> None:
    bus = PostgresBus(empty_db, clock)
    with pytest.raises(DefectError) as caught:
        bus.topics()
    assert caught.value.code == "bus.database"
    assert "migrations" in str(caught.value)
    bus.close()


def test_a_member_holds_its_partitions_while_it_works_longer_than_its_lease(bus: PostgresBus, hub_db: str) -> None:
    bus.publish(say("a"))
    at_work = bus.subscribe("g", [TOPIC], lambda _, __: 0, member="at work")
    until(lambda: at_work.assigned(), within_s=10, step=lambda: at_work.poll(0.1))
    waiting = bus.subscribe("g", [TOPIC], lambda _, __: 0, member="waiting")
    with psycopg.connect(hub_db, autocommit=True) as connection:

        def epoch_and_end() -> tuple[int, object]:
            row = connection.execute("SELECT epoch, expires_at FROM bus.lease WHERE \"group\" = 'g'").fetchone()
            assert row is not None
            return row

        epoch, end = epoch_and_end()
        ends = {end}
        # Three more leases pass: nobody polls for the one at work, and its bus renews beside it.
        until(lambda: len(ends) > 6, within_s=20, step=lambda: (waiting.poll(0.1), ends.add(epoch_and_end()[1])))
        assert epoch_and_end()[0] == epoch
    assert waiting.assigned() == frozenset()
    at_work.close()
    until(lambda: waiting.assigned(), within_s=10, step=lambda: waiting.poll(0.1))
    waiting.close()


def test_a_connection_that_was_cut_is_replaced(bus: PostgresBus, superuser_url: str) -> None:
    bus.publish(say("a"))
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'onedoor bus'")
    sent: list[int] = []
    failures: list[str] = []

    def again() -> None:
        try:
            sent.extend(bus.publish(say("b")))
        except TransientError as error:
            failures.append(error.code)

    until(lambda: sent, within_s=10, step=again)
    assert set(failures) <= {"bus.away"}
    assert sent == [1]


@pytest.mark.parametrize("limit", ["idle_in_transaction_session_timeout", "transaction_timeout"])
def test_a_session_that_the_server_ended_for_its_time_may_be_tried_again(bus: PostgresBus, limit: str) -> None:
    connection = bus.connect()
    connection.execute(f"SET {limit} = '20ms'")
    connection.execute("BEGIN")
    select.select([connection.fileno()], [], [], 20)  # the server has said that it ended the session
    with pytest.raises(TransientError) as caught, told("testing"):
        connection.execute("SELECT 1")
    assert caught.value.code == "bus.away"
    connection.close()


def test_a_connection_whose_other_end_is_silently_gone_is_given_up_after_a_minute(bus: PostgresBus) -> None:
    connection = bus.connect()
    with socket.socket(fileno=os.dup(connection.fileno())) as seen:
        options = [
            seen.getsockopt(socket.IPPROTO_TCP, o) for o in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        ]
        assert seen.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert (options, seen.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)) == ([30, 10, 3], 60_000)
    connection.close()


def test_where_no_server_answers_the_bus_is_away(clock: FakeClock) -> None:
    bus = PostgresBus("postgresql://nobody:never-shown@127.0.0.1:1/none", clock)
    with pytest.raises(TransientError) as caught:
        bus.publish(say("a"))
    assert caught.value.code == "bus.away"
    assert "never-shown" not in f"{caught.value!r} {caught.value}"
    bus.close()
