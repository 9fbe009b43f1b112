"""kill -9 of the collector and of the worker at each named point, on the PostgreSQL bus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.crash import POINTS
from tests.crashes import CASES, Case, crash, parameters
from tests.installation import Installation, installed


@pytest.fixture(scope="module")
def installation(module_hub_db: str, module_source_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(Path(tmp_path_factory.mktemp("crash")), module_hub_db, module_source_db, "440281") as made:
        yield made


def test_every_named_point_is_reached_by_a_kill() -> None:
    assert {case.point for case in CASES} == set(POINTS)


@pytest.mark.crash
@pytest.mark.parametrize("case", parameters(joins_transaction=True))
def test_a_kill_at_any_point_loses_and_doubles_nothing(installation: Installation, case: Case) -> None:
    crash(installation, case)
