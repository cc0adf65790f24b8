"""Bookings: orders with terms, each with its payment and the latest cancel of its guest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from shared.booking_requests import CancellationPolicy
from shared.domain import bookings
from shared.domain.bookings import BookingStatus, Paid
from shared.domain.orders import OrderStatus
from shared.domain.payments import CaptureState, PaymentStatus, Provider, VoidState
from shared.domain.policies import Terms
from shared.domain.refunds import RefundState
from shared.domain.settling import Cancellation, CancellationState


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
    #: What its guest was given back, or was promised.
    given: int
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
           p.captured, p.released, p.refunded, p.refunding,
           (SELECT coalesce(sum(r.amount), 0) FROM refunds r
            WHERE r.payment_id = p.id AND r.source = 'guest' AND r.state <> 'failed')::bigint AS given,
           (SELECT j.id FROM capture_jobs j WHERE j.payment_id = p.id AND j.state IN ('waiting', 'active')) AS job_id,
           (SELECT v.id FROM voids v WHERE v.payment_id = p.id AND v.state = 'requested') AS void_id,
           c.id AS cancellation_id, c.intent_id, c.token_id, c.state AS cancellation_state, c.reason, c.priced_at,
           c.paid, c.fee, c.refund, c.rule, c.description, c.was, c.approved, c.settled_at, c.awaits,
           cv.state AS awaited_void, cj.state AS awaited_capture, cr.state AS awaited_refund,
           cr.provider_id AS refund_reference,
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
            released=row.released,
            refunded=row.refunded,
            refunding=row.refunding,
        ),
        given=row.given,
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
        priced_at=row.priced_at,
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
