"""Shipments that are followed at their courier, syncs of them, and holds that lapse since nobody can release them.

The rules of `shared.domain` stand here a second time, as constraints and triggers: a bug in Python meets a wall in SQL.
"""

from alembic import op

from shared.store.migrations.guards import guard

revision = "0010"
down_revision = "0009"

SHIPMENTS = """
-- A parcel of an order.  courier: in the shop's words; followed_by: the courier at which we track it, of whose waybills
-- each belongs to one order; NULL: it is only shown.  asked_at: when the shop asked for it.  status_type,
-- courier_status, status_code: what tracking showed last, in the courier's words, of the moment status_at.
-- looking_until: until when somebody is expected to be back from a look.  cancel_state: how far our own request to
-- cancel it has come; NULL: there is none.
CREATE TABLE shipments (
    id                   text PRIMARY KEY,
    order_id             text NOT NULL UNIQUE REFERENCES orders,
    courier              text NOT NULL,
    awb                  text NOT NULL,
    followed_by          text CHECK (followed_by IN ('delhivery')),
    registered_at        timestamptz NOT NULL DEFAULT now(),
    asked_at             timestamptz NOT NULL DEFAULT now(),
    status               text NOT NULL DEFAULT 'registered' CHECK (status IN
                         ('registered', 'announced', 'in_transit', 'delivered', 'canceled', 'returning', 'returned',
                          'reverse', 'unexplained', 'unknown', 'abandoned')),
    status_type          text,
    courier_status       text,
    status_code          text,
    status_at            timestamptz,
    picked_up            boolean NOT NULL DEFAULT false,
    tracked_at           timestamptz,
    looking_until        timestamptz,
    canceled_at          timestamptz,
    cancellation_reason  text,
    canceled_before_pickup boolean,
    cancel_state         text CHECK (cancel_state IN ('requested', 'accepted', 'confirmed', 'refused')),
    cancel_attempts      integer NOT NULL DEFAULT 0 CHECK (cancel_attempts >= 0),
    cancel_error         text,
    cancel_asked_at      timestamptz,
    CHECK (num_nulls(canceled_at, cancellation_reason, canceled_before_pickup) IN (0, 3)),
    CHECK ((cancel_state IS NULL) = (cancel_asked_at IS NULL))
) WITH (fillfactor = 70);
-- Parcels that nobody can be waiting for are left to their history: what became of them was settled without us.
INSERT INTO shipments (id, order_id, courier, awb, registered_at, asked_at, status, followed_by)
    SELECT 'shp_' || substr(md5(id), 1, 26), id, shipment ->> 'courier', shipment ->> 'awb', least(placed_at, now()),
           least(placed_at, now()),
           CASE WHEN placed_at < now() - interval '90 days' THEN 'abandoned' ELSE 'registered' END,
           CASE WHEN lower(shipment ->> 'courier') = 'delhivery' AND row_number() OVER (
               PARTITION BY lower(shipment ->> 'courier'), shipment ->> 'awb' ORDER BY placed_at DESC, id
           ) = 1 THEN 'delhivery' END
    FROM orders WHERE shipment IS NOT NULL AND jsonb_typeof(shipment) = 'object';
CREATE UNIQUE INDEX shipments_waybill ON shipments (followed_by, awb) WHERE followed_by IS NOT NULL;
CREATE INDEX shipments_to_track ON shipments (tracked_at NULLS FIRST, id)
    WHERE followed_by IS NOT NULL AND status NOT IN ('delivered', 'canceled', 'returned', 'abandoned');
ALTER TABLE orders DROP COLUMN shipment;

-- What a courier has pushed to us, once each: a hint to look, of which no word is believed.  times: how often it came;
-- heard_at: when it came last; hints: whether it sounds as if the parcel were canceled or came back.
CREATE TABLE courier_events (
    fingerprint bytea PRIMARY KEY CHECK (length(fingerprint) = 32),
    courier     text NOT NULL CHECK (courier IN ('delhivery')),
    awb         text NOT NULL,
    status_type text,
    status      text,
    code        text,
    at          timestamptz,
    hints       boolean NOT NULL,
    times       integer NOT NULL DEFAULT 1,
    received_at timestamptz NOT NULL DEFAULT now(),
    heard_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX courier_events_awb ON courier_events (courier, awb, heard_at);
"""

