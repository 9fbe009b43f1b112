"""The secrets of machine clients, and when each was last used. Only the role that issues tokens may read a hash."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column

from catalog_registry.store.tables import Base


class ClientSecret(Base):
    """One secret of a machine: argon2's hash of it, good from ``made_at`` until ``ends_at``; the newest has the highest ``n``.

    ``last_used_at`` is written once in some minutes, not at every token.
    """

    __tablename__ = "client_secret"
    __table_args__ = (CheckConstraint("ends_at >= made_at", name="interval"), CheckConstraint("n > 0", name="counts"))

    principal: Mapped[str] = mapped_column(ForeignKey("registry.principal.id"), primary_key=True)
    n: Mapped[int] = mapped_column(Integer(), primary_key=True, autoincrement=False)
    hash: Mapped[str]
    made_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
