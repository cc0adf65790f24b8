"""Bookings: orders with terms, and the cancels by which guests take them back."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from shared import money
from shared.booking_requests import CancellationPolicy
from shared.domain import bookings, orders
from shared.domain.bookings import (
    OF_CAPTURE,
    OF_REFUND,
    OF_VOID,
    TRANSITIONS,
    BookingStatus,
    CancellationEvent,
    CancellationState,
    Paid,
    Progress,
)
from shared.domain.orders import OrderEvent, OrderStatus
from shared.domain.payments import CaptureState, PaymentStatus, Provider, VoidState
from shared.domain.policies import Terms
from shared.domain.refunds import RefundState
from shared.domain.transitions import advance
from shared.queues import Task


@dataclass(frozen=True, slots=True)
class NewBooking:
    """The terms of an order; `check_in` and `check_out` are on the hotel's wall clock."""

    order_id: str
    hotel: str
    hotel_name: str
    hotel_email: str
    check_in: datetime
    check_out: datetime
    time_zone: str
    ends_at: datetime
    policy_id: str
    policy_version: int


@dataclass(frozen=True, slots=True)
class NewCancellation:
    """A cancel by a guest, which may take a while; amounts in minor units."""

    id: str
    order_id: str
    intent_id: str
    token_id: str
    reason: str
    priced_at: datetime
    paid: int
    fee: int
    refund: int
    rule: str
    description: str
    #: How the order stood, and whether its hotel had approved it, so that its capture was to come.
    was: OrderStatus
    approved: bool


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The latest cancel of a booking, and what it waits for; amounts in minor units."""

    id: str
    intent_id: str
    token_id: str
    reason: str
    paid: int
    fee: int
    refund: int
    rule: str
    description: str
    was: OrderStatus
    approved: bool
    state: CancellationState = CancellationState.SETTLING
    settled_at: datetime | None = None
    awaits: str | None = None
    void: VoidState | None = None
    capture: CaptureState | None = None
    refunding: RefundState | None = None
    #: The refund's name at the provider, once it is known there, and when it was given back.
    refund_reference: str | None = None
    refund_processed_at: datetime | None = None
    #: The provider's code, when what it waits for has failed.
    error: str | None = None

    @property
    def progress(self) -> Progress:
        """How what it waits for has come on."""
        if self.void:
            return OF_VOID[self.void]
        if self.capture:
            return OF_CAPTURE[self.capture]
        if self.refunding is RefundState.PROCESSING and self.refund_reference:
            return Progress.ENDED
        return OF_REFUND[self.refunding] if self.refunding else Progress.ENDED

    @property
    def awaited(self) -> tuple[Task, str] | None:
        """The task that carries on what it waits for, and its subject."""
        tasks = ((self.void, Task.VOID_PAYMENT), (self.capture, Task.CAPTURE_PAYMENT))
        task = next((task for state, task in tasks if state), Task.REFUND_PAYMENT)
        return (task, self.awaits) if self.awaits else None


@dataclass(frozen=True, slots=True)
class Booking:
    """A booking as it stands; amounts in minor units."""

    id: str
    order_status: OrderStatus
    #: Who has canceled it.
    source: str | None
    email: str
    hotel: str
    hotel_name: str
    hotel_email: str
    policy_id: str
    policy_version: int
    currency: str
    #: What it costs.
    total: int
    placed_at: datetime
    #: On the hotel's wall clock.
    check_in: datetime
    check_out: datetime
    time_zone: str
    #: The policy as it was agreed to, in the form in which it was set.
    agreed: Any
    ends_at: datetime
    #: What is to be paid: another sum than it costs while a fee is captured.
    due: int
    payment: Paid
    #: The capture that is still to come, and the void that is under way.
    job_id: str | None
    void_id: str | None
    cancellation: Cancellation | None

    @property
    def terms(self) -> Terms:
        """What was agreed: put together only where a fee is reckoned."""
        return Terms(
            policy=msgspec.convert(self.agreed, CancellationPolicy).policy(),
            currency=self.currency,
            total=self.total,
            placed_at=self.placed_at,
            check_in=self.check_in,
            check_out=self.check_out,
            time_zone=self.time_zone,
        )

    def status(self, at: datetime) -> BookingStatus:
        """Return how it stands at a moment."""
        return bookings.status(self.order_status, self.payment.status, self.source, is_over=at >= self.ends_at)


_INSERT = text("""
    INSERT INTO bookings (order_id, hotel, hotel_name, hotel_email, check_in, check_out, time_zone, ends_at, policy_id,
                          policy_version)
    VALUES (:order_id, :hotel, :hotel_name, :hotel_email, :check_in, :check_out, :time_zone, :ends_at, :policy_id,
            :policy_version)
