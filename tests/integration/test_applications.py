"""Resources and applications through their lives on a real database: who may do what, what is granted, what is written down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from catalog_registry.application_clock import clocks_of
from catalog_registry.clocks import rules
from catalog_registry.correction_records import CorrectionRecord, RowSeen
from catalog_registry.correction_words import CorrectionType
from catalog_registry.records import ApplicationRecord, RegisteredResource
from catalog_registry.registry import Registry
from catalog_registry.snapshot import read_dags_json
from exchange.licences.view import load
from exchange.trust.grant import Allowed, Ask, Reason, Refused, authorise
from schemas.catalogue_form import read_entry
from schemas.clock import FakeClock
from schemas.errors import DeniedError, OneDoorError, RejectedError
from schemas.ids import new_id
from schemas.secret import Secret
from schemas.workdays import calendar
from tests.catalogue_entry import entry_json
from tests.contract_text import contract_text
from tests.registry_people import heard

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
UNTIL = NOW + timedelta(days=365)
ROLES = ["provider_editor", "provider_reviewer", "consumer", "registration_officer"]
PEOPLE = {
    "editor": ("market", ["provider_editor"]),
    "reviewer": ("market", ["provider_reviewer"]),
    "second_reviewer": ("market", ["provider_reviewer"]),
    "clerk": ("civil", ["consumer"]),
    "colleague": ("civil", ["consumer"]),
    "stranger": ("tax", ["provider_editor", "provider_reviewer", "consumer"]),
    "officer": ("centre", ["registration_officer"]),
    "auditor": ("centre", ["auditor"]),
    "everything": ("market", ROLES),
}


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    """A registry with departments, their people, and a source of the market supervision."""
    made = Registry(hub_db, clock, keys_dir=tmp_path / "keys", dags_json=tmp_path / "dags.json")
    for code, name in (("market", "市场监督管理局"), ("civil", "民政局"), ("tax", "税务局"), ("centre", "信息中心")):
        made.ensure_department(code, name)
    made.ensure_system("approval", "审批系统", "market")
    made.ensure_system("relief", "救助系统", "civil")
    made.add_source("market_db", Secret("postgresql://reader@db.local/approval"), system="approval")
    for name, (department, roles) in PEOPLE.items():
        made.create_person(name, department, roles=roles)
    yield made
    made.close()


@pytest.fixture
def shared(registry: Registry) -> Registry:
    """The registry with the resource ``staff`` published and no event waiting."""
    registry.register_resource(contract_text(), by="setup")
    registry.events_published([e.id for e in registry.events_waiting()])
    return registry


def act(registry: Registry, what: str, by: str, why: str = "", name: str = "staff") -> RegisteredResource:
    """Take a step of a resource's life, as somebody who has just looked at it."""
    step: Callable[..., RegisteredResource] = getattr(registry, f"{what}_resource")
    return step(name, by=by, version=registry.resource(name).row_version, why=why)


def apply(registry: Registry, **changes: Any) -> ApplicationRecord:
    terms: dict[str, Any] = {
        "resource": "staff",
        "fields": ["title", "id", "citizen_id"],
        "by": "clerk",
        "reason": "核对救助对象的从业情况",
        "legal_basis": "国令809",
        "from_at": NOW,
        "to_at": UNTIL,
        "purposes": ["accept_case"],
    }
    return registry.apply(**(terms | changes))


def checked(registry: Registry, **changes: Any) -> ApplicationRecord:
    made = apply(registry, **changes)
    return registry.accept_check(made.id, by="officer", version=made.version)


def answer(registry: Registry, of: ApplicationRecord, **less: Any) -> ApplicationRecord:
    return registry.approve_application(of.id, **({"by": "reviewer", "version": of.version} | less))


def ask(registry: Registry, by: str = "clerk", **more: Any) -> Ask:
    return Ask(registry.principal(by), "staff", "accept_case", **more)


def authorised(registry: Registry, clock: FakeClock, of: Ask) -> Allowed | Refused:
    """Decide as the look-up does, by what its view reads of the registry."""
    return authorise(of, grants=load(registry).grants, now=clock.now())


def types(registry: Registry) -> list[str]:
    return [e.type.removeprefix("onedoor.registry.") for e in registry.events_waiting()]


def refusal(kind: type[OneDoorError], do: Callable[[], object]) -> OneDoorError:
    with pytest.raises(kind) as caught:
        do()
    return caught.value


# The whole way


