"""Departments, systems, sources, contracts, entries, grants and accounts by HTTP, with the database roles that the API has."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from catalog_registry.asked import Asked
from catalog_registry.credentials import USE_NOTED_EVERY
from catalog_registry.harvest.documents import Document, Read
from exchange.trust.tokens import issue
from schemas.errors import RejectedError
from schemas.odcs import write_contract
from schemas.secret import Secret
from tests.catalogue_entry import entry_json
from tests.desk import PROVIDER, Desk, a_resource, as_it_was, desk, told
from tests.hub import contract
from tests.office import LICENCES, PURPOSE, question

__all__ = ["as_it_was", "desk"]

CREDIT_CODE = "91110000101623741K"
pytestmark = pytest.mark.timeout(120)


def send(desk: Desk, method: str, path: str, by: str, body: Any = None, *, tag: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {desk.token(by)}"} | ({} if tag is None else {"if-match": tag})
    return desk.office.http.request(method, f"/api/v1{path}", headers=headers, json=body)


def changed(desk: Desk, method: str, path: str, by: str, body: Any = None, *, of: str | None = None) -> httpx.Response:
    """Send a change on what it is now; ``of``: the path of what is changed."""
    tag = send(desk, "GET", of or path, by).headers["etag"]
    return send(desk, method, path, by, body, tag=tag)


def person(desk: Desk, name: str, role: str, department: str = "centre") -> str:
    """Make a person's account, once; return its name."""
    if name not in desk.clients:
        desk.clients[name] = desk.office.hub.registry.create_person(name, department, roles=[role]).id
        desk.office.refresh()
    return name


# Departments and systems ------------------------------------------------------------------------------------------------


def test_departments_are_a_tree_with_townships_and_a_circle_is_refused(desk: Desk) -> None:
    made = send(desk, "POST", "/departments", "officer", {"code": "qujiang", "name": "曲江区", "credit_code": CREDIT_CODE})
    assert (made.status_code, made.headers["location"], made.headers["etag"]) == (201, "/api/v1/departments/qujiang", '"1"')
    below = send(desk, "POST", "/departments", "officer", {"code": "maba", "name": "马坝镇", "parent": "qujiang"})
    assert below.json() == {"code": "maba", "name": "马坝镇", "credit_code": None, "parent": "qujiang", "version": 1}
    circle = changed(desk, "PUT", "/departments/qujiang", "officer", {"name": "曲江区", "parent": "maba"})
    assert told(circle) == (422, "department.cycle")
    moved = changed(desk, "PUT", "/departments/maba", "officer", {"name": "马坝镇人民政府", "parent": "qujiang"})
    assert (moved.status_code, moved.json()["name"], moved.headers["etag"]) == (200, "马坝镇人民政府", '"2"')
    assert send(desk, "GET", "/departments/maba", "clerk").json() == moved.json()


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"code": "dx", "name": "x", "credit_code": CREDIT_CODE[:-1] + "0"}, (422, "department.credit_code")),
        ({"code": "dx", "name": "x", "parent": "nowhere"}, (422, "department.unknown")),
        ({"code": "d x", "name": "x"}, (422, "department.code")),
        ({"code": "dx", "name": " "}, (422, "registry.empty")),
        ({"code": "tax", "name": "x"}, (409, "registry.taken")),
        ({"code": "dx"}, (400, "request.body")),
    ],
)
def test_a_wrong_department_is_refused_and_nothing_is_made(desk: Desk, body: dict[str, Any], refusal: tuple[int, str]) -> None:
    assert told(send(desk, "POST", "/departments", "officer", body)) == refusal
    assert told(send(desk, "GET", "/departments/dx", "officer")) == (404, "registry.unknown")


def test_a_change_needs_the_version_that_it_was_decided_on(desk: Desk) -> None:
    assert told(send(desk, "PUT", "/departments/tax", "officer", {"name": "x"})) == (428, "request.if_match")
    assert told(send(desk, "PUT", "/departments/tax", "officer", {"name": "x"}, tag='"77"')) == (412, "registry.conflict")
    assert send(desk, "GET", "/departments/tax", "officer").json()["name"] == "税务局"


