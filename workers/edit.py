"""Edit: have more held for an order that costs more from now on.

Claim, call, settle.  The order was judged and is `editing`: nobody captures it or takes it back meanwhile.  A hold is
raised to a sum that is named as a whole, so that asking twice is asking once; where it cannot be raised, policy may
have the rest held beside it, by a payment of its own.  After an attempt without an answer what became of it is read
before anybody asks again.  When the order cannot wait any longer, because its hour is over or somebody wants its money
back, what is read then decides: the new total, or the old one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.alerts import parked
from shared.domain.edits import TRANSITIONS, EditEvent, EditState, MoneyAction, Unavailable
from shared.errors import AuthorizationDeclined, EditUnanswered, IncrementUnavailable, LateEdit, Problem
from shared.providers.ports import (
    Authorization,
    Declined,
    HoldStatus,
    InProgress,
    PaymentProvider,
    Refused,
    Unknown,
    Unraisable,
)
from shared.queues import Queue, Task
from shared.store import alerts, edits, orders, payments, stock
from shared.store.edits import Raise
from shared.store.timeline import Entry
from workers import beside
from workers.app import app
from workers.base import Work, Worker
from workers.clock import now
from workers.editing import change_item, change_total, finish, tell
from workers.operators import wake

#: Seconds within which whoever claimed an edit asks the provider, or does not ask at all.
CLAIM_LASTS = 30.0

#: Seconds after which a call is surely over, whatever became of its worker.
CALL_LASTS = 60.0

#: So often the provider is asked; then the shopper has waited long enough.
ASKED = 5

#: Seconds until it is looked for what a request did that arrived after its edit was given up.
LATE = 60.0

#: What each end but the good one means to the shopper.
REFUSAL: Mapping[EditEvent, type[Problem]] = {
    EditEvent.DECLINED: AuthorizationDeclined,
    EditEvent.REFUSED: IncrementUnavailable,
    EditEvent.ABANDONED: EditUnanswered,
}

#: The same of an edit that has ended.
ENDED: Mapping[EditState, type[Problem]] = {
    TRANSITIONS[EditState.AUTHORIZING, event]: REFUSAL[event] for event in REFUSAL
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known after a call; `beside` is the hold that was made beside the first."""

    event: EditEvent
    error: str | None = None
    beside: Authorization | None = None
    #: What is held, in minor units, when it is enough: more than was asked for, where a former request arrived late.
    authorized: int = 0
    #: Whether the hold can never be raised any more.
    is_exhausted: bool = False


@app.task(base=Worker, bind=True, name=Task.AUTHORIZE_EDIT)
def authorize_edit(task: Worker, edit_id: str) -> None:
    """Have more held for one edit; safe to run any number of times."""
    claimed_at = now()
    claimed = claim(task, edit_id)
    if claimed is None:  # settled by a twin, or in its hands
        return
    outcome = call(task.mesh.providers[claimed.provider], claimed, claimed_at)
    if outcome is None:  # the row stands in the outbox; the sweep comes back to it
        return
    with task.work() as work:
        orders.lock(work.connection, claimed.order_id)
        edit = read(work, edit_id)
        if edit.state is EditState.AUTHORIZING and edit.money is claimed.money:
            settle(task, work, edit, outcome, claimed.attempts + 1)
        elif outcome.beside:
            beside.let_go(task, work, edit, outcome.beside)
        if claimed.state is EditState.ABANDONED and outcome.event is not EditEvent.UNANSWERED:
            work.strike(Task.AUTHORIZE_EDIT, edit_id)


def claim(task: Worker, edit_id: str) -> Raise | None:
    """Count an attempt, when the provider is to be asked; an order that cannot wait leaves a call alone."""
    with task.work() as work:
        order_id = edits.order_of(work.connection, edit_id)
        if order_id is None:
            work.strike(Task.AUTHORIZE_EDIT, edit_id)
            return None
        orders.lock(work.connection, order_id)
        edit = read(work, edit_id)
        if edit.state is EditState.ABANDONED and edit.money is MoneyAction.SECOND_PAYMENT:
            return None if edit.just_settled else edit  # a request may arrive late: the outbox knows when to look
        if edit.state is not EditState.AUTHORIZING:
            answer_again(work, edit)
            return None
        if edit.decides and edit.calling:
            return None
        edits.claim_locked(work.connection, edit)
        return edit


def read(work: Work, edit_id: str) -> Raise:
    """Read an edit; the caller holds the order's lock."""
    return edits.read_locked(work.connection, edit_id, call_lasts=CALL_LASTS, asked=ASKED, late=LATE)


def answer_again(work: Work, edit: Raise) -> None:
    """It has ended; its intent, parked meanwhile and put back to work, has not."""
    work.strike(Task.AUTHORIZE_EDIT, edit.id)
    if edit.state is EditState.DONE:
        finish(work, edit.intent_id, edit.order_id, edit.money)
    else:
        work.refuse(edit.intent_id, ENDED[edit.state]())


def call(provider: PaymentProvider, edit: Raise, claimed_at: float) -> Outcome | None:
    """Ask the provider to hold more; after an attempt without an answer, first find out what became of it.

    None when the claim has run out before the provider was asked for anything.
    """
    try:
        found = look_up(provider, edit) if edit.attempts else None
        if found:
            return found
        if edit.decides or edit.state is EditState.ABANDONED:
            return Outcome(EditEvent.ABANDONED)
        if now() - claimed_at >= CLAIM_LASTS:
            return None
        return ask(provider, edit)
    except InProgress:
        raise  # nothing is written: the message comes again
    except Unknown as unknown:
        return Outcome(EditEvent.UNANSWERED, unknown.reason)


