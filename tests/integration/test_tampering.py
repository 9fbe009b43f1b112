"""One byte altered on the bus or in the store is found, and its place named."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.bus.api import Message, TopicPartition
from exchange.store.runs import Run
from schemas.contract import Field, LogicalType
from schemas.resource import data_topic, dead_letter_topic, resource_name
from tests.hub import contract
from tests.installation import Expected, Installation, installed


@pytest.fixture
def on_postgres(hub_db: str, empty_db: str, tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path, hub_db, empty_db, "440287") as made:
        yield made


@pytest.fixture
def on_kafka(hub_db: str, empty_db: str, tmp_path: Path, kafka_servers: str) -> Iterator[Installation]:
    with installed(tmp_path, hub_db, empty_db, "440288", {"bus": "kafka", "kafka": kafka_servers}) as made:
        yield made


def _refused(installation: Installation, name: str, offset: int, expected: Expected) -> None:
    """See that the run failed at the message, that it is kept with its origin, and that the next collection works."""
    bus = installation.hub.hub.bus
    topic = data_topic(installation.settings.division, resource_name(name))
    place = f"{topic}[0]@{offset}"
    with installation.working():
        run: Run = installation.closed(name)
        assert run.state == "failed"
        assert run.error is not None
        assert run.error["where"] == place
        assert installation.hub.rows("SELECT to_regclass(%s)::text", f"store.{name}") == [(None,)]
        letters = bus.read(TopicPartition(dead_letter_topic(topic), 0), 0)
        origins = [(m.headers["dlq_topic"], m.headers["dlq_partition"], int(m.headers["dlq_offset"])) for m in letters]
        assert origins[0] == (topic, "0", offset)
        assert letters[0].headers["dlq_code"] == run.error["code"]
        installation.collect(name)
        again = installation.look(name, expected, "level")
        assert again.id != run.id
    ((position,),) = installation.hub.rows("SELECT next FROM exchange.position WHERE topic = %s", topic)
    assert position > offset


def test_a_byte_of_a_message_altered_on_the_postgresql_bus_fails_the_run_and_names_the_place(on_postgres: Installation) -> None:
    expected = on_postgres.plain_table("altered")
    on_postgres.collect("altered")
    altered = on_postgres.hub.rows(
        """UPDATE bus.message m SET value = set_byte(value, 100, get_byte(value, 100) # 1) FROM bus.topic t
           WHERE t.id = m.topic_id AND t.name = %s AND m."offset" = 7 RETURNING 1""",
        data_topic(on_postgres.settings.division, resource_name("altered")),
    )
    assert altered == [(1,)]
    _refused(on_postgres, "altered", 7, expected)


def test_a_header_of_a_message_altered_on_the_postgresql_bus_fails_the_run(on_postgres: Installation) -> None:
    expected = on_postgres.plain_table("altered")
    on_postgres.collect("altered")
    altered = on_postgres.hub.rows(
        """UPDATE bus.message m SET headers = (headers::jsonb || '{"ce_rows": "99"}')::json FROM bus.topic t
           WHERE t.id = m.topic_id AND t.name = %s AND m."offset" = 3 RETURNING 1""",
        data_topic(on_postgres.settings.division, resource_name("altered")),
    )
    assert altered == [(1,)]
    _refused(on_postgres, "altered", 3, expected)


def test_an_altered_copy_of_a_message_on_kafka_fails_the_run_and_names_the_place(on_kafka: Installation) -> None:
    expected = on_kafka.plain_table("altered")
    with on_kafka.command("collect", "altered", "--no-wait", crash="collect.before_manifest") as collector:
        assert collector.ended() == -signal.SIGKILL, collector.words()
    bus = on_kafka.hub.hub.bus
    place = TopicPartition(data_topic(on_kafka.settings.division, resource_name("altered")), 0)
    (real,) = bus.read(place, 2, 1)
    value = bytearray(real.value)
    value[100] ^= 1
    (offset,) = bus.publish([Message(place.topic, 0, real.key, real.headers, bytes(value))])
    on_kafka.collect("altered")
    _refused(on_kafka, "altered", offset, expected)


def test_a_byte_of_a_sealed_row_altered_in_the_store_is_found_and_the_row_named(on_postgres: Installation) -> None:
    expected = on_postgres.personal_table("kept", rows=600)
    with on_postgres.working():
        on_postgres.collect("kept")
        on_postgres.look("kept", expected, "id")
    hub = on_postgres.hub
    assert hub.rows(
        "UPDATE store.kept SET _sealed = set_byte(_sealed, 40, get_byte(_sealed, 40) # 1) WHERE id = 17 RETURNING 1"
    )
    found = hub.reconcile("kept")
    assert not found.equal
    assert (found.missing.count, found.extra.count, found.different.keys) == (0, 0, ("17",))
    assert hub.rows("UPDATE store.kept SET town = '沙溪镇' WHERE id = 23 RETURNING 1")
    assert hub.reconcile("kept").different.keys == ("17", "23")
    with on_postgres.working():
        hub.collect("kept", full=True)
    assert hub.reconcile("kept").equal


def test_a_row_with_a_personal_key_is_named_by_its_pseudonym(on_postgres: Installation) -> None:
    hub = on_postgres.hub
    fields = [
        Field("id_number", LogicalType.STRING, "zjhm", required=True, key=1, personal=True, lookup=True),
        Field("town", LogicalType.STRING, "town"),
    ]
    hub.source(
        "CREATE TABLE holders (zjhm text, town text)",
        "INSERT INTO holders SELECT '44020519900101' || lpad(n::text, 4, '0'), '马坝镇' FROM generate_series(1, 50) n",
    )
    hub.register(replace(contract("holders", fields), table="holders"))
    with on_postgres.working():
        assert hub.collect("holders").state == "proved"
    keys = hub.hub.keys
    wanted = keys.lookup_hash("holders", "id_number", "440205199001010009")
    statement = """UPDATE store.holders SET _sealed = set_byte(_sealed, 30, get_byte(_sealed, 30) # 1)
                   WHERE _lookup_id_number = %s RETURNING 1"""
    assert hub.rows(statement, wanted) == [(1,)]
    found = hub.reconcile("holders")
    assert found.different.count == 1
    assert found.names_personal
    (named,) = found.different.keys
    assert "440205" not in named
    assert hub.rows("UPDATE store.holders SET town = '沙溪镇' WHERE _lookup_id_number = %s RETURNING 1", wanted) == [(1,)]
    assert hub.reconcile("holders").different.keys == (named,)
