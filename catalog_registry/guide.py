"""The guide of an item 办事指南, for whoever applies: made from its elements and from what the hub can look up. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from catalog_registry.item_records import StandIn, StandIns
from schemas.item import Material, Question, ServiceItem


@dataclass(frozen=True, slots=True)
class GuideMaterial:
    """A material, and whether the hub can look it up instead 免提交; by which licence types and resources."""

    material: Material
    stand_in: StandIn

    @property
    def exempt(self) -> bool:
        """Whether something stands in for it; the look-up of the case says whether it is there."""
        return bool(self.stand_in)


@dataclass(frozen=True, slots=True)
class Guide:
    """What an applicant is told: headings and their texts in order, the materials, the questions."""

    code: str
    name: str
    said: Mapping[str, str]
    materials: tuple[GuideMaterial, ...]
    questions: tuple[Question, ...]


def guide_of(item: ServiceItem, stand_ins: StandIns, licence_names: Mapping[str, str] | None = None) -> Guide:
    """Return the guide of an item. What the item does not say is left out.

    Args:
        item: a version of it.
        stand_ins: what stands in for its materials.
        licence_names: names of licence types by code, which take the place of the codes.
    """
    names = licence_names or {}
    first = next(iter(item.ways), None)
    said = {
        "实施主体": item.body,
        "事项类型": None if item.item_type is None else item.item_type.zh,
        "服务对象": None if item.served is None else item.served.zh,
        "办件类型": None if item.handling is None else item.handling.zh,
        "受理条件": item.accept_condition,
        "法定办结时限": None if item.statutory is None else str(item.statutory),
        "承诺办结时限": None if item.promised is None else str(item.promised),
        "到办事现场次数": None if item.visits is None else str(item.visits),
        "是否收费": None if item.fee is None else "；".join(item.fees) or "收费" if item.fee else "不收费",
        "办理流程": item.flow,
        "特别程序": item.special_procedure,
        "网上办理深度": item.online_depth or (None if first is None else first.online_depth),
        "通办范围": item.handle_area,
        "审批结果": None if first is None else first.result_name,
        "办理地点": item.address or (None if first is None else first.address),
        "办理时间": item.hours or (None if first is None else first.hours),
        "咨询方式": item.contact,
        "监督投诉方式": item.supervision,
        "设定依据": item.by_law,
    }
    materials = tuple(GuideMaterial(one, _named(stand_ins.materials.get(one.code, StandIn()), names)) for one in item.materials)
    return Guide(item.code, item.name, {name: text for name, text in said.items() if text}, materials, item.questions)


def guide_text(guide: Guide) -> str:
    """Return a guide as Markdown, as a person reads it."""
    lines = [f"# {guide.name}", "", f"实施编码：{guide.code}", ""]
    lines += [f"- {name}：{text}" for name, text in guide.said.items()]
    if guide.materials:
        lines += ["", "## 申请材料", "", "| 材料 | 必要 | 份数 | 免提交 |", "|---|---|---|---|"]
        for one in guide.materials:
            instead = "、".join((*one.stand_in.licence_types, *one.stand_in.resources))
            exempt = f"可免提交：{instead}" if one.exempt else ""
            lines.append(
                f"| {one.material.name} | {'是' if one.material.needed else '否'} | {one.material.pages or ''} | {exempt} |"
            )
    if guide.questions:
        lines += ["", "## 常见问题"]
        for question in guide.questions:
            lines += ["", f"**{question.question}**", "", question.answer]
    return "\n".join(lines) + "\n"


def _named(stand_in: StandIn, names: Mapping[str, str]) -> StandIn:
    return StandIn(tuple(names.get(code, code) for code in stand_in.licence_types), stand_in.resources)
