"""How the catalogue's own words map to the controlled vocabularies of the EU that DCAT-AP asks for.

The numbers of 项 are those of the order in which the source lists them: inferred, as those of 类 are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from catalog_registry.exports.rdf import Iri, Literal, Node, en, zh
from schemas.catalogue import Category, Classification, UpdateCycle

AUTHORITY: Final = "http://publications.europa.eu/resource/authority"

ITEMS: Final[Mapping[tuple[Category, str], tuple[str, str]]] = MappingProxyType(
    {
        (Category.BASE, "01"): ("人口", "SOCI"),
        (Category.BASE, "02"): ("法人单位", "ECON"),
        (Category.BASE, "03"): ("自然资源和空间地理", "ENVI"),
        (Category.BASE, "04"): ("社会信用", "ECON"),
        (Category.BASE, "05"): ("电子证照", "GOVE"),
        (Category.THEME, "01"): ("公共服务", "GOVE"),
        (Category.THEME, "02"): ("健康保障", "HEAL"),
        (Category.THEME, "03"): ("社会保障", "SOCI"),
        (Category.THEME, "04"): ("食品药品安全", "HEAL"),
        (Category.THEME, "05"): ("安全生产", "JUST"),
        (Category.THEME, "06"): ("价格监管", "ECON"),
        (Category.THEME, "07"): ("能源安全", "ENER"),
        (Category.THEME, "08"): ("信用体系", "ECON"),
        (Category.THEME, "09"): ("城乡建设", "REGI"),
        (Category.THEME, "10"): ("社区治理", "SOCI"),
        (Category.THEME, "11"): ("生态环保", "ENVI"),
        (Category.THEME, "12"): ("应急维稳", "JUST"),
    }
)
"""项 → its name, and the EU data theme that is nearest. What is not here, 部门 above all, is of government."""

_OTHER_THEME: Final = "GOVE"
_THEMES: Final = {
    "ECON": ("Economy and finance", "经济与金融"),
    "ENER": ("Energy", "能源"),
    "ENVI": ("Environment", "环境"),
    "GOVE": ("Government and public sector", "政府与公共部门"),
    "HEAL": ("Health", "卫生健康"),
    "JUST": ("Justice, legal system and public safety", "司法与公共安全"),
    "REGI": ("Regions and cities", "区域与城市"),
    "SOCI": ("Population and society", "人口与社会"),
}

FREQUENCIES: Final[Mapping[UpdateCycle, tuple[str, str]]] = MappingProxyType(
    {
        UpdateCycle.IRREGULAR: ("IRREG", "irregular"),
        UpdateCycle.REAL_TIME: ("CONT", "continuous"),
        UpdateCycle.DAILY: ("DAILY", "daily"),
        UpdateCycle.WEEKLY: ("WEEKLY", "weekly"),
        UpdateCycle.MONTHLY: ("MONTHLY", "monthly"),
        UpdateCycle.QUARTERLY: ("QUARTERLY", "quarterly"),
        UpdateCycle.HALF_YEARLY: ("ANNUAL_2", "semiannual"),
        UpdateCycle.YEARLY: ("ANNUAL", "annual"),
        UpdateCycle.OTHER: ("OTHER", "other"),
    }
)
"""更新周期 → the EU frequency and its English name."""

PUBLIC: Final = f"{AUTHORITY}/access-right/PUBLIC"
RESTRICTED: Final = f"{AUTHORITY}/access-right/RESTRICTED"
NON_PUBLIC: Final = f"{AUTHORITY}/access-right/NON_PUBLIC"
CHINESE: Final = f"{AUTHORITY}/language/ZHO"
ENGLISH: Final = f"{AUTHORITY}/language/ENG"
CSV: Final = f"{AUTHORITY}/file-type/CSV"
CSV_MEDIA: Final = "http://www.iana.org/assignments/media-types/text/csv"
AVAILABLE: Final = f"{AUTHORITY}/planned-availability/AVAILABLE"
DATA_THEMES: Final = f"{AUTHORITY}/data-theme"
_PUBLISHERS: Final = "http://purl.org/adms/publishertype/1.0"
LOCAL_AUTHORITY: Final = "http://purl.org/adms/publishertype/LocalAuthority"
OTHER_TERMS: Final = "http://purl.org/adms/licencetype/OtherRestrictiveClauses"
OPENAPI: Final = "https://spec.openapis.org/oas/v3.1.0"


def theme(classification: Classification | None) -> str:
    """Return the EU data theme of a classification."""
    found = None if classification is None else ITEMS.get((classification.category, classification.item))
    return f"{DATA_THEMES}/{_OTHER_THEME if found is None else found[1]}"


def frequency(cycle: UpdateCycle) -> str:
    """Return the EU frequency of an update cycle."""
    return f"{AUTHORITY}/frequency/{FREQUENCIES[cycle][0]}"


def keywords(classification: Classification) -> tuple[str, ...]:
    """Return the Chinese words of a classification."""
    found = ITEMS.get((classification.category, classification.item))
    return (classification.category.zh,) if found is None else (classification.category.zh, found[0])


def concepts() -> Iterator[Node]:
    """Yield what the export says of the concepts it uses, so that a reader without the EU's files knows what they are."""
    yield Node(DATA_THEMES, ("skos:ConceptScheme",), (("dct:title", (en("Data theme"), zh("数据主题"))),))
    for code, (name, word) in _THEMES.items():
        yield _concept(f"{DATA_THEMES}/{code}", DATA_THEMES, en(name), zh(word))
    for cycle, (code, name) in FREQUENCIES.items():
        scheme = f"{AUTHORITY}/frequency"
        yield _concept(f"{scheme}/{code}", scheme, en(name), zh(cycle.zh), type_="dct:Frequency")
    for iri, name, word, type_ in (
        (PUBLIC, "public", "公开", "dct:RightsStatement"),
        (RESTRICTED, "restricted", "受限", "dct:RightsStatement"),
        (NON_PUBLIC, "non-public", "不公开", "dct:RightsStatement"),
        (CHINESE, "Chinese", "中文", "dct:LinguisticSystem"),
        (ENGLISH, "English", "英文", "dct:LinguisticSystem"),
        (CSV, "CSV", "CSV", "dct:MediaTypeOrExtent"),
        (AVAILABLE, "available", "可用", None),
    ):
        yield _concept(iri, iri.rpartition("/")[0], en(name), zh(word), type_=type_)
    yield Node(_PUBLISHERS, ("skos:ConceptScheme",), (("dct:title", (en("Publisher type"), zh("发布者类型"))),))
    yield _concept(LOCAL_AUTHORITY, _PUBLISHERS, en("Local Authority"), zh("地方政府"))
    yield _concept(OTHER_TERMS, "http://purl.org/adms/licencetype/1.0", en("Other restrictive clauses"), zh("其他限制条款"))
    yield Node(CSV_MEDIA, ("dct:MediaType",), (("dct:title", (Literal("text/csv"),)),))
    yield Node(OPENAPI, ("dct:Standard",), (("dct:title", (en("OpenAPI 3.1"),)),))


def _concept(iri: str, scheme: str, *labels: Literal, type_: str | None = None) -> Node:
    types = ("skos:Concept",) if type_ is None else ("skos:Concept", type_)
    return Node(iri, types, (("skos:prefLabel", labels), ("skos:inScheme", (Iri(scheme),))))
