"""Bookings, their policies, the links that open them, and cancels whose money comes first.

The rules of `shared.domain` stand here a second time, as constraints and triggers: a bug in Python meets a wall in SQL.
"""

from alembic import op

from shared.store.migrations.guards import guard

revision = "0009"
down_revision = "0008"

ORDERS = """
ALTER TABLE orders
    DROP CONSTRAINT orders_kind_check,
    ADD CONSTRAINT orders_kind_check CHECK (kind IN ('retail', 'booking')),
    DROP CONSTRAINT orders_status_check,
    ADD CONSTRAINT orders_status_check CHECK (status IN ('pending', 'captured', 'canceling', 'canceled')),
    ADD CONSTRAINT orders_money_first CHECK (status <> 'canceling' OR kind = 'booking'),
    DROP CONSTRAINT orders_cancellation_refund_check,
    ADD CONSTRAINT orders_cancellation_refund_check
        CHECK (cancellation_refund IN ('none', 'full', 'skipped', 'policy'));
"""

BOOKINGS = """
-- A version is never changed: a booking keeps the one that its guest agreed to.  set_at: when it was asked for.
CREATE TABLE policies (
    id      text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    body    jsonb NOT NULL,
    set_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, version)
);
CREATE TRIGGER policies_append_only BEFORE UPDATE OR DELETE ON policies FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policies_no_truncate BEFORE TRUNCATE ON policies FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The terms of an order of kind booking.  check_in, check_out: on the hotel's wall clock; ends_at: the moment of the
-- check-out.
CREATE TABLE bookings (
    order_id       text PRIMARY KEY REFERENCES orders,
    hotel          text NOT NULL,
    hotel_name     text NOT NULL,
    hotel_email    text NOT NULL,
    check_in       timestamp NOT NULL,
    check_out      timestamp NOT NULL,
    time_zone      text NOT NULL,
    ends_at        timestamptz NOT NULL,
    policy_id      text NOT NULL,
    policy_version integer NOT NULL,
    FOREIGN KEY (policy_id, policy_version) REFERENCES policies,
    CHECK (check_in < check_out)
);

-- A link to a booking.  Of the token nothing is kept but its SHA-256; kid names the key that it is derived from.
CREATE TABLE guest_tokens (
    id         text PRIMARY KEY,
    hash       bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    kid        text NOT NULL,
    order_id   text NOT NULL REFERENCES bookings,
    actions    text[] NOT NULL CHECK (cardinality(actions) > 0 AND actions <@ ARRAY['view', 'cancel']),
    expires_at timestamptz NOT NULL,
    issued_at  timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz,
    CONSTRAINT guest_tokens_order UNIQUE (order_id, id)
) WITH (fillfactor = 70);
"""

CANCELLATIONS = """
-- A cancel by a guest.  paid: what the guest had paid, or what was held; priced_at: the moment by which the fee was
-- reckoned; was, approved: what the booking is again when the provider refuses; awaits: the void, refund or capture job
-- that is under way.
CREATE TABLE guest_cancellations (
    id           text PRIMARY KEY,
    order_id     text NOT NULL REFERENCES bookings,
    intent_id    text NOT NULL UNIQUE REFERENCES intents,
    token_id     text NOT NULL,
    state        text NOT NULL DEFAULT 'settling' CHECK (state IN ('settling', 'done', 'refused')),
    reason       text NOT NULL,
    priced_at    timestamptz NOT NULL,
    paid         bigint NOT NULL CHECK (paid >= 0),
    fee          bigint NOT NULL CHECK (fee >= 0),
    refund       bigint NOT NULL CHECK (refund >= 0),
    rule         text NOT NULL,
    description  text NOT NULL,
    was          text NOT NULL CHECK (was IN ('pending', 'captured')),
    approved     boolean NOT NULL,
    awaits       text,
    initiated_at timestamptz NOT NULL DEFAULT now(),
    settled_at   timestamptz,
    FOREIGN KEY (order_id, token_id) REFERENCES guest_tokens (order_id, id),
    CHECK (fee + refund = paid),
    CHECK ((state = 'settling') = (settled_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX guest_cancellations_order ON guest_cancellations (order_id, id);
CREATE UNIQUE INDEX guest_cancellations_one_live ON guest_cancellations (order_id) WHERE state IN ('settling', 'done');
CREATE TRIGGER guest_cancellations_kept BEFORE UPDATE ON guest_cancellations FOR EACH ROW
    WHEN (OLD.state <> 'settling' AND OLD.state = NEW.state AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refuse_change();
"""