def test_a_department_registers_its_own_systems_and_not_anothers(desk: Desk) -> None:
    own = {"code": "relief", "name": "救助系统", "department": PROVIDER}
    assert told(send(desk, "POST", "/systems", "editor", own | {"department": "tax"})) == (403, "registry.other_department")
    assert send(desk, "POST", "/systems", "editor", own).status_code == 201
    renamed = changed(desk, "PUT", "/systems/relief", "editor", {"name": "社会救助系统"})
    assert (renamed.json()["name"], renamed.json()["department"]) == ("社会救助系统", PROVIDER)
    listed = send(desk, "GET", "/systems?limit=200", "clerk").json()["systems"]
    assert renamed.json() in listed


# Sources ----------------------------------------------------------------------------------------------------------------


def test_a_sources_password_goes_to_the_keys_folder_and_is_never_given_back(desk: Desk) -> None:
    word = "s3cr%2Ft"
    body = {"name": "shop", "system": "test_system", "url": f"postgresql://reader:{word}@db.local/shop"}
    made = send(desk, "POST", "/sources", "operator@tax", body)
    assert made.status_code == 201, made.text
    assert (made.json()["url"], made.json()["has_password"]) == ("postgresql://reader@db.local/shop", True)
    kept = desk.office.settings.keys_dir / "sources" / "shop"
    assert (kept.read_text("utf-8"), kept.stat().st_mode & 0o777) == ("s3cr/t", 0o600)
    shown = send(desk, "GET", "/sources/shop", "editor")
    for answer in (made, shown, send(desk, "GET", "/sources", "auditor")):
        assert "s3cr" not in answer.text
        assert "secret_ref" not in answer.text
    with psycopg.connect(desk.office.settings.database_url) as connection:
        rows = connection.execute("SELECT s::text FROM registry.source s UNION ALL SELECT o::text FROM registry.outbox o")
        assert not any("s3cr" in text for (text,) in rows)
    assert told(send(desk, "GET", "/sources/shop", "stranger")) == (404, "registry.unknown")
    bare = changed(desk, "PUT", "/sources/shop", "operator@tax", {"url": "postgresql://reader@db2.local/shop"})
    assert (bare.json()["has_password"], kept.exists()) == (False, False)
    gone = changed(desk, "DELETE", "/sources/shop", "operator@tax", of="/sources/shop")
    assert gone.json() == {"removed": "shop"}
    assert told(send(desk, "GET", "/sources/shop", "editor")) == (404, "registry.unknown")


def test_a_source_that_is_read_from_stays_and_a_wrong_address_is_refused_without_it(desk: Desk) -> None:
    assert told(changed(desk, "DELETE", "/sources/test_source", "operator@tax", of="/sources/test_source")) == (
        422,
        "source.in_use",
    )
    for url, code in (("shop", "source.url"), ("gopher://a:topsecret@b/c", "source.scheme")):
        answer = send(desk, "POST", "/sources", "operator@tax", {"name": "bad", "system": "test_system", "url": url})
        assert told(answer) == (422, code)
        assert "topsecret" not in answer.text


# Contracts and entries --------------------------------------------------------------------------------------------------


def text(name: str, **changes: str) -> str:
    made = write_contract(a_resource(name))
    for old, new in changes.items():
        assert old in made
        made = made.replace(old, new)
    return made


