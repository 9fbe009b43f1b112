"""The search in title first, by the index alone; what is counted of all; and the datasets of other catalogues in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

SCHEMA = "registry"


def upgrade() -> None:
    """Change the table, and have the worker make the documents anew: they have further tokens, and wider facets."""
    op.execute("DELETE FROM registry.search_document")
    op.drop_column("search_document", "heading", schema=SCHEMA)
    op.add_column("search_document", sa.Column("origin", sa.Text(), nullable=True), schema=SCHEMA)
    op.execute("ALTER TABLE registry.search_document ALTER COLUMN origin SET STORAGE MAIN")
    # A document is a resource's, or a dataset's of another catalogue; no resource is ever deleted.
    op.drop_constraint("fk_search_document_resource", "search_document", schema=SCHEMA)
    op.create_check_constraint(
        op.f("ck_search_document_others_are_for_all"), "search_document", "origin IS NULL OR seen = 'all'", schema=SCHEMA
    )
    op.create_index(
        "ix_search_document_origin",
        "search_document",
        ["origin"],
        schema=SCHEMA,
        postgresql_where=sa.text("origin IS NOT NULL"),
    )
    op.create_table(
        "search_state",
        sa.Column("one", sa.Boolean(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("one", name=op.f("ck_search_state_one")),
        sa.PrimaryKeyConstraint("one", name="pk_search_state"),
        schema=SCHEMA,
    )
    op.execute("INSERT INTO registry.search_state (one, n) VALUES (true, 1)")
    op.execute(
        """CREATE FUNCTION registry.count_search_change() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN UPDATE registry.search_state SET n = n + 1; RETURN NULL; END $$"""
    )
    op.execute(
        """CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON registry.search_document
           FOR EACH STATEMENT EXECUTE FUNCTION registry.count_search_change()"""
    )
