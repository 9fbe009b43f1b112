"""What is summed up of the ledger's records: by resource, consumer, ground and day, and nothing of a person."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, date, datetime
from typing import Any

from exchange.trust.record import GENESIS, LedgerRecord, lines_after
from exchange.trust.usage import Ground, Sums, summed

AT = datetime(2026, 11, 2, 15, 59, tzinfo=UTC)  # a minute before midnight in China
KNOWN = {"licences", "permits"}


def record(**values: Any) -> tuple[datetime, bytes]:
    """Return a record as the ledger writes it."""
    made = LedgerRecord(**({"principal": "p1", "department": "civil", "system": "relief"} | values))
    (line,) = lines_after(GENESIS, [made], chain="c", n=0, at=AT, salts=bytes(16))
    return line.at, line.record


def lookup(**values: Any) -> tuple[datetime, bytes]:
    asked = {"kind": "licence.lookup", "holder": "PSEUDONYM", "case": "CASE-1", "operator": "window-03"}
    return record(**(asked | {"purpose": "accept_case", "item": "ITEM-1"} | values))


def ground(resource: str, grant: str = "", purpose: str = "", item: str = "", kind: str = "licence.lookup") -> Ground:
    return Ground(date(2026, 11, 2), kind, resource, "civil", "relief", grant, purpose, item)


def test_a_look_up_counts_for_each_resource_that_it_asked_under_its_own_grant() -> None:
    rows = ("licences/1", "licences/2", "permits/9")
    found = summed([lookup(outcome="allowed", resource="licences,permits", grant="g1,g2", rows=rows)], KNOWN)
    assert found == {
        ground("licences", "g1", "accept_case", "ITEM-1"): Sums(allowed=1, rows=2),
        ground("permits", "g2", "accept_case", "ITEM-1"): Sums(allowed=1, rows=1),
    }


def test_a_query_counts_once_and_its_rows_when_it_ends_or_is_cut() -> None:
    query = {"kind": "resource.query", "resource": "permits", "grant": "g2", "purpose": "check"}
    of = ground("permits", "g2", "check", "", "resource.query")
    began = record(**query, outcome="allowed", manifest={"fields": "a,b", "limit": 10})
    assert summed([began], KNOWN) == {of: Sums(allowed=1)}
    done = record(**query, outcome="done", manifest={"rows": 7})
    cut = record(**query, outcome="cut", manifest={"rows": 3}, reason="records.revoked")
    assert summed([began, done, began, cut], KNOWN) == {of: Sums(allowed=2, cut=1, rows=10)}


def test_what_is_refused_has_no_ground_and_counts_as_often_as_it_was_summed_up() -> None:
    anything = [lookup(outcome="refused", resource="licences", item=f"x{i}", purpose=f"y{i}", count=5) for i in range(3)]
    assert summed(anything, KNOWN) == {ground("licences"): Sums(refused=15)}


def test_a_name_that_a_stranger_wrote_and_a_record_that_cannot_be_read_are_left_out() -> None:
    strange = record(kind="resource.query", outcome="refused", resource="nothing_like_it")
    assert summed([strange, (AT, b"\xff"), (AT, b"[]"), (AT, b'{"kind": 1}')], KNOWN) == {}


def test_no_person_case_operator_or_row_is_in_a_sum() -> None:
    (key,) = summed([lookup(outcome="allowed", resource="licences", grant="g1", rows=("licences/440221-1",))], KNOWN)
    text = json.dumps(dataclasses.asdict(key), default=str)
    assert not any(word in text for word in ("PSEUDONYM", "CASE-1", "window-03", "440221", "p1"))
