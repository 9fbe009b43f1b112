"""The tables of demands and of ratings, schema ``registry``."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from catalog_registry.demand_states import DEMAND_REASONED, DemandEvent, DemandState
from catalog_registry.store.tables import Base, History, _texts
from schemas.catalogue import BasisKind, UpdateCycle

_ANSWERED = "('accepted', 'refused', 'fulfilled')"


class Demand(Base):
    """What a department asks for that is in no catalogue, and who is to provide it.

    ``since`` is the instant at which the clock of the step that it waits for began. Whoever asked neither appoints nor
    answers, and the appointment and the answer are two persons'.
    """

    __tablename__ = "demand"
    __table_args__ = (
        CheckConstraint(f"state IN ({_texts(DemandState)})", name="state_known"),
        CheckConstraint("title ~ '\\S'", name="has_title"),
        CheckConstraint("description ~ '\\S'", name="has_description"),
        CheckConstraint("cardinality(fields) > 0", name="has_fields"),
        CheckConstraint("cardinality(purposes) + cardinality(items) > 0", name="has_purpose_or_item"),
        CheckConstraint("legal_basis ~ '\\S'", name="has_legal_basis"),
        CheckConstraint(f"cycle IN ({_texts(UpdateCycle)})", name="cycle_known"),
        CheckConstraint("assigned <> department", name="not_from_itself"),
        CheckConstraint(
            f"state NOT IN ('assigned', {_ANSWERED[1:-1]}) OR num_nonnulls(assigned, appointed_by) = 2", name="is_appointed"
        ),
        CheckConstraint(f"state NOT IN {_ANSWERED} OR answered_by IS NOT NULL", name="is_answered"),
        CheckConstraint("state NOT IN ('accepted', 'fulfilled') OR promised_on IS NOT NULL", name="is_promised"),
        CheckConstraint(
            f"CASE WHEN state = 'refused' THEN coalesce(refusal_kind, '') IN ({_texts(BasisKind)})"
            " AND coalesce(refusal, '') ~ '\\S' ELSE num_nonnulls(refusal_kind, refusal) = 0 END",
            name="refused_has_basis",
        ),
        CheckConstraint("(state = 'fulfilled') = (resource IS NOT NULL)", name="fulfilled_has_resource"),
        CheckConstraint("appointed_by <> asker", name="asker_does_not_appoint"),
        CheckConstraint("answered_by <> asker", name="asker_does_not_answer"),
        CheckConstraint("answered_by <> appointed_by", name="two_persons"),
        Index("ix_demand_waiting", "id", postgresql_where=text("state IN ('submitted', 'assigned', 'accepted')")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    asker: Mapped[str] = mapped_column(ForeignKey("registry.principal.id"))
    title: Mapped[str]
    description: Mapped[str]
    fields: Mapped[list[str]]
    purposes: Mapped[list[str]]
    items: Mapped[list[str]]
    legal_basis: Mapped[str]
    cycle: Mapped[str | None]
    state: Mapped[str]
    version: Mapped[int] = mapped_column(Integer())
    assigned: Mapped[str | None] = mapped_column(ForeignKey("registry.department.code"), index=True)
    appointed_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    answered_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    promised_on: Mapped[date | None] = mapped_column(Date())
    refusal_kind: Mapped[str | None]
    refusal: Mapped[str | None]
    resource: Mapped[str | None] = mapped_column(ForeignKey("registry.resource.name"))
    since: Mapped[datetime]
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class DemandHistory(History):
    """What was done to a demand."""

    __tablename__ = "demand_history"
    of = "demand"
    __table_args__ = (
        CheckConstraint(f"event IN ({_texts(('ask', *DemandEvent))})", name="event_known"),
        CheckConstraint(f"event NOT IN ({_texts(DEMAND_REASONED)}) OR coalesce(why, '') ~ '\\S'", name="has_reason"),
    )

    demand: Mapped[str] = mapped_column(ForeignKey("registry.demand.id"), primary_key=True)
    by: Mapped[str] = mapped_column(ForeignKey("registry.principal.id"))


class Rating(Base):
    """How a department rates what it gets of a resource: one current rating for each of the two."""

    __tablename__ = "rating"
    __table_args__ = (
        CheckConstraint("score BETWEEN 1 AND 5", name="score_of_1_to_5"),
        UniqueConstraint("resource", "department", name="uq_rating_resource_department"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"))
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"))
    score: Mapped[int] = mapped_column(Integer())
    comment: Mapped[str | None]
    version: Mapped[int] = mapped_column(Integer())
    by: Mapped[str] = mapped_column(ForeignKey("registry.principal.id"))
    at: Mapped[datetime]


class RatingHistory(History):
    """What a department said of a resource before; its states are the scores, ``why`` is the comment."""

    __tablename__ = "rating_history"
    of = "rating"
    __table_args__ = (CheckConstraint("event IN ('rate', 'change')", name="event_known"),)

    rating: Mapped[str] = mapped_column(ForeignKey("registry.rating.id"), primary_key=True)
    by: Mapped[str] = mapped_column(ForeignKey("registry.principal.id"))
