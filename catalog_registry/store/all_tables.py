"""Every module of tables, imported: what ``Base.metadata`` is to know is listed here."""

from __future__ import annotations

from catalog_registry.store import correction_tables, demand_tables
from catalog_registry.store.tables import SCHEMA, Base

MODULES = (correction_tables, demand_tables)

__all__ = ["MODULES", "SCHEMA", "Base"]
