"""Duties to destroy, and what was done to them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from catalog_registry.destruction_life import DESTRUCTION_REASONED, DestructionEvent, DestructionState
from catalog_registry.store.tables import Base, History, _texts

ENDS: Final = ("expired", "revoked", "withdrawn", "narrowed")
"""Why a grant is over: its time, somebody, or its resource; or, for some of its fields, a new version without them."""


class Destruction(Base):
    """That what was received under a grant is to be destroyed, since the grant has ended. One at most for each grant.

    Besides, one at most for each time at which it lost ``fields`` only.
    """

    __tablename__ = "destruction"
    __table_args__ = (
        CheckConstraint(f"state IN ({_texts(DestructionState)})", name="state_known"),
        CheckConstraint(f"ended IN ({_texts(ENDS)})", name="ended_known"),
        CheckConstraint(
            "(certificate IS NULL) = (sha256 IS NULL) AND (certificate IS NULL) = (filed_by IS NULL)"
            " AND (certificate IS NULL) = (filed_at IS NULL)",
            name="filed_whole",
        ),
        CheckConstraint("certificate ~ '\\S' AND sha256 ~ '^[0-9a-f]{64}$'", name="certificate_says"),
        CheckConstraint("state NOT IN ('filed', 'confirmed') OR certificate IS NOT NULL", name="is_filed"),
        CheckConstraint("(state = 'confirmed') = (confirmed_by IS NOT NULL)", name="is_confirmed"),
        CheckConstraint("confirmed_by <> filed_by", name="two_persons"),
        CheckConstraint("(ended = 'narrowed') = (coalesce(cardinality(fields), 0) > 0)", name="narrowed_of_fields"),
        Index("uq_destruction_of_end", "grant_id", unique=True, postgresql_where=text("ended <> 'narrowed'")),
        Index("uq_destruction_of_narrowing", "grant_id", "ended_at", unique=True, postgresql_where=text("ended = 'narrowed'")),
        Index("ix_destruction_open", "id", postgresql_where=text("state IN ('asked', 'filed')")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    grant_id: Mapped[str] = mapped_column(ForeignKey("registry.grant_.id"))
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), index=True)
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    ended: Mapped[str]
    ended_at: Mapped[datetime]
    state: Mapped[str]
    since: Mapped[datetime]
    version: Mapped[int] = mapped_column(Integer())
    certificate: Mapped[str | None]
    sha256: Mapped[str | None]
    document: Mapped[str | None]
    filed_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    filed_at: Mapped[datetime | None]
    confirmed_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    fields: Mapped[list[str] | None]


class DestructionHistory(History):
    """What was done to a duty to destroy."""

    __tablename__ = "destruction_history"
    of = "destruction"
    __table_args__ = (
        CheckConstraint(f"event IN ({_texts(('ask', *DestructionEvent))})", name="event_known"),
        CheckConstraint(f"event NOT IN ({_texts(DESTRUCTION_REASONED)}) OR coalesce(why, '') ~ '\\S'", name="has_reason"),
    )

    destruction: Mapped[str] = mapped_column(ForeignKey("registry.destruction.id"), primary_key=True)


class Narrowing(Base):
    """That a grant lost some of its fields, since a new version of the contract does not have them."""

    __tablename__ = "narrowing"
    __table_args__ = (CheckConstraint("cardinality(fields) > 0", name="has_fields"),)

    grant_id: Mapped[str] = mapped_column(ForeignKey("registry.grant_.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    fields: Mapped[list[str]]
    revision: Mapped[str] = mapped_column(ForeignKey("registry.revision.id"))
