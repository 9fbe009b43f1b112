"""The market supervision approval system: applications, their steps, their results; and how they change while the demo runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from console.demo.agencies import AGENCIES, CITIZEN
from console.demo.catalogue import Item
from console.demo.digits import Ints, day_digits, decimal, joined, texts
from console.demo.licences import Holders, old_number
from console.demo.names import OFFICERS
from console.demo.sheet import (
    Fault,
    Sheet,
    becomes,
    chinese_date,
    dates_only,
    fullwidth,
    nothing,
    other_check,
    padded,
    slashes,
    wide_blanks,
    wrong_number,
)
from schemas.clock import CHINA, Clock

OPEN_STATES: Final = ("01", "02", "03", "04", "05")
"""申办, 受理, 审批, 补正, 特别程序: the case is not closed."""
CLOSED_STATES: Final = ("06", "07", "08")
"""办结, 退回, 作废."""
STATES: Final = OPEN_STATES + CLOSED_STATES
_OUTCOMES: Final = {"06": "0", "07": "1", "08": "2"}
_STEPS: Final = (("1", "承办"), ("2", "审核"), ("3", "批准"))
_STEPS_OF_STATE: Final = np.array([0, 1, 2, 1, 2, 3, 2, 1])
_HAS_LICENCES: Final = 0.8


def case_sheets(
    rng: np.random.Generator, items: Sequence[Item], holders: Holders, count: int, anchor: np.datetime64
) -> tuple[Sheet, Sheet, Sheet]:
    """Return applications (``ex_gdbs_sb``), steps (``ex_gdbs_spcl``) and results (``ex_gdbs_bj``)."""
    mine = [i for i in items if i.subject.agency.code == "market_supervision"]
    which = rng.integers(0, len(mine), count)
    owner = _applicants(rng, holders, np.array([i.subject.holder == CITIZEN for i in mine])[which])
    age_s = rng.integers(7200, 180 * 86_400, count)
    asked = anchor.astype("datetime64[s]") - age_s
    china = asked + np.timedelta64(8, "h")
    state = _states(rng, age_s)
    # a case moves on for at most 20 days after it came, and never after the anchor
    moved = asked + (rng.random(count) * np.minimum(age_s - 3600, 20 * 86_400)).astype(np.int64)
    numbers = case_numbers(mine, which, china.astype("datetime64[D]"))
    place = pa.array(owner)
    kinds = holders.kinds.take(place)
    cases = Sheet(
        "market_cases",
        ("SBLSH",),
        {
            "SBLSH": numbers,
            "SXBM": pa.array([i.code for i in mine]).take(pa.array(which)),
            "SXMC": pa.array([i.name for i in mine]).take(pa.array(which)),
            "SQRLX": pc.if_else(pc.equal(kinds, CITIZEN), "1", "2"),
            "SQRMC": holders.names.take(place),
            "SQRZJLX": kinds,
            "SQRZJHM": holders.numbers.take(place),
            "LXRSJ": texts(joined(count, b"120", decimal(owner + 10_000_000, 8))),
            "SBXMMC": pa.array([i.subject.name for i in mine]).take(pa.array(which)),
            "TJFS": pa.array(["0", "1", "8"]).take(pa.array(rng.choice(3, count, p=[0.35, 0.6, 0.05]))),
            "SBSJ": pa.array(china.astype("datetime64[us]"), pa.timestamp("us")),
            "BJZT": pa.array(STATES).take(pa.array(state)),
            "XZQHDM": pa.array(["440205"] * count),
            "GXSJ": pa.array(moved.astype("datetime64[us]"), pa.timestamp("us", tz="UTC")),
        },
    )
    steps = _step_sheet(rng, numbers, state, asked, moved)
    results = _result_sheet(rng, numbers, state, moved)
    cases.spoil(rng, _CASE_FAULTS)
    for change, share in ((str.lower, 0.3), (old_number, 0.01), (fullwidth, 0.01), (padded, 0.03)):
        cases.uglify(rng, "SQRZJHM", share, change)
    cases.uglify(rng, "SBLSH", 0.02, padded)
    cases.uglify(rng, "SQRMC", 0.02, wide_blanks)
    cases.uglify(rng, "LXRSJ", 0.02, fullwidth)
    cases.uglify(rng, "BJZT", 0.01, padded)
    return cases, steps, results


_CASE_FAULTS: Final = (
    Fault("code.holder_number", "applicant_number", "SQRZJHM", wrong_number),
    Fault("required", "applicant_name", "SQRMC", nothing),
    Fault("values", "state", "BJZT", becomes("66")),
    Fault("duplicate_key", "case_number", "SBLSH", nothing),
    Fault("code.item_code", "item_code", "SXBM", lambda t: other_check(t[:18]) + t[18:]),
    Fault("pattern", "case_number", "SBLSH", lambda t: t[:-3]),
    Fault("required", "applicant_number", "SQRZJHM", becomes(" ")),
    Fault("pattern", "phone", "LXRSJ", becomes("无")),
    Fault("max_length", "applicant_name", "SQRMC", lambda t: t * 80),
    Fault("key_null", "case_number", "SBLSH", nothing),
    Fault("values", "applicant_number_type", "SQRZJLX", becomes("777")),
)


def case_numbers(items: Sequence[Item], which: Ints, days: Any) -> pa.Array:
    """Return the case number 申办流水号 of each application: implementation code, day, and a serial number of that day's."""
    code = np.array([list(i.code.encode()) for i in items], np.uint8)[which]
    group = which * 100_000 + days.astype(np.int64)
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    first = np.searchsorted(ordered, ordered)
    serial = np.empty(len(which), np.int64)
    serial[order] = np.arange(len(which)) - first + 1
    return texts(joined(len(which), code, day_digits(days), decimal(serial, 4)))


