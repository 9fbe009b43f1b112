"""The promises of ``exchange.bus.api``, kept by every bus; what each bus is on stands in ``profiles/bus_*.py``."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from time import monotonic

import psycopg
import pytest

from exchange.bus.api import Bus, Lag, Message, PartitionError, Received, Subscription, Topic, TopicPartition
from exchange.bus.dead_letter import dead_letter, revived
from exchange.bus.envelope import JSON
from schemas.errors import DefectError, RejectedError, TransientError
from schemas.resource import dead_letter_topic
from tests.conformance.landing import Member, Store, land_each, until
from tests.conformance.profiles.bus_profile import BusProfile

BUSES = ("memory", "postgres", "kafka")


@pytest.fixture(params=BUSES)
def profile(request: pytest.FixtureRequest, tmp_path: Path) -> BusProfile:
    made: BusProfile = import_module(f"tests.conformance.profiles.bus_{request.param}").profile(request, tmp_path)
    test = request.node.originalname
    if test in made.waived:
        request.applymarker(pytest.mark.xfail(reason=made.waived[test], strict=True))
    return made


@pytest.fixture
def bus(profile: BusProfile) -> Bus:
    return profile.open()


@pytest.fixture
def name() -> str:
    return f"onedoor.440205.t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def joined() -> Iterator[list[Subscription]]:
    """Subscriptions that are left at the end."""
    subscriptions: list[Subscription] = []
    yield subscriptions
    for subscription in subscriptions:
        subscription.close()


def messages(topic: str, texts: Sequence[str], partition: int = 0) -> list[Message]:
    return [Message(topic, partition, None, {"ce_id": text}, text.encode()) for text in texts]


def from_start(_: Topic, __: int) -> int:
    return 0


def take(subscription: Subscription, n: int, *, within_s: float = 20) -> list[Received]:
    """Poll until ``n`` messages came; no more may come."""
    got: list[Received] = []
    until(lambda: len(got) >= n, within_s=within_s, step=lambda: got.extend(subscription.poll(0.2)))
    assert len(got) == n
    return got


def texts(received: Sequence[Received]) -> list[str]:
    return [m.value.decode() for m in received]


def failure(subscription: Subscription, got: list[Received] | None = None, *, within_s: float = 20) -> PartitionError:
    """Poll until it fails for one partition; ``got``: what came from others before."""
    deadline = monotonic() + within_s
    while monotonic() < deadline:
        try:
            came = subscription.poll(0.2)
            if got is not None:
                got.extend(came)
        except PartitionError as error:
            return error
    raise AssertionError("poll did not fail")


# Topics


def test_a_topic_is_made_once_and_found_by_name(bus: Bus, name: str) -> None:
    assert bus.topic(name) is None
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: bus.ensure_topic(name, 3), range(4)))
    assert {topic.id for topic in made} == {made[0].id}
    assert bus.topic(name) == made[0] == Topic(name, made[0].id, 3)
    assert made[0] in bus.topics()


def test_a_topic_with_another_number_of_partitions_is_a_defect(bus: Bus, name: str) -> None:
    bus.ensure_topic(name, 2)
    with pytest.raises(DefectError) as caught:
        bus.ensure_topic(name, 3)
    assert caught.value.code == "bus.partitions"


def test_nothing_is_published_to_a_topic_that_is_not_there(bus: Bus, name: str) -> None:
    with pytest.raises(RejectedError) as caught:
        bus.publish(messages(name, ["a"]))
    assert caught.value.code == "bus.no_topic"
    bus.ensure_topic(name, 1)
    with pytest.raises(RejectedError) as caught:
        bus.publish(messages(name, ["a"], partition=1))
    assert caught.value.code == "bus.no_topic"
    for ask in (lambda: bus.backlog("g", name + "x"), lambda: bus.backlog_bytes(name + "x")):
        with pytest.raises(RejectedError) as caught:
            ask()
        assert caught.value.code == "bus.no_topic"


# Publishing and reading


def test_a_message_comes_back_as_it_was_published(bus: Bus, name: str) -> None:
    bus.ensure_topic(name)
    sent = [
        Message(name, 0, b"\x00key", {"ce_id": "1", "ce_subject": "曲江区 “一门”", "content-type": JSON}, b"\x00\xff{}"),
        Message(name, 0, None, {"ce_id": "2"}, b""),
    ]
    assert bus.publish(sent) == [0, 1]
    assert bus.publish([]) == []
    got = bus.read(TopicPartition(name, 0), 0)
    assert [(m.topic, m.partition, m.key, dict(m.headers), m.value) for m in got] == [
        (m.topic, m.partition, m.key, dict(m.headers), m.value) for m in sent
    ]
    assert [m.offset for m in got] == [0, 1]


def test_one_call_publishes_to_several_partitions_each_in_order(bus: Bus, name: str) -> None:
    bus.ensure_topic(name, 2)
    sent = [Message(name, n % 2, None, {}, str(n).encode()) for n in range(10)]
    assert bus.publish(sent) == [n // 2 for n in range(10)]
    for partition in (0, 1):
        assert texts(bus.read(TopicPartition(name, partition), 0)) == [str(n) for n in range(partition, 10, 2)]


def test_a_reader_beside_eight_writers_misses_nothing_the_trap_of_serial_numbers(
    profile: BusProfile, bus: Bus, name: str, joined: list[Subscription]
) -> None:
    writers, rounds, batch = 8, 10, 4
    bus.ensure_topic(name)
    buses = [profile.open() for _ in range(writers)]
    subscription = bus.subscribe(f"g-{name}", [name], from_start, member="reader")
    joined.append(subscription)

    def write(writer: int) -> list[int]:
        offsets = []
        for n in range(rounds):
            offsets += buses[writer].publish(messages(name, [f"{writer}/{n}/{k}" for k in range(batch)]))
        return offsets

    with ThreadPoolExecutor(writers) as pool:
        given = [pool.submit(write, writer) for writer in range(writers)]
        got = take(subscription, writers * rounds * batch, within_s=60)  # beside them, not after them
    assert [m.offset for m in got] == list(range(writers * rounds * batch))
    assert sorted(offset for future in given for offset in future.result()) == list(range(writers * rounds * batch))
    for writer in range(writers):  # each writer's own order
        own = [text for text in texts(got) if text.startswith(f"{writer}/")]
        assert own == [f"{writer}/{n}/{k}" for n in range(rounds) for k in range(batch)]


def test_messages_of_900_kib_pass_and_larger_ones_are_refused_whole(bus: Bus, name: str, joined: list[Subscription]) -> None:
    bus.ensure_topic(name)
    limit = bus.capabilities.max_message_bytes
    assert limit == 900 * 1024
    large = bytes(range(256)) * (limit // 256)
    assert bus.publish([Message(name, 0, None, {}, large)] * 5) == [0, 1, 2, 3, 4]
    with pytest.raises(RejectedError) as caught:
        bus.publish([Message(name, 0, None, {}, b"small"), Message(name, 0, None, {}, large + b"x")])
    assert caught.value.code == "bus.too_large"
    subscription = bus.subscribe(f"g-{name}", [name], from_start, member="m")
    joined.append(subscription)
    assert [m.value for m in take(subscription, 5)] == [large] * 5
    assert subscription.poll(0) == []
    assert bus.read(TopicPartition(name, 0), 5) == []


def test_a_poll_returns_no_more_bytes_than_asked_but_always_one_message(
    bus: Bus, name: str, joined: list[Subscription]
) -> None:
    bus.ensure_topic(name, 2)
    body = b"x" * 100_000
    for partition in (0, 1):
        bus.publish([Message(name, partition, None, {}, body)] * 6)
    subscription = bus.subscribe(f"g-{name}", [name], from_start, member="m")
    joined.append(subscription)
    got: list[Received] = []
    sizes: list[int] = []

    def step() -> None:
        batch = subscription.poll(0.2, max_bytes=250_000)
        sizes.append(len(batch))
        got.extend(batch)

    until(lambda: len(got) == 12, within_s=20, step=step)
    assert max(sizes) == 2
    for partition in (0, 1):
        assert [m.offset for m in got if m.partition == partition] == list(range(6))
    bus.publish([Message(name, 0, None, {}, body)] * 2)
    until(lambda: len(got) == 13, within_s=20, step=lambda: got.extend(subscription.poll(0.2, max_bytes=10)))
    assert len(subscription.poll(5, max_bytes=10)) == 1


def test_reading_from_an_offset_replays_and_beyond_the_range_is_a_defect(profile: BusProfile, bus: Bus, name: str) -> None:
    bus.ensure_topic(name)
    place = TopicPartition(name, 0)
    bus.publish(messages(name, list("abcdef")))
    assert texts(bus.read(place, 2, 3)) == ["c", "d", "e"]
    assert texts(bus.read(place, 2)) == ["c", "d", "e", "f"]
    assert bus.read(place, 6) == []
    profile.drop_before(place, 3)
    assert texts(bus.read(place, 3)) == ["d", "e", "f"]
    for offset in (2, 7):
        with pytest.raises(PartitionError) as caught:
            bus.read(place, offset)
        assert (caught.value.code, caught.value.place) == ("bus.out_of_range", place)


# Groups


def test_every_group_gets_everything(bus: Bus, name: str, joined: list[Subscription]) -> None:
    bus.ensure_topic(name)
    bus.publish(messages(name, list("abc")))
    for group in ("landing", "lake"):
        subscription = bus.subscribe(f"{group}-{name}", [name], from_start, member="m")
        joined.append(subscription)
        assert texts(take(subscription, 3)) == list("abc")


def test_a_member_starts_where_its_positions_say(bus: Bus, name: str, joined: list[Subscription]) -> None:
    topic = bus.ensure_topic(name, 2)
    for partition in (0, 1):
        bus.publish(messages(name, list("abcd"), partition))
    asked: list[tuple[Topic, int]] = []

    def positions(of: Topic, partition: int) -> int:
        asked.append((of, partition))
        return 1 + partition

    subscription = bus.subscribe(f"g-{name}", [name], positions, member="m")
    joined.append(subscription)
    got = take(subscription, 5)
    assert [m.offset for m in got if m.partition == 0] == [1, 2, 3]
    assert [m.offset for m in got if m.partition == 1] == [2, 3]
    assert sorted(asked, key=lambda a: a[1]) == [(topic, 0), (topic, 1)]


def test_a_topic_made_after_the_subscription_is_read(bus: Bus, name: str, joined: list[Subscription]) -> None:
    subscription = bus.subscribe(f"g-{name}", [name], from_start, member="m")
    joined.append(subscription)
    assert subscription.poll(0.2) == []
    bus.ensure_topic(name)
    bus.publish(messages(name, ["a"]))
    assert texts(take(subscription, 1)) == ["a"]


def test_members_share_the_partitions_of_a_topic(profile: BusProfile, name: str) -> None:
    one, two = profile.open(), profile.open()
    one.ensure_topic(name, 4)
    first = Member(one.subscribe(f"g-{name}", [name], profile.store.position, member="one"), profile.store)
    second = Member(two.subscribe(f"g-{name}", [name], profile.store.position, member="two"), profile.store)
    until(lambda: (len(first.held) == 2 == len(second.held)) or first.error or second.error, within_s=profile.move_s)
    assert first.held | second.held == {TopicPartition(name, n) for n in range(4)}
    for partition in range(4):
        one.publish(messages(name, list("ab"), partition))
    until(lambda: len(profile.store.rows(name)) == 8, within_s=20)
    first.stop()
    second.stop()


def test_partitions_move_to_a_new_member_and_back_while_every_row_lands_once(profile: BusProfile, name: str) -> None:
    bus, other = profile.open(), profile.open()
    bus.ensure_topic(name, 4)
    stop = threading.Event()
    sent = [0] * 4

    def write() -> None:
        while not stop.wait(0.01):
            for partition in range(4):
                bus.publish(messages(name, [f"{partition}:{sent[partition]}"], partition))
                sent[partition] += 1

    first = Member(bus.subscribe(f"g-{name}", [name], profile.store.position, member="one"), profile.store)
    until(lambda: len(first.held) == 4, within_s=profile.move_s)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            second = Member(other.subscribe(f"g-{name}", [name], profile.store.position, member="two"), profile.store)
            until(lambda: len(second.held) == 2 and len(first.held) == 2, within_s=profile.move_s)
            second.stop()
            until(lambda: len(first.held) == 4, within_s=profile.move_s)
        finally:
            stop.set()
        writing.result()
    until(lambda: len(profile.store.rows(name)) >= sum(sent) or first.error, within_s=20)
    first.stop()
    assert profile.store.rows(name) == [(p, n, f"{p}:{n}") for p in range(4) for n in range(sent[p])]


def test_who_leaves_hands_over_at_once(profile: BusProfile, name: str, joined: list[Subscription]) -> None:
    bus, other = profile.open(), profile.open()
    bus.ensure_topic(name, 2)
    leaving = bus.subscribe(f"g-{name}", [name], from_start, member="leaving")
    staying = other.subscribe(f"g-{name}", [name], from_start, member="staying")
    joined.append(staying)

    def both() -> None:
        leaving.poll(0.05)
        staying.poll(0.05)

    until(lambda: len(leaving.assigned()) == 1 == len(staying.assigned()), within_s=profile.move_s, step=both)
    leaving.close()
    assert leaving.assigned() == frozenset()
    until(lambda: len(staying.assigned()) == 2, within_s=profile.move_s, step=lambda: staying.poll(0.05))


def test_partitions_of_a_dead_member_move_and_no_row_is_landed_twice(profile: BusProfile, name: str) -> None:
    bus, other = profile.open(), profile.open()
    bus.ensure_topic(name, 2)
    for partition in (0, 1):
        bus.publish(messages(name, [f"{partition}:{n}" for n in range(20)], partition))
    dying = Member(bus.subscribe(f"g-{name}", [name], profile.store.position, member="dying"), profile.store)
    until(lambda: len(profile.store.rows(name)) == 40, within_s=20)
    dying.stop(leave=False)
    profile.kill(bus, dying.subscription)
    for partition in (0, 1):
        other.publish(messages(name, [f"{partition}:{n}" for n in range(20, 40)], partition))
    heir = Member(other.subscribe(f"g-{name}", [name], profile.store.position, member="heir"), profile.store)
    until(lambda: len(profile.store.rows(name)) >= 80 or heir.error, within_s=3 * profile.lease_s + profile.move_s)
    heir.stop()
    assert profile.store.rows(name) == [(p, n, f"{p}:{n}") for p in (0, 1) for n in range(40)]


def test_a_member_frozen_inside_its_landing_is_fenced_after_another_took_over(profile: BusProfile, name: str) -> None:
    bus, other = profile.open(max_hold_s=profile.lease_s), profile.open(max_hold_s=profile.lease_s)
    bus.ensure_topic(name)
    bus.publish(messages(name, [str(n) for n in range(50)]))
    frozen_at, thaw = threading.Event(), threading.Event()

    frozen = bus.subscribe(f"g-{name}", [name], profile.store.position, member="frozen")
    batch = list(frozen.poll(20))
    assert batch

    def freeze() -> None:
        frozen_at.set()
        assert thaw.wait(60)

    with ThreadPoolExecutor(1) as pool:
        fenced: list[bool] = []
        if profile.store.shares_writes:
            landing = pool.submit(land_each, frozen, batch, profile.store, freeze, lambda: fenced.append(True))
        else:  # a store whose writers lock each other out: frozen just before the transaction
            landing = pool.submit(land_frozen, frozen, batch, profile.store, freeze, lambda: fenced.append(True))
        assert frozen_at.wait(20)
        heir = Member(other.subscribe(f"g-{name}", [name], profile.store.position, member="heir"), profile.store)
        until(lambda: len(profile.store.rows(name)) == 50 or heir.error, within_s=4 * profile.lease_s + profile.move_s)
        thaw.set()
        landing.result(timeout=60)
    assert fenced == [True]
    frozen.saved(TopicPartition(name, 0), 1)  # too late, and harmless
    bus.publish(messages(name, ["50"]))
    until(
        lambda: len(profile.store.rows(name)) == 51 or heir.error,
        within_s=4 * profile.lease_s + profile.move_s,
        step=lambda: land_each(frozen, frozen.poll(0.1), profile.store),
    )
    heir.stop()
    frozen.close()
    assert profile.store.rows(name) == [(0, n, str(n)) for n in range(51)]


def land_frozen(
    subscription: Subscription,
    batch: Sequence[Received],
    store: Store,
    freeze: Callable[[], None],
    fenced: Callable[[], None],
) -> None:
    freeze()
    land_each(subscription, batch, store, fenced=fenced)


def test_what_is_given_up_comes_again_from_the_saved_position(bus: Bus, name: str, joined: list[Subscription]) -> None:
    bus.ensure_topic(name)
    bus.publish(messages(name, list("abcdef")))
    place = TopicPartition(name, 0)
    saved = 0
    subscription = bus.subscribe(f"g-{name}", [name], lambda _, __: saved, member="m")
    joined.append(subscription)
    assert texts(take(subscription, 6)) == list("abcdef")
    subscription.give_up(place)
    assert texts(take(subscription, 6)) == list("abcdef")
    saved = 4
    subscription.give_up(place)
    assert texts(take(subscription, 2)) == ["e", "f"]


def test_a_paused_partition_waits_and_stays(bus: Bus, name: str, joined: list[Subscription]) -> None:
    bus.ensure_topic(name, 2)
    subscription = bus.subscribe(f"g-{name}", [name], from_start, member="m")
    joined.append(subscription)
    until(lambda: len(subscription.assigned()) == 2, within_s=20, step=lambda: subscription.poll(0.1))
    subscription.pause(TopicPartition(name, 0))
    for partition in (0, 1):
        bus.publish(messages(name, [str(partition)], partition))
    assert texts(take(subscription, 1)) == ["1"]
    assert subscription.poll(0.3) == []
    assert len(subscription.assigned()) == 2
    subscription.resume(TopicPartition(name, 0))
    assert texts(take(subscription, 1)) == ["0"]


def test_the_backlog_is_what_was_not_saved(bus: Bus, name: str, joined: list[Subscription]) -> None:
    bus.ensure_topic(name, 2)
    assert [lag.messages for lag in bus.backlog(f"g-{name}", name)] == [0, 0]
    assert bus.backlog_bytes(name) == 0
    bus.publish(messages(name, list("abcd"), 0) + messages(name, list("xy"), 1))
    assert bus.backlog(f"g-{name}", name) == [Lag(0, 0, 4), Lag(1, 0, 2)]
    assert bus.backlog_bytes(name) >= 6
    subscription = bus.subscribe(f"g-{name}", [name], from_start, member="m")
    joined.append(subscription)
    take(subscription, 6)
    assert [lag.messages for lag in bus.backlog(f"g-{name}", name)] == [4, 2]
    subscription.saved(TopicPartition(name, 0), 3)
    subscription.saved(TopicPartition(name, 1), 2)
    until(lambda: [lag.messages for lag in bus.backlog(f"g-{name}", name)] == [1, 0], within_s=10)
    assert [lag.messages for lag in bus.backlog(f"other-{name}", name)] == [4, 2]


# What must stop a reader


def test_a_position_out_of_range_stops_its_partition_and_never_jumps(
    profile: BusProfile, bus: Bus, name: str, joined: list[Subscription]
) -> None:
    bus.ensure_topic(name, 2)
    for partition in (0, 1):
        bus.publish(messages(name, list("abcd"), partition))
    profile.drop_before(TopicPartition(name, 0), 2)
    subscription = bus.subscribe(f"g-{name}", [name], lambda _, partition: 1, member="m")
    joined.append(subscription)
    got: list[Received] = []
    caught = failure(subscription, got)
    assert (caught.code, caught.place) == ("bus.out_of_range", TopicPartition(name, 0))
    assert failure(subscription, got).code == "bus.out_of_range"
    subscription.pause(TopicPartition(name, 0))
    until(lambda: len(got) == 3, within_s=20, step=lambda: got.extend(subscription.poll(0.2)))
    assert [(m.partition, m.value) for m in got] == [(1, b"b"), (1, b"c"), (1, b"d")]


def test_a_position_ahead_of_the_end_stops_its_partition(bus: Bus, name: str, joined: list[Subscription]) -> None:
    bus.ensure_topic(name)
    bus.publish(messages(name, list("ab")))
    subscription = bus.subscribe(f"g-{name}", [name], lambda _, __: 5, member="m")
    joined.append(subscription)
    assert failure(subscription).code == "bus.out_of_range"


def test_a_topic_made_again_stops_its_readers(profile: BusProfile, bus: Bus, name: str, joined: list[Subscription]) -> None:
    topic = bus.ensure_topic(name)
    bus.publish(messages(name, list("abc")))
    store = profile.store
    reader = bus.subscribe(f"g-{name}", [name], store.position, member="m")
    joined.append(reader)
    land_each(reader, take(reader, 3), store)
    profile.make_again(topic)
    again = bus.topic(name)
    assert again is not None
    assert again.id != topic.id
    bus.publish(messages(name, list("vwxyz")))
    caught = failure(reader, within_s=40)
    assert (caught.code, caught.place) == ("bus.topic_recreated", TopicPartition(name, 0))
    reader.close()
    restarted = bus.subscribe(f"g-{name}", [name], store.position, member="m")
    joined.append(restarted)
    caught = failure(restarted)
    assert (caught.code, caught.place) == ("bus.topic_recreated", TopicPartition(name, 0))
    assert [body for _, _, body in store.rows(name)] == list("abc")


# Dead letters


def test_a_dead_letter_says_where_it_came_from_and_can_be_published_again(
    bus: Bus, name: str, joined: list[Subscription]
) -> None:
    bus.ensure_topic(name, 2)
    bus.ensure_topic(dead_letter_topic(name))
    bus.publish(messages(name, ["good", "poison"], 1))
    poison = bus.read(TopicPartition(name, 1), 1)[0]
    bus.publish([dead_letter(poison, RejectedError("not an Arrow stream", code="land.arrow"), group="landing")])
    letter = bus.read(TopicPartition(dead_letter_topic(name), 0), 0)[0]
    assert letter.value == b"poison"
    assert letter.headers["ce_id"] == "poison"
    assert letter.headers["dlq_topic"] == name
    assert (letter.headers["dlq_partition"], letter.headers["dlq_offset"]) == ("1", "1")
    assert (letter.headers["dlq_code"], letter.headers["dlq_group"]) == ("land.arrow", "landing")
    assert bus.publish([revived(letter)]) == [2]
    again = bus.read(TopicPartition(name, 1), 2)[0]
    assert (again.value, dict(again.headers)) == (poison.value, dict(poison.headers))


# Transactions


def test_messages_of_a_transaction_are_seen_with_it_or_never(bus: Bus, name: str, hub_db: str) -> None:
    bus.ensure_topic(name)
    place = TopicPartition(name, 0)
    with psycopg.connect(hub_db) as connection:
        if not bus.capabilities.joins_transaction:
            with pytest.raises(DefectError) as caught:
                bus.publish(messages(name, ["a"]), within=connection)
            assert caught.value.code == "bus.within"
            assert bus.read(place, 0) == []
            return
        assert bus.publish(messages(name, ["lost"]), within=connection) == [0]
        assert bus.read(place, 0) == []
        connection.rollback()
        assert bus.read(place, 0) == []
        connection.execute("CREATE TABLE public.beside (n int)")
        assert bus.publish(messages(name, ["kept"]), within=connection) == [0]
        connection.commit()
    assert texts(bus.read(place, 0)) == ["kept"]


# Away


def test_while_the_bus_is_away_a_later_try_is_offered_and_succeeds_when_it_is_back(profile: BusProfile, name: str) -> None:
    outage = profile.outage()
    bus = outage.bus
    bus.ensure_topic(name)
    bus.publish(messages(name, ["before"]))
    subscription = bus.subscribe(f"g-{name}", [name], from_start, member="m")
    assert texts(take(subscription, 1)) == ["before"]
    outage.begin()
    try:
        started = monotonic()
        with pytest.raises(TransientError):
            bus.publish(messages(name, ["during"]))
        with pytest.raises(TransientError):
            bus.read(TopicPartition(name, 0), 0)
        with pytest.raises(TransientError):
            until(lambda: False, within_s=30, step=lambda: subscription.poll(0.2))
        assert monotonic() - started < 60
    finally:
        outage.end()
    sent: list[int] = []

    def try_again() -> None:
        with suppress(TransientError):
            sent.extend(bus.publish(messages(name, ["after"])))

    until(lambda: sent, within_s=60, step=try_again)
    got: list[Received] = []

    def poll_again() -> None:
        with suppress(TransientError):
            got.extend(subscription.poll(0.2))

    until(lambda: "after" in texts(got), within_s=60, step=poll_again)
    assert [m.offset for m in got] == list(range(1, 1 + len(got)))
    subscription.close()
