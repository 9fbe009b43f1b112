"""Grants whose rows were chosen by lists of values choose the same rows by an expression."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from catalog_registry.store import migrate
from catalog_registry.store.migrations.versions.v0002_row_filter import expression
from schemas.contract import Field, LogicalType
from schemas.errors import RejectedError
from schemas.filter_nodes import Unreadable
from schemas.rowfilter import check, fits, holds, kept_filter, parse
from tests.hub import contract
from tests.migration.test_migrations import engine

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
STAFF = contract(
    "staff",
    [
        Field("id", LogicalType.INTEGER, "id", required=True, key=1),
        Field("title", LogicalType.STRING, "title"),
        Field("in", LogicalType.BOOLEAN, "in"),
        Field("citizen_id", LogicalType.STRING, "citizen_id", personal=True),
    ],
)


@pytest.fixture
def first_db(empty_db: str) -> str:
    """A database of the first release, with what a grant hangs on."""
    with engine(empty_db).begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA registry")
        command.upgrade(migrate.config(connection), "0001")
    with psycopg.connect(empty_db) as connection:
        connection.execute("INSERT INTO registry.department (code, name, created_at) VALUES ('d', 'd', %s)", (NOW,))
        connection.execute(
            "INSERT INTO registry.resource (name, title, department, state, created_at, changed_at)"
            " VALUES ('staff', 't', 'd', 'draft', %s, %s)",
            (NOW, NOW),
        )
    return empty_db


def old_grant(connection: psycopg.Connection[Any], name: str, row_filter: Any) -> None:
    connection.execute(
        "INSERT INTO registry.grant_ (id, receiver_department, resource, fields, row_filter, purposes, items, legal_basis,"
        " from_at, to_at, made_at, made_by, version)"
        " VALUES (%s, 'd', 'staff', '{id}', %s, '{accept_case}', '{}', 'law', %s, %s, %s, 'p', 3)",
        (name, None if row_filter is None else Jsonb(row_filter), NOW, NOW.replace(year=2027), NOW),
    )


OLD = {
    "g1": (None, None),
    "g2": ({"title": ["manager"]}, "title in ('manager')"),
    "g3": ({"id": [1, -2], "title": ["it's", "曲江\\'; --"]}, "id in (1, -2) and title in ('it''s', '曲江\\''; --')"),
    "g4": ({"in": [True]}, '"in" in (true)'),
    "g5": ({"title": []}, "title is null and title is not null"),
}


def test_old_row_filters_become_expressions_and_grants_without_one_stay(first_db: str) -> None:
    with psycopg.connect(first_db) as connection:
        for name, (before, _) in OLD.items():
            old_grant(connection, name, before)
    assert migrate.current(first_db) == "0001"
    assert migrate.upgrade(first_db) == migrate.head()
    with psycopg.connect(first_db) as connection:
        found = connection.execute("SELECT id, row_filter, version, made_at FROM registry.grant_ ORDER BY id").fetchall()
    after: dict[str, str | None] = {name: text for name, text, *_ in found}
    assert {tuple(row[2:]) for row in found} == {(3, NOW)}
    assert {name: after[name] for name in ("g1", "g2", "g4", "g5")} == {n: OLD[n][1] for n in ("g1", "g2", "g4", "g5")}
    assert sorted(str(after["g3"]).split(" and ")) == sorted(str(OLD["g3"][1]).split(" and "))  # jsonb has an order of its own
    for text in filter(None, after.values()):
        assert check(parse(text), STAFF).text == text


@pytest.mark.parametrize("broken", [{}, ["title"], "title", {"title": "x"}, {"title": [None]}, {"id": [1.5]}, {"A b": ["x"]}])
def test_a_row_filter_that_never_could_be_kept_still_lets_nothing_through(first_db: str, broken: Any) -> None:
    with psycopg.connect(first_db) as connection:
        old_grant(connection, "g1", broken)
    migrate.upgrade(first_db)
    with psycopg.connect(first_db) as connection:
        ((text,),) = connection.execute("SELECT row_filter FROM registry.grant_").fetchall()
    kept = kept_filter(text)
    assert kept.root == Unreadable()
    assert not fits(kept, STAFF)
    assert not holds(kept, {"id": 1, "title": "x", "in": True})


def test_an_old_filter_that_lists_more_values_than_a_new_one_may_keeps_choosing_its_rows(first_db: str) -> None:
    with psycopg.connect(first_db) as connection:
        old_grant(connection, "g1", {"id": list(range(5_000))})
    migrate.upgrade(first_db)
    with psycopg.connect(first_db) as connection:
        ((text,),) = connection.execute("SELECT row_filter FROM registry.grant_").fetchall()
    kept = kept_filter(text)
    assert fits(kept, STAFF)
    assert [holds(kept, {"id": i, "title": "x", "in": True}) for i in (0, 4_999, 5_000)] == [True, True, False]
    with pytest.raises(RejectedError) as refusal:
        parse(text)
    assert refusal.value.code == "filter.too_large"


def passed_before(row: dict[str, Any], row_filter: dict[str, list[Any]]) -> bool:
    """What the first release did."""
    return all(any(type(row[name]) is type(one) and row[name] == one for one in listed) for name, listed in row_filter.items())


TEXTS = st.sampled_from(["", "a", "it's", "'", "\\", "马坝镇", "a' or 'a' = 'a"])
ROWS = st.fixed_dictionaries(
    {
        "id": st.integers(-2, 2),
        "title": st.none() | TEXTS,
        "in": st.none() | st.booleans(),
    }
)
FILTERS = st.dictionaries(st.sampled_from(["id", "title", "in"]), st.just(None), min_size=1).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: st.lists({"id": st.integers(-2, 2), "title": TEXTS, "in": st.booleans()}[name], max_size=3) for name in names}
    )
)


@given(FILTERS, st.lists(ROWS, min_size=1, max_size=8))
def test_an_old_row_filter_and_its_expression_choose_the_same_rows(
    row_filter: dict[str, list[Any]], rows: list[dict[str, Any]]
) -> None:
    text = expression(row_filter)
    assert text is not None
    made = check(parse(text), STAFF)
    assert [holds(made, row) for row in rows] == [passed_before(row, row_filter) for row in rows]