def test_from_a_draft_to_a_grant_of_less_than_asked_and_its_end(registry: Registry, clock: FakeClock) -> None:
    draft = registry.register_resource(contract_text(), by="editor", state="draft")
    assert draft.state == "draft"
    assert authorised(registry, clock, ask(registry)) == Refused((Reason.RESOURCE,))
    assert act(registry, "submit", "editor").state == "submitted"
    assert act(registry, "publish", "officer").state == "published"
    asked = apply(registry)
    assert (asked.state, asked.assigned, asked.department) == ("submitted", "market", "civil")
    in_review = registry.accept_check(asked.id, by="officer", version=asked.version)
    assert authorised(registry, clock, ask(registry)) == Refused((Reason.NO_GRANT,))
    granted = registry.approve_application(
        asked.id,
        by="reviewer",
        version=in_review.version,
        fields=["id", "title"],
        row_filter="title = 'manager'",
        to_at=NOW + timedelta(days=30),
    )
    assert granted.grant is not None
    grant = registry.grant(granted.grant)
    assert (grant.fields, str(grant.row_filter)) == (("title", "id"), "title = 'manager'")
    assert (str(grant.receiver), grant.legal_basis, grant.purposes) == ("department:civil", "国令809", ("accept_case",))
    assert (grant.from_at, grant.to_at, grant.made_by) == (
        NOW,
        NOW + timedelta(days=30),
        registry.principal("reviewer").id,
    )
    assert authorised(registry, clock, ask(registry)) == Allowed(grant, ("title", "id"))
    assert authorised(registry, clock, ask(registry, fields=("citizen_id",))) == Refused((Reason.FIELDS,))
    assert authorised(registry, clock, ask(registry, "stranger")) == Refused((Reason.NO_GRANT,))
    registry.revoke_grant(grant.id, by="p1", why="the item was abolished")
    assert authorised(registry, clock, ask(registry)) == Refused((Reason.REVOKED,))
    assert registry.application(asked.id) == granted


# Resources


def test_a_registered_resource_is_shared_at_once_unless_a_draft_is_asked_for(registry: Registry, tmp_path: Path) -> None:
    assert registry.register_resource(contract_text(), by="setup").state == "published"
    assert registry.register_resource(contract_text("plan"), by="editor", state="draft").state == "draft"
    assert [v.status for v in registry.contract_versions("plan")] == ["draft"]
    assert [row["name"] for row in read_dags_json(tmp_path / "dags.json")] == ["staff"]
    act(registry, "submit", "editor", name="plan")
    act(registry, "publish", "reviewer", name="plan")
    assert [v.status for v in registry.contract_versions("plan")] == ["active"]
    assert [row["name"] for row in read_dags_json(tmp_path / "dags.json")] == ["plan", "staff"]


def test_every_step_of_a_resource_is_written_down_and_told(registry: Registry, clock: FakeClock) -> None:
    registry.register_resource(contract_text(), by="console:root", state="draft")
    registry.events_published([e.id for e in registry.events_waiting()])
    for what, by, why in (
        ("submit", "editor", ""),
        ("reject", "reviewer", "the title says nothing"),
        ("submit", "editor", "another title"),
        ("publish", "officer", ""),
        ("freeze", "officer", "wrong data of the first quarter"),
        ("thaw", "officer", ""),
        ("withdraw", "reviewer", "replaced by staff_all"),
    ):
        clock.advance(timedelta(hours=1))
        act(registry, what, by, why)
    steps = registry.resource_history("staff")
    names = {registry.principal(name).id: name for name in PEOPLE}
    assert [(s.n, s.event, s.from_state, s.to_state, names.get(s.by, s.by), s.why) for s in steps] == [
        (1, "register", None, "draft", "console:root", None),
        (2, "submit", "draft", "submitted", "editor", None),
        (3, "reject", "submitted", "rejected", "reviewer", "the title says nothing"),
        (4, "submit", "rejected", "submitted", "editor", "another title"),
        (5, "publish", "submitted", "published", "officer", None),
        (6, "freeze", "published", "frozen", "officer", "wrong data of the first quarter"),
        (7, "thaw", "frozen", "published", "officer", None),
        (8, "withdraw", "published", "withdrawn", "reviewer", "replaced by staff_all"),
    ]
    assert [s.at - NOW for s in steps] == [timedelta(hours=n) for n in range(8)]
    assert registry.resource("staff").row_version == 8
    assert types(registry) == [f"resource.{s}" for s in ("submitted", "rejected", "submitted", "published")] + [
        "resource.frozen",
        "resource.thawed",
        "resource.withdrawn",
    ]
    assert registry.events_waiting()[-1].data == {
        "state": "withdrawn",
        "department": "market",
        "version": "1.0.0",
        "by": registry.principal("reviewer").id,
    }


