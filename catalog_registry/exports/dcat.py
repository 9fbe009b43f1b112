"""The catalogue as DCAT-AP 3.0.1: mandatory and recommended properties, as far as the hub knows them. It makes no fact up: what
a resource covers in time is in no registry, so it is not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from catalog_registry.exports import vocabulary
from catalog_registry.exports.rdf import Iri, Literal, Node, en, zh
from catalog_registry.records import DepartmentRecord, ListedResource
from schemas.catalogue import CatalogueEntry, SharingType, SharingWay
from schemas.errors import Fault, RejectedError

_BASE: Final = re.compile(r"(?:https?://|urn:)[A-Za-z0-9._~:/%\[\]-]+")
Properties = list[tuple[str, tuple[Iri | Literal, ...]]]


@dataclass(frozen=True, slots=True)
class About:
    """What an export says of the catalogue itself.

    ``base`` is the address under which others reach the hub; each name in the export begins with it. ``region`` is the division
    code of what it covers.
    """

    base: str
    region: str
    publisher: DepartmentRecord
    issued: datetime
    modified: datetime


def read_base(text: str) -> str:
    """Return the address that names begin with, without a slash at its end. Raises ``RejectedError`` where it is none."""
    if not _BASE.fullmatch(text):
        raise RejectedError(
            f"{text[:80]!r} is no address that names can begin with",
            code="export.base",
            remedy="give one such as https://share.example.gov.cn",
            fault=Fault.CLIENT,
        )
    return text.rstrip("/")


def dcat(about: About, resources: Iterable[ListedResource]) -> Iterator[Node]:
    """Yield what the catalogue says, each resource as it comes. Memory grows with the departments, not with the resources."""
    yield from vocabulary.concepts()
    yield from _catalogue(about)
    told = {about.publisher.code}
    yield from _department(about, about.publisher)
    for resource in resources:
        if resource.department.code not in told:
            told.add(resource.department.code)
            yield from _department(about, resource.department)
        yield from _resource(about, resource)


def _catalogue(about: About) -> Iterator[Node]:
    catalogue, base = _catalogue_iri(about), about.base
    yield Node(
        catalogue,
        ("dcat:Catalog",),
        (
            ("dct:title", (zh("政务数据资源目录"), en("Catalogue of shared government data"))),
            (
                "dct:description",
                (
                    zh("各部门在政务数据共享交换平台上共享的数据资源。"),
                    en("The data resources that departments share through the data-sharing exchange hub."),
                ),
            ),
            ("dct:publisher", (_agent(about, about.publisher),)),
            ("dct:language", (Iri(vocabulary.CHINESE), Iri(vocabulary.ENGLISH))),
            ("dct:license", (_terms(about),)),
            ("dct:spatial", (_region(about, about.region),)),
            ("dct:issued", (_instant(about.issued),)),
            ("dct:modified", (_instant(about.modified),)),
            ("dcat:themeTaxonomy", (Iri(vocabulary.DATA_THEMES),)),
            ("foaf:homepage", (Iri(f"{base}/"),)),
            ("dcat:service", (_service(about),)),
        ),
    )
    yield Node(f"{base}/", ("foaf:Document",), (("dct:title", (en("OneDoor 一门"),)),))
    yield Node(_region(about, about.region).text, ("dct:Location",), (("dct:identifier", (Literal(about.region),)),))
    yield Node(
        _terms(about).text,
        ("dct:LicenseDocument",),
        (
            ("dct:title", (zh("按共享授权使用"), en("Use under a grant, for the purpose that it names"))),
            ("dct:type", (Iri(vocabulary.OTHER_TERMS),)),
        ),
    )
    yield Node(
        _service(about).text,
        ("dcat:DataService",),
        (
            ("dct:title", (zh("数据资源查询接口"), en("Query API of the shared resources"))),
            (
                "dct:description",
                (zh("按授权查询数据资源的记录。"), en("Queries the records of a resource under a grant.")),
            ),
            ("dcat:endpointURL", (_service(about),)),
            ("dcat:endpointDescription", (Iri(f"{base}/openapi.json"),)),
            ("dct:publisher", (_agent(about, about.publisher),)),
            ("dcat:contactPoint", (_contact(about, about.publisher),)),
            ("dcat:theme", (Iri(vocabulary.theme(None)),)),
            ("dcat:keyword", (zh("数据共享"), en("data sharing"))),
            ("dct:accessRights", (Iri(vocabulary.RESTRICTED),)),
            ("dct:license", (_terms(about),)),
            ("dct:conformsTo", (Iri(vocabulary.OPENAPI),)),
        ),
    )


def _department(about: About, department: DepartmentRecord) -> Iterator[Node]:
    code = () if department.credit_code is None else (("dct:identifier", (Literal(department.credit_code),)),)
    yield Node(
        _agent(about, department).text,
        ("foaf:Agent",),
        (("foaf:name", (zh(department.name),)), ("dct:type", (Iri(vocabulary.LOCAL_AUTHORITY),)), *code),
    )
    yield Node(
        _contact(about, department).text,
        ("vcard:Kind", "vcard:Organization"),
        (("vcard:fn", (Literal(department.name),)),),
    )


def _resource(about: About, resource: ListedResource) -> Iterator[Node]:
    dataset = f"{about.base}/resources/{resource.name}"
    entry = resource.entry
    yield Node(_catalogue_iri(about), (), (("dcat:dataset", (Iri(dataset),)),))
    if entry is not None and entry.sharing.type is SharingType.NOT_SHARED:
        yield Node(dataset, ("dcat:Dataset",), _not_shared(entry))
        return
    records = f"{dataset}#records"
    said: Properties = [
        ("dct:title", (zh(resource.title if entry is None else entry.title),)),
        ("dct:description", (zh(resource.title if entry is None else entry.abstract),)),
        ("dct:publisher", (_agent(about, resource.department),)),
        ("dcat:contactPoint", (_contact(about, resource.department),)),
        ("dct:language", (Iri(vocabulary.CHINESE),)),
        ("dct:modified", (_instant(resource.changed_at),)),
        ("dcat:theme", (Iri(vocabulary.theme(None if entry is None else entry.classification)),)),
        ("dct:accessRights", (Iri(_rights(entry)),)),
    ]
    if entry is not None:
        said += _from_entry(about, entry)
    queried = entry is None or SharingWay.API in entry.sharing.ways
    if queried:
        said.append(("dcat:distribution", (Iri(records),)))
    yield Node(dataset, ("dcat:Dataset",), tuple(said))
    if entry is not None and entry.region != about.region:
        yield Node(_region(about, entry.region).text, ("dct:Location",), (("dct:identifier", (Literal(entry.region),)),))
    if queried:
        yield Node(_service(about).text, (), (("dcat:servesDataset", (Iri(dataset),)),))
        yield _distribution(about, resource, records)


def _not_shared(entry: CatalogueEntry) -> tuple[tuple[str, tuple[Iri | Literal, ...]], ...]:
    """What is told of a resource that is not shared: its name and the reason, nothing else."""
    kind = "" if entry.sharing.basis_kind is None else f"（{entry.sharing.basis_kind.zh}）"
    return (
        ("dct:title", (zh(entry.title),)),
        ("dct:description", (zh(f"{SharingType.NOT_SHARED.zh}{kind}：{entry.sharing.basis}"),)),
        ("dct:accessRights", (Iri(vocabulary.NON_PUBLIC),)),
    )


def _from_entry(about: About, entry: CatalogueEntry) -> Properties:
    said: Properties = [
        ("dct:accrualPeriodicity", (Iri(vocabulary.frequency(entry.update_cycle)),)),
        ("dct:issued", (_day(entry.published_on),)),
        ("dct:spatial", (_region(about, entry.region),)),
        ("dcat:keyword", tuple(zh(word) for word in vocabulary.keywords(entry.classification))),
    ]
    return said if entry.code is None else [("dct:identifier", (Literal(entry.code),)), *said]


def _distribution(about: About, resource: ListedResource, iri: str) -> Node:
    return Node(
        iri,
        ("dcat:Distribution",),
        (
            ("dct:title", (zh("记录查询"), en("Query of its records"))),
            ("dct:description", (zh("按授权的字段和条件逐页查询。"), en("Fields and rows as the grant allows."))),
            ("dcat:accessURL", (Iri(f"{about.base}/api/v1/resources/{resource.name}/records/query"),)),
            ("dcat:accessService", (_service(about),)),
            ("dct:format", (Iri(vocabulary.CSV),)),
            ("dcat:mediaType", (Iri(vocabulary.CSV_MEDIA),)),
            ("dct:license", (_terms(about),)),
            ("dcatap:availability", (Iri(vocabulary.AVAILABLE),)),
        ),
    )


def _rights(entry: CatalogueEntry | None) -> str:
    """Public is what is open to everybody without a condition; shared between departments is restricted."""
    return vocabulary.PUBLIC if entry is not None and entry.open and entry.open_condition is None else vocabulary.RESTRICTED


def _catalogue_iri(about: About) -> str:
    return f"{about.base}/catalogue"


def _service(about: About) -> Iri:
    return Iri(f"{about.base}/api/v1")


def _terms(about: About) -> Iri:
    return Iri(f"{about.base}/terms")


def _region(about: About, region: str) -> Iri:
    return Iri(f"{about.base}/divisions/{region}")


def _agent(about: About, department: DepartmentRecord) -> Iri:
    return Iri(f"{about.base}/departments/{department.code}")


def _contact(about: About, department: DepartmentRecord) -> Iri:
    return Iri(f"{about.base}/departments/{department.code}#contact")


def _instant(at: datetime) -> Literal:
    return Literal(at.isoformat(timespec="seconds"), datatype="xsd:dateTime")


def _day(day: date) -> Literal:
    return Literal(day.isoformat(), datatype="xsd:date")
