"""Alembic's entry. It runs on the connection that ``catalog_registry.store.migrate`` opened and locked, never by itself."""

from __future__ import annotations

from typing import Any

from alembic import context

from catalog_registry.store import item_tables  # noqa: F401 - its tables are compared too
from catalog_registry.store.tables import SCHEMA, Base


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Compare the schema ``registry`` only; the exchange's tables are its own."""
    return name == SCHEMA if kind == "schema" else True


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
    include_name=include_name,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
