"""Great Expectations beside the path: it agrees with the gate, keeps a history, and writes no value anywhere."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from quality import gate
from quality.checks import compile_checks
from quality.engines import gx
from schemas.batch import ConformedBatch
from schemas.codes import CODES, CodeRule
from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import DefectError, TransientError
from schemas.resource import resource_name
from schemas.types import contract_schema
from tests.unit.quality_cases import GOOD_ID, fields_and_values

L = LogicalType
NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
MARKERS = ("ZHANGSANMARKER", "张三丰标记", "440221199912319876", "13800138000")

PEOPLE = DataContract(
    resource_name("people"),
    "1.0.0",
    "People 人",
    "d",
    "s",
    "src",
    "t",
    (
        Field("id", L.INTEGER, "ID", key=1),
        Field("name", L.STRING, "XM", required=True, max_length=4, pattern=r"\p{Han}+", values=("李", "王"), personal=True),
        Field("cid", L.STRING, "ZJHM", code="citizen_id", pattern=r"^\d{17}[\dX]$", min_length=18, personal=True),
        Field("phone", L.STRING, "SJ", maximum="1", personal=True),
    ),
)


def table(contract: DataContract, *rows: tuple[Any, ...]) -> pa.Table:
    schema = contract_schema(contract)
    return pa.table([pa.array([row[i] for row in rows], kind) for i, kind in enumerate(schema.types)], schema=schema)


GOOD = table(PEOPLE, (1, "李", GOOD_ID, "1"), (2, "王", None, None))
BAD = table(
    PEOPLE, (1, "李", GOOD_ID, "1"), (None, MARKERS[0], MARKERS[2], MARKERS[3]), (3, MARKERS[1], MARKERS[1], MARKERS[3])
)


def report(sample: pa.Table, docs: Path, run: str = "r1", contract: DataContract = PEOPLE, at: int = 0) -> gx.Verdict:
    return gx.report(sample, contract, run=run, sampled_of=5000, now=NOW + timedelta(hours=at), docs_dir=docs)


def stored(docs: Path) -> dict[str, dict[str, Any]]:
    """The history as it is on disk: run -> result."""
    results = [json.loads(file.read_text()) for file in docs.glob("people/history/validations/**/*.json")]
    return {one["meta"]["run_id"]["run_name"]: one for one in results}


@st.composite
def tables(draw: st.DrawFn) -> tuple[DataContract, pa.Table]:
    drawn = [draw(fields_and_values(20, f"f{n}")) for n in range(24)]
    contract = replace(PEOPLE, fields=tuple(field for field, _ in drawn))
    return contract, table(contract, *zip(*(values for _, values in drawn), strict=True))


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a case takes seconds: no shrinking
)
@given(tables())
def test_both_engines_find_the_same_number_of_rows_for_every_rule(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[DataContract, pa.Table]
) -> None:
    contract, rows = case
    (batch,) = rows.to_batches()
    checks = compile_checks(contract)
    rejects = gate.check(ConformedBatch(contract, batch, NOW), checks).rejects
    by_gate = Counter((finding.field, finding.rule) for finding in rejects.findings)

    verdict = report(rows, tmp_path_factory.mktemp("docs"), contract=contract)

    assert {(o.field, o.rule): o.failed for o in verdict.outcomes} == {
        (check.field, check.rule): by_gate[check.field, check.rule] for check in checks.rows
    }
    assert all(outcome.success == (outcome.failed == 0) for outcome in verdict.outcomes)
    assert verdict.success == (rejects.count == 0)


def test_the_verdict_is_labelled_as_one_on_a_sample(tmp_path: Path) -> None:
    verdict = report(GOOD, tmp_path)
    assert verdict.success
    assert (verdict.run, verdict.sampled, verdict.sampled_of) == ("r1", 2, 5000)
    assert verdict.label == "sampled 2 of 5000 rows"
    assert verdict.docs_index == tmp_path / "people" / "site" / "index.html"
    pages = [tmp_path / "index.html", verdict.docs_index, *tmp_path.glob("people/site/validations/**/*.html")]
    assert len(pages) == 3
    assert all("sampled 2 of 5000 rows" in page.read_text() for page in pages)


def test_a_failed_rule_is_named_with_its_count_in_verdict_history_and_pages(tmp_path: Path) -> None:
    verdict = report(BAD, tmp_path)
    failed = {(o.field, o.rule): o.failed for o in verdict.outcomes if not o.success}
    assert not verdict.success
    assert failed == {
        ("id", "key_null"): 1,
        ("name", "max_length"): 2,
        ("name", "pattern"): 1,
        ("name", "values"): 2,
        ("cid", "min_length"): 1,
        ("cid", "pattern"): 1,
        ("cid", "code.citizen_id"): 2,
        ("phone", "maximum"): 2,
    }
    told = verdict.as_json()
    assert {(one["field"], one["rule"]): one["rows"] for one in told.pop("failed")} == failed
    assert told == {
        "success": False,
        "sample": "sampled 3 of 5000 rows",
        "sampled": 3,
        "sampled_of": 5000,
        "rules": len(verdict.outcomes),
        "docs": "people/site/index.html",
    }
    kept = stored(tmp_path)["r1"]
    assert not kept["success"]
    for result in kept["results"]:
        asked = result["expectation_config"]["meta"]
        assert result["result"]["unexpected_count"] == failed.get((asked["field"], asked["rule"]), 0)
    for page in (tmp_path / "index.html", verdict.docs_index):
        assert "cid code.citizen_id (2)" in page.read_text()
    (page,) = tmp_path.glob("people/site/validations/**/*.html")
    assert "2 unexpected values found" in page.read_text()


def test_no_value_of_a_row_is_in_any_file_or_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    report(BAD, tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 6
    said = caplog.text + "".join(capfd.readouterr())
    for marker in MARKERS:
        forms = (marker, json.dumps(marker)[1:-1])
        assert not any(form in said for form in forms)
        for file in files:
            content = file.read_text("utf-8") + file.name
            assert not any(form in content for form in forms), file


def test_a_rule_that_breaks_is_named_without_the_words_of_its_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(text: str) -> bool:
        raise ValueError(text)

    rule = CodeRule("citizen_id", "citizen id", breaks, lambda column: column)
    monkeypatch.setattr("quality.engines.gx_expectations.CODES", {**CODES, "citizen_id": rule})
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DefectError) as caught:
        report(BAD, tmp_path)
    assert caught.value.code == "quality.report"
    assert "the rule code.citizen_id of the field cid" in str(caught.value)
    said = str(caught.value) + caplog.text + "".join(f.read_text() for f in tmp_path.rglob("*") if f.is_file())
    assert not any(marker in said for marker in MARKERS)
    assert stored(tmp_path) == {}


def test_each_run_is_a_new_result_and_the_same_run_twice_is_one(tmp_path: Path) -> None:
    report(BAD, tmp_path, "r1", at=1)
    report(GOOD, tmp_path, "r2", at=2)
    assert {run: one["success"] for run, one in stored(tmp_path).items()} == {"r1": False, "r2": True}
    report(GOOD, tmp_path, "r1", at=3)
    assert {run: one["success"] for run, one in stored(tmp_path).items()} == {"r1": True, "r2": True}
    index = (tmp_path / "people" / "site" / "index.html").read_text()
    assert re.findall(r"validations/people/(r\d)/", index) == ["r1", "r2"]


def test_the_history_and_its_pages_keep_the_last_runs_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gx, "KEPT_RUNS", 3)
    for at, run in enumerate(["r9", "r8", "r7", "r6", "r5"]):
        report(GOOD, tmp_path, run, at=at)
    assert set(stored(tmp_path)) == {"r7", "r6", "r5"}
    assert {page.name for page in tmp_path.glob("people/site/validations/people/*")} == {"r7", "r6", "r5"}


def test_a_result_that_a_kill_cut_short_does_not_stop_the_next_report(tmp_path: Path) -> None:
    report(GOOD, tmp_path, "r1")
    (kept,) = tmp_path.glob("people/history/validations/**/*.json")
    kept.write_text(kept.read_text()[:100])
    (suite,) = tmp_path.glob("people/history/expectations/*.json")
    suite.write_text("{")
    report(GOOD, tmp_path, "r2", at=1)
    assert set(stored(tmp_path)) == {"r2"}


def test_a_changed_contract_changes_the_suite(tmp_path: Path) -> None:
    report(GOOD, tmp_path, "r1")
    changed = replace(PEOPLE, version="2.0.0", fields=(Field("id", L.INTEGER, "ID", maximum="9"), *PEOPLE.fields[1:]))
    report(GOOD, tmp_path, "r2", contract=changed, at=1)
    (suite,) = tmp_path.glob("people/history/expectations/*.json")
    held = json.loads(suite.read_text())
    assert held["meta"]["version"] == "2.0.0"
    assert [e["meta"]["rule"] for e in held["expectations"] if e["kwargs"]["column"] == "id"] == ["maximum"]


def test_the_front_page_names_every_resource(tmp_path: Path) -> None:
    report(GOOD, tmp_path)
    report(GOOD, tmp_path, contract=replace(PEOPLE, name=resource_name("licences"), title="Licences <证照>"))
    front = (tmp_path / "index.html").read_text()
    assert re.findall(r'href="(\w+/site/index.html)"', front) == ["licences/site/index.html", "people/site/index.html"]
    assert "licences Licences &lt;证照&gt;" in front


def test_a_sample_without_rows_and_a_contract_without_rules_have_nothing_against_them(tmp_path: Path) -> None:
    assert report(GOOD.slice(0, 0), tmp_path).success
    bare = replace(PEOPLE, fields=(Field("note", L.STRING, "BZ"),))
    verdict = report(table(bare, ("a",)), tmp_path, "r2", contract=bare)
    assert (verdict.success, verdict.outcomes) == (True, ())


class Page(HTMLParser):
    """What a browser would fetch, run or follow."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.policy = ""
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src") and value and not value.startswith("#")]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""


