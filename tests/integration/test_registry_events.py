"""Events of the registry on the bus: CloudEvents in JSON, in the order of their changes, each with its change or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.bootstrap import Hub, open_hub
from exchange.bus.api import TopicPartition
from exchange.bus.envelope import Envelope, envelope_of
from exchange.settings import Settings
from exchange.trust.keyfiles import create_keys
from exchange.worker.outbox import publish_outbox
from schemas.errors import RejectedError, TransientError

TOPIC = "onedoor.events.registry"


@pytest.fixture(scope="module")
def hub(module_hub_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home: Path = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, database_url=module_hub_db, api_database_url=module_hub_db)
    create_keys(settings.keys_dir)
    made = open_hub(settings)
    yield made
    made.close()


def on_the_bus(hub: Hub) -> list[tuple[str | None, Envelope]]:
    """Return key and envelope of every event of the registry that the bus has, in order."""
    if hub.bus.topic(TOPIC) is None:
        return []
    messages = hub.bus.read(TopicPartition(TOPIC, 0), 0, 1_000)
    return [(None if m.key is None else m.key.decode(), envelope_of(m)) for m in messages]


def test_an_event_is_on_the_bus_with_its_change_or_not_at_all(hub: Hub) -> None:
    registry = hub.registry
    registry.ensure_department("market", "市场监管局")
    registry.ensure_department("civil", "民政局", parent="market")
    with pytest.raises(RejectedError):
        registry.ensure_department("tax", "税务局", parent="nowhere")
    waiting = registry.events_waiting()
    assert publish_outbox(hub) == 2
    assert publish_outbox(hub) == 0
    (first, market), (second, civil) = on_the_bus(hub)
    assert (first, second) == ("market", "civil")
    assert json.loads(civil.data) == {"name": "民政局", "parent": "market"}
    assert market.attributes["source"] == f"/onedoor/{hub.settings.division}"
    for told, envelope in zip(waiting, (market, civil), strict=True):
        attributes = envelope.attributes
        assert (attributes["id"], attributes["type"], attributes["subject"]) == (told.id, told.type, told.subject)
        assert (attributes["specversion"], attributes["datacontenttype"]) == ("1.0", "application/json")
        assert attributes["type"] == "onedoor.registry.department.made"


def test_after_a_kill_an_event_goes_out_again_under_the_id_that_it_had(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(on_the_bus(hub))
    hub.registry.ensure_department("killed", "被杀局")

    def killed(ids: object) -> None:
        raise TransientError("killed before it was noted", code="test.killed")

    monkeypatch.setattr(hub.registry, "events_published", killed)
    with pytest.raises(TransientError):
        publish_outbox(hub)
    monkeypatch.undo()
    assert publish_outbox(hub) == 1
    again = [envelope.attributes["id"] for _, envelope in on_the_bus(hub)[before:]]
    assert len(again) == 2
    assert len(set(again)) == 1