@pytest.mark.parametrize(
    ("steps", "what", "by", "code"),
    [
        ([], "submit", "reviewer", "registry.role"),
        ([], "submit", "auditor", "registry.role"),
        ([], "submit", "stranger", "registry.other_department"),
        ([("submit", "editor")], "publish", "editor", "registry.role"),
        ([("submit", "editor")], "publish", "stranger", "registry.other_department"),
        ([("submit", "editor")], "reject", "stranger", "registry.other_department"),
        ([("submit", "everything")], "publish", "everything", "registry.two_persons"),
        ([("submit", "everything")], "reject", "everything", "registry.two_persons"),
        ([("submit", "editor"), ("publish", "officer")], "freeze", "reviewer", "registry.role"),
        ([("submit", "editor"), ("publish", "officer")], "withdraw", "stranger", "registry.other_department"),
        ([("submit", "editor"), ("publish", "officer")], "withdraw", "editor", "registry.role"),
    ],
)
def test_a_step_of_a_resource_is_refused_to_whom_it_is_not_for(
    registry: Registry, steps: list[tuple[str, str]], what: str, by: str, code: str
) -> None:
    registry.register_resource(contract_text(), by="editor", state="draft")
    for step, who in steps:
        act(registry, step, who)
    before = registry.resource("staff"), registry.resource_history("staff"), registry.version()
    assert refusal(DeniedError, lambda: act(registry, what, by, "a reason")).code == code
    assert (registry.resource("staff"), registry.resource_history("staff"), registry.version()) == before


def test_who_submitted_once_does_not_review_what_somebody_else_submits_again(registry: Registry) -> None:
    registry.register_resource(contract_text(), by="editor", state="draft")
    act(registry, "submit", "everything")
    act(registry, "reject", "reviewer", "the title")
    act(registry, "submit", "editor")
    assert refusal(DeniedError, lambda: act(registry, "publish", "everything")).code == "registry.two_persons"
    assert act(registry, "publish", "reviewer").state == "published"


def test_a_revoked_principal_does_nothing_more(shared: Registry) -> None:
    shared.revoke_principal("officer")
    shared.revoke_principal("clerk")
    assert refusal(DeniedError, lambda: act(shared, "freeze", "officer", "x")).code == "registry.revoked"
    assert refusal(DeniedError, lambda: apply(shared)).code == "registry.revoked"


@pytest.mark.parametrize("what", ["freeze", "withdraw"])
def test_a_resource_is_not_taken_away_without_a_reason(shared: Registry, what: str) -> None:
    assert refusal(RejectedError, lambda: act(shared, what, "officer", "  ")).code == "registry.empty"
    assert shared.resource("staff").state == "published"


def test_a_step_that_is_not_for_the_state_says_what_could_be_done(shared: Registry) -> None:
    told = refusal(RejectedError, lambda: act(shared, "thaw", "officer"))
    assert (told.code, told.remedy) == ("resource.state", "what can be done with it: freeze, withdraw")


def test_a_step_on_a_resource_that_was_changed_meanwhile_is_refused(shared: Registry) -> None:
    seen = shared.resource("staff").row_version
    shared.register_resource(contract_text(version="1.1.0", field="post"), by="editor")
    told = refusal(RejectedError, lambda: shared.freeze_resource("staff", by="officer", version=seen, why="x"))
    assert (told.code, told.where) == ("registry.conflict", "staff")
    assert [(s.n, s.event, s.detail) for s in shared.resource_history("staff")] == [
        (1, "register", {"version": "1.0.0", "code": None}),
        (2, "change", {"version": "1.1.0", "code": None}),
    ]


def test_grants_on_a_frozen_resource_allow_nothing_until_it_is_thawed_and_on_a_withdrawn_one_never(
    shared: Registry, clock: FakeClock, tmp_path: Path
) -> None:
    answer(shared, checked(shared))
    assert isinstance(authorised(shared, clock, ask(shared)), Allowed)
    act(shared, "freeze", "officer", "wrong data")
    assert authorised(shared, clock, ask(shared)) == Refused((Reason.RESOURCE,))
    assert read_dags_json(tmp_path / "dags.json") == []
    assert refusal(RejectedError, lambda: apply(shared)).code == "grant.resource_state"
    act(shared, "thaw", "officer")
    assert isinstance(authorised(shared, clock, ask(shared)), Allowed)
    assert [row["name"] for row in read_dags_json(tmp_path / "dags.json")] == ["staff"]
    act(shared, "withdraw", "officer", "replaced")
    assert authorised(shared, clock, ask(shared)) == Refused((Reason.RESOURCE,))
    assert refusal(RejectedError, lambda: apply(shared)).code == "grant.resource_state"


