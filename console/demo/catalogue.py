"""The item catalogue system: service items, their implementation records, their required materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from console.demo.agencies import ACTIONS, BASE, KINDS, SUBJECTS, TOWNSHIPS, Subject
from console.demo.digits import day_texts, texts
from console.demo.sheet import (
    Fault,
    Sheet,
    becomes,
    chinese_date,
    compact,
    dates_only,
    fullwidth,
    nothing,
    other_check,
    padded,
    slashes,
    wide_blanks,
)

_TYPES: Final = ("01", "07", "08", "20")
_LEAST_OTHERS: Final = 10


@dataclass(frozen=True, slots=True)
class Item:
    """A service item 事项 of the demo, before it is written down with faults."""

    code: str
    name: str
    subject: Subject


@dataclass(frozen=True, slots=True)
class Accepted:
    """A licence type that a material of an item accepts: a row of the hub's own table."""

    item_code: str
    material_code: str
    licence_type: str


def make_items(count: int) -> tuple[Item, ...]:
    """Return ``count`` items: each subject in turn with each action, market supervision first of each five."""
    market = [s for s in SUBJECTS if s.agency.code == "market_supervision"]
    others = [s for s in SUBJECTS if s.agency.code != "market_supervision"]
    items = []
    serial: dict[str, int] = {}
    for n in range(count):
        group, turn = (market, n // 5) if n % 5 == 0 else (others, n - n // 5 - 1)
        subject, action = group[turn % len(group)], turn // len(group)
        serial[subject.agency.code] = main = serial.get(subject.agency.code, 0) + 1
        name = (
            subject.name
            + ACTIONS[action % len(ACTIONS)]
            + (f"（第{action // len(ACTIONS) + 1}类）" if action >= len(ACTIONS) else "")
        )
        basic = f"44{_TYPES[n % len(_TYPES)]}{subject.agency.number:02d}{main:03d}000"
        items.append(Item(f"{subject.agency.credit_code}3{basic}", name, subject))
    return tuple(_with_townships(items))


def _with_townships(items: list[Item]) -> list[Item]:
    """Put, in the place of the last items that are not market supervision's, what townships perform of the first that are not:
    the same basic code, one level lower.
    """
    others = [place for place, item in enumerate(items) if item.subject.agency.code != "market_supervision"]
    for number, township in enumerate(TOWNSHIPS if len(others) > _LEAST_OTHERS else ()):
        item = items[others[number]]
        code = f"{township.credit_code}4{item.code[19:]}"
        items[others[-1 - number]] = Item(code, item.name, replace(item.subject, agency=township))
    return items


def item_sheet(rng: np.random.Generator, items: Sequence[Item], anchor: np.datetime64) -> Sheet:
    """Return the items as the catalogue system holds them (``up_task_general_basic``)."""
    count = len(items)
    promise = rng.integers(1, 20, count)
    starts = day_texts(anchor.astype("datetime64[D]") - rng.integers(200, 2000, count))
    sheet = Sheet(
        "items",
        ("task_code",),
        {
            "row_guid": _guids(rng, count),
            "task_code": _strings(i.code for i in items),
            "local_catalog_code": _strings(i.code[19:] for i in items),
            "task_name": _strings(i.name for i in items),
            "task_type": _strings(i.code[21:23] for i in items),
            "task_state": _strings(np.where(rng.random(count) < 0.95, "1", "2").tolist()),
            "task_version": pa.array(rng.integers(1, 9, count), pa.int32()),
            "use_level": _strings(i.code[18] for i in items),
            "dept_code": _strings(i.subject.agency.credit_code for i in items),
            "dept_name": _strings(i.subject.agency.name for i in items),
            "server_type": _strings("1" if i.subject.holder == "111" else "2" for i in items),
            "project_type": _strings(np.where(promise <= 1, "1", "2").tolist()),
            "anticipate_day": _strings(str(p + 10) for p in promise.tolist()),
            "promise_day": _strings(map(str, promise.tolist())),
            "is_fee": _strings(np.where(rng.random(count) < 0.1, "1", "0").tolist()),
            "limit_scene_num": pa.array(rng.integers(0, 2, count), pa.int32()),
            "plan_effective_date": starts,
            "plan_cancel_date": pa.array([None] * count, pa.string()),
            "cd_operation": pa.array(["I"] * count),
            "cd_time": instants(rng, anchor, count, days=300),
        },
    )
    mine = np.array([i.subject.agency.code != "market_supervision" for i in items])
    faults = (
        Fault("type", "promise_days", "promise_day", becomes("十五个工作日")),
        Fault("required", "name", "task_name", becomes("  ")),
        Fault("code.item_code", "item_code", "task_code", lambda t: other_check(t[:18]) + t[18:]),
        Fault("duplicate_key", "item_code", "task_code", nothing),
        Fault("values", "state", "task_state", becomes("9")),
        Fault("type", "effective_on", "plan_effective_date", becomes("2016-13-45")),
    )
    sheet.spoil(rng, faults, mine)
    sheet.uglify(rng, "task_code", 0.02, padded)
    sheet.uglify(rng, "task_name", 0.03, wide_blanks)
    sheet.uglify(rng, "promise_day", 0.05, fullwidth)
    sheet.uglify(rng, "dept_code", 0.02, str.lower)
    for change in (slashes, compact, chinese_date):
        sheet.uglify(rng, "plan_effective_date", 0.02, dates_only(change))
    return sheet


def implementation_sheet(rng: np.random.Generator, items: Sequence[Item], anchor: np.datetime64) -> Sheet:
    """Return the implementation records (``up_task_general_extend``): one or two ways 业务办理项 in which an item is done."""
    ways = [
        (item, way) for item, more in zip(items, rng.random(len(items)) < 0.4, strict=True) for way in range(2 if more else 1)
    ]
    count = len(ways)
    sheet = Sheet(
        "item_implementations",
        ("task_handle_item",),
        {
            "row_guid": _guids(rng, count),
            "task_handle_item": _strings(f"{item.code}{way + 1:02d}" for item, way in ways),
            "task_code": _strings(item.code for item, _ in ways),
            "handle_name": _strings(item.name + ("" if way == 0 else "（简易办理）") for item, way in ways),
            "is_entry_center": _strings(np.where(rng.random(count) < 0.9, "1", "0").tolist()),
            "is_online": _strings(np.where(rng.random(count) < 0.7, "1", "0").tolist()),
            "online_handle_depth": _strings(map(str, rng.integers(1, 5, count).tolist())),
            "result_type": _strings(np.where(rng.random(count) < 0.8, "10", "20").tolist()),
            "result_name": _strings(f"{item.subject.name}批准文件" for item, _ in ways),
            "transact_addr": pa.array(["曲江区政务服务中心一楼综合窗口"] * count),
            "transact_time": pa.array(["工作日 8:30-12:00，14:30-17:30"] * count),
            "cd_time": instants(rng, anchor, count, days=300),
        },
    )
    faults = (
        Fault("values", "online_depth", "online_handle_depth", becomes("7")),
        Fault("required", "item_code", "task_code", nothing),
        Fault("duplicate_key", "handling_code", "task_handle_item", nothing),
        Fault("pattern", "handling_code", "task_handle_item", lambda t: t[:-1]),
    )
    sheet.spoil(rng, faults)
    sheet.uglify(rng, "task_handle_item", 0.02, padded)
    sheet.uglify(rng, "online_handle_depth", 0.05, fullwidth)
    sheet.uglify(rng, "handle_name", 0.03, wide_blanks)
    return sheet


def material_sheet(
    rng: np.random.Generator, items: Sequence[Item], anchor: np.datetime64
) -> tuple[Sheet, tuple[Accepted, ...]]:
    """Return the required materials (``up_task_material``), and which licence types they accept.

    The first material of an item is its form; then the base licence of the applicant, then what the subject asks for. Every
    seventh item takes paper only.
    """
    rows: list[tuple[Item, str, str, str]] = []
    accepted: list[Accepted] = []
    for number, item in enumerate(items):
        wanted = [BASE[item.subject.holder], *(KINDS[name] for name in item.subject.accepts)]
        materials = [("申请表", "20"), *((f"{kind.name}（复印件）", "10") for kind in wanted), ("承诺书", "20")]
        for place, (name, origin) in enumerate(materials, start=1):
            code = f"CL{number + 1:04d}{place:02d}"
            rows.append((item, code, name, origin))
            if number % 7 != 3 and 2 <= place <= len(wanted) + 1:
                accepted.append(Accepted(item.code, code, wanted[place - 2].code))
    count = len(rows)
    sheet = Sheet(
        "item_materials",
        ("task_code", "material_code"),
        {
            "row_guid": _guids(rng, count),
            "task_code": _strings(r[0].code for r in rows),
            "material_code": _strings(r[1] for r in rows),
            "material_name": _strings(r[2] for r in rows),
            "material_type": _strings(np.where(rng.random(count) < 0.6, "1", "2").tolist()),
            "material_format": _strings(map(str, rng.integers(1, 4, count).tolist())),
            "is_need": _strings(np.where(rng.random(count) < 0.9, "1", "0").tolist()),
            "source_type": _strings(r[3] for r in rows),
            "page_num": _strings(map(str, rng.integers(1, 4, count).tolist())),
            "cd_time": instants(rng, anchor, count, days=300),
        },
    )
    faults = (
        Fault("required", "name", "material_name", nothing),
        Fault("values", "needed", "is_need", becomes("Y?")),
        Fault("type", "pages", "page_num", becomes("若干")),
        Fault("duplicate_key", "material_code", "material_code", nothing),
        Fault("key_null", "material_code", "material_code", becomes(" ")),
        Fault("max_length", "name", "material_name", lambda t: t * 60),
    )
    sheet.spoil(rng, faults)
    sheet.uglify(rng, "material_code", 0.02, padded)
    sheet.uglify(rng, "material_code", 0.01, str.lower)
    sheet.uglify(rng, "page_num", 0.04, fullwidth)
    sheet.uglify(rng, "is_need", 0.02, fullwidth)
    sheet.uglify(rng, "material_name", 0.03, wide_blanks)
    return sheet, tuple(accepted)


def instants(rng: np.random.Generator, anchor: np.datetime64, count: int, *, days: int) -> pa.Array:
    """Return ``count`` times without a zone, of China, in the ``days`` before ``anchor`` (an instant in UTC)."""
    china = anchor.astype("datetime64[us]") + np.timedelta64(8, "h")
    return pa.array(china - rng.integers(3600, days * 86_400, count).astype("timedelta64[s]"), pa.timestamp("us"))


def _strings(values: Any) -> pa.Array:
    return pa.array(list(values), pa.string())


def _guids(rng: np.random.Generator, count: int) -> pa.Array:
    raw = rng.integers(0, 16, (count, 32))
    return texts(np.frombuffer(b"0123456789abcdef", np.uint8)[raw])
