"""Several payments in one collection."""

from alembic import op

revision = "0008"
down_revision = "0007"

PAYMENTS = """
-- A request gives back money of several payments, by one refund each.
ALTER TABLE refunds
    DROP CONSTRAINT refunds_intent_id_key,
    ADD CONSTRAINT refunds_one_of_each UNIQUE (intent_id, payment_id);

-- money: whether the payment's hold is raised, or another one made beside it.
ALTER TABLE order_edits
    ADD COLUMN money text CHECK (money IN ('increment', 'second_payment'));
UPDATE order_edits SET money = 'increment' WHERE authorize IS NOT NULL;
ALTER TABLE order_edits
    ADD CONSTRAINT order_edits_money CHECK ((money IS NULL) = (authorize IS NULL));
"""


def upgrade() -> None:
    """Let an order be paid by more than one payment."""
    op.execute(PAYMENTS)
