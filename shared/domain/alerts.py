"""Alerts and drift: what a person must look at, and how far that has come."""

from collections.abc import Iterable
from enum import StrEnum


class AlertState(StrEnum):
    """How far an alert has come."""

    OPEN = "open"  # nobody has said that they look at it
    ACKNOWLEDGED = "acknowledged"  # somebody looks at it, and its cause is still there
    RESOLVED = "resolved"  # its cause went away


class DriftState(StrEnum):
    """Whether our rows and the provider still disagree."""

    OPEN = "open"
    RESOLVED = "resolved"


class Kind(StrEnum):
    """What an alert is about; with an id it is the alert's cause."""

    CAPTURE_CANNOT_WAIT = "capture_cannot_wait"
    CAPTURE_FAILED = "capture_failed"
    CAPTURE_UNANSWERED = "capture_unanswered"
    CAPTURED_ELSEWHERE = "captured_elsewhere"
    DISPUTE = "dispute"
    DISPUTE_LOST = "dispute_lost"
    DISPUTE_UNREAD = "dispute_unread"
    DRIFT = "drift"
    EMAIL_REFUSED = "email_refused"
    PARKED = "parked"
    PARTLY_CAPTURED_ELSEWHERE = "partly_captured_elsewhere"
    HOLD_OUTLIVES = "hold_outlives"
    REFUND_FAILED = "refund_failed"
    REFUND_UNANSWERED = "refund_unanswered"
    RELEASED_ELSEWHERE = "released_elsewhere"
    SHIPMENT_DELIVERED = "shipment_delivered"
    SHIPMENT_NOT_CANCELED = "shipment_not_canceled"
    SHIPMENT_ORDER_STANDS = "shipment_order_stands"
    SHIPMENT_UNCONFIRMED = "shipment_unconfirmed"
    SHIPMENT_UNEXPLAINED = "shipment_unexplained"
    SYNC_INCOMPLETE = "sync_incomplete"
    VOID_FAILED = "void_failed"
    VOID_OVERTAKEN = "void_overtaken"
    WAYBILL_UNKNOWN = "waybill_unknown"


#: What ails a payment's money, and is over when all of it is back with the shopper.
ABOUT_MONEY = (
    Kind.CAPTURE_CANNOT_WAIT,
    Kind.CAPTURE_FAILED,
    Kind.CAPTURE_UNANSWERED,
    Kind.CAPTURED_ELSEWHERE,
    Kind.HOLD_OUTLIVES,
    Kind.PARTLY_CAPTURED_ELSEWHERE,
    Kind.REFUND_FAILED,
    Kind.REFUND_UNANSWERED,
    Kind.RELEASED_ELSEWHERE,
    Kind.VOID_FAILED,
    Kind.VOID_OVERTAKEN,
)


#: What ails a parcel, and is over when another one goes out in its place.
ABOUT_PARCELS = (
    Kind.SHIPMENT_DELIVERED,
    Kind.SHIPMENT_NOT_CANCELED,
    Kind.SHIPMENT_ORDER_STANDS,
    Kind.SHIPMENT_UNCONFIRMED,
    Kind.SHIPMENT_UNEXPLAINED,
    Kind.WAYBILL_UNKNOWN,
)


def cause(kind: Kind, subject: str | None) -> str:
    """What an alert is opened for once, and resolved with."""
    return f"{kind}:{subject}"


def parked(task: str, subject: str | None) -> str:
    """The cause of the alert about a task that was given up."""
    return cause(Kind.PARKED, f"{task}:{subject}")


def over(causes: Iterable[str]) -> list[str]:
    """Those of these causes that are over when all of the money is back."""
    return [each for each in causes if each.partition(":")[0] in ABOUT_MONEY]
