"""kill -9 of the collector and of the worker at each named point, on Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashes import Case, crash, parameters
from tests.installation import Installation, installed


@pytest.fixture(scope="module")
def installation(
    module_hub_db: str, module_source_db: str, kafka_servers: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    with installed(
        Path(tmp_path_factory.mktemp("crash")),
        module_hub_db,
        module_source_db,
        "440282",
        {"bus": "kafka", "kafka": kafka_servers},
    ) as made:
        yield made


@pytest.mark.crash
@pytest.mark.parametrize("case", parameters(joins_transaction=False))
def test_a_kill_at_any_point_loses_and_doubles_nothing(installation: Installation, case: Case) -> None:
    crash(installation, case)
