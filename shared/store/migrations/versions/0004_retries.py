"""What a retry may not do: judge an intent twice; and what it may: put a webhook event back.

The rules of `shared.domain` stand here a second time, as constraints and triggers: a bug in Python meets a wall in SQL.
"""

from alembic import op

from shared.store.migrations.guards import guard

revision = "0004"
down_revision = "0003"

REFUNDS = """
-- intent_id: the intent that promised it, or promised it once more.  NULL: it was made elsewhere, or instead of a void.
ALTER TABLE refunds ADD COLUMN intent_id text UNIQUE REFERENCES intents;
"""

INTENTS = """
-- What an intent waits for was promised when it was judged: it is never judged again.
UPDATE intents SET state = 'working' WHERE state = 'accepted' AND awaits IS NOT NULL;
ALTER TABLE intents ADD CONSTRAINT intents_judged_once CHECK (awaits IS NULL OR state <> 'accepted');
CREATE INDEX intents_awaits ON intents (awaits) WHERE awaits IS NOT NULL;
CREATE INDEX intents_parked ON intents (subject) WHERE state = 'parked' AND awaits IS NULL;
"""

TRANSITIONS = (
    guard("webhook_events", "state", "received>done", "received>ignored", "received>parked", "parked>received"),
)


def upgrade() -> None:
    """Tie a refund to its intent, judge an intent once, and let a webhook event be put back."""
    for part in (REFUNDS, INTENTS, *TRANSITIONS):
        op.execute(part)
