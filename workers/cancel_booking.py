"""Cancel of a booking: its guest takes it back, and pays what the policy says.

Money first: what is held is released, what was paid beyond the fee is refunded, and the booking is canceled when that
is known to have happened; until then it is `canceling`, and whoever asked waits.  When the provider refuses, the
booking stands as it did.  Each step is decided from where the money is at the moment, under the order's lock, so it
does not matter who has moved it meanwhile; the tasks that move it (void.py, refund.py, capture.py) wake this one.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec

from shared.booking_requests import BookingCancellation
from shared.domain import bookings as rules
from shared.domain.bookings import Asked, Verdict
from shared.domain.intents import IntentState
from shared.domain.settling import Cancellation, CancellationState, Progress, settled
from shared.errors import NotFound, Parked, Problem
from shared.ids import new_id
from shared.queues import Task
from shared.store import bookings, guest_cancellations, intents, operators, orders, parked
from shared.store.bookings import Booking
from shared.store.intents import Intent
from shared.store.outbox import Message
from shared.tokens import guest_of
from workers.answers import booking_canceled
from workers.app import app
from workers.base import Work, Worker
from workers.operators import wait_for_capture
from workers.settling import answer, go_on, refuse_all, stand


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
            validity = timedelta(seconds=task.mesh.settings.quote_validity)
            verdict = rules.judge(booking.status(asked.at), booking.payment, asked, validity)
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
            FOLLOW[settled(cancellation.progress, booking.payment, cancellation.fee)](work, booking, cancellation)
        elif cancellation.state is CancellationState.DONE:
            answer(work, booking, cancellation)
        else:
            refuse_all(work, booking)


def request(intent: Intent) -> Asked:
    """Return what a guest asks for."""
    asked = msgspec.convert(intent.payload, BookingCancellation)
    return Asked(intent.accepted_at, asked.reason, asked.quoted_at, asked.shown)


# What a guest's request comes to.


def begin(task: Worker, work: Work, intent: Intent, booking: Booking) -> None:
    """Reckon what it costs, and have the money brought there."""
    work.strike(Task.CANCEL_BOOKING, intent.id)
    asked = request(intent)
    charge = rules.charge(booking.terms, booking.payment, asked.priced_at, asked.shown)
    new = Cancellation(
        id=new_id("gcn"),
        intent_id=intent.id,
        token_id=guest_of(intent.actor),
        reason=asked.reason,
        priced_at=asked.priced_at,
        paid=booking.payment.amount,
        fee=charge.fee,
        refund=charge.refund,
        rule=charge.rule,
        description=charge.description,
        was=booking.order_status,
        approved=booking.job_id is not None,
    )
    guest_cancellations.begin_locked(work.connection, booking.id, new)
    go_on(work, booking, new, intent.actor)


def join(task: Worker, work: Work, intent: Intent, booking: Booking) -> None:
    """It is being canceled: wait along, unless what is waited for was given up until a person looks."""
    work.strike(Task.CANCEL_BOOKING, intent.id)
    awaited = booking.cancellation.awaited if booking.cancellation else None
    if awaited is None:
        raise LookupError(booking.id)
    operators.await_outcome_locked(work.connection, intent.id, awaited[1])
    if parked.are_given_up(work.connection, [Message(*awaited), Message(Task.SETTLE_BOOKING, booking.id)]):
        problem = Parked()
        work.ring(*intents.park(work.connection, intent.id, problem.http_status, problem.body()))


def replay(task: Worker, work: Work, intent: Intent, booking: Booking) -> None:
    """It is canceled: answer as its cancel was answered."""
    work.strike(Task.CANCEL_BOOKING, intent.id)
    if booking.cancellation is None:
        raise LookupError(booking.id)
    work.finish(intent.id, booking_canceled(booking.cancellation, booking.currency))


def wait(task: Worker, work: Work, intent: Intent, booking: Booking) -> None:
    """Its hotel has just approved it: the capture's outcome says what there is to give back."""
    message = Message(Task.CANCEL_BOOKING, intent.id)
    wait_for_capture(task, work, message, [booking.job_id] if booking.job_id else [])


CARRY_OUT: Mapping[Verdict, Callable[[Worker, Work, Intent, Booking], None]] = {
    Verdict.CANCEL: begin,
    Verdict.JOIN: join,
    Verdict.REPLAY: replay,
    Verdict.WAIT: wait,
}


# How its money has come on.


def stay(*_: object) -> None:
    """Nobody knows yet: what it waits for wakes it."""


FOLLOW: Mapping[Progress, Callable[[Work, Booking, Cancellation], None]] = {
    Progress.WAITING: stay,
    Progress.ENDED: go_on,
    Progress.REFUSED: stand,
}