def test_a_contract_stays_as_it_was_submitted_and_a_version_goes_round_no_review(registry: Registry) -> None:
    registry.register_resource(contract_text(), by="editor", state="draft")
    more = registry.register_resource(contract_text(version="1.1.0", field="post"), by="editor")
    assert (more.state, more.version) == ("draft", "1.1.0")
    assert [v.status for v in registry.contract_versions("staff")] == ["retired", "draft"]
    act(registry, "submit", "editor")
    newer = contract_text(version="1.2.0", field="duty")
    assert refusal(RejectedError, lambda: registry.register_resource(newer, by="x")).code == "resource.under_review"
    act(registry, "publish", "officer")
    told = refusal(RejectedError, lambda: registry.register_resource(newer, by="x", state="draft"))
    assert told.code == "resource.no_draft"
    assert registry.register_resource(newer, by="x").state == "published"
    act(registry, "withdraw", "officer", "replaced")
    last = contract_text(version="1.3.0", field="task")
    assert refusal(RejectedError, lambda: registry.register_resource(last, by="x")).code == "resource.withdrawn"
    assert [(v.version, v.status) for v in registry.contract_versions("staff")] == [
        ("1.0.0", "retired"),
        ("1.1.0", "retired"),
        ("1.2.0", "active"),
    ]


# Applying


def test_an_application_is_read_back_as_made(shared: Registry) -> None:
    made = apply(
        shared,
        system="relief",
        scope="救助科",
        row_filter="title  in ( 'manager' )",
        way="kafka",
        items=["11440200006123456X3440205001000"],
        fields=["id", "title", "id"],
    )
    assert shared.application(made.id) == made
    assert (made.fields, made.row_filter, made.system, made.scope, made.way, made.version) == (
        ("id", "title"),
        "title in ('manager')",
        "relief",
        "救助科",
        "kafka",
        1,
    )
    assert (made.applicant, made.grant, made.checked_by) == (shared.principal("clerk").id, None, None)
    assert [(s.n, s.event, s.from_state, s.to_state) for s in shared.history(made.id)] == [(1, "apply", None, "submitted")]
    other = apply(shared)
    both = sorted((made, other), key=lambda one: one.id)  # of one instant, whichever id comes first
    assert shared.applications() == both
    assert shared.applications(state=made.state, resource="staff", department="civil", assigned="market") == both
    assert shared.applications(department="tax") == shared.applications(resource="nothing") == []
    granted = answer(shared, shared.accept_check(made.id, by="officer", version=1))
    assert str(shared.grant(str(granted.grant)).receiver) == "system:relief"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"resource": "nothing"}, "resource.unknown"),
        ({"by": "nobody"}, "principal.unknown"),
        ({"fields": ["salary"]}, "grant.unknown_field"),
        ({"fields": []}, "grant.no_field"),
        ({"purposes": []}, "grant.no_purpose"),
        ({"purposes": ["No Purpose"]}, "grant.purpose"),
        ({"reason": " "}, "registry.empty"),
        ({"legal_basis": ""}, "registry.empty"),
        ({"to_at": NOW}, "grant.interval"),
        ({"from_at": NOW - timedelta(days=2), "to_at": NOW - timedelta(days=1)}, "application.interval_over"),
        ({"way": "fax"}, "application.way"),
        ({"quota": {"per_day": 0}}, "grant.quota"),
        ({"system": "approval"}, "application.other_system"),
        ({"system": "nothing"}, "system.unknown"),
        ({"row_filter": "title ="}, "filter.syntax"),
        ({"row_filter": "salary > 1"}, "filter.unknown_field"),
        ({"row_filter": "citizen_id = '1'"}, "filter.sealed"),
    ],
)
def test_an_application_for_what_cannot_be_granted_is_refused_and_leaves_nothing(
    shared: Registry, change: dict[str, Any], code: str
) -> None:
    version = shared.version()
    assert refusal(RejectedError, lambda: apply(shared, **change)).code == code
    assert (shared.applications(), shared.events_waiting(), shared.version()) == ([], [], version)


def test_only_a_consumer_applies_and_only_for_what_is_published(registry: Registry) -> None:
    registry.register_resource(contract_text(), by="editor", state="draft")
    assert refusal(DeniedError, lambda: apply(registry, by="auditor")).code == "registry.role"
    assert refusal(RejectedError, lambda: apply(registry)).code == "grant.resource_state"


# Two steps of review


