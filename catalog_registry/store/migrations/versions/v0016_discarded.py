"""A draft that was a mistake is discarded: it keeps its name and its code, and leaves the catalogue."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SCHEMA = "registry"
_STATES = ("draft", "submitted", "rejected", "published", "frozen", "withdrawn", "discarded")


def upgrade() -> None:
    """Know the state and the event, and let no entry be taken out of the catalogue but that of a draft that was discarded."""
    query = sa.text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_resource_history_event_known'")
    events = re.findall(r"'([a-z_]+)'", str(op.get_bind().scalar(query)))
    events.insert(events.index("withdraw") + 1, "discard")
    for table, name, condition in (
        ("resource", "state_known", f"state IN {_STATES}"),
        ("resource", "reviewed_has_contract", "state IN ('draft', 'discarded') OR version IS NOT NULL"),
        ("resource_history", "event_known", f"event IN {tuple(events)}"),
    ):
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, schema=SCHEMA, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition, schema=SCHEMA)
    op.create_check_constraint(
        op.f("ck_resource_discarded_without_contract"), "resource", "state <> 'discarded' OR version IS NULL", schema=SCHEMA
    )
    # Nobody who takes steps may delete an entry: the owner's function does it, with the state.
    op.execute(
        f"""
        CREATE FUNCTION {SCHEMA}.discard_entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog AS $$
        BEGIN
            DELETE FROM {SCHEMA}.catalogue_entry WHERE resource = NEW.name;
            RETURN NULL;
        END $$
        """
    )
    op.execute(f"REVOKE ALL ON FUNCTION {SCHEMA}.discard_entry() FROM PUBLIC")
    op.execute(
        f"CREATE TRIGGER discard_entry AFTER UPDATE OF state ON {SCHEMA}.resource "
        f"FOR EACH ROW WHEN (NEW.state = 'discarded') EXECUTE FUNCTION {SCHEMA}.discard_entry()"
    )
    op.execute(
        f"""
        CREATE FUNCTION {SCHEMA}.keep_entry() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
        BEGIN
            IF EXISTS (SELECT FROM {SCHEMA}.resource WHERE name = OLD.resource AND state <> 'discarded') THEN
                RAISE EXCEPTION 'an entry leaves the catalogue only with a draft that is discarded' USING ERRCODE = '23001';
            END IF;
            RETURN OLD;
        END $$
        """
    )
    op.execute(
        f"CREATE TRIGGER keep_entry BEFORE DELETE ON {SCHEMA}.catalogue_entry "
        f"FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.keep_entry()"
    )
