"""The worker: lands what the bus carries, closes runs, and does the duties that one worker at a time holds."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from exchange.bootstrap import Hub
from exchange.bus.api import PartitionError, Subscription, TopicPartition
from exchange.collect.collect import publish_spooled
from exchange.store import runs, tables
from exchange.store.close import close_run, is_complete
from exchange.store.database import Connection, translated
from exchange.store.land import CONSUMER, Lander
from exchange.store.positions import positions
from exchange.worker.destructions import ask_destructions
from exchange.worker.duties import hold
from exchange.worker.found import Found
from exchange.worker.outbox import publish_outbox
from exchange.worker.report import Reporter
from exchange.worker.sweep import sweep
from exchange.worker.topics import Topics
from schemas.contract import DataContract
from schemas.errors import OneDoorError, TransientError, raised_at

POLL_S: Final = 0.5
LOOK_S: Final = 1.0
TICK_S: Final = 0.2
"""Seconds after which a thread looks which of its duties are due."""
RETRY_S: Final = 1.0
PAUSE_S: Final = 15.0
"""Seconds after which a partition that could not be landed is tried again."""
REPORT_S: Final = 600
"""Seconds after which a report that somebody claimed and did not make is anybody's."""
REPORT_LATE: Final = timedelta(minutes=1)
"""After that a report is made even while something is collected: somewhere something always is."""


@dataclass(frozen=True, slots=True)
class Duty:
    """Something that one worker at a time does every so many seconds."""

    name: str
    every_s: float
    do: Callable[[], object]


