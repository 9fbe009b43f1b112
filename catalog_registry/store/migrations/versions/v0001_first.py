"""The exchange's own tables, the registry's tables, and a ledger that refuses to be changed."""

from __future__ import annotations

from pathlib import Path

import psycopg
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)
_SQL = Path(__file__).parents[1] / "sql"


def _run(name: str) -> None:
    raw = op.get_bind().connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    raw.execute((_SQL / name).read_bytes())


def upgrade() -> None:
    """Make everything of the first release."""
    _run("0001_exchange.sql")
    _registry()
    _run("0001_append_only.sql")


def _registry() -> None:
    op.create_table(
        "department",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("credit_code", sa.Text(), nullable=True),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("parent <> code", name=op.f("ck_department_not_its_own_parent")),
        sa.ForeignKeyConstraint(["parent"], ["registry.department.code"], name="fk_department_parent"),
        sa.PrimaryKeyConstraint("code", name="pk_department"),
        sa.UniqueConstraint("credit_code", name="uq_department_credit_code"),
        schema=SCHEMA,
    )
    op.create_index("ix_department_parent", "department", ["parent"], schema=SCHEMA)
    op.create_table(
        "item_licence_type",
        sa.Column("item_code", sa.Text(), nullable=False),
        sa.Column("material_code", sa.Text(), nullable=False),
        sa.Column("licence_type", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("item_code", "material_code", "licence_type", name="pk_item_licence_type"),
        schema=SCHEMA,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("published_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("n", name="uq_outbox_n"),
        schema=SCHEMA,
    )
    op.create_index("ix_outbox_waiting", "outbox", ["n"], schema=SCHEMA, postgresql_where=sa.text("published_at IS NULL"))
    op.create_table(
        "version",
        sa.Column("one", sa.Boolean(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("one", name=op.f("ck_version_one_row")),
        sa.PrimaryKeyConstraint("one", name="pk_version"),
        schema=SCHEMA,
    )
    op.create_table(
        "system",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_system_department"),
        sa.PrimaryKeyConstraint("code", name="pk_system"),
        schema=SCHEMA,
    )
    op.create_index("ix_system_department", "system", ["department"], schema=SCHEMA)
    op.create_table(
        "principal",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=True),
        sa.Column("roles", ARRAY(sa.Text()), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("secret_hash", sa.Text(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "(kind = 'machine') = (client_id IS NOT NULL AND secret_hash IS NOT NULL)",
            name=op.f("ck_principal_machine_has_credential"),
        ),
        sa.CheckConstraint(
            "(roles @> ARRAY['system_administrator']::text[])::integer"
            " + (roles @> ARRAY['security_administrator']::text[])::integer"
            " + (roles @> ARRAY['audit_administrator']::text[])::integer <= 1",
            name=op.f("ck_principal_one_administrator"),
        ),
        sa.CheckConstraint(
            "kind = 'person' OR NOT roles && "
            "ARRAY['system_administrator', 'security_administrator', 'audit_administrator']::text[]",
            name=op.f("ck_principal_administrator_is_a_person"),
        ),
        sa.CheckConstraint("kind IN ('person', 'machine')", name=op.f("ck_principal_kind_known")),
        sa.CheckConstraint(
            "roles <@ ARRAY['provider_editor', 'provider_reviewer', 'consumer', 'registration_officer', "
            "'security_officer', 'operator', "
            "'auditor', 'observer', 'system_administrator', 'security_administrator', 'audit_administrator']::text[]",
            name=op.f("ck_principal_roles_known"),
        ),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_principal_department"),
        sa.ForeignKeyConstraint(["system"], ["registry.system.code"], name="fk_principal_system"),
        sa.PrimaryKeyConstraint("id", name="pk_principal"),
        sa.UniqueConstraint("client_id", name="uq_principal_client_id"),
        sa.UniqueConstraint("name", name="uq_principal_name"),
        schema=SCHEMA,
    )
    op.create_index("ix_principal_department", "principal", ["department"], schema=SCHEMA)
    op.create_index("ix_principal_system", "principal", ["system"], schema=SCHEMA)
    op.create_table(
        "source",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret_ref", sa.Text(), nullable=True),
        sa.Column("settings", JSONB(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("secret_ref ~ '^(file|env):.'", name=op.f("ck_source_secret_ref_form")),
        sa.CheckConstraint("url !~ '^[^/]*//[^/?#@]*:[^/?#]*@'", name=op.f("ck_source_url_without_password")),
        sa.ForeignKeyConstraint(["system"], ["registry.system.code"], name="fk_source_system"),
        sa.PrimaryKeyConstraint("name", name="pk_source"),
        schema=SCHEMA,
    )
    op.create_index("ix_source_system", "source", ["system"], schema=SCHEMA)
    op.create_table(
        "resource",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint("name ~ '^[a-z][a-z0-9_]{0,47}$'", name=op.f("ck_resource_name_form")),
        sa.CheckConstraint(
            "state IN ('draft', 'submitted', 'rejected') OR version IS NOT NULL",
            name=op.f("ck_resource_published_has_contract"),
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'submitted', 'rejected', 'published', 'frozen', 'withdrawn')",
            name=op.f("ck_resource_state_known"),
        ),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_resource_department"),
        sa.ForeignKeyConstraint(["source"], ["registry.source.name"], name="fk_resource_source"),
        sa.PrimaryKeyConstraint("name", name="pk_resource"),
        sa.UniqueConstraint("code", name="uq_resource_code"),
        schema=SCHEMA,
    )
    op.create_index("ix_resource_department", "resource", ["department"], schema=SCHEMA)
    op.create_index("ix_resource_source", "resource", ["source"], schema=SCHEMA)
    op.create_table(
        "contract_version",
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("odcs", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.CheckConstraint("status IN ('draft', 'active', 'retired')", name=op.f("ck_contract_version_status_known")),
        sa.ForeignKeyConstraint(["resource"], ["registry.resource.name"], name="fk_contract_version_resource"),
        sa.PrimaryKeyConstraint("resource", "version", name="pk_contract_version"),
        schema=SCHEMA,
    )
    op.create_foreign_key(
        "fk_resource_version",
        "resource",
        "contract_version",
        ["name", "version"],
        ["resource", "version"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
        deferrable=True,
        initially="DEFERRED",
    )
    op.create_table(
        "grant_",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("receiver_department", sa.Text(), nullable=True),
        sa.Column("receiver_system", sa.Text(), nullable=True),
        sa.Column("receiver_principal", sa.Text(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("fields", ARRAY(sa.Text()), nullable=False),
        sa.Column("row_filter", JSONB(), nullable=True),
        sa.Column("purposes", ARRAY(sa.Text()), nullable=False),
        sa.Column("items", ARRAY(sa.Text()), nullable=False),
        sa.Column("legal_basis", sa.Text(), nullable=False),
        sa.Column("from_at", INSTANT, nullable=False),
        sa.Column("to_at", INSTANT, nullable=False),
        sa.Column("quota", JSONB(), nullable=True),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_why", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("legal_basis ~ '\\S'", name=op.f("ck_grant__has_legal_basis")),
        sa.CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name=op.f("ck_grant__revoked_by_somebody")),
        sa.CheckConstraint("cardinality(fields) > 0", name=op.f("ck_grant__has_fields")),
        sa.CheckConstraint("cardinality(purposes) + cardinality(items) > 0", name=op.f("ck_grant__has_purpose_or_item")),
        sa.CheckConstraint(
            "num_nonnulls(receiver_department, receiver_system, receiver_principal) = 1", name=op.f("ck_grant__one_receiver")
        ),
        sa.CheckConstraint("quota IS NULL", name=op.f("ck_grant__quota_not_yet_counted")),
        sa.CheckConstraint("to_at > from_at", name=op.f("ck_grant__interval")),
        sa.ForeignKeyConstraint(["receiver_department"], ["registry.department.code"], name="fk_grant__receiver_department"),
        sa.ForeignKeyConstraint(["receiver_principal"], ["registry.principal.id"], name="fk_grant__receiver_principal"),
        sa.ForeignKeyConstraint(["receiver_system"], ["registry.system.code"], name="fk_grant__receiver_system"),
        sa.ForeignKeyConstraint(["resource"], ["registry.resource.name"], name="fk_grant__resource"),
        sa.PrimaryKeyConstraint("id", name="pk_grant_"),
        schema=SCHEMA,
    )
    op.create_index("ix_grant__receiver_department", "grant_", ["receiver_department"], schema=SCHEMA)
    op.create_index("ix_grant__receiver_principal", "grant_", ["receiver_principal"], schema=SCHEMA)
    op.create_index("ix_grant__receiver_system", "grant_", ["receiver_system"], schema=SCHEMA)
    op.create_index("ix_grant__resource", "grant_", ["resource"], schema=SCHEMA)
    op.execute("INSERT INTO registry.version (one, value) VALUES (true, 0)")
