"""The tables of correction requests, their history, and the notices to those who received what is wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from catalog_registry.correction_words import (
    REASONED,
    CorrectionEvent,
    CorrectionState,
    CorrectionType,
    NoticeKind,
    Outcome,
)
from catalog_registry.store.tables import Base, History, _texts


class Correction(Base):
    """A request to correct a row, or a resource where ``row_name`` is null. What was written stands sealed, a row by its key as
    it landed: a keyed hash where a part is personal.
    """

    __tablename__ = "correction"
    __table_args__ = (
        CheckConstraint(f"state IN ({_texts(CorrectionState)})", name="state_known"),
        CheckConstraint(f"type IN ({_texts(CorrectionType)})", name="type_known"),
        CheckConstraint(f"outcome IN ({_texts(Outcome)})", name="outcome_known"),
        CheckConstraint("(row_name IS NULL) = (row_key IS NULL)", name="row_has_key"),
        CheckConstraint("state NOT IN ('refused', 'contested', 'upheld') OR answered_by IS NOT NULL", name="is_answered"),
        CheckConstraint("state <> 'accepted' OR coalesce(answered_by, decided_by) IS NOT NULL", name="is_accepted_by_somebody"),
        CheckConstraint("state <> 'upheld' OR decided_by IS NOT NULL", name="is_decided"),
        CheckConstraint("(state = 'closed') = (outcome IS NOT NULL)", name="closed_has_outcome"),
        CheckConstraint("(state = 'closed') = (run_after IS NOT NULL)", name="closed_by_a_run"),
        CheckConstraint("run_after <> run_before", name="closed_by_a_later_run"),
        CheckConstraint("outcome <> 'changed' OR hash_after <> hash_before", name="hash_changed"),
        CheckConstraint("answered_by <> asker", name="asker_does_not_answer"),
        CheckConstraint("decided_by <> asker", name="asker_does_not_decide"),
        CheckConstraint("decided_by <> answered_by", name="two_persons"),
        Index("ix_correction_open", "state", postgresql_where=text("state IN ('submitted', 'contested', 'accepted')")),
        Index("ix_correction_to_tell", "id", postgresql_where=text("end_told_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), index=True)
    type: Mapped[str]
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    asker: Mapped[str] = mapped_column(ForeignKey("registry.principal.id"))
    fields: Mapped[list[str]]
    row_name: Mapped[str | None]
    row_key: Mapped[list[str] | None]
    sealed: Mapped[bytes]
    contract_version: Mapped[str | None]
    run_before: Mapped[str | None]
    hash_before: Mapped[bytes | None]
    let_through: Mapped[list[str]]
    state: Mapped[str]
    version: Mapped[int] = mapped_column(Integer())
    assigned: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    answered_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    outcome: Mapped[str | None]
    run_after: Mapped[str | None]
    hash_after: Mapped[bytes | None]
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    state_at: Mapped[datetime]
    wrong_told_at: Mapped[datetime | None]
    end_told_at: Mapped[datetime | None]


class CorrectionHistory(History):
    """What was done to a correction request. ``n`` is its ``version``."""

    __tablename__ = "correction_history"
    of = "correction"
    __table_args__ = (
        CheckConstraint(f"event IN ({_texts(('ask', *CorrectionEvent))})", name="event_known"),
        CheckConstraint(f"event NOT IN ({_texts(REASONED)}) OR coalesce(why, '') ~ '\\S'", name="has_reason"),
    )

    correction: Mapped[str] = mapped_column(ForeignKey("registry.correction.id"), primary_key=True)


class CorrectionNotice(Base):
    """What a department that received it was told of a correction: once that it is wrong, once how that ended."""

    __tablename__ = "correction_notice"
    __table_args__ = (
        CheckConstraint(f"kind IN ({_texts(NoticeKind)})", name="kind_known"),
        CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="acknowledged_by_somebody"),
        UniqueConstraint("correction", "kind", "department", name="uq_correction_notice_once"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    correction: Mapped[str] = mapped_column(ForeignKey("registry.correction.id"))
    kind: Mapped[str]
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    certain: Mapped[bool]
    detail: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
