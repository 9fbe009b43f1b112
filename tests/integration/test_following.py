"""Who follows the registry in memory knows after each change what one knows who reads all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from catalog_registry import following
from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from catalog_registry.states import ResourceEvent
from exchange.licences import view
from exchange.licences.view import Known, follow, load
from exchange.trust.grant import Allowed, Ask, authorise
from schemas.clock import FakeClock
from schemas.odcs import write_contract
from schemas.secret import Secret
from tests.contract_text import contract_text
from tests.office import CASES, LICENCES

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
TERMS: dict[str, Any] = {
    "legal_basis": "国令809",
    "from_at": NOW - timedelta(days=1),
    "to_at": NOW + timedelta(days=30),
    "by": "p1",
    "purposes": ("accept_case",),
}


@pytest.fixture
def registry(hub_db: str) -> Iterator[Registry]:
    made = Registry(hub_db, FakeClock(NOW))
    made.ensure_department("market", "市场监督管理局")
    made.ensure_department(LICENCES.department, "证照中心")
    made.ensure_system("approval", "审批系统", "market")
    made.ensure_system(LICENCES.system, "证照系统", LICENCES.department)
    for source, system in (("market_db", "approval"), (LICENCES.source, LICENCES.system)):
        made.add_source(source, Secret("postgresql://reader@db.local:5432/x"), system=system)
    made.register_resource(contract_text("staff"), by="p1")
    made.create_person("clerk", "market", roles=("consumer",))
    made.create_person("officer", "market", roles=("registration_officer",))
    yield made
    made.close()


def said(known: Known) -> tuple[Any, ...]:
    """Return all that is known, to be compared."""
    index = known.grants
    grants = {place: of for place, of in index._by_receiver.items() if of}
    return (known.version, grants, index._resources, index.version, dict(known.principals), known.cases, known.licences,
            dict(known.accepted), known.event)  # fmt: skip


def allowed(known: Known, registry: Registry, resource: str = "staff") -> bool:
    ask = Ask(registry.principal("clerk"), resource, "accept_case")
    return isinstance(authorise(ask, grants=known.grants, now=NOW), Allowed)


def test_after_each_change_what_is_followed_is_what_there_is(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    grants: list[str] = []
    own = Receiver(ReceiverKind.DEPARTMENT, "market")

    def grant(fields: list[str]) -> None:
        grants.append(registry.make_grant(own, "staff", fields, **TERMS).id)

    def step(what: str) -> Callable[[], object]:
        def act() -> None:
            version = registry.resource("staff").row_version
            registry.act_on_resource("staff", ResourceEvent(what), by="officer", version=version, why="x")

        return act

    changes: list[tuple[Callable[[], object], bool]] = [
        (lambda: grant(["id"]), True),
        (lambda: grant(["id", "title"]), True),
        (lambda: registry.revoke_grant(grants[1], by="p1", why="x"), True),
        (step("freeze"), False),
        (step("thaw"), True),
        (lambda: registry.register_resource(write_contract(LICENCES), by="p1"), True),
        (lambda: registry.register_resource(write_contract(CASES), by="p1"), True),
        (lambda: registry.register_resource(contract_text("plans"), by="p1", state="draft"), True),
        (lambda: registry.set_licence_types({("ITEM-1", "M-1"): ["T-ID"]}, by="p1"), True),
        (lambda: registry.create_machine("intake", "market", system="approval", roles=("consumer",)), True),
        (lambda: registry.set_roles("clerk", ("consumer", "observer")), True),
        (lambda: registry.ensure_department("civil", "民政局"), True),
        (lambda: registry.revoke_principal("clerk"), False),
        (lambda: registry.revoke_grant(grants[0], by="p1", why="x"), False),
        (step("withdraw"), False),
    ]
    grant(["citizen_id"])
    known = load(registry)
    registry.revoke_grant(grants.pop(), by="p1", why="x")
    whole = load
    monkeypatch.setattr(view, "load", lambda _: pytest.fail("all was read again"))
    for change, good in changes:
        change()
        known = follow(registry, known)
        assert said(known) == said(whole(registry))
        assert allowed(known, registry) is good
    assert (known.cases, known.licences) == (("market_cases",), ("licences",))


def test_several_changes_at_once_are_followed_in_one_look(registry: Registry) -> None:
    registry.create_person("li", "market", roles=("consumer",))
    known = load(registry)
    made = [registry.make_grant(Receiver(ReceiverKind.DEPARTMENT, "market"), "staff", ["id"], **TERMS).id for _ in range(3)]
    registry.revoke_grant(made[0], by="p1", why="x")
    assert said(follow(registry, known)) == said(load(registry))


@pytest.mark.parametrize("how", ["an event of another kind", "no event", "too many events"])
def test_what_cannot_be_followed_has_all_read_again(
    registry: Registry, hub_db: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = registry.make_grant(Receiver(ReceiverKind.DEPARTMENT, "market"), "staff", ["id"], **TERMS)
    known = load(registry)
    assert allowed(known, registry)
    with psycopg.connect(hub_db) as connection:
        connection.execute(
            "UPDATE registry.grant_ SET revoked_at = %s, revoked_by = 'x', revoked_why = 'x' WHERE id = %s",
            (NOW - timedelta(hours=1), grant.id),
        )
        connection.execute("UPDATE registry.version SET value = value + 1")
        if how == "an event of another kind":
            connection.execute(
                "INSERT INTO registry.outbox (id, at, topic, key, type, payload)"
                " VALUES ('e1', now(), 't', 'x', 'onedoor.registry.novelty.made', '{}')"
            )
    if how == "too many events":
        monkeypatch.setattr(following, "MOST_CHANGES", 1)
        for code in ("a", "b"):
            registry.ensure_department(code, code)
    known = follow(registry, known)
    assert not allowed(known, registry)
    assert said(known) == said(load(registry))