""")

# The order's lock is taken first and alone; what is read with it would be as old as the wait for the lock.
_LOCK = text("""
    SELECT o.id FROM intents i JOIN orders o ON o.id = i.subject WHERE i.id = :intent_id FOR NO KEY UPDATE OF o
""")

_READ = text("""
    SELECT o.id, o.status, o.cancellation_source, o.email, o.currency, o.total, o.placed_at, k.amount AS due, b.hotel,
           b.hotel_name, b.hotel_email, b.check_in, b.check_out, b.time_zone, b.ends_at, b.policy_id, b.policy_version,
           y.body AS policy, p.id AS payment_id, p.provider, p.reference, p.status AS payment_status, p.authorized,
           p.captured, p.refunded, p.refunding,
           (SELECT j.id FROM capture_jobs j WHERE j.payment_id = p.id AND j.state IN ('waiting', 'active')) AS job_id,
           (SELECT v.id FROM voids v WHERE v.payment_id = p.id AND v.state = 'requested') AS void_id,
           c.id AS cancellation_id, c.intent_id, c.token_id, c.state AS cancellation_state, c.reason, c.paid, c.fee,
           c.refund, c.rule, c.description, c.was, c.approved, c.settled_at, c.awaits, cv.state AS awaited_void,
           cj.state AS awaited_capture, cr.state AS awaited_refund, cr.provider_id AS refund_reference,
           CASE cr.state WHEN 'completed' THEN cr.settled_at END AS refund_processed_at,
           coalesce(cv.last_error, cj.last_error, cr.last_error) AS error
    FROM orders o
    JOIN bookings b ON b.order_id = o.id
    JOIN policies y ON y.id = b.policy_id AND y.version = b.policy_version
    JOIN payment_collections k ON k.order_id = o.id
    JOIN payments p ON p.order_id = o.id
    LEFT JOIN LATERAL (
        SELECT * FROM guest_cancellations WHERE order_id = o.id
        ORDER BY state IN ('settling', 'done') DESC, id DESC LIMIT 1
    ) c ON true
    LEFT JOIN voids cv ON cv.id = c.awaits
    LEFT JOIN capture_jobs cj ON cj.id = c.awaits
    LEFT JOIN refunds cr ON cr.id = c.awaits
    WHERE o.id = :order_id
""")

_INSERT_CANCELLATION = text("""
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

_FOUND = text("""
    UPDATE guest_cancellations SET paid = :paid, refund = :paid - fee WHERE order_id = :order_id AND state = 'settling'
""")

_SETTLE = text("""
    WITH used AS (UPDATE guest_tokens SET used_at = now() WHERE id = :token_id AND used_at IS NULL)
    UPDATE guest_cancellations
    SET state = :state, fee = :fee, refund = paid - :fee, description = :description, settled_at = now()
    WHERE id = :id
    RETURNING paid, settled_at
""")

_REFUSE = text("""
    WITH stands AS (UPDATE orders SET status = :status WHERE id = :order_id)
    UPDATE guest_cancellations SET state = :state, settled_at = now() WHERE id = :id
""")


def insert(connection: Connection, new: NewBooking) -> None:
    """Write the terms of an order that was just written."""
    connection.execute(_INSERT, {name: getattr(new, name) for name in NewBooking.__slots__})


def read(connection: Connection, order_id: str) -> Booking | None:
    """Return a booking; None when there is no such order, or when it is none."""
    row = connection.execute(_READ, {"order_id": order_id}).one_or_none()
    return _booking(row) if row else None


def lock_for_intent(connection: Connection, intent_id: str) -> Booking | None:
    """Lock the booking that an intent is about, and return it; None when there is no such order, or it is none."""
    order_id = connection.execute(_LOCK, {"intent_id": intent_id}).scalar()
    return read(connection, order_id) if order_id else None


def begin_locked(connection: Connection, new: NewCancellation) -> Cancellation:
    """Write down that its guest takes a booking back; the caller holds the order's lock."""
    connection.execute(_INSERT_CANCELLATION, {name: getattr(new, name) for name in NewCancellation.__slots__})
    return Cancellation(
        id=new.id,
        intent_id=new.intent_id,
        token_id=new.token_id,
        reason=new.reason,
        paid=new.paid,
        fee=new.fee,
        refund=new.refund,
        rule=new.rule,
        description=new.description,
        was=new.was,
        approved=new.approved,
    )


