"""Cancel of a booking: its guest takes it back, and pays what the policy says.

Money first: what is held is released, what was paid beyond the fee is refunded, and the booking is canceled when that
is known to have happened; until then it is `canceling`, and whoever asked waits.  When the provider refuses, the
booking stands as it did.  Each step is decided from where the money is at the moment, under the order's lock, so it
does not matter who has moved it meanwhile; the tasks that move it (void.py, refund.py, capture.py) wake this one.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec
import structlog

from shared.booking_requests import BookingCancellation
from shared.domain import alerts as causes
from shared.domain import bookings as rules
from shared.domain.bookings import (
    GUEST,
    Asked,
    CancellationState,
    Means,
    Progress,
    Verdict,
)
from shared.domain.emails import Template
from shared.domain.intents import IntentState, Operation
from shared.domain.orders import CancellationRefund, OrderEvent, OrderStatus
from shared.domain.payments import PaymentStatus
from shared.errors import CancellationFailed, NotFound, Parked, Problem
from shared.ids import new_id
from shared.queues import Queue, Task
from shared.store import (
    alerts,
    bookings,
    cancellations,
    edits,
    emails,
    intents,
    operators,
    orders,
    parked,
    payments,
)
from shared.store.bookings import Booking, Cancellation, NewCancellation
from shared.store.emails import NewEmail
from shared.store.intents import Intent
from shared.store.outbox import Message
from shared.store.timeline import Entry
from workers.answers import booking_canceled
from workers.app import app
from workers.base import Work, Worker
from workers.editing import release
from workers.operators import wait_for_capture
from workers.refunding import Wanted, promise

log = structlog.get_logger()


@app.task(base=Worker, bind=True, name=Task.CANCEL_BOOKING)
def cancel_booking(task: Worker, intent_id: str) -> None:
    """Judge one cancel of a guest and begin it; safe to run any number of times."""
    with task.work() as work:
        booking = bookings.lock_for_intent(work.connection, intent_id)
        intent = intents.read(work.connection, intent_id)
        if intent is None or intent.state is not IntentState.ACCEPTED:  # judged before; what it waits for answers it
            work.strike(Task.CANCEL_BOOKING, intent_id)
            return
        try:
            if booking is None:
                raise NotFound("There is no such booking")
            asked = request(intent)
            status, validity = booking.status(intent.accepted_at), timedelta(seconds=task.mesh.settings.quote_validity)
            verdict = rules.judge(status, booking.payment, asked, validity)
        except Problem as refusal:
            work.strike(Task.CANCEL_BOOKING, intent_id)
            work.refuse(intent_id, refusal)
        else:
            CARRY_OUT[verdict](task, work, intent, booking)


@app.task(base=Worker, bind=True, name=Task.SETTLE_BOOKING)
def settle_booking(task: Worker, order_id: str) -> None:
    """Go on with a cancel whose money has come on, and answer everybody who waits for one that has ended."""
    with task.work() as work:
        work.strike(Task.SETTLE_BOOKING, order_id)
        orders.lock(work.connection, order_id)
        booking = bookings.read(work.connection, order_id)
        if booking is None or booking.cancellation is None:
            return
        cancellation = booking.cancellation
        if cancellation.state is CancellationState.SETTLING:
            progress = rules.settled(cancellation.progress, booking.payment, cancellation.fee)
            ON[progress](work, booking, cancellation)
        elif cancellation.state is CancellationState.DONE:
            answer(work, booking, cancellation)
        else:
            refuse_all(work, booking)


def request(intent: Intent) -> Asked:
    """Return what a guest asks for."""
    asked = msgspec.convert(intent.payload, BookingCancellation)
    return Asked(intent.accepted_at, asked.quoted_at, asked.shown)


# What a guest's request comes to.


def begin(task: Worker, work: Work, intent: Intent, booking: Booking) -> None:
    """Reckon what it costs, and have the money brought there."""
    work.strike(Task.CANCEL_BOOKING, intent.id)
    asked = request(intent)
    charge = rules.charge(booking.terms, booking.payment, asked.priced_at, asked.shown)
    new = NewCancellation(
        id=new_id("gcn"),
        order_id=booking.id,
        intent_id=intent.id,
        token_id=intent.actor.partition(":")[2],
        reason=msgspec.convert(intent.payload, BookingCancellation).reason,
        priced_at=asked.priced_at,
        paid=booking.payment.amount,
        fee=charge.fee,
        refund=charge.refund,
        rule=charge.rule,
        description=charge.description,
        was=booking.order_status,
        approved=booking.job_id is not None,
    )
    go_on(work, booking, bookings.begin_locked(work.connection, new), intent.actor)


def join(task: Worker, work: Work, intent: Intent, booking: Booking) -> None:
    """It is being canceled: wait along, unless what is waited for was given up until a person looks."""
    work.strike(Task.CANCEL_BOOKING, intent.id)
    awaited = booking.cancellation.awaited if booking.cancellation else None
    if awaited is None:
        raise LookupError(booking.id)
    if parked.are_given_up(work.connection, [Message(*awaited), Message(Task.SETTLE_BOOKING, booking.id)]):
        problem = Parked()
        work.ring(*intents.park(work.connection, intent.id, problem.http_status, problem.body()))
    else:
        operators.await_outcome_locked(work.connection, intent.id, awaited[1])


def replay(task: Worker, work: Work, intent: Intent, booking: Booking) -> None:
    """It is canceled: answer as its cancel was answered."""
    work.strike(Task.CANCEL_BOOKING, intent.id)
    if booking.cancellation is None:
        raise LookupError(booking.id)
    work.finish(intent.id, booking_canceled(booking.cancellation, booking.currency))


def wait(task: Worker, work: Work, intent: Intent, booking: Booking) -> None:
    """Its hotel has just approved it: the capture's outcome says what there is to give back."""
    wait_for_capture(task, work, intent.id, [booking.job_id] if booking.job_id else [])


