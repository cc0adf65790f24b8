"""Edit: have more held for an order that costs more from now on.

Claim, call, settle.  The order was judged and is `editing`: nobody captures it or takes it back meanwhile.  The sum to
be held is named as a whole, so that asking twice is asking once; after an attempt without an answer the hold is read
before anybody asks again.  When the order cannot wait any longer, because its hour is over or somebody wants its
money back, what is read then decides: the new total, or the old one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.alerts import parked
from shared.domain.edits import EditEvent, EditState, MoneyAction
from shared.domain.orders import OrderStatus
from shared.domain.payments import PaymentStatus
from shared.errors import AuthorizationDeclined, EditUnanswered, IncrementUnavailable, LateEdit, Problem
from shared.providers.ports import Declined, HoldStatus, InProgress, PaymentProvider, Refused, Unknown
from shared.queues import Queue, Task
from shared.store import alerts, edits, orders, payments, stock
from shared.store.edits import Raise
from shared.store.timeline import Entry
from workers.app import app
from workers.base import Work, Worker
from workers.clock import now
from workers.editing import change_item, finish, refuse, tell
from workers.operators import wake

#: Seconds within which whoever claimed an edit asks the provider, or does not ask at all.
CLAIM_LASTS = 30.0

#: Seconds after which a call is surely over, whatever became of its worker.
CALL_LASTS = 60.0

#: So often the provider is asked; then the shopper has waited long enough.
ASKED = 5

#: Seconds until a payment is compared whose edit was given up: a request may still have arrived late.
LATE = 60.0

#: What each end but the good one means to the shopper.
REFUSAL: Mapping[EditEvent, type[Problem]] = {
    EditEvent.DECLINED: AuthorizationDeclined,
    EditEvent.REFUSED: IncrementUnavailable,
    EditEvent.ABANDONED: EditUnanswered,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known after a call; `authorized` is what is held, in minor units, when it is enough."""

    event: EditEvent
    error: str | None = None
    authorized: int | None = None


@app.task(base=Worker, bind=True, name=Task.AUTHORIZE_EDIT)
def authorize_edit(task: Worker, edit_id: str) -> None:
    """Have more held for one edit; safe to run any number of times."""
    claimed_at = now()
    edit = claim(task, edit_id)
    if edit is None:  # settled by a twin, or in its hands
        return
    outcome = call(task.mesh.providers[edit.provider], edit, claimed_at)
    if outcome is None:  # the row stands in the outbox; the sweep comes back to it
        return
    with task.work() as work:
        orders.lock(work.connection, edit.order_id)
        edit = edits.read_locked(work.connection, edit_id, CALL_LASTS, ASKED)
        if edit.state is EditState.AUTHORIZING:
            settle(task, work, edit, outcome)


def claim(task: Worker, edit_id: str) -> Raise | None:
    """Count an attempt, when the provider is to be asked; an order that cannot wait leaves a call alone."""
    with task.work() as work:
        order_id = edits.order_of(work.connection, edit_id)
        if order_id is None:
            work.strike(Task.AUTHORIZE_EDIT, edit_id)
            return None
        orders.lock(work.connection, order_id)
        edit = edits.read_locked(work.connection, edit_id, CALL_LASTS, ASKED)
        if edit.state is not EditState.AUTHORIZING:
            work.strike(Task.AUTHORIZE_EDIT, edit_id)
            return None
        if edit.decides and edit.calling:
            return None
        edits.claim_locked(work.connection, edit)
        return edit


def call(provider: PaymentProvider, edit: Raise, claimed_at: float) -> Outcome | None:
    """Ask the provider to hold more; after an attempt without an answer, first read back what became of it.

    None when the claim has run out before the provider was asked for anything.
    """
    try:
        if edit.attempts:
            outcome = read_back(provider, edit)
            if outcome:
                return outcome
        if edit.decides:
            return Outcome(EditEvent.ABANDONED)
        if now() - claimed_at >= CLAIM_LASTS:
            return None
        return ask(provider, edit)
    except Refused as refusal:
        return Outcome(EditEvent.REFUSED, refusal.code)
    except InProgress:
        raise  # nothing is written: the message comes again
    except Unknown as unknown:
        return Outcome(EditEvent.UNANSWERED, unknown.reason)


