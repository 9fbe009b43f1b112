"""Searching the catalogue on a real database: what is found, in which order, counted how, seen by whom, and kept right by each
change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from catalog_registry.acting import Sight
from catalog_registry.clocks import rules
from catalog_registry.facets import Facet, Freshness, Quality, Ran
from catalog_registry.harvest.documents import Document, Read
from catalog_registry.records import Cover, Receiver, ReceiverKind, RegisteredResource
from catalog_registry.registry import Registry
from catalog_registry.search import Found as Answer
from catalog_registry.search import Miss
from catalog_registry.states import ResourceEvent
from catalog_registry.store import migrate
from exchange.bootstrap import open_hub
from exchange.settings import Settings
from exchange.worker.found import Found, last_runs
from schemas.catalogue_form import read_entry
from schemas.clock import FakeClock
from schemas.errors import RejectedError
from schemas.secret import Secret
from schemas.workdays import calendar
from tests.catalogue_entry import CREDIT_CODE, entry_json
from tests.contract_text import contract_text

URL = Secret("postgresql://reader@db.market.local:5432/approval")
ALL = Sight(everything=True, department=None)
MARKET = Sight(everything=False, department="market")
CIVIL = Sight(everything=False, department="civil")
NOBODY = Sight(everything=False, department=None)
TITLES = {
    "shops": "营业执照",
    "licences": "企业营业执照信息",
    "permits": "食品经营许可证",
    "accounts": "银行账户",
    "cases": "行政处罚案件",
    "staff": "从业人员名录",
    "plain": None,
}
NOT_SHARED = {
    "sharing_type": "3",
    "sharing_condition": None,
    "sharing_ways": None,
    "sharing_basis_kind": "1",
    "sharing_basis": "某法第十条",
}


def set_entry(registry: Registry, name: str, **changes: Any) -> None:
    here = registry.entry(name)
    entry = read_entry(entry_json(**changes))
    registry.set_entry(name, entry, by="p1", expected_version=0 if here is None else here.version)


def a_registry(url: str) -> Registry:
    made = Registry(url, FakeClock(datetime(2026, 11, 2, 1, tzinfo=UTC)))
    made.ensure_department("market", "市场监督管理局", credit_code=CREDIT_CODE)
    made.ensure_department("civil", "民政局")
    made.ensure_system("approval", "审批系统", "market")
    made.add_source("market_db", URL, system="approval")
    return made


@pytest.fixture(scope="module")
def catalogue(module_hub_db: str) -> Iterator[Registry]:
    """A registry that no test changes."""
    made = a_registry(module_hub_db)
    for n, (name, title) in enumerate(TITLES.items()):
        made.register_resource(contract_text(name), by="p1")
        if title is not None:
            set_entry(made, name, title=title, abstract=f"第{n}类事项的办理情况。", update_cycle="35"[n % 2])
    set_entry(made, "cases", title=TITLES["cases"], abstract="听证记录", **NOT_SHARED)
    made.register_resource(contract_text("drafts"), by="p1", state="draft")
    set_entry(made, "drafts", title="营业执照草稿")
    made.note_runs(
        {
            "shops": Ran(datetime(2026, 11, 1, 2, tzinfo=UTC), Quality.COMPLETE),
            "licences": Ran(datetime(2026, 1, 1, 2, tzinfo=UTC), Quality.LOW),
            "cases": Ran(datetime(2026, 11, 1, 2, tzinfo=UTC), Quality.HIGH),
        }
    )
    yield made
    made.close()


@pytest.fixture
def registry(hub_db: str) -> Iterator[Registry]:
    """A registry with the resource ``staff``, which a test changes."""
    made = a_registry(hub_db)
    made.register_resource(contract_text("staff"), by="p1")
    yield made
    made.close()


def names(found: Answer) -> list[str]:
    return [hit.name for hit in found.hits]


def counts(found: Answer, facet: Facet) -> dict[str, int]:
    assert found.facets is not None
    return {one.value: one.count for one in found.facets[facet]}


# What is found ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("执照", ["drafts", "licences", "shops"]),
        ("营业执照", ["shops", "drafts", "licences"]),
        ("照", ["drafts", "licences", "shops"]),
        ("yyzz", ["shops", "drafts", "licences"]),
        ("YYZZ", ["shops", "drafts", "licences"]),
        ("yingyezhizhao", ["shops", "drafts", "licences"]),
        ("ying", ["drafts", "shops", "licences", "permits"]),
        ("yhzh", ["accounts"]),
        ("xzcf", ["cases"]),
        ("hzcf", ["cases"]),
        ("许可 食品", ["permits"]),
        ("许可 执照", []),
        ("licences", ["licences"]),
        ("lice", ["licences"]),
        ("听证", ["cases"]),
        ("3070150500300/000002", ["licences"]),
        ("二", []),
    ],
)
def test_words_letters_and_codes_find_the_best_first(catalogue: Registry, words: str, found: list[str]) -> None:
    assert names(catalogue.search(words, ALL)) == found


@pytest.mark.parametrize("words", ["身份号码", "sfhm", "citizen", "citizen_id"])
def test_fields_are_found_by_their_titles_and_names(catalogue: Registry, words: str) -> None:
    found = catalogue.search(words, ALL)
    assert sorted({*names(found), "plain"}) == sorted([*TITLES, "drafts"])


@pytest.mark.parametrize("words", ["市场监督", "scjd", "market", "shichangjiandu"])
def test_a_department_is_found_by_its_name_and_its_code(catalogue: Registry, words: str) -> None:
    assert catalogue.search(words, ALL).total == len(TITLES) + 1
    assert names(catalogue.search(f"{words} 执照", ALL)) == ["drafts", "licences", "shops"]


def test_without_words_everything_that_may_be_seen_is_found_by_name(catalogue: Registry) -> None:
    found = catalogue.search("", ALL)
    assert names(found) == sorted([*TITLES, "drafts"])
    assert (found.total, found.next) == (len(TITLES) + 1, None)


@pytest.mark.parametrize("words", ["", "营业执照", "市场监督"])
def test_pages_give_each_resource_once_and_in_order(catalogue: Registry, words: str) -> None:
    whole = catalogue.search(words, ALL)
    seen: list[str] = []
    after, pages = None, 0
    while True:
        page = catalogue.search(words, ALL, after=after, limit=2, facets=False)
        assert page.total is None
        seen += names(page)
        after, pages = page.next, pages + 1
        if after is None:
            break
    assert seen == names(whole)
    assert pages == -(-len(seen) // 2)


@pytest.mark.parametrize("words", ["执照", "营业执照", "市场监督", "yyzz", "l"])
@pytest.mark.parametrize("walked", [1, 3, 5000])
def test_of_many_hits_the_order_and_the_pages_are_those_of_few(
    catalogue: Registry, monkeypatch: pytest.MonkeyPatch, words: str, walked: int
) -> None:
    few = {seen: names(catalogue.search(words, seen)) for seen in (ALL, MARKET, CIVIL)}
    monkeypatch.setattr("catalog_registry.search._MOST_SORTED", 1)
    monkeypatch.setattr("catalog_registry.search._MOST_WALKED", walked)
    for seen, expected in few.items():
        found: list[str] = []
        after = None
        while (page := catalogue.search(words, seen, after=after, limit=2, facets=False)).next is not None:
            found, after = [*found, *names(page)], page.next
        assert [*found, *names(page)] == expected


def test_of_more_hits_than_are_counted_it_is_told_that_there_are_more(
    catalogue: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = catalogue.search("市场监督", ALL)
    assert (whole.total, whole.at_least) == (8, False)
    for most, at_least in ((3, True), (7, True), (8, False)):
        monkeypatch.setattr("catalog_registry.search.MOST_COUNTED", most)
        found = catalogue.search("市场监督", ALL, limit=50)
        assert (found.total, found.at_least, counts(found, Facet.PROVIDER)) == (most, at_least, {"market": most})
        assert names(found) == names(whole)
        narrowed = catalogue.search("", ALL, narrowed={Facet.PROVIDER: ["market"]})
        assert (narrowed.total, narrowed.at_least) == (most, at_least)
        assert (catalogue.search("", ALL).total, catalogue.search("", ALL).at_least) == (8, False)


@pytest.mark.parametrize("words", ["'; drop", "执\\照", "lice'b:*", "执照' | 'x", "!照", "执照\0"])
def test_what_is_typed_is_never_taken_for_a_part_of_the_question(catalogue: Registry, words: str) -> None:
    assert set(names(catalogue.search(words, ALL))) <= {"drafts", "licences", "shops"}


@pytest.mark.parametrize("after", ["shops", "4.shops", "1.shops'", ""])
def test_a_page_begins_only_where_one_ended(catalogue: Registry, after: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        catalogue.search("执照", ALL, after=after)
    assert refusal.value.code == "search.after"


def test_what_is_told_of_a_hit(catalogue: Registry) -> None:
    hit = catalogue.search("营业执照", MARKET).hits[0]
    assert (hit.name, hit.title, hit.code, hit.state) == ("shops", "营业执照", "3070150500300/000001", "published")
    assert (hit.department, hit.department_name, hit.abstract) == ("market", "市场监督管理局", "第0类事项的办理情况。")
    assert (hit.sharing_type, hit.update_cycle, hit.format) == ("2", "3", "数据库")
    assert (hit.quality, hit.freshness, hit.as_of) == (
        Quality.COMPLETE, Freshness.FRESH, datetime(2026, 11, 1, 2, tzinfo=UTC),
    )  # fmt: skip


# Facets -----------------------------------------------------------------------------------------------------------------


def test_facets_count_all_pages_and_narrowing_finds_as_many(catalogue: Registry) -> None:
    found = catalogue.search("", ALL, limit=1)
    assert counts(found, Facet.PROVIDER) == {"market": 8}
    assert counts(found, Facet.SHARING_TYPE) == {"2": 6, "3": 1}
    assert counts(found, Facet.QUALITY) == {"unknown": 5, "complete": 1, "high": 1, "low": 1}
    assert counts(found, Facet.FRESHNESS) == {"never": 5, "fresh": 2, "stale": 1}
    assert counts(found, Facet.UPDATE_CYCLE) == {"3": 4, "5": 3}
    assert counts(found, Facet.CATEGORY) == {"3": 7}
    assert counts(found, Facet.ITEM) == {"307": 7}
    assert counts(found, Facet.FORMAT) == {"数据库": 7}
    for facet in Facet:
        for value, count in counts(found, facet).items():
            narrowed = catalogue.search("", ALL, narrowed={facet: [value]})
            assert (facet, value, narrowed.total, len(narrowed.hits)) == (facet, value, count, count)


def test_values_of_one_facet_are_any_of_them_and_of_several_all_of_them(catalogue: Registry) -> None:
    either = catalogue.search("", ALL, narrowed={Facet.QUALITY: ["complete", "high"]})
    assert names(either) == ["cases", "shops"]
    both = catalogue.search("", ALL, narrowed={Facet.QUALITY: ["complete", "high"], Facet.SHARING_TYPE: ["2"]})
    assert names(both) == ["shops"]
    assert names(catalogue.search("执照", ALL, narrowed={Facet.FRESHNESS: ["stale"]})) == ["licences"]
    assert names(catalogue.search("", ALL, narrowed={Facet.PROVIDER: ["nobody"]})) == []


@pytest.mark.parametrize("narrowed", [{Facet.SHARING_TYPE: ["4"]}, {Facet.ITEM: ["'; --"]}, {Facet.PROVIDER: ["x"] * 51}])
def test_a_value_that_is_none_is_refused(catalogue: Registry, narrowed: dict[Facet, Sequence[str]]) -> None:
    with pytest.raises(RejectedError) as refusal:
        catalogue.search("", ALL, narrowed=narrowed)
    assert refusal.value.code == "search.facet"


# Who sees what ----------------------------------------------------------------------------------------------------------


def test_others_do_not_find_what_is_not_published(catalogue: Registry) -> None:
    assert names(catalogue.search("营业执照", MARKET)) == ["shops", "drafts", "licences"]
    for other in (CIVIL, NOBODY):
        assert names(catalogue.search("营业执照", other)) == ["shops", "licences"]
        assert "drafts" not in names(catalogue.search("", other))


@pytest.mark.parametrize("seen", [CIVIL, NOBODY])
def test_of_what_is_not_shared_others_find_the_name_and_the_reason_only(catalogue: Registry, seen: Sight) -> None:
    (hit,) = catalogue.search("行政处罚", seen).hits
    assert (hit.name, hit.title, hit.sharing_type, hit.basis_kind, hit.basis) == (
        "cases", "行政处罚案件", "3", "1", "某法第十条",
    )  # fmt: skip
    assert {getattr(hit, name) for name in hit.__slots__ if name not in (
        "name", "title", "cover", "sharing_type", "basis_kind", "basis",
    )} == {None}  # fmt: skip
    for words in (
        "听证",
        "身份号码 处罚",
        "市场监督 处罚",
        "3070150500300/000005",
        "citizen_id 处罚",
        "scjd 处罚",
        "职务 处罚",
    ):
        assert "cases" not in names(catalogue.search(words, seen))


@pytest.mark.parametrize("seen", [CIVIL, NOBODY])
def test_no_count_tells_more_of_what_is_not_shared(catalogue: Registry, seen: Sight) -> None:
    found = catalogue.search("行政处罚", seen)
    assert found.total == 1
    assert found.facets is not None
    assert {facet for facet, values in found.facets.items() if values} == {Facet.SHARING_TYPE}
    for facet, value in (
        (Facet.PROVIDER, "market"),
        (Facet.CATEGORY, "3"),
        (Facet.ITEM, "307"),
        (Facet.UPDATE_CYCLE, "3"),
        (Facet.FORMAT, "数据库"),
        (Facet.QUALITY, "high"),
        (Facet.QUALITY, "unknown"),
        *((Facet.FRESHNESS, value.value) for value in Freshness),
    ):
        assert names(catalogue.search("行政处罚", seen, narrowed={facet: [value]})) == []
        assert names(catalogue.search("行政处罚", MARKET, narrowed={facet: [value]})) in ([], ["cases"])
    assert names(catalogue.search("", seen, narrowed={Facet.SHARING_TYPE: ["3"]})) == ["cases"]


def test_its_department_and_who_oversees_find_all_of_what_is_not_shared(catalogue: Registry) -> None:
    for seen in (MARKET, ALL):
        (hit,) = catalogue.search("听证", seen).hits
        assert (hit.name, hit.cover, hit.department, hit.abstract) == ("cases", False, "market", "听证记录")


def test_the_list_and_the_resource_itself_say_no_more_than_the_search(catalogue: Registry) -> None:
    for seen in (CIVIL, NOBODY):
        listed = {found.name: found for found in catalogue.catalogue(seen)}
        assert listed["cases"] == catalogue.resource_seen("cases", seen)
        assert isinstance(listed["cases"], Cover)
        assert isinstance(listed["shops"], RegisteredResource)
        assert catalogue.resource_seen("drafts", seen) is None
        assert catalogue.resource_seen("nothing", seen) is None
    for seen in (MARKET, ALL):
        assert isinstance(catalogue.resource_seen("cases", seen), RegisteredResource)
        assert all(isinstance(found, RegisteredResource) for found in catalogue.catalogue(seen))


# What each change does --------------------------------------------------------------------------------------------------


def test_a_resource_is_found_by_its_new_words_and_no_more_by_its_old_ones(registry: Registry) -> None:
    assert names(registry.search("从业人员", NOBODY)) == ["staff"]
    assert names(registry.search("编号", NOBODY)) == []
    set_entry(registry, "staff", title="职工花名册")
    assert names(registry.search("花名册", NOBODY)) == names(registry.search("zghmc", NOBODY)) == ["staff"]
    assert names(registry.search("编号", NOBODY)) == ["staff"]
    set_entry(registry, "staff", title="工作人员")
    assert names(registry.search("花名册", NOBODY)) == names(registry.search("zghmc", NOBODY)) == []
    assert names(registry.search("工作人员", NOBODY)) == ["staff"]
    registry.register_resource(contract_text("staff", version="1.1.0", field="rank"), by="p1")
    assert names(registry.search("rank", NOBODY)) == ["staff"]


def test_a_department_that_is_renamed_is_found_by_its_new_name(registry: Registry) -> None:
    assert names(registry.search("市场监督", NOBODY)) == ["staff"]
    registry.ensure_department("market", "工商行政管理局", credit_code=CREDIT_CODE)
    assert names(registry.search("市场监督", NOBODY)) == names(registry.search("scjd", NOBODY)) == []
    assert names(registry.search("工商行政", NOBODY)) == names(registry.search("gsxz", NOBODY)) == ["staff"]
    assert names(registry.search("管理局 market 从业", NOBODY)) == ["staff"]


def test_a_resource_is_seen_in_each_state_by_those_who_may_see_it_then(registry: Registry) -> None:
    who = {
        "editor": registry.create_person("editor", "market", roles=("provider_editor",)).id,
        "officer": registry.create_person("officer", "civil", roles=("registration_officer",)).id,
    }
    registry.register_resource(contract_text("posts"), by="p1", state="draft")
    set_entry(registry, "posts", title="岗位编制", **NOT_SHARED)
    seen = []
    for event, by in (
        (None, ""),
        (ResourceEvent.SUBMIT, "editor"),
        (ResourceEvent.PUBLISH, "officer"),
        (ResourceEvent.FREEZE, "officer"),
        (ResourceEvent.THAW, "officer"),
        (ResourceEvent.WITHDRAW, "officer"),
    ):
        if event is not None:
            version = registry.resource("posts").row_version
            registry.act_on_resource("posts", event, by=who[by], version=version, why="理由")
        own, other = (registry.search("岗位", sight).hits for sight in (MARKET, CIVIL))
        assert [hit.cover for hit in own] == [False]
        seen.append([hit.cover for hit in other])
    assert seen == [[], [], [True], [], [True], []]


def test_what_is_counted_of_all_is_right_after_each_change(registry: Registry, hub_db: str) -> None:
    officer = registry.create_person("officer", "civil", roles=("registration_officer",)).id

    def told() -> list[Any]:
        answers = [registry.search("", seen) for seen in (MARKET, CIVIL, NOBODY, ALL)]
        return [(one.total, counts(one, Facet.SHARING_TYPE), counts(one, Facet.QUALITY)) for one in answers]

    plain, unknown = {}, {"unknown": 1}
    assert told() == [(1, plain, unknown)] * 4
    set_entry(registry, "staff", title="名录", **NOT_SHARED)
    assert told() == [(1, {"3": 1}, unknown), (1, {"3": 1}, {}), (1, {"3": 1}, {}), (1, {"3": 1}, unknown)]
    registry.note_runs({"staff": Ran(datetime(2026, 11, 1, tzinfo=UTC), Quality.LOW)})
    assert told()[0] == (1, {"3": 1}, {"low": 1})
    assert told()[1] == (1, {"3": 1}, {})
    frozen = registry.freeze_resource("staff", by=officer, version=registry.resource("staff").row_version, why="核查")
    assert [one[0] for one in told()] == [1, 0, 0, 1]
    registry.thaw_resource("staff", by=officer, version=frozen.row_version)
    assert [one[0] for one in told()] == [1, 1, 1, 1]
    with psycopg.connect(hub_db) as connection:
        connection.execute("DELETE FROM registry.search_document")
    assert [one[0] for one in told()] == [0, 0, 0, 0]


def of_others(*titles: str, **more: Any) -> Read:
    content = {"abstract": "殡葬补贴的发放", "publisher": "市民政局", "identifiers": [], "themes": [], "keywords": ["火化"]}
    documents = [Document(f"https://city.example/{t}", t, content | {"title": t} | more) for t in titles]
    return Read(tuple(documents), 0, 0)


def test_datasets_of_other_catalogues_are_found_beside_the_own_until_they_are_gone(registry: Registry, hub_db: str) -> None:
    set_entry(registry, "staff", title="从业人员名录")
    registry.add_catalogue("city", "https://city.example/c.ttl", title="市目录", by="p1")
    registry.take_harvest("city", of_others("人员名录", "殡仪馆"), own=())
    for seen in (ALL, MARKET, CIVIL, NOBODY):
        found = registry.search("人员名录", seen)
        assert [(hit.title, hit.origin, hit.iri) for hit in found.hits] == [
            ("人员名录", "city", "https://city.example/人员名录"),
            ("从业人员名录", None, None),
        ]
        assert counts(found, Facet.ORIGIN) == {"city": 1}
        assert (found.hits[0].department, found.hits[0].sharing_type, found.hits[0].freshness) == (None, None, None)
        narrowed = registry.search("", seen, narrowed={Facet.ORIGIN: ["city"]})
        assert sorted(hit.title for hit in narrowed.hits) == ["人员名录", "殡仪馆"]
        for words in ("火化", "殡葬补贴", "市民政局", "byg"):
            assert "殡仪馆" in [hit.title for hit in registry.search(words, seen).hits]
    other = registry.search("殡仪馆", CIVIL).hits[0].name
    with pytest.raises(RejectedError) as refusal:
        registry.apply(other, ["id"], by="p1", reason="核对", **asked(datetime(2026, 11, 2, 1, tzinfo=UTC)))
    assert refusal.value.code != "resource.not_shared"
    with psycopg.connect(hub_db) as connection:
        connection.execute("DELETE FROM registry.search_document")
    assert (registry.index_missing(), registry.index_missing()) == (3, 0)
    assert [hit.name for hit in registry.search("殡仪馆", CIVIL).hits] == [other]
    registry.take_harvest("city", of_others("人员名录"), own=(), shrink=True)
    assert names(registry.search("殡仪馆", ALL)) == []
    registry.take_harvest("city", of_others("人员名录", "殡仪馆"), own=())
    assert names(registry.search("殡仪馆", ALL)) == [other]
    registry.remove_catalogue("city")
    assert names(registry.search("", ALL)) == ["staff"]


def test_what_the_worker_puts_in_force_or_withdraws_is_found_as_it_is_then(registry: Registry) -> None:
    for name, role in (("editor", "provider_editor"), ("reviewer", "provider_reviewer")):
        registry.create_person(name, "market", roles=(role,))
    clock = registry._clock
    assert isinstance(clock, FakeClock)
    made = registry.propose_revision(contract_text("staff", version="2.0.0", field="rank"), by="editor")
    rule, of = rules()["contract.breaking_notice"], calendar()
    registry.approve_revision(made.id, by="reviewer", version=made.version, rule=rule, of=of)
    assert names(registry.search("rank", NOBODY)) == []
    assert [one.state for one in registry.move_revisions()] == ["in_force"]
    assert names(registry.search("rank", NOBODY)) == ["staff"]

    version = registry.resource("staff").row_version
    registry.plan_withdrawal("staff", date(2026, 12, 1), by="reviewer", version=version, why="理由")
    assert names(registry.search("rank", CIVIL)) == ["staff"]
    clock.advance(timedelta(days=30))
    assert len(registry.take_withdrawals()) == 1
    assert names(registry.search("rank", CIVIL)) == []
    assert names(registry.search("rank", MARKET)) == ["staff"]


def test_what_is_shared_after_all_is_seen_by_all(registry: Registry) -> None:
    set_entry(registry, "staff", title="名录", **NOT_SHARED)
    assert [hit.cover for hit in registry.search("名录", CIVIL).hits] == [True]
    set_entry(registry, "staff", title="名录")
    assert [hit.cover for hit in registry.search("名录", CIVIL).hits] == [False]
    assert len(registry.search("名录", ALL).hits) == 1


def test_what_runs_say_stays_through_a_change_of_words_and_follows_the_declared_cycle(registry: Registry) -> None:
    set_entry(registry, "staff", update_cycle="3")
    ran = Ran(datetime(2026, 10, 20, tzinfo=UTC), Quality.FAIR)
    version = registry.version()
    assert registry.note_runs({"staff": ran, "gone": ran}) == 1
    assert registry.note_runs({"staff": ran}) == 0
    assert registry.version() == version
    told = [(hit.quality, hit.freshness) for hit in registry.search("", ALL).hits]
    set_entry(registry, "staff", update_cycle="5", title="别的")
    told += [(hit.quality, hit.freshness) for hit in registry.search("别的", ALL).hits]
    assert told == [(Quality.FAIR, Freshness.STALE), (Quality.FAIR, Freshness.FRESH)]


def test_the_worker_tells_of_the_last_proved_run_of_each_resource(registry: Registry, hub_db: str) -> None:
    at = datetime(2026, 11, 1, 2, tzinfo=UTC)
    with psycopg.connect(hub_db) as connection:
        assert last_runs(connection) == ({}, None)
        for n, (state, rows, bad) in enumerate((("proved", 100, 50), ("proved", 100, 1), ("failed", 100, 100))):
            connection.execute(
                "INSERT INTO exchange.run (id, resource, contract_version, mode, state, topic, topic_id, started_at, ended_at,"
                " as_of_first, rows_read, rows_set_aside)"
                " VALUES (%s, 'staff', '1.0.0', 'full', %s, 't', 't', %s, %s, %s, %s, %s)",
                (f"r{n}", state, *[at + timedelta(hours=n)] * 3, rows, bad),
            )
        last = at + timedelta(hours=1)
        assert last_runs(connection) == ({"staff": Ran(last, Quality.HIGH)}, last)
        assert last_runs(connection, last) == ({"staff": Ran(last, Quality.HIGH)}, last)
        assert last_runs(connection, last + timedelta(days=1)) == ({}, last)


def test_the_workers_duty_makes_what_is_missing_notes_runs_and_forgets_old_misses(
    registry: Registry, hub_db: str, settings: Settings
) -> None:
    at = datetime.now(UTC)
    registry.keep_misses([Miss("殡葬", "civil", at - timedelta(days=401))])
    hub = open_hub(settings)
    try:
        with hub.connect() as connection:
            connection.execute("DELETE FROM registry.search_document")
            connection.execute(
                "INSERT INTO exchange.run (id, resource, contract_version, mode, state, topic, topic_id, started_at, ended_at,"
                " as_of_first, rows_read) VALUES ('r1', 'staff', '1.0.0', 'full', 'proved', 't', 't', %s, %s, %s, 5)",
                [at] * 3,
            )
            connection.commit()
            duty = Found(hub, connection)
            for _ in range(2):
                duty()
    finally:
        hub.close()
    (hit,) = registry.search("从业人员", NOBODY).hits
    assert (hit.quality, hit.as_of) == (Quality.COMPLETE, at)
    assert registry.misses() == []


def test_documents_that_are_lost_or_of_an_older_release_are_made_again(registry: Registry, hub_db: str) -> None:
    set_entry(registry, "staff", title="名录", **NOT_SHARED)
    query = "SELECT resource, cover, seen, department, facets, tokens FROM registry.search_document ORDER BY 1, 2"

    def kept() -> list[tuple[Any, ...]]:
        with psycopg.connect(hub_db) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    before, version = kept(), registry.version()
    assert len(before) == 2
    with psycopg.connect(hub_db) as connection:
        connection.execute("DELETE FROM registry.search_document")
    assert names(registry.search("名录", ALL)) == []
    assert (registry.index_missing(), registry.index_missing()) == (1, 0)
    assert kept() == before
    with psycopg.connect(hub_db) as connection:
        connection.execute("UPDATE registry.search_document SET tokens = 'x', facets = facets WHERE NOT cover")
    assert registry.index_resources() == registry.index_resources(("staff",)) == 1
    assert kept() == before
    assert registry.version() == version
    with pytest.raises(RejectedError) as refusal:
        registry.index_resources(("nothing",))
    assert refusal.value.code == "resource.unknown"


def test_a_change_that_fails_leaves_the_documents_as_they_were(registry: Registry) -> None:
    set_entry(registry, "staff", title="名录")
    with pytest.raises(RejectedError):
        registry.register_resource(contract_text("staff", field="other"), by="p1")
    assert names(registry.search("other", ALL)) == []
    assert names(registry.search("名录", ALL)) == ["staff"]


# What is not shared, and what is under review ----------------------------------------------------------------------------


def asked(now: datetime) -> dict[str, Any]:
    return {"legal_basis": "国令809", "from_at": now, "to_at": now + timedelta(days=30), "purposes": ("accept_case",)}


def test_what_is_not_shared_is_not_applied_for_nor_granted_to_others(registry: Registry) -> None:
    clerk = registry.create_person("clerk", "civil", roles=("consumer",)).id
    own = registry.create_person("own", "market", roles=("consumer",)).id
    now = datetime(2026, 11, 2, 1, tzinfo=UTC)
    registry.apply("staff", ["id"], by=clerk, reason="核对", **asked(now))
    set_entry(registry, "staff", **NOT_SHARED)
    with pytest.raises(RejectedError) as refusal:
        registry.apply("staff", ["id"], by=clerk, reason="核对", **asked(now))
    assert (refusal.value.code, refusal.value.where) == ("resource.not_shared", "staff")
    assert len(registry.applications()) == 1
    for receiver in (Receiver(ReceiverKind.DEPARTMENT, "civil"), Receiver(ReceiverKind.PRINCIPAL, clerk)):
        with pytest.raises(RejectedError) as refusal:
            registry.make_grant(receiver, "staff", ["id"], by="p1", **asked(now))
        assert refusal.value.code == "resource.not_shared"
    assert registry.grants() == []
    assert registry.apply("staff", ["id"], by=own, reason="自用", **asked(now)).resource == "staff"
    for receiver in (Receiver(ReceiverKind.SYSTEM, "approval"), Receiver(ReceiverKind.DEPARTMENT, "market")):
        registry.make_grant(receiver, "staff", ["id"], by="p1", **asked(now))


def test_an_application_that_waits_is_not_granted_once_the_resource_is_not_shared(registry: Registry) -> None:
    people = {
        name: registry.create_person(name, department, roles=(role,)).id
        for name, department, role in (
            ("clerk", "civil", "consumer"),
            ("officer", "civil", "registration_officer"),
            ("reviewer", "market", "provider_reviewer"),
        )
    }
    now = datetime(2026, 11, 2, 1, tzinfo=UTC)
    made = registry.apply("staff", ["id"], by=people["clerk"], reason="核对", **asked(now))
    checked = registry.accept_check(made.id, by=people["officer"], version=made.version)
    set_entry(registry, "staff", **NOT_SHARED)
    with pytest.raises(RejectedError) as refusal:
        registry.approve_application(made.id, by=people["reviewer"], version=checked.version)
    assert refusal.value.code == "resource.not_shared"
    assert (registry.grants(), registry.application(made.id).state) == ([], "provider_review")


def test_the_entry_that_was_submitted_is_the_one_that_is_published(registry: Registry) -> None:
    editor = registry.create_person("editor", "market", roles=("provider_editor",)).id
    reviewer = registry.create_person("reviewer", "market", roles=("provider_reviewer",)).id
    registry.register_resource(contract_text("posts"), by="p1", state="draft")
    set_entry(registry, "posts", title="甲")
    submitted = registry.submit_resource("posts", by=editor, version=registry.resource("posts").row_version)
    for name in ("乙", "甲"):
        with pytest.raises(RejectedError) as refusal:
            set_entry(registry, "posts", title=name)
        assert (refusal.value.code, refusal.value.where) == ("resource.under_review", "posts")
    rejected = registry.reject_resource("posts", by=reviewer, version=submitted.row_version, why="改名")
    set_entry(registry, "posts", title="丙")
    again = registry.submit_resource("posts", by=editor, version=rejected.row_version)
    registry.publish_resource("posts", by=reviewer, version=again.row_version)
    here = registry.entry("posts")
    assert here is not None
    assert here.entry.title == "丙"


def test_a_code_given_by_hand_and_mended_before_the_first_entry_is_not_given_again(registry: Registry) -> None:
    for code in ("3070150500300/000041", "3070150500300/000007"):
        registry.register_resource(contract_text("staff"), by="p1", code=code)
    registry.register_resource(contract_text("posts"), by="p1")
    set_entry(registry, "posts")
    assert registry.resource("posts").code == "3070150500300/000042"


# Misses -----------------------------------------------------------------------------------------------------------------


def test_misses_are_kept_without_what_looks_personal_and_forgotten_in_time(registry: Registry) -> None:
    now = datetime(2026, 11, 2, 1, tzinfo=UTC)
    old = Miss("殡葬", "civil", now - timedelta(days=401))
    kept = [Miss("低保边缘", "civil", now), Miss("dbby", "market", now + timedelta(seconds=1))]
    assert registry.keep_misses([old, *kept, Miss("440221198001010011", "civil", now)]) == 3
    assert registry.misses() == [kept[1], kept[0], old]
    registry.drop_old_misses()
    assert registry.misses(since=now) == registry.misses() == [kept[1], kept[0]]
    assert registry.keep_misses([]) == 0


def test_the_role_of_the_steps_keeps_documents_and_misses_and_the_role_of_the_look_up_neither(
    registry: Registry, hub_db: str, superuser_url: str
) -> None:
    migrate.upgrade(hub_db)
    server, database = superuser_url.rsplit("/", 1)[0], hub_db.rsplit("/", 1)[1]
    of = {role: f"{server}/{database}?options=-c%20role%3D{role}" for role in ("onedoor_api", "onedoor_registry")}
    officer = registry.create_person("officer", "civil", roles=("registration_officer",)).id
    set_entry(registry, "staff", title="名录", **NOT_SHARED)
    steps, reads = (Registry(of[role], FakeClock(datetime(2026, 11, 2, 1, tzinfo=UTC))) for role in sorted(of, reverse=True))
    try:
        version = registry.resource("staff").row_version
        frozen = steps.freeze_resource("staff", by=officer, version=version, why="核查")
        assert reads.search("名录", CIVIL).hits == ()
        steps.thaw_resource("staff", by=officer, version=frozen.row_version)
        assert [hit.cover for hit in reads.search("名录", CIVIL).hits] == [True]
        miss = Miss("殡葬", "civil", datetime(2026, 11, 2, 1, tzinfo=UTC))
        assert steps.keep_misses([miss]) == 1
        for refused in (lambda: reads.keep_misses([miss]), lambda: reads.index_resources(("staff",))):
            with pytest.raises(Exception, match="may read the registry, not change it"):
                refused()
    finally:
        steps.close()
        reads.close()