@dataclass
class Worker:
    """One worker process: threads with connections of their own, each going on after a transient error.

    A bus that is away holds up what is published, a long ledger what is looked up in it, and neither of them a checkpoint.
    """

    hub: Hub
    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    stopping: threading.Event = field(default_factory=threading.Event)
    _close_now: threading.Event = field(default_factory=threading.Event)
    _paused: dict[TopicPartition, float] = field(default_factory=dict)

    def run(self) -> None:
        """Work until ``stopping`` is set."""
        duties = (self._checkpoints, self._outbox, self._duties, self._registry_duties, self._corrections)
        threads = [
            threading.Thread(target=self._going_on, args=(what,), name=what.__name__.strip("_"))
            for what in (self._land, self._close, *duties, self._reports)
        ]
        self.hub.log.info("worker started", worker=self.name)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.hub.log.info("worker stopped", worker=self.name)

    def stop(self) -> None:
        """Ask all threads to end after what they are doing."""
        self.stopping.set()
        self._close_now.set()

    def _going_on(self, what: Callable[[], None]) -> None:
        while not self.stopping.is_set():
            try:
                with translated():
                    what()
            except OneDoorError as error:
                self.hub.log.error("worker held up", worker=self.name, what=what.__name__.strip("_"), **runs.error_json(error))
            except Exception as error:  # noqa: BLE001 - the process boundary; no message, it may hold a row
                self.hub.log.critical(
                    "worker defect",
                    worker=self.name,
                    what=what.__name__.strip("_"),
                    error=type(error).__name__,
                    at=raised_at(error),
                )
            self.stopping.wait(RETRY_S)

    # Landing ----------------------------------------------------------------------------------------------------------

    def _land(self) -> None:
        hub = self.hub
        with hub.connect() as connection:
            lander = Lander(
                connection,
                hub.bus,
                hub.keys,
                hub.clock,
                self._contract_of,
                lambda run: self._close_now.set(),
                lambda place, error: self._pause(subscription, place, error),
                hub.settings.land_bytes,
            )
            known = Topics(hub, self.name)
            topics: list[str] = []
            subscription: Subscription | None = None
            looked = float("-inf")
            try:
                while not self.stopping.is_set():
                    if time.monotonic() - looked >= LOOK_S:
                        looked = time.monotonic()
                        now = known.look()
                        if now != topics:
                            if subscription is not None:
                                subscription.close()
                            self._paused.clear()
                            topics = now
                            subscription = (
                                hub.bus.subscribe(
                                    CONSUMER, topics, positions(hub.settings.database_url, CONSUMER), member=self.name
                                )
                                if topics
                                else None
                            )
                    if subscription is None:
                        self.stopping.wait(LOOK_S)
                        continue
                    self._step(lander, subscription)
            finally:
                if subscription is not None:
                    subscription.close()

    def _step(self, lander: Lander, subscription: Subscription) -> None:
        for place, until in list(self._paused.items()):
            if time.monotonic() >= until:
                del self._paused[place]
                subscription.resume(place)
        try:
            lander.step(subscription, POLL_S)
        except PartitionError as error:
            self._pause(subscription, error.place, error)

    def _pause(self, subscription: Subscription | None, place: TopicPartition, error: OneDoorError) -> None:
        """Leave a partition that cannot be landed for a while: the others go on, and a person is woken by the log."""
        if subscription is not None:
            subscription.pause(place)
        self._paused[place] = time.monotonic() + PAUSE_S
        self.hub.log.critical(
            "a partition is not landed",
            worker=self.name,
            topic=place.topic,
            partition=place.partition,
            **runs.error_json(error),
        )

    def _contract_of(self, resource: str, version: str) -> DataContract:
        return self.hub.registry.contract(resource, version)

    # Closing ----------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        with self.hub.connect() as connection:
            while not self.stopping.is_set():
                self._close_now.wait(LOOK_S)
                self._close_now.clear()
                ids = connection.execute("SELECT id FROM exchange.run WHERE state = 'collected' ORDER BY started_at").fetchall()
                connection.commit()
                for (run_id,) in ids:
                    self._close_one(connection, run_id)

    def _close_one(self, connection: Connection, run_id: str) -> None:
        hub = self.hub
        try:
            with translated():
                run = runs.get_run(connection, run_id)
                complete = is_complete(connection, run)
                connection.commit()
                if not complete:
                    return
                contract = self._contract_of(run.resource, run.contract_version)
                if close_run(connection, run_id, contract, hub.keys, hub.clock.now()):
                    hub.spool.clear(run_id)
                    hub.log.info("run proved", run=run_id, resource=run.resource)
        except TransientError as error:
            connection.rollback()
            hub.log.warning("run waits", run=run_id, **runs.error_json(error))
            if not connection.closed:
                runs.set_waiting(connection, run_id, error)
                connection.commit()
        except OneDoorError as error:
            connection.rollback()
            hub.log.error("run failed", run=run_id, **runs.error_json(error))
            with translated(), connection.transaction():
                runs.fail_run(connection, run_id, error, hub.clock.now())
                tables.drop_staging(connection, run_id)
            hub.spool.clear(run_id)

    # Duties -----------------------------------------------------------------------------------------------------------

    def _checkpoints(self) -> None:
        from exchange.trust.checkpoint import seal_checkpoint

        hub, settings = self.hub, self.hub.settings
        with hub.connect() as connection:
            self._do(
                connection,
                Duty(
                    "checkpoint",
                    settings.checkpoint_s / 2,
                    lambda: seal_checkpoint(hub.connect, hub.keys, hub.clock, settings.checkpoints_dir),
                ),
            )

    def _outbox(self) -> None:
        with self.hub.connect() as connection:
            self._do(connection, Duty("outbox", 1.0, lambda: publish_outbox(self.hub)))

    def _duties(self) -> None:
        """Tidy up after runs and on the bus."""
        hub = self.hub
        with hub.connect() as connection:
            self._do(
                connection,
                Duty("spool", 2.0, lambda: self._publish_waiting(connection)),
                Duty("sweep", 5.0, lambda: sweep(hub, connection)),
                Duty("bus", 600.0, hub.maintain_bus),
            )

    def _registry_duties(self) -> None:
        """Do what the registry asks of the worker: what is due is taken, told, counted and brought up to date."""
        from exchange.items.bring import Bringer
        from exchange.trust.usage import count_usage

        hub = self.hub
        with hub.connect() as connection:
            self._do(
                connection,
                Duty("usage", 5.0, lambda: count_usage(hub.connect, hub.clock)),
                Duty("changes", 5.0, self._take_changes),
                Duty("clocks", 60.0, lambda: hub.registry.remind(hub.clock_rules, hub.workdays)),
                Duty("dags", 30.0, hub.registry.refresh_dags),
                Duty("items", 10.0, Bringer(hub).look),
                Duty("search", 10.0, Found(hub, connection)),
                Duty("destructions", 5.0, lambda: ask_destructions(hub, connection)),
            )

    def _corrections(self) -> None:
        """Do the duty of corrections beside the others: to look through a long ledger takes its time."""
        from exchange.corrections.duty import Corrections

        duty = Corrections(self.hub)
        with self.hub.connect() as connection:
            self._do(connection, Duty("corrections", LOOK_S, duty.do))

    def _do(self, connection: Connection, *duties: Duty) -> None:
        """Do duties one after the other, each as often as it says, where this worker holds it; those of a thread wait for
        each other, so what must not wait has a thread of its own.
        """
        due: dict[str, float] = {}
        while not self.stopping.wait(TICK_S):
            for duty in duties:
                if time.monotonic() < due.get(duty.name, 0.0):
                    continue
                due[duty.name] = time.monotonic() + duty.every_s
                if not hold(connection, duty.name, self.name, self.hub.settings.lease_s + duty.every_s):
                    continue
                try:
                    with translated():
                        duty.do()
                except OneDoorError as error:
                    connection.rollback()
                    self.hub.log.error("duty held up", duty=duty.name, worker=self.name, **runs.error_json(error))
                except Exception as error:  # noqa: BLE001 - the others are still to be done; no message, it may hold a row
                    connection.rollback()
                    due[duty.name] = time.monotonic() + max(duty.every_s, PAUSE_S)
                    self.hub.log.critical(
                        "duty defect", duty=duty.name, worker=self.name, error=type(error).__name__, at=raised_at(error)
                    )
                if connection.closed:
                    return

    def _take_changes(self) -> None:
        """Put in force what is due of the registry's contracts, and withdraw what is to be withdrawn by now."""
        registry, log = self.hub.registry, self.hub.log
        for revision in registry.move_revisions():
            log.info("revision moved", revision=revision.id, resource=revision.resource, state=revision.state.value)
        for one in registry.take_withdrawals():
            log.info("resource withdrawn", resource=one.resource)

    def _publish_waiting(self, connection: Connection) -> None:
        """Publish what dead collectors left in the spool; a living one holds its resource's lock and does it itself."""
        if self.hub.bus.capabilities.joins_transaction:
            return
        rows = connection.execute(
            """SELECT DISTINCT r.id, r.resource FROM exchange.run r JOIN exchange.chunk c ON c.run = r.id
               WHERE r.state IN ('collecting', 'collected') AND c.state = 'spooled'"""
        ).fetchall()
        connection.commit()
        for run, resource in rows:
            lock = f"collect/{resource}"
            held = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 1))", [lock]).fetchone()
            connection.commit()
            if not (held and held[0]):
                continue
            try:
                publish_spooled(self.hub, connection, run)
            finally:
                connection.rollback()  # a statement that failed must not keep the lock
                connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 1))", [lock])
                connection.commit()

    def _reports(self) -> None:
        """Have the quality report of each closed run made, beside the path: while nothing is collected or landed, or late."""
        settings = self.hub.settings
        reporter = Reporter(settings.home, settings.database_url)
        try:
            with self.hub.connect() as connection:
                while not self.stopping.wait(LOOK_S):
                    while settings.report != "off" and self._report(connection, reporter):
                        pass
                    reporter.rest()
        finally:
            reporter.close()

    def _report(self, connection: Connection, reporter: Reporter) -> bool:
        now = self.hub.clock.now()
        real = datetime.now(UTC)
        row = connection.execute(
            """UPDATE exchange.run SET report_state = 'claimed', report_claimed_at = %(real)s WHERE id = (
                 SELECT id FROM exchange.run WHERE state = 'proved'
                   AND (report_state = 'none' OR (report_state = 'claimed' AND report_claimed_at < %(abandoned)s))
                   AND (ended_at < %(late)s
                        OR NOT EXISTS (SELECT 1 FROM exchange.run WHERE state IN ('collecting', 'collected')))
                 ORDER BY ended_at LIMIT 1 FOR UPDATE SKIP LOCKED)
               RETURNING id""",
            {"real": real, "abandoned": real - timedelta(seconds=REPORT_S), "late": now - REPORT_LATE},
        ).fetchone()
        connection.commit()
        if row is None:
            return False
        if not reporter.make(row[0], self.stopping):
            state = "none" if self.stopping.is_set() else "failed"
            connection.execute(
                "UPDATE exchange.run SET report_state = %s WHERE id = %s AND report_state = 'claimed'", [state, row[0]]
            )
            connection.commit()
        return True
