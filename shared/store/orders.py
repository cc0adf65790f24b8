"""Orders, their lines and their payments: locked reads, and the writes that keep the three in step."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from shared.domain import collection, legacy
from shared.domain.cancel import Cancelable
from shared.domain.intents import RUNNING, IntentState
from shared.domain.legacy import Record
from shared.domain.orders import OrderKind, OrderStatus
from shared.domain.payments import CaptureState, PaymentStatus, Provider, VoidState
from shared.errors import LegacyOrder


@dataclass(frozen=True, slots=True)
class Line:
    """What was bought: `unit_price` in minor units of the order's currency, `tax_rate` 0.10 for ten percent."""

    sku: str
    quantity: int
    unit_price: int
    tax_rate: Decimal


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as the shop registered it; amounts in minor units."""

    id: str
    kind: OrderKind
    status: OrderStatus
    currency: str
    total: int
    shipping: int
    email: str
    customer_id: str | None
    address: str | None
    fingerprint: bytes
    placed_at: datetime
    grace_until: datetime


class HeldPayment(msgspec.Struct, frozen=True):
    """A payment of an order that is locked, with the capture job that is to come or is done, and its latest void."""

    id: str
    status: PaymentStatus
    #: What it is to bring, in minor units.
    amount: int
    #: Whether its provider knows it.
    named: bool
    job_id: str | None
    job_state: CaptureState | None
    void_state: VoidState | None
    void_error: str | None

    @property
    def capturable(self) -> bool:
        """Whether its money is held and its capture still to come."""
        return self.status is PaymentStatus.AUTHORIZED and self.job_state in (CaptureState.WAITING, CaptureState.ACTIVE)


@dataclass(frozen=True, slots=True)
class HeldOrder:
    """An order locked for a cancel, with the intent that asks for it."""

    id: str
    order: Cancelable
    currency: str
    total: int
    email: str
    intent_running: bool
    actor: str
    #: The oldest first.
    payments: tuple[HeldPayment, ...]
    #: The edit that is under way: whoever wants to move the order's money waits for it.
    edit_id: str | None
    #: Its shipment, when the courier can still be asked to cancel it.
    shipment_id: str | None

    @property
    def held(self) -> list[str]:
        """The payments whose money is held, or could still be."""
        return [
            payment.id
            for payment in self.payments
            if payment.status is PaymentStatus.AUTHORIZED
            or (payment.status is PaymentStatus.UNPAID and payment.named)
        ]

    @property
    def jobs(self) -> list[str]:
        """The captures that are to come, or are done."""
        return [payment.job_id for payment in self.payments if payment.job_id]

    @property
    def void_state(self) -> VoidState | None:
        """How the voids of its payments stand together; None when there are none."""
        return collection.void_state(payment.void_state for payment in self.payments if payment.void_state)

    @property
    def void_unanswered(self) -> bool:
        """Whether a void was tried in vain."""
        requested = [payment for payment in self.payments if payment.void_state is VoidState.REQUESTED]
        return any(payment.void_error is not None for payment in requested)


_INSERT = text("""
    INSERT INTO orders (id, kind, status, currency, total, shipping, email, customer_id, address,
                        fingerprint, placed_at, grace_until)
    VALUES (:id, :kind, :status, :currency, :total, :shipping, :email, :customer_id, CAST(:address AS jsonb),
            :fingerprint, :placed_at, :grace_until)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
""")

_INSERT_LINES = text("""
    WITH collection AS (INSERT INTO payment_collections (order_id, amount) VALUES (:order_id, :total))
    INSERT INTO order_lines (order_id, line, sku, quantity, unit_price, tax_rate, reserved)
    SELECT :order_id, position, sku, quantity, unit_price, tax_rate, 0 FROM unnest(
        CAST(:skus AS text[]), CAST(:quantities AS integer[]), CAST(:unit_prices AS bigint[]),
        CAST(:tax_rates AS numeric[])
    ) WITH ORDINALITY AS l (sku, quantity, unit_price, tax_rate, position)
""")

_LOCK = text("SELECT status FROM orders WHERE id = :id FOR NO KEY UPDATE")

# The order's lock is taken first and alone; what is read with it would be as old as the wait for the lock.
_LOCK_FOR_INTENT = text("""
    SELECT o.id FROM intents i JOIN orders o ON o.id = i.subject WHERE i.id = :intent_id FOR NO KEY UPDATE OF o
