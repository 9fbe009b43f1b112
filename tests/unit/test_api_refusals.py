"""Refusals on record: nothing is answered that is not recorded, and what comes again and again is summed up."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from exchange.api.problems import problem_of, status_of
from exchange.licences.refusals import MOST, WINDOW_S, Refusals
from exchange.trust.record import LedgerRecord, Receipt
from schemas.errors import DefectError, DeniedError, Fault, OneDoorError, RejectedError, TransientError


class Kept:
    """A ledger in memory that can be away."""

    def __init__(self) -> None:
        self.records: list[LedgerRecord] = []
        self.away = False
        self.open = asyncio.Event()
        self.open.set()

    async def append(self, record: LedgerRecord) -> Receipt:
        await self.open.wait()
        if self.away:
            raise TransientError("away", code="ledger.away")
        self.records.append(record)
        return Receipt("c", len(self.records), "")

    @property
    def counts(self) -> list[tuple[str | None, int]]:
        return [(record.case, record.count) for record in self.records]


class Time:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def refused(case: str = "C") -> LedgerRecord:
    return LedgerRecord(kind="licence.lookup", outcome="refused", case=case)


def made(ledger: Kept, monotonic: Time | None = None) -> Refusals:
    return Refusals(ledger, monotonic or Time())  # type: ignore[arg-type]


def test_the_first_is_recorded_at_once_and_the_same_again_with_its_count() -> None:
    async def scene() -> None:
        ledger, time = Kept(), Time()
        refusals = made(ledger, time)
        for _ in range(4):
            await refusals.record(refused())
        await refusals.record(refused("D"))
        assert ledger.counts == [("C", 1), ("D", 1)]
        await refusals.flush(ended_only=True)
        assert len(ledger.records) == 2
        time.s = WINDOW_S
        await refusals.flush(ended_only=True)
        assert ledger.counts == [("C", 1), ("D", 1), ("C", 3)]
        await refusals.record(refused())
        assert ledger.counts[-1] == ("C", 1)

    asyncio.run(scene())


def test_after_its_window_the_sum_comes_before_the_next() -> None:
    async def scene() -> None:
        ledger, time = Kept(), Time()
        refusals = made(ledger, time)
        for _ in range(3):
            await refusals.record(refused())
        time.s = WINDOW_S
        await refusals.record(refused())
        assert ledger.counts == [("C", 1), ("C", 2), ("C", 1)]

    asyncio.run(scene())


def test_while_the_ledger_is_away_none_of_equal_refusals_is_answered_and_then_one_is_recorded() -> None:
    async def scene() -> None:
        ledger = Kept()
        refusals = made(ledger)
        ledger.away = True
        ledger.open.clear()
        both = asyncio.gather(refusals.record(refused()), refusals.record(refused()), return_exceptions=True)
        await asyncio.sleep(0)
        ledger.open.set()
        assert [type(result) for result in await both] == [TransientError, TransientError]
        with pytest.raises(TransientError):
            await refusals.record(refused())
        ledger.away = False
        await refusals.record(refused())
        await refusals.flush()
        assert ledger.counts == [("C", 1)]

    asyncio.run(scene())


def test_a_sum_that_cannot_be_recorded_is_kept() -> None:
    async def scene() -> None:
        ledger = Kept()
        refusals = made(ledger)
        for _ in range(3):
            await refusals.record(refused())
        ledger.away = True
        with pytest.raises(TransientError):
            await refusals.flush()
        ledger.away = False
        await refusals.flush()
        assert ledger.counts == [("C", 1), ("C", 2)]

    asyncio.run(scene())


def test_many_different_refusals_do_not_fill_the_memory() -> None:
    async def scene() -> None:
        ledger = Kept()
        refusals = made(ledger)
        for i in range(MOST + 5):
            await refusals.record(refused(str(i)))
        assert len(refusals._seen) <= MOST
        assert len(ledger.records) == MOST + 5

    asyncio.run(scene())


ERRORS: list[tuple[OneDoorError, int]] = [
    (TransientError("m", code="store.away", where="host"), 503),
    (RejectedError("m", code="request.body", where="field", fault=Fault.CLIENT), 400),
    (RejectedError("m", code="request.too_large", fault=Fault.CLIENT), 413),
    (RejectedError("m", code="request.media_type", fault=Fault.CLIENT), 415),
    (RejectedError("m", code="request.accept", where="accept", fault=Fault.CLIENT), 406),
    (TransientError("m", code="records.busy", fault=Fault.CLIENT), 503),
    (DeniedError("m", code="lookup.refused", fault=Fault.CLIENT), 403),
    (DeniedError("m", code="token.expired", fault=Fault.CLIENT), 401),
    (DeniedError("m", code="client.refused", fault=Fault.CLIENT), 401),
    (DefectError("m", code="seal.broken", where="licences row 0"), 500),
]


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda v: str(getattr(v, "code", v)))
def test_each_error_is_a_problem_with_its_code_and_status_and_the_hubs_places_stay_inside(
    error: OneDoorError, status: int
) -> None:
    document: dict[str, Any] = problem_of(error)
    assert status_of(error) == document["status"] == status
    assert document["type"] == f"urn:onedoor:problem:{error.code}"
    assert document["fault"] == str(error.fault)
    assert ("where" in document) == (error.fault is Fault.CLIENT and error.where is not None)
    assert msgspec.json.decode(msgspec.json.encode(document)) == document