def test_a_resource_is_registered_by_its_contract_gets_its_entry_and_is_published(desk: Desk) -> None:
    made = send(desk, "POST", "/resources", "editor", {"contract": text("certificates")})
    assert (made.status_code, made.json()["state"], made.headers["location"]) == (
        201,
        "draft",
        "/api/v1/resources/certificates",
    )
    assert told(send(desk, "POST", "/resources", "editor", {"contract": text("certificates")})) == (409, "registry.taken")
    path = "/resources/certificates"
    assert told(send(desk, "GET", path, "clerk")) == (404, "resource.unknown")

    empty = send(desk, "GET", f"{path}/entry", "editor")
    assert (empty.headers["etag"], empty.json()["entry"]) == ('"0"', None)
    fields = [
        {
            "name": f["name"],
            "title": f["name"],
            "data_type": "字符型",
            "sensitivity": 1,
            "primary_key": f["name"] == "licence_id",
        }
        for f in made.json()["fields"]
    ]
    entry = entry_json(title="证照", provider=PROVIDER, fields=fields, service_items=None, licence_types=None)
    told_entry = send(desk, "PUT", f"{path}/entry", "editor", {"entry": entry}, tag='"0"')
    assert (told_entry.status_code, told_entry.headers["etag"]) == (200, '"1"'), told_entry.text
    assert told_entry.json()["code"].startswith("3070150500300/")
    assert told(send(desk, "PUT", f"{path}/entry", "editor", {"entry": entry}, tag='"0"')) == (412, "registry.conflict")
    wrong = told(send(desk, "PUT", f"{path}/entry", "editor", {"entry": {"title": "x"}}, tag='"1"'))
    assert wrong == (422, "catalogue.entry")

    assert desk.step(path, "submit", "editor").json()["state"] == "submitted"
    assert desk.step(path, "publish", "officer").json()["state"] == "published"
    assert send(desk, "GET", f"{path}/entry", "clerk").json() == told_entry.json()
    unshared = entry | {"sharing_type": "3", "sharing_basis_kind": "1", "sharing_basis": "保密法第九条"}
    unshared = {k: v for k, v in unshared.items() if k not in ("sharing_condition", "sharing_ways")}
    assert send(desk, "PUT", f"{path}/entry", "officer", {"entry": unshared}, tag='"1"').status_code == 200
    others = send(desk, "GET", f"{path}/entry", "clerk").json()
    assert (others["code"], others["entry"]) == (
        None,
        {"title": "证照", "sharing_type": "3", "sharing_basis_kind": "1", "sharing_basis": "保密法第九条"},
    )
    assert len(send(desk, "GET", f"{path}/entry", "editor").json()["entry"]["fields"]) == len(fields)


def test_a_draft_takes_versions_from_who_edits_and_what_is_shared_only_by_a_revision(desk: Desk) -> None:
    changed_to = contract("licences", LICENCES.fields, licence_role=LICENCES.licence_role, version="1.0.1", title="证照")
    newer = {"contract": write_contract(changed_to)}
    before = send(desk, "GET", "/resources/licences/contract", "editor")
    assert told(changed(desk, "PUT", "/resources/licences/contract", "reviewer", newer)) == (403, "registry.role")
    refused = changed(desk, "PUT", "/resources/licences/contract", "editor", newer)
    assert told(refused) == (409, "contract.shared")
    assert "POST /api/v1/revisions" in refused.json()["remedy"]
    after = send(desk, "GET", "/resources/licences/contract", "editor")
    assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])
    proposed = send(desk, "POST", "/revisions", "editor", newer)
    assert (proposed.status_code, proposed.json()["state"], proposed.json()["to_version"]) == (201, "proposed", "1.0.1")
    assert told(send(desk, "GET", "/resources/licences/contract", "stranger")) == (403, "registry.contract")
    draft = {"contract": text("hidden", **{"version: 1.0.0": "version: 1.1.0"})}
    assert changed(desk, "PUT", "/resources/hidden/contract", "editor", draft).json()["version"] == "1.1.0"
    shown = send(desk, "GET", "/resources/hidden/contract", "editor").json()
    assert (shown["contract"], [(v["version"], v["status"]) for v in shown["versions"]]) == (
        draft["contract"],
        [("1.0.0", "retired"), ("1.1.0", "draft")],
    )
    other = told(changed(desk, "PUT", "/resources/hidden/contract", "editor", newer))
    assert other == (422, "contract.other_resource")


def test_a_contract_of_anothers_source_is_refused_alike_whether_there_is_one_or_not(desk: Desk) -> None:
    registry = desk.office.hub.registry
    registry.ensure_system("tax_system", "征管系统", "tax")
    registry.add_source("tax_db", Secret("postgresql://reader@db.local/tax"), system="tax_system")
    said = set()
    for system, source in (
        ("tax_system", "tax_db"),
        ("tax_system", "nothing"),
        ("test_system", "tax_db"),
        ("absent", "nothing"),
    ):
        body = text("stolen", test_system=system, test_source=source)
        answer = send(desk, "POST", "/resources", "editor", {"contract": body})
        assert told(answer) == (422, "contract.source")
        said.add(answer.json()["detail"].replace(system, "S").replace(source, "T"))
    assert len(said) == 1
    assert told(send(desk, "POST", "/resources", "stranger", {"contract": text("stolen")})) == (403, "registry.role")