def test_pages_fetch_nothing_run_nothing_and_their_links_lead_somewhere(tmp_path: Path) -> None:
    hostile = replace(PEOPLE, fields=(Field("x", L.STRING, "X", pattern="<script>a</script>|<svg onload=b>|$column ${y} $"),))
    report(table(hostile, ("a",)), tmp_path, contract=hostile)
    report(GOOD, tmp_path, contract=replace(PEOPLE, name=resource_name("licences"), title="<script>"))
    files = list(tmp_path.rglob("*.html"))
    assert len(files) == 7
    (suite,) = tmp_path.glob("people/site/expectations/*.html")
    assert "&lt;script&gt;a&lt;/script&gt;|&lt;svg onload=b&gt;|$column ${y} $" in suite.read_text()
    for file in files:
        page = Page(file)
        assert page.policy.startswith("default-src 'none'"), file
        assert not {"script", "svg", "img", "link", "iframe", "object"} & set(page.tags), file
        for link in page.links:
            assert (file.parent / link).resolve().is_file(), (file, link)


@pytest.fixture
def tried_to_reach(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    tried: list[object] = []

    def refuse(self: socket.socket, address: object) -> None:
        tried.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def test_a_report_opens_no_connection(tmp_path: Path, tried_to_reach: list[object]) -> None:
    report(GOOD, tmp_path)
    assert tried_to_reach == []
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("a file, not a folder")
    with pytest.raises(TransientError) as caught:
        report(GOOD, tmp_path / "docs")
    assert caught.value.code == "quality.docs"
    assert str(tmp_path / "docs") in str(caught.value)
