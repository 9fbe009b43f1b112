"""The sums of uses beside the ledger: counted a little at a time, by whoever, they say what the ledger says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from exchange.trust import usage
from exchange.trust.ledger import Ledger
from exchange.trust.record import LedgerRecord
from exchange.trust.usage import UsageAsk, count_usage, read_usage
from schemas.clock import FakeClock

FIRST, LAST = date(2026, 1, 1), date(2028, 1, 1)


class BreakError(Exception):
    """What a process dies of in these tests."""


@pytest.fixture
def hub(hub_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A hub with two resources, whose records are counted three at a time."""
    monkeypatch.setattr(usage, "BATCH", 3)
    with psycopg.connect(hub_db) as connection:
        connection.execute("INSERT INTO registry.department (code, name, created_at) VALUES ('market', '市监', now())")
        connection.cursor().executemany(
            "INSERT INTO registry.resource (name, title, department, state, row_version, created_at, changed_at)"
            " VALUES (%s, 'x', 'market', 'draft', 1, now(), now())",
            [("licences",), ("permits",)],
        )
    return hub_db


def write(hub: str, clock: FakeClock, chain: str, count: int) -> None:
    """Write queries of three departments, each allowed and ended with 10 rows."""
    ledger = Ledger(lambda: psycopg.connect(hub), clock, chain)
    for n in range(count):
        use: dict[str, Any] = {
            "kind": "resource.query",
            "department": f"d{n % 3}",
            "resource": ("licences", "permits")[n % 2],
            "grant": f"g{n % 6}",
        }
        ledger.append([LedgerRecord(outcome="allowed", **use), LedgerRecord(outcome="done", manifest={"rows": 10}, **use)])
        ledger.append([LedgerRecord(kind="token.issue", outcome="done", department=f"d{n % 3}")])


def sums(hub: str) -> dict[tuple[str, str], tuple[int, int]]:
    with psycopg.connect(hub) as connection:
        found = read_usage(connection, UsageAsk(FIRST, LAST, by_day=False))
    return {(one.resource, one.department): (one.allowed, one.rows) for one in found.lines}


def expected(uses: int) -> dict[tuple[str, str], tuple[int, int]]:
    return {(resource, f"d{d}"): (uses, uses * 10) for d in range(3) for resource in ("licences", "permits")}


def test_whoever_counts_and_however_often_each_record_is_counted_once(hub: str, clock: FakeClock) -> None:
    counted: list[int] = []
    for round_ in (1, 2):
        for chain in ("a", "b", "c"):
            write(hub, clock, f"{chain}{round_}", 12)
        threads = [
            threading.Thread(target=lambda: counted.append(count_usage(lambda: psycopg.connect(hub), clock))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sums(hub) == expected(2 * 3 * round_)
        clock.advance(timedelta(days=1))
    with psycopg.connect(hub) as connection:
        ((records,),) = connection.execute("SELECT count(*) FROM trust.ledger").fetchall()
        days = read_usage(connection, UsageAsk(FIRST, LAST)).lines
    assert sum(counted) == records
    assert {one.day for one in days} == {date(2026, 11, 2), date(2026, 11, 3)}


def test_a_count_that_breaks_off_leaves_nothing_counted_twice_or_not_at_all(hub: str, clock: FakeClock) -> None:
    write(hub, clock, "a", 12)
    opened = 0

    @contextmanager
    def breaking() -> Iterator[psycopg.Connection[Any]]:
        nonlocal opened
        opened += 1
        with psycopg.connect(hub) as connection:
            yield connection
            if opened == 3:
                raise BreakError  # after all was done, before the commit

    with pytest.raises(BreakError):
        count_usage(breaking, clock)
    assert 0 < sum(allowed for allowed, _ in sums(hub).values()) < 12
    write(hub, clock, "b", 12)
    count_usage(lambda: psycopg.connect(hub), clock)
    assert sums(hub) == expected(4)


def test_the_answer_says_up_to_when_the_ledger_was_counted(hub: str, clock: FakeClock) -> None:
    def counted_at() -> datetime | None:
        with psycopg.connect(hub) as connection:
            return read_usage(connection, UsageAsk(FIRST, LAST)).counted_at

    assert counted_at() is None
    count_usage(lambda: psycopg.connect(hub), clock)
    assert counted_at() == clock.now().astimezone(UTC)
    clock.advance(timedelta(hours=1))
    count_usage(lambda: psycopg.connect(hub), clock)
    assert counted_at() == clock.now().astimezone(UTC)


def test_what_a_department_was_refused_says_nothing_of_resources_that_it_does_not_see(hub: str, clock: FakeClock) -> None:
    """A draft and a name that nobody has are alike; what was given stays told, also when the resource is withdrawn."""
    ledger = Ledger(lambda: psycopg.connect(hub), clock, "c.0")
    refused: dict[str, Any] = {"kind": "resource.query", "outcome": "refused", "department": "civil", "reason": "resource"}
    ledger.append([LedgerRecord(resource=name, **refused) for name in ("licences", "permits", "nothing")])
    ledger.append([LedgerRecord(**(refused | {"outcome": "allowed", "reason": None}), resource="permits", grant="g1")])
    count_usage(lambda: psycopg.connect(hub), clock)

    def told(seen: str | None) -> set[tuple[str, int, int]]:
        with psycopg.connect(hub) as connection:
            found = read_usage(connection, UsageAsk(FIRST, LAST, seen=seen)).lines
        return {(one.resource, one.allowed, one.refused) for one in found}

    everything = {("licences", 0, 1), ("permits", 0, 1), ("permits", 1, 0)}
    assert told("civil") == {("permits", 1, 0)}
    assert told("market") == told(None) == everything
    with psycopg.connect(hub) as connection:
        connection.execute("ALTER TABLE registry.resource DROP CONSTRAINT ck_resource_reviewed_has_contract")
        connection.execute("UPDATE registry.resource SET state = 'published' WHERE name = 'licences'")
    assert told("civil") == {("licences", 0, 1), ("permits", 1, 0)}
