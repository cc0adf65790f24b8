"""Cancels by guests: one row for each, from the moment when its fee was reckoned until its money is settled.

Everything here is written under the order's lock.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, text

from shared.domain import bookings, orders
from shared.domain.orders import OrderEvent, OrderStatus
from shared.domain.policies import Charge
from shared.domain.settling import TRANSITIONS, Cancellation, CancellationEvent
from shared.domain.transitions import advance
from shared.store.bookings import Booking

#: What is written down of a cancel when it begins.
REMEMBERED = (
    "id",
    "intent_id",
    "token_id",
    "reason",
    "priced_at",
    "paid",
    "fee",
    "refund",
    "rule",
    "description",
    "was",
    "approved",
)

_INSERT = text("""
    INSERT INTO guest_cancellations
        (id, order_id, intent_id, token_id, reason, priced_at, paid, fee, refund, rule, description, was, approved)
    VALUES (:id, :order_id, :intent_id, :token_id, :reason, :priced_at, :paid, :fee, :refund, :rule, :description,
            :was, :approved)
""")

# The one that was judged just now, and those that wait, or are parked, for what was awaited before.
_AWAIT = text("""
    WITH cancellation AS (
        UPDATE guest_cancellations SET awaits = :awaits WHERE order_id = :order_id AND state = 'settling'
    ), canceling AS (
        UPDATE orders SET status = :status WHERE id = :order_id AND status <> :status
    )
    UPDATE intents SET awaits = :awaits, state = CASE state WHEN 'accepted' THEN 'working' ELSE state END
    WHERE operation = 'cancel_booking' AND (id = :intent_id OR awaits = (
        SELECT awaits FROM guest_cancellations WHERE order_id = :order_id AND state = 'settling'))
""")

_RECKON = text("""
    UPDATE guest_cancellations SET paid = :paid, fee = :fee, refund = :refund, rule = :rule, description = :description
    WHERE id = :id
""")

_SETTLE = text("""
    WITH used AS (UPDATE guest_tokens SET used_at = now() WHERE id = :token_id AND used_at IS NULL)
    UPDATE guest_cancellations
    SET state = :state, paid = :paid, fee = :fee, refund = :refund, description = :description, settled_at = now()
    WHERE id = :id
    RETURNING settled_at
""")

_REFUSE = text("""
    WITH stands AS (UPDATE orders SET status = :status WHERE id = :order_id)
    UPDATE guest_cancellations SET state = :state, settled_at = now() WHERE id = :id
""")


def begin_locked(connection: Connection, order_id: str, new: Cancellation) -> None:
    """Write down that its guest takes a booking back; the caller holds the order's lock."""
    values: dict[str, Any] = {name: getattr(new, name) for name in REMEMBERED}
    connection.execute(_INSERT, values | {"order_id": order_id})


def await_locked(connection: Connection, booking: Booking, intent_id: str, awaits: str) -> None:
    """The booking is `canceling` until this void, refund or capture has ended, and so long its intents wait."""
    values = {"order_id": booking.id, "intent_id": intent_id, "awaits": awaits, "status": OrderStatus.CANCELING}
    if booking.order_status is not OrderStatus.CANCELING:
        values["status"] = advance(orders.TRANSITIONS, booking.order_status, OrderEvent.CANCELING)
    connection.execute(_AWAIT, values)


def reckon_locked(connection: Connection, cancellation: Cancellation, paid: int, charge: Charge) -> Cancellation:
    """The guest turns out to have paid `paid` minor units: write down what the cancel costs of that; returns it so."""
    found: dict[str, Any] = {"paid": paid, "fee": charge.fee, "refund": charge.refund, "rule": charge.rule}
    found |= {"description": charge.description}
    connection.execute(_RECKON, found | {"id": cancellation.id})
    return replace(cancellation, **found)


def settle_locked(connection: Connection, cancellation: Cancellation, paid: int, fee: int) -> Cancellation:
    """The money of a cancel is where it should be, and its link has done what it is for; `fee` minor units were kept.

    Returns the cancel as it stands by that.
    """
    found: dict[str, Any] = {
        "state": advance(TRANSITIONS, cancellation.state, CancellationEvent.SETTLED),
        "paid": paid,
        "fee": fee,
        "refund": paid - fee,
        "description": bookings.told(cancellation.description, cancellation.fee, fee),
    }
    values = found | {"id": cancellation.id, "token_id": cancellation.token_id}
    settled_at = connection.execute(_SETTLE, values).scalar_one()
    return replace(cancellation, **found, settled_at=settled_at)


def refuse_locked(
    connection: Connection, booking: Booking, cancellation: Cancellation, event: OrderEvent
) -> OrderStatus:
    """The provider has refused to move the money; returns how the booking stands again."""
    status = advance(orders.TRANSITIONS, booking.order_status, event)
    state = advance(TRANSITIONS, cancellation.state, CancellationEvent.REFUSED)
    connection.execute(_REFUSE, {"order_id": booking.id, "status": status, "id": cancellation.id, "state": state})
    return status
