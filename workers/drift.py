"""Drift: where our rows and a provider disagree and nobody but a person can say who is right.

It is on record, with one alert a payment, until the two agree again.
"""

from collections.abc import Mapping
from enum import StrEnum

from shared.domain.alerts import Kind, cause, over, parked
from shared.domain.orders import OrderStatus
from shared.domain.payments import PaymentStatus
from shared.domain.reconcile import Amounts, Finding, Match
from shared.queues import Task
from shared.store import alerts, drift
from shared.store.alerts import Severity
from shared.store.reconciliations import Known
from shared.store.timeline import Entry
from workers.base import Work
from workers.seen import Seen


class Drift(StrEnum):
    """What the two sides disagree about."""

    HOLD = "hold"
    REFUNDS = "refunds"


class DriftEvent(StrEnum):
    """What a timeline tells of drift."""

    FOUND = "drift_found"
    RESOLVED = "drift_resolved"


def note(work: Work, known: Known, seen: Seen, finding: Finding, unfit: list[Match], source: str) -> None:
    """Put on record where the two sides disagree, with one alert a payment, and close what they agree upon again."""
    found = {
        Drift.HOLD: (_our_hold(known), _their_hold(seen)) if finding is Finding.DRIFT else None,
        Drift.REFUNDS: ([match.ours for match in unfit], [match.theirs for match in unfit]) if unfit else None,
    }
    still = {kind: sides for kind, sides in found.items() if sides}
    for kind, (ours, theirs) in still.items():
        if drift.open_once(work.connection, known, kind, ours, theirs):
            work.record(Entry(known.order_id, DriftEvent.FOUND, source, data={"kind": kind}))
            title = f"Order {known.order_id}: we and the provider disagree about its {WORDS[kind]}"
            work.alert(cause(Kind.DRIFT, known.payment_id), Severity.CRITICAL, title, known.order_id)
    if known.drifts:
        for gone in drift.resolve(work.connection, known.payment_id, list(still)):
            work.record(Entry(known.order_id, DriftEvent.RESOLVED, source, data={"kind": gone}))
        if not still:
            alerts.resolve(work.connection, cause(Kind.DRIFT, known.payment_id))


WORDS: Mapping[Drift, str] = {Drift.HOLD: "payment", Drift.REFUNDS: "refunds"}


def calm(work: Work, known: Known, finding: Finding) -> None:
    """Both sides agree: resolve the alerts of this payment whose cause went away."""
    if finding is not Finding.AGREED:
        return
    gone = {
        parked(Task.COMPARE_PAYMENT, known.payment_id),
        parked(Task.CAPTURE_PAYMENT, known.job_id),
        parked(Task.VOID_PAYMENT, known.void_id),
    }
    is_free = known.status is PaymentStatus.VOIDED and known.order_status is OrderStatus.CANCELED
    if is_free or known.status is PaymentStatus.REFUNDED:
        gone.update(over(known.alarms))
    still = gone & set(known.alarms)
    if still:
        alerts.resolve(work.connection, *still)


def _our_hold(known: Known) -> dict[str, object]:
    return {"status": known.status, **_amounts(known.amounts)}


def _their_hold(seen: Seen) -> dict[str, object]:
    return {"hold": seen.hold, "refusal": seen.refusal, **(_amounts(seen.amounts) if seen.amounts else {})}


def _amounts(amounts: Amounts) -> dict[str, object]:
    return {"authorized": amounts.authorized, "captured": amounts.captured, "released": amounts.released}
