"""Other catalogues, and what they say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "harvested_catalogue",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("added_at", INSTANT, nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("ran_at", INSTANT, nullable=True),
        sa.Column("counts", JSONB(), nullable=True),
        sa.CheckConstraint("name ~ '^[a-z][a-z0-9_]{0,47}$'", name=op.f("ck_harvested_catalogue_name_form")),
        sa.CheckConstraint("address ~ '^(https?://|file:/)'", name=op.f("ck_harvested_catalogue_address_form")),
        sa.PrimaryKeyConstraint("name", name="pk_harvested_catalogue"),
        schema=SCHEMA,
    )
    op.create_table(
        "harvested",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("catalogue", sa.Text(), nullable=False),
        sa.Column("iri", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("content", JSONB(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("first_at", INSTANT, nullable=False),
        sa.Column("harvested_at", INSTANT, nullable=False),
        sa.Column("gone_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["catalogue"], ["registry.harvested_catalogue.name"], name="fk_harvested_catalogue"),
        sa.PrimaryKeyConstraint("id", name="pk_harvested"),
        sa.UniqueConstraint("catalogue", "iri", name="uq_harvested_catalogue_iri"),
        schema=SCHEMA,
    )
    op.create_index("ix_harvested_catalogue", "harvested", ["catalogue"], schema=SCHEMA)
