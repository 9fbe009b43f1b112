"""What the routes of correction requests take and give, as types: they decode bodies, encode answers and make the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from catalog_registry.correction_records import CorrectionRecord, NoticeRecord
from catalog_registry.correction_words import TYPE_WORDS, CorrectionState
from catalog_registry.step_clock import StepClock
from exchange.api.registry_forms import ClockAnswer, _Body, _Names, _Short, _Text
from exchange.corrections.row import AnsweredRow
from exchange.corrections.words import Words

SHOWN_FROM: Final = (CorrectionState.ACCEPTED, CorrectionState.CLOSED)
"""States in which runs and hashes are shown: before, they would tell whoever asks whether there is such a row."""

_Key = Annotated[dict[str, _Short], msgspec.Meta(max_length=20)]


class AskCorrectionBody(_Body, frozen=True):
    """What is wrong, of which row, or of a whole resource."""

    resource: Annotated[_Short, msgspec.Meta(description="name of the resource")]
    type: Annotated[_Short, msgspec.Meta(description="; ".join(f"{code.value} {words}" for code, words in TYPE_WORDS.items()))]
    content: Annotated[_Text, msgspec.Meta(description="what is wrong; kept sealed")]
    evidence: Annotated[_Text | None, msgspec.Meta(description="what shows it, or where that is; kept sealed")] = None
    fields: Annotated[_Names, msgspec.Meta(description="names of the fields that are wrong; empty: not said")] = msgspec.field(
        default_factory=list
    )
    row: Annotated[
        _Key | None, msgspec.Meta(description="the row's key, field by field; null, and no answer: the whole resource")
    ] = None
    answer: Annotated[
        AnsweredRow | None, msgspec.Meta(description="the look-up that gave the row: its receipt, and which of its licences")
    ] = None


class ResolveBody(_Body, frozen=True):
    """Which run brought the correction."""

    why: Annotated[_Text, msgspec.Meta(description="what was corrected; it is kept")]
    run: Annotated[_Short | None, msgspec.Meta(description="a proved run; null: the newest one")] = None


class WordsAnswer(msgspec.Struct, frozen=True):
    """What whoever asked wrote."""

    content: str
    evidence: str | None
    key: Annotated[Mapping[str, str] | None, msgspec.Meta(description="the row's key as it was given")]


class CorrectionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A correction request in a list."""

    id: str
    resource: str
    type: str
    department: Annotated[str, msgspec.Meta(description="the one that asked")]
    asker: str
    fields: Sequence[str]
    row: Annotated[
        str | None, msgspec.Meta(description="the row's key, a pseudonym where it is personal; null: the whole resource")
    ]
    state: str
    version: Annotated[int, msgspec.Meta(description="raised by every step; the number in the ETag")]
    assigned: Annotated[str, msgspec.Meta(description="the department that answers and corrects")]
    answered_by: str | None
    decided_by: str | None
    outcome: Annotated[str | None, msgspec.Meta(description="changed, gone, appeared or declared, once it is closed")]
    run_before: Annotated[str | None, msgspec.Meta(description="the run of the wrong row; shown once it is accepted")]
    hash_before: Annotated[str | None, msgspec.Meta(description="keyed hash of the wrong row; shown once it is accepted")]
    run_after: Annotated[str | None, msgspec.Meta(description="the run that shows the change")]
    hash_after: Annotated[str | None, msgspec.Meta(description="keyed hash after the change; null: the row is gone")]
    made_at: datetime
    changed_at: datetime
    clock: Annotated[ClockAnswer | None, msgspec.Meta(description="null where nobody is waited for")]


class CorrectionAnswer(CorrectionLine, frozen=True, kw_only=True):
    """A correction request with what was written."""

    words: Annotated[WordsAnswer | None, msgspec.Meta(description="null where it was not asked for: in the answer to a step")]


class CorrectionPage(msgspec.Struct, frozen=True):
    """Some correction requests, oldest first. ``next`` is the ``after`` of the page that follows, null on the last one."""

    corrections: Sequence[CorrectionLine]
    next: str | None


class LateDepartment(msgspec.Struct, frozen=True):
    """What a department should have answered or corrected by now; null: what the centre should have decided."""

    department: str | None
    late: int
    corrections: Annotated[Sequence[CorrectionLine], msgspec.Meta(description="the longest late first, 200 at most")]


class LateCorrectionsAnswer(msgspec.Struct, frozen=True):
    """What is late, by who has it."""

    departments: Sequence[LateDepartment]


class CorrectionNoticeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a department was told: something that it received is wrong, or was corrected."""

    id: str
    correction: str
    kind: Annotated[str, msgspec.Meta(description="wrong; then corrected, or dropped: it was taken back")]
    department: str
    certain: Annotated[bool, msgspec.Meta(description="false: it may have received the row, among others")]
    resource: str
    row: str | None
    fields: Sequence[str]
    run_after: Annotated[str | None, msgspec.Meta(description="the run that brought the correction")]
    detail: Annotated[
        Mapping[str, Any], msgspec.Meta(description="how often, from when to when, by which systems, for which cases, receipts")
    ]
    at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class CorrectionNoticePage(msgspec.Struct, frozen=True):
    """Some notices, oldest first. ``next`` is the ``after`` of the page that follows, null on the last one."""

    notices: Sequence[CorrectionNoticeAnswer]
    next: str | None


def correction_line(found: CorrectionRecord, clock: StepClock | None) -> CorrectionLine:
    """Return a request for a list, without a word that was written."""
    return CorrectionLine(**_line(found, clock))


def correction_answer(found: CorrectionRecord, clock: StepClock | None, words: Words | None) -> CorrectionAnswer:
    """Return a request with what was written; that it is read has been recorded."""
    said = None if words is None else WordsAnswer(words.content, words.evidence, words.key)
    return CorrectionAnswer(**_line(found, clock), words=said)


def notice_answer(found: NoticeRecord) -> CorrectionNoticeAnswer:
    """Return a notice."""
    return CorrectionNoticeAnswer(**{name: getattr(found, name) for name in CorrectionNoticeAnswer.__struct_fields__})


def _line(found: CorrectionRecord, clock: StepClock | None) -> dict[str, Any]:
    hidden = {} if found.state in SHOWN_FROM else {"run_before": None, "hash_before": None}
    told = None if clock is None else ClockAnswer(**{name: getattr(clock, name) for name in ClockAnswer.__struct_fields__})
    names = CorrectionLine.__struct_fields__
    return {name: getattr(found, name) for name in names if name != "clock"} | hidden | {"clock": told}


FORMS: Final = (
    AskCorrectionBody,
    ResolveBody,
    CorrectionPage,
    CorrectionAnswer,
    LateCorrectionsAnswer,
    CorrectionNoticePage,
    CorrectionNoticeAnswer,
)
