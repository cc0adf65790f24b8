"""Capture: take the money of an order that nobody canceled, when its grace period is over.

Claim, call, settle.  The claim marks the job active under the order's lock: a cancel that comes later is too late, and
a claim that finds the order canceled aborts (the photo finish).  An unknown outcome leaves the job active and is tried
again under the same idempotency key.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.alerts import Kind, cause, parked
from shared.domain.orders import OrderEvent, OrderStatus
from shared.domain.payments import CaptureState, PaymentEvent
from shared.providers.ports import (
    Authorization,
    Captured,
    Declined,
    HoldStatus,
    InProgress,
    PaymentProvider,
    Refused,
    Unknown,
)
from shared.queues import Queue, Task
from shared.store import alerts, orders, payments
from shared.store.alerts import Severity
from shared.store.outbox import Message
from shared.store.payments import Capture
from shared.store.timeline import Entry
from workers.app import app
from workers.base import Work, Worker
from workers.editing import wait_and_hurry
from workers.operators import wake

#: Our own refusal: nobody is asked for more than is held.
ABOVE_AUTHORIZATION = "above_authorization"

#: What a hold says of itself when it cannot be captured, or before a capture is tried again; one that still stands says
#: nothing of the attempts before.
READ_BACK: Mapping[HoldStatus, PaymentEvent] = {
    HoldStatus.CAPTURED: PaymentEvent.CAPTURED,
    HoldStatus.PARTIALLY_CAPTURED: PaymentEvent.CAPTURED,
    HoldStatus.RELEASED: PaymentEvent.AUTHORIZATION_CANCELED,
}

#: Where a capture job stands that is still to be carried out.
CAPTURABLE = (CaptureState.WAITING, CaptureState.ACTIVE)

#: Outcomes after which the order is paid for.
TAKEN = (PaymentEvent.CAPTURED, PaymentEvent.CAPTURED_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known after a call; amounts in minor units; no event means that nothing is."""

    event: PaymentEvent | None
    captured: int = 0
    released: int = 0
    error: str | None = None
    #: What was held, when that was read back: it may have been raised meanwhile.
    authorized: int | None = None


@app.task(base=Worker, bind=True, name=Task.CAPTURE_PAYMENT)
def capture_payment(task: Worker, job_id: str) -> None:
    """Capture one payment; safe to run any number of times."""
    capture = claim(task, job_id)
    if capture is None:  # canceled, not due, or settled by a twin
        return
    outcome = call(task.mesh.providers[capture.provider], capture)
    with task.work() as work:
        orders.lock(work.connection, capture.order_id)
        if payments.read_capture_locked(work.connection, job_id).state is not CaptureState.ACTIVE:
            return
        if outcome.event is None:
            keep_trying(task, work, capture, str(outcome.error))
        else:
            settle(work, capture, outcome, outcome.event)


def claim(task: Worker, job_id: str) -> Capture | None:
    """Mark the job active, when the order still stands and the hour has come."""
    with task.work() as work:
        order_id = payments.order_of_capture(work.connection, job_id)
        status = orders.lock(work.connection, order_id) if order_id else None
        if status not in (OrderStatus.PENDING, OrderStatus.CANCELING):  # of the latter a fee may be captured
            work.strike(Task.CAPTURE_PAYMENT, job_id)
            return None
        capture = payments.read_capture_locked(work.connection, job_id)
        if capture.state not in CAPTURABLE:
            work.strike(Task.CAPTURE_PAYMENT, job_id)
            return None
        if not capture.due:  # a stray message; the outbox knows the hour
            return None
        if capture.edit_id:
            wait_and_hurry(task, work, Message(Task.CAPTURE_PAYMENT, job_id), capture.edit_id)
            return None
        payments.start_capture_locked(work.connection, capture)
        if capture.state is CaptureState.WAITING:
            data = {"job_id": job_id, "amount": capture.amount}
            work.record(Entry(capture.order_id, PaymentEvent.CAPTURE_STARTED, Queue.CAPTURE, data=data))
        return capture