MONEY_FIRST = """
-- key: what the provider's idempotency keys of a refund begin with, when that is fixed by who asks for it.
ALTER TABLE refunds ADD COLUMN key text;
CREATE UNIQUE INDEX refunds_key ON refunds (key) WHERE key IS NOT NULL;

-- An order is not canceled while its money is being taken, nor as if it were free when it was.  A booking that its
-- guest takes back is canceled when nothing is held any more.
CREATE OR REPLACE FUNCTION refuse_cancel_of_captured() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.edit_status = 'editing' THEN
        RAISE EXCEPTION 'order % is being edited', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM payments WHERE order_id = NEW.id AND (
        status = 'capturing'
        OR NEW.status = 'canceled' AND refunded < captured AND NEW.cancellation_refund = 'none'
        OR NEW.status = 'canceled' AND NEW.cancellation_refund = 'policy' AND (
            status IN ('authorized', 'voiding') OR captured > 0 AND authorized > captured + released)
    )) THEN
        RAISE EXCEPTION 'the payment of order % is captured, or held', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER orders_cancel ON orders;
CREATE TRIGGER orders_cancel BEFORE UPDATE OF status ON orders FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND NEW.status IN ('canceling', 'canceled'))
    EXECUTE FUNCTION refuse_cancel_of_captured();

-- Of what a guest has paid no more is kept than the fee, when the transaction ends.
CREATE FUNCTION refuse_more_than_the_fee() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(captured - refunded - refunding) FROM payments WHERE order_id = NEW.id)
        > coalesce((SELECT fee FROM guest_cancellations WHERE order_id = NEW.id AND state = 'done'), 0) THEN
        RAISE EXCEPTION 'more than the fee is kept of booking %', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER orders_keep_the_fee AFTER UPDATE OF status ON orders
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.cancellation_refund = 'policy' AND OLD.status <> 'canceled')
    EXECUTE FUNCTION refuse_more_than_the_fee();

-- Nothing is captured of what is canceled; while its guest takes a booking back, a fee may be.
CREATE OR REPLACE FUNCTION refuse_capture_of_canceled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM orders WHERE id = NEW.order_id AND (
        status NOT IN ('pending', 'canceling') OR edit_status = 'editing'
        OR status = 'canceling' AND NEW.amount > coalesce((
            SELECT fee FROM guest_cancellations WHERE order_id = NEW.order_id AND state = 'settling'), 0)
    )) THEN
        RAISE EXCEPTION 'order % is not pending, or is being edited', NEW.order_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
"""

INTENTS = """
ALTER TABLE intents
    DROP CONSTRAINT intents_operation_check,
    ADD CONSTRAINT intents_operation_check CHECK (operation IN
        ('register_order', 'set_stock', 'cancel_order', 'cancel_order_by_operator', 'refund_order', 'retry_intent',
         'acknowledge_alert', 'add_item', 'set_quantity', 'set_address', 'register_booking', 'set_policy',
         'invite_guest', 'approve_booking', 'cancel_booking'));
"""

TRANSITIONS = (
    guard(
        "orders",
        "status",
        "pending>canceled",
        "pending>captured",
        "captured>canceled",
        "pending>canceling",
        "captured>canceling",
        "canceling>canceled",
        "canceling>pending",
        "canceling>captured",
    ),
    guard(
        "payments",
        "status",
        "unpaid>authorized",
        "unpaid>captured",
        "unpaid>partially_captured",
        "unpaid>voiding",
        "unpaid>voided",
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
        "voiding>unpaid",
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
    guard("guest_cancellations", "state", "settling>done", "settling>refused"),
)


def upgrade() -> None:
    """Let hotels register bookings, and guests take them back."""
    for part in (ORDERS, BOOKINGS, CANCELLATIONS, MONEY_FIRST, INTENTS, *TRANSITIONS):
        op.execute(part)