def test_a_name_that_is_anothers_is_taken_and_whose_it_is_is_not_told(desk: Desk) -> None:
    registry = desk.office.hub.registry
    registry.ensure_system("tax_system", "征管系统", "tax")
    registry.add_source("tax_db", Secret("postgresql://reader@db.local/tax"), system="tax_system")
    body = text("hidden", test_department="tax", test_system="tax_system", test_source="tax_db")
    headers = {"authorization": f"Bearer {desk.token('provider_editor@tax')}", "content-type": "application/yaml"}

    def brought(content: str) -> httpx.Response:
        return desk.office.http.post("/api/v1/catalogue/import", headers=headers, content=content.encode())

    made = send(desk, "POST", "/resources", "provider_editor@tax", {"contract": body})
    assert told(made) == (409, "registry.taken")
    taken, elsewhere = brought(body), brought(body.replace("tax_db", "test_source").replace("hidden", "nowhere"))
    assert (taken.status_code, elsewhere.status_code) == (422, 422)
    assert elsewhere.json()["faults"] == brought(body.replace("tax_db", "test_source").replace("hidden", "x")).json()["faults"]
    for answer in (made, taken, elsewhere):
        assert PROVIDER not in answer.text
        assert "test_system" not in answer.text
    assert registry.resource("hidden").department == PROVIDER


def test_what_a_new_contract_would_break_is_told_with_whom_it_touches(desk: Desk) -> None:
    grant = desk.office.give(desk.clients["clerk"])
    body = {"contract": write_contract(a_resource("licences")).replace("issued_on", "issued_at").replace("1.0.0", "2.0.0")}
    found = send(desk, "POST", "/resources/licences/diff", "editor", body)
    assert (found.status_code, found.json()["verdict"], found.json()["version"]) == (200, "breaking", "2.0.0"), found.text
    assert grant in {one["grant"] for one in found.json()["affected"]}
    assert {c["field"] for c in found.json()["changes"] if c["breaking"]} & {"issued_on", "issued_at"}
    assert told(send(desk, "POST", "/resources/licences/diff", "clerk", body)) == (403, "registry.contract")


# Grants -----------------------------------------------------------------------------------------------------------------


def test_a_grant_is_made_by_the_security_officer_and_ended_by_the_provider_for_good(desk: Desk) -> None:
    officer = desk.client("guard", "centre", "security_officer")
    desk.office.refresh()
    body = {
        "resource": "licences",
        "receiver": "department:civil",
        "fields": ["licence_id"],
        "legal_basis": "国令809",
        "to_at": "2099-01-01T00:00:00+08:00",
        "purposes": [PURPOSE],
    }
    assert told(send(desk, "POST", "/grants", "reviewer", body)) == (403, "registry.role")
    itself = body | {"receiver": f"principal:{desk.clients[officer]}"}
    assert told(send(desk, "POST", "/grants", officer, itself)) == (403, "registry.two_persons")
    made = send(desk, "POST", "/grants", officer, body)
    assert (made.status_code, made.json()["made_by"]) == (201, desk.clients[officer])
    path = made.headers["location"].removeprefix("/api/v1")
    for by, seen in (("clerk", True), ("reviewer", True), ("auditor", True), ("stranger", False)):
        assert (send(desk, "GET", path, by).status_code == 200) == seen
        listed = send(desk, "GET", "/grants?resource=licences&limit=200", by).json()["grants"]
        assert (made.json() in listed) == seen
    assert told(changed(desk, "POST", f"{path}/revoke", "reviewer", {"why": " "}, of=path)) == (422, "registry.empty")
    ended = changed(desk, "POST", f"{path}/revoke", "reviewer", {"why": "事项取消"}, of=path)
    assert (ended.json()["revoked_by"], ended.json()["revoked_why"]) == (desk.clients["reviewer"], "事项取消")
    for url in (desk.registry_url, desk.office.settings.database_url):
        with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege, match="final"):
            connection.execute(
                "UPDATE registry.grant_ SET revoked_at = NULL, revoked_by = NULL WHERE id = %s", (made.json()["id"],)
            )
    kept = [r for r in desk.office.ledger("registry.grant") if r.get("grant") == made.json()["id"]]
    assert [(r["principal"], r["manifest"]["event"]) for r in kept] == [
        (desk.clients[officer], "make"),
        (desk.clients["reviewer"], "revoke"),
    ]


