"""Bulk exports of personal data that were asked for, and what was done to them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column

from catalog_registry.bulk_export_life import EXPORT_REASONED, ExportEvent, ExportState
from catalog_registry.store.tables import Base, History, _texts


class BulkExport(Base):
    """One answer with personal fields that is asked for beforehand: by whom, under which grant, which fields and rows, once."""

    __tablename__ = "bulk_export"
    __table_args__ = (
        CheckConstraint(f"state IN ({_texts(ExportState)})", name="state_known"),
        CheckConstraint("reason ~ '\\S'", name="has_reason"),
        CheckConstraint("cardinality(fields) > 0", name="has_fields"),
        CheckConstraint("state NOT IN ('approved', 'used', 'refused') OR answered_by IS NOT NULL", name="is_answered"),
        CheckConstraint("state NOT IN ('approved', 'used') OR until IS NOT NULL", name="has_end"),
        CheckConstraint("(state = 'used') = (used_at IS NOT NULL)", name="used_once"),
        CheckConstraint("answered_by <> asked_by AND answered_by <> principal", name="second_person"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    grant_id: Mapped[str] = mapped_column(ForeignKey("registry.grant_.id"), index=True)
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), index=True)
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    provider: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    principal: Mapped[str] = mapped_column(ForeignKey("registry.principal.id"))
    asked_by: Mapped[str] = mapped_column(ForeignKey("registry.principal.id"))
    purpose: Mapped[str]
    fields: Mapped[list[str]]
    row_filter: Mapped[str | None]
    reason: Mapped[str]
    state: Mapped[str]
    version: Mapped[int] = mapped_column(Integer())
    answered_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    until: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class BulkExportHistory(History):
    """What was done to a bulk export."""

    __tablename__ = "bulk_export_history"
    of = "bulk_export"
    __table_args__ = (
        CheckConstraint(f"event IN ({_texts(('ask', *ExportEvent))})", name="event_known"),
        CheckConstraint(f"event NOT IN ({_texts(EXPORT_REASONED)}) OR coalesce(why, '') ~ '\\S'", name="has_reason"),
    )

    bulk_export: Mapped[str] = mapped_column(ForeignKey("registry.bulk_export.id"), primary_key=True)
