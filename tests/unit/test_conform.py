# ruff: noqa: DTZ001 - wall times are what is tested

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.batch import RawBatch
from schemas.conform import conform
from schemas.contract import Field, LogicalType, Normalise
from schemas.errors import Fault, RejectedError
from schemas.types import contract_schema
from tests.schema_cases import ALL_TYPES, AS_OF, all_types_batch, conform_one, contract_of

L = LogicalType
CHINA = ZoneInfo("Asia/Shanghai")


def field(kind: LogicalType, *normalise: Normalise, **more: Any) -> Field:
    return Field("a", kind, "A", normalise=normalise, **more)


def kept_and_set_aside(column: Any, f: Field) -> tuple[list[Any], list[Any]]:
    made = conform_one(column, f)
    assert [finding.row for finding in made.rejects.findings] == list(range(made.rejects.count))
    assert all((x.rule, x.field) == ("type", "a") for x in made.rejects.findings)
    assert made.batch.rows.schema == contract_schema(made.batch.contract)
    made.batch.rows.validate(full=True)
    return made.batch.rows.column(0).to_pylist(), made.rejects.rows.column(0).to_pylist()


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


MONEY = field(L.NUMBER, precision=10, scale=2)

CASES = [
    ("whole numbers of text", L.INTEGER, pa.array(["1", "007", "-7", None]), [1, 7, -7, None], []),
    (
        "no hex, sign, blank, overflow",
        L.INTEGER,
        pa.array(["0x1f", "+5", " 1", "9223372036854775808", "", "١"]),
        [],
        ["0x1f", "+5", " 1", "9223372036854775808", "", "١"],
    ),
    ("floats that are whole", L.INTEGER, pa.array([1.0, 2.5, 1e30]), [1], [2.5, 1e30]),
    ("unsigned", L.INTEGER, pa.array([1, 2**64 - 1], pa.uint64()), [1], [2**64 - 1]),
    ("decimals that are whole", L.INTEGER, pa.array([Decimal("1.0"), Decimal("1.5")]), [1], [Decimal("1.5")]),
    ("small integers", L.INTEGER, pa.array([1, None], pa.int16()), [1, None], []),
    ("infinity and no number", L.DOUBLE, pa.array([-0.0, float("inf"), 1.5, None]), [-0.0, 1.5, None], [float("inf")]),
    (
        "doubles of text",
        L.DOUBLE,
        pa.array(["1.5", "nan", "inf", "1e400", "x", "1e3"]),
        [1.5, 1000.0],
        ["nan", "inf", "1e400", "x"],
    ),
    ("single floats", L.DOUBLE, pa.array([1.5, None], pa.float32()), [1.5, None], []),
    ("decimals as doubles", L.DOUBLE, pa.array([Decimal("1.25")]), [1.25], []),
    ("truth of text", L.BOOLEAN, pa.array(["t", "False", "1", None, "maybe"]), [True, False, True, None], ["maybe"]),
    ("truth of numbers", L.BOOLEAN, pa.array([0, 1, 2, None]), [False, True, None], [2]),
    (
        "dates of text",
        L.DATE,
        pa.array(["2020-02-29", "2019-02-29", "20200101", None, "0000-01-01", "长期"]),
        [date(2020, 2, 29), None],
        ["2019-02-29", "20200101", "0000-01-01", "长期"],
    ),
    (
        "midnights are dates",
        L.DATE,
        pa.array([datetime(2020, 1, 1), datetime(2020, 1, 1, 1)]),
        [date(2020, 1, 1)],
        [datetime(2020, 1, 1, 1)],
    ),
    (
        "midnights in China are dates",
        L.DATE,
        pa.array([utc(2020, 1, 1, 16), utc(1988, 6, 30, 15), utc(2020, 1, 1)]),
        [date(2020, 1, 2), date(1988, 7, 1)],
        [utc(2020, 1, 1)],
    ),
    (
        "instants of text",
        L.TIMESTAMP,
        pa.array(
            [
                "2020-01-01",
                "2020-01-01 08:00",
                "2020-01-01T08:00:00.1234567",
                "2020-01-01 00:00:00Z",
                "2020-01-01 00:00:00-02:30",
                "2020-01-01 08:00:00 +08",
                "2020-02-30 00:00:00",
                "2020-01-01 24:00:00",
                "soon",
                None,
            ]
        ),
        [
            utc(2019, 12, 31, 16),
            utc(2020, 1, 1),
            utc(2020, 1, 1, 0, 0, 0, 123456),
            utc(2020, 1, 1),
            utc(2020, 1, 1, 2, 30),
            utc(2020, 1, 1),
            None,
        ],
        ["2020-02-30 00:00:00", "2020-01-01 24:00:00", "soon"],
    ),
    ("dates as instants", L.TIMESTAMP, pa.array([date(2020, 1, 1), None]), [utc(2019, 12, 31, 16), None], []),
    ("other units", L.TIMESTAMP, pa.array([1], pa.timestamp("ms", "UTC")), [utc(1970, 1, 1, 0, 0, 0, 1000)], []),
    (
        "nanoseconds are cut",
        L.TIMESTAMP,
        pa.array([1_999, -1], pa.timestamp("ns", "UTC")),
        [utc(1970, 1, 1, 0, 0, 0, 1), utc(1969, 12, 31, 23, 59, 59, 999999)],
        [],
    ),
    ("another zone's instants", L.TIMESTAMP, pa.array([0], pa.timestamp("us", "America/New_York")), [utc(1970, 1, 1)], []),
    (
        "times of text",
        L.TIME,
        pa.array(["10:00", "23:59:59.1234567", "24:00:00", "9:00", None]),
        [time(10), time(23, 59, 59, 123456), None],
        ["24:00:00", "9:00"],
    ),
    ("times of other units", L.TIME, pa.array([3_600], pa.time32("s")), [time(1)], []),
    ("durations as times", L.TIME, pa.array([5, 86_400], pa.duration("s")), [time(0, 0, 5)], None),
    ("bytes", L.BYTES, pa.array([b"a", None], pa.large_binary()), [b"a", None], []),
    ("bytes of one width", L.BYTES, pa.array([b"ab"], pa.binary(2)), [b"ab"], []),
    (
        "text of bytes",
        L.STRING,
        pa.array([b"ok", b"\xff", b"a\0b", "长期".encode(), None]),
        ["ok", "长期", None],
        [b"\xff", b"a\0b"],
    ),
    ("text of numbers", L.STRING, pa.array([1, None]), ["1", None], []),
    ("text of decimals", L.STRING, pa.array([Decimal("0.0000000001")]), ["0.0000000001"], []),
    ("a dictionary", L.STRING, pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"], []),
    ("large text", L.STRING, pa.array(["a\x1fb\\"], pa.large_string()), ["a\x1fb\\"], []),
    ("a view of text", L.STRING, pa.array(["a", "x" * 40], pa.string_view()), ["a", "x" * 40], []),
]


@pytest.mark.parametrize(("kind", "column", "kept", "aside"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_fits_is_cast_and_what_does_not_is_set_aside_as_it_was(
    kind: LogicalType, column: pa.Array, kept: list[Any], aside: list[Any] | None
) -> None:
    good, bad = kept_and_set_aside(column, field(kind))
    assert good == kept
    if aside is not None:
        assert bad == aside


@pytest.mark.parametrize("kind", list(L))
def test_a_column_of_nulls_and_an_empty_column_take_every_type(kind: LogicalType) -> None:
    assert kept_and_set_aside(pa.nulls(3), field(kind)) == ([None] * 3, [])
    assert kept_and_set_aside(pa.array([], pa.string()), field(kind)) == ([], [])


def test_not_a_number_is_set_aside() -> None:
    made = conform_one(pa.array([1.0, float("nan"), None]), field(L.DOUBLE))
    assert made.batch.rows.column(0).to_pylist() == [1.0, None]
    assert made.rejects.count == 1
    assert "finite" in made.rejects.findings[0].reason


def test_exact_numbers_keep_every_digit_or_are_set_aside() -> None:
    text = ["1.2300", "1.234", "1e5", "NaN", "12345678.99", "123456789.01", "-0.00", " 1", "", ".5", None]
    good, bad = kept_and_set_aside(pa.array(text), MONEY)
    assert good == [Decimal("1.23"), Decimal(100000), Decimal("12345678.99"), Decimal(0), Decimal("0.50"), None]
    assert bad == ["1.234", "NaN", "123456789.01", " 1", ""]
    assert kept_and_set_aside(pa.array([Decimal("1.2300"), Decimal("1.2345")]), MONEY) == (
        [Decimal("1.23")],
        [Decimal("1.2345")],
    )
    assert kept_and_set_aside(pa.array([1, 2**62]), MONEY) == ([Decimal(1)], [2**62])
    assert kept_and_set_aside(pa.array([0.1, 0.125, 1e22, 1e7]), MONEY) == ([Decimal("0.1"), Decimal(10**7)], [0.125, 1e22])
    wide = field(L.NUMBER, precision=38, scale=20)
    assert kept_and_set_aside(pa.array([1, -(2**59)]), wide)[0] == [Decimal(1), Decimal(-(2**59))]


def test_a_driver_s_own_numeric_over_text_is_a_number() -> None:
    kind = pa.opaque(pa.string(), "numeric", "PostgreSQL")
    column = pa.ExtensionArray.from_storage(kind, pa.array(["1.10", "x", None]))
    made = conform_one(column, MONEY)
    assert made.batch.rows.column(0).to_pylist() == [Decimal("1.10"), None]
    assert made.rejects.rows.column(0).storage.to_pylist() == ["x"]


def test_infinite_dates_and_instants_of_a_database_are_set_aside() -> None:
    for kind, column in (
        (L.DATE, pa.array([2**31 - 1, 0, -(2**31)], pa.int32()).view(pa.date32())),
        (L.TIMESTAMP, pa.array([2**63 - 1, 0, -(2**63)], pa.int64()).view(pa.timestamp("us", "UTC"))),
        (L.TIMESTAMP, pa.array([2**62, 0, -(2**62)], pa.int64()).view(pa.timestamp("s"))),
    ):
        made = conform_one(column, field(kind))
        assert (made.batch.rows.num_rows, made.rejects.count) == (1, 2)


def test_a_time_without_a_zone_is_china_s_and_summer_time_counts() -> None:
    walls = [
        datetime(2020, 1, 1),
        datetime(1988, 7, 1),  # summer time: nine hours ahead
        datetime(1940, 6, 1),  # midnight left out by summer time: the standard offset
        datetime(1950, 1, 1),
        datetime(1991, 12, 31, 23, 59, 59, 999999),
        datetime(1992, 1, 1),
        datetime(9999, 12, 31),
    ]
    good, bad = kept_and_set_aside(pa.array(walls, pa.timestamp("us")), field(L.TIMESTAMP))
    assert good == [wall.replace(tzinfo=CHINA).astimezone(UTC) for wall in walls]
    assert good[1].hour == 15
    assert good[2] == utc(1940, 5, 31, 16)
    assert not bad


def test_summer_time_s_repeated_hour_means_the_first() -> None:
    for wall in (datetime(1988, 9, 11, 1, 30), datetime(1990, 9, 16, 1, 30)):
        good, _ = kept_and_set_aside(pa.array([wall], pa.timestamp("us")), field(L.TIMESTAMP))
        assert good == [wall.replace(tzinfo=CHINA, fold=0).astimezone(UTC)]


def test_only_the_named_repairs_are_made_each_seeing_what_the_ones_before_have_mended() -> None:
    text = ["　ＡＢ１２ ", "x\u00a0", "440221199001011x", None, ""]
    assert kept_and_set_aside(pa.array(text), field(L.STRING))[0] == text
    every = (Normalise.EMPTY_NULL, Normalise.UPPER, Normalise.TRIM, Normalise.HALFWIDTH)
    assert kept_and_set_aside(pa.array(text), field(L.STRING, *every))[0] == ["AB12", "X", "440221199001011X", None, None]
    assert kept_and_set_aside(
        pa.array(["Ａ　 ｂ\t\nc"]), field(L.STRING, Normalise.COLLAPSE, Normalise.HALFWIDTH, Normalise.LOWER)
    )[0] == ["a b c"]
    assert kept_and_set_aside(pa.array(["张·三", "，。（）"]), field(L.STRING, Normalise.HALFWIDTH))[0] == ["张·三", ",。()"]


def test_old_citizen_ids_grow_to_eighteen_characters() -> None:
    old = pa.array(["440221900101111", " 440221900101111", "440221901301111", "44022119900101111X", None])
    good, _ = kept_and_set_aside(old, field(L.STRING, Normalise.TRIM, Normalise.ID_18))
    assert good[0] == good[1]
    assert good[0].startswith("44022119900101111")
    assert len(good[0]) == 18
    assert good[2:] == ["440221901301111", "44022119900101111X", None]


def test_dates_in_the_forms_of_the_field_are_read_where_the_contract_says_so() -> None:
    forms = [
        "2016/7/27",
        "20160727",
        "2016.7.27",
        "2016年7月27日",
        "2016-07-27 00:00:00",
        "2016-7-27",
        "２０１６/07/27",
        "2016-07-27",
    ]
    f = field(L.DATE, Normalise.DATE_FORMS, Normalise.FOREVER, Normalise.HALFWIDTH, Normalise.EMPTY_NULL)
    good, bad = kept_and_set_aside(pa.array([*forms, "长期", "永久", "", None]), f)
    assert good == [date(2016, 7, 27)] * 8 + [date(9999, 12, 31)] * 2 + [None, None]
    assert not bad
    assert kept_and_set_aside(pa.array(["2016/13/1", "2016-07-27 08:30:00", "7/27/2016", "201607"]), f)[0] == []
    at = field(L.TIMESTAMP, Normalise.DATE_FORMS, Normalise.FOREVER)
    assert kept_and_set_aside(pa.array(["2016/7/27 08:00", "长期"]), at)[0] == [utc(2016, 7, 27), utc(9999, 12, 30, 16)]


def test_a_row_is_set_aside_once_with_a_finding_for_each_of_its_fields_that_failed() -> None:
    a, b = Field("a", L.INTEGER, "A", key=1), Field("b", L.DATE, "B")
    rows = pa.RecordBatch.from_pydict({"A": ["1", "x", "3", "y"], "B": ["2020-01-01", "bad", "bad", "2020-01-01"]})
    made = conform(RawBatch(contract_of(a, b), rows, AS_OF))
    assert made.batch.rows.to_pylist() == [{"a": 1, "b": date(2020, 1, 1)}]
    assert made.rejects.rows.to_pylist() == rows.slice(1).to_pylist()
    assert [(f.row, f.field) for f in made.rejects.findings] == [(0, "a"), (0, "b"), (1, "b"), (2, "a")]


def test_a_reason_never_holds_a_value() -> None:
    secret = "SECRET4407"
    for kind in L:
        made = conform_one(pa.array([secret.encode() + b"\0\xff"]) if kind is L.STRING else pa.array([secret]), field(kind))
        assert all(secret not in f.reason for f in made.rejects.findings)
        assert made.rejects.count == (0 if kind is L.BYTES else 1)


def test_a_slice_of_a_batch_conforms_like_a_batch_of_its_own() -> None:
    text = pa.array(["bad\0", "１", None, "3", "bad\0", "x"])
    rows = pa.RecordBatch.from_arrays([text], ["A"]).slice(1, 3)
    made = conform(RawBatch(contract_of(field(L.STRING, Normalise.HALFWIDTH)), rows, AS_OF))
    assert made.batch.rows.column(0).to_pylist() == ["1", None, "3"]
    assert made.rejects.count == 0


def test_rows_of_every_type_that_fit_are_given_back_unchanged() -> None:
    rows = all_types_batch()
    raw = rows.rename_columns([f.source_name for f in ALL_TYPES])
    made = conform(RawBatch(contract_of(*ALL_TYPES), raw, AS_OF))
    assert made.batch.rows.equals(rows)
    assert made.rejects.count == 0


def test_a_column_gone_or_renamed_is_refused_naming_it() -> None:
    rows = pa.RecordBatch.from_pydict({"B": ["1"]})
    with pytest.raises(RejectedError) as caught:
        conform(RawBatch(contract_of(field(L.STRING)), rows, AS_OF))
    assert caught.value.code == "conform.columns"
    assert caught.value.fault is Fault.PROVIDER
    assert "missing A" in caught.value.message
    assert "B" in caught.value.message


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        (L.STRING, pa.array([[1]])),
        (L.DATE, pa.array([1])),
        (L.TIMESTAMP, pa.array([1])),
        (L.TIME, pa.array([1.5])),
        (L.BYTES, pa.array([1])),
        (L.INTEGER, pa.array([date(2020, 1, 1)], pa.date64())),
        (L.INTEGER, pa.array([datetime(2020, 1, 1)])),
        (L.BOOLEAN, pa.array([0], pa.duration("s"))),
        (L.DOUBLE, pa.array([date(2020, 1, 1)])),
        (L.NUMBER, pa.array([time(1)])),
        (L.BOOLEAN, pa.array([{"a": 1}])),
        (L.DOUBLE, pa.array([[1.5]])),
    ],
)
def test_a_column_whose_type_cannot_become_the_field_s_is_refused_as_a_whole(kind: LogicalType, column: pa.Array) -> None:
    with pytest.raises(RejectedError) as caught:
        conform_one(column, field(kind))
    assert caught.value.code == "conform.type"
    assert "cannot become" in caught.value.message


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=8), max_size=12))
def test_text_is_kept_as_it_is_or_set_aside_for_a_nul(values: list[str | None]) -> None:
    good, bad = kept_and_set_aside(pa.array(values, pa.string()), field(L.STRING))
    assert good == [v for v in values if v is None or "\0" not in v]
    assert bad == [v for v in values if v is not None and "\0" in v]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.decimals(-(10**9), 10**9, places=3) | st.sampled_from(["", "x", "1..2", "--1"]), max_size=12))