def await_locked(connection: Connection, booking: Booking, intent_id: str, awaits: str) -> None:
    """The booking is `canceling` until this void, refund or capture has ended, and so long its intents wait."""
    values = {"order_id": booking.id, "intent_id": intent_id, "awaits": awaits, "status": OrderStatus.CANCELING}
    if booking.order_status is not OrderStatus.CANCELING:
        values["status"] = advance(orders.TRANSITIONS, booking.order_status, OrderEvent.CANCELING)
    connection.execute(_AWAIT, values)


def raise_paid_locked(connection: Connection, order_id: str, paid: int) -> None:
    """The guest turns out to have paid `paid` minor units: what is beyond the fee goes back as well."""
    connection.execute(_FOUND, {"order_id": order_id, "paid": paid})


def settle_locked(connection: Connection, cancellation: Cancellation, fee: int) -> Cancellation:
    """The money of a cancel is where it should be, and its link has done what it is for; `fee` minor units were kept.

    Returns the cancel as it stands by that.
    """
    state = advance(TRANSITIONS, cancellation.state, CancellationEvent.SETTLED)
    values = {"id": cancellation.id, "token_id": cancellation.token_id, "state": state, "fee": fee}
    description = bookings.told(cancellation.description, cancellation.fee, fee)
    row = connection.execute(_SETTLE, values | {"description": description}).one()
    return replace(
        cancellation,
        state=state,
        description=description,
        paid=row.paid,
        fee=fee,
        refund=row.paid - fee,
        settled_at=row.settled_at,
    )


def refuse_locked(
    connection: Connection, booking: Booking, cancellation: Cancellation, event: OrderEvent
) -> OrderStatus:
    """The provider has refused to move the money; returns how the booking stands again."""
    status = advance(orders.TRANSITIONS, booking.order_status, event)
    state = advance(TRANSITIONS, cancellation.state, CancellationEvent.REFUSED)
    connection.execute(_REFUSE, {"order_id": booking.id, "status": status, "id": cancellation.id, "state": state})
    return status


def shown(cancellation: Cancellation, currency: str) -> dict[str, Any]:
    """Return a cancel for people to see: amounts in major units of `currency`, as strings."""
    return {
        "cancelled_at": cancellation.settled_at,
        "cancellation_fee": money.plain(cancellation.fee, currency),
        "refund_amount": money.plain(cancellation.refund, currency),
        "currency": currency,
        "description": cancellation.description,
        "applied_rule": cancellation.rule,
        "refund_reference": cancellation.refund_reference,
        "refund_processed_at": cancellation.refund_processed_at,
        "reason": cancellation.reason,
    }


def _booking(row: Row[Any]) -> Booking:
    return Booking(
        id=row.id,
        order_status=OrderStatus(row.status),
        source=row.cancellation_source,
        email=row.email,
        hotel=row.hotel,
        hotel_name=row.hotel_name,
        hotel_email=row.hotel_email,
        policy_id=row.policy_id,
        policy_version=row.policy_version,
        currency=row.currency,
        total=row.total,
        placed_at=row.placed_at,
        check_in=row.check_in,
        check_out=row.check_out,
        time_zone=row.time_zone,
        agreed=row.policy,
        ends_at=row.ends_at,
        due=row.due,
        payment=Paid(
            payment_id=row.payment_id,
            provider=Provider(row.provider),
            reference=row.reference,
            status=PaymentStatus(row.payment_status),
            authorized=row.authorized,
            captured=row.captured,
            refunded=row.refunded,
            refunding=row.refunding,
        ),
        job_id=row.job_id,
        void_id=row.void_id,
        cancellation=_cancellation(row) if row.cancellation_id else None,
    )


def _cancellation(row: Row[Any]) -> Cancellation:
    return Cancellation(
        id=row.cancellation_id,
        intent_id=row.intent_id,
        token_id=row.token_id,
        state=CancellationState(row.cancellation_state),
        reason=row.reason,
        paid=row.paid,
        fee=row.fee,
        refund=row.refund,
        rule=row.rule,
        description=row.description,
        was=OrderStatus(row.was),
        approved=row.approved,
        settled_at=row.settled_at,
        awaits=row.awaits,
        void=VoidState(row.awaited_void) if row.awaited_void else None,
        capture=CaptureState(row.awaited_capture) if row.awaited_capture else None,
        refunding=RefundState(row.awaited_refund) if row.awaited_refund else None,
        refund_reference=row.refund_reference,
        refund_processed_at=row.refund_processed_at,
        error=row.error,
    )
