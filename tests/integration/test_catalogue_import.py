"""Bringing the catalogue in on a real database: all or nothing, drafts without a contract, what the registry itself knows."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog_registry.acting import Sight
from catalog_registry.bring_in import FileKind, bring_in, read_file
from catalog_registry.brought import ImportRefusedError
from catalog_registry.catalogue_sheets import BY_KEY
from catalog_registry.exports.whole import Format, Wanted, write_export
from catalog_registry.imports import Imported, Outcome
from catalog_registry.registry import Registry
from catalog_registry.sheets.columns import letters
from catalog_registry.snapshot import dags_snapshot
from console.cli import main, output
from exchange.licences.view import load
from schemas.catalogue_form import entry_document
from schemas.clock import FakeClock
from schemas.errors import DeniedError, RejectedError
from schemas.secret import Secret
from tests.catalogue_entry import CREDIT_CODE, entry_json
from tests.contract_text import contract_text
from tests.integration.test_registry_cli import Onedoor, Said
from tests.sheet_files import csv_file, entry, headings, place, rows, workbook

MADE, CHANGED, UNCHANGED = Outcome.MADE, Outcome.CHANGED, Outcome.UNCHANGED
CODE = "3070150500300/000001"


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    """A registry with market supervision, its system and its source, and another department; no resource yet."""
    made = Registry(hub_db, clock, keys_dir=tmp_path / "home" / "keys", dags_json=tmp_path / "dags.json")
    made.ensure_department("market", "市场监督管理局", credit_code=CREDIT_CODE)
    made.ensure_department("civil", "民政局")
    made.ensure_system("approval", "审批系统", "market")
    made.add_source("market_db", Secret("postgresql://reader:x@db.market.local:5432/approval"), system="approval")
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


def brought(registry: Registry, file: io.BytesIO, kind: FileKind = FileKind.XLSX, **more: Any) -> Imported:
    return bring_in(registry, read_file(file, kind, where="the file"), by="p1", **more)


def sheet(registry: Registry, *resources: Sequence[Sequence[Any]], **more: Any) -> Imported:
    return brought(registry, workbook([headings(), *(row for of_one in resources for row in of_one)]), **more)


def taken(done: Imported) -> list[tuple[str, Outcome]]:
    return [(one.name, one.outcome) for one in done.taken]


def types(registry: Registry) -> list[tuple[str, str]]:
    return [(e.type.removeprefix("onedoor.registry."), e.subject) for e in registry.events_waiting()]


def posts(**more: Any) -> list[list[Any]]:
    return rows("posts", **({"title": "岗位"} | more))


# Taken


def test_a_spreadsheet_registers_drafts_and_the_same_again_changes_nothing(registry: Registry, clock: FakeClock) -> None:
    done = sheet(registry, rows("staff"), rows(None, title="岗位设置"))
    assert [(one.name, one.code, one.title, one.outcome) for one in done.taken] == [
        ("staff", CODE, "从业人员名录", MADE),
        ("gangweishezhi", "3070150500300/000002", "岗位设置", MADE),
    ]
    made = registry.in_any_state("staff")
    assert (made.version, made.state, made.code, made.department, made.row_version) == (None, "draft", CODE, "market", 1)
    kept = registry.entry("staff")
    assert kept is not None
    assert entry_document(kept.entry) == entry_document(entry(code=CODE))
    assert (kept.version, kept.by, kept.at) == (1, "p1", clock.now())
    assert [(s.n, s.event, s.to_state, s.by) for s in registry.resource_history("staff")] == [(1, "register", "draft", "p1")]
    before = registry.version()
    assert taken(sheet(registry, rows("staff"), rows(None, title="岗位设置"))) == [
        ("staff", UNCHANGED),
        ("gangweishezhi", UNCHANGED),
    ]
    assert registry.version() == before


def test_a_csv_file_in_gb18030_registers_drafts_too(registry: Registry) -> None:
    file = csv_file([headings(), *rows("staff")], "gb18030")
    assert taken(brought(registry, file, FileKind.CSV)) == [("staff", MADE)]


def test_one_change_of_the_registry_has_an_event_for_each_resource(registry: Registry) -> None:
    before = registry.version()
    sheet(registry, rows("staff"), posts())
    assert registry.version() == before + 1
    assert types(registry) == [
        ("resource.drafted", "staff"),
        ("resource.drafted", "posts"),
        ("catalogue.set", "staff"),
        ("catalogue.set", "posts"),
    ]
    assert registry.events_waiting()[0].data == {"title": "从业人员名录", "department": "market", "code": CODE, "by": "p1"}


def test_an_entry_is_of_the_resource_of_its_name_else_its_code_else_its_title(registry: Registry) -> None:
    sheet(registry, rows("staff"), posts())
    for given in (rows("staff", abstract="甲"), rows(None, code=CODE, abstract="乙"), rows(None, abstract="丙")):
        assert taken(sheet(registry, given)) == [("staff", CHANGED)]
    kept = registry.entry("staff")
    assert kept is not None
    assert (kept.version, kept.entry.abstract, kept.entry.code) == (4, "丙", CODE)
    assert taken(sheet(registry, rows("staff", title="人员名录"))) == [("staff", CHANGED)]
    assert registry.in_any_state("staff").title == "人员名录"
    assert [step.event for step in registry.resource_history("staff")] == ["register", "change"]


def test_a_resource_with_a_contract_gets_its_entry_and_its_code(registry: Registry) -> None:
    registry.register_resource(contract_text("staff"), by="p1")
    registry.register_resource(contract_text("posts"), by="p1", code="3070150500300/000041")
    done = sheet(registry, rows("staff"), posts())
    assert [(one.name, one.code, one.outcome) for one in done.taken] == [
        ("staff", CODE, CHANGED),
        ("posts", "3070150500300/000041", CHANGED),
    ]
    assert registry.resource("staff").code == CODE
    assert [step.event for step in registry.resource_history("staff")] == ["register", "code"]
    assert registry.set_entry("staff", entry(), by="p1", expected_version=1).version == 1
    assert sheet(registry, rows("later", title="后来")).taken[0].code == "3070150500300/000042"


def test_a_check_says_what_would_become_of_it_and_changes_nothing(registry: Registry) -> None:
    before = registry.version()
    assert taken(sheet(registry, rows("staff"), check=True)) == [("staff", MADE)]
    contracts = io.BytesIO(contract_text("staff").encode())
    assert taken(brought(registry, contracts, FileKind.ODCS, check=True)) == [("staff", MADE)]
    assert registry.version() == before
    with pytest.raises(RejectedError, match="there is no resource"):
        registry.in_any_state("staff")


# Refused


def test_nothing_is_taken_of_a_file_with_one_bad_cell(registry: Registry) -> None:
    bad = posts()
    bad[0][place("open")] = "也许"
    before = registry.version()
    with pytest.raises(ImportRefusedError) as refusal:
        sheet(registry, rows("staff"), bad)
    assert [(f.where, f.reason) for f in refusal.value.faults] == [
        (f"目录!{letters(place('open'))}5 是否向社会开放", "'也许' is neither 是 nor 否")
    ]
    assert registry.version() == before
    assert registry.unbound() == []


def test_by_choice_what_is_right_is_taken_and_the_rest_is_told(registry: Registry) -> None:
    bad, other = posts(), rows("other", title="其他", provider="民政厅", provider_code="12441500196720244T")
    bad[0][place("open")] = "也许"
    done = sheet(registry, rows("staff"), bad, other, partial=True)
    assert taken(done) == [("staff", MADE)]
    assert [(f.row, f.heading) for f in done.faults] == [(5, "是否向社会开放"), (8, "信息资源提供方")]
    assert done.faults_count == 2
    assert [draft.name for draft in registry.unbound()] == ["staff"]


@pytest.mark.parametrize(
    ("key", "change", "reason"),
    [
        ("provider", {"provider": "市场监管局", "provider_code": "12441500196720244T"}, "near it: 市场监督管理局"),
        ("provider", {"provider": "市场局"}, "the resource is of 市场监督管理局"),
        ("provider_code", {"provider_code": "12441500196720244T"}, f"市场监督管理局 has {CREDIT_CODE}"),
        ("code", {"code": "3070150500300/000041"}, "3070150500300/000041 is the code of another resource, posts"),
        ("code", {"code": "3070150500300/000077"}, f"staff has {CODE}, which never changes"),
        ("name", {"provider": "民政局", "provider_code": "12441500196720244T"}, "is the resource of another department"),
    ],
)
def test_what_only_the_registry_knows_to_be_wrong_is_told_by_its_cell(
    registry: Registry, key: str, change: dict[str, Any], reason: str
) -> None:
    sheet(registry, rows("staff"), posts(code="3070150500300/000041"))
    with pytest.raises(ImportRefusedError) as refusal:
        sheet(registry, rows("staff", **change))
    (fault,) = refusal.value.faults
    assert (fault.sheet, fault.row, fault.column, fault.heading) == ("目录", 2, letters(place(key)), BY_KEY[key].heading)
    assert reason in fault.reason


def test_an_entry_that_does_not_fit_the_contract_is_told_by_the_cells_of_its_fields(registry: Registry) -> None:
    registry.register_resource(contract_text("staff"), by="p1")
    cells = rows("staff")
    cells[0][place("field.primary_key")] = "否"
    cells[1][place("field.name")] = "titel"
    with pytest.raises(ImportRefusedError) as refusal:
        sheet(registry, cells)
    assert [(f.row, f.heading, f.reason) for f in refusal.value.faults] == [
        (3, "信息项英文名称", "the contract has no field titel"),
        (2, "信息项英文名称", "the contract's title stand not there"),
        (2, "是否主键", "id is a part of the contract's key"),
    ]


def test_two_entries_of_a_file_are_not_of_one_resource_nor_of_one_code(registry: Registry) -> None:
    sheet(registry, rows("staff"))
    with pytest.raises(ImportRefusedError, match="staff is another entry's of this file as well"):
        sheet(registry, rows("staff"), posts(), rows(None, code=CODE, title="又一"))


# Drafts without a contract


def test_a_draft_without_a_contract_is_shown_as_such_and_left_out_where_a_contract_is_needed(
    registry: Registry, tmp_path: Path
) -> None:
    registry.register_resource(contract_text("plans"), by="p1")
    sheet(registry, rows("staff"))
    assert [resource.name for resource in registry.resources()] == ["plans"]
    assert [draft.name for draft in registry.unbound()] == ["staff"]
    assert [row["name"] for row in dags_snapshot(registry)] == ["plans"]
    known = load(registry)
    assert (known.grants.published("plans"), known.grants.published("staff")) == (True, False)
    assert [resource.name for resource in registry.listed()] == ["plans"]
    assert [resource.name for resource in registry.listed(drafts=True)] == ["plans", "staff"]
    asks: list[Callable[[], object]] = [
        lambda: registry.resource("staff"),
        lambda: registry.compare("staff", contract_text("staff")),
    ]
    for ask in asks:
        with pytest.raises(RejectedError) as refusal:
            ask()
        assert (refusal.value.code, refusal.value.message) == (
            "resource.unbound",
            "staff is in the catalogue, and has no contract yet",
        )


def test_a_draft_is_submitted_only_once_a_contract_is_bound_that_fits_its_entry(registry: Registry) -> None:
    sheet(registry, rows("staff"))
    editor = registry.create_machine("editor", "market", roles=("provider_editor",))[0].id
    officer = registry.create_machine("officer", "civil", roles=("registration_officer",))[0].id
    with pytest.raises(RejectedError) as refusal:
        registry.submit_resource("staff", by=editor, version=1)
    assert refusal.value.code == "resource.unbound"
    with pytest.raises(RejectedError, match=r"fields\[1\].name: the contract has no field title") as refusal:
        registry.register_resource(contract_text("staff", field="post"), by="p1")
    assert refusal.value.code == "catalogue.entry"
    registry.ensure_system("relief", "救助", "civil")
    registry.add_source("civil_db", Secret("postgresql://r@db.civil.local/relief"), system="relief")
    with pytest.raises(RejectedError, match="the catalogue has staff as market's"):
        registry.register_resource(contract_text("staff", department="civil", system="relief", source="civil_db"), by="p1")
    bound = registry.register_resource(contract_text("staff"), by="p1")
    assert (bound.state, bound.version, bound.code, bound.row_version) == ("draft", "1.0.0", CODE, 2)
    assert registry.unbound() == []
    submitted = registry.submit_resource("staff", by=editor, version=2)
    assert registry.publish_resource("staff", by=officer, version=submitted.row_version).state == "published"
    assert [s.event for s in registry.resource_history("staff")] == ["register", "change", "submit", "publish"]
    assert [row["name"] for row in dags_snapshot(registry)] == ["staff"]


def test_an_entry_of_a_draft_without_a_contract_is_set_without_one(registry: Registry) -> None:
    sheet(registry, rows("staff"))
    document = entry_json(title="人员")
    document["fields"] = document["fields"][:1]
    from schemas.catalogue_form import read_entry

    made = registry.set_entry("staff", read_entry(document), by="p2", expected_version=1)
    assert (made.version, made.entry.title, registry.in_any_state("staff").title) == (2, "人员", "人员")
    with pytest.raises(RejectedError, match="another department's: provider: the resource is of 市场监督管理局"):
        registry.set_entry("staff", entry(provider="民政局"), by="p2", expected_version=2)


def test_the_database_itself_lets_nothing_but_a_draft_be_without_a_contract(registry: Registry, hub_db: str) -> None:
    sheet(registry, rows("staff"))
    with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.CheckViolation) as refusal:
        connection.execute("UPDATE registry.resource SET state = 'submitted'")
    assert refusal.value.diag.constraint_name == "ck_resource_reviewed_has_contract"


# Mistakes


def people(registry: Registry) -> dict[str, str]:
    """Return the ids of an editor of the department, of another one's, and of an officer of the centre."""
    return {
        name: registry.create_machine(name, department, roles=(role,))[0].id
        for name, department, role in (
            ("editor", "market", "provider_editor"),
            ("reviewer", "market", "provider_reviewer"),
            ("stranger", "civil", "provider_editor"),
            ("officer", "civil", "registration_officer"),
        )
    }