def _applicants(rng: np.random.Generator, holders: Holders, person: Any) -> Ints:
    """Return whose each application is: of four in five, somebody who has licences."""
    known = rng.random(len(person)) < _HAS_LICENCES
    draw = rng.random(len(person))
    companies_from = holders.people + holders.strange_people
    low = np.where(
        person,
        np.where(known, 0, holders.people),
        np.where(known, companies_from, companies_from + holders.companies),
    )
    size = np.where(
        person,
        np.where(known, holders.people, holders.strange_people),
        np.where(known, holders.companies, holders.strange_companies),
    )
    return low + (draw * size).astype(np.int64)


def _states(rng: np.random.Generator, age_s: Ints) -> Ints:
    chance = rng.random(len(age_s))
    still_open = chance < np.where(age_s < 30 * 86_400, 0.75, 0.12)
    return np.where(
        still_open,
        rng.choice(5, len(age_s), p=[0.2, 0.3, 0.3, 0.15, 0.05]),
        rng.choice([5, 6, 7], len(age_s), p=[0.9, 0.07, 0.03]),
    )


def _step_sheet(rng: np.random.Generator, numbers: pa.Array, state: Ints, asked: Any, moved: Any) -> Sheet:
    many = _STEPS_OF_STATE[state]
    case = np.repeat(np.arange(len(state)), many)
    count = len(case)
    place = np.arange(count) - np.repeat(np.cumsum(many) - many, many)
    span = (moved - asked).astype(np.int64)
    at = asked[case] + span[case] * (place + 1) // many[case]
    officer = pa.array(rng.integers(0, len(OFFICERS), count))
    market = AGENCIES["market_supervision"]
    sheet = Sheet(
        "market_steps",
        ("SBLSH", "XH"),
        {
            "SBLSH": numbers.take(pa.array(case)),
            "XH": pa.array([str(n + 1) for n in place.tolist()], pa.string()),
            "SPHJDM": pa.array([s[0] for s in _STEPS]).take(pa.array(place)),
            "SPHJMC": pa.array([s[1] for s in _STEPS]).take(pa.array(place)),
            "SPBMMC": pa.array([market.name] * count),
            "SPBMZZJDMD": pa.array([market.credit_code[8:17]] * count),
            "SPRXM": pa.array(OFFICERS).take(officer),
            "SPYJ": pa.array(["同意", "材料齐全，同意", "请补正材料"]).take(pa.array(rng.choice(3, count, p=[0.6, 0.3, 0.1]))),
            "SPSJ": pa.array((at + np.timedelta64(8, "h")).astype("datetime64[us]"), pa.timestamp("us")),
            "GXSJ": pa.array(at.astype("datetime64[us]"), pa.timestamp("us", tz="UTC")),
        },
    )
    sheet.spoil(
        rng,
        (
            Fault("values", "step", "SPHJDM", becomes("9")),
            Fault("code.organisation_code", "department_code", "SPBMZZJDMD", other_check),
            Fault("type", "step_number", "XH", becomes("第一步")),
            Fault("duplicate_key", "step_number", "XH", nothing),
            Fault("required", "department", "SPBMMC", nothing),
            Fault("key_null", "case_number", "SBLSH", nothing),
        ),
    )
    sheet.uglify(rng, "SBLSH", 0.02, padded)
    sheet.uglify(rng, "XH", 0.02, fullwidth)
    sheet.uglify(rng, "SPRXM", 0.02, wide_blanks)
    return sheet


