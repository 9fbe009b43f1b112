from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_registry.clocks import Due, Pauses, Rule, due, load, reminders, rules
from schemas.clock import CHINA
from schemas.errors import DefectError, RejectedError
from schemas.workdays import calendar

OF = calendar()
TEN = rules()["application.provider_review.conditional"]
BEGAN = datetime(2026, 11, 2, 9, 0, tzinfo=CHINA)  # a Monday; ten days end on Monday the 16th
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def lasting(workdays: int) -> Rule:
    return replace(TEN, workdays=workdays)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


def ask(now: str, *pauses: tuple[str, str | None], rule: Rule = TEN, began: datetime = BEGAN) -> Due:
    return due(rule, began, [(at(a), at(b) if b else None) for a, b in pauses], at(now), OF)


# Counting -------------------------------------------------------------------------------------------------------------------


def test_the_day_on_which_a_clock_began_does_not_count() -> None:
    assert ask("2026-11-02T10:00") == Due(at=date(2026, 11, 16), left=10, state="running", provisional=False)
    assert ask("2026-11-03T10:00").left == 9
    assert ask("2026-11-03T10:00", rule=lasting(1)).at == date(2026, 11, 3)


def test_a_clock_that_began_on_a_day_off_ends_as_if_it_had_begun_on_the_working_day_before() -> None:
    friday, sunday = at("2026-11-06T17:00"), at("2026-11-08T03:00")
    assert ask("2026-11-08T04:00", began=sunday).at == ask("2026-11-08T04:00", began=friday).at == date(2026, 11, 20)


def test_national_day_is_left_out_and_the_make_up_saturday_counts() -> None:
    began = at("2026-09-30T11:00")
    assert ask("2026-09-30T12:00", began=began).at == date(2026, 10, 20)
    assert ask("2026-10-07T12:00", began=began).left == 10
    assert ask("2026-10-10T12:00", began=began).left == 7


def test_spring_festival_is_left_out() -> None:
    assert ask("2026-02-13T12:00", began=at("2026-02-13T12:00"), rule=lasting(2)).at == date(2026, 2, 24)


def test_a_year_with_its_notice_is_certain_over_the_years_end_and_one_without_is_provisional() -> None:
    certain = ask("2025-12-31T12:00", began=at("2025-12-30T12:00"))
    assert (certain.at, certain.provisional) == (date(2026, 1, 14), False)
    assert ask("2026-12-17T12:00", began=at("2026-12-17T12:00")) == Due(date(2026, 12, 31), 10, "running", False)
    over = ask("2026-12-30T12:00", began=at("2026-12-24T12:00"))
    assert over.at is not None
    assert (over.at.year, over.provisional) == (2027, True)


def test_a_delay_that_reaches_into_a_year_without_a_notice_is_provisional() -> None:
    began = at("2026-12-10T12:00")
    assert not ask("2026-12-28T12:00", began=began).provisional
    assert ask("2027-01-04T12:00", began=began).provisional


def test_an_instant_late_in_the_evening_of_utc_belongs_to_the_next_day_in_china() -> None:
    before, after = datetime(2026, 11, 2, 15, 59, 59, tzinfo=UTC), datetime(2026, 11, 2, 16, 30, tzinfo=UTC)
    assert due(lasting(1), before, (), before, OF).at == date(2026, 11, 3)
    assert due(lasting(1), after, (), after, OF).at == date(2026, 11, 4)
    ends = datetime(2026, 11, 16, 16, 0, tzinfo=UTC)  # midnight in China
    assert due(TEN, BEGAN, (), ends - timedelta.resolution, OF).state == "reminded_last"
    assert due(TEN, BEGAN, (), ends, OF).state == "late"


def test_an_instant_without_an_offset_is_a_defect() -> None:
    with pytest.raises(DefectError) as caught:
        due(TEN, datetime(2026, 11, 2), (), LATER, OF)  # noqa: DTZ001
    assert caught.value.code == "clocks.naive"


# Pauses ---------------------------------------------------------------------------------------------------------------------


def test_the_days_of_a_pause_do_not_count() -> None:
    assert ask("2026-11-10T12:00", ("2026-11-04T10:00", "2026-11-06T11:00")).at == date(2026, 11, 19)


def test_a_pause_of_days_off_changes_nothing() -> None:
    assert ask("2026-11-10T12:00", ("2026-11-07T00:00", "2026-11-09T00:00")).at == date(2026, 11, 16)