def test_a_discarded_draft_is_in_no_list_and_its_history_says_who_did_it(registry: Registry, clock: FakeClock) -> None:
    sheet(registry, rows("staff"), posts())
    who = people(registry)
    registry.events_published([e.id for e in registry.events_waiting()])
    done = registry.discard_resource("staff", by="editor", version=1, why="登记错了")
    assert (done.name, done.code, done.state, done.row_version) == ("staff", CODE, "discarded", 2)
    (event,) = registry.events_waiting()
    assert (event.type, event.subject) == ("onedoor.registry.resource.discarded", "staff")
    last = registry.resource_history("staff")[-1]
    assert (last.event, last.from_state, last.to_state, last.by, last.why) == (
        *("discard", "draft", "discarded"),
        *(who["editor"], "登记错了"),
    )
    assert (last.at, dict(last.detail or {})) == (clock.now(), {"version": None, "code": CODE})
    everything = Sight(everything=True, department=None)
    assert [one.name for one in registry.unbound()] == ["posts"]
    assert [one.name for one in registry.catalogue(everything)] == ["posts"]
    assert [one.name for one in registry.listed(drafts=True, seen=everything)] == ["posts"]
    assert registry.entry("staff") is None
    for look in (
        lambda: registry.in_any_state("staff"),
        lambda: registry.resource("staff"),
        lambda: registry.set_entry("staff", entry(), by="p1"),
        lambda: registry.register_resource(contract_text("staff"), by="p1", state="draft"),
        lambda: registry.discard_resource("staff", by="editor", version=2),
    ):
        with pytest.raises(RejectedError) as refusal:
            look()
        assert (refusal.value.code, refusal.value.message) == ("resource.unknown", "staff was discarded")


