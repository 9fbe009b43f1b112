"""Other catalogues beside the own one: added, changed, gone and come back, by the command line and by HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.registry import Registry
from console.cli import main, output
from schemas.clock import SystemClock
from schemas.odcs import read_contract
from schemas.secret import Secret
from tests.catalogue_entry import CREDIT_CODE, entry_json
from tests.contract_text import contract_text

pytestmark = pytest.mark.timeout(120)

PREFIX = "@prefix dcat: <http://www.w3.org/ns/dcat#> . @prefix dct: <http://purl.org/dc/terms/> .\n"
Onedoor = Callable[..., Any]


def datasets(*titles: str, more: str = "") -> str:
    return (
        PREFIX
        + more
        + "".join(f'<https://city.example/{i}> a dcat:Dataset ; dct:title "{t}"@zh .\n' for i, t in enumerate(titles))
    )


@pytest.fixture
def onedoor(hub_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Onedoor:
    """The command line on a hub; ``fails``: its exit code, and the problem is returned."""
    monkeypatch.setenv("ONEDOOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", hub_db)
    monkeypatch.chdir(tmp_path)

    def run(*argv: str, fails: bool = False) -> Any:
        capsys.readouterr()
        code = output.run(main.build(), (*argv, "--json"))
        said = capsys.readouterr()
        assert code == int(fails), said.err
        return json.loads(said.err.splitlines()[-1] if fails else said.out)

    return run


@pytest.fixture
def registry(hub_db: str, tmp_path: Path) -> Any:
    made = Registry(hub_db, SystemClock(), keys_dir=tmp_path / "home" / "keys")
    yield made
    made.close()


def test_datasets_are_added_changed_gone_and_come_back_with_their_provenance(
    onedoor: Onedoor, registry: Registry, tmp_path: Path
) -> None:
    file = tmp_path / "city.ttl"
    file.write_text(datasets(*(f"数据{i}" for i in range(10))), "utf-8")
    assert onedoor("harvest", "add", "city", str(file), "--title", "市目录")["address"] == f"file:{file}"
    assert onedoor("harvest", "run", "city") == {
        "catalogue": "city",
        "added": 10,
        "changed": 0,
        "same": 0,
        "gone": 0,
        "own": 0,
        "nameless": 0,
        "untitled": 0,
    }
    version = registry.version()
    assert onedoor("harvest", "run", "city")["same"] == 10
    assert registry.version() == version  # nothing changed: no event
    first = {row.iri: row for row in registry.harvested_documents()}
    assert {(r.origin, r.content["title"], r.gone_at) for r in first.values()} == {
        ("city", f"数据{i}", None) for i in range(10)
    }

    file.write_text(datasets("数据甲", *(f"数据{i}" for i in range(1, 9))), "utf-8")
    counts = onedoor("harvest", "run", "city")
    assert (counts["added"], counts["changed"], counts["same"], counts["gone"]) == (0, 1, 8, 1)
    shown = {row["iri"]: row for row in onedoor("harvest", "show", "city", "--gone")}
    renamed, lost = shown["https://city.example/0"], shown["https://city.example/9"]
    assert (renamed["title"], renamed["id"], renamed["first_at"]) == (
        "数据甲",
        first["https://city.example/0"].id,
        first["https://city.example/0"].first_at.isoformat(),
    )
    assert renamed["hash"] != first["https://city.example/0"].hash
    assert lost["gone_at"] is not None
    assert lost["iri"] not in {row["iri"] for row in onedoor("harvest", "show", "city")}
    assert lost["iri"] not in {row.iri for row in registry.harvested_documents()}
    file.write_text(datasets(*(f"数据{i}" for i in range(10))), "utf-8")
    assert onedoor("harvest", "run", "city")["changed"] == 2
    assert registry.harvested_one(lost["id"]).gone_at is None
    told = [e for e in registry.events_waiting() if e.type == "onedoor.registry.harvest.ran"]
    assert [(e.data["added"], e.data["changed"], e.data["gone"]) for e in told] == [(10, 0, 0), (0, 1, 1), (0, 2, 0)]
    assert onedoor("harvest", "remove", "city")["datasets"] == 10
    assert onedoor("harvest", "list") == []


def test_a_catalogue_that_shrinks_or_cannot_be_read_leaves_what_was_kept(
    onedoor: Onedoor, registry: Registry, tmp_path: Path
) -> None:
    file = tmp_path / "city.ttl"
    file.write_text(datasets("a", "b", "c", "d", "e"), "utf-8")
    onedoor("harvest", "add", "city", str(file))
    onedoor("harvest", "run", "city")
    before = list(registry.harvested_documents())
    for text, code in (
        (datasets("a", "b", "c"), "harvest.shrank"),
        (PREFIX, "harvest.shrank"),
        ("this is no catalogue", "harvest.syntax"),
    ):
        file.write_text(text, "utf-8")
        assert onedoor("harvest", "run", "city", fails=True)["code"] == code
        assert list(registry.harvested_documents()) == before
    file.unlink()
    assert onedoor("harvest", "run", "city", fails=True)["code"] == "harvest.file"
    file.write_text(datasets("a", "b", "c"), "utf-8")
    assert onedoor("harvest", "run", "city", "--shrink")["gone"] == 2
    assert len(list(registry.harvested_documents())) == 3


def test_an_address_is_read_only_where_the_setting_allows_it(onedoor: Onedoor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert onedoor("harvest", "add", "city", "http://127.0.0.1:1/c.ttl", fails=True)["code"] == "harvest.not_allowed"
    monkeypatch.setenv("ONEDOOR_HARVEST_ALLOW", "http://127.0.0.1:1/")
    onedoor("harvest", "add", "city", "http://127.0.0.1:1/c.ttl")
    assert onedoor("harvest", "run", "city", fails=True)["code"] == "harvest.unreachable"
    monkeypatch.setenv("ONEDOOR_HARVEST_ALLOW", "")
    assert onedoor("harvest", "run", "city", fails=True)["code"] == "harvest.not_allowed"


def test_what_takes_too_long_is_ended(onedoor: Onedoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "city.ttl").write_text(datasets("a"), "utf-8")
    onedoor("harvest", "add", "city", "city.ttl")
    monkeypatch.setenv("ONEDOOR_HARVEST_S", "0.05")
    assert onedoor("harvest", "run", "city", fails=True)["code"] == "harvest.slow"


@pytest.mark.parametrize(("form", "base"), [("turtle", None), ("jsonld", "https://share.example"), ("turtle", "setting")])
def test_a_harvest_of_the_own_export_changes_nothing(
    onedoor: Onedoor, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, base: str | None
) -> None:
    contract = read_contract(contract_text(), where="x")
    registry.ensure_department(contract.department, "市场监督管理局", credit_code=CREDIT_CODE)
    registry.ensure_system(contract.system, "x", contract.department)
    registry.add_source(contract.source, Secret("postgresql://reader@db.local/x"), system=contract.system)
    made = registry.register_resource(contract_text(), by="test")
    if base is not None and base != "setting":
        registry.set_entry(made.name, _entry(), by="test")  # known by its official code under whatever address
    if base == "setting":
        monkeypatch.setenv("ONEDOOR_PUBLIC_URL", "https://hub.example/")
    options = ("--base", base) if base not in (None, "setting") else ()
    onedoor("resource", "export", "--format", form, "-o", "own.dcat", *(str(o) for o in options))
    onedoor("harvest", "add", "own", "own.dcat")
    version = registry.version()
    counts = onedoor("harvest", "run", "own")
    assert {what: count for what, count in counts.items() if what != "catalogue" and count} == {"own": 1}
    assert list(registry.harvested_documents()) == []
    assert registry.version() == version


def _entry() -> Any:
    from schemas.catalogue_form import read_entry

    return read_entry(entry_json())


def test_a_small_catalogue_that_says_a_long_text_with_every_dataset_is_refused_before_it_is_told(
    onedoor: Onedoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDOOR_HARVEST_BYTES", "65536")
    file = tmp_path / "city.ttl"
    named = f'<https://city.example/all> <http://xmlns.com/foaf/0.1/name> "{"长" * 10_000}" .\n'
    of_it = "".join(f"<https://city.example/{i}> dct:publisher <https://city.example/all> .\n" for i in range(200))
    file.write_text(datasets(*(f"数据{i}" for i in range(2)), more=named))
    onedoor("harvest", "add", "city", str(file))
    assert onedoor("harvest", "run", "city")["added"] == 2
    file.write_text(datasets(*(f"数据{i}" for i in range(200)), more=named + of_it))
    assert file.stat().st_size < 65_536
    assert onedoor("harvest", "run", "city", fails=True)["code"] == "harvest.size"
    assert len(onedoor("harvest", "show", "city")) == 2
