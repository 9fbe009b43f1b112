"""The JSON of a run, which people's scripts and every later part read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exchange.store.runs import Run
from tests.golden.golden import assert_golden

AT = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
PROVED = Run(
    id="r1",
    resource="licences",
    contract_version="1.2.0",
    mode="incremental",
    state="proved",
    attempt=1,
    topic="onedoor.440205.licences",
    topic_id="t1",
    started_at=AT,
    collected_at=AT + timedelta(seconds=2),
    ended_at=AT + timedelta(seconds=2.5),
    as_of_first=AT,
    as_of_last=AT + timedelta(seconds=1),
    cursor_after="2026-11-01 00:00:00.000000Z",
    cursor_bound="2026-11-02 00:59:59.000000Z",
    bound_kind="computed",
    source_stable=None,
    rows_read=10,
    rows_set_aside=1,
    rows_inserted=4,
    rows_changed=3,
    rows_unchanged=2,
    rows_deleted=0,
    read_is_landed=True,
    error=None,
    report={"stages": [{"name": "read", "rows": 10, "seconds": 0.5}]},
    report_state="none",
)
FAILED = replace(
    PROVED,
    state="failed",
    rows_inserted=None,
    rows_changed=None,
    rows_unchanged=None,
    rows_deleted=None,
    read_is_landed=None,
    error={"code": "store.shrunk", "message": "too few", "where": "run r1", "remedy": "look", "kind": "rejected"},
)


def test_the_json_of_a_run_is_frozen() -> None:
    made = {"proved": PROVED.as_json(), "failed": FAILED.as_json()}
    assert_golden("run.json", json.dumps(made, ensure_ascii=False, indent=1) + "\n")


def test_what_was_read_is_landed_or_set_aside() -> None:
    made = PROVED.as_json()
    assert made["rows_read"] == made["rows_landed"] + made["rows_set_aside"]
    assert made["rows_landed"] == made["rows_inserted"] + made["rows_changed"] + made["rows_unchanged"]
