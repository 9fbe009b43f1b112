"""The JSON of a run and of a reconciliation: what scripts, Airflow and every later part read. All keys, fixed values."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from exchange.store.reconcile import Difference, Reconciliation
from exchange.store.runs import Run, error_json
from schemas.errors import Fault, RejectedError
from tests.golden.golden import assert_golden

PROVED = Run(
    id="r01m84w1z81yvpfadaam826",
    resource="licences",
    contract_version="1.2.0",
    mode="incremental",
    state="proved",
    attempt=2,
    topic="onedoor.440205.licences",
    topic_id="9c4e9b0e-3f0c-4f52-8f6c-1f0d8d0f7a11",
    started_at=datetime(2026, 11, 2, 1, 0, 0, tzinfo=UTC),
    collected_at=datetime(2026, 11, 2, 1, 0, 3, 250_000, tzinfo=UTC),
    ended_at=datetime(2026, 11, 2, 1, 0, 4, 500_000, tzinfo=UTC),
    as_of_first=datetime(2026, 11, 2, 1, 0, 0, 100_000, tzinfo=UTC),
    as_of_last=datetime(2026, 11, 2, 1, 0, 2, tzinfo=UTC),
    cursor_after="2026-11-01T01:00:00.000000Z",
    cursor_bound="2026-11-02T00:59:58.000000Z",
    bound_kind="computed",
    source_stable=None,
    rows_read=1_000,
    rows_set_aside=10,
    rows_inserted=200,
    rows_changed=700,
    rows_unchanged=90,
    rows_deleted=0,
    read_is_landed=True,
    error=None,
    report={
        "allow_shrink": True,
        "stages": [
            {"name": "read", "rows": 1_000, "seconds": 0.5},
            {"name": "check", "rows": 1_000, "set_aside": 10, "seconds": 0.25},
        ],
        "quality": {"success": True, "sampled": 1_000, "sampled_of": 1_000},
    },
    report_state="done",
)

COLLECTING = replace(
    PROVED,
    mode="full",
    state="collecting",
    attempt=1,
    collected_at=None,
    ended_at=None,
    as_of_first=None,
    as_of_last=None,
    cursor_after=None,
    cursor_bound=None,
    bound_kind=None,
    rows_inserted=None,
    rows_changed=None,
    rows_unchanged=None,
    rows_deleted=None,
    read_is_landed=None,
    report={},
    report_state="none",
)

FAILED = replace(
    COLLECTING,
    state="failed",
    ended_at=datetime(2026, 11, 2, 1, 0, 1, tzinfo=UTC),
    error=error_json(
        RejectedError(
            "the table is not there",
            code="source.table",
            where="ELC_LICENCE",
            remedy="ask its owner, then mend the contract",
            fault=Fault.PROVIDER,
        )
    ),
)

NOT_EQUAL = Reconciliation(
    resource="licences",
    as_of=datetime(2026, 11, 2, 1, 0, 5, tzinfo=UTC),
    rows_source=1_000,
    rows_store=989,
    set_aside=10,
    missing=Difference(2, ("p-0001", "p-0002")),
    extra=Difference(1, ("p-0003",)),
    different=Difference(0),
    names_personal=True,
)
EQUAL = replace(NOT_EQUAL, rows_store=990, missing=Difference(0), extra=Difference(0), names_personal=False)


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def test_the_json_of_a_run_is_frozen() -> None:
    runs = {"proved": PROVED, "collecting": COLLECTING, "failed": FAILED}
    assert_golden("runs/run.json", _text({name: run.as_json() for name, run in runs.items()}))


def test_the_json_of_a_reconciliation_is_frozen() -> None:
    assert_golden("runs/reconcile.json", _text({"not_equal": NOT_EQUAL.as_json(), "equal": EQUAL.as_json()}))


@pytest.mark.parametrize("run", [PROVED, COLLECTING, FAILED], ids=lambda run: run.state)
def test_landed_is_what_was_inserted_changed_and_unchanged_and_unknown_until_the_run_is_closed(run: Run) -> None:
    value = run.as_json()
    parts = [value[f"rows_{how}"] for how in ("inserted", "changed", "unchanged")]
    if run.state == "proved":
        assert value["rows_landed"] == sum(parts)
        assert value["rows_read"] == value["rows_landed"] + value["rows_set_aside"]
    else:
        assert value["rows_landed"] is None
        assert parts == [None, None, None]


def test_no_field_of_a_run_is_forgotten() -> None:
    """A new field of a run is either in its JSON or named here with the reason why it is not."""
    inside = {"topic", "topic_id", "collected_at", "report", "report_state"}  # the exchange's own book-keeping
    renamed = {"id": "run", "bound_kind": "bound"}
    shown = PROVED.as_json().keys()
    for name in Run.__dataclass_fields__:
        assert name in inside or renamed.get(name, name) in shown, name
