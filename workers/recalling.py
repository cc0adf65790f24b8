"""Recalling: an order whose parcel is canceled or comes back is taken back; the caller holds the order's lock."""

import hashlib

import msgspec

from shared.domain.alerts import Kind, cause, parked
from shared.domain.intents import IntentState, Operation
from shared.domain.orders import CancellationSource, OrderStatus
from shared.domain.shipments import CancelEvent, CancelState, Courier, ShipmentEvent, Tracked
from shared.ids import new_id
from shared.queues import Queue, Task
from shared.requests import CourierCancellation
from shared.store import alerts, intents, looks, shipments
from shared.store.alerts import Severity
from shared.store.intents import NewIntent
from shared.store.looks import Known, Parcel
from shared.store.timeline import Entry
from workers.base import Work, Worker
from workers.taking_back import by_courier, take_back

#: How we come to know that a parcel is canceled, by its courier: it told us, or we looked by ourselves.
TOLD = {Courier.DELHIVERY: CancellationSource.DELHIVERY_WEBHOOK}
LOOKED = {Courier.DELHIVERY: CancellationSource.DELHIVERY_SYNC}

#: What is over when tracking shows a parcel as canceled or coming back.
OVER_WHEN_BACK = (Kind.SHIPMENT_UNCONFIRMED, Kind.SHIPMENT_NOT_CANCELED, Kind.SHIPMENT_DELIVERED)


def recall(task: Worker, work: Work, claimed: Parcel, known: Known, tracked: Tracked) -> None:
    """The parcel is canceled or comes back: so is the order, unless it is canceled already."""
    parcel, before_pickup = known.parcel, tracked.before_pickup and not known.parcel.picked_up
    if parcel.canceled_at is None:
        reason = in_words(tracked)
        looks.take_back_locked(work.connection, parcel.id, reason=reason, before_pickup=before_pickup)
        told = "Cancelled before pickup" if before_pickup else "Cancelled after pickup"
        data = {"told": told, "reason": reason, "before_pickup": before_pickup}
        work.record(Entry(parcel.order_id, ShipmentEvent.CANCELED, Queue.COURIER, actor(parcel), data))
    elif is_told(claimed):  # once more, of what was acted upon
        data = {"courier_status": tracked.status}
        work.record(Entry(parcel.order_id, ShipmentEvent.HINTED, Queue.COURIER, actor(parcel), data))
    if parcel.cancel_state and parcel.cancel_state is not CancelState.CONFIRMED:
        settle(work, parcel, parcel.cancel_state, CancelEvent.CONFIRMED)
    resolve(work, known, *OVER_WHEN_BACK)
    if known.order_status is OrderStatus.CANCELED:
        resolve(work, known, Kind.SHIPMENT_ORDER_STANDS)
    else:
        source = (TOLD if is_told(claimed) else LOOKED)[parcel.courier]
        ask_ourselves(task, work, parcel, CourierCancellation(parcel.id, source, before_pickup, in_words(tracked)))


def ask_ourselves(task: Worker, work: Work, parcel: Parcel, wish: CourierCancellation) -> None:
    """Record the cancel as a request, once for each shipment, and carry it out here and now when that is possible."""
    payload = msgspec.json.encode(wish)
    new = NewIntent(
        id=new_id("int"),
        operation=Operation.CANCEL_ORDER_BY_COURIER,
        subject=parcel.order_id,
        actor=actor(parcel),
        idempotency_key=parcel.id,
        fingerprint=hashlib.sha256(payload).digest(),
        payload=payload.decode(),
        waiter=None,
        patience=task.mesh.settings.patience,
    )
    if intents.accept_all(work.connection, [new]):
        take_back(task, work, Task.CANCEL_ORDER_BY_COURIER, new.id, by_courier)
        judged = intents.read(work.connection, new.id)
        if judged and judged.state is IntentState.REFUSED:  # as that of an order of a former system
            title = f"Order {parcel.order_id}: its parcel is canceled or comes back. Take the order back by hand."
            work.alert(cause(Kind.SHIPMENT_ORDER_STANDS, parcel.id), Severity.CRITICAL, title, parcel.order_id)


def settle(work: Work, parcel: Parcel, before: CancelState, event: CancelEvent) -> None:
    """Tracking shows what has become of our request to cancel the parcel."""
    if shipments.settle_cancel_locked(work.connection, parcel.id, before, event):
        work.strike(Task.CANCEL_SHIPMENT, parcel.id)
        alerts.resolve(work.connection, parked(Task.CANCEL_SHIPMENT, parcel.id))
        work.record(Entry(parcel.order_id, event, Queue.COURIER, data={"shipment_id": parcel.id}))


def is_told(parcel: Parcel) -> bool:
    """Whether the courier told us something since the last look."""
    return parcel.heard_at is not None and (parcel.tracked_at is None or parcel.heard_at > parcel.tracked_at)


def about(kind: Kind, known: Known) -> str:
    """The cause of an alert about a parcel."""
    return cause(kind, known.parcel.id)


def resolve(work: Work, known: Known, *kinds: Kind) -> None:
    """These causes went away."""
    gone = {about(kind, known) for kind in kinds} & set(known.alarms)
    if gone:
        alerts.resolve(work.connection, *gone)


def actor(parcel: Parcel) -> str:
    """Who is behind what a parcel shows."""
    return f"courier:{parcel.courier}"


def in_words(tracked: Tracked) -> str:
    """A courier's status as people read it."""
    return f"{tracked.status_type} / {tracked.status}" + (f" ({tracked.code})" if tracked.code else "")