def test_the_name_and_the_code_of_a_discarded_draft_are_never_given_again(registry: Registry) -> None:
    sheet(registry, rows(None, title="岗位"))
    people(registry)
    (old,) = registry.unbound()
    registry.discard_resource(old.name, by="officer", version=1)
    for again, key in ((rows(old.name, title="岗位"), "name"), (rows(None, title="岗位", code=old.code), "code")):
        with pytest.raises(ImportRefusedError) as refusal:
            sheet(registry, again)
        assert [(f.row, f.column, f.reason) for f in refusal.value.faults] == [
            (2, letters(place(key)), "is of a draft that was discarded, and is never given again")
        ]
    (new,) = sheet(registry, rows(None, title="岗位")).taken
    assert (new.outcome, new.code) == (MADE, "3070150500300/000002")
    assert new.name == f"{old.name}_2"


def test_only_a_draft_without_a_contract_is_discarded_and_only_by_who_may(registry: Registry) -> None:
    sheet(registry, rows("staff"))
    people(registry)
    for name, code in (("stranger", "registry.other_department"), ("reviewer", "registry.role")):
        with pytest.raises(DeniedError) as denial:
            registry.discard_resource("staff", by=name, version=1)
        assert denial.value.code == code
    with pytest.raises(RejectedError) as refusal:
        registry.discard_resource("staff", by="editor", version=7)
    assert refusal.value.code == "registry.conflict"
    bound = registry.register_resource(contract_text("staff"), by="p1", state="draft")
    with pytest.raises(RejectedError) as refusal:
        registry.discard_resource("staff", by="editor", version=bound.row_version)
    assert refusal.value.code == "resource.bound"
    submitted = registry.submit_resource("staff", by="editor", version=bound.row_version)
    with pytest.raises(RejectedError) as refusal:
        registry.discard_resource("staff", by="editor", version=submitted.row_version)
    assert refusal.value.code == "resource.state"
    assert registry.resource("staff").state == "submitted"
    assert registry.entry("staff") is not None


