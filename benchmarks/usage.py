"""Who used what: daily sums of a ledger of a million records, beside the same sums made of the ledger itself by SQL."""

from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.line import TRIALS, Result, Row, alternately, median
from benchmarks.stand import Stand, stand
from exchange.bootstrap import Hub, open_hub
from exchange.trust.usage import UsageAsk, UsageLine, count_usage, read_usage

RECORDS = 1_000_000
LATER = 1_000
RESOURCES, DEPARTMENTS, GRANTS, ITEMS, DAYS = 50, 20, 200, 10, 365
LAST = date(2026, 11, 2)
PEER = "the ledger summed up by SQL"

_RESOURCES = f"""
INSERT INTO registry.resource (name, title, department, state, row_version, created_at, changed_at)
SELECT 'bench_' || n, 'bench', (SELECT min(code) FROM registry.department), 'draft', 1, now(), now()
FROM generate_series(0, {RESOURCES - 1}) n
"""
_RECORD = f"""
INSERT INTO trust.ledger (chain, n, at, kind, record, hash)
SELECT 'bench.' || n %% 4, n / 4, at, 'resource.query', convert_to(jsonb_build_object(
    'v', 1, 'kind', 'resource.query', 'outcome', CASE n %% 2 WHEN 0 THEN 'allowed' ELSE 'done' END, 'at', at, 'chain', 'bench',
    'n', n, 'salt', md5(n::text), 'principal', 'p01m6cwacm06h4yrfjgdy41', 'department', 'd' || u %% {DEPARTMENTS},
    'system', 's' || u %% {DEPARTMENTS}, 'operator', 'window-03', 'resource', 'bench_' || u %% {RESOURCES},
    'grant', 'g' || u %% {GRANTS}, 'item', 'ITEM-' || u %% {ITEMS}, 'case', 'CASE-' || n,
    'purpose', 'accept_case', 'request', 'q' || n / 2,
    'manifest', jsonb_build_object('rows', n %% 2 * 10, 'run', 'r1'))::text, 'UTF8'), ''
FROM (SELECT n, (n / 2)::bigint * 7919 %% 1000003 AS u,
             timestamptz '{LAST} 12:00+08' - n %% {DAYS} * interval '1 day' AS at
      FROM generate_series(%s::bigint, %s::bigint) n) l
"""
_BY_SQL = """
SELECT r ->> 'department', r ->> 'grant', r ->> 'item', count(*) FILTER (WHERE r ->> 'outcome' = 'allowed'),
       sum((r -> 'manifest' ->> 'rows')::bigint)
FROM (SELECT convert_from(record, 'UTF8')::jsonb AS r FROM trust.ledger
      WHERE kind = 'resource.query' AND at >= %s::date::timestamp AT TIME ZONE 'Asia/Shanghai'
        AND at < %s::date::timestamp AT TIME ZONE 'Asia/Shanghai') l
WHERE r ->> 'resource' = 'bench_7' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


def _write(hub: Hub, first: int, count: int) -> None:
    with hub.connect() as connection:
        connection.execute(_RECORD.encode(), [first, first + count - 1])


def _count(hub: Hub, expected: int) -> float:
    began = time.perf_counter()
    counted = count_usage(hub.connect, hub.clock)
    seconds = time.perf_counter() - began
    if counted < expected:
        raise RuntimeError(f"{counted} records were counted, not {expected}")
    return seconds


def _read(hub: Hub, days: int, **more: Any) -> list[UsageLine]:
    ask = UsageAsk(LAST - timedelta(days=days - 1), LAST + timedelta(days=1), **({"limit": 100_000} | more))
    with hub.connect(autocommit=True) as connection:
        return list(read_usage(connection, ask).lines)


def _by_sql(hub: Hub, days: int) -> list[tuple[Any, ...]]:
    with hub.connect(autocommit=True) as connection:
        return connection.execute(_BY_SQL, [LAST - timedelta(days=days - 1), LAST + timedelta(days=1)]).fetchall()


def _ms(do: Any) -> float:
    began = time.perf_counter()
    do()
    return (time.perf_counter() - began) * 1e3


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    with stand(work) as here:
        hub = open_hub(here.made.settings)
        try:
            _measure(here, hub, result)
        finally:
            hub.close()
    return result.as_json()


def _measure(here: Stand, hub: Hub, result: Result) -> None:
    hub.registry.ensure_department("bench_department", "bench")
    here.sql(here.hub_url, _RESOURCES)
    # The worker's lease becomes ours, so that it does not count what is measured.
    here.sql(
        here.hub_url,
        """INSERT INTO exchange.duty (name, holder, epoch, expires_at) VALUES ('usage', 'bench', 1, '9999-01-01')
           ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at""",
    )
    _write(hub, 0, RECORDS)
    here.sql(here.hub_url, "ANALYZE trust.ledger")
    seconds = _count(hub, RECORDS)
    result.rows.append(Row(f"usage, {RECORDS:,} records of the ledger counted", "records/s", round(RECORDS / seconds)))
    later = []
    for turn in range(TRIALS):
        _write(hub, RECORDS + turn * LATER, LATER)
        later.append(round(_count(hub, LATER) * 1e3, 1))
    result.trials["1,000 further ones counted, ms"] = later
    result.rows.append(Row(f"usage, {LATER:,} further ones counted", "ms", median(later), smaller=True))
    for days in (30, DAYS):
        own = sorted(
            (one.department, one.grant, one.item, one.allowed, one.rows)
            for one in _read(hub, days, by_day=False, resource="bench_7")
        )
        if own != [tuple(row) for row in _by_sql(hub, days)]:
            raise RuntimeError("the two sides do not sum up alike")
        sides = {
            "ours": lambda days=days: _ms(lambda: _read(hub, days, by_day=False, resource="bench_7")),
            PEER: lambda days=days: _ms(lambda: _by_sql(hub, days)),
        }
        trials = alternately(sides)
        result.trials |= {f"one resource, {days} days, {side}, ms": figures for side, figures in trials.items()}
        what = f"usage of one resource, {days} days added up, of {RECORDS:,} records"
        result.rows.append(Row(what, "ms", median(trials["ours"]), PEER, median(trials[PEER]), smaller=True))
    page = [_ms(lambda: _read(hub, 30, limit=51)) for _ in range(TRIALS)]
    result.rows.append(Row("usage of everything by day, a page of 50 lines", "ms", round(median(page), 1), smaller=True))
    totals = [_ms(lambda: _read(hub, DAYS, by_day=False, limit=51)) for _ in range(TRIALS)]
    result.rows.append(Row(f"usage of everything, {DAYS} days added up, a page", "ms", round(median(totals), 1), smaller=True))
    seen = [_ms(lambda: _read(hub, DAYS, by_day=False, limit=51, seen="d7")) for _ in range(TRIALS)]
    result.rows.append(Row(f"usage by one department, {DAYS} days added up", "ms", round(median(seen), 1), smaller=True))
    lines = here.sql(here.hub_url, "SELECT count(*) FROM trust.usage_day")[0][0]
    result.stages = {"sums of a day that there are": lines}
    result.notes.append("each answer opens a connection of its own, as the API does")
