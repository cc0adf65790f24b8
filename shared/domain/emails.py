"""E-mails: one row for each message to one recipient."""

from collections.abc import Mapping
from enum import StrEnum


class EmailState(StrEnum):
    """Where an e-mail stands."""

    PENDING = "pending"
    SENDING = "sending"  # claimed by a worker; may have reached the server
    SENT = "sent"
    REFUSED = "refused"  # the server will never take it


class EmailEvent(StrEnum):
    """What happens to an e-mail."""

    CLAIMED = "claimed"
    SENT = "sent"
    REFUSED = "refused"
    DEFERRED = "deferred"  # busy, greylisted, unreachable, or no answer after DATA: sent again later


TRANSITIONS: Mapping[tuple[EmailState, EmailEvent], EmailState] = {
    (EmailState.PENDING, EmailEvent.CLAIMED): EmailState.SENDING,
    (EmailState.SENDING, EmailEvent.CLAIMED): EmailState.SENDING,
    (EmailState.SENDING, EmailEvent.SENT): EmailState.SENT,
    (EmailState.SENDING, EmailEvent.REFUSED): EmailState.REFUSED,
    (EmailState.SENDING, EmailEvent.DEFERRED): EmailState.PENDING,
}


class Template(StrEnum):
    """Which words; the version stands in the name, so that changed words are a new template."""

    ORDER_EDITED = "order_edited.v1"
    ORDER_CANCELED = "order_canceled.v1"
    PAID_ORDER_CANCELED = "paid_order_canceled.v1"
    SHIPMENT_CANCELED = "shipment_canceled.v1"  # its courier brings the goods back, or never had them
    REFUND_STARTED = "refund_started.v1"
    REFUND_PROCESSED = "refund_processed.v1"
    REFUND_FAILED = "refund_failed.v1"  # to the shop's own people
    BOOKING_CANCELED = "booking_canceled.v1"  # to the guest
    HOTEL_BOOKING_CANCELED = "hotel_booking_canceled.v1"
