"""Refunds: captured money on its way back, and what an operator's cancel does to an order that was paid for.

A payment's sums and status follow its refunds by trigger, in the statement that changes a refund: two refunds that
would give back more than was captured meet at the payment's row, and the second one breaks on a CHECK.
"""

from alembic import op

from shared.store.migrations.guards import guard

revision = "0002"
down_revision = "0001"

PAYMENTS = """
-- refunding: minor units that are promised to the shopper and not known to be back with them.
ALTER TABLE payments
    ADD COLUMN refunding bigint NOT NULL DEFAULT 0 CHECK (refunding >= 0),
    DROP CONSTRAINT payments_status_check,
    ADD CONSTRAINT payments_status_check CHECK (status IN
        ('unpaid', 'authorized', 'capturing', 'captured', 'partially_captured', 'partially_refunded', 'refunded',
         'voiding', 'voided')),
    ADD CONSTRAINT payments_refunds_within_capture CHECK (refunded + refunding <= captured),
    ADD CONSTRAINT payments_refunded_says_so CHECK (CASE status
        WHEN 'refunded' THEN captured > 0 AND refunded = captured
        WHEN 'partially_refunded' THEN refunded > 0 AND refunded < captured
        ELSE refunded = 0
    END);
"""

REFUNDS = """
-- source: the queue by which it came.  generation: counts the provider's idempotency keys of one refund; it moves on
-- when the attempt before it is known to have failed.  key_since: when the key of this generation was first used.
CREATE TABLE refunds (
    id              text PRIMARY KEY,
    order_id        text NOT NULL REFERENCES orders,
    payment_id      text NOT NULL REFERENCES payments,
    amount          bigint NOT NULL CHECK (amount > 0),
    reason          text,
    source          text NOT NULL,
    actor           text NOT NULL,
    state           text NOT NULL DEFAULT 'initiated'
                    CHECK (state IN ('initiated', 'processing', 'completed', 'failed')),
    generation      integer NOT NULL DEFAULT 1 CHECK (generation > 0),
    key_since       timestamptz,
    attempts        integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_attempt_at timestamptz,
    last_error      text,
    provider_id     text UNIQUE,
    initiated_at    timestamptz NOT NULL DEFAULT now(),
    settled_at      timestamptz,
    CHECK ((state IN ('completed', 'failed')) = (settled_at IS NOT NULL)),
    CHECK (state <> 'completed' OR provider_id IS NOT NULL),
    CHECK (state <> 'failed' OR last_error IS NOT NULL),
    CHECK (state <> 'initiated' OR last_error IS NULL)
);
CREATE INDEX refunds_order ON refunds (order_id);
CREATE INDEX refunds_payment ON refunds (payment_id);

CREATE FUNCTION refuse_amendment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'refund % is for another amount or payment, or its key is out of turn', OLD.id
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER refunds_fixed BEFORE UPDATE ON refunds FOR EACH ROW
    WHEN (OLD.amount <> NEW.amount OR OLD.payment_id <> NEW.payment_id OR OLD.order_id <> NEW.order_id
          OR NEW.generation NOT IN (OLD.generation, OLD.generation + 1))
    EXECUTE FUNCTION refuse_amendment();
CREATE TRIGGER refunds_kept BEFORE DELETE ON refunds FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The payment's sums and status are those of its refunds.  A refund that fails gives its share back.
CREATE FUNCTION follow_refund() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    promised bigint = CASE WHEN NEW.state IN ('initiated', 'processing') THEN NEW.amount ELSE 0 END;
    returned bigint = CASE WHEN NEW.state = 'completed' THEN NEW.amount ELSE 0 END;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        promised = promised - CASE WHEN OLD.state IN ('initiated', 'processing') THEN OLD.amount ELSE 0 END;
        returned = returned - CASE WHEN OLD.state = 'completed' THEN OLD.amount ELSE 0 END;
    END IF;
    UPDATE payments p SET
        refunding = p.refunding + promised,
        refunded = p.refunded + returned,
        status = CASE
            WHEN returned = 0 THEN p.status
            WHEN p.refunded + returned = p.captured THEN 'refunded'
            WHEN p.refunded + returned > 0 THEN 'partially_refunded'
            WHEN p.captured >= (SELECT o.total FROM orders o WHERE o.id = p.order_id) THEN 'captured'
            ELSE 'partially_captured'
        END
    WHERE p.id = NEW.payment_id;
    RETURN NULL;
END $$;
CREATE TRIGGER refunds_followed AFTER INSERT OR UPDATE OF state ON refunds FOR EACH ROW
    EXECUTE FUNCTION follow_refund();
"""

