"""The bus in the hub's database."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from exchange.bus.api import Bus, Subscription, Topic, TopicPartition
from exchange.bus.postgres import PostgresBus
from schemas.clock import FakeClock
from tests.conformance.landing import PostgresStore
from tests.conformance.profiles.bus_profile import BusProfile, Outage

LEASE_S = 1.0


def profile(request: pytest.FixtureRequest, tmp_path: Path) -> BusProfile:
    url: str = request.getfixturevalue("hub_db")
    superuser: str = request.getfixturevalue("superuser_url")
    clock: FakeClock = request.getfixturevalue("clock")
    opened: list[PostgresBus] = []

    def open_bus(*, max_hold_s: float = 300.0) -> PostgresBus:
        bus = PostgresBus(url, clock, lease_s=LEASE_S, max_hold_s=max_hold_s)
        opened.append(bus)
        request.addfinalizer(bus.close)
        return bus

    def kill(bus: Bus, subscription: Subscription) -> None:
        """What is left of a dead process: rows that nobody renews."""
        bus.forget(subscription)  # type: ignore[attr-defined]
        subscription._connection.close()  # type: ignore[attr-defined]

    def make_again(topic: Topic) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DELETE FROM bus.topic WHERE name = %s", (topic.name,))
        opened[0].ensure_topic(topic.name, topic.partitions)

    def drop_before(place: TopicPartition, offset: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "UPDATE bus.partition SET first = %s WHERE partition = %s"
                " AND topic_id = (SELECT id FROM bus.topic WHERE name = %s)",
                (offset, place.partition, place.topic),
            )

    def outage() -> Outage:
        bus = open_bus()
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]

        def allow(answer: bool) -> None:
            with psycopg.connect(superuser, autocommit=True) as connection:
                connection.execute(
                    sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(str(name)), sql.Literal(answer))
                )
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

        return Outage(bus, lambda: allow(False), lambda: allow(True))

    return BusProfile(
        name="postgres",
        open=open_bus,
        kill=kill,
        make_again=make_again,
        drop_before=drop_before,
        outage=outage,
        store=PostgresStore(url),
        lease_s=LEASE_S,
        move_s=10,
    )
