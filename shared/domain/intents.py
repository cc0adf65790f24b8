"""Intents: the durable record of one request to change something, and its answer."""

from collections.abc import Mapping
from enum import StrEnum

from shared.queues import Task


class IntentState(StrEnum):
    """How far an intent has come."""

    ACCEPTED = "accepted"  # durable; no worker has acted on it yet
    WORKING = "working"  # its rules were judged, its consequences are under way
    DONE = "done"  # carried out; the answer is stored
    REFUSED = "refused"  # a rule said no; the answer is stored
    PARKED = "parked"  # it broke again and again; a person decides


RUNNING = (IntentState.ACCEPTED, IntentState.WORKING)


class IntentEvent(StrEnum):
    """What happens to an intent."""

    CLAIMED = "claimed"
    SETTLED = "settled"
    REFUSED = "refused"
    PARKED = "parked"
    RETRIED = "retried"  # its own task is put back to work
    RESUMED = "resumed"  # what it waits for is put back to work


TRANSITIONS: Mapping[tuple[IntentState, IntentEvent], IntentState] = {
    (state, event): after
    for state in RUNNING
    for event, after in (
        (IntentEvent.CLAIMED, IntentState.WORKING),
        (IntentEvent.SETTLED, IntentState.DONE),
        (IntentEvent.REFUSED, IntentState.REFUSED),
        (IntentEvent.PARKED, IntentState.PARKED),
    )
} | {
    (IntentState.PARKED, IntentEvent.RETRIED): IntentState.ACCEPTED,
    (IntentState.PARKED, IntentEvent.RESUMED): IntentState.WORKING,
}


class Operation(StrEnum):
    """What an intent asks for."""

    REGISTER_ORDER = "register_order"
    SET_STOCK = "set_stock"
    REGISTER_BOOKING = "register_booking"
    SET_POLICY = "set_policy"
    INVITE_GUEST = "invite_guest"
    APPROVE_BOOKING = "approve_booking"
    CANCEL_BOOKING = "cancel_booking"
    CANCEL_ORDER = "cancel_order"
    CANCEL_ORDER_BY_OPERATOR = "cancel_order_by_operator"
    CANCEL_ORDER_BY_COURIER = "cancel_order_by_courier"  # ours, when tracking shows that its parcel is
    REFUND_ORDER = "refund_order"
    ADD_ITEM = "add_item"
    SET_QUANTITY = "set_quantity"
    SET_ADDRESS = "set_address"
    SET_SHIPMENT = "set_shipment"
    SYNC_ORDER = "sync_order"
    SYNC_SHIPMENTS = "sync_shipments"
    RETRY_INTENT = "retry_intent"
    ACKNOWLEDGE_ALERT = "acknowledge_alert"


#: What must wait while the money of an order is being taken, and the tasks that carry it out.
WAIT_FOR_CAPTURE: Mapping[Operation, Task] = {
    Operation.CANCEL_ORDER_BY_OPERATOR: Task.CANCEL_ORDER_BY_OPERATOR,
    Operation.CANCEL_ORDER_BY_COURIER: Task.CANCEL_ORDER_BY_COURIER,
    Operation.REFUND_ORDER: Task.REFUND_ORDER,
    Operation.CANCEL_BOOKING: Task.CANCEL_BOOKING,
}

TASK_OF: Mapping[Operation, Task] = {
    Operation.REGISTER_ORDER: Task.REGISTER_ORDER,
    Operation.SET_STOCK: Task.SET_STOCK,
    Operation.REGISTER_BOOKING: Task.REGISTER_BOOKING,
    Operation.SET_POLICY: Task.SET_POLICY,
    Operation.INVITE_GUEST: Task.INVITE_GUEST,
    Operation.APPROVE_BOOKING: Task.APPROVE_BOOKING,
    Operation.CANCEL_BOOKING: Task.CANCEL_BOOKING,
    Operation.CANCEL_ORDER: Task.CANCEL_ORDER,
    Operation.CANCEL_ORDER_BY_OPERATOR: Task.CANCEL_ORDER_BY_OPERATOR,
    Operation.CANCEL_ORDER_BY_COURIER: Task.CANCEL_ORDER_BY_COURIER,
    Operation.REFUND_ORDER: Task.REFUND_ORDER,
    Operation.ADD_ITEM: Task.EDIT_ORDER,
    Operation.SET_QUANTITY: Task.EDIT_ORDER,
    Operation.SET_ADDRESS: Task.EDIT_ORDER,
    Operation.SET_SHIPMENT: Task.SET_SHIPMENT,
    Operation.SYNC_ORDER: Task.SYNC_ORDER,
    Operation.SYNC_SHIPMENTS: Task.SYNC_SHIPMENTS,
    Operation.RETRY_INTENT: Task.RETRY_INTENT,
    Operation.ACKNOWLEDGE_ALERT: Task.ACKNOWLEDGE_ALERT,
}
