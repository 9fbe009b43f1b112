"""The items of a department's system, collected and landed for real, are brought into the register by the worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog_registry.item_life import ItemState
from catalog_registry.store.change import CHANNEL
from exchange.bootstrap import Hub
from exchange.items.bring import Bringer, bring_items, bring_licence_types
from exchange.settings import Settings
from exchange.trust.keyfiles import create_keys
from schemas.contract import Field, Limits, LogicalType
from schemas.errors import RejectedError
from tests.hub import HubForTests, a_hub, contract
from tests.items import BASIC, CODE, MARKET, TOWN, TOWN_CODE

S, N, D = LogicalType.STRING, LogicalType.INTEGER, LogicalType.DATE
LIMITS = Limits(bad=0.9, shrink=0.9)
CATALOGUE = (
    contract(
        "items",
        [
            Field("item_code", S, "task_code", required=True, key=1, code="item_code"),
            Field("basic_code", S, "basic"),
            Field("name", S, "name", required=True, max_length=20),
            Field("department_code", S, "dept_code"),
            Field("department", S, "dept"),
            Field("promise_days", N, "promise"),
            Field("effective_on", D, "starts"),
        ],
        limits=LIMITS,
    ),
    contract(
        "item_implementations",
        [
            Field("handling_code", S, "handle", required=True, key=1),
            Field("item_code", S, "task_code", required=True),
            Field("name", S, "name"),
        ],
    ),
    contract(
        "item_materials",
        [
            Field("item_code", S, "task_code", required=True, key=1),
            Field("material_code", S, "code", required=True, key=2),
            Field("name", S, "name", required=True, max_length=20),
        ],
        limits=LIMITS,
    ),
    contract(
        "licence_types",
        [
            Field("licence_type", S, "code", required=True, key=1),
            Field("name", S, "name", required=True),
            Field("agency", S, "agency"),
            Field("agency_code", S, "agency_code"),
        ],
    ),
)
TABLES = (
    "CREATE TABLE items (task_code text, basic text, name text, dept_code text, dept text, promise int, starts date)",
    "CREATE TABLE item_implementations (handle text, task_code text, name text)",
    "CREATE TABLE item_materials (task_code text, code text, name text)",
    "CREATE TABLE licence_types (code text, name text, agency text, agency_code text)",
    f"INSERT INTO items VALUES ('{CODE}', '{BASIC}', '食品经营许可', '{MARKET}', '市场监管局', 5, '2024-01-01')",
    f"INSERT INTO items VALUES ('{TOWN_CODE}', '{BASIC}', '食品经营许可', '{TOWN}', '马坝镇', 2, '2024-01-01')",
    f"INSERT INTO item_implementations VALUES ('{CODE}01', '{CODE}', '窗口办理'), ('{TOWN_CODE}01', '{TOWN_CODE}', '代办')",
    f"INSERT INTO item_materials VALUES ('{CODE}', 'A', '申请表'), ('{CODE}', 'B', '身份证'), ('{TOWN_CODE}', 'A', '申请表')",
    f"INSERT INTO licence_types VALUES ('{MARKET}001', '食品经营许可证', '市场监管局', '{MARKET}')",
)


@pytest.fixture(scope="module")
def made(module_hub_db: str, module_source_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubForTests]:
    """A hub that has collected the catalogue once, and whose worker has brought it into the register."""
    home: Path = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, database_url=module_hub_db, api_database_url=module_hub_db)
    create_keys(settings.keys_dir)
    with a_hub(settings, module_source_db) as hub:
        hub.source(*TABLES)
        registry = hub.hub.registry
        registry.ensure_department("market", "市场监管局", credit_code=MARKET)
        for each in CATALOGUE:
            hub.register(each)
            assert hub.collect(each.name).state == "proved"
        hub.stop_workers()
        with hub.hub.connect(autocommit=True) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            hub.start_worker()  # a worker does its duties when it starts
            for _ in connection.notifies(timeout=30):
                if registry.items() and registry.licence_types():
                    break
        yield hub


def collected(made: HubForTests, name: str, *statements: str) -> None:
    made.source(*statements)
    run = made.collect(name)
    assert run.state == "proved", run.error
    bring_items(made.hub)


def test_the_worker_brings_items_with_their_parts_and_licence_types(made: HubForTests) -> None:
    registry = made.hub.registry
    (version,) = registry.item_versions(CODE)
    found = version.item
    assert (found.name, found.basic_code, found.body_code) == ("食品经营许可", BASIC, MARKET)
    assert [w.code for w in found.ways] == [f"{CODE}01"]
    assert [m.code for m in found.materials] == ["A", "B"]
    assert version.by.startswith("run ")
    record = registry.item(CODE)
    assert (record.owner, record.department, record.state) == ("test_system", "market", ItemState.IN_FORCE)
    assert [b.variant for b in registry.bodies(BASIC)] == ["main", "lower"]
    assert registry.licence_type(f"{MARKET}001").owner == "test_system"


def test_looking_again_changes_nothing(made: HubForTests) -> None:
    version = made.hub.registry.version()
    done, types = bring_items(made.hub), bring_licence_types(made.hub)
    assert done is not None and types is not None  # noqa: PT018
    assert (done.unchanged, done.changed, types.unchanged) == (2, 0, 1)
    Bringer(made.hub).look()
    assert made.hub.registry.version() == version


def test_what_is_the_systems_is_refused_with_its_name(made: HubForTests) -> None:
    registry = made.hub.registry
    registry.create_person("officer", "test_department", roles=("registration_officer",))
    item = registry.item_versions(CODE)[-1].item
    with pytest.raises(RejectedError) as refusal:
        registry.set_item(item, by="officer", expected_version=1)
    assert (refusal.value.code, "test_system" in refusal.value.message) == ("item.owned_elsewhere", True)


def test_a_change_at_the_source_is_a_new_version_and_a_bad_row_changes_nothing(made: HubForTests) -> None:
    collected(made, "items", f"UPDATE items SET promise = 3 WHERE task_code = '{CODE}'")
    registry = made.hub.registry
    assert [v.item.promised.number for v in registry.item_versions(CODE) if v.item.promised] == [5, 3]
    too_long = "很" * 30
    collected(made, "items", f"UPDATE items SET name = '{too_long}' WHERE task_code = '{CODE}'")
    assert made.rows("SELECT count(*) FROM store.items") == [(1,)]
    assert (registry.item(CODE).state, registry.item(CODE).version) == (ItemState.IN_FORCE, 2)
    collected(made, "items", f"UPDATE items SET name = '食品经营许可' WHERE task_code = '{CODE}'")
    collected(
        made, "item_materials", f"UPDATE item_materials SET name = '{too_long}' WHERE task_code = '{CODE}' AND code = 'B'"
    )
    assert [m.name for m in registry.item_versions(CODE)[-1].item.materials] == ["申请表", "身份证"]
    collected(made, "item_materials", f"DELETE FROM item_materials WHERE task_code = '{CODE}' AND code = 'B'")
    assert [m.code for m in registry.item_versions(CODE)[-1].item.materials] == ["A"]
    assert registry.item(CODE).version == 3


def test_an_item_that_vanished_at_the_source_is_ended_with_its_versions(made: HubForTests) -> None:
    before = made.hub.registry.item_versions(TOWN_CODE)
    hub: Hub = made.hub
    made.source(f"DELETE FROM items WHERE task_code = '{TOWN_CODE}'")
    assert made.collect("items", allow_shrink=True).state == "proved"
    bring_items(hub)
    found = hub.registry.item_versions(TOWN_CODE)
    assert found[: len(before)] == before
    assert (found[-1].event, found[-1].state, found[-1].item) == ("end", ItemState.ENDED, before[-1].item)


def test_a_contract_without_what_makes_an_item_is_told_and_nothing_is_ended(made: HubForTests) -> None:
    from exchange.items import rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(rows.NEEDED, "items", ("item_code", "colour"))  # type: ignore[arg-type]
        with pytest.raises(RejectedError) as refusal:
            bring_items(made.hub)
    assert (refusal.value.code, "colour" in refusal.value.message) == ("item.contract", True)
