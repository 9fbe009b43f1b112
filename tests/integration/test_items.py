"""The register of items on a real database: versions, whose they are, handbooks, stand-ins, bodies, coverage, licence types."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from catalog_registry.brought import ImportRefusedError
from catalog_registry.coverage import Lack, Wanted, coverage
from catalog_registry.item_life import ItemState
from catalog_registry.item_records import BodyVariant, StandIn
from catalog_registry.item_sheets_out import workbook
from catalog_registry.registry import Registry
from schemas.clock import CHINA, FakeClock
from schemas.errors import DeniedError, OneDoorError, RejectedError
from schemas.item import ServiceItem
from schemas.licence_type import LicenceSharing, LicenceType, read_licence_type, read_terms
from schemas.secret import Secret
from tests.contract_text import contract_text
from tests.items import BASIC, CIVIL, CODE, MARKET, TOWN, TOWN_CODE, a_handbook, credit, item, read_back

OWNER = "item_catalogue"
KIND = f"{MARKET}001"


@pytest.fixture
def registry(hub_db: str, clock: FakeClock) -> Iterator[Registry]:
    """A registry with three bodies and those who keep items; no resource of items yet."""
    made = Registry(hub_db, clock)
    for code, name, credit_code in (
        ("market", "曲江区市场监督管理局", MARKET),
        ("civil", "曲江区民政局", CIVIL),
        ("maba", "马坝镇人民政府", TOWN),
        ("centre", "信息中心", None),
    ):
        made.ensure_department(code, name, credit_code=credit_code)
    made.ensure_system(OWNER, "政务服务事项目录管理系统", "centre")
    for name, department, role in (
        ("chen", "market", "provider_editor"),
        ("li", "civil", "provider_editor"),
        ("officer", "centre", "registration_officer"),
        ("reader", "market", "consumer"),
    ):
        made.create_person(name, department, roles=(role,))
    yield made
    made.close()


def bring(registry: Registry, *items: ServiceItem, kept: tuple[str, ...] = ()) -> tuple[int, int, int, int]:
    done = registry.bring_items(items, owner=OWNER, by="run r1", kept=kept)
    return done.entered, done.changed, done.ended, done.unchanged


def code_of(act: object) -> str:
    with pytest.raises(OneDoorError) as refusal:
        act()  # type: ignore[operator]
    return refusal.value.code


def share_items(registry: Registry) -> None:
    """Share a resource ``items``, so that the items are its source's."""
    registry.add_source("demo_items", Secret("postgresql://u@localhost/items"), system=OWNER)
    registry.register_resource(contract_text(name="items", department="centre", system=OWNER, source="demo_items"), by="test")


def events(registry: Registry, code: str) -> list[str]:
    return [e.type.removeprefix("onedoor.registry.") for e in registry.events_waiting() if e.subject == code]


# Versions ---------------------------------------------------------------------------------------------------------------


def test_a_changed_item_is_a_new_version_from_now_on_and_none_is_lost(registry: Registry, clock: FakeClock) -> None:
    began = clock.now()
    assert bring(registry, item()) == (1, 0, 0, 0)
    clock.advance(timedelta(days=30))
    changed = item(promised={"number": 3, "unit": "G"})
    assert bring(registry, changed) == (0, 1, 0, 0)
    clock.advance(timedelta(days=30))
    first, second = registry.item_versions(CODE)
    assert (first.item, first.event, first.effective_at) == (item(), "enter", datetime(2024, 1, 1, tzinfo=CHINA))
    assert (second.item, second.event, second.effective_at) == (changed, "change", began + timedelta(days=30))
    assert (registry.item(CODE).version, registry.item(CODE).department, registry.item(CODE).owner) == (2, "market", OWNER)
    assert events(registry, CODE) == ["item.entered", "item.changed"]


