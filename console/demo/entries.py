"""What the official catalogue says of the demo's resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from catalog_registry.records import DepartmentRecord, RegisteredResource
from schemas.catalogue import CatalogueEntry, Channel, Level, Secrecy, SharingType, SharingWay, UpdateCycle
from schemas.catalogue_form import read_entry
from schemas.contract import LogicalType

REGION: Final = "440205"
PUBLISHED_ON: Final = "2026-10-09"

_CASES: Final = "用于监督、统计和办件协同，不得用于其他目的"
_TYPES: Final[Mapping[LogicalType, str]] = MappingProxyType(
    {
        LogicalType.INTEGER: "整型",
        LogicalType.NUMBER: "数值型",
        LogicalType.DOUBLE: "双精度型",
        LogicalType.BOOLEAN: "逻辑型",
        LogicalType.DATE: "日期型",
        LogicalType.TIMESTAMP: "日期时间型",
    }
)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What cannot be seen in a contract. With a condition it is shared on that, without one unconditionally."""

    classification: str
    abstract: str
    cycle: UpdateCycle
    condition: str | None = None
    open: bool = False


_TERMS: Final[Mapping[str, _Terms]] = MappingProxyType(
    {
        "divisions": _Terms("1030010", "全国统计用区划代码和城乡划分代码，五级。", UpdateCycle.MONTHLY, open=True),
        "items": _Terms("2010010", "曲江区政务服务事项及其承诺时限。", UpdateCycle.DAILY, open=True),
        "item_implementations": _Terms("2010010", "政务服务事项的业务办理项及办理方式。", UpdateCycle.DAILY, open=True),
        "item_materials": _Terms("2010010", "办理政务服务事项应提交的材料。", UpdateCycle.DAILY, open=True),
        "licence_types": _Terms("1050010", "电子证照库的证照类型。", UpdateCycle.DAILY),
        "licences": _Terms(
            "1050020",
            "个人和法人的电子证照及其状态、有效期、可信等级。",
            UpdateCycle.DAILY,
            "依事项共享：仅用于办理已受理的事项",
        ),
        "market_cases": _Terms("3020010", "市场监管部门办件的申办信息。", UpdateCycle.REAL_TIME, _CASES),
        "market_steps": _Terms("3020010", "市场监管部门办件的审批过程。", UpdateCycle.REAL_TIME, _CASES),
        "market_results": _Terms("3020010", "市场监管部门办件的办结信息。", UpdateCycle.REAL_TIME, _CASES),
    }
)


def entry_of(resource: RegisteredResource, department: DepartmentRecord) -> CatalogueEntry:
    """Return the entry of a resource of the demo; its fields are those of the contract that is in force."""
    terms = _TERMS[resource.name]
    kind = SharingType.UNCONDITIONAL if terms.condition is None else SharingType.CONDITIONAL
    document: dict[str, Any] = {
        "classification": terms.classification,
        "title": resource.title,
        "provider": department.name,
        "provider_code": department.credit_code,
        "abstract": terms.abstract,
        "format": "数据库",
        "fields": [
            {
                "name": field.name,
                "title": field.title or field.name,
                "data_type": _TYPES.get(field.logical_type, "字符型"),
                "length": field.max_length,
                "sensitivity": 4 if field.personal else 1,
                "primary_key": field.key is not None,
            }
            for field in resource.contract.fields
        ],
        "sharing_type": kind,
        "sharing_condition": terms.condition,
        "sharing_ways": [SharingWay.API],
        "open": terms.open,
        "update_cycle": terms.cycle,
        "published_on": PUBLISHED_ON,
        "channel": Channel.GOVERNMENT_NETWORK,
        "secrecy": Secrecy.NOT_SECRET,
        "level": Level.COUNTY,
        "region": REGION,
    }
    return read_entry(document, where=resource.name)
