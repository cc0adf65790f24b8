"""Following: bring our rows in step with what a provider shows, under the order's lock.

What somebody did at the provider is written down with its source; what our own task is at is left to it, and sent
again when nobody is; what neither explains is drift: on record, with an alert, until it is gone.
"""

from collections.abc import Callable, Mapping

from shared import money
from shared.domain import reconcile
from shared.domain.alerts import Kind, cause
from shared.domain.orders import OrderEvent, OrderStatus
from shared.domain.payments import CaptureState, PaymentEvent, PaymentStatus
from shared.domain.reconcile import Finding, Hold, Match, RefundFinding, Return
from shared.domain.refunds import RefundEvent, RefundState
from shared.providers.ports import ProviderRefund
from shared.queues import Task
from shared.store import alerts, reconciliations
from shared.store import refunds as store_refunds
from shared.store.alerts import Severity
from shared.store.reconciliations import Known
from shared.store.timeline import Entry
from workers import drift
from workers.base import Work
from workers.seen import Seen

#: The source of what reconciliation found; what a webhook told us has its queue for a source.
RECONCILIATION = "reconciliation"

#: Findings that leave both sides as they are.
AT_REST = (Finding.AGREED, Finding.BUSY, RefundFinding.AGREED, RefundFinding.BUSY)


def follow(work: Work, before: Known, seen: Seen, source: str) -> bool:
    """Compare what we say now with what was seen, and act upon it.

    False when our rows moved after `before` was read: what was seen may be older than they are, and says nothing then.
    """
    known = reconciliations.lock(work.connection, before.payment_id)
    canceled = known.order_status is OrderStatus.CANCELED
    finding = reconcile.judge(
        known.status, known.amounts, seen.hold, seen.amounts, known.total, canceled=canceled, editing=known.editing
    )
    matches = reconcile.judge_refunds(known.refunds, seen.refunds)
    at_rest = {finding, *(match.finding for match in matches)} <= set(AT_REST) and not known.drifts
    if known != before and not at_rest:
        return False
    CARRY_OUT[finding](work, known, seen, source)
    unfit = [match for match in matches if not RETURN_OUT[match.finding](work, known, match, source)]
    drift.note(work, known, seen, finding, unfit, source)
    drift.calm(work, known, finding)
    return True


# What somebody did to the hold.


def captured(work: Work, known: Known, seen: Seen, source: str) -> None:
    """Somebody captured it: the order is paid for.  A person hears of it, since a shopper may have wanted to cancel."""
    count_as_captured(work, known, source, move(work, known, seen, PaymentEvent.CAPTURED_ELSEWHERE, source))
    resolve(work, known, cause(Kind.CAPTURE_FAILED, known.job_id), _elsewhere(Kind.PARTLY_CAPTURED_ELSEWHERE, known))
    if known.order_status is OrderStatus.CANCELED:
        title = f"Order {known.order_id} is canceled, and {_taken(known, seen)} were captured there. Refund it."
        work.alert(_elsewhere(Kind.CAPTURED_ELSEWHERE, known), Severity.CRITICAL, title, known.order_id)
    else:
        title = f"Order {known.order_id}: {_taken(known, seen)} were captured at the provider, not by us"
        work.alert(_elsewhere(Kind.CAPTURED_ELSEWHERE, known), Severity.WARNING, title, known.order_id)


def paid(work: Work, known: Known, seen: Seen, source: str) -> None:
    """The guest has paid for a booking that was registered before; of one that is canceled by now a person hears."""
    if seen.hold is Hold.PARTLY_CAPTURED or (seen.amounts and 0 < seen.amounts.captured < known.total):
        partly_captured(work, known, seen, source)
        return
    event = PaymentEvent.AUTHORIZED if seen.hold is Hold.HELD else PaymentEvent.CAPTURED
    count_as_captured(work, known, source, move(work, known, seen, event, source))
    if known.order_status is OrderStatus.CANCELED:
        title = f"Order {known.order_id} is canceled, and was paid afterwards. Give it back."
        work.alert(_elsewhere(Kind.CAPTURED_ELSEWHERE, known), Severity.CRITICAL, title, known.order_id)


def count_as_captured(work: Work, known: Known, source: str, is_paid: bool) -> None:  # says itself
    """Write down that the order is paid for, when it is."""
    if is_paid:
        data = {"from": OrderStatus.PENDING, "to": OrderStatus.CAPTURED}
        work.record(Entry(known.order_id, OrderEvent.CAPTURED, source, data=data))


def partly_captured(work: Work, known: Known, seen: Seen, source: str) -> None:
    """Somebody captured less than the order costs: nobody but a person knows what is to happen with the rest."""
    move(work, known, seen, PaymentEvent.PARTLY_CAPTURED_ELSEWHERE, source)
    due = money.text(known.total, known.currency)
    title = f"Order {known.order_id}: {_taken(known, seen)} of {due} were captured at the provider. We capture no more."
    work.alert(_elsewhere(Kind.PARTLY_CAPTURED_ELSEWHERE, known), Severity.CRITICAL, title, known.order_id)


