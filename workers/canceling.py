"""Canceling: what every cancel of an order writes down and stages, whoever wants it."""

from collections.abc import Sequence

import msgspec

from shared.domain.emails import Template
from shared.domain.orders import OrderEvent, OrderStatus
from shared.domain.payments import PaymentEvent
from shared.domain.shipments import ShipmentEvent
from shared.ids import new_id
from shared.queues import Queue, Task
from shared.store.emails import NewEmail
from shared.store.orders import HeldOrder
from shared.store.timeline import Entry
from workers.base import Work


def stage_voids(work: Work, held: HeldOrder, void_ids: Sequence[str]) -> None:
    """Release what is held; nothing of it is captured any more."""
    for job_id in held.jobs:
        work.strike(Task.CAPTURE_PAYMENT, job_id)
    for void_id in void_ids:
        work.stage(Task.VOID_PAYMENT, void_id)


def record_voids(work: Work, held: HeldOrder, void_ids: Sequence[str]) -> None:
    """Write down which voids are under way."""
    for void_id in void_ids:
        work.record(Entry(held.id, PaymentEvent.VOID_STARTED, Queue.CANCEL, held.actor, {"void_id": void_id}))


def stage_parcel(work: Work, held: HeldOrder) -> None:
    """Have the courier asked to cancel a parcel that is announced, or under way."""
    if held.shipment_id:
        work.stage(Task.CANCEL_SHIPMENT, held.shipment_id)
        data = {"shipment_id": held.shipment_id}
        work.record(Entry(held.id, ShipmentEvent.CANCEL_REQUESTED, Queue.CANCEL, held.actor, data))


def notice(held: HeldOrder, template: Template = Template.ORDER_CANCELED, **facts: object) -> NewEmail:
    """The e-mail to the shopper; `facts` are what its template shows beside the order."""
    context = {"order_id": held.id, "total": held.total, "currency": held.currency} | facts
    body = msgspec.json.encode(context).decode()
    return NewEmail(new_id("mail"), held.id, held.id, template, held.email, body)


def record(work: Work, held: HeldOrder, restocked: dict[str, int], reason: str | None = None) -> None:
    """Write down that the order was taken back, why, when somebody said, and which goods returned to stock."""
    data: dict[str, object] = {"from": held.order.status, "to": OrderStatus.CANCELED, "restocked": restocked}
    data |= {"reason": reason} if reason else {}
    work.record(Entry(held.id, OrderEvent.CANCELED, Queue.CANCEL, held.actor, data))
