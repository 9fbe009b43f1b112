"""Service items for tests: codes with good check characters, and elements that say what an item must say."""

from __future__ import annotations

import io
from typing import Any

from catalog_registry.item_sheets import SheetContents
from catalog_registry.item_sheets_in import read_items
from schemas.codes import credit_code_check
from schemas.handbook import Handbook, read_handbook
from schemas.item import ServiceItem
from schemas.item_form import read_item


def credit(number: int) -> str:
    """Return a credit code of a body that nobody is."""
    body = f"11440205MB2D{number:05d}"
    return body + credit_code_check(body)


MARKET, CIVIL, TOWN = credit(1), credit(2), credit(3)
BASIC = "440102001000"
CODE = f"{MARKET}3{BASIC}"
TOWN_CODE = f"{TOWN}4{BASIC}"


def elements(**changes: Any) -> dict[str, Any]:
    """Return the elements of a whole item, as a document."""
    said: dict[str, Any] = {
        "code": CODE,
        "name": "食品经营许可设立",
        "body": "曲江区市场监督管理局",
        "item_type": "01",
        "served": "2",
        "handling": "2",
        "statutory": {"number": 20, "unit": "G"},
        "promised": {"number": 5, "unit": "G"},
        "accept_condition": "有与经营食品相适应的场所",
        "fee": False,
        "visits": 1,
        "ways": [{"code": f"{CODE}01", "name": "食品经营许可设立", "result_name": "食品经营许可证", "online": True}],
        "materials": [
            {"code": "CL000101", "name": "申请表", "pages": 1},
            {"code": "CL000102", "name": "营业执照（复印件）", "pages": 1},
        ],
        "effective_on": "2024-01-01",
    }
    return said | changes


def item(**changes: Any) -> ServiceItem:
    """Return the item of ``elements``."""
    return read_item(elements(**changes))


def steps(**changes: Any) -> list[dict[str, Any]]:
    """Return the steps of a handbook, as a document; ``changes`` are of the first."""
    first: dict[str, Any] = {
        "name": "受理",
        "body": "曲江区市场监督管理局",
        "post": "综合窗口",
        "powers": "《食品安全法》第三十五条",
        "examines": ["材料是否齐全", "是否符合法定形式"],
        "how": "书面审查",
        "limit": {"number": 1, "unit": "G"},
    }
    decides: dict[str, Any] = {
        "name": "决定",
        "body": "曲江区市场监督管理局",
        "post": "分管局长",
        "powers": "《食品安全法》第三十五条",
        "examines": ["审查意见"],
        "how": "集体审议",
        "discretion": [
            {"circumstance": "场所符合要求", "outcome": "准予许可"},
            {"circumstance": "场所经整改仍不符合", "outcome": "不予许可"},
        ],
    }
    return [first | changes, decides]


def a_handbook(**changes: Any) -> Handbook:
    """Return the handbook of ``steps``."""
    return read_handbook({"steps": steps(**changes)})


def read_back(content: bytes) -> SheetContents:
    """Return what a workbook says that has no fault."""
    return read_items(io.BytesIO(content)).whole()
