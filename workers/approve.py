"""Approve: a hotel accepts a booking, and the money that is held for it is taken.

The capture's own task takes it (workers/capture.py); until then the guest may take the booking back.
"""

import msgspec

from shared.domain import bookings as rules
from shared.domain.bookings import BookingEvent
from shared.errors import NotFound, Problem
from shared.ids import new_id
from shared.queues import Queue, Task
from shared.store import bookings, intents, payments
from shared.store.bookings import Booking
from shared.store.intents import Intent
from shared.store.timeline import Entry
from workers.app import app
from workers.base import Work, Worker


@app.task(base=Worker, bind=True, name=Task.APPROVE_BOOKING)
def approve_booking(task: Worker, intent_id: str) -> None:
    """Judge one approval and have the money captured now; safe to run any number of times."""
    with task.work() as work:
        booking = bookings.lock_for_intent(work.connection, intent_id)
        intent = intents.read(work.connection, intent_id)
        work.strike(Task.APPROVE_BOOKING, intent_id)
        if intent is None or not intent.running:
            return
        try:
            if booking is None:
                raise NotFound("There is no such booking")
            status = booking.status(intent.accepted_at)
            if rules.approve(status, booking.payment.status) and not booking.job_id:
                capture(work, booking, intent)
        except Problem as refusal:
            work.refuse(intent_id, refusal)
        else:
            work.finish(intent_id, msgspec.json.encode({"booking_id": booking.id, "status": status}).decode())


def capture(work: Work, booking: Booking, intent: Intent) -> None:
    """Have all that the booking costs captured at once."""
    job_id = new_id("cap")
    payments.schedule_capture(work.connection, job_id, booking.id, booking.payment.payment_id)
    work.stage(Task.CAPTURE_PAYMENT, job_id)
    work.record(Entry(booking.id, BookingEvent.APPROVED, Queue.CAPTURE, intent.actor, {"job_id": job_id}))
