"""The tables of service items and licence types: what their owners' systems say, and beside it what the hub itself says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from catalog_registry.item_life import ENTER, ItemEvent, ItemState
from catalog_registry.store.tables import Base, History, _texts


class Item(Base):
    """A service item as one body performs it, as it is now: the newest of its versions.

    ``owner`` is the system whose it is; None: it is kept by hand in the hub. ``hash`` is of its elements.
    """

    __tablename__ = "service_item"
    __table_args__ = (
        CheckConstraint(f"state IN ({_texts(ItemState)})", name="state_known"),
        CheckConstraint("code_type ~ '^[a-z][a-z0-9_]{0,31}$'", name="code_type_form"),
        CheckConstraint("code_type <> 'implementation' OR length(code) = 31", name="implementation_code"),
        CheckConstraint("version > 0", name="version"),
    )

    code: Mapped[str] = mapped_column(primary_key=True)
    code_type: Mapped[str]
    basic_code: Mapped[str | None] = mapped_column(index=True)
    name: Mapped[str]
    body: Mapped[str]
    department: Mapped[str | None] = mapped_column(ForeignKey("registry.department.code"), index=True)
    owner: Mapped[str | None] = mapped_column(ForeignKey("registry.system.code"))
    state: Mapped[str]
    version: Mapped[int] = mapped_column(Integer())
    hash: Mapped[str]
    changed_at: Mapped[datetime]


class ItemVersion(History):
    """A version of an item: what it was, and from which instant on. Never changed. ``by`` is the run, or who else did it."""

    __tablename__ = "service_item_version"
    of = "item"
    __table_args__ = (
        CheckConstraint(f"event IN ({_texts((ENTER, *ItemEvent))})", name="event_known"),
        CheckConstraint("document ->> 'code' = item", name="says_its_code"),
        Index("ix_service_item_version_effective", "item", "effective_at"),
    )

    item: Mapped[str] = mapped_column(ForeignKey("registry.service_item.code"), primary_key=True)
    effective_at: Mapped[datetime]
    document: Mapped[dict[str, Any]]


class ItemBody(Base):
    """A body to which the review of an item, or a part of it, is delegated 委托, in [from_at, to_at)."""

    __tablename__ = "service_item_body"
    __table_args__ = (
        CheckConstraint("basis ~ '\\S'", name="has_basis"),
        CheckConstraint("to_at > from_at", name="interval"),
    )

    item: Mapped[str] = mapped_column(ForeignKey("registry.service_item.code"), primary_key=True)
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), primary_key=True)
    from_at: Mapped[datetime] = mapped_column(primary_key=True)
    to_at: Mapped[datetime | None]
    basis: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str]


class ItemOwn(Base):
    """Which version of what stands in for an item's materials this is; every change of it raises it.

    An item may have them before the register has the item, so its code is no key to it.
    """

    __tablename__ = "service_item_own"
    __table_args__ = (CheckConstraint("version > 0", name="version"),)

    item: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer())
    at: Mapped[datetime]
    by: Mapped[str]


class MaterialResource(Base):
    """A resource in which the hub can look up what a material would prove. The hub's own table, as ``item_licence_type``."""

    __tablename__ = "item_resource"

    item_code: Mapped[str] = mapped_column(primary_key=True)
    material_code: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), primary_key=True)
    at: Mapped[datetime]
    by: Mapped[str]


class HandbookVersion(Base):
    """A version of an item's handbook; never changed, the highest number is in force."""

    __tablename__ = "handbook_version"
    __table_args__ = (CheckConstraint("n > 0", name="counts"),)

    item: Mapped[str] = mapped_column(ForeignKey("registry.service_item.code"), primary_key=True)
    n: Mapped[int] = mapped_column(Integer(), primary_key=True, autoincrement=False)
    document: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    by: Mapped[str]


class LicenceTypeRow(Base):
    """A licence type: ``document`` is what its owner's system says, ``terms`` what the hub itself says."""

    __tablename__ = "licence_type"
    __table_args__ = (
        CheckConstraint("state IN ('in_force', 'ended')", name="state_known"),
        CheckConstraint("version > 0", name="version"),
        CheckConstraint("document ->> 'code' = code", name="says_its_code"),
        CheckConstraint("coalesce(terms ->> 'sharing', '') IN ('1', '2')", name="sharing_known"),
        CheckConstraint("terms ->> 'sharing' <> '2' OR coalesce(terms ->> 'condition', '') ~ '\\S'", name="has_condition"),
    )

    code: Mapped[str] = mapped_column(primary_key=True)
    department: Mapped[str | None] = mapped_column(ForeignKey("registry.department.code"), index=True)
    owner: Mapped[str | None] = mapped_column(ForeignKey("registry.system.code"))
    state: Mapped[str]
    version: Mapped[int] = mapped_column(Integer())
    document: Mapped[dict[str, Any]]
    terms: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime]


class LicenceTypeHistory(History):
    """What was done to a licence type; ``detail`` is what it became."""

    __tablename__ = "licence_type_history"
    of = "licence_type"
    __table_args__ = (CheckConstraint("event IN ('enter', 'change', 'end', 'return', 'terms')", name="event_known"),)

    licence_type: Mapped[str] = mapped_column(ForeignKey("registry.licence_type.code"), primary_key=True)