def _result_sheet(rng: np.random.Generator, numbers: pa.Array, state: Ints, moved: Any) -> Sheet:
    case = np.flatnonzero(state >= len(OPEN_STATES))
    count = len(case)
    outcome = pa.array([_OUTCOMES[STATES[s]] for s in state[case].tolist()], pa.string())
    at = moved[case]
    market = AGENCIES["market_supervision"]
    day = (at + np.timedelta64(8, "h")).astype("datetime64[D]")
    ends = [str(d + 1826) for d in day]
    fee = [Decimal(int(c)) / 100 for c in np.where(rng.random(count) < 0.1, rng.integers(1000, 50_000, count), 0)]
    sheet = Sheet(
        "market_results",
        ("SBLSH",),
        {
            "SBLSH": numbers.take(pa.array(case)),
            "BJBMMC": pa.array([market.name] * count),
            "BJBMZZJGDM": pa.array([market.credit_code[8:17]] * count),
            "BJJGDM": outcome,
            "BJJGMS": pc.if_else(pc.equal(outcome, "0"), "出证办结", "不予办理"),
            "ZJGZMC": pc.if_else(pc.equal(outcome, "0"), "准予行政许可决定书", pa.scalar(None, pa.string())),
            "ZJBH": texts(joined(count, b"QJSC", day_digits(day), decimal(case + 1, 6))),
            "ZJYXQX": pc.if_else(pa.array(rng.random(count) < 0.3), "长期", pa.array(ends, pa.string())),
            "SFJE": pa.array(fee, pa.decimal128(12, 2)),
            "JEDWDM": pa.array(["CNY"] * count),
            "BJSJ": pa.array((at + np.timedelta64(8, "h")).astype("datetime64[us]"), pa.timestamp("us")),
            "GXSJ": pa.array(at.astype("datetime64[us]"), pa.timestamp("us", tz="UTC")),
        },
    )
    sheet.spoil(
        rng,
        (
            Fault("values", "outcome", "BJJGDM", becomes("X")),
            Fault("type", "valid_to", "ZJYXQX", becomes("五年")),
            Fault("duplicate_key", "case_number", "SBLSH", nothing),
            Fault("code.organisation_code", "department_code", "BJBMZZJGDM", other_check),
            Fault("required", "outcome", "BJJGDM", nothing),
        ),
    )
    sheet.uglify(rng, "SBLSH", 0.02, padded)
    for change in (slashes, chinese_date):
        sheet.uglify(rng, "ZJYXQX", 0.03, dates_only(change))
    sheet.uglify(rng, "BJJGDM", 0.02, fullwidth)
    return sheet


# While the demo runs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Churned:
    """What one round of work changed: applications moved on, applications that came in, steps and results written."""

    moved: int
    received: int
    steps: int
    results: int