def test_every_step_of_an_application_is_written_down_and_told_with_what_was_given(shared: Registry, clock: FakeClock) -> None:
    made = apply(shared)
    clock.advance(timedelta(days=1))
    shared.hand_over_application(made.id, "tax", by="officer", version=1, why="the data moved")
    clock.advance(timedelta(days=1))
    shared.accept_check(made.id, by="officer", version=2)
    clock.advance(timedelta(days=1))
    granted = shared.approve_application(made.id, by="stranger", version=3, fields=["id"], why="id is enough")
    assert (granted.assigned, granted.version, granted.answered_by) == ("tax", 4, shared.principal("stranger").id)
    names = {shared.principal(name).id: name for name in PEOPLE}
    steps = shared.history(made.id)
    assert [(s.n, s.event, s.from_state, s.to_state, names[s.by], s.why) for s in steps] == [
        (1, "apply", None, "submitted", "clerk", None),
        (2, "hand_over", "submitted", "submitted", "officer", "the data moved"),
        (3, "accept_check", "submitted", "provider_review", "officer", None),
        (4, "approve", "provider_review", "granted", "stranger", "id is enough"),
    ]
    assert [s.at for s in steps] == [NOW + timedelta(days=n) for n in range(4)]
    assert steps[1].detail == {"from": "market", "to": "tax"}
    assert steps[3].detail == {
        "grant": granted.grant,
        "fields": ["id"],
        "row_filter": None,
        "from_at": NOW.isoformat(),
        "to_at": UNTIL.isoformat(),
        "quota": None,
    }
    assert types(shared) == [
        "application.made",
        "application.handed_over",
        "application.checked",
        "grant.made",
        "application.approved",
    ]
    assert {e.subject for e in shared.events_waiting()} == {made.id, granted.grant}
    assert shared.events_waiting()[-1].data == {
        "resource": "staff",
        "department": "civil",
        "assigned": "tax",
        "state": "granted",
        "version": 4,
        "grant": granted.grant,
        "by": granted.answered_by,
    }


def test_the_centre_returns_and_the_provider_refuses_with_a_reason_only(shared: Registry) -> None:
    first, second = apply(shared), checked(shared)
    for why in ("", " \n"):
        for do in (
            lambda why=why: shared.return_application(first.id, by="officer", version=1, why=why),
            lambda why=why: shared.refuse_application(second.id, by="reviewer", version=2, why=why),
            lambda why=why: shared.hand_over_application(first.id, "tax", by="officer", version=1, why=why),
        ):
            assert refusal(RejectedError, do).code == "registry.empty"
    assert [shared.application(one.id).state for one in (first, second)] == ["submitted", "provider_review"]
    returned = shared.return_application(first.id, by="officer", version=1, why="no document")
    refused = shared.refuse_application(second.id, by="reviewer", version=2, why="统计法第二十五条")
    assert (returned.state, refused.state, shared.grants()) == ("returned", "refused", [])
    assert shared.history(second.id)[-1].why == "统计法第二十五条"


@pytest.mark.parametrize("reviewed", [False, True])
def test_an_open_application_is_cancelled_by_its_own_department(shared: Registry, reviewed: bool) -> None:
    made = checked(shared) if reviewed else apply(shared)
    for by, code in (("stranger", "registry.other_department"), ("officer", "registry.role")):
        told = refusal(DeniedError, lambda by=by: shared.cancel_application(made.id, by=by, version=made.version))
        assert told.code == code
    assert shared.cancel_application(made.id, by="colleague", version=made.version).state == "cancelled"
    told = refusal(RejectedError, lambda: answer(shared, shared.application(made.id)))
    assert (told.code, told.remedy) == ("application.state", "apply again")


@pytest.mark.parametrize(
    ("step", "by", "code"),
    [
        ("accept_check", "reviewer", "registry.role"),
        ("accept_check", "clerk", "registry.role"),
        ("return_application", "stranger", "registry.role"),
        ("hand_over_application", "reviewer", "registry.role"),
        ("approve_application", "officer", "registry.role"),
        ("approve_application", "clerk", "registry.role"),
        ("approve_application", "stranger", "registry.other_department"),
        ("refuse_application", "stranger", "registry.other_department"),
    ],
)
def test_a_step_of_an_application_is_refused_to_whom_it_is_not_for(shared: Registry, step: str, by: str, code: str) -> None:
    made = checked(shared) if step in ("approve_application", "refuse_application") else apply(shared)
    more = ("tax",) if step == "hand_over_application" else ()
    told = refusal(
        DeniedError, lambda: getattr(shared, step)(made.id, *more, by=by, version=made.version, why="a reason of law")
    )
    assert told.code == code
    assert (shared.application(made.id), shared.grants()) == (made, [])


