"""The bus on a real Apache Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.local import kafka as local_kafka
from exchange.bus.api import Bus, Subscription, Topic, TopicPartition
from exchange.bus.kafka import MIN_LEASE_S, KafkaBus, KafkaSubscription
from tests.conformance.landing import SqliteStore, until
from tests.conformance.profiles.bus_profile import BusProfile, Outage


def profile(request: pytest.FixtureRequest, tmp_path: Path) -> BusProfile:
    from kafka import KafkaAdminClient
    from kafka.structs import TopicPartition as KafkaPartition

    servers: str = request.getfixturevalue("kafka_servers")

    def open_bus(*, max_hold_s: float = 300.0, at: str = servers, timeout_s: float = 10.0) -> KafkaBus:
        bus = KafkaBus(at, client_id="onedoor-tests", lease_s=MIN_LEASE_S, max_hold_s=max_hold_s, timeout_s=timeout_s)
        request.addfinalizer(bus.close)
        return bus

    def kill(bus: Bus, subscription: Subscription) -> None:
        """What the broker sees of a dead process: it is silent."""
        assert isinstance(bus, KafkaBus)
        assert isinstance(subscription, KafkaSubscription)
        bus.forget(subscription)
        subscription._consumer._net.stop(timeout_ms=5000)

    def make_again(topic: Topic) -> None:
        admin = KafkaAdminClient(bootstrap_servers=servers)
        bus = open_bus()
        admin.delete_topics([topic.name])
        until(lambda: bus.topic(topic.name) is None, within_s=20)
        bus.ensure_topic(topic.name, topic.partitions)
        admin.close()

    def drop_before(place: TopicPartition, offset: int) -> None:
        admin = KafkaAdminClient(bootstrap_servers=servers)
        admin.delete_records({KafkaPartition(place.topic, place.partition): offset})
        admin.close()

    def outage() -> Outage:
        data = tmp_path / "kafka"
        request.addfinalizer(lambda: local_kafka.stop(data))
        at = local_kafka.start(data)
        return Outage(open_bus(at=at, timeout_s=4.0), lambda: local_kafka.stop(data), lambda: local_kafka.start(data) and None)

    return BusProfile(
        name="kafka",
        open=open_bus,
        kill=kill,
        make_again=make_again,
        drop_before=drop_before,
        outage=outage,
        store=SqliteStore(tmp_path / "store.db"),
        lease_s=MIN_LEASE_S,
        move_s=30,
    )
