"""Correction requests, their history, which is only ever added to, and the notices to those who received what is wrong."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    _correction()
    _history()
    _notice()


def _correction() -> None:
    op.create_table(
        "correction",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("asker", sa.Text(), nullable=False),
        sa.Column("fields", ARRAY(sa.Text()), nullable=False),
        sa.Column("row_name", sa.Text(), nullable=True),
        sa.Column("row_key", ARRAY(sa.Text()), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("contract_version", sa.Text(), nullable=True),
        sa.Column("run_before", sa.Text(), nullable=True),
        sa.Column("hash_before", sa.LargeBinary(), nullable=True),
        sa.Column("let_through", ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("assigned", sa.Text(), nullable=False),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("run_after", sa.Text(), nullable=True),
        sa.Column("hash_after", sa.LargeBinary(), nullable=True),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("state_at", INSTANT, nullable=False),
        sa.Column("wrong_told_at", INSTANT, nullable=True),
        sa.Column("end_told_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "state IN ('submitted', 'accepted', 'refused', 'contested', 'upheld', 'withdrawn', 'closed')",
            name=op.f("ck_correction_state_known"),
        ),
        sa.CheckConstraint("type IN ('1', '2', '3')", name=op.f("ck_correction_type_known")),
        sa.CheckConstraint("outcome IN ('changed', 'gone', 'appeared', 'declared')", name=op.f("ck_correction_outcome_known")),
        sa.CheckConstraint("(row_name IS NULL) = (row_key IS NULL)", name=op.f("ck_correction_row_has_key")),
        sa.CheckConstraint(
            "state NOT IN ('refused', 'contested', 'upheld') OR answered_by IS NOT NULL", name=op.f("ck_correction_is_answered")
        ),
        sa.CheckConstraint(
            "state <> 'accepted' OR coalesce(answered_by, decided_by) IS NOT NULL",
            name=op.f("ck_correction_is_accepted_by_somebody"),
        ),
        sa.CheckConstraint("state <> 'upheld' OR decided_by IS NOT NULL", name=op.f("ck_correction_is_decided")),
        sa.CheckConstraint("(state = 'closed') = (outcome IS NOT NULL)", name=op.f("ck_correction_closed_has_outcome")),
        sa.CheckConstraint("(state = 'closed') = (run_after IS NOT NULL)", name=op.f("ck_correction_closed_by_a_run")),
        sa.CheckConstraint("run_after <> run_before", name=op.f("ck_correction_closed_by_a_later_run")),
        sa.CheckConstraint("outcome <> 'changed' OR hash_after <> hash_before", name=op.f("ck_correction_hash_changed")),
        sa.CheckConstraint("answered_by <> asker", name=op.f("ck_correction_asker_does_not_answer")),
        sa.CheckConstraint("decided_by <> asker", name=op.f("ck_correction_asker_does_not_decide")),
        sa.CheckConstraint("decided_by <> answered_by", name=op.f("ck_correction_two_persons")),
        *(
            sa.ForeignKeyConstraint([column], [f"registry.{key}"], name=f"fk_correction_{column}")
            for column, key in (
                ("resource", "resource.name"),
                ("department", "department.code"),
                ("asker", "principal.id"),
                ("assigned", "department.code"),
                ("answered_by", "principal.id"),
                ("decided_by", "principal.id"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name="pk_correction"),
        schema=SCHEMA,
    )
    for column in ("resource", "department", "assigned"):
        op.create_index(f"ix_correction_{column}", "correction", [column], schema=SCHEMA)
    waiting = sa.text("state IN ('submitted', 'contested', 'accepted')")
    op.create_index("ix_correction_open", "correction", ["state"], schema=SCHEMA, postgresql_where=waiting)
    to_tell = sa.text("end_told_at IS NULL")
    op.create_index("ix_correction_to_tell", "correction", ["id"], schema=SCHEMA, postgresql_where=to_tell)


def _history() -> None:
    op.create_table(
        "correction_history",
        sa.Column("correction", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("detail", JSONB(), nullable=True),
        sa.CheckConstraint(
            "event IN ('ask', 'accept', 'refuse', 'withdraw', 'hand_over',"
            " 'contest', 'uphold', 'overrule', 'resolve', 'close')",
            name=op.f("ck_correction_history_event_known"),
        ),
        sa.CheckConstraint(
            "event NOT IN ('refuse', 'hand_over', 'contest', 'uphold', 'overrule', 'resolve') OR coalesce(why, '') ~ '\\S'",
            name=op.f("ck_correction_history_has_reason"),
        ),
        sa.ForeignKeyConstraint(["correction"], ["registry.correction.id"], name="fk_correction_history_correction"),
        sa.PrimaryKeyConstraint("correction", "n", name="pk_correction_history"),
        schema=SCHEMA,
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON registry.correction_history "
        "FOR EACH STATEMENT EXECUTE FUNCTION trust.refuse_change()"
    )
    op.execute("ALTER TABLE registry.correction_history ENABLE ALWAYS TRIGGER append_only")


def _notice() -> None:
    op.create_table(
        "correction_notice",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("correction", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("certain", sa.Boolean(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("acknowledged_at", INSTANT, nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('wrong', 'corrected', 'dropped')", name=op.f("ck_correction_notice_kind_known")),
        sa.CheckConstraint(
            "(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name=op.f("ck_correction_notice_acknowledged_by_somebody")
        ),
        sa.ForeignKeyConstraint(["correction"], ["registry.correction.id"], name="fk_correction_notice_correction"),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_correction_notice_department"),
        sa.ForeignKeyConstraint(["acknowledged_by"], ["registry.principal.id"], name="fk_correction_notice_acknowledged_by"),
        sa.PrimaryKeyConstraint("id", name="pk_correction_notice"),
        sa.UniqueConstraint("correction", "kind", "department", name="uq_correction_notice_once"),
        schema=SCHEMA,
    )
    op.create_index("ix_correction_notice_department", "correction_notice", ["department"], schema=SCHEMA)
