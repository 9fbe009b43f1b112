"""Spreadsheets of the catalogue: read as people fill them in, every bad cell told, and written so that they come back equal."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from catalog_registry.catalogue_sheets import BY_KEY, COLUMNS, EXAMPLE_SHEET, HEADINGS, HELP_SHEET
from catalog_registry.catalogue_sheets_in import Reading, read_sheets
from catalog_registry.catalogue_sheets_out import EXAMPLE, write_template, write_workbook
from catalog_registry.exports.national import national_json, read_national
from catalog_registry.exports.odcs import odcs_stream, split_contracts
from catalog_registry.naming import pinyin_name
from catalog_registry.sheets.columns import Kind, letters, normal
from schemas.catalogue import BasisKind, CatalogueEntry, Category, Channel, Level, Secrecy, SharingType, SharingWay, UpdateCycle
from schemas.catalogue_form import read_entry
from schemas.errors import RejectedError
from schemas.odcs import read_contract
from tests.catalogue_entry import CREDIT_CODE, many
from tests.contract_text import contract_text
from tests.sheet_files import csv_file, entry, headings, place, rows, workbook


def read(cells: Sequence[Sequence[Any]], **more: Any) -> Reading:
    return read_sheets(workbook(cells, **more))


def told(reading: Reading) -> list[tuple[str, str]]:
    return [(fault.where, fault.reason) for fault in reading.faults.found]


def good(reading: Reading) -> list[tuple[str | None, CatalogueEntry]]:
    assert told(reading) == []
    return [(one.name, one.entry) for one in reading.entries]


# As people fill them in


def test_what_stands_in_merged_repeated_or_empty_cells_is_the_same_resource() -> None:
    of_resource = [n for n, column in enumerate(COLUMNS) if not column.of_field]
    empty = rows("staff")
    repeated = [[empty[0][n] if n in of_resource else cell for n, cell in enumerate(row)] for row in empty]
    bare = [[None if n in of_resource and at else cell for n, cell in enumerate(row)] for at, row in enumerate(empty)]
    merged = [(1, n, 3, n) for n in of_resource if empty[0][n] is not None]
    for cells, merges in ((empty, []), (repeated, []), (bare, []), (bare, merged)):
        assert good(read([headings(), *cells], merges=merges)) == [("staff", entry())]


def test_a_merged_cell_of_the_fields_holds_for_all_their_rows() -> None:
    cells = rows("staff")
    level, kind = place("field.sensitivity"), place("field.data_type")
    for row in cells[1:]:
        row[level] = row[kind] = None
    (one,) = good(read([headings(), *cells], merges=[(1, level, 3, level), (1, kind, 3, kind)]))
    assert [(field.sensitivity, field.data_type) for field in one[1].fields] == [(1, "整型")] * 3


def test_several_resources_follow_one_another_with_empty_rows_between() -> None:
    cells = [
        headings(),
        *rows("staff"),
        [],
        *rows("posts", title="岗位"),
        [None, ""],
        *rows(None, title="岗位", code="3070150500300/000009"),
    ]
    assert [name for name, _ in good(read(cells))] == ["staff", "posts", None]


def test_two_rows_of_headings_under_a_title_are_read_as_people_write_them() -> None:
    groups = {"category": "信息资源分类", "item": "信息资源分类", "subject": "信息资源分类", "detail": "信息资源分类"}
    groups |= dict.fromkeys(("field.title", "field.data_type", "field.length"), "信息项信息")
    groups |= dict.fromkeys(("sharing_type", "sharing_condition", "sharing_ways"), "共享属性")
    below = {
        "category": "类",
        "item": "项",
        "subject": "目",
        "detail": "细目",
        "field.title": "名称",
        "field.length": "数据长度",
    }
    below |= {
        "sharing_type": "共享类型",
        "sharing_ways": "共享方式",
        "field.data_type": "数据类型",
        "sharing_condition": "共享条件",
    }
    keys = [key for key in BY_KEY if key != "classification"]
    top = [groups.get(key, BY_KEY[key].heading) for key in keys]
    low = [below.get(key) for key in keys]
    merges = [(1, keys.index(first), 1, keys.index(last)) for first, last in (("category", "detail"),)]
    merges += [(1, n, 2, n) for n, key in enumerate(keys) if key not in groups]
    for first, last in (("category", "detail"),):
        for n in range(keys.index(first) + 1, keys.index(last) + 1):
            top[n] = None
    cells = [["曲江区政务信息资源目录"], top, low, *rows("staff")]
    assert good(read(cells, merges=[(0, 0, 0, 9), *merges])) == [("staff", entry())]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_csv_file_is_read_in_each_coding(encoding: str) -> None:
    changed = rows("staff", abstract="㐂·𠮷，含“引号”\n第二行")
    assert good(read_sheets(csv_file([headings(), *changed], encoding))) == [
        ("staff", entry(abstract="㐂·𠮷，含“引号”\n第二行"))
    ]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("published_on", date(2026, 10, 8), "2026-10-08"),
        ("published_on", "2026/10/8", "2026-10-08"),
        ("published_on", "2026年10月8日", "2026-10-08"),
        ("published_on", "20261008", "2026-10-08"),
        ("sharing_type", 2, "2"),
        ("sharing_type", "2 有条件共享", "2"),
        ("sharing_ways", "接口/库表", ("接口", "库表")),
        ("sharing_ways", "接口， 库表；文件", ("接口", "库表", "文件")),
        ("open", "√", True),
        ("open", False, False),
        ("category", "部门", "3"),
        ("region", 440205, "440205"),
        ("region", "４４０２０５", "440205"),
    ],
)
def test_a_value_is_read_however_it_is_written(key: str, value: Any, expected: Any) -> None:
    cells = rows("staff")
    cells[0][place(key)] = value
    ((_, made),) = good(read([headings(), *cells]))
    found = {
        "published_on": made.published_on.isoformat(),
        "sharing_type": made.sharing.type,
        "sharing_ways": made.sharing.ways,
        "open": made.open,
        "category": made.classification.category,
        "region": made.region,
    }
    assert found[key] == expected


def test_short_numbers_of_the_classification_get_their_zeros_and_one_cell_may_hold_it_whole() -> None:
    cells = rows("staff", classification="1020030400500")
    for key, value in (("item", 2), ("subject", 3)):
        cells[0][place(key)] = value
    assert good(read([headings(), *cells])) == [("staff", entry(classification="1020030400500"))]
    whole = ["信息资源分类", *(heading for heading in headings() if "分类-" not in heading)]
    kept = [n for n, heading in enumerate(headings()) if "分类-" not in heading]
    first = [["1020030400500" if not at else None, *(row[n] for n in kept)] for at, row in enumerate(rows("staff"))]
    assert good(read([whole, *first])) == [("staff", entry(classification="1020030400500"))]


def test_names_of_fields_that_are_not_given_are_made_from_their_pinyin() -> None:
    cells = rows("staff")
    for row in cells:
        row[place("field.name")] = None
    ((_, made),) = good(read([headings(), *cells]))
    assert [field.name for field in made.fields] == ["bianhao", "zhiwu", "shenfenhaoma"]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("从业人员名录", "congyerenyuanminglu"),
        ("企业ABC登记2026（年度）", "qiye_abc_dengji_2026_niandu"),
        ("2026年度", "r_2026_niandu"),
        ("···", "resource"),
        ("taken", "taken_3"),
    ],
)
def test_a_name_is_made_from_a_title(title: str, name: str) -> None:
    assert pinyin_name(title, {"taken", "taken_2"}) == name


@given(st.text(max_size=80), st.sets(st.sampled_from(["resource", "qiye", "a"])))
def test_every_title_gives_a_name_that_is_one(title: str, taken: set[str]) -> None:
    name = pinyin_name(title + "企业", taken)
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,47}", name)
    assert name not in taken


# What is wrong


def test_every_bad_cell_is_told_with_its_place_and_reason() -> None:
    cells = rows("staff") + rows("posts", title="岗位")
    cells[0][place("published_on")] = "十月八日"
    cells[0][place("sharing_type")] = "随意共享"
    cells[1][place("field.sensitivity")] = 7
    cells[2][place("field.length")] = "长"
    cells[2][place("field.data_type")] = None
    cells[3][place("provider_code")] = "91110000101623741A"
    cells[3][place("open")] = "也许"
    cells[3][place("abstract")] = None
    cells[4][place("field.name")] = "Bad Name"
    reading = read([headings(), *cells])
    at = {fault.where: fault.reason for fault in reading.faults.found}

    def cell(key: str, row: int) -> str:
        return f"目录!{letters(place(key))}{row} {BY_KEY[key].heading}"

    assert set(at) == {
        cell("published_on", 2),
        cell("sharing_type", 2),
        cell("field.sensitivity", 3),
        cell("field.length", 4),
        cell("field.data_type", 4),
        cell("provider_code", 5),
        cell("provider_code", 6),
        cell("provider_code", 7),
        cell("open", 5),
        cell("abstract", 5),
        cell("field.name", 6),
    }
    assert at[cell("published_on", 2)] == "'十月八日' is no day: 2026-10-08"
    assert "check digit" in at[cell("provider_code", 5)]
    assert at[cell("provider_code", 6)] == "is another one than in row 5 of the same resource"
    assert at[cell("abstract", 5)] == "is missing"
    assert at[cell("field.sensitivity", 3)] == "7 is no whole number from 1 to 4"
    assert (reading.entries, reading.resources, reading.faults.count) == ([], 2, 11)


def test_a_resource_that_is_right_is_read_beside_one_that_is_wrong() -> None:
    cells = rows("staff") + rows("posts", title="岗位")
    cells[0][place("open")] = "也许"
    reading = read([headings(), *cells])
    assert [one.name for one in reading.entries] == ["posts"]


def test_what_two_rows_of_a_resource_say_otherwise_is_told_at_the_second() -> None:
    cells = rows("staff")
    cells[2][place("abstract")] = "另一段"
    assert told(read([headings(), *cells])) == [
        (f"目录!{letters(place('abstract'))}4 信息资源摘要", "is another one than in row 2 of the same resource")
    ]


def test_a_field_that_stands_there_twice_is_told_by_its_row() -> None:
    cells = rows("staff")
    cells[2][place("field.name")] = "id"
    assert told(read([headings(), *cells])) == [
        (f"目录!{letters(place('field.name'))}4 信息项英文名称", "id is the field of row 2 as well")
    ]


def test_headings_that_are_unknown_doubled_or_missing_are_told_with_what_is_near() -> None:
    named = headings()
    named[place("abstract")] = "信息资源摘耍"
    named[place("format")] = "信息资源名称"
    named.append(" 备 注 ")
    found = told(read([named, *rows("staff")]))
    column = letters(place("format"))
    assert found == [
        (
            f"目录!{letters(place('abstract'))}1 信息资源摘耍",
            "'信息资源摘耍' is no heading of the catalogue, near it is 信息资源摘要",
        ),
        (f"目录!{column}1 信息资源名称", f"the heading 信息资源名称 stands there twice: in {letters(place('title'))} as well"),
        (f"目录!{letters(len(named) - 1)}1 备 注", "'备 注' is no heading of the catalogue"),
        ("目录!1 信息资源摘要", "the heading 信息资源摘要 is missing"),
        ("目录!1 信息资源格式", "the heading 信息资源格式 is missing"),
    ]


def test_a_cell_under_no_heading_and_cells_merged_sideways_are_told() -> None:
    cells = rows("staff")
    cells[1].append("题外话")
    first, last = place("title"), place("title") + 1
    found = told(read([headings(), *cells], merges=[(1, first, 1, last)]))
    assert (f"目录!{letters(len(headings()))}3", "stands under no heading") in found
    assert (f"目录!{letters(first)}2 信息资源名称", f"is merged over the columns {letters(first)} to {letters(last)}") in found


@pytest.mark.parametrize("key", ["name", "code", "title"])
def test_a_resource_that_begins_twice_is_told(key: str) -> None:
    once = {"name": {"name": "staff"}, "code": {"name": None, "code": "3070150500300/000001"}, "title": {"name": None}}[key]
    again = [*rows(**once), *rows("posts", title="岗位"), *rows(**once)]
    ((where, reason),) = told(read([headings(), *again]))
    assert where == f"目录!{letters(place(key))}8 {BY_KEY[key].heading}"
    assert reason.startswith("began a resource at 目录 row 2 already")


def test_a_number_that_has_lost_digits_is_refused() -> None:
    cells = rows("staff", classification="3070150500300")
    cells[0][place("detail")] = 500300
    cells[0][place("licence_types")] = 11100000000013338011
    found = dict(told(read([headings(), *cells])))
    assert set(found) == {f"目录!{letters(place(key))}2 {BY_KEY[key].heading}" for key in ("detail", "licence_types")}
    assert all("make the cell a text" in reason for reason in found.values())


def test_a_formula_is_refused_by_its_cell_and_never_evaluated() -> None:
    def formula(_: Any, sheet: Any) -> None:
        sheet.write_formula(1, place("title"), '=HYPERLINK("http://x.invalid","名录")', value="从业人员名录")
        sheet.write(2, place("field.length"), "=NA()")

    expected = [f"目录!{letters(place('title'))}2 信息资源名称", f"目录!{letters(place('field.length'))}3 数据长度"]
    found = told(read([headings(), *rows("staff")], more=formula))
    assert [where for where, _ in found] == expected
    assert all(reason.startswith("is a formula") for _, reason in found)
    cells = rows("staff")
    cells[0][place("title")] = "=1+1"
    assert told(read_sheets(csv_file([headings(), *cells]))) == [(f"CSV!{letters(place('title'))}2 信息资源名称", found[0][1])]


def test_a_sheet_without_headings_is_told_and_an_empty_one_is_passed_over() -> None:
    sheets = {"目录": [headings(), *rows("staff")], "Sheet2": [], "随记": [["电话打过了"]]}
    reading = read_sheets(workbook(sheets))
    assert [(fault.sheet, fault.row) for fault in reading.faults.found] == [("随记", None)]
    assert len(reading.entries) == 1


@pytest.mark.parametrize("cells", [[], [headings()]])
def test_a_file_without_a_resource_is_refused(cells: list[list[str]]) -> None:
    with pytest.raises(RejectedError, match="no sheet has a resource in it"):
        read(cells)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "sheet.empty"),
        ("信息资源名称,代码\n".encode("utf-16"), "sheet.encoding"),
        ("名称".encode("gb18030") + b"\xff\xff\n", "sheet.encoding"),
        (b'a,"b\n', "sheet.csv"),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        read_sheets(io.BytesIO(data))
    assert refusal.value.code == code


# Out and in

_WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).map(str.strip).filter(bool)
_LINES = st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("\n\r\t=+-@'_x0041_"), min_size=1, max_size=60)
_CODES = st.lists(st.from_regex(r"3070150500300/[0-9]{6}", fullmatch=True), max_size=3, unique=True)
_LINKED = st.lists(st.from_regex(r"[0-9A-Za-z]{1,20}", fullmatch=True), max_size=3, unique=True)


def _clean(text: str) -> str:
    return "".join(c for c in text if c in "\n\r\t" or (ord(c) >= 32 and not 127 <= ord(c) < 160)).strip() or "无"


@st.composite
def entries(draw: st.DrawFn) -> CatalogueEntry:
    """Any entry that there can be."""

    def sharing(*, of_field: bool = False) -> dict[str, Any]:
        kind = draw(st.sampled_from(SharingType))
        said: dict[str, Any] = {"sharing_type": kind.value}
        if kind is SharingType.CONDITIONAL:
            said["sharing_condition"] = _clean(draw(_LINES))
        if kind is SharingType.NOT_SHARED:
            said |= {"sharing_basis_kind": draw(st.sampled_from(BasisKind)).value, "sharing_basis": _clean(draw(_LINES))}
        else:
            ways = st.lists(st.sampled_from([way.value for way in SharingWay]), min_size=0 if of_field else 1, unique=True)
            said["sharing_ways"] = draw(ways)
        return said

    names = draw(st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,47}", fullmatch=True), min_size=1, max_size=4, unique=True))
    fields = [
        {
            "name": name,
            "title": draw(_WORDS),
            "data_type": draw(_WORDS),
            "sensitivity": draw(st.integers(1, 4)),
            "length": draw(st.none() | st.integers(1, (1 << 31) - 1)),
            "secret": draw(st.booleans()),
            "primary_key": draw(st.booleans()),
            "incremental_key": draw(st.booleans()),
            "update_cycle": draw(st.none() | st.sampled_from([cycle.value for cycle in UpdateCycle])),
            **(sharing(of_field=True) if draw(st.booleans()) else {}),
        }
        for name in names
    ]
    secret, cycle, open_ = draw(st.sampled_from(Secrecy)), draw(st.sampled_from(UpdateCycle)), draw(st.booleans())
    open_ = open_ and secret is not Secrecy.SECRET
    channels = [c for c in Channel if c is not Channel.INTERNET or secret is not Secrecy.SECRET]
    digits = draw(st.from_regex(r"[0-9]{5}([0-9]{2,20})?", fullmatch=True))
    document = {
        "classification": f"{draw(st.sampled_from(Category)).value}{digits}",
        "title": draw(_WORDS),
        "code": f"3070150500300/9{draw(st.integers(0, 99999)):05d}",
        "provider": draw(_WORDS),
        "provider_code": CREDIT_CODE,
        "abstract": _clean(draw(_LINES)),
        "format": draw(_WORDS),
        "fields": fields,
        **sharing(),
        "open": open_,
        "open_condition": _clean(draw(_LINES)) if open_ and draw(st.booleans()) else None,
        "update_cycle": cycle.value,
        "other_update_cycle": draw(_WORDS) if cycle is UpdateCycle.OTHER else None,
        "published_on": draw(st.dates(date(1900, 1, 1), date(9998, 1, 1))).isoformat(),
        "related": [code for code in draw(_CODES) if not code.startswith("3070150500300/9")],
        "channel": draw(st.sampled_from(channels)).value,
        "secrecy": secret.value,
        "level": draw(st.sampled_from(Level)).value,
        "region": draw(st.sampled_from(["44", "4402", "440205", "440205103", "440205103001"])),
        "service_items": draw(_LINKED),
        "handling_items": draw(_LINKED),
        "licence_types": draw(_LINKED),
    }
    return read_entry(document)


@settings(deadline=None, max_examples=60)
@given(st.lists(entries(), min_size=1, max_size=2, unique_by=lambda one: one.code))
def test_any_entry_is_read_back_equal_from_the_national_form_and_from_a_workbook(made: list[CatalogueEntry]) -> None:
    assert read_national("".join(national_json(made))) == made
    named = [(f"r{number}", one) for number, one in enumerate(made)]
    assert good(read_sheets(written(named))) == named


def written(named: Sequence[tuple[str, CatalogueEntry]]) -> io.BytesIO:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalogue.xlsx"
        assert write_workbook(path, named) == len(named)
        return io.BytesIO(path.read_bytes())


def test_a_thousand_resources_are_read_back_from_a_workbook_equal() -> None:
    named = [(str(one.name), one.entry) for one in many(1000) if one.entry is not None]
    assert good(read_sheets(written(named))) == named


def test_no_text_becomes_a_formula_in_what_is_written() -> None:
    bad = [f"{sign}cmd|' /C calc'!A0" for sign in "=+-@"]
    named = [(f"r{n}", entry(title=text, abstract=text, provider=text)) for n, text in enumerate(bad)]
    file = written(named)
    assert good(read_sheets(file)) == named
    with zipfile.ZipFile(file) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert "<hyperlink" not in sheet


def test_a_text_that_no_cell_holds_is_refused_with_its_resource(tmp_path: Path) -> None:
    with pytest.raises(RejectedError) as refusal:
        write_workbook(tmp_path / "x.xlsx", [("staff", entry(abstract="长" * 32_768))])
    assert (refusal.value.code, refusal.value.where) == ("sheet.cell", "staff")


def test_the_template_has_headings_drop_downs_instructions_and_an_example_that_can_be_registered(tmp_path: Path) -> None:
    path = tmp_path / "template.xlsx"
    write_template(path)
    book = CalamineWorkbook.from_path(path)
    assert book.sheet_names == ["目录", HELP_SHEET, EXAMPLE_SHEET, "选项 Values"]
    assert book.get_sheet_by_name("目录").to_python() == [headings()]
    help_ = "\n".join(str(cell) for row in book.get_sheet_by_name(HELP_SHEET).to_python() for cell in row)
    assert all(column.heading in help_ and column.zh in help_ and column.en in help_ for column in COLUMNS)
    shown = book.get_sheet_by_name(EXAMPLE_SHEET).to_python()
    assert good(read(shown)) == [("congyerenyuanminglu", read_entry(EXAMPLE))]
    with zipfile.ZipFile(path) as archive:
        rules = re.findall(r"<formula1>\"(.*?)\"</formula1>", archive.read("xl/worksheets/sheet1.xml").decode())
    coded = [c for c in COLUMNS if c.kind is Kind.CODED and c.values is not None]
    assert {",".join(one.zh for one in c.values or ()) for c in coded} | {"是,否"} == set(rules)
    with pytest.raises(RejectedError, match="no sheet has a resource in it"):
        read_sheets(io.BytesIO(path.read_bytes()))


def test_each_heading_means_one_column() -> None:
    everything = [normal(heading) for column in BY_KEY.values() for heading in (column.heading, *column.also)]
    assert len(set(everything)) == len(everything) == len(HEADINGS.known)


_OWN_MARKS = "# 注\n---\n"


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from(["", _OWN_MARKS, "%YAML 1.2\n---\n", "# 注\n"]), min_size=1, max_size=5), st.booleans())
def test_a_stream_of_contracts_is_split_into_what_it_was_made_of(heads: list[str], newline: bool) -> None:
    texts = [head + contract_text(f"r{n}").rstrip("\n") + ("\n" if newline else "") for n, head in enumerate(heads)]
    found = list(split_contracts("".join(odcs_stream(texts))))
    assert [text.rstrip("\n") for text in found] == [text.rstrip("\n") for text in texts]
    assert [read_contract(text, where="x").name for text in found] == [f"r{n}" for n in range(len(heads))]
