"""The rules of parcels: what tracking shows has its consequences, once, and what was asked of a courier is known."""

from collections.abc import Callable, Iterator, Mapping

from shared.domain.intents import Operation
from shared.domain.orders import CancellationSource, OrderStatus
from shared.domain.shipments import (
    CANCEL_TRANSITIONS,
    TAKEN_BACK,
    CancelEvent,
    CancelState,
    ShipmentEvent,
    ShipmentStatus,
)
from tests.faults.world import Row, World

#: Who takes an order back since its parcel comes back.
COURIERS = (CancellationSource.DELHIVERY_WEBHOOK, CancellationSource.DELHIVERY_SYNC)

#: Parcels that nobody asks to be canceled: they were delivered, or are on their way back.
OUT_OF_REACH = (*TAKEN_BACK, ShipmentStatus.DELIVERED)

#: What the causes of alerts begin with that tell of a parcel which goes its way although its order is canceled.
GOES_ITS_WAY = ("shipment_not_canceled", "shipment_delivered")

#: What the courier must have on record of a parcel whose cancellation has come so far.
ON_RECORD: Mapping[str, tuple[str, ...]] = {
    CancelState.ACCEPTED: ("shipment.cancel_accepted",),
    CancelState.REFUSED: ("shipment.cancel_refused",),
}


def what_comes_back_is_canceled(world: World) -> Iterator[str]:
    """An order whose parcel was canceled or comes back is canceled, or is about to be; no other is by its courier."""
    asked = [each for each in world.rows["intents"] if each["operation"] == Operation.CANCEL_ORDER_BY_COURIER]
    about_to_be = {intent["subject"] for intent in asked if intent["state"] not in ("done", "refused")}
    if len(asked) != len({intent["idempotency_key"] for intent in asked}):
        yield "parcel: one was to take its order back more than once"
    parcels = {parcel["order_id"]: parcel for parcel in world.rows["shipments"]}
    for order_id, order in world.orders.items():
        was_taken_back = order_id in parcels and parcels[order_id]["canceled_at"] is not None
        if was_taken_back and order["status"] != OrderStatus.CANCELED and order_id not in about_to_be:
            yield f"parcel: that of order {order_id} was taken back, and the order is {order['status']}"
        if order["cancellation_source"] in COURIERS and not was_taken_back:
            yield f"parcel: order {order_id} was canceled by {order['cancellation_source']}, and nobody saw why"


def the_courier_is_asked_to_cancel(world: World) -> Iterator[str]:
    """The parcel of a canceled order was asked for where that could be, and no parcel of an order that stands."""
    for parcel in world.rows["shipments"]:
        name, state = f"parcel: {parcel['id']} of order {parcel['order_id']}", parcel["cancel_state"]
        is_canceled = world.orders[parcel["order_id"]]["status"] == OrderStatus.CANCELED
        if is_canceled and parcel["followed_by"] and state is None and parcel["status"] not in OUT_OF_REACH:
            yield f"{name} is {parcel['status']}, and nobody asked for its cancellation"
        effects = {effect["operation"] for effect in world.scans.get(parcel["awb"], [])}
        if not is_canceled and (state or "shipment.cancel_accepted" in effects):
            yield f"{name} is to be canceled, and its order stands"
        was_asked = parcel["status"] != ShipmentStatus.DELIVERED  # of a parcel that is there nothing need be asked
        if was_asked and not effects.issuperset(ON_RECORD.get(state, ())):
            yield f"{name} is {state}, and its courier has only {effects} on record"


def nobody_waits_for_a_courier_in_vain(world: World) -> Iterator[str]:
    """A cancel was confirmed in the end, or a person was told."""
    alarmed = {
        alert["cause"].partition(":")[2]
        for alert in world.rows["alerts"]
        if alert["resolved_at"] is None and alert["cause"].startswith(GOES_ITS_WAY)
    }
    for parcel in world.rows["shipments"]:
        if parcel["cancel_state"] not in (None, CancelState.CONFIRMED) and parcel["id"] not in alarmed:
            yield f"parcel: {parcel['id']} has its cancellation {parcel['cancel_state']}, and nobody was told"


def the_timeline_explains_every_parcel(world: World) -> Iterator[str]:
    """8. Told again from its order's timeline, a parcel stands as it does; that it was taken back is told once."""
    for parcel in world.rows["shipments"]:
        status, asked, taken_back = _told(world.timeline[parcel["order_id"]])
        if parcel["status"] not in (status, ShipmentStatus.UNKNOWN):  # which nobody tells
            yield f"8: parcel {parcel['id']} is {parcel['status']}, its timeline says {status}"
        if parcel["cancel_state"] != asked:
            yield f"8: parcel {parcel['id']} has its cancellation {parcel['cancel_state']}, its timeline says {asked}"
        if taken_back != (parcel["canceled_at"] is not None):
            yield f"8: parcel {parcel['id']} was told to be taken back {taken_back} times"


def _told(timeline: list[Row]) -> tuple[str, str | None, int]:
    """What a timeline tells of the parcel that its order goes out by: where it is, how far its cancellation has come,
    and how often it was taken back.
    """
    status, asked, taken_back = str(ShipmentStatus.REGISTERED), None, 0
    for entry in timeline:
        event = entry["event"]
        if event == ShipmentEvent.REPLACED:
            status, asked, taken_back = str(ShipmentStatus.REGISTERED), None, 0
        elif event == ShipmentEvent.TRACKED:
            status = entry["data"]["to"]
        elif event == ShipmentEvent.CANCELED:
            taken_back += 1
        elif event == ShipmentEvent.CANCEL_REQUESTED:
            asked = str(CancelState.REQUESTED) if asked is None else f"{asked} and then {event}"
        elif event in set(CancelEvent):
            asked = CANCEL_TRANSITIONS.get((asked, event), f"{asked} and then {event}")  # type: ignore[arg-type]
    return status, asked, taken_back


PARCEL_RULES: tuple[Callable[[World], Iterator[str]], ...] = (
    what_comes_back_is_canceled,
    the_courier_is_asked_to_cancel,
    nobody_waits_for_a_courier_in_vain,
    the_timeline_explains_every_parcel,
)