def test_a_pause_that_ends_at_midnight_leaves_the_new_day_and_one_of_no_length_is_none() -> None:
    assert ask("2026-11-10T12:00", ("2026-11-04T00:00", "2026-11-05T00:00")).at == date(2026, 11, 17)
    assert ask("2026-11-10T12:00", ("2026-11-04T00:00", "2026-11-05T00:00:01")).at == date(2026, 11, 18)
    assert ask("2026-11-10T12:00", ("2026-11-04T10:00", "2026-11-04T10:00")).at == date(2026, 11, 16)


def test_a_day_under_two_pauses_is_left_out_once() -> None:
    twice = ask("2026-11-10T12:00", ("2026-11-04T09:00", "2026-11-04T10:00"), ("2026-11-04T14:00", "2026-11-04T15:00"))
    assert twice.at == date(2026, 11, 17)


def test_a_clock_that_stands_has_no_last_day_and_keeps_what_is_left() -> None:
    for now in ("2026-11-05T10:00", "2026-11-30T10:00", "2027-06-01T10:00"):
        assert ask(now, ("2026-11-05T09:00", None)) == Due(at=None, left=8, state="paused", provisional=False)


def test_a_clock_is_paused_from_the_first_instant_of_a_pause_until_before_its_last() -> None:
    pause = ("2026-11-04T10:00", "2026-11-06T11:00")
    states = [
        ask(n, pause).state for n in ("2026-11-04T09:59:59", "2026-11-04T10:00", "2026-11-06T10:59:59", "2026-11-06T11:00")
    ]
    assert states == ["running", "paused", "paused", "running"]


def test_a_pause_after_the_last_day_does_not_undo_a_delay() -> None:
    assert ask("2026-11-18T12:00", ("2026-11-17T09:00", None)) == Due(date(2026, 11, 16), -2, "late", False)


def test_a_pause_on_the_last_day_moves_it() -> None:
    assert ask("2026-11-17T12:00", ("2026-11-16T09:00", "2026-11-16T10:00")).at == date(2026, 11, 17)


# Reminders and delay ----------------------------------------------------------------------------------------------------------


def test_a_clock_reminds_at_half_and_one_working_day_before_the_end() -> None:
    assert reminders(TEN, BEGAN, (), OF) == ((date(2026, 11, 9), "half"), (date(2026, 11, 13), "last"))


def test_half_of_an_odd_number_is_rounded_up() -> None:
    assert reminders(lasting(5), BEGAN, (), OF) == ((date(2026, 11, 5), "half"), (date(2026, 11, 6), "last"))


@pytest.mark.parametrize(("workdays", "day"), [(1, 3), (2, 3), (3, 4)])
def test_a_short_clock_reminds_once(workdays: int, day: int) -> None:
    assert reminders(lasting(workdays), BEGAN, (), OF) == ((date(2026, 11, day), "last"),)


def test_a_pause_moves_the_reminders_and_one_without_an_end_leaves_out_those_behind_it() -> None:
    moved: Pauses = [(at("2026-11-10T09:00"), at("2026-11-11T18:00"))]
    assert reminders(TEN, BEGAN, moved, OF) == ((date(2026, 11, 9), "half"), (date(2026, 11, 17), "last"))
    assert reminders(TEN, BEGAN, [(at("2026-11-10T09:00"), None)], OF) == ((date(2026, 11, 9), "half"),)
    assert reminders(TEN, BEGAN, [(BEGAN, None)], OF) == ()


def test_a_rule_without_reminders_runs_until_it_is_late() -> None:
    silent = replace(TEN, reminders=())
    assert reminders(silent, BEGAN, (), OF) == ()
    assert [ask(n, rule=silent).state for n in ("2026-11-13T12:00", "2026-11-16T23:59", "2026-11-17T00:00")] == [
        "running",
        "running",
        "late",
    ]


def test_a_clock_goes_through_its_states_in_order() -> None:
    seen = {day: ask(f"2026-11-{day:02d}T12:00") for day in range(2, 19)}
    assert [(d, one.state) for d, one in seen.items() if d == 2 or one.state != seen[d - 1].state] == [
        (2, "running"),
        (9, "reminded_half"),
        (13, "reminded_last"),
        (17, "late"),
    ]
    assert [seen[d].left for d in (2, 6, 7, 8, 9, 13, 16, 17, 18)] == [10, 6, 6, 6, 5, 1, 0, -1, -2]


def test_on_a_day_off_after_the_end_a_clock_is_late_by_no_working_day() -> None:
    assert ask("2026-11-07T12:00", rule=lasting(4)) == Due(date(2026, 11, 6), 0, "late", False)


# What holds always ------------------------------------------------------------------------------------------------------------

