"""Void: release the money that a canceled order still holds.

Claim, call, settle.  The provider is called between two short transactions, so no row stays locked while we wait on
the network.  A crash between them leaves the void requested and its message in the outbox; whoever carries on does so
under the same idempotency key.  A provider that has no void lets the hold lapse: then nothing is captured, and the hold
is looked at until it is gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain import collection
from shared.domain.alerts import Kind, cause, parked
from shared.domain.intents import Operation
from shared.domain.orders import OrderKind, OrderStatus
from shared.domain.payments import VOID_OUTCOME, VOID_TRANSITIONS, PaymentEvent, VoidState
from shared.domain.refunds import VOID_OF_CAPTURED, Overtaken
from shared.domain.transitions import advance
from shared.providers.ports import (
    Authorization,
    HoldStatus,
    InProgress,
    PaymentProvider,
    ProviderRefund,
    Refused,
    Unknown,
    Voided,
)
from shared.queues import Queue, Task
from shared.store import alerts, cancellations, intents, operators, orders, payments, refunds
from shared.store.alerts import Severity
from shared.store.payments import Hold
from shared.store.timeline import Entry
from workers import following
from workers.answers import GivenBack, canceled
from workers.app import app
from workers.base import Work, Worker
from workers.operators import STATUS_OF_VOID, answer
from workers.refunding import Wanted, promise

#: What the provider's answer means to the payment.
MEANING: Mapping[Voided, PaymentEvent] = {
    Voided.RELEASED: PaymentEvent.VOIDED,
    Voided.ALREADY_RELEASED: PaymentEvent.VOIDED,
    Voided.ALREADY_CAPTURED: PaymentEvent.VOID_OVERTAKEN_BY_CAPTURE,
    Voided.LAPSING: PaymentEvent.VOID_LAPSING,
}

#: What a hold that is read back, before anything is tried again, says of the attempts before.
READ_BACK: Mapping[HoldStatus, Voided] = {
    HoldStatus.RELEASED: Voided.ALREADY_RELEASED,
    HoldStatus.CAPTURED: Voided.ALREADY_CAPTURED,
    HoldStatus.PARTIALLY_CAPTURED: Voided.ALREADY_CAPTURED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known after a call; no event means that nothing is."""

    event: PaymentEvent | None
    error: str | None = None
    #: What the hold came to, when that is not what our rows say: somebody has captured it, or paid meanwhile.
    found: Authorization | None = None
    #: What somebody has given back of it already.
    there: tuple[ProviderRefund, ...] = ()


@app.task(base=Worker, bind=True, name=Task.VOID_PAYMENT)
def void_payment(task: Worker, void_id: str) -> None:
    """Release one authorization; safe to run any number of times."""
    hold = claim(task, void_id)
    if hold is None:  # a twin already settled it
        return
    outcome = call(task.mesh.providers[hold.provider], hold)
    with task.work() as work:
        if outcome.event is None:
            keep_trying(task, work, hold, outcome)
        elif outcome.event is PaymentEvent.VOID_LAPSING:
            keep_watching(task, work, hold)
        else:
            settle(work, hold, outcome.event, outcome)


def claim(task: Worker, void_id: str) -> Hold | None:
    """Read what is to be released; a message about what is settled is struck out."""
    with task.mesh.database.statement() as connection:
        hold = payments.claim_void(connection, void_id)
    if hold is None:
        with task.work() as work:
            work.strike(Task.VOID_PAYMENT, void_id)
    return hold


def call(provider: PaymentProvider, hold: Hold) -> Outcome:
    """Ask the provider; after an attempt without an answer, first read back what became of it."""
    try:
        known = READ_BACK.get(provider.read(hold.reference).status) if hold.attempts else None
        event = MEANING[known or provider.void(hold.reference, hold.idempotency_key)]
        is_news = event is PaymentEvent.VOID_OVERTAKEN_BY_CAPTURE or not hold.authorized
        found = provider.read(hold.reference) if is_news else None
        there = provider.refunds(hold.reference) if found and found.refunded else ()
        return Outcome(event, found=found, there=tuple(there))
    except Refused as refusal:
        return Outcome(PaymentEvent.VOID_REFUSED if hold.authorized else PaymentEvent.CLOSING_REFUSED, refusal.code)
    except InProgress:
        raise  # nothing is written: the message comes again
    except Unknown as unknown:
        return Outcome(None, unknown.reason)


def settle(work: Work, hold: Hold, event: PaymentEvent, outcome: Outcome) -> None:
    """Write the outcome down, answer everybody who asked for this void, and mind the alert."""
    status = orders.lock(work.connection, hold.order_id)
    work.strike(Task.VOID_PAYMENT, hold.void_id)
    after = advance(VOID_TRANSITIONS, VoidState.REQUESTED, VOID_OUTCOME[event])
    settled = cancellations.settle_void_locked(
        work.connection,
        hold,
        event,
        after,
        found=outcome.found,
        error=outcome.error,
        answer=canceled(hold.order_id, after),
        otherwise=canceled(hold.order_id, VoidState.REFUSED),
    )
    if settled is None:
        return
    work.ring(*settled.bells)
    work.record(Entry(hold.order_id, event, Queue.VOID, data=_facts(hold, outcome.error)))
    if after is VoidState.REFUSED:
        alarm(work, hold, status)
    if status is OrderStatus.CANCELING:  # whoever cancels it goes on by what has come of this
        work.stage(Task.SETTLE_BOOKING, hold.order_id)
    elif after is VoidState.OVERTAKEN and outcome.found:
        refund_instead(work, hold, status, outcome.there)
    if settled.operators:
        answer_operators(work, hold, after)


