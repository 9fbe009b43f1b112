"""Bad input to a collection: one clear error each, nothing lost, and the next collection goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from exchange.collect.collect import collect
from schemas.contract import Field, Limits, LogicalType
from schemas.errors import OneDoorError, RejectedError, TransientError
from schemas.secret import Secret
from tests.hub import contract
from tests.installation import Expected, Installation, installed, plain


@pytest.fixture(scope="module")
def installation(module_hub_db: str, module_source_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with (
        installed(Path(tmp_path_factory.mktemp("bad")), module_hub_db, module_source_db, "440289") as made,
        made.working(),
    ):
        yield made


def _refused(installation: Installation, name: str) -> OneDoorError:
    with pytest.raises(OneDoorError) as refused:
        installation.collect(name)
    return refused.value


def test_a_wrong_password_is_told_and_a_mended_source_is_collected(installation: Installation) -> None:
    expected = installation.plain_table("password")
    registry = installation.hub.hub.registry
    right = installation.hub.source_url
    name, system = plain("password").source, plain("password").system
    user = psycopg.conninfo.conninfo_to_dict(right)
    url = f"postgresql://{user['user']}:not-the-password@{user['host']}:{user['port']}/{user['dbname']}"
    registry.add_source(name, Secret(url), system=system)
    try:
        error = _refused(installation, "password")
        assert "not-the-password" not in f"{error} {error.where} {error.remedy}"
        assert error.remedy
    finally:
        registry.add_source(name, Secret(right), system=system)
    installation.collect("password")
    installation.look("password", expected, "level")


def test_a_wrong_address_is_told_and_a_mended_source_is_collected(installation: Installation) -> None:
    expected = installation.plain_table("address")
    registry = installation.hub.hub.registry
    name, system = plain("address").source, plain("address").system
    registry.add_source(name, Secret("postgresql://reader:secret@127.0.0.1:1/nothing"), system=system)
    try:
        error = _refused(installation, "address")
        assert isinstance(error, TransientError)
        assert "127.0.0.1" in f"{error.message} {error.where}"
    finally:
        registry.add_source(name, Secret(installation.hub.source_url), system=system)
    installation.collect("address")
    installation.look("address", expected, "level")


def test_a_column_renamed_in_the_middle_of_life_is_named(installation: Installation) -> None:
    expected = installation.plain_table("renamed")
    installation.hub.source("ALTER TABLE renamed RENAME COLUMN level TO grade")
    error = _refused(installation, "renamed")
    assert isinstance(error, RejectedError)
    assert "level" in error.message
    installation.hub.source("ALTER TABLE renamed RENAME COLUMN grade TO level")
    installation.collect("renamed")
    installation.look("renamed", expected, "level")


def test_a_type_that_changed_is_named_with_what_was_expected(installation: Installation) -> None:
    expected = installation.plain_table("retyped")
    installation.hub.source("ALTER TABLE retyped ALTER COLUMN level TYPE bytea USING NULL")
    error = _refused(installation, "retyped")
    assert isinstance(error, RejectedError)
    assert "level" in error.message
    assert "bytea" in error.message
    installation.hub.source("DROP TABLE retyped")
    installation.hub.source(
        "CREATE TABLE retyped (code text, name text, level int)",
        "INSERT INTO retyped SELECT code, name, level FROM renamed",
    )
    installation.collect("retyped")
    installation.look("retyped", expected, "level")


def test_a_key_column_that_is_gone_is_named(installation: Installation) -> None:
    installation.plain_table("keyless")
    installation.hub.source("ALTER TABLE keyless DROP COLUMN code")
    error = _refused(installation, "keyless")
    assert isinstance(error, RejectedError)
    assert "code" in error.message


def test_a_contract_without_a_key_is_refused_with_what_to_do(installation: Installation) -> None:
    installation.hub.source("CREATE TABLE nokey (name text)")
    with pytest.raises(RejectedError) as refused:
        installation.hub.register(contract("nokey", [Field("name", LogicalType.STRING, "name")]))
    assert "primaryKey" in refused.value.message


def test_rows_whose_key_is_null_are_set_aside_and_the_rest_arrive(installation: Installation) -> None:
    installation.hub.source(
        "CREATE TABLE nulls (code text, name text, level int)",
        "INSERT INTO nulls SELECT CASE WHEN n % 4 > 0 THEN lpad(n::text, 6, '0') END, 'x', 1 FROM generate_series(1, 2000) n",
    )
    installation.hub.register(plain("nulls"))
    installation.collect("nulls")
    run = installation.closed("nulls")
    assert (run.state, run.rows_read, run.rows_set_aside, run.rows_inserted) == ("proved", 2_000, 500, 1_500)
    rules = installation.hub.rows(
        "SELECT DISTINCT f->>'rule' FROM exchange.quarantine, jsonb_array_elements(findings) f WHERE run = %s", run.id
    )
    assert rules == [("key_null",)]


def test_an_empty_source_is_refused_and_accepted_when_a_person_says_so(installation: Installation) -> None:
    expected = installation.plain_table("emptied")
    installation.collect("emptied")
    installation.look("emptied", expected, "level")
    installation.hub.source("CREATE TABLE emptied_kept AS TABLE emptied", "DELETE FROM emptied")
    installation.collect("emptied")
    run = installation.closed("emptied")
    assert (run.state, (run.error or {})["code"]) == ("failed", "store.empty_load")
    assert installation.hub.rows("SELECT count(*) FROM store.emptied") == [(expected.stored,)]
    run = installation.hub.collect("emptied", allow_shrink=True)
    assert (run.state, run.rows_deleted) == ("proved", expected.stored)
    assert installation.hub.reconcile("emptied").equal


def test_a_source_that_shrank_is_refused_with_the_figures(installation: Installation) -> None:
    expected = installation.plain_table("shrank")
    installation.collect("shrank")
    installation.look("shrank", expected, "level")
    installation.hub.source("DELETE FROM shrank WHERE code > '002000'")
    installation.collect("shrank")
    run = installation.closed("shrank")
    assert run.error is not None
    assert run.error["code"] == "store.shrunk"
    assert "20%" in run.error["message"]
    assert installation.hub.rows("SELECT count(*) FROM store.shrank") == [(expected.stored,)]


def test_a_source_killed_in_the_middle_is_gone_on_with(installation: Installation) -> None:
    hub = installation.hub
    hub.source(
        "CREATE TABLE cut (code text, name text, level int)",  # 20 MB: more than lies between the server and the collector
        "INSERT INTO cut SELECT lpad(n::text, 6, '0'), repeat(md5(n::text), 62), 1 FROM generate_series(1, 10000) n",
    )
    wide = plain("cut")
    hub.register(replace(wide, fields=(wide.fields[0], Field("name", LogicalType.STRING, "name"), wide.fields[2])))

    def cut_off(read: int, aside: int) -> None:
        with psycopg.connect(hub.source_url, autocommit=True) as connection:
            connection.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            )

    with pytest.raises(TransientError) as refused:
        collect(hub.hub, "cut", progress=cut_off)
    assert refused.value.code.startswith("source.")
    ((read,),) = hub.rows("SELECT rows_read FROM exchange.run WHERE resource = 'cut'")
    assert 0 < read < 10_000
    installation.collect("cut")
    run = installation.look("cut", Expected(10_000, 0, 10_000, 0, 10_000, 10_000), "level")
    assert (run.attempt, run.source_stable) == (2, False)


def test_a_row_that_no_message_can_carry_is_set_aside(installation: Installation) -> None:
    hub = installation.hub
    hub.source(
        "CREATE TABLE large (id int, body text)",
        "INSERT INTO large SELECT n, 'small' FROM generate_series(1, 1200) n",
        """INSERT INTO large SELECT 5000 + n, string_agg(md5((n * m)::text || 'x'), '') FROM generate_series(1, 2) n,
             generate_series(1, 40000) m GROUP BY n""",
    )
    fields = [Field("id", LogicalType.INTEGER, "id", required=True, key=1), Field("body", LogicalType.STRING, "body")]
    hub.register(contract("large", fields))
    run = hub.collect("large")
    assert run.state == "proved", run.error
    assert (run.rows_read, run.rows_set_aside, run.rows_inserted) == (1_202, 2, 1_200)
    kept = hub.rows("SELECT row_key, findings->0->>'rule' FROM exchange.quarantine WHERE run = %s ORDER BY 1", run.id)
    assert kept == [("5001", "too_large"), ("5002", "too_large")]


def test_dates_that_no_calendar_here_holds_are_set_aside(installation: Installation) -> None:
    hub = installation.hub
    hub.source(
        "CREATE TABLE dates (id int, day date, at timestamptz)",
        """INSERT INTO dates VALUES (1, '2026-11-02', '2026-11-02 09:00+08'), (2, 'infinity', '2026-11-02 09:00+08'),
             (3, '20000-01-01', '2026-11-02 09:00+08'), (4, '2026-11-02', 'infinity'),
             (5, '2026-11-02', '20000-01-01 00:00+08'),
             (6, '0044-03-15 BC', '2026-11-02 09:00+08'), (7, '2026-11-03', NULL), (8, '2026-11-04', NULL)""",
    )
    fields = [
        Field("id", LogicalType.INTEGER, "id", required=True, key=1),
        Field("day", LogicalType.DATE, "day"),
        Field("at", LogicalType.TIMESTAMP, "at"),
    ]
    hub.register(contract("dates", fields, limits=Limits(bad=0.9, shrink=0.2)))
    run = hub.collect("dates")
    assert run.state == "proved", run.error
    assert run.rows_read == 8 == (run.rows_landed or 0) + run.rows_set_aside
    assert run.rows_set_aside >= 2
    assert hub.reconcile("dates").equal


def test_two_collections_at_once_are_one_and_a_clear_word(installation: Installation) -> None:
    expected = installation.plain_table("twice")
    seen: list[TransientError] = []

    def second(read: int, aside: int) -> None:
        if not seen:
            with pytest.raises(TransientError) as refused:
                installation.collect("twice")
            seen.append(refused.value)

    collect(installation.hub.hub, "twice", progress=second)
    assert seen[0].code == "collect.running"
    installation.look("twice", expected, "level")


def test_an_interrupted_collection_is_gone_on_with(installation: Installation) -> None:
    expected = installation.plain_table("interrupted")

    def interrupt(read: int, aside: int) -> None:
        if read > 1_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(installation.hub.hub, "interrupted", progress=interrupt)
    installation.collect("interrupted")
    assert installation.look("interrupted", expected, "level").attempt == 2


def test_a_contract_that_changed_in_the_middle_begins_again_and_leaves_nothing(installation: Installation) -> None:
    expected = installation.plain_table("versions")

    def interrupt(read: int, aside: int) -> None:
        if read > 1_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(installation.hub.hub, "versions", progress=interrupt)
    (first,) = installation.hub.rows("SELECT id FROM exchange.run WHERE resource = 'versions'")
    installation.hub.register(replace(plain("versions"), version="1.0.1"))
    installation.collect("versions")
    assert installation.look("versions", expected, "level").id != first[0]
    assert installation.hub.rows("SELECT state, error->>'code' FROM exchange.run WHERE id = %s", first[0]) == [
        ("failed", "collect.superseded")
    ]
