"""The official catalogue on a real database: entries read back, codes given once, two editors at once, exports of all of it."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import rdflib

from catalog_registry.exports.national import read_national
from catalog_registry.registry import Registry
from console.cli import main, output
from schemas.catalogue import CatalogueEntry
from schemas.catalogue_form import entry_document, read_entry
from schemas.clock import FakeClock, SystemClock
from schemas.errors import RejectedError
from schemas.secret import Secret
from tests.catalogue_entry import CREDIT_CODE, entry_json
from tests.contract_text import contract_text
from tests.integration.test_registry_cli import Onedoor, Said

URL = Secret("postgresql://reader:x@db.market.local:5432/approval")


def staff(**changes: Any) -> CatalogueEntry:
    return read_entry(entry_json(**changes))


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    """A registry with the resources ``staff`` and ``posts`` of market supervision."""
    made = Registry(hub_db, clock, keys_dir=tmp_path / "home" / "keys")
    made.ensure_department("market", "市场监督管理局", credit_code=CREDIT_CODE)
    made.ensure_system("approval", "审批系统", "market")
    made.add_source("market_db", URL, system="approval")
    for name in ("staff", "posts"):
        made.register_resource(contract_text(name), by="p1")
    made.events_published([e.id for e in made.events_waiting()])
    yield made
    made.close()


@pytest.fixture
def onedoor(
    registry: Registry, hub_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Onedoor:
    """The command line on that registry."""
    monkeypatch.setenv("ONEDOOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", hub_db)
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> Said:
        capsys.readouterr()
        code = output.run(main.build(), argv)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


def types(registry: Registry) -> list[tuple[str, str]]:
    return [(e.type.removeprefix("onedoor.registry."), e.subject) for e in registry.events_waiting()]


# Entries


def test_an_entry_is_read_back_with_the_code_that_it_gave_and_its_event(registry: Registry, clock: FakeClock) -> None:
    assert registry.entry("staff") is None
    made = registry.set_entry("staff", staff(), by="p1")
    assert (made.version, made.at, made.by) == (1, clock.now(), "p1")
    assert entry_document(made.entry) == entry_document(staff()) | {"code": "3070150500300/000001"}
    assert registry.entry("staff") == made
    assert registry.entries() == [made]
    assert registry.resource("staff").code == "3070150500300/000001"
    assert types(registry) == [("resource.coded", "staff"), ("catalogue.set", "staff")]
    assert registry.events_waiting()[1].data == {"version": 1, "code": "3070150500300/000001", "by": "p1"}
    assert [step.event for step in registry.resource_history("staff")] == ["register", "code"]


def test_the_same_entry_again_is_no_change(registry: Registry) -> None:
    made = registry.set_entry("staff", staff(), by="p1")
    before = registry.version()
    assert registry.set_entry("staff", staff(), by="p2", expected_version=1) == made
    assert registry.set_entry("staff", made.entry, by="p2", expected_version=1) == made
    assert registry.version() == before


def test_an_entry_that_does_not_fit_the_resource_leaves_nothing_behind(registry: Registry) -> None:
    document = entry_json()
    document["fields"] = document["fields"][:2]
    with pytest.raises(RejectedError, match="fields: the contract's citizen_id stand not there") as refusal:
        registry.set_entry("staff", read_entry(document), by="p1")
    assert (refusal.value.code, refusal.value.where) == ("catalogue.entry", "staff")
    assert registry.entry("staff") is None
    assert registry.resource("staff").code is None
    assert registry.events_waiting() == []
    assert registry.set_entry("posts", staff(), by="p1").entry.code == "3070150500300/000001"


def test_an_entry_of_an_unknown_resource_is_refused_with_the_near_name(registry: Registry) -> None:
    for ask in (lambda: registry.entry("staf"), lambda: registry.set_entry("staf", staff(), by="p1")):
        with pytest.raises(RejectedError, match="near it: staff"):
            ask()


def test_who_decided_on_an_older_version_gets_a_conflict_and_loses_nothing(registry: Registry) -> None:
    registry.set_entry("staff", staff(), by="p1")
    registry.set_entry("staff", staff(abstract="甲"), by="p1", expected_version=1)
    for stale in (0, 1, 3):
        with pytest.raises(RejectedError) as refusal:
            registry.set_entry("staff", staff(abstract="乙"), by="p2", expected_version=stale)
        assert refusal.value.code == "registry.conflict"
    here = registry.entry("staff")
    assert here is not None
    assert (here.version, here.entry.abstract, here.by) == (2, "甲", "p1")


def test_of_two_editors_at_the_same_moment_one_gets_a_conflict(registry: Registry, hub_db: str, clock: FakeClock) -> None:
    registry.set_entry("staff", staff(), by="p1")
    ready = threading.Barrier(2)
    outcomes: list[str] = []

    def edit(who: str) -> None:
        own = Registry(hub_db, clock)
        ready.wait()
        try:
            own.set_entry("staff", staff(abstract=who), by=who, expected_version=1)
            outcomes.append(who)
        except RejectedError as refusal:
            outcomes.append(refusal.code)
        own.close()

    threads = [threading.Thread(target=edit, args=(who,)) for who in ("p1", "p2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    here = registry.entry("staff")
    assert here is not None
    assert sorted(outcomes) == sorted([here.by, "registry.conflict"])
    assert (here.version, here.entry.abstract) == (2, here.by)


# Codes


def test_each_resource_gets_a_number_of_its_own_and_keeps_it_whatever_the_catalogue_says_later(registry: Registry) -> None:
    first = registry.set_entry("staff", staff(), by="p1").entry.code
    assert registry.set_entry("posts", staff(), by="p1").entry.code == "3070150500300/000002"
    moved = registry.set_entry("staff", staff(classification="2010010"), by="p1", expected_version=1)
    assert moved.entry.code == first == registry.resource("staff").code == "3070150500300/000001"


def test_a_code_that_the_resource_has_stays_and_another_one_is_refused(registry: Registry) -> None:
    registry.register_resource(contract_text("staff"), by="p1", code="3070150500300/000041")
    with pytest.raises(RejectedError) as refusal:
        registry.set_entry("staff", staff(code="3070150500300/000001"), by="p1")
    assert refusal.value.code == "catalogue.code_fixed"
    assert registry.set_entry("staff", staff(), by="p1").entry.code == "3070150500300/000041"
    assert registry.set_entry("posts", staff(), by="p1").entry.code == "3070150500300/000042"


def test_a_code_that_the_entry_brings_is_taken_once(registry: Registry) -> None:
    assert registry.set_entry("staff", staff(code="3070150500300/000007"), by="p1").entry.code == "3070150500300/000007"
    with pytest.raises(RejectedError) as refusal:
        registry.set_entry("posts", staff(code="3070150500300/000007"), by="p1")
    assert refusal.value.code == "catalogue.code_taken"
    assert registry.set_entry("posts", staff(), by="p1").entry.code == "3070150500300/000008"


def test_the_number_of_a_resource_that_is_gone_is_not_given_again(registry: Registry, hub_db: str) -> None:
    registry.set_entry("staff", staff(), by="p1")
    with psycopg.connect(hub_db) as connection:
        connection.execute("ALTER TABLE registry.catalogue_entry DISABLE TRIGGER keep_entry")
        connection.execute("DELETE FROM registry.catalogue_entry")
        connection.execute("UPDATE registry.resource SET code = NULL")
    assert registry.set_entry("posts", staff(), by="p1").entry.code == "3070150500300/000002"


def test_no_way_leads_to_another_code_once_the_resource_is_in_the_catalogue(registry: Registry, hub_db: str) -> None:
    registry.set_entry("staff", staff(), by="p1")
    with pytest.raises(RejectedError, match="the code of a resource that is in the catalogue never changes"):
        registry.register_resource(contract_text("staff"), by="p1", code="3070150500300/000009")
    with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("UPDATE registry.resource SET code = '3070150500300/000009' WHERE name = 'staff'")
    assert registry.resource("staff").code == "3070150500300/000001"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("document - 'sharing_condition'", "ck_catalogue_entry_has_condition"),
        ('document || \'{"sharing_condition": " "}\'', "ck_catalogue_entry_has_condition"),
        ('document || \'{"sharing_type": "3"}\'', "ck_catalogue_entry_has_basis"),
        ('document || \'{"sharing_type": "4"}\'', "ck_catalogue_entry_sharing_type_known"),
        ("document - 'sharing_type'", "ck_catalogue_entry_sharing_type_known"),
        ('document || \'{"code": "3070150500300/000002"}\'', "ck_catalogue_entry_says_its_code"),
    ],
)
def test_the_database_itself_keeps_the_terms_of_sharing(registry: Registry, hub_db: str, change: str, rule: str) -> None:
    registry.set_entry("staff", staff(), by="p1")
    with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.CheckViolation) as refusal:
        connection.execute(f"UPDATE registry.catalogue_entry SET document = {change}")  # type: ignore[arg-type]
    assert refusal.value.diag.constraint_name == rule


# Listing


def test_the_list_has_what_is_shared_with_and_without_an_entry(registry: Registry, clock: FakeClock) -> None:
    made = registry.set_entry("staff", staff(), by="p1")
    listed = {resource.name: resource for resource in registry.listed()}
    assert list(listed) == ["posts", "staff"]
    assert listed["posts"].entry is None
    assert (listed["staff"].entry, listed["staff"].department.name) == (made.entry, "市场监督管理局")
    assert [resource.name for resource in registry.listed(("staff",))] == ["staff"]
    with pytest.raises(RejectedError, match="near it: staff"):
        list(registry.listed(("staf",)))


def test_a_draft_is_in_no_list(registry: Registry) -> None:
    registry.register_resource(contract_text("plans"), by="p1", state="draft")
    assert [resource.name for resource in registry.listed()] == ["posts", "staff"]
    with pytest.raises(RejectedError) as refusal:
        list(registry.listed(("plans",)))
    assert refusal.value.code == "catalogue.not_shared"


# The command line


def test_a_person_sets_an_entry_and_sees_it_again(onedoor: Onedoor, tmp_path: Path) -> None:
    missing = onedoor("resource", "catalogue", "staff", "--json")
    assert (missing.code, missing.problem["code"]) == (1, "catalogue.no_entry")
    (tmp_path / "staff.json").write_text(json.dumps(entry_json(), ensure_ascii=False), "utf-8")
    said = onedoor("resource", "catalogue", "staff", "--set", "staff.json")
    assert (said.code, said.out) == (0, "staff is in the catalogue as 3070150500300/000001, version 1\n")
    shown = onedoor("resource", "catalogue", "staff", "--json").json
    assert shown["entry"] == entry_document(staff()) | {"code": "3070150500300/000001"}
    assert (shown["version"], shown["fresh"], shown["as_of"]) == (1, False, None)
    text = onedoor("resource", "catalogue", "staff").out
    assert "共享类型 sharing type: 2 有条件共享" in text
    assert "citizen_id" in text


def test_a_bad_entry_is_one_problem_that_names_every_field(onedoor: Onedoor, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(json.dumps(entry_json(title=None, sharing_condition=None, region="x")), "utf-8")
    said = onedoor("resource", "catalogue", "staff", "--set", "bad.json", "--json")
    assert said.code == 1
    assert said.problem["code"] == "catalogue.entry"
    assert "3 faults: title: is missing; sharing_condition: is missing" in said.problem["detail"]
    for name, text in (("list.json", "[1]"), ("none.json", "{"), ("empty.json", "[]")):
        (tmp_path / name).write_text(text, "utf-8")
        assert onedoor("resource", "catalogue", "staff", "--set", name, "--json").problem["code"] == "catalogue.json"
    assert onedoor("resource", "catalogue", "staff", "--set", "gone.json", "--json").problem["code"] == "catalogue.file"


def test_who_sets_an_entry_on_an_older_version_is_told(onedoor: Onedoor, tmp_path: Path) -> None:
    (tmp_path / "staff.json").write_text(json.dumps(entry_json()), "utf-8")
    assert onedoor("resource", "catalogue", "staff", "--set", "staff.json", "--version", "0").code == 0
    stale = onedoor("resource", "catalogue", "staff", "--set", "staff.json", "--version", "0", "--json")
    assert stale.problem["code"] == "registry.conflict"


def test_the_catalogue_is_written_in_every_form(onedoor: Onedoor, registry: Registry, tmp_path: Path) -> None:
    registry.set_entry("staff", staff(), by="p1")
    for form, kind in (("turtle", "turtle"), ("jsonld", "json-ld")):
        said = onedoor("resource", "export", "--format", form, "--base", "https://share.example", "-o", f"all.{form}", "--json")
        assert said.json == {"file": f"all.{form}", "format": form, "resources": 2}
        graph = rdflib.Graph().parse(data=(tmp_path / f"all.{form}").read_text("utf-8"), format=kind)
        titles = graph.query(
            "SELECT ?d ?t WHERE { ?d a dcat:Dataset ; dct:title ?t }", initNs={"dct": rdflib.DCTERMS, "dcat": rdflib.DCAT}
        )
        assert {(str(d), str(t)) for d, t in titles} == {
            ("https://share.example/resources/staff", "从业人员名录"),
            ("https://share.example/resources/posts", "从业人员"),
        }
    assert onedoor("resource", "export", "--format", "odcs", "staff", "-o", "staff.yaml").code == 0
    assert (tmp_path / "staff.yaml").read_text("utf-8") == contract_text("staff")
    assert onedoor("resource", "export", "--format", "national", "-o", "all.json").code == 0
    here = registry.entry("staff")
    assert here is not None
    assert read_national((tmp_path / "all.json").read_text("utf-8")) == [here.entry]


def test_what_is_exported_in_the_national_form_can_be_set_again(onedoor: Onedoor, registry: Registry) -> None:
    made = registry.set_entry("staff", staff(), by="p1")
    assert onedoor("resource", "export", "--format", "national", "staff", "-o", "staff.json").code == 0
    assert onedoor("resource", "catalogue", "staff", "--set", "staff.json").code == 0
    assert registry.entry("staff") == made


def test_an_export_that_cannot_be_made_leaves_the_last_one(onedoor: Onedoor, registry: Registry, tmp_path: Path) -> None:
    registry.set_entry("staff", staff(), by="p1")
    assert onedoor("resource", "export", "--format", "national", "staff", "-o", "all.json").code == 0
    last = (tmp_path / "all.json").read_bytes()
    for argv, code in (
        (("--format", "national", "staff", "posts"), "catalogue.no_entry"),
        (("--format", "turtle", "gone"), "resource.unknown"),
        (("--format", "turtle", "--base", "share example"), "export.base"),
        (("--format", "turtle", "--publisher", "nobody"), "department.unknown"),
    ):
        assert onedoor("resource", "export", *argv, "-o", "all.json", "--json").problem["code"] == code
    assert (tmp_path / "all.json").read_bytes() == last
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.json", "home"]
    away = onedoor("resource", "export", "--format", "national", "-o", "no/such/folder.json", "--json")
    assert away.problem["code"] == "export.file"


def test_a_resource_is_fresh_by_its_last_proved_run(
    onedoor: Onedoor, registry: Registry, hub_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.set_entry("staff", staff(), by="p1")
    monkeypatch.setenv("ONEDOOR_CLOCK", f"2026-11-02T09:00:00+08:00@{SystemClock().now().isoformat()}")

    def seen(run: str, state: str, as_of: str) -> tuple[Any, Any]:
        with psycopg.connect(hub_db) as connection:
            connection.execute(
                "INSERT INTO exchange.run"
                " (id, resource, contract_version, mode, state, topic, topic_id, started_at, as_of_first)"
                " VALUES (%s, 'staff', '1.0.0', 'full', %s, 't', 't', %s, %s)",
                (run, state, as_of, as_of),
            )
        shown = onedoor("resource", "catalogue", "staff", "--json").json
        return shown["fresh"], shown["as_of"]

    old, yesterday = "2026-10-31T02:15:00+00:00", "2026-11-01T02:15:00+00:00"
    assert seen("r1", "proved", old) == (False, old)
    assert seen("r2", "failed", yesterday) == (False, old)
    assert seen("r3", "proved", yesterday) == (True, yesterday)


def test_an_export_goes_to_standard_output(onedoor: Onedoor) -> None:
    said = onedoor("resource", "export", "--format", "odcs", "-o", "-")
    assert said.out == contract_text("posts") + "---\n" + contract_text("staff")
    assert io.StringIO(said.out).readline() == "apiVersion: v3.1.0\n"
