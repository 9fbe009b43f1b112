"""What the role of the API's steps may do to a resource, its contract and an account: the database holds the rules."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    """Make the triggers."""
    raw = op.get_bind().connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    raw.execute((_SQL / "0014_role_rules.sql").read_bytes())
