from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from holidays import country_holidays
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RejectedError
from schemas.workdays import Calendar, calendar

OF = calendar()
DAYS = st.dates(date(2003, 1, 1), date(2030, 12, 31))
COUNTS = st.integers(0, 60)


def a_table(folder: Path, *lines: str, head: str = "date,kind") -> Path:
    path = folder / "notice.csv"
    path.write_text("\n".join([head, *lines]) + "\n", "utf-8")
    return path


def refusal(path: Path) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        Calendar.of(path)
    return caught.value


@pytest.mark.parametrize("text", ["2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"])
def test_a_make_up_day_of_2026_is_worked_though_it_is_a_saturday_or_a_sunday(text: str) -> None:
    day = date.fromisoformat(text)
    assert day.weekday() >= 5
    assert OF.is_workday(day)


@pytest.mark.parametrize("text", ["2026-01-02", "2026-02-16", "2026-02-23", "2026-04-06", "2026-06-19", "2026-10-07"])
def test_a_day_off_of_2026_is_not_worked_though_it_is_none_of_the_weekend(text: str) -> None:
    day = date.fromisoformat(text)
    assert day.weekday() < 5
    assert not OF.is_workday(day)


def test_an_ordinary_week_has_five_working_days() -> None:
    monday = date(2026, 11, 23)
    assert [OF.is_workday(monday + timedelta(n)) for n in range(7)] == [True] * 5 + [False] * 2


def test_the_table_holds_the_notices_of_2004_to_2026() -> None:
    assert len(OF.named) == 557
    assert OF.published == set(range(2004, 2027))
    assert OF.is_workday(date(2018, 12, 29))  # a Saturday that the notice of 2019 made a working day


def test_the_table_and_the_library_agree_on_the_latest_years() -> None:
    library = country_holidays("CN", years=range(2020, 2027))
    days = [date(2020, 1, 1) + timedelta(n) for n in range((date(2027, 1, 1) - date(2020, 1, 1)).days)]
    assert [d for d in days if OF.is_workday(d) != library.is_working_day(d)] == []


def test_after_national_day_and_spring_festival_the_count_goes_on_with_the_make_up_saturday() -> None:
    assert OF.add(date(2026, 9, 30), 1) == date(2026, 10, 8)
    assert OF.add(date(2026, 9, 30), 3) == date(2026, 10, 10)
    assert OF.add(date(2026, 9, 30), 4) == date(2026, 10, 12)
    assert OF.add(date(2026, 2, 13), 1) == date(2026, 2, 14)
    assert OF.add(date(2026, 2, 13), 2) == date(2026, 2, 24)
    assert OF.between(date(2026, 2, 13), date(2026, 3, 1)) == 6  # 14, 24 to 27 and 28 February


def test_over_a_years_end_the_notice_of_each_year_decides_its_days() -> None:
    assert OF.add(date(2025, 12, 31), 1) == date(2026, 1, 4)  # the Sunday after the three days of New Year
    assert OF.between(date(2025, 12, 29), date(2026, 1, 5)) == 4


def test_no_working_day_is_the_day_itself_and_a_count_from_a_day_off_begins_with_the_next_working_day() -> None:
    saturday = date(2026, 11, 28)
    assert OF.add(saturday, 0) == saturday
    assert OF.add(saturday, 1) == date(2026, 11, 30)
    assert OF.between(saturday, saturday) == 0


def test_past_the_table_the_holidays_of_the_law_are_expected_and_the_answer_is_provisional() -> None:
    assert not OF.provisional(date(2026, 12, 31))
    assert OF.provisional(date(2027, 1, 1))
    assert OF.provisional(date(2003, 12, 31))
    for off in (date(2027, 1, 1), date(2027, 2, 8), date(2027, 10, 1)):  # New Year, the third day of spring, National Day
        assert off.weekday() < 5
        assert not OF.is_workday(off)
    assert OF.is_workday(date(2027, 3, 1))
    assert not OF.is_workday(date(2027, 3, 6))


@settings(max_examples=200, deadline=None)
@given(DAYS, COUNTS)
def test_between_undoes_add(day: date, workdays: int) -> None:
    end = OF.add(day, workdays)
    assert OF.between(day, end) == workdays
    assert OF.between(end, day) == -workdays
    assert OF.is_workday(end) or workdays == 0