def test_a_case_keeps_the_version_that_it_began_with(registry: Registry, clock: FakeClock) -> None:
    bring(registry, item())
    case_began = clock.now() + timedelta(days=1)
    clock.advance(timedelta(days=2))
    # what is said to hold from an earlier day is recorded now: it holds from now on, not for the case
    bring(registry, item(promised={"number": 3, "unit": "G"}, effective_on="2024-06-01"))
    kept = registry.item_at(f"{CODE}01", case_began)
    assert kept is not None
    assert (kept.version, kept.item.promised) == (1, item().promised)
    assert registry.item_at(CODE, clock.now()).version == 2  # type: ignore[union-attr]
    assert registry.item_at(CODE, datetime(2023, 12, 31, tzinfo=CHINA)) is None


def test_a_version_that_names_a_day_to_come_is_in_force_from_that_day(registry: Registry, clock: FakeClock) -> None:
    bring(registry, item())
    bring(registry, item(visits=0, effective_on="2026-12-01"))
    assert registry.item_at(CODE, datetime(2026, 11, 30, 23, 59, tzinfo=CHINA)).version == 1  # type: ignore[union-attr]
    assert registry.item_at(CODE, datetime(2026, 12, 1, tzinfo=CHINA)).version == 2  # type: ignore[union-attr]


def test_doing_it_again_changes_nothing_and_raises_no_version(registry: Registry) -> None:
    town = item(code=TOWN_CODE, body="马坝镇人民政府", ways=[])
    assert bring(registry, item(), town) == (2, 0, 0, 0)
    version = registry.version()
    assert bring(registry, town, item()) == (0, 0, 0, 2)
    assert registry.version() == version


def test_what_is_said_of_an_item_that_has_ended_is_no_change_until_it_returns(registry: Registry) -> None:
    bring(registry, item())
    bring(registry, item(cancelled_on="2026-11-01"))
    before = registry.item(CODE), registry.item_versions(CODE)
    renamed = item(name="食品经营许可设立（新）", cancelled_on="2026-11-01")
    assert bring(registry, renamed)[:3] == (0, 0, 0)
    assert (registry.item(CODE), registry.item_versions(CODE)) == before
    bring(registry, replace(renamed, cancelled_on=None))
    assert (registry.item(CODE).name, registry.item_version(CODE).event) == (renamed.name, "return")


def test_a_department_that_is_registered_later_is_the_one_that_performs_and_issues(registry: Registry) -> None:
    body = credit(9)
    village = item(code=f"{body}4{BASIC}", ways=[])
    kind = LicenceType("village_permit", "村镇许可", "新镇人民政府", issuer_code=body)
    bring(registry, village)
    registry.bring_licence_types([kind], owner=OWNER, by="run r1")
    assert (registry.item(village.code).department, registry.licence_type("village_permit").department) == (None, None)
    registry.ensure_department("village", "新镇人民政府", credit_code=body)
    assert bring(registry, village) == (0, 1, 0, 0)
    assert registry.bring_licence_types([kind], owner=OWNER, by="run r2").changed == 1
    assert (registry.item(village.code).department, registry.licence_type("village_permit").department) == ("village",) * 2
    assert events(registry, village.code) == ["item.entered", "item.changed"]
    assert events(registry, "village_permit") == ["licence_type.entered", "licence_type.changed"]
    assert bring(registry, village) == (0, 0, 0, 1)


def test_what_the_system_has_no_more_is_ended_not_deleted_and_may_come_back(registry: Registry, clock: FakeClock) -> None:
    other = item(code=f"{CIVIL}3440108001000", body="曲江区民政局", ways=[])
    bring(registry, item(), other)
    clock.advance(timedelta(days=1))
    assert bring(registry, other) == (0, 0, 1, 1)
    assert (registry.item(CODE).state, registry.item(CODE).version) == (ItemState.ENDED, 2)
    assert registry.item_at(CODE, clock.now() - timedelta(hours=1)).state is ItemState.IN_FORCE  # type: ignore[union-attr]
    assert bring(registry, other) == (0, 0, 0, 1)
    clock.advance(timedelta(days=1))
    assert bring(registry, item(), other) == (0, 1, 0, 1)
    assert [(v.event, v.state) for v in registry.item_versions(CODE)] == [
        ("enter", "in_force"),
        ("end", "ended"),
        ("return", "in_force"),
    ]
    assert registry.item_versions(CODE)[1].item == item()


