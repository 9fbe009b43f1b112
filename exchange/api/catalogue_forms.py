"""What the routes of the whole catalogue take and give, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from catalog_registry.brought import BadPlace
from catalog_registry.exports.national import COUNTS, NATIONAL
from catalog_registry.imports import Imported, Outcome

MOST_FAULTS: Final = 500
"""Faults told in an answer; all of them are counted."""

NationalEntry: Final = msgspec.defstruct(
    "NationalEntry",
    [
        *((key, str | None, None) for key in NATIONAL.values() if key != NATIONAL["fields"]),
        (NATIONAL["fields"], list[dict[str, Any]], msgspec.field(default_factory=list)),
        *((key, int, 0) for key in COUNTS),
    ],
    namespace={"__doc__": "A resource in the national form of the catalogue: an array of them is taken, or one."},
)


class TemplateAnswer(msgspec.Struct, frozen=True):
    """A workbook."""


class TakenAnswer(msgspec.Struct, frozen=True):
    """A resource that was brought in."""

    name: str
    code: str | None
    title: str
    outcome: Annotated[str, msgspec.Meta(description=", ".join(Outcome))]


class FaultAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong at a place: the cell of a sheet, by the letters and the heading of its column; or an entry of a file."""

    reason: str
    sheet: str | None = None
    row: Annotated[int | None, msgspec.Meta(description="from 1, as spreadsheets count")] = None
    column: str | None = None
    heading: str | None = None
    entry: Annotated[int | None, msgspec.Meta(description="number of the entry or of the document, from 1")] = None


class ImportAnswer(msgspec.Struct, frozen=True):
    """What became of a file. ``faults`` are what was not taken, where only what is right was to be."""

    checked: Annotated[bool, msgspec.Meta(description="true: nothing was changed, this is what would become of it")]
    counts: Annotated[Mapping[str, int], msgspec.Meta(description="how many had each outcome")]
    taken: Sequence[TakenAnswer]
    faults: Annotated[Sequence[FaultAnswer], msgspec.Meta(description=f"the first {MOST_FAULTS}")]
    faults_count: int


def import_answer(done: Imported, *, checked: bool) -> ImportAnswer:
    """Return what became of a file."""
    return ImportAnswer(
        checked=checked,
        counts={outcome.value: done.count(outcome) for outcome in Outcome},
        taken=[TakenAnswer(one.name, one.code, one.title, one.outcome.value) for one in done.taken],
        faults=fault_answers(done.faults),
        faults_count=done.faults_count,
    )


def fault_answers(faults: Sequence[BadPlace]) -> list[FaultAnswer]:
    """Return the first of the faults."""
    return [FaultAnswer(**fault.as_json()) for fault in faults[:MOST_FAULTS]]