def read_back(provider: PaymentProvider, edit: Raise) -> Outcome | None:
    """What the hold says; None when less is held than the edit wants.  Raises `Refused` or `Unknown`."""
    found = provider.read(edit.reference)
    if found.status is not HoldStatus.HELD:
        return Outcome(EditEvent.REFUSED, f"hold_is_{found.status}")
    if found.authorized >= edit.authorize:
        return Outcome(EditEvent.APPLIED, authorized=found.authorized)
    return None


def ask(provider: PaymentProvider, edit: Raise) -> Outcome:
    """Ask for more; refused, as much may be held already: by a request of a former edit that arrived late."""
    try:
        provider.increment(edit.reference, edit.authorize, edit.idempotency_key)
    except Declined as refusal:
        return Outcome(EditEvent.DECLINED, refusal.code)
    except Refused as refusal:
        return read_back(provider, edit) or Outcome(EditEvent.REFUSED, refusal.code)
    return Outcome(EditEvent.APPLIED, authorized=edit.authorize)


def settle(task: Worker, work: Work, edit: Raise, outcome: Outcome) -> None:
    """Write down what is known; the order is open again with its new total or its old one."""
    if outcome.event is EditEvent.UNANSWERED:
        keep_trying(task, work, edit, str(outcome.error))
        return
    stands = edit.order_status is OrderStatus.PENDING and edit.payment_status is PaymentStatus.AUTHORIZED
    event = outcome.event if stands or outcome.event is not EditEvent.APPLIED else EditEvent.REFUSED
    edits.settle_locked(work.connection, edit, event, outcome.error)
    work.strike(Task.AUTHORIZE_EDIT, edit.id)
    alerts.resolve(work.connection, parked(Task.AUTHORIZE_EDIT, edit.id))
    if event is EditEvent.APPLIED:
        apply(work, edit, outcome.authorized)
    else:
        give_up(work, edit, event, outcome.error, REFUSAL[event] if stands else LateEdit)
    let_go_on(work, edit)


def apply(work: Work, edit: Raise, authorized: int | None) -> None:
    """More is held: change the order, and answer its shopper."""
    edits.set_total_locked(work.connection, edit.order_id, edit.payment_id, edit.total_after, authorized)
    change_item(work, edit.order_id, edit.after, edit.units)
    facts = {"before": edit.before, "after": edit.after, "authorized": authorized}
    tell(work, edit, facts, actor=edit.actor, currency=edit.currency, email=edit.email)
    finish(work, edit.intent_id, edit.order_id, MoneyAction.INCREMENT)


def give_up(work: Work, edit: Raise, event: EditEvent, error: str | None, refusal: type[Problem]) -> None:
    """The order stays as it was, and its old hold stands: what was taken from stock for it returns."""
    if edit.sku and edit.units:
        stock.give_back_locked(work.connection, edit.sku, edit.units)
    data = {"edit_id": edit.id} | ({"error": error} if error else {})
    work.record(Entry(edit.order_id, event, Queue.EDIT, data=data))
    refuse(work, edit.intent_id, refusal())
    if event is EditEvent.ABANDONED:
        work.stage(Task.COMPARE_PAYMENT, edit.payment_id, delay=LATE)


def let_go_on(work: Work, edit: Raise) -> None:
    """Wake who had to wait for this: cancels, refunds, other edits, and the capture whose hour has come."""
    wake(work, edit.order_id)
    job_id = payments.due_capture_locked(work.connection, edit.payment_id)
    if job_id:
        work.stage(Task.CAPTURE_PAYMENT, job_id)


def keep_trying(task: Worker, work: Work, edit: Raise, error: str) -> None:
    """Unknown is not failed: the order keeps waiting, and the edit goes on under the same key."""
    edits.unanswered_locked(work.connection, edit, error)
    task.try_again(work, edit.id, edit.attempts)
    if edit.attempts == 1:
        data = {"edit_id": edit.id, "error": error}
        work.record(Entry(edit.order_id, EditEvent.UNANSWERED, Queue.EDIT, data=data))