def test_one_person_neither_applies_and_reviews_nor_takes_both_steps_of_the_review(shared: Registry) -> None:
    own = apply(shared, by="everything")
    for do in (
        lambda: shared.accept_check(own.id, by="everything", version=1),
        lambda: shared.return_application(own.id, by="everything", version=1, why="x"),
        lambda: shared.hand_over_application(own.id, "tax", by="everything", version=1, why="x"),
    ):
        assert refusal(DeniedError, do).code == "registry.two_persons"
    own = shared.accept_check(own.id, by="officer", version=1)
    assert refusal(DeniedError, lambda: answer(shared, own, by="everything")).code == "registry.two_persons"
    other = apply(shared)
    other = shared.accept_check(other.id, by="everything", version=1)
    told = refusal(DeniedError, lambda: answer(shared, other, by="everything"))
    assert (told.code, "checked it" in told.message) == ("registry.two_persons", True)
    assert answer(shared, other).state == "granted"


def test_an_application_is_handed_over_to_another_known_department_and_never_to_the_applicants(shared: Registry) -> None:
    made = apply(shared)
    for to, code in (
        ("nowhere", "department.unknown"),
        ("market", "application.same_department"),
        ("civil", "application.own_department"),
    ):
        told = refusal(
            RejectedError,
            lambda to=to: shared.hand_over_application(made.id, to, by="officer", version=1, why="x"),
        )
        assert told.code == code
    assert shared.application(made.id) == made


# Never more than was asked


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"fields": ["id", "citizen_id"]}, "application.more_than_asked"),
        ({"fields": []}, "grant.no_field"),
        ({"from_at": NOW - timedelta(seconds=1)}, "application.more_than_asked"),
        ({"to_at": UNTIL + timedelta(seconds=1)}, "application.more_than_asked"),
        ({"to_at": NOW}, "application.interval_over"),
        ({"from_at": UNTIL}, "grant.interval"),
        ({"to_at": datetime(2026, 12, 1)}, "grant.interval"),  # noqa: DTZ001 - without an offset, as somebody may give it
        ({"row_filter": "id = 1) or (id = 2"}, "filter.syntax"),
        ({"row_filter": "citizen_id = '1'"}, "filter.sealed"),
    ],
)
def test_more_than_was_asked_is_not_granted(shared: Registry, more: dict[str, Any], code: str) -> None:
    asked = checked(shared, fields=["id", "title"], row_filter="title = 'manager'")
    assert refusal(RejectedError, lambda: answer(shared, asked, **more)).code == code
    assert (shared.application(asked.id), shared.grants()) == (asked, [])


def test_a_further_condition_narrows_what_was_asked_for_and_cannot_widen_it(shared: Registry) -> None:
    asked = checked(shared, row_filter="title = 'manager' or title = 'clerk'")
    granted = answer(shared, asked, row_filter="id < 100 or id > 200")
    chosen = shared.grant(str(granted.grant)).row_filter
    assert chosen is not None
    rows = [{"title": t, "id": n} for t in ("manager", "clerk", "driver") for n in (1, 150, 201)]
    assert [(r["title"], r["id"]) for r in rows if chosen.truth(r)] == [
        ("manager", 1),
        ("manager", 201),
        ("clerk", 1),
        ("clerk", 201),
    ]


def test_an_approval_of_what_the_resource_has_no_longer_is_refused_and_less_is_granted(shared: Registry) -> None:
    asked = checked(shared)
    shared.register_resource(contract_text(version="1.1.0", field="post"), by="editor")
    assert refusal(RejectedError, lambda: answer(shared, asked)).code == "grant.unknown_field"
    act(shared, "freeze", "officer", "wrong data")
    assert refusal(RejectedError, lambda: answer(shared, asked, fields=["id"])).code == "grant.resource_state"
    assert (shared.application(asked.id), shared.grants()) == (asked, [])
    act(shared, "thaw", "officer")
    assert answer(shared, asked, fields=["id"]).state == "granted"


def test_an_application_whose_interval_is_over_is_not_approved(shared: Registry, clock: FakeClock) -> None:
    asked = checked(shared)
    clock.advance(timedelta(days=365))
    assert refusal(RejectedError, lambda: answer(shared, asked)).code == "application.interval_over"


# Two at the same moment