def test_an_item_whose_row_is_set_aside_stays_as_it_is(registry: Registry) -> None:
    bring(registry, item())
    done = registry.bring_items([], owner=OWNER, by="run r2", kept=(CODE,))
    assert (done.ended, done.kept) == (0, 1)
    assert registry.item(CODE).state is ItemState.IN_FORCE


def test_an_item_is_suspended_resumed_and_ended_by_its_own_date(registry: Registry, clock: FakeClock) -> None:
    bring(registry, item())
    bring(registry, item(status="暂停", visits=0))
    assert [v.event for v in registry.item_versions(CODE)] == ["enter", "change", "suspend"]
    bring(registry, item(visits=0))
    last = item(visits=0, cancelled_on="2026-11-10")
    bring(registry, last)
    assert registry.item(CODE).state is ItemState.IN_FORCE
    clock.at = datetime(2026, 11, 9, 16, tzinfo=UTC)  # 10 November begins in China
    assert bring(registry, last) == (0, 0, 1, 0)
    assert [v.event for v in registry.item_versions(CODE)][3:] == ["resume", "change", "end"]


def test_the_database_refuses_to_change_a_version(registry: Registry, hub_db: str) -> None:
    bring(registry, item())
    for statement in ("UPDATE registry.service_item_version SET why = 'x'", "DELETE FROM registry.handbook_version"):
        with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.Error):
            connection.execute(statement)


def test_an_unknown_item_is_refused_with_what_is_near(registry: Registry) -> None:
    bring(registry, item())
    with pytest.raises(RejectedError) as refusal:
        registry.item(CODE[:-1] + "9")
    assert refusal.value.code == "item.unknown"
    assert CODE in refusal.value.message


# Whose they are ---------------------------------------------------------------------------------------------------------


def test_what_is_another_systems_is_refused_with_its_name(registry: Registry) -> None:
    share_items(registry)
    assert registry.item_owner() is not None
    bring(registry, item())
    with pytest.raises(RejectedError) as refusal:
        registry.set_item(item(visits=0), by="officer", expected_version=1)
    assert refusal.value.code == "item.owned_elsewhere"
    assert "政务服务事项目录管理系统 (item_catalogue)" in refusal.value.message
    assert code_of(lambda: registry.set_item(item(code="OLD-1", ways=[]), by="officer")) == "item.owned_elsewhere"
    assert code_of(lambda: registry.end_item(CODE, by="officer", version=1, why="x")) == "item.owned_elsewhere"
    assert registry.item(CODE).version == 1


def test_where_no_system_has_the_items_a_department_keeps_its_own_by_hand(registry: Registry) -> None:
    made = registry.set_item(item(), by="chen")
    assert (made.version, made.owner, made.department) == (1, None, "market")
    assert registry.set_item(item(), by="chen", expected_version=1).version == 1
    assert code_of(lambda: registry.set_item(item(visits=0), by="chen")) == "registry.conflict"
    assert registry.set_item(item(visits=0), by="officer", expected_version=1).version == 2
    assert code_of(lambda: registry.end_item(CODE, by="chen", version=2, why=" ")) == "registry.empty"
    assert registry.end_item(CODE, by="chen", version=2, why="已取消").state is ItemState.ENDED
    assert code_of(lambda: registry.end_item(CODE, by="chen", version=3, why="again")) == "item.state"
    assert [(v.event, v.why) for v in registry.item_versions(CODE)][-1] == ("end", "已取消")
    old = registry.set_item(item(code="90000500169555062213440300", code_type="gd_hall_2013", ways=[]), by="officer")
    assert (old.code_type, old.department) == ("gd_hall_2013", None)


