"""Orders: what was bought, and whether it still stands."""

from collections.abc import Mapping
from enum import StrEnum


class OrderKind(StrEnum):
    """What sort of thing was bought; the kind decides how a cancel settles."""

    RETAIL = "retail"  # goods: status first, then the money


class OrderStatus(StrEnum):
    """Whether the order stands."""

    PENDING = "pending"  # in its grace period, or waiting for its capture
    CAPTURED = "captured"  # paid for; from here on only an operator takes it back
    CANCELED = "canceled"  # taken back


class OrderEvent(StrEnum):
    """What happens to an order."""

    REGISTERED = "order_registered"
    CANCELED = "order_canceled"
    CAPTURED = "order_captured"
    MIGRATED = "order_migrated"  # it has a payment collection now, and its former system does not matter any more


TRANSITIONS: Mapping[tuple[OrderStatus, OrderEvent], OrderStatus] = {
    (OrderStatus.PENDING, OrderEvent.CANCELED): OrderStatus.CANCELED,
    (OrderStatus.PENDING, OrderEvent.CAPTURED): OrderStatus.CAPTURED,
    (OrderStatus.CAPTURED, OrderEvent.CANCELED): OrderStatus.CANCELED,
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
