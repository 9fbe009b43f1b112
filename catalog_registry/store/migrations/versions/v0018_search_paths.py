"""The functions of the hub search ``pg_temp`` last: what a session makes for itself never stands in for what is ours."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Where `pg_temp` is not named it is searched first, for types and tables. A role that may make temporary ones could then have a
# function that runs as the owner call its own, or find its own `pg_class`.
_CLOSE = """
DO $$
DECLARE
    one regprocedure;
BEGIN
    FOR one IN
        SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname IN ('registry', 'exchange', 'trust') AND p.prokind = 'f'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp', one);
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Close the path of every function that there is; a test holds those that come later to it."""
    op.execute(_CLOSE)
