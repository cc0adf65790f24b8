"""Scheduling: when the money that is held for an order is to be taken, whoever has it held."""

from datetime import UTC, datetime, timedelta

from shared.domain.alerts import Kind, cause
from shared.ids import new_id
from shared.queues import Task
from shared.store import payments
from shared.store.alerts import Severity
from shared.store.payments import NewPayment
from workers.base import Work


def schedule_capture(work: Work, payment: NewPayment, grace_until: datetime, margin: timedelta) -> None:
    """Capture when the grace period is over, or `margin` before the hold lapses; a person hears of the latter."""
    job_id, order_id, due_at = new_id("cap"), payment.order_id, grace_until
    if payment.capture_before and payment.capture_before - margin < due_at:
        due_at = payment.capture_before - margin
        title = f"Order {order_id}: its hold lapses before its capture is safe; it is captured before its hour is over"
        work.alert(cause(Kind.CAPTURE_CANNOT_WAIT, job_id), Severity.WARNING, title, order_id)
    payments.schedule_capture(work.connection, job_id, order_id, payment.id, due_at)
    work.stage(Task.CAPTURE_PAYMENT, job_id, delay=(due_at - datetime.now(UTC)).total_seconds())
