"""Orders of a former system are found among all others, and so is another one that names the same payment."""

from alembic import op

revision = "0007"
down_revision = "0006"

LEGACY = """
-- An order that was brought over has metadata, if only {}.  The second index is a hash: what stands in metadata may be
-- longer than a B-tree takes.
CREATE INDEX orders_legacy ON orders (id) WHERE metadata IS NOT NULL;
CREATE INDEX orders_legacy_payment ON orders USING hash ((metadata ->> 'payment_intent_id')) WHERE metadata IS NOT NULL;
"""


def upgrade() -> None:
    """Let them be found."""
    op.execute(LEGACY)
