"""Secrets of clients in a table of their own, ranges of addresses, versions of what is changed by HTTP; what ended stays so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SCHEMA = "registry"
INSTANT = sa.DateTime(timezone=True)

_FINAL = """
CREATE FUNCTION registry.refuse_revival() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE EXCEPTION '%.% is revoked, which is final', TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Move the hashes, each as the first secret of its client, and number the rows that have no version yet."""
    op.create_table(
        "client_secret",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=True),
        sa.Column("last_used_at", INSTANT, nullable=True),
        sa.CheckConstraint("ends_at >= made_at", name=op.f("ck_client_secret_interval")),
        sa.CheckConstraint("n > 0", name=op.f("ck_client_secret_counts")),
        sa.ForeignKeyConstraint(["principal"], ["registry.principal.id"], name="fk_client_secret_principal"),
        sa.PrimaryKeyConstraint("principal", "n", name="pk_client_secret"),
        schema=SCHEMA,
    )
    op.execute(
        "INSERT INTO registry.client_secret (principal, n, hash, made_at)"
        " SELECT id, 1, secret_hash, created_at FROM registry.principal WHERE secret_hash IS NOT NULL"
    )
    op.drop_constraint("ck_principal_machine_has_credential", "principal", schema=SCHEMA)
    op.drop_column("principal", "secret_hash", schema=SCHEMA)
    op.create_check_constraint(
        op.f("ck_principal_machine_has_credential"), "principal", "(kind = 'machine') = (client_id IS NOT NULL)", schema=SCHEMA
    )
    op.add_column("principal", sa.Column("ranges", ARRAY(sa.Text()), nullable=False, server_default="{}"), schema=SCHEMA)
    for table in ("department", "system", "source", "principal"):
        op.add_column(table, sa.Column("version", sa.Integer(), nullable=False, server_default="1"), schema=SCHEMA)
    op.execute(_FINAL)
    for table in ("grant_", "principal"):
        op.execute(
            f"CREATE TRIGGER final BEFORE UPDATE ON registry.{table} FOR EACH ROW EXECUTE FUNCTION registry.refuse_revival()"
        )
        op.execute(f"ALTER TABLE registry.{table} ENABLE ALWAYS TRIGGER final")
