"""Quotas that are counted, duties to destroy, bulk exports by a second person; a grant of a step is that of an application."""

from __future__ import annotations

from pathlib import Path

import psycopg
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)
_SQL = Path(__file__).parents[1] / "sql"
_QUOTA = (
    "quota IS NULL OR (jsonb_typeof(quota) = 'object' AND quota <> '{}'::jsonb"
    " AND quota - ARRAY['per_day', 'per_minute', 'burst', 'rows_per_day'] = '{}'::jsonb"
    " AND NOT quota @? '$.* ? (@.type() != \"number\" || @ < 1 || @ > 1000000000 || @.floor() != @)'"
    " AND (quota ? 'per_minute' OR NOT quota ? 'burst'))"
)


def upgrade() -> None:
    """Let a quota be kept, make the tables, and have the database hold what a step may grant."""
    for table in ("grant_", "application"):
        op.drop_constraint(op.f(f"ck_{table}_quota_not_yet_counted"), table, schema=SCHEMA, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_quota_form"), table, sa.text(_QUOTA), schema=SCHEMA)
    # An application follows its resource to another department by whoever registers that, which may be no principal.
    op.drop_constraint("fk_application_history_by", "application_history", schema=SCHEMA, type_="foreignkey")
    _destruction()
    _bulk_export()
    raw = op.get_bind().connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    raw.execute((_SQL / "0009_quota.sql").read_bytes())


def _destruction() -> None:
    op.create_table(
        "destruction",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("ended", sa.Text(), nullable=False),
        sa.Column("ended_at", INSTANT, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("filed_by", sa.Text(), nullable=True),
        sa.Column("filed_at", INSTANT, nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint("state IN ('asked', 'filed', 'confirmed', 'waived')", name=op.f("ck_destruction_state_known")),
        sa.CheckConstraint("ended IN ('expired', 'revoked', 'withdrawn')", name=op.f("ck_destruction_ended_known")),
        sa.CheckConstraint("told IN ('', 'half', 'last', 'late')", name=op.f("ck_destruction_told_known")),
        sa.CheckConstraint(
            "(certificate IS NULL) = (sha256 IS NULL) AND (certificate IS NULL) = (filed_by IS NULL)"
            " AND (certificate IS NULL) = (filed_at IS NULL)",
            name=op.f("ck_destruction_filed_whole"),
        ),
        sa.CheckConstraint("certificate ~ '\\S' AND sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_destruction_certificate_says")),
        sa.CheckConstraint(
            "state NOT IN ('filed', 'confirmed') OR certificate IS NOT NULL", name=op.f("ck_destruction_is_filed")
        ),
        sa.CheckConstraint("(state = 'confirmed') = (confirmed_by IS NOT NULL)", name=op.f("ck_destruction_is_confirmed")),
        sa.CheckConstraint("confirmed_by <> filed_by", name=op.f("ck_destruction_two_persons")),
        *_keys("destruction", "grant_id", resource="resource.name", department="department.code", grant_id="grant_.id"),
        sa.ForeignKeyConstraint(["filed_by"], ["registry.principal.id"], name="fk_destruction_filed_by"),
        sa.ForeignKeyConstraint(["confirmed_by"], ["registry.principal.id"], name="fk_destruction_confirmed_by"),
        schema=SCHEMA,
    )
    for column in ("resource", "department"):
        op.create_index(f"ix_destruction_{column}", "destruction", [column], schema=SCHEMA)
    _history("destruction", "'ask', 'file', 'return', 'confirm', 'waive', 'remind', 'escalate'", reasoned="'return', 'waive'")


def _bulk_export() -> None:
    op.create_table(
        "bulk_export",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("fields", ARRAY(sa.Text()), nullable=False),
        sa.Column("row_filter", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("until", INSTANT, nullable=True),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "state IN ('asked', 'approved', 'refused', 'cancelled', 'used')", name=op.f("ck_bulk_export_state_known")
        ),
        sa.CheckConstraint("reason ~ '\\S'", name=op.f("ck_bulk_export_has_reason")),
        sa.CheckConstraint("cardinality(fields) > 0", name=op.f("ck_bulk_export_has_fields")),
        sa.CheckConstraint(
            "state NOT IN ('approved', 'used', 'refused') OR answered_by IS NOT NULL", name=op.f("ck_bulk_export_is_answered")
        ),
        sa.CheckConstraint("state NOT IN ('approved', 'used') OR until IS NOT NULL", name=op.f("ck_bulk_export_has_end")),
        sa.CheckConstraint("(state = 'used') = (used_at IS NOT NULL)", name=op.f("ck_bulk_export_used_once")),
        sa.CheckConstraint("answered_by <> asked_by AND answered_by <> principal", name=op.f("ck_bulk_export_second_person")),
        *_keys(
            "bulk_export",
            None,
            grant_id="grant_.id",
            resource="resource.name",
            department="department.code",
            provider="department.code",
            principal="principal.id",
            asked_by="principal.id",
            answered_by="principal.id",
        ),
        schema=SCHEMA,
    )
    for column in ("grant_id", "resource", "department", "provider"):
        op.create_index(f"ix_bulk_export_{column}", "bulk_export", [column], schema=SCHEMA)
    _history("bulk_export", "'ask', 'approve', 'refuse', 'cancel', 'use'", reasoned="'refuse'")


def _keys(table: str, unique: str | None, **foreign: str) -> list[sa.Constraint]:
    found: list[sa.Constraint] = [sa.PrimaryKeyConstraint("id", name=f"pk_{table}")]
    if unique is not None:
        found.append(sa.UniqueConstraint(unique, name=f"uq_{table}_{unique}"))
    return found + [
        sa.ForeignKeyConstraint([column], [f"registry.{of}"], name=f"fk_{table}_{column}") for column, of in foreign.items()
    ]


def _history(of: str, events: str, *, reasoned: str) -> None:
    name = f"{of}_history"
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
        sa.CheckConstraint(f"event IN ({events})", name=op.f(f"ck_{name}_event_known")),
        sa.CheckConstraint(f"event NOT IN ({reasoned}) OR coalesce(why, '') ~ '\\S'", name=op.f(f"ck_{name}_has_reason")),
        sa.ForeignKeyConstraint([of], [f"registry.{of}.id"], name=f"fk_{name}_{of}"),
        sa.PrimaryKeyConstraint(of, "n", name=f"pk_{name}"),
        schema=SCHEMA,
    )
    op.execute(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {SCHEMA}.{name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION trust.refuse_change()"
    )
    op.execute(f"ALTER TABLE {SCHEMA}.{name} ENABLE ALWAYS TRIGGER append_only")
