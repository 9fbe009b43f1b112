"""The duties of a worker do not wait for each other where one of them must not wait."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from exchange.settings import Settings
from tests.hub import a_hub
from tests.office import Heard

PATIENCE_S = 30.0


class Seen:
    """Stands in for a duty, and says when it was done so many times."""

    def __init__(self, times: int) -> None:
        self.done = threading.Event()
        self._left = threading.Semaphore(times - 1)

    def __call__(self, *_: Any) -> None:
        if not self._left.acquire(blocking=False):
            self.done.set()


@pytest.mark.parametrize("slow", ["exchange.trust.usage.count_usage", "exchange.worker.worker.sweep"])
def test_a_slow_duty_holds_up_neither_the_checkpoint_nor_the_outbox(
    settings: Settings, empty_db: str, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def endless(*_: Any) -> int:
        begun.set()
        go_on.wait()
        return 0

    sealed, published = Seen(3), Seen(2)
    monkeypatch.setattr(slow, endless)
    monkeypatch.setattr("exchange.trust.checkpoint.seal_checkpoint", lambda *_: sealed() if begun.is_set() else None)
    monkeypatch.setattr("exchange.worker.worker.publish_outbox", lambda _: published() if begun.is_set() else None)
    with a_hub(settings.model_copy(update={"checkpoint_s": 0.4}), empty_db):
        try:
            assert begun.wait(PATIENCE_S)
            assert sealed.done.wait(PATIENCE_S)
            assert published.done.wait(PATIENCE_S)
        finally:
            go_on.set()


def test_a_bus_that_is_away_holds_up_no_checkpoint(settings: Settings, empty_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, sealed = threading.Event(), threading.Event(), Seen(3)

    def waits_for_the_bus(_: Any) -> int:
        begun.set()
        go_on.wait()
        return 0

    monkeypatch.setattr("exchange.worker.worker.publish_outbox", waits_for_the_bus)
    monkeypatch.setattr("exchange.trust.checkpoint.seal_checkpoint", lambda *_: sealed() if begun.is_set() else None)
    with a_hub(settings.model_copy(update={"checkpoint_s": 0.4}), empty_db):
        try:
            assert begun.wait(PATIENCE_S)
            assert sealed.done.wait(PATIENCE_S)
        finally:
            go_on.set()


def test_a_duty_with_a_defect_does_not_keep_those_after_it_from_being_done(
    settings: Settings, empty_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, heard = Seen(3), Heard()

    def broken(*_: Any) -> int:
        raise KeyError("a row")

    monkeypatch.setattr("exchange.trust.usage.count_usage", broken)
    monkeypatch.setattr("exchange.worker.worker.ask_destructions", asked)
    with a_hub(settings, empty_db, more={"lease_s": 5.0}) as made:
        made.hub.__dict__["log"] = heard
        assert asked.done.wait(PATIENCE_S)
    told = [e for e in heard.events if e["event"] == "duty defect"]
    assert {(e["duty"], e["error"]) for e in told} <= {("usage", "KeyError")}
    assert "a row" not in str(heard.events)
