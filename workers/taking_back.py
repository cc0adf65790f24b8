"""Taking back: how an order is canceled at any time, by whoever may do so, and its money given back.

Status first: under the order's lock the order is canceled and restocked, and what gives its money back is staged in the
same commit: a void of what is held, a refund of what was captured, whose first outcome answers whoever asked.  An order
is never canceled as if it were free: who keeps money says so, and the database insists on it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from shared.domain.emails import Template
from shared.domain.orders import CancellationRefund, CancellationSource, OrderStatus
from shared.domain.payments import PaymentStatus
from shared.domain.refunds import PROMISED, RefundState, parts
from shared.ids import new_id
from shared.queues import Queue, Task
from shared.requests import CourierCancellation, OrderCancellation
from shared.store import cancellations, operators
from shared.store.emails import NewEmail
from shared.store.operators import LatestVoid
from shared.store.outbox import Message
from workers.answers import GivenBack, canceled_by_operator
from workers.base import Work, Worker
from workers.canceling import notice, record, record_voids, stage_parcel, stage_voids
from workers.editing import release
from workers.operators import STATUS_OF_VOID, Case, open_case, shown, wait_for_capture
from workers.refunding import Wanted, cools_until, promise


@dataclass(frozen=True, slots=True)
class Wish:
    """How an order is to be taken back."""

    source: CancellationSource
    #: In the words of whoever wants it; never logged.
    reason: str | None
    #: Whether what was captured is kept.
    skip_refund: bool = False
    #: Whether of what was captured the shipping is kept.
    keep_shipping: bool = False
    #: What the shopper is told, when it is not what an operator's cancel tells.
    template: Template | None = None
    #: What a mail of that template shows beside the order.
    facts: Mapping[str, object] = field(default_factory=dict)


def by_operator(_: Worker, case: Case) -> Wish:
    """What an operator asks for."""
    body = msgspec.convert(case.request.payload, OrderCancellation)
    return Wish(CancellationSource.ADMIN, body.reason, skip_refund=body.skip_refund)


def by_courier(task: Worker, case: Case) -> Wish:
    """What has become of the parcel, and what that means to the money by policy."""
    found = msgspec.convert(case.request.payload, CourierCancellation)
    deducts = task.mesh.settings.deduct_shipping_after_pickup and not found.before_pickup
    keeps = deducts and case.balance.shipping > 0
    facts = {"before_pickup": found.before_pickup, "keeps_shipping": keeps}
    return Wish(found.source, found.reason, keep_shipping=keeps, template=Template.SHIPMENT_CANCELED, facts=facts)


def take_back(task: Worker, work: Work, name: Task, intent_id: str, wish_of: Callable[[Worker, Case], Wish]) -> None:
    """Judge one request to cancel and carry it out; while the order's money is being taken, `name` waits with it."""
    case = open_case(task, work, name, intent_id)
    if case is None:
        return
    if case.balance.status is PaymentStatus.CAPTURING:  # the capture's outcome wakes it
        wait_for_capture(task, work, Message(name, intent_id), case.held.jobs)
        return
    work.strike(name, intent_id)
    if case.held.order.status is OrderStatus.CANCELED:
        answer_by_state(work, case)
    else:
        CARRY_OUT.get(case.balance.status, cancel_and_refund)(task, work, case, wish_of(task, case))


def cancel_and_void(_: Worker, work: Work, case: Case, wish: Wish) -> None:
    """The money is only held: release it; the void's first outcome ends the intent."""
    held, letter = case.held, told(case, wish, Template.ORDER_CANCELED, is_held=True)
    void_ids = [new_id("void") for _ in held.held]
    restocked = cancellations.cancel_and_void_locked(
        work.connection, held, wish.source, letter, case.intent_id, void_ids
    )
    operators.await_outcome_locked(work.connection, case.intent_id, void_ids[0])
    stage_voids(work, held, void_ids)
    tell(work, case, wish, letter, restocked)
    record_voids(work, held, void_ids)


def cancel_only(_: Worker, work: Work, case: Case, wish: Wish) -> None:
    """Nobody holds or has taken money, or it is being released already."""
    letter = told(case, wish, Template.ORDER_CANCELED)
    tell(work, case, wish, letter, cancel(work, case, wish, letter, CancellationRefund.NONE))
    answer_by_state(work, case)


def cancel_unpaid(task: Worker, work: Work, case: Case, wish: Wish) -> None:
    """Nobody has paid: a payment that still could be made is closed."""
    (cancel_and_void if case.held.held else cancel_only)(task, work, case, wish)


