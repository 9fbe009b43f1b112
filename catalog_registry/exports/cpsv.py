"""Service items as CPSV-AP 3.2: each a public service with its competent authority, the evidence that it asks for, what it
gives, by which way, and the datasets of the hub that spare an evidence.

A limit in working days has no ``xsd:duration``, so it is told in the description only: it makes no fact up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from catalog_registry.exports import vocabulary
from catalog_registry.exports.rdf import PREFIXES, Iri, Literal, Node, en, zh
from catalog_registry.item_life import ItemState
from catalog_registry.item_records import ItemRecord, StandIn
from schemas.item import Limit, LimitUnit, Material, ServiceItem, Way

CPSV_PREFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {**PREFIXES, "cpsv": "http://purl.org/vocab/cpsv#", "cv": "http://data.europa.eu/m8g/"}
)
STATUS: Final = "http://purl.org/adms/status"
_STATES: Final = {
    ItemState.IN_FORCE: f"{STATUS}/Completed",
    ItemState.SUSPENDED: f"{STATUS}/UnderDevelopment",
    ItemState.ENDED: f"{STATUS}/Withdrawn",
}
_DURATIONS: Final = {LimitUnit.CALENDAR_DAY: "P{}D", LimitUnit.HOUR: "PT{}H", LimitUnit.MONTH: "P{}M"}


@dataclass(frozen=True, slots=True)
class Served:
    """What an item is exported with: its newest elements, and what stands in for its materials."""

    record: ItemRecord
    item: ServiceItem
    stand_ins: Mapping[str, StandIn]


def cpsv(base: str, region: str, items: Iterable[Served], licence_names: Mapping[str, str]) -> Iterator[Node]:
    """Yield what is said of items, each as it comes. Memory grows with the bodies, not with the items.

    Args:
        base: the address under which others reach the hub, as ``dcat.read_base`` gives it; every name begins with it.
        region: division code of what the bodies are competent for.
        items: the items.
        licence_names: names of licence types, by code.
    """
    yield Node(f"{base}/divisions/{region}", ("dct:Location",), (("dct:identifier", (Literal(region),)),))
    for state, iri in _STATES.items():
        yield Node(iri, ("skos:Concept",), (("skos:prefLabel", (en(state.replace("_", " ")),)),))
    told: set[str] = set()
    for one in items:
        body = one.item.body_code or one.item.body
        if body not in told:
            told.add(body)
            yield _authority(base, region, one.item)
        yield from _service(base, one, licence_names)


def _authority(base: str, region: str, item: ServiceItem) -> Node:
    return Node(
        _body(base, item).text,
        ("cv:PublicOrganisation",),
        (
            ("dct:identifier", (Literal(item.body_code or item.body),)),
            ("dct:title", (zh(item.body),)),
            ("skos:prefLabel", (zh(item.body),)),
            ("dct:spatial", (Iri(f"{base}/divisions/{region}"),)),
        ),
    )


def _service(base: str, one: Served, licence_names: Mapping[str, str]) -> Iterator[Node]:
    item = one.item
    service = f"{base}/items/{item.code}"
    properties: list[tuple[str, tuple[Iri | Literal, ...]]] = [
        ("dct:identifier", (Literal(item.code),)),
        ("dct:title", (zh(item.name),)),
        ("dct:description", (zh(_description(item)),)),
        ("cv:hasCompetentAuthority", (_body(base, item),)),
        ("dct:language", (Iri(vocabulary.CHINESE),)),
        ("adms:status", (Iri(_STATES[one.record.state]),)),
    ]
    if item.promised is not None and (duration := _duration(item.promised)) is not None:
        properties.append(("cv:processingTime", (duration,)))
    for name, parts in (
        ("cpsv:hasInput", [f"#material-{material.code}" for material in item.materials]),
        ("cv:hasChannel", [f"#way-{way.code}" for way in item.ways]),
        ("cpsv:produces", [f"#result-{way.code}" for way in item.ways if way.result_name]),
    ):
        if parts:
            properties.append((name, tuple(Iri(service + part) for part in parts)))
    yield Node(service, ("cpsv:PublicService",), tuple(properties))
    for material in item.materials:
        yield _evidence(base, service, material, one.stand_ins.get(material.code, StandIn()), licence_names)
    for way in item.ways:
        yield from _way(service, way)


def _evidence(base: str, service: str, material: Material, stand_in: StandIn, licence_names: Mapping[str, str]) -> Node:
    """An evidence; a dataset that spares it is its source."""
    said: list[tuple[str, tuple[Iri | Literal, ...]]] = [
        ("dct:identifier", (Literal(material.code),)),
        ("dct:title", (zh(material.name),)),
    ]
    if stand_in.licence_types:
        names = "、".join(licence_names.get(code, code) for code in stand_in.licence_types)
        said.append(("dct:description", (zh(f"可由电子证照代替：{names}"),)))
    if stand_in.resources:
        said.append(("dct:source", tuple(Iri(f"{base}/resources/{name}") for name in stand_in.resources)))
    return Node(f"{service}#material-{material.code}", ("cv:Evidence",), tuple(said))


def _way(service: str, way: Way) -> Iterator[Node]:
    said: list[tuple[str, tuple[Iri | Literal, ...]]] = [("dct:identifier", (Literal(way.code),))]
    if texts := [text for text in (way.name, way.address, way.hours) if text]:
        said.append(("dct:description", (zh("；".join(texts)),)))
    yield Node(f"{service}#way-{way.code}", ("cv:Channel",), tuple(said))
    if way.result_name:
        result = (("dct:identifier", (Literal(way.code),)), ("dct:title", (zh(way.result_name),)))
        yield Node(f"{service}#result-{way.code}", ("cv:Output",), result)


def _description(item: ServiceItem) -> str:
    """What the item says of itself: there is always its name and who performs it."""
    said = [f"{item.name}，由{item.body}办理"]
    said += [f"受理条件：{item.accept_condition}"] if item.accept_condition else []
    said += [f"承诺办结时限：{item.promised}"] if item.promised else []
    said += [f"法定办结时限：{item.statutory}"] if item.statutory else []
    return "。".join(said) + "。"


def _duration(limit: Limit) -> Literal | None:
    form = _DURATIONS.get(limit.unit)
    return None if form is None else Literal(form.format(limit.number), datatype="xsd:duration")


def _body(base: str, item: ServiceItem) -> Iri:
    return Iri(f"{base}/bodies/{item.body_code or item.body}")