def look_up(provider: PaymentProvider, edit: Raise) -> Outcome | None:
    """Read what became of the attempts before; None when nothing did.  Raises `Unknown`."""
    try:
        if edit.money is MoneyAction.SECOND_PAYMENT:
            found = provider.find_beside(edit.reference, edit.id)
            return Outcome(EditEvent.APPLIED, beside=found) if found else None
        hold = provider.read(edit.reference)
    except Refused as refusal:  # of a question: it says nothing about the edit
        raise Unknown(refusal.code) from refusal
    if hold.status is not HoldStatus.HELD:
        return Outcome(EditEvent.REFUSED, f"hold_is_{hold.status}")
    is_enough = hold.authorized >= edit.authorize
    return Outcome(EditEvent.APPLIED, authorized=hold.authorized) if is_enough else None


def ask(provider: PaymentProvider, edit: Raise) -> Outcome:
    """Raise the hold, or have another one made beside it.  Raises `Unknown`."""
    try:
        if edit.money is MoneyAction.SECOND_PAYMENT:
            found = provider.authorize_beside(edit.reference, edit.authorize, edit.id, edit.idempotency_key)
            is_held = found.status is HoldStatus.HELD
            return Outcome(EditEvent.APPLIED, beside=found) if is_held else Outcome(EditEvent.DECLINED, found.status)
        provider.increment(edit.reference, edit.authorize, edit.idempotency_key)
    except Declined as refusal:
        return Outcome(EditEvent.DECLINED, refusal.code)
    except Unraisable as refusal:
        return Outcome(EditEvent.REFUSED, refusal.code, is_exhausted=True)
    except Refused as refusal:  # as much may be held already
        return look_up(provider, edit) or Outcome(EditEvent.REFUSED, refusal.code)
    return Outcome(EditEvent.APPLIED, authorized=edit.authorize)


def settle(task: Worker, work: Work, edit: Raise, outcome: Outcome, attempt: int) -> None:
    """Write down what is known; the order is open again with its new total or its old one."""
    event = outcome.event
    if event is EditEvent.UNANSWERED:
        keep_trying(task, work, edit, str(outcome.error), attempt)
        return
    if outcome.is_exhausted and edit.stands:
        edits.exhaust_locked(work.connection, edit.payment_id)
        if task.mesh.settings.increment_unavailable is Unavailable.SECOND_PAYMENT:
            edits.go_beside_locked(work.connection, edit)
            work.stage(Task.AUTHORIZE_EDIT, edit.id)
            return
    if event is EditEvent.APPLIED and not edit.stands:
        event = EditEvent.REFUSED
    edits.settle_locked(work.connection, edit, event, outcome.error)
    alerts.resolve(work.connection, parked(Task.AUTHORIZE_EDIT, edit.id))
    if event is EditEvent.APPLIED:
        apply(task, work, edit, outcome)
    else:
        give_up(task, work, edit, event, outcome, REFUSAL[event] if edit.stands else LateEdit)
    let_go_on(work, edit)


def apply(task: Worker, work: Work, edit: Raise, outcome: Outcome) -> None:
    """More is held: change the order, and answer its shopper."""
    work.strike(Task.AUTHORIZE_EDIT, edit.id)
    if outcome.beside:
        beside.schedule(task, work, beside.adopt(task, work, edit, outcome.beside))
    else:
        edits.raise_locked(work.connection, edit.payment_id, outcome.authorized)
    change_total(work, edit.order_id, edit.total_after)
    change_item(work, edit.order_id, edit.after, edit.units)
    facts = {"before": edit.before, "after": edit.after, "authorized": edit.authorize}
    tell(work, edit, facts, actor=edit.actor, currency=edit.currency, email=edit.email)
    finish(work, edit.intent_id, edit.order_id, edit.money)


def give_up(task: Worker, work: Work, edit: Raise, event: EditEvent, outcome: Outcome, refusal: type[Problem]) -> None:
    """The order stays as it was, and its old hold stands: what was taken from stock or held beside it returns."""
    if edit.sku and edit.units:
        stock.give_back_locked(work.connection, edit.sku, edit.units)
    if outcome.beside:
        beside.let_go(task, work, edit, outcome.beside)
    data = {"edit_id": edit.id} | ({"error": outcome.error} if outcome.error else {})
    work.record(Entry(edit.order_id, event, Queue.EDIT, data=data))
    work.refuse(edit.intent_id, refusal())
    if event is EditEvent.ABANDONED and edit.money is MoneyAction.SECOND_PAYMENT:
        work.stage(Task.AUTHORIZE_EDIT, edit.id, delay=LATE)
        return
    work.strike(Task.AUTHORIZE_EDIT, edit.id)
    if event is EditEvent.ABANDONED:
        work.stage(Task.COMPARE_PAYMENT, edit.payment_id, delay=LATE)


def let_go_on(work: Work, edit: Raise) -> None:
    """Wake who had to wait for this: cancels, refunds, other edits, and captures whose hour has come."""
    wake(work, edit.order_id)
    for job_id in payments.due_captures_locked(work.connection, edit.order_id):
        work.stage(Task.CAPTURE_PAYMENT, job_id)


def keep_trying(task: Worker, work: Work, edit: Raise, error: str, attempt: int) -> None:
    """Unknown is not failed: the order keeps waiting, and the edit goes on under the same key."""
    edits.unanswered_locked(work.connection, edit, attempt, error)
    task.try_again(work, edit.id, edit.attempts)
    if edit.attempts == 1:
        data = {"edit_id": edit.id, "error": error}
        work.record(Entry(edit.order_id, EditEvent.UNANSWERED, Queue.EDIT, data=data))
