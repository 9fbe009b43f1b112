"""Service items with their versions and handbooks, what stands in for their materials, and licence types."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables. What materials accept already stays as it is."""
    _items()
    _own()
    _licence_types()


def _items() -> None:
    op.create_table(
        "service_item",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("code_type", sa.Text(), nullable=False),
        sa.Column("basic_code", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint("state IN ('in_force', 'suspended', 'ended')", name=op.f("ck_service_item_state_known")),
        sa.CheckConstraint("code_type ~ '^[a-z][a-z0-9_]{0,31}$'", name=op.f("ck_service_item_code_type_form")),
        sa.CheckConstraint(
            "code_type <> 'implementation' OR length(code) = 31", name=op.f("ck_service_item_implementation_code")
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_service_item_version")),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_service_item_department"),
        sa.ForeignKeyConstraint(["owner"], ["registry.system.code"], name="fk_service_item_owner"),
        sa.PrimaryKeyConstraint("code", name="pk_service_item"),
        schema=SCHEMA,
    )
    for column in ("basic_code", "department"):
        op.create_index(f"ix_service_item_{column}", "service_item", [column], schema=SCHEMA)
    _history(
        "service_item_version",
        "item",
        "registry.service_item.code",
        sa.Column("effective_at", INSTANT, nullable=False),
        sa.Column("document", JSONB(), nullable=False),
        sa.CheckConstraint(
            "event IN ('enter', 'change', 'suspend', 'resume', 'end', 'return')",
            name=op.f("ck_service_item_version_event_known"),
        ),
        sa.CheckConstraint("document ->> 'code' = item", name=op.f("ck_service_item_version_says_its_code")),
    )
    op.create_index("ix_service_item_version_effective", "service_item_version", ["item", "effective_at"], schema=SCHEMA)


def _own() -> None:
    op.create_table(
        "service_item_body",
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("from_at", INSTANT, nullable=False),
        sa.Column("to_at", INSTANT, nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.CheckConstraint("basis ~ '\\S'", name=op.f("ck_service_item_body_has_basis")),
        sa.CheckConstraint("to_at > from_at", name=op.f("ck_service_item_body_interval")),
        sa.ForeignKeyConstraint(["item"], ["registry.service_item.code"], name="fk_service_item_body_item"),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_service_item_body_department"),
        sa.PrimaryKeyConstraint("item", "department", "from_at", name="pk_service_item_body"),
        schema=SCHEMA,
    )
    op.create_table(
        "service_item_own",
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("ck_service_item_own_version")),
        sa.PrimaryKeyConstraint("item", name="pk_service_item_own"),
        schema=SCHEMA,
    )
    op.create_table(
        "item_resource",
        sa.Column("item_code", sa.Text(), nullable=False),
        sa.Column("material_code", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["resource"], ["registry.resource.name"], name="fk_item_resource_resource"),
        sa.PrimaryKeyConstraint("item_code", "material_code", "resource", name="pk_item_resource"),
        schema=SCHEMA,
    )
    op.create_table(
        "handbook_version",
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("document", JSONB(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.CheckConstraint("n > 0", name=op.f("ck_handbook_version_counts")),
        sa.ForeignKeyConstraint(["item"], ["registry.service_item.code"], name="fk_handbook_version_item"),
        sa.PrimaryKeyConstraint("item", "n", name="pk_handbook_version"),
        schema=SCHEMA,
    )
    _append_only("handbook_version")


def _licence_types() -> None:
    op.create_table(
        "licence_type",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", JSONB(), nullable=False),
        sa.Column("terms", JSONB(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint("state IN ('in_force', 'ended')", name=op.f("ck_licence_type_state_known")),
        sa.CheckConstraint("version > 0", name=op.f("ck_licence_type_version")),
        sa.CheckConstraint("document ->> 'code' = code", name=op.f("ck_licence_type_says_its_code")),
        sa.CheckConstraint("coalesce(terms ->> 'sharing', '') IN ('1', '2')", name=op.f("ck_licence_type_sharing_known")),
        sa.CheckConstraint(
            "terms ->> 'sharing' <> '2' OR coalesce(terms ->> 'condition', '') ~ '\\S'",
            name=op.f("ck_licence_type_has_condition"),
        ),
        sa.ForeignKeyConstraint(["department"], ["registry.department.code"], name="fk_licence_type_department"),
        sa.ForeignKeyConstraint(["owner"], ["registry.system.code"], name="fk_licence_type_owner"),
        sa.PrimaryKeyConstraint("code", name="pk_licence_type"),
        schema=SCHEMA,
    )
    op.create_index("ix_licence_type_department", "licence_type", ["department"], schema=SCHEMA)
    _history(
        "licence_type_history",
        "licence_type",
        "registry.licence_type.code",
        sa.CheckConstraint(
            "event IN ('enter', 'change', 'end', 'return', 'terms')", name=op.f("ck_licence_type_history_event_known")
        ),
    )


def _history(name: str, of: str, key: str, *more: sa.Column[object] | sa.Constraint) -> None:
    columns = [one for one in more if isinstance(one, sa.Column)]
    rules = [one for one in more if isinstance(one, sa.Constraint)]
    op.create_table(
        name,
        sa.Column("n", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("detail", JSONB(), nullable=True),
        sa.Column(of, sa.Text(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint([of], [key], name=f"fk_{name}_{of}"),
        sa.PrimaryKeyConstraint(of, "n", name=f"pk_{name}"),
        *rules,
        schema=SCHEMA,
    )
    _append_only(name)


def _append_only(name: str) -> None:
    # The database refuses anything but adding, to the owner too, by the function that guards the ledger.
    op.execute(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {SCHEMA}.{name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION trust.refuse_change()"
    )
    op.execute(f"ALTER TABLE {SCHEMA}.{name} ENABLE ALWAYS TRIGGER append_only")