ORDERS = """
-- cancellation_refund: what a cancel promised of the money that was captured.  none: nothing was; full: a refund of
-- all of it; skipped: an operator keeps it.
ALTER TABLE orders
    ADD COLUMN edit_status text NOT NULL DEFAULT 'open' CHECK (edit_status IN ('open', 'locked_for_capture')),
    ADD COLUMN cancellation_refund text NOT NULL DEFAULT 'none'
        CHECK (cancellation_refund IN ('none', 'full', 'skipped')),
    ADD CONSTRAINT orders_refund_of_cancel CHECK (status = 'canceled' OR cancellation_refund = 'none');

-- An order is not canceled while its money is being taken, and not as if it were free when it was.
CREATE OR REPLACE FUNCTION refuse_cancel_of_captured() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM payments WHERE order_id = NEW.id
               AND (status = 'capturing' OR refunded < captured AND NEW.cancellation_refund = 'none')) THEN
        RAISE EXCEPTION 'the payment of order % is captured', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

-- Who promised a refund of all has one on record when the transaction ends.
CREATE FUNCTION refuse_cancel_without_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM payments WHERE order_id = NEW.id AND refunded + refunding < captured) THEN
        RAISE EXCEPTION 'order % is canceled without its refund', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER orders_cancel_refund AFTER UPDATE OF status, cancellation_refund ON orders
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.cancellation_refund = 'full' AND OLD.cancellation_refund <> 'full')
    EXECUTE FUNCTION refuse_cancel_without_refund();
"""

INTENTS = """
-- awaits: the void or refund whose first outcome ends an intent that is working.
ALTER TABLE intents
    ADD COLUMN awaits text,
    DROP CONSTRAINT intents_operation_check,
    ADD CONSTRAINT intents_operation_check CHECK (operation IN
        ('register_order', 'set_stock', 'cancel_order', 'cancel_order_by_operator', 'refund_order', 'retry_intent'));
"""

TRANSITIONS = (
    guard("orders", "status", "pending>canceled", "pending>captured", "captured>canceled"),
    guard(
        "payments",
        "status",
        "authorized>capturing",
        "authorized>captured",
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
        "partially_captured>partially_refunded",
        "partially_captured>refunded",
        "partially_refunded>refunded",
        "partially_refunded>captured",
        "partially_refunded>partially_captured",
        "refunded>partially_refunded",
        "refunded>captured",
        "refunded>partially_captured",
    ),
    guard(
        "capture_jobs",
        "state",
        "waiting>active",
        "waiting>removed",
        "waiting>done",
        "waiting>failed",
        "active>done",
        "active>failed",
    ),
    guard(
        "refunds",
        "state",
        "initiated>processing",
        "processing>completed",
        "processing>failed",
        "completed>failed",
        "failed>initiated",
    ),
    guard(
        "intents",
        "state",
        "accepted>working",
        "accepted>done",
        "accepted>refused",
        "accepted>parked",
        "working>done",
        "working>refused",
        "working>parked",
        "parked>accepted",
        "parked>working",
    ),
)


def upgrade() -> None:
    """Add refunds, and let operators cancel what was paid for."""
    for part in (PAYMENTS, REFUNDS, ORDERS, INTENTS, *TRANSITIONS):
        op.execute(part)