def released(work: Work, known: Known, seen: Seen, source: str) -> None:
    """Somebody canceled the hold, or it expired: an order that stands has no money; a canceled one is free at last."""
    lapsed = seen.found is not None and seen.found.expired
    event = PaymentEvent.AUTHORIZATION_LAPSED if lapsed else PaymentEvent.AUTHORIZATION_CANCELED
    move(work, known, seen, event, source)
    if known.order_status is not OrderStatus.CANCELED:
        how = "expired" if lapsed else "was canceled at the provider"
        title = f"Order {known.order_id} has no money: its authorization {how}"
        work.alert(_elsewhere(Kind.RELEASED_ELSEWHERE, known), Severity.CRITICAL, title, known.order_id)


def changed(work: Work, known: Known, seen: Seen, source: str) -> None:
    """Somebody had another amount held."""
    move(work, known, seen, PaymentEvent.AUTHORIZATION_CHANGED, source)


def move(work: Work, known: Known, seen: Seen, event: PaymentEvent, source: str) -> bool:
    """Write the new amounts and state down; returns whether the order counts as captured by that."""
    if seen.amounts is None:
        raise LookupError(known.reference)
    is_paid = reconciliations.follow_locked(work.connection, known, event, seen.amounts)
    data = {"reference": known.reference, "captured": seen.amounts.captured, "released": seen.amounts.released}
    if event is PaymentEvent.AUTHORIZATION_CHANGED:
        data = {"reference": known.reference, "authorized": seen.amounts.authorized}
    elif known.job_state is CaptureState.WAITING:
        work.strike(Task.CAPTURE_PAYMENT, str(known.job_id))
        resolve(work, known, cause(Kind.CAPTURE_CANNOT_WAIT, known.job_id))
    alerts.resolve_money(work.connection, known.order_id, event)
    work.record(Entry(known.order_id, event, source, data=data))
    if known.order_status is OrderStatus.CANCELING:  # whoever cancels it goes on by that
        work.stage(Task.SETTLE_BOOKING, known.order_id)
    return is_paid


def resolve(work: Work, known: Known, *causes: str) -> None:
    """These causes went away."""
    gone = set(causes) & set(known.alarms)
    if gone:
        alerts.resolve(work.connection, *gone)


def wake(work: Work, known: Known, *_: object) -> None:
    """Our own operation took effect: when its task got no answer, or is not coming, it reads that back now."""
    if known.stuck and known.status is PaymentStatus.CAPTURING:
        work.stage(Task.CAPTURE_PAYMENT, str(known.job_id))
    elif known.stuck:
        work.stage(Task.VOID_PAYMENT, str(known.void_id))


def leave(*_: object) -> None:
    """Nothing is to be done."""


CARRY_OUT: Mapping[Finding, Callable[[Work, Known, Seen, str], None]] = {
    Finding.AGREED: leave,
    Finding.BUSY: leave,
    Finding.DRIFT: leave,
    Finding.ENDED: wake,
    Finding.PAID: paid,
    Finding.AUTHORIZATION_CHANGED: changed,
    Finding.CAPTURED_ELSEWHERE: captured,
    Finding.PARTLY_CAPTURED_ELSEWHERE: partly_captured,
    Finding.RELEASED_ELSEWHERE: released,
}


# What somebody did to the refunds.


def adopt(work: Work, known: Known, match: Match, source: str) -> bool:
    """Somebody refunded it at the provider: from now on it is one of ours; False when our own promise is in its way."""
    theirs = match.theirs
    if theirs is None:
        raise LookupError(match.finding)
    state = RefundState.COMPLETED if theirs.seen is Return.COMPLETED else RefundState.PROCESSING
    refund_id = reconciliations.adopt_locked(work.connection, known, theirs, state)
    if refund_id is None:
        return False
    data = {"refund_id": refund_id, "amount": theirs.amount, "provider_id": theirs.provider_id}
    work.record(Entry(known.order_id, RefundEvent.FOUND, source, data=data))
    if state is RefundState.COMPLETED:
        event = store_refunds.sums_locked(work.connection, known.payment_id)
        work.record(Entry(known.order_id, event, source, data={"refund_id": refund_id}))
        alerts.resolve_money(work.connection, known.order_id, event)
    return True


def adopt_all(work: Work, payment_id: str, returns: tuple[ProviderRefund, ...], source: str) -> None:
    """Write down every refund of these that somebody made at the provider; the caller holds the order's lock."""
    known = reconciliations.lock(work.connection, payment_id)
    for match in reconcile.judge_refunds(known.refunds, Seen(None, returns).refunds):
        if match.finding is RefundFinding.REFUNDED_ELSEWHERE:
            adopt(work, known, match, source)


def wake_refund(work: Work, known: Known, match: Match, source: str) -> bool:
    """The provider has decided, or decided otherwise: the refund's own task reads that back.

    An attempt that is still under way hears of it anyhow.
    """
    if match.ours and (match.ours.stuck or match.ours.provider_id):
        work.stage(Task.REFUND_PAYMENT, match.ours.id)
    return True


RETURN_OUT: Mapping[RefundFinding, Callable[[Work, Known, Match, str], bool]] = {
    RefundFinding.AGREED: lambda *_: True,
    RefundFinding.BUSY: lambda *_: True,
    RefundFinding.DRIFT: lambda *_: False,
    RefundFinding.ENDED: wake_refund,
    RefundFinding.REFUNDED_ELSEWHERE: adopt,
    RefundFinding.FAILED_LATER: wake_refund,
}


def _taken(known: Known, seen: Seen) -> str:
    return money.text(seen.amounts.captured if seen.amounts else 0, known.currency)


def _elsewhere(kind: Kind, known: Known) -> str:
    return cause(kind, known.payment_id)