_FIND: Final = """
SELECT "SBLSH", "SXBM", "SXMC", "SQRLX", "SQRMC", "SQRZJLX", "SQRZJHM", "LXRSJ", "SBXMMC", "BJZT"
FROM ex_gdbs_sb
WHERE length("SBLSH") = 43 AND "BJZT" = ANY(%s)
ORDER BY "SBLSH"
"""
_MOVE: Final = 'UPDATE ex_gdbs_sb SET "BJZT" = %s, "GXSJ" = %s WHERE "SBLSH" = %s'
_RECEIVE: Final = """
INSERT INTO ex_gdbs_sb ("SBLSH", "SXBM", "SXMC", "SQRLX", "SQRMC", "SQRZJLX", "SQRZJHM", "LXRSJ", "SBXMMC",
                        "TJFS", "SBSJ", "BJZT", "XZQHDM", "GXSJ")
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, '1', %s, '01', '440205', %s)
"""
_NUMBERS: Final = 'SELECT "XH" FROM ex_gdbs_spcl WHERE "SBLSH" IN (%s, %s)'
_STEP: Final = """
INSERT INTO ex_gdbs_spcl ("SBLSH", "XH", "SPHJDM", "SPHJMC", "SPBMMC", "SPBMZZJDMD", "SPRXM", "SPYJ", "SPSJ", "GXSJ")
VALUES (%s, %s, %s, %s, %s, %s, %s, '同意', %s, %s)
"""
_RESULT: Final = """
INSERT INTO ex_gdbs_bj ("SBLSH", "BJBMMC", "BJBMZZJGDM", "BJJGDM", "BJJGMS", "ZJGZMC",
                        "ZJBH", "ZJYXQX", "SFJE", "JEDWDM", "BJSJ", "GXSJ")
VALUES (%s, %s, %s, '0', '出证办结', '准予行政许可决定书', %s, '长期', 0, 'CNY', %s, %s)
"""
_SERIALS: Final = 'SELECT substr("SBLSH", 40, 4) FROM ex_gdbs_sb WHERE starts_with("SBLSH", %s) AND length("SBLSH") >= 43'


def churn(connection: psycopg.Connection[Any], seed: int, n: int, clock: Clock, *, avoid: Collection[str] = ()) -> Churned:
    """Do a round of the approval system's work in one transaction: two of three move a case on, one of three brings a new one.

    Every row written is right, and its update time is the clock's instant taken inside the transaction. New applications come
    from people and companies who have applied before.

    Args:
        connection: to the approval system's database, as its owner.
        seed: the same seed on the same rows does the same work.
        n: how many applications to touch.
        clock: tells the update time.
        avoid: case numbers to leave alone, such as those of wrong rows.
    """
    rng = np.random.default_rng(seed)
    market = AGENCIES["market_supervision"]
    steps = results = moved = received = 0
    with connection.transaction():
        skip = frozenset(avoid)
        rows = [r for r in connection.execute(_FIND, (list(OPEN_STATES),)).fetchall() if r[0] not in skip]
        now = clock.now()
        wanted = min(n, len(rows))
        for turn, index in enumerate(rng.choice(len(rows), size=wanted, replace=False).tolist() if wanted else []):
            row = rows[index]
            if turn % 3 == 2:
                number = _new_number(connection, row[1], now)
                connection.execute(_RECEIVE, (number, *row[1:9], _china(now), now))
                received += 1
                continue
            state = "06" if row[9] == "03" else "03" if row[9] in ("02", "05") else "02"
            connection.execute(_MOVE, (state, now, row[0]))
            moved += 1
            step = _highest(connection.execute(_NUMBERS, (row[0], padded(row[0]))).fetchall())
            code, name = _STEPS[min(step, 2)]
            officer = OFFICERS[int(rng.integers(0, len(OFFICERS)))]
            connection.execute(
                _STEP, (row[0], str(step + 1), code, name, market.name, market.credit_code[8:17], officer, _china(now), now)
            )
            steps += 1
            if state == "06":
                number = f"QJSC{_china(now):%Y%m%d}{seed % 1000:03d}{turn:05d}"
                connection.execute(_RESULT, (row[0], market.name, market.credit_code[8:17], number, _china(now), now))
                results += 1
    return Churned(moved, received, steps, results)


def _new_number(connection: psycopg.Connection[Any], item_code: str, now: datetime) -> str:
    start = f"{item_code.strip()}{_china(now):%Y%m%d}"
    serial = _highest(connection.execute(_SERIALS, (start,)).fetchall()) + 1
    return f"{start}{serial:04d}"


def _highest(rows: Sequence[tuple[str | None]]) -> int:
    """Return the highest number among texts, full width or padded ones too; 0 where there is none."""
    numbers = [text.strip() for (text,) in rows if text]
    return max((int(text) for text in numbers if text.isdecimal()), default=0)


def _china(instant: datetime) -> datetime:
    """Return the time that a clock on a wall in China shows, without a zone, to the second."""
    return instant.astimezone(CHINA).replace(tzinfo=None, microsecond=0)
