"""Other catalogues, and what their datasets say. None of it is the district's own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from catalog_registry.store.tables import Base


class HarvestedCatalogue(Base):
    """Another catalogue: where it is read (``https://…``, ``http://…`` or ``file:/…``), and what the last run found."""

    __tablename__ = "harvested_catalogue"
    __table_args__ = (
        CheckConstraint("name ~ '^[a-z][a-z0-9_]{0,47}$'", name="name_form"),
        CheckConstraint("address ~ '^(https?://|file:/)'", name="address_form"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    address: Mapped[str]
    added_at: Mapped[datetime]
    added_by: Mapped[str]
    ran_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any] | None]


class Harvested(Base):
    """A dataset of another catalogue, as it was when ``harvested_at``; ``gone_at``: since when it has it no more."""

    __tablename__ = "harvested"
    __table_args__ = (UniqueConstraint("catalogue", "iri", name="uq_harvested_catalogue_iri"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    catalogue: Mapped[str] = mapped_column(ForeignKey("registry.harvested_catalogue.name"), index=True)
    iri: Mapped[str]
    title: Mapped[str]
    content: Mapped[dict[str, Any]]
    hash: Mapped[str]
    first_at: Mapped[datetime]
    harvested_at: Mapped[datetime]
    gone_at: Mapped[datetime | None]