def test_numbers_as_text_come_back_exactly_or_are_set_aside(values: list[Any]) -> None:
    texts = [None if v is None else str(v) for v in values]
    good, bad = kept_and_set_aside(pa.array(texts, pa.string()), MONEY)

    def fits(text: str | None) -> bool:
        if text is None:
            return True
        if text in ("", "x", "1..2", "--1"):
            return False
        number = Decimal(text)
        return number == number.quantize(Decimal("0.01")) and abs(number) < 10**8

    assert good == [None if t is None else Decimal(t) for t in texts if fits(t)]
    assert bad == [t for t in texts if not fits(t)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31)), max_size=12))
def test_any_wall_time_is_the_instant_that_python_says(values: list[datetime | None]) -> None:
    good, bad = kept_and_set_aside(pa.array(values, pa.timestamp("us")), field(L.TIMESTAMP))
    assert good == [None if v is None else v.replace(tzinfo=CHINA, fold=0).astimezone(UTC) for v in values]
    assert not bad
    texts = [None if v is None else v.isoformat(" ", "microseconds") for v in values]
    assert kept_and_set_aside(pa.array(texts, pa.string()), field(L.TIMESTAMP)) == (good, [])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.none() | st.sampled_from(["2020-02-30", "2020-02-29", "x", "0001-01-01", "9999-12-31", "2019-02-29"]), max_size=40
    )
)
def test_failing_values_are_found_wherever_they_stand(values: list[str | None]) -> None:
    def real(text: str) -> bool:
        try:
            date.fromisoformat(text)
        except ValueError:
            return False
        return True

    good, bad = kept_and_set_aside(pa.array(values, pa.string()), field(L.DATE))
    assert good == [None if v is None else date.fromisoformat(v) for v in values if v is None or real(v)]
    assert bad == [v for v in values if v is not None and not real(v)]