""")

_HELD = text("""
    SELECT o.id, o.kind, o.status, o.customer_id, o.grace_until, o.currency, c.amount AS total, o.email,
           i.state AS intent_state, i.actor, e.id AS edit_id, s.id AS shipment_id,
           ARRAY(
               SELECT json_build_object('id', p.id, 'status', p.status, 'amount', p.amount,
                   'named', p.reference IS NOT NULL, 'job_id', j.id,
                   'job_state', j.state, 'void_state', v.state, 'void_error', v.last_error)
               FROM payments p
               LEFT JOIN capture_jobs j ON j.order_id = o.id AND j.payment_id = p.id
                   AND j.state IN ('waiting', 'active', 'done')
               LEFT JOIN LATERAL (
                   SELECT state, last_error FROM voids
                   WHERE order_id = o.id AND payment_id = p.id ORDER BY id DESC LIMIT 1
               ) v ON true
               WHERE p.order_id = o.id ORDER BY p.id
           ) AS payments
    FROM orders o
    JOIN intents i ON i.id = :intent_id
    JOIN payment_collections c ON c.order_id = o.id
    LEFT JOIN order_edits e ON e.order_id = o.id AND e.state = 'authorizing'
    LEFT JOIN shipments s ON s.order_id = o.id AND s.followed_by IS NOT NULL AND s.cancel_state IS NULL
        AND s.status NOT IN ('delivered', 'canceled', 'returning', 'returned')
    WHERE o.id = :order_id
""")

_FINGERPRINT = text("""
    SELECT o.fingerprint, o.id, o.currency, o.total, o.grace_until,
           CASE WHEN o.status = 'captured' AND NOT EXISTS (SELECT FROM capture_jobs j WHERE j.order_id = o.id)
                THEN 'captured' ELSE 'pending' END AS status
    FROM orders o WHERE o.id = :id
""")

_VIEW = text("""
    SELECT o.id AS order_id, o.kind, o.status, o.currency, c.amount AS total, o.shipping, o.customer_id, o.address,
           o.placed_at, o.grace_until, o.edit_status, o.canceled_at, o.cancellation_source,
           o.cancellation_refund, o.total AS registered,
           o.metadata ->> 'updated_total' AS updated_total,
           o.metadata ->> 'payment_status' AS payment_status,
           o.metadata ->> 'payment_intent_id' AS payment_intent_id,
           (SELECT json_build_object('courier', s.courier, 'awb', s.awb, 'status', s.status,
                'courier_status', s.courier_status, 'status_at', s.status_at, 'picked_up', s.picked_up,
                'canceled_at', s.canceled_at, 'cancellation_reason', s.cancellation_reason,
                'canceled_before_pickup', s.canceled_before_pickup, 'cancel_state', s.cancel_state)
            FROM shipments s WHERE s.order_id = o.id) AS shipment,
           (SELECT json_build_object('hotel', b.hotel, 'check_in', b.check_in, 'check_out', b.check_out,
                'time_zone', b.time_zone, 'policy', b.policy_id, 'policy_version', b.policy_version)
            FROM bookings b WHERE b.order_id = o.id) AS booking,
           ARRAY(
               SELECT json_build_object('payment_id', p.id, 'provider', p.provider, 'reference', p.reference,
                   'status', p.status, 'amount', p.amount, 'authorized', p.authorized, 'captured', p.captured,
                   'released', p.released, 'refunded', p.refunded, 'capturable', EXISTS (
                       SELECT FROM capture_jobs j WHERE j.payment_id = p.id AND j.state IN ('waiting', 'active')))
               FROM payments p WHERE p.order_id = o.id ORDER BY p.id
           ) AS payments,
           (SELECT json_agg(json_build_object('line', l.line, 'sku', l.sku, 'quantity', l.quantity,
                'unit_price', l.unit_price, 'tax_rate', l.tax_rate::text) ORDER BY l.line)
            FROM order_lines l WHERE l.order_id = o.id AND l.quantity > 0) AS lines
    FROM orders o
    LEFT JOIN payment_collections c ON c.order_id = o.id
    WHERE o.id = :id
