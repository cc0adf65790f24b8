"""Beside: a payment that was made beside another one, for an order that costs more than the first could hold."""

from datetime import timedelta

from shared.domain.payments import PaymentEvent, PaymentStatus
from shared.ids import new_id
from shared.providers.ports import Authorization
from shared.queues import Queue
from shared.store import payments, reconciliations
from shared.store.edits import Raise
from shared.store.payments import NewPayment
from shared.store.timeline import Entry
from workers.base import Work, Worker
from workers.editing import release
from workers.scheduling import schedule_capture


def adopt(task: Worker, work: Work, edit: Raise, found: Authorization) -> NewPayment:
    """Write down a payment that was made for an edit; it is to bring nothing yet."""
    payment = NewPayment(
        id=new_id("pay"),
        order_id=edit.order_id,
        provider=edit.provider,
        reference=found.reference,
        status=PaymentStatus.AUTHORIZED,
        currency=edit.currency,
        amount=0,
        authorized=found.authorized,
        captured=0,
        released=0,
        capture_before=found.capture_before,
        incremental=found.incremental,
    )
    payments.insert(work.connection, payment, task.mesh.settings.reconcile_after)
    data = {"payment_id": payment.id, "reference": found.reference, "authorized": found.authorized}
    work.record(Entry(edit.order_id, PaymentEvent.AUTHORIZED, Queue.EDIT, data=data))
    return payment


def schedule(task: Worker, work: Work, payment: NewPayment) -> None:
    """Capture it together with the order's other payments."""
    due_at = payments.captured_at_locked(work.connection, payment.order_id)
    schedule_capture(work, payment, due_at, timedelta(seconds=task.mesh.settings.capture_margin))


def let_go(task: Worker, work: Work, edit: Raise, found: Authorization) -> None:
    """Release a payment that its edit cannot use any more, unless it is written down already."""
    if not reconciliations.find(work.connection, edit.provider, found.reference):
        release(work, edit.order_id, adopt(task, work, edit, found).id, Queue.EDIT)