def refund_instead(work: Work, hold: Hold, status: OrderStatus, there: tuple[ProviderRefund, ...]) -> None:
    """Somebody captured the money: by policy what is left of it is given back as a refund, or a person decides."""
    kind = OrderKind((orders.view(work.connection, hold.order_id) or {})["kind"])
    if VOID_OF_CAPTURED[kind] is Overtaken.PERSON:
        alarm(work, hold, status)
        return
    following.adopt_all(work, hold.payment_id, there, Queue.VOID)
    left = refunds.balance_locked(work.connection, hold.order_id).lefts[hold.payment_id]
    cancellations.promise_refund_locked(work.connection, hold.order_id)
    alerts.resolve(work.connection, _cause(hold))
    if not left:
        return
    before = refunds.of_order(work.connection, hold.order_id)
    refund_id = promise(work, before, hold.order_id, {hold.payment_id: left}, Wanted(Queue.VOID))
    operators.await_instead_locked(work.connection, hold.order_id, hold.void_id, refund_id)
    title = f"Order {hold.order_id}: its payment was captured before its void. It is being refunded."
    work.alert(cause(Kind.VOID_OVERTAKEN, hold.payment_id), Severity.WARNING, title, hold.order_id)


def keep_trying(task: Worker, work: Work, hold: Hold, outcome: Outcome) -> None:
    """The zombie: the order stays canceled, a person is told, and the void goes on under the same key."""
    status = orders.lock(work.connection, hold.order_id)
    attempts = payments.void_unknown_locked(work.connection, hold.void_id, str(outcome.error))
    if attempts is None:
        return
    task.try_again(work, hold.void_id, attempts)
    if attempts == 1:
        work.record(Entry(hold.order_id, PaymentEvent.VOID_UNANSWERED, Queue.VOID, data=_facts(hold, outcome.error)))
    body = canceled(hold.order_id, VoidState.REQUESTED)
    work.ring(*intents.end_working(work.connection, Operation.CANCEL_ORDER, hold.order_id, 200, body))
    alarm(work, hold, status)
    answer_operators(work, hold, VoidState.REQUESTED)


def keep_watching(task: Worker, work: Work, hold: Hold) -> None:
    """The provider has no void: nothing is captured, and the hold is looked at until it has lapsed."""
    orders.lock(work.connection, hold.order_id)
    former = payments.let_lapse_locked(work.connection, hold.void_id)
    if former is None:
        return
    work.stage(Task.VOID_PAYMENT, hold.void_id, delay=task.mesh.settings.lapse_watch)
    if former is VoidState.REQUESTED:
        work.record(Entry(hold.order_id, PaymentEvent.VOID_LAPSING, Queue.VOID, data=_facts(hold, None)))
        body = canceled(hold.order_id, VoidState.LAPSING)
        work.ring(*intents.end_working(work.connection, Operation.CANCEL_ORDER, hold.order_id, 200, body))
    alerts.resolve(work.connection, _cause(hold), parked(Task.VOID_PAYMENT, hold.void_id))
    answer_operators(work, hold, VoidState.LAPSING)
    if hold.outlived:
        title = f"Order {hold.order_id}: its hold should have lapsed by now. Look at it at {hold.provider}."
        work.alert(cause(Kind.HOLD_OUTLIVES, hold.payment_id), Severity.WARNING, title, hold.order_id)


def alarm(work: Work, hold: Hold, status: OrderStatus) -> None:
    """Open the alert, of a canceled order in the client contract's words."""
    state = "Canceled but Payment" if status is OrderStatus.CANCELED else "Payment"
    title = f"Order {hold.order_id} {state} Void Failed. Manual Void Required."
    if status is OrderStatus.CANCELING:
        title = f"Booking {hold.order_id}: the hold of its guest, who takes it back, could not be released"
    work.alert(_cause(hold), Severity.CRITICAL, title, hold.order_id)


def answer_operators(work: Work, hold: Hold, state: VoidState) -> None:
    """Answer everybody who waits for this void; while another one of the order has no outcome, they wait for that."""
    other = operators.running_void_locked(work.connection, hold.order_id, hold.void_id)
    if other and state is VoidState.RELEASED:
        operators.await_instead_locked(work.connection, hold.order_id, hold.void_id, other)
        return
    voids = operators.voids_locked(work.connection, hold.order_id)
    together = collection.void_state(state for state, _ in voids) or state
    amount = sum(authorized for _, authorized in voids)
    currency = refunds.balance_locked(work.connection, hold.order_id).currency
    given = GivenBack(hold.void_id, amount, currency, STATUS_OF_VOID[together], is_void=True)
    answer(work, hold.order_id, hold.void_id, given)


def _cause(hold: Hold) -> str:
    return cause(Kind.VOID_FAILED, hold.void_id)


def _facts(hold: Hold, error: str | None) -> dict[str, str]:
    facts = {"void_id": hold.void_id, "reference": hold.reference}
    return facts | ({"error": error} if error else {})
