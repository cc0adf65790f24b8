"""Cancel: a shopper takes an order back in its grace period.

Status first: under the order's lock the order is judged, canceled and restocked, its capture job removed, and the
void and the e-mail staged, all in one commit.  The void answers the shopper; here only refusals, repeats, and orders
without money are answered.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from shared.db import Locked
from shared.domain.cancel import Verdict, judge
from shared.domain.orders import CancellationSource
from shared.domain.payments import VoidState
from shared.errors import CaptureUnconfirmed, LegacyOrder, NotFound, OwnershipViolation, Problem
from shared.ids import new_id
from shared.queues import Task
from shared.store import cancellations, intents, orders
from shared.store.orders import HeldOrder
from shared.store.outbox import Message
from shared.tokens import customer_of
from workers.answers import canceled
from workers.app import app
from workers.base import Work, Worker
from workers.canceling import notice, record, record_voids, stage_parcel, stage_voids
from workers.editing import wait_and_hurry

log = structlog.get_logger()

CUSTOMER = CancellationSource.CUSTOMER


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
        wait_and_hurry(task, work, Message(Task.CANCEL_ORDER, intent_id), held.edit_id)
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
    restocked = cancellations.cancel_and_void_locked(work.connection, held, CUSTOMER, letter, intent_id, void_ids)
    stage_voids(work, held, void_ids)
    stage_parcel(work, held)
    work.stage(Task.SEND_EMAIL, letter.id)
    record(work, held, restocked)
    record_voids(work, held, void_ids)


def cancel_only(work: Work, intent_id: str, held: HeldOrder) -> None:
    """Take back an order for which nobody holds money, or no more for long; a void that is under way answers."""
    letter = notice(held)
    restocked = cancellations.cancel_locked(
        work.connection, held.id, held.order.status, CUSTOMER, letter, shipment_id=held.shipment_id
    )
    stage_parcel(work, held)
    answer_again(work, intent_id, held)
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