def test_of_two_reviewers_at_the_same_moment_the_second_gets_a_conflict_and_nothing_is_lost(shared: Registry) -> None:
    asked = checked(shared)
    together = threading.Barrier(2)
    done: dict[str, ApplicationRecord] = {}
    told: dict[str, OneDoorError] = {}

    def decide(by: str, fields: list[str]) -> None:
        together.wait(10)
        try:
            done[by] = answer(shared, asked, by=by, fields=fields)
        except OneDoorError as error:
            told[by] = error

    threads = [
        threading.Thread(target=decide, args=("reviewer", ["id"])),
        threading.Thread(target=decide, args=("second_reviewer", ["title"])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    ((first, granted),) = done.items()
    ((second, conflict),) = told.items()
    assert {first, second} == {"reviewer", "second_reviewer"}
    assert (conflict.code, conflict.where) == ("registry.conflict", asked.id)
    assert shared.application(asked.id) == granted
    assert [g.id for g in shared.grants()] == [granted.grant]
    assert shared.grants()[0].fields == (("id",) if first == "reviewer" else ("title",))
    assert [s.event for s in shared.history(asked.id)] == ["apply", "accept_check", "approve"]


def test_a_stale_version_is_refused_whatever_is_done(shared: Registry) -> None:
    made = checked(shared)
    for do in (
        lambda: shared.refuse_application(made.id, by="reviewer", version=1, why="x"),
        lambda: shared.cancel_application(made.id, by="clerk", version=1),
        lambda: shared.hand_over_application(made.id, "tax", by="officer", version=3, why="x"),
    ):
        assert refusal(RejectedError, do).code == "registry.conflict"
    assert shared.application(made.id) == made


# The resource goes to another department


def test_what_waits_for_an_answer_follows_the_resource_to_the_department_that_has_it_now(shared: Registry) -> None:
    waiting, in_review, away = apply(shared), checked(shared), apply(shared)
    shared.hand_over_application(away.id, "centre", by="officer", version=away.version, why="the centre answers")
    over = answer(shared, checked(shared))
    own = apply(shared, by="stranger")
    shared.ensure_system("tax_system", "税务系统", "tax")
    shared.add_source("tax_db", Secret("postgresql://reader@db.local/tax"), system="tax_system")
    moved = contract_text(version="2.0.0", department="tax", system="tax_system", source="tax_db")
    shared.register_resource(moved, by="setup")
    assigned = {a.id: a.assigned for a in shared.applications()}
    assert assigned == {waiting.id: "tax", in_review.id: "tax", away.id: "centre", over.id: "market", own.id: "market"}
    last = shared.history(in_review.id)[-1]
    assert (last.event, last.by, last.from_state, last.to_state) == (
        "hand_over",
        "setup",
        "provider_review",
        "provider_review",
    )
    assert last.detail == {"from": "market", "to": "tax"}
    current = shared.application(in_review.id)
    assert shared.approve_application(in_review.id, by="stranger", version=current.version).state == "granted"


def test_what_is_disputed_follows_the_resource_too_until_it_is_at_its_end(shared: Registry) -> None:
    answer(shared, checked(shared))

    def dispute(by: str = "clerk") -> CorrectionRecord:
        row = RowSeen(new_id("row", NOW), ("1",), b"\x01" * 16, "run1", "1.0.0")
        return shared.ask_correction("staff", by=by, type_=CorrectionType.WRONG, seal=lambda _: b"sealed", row=row)

    def step(of: CorrectionRecord, what: str, by: str, *more: str, why: str = "与原件一致") -> CorrectionRecord:
        found: CorrectionRecord = getattr(shared, f"{what}_correction")(of.id, *more, by=by, version=of.version, why=why)
        return found

    waiting, order, refused, contested, over = (dispute() for _ in range(5))
    assert refusal(RejectedError, lambda: step(waiting, "hand_over", "officer", "civil")).code == "correction.own_department"
    order, refused = step(order, "accept", "reviewer"), step(refused, "refuse", "reviewer")
    contested = step(step(contested, "refuse", "reviewer"), "contest", "clerk")
    over = step(over, "withdraw", "clerk")
    away = step(dispute(), "hand_over", "officer", "centre", why="the centre answers")
    shared.ensure_system("tax_system", "税务系统", "tax")
    shared.add_source("tax_db", Secret("postgresql://reader@db.local/tax"), system="tax_system")
    moved = contract_text(version="2.0.0", department="tax", system="tax_system", source="tax_db")
    heard(shared)
    shared.register_resource(moved, by="setup")
    assigned = {c.id: c.assigned for c in shared.corrections()}
    assert assigned == {
        waiting.id: "tax",
        order.id: "tax",
        contested.id: "tax",
        refused.id: "market",
        over.id: "market",
        away.id: "centre",
    }
    told = [subject for type_, subject in heard(shared) if type_ == "correction.handed_over"]
    assert told == sorted([waiting.id, order.id, contested.id])
    last = shared.correction_history(order.id)[-1]
    assert (last.event, last.by, last.from_state, last.to_state, last.n) == ("hand_over", "setup", "accepted", "accepted", 3)
    assert last.detail == {"from": "market", "to": "tax"}
    since, current = shared.correction(order.id), shared.correction(waiting.id)
    assert since.state_at == order.state_at
    assert refusal(DeniedError, lambda: step(current, "accept", "reviewer")).code == "registry.other_department"
    assert step(current, "accept", "stranger").state == "accepted"


def test_the_provider_has_the_time_that_the_catalogues_sharing_type_gives(shared: Registry, clock: FakeClock) -> None:
    asked = checked(shared)
    at = {a.id: clock.now() for a in shared.applications()}
    terms = {"rules": rules(), "of": calendar(), "now": clock.now()}

    def rule() -> str:
        free = shared.unconditional(["staff", "nothing"])
        ((_, found),) = clocks_of([asked], at, free, **terms)  # type: ignore[arg-type]
        assert found is not None
        return found.rule

    assert rule() == "application.provider_review.conditional"
    shared.set_entry("staff", read_entry(entry_json(sharing_type="1", sharing_condition=None)), by="setup")
    assert rule() == "application.provider_review.unconditional"


# One transaction


@pytest.mark.parametrize(
    "planted",
    [
        "ALTER TABLE registry.outbox ADD CONSTRAINT planted CHECK (type <> 'onedoor.registry.application.approved')",
        "ALTER TABLE registry.application_history ADD CONSTRAINT planted CHECK (event <> 'approve')",
        "ALTER TABLE registry.application ADD CONSTRAINT planted CHECK (state <> 'granted')",
    ],
)
def test_an_approval_that_fails_leaves_no_grant_no_step_and_no_event(shared: Registry, hub_db: str, planted: sql.SQL) -> None:
    asked = checked(shared)
    before = shared.history(asked.id), shared.events_waiting(), shared.version()
    with psycopg.connect(hub_db) as connection:
        connection.execute(planted)
    assert refusal(RejectedError, lambda: answer(shared, asked)).where == "planted"
    assert (shared.application(asked.id), shared.grants()) == (asked, [])
    assert (shared.history(asked.id), shared.events_waiting(), shared.version()) == before


def test_the_database_itself_keeps_the_rules_of_applications(shared: Registry, hub_db: str) -> None:
    made = answer(shared, checked(shared))
    for change, rule in (
        ("state = 'open', grant_id = NULL, answered_by = NULL", "ck_application_state_known"),
        ("way = 'fax'", "ck_application_way_known"),
        ("reason = ' '", "ck_application_has_reason"),
        ("fields = '{}'", "ck_application_has_fields"),
        ("purposes = '{}'", "ck_application_has_purpose_or_item"),
        ("legal_basis = ''", "ck_application_has_legal_basis"),
        ("to_at = from_at", "ck_application_interval"),
        ("quota = '{}'", "ck_application_quota_form"),
        ("grant_id = NULL", "ck_application_granted_has_grant"),
        ("checked_by = NULL", "ck_application_is_checked"),
        ("answered_by = NULL", "ck_application_is_answered"),
        ("checked_by = applicant", "ck_application_applicant_does_not_check"),
        ("answered_by = applicant", "ck_application_applicant_does_not_answer"),
        ("answered_by = checked_by", "ck_application_two_reviewers"),
    ):
        with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.CheckViolation) as broken:
            connection.execute(sql.SQL(f"UPDATE registry.application SET {change}"))
        assert broken.value.diag.constraint_name == rule
    assert shared.application(made.id) == made


def test_a_history_is_only_added_to_and_a_step_that_needs_a_reason_has_one(shared: Registry, hub_db: str) -> None:
    made = apply(shared)
    by = shared.principal("officer").id
    for table in ("application_history", "resource_history"):
        for change in ("UPDATE registry.{} SET why = 'x'", "DELETE FROM registry.{}", "TRUNCATE registry.{}"):
            with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL(change).format(sql.Identifier(table)))
    for table, key, event in (("application_history", made.id, "refuse"), ("resource_history", "staff", "freeze")):
        with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.CheckViolation) as broken:
            connection.execute(
                sql.SQL("INSERT INTO registry.{} VALUES (%s, 2, %s, %s, %s, 'a', 'b', NULL, NULL)").format(
                    sql.Identifier(table)
                ),
                (key, NOW, by, event),
            )
        assert broken.value.diag.constraint_name == f"ck_{table}_has_reason"


def test_a_resource_of_the_release_before_goes_on_with_its_next_step(shared: Registry, hub_db: str) -> None:
    with psycopg.connect(hub_db) as connection:  # as the migration leaves it: a version, and no history
        connection.execute("ALTER TABLE registry.resource_history DISABLE TRIGGER append_only")
        connection.execute("DELETE FROM registry.resource_history")
    frozen = act(shared, "freeze", "officer", "wrong data")
    assert (frozen.state, frozen.row_version) == ("frozen", 2)
    assert [(s.n, s.event) for s in shared.resource_history("staff")] == [(2, "freeze")]
