"""Webhook: follow what was done at the provider, by whoever did it.

Claim, call, settle.  An event only says where to look, and so does reconciliation: the object is read at the provider,
and compared with our rows under the order's lock (workers/following.py).  What our own tasks are at is left to them,
so that an event which comes before our own answer is harmless; one that comes twice, late, or out of order finds that
both sides agree.
"""

from collections.abc import Callable

from shared.domain.payments import Provider
from shared.domain.webhooks import Concern, WebhookEvent
from shared.providers.ports import Refused
from shared.queues import Queue, Task
from shared.store import reconciliations, webhooks
from shared.store.outbox import Message
from shared.store.reconciliations import Known
from shared.store.webhooks import Received
from workers import dispute, following
from workers.app import app
from workers.base import Work, Worker
from workers.following import RECONCILIATION
from workers.seen import Seen

#: Seconds until rows that moved while we looked are looked at again.
PAUSE = 1.0

#: Seconds within which a registration that has read its hold is written down, or has failed.
REGISTRATION = 10.0


class Listener(Worker):
    """A task whose event is parked with it."""

    def _park(self, work: Work, message: Message, reason: str) -> None:
        super()._park(work, message, reason)
        webhooks.end(work.connection, message.subject, WebhookEvent.PARKED)


@app.task(base=Listener, bind=True, name=Task.PROCESS_WEBHOOK)
def process_webhook(task: Worker, event_id: str) -> None:
    """Follow one event; safe to run any number of times."""
    event = claim(task, event_id)
    if event is None:
        return
    payment_id = find(task, event)
    if payment_id is None:
        pass_over(task, event)
    elif event.concern is Concern.DISPUTE:
        look_at_dispute(task, event, payment_id)
    else:
        compare(task, event.id, payment_id, Queue.WEBHOOK, lambda work: end(work, event, WebhookEvent.FOLLOWED))


@app.task(base=Worker, bind=True, name=Task.COMPARE_PAYMENT)
def compare_payment(task: Worker, payment_id: str) -> None:
    """Compare one payment with its provider, without having been told anything."""
    compare(task, payment_id, payment_id, RECONCILIATION, lambda work: work.strike(Task.COMPARE_PAYMENT, payment_id))


def claim(task: Worker, event_id: str) -> Received | None:
    """Read what we were told; None when it was followed before."""
    with task.work() as work:
        event = webhooks.read(work.connection, event_id)
        if event is None:
            work.strike(Task.PROCESS_WEBHOOK, event_id)
        return event


def find(task: Worker, event: Received) -> str | None:
    """The payment that an event is about; None when no order was registered with it, or none yet."""
    if event.reference is None:
        return None
    with task.mesh.database.statement() as connection:
        return reconciliations.find(connection, event.provider, event.reference)


def pass_over(task: Worker, event: Received) -> None:
    """Ignore an event about a payment that we do not know.

    A registration may have read the hold before the event and be written down after it.  What an event says of the
    payment itself is then found by reconciliation.  Nothing else finds a dispute: its event is looked at for some more
    seconds.
    """
    with task.work() as work:
        if event.concern is Concern.DISPUTE and event.age < REGISTRATION:
            work.stage(Task.PROCESS_WEBHOOK, event.id, delay=PAUSE)
        else:
            end(work, event, WebhookEvent.IGNORED)


def look_at_dispute(task: Worker, event: Received, payment_id: str) -> None:
    """Read a dispute and tell a person; also when the provider will not show it, since nobody looks again."""
    reference = str(event.object_id)
    try:
        claimed, refusal = task.mesh.providers[event.provider].read_dispute(reference), None
    except Refused as refused:
        claimed, refusal = None, refused.code
    with task.work() as work:
        if claimed:
            dispute.follow(work, payment_id, claimed, Queue.WEBHOOK)
        else:
            dispute.miss(work, payment_id, reference, str(refusal))
        end(work, event, WebhookEvent.FOLLOWED)


def compare(task: Worker, subject: str, payment_id: str, source: str, ended: Callable[[Work], None]) -> None:
    """Look at both sides and follow; `ended` is called in the commit that has acted upon it.

    Rows that moved while we looked at the provider are no match for what was seen there: then both are looked at again.
    """
    with task.mesh.database.statement() as connection:
        known = reconciliations.read(connection, payment_id)
    if known is None:
        raise LookupError(payment_id)
    seen = look(task, known)
    with task.work() as work:
        if following.follow(work, known, seen, source):
            ended(work)
        else:
            work.stage(Task(task.name), subject, delay=PAUSE)


def look(task: Worker, known: Known) -> Seen:
    """Read a payment at its provider; its refunds too, when there are any."""
    provider = task.mesh.providers[Provider(known.provider)]
    try:
        found = provider.read(known.reference)
    except Refused as refusal:  # it is not known there, which is for a person to explain
        return Seen(None, refusal=refusal.code)
    return Seen(found, tuple(provider.refunds(known.reference)) if found.refunded or known.refunds else ())


def end(work: Work, event: Received, outcome: WebhookEvent) -> None:
    """The event is done with."""
    webhooks.end(work.connection, event.id, outcome)
    work.strike(Task.PROCESS_WEBHOOK, event.id)