def cancel_and_refund(task: Worker, work: Work, case: Case, wish: Wish) -> None:
    """The money was taken: promise what is left of it to the shopper, unless it is kept by whoever wants the cancel."""
    now = datetime.now(UTC)
    until = cools_until(case.refunds, timedelta(seconds=task.mesh.settings.refund_cooldown), now)
    amount, kept = owed(case, wish)
    refund_id = None
    if amount:  # right after an attempt that failed, the next waits for its hour
        refund_id = promise_rest(work, case, wish, amount, (until - now).total_seconds() if until else None)
    letter = told(case, wish, Template.PAID_ORDER_CANCELED, is_refunded=amount > 0)
    for payment_id in case.held.held:  # its capture has failed
        release(work, case.held.id, payment_id, Queue.CANCEL, case.held.actor, wish.reason)
    tell(work, case, wish, letter, cancel(work, case, wish, letter, kept))
    if refund_id and until:
        given = GivenBack(refund_id, amount, case.balance.currency, RefundState.INITIATED)
        work.finish(case.intent_id, canceled_by_operator(shown(work, case.held.id), given))
    elif refund_id:
        operators.await_outcome_locked(work.connection, case.intent_id, refund_id)
    elif wish.skip_refund:  # what was given back before is not this cancel's doing
        work.finish(case.intent_id, canceled_by_operator(shown(work, case.held.id), None))
    else:
        answer_by_state(work, case)


CARRY_OUT: Mapping[PaymentStatus, Callable[[Worker, Work, Case, Wish], None]] = {
    PaymentStatus.UNPAID: cancel_unpaid,
    PaymentStatus.AUTHORIZED: cancel_and_void,
    PaymentStatus.VOIDING: cancel_only,
    PaymentStatus.VOIDED: cancel_only,
}


def owed(case: Case, wish: Wish) -> tuple[int, CancellationRefund]:
    """Return the minor units to refund, and what the cancel promises by that."""
    balance = case.balance
    if wish.skip_refund:
        return 0, CancellationRefund.SKIPPED
    if wish.keep_shipping:
        return max(balance.left - balance.shipping, 0), CancellationRefund.LESS_SHIPPING
    return balance.left, CancellationRefund.FULL


def promise_rest(work: Work, case: Case, wish: Wish, amount: int, delay: float | None) -> str:
    """Promise so much of the captured money; returns the refund."""
    wanted = Wanted(Queue.CANCEL, case.held.actor, wish.reason, case.intent_id, delay=delay)
    return promise(work, case.refunds, case.held.id, parts(case.balance, amount), wanted)


def cancel(work: Work, case: Case, wish: Wish, letter: NewEmail, refund: CancellationRefund) -> dict[str, int]:
    """Cancel the order, with this promise of what was captured; returns what went back to stock."""
    held = case.held
    return cancellations.cancel_locked(
        work.connection, held.id, held.order.status, wish.source, letter, refund, held.shipment_id
    )


def told(case: Case, wish: Wish, template: Template, *, is_refunded: bool = False, is_held: bool = False) -> NewEmail:
    """The e-mail to the shopper, with what becomes of the money that was taken, or is held."""
    return notice(case.held, wish.template or template, is_refunded=is_refunded, is_held=is_held, **wish.facts)


def tell(work: Work, case: Case, wish: Wish, letter: NewEmail, restocked: dict[str, int]) -> None:
    """Mail the shopper, ask the courier to cancel a parcel that is under way, and write down what was done."""
    work.stage(Task.SEND_EMAIL, letter.id)
    stage_parcel(work, case.held)
    record(work, case.held, restocked, wish.reason)


def answer_by_state(work: Work, case: Case) -> None:
    """Answer how the money of a canceled order stands, or wait along for what gives it back."""
    running = [one for one in case.refunds if one.status in PROMISED and not one.has_outcome]
    void = operators.latest_void_locked(work.connection, case.held.id)
    if running:
        operators.await_outcome_locked(work.connection, case.intent_id, running[-1].refund_id)
    elif case.balance.status is PaymentStatus.VOIDING and void and not void.unanswered:
        operators.await_outcome_locked(work.connection, case.intent_id, void.id)
    else:
        work.finish(case.intent_id, canceled_by_operator(shown(work, case.held.id), latest(case, void)))


def latest(case: Case, void: LatestVoid | None) -> GivenBack | None:
    """What was given back last, or is about to be: a refund, else a void; None when there was nothing."""
    currency = case.balance.currency
    if case.refunds:
        one = case.refunds[-1]
        return GivenBack(one.refund_id, one.amount, currency, one.status)
    if void:
        return GivenBack(void.id, case.balance.authorized, currency, STATUS_OF_VOID[void.state], is_void=True)
    return None
