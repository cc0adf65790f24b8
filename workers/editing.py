"""Editing: how an order changes once it may, who is told of it, and who waits until it has."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.domain.edits import EditEvent, MoneyAction
from shared.domain.emails import Template
from shared.domain.payments import PaymentEvent, PaymentStatus
from shared.ids import new_id
from shared.queues import Queue, Task
from shared.store import edits, emails, orders, payments, stock
from shared.store.edits import NewEdit, Raise
from shared.store.emails import NewEmail
from shared.store.outbox import Message
from shared.store.timeline import Entry
from workers.answers import edited
from workers.base import Work, Worker


def change_item(work: Work, order_id: str, line: Mapping[str, Any], units: int) -> None:
    """Write a line as it is from now on; `units` were taken from stock for it, and what it does not need goes back."""
    stock.shrink_locked(work.connection, order_id, line["line"], line["quantity"])
    edits.set_item_locked(work.connection, order_id, line, units)


def change_total(work: Work, order_id: str, total: int) -> None:
    """The order costs so much from now on; a payment that is to bring nothing of it any more is released."""
    for payment_id in edits.set_total_locked(work.connection, order_id, total):
        release(work, order_id, payment_id, Queue.EDIT)


def release(
    work: Work,
    order_id: str,
    payment_id: str,
    source: str,
    actor: str = "mesh",
    reason: str | None = None,
    before: PaymentStatus = PaymentStatus.AUTHORIZED,
) -> str:
    """Stage the release of what one payment holds, which is not captured any more; returns the void."""
    void_id = new_id("void")
    job_id = payments.start_void_locked(work.connection, order_id, payment_id, void_id, before)
    if job_id:
        work.strike(Task.CAPTURE_PAYMENT, job_id)
    work.stage(Task.VOID_PAYMENT, void_id)
    data = {"void_id": void_id} | ({"reason": reason} if reason else {})
    work.record(Entry(order_id, PaymentEvent.VOID_STARTED, source, actor, data))
    return void_id


def tell(
    work: Work, edit: NewEdit | Raise, change: Mapping[str, Any], *, actor: str, currency: str, email: str
) -> None:
    """Write down that the order is edited, and mail its shopper the new total."""
    total = edit.total_after
    data = {"edit_id": edit.id, **change, "total_before": edit.total_before, "total": total}
    work.record(Entry(edit.order_id, EditEvent.APPLIED, Queue.EDIT, actor, data))
    context = msgspec.json.encode({"order_id": edit.order_id, "total": total, "currency": currency}).decode()
    cause = f"{edit.order_id}.{edit.id}"
    letter = NewEmail(new_id("mail"), edit.order_id, cause, Template.ORDER_EDITED, email, context)
    emails.write(work.connection, letter)
    work.stage(Task.SEND_EMAIL, letter.id)


def finish(work: Work, intent_id: str, order_id: str, money: MoneyAction) -> None:
    """Store the answer 200: the order as it is now."""
    work.finish(intent_id, edited(orders.view(work.connection, order_id) or {}, money))


def wait(task: Worker, work: Work, message: Message) -> None:
    """More is being asked of the provider for this order: the outcome sends this message."""
    work.stage(*message, delay=task.mesh.settings.patience)


def wait_and_hurry(task: Worker, work: Work, message: Message, edit_id: str) -> None:
    """The same for whoever moves the order's money: an edit whose answer was lost is decided now."""
    wait(task, work, message)
    work.stage(Task.AUTHORIZE_EDIT, edit_id)
