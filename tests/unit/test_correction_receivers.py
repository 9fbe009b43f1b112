"""Which answers gave a row, by what the ledger holds of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from catalog_registry.correction_words import CorrectionState
from exchange.corrections.receivers import MOST, _answers, _gave, _of_fields, _Uses
from exchange.trust.record import LedgerRecord
from tests.unit.test_correction_life import a_correction

ROW = a_correction(CorrectionState.ACCEPTED)
WHOLE = replace(ROW, row=None, row_key=None, hash_before=None)


def record(request: str | None, outcome: str, **more: Any) -> LedgerRecord:
    return LedgerRecord(kind="resource.query", outcome=outcome, request=request, **more)


def test_the_two_records_of_an_answer_are_brought_together_in_whatever_order_their_chains_come() -> None:
    first, last = record("q1", "allowed"), record("q1", "done")
    killed = record("q2", "allowed")
    other, cut = record("q3", "allowed"), record("q3", "cut")
    lost = record("q4", "done")
    found = list(_answers([last, other, record("q5", "refused"), killed, record(None, "allowed"), first, cut, lost]))
    assert found == [(first, last), (other, cut), (killed, None)]


@pytest.mark.parametrize(
    ("rows", "total", "certain"),
    [(0, "0" * 32, None), (1, ROW.hash_before, True), (1, "f" * 32, None), (2, ROW.hash_before, False)],
)
def test_how_sure_it_is_that_an_answer_gave_the_row(rows: int, total: str, certain: bool | None) -> None:
    assert _gave(record("q", "done", manifest={"rows": rows, "hash_sum": total}), ROW) is certain


def test_an_answer_without_an_end_may_have_given_the_row() -> None:
    assert _gave(None, ROW) is False
    assert _gave(None, WHOLE) is False


def test_any_row_is_one_of_a_whole_resource() -> None:
    assert _gave(record("q", "done", manifest={"rows": 7, "hash_sum": "f" * 32}), WHOLE) is True
    assert _gave(record("q", "done", manifest={"rows": 0, "hash_sum": "0" * 32}), WHOLE) is None


def test_who_was_given_none_of_the_wrong_fields_received_nothing_wrong() -> None:
    wrong = replace(ROW, fields=("address",))
    assert _of_fields(wrong, ["name", "address"])
    assert not _of_fields(wrong, ["name"])
    assert _of_fields(ROW, ["name"])


def test_a_notice_adds_up_what_a_department_was_given() -> None:
    uses = _Uses()
    for n in range(MOST + 20):
        uses.add(record(None, "allowed", at=f"2026-11-02T01:{n % 60:02d}:00Z", n=n, chain="c", case=f"C-{n}"), certain=n == 7)
    detail = uses.detail()
    assert uses.certain
    assert (detail["times"], len(detail["cases"]), len(detail["receipts"])) == (MOST + 20, MOST, MOST)
    assert (detail["first_at"], detail["last_at"]) == ("2026-11-02T01:00:00Z", "2026-11-02T01:59:00Z")
