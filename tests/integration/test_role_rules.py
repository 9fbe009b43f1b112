"""What the database itself refuses the role of the API's steps, whatever the code above it does; the owner may do all of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import psycopg
import pytest

from catalog_registry.registry import Registry
from catalog_registry.states import NEXT_OF_RESOURCE, ResourceState
from schemas.clock import SystemClock
from schemas.errors import RejectedError
from schemas.secret import Secret
from tests.contract_text import contract_text
from tests.office import installed
from tests.registry_people import a_registry

WAYS = {(before, after) for (before, _), after in NEXT_OF_RESOURCE.items()}
LIKE = (
    "INSERT INTO registry.resource (name, title, department, source, version, state, row_version, created_at, changed_at)"
    " SELECT 'made', title, department, source, version, '{}', 1, created_at, changed_at FROM registry.resource"
    " WHERE name = 'staff'"
)
VERSION = (
    "INSERT INTO registry.contract_version SELECT resource, '9.0.0', odcs, hash, '{}', at, by FROM registry.contract_version"
    " WHERE resource = 'staff'"
)
PERSON = (
    "INSERT INTO registry.principal (id, name, kind, department, roles, epoch, created_at)"
    " VALUES ('p0made', 'made', 'person', 'market', '{}', 0, '2026-11-02Z')"
)

GRANT = (
    "INSERT INTO registry.grant_ (id, receiver_principal, resource, fields, purposes, items, legal_basis, from_at, to_at,"
    " made_at, made_by, version) VALUES ('g0made', '{}', 'staff', '{{id}}', '{{accept_case}}', '{{}}', 'a law', '2026-11-02Z',"
    " '2099-01-01Z', '2026-11-02Z', '{}', 1)"
)


@pytest.fixture(scope="module")
def database(
    module_hub_db: str, superuser_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Registry, str, str]]:
    """A registry with ``staff``, and the database's URLs as the role of the steps and as the owner."""
    settings = installed(tmp_path_factory.mktemp("home"), module_hub_db, superuser_url)
    with a_registry(module_hub_db, SystemClock(), settings.home) as registry:
        yield registry, settings.registry_database_url, module_hub_db


def refused(url: str, *statements: str) -> str | None:
    """Do it and take it back; return the rule that refused the last statement, None where it was done."""
    with psycopg.connect(url) as connection, connection.transaction(force_rollback=True):
        for statement in statements[:-1]:
            connection.execute(statement)
        try:
            done = connection.execute(statements[-1])
        except psycopg.errors.CheckViolation as error:
            return error.diag.constraint_name
        assert done.rowcount in (1, -1)  # -1: it was not asked to change rows
        return None


def at(owner: str, state: str) -> None:
    """Put ``staff`` into a state, as the owner may."""
    with psycopg.connect(owner) as connection:
        connection.execute("UPDATE registry.resource SET state = %s WHERE name = 'staff'", (state,))


BOUND = [state for state in ResourceState if state is not ResourceState.DISCARDED]
"""The states of a resource with a contract, as ``staff`` is."""


@pytest.mark.parametrize(("before", "after"), list(product(BOUND, BOUND)))
def test_a_step_takes_a_resource_the_way_of_its_life_and_no_other(
    database: tuple[Registry, str, str], before: ResourceState, after: ResourceState
) -> None:
    _, role, owner = database
    at(owner, before)
    statement = f"UPDATE registry.resource SET state = '{after}' WHERE name = 'staff'"
    allowed = before == after or (before, after) in WAYS
    assert refused(role, statement) == (None if allowed else "ck_resource_goes_its_way")
    assert refused(owner, statement) is None


@pytest.mark.parametrize("state", BOUND)
@pytest.mark.parametrize("change", ["version = '9.0.0'", "source = 'other_db'", "title = 'other'"])
def test_a_step_changes_the_contract_of_nothing_that_is_shared_or_being_reviewed(
    database: tuple[Registry, str, str], state: ResourceState, change: str
) -> None:
    registry, role, owner = database
    registry.add_source("other_db", Secret("postgresql://reader@db.local/other"), system="approval")
    at(owner, state)
    statement = f"UPDATE registry.resource SET {change} WHERE name = 'staff'"
    allowed = state in (ResourceState.DRAFT, ResourceState.REJECTED)
    assert refused(role, statement) == (None if allowed else "ck_resource_changes_by_revision")
    assert refused(owner, statement) is None


