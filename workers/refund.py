"""Refund: give captured money back to the shopper.

Claim, call, settle.  The claim counts the attempt and starts the life of its idempotency key before anybody is asked.
After an attempt whose outcome is unknown the provider's own list of refunds is read first, since ours carries its id
there; only while the key is sure to mean the same operation is it asked again.  A refund that the provider has taken
in and not decided is followed until it is.  One that was completed can still fail there: a message about it has it
read again.  Where nothing is left to give back, since somebody has done so at the provider, what they did is followed.
"""

from dataclasses import dataclass

import msgspec

from shared.domain import alerts as domain
from shared.domain.alerts import Kind, cause
from shared.domain.emails import Template
from shared.domain.orders import OrderStatus
from shared.domain.refunds import WAY, RefundEvent, RefundState, Way
from shared.ids import new_id
from shared.providers.ports import (
    AlreadyRefunded,
    InProgress,
    PaymentProvider,
    ProviderRefund,
    RefundStatus,
    Refused,
    Unknown,
)
from shared.queues import Queue, Task
from shared.store import alerts, emails, orders, refunds
from shared.store.alerts import Severity
from shared.store.emails import NewEmail
from shared.store.operators import await_instead_locked
from shared.store.refunds import Refund
from shared.store.timeline import Entry
from workers import following, operators
from workers.answers import GivenBack
from workers.app import app
from workers.base import Work, Worker
from workers.clock import now
from workers.refunding import last_completed

#: Seconds after which a claim allows no call any more: whoever slept that long does not know what happened meanwhile.
CLAIM_LASTS = 60.0

#: How the parts of one request stand together: as the first of these that one of them does.
TELLING = (RefundState.FAILED, RefundState.PROCESSING, RefundState.INITIATED, RefundState.COMPLETED)

#: What says how a refund has come on.
NEWS = (RefundEvent.PENDING, RefundEvent.COMPLETED, RefundEvent.FAILED)

