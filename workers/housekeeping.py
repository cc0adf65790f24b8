"""Housekeeping: what beat wakes, and what a person puts back to work."""

import msgspec

from shared.domain.intents import TASK_OF, TRANSITIONS, IntentEvent, IntentState
from shared.domain.transitions import advance
from shared.errors import AlreadyRunning, NotFound, NotParked, Problem
from shared.queues import Queue, Task
from shared.requests import Retry as Body
from shared.store import alerts, intents, orders, outbox, parked, reconciliations
from shared.store.parked import Parked, Retry
from shared.store.timeline import Entry
from workers.app import app
from workers.base import Work, Worker
from workers.operators import answer_when_ended

#: Tasks whose alert stays until the money is known to have arrived.
MONEY = (Task.VOID_PAYMENT, Task.REFUND_PAYMENT, Task.CAPTURE_PAYMENT)

#: Messages taken in one transaction; small enough to publish well within `patience`.
BATCH = 500


@app.task(base=Worker, bind=True, name=Task.SWEEP_OUTBOX)
def sweep_outbox(task: Worker) -> None:
    """Publish every message that is due: captures, retries, and what a crash or the broker lost."""
    while True:
        with task.mesh.database.statement() as connection:
            due = outbox.sweep(connection, task.mesh.settings.patience, BATCH)
        if not due or not task.publisher.publish(due) or len(due) < BATCH:
            return


@app.task(base=Worker, bind=True, name=Task.RETRY_INTENT)
def retry_intent(task: Worker, intent_id: str) -> None:
    """Put back to work what is parked of an intent: its own task, and the void, refund, capture or parcel behind it."""
    with task.work() as work:
        work.strike(Task.RETRY_INTENT, intent_id)
        asked = parked.retry(work.connection, intent_id)
        if not asked.running:
            return
        try:
            found = find(work, asked)
        except Problem as refusal:
            state, status, body = IntentState.REFUSED, refusal.http_status, refusal.body()
        else:
            put_back(work, asked, found)
            state, status, body = IntentState.DONE, 200, answer(asked, found)
        work.ring(intents.end(work.connection, intent_id, state, status, body))


def find(work: Work, asked: Retry) -> Parked:
    """Lock the order, and find what is parked.  Raises `NotFound`, `NotParked` or `AlreadyRunning`."""
    found = parked.find(work.connection, asked.subject)
    if found and found.order_id:
        orders.lock(work.connection, found.order_id)
        found = parked.find(work.connection, asked.subject)  # as it stands under the lock
    if found is None:
        raise NotFound("There is no such intent")
    if not found.messages and not found.ended:
        raise NotParked
    if parked.is_repeated(work.connection, asked.subject):
        raise AlreadyRunning
    return found


def put_back(work: Work, asked: Retry, found: Parked) -> None:
    """Stage every task anew, or answer from what has ended; an alert about money stays until it has arrived."""
    own = [message for message in found.messages if message.subject == asked.subject]
    if found.state is IntentState.PARKED:
        event = IntentEvent.RETRIED if own else IntentEvent.RESUMED
        parked.put_back(work.connection, asked.subject, advance(TRANSITIONS, found.state, event))
    if found.order_id and found.ended:
        answer_when_ended(work, found.order_id, found.ended)
    for message in found.messages:
        work.stage(*message)
        parked.count_anew(work.connection, message.subject)
        if message.task in TASK_OF.values() and message not in own:
            parked.put_back(work.connection, message.subject, TRANSITIONS[IntentState.PARKED, IntentEvent.RETRIED])
        elif message.task is Task.PROCESS_WEBHOOK:
            parked.put_event_back(work.connection, message.subject)
        if message.task not in MONEY:  # its outcome will stand in the intent, or the event
            alerts.resolve(work.connection, parked.cause(message))
    if found.order_id:
        reason = msgspec.convert(asked.payload, Body).reason
        data = {"reason": reason, "retried": [message._asdict() for message in found.messages]}
        work.record(Entry(found.order_id, IntentEvent.RETRIED, Queue.HOUSEKEEPING, asked.actor, data))


def answer(asked: Retry, found: Parked) -> str:
    """Say what goes on."""
    retried = [{"task": message.task, "id": message.subject} for message in found.messages]
    return msgspec.json.encode({"id": asked.subject, "retried": retried}).decode()


@app.task(base=Worker, bind=True, name=Task.RECONCILE)
def reconcile(task: Worker) -> None:
    """Stage the comparison of payments that are due: as many as may be looked up until beat wakes us again."""
    limits = task.mesh.settings
    with task.mesh.database.statement() as connection:
        reconciliations.take(
            connection,
            limit=max(1, int(limits.reconcile_rate * limits.reconcile_every)),
            rate=limits.reconcile_rate,
            every=limits.reconcile_after,
            window=limits.reconcile_window,
        )


@app.task(base=Worker, bind=True, name=Task.ACKNOWLEDGE_ALERT)
def acknowledge_alert(task: Worker, intent_id: str) -> None:
    """Note who has seen an alert; the first one stays on record."""
    with task.work() as work:
        work.strike(Task.ACKNOWLEDGE_ALERT, intent_id)
        intent = intents.read(work.connection, intent_id)
        if intent is None or not intent.running:
            return
        alert = alerts.acknowledge(work.connection, intent.subject, intent.actor)
        if alert:
            body = msgspec.json.encode(alert).decode()
            work.ring(intents.end(work.connection, intent_id, IntentState.DONE, 200, body))
        else:
            refusal = NotFound("There is no such alert")
            work.ring(intents.end(work.connection, intent_id, IntentState.REFUSED, refusal.http_status, refusal.body()))