# Accounts ---------------------------------------------------------------------------------------------------------------


def test_the_three_administrators_each_do_their_own_part(desk: Desk) -> None:
    system, security, audit = (person(desk, f"{a}_boss", f"{a}_administrator") for a in ("system", "security", "audit"))
    body = {"name": "counter", "kind": "machine", "department": "civil", "ranges": ["127.0.0.0/8"]}
    for by in (security, audit, "officer"):
        assert told(send(desk, "POST", "/principals", by, body)) == (403, "registry.role")
    made = send(desk, "POST", "/principals", system, body)
    assert (made.status_code, made.json()["roles"], made.json()["ranges"]) == (201, [], ["127.0.0.0/8"])
    path, secret = f"/principals/{made.json()['id']}", made.json()["client_secret"]
    for by in (system, audit):
        refused = changed(desk, "PUT", f"{path}/roles", by, {"roles": ["consumer"]}, of=path)
        assert told(refused) == (403, "registry.role")
    given = changed(desk, "PUT", f"{path}/roles", security, {"roles": ["consumer"]}, of=path)
    assert (given.json()["roles"], given.json()["version"]) == (["consumer"], 2)
    mine = f"/principals/{desk.clients[security]}"
    assert told(changed(desk, "PUT", f"{mine}/roles", security, {"roles": ["operator"]}, of=mine)) == (
        403,
        "registry.two_persons",
    )
    both = person(desk, "both_bosses", "system_administrator")
    theirs = f"/principals/{desk.clients[both]}"
    two = {"roles": ["system_administrator", "audit_administrator"]}
    assert told(changed(desk, "PUT", f"{theirs}/roles", security, two, of=theirs)) == (422, "principal.administrators")
    machine = changed(desk, "PUT", f"{path}/roles", security, {"roles": ["audit_administrator"]}, of=path)
    assert told(machine) == (422, "registry.rule")
    seen = send(desk, "GET", path, audit)
    assert seen.json()["roles"] == ["consumer"]
    assert secret not in seen.text
    assert "hash" not in seen.text
    assert told(send(desk, "GET", path, "clerk")) == (404, "registry.unknown")
    desk.office.refresh()
    token = desk.office.token(made.json()["client_id"], Secret(secret))
    me = desk.office.http.get("/api/v1/principals/me", headers={"authorization": f"Bearer {token}"})
    assert me.json()["id"] == made.json()["id"]
    ended = changed(desk, "POST", f"{path}/revoke", security, {}, of=path)
    assert ended.json()["revoked_at"] is not None
    desk.office.refresh()
    assert (
        desk.office.http.get("/api/v1/resources", headers={"authorization": f"Bearer {token}"}).json()["code"]
        == "token.revoked"
    )


# Credentials ------------------------------------------------------------------------------------------------------------


def proves(desk: Desk, client_id: str, secret: str) -> bool:
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    answer = desk.office.http.post("/api/v1/token", data=form)
    assert answer.status_code == 200 or (answer.status_code, answer.json()["code"]) == (401, "client.refused")
    return bool(answer.status_code == 200)


