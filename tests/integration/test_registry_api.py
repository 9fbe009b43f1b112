"""The registry by HTTP, as the API serves it with the database roles that it has: who sees and does what, and when."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from exchange.bootstrap import open_hub
from exchange.settings import Settings
from schemas.errors import RejectedError
from tests.desk import DEPARTMENTS, PROVIDER, ROLES, Desk, as_it_was, desk, eventually, told
from tests.office import (
    LICENCE_TABLE,
    an_office,
    fill,
    insert,
    licence,
    question,
)

__all__ = ["as_it_was", "desk"]

# The whole way ----------------------------------------------------------------------------------------------------------


def test_from_a_draft_to_a_look_up_of_less_than_was_asked_for_and_its_end(desk: Desk) -> None:
    office = desk.office
    office.made.source(LICENCE_TABLE.replace("licences", "permits"))
    rows = [licence(i, kind, trust_level=level) for i in (1, 2) for kind, level in (("T-ID", "A"), ("T-BIZ", "B"))]
    insert(office.made.source_url, "permits", rows)
    path = desk.draft("permits")
    assert desk.step(path, "submit", "editor").json()["state"] == "submitted"
    assert told(desk.get(path, "clerk")) == (404, "resource.unknown")
    published = desk.step(path, "publish", "officer")
    assert (published.status_code, published.json()["state"]) == (200, "published")
    assert published.headers["etag"] == f'"{published.json()["row_version"]}"'
    assert office.made.collect("permits").state == "proved"

    asked = desk.applied(resource="permits", fields=["licence_id", "holder_name", "issued_on"])
    assert desk.step(asked, "accept-check", "officer").json()["state"] == "provider_review"
    granted = desk.step(asked, "approve", "reviewer", fields=["issued_on", "licence_id"], row_filter="trust_level = 'A'")
    assert (granted.status_code, granted.json()["state"]) == (200, "granted")
    office.refresh()
    answer = office.ask(question(1), desk.token("clerk"))
    assert [(one["resource"], one["fields"]) for one in answer.json()["licences"]] == [
        ("permits", {"licence_id": "L1-T-ID", "issued_on": "2020-05-04"})
    ]
    office.hub.registry.revoke_grant(granted.json()["grant"], by="test", why="the item was abolished")
    office.refresh()
    assert office.ask(question(1), desk.token("clerk")).status_code == 403

    steps = desk.get(f"{asked}/history", "clerk").json()["steps"]
    assert [(s["event"], s["from_state"], s["to_state"], s["by"]) for s in steps] == [
        ("apply", None, "submitted", desk.clients["clerk"]),
        ("accept_check", "submitted", "provider_review", desk.clients["officer"]),
        ("approve", "provider_review", "granted", desk.clients["reviewer"]),
    ]
    kept = [r for r in office.ledger("registry.application") if r["resource"] == "permits"]
    assert [(r["outcome"], r["principal"], r["manifest"]["event"], r.get("grant")) for r in kept] == [
        ("done", desk.clients["clerk"], "apply", None),
        ("done", desk.clients["officer"], "accept_check", None),
        ("done", desk.clients["reviewer"], "approve", granted.json()["grant"]),
    ]
    assert {r["manifest"]["application"] for r in kept} == {granted.json()["id"]}
    kept = [r for r in office.ledger("registry.resource") if r["resource"] == "permits"]
    assert [(r["principal"], r["manifest"]) for r in kept] == [
        (desk.clients["editor"], {"event": "submit", "state": "submitted", "version": 2}),
        (desk.clients["officer"], {"event": "publish", "state": "published", "version": 3}),
    ]


@pytest.mark.parametrize(
    ("what", "by", "body", "state"),
    [
        ("return", "officer", {"why": "no document"}, "returned"),
        ("cancel", "clerk", {}, "cancelled"),
        ("hand-over", "officer", {"why": "the data moved", "department": "tax"}, "submitted"),
    ],
)
def test_each_other_step_of_an_application(desk: Desk, what: str, by: str, body: dict[str, Any], state: str) -> None:
    done = desk.step(desk.applied(), what, by, **body)
    assert (done.status_code, done.json()["state"], done.json()["version"], done.headers["etag"]) == (200, state, 2, '"2"')


def test_an_application_is_refused_for_a_reason_and_has_no_clock_any_more(desk: Desk) -> None:
    path = desk.in_review()
    assert told(desk.step(path, "refuse", "reviewer", why=" ")) == (422, "registry.empty")
    done = desk.step(path, "refuse", "reviewer", why="统计法第二十五条").json()
    assert (done["state"], done["grant"], done["clock"]) == ("refused", None, None)


def test_a_resource_is_frozen_thawed_rejected_and_withdrawn(desk: Desk) -> None:
    path = desk.draft("staff")
    for what, by, why, state in (
        ("submit", "editor", "", "submitted"),
        ("reject", "reviewer", "the title says nothing", "rejected"),
        ("submit", "editor", "", "submitted"),
        ("publish", "reviewer", "", "published"),
        ("freeze", "officer", "wrong data", "frozen"),
        ("thaw", "officer", "", "published"),
        ("withdraw", "reviewer", "replaced", "withdrawn"),
    ):
        if state in ("published", "frozen"):
            desk.office.refresh()
        done = desk.step(path, what, by, why=why)
        assert (done.status_code, done.json().get("state")) == (200, state), done.text
    steps = desk.get(f"{path}/history", "auditor").json()["steps"]
    assert [(s["version"], s["event"], s["why"]) for s in steps][-2:] == [(7, "thaw", None), (8, "withdraw", "replaced")]


# Refusals ---------------------------------------------------------------------------------------------------------------


def test_each_refusal_is_a_problem_document_of_its_own_status(desk: Desk) -> None:
    path, review = desk.applied(), desk.in_review()
    assert told(desk.call("POST", f"{path}/accept-check", "officer")) == (428, "request.if_match")
    assert told(desk.call("POST", f"{path}/accept-check", "officer", tag="*")) == (428, "request.if_match")
    for tag in ('"2"', 'W/"1"', '"1", "2"', "1", '"99999999999"'):
        assert told(desk.call("POST", f"{path}/accept-check", "officer", tag=tag)) == (412, "registry.conflict")
    assert told(desk.step(path, "accept-check", "reviewer")) == (403, "registry.role")
    assert told(desk.step(path, "approve", "reviewer")) == (409, "application.state")
    assert told(desk.step(path, "return", "officer", why="")) == (422, "registry.empty")
    assert told(desk.step(path, "hand-over", "officer", department="nowhere", why="x")) == (422, "department.unknown")
    assert told(desk.step(path, "hand-over", "officer", why="x")) == (400, "request.body")
    assert told(desk.step(path, "cancel", "clerk", because="x")) == (400, "request.body")
    assert told(desk.step(review, "approve", "reviewer", fields=["holder_name"])) == (422, "application.more_than_asked")
    assert told(desk.step(review, "approve", "reviewer", row_filter="state =")) == (422, "filter.syntax")
    assert told(desk.step("/resources/licences", "thaw", "officer")) == (409, "resource.state")
    assert told(desk.step("/resources/licences", "freeze", "officer")) == (422, "registry.empty")
    assert desk.get(path, "clerk").json()["version"] == 1


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({"fields": ["nothing"]}, (422, "grant.unknown_field")),
        ({"fields": []}, (422, "grant.no_field")),
        ({"reason": " "}, (422, "registry.empty")),
        ({"way": "fax"}, (422, "application.way")),
        ({"purposes": [], "items": []}, (422, "grant.no_purpose")),
        ({"to_at": "2020-01-01T00:00:00+08:00"}, (422, "grant.interval")),
        ({"to_at": "2099-01-01T00:00:00"}, (400, "request.body")),
        ({"to_at": "9999-12-31T23:59:59-14:00"}, (400, "request.body")),
        ({"from_at": "0001-01-01T00:00:00+14:00"}, (400, "request.body")),
        ({"row_filter": "holder_number = '1'"}, (422, "filter.sealed")),
        ({"reason": "a\x00b"}, (400, "request.body")),
        ({"system": "nowhere"}, (422, "application.system")),
        ({"system": "test_system"}, (422, "application.system")),
        ({"resource": "hidden"}, (404, "resource.unknown")),
        ({"resource": "licence"}, (404, "resource.unknown")),
        ({"by": "reviewer"}, (403, "registry.role")),
    ],
)
def test_an_application_is_refused_with_the_code_of_what_is_wrong(
    desk: Desk, more: dict[str, Any], refusal: tuple[int, str]
) -> None:
    before = desk.get("/applications?limit=200", "officer").json()
    assert told(desk.apply(**more)) == refusal
    assert desk.get("/applications?limit=200", "officer").json() == before


def test_nobody_asks_the_registry_without_a_good_token_and_a_body_of_the_form(desk: Desk) -> None:
    http = desk.office.http
    assert told(http.get("/api/v1/resources")) == (401, "token.missing")
    assert told(http.get("/api/v1/applications", headers={"authorization": "Bearer a.b.c"})) == (401, "token.malformed")
    for body in (b'{"resource": "\\ud800"}', b'{"resource": "\xff"}', b"[]", b"{", b""):
        headers = {"authorization": f"Bearer {desk.token('clerk')}", "content-type": "application/json"}
        assert told(http.post("/api/v1/applications", headers=headers, content=body))[0] == 400
    answer = http.post("/api/v1/applications", headers={"authorization": f"Bearer {desk.token('clerk')}"}, content=b"x")
    assert told(answer) == (415, "request.media_type")


def test_a_refusal_by_role_is_on_record(desk: Desk) -> None:
    assert told(desk.step("/resources/licences", "withdraw", "stranger", why="x")) == (403, "registry.other_department")
    (kept,) = [r for r in desk.office.ledger("registry.resource") if r["principal"] == desk.clients["stranger"]]
    assert (kept["outcome"], kept["resource"], kept["reason"]) == (
        "refused",
        "licences",
        "withdraw:registry.other_department",
    )


def test_one_client_does_not_check_and_answer_the_same_application(desk: Desk) -> None:
    both = desk.client("both", PROVIDER, "registration_officer", "provider_reviewer")
    desk.office.refresh()
    path = desk.applied()
    assert desk.step(path, "accept-check", both).status_code == 200
    assert told(desk.step(path, "approve", both)) == (403, "registry.two_persons")
    assert desk.step(path, "approve", "reviewer").json()["state"] == "granted"


def test_nothing_is_changed_while_the_ledger_is_away(desk: Desk) -> None:
    path = desk.applied()
    with psycopg.connect(desk.office.settings.database_url, autocommit=True) as owner:
        owner.execute("REVOKE INSERT ON trust.ledger FROM onedoor_api")
        try:
            first = desk.step(path, "accept-check", "officer")
            second = desk.step(path, "cancel", "clerk")
        finally:
            owner.execute("GRANT INSERT ON trust.ledger TO onedoor_api")
    assert [told(first), told(second)] == [(503, "ledger.away")] * 2
    steps = [s["event"] for s in desk.get(f"{path}/history", "clerk").json()["steps"]]
    assert steps in (["apply"], ["apply", "accept_check"])  # the first finds out by its own record
    assert steps[-1] != "cancel"


# Two at once ------------------------------------------------------------------------------------------------------------


def test_of_two_clients_on_one_version_the_second_is_told_of_a_conflict_and_nothing_is_lost(desk: Desk) -> None:
    second = desk.client("second_reviewer", PROVIDER, "provider_reviewer")
    desk.office.refresh()
    path = desk.in_review()
    tag = desk.get(path, "reviewer").headers["etag"]
    together = threading.Barrier(2)
    answers: dict[str, httpx.Response] = {}

    def decide(by: str, chosen: str) -> None:
        with httpx.Client(base_url=desk.office.http.base_url, timeout=20, trust_env=False) as http:
            headers = {"authorization": f"Bearer {desk.token(by)}", "if-match": tag}
            together.wait(10)
            answers[by] = http.post(f"/api/v1{path}/approve", headers=headers, json={"fields": [chosen]})

    threads = [
        threading.Thread(target=decide, args=("reviewer", "licence_id")),
        threading.Thread(target=decide, args=(second, "issued_on")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    ((won, granted),) = [(by, a) for by, a in answers.items() if a.status_code == 200]
    (conflict,) = [a for a in answers.values() if a is not granted]
    assert told(conflict) == (412, "registry.conflict")
    assert desk.get(path, won).json() == granted.json()
    assert granted.json()["answered_by"] == desk.clients[won]
    grant = desk.office.hub.registry.grant(granted.json()["grant"])
    assert grant.fields == (("licence_id",) if won == "reviewer" else ("issued_on",))


# Who sees and does what -------------------------------------------------------------------------------------------------


def _clients(*names: str) -> frozenset[str]:
    """Return clients by ``role@department``; ``*`` is every department."""
    return frozenset(
        f"{role}@{each}"
        for role, department in (name.split("@") for name in names)
        for each in (DEPARTMENTS if department == "*" else [department])
    )


EVERYBODY = _clients(*(f"{role}@*" for role in ROLES))
OVERSEERS = _clients("registration_officer@*", "security_officer@*", "auditor@*")
OF_PROVIDER, OF_APPLICANT = (
    OVERSEERS | _clients(*(f"{role}@{department}" for role in ("provider_editor", "provider_reviewer", "consumer")))
    for department in (PROVIDER, "civil")
)
CENTRE = _clients("registration_officer@*")
REVIEWERS = _clients(f"provider_reviewer@{PROVIDER}")

READS = [
    ("/resources/licences", EVERYBODY, frozenset()),
    ("/resources/licences/history", OF_PROVIDER, EVERYBODY),
    ("/resources/hidden", OF_PROVIDER, frozenset()),
    ("/resources/hidden/history", OF_PROVIDER, frozenset()),
    ("{application}", OF_PROVIDER | OF_APPLICANT, frozenset()),
    ("{application}/history", OF_PROVIDER | OF_APPLICANT, frozenset()),
]
"""What is read, to whom it is shown, and to whom it is refused as something that they may know of."""

STEPS = [
    ("/resources/hidden/submit", _clients(f"provider_editor@{PROVIDER}"), OF_PROVIDER),
    ("/resources/hidden/publish", CENTRE | REVIEWERS, OF_PROVIDER),
    ("/resources/hidden/reject", CENTRE | REVIEWERS, OF_PROVIDER),
    ("/resources/licences/freeze", CENTRE, EVERYBODY),
    ("/resources/licences/thaw", CENTRE, EVERYBODY),
    ("/resources/licences/withdraw", CENTRE | REVIEWERS, EVERYBODY),
    ("{application}/accept-check", CENTRE, OF_PROVIDER | OF_APPLICANT),
    ("{application}/return", CENTRE, OF_PROVIDER | OF_APPLICANT),
    ("{application}/approve", REVIEWERS, OF_PROVIDER | OF_APPLICANT),
    ("{application}/refuse", REVIEWERS, OF_PROVIDER | OF_APPLICANT),
    ("{application}/cancel", _clients("consumer@civil"), OF_PROVIDER | OF_APPLICANT),
    ("{application}/hand-over", CENTRE, OF_PROVIDER | OF_APPLICANT),
]
"""Which step is taken, by whom it may be, and who may know of the thing."""


@pytest.fixture(scope="module")
def application(desk: Desk) -> str:
    """The path of an application of civil, which stays as it is."""
    return desk.applied()


@pytest.mark.parametrize("department", DEPARTMENTS)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("path", "shown", "known"), READS, ids=[path for path, *_ in READS])
def test_who_may_read_what(
    desk: Desk, application: str, path: str, shown: frozenset[str], known: frozenset[str], role: str, department: str
) -> None:
    by = f"{role}@{department}"
    answer = desk.get(path.format(application=application), by)
    if by in shown:
        assert answer.status_code == 200
    elif by in known:
        assert told(answer) == (403, "registry.history")
    else:
        assert_unknown(desk, answer, path, by)


@pytest.mark.parametrize("department", DEPARTMENTS)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("path", "may", "known"), STEPS, ids=[path for path, *_ in STEPS])
def test_who_may_do_what(
    desk: Desk, application: str, path: str, may: frozenset[str], known: frozenset[str], role: str, department: str
) -> None:
    by = f"{role}@{department}"
    body = {"why": "x"} | ({"department": "tax"} if "hand-over" in path else {})
    answer = desk.call("POST", path.format(application=application), by, tag='"0"', **body)  # decided on no version there was
    if by in may:
        assert told(answer) == (412, "registry.conflict")
    elif by in known:
        assert told(answer) in ((403, "registry.role"), (403, "registry.other_department"))
    else:
        assert_unknown(desk, answer, path, by)


def assert_unknown(desk: Desk, answer: httpx.Response, path: str, by: str) -> None:
    """Check that an answer is, to the byte, that of a thing that there is not."""
    nothing = "/resources/nothing_at_all" if path.startswith("/resources") else "/applications/a00000000000000000000"
    assert answer.status_code == 404
    assert answer.content == desk.get(nothing, by).content


@pytest.mark.parametrize("department", DEPARTMENTS)
@pytest.mark.parametrize("role", ROLES)
def test_who_may_apply_and_what_a_list_shows(desk: Desk, application: str, role: str, department: str) -> None:
    by = f"{role}@{department}"
    refused = told(desk.apply(by=by, fields=["nothing"]))
    assert refused == ((422, "grant.unknown_field") if role == "consumer" else (403, "registry.role"))
    listed = desk.get("/resources?limit=200", by).json()["resources"]
    assert ("hidden" in {r["name"] for r in listed}) == (by in OF_PROVIDER)
    assert "licences" in {r["name"] for r in listed}
    ids = {a["id"] for a in desk.get("/applications?limit=200", by).json()["applications"]}
    assert (application.rpartition("/")[2] in ids) == (by in OF_PROVIDER | OF_APPLICANT)


def test_what_is_handed_over_is_seen_by_who_answers_it_and_still_by_the_provider(desk: Desk) -> None:
    path = desk.applied()
    assert told(desk.get(path, "stranger")) == (404, "application.unknown")
    assert desk.step(path, "hand-over", "officer", department="tax", why="the data moved").status_code == 200
    for by in ("stranger", "reviewer", "clerk"):
        assert desk.get(path, by).json()["assigned"] == "tax"
    assert desk.step(path, "accept-check", "officer").status_code == 200
    assert told(desk.step(path, "approve", "reviewer")) == (403, "registry.other_department")


def test_a_resource_shows_its_fields_and_never_where_it_is_read_from(desk: Desk) -> None:
    answer = desk.get("/resources/licences", "editor")
    assert {f["name"]: (f["type"], f["personal"]) for f in answer.json()["fields"]}["holder_number"] == ("string", True)
    assert "postgresql" not in answer.text
    assert "test_source" not in answer.text


# Pages ------------------------------------------------------------------------------------------------------------------


def test_lists_are_given_in_pages_without_a_gap_or_a_thing_twice(desk: Desk) -> None:
    for _ in range(5):
        desk.applied()
    for path, key, kind in (("/applications", "id", "applications"), ("/resources", "name", "resources")):
        whole = [one[key] for one in desk.get(f"{path}?limit=200", "officer").json()[kind]]
        assert len(whole) >= 2
        assert whole == sorted(whole)
        pages, after = [], ""
        while after is not None:
            page = desk.get(f"{path}?limit=2" + (f"&after={after}" if after else ""), "officer").json()
            assert len(page[kind]) <= 2
            pages += [one[key] for one in page[kind]]
            after = page["next"]
        assert pages == whole


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "after=A'B", "after=", "page=2"])
def test_a_page_that_there_cannot_be_is_refused(desk: Desk, query: str) -> None:
    assert told(desk.get(f"/applications?{query}", "officer")) == (400, "request.page")


# Clocks -----------------------------------------------------------------------------------------------------------------


def clock(desk: Desk, path: str) -> tuple[str, str | None, int, str]:
    """Return the rule, the last day, the days left and the state of an application's clock."""
    found = desk.get(path, "clerk").json()["clock"]
    return found["rule"], found["due"], found["left"], found["state"]


