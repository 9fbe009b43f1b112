"""The one place that chooses implementations and wires them."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from exchange import crash
from exchange.bus.api import Bus
from exchange.settings import Settings
from exchange.store.database import Connection, connect
from schemas.clock import Clock
from schemas.errors import RejectedError
from schemas.light import without

with without("rich"):  # for tracebacks in colour, which no log here has
    import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalog_registry.clocks import Rule
    from catalog_registry.registry import Registry
    from connectors.api import Source
    from exchange.collect.samples import Samples
    from exchange.collect.spool import Spool
    from exchange.trust.keyring import KeyRing
    from schemas.workdays import Calendar


@dataclass(frozen=True)
class Hub:
    """Everything that the acts of exchanging need, wired once for a process.

    Parts are imported and opened when first asked for: a task that only waits for a run needs none of them.
    """

    settings: Settings

    @cached_property
    def clock(self) -> Clock:
        """The one clock."""
        return self.settings.the_clock

    @cached_property
    def keys(self) -> KeyRing:
        """The keys of the data folder."""
        from exchange.trust.keyring import KeyRing

        return KeyRing.open(self.settings.keys_dir, self.connect)

    @cached_property
    def registry(self) -> Registry:
        """Who shares what under which terms."""
        from catalog_registry.registry import Registry

        return Registry(
            self.settings.database_url, self.clock, keys_dir=self.settings.keys_dir, dags_json=self.settings.dags_file
        )

    @cached_property
    def clock_rules(self) -> Mapping[str, Rule]:
        """How long each step of the registry may take, in this deployment."""
        from catalog_registry import clocks

        own = self.settings.clock_rules
        return clocks.rules() if own is None else clocks.load(own)

    @cached_property
    def workdays(self) -> Calendar:
        """The working days, with those of the deployment's own notice."""
        from schemas.workdays import Calendar, calendar

        notice = self.settings.workdays_notice
        return calendar() if notice is None else calendar().and_notice(Calendar.of(notice))

    @cached_property
    def bus(self) -> Bus:
        """The bus of this data folder."""
        if self.settings.bus == "kafka":
            from exchange.bus.kafka import KafkaBus

            if not self.settings.kafka:
                raise RejectedError(
                    "the bus is Kafka and no broker is named",
                    code="bus.no_broker",
                    where="ONEDOOR_KAFKA",
                    remedy="start one with `onedoor kafka up`",
                )
            return KafkaBus(self.settings.kafka, lease_s=self.settings.lease_s)
        from exchange.bus.postgres import PostgresBus

        return PostgresBus(self.settings.database_url, self.clock, lease_s=self.settings.lease_s)

    @cached_property
    def spool(self) -> Spool:
        """Sealed chunks that wait for a bus that cannot join a transaction."""
        from exchange.collect.spool import Spool

        return Spool(self.settings.spool_dir, self.settings.spool_bytes)

    @cached_property
    def samples(self) -> Samples:
        """Sealed samples that wait for their report."""
        from exchange.collect.samples import Samples
        from exchange.collect.spool import SAMPLES

        return Samples(self.settings.spool_dir / SAMPLES)

    @cached_property
    def log(self) -> Any:
        """The log: JSON lines on standard error, with ids, counts and codes, never rows."""
        level = getattr(logging, self.settings.log_level.upper())
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(level),
            logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        )
        return structlog.get_logger("onedoor")

    def connect(self, *, autocommit: bool = False) -> Connection:
        """Open a connection to the hub's database, as its owner."""
        if not self.settings.database_url:
            raise RejectedError(
                "there is no hub in this data folder yet",
                code="hub.not_started",
                where=str(self.settings.home),
                remedy="start it with `onedoor up`, or set ONEDOOR_DATABASE_URL",
            )
        return connect(self.settings.database_url, autocommit=autocommit)

    def source(self, resource: str) -> Source:
        """Open the source that a resource is collected from."""
        from connectors.registry import open_source

        contract = self.registry.resource(resource).contract
        record = self.registry.source(contract.source)
        return open_source(record.url(), clock=self.clock, **record.settings)

    def maintain_bus(self) -> None:
        """Make the days to come and drop the days past on a bus that keeps its own retention."""
        from exchange.bus.postgres import PostgresBus

        if isinstance(self.bus, PostgresBus):
            self.bus.maintain(self.clock.now(), keep_days=self.settings.bus_keep_days)

    def close(self) -> None:
        """Let go of connections."""
        for name in ("bus", "registry"):
            part = self.__dict__.get(name)
            if part is not None:
                part.close()


def open_hub(settings: Settings) -> Hub:
    """Return the wired hub.

    Raises:
        RejectedError: a crash point is armed in production, or the deployment's own clock rules or notice of working days are
            wrong: that is told at the start, and not at the first application.
    """
    if settings.production and crash.armed():
        raise RejectedError("crash points are refused in production", code="crash.production", remedy="unset ONEDOOR_CRASH_AT")
    hub = Hub(settings)
    if settings.clock_rules is not None:
        _ = hub.clock_rules
    if settings.workdays_notice is not None:
        _ = hub.workdays
    return hub
