"""Revisions of contracts, withdrawals on a date, notices to those affected, and what was reminded of."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables, and let a resource's history say what is planned."""
    _let_history_say("plan_withdrawal", "call_off_withdrawal")
    _revision()
    _revision_history()
    _withdrawal()
    _notice()
    _reminder()


def _let_history_say(*events: str) -> None:
    """Add events to those that a resource's history may have, whatever the steps before this one added."""
    name = "ck_resource_history_event_known"
    found = op.get_bind().scalar(
        sa.text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name"), {"name": name}
    )
    words = ", ".join(f"'{word}'" for word in (*re.findall(r"'([a-z_]+)'", str(found)), *events))
    op.drop_constraint(op.f(name), "resource_history", schema=SCHEMA, type_="check")
    op.create_check_constraint(op.f(name), "resource_history", f"event IN ({words})", schema=SCHEMA)


def _revision() -> None:
    op.create_table(
        "revision",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("from_version", sa.Text(), nullable=False),
        sa.Column("to_version", sa.Text(), nullable=False),
        sa.Column("odcs", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("breaking", sa.Boolean(), nullable=False),
        sa.Column("changes", JSONB(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("reviewed_by", sa.Text(), nullable=True),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("noticed_at", INSTANT, nullable=True),
        sa.Column("ends_at", INSTANT, nullable=True),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "state IN ('proposed', 'rejected', 'noticed', 'held', 'due', 'in_force', 'withdrawn')",
            name=op.f("ck_revision_state_known"),
        ),
        sa.CheckConstraint("reviewed_by <> made_by", name=op.f("ck_revision_two_persons")),
        sa.CheckConstraint("state <> 'noticed' OR ends_at IS NOT NULL", name=op.f("ck_revision_noticed_has_an_end")),
        sa.CheckConstraint("(noticed_at IS NULL) = (ends_at IS NULL)", name=op.f("ck_revision_notice_begins_and_ends")),
        sa.CheckConstraint("ends_at > noticed_at", name=op.f("ck_revision_interval")),
        sa.ForeignKeyConstraint(["resource"], ["registry.resource.name"], name="fk_revision_resource"),
        sa.PrimaryKeyConstraint("id", name="pk_revision"),
        schema=SCHEMA,
    )
    op.create_index("ix_revision_resource", "revision", ["resource"], schema=SCHEMA)
    op.create_index(
        "uq_revision_on_its_way",
        "revision",
        ["resource"],
        unique=True,
        postgresql_where=sa.text("state IN ('noticed', 'held', 'due')"),
        schema=SCHEMA,
    )


def _revision_history() -> None:
    op.create_table(
        "revision_history",
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("detail", JSONB(), nullable=True),
        sa.CheckConstraint(
            "event IN ('propose', 'reject', 'give_notice', 'approve', 'hold', 'go_on', 'take_effect', 'withdraw')",
            name=op.f("ck_revision_history_event_known"),
        ),
        sa.CheckConstraint(
            "event NOT IN ('reject', 'hold', 'go_on', 'withdraw') OR coalesce(why, '') ~ '\\S'",
            name=op.f("ck_revision_history_has_reason"),
        ),
        sa.ForeignKeyConstraint(["revision"], ["registry.revision.id"], name="fk_revision_history_revision"),
        sa.PrimaryKeyConstraint("revision", "n", name="pk_revision_history"),
        schema=SCHEMA,
    )
    op.execute(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {SCHEMA}.revision_history "
        "FOR EACH STATEMENT EXECUTE FUNCTION trust.refuse_change()"
    )
    op.execute(f"ALTER TABLE {SCHEMA}.revision_history ENABLE ALWAYS TRIGGER append_only")


def _withdrawal() -> None:
    op.create_table(
        "withdrawal",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.CheckConstraint("why ~ '\\S'", name=op.f("ck_withdrawal_has_reason")),
        sa.CheckConstraint("at > made_at", name=op.f("ck_withdrawal_is_to_come")),
        sa.CheckConstraint("outcome IN ('done', 'called_off')", name=op.f("ck_withdrawal_outcome_known")),
        sa.CheckConstraint("num_nonnulls(outcome, ended_at, ended_by) IN (0, 3)", name=op.f("ck_withdrawal_ended_by_somebody")),
        sa.ForeignKeyConstraint(["resource"], ["registry.resource.name"], name="fk_withdrawal_resource"),
        sa.PrimaryKeyConstraint("id", name="pk_withdrawal"),
        schema=SCHEMA,
    )
    op.create_index("ix_withdrawal_resource", "withdrawal", ["resource"], schema=SCHEMA)
    op.create_index(
        "uq_withdrawal_to_come",
        "withdrawal",
        ["resource"],
        unique=True,
        postgresql_where=sa.text("outcome IS NULL"),
        schema=SCHEMA,
    )


def _notice() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=True),
        sa.Column("withdrawal", sa.Text(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("grants", JSONB(), nullable=False),
        sa.Column("told_at", INSTANT, nullable=False),
        sa.Column("acknowledged_at", INSTANT, nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.CheckConstraint("num_nonnulls(revision, withdrawal) = 1", name=op.f("ck_notice_about_one_thing")),
        sa.CheckConstraint(
            "(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name=op.f("ck_notice_acknowledged_by_somebody")
        ),
        sa.ForeignKeyConstraint(["revision"], ["registry.revision.id"], name="fk_notice_revision"),
        sa.ForeignKeyConstraint(["withdrawal"], ["registry.withdrawal.id"], name="fk_notice_withdrawal"),
        sa.ForeignKeyConstraint(["resource"], ["registry.resource.name"], name="fk_notice_resource"),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_notice_department"),
        sa.ForeignKeyConstraint(["acknowledged_by"], ["registry.principal.id"], name="fk_notice_acknowledged_by"),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
        sa.UniqueConstraint("revision", "department", name="uq_notice_revision_department"),
        sa.UniqueConstraint("withdrawal", "department", name="uq_notice_withdrawal_department"),
        schema=SCHEMA,
    )
    op.create_index("ix_notice_department", "notice", ["department"], schema=SCHEMA)


def _reminder() -> None:
    op.create_table(
        "reminder",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("thing", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("began", INSTANT, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("left_days", sa.Integer(), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("skipped", ARRAY(sa.Text()), nullable=False),
        sa.CheckConstraint("what IN ('half', 'last', 'escalated', 'outcome')", name=op.f("ck_reminder_what_known")),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_reminder_department"),
        sa.PrimaryKeyConstraint("kind", "thing", "rule", "began", "what", name="pk_reminder"),
        sa.UniqueConstraint("id", name="uq_reminder_id"),
        schema=SCHEMA,
    )
    op.create_index("ix_reminder_department", "reminder", ["department"], schema=SCHEMA)