CARRY_OUT: Mapping[Verdict, Callable[[Worker, Work, Intent, Booking], None]] = {
    Verdict.CANCEL: begin,
    Verdict.JOIN: join,
    Verdict.REPLAY: replay,
    Verdict.WAIT: wait,
}


# How the money is brought there.


def go_on(work: Work, booking: Booking, cancellation: Cancellation, actor: str = "mesh") -> None:
    """Take the next step, or cancel the booking when there is none left."""
    awaits = STEP[rules.means(booking.payment, cancellation.fee)](work, booking, cancellation)
    if awaits is None:
        complete(work, booking, cancellation, actor)
        return
    bookings.await_locked(work.connection, booking, cancellation.intent_id, awaits)
    if booking.order_status is not OrderStatus.CANCELING:
        data: dict[str, object] = {"from": booking.order_status, "to": OrderStatus.CANCELING, "awaits": awaits}
        data |= {"fee": cancellation.fee, "refund": cancellation.refund, "rule": cancellation.rule}
        work.record(Entry(booking.id, OrderEvent.CANCELING, Queue.CANCEL, actor, data))


def void(work: Work, booking: Booking, _: Cancellation) -> str:
    """Release what is held; a payment that could still be made is closed."""
    payment = booking.payment
    return release(work, booking.id, payment.payment_id, Queue.CANCEL, before=payment.status)


def refund(work: Work, booking: Booking, cancellation: Cancellation) -> str:
    """Give back what is beyond the fee, also of what was paid meanwhile."""
    if booking.payment.kept > cancellation.paid:
        bookings.raise_paid_locked(work.connection, booking.id, booking.payment.kept)
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


def stay(*_: object) -> None:
    """Nobody knows yet: what it waits for wakes it."""


def proceed(work: Work, booking: Booking, cancellation: Cancellation) -> None:
    """The money has come on."""
    go_on(work, booking, cancellation)


def complete(work: Work, booking: Booking, cancellation: Cancellation, actor: str) -> None:
    """The money is where it should be: cancel the booking, and tell its guest and its hotel."""
    fee = min(cancellation.fee, booking.payment.kept)
    if not booking.payment.captured:
        price_anew(work, booking)
    done = bookings.settle_locked(work.connection, cancellation, fee)
    to_guest, to_hotel = letters(booking, done)
    emails.write(work.connection, to_hotel)
    alerts.resolve_attempts(work.connection, booking.id)
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
    """The provider has refused: the booking is what it was, and its guest may try again."""
    is_paid = OrderStatus.CAPTURED is cancellation.was or booking.payment.status is PaymentStatus.CAPTURED
    event = OrderEvent.STANDS_CAPTURED if is_paid else OrderEvent.STANDS
    status = bookings.refuse_locked(work.connection, booking, cancellation, event)
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


ON: Mapping[Progress, Callable[[Work, Booking, Cancellation], None]] = {
    Progress.WAITING: stay,
    Progress.ENDED: proceed,
    Progress.REFUSED: stand,
}


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