INSTANTS = st.datetimes(datetime(2025, 6, 1), datetime(2026, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001
LENGTHS = st.timedeltas(timedelta(0), timedelta(days=20))
PAUSES = st.lists(st.tuples(LENGTHS, LENGTHS), max_size=4)


def pauses_after(began: datetime, made: list[tuple[timedelta, timedelta]]) -> list[tuple[datetime, datetime]]:
    return [(began + start, began + start + length) for start, length in made]


@settings(max_examples=200, deadline=None)
@given(INSTANTS, PAUSES, st.integers(1, 30))
def test_as_many_working_days_free_of_pauses_lie_before_the_end_as_the_rule_has(
    began: datetime, made: list[tuple[timedelta, timedelta]], workdays: int
) -> None:
    pauses = pauses_after(began, made)
    end = due(lasting(workdays), began, pauses, began, OF).at
    assert end is not None

    def counts(day: date) -> bool:
        opens = datetime.combine(day, time(), CHINA)
        touched = any(max(start, opens) < min(stop, opens + timedelta(days=1)) for start, stop in pauses)
        return OF.is_workday(day) and not touched

    first = began.astimezone(CHINA).date()
    assert counts(end)
    assert sum(counts(first + timedelta(n)) for n in range(1, (end - first).days + 1)) == workdays


@settings(max_examples=100, deadline=None)
@given(INSTANTS, st.integers(1, 30))
def test_without_a_pause_the_end_is_that_of_the_calendar(began: datetime, workdays: int) -> None:
    assert due(lasting(workdays), began, (), began, OF).at == OF.add(began.astimezone(CHINA).date(), workdays)


@settings(max_examples=200, deadline=None)
@given(INSTANTS, PAUSES, LENGTHS, LENGTHS)
def test_one_pause_more_never_brings_the_end_nearer_and_time_never_gives_days_back(
    began: datetime, made: list[tuple[timedelta, timedelta]], start: timedelta, length: timedelta
) -> None:
    pauses = pauses_after(began, made)
    fewer = due(TEN, began, pauses, began, OF)
    more = due(TEN, began, [*pauses, (began + start, began + start + length)], began, OF)
    assert fewer.at is not None
    assert more.at is not None
    assert fewer.at <= more.at
    assert due(TEN, began, pauses, began + start, OF).left >= due(TEN, began, pauses, began + start + length, OF).left


@settings(max_examples=200, deadline=None)
@given(INSTANTS, PAUSES, st.integers(1, 30))
def test_reminders_come_in_order_on_working_days_not_after_the_end(
    began: datetime, made: list[tuple[timedelta, timedelta]], workdays: int
) -> None:
    rule, pauses = lasting(workdays), pauses_after(began, made)
    days = [day for day, _ in reminders(rule, began, pauses, OF)]
    end = due(rule, began, pauses, began, OF).at
    assert days == sorted(set(days))
    assert end is not None
    assert all(began.astimezone(CHINA).date() < day <= end and OF.is_workday(day) for day in days)


# The rules --------------------------------------------------------------------------------------------------------------------


def test_the_shipped_rules_say_their_days_their_source_and_that_nothing_happens_by_itself() -> None:
    assert {rule.id: (rule.workdays, rule.verified) for rule in rules().values()} == {
        "application.accept_check": (2, True),
        "application.provider_review.unconditional": (1, False),
        "application.provider_review.conditional": (10, False),
        "correction.answer": (10, False),
        "correction.mediate": (10, True),
        "correction.mend": (10, True),
        "demand.appoint": (2, False),
        "demand.answer": (10, False),
        "contract.breaking_notice": (10, True),
        "destruction.certificate": (10, True),
        "destruction.confirm": (5, True),
    }
    for name, rule in rules().items():
        assert rule.id == name
        assert rule.source.strip()
        assert rule.about.strip()
        assert rule.about_zh.strip()
        assert (rule.reminders, rule.late) == (("half", "last"), "escalate")
        assert all(isinstance(state, str) for state in rule.paused_in)


def a_file(folder: Path, text: str) -> Path:
    path = folder / "clocks.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_deployment_sets_days_with_its_own_source_and_the_other_rules_stay(tmp_path: Path) -> None:
    path = a_file(
        tmp_path,
        """
        ["correction.answer"]
        workdays = 5
        source = "本区办法第十二条"
        verified = true

        ["application.accept_check"]
        workdays = 1
        source = "会议纪要"
        """,
    )
    set_here = load(path)
    answer, check = set_here["correction.answer"], set_here["application.accept_check"]
    assert (answer.workdays, answer.source, answer.verified) == (5, "本区办法第十二条", True)
    assert (check.workdays, check.verified) == (1, False)  # the old source was read, the new one not
    assert check.paused_in == rules()["application.accept_check"].paused_in
    assert {n: r for n, r in set_here.items() if n not in ("correction.answer", "application.accept_check")} == {
        n: r for n, r in rules().items() if n not in ("correction.answer", "application.accept_check")
    }
    assert rules()["correction.answer"].workdays == 10


SOURCE = 'source = "本区办法"\n'


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ('["correction.answr"]\nworkdays = 5\n' + SOURCE, "correction.answr", "near it: correction.answer"),
        ("[correction.answer]\nworkdays = 5\n" + SOURCE, "correction", 'is quoted: ["correction.answer"]'),
        ('"correction.answer" = 5', "correction.answer", "a clock rule is a table"),
        ('["correction.answer"]\ndays = 5\n' + SOURCE, "correction.answer.days", "cannot set 'days'"),
        ('["correction.answer"]\nworkdays = 5\nlate = "grant"\n' + SOURCE, "correction.answer.late", "late must be escalate"),
        ('["correction.answer"]\nworkdays = 0\n' + SOURCE, "correction.answer.workdays", "a whole number of 1 to 250"),
        ('["correction.answer"]\nworkdays = 251\n' + SOURCE, "correction.answer.workdays", "a whole number of 1 to 250"),
        ('["correction.answer"]\nworkdays = true\n' + SOURCE, "correction.answer.workdays", "a whole number of 1 to 250"),
        ('["correction.answer"]\nworkdays = 2.5\n' + SOURCE, "correction.answer.workdays", "a whole number of 1 to 250"),
        ('["correction.answer"]\nworkdays = 5\nsource = " "\n', "correction.answer.source", "names where the days come from"),
        ('["correction.answer"]\nworkdays = 5\n', "correction.answer.source", "source is missing"),
        ('["correction.answer"]\n' + SOURCE, "correction.answer.workdays", "workdays is missing"),
        ('["correction.answer"]\nworkdays = 5\nverified = "no"\n' + SOURCE, "correction.answer.verified", "true or false"),
    ],
)
def test_a_wrong_file_of_a_deployment_is_refused_with_file_and_key(tmp_path: Path, text: str, key: str, said: str) -> None:
    path = a_file(tmp_path, text)
    with pytest.raises(RejectedError) as caught:
        load(path)
    assert (caught.value.code, caught.value.where) == ("clocks.rules", f"{path}: {key}")
    assert said in caught.value.message


