"""Webhook events, drift, and alerts that people acknowledge; payments follow what was done at the provider.

The rules of `shared.domain` stand here a second time, as constraints and triggers: a bug in Python meets a wall in SQL.
"""

from alembic import op

from shared.store.migrations.guards import guard

revision = "0003"
down_revision = "0002"

WEBHOOKS = """
-- One row for each event of a provider.  Ids only: whoever acts upon an event reads the object again.
CREATE TABLE webhook_events (
    id          text PRIMARY KEY,
    provider    text NOT NULL CHECK (provider IN ('stripe')),
    event_id    text NOT NULL,
    type        text NOT NULL,
    concern     text NOT NULL CHECK (concern IN ('payment', 'dispute', 'nothing')),
    object_id   text,
    reference   text,
    created     timestamptz NOT NULL,
    api_version text,
    livemode    boolean NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    state       text NOT NULL DEFAULT 'received' CHECK (state IN ('received', 'done', 'ignored', 'parked')),
    ended_at    timestamptz,
    UNIQUE (provider, event_id),
    CHECK (concern <> 'nothing' OR state = 'ignored'),
    CHECK (state NOT IN ('done', 'parked') OR ended_at IS NOT NULL),
    CHECK (state <> 'received' OR ended_at IS NULL)
) WITH (fillfactor = 70);
"""

DRIFT = """
-- Where our rows and the provider disagree, and nobody but a person can say who is right.
CREATE TABLE drift (
    id          text PRIMARY KEY,
    payment_id  text NOT NULL REFERENCES payments,
    order_id    text NOT NULL REFERENCES orders,
    kind        text NOT NULL CHECK (kind IN ('hold', 'refunds')),
    ours        jsonb NOT NULL,
    theirs      jsonb NOT NULL,
    opened_at   timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz
);
CREATE UNIQUE INDEX drift_one_open ON drift (payment_id, kind) WHERE resolved_at IS NULL;
CREATE INDEX drift_open ON drift (id) WHERE resolved_at IS NULL;
CREATE INDEX drift_resolved ON drift (id) WHERE resolved_at IS NOT NULL;

-- check_at: when the payment is next compared with its provider; NULL: never again.
ALTER TABLE payments ADD COLUMN check_at timestamptz;
UPDATE payments SET check_at = now() WHERE reference IS NOT NULL;

-- free_at: when whoever keeps a pace has done what it has staged.
CREATE TABLE pace (
    id      text PRIMARY KEY,
    free_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
INSERT INTO pace (id) VALUES ('reconciliation');
CREATE INDEX payments_check ON payments (check_at) WHERE check_at IS NOT NULL;
"""

ALERTS = """
ALTER TABLE alerts
    ADD COLUMN acknowledged_by text,
    ADD CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL));
CREATE INDEX alerts_open ON alerts (id) WHERE resolved_at IS NULL AND acknowledged_at IS NULL;
CREATE INDEX alerts_acknowledged ON alerts (id) WHERE resolved_at IS NULL AND acknowledged_at IS NOT NULL;
CREATE INDEX alerts_resolved ON alerts (id) WHERE resolved_at IS NOT NULL;
CREATE INDEX alerts_by_severity ON alerts (severity) WHERE resolved_at IS NULL;
"""

INTENTS = """
ALTER TABLE intents
    DROP CONSTRAINT intents_operation_check,
    ADD CONSTRAINT intents_operation_check CHECK (operation IN
        ('register_order', 'set_stock', 'cancel_order', 'cancel_order_by_operator', 'refund_order', 'retry_intent',
         'acknowledge_alert'));
"""

TRANSITIONS = (
    guard("webhook_events", "state", "received>done", "received>ignored", "received>parked"),
    guard(
        "payments",
        "status",
        "authorized>capturing",
        "authorized>captured",
        "authorized>partially_captured",
        "authorized>voiding",
        "authorized>voided",
        "capturing>captured",
        "capturing>authorized",
        "capturing>voided",
        "voiding>voided",
        "voiding>captured",
        "voiding>authorized",
        "captured>partially_refunded",
        "captured>refunded",
        "partially_captured>captured",
        "partially_captured>partially_refunded",
        "partially_captured>refunded",
        "partially_refunded>refunded",
        "partially_refunded>captured",
        "partially_refunded>partially_captured",
        "refunded>partially_refunded",
        "refunded>captured",
        "refunded>partially_captured",
    ),
)


def upgrade() -> None:
    """Add webhooks and drift, and let people acknowledge alerts."""
    for part in (WEBHOOKS, DRIFT, ALERTS, INTENTS, *TRANSITIONS):
        op.execute(part)