SYNCS = """
-- A sync: many shipments are looked up, in batches.  intent_id: the operator's request; NULL: beat's.
CREATE TABLE syncs (
    id         text PRIMARY KEY,
    intent_id  text UNIQUE REFERENCES intents,
    total      integer NOT NULL DEFAULT 0 CHECK (total >= 0),
    state      text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    CHECK ((state = 'running') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX syncs_one_of_beat ON syncs ((true)) WHERE intent_id IS NULL AND state = 'running';

CREATE TABLE sync_batches (
    id           text PRIMARY KEY,
    sync_id      text NOT NULL REFERENCES syncs,
    shipment_ids text[] NOT NULL CHECK (cardinality(shipment_ids) BETWEEN 1 AND 50),
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed')),
    attempts     integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_error   text,
    results      jsonb,
    CHECK ((state = 'waiting') = (results IS NULL)),
    CHECK (state <> 'failed' OR last_error IS NOT NULL)
) WITH (fillfactor = 70);
CREATE INDEX sync_batches_sync ON sync_batches (sync_id, state);

INSERT INTO pace (id) VALUES ('delhivery');
CREATE INDEX outbox_tracks ON outbox (due_at) WHERE task = 'courier.track';
"""

MONEY = """
ALTER TABLE payments
    DROP CONSTRAINT payments_provider_check,
    ADD CONSTRAINT payments_provider_check CHECK (provider IN ('stripe', 'razorpay', 'cod', 'none'));
ALTER TABLE webhook_events
    DROP CONSTRAINT webhook_events_provider_check,
    ADD CONSTRAINT webhook_events_provider_check CHECK (provider IN ('stripe', 'razorpay'));

-- lapsing: the provider has no void; nothing is captured, and the hold is watched until it is gone.
ALTER TABLE voids
    DROP CONSTRAINT voids_state_check,
    ADD CONSTRAINT voids_state_check CHECK (state IN ('requested', 'lapsing', 'released', 'overtaken', 'refused')),
    DROP CONSTRAINT voids_check,
    ADD CONSTRAINT voids_settled CHECK ((state IN ('requested', 'lapsing')) = (settled_at IS NULL));
DROP INDEX voids_one_live;
CREATE UNIQUE INDEX voids_one_live ON voids (payment_id) WHERE state IN ('requested', 'lapsing', 'released');
"""

ORDERS = """
-- Whoever cancels is named as the client contracts do.
UPDATE orders SET cancellation_source = 'customer' WHERE cancellation_source = 'cancel';

-- less_shipping: all that was captured is refunded but for the shipping, since the courier had the parcel already.
ALTER TABLE orders
    DROP CONSTRAINT orders_cancellation_refund_check,
    ADD CONSTRAINT orders_cancellation_refund_check
        CHECK (cancellation_refund IN ('none', 'full', 'skipped', 'policy', 'less_shipping'));

-- Who promised a refund, of all or of all but the shipping, has it on record when the transaction ends.
CREATE OR REPLACE FUNCTION refuse_cancel_without_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(captured - refunded - refunding) FROM payments WHERE order_id = NEW.id)
        > (CASE NEW.cancellation_refund WHEN 'less_shipping' THEN NEW.shipping ELSE 0 END) THEN
        RAISE EXCEPTION 'order % is canceled without its refund', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER orders_cancel_refund ON orders;
CREATE CONSTRAINT TRIGGER orders_cancel_refund AFTER UPDATE OF status, cancellation_refund ON orders
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.cancellation_refund IN ('full', 'less_shipping') AND OLD.cancellation_refund <> NEW.cancellation_refund)
    EXECUTE FUNCTION refuse_cancel_without_refund();
"""

INTENTS = """
ALTER TABLE intents
    DROP CONSTRAINT intents_operation_check,
    ADD CONSTRAINT intents_operation_check CHECK (operation IN
        ('register_order', 'set_stock', 'cancel_order', 'cancel_order_by_operator', 'refund_order', 'retry_intent',
         'acknowledge_alert', 'add_item', 'set_quantity', 'set_address', 'register_booking', 'set_policy',
         'invite_guest', 'approve_booking', 'cancel_booking', 'cancel_order_by_courier', 'set_shipment', 'sync_order',
         'sync_shipments'));
"""

TRANSITIONS = (
    guard(
        "voids",
        "state",
        "requested>released",
        "requested>overtaken",
        "requested>refused",
        "requested>lapsing",
        "lapsing>released",
        "lapsing>overtaken",
        "lapsing>refused",
    ),
    guard(
        "shipments",
        "cancel_state",
        "requested>accepted",
        "requested>confirmed",
        "requested>refused",
        "accepted>confirmed",
        "accepted>refused",
        "refused>confirmed",
    ),
    guard("syncs", "state", "running>done"),
    guard("sync_batches", "state", "waiting>done", "waiting>failed"),
)


def upgrade() -> None:
    """Let couriers take orders back, and let Razorpay hold their money."""
    for part in (SHIPMENTS, SYNCS, MONEY, ORDERS, INTENTS, *TRANSITIONS):
        op.execute(part)
