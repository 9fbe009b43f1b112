"""The demo district through the whole hub: what is set aside is what the demo made wrong, and what changes there arrives."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.demo import truth
from console.demo.district import District, build, demolish
from console.demo.enrol import RESOURCES, register
from exchange.settings import Settings
from schemas.clock import FakeClock
from tests.hub import HubForTests, a_hub

GENERATED = [r for r in RESOURCES if r != "divisions"]


@pytest.fixture(scope="module")
def district(superuser_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    """A district of 2,000 licences; its databases go when the module ends."""
    home: Path = tmp_path_factory.mktemp("home")
    yield build(superuser_url, home, 2_000, prefix=f"t{secrets.token_hex(4)}_")
    demolish(superuser_url, home)


@pytest.fixture
def hub(settings: Settings, district: District) -> Iterator[HubForTests]:
    """A hub in which the district is enrolled."""
    with a_hub(settings, district.owners["demo_market"]) as made:
        register(made.hub.registry, district, made.hub.clock)
        yield made


def set_aside(hub: HubForTests, run: str) -> Counter[str | None]:
    return Counter(key for (key,) in hub.rows("SELECT row_key FROM exchange.quarantine WHERE run = %s", run))


def test_the_hub_sets_aside_what_the_demo_made_wrong_and_lands_the_rest(hub: HubForTests, district: District) -> None:
    wrong = district.truth()
    for name in GENERATED:
        run = hub.collect(name)
        assert run.state == "proved", (name, run.error)
        assert set_aside(hub, run.id) == truth.keys(wrong, name), name
        assert run.rows_read == (run.rows_landed or 0) + run.rows_set_aside
        assert hub.reconcile(name).equal, name


def test_what_changes_while_the_demo_runs_arrives_with_the_next_run(hub: HubForTests, district: District) -> None:
    first = hub.collect("market_cases")
    just_now = FakeClock(datetime.now(UTC) - timedelta(seconds=20))  # younger than the bound's skew would not be read yet
    changed = district.churn(int(just_now.at.timestamp()), 12, just_now)
    second = hub.collect("market_cases")
    assert (first.mode, second.mode, second.state) == ("full", "incremental", "proved")
    assert (second.rows_inserted, second.rows_changed) == (changed.received, changed.moved)
    assert set_aside(hub, second.id).total() == 0
    assert hub.reconcile("market_cases").equal
