"""Ship: the shop tells us by which parcel an order goes out, once it knows."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.domain.alerts import ABOUT_PARCELS, cause, parked
from shared.domain.orders import OrderKind, OrderStatus
from shared.domain.shipments import ShipmentEvent
from shared.errors import (
    IsBooking,
    LegacyOrder,
    NotFound,
    OrderCanceled,
    Problem,
    ShipmentSuperseded,
    Unavailable,
)
from shared.queues import Task
from shared.requests import Shipment
from shared.store import alerts, intents, orders, shipments
from shared.store.intents import Intent
from shared.store.shipments import Present
from workers.app import app
from workers.base import Work, Worker
from workers.registering import write_shipment


@app.task(base=Worker, bind=True, name=Task.SET_SHIPMENT)
def set_shipment(task: Worker, intent_id: str) -> None:
    """Write down which parcel an order goes out by; safe to run any number of times."""
    try:
        with task.work() as work:
            work.strike(Task.SET_SHIPMENT, intent_id)
            intent = intents.read(work.connection, intent_id)
            if intent and intent.running:
                settle(task, work, intent, msgspec.convert(intent.payload, Shipment))
    except Unavailable:  # Postgres went away: nothing is decided, and the message comes again
        raise
    except Problem as refusal:  # nothing of it was written
        with task.work() as work:
            work.strike(Task.SET_SHIPMENT, intent_id)
            work.refuse(intent_id, refusal)


def settle(task: Worker, work: Work, intent: Intent, wish: Shipment) -> None:
    """Write the parcel down in the place of any former one; of two requests the later one counts.

    Raises a `Problem`.
    """
    order = orders.view(work.connection, intent.subject)
    if order is None:
        raise NotFound("There is no such order")
    status = orders.lock(work.connection, intent.subject)
    former = shipments.of_order_locked(work.connection, intent.subject)
    if former is None or not former.is_same(wish.courier, wish.awb):
        refuse(order, status, former, intent)
        if former:
            forget(work, former)
        event = ShipmentEvent.REPLACED if former else ShipmentEvent.REGISTERED
        write_shipment(task, work, intent, intent.subject, wish, event)
    body = {"order_id": intent.subject, "courier": wish.courier, "awb": wish.awb}
    work.finish(intent.id, msgspec.json.encode(body).decode())


def refuse(order: Mapping[str, Any], status: OrderStatus, former: Present | None, intent: Intent) -> None:
    """Raise `IsBooking`, `LegacyOrder`, `OrderCanceled` or `ShipmentSuperseded` when the order gets no such parcel."""
    if OrderKind(order["kind"]) is OrderKind.BOOKING:
        raise IsBooking
    if not order["payments"]:
        raise LegacyOrder
    if status is OrderStatus.CANCELED or (former and former.is_canceled):
        raise OrderCanceled
    if former and former.asked_at > intent.accepted_at:
        raise ShipmentSuperseded


def forget(work: Work, former: Present) -> None:
    """Another parcel goes out in its place: nobody looks at it any more, and what ailed it is over."""
    shipments.remove_locked(work.connection, former.id)
    work.strike(Task.TRACK_SHIPMENT, former.id)
    ailments = [cause(kind, former.id) for kind in ABOUT_PARCELS]
    alerts.resolve(work.connection, *ailments, parked(Task.TRACK_SHIPMENT, former.id))
