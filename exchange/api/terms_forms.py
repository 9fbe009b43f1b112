"""What the routes of duties to destroy and of bulk exports take and give, as types."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from catalog_registry.records import BulkExportRecord, DestructionRecord
from catalog_registry.step_clock import StepClock
from exchange.api.registry_forms import ClockAnswer, clock_answer

_Text = Annotated[str, msgspec.Meta(max_length=4000, pattern=r"^[^\x00]*$")]
_Short = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*$")]
_Names = Annotated[list[_Short], msgspec.Meta(max_length=500)]
_Hours = Annotated[int, msgspec.Meta(ge=1, le=24)]
_Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?![\s\S])")]


class CertificateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The certificate that what was received is destroyed."""

    text: Annotated[_Text, msgspec.Meta(description="what was destroyed, where, how, and by whom")]
    document: Annotated[_Short | None, msgspec.Meta(description="name of the signed document; null: the text is all")] = None
    sha256: Annotated[_Digest | None, msgspec.Meta(description="of that document, 64 hex digits; null: there is none")] = None


class BulkExportBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer with personal fields that is asked for beforehand."""

    grant: Annotated[_Short, msgspec.Meta(description="id of the grant that allows the fields")]
    fields: Annotated[_Names, msgspec.Meta(description="those that are to be given")]
    purpose: Annotated[_Short, msgspec.Meta(description="the one that the query will name")]
    reason: Annotated[_Text, msgspec.Meta(description="why so many rows are needed")]
    filter: Annotated[_Text | None, msgspec.Meta(description="the filter that the query will have; null: none")] = None
    principal: Annotated[_Short | None, msgspec.Meta(description="the account that will query; null: the one that asks")] = None


class ApproveExportBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an approval is good."""

    hours: Annotated[_Hours | None, msgspec.Meta(description="how long it is good; null: 24")] = None
    why: Annotated[_Text, msgspec.Meta(description="a remark, which is kept")] = ""


class DestructionAnswer(msgspec.Struct, frozen=True):
    """A duty to destroy what was received under a grant that has ended."""

    id: str
    grant: str
    resource: str
    department: Annotated[str, msgspec.Meta(description="the receiver's")]
    ended: Annotated[str, msgspec.Meta(description="expired, revoked or withdrawn; narrowed: over for some fields only")]
    ended_at: datetime
    fields: Annotated[Sequence[str] | None, msgspec.Meta(description="what of it is to be destroyed; null: all of it")]
    state: str
    since: datetime
    version: Annotated[int, msgspec.Meta(description="raised by every step; the number in the ETag")]
    certificate: str | None
    sha256: Annotated[str | None, msgspec.Meta(description="of the document, or of the text where there is none")]
    document: str | None
    filed_by: str | None
    filed_at: datetime | None
    confirmed_by: str | None
    made_at: datetime
    changed_at: datetime
    clock: Annotated[ClockAnswer | None, msgspec.Meta(description="null at the end, where nobody is waited for")]


class DestructionPage(msgspec.Struct, frozen=True):
    """Some duties, oldest first. ``next`` is the ``after`` of the page that follows, null on the last one."""

    destructions: Sequence[DestructionAnswer]
    next: str | None


class BulkExportAnswer(msgspec.Struct, frozen=True):
    """An answer with personal fields that was asked for; approved, it is good once and before ``until``."""

    id: str
    grant: str
    resource: str
    department: str
    provider: str
    principal: str
    asked_by: str
    purpose: str
    fields: Sequence[str]
    row_filter: str | None
    reason: str
    state: str
    version: Annotated[int, msgspec.Meta(description="raised by every step; the number in the ETag")]
    answered_by: str | None
    until: datetime | None
    used_at: datetime | None
    made_at: datetime
    changed_at: datetime


class BulkExportPage(msgspec.Struct, frozen=True):
    """Some bulk exports, oldest first. ``next`` is the ``after`` of the page that follows, null on the last one."""

    bulk_exports: Sequence[BulkExportAnswer]
    next: str | None


FORMS = (
    *(CertificateBody, BulkExportBody, ApproveExportBody),
    *(DestructionAnswer, DestructionPage, BulkExportAnswer, BulkExportPage),
)


def destruction_answer(found: DestructionRecord, clock: StepClock | None) -> DestructionAnswer:
    """Return a duty with its clock."""
    said = {name: getattr(found, name) for name in DestructionAnswer.__struct_fields__ if name != "clock"}
    return DestructionAnswer(**said, clock=clock_answer(clock))


def bulk_export_answer(found: BulkExportRecord) -> BulkExportAnswer:
    """Return a bulk export."""
    return BulkExportAnswer(**{name: getattr(found, name) for name in BulkExportAnswer.__struct_fields__})
