"""What the routes of items and licence types take and give, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from catalog_registry.coverage import Coverage
from catalog_registry.guide import Guide, guide_text
from catalog_registry.item_records import (
    HandbookRecord,
    ItemRecord,
    ItemVersionRecord,
    LicenceTypeRecord,
    PerformingBody,
    StandIns,
)
from exchange.api.registry_forms import _Body, _Instant, _Names, _Short, _Text
from schemas.handbook import handbook_document
from schemas.item_form import item_document, plain_document
from schemas.licence_type import licence_type_document

MAX_ELEMENTS_BYTES: Final = 512 << 10
MAX_CODES_BYTES: Final = 12 << 20

_Object = dict[str, Any]
_Codes = Annotated[list[_Short], msgspec.Meta(max_length=50_000)]


class ElementsBody(_Body, frozen=True):
    """An item that is kept by hand, or a licence type, as its elements."""

    elements: Annotated[_Object, msgspec.Meta(description="the elements by their keys, as an answer shows them")]


class StandInBody(_Body, frozen=True):
    """What stands in for one material."""

    licence_types: Annotated[_Names, msgspec.Meta(description="codes of licence types")] = msgspec.field(default_factory=list)
    resources: Annotated[_Names, msgspec.Meta(description="names of shared resources")] = msgspec.field(default_factory=list)


class StandInsBody(_Body, frozen=True):
    """What stands in for some materials, exactly; nothing: the paper must be handed in."""

    materials: Annotated[dict[str, StandInBody], msgspec.Meta(max_length=200, description="by the material's code")]


class HandbookBody(_Body, frozen=True):
    """The steps of a handbook, in their order."""

    steps: Annotated[
        list[_Object], msgspec.Meta(max_length=200, description="each with name, body, post, powers, examines, how")
    ]


class DelegateBody(_Body, frozen=True):
    """To which department an item is delegated."""

    department: Annotated[_Short, msgspec.Meta(description="code of the department")]
    basis: Annotated[_Text, msgspec.Meta(description="the legal basis")]
    from_at: Annotated[_Instant | None, msgspec.Meta(description="null: now")] = None
    to_at: Annotated[_Instant | None, msgspec.Meta(description="null: until it is ended")] = None


class EndDelegationBody(_Body, frozen=True):
    """Whose delegation ends."""

    department: Annotated[_Short, msgspec.Meta(description="code of the department")]


class CoverageBody(_Body, frozen=True):
    """Against what the register is looked at."""

    basic_codes: Annotated[_Codes | None, msgspec.Meta(description="that must be in; null: what is in must be whole")] = None
    department: Annotated[_Short | None, msgspec.Meta(description="only what is this department's; null: all")] = None


class TermsBody(_Body, frozen=True):
    """The terms on which a licence type is shared."""

    terms: Annotated[_Object, msgspec.Meta(description="sharing, condition, fields, states")]


class ItemLine(msgspec.Struct, frozen=True):
    """An item in a list. ``owner`` is the code of the system whose it is; null: it is kept by hand in the hub."""

    code: str
    code_type: str
    basic_code: str | None
    name: str
    body: str
    department: str | None
    owner: str | None
    state: str
    version: Annotated[int, msgspec.Meta(description="raised by every version; the number in the ETag")]
    changed_at: datetime


class ItemAnswer(ItemLine, frozen=True):
    """A version of an item: the newest, or the one in force at the instant asked for."""

    effective_at: datetime
    recorded_at: datetime
    elements: _Object


class ItemPage(msgspec.Struct, frozen=True):
    """Some items, by code. ``next`` is the ``after`` of the page that follows, null on the last one."""

    items: Sequence[ItemLine]
    next: str | None


class ItemVersionAnswer(msgspec.Struct, frozen=True):
    """A version: what it was, from when on, and since when the hub knows it."""

    version: int
    event: str
    state: str
    effective_at: datetime
    recorded_at: datetime
    by: str
    why: str | None
    elements: _Object


class ItemVersionsAnswer(msgspec.Struct, frozen=True):
    """The versions of an item, oldest first."""

    versions: Sequence[ItemVersionAnswer]


class GuideMaterialAnswer(msgspec.Struct, frozen=True):
    """A material; ``exempt``: something stands in for it."""

    code: str
    name: str
    needed: bool
    exempt: bool
    licence_types: Sequence[str]
    resources: Sequence[str]


class GuideAnswer(msgspec.Struct, frozen=True):
    """The guide of an item 办事指南: by headings, and as text."""

    code: str
    name: str
    said: Mapping[str, str]
    materials: Sequence[GuideMaterialAnswer]
    questions: Sequence[Mapping[str, str]]
    text: Annotated[str, msgspec.Meta(description="as Markdown")]


class StandInAnswer(msgspec.Struct, frozen=True):
    """What stands in for a material."""

    licence_types: Sequence[str]
    resources: Sequence[str]


class StandInsAnswer(msgspec.Struct, frozen=True):
    """What stands in for the materials of an item; ``version`` is the number in the ETag, 0 where nothing was ever said."""

    item: str
    version: int
    materials: Mapping[str, StandInAnswer]


class HandbookAnswer(msgspec.Struct, frozen=True):
    """The handbook of an item; version 0 and no steps where it has none yet."""

    item: str
    version: int
    at: datetime | None
    by: str | None
    steps: Sequence[_Object]


class BodyAnswer(msgspec.Struct, frozen=True):
    """A body that performs an item. ``variant``: main, lower (such as a township) or delegated."""

    variant: str
    item: str
    body: str
    department: str | None
    level: str | None
    basis: str | None
    from_at: datetime | None
    to_at: datetime | None


class BodiesAnswer(msgspec.Struct, frozen=True):
    """Who performs an item: by an implementation record of the same basic code, or by delegation."""

    bodies: Sequence[BodyAnswer]


class TallyAnswer(msgspec.Struct, frozen=True):
    """The items of a department: how many must be in, how many are whole, how many lack what."""

    department: str | None
    wanted: int
    whole: int
    lacks: Mapping[str, int]


class GapAnswer(msgspec.Struct, frozen=True):
    """What one item lacks."""

    basic_code: str
    item: str | None
    name: str | None
    department: str | None
    lacks: Sequence[str]


class CoverageAnswer(msgspec.Struct, frozen=True):
    """Which items are in as they must be 应进必进."""

    wanted: int
    whole: int
    departments: Sequence[TallyAnswer]
    gaps: Sequence[GapAnswer]


class WorkbookAnswer(msgspec.Struct, frozen=True):
    """What was taken over of a workbook: codes of items that are new or other than before."""

    items: Sequence[str]
    handbooks: Sequence[str]


class LicenceTypeAnswer(msgspec.Struct, frozen=True):
    """A licence type. ``type`` is its owner's, ``terms`` are the hub's own, ``items`` those of which a material accepts it."""

    code: str
    state: str
    version: Annotated[int, msgspec.Meta(description="raised by every change; the number in the ETag")]
    department: str | None
    owner: str | None
    changed_at: datetime
    type: _Object
    terms: _Object
    items: Sequence[str]


class LicenceTypePage(msgspec.Struct, frozen=True):
    """Some licence types, by code. ``next`` is the ``after`` of the page that follows, null on the last one."""

    licence_types: Sequence[LicenceTypeAnswer]
    next: str | None


def item_line(found: ItemRecord) -> ItemLine:
    """Return an item for a list."""
    return ItemLine(**_line(found))


def item_answer(found: ItemRecord, version: ItemVersionRecord) -> ItemAnswer:
    """Return a version of an item."""
    said = _line(found) | {"state": version.state.value, "version": version.version}
    return ItemAnswer(
        **said, effective_at=version.effective_at, recorded_at=version.recorded_at, elements=item_document(version.item)
    )


def versions_answer(found: Sequence[ItemVersionRecord]) -> ItemVersionsAnswer:
    """Return the versions of an item."""
    return ItemVersionsAnswer(
        [
            ItemVersionAnswer(
                v.version, v.event, v.state.value, v.effective_at, v.recorded_at, v.by, v.why, item_document(v.item)
            )
            for v in found
        ]
    )


def guide_answer(guide: Guide) -> GuideAnswer:
    """Return a guide."""
    materials = [
        GuideMaterialAnswer(
            m.material.code, m.material.name, m.material.needed, m.exempt, m.stand_in.licence_types, m.stand_in.resources
        )
        for m in guide.materials
    ]
    return GuideAnswer(
        guide.code, guide.name, guide.said, materials, [plain_document(q) for q in guide.questions], guide_text(guide)
    )


def stand_ins_answer(found: StandIns) -> StandInsAnswer:
    """Return what stands in for the materials of an item."""
    materials = {code: StandInAnswer(one.licence_types, one.resources) for code, one in found.materials.items()}
    return StandInsAnswer(found.item, found.version, materials)


def handbook_answer(item: str, found: HandbookRecord | None) -> HandbookAnswer:
    """Return a handbook, or that there is none yet."""
    if found is None:
        return HandbookAnswer(item, 0, None, None, [])
    return HandbookAnswer(found.item, found.version, found.at, found.by, handbook_document(found.handbook)["steps"])


def body_answer(found: PerformingBody) -> BodyAnswer:
    """Return a body that performs an item."""
    said = {name: getattr(found, name) for name in BodyAnswer.__struct_fields__}
    return BodyAnswer(**(said | {"variant": found.variant.value}))


def coverage_answer(found: Coverage) -> CoverageAnswer:
    """Return the report."""
    tallies = [
        TallyAnswer(t.department, t.wanted, t.whole, {lack.value: n for lack, n in t.lacks.items()}) for t in found.departments
    ]
    gaps = [GapAnswer(g.basic_code, g.item, g.name, g.department, [lack.value for lack in g.lacks]) for g in found.gaps]
    return CoverageAnswer(found.wanted, found.whole, tallies, gaps)


def licence_type_answer(found: LicenceTypeRecord) -> LicenceTypeAnswer:
    """Return a licence type."""
    return LicenceTypeAnswer(
        code=found.type.code,
        state=found.state,
        version=found.version,
        department=found.department,
        owner=found.owner,
        changed_at=found.changed_at,
        type=licence_type_document(found.type),
        terms=licence_type_document(found.terms),
        items=found.items,
    )


def _line(found: ItemRecord) -> dict[str, Any]:
    said = {name: getattr(found, name) for name in ItemLine.__struct_fields__}
    return said | {"state": found.state.value}


FORMS: Final = (
    *(ElementsBody, StandInsBody, HandbookBody, DelegateBody, EndDelegationBody, CoverageBody, TermsBody),
    *(ItemPage, ItemAnswer, ItemVersionsAnswer, GuideAnswer, StandInsAnswer, HandbookAnswer, BodyAnswer, BodiesAnswer),
    *(CoverageAnswer, WorkbookAnswer, LicenceTypeAnswer, LicenceTypePage),
)