def test_clocks_stand_still_over_national_day_and_count_the_saturday_that_is_worked(desk: Desk) -> None:
    desk.at(2026, 9, 30, 10)
    waiting = desk.applied()
    review = desk.in_review()
    check, answer = "application.accept_check", "application.provider_review.conditional"
    for day, of_check, of_answer in (
        ((2026, 9, 30, 18), (2, "running"), (10, "running")),
        ((2026, 10, 1, 0), (2, "running"), (10, "running")),
        ((2026, 10, 7, 23), (2, "running"), (10, "running")),
        ((2026, 10, 8, 0), (1, "reminded_last"), (9, "running")),
        ((2026, 10, 9, 23), (0, "reminded_last"), (8, "running")),
        ((2026, 10, 10, 9), (-1, "late"), (7, "running")),
        ((2026, 10, 11, 9), (-1, "late"), (7, "running")),
        ((2026, 10, 13, 9), (-3, "late"), (5, "reminded_half")),
        ((2026, 10, 19, 9), (-7, "late"), (1, "reminded_last")),
        ((2026, 10, 20, 23), (-8, "late"), (0, "reminded_last")),
        ((2026, 10, 21, 0), (-9, "late"), (-1, "late")),
    ):
        desk.at(*day)
        assert clock(desk, waiting) == (check, "2026-10-09", *of_check), day
        assert clock(desk, review) == (answer, "2026-10-20", *of_answer), day
    whole = desk.get(review, "clerk").json()["clock"]
    assert {k: whole[k] for k in ("department", "workdays", "provisional")} == {
        "department": PROVIDER,
        "workdays": 10,
        "provisional": False,
    }
    assert desk.get(waiting, "clerk").json()["clock"]["department"] is None
    listed = {a["id"]: a["clock"] for a in desk.get("/applications?limit=200", "officer").json()["applications"]}
    assert [listed[path.rpartition("/")[2]]["left"] for path in (waiting, review)] == [-9, -1]


