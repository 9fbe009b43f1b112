"""The tables that the catalogue is searched in. All can be made again, but the words that found nothing."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from catalog_registry.store.tables import Base


class SearchDocument(Base):
    """What a resource is found by, and counted under. ``tokens`` stand apart from the row, so that counting reads little.

    ``cover``: the document of a resource that is not shared for those whose it is not; it has the name and the reason only.
    ``seen`` says by whom: ``all``; ``own``, the department and who oversees; ``others``, everybody else. ``facets`` is what
    ``catalog_registry.facets`` packs; ``origin`` is the catalogue of a dataset of others, whose id ``resource`` is
    then; ``as_of`` is the instant of the last proved run.
    """

    __tablename__ = "search_document"
    __table_args__ = (
        CheckConstraint("seen IN ('all', 'own', 'others')", name="seen_known"),
        CheckConstraint("cover = (seen = 'others')", name="cover_is_for_others"),
        CheckConstraint("origin IS NULL OR seen = 'all'", name="others_are_for_all"),
        Index("ix_search_document_origin", "origin", postgresql_where=text("origin IS NOT NULL")),
        Index("ix_search_document_tokens", "tokens", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    )

    resource: Mapped[str] = mapped_column(primary_key=True)
    cover: Mapped[bool] = mapped_column(Boolean(), primary_key=True)
    seen: Mapped[str]
    department: Mapped[str]
    origin: Mapped[str | None]
    facets: Mapped[bytes] = mapped_column(LargeBinary())
    as_of: Mapped[datetime | None]
    tokens: Mapped[str] = mapped_column(TSVECTOR())


class SearchState(Base):
    """A number that every change of a document raises, by a trigger: what is counted of all of them is kept under it."""

    __tablename__ = "search_state"
    __table_args__ = (CheckConstraint("one", name="one"),)

    one: Mapped[bool] = mapped_column(Boolean(), primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger())


class SearchNumber(Base):
    """The number of a word that documents are counted under: a department's code, a format."""

    __tablename__ = "search_number"
    __table_args__ = (UniqueConstraint("kind", "n", name="uq_search_number_n"), CheckConstraint("n > 0", name="counts"))

    kind: Mapped[str] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(Integer())


class SearchMiss(Base):
    """Words that a department searched by and found nothing; none that look like somebody's number."""

    __tablename__ = "search_miss"
    __table_args__ = (
        CheckConstraint("length(words) <= 100 AND words ~ '\\S'", name="words_short"),
        Index("ix_search_miss_at", "at"),
    )

    n: Mapped[int] = mapped_column(BigInteger(), Identity(always=True), primary_key=True)
    words: Mapped[str]
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"))
    at: Mapped[datetime]
