"""Cancel by an operator: an order is taken back at any time, and its money is given back.

Status first: under the order's lock the order is canceled and restocked, and what gives its money back is staged in the
same commit: a void of what is held, a refund of what was captured, whose first outcome answers the operator.  An order
is never canceled as if it were free: who keeps the money says so with `skipRefund`, and the database insists on it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from shared.domain.emails import Template
from shared.domain.orders import CancellationRefund, OrderStatus
from shared.domain.payments import PaymentStatus
from shared.domain.refunds import PROMISED, RefundState, parts
from shared.ids import new_id
from shared.queues import Queue, Task
from shared.requests import OrderCancellation
from shared.store import cancellations, operators
from shared.store.emails import NewEmail
from workers.answers import GivenBack, canceled_by_operator
from workers.app import app
from workers.base import Work, Worker
from workers.cancel import notice, record, record_voids, stage_voids
from workers.editing import release
from workers.operators import STATUS_OF_VOID, Case, open_case, shown, wait_for_capture
from workers.refunding import Wanted, cools_until, promise

#: Who canceled an order, in the client contract's words.
SOURCE = "admin"


@app.task(base=Worker, bind=True, name=Task.CANCEL_ORDER_BY_OPERATOR)
def cancel_order_by_operator(task: Worker, intent_id: str) -> None:
    """Judge one cancel of an operator and carry it out; safe to run any number of times."""
    with task.work() as work:
        case = open_case(task, work, intent_id)
        if case is None:
            return
        if case.balance.status is PaymentStatus.CAPTURING:  # the capture's outcome wakes it
            wait_for_capture(task, work, intent_id, case.held.jobs)
            return
        work.strike(Task.CANCEL_ORDER_BY_OPERATOR, intent_id)
        if case.held.order.status is OrderStatus.CANCELED:
            answer_by_state(work, case)
        else:
            CARRY_OUT.get(case.balance.status, cancel_and_refund)(task, work, case)


def cancel_and_void(_: Worker, work: Work, case: Case) -> None:
    """The money is only held: release it; the void's first outcome ends the intent."""
    held, letter = case.held, notice(case.held)
    void_ids = [new_id("void") for _ in held.held]
    restocked = cancellations.cancel_and_void_locked(work.connection, held, SOURCE, letter, case.intent_id, void_ids)
    operators.await_outcome_locked(work.connection, case.intent_id, void_ids[0])
    stage_voids(work, held, void_ids)
    work.stage(Task.SEND_EMAIL, letter.id)
    record(work, held, restocked, reason_of(case))
    record_voids(work, held, void_ids)


def cancel_only(_: Worker, work: Work, case: Case) -> None:
    """Nobody holds or has taken money, or it is being released already."""
    letter = notice(case.held)
    restocked = cancellations.cancel_locked(
        work.connection, case.held.id, case.held.order.status, SOURCE, letter
    )
    work.stage(Task.SEND_EMAIL, letter.id)
    record(work, case.held, restocked, reason_of(case))
    answer_by_state(work, case)


def cancel_unpaid(task: Worker, work: Work, case: Case) -> None:
    """Nobody has paid: a payment that still could be made is closed."""
    (cancel_and_void if case.held.held else cancel_only)(task, work, case)


def cancel_and_refund(task: Worker, work: Work, case: Case) -> None:
    """The money was taken: promise all that is left of it to the shopper, unless the operator keeps it."""
    body = msgspec.convert(case.request.payload, OrderCancellation)
    kept = CancellationRefund.SKIPPED if body.skip_refund else CancellationRefund.FULL
    now = datetime.now(UTC)
    until = cools_until(case.refunds, timedelta(seconds=task.mesh.settings.refund_cooldown), now)
    refund_id = None
    if case.balance.left and not body.skip_refund:  # right after an attempt that failed, the next waits for its hour
        refund_id = promise_rest(work, case, body.reason, (until - now).total_seconds() if until else None)
    letter = paid_notice(case, is_refunded=not body.skip_refund)
    for payment_id in case.held.held:  # its capture has failed
        release(work, case.held.id, payment_id, Queue.CANCEL, case.held.actor, body.reason)
    restocked = cancellations.cancel_locked(
        work.connection, case.held.id, case.held.order.status, SOURCE, letter, kept
    )
    work.stage(Task.SEND_EMAIL, letter.id)
    record(work, case.held, restocked, body.reason)
    if refund_id and until:
        given = GivenBack(refund_id, case.balance.left, case.balance.currency, RefundState.INITIATED)
        work.finish(case.intent_id, canceled_by_operator(shown(work, case.held.id), given))
    elif refund_id:
        operators.await_outcome_locked(work.connection, case.intent_id, refund_id)
    elif body.skip_refund:  # what was given back before is not this cancel's doing
        work.finish(case.intent_id, canceled_by_operator(shown(work, case.held.id), None))
    else:
        answer_by_state(work, case)


def reason_of(case: Case) -> str | None:
    """The operator's own words."""
    return msgspec.convert(case.request.payload, OrderCancellation).reason


def promise_rest(work: Work, case: Case, reason: str | None, delay: float | None) -> str:
    """Promise what is left of the captured money; returns the refund."""
    wanted = Wanted(Queue.CANCEL, case.held.actor, reason, case.intent_id, delay=delay)
    return promise(work, case.refunds, case.held.id, parts(case.balance, case.balance.left), wanted)


CARRY_OUT: Mapping[PaymentStatus, Callable[[Worker, Work, Case], None]] = {
    PaymentStatus.UNPAID: cancel_unpaid,
    PaymentStatus.AUTHORIZED: cancel_and_void,
    PaymentStatus.VOIDING: cancel_only,
    PaymentStatus.VOIDED: cancel_only,
}


def answer_by_state(work: Work, case: Case) -> None:
    """Answer how the money of a canceled order stands, or wait along for what gives it back."""
    running = [one for one in case.refunds if one.status in PROMISED and not one.has_outcome]
    void = operators.latest_void_locked(work.connection, case.held.id)
    if running:
        operators.await_outcome_locked(work.connection, case.intent_id, running[-1].refund_id)
    elif case.balance.status is PaymentStatus.VOIDING and void and not void.unanswered:
        operators.await_outcome_locked(work.connection, case.intent_id, void.id)
    else:
        work.finish(case.intent_id, canceled_by_operator(shown(work, case.held.id), latest(work, case)))


def latest(work: Work, case: Case) -> GivenBack | None:
    """What was given back last, or is about to be: a refund, else a void; None when there was nothing."""
    currency = case.balance.currency
    if case.refunds:
        one = case.refunds[-1]
        return GivenBack(one.refund_id, one.amount, currency, one.status)
    void = operators.latest_void_locked(work.connection, case.held.id)
    if void:
        return GivenBack(void.id, case.balance.authorized, currency, STATUS_OF_VOID[void.state], is_void=True)
    return None


def paid_notice(case: Case, *, is_refunded: bool) -> NewEmail:
    """The e-mail to a shopper who has paid."""
    held = case.held
    context = {"order_id": held.id, "total": held.total, "currency": held.currency, "is_refunded": is_refunded}
    body = msgspec.json.encode(context).decode()
    return NewEmail(new_id("mail"), held.id, held.id, Template.PAID_ORDER_CANCELED, held.email, body)
