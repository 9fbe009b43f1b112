"""Duties to destroy are reminded of as everything else is, and left by a grant that is narrowed; indexes of what waits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Take away the reminders that duties had of their own, make the table of what grants lost, and index what waits."""
    op.drop_column("destruction", "told", schema=SCHEMA)
    _checked("destruction_history", "event_known", "event IN ('ask', 'file', 'return', 'confirm', 'waive')")
    op.add_column("destruction", sa.Column("fields", ARRAY(sa.Text()), nullable=True), schema=SCHEMA)
    _checked("destruction", "ended_known", "ended IN ('expired', 'revoked', 'withdrawn', 'narrowed')")
    op.create_check_constraint(
        op.f("ck_destruction_narrowed_of_fields"),
        "destruction",
        sa.text("(ended = 'narrowed') = (coalesce(cardinality(fields), 0) > 0)"),
        schema=SCHEMA,
    )
    op.drop_constraint("uq_destruction_grant_id", "destruction", schema=SCHEMA, type_="unique")
    for name, columns, where in (
        ("uq_destruction_of_end", ["grant_id"], "ended <> 'narrowed'"),
        ("uq_destruction_of_narrowing", ["grant_id", "ended_at"], "ended = 'narrowed'"),
    ):
        op.create_index(name, "destruction", columns, unique=True, postgresql_where=sa.text(where), schema=SCHEMA)
    op.create_table(
        "narrowing",
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("fields", ARRAY(sa.Text()), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.CheckConstraint("cardinality(fields) > 0", name=op.f("ck_narrowing_has_fields")),
        sa.ForeignKeyConstraint(["grant_id"], ["registry.grant_.id"], name="fk_narrowing_grant_id"),
        sa.ForeignKeyConstraint(["revision"], ["registry.revision.id"], name="fk_narrowing_revision"),
        sa.PrimaryKeyConstraint("grant_id", "at", name="pk_narrowing"),
        schema=SCHEMA,
    )
    for name, table, where in (
        ("ix_application_waiting", "application", "state IN ('submitted', 'provider_review')"),
        ("ix_destruction_open", "destruction", "state IN ('asked', 'filed')"),
        ("ix_notice_unread", "notice", "acknowledged_at IS NULL"),
    ):
        op.create_index(name, table, ["id"], postgresql_where=sa.text(where), schema=SCHEMA)


def _checked(table: str, name: str, rule: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, schema=SCHEMA, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, sa.text(rule), schema=SCHEMA)
