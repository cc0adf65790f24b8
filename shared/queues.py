"""The names on the wire.  Once released, a queue or task name never changes: messages outlive deployments."""

from collections.abc import Mapping
from enum import StrEnum


class Queue(StrEnum):
    """Where a message waits; each queue can be its own worker deployment."""

    REGISTER = "register"  # what the shop tells us: orders, stock
    EDIT = "edit"
    CANCEL = "cancel"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    COURIER = "courier"  # what a courier tells us, what we look up there, and ask of it
    EMAIL = "email"
    WEBHOOK = "webhook"  # what a provider tells us, and what we look up there
    HOUSEKEEPING = "housekeeping"


class Task(StrEnum):
    """What a message asks for; every task takes one id."""

    REGISTER_ORDER = "register.order"  # an intent's id
    SET_STOCK = "register.stock"  # an intent's id
    REGISTER_BOOKING = "register.booking"  # an intent's id
    SET_SHIPMENT = "register.shipment"  # an intent's id
    SET_POLICY = "register.policy"  # an intent's id
    INVITE_GUEST = "register.guest"  # an intent's id
    EDIT_ORDER = "edit.order"  # an intent's id
    AUTHORIZE_EDIT = "edit.authorize"  # an edit's id
    CANCEL_ORDER = "cancel.order"  # an intent's id
    CANCEL_ORDER_BY_OPERATOR = "cancel.by_operator"  # an intent's id
    CANCEL_ORDER_BY_COURIER = "cancel.by_courier"  # an intent's id
    CANCEL_BOOKING = "cancel.booking"  # an intent's id
    SETTLE_BOOKING = "cancel.settle_booking"  # an order's id
    APPROVE_BOOKING = "capture.approve"  # an intent's id
    CAPTURE_PAYMENT = "capture.payment"  # a capture job's id
    VOID_PAYMENT = "void.payment"  # a void's id
    REFUND_ORDER = "refund.order"  # an intent's id
    REFUND_PAYMENT = "refund.payment"  # a refund's id
    TRACK_SHIPMENT = "courier.track"  # a shipment's id
    CANCEL_SHIPMENT = "courier.cancel"  # a shipment's id
    SYNC_ORDER = "courier.sync_order"  # an intent's id
    SYNC_SHIPMENTS = "courier.sync"  # an intent's id
    SYNC_BATCH = "courier.sync_batch"  # a batch's id
    START_SYNC = "courier.start_sync"  # beat's; no id
    SEND_EMAIL = "email.send"  # an e-mail's id
    PROCESS_WEBHOOK = "webhook.process"  # a webhook event's id, ours
    COMPARE_PAYMENT = "webhook.compare"  # a payment's id
    SWEEP_OUTBOX = "housekeeping.sweep_outbox"  # beat's; no id
    RETRY_INTENT = "housekeeping.retry_intent"  # an intent's id, which asks for another one's retry
    RECONCILE = "housekeeping.reconcile"  # beat's; no id
    ACKNOWLEDGE_ALERT = "housekeeping.acknowledge_alert"  # an intent's id


QUEUE_OF: Mapping[Task, Queue] = {
    Task.REGISTER_ORDER: Queue.REGISTER,
    Task.SET_STOCK: Queue.REGISTER,
    Task.REGISTER_BOOKING: Queue.REGISTER,
    Task.SET_SHIPMENT: Queue.REGISTER,
    Task.SET_POLICY: Queue.REGISTER,
    Task.INVITE_GUEST: Queue.REGISTER,
    Task.EDIT_ORDER: Queue.EDIT,
    Task.AUTHORIZE_EDIT: Queue.EDIT,
    Task.CANCEL_ORDER: Queue.CANCEL,
    Task.CANCEL_ORDER_BY_OPERATOR: Queue.CANCEL,
    Task.CANCEL_ORDER_BY_COURIER: Queue.CANCEL,
    Task.CANCEL_BOOKING: Queue.CANCEL,
    Task.SETTLE_BOOKING: Queue.CANCEL,
    Task.APPROVE_BOOKING: Queue.CAPTURE,
    Task.CAPTURE_PAYMENT: Queue.CAPTURE,
    Task.VOID_PAYMENT: Queue.VOID,
    Task.REFUND_ORDER: Queue.REFUND,
    Task.REFUND_PAYMENT: Queue.REFUND,
    Task.TRACK_SHIPMENT: Queue.COURIER,
    Task.CANCEL_SHIPMENT: Queue.COURIER,
    Task.SYNC_ORDER: Queue.COURIER,
    Task.SYNC_SHIPMENTS: Queue.COURIER,
    Task.SYNC_BATCH: Queue.COURIER,
    Task.START_SYNC: Queue.COURIER,
    Task.SEND_EMAIL: Queue.EMAIL,
    Task.PROCESS_WEBHOOK: Queue.WEBHOOK,
    Task.COMPARE_PAYMENT: Queue.WEBHOOK,
    Task.SWEEP_OUTBOX: Queue.HOUSEKEEPING,
    Task.RETRY_INTENT: Queue.HOUSEKEEPING,
    Task.RECONCILE: Queue.HOUSEKEEPING,
    Task.ACKNOWLEDGE_ALERT: Queue.HOUSEKEEPING,
}
