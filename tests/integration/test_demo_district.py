"""The demo district on a real server: databases with owners and readers of their own, filled once, and enrolled in a hub."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import rdflib
import yaml
from psycopg import sql

from catalog_registry.exports.dcat import About, dcat
from catalog_registry.exports.odcs import odcs_stream
from catalog_registry.exports.turtle import turtle
from catalog_registry.registry import Registry
from connectors.api import BoundKind
from connectors.registry import open_source
from console.demo import truth
from console.demo.district import DATABASES, STATE_NAME, TRUTH_NAME, District, build, demolish, open_district
from console.demo.enrol import CREDENTIAL_NAME, PURPOSE, RESOURCES, contract_text, register
from console.demo.example import example_lookup
from console.demo.generator import ANCHOR
from quality.checks import compile_checks
from quality.gate import check
from schemas.canonical import text_column
from schemas.clock import FakeClock
from schemas.conform import conform
from schemas.odcs import read_contract
from tests.dcat_shapes import core_findings, violations
from tests.unit.test_exports import official_faults

LICENCES = 1_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder for the module's district."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def district(superuser_url: str, home: Path) -> Iterator[District]:
    """A district of 1,000 licences; its databases go when the module ends."""
    yield build(superuser_url, home, LICENCES, prefix=f"t{secrets.token_hex(4)}_")
    demolish(superuser_url, home)


@pytest.fixture
def registry(hub_db: str, clock: FakeClock, tmp_path: Path) -> Iterator[Registry]:
    """A hub's registry with a keys folder."""
    made = Registry(hub_db, clock, keys_dir=tmp_path / "keys")
    yield made
    made.close()