def test_only_who_keeps_items_of_the_own_department_changes_them(registry: Registry) -> None:
    for who, code in (("li", "registry.other_department"), ("reader", "registry.role")):
        assert code_of(lambda who=who: registry.set_item(item(), by=who)) == code
    foreign = item(code="OLD-1", ways=[])
    assert code_of(lambda: registry.set_item(foreign, by="chen")) == "registry.role"  # it is no department's here
    registry.set_item(item(), by="chen")
    moved = item(body_code=CIVIL)
    for who in ("chen", "li"):
        assert code_of(lambda who=who: registry.set_item(moved, by=who, expected_version=1)) == "registry.other_department"
    assert registry.set_item(moved, by="officer", expected_version=1).department == "civil"


def test_a_system_that_comes_takes_over_what_was_kept_by_hand(registry: Registry) -> None:
    registry.set_item(item(), by="chen")
    registry.set_item(item(code="OLD-1", body_code=MARKET, ways=[]), by="chen")
    share_items(registry)
    assert bring(registry, item()) == (0, 1, 0, 0)
    assert (registry.item(CODE).owner, registry.item("OLD-1").owner) == (OWNER, None)
    assert events(registry, CODE) == ["item.entered", "item.changed"]
    assert bring(registry, item()) == (0, 0, 0, 1)
    assert registry.item("OLD-1").state is ItemState.IN_FORCE


# Handbooks and bodies ---------------------------------------------------------------------------------------------------


