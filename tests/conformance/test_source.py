"""The promises of ``connectors.api.Source``, kept by every source; what each is on stands in ``profiles/source_*.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from connectors.api import BoundKind, Source, Window
from connectors.registry import specs
from schemas.batch import RawBatch
from schemas.clock import FakeClock
from schemas.conform import conform
from schemas.contract import CursorSpec, DataContract, Field, LogicalType
from schemas.errors import OneDoorError, RejectedError, TransientError
from schemas.resource import ResourceName
from tests.conformance.profiles.source_profile import Given, SourceProfile, Table

SOURCES = sorted(
    p.stem.removeprefix("source_") for p in Path(__file__).parent.glob("profiles/source_*.py") if p.stem != "source_profile"
)
K = LogicalType
ID, NAME = Given("id", K.INTEGER, required=True), Given("name", K.STRING)
MARKERS = ("440205199001011239", "张三丰")


@pytest.fixture(params=SOURCES)
def profile(request: pytest.FixtureRequest) -> SourceProfile:
    made: SourceProfile = import_module(f"tests.conformance.profiles.source_{request.param}").profile(request)
    test = request.node.originalname
    if test in made.waived:
        request.applymarker(pytest.mark.xfail(reason=made.waived[test], strict=True))
    return made


@pytest.fixture
def source(profile: SourceProfile) -> Iterator[Source]:
    opened = profile.open()
    yield opened
    opened.close()


def contract(table: Table, *, key: Sequence[str] | None = None, cursor: CursorSpec | None = None) -> DataContract:
    keys = list(table.key if key is None else key)
    return DataContract(
        name=ResourceName("r"),
        version="1.0.0",
        title="",
        department="d",
        system="s",
        source="s",
        table=table.name,
        cursor=cursor,
        fields=tuple(
            Field(
                f"f{i}",
                c.kind,
                c.name,
                key=keys.index(c.name) + 1 if c.name in keys else None,
                precision=c.precision,
                scale=c.scale,
            )
            for i, c in enumerate(table.columns)
        ),
    )


def rows(batches: Iterator[RawBatch]) -> list[tuple[Any, ...]]:
    """The rows as conformed, in the order they came."""
    out: list[tuple[Any, ...]] = []
    for batch in batches:
        conformed = conform(batch)
        assert conformed.rejects.count == 0
        out += [tuple(r.values()) for r in conformed.batch.rows.to_pylist()]
    return out


def raw(batches: Iterator[RawBatch]) -> list[tuple[Any, ...]]:
    """The rows as the source gave them."""
    return [row for batch in batches for row in zip(*(c.to_pylist() for c in batch.rows.columns), strict=True)]


def numbered(n: int, name: str = "t") -> Table:
    return Table(name, (ID, NAME), [(i, f"n{i}") for i in range(n)], ("id",))


def said(error: OneDoorError) -> str:
    """All that an error and what stands behind it would show in a log."""
    import traceback

    return "".join(traceback.format_exception(error)) + repr(error) + str(error)


# What is found --------------------------------------------------------------------------------------------------------------


def test_every_connector_has_a_profile() -> None:
    assert {s.name for s in specs()} == set(SOURCES)


def test_a_source_says_what_it_can_do(profile: SourceProfile, source: Source) -> None:
    assert source.capabilities == profile.capabilities


# Reading --------------------------------------------------------------------------------------------------------------------


def test_all_rows_come_once_in_the_order_of_the_key(profile: SourceProfile, source: Source) -> None:
    table = Table("t", (ID, NAME), [(i * 7919 % 1000, f"n{i}") for i in range(1000)], ("id",))
    profile.create(table)
    assert rows(source.read(contract(table), batch_rows=64)) == sorted(table.rows)


def test_batches_hold_no_more_rows_than_asked_for_and_no_fewer_but_the_last(profile: SourceProfile, source: Source) -> None:
    table = numbered(100)
    profile.create(table)
    assert [b.rows.num_rows for b in source.read(contract(table), batch_rows=30)] == [30, 30, 30, 10]
    assert [b.rows.num_rows for b in source.read(contract(table), batch_rows=100)] == [100]
    assert [b.rows.num_rows for b in source.read(contract(table), batch_rows=1)] == [1] * 100


def test_a_small_table_gives_one_batch_and_an_empty_one_none(profile: SourceProfile, source: Source) -> None:
    small, empty = numbered(3, "small"), numbered(0, "empty")
    profile.create(small)
    profile.create(empty)
    assert len(list(source.read(contract(small)))) == 1
    assert list(source.read(contract(empty))) == []


def test_a_batch_has_the_columns_of_the_contract_in_its_order_and_the_clocks_instant(
    profile: SourceProfile, source: Source, clock: FakeClock
) -> None:
    table = Table("t", (ID, NAME, Given("other", K.STRING)), [(1, "a", "b")], ("id",))
    profile.create(table)
    asked = contract(Table("t", (table.columns[2], table.columns[0]), key=("id",)))
    (batch,) = source.read(asked)
    assert batch.rows.schema.names == ["other", "id"]
    assert raw(iter([batch])) == [("b", 1)]
    assert batch.as_of == clock.now()
    assert batch.contract is asked


def test_names_are_taken_as_they_are_written(profile: SourceProfile, source: Source) -> None:
    columns = (
        Given("序号", K.INTEGER, required=True),
        Given("select", K.STRING),
        Given('O"r d%er', K.STRING),
        Given("Name", K.STRING),
    )
    table = Table("用户 order", columns, [(1, "a", "b", "c")], ("序号",))
    profile.create(table)
    assert raw(source.read(contract(table), after=(0,))) == [(1, "a", "b", "c")]
    assert [c.name for c in source.describe("用户 order").columns] == [c.name for c in columns]


def test_every_read_begins_anew_and_two_of_them_do_not_disturb_each_other(profile: SourceProfile, source: Source) -> None:
    table = numbered(10)
    profile.create(table)
    first, second = source.read(contract(table), batch_rows=2), source.read(contract(table), batch_rows=2)
    together = [(next(first), next(second)) for _ in range(5)]
    assert [a.rows.to_pylist() for a, _ in together] == [b.rows.to_pylist() for _, b in together]
    assert rows(source.read(contract(table))) == list(table.rows)


ODD = ["", " ", "a", "A", "a b", "a'b", 'a"b', "a\\b", "a\\'b", "%s", "$1", "a;--", "a\nb", "\t", "{}", "null", "中文", "𠀀"]
ODD += ["ａ", "·", "é", "e\u0301"]
KEYS: dict[str, tuple[Sequence[Given], Sequence[Sequence[Any]]]] = {
    "whole numbers": ((Given("k", K.INTEGER, required=True),), [(i,) for i in (-(2**63), -1, 0, 1, 2**63 - 1)]),
    "texts": ((Given("k", K.STRING, required=True),), [(t,) for t in ODD]),
    "texts of a length": ((Given("k", K.STRING, required=True, length=8),), [(t,) for t in ODD]),
    "numbers": (
        (Given("k", K.NUMBER, required=True, precision=30, scale=4),),
        [(Decimal(t),) for t in ("-99999999999999999999999999.9999", "-0.0001", "0", "0.0001", "12345678901234567890.1234")],
    ),
    "dates": ((Given("k", K.DATE, required=True),), [(date(1, 1, 1),), (date(1970, 1, 1),), (date(9999, 12, 31),)]),
    "instants": (
        (Given("k", K.TIMESTAMP, required=True),),
        [
            (datetime(1900, 1, 1, tzinfo=UTC),),
            (datetime(2026, 1, 1, 1, 1, 1, 1, tzinfo=UTC),),
            (datetime(2026, 1, 1, 1, 1, 1, 2, tzinfo=UTC),),
        ],
    ),
    "times without a zone": (
        (Given("k", K.TIMESTAMP, required=True, zone=False),),
        [(datetime(1988, 7, 1, 0, 30),), (datetime(2026, 1, 1, 1, 1, 1, 1),), (datetime(2026, 1, 1, 1, 1, 1, 2),)],  # noqa: DTZ001
    ),
    "truths": ((Given("k", K.BOOLEAN, required=True),), [(False,), (True,)]),
    "bytes": ((Given("k", K.BYTES, required=True),), [(b"",), (b"\x00",), (b"\\x00",), (b"\xff",)]),
    "doubles": ((Given("k", K.DOUBLE, required=True),), [(-1e300,), (0.1,), (0.1 + 2**-55,), (1e-300,), (1 / 3,)]),
    "text and number": (
        (Given("k", K.STRING, required=True), Given("n", K.INTEGER, required=True)),
        [(t, n) for t in ("a", "'", "中", "") for n in (1, 2, 3)],
    ),
    "date, text and number": (
        (Given("d", K.DATE, required=True), Given("k", K.STRING, required=True), Given("n", K.INTEGER, required=True)),
        [(date(2026, 1, d), t, n) for d in (1, 2) for t in ("x", "y''") for n in (-1, 5)],
    ),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_read_goes_on_after_any_key_with_exactly_the_rest(profile: SourceProfile, source: Source, kind: str) -> None:
    columns, keys = KEYS[kind]
    table = Table("t", (*columns, NAME), [(*k, f"n{i}") for i, k in enumerate(keys)], [c.name for c in columns])
    profile.create(table)
    asked = contract(table)
    every = raw(source.read(asked))
    assert sorted(row[-1] for row in every) == sorted(f"n{i}" for i in range(len(keys)))
    for i, row in enumerate(every):
        assert raw(source.read(asked, after=row[: len(columns)])) == every[i + 1 :]


def test_rows_whose_key_holds_a_null_come_last_and_again_when_a_read_goes_on(profile: SourceProfile, source: Source) -> None:
    columns = (Given("a", K.INTEGER), Given("b", K.STRING), NAME)
    table = Table("t", columns, [(1, None, "x"), (2, "b", "w"), (None, "a", "y"), (1, "b", "v"), (None, None, "z")])
    profile.create(table)
    asked = contract(table, key=("a", "b"))
    batches = list(source.read(asked, batch_rows=10))
    assert [sorted(r[-1] for r in raw(iter([b]))) for b in batches] == [["v", "w"], ["x", "y", "z"]]
    assert [r[-1] for r in raw(source.read(asked))][:2] == ["v", "w"]
    assert sorted(r[-1] for r in raw(source.read(asked, after=(1, "b")))) == ["w", "x", "y", "z"]
    assert sorted(r[-1] for r in raw(source.read(asked, after=(1, None)))) == ["x", "y", "z"]


def test_rows_of_one_key_stand_in_one_batch(profile: SourceProfile, source: Source) -> None:
    keys = [1, 2, 2, 3, 3, 3, 4, 5, 5, 6]
    table = Table("t", (Given("id", K.INTEGER), NAME), [(k, f"n{i}") for i, k in enumerate(keys)])
    profile.create(table)
    batches = [[r["id"] for r in b.rows.to_pylist()] for b in source.read(contract(table, key=("id",)), batch_rows=3)]
    assert batches == [[1, 2, 2], [3, 3, 3], [4, 5, 5], [6]]
    batches = [[r["id"] for r in b.rows.to_pylist()] for b in source.read(contract(table, key=("id",)), batch_rows=4)]
    assert batches == [[1, 2, 2], [3, 3, 3, 4], [5, 5, 6]]


def test_more_rows_of_one_key_than_a_batch_holds_are_refused(profile: SourceProfile, source: Source) -> None:
    table = Table("t", (Given("id", K.STRING), NAME), [(MARKERS[0], f"n{i}") for i in range(5)])
    profile.create(table)
    with pytest.raises(RejectedError) as caught:
        list(source.read(contract(table, key=("id",)), batch_rows=3))
    assert caught.value.code == "source.key_not_unique"
    assert MARKERS[0] not in said(caught.value)


def test_a_read_sees_nothing_of_what_is_committed_after_it_began(profile: SourceProfile, source: Source) -> None:
    table = numbered(20_000)
    profile.create(table)
    reading = source.read(contract(table), batch_rows=1000)
    got = [next(reading)]
    profile.insert("t", [(30_000, "late")])
    profile.delete("t", "id", 19_999)
    profile.update("t", "name", "n19998", "changed")
    got += reading
    assert rows(iter(got)) == list(table.rows)
    assert rows(source.read(contract(table), after=(19_990,)))[-2:] == [(19_998, "changed"), (30_000, "late")]


# Types ----------------------------------------------------------------------------------------------------------------------

CHINA_NOON = datetime(2026, 5, 1, 4, 0, 0, 123456, tzinfo=UTC)
VALUES: dict[str, tuple[Given, Sequence[Any], Sequence[Any]]] = {
    "string": (Given("v", K.STRING), ["", "x", "中文 𠀀", " padded "], ["", "x", "中文 𠀀", " padded "]),
    "integer": (Given("v", K.INTEGER), [-(2**63), 0, 2**63 - 1], [-(2**63), 0, 2**63 - 1]),
    "number": (
        Given("v", K.NUMBER, precision=38, scale=10),
        [Decimal("1234567890123456789012345678.0123456789"), Decimal("-0.0000000001"), Decimal("0")],
        [Decimal("1234567890123456789012345678.0123456789"), Decimal("-0.0000000001"), Decimal("0E-10")],
    ),
    "double": (Given("v", K.DOUBLE), [1 / 3, -1e308, 5e-324], [1 / 3, -1e308, 5e-324]),
    "boolean": (Given("v", K.BOOLEAN), [True, False], [True, False]),
    "date": (
        Given("v", K.DATE),
        [date(1, 1, 1), date(2026, 2, 28), date(9999, 12, 31)],
        [date(1, 1, 1), date(2026, 2, 28), date(9999, 12, 31)],
    ),
    "timestamp": (Given("v", K.TIMESTAMP), [CHINA_NOON], [CHINA_NOON]),
    "timestamp without a zone": (Given("v", K.TIMESTAMP, zone=False), [datetime(2026, 5, 1, 12, 0, 0, 123456)], [CHINA_NOON]),  # noqa: DTZ001
    "time": (Given("v", K.TIME), [time(0), time(23, 59, 59, 999999)], [time(0), time(23, 59, 59, 999999)]),
    "bytes": (Given("v", K.BYTES), [b"", b"\x00\xff"], [b"", b"\x00\xff"]),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_of_every_type_arrive_exactly_and_nulls_stay_nulls(profile: SourceProfile, source: Source, kind: str) -> None:
    column, given, wanted = VALUES[kind]
    table = Table("t", (ID, column), [*((i, v) for i, v in enumerate(given)), (99, None)], ("id",))
    profile.create(table)
    assert [r[1] for r in rows(source.read(contract(table)))] == [*wanted, None]


# Windows --------------------------------------------------------------------------------------------------------------------

NOON = datetime(2026, 11, 2, 4, tzinfo=UTC)


def moments(*, zone: bool = True) -> Table:
    """Rows at 12:00:00, …:04 in China; the last row at no time."""
    base = NOON if zone else (NOON + timedelta(hours=8)).replace(tzinfo=None)
    column = Given("at", K.TIMESTAMP, zone=zone)
    return Table("t", (ID, column), [*((i, base + timedelta(seconds=i)) for i in range(5)), (99, None)], ("id",))


def cursor(lag_s: int | None = 60, overlap_s: int = 0) -> CursorSpec:
    return CursorSpec("f1", lag_s, overlap_s)


@pytest.mark.parametrize("zone", [True, False], ids=["with a zone", "without a zone"])
def test_a_window_is_open_at_its_start_and_closed_at_its_end_and_holds_each_row_without_a_cursor(
    profile: SourceProfile, source: Source, zone: bool
) -> None:
    table = moments(zone=zone)
    profile.create(table)
    asked = contract(table, cursor=cursor())

    def within(after: str | None, upto: str, key: tuple[int] | None = None) -> list[int]:
        window = Window(after, upto, BoundKind.DECLARED)
        return [r[0] for r in raw(source.read(asked, window=window, after=key))]

    assert within("2026-11-02 04:00:01.000000Z", "2026-11-02 04:00:03.000000Z") == [2, 3, 99]
    assert within(None, "2026-11-02 04:00:01.000000Z") == [0, 1, 99]
    assert within("2026-11-02 04:00:00.999999Z", "2026-11-02 04:00:01.000000Z") == [1, 99]
    assert within("2026-11-02 04:00:03.000000Z", "2026-11-02 04:00:03.000000Z") == [99]
    assert within(None, "2026-11-02 05:00:00.000000Z", (2,)) == [3, 4, 99]


def test_a_window_over_dates_is_of_whole_days(profile: SourceProfile, source: Source) -> None:
    table = Table("t", (ID, Given("on", K.DATE)), [(d, date(2026, 11, d)) for d in (1, 2, 3)], ("id",))
    profile.create(table)
    asked = contract(table, cursor=cursor())
    got = source.window(asked, None, NOON)
    assert got == Window(None, "2026-11-01", BoundKind.DECLARED)  # today may get more rows
    assert raw(source.read(asked, window=got)) == [(1, date(2026, 11, 1))]
    assert raw(source.read(asked, window=Window("2026-11-01", "2026-11-02", BoundKind.DECLARED))) == [(2, date(2026, 11, 2))]


def test_a_declared_lag_bounds_the_window_and_the_window_says_so(profile: SourceProfile, source: Source) -> None:
    table = moments()
    profile.create(table)
    got = source.window(contract(table, cursor=cursor(90)), None, NOON)
    assert got == Window(None, "2026-11-02 03:58:30.000000Z", BoundKind.DECLARED)


def test_a_window_begins_an_overlap_before_the_cursor(profile: SourceProfile, source: Source) -> None:
    table = moments()
    profile.create(table)
    asked = contract(table, cursor=cursor(60, overlap_s=30))
    assert source.window(asked, "2026-11-02 03:00:00.000001Z", NOON) == Window(
        "2026-11-02 02:59:30.000001Z", "2026-11-02 03:59:00.000000Z", BoundKind.DECLARED
    )
    assert source.window(asked, "2026-11-02 03:59:00.000000Z", NOON).after == "2026-11-02 03:58:30.000000Z"


def test_a_cursor_past_the_bound_by_less_than_the_overlap_has_an_empty_window(profile: SourceProfile, source: Source) -> None:
    table = moments()
    profile.create(table)
    past = "2026-11-02 03:59:25.000000Z"
    asked = contract(table, cursor=cursor(60, overlap_s=30))
    assert source.window(asked, past, NOON) == Window(past, past, BoundKind.DECLARED)


@pytest.mark.parametrize("overlap_s", [0, 30])
def test_a_cursor_past_the_bound_is_refused_and_both_instants_are_named(
    profile: SourceProfile, source: Source, overlap_s: int
) -> None:
    table = moments()
    profile.create(table)
    with pytest.raises(RejectedError) as caught:
        source.window(contract(table, cursor=cursor(60, overlap_s=overlap_s)), "2026-11-02 03:59:31+00:00", NOON)
    assert caught.value.code == "source.after_bound"
    assert "2026-11-02 03:59:31.000000Z" in str(caught.value)
    assert "2026-11-02 03:59:00.000000Z" in str(caught.value)


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "0001-01-01"])
def test_a_cursor_that_is_the_text_of_no_instant_is_refused(profile: SourceProfile, source: Source, text: str) -> None:
    table = moments()
    profile.create(table)
    with pytest.raises(RejectedError) as caught:
        source.window(contract(table, cursor=cursor(60, overlap_s=30)), text, NOON)
    assert caught.value.code == "source.cursor_form"


def test_a_bound_that_is_neither_computed_nor_declared_is_refused(profile: SourceProfile, source: Source) -> None:
    table = moments()
    profile.create(table)
    with pytest.raises(RejectedError) as caught:
        source.window(contract(table, cursor=cursor(None)), None, NOON)
    assert caught.value.code == "source.no_safe_bound"
    assert "declare a lag" in str(caught.value)
    with pytest.raises(RejectedError, match="no cursor"):
        source.window(contract(table), None, NOON)


# Standing still -------------------------------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[SourceProfile], None]] = {
    "insert": lambda p: p.insert("t", [(50, "new")]),
    "update": lambda p: p.update("t", "name", "n3", "other"),
    "delete": lambda p: p.delete("t", "id", 3),
    "the same row deleted and inserted": lambda p: (p.delete("t", "id", 3), p.insert("t", [(3, "n3")]), None)[-1],
    "an update and back": lambda p: (p.update("t", "name", "n3", "x"), p.update("t", "name", "x", "n3"), None)[-1],
}


def test_a_table_that_stood_still_has_the_same_fingerprint(profile: SourceProfile, source: Source) -> None:
    table = numbered(10)
    profile.create(table)
    profile.create(numbered(3, "other"))
    before = source.state(contract(table))
    list(source.read(contract(table)))
    profile.insert("other", [(7, "x")])
    assert before.fingerprint is not None
    assert source.state(contract(table)) == before


@pytest.mark.parametrize("change", CHANGES)
def test_any_committed_change_moves_the_fingerprint(profile: SourceProfile, source: Source, change: str) -> None:
    table = numbered(10)
    profile.create(table)
    before = source.state(contract(table))
    CHANGES[change](profile)
    assert source.state(contract(table)) != before


def test_a_read_after_a_fingerprint_reads_the_very_rows_that_it_is_of(profile: SourceProfile, source: Source) -> None:
    table = numbered(10)
    profile.create(table)
    source.state(contract(table))
    profile.insert("t", [(50, "came and went")])
    profile.update("t", "name", "n3", "changed")
    assert rows(source.read(contract(table))) == list(table.rows)
    profile.delete("t", "id", 50)
    assert rows(source.read(contract(table))) == [(i, "changed" if i == 3 else f"n{i}") for i in range(10)]


def test_the_last_fingerprint_before_a_read_is_the_one_that_it_reads_by(profile: SourceProfile, source: Source) -> None:
    table = numbered(3)
    profile.create(table)
    before = source.state(contract(table))
    profile.insert("t", [(7, "n7")])
    assert source.state(contract(table)) != before
    profile.delete("t", "id", 7)
    assert [r[0] for r in rows(source.read(contract(table)))] == [0, 1, 2, 7]


def test_a_read_of_a_window_after_a_fingerprint_reads_what_is_there_when_it_begins(
    profile: SourceProfile, source: Source
) -> None:
    table = moments()
    profile.create(table)
    asked = contract(table, cursor=cursor())
    source.state(asked)
    profile.insert("t", [(7, NOON)])
    window = Window(None, "2026-11-02 04:00:00.000000Z", BoundKind.DECLARED)
    assert [r[0] for r in rows(source.read(asked, window=window))] == [0, 7, 99]


# Describing and checking ----------------------------------------------------------------------------------------------------


def test_a_table_is_described_with_types_lengths_key_and_comments(profile: SourceProfile, source: Source) -> None:
    columns = (
        Given("a", K.STRING, required=True, length=18, comment="证件号码"),
        Given("b", K.INTEGER, required=True),
        Given("n", K.NUMBER, precision=20, scale=2),
        *(Given(f"c{i}", kind) for i, kind in enumerate((K.DOUBLE, K.BOOLEAN, K.DATE, K.TIMESTAMP, K.TIME, K.BYTES))),
    )
    profile.create(Table("t", columns, (), ("b", "a"), comment="证照"))
    shape = source.describe("t")
    assert (shape.table, tuple(shape.key), shape.comment) == ("t", ("b", "a"), "证照")
    assert [(c.name, c.logical, c.nullable) for c in shape.columns] == [(c.name, c.kind.value, not c.required) for c in columns]
    first, _, number = shape.columns[:3]
    assert (first.max_length, first.comment) == (18, "证件号码")
    assert (number.precision, number.scale) == (20, 2)
    assert all(c.native_type for c in shape.columns)


def test_a_contract_made_of_the_description_passes_the_check(profile: SourceProfile, source: Source) -> None:
    table = Table("t", tuple(Given(f"c{i}", kind) for i, kind in enumerate(K)), ())
    profile.create(table)
    shape = source.describe("t")
    source.check(contract(Table("t", [Given(c.name, K(c.logical)) for c in shape.columns])))


def test_an_unknown_table_is_refused_with_near_names(profile: SourceProfile, source: Source) -> None:
    profile.create(numbered(1, "licences"))
    unknown = contract(numbered(1, "licence"))
    for ask in (
        lambda: source.check(unknown),
        lambda: source.describe("licence"),
        lambda: list(source.read(unknown)),
        lambda: source.state(unknown),
    ):
        with pytest.raises(RejectedError) as caught:
            ask()
        assert caught.value.code == "source.table_unknown"
        assert "licences" in str(caught.value)


def test_every_column_that_is_missing_or_of_another_type_is_named(profile: SourceProfile, source: Source) -> None:
    table = Table("t", (ID, Given("holder_number", K.STRING), Given("issued", K.DATE), NAME), [(1, "a", None, "b")], ("id",))
    profile.create(table)
    source.check(contract(table))
    profile.alter("t", "holder_number", "holder_no", None)
    profile.alter("t", "issued", "issued", K.BOOLEAN)
    for ask in (lambda: source.check(contract(table)), lambda: list(source.read(contract(table)))):
        with pytest.raises(RejectedError) as caught:
            ask()
        assert caught.value.code == "source.column_unknown"
        for word in ("holder_number", "near it: holder_no", "issued", "boolean" if profile.name == "postgres" else "bool"):
            assert word in str(caught.value)
    profile.alter("t", "holder_no", "holder_number", None)
    with pytest.raises(RejectedError) as caught:
        source.check(contract(table))
    assert caught.value.code == "source.type_changed"


def test_a_cursor_that_is_no_time_is_refused(profile: SourceProfile, source: Source) -> None:
    profile.create(numbered(1))
    with pytest.raises(RejectedError, match="cursor 'name'"):
        source.check(contract(numbered(1), cursor=cursor()))


# Failing --------------------------------------------------------------------------------------------------------------------


def test_a_source_that_does_not_answer_may_be_tried_again(profile: SourceProfile) -> None:
    away = profile.away()
    for ask in (
        lambda: away.describe("t"),
        lambda: list(away.read(contract(numbered(1)))),
        lambda: away.check(contract(numbered(1))),
    ):
        with pytest.raises(TransientError) as caught:
            ask()
        assert caught.value.code == "source.unreachable"
        for secret in profile.secrets:
            assert secret not in said(caught.value)
    away.close()


def test_a_read_that_is_cut_in_the_middle_may_be_tried_again_and_goes_on_after_the_last_key(
    profile: SourceProfile, source: Source
) -> None:
    filler = "x" * 1000
    table = Table("t", (ID, NAME), [(i, f"{MARKERS[1]}{filler}{i}") for i in range(20_000)], ("id",))
    profile.create(table)
    reading = source.read(contract(table), batch_rows=100)
    got = [next(reading)]
    profile.cut(source)
    with pytest.raises(TransientError) as caught:
        got.extend(reading)  # keeps what came before
    assert caught.value.code == "source.cut"
    for secret in (*profile.secrets, *MARKERS, filler):
        assert secret not in said(caught.value)
    if profile.name != "memory":
        last = got[-1].rows.to_pylist()[-1]["id"]
        assert [r[0] for r in raw(iter(got))] == list(range(last + 1))
        assert [r[0] for r in raw(source.read(contract(table), after=(last,)))] == list(range(last + 1, 20_000))


def test_a_table_that_goes_away_is_told_without_a_value_of_the_key(profile: SourceProfile, source: Source) -> None:
    table = Table("t", (Given("k", K.STRING, required=True), NAME), [(MARKERS[0], MARKERS[1])], ("k",))
    profile.create(table)
    source.check(contract(table))
    profile.drop("t")
    with pytest.raises(RejectedError) as caught:
        list(source.read(contract(table), after=(MARKERS[0],)))
    assert caught.value.code == "source.table_unknown"
    for secret in (*profile.secrets, *MARKERS):
        assert secret not in said(caught.value)


def test_closing_twice_is_closing_once_and_gives_up_a_read_under_way(profile: SourceProfile) -> None:
    table = numbered(50_000)
    profile.create(table)
    source = profile.open()
    reading = source.read(contract(table), batch_rows=10)
    next(reading)
    source.close()
    source.close()
    unread = profile.open()
    unread.close()
    assert next(source.read(contract(table), batch_rows=10)).rows.num_rows == 10  # it connects again when it is asked again
    source.close()
    reading.close()
