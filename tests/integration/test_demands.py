"""Demands, ratings and their analysis on a real database: who may do what, what is listed, what is written down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from catalog_registry.clocks import rules
from catalog_registry.demand_analysis import AskedField, AskedResource, Miss, Misses, Refusal, WantedField
from catalog_registry.demand_records import DemandRecord
from catalog_registry.overdue import by_department
from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from schemas.catalogue_form import read_entry
from schemas.clock import FakeClock
from schemas.errors import DeniedError, OneDoorError, RejectedError
from schemas.secret import Secret
from schemas.workdays import calendar
from tests.catalogue_entry import CREDIT_CODE, entry_json
from tests.contract_text import contract_text

START = datetime(2026, 11, 2, 1, tzinfo=UTC)
PEOPLE = {
    "editor": ("market", ["provider_editor"]),
    "reviewer": ("market", ["provider_reviewer"]),
    "clerk": ("civil", ["consumer"]),
    "colleague": ("civil", ["consumer", "provider_reviewer"]),
    "taxer": ("tax", ["consumer", "provider_reviewer"]),
    "officer": ("centre", ["registration_officer"]),
    "everything": ("market", ["provider_reviewer", "registration_officer"]),
    "asker_officer": ("civil", ["consumer", "registration_officer"]),
}


@pytest.fixture(scope="module")
def the_clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture(scope="module")
def registry(module_hub_db: str, the_clock: FakeClock) -> Iterator[Registry]:
    """A registry with people, ``staff`` published, ``secret_staff`` published and not shared, ``posts`` a draft."""
    made = Registry(module_hub_db, the_clock)
    made.ensure_department("market", "市场监督管理局", credit_code=CREDIT_CODE)
    for code, name in (("civil", "民政局"), ("tax", "税务局"), ("centre", "信息中心")):
        made.ensure_department(code, name)
    made.ensure_system("approval", "审批系统", "market")
    made.ensure_system("relief", "救助系统", "civil")
    made.add_source("market_db", Secret("postgresql://reader@db.local/approval"), system="approval")
    for name, (department, roles) in PEOPLE.items():
        made.create_person(name, department, roles=roles)
    for name in ("staff", "secret_staff"):
        made.register_resource(contract_text(name), by="setup")
    made.register_resource(contract_text("posts"), by="setup", state="draft")
    hidden = {"sharing_type": "3", "sharing_condition": None, "sharing_ways": None}
    basis = {"sharing_basis_kind": "1", "sharing_basis": "统计法第二十五条"}
    for name in ("secret_staff", "posts"):
        made.set_entry(name, read_entry(entry_json(**hidden, **basis)), by="setup")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _quiet(registry: Registry, the_clock: FakeClock) -> None:
    """No event waits, and every test begins at an instant of its own."""
    registry.events_published([e.id for e in registry.events_waiting(10_000)])
    the_clock.advance(timedelta(days=200))


def ask(registry: Registry, **changes: Any) -> DemandRecord:
    values: dict[str, Any] = {
        "title": "养老机构床位",
        "fields": ["机构名称", "空余床位"],
        "by": "clerk",
        "description": "办理入住时核对空余床位",
        "legal_basis": "国令809",
        "purposes": ["accept_case"],
        "cycle": "每日",
    }
    return registry.ask(**(values | changes))


def assigned(registry: Registry, to: str = "market", **changes: Any) -> DemandRecord:
    made = ask(registry, **changes)
    return registry.appoint(made.id, to, by="officer", version=made.version)


def accepted(registry: Registry, **changes: Any) -> DemandRecord:
    made = assigned(registry, **changes)
    return registry.accept_demand(made.id, promise(registry), by="reviewer", version=made.version)


def refused(registry: Registry, **changes: Any) -> DemandRecord:
    made = assigned(registry, **changes)
    return registry.refuse_demand(made.id, "敏感", by="reviewer", version=made.version, why="个人信息保护法第二十八条")


def promise(registry: Registry) -> date:
    return (registry._clock.now() + timedelta(days=30)).date()


def types(registry: Registry) -> list[str]:
    return [e.type.removeprefix("onedoor.registry.") for e in registry.events_waiting()]


def refusal(kind: type[OneDoorError], do: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        do()
    return caught.value.code


# Demands ----------------------------------------------------------------------------------------------------------------


def test_from_a_demand_to_the_resource_that_fulfils_it_and_every_step_is_written_down_and_told(registry: Registry) -> None:
    made = accepted(registry)
    assert (made.state, made.assigned, made.cycle, made.promised_on) == ("accepted", "market", "3", promise(registry))
    assert made.id in [one.id for one in registry.responsibilities(assigned="market")]
    done = registry.fulfil_demand(made.id, "staff", by="editor", version=made.version)
    assert registry.demand(made.id) == done
    assert (done.state, done.resource) == ("fulfilled", "staff")
    steps = registry.demand_history(made.id)
    assert [(s.n, s.event, s.from_state, s.to_state) for s in steps] == [
        (1, "ask", None, "submitted"),
        (2, "appoint", "submitted", "assigned"),
        (3, "accept", "assigned", "accepted"),
        (4, "fulfil", "accepted", "fulfilled"),
    ]
    assert [s.by for s in steps] == [registry.principal(name).id for name in ("clerk", "officer", "reviewer", "editor")]
    assert [s.detail for s in steps[1:]] == [
        {"from": None, "to": "market"},
        {"promised_on": promise(registry).isoformat()},
        {"resource": "staff"},
    ]
    assert types(registry) == ["demand.made", "demand.appointed", "demand.accepted", "demand.fulfilled"]
    told = registry.events_waiting()[-1]
    assert (told.subject, told.data["resource"], told.data["version"]) == (made.id, "staff", 4)


def test_a_refused_demand_stays_visible_and_may_be_given_to_another_provider(registry: Registry) -> None:
    made = refused(registry)
    (line,) = [one for one in registry.negatives(department="market") if one.key == f"demand/{made.id}"]
    assert (line.title, line.basis_kind, line.basis) == ("养老机构床位", "3", "个人信息保护法第二十八条")
    assert made.id in [one.id for one in registry.demands()]
    assert refusal(RejectedError, lambda: registry.appoint(made.id, "tax", by="officer", version=3)) == "registry.empty"
    again = registry.appoint(made.id, "tax", by="officer", version=3, why="市场监管局无此数据")
    assert (again.state, again.assigned, again.refusal, again.answered_by) == ("assigned", "tax", None, None)
    assert made.id not in [one.key for one in registry.negatives()]
    assert [s.why for s in registry.demand_history(made.id)][2:] == ["个人信息保护法第二十八条", "市场监管局无此数据"]


def test_the_lists_hold_what_they_say_and_come_in_pages_without_a_gap(registry: Registry) -> None:
    before = registry.demands()[-1:]
    after = before[0].id if before else None
    open_one, promised, no, back, gone = ask(registry), accepted(registry), refused(registry), ask(registry), ask(registry)
    registry.return_demand(back.id, by="officer", version=1, why="见目录资源 staff")
    registry.cancel_demand(gone.id, by="colleague", version=1)
    listed = [one.id for one in registry.demands(after=after)]
    assert sorted(listed) == sorted([open_one.id, promised.id, no.id])
    assert [registry.demands(after=after, limit=1)[0].id, *(one.id for one in registry.demands(after=listed[0]))] == listed
    assert promised.id in [one.id for one in registry.responsibilities()]
    assert {one.state for one in registry.responsibilities()} <= {"accepted", "fulfilled"}
    whole = [one.key for one in registry.negatives()]
    assert whole[-1] == "resource/secret_staff"
    pages: list[str] = []
    while page := registry.negatives(after=pages[-1] if pages else None, limit=1):
        pages += [one.key for one in page]
    assert pages == whole
    assert f"demand/{no.id}" in whole


def test_a_draft_that_is_not_shared_is_on_no_list(registry: Registry) -> None:
    (line,) = [one for one in registry.negatives() if one.key.startswith("resource/")]
    assert (line.key, line.department, line.basis_kind, line.basis) == (
        "resource/secret_staff",
        "market",
        "1",
        "统计法第二十五条",
    )


def test_one_person_neither_asks_and_appoints_nor_appoints_and_answers(registry: Registry) -> None:
    own = ask(registry, by="asker_officer")
    assert refusal(DeniedError, lambda: registry.appoint(own.id, "market", by="asker_officer", version=1)) == (
        "registry.two_persons"
    )
    made = ask(registry)
    made = registry.appoint(made.id, "market", by="everything", version=1)
    for answer in (
        lambda: registry.accept_demand(made.id, promise(registry), by="everything", version=2),
        lambda: registry.refuse_demand(made.id, "1", by="everything", version=2, why="x"),
    ):
        assert refusal(DeniedError, answer) == "registry.two_persons"
    assert registry.demand(made.id).version == 2


@pytest.mark.parametrize(
    ("by", "code"),
    [("taxer", "registry.other_department"), ("clerk", "registry.role"), ("editor", "registry.role")],
)
def test_only_a_reviewer_of_the_department_that_is_appointed_answers(registry: Registry, by: str, code: str) -> None:
    made = assigned(registry)
    for answer in (
        lambda: registry.accept_demand(made.id, promise(registry), by=by, version=2),
        lambda: registry.refuse_demand(made.id, "1", by=by, version=2, why="x"),
    ):
        assert refusal(DeniedError, answer) == code
    assert registry.demand(made.id) == made


def test_nobody_answers_before_somebody_is_appointed(registry: Registry) -> None:
    made = ask(registry)
    answer = lambda: registry.accept_demand(made.id, promise(registry), by="reviewer", version=1)  # noqa: E731
    assert refusal(RejectedError, answer) == "demand.state"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"title": " "}, "registry.empty"),
        ({"description": ""}, "registry.empty"),
        ({"legal_basis": "\n"}, "registry.empty"),
        ({"fields": [" "]}, "demand.no_field"),
        ({"purposes": []}, "demand.no_purpose"),
        ({"purposes": ["Accept Case"]}, "demand.purpose"),
        ({"cycle": "有时"}, "demand.cycle"),
    ],
)
def test_a_demand_that_says_too_little_is_refused(registry: Registry, changes: dict[str, Any], code: str) -> None:
    assert refusal(RejectedError, lambda: ask(registry, **changes)) == code
    assert types(registry) == []


def test_a_step_that_makes_no_sense_is_refused_and_nothing_of_it_is_kept(registry: Registry) -> None:
    made = ask(registry)
    for code, do in (
        ("demand.own_department", lambda: registry.appoint(made.id, "civil", by="officer", version=1)),
        ("department.unknown", lambda: registry.appoint(made.id, "nowhere", by="officer", version=1)),
        ("registry.empty", lambda: registry.return_demand(made.id, by="officer", version=1, why=" ")),
        ("registry.conflict", lambda: registry.cancel_demand(made.id, by="clerk", version=2)),
    ):
        assert refusal(RejectedError, do) == code
    given = registry.appoint(made.id, "market", by="officer", version=1)
    yesterday = registry._clock.now().date() - timedelta(days=2)
    for code, do in (
        ("demand.same_department", lambda: registry.appoint(made.id, "market", by="officer", version=2, why="x")),
        ("demand.day_over", lambda: registry.accept_demand(made.id, yesterday, by="reviewer", version=2)),
        ("demand.basis", lambda: registry.refuse_demand(made.id, "5", by="reviewer", version=2, why="x")),
        ("registry.empty", lambda: registry.refuse_demand(made.id, "1", by="reviewer", version=2, why=" ")),
    ):
        assert refusal(RejectedError, do) == code
    assert registry.demand(made.id) == given
    promised = registry.accept_demand(made.id, promise(registry), by="reviewer", version=2)
    for code, name in (
        ("demand.resource", "nothing"),
        ("demand.not_published", "posts"),
        ("demand.not_shared", "secret_staff"),
    ):
        do = lambda name=name: registry.fulfil_demand(made.id, name, by="editor", version=3)  # noqa: E731
        assert refusal(RejectedError, do) == code
    assert registry.demand(made.id) == promised
    assert types(registry) == ["demand.made", "demand.appointed", "demand.accepted"]


def test_of_two_who_answer_at_the_same_moment_the_second_gets_a_conflict(registry: Registry) -> None:
    made = assigned(registry)
    together, codes = threading.Barrier(2), []

    def answer() -> None:
        together.wait()
        try:
            registry.refuse_demand(made.id, "1", by="reviewer", version=2, why="一")
            codes.append("done")
        except RejectedError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=answer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(codes) == ["done", "registry.conflict"]
    assert len(registry.demand_history(made.id)) == 3


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("answered_by = asker", "ck_demand_asker_does_not_answer"),
        ("appointed_by = asker", "ck_demand_asker_does_not_appoint"),
        ("answered_by = appointed_by", "ck_demand_two_persons"),
        ("assigned = department", "ck_demand_not_from_itself"),
        ("refusal = ' '", "ck_demand_refused_has_basis"),
        ("refusal_kind = '5'", "ck_demand_refused_has_basis"),
        (
            "state = 'fulfilled', refusal = NULL, refusal_kind = NULL, promised_on = '2026-01-01'",
            "ck_demand_fulfilled_has_resource",
        ),
        ("state = 'open', refusal = NULL, refusal_kind = NULL", "ck_demand_state_known"),
    ],
)
def test_the_database_itself_keeps_the_rules_of_demands(registry: Registry, module_hub_db: str, change: str, rule: str) -> None:
    made = refused(registry)
    with psycopg.connect(module_hub_db) as connection, pytest.raises(psycopg.errors.CheckViolation) as broken:
        connection.execute(f"UPDATE registry.demand SET {change} WHERE id = %s", [made.id])
    assert broken.value.diag.constraint_name == rule


def test_the_histories_of_demands_and_ratings_are_only_added_to(registry: Registry, module_hub_db: str) -> None:
    ask(registry)
    for table in ("demand_history", "rating_history"):
        for change in (f"DELETE FROM registry.{table}", f"UPDATE registry.{table} SET why = 'x'"):
            with psycopg.connect(module_hub_db) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change)


# What is late -----------------------------------------------------------------------------------------------------------


def test_late_answers_stand_by_department_applications_and_demands_together(registry: Registry, the_clock: FakeClock) -> None:
    def late() -> dict[str | None, list[str]]:
        found = registry.late(rules=rules(), of=calendar(), now=the_clock.now())
        return {one.department: [row.id for row in one.late] for one in by_department(found)}

    was = late()
    waiting, given, promised = ask(registry), assigned(registry, "tax"), accepted(registry)
    to_at = the_clock.now() + timedelta(days=300)
    terms = {"reason": "x", "legal_basis": "国令809", "from_at": the_clock.now(), "to_at": to_at, "purposes": ["accept_case"]}
    applied = registry.apply("staff", ["title"], by="clerk", **terms)  # type: ignore[arg-type]
    registry.accept_check(applied.id, by="officer", version=1)
    assert late() == was
    the_clock.advance(timedelta(days=60))
    new = {name: [one for one in rows if one not in was.get(name, [])] for name, rows in late().items()}
    assert (new[None], new["tax"], sorted(new["market"])) == ([waiting.id], [given.id], sorted([promised.id, applied.id]))


# Ratings ----------------------------------------------------------------------------------------------------------------


def give(registry: Registry, kind: ReceiverKind, code: str, *, starts_in: int = -1) -> str:
    now = registry._clock.now()
    made = registry.make_grant(
        Receiver(kind, code),
        "staff",
        ["title"],
        legal_basis="a law",
        from_at=now + timedelta(days=starts_in),
        to_at=now + timedelta(days=starts_in + 30),
        by="setup",
        purposes=["check"],
    )
    return made.id


def test_who_has_or_had_a_grant_rates_and_may_change_it_and_the_mean_is_told(registry: Registry) -> None:
    assert registry.rating_of("staff") is None
    not_used = lambda: registry.rate("staff", 4, by="clerk", version=0)  # noqa: E731
    assert refusal(DeniedError, not_used) == "rating.not_used"
    give(registry, ReceiverKind.DEPARTMENT, "civil", starts_in=5)
    assert refusal(DeniedError, not_used) == "rating.not_used"
    ended = give(registry, ReceiverKind.SYSTEM, "relief")
    registry.revoke_grant(ended, by="setup", why="over")
    give(registry, ReceiverKind.PRINCIPAL, registry.principal("taxer").id)
    registry.events_published([e.id for e in registry.events_waiting()])
    first = registry.rate("staff", 2, by="clerk", version=0, comment="更新迟缓")
    assert registry.ratings("staff") == [first]
    assert refusal(RejectedError, not_used) == "registry.conflict"
    changed = registry.rate("staff", 5, by="colleague", version=1)
    registry.rate("staff", 4, by="taxer", version=0)
    assert registry.ratings("staff", department="civil") == [changed]
    rated = registry.rating_of("staff")
    assert rated is not None
    assert (rated.average, rated.departments) == (4.5, 2)
    assert registry.rating_history("staff", department="civil") == [first, changed]
    assert [one.department for one in registry.rating_history("staff")] == ["civil", "civil", "tax"]
    assert types(registry) == ["resource.rated"] * 3
    assert [e.data["score"] for e in registry.events_waiting()] == [2, 5, 4]


def test_a_rating_needs_a_score_a_role_and_somebody_elses_resource(registry: Registry) -> None:
    give(registry, ReceiverKind.DEPARTMENT, "market")
    registry.create_person(f"own{registry.version()}", "market", roles=["consumer"])
    own = registry.principals()[-1].id
    for kind, code, do in (
        (RejectedError, "rating.score", lambda: registry.rate("staff", 6, by="clerk", version=0)),
        (DeniedError, "registry.role", lambda: registry.rate("staff", 3, by="officer", version=0)),
        (DeniedError, "rating.not_used", lambda: registry.rate("staff", 3, by=own, version=0)),
        (RejectedError, "resource.unknown", lambda: registry.rate("stuff", 3, by="clerk", version=0)),
    ):
        assert refusal(kind, do) == code


# The analysis -----------------------------------------------------------------------------------------------------------


def test_the_analysis_says_what_is_asked_for_and_refused_by_resource_field_and_reason(
    registry: Registry, the_clock: FakeClock
) -> None:
    begins = the_clock.now()
    terms: dict[str, Any] = {
        "reason": "x",
        "legal_basis": "国令809",
        "from_at": begins,
        "to_at": begins + timedelta(days=300),
        "purposes": ["accept_case"],
    }
    made = [
        registry.apply("staff", fields, by=by, **terms)
        for fields, by in ((["title", "citizen_id"], "clerk"), (["citizen_id"], "clerk"), (["citizen_id"], "taxer"))
    ]
    for one in made:
        registry.accept_check(one.id, by="officer", version=1)
    registry.approve_application(made[0].id, by="reviewer", version=2, fields=["title"])
    registry.refuse_application(made[1].id, by="reviewer", version=2, why="个人信息保护法第二十八条")
    registry.refuse_application(made[2].id, by="reviewer", version=2, why="个人信息保护法第二十八条")
    refused(registry)
    moved_on = refused(registry, by="taxer", fields=["空余床位"])
    registry.appoint(moved_on.id, "civil", by="officer", version=3, why="x")
    the_clock.advance(timedelta(seconds=1))
    found = registry.demand_analysis(begins, the_clock.now())
    assert found.resources == [AskedResource("staff", 3, 2, granted=1, less=1, refused=2, returned=0)]
    assert found.fields == [AskedField("staff", "citizen_id", 3, 3), AskedField("staff", "title", 1, 0)]
    assert found.refusals == [
        Refusal("application", "staff", "market", "个人信息保护法第二十八条", 2),
        Refusal("demand", None, "market", "个人信息保护法第二十八条", 2),
    ]
    assert found.demands == {"assigned": 1, "refused": 1}
    assert found.wanted == [WantedField("空余床位", 2, 2, 2), WantedField("机构名称", 1, 1, 1)]
    assert registry.demand_analysis(the_clock.now(), the_clock.now() + timedelta(days=1)).resources == []


def test_what_is_searched_and_not_found_is_told_without_words_that_may_be_a_person(
    registry: Registry, module_hub_db: str, the_clock: FakeClock
) -> None:
    now = the_clock.now()
    with psycopg.connect(module_hub_db) as connection:
        connection.cursor().executemany(
            "INSERT INTO registry.search_miss (words, at, department) VALUES (%s, %s, %s)",
            [
                *[("床位", now, department) for department in ("civil", "civil", "tax")],
                ("440221198001010010", now, "civil"),
                ("车辆", now, "tax"),
                ("床位", now - timedelta(days=100), "civil"),
            ],
        )
    found = registry.demand_analysis(now - timedelta(days=1), now + timedelta(days=1)).misses
    assert found == Misses([Miss("床位", 3, 2, now), Miss("车辆", 1, 1, now)], withheld=1)
