"""A new contract beside the one in force: what changes, and whose grants a breaking change touches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from schemas.change_kinds import Kind
from schemas.clock import FakeClock
from schemas.errors import RejectedError
from schemas.secret import Secret
from tests.contract_text import contract_text

URL = Secret("postgresql://reader:secret@db.market.local:5432/approval")
MARKET = Receiver(ReceiverKind.DEPARTMENT, "market")
APPROVAL = Receiver(ReceiverKind.SYSTEM, "approval")
DAY = timedelta(days=1)
TITLE = "      - name: title\n        logicalType: string\n        physicalType: text\n"


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    """A registry with the resource ``staff``: the key ``id``, ``title``, and ``citizen_id``, which is personal."""
    made = Registry(hub_db, clock, keys_dir=tmp_path / "keys")
    made.ensure_department("market", "市场监督管理局")
    made.ensure_system("approval", "审批系统", "market")
    made.add_source("market_db", URL, system="approval")
    made.register_resource(contract_text(), by="p1")
    yield made
    made.close()


def grant(registry: Registry, clock: FakeClock, *fields: str, **changes: Any) -> str:
    now = clock.now()
    terms: dict[str, Any] = {
        "receiver": MARKET,
        "legal_basis": "国令809",
        "from_at": now,
        "to_at": now + 30 * DAY,
        "by": "p1",
        "purposes": ["accept_case"],
    }
    terms |= changes
    return registry.make_grant(terms.pop("receiver"), "staff", fields, **terms).id


def after(*changes: tuple[str, str], version: str = "2.0.0") -> str:
    text = contract_text(version=version)
    for right, other in changes:
        assert text.count(right) == 1, right
        text = text.replace(right, other)
    return text


REMOVED = (TITLE, "")


def test_who_reads_a_field_that_goes_is_named_with_its_receiver_and_its_end(registry: Registry, clock: FakeClock) -> None:
    reads = grant(registry, clock, "title", "id")
    grant(registry, clock, "id", "citizen_id", receiver=APPROVAL)
    compared = registry.compare("staff", after(REMOVED))
    assert compared.evolution.verdict == "breaking"
    assert [(c.kind, c.field) for c in compared.evolution.changes] == [(Kind.FIELD_REMOVED, "title")]
    (one,) = compared.affected
    assert (one.grant, one.receiver, one.fields, one.to_at) == (reads, MARKET, ("title",), clock.now() + 30 * DAY)


def test_a_change_of_the_whole_contract_affects_every_grant_with_all_its_fields(registry: Registry, clock: FakeClock) -> None:
    grants = [grant(registry, clock, "title", "id"), grant(registry, clock, "citizen_id", receiver=APPROVAL)]
    wider = after(("customProperties:\n", "customProperties:\n  - property: onedoor.partitions\n    value: 4\n"))
    compared = registry.compare("staff", wider)
    assert [c.kind for c in compared.evolution.changes] == [Kind.PARTITIONS_CHANGED]
    assert {a.grant: a.fields for a in compared.affected} == {grants[0]: ("title", "id"), grants[1]: ("citizen_id",)}


def test_a_field_that_only_chooses_a_grants_rows_affects_all_that_it_reads(registry: Registry, clock: FakeClock) -> None:
    chosen = grant(registry, clock, "id", "citizen_id", row_filter="title in ('a', 'b')")
    (one,) = registry.compare("staff", after(REMOVED)).affected
    assert (one.grant, one.fields) == (chosen, ("id", "citizen_id"))


def test_only_grants_that_have_not_ended_are_affected(registry: Registry, clock: FakeClock) -> None:
    now = clock.now()
    grant(registry, clock, "title", to_at=now + DAY)
    revoked = grant(registry, clock, "title")
    registry.revoke_grant(revoked, by="p1", why="the item was abolished")
    later = grant(registry, clock, "title", from_at=now + 5 * DAY)
    lasting = grant(registry, clock, "title")
    clock.advance(2 * DAY)
    assert [a.grant for a in registry.compare("staff", after(REMOVED)).affected] == sorted([later, lasting])


def test_a_compatible_change_affects_nobody_and_nothing_is_registered(registry: Registry, clock: FakeClock) -> None:
    grant(registry, clock, "title", "id")
    version = registry.version()
    compared = registry.compare(
        "staff", after((TITLE, TITLE + "        required: true\n"), ("name: 从业人员", "name: 从业人员名录"), version="1.0.1")
    )
    assert {c.kind for c in compared.evolution.changes} == {Kind.BECAME_REQUIRED, Kind.TITLE}
    assert (compared.evolution.verdict, compared.evolution.least_version, compared.affected) == ("compatible", "1.0.1", ())
    assert compared.evolution.version_suffices
    assert registry.version() == version
    assert registry.resource("staff").version == "1.0.0"


def test_the_comparison_is_with_the_version_in_force(registry: Registry, clock: FakeClock) -> None:
    second = after((TITLE, TITLE + "        required: true\n"), version="1.1.0")
    registry.register_resource(second, by="p1")
    assert registry.compare("staff", second).evolution.changes == ()
    (back,) = registry.compare("staff", after()).evolution.changes
    assert (back.kind, back.breaking) == (Kind.BECAME_OPTIONAL, True)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("staff", contract_text("others"), "contract.other_resource"),
        ("others", contract_text("others"), "resource.unknown"),
        ("staff", "kind: [", "contract.invalid"),
    ],
)
def test_what_cannot_be_compared_is_refused(registry: Registry, name: str, text: str, code: str) -> None:
    with pytest.raises(RejectedError) as caught:
        registry.compare(name, text)
    assert caught.value.code == code
