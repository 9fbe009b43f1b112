"""No grant, no data: what is not allowed by a grant in force is refused, for every way of asking."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from catalog_registry.records import PrincipalKind, Receiver, ReceiverKind
from exchange.trust.grant import (
    Allowed,
    Ask,
    CaseAsk,
    Grant,
    GrantIndex,
    Principal,
    Reason,
    Refused,
    authorise,
    explain,
    ground,
)
from exchange.trust.keyfiles import create_keys, read_keys
from exchange.trust.keyring import KeyRing, MemoryDataKeys
from exchange.trust.release import release
from exchange.trust.seal import seal_batch
from schemas.batch import CheckedBatch, StoredRows
from schemas.contract import CaseRole, DataContract, Field, LogicalType
from schemas.errors import DefectError, DeniedError
from schemas.resource import ResourceName
from schemas.rowfilter import kept_filter
from schemas.types import contract_schema

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NUMBER = "44020519900101001X"
INTAKE = Principal("p1", PrincipalKind.MACHINE, "intake", "hall", "intake", ("consumer",), "c1", 0, NOW - DAY, None)


def grant(**more: Any) -> Grant:
    terms: dict[str, Any] = {
        "id": "g1",
        "receiver": Receiver(ReceiverKind.SYSTEM, "intake"),
        "resource": ResourceName("licences"),
        "fields": ("id", "holder_name"),
        "row_filter": None,
        "purposes": ("accept_case",),
        "items": ("i1",),
        "legal_basis": "law",
        "from_at": NOW - DAY,
        "to_at": NOW + DAY,
        "made_at": NOW - DAY,
        "made_by": "p0",
        "revoked_at": None,
        "revoked_by": None,
        "revoked_why": None,
        "version": 1,
    }
    return Grant(**(terms | more))


def index(*grants: Grant) -> GrantIndex:
    return GrantIndex(grants, ["licences"])


ASK = Ask(INTAKE, "licences", "accept_case", "i1")


def test_a_grant_in_force_allows_its_fields() -> None:
    assert authorise(ASK, grants=index(grant()), now=NOW) == Allowed(grant(), ("id", "holder_name"))
    assert authorise(structs.replace(ASK, fields=("id",)), grants=index(grant()), now=NOW) == Allowed(grant(), ("id",))


@pytest.mark.parametrize(
    "receiver",
    [
        Receiver(ReceiverKind.PRINCIPAL, "p1"),
        Receiver(ReceiverKind.SYSTEM, "intake"),
        Receiver(ReceiverKind.DEPARTMENT, "hall"),
    ],
)
def test_a_grant_reaches_its_receiver_and_nobody_else(receiver: Receiver) -> None:
    grants = index(grant(receiver=receiver))
    assert isinstance(authorise(ASK, grants=grants, now=NOW), Allowed)
    other = replace(INTAKE, id="p2", system=None, department="tax")
    assert authorise(structs.replace(ASK, principal=other), grants=grants, now=NOW) == Refused((Reason.NO_GRANT,))


@pytest.mark.parametrize(
    ("ask", "terms", "reason"),
    [
        (structs.replace(ASK, purpose="marketing"), {}, Reason.PURPOSE),
        (structs.replace(ASK, purpose=""), {}, Reason.NO_PURPOSE),
        (structs.replace(ASK, purpose="Accept Case"), {}, Reason.NO_PURPOSE),
        (structs.replace(ASK, item="i2"), {}, Reason.ITEM),
        (structs.replace(ASK, item=None), {}, Reason.ITEM),
        (structs.replace(ASK, fields=("id", "holder_number")), {}, Reason.FIELDS),
        (structs.replace(ASK, fields=()), {}, Reason.FIELDS),
        (structs.replace(ASK, resource="cases"), {}, Reason.RESOURCE),
        (structs.replace(ASK, principal=replace(INTAKE, revoked_at=NOW)), {}, Reason.PRINCIPAL_REVOKED),
        (structs.replace(ASK, principal=replace(INTAKE, revoked_at=NOW + DAY)), {}, Reason.PRINCIPAL_REVOKED),
        (ASK, {"to_at": NOW}, Reason.EXPIRED),
        (ASK, {"from_at": NOW + timedelta(microseconds=1)}, Reason.NOT_YET),
        (ASK, {"revoked_at": NOW}, Reason.REVOKED),
        (ASK, {"revoked_at": NOW + DAY / 2}, Reason.REVOKED),  # by a clock that was ahead: it was meant to end at once
        (ASK, {"purposes": (), "items": ()}, Reason.PURPOSE),
        (ASK, {"fields": ()}, Reason.FIELDS),
    ],
)
def test_what_is_outside_the_grant_is_refused_with_its_reason(ask: Ask, terms: dict[str, Any], reason: Reason) -> None:
    assert authorise(ask, grants=index(grant(**terms)), now=NOW) == Refused((reason,))


def test_an_account_without_the_role_of_those_who_are_given_data_gets_nothing_of_its_departments_grants() -> None:
    asker = replace(INTAKE, id="p2", roles=("auditor", "provider_editor"))
    held = index(grant(receiver=Receiver(ReceiverKind.DEPARTMENT, "hall")), grant(id="g2"))
    assert isinstance(authorise(ASK, grants=held, now=NOW), Allowed)
    assert authorise(structs.replace(ASK, principal=asker), grants=held, now=NOW) == Refused((Reason.ROLE,))


def test_explain_gives_the_reasons_of_each_grant() -> None:
    grants = index(grant(id="g1", revoked_at=NOW), grant(id="g2", purposes=("audit",), items=("i9",)), grant(id="g3"))
    told = {one.grant: one.reasons for one in explain(ASK, grants=grants, now=NOW)}
    assert told == {"g1": (Reason.REVOKED,), "g2": (Reason.PURPOSE, Reason.ITEM), "g3": ()}


names = st.sampled_from(["a", "b", "c"])
times = st.integers(-2, 2).map(lambda d: NOW + d * DAY)
grants_given = st.builds(
    grant,
    id=names,
    receiver=st.builds(Receiver, st.sampled_from(list(ReceiverKind)), names),
    resource=st.sampled_from(["licences", "cases", "gone"]),
    fields=st.lists(names, unique=True).map(tuple),
    purposes=st.lists(names, unique=True).map(tuple),
    items=st.lists(names, unique=True).map(tuple),
    from_at=times,
    to_at=times,
    revoked_at=st.none() | times,
)
asks_given = st.builds(
    Ask,
    st.builds(
        lambda i, d, s, r: replace(INTAKE, id=i, department=d, system=s, revoked_at=r),
        names,
        names,
        st.none() | names,
        st.none() | times,
    ),
    st.sampled_from(["licences", "cases", "gone", "unknown"]),
    names | st.just(""),
    st.none() | names,
    st.none() | st.lists(names, max_size=2).map(tuple),
)


@settings(deadline=None, max_examples=400)
@given(st.lists(grants_given, max_size=6), asks_given)
def test_deny_by_default(grants: list[Grant], ask: Ask) -> None:
    answer = authorise(ask, grants=GrantIndex(grants, ["licences", "cases"]), now=NOW)
    if isinstance(answer, Refused):
        assert answer.reasons
        return
    by = answer.grant
    assert by in grants
    assert by.in_force(NOW)
    assert by.resource == ask.resource != "gone"
    assert ask.purpose
    assert (by.receiver.kind, by.receiver.code) in {
        (ReceiverKind.PRINCIPAL, ask.principal.id),
        (ReceiverKind.SYSTEM, ask.principal.system),
        (ReceiverKind.DEPARTMENT, ask.principal.department),
    }
    assert ask.principal.revoked_at is None
    assert by.revoked_at is None
    assert by.purposes or by.items
    assert not by.purposes or ask.purpose in by.purposes
    assert not by.items or ask.item in by.items
    assert answer.fields
    assert set(answer.fields) <= set(by.fields)


GENERAL = {Reason.PRINCIPAL_REVOKED, Reason.RESOURCE, Reason.NO_PURPOSE}
"""What is against an ask whatever the grants say."""


@settings(deadline=None, max_examples=400)
@given(st.lists(grants_given, max_size=12), st.lists(st.tuples(asks_given, times), min_size=1, max_size=4))
def test_many_grants_are_decided_on_at_once_as_each_would_be_by_itself(
    grants: list[Grant], asks: list[tuple[Ask, datetime]]
) -> None:
    given_index = GrantIndex([replace(one, id=f"{one.id}{i}") for i, one in enumerate(grants)], ["licences", "cases"])
    for ask, now in asks:  # of one index, as its clock goes forth and back
        answer = authorise(ask, grants=given_index, now=now)
        told = explain(ask, grants=given_index, now=now)
        allowing = next((one.grant for one in told if not one.reasons), None)
        if isinstance(answer, Allowed):
            assert answer.grant.id == allowing
            assert answer.fields == (answer.grant.fields if ask.fields is None else ask.fields)
        else:
            assert allowing is None
            reasons = tuple(dict.fromkeys(reason for one in told for reason in one.reasons))
            assert not told or answer.reasons == (reasons[:1] if reasons[0] in GENERAL else reasons)


@pytest.mark.parametrize("many", [1, 1000])
def test_the_widest_of_many_grants_is_taken_and_a_refusal_names_each_reason_once(many: int) -> None:
    ended = [grant(id=f"e{i:04}", to_at=NOW) for i in range(many)]
    other = [grant(id=f"o{i:04}", purposes=("audit",), items=(f"i{i}",), fields=("id",)) for i in range(many)]
    grants = index(*ended, *other, grant(id="narrow", fields=("id",)), grant(id="wide", fields=("id", "holder_name", "kind")))
    answer = authorise(ASK, grants=grants, now=NOW)
    assert isinstance(answer, Allowed)
    assert answer.grant.id == "wide"
    refused = authorise(structs.replace(ASK, fields=("id", "salary")), grants=index(*ended, *other), now=NOW)
    assert refused == Refused((Reason.EXPIRED, Reason.FIELDS, Reason.PURPOSE, Reason.ITEM))
    assert isinstance(authorise(ASK, grants=grants, now=NOW + DAY), Refused)
    assert isinstance(authorise(ASK, grants=grants, now=NOW - timedelta(hours=1)), Allowed)


# The ground of a look-up ------------------------------------------------------------------------------------------------


def field(name: str, kind: LogicalType = LogicalType.STRING, **more: Any) -> Field:
    return Field(name, kind, name.upper(), **more)


CASES = DataContract(
    ResourceName("cases"),
    "1.0.0",
    "t",
    "d",
    "s",
    "src",
    "t",
    (field("number", key=1), field("item"), field("type"), field("state"), field("applicant", personal=True, lookup=True)),
    case_role=CaseRole("number", "item", "type", "applicant", "state", ("accepted", "review")),
)
ROW = {"number": "n1", "item": "i1", "type": "person", "state": "review", "_lookup_applicant": b"h" * 16}
CASE = CaseAsk("n1", "i1", b"h" * 16, "person")


def test_an_open_case_of_the_item_and_the_holder_is_a_ground() -> None:
    assert ground(ROW, CASE, CASES) is None
    assert ground(ROW, structs.replace(CASE, holder_type=None), CASES) is None


@pytest.mark.parametrize(
    ("row", "ask", "reason"),
    [
        (None, CASE, Reason.CASE_UNKNOWN),
        ({**ROW, "number": "n2"}, CASE, Reason.CASE_UNKNOWN),
        ({}, CASE, Reason.CASE_UNKNOWN),
        ({**ROW, "state": "closed"}, CASE, Reason.CASE_CLOSED),
        ({**ROW, "state": None}, CASE, Reason.CASE_CLOSED),
        (ROW, structs.replace(CASE, item="i2"), Reason.CASE_ITEM),
        (ROW, structs.replace(CASE, holder=b"x" * 16), Reason.CASE_HOLDER),
        (ROW, structs.replace(CASE, holder="h" * 16), Reason.CASE_HOLDER),
        (ROW, structs.replace(CASE, holder_type="company"), Reason.CASE_HOLDER),
        ({k: v for k, v in ROW.items() if k != "_lookup_applicant"}, CASE, Reason.CASE_HOLDER),
    ],
)
def test_any_other_case_is_no_ground(row: dict[str, object] | None, ask: CaseAsk, reason: Reason) -> None:
    assert ground(row, ask, CASES) == Refused((reason,))


def test_for_a_query_of_no_one_holder_the_case_must_be_open_and_of_the_item() -> None:
    of_nobody = structs.replace(CASE, holder=None)
    assert ground(ROW, of_nobody, CASES) is None
    assert ground(ROW | {"state": "closed"}, of_nobody, CASES) == Refused((Reason.CASE_CLOSED,))
    assert ground(ROW | {"item": "i2"}, of_nobody, CASES) == Refused((Reason.CASE_ITEM,))
    assert ground(None, of_nobody, CASES) == Refused((Reason.CASE_UNKNOWN,))


def test_a_contract_without_the_role_is_a_ground_for_nothing() -> None:
    assert ground(ROW, CASE, replace(CASES, case_role=None)) == Refused((Reason.CASE_UNKNOWN,))


def test_a_case_ask_does_not_print_its_holder() -> None:
    assert NUMBER not in repr(CaseAsk("n1", "i1", NUMBER))


# Release ----------------------------------------------------------------------------------------------------------------

LICENCES = DataContract(
    ResourceName("licences"),
    "1.0.0",
    "t",
    "d",
    "s",
    "src",
    "t",
    (
        field("id", key=1),
        field("kind"),
        field("copies", LogicalType.INTEGER),
        field("holder_name", personal=True),
        field("holder_number", personal=True, lookup=True),
        field("born", LogicalType.DATE, personal=True, lookup=True),
    ),
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    folder: Path = tmp_path_factory.mktemp("home") / "keys"
    create_keys(folder)
    return KeyRing(read_keys(folder), MemoryDataKeys())


@pytest.fixture(scope="module")
def stored(keys: KeyRing) -> StoredRows:
    schema = contract_schema(LICENCES)
    rows = [["L1", "L2"], ["a", "b"], [1, 2], ["王小明", None], [NUMBER, None], [date(1990, 1, 1), None]]
    made = pa.RecordBatch.from_arrays([pa.array(c, schema.field(i).type) for i, c in enumerate(rows)], schema=schema)
    return StoredRows(LICENCES, seal_batch(CheckedBatch(LICENCES, made, NOW), keys).rows.to_pylist())


def test_only_granted_fields_leave_and_sealed_ones_only_if_granted(keys: KeyRing, stored: StoredRows) -> None:
    out = release(stored, grant(fields=("holder_name", "id")), NOW, keys)
    assert (out.grant, list(out.rows)) == ("g1", [{"id": "L1", "holder_name": "王小明"}, {"id": "L2", "holder_name": None}])
    clear = release(StoredRows(LICENCES, [{"id": "L1", "kind": "a"}]), grant(fields=("id",)), NOW, keys)
    assert list(clear.rows) == [{"id": "L1"}]  # nothing sealed was needed, so nothing was opened
    narrow = release(stored, grant(fields=("holder_name", "id")), NOW, keys, fields=["id"])
    assert list(narrow.rows) == [{"id": "L1"}, {"id": "L2"}]


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"to_at": NOW}, "grant.expired"),
        ({"from_at": NOW + DAY, "to_at": NOW + 2 * DAY}, "grant.not_yet"),
        ({"revoked_at": NOW}, "grant.revoked"),
        ({"revoked_at": NOW + DAY / 2}, "grant.revoked"),
        ({"resource": "cases"}, "grant.resource"),
    ],
)
def test_a_grant_that_is_not_in_force_releases_nothing(
    keys: KeyRing, stored: StoredRows, terms: dict[str, Any], code: str
) -> None:
    with pytest.raises(DeniedError) as caught:
        release(stored, grant(**terms), NOW, keys)
    assert caught.value.code == code


def test_a_field_that_is_not_granted_cannot_be_asked_for(keys: KeyRing, stored: StoredRows) -> None:
    with pytest.raises(DeniedError) as caught:
        release(stored, grant(fields=("id",)), NOW, keys, fields=["id", "holder_number"])
    assert caught.value.code == "grant.fields"


@pytest.mark.parametrize(
    ("row_filter", "ids"),
    [
        ("kind = 'a'", ["L1"]),
        ("kind in ('a', 'b') and copies = 2", ["L2"]),
        ("kind = 'c' or copies < 2", ["L1"]),
        ("not kind = 'a'", ["L2"]),
        ("copies = true", []),
        ("not copies = true", []),
        ("kind = 1", []),
        ("holder_name = '王小明'", []),
        ("unknown = 'a'", []),
        ("kind = 'a' or unknown is null", []),
        ("kind = ", []),
    ],
)
def test_a_row_filter_lets_only_its_rows_through(keys: KeyRing, stored: StoredRows, row_filter: str, ids: list[str]) -> None:
    out = release(stored, grant(fields=("id",), row_filter=kept_filter(row_filter)), NOW, keys)
    assert [row["id"] for row in out.rows] == ids


@pytest.mark.parametrize("column", ["_lookup_holder_number", "_lookup_born", "_sealed", "id"])
def test_one_person_s_row_cannot_be_shown_as_another_s(keys: KeyRing, stored: StoredRows, column: str) -> None:
    first, second = stored.rows
    with pytest.raises(DefectError) as caught:
        release(StoredRows(LICENCES, [{**second, column: first[column]}]), grant(), NOW, keys)
    assert caught.value.code == "seal.broken"
    assert "王小明" not in f"{caught.value!r}"
    assert NUMBER not in f"{caught.value!r}"


def test_a_column_that_was_not_read_is_a_defect(keys: KeyRing) -> None:
    with pytest.raises(DefectError) as caught:
        release(StoredRows(LICENCES, [{"kind": "a"}]), grant(fields=("id",)), NOW, keys)
    assert caught.value.code == "release.column"
    with pytest.raises(DefectError) as caught:
        release(StoredRows(LICENCES, [{"id": "L1"}]), grant(fields=("id",), row_filter=kept_filter("copies = 1")), NOW, keys)
    assert (caught.value.code, caught.value.where) == ("release.column", "licences.copies")
