"""The topics that a worker lands, followed by what changed; and near names, looked for among so many only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from catalog_registry.registry import Registry
from exchange.bootstrap import Hub, open_hub
from exchange.settings import Settings
from exchange.worker.topics import Topics
from schemas.errors import RejectedError
from schemas.odcs import read_contract, write_contract
from schemas.secret import Secret
from tests.contract_text import contract_text


@pytest.fixture
def hub(settings: Settings) -> Iterator[Hub]:
    made = open_hub(settings)
    registry = made.registry
    registry.ensure_department("market", "市场监督管理局")
    registry.ensure_system("approval", "审批系统", "market")
    registry.add_source("market_db", Secret("postgresql://reader:x@db.market.local:5432/approval"), system="approval")
    yield made
    made.close()


def register(hub: Hub, name: str, partitions: int = 1) -> None:
    from dataclasses import replace

    contract = read_contract(contract_text(name), where=name)
    hub.registry.register_resource(write_contract(replace(contract, partitions=partitions)), by="p1")


def test_the_topics_are_those_of_all_resources_after_each_change(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    topics = Topics(hub, "w")
    assert topics.look() == []
    register(hub, "staff")
    register(hub, "wide", 3)
    made = topics.look()
    assert [name.rpartition(".")[2] for name in made] == ["staff", "wide"]
    assert [hub.bus.ensure_topic(name, n).partitions for name, n in zip(made, (1, 3), strict=True)] == [1, 3]
    asked: list[object] = []
    whole = hub.registry.collected
    monkeypatch.setattr(hub.registry, "collected", lambda names=None: asked.append(names) or whole(names))
    assert topics.look() is topics.look()
    hub.registry.create_person("editor", "market", roles=("provider_editor",))
    assert topics.look() == made
    register(hub, "late", 2)
    assert topics.look() == Topics(hub, "other").look() == sorted([made[0].replace("staff", "late"), *made])
    assert asked == [{"late"}, None]


def test_a_resource_whose_topic_has_other_partitions_is_told_once_and_left_out(hub: Hub) -> None:
    from schemas.resource import data_topic, resource_name

    hub.bus.ensure_topic(data_topic(hub.settings.division, resource_name("staff")), 4)
    register(hub, "staff")
    register(hub, "late")
    assert [name.rpartition(".")[2] for name in Topics(hub, "w").look()] == ["late"]


def test_near_names_are_told_of_many_too_without_reading_all(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry = hub.registry
    for name in ("alpha", "staff", "stock", "zebra"):
        register(hub, name)
    monkeypatch.setattr("catalog_registry.store.rows.MOST_NEAR", 2)
    for wrong, near in (("stafff", "near it: staff"), ("zebr", "near it: zebra")):
        with pytest.raises(RejectedError, match=near):
            registry.resource(wrong)
    with pytest.raises(RejectedError) as refusal:
        registry.resource("nothing_like_it")
    assert "near it" not in refusal.value.message
