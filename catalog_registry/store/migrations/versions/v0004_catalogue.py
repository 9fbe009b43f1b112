"""The official catalogue's entries, and the numbers that its codes were given."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables. A resource of before has no entry until it is given one; a code that it has stays."""
    op.create_unique_constraint("uq_resource_name_code", "resource", ["name", "code"], schema=SCHEMA)
    op.create_table(
        "catalogue_entry",
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", JSONB(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("ck_catalogue_entry_version")),
        sa.CheckConstraint("document ->> 'code' = code", name=op.f("ck_catalogue_entry_says_its_code")),
        sa.CheckConstraint(
            "coalesce(document ->> 'sharing_type', '') IN ('1', '2', '3')", name=op.f("ck_catalogue_entry_sharing_type_known")
        ),
        sa.CheckConstraint(
            "document ->> 'sharing_type' <> '2' OR coalesce(document ->> 'sharing_condition', '') ~ '\\S'",
            name=op.f("ck_catalogue_entry_has_condition"),
        ),
        sa.CheckConstraint(
            "document ->> 'sharing_type' <> '3' OR (coalesce(document ->> 'sharing_basis_kind', '') IN ('1', '2', '3', '4')"
            " AND coalesce(document ->> 'sharing_basis', '') ~ '\\S')",
            name=op.f("ck_catalogue_entry_has_basis"),
        ),
        sa.ForeignKeyConstraint(
            ["resource", "code"], ["registry.resource.name", "registry.resource.code"], name="fk_catalogue_entry_code"
        ),
        sa.PrimaryKeyConstraint("resource", name="pk_catalogue_entry"),
        schema=SCHEMA,
    )
    op.create_table(
        "code_sequence",
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("last > 0", name=op.f("ck_code_sequence_counts")),
        sa.PrimaryKeyConstraint("prefix", name="pk_code_sequence"),
        schema=SCHEMA,
    )