def one(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_each_source_holds_its_tables_and_its_reader_reads_them(district: District) -> None:
    for database in DATABASES:
        for table in database.tables:
            assert one(district.sources[database.source], f"SELECT count(*) FROM {table.name}"), table.name
    assert one(district.sources["demo_base"], "SELECT count(*) FROM divisions") == 665_276
    assert one(district.sources["demo_licences"], "SELECT count(*) FROM elc_licence") == LICENCES


def test_a_reader_writes_nothing_and_enters_no_other_database(district: District) -> None:
    with psycopg.connect(district.sources["demo_market"]) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.commit()
        for statement in (b"DELETE FROM ex_gdbs_bj", b"CREATE TABLE mine (n int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()
    with psycopg.connect(district.owners["demo_items"]) as connection:
        elsewhere = connection.info.dbname
    with pytest.raises(psycopg.OperationalError), psycopg.connect(district.sources["demo_market"], dbname=elsewhere):
        pass


def test_no_role_of_the_district_is_a_superuser_and_each_has_a_password_of_its_own(district: District) -> None:
    urls = [*district.sources.values(), *district.owners.values()]
    passwords = [psycopg.conninfo.conninfo_to_dict(url)["password"] for url in urls]
    assert len(set(passwords)) == len(urls)
    for url in urls:
        assert one(url, "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user") is False


def test_secrets_and_truth_are_for_the_owner_of_the_data_folder_only(district: District) -> None:
    assert district.folder.stat().st_mode & 0o777 == 0o700
    for name in (STATE_NAME, TRUTH_NAME):
        assert (district.folder / name).stat().st_mode & 0o777 == 0o600
    password = psycopg.conninfo.conninfo_to_dict(district.sources["demo_licences"])["password"]
    assert str(password) not in repr(district)


def test_a_second_build_goes_on_with_the_same_data(district: District, superuser_url: str, home: Path) -> None:
    before = one(district.owners["demo_licences"], "SELECT md5(string_agg(l::text, '|' ORDER BY ctid)) FROM elc_licence AS l")
    again = build(superuser_url, home, 5_000, seed=1)
    assert again == district
    after = one(again.owners["demo_licences"], "SELECT md5(string_agg(l::text, '|' ORDER BY ctid)) FROM elc_licence AS l")
    assert after == before
    assert open_district(superuser_url, home) == district


def test_a_build_that_was_cut_off_is_made_good_with_the_same_rows(district: District, superuser_url: str, home: Path) -> None:
    query = "SELECT md5(string_agg(i::text, '|' ORDER BY ctid)) FROM up_task_material AS i"
    before = one(district.owners["demo_items"], query)
    kept = district.truth()
    with psycopg.connect(district.owners["demo_items"]) as connection:
        for name in ("up_task_general_basic", "up_task_general_extend", "up_task_material"):
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    (home / "demo" / TRUTH_NAME).unlink()
    build(superuser_url, home)
    assert one(district.sources["demo_items"], query) == before
    assert district.truth() == kept


def test_a_folder_without_a_district_has_none(superuser_url: str, tmp_path: Path) -> None:
    assert open_district(superuser_url, tmp_path) is None


def test_the_hub_reads_every_row_of_every_resource_through_its_connector(district: District) -> None:
    tables = {table.resource: (database.source, table.name) for database in DATABASES for table in database.tables}
    for resource in RESOURCES:
        contract = read_contract(contract_text(resource))
        source_name, table = tables[resource]
        assert (contract.source, contract.table) == (source_name, table)
        source = open_source(district.sources[source_name])
        try:
            source.check(contract)
            read = sum(batch.rows.num_rows for batch in source.read(contract))
        finally:
            source.close()
        assert read == one(district.sources[source_name], f"SELECT count(*) FROM {table}"), resource


@pytest.mark.parametrize(("resource", "kind"), [("market_cases", BoundKind.COMPUTED), ("licences", BoundKind.DECLARED)])
def test_the_bound_is_computed_where_the_reader_sees_sessions_and_declared_elsewhere(
    district: District, resource: str, kind: BoundKind
) -> None:
    contract = read_contract(contract_text(resource))
    source = open_source(district.sources[contract.source])
    try:
        assert source.capabilities.safe_bound is (kind is BoundKind.COMPUTED)
        assert source.window(contract, None, datetime.now(UTC)).kind is kind
    finally:
        source.close()


def test_work_in_the_approval_system_changes_rows_and_none_of_the_truth(district: District) -> None:
    clock = FakeClock(ANCHOR + timedelta(hours=1))
    count = "SELECT count(*) FROM ex_gdbs_sb WHERE \"GXSJ\" = '2026-11-01 01:00:00+00'"
    cases = one(district.sources["demo_market"], "SELECT count(*) FROM ex_gdbs_sb")
    assert one(district.sources["demo_market"], count) == 0
    done = [district.churn(1, 12, clock)]
    assert (done[0].moved, done[0].received, done[0].steps) == (8, 4, 8)
    assert one(district.sources["demo_market"], count) == 12
    assert one(district.sources["demo_market"], "SELECT count(*) FROM ex_gdbs_sb") == int(str(cases)) + 4
    for seed in range(2, 8):
        clock.advance(timedelta(minutes=15))
        done.append(district.churn(seed, 12, clock))
    assert sum(d.results for d in done) > 0
    for resource in ("market_cases", "market_steps", "market_results"):
        assert set_aside(district, resource) == truth.keys(district.truth(), resource), resource


def set_aside(district: District, resource: str) -> Counter[str | None]:
    """Return the keys that the contract sets aside of a resource's rows as they stand, with how many of each."""
    contract = read_contract(contract_text(resource))
    checks = compile_checks(contract)
    aside: Counter[str | None] = Counter()
    kept: Counter[str | None] = Counter()
    source = open_source(district.sources[contract.source])
    try:
        for batch in source.read(contract):
            conformed = conform(batch)
            checked = check(conformed.batch, checks)
            for rows, names, into in (
                (conformed.rejects.rows, [f.source_name for f in contract.key], aside),
                (checked.rejects.rows, [f.name for f in contract.key], aside),
                (checked.batch.rows, [f.name for f in contract.key], kept),
            ):
                parts = [text_column(rows[name]).to_pylist() for name in names]
                into.update(None if None in key else "/".join(key) for key in zip(*parts, strict=True))
    finally:
        source.close()
    aside.update({key: times for key, times in kept.items() if times > 1})
    return aside


def test_the_district_is_enrolled_once_and_a_second_time_changes_nothing(
    district: District, registry: Registry, clock: FakeClock
) -> None:
    (district.folder / CREDENTIAL_NAME).unlink(missing_ok=True)
    first = register(registry, district, clock)
    assert first.new
    assert {r.name for r in registry.resources()} == set(RESOURCES)
    assert registry.source("demo_licences").url().reveal() == district.sources["demo_licences"]
    version = registry.version()
    second = register(registry, district, clock)
    assert registry.version() == version
    assert (second.client_id, second.secret, second.new) == (first.client_id, first.secret, False)
    assert registry.check_secret(first.client_id, first.secret).name == "intake"
    assert (district.folder / CREDENTIAL_NAME).stat().st_mode & 0o777 == 0o600


def test_the_districts_resources_are_in_the_official_catalogue_and_what_people_say_there_stays(
    district: District, registry: Registry, clock: FakeClock
) -> None:
    register(registry, district, clock)
    entries = {record.resource: record for record in registry.entries()}
    assert set(entries) == set(RESOURCES)
    for name, record in entries.items():
        resource = registry.resource(name)
        assert record.entry.code == resource.code is not None
        assert [field.name for field in record.entry.fields] == [field.name for field in resource.contract.fields]
        assert {f.name for f in record.entry.fields if f.sensitivity == 4} == {f.name for f in resource.contract.personal}
    assert {name for name, record in entries.items() if record.entry.sharing.condition} == {
        *("licences", "market_cases", "market_steps", "market_results"),
    }
    changed = replace(entries["items"].entry, abstract="改过的摘要")
    registry.set_entry("items", changed, by="somebody", expected_version=1)
    register(registry, district, clock)
    here = registry.entry("items")
    assert here is not None
    assert (here.version, here.entry.abstract) == (2, "改过的摘要")


def test_the_districts_catalogue_keeps_what_dcat_ap_makes_mandatory_and_its_contracts_keep_odcs(
    district: District, registry: Registry, clock: FakeClock
) -> None:
    register(registry, district, clock)
    centre = next(department for department in registry.departments() if department.code == "centre")
    about = About("https://share.example", "440205", centre, *registry.listed_between())
    graph = rdflib.Graph().parse(data="".join(turtle(dcat(about, registry.listed()))), format="turtle")
    assert core_findings(graph) == []
    documents = list(yaml.safe_load_all("".join(odcs_stream(registry.contract_texts()))))
    assert len(documents) == len(RESOURCES)
    assert {document["id"]: official_faults(document) for document in documents if official_faults(document)} == {}


def test_the_districts_catalogue_has_no_violation_of_dcat_ap(district: District, registry: Registry, clock: FakeClock) -> None:
    register(registry, district, clock)
    centre = next(department for department in registry.departments() if department.code == "centre")
    about = About("https://share.example", "440205", centre, *registry.listed_between())
    graph = rdflib.Graph().parse(data="".join(turtle(dcat(about, registry.listed()))), format="turtle")
    assert len(set(graph.subjects(rdflib.RDF.type, rdflib.DCAT.Dataset))) == len(RESOURCES)
    assert violations(graph) == []


def test_the_intake_platform_may_look_up_licences_for_the_items_that_accept_one(
    district: District, registry: Registry, clock: FakeClock
) -> None:
    (district.folder / CREDENTIAL_NAME).unlink(missing_ok=True)
    register(registry, district, clock)
    (grant,) = registry.grants(resource="licences")
    assert grant.in_force(clock.now())
    assert grant.purposes == (PURPOSE,)
    assert set(grant.items) == set(registry.item_licence_types())
    assert "holder_number" not in grant.fields
    asked = example_lookup(district)
    assert asked["item_code"] in grant.items


def test_a_lost_credential_is_made_anew_and_what_people_changed_stays(
    district: District, registry: Registry, clock: FakeClock
) -> None:
    (district.folder / CREDENTIAL_NAME).unlink(missing_ok=True)
    first = register(registry, district, clock)
    item, materials = next(iter(registry.item_licence_types().items()))
    for material in materials:
        registry.set_item_licence_types(item, material, [], by="somebody")
    (grant,) = registry.grants(resource="licences")
    registry.revoke_grant(grant.id, by="somebody", why="a test")
    (district.folder / CREDENTIAL_NAME).unlink()
    second = register(registry, district, clock)
    assert second.new
    assert second.client_id == first.client_id
    assert second.secret != first.secret
    assert item not in registry.item_licence_types()
    assert [g.revoked_at is None for g in registry.grants(resource="licences")] == [False]


def test_the_example_names_an_open_case_of_a_holder_with_a_licence_or_of_one_without(district: District) -> None:
    for found in (True, False):
        asked = example_lookup(district, found=found)
        with psycopg.connect(district.sources["demo_market"]) as connection:
            row = connection.execute(
                'SELECT "SXBM", "SQRZJLX", rtrim("SQRZJHM") FROM ex_gdbs_sb WHERE "SBLSH" = %s', (asked["case_number"],)
            ).fetchone()
        assert row == (asked["item_code"], asked["holder_type"], asked["holder_number"])
        with psycopg.connect(district.sources["demo_licences"]) as connection:
            held = connection.execute(
                'SELECT count(*) FROM elc_licence WHERE upper(btrim("CZZTDM")) = %s', (asked["holder_number"],)
            ).fetchone()
        assert held is not None
        assert found or held[0] == 0