""")


#: What of an order's payments is shown as a sum.
SUMS = ("authorized", "captured", "released", "refunded")


def insert(connection: Connection, order: NewOrder, lines: list[Line]) -> bool:
    """Write an order, its lines and its payment collection; False when the id is taken."""
    if connection.execute(_INSERT, {name: getattr(order, name) for name in NewOrder.__slots__}).scalar() is None:
        return False
    connection.execute(
        _INSERT_LINES,
        {
            "order_id": order.id,
            "total": order.total,
            "skus": [line.sku for line in lines],
            "quantities": [line.quantity for line in lines],
            "unit_prices": [line.unit_price for line in lines],
            "tax_rates": [line.tax_rate for line in lines],
        },
    )
    return True


def lock(connection: Connection, order_id: str) -> OrderStatus:
    """Take the order's lock: first of all locks in a transaction.  Answers its status."""
    return OrderStatus(connection.execute(_LOCK, {"id": order_id}).scalar_one())


def lock_for_intent(connection: Connection, intent_id: str) -> HeldOrder | None:
    """Lock the order an intent is about, and read all that a cancel must know; None when there is no such order.

    Raises `LegacyOrder`.
    """
    order_id = connection.execute(_LOCK_FOR_INTENT, {"intent_id": intent_id}).scalar()
    if order_id is None:
        return None
    row = connection.execute(_HELD, {"intent_id": intent_id, "order_id": order_id}).one_or_none()
    if row is None:
        raise LegacyOrder
    payments = tuple(msgspec.convert(payment, HeldPayment) for payment in row.payments)
    return HeldOrder(
        id=row.id,
        order=Cancelable(
            kind=OrderKind(row.kind),
            status=OrderStatus(row.status),
            customer_id=row.customer_id,
            grace_until=row.grace_until,
            payment_status=collection.status(
                [(payment.status, payment.amount) for payment in payments],
                capturable=any(payment.capturable for payment in payments),
            ),
            captures=tuple(payment.job_state for payment in payments if payment.status is PaymentStatus.AUTHORIZED),
        ),
        currency=row.currency,
        total=row.total,
        email=row.email,
        intent_running=IntentState(row.intent_state) in RUNNING,
        actor=row.actor,
        payments=payments,
        edit_id=row.edit_id,
        shipment_id=row.shipment_id,
    )


def registered(connection: Connection, order_id: str) -> Any:
    """Return (fingerprint, id, currency, total, grace_until, first status) of a registered order, or None."""
    return connection.execute(_FINGERPRINT, {"id": order_id}).one_or_none()


def view(connection: Connection, order_id: str) -> dict[str, Any] | None:
    """Return an order for people to see, with its payment and lines; None when there is none.

    Of an order that was brought over from a former system, it tells what that knew; the payment's amounts are None.
    """
    row = connection.execute(_VIEW, {"id": order_id}).one_or_none()
    if row is None:
        return None
    order = dict(row._mapping)
    record = Record(order.pop("updated_total"), order.pop("payment_status"), order.pop("payment_intent_id"))
    is_legacy = order["total"] is None
    order["total"] = legacy.amount(order["total"], record, order.pop("registered"))
    return order | {"payment": _former(record) if is_legacy else _together(order["payments"])}


def _former(record: Record) -> dict[str, Any]:
    """The payment of an order that was brought over from a former system, as that knew it."""
    named = {"provider": Provider.STRIPE if record.reference else None, "reference": record.reference}
    return named | {"status": legacy.payment_status(None, record)} | dict.fromkeys(SUMS)


def _together(payments: list[dict[str, Any]]) -> dict[str, Any]:
    """An order's payments as one: how they stand together, and their sums; named by the first."""
    capturable = [payment.pop("capturable") for payment in payments]
    statuses = [(PaymentStatus(payment["status"]), payment["amount"]) for payment in payments]
    sums = {name: sum(payment[name] for payment in payments) for name in SUMS}
    first = {"provider": payments[0]["provider"], "reference": payments[0]["reference"]}
    return first | {"status": collection.status(statuses, capturable=any(capturable)), **sums}


def as_json(value: Any) -> str | None:
    """Return a JSON column's text; None stays NULL."""
    return None if value is None else msgspec.json.encode(value).decode()
