"""What the route of the search takes and gives, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec

from catalog_registry.facets import Facet, Freshness, Quality
from catalog_registry.search import Found, Hit, Narrowed
from catalog_registry.words import MAX_QUESTION
from exchange.api.registry_frame import MOST

_Values = Annotated[list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(max_length=50)]

_After = Annotated[str, msgspec.Meta(max_length=60)]


class SearchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is searched. Values of one facet: any of them; of several facets: all of them."""

    words: Annotated[
        str,
        msgspec.Meta(
            max_length=MAX_QUESTION,
            description="Chinese words, first letters of their pinyin or pinyin, codes, beginnings of other words; all must be "
            "found; none: every resource that may be seen, by name",
        ),
    ] = ""
    provider: Annotated[_Values, msgspec.Meta(description="codes of departments")] = []
    category: Annotated[_Values, msgspec.Meta(description="1 基础, 2 主题, 3 部门")] = []
    item: Annotated[_Values, msgspec.Meta(description="the first three digits of a classification: 类 and 项")] = []
    sharing_type: Annotated[_Values, msgspec.Meta(description="1 无条件共享, 2 有条件共享, 3 不予共享")] = []
    update_cycle: Annotated[_Values, msgspec.Meta(description="1 to 9, as the catalogue numbers them")] = []
    format: _Values = []
    quality: Annotated[_Values, msgspec.Meta(description=", ".join(Quality))] = []
    freshness: Annotated[_Values, msgspec.Meta(description=", ".join(Freshness))] = []
    origin: Annotated[_Values, msgspec.Meta(description="names of other catalogues whose datasets are found too")] = []
    facets: Annotated[bool | None, msgspec.Meta(description="count all that was found; null: on the first page")] = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 20
    after: Annotated[_After | None, msgspec.Meta(description="the next of the page before")] = None

    @property
    def narrowed(self) -> Narrowed:
        """The values that results must have."""
        return {facet: values for facet in Facet if (values := getattr(self, facet.value))}


class HitAnswer(msgspec.Struct, frozen=True):
    """A resource that was found. Of one that is not shared others see name, title and reason: the rest is null."""

    name: str
    title: str
    sharing_type: str | None
    basis_kind: Annotated[str | None, msgspec.Meta(description="why it is not shared: 1 law, 2 policy, 3 sensitive, 4 other")]
    basis: str | None
    code: str | None
    department: str | None
    department_name: str | None
    state: str | None
    abstract: str | None
    update_cycle: str | None
    format: str | None
    quality: str | None
    freshness: str | None
    as_of: Annotated[datetime | None, msgspec.Meta(description="the instant that the last proved run holds")]
    origin: Annotated[
        str | None,
        msgspec.Meta(description="the other catalogue that a dataset comes from, whose id name is: nobody applies for it"),
    ]
    iri: Annotated[str | None, msgspec.Meta(description="the name of such a dataset there")]


class FacetValue(msgspec.Struct, frozen=True):
    """A value, and how many results have it."""

    value: str
    count: int


class SearchAnswer(msgspec.Struct, frozen=True):
    """A page of what was found, the best first. ``next`` is the ``after`` of the page that follows, null on the last one."""

    resources: Sequence[HitAnswer]
    next: str | None
    total: Annotated[int | None, msgspec.Meta(description="of all pages; null where facets were not asked for")]
    total_is_at_least: Annotated[bool, msgspec.Meta(description="there are more: so many were counted, in the facets too")]
    facets: Mapping[str, Sequence[FacetValue]] | None


def search_answer(found: Found) -> SearchAnswer:
    """Return what was found."""
    facets = found.facets
    told = None
    if facets is not None:
        told = {facet.value: [FacetValue(one.value, one.count) for one in values] for facet, values in facets.items()}
    return SearchAnswer([_hit(hit) for hit in found.hits], found.next, found.total, found.at_least, told)


def _hit(hit: Hit) -> HitAnswer:
    return HitAnswer(**{name: getattr(hit, name) for name in HitAnswer.__struct_fields__})


FORMS: Final = (SearchBody, SearchAnswer)