def test_the_database_itself_lets_no_other_entry_be_taken_out(registry: Registry, hub_db: str) -> None:
    sheet(registry, rows("staff"))
    with psycopg.connect(hub_db) as connection, pytest.raises(psycopg.errors.RestrictViolation, match="only with a draft"):
        connection.execute("DELETE FROM registry.catalogue_entry")
    assert registry.entry("staff") is not None


def test_a_person_discards_a_draft_at_the_command_line(
    onedoor: Onedoor, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet(registry, rows("staff"), posts())
    people(registry)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert onedoor("resource", "discard", "staff", "--as", "editor").code != 0
    assert registry.in_any_state("staff").state == "draft"
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert onedoor("resource", "discard", "staff", "--as", "editor").out == "resource staff is discarded\n"
    told = onedoor("resource", "discard", "posts", "--as", "editor", "--yes", "--json").json
    assert (told["name"], told["state"], told["row_version"]) == ("posts", "discarded", 2)
    assert [step["event"] for step in onedoor("resource", "history", "posts", "--json").json] == ["register", "discard"]
    assert onedoor("resource", "list", "--json").json == []


# Other forms


def test_a_file_of_the_national_form_is_brought_in_whole(registry: Registry, tmp_path: Path) -> None:
    sheet(registry, rows("staff"), posts())
    path = tmp_path / "all.json"
    assert write_export(registry, Wanted(Format.NATIONAL, "440205", drafts=True), path) == 2
    documents = json.loads(path.read_text("utf-8"))
    documents[0]["abstract"] = "改过"
    documents[1]["shared_type"] = "9"
    documents.append(entry_json(title="又一", format=None))
    text = json.dumps(documents, ensure_ascii=False).encode()
    with pytest.raises(ImportRefusedError) as refusal:
        brought(registry, io.BytesIO(text), FileKind.NATIONAL)
    assert [(f.entry, f.heading) for f in refusal.value.faults] == [(2, "shared_type"), (3, "format")]
    done = brought(registry, io.BytesIO(text), FileKind.NATIONAL, partial=True)
    assert taken(done) == [("posts", CHANGED)]


def test_contracts_are_brought_in_as_a_stream_of_documents(registry: Registry) -> None:
    sheet(registry, rows("staff"))
    before = registry.version()
    stream = "---\n".join([contract_text("staff"), contract_text("posts"), contract_text("plans", keyed=False)])
    with pytest.raises(ImportRefusedError) as refusal:
        brought(registry, io.BytesIO(stream.encode()), FileKind.ODCS)
    assert [(f.entry, f.reason) for f in refusal.value.faults] == [
        (3, "line 10: no field has primaryKey: true: name the field or fields that tell one row from another")
    ]
    assert registry.version() == before
    done = brought(registry, io.BytesIO(stream.encode()), FileKind.ODCS, partial=True, published=True)
    assert taken(done) == [("staff", MADE), ("posts", MADE)]
    assert registry.version() == before + 1
    assert [(r.name, r.state) for r in registry.resources()] == [("posts", "published"), ("staff", "draft")]
    assert types(registry)[-2:] == [("resource.registered", "staff"), ("resource.registered", "posts")]
    again = brought(registry, io.BytesIO(contract_text("posts").encode()), FileKind.ODCS)
    assert taken(again) == [("posts", UNCHANGED)]


def test_what_is_exported_is_imported_elsewhere_as_it_was(registry: Registry, empty_hub: Registry, tmp_path: Path) -> None:
    sheet(registry, rows("staff"), posts(), rows(None, title="=岗位"))
    for form, kind in ((Format.XLSX, FileKind.XLSX), (Format.NATIONAL, FileKind.NATIONAL)):
        path = tmp_path / f"all.{form}"
        assert write_export(registry, Wanted(form, "440205", drafts=True), path) == 3
        done = brought(empty_hub, io.BytesIO(path.read_bytes()), kind)
        assert [one.outcome for one in done.taken] == [MADE if form is Format.XLSX else UNCHANGED] * 3
        assert [(e.resource, e.entry) for e in empty_hub.entries()] == [(e.resource, e.entry) for e in registry.entries()]


@pytest.fixture
def empty_hub(empty_db: str, clock: FakeClock) -> Iterator[Registry]:
    """Another hub with the same departments."""
    from catalog_registry.store import migrate

    migrate.upgrade(empty_db)
    made = Registry(empty_db, clock)
    made.ensure_department("market", "市场监督管理局", credit_code=CREDIT_CODE)
    yield made
    made.close()


# The command line


def test_a_person_imports_a_spreadsheet_at_the_command_line(onedoor: Onedoor, tmp_path: Path) -> None:
    bad = posts()
    bad[0][place("open")] = "也许"
    (tmp_path / "bad.xlsx").write_bytes(workbook([headings(), *rows("staff"), *bad]).getvalue())
    where = f"目录!{letters(place('open'))}5"
    said = onedoor("resource", "import", "bad.xlsx")
    assert said.code == 1
    assert where in said.out
    assert "也许" in said.out
    assert "1 place is wrong, so nothing was taken" in said.err
    refused = onedoor("resource", "import", "bad.xlsx", "--json")
    assert (refused.code, refused.problem["code"]) == (1, "catalogue.import")
    assert refused.json["faults"][0] | {"reason": ""} == {
        "reason": "",
        "sheet": "目录",
        "row": 5,
        "column": letters(place("open")),
        "heading": "是否向社会开放",
    }
    checked = onedoor("resource", "import", "bad.xlsx", "--partial", "--check")
    assert (checked.code, checked.out.splitlines()[0]) == (0, "would be: 1 made, 0 changed, 0 unchanged")
    part = onedoor("resource", "import", "bad.xlsx", "--partial", "--json")
    assert (part.code, [one["name"] for one in part.json["taken"]], part.json["faults_count"]) == (0, ["staff"], 1)
    for name, code in (("notes.txt", "catalogue.kind"), ("gone.xlsx", "catalogue.file"), ("old.xls", "sheet.old_form")):
        (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100))
        assert onedoor("resource", "import", name, "--json").problem["code"] == code


