"""Two workers on one group, one of them frozen in the middle of its work until the other took over: every row once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Installation, installed

pytestmark = [pytest.mark.crash, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def on_postgres(module_hub_db: str, module_source_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(Path(tmp_path_factory.mktemp("frozen")), module_hub_db, module_source_db, "440283") as made:
        yield made


@pytest.fixture
def on_kafka(hub_db: str, empty_db: str, kafka_servers: str, tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path, hub_db, empty_db, "440284", {"bus": "kafka", "kafka": kafka_servers}) as made:
        yield made


def _freeze(installation: Installation, name: str, point: str) -> None:
    """Freeze one worker at the point, have another do the work, and see that the first goes on working when it is let go."""
    expected = installation.personal_table(name)
    with installation.command("worker", freeze=point) as worker:
        installation.collect(name)
        assert worker.frozen(), worker.words()
        with installation.working():
            installation.look(name, expected, "id")
        assert worker.frozen(0)
        worker.go_on()
        expected = installation.changed(name, expected)
        installation.collect(name)
        installation.look(name, expected, "id")
        assert worker.stop() == 0, worker.words()
        assert "worker defect" not in worker.words()


def test_a_worker_frozen_inside_its_landing_transaction_is_fenced_on_the_postgresql_bus(on_postgres: Installation) -> None:
    _freeze(on_postgres, "landing", "land.in_transaction:2")


def test_a_worker_frozen_before_its_landing_transaction_is_fenced_on_the_postgresql_bus(on_postgres: Installation) -> None:
    _freeze(on_postgres, "before", "land.before_transaction:2")


def test_a_worker_frozen_while_it_closes_a_run_lets_another_close_it(on_postgres: Installation) -> None:
    _freeze(on_postgres, "closing", "close.in_transaction:1")


def test_a_worker_frozen_inside_its_landing_transaction_is_fenced_on_kafka(on_kafka: Installation) -> None:
    _freeze(on_kafka, "landing", "land.in_transaction:2")


def test_a_worker_frozen_before_its_landing_transaction_is_fenced_on_kafka(on_kafka: Installation) -> None:
    _freeze(on_kafka, "before", "land.before_transaction:2")