#: What a refund's status at the provider means to ours.
MEANING = {
    RefundStatus.PENDING: RefundEvent.PENDING,
    RefundStatus.SUCCEEDED: RefundEvent.COMPLETED,
    RefundStatus.FAILED: RefundEvent.FAILED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known after a call; no event means that nothing came of the key, and that it has served its time."""

    event: RefundEvent | None
    provider_id: str | None = None
    error: str | None = None
    #: All refunds of the payment, when the provider has nothing left to give back.
    there: tuple[ProviderRefund, ...] = ()


@app.task(base=Worker, bind=True, name=Task.REFUND_PAYMENT)
def refund_payment(task: Worker, refund_id: str) -> None:
    """Carry out one refund; safe to run any number of times."""
    claimed_at = now()
    refund = claim(task, refund_id)
    if refund is None:  # a twin already settled it
        return
    outcome = call(task.mesh.providers[refund.provider], refund, claimed_at)
    if outcome is None:  # the row stands in the outbox; the sweep comes back to it
        return
    with task.work() as work:
        status = orders.lock(work.connection, refund.order_id)
        settle(task, work, refund, outcome, status)
        if status is OrderStatus.CANCELING and outcome.event in NEWS:  # whoever cancels it goes on by that
            work.stage(Task.SETTLE_BOOKING, refund.order_id)


def settle(task: Worker, work: Work, refund: Refund, outcome: Outcome, status: OrderStatus) -> None:
    """Write down what is known, whatever it is."""
    if outcome.event is None:
        renew_key(work, refund)
    elif outcome.event is RefundEvent.FAILED:
        fail(task, work, refund, outcome)
    elif refund.state is RefundState.COMPLETED:  # and is so still
        work.strike(Task.REFUND_PAYMENT, refund.id)
        alerts.resolve(work.connection, parked(refund))
    elif outcome.event is RefundEvent.COMPLETED:
        complete(work, refund, outcome, status)
    else:
        keep_following(task, work, refund, outcome, outcome.event, status)


def claim(task: Worker, refund_id: str) -> Refund | None:
    """Count an attempt; one that was completed is only looked at again, one that failed is left alone."""
    with task.work() as work:
        order_id = refunds.order_of(work.connection, refund_id)
        if order_id is None:
            work.strike(Task.REFUND_PAYMENT, refund_id)
            return None
        orders.lock(work.connection, order_id)
        limits = task.mesh.settings
        refund = refunds.read_locked(work.connection, refund_id, limits.provider_key_lifetime, limits.refund_cooldown)
        if refund.state is RefundState.COMPLETED:
            return refund
        if refund.state is RefundState.FAILED:
            work.strike(Task.REFUND_PAYMENT, refund_id)
            return None
        if not refund.due:  # a stray message; the outbox knows the hour
            return None
        refunds.start_locked(work.connection, refund)
        if refund.state is RefundState.INITIATED:
            data = {"refund_id": refund_id, "amount": refund.amount, "attempt": refund.attempts + 1}
            work.record(Entry(order_id, RefundEvent.STARTED, Queue.REFUND, data=data))
        return refund.started()


def call(provider: PaymentProvider, refund: Refund, claimed_at: float) -> Outcome | None:
    """Ask the provider; after an attempt without an answer, first find out what became of it.

    None when the claim has run out before the provider was asked for anything.
    """
    try:
        found = look_up(provider, refund)
        if found is None:
            since = now() - claimed_at
            if since >= CLAIM_LASTS:
                return None
            if since >= refund.key_lives:
                return Outcome(None)
            return ask(provider, refund)
    except Refused as refusal:
        return Outcome(RefundEvent.FAILED, error=refusal.code)
    except InProgress:
        raise  # nothing is written: the message comes again
    except Unknown as unknown:
        if refund.state is RefundState.COMPLETED:
            raise
        return Outcome(RefundEvent.UNANSWERED, error=unknown.reason)
    return told(found)


def ask(provider: PaymentProvider, refund: Refund) -> Outcome:
    """Have it made; where nothing is left, see who gave it back."""
    try:
        return told(provider.refund(refund.reference, refund.amount, refund.tag, refund.idempotency_key))
    except AlreadyRefunded as refusal:
        there = provider.refunds(refund.reference)
        ours = own(there, refund)
        return told(ours) if ours else Outcome(RefundEvent.FAILED, error=refusal.code, there=tuple(there))


def told(found: ProviderRefund) -> Outcome:
    """What a refund at the provider means to ours."""
    return Outcome(MEANING[found.status], found.provider_id, found.error)


def look_up(provider: PaymentProvider, refund: Refund) -> ProviderRefund | None:
    """Find the refund at the provider; None when it is not there.  Raises `Unknown`."""
    try:
        if refund.provider_id:
            return provider.read_refund(refund.provider_id)
        there = provider.refunds(refund.reference) if refund.may_be_there else []
    except Refused as refusal:  # of a question: it says nothing about the refund
        raise Unknown(refusal.code) from refusal
    return own(there, refund)


def own(there: list[ProviderRefund], refund: Refund) -> ProviderRefund | None:
    """Which of a payment's refunds is this one.

    One that was asked for under a former key counts unless it failed: a twin may have been let through after another
    was refused.
    """
    ours = [one for one in there if one.tag and one.tag.refund_id == refund.id]
    return next((one for one in ours if one.tag == refund.tag or one.status is not RefundStatus.FAILED), None)


def complete(work: Work, refund: Refund, outcome: Outcome, status: OrderStatus) -> None:
    """The money is on its way: write it down, tell the shopper, and answer everybody who asked for it."""
    event = refunds.settle_locked(work.connection, refund, RefundEvent.COMPLETED, outcome.provider_id, None)
    work.strike(Task.REFUND_PAYMENT, refund.id)
    if event is None:
        return
    work.record(Entry(refund.order_id, RefundEvent.COMPLETED, Queue.REFUND, data=facts(refund, outcome)))
    work.record(Entry(refund.order_id, event, Queue.REFUND, data=facts(refund, outcome)))
    is_part_of_cancel = refund.key is not None and status is OrderStatus.CANCELING
    if not is_part_of_cancel:  # which tells of it, and of which no operator hears before it has ended
        tell(work, refund, Template.REFUND_PROCESSED, refund.email)
        answer(work, refund, RefundState.COMPLETED)
    overtaken = cause(Kind.VOID_OVERTAKEN, refund.payment_id)
    alerts.resolve(work.connection, failed(refund), unanswered(refund), overtaken, parked(refund))
    alerts.resolve_money(work.connection, refund.order_id, event)


def fail(task: Worker, work: Work, refund: Refund, outcome: Outcome) -> None:
    """The provider will not do it: its share is free again, and a person must look, unless the money is back anyhow."""
    event = refunds.settle_locked(work.connection, refund, RefundEvent.FAILED, outcome.provider_id, outcome.error)
    work.strike(Task.REFUND_PAYMENT, refund.id)
    if event is None:
        return
    late = " after it had been completed" if refund.state is RefundState.COMPLETED else ""
    work.record(Entry(refund.order_id, RefundEvent.FAILED, Queue.REFUND, data=facts(refund, outcome)))
    if late:
        work.record(Entry(refund.order_id, event, Queue.REFUND, data=facts(refund, outcome)))
    alerts.resolve(work.connection, unanswered(refund), parked(refund))
    if outcome.there and give_way(work, refund, outcome.there):
        return
    title = f"Order {refund.order_id}: its refund of {refund.amount} failed{late} ({outcome.error})"
    work.alert(failed(refund), Severity.CRITICAL, title, refund.order_id)
    if task.mesh.settings.admin_email:
        tell(work, refund, Template.REFUND_FAILED, task.mesh.settings.admin_email, error=outcome.error)
    answer(work, refund, RefundState.FAILED)


def give_way(work: Work, refund: Refund, there: tuple[ProviderRefund, ...]) -> bool:
    """Somebody was faster: what they gave back is followed, and is the answer when it is everything."""
    following.adopt_all(work, refund.payment_id, there, Queue.REFUND)
    work.stage(Task.COMPARE_PAYMENT, refund.payment_id)  # beside our promise, theirs may have been taken for drift
    balance = refunds.balance_locked(work.connection, refund.order_id)
    if WAY[balance.status] is not Way.ALREADY_REFUNDED:
        return False
    last = last_completed(refunds.of_order(work.connection, refund.order_id))
    theirs = GivenBack(last.refund_id, last.amount, balance.currency, last.status, already=True)
    operators.answer(work, refund.order_id, refund.id, theirs)
    return True


def keep_following(
    task: Worker, work: Work, refund: Refund, outcome: Outcome, event: RefundEvent, status: OrderStatus
) -> None:
    """Unknown is not failed, nor is undecided: the refund goes on, and whoever asked for it is told so."""
    is_answered = event is RefundEvent.PENDING
    provider_id, error = outcome.provider_id, outcome.error
    if not refunds.note_locked(work.connection, refund, provider_id, error, is_answered=is_answered):
        return
    if is_answered:  # for as long as it takes: days, for some banks; a webhook says when it is over
        work.stage(Task.REFUND_PAYMENT, refund.id, delay=task.mesh.settings.retry_ceiling)
        alerts.resolve(work.connection, unanswered(refund))
    else:
        task.try_again(work, refund.id, refund.attempts)
        title = f"Order {refund.order_id}: no answer to its refund of {refund.amount} yet"
        work.alert(unanswered(refund), Severity.WARNING, title, refund.order_id)
    if refund.is_news(event):
        work.record(Entry(refund.order_id, event, Queue.REFUND, data=facts(refund, outcome)))
        if is_answered and status is not OrderStatus.CANCELING:  # its guest is told in the end
            tell(work, refund, Template.REFUND_STARTED, refund.email)
    answer(work, refund, RefundState.PROCESSING)


def renew_key(work: Work, refund: Refund) -> None:
    """Nothing came of the old key, which the provider may have forgotten by now: go on under the next one."""
    if refunds.renew_key_locked(work.connection, refund):
        work.stage(Task.REFUND_PAYMENT, refund.id)


def tell(work: Work, refund: Refund, template: Template, recipient: str, **shown: object) -> None:
    """Write an e-mail about a refund, and have it sent; one that failed and was made again is told of again."""
    context = {"order_id": refund.order_id, "refund_id": refund.id, "total": refund.amount, "currency": refund.currency}
    occasion = f"{refund.order_id}.{refund.id}.{refund.generation}"
    body = msgspec.json.encode(context | shown).decode()
    letter = NewEmail(new_id("mail"), refund.order_id, occasion, template, recipient, body)
    emails.write(work.connection, letter)
    work.stage(Task.SEND_EMAIL, letter.id)


def answer(work: Work, refund: Refund, status: RefundState) -> None:
    """Answer everybody who waits for it; while another part of their request has no outcome, they wait for that."""
    others = [
        part for part in refunds.together_locked(work.connection, refund.order_id, refund.id) if part.id != refund.id
    ]
    unknown = next((part.id for part in others if part.unknown), None)
    if unknown:
        await_instead_locked(work.connection, refund.order_id, refund.id, unknown)
        return
    status = min([status, *(part.state for part in others)], key=TELLING.index)
    amount = refund.amount + sum(part.amount for part in others)
    operators.answer(work, refund.order_id, refund.id, GivenBack(refund.id, amount, refund.currency, status))


def facts(refund: Refund, outcome: Outcome) -> dict[str, object]:
    """What the timeline tells of it."""
    known = {"provider_id": outcome.provider_id, "error": outcome.error}
    return {"refund_id": refund.id, "amount": refund.amount} | {name: fact for name, fact in known.items() if fact}


def failed(refund: Refund) -> str:
    """The cause of the alert about a refund that failed."""
    return cause(Kind.REFUND_FAILED, refund.id)


def unanswered(refund: Refund) -> str:
    """The cause of the alert about a refund that got no answer."""
    return cause(Kind.REFUND_UNANSWERED, refund.id)


def parked(refund: Refund) -> str:
    """The cause of the alert about a refund that was given up."""
    return domain.parked(Task.REFUND_PAYMENT, refund.id)
