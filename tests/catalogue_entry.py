"""Entries of the official catalogue for tests: of the resource of ``tests.contract_text``, and many made-up ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from catalog_registry.records import DepartmentRecord, ListedResource
from schemas.catalogue import BasisKind, Category, SharingType, UpdateCycle
from schemas.catalogue_form import read_entry
from schemas.resource import resource_name

CREDIT_CODE = "91110000101623741K"
MARKET = DepartmentRecord("market", "市场监督管理局", CREDIT_CODE, None)


def entry_json(**changes: Any) -> dict[str, Any]:
    """Return a good entry of ``staff`` as a document; a change to None takes a key out."""
    document: dict[str, Any] = {
        "classification": "3070150500300",
        "title": "从业人员名录",
        "provider": "市场监督管理局",
        "provider_code": CREDIT_CODE,
        "abstract": "登记在册的从业人员。",
        "format": "数据库",
        "fields": [
            {"name": "id", "title": "编号", "data_type": "整型", "sensitivity": 1, "primary_key": True},
            {"name": "title", "title": "职务", "data_type": "字符型", "length": 60, "sensitivity": 2},
            {"name": "citizen_id", "title": "身份号码", "data_type": "字符型", "length": 18, "sensitivity": 4},
        ],
        "sharing_type": "2",
        "sharing_condition": "用于办理行政许可",
        "sharing_ways": ["接口", "库表"],
        "open": False,
        "update_cycle": "3",
        "published_on": "2026-10-08",
        "channel": "1",
        "secrecy": "非涉密",
        "level": "县级",
        "region": "440205",
        "service_items": ["12441500196720244T3442199806003"],
        "licence_types": ["11100000000013338W011"],
    }
    return {key: value for key, value in (document | changes).items() if value is not None}


def many(count: int) -> Iterator[ListedResource]:
    """Yield resources whose entries have every official value, and texts with everything that a syntax must escape."""
    kinds, cycles, categories, bases = list(SharingType), list(UpdateCycle), list(Category), list(BasisKind)
    for n in range(count):
        kind, cycle = kinds[n % 3], cycles[n % 9]
        department = DepartmentRecord(f"d{n % 13}", f"部门{n % 13}", CREDIT_CODE if n % 13 == 0 else None, None)
        document = entry_json(
            classification=f"{categories[n % 3]}{n % 14:02d}{n % 1000:03d}{'' if n % 2 else '0500300'}",
            code=f"3070150500300/{n + 1:06d}",
            title=f"资源{n} “引号” \"q\" \\ 反斜杠 <a&b> '''",
            abstract=f'第一行\n第二行\t制表 """ {n} \\u4e00 𠮷',
            sharing_type=kind.value,
            sharing_condition="一事一议" if kind is SharingType.CONDITIONAL else None,
            sharing_basis_kind=bases[n % 4].value if kind is SharingType.NOT_SHARED else None,
            sharing_basis="某法第十条" if kind is SharingType.NOT_SHARED else None,
            sharing_ways=None
            if kind is SharingType.NOT_SHARED
            else [["接口"], ["接口", "文件"], ["库表", "邮件", "介质"]][n % 7 % 3],
            open=n % 5 == 0,
            open_condition="登录" if n % 10 == 0 else None,
            update_cycle=cycle.value,
            other_update_cycle="每两年" if cycle is UpdateCycle.OTHER else None,
            region=["440205", "440200", "440205103"][n % 3],
            related=[f"3070150500300/{n + 2:06d}"] if n % 4 == 0 else None,
        )
        yield ListedResource(
            name=resource_name(f"r{n}"),
            title=f"资源{n}",
            department=department,
            changed_at=datetime(2026, 11, 2, 1, tzinfo=UTC),
            entry=None if n % 11 == 10 else read_entry(document),
        )