def test_a_handbook_is_kept_in_versions_and_of_two_editors_one_gets_a_conflict(registry: Registry) -> None:
    bring(registry, item())
    assert registry.handbook(CODE) is None
    assert registry.set_handbook(CODE, a_handbook(), by="chen").version == 1
    assert registry.set_handbook(f"{CODE}01", a_handbook(), by="officer", expected_version=1).version == 1
    found: list[str] = []

    def change(post: str) -> None:
        try:
            found.append(str(registry.set_handbook(CODE, a_handbook(post=post), by="chen", expected_version=1).version))
        except RejectedError as error:
            found.append(error.code)

    threads = [threading.Thread(target=change, args=(post,)) for post in ("一号窗口", "二号窗口")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == ["2", "registry.conflict"]
    assert [one.version for one in registry.handbook_versions(CODE)] == [1, 2]
    assert registry.handbook_versions(CODE)[0].handbook == a_handbook()
    assert events(registry, CODE) == ["item.entered", "item.handbook_set", "item.handbook_set"]


def test_a_handbook_is_its_departments_to_write_and_that_of_an_ended_item_stays(registry: Registry) -> None:
    bring(registry, item())
    assert code_of(lambda: registry.set_handbook(CODE, a_handbook(), by="li")) == "registry.other_department"
    assert code_of(lambda: registry.set_handbook(CODE, a_handbook(), by="reader")) == "registry.role"
    bring(registry)
    assert code_of(lambda: registry.set_handbook(CODE, a_handbook(), by="chen")) == "item.ended"


def test_one_item_is_performed_by_several_bodies_each_with_its_variant(registry: Registry, clock: FakeClock) -> None:
    town = item(code=TOWN_CODE, body="马坝镇人民政府", promised={"number": 1, "unit": "G"}, ways=[])
    bring(registry, item(), town)
    registry.delegate_item(CODE, "civil", by="chen", basis="曲府办〔2016〕12号")
    for code in (CODE, TOWN_CODE, BASIC):
        assert [(b.variant, b.body, b.item, b.basis) for b in registry.bodies(code)] == [
            (BodyVariant.MAIN, "曲江区市场监督管理局", CODE, None),
            (BodyVariant.LOWER, "马坝镇人民政府", TOWN_CODE, None),
            (BodyVariant.DELEGATED, "曲江区民政局", CODE, "曲府办〔2016〕12号"),
        ]
    assert code_of(lambda: registry.delegate_item(CODE, "civil", by="chen", basis="again")) == "item.delegated"
    assert code_of(lambda: registry.delegate_item(CODE, "market", by="chen", basis="x")) == "item.own_body"
    assert code_of(lambda: registry.delegate_item(CODE, "maba", by="chen", basis=" ")) == "registry.empty"
    assert code_of(lambda: registry.delegate_item(CODE, "maba", by="li", basis="x")) == "registry.other_department"
    clock.advance(timedelta(days=1))
    registry.end_delegation(CODE, "civil", by="chen")
    assert [b.variant for b in registry.bodies(CODE)] == [BodyVariant.MAIN, BodyVariant.LOWER]
    assert code_of(lambda: registry.end_delegation(CODE, "civil", by="chen")) == "item.not_delegated"
    assert events(registry, CODE)[-2:] == ["item.delegated", "item.delegation_ended"]


# Stand-ins --------------------------------------------------------------------------------------------------------------


def test_licence_types_and_resources_stand_in_for_a_material_and_the_look_up_reads_the_same(registry: Registry) -> None:
    share_items(registry)
    bring(registry, item())
    registry.bring_licence_types([LicenceType(KIND, "食品经营许可证", "局")], owner=OWNER, by="run r1")
    wanted = {"CL000102": StandIn((KIND,), ("items",))}
    done = registry.set_stand_ins(CODE, wanted, by="chen", expected_version=0)
    assert dict(done.materials) == wanted
    assert registry.item_licence_types() == {CODE: {"CL000102": (KIND,)}}
    assert registry.licence_type(KIND).items == (CODE,)
    assert registry.set_stand_ins(CODE, wanted, by="chen", expected_version=done.version).version == done.version
    assert code_of(lambda: registry.set_stand_ins(CODE, {}, by="chen", expected_version=0)) == "registry.conflict"
    gone = registry.set_stand_ins(CODE, {"CL000102": StandIn()}, by="officer", expected_version=done.version)
    assert dict(gone.materials) == {}
    assert registry.item_licence_types() == {}


def test_what_the_operator_says_of_licence_types_raises_the_version_too(registry: Registry) -> None:
    bring(registry, item())
    registry.set_item_licence_types(CODE, "CL000102", [KIND], by="console:ops")
    assert (registry.stand_ins(CODE).version, registry.stand_ins(CODE).materials["CL000102"].licence_types) == (1, (KIND,))


def test_a_stand_in_that_is_none_is_refused_and_nothing_is_changed(registry: Registry) -> None:
    bring(registry, item())
    registry.bring_licence_types([LicenceType(KIND, "食品经营许可证", "局")], owner=OWNER, by="run r1")
    for wanted, code in (
        ({"CL000102": StandIn((KIND,)), "CL9": StandIn((KIND,))}, "item.material"),
        ({"CL000102": StandIn((f"{MARKET}002",))}, "item.stand_in"),
        ({"CL000102": StandIn((KIND,), ("nothing",))}, "resource.unknown"),
    ):
        assert code_of(lambda wanted=wanted: registry.set_stand_ins(CODE, wanted, by="chen", expected_version=0)) == code
    assert code_of(lambda: registry.set_stand_ins(CODE, {}, by="li", expected_version=0)) == "registry.other_department"
    assert registry.stand_ins(CODE).version == 0


# Coverage and workbooks -------------------------------------------------------------------------------------------------


def test_the_register_tells_by_department_which_items_are_in_as_they_must_be(registry: Registry) -> None:
    bare = item(code=f"{CIVIL}3440108001000", body="曲江区民政局", ways=[], materials=[], promised=None)
    bring(registry, item(), bare)
    registry.set_handbook(CODE, a_handbook(), by="chen")
    wanted = [Wanted(BASIC), Wanted("440108001000"), Wanted("440108009000", "civil")]
    found = coverage(registry.current_items(), registry.items_with_handbook(), wanted)
    assert [(t.department, t.wanted, t.whole, dict(t.lacks)) for t in found.departments] == [
        (
            "civil",
            2,
            0,
            {Lack.MISSING: 1, Lack.IMPLEMENTATION: 1, Lack.MATERIALS: 1, Lack.HANDBOOK: 1, Lack.LIMITS: 1},
        ),
        ("market", 1, 1, {}),
    ]
    assert [(g.basic_code, g.item) for g in found.gaps] == [("440108001000", bare.code), ("440108009000", None)]


def test_a_workbook_is_taken_over_whole_or_not_at_all(registry: Registry) -> None:
    share_items(registry)
    bring(registry, item())
    registry.set_handbook(CODE, a_handbook(), by="chen")
    (written,) = registry.written()
    back = read_back(workbook([written]))
    assert registry.take_workbook(back, by="chen").handbooks == ()
    changed = read_back(workbook([replace(written, handbook=a_handbook(post="二号窗口"))]))
    assert registry.take_workbook(changed, by="chen").handbooks == (CODE,)
    with pytest.raises(RejectedError) as refusal:
        registry.take_workbook(
            read_back(workbook([replace(written, item=item(visits=0), handbook=a_handbook(post="三号窗口"))])), by="chen"
        )
    assert refusal.value.code == "sheet.cells"
    assert "事项!2 实施编码: service items are kept by 政务服务事项目录管理系统" in refusal.value.message
    assert isinstance(refusal.value, ImportRefusedError)
    assert [fault.where for fault in refusal.value.faults] == ["事项!2 实施编码", "业务手册!2 实施编码"]
    assert "the handbook of" in refusal.value.faults[1].reason
    kept = registry.handbook(CODE)
    assert kept is not None
    assert (kept.version, kept.handbook) == (2, a_handbook(post="二号窗口"))
    with pytest.raises(DeniedError):
        registry.take_workbook(changed, by="li")


# Licence types ----------------------------------------------------------------------------------------------------------


def test_licence_types_are_brought_up_to_date_and_the_hubs_own_terms_stay(registry: Registry, clock: FakeClock) -> None:
    first = read_licence_type(
        {"code": KIND, "name": "食品经营许可证", "issuer": "局", "issuer_code": MARKET, "holders": ["001"]}
    )
    second = LicenceType(f"{MARKET}002", "药品经营许可证", "局")
    done = registry.bring_licence_types([first, second], owner=OWNER, by="run r1")
    assert (done.entered, registry.licence_type(KIND).department) == (2, "market")
    terms = read_terms({"sharing": "2", "condition": "仅限本区"})
    assert code_of(lambda: registry.set_licence_terms(KIND, terms, by="li", version=1)) == "registry.other_department"
    assert registry.set_licence_terms(KIND, terms, by="chen", version=1).version == 2
    assert code_of(lambda: registry.set_licence_terms(KIND, terms, by="chen", version=1)) == "registry.conflict"
    version = registry.version()
    assert registry.bring_licence_types([first, second], owner=OWNER, by="run r2").unchanged == 2
    assert registry.version() == version
    done = registry.bring_licence_types([replace(first, name="食品经营许可证（新）")], owner=OWNER, by="run r3")
    assert (done.changed, done.ended) == (1, 1)
    found = registry.licence_type(KIND)
    assert (found.type.name, found.terms.sharing, found.version) == ("食品经营许可证（新）", LicenceSharing.CONDITIONAL, 3)
    assert registry.licence_type(second.code).state == "ended"
    assert registry.bring_licence_types([first, second], owner=OWNER, by="run r4").changed == 2
    assert [s.event for s in registry.licence_type_history(second.code)] == ["enter", "end", "return"]
    assert events(registry, KIND)[:2] == ["licence_type.entered", "licence_type.terms_set"]


def test_a_licence_type_is_kept_by_hand_only_where_no_system_has_them(registry: Registry) -> None:
    one = read_licence_type({"code": KIND, "name": "食品经营许可证", "issuer": "局", "issuer_code": MARKET})
    assert code_of(lambda: registry.set_licence_type(one, by="li")) == "registry.other_department"
    assert registry.set_licence_type(one, by="chen").version == 1
    registry.add_source("store", Secret("postgresql://u@localhost/l"), system=OWNER)
    text = contract_text(name="licence_types", department="centre", system=OWNER, source="store")
    registry.register_resource(text, by="test")
    with pytest.raises(RejectedError) as refusal:
        registry.set_licence_type(one, by="officer", expected_version=1)
    assert (refusal.value.code, OWNER in refusal.value.message) == ("item.owned_elsewhere", True)
