"""Disputes: what a cardholder claims back through the bank, and how that ends."""

from collections.abc import Mapping
from enum import StrEnum

from shared import money
from shared.domain.alerts import Kind, cause
from shared.providers.ports import Dispute, DisputeStatus
from shared.store import alerts, reconciliations, timeline
from shared.store.alerts import Severity
from shared.store.timeline import Entry
from workers.base import Work


class DisputeEvent(StrEnum):
    """What a timeline tells of a dispute."""

    OPENED = "dispute_opened"
    WON = "dispute_won"
    LOST = "dispute_lost"


#: How a dispute ends, in the words of the timeline.
ENDED: Mapping[DisputeStatus, DisputeEvent] = {
    DisputeStatus.WON: DisputeEvent.WON,
    DisputeStatus.LOST: DisputeEvent.LOST,
}


def follow(work: Work, payment_id: str, dispute: Dispute, source: str) -> None:
    """Tell a person of a dispute, and of its end; once it has ended, whatever says otherwise was read before that."""
    known = reconciliations.lock(work.connection, payment_id)
    if timeline.tells(work.connection, known.order_id, list(ENDED.values()), "dispute", dispute.reference):
        return
    alerts.resolve(work.connection, cause(Kind.DISPUTE_UNREAD, dispute.reference))
    claim = cause(Kind.DISPUTE, dispute.reference)
    amount = money.text(dispute.amount, dispute.currency)
    data = {"dispute": dispute.reference, "amount": dispute.amount}
    if dispute.status is not DisputeStatus.OPEN:
        work.record(Entry(known.order_id, ENDED[dispute.status], source, data=data))
        alerts.resolve(work.connection, claim)
    elif claim not in known.alarms:
        work.record(Entry(known.order_id, DisputeEvent.OPENED, source, data=data))
        title = f"Order {known.order_id}: the cardholder disputes {amount} (answer it at the provider)"
        work.alert(claim, Severity.CRITICAL, title, known.order_id)
    if dispute.status is DisputeStatus.LOST:
        title = f"Order {known.order_id}: the dispute of {amount} is lost"
        work.alert(cause(Kind.DISPUTE_LOST, dispute.reference), Severity.CRITICAL, title, known.order_id)


def miss(work: Work, payment_id: str, reference: str, refusal: str) -> None:
    """Tell a person of a dispute that the provider will not show."""
    known = reconciliations.lock(work.connection, payment_id)
    title = f"Order {known.order_id}: the provider tells of a dispute and does not show it ({refusal})"
    work.alert(cause(Kind.DISPUTE_UNREAD, reference), Severity.CRITICAL, title, known.order_id)
