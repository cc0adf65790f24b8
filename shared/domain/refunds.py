"""Refunds: captured money on its way back to the shopper."""

from collections.abc import Mapping
from enum import StrEnum

from shared.domain.payments import PaymentEvent


class RefundState(StrEnum):
    """Where a refund stands."""

    INITIATED = "initiated"  # promised; no attempt has begun
    PROCESSING = "processing"  # may have reached the provider, or is under way there
    COMPLETED = "completed"  # the provider gave it back; may fail later after all
    FAILED = "failed"  # known to have failed; tried again by an operator after the cooldown


#: Refunds whose amount is promised and not known to be back.
PROMISED = (RefundState.INITIATED, RefundState.PROCESSING)


class RefundEvent(StrEnum):
    """What happens to a refund."""

    INITIATED = "refund_initiated"
    STARTED = "refund_started"
    UNANSWERED = "refund_unanswered"  # changes nothing: the refund goes on under its key
    PENDING = "refund_pending"  # the provider has it, and has not decided yet
    COMPLETED = "refund_completed"
    FAILED = "refund_failed"
    RETRIED = "refund_retried"


TRANSITIONS: Mapping[tuple[RefundState, RefundEvent], RefundState] = {
    (RefundState.INITIATED, RefundEvent.STARTED): RefundState.PROCESSING,
    (RefundState.PROCESSING, RefundEvent.STARTED): RefundState.PROCESSING,
    (RefundState.PROCESSING, RefundEvent.UNANSWERED): RefundState.PROCESSING,
    (RefundState.PROCESSING, RefundEvent.PENDING): RefundState.PROCESSING,
    (RefundState.PROCESSING, RefundEvent.COMPLETED): RefundState.COMPLETED,
    (RefundState.PROCESSING, RefundEvent.FAILED): RefundState.FAILED,
    (RefundState.COMPLETED, RefundEvent.FAILED): RefundState.FAILED,
    (RefundState.FAILED, RefundEvent.RETRIED): RefundState.INITIATED,
}


def payment_event(total: int, captured: int, refunded: int) -> PaymentEvent:
    """What the sum of a payment's refunds says of the payment, after one was completed or failed later.

    All in minor units: what the order costs, what was captured, and what was given back of it.
    """
    if refunded:
        return PaymentEvent.REFUNDED if refunded == captured else PaymentEvent.PARTIALLY_REFUNDED
    return PaymentEvent.CAPTURE_STANDS if captured >= total else PaymentEvent.PARTIAL_CAPTURE_STANDS
