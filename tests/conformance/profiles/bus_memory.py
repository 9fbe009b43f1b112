"""The fake."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.bus.api import Bus, Subscription, Topic
from exchange.bus.memory import MemoryBus, MemorySubscription
from tests.conformance.landing import SqliteStore
from tests.conformance.profiles.bus_profile import BusProfile, Outage


def profile(request: pytest.FixtureRequest, tmp_path: Path) -> BusProfile:
    bus = MemoryBus(lease_s=0.3)

    def opened(*, max_hold_s: float = 300.0) -> MemoryBus:
        bus.max_hold_s = max_hold_s
        return bus

    def kill(_: Bus, subscription: Subscription) -> None:
        assert isinstance(subscription, MemorySubscription)
        bus.kill(subscription)

    def make_again(topic: Topic) -> None:
        bus.remove_topic(topic.name)
        bus.ensure_topic(topic.name, topic.partitions)

    return BusProfile(
        name="memory",
        open=opened,
        kill=kill,
        make_again=make_again,
        drop_before=bus.drop_before,
        outage=lambda: Outage(bus, lambda: bus.set_away(True), lambda: bus.set_away(False)),
        store=SqliteStore(tmp_path / "store.db"),
        lease_s=0.3,
        move_s=5,
    )
