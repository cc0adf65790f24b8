"""Settling: how the money of a booking is brought to where its guest's cancel wants it, and who is told.

One step at a time, by where the money is at the moment (shared/domain/settling.py); the caller holds the order's lock.
"""

from collections.abc import Callable, Mapping

import msgspec
import structlog

from shared.domain import alerts as causes
from shared.domain import bookings as rules
from shared.domain.bookings import GUEST
from shared.domain.emails import Template
from shared.domain.intents import IntentState, Operation
from shared.domain.orders import CancellationRefund, OrderEvent, OrderStatus
from shared.domain.payments import PaymentStatus
from shared.domain.settling import Cancellation, Means, means
from shared.errors import CancellationFailed
from shared.ids import new_id
from shared.queues import Queue, Task
from shared.store import alerts, cancellations, edits, emails, guest_cancellations, intents, payments
from shared.store.bookings import Booking
from shared.store.emails import NewEmail
from shared.store.timeline import Entry
from workers.answers import booking_canceled
from workers.base import Work
from workers.editing import release
from workers.refunding import Wanted, promise

log = structlog.get_logger()


# How the money is brought there.


def go_on(work: Work, booking: Booking, cancellation: Cancellation, actor: str = "mesh") -> None:
    """Take the next step, or cancel the booking when there is none left."""
    if booking.payment.kept > cancellation.paid:
        cancellation = reckon_anew(work, booking, cancellation)
    awaits = STEP[means(booking.payment, cancellation.fee)](work, booking, cancellation)
    if awaits is None:
        complete(work, booking, cancellation, actor)
        return
    guest_cancellations.await_locked(work.connection, booking, cancellation.intent_id, awaits)
    if booking.order_status is not OrderStatus.CANCELING:
        data: dict[str, object] = {"from": booking.order_status, "to": OrderStatus.CANCELING, "awaits": awaits}
        data |= {"fee": cancellation.fee, "refund": cancellation.refund, "rule": cancellation.rule}
        work.record(Entry(booking.id, OrderEvent.CANCELING, Queue.CANCEL, actor, data))


def reckon_anew(work: Work, booking: Booking, cancellation: Cancellation) -> Cancellation:
    """The guest has paid in the very moment of the cancel, which nobody knew: the policy holds for that as well."""
    charge = rules.charge(booking.terms, booking.payment, cancellation.priced_at)
    return guest_cancellations.reckon_locked(work.connection, cancellation, booking.payment.kept, charge)


def void(work: Work, booking: Booking, _: Cancellation) -> str:
    """Release what is held; a payment that could still be made is closed."""
    payment = booking.payment
    return release(work, booking.id, payment.payment_id, Queue.CANCEL, before=payment.status)


def refund(work: Work, booking: Booking, cancellation: Cancellation) -> str:
    """Give back what is beyond the fee."""
    parts = {booking.payment.payment_id: booking.payment.kept - cancellation.fee}
    return promise(work, [], booking.id, parts, Wanted(GUEST, key=f"guest_cancel_refund:{booking.id}"))


def capture(work: Work, booking: Booking, cancellation: Cancellation) -> str:
    """Take the fee out of what is held, which releases the rest."""
    edits.set_total_locked(work.connection, booking.id, cancellation.fee)
    return take(work, booking, booking.job_id)


def take(work: Work, booking: Booking, job_id: str | None) -> str:
    """Have captured now what the booking is to be paid with, by the job that there is, or by another one."""
    if job_id is None:
        job_id = new_id("cap")
        payments.schedule_capture(work.connection, job_id, booking.id, booking.payment.payment_id)
    work.stage(Task.CAPTURE_PAYMENT, job_id)
    return job_id


STEP: Mapping[Means, Callable[[Work, Booking, Cancellation], str | None]] = {
    Means.NOTHING: lambda *_: None,
    Means.VOID: void,
    Means.JOIN_VOID: lambda _, booking, __: booking.void_id,
    Means.JOIN_CAPTURE: lambda _, booking, __: booking.job_id,
    Means.REFUND: refund,
    Means.CAPTURE: capture,
}


# How it ends.


def complete(work: Work, booking: Booking, cancellation: Cancellation, actor: str) -> None:
    """The money is where it should be: cancel the booking, and tell its guest and its hotel."""
    alerts.resolve_attempts(work.connection, booking.id)
    cancel(work, booking, cancellation, min(cancellation.fee, booking.payment.kept), actor)


