from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from schemas.clock import FakeClock, SetClock, SystemClock, clock_from_setting
from schemas.contract import Field, LogicalType
from schemas.cron import cron_problem
from schemas.errors import DefectError, DeniedError, RejectedError, TransientError
from schemas.ids import new_id
from schemas.resource import resource_name
from schemas.secret import Personal, Secret
from schemas.types import arrow_type, decimal_shape, json_schema, sql_type

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def test_a_secret_shows_its_value_nowhere() -> None:
    secret = Secret("hunter2")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>20}", repr([secret]), repr({"a": secret})):
        assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"
    assert "440221" not in repr(Personal("440221199001011234"))
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    assert not hasattr(secret, "__dict__")


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret(b"a") == Secret(b"a")
    assert hash(Secret("a")) == hash(Secret("b"))


def test_the_machine_s_clock_is_in_utc_and_a_fake_moves_only_forwards() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)
    clock = FakeClock(NOON)
    clock.advance(timedelta(hours=1))
    assert clock.now() == NOON + timedelta(hours=1)
    with pytest.raises(DefectError):
        clock.advance(timedelta(seconds=-1))


def test_a_set_clock_runs_as_fast_as_it_is_told() -> None:
    clock = clock_from_setting("2027-10-01T00:00:00+08:00@2000-01-01T00:00:00Zx2", production=False)
    assert isinstance(clock, SetClock)
    assert clock.rate == 2
    began = datetime(2027, 9, 30, 16, tzinfo=UTC)
    passed = datetime.now(UTC) - datetime(2000, 1, 1, tzinfo=UTC)
    assert abs(clock.now() - began - passed * 2) < timedelta(minutes=1)
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2027-10-01T00:00:00@2026-11-01T00:00:00Z",
        "2027-10-01T00:00:00Z@2026-11-01T00:00:00",
        "2027-10-01T00:00:00Z",
        "2027-10-01T00:00:00Z@2026-11-01T00:00:00Zx0",
        "2027-10-01T00:00:00Z@2026-11-01T00:00:00Zx-1",
        "2027-10-01T00:00:00Z@2026-11-01T00:00:00Zxnan",
        "2027-10-01T00:00:00Z@2026-11-01T00:00:00Zxinf",
    ],
)
def test_a_clock_setting_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(RejectedError) as caught:
        clock_from_setting(text, production=False)
    assert caught.value.code == "clock.form"


def test_a_set_clock_is_refused_in_production_and_none_is_the_machine_s() -> None:
    with pytest.raises(RejectedError) as caught:
        clock_from_setting("2027-10-01T00:00:00Z@2026-11-01T00:00:00Z", production=True)
    assert caught.value.code == "clock.production"
    assert isinstance(clock_from_setting("", production=True), SystemClock)
    assert isinstance(clock_from_setting(None, production=False), SystemClock)


def test_ids_sort_by_time_and_do_not_repeat() -> None:
    ids = [new_id("r", NOON + timedelta(milliseconds=i)) for i in range(200)]
    assert ids == sorted(ids)
    assert len({new_id("r", NOON) for _ in range(500)}) == 500
    assert all(resource_name(i) == i for i in ids)


def test_an_error_says_what_where_and_what_to_do_in_one_line() -> None:
    error = RejectedError("the key is missing", code="contract.key", where="t.yaml", remedy="name one")
    assert str(error) == "the key is missing (at t.yaml); name one"
    assert [e.kind for e in (TransientError, RejectedError, DeniedError, DefectError)] == [
        "transient",
        "rejected",
        "denied",
        "defect",
    ]


@pytest.mark.parametrize(
    "text", ["* * * * *", "*/15 * * * *", "0 2 * * 1-5", "30 3 1 jan,jul *", "0 0 * * SUN", "5,10-20/5 0-23 1-31 1-12 0-7"]
)
def test_a_sound_schedule_is_taken(text: str) -> None:
    assert cron_problem(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "@daily", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *",
     "5-1 * * * *", "a * * * *", "*-5 * * * *", "1, * * * *", "١ * * * *", "-1 * * * *"],
)  # fmt: skip
def test_a_schedule_that_can_never_or_not_be_read_is_told(text: str) -> None:
    assert cron_problem(text)


TYPES = {
    LogicalType.STRING: ("string", "text", "string"),
    LogicalType.INTEGER: ("int64", "bigint", "integer"),
    LogicalType.NUMBER: ("decimal128(38, 10)", "numeric(38,10)", "string"),
    LogicalType.DOUBLE: ("double", "double precision", "number"),
    LogicalType.BOOLEAN: ("bool", "boolean", "boolean"),
    LogicalType.DATE: ("date32[day]", "date", "string"),
    LogicalType.TIMESTAMP: ("timestamp[us, tz=UTC]", "timestamptz", "string"),
    LogicalType.TIME: ("time64[us]", "time", "string"),
    LogicalType.BYTES: ("binary", "bytea", "string"),
}


@pytest.mark.parametrize("kind", list(LogicalType))
def test_every_logical_type_has_its_arrow_sql_and_json_form(kind: LogicalType) -> None:
    field = Field("a", kind, "a", required=True)
    assert (str(arrow_type(field)), sql_type(field), json_schema(field)["type"]) == TYPES[kind]
    assert {"type": "null"} in json_schema(Field("a", kind, "a"))["anyOf"]


def test_json_schema_says_lengths_of_texts_and_values_in_their_own_type() -> None:
    text = json_schema(
        Field("a", LogicalType.STRING, "a", required=True, min_length=1, max_length=3, values=("1", "2"), title="甲")
    )
    assert text == {"type": "string", "minLength": 1, "maxLength": 3, "enum": ["1", "2"], "title": "甲"}
    assert json_schema(Field("a", LogicalType.INTEGER, "a", required=True, values=("1", "2")))["enum"] == [1, 2]
    assert "maxLength" not in json_schema(Field("a", LogicalType.BYTES, "a", required=True, max_length=3))


def test_a_decimal_s_shape_is_declared_or_wide_and_never_impossible() -> None:
    assert decimal_shape(Field("a", LogicalType.NUMBER, "a")) == (38, 10)
    assert decimal_shape(Field("a", LogicalType.NUMBER, "a", precision=5)) == (5, 0)
    assert decimal_shape(Field("a", LogicalType.NUMBER, "a", precision=5, scale=2)) == (5, 2)
    for precision, scale in ((39, 0), (2, 3)):
        with pytest.raises(RejectedError):
            decimal_shape(Field("a", LogicalType.NUMBER, "a", precision=precision, scale=scale))
