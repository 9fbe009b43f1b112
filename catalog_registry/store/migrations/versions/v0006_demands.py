"""Demands and ratings with their histories, and the daily sums of what the ledger says of uses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables. The sums begin with what the ledger holds: the worker counts it when it starts."""
    _demand()
    _history(
        "demand_history",
        "demand",
        sa.CheckConstraint(
            "event IN ('ask', 'appoint', 'return', 'accept', 'refuse', 'fulfil', 'cancel')",
            name=op.f("ck_demand_history_event_known"),
        ),
        sa.CheckConstraint(
            "event NOT IN ('return', 'refuse') OR coalesce(why, '') ~ '\\S'", name=op.f("ck_demand_history_has_reason")
        ),
    )
    _rating()
    _history(
        "rating_history",
        "rating",
        sa.CheckConstraint("event IN ('rate', 'change')", name=op.f("ck_rating_history_event_known")),
    )
    _usage()


def _demand() -> None:
    op.create_table(
        "demand",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("asker", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("fields", ARRAY(sa.Text()), nullable=False),
        sa.Column("purposes", ARRAY(sa.Text()), nullable=False),
        sa.Column("items", ARRAY(sa.Text()), nullable=False),
        sa.Column("legal_basis", sa.Text(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("assigned", sa.Text(), nullable=True),
        sa.Column("appointed_by", sa.Text(), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("promised_on", sa.Date(), nullable=True),
        sa.Column("refusal_kind", sa.Text(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=True),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "state IN ('submitted', 'assigned', 'accepted', 'refused', 'fulfilled', 'returned', 'cancelled')",
            name=op.f("ck_demand_state_known"),
        ),
        sa.CheckConstraint("title ~ '\\S'", name=op.f("ck_demand_has_title")),
        sa.CheckConstraint("description ~ '\\S'", name=op.f("ck_demand_has_description")),
        sa.CheckConstraint("cardinality(fields) > 0", name=op.f("ck_demand_has_fields")),
        sa.CheckConstraint("cardinality(purposes) + cardinality(items) > 0", name=op.f("ck_demand_has_purpose_or_item")),
        sa.CheckConstraint("legal_basis ~ '\\S'", name=op.f("ck_demand_has_legal_basis")),
        sa.CheckConstraint("cycle IN ('1', '2', '3', '4', '5', '6', '7', '8', '9')", name=op.f("ck_demand_cycle_known")),
        sa.CheckConstraint("assigned <> department", name=op.f("ck_demand_not_from_itself")),
        sa.CheckConstraint(
            "state NOT IN ('assigned', 'accepted', 'refused', 'fulfilled') OR num_nonnulls(assigned, appointed_by) = 2",
            name=op.f("ck_demand_is_appointed"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('accepted', 'refused', 'fulfilled') OR answered_by IS NOT NULL", name=op.f("ck_demand_is_answered")
        ),
        sa.CheckConstraint(
            "state NOT IN ('accepted', 'fulfilled') OR promised_on IS NOT NULL", name=op.f("ck_demand_is_promised")
        ),
        sa.CheckConstraint(
            "CASE WHEN state = 'refused' THEN coalesce(refusal_kind, '') IN ('1', '2', '3', '4')"
            " AND coalesce(refusal, '') ~ '\\S' ELSE num_nonnulls(refusal_kind, refusal) = 0 END",
            name=op.f("ck_demand_refused_has_basis"),
        ),
        sa.CheckConstraint("(state = 'fulfilled') = (resource IS NOT NULL)", name=op.f("ck_demand_fulfilled_has_resource")),
        sa.CheckConstraint("appointed_by <> asker", name=op.f("ck_demand_asker_does_not_appoint")),
        sa.CheckConstraint("answered_by <> asker", name=op.f("ck_demand_asker_does_not_answer")),
        sa.CheckConstraint("answered_by <> appointed_by", name=op.f("ck_demand_two_persons")),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_demand_department"),
        sa.ForeignKeyConstraint(["asker"], ["registry.principal.id"], name="fk_demand_asker"),
        sa.ForeignKeyConstraint(["assigned"], ["registry.department.code"], name="fk_demand_assigned"),
        sa.ForeignKeyConstraint(["appointed_by"], ["registry.principal.id"], name="fk_demand_appointed_by"),
        sa.ForeignKeyConstraint(["answered_by"], ["registry.principal.id"], name="fk_demand_answered_by"),
        sa.ForeignKeyConstraint(["resource"], ["registry.resource.name"], name="fk_demand_resource"),
        sa.PrimaryKeyConstraint("id", name="pk_demand"),
        schema=SCHEMA,
    )
    for column in ("department", "assigned"):
        op.create_index(f"ix_demand_{column}", "demand", [column], schema=SCHEMA)
    op.create_index(
        "ix_demand_waiting",
        "demand",
        ["id"],
        schema=SCHEMA,
        postgresql_where=sa.text("state IN ('submitted', 'assigned', 'accepted')"),
    )


def _rating() -> None:
    op.create_table(
        "rating",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name=op.f("ck_rating_score_of_1_to_5")),
        sa.ForeignKeyConstraint(["resource"], ["registry.resource.name"], name="fk_rating_resource"),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_rating_department"),
        sa.ForeignKeyConstraint(["by"], ["registry.principal.id"], name="fk_rating_by"),
        sa.PrimaryKeyConstraint("id", name="pk_rating"),
        sa.UniqueConstraint("resource", "department", name="uq_rating_resource_department"),
        schema=SCHEMA,
    )


def _history(name: str, of: str, *rules: sa.Constraint) -> None:
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
        sa.ForeignKeyConstraint([of], [f"registry.{of}.id"], name=f"fk_{name}_{of}"),
        sa.ForeignKeyConstraint(["by"], ["registry.principal.id"], name=f"fk_{name}_by"),
        sa.PrimaryKeyConstraint(of, "n", name=f"pk_{name}"),
        *rules,
        schema=SCHEMA,
    )
    op.execute(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {SCHEMA}.{name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION trust.refuse_change()"
    )
    op.execute(f"ALTER TABLE {SCHEMA}.{name} ENABLE ALWAYS TRIGGER append_only")


def _usage() -> None:
    """Make the sums. They can be counted again from the ledger, which is the record; a sum is none."""
    op.execute("""
        CREATE TABLE trust.usage_day (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            day         date   NOT NULL,               -- of China
            kind        text   NOT NULL,
            resource    text   NOT NULL,
            department  text   NOT NULL,               -- whose principal it was
            system      text   NOT NULL DEFAULT '',
            grant_id    text   NOT NULL DEFAULT '',    -- what stands for nothing is '', so that a key can be made of it
            purpose     text   NOT NULL DEFAULT '',
            item        text   NOT NULL DEFAULT '',
            allowed     bigint NOT NULL,
            refused     bigint NOT NULL,
            cut         bigint NOT NULL,
            row_count   bigint NOT NULL,
            UNIQUE (resource, day, department, kind, system, grant_id, purpose, item)
        )""")
    op.execute("CREATE INDEX usage_day_day ON trust.usage_day (day)")
    op.execute("CREATE INDEX usage_day_department ON trust.usage_day (department, day)")
    op.execute("CREATE TABLE trust.usage_counted (chain text PRIMARY KEY, n bigint NOT NULL)")  # as trust.sealed
    op.execute("CREATE TABLE trust.usage_at (one boolean PRIMARY KEY CHECK (one), at timestamptz NOT NULL)")
