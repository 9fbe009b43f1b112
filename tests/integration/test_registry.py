"""The registry on a real database: what is given is read back, each change carries its event, no secret is kept."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from catalog_registry.records import PrincipalKind, Receiver, ReceiverKind, kept_contract
from catalog_registry.registry import Registry
from catalog_registry.snapshot import dags_snapshot, read_dags_json
from console.local.ports import choose
from schemas.clock import FakeClock
from schemas.contract import DataContract
from schemas.errors import DeniedError, OneDoorError, RejectedError, TransientError
from schemas.odcs import read_contract
from schemas.rowfilter import fits, holds, parse
from schemas.secret import Secret
from tests.contract_text import contract_text

PLANTED = "Pl4nted-p@ssword"
URL = Secret("postgresql://reader:Pl4nted-p%40ssword@db.market.local:5432/approval")
MARKET = Receiver(ReceiverKind.DEPARTMENT, "market")


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    """A registry with a keys folder and a snapshot of its own."""
    made = Registry(hub_db, clock, keys_dir=tmp_path / "keys", dags_json=tmp_path / "dags.json")
    yield made
    made.close()


@pytest.fixture
def staffed(registry: Registry) -> Registry:
    """A registry with a department, its system, its source, and the resource ``staff``."""
    registry.ensure_department("market", "市场监督管理局")
    registry.ensure_system("approval", "审批系统", "market")
    registry.add_source("market_db", URL, system="approval")
    registry.register_resource(contract_text(), by="p1")
    registry.events_published([e.id for e in registry.events_waiting()])
    return registry


def grant(registry: Registry, **changes: Any) -> Any:
    now = datetime(2026, 11, 2, tzinfo=UTC)
    terms: dict[str, Any] = {
        "receiver": MARKET,
        "resource": "staff",
        "fields": ["title", "id"],
        "legal_basis": "国令809",
        "from_at": now,
        "to_at": now + timedelta(days=30),
        "by": "p1",
        "purposes": ["accept_case"],
    }
    return registry.make_grant(**(terms | changes))


def types(registry: Registry) -> list[tuple[str, str]]:
    return [(e.type.removeprefix("onedoor.registry."), e.subject) for e in registry.events_waiting()]


# Departments and systems


def test_a_department_and_its_system_are_read_back_and_the_same_again_is_no_change(registry: Registry) -> None:
    registry.ensure_department("qujiang", "曲江区")
    made = registry.ensure_department("market", "市场监督管理局", credit_code="91110000101623741K", parent="qujiang")
    registry.ensure_system("approval", "审批系统", "market")
    version = registry.version()
    assert registry.ensure_department("market", "市场监督管理局", credit_code="91110000101623741K", parent="qujiang") == made
    registry.ensure_system("approval", "审批系统", "market")
    assert registry.version() == version
    assert [d.code for d in registry.departments()] == ["market", "qujiang"]
    assert registry.departments()[0] == made
    assert [(s.code, s.department) for s in registry.systems()] == [("approval", "market")]
    assert types(registry) == [("department.made", "qujiang"), ("department.made", "market"), ("system.made", "approval")]


def test_a_credit_code_with_a_bad_check_digit_is_refused(registry: Registry) -> None:
    with pytest.raises(RejectedError) as refusal:
        registry.ensure_department("market", "市场监督管理局", credit_code="911100001016237410")
    assert refusal.value.code == "department.credit_code"
    assert registry.departments() == []


def test_two_departments_cannot_have_one_credit_code(registry: Registry) -> None:
    registry.ensure_department("a", "甲", credit_code="91110000101623741K")
    with pytest.raises(RejectedError, match="another department has that credit code"):
        registry.ensure_department("b", "乙", credit_code="91110000101623741K")


def test_a_cycle_in_the_tree_of_departments_is_refused(registry: Registry) -> None:
    registry.ensure_department("a", "甲")
    registry.ensure_department("b", "乙", parent="a")
    registry.ensure_department("c", "丙", parent="b")
    for parent in ("c", "a"):
        with pytest.raises(RejectedError) as refusal:
            registry.ensure_department("a", "甲", parent=parent)
        assert refusal.value.code == "department.cycle"


def test_an_unknown_department_is_told_its_near_ones(registry: Registry) -> None:
    registry.ensure_department("market", "市场监督管理局")
    with pytest.raises(RejectedError, match="near it: market") as refusal:
        registry.ensure_system("approval", "审批系统", "markt")
    assert refusal.value.code == "department.unknown"


# Sources


def test_a_source_gives_its_url_with_the_password_and_shows_it_without(staffed: Registry) -> None:
    source = staffed.source("market_db")
    assert source.url() == URL
    assert source.url_shown == "postgresql://reader@db.market.local:5432/approval"
    assert source.secret_ref == "file:sources/market_db"
    assert (source.system, source.department) == ("approval", "market")
    assert PLANTED not in repr(source)
    assert staffed.sources() == [source]


def test_no_password_is_anywhere_in_the_database(staffed: Registry, hub_db: str, tmp_path: Path) -> None:
    staffed.add_source(
        "second", Secret(f"mysql://u:{PLANTED.replace('@', '%40')}@h/d"), system="approval", settings={"charset": "gb18030"}
    )
    _, secret = staffed.create_machine("intake", "market")
    with psycopg.connect(hub_db) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for table in tables:
            text = connection.execute(
                sql.SQL("SELECT coalesce(string_agg(t::text, ' '), '') FROM {} t").format(sql.Identifier(*table))
            )
            held = str(text.fetchone())
            for planted in (PLANTED, PLANTED.replace("@", "%40"), secret.reveal()):
                assert planted not in held, table
    assert len(tables) > 20
    assert (tmp_path / "keys" / "sources" / "market_db").read_text() == PLANTED


def test_the_database_itself_refuses_a_url_with_a_password(staffed: Registry, hub_db: str) -> None:
    with (
        psycopg.connect(hub_db) as connection,
        pytest.raises(psycopg.errors.CheckViolation, match="ck_source_url_without_password"),
    ):
        connection.execute("UPDATE registry.source SET url = 'postgresql://reader:x@h/d'")


def test_a_source_given_again_has_the_new_url_and_a_password_of_the_environment_leaves_no_file(
    staffed: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET_PASSWORD", "other")
    staffed.add_source(
        "market_db", Secret("postgresql://reader@new.local/approval"), system="approval", password_env="MARKET_PASSWORD"
    )
    assert staffed.source("market_db").url() == Secret("postgresql://reader:other@new.local/approval")
    assert list((tmp_path / "keys" / "sources").iterdir()) == []


def test_a_source_that_a_resource_is_read_from_is_not_removed(staffed: Registry, tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="resources are read from it: staff"):
        staffed.remove_source("market_db")
    staffed.add_source("unused", URL, system="approval")
    staffed.remove_source("unused")
    assert [s.name for s in staffed.sources()] == ["market_db"]
    assert [p.name for p in (tmp_path / "keys" / "sources").iterdir()] == ["market_db"]


def test_a_source_moves_to_no_other_system(staffed: Registry) -> None:
    staffed.ensure_system("other", "另一系统", "market")
    with pytest.raises(RejectedError) as refusal:
        staffed.add_source("market_db", Secret("postgresql://reader:x@h/d"), system="other")
    assert refusal.value.code == "source.other_system"
    assert staffed.source("market_db").url() == URL


# Resources


def test_a_registered_resource_is_read_back_with_its_contract(staffed: Registry) -> None:
    resource = staffed.resource("staff")
    assert resource.odcs == contract_text()
    assert [f.name for f in resource.contract.fields] == ["id", "title", "citizen_id"]
    assert [f.name for f in resource.contract.personal] == ["citizen_id"]
    assert (resource.version, resource.state, resource.department, resource.source.name) == (
        "1.0.0",
        "published",
        "market",
        "market_db",
    )
    assert staffed.resources() == [resource]


def test_the_same_contract_again_changes_nothing_whatever_its_layout(staffed: Registry) -> None:
    version = staffed.version()
    assert staffed.register_resource("# a note\n" + contract_text(), by="p2") == staffed.resource("staff")
    assert staffed.version() == version
    assert [v.by for v in staffed.contract_versions("staff")] == ["p1"]


def test_other_content_under_the_same_version_is_refused(staffed: Registry) -> None:
    with pytest.raises(RejectedError) as refusal:
        staffed.register_resource(contract_text(field="post"), by="p1")
    assert refusal.value.code == "contract.version_taken"
    assert staffed.resource("staff").odcs == contract_text()


def test_a_new_version_comes_into_force_and_the_old_one_can_still_be_read(staffed: Registry, clock: FakeClock) -> None:
    clock.advance(timedelta(hours=1))
    changed = staffed.register_resource(contract_text(version="1.1.0", field="post"), by="p2", code="3070150500300/000001")
    assert [f.name for f in changed.contract.fields] == ["id", "post", "citizen_id"]
    assert changed.code == "3070150500300/000001"
    assert [(v.version, v.status, v.by) for v in staffed.contract_versions("staff")] == [
        ("1.0.0", "retired", "p1"),
        ("1.1.0", "active", "p2"),
    ]
    assert [f.name for f in staffed.contract("staff", "1.0.0").fields] == ["id", "title", "citizen_id"]
    assert types(staffed) == [("resource.changed", "staff"), ("resource.coded", "staff")]


def test_a_new_version_with_other_partitions_is_refused_and_the_one_in_force_stays(staffed: Registry) -> None:
    more = contract_text(version="1.1.0") + "  - property: onedoor.partitions\n    value: 4\n"
    with pytest.raises(RejectedError) as refusal:
        staffed.register_resource(more, by="p1")
    assert (refusal.value.code, refusal.value.where) == ("resource.partitions", "staff")
    assert "1 partition, and this version of its contract wants 4 partitions" in str(refusal.value)
    assert staffed.resource("staff").version == "1.0.0"
    assert [v.version for v in staffed.contract_versions("staff")] == ["1.0.0"]


def test_a_new_version_with_another_key_is_refused(staffed: Registry) -> None:
    keyed = contract_text(version="1.1.0").replace(
        "      - name: citizen_id\n", "      - name: citizen_id\n        primaryKey: true\n        primaryKeyPosition: 2\n"
    )
    with pytest.raises(RejectedError) as refusal:
        staffed.register_resource(keyed, by="p1")
    assert (refusal.value.code, refusal.value.where) == ("resource.key", "staff")
    assert "the key is (id), and this version of the contract changes it to (id, citizen_id)" in str(refusal.value)
    assert "another name and withdraw this one on a date" in str(refusal.value.remedy)
    assert staffed.resource("staff").version == "1.0.0"


def test_a_version_below_the_one_in_force_is_refused(staffed: Registry) -> None:
    with pytest.raises(RejectedError) as refusal:
        staffed.register_resource(contract_text(version="0.9.0", field="post"), by="p1")
    assert refusal.value.code == "contract.version_order"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"source": "nowhere"}, "source.unknown"),
        ({"system": "other"}, "contract.other_system"),
        ({"department": "other"}, "contract.other_department"),
        ({"keyed": False}, "contract"),
    ],
)
def test_a_contract_that_does_not_belong_or_has_no_key_is_refused_and_leaves_nothing(
    staffed: Registry, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(RejectedError) as refusal:
        staffed.register_resource(contract_text("fresh", **change), by="p1")
    assert refusal.value.code.startswith(code)
    assert [r.name for r in staffed.resources()] == ["staff"]
    assert types(staffed) == []


def test_an_unknown_resource_is_told_its_near_ones(staffed: Registry) -> None:
    with pytest.raises(RejectedError, match="near it: staff"):
        staffed.resource("stuff")


def test_the_snapshot_for_airflow_follows_each_registration(staffed: Registry, tmp_path: Path) -> None:
    assert read_dags_json(tmp_path / "dags.json") == [
        {
            "name": "staff",
            "title": "从业人员",
            "schedule": "15 2 * * *",
            "source": "market_db",
            "pool": "onedoor_approval",
            "department": "market",
            "version": "1.0.0",
            "contract_hash": staffed.resource("staff").contract_hash,
            "personal": True,
            "mode": "full",
        }
    ]
    staffed.register_resource(contract_text("a_first"), by="p1")
    assert [row["name"] for row in read_dags_json(tmp_path / "dags.json")] == ["a_first", "staff"]


def test_a_snapshot_that_a_kill_left_too_old_is_mended_and_one_that_is_right_is_not_looked_at(
    staffed: Registry, hub_db: str, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "dags.json"
    killed = Registry(hub_db, clock)  # commits, and dies before it writes the snapshot
    killed.register_resource(contract_text("a_first"), by="p1")
    killed.close()
    assert [row["name"] for row in read_dags_json(file)] == ["staff"]
    assert staffed.refresh_dags() is True
    assert [row["name"] for row in read_dags_json(file)] == ["a_first", "staff"]
    with monkeypatch.context() as still:
        still.setattr("catalog_registry.snapshot.refresh", None)
        assert staffed.refresh_dags() is False
    file.write_text("broken")
    assert staffed.refresh_dags() is True
    file.unlink()
    assert staffed.refresh_dags() is True
    assert [row["name"] for row in read_dags_json(file)] == ["a_first", "staff"]


def test_a_contract_that_the_snapshot_knows_is_not_parsed_again(staffed: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def counting(text: str, *, where: str, registered: bool) -> DataContract:
        parsed.append(where)
        return read_contract(text, registered=registered)

    monkeypatch.setattr("catalog_registry.records.read_contract", counting)
    kept_contract.cache_clear()
    last = dags_snapshot(staffed)
    assert parsed == ["staff 1.0.0"]
    assert dags_snapshot(staffed, last) == last
    assert parsed == ["staff 1.0.0"]
    staffed.register_resource(contract_text(version="1.1.0", field="post"), by="p1")
    assert dags_snapshot(staffed, last)[0]["version"] == "1.1.0"
    assert parsed[1:] == ["staff 1.1.0"] * (len(parsed) - 1)


def test_no_grant_is_made_of_a_resource_that_is_not_published(staffed: Registry, hub_db: str) -> None:
    with psycopg.connect(hub_db) as connection:
        connection.execute("UPDATE registry.resource SET state = 'withdrawn'")
    with pytest.raises(RejectedError) as refusal:
        grant(staffed)
    assert refusal.value.code == "grant.resource_state"


def test_resources_registered_at_once_are_all_there_and_in_the_snapshot(staffed: Registry, tmp_path: Path) -> None:
    names = [f"r{n}" for n in range(6)]
    refusals: list[OneDoorError] = []

    def register(name: str) -> None:
        try:
            staffed.register_resource(contract_text(name), by="p1")
        except OneDoorError as error:
            refusals.append(error)

    threads = [threading.Thread(target=register, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert refusals == []
    assert [r.name for r in staffed.resources()] == [*names, "staff"]
    assert [row["name"] for row in read_dags_json(tmp_path / "dags.json")] == [*names, "staff"]


# Grants


def test_a_grant_is_read_back_as_made(staffed: Registry, clock: FakeClock) -> None:
    made = grant(staffed, row_filter="title  IN ('manager')", items=["11440200006123456X3440205001000"])
    assert made == staffed.grant(made.id)
    assert staffed.grants() == staffed.grants(resource="staff") == staffed.grants(receiver=MARKET) == [made]
    assert staffed.grants(receiver=Receiver(ReceiverKind.SYSTEM, "market")) == []
    assert (made.fields, made.row_filter, made.version) == (("title", "id"), parse("title in ('manager')"), 1)
    assert grant(staffed, row_filter=made.row_filter).row_filter == made.row_filter
    assert made.in_force(clock.now())
    assert not made.in_force(made.to_at)
    assert not made.in_force(made.from_at - timedelta(microseconds=1))


def test_a_filter_that_the_database_holds_and_nobody_can_read_lets_nothing_through_and_stops_no_other_grant(
    staffed: Registry, hub_db: str
) -> None:
    made, other = grant(staffed, row_filter="title = 'a'"), grant(staffed)
    with psycopg.connect(hub_db) as connection:
        connection.execute("UPDATE registry.grant_ SET row_filter = 'title = ' WHERE id = %s", (made.id,))
    listed = {g.id: g for g in staffed.grants()}
    assert listed[other.id] == other
    broken = listed[made.id]
    assert broken.row_filter is not None
    assert broken.row_filter.text == "title = "
    assert not fits(broken.row_filter, staffed.resource("staff").contract)
    assert not holds(broken.row_filter, {"title": "a", "id": 1})


def test_a_revoked_grant_is_not_in_force_and_says_who_and_why(staffed: Registry, clock: FakeClock) -> None:
    made = grant(staffed)
    clock.advance(timedelta(minutes=5))
    ended = staffed.revoke_grant(made.id, by="p2", why="abolished")
    assert ended == dataclasses.replace(made, revoked_at=clock.now(), revoked_by="p2", revoked_why="abolished", version=2)
    assert not ended.in_force(clock.now())
    version = staffed.version()
    clock.advance(timedelta(minutes=5))
    assert staffed.revoke_grant(made.id, by="p3", why="again") == ended
    assert staffed.version() == version


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"resource": "nothing"}, "resource.unknown"),
        ({"fields": ["salary"]}, "grant.unknown_field"),
        ({"receiver": Receiver(ReceiverKind.SYSTEM, "nothing")}, "system.unknown"),
        ({"receiver": Receiver(ReceiverKind.PRINCIPAL, "nothing")}, "principal.unknown"),
        ({"row_filter": "citizen_id = 'x'"}, "filter.sealed"),
        ({"row_filter": "title = 'x"}, "filter.syntax"),
        ({"row_filter": ""}, "filter.syntax"),
        ({"quota": {"burst": 10}}, "grant.quota"),
        ({"legal_basis": " "}, "registry.empty"),
        ({"purposes": []}, "grant.no_purpose"),
    ],
)
def test_a_grant_that_cannot_be_enforced_is_refused(staffed: Registry, change: dict[str, Any], code: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        grant(staffed, **change)
    assert refusal.value.code == code
    assert staffed.grants() == []


def test_the_database_refuses_a_grant_with_a_quota_without_a_purpose_or_with_two_receivers(
    staffed: Registry, hub_db: str
) -> None:
    made = grant(staffed)
    for change, rule in (
        ("quota = '{}'", "ck_grant__quota_form"),
        ("quota = '{\"per_year\": 1}'", "ck_grant__quota_form"),
        ("quota = '{\"per_day\": 0}'", "ck_grant__quota_form"),
        ("quota = '{\"per_day\": 1.5}'", "ck_grant__quota_form"),
        ('quota = \'{"per_day": "1"}\'', "ck_grant__quota_form"),
        ("quota = '{\"burst\": 1}'", "ck_grant__quota_form"),
        ("quota = '[]'", "ck_grant__quota_form"),
        ("purposes = '{}'", "ck_grant__has_purpose_or_item"),
        ("receiver_system = 'approval'", "ck_grant__one_receiver"),
        ("receiver_department = NULL", "ck_grant__one_receiver"),
        ("fields = '{}'", "ck_grant__has_fields"),
        ("legal_basis = ''", "ck_grant__has_legal_basis"),
        ("to_at = from_at", "ck_grant__interval"),
        ("revoked_at = made_at", "ck_grant__revoked_by_somebody"),
    ):
        with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.CheckViolation) as refusal:
            connection.execute(sql.SQL(f"UPDATE registry.grant_ SET {change}"))
        assert refusal.value.diag.constraint_name == rule
    assert staffed.grant(made.id) == made


def test_a_grant_raises_the_version_and_wakes_those_who_listen(staffed: Registry, hub_db: str) -> None:
    with psycopg.connect(hub_db, autocommit=True) as listener:
        listener.execute("LISTEN onedoor_registry")
        made = grant(staffed)
        version = staffed.version()
        staffed.revoke_grant(made.id, by="p1", why="x")
        told = [n.payload for n in listener.notifies(timeout=10, stop_after=2)]
    assert told == [str(version), str(version + 1)] == [str(staffed.version() - 1), str(staffed.version())]


# Principals


def test_a_machine_proves_itself_by_its_secret_only(staffed: Registry) -> None:
    made, secret = staffed.create_machine("intake", "market", system="approval", roles=["consumer"])
    assert made.client_id is not None
    assert (
        staffed.check_secret(made.client_id, secret) == made == staffed.principal("intake") == staffed.principal(made.client_id)
    )
    assert (made.kind, made.roles, made.epoch) == (PrincipalKind.MACHINE, ("consumer",), 0)
    refusals = set()
    for client, tried in ((made.client_id, Secret("wrong")), ("c0nobody", secret)):
        with pytest.raises(DeniedError) as refusal:
            staffed.check_secret(client, tried)
        refusals.add(str(refusal.value))
    staffed.revoke_principal("intake")
    with pytest.raises(DeniedError) as refusal:
        staffed.check_secret(made.client_id, secret)
    assert {*refusals, str(refusal.value)} == {"client or secret is wrong"}


def test_a_new_secret_ends_the_old_one_and_its_tokens(staffed: Registry) -> None:
    made, old = staffed.create_machine("intake", "market")
    rotated, new = staffed.rotate_secret("intake")
    assert rotated.epoch == made.epoch + 1
    assert staffed.check_secret(str(made.client_id), new) == rotated
    with pytest.raises(DeniedError):
        staffed.check_secret(str(made.client_id), old)


def test_roles_and_revocation_raise_the_epoch(staffed: Registry) -> None:
    person = staffed.create_person("zhang.wei", "market", roles=["provider_editor"])
    changed = staffed.set_roles("zhang.wei", ["provider_reviewer"])
    assert (changed.roles, changed.epoch) == (("provider_reviewer",), person.epoch + 1)
    assert staffed.set_roles("zhang.wei", ["provider_reviewer"]) == changed
    ended = staffed.revoke_principal(person.id)
    assert ended.epoch == changed.epoch + 1
    assert staffed.revoke_principal(person.id) == ended
    assert staffed.principals() == [ended]


def test_the_three_administrators_exclude_one_another_and_machines(staffed: Registry) -> None:
    staffed.create_person("sys", "market", roles=["system_administrator", "operator"])
    with pytest.raises(RejectedError) as refusal:
        staffed.set_roles("sys", ["system_administrator", "audit_administrator"])
    assert refusal.value.code == "principal.administrators"
    with pytest.raises(RejectedError, match="a machine cannot be an administrator"):
        staffed.create_machine("robot", "market", roles=["security_administrator"])
    assert [(p.name, p.roles) for p in staffed.principals()] == [("sys", ("operator", "system_administrator"))]


def test_a_name_is_given_once(staffed: Registry) -> None:
    staffed.create_person("zhang.wei", "market")
    with pytest.raises(RejectedError, match="there is a principal of that name"):
        staffed.create_machine("zhang.wei", "market")


# Materials


def test_the_licence_types_of_a_material_are_read_back_and_replaced(staffed: Registry) -> None:
    staffed.set_item_licence_types("item1", "m1", ["L2", "L1", "L2"], by="p1")
    staffed.set_item_licence_types("item1", "m2", ["L3"], by="p1")
    staffed.set_item_licence_types("item2", "m1", ["L1"], by="p1")
    assert staffed.item_licence_types("item1") == {"item1": {"m1": ("L1", "L2"), "m2": ("L3",)}}
    version = staffed.version()
    staffed.set_item_licence_types("item1", "m1", ["L1", "L2"], by="p1")
    assert staffed.version() == version
    staffed.set_item_licence_types("item1", "m1", ["L4", "L1"], by="p1")
    staffed.set_item_licence_types("item1", "m2", [], by="p1")
    assert staffed.item_licence_types() == {"item1": {"m1": ("L1", "L4")}, "item2": {"m1": ("L1",)}}


# Events


def test_every_change_has_its_event_in_order_and_an_event_is_published_once(staffed: Registry) -> None:
    made = grant(staffed)
    staffed.revoke_grant(made.id, by="p1", why="x")
    machine, _ = staffed.create_machine("intake", "market")
    staffed.set_item_licence_types("item1", "m1", ["L1"], by="p1")
    waiting = staffed.events_waiting()
    assert types(staffed) == [
        ("grant.made", made.id),
        ("grant.revoked", made.id),
        ("principal.made", machine.id),
        ("item.material_set", "item1"),
    ]
    assert {e.topic for e in waiting} == {"onedoor.events.registry"}
    assert waiting[0].data == {"receiver": "department:market", "resource": "staff", "fields": ["title", "id"]}
    staffed.events_published([e.id for e in waiting[:2]])
    assert staffed.events_waiting() == waiting[2:]
    assert staffed.events_waiting(limit=1) == waiting[2:3]


def test_a_change_that_fails_leaves_neither_itself_nor_its_event_nor_a_version(staffed: Registry, hub_db: str) -> None:
    version = staffed.version()
    with psycopg.connect(hub_db) as connection:
        connection.execute("ALTER TABLE registry.outbox ADD CONSTRAINT planted CHECK (type <> 'onedoor.registry.grant.made')")
    with pytest.raises(RejectedError) as refusal:
        grant(staffed)
    assert refusal.value.where == "planted"
    assert (staffed.grants(), staffed.events_waiting(), staffed.version()) == ([], [], version)


def test_an_event_without_its_change_cannot_be(staffed: Registry) -> None:
    version = staffed.version()
    staffed.create_person("zhang.wei", "market")
    before = staffed.events_waiting()
    with pytest.raises(RejectedError):
        staffed.create_person("zhang.wei", "market")
    assert staffed.events_waiting() == before
    assert staffed.version() == version + 1


# Errors of the database


def test_a_role_that_only_reads_may_read_all_and_change_nothing(
    staffed: Registry, hub_db: str, superuser_url: str, clock: FakeClock
) -> None:
    reader = Registry(
        psycopg.conninfo.make_conninfo(
            superuser_url, dbname=str(conninfo_to_dict(hub_db)["dbname"]), options="-c role=onedoor_api"
        ),
        clock,
    )
    try:
        assert [r.name for r in reader.resources()] == ["staff"]
        assert reader.version() == staffed.version()
        with pytest.raises(DeniedError) as refusal:
            reader.ensure_department("x", "x")
        assert refusal.value.code == "registry.privilege"
        with pytest.raises(RejectedError, match="no keys folder"):
            reader.source("market_db").url()
    finally:
        reader.close()


def test_a_database_that_is_away_is_a_transient_error_without_the_password(clock: FakeClock) -> None:
    away = Registry(f"postgresql://hub:{PLANTED}@127.0.0.1:{choose()}/hub", clock)
    with pytest.raises(TransientError) as error:
        away.version()
    assert PLANTED not in repr(error.value) + str(error.value.__cause__)


def test_a_database_without_a_hub_is_told_so(empty_db: str, clock: FakeClock) -> None:
    registry = Registry(empty_db, clock)
    with pytest.raises(RejectedError) as refusal:
        registry.version()
    registry.close()
    assert refusal.value.code == "store.not_migrated"


def test_no_address_means_that_there_is_no_hub_yet(clock: FakeClock) -> None:
    with pytest.raises(RejectedError) as refusal:
        Registry("", clock)
    assert refusal.value.code == "hub.not_started"
