"""Orders, payments, capture jobs, voids, e-mails, intents, outbox, timeline, alerts, stock.

The rules of `shared.domain` stand here a second time, as constraints and triggers: a bug in Python meets a wall in SQL.
"""

from alembic import op

from shared.store.migrations.guards import guard

revision = "0001"
down_revision = None

GUARDS = """
-- Called only when a trigger's WHEN clause has found a change of state that the table of transitions does not hold.
CREATE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'illegal transition of %', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
"""

ORDERS = """
CREATE TABLE orders (
    id                  text PRIMARY KEY,
    kind                text NOT NULL CHECK (kind IN ('retail')),
    status              text NOT NULL CHECK (status IN ('pending', 'captured', 'canceled')),
    currency            text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total               bigint NOT NULL CHECK (total >= 0),
    shipping            bigint NOT NULL CHECK (shipping >= 0),
    email               text NOT NULL,
    customer_id         text,
    address             jsonb,
    shipment            jsonb,
    fingerprint         bytea NOT NULL,
    placed_at           timestamptz NOT NULL,
    grace_until         timestamptz NOT NULL,
    canceled_at         timestamptz,
    cancellation_source text,
    CHECK ((status = 'canceled') = (canceled_at IS NOT NULL)),
    CHECK ((status = 'canceled') = (cancellation_source IS NOT NULL))
);


-- reserved: the units that were taken from stock and have not been returned.
CREATE TABLE order_lines (
    order_id   text NOT NULL REFERENCES orders,
    line       integer NOT NULL,
    sku        text NOT NULL,
    quantity   integer NOT NULL CHECK (quantity > 0),
    unit_price bigint NOT NULL CHECK (unit_price >= 0),
    tax_rate   numeric(6, 5) NOT NULL CHECK (tax_rate BETWEEN 0 AND 1),
    reserved   integer NOT NULL CHECK (reserved BETWEEN 0 AND quantity),
    PRIMARY KEY (order_id, line)
);

-- quantity: the units that can still be sold; below zero when the shop sold more than it told us of.
CREATE TABLE stock (
    sku        text PRIMARY KEY,
    quantity   bigint NOT NULL
) WITH (fillfactor = 70);
"""

PAYMENTS = """
CREATE TABLE payments (
    id         text PRIMARY KEY,
    order_id   text NOT NULL REFERENCES orders,
    provider   text NOT NULL CHECK (provider IN ('stripe', 'cod', 'none')),
    reference  text,
    status     text NOT NULL CHECK (status IN
               ('unpaid', 'authorized', 'capturing', 'captured', 'partially_captured', 'voiding', 'voided')),
    currency   text NOT NULL,
    authorized bigint NOT NULL CHECK (authorized >= 0),
    captured   bigint NOT NULL DEFAULT 0 CHECK (captured >= 0),
    released   bigint NOT NULL DEFAULT 0 CHECK (released >= 0),
    refunded   bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    capture_before timestamptz,
    UNIQUE (provider, reference),
    CHECK (captured + released <= authorized),
    CHECK (refunded <= captured),
    CHECK (status <> 'voided' OR (captured = 0 AND released = authorized)),
    CHECK (status <> 'captured' OR captured > 0),
    CHECK ((reference IS NULL) = (provider IN ('cod', 'none')))
);
CREATE INDEX payments_order ON payments (order_id);


-- A canceled order is never captured afterwards: no capture may start on an order that does not stand.
CREATE FUNCTION refuse_capture_of_canceled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM orders WHERE id = NEW.order_id AND status <> 'pending') THEN
        RAISE EXCEPTION 'order % is not pending', NEW.order_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payments_capture BEFORE UPDATE OF status ON payments FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND NEW.status = 'capturing')
    EXECUTE FUNCTION refuse_capture_of_canceled();

-- Nor is an order canceled whose money is being taken, or was.
CREATE FUNCTION refuse_cancel_of_captured() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM payments WHERE order_id = NEW.id
               AND status IN ('capturing', 'captured', 'partially_captured')) THEN
        RAISE EXCEPTION 'the payment of order % is captured', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_cancel BEFORE UPDATE OF status ON orders FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND NEW.status = 'canceled')
    EXECUTE FUNCTION refuse_cancel_of_captured();

CREATE TABLE capture_jobs (
    id         text PRIMARY KEY,
    order_id   text NOT NULL REFERENCES orders,
    payment_id text NOT NULL REFERENCES payments,
    due_at     timestamptz NOT NULL,
    state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'active', 'done', 'removed', 'failed')),
    attempts   integer NOT NULL DEFAULT 0,
    last_error text
);
CREATE INDEX capture_jobs_order ON capture_jobs (order_id);
CREATE UNIQUE INDEX capture_jobs_one_live ON capture_jobs (payment_id) WHERE state IN ('waiting', 'active', 'done');

CREATE TABLE voids (
    id         text PRIMARY KEY,
    order_id   text NOT NULL REFERENCES orders,
    payment_id text NOT NULL REFERENCES payments,
    state      text NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'released', 'overtaken', 'refused')),
    attempts   integer NOT NULL DEFAULT 0,
    last_error text,
    settled_at timestamptz,
    CHECK ((state = 'requested') = (settled_at IS NULL))
);
CREATE INDEX voids_order ON voids (order_id);
CREATE UNIQUE INDEX voids_one_live ON voids (payment_id) WHERE state IN ('requested', 'released');
"""

