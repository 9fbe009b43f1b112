"""The broker is away, the spool is at its bound, the disk is full: a clear word, and all goes on by itself afterwards."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.store.runs import get_run
from schemas.contract import Field, LogicalType
from schemas.errors import TransientError
from tests.conftest import missing, require
from tests.installation import Expected, Installation, installed, plain

pytestmark = pytest.mark.timeout(420)


@pytest.fixture(scope="module")
def broker() -> Iterator[Path]:
    """The data folder of a broker of this module's own."""
    require("kafka")
    from console.local import kafka

    if kafka.lacking() is not None:
        missing("kafka", "a broker of our own needs Java 17 and Maven")
    folder = Path(tempfile.mkdtemp(prefix="away-", dir=os.environ["ONEDOOR_TEST_SHARED"]))
    kafka.start(folder / "kafka", memory="256m")
    yield folder / "kafka"
    kafka.stop(folder / "kafka")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def installation(broker: Path, hub_db: str, empty_db: str, tmp_path: Path) -> Iterator[Installation]:
    from console.local import kafka

    servers = kafka.start(broker, memory="256m")
    more = {"bus": "kafka", "kafka": servers, "chunk_rows": 5_000, "message_rows": 2_000, "spool_bytes": 1 << 20}
    division = f"44{secrets.randbelow(10_000):04}"  # topics of its own
    with installed(tmp_path, hub_db, empty_db, division, more) as made:
        yield made


def _stop(broker: Path) -> None:
    from console.local import kafka

    kafka.stop(broker)


def _start(broker: Path) -> None:
    from console.local import kafka

    kafka.start(broker, memory="256m")


def test_collection_goes_on_into_the_spool_and_the_worker_publishes_when_the_broker_is_back(
    broker: Path, installation: Installation
) -> None:
    before = installation.personal_table("away")
    with installation.working():
        installation.collect("away")
        installation.look("away", before, "id")
        expected = installation.changed("away", before)
        _stop(broker)
        run = installation.collect("away")
        with installation.hub.hub.connect() as connection:
            assert get_run(connection, run).state == "collected"
        assert list(installation.settings.spool_dir.glob("*/*.chunk"))
        _start(broker)
        installation.look("away", expected, "id")


def test_a_spool_at_its_bound_is_a_clear_word_and_the_next_collection_goes_on(broker: Path, installation: Installation) -> None:
    hub = installation.hub
    hub.source("CREATE TABLE wide (code text, name text, level int)")
    hub.register(
        replace(
            plain("wide"), fields=(plain("wide").fields[0], Field("name", LogicalType.STRING, "name"), plain("wide").fields[2])
        )
    )
    hub.source("INSERT INTO wide SELECT lpad(n::text, 6, '0'), md5(n::text), 1 FROM generate_series(1, 60000) n")
    with installation.command("collect", "wide", "--no-wait", crash="collect.before_spool:2") as collector:
        collector.ended()
    _stop(broker)
    with pytest.raises(TransientError) as refused:
        installation.collect("wide")
    assert refused.value.code == "spool.full"
    assert "1 MiB" in refused.value.message
    _start(broker)
    with installation.working():
        installation.collect("wide")
        installation.look("wide", Expected(60_000, 0, 60_000, 0, 60_000, 60_000), "level")


def test_a_full_disk_is_a_clear_word_and_the_next_collection_goes_on(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = installation.plain_table("full_disk", rows=20_000)
    synced = os.fsync
    passes = iter(range(10))

    def full(descriptor: int) -> None:
        if next(passes) >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr("exchange.collect.spool.os.fsync", full)
        with pytest.raises(TransientError, match="No space left on device") as refused:
            installation.collect("full_disk")
    assert refused.value.code == "spool.no_room"
    assert "spool" in (refused.value.where or "")
    with installation.working():
        installation.collect("full_disk")
        assert installation.look("full_disk", expected, "level").attempt == 2