ANSWER = '["application.provider_review.conditional"]\nworkdays = 10\n' + SOURCE


def test_no_shipped_rule_decides_anything_and_each_says_what_a_deployment_may_order() -> None:
    assert {rule.outcome for rule in rules().values()} == {None}
    assert {name: rule.outcomes for name, rule in rules().items() if rule.outcomes} == {
        "application.accept_check": ("accept_check", "return"),
        "application.provider_review.unconditional": ("approve", "refuse"),
        "application.provider_review.conditional": ("approve", "refuse"),
    }


def test_a_deployment_orders_an_outcome_with_what_orders_it_and_in_whose_name(tmp_path: Path) -> None:
    text = ANSWER + 'late = "refuse"\nlate_source = "本区共享管理办法第九条"\nlate_as = "zhang.wei"\n'
    rule = load(a_file(tmp_path, text))["application.provider_review.conditional"]
    assert (rule.outcome, rule.late_source, rule.late_as) == ("refuse", "本区共享管理办法第九条", "zhang.wei")


@pytest.mark.parametrize(
    ("lines", "key", "said"),
    [
        (
            'late = "refuse"\nlate_as = "zhang.wei"\n',
            "late_source",
            "nothing is decided by itself unless it is said on whose word",
        ),
        ('late = "refuse"\nlate_source = "办法"\n', "late_as", "nothing is decided by itself unless it is said in whose name"),
        ('late = "refuse"\nlate_source = " "\nlate_as = "zhang.wei"\n', "late_source", "names what orders the outcome"),
        (
            'late = "delete"\nlate_source = "办法"\nlate_as = "zhang.wei"\n',
            "late",
            "late must be escalate or approve or refuse",
        ),
        ('late_source = "办法"\n', "late_source", "is for an outcome, and late is escalate"),
    ],
)
def test_an_outcome_that_nobody_orders_is_refused(tmp_path: Path, lines: str, key: str, said: str) -> None:
    path = a_file(tmp_path, ANSWER + lines)
    with pytest.raises(RejectedError) as caught:
        load(path)
    assert (caught.value.code, caught.value.where) == (
        "clocks.rules",
        f"{path}: application.provider_review.conditional.{key}",
    )
    assert said in caught.value.message


def test_a_file_that_is_not_toml_or_not_there_is_refused(tmp_path: Path) -> None:
    for path in (a_file(tmp_path, "workdays 5"), tmp_path / "nowhere.toml"):
        with pytest.raises(RejectedError) as caught:
            load(path)
        assert (caught.value.code, caught.value.where) == ("clocks.rules", str(path))
