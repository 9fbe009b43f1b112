"""A grant's row filter becomes an expression; those made as lists of values are written in it."""

from __future__ import annotations

import json
import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_RESERVED = ("and", "or", "not", "in", "is", "null", "true", "false")


def upgrade() -> None:
    """Make the column text and write each filter anew. One that has no expression stays as it was: it lets no row through."""
    bind = op.get_bind()
    kept = bind.execute(sa.text("SELECT id, row_filter FROM registry.grant_ WHERE row_filter IS NOT NULL")).all()
    op.execute("ALTER TABLE registry.grant_ ALTER COLUMN row_filter TYPE text USING row_filter::text")
    for grant, row_filter in kept:
        text = expression(row_filter)
        if text is not None:
            bind.execute(sa.text("UPDATE registry.grant_ SET row_filter = :text WHERE id = :id"), {"text": text, "id": grant})


def expression(row_filter: Any) -> str | None:
    """Return ``{field: [value, …], …}`` as an expression, None where it was never of that form.

    A field without values let nothing through, and does not: no value is null and not null.
    """
    if not isinstance(row_filter, dict) or not row_filter or not all(map(_NAME.fullmatch, row_filter)):
        return None
    if not all(isinstance(values, list) and all(type(v) in (str, int, bool) for v in values) for values in row_filter.values()):
        return None
    terms = []
    for field, values in row_filter.items():
        name = f'"{field}"' if field in _RESERVED else field
        if values:
            terms.append(f"{name} in ({', '.join(map(_literal, values))})")
        else:
            terms.append(f"{name} is null and {name} is not null")
    return " and ".join(terms)


def _literal(value: str | int | bool) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value)
