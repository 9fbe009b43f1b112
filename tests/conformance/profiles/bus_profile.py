"""What a profile of a bus gives to the suite: a bus on something real, and the hands of an administrator and of fate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exchange.bus.api import Bus, Subscription, Topic, TopicPartition
from tests.conformance.landing import Store


@dataclass(frozen=True)
class Outage:
    """A bus, and how it goes out of reach and comes back."""

    bus: Bus
    begin: Callable[[], None]
    end: Callable[[], None]


@dataclass(frozen=True)
class BusProfile:
    """One bus under test.

    ``open``: another node's bus on the same messages; ``max_hold_s`` may be given. ``kill``: a member dies without leaving.
    ``make_again``: removes a topic and makes it again. ``drop_before``: retention. ``waived``: names of tests that this bus
    cannot pass, with the reason; a test that passes all the same fails the suite.
    """

    name: str
    open: Callable[..., Bus]
    kill: Callable[[Bus, Subscription], None]
    make_again: Callable[[Topic], None]
    drop_before: Callable[[TopicPartition, int], None]
    outage: Callable[[], Outage]
    store: Store
    lease_s: float
    move_s: float  # within which partitions move when nobody is dead, generously
    waived: Mapping[str, str] = field(default_factory=dict)
