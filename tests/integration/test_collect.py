"""The way of the data on the PostgreSQL bus: collected, checked, sealed, carried, landed, proved, reconciled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

import pytest

from exchange.collect.collect import collect
from exchange.collect.wait import wait
from exchange.orchestrate import compare_resource
from exchange.settings import Settings
from schemas.errors import RejectedError
from tests.hub import PEOPLE, PEOPLE_TABLE, TREE, HubForTests, a_hub, load_divisions


@pytest.fixture
def hub(settings: Settings, empty_db: str) -> Iterator[HubForTests]:
    with a_hub(settings.model_copy(update={"chunk_rows": 5_000, "message_rows": 1_000}), empty_db) as made:
        yield made


def test_the_real_divisions_of_a_province_arrive_and_are_proved(hub: HubForTests) -> None:
    count = load_divisions(hub.source_url)
    hub.register(TREE)
    run = hub.collect("tree")
    assert run.state == "proved", run.error
    assert (run.rows_read, run.rows_set_aside, run.rows_landed, run.rows_inserted) == (count, 0, count, count)
    assert run.read_is_landed is True
    assert hub.rows("SELECT count(*) FROM store.tree") == [(count,)]
    assert hub.rows("SELECT name, parent FROM store.tree WHERE code = '440205'") == [("曲江区", "4402")]
    found = hub.reconcile("tree")
    assert found.equal
    assert found.rows_source == found.rows_store == count


def test_a_second_full_load_counts_what_changed_and_what_is_gone(hub: HubForTests) -> None:
    count = load_divisions(hub.source_url, prefix="4402")
    hub.source("INSERT INTO tree VALUES ('44', '广东省', 1, NULL)")
    hub.register(TREE)
    hub.collect("tree")
    hub.source(
        "UPDATE tree SET name = name || '(改)' WHERE code = '440205'",
        "DELETE FROM tree WHERE code = (SELECT max(code) FROM tree WHERE level = 5)",
        "INSERT INTO tree VALUES ('440299', '新区', 3, '4402')",
    )
    assert not hub.reconcile("tree").equal
    run = hub.collect("tree")
    assert run.state == "proved", run.error
    assert (run.rows_inserted, run.rows_changed, run.rows_deleted) == (1, 1, 1)
    assert run.rows_unchanged == count - 1
    assert run.rows_read == (run.rows_landed or 0) + run.rows_set_aside == count + 1
    assert hub.reconcile("tree").equal


def test_rows_that_break_a_rule_are_set_aside_with_their_reasons_and_the_rest_arrive(hub: HubForTests) -> None:
    hub.source(
        "CREATE TABLE tree (code varchar(12), name text, level smallint, parent varchar(12))",
        """INSERT INTO tree VALUES ('44', '广东省', 1, NULL), ('4402', '韶关市', 2, '44'), ('440205', '曲江区', 3, '4402'),
           ('x1', 'bad code', 3, '4402'), ('440206', NULL, 3, '4402'), ('440207', 'bad level', 9, '4402'),
           ('440299001', 'orphan', 4, '440299'), ('440299001001', 'child of the orphan', 5, '440299001'),
           ('440208', 'twice', 3, '4402'), ('440208', 'twice again', 3, '4402'), (NULL, 'no key', 3, '4402')""",
    )
    hub.register(TREE)
    run = hub.collect("tree")
    assert run.error is not None
    assert run.error["code"] == "quality.too_many_bad"
    hub.source(*[f"INSERT INTO tree VALUES ('4402{n:02}', 'good', 3, '4402')" for n in range(10, 20)])
    run = hub.collect("tree")
    assert run.state == "proved", run.error
    assert (run.rows_read, run.rows_set_aside, run.rows_landed) == (21, 8, 13)
    assert sorted(r[0] for r in hub.rows("SELECT code FROM store.tree WHERE length(code) <> 6")) == ["44", "4402"]
    rules = dict(
        hub.rows(
            "SELECT f->>'rule', count(*) FROM exchange.quarantine, jsonb_array_elements(findings) f WHERE run = %s GROUP BY 1",
            run.id,
        )
    )
    assert rules == {"pattern": 1, "required": 1, "maximum": 1, "parent_exists": 2, "duplicate_key": 2, "key_null": 1}
    found = hub.reconcile("tree")
    assert found.equal, found
    assert found.set_aside == 8


def test_personal_fields_rest_sealed_and_an_incremental_run_merges_what_changed(hub: HubForTests) -> None:
    hub.source(
        PEOPLE_TABLE,
        """INSERT INTO people SELECT n, '测试人' || n, '44020519900101' || lpad(n::text, 4, '0'), '马坝镇',
             now() - interval '1 hour' FROM generate_series(1, 3000) n""",
    )
    hub.register(PEOPLE)
    first = hub.collect("people")
    assert first.state == "proved", first.error
    assert (first.mode, first.rows_inserted) == ("full", 3000)
    columns = [
        r[0]
        for r in hub.rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'store.people'::regclass AND attnum > 0 ORDER BY attnum"
        )
    ]
    assert columns == ["id", "town", "updated_at", "_lookup_id_number", "_sealed", "_key_id", "_row_hash", "_run", "_as_of"]
    assert hub.rows("SELECT count(*) FROM store.people WHERE _sealed::text LIKE '%%' || encode('测试人', 'hex') || '%%'") == [
        (0,)
    ]
    wanted = hub.hub.keys.lookup_hash("people", "id_number", "440205199001010007")
    assert hub.rows("SELECT id FROM store.people WHERE _lookup_id_number = %s", wanted) == [(7,)]
    hub.source(
        "UPDATE people SET town = '大塘镇', updated_at = clock_timestamp() WHERE id <= 10",
        "UPDATE people SET updated_at = updated_at WHERE id = 11",
        "INSERT INTO people VALUES (5000, '新人', NULL, '沙溪镇', clock_timestamp())",
    )
    second = hub.collect("people")
    assert second.state == "proved", second.error
    assert (second.mode, second.rows_inserted, second.rows_changed, second.rows_deleted) == ("incremental", 1, 10, 0)
    assert second.bound_kind == "declared"
    assert hub.reconcile("people").equal


def test_a_source_that_shrank_is_refused_and_the_store_keeps_what_it_holds(hub: HubForTests) -> None:
    count = load_divisions(hub.source_url, prefix="4402")
    hub.source("INSERT INTO tree VALUES ('44', '广东省', 1, NULL)")
    hub.register(TREE)
    hub.collect("tree")
    hub.source("DELETE FROM tree WHERE level = 5")
    run = hub.collect("tree")
    assert run.error is not None
    assert run.error["code"] == "store.shrunk"
    assert hub.rows("SELECT count(*) FROM store.tree") == [(count + 1,)]
    hub.source("DELETE FROM tree")
    run = hub.collect("tree")
    assert run.error is not None
    assert run.error["code"] == "store.empty_load"
    assert hub.rows("SELECT count(*) FROM store.tree") == [(count + 1,)]
    assert hub.rows("SELECT count(*) FROM pg_class WHERE relnamespace = 'stage'::regnamespace AND relkind = 'r'") == [(0,)]


def test_a_table_that_is_gone_fails_the_run_and_says_so(hub: HubForTests) -> None:
    load_divisions(hub.source_url, prefix="4402")
    hub.register(TREE)
    hub.source("ALTER TABLE tree RENAME TO trees")
    with pytest.raises(RejectedError, match="tree"):
        hub.collect("tree")
    hub.source("ALTER TABLE trees RENAME TO tree")
    assert hub.collect("tree").state in ("proved", "failed")


def test_a_row_that_became_bad_is_withdrawn_by_the_run_that_sets_it_aside(hub: HubForTests) -> None:
    hub.source(
        PEOPLE_TABLE,
        "INSERT INTO people SELECT n, '测试人' || n, NULL, '镇', now() - interval '1 hour' FROM generate_series(1, 300) n",
    )
    hub.register(PEOPLE)
    assert hub.collect("people").state == "proved"
    hub.source("UPDATE people SET town = repeat('镇', 99), updated_at = clock_timestamp() WHERE id = 7")
    run = hub.collect("people")
    assert run.state == "proved", run.error
    assert (run.mode, run.rows_read, run.rows_set_aside, run.rows_deleted) == ("incremental", 1, 1, 1)
    assert hub.rows("SELECT count(*) FROM store.people WHERE id = 7") == [(0,)]
    assert hub.reconcile("people").equal


def test_since_reads_a_part_again_and_never_moves_the_cursor_past_rows_that_were_not_read(hub: HubForTests) -> None:
    hub.source(
        PEOPLE_TABLE,
        "INSERT INTO people SELECT n, '测试人' || n, NULL, '马坝镇', now() - interval '1 hour' FROM generate_series(1, 20) n",
    )
    hub.register(PEOPLE)
    with pytest.raises(RejectedError, match="in full"):
        hub.collect("people", since="2026-01-01T00:00:00Z")
    hub.collect("people")
    with pytest.raises(RejectedError, match="since"):
        hub.collect("people", since="yesterday")
    cursor = hub.rows("SELECT value FROM exchange.cursor WHERE resource = 'people'")
    again = hub.collect("people", since="2020-01-01T00:00:00Z")
    assert (again.mode, again.rows_read, again.rows_unchanged) == ("incremental", 20, 20)
    assert hub.rows("SELECT value FROM exchange.cursor WHERE resource = 'people'") >= cursor
    hub.source("UPDATE people SET town = '大塘镇', updated_at = clock_timestamp() WHERE id = 3")
    ahead = hub.rows("SELECT value FROM exchange.cursor WHERE resource = 'people'")
    later = (datetime.now(UTC)).isoformat()
    hub.collect("people", since=later)
    assert hub.rows("SELECT value FROM exchange.cursor WHERE resource = 'people'") == ahead
    assert hub.collect("people").rows_changed == 1
    assert hub.reconcile("people").equal


def test_a_new_contract_version_is_collected_in_full(hub: HubForTests) -> None:
    hub.source(
        PEOPLE_TABLE,
        "INSERT INTO people SELECT n, '测试人' || n, NULL, '马坝镇', now() - interval '1 hour' FROM generate_series(1, 20) n",
    )
    hub.register(PEOPLE)
    hub.collect("people")
    assert hub.collect("people").mode == "incremental"
    hub.register(
        replace(
            PEOPLE, version="1.1.0", fields=tuple(replace(f, personal=f.personal or f.name == "town") for f in PEOPLE.fields)
        )
    )
    run = hub.collect("people")
    assert (run.mode, run.state, run.rows_changed) == ("full", "proved", 0)
    columns = [
        r[0] for r in hub.rows("SELECT attname FROM pg_attribute WHERE attrelid = 'store.people'::regclass AND attnum > 0")
    ]
    assert "town" not in columns
    assert hub.reconcile("people").equal


def test_a_full_load_waits_for_a_long_reader_without_holding_up_others(hub: HubForTests) -> None:
    count = load_divisions(hub.source_url, prefix="4402")
    hub.source("INSERT INTO tree VALUES ('44', '广东省', 1, NULL)")
    hub.register(TREE)
    hub.collect("tree")
    with hub.hub.connect() as reader:
        reader.execute("SELECT count(*) FROM store.tree")
        run = collect(hub.hub, "tree")
        deadline = monotonic() + 20
        between = "SELECT 1 FROM pg_stat_activity WHERE query ~ '^(LOCK|ROLLBACK|RELEASE)' AND state = 'idle in transaction'"
        while not hub.rows(between):
            assert monotonic() < deadline
        assert hub.rows("SELECT count(*) FROM store.tree") == [(count + 1,)]  # nobody queues behind the waiting swap
    assert wait(hub.hub, run, timeout_s=60).state == "proved"


def test_the_nightly_comparison_fails_where_the_source_deleted_rows_that_a_cursor_cannot_see(
    hub: HubForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.source(
        PEOPLE_TABLE,
        "INSERT INTO people SELECT n, '测试人' || n, NULL, '镇', now() - interval '1 hour' FROM generate_series(1, 20) n",
    )
    hub.register(PEOPLE)
    hub.collect("people")
    monkeypatch.setenv("ONEDOOR_HOME", str(hub.hub.settings.home))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", hub.hub.settings.database_url)
    assert compare_resource("people")["equal"]
    hub.source("DELETE FROM people WHERE id <= 3")
    assert hub.collect("people").rows_read == 0
    with pytest.raises(RejectedError, match="3 extra"):
        compare_resource("people")
    assert hub.collect("people", full=True).rows_deleted == 3
    assert compare_resource("people")["equal"]
