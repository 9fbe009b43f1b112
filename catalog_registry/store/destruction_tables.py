"""Duties to destroy, and what was done to them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column

from catalog_registry.destruction_life import DESTRUCTION_REASONED, DestructionEvent, DestructionState
from catalog_registry.store.tables import Base, History, _texts

ENDS: Final = ("expired", "revoked", "withdrawn")
"""Why a grant is over: its time, somebody, or its resource."""

TOLD: Final = ("", "half", "last", "late")
"""How far the clock of the state was told of."""


class Destruction(Base):
    """That what was received under a grant is to be destroyed, since the grant has ended. One at most for each grant."""

    __tablename__ = "destruction"
    __table_args__ = (
        CheckConstraint(f"state IN ({_texts(DestructionState)})", name="state_known"),
        CheckConstraint(f"ended IN ({_texts(ENDS)})", name="ended_known"),
        CheckConstraint(f"told IN ({_texts(TOLD)})", name="told_known"),
        CheckConstraint(
            "(certificate IS NULL) = (sha256 IS NULL) AND (certificate IS NULL) = (filed_by IS NULL)"
            " AND (certificate IS NULL) = (filed_at IS NULL)",
            name="filed_whole",
        ),
        CheckConstraint("certificate ~ '\\S' AND sha256 ~ '^[0-9a-f]{64}$'", name="certificate_says"),
        CheckConstraint("state NOT IN ('filed', 'confirmed') OR certificate IS NOT NULL", name="is_filed"),
        CheckConstraint("(state = 'confirmed') = (confirmed_by IS NOT NULL)", name="is_confirmed"),
        CheckConstraint("confirmed_by <> filed_by", name="two_persons"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    grant_id: Mapped[str] = mapped_column(ForeignKey("registry.grant_.id"), unique=True)
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), index=True)
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    ended: Mapped[str]
    ended_at: Mapped[datetime]
    state: Mapped[str]
    since: Mapped[datetime]
    told: Mapped[str]
    version: Mapped[int] = mapped_column(Integer())
    certificate: Mapped[str | None]
    sha256: Mapped[str | None]
    document: Mapped[str | None]
    filed_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    filed_at: Mapped[datetime | None]
    confirmed_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class DestructionHistory(History):
    """What was done to a duty to destroy."""

    __tablename__ = "destruction_history"
    of = "destruction"
    __table_args__ = (
        CheckConstraint(f"event IN ({_texts(('ask', *DestructionEvent))})", name="event_known"),
        CheckConstraint(f"event NOT IN ({_texts(DESTRUCTION_REASONED)}) OR coalesce(why, '') ~ '\\S'", name="has_reason"),
    )

    destruction: Mapped[str] = mapped_column(ForeignKey("registry.destruction.id"), primary_key=True)