def call(provider: PaymentProvider, capture: Capture) -> Outcome:
    """Ask the provider; when an attempt was made before, first read back what became of it."""
    if capture.amount > capture.authorized:
        return Outcome(PaymentEvent.CAPTURE_REFUSED, error=ABOVE_AUTHORIZATION)
    try:
        if capture.attempts:
            found = provider.read(capture.reference)
            if found.status in READ_BACK:
                return read_back(capture, found)
        answer = provider.capture(capture.reference, capture.amount, capture.idempotency_key)
        if answer is not Captured.CAPTURED:
            return read_back(capture, provider.read(capture.reference))
    except Refused as refusal:
        declined = isinstance(refusal, Declined)
        event = PaymentEvent.CAPTURE_DECLINED if declined else PaymentEvent.CAPTURE_REFUSED
        return Outcome(event, error=refusal.code)
    except InProgress:
        raise  # nothing is written: the message comes again
    except Unknown as unknown:
        return Outcome(None, error=unknown.reason)
    return Outcome(PaymentEvent.CAPTURED, capture.amount, capture.authorized - capture.amount)


def read_back(capture: Capture, found: Authorization) -> Outcome:
    """What became of a hold that cannot be captured any more.  Raises `Unknown` when it says nothing of the kind."""
    event = READ_BACK.get(found.status)
    if event is None:
        raise Unknown(f"hold_is_{found.status}")
    if event is PaymentEvent.CAPTURED and not capture.attempts:  # nobody here can have done it
        event = PaymentEvent.CAPTURED_ELSEWHERE
    if found.expired:
        event = PaymentEvent.AUTHORIZATION_LAPSED
    return Outcome(event, found.captured, found.released, authorized=found.authorized)


def settle(work: Work, capture: Capture, outcome: Outcome, event: PaymentEvent) -> None:
    """Write the outcome down; a person hears of a capture that was refused."""
    status = payments.settle_capture_locked(
        work.connection,
        capture,
        event,
        captured=outcome.captured,
        released=outcome.released,
        authorized=outcome.authorized,
        error=outcome.error,
    )
    work.strike(Task.CAPTURE_PAYMENT, capture.job_id)
    data = {"job_id": capture.job_id, "captured": outcome.captured, "released": outcome.released}
    data |= {"error": outcome.error} if outcome.error else {}
    work.record(Entry(capture.order_id, event, Queue.CAPTURE, data=data))
    alerts.resolve(
        work.connection,
        cause(Kind.CAPTURE_UNANSWERED, capture.job_id),
        cause(Kind.CAPTURE_CANNOT_WAIT, capture.job_id),
        parked(Task.CAPTURE_PAYMENT, capture.job_id),
    )
    alerts.resolve_money(work.connection, capture.order_id, event)
    if status is OrderStatus.CAPTURED:
        data = {"from": OrderStatus.PENDING, "to": OrderStatus.CAPTURED}
        work.record(Entry(capture.order_id, OrderEvent.CAPTURED, Queue.CAPTURE, data=data))
    if event not in TAKEN or outcome.captured != capture.amount:
        title = f"Order {capture.order_id}: capture of {capture.amount} ended with {outcome.captured} ({event})"
        work.alert(cause(Kind.CAPTURE_FAILED, capture.job_id), Severity.CRITICAL, title, capture.order_id)
    if status is OrderStatus.CANCELING:  # whoever cancels it goes on by that
        work.stage(Task.SETTLE_BOOKING, capture.order_id)
    wake(work, capture.order_id)


def keep_trying(task: Worker, work: Work, capture: Capture, error: str) -> None:
    """Unknown is not failed: the job stays active, and goes on under the same key."""
    payments.capture_unknown_locked(work.connection, capture.job_id, error)
    task.try_again(work, capture.job_id, capture.attempts + 1)
    if capture.attempts == 0:
        data = {"job_id": capture.job_id, "error": error}
        work.record(Entry(capture.order_id, PaymentEvent.CAPTURE_UNANSWERED, Queue.CAPTURE, data=data))
    title = f"Order {capture.order_id}: no answer to its capture yet"
    work.alert(cause(Kind.CAPTURE_UNANSWERED, capture.job_id), Severity.WARNING, title, capture.order_id)