@pytest.mark.parametrize("state", BOUND)
def test_what_a_step_registers_is_a_draft(database: tuple[Registry, str, str], state: ResourceState) -> None:
    _, role, owner = database
    assert refused(role, LIKE.format(state)) == (None if state == "draft" else "ck_resource_begins_as_draft")
    assert refused(owner, LIKE.format(state)) is None


@pytest.mark.parametrize("status", ["draft", "active", "retired"])
def test_a_version_that_a_step_registers_is_a_draft(database: tuple[Registry, str, str], status: str) -> None:
    _, role, owner = database
    assert refused(role, VERSION.format(status)) == (None if status == "draft" else "ck_contract_version_is_reviewed")
    assert refused(owner, VERSION.format(status)) is None


@pytest.mark.parametrize(
    ("state", "before", "after", "version", "done"),
    [
        ("published", "draft", "active", "1.0.0", True),
        ("published", "draft", "active", "9.0.0", False),
        ("frozen", "draft", "active", "1.0.0", False),
        ("draft", "draft", "active", "1.0.0", False),
        ("draft", "draft", "retired", "1.0.0", True),
        ("rejected", "draft", "retired", "1.0.0", True),
        ("published", "draft", "retired", "1.0.0", False),
        ("published", "active", "retired", "1.0.0", False),
        ("published", "retired", "active", "1.0.0", False),
        ("draft", "retired", "draft", "1.0.0", False),
        ("published", "active", "active", "1.0.0", True),
    ],
)
def test_a_version_is_in_force_only_where_its_resource_was_published_with_it(
    database: tuple[Registry, str, str], state: str, before: str, after: str, version: str, done: bool
) -> None:
    _, role, owner = database
    at(owner, state)
    with psycopg.connect(owner) as connection:
        connection.execute("DELETE FROM registry.contract_version WHERE version = '9.0.0'")
        connection.execute(VERSION.format("draft"))
        connection.execute("UPDATE registry.contract_version SET status = %s", (before,))
    statement = f"UPDATE registry.contract_version SET status = '{after}' WHERE version = '{version}'"
    assert refused(role, statement) == (None if done else "ck_contract_version_is_reviewed")
    assert refused(owner, statement) is None


@pytest.mark.parametrize(("roles", "rule"), [("{}", None), ("{consumer}", "ck_principal_begins_without_roles")])
def test_an_account_that_a_step_makes_has_no_roles(database: tuple[Registry, str, str], roles: str, rule: str | None) -> None:
    _, role, owner = database
    assert refused(role, PERSON.format(roles)) == rule
    assert refused(owner, PERSON.format(roles)) is None


@pytest.mark.parametrize(
    ("maker", "receiver", "rule"),
    [
        ("guard", "clerk", None),
        ("guard", "guard", "ck_grant__of_application"),
        ("revoked", "clerk", "ck_grant__of_application"),
        ("officer", "clerk", "ck_grant__of_application"),
        ("nobody", "clerk", "ck_grant__of_application"),
    ],
)
def test_a_grant_that_no_application_asked_for_is_a_security_officers_and_never_its_own(
    database: tuple[Registry, str, str], maker: str, receiver: str, rule: str | None
) -> None:
    registry, role, owner = database
    ids = {p.name: p.id for p in registry.principals()}
    for name in {"guard", "revoked"} - ids.keys():
        ids[name] = registry.create_person(name, "centre", roles=["security_officer"]).id
        if name == "revoked":
            registry.revoke_principal(name)
    statement = GRANT.format(ids[receiver], ids.get(maker, maker))
    assert refused(role, statement, "SET CONSTRAINTS ALL IMMEDIATE") == rule
    assert refused(owner, statement, "SET CONSTRAINTS ALL IMMEDIATE") is None


def test_a_rule_of_the_database_is_told_in_words(database: tuple[Registry, str, str]) -> None:
    _, role, owner = database
    at(owner, "published")
    steps = Registry(role, SystemClock())
    try:
        with pytest.raises(RejectedError, match="is not changed by a step") as refusal:
            steps.register_resource(contract_text(version="1.0.1"), by="setup")
        assert (refusal.value.code, refusal.value.where) == ("registry.rule", "ck_resource_changes_by_revision")
    finally:
        steps.close()
