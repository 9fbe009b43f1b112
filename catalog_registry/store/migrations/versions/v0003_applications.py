"""Applications, and the histories of applications and resources, which are only ever added to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Number the rows of resources, and make the tables. A resource of before begins its history with its next step."""
    op.add_column("resource", sa.Column("row_version", sa.Integer(), nullable=True), schema=SCHEMA)
    op.execute("UPDATE registry.resource SET row_version = 1")
    op.alter_column("resource", "row_version", nullable=False, schema=SCHEMA)
    _application()
    _history(
        "resource_history",
        "resource",
        "registry.resource.name",
        sa.CheckConstraint(
            "event IN ('register', 'change', 'code', 'submit', 'publish', 'reject', 'freeze', 'thaw', 'withdraw')",
            name=op.f("ck_resource_history_event_known"),
        ),
        sa.CheckConstraint(
            "event NOT IN ('reject', 'freeze', 'withdraw') OR coalesce(why, '') ~ '\\S'",
            name=op.f("ck_resource_history_has_reason"),
        ),
    )
    _history(
        "application_history",
        "application",
        "registry.application.id",
        sa.CheckConstraint(
            "event IN ('apply', 'accept_check', 'return', 'approve', 'refuse', 'cancel', 'hand_over')",
            name=op.f("ck_application_history_event_known"),
        ),
        sa.CheckConstraint(
            "event NOT IN ('return', 'refuse', 'hand_over') OR coalesce(why, '') ~ '\\S'",
            name=op.f("ck_application_history_has_reason"),
        ),
        sa.ForeignKeyConstraint(["by"], ["registry.principal.id"], name="fk_application_history_by"),
    )


def _application() -> None:
    op.create_table(
        "application",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("applicant", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("purposes", ARRAY(sa.Text()), nullable=False),
        sa.Column("items", ARRAY(sa.Text()), nullable=False),
        sa.Column("fields", ARRAY(sa.Text()), nullable=False),
        sa.Column("row_filter", sa.Text(), nullable=True),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("quota", JSONB(), nullable=True),
        sa.Column("from_at", INSTANT, nullable=False),
        sa.Column("to_at", INSTANT, nullable=False),
        sa.Column("legal_basis", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("assigned", sa.Text(), nullable=False),
        sa.Column("checked_by", sa.Text(), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("grant_id", sa.Text(), nullable=True),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "state IN ('submitted', 'provider_review', 'returned', 'granted', 'refused', 'cancelled')",
            name=op.f("ck_application_state_known"),
        ),
        sa.CheckConstraint("way IN ('api', 'database', 'file', 'kafka')", name=op.f("ck_application_way_known")),
        sa.CheckConstraint("reason ~ '\\S'", name=op.f("ck_application_has_reason")),
        sa.CheckConstraint("cardinality(fields) > 0", name=op.f("ck_application_has_fields")),
        sa.CheckConstraint("cardinality(purposes) + cardinality(items) > 0", name=op.f("ck_application_has_purpose_or_item")),
        sa.CheckConstraint("legal_basis ~ '\\S'", name=op.f("ck_application_has_legal_basis")),
        sa.CheckConstraint("to_at > from_at", name=op.f("ck_application_interval")),
        sa.CheckConstraint("quota IS NULL", name=op.f("ck_application_quota_not_yet_counted")),
        sa.CheckConstraint("(state = 'granted') = (grant_id IS NOT NULL)", name=op.f("ck_application_granted_has_grant")),
        sa.CheckConstraint(
            "state NOT IN ('provider_review', 'granted', 'refused') OR checked_by IS NOT NULL",
            name=op.f("ck_application_is_checked"),
        ),
        sa.CheckConstraint(
            "(state IN ('granted', 'refused')) = (answered_by IS NOT NULL)", name=op.f("ck_application_is_answered")
        ),
        sa.CheckConstraint("checked_by <> applicant", name=op.f("ck_application_applicant_does_not_check")),
        sa.CheckConstraint("answered_by <> applicant", name=op.f("ck_application_applicant_does_not_answer")),
        sa.CheckConstraint("answered_by <> checked_by", name=op.f("ck_application_two_reviewers")),
        sa.ForeignKeyConstraint(["resource"], ["registry.resource.name"], name="fk_application_resource"),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_application_department"),
        sa.ForeignKeyConstraint(["applicant"], ["registry.principal.id"], name="fk_application_applicant"),
        sa.ForeignKeyConstraint(["system"], ["registry.system.code"], name="fk_application_system"),
        sa.ForeignKeyConstraint(["assigned"], ["registry.department.code"], name="fk_application_assigned"),
        sa.ForeignKeyConstraint(["checked_by"], ["registry.principal.id"], name="fk_application_checked_by"),
        sa.ForeignKeyConstraint(["answered_by"], ["registry.principal.id"], name="fk_application_answered_by"),
        sa.ForeignKeyConstraint(["grant_id"], ["registry.grant_.id"], name="fk_application_grant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_application"),
        sa.UniqueConstraint("grant_id", name="uq_application_grant_id"),
        schema=SCHEMA,
    )
    for column in ("resource", "department", "assigned"):
        op.create_index(f"ix_application_{column}", "application", [column], schema=SCHEMA)


def _history(name: str, of: str, key: str, *rules: sa.Constraint) -> None:
    op.create_table(
        name,
        sa.Column(of, sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("detail", JSONB(), nullable=True),
        sa.ForeignKeyConstraint([of], [key], name=f"fk_{name}_{of}"),
        sa.PrimaryKeyConstraint(of, "n", name=f"pk_{name}"),
        *rules,
        schema=SCHEMA,
    )
    # The database refuses anything but adding, to the owner too, by the function that guards the ledger.
    op.execute(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {SCHEMA}.{name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION trust.refuse_change()"
    )
    op.execute(f"ALTER TABLE {SCHEMA}.{name} ENABLE ALWAYS TRIGGER append_only")
