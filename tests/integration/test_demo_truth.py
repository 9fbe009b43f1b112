"""The demo district through the whole hub: what is set aside is what the demo made wrong, and what changes there arrives."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyshacl
import pytest
import rdflib

from catalog_registry.item_export import item_chunks
from catalog_registry.item_sheets_out import workbook
from console.demo import truth
from console.demo.district import District, build, demolish
from console.demo.enrol import RESOURCES, register
from console.demo.handbooks import REGISTRAR, keep
from exchange.items.cases import case_item
from exchange.settings import Settings
from schemas.clock import FakeClock
from schemas.errors import RejectedError
from tests.hub import HubForTests, a_hub
from tests.items import read_back

SHAPES = Path(__file__).parents[1] / "cpsv.shacl.ttl"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib.*")
GENERATED = [r for r in RESOURCES if r != "divisions"]


@pytest.fixture(scope="module")
def district(superuser_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    """A district of 2,000 licences; its databases go when the module ends."""
    home: Path = tmp_path_factory.mktemp("home")
    yield build(superuser_url, home, 2_000, prefix=f"t{secrets.token_hex(4)}_")
    demolish(superuser_url, home)


@pytest.fixture
def hub(settings: Settings, district: District) -> Iterator[HubForTests]:
    """A hub in which the district is enrolled."""
    with a_hub(settings, district.owners["demo_market"]) as made:
        register(made.hub.registry, district, made.hub.clock)
        yield made


def set_aside(hub: HubForTests, run: str) -> Counter[str | None]:
    return Counter(key for (key,) in hub.rows("SELECT row_key FROM exchange.quarantine WHERE run = %s", run))


def test_the_hub_sets_aside_what_the_demo_made_wrong_and_lands_the_rest(hub: HubForTests, district: District) -> None:
    wrong = district.truth()
    for name in GENERATED:
        run = hub.collect(name)
        assert run.state == "proved", (name, run.error)
        assert set_aside(hub, run.id) == truth.keys(wrong, name), name
        assert run.rows_read == (run.rows_landed or 0) + run.rows_set_aside
        assert hub.reconcile(name).equal, name


def test_the_register_has_every_item_that_landed_with_what_people_keep_of_it(hub: HubForTests) -> None:
    for name in ("items", "item_implementations", "item_materials", "licence_types"):
        assert hub.collect(name).state == "proved"
    registry = hub.hub.registry
    assert keep(hub.hub)
    here = {record.code: record for record in registry.items()}
    landed = dict(hub.rows("SELECT item_code, name FROM store.items"))
    assert {code: record.name for code, record in here.items()} == landed
    assert {record.owner for record in here.values()} == {"item_catalogue"}
    materials = {(record.code, m.code) for record, item in registry.current_items() for m in item.materials}
    known = hub.rows("SELECT item_code, material_code FROM store.item_materials WHERE item_code = ANY (%s)", [*here])
    assert materials == set(known)
    assert len(registry.items_with_handbook()) == 2
    bodies = [registry.bodies(record.code) for record in here.values()]
    assert {"main", "lower", "delegated"} == {body.variant for found in bodies for body in found}
    version = registry.version()
    assert keep(hub.hub)
    assert registry.version() == version
    assert hub.collect("market_cases").state == "proved"
    ((case, code, began),) = hub.rows(
        "SELECT case_number, item_code, applied_at FROM store.market_cases WHERE item_code = ANY (%s) ORDER BY 1 LIMIT 1",
        [*here],
    )
    found = case_item(hub.hub, case)
    assert (found.item, found.began, found.version) == (code, began, registry.item_at(code, began))
    assert found.version is not None
    with pytest.raises(RejectedError) as refusal:
        case_item(hub.hub, f"{case}9")
    assert refusal.value.code == "case.unknown"


def test_the_districts_items_come_back_from_a_workbook_unchanged_and_conform_to_cpsv_ap(hub: HubForTests) -> None:
    for name in ("items", "item_implementations", "item_materials", "licence_types"):
        hub.collect(name)
    registry = hub.hub.registry
    keep(hub.hub)
    contents = read_back(workbook(registry.written()))
    assert len(contents.items) == sum(record.state != "ended" for record in registry.items())
    taken = registry.take_workbook(contents, by=REGISTRAR)
    assert (taken.items, taken.handbooks) == ((), ())
    text = b"".join(item_chunks(registry, "turtle", base="https://share.example", region="440205"))
    graph = rdflib.Graph().parse(data=text, format="turtle")
    service = rdflib.URIRef("http://purl.org/vocab/cpsv#PublicService")
    assert len(set(graph.subjects(rdflib.RDF.type, service))) == len(registry.items())
    conforms, _, told = pyshacl.validate(graph, shacl_graph=str(SHAPES))
    assert conforms, told


def test_what_changes_while_the_demo_runs_arrives_with_the_next_run(hub: HubForTests, district: District) -> None:
    first = hub.collect("market_cases")
    just_now = FakeClock(datetime.now(UTC) - timedelta(seconds=20))  # younger than the bound's skew would not be read yet
    changed = district.churn(int(just_now.at.timestamp()), 12, just_now)
    second = hub.collect("market_cases")
    assert (first.mode, second.mode, second.state) == ("full", "incremental", "proved")
    assert (second.rows_inserted, second.rows_changed) == (changed.received, changed.moved)
    assert set_aside(hub, second.id).total() == 0
    assert hub.reconcile("market_cases").equal
