"""What the catalogue is searched in, and what was searched and not found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables; the worker makes the documents of the resources that are there. Count the codes given by hand before."""
    op.create_table(
        "search_document",
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("cover", sa.Boolean(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("facets", sa.LargeBinary(), nullable=False),
        sa.Column("as_of", INSTANT, nullable=True),
        sa.Column("tokens", TSVECTOR(), nullable=False),
        sa.CheckConstraint("seen IN ('all', 'own', 'others')", name=op.f("ck_search_document_seen_known")),
        sa.CheckConstraint("cover = (seen = 'others')", name=op.f("ck_search_document_cover_is_for_others")),
        sa.ForeignKeyConstraint(["resource"], ["registry.resource.name"], name="fk_search_document_resource"),
        sa.PrimaryKeyConstraint("resource", "cover", name="pk_search_document"),
        schema=SCHEMA,
    )
    # The tokens of a document are moved out of its row, so that what is counted lies close together, and a change of that alone
    # touches no index.
    op.execute("ALTER TABLE registry.search_document SET (toast_tuple_target = 128, fillfactor = 85)")
    for column in ("resource", "seen", "department", "heading"):
        op.execute(f"ALTER TABLE registry.search_document ALTER COLUMN {column} SET STORAGE MAIN")
    op.execute("ALTER TABLE registry.search_document ALTER COLUMN facets SET STORAGE PLAIN")
    op.create_index(
        "ix_search_document_tokens",
        "search_document",
        ["tokens"],
        schema=SCHEMA,
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_table(
        "search_number",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.CheckConstraint("n > 0", name=op.f("ck_search_number_counts")),
        sa.PrimaryKeyConstraint("kind", "word", name="pk_search_number"),
        sa.UniqueConstraint("kind", "n", name="uq_search_number_n"),
        schema=SCHEMA,
    )
    op.create_table(
        "search_miss",
        sa.Column("n", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("length(words) <= 100 AND words ~ '\\S'", name=op.f("ck_search_miss_words_short")),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_search_miss_department"),
        sa.PrimaryKeyConstraint("n", name="pk_search_miss"),
        schema=SCHEMA,
    )
    op.create_index("ix_search_miss_at", "search_miss", ["at"], schema=SCHEMA)
    op.create_index(
        "ix_contract_version_with_role",
        "contract_version",
        ["resource", "version"],
        schema=SCHEMA,
        postgresql_where=sa.text("odcs LIKE '%onedoor.role%'"),
    )
    op.execute("CREATE INDEX run_proved ON exchange.run (ended_at) WHERE state = 'proved'")
    op.execute(
        """INSERT INTO registry.code_sequence AS s (prefix, last)
           SELECT split_part(code, '/', 1), max(split_part(code, '/', 2)::bigint) FROM registry.resource
           WHERE code ~ '^[1-3][0-9]{5,39}/[0-9]{6,12}$' AND split_part(code, '/', 2)::bigint > 0 GROUP BY 1
           ON CONFLICT (prefix) DO UPDATE SET last = greatest(s.last, excluded.last)"""
    )