def test_a_machine_rotates_its_own_secret_and_the_old_one_is_good_until_the_overlap_ends(desk: Desk) -> None:
    client, _, first = desk.office.machine("rotating", granted=False)
    token = desk.office.token(client, first)
    headers = {"authorization": f"Bearer {token}"}
    me = desk.office.http.get("/api/v1/principals/me", headers=headers)
    before = desk.office.clock.now()
    answer = desk.office.http.post(
        "/api/v1/principals/me/secret", headers=headers | {"if-match": me.headers["etag"]}, json={"overlap_s": 3600}
    )
    assert answer.status_code == 200, answer.text
    second = answer.json()["client_secret"]
    newest, old = answer.json()["secrets"]
    assert (newest["ends_at"], newest["n"], old["n"]) == (None, 2, 1)
    assert old["ends_at"] > before.isoformat()
    desk.office.refresh()
    assert desk.office.http.get("/api/v1/resources", headers=headers).status_code == 200  # its tokens go on
    assert (proves(desk, client, first.reveal()), proves(desk, client, second)) == (True, True)
    desk.office.clock.shift = timedelta(seconds=3590)
    assert proves(desk, client, first.reveal())
    desk.office.clock.shift = timedelta(seconds=3610)
    assert (proves(desk, client, first.reveal()), proves(desk, client, second)) == (False, True)


def test_the_secret_of_a_machine_with_roles_is_changed_by_nobody_else(desk: Desk) -> None:
    registry = desk.office.hub.registry
    client, _, first = desk.office.machine("guarded", granted=False)
    administrator = registry.create_person("system.administrator", PROVIDER, roles=("system_administrator",)).id
    held = registry.principal(client)
    with pytest.raises(RejectedError) as refusal:
        registry.rotate_secret(client, asked=Asked(administrator, held.version))
    assert refusal.value.code == "principal.secret_of_roles"
    assert proves(desk, client, first.reveal())
    without = registry.set_roles(client, ())
    _, second = registry.rotate_secret(client, asked=Asked(administrator, without.version))
    assert (proves(desk, client, first.reveal()), proves(desk, client, second.reveal())) == (False, True)


def test_of_three_secrets_the_oldest_ends_and_an_overlap_can_be_ended_before_its_time(desk: Desk) -> None:
    registry = desk.office.hub.registry
    made, first = registry.create_machine("often", PROVIDER)
    client = str(made.client_id)
    _, second = registry.rotate_secret("often", overlap=timedelta(days=1))
    rotated, third = registry.rotate_secret("often", overlap=timedelta(days=1))
    assert rotated.epoch == made.epoch
    assert [proves(desk, client, s.reveal()) for s in (first, second, third)] == [False, True, True]
    ended = registry.end_old_secrets("often")
    assert ended.epoch == made.epoch + 1
    assert [proves(desk, client, s.reveal()) for s in (second, third)] == [False, True]
    assert registry.end_old_secrets("often") == ended
    _, fourth = registry.rotate_secret("often")
    assert [proves(desk, client, s.reveal()) for s in (third, fourth)] == [False, True]
    assert not proves(desk, client, "")


def test_that_a_secret_was_used_is_noted_once_in_some_minutes(desk: Desk) -> None:
    client, _, secret = desk.office.machine("used", granted=False)
    registry = desk.office.hub.registry
    assert registry.secrets(client)[0].last_used_at is None
    version = registry.version()
    assert proves(desk, client, secret.reveal())
    noted = registry.secrets(client)[0].last_used_at
    assert noted is not None
    assert not registry.note_use(registry.principal(client).id, 1)  # also another process
    desk.office.clock.shift = USE_NOTED_EVERY - timedelta(seconds=20)
    assert proves(desk, client, secret.reveal())
    assert registry.secrets(client)[0].last_used_at == noted
    desk.office.clock.shift = USE_NOTED_EVERY + timedelta(seconds=1)
    assert proves(desk, client, secret.reveal())
    later = registry.secrets(client)[0].last_used_at
    assert later is not None
    assert later > noted
    assert registry.version() == version  # it is no change of the registry
    assert registry.last_used()[registry.principal(client).id] == later