MESSAGES = """
CREATE TABLE intents (
    id              text PRIMARY KEY,
    operation       text NOT NULL CHECK (operation IN ('register_order', 'set_stock', 'cancel_order')),
    subject         text NOT NULL,
    actor           text NOT NULL,
    idempotency_key text,
    fingerprint     bytea NOT NULL,
    payload         jsonb NOT NULL,
    state           text NOT NULL DEFAULT 'accepted'
                    CHECK (state IN ('accepted', 'working', 'done', 'refused', 'parked')),
    hindrance       text,
    waiters         text[] NOT NULL DEFAULT '{}',
    answer_status   smallint,
    answer_body     text,
    accepted_at     timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    CHECK ((state IN ('accepted', 'working')) = (answer_status IS NULL)),
    CHECK ((answer_status IS NULL) = (answer_body IS NULL)),
    CHECK ((answer_status IS NULL) = (ended_at IS NULL)),
    CHECK (answer_status <> 503)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
CREATE UNIQUE INDEX intents_key ON intents (subject, operation, actor, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX intents_joined ON intents (subject, operation, actor, fingerprint)
    WHERE idempotency_key IS NULL AND state IN ('accepted', 'working');
CREATE INDEX intents_running ON intents (subject, operation) WHERE state IN ('accepted', 'working');

-- A message that must arrive, until its task has been acted upon.  due_at is when it is published (again).
CREATE TABLE outbox (
    subject  text NOT NULL,
    task     text NOT NULL,
    due_at   timestamptz NOT NULL,
    sweeps   integer NOT NULL DEFAULT 0,
    breakages integer NOT NULL DEFAULT 0,
    PRIMARY KEY (subject, task)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX outbox_due ON outbox (due_at);

CREATE TABLE emails (
    id         text PRIMARY KEY,
    order_id   text NOT NULL REFERENCES orders,
    cause      text NOT NULL,
    template   text NOT NULL,
    recipient  text NOT NULL,
    context    jsonb NOT NULL,
    state      text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'sent', 'refused')),
    claimed_at timestamptz,
    attempts   integer NOT NULL DEFAULT 0,
    last_error text,
    sent_at    timestamptz,
    UNIQUE (cause, template, recipient),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX emails_order ON emails (order_id);
"""

HISTORY = """
CREATE TABLE timeline (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL REFERENCES orders,
    at       timestamptz NOT NULL DEFAULT now(),
    event    text NOT NULL,
    source   text NOT NULL,
    actor    text NOT NULL,
    data     jsonb NOT NULL
);
CREATE INDEX timeline_order ON timeline (order_id, id);
CREATE TRIGGER timeline_append_only BEFORE UPDATE OR DELETE ON timeline FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER timeline_no_truncate BEFORE TRUNCATE ON timeline FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE alerts (
    id              text PRIMARY KEY,
    cause           text NOT NULL,
    severity        text NOT NULL CHECK (severity IN ('warning', 'critical')),
    title           text NOT NULL,
    order_id        text REFERENCES orders,
    opened_at       timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    resolved_at     timestamptz
);
CREATE UNIQUE INDEX alerts_one_open ON alerts (cause) WHERE resolved_at IS NULL;
CREATE INDEX alerts_order ON alerts (order_id);
"""


TRANSITIONS = (
    guard("orders", "status", "pending>canceled", "pending>captured"),
    guard(
        "payments",
        "status",
        "authorized>capturing",
        "capturing>captured",
        "capturing>authorized",
        "capturing>voided",
        "authorized>voiding",
        "voiding>voided",
        "voiding>captured",
        "voiding>authorized",
    ),
    guard("capture_jobs", "state", "waiting>active", "active>done", "active>failed", "waiting>removed"),
    guard("voids", "state", "requested>released", "requested>overtaken", "requested>refused"),
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
    ),
    guard("emails", "state", "pending>sending", "sending>sent", "sending>refused", "sending>pending"),
)


def upgrade() -> None:
    """Create everything."""
    for part in (GUARDS, ORDERS, PAYMENTS, MESSAGES, HISTORY, *TRANSITIONS):
        op.execute(part)