def cancel(work: Work, booking: Booking, cancellation: Cancellation, fee: int, actor: str = "mesh") -> None:
    """Cancel the booking of which so much is kept."""
    if not booking.payment.captured:
        price_anew(work, booking)
    paid = booking.payment.kept + booking.given if booking.given else cancellation.paid
    done = guest_cancellations.settle_locked(work.connection, cancellation, paid, fee)
    to_guest, to_hotel = letters(booking, done)
    emails.write(work.connection, to_hotel)
    answer(work, booking, done)
    restocked = cancellations.cancel_locked(
        work.connection, booking.id, booking.order_status, GUEST, to_guest, CancellationRefund.POLICY
    )
    for letter in (to_guest, to_hotel):
        work.stage(Task.SEND_EMAIL, letter.id)
    data: dict[str, object] = {"from": booking.order_status, "to": OrderStatus.CANCELED, "restocked": restocked}
    data |= {"fee": done.fee, "refund": done.refund, "rule": done.rule}
    work.record(Entry(booking.id, OrderEvent.CANCELED, Queue.CANCEL, actor, data))


def stand(work: Work, booking: Booking, cancellation: Cancellation) -> None:
    """The provider has refused: the booking is what it was, and its guest may try again.

    When some of the money is back already it is not: then it is canceled, and the alert about what was refused stays.
    """
    work.stage(Task.COMPARE_PAYMENT, booking.payment.payment_id)  # somebody may have been at it there
    if booking.given:
        cancel(work, booking, cancellation, booking.payment.kept)
        return
    is_paid = OrderStatus.CAPTURED is cancellation.was or booking.payment.status is PaymentStatus.CAPTURED
    event = OrderEvent.STANDS_CAPTURED if is_paid else OrderEvent.STANDS
    status = guest_cancellations.refuse_locked(work.connection, booking, cancellation, event)
    price_anew(work, booking)
    if cancellation.approved and booking.payment.status is PaymentStatus.AUTHORIZED:
        take(work, booking, booking.job_id)
    data = {"from": OrderStatus.CANCELING, "to": status, "error": cancellation.error}
    work.record(Entry(booking.id, event, Queue.CANCEL, data=data))
    alerts.resolve(work.connection, causes.parked(Task.SETTLE_BOOKING, booking.id))
    log.warning("cancellation_refused", booking_id=booking.id, awaited=cancellation.awaits, code=cancellation.error)
    refuse_all(work, booking)


def price_anew(work: Work, booking: Booking) -> None:
    """No fee was captured after all: the booking is to be paid with what it costs."""
    if booking.due != booking.total:
        edits.set_total_locked(work.connection, booking.id, booking.total)


# Who is told.


def answer(work: Work, booking: Booking, cancellation: Cancellation) -> None:
    """Tell everybody who waits that the booking is canceled."""
    body = booking_canceled(cancellation, booking.currency)
    end_all(work, booking.id, IntentState.DONE, 200, body, cancellation.intent_id)


def refuse_all(work: Work, booking: Booking) -> None:
    """Tell everybody who waits that the booking stands."""
    problem = CancellationFailed()
    end_all(work, booking.id, IntentState.REFUSED, problem.http_status, problem.body())


def end_all(
    work: Work, order_id: str, state: IntentState, status: int, body: str, intent_id: str | None = None
) -> None:
    """End every intent that waits for this cancel; also the one that was judged just now."""
    ended = intents.end_working(
        work.connection, Operation.CANCEL_BOOKING, order_id, status, body, state=state, intent_id=intent_id
    )
    work.ring(*ended)


def letters(booking: Booking, cancellation: Cancellation) -> tuple[NewEmail, NewEmail]:
    """The e-mails to the guest and to the hotel."""
    context = {
        "order_id": booking.id,
        "hotel": booking.hotel_name,
        "check_in": booking.check_in.strftime("%Y-%m-%d"),
        "total": cancellation.refund,
        "fee": cancellation.fee,
        "currency": booking.currency,
        "description": cancellation.description,
        "is_released": cancellation.refunding is None and cancellation.refund > 0,
    }
    body = msgspec.json.encode(context).decode()

    def to(recipient: str, template: Template) -> NewEmail:
        return NewEmail(new_id("mail"), booking.id, booking.id, template, recipient, body)

    return to(booking.email, Template.BOOKING_CANCELED), to(booking.hotel_email, Template.HOTEL_BOOKING_CANCELED)
