"""Tables of what comes: revisions of contracts, withdrawals on a date, what those affected are told, and reminders."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from catalog_registry.revision_states import REVISION_REASONED, TOLD_STATES, RevisionEvent, RevisionState
from catalog_registry.store.tables import Base, History, _texts

DONE = ("done", "called_off")
REMINDED = ("half", "last", "escalated", "outcome")


class Revision(Base):
    """A new version of a resource's contract on its way into force. It is no ``contract_version`` before it is there.

    ``changes`` is what was told of it. ``ends_at`` is the first instant after the notice. Whoever proposed it does not review.
    """

    __tablename__ = "revision"
    __table_args__ = (
        CheckConstraint(f"state IN ({_texts(RevisionState)})", name="state_known"),
        CheckConstraint("reviewed_by <> made_by", name="two_persons"),
        CheckConstraint("state <> 'noticed' OR ends_at IS NOT NULL", name="noticed_has_an_end"),
        CheckConstraint("(noticed_at IS NULL) = (ends_at IS NULL)", name="notice_begins_and_ends"),
        CheckConstraint("ends_at > noticed_at", name="interval"),
        Index(
            "uq_revision_on_its_way",
            "resource",
            unique=True,
            postgresql_where=text(f"state IN ({_texts(TOLD_STATES)})"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), index=True)
    from_version: Mapped[str]
    to_version: Mapped[str]
    odcs: Mapped[str]
    hash: Mapped[str]
    breaking: Mapped[bool]
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB(none_as_null=True))
    why: Mapped[str | None]
    state: Mapped[str]
    version: Mapped[int] = mapped_column(Integer())
    made_by: Mapped[str]
    reviewed_by: Mapped[str | None]
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    noticed_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    provisional: Mapped[bool]


class RevisionHistory(History):
    """What was done to a revision."""

    __tablename__ = "revision_history"
    of = "revision"
    __table_args__ = (
        CheckConstraint(f"event IN ({_texts(('propose', *RevisionEvent))})", name="event_known"),
        CheckConstraint(f"event NOT IN ({_texts(REVISION_REASONED)}) OR coalesce(why, '') ~ '\\S'", name="has_reason"),
    )

    revision: Mapped[str] = mapped_column(ForeignKey("registry.revision.id"), primary_key=True)


class Withdrawal(Base):
    """That a resource will be withdrawn at an instant. ``outcome`` is None while it is to come; one at a time."""

    __tablename__ = "withdrawal"
    __table_args__ = (
        CheckConstraint("why ~ '\\S'", name="has_reason"),
        CheckConstraint("at > made_at", name="is_to_come"),
        CheckConstraint(f"outcome IN ({_texts(DONE)})", name="outcome_known"),
        CheckConstraint("num_nonnulls(outcome, ended_at, ended_by) IN (0, 3)", name="ended_by_somebody"),
        Index("uq_withdrawal_to_come", "resource", unique=True, postgresql_where=text("outcome IS NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), index=True)
    at: Mapped[datetime]
    why: Mapped[str]
    made_at: Mapped[datetime]
    made_by: Mapped[str]
    outcome: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]


class Notice(Base):
    """What one department is told of a revision or a withdrawal, and that it has read it.

    ``grants`` says what becomes of each of its grants.
    """

    __tablename__ = "notice"
    __table_args__ = (
        CheckConstraint("num_nonnulls(revision, withdrawal) = 1", name="about_one_thing"),
        CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="acknowledged_by_somebody"),
        UniqueConstraint("revision", "department", name="uq_notice_revision_department"),
        UniqueConstraint("withdrawal", "department", name="uq_notice_withdrawal_department"),
        Index("ix_notice_unread", "id", postgresql_where=text("acknowledged_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[str | None] = mapped_column(ForeignKey("registry.revision.id"))
    withdrawal: Mapped[str | None] = mapped_column(ForeignKey("registry.withdrawal.id"))
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"))
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    grants: Mapped[list[dict[str, Any]]] = mapped_column(JSONB(none_as_null=True))
    told_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))


class Reminder(Base):
    """That somebody was reminded of a clock, or that its being late was told to the centre: once for each run of a clock.

    ``skipped`` names what was not told because no worker ran by then. ``department`` is None where the centre has the step.
    """

    __tablename__ = "reminder"
    __table_args__ = (CheckConstraint(f"what IN ({_texts(REMINDED)})", name="what_known"),)

    kind: Mapped[str] = mapped_column(primary_key=True)
    thing: Mapped[str] = mapped_column(primary_key=True)
    rule: Mapped[str] = mapped_column(primary_key=True)
    began: Mapped[datetime] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    department: Mapped[str | None] = mapped_column(ForeignKey("registry.department.code"), index=True)
    resource: Mapped[str | None]
    at: Mapped[datetime]
    due: Mapped[date | None] = mapped_column(Date())
    left_days: Mapped[int] = mapped_column(Integer())
    provisional: Mapped[bool]
    skipped: Mapped[list[str]]
