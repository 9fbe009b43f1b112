"""A breaking change of a contract: refused without notice, told, acknowledged, held or put in force once, or taken back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog_registry import clocks
from catalog_registry.notice_records import RevisionRecord
from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from catalog_registry.revision_states import RevisionState
from exchange.licences.view import load
from exchange.trust.grant import Allowed, Ask, Refused, authorise
from schemas.clock import CHINA, FakeClock
from schemas.errors import DeniedError, RejectedError
from schemas.secret import Secret
from schemas.workdays import calendar
from tests.contract_text import contract_text
from tests.registry_people import a_registry, code, heard, with_note, without_title

CIVIL = Receiver(ReceiverKind.DEPARTMENT, "civil")
RELIEF = Receiver(ReceiverKind.SYSTEM, "relief")
TAX = Receiver(ReceiverKind.DEPARTMENT, "tax")
RULE, OF = clocks.rules()["contract.breaking_notice"], calendar()
WEDNESDAY = datetime(2026, 9, 30, 11, tzinfo=CHINA)
ENDS = datetime(2026, 10, 21, tzinfo=CHINA)
"""Ten working days after the Wednesday before National Day: 1 to 7 October are days off, Saturday the 10th is worked."""


PARTITIONS = ("customProperties:\n", "customProperties:\n  - property: onedoor.partitions\n    value: 4\n")
KEY = ("name: citizen_id\n", "name: citizen_id\n        primaryKey: true\n        primaryKeyPosition: 2\n")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(WEDNESDAY.astimezone(UTC))


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    with a_registry(hub_db, clock, tmp_path) as made:
        yield made


def grant(registry: Registry, clock: FakeClock, *fields: str, receiver: Receiver = CIVIL, **more: Any) -> str:
    terms: dict[str, Any] = {
        "legal_basis": "国令809",
        "from_at": clock.now(),
        "to_at": clock.now() + timedelta(days=365),
        "by": "setup",
        "purposes": ["accept_case"],
    }
    made = registry.make_grant(receiver, "staff", fields, **(terms | more))
    heard(registry)
    return made.id


def noticed(registry: Registry, text: str | None = None) -> RevisionRecord:
    """Return a revision that was proposed, approved, and told to those whom it breaks."""
    made = registry.propose_revision(text or without_title(), by="editor", why="职称改由人社局提供")
    return registry.approve_revision(made.id, by="reviewer", version=made.version, rule=RULE, of=OF)


def to(clock: FakeClock, instant: datetime) -> None:
    clock.advance(instant - clock.now())


def state(registry: Registry, of: RevisionRecord) -> str:
    return registry.revision(of.id).state


def asked(registry: Registry, clock: FakeClock, *fields: str, by: str = "clerk") -> Allowed | Refused:
    """Decide as every way to data does."""
    ask = Ask(registry.principal(by), "staff", "accept_case", fields=fields)
    return authorise(ask, grants=load(registry).grants, now=clock.now())


# Refused without notice


def test_a_breaking_version_is_refused_without_notice_and_those_whom_it_breaks_are_named(
    registry: Registry, clock: FakeClock
) -> None:
    reads = grant(registry, clock, "id", "title")
    grant(registry, clock, "id", receiver=TAX)
    with pytest.raises(RejectedError) as refusal:
        registry.register_resource(without_title(), by="console")
    assert (refusal.value.code, refusal.value.where) == ("contract.notice_needed", "staff")
    assert refusal.value.message == f"version 2.0.0 of staff breaks what is read by department:civil ({reads}: title)"
    assert "onedoor revision give" in str(refusal.value.remedy)
    assert registry.resource("staff").version == "1.0.0"
    assert heard(registry) == []


def test_what_breaks_nobody_goes_into_force_at_once_as_ever(registry: Registry, clock: FakeClock) -> None:
    grant(registry, clock, "id", "title")
    assert registry.register_resource(with_note(), by="console").version == "1.1.0"
    ended = registry.grants(resource="staff")[0].id
    registry.revoke_grant(ended, by="setup", why="the item was abolished")
    assert registry.register_resource(without_title(), by="console").version == "2.0.0"


def test_the_owner_of_the_hub_gives_notice_and_is_refused_it_where_nobody_is_broken(
    registry: Registry, clock: FakeClock
) -> None:
    give = {"by": "console:root", "rule": RULE, "of": OF}
    assert code(RejectedError, lambda: registry.give_notice(without_title(), **give)) == "contract.no_notice_needed"
    assert registry.revisions() == []
    grant(registry, clock, "title")
    made = registry.give_notice(without_title(), **give)
    assert (made.state, made.ends_at, made.made_by, made.reviewed_by) == ("noticed", ENDS, "console:root", None)
    assert [step.event for step in registry.revision_history(made.id)] == ["propose", "give_notice"]


def test_what_cannot_be_a_version_of_the_contract_is_refused_with_its_reason(registry: Registry) -> None:
    for text, refused in (
        (without_title("1.1.0"), "contract.version_level"),
        (without_title("1.0.0"), "contract.version_order"),
        (contract_text(version="1.0.1"), "contract.unchanged"),
        (contract_text("others", version="2.0.0"), "resource.unknown"),
        (without_title().replace(*PARTITIONS), "resource.partitions"),
        (without_title().replace(*KEY), "resource.key"),
    ):
        assert code(RejectedError, lambda text=text: registry.propose_revision(text, by="editor")) == refused
    assert registry.revisions() == []


# Proposed and reviewed


def test_one_person_proposes_a_change_and_another_agrees_to_it(registry: Registry) -> None:
    assert code(DeniedError, lambda: registry.propose_revision(with_note(), by="clerk")) == "registry.role"
    assert code(DeniedError, lambda: registry.propose_revision(with_note(), by="stranger")) == "registry.other_department"
    made = registry.propose_revision(with_note(), by="both")
    terms = {"version": made.version, "rule": RULE, "of": OF}
    assert code(DeniedError, lambda: registry.approve_revision(made.id, by="both", **terms)) == "registry.two_persons"
    assert code(DeniedError, lambda: registry.approve_revision(made.id, by="stranger", **terms)) == "registry.other_department"
    done = registry.approve_revision(made.id, by="reviewer", **terms)
    assert (done.state, done.ends_at, done.reviewed_by) == ("due", None, registry.principal("reviewer").id)
    assert code(RejectedError, lambda: registry.approve_revision(made.id, by="officer", **terms)) == "registry.conflict"
    assert registry.resource("staff").version == "1.0.0"
    assert [one.state for one in registry.move_revisions()] == ["in_force"]
    assert registry.resource("staff").version == "1.1.0"


def test_what_waits_for_its_review_holds_up_no_change_of_the_registry(registry: Registry, hub_db: str) -> None:
    made = registry.propose_revision(with_note(), by="editor")
    with psycopg.connect(hub_db) as other:
        other.execute("SELECT * FROM registry.version FOR UPDATE")
        assert registry.move_revisions() == []
    assert state(registry, made) == "proposed"


def test_a_rejected_change_has_a_reason_and_changes_nothing(registry: Registry) -> None:
    made = registry.propose_revision(with_note(), by="editor")
    reject = {"by": "officer", "version": made.version}
    assert code(RejectedError, lambda: registry.reject_revision(made.id, why=" ", **reject)) == "registry.empty"
    assert registry.reject_revision(made.id, why="备注一项意义不明", **reject).state == "rejected"
    assert registry.move_revisions() == []
    last = registry.revision_history(made.id)[-1]
    assert (last.event, last.why, last.by) == ("reject", "备注一项意义不明", registry.principal("officer").id)


def test_a_change_of_what_is_no_longer_in_force_is_not_agreed_to(registry: Registry) -> None:
    made = registry.propose_revision(with_note("1.2.0"), by="editor")
    registry.register_resource(with_note("1.1.0"), by="console")
    agree = {"by": "reviewer", "version": made.version, "rule": RULE, "of": OF}
    assert code(RejectedError, lambda: registry.approve_revision(made.id, **agree)) == "revision.outdated"


# Told


def test_each_department_that_is_broken_is_told_what_becomes_of_its_grants(registry: Registry, clock: FakeClock) -> None:
    narrowed = grant(registry, clock, "id", "title")
    gone = grant(registry, clock, "title", receiver=RELIEF)
    chosen = grant(registry, clock, "id", receiver=TAX, row_filter="title = 'manager'")
    grant(registry, clock, "id", "citizen_id", receiver=TAX)
    made = noticed(registry)
    assert (made.state, made.ends_at, made.provisional) == ("noticed", ENDS, False)
    assert [(c["kind"], c["field"], c["breaking"]) for c in made.changes] == [("field_removed", "title", True)]
    civil, tax = sorted(registry.notices(revision=made.id), key=lambda n: n.department)
    assert (civil.department, tax.department, civil.effect_at, civil.why) == ("civil", "tax", ENDS, "职称改由人社局提供")
    assert {g["grant"]: (g["fields_after"], g["rows_after"]) for g in civil.grants} == {
        narrowed: (["id"], "as now"),
        gone: ([], "none"),
    }
    assert [(g["grant"], g["fields_after"], g["rows_after"]) for g in tax.grants] == [(chosen, ["id"], "none")]
    first, *given, last = heard(registry)
    assert (first, last) == (("revision.proposed", made.id), ("revision.noticed", made.id))
    assert sorted(given) == sorted([("notice.given", civil.id), ("notice.given", tax.id)])


def test_who_was_told_acknowledges_once_and_nobody_else_for_it(registry: Registry, clock: FakeClock) -> None:
    grant(registry, clock, "title")
    noticed(registry)
    (told,) = registry.notices(department="civil")
    assert code(DeniedError, lambda: registry.acknowledge_notice(told.id, by="taxman")) == "registry.other_department"
    assert code(DeniedError, lambda: registry.acknowledge_notice(told.id, by="officer")) == "registry.role"
    heard(registry)
    done = registry.acknowledge_notice(told.id, by="clerk")
    assert (done.acknowledged_at, done.acknowledged_by) == (clock.now(), registry.principal("clerk").id)
    clock.advance(timedelta(hours=1))
    assert registry.acknowledge_notice(told.id, by="clerk") == done
    assert heard(registry) == [("notice.acknowledged", told.id)]


def test_who_is_granted_a_field_that_goes_while_the_notice_runs_is_told_too(registry: Registry, clock: FakeClock) -> None:
    grant(registry, clock, "title")
    made = noticed(registry)
    (first,) = registry.notices(revision=made.id)
    registry.acknowledge_notice(first.id, by="clerk")
    late, more = grant(registry, clock, "title", receiver=TAX), grant(registry, clock, "title", "id")
    registry.move_revisions()
    told = {n.department: n for n in registry.notices(revision=made.id)}
    assert [g["grant"] for g in told["tax"].grants] == [late]
    assert (told["civil"].grants[-1]["grant"], told["civil"].acknowledged_at) == (more, None)
    heard(registry)
    registry.move_revisions()
    assert heard(registry) == []


# In force


def test_the_old_version_is_served_until_the_end_of_the_notice_and_the_new_one_then_once(
    registry: Registry, clock: FakeClock
) -> None:
    narrowed, gone = grant(registry, clock, "id", "title"), grant(registry, clock, "title", receiver=RELIEF)
    made = noticed(registry)
    (told,) = registry.notices(revision=made.id)
    registry.acknowledge_notice(told.id, by="clerk")
    to(clock, ENDS - timedelta.resolution)
    assert registry.move_revisions() == []
    assert registry.resource("staff").version == "1.0.0"
    assert isinstance(asked(registry, clock, "title"), Allowed)
    heard(registry)
    to(clock, ENDS)
    assert [(one.id, one.state) for one in registry.move_revisions()] == [(made.id, "in_force")]
    staff = registry.resource("staff")
    assert (staff.version, [f.name for f in staff.contract.fields]) == ("2.0.0", ["id", "citizen_id"])
    assert [(v.version, v.status) for v in registry.contract_versions("staff")] == [("1.0.0", "retired"), ("2.0.0", "active")]
    first, *of_grants, last = heard(registry)
    assert (first, last) == (("resource.changed", "staff"), ("revision.in_force", made.id))
    assert sorted(of_grants) == [("grant.narrowed", narrowed), ("grant.revoked", gone)]
    assert registry.move_revisions() == []
    assert heard(registry) == []
    last = registry.revision_history(made.id)[-1]
    assert (last.event, last.by) == ("take_effect", "onedoor")
    assert last.detail is not None
    assert {one["grant"]: one["fields"] for one in last.detail["grants"]} == {narrowed: ["id"], gone: []}
    step = registry.resource_history("staff")[-1]
    assert (step.event, step.detail) == ("change", {"version": "2.0.0", "revision": made.id})


def test_a_grant_loses_what_is_gone_and_keeps_the_rest_and_a_field_of_that_name_does_not_come_back_to_it(
    registry: Registry, clock: FakeClock
) -> None:
    narrowed, gone = grant(registry, clock, "id", "title"), grant(registry, clock, "title", receiver=RELIEF)
    made = noticed(registry)
    registry.acknowledge_notice(registry.notices(revision=made.id)[0].id, by="clerk")
    to(clock, ENDS)
    registry.move_revisions()
    assert registry.grant(narrowed).fields == ("id",)
    ended = registry.grant(gone)
    assert (ended.revoked_at, ended.revoked_by) == (clock.now(), "onedoor")
    assert ended.revoked_why == f"by revision {made.id} none of its fields is there any more"
    registry.register_resource(contract_text(version="2.1.0"), by="console")
    assert isinstance(asked(registry, clock, "id"), Allowed)
    assert isinstance(asked(registry, clock, "title"), Refused)


def test_two_workers_at_the_same_moment_put_it_in_force_once(registry: Registry, clock: FakeClock) -> None:
    grant(registry, clock, "id", "title")
    made = noticed(registry)
    registry.acknowledge_notice(registry.notices(revision=made.id)[0].id, by="clerk")
    to(clock, ENDS)
    heard(registry)
    with ThreadPoolExecutor(3) as threads:
        moved = list(threads.map(lambda _: registry.move_revisions(), range(3)))
    assert [one.id for those in moved for one in those] == [made.id]
    assert [kind for kind, _ in heard(registry)] == ["resource.changed", "grant.narrowed", "revision.in_force"]
    assert [step.event for step in registry.revision_history(made.id)].count("take_effect") == 1


def test_one_that_somebody_did_not_acknowledge_is_held_until_the_centre_goes_on_with_a_reason(
    registry: Registry, clock: FakeClock
) -> None:
    grant(registry, clock, "id", "title")
    grant(registry, clock, "title", receiver=TAX)
    made = noticed(registry)
    told = {n.department: n.id for n in registry.notices(revision=made.id)}
    registry.acknowledge_notice(told["tax"], by="taxman")
    to(clock, ENDS)
    (held,) = registry.move_revisions()
    assert held.state == "held"
    assert registry.revision_history(made.id)[-1].why == "the notice is over, and civil did not acknowledge"
    assert registry.move_revisions() == []
    assert registry.resource("staff").version == "1.0.0"
    assert isinstance(asked(registry, clock, "title"), Allowed)
    go = {"version": held.version, "why": "已电话告知，来源系统将停用"}
    assert code(DeniedError, lambda: registry.go_on_with_revision(made.id, by="reviewer", **go)) == "registry.role"
    empty = go | {"why": ""}
    assert code(RejectedError, lambda: registry.go_on_with_revision(made.id, by="officer", **empty)) == "registry.empty"
    assert registry.go_on_with_revision(made.id, by="officer", **go).state == "due"
    assert [one.state for one in registry.move_revisions()] == ["in_force"]
    assert registry.resource("staff").version == "2.0.0"


@pytest.mark.parametrize("way", ["acknowledged", "revoked"])
def test_one_that_is_held_takes_effect_when_nobody_is_waited_for_any_more(
    registry: Registry, clock: FakeClock, way: str
) -> None:
    reads = grant(registry, clock, "id", "title")
    made = noticed(registry)
    to(clock, ENDS)
    registry.move_revisions()
    assert state(registry, made) == "held"
    if way == "acknowledged":
        registry.acknowledge_notice(registry.notices(revision=made.id)[0].id, by="clerk")
    else:
        registry.revoke_grant(reads, by="setup", why="the item was abolished")
    registry.move_revisions()
    assert (state(registry, made), registry.resource("staff").version) == ("in_force", "2.0.0")


# Taken back, and what stands in the way


def test_a_provider_takes_a_change_back_before_it_is_in_force_and_it_never_is(registry: Registry, clock: FakeClock) -> None:
    grant(registry, clock, "title")
    made = noticed(registry)
    take = {"by": "editor", "version": made.version}
    assert code(RejectedError, lambda: registry.withdraw_revision(made.id, why="", **take)) == "registry.empty"
    assert registry.withdraw_revision(made.id, why="不再取消该项", **take).state == "withdrawn"
    assert registry.notices(department="civil")[0].state == "withdrawn"
    to(clock, ENDS + timedelta(days=1))
    assert registry.move_revisions() == []
    assert (registry.resource("staff").version, isinstance(asked(registry, clock, "title"), Allowed)) == ("1.0.0", True)
    again = noticed(registry, without_title())
    assert again.state == "noticed"


def test_while_a_version_is_on_its_way_no_other_one_overtakes_it(registry: Registry, clock: FakeClock) -> None:
    grant(registry, clock, "title")
    made = noticed(registry)
    assert code(RejectedError, lambda: registry.register_resource(with_note(), by="console")) == "contract.on_its_way"
    assert code(RejectedError, lambda: registry.propose_revision(with_note(), by="editor")) == "contract.on_its_way"
    registry.register_resource(contract_text(), by="console")  # the same again changes nothing
    assert (state(registry, made), registry.resource("staff").version) == ("noticed", "1.0.0")


def test_a_change_of_a_resource_that_is_withdrawn_meanwhile_ends_with_it(registry: Registry, clock: FakeClock) -> None:
    grant(registry, clock, "title")
    made = noticed(registry)
    registry.withdraw_resource("staff", by="officer", version=registry.resource("staff").row_version, why="来源系统停用")
    assert [(one.id, one.state) for one in registry.move_revisions()] == [(made.id, "withdrawn")]


def test_what_no_longer_fits_at_its_end_is_held_with_the_reason(registry: Registry, clock: FakeClock) -> None:
    grant(registry, clock, "title")
    registry.add_source("new_db", Secret("postgresql://reader@db.local/new"), system="approval")
    made = noticed(registry, without_title().replace("value: market_db", "value: new_db"))
    registry.acknowledge_notice(registry.notices(revision=made.id)[0].id, by="clerk")
    registry.remove_source("new_db")
    to(clock, ENDS)
    assert [one.state for one in registry.move_revisions()] == ["held"]
    assert "there is no source 'new_db'" in str(registry.revision_history(made.id)[-1].why)
    assert registry.move_revisions() == []


def test_one_that_broke_nobody_when_it_was_agreed_to_is_held_where_it_breaks_a_grant_made_meanwhile(
    registry: Registry, clock: FakeClock
) -> None:
    made = noticed(registry)
    assert (made.state, made.ends_at) == ("due", None)
    reads = grant(registry, clock, "id", "title")
    (held,) = registry.move_revisions()
    assert held.state == "held"
    assert (
        registry.revision_history(made.id)[-1].why == "it breaks a grant that was made meanwhile, and civil did not acknowledge"
    )
    (told,) = registry.notices(revision=made.id)
    assert [g["grant"] for g in told.grants] == [reads]
    registry.go_on_with_revision(made.id, by="officer", version=held.version, why="已电话告知")
    assert [one.state for one in registry.move_revisions()] == ["in_force"]
    assert registry.grant(reads).fields == ("id",)


def test_one_that_breaks_nobody_and_no_longer_fits_is_held_too(registry: Registry) -> None:
    registry.add_source("new_db", Secret("postgresql://reader@db.local/new"), system="approval")
    made = noticed(registry, with_note().replace("value: market_db", "value: new_db"))
    registry.remove_source("new_db")
    assert [one.state for one in registry.move_revisions()] == ["held"]
    assert "there is no source 'new_db'" in str(registry.revision_history(made.id)[-1].why)


def test_one_that_cannot_be_read_any_more_holds_up_no_other(registry: Registry, hub_db: str) -> None:
    registry.register_resource(contract_text("plans"), by="setup")
    spoilt = noticed(registry, with_note())
    good = noticed(registry, with_note().replace("staff", "plans"))
    with psycopg.connect(hub_db) as connection:
        connection.execute("UPDATE registry.revision SET odcs = 'kind: [' WHERE id = %s", [spoilt.id])
    assert code(RejectedError, registry.move_revisions) == "contract.invalid"
    assert [state(registry, one) for one in (spoilt, good)] == ["due", "in_force"]
    assert registry.resource("plans").version == "1.1.0"


def test_the_database_itself_keeps_the_rules_of_revisions(registry: Registry, clock: FakeClock, hub_db: str) -> None:
    grant(registry, clock, "title")
    made = noticed(registry)
    for statement, rule in (
        ("UPDATE registry.revision SET reviewed_by = made_by", "ck_revision_two_persons"),
        ("UPDATE registry.revision SET ends_at = NULL, noticed_at = NULL", "ck_revision_noticed_has_an_end"),
        ("UPDATE registry.notice SET acknowledged_at = told_at", "ck_notice_acknowledged_by_somebody"),
        ("UPDATE registry.revision SET state = 'gone'", "ck_revision_state_known"),
    ):
        with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.CheckViolation) as broken:
            connection.execute(statement)
        assert broken.value.diag.constraint_name == rule
    with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.Error):
        connection.execute("DELETE FROM registry.revision_history")
    assert registry.revision(made.id).state is RevisionState.NOTICED
