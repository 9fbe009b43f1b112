"""A draft may be in the catalogue before it has a contract; what is reviewed has one."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let nothing but a draft be without a contract. No release made one without until now; what there is begins as a draft."""
    op.execute("UPDATE registry.resource SET state = 'draft' WHERE version IS NULL")
    op.drop_constraint(op.f("ck_resource_published_has_contract"), "resource", schema="registry", type_="check")
    op.create_check_constraint(
        op.f("ck_resource_reviewed_has_contract"), "resource", "state = 'draft' OR version IS NOT NULL", schema="registry"
    )
