"""A department's own table, brought to the hub without code: every step a command, as a person or a script gives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.acceptance.command_line import Home, a_home

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("own_table")]

ROWS = 300
PEOPLE = (
    "CREATE TABLE residents (id_number varchar(18) PRIMARY KEY, xm varchar(60) NOT NULL, town varchar(12) NOT NULL,"
    " floors integer, fee numeric(10,2), born date)"
)


class Department:
    """A department with a database of its own, which the hub reads only."""

    def __init__(self, url: str) -> None:
        self.url = url

    def does(self, *statements: str) -> None:
        """Run statements in its database."""
        with psycopg.connect(self.url) as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """A running hub, without Airflow."""
    with a_home() as made:
        told = made.ok("up", "--detach", "--no-airflow")
        assert told["addresses"]["API"].startswith("http://127.0.0.1:")
        yield made
        assert made.ok("down") == {"stopped": True}


@pytest.fixture(scope="module")
def department(home: Home) -> Department:
    """A department whose table has a wrong row: a floor that is no floor, which the contract's rule finds."""
    server = home.ok("db", "url", "--database", "postgres")["url"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE civil_affairs TEMPLATE template0")
    made = Department(home.ok("db", "url", "--database", "civil_affairs")["url"])
    made.does(
        PEOPLE,
        f"""INSERT INTO residents SELECT '44020519900101' || lpad(n::text, 4, '0'), '拟名' || n, '马坝镇', n % 7, n * 1.25,
              date '1990-01-01' + n FROM generate_series(1, {ROWS}) n""",
        "UPDATE residents SET floors = 900 WHERE id_number = '440205199001010007'",
    )
    return made


def _confirmed(file: Path, *, more: dict[str, dict[str, Any]]) -> None:
    """Answer the draft's questions as a person does: what looks personal is; and say what rows must keep to."""
    document = yaml.safe_load(file.read_text("utf-8"))
    for field in document["schema"][0]["properties"]:
        field["customProperties"] = [t for t in field.get("customProperties", []) if t["property"] != "onedoor.confirm"]
        field.update(more.get(field["name"], {}))
    file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")


@pytest.fixture(scope="module")
def brought(home: Home, department: Department, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contract of the table: source added, drafted, refused until confirmed, registered."""
    file = tmp_path_factory.mktemp("own") / "residents.odcs.yaml"
    added = home.ok(
        *("source", "add", "civil", "--url", "-", "--department", "civil_affairs", "--department-name", "民政局"),
        given=department.url + "\n",
    )
    assert added["tested"] is True
    drafted = home.ok("draft", "--source", "civil", "--table", "public.residents", "-o", str(file))
    assert drafted["resource"] == "residents"
    assert any("id_number" in question for question in drafted["questions"])

    refused = home.refused("resource", "register", str(file))
    assert refused["code"] == "contract.invalid"
    assert "line " in refused["detail"]
    assert "confirm" in refused["detail"]

    _confirmed(file, more={"floors": {"logicalTypeOptions": {"maximum": 60}}})
    made = home.ok("resource", "register", str(file))
    assert (made["name"], made["key"]) == ("residents", ["id_number"])
    assert made["personal"] == ["id_number", "xm", "born"]
    return file


@pytest.fixture(scope="module")
def first_run(home: Home, brought: Path) -> Any:
    """What ``collect`` said of the first run."""
    return home.ok("collect", "residents")


def test_a_draft_is_refused_until_a_person_has_confirmed_what_is_personal(brought: Path) -> None:
    assert "onedoor.confirm" not in brought.read_text("utf-8")  # the fixture brought it there, by commands alone


def test_collect_waits_until_the_run_is_landed_and_proved_and_tells_all_of_it(first_run: Any) -> None:
    wanted = {"run", "resource", "mode", "rows_read", "rows_set_aside", "rows_landed", "rows_deleted", "read_is_landed"}
    wanted |= {"rows_inserted", "rows_changed", "rows_unchanged", "source_stable", "seconds"}
    assert wanted <= first_run.keys()
    assert (first_run["resource"], first_run["mode"], first_run["state"]) == ("residents", "full", "proved")
    assert first_run["rows_read"] == first_run["rows_landed"] + first_run["rows_set_aside"] == ROWS
    assert first_run["rows_landed"] == sum(first_run[f"rows_{how}"] for how in ("inserted", "changed", "unchanged"))
    assert (first_run["rows_set_aside"], first_run["rows_inserted"], first_run["rows_deleted"]) == (1, ROWS - 1, 0)
    assert first_run["read_is_landed"] is True
    assert first_run["source_stable"] is True
    assert first_run["seconds"] > 0


def test_runs_and_show_tell_the_same_with_stages_rules_and_the_three_statements_of_the_proof(
    home: Home, first_run: Any
) -> None:
    assert first_run["run"] in [run["run"] for run in home.ok("runs", "residents")]
    shown = home.ok("show", first_run["run"])
    assert {k: shown[k] for k in ("rows_read", "rows_landed", "rows_set_aside")} == {
        k: first_run[k] for k in ("rows_read", "rows_landed", "rows_set_aside")
    }
    assert [stage["name"] for stage in shown["stages"]][:5] == ["read", "conform", "check", "seal", "publish"]
    assert shown["set_aside_by_rule"] == [{"rule": "maximum", "field": "floors", "rows": 1}]
    text = home.onedoor("show", first_run["run"])
    assert text.code == 0
    for statement in ("1. what was read is landed", "2. the store equals the source", "3. the source was stable"):
        assert statement in text.out


def test_what_is_set_aside_rests_sealed_and_is_shown_only_for_a_reason_that_the_ledger_keeps(
    home: Home, first_run: Any
) -> None:
    rows = home.ok("quarantine", "list", "--run", first_run["run"])
    assert len(rows) == 1
    assert [(f["rule"], f["field"]) for f in rows[0]["findings"]] == [("maximum", "floors")]
    listed = home.onedoor("quarantine", "list", "--resource", "residents", "--rule", "maximum")
    sealed = home.onedoor("quarantine", "show", rows[0]["id"], "--json")
    assert (listed.code, sealed.code) == (0, 0)
    assert "row" not in sealed.json
    for said in (listed, sealed):
        assert "440205199001010007" not in said.out + said.err
        assert "拟名" not in said.out + said.err

    before = len(home.ok("audit", "show", "--n", "10000"))
    no_reason = home.onedoor("quarantine", "show", rows[0]["id"], "--reveal", "--json")
    assert (no_reason.code, no_reason.problem["code"]) == (2, "cli.usage")
    assert len(home.ok("audit", "show", "--n", "10000")) == before

    opened = home.ok("quarantine", "show", rows[0]["id"], "--reveal", "--reason", "the department asked")
    assert opened["row"]["id_number"] == "440205199001010007"
    assert opened["row"]["floors"] == 900
    newest = [r for r in home.ok("audit", "show", "--n", "10000") if r["kind"] == "quarantine.reveal"]
    assert [(r["resource"], r["rows"], r["reason"]) for r in newest] == [("residents", [rows[0]["id"]], "the department asked")]
    assert "440205199001010007" not in str(newest)


def test_reconcile_names_what_differs_by_pseudonyms_until_the_next_collect_makes_it_equal(
    home: Home, department: Department, first_run: Any
) -> None:
    equal = home.ok("reconcile", "residents")
    assert (equal["equal"], equal["set_aside"]) == (True, 1)
    assert [equal[part] for part in ("missing", "extra", "different")] == [{"count": 0, "keys": []}] * 3

    department.does(
        "UPDATE residents SET town = '大塘镇' WHERE id_number = '440205199001010001'",
        "DELETE FROM residents WHERE id_number = '440205199001010002'",
        "INSERT INTO residents VALUES ('440205199001019001', '拟名新', '沙溪镇', 3, 1.50, '1990-02-03')",
    )
    said = home.onedoor("reconcile", "residents", "--json")
    assert said.code == 1
    found = said.json
    assert found["equal"] is False
    assert [found[part]["count"] for part in ("missing", "extra", "different")] == [1, 1, 1]
    assert "4402051990" not in said.out + said.err
    text = home.onedoor("reconcile", "residents")
    assert text.code == 1
    assert found["missing"]["keys"][0] in text.out

    no_reason = home.onedoor("reconcile", "residents", "--reveal")
    assert no_reason.code == 2
    revealed = home.onedoor("reconcile", "residents", "--reveal", "--reason", "找出差异", "--json")
    assert revealed.code == 1
    names = revealed.json["revealed"]
    assert {part: names[found[part]["keys"][0]] for part in ("missing", "extra", "different")} == {
        "missing": "440205199001019001",
        "extra": "440205199001010002",
        "different": "440205199001010001",
    }
    record = next(r for r in home.ok("audit", "show", "--n", "10000") if r["kind"] == "reconcile.reveal")
    assert (record["resource"], record["reason"], len(record["rows"])) == ("residents", "找出差异", 3)
    assert "4402051990" not in str(record)

    again = home.ok("collect", "residents")
    assert again["rows_read"] == again["rows_landed"] + again["rows_set_aside"] == ROWS
    assert [again[f"rows_{how}"] for how in ("inserted", "changed", "unchanged", "deleted")] == [1, 1, ROWS - 3, 1]
    assert home.ok("reconcile", "residents")["equal"] is True


def test_without_waiting_collect_returns_the_run_and_show_tells_when_it_is_proved(home: Home, first_run: Any) -> None:
    run = home.ok("collect", "residents", "--no-wait")
    assert run["run"] != first_run["run"]
    assert run["state"] in ("collected", "proved")
    waited = home.ok("collect", "residents")  # a run that is on its way is waited for, or a new one begun after it
    assert waited["state"] == "proved"
    assert home.ok("show", run["run"])["state"] == "proved"


def test_a_run_that_fails_exits_1_with_what_where_and_what_to_do(home: Home, department: Department, first_run: Any) -> None:
    department.does("ALTER TABLE residents RENAME COLUMN town TO township")
    try:
        problem = home.refused("collect", "residents")
        assert "town" in problem["detail"] + problem.get("where", "")
        assert problem["remedy"]
        line = home.onedoor("collect", "residents")
        assert (line.code, len(line.err.splitlines())) == (1, 1)
        assert line.err.startswith("error: ")
    finally:
        department.does("ALTER TABLE residents RENAME COLUMN township TO town")
    assert home.ok("collect", "residents")["state"] == "proved"


def test_a_wrong_use_exits_2_with_one_line(home: Home) -> None:
    said = home.onedoor("collect", "residents", "--since-when", "1")
    assert said.code == 2
    assert said.err.startswith("usage: ")
    assert len(said.err.splitlines()) == 1


def test_the_ledger_is_intact_after_all_of_it(home: Home, first_run: Any) -> None:
    assert home.ok("audit", "verify")["intact"] is True


def test_an_analyst_reads_the_store_with_the_url_that_the_hub_gives(home: Home, first_run: Any) -> None:
    url = home.onedoor("db", "url").out.strip()
    with psycopg.connect(url) as connection:
        count = connection.execute("SELECT count(*) FROM store.residents").fetchone()
        assert count is not None
        assert count[0] >= ROWS - 2
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM store.residents")
