"""A row filter chooses the same rows whoever decides: PostgreSQL by its condition, Arrow by its mask, the hub row by row."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.rows import dict_row

from exchange.trust.filter_sql import condition
from schemas.contract import DataContract, Field, LogicalType
from schemas.filter_nodes import Comparison, IsNull, terms
from schemas.landed import landed_sql
from schemas.rowfilter import Filter, check, holds, kept_filter, mask, parse
from schemas.types import arrow_schema
from tests.filters import contracts, filters, rows
from tests.hub import contract
from tests.schema_cases import ALL_TYPES

TABLE = sql.Identifier("filtered")
PERMITS = contract("permits", [*ALL_TYPES, Field("holder", LogicalType.STRING, "HOLDER", personal=True, lookup=True)])


@dataclass
class Store:
    """A landed table, made anew for each contract, as two drivers see it.

    Its texts stand in the order of a dictionary, where this PostgreSQL was built with one.
    """

    by_psycopg: psycopg.Connection[dict[str, Any]]
    by_asyncpg: asyncpg.Connection
    loop: asyncio.AbstractEventLoop
    collation: sql.Composable

    def land(self, of: DataContract, landed: list[dict[str, Any]]) -> None:
        columns = [
            sql.SQL("{} {} {}").format(sql.Identifier(name), sql.SQL(kind), self.collation if kind == "text" else sql.SQL(""))
            for name, kind in landed_sql(of)
        ]
        self.by_psycopg.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(TABLE))
        self.by_psycopg.execute(sql.SQL("CREATE TABLE {} (_n integer, {})").format(TABLE, sql.SQL(", ").join(columns)))
        names = [f.name for f in of.clear]
        insert = sql.SQL("INSERT INTO {} (_n, {}) VALUES ({})").format(
            TABLE, sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(sql.Placeholder() * (len(names) + 1))
        )
        with self.by_psycopg.cursor() as cursor:
            cursor.executemany(insert, [(n, *(row[name] for name in names)) for n, row in enumerate(landed)])

    def chosen(self, made: Filter, of: DataContract) -> dict[str, list[int]]:
        """Return the rows that each who decides has chosen, and nothing else of them."""
        where, parameters = condition(made, of)
        numbered, _ = condition(made, of, first=2)
        select = sql.SQL("SELECT _n FROM {} WHERE {} ORDER BY _n")
        out = {"sql": [row["_n"] for row in self.by_psycopg.execute(select.format(TABLE, where), parameters)]}
        query = sql.SQL("SELECT _n FROM {} WHERE _n >= $1 AND {} ORDER BY _n").format(TABLE, numbered).as_string()
        out["asyncpg"] = [row["_n"] for row in self.loop.run_until_complete(self.by_asyncpg.fetch(query, 0, *parameters))]
        whole = sql.SQL("SELECT * FROM {} ORDER BY _n").format(TABLE)
        found = self.by_psycopg.execute(whole).fetchall()
        out["row of psycopg"] = [row["_n"] for row in found if holds(made, row)]
        fetched = self.loop.run_until_complete(self.by_asyncpg.fetch(whole.as_string()))
        out["row of asyncpg"] = [row["_n"] for row in fetched if holds(made, dict(row))]
        batch = pa.RecordBatch.from_pylist(
            [{f.name: row[f.name] for f in of.clear} for row in found], schema=arrow_schema(of.clear)
        )
        out["arrow"] = [n for n, passes in enumerate(mask(made, batch).to_pylist()) if passes]
        out["row of arrow"] = [n for n, row in enumerate(batch.to_pylist()) if holds(made, row)]
        return out


def a_dictionary(connection: psycopg.Connection[Any]) -> sql.Composable:
    try:
        connection.execute("SELECT 'a' < 'B' COLLATE \"unicode\"")
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedObject):  # built without ICU
        return sql.SQL("")
    return sql.SQL('COLLATE "unicode"')


@pytest.fixture(scope="module")
def store(module_hub_db: str) -> Iterator[Store]:
    loop = asyncio.new_event_loop()
    by_asyncpg = loop.run_until_complete(asyncpg.connect(module_hub_db, statement_cache_size=0))
    with psycopg.connect(module_hub_db, autocommit=True, prepare_threshold=None, row_factory=dict_row) as by_psycopg:
        by_psycopg.execute("SET timezone = 'Asia/Shanghai'")
        yield Store(by_psycopg, by_asyncpg, loop, a_dictionary(by_psycopg))
    loop.run_until_complete(by_asyncpg.close())
    loop.close()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_sql_arrow_and_the_hub_choose_the_same_rows(store: Store, data: st.DataObject) -> None:
    of = data.draw(contracts(), "contract")
    store.land(of, data.draw(st.lists(rows(of), min_size=1, max_size=10), "rows"))
    for text in data.draw(st.lists(filters(of), min_size=1, max_size=6), "filters"):
        made = check(parse(text), of)
        assert check(parse(made.text), of).root == made.root
        chosen = store.chosen(made, of)
        assert {who: rows for who, rows in chosen.items() if rows != chosen["sql"]} == {}, chosen["sql"]


FIRST = datetime(2016, 7, 27, tzinfo=UTC)
SUMMER = datetime(1990, 7, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 31, tzinfo=UTC)
COLUMNS: dict[str, list[Any]] = {
    "id": [0, 1, 2, 2**63 - 1, -(2**63), 5],
    "text": ["a", "B", "马坝镇", 'it\'s \\ "x" %s {} $1 --', "", None],
    "amount": [Decimal("1.5000"), Decimal("-1.5"), Decimal(0), None, Decimal("9999999999999999.9999"), None],
    "tiny": [Decimal("1e-20"), Decimal(0), None, Decimal(1), None, None],
    "whole": [Decimal(7), Decimal(-7), Decimal(0), None, Decimal(9999999999), None],
    "measure": [1.5, -0.0, None, 1e300, None, None],
    "flag": [True, False, None, None, True, None],
    "day": [date(2016, 7, 27), date(1, 1, 1), date(9999, 12, 31), None, None, None],
    "seen_at": [FIRST, SUMMER, LATER, None, None, None],
    "hour": [time(8), time(0), time(23, 59, 59, 999_999), None, None, None],
    "raw": [b"\0", b"", None, b"x", None, None],
}
ROWS = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*COLUMNS.values(), strict=True)]

CHOSEN = [
    ("id >= 0", [0, 1, 2, 3, 5]),
    ("id in (9223372036854775807, -9223372036854775808)", [3, 4]),
    ("text = 'a'", [0]),
    ("text < 'a'", [1, 4]),  # by code point capitals come first; a dictionary would have a before B
    ("text > 'z'", [2]),
    ("text != 'a'", [1, 2, 3, 4]),
    ("not text = 'a'", [1, 2, 3, 4]),
    ("text not in ('a', 'B', '马坝镇')", [3, 4]),
    ("text = 'it''s \\ \"x\" %s {} $1 --'", [3]),
    ("text = '' or text is null", [4, 5]),
    ("amount > -1.5001 and amount < 0.0001", [1, 2]),
    ("amount in (1.5, 9999999999999999.9999)", [0, 4]),
    ("tiny <= 0.00000000000000000001", [0, 1]),
    ("not whole = 7", [1, 2, 4]),
    ("flag = true", [0, 4]),
    ("flag != true", [1]),
    ("flag = true or not flag = true", [0, 1, 4]),
    ("day < date '2016-07-28'", [0, 1]),
    ("day > date '9999-12-30'", [2]),
    ("seen_at = timestamp '2016-07-27 08:00'", [0]),
    ("seen_at = timestamp '1990-07-01 09:00'", [1]),  # China had summer time in that year
    ("hour >= time '08:00'", [0, 2]),
    ("raw is null and measure is null", [2, 4, 5]),
    ("not (text = 'a' and amount = 1.5)", [1, 2, 3, 4]),
    ("not (text = 'a' or amount = 1.5)", [1, 2, 4]),
    ("text = 'x' and amount = 1 or id = 5", [5]),
]


@pytest.mark.parametrize(("text", "chosen"), CHOSEN)
def test_a_filter_chooses_these_rows(store: Store, text: str, chosen: list[int]) -> None:
    store.land(PERMITS, ROWS)
    assert store.chosen(check(parse(text), PERMITS), PERMITS) == dict.fromkeys(
        ("sql", "asyncpg", "row of psycopg", "row of asyncpg", "arrow", "row of arrow"), chosen
    )


def test_a_filter_at_the_limit_of_terms_is_decided_by_the_database(store: Store) -> None:
    store.land(PERMITS, ROWS)
    for text in (" or ".join(f"id = {n}" for n in range(1_000)), f"id in ({', '.join(map(str, range(1_000)))})"):
        assert set(map(tuple, store.chosen(check(parse(text), PERMITS), PERMITS).values())) == {(0, 1, 2, 5)}


@pytest.mark.parametrize(
    "text", ["id = ", "id = 'x' or id is not null", "holder is null", "gone is null", "id is null or gone = 1"]
)
def test_a_filter_that_cannot_be_decided_is_false_for_the_database(store: Store, text: str) -> None:
    store.land(PERMITS, ROWS)
    where, parameters = condition(kept_filter(text), PERMITS)
    assert parameters == []
    assert store.by_psycopg.execute(sql.SQL("SELECT 1 FROM {} WHERE {}").format(TABLE, where)).fetchall() == []
    assert store.by_psycopg.execute(sql.SQL("SELECT 1 FROM {} WHERE NOT {}").format(TABLE, where)).fetchall() != []


def test_an_order_of_texts_is_by_code_point_whatever_the_order_of_the_table() -> None:
    ordered = [condition(parse(f"text {sign} 'a'"), PERMITS)[0].as_string() for sign in ("<", "<=", ">", ">=")]
    assert ordered == [f'"text" COLLATE "C" {sign} %s::text' for sign in ("<", "<=", ">", ">=")]
    assert condition(parse("text = 'a'"), PERMITS)[0].as_string() == '"text" = %s::text'  # an index of any order serves


@given(filters(PERMITS))
def test_no_literal_of_a_filter_stands_in_its_condition(text: str) -> None:
    made = parse(text)
    where, parameters = condition(made, PERMITS)
    written = [term for term in terms(made.root) if not isinstance(term, IsNull)]
    assert parameters == [term.value if isinstance(term, Comparison) else list(term.values) for term in written]
    shown = where.as_string()
    assert "'" not in shown
    assert shown.count("%s") == len(parameters)
    assert set(shown.split('"')[1::2]) <= {f.name for f in PERMITS.clear} | {"C"}