def test_the_command_line_shows_drafts_without_a_contract(onedoor: Onedoor, registry: Registry) -> None:
    sheet(registry, rows("staff"))
    assert "no contract yet" in onedoor("resource", "list").out
    (listed,) = onedoor("resource", "list", "--json").json
    assert (listed["name"], listed["state"], listed["version"], listed["key"]) == ("staff", "draft", None, ["id"])
    shown = onedoor("resource", "show", "staff")
    assert "no contract yet" in shown.out
    assert "citizen_id" in shown.out
    assert onedoor("resource", "show", "staff", "--json").json["fields"][0]["name"] == "id"
    assert onedoor("resource", "show", "staff", "--contract", "--json").problem["code"] == "resource.unbound"
    assert onedoor("collect", "staff", "--json").problem["code"] == "resource.unbound"
    assert onedoor("resource", "catalogue", "staff").code == 0


def test_the_template_is_written_at_the_command_line(onedoor: Onedoor, tmp_path: Path) -> None:
    said = onedoor("resource", "template", "-o", "new.xlsx")
    assert (said.code, said.out) == (0, "new.xlsx written; then: onedoor resource import new.xlsx --check\n")
    assert onedoor("resource", "import", "new.xlsx", "--json").problem["code"] == "sheet.empty"


def test_a_workbook_is_exported_at_the_command_line_and_imported_again(onedoor: Onedoor, registry: Registry) -> None:
    sheet(registry, rows("staff"), posts())
    assert onedoor("resource", "export", "--format", "xlsx", "-o", "all.xlsx", "--json").json["resources"] == 0
    assert onedoor("resource", "export", "--format", "xlsx", "--drafts", "-o", "all.xlsx", "--json").json["resources"] == 2
    said = onedoor("resource", "import", "all.xlsx")
    assert (said.code, said.out) == (0, "0 made, 0 changed, 2 unchanged\n")
    assert (
        onedoor("resource", "export", "--format", "turtle", "--drafts", "-o", "a", "--json").problem["code"] == "export.drafts"
    )
    assert onedoor("resource", "export", "--format", "xlsx", "-o", "-").code == 2
