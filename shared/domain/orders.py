"""Orders: what was bought, and whether it still stands."""

from collections.abc import Mapping
from enum import StrEnum


class OrderKind(StrEnum):
    """What sort of thing was bought; the kind decides how a cancel settles."""

    RETAIL = "retail"  # goods: status first, then the money
    BOOKING = "booking"  # a stay, which has terms: money first, then the status


class OrderStatus(StrEnum):
    """Whether the order stands."""

    PENDING = "pending"  # in its grace period, or waiting for its capture
    CAPTURED = "captured"  # paid for; from here on only an operator takes it back, or the guest of a booking
    CANCELING = "canceling"  # of a booking: its money is being settled before it is taken back
    CANCELED = "canceled"  # taken back


class OrderEvent(StrEnum):
    """What happens to an order."""

    REGISTERED = "order_registered"
    CANCELING = "order_canceling"
    STANDS = "order_stands"  # its money could not be settled: it is what it was
    STANDS_CAPTURED = "order_stands_captured"  # the same, and its money was taken
    CANCELED = "order_canceled"
    CAPTURED = "order_captured"
    MIGRATED = "order_migrated"  # it has a payment collection now, and its former system does not matter any more


TRANSITIONS: Mapping[tuple[OrderStatus, OrderEvent], OrderStatus] = {
    (OrderStatus.PENDING, OrderEvent.CANCELED): OrderStatus.CANCELED,
    (OrderStatus.PENDING, OrderEvent.CAPTURED): OrderStatus.CAPTURED,
    (OrderStatus.CAPTURED, OrderEvent.CANCELED): OrderStatus.CANCELED,
    (OrderStatus.PENDING, OrderEvent.CANCELING): OrderStatus.CANCELING,
    (OrderStatus.CAPTURED, OrderEvent.CANCELING): OrderStatus.CANCELING,
    (OrderStatus.CANCELING, OrderEvent.CANCELED): OrderStatus.CANCELED,
    (OrderStatus.CANCELING, OrderEvent.STANDS): OrderStatus.PENDING,
    (OrderStatus.CANCELING, OrderEvent.STANDS_CAPTURED): OrderStatus.CAPTURED,
}


class EditStatus(StrEnum):
    """Whether an order may be changed."""

    OPEN = "open"
    EDITING = "editing"  # more is being asked of its provider; captures and cancels wait
    LOCKED_FOR_CAPTURE = "locked_for_capture"  # its capture is under way


class CancellationRefund(StrEnum):
    """What a cancel promised of the money that was captured."""

    NONE = "none"  # nothing was captured
    FULL = "full"  # all of it is refunded
    SKIPPED = "skipped"  # an operator keeps it
    LESS_SHIPPING = "less_shipping"  # all of it but the shipping, since the courier had the parcel
    POLICY = "policy"  # what a booking's policy does not keep, before it is canceled


class CancellationSource(StrEnum):
    """Who took an order back, or how we came to know; in the client contracts' words."""

    CUSTOMER = "customer"
    GUEST = "guest"  # of a booking
    ADMIN = "admin"
    DELHIVERY_WEBHOOK = "delhivery_webhook"
    DELHIVERY_SYNC = "delhivery_sync"