def test_an_account_asks_from_its_networks_only_for_its_token_and_with_it(desk: Desk) -> None:
    office, registry = desk.office, desk.office.hub.registry
    client, _, secret = office.machine("placed")
    token = office.token(client, secret)
    registry.set_ranges("placed", ["10.0.0.0/8", "2001:db8::/32"])
    office.refresh()
    assert not proves(desk, client, secret.reveal())
    assert [r["reason"] for r in office.ledger("token.issue") if r["outcome"] == "refused"][-1] == "principal.address"
    headers = {"authorization": f"Bearer {token}", "x-forwarded-for": "10.1.2.3"}  # nobody's word is believed
    assert told(office.http.get("/api/v1/resources", headers=headers)) == (401, "token.address")
    assert told(office.ask(question(1), token)) == (401, "token.address")
    warned = [(e["principal"], e["code"]) for e in office.log.events if "may not ask from" in e["event"]]
    placed = registry.principal("placed").id
    assert warned == [(placed, "principal.address"), (placed, "token.address"), (placed, "token.address")]
    registry.set_ranges("placed", ["127.0.0.0/8"])
    office.refresh()
    assert office.ask(question(1), token).status_code == 200
    assert proves(desk, client, secret.reveal())


def test_behind_a_proxy_that_is_named_the_address_that_it_saw_counts(desk: Desk) -> None:
    office = desk.office
    client, _, secret = office.machine("behind")
    token = office.token(client, secret)
    office.hub.registry.set_ranges("behind", ["10.1.0.0/16"])
    office.refresh()
    trusting = office.services.settings.model_copy(update={"trusted_proxies": "127.0.0.0/8"})
    trusting.__dict__.pop("proxies", None)
    before, office.services.settings = office.services.settings, trusting
    try:
        for said, status in (("10.1.2.3", 200), ("10.1.2.3, 192.0.2.7", 401), ("192.0.2.7, 10.1.2.3", 200), ("rubbish", 401)):
            headers = {"authorization": f"Bearer {token}", "x-forwarded-for": said}
            assert office.http.get("/api/v1/resources", headers=headers).status_code == status, said
            assert office.ask(question(1), token, **{"x-forwarded-for": said}).status_code == status, said
    finally:
        office.services.settings = before


def test_the_token_of_a_person_speaks_for_the_person(desk: Desk) -> None:
    who = person(desk, "audit_boss", "audit_administrator")
    token = issue(desk.office.hub.registry.principal(who), desk.office.hub.keys, desk.office.clock.now()).text.reveal()
    me = desk.office.http.get("/api/v1/principals/me", headers={"authorization": f"Bearer {token}"})
    assert (me.json()["kind"], me.json()["secrets"], me.json()["client_id"]) == ("person", [], None)


# Other catalogues -------------------------------------------------------------------------------------------------------


def test_datasets_of_another_catalogue_are_shown_with_their_origin_and_no_resource_of_the_hub(desk: Desk) -> None:
    registry = desk.office.hub.registry
    registry.add_catalogue("city", "file:/nowhere", title="市目录", by="test")
    found = [Document(f"https://city.example/{i}", f"数据{i}", {"title": f"数据{i}", "identifiers": []}) for i in range(6)]
    registry.take_harvest("city", Read(tuple(found), 0, 0), own=())
    registry.take_harvest("city", Read(tuple(found[1:]), 0, 0), own=())
    (city,) = send(desk, "GET", "/harvested/catalogues", "clerk").json()["catalogues"]
    assert (city["name"], city["counts"]["gone"], city["counts"]["same"]) == ("city", 1, 5)
    first = send(desk, "GET", "/harvested?limit=3&catalogue=city", "clerk").json()
    rest = send(desk, "GET", f"/harvested?limit=3&catalogue=city&after={first['next']}", "clerk").json()
    shown = first["datasets"] + rest["datasets"]
    assert {(d["origin"], d["iri"], d["title"], d["hash"], d["gone_at"]) for d in shown} == {
        ("city", d.iri, d.title, d.hash, None) for d in found[1:]
    }
    assert rest["next"] is None
    whole = send(desk, "GET", "/harvested?gone=true", "clerk").json()["datasets"]
    (gone,) = [d for d in whole if d["gone_at"] is not None]
    assert send(desk, "GET", f"/harvested/{gone['id']}", "clerk").json() == gone
    assert told(send(desk, "GET", "/harvested/h0nothing", "clerk")) == (404, "registry.unknown")
    assert told(send(desk, "GET", "/harvested?gone=perhaps", "clerk")) == (400, "request.page")
    names = {r["name"] for r in send(desk, "GET", "/resources?limit=200", "auditor").json()["resources"]}
    assert not names & {d["id"] for d in whole}