def test_a_hand_over_does_not_begin_the_clock_again_and_a_check_begins_the_providers(desk: Desk) -> None:
    desk.at(2026, 9, 29, 10)
    path = desk.applied()
    desk.at(2026, 9, 30, 10)
    assert desk.step(path, "hand-over", "officer", department="tax", why="x").json()["clock"]["due"] == "2026-10-08"
    desk.at(2026, 10, 10, 10)
    checked = desk.step(path, "accept-check", "officer").json()["clock"]
    assert (checked["due"], checked["left"], checked["department"]) == ("2026-10-23", 10, "tax")


def test_a_clock_in_a_year_without_a_notice_is_provisional(desk: Desk) -> None:
    desk.at(2031, 12, 30, 10)
    assert desk.apply().json()["clock"]["provisional"] is True


# The files of a deployment ----------------------------------------------------------------------------------------------


def test_a_deployments_own_days_and_notice_are_those_that_count(settings: Settings, tmp_path: Path) -> None:
    rules, notice = tmp_path / "rules.toml", tmp_path / "notice.csv"
    rules.write_text('["application.accept_check"]\nworkdays = 1\nsource = "区政务数据共享管理办法"\n', "utf-8")
    notice.write_text("date,kind\n2031-10-01,rest\n", "utf-8")
    hub = open_hub(settings.model_copy(update={"clock_rules": rules, "workdays_notice": notice}))
    assert (hub.clock_rules["application.accept_check"].workdays, hub.workdays.published >= {2026, 2031}) == (1, True)
    assert not open_hub(settings).workdays.published & {2031}


