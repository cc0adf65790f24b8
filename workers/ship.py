"""Ship: the shop tells us by which parcel an order goes out, once it knows."""

import msgspec

from shared.domain.orders import OrderKind, OrderStatus
from shared.domain.shipments import ShipmentEvent
from shared.errors import IsBooking, NotFound, OrderCanceled, Problem, ShipmentConflict
from shared.queues import Task
from shared.requests import Shipment
from shared.store import intents, orders, shipments
from shared.store.intents import Intent
from workers.app import app
from workers.base import Work, Worker
from workers.registering import write_shipment


@app.task(base=Worker, bind=True, name=Task.SET_SHIPMENT)
def set_shipment(task: Worker, intent_id: str) -> None:
    """Write down which parcel an order goes out by; safe to run any number of times."""
    with task.work() as work:
        work.strike(Task.SET_SHIPMENT, intent_id)
        intent = intents.read(work.connection, intent_id)
        if intent is None or not intent.running:
            return
        try:
            settle(task, work, intent, msgspec.convert(intent.payload, Shipment))
        except Problem as refusal:
            work.refuse(intent_id, refusal)


def settle(task: Worker, work: Work, intent: Intent, wish: Shipment) -> None:
    """Write the parcel down in the place of any former one.  Raises a `Problem` before anything is written."""
    order = orders.view(work.connection, intent.subject)
    if order is None:
        raise NotFound("There is no such order")
    status = orders.lock(work.connection, intent.subject)
    former = shipments.of_order_locked(work.connection, intent.subject)
    if former is None or former[1:] != (wish.courier, wish.awb):
        refuse(work, OrderKind(order["kind"]), status, wish)
        if former:
            shipments.remove_locked(work.connection, former[0])
        event = ShipmentEvent.REPLACED if former else ShipmentEvent.REGISTERED
        write_shipment(task, work, intent.subject, wish, intent.actor, event)
    body = {"order_id": intent.subject, "courier": wish.courier, "awb": wish.awb}
    work.finish(intent.id, msgspec.json.encode(body).decode())


def refuse(work: Work, kind: OrderKind, status: OrderStatus, wish: Shipment) -> None:
    """Raise `IsBooking`, `OrderCanceled` or `ShipmentConflict` when this cannot be the order's parcel."""
    if kind is OrderKind.BOOKING:
        raise IsBooking
    if status is OrderStatus.CANCELED:
        raise OrderCanceled
    if shipments.is_taken(work.connection, wish.courier, wish.awb):
        raise ShipmentConflict
