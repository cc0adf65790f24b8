"""Payment collections, and orders that are edited while their payment is only held.

The rules of `shared.domain` stand here a second time, as constraints and triggers: a bug in Python meets a wall in SQL.
"""

from alembic import op

from shared.store.migrations.guards import guard

revision = "0006"
down_revision = "0005"

COLLECTIONS = """
-- What an order costs now, in minor units, and so what its payments are to bring; orders.total is what it cost when it
-- was registered.  An order without a collection was brought over from a former system, which kept what it knew in
-- orders.metadata.
CREATE TABLE payment_collections (
    order_id text PRIMARY KEY REFERENCES orders,
    amount   bigint NOT NULL CHECK (amount >= 0)
) WITH (fillfactor = 70);
INSERT INTO payment_collections (order_id, amount)
    SELECT id, total FROM orders o WHERE EXISTS (SELECT FROM payments p WHERE p.order_id = o.id);

-- amount: the payment's share of its collection, and what its capture takes.  incremental: whether its hold may be
-- raised.
ALTER TABLE payments
    ADD COLUMN amount bigint CHECK (amount >= 0),
    ADD COLUMN incremental boolean NOT NULL DEFAULT false;
UPDATE payments p SET amount = o.total FROM orders o WHERE o.id = p.order_id;
ALTER TABLE payments
    ALTER COLUMN amount SET NOT NULL,
    DROP CONSTRAINT payments_order_id_fkey,
    ADD FOREIGN KEY (order_id) REFERENCES payment_collections;

-- A collection's payments bring what it says, neither more nor less.
CREATE FUNCTION refuse_uneven_collection() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT amount FROM payment_collections WHERE order_id = NEW.order_id)
        <> (SELECT sum(amount) FROM payments WHERE order_id = NEW.order_id) THEN
        RAISE EXCEPTION 'the payments of order % do not bring what it costs', NEW.order_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER payments_bring_collection AFTER INSERT OR UPDATE OF amount ON payments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_uneven_collection();
CREATE CONSTRAINT TRIGGER collections_are_brought AFTER UPDATE OF amount ON payment_collections
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_uneven_collection();

-- What somebody owes is what the collection says.
CREATE OR REPLACE FUNCTION follow_refund() RETURNS trigger LANGUAGE plpgsql AS $$
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
            WHEN p.captured >= p.amount THEN 'captured'
            ELSE 'partially_captured'
        END
    WHERE p.id = NEW.payment_id;
    RETURN NULL;
END $$;
"""

ORDERS = """
-- quantity 0: the line was removed, and its number is never given again.
ALTER TABLE order_lines
    DROP CONSTRAINT order_lines_quantity_check,
    ADD CONSTRAINT order_lines_quantity_check CHECK (quantity >= 0);

ALTER TABLE orders
    ADD COLUMN metadata jsonb,
    DROP CONSTRAINT orders_edit_status_check,
    ADD CONSTRAINT orders_edit_status_check CHECK (edit_status IN ('open', 'editing', 'locked_for_capture'));

-- The price of one unit in minor units of `currency`, and its tax rate, for those that are added to an order.
ALTER TABLE stock
    ADD COLUMN unit_price bigint CHECK (unit_price >= 0),
    ADD COLUMN currency text CHECK (currency ~ '^[A-Z]{3}$'),
    ADD COLUMN tax_rate numeric(6, 5) CHECK (tax_rate BETWEEN 0 AND 1),
    ADD CONSTRAINT stock_price_whole CHECK (num_nulls(unit_price, currency, tax_rate) IN (0, 3));
"""

EDITS = """
-- before, after: what the edit changes, as it was and as it will be.  units: what was taken from stock for it, and is
-- in no line yet.  asked_at: when the provider was last asked for more; NULL when no call can be under way.
CREATE TABLE order_edits (
    id           text PRIMARY KEY,
    order_id     text NOT NULL REFERENCES orders,
    intent_id    text NOT NULL UNIQUE REFERENCES intents,
    payment_id   text REFERENCES payments,
    state        text NOT NULL CHECK (state IN ('authorizing', 'done', 'declined', 'refused', 'abandoned')),
    before       jsonb NOT NULL,
    after        jsonb NOT NULL,
    sku          text,
    units        integer NOT NULL DEFAULT 0 CHECK (units >= 0),
    total_before bigint NOT NULL CHECK (total_before >= 0),
    total_after  bigint NOT NULL CHECK (total_after >= 0),
    authorize    bigint CHECK (authorize > 0),
    attempts     integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    asked_at     timestamptz,
    last_error   text,
    initiated_at timestamptz NOT NULL DEFAULT now(),
    settled_at   timestamptz,
    CHECK ((state = 'authorizing') = (settled_at IS NULL)),
    CHECK (state = 'authorizing' OR units = 0),
    CHECK ((payment_id IS NULL) = (authorize IS NULL)),
    CHECK (state = 'done' OR authorize IS NOT NULL)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX order_edits_one_in_flight ON order_edits (order_id) WHERE state = 'authorizing';
CREATE INDEX order_edits_order ON order_edits (order_id);

-- While more is being asked for, nobody captures the order or takes it back.
CREATE OR REPLACE FUNCTION refuse_capture_of_canceled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM orders WHERE id = NEW.order_id AND (status <> 'pending' OR edit_status = 'editing')) THEN
        RAISE EXCEPTION 'order % is not pending, or is being edited', NEW.order_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION refuse_cancel_of_captured() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.edit_status = 'editing' THEN
        RAISE EXCEPTION 'order % is being edited', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM payments WHERE order_id = NEW.id
               AND (status = 'capturing' OR refunded < captured AND NEW.cancellation_refund = 'none')) THEN
        RAISE EXCEPTION 'the payment of order % is captured', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
"""

INTENTS = """
ALTER TABLE intents
    DROP CONSTRAINT intents_operation_check,
    ADD CONSTRAINT intents_operation_check CHECK (operation IN
        ('register_order', 'set_stock', 'cancel_order', 'cancel_order_by_operator', 'refund_order', 'retry_intent',
         'acknowledge_alert', 'add_item', 'set_quantity', 'set_address'));
"""

TRANSITIONS = guard(
    "order_edits",
    "state",
    "authorizing>done",
    "authorizing>declined",
    "authorizing>refused",
    "authorizing>abandoned",
)


def upgrade() -> None:
    """Give every order its collection, and let orders be edited."""
    for part in (COLLECTIONS, ORDERS, EDITS, INTENTS, TRANSITIONS):
        op.execute(part)