@pytest.mark.parametrize(
    ("setting", "text", "code", "where"),
    [
        ("clock_rules", '["application.accept_chek"]\nworkdays = 1\n', "clocks.rules", "application.accept_chek"),
        ("clock_rules", '["application.accept_check"]\nworkdays = 0\nsource = "x"\n', "clocks.rules", "workdays"),
        ("clock_rules", None, "clocks.rules", "own"),
        ("workdays_notice", "date,kind\n2031-10-32,rest\n", "workdays.table", "own"),
        ("workdays_notice", None, "workdays.file", "own"),
    ],
)
def test_a_wrong_file_is_refused_at_the_start_with_what_and_where(
    settings: Settings, tmp_path: Path, setting: str, text: str | None, code: str, where: str
) -> None:
    file = tmp_path / "own"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(RejectedError) as refusal:
        open_hub(settings.model_copy(update={setting: file}))
    assert refusal.value.code == code
    assert str(file) in str(refusal.value.where)
    assert where in str(refusal.value.where)


# Least privilege --------------------------------------------------------------------------------------------------------

FORBIDDEN = (
    *(f"DELETE FROM registry.{t}" for t in ("application", "application_history", "resource", "resource_history", "grant_")),
    *(f"DELETE FROM registry.{t}" for t in ("department", "system", "principal", "client_secret", "catalogue_entry")),
    *(f"TRUNCATE registry.{t}" for t in ("application", "outbox", "grant_")),
    "UPDATE registry.grant_ SET fields = '{holder_number}'",
    "UPDATE registry.grant_ SET receiver_department = 'tax'",
    "UPDATE registry.grant_ SET to_at = '2099-01-01Z'",
    "UPDATE registry.application SET fields = '{holder_number}'",
    "UPDATE registry.application SET applicant = 'p'",
    "UPDATE registry.application_history SET why = 'x'",
    "UPDATE registry.resource_history SET why = 'x'",
    "UPDATE registry.resource SET department = 'tax'",
    "UPDATE registry.contract_version SET odcs = ''",
    "UPDATE registry.contract_version SET hash = ''",
    "UPDATE registry.principal SET kind = 'person'",
    "UPDATE registry.principal SET client_id = 'c'",
    "UPDATE registry.principal SET department = 'tax'",
    "SELECT * FROM registry.client_secret",
    "SELECT hash FROM registry.client_secret",
    "UPDATE registry.client_secret SET hash = 'h'",
    "UPDATE registry.system SET department = 'tax'",
    "UPDATE registry.source SET system = 'x'",
    "UPDATE registry.outbox SET payload = '{}'",
    "UPDATE registry.item_licence_type SET licence_type = 'x'",
    "UPDATE registry.resource SET name = 'x'",
    "UPDATE registry.catalogue_entry SET resource = 'x'",
    "UPDATE registry.catalogue_entry SET code = '1'",
    "UPDATE registry.code_sequence SET prefix = '1'",
    "DELETE FROM registry.catalogue_entry",
    "SELECT * FROM trust.ledger",
    "INSERT INTO trust.ledger VALUES ('c', 1, '2026-11-02Z', 'k', '{}', '\\x00')",
    "UPDATE trust.ledger SET at = at",
    "DELETE FROM trust.ledger",
    "SELECT * FROM trust.data_key",
    "SELECT * FROM store.licences",
    "SELECT * FROM exchange.run",
    "SELECT * FROM bus.message",
    "CREATE TABLE registry.x (n int)",
    "CREATE SCHEMA x",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_role_of_the_steps_may_do_nothing_else(desk: Desk, statement: sql.SQL) -> None:
    with psycopg.connect(desk.registry_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO registry.application (id) VALUES ('x')",
        "UPDATE registry.application SET state = 'granted'",
        "UPDATE registry.resource SET state = 'published'",
        "INSERT INTO registry.grant_ (id) VALUES ('x')",
        "UPDATE registry.version SET value = 1",
    ],
)
def test_the_role_of_the_look_up_still_changes_nothing_of_the_registry(desk: Desk, statement: sql.SQL) -> None:
    with psycopg.connect(desk.api_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_an_api_without_a_role_for_steps_reads_and_refuses_each_of_them(
    hub_db: str, empty_db: str, superuser_url: str, settings: Settings
) -> None:
    url = superuser_url.rsplit("/", 1)[0] + f"/{hub_db.rsplit('/', 1)[1]}?options=-c%20role%3Donedoor_api"
    fill(empty_db, 2)
    with an_office(settings.model_copy(update={"api_database_url": url}), empty_db) as office:
        made = Desk(office)
        made.client("officer", PROVIDER, "registration_officer")
        office.refresh()
        assert told(made.step("/resources/licences", "freeze", "officer", why="x")) == (503, "registry.privilege")
        assert made.get("/resources/licences", "officer").json()["state"] == "published"


def test_steps_that_wait_for_the_database_hold_up_nobody_else(desk: Desk) -> None:
    paths = [desk.applied() for _ in range(8)]
    token = desk.token("clerk")
    answers: list[httpx.Response] = []

    def cancel(path: str) -> None:
        with httpx.Client(base_url=desk.office.http.base_url, timeout=60, trust_env=False) as http:
            headers = {"authorization": f"Bearer {token}", "if-match": '"1"'}
            answers.append(http.post(f"/api/v1{path}/cancel", headers=headers, json={}))

    threads = [threading.Thread(target=cancel, args=(path,)) for path in paths]
    with psycopg.connect(desk.office.settings.database_url) as long_change:
        long_change.execute("SELECT value FROM registry.version FOR UPDATE")
        ((held,),) = long_change.execute("SELECT pg_current_xact_id()::text").fetchall()
        for thread in threads:
            thread.start()
        try:
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND transactionid::text = %s"
            eventually(lambda: desk.office.made.rows(waiting, held) != [])
            assert desk.office.http.get("/health/live").status_code == 200
            assert desk.get(paths[-1], "clerk").json()["state"] == "submitted"
            desk.office.refresh()
            assert desk.office.token()
            assert desk.office.ask(question(1)).status_code == 200
            assert answers == []
        finally:
            long_change.rollback()
            for thread in threads:
                thread.join(60)
    assert [(a.status_code, a.json()["state"]) for a in answers] == [(200, "cancelled")] * 8