@settings(max_examples=200, deadline=None)
@given(DAYS, st.integers(0, 90), COUNTS)
def test_what_begins_later_never_ends_earlier_and_more_days_end_later(day: date, later: int, workdays: int) -> None:
    assert OF.add(day, workdays) <= OF.add(day + timedelta(later), workdays)
    assert OF.add(day, workdays) < OF.add(day, workdays + 1)


@settings(max_examples=200, deadline=None)
@given(DAYS, st.integers(-90, 90), st.integers(-90, 90))
def test_the_working_days_of_two_stretches_are_those_of_both(day: date, first: int, second: int) -> None:
    middle, end = day + timedelta(first), day + timedelta(first + second)
    assert OF.between(day, middle) + OF.between(middle, end) == OF.between(day, end)


def test_a_notice_that_a_centre_brings_makes_its_year_certain_and_leaves_the_others(tmp_path: Path) -> None:
    notice = Calendar.of(a_table(tmp_path, "2026-12-31,rest", "2027-10-01,rest", "2027-10-09,work"))
    of = OF.and_notice(notice)
    assert of.is_workday(date(2027, 10, 9))
    assert not of.provisional(date(2027, 10, 9))
    assert not of.is_workday(date(2026, 12, 31))  # the later word
    assert OF.is_workday(date(2026, 12, 31))
    assert of.published == {*OF.published, 2027}
    assert of.is_workday(date(2026, 10, 10))


def test_the_days_around_new_year_alone_do_not_make_a_year_certain(tmp_path: Path) -> None:
    of = Calendar.of(a_table(tmp_path, "2026-10-01,rest", "2027-01-01,rest", "2027-01-02,work"))
    assert of.provisional(date(2027, 1, 2))
    assert of.is_workday(date(2027, 1, 2))


def test_a_table_may_have_the_mark_of_a_spreadsheet_and_the_third_column(tmp_path: Path) -> None:
    path = tmp_path / "notice.csv"
    path.write_bytes(b"\xef\xbb\xbfdate,kind,agreed\r\n2027-10-01,rest,1\r\n")
    assert Calendar.of(path).named == {date(2027, 10, 1): False}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("20271001,rest", "line 3: '20271001' is no date such as 2026-10-10"),
        ("2027-W40-5,rest", "line 3: '2027-W40-5' is no date such as 2026-10-10"),
        ("2027-02-29,rest", "line 3: '2027-02-29' is no date such as 2026-10-10"),
        ("2027/10/1,rest", "line 3: '2027/10/1' is no date such as 2026-10-10"),
        ("2027-10-01,off", "line 3: 'off' is no kind of day: work or rest"),
        ("2027-10-01,Rest", "line 3: 'Rest' is no kind of day: work or rest"),
        ("2027-10-01", "line 3: expected 2 columns, found 1"),
        ("2027-10-01,rest,1", "line 3: expected 2 columns, found 3"),
        ("", "line 3: expected 2 columns, found 1"),
        ("2027-10-04,rest", "line 3: 2027-10-04 stands in line 2 already"),
        ("2027-10-04,work", "line 3: 2027-10-04 stands in line 2 already"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, line: str, said: str) -> None:
    path = a_table(tmp_path, "2027-10-04,rest", line)
    error = refusal(path)
    assert (error.code, error.message, error.where) == ("workdays.table", said, str(path))


def test_every_bad_line_of_a_table_is_named_at_once(tmp_path: Path) -> None:
    error = refusal(a_table(tmp_path, "tomorrow,rest", "2027-10-01,rest", "2027-10-01,rest", "2027-10-02,free"))
    assert [line.split(":")[0] for line in error.message.splitlines()] == ["line 2", "line 4", "line 5"]


def test_a_table_without_its_head_without_a_day_or_in_another_encoding_is_refused(tmp_path: Path) -> None:
    assert (
        refusal(a_table(tmp_path, head="2027-10-01,rest")).message == "line 1: the head must be date,kind or date,kind,agreed"
    )
    assert refusal(a_table(tmp_path)).message == "line 2: there is no day"
    (tmp_path / "notice.csv").write_text("", "utf-8")
    assert refusal(tmp_path / "notice.csv").code == "workdays.table"
    (tmp_path / "notice.csv").write_bytes("date,kind\n2027-10-01,休\n".encode("gb18030"))
    assert refusal(tmp_path / "notice.csv").code == "workdays.encoding"
    assert refusal(tmp_path / "nowhere.csv").code == "workdays.file"
