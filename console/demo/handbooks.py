"""What the demo's people keep in the hub beside the item catalogue: two handbooks, and a review that is delegated."""

from __future__ import annotations

from typing import Final

from console.demo.agencies import TOWNSHIPS
from exchange.bootstrap import Hub
from exchange.items.bring import bring_items, bring_licence_types
from schemas.handbook import Discretion, Handbook, HandbookStep
from schemas.item import Limit, LimitUnit

REGISTRAR: Final = "centre.officer"
"""The account of the centre's registration officer, one of the people of `enrol`."""


def keep(hub: Hub) -> bool:
    """Bring items and licence types into the register, and write what people keep of them once; what is there stays.

    Returns:
        Whether the register now has every item of which a row has landed.
    """
    registry = hub.registry
    bring_items(hub)
    bring_licence_types(hub)
    mine = [record for record in registry.items(department="market_supervision") if record.state == "in_force"]
    for record in mine[:2]:
        if registry.handbook(record.code) is None:
            registry.set_handbook(record.code, _handbook(record.body), by=REGISTRAR)
    for record in mine[2:3]:
        if all(body.variant != "delegated" for body in registry.bodies(record.code)):
            registry.delegate_item(record.code, TOWNSHIPS[0].code, by=REGISTRAR, basis="曲府办〔2016〕12号")
    with hub.connect() as connection:
        landed = {row[0] for row in connection.execute("SELECT item_code FROM store.items").fetchall()}
    return landed <= {record.code for record in registry.items()}


def _handbook(body: str) -> Handbook:
    return Handbook(
        (
            HandbookStep(
                name="受理",
                body=body,
                post="综合窗口",
                powers="《中华人民共和国行政许可法》第三十二条",
                examines=("申请材料是否齐全", "是否符合法定形式", "是否属于本机关职权范围"),
                how="书面审查；能查询到的证照不再要求提交",
                limit=Limit(1, LimitUnit.WORKING_DAY),
            ),
            HandbookStep(
                name="审查",
                body=body,
                post="审查员",
                powers="《中华人民共和国行政许可法》第三十四条",
                examines=("申请材料的实质内容", "经营条件"),
                how="书面审查，必要时两名以上工作人员现场核查",
                discretion=(
                    Discretion("条件完全符合", "提出准予的意见"),
                    Discretion("有一般缺陷，可以整改", "告知补正，整改后再审查"),
                    Discretion("有严重缺陷", "提出不予的意见并说明理由"),
                ),
            ),
            HandbookStep(
                name="决定",
                body=body,
                post="分管负责人",
                powers="《中华人民共和国行政许可法》第三十八条",
                examines=("审查意见及其依据",),
                how="签批",
                limit=Limit(1, LimitUnit.WORKING_DAY),
            ),
        )
    )
