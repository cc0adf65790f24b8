"""Cancel: a shopper takes an order back in its grace period.

Status first: under the order's lock the order is judged, canceled and restocked, its capture job removed, and the
void and the e-mail staged, all in one commit.  The void answers the shopper; here only refusals, repeats, and orders
without money are answered.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from shared.db import Locked
from shared.domain.cancel import Verdict, judge
from shared.domain.emails import Template
from shared.domain.orders import OrderEvent, OrderStatus
from shared.domain.payments import PaymentEvent, VoidState
from shared.errors import CaptureUnconfirmed, LegacyOrder, NotFound, OwnershipViolation, Problem
from shared.ids import new_id
from shared.queues import Queue, Task
from shared.store import cancellations, intents, orders
from shared.store.emails import NewEmail
from shared.store.orders import HeldOrder
from shared.store.timeline import Entry
from shared.tokens import customer_of
from workers.answers import canceled
from workers.app import app
from workers.base import Work, Worker
from workers.editing import wait_and_hurry

log = structlog.get_logger()


@app.task(base=Worker, bind=True, name=Task.CANCEL_ORDER)
def cancel_order(task: Worker, intent_id: str) -> None:
    """Judge one cancel intent and carry it out; safe to run any number of times."""
    try:
        with task.work() as work:
            settle(task, work, intent_id)
    except Locked:
        postpone(task, intent_id)


def settle(task: Worker, work: Work, intent_id: str) -> None:
    """Cancel, refuse, or answer from the present state, in one commit; an order that is being edited is waited for."""
    try:
        held = orders.lock_for_intent(work.connection, intent_id)
    except LegacyOrder as refusal:
        work.strike(Task.CANCEL_ORDER, intent_id)
        refuse(work, intent_id, refusal)
        return
    if held and held.edit_id and held.intent_running:
        wait_and_hurry(task, work, intent_id, held.edit_id)
        return
    work.strike(Task.CANCEL_ORDER, intent_id)
    if held is None:
        refuse(work, intent_id, NotFound("There is no such order"))
    elif held.intent_running:
        try:
            verdict = judge(held.order, datetime.now(UTC), customer_of(held.actor))
        except Problem as refusal:
            refuse(work, intent_id, refusal)
        else:
            CARRY_OUT[verdict](work, intent_id, held)


def cancel_and_void(work: Work, intent_id: str, held: HeldOrder) -> None:
    """Take the order back; the void's outcome ends the intent."""
    void_ids, letter = [new_id("void") for _ in held.held], notice(held)
    restocked = cancellations.cancel_and_void_locked(work.connection, held, Queue.CANCEL, letter, intent_id, void_ids)
    stage_voids(work, held, void_ids)
    work.stage(Task.SEND_EMAIL, letter.id)
    record(work, held, restocked)
    record_voids(work, held, void_ids)


def stage_voids(work: Work, held: HeldOrder, void_ids: Sequence[str]) -> None:
    """Release what is held; nothing of it is captured any more."""
    for job_id in held.jobs:
        work.strike(Task.CAPTURE_PAYMENT, job_id)
    for void_id in void_ids:
        work.stage(Task.VOID_PAYMENT, void_id)


def record_voids(work: Work, held: HeldOrder, void_ids: Sequence[str]) -> None:
    """Write down which voids are under way."""
    for void_id in void_ids:
        work.record(Entry(held.id, PaymentEvent.VOID_STARTED, Queue.CANCEL, held.actor, {"void_id": void_id}))


def cancel_only(work: Work, intent_id: str, held: HeldOrder) -> None:
    """Take back an order for which nobody holds money."""
    letter = notice(held)
    restocked = cancellations.cancel_locked(work.connection, held.id, held.order.status, Queue.CANCEL, letter)
    finish(work, intent_id, held.id, None)
    work.stage(Task.SEND_EMAIL, letter.id)
    record(work, held, restocked)


def answer_again(work: Work, intent_id: str, held: HeldOrder) -> None:
    """The order is canceled: answer how its money stands, or wait along for the void's first outcome."""
    if held.void_state is VoidState.REQUESTED and not held.void_unanswered:
        intents.mark_working(work.connection, intent_id)
    else:
        finish(work, intent_id, held.id, held.void_state)


CARRY_OUT: Mapping[Verdict, Callable[[Work, str, HeldOrder], None]] = {
    Verdict.CANCEL_AND_VOID: cancel_and_void,
    Verdict.CANCEL_ONLY: cancel_only,
    Verdict.ALREADY_CANCELED: answer_again,
}


def notice(held: HeldOrder) -> NewEmail:
    """The e-mail to the shopper."""
    context = msgspec.json.encode({"order_id": held.id, "total": held.total, "currency": held.currency}).decode()
    return NewEmail(new_id("mail"), held.id, held.id, Template.ORDER_CANCELED, held.email, context)


def record(work: Work, held: HeldOrder, restocked: dict[str, int], reason: str | None = None) -> None:
    """Write down that the order was taken back, why an operator did, and which goods returned to stock."""
    data: dict[str, object] = {"from": held.order.status, "to": OrderStatus.CANCELED, "restocked": restocked}
    data |= {"reason": reason} if reason else {}
    work.record(Entry(held.id, OrderEvent.CANCELED, Queue.CANCEL, held.actor, data))


def finish(work: Work, intent_id: str, order_id: str, void: VoidState | None) -> None:
    """Store the answer 200."""
    work.finish(intent_id, canceled(order_id, void))


def refuse(work: Work, intent_id: str, refusal: Problem) -> None:
    """Store a no; a foreign order is also logged."""
    if isinstance(refusal, OwnershipViolation):
        log.warning("ownership_violation", intent_id=intent_id)
    work.refuse(intent_id, refusal)


def postpone(task: Worker, intent_id: str) -> None:
    """Somebody holds the order: nobody can say whether its capture is stopped, so the caller is told to come back."""
    with task.work() as work:
        work.stage(Task.CANCEL_ORDER, intent_id, delay=float(CaptureUnconfirmed.retry_after or 0))
        work.ring(intents.hinder(work.connection, intent_id, CaptureUnconfirmed))
